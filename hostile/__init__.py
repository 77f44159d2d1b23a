"""Hostile notebooks, one a text file: each attacks the grader in its own way, to earn an exercise
that it does not solve.

A file begins with its title and what is expected of it, in comments: whether the other exercises of
the notebook are still graded, and words of the remark that the grader makes. Then come its cells:
`# %%` runs before the answers, `# %% answer` defines `answer`, `# %% after` runs after them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marking.course import Course
from marking.exercise import Exercise, function_of

UNANSWERED = "def answer(*args):\n    ...\n"


@dataclass(frozen=True)
class Hostile:
    """A hostile notebook.

    Args:
        name: of its file, such as "walks_the_stack".
        before: a cell that runs before the answers, or empty.
        answer: the definition of `answer`.
        after: a cell that runs after the answers, or empty.
        spares_the_rest: whether what it solves is still graded right.
        remark: words of the grader's remark, or empty.
        remark_under_seccomp: words of another, on machines that filter system calls.
    """

    name: str
    before: str
    answer: str
    after: str
    spares_the_rest: bool
    remark: str
    remark_under_seccomp: str


def hostile_notebooks() -> list[Hostile]:
    """All hostile notebooks, by name."""
    return [read_hostile(path) for path in sorted(Path(__file__).parent.glob("*.txt"))]


def read_hostile(path: Path) -> Hostile:
    """Read one file of hostile cells."""
    head, *parts = path.read_text(encoding="utf-8").split("# %%")
    facts = dict(line[2:].partition(": ")[::2] for line in head.splitlines()[1:])
    cells = {"": "", " answer": UNANSWERED, " after": ""}
    for part in parts:
        kind, _, source = part.partition("\n")
        cells[kind] = source
    return Hostile(
        path.stem,
        before=cells[""],
        answer=cells[" answer"],
        after=cells[" after"],
        spares_the_rest=facts["the rest"] == "graded",
        remark=facts.get("remark", ""),
        remark_under_seccomp=facts.get("remark under seccomp", ""),
    )


@dataclass(frozen=True)
class Target:
    """What hostile notebooks attack.

    Args:
        course: whose package they import.
        exercise: what they want to earn.
        right: the source of its right answer, for notebooks that find what they should not.
        port: of a server on this machine that must not hear from them.
        victim: a file that they must not change.
        out: the table of grades, which they must not change either.
    """

    course: Course
    exercise: Exercise
    right: str
    port: int
    victim: str
    out: str

    def facts(self) -> str:
        """The cell that tells a hostile notebook what to attack."""
        values = {
            "QUESTION": self.exercise.name,
            "FUNCTION": function_of(self.exercise.name),
            "RIGHT": self.right,
            "PACKAGE": self.course.package,
            "LIBRARY": (*self.course.answers, self.course.package)[0],
            "MODULE": self.exercise.reference.__module__,
            "PORT": self.port,
            "VICTIM": self.victim,
            "OUT": self.out,
        }
        return "\n".join(f"{name} = {value!r}" for name, value in values.items())


def cells_of(hostile: Hostile, target: Target, head: str, rest: Sequence[str]) -> list[str]:
    """The code cells of a hostile submission.

    Args:
        hostile: the hostile notebook.
        target: what it attacks.
        head: the cell that imports `check`.
        rest: cells that solve other exercises.
    """
    name = target.exercise.name
    answer = f"{hostile.answer}\n{function_of(name)} = answer"
    check = f"check({name!r}, {function_of(name)})"
    cells = [target.facts(), head, hostile.before, answer, check, *rest, hostile.after]
    return [cell for cell in cells if cell]


def as_notebook(cells: Sequence[str]) -> str:
    """A notebook of these code cells, as JSON."""
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{place}",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": source,
        }
        for place, source in enumerate(cells)
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
