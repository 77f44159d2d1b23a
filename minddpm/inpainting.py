"""Fill in a part of an image so that it fits the rest (RePaint, Lugmayr et al. 2022)."""

from collections.abc import Iterator

from jaxtyping import Bool
from torch import Tensor

from minddpm.checks import check_batch, check_mask, drawing_devices, positive_integer
from minddpm.loss import Variance
from minddpm.network import Model, check_precision_of, home_of
from minddpm.noising import Images, forward_diffusion, forward_step, standard_noise
from minddpm.posterior import beta_variance
from minddpm.progress import final_images
from minddpm.sampler import SampleStep, estimate, reverse_step
from minddpm.schedule import Device, Rng, Schedule, check_schedule

Mask = Bool[Tensor, "*any"]  # True where the image is filled in


def inpaint_steps(
    model: Model,
    images: Images,
    mask: Mask,
    schedule: Schedule,
    *,
    resamplings: int = 10,
    variance: Variance = beta_variance,
    clip: bool = True,
    generator: Rng = None,
    device: Device = None,
) -> Iterator[SampleStep]:
    """Fill in what the mask covers, yielding the state at t = T, T-1, ..., 1, and at t = 0 the
    finished images.

    A step from t to t-1 is the sampler's where the mask is True. Elsewhere it is the given image,
    noised to t-1. The two do not fit each other at first, because the sampler's step knew the given
    part only as noise. So x_{t-1} is noised to t again, and the step repeated, `resamplings` times
    in all. With 1, what is filled in is biased: it fits the rest too little.

    Args:
        model: as in `sample`, called resamplings T times; for fewer calls pass what `respaced`
            returns.
        images: shape (b, *dims), dtype of the model's weights; what stands under the mask is not
            looked at.
        mask: bool, True where images are to be filled in; of the shape of images, or one that
            broadcasts to it, such as (h, w).
        resamplings: how often each step is taken, at least 1.
        generator: source of randomness: x_T first; then for each step its noise, that of the given
            part, and, but for the last of the resamplings, that of the way back to t.
        variance, clip, device: as in `sample_steps`.
    Raises: TypeError or ValueError for arguments other than these.
    Source: Lugmayr et al. 2022, algorithm 1, with jumps of one step.
    """
    check_schedule(schedule)
    check_batch(images)
    check_precision_of(model, images, "images")
    check_mask(mask, images)
    resamplings = positive_integer("resamplings", resamplings)
    _, device = drawing_devices(generator, device, home_of(model)[0])
    given, mask = images.detach().to(device), mask.to(device)
    x_t = standard_noise(given, generator=generator)
    for t in schedule.steps():
        for left in reversed(range(resamplings)):
            x_0, _ = estimate(model, x_t, t, schedule, clip)
            made = reverse_step(x_t, t, x_0, schedule, variance=variance, generator=generator)
            kept, _ = forward_diffusion(given, t - 1, schedule, generator=generator)
            x_prev = made.where(mask, kept)
            if left:
                x_t = forward_step(x_prev, t, schedule, generator=generator)
        yield SampleStep(t, x_t, x_0)
        x_t = x_prev
    yield SampleStep(0, x_t, x_t)


def inpaint(
    model: Model,
    images: Images,
    mask: Mask,
    schedule: Schedule,
    *,
    resamplings: int = 10,
    variance: Variance = beta_variance,
    clip: bool = True,
    generator: Rng = None,
    device: Device = None,
    progress: bool = False,
) -> Images:
    """Fill in what the mask covers so that it fits the rest, which comes back exactly as it is.

    Args: progress, whether to show a progress bar over the T steps; all others as in
        `inpaint_steps`.
    Returns: images of the given shape.
    Raises: as `inpaint_steps`.
    Source: Lugmayr et al. 2022, algorithm 1, with jumps of one step.
    """
    check_schedule(schedule)
    states = inpaint_steps(
        model,
        images,
        mask,
        schedule,
        resamplings=resamplings,
        variance=variance,
        clip=clip,
        generator=generator,
        device=device,
    )
    return final_images(states, schedule.T, progress)
