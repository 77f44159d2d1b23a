"""One grader at a time in the folder of a report: a file there is locked, and names its holder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

LOCK = ".grading.lock"
BEAT = 3.0  # seconds between two signs of life
PATIENCE = 10.0  # seconds without one after which a grader on another machine counts as gone
LONGEST_RECORD = 1000  # bytes of the file
# what a folder answers that cannot be locked, as some network folders cannot
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


class Held(OSError):
    """Another grader works in the folder; the message says which, where and since when."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder while something is done in it.

    The system gives the lock back when its process ends, however that happens. A folder on a
    network may know no locks, or none between two machines: there the holder writes a sign of life
    into the file every few seconds, and who comes later watches whether it goes on.

    Raises: Held; OSError where the file cannot be written.
    """
    path = folder / LOCK
    file, sure = opened(path)
    me = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now().astimezone().isoformat(" ", "seconds"),  # shown, never compared
    }
    stop = threading.Event()
    try:
        other = holder(file)
        if other and not (sure and other.get("host") == me["host"]) and beats(path, other):
            raise Held(held_by(folder, other))
        write_record(file, {**me, "beat": 0})
    except BaseException:
        os.close(file)
        raise
    beating = threading.Thread(target=beat, args=(path, file, me, stop), daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        if is_still(path, file):
            path.unlink()
        os.close(file)


def opened(path: Path) -> tuple[int, bool]:
    """Open the file, and lock it.

    Returns: its descriptor, and whether the system keeps locks there.
    Raises: Held where another process of this machine, or of a network that knows locks, has it.
    """
    import fcntl  # not at the top: Windows has none, and grades nothing

    while True:
        # a link there would be somebody's trick
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return file, False
            other = holder(file)
            os.close(file)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise Held(held_by(path.parent, other)) from None
            raise
        if is_still(path, file):
            return file, True
        os.close(file)  # its last holder has just removed it


def is_still(path: Path, file: int) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(file))
    except FileNotFoundError:
        return False


def holder(file: int) -> dict[str, Any]:
    """Who wrote the file; nothing where nobody has, or where it was cut off."""
    try:
        record = json.loads(os.pread(file, LONGEST_RECORD, 0))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def write_record(file: int, record: dict[str, Any]) -> None:
    """Write into the file in place, which takes no more room, and hand it to the disk."""
    content = json.dumps(record).ljust(200).encode() + b"\n"
    os.pwrite(file, content, 0)
    os.ftruncate(file, len(content))
    os.fsync(file)


def beat(path: Path, file: int, me: dict[str, Any], stop: threading.Event) -> None:
    """Write a sign of life again and again."""
    count = 0
    while not stop.wait(BEAT):
        count += 1
        with contextlib.suppress(OSError):  # grading itself will say that the disk is gone
            write_record(file, {**me, "beat": count})


def beats(path: Path, seen: dict[str, Any]) -> bool:
    """Whether somebody goes on to write into the file."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(min(BEAT / 2, PATIENCE / 4))
        # opened anew, so that a network folder asks its server
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if holder(file) != seen:
                return True
        finally:
            os.close(file)
    return False


def held_by(folder: Path, other: dict[str, Any]) -> str:
    """Who has the folder, for a message."""
    who = "another process"
    if {"pid", "host", "since"} <= other.keys():
        who = f"process {other['pid']} on {other['host']}, since {other['since']}"
    return (
        f"another grader is at work in {folder} ({who}): wait until it has finished, or choose"
        " another folder"
    )
