"""Where an answer is right and where it is wrong, and the smallest input that shows it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from marking.diagnosis import entries_right, expected, problem_of
from marking.exercise import Case, Exercise
from marking.outcome import (
    Array,
    Outcome,
    agree,
    copied,
    in_the_form_of,
    same,
    scale,
)
from marking.words import counted

ENOUGH_ROWS = 8  # rows, to say up to where an answer is right
SPECIAL = (0, 1)  # values at which a formula may be right by chance


def where_right(
    exercise: Exercise,
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    place: int,
    shown: Case,
    places: bool = True,
) -> str:
    """On which inputs a wrong answer is right, and where in one on which it is wrong; may be empty.

    Args:
        exercise: the question.
        cases: the inputs drawn.
        outcomes: what the answer gave.
        place: of the case to tell more about.
        shown: the input that is shown: that case, or a part of it.
        places: whether to say at which places it is right, in every case.
    """
    wanted = [expected(exercise, case) for case in cases]
    everywhere = in_every_case(exercise, cases, wanted, outcomes, places)
    if everywhere:
        return everywhere
    here = "Here" if shown is cases[place] else f"In the whole input ({cases[place].description})"
    told = [entries_right(exercise, wanted[place], outcomes[place], here)]
    right = [
        case.description
        for case, want, outcome in zip(cases, wanted, outcomes)
        if not problem_of(exercise, want, outcome)
    ]
    if right:
        told.append(f"The answer is right in other cases: {'; '.join(right)}.")
    return " ".join(part for part in told if part)


@dataclass(frozen=True)
class JudgedRow:
    """One row of a result, in some case: the arguments that belong to it, and whether it is right.

    Args:
        values: the numbers among the arguments, by name.
        place: of the row, counted from 0.
        count: of all rows of the case.
        right: whether its numbers are right.
    """

    values: dict[str, float]
    place: int
    count: int
    right: bool

    @property
    def last(self) -> bool:
        """Whether no row follows."""
        return self.place == self.count - 1


def in_every_case(
    exercise: Exercise,
    cases: Sequence[Case],
    wanted: Sequence[Outcome],
    outcomes: Sequence[Outcome],
    places: bool,
) -> str:
    """For which values of an argument, or at which places, an answer is right: a sentence that
    holds on every input drawn; empty if there is none.
    """
    rows: list[JudgedRow] = []
    for case, want, got in zip(cases, wanted, outcomes):
        of_case = rows_of(exercise, case, want, got)
        if of_case is None:
            return ""
        rows += of_case
    if len(rows) < len(SPECIAL) + 2 or len({row.right for row in rows}) == 1:
        return ""
    found = itertools.chain(
        of_arguments(exercise.arguments, rows), at_places(rows if places else [])
    )
    told = next(found, "")
    return f"It is {told}, on every input drawn." if told else ""


def rows_of(
    exercise: Exercise, case: Case, wanted: Outcome, got: Outcome
) -> list[JudgedRow] | None:
    """The rows of a result, or the whole of it as one; None where it cannot be compared so."""
    if wanted.value is None or got.value is None or got.changed:
        return None
    if [x.shape for x in wanted.value] != [x.shape for x in got.value]:
        return None
    lengths = {len(x) if x.ndim else None for x in wanted.value}
    if len(lengths) > 1 or any(x.size == 0 for x in wanted.value):
        return None
    length = lengths.pop()
    agrees = []
    for want, have in zip(wanted.value, got.value):
        with np.errstate(invalid="ignore"):
            near = np.abs(have.astype(float) - want) <= exercise.tolerance * scale(want)
        agrees.append(near.reshape(length or 1, -1).all(axis=1))
    right = np.all(agrees, axis=0)
    rows = []
    for place in range(length or 1):
        values = {}
        for name, arg in zip(exercise.arguments, case.args):
            value = value_at(arg, place, length)
            if value is not None:
                values[name] = value
        rows.append(JudgedRow(values, place, length or 1, bool(right[place])))
    return rows


def value_at(arg: Any, place: int, length: int | None) -> float | None:
    """The number of an argument that belongs to a row; None if there is no such number."""
    if isinstance(arg, Tensor):
        if arg.numel() == 1:
            return float(arg)
        if length and arg.ndim and len(arg) == arg.numel() == length:
            return float(arg.reshape(-1)[place])
        return None
    return float(arg) if isinstance(arg, int | float) else None


def of_arguments(names: Sequence[str], rows: Sequence[JudgedRow]) -> Iterator[str]:
    """The values of an argument for which rows are right, and no others."""
    right, wrong = ([row for row in rows if row.right is kind] for kind in (True, False))
    common = [name for name in names if all(name in row.values for row in rows)]
    for name in common:
        at_right, at_wrong = ({row.values[name] for row in some} for some in (right, wrong))
        for value in SPECIAL:
            if at_right == {value} and value not in at_wrong:
                yield f"right where {name} = {value}, and wrong everywhere else"
            if at_wrong == {value} and value not in at_right:
                yield f"wrong where {name} = {value}, and right everywhere else"
    for name in common:
        at_right, at_wrong = ({row.values[name] for row in some} for some in (right, wrong))
        whole = all(value.is_integer() for value in at_right | at_wrong)
        if not whole or len(rows) < ENOUGH_ROWS or min(len(at_right), len(at_wrong)) < 2:
            continue
        if max(at_right) < min(at_wrong):
            yield (
                f"right up to {name} = {max(at_right):g}, and wrong from {name} ="
                f" {min(at_wrong):g} on"
            )
        if max(at_wrong) < min(at_right):
            yield (
                f"wrong up to {name} = {max(at_wrong):g}, and right from {name} ="
                f" {min(at_right):g} on"
            )


def at_places(rows: Sequence[JudgedRow]) -> Iterator[str]:
    """The places at which rows are right, and no others."""
    right, wrong = ([row for row in rows if row.right is kind] for kind in (True, False))
    if not right or not wrong:
        return
    start = min(row.place for row in wrong)
    if all(row.place < start for row in right) and start > 0:
        which = "the first entry" if start == 1 else f"the first {start} entries"
        yield f"right in {which}, and wrong after that"
    if all(row.place == 0 for row in wrong) and not any(row.place == 0 for row in right):
        yield "wrong in the first entry, and right in all others"
    for kind, other, some, others in (
        ("right", "wrong", right, wrong),
        ("wrong", "right", wrong, right),
    ):
        if all(row.last for row in some) and not any(row.last for row in others):
            yield f"{kind} in the last entry, and {other} in all others"


def smallest(
    exercise: Exercise, case: Case, got: Outcome, call: Callable[[Sequence[Any]], Outcome]
) -> tuple[Case, Outcome]:
    """A part of an input on which an answer is wrong too, and what it gives there; the input itself
    where the right answer for a part is no part of the right answer.

    Args:
        exercise: the question.
        case: the input.
        got: what the answer gives on it.
        call: the answer.
    """
    wanted = expected(exercise, case)
    wrong = first_wrong(exercise, wanted, got)
    part, right = case, wanted
    if wrong is None:
        return case, got
    kept_places = []
    for axis, place in enumerate(wrong):
        for kept in (slice(place, place + 1), slice(place + 1)):
            less = shortened(exercise, part, right, axis, kept)
            if less is not None:
                part, right = less
                kept_places.append(
                    f"{place + 1}" if kept.start is not None else f"1 to {place + 1}"
                )
                break
        else:
            lengths = {x.shape[axis] for x in right.value or () if x.ndim > axis}
            single = lengths == {1}
            kept_places.append("1" if single else "all")
    if part is case:
        return case, got
    outcome = in_the_form_of(right, call([copied(arg) for arg in part.args]), exercise.tolerance)
    if outcome.value is not None and first_wrong(exercise, right, outcome) is not None:
        which = "entry" if all(array.size == 1 for array in right.value or ()) else "entries"
        where = ", ".join(kept_places)
        where = f"({where})" if len(kept_places) > 1 else where
        return replace(part, description=f"{which} {where} of: {case.description}"), outcome
    return case, got


def first_wrong(exercise: Exercise, wanted: Outcome, got: Outcome) -> tuple[int, ...] | None:
    """The place of the first wrong number, if all shapes are right."""
    for want, have in zip(wanted.value or (), got.value or (), strict=False):
        if want.shape != have.shape:
            return None
    for want, have in zip(wanted.value or (), got.value or (), strict=False):
        with np.errstate(invalid="ignore"):
            near = np.abs(have.astype(float) - want) <= exercise.tolerance * scale(want)
        if not near.all():
            return tuple(int(place) for place in np.argwhere(~near)[0])
    return None


def shortened(
    exercise: Exercise, case: Case, wanted: Outcome, axis: int, kept: slice
) -> tuple[Case, Outcome] | None:
    """A case of which only some places along an axis are kept, and the right answer for it; None
    if that is not the same part of the right answer.
    """
    values = wanted.value or ()
    lengths = {x.shape[axis] if x.ndim > axis else 0 for x in values}
    length = lengths.pop() if len(lengths) == 1 else 0
    start, stop, _ = kept.indices(length)
    if stop - start >= length:
        return None
    index = (*[slice(None)] * axis, kept)
    args = tuple(
        arg[index]
        if isinstance(arg, Tensor) and arg.ndim > axis and arg.shape[axis] == length
        else arg
        for arg in case.args
    )
    if all(one is other for one, other in zip(args, case.args)):
        return None
    part = Case(case.description, args)
    right = expected(exercise, part)
    if right.value is None or len(right.value) != len(values):
        return None
    for less, whole in zip(right.value, values):
        if less.shape != whole[index].shape or not agree(whole[index], less, exercise.tolerance):
            return None
    return part, right


def beside_in_words(target: Outcome, yours: Outcome, tolerance: float) -> str:
    """How an answer differs from the target beside which it is drawn, in sentences, the first of
    which follows other words.
    """
    if yours.value is None:
        return f"{yours.error}."
    if same(target, yours, tolerance):
        return "they agree."
    assert target.value is not None
    if len(yours.value) != len(target.value):
        return f"yours is {counted(len(yours.value), 'array')}, not {len(target.value)}."
    for own, right in zip(yours.value, target.value):
        if own.shape != right.shape:
            return of_another_shape(own, right, tolerance)
        missing = np.flatnonzero(~np.isfinite(own))
        if missing.size:
            what = "NaN" if np.isnan(own).any() else "infinite"
            entries = counted(own.size, "entry").replace("entrys", "entries")
            return (
                f"yours is {what} in {missing.size} of {entries}, first in entry {missing[0] + 1}."
            )
        if not agree(right, own, tolerance):
            return f"they differ. {at_its_worst(own, right, tolerance)}"
    return "they differ."


def of_another_shape(own: Array, right: Array, tolerance: float) -> str:
    """How an array differs from one of another shape."""
    if own.ndim != 1 or right.ndim != 1:
        return f"yours has shape {own.shape}, the target {right.shape}."
    told = f"yours has {counted(own.size, 'number')}, the target {right.size}"
    shorter, longer = sorted((own, right), key=len)
    more = longer.size - shorter.size
    if shorter.size and agree(longer[: shorter.size], shorter, tolerance):
        where = "last"
    elif shorter.size and agree(longer[more:], shorter, tolerance):
        where = "first"
    else:
        return f"{told}."
    ends = f"the {where}" if more == 1 else f"the {where} {more}"
    verb = "is" if more == 1 else "are"
    if own.size < right.size:
        return f"{told}: {ends} {verb} missing, and the others agree."
    return f"{told}: {ends} of yours {verb} too many, and the others agree."


def at_its_worst(own: Array, right: Array, tolerance: float) -> str:
    """How large a difference is and where; and of a row of numbers, where it begins."""
    away = np.abs(own.astype(float) - right)
    if own.ndim != 1:
        return f"The largest difference is {away.max():.3g}."
    first = int(np.argmax(away > tolerance * scale(right)))
    worst = int(away.argmax())
    told = f"The largest difference is {away.max():.3g}, at entry {worst + 1} of {own.size}"
    if first == 0:
        return f"{told}."
    before = "entry 1 agrees" if first == 1 else f"entries 1 to {first} agree"
    return f"{told}; {before}."
