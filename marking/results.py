"""The file that keeps each result as soon as it is known, so that nothing is graded twice."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
from collections.abc import Container, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from marking.files import write_atomically
from marking.grades import SEAL, Graded, graded_from, records_in
from marking.words import counted

RESULTS = "results.jsonl"
# what a system says where there is no room, for the disk, the user or the file
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# what it says where it can run nothing more; none of this is a student's fault
OVERLOADED = (*NO_ROOM, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)

AGAIN = "go on with resume=True"  # which a command line calls --resume
CHANGED_MEANWHILE = (
    "was changed by something else while submissions ran: it is written again from memory"
)


class Stopped(OSError):
    """Grading cannot go on here; the message says why, what is kept, and how to continue."""


def secret_of(seed: int) -> bytes:
    """A key that only who knows the seed can make; made slowly, so that seeds cannot be tried."""
    return hashlib.scrypt(str(seed).encode(), salt=b"results of marking", n=2**14, r=8, p=1)


def sealed(graded: Graded, secret: bytes) -> bytes:
    """A result as a line of the file, signed."""
    record = asdict(graded)
    return json.dumps({**record, SEAL: seal_of(record, secret)}).encode() + b"\n"


def seal_of(record: dict[str, Any], secret: bytes) -> str:
    """The signature of a line's record."""
    return hmac.new(secret, json.dumps(record).encode(), hashlib.sha256).hexdigest()


def is_sealed(record: dict[str, Any], secret: bytes) -> bool:
    """Whether a line is as a grader with this secret wrote it."""
    rest = {name: value for name, value in record.items() if name != SEAL}
    return hmac.compare_digest(str(record.get(SEAL, "")), seal_of(rest, secret))


class Results:
    """The results file of a folder, open to write.

    Args:
        folder: of the report.
        secret: signs each line, and tells lines that someone else wrote or changed.
        wanted: the keys of the submissions that are graded now.

    Attributes:
        known: the latest grades of each of them, by their keys.
        refused: how many lines about them have another signature.
    """

    def __init__(self, folder: Path, secret: bytes, wanted: Container[str]) -> None:
        self.path = folder / RESULTS
        self.secret = secret
        self.known: dict[str, Graded] = {}
        self.refused = 0
        new = not self.path.exists()
        # what it holds is for the teacher alone
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.size = self.cut_off()
            self.content = checksum_so_far(self.path)
            for graded in self.kept(wanted):
                self.known[graded.key] = graded
            if new:
                sync_names(folder)
        except BaseException:
            os.close(self.file)
            raise

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.file)

    def cut_off(self) -> int:
        """Remove a last line that was not written to its end, and return the size."""
        end = size = os.fstat(self.file).st_size
        while end:
            start = max(end - 2**16, 0)
            found = os.pread(self.file, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            os.ftruncate(self.file, end)
        return end

    def kept(self, wanted: Container[str]) -> Iterator[Graded]:
        """The results of the submissions that are graded now, as far as this grader signed them."""
        for record in records_in(self.path):
            key = record.get("key")
            if not isinstance(key, str) or key not in wanted:
                continue
            graded = graded_from(record) if is_sealed(record, self.secret) else None
            if graded is None:
                self.refused += 1
            else:
                yield graded

    def append(self, graded: Graded) -> None:
        """Keep one more result, on the disk before this returns.

        Raises: OSError where it cannot be written; then no part of it is left.
        """
        line = sealed(graded, self.secret)
        try:
            done = 0
            while done < len(line):
                done += os.pwrite(self.file, line[done:], self.size + done)
            os.fsync(self.file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self.file, self.size)
            raise
        self.size += len(line)
        self.content.update(line)
        self.known[graded.key] = graded

    def restore(self) -> bool:
        """Write the file again if someone else has changed it since it was opened.

        Returns: whether that was so.
        """
        try:
            if checksum_so_far(self.path).digest() == self.content.digest():
                return False
        except FileNotFoundError:
            pass
        lines = (sealed(graded, self.secret).decode() for graded in self.known.values())
        write_atomically(self.path, "".join(lines))
        self.path.chmod(0o600)
        return True

    def stopped(self, reason: OSError, total: int) -> Stopped:
        """Why grading cannot go on, what is kept, and how to continue."""
        kept = f"{len(self.known)} of {total} notebooks are graded and kept in {self.path}"
        return Stopped(f"{cause_of(reason)}: {kept}; {way_out(reason)}, and {AGAIN}")


def sync_names(folder: Path) -> None:
    """Have the names in a folder outlast a loss of power, where the system can do that."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def checksum_so_far(path: Path) -> hashlib._Hash:
    """The checksum of a file, to continue."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def cause_of(error: OSError) -> str:
    """What went wrong, in words."""
    if error.errno in NO_ROOM:
        return "the disk is full" if error.errno == errno.ENOSPC else "there is no room to write"
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"


def way_out(error: OSError) -> str:
    """What to do about it."""
    return "make room" if error.errno in NO_ROOM else "mend that"


def changed_before(count: int) -> str:
    """That the file holds what this grader has not written, for a warning."""
    return f"has {counted(count, 'result')} that no grader with this seed wrote: graded again"


def report_failed(reason: OSError, results: Path, total: int) -> Stopped:
    """Why there is no new report, what is kept, and how to continue."""
    return Stopped(
        f"{cause_of(reason)}: the report was not written, and the earlier one, if any, is as it"
        f" was; all {total} notebooks are graded and kept in {results}; {way_out(reason)}, and"
        f" {AGAIN}"
    )
