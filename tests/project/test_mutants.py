"""The unit tests notice small mistakes in the maths, whichever are drawn."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_sizes import MATHS

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "measure_mutants.py"


@pytest.mark.skipif(sys.platform != "linux", reason="mutants are tried in forked processes")
def test_the_unit_tests_notice_nearly_all_mutants_of_a_sample():
    done = subprocess.run(
        [sys.executable, str(TOOL), "--sample", "60", "--seed", "2020"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^the tests notice \S+% of 60 mutants$", done.stdout, re.MULTILINE)


def test_the_page_has_a_row_for_each_module_of_the_maths():
    page = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| \d", page, re.MULTILINE)
    assert rows == [*MATHS, "all"]


def test_the_page_says_why_a_mutant_cannot_be_noticed():
    page = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")
    told = tomllib.loads((ROOT / "docs" / "mutants.toml").read_text(encoding="utf-8"))
    assert told["survivor"]
    for one in told["survivor"]:
        assert (
            f"`{one['where']}`: `{one['right']}` becomes `{one['wrong']}`. {one['reason']}" in page
        )
