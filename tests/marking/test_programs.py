"""Wrong answers that are the right program with one thing changed are told by the change."""

import pytest

from marking.diagnosis import diagnose
from marking.exercise import Case, Exercise, Inputs
from marking.outcome import Made, outcome_of
from marking.programs import function_with, variants

PROGRAM = """\
x = start
for _ in range(count):
    slope = f(x)
    x = x - slope
return x
"""
ARGUMENTS = ("f", "start", "count")


def cases(draw: Inputs):
    for count in (1, 3, 4):
        f = Made("f", "a function", "def f(x):\n    return (x * x - 2) / 8\n")
        yield Case(f"{count} steps", (f, draw.uniform(1, 2, 3), count))


NEWTON = Exercise(
    "roots.newton",
    ARGUMENTS,
    "the place after some steps",
    function_with(PROGRAM, ARGUMENTS),
    cases,
    mistakes=(),
    program=PROGRAM,
)


def told(answer, exercise=NEWTON):
    drawn = list(exercise.cases(Inputs(0)))
    *outcomes, again = [outcome_of(answer, case.args) for case in [*drawn, drawn[0]]]
    found = diagnose(exercise, drawn, outcomes, again)
    return found and found.mistake


def once(f, start, count):
    return start - f(start)


def from_the_start(f, start, count):
    x = start
    for _ in range(count):
        x = x - f(start)
    return x


def one_too_many(f, start, count):
    x = start
    for _ in range(count + 1):
        x = x - f(x)
    return x


def uphill(f, start, count):
    x = start
    for _ in range(count):
        x = x + f(x)
    return x


def slopes_alone(f, start, count):
    x = start
    for _ in range(count):
        x = f(x)
    return x


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (once, "you end the loop for _ in range(count): after its first round"),
        (from_the_start, "you have f(start) where f(x) is expected"),
        (one_too_many, "you have range(count + 1) where range(count) is expected"),
        (uphill, "you have x + slope where x - slope is expected"),
        (slopes_alone, "you have slope where x - slope is expected"),
        (lambda f, start, count: start, "you leave out all loops"),
        (lambda f, start, count: f(start) + 5, None),
    ],
)
def test_the_change_is_told(answer, words):
    assert told(answer) == words


def test_variants_differ_from_the_right_program_and_from_each_other():
    found = variants(PROGRAM, ARGUMENTS)
    assert len(found) > 50
    assert variants(PROGRAM, ARGUMENTS) is found
    assert len({one.said for one in found}) > 50


def test_what_a_call_leaves_as_it_was_is_said():
    def with_memory(draw):
        box = Made("box", "a box", "box = [1.0, 2.0]\n", look="torch.tensor(box)")
        yield Case("a box", (box, draw.uniform(1, 2, 1)))

    def fill(box, x):
        box[0] = float(x)
        return x

    exercise = Exercise("boxes.fill", ("box", "x"), "x", fill, with_memory, ())
    assert told(lambda box, x: 3 * x**5 + 1, exercise) == (
        "nothing is changed that the call should change: all stays as it was"
    )
