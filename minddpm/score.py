"""The score, the slope of the log density: a noise prediction up to a factor.

Song & Ermon 2019.
"""

from collections.abc import Callable

from torch import Tensor

from minddpm.checks import check_like, check_walk, positive_integer
from minddpm.noising import Images, standard_noise
from minddpm.schedule import Rng, Schedule, Time, per_image, time_index


def score_from_noise(noise: Images, t: Time, schedule: Schedule) -> Images:
    """The score of x_t that a predicted noise implies.

    grad log q(x_t) = -E[noise | x_t] / sqrt(1 - alpha_bar_t)

    Args: noise, shape (b, *dims); t, 1..T, an int or shape (b,). For one true noise, rather than
        its mean, the result is the score of q(x_t | x_0).
    Raises: TypeError or ValueError for a t that is not an integer in 1..T.
    Source: Vincent 2011; Ho et al. 2020, section 3.2.
    """
    return -noise / noise_level(t, schedule, noise)


def noise_from_score(score: Images, t: Time, schedule: Schedule) -> Images:
    """The noise prediction that a score implies, -sqrt(1 - alpha_bar_t) score.

    Args and errors as for `score_from_noise`.
    """
    return -score * noise_level(t, schedule, score)


def noise_level(t: Time, schedule: Schedule, x: Images) -> Tensor:
    """sqrt(1 - alpha_bar_t), the standard deviation of the noise in x_t, shaped for x."""
    t = time_index(t, schedule)
    return per_image((1 - schedule.alpha_bar[t]).sqrt(), x)


def langevin(
    score: Callable[[Images], Images],
    x: Images,
    *,
    step_size: float,
    steps: int,
    generator: Rng = None,
) -> Images:
    """Draw from the density with this score: at each step climb the slope and add noise.

    x <- x + step_size score(x) + sqrt(2 step_size) noise

    After many small steps x is a draw, wherever it started. The steps are unadjusted: the error of
    a finite step_size stays.

    Args:
        score: a function of x that returns the score there, exactly the shape and dtype of x.
        x: where to start, shape (n, *dims), floating point.
        step_size: positive and finite.
        steps: how many to take, at least 1.
    Returns: the last x.
    Raises: TypeError or ValueError for arguments other than these.
    Source: Song & Ermon 2019, eq. 4, which writes its step size as twice ours.
    """
    check_walk(score, step_size)
    for _ in range(positive_integer("steps", steps)):
        slope = score(x)
        check_like("score", slope, x)
        x = x + step_size * slope + (2 * step_size) ** 0.5 * standard_noise(x, None, generator)
    return x
