"""The checksums of a report, by which a change made to it afterwards is noticed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from marking.files import write_atomically

CHECKSUMS = "checksums.txt"  # in the format of sha256sum
CHECKSUM_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_checksums(out: Path, files: Iterable[str]) -> str:
    """Write the checksums of a report's files and of its pages of feedback.

    Returns: the checksum of what was written.
    """
    pages = sorted(path.relative_to(out).as_posix() for path in out.glob("feedback/*.html"))
    lines = [f"{checksum_of(out / name)}  {name}\n" for name in [*files, *pages]]
    write_atomically(out / CHECKSUMS, "".join(lines))
    return hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def checksum_of(path: Path) -> str:
    """The SHA-256 sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed_files(out: Path) -> list[str]:
    """The files of a report that are no longer as they were written; none where nobody has kept
    their checksums.
    """
    try:
        text = (out / CHECKSUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    known = [match.groups() for match in map(CHECKSUM_LINE.fullmatch, text.splitlines()) if match]
    return [
        name
        for checksum, name in known
        if is_inside(out, name) and (out / name).is_file() and checksum_of(out / name) != checksum
    ]


def is_inside(out: Path, name: str) -> bool:
    """Whether a name that anyone may have written leads to a file of the folder."""
    return "\0" not in name and (out / name).resolve().is_relative_to(out.resolve())


def keep_changed(out: Path) -> list[str]:
    """Keep the files that someone has changed beside those that will replace them.

    Returns: for each its name, and how it is called now: "grades.csv as grades.csv.changed".
    """
    kept = []
    for name in changed_files(out):
        os.replace(out / name, out / f"{name}.changed")
        kept.append(f"{name} as {name}.changed")
    return kept
