"""The lesson that is a whole diffusion model: it is short, needs PyTorch alone, and notices when
the model is wrong.
"""

import math
from pathlib import Path

import jupytext
import pytest
import torch
from torch import nn

TWIN = Path(__file__).parents[2] / "notebooks" / "py" / "00b_sixty_lines.py"
CODE = [cell for cell in jupytext.read(TWIN).cells if cell.cell_type == "code"]
METHOD = [cell.source for cell in CODE if "method" in cell.metadata.get("tags", [])]
WRONG = {  # a line of the method as it stands, and as it is written by mistake
    "time not told": ("2 * t[:, None] / T - 1", "0 * t[:, None]"),
    "uniform noise": ("torch.randn_like(x_0)", "torch.rand_like(x_0)"),
    "the point instead of its noise": ("(guess - noise)", "(guess - x_0)"),
    "the signal not under the root": ("alpha_bar[t].sqrt()[:, None]", "alpha_bar[t][:, None]"),
    "signal and noise swapped": ("signal * x_0 + spread * noise", "spread * x_0 + signal * noise"),
    "hardly trained": ("3000, []", "200, []"),
    "no fresh noise": ("if t > 1", "if t > T"),
    "variance for standard deviation": ("beta[t].sqrt() * torch", "beta[t] * torch"),
    "all of the noise at each step": ("beta[t] / (1 - alpha_bar[t]).sqrt()", "beta[t].sqrt()"),
    "the step not under the root": ("/ (1 - alpha_bar[t]).sqrt() *", "/ (1 - alpha_bar[t]) *"),
    "never stretched again": ("guess) / (1 - beta[t]).sqrt()", "guess)"),
}


def lines(source):
    """The lines of code of a cell: no blank ones, no comments."""
    return [line for line in source.splitlines() if line.strip() and line.lstrip()[0] != "#"]


def cell_with(text):
    (source,) = [cell.source for cell in CODE if text in cell.source]
    return source


def run(method):
    """Train and sample as the lesson does, then make its check, without drawing anything."""
    names = {"math": math, "torch": torch, "nn": nn}  # all that the method may use
    for source in method:
        exec(source, names)
    names |= {"show_moving": lambda *_: None, "point_clouds": lambda *_, **__: None, "times": []}
    for source in (cell_with("path = dict("), cell_with("def distances(")):
        exec(source, names)


def test_it_is_sixty_lines_at_most_in_cells_of_at_most_fifteen():
    assert 40 <= sum(len(lines(source)) for source in METHOD) <= 60
    assert max(len(lines(source)) for source in METHOD) <= 15


def test_the_right_method_passes():
    run(METHOD)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_method_fails(name):
    right, wrong = WRONG[name]
    together = "\n\n\n".join(METHOD)
    assert together.count(right) == 1, f"the lesson must have exactly once: {right}"
    with pytest.raises(AssertionError):
        run([together.replace(right, wrong)])
