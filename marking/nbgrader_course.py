"""Lay out a course as nbgrader expects it: a folder for each assignment, a configuration, and a
gradebook next to it.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marking.course import Course

SCHEMA = 3  # of nbgrader's marks in the metadata of cells
STUB = "pass  # your answer"  # replaces a solution in the notebook that a student gets
CONFIG = '''"""nbgrader's settings for this course; nbgrader runs this file from its own folder."""

from pathlib import Path

c = get_config()  # noqa: F821
course = Path(__file__).resolve().parent

c.CourseDirectory.root = str(course)
c.CourseDirectory.course_id = {name!r}
# outside the course, so that a submission that looks around in nearby folders finds no grades
gradebook = course.with_name(course.name + "-gradebook.db")
c.CourseDirectory.db_url = f"sqlite:///{{gradebook.as_posix()}}"

# the stub of the course's own exercises
c.ClearSolutions.code_stub = {{"python": {stub!r}}}

# seconds of one cell: an endless loop costs them for each cell that runs into it
c.Execute.timeout = {timeout}
c.Execute.interrupt_on_timeout = True  # the cells after it still count
c.Execute.startup_timeout = 120  # seconds until a kernel answers
# errors in one line: a traceback through a check would show its source, and this machine's paths
c.Execute.extra_arguments = [
    "--InteractiveShell.xmode=Minimal",
    "--HistoryManager.hist_file=:memory:",
]

# A check fails by raising, never by printing. nbgrader gives 0 for anything on stderr, such as a
# warning from inside an answer: ignore it.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"(?s)."

c.LimitOutput.max_lines = 200  # of one cell's output, in the feedback
c.LimitOutput.max_traceback = 40
'''


def lay_out_course(
    course: Course, folder: str | Path, solutions: str | Path, *, timeout: int = 60
) -> list[Path]:
    """Lay out a course for nbgrader: one assignment for each notebook of solutions.

    Args:
        course: the course.
        folder: where to; it must not exist or be empty. The gradebook will be next to it.
        solutions: folder with the solved notebooks LESSON_*.ipynb, marked for nbgrader.
        timeout: seconds that nbgrader gives one cell.

    Returns: the notebooks written, source/NAME/NAME.ipynb.
    Raises: FileNotFoundError if there are no solutions; FileExistsError for a folder that is not
        empty, or is a file; ValueError for a notebook that is not marked for nbgrader.
    """
    folder = Path(folder)
    solutions = Path(solutions)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        kind = "which is not empty" if folder.is_dir() else "which is a file"
        raise FileExistsError(
            f"expected a new or empty folder for the course, got {folder}, {kind}"
        )
    notebooks = course.notebooks_in(solutions)
    if not notebooks:
        kind = "which has none" if solutions.is_dir() else "which is not a folder"
        raise FileNotFoundError(
            f"expected a folder with solved notebooks, got {solutions}, {kind}: run this in a"
            " checkout of the course, or name the folder with --solutions"
        )
    for notebook in notebooks:  # all of them before anything is written
        check_marks(notebook)
    copies = [folder / "source" / notebook.stem / notebook.name for notebook in notebooks]
    for notebook, copy in zip(notebooks, copies):
        copy.parent.mkdir(parents=True)
        shutil.copyfile(notebook, copy)
    config = CONFIG.format(name=course.name, stub=STUB, timeout=timeout)
    (folder / "nbgrader_config.py").write_text(config, encoding="utf-8")
    return copies


def check_marks(notebook: Path) -> None:
    """Refuse a notebook that nbgrader would not accept, or could not give points for.

    Raises: ValueError.
    """
    marks = marks_of(notebook)
    if not any(mark.get("grade") for mark in marks):
        raise ValueError(
            f"expected a solution marked for nbgrader, got {notebook}, where no cell has points"
        )
    versions = {mark.get("schema_version") for mark in marks}
    if versions != {SCHEMA}:
        got = ", ".join(sorted(map(str, versions)))
        raise ValueError(f"expected marks of nbgrader's schema {SCHEMA} in {notebook}, got {got}")
    counts = Counter(mark.get("grade_id") for mark in marks)
    doubled = [str(name) for name, count in counts.items() if count > 1]
    if doubled:
        raise ValueError(
            f"expected each grade_id once in {notebook}, got several of {', '.join(doubled)}"
        )


def marks_of(notebook: Path) -> Sequence[dict[str, Any]]:
    """nbgrader's metadata of the cells that have them.

    Raises: ValueError for a file that is no notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected a notebook, got {notebook}: {type(error).__name__}: {error}"
        ) from None
