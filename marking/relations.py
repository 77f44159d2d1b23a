"""What a wrong answer has to do with the right one, when it is no formula close to the right one:
twice as large, its root, upside down, shifted by one, the mean of it.

Each relation is told only if it holds in every call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from marking.outcome import Array, Outcome, scale

MOST_AXES = 4  # whose orders are all tried
DECIMALS = range(5)
CONSTANTS = {
    "pi": np.pi,
    "2 pi": 2 * np.pi,
    "log(2)": np.log(2),
    "1 / log(2)": 1 / np.log(2),
    "log(10)": np.log(10),
    "1 / log(10)": 1 / np.log(10),
    "sqrt(2)": np.sqrt(2),
    "1 / sqrt(2)": np.sqrt(0.5),
    "sqrt(2 pi)": np.sqrt(2 * np.pi),
}


@dataclass(frozen=True)
class Pairs:
    """One result of an answer beside the right one, call by call.

    Args:
        pairs: what the answer gave and what is right.
        tolerance: the largest difference, as a share of the largest number, of what agrees.
    """

    pairs: tuple[tuple[Array, Array], ...]
    tolerance: float

    def agree(self, one: Array, other: Array) -> bool:
        """Whether two arrays have the same numbers."""
        if one.shape != other.shape:
            return False
        size = scale(one[np.isfinite(one)])
        return np.allclose(one, other, rtol=0, atol=self.tolerance * size, equal_nan=True)

    def near(self, own: Array, right: Array) -> Array:
        """Which entries along the first axis agree, of two arrays of one shape."""
        away = np.abs(own - right) <= self.tolerance * scale(right)
        return np.asarray(away.reshape(len(own), -1).all(axis=1))

    def always(self, change: Callable[[Array], Array]) -> bool:
        """Whether the answer is the right one, changed, in every call."""
        try:
            return all(self.agree(own, np.asarray(change(right))) for own, right in self.pairs)
        except (ValueError, IndexError):
            return False

    def shaped(self) -> bool:
        """Whether every shape is the right one."""
        return all(own.shape == right.shape for own, right in self.pairs)

    def numbers(self) -> tuple[Array, Array]:
        """All numbers of the answer, and all right ones."""
        own, right = (np.concatenate([one.ravel() for one in side]) for side in zip(*self.pairs))
        return own, right


@np.errstate(all="ignore")
def relation_of(own: Sequence[Outcome], right: Sequence[Outcome], tolerance: float) -> str | None:
    """What the outcomes of an answer have to do with the right ones, in words; None if nothing."""
    if any(outcome.value is None for outcome in own):
        return None
    answers = [outcome.value or () for outcome in own]
    wanted = [outcome.value or () for outcome in right]
    if any(array.size == 0 for values in (*answers, *wanted) for array in values):
        return None
    if any(len(one) != len(other) for one, other in zip(answers, wanted)):
        return among_several(answers, wanted, tolerance)
    told = []
    count = len(wanted[0])
    for order in itertools.permutations(range(count)):
        if order != tuple(range(count)) and all(
            result_of(place, answers, wanted, tolerance, order).always(lambda right: right)
            for place in range(count)
        ):
            return "the results are right, but in another order"
    for place in range(count):
        pairs = result_of(place, answers, wanted, tolerance)
        label = f"result {place + 1}" if count > 1 else "the result"
        if pairs.always(lambda right: right):
            told.append(f"{label} is right")
            continue
        words = next(relations_in(pairs), None)
        if words is None:
            return None
        told.append(f"{label} {words}")
    if not all(words.endswith("is right") for words in told):
        return ", and ".join(told)
    if any(outcome.changed for outcome in own):
        return "the numbers are right, but the answer changes its input in place"
    whole = [all(array.dtype.kind in "iu" for array in one) for one in (*answers, *wanted)]
    if len(set(whole)) > 1:
        return f"the numbers are right, but they are {'not ' if whole[-1] else ''}integers"
    return None


def result_of(
    place: int,
    answers: Sequence[Sequence[Array]],
    wanted: Sequence[Sequence[Array]],
    tolerance: float,
    order: Sequence[int] = (),
) -> Pairs:
    """One result of an answer beside the right one, which may stand at another place."""
    at = order[place] if order else place
    pairs = tuple(
        (own[place].astype(float), right[at].astype(float)) for own, right in zip(answers, wanted)
    )
    return Pairs(pairs, tolerance)


def among_several(
    answers: Sequence[Sequence[Array]], wanted: Sequence[Sequence[Array]], tolerance: float
) -> str | None:
    """Where the number of results is wrong: which of the right ones they are."""
    count = len(wanted[0])
    if all(len(own) == 1 for own in answers):
        for at in range(count):
            pairs = tuple((own[0].astype(float), right[at]) for own, right in zip(answers, wanted))
            if Pairs(pairs, tolerance).always(lambda right: right):
                return f"only result {at + 1} of {count} is returned"
        parts = [
            tuple(
                (own[0].astype(float), np.asarray(join(right)))
                for own, right in zip(answers, wanted)
            )
            for join in (np.concatenate, np.stack)
            if all(right[0].ndim for right in wanted)
        ]
        if any(Pairs(pairs, tolerance).always(lambda right: right) for pairs in parts):
            return "the results are right, but joined in one array"
    if count == 1 and all(len(own) > 1 for own in answers):
        for axis in range(MOST_AXES):
            if all(array.ndim > axis for own in answers for array in own):
                pairs = tuple(
                    (np.concatenate(own, axis).astype(float), right[0])
                    for own, right in zip(answers, wanted)
                    if len({array.shape[:axis] + array.shape[axis + 1 :] for array in own}) == 1
                )
                if len(pairs) == len(answers) and Pairs(pairs, tolerance).always(
                    lambda right: right
                ):
                    return "the numbers are right, but returned as several arrays, not joined"
        for at in range(min(len(own) for own in answers)):
            pairs = tuple((own[at].astype(float), right[0]) for own, right in zip(answers, wanted))
            if Pairs(pairs, tolerance).always(lambda right: right):
                return (
                    f"array {at + 1} of those returned is the right result, and it is wanted alone"
                )
    return None


def relations_in(pairs: Pairs) -> Iterator[str]:
    """The relations that hold, the most telling first."""
    if pairs.shaped():
        yield from constant(pairs)
        yield from not_numbers(pairs)
        yield from functions(pairs)
        yield from multiples(pairs)
        yield from cut(pairs)
        yield from reordered(pairs)
        yield from in_part(pairs)
        yield from up_to_each(pairs)
    else:
        yield from reshaped(pairs)
        yield from lengths(pairs)
        yield from reduced(pairs)
        yield from sizes(pairs)


def constant(pairs: Pairs) -> Iterator[str]:
    """The same number everywhere."""
    own, right = pairs.numbers()
    if (
        own.size
        and np.isfinite(own).all()
        and np.ptp(own) <= 1e-6 * scale(own)
        and np.ptp(right) > pairs.tolerance
    ):
        yield f"is {in_words(float(own[0]))} everywhere, whatever the input"
    elif all(
        mine.size > 1 and np.isfinite(mine).all() and np.ptp(mine) <= 1e-6 * scale(mine)
        for mine, _ in pairs.pairs
    ) and any(np.ptp(wanted) > pairs.tolerance * scale(wanted) for _, wanted in pairs.pairs):
        yield "is one number everywhere, which changes from call to call"


def not_numbers(pairs: Pairs) -> Iterator[str]:
    """Right where it is a number, and NaN or infinite elsewhere."""
    own, _ = pairs.numbers()
    finite = np.isfinite(own)
    if not own.size or finite.all():
        return
    if np.isnan(own).all():
        yield "is NaN everywhere"
    elif finite.any() and all(
        pairs.agree(np.where(np.isfinite(mine), mine, wanted), wanted)
        for mine, wanted in pairs.pairs
    ):
        yield "is right where it is a number, and NaN or infinite elsewhere"


def functions(pairs: Pairs) -> Iterator[str]:
    """A function of each number."""
    for words, change in (
        ("is the right one with the opposite sign", lambda x: -x),
        ("is the square root of the right one", np.sqrt),
        ("is the square of the right one", np.square),
        ("is the right one upside down, 1 divided by it", lambda x: 1 / x),
        ("is 1 minus the right one", lambda x: 1 - x),
        ("is the right one minus 1", lambda x: x - 1),
        ("is the right one plus 1", lambda x: x + 1),
        ("is the right one without its sign, its absolute value", np.abs),
        ("is the natural logarithm of the right one", np.log),
        ("is the exponential of the right one", np.exp),
    ):
        if pairs.always(change):
            yield words


def multiples(pairs: Pairs) -> Iterator[str]:
    """A constant times the right one, or added to it, or both."""
    own, right = pairs.numbers()
    if not own.size or not np.isfinite([own, right]).all():
        return
    away = own - right
    shift = float(np.median(away))
    largest = float(np.abs(right).max())
    factor = float(own[np.abs(right).argmax()]) / largest * np.sign(right[np.abs(right).argmax()])
    if largest and pairs.always(lambda x: factor * x):
        yield f"is {in_words(factor)} times the right one"
    if own.size > 2 and pairs.always(lambda x: x + shift):
        yield f"is the right one plus {in_words(shift)}"
    if own.size > 4 and np.ptp(right) > 100 * pairs.tolerance * scale(right):
        around = right - right.mean()
        slope = float((around * own).sum() / (around * around).sum())
        start = float(own.mean() - slope * right.mean())
        if abs(slope) > 10 * pairs.tolerance and pairs.always(lambda x: slope * x + start):
            yield f"is {in_words(slope)} times the right one, plus {in_words(start)}"


def cut(pairs: Pairs) -> Iterator[str]:
    """Clipped or rounded numbers."""
    own, right = pairs.numbers()
    for decimals in DECIMALS:
        if pairs.always(partial(rounded, decimals=decimals)):
            places = f"{decimals} decimals" if decimals > 1 else "one decimal"
            yield f"is the right one rounded to {places if decimals else 'whole numbers'}"
    if pairs.always(np.trunc):
        yield "is the right one cut off to whole numbers"
    low, high = float(own.min(initial=np.inf)), float(own.max(initial=-np.inf))
    ends = []
    if (own == low).sum() > 1 and right.min() < low:
        ends.append(f"below at {low:.3g}")
    if (own == high).sum() > 1 and right.max() > high:
        ends.append(f"above at {high:.3g}")
    if ends and low < high and pairs.always(lambda x: np.clip(x, low, high)):
        yield f"is the right one, clipped {' and '.join(ends)}"


def rounded(values: Array, decimals: int) -> Array:
    """Numbers with so many decimals."""
    return np.asarray(np.round(values, decimals))


def reordered(pairs: Pairs) -> Iterator[str]:
    """The right numbers at other places."""
    for axis in range(MOST_AXES):
        if all(right.ndim > axis for _, right in pairs.pairs):
            if pairs.always(partial(np.flip, axis=axis)):
                where = "" if axis == 0 else f" along axis {axis}"
                yield f"is the right one in reverse order{where}"
    if pairs.always(lambda x: np.swapaxes(x, -1, -2)):
        yield "is the right one with its last two axes swapped"
    rows = [(own, right) for own, right in pairs.pairs if right.ndim == 1 and right.size > 2]
    if rows and all(right.ndim == 1 for _, right in pairs.pairs):
        if all(pairs.agree(own[1:], right[:-1]) for own, right in rows):
            yield "is one place late: each entry is the right one of the place before"
        if all(pairs.agree(own[:-1], right[1:]) for own, right in rows):
            yield "is one place early: each entry is the right one of the place after"
    if pairs.always(np.copy):
        return
    if all(own.size > 1 for own, _ in rows) and all(
        pairs.agree(np.sort(own, axis=None), np.sort(right, axis=None))
        for own, right in pairs.pairs
    ):
        yield "holds the right numbers in another order"


def in_part(pairs: Pairs) -> Iterator[str]:
    """Right at some places and wrong at others, the same in every call."""
    rows = [(own, right) for own, right in pairs.pairs if right.ndim and len(right) > 1]
    if not rows or len(rows) < 2:
        return

    def everywhere(kept: slice, others: slice) -> bool:
        """Whether the kept places are right, and nothing but them."""
        return all(pairs.agree(own[kept], right[kept]) for own, right in rows) and not any(
            pairs.near(own, right)[others].any() for own, right in rows
        )

    first, rest, last, start = slice(0, 1), slice(1, None), slice(-1, None), slice(0, -1)
    if everywhere(first, rest):
        yield "is right in its first entry, and wrong after it"
    if everywhere(rest, first):
        yield "is right but for its first entry"
    if everywhere(last, start):
        yield "is right in its last entry, and wrong before it"
    if everywhere(start, last):
        yield "is right but for its last entry"
    single = [(own, right) for own, right in pairs.pairs if right.ndim and len(right) == 1]
    if single and all(pairs.agree(own, right) for own, right in single):
        if not any(pairs.agree(own, right) for own, right in rows):
            yield "is right where there is one row, and wrong where there are more"


def up_to_each(pairs: Pairs) -> Iterator[str]:
    """Right but for a factor or a number that changes from call to call, or from row to row."""
    several = [(own, right) for own, right in pairs.pairs if right.size > 3]
    if len(several) < 2 or not all(np.isfinite([own, right]).all() for own, right in several):
        return

    def factor(own: Array, right: Array) -> Array:
        return np.asarray(right * ((own * right).sum() / max((right * right).sum(), 1e-30)))

    def shift(own: Array, right: Array) -> Array:
        return np.asarray(right + (own - right).mean())

    def spread(own: Array, right: Array) -> Array:
        around = right - right.mean()
        wide = (own * around).sum() / max((around * around).sum(), 1e-30)
        return np.asarray(right.mean() + wide * around)

    for words, fit in (
        ("is the right one times a number that changes from call to call", factor),
        ("is the right one plus a number that changes from call to call", shift),
        ("has the right mean, but the wrong spread around it", spread),
    ):
        if all(pairs.agree(own, fit(own, right)) for own, right in several):
            if any(np.abs(own).max() > 0 for own, _ in several):
                yield words
    rows = [(own, right) for own, right in several if right.ndim > 1 and right[0].size > 3]
    if len(rows) != len(several):
        return
    for words, fit in (
        ("is right up to a factor, which differs from row to row of its first axis", factor),
        ("is right up to a number added, which differs from row to row of its first axis", shift),
    ):
        if all(pairs.agree(a, fit(a, b)) for own, right in rows for a, b in zip(own, right)):
            yield words


def reshaped(pairs: Pairs) -> Iterator[str]:
    """The right numbers in another shape."""

    def same_numbers(change: Callable[[Array, Array], Array]) -> bool:
        return all(
            own.size == right.size and pairs.agree(own, change(own, right))
            for own, right in pairs.pairs
        )

    for axes in range(2, MOST_AXES + 1):
        for order in itertools.permutations(range(axes)):
            if order != tuple(range(axes)) and all(r.ndim == axes for _, r in pairs.pairs):
                if pairs.always(partial(np.transpose, axes=order)):
                    yield "holds the right numbers with its axes in another order"
    if not same_numbers(lambda own, right: right.reshape(own.shape)):
        return
    if all(own.ndim > right.ndim for own, right in pairs.pairs):
        yield "holds the right numbers, but has too many axes"
    elif all(own.ndim == 1 for own, _ in pairs.pairs):
        yield "holds the right numbers, but is flattened to one axis"
    elif all(own.ndim < right.ndim for own, right in pairs.pairs):
        yield "holds the right numbers, but has too few axes"
    else:
        yield "holds the right numbers in another shape"


REDUCTIONS: tuple[tuple[str, Callable[[Array, int | None], Array]], ...] = (
    ("the mean", lambda x, axis: x.mean(axis)),
    ("the sum", lambda x, axis: x.sum(axis)),
    ("the product", lambda x, axis: x.prod(axis)),
    ("the largest number", lambda x, axis: x.max(axis)),
    ("the smallest number", lambda x, axis: x.min(axis)),
    ("the median", lambda x, axis: np.asarray(np.median(x, axis))),
)


def reduced(pairs: Pairs) -> Iterator[str]:
    """One number, or fewer, where more are wanted."""
    if all(right.ndim for _, right in pairs.pairs):
        for words, place in (("first", 0), ("last", -1)):
            if pairs.always(partial(np.take, indices=place, axis=0)):
                yield f"is the {words} entry of the right one alone"
    for words, change in REDUCTIONS:
        for axis in (None, *range(MOST_AXES)):
            for keep in (False, True):

                def fewer(
                    x: Array,
                    reduce: Callable[[Array, int | None], Array] = change,
                    axis: int | None = axis,
                    keep: bool = keep,
                ) -> Array:
                    less = np.asarray(reduce(x, axis))
                    if keep and axis is not None:
                        return np.expand_dims(less, axis)
                    return less.reshape([1] * x.ndim) if keep else less

                if all(axis is None or right.ndim > axis for _, right in pairs.pairs):
                    if pairs.always(fewer):
                        along = "" if axis is None else f" along axis {axis}"
                        yield f"is {words} of the right one{along}"
    single = all(own.size == 1 for own, _ in pairs.pairs)
    if single and any(right.size > 1 for _, right in pairs.pairs):
        yield "is one number where more are expected"


def lengths(pairs: Pairs) -> Iterator[str]:
    """Entries too many or too few at one end of the first axis."""
    if not all(own.ndim and own.ndim == right.ndim for own, right in pairs.pairs):
        return
    for words, change in (
        ("lacks its first entry", lambda x: x[1:]),
        ("lacks its last entry", lambda x: x[:-1]),
        ("holds only its first entry", lambda x: x[:1]),
        ("holds only its last entry", lambda x: x[-1:]),
        ("holds every second entry only", lambda x: x[::2]),
    ):
        if pairs.always(change):
            yield f"is right where it is, but {words}"
    longer = [(own, right) for own, right in pairs.pairs if len(own) > len(right)]
    if len(longer) == len(pairs.pairs):
        if all(pairs.agree(own[: len(right)], right) for own, right in longer):
            yield "is right, but goes on too far at its end"
        if all(pairs.agree(own[-len(right) :], right) for own, right in longer):
            yield "is right, but has too much before its first entry"


def sizes(pairs: Pairs) -> Iterator[str]:
    """A shape that has the wrong number of axes, or a wrong length along one of them."""
    counts = {(own.ndim, right.ndim) for own, right in pairs.pairs}
    if len(counts) != 1:
        return
    ((count, wanted),) = counts
    if count != wanted:
        yield f"has {count} {'axis' if count == 1 else 'axes'} where {wanted} are expected"
        return
    wrong = [
        [axis for axis in range(count) if own.shape[axis] != right.shape[axis]]
        for own, right in pairs.pairs
    ]
    places = {axis for axes in wrong for axis in axes}
    if len(places) == 1:
        often = "in every call" if all(wrong) else "in some calls"
        yield f"has the wrong length along axis {places.pop()} {often}"


def right_in_part(
    arguments: Sequence[str], cases: Sequence[Mapping[str, Array]], right: Sequence[bool]
) -> str | None:
    """Which calls an answer gets right, if these have something in common that no other call has.

    Args:
        arguments: their names.
        cases: their values in each call, by name.
        right: whether the answer is right in that call.
    """
    if all(right) or not any(right):
        return None

    rules: list[tuple[str, list[bool]]] = []
    arrays: dict[str, list[Array]] = {}
    for name in arguments:
        values = [case[name] for case in cases if name in case]
        if len(values) < len(cases):
            continue
        if not any(value.ndim for value in values):
            for number in (0, 1):
                rules.append((f"{name} = {number}", [bool(value == number) for value in values]))
        elif all(value.ndim for value in values):
            rules.append((f"{name} has one row", [len(value) == 1 for value in values]))
            arrays[name] = values
            axes = range(min(value.ndim for value in values))
            for axis, further in itertools.combinations(axes, 2):
                alike = [value.shape[axis] == value.shape[further] for value in values]
                rules.append((f"axes {axis} and {further} of {name} are equally long", alike))
    for (one, some), (other, more) in itertools.combinations(arrays.items(), 2):
        alike = [a.shape == b.shape for a, b in zip(some, more)]
        rules.append((f"{one} and {other} have the same shape", alike))
    for words, holds in rules:
        if holds == list(right):
            return f"the result is right where {words}, and nowhere else"
    return None


def in_words(value: float) -> str:
    """A constant: as a fraction or with its name if it has one, otherwise to four places."""
    near = Fraction(value).limit_denominator(10)
    if abs(float(near) - value) < 2e-5 * max(1, abs(value)) and abs(near) < 1000:
        return str(near)
    for name, constant_value in CONSTANTS.items():
        if abs(abs(value) - constant_value) < 2e-5 * constant_value:
            return name if value > 0 else f"-{name}"
    return f"{value:.4g}"
