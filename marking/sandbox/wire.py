"""Messages between the grader and the process that runs a submission: JSON, and arrays as raw
bytes. Never code.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

LIMIT = 64 * 2**20  # bytes of one message
DTYPES = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "float16")


class Unreadable(Exception):
    """What came is no message."""


def send(
    channel: socket.socket, message: dict[str, Any], arrays: Sequence[np.ndarray] = ()
) -> None:
    """Send a message and the arrays that belong to it."""
    kinds = [{"dtype": str(array.dtype), "shape": list(array.shape)} for array in arrays]
    header = json.dumps({"message": message, "arrays": kinds}).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    channel.sendall(struct.pack("<II", len(header), len(body)) + header + body)


def receive(channel: socket.socket, deadline: float) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Receive a message and its arrays.

    Raises: TimeoutError past the deadline (of time.monotonic); EOFError where the other side is
        gone; Unreadable for bytes that are no message.
    """
    head, body = struct.unpack("<II", read(channel, 8, deadline))
    if head + body > LIMIT:
        raise Unreadable(f"wanted at most {LIMIT} bytes, got {head + body} announced")
    header, content = read(channel, head, deadline), read(channel, body, deadline)
    try:
        parsed = json.loads(header)
        message, kinds, arrays = parsed["message"], parsed["arrays"], []
        if not isinstance(message, dict):
            raise TypeError("the message is no object")
        for kind in kinds:
            dtype, shape = kind["dtype"], tuple(kind["shape"])
            if (
                dtype not in DTYPES
                or len(shape) > 8
                or any(type(side) is not int or side < 0 for side in shape)
            ):
                raise ValueError("an array of another kind")
            count = math.prod(shape) * np.dtype(dtype).itemsize
            arrays.append(np.frombuffer(content[:count], dtype).reshape(shape))
            content = content[count:]
        if content:
            raise ValueError("bytes are left over")
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:200]) from None
    return message, arrays


def read(channel: socket.socket, count: int, deadline: float) -> bytes:
    """Read exactly so many bytes."""
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


def pack(args: Sequence[Any]) -> tuple[list[Any], list[np.ndarray]]:
    """Arguments as JSON values, tensors by their place among the arrays."""
    plain: list[Any] = []
    arrays: list[np.ndarray] = []
    for arg in args:
        if isinstance(arg, Tensor):
            plain.append({"tensor": len(arrays)})
            arrays.append(arg.numpy())
        else:
            plain.append(arg)
    return plain, arrays


def unpack(plain: Sequence[Any], arrays: Sequence[np.ndarray]) -> list[Any]:
    """The arguments that `pack` packed."""
    return [
        torch.from_numpy(arrays[arg["tensor"]].copy()) if isinstance(arg, dict) else arg
        for arg in plain
    ]
