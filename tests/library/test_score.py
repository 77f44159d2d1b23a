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

from minddpm import (
    cosine_schedule,
    ddim_step,
    forward_diffusion,
    linear_schedule,
    reverse_step,
    simple_loss,
    x0_from_noise,
)
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


# what lesson 08 says of the score, and of sampling with it

CLOUDS = double(
    GaussianMixture(torch.tensor([[-1.5, -0.5], [1.0, 0.5]]), 0.04, torch.tensor([0.2, 0.8]))
)
LONG = SCHEDULES[0]


def scaled(T):
    """One process in T steps: the linear schedule with every beta proportional to 1 / T."""
    return linear_schedule(T, 0.1 / T, 20 / T)


def best(mixture, schedule):
    """The network that predicts the average noise."""
    return lambda x_t, t: noise_from_score(mixture.score(x_t, t, schedule), t, schedule)


def estimates(mixture, x_t, t, schedule):
    """Score, noise and x_0 at x_t, as the best network estimates them."""
    score = mixture.score(x_t, t, schedule)
    noise = noise_from_score(score, t, schedule)
    return score, noise, x0_from_noise(x_t, t, noise, schedule)


def ancestral(mixture, x_t, t, schedule, noise):
    *_, x_0 = estimates(mixture, x_t, t, schedule)
    return reverse_step(x_t, t, x_0, schedule, noise)


def normal_like(x, generator):
    return torch.randn(x.shape, dtype=x.dtype, generator=generator)


@pytest.mark.parametrize("t", [50, 150, 300, 600])
def test_the_score_points_against_the_average_noise(t, generator):
    """In each cell of a grid, noise and what the score makes of it have the same average."""
    x_0 = CLOUDS.sample(400_000, generator=generator)
    x_t, noise = forward_diffusion(x_0, t, LONG, generator=generator)
    rest = noise - noise_from_score(CLOUDS.score(x_t, t, LONG), t, LONG)
    column, row = (x_t / 0.6).round().clamp(-4, 4).long().add(4).unbind(1)
    cell = 9 * column + row  # the outermost ones reach to infinity
    count = torch.bincount(cell, minlength=81)
    full = count >= 100
    assert full.sum() >= 20
    for coordinate in rest.T:
        mean = torch.bincount(cell, coordinate, minlength=81)[full] / count[full]
        square = torch.bincount(cell, coordinate**2, minlength=81)[full] / count[full]
        assert (mean.abs() <= 4.5 * (square / count[full]).sqrt()).all()


@pytest.mark.parametrize("t", [10, 300, 1000])
def test_what_the_loss_has_above_the_least_is_the_squared_distance(t, generator):
    """Of a network that is off by 0.3 everywhere, the simple loss is larger by 0.09."""
    ideal, n = best(CLOUDS, LONG), 100_000
    x_0 = CLOUDS.sample(n, generator=generator)
    noise = normal_like(x_0, generator)
    losses = [
        simple_loss(network, x_0, LONG, t=t, noise=noise).item()
        for network in (ideal, lambda x_t, t: ideal(x_t, t) + 0.3)
    ]
    # the mixed term, 0.6 times the mean of what the noise has beside its average, is chance
    assert abs(losses[1] - losses[0] - 0.09) <= 4 * 0.6 * math.sqrt(losses[0] / (2 * n))
    assert 4 * 0.6 * math.sqrt(losses[0] / (2 * n)) <= 0.01


def test_the_score_of_noisy_data_is_not_that_of_the_data():
    """In the left cloud it may point away from the centre of that cloud, to the other one."""
    x = torch.tensor([[-1.3, -0.4]], dtype=torch.float64)
    to_the_left = CLOUDS.means[0] - x
    assert (CLOUDS.score(x, 0, LONG) * to_the_left).sum() > 0
    assert (CLOUDS.score(x, 600, LONG) * to_the_left).sum() < 0


def test_the_reverse_step_is_one_of_euler_and_maruyama_but_for_a_share_of_1_over_T(generator):
    """Started alike and shaken alike, ancestral sampling and the simplest method for the
    reverse-time SDE end apart by a distance that a quarter of the step makes a quarter.
    """
    x_T = torch.randn(500, 2, dtype=torch.float64, generator=generator)
    apart = []
    for T in (50, 200):
        schedule, x, euler = scaled(T), x_T, x_T
        for t in schedule.steps():
            noise = normal_like(x, generator)
            x = ancestral(CLOUDS, x, t, schedule, noise)
            beta, score = schedule.beta[t].item(), CLOUDS.score(euler, t, schedule)
            drift = beta / 2 * euler + beta * score
            euler = euler + drift + math.sqrt(beta) * noise * (t > 1)
        apart.append((x - euler).norm(dim=1).median().item())
    assert 1 / 5 <= apart[1] / apart[0] <= 1 / 3.2
    assert apart[1] <= 0.004


def test_the_reverse_step_is_half_a_step_of_ddim_and_half_a_step_of_langevin(generator):
    """What the sum leaves out is of order beta^2: with half the beta, a quarter."""
    x = 2 * torch.randn(500, 2, dtype=torch.float64, generator=generator)
    left_out = []
    for T in (4000, 8000):
        schedule, t = scaled(T), T // 4
        score, noise, x_0 = estimates(CLOUDS, x, t, schedule)
        seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
        step = reverse_step(x, t, x_0, schedule, generator=seeds[0])
        beta = schedule.beta[t].item()
        walk = langevin(lambda x, s=score: s, x, step_size=beta / 2, steps=1, generator=seeds[1])
        flow = ddim_step(x, t, x_0, noise, schedule)
        left_out.append((step - (flow + walk - x)).abs().max().item())
    assert left_out[1] / left_out[0] == pytest.approx(1 / 4, rel=0.05)


def test_the_langevin_half_alone_lags_behind_the_levels(generator):
    schedule = scaled(200)
    x = lagging = torch.randn(1000, 2, dtype=torch.float64, generator=generator)
    for t in schedule.steps():
        x = ancestral(CLOUDS, x, t, schedule, normal_like(x, generator))
        lagging = langevin(
            lambda x, t=t: CLOUDS.score(x, t, schedule),
            lagging,
            step_size=schedule.beta[t].item() / 2,
            steps=1,
            generator=generator,
        )
    assert spread(x) == pytest.approx(0.2, abs=0.015)
    assert spread(lagging) >= 0.3


def spread(x):
    """The standard deviation of points inside their clouds."""
    cloud = torch.cdist(x, CLOUDS.means).argmin(1)
    means = torch.stack([x[cloud == k].mean(0) for k in (0, 1)])
    return (x - means[cloud]).square().mean().sqrt().item()


@pytest.mark.parametrize("t", [200, 400])
def test_the_reverse_step_repeated_at_one_level_settles_at_too_narrow_a_density(t, generator):
    """For small beta it is Langevin dynamics on q(x_t)^2 exp(|x_t|^2 / 2): of one cloud of variance
    v it makes one of v / (2 - v), where a Langevin walk keeps v.
    """
    one, n = GaussianMixture(torch.zeros(1, 1).double(), 0.04, torch.ones(1).double()), 20_000
    v = LONG.alpha_bar[t].item() * 0.04 + 1 - LONG.alpha_bar[t].item()
    x = walked = math.sqrt(v) * torch.randn(n, 1, dtype=torch.float64, generator=generator)
    for _ in range(300):
        x = ancestral(one, x, t, LONG, normal_like(x, generator))
    walked = langevin(
        lambda x: one.score(x, t, LONG),
        walked,
        step_size=LONG.beta[t].item() / 2,
        steps=300,
        generator=generator,
    )
    # chance leaves 4 / sqrt(2 n), the finite beta the rest
    assert x.std().item() == pytest.approx(math.sqrt(v / (2 - v)), rel=0.05)
    assert walked.std().item() == pytest.approx(math.sqrt(v), rel=0.03)
    assert x.std().item() <= 0.95 * math.sqrt(v)


def test_the_flow_carries_the_noisy_density_to_that_of_the_data():
    """In one dimension a path without noise keeps the order of points, so it carries quantiles to
    quantiles. DDIM arrives but for a share of 1 / T.
    """
    pixel, grid = double(TWO), torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    levels = (torch.arange(500, dtype=torch.float64) + 0.5) / 500

    def quantiles(t, schedule):
        below = pixel.log_density(grid[:, None], t, schedule).exp().cumsum(0)
        return grid[torch.searchsorted(below / below[-1], levels)]

    off = []
    for T in (200, 400):
        schedule = scaled(T)
        x = quantiles(T, schedule)[:, None]
        for t in schedule.steps():
            _, noise, x_0 = estimates(pixel, x, t, schedule)
            x = ddim_step(x, t, x_0, noise, schedule)
        off.append((x.flatten() - quantiles(0, schedule)).abs().mean().item())
    assert 1.7 <= off[0] / off[1] <= 2.3
    assert off[1] <= 0.004
