"""A course about quadratic equations: what its notebooks import, and what the engine is handed."""

from dataclasses import replace

from algebra import BANK, STRETCHES

from marking.course import Course
from marking.notebook import Tutor


def draw_beside(how, yours, target, caption, titles=("yours", "target")):
    """Two rows of numbers: all that this course needs for a picture."""
    numbers = f"{yours.value} beside {target.value}"
    return f"<p>{how}: {numbers}</p><p>{caption}</p><p>{titles}</p>"


# how a student solves it
HEAD = "import torch\nfrom quadratics import ask, beside, check, hint\nSTUDENT = 'Ada'"
SOLVED = {
    "discriminant": "def discriminant(a, b, c):\n    return b * b - 4 * a * c\n",
    "roots": (
        "def roots(a, b, c):\n"
        "    middle, half = -b / (2 * a), (b * b - 4 * a * c).sqrt() / (2 * a)\n"
        "    return middle - half, middle + half\n"
    ),
}

COURSE = Course(
    name="quadratics",
    package="quadratics",
    bank=BANK,
    stretches=STRETCHES,
    draw_beside=draw_beside,
    answers=("algebra",),
    answer_files=("algebra_answers",),
    variables={"which_way": "opening"},
    after_solving=lambda name: "factors calls it." if name == "solve.roots" else "",
    solved={},  # so that a test that grades does not try the machine first, for twice its time
)
REHEARSED = replace(COURSE, solved={"solve.roots": SOLVED["roots"]})
TUTOR = Tutor(lambda: COURSE, "pip install algebra[course]")
ask = TUTOR.ask
beside = TUTOR.beside
check = TUTOR.check
hint = TUTOR.hint


def solved(**replaced):
    """The cells of a notebook of the lesson "solve", some of them replaced; None leaves one out."""
    cells = [HEAD]
    for name, source in {**SOLVED, **replaced}.items():
        if source is not None:
            cells += [source, f"check('solve.{name}', {name})"]
    return cells
