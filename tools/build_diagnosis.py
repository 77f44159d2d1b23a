"""Make the pictures and numbers of docs/diagnosis.md.

    python tools/build_diagnosis.py seeds long draw

seeds trains five times as lesson 07 does. long trains as `python -m minddpm train --recipe paper`
does, for the first minutes of the published run. draw makes the pictures, and fills the numbers
into the page.

Everything is kept under runs/diagnosis: an interrupted run continues, and what is deleted there is
made again. The words of the page are written in the page itself.
"""

import argparse

from diagnosis.curves import draw_lesson_curves, draw_long_curve
from diagnosis.minutes import MINUTES, draw_minutes
from diagnosis.page import fill_in
from diagnosis.symptoms import draw_symptoms
from diagnosis.trainings import run_long, run_seeds


def draw() -> None:
    """Draw all pictures, and put their numbers into the page."""
    draw_symptoms()
    fill_in(draw_lesson_curves() | draw_long_curve() | draw_minutes())


def main() -> None:
    """Run the chosen parts in the order in which they are given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=("seeds", "long", "draw"))
    parser.add_argument(
        "--minutes", nargs="+", type=int, default=MINUTES, help="at which long keeps its weights"
    )
    options = parser.parse_args()
    parts = {"seeds": run_seeds, "long": lambda: run_long(options.minutes), "draw": draw}
    for name in options.parts:
        parts[name]()


if __name__ == "__main__":
    main()
