"""The forward process against diffusers, Monte Carlo and its own inverse."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from minddpm import (
    Schedule,
    forward_diffusion,
    forward_step,
    linear_schedule,
    noise_from_x0,
    x0_from_noise,
)
from minddpm.noising import moved

SCHEDULE = linear_schedule(50, 1e-3, 0.2)
SHAPES = [(4,), (4, 2), (4, 1, 5, 5)]


@pytest.mark.parametrize("shape", SHAPES)
def test_jump_equals_diffusers_add_noise(shape, generator):
    theirs = DDPMScheduler()
    theirs.alphas_cumprod = (1 - theirs.betas.double()).cumprod(
        0
    )  # their formulas, in float64 for a tight bound
    schedule = Schedule.from_betas(theirs.betas)
    x_0, noise = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    for t in [torch.tensor([1, 2, 1000, 500]), schedule.sample_t(4, generator=generator)]:
        x_t, returned = forward_diffusion(x_0, t, schedule, noise)
        assert returned is noise
        assert (x_t - theirs.add_noise(x_0, noise, t - 1)).abs().max() <= 1e-14


def test_jump_equals_diffusers_as_shipped(generator):
    x_0, noise = torch.randn(2, 1000, 1, 4, 4, generator=generator)
    t = torch.arange(1, 1001)
    x_t, _ = forward_diffusion(x_0, t, linear_schedule(), noise)
    # float32 1 - alpha_bar is off by eps/2 and is 1e-4 at t = 1: its root is off by 1.5e-6 / 5,
    # times noise below 5
    assert noise.abs().max() < 5.5
    assert (x_t - DDPMScheduler().add_noise(x_0, noise, t - 1)).abs().max() <= 3e-5


@pytest.mark.parametrize("t", [1, 5, 50])
def test_stepping_and_jumping_have_the_closed_form_distribution(t, generator):
    n, x_0 = 50_000, 0.8
    stepped = torch.full((n,), x_0, dtype=torch.float64)
    for time in range(1, t + 1):
        stepped = forward_step(stepped, time, SCHEDULE, generator=generator)
    jumped, _ = forward_diffusion(
        torch.full((n,), x_0, dtype=torch.float64), t, SCHEDULE, generator=generator
    )
    alpha_bar = math.prod(1 - SCHEDULE.beta[time].item() for time in range(1, t + 1))
    mean, variance = math.sqrt(alpha_bar) * x_0, 1 - alpha_bar
    for draws in (stepped, jumped):
        assert abs(draws.mean() - mean) <= 4 * math.sqrt(variance / n)  # four standard errors
        assert abs(draws.var() - variance) <= 4 * variance * math.sqrt(2 / (n - 1))
        # Dvoretzky, Kiefer, Wolfowitz: the empirical distribution strays further with probability
        # below 1e-4
        empirical = torch.arange(1, n + 1, dtype=torch.float64) / n
        exact = torch.distributions.Normal(mean, math.sqrt(variance)).cdf(draws.sort().values)
        assert (empirical - exact).abs().max() <= math.sqrt(math.log(2e4) / (2 * n)) + 1 / n


def test_one_step_is_the_root_of_beta_not_beta(generator):
    x, noise = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    for t in SCHEDULE.steps():
        beta = SCHEDULE.beta[t].item()
        expected = math.sqrt(1 - beta) * x + math.sqrt(beta) * noise
        assert (forward_step(x, t, SCHEDULE, noise) - expected).abs().max() <= 1e-15


def test_each_image_gets_its_own_time(generator):
    x, noise = torch.randn(2, 6, 1, 3, 3, generator=generator)
    t = torch.tensor([50, 1, 2, 2, 17, 33])
    for function in (forward_step, lambda *args: forward_diffusion(*args)[0]):
        together = function(x, t, SCHEDULE, noise)
        for i, time in enumerate(t.tolist()):
            assert torch.equal(
                together[i : i + 1], function(x[i : i + 1], time, SCHEDULE, noise[i : i + 1])
            )


def test_the_first_step_is_the_first_jump(generator):
    x, noise = torch.randn(2, 5, dtype=torch.float64, generator=generator)
    jumped, _ = forward_diffusion(x, 1, SCHEDULE, noise)
    assert (forward_step(x, 1, SCHEDULE, noise) - jumped).abs().max() <= 1e-15


images = st.tuples(
    st.sampled_from([(1,), (3,), (2, 1), (3, 2), (2, 1, 4, 4), (1, 3, 2, 5), (2, 1, 2, 2, 2)]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 10_000),
)


def make_times(kind: str, batch: int, generator: torch.Generator):
    """One time for all as an int of Python or numpy or a tensor, or a time for each."""
    t = SCHEDULE.sample_t(batch, generator=generator)
    return {"each": t, "int": int(t[0]), "numpy": np.int64(t[0]), "tensor": t[0]}[kind]


@given(images, st.sampled_from(["each", "int", "numpy", "tensor"]))
def test_any_rank_dtype_and_kind_of_t(image, kind):
    shape, dtype, seed = image
    generator = torch.Generator().manual_seed(seed)
    x_0 = torch.rand(shape, dtype=dtype, generator=generator) * 2 - 1
    t = make_times(kind, len(x_0), generator)
    times = torch.as_tensor(t).expand(len(x_0))

    x_t, noise = forward_diffusion(x_0, t, SCHEDULE, generator=generator)
    assert x_t.shape == noise.shape == shape
    assert x_t.dtype == noise.dtype == dtype
    alpha_bar = torch.tensor(
        [math.prod((1 - SCHEDULE.beta[1 : time + 1]).tolist()) for time in times.tolist()]
    )
    column = alpha_bar.double().reshape(-1, *[1] * (len(shape) - 1))
    eps = torch.finfo(torch.float32).eps  # alpha_bar went through float32 in this test
    assert (x_t - (column.sqrt() * x_0 + (1 - column).sqrt() * noise)).abs().max() <= 200 * eps

    # the two solutions invert the jump; dividing by the root of a small number magnifies the
    # rounding error
    eps = torch.finfo(dtype).eps
    smallest = min(alpha_bar.min().item(), 1 - alpha_bar.max().item())
    assert (x0_from_noise(x_t, t, noise, SCHEDULE) - x_0).abs().max() <= 10 * eps / math.sqrt(
        smallest
    )
    assert (noise_from_x0(x_t, t, x_0, SCHEDULE) - noise).abs().max() <= 10 * eps / math.sqrt(
        smallest
    )
    assert forward_step(x_0, t, SCHEDULE, generator=generator).shape == shape


@given(images)
def test_time_zero_is_the_clean_image(image):
    shape, dtype, seed = image
    x_0 = torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(forward_diffusion(x_0, 0, SCHEDULE)[0], x_0)
    assert torch.equal(
        forward_diffusion(x_0, torch.zeros(len(x_0), dtype=torch.int64), SCHEDULE)[0], x_0
    )


def test_noise_that_is_drawn_is_standard_normal_and_follows_the_generator():
    draw = [
        forward_diffusion(
            torch.zeros(40_000), 25, SCHEDULE, generator=torch.Generator().manual_seed(seed)
        )[1]
        for seed in (3, 3, 4)
    ]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    exact = torch.distributions.Normal(0.0, 1.0).cdf(draw[0].sort().values)
    empirical = torch.arange(1, 40_001) / 40_000
    assert (empirical - exact).abs().max() <= math.sqrt(math.log(2e4) / 80_000) + 1 / 40_000


def test_gradients_flow_to_the_image(generator):
    x_0 = torch.randn(3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    t = torch.tensor([1, 20, 50])
    forward_diffusion(x_0, t, SCHEDULE, generator=generator)[0].sum().backward()
    assert (x_0.grad - SCHEDULE.alpha_bar[t].sqrt()[:, None]).abs().max() <= 1e-15


@pytest.mark.parametrize("t", [1, 20, 50, torch.tensor([1, 7, 50])])
@pytest.mark.parametrize("to", [0, 1, 33, 50, torch.tensor([0, 50, 12])])
def test_what_is_moved_to_another_time_keeps_its_image_and_its_noise(t, to, generator):
    x_0 = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    x_t, noise = forward_diffusion(x_0, t, SCHEDULE, generator=generator)
    there, _ = forward_diffusion(x_0, to, SCHEDULE, noise)
    assert (moved(x_t, t, x_0, to, SCHEDULE) - there).abs().max() <= 1e-13
