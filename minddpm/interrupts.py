"""Ctrl-C: what it does while a command is loading, and how training and writing hold it back."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def end_quietly(*_: Any) -> None:
    """End the process at once with status 130: nothing has begun, so there is nothing to save."""
    os._exit(130)


def loading() -> None:
    """Let Ctrl-C end a command quietly while PyTorch is imported, which takes seconds.

    Only where the package runs as a command: a notebook or a script that imports it gets its
    KeyboardInterrupt.
    """
    # Python calls a module "-m" while it imports the packages around it
    is_command = sys.argv[:1] == ["-m"] or Path(*sys.argv[:1]).stem == "minddpm"
    if is_command and handles_ctrl_c(signal.default_int_handler):
        signal.signal(signal.SIGINT, end_quietly)


def loaded() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, after `loading`."""
    if handles_ctrl_c(end_quietly):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def handles_ctrl_c(handler: Callable[..., Any]) -> bool:
    """Whether this is what Ctrl-C calls, and may be replaced, which only the main thread can do."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(signal.SIGINT) is handler


@contextmanager
def waiting_interrupt() -> Iterator[Callable[[], bool]]:
    """Let a first Ctrl-C wait, so that no step is left half done; a second one stops at once.

    Yields: whether Ctrl-C was pressed.
    """
    pressed: list[int] = []

    def press(number: int, _: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    ours = handles_ctrl_c(signal.default_int_handler)
    if ours:
        signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the block is done, so that files that belong together are all written.

    After an error in the block, which stops everything anyway, Ctrl-C is forgotten.
    """
    handler = signal.getsignal(signal.SIGINT)
    # None or a constant where Ctrl-C is ignored, or handled outside Python
    if not callable(handler) or not handles_ctrl_c(handler):
        yield
        return
    pressed: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if pressed:
        handler(*pressed[-1])
