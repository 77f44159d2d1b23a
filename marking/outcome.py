"""What one call of an answer led to, in a form that can be compared, told, and sent between
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
import torch
from torch import Tensor

SHAPE_ERRORS = ("RuntimeError", "ValueError", "IndexError")  # what sizes that do not fit lead to


@dataclass(frozen=True)
class Outcome:
    """What one call led to: numbers or an error, and what became of the arguments.

    Args:
        value: the arrays that came back; None after an error, or for what is not made of numbers.
        several: whether they came as a tuple or list of arrays.
        error: the error, or what came in place of numbers, in words.
        error_name: its type.
        changed: the places of the arguments that the call changed.
    """

    value: tuple[np.ndarray, ...] | None
    several: bool = False
    error: str = ""
    error_name: str = ""
    changed: tuple[int, ...] = ()


def precise(arg: Any) -> Any:
    """An argument in float64, where it is floating point."""
    return arg.double() if isinstance(arg, Tensor) and arg.is_floating_point() else copied(arg)


def plain(error: Exception) -> str:
    """An error in words."""
    return f"{type(error).__name__}: {error}"


def own_line(error: Exception) -> str:
    """An error in words, with the line of the student's code that it came from."""
    others = (
        str(Path(__file__).parent),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("purelib"),
    )
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(others)
    ]
    line = linecache.getline(own[-1].filename, own[-1].lineno or 0).strip() if own else ""
    return plain(error) + (f" (line {own[-1].lineno} of {own[-1].name}: {line})" if line else "")


def outcome_of(
    function: Callable[..., Any], args: Sequence[Any], describe: Callable[[Exception], str] = plain
) -> Outcome:
    """Call a function here, and describe what comes."""
    kept = [copied(arg) for arg in args]
    try:
        result = function(*args)
        value, several = arrays_of(result)
    except Exception as error:  # whatever an answer raises is its outcome
        return Outcome(None, error=describe(error), error_name=type(error).__name__)
    return Outcome(value, several, changed=changed_places(kept, args))


class Slow(BaseException):
    """A call has had its time."""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Interrupt what takes longer, by raising Slow in it; where signals are not to be had, nothing
    is interrupted.
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
    """The places of the arguments that are not what they were."""
    return tuple(
        place
        for place, (a, b) in enumerate(zip(before, after))
        if isinstance(a, Tensor)
        and not (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
    )


def arrays_of(result: Any) -> tuple[tuple[np.ndarray, ...], bool]:
    """What an answer returned, as arrays, and whether there are several.

    Raises: NotImplementedError for None or ..., as a stub returns; TypeError for what is not made
        of numbers.
    """
    if result is None or result is ...:
        raise NotImplementedError("nothing is returned")
    if isinstance(result, (tuple, list)) and any(
        isinstance(item, (Tensor, np.ndarray, tuple, list)) for item in result
    ):
        return tuple(array_of(item) for item in result), True
    return (array_of(list(result) if isinstance(result, range) else result),), False


def array_of(item: Any) -> np.ndarray:
    """A tensor, array, number or list of numbers as an array of integers or floats."""
    if isinstance(item, Tensor):
        half = item.dtype in (torch.float16, torch.bfloat16)
        array = item.detach().cpu().to(torch.float32 if half else item.dtype).numpy()
    elif isinstance(item, (list, tuple)):
        array = np.asarray([entry.item() if isinstance(entry, Tensor) else entry for entry in item])
    else:
        array = np.asarray(item)
    if array.dtype.kind not in "iuf":
        kind = type(item).__name__ if array.dtype.kind == "O" else f"{array.dtype} values"
        raise TypeError(f"the answer returns {kind}, where numbers are wanted")
    return array


def copied(arg: Any) -> Any:
    """A copy of an argument, which the answer may spoil."""
    return arg.clone() if isinstance(arg, Tensor) else arg


def same(a: Outcome, b: Outcome, tolerance: float) -> bool:
    """Whether two outcomes are one: the same numbers, or errors of sizes that do not fit."""
    if a.value is None or b.value is None:
        return a.value is b.value and {a.error_name, b.error_name} <= set(SHAPE_ERRORS)
    if a.several != b.several or [x.shape for x in a.value] != [x.shape for x in b.value]:
        return False
    return all(
        np.allclose(x, y, rtol=0, atol=tolerance * scale(x[np.isfinite(x)]), equal_nan=True)
        for x, y in zip(a.value, b.value)
    )


def scale(values: np.ndarray) -> float:
    """The size against which an error is large or small."""
    return max(float(np.abs(values).max(initial=0)), 0.05)


def told(outcome: Outcome) -> str:
    """An outcome's numbers in words."""
    if outcome.value is None:
        return outcome.error
    return " and ".join(brief(array) for array in outcome.value)


def brief(value: Any) -> str:
    """A few numbers of a value, enough to recognise it."""
    if not isinstance(value, (Tensor, np.ndarray)):
        return f"{value:.4g}" if isinstance(value, float) else repr(value)
    flat = np.asarray(value).reshape(-1)
    numbers = ", ".join(f"{entry:.4g}" for entry in flat[:6].tolist())
    if value.ndim == 0:
        return numbers
    shape = (
        f" of shape {tuple(value.shape)}"
        if value.ndim > 1 and flat.size > 1 or flat.size > 6
        else ""
    )
    return f"[{numbers}{', ...' if flat.size > 6 else ''}]{shape}"
