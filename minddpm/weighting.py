"""A loss that teaches sooner what a digit looks like: L_simple with weights and even times."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from minddpm.checks import (
    check_batch,
    check_callable,
    check_weights,
    drawing_devices,
    positive_integer,
)
from minddpm.network import Model, predict
from minddpm.noising import Images, Noise, forward_diffusion
from minddpm.schedule import Rng, Schedule, Time, check_schedule, time_index

Weight = Callable[[Float64[Tensor, " b"]], Float[Tensor, " b"]]


def velocity_weight(alpha_bar: Float64[Tensor, " b"], most: float = 25.0) -> Float64[Tensor, " b"]:
    """Weights by which late times, where the shape of an image is decided, count more.

    The velocity is v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0. An error of the predicted
    noise is sqrt(alpha_bar) times the error of the velocity that it implies, so that with a weight
    of 1 / alpha_bar it counts as much as that. Where next to nothing is left of the image, the
    weight stays at `most`.

    Source: Salimans & Ho 2022, section 4, for the velocity.
    """
    return (1 / alpha_bar).clamp(max=most)


def even_times(
    batch_size: int, schedule: Schedule, *, generator: Rng = None
) -> Int64[Tensor, " {batch_size}"]:
    """Draw a time for each image, one in each of `batch_size` equal parts of 1, ..., T, rising.

    Each time alone is as likely as any other, but no batch has only late ones, so that the loss
    varies less.

    Raises: TypeError or ValueError for a batch_size that is not a positive integer, or a generator
        that is none.
    Source: Kingma et al. 2021, appendix I, who draw one number for all parts.
    """
    count = positive_integer("batch_size", batch_size)
    source, _ = drawing_devices(generator, None, torch.device("cpu"))
    within = torch.rand(count, generator=generator, device=source, dtype=torch.float64).cpu()
    share = (torch.arange(count, device="cpu") + within) / count
    return (share * schedule.T).long().clamp(max=schedule.T - 1) + 1


def weighted_loss(
    model: Model,
    x_0: Images,
    schedule: Schedule,
    *,
    weight: Weight = velocity_weight,
    t: Time | None = None,
    noise: Noise = None,
    generator: Rng = None,
) -> Float[Tensor, ""]:
    """L_simple with a weight for each time.

    mean of weight(alpha_bar_t) (noise - model(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise,
    t))^2

    Args: as in `simple_loss`, and
        weight: called with alpha_bar_t of each image, float64, shape (b,); returns a weight each.
        t: as in `simple_loss`, but drawn by `even_times` if None.
    Returns: a scalar that carries gradients to the model.
    Raises: as `simple_loss`; TypeError or ValueError for a weight that is no function, or returns
        something of another shape.
    Source: Hang et al. 2023 compare such weights.
    """
    check_callable("weight", weight, "velocity_weight")
    check_batch(x_0)
    check_schedule(schedule)
    if t is None:
        t = even_times(len(x_0), schedule, generator=generator)
    t = time_index(t, schedule)
    x_t, noise = forward_diffusion(x_0, t, schedule, noise, generator=generator)
    t = t if t.ndim else t.expand(len(x_0))
    errors = (predict(model, x_t, t.to(x_t.device)) - noise).square().flatten(1).mean(1)
    weights = weight(schedule.alpha_bar[t])
    check_weights(weights, len(x_0))
    return (weights.to(errors) * errors).mean()
