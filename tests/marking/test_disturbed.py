"""Honest notebooks, disturbed in over a hundred ways: no mark changes by any of them."""

import contextlib
import io
import json
import os
from pathlib import Path

import pytest
from quadratics import BANK, COURSE, HEAD, SOLVED

from honest import disturbances
from honest.code import in_order_permitted, split_definitions, split_statements
from marking.grader import grade_submission
from marking.hostile import as_notebook
from marking.intake import submission_in
from marking.sandbox.parent import Limits, prepared_sandbox
from minddpm_course.course import load_course

SOLUTIONS = Path(__file__).parents[2] / "solutions"
PATIENT = Limits(timeout=300, cell=120)  # a whole notebook may be in one cell, or run twice
SMALL = disturbances(megabytes=1)
NUMBER = BANK["solve.by_hand"].answer(**BANK["solve.by_hand"].values_for("Ada"))
CELLS = [
    HEAD,
    SOLVED["discriminant"],
    "check('solve.discriminant', discriminant)",
    "values = torch.tensor([1.0, 2.0])\nfor value in values:\n    print(value)",
    "def helper(a):\n    # twice\n    return 2 * a\n\nhalf = 0.5\n",
    SOLVED["roots"].replace("2 * a", "helper(a)"),
    "check('solve.roots', roots)",
    f"by_hand = {NUMBER!r}",
    "check('solve.by_hand', by_hand, student=STUDENT)",
    "opening = ''  # a letter\nopening = 'B'",
    "check('graph.which_way', opening)",
]
NAMES = {"solve.discriminant", "solve.roots", "solve.by_hand", "graph.which_way"}


def notebook():
    """A solved notebook with the outputs of its checks."""
    made = json.loads(as_notebook(CELLS))
    made["metadata"] = {"kernelspec": {"name": "python3", "language": "python"}}
    for number, cell in enumerate(made["cells"], 1):
        cell["execution_count"] = number
        if cell["source"].startswith("check("):
            name = cell["source"].split("'")[1]
            data = {"text/plain": f"✓ {name}: right."}
            shown = {"output_type": "display_data", "metadata": {}, "data": data}
            cell["outputs"] = [shown]
    made["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "source": "# Solve"})
    return made


def read(data, course=COURSE, lesson=""):
    return submission_in(course, lambda: io.BytesIO(data), len(data), "ada", "n.ipynb", lesson)


PLAIN = read(json.dumps(notebook()).encode())


def stripped(submission):
    """The code of a submission, without the spaces that disturbances add."""
    sources = (source for _, source in submission.cells)
    lines = ["\n".join(line.rstrip() for line in one.strip().splitlines()) for one in sources]
    return [one for one in lines if one]


def test_there_are_over_a_hundred_and_each_is_another_file():
    names = [one.name for one in SMALL]
    assert len(set(names)) == len(names) >= 150
    files = {one.of(notebook()) for one in SMALL}
    assert len(files) >= 140  # some give the same for a notebook that has no ids, say


@pytest.mark.parametrize("disturbance", SMALL, ids=lambda one: one.name)
def test_what_is_read_is_the_same(disturbance):
    submission = read(disturbance.of(notebook()))
    assert submission.lessons == PLAIN.lessons == ("graph", "solve")
    assert submission.remarks == ()
    if not disturbance.cells:
        assert stripped(submission) == stripped(PLAIN)


KEEPS_TICKS = (
    "format",
    "ids",
    "kernel",
    "metadata",
    "language",
    "UTF",
    "indented",
    "MB of",
    "keys",
)


@pytest.mark.parametrize(
    "disturbance",
    [one for one in SMALL if any(word in one.name for word in KEEPS_TICKS)],
    ids=lambda one: one.name,
)
def test_what_it_shows_as_right_is_the_same(disturbance):
    assert set(read(disturbance.of(notebook())).claimed) == NAMES


@pytest.mark.parametrize(
    "disturbance",
    [one for one in SMALL if one.cells and "magics" not in one.name and "commands" not in one.name],
    ids=lambda one: one.name,
)
def test_every_check_passes_in_cells_that_are_arranged_otherwise(disturbance):
    """As plain Python: a cell that fails does not end the notebook."""
    scope = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        for _, source in read(disturbance.of(notebook())).cells:
            plain = source.removeprefix("%%time\n").removeprefix("%%capture\n")
            with contextlib.suppress(SyntaxError, ZeroDivisionError):
                exec(compile(plain, "<cell>", "exec"), scope)
    passed = {line.split()[1].rstrip(":") for line in shown.getvalue().splitlines() if "✓" in line}
    assert passed == NAMES


def test_cells_are_cut_and_ordered_so_that_they_mean_the_same():
    source = "import a\n# of f\n@a.b\ndef f():\n    return x\n\nx = 1\nf()\n"
    assert "".join(split_statements(source)) == source
    assert len(split_statements(source)) == 4
    assert split_definitions(source) == [
        "import a\n# of f\n",
        "@a.b\ndef f():\n    return x\n",
        "\nx = 1\nf()\n",
    ]
    cells = ["x = 1", "def f():\n    return x", "print(f())", "x = 2", "print(f())", "y = 3"]
    backwards = in_order_permitted(cells, list(reversed(range(len(cells)))))
    assert backwards.index("x = 2") > backwards.index("print(f())") > backwards.index("x = 1")
    assert backwards[0] == "y = 3"


def marks(course, data, sandbox, lesson=""):
    graded = grade_submission(read(data, course, lesson), sandbox, 3)
    return {row.exercise: row.points for row in graded.rows}, graded


@pytest.fixture(scope="module")
def small_sandbox():
    with prepared_sandbox(COURSE, PATIENT) as sandbox:
        yield sandbox


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
@pytest.mark.parametrize(
    "disturbance",
    [one for one in SMALL if one.cells],  # of all others the same cells are read, as shown above
    ids=lambda one: one.name,
)
def test_no_mark_changes_in_the_grader(disturbance, small_sandbox):
    expected = {"solve.discriminant": 2, "solve.roots": 3, "solve.by_hand": 1, "graph.which_way": 1}
    earned, graded = marks(COURSE, disturbance.of(notebook()), small_sandbox)
    assert {name: points for name, points in earned.items() if points} == expected, graded
    assert not any(row.shown_right for row in graded.rows)


SAMPLE = (
    "format 3",
    "kernel ml-course, no language",
    "every statement in a cell of its own",
    "all code in one cell",
    "checks moved to the end",
    "shuffled where the order permits",
    "the whole notebook twice",
    "30 MB of numbers",
    "30 MB of the state of widgets",
    "captured cells",
)


@pytest.fixture(scope="module")
def sandbox():
    with prepared_sandbox(load_course(), PATIENT) as made:
        yield made


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
@pytest.mark.parametrize("path", ["03_posterior", "10_guidance", "11_targets"])
@pytest.mark.parametrize("name", SAMPLE)
def test_no_mark_of_a_solution_changes(path, name, sandbox):
    content = json.loads((SOLUTIONS / f"{path}.ipynb").read_text(encoding="utf-8"))
    (disturbance,) = [one for one in disturbances() if one.name == name]
    earned, graded = marks(sandbox.course, disturbance.of(content), sandbox, path[:2])
    assert [row for row in graded.rows if row.points != row.of] == []
    assert len(earned) >= 5
