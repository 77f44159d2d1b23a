"""How much noise there is at each time (Ho et al. 2020, section 2). The array index is the paper's
t.

Arrays have T + 1 entries: index 0 is the clean image (beta[0] = 0, alpha_bar[0] = 1), index T the
last noisy one. Libraries that count from 0 call our t by the number t - 1.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

# one for the whole batch, or one for each image
Time = int | np.integer | Int64[Tensor, ""] | Int64[Tensor, "b"]
Coefficient = Float64[Tensor, ""] | Float64[Tensor, "b"]
Device = torch.device | str | None


@dataclass(frozen=True, eq=False)
class Schedule:
    """The variances beta_t of the forward steps, and alpha_bar_t, the share of signal power that is
    left.

    Args:
        beta: float64, shape (T+1,), beta[0] = 0 and beta[t] in (0, 1) for t = 1..T.
        alpha_bar: float64, shape (T+1,), alpha_bar[t] = product over s <= t of (1 - beta[s]);
            alpha_bar[0] = 1.
    Build one with `Schedule.from_betas`, `linear_schedule` or `cosine_schedule`.
    Raises: ValueError where beta and alpha_bar do not fit each other.
    """

    beta: Float64[Tensor, "T_plus_1"]
    alpha_bar: Float64[Tensor, "T_plus_1"]

    def __post_init__(self) -> None:
        advice = "use Schedule.from_betas(betas)"
        for name, values in (("beta", self.beta), ("alpha_bar", self.alpha_bar)):
            if (
                values.dtype != torch.float64
                or values.ndim != 1
                or len(values) < 2
                or len(values) != len(self.beta)
            ):
                got = f"{tuple(values.shape)} of {values.dtype}"
                raise ValueError(
                    f"{name} must be float64 and of shape (T+1,) with T at least 1, got {got}:"
                    f" {advice}"
                )
        if self.beta[0] != 0:
            raise ValueError(
                f"beta must start with beta[0] = 0, got {self.beta[0].item():g}: {advice}"
            )
        wrong = ~((self.beta[1:] > 0) & (self.beta[1:] < 1))  # true for NaN as well
        if wrong.any():
            t = int(wrong.nonzero()[0]) + 1
            raise ValueError(
                f"betas must lie strictly between 0 and 1, got {self.beta[t].item()!r} for t = {t}"
            )
        error = (self.alpha_bar / (1 - self.beta).cumprod(0) - 1).abs().max()
        if not error <= 1e-9:
            raise ValueError(
                f"alpha_bar must be the running product of 1 - beta, got one off by {error:.2g}:"
                f" {advice}"
            )

    @classmethod
    def from_betas(cls, betas: Sequence[float] | np.ndarray | Tensor) -> "Schedule":
        """Build a schedule from the list beta_1, ..., beta_T: the one place where betas[0] is
        beta_1.

        Args: betas, T numbers strictly between 0 and 1 (list, array or tensor).
        Raises: ValueError for an empty list, another rank, NaN, or a value outside (0, 1).
        """
        values = (
            torch.as_tensor(betas if isinstance(betas, Tensor) else np.asarray(betas))
            .detach()
            .cpu()
            .double()
        )
        if values.ndim != 1 or len(values) == 0:
            raise ValueError(
                f"betas must have shape (T,) with T at least 1, got {tuple(values.shape)}"
            )
        beta = torch.cat([torch.zeros(1, dtype=torch.float64), values])
        return cls(beta, (1 - beta).cumprod(0))

    @property
    def T(self) -> int:
        """The number of steps."""
        return len(self.beta) - 1

    @property
    def alpha(self) -> Float64[Tensor, "T_plus_1"]:
        """alpha_t = 1 - beta_t."""
        return 1 - self.beta

    @property
    def snr(self) -> Float64[Tensor, "T_plus_1"]:
        """Signal power over noise power, alpha_bar_t / (1 - alpha_bar_t); infinite at t = 0."""
        return self.alpha_bar / (1 - self.alpha_bar)

    def steps(self) -> range:
        """T, T-1, ..., 1: the times that the reverse process visits, in its order."""
        return range(self.T, 0, -1)

    def sample_t(
        self, batch_size: int, *, generator: Generator | None = None, device: Device = None
    ) -> Int64[Tensor, "{batch_size}"]:
        """Draw a time for each image, uniformly from 1, ..., T.

        Args: batch_size, b >= 1; generator, PyTorch's global one if None; device of the result, CPU
            if None.
        Returns: int64, shape (b,).
        Raises: TypeError or ValueError for a batch_size that is not a positive integer.
        """
        shape = (positive_integer("batch_size", batch_size),)
        source = generator.device if generator else device
        return torch.randint(1, self.T + 1, shape, generator=generator, device=source).to(
            device or "cpu"
        )

    def index(self, t: Time, *, first: int = 1) -> Int64[Tensor, ""] | Int64[Tensor, "b"]:
        """Check that t can index the arrays, and return it as an int64 tensor on the CPU, shape ()
        or (b,).

        Args: t, an integer or an int64 tensor of shape (b,), each in first..T, the lowest time
            allowed, 1 or 0.
        Raises: TypeError for a t that is not integer, ValueError for one out of range or of another
            rank.
        """
        if isinstance(t, Tensor):
            if t.dtype != torch.int64:
                raise TypeError(f"t must be an int or an int64 tensor, got a tensor of {t.dtype}")
            if t.ndim > 1:
                raise ValueError(f"t must be an int or have shape (b,), got {tuple(t.shape)}")
            times = t.detach().cpu()
        else:
            if isinstance(t, (bool, np.bool_)) or not hasattr(t, "__index__"):
                raise TypeError(f"t must be an int or an int64 tensor, got {type(t).__name__}")
            times = torch.tensor(operator.index(t))
        outside = times[(times < first) | (times > self.T)]
        if outside.numel():
            raise ValueError(f"t must lie in {first}..{self.T}, got {outside.flatten()[0].item()}")
        return times


def per_image(coefficient: Coefficient, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Shape a coefficient so that it multiplies each image of a batch by its own value, in the
    images' dtype.

    Args: coefficient, float64, shape () for all images or (b,) for one each; x, the images, shape
        (b, *dims).
    Returns: shape () or (b, 1, ..., 1), dtype and device of x.
    Raises: TypeError for images that are not floating point, ValueError for another number of them
        than coefficients.
    """
    if not x.is_floating_point():
        raise TypeError(f"images must be floating point, got {x.dtype}")
    if coefficient.ndim and coefficient.shape != x.shape[:1]:
        wanted = f"an int or have shape ({len(x) if x.ndim else 1},), one for each image"
        raise ValueError(f"t must be {wanted}, got {tuple(coefficient.shape)}")
    return coefficient.to(x).reshape(coefficient.shape + (1,) * (x.ndim - 1) * coefficient.ndim)


def linear_schedule(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> "Schedule":
    """beta_t rises in equal steps from beta_start at t = 1 to beta_end at t = T.

    Args: T, the number of steps, at least 1; beta_start and beta_end in (0, 1).
    Raises: TypeError or ValueError for a T that is not a positive integer, ValueError for betas
        outside (0, 1).
    Source: Ho et al. 2020, section 4.
    """
    return Schedule.from_betas(
        torch.linspace(beta_start, beta_end, positive_integer("T", T), dtype=torch.float64)
    )


def cosine_schedule(T: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> "Schedule":
    """alpha_bar falls like a squared cosine: slowly at both ends.

    alpha_bar_t = f(t) / f(0), f(t) = cos^2((t/T + s) / (1 + s) * pi/2), beta_t = min(1 - f(t) /
    f(t-1), max_beta)

    Args: T, at least 1; s, an offset that keeps beta_1 from being too small, at least 0; max_beta,
        in (0, 1).
    Raises: TypeError or ValueError for a T that is not a positive integer, ValueError for s or
        max_beta out of range.
    Source: Nichol & Dhariwal 2021, eq. 17.
    """
    if not s >= 0 or not 0 < max_beta < 1:
        raise ValueError(f"s must be at least 0 and max_beta lie in (0, 1), got {s} and {max_beta}")
    t = torch.arange(positive_integer("T", T) + 1, dtype=torch.float64)
    f = torch.cos((t / T + s) / (1 + s) * torch.pi / 2) ** 2
    return Schedule.from_betas((1 - f[1:] / f[:-1]).clamp(max=max_beta))


def positive_integer(name: str, value: int) -> int:
    """Return the value as an int, or say what is wrong with it."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return operator.index(value)
