"""Images side by side in one picture file, written with Pillow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor

from minddpm.checkpoints import write_whole
from minddpm.data import to_bytes

if TYPE_CHECKING:
    from PIL import Image

CELL = 64  # small images are enlarged, each pixel to a square, to about so many pixels


def grid(images: Float[Tensor, "n c h w"], columns: int = 10) -> Image.Image:
    """Lay grey or colour images out row by row, each in a thin white frame.

    Args: images in [-1, 1], shape (n, c, h, w), c being 1 or 3; columns, images in a row.
    Raises: ValueError for another number of channels.
    """
    from PIL import Image

    if images.shape[1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels to be drawn, got {images.shape[1]}")
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
    """Write a picture in the format that its file's name ends in."""
    content = io.BytesIO()
    picture.save(content, picture_format(path, picture.mode))
    return write_whole(path, content.getvalue())


def picture_format(path: Path, mode: str = "RGB") -> str:
    """Pillow's name of the format that a file's name ends in.

    Raises: ValueError for an ending of no format that Pillow can write.
    """
    from PIL import Image

    name = Image.registered_extensions().get(path.suffix.lower(), "")
    try:
        Image.new(mode, (8, 8)).save(io.BytesIO(), name or path.suffix)
    except (OSError, ValueError, KeyError) as error:  # not every format takes every picture
        raise ValueError(
            f"expected the name of a picture that can be written, such as {path.stem}.png, got {path}"
        ) from error
    return name
