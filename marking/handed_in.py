"""What was handed in: every file of folders and zips, and of zips in them, listed with its size
before any of it is read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from marking.course import Course
from marking.intake import LARGEST_FILE, UNREADABLE, Broken, chunks_of, content_of, opener
from marking.platforms import (
    METADATA,
    TIMESTAMP,
    Owner,
    Parts,
    Placed,
    is_notebook,
    is_system,
    is_zip,
    lesson_of_parts,
    names_of_owners,
    one_key_each,
    placed_in,
)
from marking.report_folder import same_folder
from marking.roster import Person, matched

PER_SUBMISSION = 500 * 2**20  # bytes of notebooks, or of a zip, that one student may hand in
MOST_PRESSED = 20  # times: what a zip holds is pressed already, and hardly shrinks in another
MOST_FILES = 10_000  # in a zip that a student handed in
MOST_FILES_DEEP = 100_000  # in such a zip and all zips in it
ZIPS_IN_ZIPS = 3  # zips in zips
MOST_OPEN = 32  # zips at a time
MOST_FOLDERS = 50  # folders in folders
LONGEST_PART = 255  # characters of a file's name in a zip; no disk takes a longer one
NO_FILES = {stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK}
# other ways of compressing may unpack a few bytes to gigabytes at once
READ = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
NOT_READ = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 9: "Deflate64"}
SAID = 2**20  # bytes that are read of what a platform puts beside notebooks
SHOWN = 5  # names in a remark


@dataclass(frozen=True)
class HandedFile:
    """A file that was handed in, on the disk or in a zip; or a folder that is empty.

    Args:
        parts: of its path below what was named; the last is empty for an empty folder.
        size: in bytes, as the disk or the zip says.
        modified: when, in seconds since 1970.
        opened: opens it to read.
        problem: why it cannot be read, if that is known already.
    """

    parts: Parts
    size: int
    modified: float
    opened: Callable[[], IO[bytes]]
    problem: str = ""

    @property
    def name(self) -> str:
        """Its own name, or that of the empty folder."""
        return self.parts[-1] or "/".join(self.parts[-2:])

    @property
    def graded(self) -> bool:
        """Whether it counts as a notebook, or as something that hides one."""
        return is_notebook(self.parts[-1]) or bool(self.problem)


@dataclass(frozen=True)
class Handed:
    """One thing to grade: a notebook, or what a student handed in in place of one.

    Args:
        entry: the file.
        place: the folder or zip that was named, and the path below it.
        placed: what its name says.
        student: the name of the student in the report.
        notebook: how the report calls it.
        problem: why it is not graded; empty for a notebook.
        lesson: that its path names, or nothing.
        lesson_of_class: that all others have, if nothing else tells.
        remarks: about whose it is, and the ending of its name.
    """

    entry: HandedFile
    place: str
    placed: Placed
    student: str
    notebook: str
    problem: str
    lesson: str
    lesson_of_class: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def age(self) -> tuple[str, int, float]:
        """Greater for a newer attempt."""
        return (*self.placed.when, self.entry.modified)

    def digest(self) -> bytes:
        """A number that changes with the content; a file that is not graded counts by its size."""
        hashed = hashlib.sha256(f"{self.entry.size} {self.problem}".encode("utf-8", "replace"))
        if not self.problem and self.entry.size <= LARGEST_FILE:
            try:
                for chunk in chunks_of(self.entry.opened, self.entry.size):
                    hashed.update(chunk)
            except (Broken, *UNREADABLE) as error:
                hashed.update(str(error).encode("utf-8", "replace"))
        return hashed.digest()


TOO_DEEP = f"not read: it lies in more than {MOST_FOLDERS} folders"


class Zips:
    """Zips that are read, of which few are open at a time.

    Args:
        stack: closes them, and removes what is unpacked.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.archives: OrderedDict[Path, zipfile.ZipFile] = OrderedDict()
        self.lock = threading.Lock()
        stack.callback(self.close)

    def entries(self, path: Path) -> list[zipfile.ZipInfo]:
        """What a zip lists.

        Raises: what opening a zip may raise.
        """
        with self.lock:
            return self.archive(path).infolist()

    def open(self, path: Path, info: zipfile.ZipInfo) -> IO[bytes]:
        """Open an entry of a zip to read.

        Raises: what opening a zip or an entry of it may raise; OSError for an entry that is
            compressed in a way that is not read.
        """
        if info.compress_type not in READ:
            name = NOT_READ.get(info.compress_type, f"method {info.compress_type}")
            raise OSError(f"it is compressed with {name}, expected deflate, as zips usually are")
        with self.lock:
            return self.archive(path).open(info)

    def archive(self, path: Path) -> zipfile.ZipFile:
        """A zip, opened unless it still is."""
        archive = self.archives.pop(path, None) or zipfile.ZipFile(path)
        self.archives[path] = archive
        if len(self.archives) > MOST_OPEN:
            _, oldest = self.archives.popitem(last=False)
            oldest.close()  # an entry that is still being read stays open
        return archive

    def close(self) -> None:
        """Close all."""
        for archive in self.archives.values():
            archive.close()


@dataclass
class Allowance:
    """What a zip that was handed in may still hold, together with the zips in it."""

    files: int = MOST_FILES_DEEP
    size: int = PER_SUBMISSION

    def take(self, files: int = 0, size: int = 0) -> None:
        """Raises: ValueError where it is too much."""
        self.files -= files
        self.size -= size
        if self.files < 0:
            raise ValueError(f"with the zips in it, it has more than {MOST_FILES_DEEP} files")
        if self.size < 0:
            most = f"{PER_SUBMISSION // 2**20} MB"
            raise ValueError(f"the zips in it have more than {most} together")


def nothing_to_open() -> IO[bytes]:
    """An empty folder cannot be opened."""
    raise OSError("it is a folder")


def all_handed_in(
    course: Course,
    paths: Sequence[str | Path],
    stack: ExitStack,
    out: Path,
    roster: Sequence[Person] = (),
) -> tuple[list[Handed], list[str]]:
    """All that was handed in, each with its student; and who of the roster handed in nothing.

    Args:
        course: its lessons are known in the names.
        paths: notebooks, folders, and zips.
        stack: closes the zips, and removes what was unpacked.
        out: the folder of the report, which is left out.
        roster: who is in the class; nobody is looked up if it is empty.

    Raises: FileNotFoundError for a path that does not exist; ValueError for a zip that cannot be
        opened.
    """
    roots = roots_of(list(map(Path, paths)), Zips(stack), out)
    entries = [(place, entry) for place, some in enumerate(roots) for entry in some[1]]
    placed: list[Placed] = []
    for label, some in roots:
        texts = {one.parts: said_beside(one) for one in some if is_beside(one)}
        placed += placed_in(course, [one.parts for one in some], texts, label)
    if len(roots) > 1:
        placed = [named_by_root(one, roots[entry[0]][0]) for one, entry in zip(placed, entries)]
    placed = one_key_each(placed)
    owners: dict[Parts, Owner] = {}
    for one in placed:
        if not one.beside:
            owners.setdefault(one.owner.key, one.owner)
    found = matched(roster, [one.owner for one in placed if not one.beside])
    people = {key: found.shown[person] for key, person in found.people.items()}
    strangers = {key: owner for key, owner in owners.items() if key not in people}
    names = people | names_of_owners(strangers, found.shown.values())
    mine: dict[str, list[tuple[str, HandedFile, Placed]]] = {}
    for (root, entry), one in zip(entries, placed):
        if not one.beside:
            place = f"{roots[root][0]}/{'/'.join(entry.parts)}"
            mine.setdefault(names[one.owner.key], []).append((place, entry, one))
    handed = [one for name, some in mine.items() for one in submissions_of(course, name, some)]
    handed = with_lesson_of_class(handed)
    if roster:
        handed = [with_remark(one, found.remarks.get(one.placed.owner.key, "")) for one in handed]
    return handed, [found.shown[person] for person in found.absent]


def with_lesson_of_class(handed: Sequence[Handed]) -> list[Handed]:
    """Where the names of all others tell one lesson, a student's only file that tells none is of
    that.
    """
    lessons = {one.lesson for one in handed} - {""}
    if len(lessons) != 1:
        return list(handed)
    (lesson,) = lessons
    known = {one.student for one in handed if one.lesson}
    return [
        one if one.lesson or one.student in known else replace(one, lesson_of_class=lesson)
        for one in handed
    ]


def with_remark(handed: Handed, remark: str) -> Handed:
    """The same with one more remark, unless it is empty."""
    return replace(handed, remarks=(*handed.remarks, remark)) if remark else handed


def named_by_root(placed: Placed, label: str) -> Placed:
    """Where several folders or zips were named, files that name no student belong to that of their
    folder.
    """
    if placed.named or placed.beside:
        return placed
    owner = replace(placed.owner, key=("root", label), names=(label,), ids=(label,))
    return replace(placed, owner=owner, named=True)


def submissions_of(
    course: Course, student: str, found: Sequence[tuple[str, HandedFile, Placed]]
) -> Iterator[Handed]:
    """What is graded of a student's files: all notebooks, or one line that says there is none."""
    notebooks = [one for one in found if one[1].graded]
    # a file of data may end in .json too
    surely = [one for one in notebooks if not one[1].name.lower().endswith(".json")]
    if surely:
        notebooks = [one for one in notebooks if one in surely or has_cells(one[1])]
    times: dict[str, int] = {}
    for _, entry, _ in notebooks:
        times[entry.name] = times.get(entry.name, 0) + 1
    used = 0
    for place, entry, placed in notebooks:
        problem = entry.problem
        if not problem and entry.size <= LARGEST_FILE:
            used += entry.size
            if used > PER_SUBMISSION:
                most = f"{PER_SUBMISSION // 2**20} MB"
                problem = f"too large: the notebooks of this student have more than {most} together"
        shown = entry.name if times[entry.name] == 1 else "/".join(entry.parts)
        lesson = lesson_of_parts(course, (*entry.parts[:-1], placed.file or entry.parts[-1]))
        handed = Handed(entry, place, placed, student, shown, problem, lesson)
        odd = not problem and not entry.name.lower().endswith(".ipynb")
        yield with_remark(handed, f"its name ends in {ending_of(entry.name)}" if odd else "")
    if not notebooks:
        files = [entry.name for _, entry, _ in found if entry.parts[-1] and not is_beside(entry)]
        place, entry, placed = found[0]
        lesson = next((lesson_of_parts(course, one.parts) for _, one, _ in found), "")
        names = ", ".join([*files[:SHOWN], *(["..."] if len(files) > SHOWN else [])])
        empty = "zip" if entry.name.lower().endswith(".zip/") else "folder"
        problem = f"no notebook was handed in, but {names}" if files else f"an empty {empty}"
        if not files and entry.parts[-1]:
            problem = "no file was handed in"
        yield Handed(entry, place, placed, student, entry.name, problem, lesson)


def has_cells(entry: HandedFile) -> bool:
    """Whether a file may be a notebook, by what is in it."""
    try:
        return b'"cells"' in content_of(entry.opened, entry.size)
    except Broken:
        return bool(entry.problem)


def ending_of(name: str) -> str:
    """The ending of a notebook's name, from .ipynb on: ".ipynb.txt"."""
    return name[name.lower().rfind(".ipynb") :] if ".ipynb" in name.lower() else Path(name).suffix


def is_beside(entry: HandedFile) -> bool:
    """Whether a platform may have put a file beside what was handed in."""
    name = entry.parts[-1]
    return name in (METADATA, TIMESTAMP) or ("_attempt_" in name and name.endswith(".txt"))


def said_beside(entry: HandedFile) -> str:
    """The text of a small file; nothing if it cannot be read."""
    try:
        with entry.opened() as file:
            return file.read(SAID).decode("utf-8", "replace")
    except UNREADABLE:
        return ""


def roots_of(paths: list[Path], zips: Zips, out: Path) -> list[tuple[str, list[HandedFile]]]:
    """Each folder and zip with a name of its own and its entries; all single files as one folder.

    Raises: FileNotFoundError, ValueError.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(
                f"expected notebooks, folders or zips, got {path}, which does not exist"
            )
    zipped = [path for path in paths if path.is_file() and is_zip(path.name)]
    singles = [path for path in paths if path.is_file() and path not in zipped]
    found: list[tuple[Path, list[HandedFile]]] = []
    for path in dict.fromkeys(paths):
        if path in zipped:
            try:
                found.append((path, list(in_zip(path, (), zips, 0))))
            except UNREADABLE as error:
                raise ValueError(f"expected a zip, got {path}: {error}") from error
        elif path.is_dir():
            found.append((path, list(in_folder(path, zips, out))))
    labels = labels_of([path for path, _ in found])
    roots = [(label, some) for label, (_, some) in zip(labels, found)]
    if singles:
        whole = [path.absolute() for path in dict.fromkeys(singles)]
        above = Path(os.path.commonpath([path.parent for path in whole]))
        some = [on_disk(path, path.relative_to(above).parts) for path in whole]
        roots.append((above.name if roots else "", some))
    return roots


def labels_of(paths: Sequence[Path]) -> list[str]:
    """The names of folders and zips; the whole path where two are called the same."""
    short = [path.absolute().name.removesuffix(".zip") for path in paths]
    return [
        name if short.count(name) == 1 else str(path.absolute()) for name, path in zip(short, paths)
    ]


def on_disk(path: Path, parts: Parts) -> HandedFile:
    """The entry of a file on the disk."""
    about = path.lstat()
    problem = ""
    if stat.S_ISLNK(about.st_mode):
        problem = "not read: it is a link to another file"
    elif not stat.S_ISREG(about.st_mode):
        problem = "not read: it is no regular file"
    return HandedFile(parts, about.st_size, about.st_mtime, opener(path), problem)


def in_folder(root: Path, zips: Zips, out: Path) -> Iterator[HandedFile]:
    """All files below a folder and its empty folders, in order, with what zips contain."""
    closed: list[OSError] = []
    for above, folders, files in os.walk(root, onerror=closed.append):
        here = Path(above)
        folders[:] = sorted(
            name for name in folders if not is_system(name) and not same_folder(here / name, out)
        )
        parts = here.relative_to(root).parts
        links = [name for name in folders if (here / name).is_symlink()]
        own = sorted([*(name for name in files if not is_system(name)), *links])
        for name in own:
            entry = on_disk(here / name, (*parts, name))
            if is_zip(name) and not entry.problem:
                yield from in_students_zip(here / name, entry, zips, 1, Allowance())
            else:
                yield entry
        if parts and not own and not folders:
            yield HandedFile((*parts, ""), 0, here.stat().st_mtime, nothing_to_open)
        if len(parts) == MOST_FOLDERS:
            for name in folders:
                yield HandedFile((*parts, name, ""), 0, 0.0, nothing_to_open, TOO_DEEP)
            folders.clear()
    for error in closed:
        parts = Path(error.filename).relative_to(root).parts
        words = "a folder that cannot be opened"
        yield HandedFile((*parts, ""), 0, 0.0, nothing_to_open, words)


def in_students_zip(
    path: Path, entry: HandedFile, zips: Zips, depth: int, left: Allowance
) -> Iterator[HandedFile]:
    """What a zip that was handed in contains; or the zip with what is wrong with it."""
    if depth > ZIPS_IN_ZIPS:
        yield replace(entry, problem=f"not opened: it lies in {ZIPS_IN_ZIPS} other zips")
        return
    if entry.size > PER_SUBMISSION:
        most = f"a zip may have at most {PER_SUBMISSION // 2**20} MB"
        yield replace(entry, problem=f"too large: {most}, this one has {entry.size / 2**20:.0f} MB")
        return
    try:
        inside = list(in_zip(path, entry.parts, zips, depth, left))
    except (ValueError, *UNREADABLE) as error:
        yield replace(entry, problem=f"a zip that cannot be opened: {error}")
        return
    yield from inside or [replace(entry, parts=(*entry.parts, ""), opened=nothing_to_open)]


def in_zip(
    path: Path, above: Parts, zips: Zips, depth: int, left: Allowance | None = None
) -> Iterator[HandedFile]:
    """All files in a zip and its empty folders; nothing outside its folder, and nothing unpacked
    but the zips in it.

    Args:
        left: for a zip that a student handed in, what it may still hold.

    Raises: ValueError for more files than that; what opening a zip may raise.
    """
    listed = zips.entries(path)
    if left is not None:
        if len(listed) > MOST_FILES:
            raise ValueError(f"it has {len(listed)} files, expected at most {MOST_FILES}")
        left.take(files=len(listed))
    inside = []
    for info in listed:
        path_in = path_of(info)
        parts = as_on_disk(tuple(one for one in path_in if one != ".." and one.strip("/")))
        # beside the folders of a class, nobody's
        nobodys = left is None and ".." in path_in
        if parts and not nobodys and not any(map(is_system, parts)):
            inside.append((info, parts))
    files = {parts for info, parts in inside if not info.is_dir()}
    folders = {parts[:end] for _, parts in inside for end in range(1, len(parts))}
    for info, parts in inside:
        modified = time_of(info)
        if info.is_dir():
            if parts not in folders:
                yield HandedFile((*above, *parts, ""), 0, modified, nothing_to_open)
            continue
        problem = ""
        if any(parts[:end] in files for end in range(1, len(parts))):
            problem = "not read: its folder is a file too"
        elif stat.S_ISLNK(info.external_attr >> 16):
            problem = "not read: it is a link to another file"
        elif stat.S_IFMT(info.external_attr >> 16) in NO_FILES:
            problem = "not read: it is no regular file"
        elif ".." in path_of(info):
            problem = "not read: its path leads out of the zip"
        elif len(parts) > MOST_FOLDERS:
            problem = TOO_DEEP
        opened = partial(zips.open, path, info)
        entry = HandedFile((*above, *parts), info.file_size, modified, opened, problem)
        if is_zip(parts[-1]) and not problem:
            if info.file_size > 2**20 + MOST_PRESSED * info.compress_size:
                yield replace(
                    entry, problem="not opened: a zip that is far larger than its content"
                )
            else:
                yield from in_inner_zip(entry, zips, depth + 1, left)
        else:
            yield entry


def path_of(info: zipfile.ZipInfo) -> Parts:
    """The parts of an entry's path, as the zip has it."""
    return PurePosixPath(info.filename.replace("\\", "/")).parts


def as_on_disk(parts: Parts) -> Parts:
    """A path in a zip as a disk could hold it: names and the path itself cut to a length."""
    whole = (*parts[:MOST_FOLDERS], parts[-1]) if len(parts) > MOST_FOLDERS else parts
    end = LONGEST_PART // 4
    return tuple(
        f"{part[: LONGEST_PART - end - 1]}…{part[-end:]}" if len(part) > LONGEST_PART else part
        for part in whole
    )


def in_inner_zip(
    entry: HandedFile, zips: Zips, depth: int, left: Allowance | None
) -> Iterator[HandedFile]:
    """What a zip in a zip contains; it is unpacked only if it is neither too large nor too deep."""
    if depth > ZIPS_IN_ZIPS or entry.size > PER_SUBMISSION:
        yield from in_students_zip(Path(), entry, zips, depth, Allowance())
        return
    folder = zips.stack.enter_context(tempfile.TemporaryDirectory(prefix="marking-zip-"))
    path = Path(folder) / "inner.zip"
    try:
        if left is not None:
            left.take(size=entry.size)
        with path.open("wb") as copy, entry.opened() as source:
            shutil.copyfileobj(source, copy)
    except UNREADABLE as error:
        yield replace(entry, problem=f"a zip that cannot be read: {error}")
        return
    yield from in_students_zip(path, entry, zips, depth, left or Allowance())


def time_of(info: zipfile.ZipInfo) -> float:
    """When an entry of a zip was modified, in seconds; 0 where the zip gives no date."""
    try:
        return datetime(*info.date_time).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
