"""The weighted loss is L_simple where weights and times are, its weights are what they say, and its
times are even.
"""

import math
from functools import partial

import pytest
import torch

from minddpm import (
    forward_diffusion,
    linear_schedule,
    min_snr_weight,
    simple_loss,
    velocity_weight,
    weighted_loss,
)
from minddpm.weighting import even_times

SCHEDULE = linear_schedule(20, 1e-3, 0.3)


def test_weighted_loss_is_the_weighted_mean_of_each_images_mean_square(generator):
    x_0, noise, guess = torch.randn(3, 4, 1, 2, 2, dtype=torch.float64, generator=generator)
    t = torch.tensor([1, 5, 9, 20])
    seen = []

    def weight(alpha_bar):
        seen.append(alpha_bar)
        return torch.tensor([2.0, 0.0, 1.0, 0.5])

    loss = weighted_loss(lambda x_t, t: guess, x_0, SCHEDULE, weight=weight, t=t, noise=noise)
    each = [(a - b).square().mean().item() for a, b in zip(guess, noise)]
    assert loss.shape == ()
    assert abs(loss - (2 * each[0] + each[2] + each[3] / 2) / 4) <= 1e-14
    assert torch.equal(seen[0], SCHEDULE.alpha_bar[t])


def test_with_equal_weights_weighted_loss_is_simple_loss_with_the_same_draws(generator):
    x_0 = torch.randn(4, 1, 2, 2, dtype=torch.float64, generator=generator)
    simple, weighted = (
        loss(
            lambda x_t, t: torch.tanh(x_t),
            x_0,
            SCHEDULE,
            t=torch.tensor([1, 5, 9, 20]),
            generator=torch.Generator().manual_seed(2),
        )
        for loss in (simple_loss, partial(weighted_loss, weight=torch.ones_like))
    )
    assert abs(simple - weighted) <= 1e-15


def test_velocity_weight_makes_the_error_of_the_noise_that_of_the_velocity(generator):
    x_0, noise, guess = torch.randn(3, 20, 1, 2, 2, dtype=torch.float64, generator=generator)
    t = torch.arange(1, 21)
    share = SCHEDULE.alpha_bar[t][:, None, None, None]
    x_t = share.sqrt() * x_0 + (1 - share).sqrt() * noise
    guessed_x0 = (x_t - (1 - share).sqrt() * guess) / share.sqrt()
    true = share.sqrt() * noise - (1 - share).sqrt() * x_0
    guessed = share.sqrt() * guess - (1 - share).sqrt() * guessed_x0
    weight = partial(velocity_weight, most=math.inf)
    loss = weighted_loss(lambda x_t, t: guess, x_0, SCHEDULE, weight=weight, t=t, noise=noise)
    assert loss.item() == pytest.approx((true - guessed).square().mean().item(), rel=1e-12)


def test_velocity_weight_ends_at_its_most():
    share = torch.tensor([1.0, 0.5, 0.04, 0.01, 0.0], dtype=torch.float64)
    assert velocity_weight(share).tolist() == pytest.approx([1, 2, 25, 25, 25])
    assert velocity_weight(share, most=3.0).tolist() == pytest.approx([1, 2, 3, 3, 3])


@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_min_snr_weight_is_the_least_of_both_over_the_snr(gamma):
    weights = min_snr_weight(SCHEDULE.alpha_bar[1:], gamma)
    snr = SCHEDULE.snr[1:]
    assert (weights - torch.minimum(snr, torch.tensor(gamma)) / snr).abs().max() <= 1e-15
    assert 0 < weights.min() < weights.max() == 1
    assert torch.equal(min_snr_weight(snr), min_snr_weight(snr, 5.0))
    assert min_snr_weight(torch.tensor([0.0, 1.0]).double()).tolist() == [1, 0]


def test_another_target_takes_the_place_of_the_noise(generator):
    x_0, noise, guess = torch.randn(3, 4, 1, 2, 2, dtype=torch.float64, generator=generator)
    t, seen = torch.tensor([1, 5, 9, 20]), []

    def target(x_t, t, x_0, schedule):
        seen.append((x_t, t, x_0, schedule))
        return 3 * x_0 + x_t

    loss = weighted_loss(
        lambda x_t, t: guess,
        x_0,
        SCHEDULE,
        weight=lambda alpha_bar: alpha_bar,
        target=target,
        t=t,
        noise=noise,
    )
    x_t, _ = forward_diffusion(x_0, t, SCHEDULE, noise)
    each = (guess - 3 * x_0 - x_t).square().flatten(1).mean(1)
    assert abs(loss - (SCHEDULE.alpha_bar[t] * each).mean()) <= 1e-14
    ((seen_x_t, seen_t, seen_x_0, schedule),) = seen
    assert torch.equal(seen_x_t, x_t) and torch.equal(seen_t, t) and torch.equal(seen_x_0, x_0)
    assert schedule is SCHEDULE


@pytest.mark.parametrize(("count", "T"), [(1, 1000), (32, 1000), (1000, 1000), (7, 20), (64, 20)])
def test_even_times_leave_no_part_of_the_schedule_out(count, T, generator):
    schedule = linear_schedule(T, 1e-3, 0.3)
    t = even_times(count, schedule, generator=generator)
    assert t.dtype == torch.int64
    assert t.min() >= 1
    assert t.max() <= T
    parts = torch.arange(count)
    assert (t - 1 >= (parts * T) // count).all()
    assert (t - 1 <= ((parts + 1) * T - 1) // count).all()


def test_each_time_is_as_likely_as_any_other(generator):
    drawn = torch.cat([even_times(7, SCHEDULE, generator=generator) for _ in range(10_000)])
    shares = torch.bincount(drawn, minlength=21)[1:] / len(drawn)
    assert (shares - 1 / 20).abs().max() < 4 * math.sqrt(0.05 / len(drawn))


def test_times_are_even_unless_they_are_given(generator):
    seen = []

    def model(x_t, t):
        seen.append(t)
        return x_t

    x_0 = torch.zeros(20, 1, 2, 2)
    weighted_loss(model, x_0, SCHEDULE, generator=generator)
    weighted_loss(model, x_0, SCHEDULE, t=3, generator=generator)
    assert seen[0].tolist() == list(range(1, 21))
    assert seen[1].tolist() == [3] * 20


def test_the_same_generator_draws_the_same(generator):
    draws = [
        weighted_loss(
            lambda x_t, t: x_t,
            torch.zeros(5, 1, 2, 2),
            SCHEDULE,
            generator=torch.Generator().manual_seed(4),
        )
        for _ in range(2)
    ]
    assert draws[0] == draws[1]
