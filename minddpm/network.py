"""The network as the maths sees it: whatever predicts the noise in x_t from x_t and t."""

import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from minddpm.checks import check_precision, check_same_shape, kind_of, positive_integer, told
from minddpm.noising import Images

Model = Callable[..., Any]  # model(x_t, t), or model(x_t, t, label): the noise it predicts
Predict = Callable[..., Images]  # called in the same way, and its answer checked


def predict(
    model: Model, x_t: Images, t: Tensor, *label: Tensor | None, by_name: bool | None = None
) -> Images:
    """Predict the noise in x_t at its times t, with a label, or None for no label, if one is given.

    A network may say in an attribute `at_once` how many images suit it. Without gradients, on the
    CPU, it gets more than these in parts of nearly equal size: in one, PyTorch would spend as long
    on asking for memory as on computing.

    Args: by_name, as in `raw_answer`.
    Returns: the predicted noise, shape and dtype of x_t.
    Raises: as `as_prediction`; TypeError for a model that cannot be called.
    """
    most = getattr(model, "at_once", math.inf)
    if len(x_t) <= most or x_t.device.type != "cpu" or torch.is_grad_enabled():
        return as_prediction(raw_answer(model, x_t, t, *label, by_name=by_name), x_t)
    parts = math.ceil(len(x_t) / most)
    inputs = ([None] * parts if x is None else x.tensor_split(parts) for x in (x_t, t, *label))
    return torch.cat([predict(model, *part, by_name=by_name) for part in zip(*inputs)])


def raw_answer(
    model: Model, x_t: Images, t: Tensor, *label: Tensor | None, by_name: bool | None = None
) -> Any:
    """Call a model as model(x_t, t) or model(x_t, t, label), and return whatever it returns.

    A network whose forward names its labels `class_labels`, as those of diffusers do, gets them by
    that name. If its config has `num_class_embeds`, the last of these stands for no label, because
    such a network demands one.

    Args: by_name, what `takes_class_labels` says of the model, where that is known.
    """
    if not (takes_class_labels(model) if by_name is None else by_name):
        return model(x_t, t, *label)
    (class_labels,) = label or (None,)
    config: Any = getattr(undistributed(model), "config", None)
    if class_labels is None and (embeddings := getattr(config, "num_class_embeds", None)):
        class_labels = torch.full((len(x_t),), embeddings - 1, device=x_t.device)
    return model(x_t, t, class_labels=class_labels)


def takes_class_labels(model: Model) -> bool:
    """Whether a model is a network whose forward has a parameter `class_labels`.

    Raises: TypeError for a model that cannot be called.
    """
    if not callable(model):
        raise TypeError(f"model must be a network or a function of x_t and t, got {told(model)}")
    network = undistributed(model)
    if not isinstance(network, nn.Module):
        return False
    # the function of a bound method is the same for all networks of a class
    return "class_labels" in parameters_of(getattr(network.forward, "__func__", network.forward))


@lru_cache(maxsize=128)
def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters: none where Python cannot see them."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a module traced by torch.jit, for one
        return ()


def undistributed(model: Model) -> Model:
    """The network inside a wrapper of PyTorch that spreads it over several devices."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return model.module if isinstance(model, wrappers) else model


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
    """Predict the noise in x_t, with one t for all images and the model in eval mode.

    Gradients are not tracked, and each module of the model is left in the mode it was in.

    Returns: the predicted noise, shape and dtype of x_t.
    Raises: as `predict`; TypeError for an x_t of another dtype than the model's weights.
    """
    check_precision_of(model, x_t)
    modules = model.modules() if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        return predict(model, x_t, torch.full((len(x_t),), t, device=x_t.device))
    finally:
        for module in training:
            module.training = True


def weights_of(model: Model) -> list[Tensor]:
    """The floating-point parameters of a model: none for a function."""
    parameters = model.parameters() if isinstance(model, nn.Module) else []
    return [parameter for parameter in parameters if parameter.is_floating_point()]


def home_of(model: Model) -> tuple[torch.device, torch.dtype]:
    """The device and dtype of a model's weights: the CPU and float32 if it has none."""
    weights = weights_of(model)
    if not weights:
        return torch.device("cpu"), torch.float32
    return weights[0].device, weights[0].dtype


def check_precision_of(model: Model, images: Images, name: str = "images") -> None:
    """Raise TypeError unless the images have the dtype of the model's weights, if it has any."""
    check_precision(name, images, {weight.dtype for weight in weights_of(model)})


def classes_of(model: Model) -> int | None:
    """How many labels a model knows: 0 for none, None if its config does not say."""
    network = undistributed(model)
    while isinstance(network, Adapted):
        network = undistributed(network.model)
    config: Any = getattr(network, "config", None)
    if embeddings := getattr(config, "num_class_embeds", None):
        return int(embeddings) - 1  # the last one stands for no label
    classes: int | None = getattr(config, "classes", None)
    return classes


def known_classes(model: Model, classes: Any) -> int | None:
    """How many labels a model is trained on: `classes`, or what its config says if that is None.

    Raises: TypeError or ValueError for classes that are not a positive integer, or not what the
        config says.
    """
    known = classes_of(model)
    if classes is None:
        return known
    chosen = positive_integer("classes", classes)
    if known not in (None, chosen):
        raise ValueError(f"classes must be {known}, as in the network's config, got {chosen}")
    return chosen


def with_label(model: Model, label: Tensor | None) -> Model:
    """Turn a model into one of x_t and t alone, given a label for each image."""
    return model if label is None else lambda x_t, t: raw_answer(model, x_t, t, label)


class Adapted(nn.Module):
    """A model that is called in another way, with tensors of its own that `.to(device)` moves.

    Args: call, called as call(predict, x_t, t, ...) with a function that calls the inner model,
        whatever this model is called with, and the tensors by name.
    """

    def __init__(self, model: Model, call: Callable[..., Tensor], **tensors: Tensor) -> None:
        super().__init__()
        self.by_name = takes_class_labels(model)
        self.model = model
        self.call = call
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.to(home_of(model)[0]), persistent=False)

    def predict(self, x_t: Tensor, t: Tensor, *label: Tensor | None) -> Tensor:
        """Predict the noise with the inner model, as the function `predict` does."""
        return predict(self.model, x_t, t, *label, by_name=self.by_name)

    def forward(self, x_t: Tensor, t: Tensor, *label: Tensor | None) -> Tensor:
        return self.call(self.predict, x_t, t, *label, **dict(self.named_buffers(recurse=False)))
