"""What the network is trained for: the variational bound, and the simple loss inside it.

Ho et al. 2020, section 3.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from minddpm.checks import check_batch, check_gaussian, check_range, checked_variance
from minddpm.network import Model, call_model, predict
from minddpm.noising import Images, Noise, forward_diffusion, x0_from_noise
from minddpm.posterior import Gaussian, posterior_variance, q_posterior
from minddpm.schedule import Coefficient, Rng, Schedule, Time, check_schedule, per_image, time_index

Variance = Callable[[Time, Schedule], Coefficient]


def gaussian_kl(p: Gaussian, q: Gaussian) -> Float[Tensor, "..."]:
    """KL(p || q) of normal distributions, in nats, element by element.

    KL = (log(q.variance / p.variance) + (p.variance + (p.mean - q.mean)^2) / q.variance - 1) / 2

    Args: p and q, means of any shape; variances positive and broadcasting against them.
    Returns: the shape that all four broadcast to.
    Raises: TypeError for what is no Gaussian of floating-point tensors; ValueError for a variance
        that is not positive.
    """
    check_gaussian("p", p)
    check_gaussian("q", q)
    ratio = q.variance / p.variance
    distance = (p.mean - q.mean) ** 2
    return (torch.log(ratio) + (p.variance + distance) / q.variance - 1) / 2


def simple_loss(
    model: Model,
    x_0: Images,
    schedule: Schedule,
    *,
    t: Time | None = None,
    noise: Noise = None,
    generator: Rng = None,
) -> Float[Tensor, ""]:
    """L_simple: the mean squared error of the predicted noise.

    L_simple = mean of (noise - model(sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, t))^2

    Args:
        model: takes x_t and t (int64, shape (b,)) and predicts the noise.
        x_0: clean images, shape (b, *dims), floating point.
        t: times 1..T, an int or shape (b,); drawn uniformly, one for each image, if None.
        noise: standard normal, the shape of x_0; drawn with the generator, after t, if None.
    Returns: a scalar that carries gradients to the model.
    Raises: TypeError or ValueError for inputs, or a prediction, of the wrong kind or shape.
    Source: Ho et al. 2020, eq. 14.
    """
    check_batch(x_0)
    check_schedule(schedule)
    if t is None:
        t = schedule.sample_t(len(x_0), generator=generator)
    t = time_index(t, schedule)
    x_t, noise = forward_diffusion(x_0, t, schedule, noise, generator=generator)
    t = t if t.ndim else t.expand(len(x_0))
    predicted_noise = predict(model, x_t, t.to(x_t.device))
    return F.mse_loss(predicted_noise, noise)


class VariationalBound(NamedTuple):
    """The terms of the negative evidence lower bound, in nats per image, and their sum."""

    prior: Float64[Tensor, " b"]  # L_T: KL(q(x_T | x_0) || N(0, I))
    denoising: Float64[Tensor, "b T-1"]  # L_{t-1}: KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))
    reconstruction: Float64[Tensor, " b"]  # L_0: -log p(x_0 | x_1)
    total_bits_per_dim: Float64[Tensor, " b"]  # (L_T + sum of L_{t-1} + L_0) / (ln 2 * pixels)


@torch.inference_mode()
def variational_bound(
    model: Model,
    x_0: Images,
    schedule: Schedule,
    *,
    variance: Variance = posterior_variance,
    generator: Rng = None,
) -> VariationalBound:
    """Evaluate every term of the negative variational bound, with one draw of the noise for each t.

    The model's reverse step is N(mu_tilde(x_t, predicted x_0), variance(t)), nothing clipped; the
    paper's own code clips the predicted x_0 to [-1, 1]. At t = 1, where beta tilde is 0, the
    decoder takes the variance of t = 2, as that code does. The terms are computed on the CPU in
    float64.

    Args:
        model: as in `simple_loss`; called in inference mode and, if it is an nn.Module, eval mode.
        x_0: 8-bit images, pixels k / 127.5 - 1 for k = 0..255, shape (b, *dims).
        schedule: with T >= 2.
        variance: of the reverse step, `posterior_variance` or `beta_variance`.
        generator: source of randomness, one draw for each step from t = T to 1.
    Returns: the terms in nats per image and their sum in bits per dimension, float64; the columns
        of `denoising` are t = T, T-1, ..., 2.
    Raises: ValueError for values outside [-1, 1] or T < 2; TypeError for images that are not
        floating point or not of the weights' dtype, or for a variance that is not a function.
    Source: Ho et al. 2020, eq. 5, 8 and 13.
    """
    check_range(x_0)
    variance_at = checked_variance(variance)
    check_schedule(schedule, least=2)
    clean = x_0.cpu().double()
    pixels = tuple(range(1, x_0.ndim))
    alpha_bar = per_image(schedule.alpha_bar[schedule.T], clean)
    standard = Gaussian(torch.zeros_like(clean), torch.ones_like(alpha_bar))
    prior = gaussian_kl(Gaussian(alpha_bar.sqrt() * clean, 1 - alpha_bar), standard).sum(pixels)
    denoising = []
    for t in schedule.steps():
        x_t, _ = forward_diffusion(x_0, t, schedule, generator=generator)
        predicted_noise = call_model(model, x_t, t).cpu().double()
        x_t = x_t.cpu().double()
        predicted_x0 = x0_from_noise(x_t, t, predicted_noise, schedule)
        if t > 1:
            truth = q_posterior(clean, x_t, t, schedule)
            guess = q_posterior(predicted_x0, x_t, t, schedule)
            guess = guess._replace(variance=per_image(variance_at(t, schedule), clean))
            denoising.append(gaussian_kl(truth, guess).sum(pixels))
    width = variance_at(1, schedule) or variance_at(2, schedule)
    decoder = Gaussian(predicted_x0, per_image(width, clean))
    reconstruction = -discretised_log_likelihood(clean, decoder).sum(pixels)
    terms = torch.stack(denoising, dim=1)
    bits = (prior + terms.sum(1) + reconstruction) / math.log(2)
    return VariationalBound(prior, terms, reconstruction, bits / math.prod(x_0.shape[1:]))


def discretised_log_likelihood(x_0: Images, decoder: Gaussian) -> Images:
    """The log probability that a normal distribution gives to the bin of each 8-bit pixel, in nats.

    log of the integral of N(x; mean, variance) from x_0 - 1/255 to x_0 + 1/255;
    the bin of x_0 = -1 reaches to minus infinity, that of x_0 = 1 to infinity.

    Args: x_0, pixels k / 127.5 - 1, k = 0..255; decoder, the distribution, mean of the shape of
        x_0.
    Source: Ho et al. 2020, eq. 13.
    """
    centre = x_0 - decoder.mean
    spread = decoder.variance.sqrt()
    lower = torch.where(x_0 < -0.999, -math.inf, (centre - 1 / 255) / spread)
    upper = torch.where(x_0 > 0.999, math.inf, (centre + 1 / 255) / spread)
    # a bin in the right tail is mirrored to the left one, where the cumulative normal keeps its
    # digits
    right = lower + upper > 0
    lower, upper = torch.where(right, -upper, lower), torch.where(right, -lower, upper)
    log_lower: Tensor = torch.special.log_ndtr(lower)
    log_upper: Tensor = torch.special.log_ndtr(upper)
    return log_upper + torch.log1p(-torch.exp(log_lower - log_upper))
