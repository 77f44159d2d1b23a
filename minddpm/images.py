"""Your own images: a folder of pictures, an .npz file, IDX files, or a published data set."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from minddpm.archives import FASHION_MNIST, MNIST, fetch_split, find_idx, read_idx
from minddpm.data import from_bytes

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
            an .npz file with an array `images`, and `labels` if you want them: shape (n, h, w),
                (n, h, w, c) or (n, c, h, w), c being 1 or 3; uint8, or floating point in [-1, 1].
            the official IDX files of MNIST and its kin, plain or gzipped, or a folder that holds
                them, such as torchvision's root.
            "mnist" or "fashion-mnist": fetched once and kept. For a folder of such a name, write
                "./mnist".
        labels: whether to load labels too.
        side: scale each image until its shorter side has this many pixels, then cut the middle
            square out of it. If None, all images must have one size.
        channels: 1 for grey, 3 for colour; if None, as the images are, and colour where only some
            of them are.
        split: "train" or "test", of a published data set, of IDX files, and of a folder with
            subfolders train and test; other sources have no splits, and are loaded whole.

    Returns: images, float32, shape (n, c, h, w); labels, int64, or None; names of the labels.
    Raises: FileNotFoundError if nothing is there; ValueError for a source without images, images of
        several sizes, or missing labels. Warns of files that are no pictures, and skips them.
    """
    if isinstance(path, np.ndarray | Tensor):
        raise TypeError(
            f"path must name a file or a folder, got images: as_images({path!r:.20}...)"
        )
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    if side is not None and side < 1:
        raise ValueError(f"side must be at least 1, got {side}")
    images, numbers, names = read_source(path, labels, side, channels, split)
    if channels:
        images = with_channels(images, channels)
    return LoadedImages(images if side is None else fit(images, side), numbers, names)


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
    files = find_idx(path, split)
    if files is not None:
        if labels and files[1] is None:
            raise ValueError(f"expected labels beside {files[0]}, got no file of them")
        given = read_idx(files[1], rank=1) if labels and files[1] else None
        return idx_images(read_idx(files[0], rank=3), given)
    if path.is_dir():
        has_splits = (path / "train").is_dir() and (path / "test").is_dir()
        return read_folder(path / split if has_splits else path, labels, side, channels)
    if path.suffix.lower() == ".npz":
        return read_npz(path, labels)
    raise ValueError(f"expected a folder of pictures, an .npz file or IDX files, got the file {path}")


def load_splits(
    path: str | Path, *, labels: bool = False, side: int | None = None, channels: int | None = None
) -> tuple[LoadedImages, LoadedImages]:
    """Load images to train on, and others to measure by: the source's own test split if it has one,
    else `hold_out` of all its images.

    Args: as in `load_images`.
    Raises: as `load_images` and `hold_out`.
    """
    options: dict[str, Any] = {"labels": labels, "side": side, "channels": channels}
    train = load_images(path, **options)
    folder = Path(path).expanduser()
    has_splits = path in ARCHIVES or (folder / "train").is_dir() and (folder / "test").is_dir()
    if not has_splits:
        files, others = find_idx(folder, "train"), find_idx(folder, "test")
        has_splits = files is not None and others is not None and files != others
    if not has_splits:
        return hold_out(train)
    if channels is None:
        options["channels"] = train.images.shape[1]
    held_out = load_images(path, split="test", **options)
    if held_out.images.shape[1:] != train.images.shape[1:]:
        expected, got = tuple(train.images.shape[1:]), tuple(held_out.images.shape[1:])
        raise ValueError(f"the test images must have the shape {expected} of the others, got {got}")
    return train, renumbered(held_out, train.names)


def renumbered(loaded: LoadedImages, names: tuple[str, ...]) -> LoadedImages:
    """Number the labels as in `names`. Raises: ValueError for a label that is not among them."""
    unknown = [name for name in loaded.names if name not in names]
    if unknown:
        raise ValueError(f"the test labels must be among {', '.join(names)}, got {unknown[0]}")
    if loaded.labels is None or loaded.names == names:
        return loaded
    numbers = torch.tensor([names.index(name) for name in loaded.names], device="cpu")
    return LoadedImages(loaded.images, numbers[loaded.labels], names)


def hold_out(loaded: LoadedImages) -> tuple[LoadedImages, LoadedImages]:
    """Set apart one image in ten, at least 1 and at most 500, always the same ones.

    Returns: the images to train on, and those set apart.
    Raises: ValueError for a single image.
    """
    images, labels, names = loaded
    if len(images) < 2:
        raise ValueError(f"expected at least 2 images, one of them to measure by, got {len(images)}")
    count = min(max(1, len(images) // 10), 500)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(images), generator=generator, device="cpu")
    parts = [part.sort().values for part in (order[count:], order[:count])]
    train, apart = (
        LoadedImages(images[part], None if labels is None else labels[part], names)
        for part in parts
    )
    return train, apart


def as_images(value: Tensor | np.ndarray) -> Float[Tensor, " n *dims"]:
    """Take images as a tensor or as a numpy array, or say how to make one of something else.

    Args: value, a floating point tensor of shape (n, *dims); or an array of shape (n, h, w),
        (n, h, w, c) or (n, c, h, w), c being 1 or 3, uint8 or floating point. Values lie in
        [-1, 1], uint8 in 0..255.
    Returns: a tensor is returned as it is; an array becomes float32 of shape (n, c, h, w).
    Raises: TypeError for another kind or dtype, ValueError for another shape or range, no image, or
        NaN.
    """
    if isinstance(value, np.ndarray):
        images = array_images(value)
    elif isinstance(value, Tensor):
        images = value
    else:
        advice = "torch.stack(list(images))"
        if hasattr(value, "__getitem__") and not isinstance(value, list | tuple):
            advice = "torch.stack([image for image, *_ in dataset])"
        elif hasattr(value, "batch_sampler"):
            advice = "torch.cat([images for images, *_ in loader])"
        raise TypeError(
            f"images must be one tensor of shape (n, c, h, w), got a {type(value).__name__}:"
            f" use {advice}"
        )
    if not images.is_floating_point():
        raise TypeError(
            f"images must be floating point in [-1, 1], got {images.dtype}: for 8-bit pixels, use"
            " pixels / 127.5 - 1"
        )
    if images.ndim < 2 or not len(images):
        raise ValueError(
            f"images must have shape (n, *dims) with n at least 1, got {tuple(images.shape)}"
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
        return from_bytes(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise TypeError(f"images must be uint8 or floating point, got {pixels.dtype}")
    if pixels.size and pixels.min() >= 0 and 0.5 < pixels.max() <= 1:
        warnings.warn(
            "all pixels lie in [0, 1], not [-1, 1]: if 0 is black, use 2 * images - 1",
            stacklevel=2,
        )
    return torch.from_numpy(pixels.astype(np.float32))


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
    if not zipfile.is_zipfile(path):
        raise ValueError(f"expected an .npz file, got {path}, which is none")
    names = ("images", "labels") if labels else ("images",)
    with np.load(path) as file:
        missing = [name for name in names if name not in file]
        if missing:
            raise ValueError(f"expected an array {missing[0]!r} in {path}, got {', '.join(file)}")
        try:
            arrays = {name: file[name] for name in names}
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error):
            raise ValueError(
                f"expected arrays of numbers in {path}, got damaged ones or Python objects"
            ) from None  # what numpy says would be advice on pickles
    images = as_images(arrays["images"])
    if not labels:
        return LoadedImages(images, None, ())
    check_count(images, arrays["labels"])
    words, numbers = np.unique(arrays["labels"], return_inverse=True)
    given = torch.from_numpy(numbers.astype(np.int64))
    return LoadedImages(images, given, tuple(str(word) for word in words))


def check_count(images: Tensor, labels: np.ndarray) -> None:
    """Raise unless there is one label for each image."""
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"expected one label for each of {len(images)} images, got labels of shape {labels.shape}"
        )


def read_folder(folder: Path, labels: bool, side: int | None, channels: int | None) -> LoadedImages:
    """Read all pictures below a folder, as `load_images` describes; hidden files are left alone."""
    paths = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file())
    files = [file for file in paths if not any(part.startswith(".") for part in file.parts)]
    if labels and any(len(file.parts) == 1 for file in files):
        loose = next(file for file in files if len(file.parts) == 1)
        raise ValueError(f"expected a folder for each label in {folder}, got the file {loose} beside")
    pictures: dict[Path, Tensor] = {}
    skipped: dict[Path, str] = {}
    for file in files:
        try:
            picture = as_images(read_picture(folder / file)[None])
        except Exception as error:  # of many kinds: each of Pillow's decoders raises its own
            skipped[file] = f"{type(error).__name__}: {error}"
        else:
            pictures[file] = picture if side is None else fit(picture, side)
    unread = some(str(file) for file in skipped)
    if not pictures:
        got = f"only {unread}, which cannot be read" if skipped else "no file"
        raise ValueError(f"expected pictures in {folder}, got {got}")
    if skipped:
        warnings.warn(
            f"skipped {len(skipped)} of {len(files)} files in {folder} that cannot be read as"
            f" pictures: {unread}",
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
    folders = [file.parts[0] for file in pictures]
    names = sorted(set(folders))
    lost = sorted({file.parts[0] for file in skipped} - set(names))
    if lost:
        raise ValueError(f"expected pictures of each label in {folder}, got none in {some(lost)}")
    return LoadedImages(images, torch.tensor([*map(names.index, folders)], device="cpu"), (*names,))


def some(words: Any) -> str:
    """The first few words, with a mark that there are more."""
    every = list(words)
    return ", ".join(every[:NAMED]) + ", ..." * (len(every) > NAMED)


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as uint8, shape (h, w) if it is grey, else (3, h, w), upright, its transparent
    parts black.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        picture: Image.Image = ImageOps.exif_transpose(file)
        if picture.mode == "F":
            raise ValueError("its pixels are floating point, of unknown range")
        if picture.mode.startswith("I"):  # 16 bits a pixel, which convert("L") would clip
            return (np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8)
        mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
        if "A" in picture.getbands() or "transparency" in picture.info:
            black = Image.new("RGBA", picture.size, "black")
            picture = Image.alpha_composite(black, picture.convert("RGBA"))
        pixels = np.asarray(picture.convert(mode))
    return pixels if mode == "L" else pixels.transpose(2, 0, 1)


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
