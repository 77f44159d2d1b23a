"""The filters of system calls: what they allow on each machine, as the kernel would run them."""

import errno

import kernel
import pytest

from marking.sandbox import seccomp, system_calls

with_numbers = pytest.mark.skipif(kernel.libseccomp() is None, reason="there is no libseccomp here")


@with_numbers
@pytest.mark.parametrize("machine", system_calls.MACHINES)
def test_the_numbers_of_calls_are_those_of_the_kernel(machine):
    place = system_calls.MACHINES.index(machine)
    groups = (
        system_calls.FREE,
        system_calls.NARROWED,
        system_calls.START,
        system_calls.UNSUPPORTED,
    )
    numbers = [(name, both[place]) for group in groups for name, both in group.items()]
    assert len(numbers) == len({name for name, _ in numbers})
    for name, number in numbers:
        assert number == kernel.number_of(name, machine), name


@with_numbers
@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("machine", system_calls.MACHINES)
def test_a_filter_allows_what_is_listed_and_nothing_else(machine, start):
    program = seccomp.program(machine, start=start)
    architecture = kernel.ARCHITECTURES[machine]
    listed = {*system_calls.FREE, *(system_calls.START if start else ())}
    narrowed = set(seccomp.allowed_arguments(start))
    for number, name in kernel.names_of(machine).items():
        if name in narrowed:
            continue
        verdict = kernel.decision(program, number, (), architecture)
        if name in listed:
            expected = seccomp.ALLOW
        elif name in system_calls.UNSUPPORTED:
            expected = seccomp.refuse(errno.EOPNOTSUPP)
        else:
            late = name == "clone3" or number >= seccomp.FIRST_MISSING
            expected = seccomp.refuse(errno.ENOSYS if late else errno.EPERM)
        assert verdict == expected, name


@pytest.mark.parametrize("machine", system_calls.MACHINES)
def test_calls_of_another_machine_end_the_process(machine):
    for start in (True, False):
        program = seccomp.program(machine, start=start)
        own = kernel.ARCHITECTURES[machine]
        for architecture in {0x40000003, 0x40000028, *kernel.ARCHITECTURES.values()} - {own}:
            assert kernel.decision(program, 39, (), architecture) == seccomp.KILL
        for number in (0x40000000, 0x40000027, 0xFFFFFFFF):  # x32, and no call at all
            assert kernel.decision(program, number, (), own) == seccomp.KILL


@pytest.mark.parametrize("machine", system_calls.MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("clone", (0x3D0F00,), True),
        ("clone", (17,), False),  # fork
        ("clone", (0x4111,), False),  # vfork
        ("clone", (0x3D0F00 | 0x10000000,), False),  # a thread in new user namespaces
        ("clone", (0x3D0F00 | 0x20000,), False),
        ("clone", (0x3D0F00 | 0x80,), False),
        ("fcntl", (3, 3), True),
        ("fcntl", (3, 1030), True),
        ("fcntl", (3, 5), False),  # a lock: asked for, set, awaited
        ("fcntl", (3, 6), False),
        ("fcntl", (3, 7), False),
        ("fcntl", (3, 37), False),  # one of an open file
        ("fcntl", (3, 1024), False),  # a lease
        ("fcntl", (3, 1026), False),  # a note of changes
        ("fcntl", (3, 1031), False),  # the size of a pipe
        ("ioctl", (0, 0x5401), True),
        ("ioctl", (0, 0x5412), False),  # keys typed into a terminal
        ("ioctl", (0, 0xFFFFFFFF00005412), False),
        ("madvise", (0, 4096, 4), True),
        ("madvise", (0, 4096, 12), False),  # merge equal pages
        ("mmap", (0, 4096, 3, 0x22), True),
        ("mmap", (0, 4096, 3, 0x40022), False),
        ("prctl", (15,), True),
        ("prctl", (1,), False),
        ("prctl", (4,), False),
        ("prctl", (22,), False),
        ("prlimit64", (0, 7), True),
        ("prlimit64", (1, 7), False),
        ("sendto", (3, 1, 1, 0, 0), True),
        ("sendto", (3, 1, 1, 0, 0x7FFF), False),
        ("sendto", (3, 1, 1, 0, 1 << 32), False),
        ("socketpair", (1, 1), True),
        ("socketpair", (2, 1), False),
        ("socketpair", (40, 1), False),
    ],
)
def test_some_calls_depend_on_their_arguments(machine, name, arguments, allowed):
    place = system_calls.MACHINES.index(machine)
    number = {**system_calls.FREE, **system_calls.NARROWED}[name][place]
    program = seccomp.program(machine, start=False)
    verdict = kernel.decision(program, number, arguments, kernel.ARCHITECTURES[machine])
    assert verdict == (seccomp.ALLOW if allowed else seccomp.refuse(errno.EPERM))


def test_there_is_no_filter_for_a_machine_whose_calls_are_not_known():
    assert seccomp.program("riscv64") is None
