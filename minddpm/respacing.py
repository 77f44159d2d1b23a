"""Fewer times: a shorter schedule, and the network called at the times of the long one."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from minddpm.checks import at_times, positive_integer
from minddpm.network import Adapted, Model, Predict
from minddpm.noising import Images
from minddpm.schedule import Schedule, check_schedule


def spaced_times(T: int, steps: int) -> Int64[Tensor, " steps_plus_1"]:
    """The times that a sampler visits in fewer steps: 0, T/steps, 2T/steps, ..., T.

    They are rounded as diffusers rounds its "trailing" timesteps.

    Args: T, at least 1; steps, 1..T.
    Returns: int64, shape (steps+1,), rising.
    Raises: TypeError or ValueError for steps that are not an integer in 1..T.
    """
    if positive_integer("steps", steps) > T:
        raise ValueError(f"steps must be at most T = {T}, got {steps}")
    downward = np.arange(T, 0, -T / steps)[:steps].round().astype(np.int64)
    return torch.from_numpy(np.append(downward, 0)[::-1].copy())


def respaced(
    model: Model, schedule: Schedule, steps: int | None = None
) -> tuple[Adapted, Schedule]:
    """Shorten the schedule to so many steps, and adapt the network to it. Any sampler takes both.

    Step k = 0..steps of the shorter schedule has the alpha_bar of the time k T / steps, and the
    network is called with that time.

    Args: steps, 1..T; None means 50, or T if that is less.
    Returns: the adapted network, called with t in 0..steps, and the shorter schedule. Another t is
        a ValueError; on an accelerator, PyTorch's own error.
    Raises: TypeError or ValueError for steps that are not an integer in 1..T.
    Source: Nichol & Dhariwal 2021, section 4.
    """
    check_schedule(schedule)
    steps = min(50, schedule.T) if steps is None else steps
    times = spaced_times(schedule.T, steps)
    alpha_bar = schedule.alpha_bar[times]
    # a step that leaves less signal than rounding can tell from none still has a beta below 1
    most = 1 - 2**-53 * (alpha_bar[1:] > 0).to(alpha_bar)
    beta = (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=most)
    shorter = Schedule(torch.cat([torch.zeros_like(beta[:1]), beta]), alpha_bar)

    def call(
        predict: Predict, x_t: Images, t: Int64[Tensor, " b"], *label: Tensor | None, times: Tensor
    ) -> Images:
        return predict(x_t, at_times(times, t, 0), *label)

    return Adapted(model, call, times=times), shorter
