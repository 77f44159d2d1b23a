"""A filter of system calls: no new processes, and no memory that the limits do not count."""

from __future__ import annotations

import os
import platform
import struct

CLONE_THREAD = 0x10000
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in the record that a filter reads
# by machine: the kernel's name of it, clone, and the calls that are refused (fork, vfork, shmget,
# memfd_create)
CALLS = {"x86_64": (0xC000003E, 56, (57, 58, 29, 319)), "aarch64": (0xC00000B7, 220, (194, 279))}
# hides its flags behind a pointer: reported as missing, so that threads are made with clone
CLONE3 = 435


def program(machine: str = platform.machine()) -> bytes | None:
    """The filter, in the kernel's own instructions; None for a machine that it is not written for.

    clone is allowed for threads only. Calls of another architecture on the same machine end the
    process.
    """
    if machine not in CALLS:
        return None
    architecture, clone, refused = CALLS[machine]
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, 0x40000000),  # x86's third set of calls
        (RETURN, 0, 0, KILL),
        (EQUAL, 0, 1, CLONE3),
        (RETURN, 0, 0, ENOSYS),
    ]
    for call in refused:
        steps += [(EQUAL, 0, 1, call), (RETURN, 0, 0, EPERM)]
    steps += [
        (EQUAL, 1, 0, clone),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, 0, 1, CLONE_THREAD),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def descriptor() -> int | None:
    """An open file with the filter, as bubblewrap reads it; None where there is no filter."""
    filter_ = program()
    if filter_ is None:
        return None
    file = os.memfd_create("filter")
    os.write(file, filter_)
    os.lseek(file, 0, os.SEEK_SET)
    return file
