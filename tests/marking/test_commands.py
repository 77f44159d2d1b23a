"""The commands of a course, on a command line of their own: check, progress, grade,
nbgrader-course.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from quadratics import COURSE, solved

from marking import commands
from marking.commands import add_marking_commands
from marking.hostile import as_notebook
from marking.pages import templates
from marking.sandbox.parent import Limits, Lost, Running, prepared_sandbox

HERE = Path(__file__).parent
unix = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")


def run(*arguments, load_course=lambda: COURSE):
    """Run a command, and return its exit code; errors are raised."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()

    def command(name, run):
        made = subparsers.add_parser(name, help=run.__doc__, description=run.__doc__)
        made.set_defaults(run=run)
        return made

    add_marking_commands(command, load_course, "pip install algebra[course]")
    options = parser.parse_args([str(argument) for argument in arguments])
    return options.run(options)


@unix
def test_check_judges_every_answer_of_a_notebook(hand_in, capsys):
    folder = hand_in(ada=solved())
    assert run("check", folder / "ada" / "solve_quadratics.ipynb") == 1
    shown = capsys.readouterr().out
    assert "✓ solve.discriminant: right" in shown
    assert "✗ solve.by_hand: not answered yet" in shown
    assert shown.endswith("2 of 3 solved\n")


def test_a_lesson_is_told_from_its_exercises(hand_in, monkeypatch):
    folder = hand_in(lessons=["print('a lesson')"], exercises=solved())
    name = "solve_quadratics.ipynb"
    for here, lesson, exercises in (
        (folder, f"lessons/{name}", f"exercises/{name}"),
        (folder / "lessons", name, f"../exercises/{name}"),
    ):
        monkeypatch.chdir(here)
        said = f"^{Path(lesson)} is the lesson; its exercises are in {Path(exercises)}$"
        with pytest.raises(ValueError, match=said):
            run("check", lesson)


@unix
def test_exercises_of_which_only_the_text_is_left_are_no_lesson(hand_in, capsys):
    cells = [{"cell_type": "markdown", "source": "Write `solve.roots`.", "metadata": {}}]
    notebook = json.loads(as_notebook(["answer = 3"]))
    notebook["cells"] += cells
    folder = hand_in(exercises=json.dumps(notebook))
    assert run("check", folder / "exercises" / "solve_quadratics.ipynb") == 1
    assert capsys.readouterr().out.endswith("0 of 3 solved\n")


@unix
def test_progress_names_what_comes_next(hand_in, capsys):
    wrong = "def roots(a, b, c):\n    return (7 * a).sin(), b\n"
    folder = hand_in(ada=solved(roots=wrong)) / "ada"
    (folder / "other.ipynb").write_text("no notebook, and of no lesson")
    assert run("progress", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["✓", "solve.discriminant", "right"]
    assert lines[1].startswith("· solve.roots                  result 1 of 2 is wrong, off by")
    assert lines[-2] == "1 of 3 solved, 2 of 6 points"
    assert lines[-1] == f"next: solve.roots, in {folder / 'solve_quadratics.ipynb'}"


def test_progress_says_why_a_folder_has_no_notebooks(tmp_path):
    (tmp_path / "file").write_text("")
    expected = "expected a folder with notebooks of exercises, got"
    for name, got in (("", "has none"), ("none", "does not exist"), ("file", "is a file")):
        with pytest.raises(FileNotFoundError, match=f"{expected} {tmp_path / name}, which {got}$"):
            run("progress", tmp_path / name)


def test_notebooks_of_your_own_are_judged_at_once_and_come_in_order(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    both = threading.Barrier(2)

    def graded(course, path):
        both.wait(10)
        time.sleep(0.2 if path.name == "1" else 0)
        return path.name

    monkeypatch.setattr(commands, "graded_here", graded)
    notebooks = [Path(name) for name in "1234"]
    rows = list(commands.all_graded_here(COURSE, notebooks))
    assert rows == [(path, path.name) for path in notebooks]


def test_after_an_error_no_further_notebook_is_begun(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    begun = []

    def graded(course, path):
        begun.append(path)
        time.sleep(0.2)
        raise ValueError(f"{path}: no notebook")

    monkeypatch.setattr(commands, "graded_here", graded)
    with pytest.raises(ValueError, match="^0: no notebook$"):
        list(commands.all_graded_here(COURSE, [Path(str(k)) for k in range(40)]))
    assert len(begun) <= 5


@unix
def test_grade_writes_a_report_and_resumes(hand_in, tmp_path, capsys):
    folder = hand_in(ada=solved())
    assert run("grade", folder, "--out", tmp_path / "out", "--jobs", "1") == 0
    assert "1 notebook of 1 student graded, 0 broken: " in capsys.readouterr().out
    assert (tmp_path / "out" / "class.html").is_file()
    with pytest.raises(FileExistsError, match="resume, or choose another folder"):
        run("grade", folder, "--out", tmp_path / "out")
    assert run("grade", folder, "--out", tmp_path / "out", "--resume") == 0
    (folder / "ada" / "solve_quadratics.ipynb").write_text("no JSON")
    assert run("grade", folder, "--out", tmp_path / "out", "--resume") == 1
    with pytest.raises(FileNotFoundError, match="does not exist"):
        run("grade", tmp_path / "nowhere", "--out", tmp_path / "out2")


@unix
def test_grade_reads_names_of_groups_before_it_runs_anything(hand_in, tmp_path):
    wrong = "def discriminant(a, b, c):\n    return b.sin()\n"
    folder, names = hand_in(ada=solved(discriminant=wrong)), tmp_path / "names.txt"
    command = ["grade", folder, "--out", tmp_path / "out", "--names", names]
    with pytest.raises(FileNotFoundError, match="expected a file with names of groups, got"):
        run(*command)
    names.write_text("hello\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"names\.txt, line 1: expected QUESTION/GROUP"):
        run(*command)
    assert not (tmp_path / "out").exists()
    names.write_text("", encoding="utf-8")
    assert run(*command, "--jobs", "1") == 0
    (group,) = json.loads((tmp_path / "out" / "groups.json").read_text(encoding="utf-8"))
    names.write_text(group["line"].replace("...", "You take the sine."), encoding="utf-8")
    assert run(*command, "--resume") == 0
    for file in ("grades.csv", "class.html", "feedback/ada.html", "groups.json"):
        assert "You take the sine." in (tmp_path / "out" / file).read_text(encoding="utf-8")
    assert (tmp_path / "names.numbers.json").is_file()


def test_a_picture_is_no_notebook(tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    with pytest.raises(ValueError, match=r"picture\.png: not a notebook: its content is not UTF-8"):
        run("check", picture)
    with pytest.raises(FileNotFoundError, match=r"got .*none\.ipynb, which does not exist"):
        run("check", tmp_path / "none.ipynb")
    with pytest.raises(FileNotFoundError, match=f"got {tmp_path}, which is a folder"):
        run("check", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("grade", "in", "--out", "out", "--jobs", "0"), "must be an integer from 1 to"),
        (("grade", "in", "--out", "out", "--memory", "many"), "from 256 to 4294967295, got 'many'"),
        (("grade", "in"), "--out"),
        (("grade", "", "--out", "out"), "submissions: must not be empty, got ''"),
        (("grade", "in", "--out", " "), "--out: must not be empty, got ' '"),
        (("check", ""), "notebook: must not be empty, got ''"),
        (("progress", ""), "folder: must not be empty, got ''"),
    ],
)
def test_options_out_of_range_are_refused(arguments, words, capsys):
    with pytest.raises(SystemExit):
        run(*arguments)
    assert words in capsys.readouterr().err


def test_help_names_the_defaults(capsys):
    with pytest.raises(SystemExit):
        run("grade", "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "Grade a class: notebooks, folders of them, or zips" in shown
    assert "seconds for each submission (default: 60)" in shown


def test_what_is_not_installed_is_said_in_one_line(tmp_path):
    def load_course():
        import no_such_package_for_pictures  # noqa: F401

    with pytest.raises(ValueError, match=r"needs no_such_package_for_pictures.*algebra\[course\]$"):
        run("check", tmp_path, load_course=load_course)


def test_a_missing_package_is_named_before_anything_is_graded(tmp_path, monkeypatch):
    templates.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ValueError, match="needs jinja2, which is not installed: pip install alge"):
        run("grade", tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@unix
def test_ctrl_c_ends_it_at_once_and_loses_nothing(hand_in, tmp_path):
    stubborn = (
        "import time\nwhile True:\n    try:\n        time.sleep(60)\n"
        "    except BaseException:\n        pass\n"
    )
    folder = hand_in(ada=solved(), ben=[stubborn], cleo=[stubborn])
    # where tests run in the background, Ctrl-C is ignored by all that they start: heed it again
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; from test_commands import run\n"
        "try: run(*sys.argv[1:])\n"
        "except KeyboardInterrupt as stop: sys.exit(str(stop))\n"
    )
    arguments = ["grade", folder, "--out", tmp_path / "out", "--jobs", "2", "--timeout", "500"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        stderr=subprocess.PIPE,
        text=True,
    )
    results = tmp_path / "out" / "results.jsonl"
    deadline = time.monotonic() + 120
    while not (results.exists() and results.read_text()) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert "continue with --resume" in process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert len(results.read_text().splitlines()) == 1


MARK = {"schema_version": 3, "grade_id": "a", "grade": True, "points": 1}


def marked(*marks):
    """A notebook of cells that nbgrader marks so."""
    notebook = json.loads(as_notebook(["1"] * len(marks)))
    for cell, mark in zip(notebook["cells"], marks):
        cell["metadata"]["nbgrader"] = mark
    return json.dumps(notebook)


def test_a_course_is_laid_out_for_nbgrader(tmp_path, capsys):
    solutions = tmp_path / "solutions"
    solutions.mkdir()
    for name in ("solve_quadratics", "graph_parabolas", "unrelated"):
        (solutions / f"{name}.ipynb").write_text(marked(MARK), encoding="utf-8")
    (tmp_path / "course").mkdir()  # an empty folder will do
    command = ["nbgrader-course", tmp_path / "course", "--solutions", solutions]
    assert run(*command, "--timeout", "45") == 0
    shown = capsys.readouterr().out
    assert "2 assignments in " in shown
    assert "nbgrader generate_assignment graph_parabolas" in shown
    source = tmp_path / "course" / "source"
    assert (source / "solve_quadratics" / "solve_quadratics.ipynb").is_file()
    assert not (source / "unrelated").exists()
    config = (tmp_path / "course" / "nbgrader_config.py").read_text(encoding="utf-8")
    assert "c.Execute.timeout = 45\n" in config
    assert "c.CourseDirectory.course_id = 'quadratics'\n" in config
    compile(config, "nbgrader_config.py", "exec")
    assert str(tmp_path) not in config  # a course can be moved
    with pytest.raises(FileExistsError, match="expected a new or empty folder .* is not empty"):
        run(*command)
    with pytest.raises(FileNotFoundError, match="nowhere, which is not a folder"):
        run("nbgrader-course", tmp_path / "new", "--solutions", tmp_path / "nowhere")
    assert not (tmp_path / "new").exists()


def test_one_assignment_is_said_in_the_singular(tmp_path, capsys):
    (tmp_path / "solve_quadratics.ipynb").write_text(marked(MARK), encoding="utf-8")
    assert run("nbgrader-course", tmp_path / "course", "--solutions", tmp_path) == 0
    assert capsys.readouterr().out.startswith("1 assignment in ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "expected a notebook"),
        (marked(), "no cell has points"),
        (marked({**MARK, "schema_version": 2}), "schema 3 .* got 2"),
        (marked(MARK, MARK), "each grade_id once .* several of a"),
    ],
)
def test_solutions_that_nbgrader_would_not_take_are_refused(tmp_path, content, words):
    (tmp_path / "solve_quadratics.ipynb").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        run("nbgrader-course", tmp_path / "course", "--solutions", tmp_path)
    assert not (tmp_path / "course").exists()


@unix
def test_a_submission_that_starts_after_the_stop_does_not_run():
    """A thread may be about to start one when Ctrl-C is pressed."""
    with prepared_sandbox(COURSE, Limits(timeout=60)) as sandbox:
        sandbox.stop()
        with pytest.raises(Lost, match="grading was stopped"):
            Running(sandbox, [(1, "while True: pass")], time.monotonic() + 60)


@unix
def test_a_roster_and_attempts_are_options_of_grade(hand_in, tmp_path, capsys):
    folder = hand_in(ada="{")
    roster = tmp_path / "class.csv"
    roster.write_text("id,name\nada,Ada Lovelace\nben,Ben\n", encoding="utf-8")
    command = ["grade", folder, "--out", tmp_path / "out", "--roster", roster]
    assert run(*command, "--attempts", "newest") == 1
    shown = capsys.readouterr().out
    assert "1 notebook of 1 student graded, 1 broken, 1 of the roster handed in nothing:" in shown
    assert (tmp_path / "out" / "feedback" / "Ada_Lovelace.html").is_file()
    with pytest.raises(SystemExit):
        run(*command, "--attempts", "sum")
    roster.write_text("Ada\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"class\.csv, line 1: expected a first line"):
        run(*command[:2], "--out", tmp_path / "new", "--roster", roster)
    assert not (tmp_path / "new").exists()
