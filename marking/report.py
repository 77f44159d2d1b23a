"""What a teacher reads after grading: a table, a page for each student, a page on the class."""

from __future__ import annotations

import csv
import html
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from minddpm.checkpoints import write_whole
from minddpm_course.figures import COLOURS, GREY, new_figure, to_html

if TYPE_CHECKING:
    from marking.grader import Graded, Row

COLUMNS = ("student", "notebook", "exercise", "points", "of", "mistake", "remark")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
color: #222 }} table {{ border-collapse: collapse; width: 100% }} td, th {{ border-bottom: 1px solid
#ccc; padding: 4px 8px; text-align: left; vertical-align: top }} td.number, th.number {{ text-align:
right; white-space: nowrap }} img {{ max-width: 100% }} </style></head><body><h1>{title}</h1> {body}
</body></html>
"""


def write_report(out: Path, graded: Sequence[Graded], *, contained: bool) -> None:
    """Write grades.csv, a feedback page for each student, and class.html."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in graded:
        for line in lines_of(result):
            writer.writerow([harmless(cell) for cell in line])
    write_text(out / "grades.csv", table.getvalue())
    names: set[str] = set()
    for student, results in groupby(graded, key=lambda result: result.student):
        name = re.sub(r"[^\w.-]+", "_", student).strip(".")[:100] or "student"
        while name.casefold() in names:
            name += "_"
        names.add(name.casefold())
        write_text(out / "feedback" / f"{name}.html", feedback(student, list(results)))
    write_text(out / "class.html", class_page(graded, contained))


def write_text(path: Path, text: str) -> None:
    """Write a file; characters that no encoding has, such as half a surrogate pair, are written as
    their numbers.
    """
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def lines_of(result: Graded) -> Iterable[tuple]:
    """The lines of the table: one for each exercise; one with a remark where there is none."""
    whole = "; ".join(result.remarks)
    if not result.rows:
        yield result.student, result.notebook, "", 0, 0, "", whole
    for row in result.rows:
        remark = "; ".join(part for part in (row.remark, whole) if part)
        yield result.student, result.notebook, row.exercise, row.points, row.of, row.mistake, remark


def harmless(cell: object) -> object:
    """A cell that a spreadsheet does not take for a formula, on one line."""
    if not isinstance(cell, str):
        return cell
    line = " ".join(cell.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def feedback(student: str, results: Sequence[Graded]) -> str:
    """A page for one student: what is right, what is not, and which mistake it is; no inputs and no
    answers.
    """
    body = []
    for result in results:
        total, of = sum(row.points for row in result.rows), sum(row.of for row in result.rows)
        body.append(f"<h2>{html.escape(result.notebook)}: {total} of {of} points</h2>")
        body += [f"<p>{html.escape(remark)}</p>" for remark in result.remarks]
        if result.rows:
            body.append(
                "<table><tr><th>exercise</th><th class=number>points</th><th>what was"
                " found</th></tr>"
            )
            body += [feedback_row(row) for row in result.rows]
            body.append("</table>")
    return PAGE.format(title=html.escape(student), body="\n".join(body))


def feedback_row(row: Row) -> str:
    """One line of a student's page."""
    found = [f"{'✓' if row.points else '✗'} {row.summary}"]
    if row.mistake:
        found.append(f"A known mistake: {row.mistake}. {row.explanation}")
    if row.remark and row.remark not in row.summary:
        found.append(row.remark)
    words = "<br>".join(html.escape(line) for line in found)
    return (
        f"<tr><td>{row.exercise}</td><td class=number>{row.points} of"
        f" {row.of}</td><td>{words}</td></tr>"
    )


def class_page(graded: Sequence[Graded], contained: bool) -> str:
    """A page on the class: for each exercise how many solved it, and which mistakes were made."""
    rows: dict[str, list[Row]] = {}
    for result in graded:
        for row in result.rows:
            rows.setdefault(row.exercise, []).append(row)
    students = len({result.student for result in graded})
    body = [f"<p>{len(graded)} notebooks of {students} students.</p>"]
    if not contained:
        body.append(
            "<p><b>Not contained:</b> bubblewrap was not there, so submissions could read this"
            " machine's files.</p>"
        )
    if rows:
        body.append(solved_figure(rows))
        body.append(teach_again(rows))
    for name in sorted(rows):
        body.append(mistakes_table(name, rows[name]))
    broken = [result for result in graded if result.broken or result.remarks]
    if broken:
        body.append(
            "<h2>Remarks</h2><table><tr><th>student</th><th>notebook</th><th>remark</th></tr>"
        )
        for result in broken:
            remark = html.escape("; ".join(result.remarks))
            body.append(
                f"<tr><td>{html.escape(result.student)}</td><td>{html.escape(result.notebook)}</td><td>{remark}</td></tr>"
            )
        body.append("</table>")
    return PAGE.format(title="The class", body="\n".join(body))


def solved_figure(rows: dict[str, list[Row]]) -> str:
    """Bars: the share that solved each exercise, that made a known mistake, and the rest."""
    names = sorted(rows, reverse=True)
    figure, axes = new_figure(1, 1, height=0.9 + 0.24 * len(names))
    axis = axes[0, 0]
    left = [0.0] * len(names)
    kinds = (
        ("solved", COLOURS["network"], lambda row: row.points),
        ("a known mistake", COLOURS["noise"], lambda row: row.mistake),
        ("otherwise wrong, or not written", GREY, lambda row: not row.points and not row.mistake),
    )
    for place, (word, colour, belongs) in enumerate(kinds):
        share = [
            100 * sum(bool(belongs(row)) for row in rows[name]) / len(rows[name]) for name in names
        ]
        axis.barh(names, share, left=left, color=colour)
        left = [a + b for a, b in zip(left, share)]
        axis.text((0, 0.2, 0.5)[place], 1.02, word, color=colour, transform=axis.transAxes)
    axis.set(xlabel="% of the answers", xlim=(0, 100))
    return to_html(
        figure,
        "For each exercise, the share of answers that were right, that made a known mistake, and"
        " the rest.",
    )


def teach_again(rows: dict[str, list[Row]]) -> str:
    """The mistakes that most made, first."""
    made = Counter(
        (name, row.mistake) for name, all_rows in rows.items() for row in all_rows if row.mistake
    )
    if not made:
        return ""
    lines = [
        f"<li>{name}: {html.escape(mistake)} ({count})</li>"
        for (name, mistake), count in sorted(made.items(), key=lambda item: (-item[1], item[0]))[
            :10
        ]
    ]
    return "<h2>What to teach again</h2><ol>" + "".join(lines) + "</ol>"


def mistakes_table(name: str, rows: Sequence[Row]) -> str:
    """One exercise: how many solved it, and who made which mistake how often."""
    solved = sum(row.points > 0 for row in rows)
    counts = Counter(
        row.mistake or row.summary.partition(", by as much as")[0] for row in rows if not row.points
    )
    lines = [
        f"<tr><td>{html.escape(what)}</td><td class=number>{count}</td></tr>"
        for what, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    table = f"<table>{''.join(lines)}</table>" if lines else ""
    return f"<h2>{name}: {solved} of {len(rows)} solved it</h2>{table}"
