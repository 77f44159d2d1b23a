"""Put a student's functions and the library together into a package of her own."""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.metadata
import json
import keyword
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from marking.commands import all_graded_here
from marking.course import Course
from marking.engine import NOT_WRITTEN
from marking.exercise import Exercise, function_of, lesson_of
from marking.grades import Row
from marking.intake import code_cells
from minddpm import checks, network, noising, schedule
from minddpm_course import answers
from minddpm_course.bank import BANK
from minddpm_course.compare import Departure, check_package
from minddpm_course.extraction import Missing, bound_by, module_of, needed
from minddpm_course.joins import JOINS, ROOMS
from minddpm_course.placement import LIBRARY

ANSWERS = Path(answers.__file__)
MANIFEST = "assembled.json"
LONGEST_TRIAL = 600  # a package that takes longer to follow is given up
NO_NOTEBOOK = "no notebook of this lesson"
FROM_LIBRARY = "taken from the library"
FUNCTIONS = tuple(name for name, question in BANK.items() if isinstance(question, Exercise))


@dataclass(frozen=True)
class Part:
    """One function of the package: whose it is, and why.

    Args:
        question: the exercise, "03.posterior_coefficients".
        notebook: where its answer was looked for; None where there is no such notebook.
        yours: whether the student's own function stands in the package.
        why: the reason where it does not.
    """

    question: str
    notebook: Path | None = None
    yours: bool = False
    why: str = NO_NOTEBOOK

    @property
    def room(self) -> str:
        """The room that it belongs to."""
        return ROOMS[lesson_of(self.question)]

    @property
    def owner(self) -> str:
        """ "yours"; "failing" for what is written and does not work; else "borrowed"."""
        if self.yours:
            return "yours"
        return "borrowed" if self.why in (NO_NOTEBOOK, NOT_WRITTEN, FROM_LIBRARY) else "failing"


def parts_in(course: Course, folder: Path) -> list[Part]:
    """Check the notebooks in a folder, and say which functions are the student's.

    Raises: FileNotFoundError for a folder without notebooks of exercises.
    """
    notebooks = course.notebooks_in(folder)
    if not notebooks:
        raise FileNotFoundError(f"expected a folder with notebooks of exercises, got {folder}")
    checked = tqdm(
        all_graded_here(course, notebooks),
        "notebooks",
        len(notebooks),
        disable=None,  # shown in a terminal alone
    )
    return parts_from((path, row) for path, graded in checked for row in graded.rows)


def parts_from(rows: Iterable[tuple[Path, Row]]) -> list[Part]:
    """The functions of the package, from the grades of some notebooks."""
    parts = {name: Part(name) for name in FUNCTIONS}
    for notebook, row in rows:
        if row.exercise not in parts:
            continue
        why = f"{row.summary}: {row.mistake}" if row.mistake else row.summary
        if borrows(cells_of(notebook), row.exercise):
            why = FROM_LIBRARY
        yours = row.points > 0
        parts[row.exercise] = Part(row.exercise, notebook, yours, "" if yours else why)
    return list(parts.values())


def rooms(parts: Sequence[Part]) -> str:
    """The rooms of a package: which functions in them are yours, failing or borrowed."""
    lines = []
    for room in ROOMS.values():
        heading = room
        for owner in ("yours", "failing", "borrowed"):
            here = [part for part in parts if part.room == room and part.owner == owner]
            for part in here if owner == "failing" else here[:1]:
                name = f"{function_of(part.question)}: {part.why}"
                names = ", ".join(function_of(part.question) for part in here)
                lines.append(f"{heading:<10} {owner:<9} {name if owner == 'failing' else names}")
                heading = ""
    return "\n".join(lines)


def next_command(parts: Sequence[Part], package: Path = Path("mine")) -> str:
    """The command that comes next: assemble what is new, draw with it, train with it."""
    if not any(part.yours for part in parts):
        return "jupyter lab  (solve an exercise first)"
    now = {part.question: part.yours for part in parts}
    try:
        assembled = json.loads((package / MANIFEST).read_text(encoding="utf-8"))["passed"]
    except (OSError, ValueError, KeyError):
        assembled = None
    if assembled != now:
        return f"minddpm assemble --out {package}"
    if all(now.values()):
        return f"python -m {package.name} train --minutes 15"
    return f"python -m {package.name} sample --out digits.png"


def after_progress(rows: Sequence[tuple[Path, Row]]) -> str:
    """What `progress` adds: the rooms, and the command that comes next."""
    parts = parts_from(rows)
    return f"\nYour package:\n{rooms(parts)}\n\nnext command: {next_command(parts)}"


def borrows(cells: Sequence[str], question: str) -> bool:
    """Whether an answer comes from the library, which a check refuses, rather than from her."""
    try:
        code = module_of(cells, {question: function_of(question)})
    except Missing:
        return False
    return re.search(r"^\s*(?:from|import) minddpm\b", code, re.MULTILINE) is not None


def assemble_package(parts: Sequence[Part], out: Path) -> list[Part]:
    """Write the package, leaving out what does not work in it.

    A function that passes its check can still fail where the package calls it: one that computes
    without gradients, say, cannot be trained with. Such functions are borrowed, and it is said why.

    Args:
        parts: what goes into it; those that are `yours` are taken from their notebooks.
        out: the package's folder, new, empty, or an assembled package that nobody has changed.
    Returns: the parts as they stand in the package.
    Raises: ValueError for a name that Python cannot import, FileExistsError for a folder that holds
        other files or changed ones.
    """
    check_place(out)
    passed = {part.question: part.yours for part in parts}
    parts = [with_code(part) for part in parts]
    with tempfile.TemporaryDirectory(prefix="assembled-") as folder:
        trial = Path(folder) / out.name
        while True:
            write_package(parts, trial, passed)
            wrong = {found.question: found for found in followed(trial, steps=12)}
            if not wrong:
                break
            parts = [
                replace(part, yours=False, why=str(wrong[part.question]))
                if part.question in wrong and part.yours
                else part
                for part in parts
            ]
        if out.exists():
            shutil.rmtree(out)
        shutil.copytree(trial, out, ignore=shutil.ignore_patterns("__pycache__"))
    return parts


def check_place(out: Path) -> None:
    """Raise unless a package can be written here without losing anything."""
    importable = out.name.isidentifier() and not keyword.iskeyword(out.name)
    if not importable or out.name in sys.stdlib_module_names or out.name == "minddpm":
        raise ValueError(f"--out must be a name that Python can import, such as mine, got {out}")
    if out.name in importlib.metadata.packages_distributions():
        raise ValueError(
            f"--out must be a name that no installed package has, such as mine, got {out}"
        )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise FileExistsError(f"{out} holds other files: name a new folder")
    before = json.loads((out / MANIFEST).read_text(encoding="utf-8"))["files"]
    changed = sorted(name for name, digest in digests(out).items() if before.get(name) != digest)
    if changed:
        raise FileExistsError(
            f"{out / changed[0]} was changed since it was assembled: move {out} away, or name"
            " another folder"
        )


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a package, by name, its manifest left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.name != MANIFEST and "__pycache__" not in path.parts
    }


def cells_of(notebook: Path) -> list[str]:
    """The code cells of a notebook."""
    return [source for source, _ in code_cells([notebook.read_bytes()])]


def with_code(part: Part) -> Part:
    """The part, borrowed if its code cannot stand outside its notebook."""
    if not part.yours or part.notebook is None:
        return part
    try:
        module_of(cells_of(part.notebook), {part.question: function_of(part.question)})
    except Missing as reason:
        return replace(part, yours=False, why=f"it cannot stand outside its notebook: {reason}")
    return part


def write_package(parts: Iterable[Part], out: Path, passed: Mapping[str, bool]) -> None:
    """Write the library's files into a folder, with the student's functions joined in.

    A room in which something is hers is a folder: `yours.py` holds her functions as she wrote them,
    `__init__.py` the rest of the room, which calls them.

    Args: passed, which answers passed their checks, for the manifest.
    Raises: LookupError for a function whose place in the library is not found.
    """
    parts = list(parts)
    own: dict[str, list[Part]] = {}
    for part in parts:
        if part.yours:
            own.setdefault(part.room, []).append(part)
    joined = {part.question for part in parts if part.yours}
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(LIBRARY, out, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    for path in [*LIBRARY.glob("*.py"), ANSWERS]:
        text = path.read_text(encoding="utf-8")
        text = joined_text(text, path.stem, joined)
        target = out / path.name
        if path.stem in own:
            target = out / path.stem / "__init__.py"
            target.parent.mkdir()
            write_yours(own[path.stem], target.with_name("yours.py"))
            text = with_yours(text, own[path.stem])
        text = with_helpers(text).replace('prog="minddpm"', f'prog="python -m {out.name}"')
        write(target, relative(text, "." if target.parent == out else ".."))
    write(out / "README.md", contents(parts, out.name))
    manifest = {"passed": dict(passed), "files": digests(out)}
    write(out / MANIFEST, json.dumps(manifest, indent=1))


def joined_text(text: str, module: str, questions: Container[str]) -> str:
    """A module of the library, in which the student's functions are called.

    Raises: LookupError for a join that finds no lines to stand in for.
    """
    taken = []
    for question, join in JOINS.items():  # a join comes before those of lines inside its own
        if question not in questions or join.module != module:
            continue
        if join.lines in text:
            text = text.replace(join.lines, join.yours)
            taken.append(join.lines)
        elif not any(join.lines in lines for lines in taken):
            raise LookupError(
                f"the join of {question} finds none of its lines in {module}.py: bring them in line"
                " with the library"
            )
    return text


def write(path: Path, text: str) -> None:
    """Write a text file with the line ends that Python's tools expect."""
    path.write_text(text, encoding="utf-8", newline="\n")


def write_yours(parts: Sequence[Part], path: Path) -> None:
    """Write the functions of one notebook into a module."""
    notebook = parts[0].notebook
    assert notebook is not None
    functions = {part.question: function_of(part.question) for part in parts}
    code = module_of(cells_of(notebook), functions)
    write(path, f'"""Yours, as you wrote it in {notebook.name}."""\n\n\n{code}')


def with_yours(text: str, parts: Sequence[Part]) -> str:
    """A room that imports the student's functions, and offers those that nothing in it calls."""
    lines = ["from . import yours"] if re.search(r"\byours\.", text) else []
    bound = {name for node in ast.parse(text).body for name in bound_by(node)}
    functions = [function_of(part.question) for part in parts]
    names = [name for name in functions if f"yours.{name}(" not in text and name not in bound]
    if names:
        lines.append(f"from .yours import {', '.join(names)}")
    return after_imports(text, lines)


def with_helpers(text: str) -> str:
    """A module that also imports what the joined lines call."""
    defined = {name for node in ast.parse(text).body for name in bound_by(node)}
    names = {name for name in needed(text) if not name.startswith("__")}
    helpers: dict[str, list[str]] = {}
    for name in sorted(names - defined - set(dir(builtins))):
        helpers.setdefault(home_of_helper(name), []).append(name)
    imports = [f"from {module} import {', '.join(names)}" for module, names in helpers.items()]
    return after_imports(text, imports)


def home_of_helper(name: str) -> str:
    """The module of the library, or of the helpers, that defines a name."""
    for module in (answers, checks, network, noising, schedule):
        if getattr(getattr(module, name, None), "__module__", "") == module.__name__:
            return module.__name__
    raise LookupError(f"a join calls {name}, which no module of the library defines")


def after_imports(text: str, lines: Sequence[str]) -> str:
    """A module with more imports below those that it has."""
    if not lines:
        return text
    imports = (ast.Import, ast.ImportFrom)
    last = [node for node in ast.parse(text).body if isinstance(node, imports)][-1].end_lineno
    before, after = text.splitlines()[:last], text.splitlines()[last:]
    return "\n".join([*before, *lines, *after]) + "\n"


def relative(text: str, dots: str) -> str:
    """A module whose imports of the library are relative, so that the package stands alone."""
    pattern = r"^(\s*from) (?:minddpm|minddpm_course)(?:\.(\w+))? import"
    return re.sub(
        pattern, lambda found: f"{found[1]} {dots}{found[2] or ''} import", text, flags=re.M
    )


def contents(parts: Sequence[Part], name: str) -> str:
    """What is in a package: a table of its functions, and how to use it."""
    rows = "\n".join(
        f"| {part.room} | {function_of(part.question)} | {in_table(part)} |" for part in parts
    )
    count = sum(part.yours for part in parts)
    return f"""# {name}: a DDPM with {count} of your own functions

| room | function | whose |
|---|---|---|
{rows}

A room in which something is yours is a folder: `yours.py` holds your functions as you wrote them,
`__init__.py` the rest of the room, which calls them. Everything else is borrowed from minddpm.

From the folder that holds `{name}/`:

    python -m {name} sample --out digits.png
    python -m {name} train --minutes 15 --out run/
"""


def in_table(part: Part) -> str:
    """Whose a function is, in a few words."""
    if part.yours:
        return f"yours, from {part.notebook.name if part.notebook else ''}"
    return f"borrowed: {part.why}"


def followed(package: Path, *, steps: int | None = None) -> list[Departure]:
    """Follow a package in a process of its own, as `compare.departures` does.

    Raises: FileNotFoundError where there is no package; RuntimeError where it breaks down, or takes
        too long.
    """
    check_package(package)
    command = [sys.executable, "-m", "minddpm_course.compare", str(package)]
    if steps is not None:
        command.append(str(steps))
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            timeout=LONGEST_TRIAL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{package.name} took over {LONGEST_TRIAL} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without a word"]
        raise RuntimeError(f"{package.name} breaks down: {lines[-1]}")
    return [Departure(**found) for found in json.loads(done.stdout.splitlines()[-1])]
