"""Where an answer is right and where it is wrong, and the smallest input that shows it."""

import dataclasses

import pytest
import torch
from algebra import BANK, row

from marking import engine
from marking.engine import judge
from marking.exercise import Case, Exercise, Inputs
from marking.outcome import outcome_of

DISCRIMINANT, ROOTS = BANK["solve.discriminant"], BANK["solve.roots"]


def message(exercise, function, seed=0):
    return judge(exercise, lambda args: outcome_of(function, args), seed).message


def exercise_on(cases, reference, arguments=("x",), **options):
    """An exercise with the cases that are given."""
    return Exercise("a.b", arguments, "numbers", reference, lambda draw: cases, (), **options)


def summing(x):
    return x.cumsum(0)


STEPS = [Case(f"up to {n}", (torch.arange(1, n + 1), torch.rand(n))) for n in (1, 4, 7)]


def by_time(t, x):
    return t * x


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda t, x: torch.where(t == 1, x, 9 + x.sin()), "right where t = 1, and wrong every"),
        (lambda t, x: torch.where(t == 1, x + 1, t * x), "wrong where t = 1, and right every"),
        (
            lambda t, x: torch.where(t < 4, t * x, 3 * x.sin() + 9),
            "right up to t = 3, and wrong from t = 4 on",
        ),
        (
            lambda t, x: torch.where(t < 4, 3 * x.sin() + 9, t * x),
            "wrong up to t = 3, and right from t = 4 on",
        ),
    ],
)
def test_the_values_of_an_argument_at_which_an_answer_is_right_are_told(wrong, words):
    exercise = exercise_on(STEPS, by_time, ("t", "x"))
    assert f"It is {words}" in message(exercise, wrong)
    assert f"{words.partition(' every')[0]}" in message(exercise, wrong)
    assert ", on every input drawn." in message(exercise, wrong)


def test_what_does_not_hold_on_every_input_is_not_told():
    """Right at t = 1 in one case, and wrong there in another."""

    def wrong(t, x):
        return torch.where((t == 1) & (len(x) != 4), x, 3 * x.sin() + 9)

    assert "right where t =" not in message(exercise_on(STEPS, by_time, ("t", "x")), wrong)


def test_a_shape_that_is_wrong_in_one_case_leaves_nothing_to_tell():
    def wrong(t, x):
        return torch.where(t == 1, x, 3 * x.sin()) if len(x) < 7 else x[:2]

    assert "on every input drawn" not in message(exercise_on(STEPS, by_time, ("t", "x")), wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: torch.cat([x[:2].cumsum(0), x[2:] * 7]), "right in the first 2 entries, and"),
        (lambda x: torch.cat([x[:1] * 3 - 9, x.cumsum(0)[1:]]), ""),
        (lambda x: torch.cat([x.cumsum(0)[:-1], x[-1:] * 7 + 3]), ""),
    ],
)
def test_the_places_at_which_an_answer_is_right_are_told_once(wrong, words):
    cases = [Case(f"{n} numbers", (1 + torch.rand(n),)) for n in (4, 5, 6)]
    text = message(exercise_on(cases, summing), wrong)
    if words:
        assert f"It is {words} wrong after that, on every input drawn." in text
    else:  # a relation says it already
        assert "The result is right but for its" in text
        assert "on every input drawn" not in text


def test_one_row_is_shown_where_rows_are_worked_out_for_themselves():
    def wrong(a, b, c):
        return torch.where(b > 0, b**2 - 4 * a * c, (7 * b).sin())

    for seed in range(5):
        text = message(DISCRIMINANT, wrong, seed)
        (shown,) = [line for line in text.splitlines() if line.startswith("got")]
        assert shown.count(",") == 0
        (given,) = [line for line in text.splitlines() if line.startswith("input")]
        assert "b = [-" in given  # one on which it is wrong


def test_only_the_beginning_is_shown_where_a_number_depends_on_those_before_it():
    def wrong(x):
        return torch.cat([x[:2].cumsum(0), x[2:] * 7])

    cases = [Case("a few numbers", (row(1.0, 2.0, 4.0, 8.0, 16.0),))]
    text = message(exercise_on(cases, summing), wrong)
    assert "input     x = [1, 2, 4]   (entries 1 to 3 of: a few numbers)" in text
    assert "expected  [1, 3, 7]" in text
    assert "got       [1, 3, 28]" in text


def test_one_number_of_a_table_is_shown_by_its_place():
    tables = [Case("a table", (torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)))]
    exercise = exercise_on(tables, lambda x, y: x + y, ("x", "y"))
    text = message(exercise, lambda x, y: torch.where(x == 5, -7, x + y))
    assert "input     x = [5], y = [1]   (entry (2, 3) of: a table)" in text


def test_an_input_of_which_no_part_has_a_part_of_the_answer_is_shown_whole():
    exercise = exercise_on([Case("some", (row(1.0, 2.0, 4.0),))], lambda x: x / x.sum())
    assert "x = [1, 2, 4]   (some)" in message(exercise, lambda x: x / x.sum() + x.sin())


def test_an_answer_that_is_right_on_the_part_is_shown_on_the_whole():
    exercise = exercise_on([Case("some", (row(1.0, 2.0, 4.0),))], lambda x: 2 * x)
    text = message(exercise, lambda x: 2 * x if len(x) == 1 else 2 * x + x.flip(0).sin())
    assert "x = [1, 2, 4]   (some)" in text


def test_the_answer_is_called_once_more_at_most_and_not_after_long_calls(monkeypatch):
    calls = []

    def wrong(a, b, c):
        calls.append(len(a))
        return (7 * b).sin()

    large = [case for case in DISCRIMINANT.cases(Inputs(0)) if len(case.args[0]) > 1]
    exercise = dataclasses.replace(DISCRIMINANT, cases=lambda draw: large)
    message(exercise, wrong)
    assert len(calls) == 4  # two cases, the first again, one row
    calls.clear()
    monkeypatch.setattr(engine, "HURRY", 0)
    message(exercise, wrong)
    assert len(calls) == 3


def test_an_answer_that_draws_is_not_called_on_a_part():
    calls = []

    def wrong(a, b, c):
        calls.append(len(a))
        return b + torch.rand(len(b))

    message(DISCRIMINANT, wrong)
    assert len(calls) == 4


def test_the_case_with_the_fewest_numbers_is_shown_though_its_arguments_are_single_numbers():
    cases = [Case(f"{n} steps", (n,)) for n in (9, 2, 5)]
    exercise = exercise_on(cases, lambda n: torch.linspace(0, 1, n), ("n",))
    assert "(2 steps)" in message(exercise, lambda n: torch.linspace(0, 1, n).exp())


def test_an_entry_that_is_right_is_never_called_wrong():
    """A relation about the first entry needs all the others to be wrong."""
    cases = [Case(f"{n} numbers", (1 + torch.rand(n),)) for n in (4, 5, 6)]
    exercise = exercise_on(cases, summing)
    text = message(exercise, lambda x: torch.cat([x.cumsum(0)[:3], x[3:] * 7]))
    assert "right in its first entry, and wrong after" not in text
    assert "right in the first 3 entries, and wrong after that, on every" in text


def test_where_several_results_are_right_counts_all_of_them():
    def wrong(a, b, c):
        low, high = ROOTS.reference(a, b, c)
        return low, torch.where(b > 0, high, high + 1)

    exercise = dataclasses.replace(ROOTS, mistakes=(), formula=None)
    assert "In result 2 entries" in message(exercise, wrong, 1) or "result 2" in message(
        exercise, wrong, 1
    )


def test_results_with_different_numbers_of_axes_are_shown_whole():
    exercise = exercise_on([Case("some", (row(1.0, 2.0, 4.0),))], lambda x: (x.sum(), x))
    assert "x = [1, 2, 4]   (some)" in message(exercise, lambda x: (x.sum(), x.sin()))
    exercise = exercise_on([Case("some", (row(1.0, 2.0, 4.0),))], lambda x: (x, x.sum()))
    assert "x = [1, 2, 4]   (some)" in message(exercise, lambda x: (x, x.prod() + 1))
