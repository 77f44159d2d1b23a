"""The reverse process against diffusers' scheduler, the guide's update rule and a case with a known
outcome.
"""

import math
from functools import partial

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from oracles import IdealNetwork, RecordingNetwork, estimate, in_float64

from minddpm import (
    UNet,
    UNetConfig,
    beta_variance,
    guided,
    linear_schedule,
    posterior_variance,
    respaced,
    reverse_step,
    sample,
    sample_steps,
)
from minddpm.network import predict
from minddpm.progress import final_images
from minddpm.sampler import reverse_process
from minddpm.start import starting_point

SCHEDULE = linear_schedule(12, 0.01, 0.4)
VARIANCES = {"fixed_large": beta_variance, "fixed_small": posterior_variance}


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("variance", VARIANCES)
def test_step_equals_diffusers(variance, clip, generator):
    theirs = DDPMScheduler(variance_type=variance, clip_sample=clip)
    schedule = in_float64(theirs)
    x_t, predicted = torch.randn(2, 3, 1, 4, 4, dtype=torch.float64, generator=generator)
    for t in [1, 2, 1000, *schedule.sample_t(10, generator=generator).tolist()]:
        seeds = [torch.Generator().manual_seed(t) for _ in range(2)]
        x_0 = estimate(x_t, t, predicted, schedule, clip)
        ours = reverse_step(x_t, t, x_0, schedule, variance=VARIANCES[variance], generator=seeds[0])
        expected = theirs.step(predicted, t - 1, x_t, generator=seeds[1]).prev_sample
        # they find beta_t as 1 - alpha_bar_t / alpha_bar_{t-1}: eps / beta_1 = 2e-12 is lost there
        assert (ours - expected).abs().max() <= 1e-11, t


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.usefixtures("float64")
def test_trajectory_of_an_ideal_model_equals_diffusers(variance, clip):
    assert_same_ideal_trajectory(100, variance, clip)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.usefixtures("float64")
def test_all_thousand_steps_of_an_ideal_model_equal_diffusers(variance, clip):
    assert_same_ideal_trajectory(1000, variance, clip)


def assert_same_ideal_trajectory(T, variance, clip):
    theirs = DDPMScheduler(T, variance_type=variance, clip_sample=clip)
    schedule = in_float64(theirs)
    model = IdealNetwork(schedule, power=0.25)
    assert_same_trajectory(theirs, schedule, model, VARIANCES[variance], clip, shape=(2, 1, 8, 8))


@pytest.mark.usefixtures("float64")
def test_trajectory_of_a_network_equals_diffusers():
    theirs = DDPMScheduler(variance_type="fixed_large", clip_sample=True)
    schedule = in_float64(theirs)
    torch.manual_seed(0)
    network = UNet(UNetConfig(channels=(8,), time_dim=8, groups=4)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # the layers that start at zero too
    assert_same_trajectory(theirs, schedule, network, beta_variance, True, shape=(1, 1, 8, 8))


@torch.inference_mode()
def assert_same_trajectory(theirs, schedule, model, variance, clip, shape):
    """All steps, with one generator each, agree at every t."""
    seeds = [torch.Generator().manual_seed(7) for _ in range(2)]
    x_t = torch.randn(shape, generator=seeds[1])
    steps = sample_steps(model, shape, schedule, variance=variance, clip=clip, generator=seeds[0])
    for t, step in zip(range(schedule.T, -1, -1), steps, strict=True):
        assert step.t == t
        # up to 1,000 steps of some ten roundings of numbers below 4: 1000 * 10 * 4 * eps
        assert (step.x_t - x_t).abs().max() <= 1e-11, t
        if t:
            predicted = model(x_t, torch.full(shape[:1], t))
            their_step = theirs.step(predicted, t - 1, x_t, generator=seeds[1])
            assert (step.x_0 - their_step.pred_original_sample).abs().max() <= 1e-11, t
            x_t = their_step.prev_sample


@pytest.mark.parametrize("variance", VARIANCES.values(), ids=VARIANCES)
def test_unclipped_step_is_the_update_rule_of_the_guide(variance, generator):
    for schedule in (SCHEDULE, linear_schedule()):
        x_t, predicted, z = torch.randn(3, 5, 1, 3, 3, dtype=torch.float64, generator=generator)
        for t in [1, 2, schedule.T, *schedule.sample_t(8, generator=generator).tolist()]:
            beta, alpha_bar = (
                schedule.beta[t].item(),
                math.prod((1 - schedule.beta[1 : t + 1]).tolist()),
            )
            sigma = 0 if t == 1 else math.sqrt(variance(t, schedule).item())
            rule = (x_t - beta / math.sqrt(1 - alpha_bar) * predicted) / math.sqrt(
                1 - beta
            ) + sigma * z
            x_0 = estimate(x_t, t, predicted, schedule, False)
            ours = reverse_step(x_t, t, x_0, schedule, z, variance=variance)
            assert (ours - rule).abs().max() <= 1e-11


@pytest.mark.parametrize("variance", VARIANCES.values(), ids=VARIANCES)
def test_no_noise_is_added_at_the_last_step(variance, generator):
    x_t, x_0, one, other = torch.randn(4, 4, 1, 2, 2, generator=generator)
    step = partial(reverse_step, variance=variance)
    last = step(x_t, 1, x_0, SCHEDULE, one)
    assert torch.equal(last, step(x_t, 1, x_0, SCHEDULE, other))
    assert torch.equal(last, step(x_t, 1, x_0, SCHEDULE))
    assert torch.equal(last, x_0)

    t = torch.tensor([1, 5, 1, 2])
    difference = step(x_t, t, x_0, SCHEDULE, one) - step(x_t, t, x_0, SCHEDULE, other)
    assert (difference[[0, 2]] == 0).all()
    sigma = variance(t, SCHEDULE).sqrt()[[1, 3], None, None, None]
    assert (difference[[1, 3]] - sigma * (one - other)[[1, 3]]).abs().max() <= 1e-6


@pytest.mark.parametrize("clip", [False, True])
def test_the_loop_estimates_x_0_once_and_clips_it(clip, generator):
    x_T, taken = 3 * torch.randn(6, 1, 4, 4, generator=generator), []

    def step(x_t, t, x_0, predicted_noise):
        expected = estimate(x_t, t, 0.5 * x_t, SCHEDULE, clip)
        assert torch.equal(predicted_noise, 0.5 * x_t) and torch.equal(x_0, expected)
        taken.append((t, x_0))
        return x_t + t

    states = list(reverse_process(RecordingNetwork(), x_T, SCHEDULE, step, clip=clip))
    assert [t for t, _ in taken] == list(SCHEDULE.steps())
    assert all(state.x_0 is x_0 for state, (_, x_0) in zip(states, taken))
    assert clip == all(state.x_0.abs().max() <= 1 for state in states[:-1])


@given(
    st.sampled_from([(1,), (3,), (3, 2), (2, 1, 4, 4), (2, 3, 1, 1)]),
    st.sampled_from([torch.float32, torch.float64]),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_each_image_takes_a_step_of_its_own(shape, dtype, clip, seed):
    generator = torch.Generator().manual_seed(seed)
    x_t, predicted, noise = torch.randn(3, *shape, dtype=dtype, generator=generator)
    t = SCHEDULE.sample_t(len(x_t), generator=generator)
    x_0 = estimate(x_t, t, predicted, SCHEDULE, clip)
    together = reverse_step(x_t, t, x_0, SCHEDULE, noise)
    assert together.shape == shape
    assert together.dtype == dtype
    for i, time in enumerate(t.tolist()):
        one = slice(i, i + 1)
        assert torch.equal(
            together[one],
            reverse_step(x_t[one], time, x_0[one], SCHEDULE, noise[one]),
        )


@pytest.mark.parametrize("variance", VARIANCES.values(), ids=VARIANCES)
def test_an_ideal_model_brings_back_the_data(variance, generator):
    """Clean pixels N(0, 0.25): the exact noise predictor must give samples of that spread."""
    schedule, n, power = linear_schedule(200, 1e-4, 0.06), 20_000, 0.25
    # the chain is linear, so the variance of its outcome is known exactly: x <- a x + sigma z
    expected = 1.0
    for t in schedule.steps():
        beta, alpha_bar = (
            schedule.beta[t].item(),
            math.prod((1 - schedule.beta[1 : t + 1]).tolist()),
        )
        a = (1 - beta / (alpha_bar * power + 1 - alpha_bar)) / math.sqrt(1 - beta)
        expected = a**2 * expected + (variance(t, schedule).item() if t > 1 else 0)
    # beta is more than the right variance of a step, beta tilde less
    assert 0 <= (expected / power - 1) * (1 if variance is beta_variance else -1) <= 0.1
    x_0 = sample(
        IdealNetwork(schedule, power),
        (n,),
        schedule,
        variance=variance,
        clip=False,
        generator=generator,
    )
    assert abs(x_0.mean()) <= 4 * math.sqrt(expected / n)
    assert abs(x_0.var() / expected - 1) <= 4 * math.sqrt(2 / (n - 1))


# the loop


def test_steps_count_down_from_T_to_0(generator):
    model = RecordingNetwork()
    steps = list(sample_steps(model, (2, 1, 4, 4), SCHEDULE, generator=generator))
    assert [step.t for step in steps] == list(range(SCHEDULE.T, -1, -1))
    assert len(steps) == SCHEDULE.T + 1
    assert [call.t for call in model.calls] == [[t, t] for t in SCHEDULE.steps()]
    for step, call in zip(steps, model.calls):
        assert torch.equal(step.x_t, call.x_t)
        assert step.x_0.abs().max() <= 1
    assert torch.equal(steps[-1].x_0, steps[-1].x_t)
    assert torch.equal(steps[-1].x_t, steps[-2].x_0)  # at t = 1 the posterior is the estimate


def test_sampling_is_these_draws_and_these_steps():
    """x_T first, as torch.randn(image_shape, generator=generator), then one draw a step."""
    model, shape = RecordingNetwork(), (3, 1, 2, 2)
    ours = sample(model, shape, SCHEDULE, clip=False, generator=torch.Generator().manual_seed(11))
    generator = torch.Generator().manual_seed(11)
    x_t = torch.randn(shape, generator=generator)
    assert torch.equal(model.calls[0].x_t, x_t)
    for t in range(SCHEDULE.T, 0, -1):
        noise = torch.randn(shape, generator=generator)
        x_t = reverse_step(x_t, t, estimate(x_t, t, 0.5 * x_t, SCHEDULE, False), SCHEDULE, noise)
    assert torch.equal(ours, x_t)


def test_the_seed_decides_the_sample():
    shape, seeds = (2, 1, 2, 2), (1, 1, 2)
    first, again, other = (
        sample(RecordingNetwork(), shape, SCHEDULE, generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    *_, last = sample_steps(
        RecordingNetwork(), shape, SCHEDULE, generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(first, last.x_t)


@pytest.mark.parametrize("modes", [(True, True), (False, False), (True, False), (False, True)])
def test_sampling_is_inference_in_eval_mode_and_leaves_the_model_as_it_was(modes, generator):
    model = RecordingNetwork()
    model.training, model.part.training = modes
    x_0 = sample(model, (2, 1, 2, 2), SCHEDULE, generator=generator)
    assert all(inference for *_, inference, _ in model.calls)
    assert not any(training for *_, training in model.calls)
    assert (model.training, model.part.training) == modes
    assert not torch.is_inference_mode_enabled()
    assert not x_0.is_inference()
    (model.scale * x_0).sum().backward()  # samples may take part in training
    assert model.scale.grad.isfinite()


def test_a_loop_left_early_leaves_the_model_as_it_was(generator):
    model = RecordingNetwork()
    for step in sample_steps(model, (1, 1, 2, 2), SCHEDULE, generator=generator):
        assert (
            not torch.is_inference_mode_enabled()
        )  # nor is the caller's mode changed between steps
        assert model.training
        if step.t == 5:
            break
    assert model.training


def test_the_reverse_process_takes_any_step(generator):
    """The path of another sampler: from a given x_T, one call of the model at each time."""
    model, x_T, taken = RecordingNetwork(), 3 * torch.randn(2, 3, generator=generator), []

    def step(x_t, t, x_0, predicted_noise):
        assert torch.equal(predicted_noise, 0.5 * x_t)
        taken.append(t)
        return x_t + t

    states = list(reverse_process(model, x_T, SCHEDULE, step, clip=True))
    assert taken == [call.t[0] for call in model.calls] == list(SCHEDULE.steps())
    x_t = x_T
    for t, state in zip(range(SCHEDULE.T, -1, -1), states, strict=True):
        assert state.t == t and torch.equal(state.x_t, x_t)
        assert t == 0 or state.x_0.abs().max() <= 1
        x_t = x_t + t
    assert final_images(iter(states), SCHEDULE.T, progress=False) is states[-1].x_t


def start_of(model, shape, device=None, start=None):
    source = torch.Generator().manual_seed(6)
    return starting_point(model, shape, SCHEDULE, start, source, device)


def test_the_first_noise_is_drawn_where_the_weights_lie_and_in_their_dtype():
    expected = torch.randn(2, 3, generator=torch.Generator().manual_seed(6))
    x_T, schedule = start_of(RecordingNetwork(), [2, 3])
    assert torch.equal(x_T, expected) and schedule is SCHEDULE
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert start_of(RecordingNetwork().to(dtype), (2, 3))[0].dtype == dtype
    with torch.device("meta"):
        elsewhere = torch.nn.Linear(1, 1)
    assert start_of(elsewhere, (2, 3))[0].device.type == "meta"
    for owner, device in (
        (elsewhere, "cpu"),
        (torch.nn.Identity(), None),
        (lambda x_t, t: x_t, None),
    ):
        assert start_of(owner, (2, 3), device)[0].device.type == "cpu"


@pytest.mark.usefixtures("float64")
def test_the_default_dtype_changes_nothing_for_a_model_without_weights():
    assert start_of(lambda x_t, t: x_t, (2, 3))[0].dtype == torch.float32


@pytest.mark.parametrize("t", [1, 5, SCHEDULE.T])
def test_a_sampler_starts_at_a_given_time(t, generator):
    """From the state of a longer run it goes on as that run did."""
    seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
    model, shape = RecordingNetwork(), (2, 1, 2, 2)
    whole = list(sample_steps(model, shape, SCHEDULE, generator=seeds[0]))
    for _ in range(SCHEDULE.T - t + 1):  # x_T, and a draw for each step
        torch.randn(shape, generator=seeds[1])
    state = next(state for state in whole if state.t == t)
    start = (state.x_t, t)
    rest = list(sample_steps(model, shape, SCHEDULE, start=start, generator=seeds[1]))
    assert [state.t for state in rest] == list(range(t, -1, -1))
    for ours, theirs in zip(rest, whole[-t - 1 :], strict=True):
        assert torch.equal(ours.x_t, theirs.x_t)
    model.calls.clear()
    sample(model, shape, SCHEDULE, start=start)
    assert [call.t[0] for call in model.calls] == list(range(t, 0, -1))


def test_clipped_samples_lie_where_images_do_and_unclipped_ones_need_not(generator):
    model = RecordingNetwork()
    clipped, free = (
        sample(model, (50, 4), SCHEDULE, clip=clip, generator=generator) for clip in (True, False)
    )
    assert clipped.abs().max() <= 1
    assert free.abs().max() > 1


class InParts(RecordingNetwork):
    """A network that three images at once suit best, and that labels change."""

    at_once = 3

    def forward(self, x_t, t, label=None):
        answer = super().forward(x_t, t, label)
        return answer if label is None else answer + 0.1 * label[:, None]


class AtOnce(InParts):
    at_once = 100


@pytest.mark.parametrize("count", [1, 3, 4, 7, 9])
@pytest.mark.parametrize("labels", [None, 2, "each"])
@pytest.mark.parametrize("few", [False, True])
def test_a_network_gets_as_many_images_at_once_as_suit_it_and_the_draws_stay(count, labels, few):
    labels = torch.arange(count) % 3 if labels == "each" else labels
    drawn = []
    for network in (InParts(classes=3), AtOnce(classes=3)):
        model = network if labels is None else guided(network, labels, 2.0)
        model, schedule = respaced(model, SCHEDULE, 4) if few else (model, SCHEDULE)
        generator = torch.Generator().manual_seed(5)
        drawn.append(sample(model, (count, 2), schedule, generator=generator))
        sizes = [len(call.t) for call in network.calls]
        assert max(sizes) <= network.at_once and max(sizes) - min(sizes) <= 1
        assert sum(sizes) == count * schedule.T * (1 if labels is None else 2)
    assert torch.equal(*drawn)


def test_where_gradients_are_taken_a_batch_stays_whole():
    model, x_t, t = InParts(), torch.randn(7, 2), torch.arange(1, 8)
    predict(model, x_t, t)
    with torch.no_grad():
        predict(model, x_t, t)
    assert [call.t for call in model.calls] == [[1, 2, 3, 4, 5, 6, 7], [1, 2, 3], [4, 5], [6, 7]]


def test_in_parts_a_large_batch_of_digits_is_predicted_as_at_once(generator):
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8, 8), time_dim=8, groups=4)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x_t = torch.randn(UNet.at_once * 2 + 1, 1, 8, 8, generator=generator)
    t = SCHEDULE.sample_t(len(x_t), generator=generator)
    with torch.no_grad():
        assert (predict(model, x_t, t) - model(x_t, t)).abs().max() <= 1e-6


def test_progress_shows_a_bar_only_when_asked(capsys, generator):
    sample(RecordingNetwork(), (1, 2), SCHEDULE, generator=generator)
    assert capsys.readouterr().err == ""
    sample(RecordingNetwork(), (1, 2), SCHEDULE, generator=generator, progress=True)
    assert "12/12" in capsys.readouterr().err
