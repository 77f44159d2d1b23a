"""Training: one step, the whole loop, and the running average of the weights (Ho et al. 2020,
algorithm 1).
"""

import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from minddpm.guidance import drop_labels
from minddpm.loss import simple_loss
from minddpm.noising import Images
from minddpm.schedule import Schedule, positive_integer


def train_step(
    model: nn.Module, x_0: Images, optimizer: torch.optim.Optimizer, schedule: Schedule, *,
    label: Int64[Tensor, "b"] | None = None, generator: Generator | None = None,
) -> float:  # fmt: skip
    """Take one gradient step on `simple_loss`, and return the loss before it.

    Args: as in `simple_loss`; optimizer, holding the model's parameters; label, told to the model,
        one an image.
    Raises: FloatingPointError for a loss that is not finite; the weights are then left as they
        were.
    Source: Ho et al. 2020, algorithm 1.
    """
    told = model if label is None else functools.partial(model, label=label)
    loss = simple_loss(told, x_0, schedule, generator=generator)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


class EMA:
    """An exponential moving average of a model's weights: less noisy than the last ones, and better
    to sample from.

    average <- d average + (1 - d) weights, d = min(decay, (1 + n) / (10 + n)) at update n, to
    forget the start
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average a little towards the model's weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers()):
            mine.copy_(theirs)
        self.updates += 1


@dataclass
class TrainState:
    """Where training stands after a step."""

    step: int
    loss: float
    learning_rate: float
    images_seen: int
    model: nn.Module
    average: EMA
    optimizer: torch.optim.Optimizer

    def tensors(self) -> dict[str, Tensor]:
        """All that `train(..., resume=...)` needs to go on as if it had never stopped."""
        held = {f"weights.{name}": value for name, value in self.model.state_dict().items()}
        held |= {
            f"average.{name}": value for name, value in self.average.model.state_dict().items()
        }
        for index, moments in self.optimizer.state_dict()["state"].items():
            held |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        return {name: value.clone() for name, value in held.items()} | {
            "step": torch.tensor(self.step)
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state back from `tensors`. Raises: ValueError where they are not the state of
        such a model.
        """

        def below(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(prefix): value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }

        try:
            self.step = self.average.updates = int(tensors["step"])
            self.average.model.load_state_dict(
                below("average.")
            )  # first, so that a refusal spares the caller's model
            self.model.load_state_dict(below("weights."))
        except (KeyError, RuntimeError) as error:
            raise ValueError(
                f"resume must hold the state of such a model in training, got another: {error}"
            ) from error
        state = self.optimizer.state_dict()
        for name, value in below("optimizer.").items():
            index, _, key = name.partition(".")
            state["state"].setdefault(int(index), {})[key] = (
                value.clone()
            )  # the optimizer will change it in place
        self.optimizer.load_state_dict(state)


def warm_cosine(step: int, steps: int, warmup: int = 500) -> float:
    """The share of the peak learning rate at a step: a linear rise, then half a cosine down to 0."""
    warmup = min(warmup, steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def train(
    model: nn.Module, images: Float[Tensor, "n *dims"], schedule: Schedule, *, steps: int, batch_size: int = 64,
    learning_rate: float = 2.5e-3, ema_decay: float = 0.999, seed: int = 0,
    augment: Callable[[Tensor, Generator], Tensor] | None = None, labels: Int64[Tensor, "n"] | None = None,
    dropped: float = 0.1, resume: Mapping[str, Tensor] | None = None,
) -> Iterator[TrainState]:  # fmt: skip
    """Train a model, yielding the state after every step: `for state in train(...)` may plot, save
    or stop.

    Each epoch visits the images in an order of its own; each step has its own seed, so a resumed
    run repeats exactly.

    Args:
        model: predicts the noise from x_t and t; changed in place.
        images: clean images, shape (n, *dims), n >= 1.
        steps: how many to take in all, counted from the very start.
        batch_size: images a step, at most n of them.
        learning_rate: peak of Adam's; it rises for 500 steps (a tenth of a short run) and falls to
            0 as a cosine.
        ema_decay: of the averaged weights, state.average.model.
        seed: fixes order, times and noise; the model's first weights are the caller's.
        augment: changes a batch before it is used.
        labels: of the images, told to a UNet with classes, but for the share `dropped` (see
            `guidance.drop_labels`).
        resume: tensors of an earlier state, from the same settings.
    Raises: TypeError or ValueError for settings out of range or the state of another model;
        FloatingPointError, naming the step, for a loss that is not finite.
    """
    steps, batch_size = positive_integer("steps", steps), positive_integer("batch_size", batch_size)
    if not len(images):
        raise ValueError(f"images must be at least one, got shape {tuple(images.shape)}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, got {learning_rate}")
    classes = getattr(getattr(model, "config", None), "classes", 0)
    if labels is not None and (len(labels) != len(images) or not classes):
        wanted = f"one for each of {len(images)} images, of a model with classes"
        raise ValueError(f"labels must be {wanted}, got {len(labels)}")
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    batch_size = min(batch_size, len(images))
    state = TrainState(0, math.nan, 0.0, 0, model, EMA(model, ema_decay), optimizer)
    if resume is not None:
        state.restore(resume)
    model.train()
    generator = Generator()
    while state.step < steps:
        epoch, batch = divmod(state.step, len(images) // batch_size)
        order = torch.randperm(
            len(images), generator=generator.manual_seed(seed * 1_000_003 + epoch)
        )
        generator.manual_seed(seed * 1_000_003 + 500_000_000 + state.step)
        chosen = order[batch * batch_size : (batch + 1) * batch_size]
        x_0 = images[chosen] if augment is None else augment(images[chosen], generator)
        label = (
            None
            if labels is None
            else drop_labels(labels[chosen], classes, dropped, generator=generator)
        )
        state.learning_rate = learning_rate * warm_cosine(state.step, steps)
        for group in optimizer.param_groups:
            group["lr"] = state.learning_rate
        try:
            state.loss = train_step(
                model, x_0, optimizer, schedule, label=label, generator=generator
            )
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} at step {state.step + 1}") from None
        state.average.update(model)
        state.step += 1
        state.images_seen = state.step * batch_size
        yield state
