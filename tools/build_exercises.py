"""Run the text twins of solutions/, store the notebooks, and build exercises/ from those.

python tools/build_exercises.py            # all
python tools/build_exercises.py 03         # those whose names begin with 03
python tools/build_exercises.py --only-exercises
"""

import sys

import nbformat
from run_notebooks import ROOT, build, execute

from minddpm_course.exercises import exercise_text, mark_cells

SOLUTIONS, EXERCISES = ROOT / "solutions", ROOT / "exercises"


def main(arguments: list[str]) -> None:
    starts = [argument for argument in arguments if not argument.startswith("--")]
    EXERCISES.mkdir(exist_ok=True)
    for twin in sorted((SOLUTIONS / "py").glob("*.py")):
        if starts and not any(twin.name.startswith(start) for start in starts):
            continue
        solution = SOLUTIONS / f"{twin.stem}.ipynb"
        if "--only-exercises" not in arguments:
            notebook = mark_cells(build(twin))
            seconds = execute(notebook, SOLUTIONS)
            nbformat.write(notebook, solution)
            print(f"{twin.stem}: {seconds:.0f} s", flush=True)
        (EXERCISES / solution.name).write_text(exercise_text(solution), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
