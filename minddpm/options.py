"""Options of the command line: numbers in a range, help that tells defaults, and the choice of a
sampler.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from minddpm.ddim import ddim_sample
from minddpm.loss import Model
from minddpm.posterior import beta_variance, posterior_variance
from minddpm.sampler import sample
from minddpm.schedule import Schedule

VARIANCES = {"beta": beta_variance, "beta-tilde": posterior_variance}


def integer(least: int) -> Callable[[str], int]:
    """Make a reader of an option that is an integer, at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {least} to {2**32 - 1}, got {text!r}"
            )
        return int(text)

    return read


def number(wanted: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """Make a reader of an option that is a number, which `wanted` describes and `fits` tests."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"must be a number {wanted}, got {text!r}")
        return value

    return read


positive = number("above 0", lambda value: 0 < value < math.inf)
not_negative = number("of at least 0", lambda value: 0 <= value < math.inf)
share = number("from 0 to 1", lambda value: 0 <= value <= 1)


def add(command: argparse.ArgumentParser, name: str, default: Any, what: str, **kind: Any) -> None:
    """Add an option whose help tells its default."""
    command.add_argument(name, default=default, help=f"{what} (default: %(default)s)", **kind)


def add_sampling(command: argparse.ArgumentParser) -> None:
    """Add the options that `draw` reads."""
    add(command, "--seed", 0, "of the noise", type=integer(0))
    add(command, "--variance", "beta", "of an ancestral step", choices=VARIANCES)
    command.add_argument(
        "--ddim", type=integer(1), help="take so few steps, with DDIM (default: all, ancestral)"
    )
    add(
        command,
        "--eta",
        0.0,
        "of DDIM: from no fresh noise, 0, to that of an ancestral step, 1",
        type=share,
    )


def draw(
    model: Model,
    schedule: Schedule,
    count: int,
    options: argparse.Namespace,
    seed: int | None = None,
) -> Float[Tensor, "n 1 28 28"]:
    """Draw digits under a progress bar, by the sampler that the options name, or say that they came
    to nothing.
    """
    if options.eta and not options.ddim:
        raise ValueError(f"--eta needs --ddim, got only --eta {options.eta:g}")
    if options.ddim and options.variance != "beta":
        raise ValueError(
            f"--variance is of ancestral steps, --eta of DDIM's: got --ddim and {options.variance}"
        )
    generator = torch.Generator().manual_seed(options.seed if seed is None else seed)
    shape = count, 1, 28, 28
    if options.ddim:
        # clipped, it errs with guidance or with many steps: lessons 09 and 10
        chosen = {"steps": options.ddim, "eta": options.eta, "clip": False}
        images = ddim_sample(
            model, shape, schedule, **chosen, generator=generator, progress=True
        ).clamp(-1, 1)
    else:
        variance = VARIANCES[options.variance]
        images = sample(
            model, shape, schedule, variance=variance, generator=generator, progress=True
        )
    if broken := int((~images.isfinite().flatten(1).all(1)).sum()):
        raise FloatingPointError(
            f"digits must be finite, got NaN in {broken} of {count}: the weights are broken"
        )
    return images
