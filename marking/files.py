"""Write a file so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write text as UTF-8, making the folder if it does not exist.

    A character that no encoding has, such as half a surrogate pair, is written as its number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())  # on the disk before it takes the old file's name
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
