"""What docs/claims.md and the answers of *Check yourself* say, where no lesson computes it."""

import pytest
import torch

from minddpm import (
    Schedule,
    cosine_schedule,
    linear_schedule,
    load_mnist,
    posterior_coefficients,
    posterior_variance,
)

LINEAR = linear_schedule()
TIMES = torch.arange(1, 1001)


def test_the_posterior_of_the_worked_example_has_a_rounded_alpha_bar():
    assert f"{0.5 / 0.99:.5f}" == "0.50505"


def test_half_of_the_signal_is_left_long_before_t_500():
    assert LINEAR.alpha_bar[259] >= 0.5 > LINEAR.alpha_bar[260]
    assert f"{LINEAR.alpha_bar[500]:.2f} {LINEAR.beta[500]:.2f}" == "0.08 0.01"
    assert 0.4 < LINEAR.beta[259] / 0.01 < 0.6
    cosine = cosine_schedule()
    assert f"{cosine.alpha_bar[500]:.2f} {cosine.beta[500]:.3f}" == "0.49 0.003"


def test_twice_the_betas_leave_about_the_square():
    doubled = Schedule.from_betas(2 * LINEAR.beta[1:]).alpha_bar[1000]
    assert f"{LINEAR.alpha_bar[1000]:.0e} {doubled:.1e}" == "4e-05 1.4e-09"
    assert 0.8 < doubled / LINEAR.alpha_bar[1000] ** 2 < 1


def test_pixels_of_digits_have_a_variance_of_about_0_4():
    assert f"{load_mnist('train')[0].var():.1f}" == "0.4"


def test_an_error_of_the_noise_is_one_of_the_clean_image():
    factor = ((1 - LINEAR.alpha_bar) / LINEAR.alpha_bar).sqrt()
    assert f"{0.01 * factor[1000]:.2f} {0.01 * factor[10]:.4f}" == "1.57 0.0004"
    assert sum(LINEAR.steps()) / LINEAR.T == 500.5


def test_for_normal_data_the_step_back_is_known_without_x_0():
    """Its variance is beta: that of the posterior, and that of x_0 given x_t passed on by it."""
    coef_x0, _ = posterior_coefficients(TIMES, LINEAR)
    variance = posterior_variance(TIMES, LINEAR) + coef_x0**2 * (1 - LINEAR.alpha_bar[1:])
    assert (variance / LINEAR.beta[1:] - 1).abs().max() <= 1e-9


def test_the_step_back_relies_on_x_t_but_not_near_the_clean_end():
    coef_x0, coef_xt = posterior_coefficients(TIMES, LINEAR)
    assert (coef_xt > coef_x0)[10:].all()
    assert coef_x0[0] == pytest.approx(1)
    assert coef_xt[0] == 0


def test_the_weight_that_l_simple_drops_falls_a_hundredfold():
    variance, rest = posterior_variance(TIMES, LINEAR)[1:], (1 - LINEAR.alpha_bar)[2:]
    weight = LINEAR.beta[2:] ** 2 / (2 * variance * LINEAR.alpha[2:] * rest)  # t = 2, ..., 1000
    assert 100 < weight[0] / weight.min() < 150
