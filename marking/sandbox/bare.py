"""Where there is no bubblewrap: what a system has to keep submissions from grades and from each
other, and what stays open.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import itertools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).with_name("landlocked.py")
SUBREAPER, NOT_DUMPABLE = 36, 4  # of Linux's prctl
USERS = range(61184, 65520)  # the ids that Linux leaves to services which come and go
# what Python and torch read that is in none of its folders
SYSTEM_READ = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/lib32",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/alternatives",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/sys/devices/system",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
)
WRITTEN = ("/dev/null",)
HOW_TO_INSTALL = "install it (apt install bubblewrap, dnf install bubblewrap)"
NOT_DEFENDED = (
    "a submission could read and change your files, grades and the course's answers included, use"
    " the network, and start programs that outlive it"
)


class NotContained(ValueError):
    """Submissions would run here without bubblewrap, and nobody has allowed it."""


def why_no_bubblewrap() -> str:
    """Why there is no bubblewrap here, in words, and what helps."""
    if sys.platform != "linux":
        return "bubblewrap runs on Linux only: grade on a Linux machine, or in a virtual one"
    path = shutil.which("bwrap")
    if path is None:
        return f"bubblewrap is not installed: {HOW_TO_INSTALL}"
    trial = subprocess.run(
        [path, "--unshare-all", "--ro-bind", "/", "/", "true"], capture_output=True, text=True
    )
    said = " ".join(trial.stderr.split())[:200] or f"exit code {trial.returncode}"
    return (
        f"bubblewrap is installed and cannot make a sandbox here ({said}): let it make user"
        " namespaces"
    )


def refusal() -> str:
    """What to say where submissions would run without bubblewrap, and nobody has allowed it."""
    return (
        f"without bubblewrap {NOT_DEFENDED}. {why_no_bubblewrap()}. If you trust everyone who"
        " handed in, add --trust-submissions"
    )


@dataclass
class Bare:
    """What keeps a submission from grades, without bubblewrap.

    Args:
        users: ids of users that own nothing, one for each submission; None if there are none.
        landlock: whether Linux limits which files a process can open.
        seatbelt: the command that does so on a Mac, if it is there.
        hidden: files and folders that hold answers.
    """

    users: Iterator[int] | None = None
    landlock: bool = False
    seatbelt: str | None = None
    hidden: tuple[str, ...] = ()
    started: dict[int, int | None] = field(default_factory=dict)
    others: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def popen(
        self, command: Sequence[str], room: str, folder: str, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start the process of a submission, which may write in its folder only.

        Args:
            command: Python, its options, and the script in the room with its arguments.
            room: the folder with the files of the engine.
            folder: its own.
            options: of subprocess.Popen.
        """
        command = list(command)
        with self.lock:
            user = next(self.users) if self.users is not None else None
        if user is not None:
            os.chown(folder, user, user)
            options |= {"user": user, "group": user, "extra_groups": []}
        if self.landlock:
            places = places_for(room, folder, self.hidden)
            script = command.index(f"{room}/child.py")
            command[script : script + 1] = [f"{room}/landlocked.py", json.dumps(places)]
        elif self.seatbelt:
            command = [self.seatbelt, "-p", profile_for(room, folder), *command]
        with self.lock:  # so that `sweep` knows whatever runs
            process = subprocess.Popen(command, **options)
            self.started[process.pid] = user
        return process

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        """End all that a submission's process has left; it has ended itself."""
        with self.lock:
            user = self.started.pop(process.pid, None)
            if user is not None:
                end_all_of(user)
            self.sweep()

    def sweep(self) -> None:
        """End processes that were left to us, which their own parents have left behind, and theirs.

        None of a session of ours is touched: a submission's processes cannot join one. Elsewhere
        than on Linux none is left to us.
        """
        if sys.platform != "linux":
            return
        for _ in range(100):  # whoever starts processes faster than that is limited in their number
            left = [
                pid
                for pid, session in children_of(os.getpid())
                if pid not in self.started and pid not in self.others and session != os.getsid(0)
            ]
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    @property
    def held(self) -> tuple[str, ...]:
        """What a submission cannot do, as sentences."""
        files = self.landlock or self.seatbelt
        held = ["No answer is judged in a submission's process."]
        if files:
            held.append(
                "A submission can write in its own folder only, and read only what Python needs."
            )
        elif self.users is not None:
            held.append(
                "Each submission runs as a user of its own, who cannot change your files, these"
                " grades included."
            )
        if self.users is not None:
            held.append("All that it starts is ended with it, and it cannot end the grader.")
        elif sys.platform == "linux":
            held.append("Programs that it leaves behind are ended with it.")
        mine = self.users is None and not self.landlock
        if sys.platform == "linux" and not (mine and os.geteuid() == 0):
            held.append("It cannot read the memory and the environment of the grader.")
        if self.seatbelt:
            held.append("It cannot use the network.")
        held.append(
            "Each line of results.jsonl is signed with a key made from the seed: who does not know"
            " the seed cannot forge one, and --resume grades again what was changed."
        )
        return tuple(held)

    @property
    def open(self) -> tuple[str, ...]:
        """What a submission may do all the same, as sentences."""
        files = self.landlock or self.seatbelt
        left = []
        if not files and self.users is None:
            left.append(
                "A submission can read and change your files: other submissions, a file with the"
                " seed, and this report."
            )
        elif not files:
            left.append(
                "A submission can read what every user of this machine can read, and leave files in"
                " the system's temporary folders."
            )
        if not files:
            left.append("It can read the course's answers, and hand them in as its own.")
        if not self.seatbelt:
            left.append("It can use the network.")
        if self.users is None:
            left.append("It can end the grader and other submissions; --resume continues.")
            left.append("It can ask other programs of yours to do what it cannot do itself.")
            if self.landlock:
                left.append("It can change the permissions and times of your files.")
            if os.geteuid() == 0:
                left.append("It runs as root: grade as another user.")
        left.append("Its memory is limited for each process, not for all of them together.")
        return tuple(left)


def prepared(hidden: Sequence[str], trial: bool = True) -> Bare:
    """What this system has.

    Args:
        hidden: files and folders that hold answers.
        trial: whether to try each before it is relied on.
    """
    bare = Bare(hidden=tuple(hidden))
    if sys.platform == "darwin":
        path = shutil.which("sandbox-exec")
        bare.seatbelt = path if path and (not trial or works(Bare(seatbelt=path))) else None
        return bare
    if sys.platform == "linux" and importlib.util.find_spec("landlock"):
        bare.landlock = not trial or works(Bare(landlock=True))
    if sys.platform == "linux" and os.geteuid() == 0:
        users = free_users()
        if not trial or works(Bare(users=users, landlock=bare.landlock)):
            bare.users = users
    return bare


def works(bare: Bare) -> bool:
    """Whether Python runs so, finds torch, and can write in its folder and nowhere else."""
    with tempfile.TemporaryDirectory() as room, tempfile.TemporaryDirectory() as folder:
        give_room(Path(room))
        code = (
            "import importlib.util, pathlib, sys\n"
            "assert open(importlib.util.find_spec('torch').origin).read(1)\n"
            "pathlib.Path('written').write_text('here')\n"
            "try: pathlib.Path(sys.argv[1], 'written').write_text('there')\n"
            "except OSError: pass\n"
            "else: sys.exit('it can write elsewhere')\n"
        )
        Path(room, "child.py").write_text(code)
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        try:
            process = bare.popen(
                [sys.executable, "-I", "-B", f"{room}/child.py", room],
                room,
                folder,
                cwd=folder,
                start_new_session=True,
                **quiet,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        try:
            return process.wait(60) == 0 and Path(folder, "written").exists()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        finally:
            bare.started.clear()


def give_room(room: Path) -> None:
    """Make the room of the engine's files one for submissions that run without bubblewrap."""
    shutil.copy(LAUNCHER, room)
    room.chmod(0o755)  # a submission may run as another user


@contextlib.contextmanager
def guarded(out: Path, bare: Bare) -> Iterator[None]:
    """Keep the grader's memory and the folder of the report from submissions that run here."""
    mode = None
    if bare.users is not None:
        mode = out.stat().st_mode & 0o7777
        out.chmod(0o700)
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    if prctl is not None:
        bare.others.update(pid for pid, _ in children_of(os.getpid()))
        prctl(NOT_DUMPABLE, 0, 0, 0, 0)  # so that nobody reads its memory
        prctl(SUBREAPER, 1, 0, 0, 0)  # so that what a submission leaves behind is ours to end
    try:
        yield
    finally:
        if prctl is not None:
            with bare.lock:
                bare.sweep()
            prctl(SUBREAPER, 0, 0, 0, 0)
            prctl(NOT_DUMPABLE, 1, 0, 0, 0)
        if mode is not None:
            out.chmod(mode)


def free_users() -> Iterator[int]:
    """Ids of users whom nobody is and who run nothing, in no order that can be told."""
    import pwd  # not at the top: Windows has none, and grades nothing

    taken = {entry.pw_uid for entry in pwd.getpwall()}
    ids = [user for user in USERS if user not in taken]
    secrets.SystemRandom().shuffle(ids)
    for user in itertools.cycle(ids):
        if user not in users_with_processes():
            yield user


def users_with_processes() -> set[int]:
    """The ids of all users that run something."""
    users = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            users.add(path.stat().st_uid)
    return users


def end_all_of(user: int) -> None:
    """End all processes of a user, whatever they start meanwhile: the system ends them at once."""
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import os; os.kill(-1, 9)"],
        user=user,
        group=user,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # nobody was left
    )


def children_of(parent: int) -> Iterator[tuple[int, int]]:
    """The processes of a parent, and their sessions, on Linux."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # a program's name may hold spaces and brackets
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == parent:
            yield int(path.parent.name), int(fields[3])


def places_for(room: str, folder: str, hidden: Sequence[str]) -> dict[str, list[str]]:
    """What a submission may read, list and write."""
    read, listed = readable(tuple(hidden))
    return {"read": [*read, room], "list": [*listed], "write": [folder, *WRITTEN]}


@functools.cache
def readable(hidden: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What Python needs: files and folders to read, and folders to list only, as they hold hidden
    ones among others.
    """
    prefixes = (sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"))
    roots = [path for path in SYSTEM_READ if os.path.exists(path)]
    for root in [*prefixes, *map(os.path.realpath, prefixes)]:
        if not any(Path(root).is_relative_to(known) for known in roots):
            roots.append(root)
    away = [Path(path) for path in dict.fromkeys([*hidden, *map(os.path.realpath, hidden)])]
    read: list[str] = []
    listed: list[str] = []

    def add(place: Path) -> None:
        if place in away:
            return
        if not any(path.is_relative_to(place) for path in away):
            read.append(str(place))
            return
        listed.append(str(place))
        for inner in sorted(place.iterdir()):
            add(inner)

    for root in roots:
        add(Path(root))
    return tuple(read), tuple(listed)


def profile_for(room: str, folder: str, places: Mapping[str, Sequence[str]] | None = None) -> str:
    """A profile for sandbox-exec on a Mac: the last rule that fits counts.

    It has been tried on no Mac.
    """
    if places is None:
        places = {"read": readable(())[0]}
    inside = [path for one in (room, folder, *places["read"]) for path in with_real_path(one)]
    return "\n".join(
        [
            "(version 1)",
            "(allow default)",
            "(deny network*)",
            "(deny file-write*)",
            *(f"(allow file-write* {below(path)})" for path in with_real_path(folder)),
            '(allow file-write* (literal "/dev/null"))',
            '(deny file-read-data (subpath "/Users") (subpath "/Volumes") (subpath "/private"))',
            *(
                f"(allow file-read-data {below(path)})"
                for one in inside
                for path in with_real_path(one)
            ),
            "(deny signal (target others))",
            "(deny mach-task-name)",
        ]
    )


def with_real_path(path: str) -> list[str]:
    """A path as it is written, and where it leads: a Mac's /tmp is a link."""
    return list(dict.fromkeys([path, os.path.realpath(path)]))


def below(path: str) -> str:
    """What a profile calls a folder and all that is in it."""
    quoted = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'(subpath "{quoted}")'
