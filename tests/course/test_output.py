"""What the commands print arrives as UTF-8, whatever the terminal or the pipe is set to."""

import io
import os
import subprocess
import sys

import pytest
from handed_in import solved

from minddpm.__main__ import main

ENCODINGS = ("cp1252", "cp932", "ascii", "utf-16")
STUDENT = "李 Zoë 🦊"


@pytest.fixture(params=ENCODINGS)
def printed(request, monkeypatch):
    """Runs a command on a terminal of some encoding; returns what it printed, on both streams."""

    def run(*arguments):
        streams = {name: io.BytesIO() for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding=request.param))
        try:
            main([str(argument) for argument in arguments])
        except SystemExit:  # after --help
            pass
        for name in streams:
            getattr(sys, name).flush()
        return "".join(stream.getvalue().decode("utf-8") for stream in streams.values())

    return run


def notebook(hand_in):
    cells = [*solved(), f"check('03.by_hand', 7, student='{STUDENT}')"]
    return hand_in(ada=cells) / "ada" / "03_posterior.ipynb"


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
@pytest.mark.parametrize("printed", ["cp932"], indirect=True)
def test_every_command_prints_utf_8(printed, hand_in, tmp_path):
    path = notebook(hand_in)
    said = printed("check", path)
    assert "✓ 03.posterior_variance: right" in said
    assert f"7 is not the answer for the values of '{STUDENT}'" in said
    assert "· 03.by_hand" in printed("progress", path.parent)
    out = tmp_path / "報告 é"
    assert "報告 é" in printed("grade", path.parent.parent, "--out", out)
    assert "é\u2014🦊" in printed("check", tmp_path / "é\u2014🦊.ipynb")


def test_help_and_hints_print_utf_8(printed):
    assert "usage:" in printed("--help")
    for command in ("check", "progress", "grade", "hint"):
        assert "usage:" in printed(command, "--help")
    assert "lesson 03" in printed("hint", "03.posterior_variance", "--all")
    assert "é🦊" in printed("hint", "é🦊")


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
def test_a_pipe_is_sent_utf_8(hand_in):
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "LC_ALL": "C", "PYTHONUTF8": "0"}
    environment["PYTHONCOERCECLOCALE"] = "0"
    command = [sys.executable, "-m", "minddpm", "check", str(notebook(hand_in))]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    assert f"for the values of '{STUDENT}'" in done.stdout.decode("utf-8")
    assert b"Error" not in done.stderr
