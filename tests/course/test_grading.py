"""The course's part of the command line, from end to end."""

import os
import subprocess
import sys

import pytest
from handed_in import solved

from minddpm.__main__ import main

pytestmark = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")


def test_a_class_is_graded(hand_in, tmp_path, capsys):
    wrong = "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n    return beta_t\n"
    folder = hand_in(ada=solved(), ben=solved(posterior_variance=wrong))
    assert main(["grade", str(folder), "--out", str(tmp_path / "out"), "--jobs", "2"]) == 0
    assert "2 notebooks of 2 students graded, 0 broken" in capsys.readouterr().out
    page = (tmp_path / "out" / "feedback" / "ben.html").read_text(encoding="utf-8")
    assert "<br>A known mistake: beta for beta tilde. You return beta_t. Knowing x_0 leaves" in page
    page = (tmp_path / "out" / "class.html").read_text(encoding="utf-8")
    assert "03.posterior_variance: 1 of 2 solved it" in page
    assert main(["grade", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "resume" in capsys.readouterr().err
    assert main(["grade", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out2")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_notebook_is_checked_and_progress_listed(hand_in, capsys):
    folder = hand_in(ada=[*solved(), "prediction = 'B'"]) / "ada"
    assert main(["check", str(folder / "03_posterior.ipynb")]) == 1  # a number by hand is missing
    shown = capsys.readouterr().out
    assert "✓ 03.posterior_variance: right" in shown
    assert "✓ 03.predict: right" in shown
    assert "✗ 03.by_hand: not answered yet" in shown
    assert main(["progress", str(folder)]) == 0
    assert "4 of 6 solved" in capsys.readouterr().out


def test_a_picture_is_no_notebook(tmp_path, capsys):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    assert main(["check", str(tmp_path / "picture.png")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "picture.png: not a notebook" in shown


def test_ctrl_c_says_how_to_continue(hand_in, tmp_path, monkeypatch, capsys):
    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("marking.commands.grade", stopped)
    assert main(["grade", str(hand_in(ada=solved())), "--out", str(tmp_path / "out")]) == 130
    assert "continue with --resume" in capsys.readouterr().err


def test_without_the_extra_a_command_says_what_to_install():
    code = (
        "import argparse, sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from minddpm_course.commands import add_commands\n"
        "runs = {}\n"
        "def command(name, run):\n"
        "    runs[name] = run\n"
        "    return argparse.ArgumentParser()\n"
        "add_commands(command)\n"
        "try: runs['check'](argparse.Namespace(notebook=None))\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "this command needs matplotlib, which is not installed: pip install 'minddpm[course]'\n"
    )
