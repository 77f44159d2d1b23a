"""Benchmarks are started by their names."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as starter
from benchmarks._report import PAGE, Report

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
    assert "expected all or one of" in done.stderr
    assert "got 'one_digits'" in done.stderr


def test_all_are_run_and_published_until_one_fails(monkeypatch):
    started = []

    def run_one(name, *options):
        started.append((name, options))
        return 3 if len(started) == 3 else 0

    monkeypatch.setattr(starter, "run", run_one)
    with pytest.raises(SystemExit) as stopped:
        starter.main(["all"])
    assert stopped.value.code == 3
    assert started == [(name, ("--publish",)) for name in starter.NAMES[:3]]


def test_what_is_printed_is_published_between_its_marks(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a --><!-- /a -->\n<!-- b -->old<!-- /b -->\nafter\n")
    for cell in ("1", "2"):
        report = Report("| x |", "|---|")
        report.say(f"| {cell} |")
        report.publish("b", page)
    assert capsys.readouterr().out.endswith("| x |\n|---|\n| 2 |\n")
    assert page.read_text() == (
        "before\n<!-- a --><!-- /a -->\n<!-- b -->\n\n| x |\n|---|\n| 2 |\n\n<!-- /b -->\nafter\n"
    )
    with pytest.raises(ValueError, match=r"page.md must have the marks <!-- c --> and <!-- /c -->"):
        report.publish("c", page)


def test_the_page_has_marks_for_each_benchmark_that_publishes_there():
    page = PAGE.read_text(encoding="utf-8")
    for name in ("few_steps", "one_digit", "peers", "sampling", "speedrun", "weights"):
        assert f'report.publish("{name}")' in (PAGE.parent / f"{name}.py").read_text("utf-8")
        assert page.count(f"<!-- {name} -->") == page.count(f"<!-- /{name} -->") == 1
