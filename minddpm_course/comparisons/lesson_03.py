"""Lesson 03: the weights, the variance and the whole of the posterior."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import minddpm
from minddpm_course.comparisons import Rebuilt


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random images, and times alone, alike and for each image; yields what is equal.

    Weights and variances are float64 and agree to 1e-15, float32 means to 1e-6.
    """
    schedule = minddpm.linear_schedule()
    generator = torch.Generator().manual_seed(8)
    x_0, x_t = torch.randn(2, 64, 1, 28, 28, generator=generator)  # (64, 1, 28, 28) each
    ones = torch.ones(64, dtype=torch.int64)
    times = (schedule.sample_t(64, generator=generator), ones, 1, 500, 1000)
    for t in times:
        mine = yours.posterior_coefficients(t, schedule)
        theirs = minddpm.posterior_coefficients(t, schedule)
        for weight, expected in zip(mine, theirs, strict=True):
            assert (weight - expected).abs().max() <= 1e-15, f"posterior_coefficients, t = {t}"
    yield "posterior_coefficients"
    for t in times:
        variance = yours.posterior_variance(t, schedule)
        difference = variance - minddpm.posterior_variance(t, schedule)
        assert difference.abs().max() <= 1e-15, f"posterior_variance, t = {t}"
        assert torch.equal(schedule.beta[t], minddpm.beta_variance(t, schedule)), "beta_variance"
    yield "posterior_variance"
    for t in times:
        mean, variance = yours.q_posterior(x_0, x_t, t, schedule)
        theirs_at_t = minddpm.q_posterior(x_0, x_t, t, schedule)
        assert (mean - theirs_at_t.mean).abs().max() <= 1e-6, f"q_posterior, mean, t = {t}"
        difference = variance - theirs_at_t.variance
        assert difference.abs().max() <= 1e-8, f"q_posterior, variance, t = {t}"
    yield "q_posterior"
