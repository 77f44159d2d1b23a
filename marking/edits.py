"""The edits of a formula: what can be changed at one place of it, and how that is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from marking.formula import (
    BINARY,
    Term,
    applied,
    named,
    numeral,
    written,
)

FAR_FETCHED = 3  # what the least likely edit costs
WORDS = {
    "sqrt": "the root",
    "log": "the natural logarithm",
    "log2": "the logarithm to base 2",
    "log10": "the logarithm to base 10",
    "exp": "the exponential",
    "sin": "the sine",
    "cos": "the cosine",
    "abs": "the absolute value",
    "cumprod": "the running product",
    "cumsum": "the running sum",
    "prod": "the product",
    "sum": "the sum",
    "mean": "the mean",
    "mean_of_rows": "the mean over the rows alone",
    "sum_of_rows": "the sum over the rows alone",
    "mean_within_rows": "the mean within each row",
    "sum_within_rows": "the sum within each row",
    "median": "the median",
    "max": "the maximum",
    "min": "the minimum",
}
CONFUSED = (  # functions that are taken for each other
    ("cumprod", "cumsum"),
    ("prod", "sum", "mean"),
    ("sum", "mean", "median", "max", "min"),
    ("log", "log2", "log10"),
    ("sin", "cos"),
    ("cat", "alternate", "stack"),
    ("mean", "mean_of_rows", "mean_within_rows"),
    ("sum", "sum_of_rows", "sum_within_rows"),
)
OPPOSITE = {"+": "-", "-": "+", "*": "/", "/": "*"}
COMPARED = ("<", "<=", ">", ">=", "==")
SPREADS = ("abs", "sqrt", "cumprod", "cumsum", "prod", "sum", "mean", "log", "sin", "cos", "exp")


@dataclass(frozen=True)
class Edit:
    """One change of a formula.

    Args:
        said: the change in words, which follow "you".
        cost: how far-fetched it is; of two explanations with as many edits the cheaper one is told.
        old: the part of the right formula that it changes.
    """

    said: str
    cost: int = 1
    old: Term | None = None


Rewrite = tuple[Edit, Term]


def instead(new: Term, old: Term, cost: int = 1) -> Rewrite:
    """A change that is told by what is written and what should be."""
    return Edit(f"have {written(new)} where the formula has {written(old)}", cost), new


def rewrites(term: Term, names: Mapping[str, bool], axes: int) -> Iterator[Rewrite]:
    """What can be changed at the outermost operation of a formula.

    Args:
        term: the formula.
        names: all other symbols, and whether they have the shape of the value.
        axes: how many axes its value has.
    """
    if term.op == "number":  # told with what it stands in
        return
    if term.op == "name":
        for name, alike in names.items():
            if name != term.name:
                yield instead(named(name), term, 1 if alike else 3)
    if term.op in BINARY:
        yield from other_operations(term, names)
    elif term.parts:
        yield from other_functions(term)
    yield from other_numbers(term)
    yield from brackets_moved(term)
    if term.op not in COMPARED:
        yield from wrapped(term, axes)


def other_numbers(term: Term) -> Iterator[Rewrite]:
    """Other constants among the parts."""
    for place, part in enumerate(term.parts):
        if part.op != "number" or term.op in ("cat", "alternate", "stack"):
            continue
        value = part.value
        likely = (0, 1, 2, value + 1, value - 1, 2 * value, value / 2, value * value, -value)
        for other in dict.fromkeys((*likely, 10 * value, value / 10)):
            if other != value:
                parts = [*term.parts[:place], numeral(other), *term.parts[place + 1 :]]
                yield instead(applied(term.op, *parts), term, 2 if other in likely else 3)


def other_operations(term: Term, names: Iterable[str]) -> Iterator[Rewrite]:
    """Other operators between two parts, the parts the other way round, one of them alone."""
    op, (left, right) = term.op, term.parts
    first, second = written(left), written(right)
    if op in COMPARED:
        for other in COMPARED:
            if other != op:
                yield instead(applied(other, left, right), term)
        return
    if op == "+":
        said = f"subtract {second} where the formula adds it"
        yield Edit(said), applied("-", left, right)
        yield instead(applied("-", right, left), term, 2)
        yield Edit(f"leave out the term {second}"), left
        yield Edit(f"leave out the term {first}"), right
        yield instead(applied("*", left, right), term, 2)
    elif op == "-":
        said = f"add {second} where the formula subtracts it"
        yield Edit(said), applied("+", left, right)
        said = f"subtract the other way round: {second} - {first}"
        yield instead(applied("-", right, left), term)
        yield instead(left, term)
        yield instead(right, term)
        yield instead(applied("neg", right), term, 2)
        yield instead(applied("*", left, right), term, 3)
        yield instead(applied("/", left, right), term, 3)
        yield instead(applied("/", right, left), term, 3)
    elif op == "*":
        yield Edit(f"divide by {second} where the formula multiplies"), applied("/", left, right)
        said = f"divide by {first} where the formula multiplies by it"
        yield Edit(said), applied("/", right, left)
        yield Edit(f"leave out the factor {second}"), left
        yield Edit(f"leave out the factor {first}"), right
        yield instead(applied("+", left, right), term)
        yield instead(applied("-", left, right), term, 2)
    elif op == "/":
        said = f"multiply by {second} where the formula divides by it"
        yield Edit(said), applied("*", left, right)
        said = f"have the fraction upside down: {bracket(right)} / {bracket(left)}"
        yield Edit(said), applied("/", right, left)
        yield Edit(f"do not divide {first} by {second}"), left
        if left.op != "number" or left.value != 1:
            said = f"have 1 where the formula has {first}, above {second}"
            yield Edit(said), applied("/", numeral(1), right)
        else:
            yield instead(right, term)
        yield instead(applied("-", left, right), term, 2)
        yield instead(applied("+", left, right), term, 3)
    elif op == "**":
        square = right.op == "number" and right.value == 2
        yield Edit(f"do not square {first}" if square else f"leave out the power {second}"), left
        yield instead(applied("*", left, right), term)
        yield (
            instead(applied("*", left, left), term, 2)
            if not square
            else instead(applied("abs", left), term)
        )
        if not square:
            yield instead(applied("**", left, applied("neg", right)), term)
        yield instead(applied("**", right, left), term, 3 if square else 2)
    if op in ("+", "-"):
        yield from spare_factors(term, names)


def spare_factors(term: Term, names: Iterable[str]) -> Iterator[Rewrite]:
    """One of two terms doubled or halved, or times a symbol, its root, or what it leaves of 1."""
    left, right = term.parts

    def with_left(new: Term) -> Term:
        return applied(term.op, new, right)

    def with_right(new: Term) -> Term:
        return applied(term.op, left, new)

    for other, build in ((left, with_left), (right, with_right)):
        text = written(other)
        if other.op == "number":
            continue
        yield Edit(f"double {text}", 2), build(applied("*", numeral(2), other))
        yield Edit(f"halve {text}", 2), build(applied("/", other, numeral(2)))
        if other.op != "name":
            continue
        for name in names:
            symbol = named(name)
            rest = applied("-", numeral(1), symbol)
            for factor in (symbol, applied("sqrt", symbol), rest, applied("sqrt", rest)):
                said = f"multiply {text} by {written(factor)} as well"
                yield Edit(said, 3), build(applied("*", factor, other))


def bracket(term: Term) -> str:
    """The text of a part, in brackets unless it is a single word."""
    return f"({written(term)})" if term.op in BINARY else written(term)


def other_functions(term: Term) -> Iterator[Rewrite]:
    """Other functions of the same parts, and the parts without the function."""
    op, first = term.op, term.parts[0]
    text = written(first)
    for alike in CONFUSED:
        if op in alike:
            for other in alike:
                if other == op:
                    continue
                new = applied(other, *term.parts)
                if op in WORDS:
                    said = f"take {WORDS[other]} of {text} where the formula takes {WORDS[op]}"
                    yield Edit(said), new
                else:
                    yield instead(new, term)
    if op == "neg":
        yield Edit(f"leave out the minus before {text}"), first
    elif op == "sqrt":
        yield Edit(f"leave out the root of {text}"), first
        said = f"halve {text} where the formula takes its root"
        yield Edit(said, 2), applied("*", first, numeral(0.5))
        # a slip in x ** 0.5
        for new in (
            applied("/", first, numeral(0.5)),
            applied("**", numeral(0.5), first),
            applied("**", first, numeral(1.5)),
        ):
            yield instead(new, term, 3)
    elif op in WORDS:
        yield Edit(f"leave out {WORDS[op]} of {text}"), first
    elif op in ("cat", "alternate"):
        left, right, axis = term.parts
        yield instead(applied(op, right, left, axis), term)
        yield instead(applied("+", left, right), term)
        yield instead(left, term, 2)
        yield instead(right, term, 2)
        yield instead(applied(op, left, left, axis), term, 2)
        yield instead(applied(op, right, right, axis), term, 2)
        for place in range(4):
            if place != axis.value:
                yield instead(applied(op, left, right, numeral(place)), term)
    elif op in ("index", "until", "arange"):
        for at, part in enumerate(term.parts):
            if op != "arange" and at == 0:
                continue
            for sign in "+-":
                moved = applied(sign, part, numeral(1))
                yield instead(applied(op, *term.parts[:at], moved, *term.parts[at + 1 :]), term)
        if op != "arange":
            yield instead(first, term, 2)
    if op in ("sin", "cos"):
        said = f"take the angle {text} in degrees"
        yield Edit(said, 2), applied(op, applied("radians", first))
        turns = applied("*", applied("*", numeral(2), numeral(np.pi)), first)
        yield Edit(f"multiply the angle {text} by 2 pi", 2), applied(op, turns)


def brackets_moved(term: Term) -> Iterator[Rewrite]:
    """The same operations, carried out in another order."""
    op = term.op
    if op in "+-*/" and op in BINARY:
        left, right = term.parts
        if right.op in OPPOSITE and (op, right.op) not in (("+", "+"), ("+", "-"), ("*", "*")):
            inner, outer = right.parts
            yield instead(applied(right.op, applied(op, left, inner), outer), term)
        if left.op in OPPOSITE and (left.op, op) not in (("+", "+"), ("*", "*"), ("*", "/")):
            inner, outer = left.parts
            yield instead(applied(left.op, inner, applied(op, outer, right)), term)
            if left.op in "*/" and op in "+-":
                yield instead(applied(left.op, applied(op, inner, right), outer), term)
        if left.op in ("+", "-") and op in ("+", "-") and left.parts[1].op in ("*", "/"):
            start, product = left.parts
            factor, other = product.parts
            more = applied(product.op, factor, applied(op, other, right))
            yield instead(applied(left.op, start, more), term)
    inside = term.parts[0] if term.parts else term
    square = op == "**" and term.parts[1].op == "number" and term.parts[1].value == 2
    if op not in SPREADS and not square:
        return

    def outside(part: Term) -> Term:
        return applied(op, part, *term.parts[1:])

    if inside.op in OPPOSITE:
        first, second = inside.parts
        for new in (
            applied(inside.op, outside(first), second),
            applied(inside.op, first, outside(second)),
            applied(inside.op, outside(first), outside(second)),
        ):
            yield instead(new, term)
    elif inside.op in SPREADS or inside.op == "**":
        rest = inside.parts[1:]
        yield instead(applied(inside.op, outside(inside.parts[0]), *rest), term)


def wrapped(term: Term, axes: int) -> Iterator[Rewrite]:
    """A root, a square, a sign and the like, where there is none."""
    text = written(term)
    whole = f"where the formula has {text} itself"
    if not (term.op == "**" and term.parts[1].op == "number" and term.parts[1].value == 2):
        yield Edit(f"take the root of {text}, {whole}"), applied("sqrt", term)
    if term.op != "sqrt":
        yield Edit(f"square {text}, {whole}"), applied("**", term, numeral(2))
    if not (term.op == "-" and term.parts[0].op == "number"):
        yield instead(applied("-", numeral(1), term), term, 2)
    if term.op != "/":
        yield instead(applied("/", numeral(1), term), term, 2)
    if term.op != "neg":
        yield Edit(f"have {text} with the opposite sign", 2), applied("neg", term)
    if axes:
        said = f"use the first entry of {text} for all of them"
        yield Edit(said, 2), applied("index", term, numeral(0))
        for op, low in (("clip", -1), ("clip01", 0)):
            yield Edit(f"clip {text} to [{low}, 1]", 3), applied(op, term)
        for op in ("mean", "sum"):
            if term.op != op:
                yield Edit(f"take {WORDS[op]} of {text}, {whole}", 3), applied(op, term)
    if axes == 1:
        yield Edit(f"take {text} in the reverse order", 3), applied("flip", term)
    if axes == 2:
        yield Edit(f"use the first column of {text} for all of them", 3), applied("column", term)
        for op in ("mean_within_rows", "sum_within_rows"):
            yield Edit(f"take {WORDS[op]} of {text}, {whole}", 3), applied(op, term)


def added_at_the_end(result: Term, names: Sequence[str], axes: int) -> Iterator[Rewrite]:
    """What is done to a whole result: factors and terms that it is given, and functions of it."""
    text = written(result)
    for name in names:
        for op, said in (
            ("*", f"multiply {text} by {name} as well"),
            ("/", f"divide {text} by {name} as well"),
            ("+", f"add {name} as well"),
            ("-", f"subtract {name} as well"),
        ):
            yield Edit(said, 2), applied(op, result, named(name))
    for op, said in (("+", "add 1 to"), ("-", "subtract 1 from")):
        yield Edit(f"{said} {text}", 3), applied(op, result, numeral(1))
    yield Edit(f"double {text}", 2), applied("*", numeral(2), result)
    yield Edit(f"halve {text}", 2), applied("/", result, numeral(2))
    for op in ("abs", "log", "log10", "exp"):
        yield instead(applied(op, result), result, 3)
    if axes:
        for op in ("cumprod", "cumsum"):
            yield Edit(f"take {WORDS[op]} of {text}", 3), applied(op, result)
