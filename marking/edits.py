"""A wrong answer as the right formula with one or two things changed.

`rewrites` lists what can be changed at one place of a formula. `Search` works out all formulas that
are one or two changes away, many at once, on one case. What agrees there is tried on every case.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from marking.exercise import Formula
from marking.formula import (
    BINARY,
    OPERATIONS,
    UNARY,
    Scope,
    Term,
    applied,
    from_the_left,
    named,
    number,
    parse,
    scope_of,
    written,
)
from marking.outcome import SHAPE_ERRORS, Array, Outcome, scale

MOST_EDITS = 2
ENOUGH = 30  # numbers, to tell which distribution they are drawn from
TRIED = 400  # of the formulas that agree on one case, how many are tried on the others
DIVISION_ERRORS = (
    "ZeroDivisionError",
    "OverflowError",
    "ValueError",
)  # where arrays hold inf or NaN

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
    ("cat", "alternate"),
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


def rewrites(term: Term, names: Sequence[str], axes: int) -> Iterator[Rewrite]:
    """What can be changed at the outermost operation of a formula.

    Args:
        term: the formula.
        names: for a name the symbols that it may be taken for, for an operation all symbols.
        axes: how many axes its value has.
    """
    if term.op == "number":
        yield from other_numbers(term)
        return
    if term.op == "name":
        for name in names:
            yield instead(named(name), term)
    if term.op in BINARY:
        yield from other_operations(term, names)
    elif term.parts:
        yield from other_functions(term)
    yield from brackets_moved(term)
    if term.op not in COMPARED:
        yield from wrapped(term, axes)


def other_numbers(term: Term) -> Iterator[Rewrite]:
    """Other constants."""
    value = term.value
    if not value:
        yield instead(number(1), term, 2)
        return
    others = (0, 1, 2, value + 1, value - 1, 2 * value, value / 2, value * value, -value)
    far = (10 * value, value / 10)
    for candidate in dict.fromkeys((*others, *far)):
        if candidate != value:
            yield instead(number(candidate), term, 2 if candidate in others else 3)


def other_operations(term: Term, names: Sequence[str]) -> Iterator[Rewrite]:
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
            yield Edit(said), applied("/", number(1), right)
        else:
            yield instead(right, term)
        yield instead(applied("-", left, right), term, 2)
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
            yield instead(applied("**", right, left), term, 2)
            yield instead(applied("**", left, applied("neg", right)), term)
    if op in ("+", "-"):
        yield from spare_factors(term, names)


def spare_factors(term: Term, names: Sequence[str]) -> Iterator[Rewrite]:
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
        yield Edit(f"double {text}", 2), build(applied("*", number(2), other))
        yield Edit(f"halve {text}", 2), build(applied("/", other, number(2)))
        if other.op != "name":
            continue
        for name in names:
            symbol = named(name)
            rest = applied("-", number(1), symbol)
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
    elif op in WORDS:
        yield Edit(f"leave out {WORDS[op]} of {text}"), first
    elif op in ("cat", "alternate"):
        left, right, axis = term.parts
        yield instead(applied(op, right, left, axis), term)
        yield instead(applied("+", left, right), term)
        yield instead(left, term, 2)
        yield instead(right, term, 2)
        for other in range(4):
            if other != axis.value:
                yield instead(applied(op, left, right, number(other)), term)
    elif op in ("index", "until", "arange"):
        for place, part in enumerate(term.parts):
            if op != "arange" and place == 0:
                continue
            for sign in "+-":
                moved = applied(sign, part, number(1))
                yield instead(
                    applied(op, *term.parts[:place], moved, *term.parts[place + 1 :]), term
                )
        if op != "arange":
            yield instead(first, term, 2)
    if op in ("sin", "cos"):
        said = f"take the angle {text} in degrees"
        yield Edit(said, 2), applied(op, applied("radians", first))
        turns = applied("*", number(2 * np.pi), first)
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
        yield Edit(f"square {text}, {whole}"), applied("**", term, number(2))
    if not (term.op == "-" and term.parts[0].op == "number"):
        yield instead(applied("-", number(1), term), term, 2)
    if term.op != "/":
        yield instead(applied("/", number(1), term), term, 2)
    if term.op != "neg":
        yield Edit(f"have {text} with the opposite sign", 2), applied("neg", term)
    if axes:
        said = f"use the first entry of {text} for all of them"
        yield Edit(said, 2), applied("index", term, number(0))
        for op in ("clip", "clip01"):
            yield instead(applied(op, term), term, 3)
        for op in ("mean", "sum"):
            if term.op != op:
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
        yield Edit(f"{said} {text}", 3), applied(op, result, number(1))
    yield Edit(f"double {text}", 2), applied("*", number(2), result)
    yield Edit(f"halve {text}", 2), applied("/", result, number(2))
    for op in ("abs", "log", "log10", "exp"):
        yield instead(applied(op, result), result, 3)
    if axes:
        for op in ("cumprod", "cumsum"):
            yield Edit(f"take {WORDS[op]} of {text}", 3), applied(op, result)
        yield Edit(f"take {text} in the reverse order", 3), applied("flip", result)


@dataclass(frozen=True)
class Setting:
    """What the names of a formula stand for, perhaps changed everywhere.

    Args:
        edits: the changes.
        args: what is taken for an argument, by its name.
        where: the definitions of the other symbols.
        from_the_right: whether shapes are matched from the right.
    """

    where: Mapping[str, Term]
    edits: tuple[Edit, ...] = ()
    args: Mapping[str, Term] = field(default_factory=dict)
    from_the_right: bool = False

    def scope(self, values: Mapping[str, Array]) -> Scope | None:
        """The values of all names for the arguments of a case, or None if they have none."""
        given = Scope(values)
        try:
            taken = {name: given.value(term) for name, term in self.args.items()}
        except (ValueError, IndexError):
            return None
        return scope_of({**values, **taken}, self.where, self.from_the_right)


def names_in(term: Term) -> Iterator[str]:
    """The names that a formula contains, each as often as it stands there."""
    if term.op == "name":
        yield term.name
    for part in term.parts:
        yield from names_in(part)


def names_used(results: Sequence[Term], where: Mapping[str, Term]) -> list[str]:
    """The names that results depend on, through definitions too, as often as they occur."""
    found = [name for term in results for name in names_in(term)]
    for name in reversed(list(where)):
        if name in found:
            found += names_in(where[name])
    return found


def settings(
    results: Sequence[Term], where: Mapping[str, Term], scope: Scope, arguments: Sequence[str]
) -> Iterator[Setting]:
    """The changes that are made wherever a name occurs."""
    used = names_used(results, where)
    shapes = {name: value.shape for name, value in scope.values.items()}
    present = [name for name in arguments if name in used]
    for one, other in itertools.combinations(present, 2):
        if shapes[one] == shapes[other]:
            swapped = {one: named(other), other: named(one)}
            yield Setting(where, (Edit(f"swap {one} and {other}"),), swapped)
    for name in present:
        if used.count(name) < 2:
            continue
        near = [other for other in arguments if other != name and shapes[other] == shapes[name]]
        for edit, new in rewrites(named(name), near, len(shapes[name])):
            if edit.said.startswith("have"):
                edit = Edit(f"{edit.said}, everywhere", edit.cost)
            yield Setting(where, (edit,), {name: new})
        for sign in "+-":
            edit, new = instead(applied(sign, named(name), number(1)), named(name), 2)
            yield Setting(where, (Edit(f"{edit.said}, everywhere", 2),), {name: new})
    for name, term in where.items():
        if name not in used or name not in shapes:
            continue
        near = [other for other in shapes if other != name and shapes[other] == shapes[name]]
        changed = [instead(named(other), named(name)) for other in near if used.count(name) > 1]
        search = Search([scope], scope.from_the_right, earlier(shapes, where, name))
        changed += [(edit, new) for edit, new in search.single(term)]
        for edit, new in changed:
            told = Edit(f"{edit.said}, in {name}", edit.cost)
            yield Setting({**where, name: new}, (told,))
    if len({len(shape) for shape in shapes.values()} - {0}) > 1:
        told = Edit("match the axes from the right, so that a row's number meets a column", 2)
        yield Setting(where, (told,), from_the_right=True)


def earlier(
    shapes: Mapping[str, tuple[int, ...]], where: Mapping[str, Term], name: str
) -> dict[str, tuple[int, ...]]:
    """The names that a definition may use: arguments, and symbols defined before it."""
    order = list(where)
    later = set(order[order.index(name) :])
    return {one: shape for one, shape in shapes.items() if one not in later}


Found = tuple[Term, tuple[Edit, ...]]


@dataclass(frozen=True)
class Block:
    """The values of many formulas of one shape, under several scopes.

    Args:
        values: (scopes, formulas, *shape); one scope stands for all of them if they agree.
        sources: how many formulas each source has, and which edits lead to each of them.
    """

    values: Array
    sources: tuple[tuple[int, Callable[[int], Found]], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one value."""
        return self.values.shape[2:]

    def found(self, place: int) -> Found:
        """The formula at a place, and the edits that led to it."""
        ends = list(itertools.accumulate(count for count, _ in self.sources))
        source = bisect_right(ends, place)
        return self.sources[source][1](place - (ends[source - 1] if source else 0))


def merged(blocks: Sequence[Block]) -> list[Block]:
    """One block for each shape."""
    by_shape: dict[tuple[int, ...], list[Block]] = {}
    for block in blocks:
        by_shape.setdefault(block.shape, []).append(block)
    together = []
    for shape, alike in by_shape.items():
        scopes = max(len(block.values) for block in alike)
        values = [
            np.broadcast_to(block.values, (scopes, block.values.shape[1], *shape))
            for block in alike
        ]
        sources = tuple(source for block in alike for source in block.sources)
        together.append(Block(np.concatenate(values, axis=1), sources))
    return together


class Search:
    """Formulas that are so many edits away, and their values under several scopes at once."""

    def __init__(
        self,
        scopes: Sequence[Scope],
        from_the_right: bool,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.scopes = scopes
        self.from_the_right = from_the_right
        self.shapes = shapes  # of the names that may be taken for each other
        self.known: dict[tuple[Term, int], list[Block]] = {}
        self.changes: dict[Term, list[Rewrite]] = {}

    def single(self, term: Term) -> Iterator[tuple[Edit, Term]]:
        """Each formula that is one edit away."""
        for block in self.blocks(term, 1):
            for place in range(block.values.shape[1]):
                new, (edit,) = block.found(place)
                yield edit, new

    def rewrites(self, term: Term) -> list[Rewrite]:
        """What can be changed at the outermost operation."""
        if term not in self.changes:
            plain = self.blocks(term, 0)
            axes = len(plain[0].shape) if plain else 0
            near = [
                name
                for name, shape in self.shapes.items()
                if term.op != "name" or (name != term.name and shape == self.shapes.get(term.name))
            ]
            self.changes[term] = list(rewrites(term, near, axes))
        return self.changes[term]

    def blocks(self, term: Term, edits: int) -> list[Block]:
        """The formulas that are exactly so many edits away, a block for each shape."""
        key = (term, edits)
        if key not in self.known:
            self.known[key] = merged(list(self.away(term, edits)))
        return self.known[key]

    def away(self, term: Term, edits: int, at_the_end: Sequence[Rewrite] = ()) -> Iterator[Block]:
        """The formulas that are exactly so many edits away, block by block.

        Args:
            term: the formula.
            edits: how many.
            at_the_end: more changes of the whole of it.
        """
        if term.parts:
            for split in splits(edits, len(term.parts)):
                choices = [self.blocks(part, share) for part, share in zip(term.parts, split)]
                for chosen in itertools.product(*choices):
                    yield from self.applied(term.op, chosen)
        elif edits == 0:
            yield from self.leaf(term)
        if edits > 0:
            for edit, new in [*self.rewrites(term), *at_the_end]:
                if edits > 1 and edit.cost > 2:  # two far-fetched changes would explain anything
                    continue
                for block in self.away(new, edits - 1):
                    found = told(block, edit, term)
                    yield Block(block.values, ((block.values.shape[1], found),))

    def leaf(self, term: Term) -> list[Block]:
        """The value of a number or a name."""
        if term.op == "number":
            values = np.full((1, 1), float(term.value))
        elif all(term.name in scope.values for scope in self.scopes):
            values = np.stack([scope.values[term.name] for scope in self.scopes])[:, None]
        else:
            return []
        return [Block(values, ((1, lambda _place: (term, ())),))]

    def applied(self, op: str, chosen: Sequence[Block]) -> list[Block]:
        """An operation on each choice of its parts."""
        counts = [block.values.shape[1] for block in chosen]

        def found(place: int) -> Found:
            places = np.unravel_index(place, counts)
            parts = [block.found(int(one)) for block, one in zip(chosen, places)]
            return applied(op, *(term for term, _ in parts)), sum((e for _, e in parts), ())

        if op in UNARY or op in BINARY:
            try:
                values = self.entry_by_entry(op, [block.values for block in chosen])
            except ValueError:  # these shapes do not fit
                return []
            return [Block(values, ((values.shape[1], found),))]
        return self.one_by_one(op, chosen, counts, found)

    def entry_by_entry(self, op: str, values: Sequence[Array]) -> Array:
        """An operation on entries, on all choices at once."""
        if op in UNARY:
            return UNARY[op](values[0])
        one, other = values[0][:, :, None], values[1][:, None]
        if self.from_the_right:
            one, other = from_the_right(one, other, 3)
        else:
            one, other = from_the_left(one, other)
        result = BINARY[op](one, other)
        return result.reshape(len(result), -1, *result.shape[3:])

    def one_by_one(
        self,
        op: str,
        chosen: Sequence[Block],
        counts: Sequence[int],
        found: Callable[[int], Found],
    ) -> list[Block]:
        """An operation on whole arrays, on one choice after the other."""
        scopes = max(len(block.values) for block in chosen)
        blocks = []
        for place, places in enumerate(itertools.product(*map(range, counts))):
            rows = []
            for scope in range(scopes):
                parts = [
                    block.values[scope if len(block.values) > 1 else 0, one]
                    for block, one in zip(chosen, places)
                ]
                try:
                    rows.append(np.asarray(OPERATIONS[op](*parts), dtype=float))
                except (ValueError, IndexError, OverflowError):
                    break
            if len(rows) == scopes and len({row.shape for row in rows}) == 1:
                values = np.stack(rows)[:, None]
                blocks.append(Block(values, ((1, partial(shifted, found, place)),)))
        return blocks


def shifted(found: Callable[[int], Found], start: int, place: int) -> Found:
    """A formula from a place on."""
    return found(start + place)


def told(block: Block, edit: Edit, old: Term) -> Callable[[int], Found]:
    """The formulas of a block, with one more edit, which made them from an old formula."""

    def found(place: int) -> Found:
        term, edits = block.found(place)
        inside = set(parts_of(old))
        if all(later.old in inside for later in edits):
            return term, (replace(edit, old=old), *edits)
        # a change of what was changed is not a change of the right formula: told as one
        both, _ = instead(term, old, edit.cost + sum(later.cost for later in edits))
        return term, (replace(both, old=old),)

    return found


def parts_of(term: Term) -> Iterator[Term | None]:
    """The parts of a formula and their parts, without the formula itself."""
    for part in term.parts:
        yield part
        yield from parts_of(part)


def thinned(values: Array) -> Array:
    """A few places of each map: enough to tell formulas apart that treat all places alike."""
    return values[:, :, :1, :3] if values.ndim == 4 else values


def splits(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """The ways to spread edits over parts."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in splits(total - first, parts - 1):
            yield (first, *rest)


def from_the_right(one: Array, other: Array, stacked: int) -> tuple[Array, Array]:
    """Two stacks of arrays, the one with fewer axes given more in front of its own."""
    missing = one.ndim - other.ndim
    if missing > 0:
        return one, other.reshape(*other.shape[:stacked], *[1] * missing, *other.shape[stacked:])
    return one.reshape(*one.shape[:stacked], *[1] * -missing, *one.shape[stacked:]), other


@dataclass(frozen=True)
class Edited:
    """A formula that has the outcomes of an answer.

    Args:
        edits: what is changed.
        setting: what its names stand for.
        results: its results.
        formula: the right one.
    """

    edits: tuple[Edit, ...]
    setting: Setting
    results: tuple[Term, ...]
    right: tuple[Term, ...]
    where: Mapping[str, Term]

    def said(self) -> str:
        """The edits as a sentence without a capital and a full stop."""
        told = list(dict.fromkeys(edit.said for edit in self.edits))
        return "you " + ", and ".join(told)

    def outcome(self, values: Mapping[str, Array]) -> Outcome:
        """What the edited formula gives for the arguments of a case."""
        scope = self.setting.scope(values)
        if scope is None:
            return Outcome(None, error_name="IndexError")
        try:
            with np.errstate(all="ignore"):
                value = tuple(scope.value(term) for term in self.results)
        except (ValueError, IndexError) as error:
            return Outcome(None, error=str(error), error_name=type(error).__name__)
        except KeyError:  # a symbol that cannot be worked out
            return Outcome(None, error_name="IndexError")
        return Outcome(value, several=len(value) > 1)

    def beside(self) -> list[tuple[str, str]]:
        """The right formula and the edited one, as text, wherever they differ."""
        pairs = []
        for place, (right, own) in enumerate(zip(self.right, self.results)):
            label = f"result {place + 1}: " if len(self.right) > 1 else ""
            pairs.append(
                (label + written(right), label + written(replaced(own, self.setting.args)))
            )
        for name in names_used(self.right, self.where):
            if name in self.where:
                right, own = self.where[name], self.setting.where[name]
                texts = written(right), written(replaced(own, self.setting.args))
                pairs.append((f"{name} = {texts[0]}", f"{name} = {texts[1]}"))
        return [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]


def replaced(term: Term, args: Mapping[str, Term]) -> Term:
    """A formula with other terms in place of some names."""
    if term.op == "name":
        return args.get(term.name, term)
    return Term(term.op, tuple(replaced(part, args) for part in term.parts), term.value, term.name)


@dataclass(frozen=True)
class Trial:
    """The calls of an answer, and what it gave.

    Args:
        cases: the arguments of each call, by name.
        own: the outcome of each.
        wanted: the right outcome of each.
        tolerance: the largest difference, as a share of the largest number, of what agrees.
    """

    cases: tuple[Mapping[str, Array], ...]
    own: tuple[Outcome, ...]
    wanted: tuple[Outcome, ...]
    tolerance: float

    def distance(self, value: Array, own: Array) -> float | None:
        """How far two arrays are apart, as a share of the largest number; None if too far."""
        if value.shape != own.shape:
            return None
        numbers = np.isfinite(own)
        size = scale(own[numbers])
        if not np.allclose(own, value, rtol=0, atol=self.tolerance * size, equal_nan=True):
            return None
        return float(np.abs(own - value)[numbers].max(initial=0)) / size

    def probe(self, count: int) -> int | None:
        """The case that tells most formulas apart with few numbers, if the answer gives any."""
        able = [
            place
            for place, own in enumerate(self.own)
            if own.value is not None
            and len(own.value) == count
            and all(np.isfinite(array).any() for array in own.value)
        ]

        def rank(place: int) -> tuple[int, bool, bool, int]:
            arrays = [value for value in self.cases[place].values() if value.ndim]
            own = self.own[place].value or ()
            sizes = [array.size for array in own]
            single = any(array.shape[0] == 1 for array in arrays)
            missing = sum(int((~np.isfinite(array)).sum()) for array in own)
            return missing, single, max(sizes) < 3, max([*sizes, *(array.size for array in arrays)])

        return min(able, key=rank, default=None)

    def agrees(self, place: int, outcome: Outcome) -> bool:
        """Whether a formula has the outcome that the answer has on a case."""
        own = self.own[place]
        if own.value is None:
            if outcome.value is None:
                return {own.error_name, outcome.error_name} <= set(SHAPE_ERRORS)
            finite = all(np.isfinite(array).all() for array in outcome.value)
            return own.error_name in DIVISION_ERRORS and not finite
        if outcome.value is None or len(outcome.value) != len(own.value):
            return False
        return all(
            self.distance(value, array) is not None
            for value, array in zip(outcome.value, own.value)
        )

    def tells_apart(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether outcomes differ from the right ones in their numbers on some case."""
        for wanted, outcome in zip(self.wanted, outcomes):
            if outcome.value is None or wanted.value is None:
                continue
            if any(self.distance(a, b) is None for a, b in zip(outcome.value, wanted.value)):
                return True
        return False


Candidate = tuple[int, int, Term, tuple[Edit, ...]]  # edits, their cost, the result, and which


class Editor:
    """Finds the fewest edits of a formula that have the outcomes of an answer."""

    def __init__(self, formula: Formula, arguments: Sequence[str], trial: Trial) -> None:
        self.right = tuple(parse(text) for text in formula.results)
        self.where = {name: parse(text) for name, text in formula.where.items()}
        self.arguments = arguments
        self.trial = trial

    def fewest(self) -> Edited | None:
        """The edited formula with the fewest and simplest edits, if there is one."""
        place = self.trial.probe(len(self.right))
        if place is None:
            return None
        values = self.trial.cases[place]
        plain = Setting(self.where)
        scope = plain.scope(values)
        assert scope is not None
        with np.errstate(all="ignore"):
            everywhere = list(settings(self.right, self.where, scope, self.arguments))
            for tried, most in (
                ([plain], 1),
                (everywhere, 0),
                ([plain], MOST_EDITS),
                (everywhere, 1),
                ([plain], None),
            ):
                found = self.best(tried, place, most)
                if found is not None:
                    return found
        return None

    def drawn(self) -> tuple[str, bool] | None:
        """The argument in place of which an answer draws numbers, and whether they are uniform.

        A result that contains an argument once tells what was put there. None if it is not clear.
        """
        for name in self.arguments:
            used = [self.used_for(name, place) for place in range(len(self.trial.cases))]
            if any(numbers is None for numbers in used):
                continue
            numbers = np.concatenate([one for one in used if one is not None])
            count = numbers.size
            if count < ENOUGH:
                continue
            if numbers.min() >= 0 and numbers.max() <= 1:
                return name, True
            spread = abs(numbers.std() - 1) * np.sqrt(2 * count)
            if abs(numbers.mean()) * np.sqrt(count) < 4 and spread < 4:
                return name, False
        return None

    def used_for(self, name: str, place: int) -> Array | None:
        """What a result that is linear in an argument was worked out with, in place of it."""
        values, own = self.trial.cases[place], self.trial.own[place].value
        if own is None or len(own) != 1 or values[name].shape != own[0].shape:
            return None
        plain = Setting(self.where)
        at = []
        for number_put in (0.0, 1.0, 2.0):
            scope = plain.scope({**values, name: np.full_like(values[name], number_put)})
            assert scope is not None
            with np.errstate(all="ignore"):
                at.append(scope.value(self.right[0]))
        slope = at[1] - at[0]
        if not np.allclose(at[2] - at[1], slope) or not np.isfinite(slope).all():
            return None
        there = np.broadcast_to(np.abs(slope) > 1e-3, own[0].shape)
        return np.asarray(((own[0] - at[0]) / np.where(slope == 0, 1, slope))[there])

    def best(self, tried: Sequence[Setting], place: int, most: int | None) -> Edited | None:
        """The best explanation in some settings, with at most so many more edits of each result;
        with None, other short formulas too.
        """
        by_shapes: dict[object, list[tuple[Setting, Scope]]] = {}
        for setting in tried:
            scope = setting.scope(self.trial.cases[place])
            if scope is not None:
                shapes = tuple((name, value.shape) for name, value in scope.values.items())
                key = (shapes, scope.from_the_right)
                by_shapes.setdefault(key, []).append((setting, scope))
        ranked: list[tuple[tuple[int, int], Setting, list[list[Candidate]]]] = []
        for group in by_shapes.values():
            ranked += self.hits(group, place, most)
        ranked.sort(key=lambda item: item[0])
        for _, setting, candidates in ranked[:TRIED]:
            found = self.confirmed(setting, candidates)
            if found is not None:
                return found
        return None

    def hits(
        self, group: Sequence[tuple[Setting, Scope]], place: int, most: int | None
    ) -> Iterator[tuple[tuple[int, int], Setting, list[list[Candidate]]]]:
        """The settings in which each result has formulas that agree on one case."""
        scopes = [scope for _, scope in group]
        own = self.trial.own[place].value or ()
        if all(array.ndim == 4 for array in own) and not scopes[0].from_the_right:
            scopes = [Scope({n: thinned(value) for n, value in s.values.items()}) for s in scopes]
            own = tuple(thinned(array) for array in own)
        shapes = {name: value.shape for name, value in scopes[0].values.items()}
        search = Search(scopes, scopes[0].from_the_right, shapes)
        found: list[list[list[Candidate]]] = []  # by result, by setting
        for number_of, (term, array) in enumerate(zip(self.right, own)):
            of_result: list[list[Candidate]] = [[] for _ in scopes]
            for edits in range((MOST_EDITS if most is None else most) + 1):
                for at, new, changes in self.agreeing(search, term, edits, array):
                    cost = sum(edit.cost for edit in changes)
                    of_result[at].append((edits, cost, new, changes))
                if all(of_result):
                    break
            if most is None:
                which = f" as result {number_of + 1}" if len(own) > 1 else ""
                for new in self.short(search, array):
                    edit = Edit(f"return {written(new)}{which}", 1, term)
                    of_result[0].append((MOST_EDITS + 1, len(written(new)), new, (edit,)))
            found.append(of_result)
        for at, (setting, _) in enumerate(group):
            candidates = [sorted(of_result[at], key=lambda one: one[:2]) for of_result in found]
            if all(candidates):
                edits = len(setting.edits) + sum(one[0][0] for one in candidates)
                cost = sum(edit.cost for edit in setting.edits) + sum(c[0][1] for c in candidates)
                yield (edits, cost), setting, candidates

    def agreeing(
        self, search: Search, term: Term, edits: int, own: Array
    ) -> Iterator[tuple[int, Term, tuple[Edit, ...]]]:
        """The formulas so many edits away that agree with a result, and the scope they do in."""
        numbers = np.isfinite(own)
        tolerance = self.trial.tolerance * scale(own[numbers])
        ends = list(added_at_the_end(term, list(search.shapes), own.ndim))
        for block in search.away(term, edits, ends):
            if block.shape != own.shape:
                continue
            away = np.abs(block.values - own)[..., numbers].reshape(*block.values.shape[:2], -1)
            for at, place in np.argwhere((away <= tolerance).all(axis=2))[: 5 * TRIED]:
                scopes = range(len(search.scopes)) if len(block.values) == 1 else [int(at)]
                for scope in scopes:
                    yield scope, *block.found(int(place))

    def short(self, search: Search, own: Array) -> Iterator[Term]:
        """The short formulas of all symbols that agree with a result on one case."""
        plain = [block for name in search.shapes for block in search.away(named(name), 0)]
        small = [*plain, *search.away(number(2), 0)]
        for block in plain:
            ((_, leaf),) = block.sources
            symbol, _ = leaf(0)
            rest = applied("-", number(1), symbol)
            for new in (
                applied("sqrt", symbol),
                applied("**", symbol, number(2)),
                rest,
                applied("sqrt", rest),
            ):
                small += search.away(new, 0)
        plain, small = merged(plain), merged(small)
        pairs = merged(list(self.combined(search, plain, plain)))
        tolerance = self.trial.tolerance * scale(own)
        for block in itertools.chain(
            small,
            *(
                search.applied(op, [pair])
                for pair in pairs
                for op in ("abs", "sqrt", "neg", "mean")
            ),
            self.combined(search, small, small),
            self.combined(search, pairs, small),
            self.combined(search, small, pairs),
        ):
            if block.shape == own.shape:
                away = np.abs(block.values[0] - own).reshape(block.values.shape[1], -1)
                for place in np.flatnonzero((away <= tolerance).all(axis=1))[:TRIED]:
                    yield block.found(int(place))[0]

    def combined(
        self, search: Search, some: Sequence[Block], others: Sequence[Block]
    ) -> Iterator[Block]:
        """Every operation on two of some formulas."""
        for one, other in itertools.product(some, others):
            for op in OPPOSITE:
                yield from search.applied(op, [one, other])

    def confirmed(self, setting: Setting, candidates: list[list[Candidate]]) -> Edited | None:
        """The first choice of candidates, one for each result, that agrees on every case."""
        scopes = [setting.scope(values) for values in self.trial.cases]
        good = [
            self.closest(scopes, place, of_result) for place, of_result in enumerate(candidates)
        ]
        for chosen in itertools.islice(itertools.product(*good), TRIED):
            edits = setting.edits + sum((one[3] for one in chosen), ())
            results = tuple(one[2] for one in chosen)
            found = Edited(edits, setting, results, self.right, self.where)
            outcomes = [found.outcome(values) for values in self.trial.cases]
            agree = all(self.trial.agrees(at, outcome) for at, outcome in enumerate(outcomes))
            if edits and agree and self.trial.tells_apart(outcomes):
                return found
        return None

    def closest(
        self, scopes: Sequence[Scope | None], place: int, candidates: list[Candidate]
    ) -> list[Candidate]:
        """The candidates for one result that agree wherever the answer gives numbers: the fewest
        edits first, then those that are right to the last digits, then the simplest.
        """
        good = []
        for candidate in candidates[:TRIED]:
            distance = self.furthest(scopes, place, candidate[2])
            if distance is not None:
                good.append((candidate, distance))
        near = 10 * min((distance for _, distance in good), default=0) + 1e-7
        good.sort(key=lambda one: (one[0][0], one[1] > near, one[0][1], len(written(one[0][2]))))
        return [candidate for candidate, _ in good]

    def furthest(self, scopes: Sequence[Scope | None], place: int, term: Term) -> float | None:
        """How far a formula is from one result over all cases; None if too far."""
        furthest = 0.0
        for scope, own in zip(scopes, self.trial.own):
            if own.value is None:
                continue
            try:
                distance = (
                    None
                    if scope is None or place >= len(own.value)
                    else self.trial.distance(scope.value(term), own.value[place])
                )
            except (ValueError, IndexError, KeyError):
                return None
            if distance is None:
                return None
            furthest = max(furthest, distance)
        return furthest
