"""Lesson 08: the score of a noise, the score of the two clouds, the walk and the reverse step."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import minddpm
from minddpm_course.comparisons import Rebuilt


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random noise, points and walks from one seed, at many times; yields what is equal.

    In float32 scores agree to 1e-6 of themselves; in float64 all agrees to 1e-9.
    """
    schedule = minddpm.linear_schedule()
    generator = torch.Generator().manual_seed(888)
    noise = torch.randn(4, 1, 28, 28, generator=generator)  # (4, 1, 28, 28)
    for t in (1, 300, 1000, torch.tensor([1, 2, 500, 1000])):
        mine = yours.score_from_noise(noise, t, schedule)
        expected = minddpm.score_from_noise(noise, t, schedule)
        assert mine.shape == noise.shape, f"score_from_noise, shape, t = {t}"
        assert torch.allclose(mine, expected, rtol=1e-6, atol=0), f"score_from_noise, t = {t}"
    yield "score_from_noise"
    mixture = minddpm.GaussianMixture(yours.centres, yours.variance, yours.shares)
    x, z = 2 * torch.randn(2, 500, 2, generator=generator, dtype=torch.float64)  # (500, 2) each
    for t in (0, 1, 10, 100, 500, 1000):
        difference = yours.exact_score(x, t) - mixture.score(x, t, schedule)
        assert difference.abs().max() <= 1e-9, f"exact_score, t = {t}"
    yield "exact_score"

    def score(x: torch.Tensor) -> torch.Tensor:
        return mixture.score(x, 100, schedule)

    seeds = (torch.Generator().manual_seed(8) for _ in range(2))
    mine = yours.langevin(score, x, 0.01, 20, next(seeds))
    expected = minddpm.langevin(score, x, step_size=0.01, steps=20, generator=next(seeds))
    assert (mine - expected).abs().max() <= 1e-9, "langevin"
    yield "langevin"
    for t in (1, 2, 500, 1000):
        slope = mixture.score(x, t, schedule)
        predicted_noise = minddpm.noise_from_score(slope, t, schedule)
        estimate = minddpm.x0_from_noise(x, t, predicted_noise, schedule)
        expected = minddpm.reverse_step(x, t, estimate, schedule, z)
        mine = yours.ddpm_step(x, t, slope, z * (t > 1))  # lesson 06 draws none at t = 1
        assert (mine - expected).abs().max() <= 1e-9, f"ddpm_step, t = {t}"
    yield "ddpm_step"
