"""Grading: what is earned, what is said, what is written; broken files, odd notebooks, zips,
resuming.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from handed_in import HEAD, notebook, solved

from marking.grader import grade
from marking.sandbox.parent import Limits, walls
from minddpm.__main__ import main
from minddpm_course.bank import BANK

pytestmark = pytest.mark.skipif(os.name == "nt", reason="submissions are run on Linux and macOS")
LIMITS = Limits(timeout=60, cell=10)


def graded(folder, out, **options):
    grade([folder], out, limits=LIMITS, progress=False, **options)
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_exercise(rows, student):
    return {row["exercise"]: row for row in rows if row["student"] == student}


def test_right_wrong_and_unwritten_answers(hand_in, tmp_path):
    wrong = "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n    return beta_t\n"
    stub = "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n    ...\n"
    folder = hand_in(
        ada=solved(), ben=solved(posterior_variance=wrong), cleo=solved(posterior_variance=stub)
    )
    rows = graded(folder, tmp_path / "out")
    assert list(rows[0]) == ["student", "notebook", "exercise", "points", "of", "mistake", "remark"]
    ada, ben, cleo = (by_exercise(rows, student) for student in ("ada", "ben", "cleo"))
    assert [
        int(ada[f"03.{name}"]["points"])
        for name in ("posterior_coefficients", "posterior_variance")
    ] == [3, 2]
    assert ben["03.posterior_variance"]["points"] == "0"
    assert ben["03.posterior_variance"]["mistake"] == "beta for beta tilde"
    assert cleo["03.posterior_variance"]["points"] == "0"
    assert cleo["03.posterior_variance"]["mistake"] == ""
    assert cleo["03.posterior_coefficients"]["points"] == "3"
    page = (tmp_path / "out" / "feedback" / "ben.html").read_text(encoding="utf-8")
    assert "A known mistake: beta for beta tilde" in page
    assert "not written yet" in (tmp_path / "out" / "feedback" / "cleo.html").read_text(
        encoding="utf-8"
    )
    klass = (tmp_path / "out" / "class.html").read_text(encoding="utf-8")
    assert "03.posterior_variance: 1 of 3 solved it" in klass
    assert "What to teach again" in klass


def test_feedback_gives_no_inputs_away(hand_in, tmp_path):
    spy = "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n    return beta_t / 7\n"
    graded(hand_in(ada=solved(posterior_variance=spy)), tmp_path / "out")
    page = (tmp_path / "out" / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "expected" not in page
    assert "beta_t = " not in page


def test_cells_that_are_missing_moved_or_doubled_are_graded_by_name(hand_in, tmp_path):
    cells = solved()
    checks = [cell for cell in cells if cell.startswith("check(")]
    rest = [cell for cell in cells if not cell.startswith("check(")]
    folder = hand_in(
        unchecked=rest,
        shuffled=[rest[0], *rest[:0:-1], *checks],
        doubled=[*cells, cells[1].replace("/ (1 - alpha_bar_t)", "/ 2"), cells[1], cells[2]],
        without_head=[cell.replace("check(", "#") for cell in rest[1:]],
    )
    rows = graded(folder, tmp_path / "out")
    for student in ("unchecked", "shuffled", "doubled", "without_head"):
        row = by_exercise(rows, student)["03.posterior_variance"]
        assert row["points"] == "2", (student, row)
        assert ("not handed to check" in row["remark"]) == (
            student in ("unchecked", "without_head")
        )


def test_an_error_in_one_cell_costs_only_that_cell(hand_in, tmp_path):
    cells = solved()
    folder = hand_in(
        ada=[cells[0], "1 / 0", "def f(:", "%matplotlib inline\n!ls", "await_me = 1", *cells[1:]]
    )
    row = by_exercise(graded(folder, tmp_path / "out"), "ada")["03.posterior_variance"]
    assert row["points"] == "2"
    assert "ZeroDivisionError" in row["remark"]
    assert "SyntaxError" in row["remark"]


BROKEN = {
    "not_json": "this is no notebook",
    "no_cells": json.dumps({"worksheets": []}),
    "a_list": "[1, 2]",
    "other_kernel": json.dumps(
        {"cells": [], "metadata": {"kernelspec": {"name": "ir", "language": "R"}}}
    ),
    "not_utf8": "naïve".encode("utf-16"),
    "empty": "",
    "deep": "[" * 100_000,
    "huge": '{"cells": "' + "x" * (50 * 2**20) + '"}',
}


def test_a_broken_notebook_costs_only_itself(hand_in, tmp_path):
    rows = graded(
        hand_in(**BROKEN, python_2=[HEAD, "print 'no'"], zz_good=solved()), tmp_path / "out"
    )
    for student in BROKEN:
        own = [row for row in rows if row["student"] == student]
        assert len(own) == 1
        assert own[0]["remark"].startswith("wanted"), own
        assert (tmp_path / "out" / "feedback" / f"{student}.html").exists()
    assert by_exercise(rows, "zz_good")["03.posterior_variance"]["points"] == "2"
    assert "SyntaxError" in by_exercise(rows, "python_2")["03.posterior_variance"]["remark"]


def test_a_zip_as_a_learning_platform_exports_it(tmp_path):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "Ada Lovelace_123_assignsubmission_file_/03_posterior.ipynb", notebook(solved())
        )
        archive.writestr("noetheremmy_4567_8901_03_posterior.ipynb", notebook(solved()))
        archive.writestr("../../escaped.ipynb", notebook(solved()))
        archive.writestr("__MACOSX/Ada/03_posterior.ipynb", "junk")
        archive.writestr("Ada Lovelace_123_assignsubmission_file_/notes.txt", "hello")
    rows = graded(path, tmp_path / "out")
    assert {row["student"] for row in rows} == {"Ada Lovelace", "noetheremmy"}
    assert not (tmp_path.parent / "escaped.ipynb").exists()


def test_an_entry_of_a_zip_that_cannot_be_read_costs_only_its_student(tmp_path):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada/03_posterior.ipynb", notebook(solved()))
        archive.writestr("ben/03_posterior.ipynb", notebook(solved()) + "  <- here")
        archive.writestr("ben/03_posterior.ipynb/inside.ipynb", notebook(solved()))
    path.write_bytes(
        path.read_bytes().replace(b"<- here", b"<- HERE")
    )  # its checksum is no longer right
    rows = graded(path, tmp_path / "out")
    assert by_exercise(rows, "ada")["03.posterior_variance"]["points"] == "2"
    assert {row["points"] for row in rows if row["student"] == "ben"} == {"0"}


def test_odd_characters_and_large_cells_cost_no_one_time(hand_in, tmp_path):
    cells = solved()
    folder = hand_in(
        surrogate=[cells[0], "raise ValueError('\\ud800')", "x = '\ud800'", *cells[1:]],
        blank=[*cells, "\n" * 5_000_000],
        magics=[*cells, "%magic\n" * 5_000],
        long=[*cells, "x = 1  # ?\n" * 200_000],
    )
    (folder / ("n" * 200)).mkdir()
    (folder / ("n" * 200) / "03_posterior.ipynb").write_text(notebook(cells))
    rows = graded(folder, tmp_path / "out")
    for student in ("surrogate", "blank", "magics", "long", "n" * 200):
        assert by_exercise(rows, student)["03.posterior_variance"]["points"] == "2", student


def test_an_environment_that_lies_in_tmp_is_not_hidden(monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/tmp/course/.venv")
    command = walls("bwrap", Path("/room"), 1)
    assert command.index("/tmp") < command.index("/tmp/course/.venv")
    assert command[command.index("/tmp") - 1] == "--tmpfs"


def test_an_answer_that_ends_the_process_costs_only_itself(hand_in, tmp_path):
    ending = (
        "def posterior_coefficients(beta_t, alpha_bar_t, alpha_bar_prev):\n    import os\n   "
        " os._exit(0)\n"
    )
    rows = by_exercise(
        graded(hand_in(ada=solved(posterior_coefficients=ending)), tmp_path / "out"), "ada"
    )
    assert "its process ended" in rows["03.posterior_coefficients"]["remark"]
    assert rows["03.posterior_coefficients"]["points"] == "0"
    assert rows["03.posterior_variance"]["points"] == "2"


def test_the_numbers_of_another_name_are_remarked(hand_in, tmp_path):
    question = BANK["03.by_hand"]
    number = question.answer(**question.values_for("Emmy Noether"))
    cells = [*solved(), f"check('03.by_hand', {number!r}, student='Emmy Noether')"]
    rows = graded(hand_in(emmy_noether=cells, ada=cells), tmp_path / "out")
    remarks = {
        student: by_exercise(rows, student)["03.by_hand"] for student in ("emmy_noether", "ada")
    }
    assert {row["points"] for row in remarks.values()} == {"1"}
    assert "are those of 'Emmy Noether'" in remarks["ada"]["remark"]
    assert "are those of" not in remarks["emmy_noether"]["remark"]


def test_ctrl_c_ends_it_at_once_and_loses_nothing(hand_in, tmp_path):
    stubborn = (
        "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n   "
        "     pass\n"
    )
    folder = hand_in(ada=solved(), ben=[stubborn], cleo=[stubborn])
    # where tests run in the background, Ctrl-C is ignored by all that they start: heed it again
    heed = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    run = heed + "from minddpm.__main__ import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        run,
        "grade",
        str(folder),
        "--out",
        str(tmp_path / "out"),
        "--jobs",
        "2",
    ]
    process = subprocess.Popen([*command, "--timeout", "500"], stderr=subprocess.PIPE, text=True)
    results = tmp_path / "out" / "results.jsonl"
    deadline = time.monotonic() + 120
    while not (results.exists() and results.read_text()) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert "go on with --resume" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert len(results.read_text().splitlines()) == 1


def test_results_repeat_with_the_seed_and_resuming_loses_nothing(hand_in, tmp_path):
    folder = hand_in(ada=solved(), ben=solved(posterior_variance=None))
    first = graded(folder, tmp_path / "a", seed=3)
    assert first == graded(folder, tmp_path / "b", seed=3, jobs=1)
    results = tmp_path / "a" / "results.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines(keepends=True)
    results.write_text(
        lines[0] + lines[1][: len(lines[1]) // 2], encoding="utf-8"
    )  # stopped while writing
    with pytest.raises(FileExistsError, match="resume"):
        graded(folder, tmp_path / "a", seed=3)
    assert graded(folder, tmp_path / "a", seed=3, resume=True) == first


def test_the_command_line(hand_in, tmp_path, capsys):
    folder = hand_in(ada=solved())
    assert main(["grade", str(folder), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    assert "1 notebooks of 1 students graded" in capsys.readouterr().out
    assert main(["grade", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "resume" in capsys.readouterr().err
    assert main(["grade", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out2")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert (
        main(["check", str(folder / "ada" / "03_posterior.ipynb")]) == 1
    )  # the numbers by hand are not there
    shown = capsys.readouterr().out
    assert "✓ 03.posterior_variance: right" in shown
    assert "✗ 03.by_hand: not written yet" in shown
    assert main(["progress", str(folder / "ada")]) == 0
    assert "3 of 5 solved" in capsys.readouterr().out
