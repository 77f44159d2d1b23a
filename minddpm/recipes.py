"""Two ways to train: as the paper does, and the fastest that is known here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from minddpm.loss import simple_loss
from minddpm.optimizers import muon
from minddpm.schedule import Schedule, cosine_schedule, linear_schedule
from minddpm.training import Loss
from minddpm.unet import UNetConfig
from minddpm.weighting import weighted_loss


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained.

    Args:
        network: its config, for grey images without labels.
        schedule: called without arguments, returns the noise schedule.
        loss: what to minimise, called as `simple_loss` is.
        optimizer: called as optimizer(model, lr=learning_rate); None means Adam.
        learning_rate: at its peak.
        ema_decay: of the averaged weights.
        steps: how many the command line takes unless it is told.
    """

    network: UNetConfig
    schedule: Callable[[], Schedule]
    loss: Loss
    optimizer: Callable[..., torch.optim.Optimizer] | None
    learning_rate: float
    ema_decay: float
    steps: int

    def settings(self, learning_rate: float | None = None) -> dict[str, Any]:
        """The arguments of `train` and `train_to` that it decides, but perhaps another rate."""
        rate = self.learning_rate if learning_rate is None else learning_rate
        return {
            "loss": self.loss,
            "optimizer": None if self.optimizer is None else partial(self.optimizer, lr=rate),
            "learning_rate": rate,
            "ema_decay": self.ema_decay,
        }


PAPER = Recipe(
    network=UNetConfig(),
    schedule=linear_schedule,
    loss=simple_loss,
    optimizer=None,
    learning_rate=2.5e-3,
    ema_decay=0.999,
    steps=18_000,
)
FAST = Recipe(
    network=UNetConfig(channels=(24, 48), patch=2, residual=True),
    schedule=cosine_schedule,
    loss=weighted_loss,
    optimizer=muon,
    learning_rate=0.02,
    ema_decay=0.995,
    steps=5_000,
)
RECIPES = {"fast": FAST, "paper": PAPER}
