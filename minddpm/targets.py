"""What a network may predict instead of the noise: x_0, the velocity, or what flow matching does.

Given x_t and t, each of these follows from any other (Salimans & Ho 2022; Lipman et al. 2023).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from minddpm.checks import at_times, check_callable, check_like
from minddpm.network import Adapted, Model, Predict, home_of
from minddpm.noising import Images, jump_coefficients, noise_from_x0, x0_from_noise
from minddpm.schedule import Coefficient, Schedule, Time, check_schedule, time_index

Conversion = Callable[[Images, Time, Images, Schedule], Images]  # such as noise_from_velocity


def velocity_from_noise(x_t: Images, t: Time, noise: Images, schedule: Schedule) -> Images:
    """The velocity that x_t and its noise imply.

    v = sqrt(alpha_bar_t) noise - sqrt(1 - alpha_bar_t) x_0

    Args: x_t and noise, of one shape (b, *dims) and dtype; t, 1..T, an int or shape (b,).
    Raises: TypeError or ValueError for a t, dtype or shape that does not fit; ValueError where
        alpha_bar_t is 0.
    Source: Salimans & Ho 2022, appendix D.
    """
    x_0 = x0_from_noise(x_t, t, noise, schedule)
    signal, spread = jump_at(t, schedule, x_t)
    return signal * noise - spread * x_0


def velocity_from_x0(x_t: Images, t: Time, x_0: Images, schedule: Schedule) -> Images:
    """The velocity that x_t and the clean image imply; it exists where alpha_bar_t is 0, too.

    v = sqrt(alpha_bar_t) noise - sqrt(1 - alpha_bar_t) x_0

    Args and errors as for `velocity_from_noise`, but for alpha_bar_t = 0.
    """
    noise = noise_from_x0(x_t, t, x_0, schedule)
    signal, spread = jump_at(t, schedule, x_t)
    return signal * noise - spread * x_0


def noise_from_velocity(x_t: Images, t: Time, velocity: Images, schedule: Schedule) -> Images:
    """The noise that x_t and its velocity imply.

    noise = sqrt(alpha_bar_t) v + sqrt(1 - alpha_bar_t) x_t

    Args and errors as for `velocity_from_x0`.
    """
    signal, spread = jump_at(t, schedule, x_t, velocity=velocity)
    return signal * velocity + spread * x_t


def x0_from_velocity(x_t: Images, t: Time, velocity: Images, schedule: Schedule) -> Images:
    """The clean image that x_t and its velocity imply.

    x_0 = sqrt(alpha_bar_t) x_t - sqrt(1 - alpha_bar_t) v

    Args and errors as for `velocity_from_x0`.
    Source: Salimans & Ho 2022, appendix D.
    """
    signal, spread = jump_at(t, schedule, x_t, velocity=velocity)
    return signal * x_t - spread * velocity


def flow_from_noise(x_t: Images, t: Time, noise: Images, schedule: Schedule) -> Images:
    """The velocity on the straight path from x_0 to the noise, u = noise - x_0.

    Args and errors as for `velocity_from_noise`.
    Source: Lipman et al. 2023, eq. 23, whose time runs from the noise to the image.
    """
    return noise - x0_from_noise(x_t, t, noise, schedule)


def flow_from_x0(x_t: Images, t: Time, x_0: Images, schedule: Schedule) -> Images:
    """The same as `flow_from_noise`, from the clean image; it exists where alpha_bar_t is 0, too.

    Args and errors as for `velocity_from_x0`.
    """
    return noise_from_x0(x_t, t, x_0, schedule) - x_0


def noise_from_flow(x_t: Images, t: Time, flow: Images, schedule: Schedule) -> Images:
    """The noise that x_t and the straight path's velocity imply.

    noise = (x_t + sqrt(alpha_bar_t) u) / (sqrt(alpha_bar_t) + sqrt(1 - alpha_bar_t))

    Args and errors as for `velocity_from_x0`.
    """
    signal, spread = jump_at(t, schedule, x_t, flow=flow)
    return (x_t + signal * flow) / (signal + spread)


def x0_from_flow(x_t: Images, t: Time, flow: Images, schedule: Schedule) -> Images:
    """The clean image that x_t and the straight path's velocity imply.

    x_0 = (x_t - sqrt(1 - alpha_bar_t) u) / (sqrt(alpha_bar_t) + sqrt(1 - alpha_bar_t))

    Args and errors as for `velocity_from_x0`.
    """
    signal, spread = jump_at(t, schedule, x_t, flow=flow)
    return (x_t - spread * flow) / (signal + spread)


def jump_at(t: Time, schedule: Schedule, x_t: Images, **given: Images) -> tuple[Tensor, Tensor]:
    """The jump's two factors for x_t at t; what is given beside x_t must fit it."""
    for name, images in given.items():
        check_like(name, images, x_t)
    return jump_coefficients(time_index(t, schedule), schedule, x_t)


def straight_time(t: Time, schedule: Schedule) -> Coefficient:
    """The time s at which the straight path x_s = (1 - s) x_0 + s noise is as noisy as x_t.

    s = sqrt(1 - alpha_bar_t) / (sqrt(alpha_bar_t) + sqrt(1 - alpha_bar_t)): 0 at the clean image

    Args: t, 0..T, an int or shape (b,).
    Returns: float64, shape () or (b,), in [0, 1].
    Raises: TypeError or ValueError for a t that is not an integer in 0..T.
    """
    t = time_index(t, schedule, first=0)
    signal, spread = schedule.alpha_bar[t].sqrt(), (1 - schedule.alpha_bar[t]).sqrt()
    return spread / (signal + spread)


def to_straight_path(x_t: Images, t: Time, schedule: Schedule) -> Images:
    """Scale x_t to the point of the straight path that has the same x_0 and the same noise.

    x_s = x_t / (sqrt(alpha_bar_t) + sqrt(1 - alpha_bar_t)) = (1 - s) x_0 + s noise

    Args and errors as for `straight_time`; x_t, shape (b, *dims).
    """
    signal, spread = jump_coefficients(time_index(t, schedule, first=0), schedule, x_t)
    return x_t / (signal + spread)


def converted(model: Model, to_noise: Conversion, schedule: Schedule) -> Adapted:
    """Turn a model that predicts something else into one that predicts the noise.

    Whatever trains, samples or measures then takes it. Each conversion is linear in x_t and in what
    the model says, so that two numbers for each t are all of it. The result refuses a t outside
    1..T with a ValueError; on an accelerator, with PyTorch's own error.

    Args:
        model: called as model(x_t, t), or with a label.
        to_noise: `noise_from_velocity`, `noise_from_x0` or `noise_from_flow`.
        schedule: the one whose times the model is called with.
    Raises: TypeError for a model or to_noise that cannot be called, or another schedule; ValueError
        for a to_noise that fails at one of its times.
    """
    check_callable("to_noise", to_noise, "noise_from_velocity")
    check_schedule(schedule)
    t = torch.arange(1, schedule.T + 1, device="cpu")
    one = torch.ones(schedule.T, dtype=torch.float64, device="cpu")
    of_x_t, of_answer = to_noise(one, t, 0 * one, schedule), to_noise(0 * one, t, one, schedule)

    def call(
        predict: Predict, x_t: Images, t: Tensor, *label: Tensor | None, factors: Tensor
    ) -> Images:
        of_x_t, of_answer = at_times(factors, t, 1).reshape(2, -1, *[1] * (x_t.ndim - 1)).unbind()
        return of_x_t * x_t + of_answer * predict(x_t, t, *label)

    factors = torch.stack([of_x_t, of_answer]).to(home_of(model)[1])
    return Adapted(model, call, factors=factors)


def zero_terminal_snr(schedule: Schedule) -> Schedule:
    """Shift and stretch sqrt(alpha_bar), so that nothing of the image is left at T.

    sqrt(alpha_bar_t) <- (r_t - r_T) r_1 / (r_1 - r_T), with r_t = sqrt(alpha_bar_t)

    At T the noise says nothing of x_0, so that `x0_from_noise` and with it all samplers refuse;
    the velocity says all: there v = -x_0.

    Raises: TypeError or ValueError for anything but a schedule of at least two steps.
    Source: Lin et al. 2024, algorithm 1.
    """
    check_schedule(schedule, least=2)
    r = schedule.alpha_bar[1:].sqrt()
    r = (r - r[-1]) * r[0] / (r[0] - r[-1])
    alpha_bar = torch.cat([schedule.alpha_bar[:1], r**2])
    beta = torch.cat([schedule.beta[:1], 1 - alpha_bar[1:] / alpha_bar[:-1]])
    return Schedule(beta, alpha_bar)
