"""Draw the pictures of the README from the shipped weights: digits emerging, and a grid nobody
picked from.

python -m minddpm evaluate --samples runs/samples.npz && python tools/build_pictures.py
runs/samples.npz
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from minddpm.checkpoints import load_pretrained
from minddpm.sampler import sample_steps

ASSETS = Path(__file__).parents[1] / "minddpm" / "assets"
TIMES = (1000, 800, 600, 500, 400, 300, 200, 100, 50, 0)


def write(images: np.ndarray, path: Path, scale: int) -> None:
    """Write a (rows, columns, 28, 28) array in [-1, 1] as one grey picture, each pixel `scale`
    wide.
    """
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
    rows, columns, side, _ = padded.shape
    canvas = padded.transpose(0, 2, 1, 3).reshape(rows * side, columns * side)
    pixels = ((canvas.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)
    size = (columns * side * scale, rows * side * scale)
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(path, optimize=True)


if __name__ == "__main__":
    model, schedule, _ = load_pretrained()
    steps = sample_steps(
        model, (4, 1, 28, 28), schedule, generator=torch.Generator().manual_seed(0)
    )
    write(
        torch.stack([step.x_t[:, 0] for step in steps if step.t in TIMES], dim=1).numpy(),
        ASSETS / "emerging.png",
        3,
    )
    with np.load(sys.argv[1]) as file:
        write(file["images"][:100].reshape(10, 10, 28, 28), ASSETS / "digits.png", 2)
