"""A course for hostile submissions: one exercise that they solve, and one that they attack."""

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
OTHER = Exercise(
    "trial.half",
    arguments=("a",),
    returns="half of it, shape (n,)",
    reference=lambda a: a / 2,
    cases=one_edge,
    mistakes=(),
    points=3,
)


def trial_course(course: Course) -> Course:
    """A course with these two exercises, which hides what another course hides."""
    return replace(
        course,
        bank={one.name: one for one in (ATTACKED, OTHER)},
        stretches={},
        draw_beside=None,
        variables={},
        after_progress=None,
        after_solving=None,
    )
