"""Draw the pictures of the README from the shipped weights: digits emerging, and a grid of digits.

    python -m minddpm evaluate --samples runs/samples.npz
    python tools/build_pictures.py runs/samples.npz

Both are written to minddpm/assets.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS
from minddpm.sampler import sample_steps

TIMES = (1000, 800, 600, 500, 400, 300, 200, 100, 50, 0)


def tiled(images: np.ndarray, scale: int) -> Image.Image:
    """A (rows, columns, 28, 28) array in [-1, 1] as one grey picture, each pixel `scale` wide."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
    rows, columns, side, _ = padded.shape
    canvas = padded.transpose(0, 2, 1, 3).reshape(rows * side, columns * side)
    pixels = ((canvas.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
    size = (columns * side * scale, rows * side * scale)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def emerging() -> np.ndarray:
    """Four digits on their way from noise, a row each."""
    model, schedule, _ = load_pretrained()
    generator = torch.Generator().manual_seed(0)
    steps = sample_steps(model, (4, 1, 28, 28), schedule, generator=generator)
    return torch.stack([step.x_t[:, 0] for step in steps if step.t in TIMES], dim=1).numpy()


def main(samples: Path) -> None:
    """Write both pictures; the grid holds the first 100 samples, none left out."""
    tiled(emerging(), 3).save(ASSETS / "emerging.png", optimize=True)
    with np.load(samples) as file:
        digits = file["images"][:100].reshape(10, 10, 28, 28)
    tiled(digits, 2).save(ASSETS / "digits.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
