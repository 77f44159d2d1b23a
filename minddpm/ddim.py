"""Fewer steps with the same network, from noise to images and back up (Song, Meng & Ermon 2021)."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Int64
from torch import Generator, Tensor, nn

from minddpm.loss import Model, evaluate
from minddpm.noising import Images, check_like, forward_diffusion, predict_x0, standard_noise
from minddpm.sampler import SampleStep, estimate_x0, finish, first_noise, walk
from minddpm.schedule import Device, Schedule, Time, per_image, positive_integer


class Respaced(nn.Module):
    """A model that is asked about the steps of a shorter schedule: see `respaced`."""

    def __init__(self, model: Model, times: Int64[Tensor, "steps_plus_1"]) -> None:
        super().__init__()
        self.model, self.times = model, times

    def forward(
        self, x_t: Images, t: Int64[Tensor, "b"], *label: Int64[Tensor, "b"] | None
    ) -> Images:
        return self.model(x_t, self.times[t.cpu()].to(t.device), *label)


def respaced(model: Model, schedule: Schedule, steps: int) -> tuple[Respaced, Schedule]:
    """Skip times: the same network on a schedule of fewer steps, which any function of the course
    takes.

    Its step k = 0..steps stands at time k T / steps, rounded as in diffusers' "trailing" times,
    with its alpha_bar.
    Raises: TypeError or ValueError for steps that are not an integer in 1..T.
    Source: Nichol & Dhariwal 2021, section 4.
    """
    if positive_integer("steps", steps) > schedule.T:
        raise ValueError(f"steps must be at most T = {schedule.T}, got {steps}")
    downward = np.arange(schedule.T, 0, -schedule.T / steps)[:steps].round().astype(int)
    times = torch.from_numpy(np.append(downward, 0)[::-1].copy())
    alpha_bar = schedule.alpha_bar[times]
    return Respaced(model, times), Schedule.from_betas(1 - alpha_bar[1:] / alpha_bar[:-1])


def ddim_step(
    x_t: Images, t: Time, predicted_noise: Images, schedule: Schedule, noise: Images | None = None, *,
    eta: float = 0.0, clip: bool = False, generator: Generator | None = None,
) -> Images:  # fmt: skip
    """Estimate x_0 and noise it again, only to t-1: with the predicted noise, part of it drawn anew
    if eta > 0.

    x_{t-1} = sqrt(alpha_bar_{t-1}) x_0 + sqrt(1 - alpha_bar_{t-1} - sigma^2) predicted_noise +
    sigma noise, sigma^2 = eta^2 beta_tilde_t

    Args: as in `reverse_step`, except that eta = 0 draws nothing and that clip leaves the predicted
        noise as it is.
        eta: 0 to 1; 1 is, unclipped, `reverse_step` with `posterior_variance`.
    Raises: TypeError or ValueError for eta, t, dtype or shape other than these.
    Source: Song, Meng & Ermon 2021, eq. 12 and 16.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    x_0 = estimate_x0(x_t, t, predicted_noise, schedule, clip)
    t = schedule.index(t)
    anew = (
        eta**2 * schedule.beta[t] / (1 - schedule.alpha_bar[t])
    )  # sigma^2 / (1 - alpha_bar_{t-1})
    noise = predicted_noise if eta == 0 and noise is None else standard_noise(x_t, noise, generator)
    noise = (
        per_image((1 - anew).clamp(min=0).sqrt(), x_t) * predicted_noise
        + per_image(anew.sqrt(), x_t) * noise
    )
    return forward_diffusion(x_0, t - 1, schedule, noise)[0]


def ddim_steps(
    model: Model, x_T: Images, schedule: Schedule, *, steps: int = 50, eta: float = 0.0, clip: bool = True,
    generator: Generator | None = None,
) -> Iterator[SampleStep]:  # fmt: skip
    """Sample as `ddim_sample` does, from a given x_T, yielding what is there at each time: steps +
    1.
    """
    model, shorter = respaced(model, schedule, steps)
    for step in walk(
        model, x_T.detach(), shorter, clip, partial(ddim_step, eta=eta, generator=generator)
    ):
        yield step._replace(t=int(model.times[step.t]))


def ddim_sample(
    model: Model, image_shape: Sequence[int], schedule: Schedule, *, steps: int = 50, eta: float = 0.0,
    clip: bool = True, generator: Generator | None = None, device: Device = None, progress: bool = False,
) -> Images:  # fmt: skip
    """Draw new images, asking the network `steps` times, at t = T, T - T/steps, ..., T/steps.

    Args: eta as in `ddim_step`, all others as in `sample`; the draws are x_T and, only if eta > 0,
        one a step.
        clip: Better False if guided or beyond 100 steps: a step, however short, moves by all that
            is clipped off.
    Raises: TypeError or ValueError for steps, eta or image_shape other than these.
    Source: Song, Meng & Ermon 2021, eq. 12 and 16.
    """
    x_T = first_noise(model, image_shape, generator, device)
    trajectory = ddim_steps(
        model, x_T, schedule, steps=steps, eta=eta, clip=clip, generator=generator
    )
    return finish(trajectory, steps, progress)


def invert(
    model: Model, x_0: Images, schedule: Schedule, *, steps: int = 50, repeats: int = 1
) -> Images:
    """Encode images as an x_T from which `ddim_steps`, with eta = 0 and unclipped, leads back to
    about them.

    The step down solved for its start needs the noise predicted there; it is predicted at x_t for
    want of x_{t+1}, and then, `repeats` times in all, at the result: more lead back more exactly.
    Raises: TypeError or ValueError for images that are not floating point, steps outside 1..T,
        repeats below 1.
    Source: Song, Meng & Ermon 2021, section 5.4.
    """
    check_like("x_0", x_0, x_0)
    model, shorter = respaced(model, schedule, steps)
    x_t = x_next = x_0 = x_0.detach()
    for t in range(steps):
        for _ in range(positive_integer("repeats", repeats)):
            noise = evaluate(model, x_next, torch.full((len(x_0),), t + 1, device=x_0.device))
            x_next = forward_diffusion(
                predict_x0(x_t, t, noise, shorter) if t else x_0, t + 1, shorter, noise
            )[0]
        x_t = x_next
    return x_t
