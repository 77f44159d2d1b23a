"""A copy of the lessons to work in: so that an update never meets what a learner has changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minddpm.checkpoints import write_whole

PACKAGED = Path(__file__).parent / "lessons"  # in a wheel
COPIED = {
    "notebooks": ("*.ipynb",),
    "exercises": ("*.ipynb",),
    "solutions": ("*.ipynb",),
    "docs": ("*.md", "*/*.png"),
}
FIRST_LESSON = "notebooks/00_from_noise_to_images.ipynb"
OVERRIDES = Path(".jupyter/overrides.json")
LAB_SETTINGS = {
    # no question about news, no looking for updates
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # long lines go on in the next one beside an open file browser, too
    "@jupyterlab/notebook-extension:tracker": {"codeCellConfig": {"lineWrap": True}},
}
OPTIONS = f"--LabApp.app_settings_dir={OVERRIDES.parent} --ServerApp.root_dir=."
OPEN = f"jupyter lab {OPTIONS} {FIRST_LESSON}"
# a link from one of the folders to a file that is in none of them
LEADING_OUT = re.compile(rf"\[([^\[\]]+)\]\(\.\./(?!(?:{'|'.join(COPIED)})/)[^()\s]+\)")


@dataclass(frozen=True)
class Copied:
    """What became of each file, by its path in the copy."""

    new: tuple[Path, ...]
    kept: tuple[Path, ...]  # it was there, and is not what would have been written


def origin() -> Path:
    """The folder that holds the lessons: in the installed package, or in the checkout."""
    return PACKAGED if PACKAGED.is_dir() else PACKAGED.parents[1]


def files_in(folder: Path) -> Iterator[Path]:
    """The files of the lessons in a folder, as paths in it."""
    for name, patterns in COPIED.items():
        for pattern in patterns:
            yield from sorted(path.relative_to(folder) for path in (folder / name).glob(pattern))


def copied_content(file: Path) -> bytes:
    """What the copy of a file holds: links to files that are not copied become plain text."""
    content = file.read_bytes()
    if file.suffix == ".png":
        return content
    return LEADING_OUT.sub(r"\1", content.decode("utf-8")).encode("utf-8")


def copy_lessons(destination: Path) -> Copied:
    """Copy lessons, exercises, solutions and the pages that they refer to, and write settings for
    JupyterLab.

    A file that is there already is never written over, so this also adds what a new version brings.

    Raises: ValueError for the folder of the lessons themselves, for one in it that is copied, and
        for one of these in a copy; OSError where it cannot be written.
    """
    source = origin()
    whole = destination.resolve()
    for folder in (whole, *whole.parents):
        if folder.name in COPIED and folder.parent == source.resolve():
            raise ValueError(
                f"{destination} lies among the lessons themselves, so the copy needs another place"
            )
        if folder.name in COPIED and (folder.parent / FIRST_LESSON).exists():
            raise ValueError(
                f"{destination} lies inside a copy of the lessons: name the copy itself,"
                f" {folder.parent}, or another place"
            )
    if whole == source.resolve():
        raise ValueError(
            f"{destination} holds the lessons themselves, so the copy needs another place"
        )
    new, kept = [], []
    contents = {path: copied_content(source / path) for path in files_in(source)}
    contents[OVERRIDES] = json.dumps(LAB_SETTINGS, indent=2).encode()
    for path, content in contents.items():
        goal = destination / path
        if not goal.exists():
            write_whole(goal, content)
            new.append(path)
        elif goal.read_bytes() != content:
            kept.append(path)
    return Copied(tuple(new), tuple(kept))
