"""Make solutions/ from its text twins, run, and exercises/ from that: with nbgrader's own
preprocessors, never by hand.

python tools/build_exercises.py            # all
python tools/build_exercises.py 03         # those whose names begin so
python tools/build_exercises.py --only-exercises
"""

import re
import sys
from pathlib import Path

import nbformat
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from run_notebooks import ROOT, build, execute
from traitlets.config import Config

from minddpm_course.bank import BANK

SOLUTIONS, EXERCISES = ROOT / "solutions", ROOT / "exercises"
STUB = "pass  # your answer"
STEPS = (
    LockCells,
    ClearSolutions,
    ClearHiddenTests,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
)
CONFIG = Config(ClearSolutions={"code_stub": {"python": STUB}})


def with_metadata(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Say to nbgrader which cells are answers, and which are checks and of how many points."""
    for cell in notebook.cells:
        mark = {
            "schema_version": 3,
            "grade": False,
            "solution": False,
            "locked": False,
            "task": False,
        }
        checked = re.match(r'check\("(\d\d\.\w+)"', cell.source)
        if "### BEGIN SOLUTION" in cell.source:
            named = re.search(
                r"^(?:def )?(\w+)(?:\(| = )", cell.source, re.M
            )  # the function or variable asked for
            mark |= {"grade_id": f"answer-{named[1]}", "solution": True}
        elif checked:
            name, points = checked[1], BANK[checked[1]].points
            mark |= {
                "grade_id": f"check-{name.replace('.', '-')}",
                "grade": True,
                "locked": True,
                "points": points,
            }
        else:
            continue
        cell.metadata["nbgrader"] = mark
    return notebook


def student_version(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook that a student gets."""
    resources: dict = {}
    for step in STEPS:
        notebook, resources = step(config=CONFIG).preprocess(notebook, resources)
    return notebook


def make_exercise(solution: Path) -> str:
    """The text of the exercise that belongs to a solution."""
    return nbformat.writes(student_version(nbformat.read(solution, as_version=4))) + "\n"


def main(arguments: list[str]) -> None:
    starts = [argument for argument in arguments if not argument.startswith("--")]
    EXERCISES.mkdir(exist_ok=True)
    for twin in sorted((SOLUTIONS / "py").glob("*.py")):
        if starts and not any(twin.name.startswith(start) for start in starts):
            continue
        solution = SOLUTIONS / f"{twin.stem}.ipynb"
        if "--only-exercises" not in arguments:
            notebook = with_metadata(build(twin))
            seconds = execute(notebook, SOLUTIONS)
            nbformat.write(notebook, solution)
            print(f"{twin.stem}: {seconds:.0f} s", flush=True)
        (EXERCISES / solution.name).write_text(make_exercise(solution), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
