"""Run the text twins of solutions/, store the notebooks, and build exercises/ from those.

python tools/build_exercises.py            # all
python tools/build_exercises.py 03         # those whose names begin with 03
python tools/build_exercises.py --only-exercises
"""

import argparse

import nbformat
from run_notebooks import ROOT, build, execute

from minddpm_course.exercises import exercise_text, mark_cells

SOLUTIONS, EXERCISES = ROOT / "solutions", ROOT / "exercises"


def main() -> None:
    """Build the notebooks that are named."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", help="how the names of twins begin; all if none")
    parser.add_argument("--only-exercises", action="store_true", help="from stored solutions")
    options = parser.parse_args()
    names = tuple(options.names) or ("",)
    EXERCISES.mkdir(exist_ok=True)
    for twin in sorted((SOLUTIONS / "py").glob("*.py")):
        if not twin.name.startswith(names):
            continue
        solution = SOLUTIONS / f"{twin.stem}.ipynb"
        if not options.only_exercises:
            notebook = mark_cells(build(twin))
            seconds = execute(notebook, SOLUTIONS)
            nbformat.write(notebook, solution)
            print(f"{twin.stem}: {seconds:.0f} s", flush=True)
        (EXERCISES / solution.name).write_text(exercise_text(solution), encoding="utf-8")


if __name__ == "__main__":
    main()
