"""Where a sampler starts: at noise, or at an image on its way, on the device of the network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from minddpm.checks import check_start, checked_shape, drawing_devices
from minddpm.network import Model, check_precision_of, home_of
from minddpm.noising import Images
from minddpm.schedule import Device, Rng, Schedule, check_schedule

Start = tuple[Tensor, int] | None  # x_t and its t


def starting_point(
    model: Model,
    image_shape: Sequence[int],
    schedule: Schedule,
    start: Start,
    generator: Rng,
    device: Device,
) -> tuple[Images, Schedule]:
    """Where a sampler starts: at an x_T drawn with the generator, or at `start`.

    Returns: x_T and the schedule; or the given x_t and the first t steps of the schedule.
    Raises: as `sampler.sample_steps`.
    """
    check_schedule(schedule)
    shape = checked_shape(image_shape)
    home, dtype = home_of(model)
    source, device = drawing_devices(generator, device, home)
    if start is not None:
        check_start(start, shape)
        x_t, t = start
        check_precision_of(model, x_t, "start's x_t")
        return x_t.detach().to(device), schedule.until(t)
    x_T = torch.randn(shape, generator=generator, device=source, dtype=dtype)
    return x_T.to(device), schedule
