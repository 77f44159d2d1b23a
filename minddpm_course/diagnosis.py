"""The symptoms of docs/diagnosis.md: code with one mistake each.

tools/build_diagnosis.py draws what they lead to, and a test runs them against the page's lines.
"""

from collections.abc import Callable, Iterable
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from minddpm.ddim import ddim_sample
from minddpm.network import Model, call_model
from minddpm.noising import jump_coefficients
from minddpm.respacing import respaced
from minddpm.sampler import SampleStep, reverse_process, reverse_step
from minddpm.schedule import Schedule
from minddpm.unet import UNet

SHAPE = (8, 1, 28, 28)  # of every batch that is drawn
SEED = 2020


def last_images(states: Iterable[SampleStep]) -> Tensor:
    """Follow a sampler to its end and return the images."""
    *_, last = states
    return last.x_t


# The network is called with a wrong time


def right_sampler(model: Model, schedule: Schedule, steps: int = 50) -> Tensor:
    """DDIM in a few steps."""
    return ddim_sample(model, SHAPE, schedule, steps=steps, generator=Generator().manual_seed(SEED))


def counting_sampler(model: Model, schedule: Schedule, steps: int = 50) -> Tensor:
    """The mistake: the network is called with the number of the step, 50..1, and not with the time,
    1000..20.
    """
    _, shorter = respaced(model, schedule, steps)
    return ddim_sample(model, SHAPE, shorter, steps=steps, generator=Generator().manual_seed(SEED))


# Upsampling treats neighbouring pixels unequally


def transposed_up(up: nn.Conv2d, h: Tensor) -> Tensor:
    """The mistake: a transposed convolution of kernel 3 and stride 2, with the same weights spread
    over the kernel.

    Output pixels get 1, 2 or 4 of the kernel's weights in turn, because 2 does not divide 3.
    """
    kernel = up.weight.transpose(0, 1).expand(-1, -1, 3, 3) / 2.25  # 9 weights fall on 4 pixels
    return F.conv_transpose2d(h, kernel, up.bias, stride=2, padding=1, output_padding=1)


def transposed_network(model: UNet) -> Callable[[Tensor, Tensor], Tensor]:
    """The network with the mistaken upsampling in each place."""

    def enlarged_already(h: Tensor, scale_factor: float) -> Tensor:
        return h

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        with patch("minddpm.unet.F.interpolate", enlarged_already):
            predicted_noise: Tensor = model(x_t, t)
            return predicted_noise

    for up in model.ups:
        if isinstance(up, nn.Conv2d):
            up.forward = partial(transposed_up, up)  # type: ignore[method-assign]
    return predict


# All samples start from the same noise


def first_noise_once() -> Tensor:
    """The mistake: one x_T for all images, as from a generator that is seeded again before each."""
    return torch.randn((1, *SHAPE[1:]), generator=Generator().manual_seed(SEED)).expand(SHAPE)


# The last step adds noise


def noisy_step(x_t: Tensor, t: int, x_0: Tensor, schedule: Schedule, noise: Tensor) -> Tensor:
    """The mistake: a reverse step that adds noise at t = 1 too."""
    x_prev = reverse_step(x_t, t, x_0, schedule, noise)
    return x_prev + (t == 1) * schedule.beta[1].sqrt().float() * noise


def noisy_sampler(model: Model, schedule: Schedule, steps: int = 20) -> Tensor:
    """Sample in a few steps; the last one adds noise."""
    generator = Generator().manual_seed(SEED)
    network, shorter = respaced(model, schedule, steps)

    def step(x_t: Tensor, t: int, x_0: Tensor, _predicted_noise: Tensor) -> Tensor:
        return noisy_step(x_t, t, x_0, shorter, torch.randn(SHAPE, generator=generator))

    x_T = torch.randn(SHAPE, generator=generator)
    return last_images(reverse_process(network, x_T, shorter, step, clip=True))


# Images lie in [0, 1] where [-1, 1] is expected


def twice_rescaled(images: Tensor) -> Tensor:
    """The mistake: images in [0, 1]."""
    return (images + 1) / 2


# No signal is left at t = T, and something is divided by it


def to_nothing(schedule: Schedule) -> Schedule:
    """The mistake: the last beta is 1, so that no signal is left at t = T, and the estimate of x_0
    is divided by 0.
    """
    beta = schedule.beta.clone()
    alpha_bar = schedule.alpha_bar.clone()
    beta[-1] = 1
    alpha_bar[-1] = 0
    return Schedule(beta, alpha_bar)


def nan_sampler(model: Model, schedule: Schedule, steps: int = 50) -> Tensor:
    """Sample, unclipped and with a division of one's own, where alpha_bar ends at 0."""
    generator = Generator().manual_seed(SEED)
    network, shorter = respaced(model, schedule, steps)
    broken = to_nothing(shorter)
    x_t = torch.randn(SHAPE, generator=generator)
    for t in broken.steps():
        signal, spread = jump_coefficients(t, broken, x_t)
        x_0 = (x_t - spread * call_model(network, x_t, t)) / signal
        x_t = reverse_step(x_t, t, x_0, broken, generator=generator)
    return x_t
