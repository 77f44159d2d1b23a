"""Find notebooks that were handed in, read them, and name their students."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from marking.cells import names_defined
from marking.course import Course

LARGEST = 20 * 2**20  # bytes of a notebook
LONGEST_CELL = 4000  # characters of a cell that is shown
UNZIPPED = 500 * 2**20  # bytes of notebooks that a zip may hold
# what learning platforms append to a student's name
PLATFORM = re.compile(r"_\d+_assignsubmission_file.*$|_\d{4,}.*$")
UNREADABLE = (  # what unpacking an entry of a zip may raise
    OSError,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    EOFError,
    zlib.error,
)


class Broken(Exception):
    """A file that cannot be run as a notebook; the message says why."""


@dataclass(frozen=True)
class Submission:
    """A notebook as it was handed in.

    Args:
        student: whose it is.
        notebook: its file name.
        cells: number and source of each code cell.
        lessons: the lessons of the course whose exercises it contains.
        remarks: anything odd about it.
    """

    student: str
    notebook: str
    cells: tuple[tuple[int, str], ...]
    lessons: tuple[str, ...]
    remarks: tuple[str, ...]


def read_submission(course: Course, path: Path, student: str, notebook: str) -> Submission:
    """Read a notebook file.

    Raises: Broken for a file that is too large, is no notebook, or is one for another kernel.
    """
    cells = code_cells(path)
    code = "\n".join(cells)
    in_code = re.findall(rf"""["']({any_of(course.lessons)})\.\w+["']""", code)
    in_name = lesson_in(course, Path(notebook).stem)
    lessons = sorted({*in_code, *([in_name[1]] if in_name else [])})
    # where no question is answered, no answer can have been imported
    hidden = imports(course, code) if lessons else []
    remarks = [f"imports a package that holds answers: {line}" for line in hidden]
    return Submission(student, notebook, tuple(enumerate(cells, 1)), tuple(lessons), tuple(remarks))


def code_cells(path: Path) -> list[str]:
    """The sources of a notebook's code cells.

    Raises: Broken, as for `read_submission`.
    """
    size = path.stat().st_size
    if size > LARGEST:
        most = f"a notebook may have at most {LARGEST // 2**20} MB"
        raise Broken(f"too large: {most}, this file has {size / 2**20:.0f} MB")
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError:
        raise Broken("not a notebook: its content is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise Broken(f"not a notebook: its content is not JSON ({str(error)[:100]})") from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise Broken("not a notebook of format 4: it has no list of cells")
    language = language_of(content.get("metadata"))
    if "python" not in language.lower():
        raise Broken(f"not a Python notebook: its language is {language[:40]}")
    return [
        source_of(cell)
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
    ]


def cell_of_answer(cells: Sequence[tuple[int, str]], question: str, variable: str) -> str:
    """The cell in which the answer to a question is defined, for a teacher to read; empty if it is
    not found.

    Args:
        cells: of the notebook, with their numbers.
        question: its name.
        variable: in which its answer is looked for, unless another is handed to `check`.
    """
    handed = re.compile(rf"""\bcheck\(\s*["']{re.escape(question)}["']\s*,\s*([^\W\d]\w*)""")
    sources = [source[:LONGEST_CELL] for _, source in cells]
    found = [name for source in sources for name in handed.findall(source)]
    name = found[-1] if found else variable
    for source in reversed(sources):
        if name in source and name in names_defined(source):
            return source
    return ""


def language_of(metadata: Any) -> str:
    """The language of a notebook's kernel; Python where its metadata name none."""
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    named = kernel.get("language") or kernel.get("name") if isinstance(kernel, dict) else None
    return str(named or "python")


def source_of(cell: dict[str, Any]) -> str:
    """The source of a cell, which may be a string or a list of lines."""
    source = cell.get("source", "")
    return "".join(str(line) for line in source) if isinstance(source, list) else str(source)


def any_of(words: Iterable[str]) -> str:
    """A pattern that matches any of the words; nothing if there are none."""
    return "|".join(map(re.escape, words)) or "(?!)"


def imports(course: Course, code: str) -> list[str]:
    """The lines that import from a hidden package anything but what every exercise imports."""
    usual = rf"{re.escape(course.package)}[ \t]+import"
    pattern = rf"^[ \t]*(?:from[ \t]+(?!{usual})|import[ \t]+)(?:{any_of(course.hidden)})\b.*$"
    return [line.strip()[:80] for line in re.findall(pattern, code, re.MULTILINE)]


def lesson_in(course: Course, stem: str) -> re.Match[str] | None:
    """The lesson in a file's name, as group 1: "roots" in "ada_roots_of_equations"."""
    pattern = rf"(?:^|.*?[_\- ])({any_of(course.lessons)})_[a-z]+"
    return re.match(pattern, stem, re.IGNORECASE)


def student_of(course: Course, path: Path, root: Path) -> str:
    """The student a file belongs to: the name of its folder below the root, or else the part of its
    own name before the lesson.
    """
    inner = path.relative_to(root).parts
    if len(inner) > 1:
        return PLATFORM.sub("", inner[0]).strip() or inner[0]
    named = lesson_in(course, path.stem)
    before = path.stem[: named.start(1)].rstrip("_- ") if named else path.stem
    return PLATFORM.sub("", before).strip() or path.stem


def file_sha256(path: Path) -> bytes:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def notebooks_below(
    paths: Sequence[str | Path], stack: ExitStack, out: Path
) -> Iterator[tuple[Path, Path]]:
    """Each notebook in the paths but not in `out`, and the folder that was searched.

    Zips are unpacked into temporary folders, which the stack removes.
    Raises: FileNotFoundError for a path that does not exist; ValueError for a zip that cannot be
        read.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(
                f"expected notebooks, folders or zips, got {path}, which does not exist"
            )
        if path.suffix.lower() == ".zip":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="marking-zip-"))
            path = unzipped(path, Path(folder))
        if not path.is_dir():
            yield path, path.parent
            continue
        for notebook in sorted(path.rglob("*.ipynb")):
            inner = notebook.relative_to(path).parts
            hidden = any(part.startswith((".", "__MACOSX")) for part in inner)
            whole = notebook.is_file() and not notebook.is_symlink()
            if whole and not hidden and not notebook.is_relative_to(out):
                yield notebook, path


def unzipped(path: Path, folder: Path) -> Path:
    """Unpack the notebooks of a zip into a folder: nothing else, and nothing outside the folder.

    Raises: ValueError for a file that is no zip, or one that contains too much.
    """
    left = UNZIPPED
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
                if not parts or not parts[-1].lower().endswith(".ipynb"):
                    continue
                outside = ".." in parts or entry.filename.startswith("/")
                if outside or stat.S_ISLNK(entry.external_attr >> 16):
                    continue
                left -= entry.file_size
                if left < 0:
                    most = f"{UNZIPPED // 2**20} MB"
                    raise ValueError(f"{path} contains more than {most} of notebooks")
                target = folder.joinpath(*parts)
                # an entry that cannot be read leaves a broken file, which costs only its student
                with contextlib.suppress(*UNREADABLE):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as copy, archive.open(entry) as source:
                        shutil.copyfileobj(source, copy)
    except zipfile.BadZipFile as error:
        raise ValueError(f"expected a zip, got {path}: {error}") from error
    return folder
