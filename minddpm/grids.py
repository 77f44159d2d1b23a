"""Images side by side in one picture, written to a file with Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor

from minddpm.checkpoints import write_whole
from minddpm.checks import check_images, positive_integer
from minddpm.data import to_bytes

if TYPE_CHECKING:
    from PIL import Image

CELL = 64  # small images are enlarged, each pixel to a square, to about this many pixels


def grid(images: Float[Tensor, "n c h w"], columns: int = 10) -> Image.Image:
    """Lay grey or colour images out row by row, each in a thin white frame.

    Args: images in [-1, 1], shape (n, c, h, w), with c = 1 or 3 and n at least 1; columns, images
        in a row, at least 1.
    Raises: TypeError for images that are not a floating-point tensor, and for columns that are not
        an integer; ValueError for another shape and for columns below 1.
    """
    from PIL import Image

    check_images(images)
    columns = positive_integer("columns", columns)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.numel():
        expected = "(n, 1, h, w) or (n, 3, h, w), without a 0"
        raise ValueError(f"images must have shape {expected}, got {tuple(images.shape)}")
    pixels = np.pad(
        to_bytes(images), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=255
    ).transpose(0, 2, 3, 1)
    height, width = pixels.shape[1:3]
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    sheet = np.full((rows * height, columns * width, pixels.shape[3]), 255, np.uint8)
    for index, image in enumerate(pixels):
        top, left = index // columns * height, index % columns * width
        sheet[top : top + height, left : left + width] = image
    picture = Image.fromarray(sheet.squeeze(2) if sheet.shape[2] == 1 else sheet)
    scale = max(1, CELL // max(images.shape[2:]))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def write_picture(picture: Image.Image, path: Path) -> Path:
    """Write a picture in the format that the ending of the file's name asks for."""
    return write_whole(path, encoded(picture, picture_format(path, picture.mode)))


def encoded(picture: Image.Image, name: str) -> bytes:
    """The bytes of a picture in a format, given by Pillow's name for it."""
    content = io.BytesIO()
    picture.save(content, name)
    return content.getvalue()


def picture_format(path: Path, mode: str = "RGB") -> str:
    """Pillow's name for the format that the ending of a file's name asks for.

    Raises: ValueError for an ending that stands for no format, for one that Pillow cannot write, or
        for one that changes the size of pictures, as icons do.
    """
    from PIL import Image, UnidentifiedImageError

    name = Image.registered_extensions().get(path.suffix.lower(), "")
    trial = Image.new(mode, (70, 50))
    try:
        content = encoded(trial, name or path.suffix)
    except Exception as error:  # of many kinds: not every format takes every picture
        raise ValueError(
            f"expected a name with the ending of a picture, such as {path.stem}.png, got {path}"
        ) from error
    try:
        with Image.open(io.BytesIO(content)) as back:
            size = back.size
    except UnidentifiedImageError:  # a format that is only written, such as PDF
        size = trial.size
    if size != trial.size:
        raise ValueError(
            f"{path.suffix} files hold pictures of few sizes: choose another format, such as"
            f" {path.stem}.png"
        )
    return name


def check_size(picture: Image.Image, path: Path) -> None:
    """Raise ValueError for a picture that is too large for the format of its file."""
    try:
        encoded(picture, picture_format(path, picture.mode))
    except Exception as error:  # of many kinds: each of Pillow's encoders raises its own
        raise ValueError(
            f"{path.suffix} files cannot hold a picture of {picture.width}x{picture.height} pixels:"
            f" choose fewer images, or another format, such as {path.stem}.png"
        ) from error
