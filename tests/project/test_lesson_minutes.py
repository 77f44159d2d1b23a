"""Lessons are short, and the table of how long they take is that of the lessons as they are."""

import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks" / "py").glob("*.py"))
MOST_LINES = 15  # in a cell that is not folded


@pytest.fixture(scope="module")
def table():
    """The table that the tool prints."""
    tool = [sys.executable, str(ROOT / "tools" / "measure_lessons.py")]
    return subprocess.run(tool, capture_output=True, text=True, check=True).stdout.strip()


def test_the_page_holds_the_table_that_the_tool_prints(table):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"<!-- lessons -->\n\n{table}\n\n<!-- /lessons -->" in page


def test_no_lesson_takes_more_than_35_minutes_and_all_of_them_six_hours(table):
    rows = [line.strip("| ").split(" | ") for line in table.split("\n")[2:]]
    minutes = {name: int(taken) for name, taken, *_ in rows}
    assert minutes.pop("all") < 360
    assert len(minutes) == len(LESSONS)
    assert max(minutes.values()) <= 35


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_cell_that_is_open_is_short(lesson):
    for cell in jupytext.read(lesson).cells:
        if cell.cell_type == "code" and not cell.metadata.get("jupyter", {}).get("source_hidden"):
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert len(lines) <= MOST_LINES, f"{lines[0]!r} begins a cell of {len(lines)} lines"
