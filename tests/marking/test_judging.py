"""Judging on a bank about quadratic equations: right answers pass, known mistakes are named, others
are not, and each message says what is wrong.
"""

import pytest
import torch
from algebra import BANK, roots

from marking import engine
from marking.diagnosis import explain
from marking.engine import judge
from marking.exercise import Choice, Exercise, HandNumber
from marking.outcome import outcome_of

EXERCISES = [question for question in BANK.values() if isinstance(question, Exercise)]
HAND_NUMBER = BANK["solve.by_hand"]
CHOICE = BANK["graph.which_way"]
SEEDS = range(3)


def verdict_on(exercise, function, seed=0):
    return judge(exercise, lambda args: outcome_of(function, args), seed)


def test_the_bank_has_every_kind_of_question():
    assert {type(question) for question in BANK.values()} == {Exercise, HandNumber, Choice}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_pass_and_known_mistakes_are_named(exercise):
    for seed in SEEDS:
        verdict = verdict_on(exercise, exercise.reference, seed)
        assert verdict.passed
        assert verdict.summary == "right"
        for mistake in exercise.mistakes:
            verdict = verdict_on(exercise, mistake.wrong, seed)
            assert not verdict.passed
            assert verdict.mistake == mistake.name
            assert verdict.explanation == explain(exercise, mistake)
            assert verdict.explanation in verdict.message
            assert "{" not in verdict.explanation


def test_an_explanation_shows_both_results():
    assert explain(roots, roots.mistakes[0]).endswith(
        "they are [-2] and [0.5]; yours are [0.5] and [-2]."
    )


def test_a_known_mistake_is_shown_with_its_numbers():
    verdict = verdict_on(roots, roots.mistakes[1].wrong)
    for line in ("input     a = [", "expected  [", "got       ["):
        assert line in verdict.message
    for word in ("input", "expected", "got  "):
        assert word not in verdict.summary + verdict.explanation


def test_another_wrong_answer_has_no_name():
    verdict = verdict_on(BANK["solve.discriminant"], lambda a, b, c: b / 7)
    assert verdict.mistake is None
    assert "the result is wrong, off by up to" in verdict.message


@pytest.mark.parametrize("nothing", [None, ...])
def test_a_stub_is_not_written_yet(nothing):
    def unwritten(*args):
        raise NotImplementedError

    for stub in (unwritten, lambda *args: nothing):
        verdict = verdict_on(roots, stub)
        assert verdict.message == (
            "solve.roots: not written yet. It should return the smaller and the larger root, each"
            " (n,)."
        )
        assert not verdict.passed


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda a, b, c: (b**2 - 4 * a * c)[:0], "the result has shape (0,); expected ("),
        (lambda a, b, c: b.int(), "the result has dtype int32; expected floating-point numbers"),
        (lambda a, b, c: b / 0, "the result contains an infinite value"),
        (lambda a, b, c: b * float("nan"), "the result contains NaN"),
        (lambda a, b, c: (b, a), "it returns 2 arrays; expected one array"),
        (lambda a, b, c: {"b": b}, "expected numbers, but the answer returns dict"),
        (lambda a, b, c: b > 0, "expected numbers, but the answer returns bool values"),
        (lambda a, b, c: b.pow_(2).sub_(4 * a * c), "changes its input b in place"),
        (lambda a: a, "TypeError"),
    ],
)
def test_what_is_wrong_is_said(answer, words):
    assert words in verdict_on(BANK["solve.discriminant"], answer).message


@pytest.mark.parametrize("number", [7.0, torch.tensor(7), float("nan")])
def test_a_number_where_several_arrays_are_expected_is_said(number):
    verdict = verdict_on(roots, lambda a, b, c: number)
    assert "it returns one array; expected 2 arrays" in verdict.message


def test_one_of_several_results_is_named():
    verdict = verdict_on(roots, lambda a, b, c: (roots.reference(a, b, c)[0], b))
    assert "result 2 of 2 is wrong" in verdict.message


def test_an_answer_that_draws_or_remembers_is_caught():
    right = BANK["solve.discriminant"].reference
    calls = []

    def remembering(a, b, c):
        calls.append(1)
        return right(a, b, c) + (1 if len(calls) > 3 else 0)

    def drawing(a, b, c):
        return right(a, b, c) + 0.01 * torch.rand(())

    assert "different results" in verdict_on(BANK["solve.discriminant"], remembering).message
    assert not verdict_on(BANK["solve.discriminant"], drawing).passed


def test_an_answer_that_is_slow_at_every_call_is_said(monkeypatch):
    monkeypatch.setattr(engine, "SECONDS", 0)
    words = "it took over 0 s; a check calls the function 4 times"
    assert words in verdict_on(roots, roots.reference).message


def test_inputs_are_fresh_and_repeat_with_the_seed():
    def drawn(seed):
        return [[arg.tolist() for arg in case.args] for case in roots.cases(engine.Inputs(seed))]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_numbers_by_hand():
    values = HAND_NUMBER.values_for("Ada Lovelace")
    assert values == HAND_NUMBER.values_for("  ADA   lovelace ")
    assert judge(HAND_NUMBER, round(HAND_NUMBER.answer(**values), 3), 0, "Ada Lovelace").passed
    for name, wrong, why in HAND_NUMBER.mistakes:
        verdict = judge(HAND_NUMBER, wrong(**values), 0, "Ada Lovelace")
        assert verdict.mistake == name
        assert why in verdict.message
    for answer, student, words in (
        (1e6, "Ada", "1e+06 is not the answer for the values of 'Ada'"),
        (None, "Ada", "not written yet"),
        ("many", "Ada", "expected a number, got 'many'"),
        (3.0, " ", "the values depend on your name, and no name is given"),
    ):
        verdict = judge(HAND_NUMBER, answer, 0, student)
        assert not verdict.passed
        assert verdict.mistake is None
        assert words in verdict.message
    assert len({str(HAND_NUMBER.values_for(str(number))) for number in range(20)}) > 5


def test_predictions():
    assert judge(CHOICE, "b", 0).message == "graph.which_way: right. The factor of x^2 is negative."
    wrong = judge(CHOICE, "A", 0)
    assert wrong.mistake == "A: up"
    assert wrong.message == "graph.which_way: wrong. Its height at x = 10 is -97."
    assert "expected one of A, B, got 'Z'" in judge(CHOICE, "Z", 0).message
    assert "not written yet" in judge(CHOICE, "", 0).message
