"""Contain a submission: a process of its own with limits, in bubblewrap where that is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from marking.course import Course
from marking.outcome import Array
from marking.sandbox import wire
from marking.sandbox.bare import Bare
from marking.sandbox.control_group import group_command, session_environment
from marking.sandbox.visible import packages_seen
from marking.sandbox.walls import PYTHON, Walls, filter_to_pass, prepared_walls, write_confinement

HERE = Path(__file__).parent
# all that a submission may see of the engine
ROOM = (
    HERE / "absent.py",
    HERE / "child.py",
    HERE / "confine.py",
    HERE / "shell.py",
    HERE / "wire.py",
    HERE.with_name("cells.py"),
    HERE.with_name("outcome.py"),
)
MOST_ANSWERS = 1000  # that are answered in one conversation; a test is told before to stop


@dataclass(frozen=True)
class Limits:
    """How much one submission may use.

    Args:
        timeout: seconds in total.
        memory: megabytes of the process; under bubblewrap there is only one.
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
            # each open file holds memory that the process does not have: up to 200 KB in a socket
            "RLIMIT_NOFILE": 256,
            "RLIMIT_STACK": 8 * 2**20,
            "RLIMIT_SIGPENDING": 64,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_NICE": 0,
            "RLIMIT_RTPRIO": 0,
        }


@dataclass(frozen=True)
class Sandbox:
    """Where and how submissions run.

    Args:
        course: whose package they import, and whose answers are hidden from them.
        limits: how much each may use.
        room: a folder with the few files of the engine that a submission's process needs.
        bwrap: the path of bubblewrap; None where a submission cannot be contained.
        walls: what is built with it.
        bare: what else keeps it from grades; None for code of one's own.
        stderr: where the processes write their errors, for `marking.rehearsal`.
    """

    course: Course
    limits: Limits
    room: Path
    bwrap: str | None
    walls: Walls | None = None
    bare: Bare | None = None
    stderr: int | IO[bytes] = subprocess.DEVNULL
    running: weakref.WeakSet[Running] = field(default_factory=weakref.WeakSet)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End every submission that runs here at once, and let no other start."""
        self.stopped.set()
        for running in list(self.running):
            running.interrupt()


class Lost(Exception):
    """The submission's process does not answer as it should; the message says how."""


@contextlib.contextmanager
def prepared_sandbox(course: Course, limits: Limits) -> Iterator[Sandbox]:
    """A sandbox, and the folder that belongs to it, removed afterwards.

    Raises: OSError on Windows, where processes cannot be limited like this.
    """
    if os.name == "nt":
        raise OSError(
            "submissions can run on Linux and macOS, and in Linux inside Windows (WSL), not on"
            " Windows"
        )
    with tempfile.TemporaryDirectory(prefix="marking-room-") as folder:
        room = Path(folder, "room")
        room.mkdir()
        for path in ROOM:
            shutil.copy(path, room)
        bwrap = bubblewrap()
        if bwrap is None:
            Path(folder).chmod(0o711)  # a submission may run as another user, who passes here
            write_confinement(room, [folder for folder, _ in packages_seen(course.hidden)])
            yield Sandbox(course, limits, room, None)
        else:
            group = group_command(limits.memory + limits.disk, limits.processes)
            walls = prepared_walls(bwrap, Path(folder), course.hidden, group)
            yield Sandbox(course, limits, room, bwrap, walls)


def bubblewrap() -> str | None:
    """The path of bubblewrap, if it is installed and can make a sandbox here."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    trial = [path, "--unshare-all", "--ro-bind", "/", "/", "true"]
    return path if subprocess.run(trial, capture_output=True).returncode == 0 else None


def locations(packages: Sequence[str]) -> Iterator[Path]:
    """The folders of installed packages, or the files of those that are single modules."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is not None:
            yield from map(Path, spec.submodule_search_locations or [spec.origin or ""])


def hidden_places(course: Course) -> list[str]:
    """The files and folders that hold a course's answers, as far as they are installed."""
    return [str(location) for location in locations(course.hidden)]


def clean_environment(home: str) -> dict[str, str]:
    """The whole environment of a submission."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return {
        "HOME": home,
        "TMPDIR": home,
        "PATH": path,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "TORCH_COMPILE_DISABLE": "1",  # a compiler would be another process
    }


def items_of(reply: dict[str, Any], name: str) -> list[Any]:
    """A list in a reply, cut off after 20 items; empty where there is none."""
    value = reply.get(name)
    return value[:20] if isinstance(value, list) else []


# is told of each check that a submission comes to: its question, and which check of that it is
Judge = Callable[["Running", Any, Any], None]


class Running:
    """A submission whose cells have been run, ready for calls.

    Args:
        sandbox: where it runs.
        cells: number and source of each.
        deadline: when its time is up, of time.monotonic.
        most: the names of all questions, each with how many checks of it are told while the cells
            run.
        judge: is told of each, and may exchange messages about it; the cells go on afterwards.
        late: the questions of which no check is told. In the end `kept` says how many checks of
            each there are.

    Raises: Lost where its process does not get through its cells.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        cells: Sequence[tuple[int, str]],
        deadline: float,
        most: Mapping[str, int] | None = None,
        judge: Judge | None = None,
        late: Sequence[str] = (),
    ) -> None:
        self.deadline = deadline
        self.course = sandbox.course
        self.limits = sandbox.limits
        self.bare = sandbox.bare
        self.attempts: list[str] = []
        self.folder = tempfile.TemporaryDirectory(
            prefix="marking-submission-", ignore_cleanup_errors=True
        )
        self.channel, self.process = started(sandbox, self.folder.name)
        sandbox.running.add(self)
        try:
            if sandbox.stopped.is_set():  # after it was added: `stop` sees one or the other
                raise Lost("grading was stopped")
            self.errors, self.kept = self.run(cells, most or {}, judge, late)
        except BaseException:  # nobody else could close it
            self.close()
            raise

    def run(
        self,
        cells: Sequence[tuple[int, str]],
        most: Mapping[str, int],
        judge: Judge | None,
        late: Sequence[str],
    ) -> tuple[list[str], dict[str, int]]:
        """Have the cells run, each check told to `judge` at its place.

        Returns: their errors, and how many checks of each of the late questions there are.
        """
        order = {
            "cells": list(cells),
            "seconds": self.limits.cell,
            "limits": self.limits.resources(),
            "package": self.course.package,
            "offered": dict(self.course.offered),
            "most": dict(most),
            "late": list(late),
            "hidden": list(self.course.hidden),
            "files": list(self.course.answer_files),
        }
        reply, _ = self.exchange(order)
        while judge is not None and "checked" in reply:
            judge(self, reply["checked"], reply.get("place"))
            reply, _ = self.exchange({"kind": "go on"})
        told = reply.get("late")
        counts = {name: told.get(name) if isinstance(told, dict) else 0 for name in late}
        kept = {name: count if type(count) is int else 0 for name, count in counts.items()}
        return [str(error)[:400] for error in items_of(reply, "errors")], kept

    def exchange(
        self, message: dict[str, Any], arrays: Sequence[Array] = ()
    ) -> tuple[dict[str, Any], list[Any]]:
        """Send a message and wait for its reply.

        Raises: Lost where no reply arrives, or a wrong one.
        """
        number = secrets.token_hex(8)
        try:
            self.channel.settimeout(max(self.deadline - time.monotonic(), 0.01))
            wire.send(self.channel, {**message, "id": number}, arrays)
            reply, values = wire.receive(self.channel, self.deadline)
        except TimeoutError:
            raise Lost(f"it took over {self.limits.timeout} s in total") from None
        except (EOFError, OSError):
            raise Lost("its process ended before all answers were graded") from None
        except wire.Unreadable:
            raise Lost("its process sent an unreadable reply") from None
        if reply.get("id") != number:
            raise Lost("its process replied to another message")
        self.attempts = [str(attempt)[:200] for attempt in items_of(reply, "attempts")]
        return reply, values

    def converse(
        self,
        message: dict[str, Any],
        answer: Callable[[Any, Sequence[Array]], tuple[dict[str, Any], Sequence[Array]]],
    ) -> dict[str, Any]:
        """Send a message, and answer the calls that come back until its reply does.

        Raises: Lost where no reply arrives, or a wrong one, or after far too many calls.
        """
        reply, arrays = self.exchange(message)
        for _ in range(MOST_ANSWERS):
            if "call" not in reply:
                return reply
            try:
                more, results = answer(reply["call"], arrays)
            except wire.Unreadable:
                raise Lost("its process sent an unreadable call") from None
            reply, arrays = self.exchange({"kind": "answer", **more}, results)
        raise Lost("it does not stop to call a function")

    def interrupt(self) -> None:
        """Make anyone who waits for a reply see the process as lost, at once."""
        self.deadline = 0.0
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the process, and all that it started."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.bare is not None:
            self.bare.ended(self.process)
        self.folder.cleanup()


def started(sandbox: Sandbox, folder: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process for a submission in a folder.

    Returns: our end of the channel to it, and the process.
    """
    ours, theirs = socket.socketpair()
    number = str(theirs.fileno())
    walls = sandbox.walls
    environment = clean_environment(folder)
    popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    if sandbox.bare is not None:
        popen = partial(sandbox.bare.popen, room=str(sandbox.room), folder=folder)
    with theirs, filter_to_pass(walls is not None and walls.filtered) as passed:
        command = [*PYTHON, str(sandbox.room / "child.py"), number]
        if walls is not None:
            inside = clean_environment("/tmp")
            wall = walls.command(sandbox.limits.disk, folder, inside, passed)
            command = [*wall, *PYTHON, "/room/child.py", number]
            environment |= session_environment() if walls.group else {}
        process = popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=sandbox.stderr,
            cwd=folder,
            env=environment,
            pass_fds=[theirs.fileno(), *passed],
            start_new_session=True,
        )
    return ours, process
