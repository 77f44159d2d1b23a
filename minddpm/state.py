"""The state of a training run: what must be kept for it to continue as if never stopped."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


class EMA:
    """An exponential moving average of a model's weights, less noisy than the last ones.

    average <- d average + (1 - d) weights, d = min(decay, (1 + n) / (10 + n)) at update n

    The decay grows so that the average forgets the first weights. Sample from `average.model`.

    Raises: ValueError for a decay outside [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
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
        """The loss of the last step; reading it waits for the device."""
        return self.last_loss.item()

    def tensors(self) -> dict[str, Tensor]:
        """All that `train(..., resume=...)` needs to continue as if it had never stopped."""
        held = {"step": torch.tensor(self.step)}
        for prefix, model in (("weights", self.model), ("average", self.average.model)):
            held |= {f"{prefix}.{name}": value for name, value in model.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            held |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        return {name: value.clone() for name, value in held.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to an earlier state. Raises: ValueError for tensors of another model."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts.get(part, {})[rest] = value
        state = self.optimizer.state_dict()
        for name, value in parts["optimizer"].items():
            index, _, moment = name.partition(".")
            # a clone, because the optimizer will change it in place
            state["state"].setdefault(int(index), {})[moment] = value.clone()
        try:
            step = int(tensors["step"])
            self.average.model.load_state_dict(parts["average"])  # first: it may be refused
            if step and not parts["optimizer"]:
                raise KeyError("the optimizer's moments")
            self.model.load_state_dict(parts["weights"])
        except (KeyError, RuntimeError) as error:
            expected = "the training state of such a model"
            raise ValueError(f"resume must hold {expected}, got another: {error}") from error
        self.optimizer.load_state_dict(state)
        self.step = self.average.updates = step
