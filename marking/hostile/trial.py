"""A course for hostile submissions: exercises that they attack, and one that they solve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from marking.course import Course
from marking.exercise import Case, Exercise, Inputs

AREA = "def area(a, b):\n    return a * b + a * a\n"
HALF = "def half(a):\n    return a / 2\n"


def two_edges(draw: Inputs) -> Iterator[Case]:
    """Some rectangles, and one."""
    for description, n in (("a few", draw.integer(3, 6)), ("one", 1), ("many", 40)):
        yield Case(description, (draw.uniform(-2.0, 2.0, n), draw.uniform(1.0, 3.0, n)))


def one_edge(draw: Inputs) -> Iterator[Case]:
    """Some numbers, and one."""
    for description, n in (("a few", 5), ("one", 1)):
        yield Case(description, (draw.uniform(1.0, 3.0, n),))


ATTACKED = Exercise(
    "trial.area",
    arguments=("a", "b"),
    returns="the area of a rectangle and a square, shape (n,)",
    reference=lambda a, b: a * b + a * a,
    cases=two_edges,
    mistakes=(),
)
IN_ONE_PROCESS = 12  # submissions that one process makes one after the other
# the exercises that each of them attacks
MANY = [replace(ATTACKED, name=f"many.area_{number}") for number in range(IN_ONE_PROCESS)]
OTHER = Exercise(
    "trial.half",
    arguments=("a",),
    returns="half of it, shape (n,)",
    reference=lambda a: a / 2,
    cases=one_edge,
    mistakes=(),
    points=3,
)
OTHER_OF_MANY = replace(OTHER, name="many.half")


def trial_course(course: Course) -> Course:
    """A course with these exercises, which hides what another course hides."""
    return replace(
        course,
        bank={one.name: one for one in (ATTACKED, OTHER, *MANY, OTHER_OF_MANY)},
        stretches={},
        solved={},
        draw_beside=None,
        variables={},
        after_progress=None,
        after_solving=None,
    )
