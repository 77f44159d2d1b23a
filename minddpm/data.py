"""The images: 5,000 MNIST digits that the package ships, the whole of MNIST if asked for, and a cat."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

ASSETS = Path(__file__).parent / "assets"


def load_mnist(
    split: str = "train", source: str = "bundled"
) -> tuple[Float[Tensor, "n 1 28 28"], Int64[Tensor, "n"]]:
    """Load handwritten digits.

    Args:
        split: "train" or "test".
        source: "bundled" (4,500 and 500 digits, no network) or "full" (60,000 and 10,000, fetched once and kept).

    Returns: images, float32 in [-1, 1], shape (n, 1, 28, 28); labels 0..9, int64, shape (n,).
    Raises: ValueError for another split or source.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if source == "bundled":
        with np.load(ASSETS / "mnist_5000.npz") as arrays:
            pixels, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    else:
        raise ValueError(f"source must be 'bundled' or 'full', got {source!r}")
    return from_bytes(pixels)[:, None], torch.from_numpy(labels.astype(np.int64))


def load_cat() -> Float[Tensor, "1 1 128 128"]:
    """Load the photograph of a cat: float32 in [-1, 1], shape (1, 1, 128, 128)."""
    with Image.open(ASSETS / "cat.png") as photograph:
        return from_bytes(np.asarray(photograph))[None, None]


def from_bytes(pixels: np.ndarray) -> Float[Tensor, "*dims"]:
    """Map 0..255 to [-1, 1], as float32: x = pixel / 127.5 - 1."""
    return torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1


def digest(images: Tensor) -> str:
    """The SHA-256 of images in [-1, 1], as 8-bit pixels: names the data in a checkpoint."""
    return hashlib.sha256(((images + 1) * 127.5).round().to(torch.uint8).numpy().tobytes()).hexdigest()


def jitter(
    images: Float[Tensor, "b c h w"], generator: torch.Generator, *, degrees: float = 6.0, stretch: float = 0.06
) -> Float[Tensor, "b c h w"]:
    """Turn and stretch each image a little, as another hand might have written it.

    Args:
        images: in [-1, 1], -1 being the background.
        generator: source of randomness.
        degrees: the largest turn either way.
        stretch: the largest change of width and of height, as a share, either way.
    """
    turn, wide, high = (2 * torch.rand(3, len(images), generator=generator) - 1) * torch.tensor(
        [[math.radians(degrees)], [stretch], [stretch]]
    )
    rows = [torch.cos(turn) * (1 + wide), -torch.sin(turn) * (1 + wide), torch.sin(turn) * (1 + high), torch.cos(turn) * (1 + high)]
    affine = torch.zeros(len(images), 2, 3)
    affine[:, :, :2] = torch.stack(rows, dim=1).reshape(-1, 2, 2)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, mode="bicubic", align_corners=False).clamp(0, 2) - 1
