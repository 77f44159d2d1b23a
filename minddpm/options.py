"""Options of the command line that are numbers in a range, and help that tells defaults."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any


def integer(least: int) -> Callable[[str], int]:
    """Make a reader of an option that is an integer, at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(f"must be an integer from {least} to {2**32 - 1}, got {text!r}")
        return int(text)

    return read


def positive(text: str) -> float:
    """Read an option that is a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def add(command: argparse.ArgumentParser, name: str, default: Any, what: str, **kind: Any) -> None:
    """Add an option whose help tells its default."""
    command.add_argument(name, default=default, help=f"{what} (default: %(default)s)", **kind)
