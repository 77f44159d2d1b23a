"""Whatever a function of yours returns, as the tensors that the package works with."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minddpm.checks import check_one_each


def as_tensor(result: Any) -> Tensor:
    """A result (tensor, array, number, or any sequence of these) as one tensor, through which
    gradients flow where they flowed before.
    """
    if isinstance(result, Tensor):
        return result
    if isinstance(result, (np.ndarray, np.generic, float, int)):
        return torch.from_numpy(np.array(result))
    return torch.stack([as_tensor(item) for item in result])


def tensor_of(result: Any, like: Tensor, shape: Sequence[int] | None = None) -> Tensor:
    """A result as a tensor with the dtype and device of another, and with its shape unless one is
    given.
    """
    shape = like.shape if shape is None else shape
    return as_tensor(result).to(like.dtype).to(like.device).reshape(shape)


def exact(x: Tensor) -> Tensor:
    """The tensor in float64; as it is where the device has no float64."""
    return x if x.device.type == "mps" else x.double()


def flat(x: Tensor) -> Tensor:
    """Images of any rank as grey images of one row, (b, 1, 1, pixels), in float64."""
    return exact(x).reshape(len(x), 1, 1, -1)


def levels(alpha_bar: Tensor, x: Tensor) -> Tensor:
    """alpha_bar_t for each of the images x, (b,), float64.

    Raises: ValueError where it is neither one number nor one for each image.
    """
    check_one_each(alpha_bar, x)
    return exact(alpha_bar.to(x.device)).expand(len(x))


@contextlib.contextmanager
def doubles() -> Iterator[None]:
    """Let the numbers that a function makes itself be float64, as the package's are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def image_by_image(step: Callable[..., Tensor], t: Tensor, *images: Tensor) -> Tensor:
    """Call a step that takes one time for all images; image by image where each has its own.

    Raises: ValueError where t is neither one number nor one for each image.
    """
    check_one_each(t, images[0])
    if t.ndim == 0:
        return step(int(t), *images)
    return torch.cat([step(*batch) for batch in zip(t.tolist(), *(x.split(1) for x in images))])


class Pause(Exception):
    """Leaves a loop that would take more than one step."""


def one_at_a_time(
    loop: Callable[[Callable[..., Any]], Iterable[Any]], step: Callable[..., Any], done: int
) -> Iterator[None]:
    """Let a training loop take the steps of one epoch, and pause after each.

    A generator pauses by itself. A function that returns only when all steps are taken is left
    after each of them, and called again for the next.

    Args:
        loop: called with the function that takes a step.
        step: takes a step with a batch, and returns the loss.
        done: how many steps of the epoch were taken before.
    Raises: RuntimeError for a loop that takes no step.
    """
    start, calls, may_step = done, 0, True

    def take(batch: Any) -> Any:
        nonlocal done, calls, may_step
        calls += 1
        if calls <= done:
            return torch.zeros(())
        if not may_step:
            raise Pause
        done, may_step = calls, False
        with torch.inference_mode(False), torch.enable_grad():  # whatever mode the loop is in
            return step(batch)

    ended = False
    while not ended:
        calls = 0
        try:
            for _ in loop(take):
                if not may_step:
                    may_step = True
                    yield
            ended = True
        except Pause:
            may_step = True
            yield
    if done == start:
        raise RuntimeError("training_loop took no step")
