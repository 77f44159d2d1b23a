"""What the network is trained for: the variational bound, and the simple loss inside it (Ho et al.
2020, section 3).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from minddpm.noising import Images, check_like, forward_diffusion, predict_x0
from minddpm.posterior import Gaussian, posterior, posterior_variance
from minddpm.schedule import Coefficient, Schedule, Time, per_image

Model = Callable[[Tensor, Tensor], Tensor]
Variance = Callable[[Time, Schedule], Coefficient]


def gaussian_kl(p: Gaussian, q: Gaussian) -> Float[Tensor, "..."]:
    """KL(p || q) of normal distributions, in nats, element by element.

    KL = (log(q.variance / p.variance) + (p.variance + (p.mean - q.mean)^2) / q.variance - 1) / 2

    Args: p and q, means of any shape; variances positive and broadcasting against them.
    Returns: the shape that the four broadcast to.
    Raises: ValueError for a variance that is not positive.
    """
    for name, variance in (("p", p.variance), ("q", q.variance)):
        if not bool((variance > 0).all()):
            raise ValueError(f"variances must be positive, got {variance.min().item():g} in {name}")
    return (
        torch.log(q.variance / p.variance) + (p.variance + (p.mean - q.mean) ** 2) / q.variance - 1
    ) / 2


def simple_loss(
    model: Model, x_0: Images, schedule: Schedule, *, t: Time | None = None, noise: Images | None = None,
    generator: Generator | None = None,
) -> Float[Tensor, ""]:  # fmt: skip
    """L_simple: how far the network's guess of the noise is from the noise, squared, on average
    over every pixel.

    L_simple = mean of (noise - model(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, t))^2

    Args:
        model: takes x_t and t (int64, shape (b,)) and predicts the noise.
        x_0: clean images, shape (b, *dims), floating point.
        t: times 1..T, an int or shape (b,); drawn uniformly, one for each image, if None.
        noise: standard normal, the shape of x_0; drawn if None, after t, from the generator.
    Returns: a scalar that carries gradients to the model.
    Raises: TypeError or ValueError for inputs, or a prediction, of the wrong kind or shape.
    Source: Ho et al. 2020, eq. 14.
    """
    if t is None:
        t = schedule.sample_t(len(x_0), generator=generator)
    times = schedule.index(t).to(x_0.device)
    times = times if times.ndim else times.expand(len(x_0))
    x_t, noise = forward_diffusion(x_0, times, schedule, noise, generator=generator)
    predicted_noise = model(x_t, times)
    check_like("predicted noise", predicted_noise, noise)
    return F.mse_loss(predicted_noise, noise)


class VariationalBound(NamedTuple):
    """The terms of the negative evidence lower bound, in nats per image, and their sum."""

    prior: Float64[Tensor, "b"]  # L_T: KL(q(x_T | x_0) || N(0, I))
    denoising: Float64[
        Tensor, "b T-1"
    ]  # L_{t-1}: KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)), t = T..2
    reconstruction: Float64[Tensor, "b"]  # L_0: -log p(x_0 | x_1)
    total_bits_per_dim: Float64[Tensor, "b"]  # (L_T + sum of L_{t-1} + L_0) / (ln 2 * pixels)


@torch.inference_mode()
def variational_bound(
    model: Model, x_0: Images, schedule: Schedule, *, variance: Variance = posterior_variance,
    generator: Generator | None = None,
) -> VariationalBound:  # fmt: skip
    """Evaluate every term of the negative variational bound on 8-bit images, with one draw of the
    noise for each t.

    The model's reverse step is N(mu_tilde(x_t, predicted x_0), variance(t)), nothing clipped. At t
    = 1, where beta tilde is 0, the decoder borrows the variance of t = 2, as the paper's own code
    does.

    Args:
        model: as in `simple_loss`; an nn.Module is put in eval mode meanwhile.
        x_0: images whose pixels are k / 127.5 - 1 for k = 0..255, shape (b, *dims), values in [-1,
            1].
        schedule: with T >= 2; variance: of the reverse step, `posterior_variance` or
            `beta_variance`.
        generator: source of randomness, one draw a step from t = T to 1.
    Returns: the terms in nats per image and their sum in bits per dimension, float64.
    Raises: ValueError for values outside [-1, 1] or T < 2; TypeError for images that are not
        floating point.
    Source: Ho et al. 2020, eq. 5, 8 and 13.
    """
    check_like("x_0", x_0, x_0)
    if schedule.T < 2:
        raise ValueError(f"the bound needs a schedule with T at least 2, got {schedule.T}")
    if not bool((x_0.abs() <= 1).all()):
        raise ValueError(
            f"images must lie in [-1, 1], got values in [{x_0.min().item():g},"
            f" {x_0.max().item():g}]"
        )
    clean, pixels = x_0.double(), tuple(range(1, x_0.ndim))

    alpha_bar = per_image(schedule.alpha_bar[schedule.T], clean)
    standard = Gaussian(torch.zeros_like(clean), torch.ones_like(alpha_bar))
    prior = gaussian_kl(Gaussian(alpha_bar.sqrt() * clean, 1 - alpha_bar), standard)
    denoising = []
    for t in schedule.steps():
        x_t, _ = forward_diffusion(x_0, t, schedule, generator=generator)
        predicted_noise = evaluate(model, x_t, torch.full((len(x_0),), t, device=x_0.device))
        predicted_x0 = predict_x0(x_t.double(), t, predicted_noise.double(), schedule)
        if t > 1:
            truth = posterior(clean, x_t.double(), t, schedule)
            guess = posterior(predicted_x0, x_t.double(), t, schedule)
            guess = guess._replace(variance=per_image(variance(t, schedule), clean))
            denoising.append(gaussian_kl(truth, guess).sum(pixels))
    width = variance(1, schedule) or variance(2, schedule)
    reconstruction = -discretised_log_likelihood(
        clean, Gaussian(predicted_x0, per_image(width, clean))
    ).sum(pixels)
    terms = prior.sum(pixels), torch.stack(denoising, dim=1), reconstruction
    bits = (terms[0] + terms[1].sum(1) + terms[2]) / math.log(2)
    return VariationalBound(*terms, bits / math.prod(x_0.shape[1:]))


def discretised_log_likelihood(x_0: Images, decoder: Gaussian) -> Images:
    """The log probability that a normal distribution gives to the bin of each 8-bit pixel, in nats.

    log of the integral of N(x; mean, variance) from x_0 - 1/255 to x_0 + 1/255;
    the bin of x_0 = -1 reaches to minus infinity, that of x_0 = 1 to infinity.

    Args: x_0, pixels k / 127.5 - 1, k = 0..255; decoder, the distribution, mean of the shape of
        x_0.
    Source: Ho et al. 2020, eq. 13.
    """
    centre, spread = x_0 - decoder.mean, decoder.variance.sqrt()
    lower = torch.where(x_0 < -0.999, -math.inf, (centre - 1 / 255) / spread)
    upper = torch.where(x_0 > 0.999, math.inf, (centre + 1 / 255) / spread)
    # a bin in the right tail is mirrored to the left one, where the cumulative normal keeps its
    # digits
    lower, upper = (
        torch.where(lower + upper > 0, -upper, lower),
        torch.where(lower + upper > 0, -lower, upper),
    )
    log_lower, log_upper = torch.special.log_ndtr(lower), torch.special.log_ndtr(upper)
    return log_upper + torch.log1p(-torch.exp(log_lower - log_upper))


@torch.inference_mode()
def evaluate(model: Model, x_t: Images, t: Int64[Tensor, "b"]) -> Images:
    """Ask the model for the noise in eval and inference mode, leave its modes as they were, and
    check what it says.
    """
    training = (
        [module for module in model.modules() if module.training]
        if isinstance(model, torch.nn.Module)
        else []
    )
    for module in training:
        module.training = False
    try:
        predicted_noise = model(x_t, t)
    finally:
        for module in training:
            module.training = True
    check_like("predicted noise", predicted_noise, x_t)
    return predicted_noise
