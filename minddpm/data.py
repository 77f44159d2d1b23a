"""The images: 5,000 MNIST digits that the package ships, the whole of MNIST if asked for, and a
cat.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from PIL import Image
from requests import RequestException
from torch import Tensor

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Archive:
    """Files on the web: where they lie, what they must be, and where a copy is kept."""

    mirrors: tuple[str, ...]  # addresses that each hold all files, tried in turn
    sha256: Mapping[str, str]  # of each file, by name
    cache: Path


MNIST = Archive(
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte.gz": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    },
    cache=Path(pooch.os_cache("minddpm")),
)


def load_mnist(
    split: str = "train", source: str = "bundled"
) -> tuple[Float[Tensor, "n 1 28 28"], Int64[Tensor, "n"]]:
    """Load handwritten digits.

    Args:
        split: "train" or "test".
        source: "bundled" (4,500 and 500 digits, no network) or "full" (60,000 and 10,000, fetched
            once and kept).

    Returns: images, float32 in [-1, 1], shape (n, 1, 28, 28); labels 0..9, int64, shape (n,).
    Raises: ValueError for another split or source; for "full" also ConnectionError where no mirror
        answers, and ValueError where what they send is not MNIST.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if source == "bundled":
        with np.load(ASSETS / "mnist_5000.npz") as arrays:
            pixels, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    elif source == "full":
        name = {"train": "train", "test": "t10k"}[split]
        pixels = read_idx(fetch(MNIST, f"{name}-images-idx3-ubyte.gz"), rank=3)
        labels = read_idx(fetch(MNIST, f"{name}-labels-idx1-ubyte.gz"), rank=1)
    else:
        raise ValueError(f"source must be 'bundled' or 'full', got {source!r}")
    if pixels.shape != (len(labels), 28, 28) or labels.max(initial=0) > 9:
        raise ValueError(
            "wanted an image of 28 x 28 pixels for each label 0..9, got images of shape"
            f" {pixels.shape} and {len(labels)} labels up to {labels.max(initial=0)}"
        )
    return from_bytes(pixels)[:, None], torch.from_numpy(labels.astype(np.int64))


def fetch(archive: Archive, name: str) -> Path:
    """Return a file of an archive: the copy in its cache if that is whole, else one from the first
    mirror that has it.

    Raises: ConnectionError where no mirror could send the file, ValueError where one sent something
        else.
    """
    failures: dict[str, Exception] = {}
    download = pooch.HTTPDownloader(
        stream=False
    )  # a stream would leave the connection open after an error
    for mirror in archive.mirrors:
        try:
            return Path(
                pooch.retrieve(
                    mirror + name, archive.sha256[name], name, archive.cache, downloader=download
                )
            )
        except ValueError as error:  # the checksum differs; pooch has deleted what came
            failures[f"{mirror} (sent another file: its SHA-256 is not {archive.sha256[name]})"] = (
                error
            )
        except RequestException as error:
            failures[
                f"{mirror} ({getattr(error.response, 'reason', None) or type(error).__name__})"
            ] = error
    wrong = [error for error in failures.values() if isinstance(error, ValueError)]
    kind, cause = (
        (ValueError, wrong[0]) if wrong else (ConnectionError, list(failures.values())[-1])
    )
    raise kind(
        f"could not fetch {name}; tried {', '.join(failures)}. The digits of source='bundled' need"
        " no network"
    ) from cause


def read_idx(path: Path, rank: int) -> np.ndarray:
    """Read an array of bytes from a gzipped IDX file.

    The format: two zero bytes, 8 for unsigned bytes, the rank; each side as a big-endian 32-bit
        integer; the bytes.

    Args:
        path: the file.
        rank: how many dimensions it must have.

    Returns: uint8, of that rank.
    Raises: ValueError for a file that is not gzip, is truncated, or holds another dtype, rank or
        number of bytes.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error
    magic, start = bytes([0, 0, 8, rank]), 4 + 4 * rank
    if content[:4] != magic:
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes with rank {rank}: "
            f"wanted it to start with {magic.hex()}, got {content[:4].hex() or 'nothing'}"
        )
    if len(content) < start:
        raise ValueError(f"{path} ends within its header: wanted {start} bytes, got {len(content)}")
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    wanted, got = math.prod(shape), len(content) - start
    if got != wanted:
        raise ValueError(
            f"{path} announces shape {tuple(shape)}: wanted {wanted} bytes of content, got {got}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def load_cat() -> Float[Tensor, "1 1 128 128"]:
    """Load the photograph of a cat: float32 in [-1, 1], shape (1, 1, 128, 128)."""
    with Image.open(ASSETS / "cat.png") as photograph:
        return from_bytes(np.asarray(photograph))[None, None]


def from_bytes(pixels: np.ndarray) -> Float[Tensor, "*dims"]:
    """Map 0..255 to [-1, 1], as float32: x = pixel / 127.5 - 1."""
    return torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1


def digest(images: Float[Tensor, "*dims"]) -> str:
    """The SHA-256 of images in [-1, 1], as 8-bit pixels: names the data in a checkpoint."""
    return hashlib.sha256(
        ((images + 1) * 127.5).round().to(torch.uint8).numpy().tobytes()
    ).hexdigest()


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

    Returns: images of the same shape, in [-1, 1].
    """
    turn, wide, high = (2 * torch.rand(3, len(images), generator=generator) - 1) * torch.tensor(
        [[math.radians(degrees)], [stretch], [stretch]]
    )
    rows = [
        torch.cos(turn) * (1 + wide),
        -torch.sin(turn) * (1 + wide),
        torch.sin(turn) * (1 + high),
        torch.cos(turn) * (1 + high),
    ]
    affine = torch.zeros(len(images), 2, 3)
    affine[:, :, :2] = torch.stack(rows, dim=1).reshape(-1, 2, 2)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, mode="bicubic", align_corners=False).clamp(0, 2) - 1
