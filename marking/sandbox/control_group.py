"""A control group for each submission, where the system has them: the kernel then counts all of its
memory and threads, what it holds inside the kernel included.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CONTROLLERS = Path("/sys/fs/cgroup/cgroup.controllers")  # of version 2
SESSION = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # where systemd is asked
BESIDE = 128  # megabytes beside those of the process and its folder: Python's files, the kernel's


def group_command(memory: int, processes: int) -> tuple[str, ...]:
    """The command that runs another in a control group of its own, by systemd; empty where that
    cannot be done.

    Args:
        memory: megabytes.
        processes: how many, threads included.
    """
    systemd = shutil.which("systemd-run")
    try:
        controllers = set(CONTROLLERS.read_text(encoding="ascii").split())
    except OSError:
        return ()
    if systemd is None or not controllers >= {"memory", "pids"}:
        return ()
    whose = ["--user"] if os.geteuid() else []
    limits = (f"MemoryMax={memory + BESIDE}M", "MemorySwapMax=0", f"TasksMax={processes + 8}")
    properties = [word for limit in limits for word in ("-p", limit)]
    command = (systemd, *whose, "--scope", "--quiet", "--collect", *properties, "--")
    trial = [*command, "true"]
    try:
        done = subprocess.run(trial, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if done.returncode == 0 else ()


def session_environment() -> dict[str, str]:
    """What systemd is asked with; bubblewrap hands none of it on."""
    return {name: os.environ[name] for name in SESSION if name in os.environ}
