"""All formulas that are one or two edits away from the right one, worked out many at once.

`settings` lists what can be changed wherever a name occurs, `Search` what can be changed at places.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import numpy as np

from marking.edits import FAR_FETCHED, Edit, Rewrite, instead, rewrites
from marking.formula import (
    BINARY,
    NO_VALUE,
    OPERATIONS,
    UNARY,
    WHOLE,
    Scope,
    Term,
    applied,
    from_the_left,
    named,
    numeral,
    scope_of,
    written,
)
from marking.outcome import Array


@dataclass(frozen=True)
class Setting:
    """What the names of a formula stand for, perhaps changed everywhere.

    Args:
        results: the formula, perhaps with something changed throughout it.
        where: the definitions of the other symbols.
        edits: the changes.
        args: what is taken for an argument, by its name.
        from_the_right: whether shapes are matched from the right.
    """

    results: tuple[Term, ...]
    where: Mapping[str, Term]
    edits: tuple[Edit, ...] = ()
    args: Mapping[str, Term] = field(default_factory=dict)
    from_the_right: bool = False

    def length(self) -> int:
        """How much there is to read."""
        return sum(len(written(term)) for term in (*self.where.values(), *self.args.values()))

    def scope(self, values: Mapping[str, Array]) -> Scope | None:
        """The values of all names for the arguments of a case, or None if they have none."""
        given = Scope(values)
        try:
            taken = {name: given.value(term) for name, term in self.args.items()}
        except NO_VALUE:
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


def throughout(plain: Setting) -> Iterator[Setting]:
    """What can be changed throughout a formula: all its roots, all that is left of 1."""
    used = set(names_used(plain.results, plain.where))
    parts = [*plain.results, *(term for name, term in plain.where.items() if name in used)]
    inside = [one for part in parts for one in (part, *parts_of(part))]

    def changed(edit: Edit, change: Callable[[Term], Term]) -> Setting:
        results = tuple(rebuilt(term, change) for term in plain.results)
        where = {name: rebuilt(term, change) for name, term in plain.where.items()}
        return Setting(results, where, (edit,))

    if sum(one.op == "sqrt" for one in inside) > 1:
        yield changed(
            Edit("leave out the roots"), lambda one: one.parts[0] if one.op == "sqrt" else one
        )
        yield changed(
            Edit("square where the formula takes roots", 2),
            lambda one: applied("**", one.parts[0], numeral(2)) if one.op == "sqrt" else one,
        )
    if sum(left_of_one(one) for one in inside) > 1:
        yield changed(
            Edit("leave out the 1 - each time", 2),
            lambda one: one.parts[1] if left_of_one(one) else one,
        )


def left_of_one(term: Term) -> bool:
    """Whether it is 1 minus something."""
    return term.op == "-" and term.parts[0].op == "number" and term.parts[0].value == 1


def rebuilt(term: Term, change: Callable[[Term], Term]) -> Term:
    """A formula with a change made at all its parts, from the inside out."""
    if not term.parts:
        return term
    return change(applied(term.op, *(rebuilt(part, change) for part in term.parts)))


def settings(plain: Setting, scope: Scope, arguments: Sequence[str]) -> Iterator[Setting]:
    """The changes that are made wherever a name occurs."""
    where = plain.where
    used = names_used(plain.results, where)
    shapes = {name: value.shape for name, value in scope.values.items()}
    present = [name for name in arguments if name in used]

    def changed(edit: Edit, **changes: Any) -> Setting:
        return replace(plain, edits=(*plain.edits, edit), **changes)

    for one, other in itertools.combinations(present, 2):
        if shapes[one] == shapes[other]:
            swapped = {one: named(other), other: named(one)}
            yield changed(Edit(f"swap {one} and {other}"), args=swapped)
    for name in present:
        for sign in "+-":
            edit, new = instead(applied(sign, named(name), numeral(1)), named(name), 2)
            yield changed(everywhere(edit, used.count(name)), args={name: new})
        if used.count(name) < 2:
            continue
        near = {other: True for other in arguments if shapes[other] == shapes[name]}
        for edit, new in rewrites(named(name), near, len(shapes[name])):
            yield changed(everywhere(edit, used.count(name)), args={name: new})
    for name, term in where.items():
        if name not in used or name not in shapes:
            continue
        taken = [other for other in shapes if other != name and shapes[other] == shapes[name]]
        edited = [instead(named(other), named(name)) for other in taken if used.count(name) > 1]
        edited += [instead(applied(sign, term, numeral(1)), term, 2) for sign in "+-"]
        search = Search([scope], scope.from_the_right, earlier(shapes, where, name))
        edited += search.single(term)
        for edit, new in edited:
            told = Edit(f"{edit.said}, in {name}", edit.cost)
            yield changed(told, where={**where, name: new})
    if len({len(shape) for shape in shapes.values()} - {0}) > 1:
        told = Edit("let the numbers that belong to the rows run along the last axis", 2)
        yield changed(told, from_the_right=True)


def everywhere(edit: Edit, times: int) -> Edit:
    """A change of a name that is made as often as it occurs."""
    more = ", everywhere" if times > 1 and edit.said.startswith("have") else ""
    return Edit(f"{edit.said}{more}", edit.cost)


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
        if len(alike) == 1:
            together += alike
            continue
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
        most_cost: int = FAR_FETCHED,
    ) -> None:
        self.scopes = scopes
        self.from_the_right = from_the_right
        self.shapes = shapes  # of the names that may be taken for each other
        self.most_cost = most_cost  # of an edit
        self.known: dict[tuple[Term, int], list[Block]] = {}
        self.stacks: dict[str, Array] = {}
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
            shape = plain[0].shape if plain else ()
            names = {name: other == shape for name, other in self.shapes.items()}
            self.changes[term] = list(rewrites(term, names, len(shape)))
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
                if edit.cost > self.most_cost:
                    continue
                for block in self.away(new, edits - 1):
                    found = reading(block, edit, term)
                    yield Block(block.values, ((block.values.shape[1], found),))

    def leaf(self, term: Term) -> list[Block]:
        """The value of a number or a name."""
        if term.op == "number":
            values = np.full((1, 1), float(term.value))
        elif all(term.name in scope.values for scope in self.scopes):
            if term.name not in self.stacks:
                stack = np.stack([scope.values[term.name] for scope in self.scopes])
                self.stacks[term.name] = stack[:, None]
            values = self.stacks[term.name]
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
                except NO_VALUE:
                    break
            if len(rows) == scopes and len({row.shape for row in rows}) == 1:
                values = np.stack(rows)[:, None]
                blocks.append(Block(values, ((1, partial(shifted, found, place)),)))
        return blocks


def shifted(found: Callable[[int], Found], start: int, place: int) -> Found:
    """A formula from a place on."""
    return found(start + place)


def reading(block: Block, edit: Edit, old: Term) -> Callable[[int], Found]:
    """The formulas of a block, with one more edit, which made them from an old formula."""

    def found(place: int) -> Found:
        term, edits = block.found(place)
        inside: set[Term | None] = set(parts_of(old))
        if all(later.old in inside for later in edits):
            return term, (replace(edit, old=old), *edits)
        # a change of what was changed is not a change of the right formula: told as one
        both, _ = instead(term, old, edit.cost + sum(later.cost for later in edits))
        return term, (replace(both, old=old),)

    return found


def parts_of(term: Term) -> Iterator[Term]:
    """The parts of a formula and their parts, without the formula itself."""
    for part in term.parts:
        yield part
        yield from parts_of(part)


def mixes_places(term: Term) -> bool:
    """Whether a formula does more than work out each entry for itself."""
    return any(one.op in WHOLE for one in (term, *parts_of(term)))


def thinned(values: Array) -> Array:
    """A few places of each map: enough to tell formulas apart that treat all places alike."""
    return values[:, :, :1, :3] if values.ndim == 4 else values


@cache
def splits(total: int, parts: int) -> tuple[tuple[int, ...], ...]:
    """The ways to spread edits over parts."""
    if parts == 1:
        return ((total,),)
    return tuple(
        (first, *rest) for first in range(total + 1) for rest in splits(total - first, parts - 1)
    )


def from_the_right(one: Array, other: Array, stacked: int) -> tuple[Array, Array]:
    """Two stacks of arrays, the one with fewer axes given more in front of its own."""
    missing = one.ndim - other.ndim
    if missing > 0:
        return one, other.reshape(*other.shape[:stacked], *[1] * missing, *other.shape[stacked:])
    return one.reshape(*one.shape[:stacked], *[1] * -missing, *one.shape[stacked:]), other
