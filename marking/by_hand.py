"""Replies to a number worked out by hand that is not the right one: asked back if it is written in
a way that Python does not read as it is meant, otherwise told by what it has to do with the right
one, which is never said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marking.exercise import ALLOWED, HandNumber
from marking.outcome import NoNumber, plain_answer

ROUNDED = 0.0006  # how far a number may be from what it is said to be, in three decimals
NEAR = 0.02  # the share of itself by which a number that was rounded on the way is off
SLIPPED = "the decimal point has slipped"

LONGEST_NUMERAL = 60  # characters of a text in which a number is looked for
NUMERAL = re.compile(r"(?<![\w.,'])[+-]?(?:\d[\d.,']*\d|\d|[.,]\d+)(?![.,']*\w)")
FRACTION = re.compile(r"([+-]?\d+(?:\.\d+)?) ?/ ?(\d+(?:\.\d+)?)")
INTEGERS = re.compile(r"\(-?\d+(?:, -?\d+)+\)")
PERCENT = re.compile(r" ?(?:%|per ?cent\b)")
GROUPS = re.compile(  # thousands, perhaps with decimals after them
    r"[+-]?[1-9]\d{0,2}(?P<by>[,.'])\d{3}(?:(?P=by)\d{3})*(?:(?P<point>[.,])\d+)?"
)


def asked_back(answer: Any) -> str:
    """The question that answers something which is no number but may be meant as one; empty if it
    is not like a number, or like more than one.
    """
    answer = plain_answer(answer)
    if isinstance(answer, NoNumber) and INTEGERS.fullmatch(answer.shown):
        answer = answer.shown  # Python makes two numbers of 0,27
    if not isinstance(answer, str) or len(answer) > LONGEST_NUMERAL:
        return ""
    text = " ".join(answer.replace("\N{MINUS SIGN}", "-").split())
    if re.fullmatch(r"\(.*\)", text):
        text = re.sub(r", +", ",", text[1:-1])
    fraction = FRACTION.fullmatch(text)
    if fraction and float(fraction[2]):
        value = float(fraction[1]) / float(fraction[2])
        return f"did you mean {value:.6g}? Write {text} without quotes"
    found = list(NUMERAL.finditer(text))
    if len(found) != 1:
        return ""
    (numeral,) = found
    meant, why = readings(numeral[0])
    if PERCENT.match(text[numeral.end() :]):
        meant = [f"{float(one) / 100:.10g}" for one in meant]
        why = "Write a share as a number, without the percent sign"
    return f"did you mean {' or '.join(meant)}? {why}" if meant else ""


def readings(numeral: str) -> tuple[list[str], str]:
    """What a numeral may mean, as Python writes it, and how to write it."""
    if re.fullmatch(r"[+-]?\d*\.?\d+", numeral):
        return [numeral], "Write the number alone"
    meant = []
    if re.fullmatch(r"[+-]?\d*,\d+", numeral):
        whole, _, decimals = numeral.partition(",")
        meant.append(f"{whole if whole.strip('+-') else f'{whole}0'}.{decimals}")
    grouped = GROUPS.fullmatch(numeral)
    if grouped and grouped["by"] != grouped["point"]:
        thousands = numeral.replace(grouped["by"], "").replace(",", ".")
        if meant or grouped["point"] == ",":
            why = "Write a point before the decimals, and nothing between thousands"
            return [*meant, thousands], why
        return [thousands], "Write nothing between thousands"
    return meant, "Write a point before the decimals, not a comma"


def relation_to(number: float, right: float) -> str:
    """What a wrong number has to do with the right one, and how one may have come to it; empty if
    nothing, or more than one thing, holds to the precision asked for.
    """
    held = []
    for words, other, magnified in related(right):
        room = ROUNDED * max(magnified, 1)
        if abs(number - other) <= room and room <= NEAR * abs(other):
            held.append(words)
    return held[0] if len(held) == 1 else ""


def related(right: float) -> Iterator[tuple[str, float, float]]:
    """Numbers that are taken for the right one: in words, their values, and how much larger a
    difference of the right number is in them.
    """
    yield "has the opposite sign of the right one: look at what is subtracted from what", -right, 1
    yield "is the square of the right one: a root is missing at the end", right**2, 1
    if right > 0:
        yield "is the square root of the right one: there is a root too many", math.sqrt(right), 1
        yield "is the logarithm of the right one: undo it at the end", math.log(right), 1
    if right:
        yield "is 1 divided by the right one: a fraction is upside down", 1 / right, 1
    yield (
        "is 1 minus the right one: what is left was taken for what is gone, or the other way round",
        (1 - right),
        1,
    )
    for words, factor in (
        (f"is ten times the right one: {SLIPPED}", 10),
        (f"is a tenth of the right one: {SLIPPED}", 0.1),
        ("is a hundred times the right one: write a share as a number, not in percent", 100),
        (f"is a hundredth of the right one: {SLIPPED}", 0.01),
        (f"is a thousand times the right one: {SLIPPED}", 1000),
        ("is a thousandth of the right one: Python reads a point as the decimal point", 0.001),
        ("is twice the right one: a factor 1/2 is missing, or a 2 too many", 2),
        ("is half the right one: a factor 2 is missing, or a 1/2 too many", 0.5),
        ("is the right one divided by log(2), as with a logarithm to base 2", 1 / math.log(2)),
        ("is the right one divided by log(10), as with a logarithm to base 10", 1 / math.log(10)),
    ):
        yield words, factor * right, factor
    if float(right).is_integer():
        yield "is one more than the right one: count again", right + 1, 1
        yield "is one less than the right one: count again", right - 1, 1


def close_by(number: float, right: float) -> str:
    """That a number is close to the right one, if rounding on the way explains that."""
    if abs(number - right) <= ALLOWED:
        return (
            "agrees with the right one in its first decimals, but not in all that are asked for:"
            " round nothing before the end"
        )
    if abs(number - right) > NEAR * abs(right) or float(right).is_integer():
        return ""
    return "is close to the right one, but not close enough: round nothing before the end"


def how_far(number: float, right: float) -> str:
    """On which side of the right number another lies, and roughly how far from it."""
    if number * right < 0:
        return "It has the wrong sign."
    share = abs(number / right) if right else math.inf
    for limit, words in (
        (10, "more than ten times as large as the right number"),
        (2, "more than twice as large as the right number"),
        (1, "too large"),
        (0.5, "too small"),
        (0.1, "less than half of the right number"),
    ):
        if share > limit:
            break
    else:
        words = "less than a tenth of the right number"
    sized = "without its sign it is" if right < 0 else "it is"
    return f"{sized[:1].upper()}{sized[1:]} {words}."


def where_it_lies(question: HandNumber, values: Mapping[str, Any], number: float) -> str:
    """The range in which the right number must lie, if there is a plain argument for one and the
    number is outside of it.
    """
    bounds = question.bounds
    if bounds is None:
        return ""
    low, high = bounds.low(**values), bounds.high(**values)
    if low <= number <= high:
        return ""
    if math.isinf(high):
        return f"The right number is at least {low:.4g}: {bounds.why}."
    if math.isinf(low):
        return f"The right number is at most {high:.4g}: {bounds.why}."
    return f"The right number lies between {low:.4g} and {high:.4g}: {bounds.why}."


@dataclass(frozen=True)
class Reply:
    """What can be said of a wrong number that is no known mistake.

    Args:
        first: the first sentence for the student.
        more: others, which may give a range that depends on the student's values.
        instead: what the number is instead, in a few words, if that can be told.
        summary: in one line that is the same for all students who go wrong in this way.
    """

    first: str
    more: str
    instead: str
    summary: str


def reply_to(question: HandNumber, values: Mapping[str, Any], number: float) -> Reply:
    """What can be said of a wrong number that is no known mistake."""
    right = question.answer(**values)
    near = abs(number - right) <= ALLOWED  # where others that are near as well are no explanation
    relation = (not near and relation_to(number, right)) or close_by(number, right)
    if relation:
        return Reply(f"Your number {relation}.", "", f"your number {relation}", "wrong")
    far = how_far(number, right)
    where = where_it_lies(question, values, number)
    return Reply(far, where, "", f"wrong: {far[:1].lower()}{far[1:].removesuffix('.')}")
