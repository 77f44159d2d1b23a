"""A loss that teaches sooner what a digit looks like: L_simple with weights and even times."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from minddpm.checks import (
    check_batch,
    check_callable,
    check_like,
    check_limit,
    check_positive,
    check_weights,
    drawing_devices,
    positive_integer,
)
from minddpm.network import Model, predict
from minddpm.noising import Images, Noise, forward_diffusion
from minddpm.schedule import Rng, Schedule, Time, check_schedule, time_index
from minddpm.targets import Conversion

Weight = Callable[[Float64[Tensor, " b"]], Float[Tensor, " b"]]


def velocity_weight(alpha_bar: Float64[Tensor, " b"], most: float = 25.0) -> Float64[Tensor, " b"]:
    """Weights by which late times, where the shape of an image is decided, count more.

    The velocity is v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0. An error of the predicted
    noise is sqrt(alpha_bar) times the error of the velocity that it implies, so that with a weight
    of 1 / alpha_bar it counts as much as that. Where next to nothing is left of the image, the
    weight stays at `most`.

    Args: most, positive; infinite for no limit.
    Raises: TypeError or ValueError for another most.
    Source: Salimans & Ho 2022, section 4, for the velocity.
    """
    check_limit("most", most)
    return (1 / alpha_bar).clamp(max=most)


def min_snr_weight(alpha_bar: Float64[Tensor, " b"], gamma: float = 5.0) -> Float64[Tensor, " b"]:
    """Weights by which early times, where little noise is left, count less.

    min(1, gamma / SNR), with SNR = alpha_bar / (1 - alpha_bar)

    An error of the predicted noise is sqrt(SNR) times the error of the x_0 that it implies, so that
    this is min(SNR, gamma) for the error of x_0. For the velocity's it is that over SNR + 1.

    Args: gamma, positive and finite.
    Raises: TypeError or ValueError for another gamma.
    Source: Hang et al. 2023, section 3.4.
    """
    check_positive("gamma", gamma)
    return (gamma * (1 - alpha_bar) / alpha_bar).clamp(max=1)


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
    target: Conversion | None = None,
    t: Time | None = None,
    noise: Noise = None,
    generator: Rng = None,
) -> Float[Tensor, ""]:
    """L_simple with a weight for each time, and perhaps for a network that predicts something else.

    mean of weight(alpha_bar_t) (target - model(x_t, t))^2,
    x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise

    Args: as in `simple_loss`, and
        weight: called with alpha_bar_t of each image, float64, shape (b,); returns a weight each,
            for the error of whatever the target is.
        target: called as target(x_t, t, x_0, schedule), such as `velocity_from_x0`; returns what
            the model should, of the shape and dtype of x_t. None means the noise.
        t: as in `simple_loss`, but drawn by `even_times` if None.
    Returns: a scalar that carries gradients to the model.
    Raises: as `simple_loss`; TypeError or ValueError for a weight or target that is no function, or
        returns something of another shape.
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
    wanted = noise
    if target is not None:
        check_callable("target", target, "velocity_from_x0")
        wanted = target(x_t, t, x_0, schedule)
        check_like("target", wanted, x_t)
    errors = (predict(model, x_t, t.to(x_t.device)) - wanted).square().flatten(1).mean(1)
    weights = weight(schedule.alpha_bar[t])
    check_weights(weights, len(x_0))
    return (weights.to(errors) * errors).mean()
