"""Solvers of second order against diffusers' schedulers, the flow of a Gaussian in closed form, and
cases with a known outcome.
"""

from functools import partial

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, HeunDiscreteScheduler
from diffusers.schedulers import scheduling_dpmsolver_multistep
from oracles import (
    IdealNetwork,
    InFloat64,
    RecordingNetwork,
    estimate,
    in_float64,
    random_network,
)

from minddpm import (
    UNet,
    UNetConfig,
    ddim_sample,
    ddim_steps,
    guided,
    linear_schedule,
    noise_from_x0,
    respaced,
)
from minddpm.network import call_model
from minddpm.sampler import reverse_process
from minddpm.solvers import dpm_solver, flow_sample, heun, straight_heun

# what diffusers makes of its tensors, with a new NumPy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCHEDULE = linear_schedule(12, 0.01, 0.4)
SOLVERS = [dpm_solver, heun, straight_heun]
COUNTS = [2, 3, 5, 7, 10, 14, 15, 20, 30, 50, 64, 100]
CASES = [*(("ideal", steps) for steps in COUNTS), ("network", 5), ("network", 20)]
SHAPE = (2, 1, 8, 8)


def states(solver, model, x_T, schedule, steps, clip=False):
    """All that `flow_sample` goes through, and the times of the long schedule."""
    told, shorter = respaced(model, schedule, steps)
    step = solver(told, shorter, clip)
    return list(reverse_process(told, x_T, shorter, step, clip=clip)), told.times.tolist()[::-1]


# over whole trajectories, against diffusers


def with_exact_sigmas(scheduler, steps, each=1):
    """Let a scheduler choose its timesteps, and work out in float64 how noisy the images are there.

    Args: each, how often it lists each noise level between the first and the last.
    Returns: the timesteps, counted from 0, each once.
    """
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.long().unique().flip(0)
    alpha_bar = scheduler.alphas_cumprod[timesteps]
    sigma = ((1 - alpha_bar) / alpha_bar).sqrt()
    between = sigma[1:].repeat_interleave(each)
    sigmas = torch.cat([sigma[:1], between, torch.zeros(1)])
    assert sigmas.shape == scheduler.sigmas.shape
    assert (scheduler.sigmas / sigmas - 1)[:-1].abs().max() <= 1e-5
    scheduler.sigmas = sigmas
    return timesteps


@pytest.mark.parametrize("beta_schedule", ["linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize(("kind", "steps"), CASES)
@pytest.mark.usefixtures("float64")
@torch.inference_mode()
def test_dpm_solver_equals_diffusers(kind, steps, beta_schedule, monkeypatch):
    monkeypatch.setattr(scheduling_dpmsolver_multistep, "torch", InFloat64())
    theirs = DPMSolverMultistepScheduler(
        beta_schedule=beta_schedule,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        timestep_spacing="trailing",
        final_sigmas_type="zero",
    )
    schedule = in_float64(theirs)
    timesteps = with_exact_sigmas(theirs, steps)
    model = IdealNetwork(schedule, 0.25) if kind == "ideal" else random_network(0.1)
    x_t = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    ours, times = states(dpm_solver, model, x_t, schedule, steps)
    assert times[:-1] == (timesteps + 1).tolist()
    bound = 1e-11 * max(1.0, max(state.x_0.abs().max().item() for state in ours))
    for state, t in zip(ours, times):
        assert (state.x_t - x_t).abs().max() <= bound, t
        if t:
            x_t = theirs.step(call_model(model, x_t, t), t - 1, x_t).prev_sample


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("beta_schedule", ["linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize(("kind", "steps"), CASES)
@pytest.mark.usefixtures("float64")
@torch.inference_mode()
def test_heun_equals_diffusers(kind, steps, beta_schedule, clip):
    theirs = HeunDiscreteScheduler(
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule=beta_schedule,
        clip_sample=clip,
        timestep_spacing="trailing",
    )
    schedule = in_float64(theirs)
    timesteps = with_exact_sigmas(theirs, steps, each=2)
    power = 1.0 if clip else 0.25  # with 1 there is something to clip
    model = IdealNetwork(schedule, power) if kind == "ideal" else random_network(0.1)
    x_T = torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))
    ours, times = states(heun, model, x_T, schedule, steps, clip)
    assert times[:-1] == (timesteps + 1).tolist()
    assert not clip or any((state.x_0.abs() == 1).any() for state in ours)
    # theirs walks with x_t / sqrt(alpha_bar_t), which is large where little signal is left, and so
    # are its roundings
    x = x_T / schedule.alpha_bar[-1].sqrt()
    largest = max(state.x_0.abs().max().item() for state in ours)
    theirs_loses = 1e-15 * x.abs().max().item() * (theirs.sigmas[0] / theirs.sigmas[1]).item()
    bound = max(1e-11, 1e-11 * largest, theirs_loses)
    visited = [times[0], *(t for t in times[1:-1] for _ in range(2))]
    for number, t in enumerate(visited):
        scaled = x * schedule.alpha_bar[t].sqrt()
        if number % 2 == 0:  # it has arrived, and does not only look ahead
            assert (ours[number // 2].x_t - scaled).abs().max() <= bound, t
            assert t == times[number // 2]
        x = theirs.step(call_model(model, scaled, t), t - 1, x).prev_sample
    assert (ours[-1].x_t - x).abs().max() <= bound


# the flow of a Gaussian


POWER = 0.25


@pytest.mark.parametrize(
    ("solver", "order"),
    [(None, 1), *((solver, 2) for solver in SOLVERS)],
    ids=["ddim", *(solver.__name__ for solver in SOLVERS)],
)
@pytest.mark.usefixtures("float64")
def test_the_error_on_the_way_falls_as_the_order_says(solver, order):
    """Of normal pixels the probability flow is known: x_t goes as sqrt(alpha_bar_t power + 1 -
    alpha_bar_t). With twice the steps DDIM makes half the error, a solver of order 2 a quarter.
    """
    schedule = linear_schedule(4000, 2.5e-5, 0.005)
    model, x_T = IdealNetwork(schedule, POWER), torch.ones(1)
    spread = (schedule.alpha_bar * POWER + 1 - schedule.alpha_bar).sqrt()
    found = []
    for steps in (40, 80):
        way = ddim_steps(model, x_T, schedule, steps=steps, clip=False)
        if solver:
            way, _ = states(solver, model, x_T, schedule, steps)
        quarters = [state.x_t.item() for state in way][:: steps // 4][1:4]
        exact = spread[[3000, 2000, 1000]] / spread[-1]
        found.append((torch.tensor(quarters) / exact - 1).abs())
    assert ((found[0] / found[1]).log2() - order).abs().max() <= 0.15


NEARER = ((19, 1), (39, 1.5), (79, 2.5))  # with so many calls, so many times as near as DDIM


@pytest.mark.parametrize(
    ("solver", "nearer"),
    [(dpm_solver, NEARER), (heun, NEARER), (straight_heun, ((39, 1.3), (79, 2.2)))],
)
@pytest.mark.usefixtures("float64")
def test_the_image_is_nearer_to_the_end_of_the_flow_than_ddims(solver, nearer, generator):
    schedule = linear_schedule()
    model, x_T = IdealNetwork(schedule, POWER), torch.randn(50, generator=generator)
    exact = x_T * (POWER / (schedule.alpha_bar[-1] * POWER + 1 - schedule.alpha_bar[-1])).sqrt()
    options = {"start": (x_T, schedule.T), "clip": False}
    for calls, times in nearer:
        steps = calls if solver is dpm_solver else (calls + 1) // 2
        ours = flow_sample(model, (50,), schedule, solver=solver, steps=steps, **options)
        first = ddim_sample(model, (50,), schedule, steps=calls, **options)
        errors = [(images / exact - 1).abs().max().item() for images in (ours, first)]
        assert errors[0] <= errors[1] / times, calls


# cases with a known outcome


@pytest.mark.parametrize("steps", [1, 2, 5, 12])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.usefixtures("float64")
def test_a_model_that_knows_the_image_leads_to_it_in_any_number_of_steps(solver, steps, generator):
    x_0 = torch.rand(2, 1, 3, 3, generator=generator) * 2 - 1
    x_T = torch.randn(x_0.shape, generator=generator)
    ours = flow_sample(
        lambda x_t, t: noise_from_x0(x_t, t, x_0, SCHEDULE),
        x_0.shape,
        SCHEDULE,
        solver=solver,
        steps=steps,
        start=(x_T, SCHEDULE.T),
    )
    assert (ours - x_0).abs().max() <= 1e-12


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.usefixtures("float64")
def test_a_single_step_is_that_of_ddim(solver, generator):
    model, x_T = IdealNetwork(SCHEDULE, POWER), torch.randn(3, 2, generator=generator)
    options = {"steps": 1, "start": (x_T, SCHEDULE.T)}
    first = ddim_sample(model, (3, 2), SCHEDULE, **options)
    ours = flow_sample(model, (3, 2), SCHEDULE, solver=solver, **options)
    assert (ours - first).abs().max() <= 1e-15


@pytest.mark.usefixtures("float64")
def test_clipped_estimates_are_what_a_network_of_clipped_estimates_leads_to(generator):
    """With clip, both the step and the line through two estimates take the clipped one."""
    model = IdealNetwork(SCHEDULE, 4.0)

    def bounded(x_t, t):
        x_0 = estimate(x_t, t, model(x_t, t), SCHEDULE, clip=True)
        return noise_from_x0(x_t, t, x_0, SCHEDULE)

    x_T = 2 * torch.randn(4, 3, generator=generator)
    for solver in SOLVERS:
        options = {"solver": solver, "steps": 6, "start": (x_T, SCHEDULE.T)}
        ours = flow_sample(model, (4, 3), SCHEDULE, **options)
        assert (
            ours - flow_sample(bounded, (4, 3), SCHEDULE, clip=False, **options)
        ).abs().max() <= 1e-12
        assert ours.abs().max() == 1
        assert flow_sample(model, (4, 3), SCHEDULE, clip=False, **options).abs().max() > 1


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 4, 6), (1, 3, 2, 2, 2)])
@pytest.mark.usefixtures("float64")
def test_images_of_any_rank_and_each_alone(solver, shape, generator):
    model, x_T = IdealNetwork(SCHEDULE, POWER), torch.randn(shape, generator=generator)
    draw = partial(flow_sample, model, schedule=SCHEDULE, solver=solver, steps=5)
    together = draw(shape, start=(x_T, 12))
    assert together.shape == shape and together.dtype == torch.float64
    for i, x in enumerate(x_T):
        alone = draw((1, *shape[1:]), start=(x[None], 12))
        assert torch.equal(alone[0], together[i])


# the loop


@pytest.mark.parametrize(
    ("solver", "times"),
    [
        (dpm_solver, [12, 10, 7, 5, 2]),
        (heun, [12, 10, 10, 7, 7, 5, 5, 2, 2]),
        (straight_heun, [12, 10, 10, 7, 7, 5, 5, 2, 2]),
    ],
)
def test_x_T_is_all_that_is_drawn_and_the_network_called_as_often_as_said(solver, times):
    model, source = RecordingNetwork(), torch.Generator().manual_seed(11)
    ours = flow_sample(model, (3, 2), SCHEDULE, solver=solver, steps=5, generator=source)
    generator = torch.Generator().manual_seed(11)
    start = (torch.randn(3, 2, generator=generator), 12)
    assert torch.equal(source.get_state(), generator.get_state())
    assert torch.equal(model.calls[0].x_t, start[0])
    assert [call.t for call in model.calls] == [[t] * 3 for t in times]
    again = flow_sample(RecordingNetwork(), (3, 2), SCHEDULE, solver=solver, steps=5, start=start)
    assert torch.equal(again, ours)


@pytest.mark.parametrize("solver", SOLVERS)
def test_from_an_image_on_its_way_it_takes_the_steps_that_remain(solver):
    model, x_t = RecordingNetwork(), torch.randn(3, 2)
    before = x_t.clone()
    flow_sample(model, (3, 2), SCHEDULE, solver=solver, steps=2, start=(x_t, 6))
    assert [call.t[0] for call in model.calls] == [6, 3] + [3] * (solver is not dpm_solver)
    assert torch.equal(x_t, before)
    with pytest.raises(ValueError, match="steps must be at most T = 6, got 7"):
        flow_sample(model, (3, 2), SCHEDULE, solver=solver, steps=7, start=(x_t, 6))


def test_by_default_twenty_steps_of_dpm_solver_or_all_of_a_shorter_schedule():
    for T, calls in ((1, 1), (12, 12), (20, 20), (100, 20)):
        model, schedule = RecordingNetwork(), linear_schedule(T)
        x_T = torch.randn(4, 2)
        default = flow_sample(model, (4, 2), schedule, start=(x_T, T))
        assert len(model.calls) == calls
        options = {"solver": dpm_solver, "steps": calls, "clip": True, "start": (x_T, T)}
        assert torch.equal(default, flow_sample(model, (4, 2), schedule, **options))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("modes", [(True, True), (False, False), (True, False), (False, True)])
def test_the_model_is_asked_in_inference_and_eval_mode_and_left_as_it_was(solver, modes):
    model = RecordingNetwork()
    model.training, model.part.training = modes
    images = flow_sample(model, (2, 1, 2, 2), SCHEDULE, solver=solver, steps=5)
    assert all(inference and not training for *_, inference, training in model.calls)
    assert (model.training, model.part.training) == modes
    assert not images.is_inference() and not images.requires_grad


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_label_is_followed_on_a_schedule_of_ones_own_and_in_colour(solver):
    torch.manual_seed(0)
    model = UNet(
        UNetConfig(image_channels=3, channels=(8,), time_dim=8, groups=4, classes=2)
    ).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    labels, x_T = torch.tensor([1, 0, 1]), torch.randn(3, 3, 4, 4)
    draw = partial(flow_sample, schedule=SCHEDULE, solver=solver, steps=4)
    together = draw(guided(model, labels, 3.0), x_T.shape, start=(x_T, 12))
    for i, label in enumerate(labels.tolist()):
        alone = draw(guided(model, label, 3.0), (1, 3, 4, 4), start=(x_T[i : i + 1], 12))
        assert (alone - together[i]).abs().max() <= 1e-4
    other = draw(guided(model, 1 - labels, 3.0), x_T.shape, start=(x_T, 12))
    assert (other - together).abs().flatten(1).amax(1).min() > 0.01
    told, shorter = respaced(guided(model, labels, 3.0), SCHEDULE, 4)
    again = flow_sample(told, x_T.shape, shorter, solver=solver, steps=4, start=(x_T, 4))
    assert torch.equal(again, together)


def test_progress_shows_a_bar_only_when_asked(capsys):
    flow_sample(RecordingNetwork(), (1, 2), SCHEDULE, steps=4)
    assert capsys.readouterr().err == ""
    flow_sample(RecordingNetwork(), (1, 2), SCHEDULE, steps=4, progress=True)
    assert "4/4" in capsys.readouterr().err
