"""The score, the slope of the log density: what the noise prediction is, but for a factor (Song &
Ermon 2019).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from minddpm.noising import Images, check_like, standard_noise
from minddpm.schedule import Schedule, Time, per_image, positive_integer


def score_from_noise(noise: Images, t: Time, schedule: Schedule) -> Images:
    """The score of x_t that a predicted noise stands for: grad log q(x_t) = -E[noise | x_t] /
    sqrt(1 - alpha_bar_t).

    Args: noise, shape (b, *dims); t, 1..T, an int or shape (b,); of a single noise it is the score
        of q(x_t | x_0).
    Raises: TypeError or ValueError for a t that is not such.
    Source: Vincent 2011; Ho et al. 2020, section 3.2.
    """
    return -noise / per_image((1 - schedule.alpha_bar[schedule.index(t)]).sqrt(), noise)


def noise_from_score(score: Images, t: Time, schedule: Schedule) -> Images:
    """The noise prediction that a score stands for, -sqrt(1 - alpha_bar_t) score: arguments as
    `score_from_noise`.
    """
    return -score * per_image((1 - schedule.alpha_bar[schedule.index(t)]).sqrt(), score)


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Round Gaussian clouds, and all that the forward process makes of them: x_t is such a mixture
    at every t.

    q(x_t) = sum over k of weights_k N(sqrt(alpha_bar_t) means_k, (alpha_bar_t variance + 1 -
    alpha_bar_t) I)

    Args:
        means: the clouds' centres, floating point, shape (k, d).
        variance: of every cloud in every direction, positive.
        weights: shares of the clouds, positive, shape (k,); they are divided by their sum.
    Raises: ValueError for arguments other than these.
    """

    means: Float[Tensor, "k d"]
    variance: float
    weights: Float[Tensor, "k"]

    def __post_init__(self) -> None:
        if self.means.ndim != 2 or self.weights.shape != self.means.shape[:1]:
            shapes = f"{tuple(self.means.shape)} and {tuple(self.weights.shape)}"
            raise ValueError(f"means and weights must have shapes (k, d) and (k,), got {shapes}")
        if (
            not 0 < self.variance < math.inf
            or not bool((self.weights > 0).all())
            or not self.weights.sum() < math.inf
        ):
            raise ValueError(
                f"variance and weights must be positive, got {self.variance} and"
                f" {self.weights.tolist()}"
            )

    def sample(self, n: int, *, generator: Generator | None = None) -> Float[Tensor, "n d"]:
        """Draw n clean points."""
        cloud = torch.multinomial(
            self.weights, positive_integer("n", n), replacement=True, generator=generator
        )
        return self.means[cloud] + self.variance**0.5 * standard_noise(
            self.means[cloud], None, generator
        )

    def log_density(
        self, x: Float[Tensor, "n d"], t: Time, schedule: Schedule
    ) -> Float[Tensor, "n"]:
        """log q(x_t) at the points x, in nats; t in 0..T, an int or shape (n,)."""
        return self._clouds(x, t, schedule)[0].logsumexp(1)

    def score(self, x: Float[Tensor, "n d"], t: Time, schedule: Schedule) -> Float[Tensor, "n d"]:
        """grad log q(x_t) at the points x; t in 0..T, an int or shape (n,)."""
        log_parts, pulls = self._clouds(x, t, schedule)
        return (log_parts.softmax(1)[..., None] * pulls).sum(1)

    def _clouds(
        self, x: Tensor, t: Time, schedule: Schedule
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k d"]]:
        """The log density of each cloud at x, its weight included, and the cloud's own score there."""
        if x.ndim != 2 or x.shape[1] != self.means.shape[1]:
            raise ValueError(f"x must have shape (n, {self.means.shape[1]}), got {tuple(x.shape)}")
        alpha_bar = schedule.alpha_bar[schedule.index(t, first=0)]
        variance = per_image(alpha_bar * self.variance + 1 - alpha_bar, x[:, None])
        away = x[:, None] - per_image(alpha_bar.sqrt(), x[:, None]) * self.means  # (n, k, d)
        log_parts = (self.weights / self.weights.sum()).log() - away.square().sum(2) / (
            2 * variance.squeeze(-1)
        )
        return (
            log_parts - x.shape[1] / 2 * (2 * math.pi * variance.squeeze(-1)).log(),
            -away / variance,
        )


def langevin(
    score: Callable[[Images], Images],
    x: Images,
    *,
    step_size: float,
    steps: int,
    generator: Generator | None = None,
) -> Images:
    """Walk uphill and shake: after many small steps x is a draw of the density with this score,
    wherever it began.

    x <- x + step_size score(x) + sqrt(2 step_size) noise, unadjusted: the error of a finite
    step_size stays
    Raises: TypeError or ValueError for a step_size that is not positive and finite, steps below 1,
        a score unlike x.
    Source: Song & Ermon 2019, eq. 4, which writes its step size as twice ours.
    """
    if not 0 < step_size < math.inf:
        raise ValueError(f"step_size must be positive and finite, got {step_size}")
    for _ in range(positive_integer("steps", steps)):
        check_like("score", slope := score(x), x)
        x = x + step_size * slope + (2 * step_size) ** 0.5 * standard_noise(x, None, generator)
    return x
