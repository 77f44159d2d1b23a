"""Filters of system calls, as the kernel reads them: what is not listed is refused.

There are two. The first lets bubblewrap start Python, and is loaded by bubblewrap; the second is
loaded by the process itself before it runs anything of a submission, and ends that too.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from marking.sandbox.system_calls import FREE, MACHINES, NARROWED, START, UNSUPPORTED, Numbers

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # the kernel's names of them
X32 = 0x40000000  # from here on, x86's third set of calls
FIRST_MISSING = 441  # up to here a call that is not listed is refused, from here on it is missing
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in the record that a filter reads

# what pthread_create asks of clone, with glibc and with musl: a thread, and nothing new
THREADS = (0x3D0F00, 0x7D0F00)
# duplicates, and flags of descriptors; no locks, leases, notes of changes or sizes of pipes
FCNTL = (0, 1, 2, 3, 4, 1030)
# TCGETS, FIONREAD, FIONBIO, TIOCGWINSZ, FIONCLEX, FIOCLEX, TCGETS2
IOCTL = (0x5401, 0x541B, 0x5421, 0x5413, 0x5450, 0x5451, 0x802C542A)
FICLONE = 0x40049409
# names of threads and of memory, and questions: dumpable, bounding set, SVE, new privileges, SME
PRCTL = (3, 15, 16, 23, 39, 51, 64, 0x53564D41)
PRCTL_AT_START = (1, 22, 38)  # end with the parent, the second filter, no new privileges
AF_UNIX = 1
MAP_HUGETLB = 0x40000
# no merging of equal pages, which tells by its time what others hold
MADVISE = (0, 1, 2, 3, 4, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 102, 103)

Instruction = tuple[int, int, int, int]  # an instruction: its code, two jumps, a number


@dataclass(frozen=True)
class Arguments:
    """With which arguments a call is allowed.

    Args:
        place: of the argument that decides.
        values: those that are allowed.
        missing: those that are said to be unsupported, so that the caller does without.
        without: bits that must not be set, in place of values.
        null: whether it is a pointer, which must point nowhere.
    """

    place: int
    values: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    without: int = 0
    null: bool = False


def allowed_arguments(start: bool) -> dict[str, Arguments]:
    """The calls that are allowed with some arguments only."""
    return {
        "clone": Arguments(0, THREADS),
        "fcntl": Arguments(1, FCNTL),
        "ioctl": Arguments(1, IOCTL, missing=(FICLONE,)),
        "madvise": Arguments(2, MADVISE),
        "mmap": Arguments(3, without=MAP_HUGETLB),
        "prctl": Arguments(0, (*PRCTL_AT_START, *PRCTL) if start else PRCTL),
        "prlimit64": Arguments(0, (0,)),
        "sendto": Arguments(4, null=True),
        "socketpair": Arguments(0, (AF_UNIX,)),
    }


def refuse(error: int) -> int:
    """What makes a call fail with an error."""
    return REFUSE | error


def on_arguments(rule: Arguments) -> Iterator[Instruction]:
    """The end of a filter for one call, by its arguments."""
    low = ARGUMENTS + 8 * rule.place  # its lower half: both machines are little-endian
    if rule.null:
        for half in (low, low + 4):
            yield from [(LOAD, 0, 0, half), (EQUAL, 1, 0, 0), (RETURN, 0, 0, refuse(errno.EPERM))]
        yield (RETURN, 0, 0, ALLOW)
        return
    yield (LOAD, 0, 0, low)
    if rule.without:
        yield from [(ANY_BIT, 0, 1, rule.without), (RETURN, 0, 0, refuse(errno.EPERM))]
        yield (RETURN, 0, 0, ALLOW)
        return
    for value in rule.values:
        yield from [(EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)]
    for value in rule.missing:
        yield from [(EQUAL, 0, 1, value), (RETURN, 0, 0, refuse(errno.EOPNOTSUPP))]
    yield (RETURN, 0, 0, refuse(errno.EPERM))


def numbers_on(calls: Numbers, machine: str) -> dict[str, int]:
    """The calls that a machine has, with its numbers."""
    place = MACHINES.index(machine)
    return {name: number for name, both in calls.items() if (number := both[place]) is not None}


def instructions(machine: str, *, start: bool) -> list[Instruction]:
    """A filter for a machine, as instructions; with `start`, what starts Python is allowed too."""
    steps: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, KILL),
    ]
    rules = allowed_arguments(start)
    simple = {**FREE, **START} if start else FREE
    narrowed = numbers_on({**NARROWED, **FREE}, machine)
    for name, number in numbers_on(simple, machine).items():
        if name not in rules:
            steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for name, rule in rules.items():
        body = list(on_arguments(rule))
        steps += [(EQUAL, 0, len(body), narrowed[name]), *body]
    for number in numbers_on(UNSUPPORTED, machine).values():
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, refuse(errno.EOPNOTSUPP))]
    # hides its flags behind a pointer: reported as missing, so that threads are made with clone
    missing = refuse(errno.ENOSYS)
    steps += [(EQUAL, 0, 1, narrowed["clone3"]), (RETURN, 0, 0, missing)]
    steps += [(AT_LEAST, 0, 1, FIRST_MISSING), (RETURN, 0, 0, missing)]
    return [*steps, (RETURN, 0, 0, refuse(errno.EPERM))]


def program(machine: str = platform.machine(), *, start: bool = True) -> bytes | None:
    """A filter in the kernel's own bytes; None for a machine that it is not written for."""
    if machine not in ARCHITECTURES:
        return None
    return b"".join(struct.pack("=HBBI", *step) for step in instructions(machine, start=start))


def descriptor() -> int | None:
    """An open file with the first filter, as bubblewrap reads it; None where there is none."""
    filter_ = program()
    if filter_ is None:
        return None
    file = os.memfd_create("filter")
    os.write(file, filter_)
    os.lseek(file, 0, os.SEEK_SET)
    return file
