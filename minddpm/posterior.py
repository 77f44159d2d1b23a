"""Where x_{t-1} lies if both x_t and x_0 are known: a Gaussian (Ho et al. 2020, eq. 6 and 7)."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from minddpm.checks import check_like
from minddpm.noising import Images
from minddpm.schedule import Coefficient, Schedule, Time, per_image, time_index


class Gaussian(NamedTuple):
    """Independent normal distributions; the variance broadcasts against the mean."""

    mean: Float[Tensor, "*dims"]
    variance: Float[Tensor, "..."]


def posterior_coefficients(t: Time, schedule: Schedule) -> tuple[Coefficient, Coefficient]:
    """The weights of x_0 and of x_t in the posterior mean.

    coef_x0 = sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t)
    coef_xt = sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t)

    Args: t, 1..T, an int or shape (b,). At t = 1 the weights are 1 and 0.
    Returns: two float64 tensors of shape () or (b,).
    Raises: TypeError or ValueError for a t that is not an integer in 1..T.
    Source: Ho et al. 2020, eq. 7.
    """
    t = time_index(t, schedule)
    beta = schedule.beta[t]
    alpha_bar = schedule.alpha_bar[t]
    alpha_bar_prev = schedule.alpha_bar[t - 1]
    coef_x0 = alpha_bar_prev.sqrt() * beta / (1 - alpha_bar)
    coef_xt = (1 - beta).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar)
    return coef_x0, coef_xt


def posterior_variance(t: Time, schedule: Schedule) -> Coefficient:
    """beta tilde, the variance of the posterior; exactly 0 at t = 1 (elsewhere fixed_small).

    beta_tilde_t = (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) beta_t

    Args, returns and errors as for `posterior_coefficients`; one tensor of shape () or (b,).
    Source: Ho et al. 2020, eq. 7.
    """
    t = time_index(t, schedule)
    return (1 - schedule.alpha_bar[t - 1]) / (1 - schedule.alpha_bar[t]) * schedule.beta[t]


def beta_variance(t: Time, schedule: Schedule) -> Coefficient:
    """beta_t, the other variance that a reverse step may use (elsewhere fixed_large).

    It is the posterior's variance if x_0 is itself standard normal.

    Args, returns and errors as for `posterior_variance`.
    Source: Ho et al. 2020, section 3.2.
    """
    t = time_index(t, schedule)
    return schedule.beta[t]


def q_posterior(x_0: Images, x_t: Images, t: Time, schedule: Schedule) -> Gaussian:
    """q(x_{t-1} | x_t, x_0), the true reverse step.

    mean = coef_x0 x_0 + coef_xt x_t, variance = beta_tilde_t

    Args: x_0 and x_t, of one shape (b, *dims) and dtype; t, the time of x_t, 1..T, an int or shape
        (b,).
    Returns: mean of shape (b, *dims); variance of shape () or (b, 1, ..., 1).
    Raises: TypeError or ValueError for t, dtype or shape other than these.
    Source: Ho et al. 2020, eq. 6 and 7.
    """
    check_like("x_0", x_0, x_t)
    coef_x0, coef_xt = posterior_coefficients(t, schedule)
    mean = per_image(coef_x0, x_t) * x_0 + per_image(coef_xt, x_t) * x_t
    return Gaussian(mean, per_image(posterior_variance(t, schedule), x_t))
