"""The outcome of one call of an answer, in a form that can be compared, described, and sent between
processes.
"""

from __future__ import annotations

import contextlib
import linecache
import signal
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]
SHAPE_ERRORS = ("RuntimeError", "ValueError", "IndexError")  # raised where sizes do not fit


@dataclass(frozen=True)
class Outcome:
    """The outcome of one call: numbers or an error, and which arguments it changed.

    Args:
        value: the arrays returned; None after an error, or if the result is not made of numbers.
        several: whether the result was a tuple or list of arrays.
        error: the error, or what was returned instead of numbers, in words.
        error_name: the type of the error.
        changed: the positions of the arguments that the call changed.
    """

    value: tuple[Array, ...] | None
    several: bool = False
    error: str = ""
    error_name: str = ""
    changed: tuple[int, ...] = ()


def precise(arg: Any) -> Any:
    """A copy of an argument, in float64 if it is a floating-point tensor."""
    return arg.double() if isinstance(arg, Tensor) and arg.is_floating_point() else copied(arg)


def error_in_words(error: Exception) -> str:
    """The type and the message of an error."""
    return f"{type(error).__name__}: {error}"


def error_with_line(error: Exception) -> str:
    """An error in words, with the line of the student's code that raised it."""
    foreign = (
        str(Path(__file__).parent),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("purelib"),
    )
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(foreign)
    ]
    line = linecache.getline(own[-1].filename, own[-1].lineno or 0).strip() if own else ""
    where = f" (line {own[-1].lineno} of {own[-1].name}: {line})" if line else ""
    return error_in_words(error) + where


def outcome_of(
    function: Callable[..., Any],
    args: Sequence[Any],
    describe: Callable[[Exception], str] = error_in_words,
) -> Outcome:
    """Call a function in this process, and describe the outcome."""
    kept = [copied(arg) for arg in args]
    try:
        result = function(*args)
        value, several = arrays_of(result)
    except Exception as error:  # whatever an answer raises is its outcome
        return Outcome(None, error=describe(error), error_name=type(error).__name__)
    return Outcome(value, several, changed=changed_places(kept, args))


class Slow(BaseException):
    """A call has used up its time."""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise Slow in code that runs longer. Where signals are not available, nothing is
    interrupted.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def late(_number: int, _frame: object) -> None:
        raise Slow

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def changed_places(before: Sequence[Any], after: Sequence[Any]) -> tuple[int, ...]:
    """The positions of the arguments that differ from what they were."""
    return tuple(
        place
        for place, (a, b) in enumerate(zip(before, after))
        if isinstance(a, Tensor)
        and not (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
    )


def arrays_of(result: Any) -> tuple[tuple[Array, ...], bool]:
    """What an answer returned, as arrays, and whether there are several.

    Raises: NotImplementedError for None or ..., which a stub returns; TypeError for anything that
        is not made of numbers.
    """
    if result is None or result is ...:
        raise NotImplementedError("nothing is returned")
    if isinstance(result, (tuple, list)) and any(
        isinstance(item, (Tensor, np.ndarray, tuple, list)) for item in result
    ):
        return tuple(array_of(item) for item in result), True
    return (array_of(list(result) if isinstance(result, range) else result),), False


def array_of(item: Any) -> Array:
    """A tensor, array, number or list of numbers, as an array of integers or floats."""
    array: Array
    if isinstance(item, Tensor):
        half = item.dtype in (torch.float16, torch.bfloat16)
        array = item.detach().cpu().to(torch.float32 if half else item.dtype).numpy()
    elif isinstance(item, (list, tuple)):
        array = np.asarray([entry.item() if isinstance(entry, Tensor) else entry for entry in item])
    else:
        array = np.asarray(item)
    if array.dtype.kind not in "iuf":
        kind = type(item).__name__ if array.dtype.kind == "O" else f"{array.dtype} values"
        raise TypeError(f"expected numbers, but the answer returns {kind}")
    return array


def copied(arg: Any) -> Any:
    """A copy of an argument, which the answer may change."""
    return arg.clone() if isinstance(arg, Tensor) else arg


def same(a: Outcome, b: Outcome, tolerance: float) -> bool:
    """Whether two outcomes agree: the same numbers, or both an error about sizes."""
    if a.value is None or b.value is None:
        return a.value is b.value and {a.error_name, b.error_name} <= set(SHAPE_ERRORS)
    if a.several != b.several or [x.shape for x in a.value] != [x.shape for x in b.value]:
        return False
    return all(
        np.allclose(x, y, rtol=0, atol=tolerance * scale(x[np.isfinite(x)]), equal_nan=True)
        for x, y in zip(a.value, b.value)
    )


def scale(values: Array) -> float:
    """The size that decides whether an error is large or small."""
    return max(float(np.abs(values).max(initial=0)), 0.05)


def outcome_in_words(outcome: Outcome) -> str:
    """The numbers of an outcome, or its error."""
    if outcome.value is None:
        return outcome.error
    return " and ".join(brief(array) for array in outcome.value)


def brief(value: Any) -> str:
    """The first few numbers of a value, enough to recognise it."""
    if not isinstance(value, (Tensor, np.ndarray)):
        return f"{value:.4g}" if isinstance(value, float) else repr(value)
    flat = np.asarray(value).reshape(-1)
    numbers = ", ".join(f"{entry:.4g}" for entry in flat[:6].tolist())
    if value.ndim == 0:
        return numbers
    unclear = flat.size > 6 or (value.ndim > 1 and flat.size > 1)
    shape = f" of shape {tuple(value.shape)}" if unclear else ""
    return f"[{numbers}{', ...' if flat.size > 6 else ''}]{shape}"
