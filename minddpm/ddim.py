"""Fewer steps with the same network, from noise to images and back (Song, Meng & Ermon 2021)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from minddpm.checks import check_images, check_like, check_share, positive_integer
from minddpm.network import Adapted, Model, as_prediction, call_model
from minddpm.noising import Images, Noise, forward_diffusion, standard_noise, x0_from_noise
from minddpm.progress import final_images
from minddpm.sampler import SampleStep, Start, reverse_process, starting_point
from minddpm.schedule import Device, Rng, Schedule, Time, check_schedule, per_image, time_index


def spaced_times(T: int, steps: int) -> Int64[Tensor, " steps_plus_1"]:
    """The times at which a sampler of fewer steps calls the network, and 0: step k is at k T /
    steps.

    Rounded as diffusers rounds its "trailing" timesteps.

    Raises: TypeError or ValueError for steps that are not an integer in 1..T.
    """
    if positive_integer("steps", steps) > T:
        raise ValueError(f"steps must be at most T = {T}, got {steps}")
    downward = np.arange(T, 0, -T / steps)[:steps].round().astype(np.int64)
    return torch.from_numpy(np.append(downward, 0)[::-1].copy())


def respaced(model: Model, schedule: Schedule, steps: int) -> tuple[Adapted, Schedule]:
    """Skip times: the same network on a schedule of fewer steps, which every sampler takes.

    Step k = 0..steps of the shorter schedule has the alpha_bar of the time k T / steps, and the
    network is called with that time.

    Raises: TypeError or ValueError for steps that are not an integer in 1..T.
    Source: Nichol & Dhariwal 2021, section 4.
    """
    check_schedule(schedule)
    times = spaced_times(schedule.T, steps)
    alpha_bar = schedule.alpha_bar[times]
    # a step that leaves less signal than rounding can tell from none still has a beta below 1
    beta = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=1 - 2**-53)
    shorter = Schedule(torch.cat([torch.zeros_like(beta[:1]), beta]), alpha_bar)

    def call(
        model: Model, x_t: Images, t: Int64[Tensor, " b"], *label: Tensor | None, times: Tensor
    ) -> Images:
        return as_prediction(model(x_t, times[t], *label), x_t)

    return Adapted(model, call, times=times), shorter


def ddim_step(
    x_t: Images,
    t: Time,
    x_0: Images,
    predicted_noise: Images,
    schedule: Schedule,
    noise: Noise = None,
    *,
    eta: float = 0.0,
    generator: Rng = None,
) -> Images:
    """Noise the estimate of x_0 again, only to t-1, with the predicted noise.

    x_{t-1} = sqrt(alpha_bar_{t-1}) x_0 + sqrt(1 - alpha_bar_{t-1} - sigma^2) predicted_noise
              + sigma noise,  sigma^2 = eta^2 beta_tilde_t

    Args: as in `reverse_step`, and
        predicted_noise: exactly the shape and dtype of x_t.
        eta: how much of the noise is drawn anew, 0 to 1. 0 draws nothing; 1 is, where x_0 is not
            clipped, `reverse_step` with `posterior_variance`.
    Raises: TypeError or ValueError for eta, t, dtype or shape other than these.
    Source: Song, Meng & Ermon 2021, eq. 12 and 16.
    """
    check_share("eta", eta)
    check_like("x_0", x_0, x_t)
    check_like("predicted_noise", predicted_noise, x_t)
    t = time_index(t, schedule)
    # the share of the noise's variance that is drawn anew, sigma^2 / (1 - alpha_bar_{t-1})
    fresh = eta**2 * schedule.beta[t] / (1 - schedule.alpha_bar[t])
    if eta == 0 and noise is None:
        noise = predicted_noise
    noise = standard_noise(x_t, noise, generator)
    kept = (1 - fresh).clamp(min=0)
    noise = per_image(kept.sqrt(), x_t) * predicted_noise + per_image(fresh.sqrt(), x_t) * noise
    return forward_diffusion(x_0, t - 1, schedule, noise)[0]


def ddim_steps(
    model: Model,
    x_T: Images,
    schedule: Schedule,
    *,
    steps: int = 50,
    eta: float = 0.0,
    clip: bool = True,
    generator: Rng = None,
) -> Iterator[SampleStep]:
    """Sample as `ddim_sample` does, from a given x_T, yielding the state at each of steps + 1
    times.
    """
    check_images(x_T, "x_T")
    model, shorter = respaced(model, schedule, steps)
    times = spaced_times(schedule.T, steps)

    def step(x_t: Images, t: int, x_0: Images, predicted_noise: Images) -> Images:
        return ddim_step(x_t, t, x_0, predicted_noise, shorter, eta=eta, generator=generator)

    for state in reverse_process(model, x_T.detach(), shorter, step, clip=clip):
        yield state._replace(t=int(times[state.t]))


def ddim_sample(
    model: Model,
    image_shape: Sequence[int],
    schedule: Schedule,
    *,
    steps: int = 50,
    eta: float = 0.0,
    clip: bool = True,
    start: Start = None,
    generator: Rng = None,
    device: Device = None,
    progress: bool = False,
) -> Images:
    """Draw new images with few calls of the network, at t = T, T - T/steps, ..., T/steps.

    Args: eta as in `ddim_step`; all others as in `sample`. x_T is drawn first and, only if eta > 0,
        then one noise a step.
        steps: calls of the network, 1..T; from `start` = (x_t, t), 1..t.
        clip: better False with guidance or beyond 100 steps, because each step, however short,
            moves by all that is clipped off.
    Raises: TypeError or ValueError for steps, eta, image_shape or start other than these.
    Source: Song, Meng & Ermon 2021, eq. 12 and 16.
    """
    x_t, remaining = starting_point(model, image_shape, schedule, start, generator, device)
    states = ddim_steps(model, x_t, remaining, steps=steps, eta=eta, clip=clip, generator=generator)
    return final_images(states, steps, progress)


def invert(
    model: Model, x_0: Images, schedule: Schedule, *, steps: int = 50, repeats: int = 1
) -> Images:
    """Encode images as an x_T from which DDIM, with eta = 0 and unclipped, leads back to about
    them.

    A step up needs the noise predicted at its end, x_{t+1}, which is not known yet. It is predicted
    at x_t instead, and then, `repeats` times in all, at the result: more repeats lead back more
    exactly.

    Raises: TypeError or ValueError for images that are not floating point, steps outside 1..T,
        repeats below 1.
    Source: Song, Meng & Ermon 2021, section 5.4.
    """
    check_images(x_0)
    model, shorter = respaced(model, schedule, steps)
    repeats = positive_integer("repeats", repeats)
    x_t = x_0 = x_0.detach()
    for t in range(steps):
        x_next = x_t
        for _ in range(repeats):
            noise = call_model(model, x_next, t + 1)
            clean = x0_from_noise(x_t, t, noise, shorter) if t else x_0
            x_next, _ = forward_diffusion(clean, t + 1, shorter, noise)
        x_t = x_next
    return x_t
