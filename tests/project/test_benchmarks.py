"""Benchmarks are started by their names."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_each_benchmark_is_listed_and_starts_by_its_name():
    listed = run().stdout
    names = [path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")]
    assert len(names) >= 4
    for name in names:
        assert f"  {name} " in listed
    assert "--rounds" in run("one_digit", "--help").stdout


def test_another_name_is_refused():
    done = run("one_digits")
    assert done.returncode == 1
    assert "expected one of" in done.stderr
    assert "got 'one_digits'" in done.stderr
