"""The table of how long the lessons take is that of the lessons as they are."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_holds_the_table_that_the_tool_prints():
    tool = [sys.executable, str(ROOT / "tools" / "measure_lessons.py")]
    table = subprocess.run(tool, capture_output=True, text=True, check=True).stdout.strip()
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"<!-- lessons -->\n\n{table}\n\n<!-- /lessons -->" in page
