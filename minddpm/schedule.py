"""How much noise there is at each time t (Ho et al. 2020, section 2).

The array index is the paper's t. Arrays have T + 1 entries: index 0 is the clean image (beta[0] =
0, alpha_bar[0] = 1), index T the noisiest one. Libraries that count timesteps from 0 write t - 1
for our t.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from minddpm.checks import (
    check_at_least_0,
    check_betas,
    check_inside,
    check_one_each,
    check_time,
    checked_betas,
    drawing_devices,
    kind_of,
    positive_integer,
    single_time,
)

# one time for the whole batch, or one for each image
Time = int | np.integer | Int64[Tensor, ""] | Int64[Tensor, " b"]
Coefficient = Float64[Tensor, ""] | Float64[Tensor, " b"]
Device = torch.device | str | None
Rng = Generator | None  # PyTorch's global generator if None


@dataclass(frozen=True, eq=False)
class Schedule:
    """The variances beta_t of the forward steps, and alpha_bar_t, the share of signal that is left.

    alpha_bar_t = product over s = 1..t of (1 - beta_s)

    Args:
        beta: float64, shape (T+1,), beta[0] = 0 and beta[t] in (0, 1) for t = 1..T; but beta[T] may
            be 1, and x_T is then noise alone.
        alpha_bar: float64, shape (T+1,), alpha_bar[0] = 1.
    Build one with `Schedule.from_betas`, `linear_schedule` or `cosine_schedule`.
    Raises: ValueError for arrays that are not a schedule.
    """

    beta: Float64[Tensor, " T_plus_1"]
    alpha_bar: Float64[Tensor, " T_plus_1"]

    def __post_init__(self) -> None:
        check_betas(self.beta, self.alpha_bar)

    @classmethod
    def from_betas(cls, betas: Sequence[float] | np.ndarray | Tensor) -> "Schedule":
        """Build a schedule from beta_1, ..., beta_T: the only place where betas[0] is beta_1.

        Args: betas, T numbers strictly between 0 and 1, of which the last may be 1 (a list, array
            or tensor).
        Raises: TypeError for anything but numbers; ValueError for an empty list, another rank, NaN,
            a value out of range, or so many steps that too little signal is left for float64.
        """
        beta = torch.from_numpy(np.append(0.0, checked_betas(betas)))
        return cls(beta, (1 - beta).cumprod(0))

    @property
    def T(self) -> int:
        """The number of steps."""
        return len(self.beta) - 1

    @property
    def alpha(self) -> Float64[Tensor, " T_plus_1"]:
        """alpha_t = 1 - beta_t."""
        return 1 - self.beta

    @property
    def snr(self) -> Float64[Tensor, " T_plus_1"]:
        """Signal power over noise power, alpha_bar_t / (1 - alpha_bar_t); infinite at t = 0."""
        return self.alpha_bar / (1 - self.alpha_bar)

    def steps(self) -> range:
        """T, T-1, ..., 1: the times that the reverse process visits, in its order."""
        return range(self.T, 0, -1)

    def until(self, t: int) -> "Schedule":
        """The first t steps of this schedule, for a reverse process that starts at x_t.

        Raises: TypeError or ValueError unless t is a single integer in 1..T.
        """
        last = single_time(t, 1, self.T)
        return Schedule(self.beta[: last + 1], self.alpha_bar[: last + 1])

    def sample_t(
        self, batch_size: int, *, generator: Rng = None, device: Device = None
    ) -> Int64[Tensor, " {batch_size}"]:
        """Draw a time for each image, uniformly from 1, ..., T.

        Args: batch_size, b >= 1; generator, PyTorch's global one if None; device of the result, the
            CPU if None.
        Returns: int64, shape (b,).
        Raises: TypeError or ValueError for a batch_size that is not a positive integer, or for a
            generator or device that is not one.
        """
        shape = (positive_integer("batch_size", batch_size),)
        source, device = drawing_devices(generator, device, torch.device("cpu"))
        t = torch.randint(1, self.T + 1, shape, generator=generator, device=source)
        return t.to(device)


def check_schedule(schedule: Any, *, least: int = 1) -> None:
    """Raise TypeError for anything but a Schedule, ValueError for one of too few steps."""
    if not isinstance(schedule, Schedule):
        got = kind_of(schedule)
        raise TypeError(f"schedule must be a Schedule, got {got}: use Schedule.from_betas(betas)")
    if schedule.T < least:
        raise ValueError(f"schedule must have T at least {least}, got {schedule.T}")


def time_index(t: Time, schedule: Schedule, *, first: int = 1) -> Int64[Tensor, "*b"]:
    """Check t and return it as an index into the schedule's arrays.

    Args: t, an integer or an int64 tensor of shape (b,); first, the least time allowed, 1 or 0.
    Returns: int64 on the CPU, where the arrays are, shape () or (b,).
    Raises: TypeError for a t that is not an integer, ValueError for one outside first..T.
    """
    check_schedule(schedule)
    return check_time(t, first, schedule.T)


def per_image(coefficient: Coefficient, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Shape a coefficient so that each image of a batch is multiplied by its own value.

    Args: coefficient, float64, shape () for all images or (b,) for one each; x, the images, shape
        (b, *dims).
    Returns: shape () or (b, 1, ..., 1), dtype and device of x.
    Raises: TypeError for images that are not floating point, ValueError unless t is a single number
        or has one for each image.
    """
    check_one_each(coefficient, x)
    shape = coefficient.shape + (1,) * (x.ndim - 1) * coefficient.ndim
    return coefficient.to(x.dtype).to(x.device).reshape(shape)


def linear_schedule(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    """beta_t rises in equal steps from beta_start at t = 1 to beta_end at t = T.

    Args: T, the number of steps, at least 1; beta_start and beta_end in (0, 1).
    Raises: TypeError or ValueError for a T that is not a positive integer, or for a beta outside
        (0, 1).
    Source: Ho et al. 2020, section 4.
    """
    steps = positive_integer("T", T)
    check_inside(beta_start=beta_start, beta_end=beta_end)
    betas = torch.linspace(beta_start, beta_end, steps, dtype=torch.float64, device="cpu")
    return Schedule.from_betas(betas)


def cosine_schedule(T: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> Schedule:
    """alpha_bar falls like a squared cosine: slowly at both ends.

    alpha_bar_t = f(t) / f(0), f(t) = cos^2((t/T + s) / (1 + s) * pi/2)
    beta_t = min(1 - f(t) / f(t-1), max_beta)

    Args: T, at least 1; s, an offset that keeps beta_1 from being too small, finite and at least 0;
        max_beta, in (0, 1).
    Raises: TypeError or ValueError for a T that is not a positive integer, or for s or max_beta out
        of range.
    Source: Nichol & Dhariwal 2021, eq. 17.
    """
    check_at_least_0("s", s)
    check_inside(max_beta=max_beta)
    t = torch.arange(positive_integer("T", T) + 1, dtype=torch.float64, device="cpu")
    f = torch.cos((t / T + s) / (1 + s) * torch.pi / 2) ** 2
    return Schedule.from_betas((1 - f[1:] / f[:-1]).clamp(max=max_beta))
