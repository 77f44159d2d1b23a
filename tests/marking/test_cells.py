"""Cells as students write them, in a notebook and in the grader: what they define, what they fail
to define, and what an answer sees of the other cells when it is called.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from quadratics import COURSE, HEAD, SOLVED

from marking.cells import Definitions, names_defined
from marking.grader import grade
from marking.hostile import as_notebook
from marking.sandbox.parent import Limits

HERE = Path(__file__).parent
RIGHT = SOLVED["discriminant"]
CHECK = "check('solve.discriminant', discriminant)"
not_on_windows = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")


def in_the_grader(cells, tmp_path):
    """The verdicts on a notebook's answers, by exercise."""
    (tmp_path / "solve_it.ipynb").write_text(as_notebook([HEAD, *cells]), encoding="utf-8")
    limits = Limits(timeout=60, cell=10)
    (graded,) = grade(
        COURSE, [tmp_path / "solve_it.ipynb"], tmp_path / "out", limits=limits, progress=False
    )
    return {row.exercise: row for row in graded.rows}, "; ".join(graded.remarks)


def in_a_notebook(cells):
    """What IPython shows of the last of these cells."""
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from IPython.utils.capture import capture_output\n"
        "shell = InteractiveShell.instance()\n"
        f"for cell in {[HEAD, *cells]!r}:\n"
        "    with capture_output() as shown: result = shell.run_cell(cell)\n"
        "print(result.error_before_exec or result.error_in_exec or 'right')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def test_the_names_that_a_cell_defines_are_read_from_its_text():
    source = (
        "def one(a): ...\nclass Two: ...\nasync def three(): ...\nfour = five = 1\n"
        "six: int = 6\nseven == 7\n    def inner(): ...\nf(eight=8)\ndef nine(:\n"
    )
    names = {"one", "Two", "three", "four", "six", "nine"}
    assert names_defined(source) == names


def test_a_name_is_old_until_a_cell_defines_it_again():
    namespace = {}
    cells = Definitions(namespace)

    def run(source, error="", **defined):
        cells.begin(source)
        namespace.update(defined)
        cells.end(error)

    first, second = object(), object()
    run("f = 1", f=first)
    assert cells.why_old(first) == ""
    run("def f(:", error="SyntaxError: invalid")
    assert cells.why_old(first) == "the cell that defines f did not run: SyntaxError: invalid"
    run("g = 1", g=second)
    assert cells.why_old(second) == ""
    assert cells.why_old(first)
    run("f = first", f=first)  # put back on purpose
    assert cells.why_old(first) == ""
    run("def f(): 1\n1 / 0", error="ZeroDivisionError: division by zero", f=second)
    assert cells.why_old(second) == ""
    assert cells.why_old(None) == ""


# cells after which `discriminant` is older than the last cell that defines it, and the reason
OLD = {
    "it is no Python": (["def discriminant(a, b, c:\n    return 0\n"], "SyntaxError"),
    "an error above it": (["1 / 0\n" + RIGHT], "ZeroDivisionError: division by zero"),
    "a decorator that fails": (["@undefined\n" + RIGHT], "NameError: name 'undefined'"),
    "a magic around it": (["%%capture\ndef discriminant(a, b, c)\n    pass"], "SyntaxError"),
    "another cell between": (["def discriminant(:", "x = 1"], "SyntaxError"),
}
# cells after which it is not
YOUNG = {
    "an error below it": [RIGHT + "\n1 / 0"],
    "defined again": ["def discriminant(:", RIGHT],
    "another name": ["def other(:"],
    "in a string": ["text = '''\n  def discriminant(:\n'''"],
    "only a line that is indented": ["if True:\n    discriminant = (:"],
    "put back": ["old = discriminant", "def discriminant(:", "discriminant = old"],
    "put back in the cell that checks": [
        "old = discriminant",
        "def discriminant(:",
        f"discriminant = old\n{CHECK}",
    ],
}


@pytest.mark.parametrize("how", OLD)
def test_an_answer_that_is_older_than_its_cell_is_not_praised_in_a_notebook(how):
    cells, reason = OLD[how]
    shown = in_a_notebook([RIGHT, CHECK, *cells, CHECK])
    words = f"solve.discriminant: the cell that defines discriminant did not run: {reason}"
    assert words in shown


@not_on_windows
@pytest.mark.parametrize("how", OLD)
def test_an_answer_that_is_older_than_its_cell_earns_nothing(how, tmp_path):
    cells, reason = OLD[how]
    for checks in ([CHECK], []):  # handed in, or found by its name
        folder = tmp_path / str(len(checks))
        folder.mkdir()
        rows, _ = in_the_grader([RIGHT, *cells, *checks], folder)
        row = rows["solve.discriminant"]
        assert row.points == 0
        assert f"the cell that defines discriminant did not run: {reason}" in row.message


@not_on_windows
@pytest.mark.parametrize("how", OLD)
def test_an_answer_whose_cell_failed_is_not_said_to_be_unwritten(how, tmp_path):
    cells, reason = OLD[how]
    rows, _ = in_the_grader([*cells, CHECK], tmp_path)
    words = f"the cell that defines discriminant did not run: {reason}"
    assert words in rows["solve.discriminant"].summary


@not_on_windows
@pytest.mark.parametrize("how", YOUNG)
def test_an_answer_that_its_cell_defines_passes(how, tmp_path):
    cells = [RIGHT, *YOUNG[how], CHECK]
    assert in_a_notebook(cells) == "right\n"
    rows, _ = in_the_grader(cells, tmp_path)
    assert rows["solve.discriminant"].points == 2, rows["solve.discriminant"]


SHARED = [
    "FOUR = 4\ndef helper(a, b, c):\n    return b * b - FOUR * a * c",
    "def discriminant(a, b, c):\n    return helper(a, b, c)",
    "FOUR = 'another'\ndef helper(a, b, c):\n    return (b * b - 4 * a * c).sqrt()",
    "def roots(a, b, c):\n"
    "    return (-b - helper(a, b, c)) / (2 * a), (-b + helper(a, b, c)) / (2 * a)",
]


@not_on_windows
@pytest.mark.parametrize("checked", [True, False])
def test_two_answers_may_have_helpers_and_constants_of_one_name(checked, tmp_path):
    checks = [CHECK, "check('solve.roots', roots)"] if checked else ["", ""]
    cells = [*SHARED[:2], checks[0], *SHARED[2:], checks[1]]
    rows, _ = in_the_grader(cells, tmp_path)
    assert rows["solve.discriminant"].points == 2, rows["solve.discriminant"]
    assert rows["solve.roots"].points == 3, rows["solve.roots"]


@not_on_windows
def test_a_helper_may_stand_below_an_answer_that_is_never_checked(tmp_path):
    cells = ["def discriminant(a, b, c):\n    return helper(a, b, c)", SHARED[0]]
    rows, _ = in_the_grader(cells, tmp_path)
    assert rows["solve.discriminant"].points == 2


@not_on_windows
def test_an_import_that_is_hidden_does_not_end_its_cell(tmp_path):
    cells = [f"from algebra import *\nimport algebra.parts as parts, math\nmath.pi\n{RIGHT}", CHECK]
    rows, remarks = in_the_grader(cells, tmp_path)
    assert rows["solve.discriminant"].points == 2
    assert "tried to import algebra" in remarks
    assert "NameError" not in remarks


@not_on_windows
def test_a_module_that_a_cell_writes_can_be_imported(tmp_path):
    cells = [f"%%writefile mine.py\n{RIGHT}", "from mine import discriminant", CHECK]
    rows, _ = in_the_grader(cells, tmp_path)
    assert rows["solve.discriminant"].points == 2


@not_on_windows
def test_one_number_where_two_are_wanted_costs_that_answer_alone(tmp_path):
    roots = "def roots(a, b, c):\n    return 0.5"
    cells = [roots, "check('solve.roots', roots)", RIGHT, CHECK]
    rows, _ = in_the_grader(cells, tmp_path)
    assert rows["solve.roots"].points == 0
    assert rows["solve.roots"].summary == "it returns one array; expected 2 arrays"
    assert rows["solve.discriminant"].points == 2


@not_on_windows
def test_an_import_from_the_future_holds_for_the_cells_that_follow(tmp_path):
    typed = "def discriminant(a: Undefined, b, c) -> Undefined:\n    return b * b - 4 * a * c"
    for first, points in (("", 0), ("from __future__ import annotations", 2)):
        folder = tmp_path / str(points)
        folder.mkdir()
        rows, _ = in_the_grader([first, typed, CHECK], folder)
        assert rows["solve.discriminant"].points == points
        assert ("right" in in_a_notebook([first, typed, CHECK])) == bool(points)
