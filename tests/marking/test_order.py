"""What is said of a wrong answer of which several things are true: a mistake of the bank, then an
edit of the formula, then a relation to the right answer, then where it is right; and each only if
it holds on every input drawn.
"""

import dataclasses

import pytest
import torch
from algebra import BANK

from marking.engine import judge
from marking.exercise import Case, Formula, Mistake
from marking.outcome import outcome_of

CASES = [
    Case(f"{n} equations", (torch.arange(1.0, n + 1), 3 + torch.rand(n), -torch.rand(n) - 0.5))
    for n in (3, 2, 5)
]
RIGHT = BANK["solve.discriminant"].reference


def negated(a, b, c):
    """It is in the bank, it is an edit of the formula, it has to do with the right answer, and it
    is wrong everywhere.
    """
    return 4 * a * c - b**2


def right_for_some(a, b, c):
    """Right where a is 1 or 2, so that something can be said of where it is."""
    return torch.where(a <= 2, RIGHT(a, b, c), RIGHT(a, b, c) + (7 * b).sin() + 2)


NEGATED = Mistake("upside down", negated, "You subtract the wrong way round.", CASES[1].args)


def exercise_with(mistakes=(), formula=None):
    return dataclasses.replace(
        BANK["solve.discriminant"],
        cases=lambda draw: CASES,
        mistakes=tuple(mistakes),
        formula=formula,
    )


FORMULA = Formula(("b ** 2 - 4 * a * c",))
BY_BANK = exercise_with([NEGATED], FORMULA)
BY_EDIT = exercise_with([], FORMULA)
BY_RELATION = exercise_with()


def verdict_on(exercise, function):
    return judge(exercise, lambda args: outcome_of(function, args), 0)


def test_the_bank_comes_before_edits_and_edits_before_relations():
    bank, edit, relation = (
        verdict_on(exercise, negated) for exercise in (BY_BANK, BY_EDIT, BY_RELATION)
    )
    assert bank.mistake == "upside down"
    assert bank.message.count("You subtract the wrong way round.") == 1
    assert edit.mistake.startswith("you ")
    assert "right  b ** 2 - 4 * a * c" in edit.message
    assert relation.mistake == "the result is the right one with the opposite sign"
    for verdict, later in ((bank, edit), (bank, relation), (edit, relation)):
        assert later.mistake not in verdict.message.casefold()


def test_a_relation_comes_before_where_an_answer_is_right():
    def but_for_the_first(a, b, c):
        right = RIGHT(a, b, c)
        return torch.cat([right[:1] + 3, right[1:]])

    verdict = verdict_on(BY_RELATION, but_for_the_first)
    told = verdict.message.split("\n\n")
    assert verdict.mistake == "the result is right but for its first entry"
    assert told[1] == "The result is right but for its first entry."
    assert told[2] == "It is wrong where a = 1, and right everywhere else, on every input drawn."


def test_where_an_answer_is_right_is_said_where_nothing_else_is_known():
    verdict = verdict_on(BY_BANK, right_for_some)
    assert verdict.mistake is None
    words = "It is right up to a = 2, and wrong from a = 3 on, on every input drawn."
    assert verdict.message.split("\n\n")[1] == words


def test_the_numbers_come_last():
    for exercise in (BY_BANK, BY_EDIT, BY_RELATION):
        last = verdict_on(exercise, negated).message.split("\n\n")[-1]
        assert [line[:8] for line in last.splitlines()] == ["input   ", "expected", "got     "]


@pytest.mark.parametrize("exercise", [BY_BANK, BY_EDIT, BY_RELATION])
@pytest.mark.parametrize("odd", [len(case.args[0]) for case in CASES])
def test_what_does_not_hold_on_one_of_the_inputs_is_not_said(exercise, odd):
    told = verdict_on(exercise, negated).mistake

    def but_for_one_input(a, b, c):
        return negated(a, b, c) if len(a) != odd else (7 * b).sin() + 2

    verdict = verdict_on(exercise, but_for_one_input)
    assert not verdict.passed
    assert verdict.mistake != told
    for mistake in (NEGATED.name, NEGATED.why, "opposite sign", "right  b ** 2"):
        assert mistake not in verdict.message
