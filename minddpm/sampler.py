"""The reverse process p: from noise to an image, one step at a time (Ho et al. 2020, algorithm 2)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Generator, nn

from minddpm.loss import Model, Variance, evaluate
from minddpm.noising import Images, check_like, predict_x0, standard_noise
from minddpm.posterior import beta_variance, posterior
from minddpm.schedule import Device, Schedule, Time, per_image, positive_integer

Step = Callable[..., Images]  # `reverse_step`, with some arguments given


class SampleStep(NamedTuple):
    """What the sampler holds at time t: the noisy image, and the clean one it sees behind it."""

    t: int
    x_t: Images
    x_0: Images  # the estimate from x_t; at t = 0 the sample itself


def reverse_step(
    x_t: Images, t: Time, predicted_noise: Images, schedule: Schedule, noise: Images | None = None, *,
    variance: Variance = beta_variance, clip: bool = False, generator: Generator | None = None,
) -> Images:  # fmt: skip
    """Take one denoising step, from x_t to x_{t-1} (known elsewhere as p_sample).

    x_{t-1} = mu_tilde_t(x_t, x_0 estimate) + sqrt(variance_t) noise, without noise at t = 1,
    whatever the variance Unclipped, the mean equals (x_t - beta_t / sqrt(1 - alpha_bar_t)
    predicted_noise) / sqrt(alpha_t).

    Args:
        x_t: noisy images, shape (b, *dims), floating point; t: their time, 1..T, an int or shape
            (b,).
        predicted_noise, noise: exactly the shape and dtype of x_t; the noise is drawn, from the
            generator, if None.
        variance: of the step, `beta_variance` or `posterior_variance`.
        clip: bound the x_0 estimate to [-1, 1], where images lie.
    Raises: TypeError or ValueError for t, dtype or shape other than these.
    Source: Ho et al. 2020, algorithm 2, eq. 7 and 11.
    """
    noise = standard_noise(x_t, noise, generator)
    x_0 = estimate_x0(x_t, t, predicted_noise, schedule, clip)
    spread = variance(t, schedule).sqrt() * (schedule.index(t) > 1)
    return posterior(x_0, x_t, t, schedule).mean + per_image(spread, x_t) * noise


def estimate_x0(
    x_t: Images, t: Time, predicted_noise: Images, schedule: Schedule, clip: bool
) -> Images:
    """The clean image that the predicted noise implies, bounded to [-1, 1] if asked."""
    check_like("predicted_noise", predicted_noise, x_t)
    x_0 = predict_x0(x_t, t, predicted_noise, schedule)
    return x_0.clamp(-1, 1) if clip else x_0


def sample_steps(
    model: Model, image_shape: Sequence[int], schedule: Schedule, *, variance: Variance = beta_variance,
    clip: bool = True, generator: Generator | None = None, device: Device = None,
) -> Iterator[SampleStep]:  # fmt: skip
    """Sample, yielding what is there at t = T, T-1, ..., 1, and at t = 0 the finished images: T + 1
    steps.

    Args:
        model: as in `simple_loss`; it is asked in inference mode, and an nn.Module in eval mode.
        image_shape: (b, *dims), the batch included.
        variance, clip: as in `reverse_step`.
        generator: source of randomness: x_T first, then one draw a step.
        device: where to compute; that of the model's parameters if None, else the CPU.
    Raises: TypeError or ValueError for an image_shape that is not of positive integers.
    Source: Ho et al. 2020, algorithm 2.
    """
    x_T = first_noise(model, image_shape, generator, device)
    yield from walk(
        model, x_T, schedule, clip, partial(reverse_step, variance=variance, generator=generator)
    )


def first_noise(
    model: Model, image_shape: Sequence[int], generator: Generator | None, device: Device
) -> Images:
    """Draw x_T for any sampler: the first draw of its generator, on the model's device unless
    another is asked for.
    """
    if not len(image_shape):
        raise ValueError("image_shape must be (b, *dims), the batch included, got ()")
    shape = tuple(
        positive_integer(f"each number of image_shape {tuple(image_shape)}", size)
        for size in image_shape
    )
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    device = device or (parameter.device if parameter is not None else "cpu")
    return torch.randn(
        shape, generator=generator, device=generator.device if generator else device
    ).to(device)


def walk(
    model: Model, x_t: Images, schedule: Schedule, clip: bool, step: Step
) -> Iterator[SampleStep]:
    """Go from x_T to the images by a step such as `reverse_step`, yielding what is there at each
    time.
    """
    for t in schedule.steps():
        predicted_noise = evaluate(model, x_t, torch.full((len(x_t),), t, device=x_t.device))
        yield SampleStep(t, x_t, estimate_x0(x_t, t, predicted_noise, schedule, clip))
        x_t = step(x_t, t, predicted_noise, schedule, clip=clip)
    yield SampleStep(0, x_t, x_t)


def finish(steps: Iterable[SampleStep], calls: int, progress: bool) -> Images:
    """Follow a sampler to its end, with a bar if asked, and return the images."""
    if progress:
        from tqdm.auto import tqdm

        steps = tqdm(steps, total=calls + 1, desc="sampling", unit="step")
    for step in steps:
        x_t = step.x_t
    return x_t


def sample(
    model: Model, image_shape: Sequence[int], schedule: Schedule, *, variance: Variance = beta_variance,
    clip: bool = True, generator: Generator | None = None, device: Device = None, progress: bool = False,
) -> Images:  # fmt: skip
    """Draw new images: start from noise and take all T reverse steps.

    Args: progress, show a bar; others as in `sample_steps`.
    Returns: images of shape image_shape; in [-1, 1] if clip.
    Raises: as `sample_steps`.
    Source: Ho et al. 2020, algorithm 2.
    """
    steps = sample_steps(
        model,
        image_shape,
        schedule,
        variance=variance,
        clip=clip,
        generator=generator,
        device=device,
    )
    return finish(steps, schedule.T, progress)
