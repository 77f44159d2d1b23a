"""Independent right answers that several tests compare with."""

import torch
from torch import nn

from minddpm import Schedule, x0_from_noise


class IdealNetwork(nn.Module):
    """The best guess of the noise where clean pixels are normal with mean 0 and variance `power`.

    E[noise | x_t] = sqrt(1 - alpha_bar_t) x_t / (alpha_bar_t power + 1 - alpha_bar_t). It has one
    parameter, of the default dtype at the time it is made.
    """

    def __init__(self, schedule: Schedule, power: float):
        super().__init__()
        self.alpha_bar = schedule.alpha_bar
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, x_t, t):
        alpha_bar = self.alpha_bar[t].reshape(-1, *[1] * (x_t.ndim - 1))
        spread = alpha_bar * self.power + 1 - alpha_bar
        return (x_t * (1 - alpha_bar).sqrt() / spread).to(x_t.dtype)


class WatchingNetwork(nn.Module):
    """Predicts half of x_t, and keeps how it was called: x_t, t, inference mode, training mode."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.part = nn.Dropout()
        self.seen = []

    def forward(self, x_t, t):
        training = self.training or self.part.training
        inference = torch.is_inference_mode_enabled()
        self.seen.append((x_t.clone(), t.tolist(), inference, training))
        return self.scale * x_t


def in_float64(scheduler) -> Schedule:
    """Turn the arrays of a diffusers scheduler to float64, so that a bound can be tight.

    Returns: our schedule of its betas.
    """
    scheduler.betas = scheduler.betas.double()
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = scheduler.alphas.cumprod(0)
    return Schedule.from_betas(scheduler.betas)


def estimate(x_t, t, predicted_noise, schedule, clip):
    """The estimate of x_0 that a sampler makes at each step."""
    x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
    return x_0.clamp(-1, 1) if clip else x_0
