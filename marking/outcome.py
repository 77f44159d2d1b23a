"""The outcome of one call of an answer, in a form that can be compared, described, and sent between
processes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import linecache
import random
import re
import reprlib
import signal
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]
SHAPE_ERRORS = ("RuntimeError", "ValueError", "IndexError")  # raised where sizes do not fit
MOST = 2**20  # numbers in a result
MOST_ARRAYS = 2**12
DEEPEST = 8  # dimensions of a result
ROUNDED_STEPS = 4  # steps of its precision that a whole number may be off: a running sum is
LONGEST = 500  # characters of an error
LONGEST_TOLD = 800  # and of an error with its line
NO_FUNCTION = "NoFunction"  # in place of an error's name, for an answer that cannot be called
LONGEST_SOURCE = 20_000  # characters of a function
NOT_FOR_TYPE = "\" not implemented for '"  # as in "silu_cpu" not implemented for 'Long'
LONGEST_TEXT = 200  # characters of an answer that is text


class Slow(BaseException):
    """A call has used up its time."""


INTERRUPTIONS = (Slow, KeyboardInterrupt)  # not an answer's own doing


@functools.lru_cache(maxsize=1000)  # the few of a course are run for each call of an answer
def compiled(code: str) -> CodeType:
    """Code to be run."""
    return compile(code, "<string>", "exec")


@dataclass(frozen=True)
class Made:
    """An argument that is made afresh for each call, where the answer runs: a function, a network,
    an optimizer.

    Args:
        name: of the argument.
        words: what it is, for messages: "a network".
        code: Python that leaves it under its name. It can use torch, nn and F, its tensors, and by
            their names the arguments before it that are made too.
        tensors: the numbers that it needs, by name.
        look: an expression, of the same names, for what the call is to change: it is compared as
            one more result. Empty for nothing.
    """

    name: str
    words: str
    code: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    look: str = ""

    def make(self, space: dict[str, Any]) -> Any:
        """Make it in a namespace with what was made before."""
        own = {name: tensor.clone() for name, tensor in self.tensors.items()}
        names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, **space, **own}
        exec(compiled(self.code), names)
        space[self.name] = names[self.name]
        return space[self.name]


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
    """A copy of an argument, in float64 if it is a floating-point tensor or made of such."""
    if isinstance(arg, Made):
        return replace(arg, tensors={name: precise(x) for name, x in arg.tensors.items()})
    return arg.double() if isinstance(arg, Tensor) and arg.is_floating_point() else copied(arg)


def is_double(arg: Any) -> bool:
    """Whether an argument is a float64 tensor."""
    return isinstance(arg, Tensor) and arg.dtype == torch.float64


def single(arg: Any) -> Any:
    """A copy of an argument, in float32 if it is a float64 tensor."""
    return arg.float() if is_double(arg) else copied(arg)


class NotNumbers(TypeError):
    """An answer returned something that cannot be compared as numbers; the message says what."""


class NothingReturned(NotImplementedError):
    """An answer returned what a stub returns: None, or ...."""


def error_in_words(error: BaseException) -> str:
    """The type and the message of an error, which may be unable to say it."""
    try:
        message = str(error)
    except INTERRUPTIONS:
        raise
    except BaseException:
        message = "its message cannot be shown"
    name = "" if isinstance(error, NotNumbers) else f"{type(error).__name__}: "
    return f"{name}{message}"[:LONGEST]


def error_kind(error: BaseException) -> str:
    """The name of an error's type: a TypeError for what holds no numbers, and for what PyTorch
    cannot compute with numbers of their type, which it calls not implemented.
    """
    unsuited = type(error) is NotImplementedError and NOT_FOR_TYPE in error_in_words(error)
    return "TypeError" if unsuited or isinstance(error, NotNumbers) else type(error).__name__


class Shortly(reprlib.Repr):
    """Values in a few characters, the same in every process: without the places in memory."""

    def repr_instance(self, x: Any, level: int) -> str:
        """Any object that is not built in."""
        text = ADDRESS.sub("", repr(x))
        if len(text) <= self.maxother:
            return text
        half = (self.maxother - 3) // 2
        return f"{text[:half]}...{text[len(text) - half :]}"


ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
SHORTLY = Shortly()


def shown(value: Any) -> str:
    """A value as a student reads it in a message, whatever it is."""
    try:
        return ADDRESS.sub("", SHORTLY.repr(value))
    except INTERRUPTIONS:
        raise
    except BaseException:
        return f"an object of type {type(value).__name__}"


def slow_in_words(seconds: float) -> str:
    """What is said of a call that was interrupted."""
    return f"it took over {seconds} s; look for a loop that does not end"


def no_function_in_words(name: str, variable: str, answer: Any) -> str:
    """What is said of an answer that should be a function.

    Args:
        name: the question.
        variable: what its answer is called.
        answer: what was handed in.
    """
    return f"expected the function itself, as in check({name!r}, {variable}), got {shown(answer)}"


def error_with_line(error: BaseException) -> str:
    """An error in words, with the line of the student's code that raised it."""
    line = line_of_error(error)
    return (error_in_words(error) + (f" ({line})" if line else ""))[:LONGEST_TOLD]


def line_of_error(error: BaseException) -> str:
    """The line of the student's code that raised an error, "line 2 of f: return 1 / 0"; empty if
    there is none.
    """
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
    return f"line {own[-1].lineno} of {own[-1].name}: {line}" if line else ""


def source_text(answer: Any) -> str:
    """The text of a function, after as many empty lines as stand before it in its cell; empty if it
    is not at hand.
    """
    try:
        while isinstance(answer, functools.partial):
            answer = answer.func
        if not inspect.isroutine(answer):
            answer = (answer if isinstance(answer, type) else type(answer)).__call__
        lines, start = inspect.getsourcelines(answer)
        text = "\n" * (start - 1) + "".join(lines)
    except INTERRUPTIONS:
        raise
    except BaseException:  # whatever an object raises that is asked for its source
        return ""
    return text if len(text) <= LONGEST_SOURCE else ""


def outcome_of(
    function: Callable[..., Any],
    args: Sequence[Any],
    describe: Callable[[BaseException], str] = error_in_words,
) -> Outcome:
    """Call a function in this process, and describe the outcome.

    A class whose objects are what can be called stands for one of them.
    """
    space: dict[str, Any] = {}
    args, made = [arg.make(space) if isinstance(arg, Made) else arg for arg in args], args
    kept = [copied(arg) for arg in args]
    try:
        with uncompiled():
            result = (function() if makes_callables(function) else function)(*args)
            value, several = arrays_of(result)  # here, because a generator runs only now
        looks = [arg.look for arg in made if isinstance(arg, Made) and arg.look]
        if looks:
            value = (*value, *(array_of(eval(look, {"torch": torch, **space})) for look in looks))
            several = True
        return Outcome(value, several, changed=changed_places(kept, args))
    except INTERRUPTIONS:
        raise
    except NothingReturned as nothing:
        return Outcome(None, error=str(nothing), error_name=NotImplementedError.__name__)
    except BaseException as error:  # whatever an answer raises is its outcome, SystemExit included
        return Outcome(None, error=describe(error), error_name=error_kind(error))


@dataclass(frozen=True)
class Attempt:
    """What a student's test did with one function.

    Args:
        refused: whether it raised an error.
        error: the error in words.
        error_name: its type.
        line: the line of the test that raised it; may be empty.
        returned: what the test returned, in words; empty for nothing and for True.
        calls: how often it called the function.
    """

    refused: bool
    error: str = ""
    error_name: str = ""
    line: str = ""
    returned: str = ""
    calls: int = 0


def attempt_of(test: Callable[..., Any], function: Callable[..., Any], seed: int) -> Attempt:
    """Let a test judge a function in this process. What it draws at random depends on the seed."""
    try:
        with seeded(seed), uncompiled():
            returned = (test() if makes_callables(test) else test)(function)
            words = what_is_returned(returned)
        if returned is ...:
            raise NotImplementedError("nothing is tested")
    except INTERRUPTIONS:
        raise
    except BaseException as error:  # whatever a test raises is its verdict, SystemExit included
        return Attempt(True, error_in_words(error), error_kind(error), line_of_error(error))
    return Attempt(False, returned=words)


def what_is_returned(value: Any) -> str:
    """What a test returned, in words; empty for nothing and for True."""
    if isinstance(value, Tensor | np.bool_) and value.dtype in (torch.bool, np.bool_):
        value = bool(value) if value.ndim == 0 else value
    if value is None or value is True:
        return ""
    return shown(value) if type(value) in (bool, int, float, str) else type(value).__name__


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a seed meanwhile, and go on afterwards where the draws were before."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)  # of the CPU alone: no other device is waited for
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def makes_callables(function: Any) -> bool:
    """Whether this is a class that defines what calling one of its objects does."""
    return isinstance(function, type) and any("__call__" in vars(kind) for kind in function.__mro__)


def uncompiled() -> AbstractContextManager[Any]:
    """Where torch.compile is in use, run functions as they are written: compiling takes longer than
    a check may, and needs a compiler.
    """
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
        return stance
    return contextlib.nullcontext()  # torch.compile is not in use, or is older than stances


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
    """What an answer returned, as arrays, and whether there are several: a list or an iterator of
    arrays is several of them, one of numbers is one array.

    Raises: NothingReturned for None or ..., which a stub returns; NotNumbers for anything that is
        not made of numbers.
    """
    if result is None or result is ...:
        raise NothingReturned(f"it returns {result}")
    entries = entries_of(result)
    if entries is None:
        return (array_of(result),), False
    arrays = arrays_in(entries, 1)
    if all(array.ndim == 0 for array in arrays):
        return (joined(arrays),), False
    if len(arrays) > MOST_ARRAYS:
        raise NotNumbers(f"expected at most {MOST_ARRAYS:,} arrays, got {len(arrays):,}")
    return tuple(arrays), True


def entries_of(value: Any) -> Iterator[Any] | None:
    """The entries of a list, an iterator or whatever else has them in an order; None for a single
    thing.
    """
    if isinstance(value, np.ndarray):
        return iter(value) if value.dtype.kind == "O" and value.ndim else None
    single = isinstance(value, (Tensor, np.generic, str, bytes, bytearray, Mapping, Set, type))
    kind = type(value)
    if single or hasattr(kind, "__array__") or not hasattr(kind, "__iter__"):
        return None
    entries: Iterator[Any] = iter(value)
    return entries


def array_of(item: Any, depth: int = 0) -> Array:
    """A tensor, an array, a number, or a list of such things, as an array of integers or floats.

    Raises: NotNumbers for anything else.
    """
    if type(item) is float or (type(item) is int and abs(item) < 2**63):
        return np.asarray(item)  # at once: a list may hold many
    if isinstance(item, Tensor):
        return checked(array_of_tensor(item))
    entries = entries_of(item)
    if entries is not None:
        return joined(arrays_in(entries, depth + 1))
    array: Array = np.asarray(item)
    if array.dtype.kind != "O":
        return checked(array)
    inner: Any = array.item() if array.size == 1 else None
    # Fraction and Decimal, for example
    if hasattr(type(inner), "__float__") and not isinstance(inner, (bool, np.bool_)):
        return np.asarray(float(inner))
    raise NotNumbers(f"expected numbers, but the answer returns {type(item).__name__}")


def array_of_tensor(tensor: Tensor) -> Array:
    """The numbers of a tensor of any layout, on any device."""
    if tensor.is_meta:
        raise NotNumbers("expected numbers, but a tensor on the device meta has none")
    limit_size(tensor.numel())
    if tensor.is_floating_point() and tensor.dtype.itemsize < 4:
        raise too_coarse(tensor.dtype)
    tensor = tensor.detach().cpu()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    elif tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    array: Array = tensor.resolve_conj().resolve_neg().numpy()
    return array


def checked(array: Array) -> Array:
    """The array, if it holds numbers that can be compared.

    Raises: NotNumbers if it does not.
    """
    if array.dtype.kind not in "iuf":
        kind = "text" if array.dtype.kind in "US" else f"{array.dtype} values"
        raise NotNumbers(f"expected numbers, but the answer returns {kind}")
    if array.dtype.kind == "f" and array.dtype.itemsize < 4:
        raise too_coarse(array.dtype)
    if array.ndim > DEEPEST:
        raise NotNumbers(f"expected at most {DEEPEST} dimensions, got {array.ndim}")
    limit_size(array.size)
    # as plain arrays of the machine's own numbers, which can be sent
    large = array.dtype.itemsize > 8 or (array.dtype.kind == "u" and array.dtype.itemsize == 8)
    return np.asarray(array, float if large else array.dtype.newbyteorder("="))


class TooCoarse(NotNumbers):
    """An answer returned numbers in half precision or less."""


def too_coarse(dtype: Any) -> TooCoarse:
    """The error about numbers in half precision or less."""
    name = str(dtype).removeprefix("torch.")
    return TooCoarse(
        f"expected float32 or float64, got {name}: half precision is too coarse to tell right from"
        " wrong"
    )


def limit_size(count: int) -> None:
    """Raises: NotNumbers for more numbers than any answer has."""
    if count > MOST:
        raise NotNumbers(f"expected at most {MOST:,} numbers, got more")


def arrays_in(entries: Iterator[Any], depth: int) -> list[Array]:
    """Each entry as an array, at once: a generator may go on working on what it has yielded."""
    if depth > DEEPEST:
        raise NotNumbers(f"expected lists that are nested at most {DEEPEST} deep")
    arrays = []
    count = 0
    for entry in entries:
        array = array_of(entry, depth).copy()
        count += max(array.size, 1)
        limit_size(count)
        arrays.append(array)
    return arrays


def joined(arrays: Sequence[Array]) -> Array:
    """Arrays of one shape as one array, along a new first axis."""
    if len({array.shape for array in arrays}) > 1:
        raise NotNumbers("expected lists of equal lengths, got a ragged one")
    return checked(np.stack(arrays)) if arrays else np.zeros(0)


@dataclass(frozen=True)
class NoNumber:
    """An answer that is neither a number nor text.

    Args:
        shown: what it is, as a student reads it.
        why: that a number was expected, and what came, as a sentence without its full stop.
    """

    shown: str
    why: str


def plain_answer(answer: Any) -> float | str | NoNumber | None:
    """An answer that is a number or a letter in its plainest form, in which it can be sent. Whoever
    judges it, in a notebook or in a class, sees this form alone.

    Returns: a number for whatever is one, as `number_of` says; text as it is; None for no answer.
    """
    if answer is None or answer is ... or isinstance(answer, NoNumber):
        return None if answer is ... else answer
    if issubclass(type(answer), str):
        text = str.__str__(answer)[:LONGEST_TEXT]
        return text if text.strip() else None
    try:
        return number_of(answer)
    except NotNumbers as reason:
        return NoNumber(shown(answer), str(reason))


def to_send(answer: float | str | NoNumber | None) -> Any:
    """A plain answer as JSON has it."""
    return vars(answer) if isinstance(answer, NoNumber) else answer


def received(value: Any) -> Any:
    """A plain answer from what was sent, whatever that is."""
    if not isinstance(value, dict):
        return value
    words = (str(value.get(name, ""))[:LONGEST] for name in ("shown", "why"))
    return NoNumber(*words)


def number_of(answer: Any) -> float:
    """A number that was worked out by hand, whether it is written as a number of any kind, as a
    tensor or list that holds one number, or as text that Python reads as a number.

    Raises: NotNumbers where it is no such number, in words for the student. That True is 1, a
        number in half precision exact, or a function its result is not assumed.
    """
    if isinstance(answer, NoNumber):
        raise NotNumbers(answer.why)
    try:
        array = np.asarray(
            float(str.__str__(answer)[:LONGEST_TEXT])
            if issubclass(type(answer), str)
            else array_of(one_number(answer))
        )
    except INTERRUPTIONS:
        raise
    except TooCoarse:
        raise
    except BaseException:  # whatever the object raises, SystemExit included
        array = np.empty(0)
    if array.size == 1 and np.isfinite(array).all():
        return float(array.reshape(()))
    raise NotNumbers(f"expected a number, got {what_came(answer, array.size)}")


def one_number(answer: Any) -> Any:
    """An answer that may be a number; a complex one that lies on the real axis as a real one.

    Raises: NotNumbers for an iterator, which may never end, and for a number off the real axis.
    """
    if type(answer) in (list, tuple) and len(answer) == 1:
        return one_number(answer[0])
    if isinstance(answer, Iterator):
        raise NotNumbers("an iterator is no number")
    kind = type(answer)
    if issubclass(kind, Tensor):
        is_complex = answer.is_complex()
    else:
        is_complex = issubclass(kind, complex | np.complexfloating) or (
            issubclass(kind, np.ndarray) and answer.dtype.kind == "c"
        )
    if not is_complex:
        return answer
    if not bool((answer.imag == 0) if kind is complex else (answer.imag == 0).all()):
        raise NotNumbers("an imaginary part")
    return answer.real


def what_came(answer: Any, count: int) -> str:
    """What an answer is that is no number, which holds so many of them, in words."""
    words = shown(answer)
    if isinstance(answer, functools.partial) or inspect.isroutine(answer):
        name = getattr(answer, "__name__", "")
        called = f": call it, as in {name}()" if str(name).isidentifier() else ", not its result"
        return f"the function {name or words}{called}"
    if inspect.isclass(answer):
        return f"the class {answer.__name__}"
    return f"{words}, which holds {count:,} numbers" if count > 1 else words


def copied(arg: Any) -> Any:
    """A copy of an argument, which the answer may change."""
    return arg.clone() if isinstance(arg, Tensor) else arg


def same(a: Outcome, b: Outcome, tolerance: float) -> bool:
    """Whether two outcomes agree: the same numbers, or both an error about sizes."""
    if a.value is None or b.value is None:
        return a.value is b.value and {a.error_name, b.error_name} <= set(SHAPE_ERRORS)
    if a.several != b.several or [x.shape for x in a.value] != [x.shape for x in b.value]:
        return False
    return all(agree(x, y, tolerance) for x, y in zip(a.value, b.value))


def agree(want: Array, have: Array, tolerance: float) -> bool:
    """Whether two arrays of one shape hold the same numbers."""
    allowed = tolerance * scale(want[np.isfinite(want)])
    return np.allclose(want, have, rtol=0, atol=allowed, equal_nan=True)


def in_the_form_of(wanted: Outcome, got: Outcome, tolerance: float) -> Outcome:
    """An outcome whose form differs from the one wanted though its numbers may not: rows for one
    array, one array for several results, shape (1,) for a number, 4.0 for 4.
    """
    if wanted.value is None or got.value is None:
        return got
    values = got.value
    if wanted.several and not got.several and len(values) == 1 and values[0].ndim:
        values = tuple(values[0])
    if got.several and not wanted.several:
        values = stacked(values, wanted.value[0].shape)
    if len(values) != len(wanted.value):
        return got
    formed = (formed_like(want, have, tolerance) for want, have in zip(wanted.value, values))
    return replace(got, value=tuple(formed), several=wanted.several)


def stacked(values: Sequence[Array], shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Arrays that are the rows of one array, or its numbers one by one, as that array; unchanged if
    they are neither.
    """
    shapes = {value.shape for value in values}
    if shapes <= {(), (1,)} and shape == (len(values),):
        return (np.stack([value.reshape(()) for value in values]),)
    if len(shapes) == 1 and values[0].ndim + 1 == len(shape):
        return (np.stack(values),)
    return tuple(values)


def formed_like(want: Array, have: Array, tolerance: float) -> Array:
    """An array in the shape and of the kind of another, where its numbers stay what they are."""
    if want.ndim == 0 and have.shape == (1,):
        have = have.reshape(())
    if want.shape != have.shape or want.dtype.kind == have.dtype.kind:
        return have
    if want.dtype.kind == "f":
        return have.astype(float) if agree(want, have, tolerance) else have
    if not (np.isfinite(have) & (np.abs(have) < 2**53)).all():
        return have
    if have.dtype.kind in "biu":
        return have.astype(int)
    whole = np.round(have)
    allowed = ROUNDED_STEPS * np.finfo(have.dtype).eps * np.maximum(np.abs(whole), 1)
    return whole.astype(int) if (np.abs(have - whole) <= allowed).all() else have


def scale(values: Array) -> float:
    """The size that decides whether an error is large or small."""
    return max(float(np.abs(values).max(initial=0)), 0.05)


def outcome_in_words(outcome: Outcome) -> str:
    """The numbers of an outcome, or its error."""
    if outcome.value is None:
        return outcome.error
    more = len(outcome.value) - 4
    numbers = [brief(array) for array in outcome.value[:4]]
    return " and ".join(
        [*numbers, f"{more} more arrays"] if more > 1 else map(brief, outcome.value)
    )


def brief(value: Any) -> str:
    """The first few numbers of a value, enough to recognise it."""
    if isinstance(value, Made):
        return value.words
    if not isinstance(value, (Tensor, np.ndarray)):
        return f"{value:.4g}" if isinstance(value, float) else repr(value)
    flat = np.asarray(value).reshape(-1)
    numbers = ", ".join(f"{entry:.4g}" for entry in flat[:6].tolist())
    if value.ndim == 0:
        return numbers
    unclear = flat.size > 6 or (value.ndim > 1 and flat.size > 1)
    shape = f" of shape {tuple(value.shape)}" if unclear else ""
    return f"[{numbers}{', ...' if flat.size > 6 else ''}]{shape}"
