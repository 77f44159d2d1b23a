"""The grades of notebooks, and the file that keeps them while a class is graded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from marking.groups import Fingerprint, fingerprint_from

SEAL = "seal"  # what a line of the results is signed with, as a field of it
NAMED_GROUP = "named"  # how it is known what an answer does: its group was named by the teacher


@dataclass(frozen=True)
class Row:
    """The grade of one answer.

    Args:
        exercise: the question.
        points: what the answer earns.
        of: what the question is worth.
        mistake: what the answer does instead, if that is known.
        remark: anything a teacher should know about it.
        summary: the result in one line, without inputs and expected numbers.
        explanation: of a known mistake.
        message: what the student would read in a notebook.
        kind: how the mistake is known: as for `engine.Verdict`, or NAMED_GROUP.
        reason: why a wrong answer earns points.
        group: of the answers that compute the same: "roots.discriminant/4f2a1c".
        code: the cell of an answer that is in a group, or may be.
        sample: what it computes on a small input.
        fingerprint: what it computes.
        counts: whether no other notebook of the student counts for this exercise instead.
        shown_right: whether the notebook, as it was saved, shows as right what failed here.
        letters: which letters of a prediction the notebook tries.
        newest: the grade as `as_record` has it where the newest check counts and not the best, if
            the notebook has several that came out differently.
    """

    exercise: str
    points: float
    of: int
    mistake: str = ""
    remark: str = ""
    summary: str = ""
    explanation: str = ""
    message: str = ""
    line: str = ""
    kind: str = ""
    reason: str = ""
    group: str = ""
    code: str = ""
    sample: str = ""
    fingerprint: Fingerprint | None = None
    counts: bool = True
    shown_right: bool = False
    letters: str = ""
    newest: dict[str, Any] | None = None

    @property
    def solved(self) -> bool:
        """Whether the answer is right: points with a reason are for a wrong one."""
        return self.points > 0 and not self.reason


@dataclass(frozen=True)
class Graded:
    """The grades of one notebook, and remarks about the whole of it.

    Args:
        student: whose notebook it is.
        notebook: its file name.
        key: tells this submission, under these settings, from any other.
        rows: a grade for each question of its lessons.
        remarks: anything a teacher should know about it.
        broken: whether it could not be graded at all.
        absent: whether the student handed in nothing.
    """

    student: str
    notebook: str
    key: str
    rows: tuple[Row, ...] = ()
    remarks: tuple[str, ...] = ()
    broken: bool = False
    absent: bool = False


def as_record(row: Row) -> dict[str, Any]:
    """A grade as JSON has it."""
    return asdict(row)


def records_in(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a results file, one after another; those that no grader has written to their end
    are left out.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield record


def graded_from(record: dict[str, Any]) -> Graded | None:
    """The grades that a line holds; None where another version wrote it, or something else did."""
    try:
        rows = tuple(map(row_from, record["rows"]))
        remarks = tuple(record["remarks"])
        rest = {name: record[name] for name in record.keys() - {"rows", "remarks", SEAL}}
        return Graded(**rest, rows=rows, remarks=remarks)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def row_from(record: dict[str, Any]) -> Row:
    """A grade that was written as JSON."""
    made = record.get("fingerprint")
    return Row(**{**record, "fingerprint": fingerprint_from(made) if made else None})
