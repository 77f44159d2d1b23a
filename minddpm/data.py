"""The digits and the cat that the package ships, the whole of MNIST, and how to prepare images."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from minddpm.archives import MNIST, fetch_split

ASSETS = Path(__file__).parent / "assets"


def load_mnist(
    split: str = "train", source: str = "bundled"
) -> tuple[Float[Tensor, "n 1 28 28"], Int64[Tensor, " n"]]:
    """Load handwritten digits.

    Args:
        split: "train" or "test".
        source: "bundled" (4,500 and 500 digits, no network) or "full" (60,000 and 10,000,
            downloaded once and kept).

    Returns: images, float32 in [-1, 1], shape (n, 1, 28, 28); labels 0..9, int64, shape (n,).
    Raises: ValueError for another split or source; for "full" also ConnectionError if no mirror
        answers, ValueError if one sends something that is not MNIST, and OSError if the files
        cannot be kept.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if source == "bundled":
        with np.load(ASSETS / "mnist_5000.npz") as arrays:
            pixels, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    elif source == "full":
        try:
            pixels, labels = fetch_split(MNIST, split)
        except (ConnectionError, ValueError) as error:
            advice = "The digits of source='bundled' need no network"
            raise type(error)(f"{error}. {advice}") from error
    else:
        raise ValueError(f"source must be 'bundled' or 'full', got {source!r}")
    if pixels.shape != (len(labels), 28, 28) or labels.max(initial=0) > 9:
        raise ValueError(
            "expected an image of 28 x 28 pixels for each label 0..9, got images of shape"
            f" {pixels.shape} and {len(labels)} labels up to {labels.max(initial=0)}"
        )
    return from_bytes(pixels)[:, None], torch.from_numpy(labels.astype(np.int64))


def load_cat() -> Float[Tensor, "1 1 128 128"]:
    """Load the photograph of a cat: float32 in [-1, 1], shape (1, 1, 128, 128)."""
    from PIL import Image

    with Image.open(ASSETS / "cat.png") as photograph:
        return from_bytes(np.asarray(photograph))[None, None]


def from_bytes(pixels: np.ndarray) -> Float[Tensor, "*dims"]:
    """Map 0..255 to [-1, 1], as float32: x = pixel / 127.5 - 1."""
    return torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1


def to_bytes(images: Float[Tensor, "*dims"]) -> np.ndarray:
    """Map [-1, 1] to the nearest of 0..255, as uint8; values outside are clipped."""
    scaled = (images.detach().cpu().float() + 1) * 127.5
    return scaled.round().clamp(0, 255).to(torch.uint8).numpy()


def data_digest(images: Float[Tensor, "*dims"]) -> str:
    """The SHA-256 of images in [-1, 1], as 8-bit pixels: names the data in a checkpoint."""
    return hashlib.sha256(to_bytes(images).tobytes()).hexdigest()


def jitter(
    images: Float[Tensor, "b c h w"],
    generator: torch.Generator,
    *,
    degrees: float = 6.0,
    stretch: float = 0.06,
) -> Float[Tensor, "b c h w"]:
    """Turn and stretch each image a little, as another hand might have written it.

    Args:
        images: in [-1, 1], -1 being the background.
        generator: source of randomness.
        degrees: the largest turn either way.
        stretch: the largest change of width and of height, as a share, either way.

    Returns: images of the same shape, dtype and device, in [-1, 1].
    """
    height, width = images.shape[2:]
    largest = torch.tensor(
        [[math.radians(degrees)], [stretch], [stretch]],
        dtype=torch.float32,
        device=generator.device,
    )
    draws = torch.rand(
        3, len(images), generator=generator, dtype=torch.float32, device=generator.device
    )
    turn, wide, high = (2 * draws - 1) * largest
    # affine_grid counts both axes from -1 to 1, so that a turn of pixels needs their ratio
    rows = [
        torch.cos(turn) * (1 + wide),
        -torch.sin(turn) * (1 + wide) * (height / width),
        torch.zeros_like(turn),
        torch.sin(turn) * (1 + high) * (width / height),
        torch.cos(turn) * (1 + high),
        torch.zeros_like(turn),
    ]
    # half precision is too coarse for places in an image
    exact = images.to(torch.promote_types(images.dtype, torch.float32))
    affine = torch.stack(rows, dim=1).reshape(-1, 2, 3).to(exact)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    turned = F.grid_sample(exact + 1, grid, mode="bicubic", align_corners=False)
    return (turned.clamp(0, 2) - 1).to(images.dtype)
