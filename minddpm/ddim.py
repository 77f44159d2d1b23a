"""Fewer steps with the same network, from noise to images and back (Song, Meng & Ermon 2021)."""

from collections.abc import Iterator, Sequence

from minddpm.checks import check_batch, check_images, check_like, check_share, positive_integer
from minddpm.network import Model, call_model
from minddpm.noising import Images, Noise, forward_diffusion, standard_noise, x0_from_noise
from minddpm.progress import final_images
from minddpm.respacing import respaced, spaced_times
from minddpm.sampler import SampleStep, reverse_process
from minddpm.schedule import Device, Rng, Schedule, Time, per_image, time_index
from minddpm.start import Start, starting_point


def ddim_step(
    x_t: Images,
    t: Time,
    x_0: Images,
    predicted_noise: Images,
    schedule: Schedule,
    noise: Noise = None,
    *,
    eta: float = 0.0,
    generator: Rng = None,
) -> Images:
    """Take one DDIM step: noise the estimate of x_0 again, but only to t-1.

    x_{t-1} = sqrt(alpha_bar_{t-1}) x_0 + sqrt(1 - alpha_bar_{t-1} - sigma^2) predicted_noise
              + sigma noise,  sigma^2 = eta^2 beta_tilde_t

    Args: as in `reverse_step`, and
        predicted_noise: exactly the shape and dtype of x_t.
        eta: how much of the noise is drawn afresh, 0 to 1. With 0 nothing is drawn; 1 equals
            `reverse_step` with `posterior_variance` if x_0 is not clipped.
    Raises: TypeError or ValueError for eta, t, dtype or shape other than these.
    Source: Song, Meng & Ermon 2021, eq. 12 and 16.
    """
    check_share("eta", eta)
    check_like("x_0", x_0, x_t)
    check_like("predicted_noise", predicted_noise, x_t)
    t = time_index(t, schedule)
    # the share of the noise's variance that is drawn afresh, sigma^2 / (1 - alpha_bar_{t-1})
    fresh = eta**2 * schedule.beta[t] / (1 - schedule.alpha_bar[t])
    if eta == 0 and noise is None:
        noise = predicted_noise
    noise = standard_noise(x_t, noise, generator)
    kept = (1 - fresh).clamp(min=0)
    noise = per_image(kept.sqrt(), x_t) * predicted_noise + per_image(fresh.sqrt(), x_t) * noise
    return forward_diffusion(x_0, t - 1, schedule, noise)[0]


def ddim_steps(
    model: Model,
    x_T: Images,
    schedule: Schedule,
    *,
    steps: int | None = None,
    eta: float = 0.0,
    clip: bool = True,
    generator: Rng = None,
) -> Iterator[SampleStep]:
    """Sample from a given x_T as `ddim_sample` does, yielding the state at each of steps+1 times.

    Args: x_T, shape (b, *dims), dtype of the model's weights; all others as in `ddim_sample`.
    Raises: TypeError or ValueError for arguments other than these.
    """
    check_images(x_T, "x_T")
    model, shorter = respaced(model, schedule, steps)
    times = spaced_times(schedule.T, shorter.T)

    def step(x_t: Images, t: int, x_0: Images, predicted_noise: Images) -> Images:
        return ddim_step(x_t, t, x_0, predicted_noise, shorter, eta=eta, generator=generator)

    for state in reverse_process(model, x_T.detach(), shorter, step, clip=clip):
        yield state._replace(t=int(times[state.t]))


def ddim_sample(
    model: Model,
    image_shape: Sequence[int],
    schedule: Schedule,
    *,
    steps: int | None = None,
    eta: float = 0.0,
    clip: bool = True,
    start: Start = None,
    generator: Rng = None,
    device: Device = None,
    progress: bool = False,
) -> Images:
    """Draw new images in few steps, calling the network at t = T, T - T/steps, ..., T/steps.

    Args: eta as in `ddim_step`, and all others as in `sample`, except
        steps: how often to call the network, 1..T, or 1..t with `start` = (x_t, t). None means 50,
            or T (or t) if that is less.
        clip: False is better with guidance, or with more than 100 steps: each step, however short,
            moves the image by everything that was clipped off.
        generator: source of randomness: x_T first, then, only if eta > 0, one draw a step.
    Raises: TypeError or ValueError for arguments other than these.
    Source: Song, Meng & Ermon 2021, eq. 12 and 16.
    """
    x_t, remaining = starting_point(model, image_shape, schedule, start, generator, device)
    steps = min(50, remaining.T) if steps is None else steps
    states = ddim_steps(model, x_t, remaining, steps=steps, eta=eta, clip=clip, generator=generator)
    return final_images(states, steps, progress)


def invert(
    model: Model, x_0: Images, schedule: Schedule, *, steps: int | None = None, repeats: int = 1
) -> Images:
    """Find an x_T from which DDIM, with eta = 0 and clip=False, leads back to nearly these images.

    A step up needs the noise predicted at its end, x_{t+1}, which is not known yet. It is predicted
    at x_t first, then at the result, `repeats` times in all: the more repeats, the closer.

    Args:
        model: as in `sample`.
        x_0: images, shape (b, *dims), dtype of the model's weights.
        steps: as in `ddim_sample`.
        repeats: predictions for each step, at least 1.
    Returns: x_T, shape and dtype of x_0.
    Raises: TypeError or ValueError for arguments other than these.
    Source: Song, Meng & Ermon 2021, section 5.4.
    """
    check_batch(x_0)
    model, shorter = respaced(model, schedule, steps)
    repeats = positive_integer("repeats", repeats)
    x_t = x_0 = x_0.detach()
    for t in range(shorter.T):
        x_next = x_t
        for _ in range(repeats):
            noise = call_model(model, x_next, t + 1)
            clean = x0_from_noise(x_t, t, noise, shorter) if t else x_0
            x_next, _ = forward_diffusion(clean, t + 1, shorter, noise)
        x_t = x_next
    return x_t
