"""What a wrong answer has to do with the right one, for answers that are no formula close to it."""

import numpy as np
import pytest

from marking.diagnosis import entries_right
from marking.outcome import Outcome
from marking.relations import in_words, relation_of

RIGHT = [np.array([2.0, -0.5, 3.0, 1.2, 0.7]), np.array([1.0]), np.array([0.3, 4.0, -2.2])]
TABLES = [np.arange(12.0).reshape(4, 3) + 0.3, np.array([[2.0, 1.0], [5.0, 0.7], [1.0, 3.0]])]


def outcomes(values):
    return [Outcome((np.asarray(value),)) for value in values]


def relation(change, right=RIGHT, tolerance=1e-4):
    return relation_of(outcomes(map(change, right)), outcomes(right), tolerance)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: -x, "the result is the right one with the opposite sign"),
        (lambda x: x / 2, "the result is 1/2 times the right one"),
        (lambda x: x / np.log(2), "the result is 1 / log(2) times the right one"),
        (lambda x: x + 0.25, "the result is the right one plus 1/4"),
        (lambda x: 3 * x + 2, "the result is 3 times the right one, plus 2"),
        (lambda x: x**2, "the result is the square of the right one"),
        (lambda x: 1 / x, "the result is the right one upside down, 1 divided by it"),
        (lambda x: 1 - x, "the result is 1 minus the right one"),
        (abs, "the result is the right one without its sign, its absolute value"),
        (np.exp, "the result is the exponential of the right one"),
        (lambda x: x.clip(-0.4, 1.1), ""),
        (np.round, "the result is the right one rounded to whole numbers"),
        (np.trunc, "the result is the right one cut off to whole numbers"),
        (lambda x: np.round(x, 1) + 0.0, None),  # that is the right one
        (lambda x: x[::-1], "the result is the right one in reverse order"),
        (lambda x: np.roll(x, 1), ""),
        (np.sort, "the result holds the right numbers in another order"),
        (lambda x: 0 * x, "the result is 0 everywhere, whatever the input"),
        (lambda x: x * x.size, ""),
        (lambda x: np.r_[x[:1], x[1:] + 1], "the result is right in its first entry, and wrong"),
        (lambda x: np.r_[x[:-1], x[-1:] + 1], ""),
        (lambda x: x.mean(), "the result is the mean of the right one"),
        (lambda x: x.sum(), "the result is the sum of the right one"),
        (lambda x: x[-1], "the result is the last entry of the right one alone"),
        (lambda x: 7.5, "the result is one number where more are expected"),
        (lambda x: x[:, None], "the result holds the right numbers, but has too many axes"),
        (lambda x: x[1:], None),  # nothing is left of the one entry
        (lambda x: np.r_[x, 7.0], "the result is right, but goes on too far at its end"),
        (lambda x: np.sin(7 * x), None),
    ],
)
def test_a_relation_is_told(change, words):
    told = relation(change)
    assert told == words or (words and told and told.startswith(words)) or (words == "" and told)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.T, "the result holds the right numbers with its axes in another order"),
        (lambda x: x.ravel(), "the result holds the right numbers, but is flattened to one axis"),
        (lambda x: x.mean(0), "the result is the mean of the right one along axis 0"),
        (lambda x: x[:, ::-1], "the result is the right one in reverse order along axis 1"),
        (lambda x: x[0], "the result is the first entry of the right one alone"),
        (lambda x: x[:1], "the result is right where it is, but holds only its first entry"),
        (lambda x: x * 2 ** x.sum(), "the result is the right one times a number that changes"),
        (lambda x: x + x.sum() ** 2, "the result is the right one plus a number that changes"),
    ],
)
def test_a_relation_of_tables_is_told(change, words):
    assert relation(change, TABLES).startswith(words)


def test_a_relation_that_fails_in_one_call_is_not_told():
    changed = [2 * RIGHT[0], 2 * RIGHT[1], 2.1 * RIGHT[2]]
    told = relation_of(outcomes(changed), outcomes(RIGHT), 1e-4)
    assert told is None or "2 times" not in told


def test_clipped_numbers_are_told_with_their_ends():
    right = [np.array([-3.0, 0.2, 5.0]), np.array([2.0, -2.0, 0.1])]
    told = relation_of(outcomes(x.clip(-1, 1) for x in right), outcomes(right), 1e-4)
    assert told == "the result is the right one, clipped below at -1 and above at 1"


def test_several_results_are_told_one_by_one():
    right = [Outcome((x, x**2), several=True) for x in RIGHT]
    swapped = [Outcome((x**2, x), several=True) for x in RIGHT]
    assert relation_of(swapped, right, 1e-4) == "the results are right, but in another order"
    doubled = [Outcome((x, 2 * x**2), several=True) for x in RIGHT]
    told = relation_of(doubled, right, 1e-4)
    assert told == "result 1 is right, and result 2 is 2 times the right one"
    assert relation_of(outcomes(RIGHT), right, 1e-4) == "only result 1 of 2 is returned"
    joined = outcomes(np.concatenate([x, x**2]) for x in RIGHT)
    assert relation_of(joined, right, 1e-4) == "the results are right, but joined in one array"
    apart = [Outcome((x[:1], x[1:]), several=True) for x in (RIGHT[0], RIGHT[2])]
    whole = outcomes((RIGHT[0], RIGHT[2]))
    assert "returned as several arrays, not joined" in relation_of(apart, whole, 1e-4)


def test_right_numbers_of_the_wrong_type_or_with_changed_inputs_are_told():
    whole = [np.array([1, 2, 3])]
    told = relation_of(outcomes([np.array([1.0, 2.0, 3.0])]), outcomes(whole), 0.0)
    assert told == "the numbers are right, but they are not integers"
    changed = [Outcome((x,), changed=(0,)) for x in RIGHT]
    told = relation_of(changed, outcomes(RIGHT), 1e-4)
    assert told == "the numbers are right, but the answer changes its input in place"
    assert relation_of(outcomes(RIGHT), outcomes(RIGHT), 1e-4) is None


def test_constants_are_named():
    assert [in_words(x) for x in (2.0, -0.25, np.pi, -np.log(2), 0.1234567)] == [
        *("2", "-1/4", "pi", "-log(2)", "0.1235")
    ]


def test_where_entries_are_right_is_told():
    class Question:
        tolerance = 1e-4

    def told(right, own):
        return entries_right(Question, Outcome((np.array(right),)), Outcome((np.array(own),)))

    one = told([1.0, 2.0, 3.0, 4.0, 5.0], [9.0, 2.0, 3.0, 4.0, 5.0])
    assert one == "Here entry 1 is wrong, and entries 2 to 5 are right (counted from 1)."
    two = told([1.0, 2.0, 3.0, 4.0], [1.0, 7.0, 3.0, 7.0])
    assert two == "Here entries 2, 4 are wrong, and entries 1, 3 are right (counted from 1)."
    column = told([[1.0, 2.0], [3.0, 4.0]], [[1.0, 7.0], [3.0, 7.0]])
    assert column == "Here along axis 1 entry 2 is wrong, and entry 1 is right (counted from 1)."
    assert told([1.0, 2.0], [7.0, 8.0]) == ""
    assert told([1.0, 2.0], [7.0, 8.0, 9.0]) == ""
