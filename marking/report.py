"""What a teacher reads after grading: a table, a page for each student, a page about the class."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from marking.diagnosis import KNOWN, OFF_BY
from marking.files import written_together
from marking.grades import NAMED_GROUP, Graded, Row
from marking.groups import WHERE, in_general
from marking.pages import render
from marking.words import on_one_line

Counted = TypeVar("Counted", str, tuple[str, str])
FILES = ("grades.csv", "class.html", "groups.json", "totals.csv")  # beside the pages of feedback
COLUMNS = (
    "student",
    "notebook",
    "exercise",
    "points",
    "of",
    "mistake",
    "remark",
    "group",
    "reason",
)
TOTALS = ("student", "points", "of", "notebooks", "remark")
LONGEST_NAME = 200  # bytes of a student's name in a file's; file systems allow 255 in all
RESERVED = {  # names that Windows keeps for devices, whatever ending follows
    *("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"),
    *(f"{device}{number}" for device in ("COM", "LPT") for number in "0123456789¹²³"),
}
JOINER = "\u200d"  # makes one emoji of several
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # with what a spreadsheet's formula begins


def write_report(
    out: Path,
    graded: Sequence[Graded],
    contained: bool,
    *,
    held: Sequence[str] = (),
    left_open: Sequence[str] = (),
) -> None:
    """Write grades.csv, totals.csv, a feedback page for each student, class.html, and
    groups.json: all of them, or none.

    Args:
        out: the folder.
        graded: the class.
        contained: whether submissions ran in bubblewrap.
        held: where they did not, what they could not do, as sentences.
        left_open: what they could do.
    """
    with written_together() as write:
        write(out / "grades.csv", table(graded))
        students = by_student(one for one in graded if not one.absent)
        for student, file in feedback_files(students).items():
            write(out / "feedback" / file, feedback(student, students[student]))
        write(out / "class.html", class_page(graded, contained, held, left_open))
        groups = [asdict(group) for some in groups_of(graded).values() for group in some]
        write(out / "groups.json", json.dumps(groups, indent=1) + "\n")
        write(out / "totals.csv", totals(graded))


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
    name = name.encode()[:LONGEST_NAME].decode(errors="ignore").rstrip(".") or "student"
    return f"_{name}" if name.partition(".")[0].upper() in RESERVED else name


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
    return as_csv(COLUMNS, (line for result in graded for line in lines_of(result)))


def totals(graded: Sequence[Graded]) -> str:
    """The points of each student in all notebooks as CSV."""
    worth = worth_of(graded)
    lines = []
    for student, results in by_student(graded).items():
        points, of = points_of(results, worth)
        notebooks = sum(not result.absent for result in results)
        odd = [remark for one in results if one.broken or one.absent for remark in one.remarks]
        remark = "; ".join(dict.fromkeys(odd))
        lines.append((student, points, of, notebooks, remark))
    return as_csv(TOTALS, lines)


def as_csv(titles: Sequence[str], lines: Iterable[Sequence[str | float]]) -> str:
    """A table as CSV, in which no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(titles)
    for line in lines:
        writer.writerow([no_formula(cell) for cell in line])
    return text.getvalue()


def worth_of(graded: Iterable[Graded]) -> dict[str, int]:
    """What each exercise is worth that somebody handed in."""
    return {row.exercise: row.of for result in graded for row in result.rows}


def points_of(results: Iterable[Graded], worth: Mapping[str, int]) -> tuple[float, int]:
    """A student's points, and what could be earned: an exercise that the student did not hand in
    counts too.
    """
    rows = [row for result in results for row in result.rows if row.counts]
    missing = worth.keys() - {row.exercise for row in rows}
    of = sum(row.of for row in rows) + sum(worth[name] for name in missing)
    return sum(row.points for row in rows), of


def lines_of(result: Graded) -> Iterable[tuple[str | float, ...]]:
    """The lines of the table: one for each exercise; one with a remark if there is no exercise."""
    whole = "; ".join(result.remarks)
    if not result.rows:
        yield result.student, result.notebook, "", 0, "", "", whole, "", ""
    for row in result.rows:
        remark = "; ".join(part for part in (row.remark, whole) if part)
        yield (
            result.student,
            result.notebook,
            row.exercise,
            row.points,
            row.of,
            row.mistake,
            remark,
            row.group,
            row.reason,
        )


def no_formula(cell: str | float) -> str | float:
    """A cell on one line, which no spreadsheet takes for a formula."""
    if not isinstance(cell, str):
        return cell
    line = on_one_line(cell)
    return f"'{line}" if line.startswith(FORMULA) else line


def feedback(student: str, results: Sequence[Graded]) -> str:
    """A page for one student: what is right, what is not, and which mistake it is; no inputs and no
    answers.
    """
    return render("feedback.html", title=student, results=results)


@dataclass(frozen=True)
class Tally:
    """The answers of a class to one exercise.

    Args:
        name: of the exercise.
        answers: how many there are.
        solved: how many are right.
        mistaken: how many make a mistake of the bank.
        named: how many are in a group that the teacher has named.
        explained: how many are wrong in a way that their numbers tell.
        other: how many are wrong otherwise, or not written.
        wrong: each wrong answer with its count, the most frequent first.
    """

    name: str
    answers: int
    solved: int
    mistaken: int
    named: int
    explained: int
    other: int
    wrong: tuple[tuple[str, int], ...]


def tally(name: str, rows: Sequence[Row]) -> Tally:
    """Count the answers to one exercise."""
    kinds = Counter(part_of_tally(row) for row in rows)
    wrong = Counter(row.mistake or problem_in(row) for row in rows if not row.solved)
    return Tally(
        name,
        answers=len(rows),
        solved=kinds["solved"],
        mistaken=kinds["mistaken"],
        named=kinds["named"],
        explained=kinds["explained"],
        other=kinds["other"],
        wrong=tuple(by_count(wrong)),
    )


def part_of_tally(row: Row) -> str:
    """What is known of an answer, as the name of a part of a Tally."""
    if row.solved:
        return "solved"
    if row.kind == NAMED_GROUP:
        return "named"
    if not row.mistake:
        return "other"
    return "mistaken" if row.kind == KNOWN else "explained"


def problem_in(row: Row) -> str:
    """What is wrong with an answer, without the size of the error."""
    return row.summary.partition(OFF_BY)[0]


def problem_in_general(row: Row) -> str:
    """What is wrong with an answer; an error without the line and the names of one student."""
    problem = problem_in(row)
    return in_general(problem) if WHERE.search(problem) else problem


@dataclass(frozen=True)
class AnswerGroup:
    """Wrong answers that compute the same.

    Args:
        group: "roots.discriminant/4f2a1c".
        exercise: the question.
        students: who gave such an answer.
        label: what is known of it.
        named: whether the teacher has named it.
        at_random: whether these answers have nothing in common but that they draw at random.
        sample: what it computes on a small input.
        code: of one of the answers, the shortest.
        line: to complete, which names the group; empty if it is named.
    """

    group: str
    exercise: str
    students: tuple[str, ...]
    label: str
    named: bool
    at_random: bool
    sample: str
    code: str
    line: str


def groups_of(graded: Iterable[Graded]) -> dict[str, list[AnswerGroup]]:
    """The groups of each exercise, the largest first."""
    members: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for result in graded:
        for row in result.rows:
            if row.group and row.counts:
                members.setdefault((row.exercise, row.group), []).append((result.student, row))
    groups: dict[str, list[AnswerGroup]] = {}
    for (exercise, group), some in sorted(members.items()):
        rows = [row for _, row in some]
        example = min(rows, key=lambda row: (not row.code, len(row.code), row.code, row.sample))
        labels = Counter(row.mistake or problem_in_general(row) for row in rows)
        (label, _), *_ = by_count(labels)
        made = AnswerGroup(
            group,
            exercise,
            students=tuple(sorted({student for student, _ in some})),
            label=label,
            named=example.kind == NAMED_GROUP,
            at_random=bool(example.fingerprint and example.fingerprint.at_random),
            sample=example.sample,
            code=example.code,
            line="" if example.kind == NAMED_GROUP else f'{group} = "..."',
        )
        groups.setdefault(exercise, []).append(made)
    for made_here in groups.values():
        made_here.sort(key=lambda one: (-len(one.students), one.group))
    return groups


def by_count(counts: Counter[Counted]) -> list[tuple[Counted, int]]:
    """The most frequent first, equally frequent ones in alphabetical order."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True)
class Standing:
    """A student's points in all notebooks, and the link to the feedback page."""

    student: str
    link: str
    points: float
    of: int


def standing(
    student: str, file: str, results: Sequence[Graded], worth: Mapping[str, int]
) -> Standing:
    """Add up a student's points, of what the student handed in; where nothing of that could be
    read, of what the class did.
    """
    graded = any(one.rows for one in results)
    points, of = points_of(results, {} if graded else worth)
    return Standing(student, quote(f"feedback/{file}"), points, of)


def remarks_of(result: Graded) -> list[str]:
    """The remarks about a notebook, then those about its answers, as in the table."""
    single = [f"{row.exercise}: {row.remark}" for row in result.rows if row.remark]
    return [*result.remarks, *single]


def class_page(
    graded: Sequence[Graded],
    contained: bool,
    held: Sequence[str] = (),
    left_open: Sequence[str] = (),
) -> str:
    """A page about the class: how many solved each exercise, and which mistakes were made."""
    rows: dict[str, list[Row]] = {}
    absent = [result.student for result in graded if result.absent]
    graded = [result for result in graded if not result.absent]
    for result in graded:
        for row in filter(attrgetter("counts"), result.rows):
            rows.setdefault(row.exercise, []).append(row)
    mistakes = Counter(
        (name, row.mistake) for name, answers in rows.items() for row in answers if row.mistake
    )
    students = by_student(graded)
    files = feedback_files(students)
    worth = worth_of(graded)
    return render(
        "class.html",
        title="The class",
        notebooks=len(graded),
        students=[
            standing(name, files[name], results, worth) for name, results in students.items()
        ],
        absent=absent,
        contained=contained,
        held=held,
        left_open=left_open,
        exercises=[tally(name, rows[name]) for name in sorted(rows)],
        groups=groups_of(graded),
        teach_again=by_count(mistakes)[:10],
        shown_right=[(one, row) for one in graded for row in one.rows if row.shown_right],
        remarked=[(result, remarks) for result in graded if (remarks := remarks_of(result))],
    )
