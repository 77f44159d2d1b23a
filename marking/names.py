"""What a teacher says about wrong answers: names of groups, and points with a reason, line by line
in a file.

    roots.discriminant/4f2a1c = "You add 4 a c. Subtract it."
    roots.discriminant/the root of it = 1, "right but for the root"

Beside it stands a file with the numbers of the groups that it names, by which they are recognised
in the answers of any other class.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from marking.course import Course
from marking.diagnosis import AT_RANDOM, EDITED, RELATED
from marking.exercise import Choice, Exercise, HandNumber, Question
from marking.files import write_atomically
from marking.grades import NAMED_GROUP, Graded, Row
from marking.groups import Fingerprint, Group, fingerprint_from, grouped, identifiers

KINDS_TOLD = (EDITED, RELATED, AT_RANDOM)
IDENTIFIER = re.compile(r"[0-9a-f]{6}(-\d+)?")
LINE = re.compile(r'([^/="]+)/(.+?)\s*=\s*(?:([^,"]*),\s*)?"(.*)"')
FORM = 'expected QUESTION/GROUP = "words" or QUESTION/GROUP = POINTS, "words"'


@dataclass(frozen=True)
class Entry:
    """One line of the file.

    Args:
        number: of the line, counted from 1.
        question: its name.
        what: the identifier of a group, the name of a known mistake, or one of KINDS_TOLD.
        words: for the students.
        points: for such answers; None if the line gives none.
    """

    number: int
    question: str
    what: str
    words: str
    points: float | None = None

    @property
    def key(self) -> str:
        """The answers that it is about."""
        return f"{self.question}/{self.what}"

    @property
    def of_group(self) -> bool:
        """Whether it is about a group."""
        return IDENTIFIER.fullmatch(self.what) is not None


@dataclass(frozen=True)
class Names:
    """What a teacher says about wrong answers.

    Args:
        path: of the file.
        lines: of it.
        known: the groups that it has named before, by their keys.
    """

    path: Path
    lines: tuple[Entry, ...]
    known: Mapping[str, Fingerprint]

    def where(self, line: Entry) -> str:
        """The place of a line, for messages."""
        return f"{self.path}, line {line.number}"


def numbers_beside(path: Path) -> Path:
    """The file that keeps the numbers of the groups that a file names."""
    return path.with_name(f"{path.stem}.numbers.json")


def read_names(course: Course, path: str | Path) -> Names:
    """Read the file, and the numbers beside it.

    Raises: FileNotFoundError if there is no such file; ValueError for a line that says nothing, or
        what cannot be; the message says which line.
    """
    path = Path(path)
    if not path.is_file():
        got = "which is a folder" if path.is_dir() else "which does not exist"
        raise FileNotFoundError(f"expected a file with names of groups, got {path}, {got}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {place}: expected UTF-8 text, got other bytes") from None
    lines: dict[str, Entry] = {}
    for number, written in enumerate(text.split("\n"), 1):
        if not written.strip() or written.strip().startswith("#"):
            continue
        try:
            line = line_from(course, number, written.strip())
            if line.key in lines:
                first = lines[line.key].number
                raise ValueError(f"expected {line.key} once, and line {first} is about it too")
        except ValueError as reason:
            raise ValueError(f"{path}, line {number}: {reason}") from None
        lines[line.key] = line
    return Names(path, tuple(lines.values()), read_numbers(numbers_beside(path)))


def read_numbers(path: Path) -> dict[str, Fingerprint]:
    """The numbers of groups that were named before.

    Raises: ValueError for a file that holds something else.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: fingerprint_from(record) for key, record in content.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(
            f"expected the numbers of named groups, got {path}, which holds something else: delete"
            " it, and grade the class again in which the groups were named"
        ) from None


def line_from(course: Course, number: int, written: str) -> Entry:
    """Read one line.

    Raises: ValueError.
    """
    match = LINE.fullmatch(written)
    if match is None:
        raise ValueError(f"{FORM}, in straight quotes and on one line, got {written[:80]}")
    name, what, points, words = (part and part.strip() for part in match.groups())
    if name not in course.bank:
        near = difflib.get_close_matches(name, course.bank, n=3, cutoff=0.4) or list(course.bank)
        raise ValueError(f"expected the name of a question, such as {near[0]}, got {name!r}")
    question = course.bank[name]
    if not words:
        raise ValueError(f"expected words between the quotes, got none: {written[:80]}")
    line = Entry(number, name, what, words, None if points is None else points_in(question, points))
    if line.of_group and isinstance(question, Exercise):
        return line
    choices = what_there_is(question)
    if what not in choices:
        group = "a group such as 4f2a1c, or " if isinstance(question, Exercise) else ""
        known = ", ".join(map(repr, choices))
        raise ValueError(f"expected {group}one of {known} of {name}, got {what!r}")
    if line.points is None:
        raise ValueError(
            f'expected points too, as in {line.key} = 1, "reason": students are told what it is'
            " already"
        )
    return line


def what_there_is(question: Question) -> list[str]:
    """What a line can be about, apart from groups: known mistakes, and for functions kinds."""
    if isinstance(question, Exercise):
        return [*(mistake.name for mistake in question.mistakes), *KINDS_TOLD]
    if isinstance(question, HandNumber):
        return [name for name, _, _ in question.mistakes]
    if isinstance(question, Choice):
        return [letter for letter in question.options if letter != question.right]
    return []


def points_in(question: Question, written: str) -> float:
    """The points in a line.

    Raises: ValueError for what is no number, or not from 0 to the question's points.
    """
    try:
        points = float(written)
    except ValueError:
        points = math.nan
    if not 0 <= points <= question.points:
        raise ValueError(
            f"expected points from 0 to {question.points}, which {question.name} is worth,"
            f" got {written!r}"
        )
    return int(points) if points.is_integer() else points


def with_groups(graded: Sequence[Graded], names: Names | None = None) -> list[Graded]:
    """The grades, each answer that has a fingerprint with its group; and what a teacher says about
    the answers.

    Raises: ValueError for a line about a group that is unknown, or two lines about one group.
    """
    fingerprints: dict[str, list[Fingerprint]] = {}
    for row in rows_in(graded):
        if row.fingerprint is not None:
            fingerprints.setdefault(row.exercise, []).append(row.fingerprint)
    known = names.known if names else {}
    groups = {
        question: grouped(question, own, of_question(known, question))
        for question, own in sorted(fingerprints.items())
    }
    said = said_of(names, groups) if names else {}
    by_place = {
        (question, place): f"{question}/{group.identifier}"
        for question, some in groups.items()
        for group in some
        for place in group.members
    }
    counts = dict.fromkeys(fingerprints, 0)

    def told(row: Row) -> Row:
        if row.fingerprint is not None:
            place = counts[row.exercise]
            counts[row.exercise] += 1
            row = replace(row, group=by_place[row.exercise, place])
        return with_words(row, said)

    return [replace(one, rows=tuple(map(told, one.rows))) for one in graded]


def rows_in(graded: Iterable[Graded]) -> Iterator[Row]:
    """All grades, notebook by notebook."""
    for one in graded:
        yield from one.rows


def of_question(known: Mapping[str, Fingerprint], question: str) -> dict[str, Fingerprint]:
    """The known groups of one question, by their identifiers."""
    return {
        key.removeprefix(f"{question}/"): one
        for key, one in known.items()
        if key.startswith(f"{question}/")
    }


def said_of(names: Names, groups: Mapping[str, Sequence[Group]]) -> dict[str, Entry]:
    """The lines of the file, by what they are about; a line about a group, by the identifier that
    it has here. The numbers of these groups are written beside the file.

    Raises: ValueError.
    """
    said: dict[str, Entry] = {}
    numbers = dict(names.known)
    for line in names.lines:
        key = line.key
        if line.of_group and key not in names.known:
            group = group_of(line, groups.get(line.question, ()))
            if group is None:
                raise ValueError(f"{names.where(line)}: {unknown(names, line, groups)}")
            key = f"{line.question}/{group.identifier}"
            numbers[line.key] = group.middle
        if key in said:
            first = said[key].number
            raise ValueError(
                f"{names.where(line)}: expected each group once, and line {first} is about the same"
            )
        said[key] = line
    if numbers != dict(names.known):
        content = {key: asdict(one) for key, one in sorted(numbers.items())}
        write_atomically(numbers_beside(names.path), json.dumps(content) + "\n")
    return said


def group_of(line: Entry, groups: Sequence[Group]) -> Group | None:
    """The group that a line is about: the one of this identifier, or the one that might have had
    it on another machine.
    """
    for group in groups:
        if group.identifier == line.what:
            return group
    near = [group for group in groups if line.what in identifiers(line.question, group.middle)]
    return near[0] if len(near) == 1 else None


def unknown(names: Names, line: Entry, groups: Mapping[str, Sequence[Group]]) -> str:
    """What to say about a line about a group that there is not."""
    here = [f"{line.question}/{group.identifier}" for group in groups.get(line.question, ())]
    among = f"one of {', '.join(here[:5])}" if here else "a group that was named before"
    return (
        f"expected {among}, got {line.key}, which is no group of this class, and none that"
        f" {numbers_beside(names.path).name} has the numbers of. The grades are kept: correct the"
        " line, and grade again with resume"
    )


def with_words(row: Row, said: Mapping[str, Entry]) -> Row:
    """A wrong answer's grade, with what a teacher says about it."""
    if row.points or not (row.kind or row.group):
        return row
    group = said.get(row.group)
    letter = row.mistake.partition(":")[0]
    others = [f"{row.exercise}/{what}" for what in (row.mistake, letter, row.kind)]
    lines = [group, *(said[key] for key in others if key in said)]
    paid = next((line for line in lines if line is not None and line.points is not None), None)
    changes: dict[str, Any] = {}
    if group is not None:
        changes |= {"mistake": group.words, "explanation": "", "kind": NAMED_GROUP}
    if paid is not None and paid.points:
        changes |= {"points": paid.points, "reason": paid.words}
    return replace(row, **changes)
