"""A wrong answer as the right formula with an edit or two.

The formulas that a `Search` finds to agree with an answer on one case are tried on every case.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from marking.edits import FAR_FETCHED, OPPOSITE, Edit, added_at_the_end
from marking.exercise import Formula
from marking.formula import (
    NO_VALUE,
    Scope,
    Term,
    applied,
    named,
    numeral,
    parse,
    written,
)
from marking.outcome import SHAPE_ERRORS, Array, Outcome, scale
from marking.search import (
    Block,
    Search,
    Setting,
    merged,
    mixes_places,
    names_used,
    settings,
    thinned,
    throughout,
)

MOST_EDITS = 2
ANOTHER = "return "  # begins what is said of a formula that is no edit of the right one
ENOUGH = 30  # numbers, to tell which distribution they are drawn from
TRIED = 400  # of the formulas that agree on one case, how many are tried on the others
DIVISION_ERRORS = ("ZeroDivisionError", "OverflowError", "ValueError")  # arrays hold inf or NaN


@dataclass(frozen=True)
class Edited:
    """A formula that has the outcomes of an answer.

    Args:
        edits: what is changed.
        setting: what its names stand for.
        results: its results.
        right: those of the right formula.
        where: the definitions of the right formula.
    """

    edits: tuple[Edit, ...]
    setting: Setting
    results: tuple[Term, ...]
    right: tuple[Term, ...]
    where: Mapping[str, Term]

    def said(self) -> str:
        """The edits as a sentence without a capital and a full stop."""
        told = list(dict.fromkeys(edit.said for edit in self.edits))
        return "you " + ", ".join([*told[:-2], ", and ".join(told[-2:])])

    def near(self) -> bool:
        """Whether it is the right formula with something changed, and not another one."""
        return not any(edit.said.startswith(ANOTHER) for edit in self.edits)

    def outcome(self, values: Mapping[str, Array]) -> Outcome:
        """What the edited formula gives for the arguments of a case."""
        scope = self.setting.scope(values)
        if scope is None:
            return Outcome(None, error_name="IndexError")
        try:
            with np.errstate(all="ignore"):
                value = tuple(scope.value(term) for term in self.results)
        except NO_VALUE as error:
            return Outcome(None, error=str(error), error_name="ValueError")
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
        if not fits(value.shape, own.shape):
            return None
        own = own.reshape(value.shape)
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


def fits(shape: tuple[int, ...], own: tuple[int, ...]) -> bool:
    """Whether an array has the shape of a formula's value, perhaps with axes of length 1 after it,
    which a formula does not write.
    """
    return own == shape or (bool(shape) and own == shape + (1,) * (len(own) - len(shape)))


@dataclass(frozen=True)
class Candidate:
    """A formula that agrees with one result of an answer wherever it gives numbers.

    Args:
        edits: how many edits it is away from the right one.
        changes: which.
        result: the formula.
        distance: how far its numbers are from the answer's, at most.
    """

    edits: int
    changes: tuple[Edit, ...]
    result: Term
    distance: float

    @property
    def cost(self) -> int:
        """How far-fetched it is."""
        return sum(edit.cost for edit in self.changes)


def simplest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The fewest edits first, then those that agree most closely, then the simplest."""
    near = 10 * min((one.distance for one in candidates), default=0) + 1e-7
    return sorted(
        candidates,
        key=lambda one: (one.edits, one.distance > near, one.cost, len(written(one.result))),
    )


class Editor:
    """Finds the fewest edits of a formula that have the outcomes of an answer."""

    def __init__(self, formula: Formula, arguments: Sequence[str], trial: Trial) -> None:
        self.right = tuple(parse(text) for text in formula.results)
        self.where = {name: parse(text) for name, text in formula.where.items()}
        self.arguments = arguments
        self.trial = trial

    def fewest(self, thorough: bool = True) -> Edited | None:
        """The edited formula with the fewest and simplest edits, if there is one.

        Args:
            thorough: whether to look for two edits of one result too, which takes longer.
        """
        place = self.trial.probe(len(self.right))
        if place is None:
            return None
        plain = [Setting(self.right, self.where)]
        with np.errstate(all="ignore"):
            everywhere = self.settings(plain, place)
            changed = list(throughout(plain[0]))
            once: list[tuple[list[Setting], int, int]] = [
                (plain, 1, 0),
                (everywhere, 0, 0),
                (changed, 0, 0),
            ]
            found = [self.best(tried, place, most, symbols) for tried, most, symbols in once]
            known = [one for one in found if one is not None]
            if known or not thorough:
                return min(known, key=lambda one: len(one.edits), default=None)
            twice = [
                (plain, 1, 2),
                (plain, MOST_EDITS, 0),
                (everywhere, 1, 0),
                (self.settings(changed, place), 0, 0),
                (plain, MOST_EDITS, 3),
            ]
            for tried, most, symbols in twice:
                one = self.best(tried, place, most, symbols)
                if one is not None:
                    return one
        return None

    def settings(self, changed: Sequence[Setting], place: int) -> list[Setting]:
        """Some settings, each with one more change that is made everywhere."""
        found: list[Setting] = []
        for one in changed:
            scope = one.scope(self.trial.cases[place])
            if scope is not None:
                found += settings(one, scope, self.arguments)
        return found

    def drawn(self) -> tuple[str, bool] | None:
        """The argument in place of which an answer draws numbers, and whether they are uniform.

        A result that is linear in an argument tells what was put there. It is told only if that has
        nothing to do with the argument itself, and of one argument alone. None otherwise.
        """
        found = []
        for name in self.arguments:
            pairs = [self.used_for(name, place) for place in range(len(self.trial.cases))]
            known = [pair for pair in pairs if pair is not None]
            if len(known) < len(pairs):
                continue
            used, given = (np.concatenate(side) for side in zip(*known))
            if used.size < ENOUGH or abs(np.corrcoef(used, given)[0, 1]) > 4 / np.sqrt(used.size):
                continue
            if used.min() >= 0 and used.max() <= 1:
                found.append((name, True))
            elif abs(used.mean()) < 4 / np.sqrt(used.size) and abs(used.std() - 1) < 4 / np.sqrt(
                2 * used.size
            ):
                found.append((name, False))
        return found[0] if len(found) == 1 else None

    def used_for(self, name: str, place: int) -> tuple[Array, Array] | None:
        """What a result that is linear in an argument was worked out with in place of it, and the
        argument; None if the result does not tell.
        """
        values, own = self.trial.cases[place], self.trial.own[place].value
        if own is None or len(own) != 1 or values[name].shape != own[0].shape:
            return None
        plain = Setting(self.right, self.where)
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
        used = (own[0] - at[0]) / np.where(slope == 0, 1, slope)
        return used[there], values[name][there]

    def best(self, tried: Sequence[Setting], place: int, most: int, symbols: int) -> Edited | None:
        """The best explanation in some settings.

        Args:
            tried: the settings.
            place: the case to search on.
            most: how many more edits a result may have.
            symbols: how many symbols another formula may have, which is no edit of the right one.
        """
        by_shapes: dict[object, list[tuple[Setting, Scope]]] = {}
        for setting in tried:
            scope = setting.scope(self.trial.cases[place])
            if scope is not None:
                shapes = tuple((name, value.shape) for name, value in scope.values.items())
                key = (shapes, scope.from_the_right, setting.results)
                by_shapes.setdefault(key, []).append((setting, scope))
        ranked: list[tuple[tuple[int, int, int], Setting, list[list[Candidate]]]] = []
        for group in by_shapes.values():
            ranked += self.hits(group, place, most, symbols)
        ranked.sort(key=lambda item: item[0])
        for _, setting, candidates in ranked[:TRIED]:
            found = self.confirmed(setting, candidates)
            if found is not None:
                return found
        return None

    def hits(
        self, group: Sequence[tuple[Setting, Scope]], place: int, most: int, symbols: int
    ) -> Iterator[tuple[tuple[int, int, int], Setting, list[list[Candidate]]]]:
        """The settings in which each result has formulas that agree on one case."""
        scopes = [scope for _, scope in group]
        own = self.trial.own[place].value or ()
        results = group[0][0].results
        alike = not scopes[0].from_the_right and not any(map(mixes_places, results))
        if alike and all(array.ndim == 4 for array in own):
            scopes = [Scope({n: thinned(value) for n, value in s.values.items()}) for s in scopes]
            own = tuple(thinned(array) for array in own)
        shapes = {name: value.shape for name, value in scopes[0].values.items()}
        changed = len(group[0][0].edits)
        # two far-fetched changes would explain anything
        most_cost = FAR_FETCHED if most + changed < 2 else FAR_FETCHED - 1
        search = Search(scopes, scopes[0].from_the_right, shapes, most_cost)
        everywhere = [[one.scope(case) for case in self.trial.cases] for one, _ in group]
        found: list[list[list[Candidate]]] = []  # by result, by setting
        levels = range(0 if symbols and len(own) == 1 else most + 1)
        for at_result, (term, array) in enumerate(zip(results, own)):
            of_result: list[list[Candidate]] = [[] for _ in group]
            for edits in levels:
                agreeing = self.agreeing(search, term, edits, array)
                for at, new, changes in itertools.islice(agreeing, TRIED):
                    distance = self.furthest(everywhere[at], at_result, new)
                    if distance is not None:
                        of_result[at].append(Candidate(edits, changes, new, distance))
                if all(of_result):
                    break
            if symbols and not of_result[0]:
                which = f" as result {at_result + 1}" if len(own) > 1 else ""
                for new in self.short(search, array, symbols):
                    distance = self.furthest(everywhere[0], at_result, new)
                    if distance is not None:
                        edit = Edit(f"{ANOTHER}{written(new)}{which}", len(written(new)), term)
                        of_result[0].append(Candidate(MOST_EDITS + 1, (edit,), new, distance))
            found.append(of_result)
        for at, (setting, _) in enumerate(group):
            candidates = [simplest_first(of_result[at]) for of_result in found]
            if all(candidates):
                best = [of_result[0] for of_result in candidates]
                edits = len(setting.edits) + sum(one.edits for one in best)
                cost = sum(edit.cost for edit in setting.edits) + sum(one.cost for one in best)
                length = setting.length() + sum(len(written(one.result)) for one in best)
                yield (edits, cost, length), setting, candidates

    def agreeing(
        self, search: Search, term: Term, edits: int, own: Array
    ) -> Iterator[tuple[int, Term, tuple[Edit, ...]]]:
        """The formulas so many edits away that agree with a result, and the scope they do in."""
        numbers = np.isfinite(own)
        tolerance = self.trial.tolerance * scale(own[numbers])
        ends = list(added_at_the_end(term, list(search.shapes), own.ndim))
        for block in search.away(term, edits, ends):
            if not fits(block.shape, own.shape):
                continue
            as_wide, there = own.reshape(block.shape), numbers.reshape(block.shape)
            away = np.abs(block.values - as_wide)[..., there]
            away = away.reshape(*block.values.shape[:2], -1)
            for at, place in np.argwhere((away <= tolerance).all(axis=2)):
                scopes = range(len(search.scopes)) if len(block.values) == 1 else [int(at)]
                for scope in scopes:
                    yield scope, *block.found(int(place))

    def short(self, search: Search, own: Array, symbols: int) -> Iterator[Term]:
        """The formulas of a few symbols that agree with a result on one case."""
        plain = [block for name in search.shapes for block in search.away(named(name), 0)]
        small = [*plain, *search.away(numeral(2), 0)]
        for block in plain:
            ((_, leaf),) = block.sources
            symbol, _ = leaf(0)
            rest = applied("-", numeral(1), symbol)
            for new in (
                applied("sqrt", symbol),
                applied("**", symbol, numeral(2)),
                rest,
                applied("sqrt", rest),
            ):
                small += search.away(new, 0)
        plain, small = merged(plain), merged(small)
        pairs = merged(list(self.combined(search, plain, plain)))
        tolerance = self.trial.tolerance * scale(own)
        functions = [
            block
            for pair in pairs
            for op in ("abs", "sqrt", "neg", "mean")
            for block in search.applied(op, [pair])
        ]
        of_two: Iterable[Block] = [*small, *pairs, *functions]
        of_three = itertools.chain(
            self.combined(search, small, small),
            self.combined(search, pairs, small),
            self.combined(search, small, pairs),
        )
        for block in of_two if symbols == 2 else of_three:
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
        """The first choice of candidates, one for each result, that agrees on every case: in errors
        too, and not with the right answer.
        """
        for chosen in itertools.islice(itertools.product(*candidates), TRIED):
            edits = setting.edits + sum((one.changes for one in chosen), ())
            results = tuple(one.result for one in chosen)
            found = Edited(edits, setting, results, self.right, self.where)
            outcomes = [found.outcome(values) for values in self.trial.cases]
            agree = all(self.trial.agrees(at, outcome) for at, outcome in enumerate(outcomes))
            if edits and agree and self.trial.tells_apart(outcomes):
                return found
        return None

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
            except NO_VALUE:
                return None
            if distance is None:
                return None
            furthest = max(furthest, distance)
        return furthest
