"""What a notebook shows: the answers that it says are right, as it was saved by its student."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from marking.engine import NOT_ANSWERED, NOT_WRITTEN
from marking.grades import Row

LONGEST_CARD = 200  # characters of a card's beginning, up to the word "right"
# `Tutor.check` shows a card as text and as HTML; here it is JSON, in which signs may be escaped
CARD = re.compile(r"(?:✓|\\u2713)(?:<\\?/b>)? ([\w.]{1,100}): right\b")
LONGEST_REASON = 300
NOT_GRADED = "not graded: "


def names_shown(text: str) -> list[str]:
    """The names of exercises that a piece of JSON shows as right."""
    if "✓" not in text and "\\u2713" not in text:  # far faster than the pattern
        return []
    return CARD.findall(text)


def claimed_in(source: str, shown: Iterable[str]) -> list[str]:
    """Those of the exercises which a cell shows as right that it also checks: a student may have
    changed the cell since it was run.
    """
    if "check" not in source:
        return []
    return [name for name in shown if re.search(rf"""["']{re.escape(name)}["']""", source)]


def with_claims(rows: Iterable[Row], claimed: Iterable[str]) -> list[Row]:
    """The grades; where the notebook shows an answer as right that failed here, with a remark. No
    points change: it may be a fault of the student's, who changed the answer, or of ours.
    """
    names = set(claimed)
    return [
        replace(row, remark=remark_on(row), shown_right=True)
        if row.exercise in names and not row.points
        else row
        for row in rows
    ]


def remark_on(row: Row) -> str:
    """The remark on an answer that is shown as right, and failed here."""
    words = f"your notebook shows ✓ for {row.exercise}; here it failed because {why(row)}"
    return words if row.remark in words else f"{words}; {row.remark}"


def why(row: Row) -> str:
    """Why an answer earned nothing, as the end of "because ..."."""
    if row.summary in (NOT_WRITTEN, NOT_ANSWERED):
        return f"it is {row.summary}"
    if re.match(r"wrong\b", row.summary):
        return f"the number is {row.summary}"
    if row.summary.startswith("did you mean"):
        return f"it cannot be read as one number: {row.summary}"
    reason = row.summary.removeprefix(NOT_GRADED).partition("\n")[0][:LONGEST_REASON]
    if reason.startswith("expected"):
        return f"the grader {reason}"
    return f"it raised {reason}" if re.match(r"\w+(?:Error|Exception|Exit)\b", reason) else reason
