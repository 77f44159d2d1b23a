"""The reverse process p: from noise to an image, step by step (Ho et al. 2020, algorithm 2)."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from minddpm.checks import checked_variance
from minddpm.loss import Variance
from minddpm.network import Model, call_model
from minddpm.noising import Images, Noise, standard_noise, x0_from_noise
from minddpm.posterior import beta_variance, q_posterior
from minddpm.progress import final_images
from minddpm.schedule import Device, Rng, Schedule, Time, per_image, time_index
from minddpm.start import Start, starting_point

Step = Callable[[Images, int, Images, Images], Images]  # x_{t-1} from x_t, t, x_0, predicted noise


class SampleStep(NamedTuple):
    """The state of a sampler at time t: the noisy image, and its estimate of the clean one."""

    t: int
    x_t: Images
    x_0: Images  # the estimate from x_t; at t = 0 the sample itself


def reverse_step(
    x_t: Images,
    t: Time,
    x_0: Images,
    schedule: Schedule,
    noise: Noise = None,
    *,
    variance: Variance = beta_variance,
    generator: Rng = None,
) -> Images:
    """Take one denoising step, from x_t to x_{t-1} (known elsewhere as p_sample).

    x_{t-1} = mu_tilde_t(x_t, x_0) + sqrt(variance_t) noise, without noise at t = 1

    With x_0 = x0_from_noise(x_t, t, predicted_noise), not clipped, the mean equals
    (x_t - beta_t / sqrt(1 - alpha_bar_t) predicted_noise) / sqrt(alpha_t).

    Args:
        x_t: noisy images, shape (b, *dims), floating point; t: their time, 1..T, an int or shape
            (b,).
        x_0: the estimate of the clean images, exactly the shape and dtype of x_t.
        noise: standard normal, of the same shape and dtype; drawn with the generator if None.
        variance: a function of t and the schedule, `beta_variance` or `posterior_variance`.
    Raises: TypeError or ValueError for arguments other than these.
    Source: Ho et al. 2020, algorithm 2, eq. 7 and 11.
    """
    variance_at = checked_variance(variance)
    noise = standard_noise(x_t, noise, generator)
    mean, _ = q_posterior(x_0, x_t, t, schedule)
    spread = variance_at(t, schedule).sqrt() * (time_index(t, schedule) > 1)
    return mean + per_image(spread, x_t) * noise


def estimate(
    model: Model, x_t: Images, t: int, schedule: Schedule, clip: bool
) -> tuple[Images, Images]:
    """Estimate x_0 from the noise that the model predicts, clipped to [-1, 1] if asked.

    Returns: the estimate and the predicted noise.
    """
    predicted_noise = call_model(model, x_t, t)
    x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
    return (x_0.clamp(-1, 1) if clip else x_0), predicted_noise


def reverse_process(
    model: Model, x_T: Images, schedule: Schedule, step: Step, *, clip: bool
) -> Iterator[SampleStep]:
    """Go from x_T to x_0, yielding the state at t = T, T-1, ..., 1, 0.

    At each t the model predicts the noise, the noise implies an estimate of x_0, which is clipped
    to [-1, 1] if asked, and the step turns x_t and the estimate into x_{t-1}.
    """
    x_t = x_T
    for t in schedule.steps():
        x_0, predicted_noise = estimate(model, x_t, t, schedule, clip)
        yield SampleStep(t, x_t, x_0)
        x_t = step(x_t, t, x_0, predicted_noise)
    yield SampleStep(0, x_t, x_t)


def ancestral(schedule: Schedule, variance: Variance, generator: Rng) -> Step:
    """The step of ancestral sampling, for `reverse_process`."""

    def step(x_t: Images, t: int, x_0: Images, _predicted_noise: Images) -> Images:
        return reverse_step(x_t, t, x_0, schedule, variance=variance, generator=generator)

    return step


def sample_steps(
    model: Model,
    image_shape: Sequence[int],
    schedule: Schedule,
    *,
    variance: Variance = beta_variance,
    clip: bool = True,
    start: Start = None,
    generator: Rng = None,
    device: Device = None,
) -> Iterator[SampleStep]:
    """Sample, yielding the state at t = T, T-1, ..., 1, and at t = 0 the finished images.

    Args:
        model: as in `simple_loss`; called in inference mode and, if it is an nn.Module, eval mode.
        image_shape: (b, *dims), including the batch size.
        variance: as in `reverse_step`.
        clip: clip each estimate of x_0 to [-1, 1], where images lie.
        start: (x_t, t) to start from instead of noise, as inpainting and image-to-image need: x_t
            of shape image_shape and the weights' dtype, one t in 1..T for all images.
        generator: source of randomness: x_T first, then one draw a step.
        device: where to compute; that of the model's weights if None. x_T has the weights' dtype.
    Raises: TypeError or ValueError for arguments other than these.
    Source: Ho et al. 2020, algorithm 2.
    """
    x_t, remaining = starting_point(model, image_shape, schedule, start, generator, device)
    step = ancestral(remaining, variance, generator)
    yield from reverse_process(model, x_t, remaining, step, clip=clip)


def sample(
    model: Model,
    image_shape: Sequence[int],
    schedule: Schedule,
    *,
    variance: Variance = beta_variance,
    clip: bool = True,
    start: Start = None,
    generator: Rng = None,
    device: Device = None,
    progress: bool = False,
) -> Images:
    """Draw new images: start from noise and take all T reverse steps.

    Args: progress, whether to show a progress bar; all others as in `sample_steps`.
    Returns: images of shape image_shape; in [-1, 1] if clip.
    Raises: as `sample_steps`.
    Source: Ho et al. 2020, algorithm 2.
    """
    x_t, remaining = starting_point(model, image_shape, schedule, start, generator, device)
    step = ancestral(remaining, variance, generator)
    states = reverse_process(model, x_t, remaining, step, clip=clip)
    return final_images(states, remaining.T, progress)
