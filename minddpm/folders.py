"""What lies in a folder of images: its files at any depth, and its splits."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

KINDS = mimetypes.MimeTypes()  # Python's own table, not that of the machine
JUNK = "__MACOSX"  # what macOS adds to a zip file
# usual names of the folders of a split, the preferred ones first
SPLITS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
}


class Listing(NamedTuple):
    """What lies below a folder, as sorted paths that start there."""

    files: list[Path]
    folders: list[Path]
    unread: dict[Path, str]  # what is neither a file nor a folder that can be opened, and why


def list_below(top: Path) -> Listing:
    """List what lies below a folder at any depth, following links; hidden files are left alone.

    Raises: OSError if the folder itself cannot be opened.
    """
    files, folders = [], []
    unread: dict[Path, str] = {}
    to_do: list[tuple[Path, tuple[str, ...]]] = [(Path(), (os.path.realpath(top),))]
    while to_do:
        folder, around = to_do.pop()
        try:
            names = [name for name in os.listdir(top / folder) if not is_hidden(name)]
        except OSError as error:
            why = f"cannot be opened: {error.strerror}"
            if folder == Path():
                raise type(error)(f"the folder {top} {why}") from error
            unread[folder] = f"a folder that {why}"
            continue
        for path in (folder / name for name in names):
            if os.path.isdir(top / path):
                folders.append(path)
                place = os.path.realpath(top / path)
                if place in around:  # following it again would never end
                    unread[path] = "a link to a folder around it"
                else:
                    to_do.append((path, (*around, place)))
            elif os.path.isfile(top / path):
                files.append(path)
            elif os.path.islink(top / path):
                unread[path] = "a link to nothing that can be opened"
            else:
                unread[path] = "neither a file nor a folder"
    return Listing(sorted(files), sorted(folders), unread)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left alone without a word."""
    return name.startswith(".") or name == JUNK


def is_split_name(name: str) -> bool:
    """Whether folders of splits are usually called like this."""
    return any(name.lower() in names for names in SPLITS.values())


def find_splits(folder: Path, labels: bool) -> dict[str, Path]:
    """Find the folders of the splits "train" and "test", by their usual names.

    Args: folder; labels, whether a folder of the split "test" must have subfolders: those of some
        published data sets are without labels.
    Returns: both; or "train" alone, if nothing lies beside it but other splits; or nothing, for a
        folder without splits, or a path that is not a folder.
    """
    if not folder.is_dir():
        return {}
    beside = sorted(path for path in folder.iterdir() if path.is_dir())
    found = {}
    for split, names in SPLITS.items():
        ranked = [path for name in names for path in beside if path.name.lower() == name]
        if labels and split == "test":
            ranked = [path for path in ranked if list_below(path).folders]
        if ranked:
            found[split] = ranked[0]
    alone = [*found] == ["train"] and all(map(is_split_name, outside_splits(folder, found)))
    return found if alone or found.keys() == SPLITS.keys() else {}


def outside_splits(folder: Path, splits: Mapping[str, Path]) -> list[str]:
    """Name the folders, and the files called like pictures, that lie beside the splits."""
    return sorted(
        name
        for name in os.listdir(folder)
        if not is_hidden(name)
        and folder / name not in splits.values()
        and (os.path.isdir(folder / name) or is_picture_name(name))
    )


def is_picture_name(name: str) -> bool:
    """Whether a file of this name should be a picture."""
    return (KINDS.guess_type(name, strict=False)[0] or "").startswith("image/")
