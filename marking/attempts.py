"""One student's several attempts at the same exercise, in several notebooks or in one: which of
them counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from marking.grades import Graded, Row, row_from
from marking.words import counted, shortly

Age = tuple[str, int, float]  # greater for a newer notebook
BEST = "best"
NEWEST = "newest"


def one_attempt_each(
    graded: Sequence[Graded],
    ages: Mapping[str, Age],
    attempts: str,
    most_letters: Mapping[str, int] = {},
) -> list[Graded]:
    """The grades, each exercise of a student counted once: where several notebooks hold it, the
    others earn nothing, and remarks say so.

    Args:
        graded: all notebooks.
        ages: how new each is, by its key.
        attempts: BEST, the newest of equals, or NEWEST.
        most_letters: how many letters of each prediction may be tried. Where all notebooks of a
            student try more, the newest with a letter counts.

    Raises: ValueError for another word.
    """
    if attempts not in (BEST, NEWEST):
        raise ValueError(f"expected attempts to be {BEST!r} or {NEWEST!r}, got {attempts!r}")
    places: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for number, one in enumerate(graded):
        for place, row in enumerate(one.rows):
            places.setdefault((one.student, row.exercise), []).append((number, place))
    rows = [list(one.rows) for one in graded]

    def worth(at: tuple[int, int], which: str) -> tuple[bool, bool, tuple[float, Any]]:
        one, row = graded[at[0]], rows[at[0]][at[1]]
        # a file that could not be read is no attempt, unless there is nothing else
        readable = not one.broken
        age = ages.get(one.key, ("", 0, 0.0))
        guesses = which != attempts
        return readable, not guesses or bool(row.letters), rank_of(row.points, age, which)

    for (_, exercise), some in places.items():
        if len(some) == 1:
            continue
        tried = {letter for number, place in some for letter in rows[number][place].letters}
        which = NEWEST if len(tried) > most_letters.get(exercise, len(tried)) else attempts
        kept = max(some, key=partial(worth, which=which))
        others = [at for at in some if at != kept]
        rows[kept[0]][kept[1]] = as_kept(rows[kept[0]][kept[1]], len(some), which)
        name = graded[kept[0]].notebook
        for number, place in others:
            rows[number][place] = as_other(rows[number][place], name, which)
    return [replace(one, rows=tuple(own)) for one, own in zip(graded, rows)]


def by_checks(graded: Iterable[Graded], attempts: str) -> list[Graded]:
    """The grades by the best check of each exercise in a notebook, or by the newest."""
    if attempts == BEST:
        return list(graded)
    return [
        replace(
            one,
            rows=tuple(row_from(dict(row.newest)) if row.newest else row for row in one.rows),
        )
        for one in graded
    ]


def rank_of(points: float, age: Any, attempts: str) -> tuple[float, Any]:
    """How much an attempt is worth beside others: the one that is worth most counts.

    Args:
        points: what it earns.
        age: greater for a newer one.
        attempts: BEST, the newest of equals, or NEWEST.
    """
    return points if attempts == BEST else 0.0, age


def as_kept(row: Row, count: int, attempts: str) -> Row:
    """The grade that counts, with a remark that there are others."""
    words = f"{counted(count, 'attempt')} handed in: this one counts, the {attempts}"
    return replace(row, remark=remarks_as_one(row.remark, words))


def as_other(row: Row, kept: str, attempts: str) -> Row:
    """A grade that does not count, with a remark on what it would earn and which does."""
    earned = f"{shortly(row.points)} of {counted(row.of, 'point')}"
    words = f"not counted: {earned} here, but {kept} counts, the {attempts} attempt"
    return replace(row, points=0, remark=remarks_as_one(row.remark, words), counts=False)


def remarks_as_one(*remarks: str) -> str:
    """Remarks as one."""
    return "; ".join(filter(None, remarks))
