"""Write files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

PART = re.compile(r"\.\d+\.part$")  # how a file is called that waits to take another's place


def write_atomically(path: Path, text: str) -> None:
    """Write text as UTF-8, making the folder if it does not exist.

    A character that no encoding has, such as half a surrogate pair, is written as its number.
    """
    with written_together() as write:
        write(path, text)


@contextlib.contextmanager
def written_together() -> Iterator[Callable[[Path, str], None]]:
    """Write several files: each waits beside the one whose place it takes until all are on the
    disk. Where one cannot be written, all old ones stay as they are.
    """
    parts: dict[Path, Path] = {}

    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"expected to write a file, got {path}, which is a folder")
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        parts[part] = path
        with part.open("wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())  # on the disk before it takes the old file's name

    try:
        yield write
        for part, path in parts.items():
            part.replace(path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Remove what a process that was killed left waiting in a folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if PART.search(path.name) and path.is_file():
            path.unlink()
