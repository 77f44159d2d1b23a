"""What a submission's process does to itself before it imports anything but Python's own modules:
it gives up system calls, and learns where packages lie.

Both are written beside this file by the grader.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

FILTER = "filter"  # of system calls, in the kernel's own instructions
PACKAGES = "packages"  # folders with packages, one a line
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def give_up(folder: Path) -> None:
    """Take a filter and folders of packages from a folder, as far as they are there.

    Raises: OSError where the kernel does not take the filter.
    """
    if (folder / FILTER).exists():
        load_filter((folder / FILTER).read_bytes())
    if (folder / PACKAGES).exists():
        found = (folder / PACKAGES).read_text(encoding="utf-8").split("\0")
        sys.path += [one for one in found if one and one not in sys.path]


def load_filter(instructions: bytes) -> None:
    """Refuse system calls from now on, for good.

    Raises: OSError where the kernel does not take the filter.
    """
    kept = ctypes.create_string_buffer(instructions, len(instructions))
    record = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, record, 0, 0
    ):
        code = ctypes.get_errno()
        raise OSError(code, f"the filter of system calls was refused: {os.strerror(code)}")
