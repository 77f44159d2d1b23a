"""Find submitted notebooks, read them, and say whose they are."""

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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LARGEST = 20 * 2**20  # bytes of a notebook
UNZIPPED = 500 * 2**20  # bytes of notebooks that a zip may hold
LMS = re.compile(
    r"_\d+_assignsubmission_file.*$|_\d{4,}.*$"
)  # what learning platforms append to a student's name
NAMED = re.compile(r"""["'](\d\d)\.[a-z_0-9]+["']""")
LESSON = re.compile(r"(?:^|.*?[_\- ])?(\d\d)_[a-z]+", re.IGNORECASE)
SUSPECT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?!minddpm_course[ \t]+import)|import["
    r" \t]+)(?:minddpm|minddpm_course|marking)\b.*$",
    re.MULTILINE,
)
UNREADABLE = (
    OSError,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    EOFError,
    zlib.error,
)  # of a zip


class Broken(Exception):
    """A file that is no notebook that can be run; the message says why."""


@dataclass(frozen=True)
class Submission:
    """A notebook as it was handed in.

    Args:
        student: whose it is.
        notebook: its file name.
        cells: number and source of each code cell.
        lessons: the lessons whose exercises it holds, "03".
        remarks: what is odd about it.
    """

    student: str
    notebook: str
    cells: tuple[tuple[int, str], ...]
    lessons: tuple[str, ...]
    remarks: tuple[str, ...]


def read_submission(path: Path, student: str, notebook: str) -> Submission:
    """Read a notebook file.

    Raises: Broken for a file that is too large, is no JSON, no notebook, or one for another kernel.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise Broken(
            f"wanted a notebook of at most {LARGEST // 2**20} MB, got {size / 2**20:.0f} MB"
        )
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError:
        raise Broken("wanted UTF-8, got another encoding") from None
    except (ValueError, RecursionError) as error:
        raise Broken(f"wanted JSON, got another file: {str(error)[:100]}") from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise Broken("wanted a notebook of format 4, with a list of cells")
    metadata = content.get("metadata")
    kernel = metadata.get("kernelspec", {}) if isinstance(metadata, dict) else {}
    language = (
        str(kernel.get("language") or kernel.get("name") or "python")
        if isinstance(kernel, dict)
        else "python"
    )
    if "python" not in language.lower():
        raise Broken(f"wanted a Python notebook, got one for {language[:40]}")
    sources = [
        source_of(cell)
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
    ]
    code = "\n".join(sources)
    named = LESSON.match(Path(notebook).stem)
    lessons = sorted({*NAMED.findall(code), *([named[1]] if named else [])})
    remarks = [
        f"imports what the exercise asks for: {line.strip()[:80]}" for line in SUSPECT.findall(code)
    ]
    return Submission(
        student, notebook, tuple(enumerate(sources, 1)), tuple(lessons), tuple(remarks)
    )


def source_of(cell: dict) -> str:
    """The source of a cell, which may be a string or a list of lines."""
    source = cell.get("source", "")
    return "".join(str(line) for line in source) if isinstance(source, list) else str(source)


def student_of(path: Path, root: Path) -> str:
    """Whose a file is: the name of its folder below the root, else what stands before the lesson in
    its name.
    """
    inner = path.relative_to(root).parts
    if len(inner) > 1:
        return LMS.sub("", inner[0]).strip() or inner[0]
    before = re.sub(r"[_\- ]*\d\d_[a-z]+.*$", "", path.stem, flags=re.IGNORECASE)
    return LMS.sub("", before).strip() or path.stem


def digest(path: Path) -> bytes:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def found(paths: Sequence[str | Path], stack: ExitStack, out: Path) -> Iterator[tuple[Path, Path]]:
    """Each notebook below the paths, and the root that it was found under."""
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(
                f"wanted notebooks, folders or zips, got {path}, which does not exist"
            )
        if path.suffix.lower() == ".zip":
            path = unzipped(
                path, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minddpm-zip-")))
            )
        if path.is_dir():
            for notebook in sorted(path.rglob("*.ipynb")):
                hidden = any(
                    part.startswith((".", "__MACOSX")) for part in notebook.relative_to(path).parts
                )
                if (
                    notebook.is_file()
                    and not notebook.is_symlink()
                    and not hidden
                    and not notebook.is_relative_to(out)
                ):
                    yield notebook, path
        else:
            yield path, path.parent


def unzipped(path: Path, folder: Path) -> Path:
    """The notebooks of a zip, unpacked into a folder; nothing else of it, and nothing outside the
    folder.

    Raises: ValueError for a file that is no zip, or one that holds too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            left = UNZIPPED
            for entry in archive.infolist():
                parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
                if (
                    not parts
                    or parts[-1][-6:].lower() != ".ipynb"
                    or ".." in parts
                    or entry.filename.startswith("/")
                ):
                    continue
                if stat.S_ISLNK(entry.external_attr >> 16):
                    continue
                left -= entry.file_size
                if left < 0:
                    raise ValueError(
                        f"wanted at most {UNZIPPED // 2**20} MB of notebooks in {path}, got more"
                    )
                target = folder.joinpath(*parts)
                # an entry that cannot be read leaves a file that is no notebook, and costs only its
                # student
                with contextlib.suppress(*UNREADABLE):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as copy, archive.open(entry) as source:
                        shutil.copyfileobj(source, copy)
    except zipfile.BadZipFile as error:
        raise ValueError(f"wanted a zip, got {path}: {error}") from error
    return folder
