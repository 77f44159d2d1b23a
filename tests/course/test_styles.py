"""Nothing right is refused, in whatever style it is written down, and the notebook and the grader
say the same.
"""

import dataclasses
import json
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest
import torch
from handed_in import HEAD
from right import __dict__ as RIGHT
from styles import BY_HAND, FORMULAS, PUT_TOGETHER, answers

from marking.engine import judge
from marking.exercise import Exercise, lesson_of
from marking.grader import grade
from marking.hostile import as_notebook
from marking.notebook import call_here
from marking.sandbox.parent import Limits
from minddpm_course.bank import BANK
from minddpm_course.course import load_course

HERE = Path(__file__).parent
ALL = answers()
COMPILED = "compiled"  # takes seconds for each
LATER = "annotations from the future"  # which holds for all cells that follow


def one_of_each_style(step=7):
    """Every style once, on one exercise or another."""
    by_style = {}
    for answer in ALL:
        by_style.setdefault((answer.kind, answer.style), []).append(answer)
    chosen = [same[step * place % len(same)] for place, same in enumerate(by_style.values())]
    return sorted(chosen, key=lambda answer: answer.style == LATER)


def refused_in_a_notebook(chosen):
    """Which answers `check` refuses in IPython, and why."""
    code = (
        "import json, sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from IPython.utils.capture import capture_output\n"
        "InteractiveShell.enable_gui = lambda *args: None\n"  # a kernel has one
        "shell = InteractiveShell.instance()\n"
        "shell.run_cell('from minddpm_course import check')\n"
        "refused = {}\n"
        "for place, (function, cells) in enumerate(json.loads(sys.stdin.read())):\n"
        "    shell.user_ns.pop(function, None)\n"
        "    with capture_output():\n"
        "        for cell in cells: result = shell.run_cell(cell)\n"
        "    error = result.error_before_exec or result.error_in_exec\n"
        "    if error: refused[place] = f'{type(error).__name__}: {error}'\n"
        "print(json.dumps(refused))\n"
    )
    cells = [
        (answer.function, [*answer.cells, f"check('{answer.exercise}', {answer.function}, seed=1)"])
        for answer in chosen
    ]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(cells),
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=True,
    )
    refused = json.loads(done.stdout.splitlines()[-1])
    return {
        (chosen[int(place)].exercise, chosen[int(place)].style): words
        for place, words in refused.items()
    }


def refused_by_the_grader(chosen, folder):
    """Which answers earn nothing in a sandbox, and why: a notebook for each lesson, in which each
    answer belongs to a question of its own.
    """
    numbered = [(f"{answer.exercise}_{place}", answer) for place, answer in enumerate(chosen)]
    bank = {
        name: dataclasses.replace(BANK[answer.exercise], name=name) for name, answer in numbered
    }
    (folder / "in").mkdir()
    in_order = sorted(numbered, key=lambda pair: (pair[0][:2], pair[1].style == LATER))
    for lesson, pairs in groupby(in_order, key=lambda pair: lesson_of(pair[0])):
        cells = [HEAD]
        for name, answer in pairs:
            cells += [*answer.cells, f"check('{name}', {answer.function})"]
        path = folder / "in" / f"ada-{lesson}_styles.ipynb"
        path.write_text(as_notebook(cells), encoding="utf-8")
    course = dataclasses.replace(load_course(), bank=bank, solved={})
    limits = Limits(timeout=900)
    graded = grade(course, [folder / "in"], folder / "out", limits=limits, progress=False)
    rows = {row.exercise: row for result in graded for row in result.rows}
    assert rows.keys() == bank.keys()
    return {
        (answer.exercise, answer.style): rows[name].message
        for name, answer in numbered
        if not rows[name].points
    }


def test_all_exercises_are_answered_in_many_styles():
    assert {answer.exercise for answer in ALL} == set(FORMULAS) | set(PUT_TOGETHER)
    functions = {name: one for name, one in BANK.items() if isinstance(one, Exercise)}
    assert set(FORMULAS) == {name for name, one in functions.items() if one.formula}
    assert set(PUT_TOGETHER) == {name for name, one in functions.items() if not one.formula}
    assert all(len(BY_HAND[name]) >= 8 for name in PUT_TOGETHER)
    assert len(ALL) >= 2000


def test_each_style_passes_in_a_notebook():
    chosen = [answer for answer in one_of_each_style() if COMPILED not in answer.style]
    assert len(chosen) >= 150
    assert refused_in_a_notebook(chosen) == {}


@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
def test_each_style_passes_in_the_grader(tmp_path):
    assert refused_by_the_grader(one_of_each_style(step=5), tmp_path) == {}


def test_every_answer_passes_in_a_notebook():
    assert refused_in_a_notebook(sorted(ALL, key=lambda answer: answer.style == LATER)) == {}


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")
def test_every_answer_passes_in_the_grader(tmp_path):
    assert refused_by_the_grader(ALL, tmp_path) == {}


def verdict_on(name, answer):
    return judge(BANK[name], lambda args: call_here(answer, args), 0)


def step_with_a_constant(x_prev, beta_t, noise):
    weights = torch.tensor([(1 - beta_t) ** 0.5, beta_t**0.5])  # float32
    return torch.einsum("k,kbchw->bchw", weights, torch.stack([x_prev, noise]))


def step_with_beta_for_its_root(x_prev, beta_t, noise):
    weights = torch.tensor([(1 - beta_t) ** 0.5, beta_t])
    return torch.einsum("k,kbchw->bchw", weights, torch.stack([x_prev, noise]))


def test_float32_constants_cost_nothing():
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="expected scalar type Float"):
        step_with_a_constant(x, 0.1, x)
    assert verdict_on("02.forward_step", step_with_a_constant).passed
    assert not verdict_on("02.forward_step", step_with_beta_for_its_root).passed


HALF = {
    "float16": torch.Tensor.half,
    "bfloat16": torch.Tensor.bfloat16,
    "float16 numpy": lambda x: x.half().numpy(),
    "rows of float16": lambda x: list(x.half()),
}


@pytest.mark.parametrize("how", HALF)
def test_half_precision_is_refused_by_its_name(how):
    answer = RIGHT["snr"]
    verdict = judge(BANK["01.snr"], lambda args: call_here(lambda a: HALF[how](answer(a)), args), 0)
    assert not verdict.passed
    assert f"got {how.split()[-1 if 'rows' in how else 0]}: half precision" in verdict.message


def as_rows(x):
    return x.tolist() if isinstance(x, torch.Tensor) else x


FORMS = {
    "list": lambda x: [as_rows(one) for one in x] if isinstance(x, tuple) else as_rows(x),
    "iterator": lambda x: iter(x) if isinstance(x, (tuple, list)) else iter(as_rows(x)),
    "one array": lambda x: torch.stack(x) if isinstance(x, tuple) else torch.as_tensor(x).double(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name", ["01.alpha_bars", "03.posterior_coefficients", "05.timestep_embedding", "06.steps"]
)
def test_a_known_mistake_is_named_in_any_form(name, form):
    exercise = BANK[name]
    for mistake in exercise.mistakes:

        def answer(*args, wrong=mistake.wrong):
            return FORMS[form](wrong(*args))

        verdict = verdict_on(name, answer)
        assert verdict.mistake == mistake.name, verdict.message
