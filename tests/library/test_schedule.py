"""The schedule against diffusers and plain products; the draws of t against a chi-square bound."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from minddpm import Schedule, cosine_schedule, linear_schedule
from minddpm.schedule import per_image, time_index

FLOAT32 = torch.finfo(
    torch.float32
).eps  # diffusers keeps its schedule in float32: each of its roundings is eps/2


@pytest.mark.parametrize("T", [1, 2, 10, 1000])
def test_linear_schedule_equals_diffusers(T):
    theirs, ours = DDPMScheduler(num_train_timesteps=T), linear_schedule(T)
    # their linspace rounds the step and the product of step and index: a few eps of the largest
    # beta
    assert (ours.beta[1:] - theirs.betas).abs().max() <= 3 * FLOAT32 * 0.02
    # a running product of t factors, each rounded, multiplied with rounding: t eps in relative
    # error
    error = (ours.alpha_bar[1:] / theirs.alphas_cumprod - 1).abs()
    assert (error / torch.arange(1, T + 1)).max() <= FLOAT32


@pytest.mark.parametrize("T", [1, 2, 10, 1000])
def test_cosine_schedule_equals_diffusers(T):
    theirs, ours = (
        DDPMScheduler(num_train_timesteps=T, beta_schedule="squaredcos_cap_v2"),
        cosine_schedule(T),
    )
    # they compute beta in float64 and round once
    assert (ours.beta[1:] / theirs.betas - 1).abs().max() <= FLOAT32
    # near t = T their 1 - beta is small and its rounding error, relative, is not; alpha_bar is then
    # tiny itself
    assert (ours.alpha_bar[1:] - theirs.alphas_cumprod).abs().max() <= T * FLOAT32


@pytest.mark.parametrize(("T", "s"), [(1000, 0.008), (50, 0.0), (200, 0.1)])
def test_cosine_alpha_bar_is_the_squared_cosine_where_beta_is_not_capped(T, s):
    schedule = cosine_schedule(T, s)
    for t in range(T):
        angles = [(time / T + s) / (1 + s) * math.pi / 2 for time in (t, 0)]
        assert (
            abs(schedule.alpha_bar[t] - (math.cos(angles[0]) / math.cos(angles[1])) ** 2) <= 1e-12
        )
    assert schedule.beta[T] == 0.999 == schedule.beta.max()


@given(st.lists(st.floats(1e-6, 0.999), min_size=1, max_size=40))
def test_arrays_are_indexed_by_t(betas):
    schedule = Schedule.from_betas(betas)
    assert schedule.T == len(betas) == len(schedule.beta) - 1
    assert schedule.beta.dtype == schedule.alpha_bar.dtype == torch.float64
    assert schedule.beta[0] == 0
    assert schedule.alpha[0] == 1
    assert schedule.alpha_bar[0] == 1
    product = 1.0
    for t, beta in enumerate(betas, start=1):
        product *= 1 - beta
        assert schedule.beta[t] == beta
        assert schedule.alpha[t] == 1 - beta
        assert abs(schedule.alpha_bar[t] / product - 1) <= 1e-12
        assert abs(schedule.snr[t] * (1 - product) / product - 1) <= 1e-9
    assert schedule.snr[0] == math.inf


@pytest.mark.parametrize(
    "convert", [list, tuple, np.array, torch.tensor, lambda b: torch.tensor(b, dtype=torch.float64)]
)
def test_betas_may_be_a_list_an_array_or_a_tensor(convert):
    betas = [0.1, 0.25, 0.5]
    given_as, as_list = Schedule.from_betas(convert(betas)), Schedule.from_betas(betas)
    assert (given_as.beta - as_list.beta).abs().max() <= FLOAT32


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        linear_schedule(3).beta = torch.zeros(4, dtype=torch.float64)


def test_by_default_there_are_a_thousand_steps():
    assert linear_schedule().T == cosine_schedule().T == 1000


def test_a_schedule_equals_itself_alone_and_may_be_a_key():
    schedule, other = linear_schedule(3), linear_schedule(3)
    assert schedule != other
    assert {schedule: 1, other: 2}[schedule] == 1


@pytest.mark.parametrize("T", [1, 2, 7])
def test_sampled_times_and_reverse_steps_visit_the_same_times(T, generator):
    schedule = linear_schedule(T)
    assert list(schedule.steps()) == list(reversed(range(1, T + 1)))
    drawn = schedule.sample_t(
        2000, generator=generator
    )  # misses a given time with probability (6/7)^2000 < 1e-133
    assert drawn.dtype == torch.int64
    assert drawn.shape == (2000,)
    assert set(drawn.tolist()) == set(schedule.steps())


def test_sampled_times_are_uniform(generator):
    T, draws = 100, 100_000
    counts = torch.bincount(
        linear_schedule(T).sample_t(draws, generator=generator), minlength=T + 1
    )[1:]
    chi_square = ((counts - draws / T) ** 2 / (draws / T)).sum().item()
    # mean T - 1 and variance 2 (T - 1) if uniform; far above means uneven, far below means not
    # drawn independently
    assert abs(chi_square - (T - 1)) <= 4 * math.sqrt(2 * (T - 1))


def test_the_generator_decides_the_draw():
    schedule = linear_schedule()
    first, again, other = (
        schedule.sample_t(50, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "t", [3, np.int64(3), np.uint8(3), torch.tensor(3), torch.tensor([3, 1, 10])]
)
def test_time_index_takes_ints_and_int64_tensors(t):
    times = time_index(t, linear_schedule(10))
    assert times.dtype == torch.int64
    assert times.tolist() == (t if isinstance(t, int) else t.tolist())


@given(
    batch=st.integers(1, 4),
    dims=st.lists(st.integers(1, 3), max_size=4),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_per_image_multiplies_each_image_by_its_own_coefficient(batch, dims, dtype):
    coefficients = torch.arange(1, batch + 1, dtype=torch.float64) / 3
    images = torch.ones(batch, *dims, dtype=dtype)
    shaped = per_image(coefficients, images)
    assert shaped.dtype == dtype
    assert shaped.shape == (batch,) + (1,) * len(dims)
    for image, coefficient in zip(shaped * images, coefficients):
        assert (image == coefficient.to(dtype)).all()
    assert per_image(coefficients[0], images).shape == ()
