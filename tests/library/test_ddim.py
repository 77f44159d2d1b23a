"""DDIM against diffusers' schedulers, the paper's formula, ancestral sampling and cases with a
known outcome.
"""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from oracles import IdealNetwork, RecordingNetwork, estimate, in_float64

from minddpm import (
    Schedule,
    UNet,
    UNetConfig,
    cosine_schedule,
    linear_schedule,
    noise_from_x0,
    posterior_variance,
    sample,
    sample_steps,
    simple_loss,
)
from minddpm.ddim import ddim_sample, ddim_step, ddim_steps, invert
from minddpm.respacing import respaced

SCHEDULE = linear_schedule(12, 0.01, 0.4)
ETAS = [0.0, 0.5, 1.0]
DIVISORS, OTHERS = [1, 4, 50], [3, 7, 30, 48, 61]


def tell_the_gap(theirs, gap: int):
    """Make their next step this long: left alone they take T // steps, even where their times lie
    further apart.
    """
    theirs.num_inference_steps = Fraction(1000, gap)


def network(std: float) -> UNet:
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8,), time_dim=8, groups=4)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)  # the layers that start at zero too
    return model


def times_of(schedule: Schedule, steps: int) -> list[int]:
    return respaced(network, schedule, steps)[0].times.tolist()


# the shorter schedule


def test_times_are_the_trailing_ones_of_diffusers():
    theirs, schedule, one_too_many = (
        DDIMScheduler(timestep_spacing="trailing"),
        linear_schedule(),
        0,
    )
    for steps in range(1, 1001):
        theirs.set_timesteps(steps)
        expected = (theirs.timesteps + 1).tolist()  # they count from 0
        if len(expected) == steps:
            expected.append(0)
        # otherwise rounding in their arange has added the clean image, which their network would be
        # asked about
        one_too_many += len(theirs.timesteps) > steps
        assert times_of(schedule, steps) == expected[::-1]
    assert one_too_many > 0


@given(st.integers(1, 1000).flatmap(lambda T: st.tuples(st.just(T), st.integers(1, T))))
def test_times_rise_evenly_from_0_to_T(size):
    T, steps = size
    times = times_of(linear_schedule(T), steps)
    assert times[0] == 0 and times[-1] == T and len(times) == steps + 1
    assert all(t < t_next for t, t_next in pairwise(times))
    assert all(abs(t - Fraction(k * T, steps)) <= 0.5 + 1e-9 for k, t in enumerate(times))
    assert T % steps or times == list(range(0, T + 1, T // steps))


@pytest.mark.parametrize(
    "schedule", [SCHEDULE, linear_schedule(), cosine_schedule()], ids=["12", "linear", "cosine"]
)
def test_the_shorter_schedule_has_the_alpha_bar_of_its_times(schedule):
    for steps in (1, 2, 5, 7, 12, schedule.T // 3, schedule.T):
        model, shorter = respaced(network, schedule, steps)
        assert shorter.T == steps
        # a beta is kept to 1e-16, and so, relative to itself, is 1 - beta only where that is not
        # small
        assert (shorter.alpha_bar - schedule.alpha_bar[model.times]).abs().max() <= 1e-14
    assert model.times.tolist() == list(range(schedule.T + 1))  # with T steps nothing changes
    assert (shorter.beta - schedule.beta).abs().max() <= 1e-15


def test_the_network_is_told_the_times_of_the_long_schedule(generator):
    x_0, noise = torch.randn(2, 4, 3, generator=generator)
    model, shorter = respaced(lambda x_t, t: x_t * t[:, None] / 100, SCHEDULE, 5)
    k = torch.tensor([1, 3, 5, 2])
    expected = simple_loss(model.model, x_0, SCHEDULE, t=torch.tensor([2, 7, 12, 5]), noise=noise)
    assert abs(simple_loss(model, x_0, shorter, t=k, noise=noise) - expected) <= 1e-6


# downwards, against diffusers


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize(
    ("kind", "steps"),
    [*(("ideal", steps) for steps in DIVISORS + OTHERS), ("network", 10), ("network", 30)],
)
@pytest.mark.usefixtures("float64")
def test_trajectory_equals_diffusers(kind, steps, eta, clip):
    theirs = DDIMScheduler(clip_sample=clip, timestep_spacing="trailing")
    schedule = in_float64(theirs)
    theirs.set_timesteps(steps)
    # where pixels have variance 1 there is something to clip
    model = IdealNetwork(schedule, 1.0) if kind == "ideal" else network(0.2)
    assert_same_trajectory(theirs, schedule, model, steps, eta, clip)


@pytest.mark.usefixtures("float64")
def test_all_thousand_steps_equal_diffusers():
    theirs = DDIMScheduler(clip_sample=True, timestep_spacing="trailing")
    schedule = in_float64(theirs)
    theirs.set_timesteps(1000)
    assert_same_trajectory(theirs, schedule, IdealNetwork(schedule, 1.0), 1000, 0.5, True)


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("steps", [10, 30, 50])
def test_in_float32_the_trajectory_equals_diffusers_as_it_comes(steps, eta):
    theirs = DDIMScheduler(timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    # their alpha_bar is a product in float32, off by some 1e-6 of itself, and so are x_0 and all
    # that follows
    assert_same_trajectory(theirs, linear_schedule(), network(0.2), steps, eta, True, bound=1e-4)


@torch.inference_mode()
def assert_same_trajectory(theirs, schedule, model, steps, eta, clip, bound=2e-12):
    """All steps, with one generator each, agree at every time, and lead to what `ddim_sample`
    returns.
    """
    seeds, shape = [torch.Generator().manual_seed(7) for _ in range(3)], (2, 1, 8, 8)
    settings = {"steps": steps, "eta": eta, "clip": clip}
    x_t, x_T = torch.randn(shape, generator=seeds[0]), torch.randn(shape, generator=seeds[1])
    ours = list(ddim_steps(model, x_T, schedule, generator=seeds[1], **settings))
    times = [step.t for step in ours]
    assert times == times_of(schedule, steps)[::-1]
    gaps = {t - t_prev for t, t_prev in pairwise(times)}
    assert (gaps == {1000 // steps}) == (1000 % steps == 0)  # which is why the gap must be told
    assert not clip or steps == 1 or any((step.x_0.abs() == 1).any() for step in ours)
    # some ten roundings a step, of numbers up to the largest: 1000 * 10 * 2e-16
    bound *= max(
        1.0, max(step.x_0.abs().max().item() for step in ours)
    )  # unclipped, a random network leads far off
    for step, after in pairwise(ours):
        assert (step.x_t - x_t).abs().max() <= bound, step.t
        predicted = model(x_t, torch.full(shape[:1], step.t))
        if 1000 % steps:
            tell_the_gap(theirs, step.t - after.t)
        their_step = theirs.step(predicted, step.t - 1, x_t, eta=eta, generator=seeds[0])
        assert (step.x_0 - their_step.pred_original_sample).abs().max() <= bound, step.t
        x_t = their_step.prev_sample
    assert (ours[-1].x_t - x_t).abs().max() <= bound
    assert torch.equal(ours[-1].x_t, ours[-1].x_0) and torch.equal(ours[-1].x_t, ours[-2].x_0)
    assert torch.equal(
        ours[-1].x_t, ddim_sample(model, shape, schedule, generator=seeds[2], **settings)
    )


# one step


def test_a_step_draws_nothing_unless_it_is_told_to():
    x_t, x_0, predicted = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(5))
    expected = ddim_step(x_t, 3, x_0, predicted, linear_schedule(5), eta=0.0)
    before = torch.get_rng_state()
    assert torch.equal(ddim_step(x_t, 3, x_0, predicted, linear_schedule(5)), expected)
    assert torch.equal(torch.get_rng_state(), before)


@given(
    st.sampled_from([(1,), (3, 2), (2, 1, 4, 4)]),
    st.sampled_from([linear_schedule(), cosine_schedule(), SCHEDULE]),
    st.floats(0, 1),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_step_is_the_formula_of_the_paper(shape, schedule, eta, clip, seed):
    generator = torch.Generator().manual_seed(seed)
    x_t, predicted, noise = torch.randn(3, *shape, dtype=torch.float64, generator=generator)
    t = schedule.sample_t(1, generator=generator).item()
    now, then = (
        Decimal(schedule.alpha_bar[time].item()) for time in (t, t - 1)
    )  # with 28 digits nothing is lost
    x_0 = (x_t - float((1 - now).sqrt()) * predicted) / float(now.sqrt())
    x_0 = x_0.clamp(-1, 1) if clip else x_0
    sigma = Decimal(eta) * ((1 - then) / (1 - now)).sqrt() * (1 - now / then).sqrt()  # eq. 16
    kept = float(max(1 - then - sigma**2, Decimal(0)).sqrt())
    expected = float(then.sqrt()) * x_0 + kept * predicted + float(sigma) * noise  # eq. 12
    ours = ddim_step(x_t, t, x_0, predicted, schedule, noise, eta=eta)
    # kept is the root of a difference, whose rounding, some eps, it divides; x_0 is large where
    # alpha_bar is small
    bound = 1e-12 * max(1.0, x_0.abs().max().item()) + (1e-14 / max(kept, 1e-7) if t > 1 else 0)
    assert (ours - expected).abs().max() <= bound


@pytest.mark.parametrize("shape", [(1,), (3, 2), (2, 1, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("eta", ETAS)
def test_each_image_takes_a_step_of_its_own(shape, dtype, eta, clip, generator):
    x_t, predicted, noise = torch.randn(3, *shape, dtype=dtype, generator=generator)
    t = SCHEDULE.sample_t(len(x_t), generator=generator)
    x_0 = estimate(x_t, t, predicted, SCHEDULE, clip)
    together = ddim_step(x_t, t, x_0, predicted, SCHEDULE, noise, eta=eta)
    assert together.shape == shape and together.dtype == dtype
    for i, time in enumerate(t.tolist()):
        one = slice(i, i + 1)
        its_own = x_t[one], time, x_0[one], predicted[one]
        alone = ddim_step(*its_own, SCHEDULE, noise[one], eta=eta)
        assert torch.equal(together[one], alone)


def test_rounding_never_makes_the_kept_variance_negative():
    """At eta = 1 it is 0 at t = 1, and may come out as -1e-12, whose root must not become NaN."""
    for long in (
        linear_schedule(),
        cosine_schedule(1000),
        cosine_schedule(50),
        linear_schedule(3000, 1e-4, 0.02),
    ):
        for schedule in (
            long,
            *(respaced(network, long, steps)[1] for steps in (long.T, 30, 7, 1)),
        ):
            x, t = torch.ones(schedule.T, dtype=torch.float64), torch.arange(1, schedule.T + 1)
            assert ddim_step(x, t, x, x, schedule, x, eta=1.0).isfinite().all()


# ancestral sampling is the case eta = 1


@pytest.mark.parametrize(
    ("long", "steps"),
    [(linear_schedule(200, 1e-4, 0.06), steps) for steps in (200, 20, 7)]
    + [(cosine_schedule(40), 40)],
)
@pytest.mark.parametrize("kind", ["ideal", "network"])
@pytest.mark.usefixtures("float64")
def test_eta_1_is_ancestral_sampling_on_the_shorter_schedule(kind, long, steps):
    model = IdealNetwork(long, 0.25) if kind == "ideal" else network(0.1)
    shape, seeds = (2, 1, 4, 4), [torch.Generator().manual_seed(3) for _ in range(4)]
    told, schedule = (
        respaced(model, long, steps) if steps < long.T else (model, long)
    )  # with T steps it is plain
    ancestral = list(
        sample_steps(
            told, shape, schedule, variance=posterior_variance, clip=False, generator=seeds[0]
        )
    )
    x_T = torch.randn(shape, generator=seeds[1])
    ours = list(ddim_steps(model, x_T, long, steps=steps, eta=1.0, clip=False, generator=seeds[1]))
    bound = 1e-10 * max(1.0, max(step.x_t.abs().max().item() for step in ancestral))
    for step, expected, t in zip(ours, ancestral, times_of(long, steps)[::-1], strict=True):
        assert step.t == t
        assert (step.x_t - expected.x_t).abs().max() <= bound, step.t
    last = ddim_sample(model, shape, long, steps=steps, eta=1.0, clip=False, generator=seeds[2])
    assert torch.equal(last, ours[-1].x_t)
    again = sample(
        told, shape, schedule, variance=posterior_variance, clip=False, generator=seeds[3]
    )
    assert (last - again).abs().max() <= bound


# known outcomes


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.usefixtures("float64")
def test_a_model_that_knows_the_image_leads_to_it_in_any_number_of_steps(steps, eta, generator):
    x_0 = torch.rand(2, 1, 3, 3, generator=generator) * 2 - 1

    def model(x_t, t):
        return noise_from_x0(x_t, t, x_0, SCHEDULE)

    x_T = torch.randn(x_0.shape, generator=generator)
    settings = {"steps": steps, "eta": eta, "start": (x_T, SCHEDULE.T)}
    ours = ddim_sample(model, x_0.shape, SCHEDULE, **settings, generator=generator)
    assert (ours - x_0).abs().max() <= 1e-12


@pytest.mark.usefixtures("float64")
def test_few_steps_follow_the_flow_that_many_steps_show_down_and_up(generator):
    """Of normal pixels the probability flow is known: x_0 = x_T sqrt(power / (alpha_bar_T power + 1
    - alpha_bar_T)).
    """
    schedule, power = linear_schedule(), 0.25
    model, alpha_bar, x_T = (
        IdealNetwork(schedule, power),
        schedule.alpha_bar[-1],
        torch.randn(50, generator=generator),
    )
    exact = x_T * (power / (alpha_bar * power + 1 - alpha_bar)).sqrt()
    down, up = [], []
    for steps in (10, 100, 200, 1000):
        *_, last = ddim_steps(model, x_T, schedule, steps=steps, clip=False)
        down.append((last.x_t / exact - 1).abs().max().item())
        up.append((invert(model, exact, schedule, steps=steps) / x_T - 1).abs().max().item())
    for errors in (down, up):
        assert all(better < worse for worse, better in pairwise(errors))
        assert (
            abs(errors[1] / errors[3] / 10 - 1) <= 0.4
        )  # first order: a tenth of the step, of the error
    assert down[0] <= 0.3 and down[-1] <= 0.004 and up[-1] <= 0.0005


# upwards


@pytest.mark.parametrize("steps", DIVISORS + OTHERS)
@pytest.mark.usefixtures("float64")
def test_inversion_equals_diffusers(steps, generator):
    theirs = DDIMInverseScheduler(clip_sample=False, timestep_spacing="trailing")
    schedule = in_float64(theirs)
    theirs.set_timesteps(steps)
    x_0 = torch.rand(2, 1, 8, 8, generator=generator) * 2 - 1
    for model in (IdealNetwork(schedule, 0.25), network(0.1)):
        x_t = x_0
        for t, t_next in pairwise(times_of(schedule, steps)):
            if 1000 % steps:
                tell_the_gap(theirs, t_next - t)
            with torch.no_grad():
                predicted = model(x_t, torch.full((2,), t_next))
            x_t = theirs.step(predicted, t_next - 1, x_t).prev_sample
        ours = invert(model, x_0, schedule, steps=steps)
        assert (ours - x_t).abs().max() <= 1e-11 * max(1.0, x_t.abs().max().item())


@pytest.mark.parametrize("steps", [5, 7, 12])
@pytest.mark.parametrize("kind", ["ideal", "network"])
@pytest.mark.usefixtures("float64")
def test_inversion_with_repeats_is_the_inverse(kind, steps, generator):
    model = IdealNetwork(SCHEDULE, 0.5) if kind == "ideal" else network(0.05)
    x_0 = torch.rand(2, 1, 4, 4, generator=generator) * 2 - 1
    errors = []
    for repeats in (1, 3, 100):
        x_T = invert(model, x_0, SCHEDULE, steps=steps, repeats=repeats)
        *_, last = ddim_steps(model, x_T, SCHEDULE, steps=steps, clip=False)
        errors.append((last.x_t - x_0).abs().max().item())
    assert errors[2] <= 1e-13 and errors[2] < errors[1] < errors[0]


# the loop


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_sampling_is_these_draws_and_these_steps(eta):
    """x_T first, as torch.randn(image_shape, generator=generator), then one draw a step only if eta
    > 0.
    """
    model, shape = RecordingNetwork(), (3, 1, 2, 2)
    source = torch.Generator().manual_seed(11)
    ours = ddim_sample(model, shape, SCHEDULE, steps=5, eta=eta, clip=False, generator=source)
    generator, shorter = torch.Generator().manual_seed(11), respaced(model, SCHEDULE, 5)[1]
    x_t = torch.randn(shape, generator=generator)
    for t in (5, 4, 3, 2, 1):
        noise = torch.randn(shape, generator=generator) if eta else None
        x_0 = estimate(x_t, t, 0.5 * x_t, shorter, False)
        x_t = ddim_step(x_t, t, x_0, 0.5 * x_t, shorter, noise, eta=eta)
    assert torch.equal(ours, x_t)
    assert torch.equal(source.get_state(), generator.get_state())
    assert [call.t for call in model.calls] == [[t] * 3 for t in (12, 10, 7, 5, 2)]


@pytest.mark.parametrize(
    "use",
    [
        lambda model: ddim_sample(model, (2, 1, 2, 2), SCHEDULE, steps=5, eta=0.5),
        lambda model: ddim_sample(model, (2, 1, 2, 2), SCHEDULE, steps=1),
        lambda model: sample(
            respaced(model, SCHEDULE, 3)[0], (2, 1, 2, 2), respaced(model, SCHEDULE, 3)[1]
        ),
        lambda model: invert(model, torch.zeros(2, 1, 2, 2), SCHEDULE, steps=5),
    ],
)
@pytest.mark.parametrize("modes", [(True, True), (False, False), (True, False), (False, True)])
def test_the_model_is_asked_in_inference_and_eval_mode_and_left_as_it_was(use, modes):
    model = RecordingNetwork()
    model.training, model.part.training = modes
    images = use(model)
    assert all(inference and not training for *_, inference, training in model.calls)
    assert (model.training, model.part.training) == modes
    assert not images.is_inference() and not images.requires_grad
    (model.scale * images).sum().backward()  # images may take part in training
    assert model.scale.grad.isfinite()


def test_by_default_it_takes_50_steps_draws_nothing_anew_and_clips(generator):
    model, schedule, x = (
        RecordingNetwork(),
        linear_schedule(),
        torch.randn(3, 4, generator=generator),
    )
    settings = {"steps": 50, "eta": 0.0, "clip": True}
    for more, same in ((settings, True), (settings | {"clip": False}, False)):
        (*_, default), (*_, other) = (
            ddim_steps(model, x, schedule),
            ddim_steps(model, x, schedule, **more),
        )
        assert torch.equal(default.x_t, other.x_t) == same
        seeds = [torch.Generator().manual_seed(1) for _ in range(2)]
        default = ddim_sample(model, (3, 4), schedule, generator=seeds[0])
        assert (
            torch.equal(default, ddim_sample(model, (3, 4), schedule, generator=seeds[1], **more))
            == same
        )
    assert torch.equal(invert(model, x, schedule), invert(model, x, schedule, steps=50, repeats=1))


@pytest.mark.parametrize("repeats", [1, 3])
def test_inversion_asks_about_the_ends_of_its_steps_and_leaves_the_image(repeats):
    model, x_0 = RecordingNetwork(), torch.rand(2, 3)
    before = x_0.clone()
    invert(model, x_0, SCHEDULE, steps=5, repeats=repeats)
    assert [call.t for call in model.calls] == [
        [t] * 2 for t in (2, 5, 7, 10, 12) for _ in range(repeats)
    ]
    assert torch.equal(x_0, before)


def test_no_gradient_is_carried_past_the_model():
    x = torch.randn(2, 3, requires_grad=True)
    model = IdealNetwork(SCHEDULE, 0.25)
    assert not any(step.x_t.requires_grad for step in ddim_steps(model, x, SCHEDULE, steps=4))
    assert not invert(model, x, SCHEDULE, steps=4).requires_grad


def test_progress_shows_a_bar_only_when_asked(capsys, generator):
    ddim_sample(RecordingNetwork(), (1, 2), SCHEDULE, steps=4, generator=generator)
    assert capsys.readouterr().err == ""
    ddim_sample(RecordingNetwork(), (1, 2), SCHEDULE, steps=4, generator=generator, progress=True)
    assert "4/4" in capsys.readouterr().err


@pytest.mark.parametrize(("T", "calls"), [(1, 1), (10, 10), (49, 49), (50, 50), (120, 50)])
def test_by_default_fifty_steps_or_all_of_a_shorter_schedule(T, calls):
    schedule, x = linear_schedule(T), torch.randn(1, 2)
    for draw in (
        lambda model: ddim_sample(model, (1, 2), schedule),
        lambda model: list(ddim_steps(model, x, schedule)),
        lambda model: invert(model, x, schedule),
        lambda model: ddim_sample(model, (1, 2), linear_schedule(500), start=(x, T)),
    ):
        model = RecordingNetwork()
        draw(model)
        assert len(model.calls) == calls
    assert respaced(RecordingNetwork(), schedule)[1].T == calls
