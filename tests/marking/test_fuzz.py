"""Whatever an answer returns or is, the verdict is words: in the engine, in a notebook, and from a
sandbox, where the other answers keep their points.
"""

import dataclasses
import os
import socket
import time

import numpy as np
import pytest
import torch
from algebra import BANK
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_objects import NO_FUNCTIONS, RESULTS, SETUP
from quadratics import HEAD, SOLVED

from marking import notebook
from marking.course import Course
from marking.engine import Verdict, judge
from marking.exercise import Exercise
from marking.grader import grade
from marking.hostile import as_notebook
from marking.notebook import CheckFailed, NoFunction, Tutor, call_here
from marking.outcome import outcome_of
from marking.sandbox.parent import Limits
from marking.sandbox.wire import receive, send

EXERCISES = [question for question in BANK.values() if isinstance(question, Exercise)]
HAND_NUMBER = BANK["solve.by_hand"]
CHOICE = BANK["graph.which_way"]
# what a warning says while an odd object is looked at is no matter here
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def scope():
    names = {"__name__": "odd"}
    exec(SETUP, names)
    return names


def in_words(verdict):
    assert isinstance(verdict, Verdict)
    assert not verdict.passed
    assert verdict.message.strip()
    assert verdict.summary.strip()
    return True


@pytest.fixture(autouse=True)
def impatient(monkeypatch, untraced):
    monkeypatch.setattr(notebook, "SECONDS", 0.3)


@pytest.mark.parametrize("expression", RESULTS)
def test_whatever_is_returned_is_judged_in_words(expression, scope):
    function = eval(f"lambda *args: {expression}", scope)
    for exercise in EXERCISES:
        assert in_words(judge(exercise, lambda args: call_here(function, args), 0))


@pytest.mark.parametrize("expression", NO_FUNCTIONS)
def test_whatever_is_handed_in_is_judged_in_words(expression, scope):
    tutor = Tutor(lambda: QUADRATICS, "")
    for exercise in EXERCISES:
        with pytest.raises((CheckFailed, NoFunction)) as caught:
            tutor.check(exercise.name, eval(expression, scope))
        assert str(caught.value).startswith(exercise.name)


@pytest.mark.parametrize("expression", RESULTS)
def test_whatever_a_number_or_a_letter_is_is_judged_in_words(expression, scope):
    try:
        answer = eval(expression, scope)
    except BaseException:  # it is one that raises when it is called
        return
    assert in_words(judge(HAND_NUMBER, answer, 0, "Ada"))
    assert in_words(judge(CHOICE, answer, 0))


def copies(question, count):
    """So many questions that differ in their names alone."""
    for number in range(count):
        yield dataclasses.replace(question, name=f"{question.name}_{number}")


def course_of(questions):
    return Course("quadratics", "quadratics", {one.name: one for one in questions}, {}, str)


QUADRATICS = course_of(BANK.values())


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
@pytest.mark.parametrize(
    "name", ["discriminant", pytest.param("roots", marks=pytest.mark.thorough), "by_hand"]
)
def test_whatever_is_returned_in_a_sandbox_costs_that_answer_alone(name, tmp_path):
    odd = [*RESULTS, *NO_FUNCTIONS]
    questions = list(copies(BANK[f"solve.{name}"], len(odd)))
    right = list(copies(BANK["solve.discriminant"], 2 * len(odd)))[len(odd) :]
    cells = [HEAD, SETUP, SOLVED["discriminant"]]
    for place, (question, expression) in enumerate(zip(questions, odd)):
        answer = (
            expression
            if name == "by_hand" or place >= len(RESULTS)
            else f"lambda *args: {expression}"
        )
        cells.append(f"check('{question.name}', {answer}, student='Ada')")
        cells.append(f"check('{right[place].name}', discriminant)")
    course = course_of(part for pair in zip(questions, right) for part in pair)
    (tmp_path / "ada.ipynb").write_text(as_notebook(cells), encoding="utf-8")
    limits = Limits(timeout=120, cell=2)
    (graded,) = grade(
        course, [tmp_path / "ada.ipynb"], tmp_path / "out", limits=limits, progress=False
    )
    assert not graded.broken, graded.remarks
    earned = {row.exercise: row for row in graded.rows}
    assert len(earned) == 2 * len(odd)
    lost = [row for row in earned.values() if "its process" in row.remark]
    assert lost == []
    for question, expression, other in zip(questions, odd, right):
        row = earned[question.name]
        assert row.points == 0, expression
        assert row.summary.strip(), expression
        assert earned[other.name].points == 2, (expression, earned[other.name])


NUMBERS = st.one_of(
    st.floats(width=32),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.fractions(),
    st.decimals(),
    st.complex_numbers(),
)
DTYPES = [
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
]
SHAPES = st.lists(st.integers(0, 4), max_size=5)
TENSORS = st.builds(
    lambda shape, dtype, grad: torch.ones(shape, dtype=dtype).requires_grad_(
        grad and dtype.is_floating_point
    ),
    SHAPES,
    st.sampled_from(DTYPES),
    st.booleans(),
)
ARRAYS = st.builds(
    np.ones, SHAPES, st.sampled_from(["f2", "f4", "f8", "i4", "u8", "?", "c8", "O", "U3", "M8[s]"])
)
CONTAINERS = st.sampled_from([list, tuple, iter, set, reversed, lambda x: (entry for entry in x)])


def contained(children):
    def filled(kind, entries):
        try:
            return kind(entries)
        except TypeError:  # a set of lists
            return entries

    return st.builds(filled, CONTAINERS, st.lists(children, max_size=4))


ANYTHING = st.recursive(NUMBERS | TENSORS | ARRAYS, contained, max_leaves=12)


@settings(max_examples=600, deadline=None)
@given(result=ANYTHING)
def test_any_nesting_is_judged_in_words_and_fits_through_the_wire(result):
    outcome = outcome_of(lambda: result, [])
    for exercise in EXERCISES:
        assert in_words(judge(exercise, lambda args: outcome, 0))
    if outcome.value is None:
        assert outcome.error
        return
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs, {"several": outcome.several}, outcome.value[:50])
        _, arrays = receive(ours, time.monotonic() + 10)
    for sent, got in zip(outcome.value, arrays):
        np.testing.assert_array_equal(sent, got)
