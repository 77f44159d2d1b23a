"""A bank of questions about quadratic equations, a x^2 + b x + c = 0, to try the engine on."""

import math

import torch

from marking.exercise import (
    BugHunt,
    Case,
    Choice,
    Exercise,
    Formula,
    HandNumber,
    Inputs,
    Mistake,
    Picture,
    Stretch,
    Variant,
)


def equations(draw: Inputs, n: int):
    """The coefficients of n equations that have two roots, each (n,)."""
    a = draw.uniform(0.5, 2.0, n)
    b = draw.uniform(-3.0, 3.0, n)
    return a, b, -draw.uniform(0.5, 2.0, n)


def equation_cases(draw: Inputs):
    yield Case("a few equations", equations(draw, draw.integer(3, 6)))
    yield Case("one equation", equations(draw, 1))
    yield Case("float64", tuple(values.double() for values in equations(draw, 4)))


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


ONE = (row(2.0), row(3.0), row(-2.0))  # its roots are -2 and 1/2
AT_ONE = "for 2 x^2 + 3 x - 2 it is {right}; yours is {wrong}."
AT_BOTH = "for 2 x^2 + 3 x - 2 they are {right}; yours are {wrong}."


def both_roots(a, b, c):
    root = (b**2 - 4 * a * c).sqrt()
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


discriminant = Exercise(
    "solve.discriminant",
    arguments=("a", "b", "c"),
    returns="the discriminant, shape (n,)",
    reference=lambda a, b, c: b**2 - 4 * a * c,
    cases=equation_cases,
    formula=Formula(("b ** 2 - 4 * a * c",)),
    mistakes=(
        Mistake(
            "plus for minus",
            lambda a, b, c: b**2 + 4 * a * c,
            f"You add 4 a c. Subtract it: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "the 4 is missing",
            lambda a, b, c: b**2 - a * c,
            f"The factor 4 is missing: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "the root of it",
            lambda a, b, c: (b**2 - 4 * a * c).sqrt(),
            f"You take the root. The discriminant is the number under it: {AT_ONE}",
            ONE,
        ),
    ),
)

roots = Exercise(
    "solve.roots",
    arguments=("a", "b", "c"),
    returns="the smaller and the larger root, each (n,)",
    reference=both_roots,
    cases=equation_cases,
    formula=Formula(
        ("(-b - root) / (2 * a)", "(-b + root) / (2 * a)"), {"root": "sqrt(b ** 2 - 4 * a * c)"}
    ),
    points=3,
    hints=(
        "A parabola is symmetric: its two roots lie equally far from the middle.",
        "The middle is at -b over 2 a, and the distance is made of the discriminant.",
        "Take the square root of the discriminant. Subtract it from -b for the first result, add it"
        " for the second, and divide both by 2 a.",
    ),
    after="Completing the square leaves one square, which has two roots.",
    mistakes=(
        Mistake(
            "the larger root first",
            lambda a, b, c: both_roots(a, b, c)[::-1],
            f"You return the larger root first: {AT_BOTH}",
            ONE,
        ),
        Mistake(
            "divided by a",
            lambda a, b, c: tuple(2 * root for root in both_roots(a, b, c)),
            f"You divide by a. Divide by 2 a: {AT_BOTH}",
            ONE,
        ),
        Mistake(
            "the sign of b",
            lambda a, b, c: both_roots(a, -b, c),
            f"You begin with b. Begin with -b: {AT_BOTH}",
            ONE,
        ),
    ),
)

by_hand = HandNumber(
    "solve.by_hand",
    values=lambda draw: {"b": draw.integer(5, 9), "c": draw.integer(2, 4)},
    question="What is the larger root of x^2 - {b} x + {c} = 0? (Three decimals.)",
    answer=lambda b, c: (b + math.sqrt(b * b - 4 * c)) / 2,
    mistakes=(
        ("the smaller root", lambda b, c: (b - math.sqrt(b * b - 4 * c)) / 2, "It has a larger."),
        ("the half is missing", lambda b, c: b + math.sqrt(b * b - 4 * c), "Divide by 2."),
        ("the sign of b", lambda b, c: (-b + math.sqrt(b * b - 4 * c)) / 2, "-b is positive."),
    ),
)


def point_cases(draw: Inputs):
    for description, n in (("a few points", 5), ("one point", 1)):
        yield Case(
            description,
            (draw.uniform(-2.0, 2.0, n), draw.decimal(0.5, 2.0), draw.integer(-3, 3), 0.5),
        )


parabola = Exercise(
    "graph.parabola",
    arguments=("x", "a", "b", "c"),
    returns="the heights at x, shape (n,)",
    reference=lambda x, a, b, c: a * x**2 + b * x + c,
    cases=point_cases,
    formula=Formula(("a * x ** 2 + b * x + c",)),
    picture=Picture((torch.linspace(-2, 2, 9), 1.0, 0.0, 0.5), "a curve"),
    mistakes=(
        Mistake(
            "c is left out",
            lambda x, a, b, c: a * x**2 + b * x,
            "You leave c out: at x = 1 of x^2 + 2 x + 3 the height is {right}; yours is {wrong}.",
            (row(1.0), 1.0, 2.0, 3.0),
        ),
    ),
)

which_way = Choice(
    "graph.which_way",
    question="Which way does -x^2 + 3 open?",
    options={"A": "up", "B": "down"},
    right="B",
    replies={"A": "Its height at x = 10 is -97.", "B": "The factor of x^2 is negative."},
)

catch_the_bug = BugHunt(
    "graph.catch_the_bug",
    parabola,
    right=(
        Variant(
            "goes through the points",
            lambda x, a, b, c: torch.stack([(a * u + b) * u + c for u in x]),
        ),
        Variant("works in float64", lambda x, a, b, c: (a * x.double() + b) * x.double() + c),
    ),
    wrong=(
        Variant("a is left out", lambda x, a, b, c: x**2 + b * x + c, (row(1.0), 2.0, 2, 3.0)),
        Variant(
            "a square too much",
            lambda x, a, b, c: (a * x) ** 2 + b * x + c,
            (row(1.0), 2.0, 2, 3.0),
        ),
        Variant(
            "b counts twice", lambda x, a, b, c: a * x**2 + 2 * b * x + c, (row(1.0), 2.0, 2, 3.0)
        ),
        Variant(
            "x is changed in place",
            lambda x, a, b, c: x.mul_(a * x + b).add_(c),
            (row(1.0), 2.0, 2, 3.0),
        ),
    ),
)

vertex = Stretch(
    "graph.stretch",
    ("a", "b", "c"),
    "the height of the vertex, shape (n,)",
    lambda a, b, c: c - b**2 / (4 * a),
    Picture((row(1.0, 2.0), row(2.0, 2.0), row(0.0, 1.0)), "two dots"),
)

BANK = {one.name: one for one in (discriminant, roots, by_hand, parabola, which_way, catch_the_bug)}
STRETCHES = {vertex.name: vertex}
