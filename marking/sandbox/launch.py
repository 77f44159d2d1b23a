"""The step before bubblewrap, in a process of its own: leave the keyring, and mount a folder whose
number of files is limited, which bubblewrap cannot do. Then become bubblewrap.

python launch.py FOLDER OPTIONS USER COUNT SOURCE... COMMAND...

FOLDER/tmp gets a file system in memory with the mount OPTIONS, which nobody else sees. Where FOLDER
is empty, nothing is mounted. Unless USER is 0, as many sources as COUNT says are to be seen at
FOLDER/0, FOLDER/1 and so on, and the command is run by that user.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

NEW_USERS, NEW_MOUNTS = 0x10000000, 0x00020000
BIND, RECURSIVE, PRIVATE = 1 << 12, 1 << 14, 1 << 18
NO_SETUID, NO_DEVICES, NO_PROGRAMS = 2, 4, 8
KEYCTL = {"x86_64": 250, "aarch64": 219}
JOIN_SESSION_KEYRING = 1

libc = ctypes.CDLL(None, use_errno=True)


def succeed(result: int, what: str) -> None:
    """Raise what a call in C says.

    Raises: OSError where it says that it failed.
    """
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def leave_keyring() -> None:
    """Have no keys of the session in which grading was started."""
    number = KEYCTL.get(platform.machine())
    if number is not None:  # it fails where there are no keyrings, which is as good
        libc.syscall(number, JOIN_SESSION_KEYRING, None)


def own_mounts() -> None:
    """Mount for this process and what it becomes only; as the root of a user namespace, unless it
    is root.
    """
    user, group = os.geteuid(), os.getegid()
    succeed(libc.unshare(NEW_MOUNTS if user == 0 else NEW_MOUNTS | NEW_USERS), "unshare")
    if user:
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    succeed(libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None), "mount /")


def mount_memory(folder: str, options: str) -> None:
    """Mount a file system in memory."""
    flags = NO_SETUID | NO_DEVICES | NO_PROGRAMS
    done = libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode())
    succeed(done, f"mount {folder}")


def stage(folder: str, sources: Sequence[str]) -> None:
    """Mount files and folders where any user can reach them."""
    mount_memory(folder, "size=1m,mode=755")
    for number, source in enumerate(sources):
        place = f"{folder}/{number}"
        os.mkdir(place) if os.path.isdir(source) else Path(place).touch()
        where = os.fsencode(source), os.fsencode(place)
        succeed(libc.mount(*where, None, BIND | RECURSIVE, None), f"mount {source}")


def become(user: int) -> None:
    """Be this user, and in no group but that of the same number."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def start_bubblewrap() -> None:
    """Do what the words on the command line say."""
    folder, options, user, count, *words = sys.argv[1:]
    sources, command = words[: int(count)], words[int(count) :]
    leave_keyring()
    if folder:
        own_mounts()
        if int(user):
            stage(folder, sources)
        os.makedirs(f"{folder}/tmp", exist_ok=True)
        mount_memory(f"{folder}/tmp", options)
    if int(user):
        become(int(user))
    os.execv(command[0], command)


if __name__ == "__main__":
    start_bubblewrap()
