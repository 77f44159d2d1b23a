"""Fewer steps still: solvers of second order follow the probability flow from noise to images.

The flow moves x_t / sqrt(alpha_bar_t) along the predicted noise (Song, Sohl-Dickstein et al. 2021).
DDIM with eta = 0 follows it to first order: half the step, half the error. Here it is a quarter.
"""

from collections.abc import Callable, Sequence

import torch

from minddpm.checks import check_callable
from minddpm.network import Model
from minddpm.noising import Images, moved, noise_from_x0, x0_from_noise
from minddpm.progress import final_images
from minddpm.respacing import respaced
from minddpm.sampler import Step, estimate, reverse_process
from minddpm.schedule import Device, Rng, Schedule, per_image
from minddpm.start import Start, starting_point
from minddpm.targets import Conversion, flow_from_x0, x0_from_flow

Solver = Callable[[Model, Schedule, bool], Step]  # the step for a model, a schedule and `clip`
Slope = tuple[Conversion, Conversion]  # of the path that is followed: from x_0, and back to x_0
BY_NOISE = (noise_from_x0, x0_from_noise)


def dpm_solver(model: Model, schedule: Schedule, clip: bool) -> Step:
    """DPM-Solver++ (2M): extend the line through the last two estimates of x_0, and go on to that.

    With lambda = log(alpha_bar / (1 - alpha_bar)) / 2 and h_t = lambda_{t-1} - lambda_t,

    D = x_0 + h_t / (2 h_{t+1}) (x_0 - the x_0 before)
    x_{t-1} = sqrt(alpha_bar_{t-1}) D + sqrt(1 - alpha_bar_{t-1}) (the noise that x_t and D imply)

    The first and the last step have D = x_0. The network is called once a step.

    Returns: the step, for `reverse_process`; it remembers, so each run needs its own.
    Source: Lu et al. 2022, "DPM-Solver++", algorithm 2.
    """
    log_snr = schedule.snr.log()  # 2 lambda
    before = torch.empty(0)

    def step(x_t: Images, t: int, x_0: Images, _predicted_noise: Images) -> Images:
        nonlocal before
        ahead = x_0
        if 1 < t < schedule.T:
            ratio = (log_snr[t - 1] - log_snr[t]) / (log_snr[t] - log_snr[t + 1])
            ahead = x_0 + per_image(ratio / 2, x_t) * (x_0 - before)
        before = x_0
        return moved(x_t, t, ahead, t - 1, schedule)

    return step


def heun(model: Model, schedule: Schedule, clip: bool, slope: Slope = BY_NOISE) -> Step:
    """Heun's method: take a DDIM step, then take it again with the mean of the slopes at both ends.

    The slope of x_t / sqrt(alpha_bar_t) is the noise; `straight_heun` has another. The network is
    called twice a step, but once in the last, whose end has no noise.

    Returns: the step, for `reverse_process`.
    Source: Karras et al. 2022, algorithm 1.
    """
    slope_from_x0, x0_from_slope = slope

    def step(x_t: Images, t: int, x_0: Images, _predicted_noise: Images) -> Images:
        x_next = moved(x_t, t, x_0, t - 1, schedule)
        if t == 1:
            return x_next
        x_0_next, _ = estimate(model, x_next, t - 1, schedule, clip)
        here = slope_from_x0(x_t, t, x_0, schedule)
        there = slope_from_x0(x_next, t - 1, x_0_next, schedule)
        x_0 = x0_from_slope(x_t, t, (here + there) / 2, schedule)
        return moved(x_t, t, x_0, t - 1, schedule)

    return step


def straight_heun(model: Model, schedule: Schedule, clip: bool) -> Step:
    """Heun's method on the straight path of flow matching, whose slope is u = noise - x_0.

    The step that it takes first, Euler's, is DDIM's here as in `heun`; the mean of slopes differs.

    Returns: the step, for `reverse_process`.
    """
    return heun(model, schedule, clip, (flow_from_x0, x0_from_flow))


def flow_sample(
    model: Model,
    image_shape: Sequence[int],
    schedule: Schedule,
    *,
    solver: Solver = dpm_solver,
    steps: int | None = None,
    clip: bool = True,
    start: Start = None,
    generator: Rng = None,
    device: Device = None,
    progress: bool = False,
) -> Images:
    """Draw new images in few steps with a solver of second order.

    Args: as in `sample`, except
        solver: `dpm_solver`, or `heun` or `straight_heun`, whose every step but the last calls the
            network twice.
        steps: 1..T, or 1..t with `start` = (x_t, t). None means 20, or T (or t) if that is less.
            The network is called `steps` times by `dpm_solver`, 2 steps - 1 times by the others.
        generator: source of randomness for x_T; nothing else is drawn.
    Raises: TypeError or ValueError for arguments other than these.
    """
    check_callable("solver", solver, "dpm_solver")
    x_t, remaining = starting_point(model, image_shape, schedule, start, generator, device)
    steps = min(20, remaining.T) if steps is None else steps
    model, shorter = respaced(model, remaining, steps)
    states = reverse_process(model, x_t, shorter, solver(model, shorter, clip), clip=clip)
    return final_images(states, steps, progress)
