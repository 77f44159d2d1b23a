"""Where an answer is right and where it is wrong."""

from __future__ import annotations

import numpy as np

from marking.outcome import Array, Outcome, agree, same, scale
from marking.words import counted


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
