"""Contain a submission: a process of its own with limits, under bubblewrap where that is installed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from marking.sandbox import seccomp, wire

HERE = Path(__file__).parent
ROOM = (
    HERE / "child.py",
    HERE / "wire.py",
    HERE.with_name("outcome.py"),
)  # all that a submission may see of the package
SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/lib32",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
)


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Args:
        timeout: seconds in all.
        memory: megabytes of the process; under bubblewrap there is but one.
        cell: seconds of one cell, and of one call.
        processes: how many, threads included.
        disk: megabytes in its temporary folder.
    """

    timeout: int = 60
    memory: int = 4096
    cell: int = 20
    processes: int = 64
    disk: int = 64

    def resources(self) -> dict[str, int]:
        """The limits that the process sets itself before it runs anything of the submission."""
        return {
            "RLIMIT_AS": self.memory * 2**20,
            "RLIMIT_FSIZE": self.disk * 2**20,
            "RLIMIT_CPU": self.timeout + 5,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_CORE": 0,
        }


class Lost(Exception):
    """The submission's process does not answer as it should; the message says how."""


def bubblewrap() -> str | None:
    """The path of bubblewrap, if it is installed and can make a sandbox here."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    tried = subprocess.run(
        [path, "--unshare-all", "--ro-bind", "/", "/", "true"], capture_output=True
    )
    return path if tried.returncode == 0 else None


def walls(bwrap: str, room: Path, disk: int) -> list[str]:
    """The command in front of Python's that leaves it a read-only system, an empty folder, and
    nothing else.
    """
    packages = [
        Path(__file__).parents[1].with_name(name)
        for name in ("marking", "minddpm", "minddpm_course")
    ]
    prefixes = [Path(path) for path in (sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"))]
    seen = [path for path in SYSTEM if Path(path).exists()]
    for prefix in [*prefixes, *(prefix.resolve() for prefix in prefixes)]:
        if not any(prefix.is_relative_to(folder) for folder in seen):
            seen.append(str(prefix))
    command = [
        bwrap,
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--cap-drop",
        "ALL",
    ]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(disk * 2**20), "--tmpfs", "/tmp"]
    for path in seen:  # after /tmp: an environment may lie in it
        command += ["--ro-bind", path, path]
    for package in packages:
        if any(package.is_relative_to(path) for path in seen):
            command += ["--tmpfs", str(package)]
    for name, value in environment("/tmp").items():
        command += ["--setenv", name, value]
    return [
        *command,
        "--ro-bind",
        str(room),
        "/room",
        "--remount-ro",
        "/dev",
        "--remount-ro",
        "/",
        "--chdir",
        "/tmp",
    ]


def environment(home: str) -> dict[str, str]:
    """All of the environment that a submission gets."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return {
        "HOME": home,
        "TMPDIR": home,
        "PATH": path,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }


@contextlib.contextmanager
def prepared_room() -> Iterator[Path]:
    """A folder with the few files that the child needs.

    Raises: OSError on Windows, where processes cannot be limited as here.
    """
    if os.name == "nt":
        raise OSError(
            "running submissions wants Linux or macOS, or Linux inside Windows (WSL), got Windows"
        )
    with tempfile.TemporaryDirectory(prefix="minddpm-room-") as folder:
        for path in ROOM:
            shutil.copy(path, folder)
        yield Path(folder)


def listed(reply: dict[str, Any], name: str) -> list[Any]:
    """A list in an answer, of at most 20 things; empty where there is none."""
    value = reply.get(name)
    return value[:20] if isinstance(value, list) else []


class Running:
    """A submission whose cells have been run, ready for calls."""

    all: ClassVar[weakref.WeakSet[Running]] = weakref.WeakSet()

    def __init__(
        self,
        room: Path,
        cells: Sequence[tuple[int, str]],
        limits: Limits,
        bwrap: str | None,
        deadline: float,
    ) -> None:
        self.deadline, self.limits = deadline, limits
        Running.all.add(self)
        self.folder = tempfile.TemporaryDirectory(
            prefix="minddpm-submission-", ignore_cleanup_errors=True
        )
        self.channel, theirs = socket.socketpair()
        python, passed = [sys.executable, "-I", "-B"], [theirs.fileno()]
        if bwrap:
            rule = seccomp.descriptor()
            filtered = [] if rule is None else ["--seccomp", str(rule)]
            passed += [] if rule is None else [rule]
            command = [
                *walls(bwrap, room, limits.disk),
                *filtered,
                *python,
                "/room/child.py",
                str(theirs.fileno()),
            ]
        else:
            command = [*python, str(room / "child.py"), str(theirs.fileno())]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            env=environment(self.folder.name),
            pass_fds=passed,
            start_new_session=True,
        )
        theirs.close()
        for file in passed[1:]:
            os.close(file)
        self.attempts: list[str] = []
        try:
            order = {"cells": list(cells), "seconds": limits.cell, "limits": limits.resources()}
            self.errors = [str(error)[:400] for error in listed(self.exchange(order)[0], "errors")]
        except BaseException:  # who could not make it cannot close it
            self.close()
            raise

    def exchange(
        self, message: dict[str, Any], arrays: Sequence[np.ndarray] = ()
    ) -> tuple[dict[str, Any], list[Any]]:
        """Send a message and wait for its answer.

        Raises: Lost where there is none, or another.
        """
        number = secrets.token_hex(8)
        try:
            self.channel.settimeout(max(self.deadline - time.monotonic(), 0.01))
            wire.send(self.channel, {**message, "id": number}, arrays)
            reply, values = wire.receive(self.channel, self.deadline)
        except TimeoutError:
            raise Lost(f"it took over {self.limits.timeout} s in all") from None
        except (EOFError, OSError):
            raise Lost("its process ended before it was asked everything") from None
        except wire.Unreadable:
            raise Lost("what it answered is no answer") from None
        if reply.get("id") != number:
            raise Lost("it answered what it was not asked")
        self.attempts = [str(attempt)[:200] for attempt in listed(reply, "attempts")]
        return reply, values

    def interrupt(self) -> None:
        """Have whoever waits for an answer see the process as lost, at once."""
        self.deadline = 0.0
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the process, and all that it started."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.folder.cleanup()
