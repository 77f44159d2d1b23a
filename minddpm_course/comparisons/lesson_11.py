"""Lesson 11: the conversions, Min-SNR, zero terminal SNR, and the straight path's two solvers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

import minddpm
from minddpm_course.comparisons import Rebuilt

CONVERSIONS = (
    "velocity_from_noise",
    "velocity_from_x0",
    "noise_from_velocity",
    "x0_from_velocity",
)
STEPS = (1, 4, 10)
SOLVERS = ("euler", "heun")


def model(x_t: Tensor, t: Tensor) -> Tensor:
    """Some smooth function of the image and the time."""
    return torch.sin(x_t + t.reshape(-1, 1, 1, 1) / 100)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random images, at one time and at many, in both dtypes; paths of a few steps; yields what is
    equal.

    Conversions agree to 1e-5 in float32 and to 1e-12 in float64, all else to 1e-10.
    """
    schedule = minddpm.linear_schedule()
    generator = Generator().manual_seed(11)
    for name in CONVERSIONS:
        for dtype, limit in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
            for t in (1, 500, 1000, schedule.sample_t(6, generator=generator)):
                x_t, given = torch.randn(2, 6, 1, 8, 8, dtype=dtype, generator=generator)
                mine = getattr(yours, name)(x_t, t, given, schedule)
                theirs = getattr(minddpm, name)(x_t, t, given, schedule)
                assert mine.dtype == dtype, f"{name}, {dtype}"
                assert torch.allclose(mine, theirs, rtol=limit, atol=limit), f"{name}, t = {t}"
        yield name
    for gamma in (1.0, 5.0):
        difference = yours.min_snr_weight(schedule.alpha_bar[1:], gamma)
        difference = difference - minddpm.min_snr_weight(schedule.alpha_bar[1:], gamma)
        assert difference.abs().max() <= 1e-10, f"min_snr_weight, gamma = {gamma}"
    yield "min_snr_weight"
    for course in (schedule, minddpm.linear_schedule(20, 0.005, 0.4)):
        difference = yours.zero_terminal_snr(course).beta - minddpm.zero_terminal_snr(course).beta
        assert difference.abs().max() <= 1e-10, f"zero_terminal_snr, T = {course.T}"
    yield "zero_terminal_snr"
    times = torch.arange(schedule.T + 1)
    straight = minddpm.straight_time(times, schedule)
    difference = yours.straight_time(times, schedule) - straight
    assert difference.abs().max() <= 1e-10, "straight_time"
    yield "straight_time"
    x_T = torch.randn(2, 1, 6, 6, generator=generator, dtype=torch.float64)
    for name in SOLVERS:
        for steps in STEPS:
            mine, theirs = drawn(getattr(yours, name), x_T, steps), expected(name, x_T, steps)
            largest = theirs.abs().max()
            assert (mine - theirs).abs().max() <= 1e-10 * largest, f"{name}, {steps} steps"
        yield name


def drawn(solver: Callable[..., Tensor], x_T: Tensor, steps: int) -> Tensor:
    """What a solver of the lesson makes of x_T, along the straight path of the model."""
    schedule = minddpm.linear_schedule()
    straight = minddpm.straight_time(torch.arange(schedule.T + 1), schedule)

    def velocity(x_s: Tensor, s: Tensor) -> Tensor:
        t = int((straight - s).abs().argmin())
        x_t = x_s / minddpm.to_straight_path(torch.ones_like(x_s), t, schedule)
        noise = model(x_t, torch.full((len(x_t),), t))
        return minddpm.flow_from_noise(x_t, t, noise, schedule)

    times = straight[torch.arange(schedule.T, -1, -schedule.T // steps)]
    return solver(velocity, minddpm.to_straight_path(x_T, schedule.T, schedule), times)


def expected(name: str, x_T: Tensor, steps: int) -> Tensor:
    """What the package's sampler makes of it: Euler's method is DDIM."""
    schedule = minddpm.linear_schedule()
    start, shape = (x_T, schedule.T), x_T.shape
    if name == "euler":
        return minddpm.ddim_sample(model, shape, schedule, steps=steps, clip=False, start=start)
    return minddpm.flow_sample(
        model,
        shape,
        schedule,
        solver=minddpm.straight_heun,
        steps=steps,
        clip=False,
        start=start,
    )
