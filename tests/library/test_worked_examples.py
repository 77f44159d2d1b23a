"""The guide's five worked examples through the package, every intermediate value at the guide's
precision.
"""

import pytest
import torch

from minddpm import (
    Schedule,
    forward_diffusion,
    forward_step,
    posterior_coefficients,
    posterior_variance,
    q_posterior,
    reverse_step,
    simple_loss,
    x0_from_noise,
)


def pixel(value: float) -> torch.Tensor:
    """A batch of one pixel."""
    return torch.tensor([value], dtype=torch.float64)


def printed(value: torch.Tensor, digits: str) -> bool:
    """Whether a number, rounded to as many decimals as the guide prints, is what it prints."""
    decimals = len(digits.partition(".")[2])
    return f"{value.item():.{decimals}f}" == digits


def test_one_noising_step():
    schedule = Schedule.from_betas([0.01])
    assert printed((1 - schedule.beta[1]).sqrt(), "0.995")
    mean = forward_step(pixel(0.8), 1, schedule, pixel(0))
    std = forward_step(pixel(0.8), 1, schedule, pixel(1)) - mean
    assert printed(mean, "0.796")
    assert printed(std, "0.1")
    assert abs(std - 0.1) <= 1e-15
    assert abs(std**2 - 0.01) <= 1e-15


def test_closed_form_jump():
    schedule = Schedule.from_betas([0.5])
    assert printed(schedule.alpha_bar[1], "0.5")
    assert printed(schedule.alpha_bar[1].sqrt(), "0.707")
    signal, _ = forward_diffusion(pixel(0.8), 1, schedule, pixel(0))
    noise, _ = forward_diffusion(pixel(0), 1, schedule, pixel(0.3))
    x_t, _ = forward_diffusion(pixel(0.8), 1, schedule, pixel(0.3))
    assert printed(signal, "0.566")
    assert printed(noise, "0.212")
    assert printed(x_t, "0.778")


def test_posterior():
    schedule = Schedule.from_betas(
        [0.495, 0.01]
    )  # so that alpha_bar_1 is the guide's 0.505, a rounding of 0.5 / 0.99
    assert printed(schedule.alpha[2], "0.99")
    assert printed(schedule.alpha_bar[1], "0.505")
    assert printed(schedule.alpha_bar[2], "0.500")
    coef_x0, coef_xt = posterior_coefficients(2, schedule)
    assert printed(coef_x0, "0.0142")
    assert printed(coef_xt, "0.985")
    assert printed(coef_x0 * 0.8, "0.0114")
    assert printed(coef_xt * 0.6, "0.591")
    mean, variance = q_posterior(pixel(0.8), pixel(0.6), 2, schedule)
    assert printed(mean, "0.602")
    assert printed(variance, "0.0099")
    assert printed(posterior_variance(2, schedule), "0.0099")


def test_loss():
    schedule = Schedule.from_betas([0.5])
    loss = simple_loss(
        lambda x_t, t: torch.full_like(x_t, 0.25), pixel(0.8), schedule, t=1, noise=pixel(0.3)
    )
    assert printed(loss, "0.0025")
    assert abs(loss - 0.0025) <= 1e-16


def test_sampling_step():
    schedule = Schedule.from_betas(
        [1 - 0.5 / 0.99, 0.01]
    )  # alpha_2 = 0.99 and alpha_bar_2 = 0.5, as in the guide
    assert printed(schedule.alpha[2], "0.99")
    assert printed(schedule.alpha_bar[2], "0.5")
    predicted, z = pixel(0.3), pixel(0.1)
    share = schedule.beta[2] / (1 - schedule.alpha_bar[2]).sqrt() * predicted
    assert printed(share, "0.00424")
    assert printed(0.4 - share, "0.3958")
    assert printed(1 / schedule.alpha[2].sqrt(), "1.005")

    x_0 = x0_from_noise(pixel(0.4), 2, predicted, schedule)
    mean = reverse_step(pixel(0.4), 2, x_0, schedule, pixel(0))
    result = reverse_step(pixel(0.4), 2, x_0, schedule, z)
    # the package's own path has these steps in it
    assert abs(mean * schedule.alpha[2].sqrt() - (0.4 - share)) <= 1e-15
    assert printed(mean, "0.3978")
    assert abs(result - mean - 0.1 * 0.1) <= 1e-15
    assert printed(result, "0.408")


@pytest.mark.parametrize("clip", [False, True])
def test_the_sampling_step_goes_by_the_estimate_of_x_0(clip):
    """0.4 = 0.707 x_0 + 0.707 * 0.3 holds for x_0 = 0.266: inside [-1, 1], so clipping leaves the
    example as it is.
    """
    schedule = Schedule.from_betas([1 - 0.5 / 0.99, 0.01])
    x_0 = x0_from_noise(pixel(0.4), 2, pixel(0.3), schedule)
    assert printed(x_0, "0.266")
    x_0 = x_0.clamp(-1, 1) if clip else x_0
    mean = reverse_step(pixel(0.4), 2, x_0, schedule, pixel(0))
    assert abs(mean - q_posterior(x_0, pixel(0.4), 2, schedule).mean) <= 1e-15
