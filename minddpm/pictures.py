"""A file as a picture: its pixels, or in plain words why it has none to offer."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minddpm.folders import is_picture_name

if TYPE_CHECKING:
    from PIL import Image

SIXTEEN_BITS = ("PNG", "PPM")  # the formats whose mode "I" is 16 bits a pixel, in 32-bit integers


class UnknownRange(ValueError):
    """Pixels of which the file does not tell what is black and what white."""


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as uint8, shape (h, w) if it is grey, else (3, h, w), upright, its transparent
    parts black. Pixels of 16 bits become 8 bits.

    Raises: as Pillow; UnknownRange; DecompressionBombWarning for more pixels than Pillow's limit.
    """
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as file:
            picture: Image.Image = ImageOps.exif_transpose(file)
            if picture.mode == "F" or picture.mode.startswith("I"):
                return bytes_of_integers(picture, file.format)
            mode = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
            if "A" in picture.getbands() or "transparency" in picture.info:
                black = Image.new("RGBA", picture.size, "black")
                picture = Image.alpha_composite(black, picture.convert("RGBA"))
            pixels = np.asarray(picture.convert(mode))
    return pixels if mode == "L" else pixels.transpose(2, 0, 1)


def bytes_of_integers(picture: Image.Image, file_format: str | None) -> np.ndarray:
    """Make 8 bits of the 16 bits a pixel of a grey picture, which convert("L") would clip.

    Raises: UnknownRange for pixels of a wider type, and for 16 bits that would all become 0.
    """
    if picture.mode == "F":
        raise UnknownRange("its pixels are floating point, of unknown range: save 8 or 16 bits")
    if picture.mode == "I" and file_format not in SIXTEEN_BITS:
        raise UnknownRange("its pixels are integers of unknown range: save 8 or 16 bits")
    deep = np.asarray(picture)
    pixels = (deep // 257).astype(np.uint8)
    if deep.any() and not pixels.any():
        got = f"at most {deep.max()} of 65535"
        raise UnknownRange(f"its 16-bit pixels are {got}, which is black: save 8 bits")
    return pixels


def why_unread(path: Path, error: Exception) -> str:
    """Say in a few words why `read_picture` failed on a file."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"too large: more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, Pillow's limit"
    if isinstance(error, MemoryError):
        return "too large for memory"
    if isinstance(error, UnidentifiedImageError):
        if not path.stat().st_size:
            return "empty"
        return "not a picture" + " that Pillow can read" * is_picture_name(path.name)
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be opened: {error.strerror}"
    if re.search("truncated", str(error), re.IGNORECASE):
        return "truncated"
    return str(error) if isinstance(error, UnknownRange) else f"damaged: {error}"
