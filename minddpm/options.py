"""Options of the command line: numbers in a range, help that tells defaults, and the choice of a sampler."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from minddpm.ddim import ddim_sample
from minddpm.guidance import Guided
from minddpm.loss import Model
from minddpm.posterior import beta_variance, posterior_variance
from minddpm.sampler import sample
from minddpm.schedule import Schedule

VARIANCES = {"beta": beta_variance, "beta-tilde": posterior_variance}


def integer(least: int) -> Callable[[str], int]:
    """Make a reader of an option that is an integer, at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(f"must be an integer from {least} to {2**32 - 1}, got {text!r}")
        return int(text)

    return read


def positive(text: str) -> float:
    """Read an option that is a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def add(command: argparse.ArgumentParser, name: str, default: Any, what: str, **kind: Any) -> None:
    """Add an option whose help tells its default."""
    command.add_argument(name, default=default, help=f"{what} (default: %(default)s)", **kind)


def add_sampling(command: argparse.ArgumentParser) -> None:
    """Add the options that `draw` reads."""
    add(command, "--seed", 0, "of the noise", type=integer(0))
    add(command, "--variance", "beta", "of an ancestral step", choices=VARIANCES)
    command.add_argument("--ddim", type=integer(1), help="take so few steps, with DDIM (default: all, ancestral)")


def draw(
    model: Model, schedule: Schedule, count: int, options: argparse.Namespace, seed: int | None = None
) -> Float[Tensor, "n 1 28 28"]:
    """Draw digits under a progress bar, by the sampler that the options name."""
    generator = torch.Generator().manual_seed(options.seed if seed is None else seed)
    shape = count, 1, 28, 28
    if options.ddim:
        clip = not isinstance(model, Guided)  # DDIM puts guided noise back in full, also where it clips the estimate
        images = ddim_sample(model, shape, schedule, steps=options.ddim, clip=clip, generator=generator, progress=True)
        return images.clamp(-1, 1)
    return sample(model, shape, schedule, variance=VARIANCES[options.variance], generator=generator, progress=True)
