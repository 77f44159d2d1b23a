"""The walls around a submission: bubblewrap, and what this machine has besides."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marking.sandbox import seccomp
from marking.sandbox.confine import FILTER, PACKAGES
from marking.sandbox.visible import PROC, View, view_for

LAUNCH = Path(__file__).with_name("launch.py")
NOBODY = "65534"  # whom a submission takes itself for
FILES_IN_A_MEGABYTE = 64  # so many files may lie in its folder, whatever is in them
DEVICE_FILES = ("null", "zero", "full", "random", "urandom")
# numbers of users that nobody has, as isolate takes them; root gives each submission one
FIRST_USER, MANY_USERS = 60_000, 1000
PASSWD = "nobody:x:65534:65534:nobody:/tmp:/bin/false\n"
PYTHON = (sys.executable, "-I", "-B")

TRIAL = """
import os, sys
from pathlib import Path
sys.path.insert(0, "/room")
from confine import give_up
give_up(Path("/room"))
for folder in sys.path:
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if not os.access(os.path.join(folder, name), os.R_OK):
            sys.exit(f"{folder}/{name} cannot be read")
print("here")
"""


@dataclass(frozen=True)
class Walls:
    """How a submission is walled in on this machine.

    Args:
        bwrap: the path of bubblewrap.
        folder: of the grader's own, with what the walls are made of: see `prepared_walls`.
        view: what is seen of the system.
        own_mounts: whether we can mount before bubblewrap does, and so limit the number of files.
        own_user: whether a submission runs as a user of its own on this machine, for which root
            grades; otherwise as whoever grades.
        no_namespaces: whether bubblewrap can forbid namespaces inside its own.
        filtered: whether system calls are filtered here.
        group: the command that runs another in a control group; may be empty.
    """

    bwrap: str
    folder: Path
    view: View
    own_mounts: bool
    own_user: bool
    no_namespaces: bool
    filtered: bool
    group: tuple[str, ...] = ()

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
        wall = ["--unshare-all", "--unshare-user", "--uid", NOBODY, "--gid", NOBODY]
        wall += ["--disable-userns"] if self.no_namespaces else []
        wall += ["--hostname", "submission", "--as-pid-1", "--die-with-parent", "--new-session"]
        wall += ["--clearenv", "--cap-drop", "ALL", *self.processes(), *devices()]
        if self.own_mounts:
            wall += ["--bind", f"{home}/tmp", "/tmp"]
        else:
            wall += ["--size", str(disk * 2**20), "--tmpfs", "/tmp"]
        # an environment may be in /tmp, where a submission must not write beside it
        apart = list(self.below("/tmp"))
        wall += [word for folder in apart for word in ("--tmpfs", folder)]
        wall += self.readable()
        wall += [word for folder in apart for word in ("--remount-ro", folder)]
        for name, value in environment.items():
            wall += ["--setenv", name, value]
        wall += ["--seccomp", str(passed[0])] if passed else []
        wall += ["--remount-ro", "/", "--chdir", "/tmp"]
        user, sources = 0, list[str]()
        if self.own_user:
            user = FIRST_USER + secrets.randbelow(MANY_USERS)
            wall, sources = staged(wall, home)
        options = f"size={disk * 2**20},nr_inodes={disk * FILES_IN_A_MEGABYTE},mode=755,uid={user}"
        before = [*PYTHON, "-S", str(LAUNCH), home if self.own_mounts else "", options, str(user)]
        return [*self.group, *before, str(len(sources)), *sources, self.bwrap, *wall]

    def missing(self) -> list[str]:
        """What this machine lacks, in words; empty where every wall is up."""
        lacks = {
            "system calls are not filtered on this kind of machine": not self.filtered,
            "bubblewrap is older than 0.8 and cannot forbid namespaces inside its own": (
                not self.no_namespaces and not self.filtered
            ),
            "the number of files of a submission is not limited": not self.own_mounts,
            "the threads of a submission are not limited, because root grades": (
                os.geteuid() == 0 and not self.own_user and not self.group
            ),
            "memory inside the kernel is bounded piece by piece, not as a whole: there is no"
            " control group": not self.group,
        }
        return [words for words, lacking in lacks.items() if lacking]

    def processes(self) -> Iterator[str]:
        """Options for /proc: the submission's own process, and little of the machine."""
        yield from ("--proc", "/proc")
        for name in sorted(os.listdir("/proc")):
            if name not in PROC and not name.isdecimal():
                yield from self.cover(f"/proc/{name}")

    def below(self, folder: str) -> Iterator[str]:
        """The folders directly in another one that hold what can be read."""
        seen = map(Path, (*self.view.whole, *self.view.packages))
        inside = {path.relative_to(folder).parts for path in seen if path.is_relative_to(folder)}
        for first in sorted({parts[0] for parts in inside if len(parts) > 1}):
            yield f"{folder}/{first}"

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


def staged(options: Sequence[str], home: str) -> tuple[list[str], list[str]]:
    """Options for a user who cannot reach what is to be seen, because a folder above is closed to
    others: it is bound from places in the home, where the launcher mounts it.

    Returns: the options, and what is mounted at home/0, home/1 and so on.
    """
    places: dict[str, str] = {}
    changed = list(options)
    for place, option in enumerate(options):
        if option == "--ro-bind":
            source = options[place + 1]
            changed[place + 1] = places.setdefault(source, f"{home}/{len(places)}")
    return changed, list(places)


def devices() -> Iterator[str]:
    """Options for /dev: no terminals, and no memory that is shared."""
    for name in DEVICE_FILES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    yield from ("--symlink", "/proc/self/fd", "/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        yield from ("--symlink", f"/proc/self/fd/{number}", f"/dev/{name}")
    yield from ("--dir", "/dev/shm")


def prepared_walls(
    bwrap: str, folder: Path, hidden: Sequence[str], group: tuple[str, ...] = ()
) -> Walls:
    """The best walls that this machine has.

    Args:
        bwrap: the path of bubblewrap.
        folder: in which `room` has what a submission may see of the engine.
        hidden: packages that it may not see.
        group: the command that runs another in a control group; may be empty.

    Raises: OSError where Python does not start within any.
    """
    view = view_for(hidden)
    (folder / "empty").mkdir()
    (folder / "nothing").touch()
    (folder / "passwd").write_text(PASSWD, encoding="utf-8")
    write_confinement(folder / "room", view.packages)
    for path in (folder / "room").iterdir():
        path.chmod(0o644)  # for another user; the folder above is closed
    (folder / "room").chmod(0o755)
    filtered = seccomp.program() is not None
    said = ""
    for no_namespaces in (True, False):
        for own_mounts, own_user in ((True, True), (True, False), (False, False)):
            if own_user and os.geteuid():
                continue
            walls = Walls(bwrap, folder, view, own_mounts, own_user, no_namespaces, filtered)
            said = why_not(walls)
            if not said:
                return replace(walls, group=group)
    raise OSError(f"bubblewrap is installed, but Python does not start in it: {said}")


def write_confinement(room: Path, packages: Iterable[str]) -> None:
    """Write what a submission's process reads about itself (see `confine`): its second filter, and
    folders with packages.
    """
    filter_ = seccomp.program(start=False)
    if filter_ is not None and sys.platform == "linux":
        (room / FILTER).write_bytes(filter_)
    (room / PACKAGES).write_text("\0".join(packages), encoding="utf-8")


def why_not(walls: Walls) -> str:
    """The last words of a Python that does not start within these walls; empty if it does."""
    with tempfile.TemporaryDirectory() as home, filter_to_pass(walls.filtered) as passed:
        command = [*walls.command(1, home, {}, passed), *PYTHON, "-c", TRIAL]
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
