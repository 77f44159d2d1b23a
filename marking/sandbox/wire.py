"""Messages between the grader and the process that runs a submission: JSON, and arrays as raw
bytes. Never code.
"""

from __future__ import annotations

import builtins
import contextlib
import inspect
import json
import math
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LIMIT = 64 * 2**20  # bytes of one message
MOST_WORDS = 2**19  # bytes of what is said in it, its arrays aside: in memory, 50 times as many
ARRAYS_IN_MESSAGE = 2**13
NUMBERS_IN_MESSAGE = 2**23  # in its arrays together, which may become twice as wide or eight times
MOST_NESTED = 32  # levels
LONGEST_NUMBER = 40  # of a whole number
DTYPES = (
    "float32",
    "float64",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "float16",
    "uint16",
    "uint32",
)
MOST_DIMENSIONS = 8  # dimensions of an array
MOST_SENT = 2**20  # numbers in one call of a function that runs elsewhere
MOST_TOGETHER = 2**24  # numbers that may arise where its arguments are broadcast


class Unreadable(Exception):
    """The bytes that arrived are no message."""


def send(
    channel: socket.socket, message: dict[str, Any], arrays: Sequence[npt.NDArray[Any]] = ()
) -> None:
    """Send a message and the arrays that belong to it."""
    kinds = [{"dtype": str(array.dtype), "shape": list(array.shape)} for array in arrays]
    header = json.dumps({"message": message, "arrays": kinds}).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    channel.sendall(struct.pack("<II", len(header), len(body)) + header + body)


def receive(
    channel: socket.socket, deadline: float, words: int = MOST_WORDS
) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """Receive a message and its arrays. It may come from anyone: what it can cost is limited before
    it is read, not by what it says of itself.

    Args:
        channel: where it arrives.
        deadline: until when, by time.monotonic.
        words: bytes that it may have besides its arrays.

    Raises: TimeoutError past the deadline; EOFError where the other side is gone; Unreadable for
        bytes that are no message.
    """
    head, body = struct.unpack("<II", read_exactly(channel, 8, deadline))
    for count, most in ((head, words), (head + body, LIMIT)):
        if count > most:
            raise Unreadable(f"expected at most {most:,} bytes, this message announces {count:,}")
    header = read_exactly(channel, head, deadline)
    try:
        parsed = DECODER.decode(header.decode())
        del header
        if depth_of(parsed) > MOST_NESTED:
            raise ValueError("it is nested too deeply")
        message, kinds = parsed["message"], parsed["arrays"]
        if not isinstance(message, dict):
            raise TypeError("the message is no object")
        sizes = [size_of(kind) for kind in kinds[: ARRAYS_IN_MESSAGE + 1]]
        if len(sizes) > ARRAYS_IN_MESSAGE or sum(map(math.prod, sizes)) > NUMBERS_IN_MESSAGE:
            raise ValueError("there are too many arrays or numbers")
        return message, split(read_exactly(channel, body, deadline), kinds)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:200]) from None


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; two values of one name mean nothing.

    Raises: ValueError for them.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def whole(text: str) -> int | float:
    """A whole number; one with hundreds of figures is as good as infinite, and as quickly read."""
    if len(text) <= LONGEST_NUMBER:
        return int(text)
    return -math.inf if text.startswith("-") else math.inf


DECODER = json.JSONDecoder(object_pairs_hook=once_each, parse_int=whole)


def depth_of(value: Any) -> int:
    """How deeply lists and objects are nested."""
    depth = 0
    level = [value]
    while level:
        depth += 1
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for some in inner for one in some if isinstance(one, dict | list)]
    return depth


def size_of(kind: Any) -> tuple[int, ...]:
    """The shape that a message announces for an array.

    Raises: ValueError, TypeError or KeyError for anything else.
    """
    shape = tuple(kind["shape"])
    sides_fit = len(shape) <= MOST_DIMENSIONS and all(
        type(side) is int and 0 <= side <= NUMBERS_IN_MESSAGE for side in shape
    )
    # that without the empty sides too: NumPy computes it
    if not sides_fit or math.prod(side or 1 for side in shape) > NUMBERS_IN_MESSAGE:
        raise ValueError("an array of another shape")
    return shape


def split(content: bytes | bytearray, kinds: Any) -> list[npt.NDArray[Any]]:
    """Cut bytes into arrays of the dtypes and shapes that a message announces, without a copy.

    Raises: ValueError, TypeError, KeyError or OverflowError where they do not fit.
    """
    arrays = []
    whole_content = memoryview(content)
    start = 0
    for kind in kinds:
        shape = size_of(kind)
        if kind["dtype"] not in DTYPES:
            raise ValueError("an array of another kind")
        dtype = np.dtype(kind["dtype"])
        end = start + math.prod(shape) * dtype.itemsize
        array = np.frombuffer(whole_content[start:end], dtype)
        arrays.append((array if array.flags.aligned else array.copy()).reshape(shape))
        start = end
    if start != len(content):
        raise ValueError("bytes are left over")
    return arrays


def read_exactly(channel: socket.socket, count: int, deadline: float) -> bytearray:
    """Read so many bytes, no fewer."""
    content = bytearray(count)
    rest = memoryview(content)
    while rest:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)
        arrived = channel.recv_into(rest[: 2**20])
        if not arrived:
            raise EOFError
        rest = rest[arrived:]
    return content


def pack(args: Sequence[Any]) -> tuple[list[Any], list[npt.NDArray[Any]]]:
    """Arguments as JSON values; a tensor is replaced by its place among the arrays, an argument
    that is made where the answer runs (see `outcome.Made`) by what it is made of.
    """
    values: list[Any] = []
    arrays: list[npt.NDArray[Any]] = []
    for arg in args:
        if isinstance(arg, Tensor):
            values.append({"tensor": len(arrays)})
            arrays.append(arg.numpy())
        elif hasattr(arg, "make"):
            tensors, more = pack(list(arg.tensors.values()))
            places = [{"tensor": place["tensor"] + len(arrays)} for place in tensors]
            values.append({**vars(arg), "tensors": dict(zip(arg.tensors, places))})
            arrays += more
        else:
            values.append(arg)
    return values, arrays


def unpack(
    values: Iterable[Any], arrays: Sequence[npt.NDArray[Any]], made: Callable[..., Any]
) -> list[Any]:
    """The arguments that `pack` packed; `made` is the class `outcome.Made`."""
    args = []
    for value in values:
        if isinstance(value, dict) and "tensor" in value:
            value = torch.from_numpy(arrays[value["tensor"]].copy())
        elif isinstance(value, dict):
            tensors = unpack(value["tensors"].values(), arrays, made)
            value = made(**{**value, "tensors": dict(zip(value["tensors"], tensors))})
        args.append(value)
    return args


# what a test asks, and what it is told: the arguments of a call, and its result or its error
Ask = Callable[[list[Any], list[npt.NDArray[Any]]], tuple[dict[str, Any], Sequence[Any]]]


@contextlib.contextmanager
def remote_function(arguments: Sequence[str], ask: Ask) -> Iterator[Callable[..., Any]]:
    """A function that runs elsewhere: it has these arguments, and says nothing of itself.

    What a call returns or raises, and which tensors it changes in place, is what the other side
    says of copies. In the end they are changed back, and the function cannot be called any more.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in arguments])
    changed: list[tuple[Tensor, Tensor]] = []
    open_ = True

    def function(*args: Any, **options: Any) -> Any:
        bound = signature.bind(*args, **options).arguments
        values = [bound[name] for name in arguments]
        arrays: list[npt.NDArray[Any]] = []
        tree = [tree_of_argument(value, arrays) for value in values]
        check_sizes(values)
        if not open_:
            raise RuntimeError("a function under test can be called only while its test runs")
        reply, results = ask(tree, arrays)
        for place, after in reply.get("changed", []):
            changed.append((values[place], values[place].detach().clone()))
            copy_into(values[place], value_of(after, results))
        if "error" in reply:
            raise builtin_error(reply["error_name"], reply["error"])
        return value_of(reply["value"], results)

    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__qualname__ = "function"
    function.__module__ = "__main__"
    try:
        yield function
    finally:
        open_ = False
        for tensor, before in reversed(changed):
            copy_into(tensor, before)


def copy_into(tensor: Tensor, values: Tensor) -> None:
    """Change the numbers of a tensor, which may require a gradient."""
    with torch.no_grad():
        tensor.copy_(values)


def builtin_error(name: str, message: str) -> Exception:
    """An error of one of Python's own types; a RuntimeError in place of any other."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(message)
        except TypeError:  # it is not made of a message
            pass
    return RuntimeError(message)


def tree_of_argument(value: Any, arrays: list[npt.NDArray[Any]]) -> Any:
    """An argument of a function under test, as `tree_of` has it.

    Raises: TypeError for what is neither a tensor nor an array nor a number.
    """
    if value is not None and not isinstance(value, bool | int | float | Tensor | np.ndarray):
        if not isinstance(value, np.generic):
            raise TypeError(
                "the function under test takes tensors, arrays and numbers, got"
                f" {type(value).__name__}"
            )
    return tree_of(value, arrays)


def tree_of(value: Any, arrays: list[npt.NDArray[Any]]) -> Any:
    """A value as JSON; the arrays in it are added to the list, and replaced by their places.

    Raises: TypeError for what cannot be sent.
    """
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [tree_of(item, arrays) for item in value]}
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, Tensor):
        array = value.detach().cpu().resolve_conj().resolve_neg().numpy()
    elif isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
    else:
        raise TypeError(f"expected tensors and numbers, got {type(value).__name__}")
    if str(array.dtype) not in DTYPES:
        raise TypeError(f"expected numbers such as float32 or int64, got {array.dtype}")
    arrays.append(array)
    return {"tensor" if isinstance(value, Tensor) else "array": len(arrays) - 1}


def value_of(tree: Any, arrays: Sequence[npt.NDArray[Any]]) -> Any:
    """The value that `tree_of` made JSON of.

    Raises: Unreadable for anything else.
    """
    if tree is None or type(tree) in (bool, int, float):
        return tree
    if isinstance(tree, dict) and len(tree) == 1:
        ((kind, content),) = tree.items()
        if kind in ("list", "tuple") and isinstance(content, list):
            items = [value_of(item, arrays) for item in content]
            return items if kind == "list" else tuple(items)
        known = type(content) is int and 0 <= content < len(arrays)
        if known and kind in ("tensor", "array"):
            array = arrays[content].copy()
            return torch.from_numpy(array) if kind == "tensor" else array[()]
    raise Unreadable("a value of another kind")


def args_of_call(tree: Any, arrays: Sequence[npt.NDArray[Any]], count: int) -> list[Any]:
    """The arguments of a call, which may come from anyone.

    Raises: Unreadable where they are not so many tensors, arrays and numbers.
    """
    nested = ("list", "tuple")
    if (
        not isinstance(tree, list)
        or len(tree) != count
        or len(arrays) > count
        or any(kind in value for value in tree if isinstance(value, dict) for kind in nested)
    ):
        raise Unreadable("a call of another kind")
    return [value_of(value, arrays) for value in tree]


def check_sizes(args: Sequence[Any]) -> None:
    """Keep what a call computes small, whatever it is called with.

    Raises: ValueError where the result, or what is computed on the way, may be too large.
    """
    shapes = [tuple(arg.shape) for arg in args if isinstance(arg, Tensor | np.ndarray)]
    if max(map(len, shapes), default=0) > MOST_DIMENSIONS:
        raise ValueError(f"the function under test takes at most {MOST_DIMENSIONS} dimensions")
    if sum(map(math.prod, shapes)) > MOST_SENT:
        raise ValueError(f"the function under test takes at most {MOST_SENT:,} numbers in one call")
    whole = [max(largest_whole(arg), 1) for arg in args]
    if max(whole, default=1) > MOST_SENT:
        raise ValueError(f"the function under test takes whole numbers up to {MOST_SENT:,}")
    sizes = [max(math.prod(shape), 1) for shape in dict.fromkeys(shapes)]
    together = max(math.prod(sizes), max(sizes, default=1) * math.prod(whole))
    broadcast = 1
    with contextlib.suppress(ValueError):  # they need not fit
        broadcast = math.prod(np.broadcast_shapes(*shapes))  # torch's own imports sympy
    if together > MOST_TOGETHER or broadcast > MOST_SENT:
        given = " and ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(
            f"a call of the function under test with shapes {given} may take too much memory: use"
            " smaller tensors"
        )


def largest_whole(arg: Any) -> int:
    """The largest whole number in an argument, its sign aside; 0 for one of other numbers."""
    if isinstance(arg, int):
        return abs(arg)
    if isinstance(arg, Tensor) and not arg.is_floating_point():
        arg = arg.numpy()
    if isinstance(arg, np.generic | np.ndarray) and arg.dtype.kind in "iu" and arg.size:
        return max(abs(int(arg.min())), abs(int(arg.max())))
    return 0
