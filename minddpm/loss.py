"""What the network is trained for: the variational bound, and the simple loss inside it (Ho et al. 2020, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from minddpm.noising import check_like, forward_diffusion, predict_x0, standard_noise
from minddpm.posterior import Gaussian, posterior, posterior_variance
from minddpm.schedule import Schedule, per_image

Model = Callable[[Tensor, Tensor], Tensor]
Variance = Callable[["int | Tensor", Schedule], Tensor]


def gaussian_kl(p: Gaussian, q: Gaussian) -> Float[Tensor, "..."]:
    """KL(p || q) of normal distributions, in nats, element by element.

    KL = (log(q.variance / p.variance) + (p.variance + (p.mean - q.mean)^2) / q.variance - 1) / 2

    Args:
        p, q: means of any shape; variances positive and broadcasting against them.

    Returns: the shape that the four broadcast to.
    Raises: ValueError for a variance that is not positive.
    """
    for name, variance in (("p", p.variance), ("q", q.variance)):
        if not bool((variance > 0).all()):
            raise ValueError(f"variances must be positive, got {variance.min().item():g} in {name}")
    return (torch.log(q.variance / p.variance) + (p.variance + (p.mean - q.mean) ** 2) / q.variance - 1) / 2


def simple_loss(
    model: Model,
    x_0: Float[Tensor, "b *dims"],
    schedule: Schedule,
    *,
    t: int | Int64[Tensor, "b"] | None = None,
    noise: Float[Tensor, "b *dims"] | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """L_simple: how far the network's guess of the noise is from the noise, squared, on average over every pixel.

    L_simple = mean of (noise - model(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, t))^2

    Args:
        model: takes x_t and t (int64, shape (b,)) and predicts the noise.
        x_0: clean images, shape (b, *dims), floating point.
        schedule: the noise schedule.
        t: times 1..T, an int or shape (b,); drawn uniformly, one for each image, if None.
        noise: standard normal, the shape of x_0; drawn if None.
        generator: source of randomness for the draws, t first.

    Returns: a scalar that carries gradients to the model.
    Raises: TypeError or ValueError for inputs, or a prediction, of the wrong kind or shape.
    Source: Ho et al. 2020, eq. 14.
    """
    if t is None:
        t = schedule.sample_t(len(x_0), generator=generator, device=x_0.device)
    times = schedule.index(t).to(x_0.device).expand(len(x_0)) if isinstance(t, int) else t
    x_t, noise = forward_diffusion(x_0, times, schedule, noise, generator=generator)
    predicted_noise = model(x_t, times)
    check_like("predicted noise", predicted_noise, noise)
    return F.mse_loss(predicted_noise, noise)


class VariationalBound(NamedTuple):
    """The terms of the negative evidence lower bound, in nats per image, and their sum."""

    prior: Float64[Tensor, "b"]  # L_T: KL(q(x_T | x_0) || N(0, I))
    denoising: Float64[Tensor, "b T-1"]  # L_{t-1}: KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), t = T..2
    reconstruction: Float64[Tensor, "b"]  # L_0: -log p(x_0 | x_1)
    total_bits_per_dim: Float64[Tensor, "b"]  # (L_T + sum of L_{t-1} + L_0) / (ln 2 * pixels)
