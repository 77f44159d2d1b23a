"""docs/appendix_bound.md: every number and every formula of the page, computed again."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal

from minddpm import (
    Gaussian,
    beta_variance,
    gaussian_kl,
    linear_schedule,
    posterior_coefficients,
    posterior_variance,
    q_posterior,
)
from minddpm.checkpoints import ASSETS
from minddpm.data import load_mnist
from minddpm.loss import discretised_log_likelihood

PAGE = (Path(__file__).parents[2] / "docs" / "appendix_bound.md").read_text(encoding="utf-8")
STORED = json.loads((ASSETS / "results.json").read_text(encoding="utf-8"))["bound"]["bits_per_dim"]
SCHEDULE = linear_schedule()
TIMES = torch.arange(2, 1001)
BETA, TILDE = beta_variance(TIMES, SCHEDULE), posterior_variance(TIMES, SCHEDULE)
ALPHA_BAR = SCHEDULE.alpha_bar[TIMES]
LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1
LAST = posterior_variance(2, SCHEDULE)  # the variance of the last step


def overpaid(sigma2, truth):
    """The divergence of two Gaussians with one mean, in nats."""
    mean = torch.zeros_like(truth)
    return gaussian_kl(Gaussian(mean, truth), Gaussian(mean, sigma2))


def closed_bins(mean):
    """The probabilities of all levels if each bin is 2/255 wide."""
    area = Normal(mean, LAST.sqrt())
    return area.cdf(LEVELS + 1 / 255) - area.cdf(LEVELS - 1 / 255)


def bits_of_black(closed):
    """What a background pixel costs that is guessed exactly."""
    black = torch.tensor([-1.0], dtype=torch.float64)
    if closed:
        return -closed_bins(black)[0].log2().item()
    return -discretised_log_likelihood(black, Gaussian(black, LAST)).item() / math.log(2)


def constant(first, last):
    """What sigma^2 = beta adds between two times, in bits per dimension."""
    return overpaid(BETA, TILDE)[first - 2 : last - 1].sum().item() / math.log(2)


NUMBERS = [  # where a number stands on the page, and what it is
    (
        r"exactly black it is ([\d.]+) instead",
        lambda: f"{closed_bins(torch.tensor(-1.0, dtype=torch.float64)).sum():.2f}",
    ),
    (
        r"that is (\d+%) of all pixels",
        lambda: f"{(load_mnist('test')[0] == -1).float().mean():.0%}",
    ),
    (r"costs ([\d.]+) bits with the open bin", lambda: f"{bits_of_black(closed=False):.2f}"),
    (r"and ([\d.]+) bits with the closed one", lambda: f"{bits_of_black(closed=True):.2f}"),
    (r"comes to ([\d.]+) bits per dimension", lambda: f"{constant(2, 1000):.3f}"),
    (r"of which ([\d.]+) fall to \$t = 2, \\ldots, 11\$", lambda: f"{constant(2, 11):.3f}"),
]


@pytest.mark.parametrize(("pattern", "value"), NUMBERS, ids=[pattern for pattern, _ in NUMBERS])
def test_numbers_are_those_of_the_page(pattern, value):
    assert re.findall(pattern, PAGE) == [value()]


def test_the_table_of_overpaid_nats_is_computed_again():
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert [int(t) for t, *_ in rows] == [2, 5, 10, 50]
    for t, beta_on_a_point, tilde_on_noise in rows:
        place = int(t) - 2
        assert f"{overpaid(BETA, TILDE)[place]:.4f}" == beta_on_a_point
        assert f"{overpaid(TILDE, BETA)[place]:.4f}" == tilde_on_noise


def test_the_table_of_variances_is_that_of_the_results():
    """Written by `python tools/build_appendix.py`: run it again after measuring."""
    symbols = {"beta tilde": r"$\tilde\beta_t$", "beta": r"$\beta_t$"}
    for steps in ("1000", "250", "100", "50"):
        for name, symbol in symbols.items():
            row = STORED[name][steps]
            keys = ("prior", "denoising", "reconstruction", "total")
            cells = " | ".join(f"{row[key]:.2f}" for key in keys)
            assert f"\n| {steps} | {symbol} | {cells} |\n" in PAGE


@pytest.mark.parametrize("steps", ["1000", "250", "100", "50"])
def test_beta_tilde_costs_less_at_every_number_of_steps(steps):
    assert STORED["beta"][steps]["total"] - STORED["beta tilde"][steps]["total"] > 0.05


def test_open_bins_sum_to_one_and_closed_ones_do_not():
    for mean in torch.linspace(-1.02, -0.96, 61, dtype=torch.float64):
        decoder = Gaussian(mean.expand(256), LAST)
        assert abs(discretised_log_likelihood(LEVELS, decoder).exp().sum() - 1) <= 1e-12
    assert closed_bins(torch.tensor(-1.02, dtype=torch.float64)).sum() < 0.05
    assert closed_bins(torch.tensor(0.3, dtype=torch.float64)).sum() > 1 - 1e-9


def test_beta_1_is_nearly_twice_what_the_last_step_borrows():
    assert 1.7 < SCHEDULE.beta[1] / LAST < 2


@pytest.mark.parametrize("s", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("t", [2, 10, 500])
def test_the_true_step_has_the_variance_that_the_page_says(s, t):
    """Against the conditional variance in the covariance of x_{t-1} and x_t."""
    before, now = SCHEDULE.alpha_bar[t - 1], SCHEDULE.alpha_bar[t]
    alpha = SCHEDULE.alpha[t]
    variance_before, variance_now = before * s**2 + 1 - before, now * s**2 + 1 - now
    conditional = variance_before - alpha * variance_before**2 / variance_now
    v_0 = s**2 * (1 - now) / (now * s**2 + 1 - now)
    coef_x0, _ = posterior_coefficients(t, SCHEDULE)
    assert abs((posterior_variance(t, SCHEDULE) + coef_x0**2 * v_0) / conditional - 1) <= 1e-9
    if s in (0, 1):
        right = posterior_variance if s == 0 else beta_variance
        assert abs(right(t, SCHEDULE) / conditional - 1) <= 1e-9


@pytest.mark.parametrize("t", [2, 10, 100, 700])
def test_the_best_variance_lies_the_share_of_the_page_between_the_two(t):
    """Found by searching: the variance of the least divergence, averaged over errors of the noise
    of a known size.
    """
    error = 0.1 * SCHEDULE.alpha_bar[t]  # the mean square of the noise's error
    x_0 = torch.tensor([0.3, 0.3], dtype=torch.float64)
    x_t = torch.tensor([0.5, 0.5], dtype=torch.float64)
    truth = q_posterior(x_0, x_t, t, SCHEDULE)
    off = error.sqrt() * torch.tensor([1.0, -1.0], dtype=torch.float64)
    step = SCHEDULE.beta[t] / ((1 - SCHEDULE.alpha_bar[t]) * SCHEDULE.alpha[t]).sqrt()
    share = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    beta, tilde = beta_variance(t, SCHEDULE), posterior_variance(t, SCHEDULE)
    guess = Gaussian(truth.mean - step * off, tilde + share * (beta - tilde))
    paid = gaussian_kl(truth, guess).mean(1)  # of each share
    assert abs(share[paid.argmin()].item() - 0.1) <= 1e-3


def test_digits_are_nearer_to_beta_tilde():
    nats = torch.tensor(STORED["beta tilde"]["by_t"], dtype=torch.float64).flip(0) * math.log(2)
    error = nats * 2 * TILDE * SCHEDULE.alpha[TIMES] * (1 - ALPHA_BAR) / BETA**2
    share = error / ALPHA_BAR
    assert 0 < share[:699].min()
    assert share[:699].max() < 0.5
    best = TILDE + share * (BETA - TILDE)
    assert overpaid(BETA, best).sum() > 3 * overpaid(TILDE, best).sum()
    assert overpaid(BETA, TILDE)[699:].sum() / math.log(2) < 1e-5  # beyond t = 700
