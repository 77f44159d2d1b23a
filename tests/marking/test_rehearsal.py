"""A machine that cannot run submissions says so, in the words of what fails, and grades nothing."""

import importlib.util
import io
import os
import site
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec

import pytest
from quadratics import REHEARSED, SOLVED, solved

from marking import commands
from marking.grader import grade, grade_submission
from marking.grades import Graded, Row
from marking.rehearsal import (
    NotReady,
    last_words,
    message,
    rehearse,
    solved_cells,
    what_failed,
    why_not_found,
)
from marking.sandbox import parent
from marking.sandbox.parent import Limits, prepared_sandbox

unix = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")


def without_torch(folder, monkeypatch):
    """A Python that has no packages; a sandbox would not see it."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(parent, "PYTHON", (str(python), *parent.PYTHON[1:]))
    monkeypatch.setattr(parent, "packages_seen", lambda _hidden: ())
    monkeypatch.setattr(parent, "bubblewrap", lambda: None)


def with_outcome(code):
    """A room in which an import does something else."""

    def change(folder, monkeypatch):
        (folder / "outcome.py").write_text(code)
        others = [path for path in parent.ROOM if path.name != "outcome.py"]
        monkeypatch.setattr(parent, "ROOM", (*others, folder / "outcome.py"))

    return change


def without_child(folder, monkeypatch):
    monkeypatch.setattr(
        parent, "ROOM", tuple(path for path in parent.ROOM if path.name != "child.py")
    )


def with_a_broken_bubblewrap(folder, monkeypatch):
    (folder / "bwrap").write_text("#!/bin/sh\necho 'bwrap: Unknown option --size' >&2\nexit 1\n")
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setattr(parent, "bubblewrap", lambda: str(folder / "bwrap"))


BROKEN = {
    "a Python without torch": (without_torch, "No module named 'torch'|No module named 'numpy'"),
    "an import that raises": (with_outcome("raise OSError('libfoo.so')"), "OSError: libfoo.so"),
    "an import that aborts": (
        with_outcome("import sys, os; print('undefined symbol', file=sys.stderr); os._exit(9)"),
        "undefined symbol",
    ),
    "an import that is silent": (with_outcome("import os; os._exit(9)"), "its process ended"),
    "no child": (without_child, "can't open file .*child.py"),
}


@unix
@pytest.mark.parametrize("machine", BROKEN)
def test_nothing_is_graded_on_a_broken_machine(hand_in, tmp_path, monkeypatch, machine):
    breaking, words = BROKEN[machine]
    folder = hand_in(ada=solved(), ben=solved())
    breaking(tmp_path, monkeypatch)
    with pytest.raises(NotReady, match=f"(?s)nothing was graded.*an empty one.*(?:{words})"):
        grade(REHEARSED, [folder], tmp_path / "out", progress=False)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(NotReady, match=words):
        commands.graded_here(REHEARSED, folder / "ada" / "solve_quadratics.ipynb")


@unix
def test_nothing_is_graded_in_a_broken_bubblewrap(hand_in, tmp_path, monkeypatch):
    folder = hand_in(ada=solved())
    with_a_broken_bubblewrap(tmp_path, monkeypatch)
    with pytest.raises(OSError, match="Python does not start in it: bwrap: Unknown option --size"):
        grade(REHEARSED, [folder], tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@unix
def test_a_package_that_only_an_answer_needs_is_missed_by_the_solved_one(hand_in, tmp_path):
    uses = SOLVED["roots"].replace(":\n", ":\n    no_such.begin()\n", 1)
    needs = replace(REHEARSED, solved={"solve.roots": f"import no_such\n{uses}"})
    words = r"(?s)a solved one.*solve\.roots earned 0 of 3.*\nno_such is not installed: .*pip"
    with pytest.raises(NotReady, match=words):
        grade(needs, [hand_in(ada=solved())], tmp_path / "out", progress=False)


@unix
def test_a_machine_that_works_grades_and_a_course_without_answers_is_not_tried(monkeypatch):
    with prepared_sandbox(REHEARSED, Limits()) as sandbox:
        rehearse(sandbox, lambda one, where: grade_submission(one, where, 1))

        def never(*_):
            raise AssertionError("it is run")

        rehearse(replace(sandbox, course=replace(REHEARSED, solved={})), never)

        def unable(*_):
            raise OSError("no more processes")

        with pytest.raises(NotReady, match="could not be started: no more processes"):
            rehearse(sandbox, unable)


@unix
def test_one_answer_that_ends_its_process_is_not_the_machines_fault(hand_in):
    ending = "def roots(a, b, c):\n    import os\n    os._exit(0)\n"
    folder = hand_in(ada=solved(roots=ending))
    graded = commands.graded_here(REHEARSED, folder / "ada" / "solve_quadratics.ipynb")
    assert [row.points for row in graded.rows] == [2, 0, 0]


def test_what_an_empty_and_a_solved_submission_must_earn():
    unwritten = Row("solve.discriminant", 0, 2, summary="not written yet")
    right = Row("solve.roots", 3, 3, summary="right")
    wrong = Row("solve.roots", 0, 3, summary="result 1 of 2 is wrong")
    lost = Row("solve.roots", 0, 3, summary="not graded: it took over 1 s in total")
    assert what_failed(Graded("", "", "", (unwritten, right)), ["solve.roots"]) == ""
    assert what_failed(Graded("", "", "", (unwritten, right)), []) == (
        "solve.roots, to which it has no answer, got 'right'"
    )
    assert what_failed(
        Graded("", "", "", (unwritten, wrong), ("cell 1: odd",)), ["solve.roots"]
    ) == ("its right answer to solve.roots earned 0 of 3: result 1 of 2 is wrong; cell 1: odd")
    for solved_ones in ([], ["solve.roots"]):
        assert what_failed(Graded("", "", "", (lost,)), solved_ones) == "it took over 1 s in total"


def test_solved_cells_are_of_the_course():
    assert solved_cells(REHEARSED)[0] == "from quadratics import ask, beside, check, hint"
    assert solved_cells(REHEARSED)[-1] == "check('solve.roots', roots)"
    with pytest.raises(ValueError, match=r"solved must name questions of the bank, got 'solve\.x'"):
        replace(REHEARSED, solved={"solve.x": ""})


def test_the_last_words_are_few_and_plain():
    said = (
        "".join(f"line {number}\n\n" for number in range(5000)) + "\x1b[31mred\x07\n" + "x" * 9**5
    )
    lines = last_words(io.BytesIO(said.encode()))
    assert len(lines) == 1
    assert len(lines[0]) == 300
    lines = last_words(io.BytesIO(said[: 1 - 9**5].encode()))
    assert lines[-3:-1] == ["line 4999", "[31mred"]
    assert len(lines) == 8
    assert last_words(io.BytesIO(b"")) == []
    assert "last words" not in message("an empty", "its process ended", [])
    assert message("an empty", "it took over 2 s in total", []).endswith("on this machine")


def found_at(path):
    return lambda name: ModuleSpec(name, None, origin=f"{path}/{name}.py")


def test_where_a_missing_package_is_and_what_to_do(monkeypatch, tmp_path):
    place = tmp_path / "site-packages"
    monkeypatch.setattr(importlib.util, "find_spec", found_at(place))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert "perhaps through a .pth file; submissions see only what" in why_not_found("torch")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/else", str(tmp_path)]))
    assert f"torch is found through PYTHONPATH, in {place}" in why_not_found("torch")
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(place))
    assert "for your user alone" in why_not_found("torch")
    assert "python -m venv" in why_not_found("torch")
    monkeypatch.setattr(importlib.util, "find_spec", found_at(f"{sys.prefix}/lib"))
    assert "does not find it there" in why_not_found("torch")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert why_not_found("torch") == (
        f"torch is not installed: {sys.executable} -m pip install torch"
    )


@unix
def test_the_commands_fail_and_write_no_report(hand_in, tmp_path, monkeypatch):
    without_child(tmp_path, monkeypatch)
    folder = hand_in(ada=solved())
    from test_commands import run

    for command in (
        ("grade", folder, "--out", tmp_path / "out"),
        ("check", folder / "ada" / "solve_quadratics.ipynb"),
        ("progress", folder / "ada"),
    ):
        with pytest.raises(NotReady, match="can't open file"):
            run(*command, load_course=lambda: REHEARSED)
    assert not (tmp_path / "out" / "class.html").exists()
