"""Try the machine before a class is judged: what an empty and a solved submission earn is known, so
that whatever else happens is no fault of a student's.
"""

from __future__ import annotations

import importlib.util
import os
import re
import site
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from marking.course import Course
from marking.engine import NOT_ANSWERED, NOT_WRITTEN
from marking.exercise import lesson_of
from marking.grades import Graded
from marking.intake import Submission
from marking.sandbox.parent import Sandbox
from marking.stored import NOT_GRADED

MOST_READ = 8000  # bytes of the end of what a process said
MOST_LINES = 8
LONGEST_LINE = 300
TOO_SLOW = "it took over"
NOT_FOUND = re.compile(r"(?<=No module named ')\w+|\w+(?= is not installed where)")
# runs a submission in a sandbox and judges it
Grade = Callable[[Submission, Sandbox], Graded]


class NotReady(RuntimeError):
    """Submissions cannot be graded on this machine; the message says why, and what to do."""


def rehearse(sandbox: Sandbox, grade: Grade) -> None:
    """Grade an empty and a solved submission of the course.

    Raises: NotReady where they do not earn what they must.
    """
    course = sandbox.course
    if not course.solved:
        return
    lessons = tuple(dict.fromkeys(map(lesson_of, course.solved)))
    for kind, cells in (("an empty", ()), ("a solved", solved_cells(course))):
        submission = Submission("", "", tuple(enumerate(cells, 1)), lessons, ())
        with tempfile.TemporaryFile() as words:
            try:
                graded = grade(submission, replace(sandbox, stderr=words))
                problem = what_failed(graded, course.solved.keys() if cells else ())
            except OSError as error:
                problem = f"its process could not be started: {error}"
            if problem:
                raise NotReady(message(kind, problem, last_words(words)))


def solved_cells(course: Course) -> list[str]:
    """The cells of a submission that solves what the course has solved."""
    cells = [f"from {course.package} import ask, beside, check, hint"]
    for name, source in course.solved.items():
        cells += [source, f"check({name!r}, {course.variable_of(name)})"]
    return cells


def what_failed(graded: Graded, solved: Collection[str]) -> str:
    """What an answer earned that it must not, or did not earn; empty if all is well."""
    for row in graded.rows:
        must = row.exercise in solved
        if row.points == row.of if must else row.summary in (NOT_WRITTEN, NOT_ANSWERED):
            continue
        if row.summary.startswith(NOT_GRADED):
            found = row.summary.removeprefix(NOT_GRADED)
        elif must:
            found = f"its right answer to {row.exercise} earned {row.points} of {row.of}"
            found += f": {row.summary}"
        else:
            found = f"{row.exercise}, to which it has no answer, got {row.summary!r}"
        return "; ".join([found, *graded.remarks])
    return ""


def last_words(file: IO[bytes]) -> list[str]:
    """The last lines that a process wrote."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - MOST_READ, 0))
    text = file.read().decode("utf-8", "replace")
    lines = ["".join(filter(str.isprintable, line)).rstrip() for line in text.splitlines()]
    return [line[:LONGEST_LINE] for line in lines if line][-MOST_LINES:]


def message(kind: str, problem: str, words: Sequence[str]) -> str:
    """What to say where a submission fails that must not."""
    parts = [
        f"nothing was graded, because this machine does not run submissions as it should: {kind}"
        f" one was tried first, and {problem}"
    ]
    if words:
        parts += ["the last words of its process:", *(f"  {line}" for line in words)]
    packages = dict.fromkeys(NOT_FOUND.findall("\n".join([problem, *words])))
    parts += [why_not_found(package) for package in packages]
    if TOO_SLOW in problem:
        parts.append("allow more with --timeout, or grade when less runs on this machine")
    return "\n".join(parts)


def why_not_found(package: str) -> str:
    """Why a submission's process does not find a package, and what to do."""
    install = f"{sys.executable} -m pip install {package}"
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    places = [] if spec is None else [*(spec.submodule_search_locations or []), spec.origin or ""]
    if not places:
        return f"{package} is not installed: {install}"
    folder = Path(places[0]).parent
    only = "submissions see only what an installer such as pip has recorded"
    if lies_in(folder, [site.getusersitepackages()]):
        how = f"installed for your user alone, in {folder}"
        install = "make an environment with python -m venv, and install the course there"
    elif lies_in(folder, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        how = f"found through PYTHONPATH, in {folder}"
    elif lies_in(folder, [sys.prefix, sys.base_prefix]):
        how = f"installed in {folder}, but the process of a submission does not find it there"
    else:
        how = f"found in {folder}, perhaps through a .pth file"
    return f"{package} is {how}; {only}: {install}"


def lies_in(folder: Path, others: Sequence[str]) -> bool:
    """Whether a folder lies in one of others."""
    return any(folder.resolve().is_relative_to(Path(one).resolve()) for one in others if one)
