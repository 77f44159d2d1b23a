"""Read a notebook that was handed in: its cells, its lessons, and what is odd about it."""

from __future__ import annotations

import ast
import codecs
import itertools
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from marking.cells import names_defined
from marking.course import Course
from marking.exercise import lesson_of
from marking.platforms import lesson_of_parts
from marking.skim import TooMuch, skimmed
from marking.stored import claimed_in

LARGEST = 20 * 2**20  # characters of a notebook without its outputs
LARGEST_FILE = 100 * 2**20  # bytes of a notebook
AT_ONCE = 2**16  # bytes that are read at once
LONGEST_CELL = 4000  # characters of a cell that is shown
UNREADABLE = (  # what reading a zip or an entry of it may raise
    OSError,
    ValueError,
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
        claimed: the exercises that it shows as right, where it checks them.
    """

    student: str
    notebook: str
    cells: tuple[tuple[int, str], ...]
    lessons: tuple[str, ...]
    remarks: tuple[str, ...]
    claimed: tuple[str, ...] = ()


def read_submission(course: Course, path: Path, student: str, notebook: str) -> Submission:
    """Read a notebook file.

    Raises: Broken for a file that is too large, is no notebook, or is one for another kernel.
    """
    lesson = lesson_of_parts(course, (notebook,))
    return submission_in(course, opener(path), path.stat().st_size, student, notebook, lesson)


def submission_in(
    course: Course,
    opened: Callable[[], IO[bytes]],
    size: int,
    student: str,
    notebook: str,
    lesson: str,
    otherwise: str = "",
) -> Submission:
    """Read a notebook from a file that is on the disk or in a zip.

    Args:
        course: its lessons are looked for.
        opened: opens the file.
        size: of the file, in bytes.
        student: whose it is.
        notebook: its name in the report.
        lesson: that its name tells, or nothing.
        otherwise: its lesson where neither its name nor its code tells one.

    Raises: Broken, as for `read_submission`.
    """
    read = code_cells(chunks_of(opened, size))
    cells = [source for source, _ in read]
    claimed = {name for source, shown in read for name in claimed_in(source, shown)}
    code = "\n".join(cells)
    in_code = re.findall(rf"""["']({any_of(course.lessons)})\.\w+["']""", code)
    lessons = sorted({*in_code, lesson} - {""}) or [one for one in [otherwise] if one]
    # where no question is answered, no answer can have been imported
    hidden = imports(course, cells) if lessons else []
    remarks = [f"imports a package that holds answers: {line}" for line in hidden]
    return Submission(
        student,
        notebook,
        tuple(enumerate(cells, 1)),
        tuple(lessons),
        tuple(remarks),
        tuple(sorted(claimed & course.bank.keys())),
    )


def opener(path: Path) -> Callable[[], IO[bytes]]:
    """What opens a file of the disk to read its bytes."""

    def opened() -> IO[bytes]:
        return path.open("rb")

    return opened


def chunks_of(opened: Callable[[], IO[bytes]], size: int) -> Iterator[bytes]:
    """The content of a file, piece by piece; its size is looked at before anything is read.

    Raises: Broken for a file that is too large for a notebook, or that cannot be read.
    """
    most = f"a notebook may have at most {LARGEST_FILE // 2**20} MB"
    if size > LARGEST_FILE:
        raise Broken(f"too large: {most}, this file has {size / 2**20:.0f} MB")
    left = LARGEST_FILE
    try:
        with opened() as file:
            while chunk := file.read(AT_ONCE):
                left -= len(chunk)
                if left < 0:  # a zip may say less than it holds
                    raise Broken(f"too large: {most}")
                yield chunk
    except UNREADABLE as error:
        raise Broken(f"cannot be read: {error}"[:200]) from None


def content_of(opened: Callable[[], IO[bytes]], size: int) -> bytes:
    """The content of a file; only its beginning where that is longer than a notebook may be without
    its outputs.

    Raises: Broken, as for `chunks_of`.
    """
    return b"".join(itertools.islice(chunks_of(opened, size), LARGEST // AT_ONCE))


def lessons_named(course: Course, content: bytes) -> tuple[str, ...]:
    """The lessons whose questions are named in a file that is no readable notebook."""
    names = re.findall(rf"""["']((?:{any_of(course.lessons)})\.\w+)\\?["']""", text_in(content))
    return tuple(sorted({lesson_of(name) for name in names if name in course.bank}))


def text_in(content: bytes) -> str:
    """The text of a file, in whatever of the usual encodings it is."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if wide else "utf-8", "replace")


def code_cells(chunks: Iterable[bytes]) -> list[tuple[str, list[str]]]:
    """The source of each code cell of a notebook, and the exercises that its outputs show as right.

    Args: chunks, of the file. It may be of any format from 2 on, and of a later one than is known.

    Raises: Broken, as for `read_submission`.
    """
    content = content_without_outputs(chunks)
    cells = cells_in(content)
    language = language_of(content.get("metadata"))
    if "python" not in language.lower():
        raise Broken(f"not a Python notebook: its language is {language[:40]}")
    return [
        (source_of(cell), shown_by(cell))
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
    ]


def content_without_outputs(chunks: Iterable[bytes]) -> dict[str, Any]:
    """The content of a notebook, with the names of exercises in place of outputs."""
    rest = iter(chunks)
    first = next(rest, b"")
    # a few programs save UTF-16, and many a mark of the byte order
    encoding = json.detect_encoding(first)
    no_text = "not a notebook: its content is not UTF-8 text"
    try:
        texts = codecs.iterdecode(itertools.chain([first], rest), encoding)
        content = json.loads(skimmed(texts, LARGEST))
    except UnicodeDecodeError:
        raise Broken(no_text) from None
    except TooMuch:
        most = f"a notebook may have at most {LARGEST // 2**20} MB without its outputs"
        raise Broken(f"too large: {most}") from None
    except (ValueError, RecursionError) as error:
        no_json = f"not a notebook: its content is not JSON ({str(error)[:100]})"
        raise Broken(no_json if encoding.startswith("utf-8") else no_text) from None
    return content if isinstance(content, dict) else {}


def cells_in(content: dict[str, Any]) -> list[Any]:
    """The cells of a notebook; before format 4 they stood in worksheets."""
    cells = content.get("cells")
    if isinstance(cells, list):
        return cells
    sheets = content.get("worksheets")
    listed = sheets if isinstance(sheets, list) else []
    found = [sheet.get("cells") for sheet in listed if isinstance(sheet, dict)]
    if not any(isinstance(some, list) for some in found):
        raise Broken("not a notebook of format 4: it has no list of cells")
    return [cell for some in found if isinstance(some, list) for cell in some]


def shown_by(cell: dict[str, Any]) -> list[str]:
    """The exercises that a cell shows as right."""
    shown = cell.get("outputs")
    return [name for name in shown if isinstance(name, str)] if isinstance(shown, list) else []


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
    """The language of a notebook's kernel; Python where its metadata name none.

    The name of a kernel says nothing: a student may call an environment of Python anything.
    """
    named = [
        about.get(key)
        for place, key in (("kernelspec", "language"), ("language_info", "name"))
        if isinstance(metadata, dict) and isinstance(about := metadata.get(place), dict)
    ]
    said = [str(name) for name in named if name]
    return next((name for name in said if "python" in name.lower()), [*said, "python"][0])


def source_of(cell: dict[str, Any]) -> str:
    """The source of a cell, which may be a string or a list of lines, with any ends of lines.

    Before format 4 it was called input.
    """
    source = cell.get("source", cell.get("input"))
    if isinstance(source, list):
        source = "".join(str(line) for line in source)
    text = source if isinstance(source, str) else ""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def any_of(words: Iterable[str]) -> str:
    """A pattern that matches any of the words; nothing if there are none."""
    return "|".join(map(re.escape, words)) or "(?!)"


def imports(course: Course, cells: Iterable[str]) -> list[str]:
    """The lines that import from a hidden package anything but what its exercises import; comments
    and text import nothing.
    """
    # of a cell that Python cannot read
    usual = rf"{re.escape(course.package)}[ \t]+import"
    line = rf"^[ \t]*(?:from[ \t]+(?!{usual})|import[ \t]+)(?:{any_of(course.hidden)})\b.*$"
    found: list[str] = []
    for cell in cells:
        if not re.search(rf"\b(?:{any_of(course.hidden)})\b", cell) or "import" not in cell:
            continue
        try:
            tree = ast.parse(re.sub(r"^[ \t]*[%!].*$", "", cell, flags=re.MULTILINE))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found += re.findall(line, cell, re.MULTILINE)
        else:
            lines = cell.split("\n")
            found += [
                lines[node.lineno - 1]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom) and imports_hidden(course, node)
            ]
    return [one.strip()[:80] for one in found]


def imports_hidden(course: Course, node: ast.Import | ast.ImportFrom) -> bool:
    """Whether an import is of a hidden package, and not one that exercises make."""
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in course.hidden for alias in node.names)
    module = "" if node.level else node.module or ""
    offered = module == course.package and all(
        alias.name in course.offered or alias.name == "*" for alias in node.names
    )
    return module.partition(".")[0] in course.hidden and not offered
