"""The folder of a report: whether there can be one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from marking.files import remove_parts
from marking.lock import Held
from marking.results import RESULTS, cause_of

PAGES = "feedback"  # the folder in it with the pages to give back
ELSEWHERE = "choose another folder"


def make_report_folder(out: Path, submissions: Sequence[Path]) -> None:
    """Make the folder, where it does not exist.

    Raises: ValueError, FileExistsError or OSError where there can be no report.
    """
    if out.is_symlink() and not out.exists():
        raise FileExistsError(
            f"expected a folder for the report, got {out}, a link to {os.readlink(out)}, which does"
            f" not exist: {ELSEWHERE}"
        )
    if out.exists() and not out.is_dir():
        raise FileExistsError(
            f"expected a folder for the report, got {out}, which is a file: {ELSEWHERE}"
        )
    if any(same_folder(path, out) for path in submissions):
        raise ValueError(
            f"expected a folder of its own for the report, got {out}, which holds the submissions:"
            f" {ELSEWHERE}, such as {out / 'report'}"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from None


def same_folder(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder that exists."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def cannot_write(out: Path, error: OSError) -> OSError:
    """The error for a folder in which nothing can be written, unless it is said already."""
    if isinstance(error, Held):
        return error
    return OSError(
        f"expected a folder for the report that can be written to, got {out}: {cause_of(error)};"
        f" nothing was graded: {ELSEWHERE}"
    )


def remove_leftovers(out: Path) -> None:
    """Remove files that a grader which was killed had not yet put in their places."""
    for folder in (out, out / PAGES):
        remove_parts(folder)


def refuse_foreign_report(out: Path, files: Iterable[str]) -> None:
    """Refuse a folder where a report would replace files that no grader wrote, or could not put
    its pages.

    Raises: FileExistsError.
    """
    pages = out / PAGES
    if pages.exists() and not pages.is_dir():
        raise FileExistsError(f"expected a folder for pages, got {pages}, a file: {ELSEWHERE}")
    if (out / RESULTS).exists():
        return
    for name in files:
        if os.path.lexists(out / name):
            raise FileExistsError(
                f"{out / name} exists, and there are no results of a grader beside it: a report"
                f" would replace it; {ELSEWHERE}"
            )
