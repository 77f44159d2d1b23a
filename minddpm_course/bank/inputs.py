"""Inputs that the exercises of several lessons use: noise schedules drawn afresh, and small tensors
to show a mistake on.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from marking.exercise import Case, Inputs
from marking.outcome import Made


def draw_betas(draw: Inputs, T: int) -> Tensor:
    """The variances of T noising steps, (T,): large enough for a small mistake to show, and no two
    alike.
    """
    return draw.uniform(0.02, 0.3, T)


def draw_rows(draw: Inputs, T: int) -> tuple[Tensor, Tensor, Tensor]:
    """beta_t, alpha_bar_t and alpha_bar_{t-1} of a schedule of T steps, t = 1 first, each (T,)."""
    beta = draw_betas(draw, T)
    alpha_bar = (1 - beta.double()).cumprod(0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    return beta, alpha_bar.float(), before.float()


def row(*values: float) -> Tensor:
    """The values as a vector, float64."""
    return torch.tensor(values, dtype=torch.float64)


def pixel(value: float) -> Tensor:
    """An image of one pixel, float64."""
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


def each(level: Tensor, images: Tensor) -> Tensor:
    """A level for each image, shaped to multiply it: (b,) -> (b, 1, 1, 1)."""
    return level.reshape(-1, *[1] * (images.ndim - 1))


def bell_cases(draw: Inputs) -> Iterator[Case]:
    """Pairs of normal distributions: their means and variances, each (n,)."""
    for what, n in (("a few pairs", draw.integer(3, 6)), ("one pair", 1), ("more pairs", 8)):
        mean_1, mean_2 = draw.uniform(-2.0, 2.0, 2, n)
        var_1, var_2 = draw.uniform(0.2, 1.8, 2, n)
        yield Case(what, (mean_1, var_1, mean_2, var_2))
    yield Case(
        "one is far narrower",
        (row(0.5).float(), row(0.01).float(), row(-1.0).float(), row(2.0).float()),
    )
    yield Case("float64", tuple(draw.uniform(0.3, 2.0, 4).double() for _ in range(4)))


def function(name: str, arguments: str, result: str, **tensors: Tensor) -> Made:
    """A function to hand to an answer: what it returns is an expression of its arguments and of the
    tensors.
    """
    return Made(name, "a function", f"def {name}({arguments}):\n    return {result}\n", tensors)
