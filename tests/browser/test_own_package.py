"""A learner's whole way: exercises solved in JupyterLab, then a package of her own that draws, and
what is said when one of its rooms is wrong.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SOLUTIONS = [
    path
    for path in sorted((ROOT / "solutions").glob("*.ipynb"))
    if not path.stem.startswith("13")  # which is what is tested
]
ALWAYS = {"03_posterior", "07_training"}  # solved in the browser
MARKS = {"### BEGIN SOLUTION", "### END SOLUTION"}
NOTEBOOK = "window.jupyterapp.shell.currentWidget"
CELLS = f"{NOTEBOOK}.content.model.sharedModel.cells"
DONE = f"""() => {NOTEBOOK}.context.sessionContext.session.kernel.status === 'idle' &&
    {CELLS}.filter(c => c.cell_type === 'code' && c.source.trim()).every(c => c.execution_count)"""
STOPPED = f"() => {CELLS}.some(c => (c.outputs ?? []).some(o => o.output_type === 'error'))"
SAVED = f"() => !{NOTEBOOK}.context.model.dirty"


def solved(path):
    """The answers of a solution by the number of their cell, as a student would write them."""
    answers = {}
    for place, cell in enumerate(nbformat.read(path, as_version=4).cells):
        lines = cell.source.splitlines()
        if MARKS.intersection(map(str.strip, lines)):
            answers[place] = "\n".join(line for line in lines if line.strip() not in MARKS)
    return answers


def write_run_and_save(page, answers, until=DONE):
    """Put answers into their cells, run the notebook from top to bottom, or as far as it goes, and
    save it.
    """
    page.evaluate(
        f"""answers => {{
            for (const [place, source] of Object.entries(answers)) {CELLS}[place].setSource(source);
            for (const c of {CELLS}) if (c.cell_type === 'code') c.execution_count = null;
            window.jupyterapp.commands.execute('notebook:run-all-cells');
        }}""",
        {str(place): source for place, source in answers.items()},
    )
    page.wait_for_function(until)
    page.evaluate("() => { window.jupyterapp.commands.execute('docmanager:save') }")
    page.wait_for_function(SAVED)


def errors(page):
    """The errors that cells ended in."""
    return page.evaluate(
        f"""() => {CELLS}.flatMap(c => c.outputs ?? []).filter(o => o.output_type === 'error')
            .map(o => o.evalue)"""
    )


def run(*command, cwd, code=0):
    """What a command prints, which must end with that exit code."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mine(clone):
    """The folder of the package that the solved exercises give. Those that were not solved in the
    browser are solved here.
    """
    for path in SOLUTIONS:
        exercise = clone / "exercises" / path.name
        notebook = nbformat.read(exercise, as_version=4)
        for place, source in solved(path).items():
            if "pass  # your answer" in notebook.cells[place].source:
                notebook.cells[place].source = source
        nbformat.write(notebook, exercise)
    return clone / "mine"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem in ALWAYS else pytest.mark.thorough)
        for path in SOLUTIONS
    ],
)
def test_an_exercise_is_solved_in_the_browser(path, open_notebook, clone):
    page = open_notebook(f"exercises/{path.name}")
    write_run_and_save(page, solved(path))
    assert errors(page) == []
    saved = nbformat.read(clone / "exercises" / path.name, as_version=4)
    assert not any("pass  # your answer" in cell.source for cell in saved.cells)


def test_what_was_solved_is_a_package_that_draws_as_the_library_does(clone, mine):
    said = run("minddpm", "assemble", "exercises", "--out", "mine", cwd=clone)
    assert not re.search("borrowed|failing", said)
    assert json.loads((mine / "assembled.json").read_text(encoding="utf-8"))["passed"]
    drawn = []
    for package in ("mine", "minddpm"):
        out = clone / f"{package}.png"
        run(
            *(package, "sample", "--count", "4", "--ddim", "20", "--seed", "5", "--out", str(out)),
            cwd=clone,
        )
        drawn.append(np.asarray(Image.open(out), dtype=int))
    assert drawn[0].std() > 50  # digits, not a grey field
    assert abs(drawn[0] - drawn[1]).max() <= 1  # of 255


def test_a_wrong_answer_is_borrowed_and_said_to_fail(open_notebook, clone):
    path = ROOT / "solutions/03_posterior.ipynb"
    answers = solved(path)
    (place,) = (p for p, source in answers.items() if "def posterior_variance" in source)
    wrong = "def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):\n    return beta_t"
    page = open_notebook("exercises/03_posterior.ipynb")
    write_run_and_save(page, {place: wrong}, until=STOPPED)
    (error,) = errors(page)
    assert error.startswith("03.posterior_variance")
    said = run("minddpm", "assemble", "exercises", "--out", "mine", cwd=clone)
    assert re.search(r"failing +posterior_variance: .*beta for beta tilde", said)
    run("mine", "sample", "--count", "1", "--ddim", "5", "--out", "still.png", cwd=clone)


def test_a_wrong_room_is_named_with_its_first_step(clone, mine):
    own = mine / "posterior" / "yours.py"
    source = own.read_text(encoding="utf-8")
    head = re.search(r"^def posterior_coefficients\(.*\):\n", source, re.MULTILINE)
    own.write_text(
        source.replace(head[0], f"{head[0]}    beta_t = beta_t / 2\n", 1), encoding="utf-8"
    )
    said = run("minddpm", "compare", "mine", cwd=clone, code=1)
    assert "at t = 1000, posterior_coefficients" in said
