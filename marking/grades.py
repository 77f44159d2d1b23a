"""The grades of notebooks, and the file that keeps them while a class is graded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """The grade of one answer."""

    exercise: str
    points: int
    of: int
    mistake: str = ""
    remark: str = ""
    summary: str = ""
    explanation: str = ""
    message: str = ""
    line: str = ""


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
    """

    student: str
    notebook: str
    key: str
    rows: tuple[Row, ...] = ()
    remarks: tuple[str, ...] = ()
    broken: bool = False


def as_line(graded: Graded) -> str:
    """The grades of one notebook as a line of the results file."""
    return json.dumps(asdict(graded)) + "\n"


def read_results(path: Path) -> Iterator[Graded]:
    """The grades in a results file, if it exists; a last line that was cut off is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            rows = tuple(Row(**row) for row in record.pop("rows"))
            remarks = tuple(record.pop("remarks"))
            yield Graded(**record, rows=rows, remarks=remarks)
