"""A number worked out by hand is the student's own: nobody's right number is right for another, and
whoever is wrong is told more than that.
"""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from marking.engine import judge
from marking.exercise import ALLOWED, HandNumber
from minddpm_course.bank import BANK

HAND_NUMBERS = [question for question in BANK.values() if isinstance(question, HandNumber)]
NAMES = [f"{first} {last}" for first in range(80) for last in ("Ng", "Lovelace", "李", "x")]
MANY = 6000  # names, which make 18 million pairs
RARE = 1e-4  # of the pairs may share a number
WORDS = {4: "four", 5: "five", 6: "six"}


def name_of(question):
    return question.name


def by_hand(test):
    return pytest.mark.parametrize("question", HAND_NUMBERS, ids=name_of)(test)


def right_for(question, student):
    return question.answer(**question.values_for(student))


def colliding(numbers, allowed):
    """How many pairs of numbers are at most so far from each other."""
    ordered = np.sort(np.asarray(numbers, float))
    upto = np.searchsorted(ordered, ordered + allowed * (1 + 1e-9), side="right")
    return int((upto - np.arange(len(ordered)) - 1).sum())


def test_pairs_are_counted_as_by_comparing_each():
    numbers = [0.5, 0.1, 0.1, 0.3, 0.15, 0.31]
    compared = sum(abs(a - b) <= 0.06 for a, b in itertools.combinations(numbers, 2))
    assert colliding(numbers, 0.06) == compared == 4


@by_hand
def test_hardly_any_two_students_have_the_same_number(question):
    drawn = [question.values_for(f"student {number}") for number in range(MANY)]
    pairs = MANY * (MANY - 1) / 2
    alike = sum(count * (count - 1) / 2 for count in Counter(map(str, drawn)).values())
    assert alike < RARE * pairs / 2
    numbers = [question.answer(**values) for values in drawn]
    assert colliding(numbers, question.allowed) < RARE * pairs / 2  # with room to spare


@by_hand
def test_a_neighbours_number_does_not_pass(question):
    passed = sum(
        judge(question, right_for(question, theirs), 0, own).passed
        for own, theirs in itertools.pairwise(NAMES)
    )
    assert passed <= 1


@by_hand
def test_the_question_says_how_many_decimals_it_wants(question):
    right = [right_for(question, student) for student in NAMES]
    if all(float(number).is_integer() for number in right):
        assert "decimals" not in question.question
        return
    exact = all(abs(number - round(number, 4)) < 1e-12 for number in right)
    said = WORDS[4] if exact else WORDS[question.decimals]
    assert f"{said} decimals" in question.question.lower()


@by_hand
def test_the_right_number_passes_however_it_was_worked_out(question):
    for student in NAMES:
        values = question.values_for(student)
        right = question.answer(**values)
        scale = 10**question.decimals
        single = question.answer(**{name: np.float32(value) for name, value in values.items()})
        for number in (right, round(right, question.decimals), math.trunc(right * scale) / scale):
            assert judge(question, number, 0, student).passed
        assert judge(question, single, 0, student).passed
        assert judge(question, f" {right:.{question.decimals}f} ", 0, student).passed


@by_hand
def test_a_number_that_was_rounded_on_the_way_is_told_so(question):
    for student in NAMES[:40]:
        right = right_for(question, student)
        rounded = round(right, 3)
        if abs(rounded - right) <= question.allowed:
            continue
        verdict = judge(question, rounded, 0, student)
        assert not verdict.passed
        assert "round nothing before the end" in verdict.message
        assert f"{right:.{question.decimals}f}" not in verdict.message


def plausible(question, values, right):
    """Numbers that a student may come to who makes no known mistake."""
    given = list(map(float, values.values()))
    yield from given
    yield from (a * b for a, b in itertools.combinations(given, 2))
    yield from (a - b for a, b in itertools.permutations(given, 2))
    yield from (0.0, 1.0, -1.0, 0.5, sum(given), math.prod(given), 1e9, -1e-9)
    yield from (factor * right for factor in (-1, 0.97, 1.07, 1.5, 3, 30, 0.03, 2, 0.5, 10, 100))
    yield from (right + shift for shift in (0.01, -0.01, 0.1, 1, -1, 7))
    if right > 0:
        yield from (math.sqrt(right), right**2, 1 / right, 1 - right)


@by_hand
def test_whoever_is_wrong_is_told_more_than_that(question):
    for student in NAMES[:60]:
        values = question.values_for(student)
        right = question.answer(**values)
        for number in plausible(question, values, right):
            verdict = judge(question, number, 0, student)
            if verdict.passed:
                continue
            told = verdict.message.partition("\n\n")[2]
            assert len(told) > 15, number
            assert verdict.mistake or len(verdict.summary) > len("wrong: "), number
            assert question.name not in verdict.summary


@by_hand
def test_known_wrong_numbers_are_known_in_three_decimals_too(question):
    """Whoever makes a mistake may also write down fewer decimals than were asked for."""
    for student in NAMES[:40]:
        values = question.values_for(student)
        for name, wrong, _ in question.mistakes:
            number = wrong(**values)
            assert abs(number - question.answer(**values)) > 4 * ALLOWED
            assert judge(question, round(number, 3), 0, student).mistake == name
