"""Data whose score is known exactly at every t, so that samplers can be tested with it."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from minddpm.checks import check_clouds, check_generator, positive_integer
from minddpm.noising import standard_noise
from minddpm.schedule import Rng, Schedule, Time, per_image, time_index


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Round Gaussian clouds, for which the score of x_t is known exactly at every t.

    q(x_t) = sum over k of weights_k N(sqrt(alpha_bar_t) means_k, variance_t I)
    variance_t = alpha_bar_t variance + 1 - alpha_bar_t

    Args:
        means: the clouds' centres, floating point, shape (k, d).
        variance: of every cloud in every direction, positive.
        weights: shares of the clouds, positive, shape (k,); they are divided by their sum.
    Raises: TypeError or ValueError for arguments other than these.
    """

    means: Float[Tensor, "k d"]
    variance: float
    weights: Float[Tensor, " k"]

    def __post_init__(self) -> None:
        check_clouds(self.means, self.variance, self.weights)

    def sample(self, n: int, *, generator: Rng = None) -> Float[Tensor, "n d"]:
        """Draw n clean points, n at least 1."""
        n = positive_integer("n", n)
        check_generator(generator)
        cloud = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        centres = self.means[cloud]
        return centres + math.sqrt(self.variance) * standard_noise(centres, None, generator)

    def log_density(
        self, x: Float[Tensor, "n d"], t: Time, schedule: Schedule
    ) -> Float[Tensor, " n"]:
        """log q(x_t) at the points x, in nats; t in 0..T, an int or shape (n,)."""
        return self._clouds(x, t, schedule)[0].logsumexp(1)

    def score(self, x: Float[Tensor, "n d"], t: Time, schedule: Schedule) -> Float[Tensor, "n d"]:
        """grad log q(x_t) at the points x; t in 0..T, an int or shape (n,)."""
        log_densities, scores = self._clouds(x, t, schedule)
        shares = log_densities.softmax(1)[..., None]
        mean: Tensor = (shares * scores).sum(1)
        return mean

    def _clouds(
        self, x: Tensor, t: Time, schedule: Schedule
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k d"]]:
        """The log density of each cloud at x, its weight included, and the cloud's score there."""
        if x.ndim != 2 or x.shape[1] != self.means.shape[1]:
            raise ValueError(f"x must have shape (n, {self.means.shape[1]}), got {tuple(x.shape)}")
        t = time_index(t, schedule, first=0)
        alpha_bar = schedule.alpha_bar[t]
        points = x[:, None]  # (n, 1, d)
        variance = per_image(alpha_bar * self.variance + 1 - alpha_bar, points)
        away = points - per_image(alpha_bar.sqrt(), points) * self.means  # (n, k, d)
        width = variance.squeeze(-1)
        shares = (self.weights / self.weights.sum()).log()
        log_densities = shares - away.square().sum(2) / (2 * width)
        log_densities = log_densities - x.shape[1] / 2 * (2 * math.pi * width).log()
        return log_densities, -away / variance
