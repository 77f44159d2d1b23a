"""Measure how many mutants of the maths the lessons notice, without any unit test.

    python tools/measure_mutants_in_lessons.py [--sample N] [--seed N] [--publish]

Each mutant is planted in a copy of the library. The lesson that builds the module runs against the
copy, cell by cell, until one raises or prints something other than its stored output. Results are
added to runs/mutants_in_lessons.jsonl. Mutants that no test can notice are left out.
"""

import argparse
import json
import math
import random
import shutil
import tempfile
from pathlib import Path

from measure_mutants import PAGE, ROOT, read_mutants, read_reasons
from mutation import Mutant

from benchmarks._report import put_between_marks
from lab.first_wrong_cell import first_wrong_cell

RESULTS = ROOT / "runs" / "mutants_in_lessons.jsonl"
SECONDS = 900  # for a lesson


def planted(mutant: Mutant, folder: Path) -> None:
    """Write a copy of the library with a mutant into a folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minddpm", folder / "minddpm", ignore=ignored)
    path = folder / "minddpm" / f"{mutant.module}.py"
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[mutant.first - 1 : mutant.last] = mutant.wrong.split("\n")
    path.write_text("\n".join(lines), encoding="utf-8")


def noticed_at(mutant: Mutant) -> int | None:
    """The number of the first cell of the module's lesson that notices a mutant: of the cells that
    take little time, or of all where none of these does.
    """
    (lesson,) = (ROOT / "notebooks").glob(f"[01][0-9]_{mutant.module}.ipynb")
    with tempfile.TemporaryDirectory() as folder:
        planted(mutant, Path(folder))
        for seconds in (1.5, math.inf):
            try:
                found = first_wrong_cell(lesson, Path(folder), seconds=seconds, patience=SECONDS)
            except (TimeoutError, EOFError):  # it does not end, or cannot even be imported
                return 0
            if found.cell is not None:
                return found.cell
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description="How many mutants do the lessons notice?")
    parser.add_argument("--sample", type=int, default=60, help="how many to draw")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--publish", action="store_true", help="write the share into the page")
    args = parser.parse_args()
    every = read_mutants()
    reasons = read_reasons(every)
    wanted = [mutant for mutant in every if mutant.key not in reasons]
    drawn = random.Random(args.seed).sample(wanted, args.sample)
    RESULTS.parent.mkdir(exist_ok=True)
    known = {}
    if RESULTS.exists():
        rows = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
        known = {tuple(row["mutant"]): row["cell"] for row in rows}
    noticed = 0
    for mutant in drawn:
        if mutant.key in known:
            cell = known[mutant.key]
        else:
            cell = noticed_at(mutant)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"mutant": mutant.key, "cell": cell}) + "\n")
        noticed += cell is not None
        print(f"cell {cell}: {mutant.key.where}: {mutant.key.wrong}", flush=True)
    text = f"{noticed} of {len(drawn)} mutants that were drawn, {noticed / len(drawn):.0%}"
    print(text)
    if args.publish:
        put_between_marks(PAGE, "lessons", f"The lessons noticed {text}.")


if __name__ == "__main__":
    main()
