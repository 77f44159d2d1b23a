"""What a teacher reads after grading: a table, a page for each student, a page about the class."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from marking.diagnosis import OFF_BY
from marking.files import write_atomically
from marking.grades import Graded, Row
from marking.pages import render

Counted = TypeVar("Counted", str, tuple[str, str])
COLUMNS = ("student", "notebook", "exercise", "points", "of", "mistake", "remark")


def write_report(out: Path, graded: Sequence[Graded], contained: bool) -> None:
    """Write grades.csv, a feedback page for each student, and class.html."""
    write_atomically(out / "grades.csv", table(graded))
    names: set[str] = set()
    for student, results in groupby(graded, key=lambda result: result.student):
        name = re.sub(r"[^\w.-]+", "_", student).strip(".")[:100] or "student"
        while name.casefold() in names:
            name += "_"
        names.add(name.casefold())
        write_atomically(out / "feedback" / f"{name}.html", feedback(student, list(results)))
    write_atomically(out / "class.html", class_page(graded, contained))


def table(graded: Sequence[Graded]) -> str:
    """The grades as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in graded:
        for line in lines_of(result):
            writer.writerow([harmless(cell) for cell in line])
    return text.getvalue()


def lines_of(result: Graded) -> Iterable[tuple[str | int, ...]]:
    """The lines of the table: one for each exercise; one with a remark if there is no exercise."""
    whole = "; ".join(result.remarks)
    if not result.rows:
        yield result.student, result.notebook, "", 0, 0, "", whole
    for row in result.rows:
        remark = "; ".join(part for part in (row.remark, whole) if part)
        yield result.student, result.notebook, row.exercise, row.points, row.of, row.mistake, remark


def harmless(cell: str | int) -> str | int:
    """A cell on one line, which no spreadsheet takes for a formula."""
    if not isinstance(cell, str):
        return cell
    line = " ".join(cell.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def feedback(student: str, results: Sequence[Graded]) -> str:
    """A page for one student: what is right, what is not, and which mistake it is; no inputs and no
    answers.
    """
    return render("feedback.html", title=student, results=results)


@dataclass(frozen=True)
class Tally:
    """The answers of a class to one exercise: how many there are, how many are right, make a known
    mistake, or neither; and each wrong answer with its count, the most frequent first.
    """

    name: str
    answers: int
    solved: int
    mistaken: int
    other: int
    wrong: tuple[tuple[str, int], ...]


def tally(name: str, rows: Sequence[Row]) -> Tally:
    """Count the answers to one exercise."""
    solved = sum(row.points > 0 for row in rows)
    mistaken = sum(bool(row.mistake) for row in rows)
    wrong = Counter(
        row.mistake or row.summary.partition(OFF_BY)[0] for row in rows if not row.points
    )
    return Tally(
        name, len(rows), solved, mistaken, len(rows) - solved - mistaken, tuple(by_count(wrong))
    )


def by_count(counts: Counter[Counted]) -> list[tuple[Counted, int]]:
    """The most frequent first, equally frequent ones in alphabetical order."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def class_page(graded: Sequence[Graded], contained: bool) -> str:
    """A page about the class: how many solved each exercise, and which mistakes were made."""
    rows: dict[str, list[Row]] = {}
    for result in graded:
        for row in result.rows:
            rows.setdefault(row.exercise, []).append(row)
    mistakes = Counter(
        (name, row.mistake) for name, answers in rows.items() for row in answers if row.mistake
    )
    return render(
        "class.html",
        title="The class",
        notebooks=len(graded),
        students=len({result.student for result in graded}),
        contained=contained,
        exercises=[tally(name, rows[name]) for name in sorted(rows)],
        teach_again=by_count(mistakes)[:10],
        remarked=[result for result in graded if result.broken or result.remarks],
    )
