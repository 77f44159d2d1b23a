"""Hostile submissions, one a text file: each attacks the grader in its own way, to earn an exercise
that it does not solve or to do harm.

They lie in folders by the wall that they try. A file begins with its title and what is expected, in
comments:

- `the rest`: whether the other exercises of the notebook are still graded, or may be lost;
- `harm`: what would have been seen if the attack had worked;
- `remark`: words that the grader says of it, if it must say any;
- `on`: the machine that it is made for, if it is one ("x86_64");
- `pair`: "yes" if it is handed in twice, and both run at once: SIDE is 0 in one and 1 in the other;
- `together`: "yes" if it may be tried in one process with others, each against an exercise of its
  own, since it leaves nothing behind where the wall is up.

Whatever the file says, it earns nothing for the exercise that it does not solve.

Then come its cells: `# %%` runs before the answers, `# %% answer` defines `answer`, `# %% after`
runs after them. An attack that gets through calls `breached(what)`; its answer is then right, and
what got through stands in a remark. All of them may use what is in kit.txt.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marking.course import Course
from marking.exercise import Exercise, function_of

CORPUS = Path(__file__).parent
KIT = (CORPUS / "kit.txt").read_text(encoding="utf-8")
NUMBERED = ("x86_64", "aarch64")  # the machines whose system calls the kit knows
CALLS_BY_NUMBER = re.compile(r"\b(system|reaches_the_kernel)\(")
# how a submission says what got through, and which one it was
GOT_THROUGH = re.compile(r"got through \((\w+)\): (.*)", re.DOTALL)
UNANSWERED = "def answer(*args):\n    if BREACHES: return right(*args)\n"


@dataclass(frozen=True)
class Hostile:
    """A hostile notebook.

    Args:
        name: of its file, such as "walks_the_stack".
        wall: of its folder, such as "answers".
        title: what it does, in a few words.
        before: a cell that runs before the answers, or empty.
        answer: the definition of `answer`.
        after: a cell that runs after the answers, or empty.
        spares_the_rest: whether what it solves is still graded right.
        harm: what would have been seen if it had worked.
        remark: words of the grader's remark, or empty.
        on: the machine that it is made for, or empty for any.
        paired: whether it is handed in twice, and both run at once.
        together: whether it may be tried in one process with others.
    """

    name: str
    wall: str
    title: str
    before: str
    answer: str
    after: str
    spares_the_rest: bool
    harm: str
    remark: str = ""
    on: str = ""
    paired: bool = False
    together: bool = False

    def fits(self) -> bool:
        """Whether it can be tried on this machine."""
        machine = platform.machine()
        calls_by_number = CALLS_BY_NUMBER.search(self.before + self.after) is not None
        return self.on in ("", machine) and (machine in NUMBERED or not calls_by_number)


def hostile_notebooks() -> list[Hostile]:
    """All hostile notebooks, by wall and name."""
    return [read_hostile(path) for path in sorted(CORPUS.glob("*/*.txt"))]


def read_hostile(path: Path) -> Hostile:
    """Read one file of hostile cells.

    Raises: ValueError for a file that does not say what is expected.
    """
    head, *parts = path.read_text(encoding="utf-8").split("# %%")
    title, *lines = [line.removeprefix("# ") for line in head.splitlines()]
    facts = dict(line.partition(": ")[::2] for line in lines)
    cells = {"": "", " answer": UNANSWERED, " after": ""}
    for part in parts:
        kind, _, source = part.partition("\n")
        cells[kind] = source
    known = {"the rest", "harm", "remark", "on", "pair", "together"}
    if not {"the rest", "harm"} <= facts.keys() <= known or len(cells) > 3:
        raise ValueError(f"{path}: expected the rest, harm and cells, got {sorted(facts)}")
    return Hostile(
        path.stem,
        wall=path.parent.name,
        title=title,
        before=cells[""],
        answer=cells[" answer"],
        after=cells[" after"],
        spares_the_rest=facts["the rest"] == "graded",
        harm=facts["harm"],
        remark=facts.get("remark", ""),
        on=facts.get("on", ""),
        paired=facts.get("pair") == "yes",
        together=facts.get("together") == "yes",
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
        secrets: files and folders that they must not read.
        seed: of the inputs, which they must not find anywhere.
        memory: how many megabytes each may use.
        side: which of two it is that run at once, 0 or 1.
        module: where the right answer lies, if that is not where the exercise has it.
    """

    course: Course
    exercise: Exercise
    right: str
    port: int
    victim: str
    out: str
    secrets: tuple[str, ...] = ()
    seed: int = 0
    memory: int = 4096
    side: int = 0
    module: str = ""

    def facts(self) -> str:
        """The cell that tells a hostile notebook what to attack."""
        values = {
            "QUESTION": self.exercise.name,
            "FUNCTION": function_of(self.exercise.name),
            "RIGHT": self.right,
            "PACKAGE": self.course.package,
            "LIBRARY": (*self.course.answers, self.course.package)[0],
            "MODULE": self.module or self.exercise.reference.__module__,
            "PORT": self.port,
            "VICTIM": self.victim,
            "OUT": self.out,
            "SECRETS": list(self.secrets),
            "DEES": str(self.seed)[::-1],  # turned round, so that it finds more than this line
            "MEMORY": self.memory * 2**20,
            "SIDE": self.side,
        }
        lines = [f"{name} = {value!r}" for name, value in values.items()]
        return "\n".join(lines) + "\n" + KIT


def hostile_cells(hostile: Hostile, target: Target, head: str, rest: Sequence[str]) -> list[str]:
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
    before = hostile.before.split("# %%\n")
    confession = f"confess({hostile.name!r})"
    cells = [target.facts(), head, *before, answer, check, *rest, hostile.after, confession]
    return [cell for cell in cells if cell.strip()]


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
