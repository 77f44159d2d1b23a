"""Lesson 04: the divergence, the weight, the bins, the simple loss and the bound."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

import minddpm
from minddpm import Gaussian
from minddpm.loss import VariationalBound, discretised_log_likelihood
from minddpm_course.comparisons import Rebuilt

MIX = torch.randn(8, 8, generator=torch.Generator().manual_seed(5)) / 3


def toy(x_t: Tensor, t: Tensor) -> Tensor:
    """A network: any function of image and time will do."""
    return x_t @ MIX + t.reshape(-1, 1, 1, 1) / 50


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random Gaussians, times and 8-bit images, black and white pixels among them; yields what is
    equal.

    Divergences agree to 1e-12, log probabilities of bins to 1e-9, means, weights and the terms of
    the bound to 1 part in 1e9, and losses in float32 to 1 part in 1e6.
    """
    generator = torch.Generator().manual_seed(6)
    means = torch.randn(2, 200, generator=generator, dtype=torch.float64)
    variances = torch.rand(2, 200, generator=generator, dtype=torch.float64) * 2 + 0.1
    p, q = (Gaussian(mean, variance) for mean, variance in zip(means, variances, strict=True))
    for pair in ((p, q), (q, p), (p, p)):
        difference = yours.gaussian_kl(*pair) - minddpm.gaussian_kl(*pair)
        assert difference.abs().max() <= 1e-12, "gaussian_kl"
    yield "gaussian_kl"

    x_0 = torch.randint(0, 256, (6, 1, 8, 8), generator=generator).float() / 127.5 - 1
    x_0[:, :, 0] = -1
    x_0[:, :, 1] = 1
    noise = torch.randn(x_0.shape, generator=generator)
    schedule = minddpm.linear_schedule()
    x_t = noise.double()
    for t in (1, 2, 10, 100, 500, 1000):
        estimate = minddpm.x0_from_noise(x_t, t, x_0.double(), schedule)
        expected = minddpm.q_posterior(estimate, x_t, t, schedule).mean
        mine = yours.mean_from_noise(x_t, x_0.double(), t, schedule)
        assert torch.allclose(mine, expected, rtol=1e-9, atol=1e-9), f"mean_from_noise, t = {t}"
    yield "mean_from_noise"

    both = (minddpm.posterior_variance, minddpm.beta_variance)
    times = torch.arange(2, 1001)
    for variance in both:
        sigma2 = variance(times, schedule)
        coef_x0, _ = minddpm.posterior_coefficients(times, schedule)
        # mu_tilde depends on x_0 by coef_x0, and x_0 on the noise by the root of 1 / snr
        expected = coef_x0**2 / schedule.snr[times] / (2 * sigma2)
        mine = yours.noise_weight(times, schedule, sigma2)
        assert torch.allclose(mine, expected, rtol=1e-9, atol=0), "noise_weight"
    yield "noise_weight"

    near = x_0.double() + 0.02 * torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    for width in (1e-4, 1e-2):
        sigma2 = torch.tensor(width, dtype=torch.float64)
        expected = discretised_log_likelihood(x_0.double(), Gaussian(near, sigma2))
        mine = yours.bin_log_probability(x_0.double(), near, sigma2)
        assert torch.allclose(mine, expected, rtol=0, atol=1e-9), "bin_log_probability"
    yield "bin_log_probability"

    times = torch.tensor([1, 2, 10, 100, 500, 1000])
    mine = yours.simple_loss(toy, x_0, schedule, times, noise)
    expected = minddpm.simple_loss(toy, x_0, schedule, t=times, noise=noise)
    assert abs(mine / expected - 1) <= 1e-6, "simple_loss, t and noise given"
    mine, expected = (
        loss(toy, x_0, schedule, generator=torch.Generator().manual_seed(9))
        for loss in (yours.simple_loss, minddpm.simple_loss)
    )
    assert abs(mine / expected - 1) <= 1e-6, "simple_loss, t and noise drawn"
    yield "simple_loss"

    short = minddpm.linear_schedule(20, 1e-3, 0.4)
    for variance in both:
        mine, theirs = (
            bound(toy, x_0, short, variance=variance, generator=torch.Generator().manual_seed(7))
            for bound in (yours.bound, minddpm.variational_bound)
        )
        for name in VariationalBound._fields:
            a, b = getattr(mine, name), getattr(theirs, name)
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-9), f"bound, {name}"
    yield "bound"
