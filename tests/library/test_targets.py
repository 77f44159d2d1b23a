"""Targets against closed forms, autograd, diffusers and flow_matching: what a network may predict
instead of the noise, where only noise is left, and the straight path of flow matching.

The tests beside flow_matching are skipped where it is not installed. No extra brings it, because
its licence (CC BY-NC) excludes commercial use. It imports torchdiffeq, and to leave the environment
as it is:

    pip install --no-deps --target runs/flow_matching flow_matching torchdiffeq
    PYTHONPATH=runs/flow_matching pytest tests/library/test_targets.py -k flow_matching
"""

import math
from functools import partial

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
)
from diffusers.schedulers import (
    scheduling_flow_match_euler_discrete,
    scheduling_flow_match_heun_discrete,
)
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from hypothesis import given
from hypothesis import strategies as st
from oracles import IdealNetwork, InFloat64, diffusers_steps, in_float64, random_network

from minddpm import (
    Schedule,
    converted,
    cosine_schedule,
    ddim_sample,
    ddim_step,
    ddim_steps,
    flow_from_noise,
    flow_from_x0,
    flow_sample,
    forward_diffusion,
    guided,
    linear_schedule,
    min_snr_weight,
    noise_from_flow,
    noise_from_score,
    noise_from_velocity,
    noise_from_x0,
    posterior_variance,
    q_posterior,
    respaced,
    reverse_step,
    sample,
    score_from_noise,
    simple_loss,
    straight_heun,
    straight_time,
    to_straight_path,
    train,
    velocity_from_noise,
    velocity_from_x0,
    velocity_weight,
    weighted_loss,
    x0_from_flow,
    x0_from_noise,
    x0_from_velocity,
    zero_terminal_snr,
)
from minddpm.network import call_model
from minddpm.sampler import reverse_process

SHORT = linear_schedule(12, 0.01, 0.4)
SCHEDULES = [SHORT, linear_schedule(), cosine_schedule()]
NOISE_ALONE = zero_terminal_snr(SHORT)
SHAPE = (2, 1, 8, 8)
FROM_NOISE = {"x_0": x0_from_noise, "velocity": velocity_from_noise, "flow": flow_from_noise}
FROM_X0 = {"noise": noise_from_x0, "velocity": velocity_from_x0, "flow": flow_from_x0}
TO_NOISE = {"x_0": noise_from_x0, "velocity": noise_from_velocity, "flow": noise_from_flow}
TO_X0 = {"noise": x0_from_noise, "velocity": x0_from_velocity, "flow": x0_from_flow}
PAIRS = [
    *(("noise", to, convert) for to, convert in FROM_NOISE.items()),
    *(("x_0", to, convert) for to, convert in FROM_X0.items()),
    *((of, "noise", convert) for of, convert in TO_NOISE.items() if of != "x_0"),
    *((of, "x_0", convert) for of, convert in TO_X0.items() if of != "noise"),
]


def roots(t, schedule, x):
    """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t) in float64, by a way of their own."""
    alpha_bar = schedule.alpha_bar.gather(0, torch.as_tensor(t).reshape(-1))
    alpha_bar = alpha_bar.reshape(-1, *[1] * (x.ndim - 1))
    return alpha_bar**0.5, (1 - alpha_bar) ** 0.5


def coordinates(x_0, noise, t, schedule):
    """The same point in all coordinates, by their definitions."""
    signal, spread = roots(t, schedule, x_0)
    velocity = signal * noise - spread * x_0
    return {"x_0": x_0, "noise": noise, "velocity": velocity, "flow": noise - x_0}


@st.composite
def points(draw, schedules=SCHEDULES):
    """x_t, t for all or for each, a schedule, and what lies behind x_t in all coordinates."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    shape = draw(st.sampled_from([(3,), (3, 2), (3, 1, 4, 4)]))
    schedule = draw(st.sampled_from(schedules))
    x_0, noise = torch.randn(2, *shape, dtype=torch.float64, generator=generator)
    each = torch.randint(1, schedule.T + 1, (3,), generator=generator)
    t = draw(st.sampled_from([1, schedule.T, int(each[0]), each]))
    signal, spread = roots(t, schedule, x_0)
    return signal * x_0 + spread * noise, t, schedule, coordinates(x_0, noise, t, schedule)


# one prediction in several coordinates


@pytest.mark.parametrize(("of", "to", "convert"), PAIRS)
@given(points())
def test_each_coordinate_follows_from_each_other(of, to, convert, point):
    x_t, t, schedule, truth = point
    found = convert(x_t, t, truth[of], schedule)
    smallest = min(root.min().item() for root in roots(t, schedule, x_t))
    assert found.dtype == torch.float64 and found.shape == x_t.shape
    assert (found - truth[to]).abs().max() <= 1e-14 / smallest


@pytest.mark.parametrize(("of", "to", "convert"), PAIRS)
@given(points([SHORT]))
def test_in_float32_to_five_digits(of, to, convert, point):
    x_t, t, schedule, truth = point
    found = convert(x_t.float(), t, truth[of].float(), schedule)
    assert found.dtype == torch.float32
    assert (found - truth[to]).abs().max() <= 1e-5


@pytest.mark.parametrize(("of", "to", "convert"), PAIRS)
@given(points())
def test_on_random_input_of_float32_too(of, to, convert, point):
    """Whatever a network predicts, the coordinates mean the same."""
    x_t, t, schedule, truth = point
    given = truth[of].flip(0).float()  # of another image
    found = convert(x_t.float(), t, given, schedule)
    exact = convert(x_t.float().double(), t, given.double(), schedule)
    assert (found - exact).abs().max() <= 1e-5 * max(1.0, exact.abs().max().item())


@given(points())
def test_there_and_back(point):
    x_t, t, schedule, truth = point
    smallest = min(root.min().item() for root in roots(t, schedule, x_t))
    for of, convert in FROM_NOISE.items():
        back = TO_NOISE[of](x_t, t, convert(x_t, t, truth["noise"], schedule), schedule)
        assert (back - truth["noise"]).abs().max() <= 1e-14 / smallest
    for of, convert in FROM_X0.items():
        back = TO_X0[of](x_t, t, convert(x_t, t, truth["x_0"], schedule), schedule)
        assert (back - truth["x_0"]).abs().max() <= 1e-14 / smallest


@given(points())
def test_the_score_is_the_fifth(point):
    x_t, t, schedule, truth = point
    noise = noise_from_velocity(x_t, t, truth["velocity"], schedule)
    score = score_from_noise(noise, t, schedule)
    back = velocity_from_noise(x_t, t, noise_from_score(score, t, schedule), schedule)
    signal, spread = roots(t, schedule, x_t)
    assert (score * spread + truth["noise"]).abs().max() <= 1e-13
    assert ((back - truth["velocity"]) * signal).abs().max() <= 1e-13


def with_slope(function, where):
    """The values of a function of numbers, element by element, and its derivative by autograd."""
    where = where.clone().requires_grad_()
    values = function(where)
    return values.detach(), torch.autograd.grad(values.sum(), where)[0]


@given(points())
def test_the_velocity_is_the_slope_along_the_circle(point):
    """x_t = cos(angle) x_0 + sin(angle) noise, and v is its derivative, here by autograd."""
    x_t, t, schedule, truth = point
    signal, spread = roots(t, schedule, x_t)
    angle = torch.atan2(spread, signal).expand(x_t.shape)

    def at(angle):
        return angle.cos() * truth["x_0"] + angle.sin() * truth["noise"]

    there, slope = with_slope(at, angle)
    assert (there - x_t).abs().max() <= 1e-14
    assert (slope - velocity_from_x0(x_t, t, truth["x_0"], schedule)).abs().max() <= 1e-11


@given(points())
def test_what_flow_matching_predicts_is_the_slope_along_the_straight_path(point):
    x_t, t, schedule, truth = point
    s = straight_time(torch.as_tensor(t), schedule).reshape(-1, *[1] * (x_t.ndim - 1))

    def at(s):
        return (1 - s) * truth["x_0"] + s * truth["noise"]

    there, slope = with_slope(at, s.expand(x_t.shape))
    assert (there - to_straight_path(x_t, t, schedule)).abs().max() <= 1e-14
    assert (slope - flow_from_x0(x_t, t, truth["x_0"], schedule)).abs().max() <= 1e-11


# the best predictions where pixels are normal


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("power", [0.25, 1.0, 4.0])
@pytest.mark.usefixtures("float64")
@torch.no_grad()
def test_the_best_prediction_is_one_in_all_coordinates(power, schedule, generator):
    """E[y | x_t] = Cov(y, x_t) / Var(x_t) x_t for each y that is linear in x_0 and the noise."""
    x_t = torch.randn(schedule.T, generator=generator)
    t = torch.arange(1, schedule.T + 1)
    a, b = roots(t, schedule, x_t)
    variance = a**2 * power + b**2
    slopes = {
        "x_0": a * power / variance,
        "velocity": a * b * (1 - power) / variance,
        "flow": (b - a * power) / variance,
    }
    noise = IdealNetwork(schedule, power)(x_t, t)
    for to, convert in FROM_NOISE.items():
        error = convert(x_t, t, noise, schedule) - slopes[to] * x_t
        assert (error * a).abs().max() <= 1e-13, to
        back = TO_NOISE[to](x_t, t, slopes[to] * x_t, schedule)
        assert ((back - noise) * b).abs().max() <= 1e-13, to


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.usefixtures("float64")
def test_the_flow_of_normal_pixels_has_the_slope_that_is_predicted(schedule):
    """Their flow keeps each at its quantile: x_s = (1 - s) m + sqrt((1 - s)^2 p + s^2) z."""
    mean, power, z = 0.5, 0.25, 1.3
    t = torch.arange(1, schedule.T + 1)
    s = straight_time(t, schedule)

    def at(s):
        return (1 - s) * mean + ((1 - s) ** 2 * power + s**2) ** 0.5 * z

    x_s, slope = with_slope(at, s)
    a, b = roots(t, schedule, s)
    x_t = x_s * (a + b)
    noise = b / (a**2 * power + b**2) * (x_t - a * mean)
    assert (to_straight_path(x_t, t, schedule) - x_s).abs().max() <= 1e-14
    assert ((flow_from_noise(x_t, t, noise, schedule) - slope) * a).abs().max() <= 1e-13


# the straight path


@pytest.mark.parametrize("schedule", [*SCHEDULES, NOISE_ALONE])
def test_straight_time_runs_from_the_image_to_the_noise(schedule):
    s = straight_time(torch.arange(schedule.T + 1), schedule)
    assert s.dtype == torch.float64
    assert s[0] == 0
    assert (s.diff() > 0).all()
    assert (s[-1] == 1) == (schedule.alpha_bar[-1] == 0)
    ratio = ((1 - s[1:]) / s[1:]) ** 2  # of signal and noise, as in x_t
    assert (ratio - schedule.snr[1:]).abs().max() <= 1e-9 * schedule.snr[1]
    for t in (0, 1, schedule.T):
        assert straight_time(t, schedule) == s[t]


def test_the_clean_image_lies_on_the_straight_path_as_it_is(generator):
    x_0 = torch.randn(3, 1, 4, 4, generator=generator)
    assert torch.equal(to_straight_path(x_0, 0, SHORT), x_0)
    x_t, noise = forward_diffusion(x_0, 12, NOISE_ALONE, generator=generator)
    assert torch.equal(to_straight_path(x_t, 12, NOISE_ALONE), noise)


def followed(model, x_T, schedule, times, *, second_order, clip):
    """Euler's or Heun's method on the straight path, written out, from T to 0."""

    def slope(x_s, t):
        a, b = roots(t, schedule, x_s)
        x_t = x_s * (a + b)
        x_0 = (x_t - b * call_model(model, x_t, t)) / a
        x_0 = x_0.clamp(-1, 1) if clip else x_0
        return (x_t - a * x_0) / b - x_0

    def at(t):
        a, b = roots(t, schedule, x_T)
        return b / (a + b)

    a, b = roots(times[0], schedule, x_T)
    x_s = x_T / (a + b)
    yield x_T
    for t, t_next in zip(times, times[1:]):
        step, here = at(t_next) - at(t), slope(x_s, t)
        x_next = x_s + step * here
        if second_order and t_next:
            x_next = x_s + step * (here + slope(x_next, t_next)) / 2
        x_s = x_next
        a, b = roots(t_next, schedule, x_s)
        yield x_s * (a + b)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 5, 12])
@pytest.mark.usefixtures("float64")
def test_on_the_straight_path_euler_is_ddim_and_heun_is_straight_heun(steps, schedule, clip):
    model = random_network(0.1)
    x_T = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    told, shorter = respaced(model, schedule, steps)
    times = told.times.tolist()[::-1]
    walk = partial(followed, model, x_T, schedule, times, clip=clip)
    heun = list(reverse_process(told, x_T, shorter, straight_heun(told, shorter, clip), clip=clip))
    for ours, exact in zip(heun, walk(second_order=True), strict=True):
        bound = 1e-10 * max(1.0, exact.abs().max().item())
        assert (ours.x_t - exact).abs().max() <= bound, ours.t
    if clip:  # DDIM keeps the predicted noise there
        return
    ddim = list(ddim_steps(model, x_T, schedule, steps=steps, clip=False))
    for ours, exact in zip(ddim, walk(second_order=False), strict=True):
        bound = 1e-10 * max(1.0, exact.abs().max().item())
        assert (ours.x_t - exact).abs().max() <= bound, ours.t


FLOW_SCHEDULERS = {
    "Euler": (FlowMatchEulerDiscreteScheduler, scheduling_flow_match_euler_discrete),
    "Heun": (FlowMatchHeunDiscreteScheduler, scheduling_flow_match_heun_discrete),
}


@pytest.mark.parametrize("name", FLOW_SCHEDULERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.usefixtures("float64")
@torch.inference_mode()
def test_converted_weights_follow_the_schedulers_of_diffusers(name, schedule, monkeypatch):
    """A network that predicts the noise, told to diffusers as one that was trained straight."""
    kind, module = FLOW_SCHEDULERS[name]
    monkeypatch.setattr(module, "torch", InFloat64())
    model, steps = random_network(0.1), 6
    x_T = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    times = respaced(model, schedule, steps)[0].times.tolist()[::-1]
    visited = times[:-1]
    if name == "Heun":
        visited = [times[0], *(t for t in times[1:-1] for _ in range(2))]
    theirs = kind()
    theirs.timesteps = torch.tensor(visited, dtype=torch.float64)
    theirs.sigmas = straight_time(torch.tensor([*visited, 0]), schedule)
    theirs._step_index, theirs.dt = 0, None
    x_s = to_straight_path(x_T, schedule.T, schedule)
    for t in visited:
        a, b = roots(t, schedule, x_s)
        x_t = x_s * (a + b)
        flow = flow_from_noise(x_t, t, call_model(model, x_t, t), schedule)
        x_s = theirs.step(flow, float(t), x_s).prev_sample
    options = {"steps": steps, "clip": False, "start": (x_T, schedule.T)}
    if name == "Heun":
        ours = flow_sample(model, SHAPE, schedule, solver=straight_heun, **options)
    else:
        ours = ddim_sample(model, SHAPE, schedule, **options)
    assert (ours - x_s).abs().max() <= 1e-10 * max(1.0, x_s.abs().max().item())


@given(points())
def test_it_is_the_path_of_flow_matching(point):
    """Theirs runs from the noise at 0 to the image at 1, so that its slope has the other sign."""
    path = pytest.importorskip("flow_matching.path").CondOTProbPath()
    x_t, t, schedule, truth = point
    s = straight_time(torch.as_tensor(t).expand(3), schedule)
    theirs = path.sample(x_0=truth["noise"], x_1=truth["x_0"], t=1 - s)
    x_s, flow = to_straight_path(x_t, t, schedule), truth["flow"]
    assert (x_s - theirs.x_t).abs().max() <= 1e-14
    assert (flow + theirs.dx_t).abs().max() <= 1e-14
    at = (1 - s).reshape(-1, *[1] * (x_t.ndim - 1)).expand(x_t.shape)
    bound = 1e-13 / min(root.min().item() for root in roots(t, schedule, x_t))
    for ours, other in (
        (-flow_from_noise(x_t, t, truth["noise"], schedule), path.epsilon_to_velocity),
        (noise_from_flow(x_t, t, flow, schedule), path.velocity_to_epsilon),
        (x0_from_flow(x_t, t, flow, schedule), path.velocity_to_target),
        (-flow_from_x0(x_t, t, truth["x_0"], schedule), path.target_to_velocity),
    ):
        given = {
            path.epsilon_to_velocity: {"epsilon": truth["noise"]},
            path.velocity_to_epsilon: {"velocity": -flow},
            path.velocity_to_target: {"velocity": -flow},
            path.target_to_velocity: {"x_1": truth["x_0"]},
        }[other]
        assert (ours - other(x_t=x_s, t=at, **given)).abs().max() <= bound, other.__name__


@pytest.mark.usefixtures("float64")
@torch.inference_mode()
def test_a_model_moved_to_the_straight_path_by_flow_matching_is_ours():
    """Their wrapper changes time and scale of a velocity for another path; here of a schedule that
    has their variance-preserving path at its times.
    """
    scheduler = pytest.importorskip("flow_matching.path.scheduler")
    steps = 40
    theirs = scheduler.VPScheduler()
    grid = 1 - torch.arange(steps + 1) / steps
    alpha_bar = theirs(grid).alpha_t ** 2
    schedule = Schedule.from_betas(1 - alpha_bar[1:] / alpha_bar[:-1])
    ideal = IdealNetwork(schedule, 0.25)

    class Velocity(torch.nn.Module):
        def forward(self, x, t):
            at = theirs(t)
            index = ((1 - t) * steps).round().long().expand(len(x))
            noise = ideal(x, index)
            x_0 = (x - at.sigma_t * noise) / at.alpha_t
            return at.d_alpha_t * x_0 + at.d_sigma_t * noise

    moved = scheduler.ScheduleTransformedModel(Velocity(), theirs, scheduler.CondOTScheduler())
    x_t = torch.randn(6, generator=torch.Generator().manual_seed(7))
    for t in (1, 2, 10, 25, 39, 40):
        x_s, s = to_straight_path(x_t, t, schedule), straight_time(t, schedule)
        ours = flow_from_noise(x_t, t, ideal(x_t, torch.full((6,), t)), schedule)
        assert (ours + moved(x_s, 1 - s)).abs().max() <= 1e-8 / roots(t, schedule, x_t)[0].min()


# diffusers


@pytest.mark.parametrize("beta_schedule", ["linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
def test_the_velocity_is_that_of_diffusers(kind, beta_schedule, generator):
    theirs = kind(beta_schedule=beta_schedule)
    schedule = in_float64(theirs)
    t = torch.arange(1, 1001)
    x_0, noise = torch.randn(2, 1000, 3, dtype=torch.float64, generator=generator)
    velocity = theirs.get_velocity(x_0, noise, t - 1)
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    assert (velocity_from_x0(x_t, t, x_0, schedule) - velocity).abs().max() <= 1e-11
    error = velocity_from_noise(x_t, t, noise, schedule) - velocity
    assert (error * roots(t, schedule, x_0)[0]).abs().max() <= 1e-13


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(
    ("prediction", "to_noise"), [("v_prediction", noise_from_velocity), ("sample", noise_from_x0)]
)
@pytest.mark.parametrize("beta_schedule", ["linear", "squaredcos_cap_v2"])
@pytest.mark.usefixtures("float64")
def test_a_network_of_another_target_goes_where_diffusers_goes(
    prediction, to_noise, beta_schedule, clip
):
    theirs = DDIMScheduler(
        beta_schedule=beta_schedule,
        prediction_type=prediction,
        clip_sample=clip,
        timestep_spacing="trailing",
    )
    schedule, steps = in_float64(theirs), 10
    model = random_network(0.1)
    x_T = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    theirs.set_timesteps(steps)
    told = converted(model, to_noise, schedule)
    ours = list(ddim_steps(told, x_T, schedule, steps=steps, clip=clip))
    states = diffusers_steps(theirs, model, x_T, [state.t for state in ours])
    largest = max(state.x_0.abs().max().item() for state in ours)
    for mine, other in zip(ours, states, strict=True):
        # the noise leads back to x_0 by a division by sqrt(alpha_bar_t)
        bound = 1e-13 * max(1.0, largest) / roots(max(mine.t, 1), schedule, x_T)[0].item()
        assert (mine.x_t - other.x_t).abs().max() <= max(bound, 1e-10), mine.t
        assert (mine.x_0 - other.x_0).abs().max() <= max(bound, 1e-10), mine.t


# where only noise is left


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_is_rescaled_as_by_diffusers(schedule):
    theirs = rescale_zero_terminal_snr(schedule.beta[1:].clone())
    ours = zero_terminal_snr(schedule)
    assert ours.alpha_bar[-1] == 0 and ours.beta[-1] == 1 and ours.snr[-1] == 0
    assert (ours.beta[1:] - theirs).abs().max() <= 1e-12
    assert (ours.alpha_bar[1:] - (1 - theirs).cumprod(0)).abs().max() <= 1e-12
    assert Schedule.from_betas(theirs).alpha_bar[-1] == 0


def test_two_steps_are_enough_to_rescale():
    before, after = linear_schedule(2), zero_terminal_snr(linear_schedule(2))
    assert abs(after.alpha_bar[1] - before.alpha_bar[1]) <= 1e-15
    assert after.alpha_bar[2] == 0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_first_step_stays_and_the_second_time_nothing_changes(schedule):
    ours = zero_terminal_snr(schedule)
    assert abs(ours.alpha_bar[1] / schedule.alpha_bar[1] - 1) <= 1e-14
    assert (ours.alpha_bar[2:] < schedule.alpha_bar[2:]).all()
    again = zero_terminal_snr(ours)
    assert (again.alpha_bar - ours.alpha_bar).abs().max() <= 1e-15
    slopes = (ours.alpha_bar[1:].sqrt().diff() / schedule.alpha_bar[1:].sqrt().diff())[:-1]
    assert (slopes / slopes[0] - 1).abs().max() <= 1e-6  # one stretch for all of sqrt(alpha_bar)


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_fewer_times_end_in_noise_alone_too(steps):
    _, shorter = respaced(lambda x_t, t: x_t, NOISE_ALONE, steps)
    assert shorter.T == steps
    assert shorter.alpha_bar[-1] == 0 and shorter.beta[-1] == 1


def test_at_the_end_x_0_and_the_velocity_are_one_and_all_that_is_not_noise_survives(generator):
    x_0 = torch.randn(3, 1, 4, 4, dtype=torch.float64, generator=generator)
    x_T, noise = forward_diffusion(x_0, 12, NOISE_ALONE, generator=generator)
    assert torch.equal(x_T, noise)
    velocity = velocity_from_x0(x_T, 12, x_0, NOISE_ALONE)
    assert torch.equal(velocity, -x_0)
    assert torch.equal(x0_from_velocity(x_T, 12, velocity, NOISE_ALONE), x_0)
    assert torch.equal(noise_from_velocity(x_T, 12, velocity, NOISE_ALONE), noise)
    flow = flow_from_x0(x_T, 12, x_0, NOISE_ALONE)
    assert torch.equal(flow, noise - x_0)
    assert (x0_from_flow(x_T, 12, flow, NOISE_ALONE) - x_0).abs().max() <= 1e-15
    assert torch.equal(noise_from_flow(x_T, 12, flow, NOISE_ALONE), noise)
    assert torch.equal(noise_from_x0(x_T, 12, x_0, NOISE_ALONE), noise)
    assert torch.equal(score_from_noise(noise, 12, NOISE_ALONE), -noise)
    mean, variance = q_posterior(x_0, x_T, 12, NOISE_ALONE)
    assert (mean - NOISE_ALONE.alpha_bar[11].sqrt() * x_0).abs().max() <= 1e-15
    assert variance == posterior_variance(12, NOISE_ALONE) == 1 - NOISE_ALONE.alpha_bar[11]
    x_prev = reverse_step(x_T, 12, x_0, NOISE_ALONE, noise, variance=posterior_variance)
    assert (x_prev - mean - variance.sqrt() * noise).abs().max() <= 1e-15
    exact, _ = forward_diffusion(x_0, 11, NOISE_ALONE, noise)
    assert (ddim_step(x_T, 12, x_0, noise, NOISE_ALONE) - exact).abs().max() <= 1e-15


@pytest.mark.usefixtures("float64")
@torch.inference_mode()
def test_a_velocity_leads_from_noise_alone_where_diffusers_goes():
    theirs = DDIMScheduler(
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    theirs.betas = rescale_zero_terminal_snr(torch.linspace(1e-4, 0.02, 1000))
    schedule = in_float64(theirs)
    assert (schedule.alpha_bar - zero_terminal_snr(linear_schedule()).alpha_bar).abs().max() < 1e-12
    model = random_network(0.1)
    x_t = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    theirs.set_timesteps(10)
    _, shorter = respaced(model, schedule, 10)
    times = respaced(model, schedule, 10)[0].times.tolist()
    states = diffusers_steps(theirs, model, x_t, times[::-1])
    for k, other in zip([*shorter.steps(), 0], states, strict=True):
        assert (x_t - other.x_t).abs().max() <= 1e-12, k
        if k:
            velocity = call_model(model, x_t, times[k])
            x_0 = x0_from_velocity(x_t, k, velocity, shorter)
            noise = noise_from_velocity(x_t, k, velocity, shorter)
            x_t = ddim_step(x_t, k, x_0, noise, shorter)


@pytest.mark.usefixtures("float64")
@torch.inference_mode()
def test_after_its_first_step_any_sampler_takes_over():
    """`start=` begins below T, where the noise says everything again."""
    model, x_T = random_network(0.1), torch.randn(SHAPE)
    velocity = call_model(model, x_T, 12)
    x_0 = x0_from_velocity(x_T, 12, velocity, NOISE_ALONE)
    x_11 = ddim_step(x_T, 12, x_0, x_T, NOISE_ALONE)
    told = converted(model, noise_from_velocity, NOISE_ALONE)
    for draw in (sample, ddim_sample, flow_sample, partial(flow_sample, solver=straight_heun)):
        assert draw(told, SHAPE, NOISE_ALONE, start=(x_11, 11)).isfinite().all()


# networks that predict something else


class Returns(torch.nn.Module):
    """A network that returns the same, whatever it is given."""

    def __init__(self, answer):
        super().__init__()
        self.answer = torch.nn.Parameter(answer)

    def forward(self, x_t, t, label=None):
        return self.answer if label is None else self.answer * (1 + label)[:, None]


@pytest.mark.parametrize("of", TO_NOISE)
@given(points())
def test_a_true_answer_gives_the_true_noise(of, point):
    x_t, t, schedule, truth = point
    t = torch.as_tensor(t).expand(3)
    for dtype in (torch.float64, torch.float32):
        told = converted(Returns(truth[of].to(dtype)), TO_NOISE[of], schedule)
        found = told(x_t.to(dtype), t)
        exact = 1e-7 if dtype == torch.float32 else 1e-15
        smallest = roots(t, schedule, x_t)[1].min().item()
        assert found.dtype == dtype
        assert (found - truth["noise"]).abs().max() <= 20 * exact / smallest


@pytest.mark.parametrize("to_noise", TO_NOISE.values())
def test_guided_and_respaced_it_is_what_the_formulas_say(to_noise, generator):
    x_t, answer = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    t, label = torch.tensor([1, 3, 5]), torch.tensor([0, 2, 1])
    told = converted(Returns(answer), to_noise, SHORT)
    none, of_label = (
        to_noise(x_t, t, answer * (1 + scale)[:, None], SHORT) for scale in (0 * label, label)
    )
    assert (told(x_t, t) - none).abs().max() <= 1e-13
    assert (told(x_t, t, label) - of_label).abs().max() <= 1e-13
    exact = none + 3 * (of_label - none)
    assert (guided(told, label, 3.0)(x_t, t) - exact).abs().max() <= 1e-12
    few, _ = respaced(told, SHORT, 6)
    assert (few(x_t, t) - to_noise(x_t, 2 * t, answer, SHORT)).abs().max() <= 1e-13


class Slopes(torch.nn.Module):
    """Predicts a multiple of x_t, which it learns for each t."""

    def __init__(self, T):
        super().__init__()
        self.slopes = torch.nn.Parameter(torch.zeros(T + 1))

    def forward(self, x_t, t):
        return self.slopes[t][:, None] * x_t


def best_slopes(schedule, power):
    """Of the noise, x_0, the velocity and flow, by least squares."""
    a, b = (root[1:] for root in roots(torch.arange(schedule.T + 1), schedule, torch.ones(1)))
    variance = a**2 * power + b**2
    velocity, flow = a * b * (1 - power), b - a * power
    every = {"noise": b, "x_0": a * power, "velocity": velocity, "flow": flow}
    return {name: covariance / variance for name, covariance in every.items()}


def learned(loss, model=None, schedule=SHORT):
    """The slopes of a network trained on uniform pixels, whose mean square is a third."""
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(480, 8, generator=generator) * 2 - 1
    told = model or Slopes(schedule.T)
    settings = {"steps": 200, "batch_size": 480, "learning_rate": 0.05, "ema_decay": 0.9}
    *_, state = train(told, images, schedule, loss=loss, **settings)
    power = images.square().mean().item()
    return dict(state.average.model.named_parameters()), best_slopes(schedule, power)


@pytest.mark.parametrize("schedule", [SHORT, NOISE_ALONE])
@pytest.mark.parametrize("to", FROM_X0)
def test_a_loss_of_each_target_teaches_it(to, schedule):
    loss = partial(weighted_loss, weight=torch.ones_like, target=FROM_X0[to])
    found, best = learned(loss, schedule=schedule)
    assert (found["slopes"][1:] - best[to]).abs().max() <= 0.05


@pytest.mark.parametrize("of", TO_NOISE)
def test_a_converted_network_learns_its_target_from_a_loss_of_the_noise(of):
    model = converted(Slopes(SHORT.T), TO_NOISE[of], SHORT)
    found, best = learned(partial(simple_loss), model)
    assert (found["model.slopes"][1:] - best[of]).abs().max() <= 0.05


WEIGHTS_OF_NOISE = {  # that make its error the error of another target
    "x_0": lambda alpha_bar: (1 - alpha_bar) / alpha_bar,
    "velocity": partial(velocity_weight, most=math.inf),
    "flow": lambda alpha_bar: (1 + ((1 - alpha_bar) / alpha_bar).sqrt()) ** 2,
}


@pytest.mark.parametrize("of", TO_NOISE)
@pytest.mark.usefixtures("float64")
def test_weights_turn_the_error_of_the_noise_into_that_of_the_target(of, generator):
    x_0, noise, answer = torch.randn(3, 12, 1, 2, 2, generator=generator)
    given = {"t": torch.arange(1, 13), "noise": noise}
    told = converted(Returns(answer), TO_NOISE[of], SHORT)
    by_noise = weighted_loss(told, x_0, SHORT, weight=WEIGHTS_OF_NOISE[of], **given)
    targets = FROM_X0 | {"x_0": lambda x_t, t, x_0, schedule: x_0}
    options = {"weight": torch.ones_like, "target": targets[of]}
    itself = weighted_loss(Returns(answer), x_0, SHORT, **options, **given)
    assert by_noise.item() == pytest.approx(itself.item(), rel=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.usefixtures("float64")
def test_min_snr_weighs_each_target_as_hang_et_al_say(gamma, generator):
    x_0, noise, answer = torch.randn(3, 12, 1, 2, 2, generator=generator)
    given = {"t": torch.arange(1, 13), "noise": noise}
    least = SHORT.snr[1:].clamp(max=gamma)
    weights = {"x_0": least, "velocity": least / (SHORT.snr[1:] + 1)}
    targets = {"x_0": lambda x_t, t, x_0, schedule: x_0, "velocity": velocity_from_x0}
    for of, weight in weights.items():
        told = converted(Returns(answer), TO_NOISE[of], SHORT)
        ours = weighted_loss(told, x_0, SHORT, weight=partial(min_snr_weight, gamma=gamma), **given)
        options = {"weight": lambda alpha_bar, weight=weight: weight, "target": targets[of]}
        theirs = weighted_loss(Returns(answer), x_0, SHORT, **options, **given)
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-12), of


def test_the_factors_of_a_conversion_do_not_depend_on_torchs_default_device():
    network = IdealNetwork(SHORT, 0.5)
    expected = converted(network, noise_from_velocity, SHORT)
    torch.set_default_device("meta")
    try:
        model = converted(network, noise_from_velocity, SHORT)
    finally:
        torch.set_default_device(None)
    assert torch.equal(model.factors, expected.factors)
