"""What the tests of the walls need of the kernel: its numbers of system calls, and what a filter
decides.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def libseccomp():
    """The library that knows the numbers for every machine; None where it is not installed."""
    name = ctypes.util.find_library("seccomp")
    return ctypes.CDLL(name) if name else None


def number_of(name, machine):
    """The number of a call, as libseccomp has it; None for one that a machine does not have."""
    resolve = libseccomp().seccomp_syscall_resolve_name_arch
    number = resolve(ctypes.c_uint32(ARCHITECTURES[machine]), name.encode())
    return number if number >= 0 else None


def names_of(machine):
    """All calls that libseccomp knows on a machine, by number."""
    resolve = libseccomp().seccomp_syscall_resolve_num_arch
    resolve.restype = ctypes.c_char_p
    found = {}
    for number in range(600):
        name = resolve(ctypes.c_uint32(ARCHITECTURES[machine]), number)
        if name:
            found[number] = name.decode()
    return found


def decision(program, number, arguments=(), architecture=ARCHITECTURES["x86_64"]):
    """What a filter says of a call: run as the kernel runs it."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    record = struct.pack("<IIQ6Q", number, architecture, 0, *(one % 2**64 for one in padded))
    steps = [struct.unpack_from("=HBBI", program, 8 * k) for k in range(len(program) // 8)]
    value = place = 0
    while True:
        code, yes, no, constant = steps[place]
        place += 1
        if code == RETURN:
            return constant
        if code == LOAD:
            (value,) = struct.unpack_from("<I", record, constant)
        else:
            test = {
                EQUAL: value == constant,
                AT_LEAST: value >= constant,
                ANY_BIT: bool(value & constant),
            }
            place += yes if test[code] else no
