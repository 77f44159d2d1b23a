"""The forward process q: from a clean image to noise, step by step or in one jump.

Ho et al. 2020, eq. 2 and 4.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from minddpm.checks import check_images, check_like, check_signal, source_device
from minddpm.schedule import Rng, Schedule, Time, per_image, time_index

Images = Float[Tensor, " b *dims"]
Noise = Images | None  # drawn if None


def forward_step(
    x_prev: Images, t: Time, schedule: Schedule, noise: Noise = None, *, generator: Rng = None
) -> Images:
    """Take one noising step, from x_{t-1} to x_t.

    x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise, a draw of q(x_t | x_{t-1})

    Args:
        x_prev: x_{t-1}, shape (b, *dims), floating point.
        t: the time of the result, 1..T, an int or shape (b,).
        noise: standard normal, exactly the shape and dtype of x_prev; drawn with the generator if
            None.
    Raises: TypeError or ValueError for t, dtype or shape other than these.
    Source: Ho et al. 2020, eq. 2.
    """
    t = time_index(t, schedule)
    noise = standard_noise(x_prev, noise, generator)
    beta = schedule.beta[t]
    return per_image((1 - beta).sqrt(), x_prev) * x_prev + per_image(beta.sqrt(), x_prev) * noise


def forward_diffusion(
    x_0: Images, t: Time, schedule: Schedule, noise: Noise = None, *, generator: Rng = None
) -> tuple[Images, Images]:
    """Jump from the clean image x_0 straight to x_t (known elsewhere as q_sample).

    x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, a draw of q(x_t | x_0)

    Args: as in `forward_step`; x_0 (elsewhere x_start) are the clean images, t is the time to jump
        to, 0..T. t = 0 returns x_0.
    Returns: x_t and the noise in it, both of the shape of x_0.
    Raises: TypeError or ValueError for t, dtype or shape other than these.
    Source: Ho et al. 2020, eq. 4.
    """
    t = time_index(t, schedule, first=0)
    noise = standard_noise(x_0, noise, generator)
    signal, spread = jump_coefficients(t, schedule, x_0)
    return signal * x_0 + spread * noise, noise


def x0_from_noise(x_t: Images, t: Time, noise: Images, schedule: Schedule) -> Images:
    """Solve the jump for x_0: the clean image that x_t and its noise imply.

    x_0 = (x_t - sqrt(1 - alpha_bar_t) noise) / sqrt(alpha_bar_t), for t in 1..T

    Raises: TypeError or ValueError for a t, dtype or shape that does not fit; ValueError where
        alpha_bar_t is 0.
    Source: Ho et al. 2020, eq. 4 as used in eq. 9.
    """
    t = time_index(t, schedule)
    noise = standard_noise(x_t, noise)
    check_signal(schedule.alpha_bar[t], t)
    signal, spread = jump_coefficients(t, schedule, x_t)
    return (x_t - spread * noise) / signal


def noise_from_x0(x_t: Images, t: Time, x_0: Images, schedule: Schedule) -> Images:
    """Solve the jump for the noise: what was added to x_0 to make x_t.

    noise = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t), for t in 1..T

    Raises: TypeError or ValueError for a t, dtype or shape that does not fit.
    Source: Ho et al. 2020, eq. 4 rearranged.
    """
    t = time_index(t, schedule)
    check_like("x_0", x_0, x_t)
    signal, spread = jump_coefficients(t, schedule, x_t)
    return (x_t - signal * x_0) / spread


def moved(x_t: Images, t: Time, x_0: Images, to: Time, schedule: Schedule) -> Images:
    """Move x_t to another time, and keep x_0 and the noise that both imply: DDIM's step.

    Args: as in `noise_from_x0`; to, the new time, 0..T, an int or shape (b,).
    """
    noise = noise_from_x0(x_t, t, x_0, schedule)
    return forward_diffusion(x_0, to, schedule, noise)[0]


def jump_coefficients(t: Time, schedule: Schedule, x: Images) -> tuple[Tensor, Tensor]:
    """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t), shaped to multiply the images x."""
    alpha_bar = schedule.alpha_bar[t]
    return per_image(alpha_bar.sqrt(), x), per_image((1 - alpha_bar).sqrt(), x)


def standard_noise(x: Images, noise: Noise = None, generator: Rng = None) -> Images:
    """Draw standard normal noise for the images x, or check that the given noise fits them."""
    if noise is not None:
        check_like("noise", noise, x)
        return noise
    check_images(x)
    source = source_device(generator, x.device)
    return torch.randn(x.shape, dtype=x.dtype, generator=generator, device=source).to(x.device)
