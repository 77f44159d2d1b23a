"""Lay out a course as nbgrader takes it: a folder for each assignment, a configuration, a gradebook
beside it.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATTERN = "[0-9][0-9]_*.ipynb"
SCHEMA = 3  # of nbgrader's marks in the metadata of cells
CONFIG = '''"""nbgrader's settings for this course. nbgrader runs this file from the folder that it stands in."""

from pathlib import Path

c = get_config()  # noqa: F821
course = Path(__file__).resolve().parent

c.CourseDirectory.root = str(course)
c.CourseDirectory.course_id = "minddpm"
# outside the course, so that a submission that rummages in the folders around it does not find the grades there
c.CourseDirectory.db_url = f"sqlite:///{{course.with_name(course.name + '-gradebook.db').as_posix()}}"

# the stub that stands in the exercises of the repository too
c.ClearSolutions.code_stub = {{"python": "pass  # your answer"}}

c.Execute.timeout = {timeout}  # seconds of one cell: a loop without end costs them for each cell that runs into it
c.Execute.interrupt_on_timeout = True  # the cells after it still count
c.Execute.startup_timeout = 120  # seconds until a kernel answers
# an error is told in one line: a traceback through a check would show its source, and the paths of this machine
c.Execute.extra_arguments = ["--InteractiveShell.xmode=Minimal", "--HistoryManager.hist_file=:memory:"]

# A check fails by raising, never by what it prints. nbgrader gives 0 for anything on stderr, such as a warning
# from inside an answer: take it for what it is, noise.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"(?s)."

c.LimitOutput.max_lines = 200  # of what one cell printed, in the feedback
c.LimitOutput.max_traceback = 40
'''


def lay_out_course(
    folder: str | Path, solutions: str | Path = "solutions", *, timeout: int = 60
) -> list[Path]:
    """Lay out a course for nbgrader: one assignment for each notebook of solutions.

    Args:
        folder: the course, which must not exist or be empty. Its gradebook will be beside it.
        solutions: folder with the solved notebooks, marked for nbgrader by
            tools/build_exercises.py.
        timeout: seconds that nbgrader gives one cell.

    Returns: the notebooks written, source/NN_name/NN_name.ipynb.
    Raises: FileNotFoundError for no solutions; FileExistsError for a folder that holds something,
        or is a file; ValueError for a notebook that is not marked for nbgrader.
    """
    folder, solutions = Path(folder), Path(solutions)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = "one that holds files" if folder.is_dir() else "a file"
        raise FileExistsError(f"wanted a new or empty folder for the course, got {folder}, {found}")
    notebooks = sorted(solutions.glob(PATTERN))
    if not notebooks:
        what = "holds none" if solutions.is_dir() else "is no folder"
        raise FileNotFoundError(
            f"wanted a folder with solved notebooks, NN_name.ipynb, got {solutions}, which {what}: "
            "run this in a checkout of the course, or name its solutions with --solutions"
        )
    for notebook in notebooks:  # all of them before anything is written
        check_marks(notebook)
    copies = [folder / "source" / notebook.stem / notebook.name for notebook in notebooks]
    for notebook, copy in zip(notebooks, copies):
        copy.parent.mkdir(parents=True)
        shutil.copyfile(notebook, copy)
    (folder / "nbgrader_config.py").write_text(CONFIG.format(timeout=timeout), encoding="utf-8")
    return copies


def check_marks(notebook: Path) -> None:
    """Refuse a notebook that nbgrader would not take, or could not give points for.

    Raises: ValueError.
    """
    marks = marks_of(notebook)
    if not any(mark.get("grade") for mark in marks):
        raise ValueError(
            f"wanted a solution marked by tools/build_exercises.py, got {notebook}, in which no"
            " cell has points"
        )
    versions = {mark.get("schema_version") for mark in marks}
    if versions != {SCHEMA}:
        got = ", ".join(sorted(map(str, versions)))
        raise ValueError(f"wanted marks of nbgrader's schema {SCHEMA} in {notebook}, got {got}")
    doubled = [
        name for name, count in Counter(mark.get("grade_id") for mark in marks).items() if count > 1
    ]
    if doubled:
        raise ValueError(
            f"wanted each grade_id once in {notebook}, got several of"
            f" {', '.join(map(str, doubled))}"
        )


def marks_of(notebook: Path) -> Sequence[dict[str, Any]]:
    """What nbgrader's metadata say of the cells that have them.

    Raises: ValueError for a file that is no notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"wanted a notebook, got {notebook}: {type(error).__name__}: {error}"
        ) from None
