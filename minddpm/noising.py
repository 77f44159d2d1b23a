"""The forward process q: from a clean image to noise, by one step or by one jump (Ho et al. 2020,
eq. 2 and 4).
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from minddpm.schedule import Schedule, Time, per_image

Images = Float[Tensor, "b *dims"]


def forward_step(
    x_prev: Images,
    t: Time,
    schedule: Schedule,
    noise: Images | None = None,
    *,
    generator: Generator | None = None,
) -> Images:
    """Take one noising step, from x_{t-1} to x_t.

    x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise, a draw of q(x_t | x_{t-1})

    Args:
        x_prev: x_{t-1}, shape (b, *dims), floating point.
        t: the time of the result, 1..T, an int or shape (b,).
        noise: standard normal, exactly the shape and dtype of x_prev; drawn, from the generator, if
            None.
    Raises: TypeError or ValueError for t, dtype or shape other than these.
    Source: Ho et al. 2020, eq. 2.
    """
    t = schedule.index(t)
    noise = standard_noise(x_prev, noise, generator)
    beta = schedule.beta[t]
    return per_image((1 - beta).sqrt(), x_prev) * x_prev + per_image(beta.sqrt(), x_prev) * noise


def forward_diffusion(
    x_0: Images,
    t: Time,
    schedule: Schedule,
    noise: Images | None = None,
    *,
    generator: Generator | None = None,
) -> tuple[Images, Images]:
    """Jump from the clean image x_0 straight to x_t (known elsewhere as q_sample).

    x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, a draw of q(x_t | x_0)

    Args: as in `forward_step`, x_0 being the clean images, and t the time to jump to, 0..T; t = 0
        gives x_0 back.
    Returns: x_t and the noise it was made with, both of the shape of x_0.
    Raises: TypeError or ValueError for t, dtype or shape other than these.
    Source: Ho et al. 2020, eq. 4.
    """
    t = schedule.index(t, first=0)
    noise = standard_noise(x_0, noise, generator)
    alpha_bar = schedule.alpha_bar[t]
    return (
        per_image(alpha_bar.sqrt(), x_0) * x_0 + per_image((1 - alpha_bar).sqrt(), x_0) * noise,
        noise,
    )


def predict_x0(x_t: Images, t: Time, noise: Images, schedule: Schedule) -> Images:
    """Solve the jump for x_0: the clean image that x_t and its noise imply.

    x_0 = (x_t - sqrt(1 - alpha_bar_t) noise) / sqrt(alpha_bar_t), for t in 1..T
    Raises: TypeError or ValueError for t, dtype or shape that does not fit.
    Source: Ho et al. 2020, eq. 4 as put into eq. 9.
    """
    t = schedule.index(t)
    noise = standard_noise(x_t, noise)
    alpha_bar = schedule.alpha_bar[t]
    return (x_t - per_image((1 - alpha_bar).sqrt(), x_t) * noise) / per_image(alpha_bar.sqrt(), x_t)


def predict_noise(x_t: Images, t: Time, x_0: Images, schedule: Schedule) -> Images:
    """Solve the jump for the noise: what was added to x_0 to make x_t.

    noise = (x_t - sqrt(alpha_bar_t) x_0) / sqrt(1 - alpha_bar_t), for t in 1..T
    Raises: TypeError or ValueError for t, dtype or shape that does not fit.
    Source: Ho et al. 2020, eq. 4 rearranged.
    """
    t = schedule.index(t)
    check_like("x_0", x_0, x_t)
    alpha_bar = schedule.alpha_bar[t]
    return (x_t - per_image(alpha_bar.sqrt(), x_t) * x_0) / per_image((1 - alpha_bar).sqrt(), x_t)


def standard_noise(
    x: Images, noise: Tensor | None = None, generator: Generator | None = None
) -> Images:
    """Draw standard normal noise for the images x, or check that the noise given fits them exactly."""
    check_like("noise", x if noise is None else noise, x)
    if noise is not None:
        return noise
    source = generator.device if generator else x.device
    return torch.randn(x.shape, dtype=x.dtype, generator=generator, device=source).to(x.device)


def check_like(name: str, tensor: Tensor, images: Tensor) -> None:
    """Raise unless both are floating point, of one dtype and of exactly one shape: nothing
    broadcasts over a batch.
    """
    if not images.is_floating_point():
        raise TypeError(f"images must be floating point, got {images.dtype}")
    if tensor.dtype != images.dtype:
        raise TypeError(f"{name} must have the images' dtype {images.dtype}, got {tensor.dtype}")
    if tensor.shape != images.shape:
        raise ValueError(
            f"{name} must have the images' shape {tuple(images.shape)}, got {tuple(tensor.shape)}"
        )
