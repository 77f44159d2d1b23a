"""The walls around a submission: bubblewrap, and what this machine has besides."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marking.sandbox import seccomp
from marking.sandbox.confine import FILTER, PACKAGES
from marking.sandbox.visible import PROC, View, view_for

LAUNCH = Path(__file__).with_name("launch.py")
NOBODY = "65534"  # whom a submission takes itself for
FILES_IN_A_MEGABYTE = 64  # so many files may lie in its folder, whatever is in them
DEVICES = ("null", "zero", "full", "random", "urandom")
USERS = "nobody:x:65534:65534:nobody:/tmp:/bin/false\n"
PYTHON = (sys.executable, "-I", "-B")


@dataclass(frozen=True)
class Walls:
    """How a submission is walled in on this machine.

    Args:
        bwrap: the path of bubblewrap.
        folder: of the grader's own, with what the walls are made of: see `prepared_walls`.
        view: what is seen of the system.
        own_mounts: whether we can mount before bubblewrap does, and so limit the number of files.
        no_namespaces: whether bubblewrap can forbid namespaces inside its own.
        filtered: whether system calls are filtered here.
    """

    bwrap: str
    folder: Path
    view: View
    own_mounts: bool
    no_namespaces: bool
    filtered: bool

    def command(
        self, disk: int, home: str, environment: Mapping[str, str], passed: Sequence[int]
    ) -> list[str]:
        """The command to put before Python's.

        Args:
            disk: megabytes of the folder in which it starts, the only one that it can write into.
            home: an empty folder on this machine, which may be used for that.
            environment: the whole environment.
            passed: what `filter_to_pass` gives.
        """
        options = f"size={disk * 2**20},nr_inodes={disk * FILES_IN_A_MEGABYTE},mode=755"
        mounted = [home, options] if self.own_mounts else ["", ""]
        command = [*PYTHON, "-S", str(LAUNCH), *mounted, self.bwrap]
        command += ["--unshare-all", "--unshare-user", "--uid", NOBODY, "--gid", NOBODY]
        command += ["--disable-userns"] if self.no_namespaces else []
        command += ["--hostname", "submission", "--as-pid-1", "--die-with-parent", "--new-session"]
        command += ["--clearenv", "--cap-drop", "ALL", *self.processes(), *devices()]
        if self.own_mounts:
            command += ["--bind", home, "/tmp"]
        else:
            command += ["--size", str(disk * 2**20), "--tmpfs", "/tmp"]
        command += self.readable()  # after /tmp: an environment may be in it
        for name, value in environment.items():
            command += ["--setenv", name, value]
        command += ["--seccomp", str(passed[0])] if passed else []
        return [*command, "--remount-ro", "/", "--chdir", "/tmp"]

    def processes(self) -> Iterator[str]:
        """Options for /proc: the submission's own process, and little of the machine."""
        yield from ("--proc", "/proc")
        for name in sorted(os.listdir("/proc")):
            if name not in PROC and not name.isdecimal():
                yield from self.cover(f"/proc/{name}")

    def readable(self) -> Iterator[str]:
        """Options for all that can be read."""
        for link, target in self.view.links.items():
            yield from ("--symlink", target, link)
        for path in self.view.whole:
            yield from ("--ro-bind", path, path)
        for path, seen in self.view.packages.items():
            yield from self.packages(path, seen)
        yield from ("--ro-bind", str(self.folder / "passwd"), "/etc/passwd")
        yield from ("--ro-bind", str(self.folder / "room"), "/room")

    def packages(self, folder: str, seen: Sequence[str]) -> Iterator[str]:
        """Options for a folder of packages: what is seen in it, or all but what is not, whichever
        is less to mount.
        """
        covered = sorted(set(os.listdir(folder)).difference(seen))
        if len(covered) < len(seen):
            yield from ("--ro-bind", folder, folder)
            for name in covered:
                path = f"{folder}/{name}"
                if not os.path.islink(path):  # where that leads is seen or not as any other place
                    yield from self.cover(path)
        else:
            yield from ("--tmpfs", folder)
            for name in seen:
                yield from ("--ro-bind", f"{folder}/{name}", f"{folder}/{name}")
            yield from ("--remount-ro", folder)

    def cover(self, path: str) -> Iterator[str]:
        """Options that leave an empty folder, or an empty file, in place of one."""
        kind = "empty" if os.path.isdir(path) else "nothing"
        yield from ("--ro-bind", str(self.folder / kind), path)


def devices() -> Iterator[str]:
    """Options for /dev: no terminals, and no memory that is shared."""
    for name in DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    yield from ("--symlink", "/proc/self/fd", "/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        yield from ("--symlink", f"/proc/self/fd/{number}", f"/dev/{name}")
    yield from ("--dir", "/dev/shm")


def prepared_walls(bwrap: str, folder: Path, hidden: Sequence[str]) -> Walls:
    """The best walls that this machine has.

    Args:
        bwrap: the path of bubblewrap.
        folder: in which `room` has what a submission may see of the engine.
        hidden: packages that it may not see.

    Raises: OSError where Python does not start within any.
    """
    view = view_for(hidden)
    (folder / "empty").mkdir()
    (folder / "nothing").touch()
    (folder / "passwd").write_text(USERS, encoding="utf-8")
    write_confinement(folder / "room", view)
    filtered = seccomp.program() is not None
    said = ""
    for no_namespaces, own_mounts in itertools.product((True, False), repeat=2):
        walls = Walls(bwrap, folder, view, own_mounts, no_namespaces, filtered)
        said = why_not(walls)
        if not said:
            return walls
    raise OSError(f"bubblewrap is installed, but Python does not start in it: {said}")


def write_confinement(room: Path, view: View | None) -> None:
    """Write what a submission's process reads about itself: see `confine`."""
    filter_ = seccomp.program(start=False)
    if filter_ is not None and sys.platform == "linux":
        (room / FILTER).write_bytes(filter_)
    folders = sys.path if view is None else view.packages
    wanted = [
        os.path.abspath(path) for path in sys.path if path and os.path.abspath(path) in folders
    ]
    (room / PACKAGES).write_text("\0".join(wanted), encoding="utf-8")


def why_not(walls: Walls) -> str:
    """The last words of a Python that does not start within these walls; empty if it does."""
    home = walls.folder / "empty"
    with filter_to_pass(walls.filtered) as passed:
        command = [*walls.command(1, str(home), {}, passed), *PYTHON, "-c", "print('here')"]
        done = subprocess.run(command, capture_output=True, pass_fds=passed, check=False)
    if done.stdout == b"here\n":
        return ""
    lines = done.stderr.decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line), f"it ended with {done.returncode}")


@contextlib.contextmanager
def filter_to_pass(filtered: bool) -> Iterator[list[int]]:
    """The open file with the first filter, if there is one, to pass to a new process."""
    file = seccomp.descriptor() if filtered else None
    try:
        yield [] if file is None else [file]
    finally:
        if file is not None:
            os.close(file)
