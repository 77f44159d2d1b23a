"""The state of a training run: what must be kept so that it can go on as if never stopped."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


class EMA:
    """An exponential moving average of a model's weights, less noisy than the weights themselves.

    average <- d average + (1 - d) weights, d = min(decay, (1 + n) / (10 + n)) at update n

    d starts small, so that the average soon forgets the first weights. Sample from `average.model`.

    Args: model, which is copied; decay, in [0, 1).
    Raises: TypeError for a model that is not an nn.Module, ValueError for another decay.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be an nn.Module, got a {type(model).__name__}")
        if not hasattr(decay, "__float__"):
            raise TypeError(f"decay must be a number, got {decay!r}")
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average a little towards the model's weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for average, buffer in zip(self.model.buffers(), model.buffers()):
            average.copy_(buffer)
        self.updates += 1


@dataclass
class TrainState:
    """The state of training after a step."""

    step: int
    last_loss: Float[Tensor, ""]
    learning_rate: float
    images_seen: int
    model: nn.Module
    average: EMA
    optimizer: torch.optim.Optimizer

    @property
    def loss(self) -> float:
        """The loss of the last step, as a float; reading it waits for the device."""
        return self.last_loss.item()

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that `train(..., resume=...)` needs to go on as if never stopped."""
        held = {"step": torch.tensor(self.step)}
        for prefix, model in (("weights", self.model), ("average", self.average.model)):
            held |= {f"{prefix}.{name}": value for name, value in model.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            held |= {
                f"optimizer.{index}.{name}": value
                for name, value in moments.items()
                if isinstance(value, Tensor)
            }
        return {name: value.clone() for name, value in held.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to an earlier state, as `tensors` returned it.

        Raises: ValueError for the state of another model, before anything is changed.
        """
        self.check_fit(tensors)
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts.get(part, {})[rest] = value
        state = self.optimizer.state_dict()
        for name, value in parts["optimizer"].items():
            index, _, moment = name.partition(".")
            # a clone, because the optimizer will change it in place
            state["state"].setdefault(int(index), {})[moment] = value.clone()
        self.average.model.load_state_dict(parts["average"])
        self.model.load_state_dict(parts["weights"])
        self.optimizer.load_state_dict(state)
        self.step = self.average.updates = int(tensors["step"])

    def check_fit(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise ValueError, naming the first difference, unless these are a state of this model."""
        expected = "resume must be the training state of this model"
        own = self.tensors()
        for name, value in own.items():
            if name.startswith("optimizer."):
                continue
            if name not in tensors:
                raise ValueError(f"{expected}, but it has no {name!r}")
            if tensors[name].shape != value.shape:
                shapes = f"{tuple(tensors[name].shape)}, not {tuple(value.shape)}"
                raise ValueError(f"{expected}, but its {name!r} has shape {shapes}")
        moments = False
        for name in tensors:
            part = name.partition(".")[0]
            moments |= part == "optimizer"
            if part in ("weights", "average") and name not in own:
                raise ValueError(f"{expected}, but this model has no {name!r}")
        keeps_moments = not isinstance(self.optimizer, torch.optim.SGD)
        if int(tensors["step"]) and keeps_moments and not moments:
            raise ValueError(f"{expected}, but it has no moments of the optimizer")
