"""What callers may pass, and what they are told about anything else."""

import math
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn


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


def told(value: Any) -> str:
    """Write a value out for a message if that is short, as in "2.5" or "'cpu'", else its kind."""
    return repr(value) if isinstance(value, (Real, str)) or value is None else kind_of(value)


def positive_integer(name: str, value: Any, least: int = 1) -> int:
    """Return the value as an int.

    Raises: TypeError for a value that is not an integer, ValueError for one below the least.
    """
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer, got {told(value)}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
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


def check_number(name: str, value: Any) -> None:
    """Raise TypeError unless the value is one real number; True and False do not count."""
    single = isinstance(value, Tensor) and value.ndim == 0 and value.dtype != torch.bool
    if not single and (isinstance(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"{name} must be a number, got {told(value)}")


def check_positive(name: str, value: Any) -> None:
    """Raise unless the value is a positive and finite number."""
    check_number(name, value)
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be {'finite' if value > 0 else 'positive'}, got {value}")


def check_limit(name: str, value: Any) -> None:
    """Raise unless the value is a positive number; an infinite one limits nothing."""
    check_number(name, value)
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value}")


def check_share(name: str, value: Any) -> None:
    """Raise unless the value is a number in [0, 1]."""
    check_number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def check_inside(**values: Any) -> None:
    """Raise unless each value, given by its name, is a number in (0, 1)."""
    for name, value in values.items():
        check_number(name, value)
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}")


def check_at_least_0(name: str, value: Any) -> None:
    """Raise unless the value is a finite number, 0 or more."""
    check_number(name, value)
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")


def check_callable(name: str, value: Any, example: str) -> None:
    """Raise TypeError unless the value can be called, and name an example of what can."""
    if not callable(value):
        raise TypeError(f"{name} must be a function such as {example}, got {told(value)}")


def checked_shape(image_shape: Any) -> tuple[int, ...]:
    """Return image_shape, (b, *dims), as a tuple of ints.

    Raises: TypeError or ValueError unless it holds positive integers, the batch size first.
    """
    if not isinstance(image_shape, Sequence) or isinstance(image_shape, str) or not image_shape:
        got = "()" if isinstance(image_shape, tuple) else told(image_shape)
        raise ValueError(f"image_shape must be (b, *dims), including the batch size, got {got}")
    what = f"each number of image_shape {tuple(image_shape)}"
    return tuple(positive_integer(what, size) for size in image_shape)


def check_start(start: Any, shape: tuple[int, ...]) -> None:
    """Raise unless a sampler can start here: (x_t, t), with x_t of this shape."""
    if not isinstance(start, Sequence) or len(start) != 2:
        raise ValueError(f"start must be (x_t, t), got {kind_of(start)}")
    x_t = start[0]
    check_images(x_t, "start's x_t")
    if x_t.shape != shape:
        raise ValueError(f"start's x_t must have image_shape {shape}, got {tuple(x_t.shape)}")


def check_precision(name: str, images: Tensor, dtypes: Collection[torch.dtype]) -> None:
    """Raise TypeError unless a network whose weights have these dtypes can take the images.

    Autocast takes any precision but float64. Functions without weights decide for themselves.
    """
    if not dtypes or images.dtype in dtypes:
        return
    if images.dtype == torch.float64 or not torch.is_autocast_enabled(images.device.type):
        expected = " or ".join(sorted(str(dtype) for dtype in dtypes))
        raise TypeError(f"{name} must have the network's dtype {expected}, got {images.dtype}")


def check_generator(generator: Any) -> None:
    """Raise TypeError unless this is a generator or None."""
    if generator is not None and not isinstance(generator, Generator):
        advice = f": use torch.Generator().manual_seed({generator})" * is_integer(generator)
        raise TypeError(f"generator must be a torch.Generator, got {told(generator)}{advice}")


def source_device(generator: Any, device: Any) -> Any:
    """Where random numbers are drawn: where the generator is, else on this device.

    Raises: TypeError for anything but a generator or None.
    """
    check_generator(generator)
    return device if generator is None else generator.device


def drawing_devices(generator: Any, device: Any, home: torch.device) -> tuple[Any, torch.device]:
    """Where to draw random numbers, and where to put them: on the device, or at home if None.

    Raises: TypeError for anything but a generator or None; TypeError or ValueError for a device
        that PyTorch does not know or cannot use here.
    """
    wanted = home
    if device is not None:
        expected = "device must be a torch.device or a name such as 'cpu' or 'cuda'"
        if not isinstance(device, (str, int, torch.device)) or isinstance(device, bool):
            raise TypeError(f"{expected}, got {told(device)}")
        try:
            wanted = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            got = f"'{device}', which PyTorch cannot use here"
            raise ValueError(f"{expected}, got {got}") from error
    return source_device(generator, wanted), wanted


def checked_betas(betas: Any) -> np.ndarray:
    """Return beta_1, ..., beta_T as a float64 array.

    Raises: TypeError for anything but numbers, ValueError for no numbers or a table of them.
    """
    if isinstance(betas, Tensor) and not betas.is_complex():
        betas = betas.detach().cpu().double().numpy()  # NumPy knows no bfloat16
    try:
        array = np.asarray(betas)
    except (TypeError, ValueError):  # rows of several lengths, for one
        array = np.asarray(None)
    if array.dtype.kind not in "fiu" and array.size:
        raise TypeError(f"betas must be a list, array or tensor of numbers, got {told(betas)}")
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"betas must have shape (T,) with T at least 1, got {array.shape}")
    return array.astype(np.float64)


def check_betas(beta: Tensor, alpha_bar: Tensor) -> None:
    """Raise unless these are the arrays of a schedule, index 0 being the clean image."""
    advice = "use Schedule.from_betas(betas)"
    for name, values in (("beta", beta), ("alpha_bar", alpha_bar)):
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} must be a float64 tensor, got {told(values)}: {advice}")
        whole = values.dtype == torch.float64 and values.ndim == 1 and 2 <= len(values) == len(beta)
        if not whole:
            got = f"{tuple(values.shape)} of {values.dtype}"
            expected = "float64 and of shape (T+1,) with T at least 1"
            raise ValueError(f"{name} must be {expected}, got {got}: {advice}")
    if beta[0] != 0:
        raise ValueError(f"beta must start with beta[0] = 0, got {beta[0].item():g}: {advice}")
    T = len(beta) - 1
    if beta[T] == 1 and alpha_bar[T] == 0:  # x_T may be noise alone
        beta, alpha_bar = beta[:T], alpha_bar[:T]
    outside = ~((beta[1:] > 0) & (beta[1:] < 1))  # true for NaN as well
    if outside.any():
        t = int(outside.nonzero()[0]) + 1
        got = f"{beta[t].item()!r} for t = {t}"
        raise ValueError(f"betas must lie strictly between 0 and 1, got {got}")
    lost = ((alpha_bar >= 0) & (alpha_bar < torch.finfo(torch.float64).tiny)).nonzero()
    if len(lost):
        t = int(lost[0])
        raise ValueError(
            f"betas must leave some signal at every t, but alpha_bar falls to {alpha_bar[t]:.2g} at"
            f" t = {t} of {T}, too little for float64: use fewer steps or smaller betas"
        )
    product = (1 - beta).cumprod(0)
    # a share of signal below the rounding of 1 - beta cannot be told from its product
    error = ((alpha_bar - product).abs() - 1e-15).clamp(min=0).div(product).max()
    if not error <= 1e-9:
        got = f"one off by {error:.2g}"
        raise ValueError(f"alpha_bar must be the running product of 1 - beta, got {got}: {advice}")


def check_signal(alpha_bar: Tensor, t: Tensor) -> None:
    """Raise ValueError where x_t is noise alone, so that its noise says nothing of x_0."""
    lost = t[alpha_bar == 0]
    if lost.numel():
        raise ValueError(
            "alpha_bar must be above 0 for x_0 to follow from the noise, got 0 at"
            f" t = {lost[0].item()}: there, predict x_0 or the velocity"
        )


def checked_variance(variance: Any) -> Callable[..., Tensor]:
    """Return a function such as `beta_variance` with a check of what it returns.

    Raises: TypeError for what is not a function; the function it returns raises TypeError where
        the answer is not a floating-point tensor.
    """
    check_callable("variance", variance, "beta_variance")

    def checked(*args: Any) -> Tensor:
        value = variance(*args)
        if not isinstance(value, Tensor) or not value.is_floating_point():
            got = str(value.dtype) if isinstance(value, Tensor) else told(value)
            raise TypeError(f"variance must return a floating-point tensor, got {got}")
        return value

    return checked


def check_gaussian(name: str, gaussian: Any) -> None:
    """Raise unless this has a mean and a positive variance, both floating-point tensors.

    Args: name, what the distribution is called.
    """
    if not hasattr(gaussian, "mean") or not hasattr(gaussian, "variance"):
        got = f"{told(gaussian)}: use Gaussian(mean, variance)"
        raise TypeError(f"{name} must be a Gaussian, got {got}")
    check_images(gaussian.mean, f"the mean of {name}")
    check_images(gaussian.variance, f"the variance of {name}")
    bad = gaussian.variance[~(gaussian.variance > 0)]  # NaN included
    if bad.numel():
        raise ValueError(f"variances must be positive, got {bad[0].item():g} in {name}")


def check_one_each(coefficient: Tensor, images: Any) -> None:
    """Raise unless t, and so the coefficient, is one number for all images or one for each."""
    check_images(images)
    if coefficient.ndim and coefficient.shape != images.shape[:1]:
        expected = (
            f"an int or have shape ({len(images) if images.ndim else 1},), one for each image"
        )
        raise ValueError(f"t must be {expected}, got {tuple(coefficient.shape)}")


def check_clouds(means: Any, variance: Any, weights: Any) -> None:
    """Raise unless these describe a `score.GaussianMixture`."""
    check_images(means, "means")
    check_images(weights, "weights")
    if means.ndim != 2 or weights.shape != means.shape[:1]:
        shapes = f"{tuple(means.shape)} and {tuple(weights.shape)}"
        raise ValueError(f"means and weights must have shapes (k, d) and (k,), got {shapes}")
    check_positive("variance", variance)
    for weight in weights.tolist():
        check_positive("each of the weights", weight)


def check_time(t: Any, first: int, last: int) -> Tensor:
    """Return t as an int64 tensor on the CPU, of shape () or (b,).

    Raises: TypeError for a t that is not an integer, ValueError for one outside first..last or with
        two or more dimensions.
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
        # no tensor holds an integer of any size, and one this far out is said as it is
        if not -(2**63) <= (single := operator.index(t)) < 2**63:
            raise ValueError(f"t must lie in {first}..{last}, got {single}")
        times = torch.tensor(single, device="cpu")
    outside = times[(times < first) | (times > last)]
    if outside.numel():
        raise ValueError(f"t must lie in {first}..{last}, got {outside.flatten()[0].item()}")
    return times


def at_times(table: Tensor, t: Any, first: int) -> Tensor:
    """Return the entries of a table at times t: along its last dimension, from `first` on.

    Only where PyTorch finds no entry are the values of t looked at. So a network that looks its
    times up here does not wait for an accelerator, and can be compiled, exported and vectorised.

    Raises: as `check_time`; on an accelerator, as PyTorch does.
    """
    last = first + table.shape[-1] - 1
    times = (t if isinstance(t, Tensor) else check_time(t, first, last)).to(table.device)
    try:
        found = table.index_select(-1, times - first)
    except (IndexError, RuntimeError):
        check_time(t, first, last)
        raise
    return found.reshape((*table.shape[:-1], *times.shape))


def single_time(t: Any, first: int, last: int) -> int:
    """Return a t that holds for all images as an int. Raises: as `check_time`."""
    times = check_time(t, first, last)
    if times.ndim:
        raise ValueError(f"t must be one int for all images, got one of shape {tuple(times.shape)}")
    return int(times)


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


def check_batch(images: Any) -> None:
    """Raise unless these are floating-point images, at least one, of shape (b, *dims)."""
    check_images(images)
    if not images.ndim or not len(images):
        expected = "(b, *dims) with b at least 1"
        raise ValueError(f"images must have shape {expected}, got {tuple(images.shape)}")


def check_mask(mask: Any, images: Tensor) -> None:
    """Raise unless the mask is a bool tensor that broadcasts to the images' shape."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        expected = "mask must be a bool tensor, True where images are to be filled in"
        advice = ": use mask > 0.5" if isinstance(mask, Tensor) else ""
        raise TypeError(f"{expected}, got {kind_of(mask)}{advice}")
    try:
        mask.expand(images.shape)
    except RuntimeError:
        expected = f"the images' shape {tuple(images.shape)}, or one that broadcasts to it"
        raise ValueError(f"mask must have {expected}, got {tuple(mask.shape)}") from None


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
    check_batch(images)
    if not bool((images.abs() <= 1).all()):
        low, high = images.min().item(), images.max().item()
        raise ValueError(f"images must lie in [-1, 1], got values in [{low:g}, {high:g}]")


def check_labels(labels: Any, classes: int | None, name: str = "label") -> None:
    """Raise unless these are labels 0..classes-1: an int, or an int64 tensor of shape () or (b,).

    Args: classes, None where the number of labels is not known.
    """
    expected = f"{name} must be an int or an int64 tensor"
    if isinstance(labels, Tensor):
        if labels.dtype != torch.int64:
            raise TypeError(f"{expected}, got {kind_of(labels)}")
        if labels.ndim > 1:
            raise ValueError(f"{name} must be an int or have shape (b,), got {tuple(labels.shape)}")
    elif not is_integer(labels):
        raise TypeError(f"{expected}, got {kind_of(labels)}")
    if classes == 0:
        raise ValueError(f"this network has no classes, so it takes no {name}")
    values = labels.cpu() if isinstance(labels, Tensor) else torch.tensor(labels, device="cpu")
    outside = values[(values < 0) | (values >= (math.inf if classes is None else classes))]
    if outside.numel():
        limits = "be at least 0" if classes is None else f"lie in 0..{classes - 1}"
        raise ValueError(f"{name} must {limits}, got {outside.flatten()[0].item()}")


def check_dropping(labels: Any, classes: Any, share: Any) -> None:
    """Raise unless a share of these labels, int64 numbers in 0..classes-1, can be dropped.

    On an accelerator, where a look at the values would make each step wait, only their kind is
    checked.
    """
    check_share("share", share)
    positive_integer("classes", classes)
    check_one_for_each("labels", labels, labels)  # so at most one dimension
    if labels.device.type == "cpu":
        check_labels(labels, classes, "labels")


def check_guidance(label: Any, classes: int | None, scale: Any) -> None:
    """Raise unless a model with so many classes can be guided to this label, this strongly."""
    check_at_least_0("scale", scale)
    check_labels(label, classes)


def check_training_set(images: Any, labels: Any, classes: int | None) -> int:
    """Raise unless these are images in [-1, 1] to train on, each with a label if any has one.

    Args: classes, as in `check_labels`.
    Returns: how many labels there are: one more than the largest if classes is None, 0 without
        labels.
    """
    check_range(images)
    if labels is None:
        return 0
    check_one_for_each("labels", labels, images)
    check_labels(labels, classes, "labels")
    return int(labels.max()) + 1 if classes is None else classes


def check_run(
    model: Any,
    steps: Any,
    learning_rate: Any,
    ema_decay: Any,
    dropped: Any,
    seed: Any,
    loss: Any,
    resume: Any,
) -> None:
    """Raise unless `training.train` can train this model with these settings."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module to be trained, got {told(model)}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model must have weights that require gradients, got none")
    check_callable("loss", loss, "simple_loss")
    positive_integer("steps", steps)
    check_positive("learning_rate", learning_rate)
    check_number("ema_decay", ema_decay)
    if not 0 <= ema_decay < 1:
        raise ValueError(f"ema_decay must lie in [0, 1), got {ema_decay}")
    check_share("dropped", dropped)
    if not is_integer(seed):
        raise TypeError(f"seed must be an integer, got {told(seed)}")
    if abs(seed) >= 2**43:  # the seed of a step is a million times as large, and has 64 bits
        raise ValueError(f"seed must be below 2**43 in absolute value, got {seed}")
    if resume is None:
        return
    if not isinstance(resume, Mapping):
        raise TypeError(f"resume must be what state.tensors() returned, got {told(resume)}")
    taken = int(resume.get("step", 0))
    if taken > steps:
        got = f"got {steps}: the run to resume has already taken {taken}"
        raise ValueError(f"steps must be at least {taken}, {got}")


def augmented(batch: Tensor, augment: Any, generator: Generator) -> Tensor:
    """Return a batch as `augment` changes it; unchanged if that is None.

    Raises: TypeError or ValueError unless it becomes a floating-point tensor of as many images.
    """
    if augment is None:
        return batch
    changed = augment(batch, generator)
    if not isinstance(changed, Tensor) or not changed.is_floating_point():
        raise TypeError(f"augment must return a floating-point tensor, got {kind_of(changed)}")
    if changed.shape[:1] != batch.shape[:1]:
        got = f"shape {tuple(changed.shape)}"
        raise ValueError(f"augment must return as many images as it gets, {len(batch)}, got {got}")
    return changed


def check_walk(score: Any, step_size: Any) -> None:
    """Raise unless Langevin dynamics can follow this score in steps of this size."""
    check_callable("score", score, "mixture.score")
    check_positive("step_size", step_size)


def check_loss(loss: Any) -> None:
    """Raise unless this is a finite scalar tensor with a gradient.

    On an accelerator, where a look at the value would make each step wait, that it is finite is
    left for the caller to check.
    """
    if not isinstance(loss, Tensor):
        raise TypeError(f"loss must return a scalar tensor, got {told(loss)}")
    if loss.ndim:
        got = f"one of shape {tuple(loss.shape)}"
        raise ValueError(f"loss must return a scalar tensor, got {got}: take its mean")
    if not loss.requires_grad:
        raise ValueError("loss must depend on the model's weights, got one without a gradient")
    if loss.device.type == "cpu":
        check_finite(loss)


def check_finite(loss: Tensor) -> None:
    """Raise FloatingPointError for a loss that is NaN or infinite."""
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()}")


def checked_batch_size(batch_size: Any, images: int) -> int:
    """Return a batch size for this many images: 64, or all of them if fewer, if None.

    Raises: TypeError or ValueError for one that is not an integer in 1..images.
    """
    if batch_size is None:
        return min(64, images)
    if positive_integer("batch_size", batch_size) > images:
        raise ValueError(f"batch_size must be at most the {images} images, got {batch_size}")
    return int(batch_size)


def checked_widths(config: Any) -> tuple[int, ...]:
    """Check a `unet.UNetConfig` as a whole, and return its channels as a tuple of ints.

    Raises: TypeError or ValueError unless a U-Net can be built from it.
    """
    channels = config.channels
    if not isinstance(channels, Iterable) or isinstance(channels, str):
        expected = "a sequence of widths, such as (16, 48, 96)"
        raise TypeError(f"channels must be {expected}, got {told(channels)}")
    widths = tuple(positive_integer("each width in channels", width) for width in channels)
    if not widths:
        raise ValueError("channels must have at least one width, got ()")
    for name in ("image_channels", "blocks", "groups", "patch"):
        positive_integer(name, getattr(config, name))
    positive_integer("classes", config.classes, 0)
    if not isinstance(config.residual, bool):
        raise TypeError(f"residual must be True or False, got {told(config.residual)}")
    for width in widths:
        if width % config.groups:
            expected = f"a multiple of groups={config.groups}"
            raise ValueError(f"each width in channels must be {expected}, got {width}")
    check_embedding_dim("time_dim", config.time_dim)
    return widths


def check_config(config: Any, kind: type) -> None:
    """Raise TypeError unless a network's config is of this kind."""
    if not isinstance(config, kind):
        name = kind.__name__
        raise TypeError(f"config must be a {name}, got {told(config)}: use {name}(...)")


def check_embedding_dim(name: str, dim: Any) -> None:
    """Raise unless half of the numbers can be sines and half cosines."""
    if not is_integer(dim):
        raise TypeError(f"{name} must be an integer, got {told(dim)}")
    if dim < 2 or dim % 2:
        raise ValueError(f"{name} must be even and positive, got {dim}")


def check_embedding(t: Any, dim: Any, max_period: Any) -> None:
    """Raise unless `unet.timestep_embedding` can turn these times into vectors of this size."""
    check_embedding_dim("dim", dim)
    check_positive("max_period", max_period)
    if not isinstance(t, Tensor):
        raise TypeError(f"t must be a tensor, got {told(t)}")
    if t.ndim != 1:
        raise ValueError(f"t must have shape (b,), got {tuple(t.shape)}")


def check_one_for_each(name: str, values: Any, images: Tensor) -> None:
    """Raise unless these are int64 numbers, one for each image."""
    if not isinstance(values, Tensor) or values.dtype != torch.int64:
        got = str(values.dtype) if isinstance(values, Tensor) else told(values)
        advice = ""
        if isinstance(values, (np.ndarray, Sequence)) and not isinstance(values, str):
            advice = f": use torch.as_tensor({name}).long()"
        raise TypeError(f"{name} must be an int64 tensor, got {got}{advice}")
    if values.shape != images.shape[:1]:
        expected = f"({len(images)},), one for each image"
        raise ValueError(f"{name} must have shape {expected}, got {tuple(values.shape)}")


def check_weights(weights: Any, count: int) -> None:
    """Raise unless a weight function returned a number for each of so many images."""
    if not isinstance(weights, Tensor) or not weights.is_floating_point():
        got = str(weights.dtype) if isinstance(weights, Tensor) else told(weights)
        raise TypeError(f"weight must return a floating-point tensor, got {got}")
    if weights.shape != (count,):
        expected = f"({count},), one for each image"
        raise ValueError(f"weight must return shape {expected}, got {tuple(weights.shape)}")


def check_unet_input(
    config: Any, dtype: torch.dtype, x_t: Any, t: Any, label: Tensor | None
) -> None:
    """Raise unless a U-Net of this config and dtype can take these images, times and labels."""
    check_images(x_t)
    check_precision("images", x_t, (dtype,))
    if x_t.ndim != 4 or x_t.shape[1] != config.image_channels:
        expected = f"(b, {config.image_channels}, height, width)"
        raise ValueError(f"images must have shape {expected}, got {tuple(x_t.shape)}")
    halvings = len(config.channels) - 1
    multiple = config.patch * 2**halvings
    height, width = x_t.shape[2:]
    if any(side < 1 or side % multiple for side in (height, width)):
        expected = f"multiples of {multiple} to be halved {halvings} times"
        if config.patch > 1:
            expected += f" in patches of {config.patch}x{config.patch}"
        raise ValueError(f"image sides must be {expected}, got {height}x{width}")
    check_one_for_each("t", t, x_t)
    if label is None:
        return
    check_one_for_each("label", label, x_t)
    if not config.classes:
        raise ValueError("this network has no classes, so it takes no label")
    if label.device.type != "cpu":  # a look at the values would wait for the device at each step
        return
    outside = label[(label < 0) | (label > config.classes)]
    if outside.numel():
        expected = f"in 0..{config.classes - 1}, or {config.classes} for no label"
        raise ValueError(f"label must lie {expected}, got {outside[0].item()}")
