"""Messages between the grader and the process that runs a submission: JSON, and arrays as raw
bytes. Never code.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LIMIT = 64 * 2**20  # bytes of one message
DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "float16")


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
    channel: socket.socket, deadline: float
) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
    """Receive a message and its arrays.

    Raises: TimeoutError past the deadline (of time.monotonic); EOFError where the other side is
        gone; Unreadable for bytes that are no message.
    """
    head, body = struct.unpack("<II", read_exactly(channel, 8, deadline))
    if head + body > LIMIT:
        raise Unreadable(f"a message has at most {LIMIT} bytes, this one announces {head + body}")
    header = read_exactly(channel, head, deadline)
    content = read_exactly(channel, body, deadline)
    try:
        parsed = json.loads(header)
        message = parsed["message"]
        if not isinstance(message, dict):
            raise TypeError("the message is no object")
        return message, split(content, parsed["arrays"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:200]) from None


def split(content: bytes, kinds: Any) -> list[npt.NDArray[Any]]:
    """Cut bytes into arrays of the dtypes and shapes that a message announces.

    Raises: ValueError, TypeError, KeyError or OverflowError where they do not fit.
    """
    arrays = []
    for kind in kinds:
        dtype = kind["dtype"]
        shape = tuple(kind["shape"])
        sides_fit = len(shape) <= 8 and all(type(side) is int and side >= 0 for side in shape)
        if dtype not in DTYPES or not sides_fit:
            raise ValueError("an array of another kind")
        count = math.prod(shape) * np.dtype(dtype).itemsize
        arrays.append(np.frombuffer(content[:count], dtype).reshape(shape))
        content = content[count:]
    if content:
        raise ValueError("bytes are left over")
    return arrays


def read_exactly(channel: socket.socket, count: int, deadline: float) -> bytes:
    """Read so many bytes, no fewer."""
    parts = []
    while count:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)
        part = channel.recv(min(count, 2**20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


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
