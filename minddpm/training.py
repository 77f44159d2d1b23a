"""Training: one gradient step, and the whole loop (Ho et al. 2020, algorithm 1)."""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from minddpm.checks import check_training_set, checked_batch_size, positive_integer
from minddpm.guidance import drop_labels
from minddpm.loss import simple_loss
from minddpm.network import classes_of, home_of, with_label
from minddpm.noising import Images
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
        optimizer: holds the model's parameters.
        loss: what is minimised.
        label: of each image, for a model that takes labels.
    Returns: a scalar without gradients, on the device of the model: reading it waits for the
        device.
    Raises: FloatingPointError for a loss that is not finite, the weights then left as they were. On
        an accelerator, where the check would make each step wait, `train` makes it every 100 steps.
    Source: Ho et al. 2020, algorithm 1.
    """
    value = loss(with_label(model, label), x_0, schedule, generator=generator)
    if value.device.type == "cpu":
        check_finite(value)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value.detach()


def check_finite(loss: Tensor) -> None:
    """Raise FloatingPointError for a loss that is NaN or infinite."""
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()}")


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
    augment: Augment | None = None,
    labels: Int64[Tensor, " n"] | None = None,
    dropped: float = 0.1,
    resume: Mapping[str, Tensor] | None = None,
) -> Iterator[TrainState]:
    """Train a model, yielding the state after every step: `for state in train(...)` may stop or
    plot.

    Each epoch visits the images in its own order, and each step has its own seed, so that a resumed
    run repeats exactly.

    Args:
        model: predicts the noise from x_t and t, and from a label if it takes labels; changed in
            place. Batches are moved to its device and dtype.
        images: clean images in [-1, 1], shape (n, *dims), n >= 1.
        steps: how many to take in all, counted from the very start.
        batch_size: images a step, at most n; 64, or n if that is less, if None.
        learning_rate: peak of Adam's; it rises for 500 steps (a tenth of a short run), then falls
            to 0 as a cosine.
        ema_decay: of the averaged weights, state.average.model.
        seed: fixes order, times and noise; the model's first weights are the caller's.
        loss: what is minimised, called as `simple_loss` is.
        augment: changes a batch before it is used.
        labels: of the images, 0..classes-1, for a model called as model(x_t, t, label). The share
            `dropped` of them is replaced by `classes` (see `guidance.drop_labels`): the model's
            own `config.classes`, else one more than the largest label.
        resume: tensors of an earlier state, from the same settings.
    Raises: TypeError or ValueError for settings out of range or the state of another model;
        FloatingPointError, naming the step, for a loss that is not finite.
    """
    steps = positive_integer("steps", steps)
    check_schedule(schedule)
    check_training_set(images, labels, classes_of(model))
    batch_size = checked_batch_size(batch_size, len(images))
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, got {learning_rate}")
    if resume is not None and int(resume.get("step", 0)) > steps:
        raise ValueError(f"steps must be at least {int(resume['step'])}, as in resume, got {steps}")
    device, dtype = home_of(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    average = EMA(model, ema_decay)
    state = TrainState(0, torch.tensor(math.nan), 0.0, 0, model, average, optimizer)
    if resume is not None:
        state.restore(resume)
    model.train()
    classes = classes_of(model) or 0
    if labels is not None and not classes:  # an own network, which does not say
        classes = int(labels.max()) + 1
    generator = Generator()
    while state.step < steps:
        epoch, batch = divmod(state.step, len(images) // batch_size)
        generator.manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(len(images), generator=generator, device="cpu")
        chosen = order[batch * batch_size : (batch + 1) * batch_size]
        generator.manual_seed(seed * 1_000_003 + 500_000_000 + state.step)
        x_0 = images[chosen]
        if augment is not None:
            x_0 = augment(x_0, generator)
        x_0 = x_0.to(device, dtype)
        label = None
        if labels is not None:
            label = drop_labels(labels[chosen], classes, dropped, generator=generator).to(device)
        state.learning_rate = learning_rate * warm_cosine(state.step, steps)
        for group in optimizer.param_groups:
            group["lr"] = state.learning_rate
        try:
            state.last_loss = train_step(
                model, x_0, optimizer, schedule, loss=loss, label=label, generator=generator
            )
            if state.step % 100 == 99:
                check_finite(state.last_loss)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} at step {state.step + 1}") from None
        state.average.update(model)
        state.step += 1
        state.images_seen = state.step * batch_size
        yield state
