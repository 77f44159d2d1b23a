"""MNIST and FashionMNIST as their authors publish them: IDX files, fetched once and kept."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
PREFIXES = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Archive:
    """Files on the web: their addresses, their checksums, and the folder that keeps a copy."""

    mirrors: tuple[str, ...]  # addresses that each hold all files, tried in turn
    sha256: Mapping[str, str]  # of each file, by name
    names: tuple[str, ...]  # of the labels 0, 1, ...
    folder: str | Path = ""  # below the cache folder of this package

    @property
    def cache(self) -> Path:
        """Where the files are kept."""
        import pooch

        return Path(pooch.os_cache("minddpm")) / self.folder


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
    names=tuple("0123456789"),
)

FASHION_MNIST = Archive(
    mirrors=(
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    },
    names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    folder="fashion-mnist",
)


def fetch_split(archive: Archive, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels, uint8 of shape (n, h, w), and labels, uint8 of shape (n,), of a split.

    Args: split, "train" or "test".
    Raises: as `fetch` and `read_idx`.
    """
    images = fetch(archive, f"{PREFIXES[split]}-{IMAGES}.gz")
    labels = fetch(archive, f"{PREFIXES[split]}-{LABELS}.gz")
    return read_idx(images, rank=3), read_idx(labels, rank=1)


def fetch(archive: Archive, name: str) -> Path:
    """Return a file of an archive: the copy in its cache folder if that is whole, else one from the
    first mirror that has it.

    Raises: ConnectionError if no mirror could send the file, ValueError if one sent another file.
    """
    import pooch

    failures: dict[str, Exception] = {}
    # without streaming: a stream would leave the connection open after an error
    download = pooch.HTTPDownloader(stream=False)
    sha256 = archive.sha256[name]
    for mirror in archive.mirrors:
        try:
            copy = pooch.retrieve(mirror + name, sha256, name, archive.cache, downloader=download)
            return Path(copy)
        except ValueError as error:  # the checksum differs; pooch has deleted the download
            failures[f"{mirror} (sent a file with another SHA-256)"] = error
        except OSError as error:
            response = getattr(error, "response", None)
            failures[f"{mirror} ({getattr(response, 'reason', None) or type(error).__name__})"] = (
                error
            )
    errors = list(failures.values())
    wrong = [error for error in errors if isinstance(error, ValueError)]
    kind = ValueError if wrong else ConnectionError
    raise kind(
        f"could not fetch {name}; tried {', '.join(failures)}. Without a network, put {name}, with"
        f" SHA-256 {sha256}, into {archive.cache}"
    ) from (wrong[0] if wrong else errors[-1])


def find_idx(path: Path, split: str) -> tuple[Path, Path | None] | None:
    """Find the official IDX files of a split: images, and labels if there are any.

    Args:
        path: the file of images, or a folder that holds it, itself or further below, as torchvision
            lays it out: `path/MNIST/raw/train-images-idx3-ubyte`, plain or gzipped.
        split: "train" or "test".

    Returns: None where there is no such file.
    Raises: ValueError where the folder holds several data sets.
    """
    if path.is_dir():
        files = sorted(path.rglob(f"{PREFIXES[split]}-{IMAGES}*"))
        folders = sorted({file.parent for file in files})
        if len(folders) > 1:
            raise ValueError(
                f"{path} holds several data sets, in {', '.join(map(str, folders))}: name one of"
                " these folders"
            )
        names = [f"{PREFIXES[split]}-{IMAGES}{end}" for end in ("", ".gz")]
        images = [file for file in files if file.name in names]
    else:
        name = path.name.replace(PREFIXES["train"], PREFIXES[split])
        images = [path.with_name(name)] if IMAGES in name else []
    if not images or not images[0].is_file():
        return None
    labels = images[0].name.removesuffix(".gz").replace(IMAGES, LABELS)
    found = [images[0].with_name(labels + end) for end in ("", ".gz")]
    return images[0], next((file for file in found if file.is_file()), None)


def read_idx(path: Path, rank: int) -> np.ndarray:
    """Read an array of bytes from an IDX file, gzipped if its name ends in .gz.

    The format: two zero bytes, 8 for unsigned bytes, the rank; each side as a big-endian 32-bit
        integer; the bytes.

    Args:
        path: the file.
        rank: how many dimensions it must have.

    Returns: uint8, of that rank.
    Raises: ValueError for a file that is truncated, not gzip despite its name, or of another dtype,
        rank or number of bytes.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is not a whole gzip file: {error}") from error
    magic, start = bytes([0, 0, 8, rank]), 4 + 4 * rank
    if content[:4] != magic:
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes with rank {rank}: "
            f"expected it to start with {magic.hex()}, got {content[:4].hex() or 'nothing'}"
        )
    if len(content) < start:
        raise ValueError(f"{path} ends within its header: expected {start} bytes, got {len(content)}")
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    expected, got = math.prod(shape), len(content) - start
    if got != expected:
        raise ValueError(
            f"{path} announces shape {tuple(shape)}: expected {expected} bytes of content, got {got}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
