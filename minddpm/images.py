"""Your own images: a folder of pictures, an .npz file, IDX files, or a published data set."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from minddpm.archives import FASHION_MNIST, MNIST, fetch_split, find_idx, read_idx
from minddpm.checks import is_integer, kind_of, positive_integer
from minddpm.data import from_bytes
from minddpm.folders import find_splits, is_split_name, list_below, outside_splits
from minddpm.pictures import read_picture, why_unread

ARCHIVES = {"mnist": MNIST, "fashion-mnist": FASHION_MNIST}
BRIGHTNESS = (
    0.299,
    0.587,
    0.114,
)  # shares of red, green and blue, as in ITU-R BT.601 and in Pillow
NAMED = 5  # files or sizes listed in a message


class LoadedImages(NamedTuple):
    """Images with their labels, where there are any."""

    images: Float[Tensor, "n c h w"]  # in [-1, 1]
    labels: Int64[Tensor, " n"] | None  # 0 to len(names) - 1
    names: tuple[str, ...]  # of the labels


def load_images(
    path: str | Path,
    *,
    labels: bool = False,
    side: int | None = None,
    channels: int | None = None,
    split: str = "train",
) -> LoadedImages:
    """Load images in [-1, 1] from a path, or a published data set by its name.

    Args:
        path: one of these:
            a folder of pictures of any format that Pillow reads, in subfolders or not; with labels,
                each subfolder is a label, named as the folder. Transparent parts become black.
                Subfolders with the usual names of splits, such as train and val, are its splits.
            an .npz file with an array `images`, and `labels` if you want them: shape (n, h, w),
                (n, h, w, c) or (n, c, h, w), with c = 1 or 3; uint8, or floating point in [-1, 1].
            the IDX files of MNIST, EMNIST and the like, plain or gzipped: the file of images, or a
                folder that holds it, such as torchvision's root. EMNIST stores its images
                transposed: `images.mT` turns them upright.
            "mnist" or "fashion-mnist": downloaded once and kept. For a folder of that name, write
                "./mnist".
        labels: whether to load labels too.
        side: scale each image until its shorter side has this many pixels, then cut the middle
            square out of it. If None, all images must have the same size.
        channels: 1 for grey, 3 for colour. If None, images keep theirs; where only some are in
            colour, all become so.
        split: "train" or "test", where the source has splits: a published data set, IDX files, and
            a folder with subfolders train (or training) and test (or testing, val, valid,
            validation). Any other source is loaded whole.

    Returns: images, float32, shape (n, c, h, w); labels, int64, or None; names of the labels.
    Raises: FileNotFoundError if the path does not exist; TypeError for an argument of another type;
        ValueError for a source without images, without a picture for each label, or without the
        split, for images of several sizes, or for missing labels.
    Warns of files that are not readable pictures, which are skipped, and says why.
    """
    path = checked_path(path)
    if not isinstance(labels, bool | np.bool_):
        raise TypeError(f"labels must be True or False, got {labels!r}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if channels is not None and not (is_integer(channels) and channels in (1, 3)):
        raise ValueError(f"channels must be 1 or 3, got {channels!r}")
    if side is not None:
        side = positive_integer("side", side)
    images, numbers, names = read_source(path, bool(labels), side, channels, split)
    if channels:
        images = with_channels(images, channels)
    return LoadedImages(images if side is None else fit(images, side), numbers, names)


def checked_path(path: Any) -> str | Path:
    """Return a path, or say what is wrong with it."""
    if isinstance(path, np.ndarray | Tensor):
        advice = "images in memory can be used as they are"
        raise TypeError(f"path must be a str or a Path, got {kind_of(path)}: {advice}")
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a Path, got {kind_of(path)}")
    if path == "":
        raise ValueError("path must name a file or a folder, got an empty string")
    return path if isinstance(path, str) else Path(path)


def read_source(
    path: str | Path, labels: bool, side: int | None, channels: int | None, split: str
) -> LoadedImages:
    """Read whatever lies at a path, as `load_images` describes."""
    if path in ARCHIVES:
        archive = ARCHIVES[str(path)]
        pixels, numbers = fetch_split(archive, split)
        return idx_images(pixels, numbers if labels else None, archive.names)
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"expected a folder of pictures, an .npz file, IDX files, or one of"
            f" {', '.join(ARCHIVES)}, got {path}, which does not exist"
        )
    files = find_idx(path)
    if files:
        check_split(path, split, files)
        pixels_file, labels_file = files[split]
        if labels and labels_file is None:
            raise ValueError(f"expected a file of labels beside {pixels_file}, got none")
        given = read_idx(labels_file, rank=1) if labels and labels_file else None
        return idx_images(read_idx(pixels_file, rank=3), given)
    if path.is_dir():
        splits = find_splits(path, labels)
        if not splits:
            return read_folder(path, labels, side, channels)
        check_split(path, split, splits)
        unused = outside_splits(path, splits)
        if unused and split == "train":
            used = " and ".join(part.name for part in splits.values())
            warnings.warn(
                f"took {used} as the split{'s' * (len(splits) > 1)} of {path}, and left out"
                f" {some(unused)}",
                stacklevel=3,
            )
        return read_folder(splits[split], labels, side, channels)
    if path.suffix.lower() == ".npz":
        return read_npz(path, labels)
    raise ValueError(
        f"expected a folder of pictures, an .npz file or IDX files, got the file {path}"
    )


def check_split(path: Path, split: str, splits: Mapping[str, Any]) -> None:
    """Raise ValueError unless a source that has splits has this one."""
    if split not in splits:
        raise ValueError(f"expected a split {split!r} in {path}, got only {', '.join(splits)}")


def load_splits(
    path: str | Path, *, labels: bool = False, side: int | None = None, channels: int | None = None
) -> tuple[LoadedImages, LoadedImages]:
    """Load images to train on, and others to measure by: the source's own test or validation split
    if it has one, else `hold_out` of all its images.

    Args: as in `load_images`.
    Raises: as `load_images` and `hold_out`.
    """
    options: dict[str, Any] = {"labels": labels, "side": side, "channels": channels}
    train = load_images(path, **options)
    if path not in ARCHIVES:
        folder = Path(path).expanduser()
        splits: Mapping[str, Any] = find_idx(folder) or find_splits(folder, labels)
        if "test" not in splits or splits["train"] == splits["test"]:
            return hold_out(train)
    if channels is None:
        options["channels"] = train.images.shape[1]
    held_out = load_images(path, split="test", **options)
    if held_out.images.shape[1:] != train.images.shape[1:]:
        expected, got = tuple(train.images.shape[1:]), tuple(held_out.images.shape[1:])
        raise ValueError(
            f"test images must have the shape of those to train on, {expected}, got {got}"
        )
    return train, renumbered(held_out, train.names)


def renumbered(loaded: LoadedImages, names: tuple[str, ...]) -> LoadedImages:
    """Number the labels as in `names`. Raises: ValueError for a label that is not among them."""
    unknown = [name for name in loaded.names if name not in names]
    if unknown:
        raise ValueError(f"test labels must be among {', '.join(names)}, got {unknown[0]}")
    if loaded.labels is None or loaded.names == names:
        return loaded
    numbers = torch.tensor([names.index(name) for name in loaded.names], device="cpu")
    return LoadedImages(loaded.images, numbers[loaded.labels], names)


def hold_out(loaded: LoadedImages) -> tuple[LoadedImages, LoadedImages]:
    """Set one image in ten aside, at least 1 and at most 500, always the same ones.

    Returns: the images to train on, and those set aside.
    Raises: ValueError for a single image.
    """
    images, labels, names = loaded
    if len(images) < 2:
        raise ValueError("expected at least 2 images, one of them to measure by, got 1")
    count = min(max(1, len(images) // 10), 500)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(images), generator=generator, device="cpu")
    parts = [part.sort().values for part in (order[count:], order[:count])]
    train, aside = (
        LoadedImages(images[part], None if labels is None else labels[part], names)
        for part in parts
    )
    return train, aside


def as_images(value: Tensor | np.ndarray) -> Float[Tensor, " n *dims"]:
    """Take images as a tensor or as a numpy array, or say how to make one of something else.

    Args: value, a floating point tensor of shape (n, *dims); or an array of shape (n, h, w),
        (n, h, w, c) or (n, c, h, w), with c = 1 or 3, uint8 or floating point. Values lie in
        [-1, 1], uint8 in 0..255.
    Returns: a tensor is returned as it is; an array becomes float32 of shape (n, c, h, w).
    Raises: TypeError for another type or dtype; ValueError for another shape or range, for no
        image, and for NaN.
    """
    if isinstance(value, np.ndarray):
        images = array_images(value)
    elif isinstance(value, Tensor):
        images = value
    else:
        advice = ""
        if isinstance(value, list | tuple):
            advice = ": use torch.stack(list(images))"
        elif hasattr(value, "batch_sampler"):
            advice = ": use torch.cat([images for images, *_ in loader])"
        elif hasattr(value, "__getitem__") and not isinstance(value, str):
            advice = ": use torch.stack([image for image, *_ in dataset])"
        raise TypeError(
            f"images must be one tensor of shape (n, c, h, w), got {kind_of(value)}{advice}"
        )
    if not images.is_floating_point():
        advice = "for 8-bit pixels, use pixels / 127.5 - 1"
        if images.dtype == torch.bool:
            advice = "use 2.0 * images - 1"
        raise TypeError(f"images must be floating point in [-1, 1], got {images.dtype}: {advice}")
    if images.ndim < 2 or not images.numel():
        raise ValueError(
            "images must have shape (n, *dims) with n at least 1 and no side of 0, got"
            f" {tuple(images.shape)}"
        )
    low, high = images.aminmax()
    if not (low >= -1 and high <= 1):
        raise ValueError(f"images must lie in [-1, 1], got values from {low:g} to {high:g}")
    return images


def array_images(pixels: np.ndarray) -> Float[Tensor, "n c h w"]:
    """Make images of an array: see `as_images`, which also checks their range."""
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim == 4 and pixels.shape[1] not in (1, 3) and pixels.shape[3] in (1, 3):
        pixels = pixels.transpose(0, 3, 1, 2)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise ValueError(
            "images must have shape (n, h, w), (n, h, w, c) or (n, c, h, w) with c = 1 or 3, got"
            f" {pixels.shape}"
        )
    if pixels.dtype == np.uint8:
        if pixels.size and pixels.max() == 1:
            warnings.warn(
                "all pixels are 0 or 1 of 255, which is black: if 1 is white, use 255 * images",
                stacklevel=2,
            )
        return from_bytes(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise TypeError(
            f"images must be uint8 or floating point, got {pixels.dtype}: {to_uint8(pixels)}"
        )
    if pixels.size and pixels.min() >= 0 and 0.5 < pixels.max() <= 1:
        warnings.warn(
            "all pixels lie in [0, 1], not [-1, 1]: if 0 is black, use 2 * images - 1",
            stacklevel=2,
        )
    return torch.from_numpy(pixels.astype(np.float32))


def to_uint8(pixels: np.ndarray) -> str:
    """What to write to make pixels of another type 0..255."""
    if pixels.dtype == np.bool_:
        return "use images.astype(np.uint8) * 255"
    if pixels.dtype.kind in "iu" and pixels.size and pixels.max() > 255:
        return "for pixels in 0..65535, use (images // 257).astype(np.uint8)"
    return "for pixels in 0..255, use images.astype(np.uint8)"


def idx_images(
    pixels: np.ndarray,
    labels: np.ndarray | None,
    names: tuple[str, ...] | None = None,
) -> LoadedImages:
    """Pair the pixels and labels of IDX files; labels without names are called by their numbers."""
    images = as_images(pixels)
    if labels is None:
        return LoadedImages(images, None, ())
    check_count(images, labels)
    names = names or tuple(str(label) for label in range(int(labels.max()) + 1))
    return LoadedImages(images, torch.from_numpy(labels.astype(np.int64)), names)


def read_npz(path: Path, labels: bool) -> LoadedImages:
    """Read the arrays `images` and `labels` of an .npz file; labels may be numbers or words."""
    images = as_images(npz_array(path, "images"))
    if not labels:
        return LoadedImages(images, None, ())
    given = numbers_or_words(npz_array(path, "labels"))
    check_count(images, given)
    names, numbers = np.unique(given, return_inverse=True)
    return LoadedImages(images, torch.from_numpy(numbers.astype(np.int64)), tuple(map(str, names)))


def npz_array(path: Path, name: str) -> np.ndarray:
    """Read one array of an .npz file.

    Raises: ValueError for a file that is damaged or of another kind, for one without the array, and
        for an array of Python objects.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a complete .npz file")
    names: list[str] = []
    array: Any = None
    try:
        with np.load(path) as file:
            names = list(file.files)
            if name in names:
                array = file[name]
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each raise their own, in their own words
        if "Object arrays" in str(error):
            raise ValueError(
                f"the array {name!r} in {path} holds Python objects: save an array of numbers"
                + " or of strings" * (name == "labels")
            ) from None
        what = f"the array {name!r} in {path} is damaged" if names else f"{path} is damaged"
        raise ValueError(what) from None
    if not isinstance(array, np.ndarray):
        got = "something else of that name" if name in names else ", ".join(names) or "none"
        raise ValueError(f"expected an array {name!r} in {path}, got {got}")
    return array


def numbers_or_words(labels: np.ndarray) -> np.ndarray:
    """Return labels as integers or as text.

    Raises: TypeError for labels of another kind, ValueError for fractions and for bytes that are
        not UTF-8.
    """
    kind = labels.dtype.kind
    if kind == "S":
        try:
            return np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"labels must be text in UTF-8, got {error.object!r}") from None
    if kind == "f":
        exact = np.abs(labels) < 2**53  # false for NaN and for infinities
        broken = labels[~((labels == np.floor(labels)) & exact)]
        if len(broken):
            raise ValueError(f"labels must be whole numbers or words, got {broken[0]:g}")
        return labels.astype(np.int64)
    if kind not in "biuU":
        raise TypeError(f"labels must be whole numbers or words, got {kind_of(labels)}")
    return labels


def check_count(images: Tensor, labels: np.ndarray) -> None:
    """Raise unless there is one label for each image."""
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels must have shape ({len(images)},), one for each image, got {labels.shape}"
        )


def read_folder(folder: Path, labels: bool, side: int | None, channels: int | None) -> LoadedImages:
    """Read all pictures below a folder, as `load_images` describes; hidden files are left alone."""
    files, folders, skipped = list_below(folder)
    label_folders = [path.name for path in folders if len(path.parts) == 1] if labels else []
    if labels:
        check_label_folders(folder, label_folders)
        files.sort(key=lambda file: len(file.parts) > 1)  # a loose picture is refused at once
    pictures: dict[Path, Tensor] = {}
    for file in files:
        try:
            picture = as_images(read_picture(folder / file)[None])
        except Exception as error:  # of many kinds: each of Pillow's decoders raises its own
            skipped[file] = why_unread(folder / file, error)
            continue
        if labels and len(file.parts) == 1:
            raise ValueError(f"{folder / file} lies outside the label folders: move it into one")
        pictures[file] = picture if side is None else fit(picture, side)
    check_each_label(folder, label_folders, pictures, skipped)
    if not pictures:
        got = f"only {with_reasons(skipped)}" if skipped else "no files"
        raise ValueError(f"expected pictures in {folder}, got {got}")
    if skipped:
        warnings.warn(
            f"skipped {len(skipped)} of {len(skipped) + len(pictures)} files in {folder}:"
            f" {with_reasons(skipped)}",
            stacklevel=4,
        )
    sizes = Counter(f"{image.shape[3]}x{image.shape[2]}" for image in pictures.values())
    if len(sizes) > 1:
        got = some(f"{size} ({count})" for size, count in sizes.most_common())
        raise ValueError(
            f"the pictures in {folder} have {len(sizes)} sizes, {got}: choose a side to scale and"
            " crop them to, such as side=32"
        )
    channels = channels or max(image.shape[1] for image in pictures.values())
    images = torch.cat([with_channels(image, channels) for image in pictures.values()])
    if not labels:
        return LoadedImages(images, None, ())
    numbers = [label_folders.index(file.parts[0]) for file in pictures]
    return LoadedImages(images, torch.tensor(numbers, device="cpu"), tuple(label_folders))


def check_label_folders(folder: Path, names: list[str]) -> None:
    """Raise ValueError unless a folder has subfolders that can be labels."""
    if not names:
        raise ValueError(f"expected a subfolder for each label in {folder}, got none")
    if all(is_split_name(name) for name in names):
        advice = " or ".join(str(folder / name) for name in names)
        raise ValueError(
            f"expected a subfolder for each label in {folder}, got the splits {', '.join(names)}"
            f" without one to train on: load {advice}"
        )
    if len(names) == 1 and len(splits := find_splits(folder / names[0], labels=True)) > 1:
        used = " and ".join(part.name for part in splits.values())
        raise ValueError(
            f"expected a subfolder for each label in {folder}, got only {names[0]} with the splits"
            f" {used}: load {folder / names[0]}"
        )


def check_each_label(
    folder: Path, names: list[str], pictures: Iterable[Path], skipped: Mapping[Path, str]
) -> None:
    """Raise ValueError unless each label folder holds a picture, and say what it holds instead."""
    found = {file.parts[0] for file in pictures}
    lost = {}
    for name in names:
        if name not in found:
            inside = {file: why for file, why in skipped.items() if file.parts[0] == name}
            lost[name] = with_reasons(inside) if inside else f"{name} (empty)"
    if lost:
        raise ValueError(
            f"expected a picture in each label folder of {folder}, got none in"
            f" {some(lost.values())}: add pictures, or remove the folder"
        )


def with_reasons(skipped: Mapping[Path, str]) -> str:
    """The first few files, each with the reason why it was skipped."""
    return some(f"{file} ({skipped[file]})" for file in sorted(skipped))


def some(words: Iterable[str]) -> str:
    """The first few words, with a mark that there are more."""
    every = list(words)
    return ", ".join(every[:NAMED]) + ", ..." * (len(every) > NAMED)


def with_channels(images: Float[Tensor, "n c h w"], channels: int) -> Float[Tensor, "n d h w"]:
    """Make images grey, or colour by repeating grey."""
    if images.shape[1] == channels:
        return images
    if channels == 1:
        shares = torch.tensor(BRIGHTNESS, dtype=images.dtype, device=images.device)
        return torch.einsum("nchw,c->nhw", images, shares)[:, None]
    return images.expand(-1, channels, -1, -1).contiguous()


def fit(images: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c {side} {side}"]:
    """Scale images until their shorter side has this many pixels, and cut out the middle square."""
    height, width = images.shape[2:]
    if height == width == side:
        return images
    shorter = min(height, width)
    size = [max(side, round(length * side / shorter)) for length in (height, width)]
    scaled = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    return scaled[:, :, top : top + side, left : left + side].clamp(-1, 1)
