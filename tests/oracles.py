"""What tests compare the library with: networks whose behaviour is known, and diffusers.

- `IdealNetwork(schedule, power)` predicts the noise as well as possible, in closed form.
- `random_network(std)` is a U-Net that knows nothing but uses all its inputs.
- `RecordingNetwork()` lists in `.calls` how it was called.
- `estimate(...)` is the estimate of x_0 that a sampler makes at each step.
- `in_float64(scheduler)` and `diffusers_steps(scheduler, model, x_T, times)` sample with diffusers,
  `InFloat64()` where it would round.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minddpm.noising import x0_from_noise
from minddpm.sampler import SampleStep
from minddpm.schedule import Schedule
from minddpm.unet import UNet, UNetConfig


class IdealNetwork(nn.Module):
    """The best prediction of the noise where clean pixels are N(0, power).

    E[noise | x_t] = sqrt(1 - alpha_bar_t) / (alpha_bar_t power + 1 - alpha_bar_t) x_t

    Its one weight, `power`, has the default dtype of when it is made, which samplers follow.
    """

    def __init__(self, schedule: Schedule, power: float) -> None:
        super().__init__()
        self.alpha_bar = schedule.alpha_bar
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha_bar = self.alpha_bar[t].reshape(-1, *[1] * (x_t.ndim - 1))
        slope = (1 - alpha_bar).sqrt() / (alpha_bar * self.power + 1 - alpha_bar)
        return (x_t * slope).to(x_t.dtype)


def random_network(std: float) -> UNet:
    """A small U-Net with weights drawn from N(0, std^2), those that usually start at zero too.

    It always has the same weights, in the default dtype, and is in eval mode.
    """
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8,), time_dim=8, groups=4)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)
    return model


class Call(NamedTuple):
    """How a network was called."""

    x_t: Tensor  # a copy
    t: list[int]
    label: list[int] | None
    inference: bool  # in inference mode
    training: bool  # the network, or a part of it, in training mode


class RecordingNetwork(nn.Module):
    """Predicts a share of x_t, and records in `calls` how it was called.

    Args: classes, the number of labels that it claims to know.

    `scale`, a parameter that starts at 0.5, is the share; `part` is a layer that, like dropout,
    depends on the mode.
    """

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.config = UNetConfig(channels=(8,), groups=4, classes=classes)
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.part = nn.Dropout()
        self.calls: list[Call] = []

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        labels = None if label is None else label.tolist()
        training = self.training or self.part.training
        inference = torch.is_inference_mode_enabled()
        self.calls.append(Call(x_t.detach().clone(), t.tolist(), labels, inference, training))
        return self.scale * x_t


def estimate(
    x_t: Tensor, t: int | Tensor, predicted_noise: Tensor, schedule: Schedule, clip: bool
) -> Tensor:
    """The estimate of x_0 that a sampler makes at each step."""
    x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
    return x_0.clamp(-1, 1) if clip else x_0


def in_float64(scheduler: Any) -> Schedule:
    """Give a scheduler of diffusers its arrays in float64, so that bounds can be tight.

    Args: scheduler, changed in place; call its set_timesteps afterwards, if at all.
    Returns: our schedule with exactly its betas.
    """
    scheduler.betas = scheduler.betas.double()
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = scheduler.alphas.cumprod(0)
    return Schedule.from_betas(scheduler.betas)


class InFloat64:
    """PyTorch, for a scheduler that rounds whatever it is given to float32."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def set_gap(scheduler: Any, gap: int) -> None:
    """Make the next step of a DDIM scheduler of diffusers lead over this many times.

    By itself it takes T // steps, even where its times lie further apart.
    """
    T = scheduler.config.num_train_timesteps
    if T // scheduler.num_inference_steps != gap:
        scheduler.num_inference_steps = Fraction(T, gap)


@torch.inference_mode()
def diffusers_steps(
    scheduler: Any,
    model: Callable[[Tensor, Tensor], Tensor],
    x_T: Tensor,
    times: Iterable[int],
    **options: Any,
) -> Iterator[SampleStep]:
    """Sample with a scheduler of diffusers, yielding the states that `sample_steps` yields.

    Args:
        times: T, ..., 0, as we count them: their timesteps are t - 1.
        options: of the scheduler's step, such as generator and eta.
    """
    x_t = x_T
    for t, t_next in pairwise(times):
        if scheduler.num_inference_steps:  # None where all T steps are taken
            set_gap(scheduler, t - t_next)
        predicted_noise = model(x_t, torch.full((len(x_t),), t))
        step = scheduler.step(predicted_noise, t - 1, x_t, **options)
        yield SampleStep(t, x_t, step.pred_original_sample)
        x_t = step.prev_sample
    yield SampleStep(0, x_t, x_t)
