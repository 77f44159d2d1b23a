"""Lesson 07: one step, the running average, the learning rate and the loop."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

import minddpm
from minddpm.training import warm_cosine
from minddpm_course.comparisons import Rebuilt


class Wave(nn.Module):
    """A network of two layers, called with images of any shape and one time for each."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.inner, self.outer = nn.Parameter(torch.empty(8, 2)), nn.Parameter(torch.empty(8))
        for weights in self.parameters():
            nn.init.normal_(weights, generator=generator)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        time = t.reshape(-1, *[1] * (x_t.ndim - 1)) / 50
        hidden = torch.stack([x_t, time.expand_as(x_t)], dim=-1) @ self.inner.T  # (b, *dims, 8)
        return hidden.tanh() @ self.outer  # (b, *dims)


def apart(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of two networks' weights."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def halved(*arguments: Any, **options: Any) -> Tensor:
    """Another loss than the one that a step takes by itself."""
    return minddpm.simple_loss(*arguments, **options) / 2


def descent(model: nn.Module) -> torch.optim.Optimizer:
    """Plain gradient descent, with a learning rate of its own for each layer."""
    groups = [
        {"params": [weights], "lr": rate} for weights, rate in zip(model.parameters(), (0.1, 0.3))
    ]
    return torch.optim.SGD(groups)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """From the same weights and seeds: three steps, averages, rates and short runs; yields what is
    equal.

    Weights, averages and losses in float32 agree to 1e-5, learning rates to 1e-12.
    """
    schedule = minddpm.linear_schedule(50, 0.002, 0.4)
    generator = torch.Generator().manual_seed(7)
    images = torch.rand(40, 1, 4, 4, generator=generator) * 2 - 1
    start = Wave(generator)

    mine, theirs = copy.deepcopy(start), copy.deepcopy(start)
    optimizers = descent(mine), descent(theirs)
    losses: list[dict[str, Any]] = [{}, {"loss": halved}, {}]
    for step, options in enumerate(losses):
        first, second = (torch.Generator().manual_seed(step) for _ in range(2))
        batch = images[8 * step : 8 * step + 8]
        loss = yours.train_step(mine, batch, optimizers[0], schedule, generator=first, **options)
        expected = minddpm.train_step(
            theirs, batch, optimizers[1], schedule, generator=second, **options
        )
        assert abs(loss - expected) <= 1e-5, f"train_step, loss of step {step + 1}"
        assert not loss.requires_grad, "train_step, loss with gradients"
        assert apart(mine, theirs) <= 1e-5, f"train_step, weights after step {step + 1}"
    yield "train_step"

    model = copy.deepcopy(start)
    for decay in (0.0, 0.5, 0.999):
        averages = yours.EMA(model, decay), minddpm.EMA(model, decay)
        for update in range(20):
            for weights in model.parameters():
                nn.init.normal_(weights, generator=generator)
            before = copy.deepcopy(model)
            averages[0].update(model)
            assert apart(model, before) == 0, "EMA, the model itself is changed"
            averages[1].update(model)
            difference = apart(averages[0].model, averages[1].model)
            assert difference <= 1e-5, f"EMA, decay {decay}, update {update + 1}"
    yield "EMA"

    for steps in (9, 300, 20_000):
        for step in range(0, steps, -(-steps // 300)):
            difference = yours.warm_cosine(step, steps) - warm_cosine(step, steps)
            assert abs(difference) <= 1e-12, f"warm_cosine, step {step} of {steps}"
    yield "warm_cosine"

    mine, theirs = copy.deepcopy(start), copy.deepcopy(start)
    settings: dict[str, Any] = {"steps": 12, "batch_size": 8, "ema_decay": 0.5}  # 5 an epoch
    run = yours.train(mine, images, schedule, optimizer=descent(mine), **settings)
    for state in minddpm.train(theirs, images, schedule, optimizer=descent, **settings):
        step_of_yours = next(run, None)
        assert step_of_yours is not None, f"train, ends before step {state.step}"
        loss, average = step_of_yours
        assert abs(loss - state.loss) <= 1e-5, f"train, loss of step {state.step}"
        assert apart(mine, theirs) <= 1e-5, f"train, weights after step {state.step}"
        difference = apart(average.model, state.average.model)
        assert difference <= 1e-5, f"train, average after step {state.step}"
    assert next(run, None) is None, "train, goes on after the last step"
    yield "train"
