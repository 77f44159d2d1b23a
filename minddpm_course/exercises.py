"""Make the notebook that a student gets from the solved one, with nbgrader's own preprocessors."""

import re
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from traitlets.config import Config

from marking.nbgrader_course import SCHEMA, STUB
from minddpm_course.bank import BANK

STEPS = (
    LockCells,
    ClearSolutions,
    ClearHiddenTests,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
)
SETTINGS = Config(ClearSolutions={"code_stub": {"python": STUB}})


def mark_cells(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Mark for nbgrader which cells of a solution are answers, and which are checks of how many
    points.
    """
    for cell in notebook.cells:
        mark: dict[str, Any] = {
            "schema_version": SCHEMA,
            "grade": False,
            "solution": False,
            "locked": False,
            "task": False,
        }
        checked = re.match(r'check\("([\w.]+)"', cell.source)
        if "### BEGIN SOLUTION" in cell.source:
            # the function or variable to write
            (name,) = re.findall(r"^(?:def )?(\w+)(?:\(| = )", cell.source, re.MULTILINE)[:1]
            mark |= {"grade_id": f"answer-{name}", "solution": True}
        elif checked:
            name = checked[1]
            mark |= {
                "grade_id": f"check-{name.replace('.', '-')}",
                "grade": True,
                "locked": True,
                "points": BANK[name].points,
            }
        else:
            continue
        cell.metadata["nbgrader"] = mark
    return notebook


def student_version(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook that a student gets: without answers, outputs and hidden tests."""
    resources: dict[str, Any] = {}
    for step in STEPS:
        notebook, resources = step(config=SETTINGS).preprocess(notebook, resources)
    return notebook


def exercise_text(solution: Path) -> str:
    """The text of the exercise that belongs to a marked solution."""
    text: str = nbformat.writes(student_version(nbformat.read(solution, as_version=4)))
    return text + "\n"
