"""Training: one gradient step, and the whole loop (Ho et al. 2020, algorithm 1)."""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from minddpm.checks import (
    augmented,
    check_finite,
    check_loss,
    check_run,
    check_training_set,
    checked_batch_size,
)
from minddpm.distributed import shared
from minddpm.guidance import drop_labels
from minddpm.loss import simple_loss
from minddpm.network import home_of, known_classes, with_label
from minddpm.noising import Images
from minddpm.optimizers import MakeOptimizer, optimizer_of
from minddpm.schedule import Rng, Schedule, check_schedule
from minddpm.state import EMA, TrainState

Loss = Callable[..., Tensor]  # called as simple_loss(model, x_0, schedule, generator=generator)
Augment = Callable[[Tensor, Generator], Tensor]


def train_step(
    model: nn.Module,
    x_0: Images,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    *,
    loss: Loss = simple_loss,
    label: Int64[Tensor, " b"] | None = None,
    generator: Rng = None,
) -> Float[Tensor, ""]:
    """Take one gradient step, and return the loss before it.

    Args:
        model, x_0, schedule, generator: as in `simple_loss`.
        optimizer: of the model's parameters.
        loss: what to minimise, called as `simple_loss` is; returns a scalar tensor.
        label: one for each image, for a model that takes labels.
    Returns: a scalar without gradients, on the device of the model: reading it waits for the
        device.
    Raises: TypeError or ValueError for a loss that is not a scalar tensor with a gradient;
        FloatingPointError for one that is not finite, before the weights are changed. On an
        accelerator, where this check would make every step wait, `train` checks every 100 steps.
    Source: Ho et al. 2020, algorithm 1.
    """
    value = loss(with_label(model, label), x_0, schedule, generator=generator)
    check_loss(value)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value.detach()


def warm_cosine(step: int, steps: int, warmup: int = 500) -> float:
    """The learning rate as a share of its peak: a linear rise, then half a cosine to 0."""
    warmup = min(warmup, steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def train(
    model: nn.Module,
    images: Float[Tensor, " n *dims"],
    schedule: Schedule,
    *,
    steps: int,
    batch_size: int | None = None,
    learning_rate: float = 2.5e-3,
    ema_decay: float = 0.999,
    seed: int = 0,
    loss: Loss = simple_loss,
    optimizer: MakeOptimizer | None = None,
    augment: Augment | None = None,
    labels: Int64[Tensor, " n"] | None = None,
    classes: int | None = None,
    dropped: float = 0.1,
    resume: Mapping[str, Tensor] | None = None,
) -> Iterator[TrainState]:
    """Train a model, yielding the state after every step: `for state in train(...)` may stop or
    plot.

    Each epoch visits the images in a new order, and each step has its own seed, so that a run that
    is resumed gives exactly what it would have given without a break.

    The processes of one group, such as those of torchrun, share each batch (see `distributed`).

    Args:
        model: a network with weights that predicts the noise from x_t and t, and from a label if it
            takes labels; changed in place. Batches are moved to its device and dtype.
        images: clean images in [-1, 1], shape (n, *dims), n >= 1.
        steps: how many steps to take in all, counted from the very start.
        batch_size: images in each step, 1..n; None means 64, or n if that is less. A multiple of
            the number of processes.
        learning_rate: Adam's at its peak, positive; it rises for 500 steps (a tenth of a short
            run), then falls to 0 as a cosine.
        optimizer: called as optimizer(model), such as `muon`, returns what takes the steps: the
            rate of each of its groups is the one at the peak. None means Adam.
        ema_decay: of the averaged weights, state.average.model; in [0, 1).
        seed: decides order, times and noise, but not the model's first weights; below 2^43 in
            absolute value.
        loss: what to minimise, called as `simple_loss` is; returns a scalar tensor.
        augment: called as augment(batch, generator), returns the batch to use instead.
        labels: int64, shape (n,), 0..classes-1, for a model called as model(x_t, t, label) (see
            `guidance.guided`). Each is replaced by `classes`, which means no label, with
            probability `dropped`.
        classes: how many labels there are. None means as many as the model's config says or, if it
            says nothing, one more than the largest label; name it where some label may be missing.
        dropped: in [0, 1].
        resume: what `state.tensors()` returned in an earlier run with the same settings.
    Raises: TypeError or ValueError for settings out of range or the state of another model;
        FloatingPointError, naming the step, for a loss that is not finite.
    """
    check_schedule(schedule)
    classes = check_training_set(images, labels, known_classes(model, classes))
    batch_size = checked_batch_size(batch_size, len(images))
    check_run(model, steps, learning_rate, ema_decay, dropped, seed, loss, resume)
    network = shared(model, batch_size)  # among processes, where torchrun started several
    device, dtype = home_of(model)
    used = optimizer_of(model, optimizer, learning_rate)
    peaks = [group["lr"] for group in used.param_groups]
    average = EMA(model, ema_decay)
    state = TrainState(0, torch.tensor(math.nan), 0.0, 0, model, average, used)
    if resume is not None:
        state.restore(resume)
    model.train()
    generator = Generator()

    def step(chosen: Tensor) -> Tensor:
        """Take a step with the images at these places, and return the loss before it."""
        generator.manual_seed(seed * 1_000_003 + 500_000_000 + state.step)
        x_0 = augmented(images[chosen], augment, generator).to(device, dtype)
        label = None
        if labels is not None:
            label = drop_labels(labels[chosen], classes, dropped, generator=generator).to(device)
        for group, peak in zip(used.param_groups, peaks):
            group["lr"] = peak * warm_cosine(state.step, steps)
        state.learning_rate = used.param_groups[0]["lr"]
        try:
            state.last_loss = train_step(
                network, x_0, used, schedule, loss=loss, label=label, generator=generator
            )
            if state.step % 100 == 99:
                check_finite(state.last_loss)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} at step {state.step + 1}") from None
        state.average.update(model)
        state.step += 1
        state.images_seen = state.step * batch_size
        return state.last_loss

    while state.step < steps:
        epoch, batch = divmod(state.step, len(images) // batch_size)
        generator.manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(images), generator=generator, device="cpu")
        step(order[batch * batch_size : (batch + 1) * batch_size])
        yield state
