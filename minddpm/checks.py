"""What callers may pass, and what to do where they passed something else."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def kind_of(value: Any) -> str:
    """Describe a value for a message, as in "a NumPy array of int64" or "a list"."""
    if isinstance(value, Tensor):
        return f"a {value.dtype} tensor"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of {value.dtype}"
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def positive_integer(name: str, value: Any) -> int:
    """Return the value as an int.

    Raises: TypeError for a value that is not an integer, ValueError for one below 1.
    """
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return operator.index(value)


def how_many(number: int, noun: str) -> str:
    """A number of things in words, as in "1 image" or "2 images"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def is_integer(value: Any) -> bool:
    """Whether Python takes the value for an integer; True and False do not count."""
    if isinstance(value, (bool, np.bool_)):  # before an older NumPy takes one for a number
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def checked_shape(image_shape: Any) -> tuple[int, ...]:
    """Return image_shape, (b, *dims), as a tuple of ints.

    Raises: TypeError or ValueError unless it holds positive integers, the batch among them.
    """
    if not isinstance(image_shape, Sequence) or not len(image_shape):
        raise ValueError(f"image_shape must be (b, *dims), the batch included, got {image_shape}")
    what = f"each number of image_shape {tuple(image_shape)}"
    return tuple(positive_integer(what, size) for size in image_shape)


def check_start(start: Any, shape: tuple[int, ...]) -> None:
    """Raise unless a sampler can start here: (x_t, t), with x_t of this shape."""
    if not isinstance(start, Sequence) or len(start) != 2:
        raise ValueError(f"start must be (x_t, t), got {kind_of(start)}")
    x_t = start[0]
    check_images(x_t, "start's x_t")
    if x_t.shape != shape:
        raise ValueError(f"start must have image_shape {shape}, got {tuple(x_t.shape)}")


def check_share(name: str, value: float) -> None:
    """Raise ValueError for a number outside [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def check_betas(beta: Tensor, alpha_bar: Tensor) -> None:
    """Raise ValueError unless these are the arrays of a schedule, index 0 being the clean image."""
    advice = "use Schedule.from_betas(betas)"
    for name, values in (("beta", beta), ("alpha_bar", alpha_bar)):
        whole = values.dtype == torch.float64 and values.ndim == 1 and 2 <= len(values) == len(beta)
        if not whole:
            got = f"{tuple(values.shape)} of {values.dtype}"
            expected = "float64 and of shape (T+1,) with T at least 1"
            raise ValueError(f"{name} must be {expected}, got {got}: {advice}")
    if beta[0] != 0:
        raise ValueError(f"beta must start with beta[0] = 0, got {beta[0].item():g}: {advice}")
    outside = ~((beta[1:] > 0) & (beta[1:] < 1))  # true for NaN as well
    if outside.any():
        t = int(outside.nonzero()[0]) + 1
        got = f"{beta[t].item()!r} for t = {t}"
        raise ValueError(f"betas must lie strictly between 0 and 1, got {got}")
    lost = (alpha_bar < torch.finfo(torch.float64).tiny).nonzero()
    if len(lost):
        raise ValueError(
            "betas must leave some signal at every t, but alpha_bar reaches 0 at"
            f" t = {int(lost[0])} of {len(beta) - 1}: use fewer steps or smaller betas"
        )
    product = (1 - beta).cumprod(0)
    # a share of signal below the rounding of 1 - beta cannot be told from its product
    error = ((alpha_bar - product).abs() - 1e-15).clamp(min=0).div(product).max()
    if not error <= 1e-9:
        got = f"one off by {error:.2g}"
        raise ValueError(f"alpha_bar must be the running product of 1 - beta, got {got}: {advice}")


def check_variance(name: str, variance: Tensor) -> None:
    """Raise ValueError unless the variances of the distribution called `name` are positive."""
    if not bool((variance > 0).all()):
        raise ValueError(f"variances must be positive, got {variance.min().item():g} in {name}")


def check_rank(name: str, values: Tensor, shape: str) -> None:
    """Raise ValueError unless there are as many sides as in `shape`, "(n, d)"."""
    if values.ndim != len(shape.strip("(,)").split(",")):
        raise ValueError(f"{name} must have shape {shape}, got {tuple(values.shape)}")


def check_one_each(coefficient: Tensor, images: Tensor) -> None:
    """Raise ValueError unless t, and so the coefficient, is one number or one for each image."""
    if coefficient.ndim and coefficient.shape != images.shape[:1]:
        expected = f"an int or have shape ({len(images) if images.ndim else 1},), one for each image"
        raise ValueError(f"t must be {expected}, got {tuple(coefficient.shape)}")


def check_clouds(means: Tensor, variance: float, weights: Tensor) -> None:
    """Raise ValueError unless these describe a `score.GaussianMixture`."""
    if means.ndim != 2 or weights.shape != means.shape[:1]:
        shapes = f"{tuple(means.shape)} and {tuple(weights.shape)}"
        raise ValueError(f"means and weights must have shapes (k, d) and (k,), got {shapes}")
    for name, values in (("variance", [variance]), ("weights", weights.tolist())):
        if not all(0 < value < math.inf for value in values):
            got = values if name == "weights" else variance
            raise ValueError(f"{name} must be positive and finite, got {got}")


def check_time(t: Any, first: int, last: int) -> Tensor:
    """Return t as an int64 tensor on the CPU, of shape () or (b,).

    Raises: TypeError for a t that is not integer, ValueError for one outside first..last or of
        another rank.
    """
    expected = "t must be an int or an int64 tensor"
    if isinstance(t, np.ndarray) and t.ndim:
        raise TypeError(f"{expected}, got {kind_of(t)}: use torch.from_numpy(t).long()")
    if isinstance(t, Sequence):
        raise TypeError(f"{expected}, got {kind_of(t)}: use torch.tensor(t)")
    if isinstance(t, Tensor):
        if t.dtype != torch.int64:
            raise TypeError(f"{expected}, got a tensor of {t.dtype}")
        if t.ndim > 1:
            raise ValueError(f"t must be an int or have shape (b,), got {tuple(t.shape)}")
        times = t.detach().cpu()
    else:
        if not is_integer(t):
            raise TypeError(f"{expected}, got {type(t).__name__}")
        times = torch.tensor(operator.index(t), device="cpu")
    outside = times[(times < first) | (times > last)]
    if outside.numel():
        raise ValueError(f"t must lie in {first}..{last}, got {outside.flatten()[0].item()}")
    return times


def check_images(images: Any, name: str = "images") -> None:
    """Raise TypeError unless these are a floating-point tensor, and say how to make one."""
    if isinstance(images, Tensor):
        if not images.is_floating_point():
            raise TypeError(f"{name} must be floating point, got {images.dtype}")
        return
    advice = ""
    if isinstance(images, np.ndarray):
        advice = ": use torch.from_numpy(...).float()"
    elif isinstance(images, Sequence):
        advice = ": use torch.stack(...)"
    elif hasattr(images, "__getitem__") or hasattr(images, "__iter__"):
        advice = ": collect its images first, torch.stack([image for image, *_ in ...])"
    raise TypeError(f"{name} must be a tensor, got {kind_of(images)}{advice}")


def check_like(name: str, tensor: Any, images: Any) -> None:
    """Raise unless both are floating-point tensors of one dtype and one shape.

    Nothing broadcasts over a batch: one noise for all images would be a silent mistake.
    """
    check_images(images)
    if not isinstance(tensor, Tensor):
        check_images(tensor, name)
    if tensor.dtype != images.dtype:
        raise TypeError(f"{name} must have the images' dtype {images.dtype}, got {tensor.dtype}")
    check_same_shape(name, tensor, images)


def check_same_shape(name: str, tensor: Tensor, images: Tensor) -> None:
    """Raise ValueError unless the tensor has exactly the images' shape."""
    if tensor.shape != images.shape:
        expected, got = tuple(images.shape), tuple(tensor.shape)
        raise ValueError(f"{name} must have the images' shape {expected}, got {got}")


def check_range(images: Any) -> None:
    """Raise unless these are floating-point images with every value in [-1, 1]."""
    check_images(images)
    if not bool((images.abs() <= 1).all()):
        low, high = images.min().item(), images.max().item()
        raise ValueError(f"images must lie in [-1, 1], got values in [{low:g}, {high:g}]")


def check_labels(labels: Any, classes: int | None) -> None:
    """Raise unless these are labels 0..classes-1: an int, or an int64 tensor of shape () or (b,).

    Args: classes, None where the number of labels is not known.
    """
    if isinstance(labels, Tensor):
        if labels.dtype != torch.int64:
            raise TypeError(f"label must be an int or an int64 tensor, got {kind_of(labels)}")
        if labels.ndim > 1:
            raise ValueError(f"label must be an int or have shape (b,), got {tuple(labels.shape)}")
    elif not is_integer(labels):
        raise TypeError(f"label must be an int or an int64 tensor, got {kind_of(labels)}")
    if classes == 0:
        raise ValueError("label needs a network with classes, got one without")
    values = labels.cpu() if isinstance(labels, Tensor) else torch.tensor(labels, device="cpu")
    outside = values[(values < 0) | (values >= (math.inf if classes is None else classes))]
    if outside.numel():
        expected = "at 0 or above" if classes is None else f"in 0..{classes - 1}"
        raise ValueError(f"label must lie {expected}, got {outside.flatten()[0].item()}")


def check_training_set(images: Any, labels: Any, classes: int | None) -> None:
    """Raise unless these are images in [-1, 1] to train on, each with a label if any has one."""
    check_range(images)
    if not len(images):
        raise ValueError(f"images must be at least one, got shape {tuple(images.shape)}")
    if labels is not None:
        check_one_for_each("labels", labels, images)
        check_labels(labels, classes)


def checked_batch_size(batch_size: Any, images: int) -> int:
    """Return a batch size for this many images: 64, or all of them if fewer, if None.

    Raises: TypeError or ValueError for one that is not an integer in 1..images.
    """
    if batch_size is None:
        return min(64, images)
    if positive_integer("batch_size", batch_size) > images:
        raise ValueError(f"batch_size must be at most the {images} images, got {batch_size}")
    return int(batch_size)


def check_unet_config(config: Any) -> None:
    """Raise ValueError unless a U-Net can be built from this `unet.UNetConfig`."""
    widths, groups = config.channels, config.groups
    if groups < 1 or not widths or any(width < 1 or width % groups for width in widths):
        expected = f"a positive multiple of groups={groups}"
        raise ValueError(f"every width must be {expected}, got {widths}")
    for name, least in (("image_channels", 1), ("blocks", 1), ("classes", 0)):
        value = getattr(config, name)
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    check_embedding_dim("time_dim", config.time_dim)


def check_embedding_dim(name: str, dim: int) -> None:
    """Raise ValueError unless half of the numbers can be sines and half cosines."""
    if dim < 2 or dim % 2:
        raise ValueError(f"{name} must be even and positive, got {dim}")


def check_one_for_each(name: str, values: Any, images: Tensor) -> None:
    """Raise unless these are int64 numbers, one for each image."""
    if not isinstance(values, Tensor) or values.dtype != torch.int64:
        got = f"one of {values.dtype}" if isinstance(values, Tensor) else repr(values)
        raise TypeError(f"{name} must be an int64 tensor, got {got}")
    if values.shape != images.shape[:1]:
        expected = f"({len(images)},), one for each image"
        raise ValueError(f"{name} must have shape {expected}, got {tuple(values.shape)}")


def check_unet_input(
    config: Any, dtype: torch.dtype, x_t: Any, t: Any, label: Tensor | None
) -> None:
    """Raise unless a U-Net of this config and dtype can take these images, times and labels."""
    check_images(x_t)
    if x_t.dtype != dtype and not torch.is_autocast_enabled(x_t.device.type):
        raise TypeError(f"images must have the network's dtype {dtype}, got {x_t.dtype}")
    if x_t.ndim != 4 or x_t.shape[1] != config.image_channels:
        expected = f"(b, {config.image_channels}, height, width)"
        raise ValueError(f"images must have shape {expected}, got {tuple(x_t.shape)}")
    halvings = len(config.channels) - 1
    multiple = 2**halvings
    height, width = x_t.shape[2:]
    if any(side < 1 or side % multiple for side in (height, width)):
        expected = f"multiples of {multiple} to be halved {halvings} times"
        raise ValueError(f"image sides must be {expected}, got {height}x{width}")
    check_one_for_each("t", t, x_t)
    if label is None:
        return
    check_one_for_each("label", label, x_t)
    if not config.classes:
        raise ValueError("label must be None for a network without classes")
    # on an accelerator a look at the values would wait for the device at each step
    if label.device.type == "cpu" and not bool(((label >= 0) & (label <= config.classes)).all()):
        expected = f"in 0..{config.classes}, the last for none"
        raise ValueError(f"label must lie {expected}, got {label.tolist()}")
