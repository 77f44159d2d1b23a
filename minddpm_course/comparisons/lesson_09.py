"""Lesson 09: the times, the DDIM step, its loop and the way back up."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from minddpm import (
    ddim_step,
    ddim_steps,
    invert,
    linear_schedule,
    posterior_variance,
    respaced,
    x0_from_noise,
)
from minddpm.respacing import spaced_times
from minddpm.schedule import Schedule
from minddpm_course.comparisons import Rebuilt

COUNTS = (1, 3, 7, 10, 50, 61, 1000)
ETAS = (0.0, 0.5, 1.0)
PATHS = ((1, 0.0, False), (7, 0.0, True), (20, 0.5, True), (30, 1.0, False))  # steps, eta, clip


def model(x_t: Tensor, t: Tensor) -> Tensor:
    """Some smooth function of the image and the time, bounded as noise nearly is."""
    return torch.sin(x_t + t.reshape(-1, 1, 1, 1) / 100)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random images in float64, few steps and many; yields what is equal.

    Steps agree to 1e-10 of the largest value, paths and inversions to 1e-8.
    """
    schedule = linear_schedule()
    generator = torch.Generator().manual_seed(9)
    for steps in COUNTS:
        times = spaced_times(schedule.T, steps).tolist()[::-1]
        assert list(yours.times_down(schedule.T, steps)) == times, f"times_down, {steps} steps"
    yield "times_down"
    for steps in COUNTS:
        compare_steps(yours, respaced(model, schedule, steps)[1], generator)
    yield "sigma"
    yield "ddim_step"
    x_T = torch.randn(2, 1, 6, 6, generator=generator, dtype=torch.float64)
    for steps, eta, clip in PATHS:
        times, source = yours.times_down(schedule.T, steps), drawn(steps)
        mine = yours.ddim_steps(model, x_T, schedule, times, eta=eta, clip=clip, generator=source)
        source = drawn(steps)
        theirs = ddim_steps(model, x_T, schedule, steps=steps, eta=eta, clip=clip, generator=source)
        for state, expected in zip(mine, theirs, strict=True):
            where = f"ddim_steps, t = {expected.t} of {steps} steps, eta = {eta}"
            assert state[0] == expected.t, where
            for part, right in zip(state[1:], expected[1:], strict=True):
                assert near(part, right, 1e-8), where
    yield "ddim_steps"
    x_0 = x_T.clamp(-1, 1)
    for steps, repeats in ((1, 1), (30, 1), (7, 3)):
        upward = yours.invert(model, x_0, schedule, steps, repeats)
        right = invert(model, x_0, schedule, steps=steps, repeats=repeats)
        assert near(upward, right, 1e-8), f"invert, {steps} steps, {repeats} repeats"
    yield "invert"


def drawn(seed: int) -> torch.Generator:
    """A generator that is at its start."""
    return torch.Generator().manual_seed(seed)


def near(mine: Tensor, right: Tensor, tolerance: float) -> bool:
    """Whether two images differ by no more than this share of the largest value."""
    return bool((mine - right).abs().max() <= tolerance * max(1.0, right.abs().max().item()))


def compare_steps(yours: Rebuilt, schedule: Schedule, generator: torch.Generator) -> None:
    """Single steps of a shorter schedule: the first, one in the middle and the last."""
    x_t, predicted, noise = torch.randn(3, 4, 1, 6, 6, generator=generator, dtype=torch.float64)
    alpha_bar = schedule.alpha_bar.tolist()
    for t in {1, (schedule.T + 1) // 2, schedule.T}:
        estimate = x0_from_noise(x_t, t, predicted, schedule)
        for eta in ETAS:
            spread = yours.sigma(eta, alpha_bar[t], alpha_bar[t - 1])
            right = eta * posterior_variance(t, schedule).sqrt().item()
            assert abs(spread - right) <= 1e-10, f"sigma, t = {t} of {schedule.T}, eta = {eta}"
            for x_0 in (estimate, estimate.clamp(-1, 1)):
                mine = yours.ddim_step(x_0, predicted, alpha_bar[t - 1], spread, noise)
                theirs = ddim_step(x_t, t, x_0, predicted, schedule, noise, eta=eta)
                where = f"ddim_step, t = {t} of {schedule.T}, eta = {eta}"
                assert near(mine, theirs, 1e-10), where
