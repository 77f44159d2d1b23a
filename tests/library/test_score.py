"""The score against the slope of the log density, quadrature and draws; Langevin against what
theory says of it.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from minddpm import cosine_schedule, forward_diffusion, linear_schedule, x0_from_noise
from minddpm.mixture import GaussianMixture
from minddpm.score import langevin, noise_from_score, score_from_noise

SCHEDULES = [linear_schedule(), cosine_schedule(), linear_schedule(12, 0.01, 0.4)]
SCHEDULE = SCHEDULES[2]
TWO = GaussianMixture(torch.tensor([[-2.0], [1.0]]), 0.04, torch.tensor([3.0, 1.0]))


def double(mixture: GaussianMixture) -> GaussianMixture:
    return GaussianMixture(mixture.means.double(), mixture.variance, mixture.weights.double())


@st.composite
def cases(draw):
    """A random mixture, a schedule, a time for all points or one for each (0 too), and points where
    it matters.
    """
    k, d, n = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    means = 3 * torch.randn(k, d, dtype=torch.float64, generator=generator)
    weights = torch.rand(k, dtype=torch.float64, generator=generator) + 0.01
    mixture = GaussianMixture(means, draw(st.sampled_from([0.01, 0.3, 1.0, 4.0])), weights)
    schedule = draw(st.sampled_from(SCHEDULES))
    times = torch.randint(0, schedule.T + 1, (n,), generator=generator)
    t = times if draw(st.booleans()) else draw(st.sampled_from([0, 1, schedule.T, times[0].item()]))
    x = forward_diffusion(mixture.sample(n, generator=generator), t, schedule, generator=generator)[
        0
    ]
    return mixture, schedule, t, x


# the exact score and density


@given(cases())
def test_the_score_is_the_slope_of_the_log_density(case):
    mixture, schedule, t, x = case
    x.requires_grad_()
    (slope,) = torch.autograd.grad(mixture.log_density(x, t, schedule).sum(), x)
    score = mixture.score(x.detach(), t, schedule)
    assert score.shape == x.shape and score.dtype == torch.float64
    assert (score - slope).abs().max() <= 1e-12 * max(1.0, slope.abs().max().item())


@given(cases())
def test_the_log_density_is_that_of_pytorch(case):
    mixture, schedule, t, x = case
    density = mixture.log_density(x, t, schedule)
    assert density.shape == (len(x),)
    for i, time in enumerate(t.tolist() if isinstance(t, torch.Tensor) else [t] * len(x)):
        signal = schedule.alpha_bar[time].item()
        means, variance = math.sqrt(signal) * mixture.means, signal * mixture.variance + 1 - signal
        parts = Independent(Normal(means, torch.full_like(means, math.sqrt(variance))), 1)
        expected = MixtureSameFamily(Categorical(mixture.weights), parts).log_prob(x[i])
        assert abs(density[i] - expected) <= 1e-11 * max(1.0, abs(expected))


def test_far_from_every_cloud_neither_overflows():
    x = torch.tensor([[-1e4], [1e4]], dtype=torch.float64)
    assert double(TWO).log_density(x, 0, SCHEDULE).isfinite().all()
    # alone in sight, the nearest cloud pulls as if there were no other
    assert double(TWO).score(x, 0, SCHEDULE).flatten().tolist() == pytest.approx(
        [9998 / 0.04, -9999 / 0.04]
    )


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_score_in_float32_is_that_in_float64_where_little_noise_is_left(schedule):
    point = GaussianMixture(torch.zeros(1, 1), 1e-12, torch.ones(1))
    x = (1 - schedule.alpha_bar[1]).sqrt().float().reshape(1, 1)
    exact = double(point).score(x.double(), 1, schedule).item()
    assert point.score(x, 1, schedule).item() == pytest.approx(exact, rel=1e-6)


def test_float32_points_have_float32_scores():
    x = torch.linspace(-3, 3, 50)[:, None]
    for t in (0, 1, 6, 12):
        score, density = TWO.score(x, t, SCHEDULE), TWO.log_density(x, t, SCHEDULE)
        assert score.dtype == density.dtype == torch.float32
        exact = double(TWO).score(x.double(), t, SCHEDULE)
        assert (score - exact).abs().max() <= 1e-5 * exact.abs().max()


@pytest.mark.parametrize("t", [0, 1, 4, 12])
def test_noised_samples_have_this_density(t, generator):
    """The forward process at work: the shares of its draws, bin by bin, are the integrals of
    exp(log_density).
    """
    n, edges = 40_000, torch.linspace(-5, 5, 41, dtype=torch.float64)
    x_t, _ = forward_diffusion(TWO.sample(n, generator=generator), t, SCHEDULE, generator=generator)
    grid = torch.linspace(-5, 5, 40 * 50 + 1, dtype=torch.float64)
    density = double(TWO).log_density(grid[:, None], t, SCHEDULE).exp()
    expected = torch.stack(
        [torch.trapezoid(density[i : i + 51], grid[i : i + 51]) for i in range(0, 2000, 50)]
    )
    assert abs(expected.sum() - 1) <= 1e-3
    shares = torch.histogram(x_t.flatten().double(), edges).hist / n
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / n).sqrt() + 1e-4).all()


def test_clean_samples_fall_to_the_clouds_by_weight(generator):
    means = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    mixture, n = GaussianMixture(means, 0.25, torch.tensor([2.0, 1.0, 5.0])), 40_000
    x = mixture.sample(n, generator=generator)
    assert x.shape == (n, 2)
    cloud = torch.cdist(x, means).argmin(1)
    for k, share in enumerate([0.25, 0.125, 0.625]):
        mine, count = x[cloud == k], n * share
        assert abs(len(mine) - count) <= 4 * math.sqrt(count * (1 - share))
        assert (mine.mean(0) - means[k]).abs().max() <= 4 * 0.5 / math.sqrt(count)
        assert (mine.var(0) / 0.25 - 1).abs().max() <= 4 * math.sqrt(2 / count)
        assert abs(torch.corrcoef(mine.T)[0, 1]) <= 4 / math.sqrt(count)


def test_the_seed_decides_the_samples():
    seeds = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    first, again, other = (TWO.sample(20, generator=seed) for seed in seeds)
    assert torch.equal(first, again) and not torch.equal(first, other)


# noise and score


@given(cases(), st.integers(0, 10_000))
def test_noise_and_score_are_each_other_but_for_a_factor(case, seed):
    _, schedule, t, x = case
    t = t.clamp(min=1) if isinstance(t, torch.Tensor) else max(t, 1)
    noise = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
    score = score_from_noise(noise, t, schedule)
    assert (noise_from_score(score, t, schedule) - noise).abs().max() <= 1e-14
    for i, time in enumerate(t.tolist() if isinstance(t, torch.Tensor) else [t] * len(x)):
        scale = math.sqrt(1 - schedule.alpha_bar[time].item())
        assert np.allclose(score[i], -noise[i] / scale, rtol=1e-13, atol=0)


@pytest.mark.parametrize("t", [1, 12, torch.tensor([1, 5, 12])])
def test_the_score_of_a_known_image_is_that_of_a_single_noise(t, generator):
    """q(x_t | x_0) is one Gaussian, a mixture of a single cloud so narrow that it is a point."""
    x_0 = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    x_t, noise = forward_diffusion(x_0.expand(3, 2), t, SCHEDULE, generator=generator)
    point = GaussianMixture(x_0, 1e-15, torch.ones(1, dtype=torch.float64))
    assert np.allclose(
        score_from_noise(noise, t, SCHEDULE), point.score(x_t, t, SCHEDULE), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("t", [1, 3, 8, 12])
def test_the_noise_of_the_score_leads_to_the_mean_of_the_clean_data(t):
    """Tweedie: (x_t + (1 - alpha_bar) score) / sqrt(alpha_bar) = E[x_0 | x_t], here by summing over
    a fine grid.
    """
    mixture = double(TWO)
    x_t = torch.linspace(-4, 4, 33, dtype=torch.float64)[:, None]
    noise = noise_from_score(mixture.score(x_t, t, SCHEDULE), t, SCHEDULE)
    tweedie = x0_from_noise(x_t, t, noise, SCHEDULE)
    x_0, alpha_bar = torch.linspace(-6, 6, 24_001, dtype=torch.float64), SCHEDULE.alpha_bar[t]
    log_prior = mixture.log_density(x_0[:, None], 0, SCHEDULE)
    log_joint = log_prior - (x_t - alpha_bar.sqrt() * x_0).square() / (2 * (1 - alpha_bar))
    mean = (log_joint.softmax(1) * x_0).sum(1, keepdim=True)
    assert (tweedie - mean).abs().max() <= 1e-9


# Langevin


@pytest.mark.parametrize(("variance", "step_size"), [(1.0, 0.5), (0.25, 0.05), (4.0, 1.0)])
def test_langevin_ends_at_the_gaussian_but_for_the_bias_of_its_step(variance, step_size, generator):
    """x <- (1 - h / v) x + sqrt(2 h) z settles at the variance v / (1 - h / (2 v)), not v, and at
    the right mean.
    """
    n, mean = 40_000, 3.0
    x = torch.full((n, 1), -5.0)
    steps = math.ceil(
        math.log(1e-6) / math.log(abs(1 - step_size / variance))
    )  # the start is forgotten
    x = langevin(
        lambda x: (mean - x) / variance, x, step_size=step_size, steps=steps, generator=generator
    )
    expected = variance / (1 - step_size / (2 * variance))
    assert expected / variance > 1.1  # the bias is far outside the bound below
    assert abs(x.mean() - mean) <= 4 * math.sqrt(expected / n)
    assert abs(x.var() / expected - 1) <= 4 * math.sqrt(2 / n)


def test_langevin_follows_the_score_of_a_mixture(generator):
    """Where clouds overlap a walk of small steps finds their weights, though it starts in one of
    them.
    """
    mixture, t, n = TWO, 8, 20_000
    x = torch.full((n, 1), -2.0)
    x = langevin(
        lambda x: mixture.score(x, t, SCHEDULE), x, step_size=0.02, steps=500, generator=generator
    )
    there, _ = forward_diffusion(
        mixture.sample(n, generator=generator), t, SCHEDULE, generator=generator
    )
    # the bias of the step is of its own order: h / (2 v) = 0.01 of the variance
    assert abs(x.mean() - there.mean()) <= 0.05
    assert abs(x.std() / there.std() - 1) <= 0.03


def test_a_walk_is_these_draws_in_this_order():
    source, generator = (torch.Generator().manual_seed(4) for _ in range(2))
    start = torch.ones(2, 3, dtype=torch.float64)
    ours = langevin(lambda x: -x, start, step_size=0.1, steps=3, generator=source)
    x = start
    for _ in range(3):
        x = (
            x
            - 0.1 * x
            + math.sqrt(0.2) * torch.randn(2, 3, dtype=torch.float64, generator=generator)
        )
    assert (ours - x).abs().max() <= 1e-14
    assert torch.equal(source.get_state(), generator.get_state())
    assert (start == 1).all()
