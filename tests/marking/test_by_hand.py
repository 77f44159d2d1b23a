"""Replies to numbers worked out by hand that are wrong, or not written as Python reads them."""

import dataclasses
import math

import pytest
from algebra import BANK
from quadratics import check

from marking.by_hand import asked_back, close_by, how_far, relation_to
from marking.engine import judge
from marking.exercise import Bounds
from marking.notebook import CheckFailed

QUESTION = BANK["solve.by_hand"]
STUDENT = "Ada Lovelace"
VALUES = QUESTION.values_for(STUDENT)
RIGHT = QUESTION.answer(**VALUES)
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("answer", "meant", "how"),
    [
        ("0,27", "0.27", "a point before the decimals, not a comma"),
        ((0, 27), "0.27", "a point before the decimals, not a comma"),
        ("(0, 27)", "0.27", "a point before the decimals, not a comma"),
        (" 12,5 ", "12.5", "a point before the decimals"),
        (",27", "0.27", "a point before the decimals"),
        ("-0,27", "-0.27", "a point before the decimals"),
        ((-3, 5), "-3.5", "a point before the decimals"),
        (f"{MINUS}0.27", "-0.27", "the number alone"),
        ("27%", "0.27", "without the percent sign"),
        ("27,5 %", "0.275", "without the percent sign"),
        ("27 percent", "0.27", "without the percent sign"),
        ("0.27 nats", "0.27", "the number alone"),
        ("beta_3 = 0.27", "0.27", "the number alone"),
        ("1/4", "0.25", "Write 1/4 without quotes"),
        ("34,620", "34.620 or 34620", "and nothing between thousands"),
        ((34, 620), "34.620 or 34620", "and nothing between thousands"),
        ((1, 234, 567), "1234567", "nothing between thousands"),
        ("1.234,5", "1234.5", "and nothing between thousands"),
        ("1'234.5", "1234.5", "nothing between thousands"),
    ],
)
def test_a_number_that_python_reads_otherwise_is_asked_back(answer, meant, how):
    verdict = judge(QUESTION, answer, 0, STUDENT)
    assert not verdict.passed
    assert verdict.mistake is None
    assert verdict.message.startswith(f"solve.by_hand: did you mean {meant}? ")
    assert how in verdict.message
    assert verdict.summary in verdict.message  # a grader gives the same reason


@pytest.mark.parametrize("answer", ["many", "1 2", (1, 2, 3), (1, -2), "[0, 27]", "0,27,3", "nan"])
def test_what_may_be_no_number_or_several_is_not_guessed(answer):
    assert asked_back(answer) == ""
    assert "expected a number, got" in judge(QUESTION, answer, 0, STUDENT).message


def test_the_right_number_with_a_comma_is_asked_back_and_not_accepted():
    text = f"{RIGHT:.3f}".replace(".", ",")
    assert f"did you mean {RIGHT:.3f}" in judge(QUESTION, text, 0, STUDENT).message
    for plain in (f"{RIGHT:.3f}", f" {RIGHT:.3f} "):  # nothing else can be meant
        assert judge(QUESTION, plain, 0, STUDENT).passed


def test_a_number_typed_with_a_comma_into_a_check_is_asked_back():
    with pytest.raises(CheckFailed, match=r"did you mean 4\.27\? Write a point"):
        check("solve.by_hand", 4, 27, student=STUDENT)
    with pytest.raises(CheckFailed, match="expected a number, got"):
        check("solve.by_hand", 4, "x", student=STUDENT)


@pytest.mark.parametrize("infinite", [math.nan, math.inf, "inf"])
def test_what_is_not_finite_is_no_number(infinite):
    assert "expected a number, got" in judge(QUESTION, infinite, 0, STUDENT).message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x**2, "is the square of the right one: a root is missing"),
        (math.sqrt, "is the square root of the right one: there is a root too many"),
        (lambda x: 1 / x, "is 1 divided by the right one: a fraction is upside down"),
        (lambda x: -x, "has the opposite sign of the right one"),
        (lambda x: 1 - x, "is 1 minus the right one"),
        (lambda x: 10 * x, "is ten times the right one: the decimal point has slipped"),
        (lambda x: 100 * x, "is a hundred times the right one: write a share as a number"),
        (lambda x: x / 1000, "is a thousandth of the right one"),
        (lambda x: 2 * x, "is twice the right one"),
        (lambda x: x / 2, "is half the right one"),
        (lambda x: x / math.log(2), "as with a logarithm to base 2"),
        (math.log, "is the logarithm of the right one"),
    ],
)
def test_a_relation_to_the_right_number_is_told(change, words):
    for right in (0.3117, 4.5616, 0.7713):
        assert words in relation_to(change(right), right) or change(right) < 0.03


def test_a_relation_is_told_to_the_student_without_the_right_number():
    question = dataclasses.replace(QUESTION, mistakes=())
    right = question.answer(**question.values_for(STUDENT))
    for number in (right**2, 1 / right, 10 * right, right + 0.01, right + 1.234, -3 * right):
        verdict = judge(question, number, 0, STUDENT)
        assert not verdict.passed
        for digits in (2, 3, 4):
            assert f"{right:.{digits}f}" not in verdict.message
    verdict = judge(question, round(right**2, 3), 0, STUDENT)
    assert verdict.mistake == (
        "your number is the square of the right one: a root is missing at the end"
    )
    assert f"Y{verdict.mistake[1:]}." in verdict.message


def test_a_relation_that_may_be_another_or_does_not_hold_exactly_is_not_told():
    assert relation_to(4, 2) == ""  # twice 2, or 2 squared
    assert relation_to(0.25, 0.5) == ""
    assert relation_to(0.3117**2 + 0.002, 0.3117) == ""
    assert relation_to(0.0001, 0.001) == ""  # too small to tell in three decimals


def test_one_too_many_is_told_of_whole_numbers_alone():
    assert "one more than the right one" in relation_to(101, 100)
    assert "one less than the right one" in relation_to(99, 100)
    assert relation_to(101.5, 100.5) == ""


def test_a_number_that_was_rounded_on_the_way_is_close():
    words = "is close to the right one, but not close enough: round nothing before the end"
    assert close_by(0.315, 0.3117) == words
    assert close_by(0.4, 0.3117) == ""
    assert close_by(101, 100) == ""  # whole numbers are counted


@pytest.mark.parametrize(
    ("number", "right", "words"),
    [
        (9, 0.3, "It is more than ten times as large as the right number."),
        (0.9, 0.3, "It is more than twice as large as the right number."),
        (0.4, 0.3, "It is too large."),
        (0.2, 0.3, "It is too small."),
        (0.1, 0.3, "It is less than half of the right number."),
        (0.01, 0.3, "It is less than a tenth of the right number."),
        (0, 0.3, "It is less than a tenth of the right number."),
        (-0.1, 0.3, "It has the wrong sign."),
        (-0.4, -0.3, "Without its sign it is too large."),
    ],
)
def test_how_far_a_number_is_from_the_right_one_is_told_roughly(number, right, words):
    assert how_far(number, right) == words


def test_a_range_is_told_where_a_number_lies_outside_of_it():
    bounds = Bounds(lambda b, c: b / 2, lambda b, c: b, "the two roots add up to b")
    question = dataclasses.replace(QUESTION, bounds=bounds)
    b = VALUES["b"]
    words = f"The right number lies between {b / 2:g} and {b}: the two roots add up to b."
    assert words in judge(question, 3.3 * b, 0, STUDENT).message
    assert "lies between" not in judge(question, 0.81 * b, 0, STUDENT).message
