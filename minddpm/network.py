"""The network as the maths sees it: whatever predicts the noise in x_t from x_t and t."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from minddpm.checks import check_same_shape, kind_of
from minddpm.noising import Images

Model = Callable[..., Any]  # model(x_t, t), or model(x_t, t, label): the noise it predicts


def as_prediction(answer: Any, x_t: Images) -> Images:
    """Return a network's answer as a tensor of the images' shape and dtype.

    Under autocast, or with weights of another precision, the dtype may differ and is cast. An
    object that holds its tensor in `.sample`, as diffusers' networks return, is accepted.

    Raises: TypeError for an answer that holds no tensor, ValueError for one of another shape.
    """
    if not isinstance(answer, Tensor):
        answer = getattr(answer, "sample", answer)
    if not isinstance(answer, Tensor):
        raise TypeError(f"the network must return a tensor, got {kind_of(answer)}")
    check_same_shape("predicted noise", answer, x_t)
    return answer.to(x_t.dtype)


@torch.inference_mode()
def call_model(model: Model, x_t: Images, t: int) -> Images:
    """Predict the noise in x_t, all of it at time t, with the model in eval and inference mode.

    Returns: the predicted noise, shape and dtype of x_t. The model's modes are left as they were.
    Raises: as `as_prediction`.
    """
    modules = model.modules() if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        answer = model(x_t, torch.full((len(x_t),), t, device=x_t.device))
    finally:
        for module in training:
            module.training = True
    return as_prediction(answer, x_t)


def home_of(model: Model) -> tuple[torch.device, torch.dtype]:
    """The device and dtype of a model's weights: the CPU and float32 if it has none."""
    parameters = model.parameters() if isinstance(model, nn.Module) else []
    weights = [parameter for parameter in parameters if parameter.is_floating_point()]
    if not weights:
        return torch.device("cpu"), torch.float32
    return weights[0].device, weights[0].dtype


def classes_of(model: Model) -> int | None:
    """How many labels a model knows: 0 for none, None where its config does not say."""
    network = model.module if isinstance(model, nn.DataParallel) else model
    return getattr(getattr(network, "config", None), "classes", None)


def with_label(model: Model, label: Tensor | None) -> Model:
    """The model as one of x_t and t alone, given these labels, one for each image."""
    return model if label is None else lambda x_t, t: model(x_t, t, label)


class Adapted(nn.Module):
    """A model that is called in another way, with tensors of its own that `.to(device)` moves."""

    def __init__(self, model: Model, call: Callable[..., Tensor], **tensors: Tensor) -> None:
        super().__init__()
        self.model = model
        self.call = call
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.to(home_of(model)[0]), persistent=False)

    def forward(self, x_t: Tensor, t: Tensor, *label: Tensor | None) -> Tensor:
        return self.call(self.model, x_t, t, *label, **dict(self.named_buffers(recurse=False)))
