"""The posterior against Bayes' rule on a grid, and against diffusers' coefficients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minddpm import (
    beta_variance,
    cosine_schedule,
    linear_schedule,
    posterior_coefficients,
    posterior_variance,
    q_posterior,
)

SCHEDULES = {
    "linear": linear_schedule(),
    "short": linear_schedule(20, 0.01, 0.4),
    "cosine": cosine_schedule(100),
}


def bayes_on_a_grid(x_0: float, x_t: float, t: int, beta: torch.Tensor) -> tuple[float, float]:
    """Mean and variance of q(x_{t-1} | x_t, x_0) from q(x_t | x_{t-1}) q(x_{t-1} | x_0), normalised
    on a grid.
    """
    alpha_bar_prev = math.prod((1 - beta[1:t]).tolist())
    prior_mean, prior_std = math.sqrt(alpha_bar_prev) * x_0, math.sqrt(1 - alpha_bar_prev)
    shrink, step_std = math.sqrt(1 - beta[t]), math.sqrt(beta[t])
    # both factors are negligible 14 of their widths away from their centres
    low = max(prior_mean - 14 * prior_std, (x_t - 14 * step_std) / shrink)
    high = min(prior_mean + 14 * prior_std, (x_t + 14 * step_std) / shrink)
    x_prev = torch.linspace(low, high, 20_001, dtype=torch.float64)
    log_density = -((x_prev - prior_mean) ** 2) / (2 * prior_std**2) - (
        x_t - shrink * x_prev
    ) ** 2 / (2 * step_std**2)
    weight = log_density.softmax(0)
    mean = (weight * x_prev).sum()
    return mean.item(), (weight * (x_prev - mean) ** 2).sum().item()


@pytest.mark.parametrize("name", SCHEDULES)
def test_posterior_equals_bayes_on_a_grid(name, generator):
    schedule = SCHEDULES[name]
    for t in [
        2,
        3,
        schedule.T // 2,
        schedule.T - 1,
        schedule.T,
        *schedule.sample_t(5, generator=generator).tolist(),
    ]:
        if t == 1:
            continue  # x_0 is then known exactly, and there is no density to put on a grid
        for x_0, noise in [(0.8, -0.3), (-1.0, 1.5), (0.1, 0.0)]:
            alpha_bar = math.prod((1 - schedule.beta[1 : t + 1]).tolist())
            x_t = math.sqrt(alpha_bar) * x_0 + math.sqrt(1 - alpha_bar) * noise
            mean, variance = bayes_on_a_grid(x_0, x_t, t, schedule.beta)
            ours = q_posterior(*torch.tensor([[x_0], [x_t]], dtype=torch.float64), t, schedule)
            assert abs(ours.mean.item() - mean) <= 1e-9, t
            assert abs(ours.variance.item() / variance - 1) <= 1e-9, t
            assert abs(posterior_variance(t, schedule).item() / variance - 1) <= 1e-9, t


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_at_the_first_step_the_posterior_is_x_0_itself(schedule, generator):
    x_0, x_t = torch.randn(2, 3, 1, 2, 2, generator=generator)
    assert posterior_variance(1, schedule) == 0
    coef_x0, coef_xt = posterior_coefficients(1, schedule)
    # 1 - alpha_bar_1 is beta_1 up to eps/2, at worst relative to beta_1 = 3e-5
    assert abs(coef_x0 - 1) <= 1e-11
    assert coef_xt == 0
    assert torch.equal(q_posterior(x_0, x_t, 1, schedule).mean, x_0)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_the_two_variances_bracket_each_other(schedule):
    t = torch.arange(1, schedule.T + 1)
    assert torch.equal(beta_variance(t, schedule), schedule.beta[1:])
    assert (posterior_variance(t, schedule) < beta_variance(t, schedule)).all()


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_averaging_the_posterior_over_x_t_gives_the_marginal(schedule):
    """Law of total expectation and variance: x_t drawn from q(x_t | x_0) gives back q(x_{t-1} |
    x_0).
    """
    t = torch.arange(1, schedule.T + 1)
    coef_x0, coef_xt = posterior_coefficients(t, schedule)
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[1:], schedule.alpha_bar[:-1]
    assert (coef_x0 + coef_xt * alpha_bar.sqrt() - alpha_bar_prev.sqrt()).abs().max() <= 1e-11
    variance = coef_xt**2 * (1 - alpha_bar) + posterior_variance(t, schedule)
    assert (variance - (1 - alpha_bar_prev)).abs().max() <= 1e-11


@given(
    st.sampled_from([(1,), (3,), (3, 2), (2, 1, 4, 4), (2, 3, 1, 1)]),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from(["each", "int", "tensor"]),
    st.integers(0, 10_000),
)
def test_any_rank_dtype_and_kind_of_t(shape, dtype, kind, seed):
    generator, schedule = torch.Generator().manual_seed(seed), SCHEDULES["short"]
    x_0, x_t = torch.randn(2, *shape, dtype=dtype, generator=generator)
    times = schedule.sample_t(len(x_0), generator=generator)
    t = {"each": times, "int": int(times[0]), "tensor": times[0]}[kind]
    result = q_posterior(x_0, x_t, t, schedule)
    assert result.mean.shape == shape
    assert result.mean.dtype == result.variance.dtype == dtype
    assert result.variance.shape == (
        (len(x_0),) + (1,) * (len(shape) - 1) if kind == "each" else ()
    )
    assert (
        posterior_variance(t, schedule).dtype == torch.float64
    )  # rounded only where it meets the images
    for i in range(len(x_0)):
        time = int(times[i] if kind == "each" else times[0])
        alone = q_posterior(x_0[i : i + 1], x_t[i : i + 1], time, schedule)
        assert torch.equal(result.mean[i : i + 1], alone.mean)
        assert torch.equal(result.variance.expand(shape)[i : i + 1].flatten()[0], alone.variance)
