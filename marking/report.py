"""What a teacher reads after grading: a table, a page for each student, a page about the class."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from marking.diagnosis import OFF_BY
from marking.files import write_atomically
from marking.grades import Graded, Row
from marking.pages import render

Counted = TypeVar("Counted", str, tuple[str, str])
COLUMNS = ("student", "notebook", "exercise", "points", "of", "mistake", "remark")
LONGEST_NAME = 200  # bytes of a student's name in a file's; file systems allow 255 in all
JOINER = "\u200d"  # makes one emoji of several


def write_report(out: Path, graded: Sequence[Graded], contained: bool) -> None:
    """Write grades.csv, a feedback page for each student, and class.html."""
    write_atomically(out / "grades.csv", table(graded))
    students = by_student(graded)
    for student, file in feedback_files(students).items():
        write_atomically(out / "feedback" / file, feedback(student, students[student]))
    write_atomically(out / "class.html", class_page(graded, contained))


def by_student(graded: Iterable[Graded]) -> dict[str, list[Graded]]:
    """Each student's notebooks."""
    students: dict[str, list[Graded]] = {}
    for result in graded:
        students.setdefault(result.student, []).append(result)
    return students


def feedback_files(students: Iterable[str]) -> dict[str, str]:
    """The name of each student's feedback page; no two are alike, on any file system."""
    files: dict[str, str] = {}
    taken: set[str] = set()
    for student in students:
        name = file_name(student)
        while same_file(name) in taken:
            name += "_"
        taken.add(same_file(name))
        files[student] = f"{name}.html"
    return files


def file_name(student: str) -> str:
    """A student's name as that of a file: letters, numbers and emoji stay, what a file system may
    refuse does not.
    """
    kept = "".join(character if is_kept(character) else " " for character in student)
    name = "_".join(kept.split()).strip(".")
    return name.encode()[:LONGEST_NAME].decode(errors="ignore") or "student"


def is_kept(character: str) -> bool:
    """Whether a character may stand in a file's name: of ASCII only letters, numbers and _.-; of
    others all but spaces and control characters.
    """
    if character.isascii():
        return character.isalnum() or character in "_.-"
    return character == JOINER or unicodedata.category(character)[0] not in "CZ"


def same_file(name: str) -> str:
    """Equal for two names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


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


@dataclass(frozen=True)
class Standing:
    """A student's points in all notebooks, and the link to the feedback page."""

    student: str
    link: str
    points: int
    of: int


def standing(student: str, file: str, results: Sequence[Graded]) -> Standing:
    """Add up a student's points."""
    rows = [row for result in results for row in result.rows]
    points = sum(row.points for row in rows)
    return Standing(student, quote(f"feedback/{file}"), points, sum(row.of for row in rows))


def remarks_of(result: Graded) -> list[str]:
    """The remarks about a notebook, then those about its answers, as in the table."""
    single = [f"{row.exercise}: {row.remark}" for row in result.rows if row.remark]
    return [*result.remarks, *single]


def class_page(graded: Sequence[Graded], contained: bool) -> str:
    """A page about the class: how many solved each exercise, and which mistakes were made."""
    rows: dict[str, list[Row]] = {}
    for result in graded:
        for row in result.rows:
            rows.setdefault(row.exercise, []).append(row)
    mistakes = Counter(
        (name, row.mistake) for name, answers in rows.items() for row in answers if row.mistake
    )
    students = by_student(graded)
    files = feedback_files(students)
    return render(
        "class.html",
        title="The class",
        notebooks=len(graded),
        students=[standing(name, files[name], results) for name, results in students.items()],
        contained=contained,
        exercises=[tally(name, rows[name]) for name in sorted(rows)],
        teach_again=by_count(mistakes)[:10],
        remarked=[(result, remarks) for result in graded if (remarks := remarks_of(result))],
    )
