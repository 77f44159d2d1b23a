"""Lesson 06: both forms of the step, whole trajectories and samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from minddpm import beta_variance, linear_schedule, load_pretrained, posterior_variance
from minddpm import sampler as package
from minddpm.noising import x0_from_noise
from minddpm_course.comparisons import Rebuilt

VARIANCES = {"beta": beta_variance, "beta tilde": posterior_variance}
SHAPE = (2, 1, 28, 28)


def seeded() -> Generator:
    """The same source of randomness each time."""
    return Generator().manual_seed(66)


def near(mine: Tensor, theirs: Tensor, limit: float = 1e-5) -> bool:
    """Whether images are equal up to rounding."""
    return torch.allclose(mine, theirs, rtol=limit, atol=limit)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random input at random times, then trajectories of the shipped network; yields what is equal.

    Single steps agree to 1e-5, trajectories of 40 steps to 1e-3, those of 1,000 linear steps to
    1e-4.
    """
    schedule, generator = linear_schedule(), seeded()
    for t in (1, 2, 1000, *torch.randint(3, 1000, (20,), generator=generator).tolist()):
        x, predicted, noise = torch.randn(3, 4, 1, 28, 28, generator=generator)
        estimate = x0_from_noise(x, t, predicted, schedule)  # (4, 1, 28, 28)
        for name, variance in VARIANCES.items():
            for x_0 in (estimate, estimate.clamp(-1, 1)):
                mine = yours.rebuilt_step(x, t, x_0, schedule, noise, variance=variance)
                theirs = package.reverse_step(x, t, x_0, schedule, noise, variance=variance)
                assert near(mine, theirs), f"rebuilt_step, t = {t}, {name}"
        mine = yours.short_step(x, t, predicted, schedule, noise)
        theirs = package.reverse_step(x, t, estimate, schedule, noise)
        assert near(mine, theirs, 1e-4), f"short_step, t = {t}"
    times = torch.tensor([1, 2, 500, 1000])  # the package takes a time for each image, too
    x_0 = x0_from_noise(x, times, predicted, schedule)
    each = [yours.rebuilt_step(*row, schedule, z) for *row, z in zip(x, times.tolist(), x_0, noise)]
    theirs = package.reverse_step(x, times, x_0, schedule, noise)
    assert near(torch.stack(each), theirs, 1e-4), "rebuilt_step, a time for each image"
    yield from ("rebuilt_step", "short_step")

    network, short = load_pretrained("mnist")[0], linear_schedule(40, 0.0025, 0.5)
    for name, variance in VARIANCES.items():
        for clip in (True, False):
            options: dict[str, Any] = {"variance": variance, "clip": clip}
            my_steps = yours.rebuilt_steps(network, SHAPE, short, seeded(), **options)
            steps = package.sample_steps(network, SHAPE, short, generator=seeded(), **options)
            for my_step, step in zip(my_steps, steps, strict=True):
                where = f"rebuilt_steps, t = {step.t}, {name}, clip={clip}"
                assert my_step.t == step.t and near(my_step.x_t, step.x_t, 1e-3), where
                assert near(my_step.x_0, step.x_0, 1e-3), where
            drawn = package.sample(network, SHAPE, short, generator=seeded(), **options)
            assert torch.equal(drawn, step.x_t), f"sample, {name}, clip={clip}"
    yield "rebuilt_steps"

    def perfect(x_t: Tensor, t: Tensor) -> Tensor:
        """The noise in x_t for data of one value, 0.5."""
        alpha_bar = schedule.alpha_bar[t[0]].item()
        noise: Tensor = (x_t - alpha_bar**0.5 * 0.5) / (1 - alpha_bar) ** 0.5
        return noise

    mine = yours.rebuilt_sample(perfect, (500,), schedule, seeded())
    theirs = package.sample(perfect, (500,), schedule, clip=False, generator=seeded())
    assert near(mine, theirs, 1e-4), "rebuilt_sample, all 1,000 steps"
    yield "rebuilt_sample"
