"""Group wrong answers by what they compute: the same numbers on the same inputs, whatever the code.

The inputs belong to the question and not to the seed of a grade, so that the answers of any class
can be compared with those of any other.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from marking.diagnosis import comparison, expected, problem_of
from marking.exercise import Case, Exercise, Inputs
from marking.outcome import Array, Outcome, copied, in_the_form_of, same, scale

GROUP_SECONDS = 5  # for the calls of one answer; one that takes longer is in no group
KEPT = 64  # numbers of an array; of a larger one, some of its entries and some sums of them
SUMS = 16
LARGEST_TOLERANCE = 1e6  # that a question can have
FINEST = 1e-5  # below it, results differ by how they were rounded
RIGHT_HERE = "right on the inputs that groups are made with, wrong on others"
# of identifiers: how coarsely numbers are read, and how close to a border both sides count
STEP = 0.005
BORDER = 2e-5
MOST_BORDERS = 5
WHERE = re.compile(r" \(line \d+ of .*\)$", re.DOTALL)  # in an error, what `error_with_line` adds
# in an error, what belongs to one answer: functions, addresses and numbers, and unknown names
PARTICULAR = re.compile(r"\S+(?=\(\))|0x[0-9a-f]+|\d+(?:\.\d+)?")
UNKNOWN_NAME = re.compile(r"((?:Name|UnboundLocal)Error: .*?)'[^']*'")


@dataclass(frozen=True)
class Fingerprint:
    """What an answer computes on the inputs of its question.

    Args:
        form: all but the numbers, call by call: shapes and kinds, or the error; and which arguments
            were changed, if that is all that is wrong. It is compared exactly.
        numbers: compared within a tolerance.
        lengths: how many of the numbers belong to each array.
        scales: how large the numbers of each array are.
        tolerance: the largest difference, as a share of the scale.
        at_random: whether the same call gives other numbers each time, which are then not kept.
    """

    form: str
    numbers: tuple[float, ...]
    lengths: tuple[int, ...]
    scales: tuple[float, ...]
    tolerance: float
    at_random: bool = False


@dataclass(frozen=True)
class Group:
    """Answers that compute the same.

    Args:
        identifier: "4f2a1c".
        middle: what its answers compute.
        members: their places.
    """

    identifier: str
    middle: Fingerprint
    members: tuple[int, ...]


def fingerprint_from(record: Mapping[str, Any]) -> Fingerprint:
    """A fingerprint that was written as JSON.

    Raises: ValueError, TypeError or KeyError for a record that is none.
    """
    lists = {name: tuple(record[name]) for name in ("numbers", "lengths", "scales")}
    one = Fingerprint(**{**record, **lists})
    fits = (
        type(one.form) is str
        and type(one.at_random) is bool
        and all(type(length) is int and length >= 0 for length in one.lengths)
        and len(one.lengths) == len(one.scales)
        and sum(one.lengths) == len(one.numbers)
        and all(type(number) is float for number in one.numbers)
        and all(type(size) is float and 0 < size < math.inf for size in one.scales)
        and type(one.tolerance) in (int, float)
        and 0 < one.tolerance < LARGEST_TOLERANCE
    )
    if not fits:
        raise ValueError("expected what an answer computes, got numbers that do not fit together")
    return one


def cases_for_groups(exercise: Exercise) -> list[Case]:
    """The inputs of a question that its answers are grouped by; the same everywhere."""
    digest = hashlib.sha256(f"groups {exercise.name}".encode()).digest()
    return list(exercise.cases(Inputs(int.from_bytes(digest[:4], "big"))))


@np.errstate(all="ignore")  # whatever numbers an answer returns
def fingerprint_of(
    exercise: Exercise, call: Callable[[Sequence[Any]], Outcome]
) -> tuple[Fingerprint, str] | None:
    """Call an answer on the inputs of its question.

    Returns: its fingerprint, and in words what it computes on a small input, beside the right
        result; None if it takes too long.
    """
    cases = cases_for_groups(exercise)
    wanted = [expected(exercise, case) for case in cases]
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    for case, right in zip([*cases, cases[0]], [*wanted, wanted[0]]):
        got = call([copied(arg) for arg in case.args])
        if time.perf_counter() - started > GROUP_SECONDS:
            return None
        outcomes.append(in_one_form(right, got, exercise.tolerance))
    *outcomes, again = outcomes
    tolerance = max(exercise.tolerance, FINEST)
    repeats = same(outcomes[0], again, tolerance) or outcomes[0].value is again.value is None
    numbers = [replace(got, changed=()) for got in outcomes]
    both = list(zip(wanted, outcomes))
    wrong = [place for place, (right, got) in enumerate(both) if problem_of(exercise, right, got)]
    if any(problem_of(exercise, right, got) for right, got in zip(wanted, numbers)):
        outcomes_of_form = numbers  # besides, an argument may be changed or not
    else:
        outcomes_of_form = outcomes
    made = outcomes_in_short(outcomes_of_form, repeats, tolerance)
    if not wrong:
        return made, RIGHT_HERE
    place = min(wrong, key=lambda index: sum(array.size for array in wanted[index].value or ()))
    lines = comparison(exercise, cases[place], outcomes[place])
    if outcomes[place].value is None:
        lines.append(f"got       {outcomes[place].error}")
    return made, "\n".join(lines)


def in_one_form(wanted: Outcome, got: Outcome, tolerance: float) -> Outcome:
    """An outcome in the form of the one wanted; if its shapes are others, in the same form whether
    it is an array or a list of rows.
    """
    formed = in_the_form_of(wanted, got, tolerance)
    if got.value is None or wanted.value is None:
        return got
    if [array.shape for array in formed.value or ()] == [array.shape for array in wanted.value]:
        return formed
    if got.several and not wanted.several and len({array.shape for array in got.value}) == 1:
        return replace(got, value=(np.stack(got.value),), several=False)
    if wanted.several and not got.several and got.value[0].ndim:
        return replace(got, value=tuple(got.value[0]), several=True)
    return got


def outcomes_in_short(outcomes: Sequence[Outcome], repeats: bool, tolerance: float) -> Fingerprint:
    """What some calls gave; without numbers if they differ from one call to the next."""
    forms = []
    numbers: list[float] = []
    lengths = []
    scales = []
    for outcome in outcomes:
        changed = f" changes {outcome.changed}" if outcome.changed else ""
        if outcome.value is None:
            forms.append(f"{in_general(outcome.error)}{changed}")
            continue
        kinds = [f"{array.dtype.kind}{array.shape}" for array in outcome.value]
        if repeats:
            for place, array in enumerate(outcome.value):
                kept, odd = condensed(array)
                numbers += kept
                lengths.append(len(kept))
                scales.append(scale(array[np.isfinite(array)]))
                kinds[place] += odd
        forms.append(f"{'several ' if outcome.several else ''}{' '.join(kinds)}{changed}")
    form = "; ".join([*forms, "" if repeats else "at random"])
    if len(form) > 1000:
        form = hashlib.sha256(form.encode(errors="backslashreplace")).hexdigest()
    return Fingerprint(
        form, tuple(numbers), tuple(lengths), tuple(scales), tolerance, at_random=not repeats
    )


def in_general(error: str) -> str:
    """An error without what belongs to one answer: its line, its names and its numbers."""
    return PARTICULAR.sub("…", UNKNOWN_NAME.sub(r"\1…", WHERE.sub("", error)))


def condensed(array: Array) -> tuple[list[float], str]:
    """The numbers of an array, of a large one fewer; and how many are NaN or infinite, if there are
    any and not all numbers are kept.
    """
    flat = array.reshape(-1).astype(float)
    odd = ""
    if flat.size > KEPT:
        finite = np.isfinite(flat)
        weighted = np.where(finite, flat, 0) * weights("sums", flat.size)
        each = math.sqrt(flat.size / SUMS)
        sums = [float(weighted[place::SUMS].sum()) / each for place in range(SUMS)]
        some = np.linspace(0, flat.size - 1, KEPT - SUMS).astype(int)
        odd = "" if finite.all() else f" {np.isnan(flat).sum()} {np.isinf(flat).sum()}"
        flat = np.concatenate([flat[some], sums])
    return [float(f"{number:.9g}") for number in flat.tolist()], odd


@functools.lru_cache
def weights(name: str, count: int) -> Array:
    """So many numbers between -1 and 1, none of them whole; the same on every machine."""
    return np.frombuffer(hashlib.shake_256(name.encode()).digest(count), np.uint8) / 128 - 255 / 256


def apart(one: Fingerprint, rows: Array) -> Array:
    """How far each row of numbers is from those of a fingerprint; up to 1 they are the same."""
    own = np.array(one.numbers)
    allowed = one.tolerance * np.repeat(one.scales, one.lengths)
    with np.errstate(all="ignore"):
        away = np.abs(rows - own) / allowed
    away[(rows == own) | (np.isnan(rows) & np.isnan(own))] = 0
    away[np.isnan(away)] = np.inf
    largest: Array = away.max(axis=1, initial=0)
    return largest


def grouped(
    question: str, fingerprints: Sequence[Fingerprint], known: Mapping[str, Fingerprint]
) -> list[Group]:
    """Group the answers to one question.

    No two answers of a group are further apart than twice the tolerance: groups do not grow from
    neighbour to neighbour.

    Args:
        question: its name.
        fingerprints: of its answers.
        known: the middles of groups that have an identifier already.
    """
    groups = []
    by_form: dict[str, list[int]] = {}
    for place, one in enumerate(fingerprints):
        by_form.setdefault(one.form, []).append(place)
    for form, places in sorted(by_form.items()):
        lengths = fingerprints[places[0]].lengths
        alike = {
            name: one
            for name, one in sorted(known.items())
            if one.form == form and one.lengths == lengths
        }
        found, left = recognised(fingerprints, places, alike)
        groups += found
        groups += [Group("", *group) for group in new_groups(fingerprints, left)]
    return with_identifiers(question, groups)


def recognised(
    fingerprints: Sequence[Fingerprint], places: Sequence[int], known: Mapping[str, Fingerprint]
) -> tuple[list[Group], list[int]]:
    """The groups that have an identifier already, and the places of the answers in none of them."""
    if not known:
        return [], list(places)
    rows = np.array([fingerprints[place].numbers for place in places])
    distances = np.stack([apart(one, rows) for one in known.values()])
    nearest = distances.argmin(axis=0)
    belongs = distances.min(axis=0) <= 1
    groups = []
    for number, (identifier, middle) in enumerate(known.items()):
        members = [place for place, mine in zip(places, belongs & (nearest == number)) if mine]
        if members:
            groups.append(Group(identifier, middle, tuple(members)))
    return groups, [place for place, one in zip(places, belongs) if not one]


def new_groups(
    fingerprints: Sequence[Fingerprint], places: Sequence[int]
) -> Iterator[tuple[Fingerprint, tuple[int, ...]]]:
    """The middles and the members of groups of one form, whatever the order of the answers: always
    the answer to which most others are close, and they.
    """
    by_numbers: dict[tuple[float, ...], list[int]] = {}
    for place in places:
        by_numbers.setdefault(fingerprints[place].numbers, []).append(place)
    if not by_numbers:
        return
    order = sorted(by_numbers, key=repr)
    rows = np.array(order)
    close = np.stack([apart(fingerprints[by_numbers[numbers][0]], rows) <= 1 for numbers in order])
    count = np.array([len(by_numbers[numbers]) for numbers in order])
    left = np.ones(len(order), dtype=bool)
    while left.any():
        around = np.where(left, (close & left) @ count, 0)
        chosen = close[around.argmax()] & left
        left &= ~chosen
        members = [place for row in np.flatnonzero(chosen) for place in by_numbers[order[row]]]
        yield middle_of([fingerprints[place] for place in members]), tuple(sorted(members))


def middle_of(fingerprints: Sequence[Fingerprint]) -> Fingerprint:
    """A fingerprint in the middle of others of its form: each number is their median."""
    half = (len(fingerprints) - 1) // 2
    numbers = np.sort([one.numbers for one in fingerprints], axis=0)[half]
    scales = np.sort([one.scales for one in fingerprints], axis=0)[half]
    return replace(fingerprints[0], numbers=tuple(numbers.tolist()), scales=tuple(scales.tolist()))


def with_identifiers(question: str, groups: Sequence[Group]) -> list[Group]:
    """The groups, each with an identifier of its own."""
    taken = {group.identifier for group in groups}
    done = []
    for group in sorted(groups, key=lambda one: repr(one.middle)):
        identifier = first = group.identifier or next(identifiers(question, group.middle))
        for number in itertools.count(2):
            if group.identifier or identifier not in taken:
                break
            identifier = f"{first}-{number}"
        taken.add(identifier)
        done.append(replace(group, identifier=identifier))
    return done


def identifiers(question: str, one: Fingerprint) -> Iterator[str]:
    """The identifier of a group, and then those it might have had elsewhere: its numbers are read
    coarsely, and one that lies at the border of two readings may be rounded to either side.
    """
    numbers = np.array(one.numbers)
    read = []
    start = 0
    for length, size in zip(one.lengths, one.scales):
        part = numbers[start : start + length]
        finite = np.where(np.isfinite(part), part, 0) / size
        read.append(math.log(size))
        for name in ("one", "other"):
            read.append(float(finite @ weights(name, length)) / math.sqrt(max(length, 1)))
        start += length
    exact = f"{question} {one.form} {numbers[~np.isfinite(numbers)].tolist()}"
    places = np.array(read) / STEP + weights("borders", len(read))
    cells = np.floor(places)
    past = places - cells
    to_border = np.minimum(past, 1 - past) * STEP
    close = [int(place) for place in np.argsort(to_border, kind="stable")[:MOST_BORDERS]]
    close = [place for place in close if to_border[place] < BORDER]
    for chosen in itertools.product((False, True), repeat=len(close)):
        moved = cells.copy()
        for place, other_side in zip(close, chosen):
            if other_side:
                moved[place] += 1 if past[place] > 0.5 else -1
        digest = hashlib.sha256(
            f"{exact} {moved.astype(int).tolist()}".encode(errors="backslashreplace")
        )
        yield digest.hexdigest()[:6]
