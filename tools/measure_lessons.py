"""Estimate how long each lesson takes to read, and what its code is for, as a table in Markdown.

    python tools/measure_lessons.py [--publish]

A learner is taken to read 200 words of text a minute, and a line of code in five seconds; a line of
more than 100 characters counts as two, and a formula as a word. Cells that are folded are not read.
A statement checks if it asserts or prints, and draws if it works on a figure; the rest teaches.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext

from benchmarks._report import put_between_marks

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
WORDS_A_MINUTE, SECONDS_A_LINE, WIDTH = 200, 5, 100
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)
DRAWS = re.compile(
    r"\b(axis|axes|figure|show|new_figure|draw_image|image_grid|display|colou?rs?)\b", re.I
)


@dataclass
class Lesson:
    """What a learner meets in a lesson."""

    name: str
    words: int = 0
    lines: int = 0
    teach: int = 0
    draw: int = 0
    check: int = 0
    folded: int = 0
    longest: int = 0

    @property
    def minutes(self) -> float:
        """How long it takes to read."""
        return self.words / WORDS_A_MINUTE + self.lines * SECONDS_A_LINE / 60


def read_lines(source: str) -> int:
    """Lines of code that are read; a wide one counts as several."""
    return sum(math.ceil(len(line) / WIDTH) for line in source.splitlines() if line.strip())


def statements(body: list[ast.stmt], source: str) -> Iterator[tuple[str, int]]:
    """What each statement is for, "teach", "draw" or "check", and how many lines it has."""
    for statement in body:
        text = ast.get_source_segment(source, statement) or ""
        if isinstance(statement, (ast.For, ast.With, ast.If)):
            head = text[: text.index("\n")] if "\n" in text else text
            inner = list(statements(statement.body + getattr(statement, "orelse", []), source))
            kinds = {kind for kind, _ in inner}
            yield (kinds.pop() if len(kinds) == 1 else "teach"), read_lines(head)
            yield from inner
        elif isinstance(statement, ast.Assert) or text.startswith("print("):
            yield "check", read_lines(text)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield "teach", read_lines(text)
        else:
            yield ("draw" if DRAWS.search(text) else "teach"), read_lines(text)


def measured(twin: Path) -> Lesson:
    """Count the words and lines of a lesson."""
    lesson = Lesson(twin.stem)
    for cell in jupytext.read(twin).cells:
        if cell.cell_type == "markdown":
            lesson.words += len(FORMULA.sub(" formula ", cell.source).split())
        elif cell.metadata.get("jupyter", {}).get("source_hidden"):
            lesson.folded += read_lines(cell.source)
        else:
            lines = read_lines(cell.source)
            lesson.lines += lines
            lesson.longest = max(lesson.longest, lines)
            for kind, count in statements(ast.parse(cell.source).body, cell.source):
                setattr(lesson, kind, getattr(lesson, kind) + count)
    return lesson


def table() -> str:
    """All lessons, a row each, and their sum."""
    lessons = [measured(twin) for twin in sorted((ROOT / "notebooks" / "py").glob("*.py"))]
    rows = [
        "| lesson | minutes | words | lines | teach | draw | check | folded | longest cell |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    columns = ("words", "lines", "teach", "draw", "check", "folded")
    for one in lessons:
        cells = [f"{one.minutes:.0f}", *(str(getattr(one, key)) for key in columns)]
        rows.append(f"| {one.name} | {' | '.join(cells)} | {one.longest} |")
    sums = [str(sum(getattr(one, key) for one in lessons)) for key in columns]
    minutes = sum(one.minutes for one in lessons)
    rows.append(f"| all | {minutes:.0f} | {' | '.join(sums)} | |")
    return "\n".join(rows)


def main() -> None:
    """Print the table, and publish it if asked to."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--publish", action="store_true", help=f"write it into {PAGE.name}, too")
    options = parser.parse_args()
    text = table()
    print(text)
    if options.publish:
        put_between_marks(PAGE, "lessons", text)


if __name__ == "__main__":
    main()
