"""MNIST and FashionMNIST as their authors publish them: IDX files, downloaded once and kept."""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minddpm.folders import list_below

IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
PREFIXES = {"train": "train", "test": "t10k"}
# train-images-idx3-ubyte.gz, train-images.idx3-ubyte, emnist-letters-test-images-idx3-ubyte
IDX_NAME = re.compile(
    r"((?P<data_set>.+)-)?(?P<split>train|t10k|test)-(?P<kind>images[-.]idx3|labels[-.]idx1)-ubyte"
    r"(\.gz)?"
)
GZIP = bytes([0x1F, 0x8B])  # how a gzip file starts
MOST_GZIPPED = 1032  # times: gzip makes no file smaller than that


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
    """Return a file of an archive: the copy in its cache folder if that is complete, otherwise one
    downloaded from the first mirror that has it.

    Raises: ConnectionError if no mirror could send the file, ValueError if one sent another file,
        OSError if the cache folder cannot be written.
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
            network = hasattr(error, "response") or isinstance(
                error, ConnectionError | TimeoutError
            )
            if not network:  # but the disk
                why = error.strerror or error
                raise OSError(f"cannot keep {name} in {archive.cache}: {why}") from error
            response = getattr(error, "response", None)
            failures[f"{mirror} ({getattr(response, 'reason', None) or 'no connection'})"] = error
    errors = list(failures.values())
    wrong = [error for error in errors if isinstance(error, ValueError)]
    kind = ValueError if wrong else ConnectionError
    raise kind(
        f"could not download {name} (SHA-256 {sha256}); tried {', '.join(failures)}. Without a"
        f" network, put these files into {archive.cache}: {', '.join(archive.sha256)}"
    ) from (wrong[0] if wrong else errors[-1])


class IdxFile(NamedTuple):
    """An IDX file, as its name tells."""

    path: Path
    data_set: str  # such as "emnist-letters"; empty for MNIST's own names
    split: str  # "train" or "test"
    kind: str  # "images" or "labels"


def idx_files(paths: Iterable[Path]) -> list[IdxFile]:
    """The IDX files among these, plain ones before gzipped ones."""
    found = []
    for path in sorted(paths, key=lambda path: (path.suffix == ".gz", path)):
        if match := IDX_NAME.fullmatch(path.name):
            split = "train" if match["split"] == "train" else "test"
            found.append(IdxFile(path, match["data_set"] or "", split, match["kind"][:6]))
    return found


def find_idx(path: Path) -> dict[str, tuple[Path, Path | None]]:
    """Find IDX files by their usual names: images, and labels if there are any.

    Args: path, a file of images, or a folder that holds it, itself or further below, as torchvision
        lays it out: `path/MNIST/raw/train-images-idx3-ubyte`.
    Returns: the files of "train" and of "test", as far as they are there. The file of a test split,
        given by name, counts as both.
    Raises: ValueError where the folder holds several data sets.
    """
    if path.is_dir():
        files = idx_files(path / file for file in list_below(path).files)
        images = [file for file in files if file.kind == "images"]
    else:
        given = [file for file in idx_files([path]) if file.kind == "images" and path.is_file()]
        if not given:
            return {}
        files = idx_files(file for file in path.parent.iterdir() if file.is_file())
        siblings = [file for file in files if file[1:] == (given[0].data_set, "test", "images")]
        images = [*given, *siblings] if given[0].split == "train" else given
    # what lies in the folder itself comes before what lies further below
    images = [file for file in images if file.path.parent == path] or images
    check_one_data_set(path, images)
    found = {}
    for file in reversed(images):  # so that a plain one replaces its gzipped copy
        wanted = (file.data_set, file.split, "labels")
        beside = [other.path for other in files if other[1:] == wanted]
        labels = [path for path in beside if path.parent == file.path.parent]
        found[file.split] = (file.path, labels[0] if labels else None)
    if images and not path.is_dir() and "train" not in found:
        found["train"] = found["test"]
    return found


def check_one_data_set(path: Path, images: list[IdxFile]) -> None:
    """Raise ValueError if files of images differ in their data set, or in a split's folder."""
    folders = {(file.split, file.path.parent) for file in images}
    splits = {file.split for file in images}
    if len({file.data_set for file in images}) > 1 or len(folders) > len(splits):
        every = ", ".join(str(file.path) for file in images)
        raise ValueError(f"{path} holds several data sets: choose one of the files {every}")


def read_idx(path: Path, rank: int) -> np.ndarray:
    """Read an array of bytes from an IDX file, gzipped or not, whatever its name.

    The format: two zero bytes, 8 for unsigned bytes, the number of dimensions; each side as a
        big-endian 32-bit integer; the bytes.

    Args:
        path: the file.
        rank: how many dimensions it must have.

    Returns: uint8, with that many dimensions.
    Raises: ValueError for a file that is truncated, or has another dtype, another number of
        dimensions or of bytes; no more is read of it than its header announces.
    """
    with path.open("rb") as file:
        pressed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        try:
            return idx_in(gzip.GzipFile(fileobj=file) if pressed else file, path, rank)
        except EOFError as error:
            raise ValueError(f"{path} is a truncated gzip file") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is a damaged gzip file: {error}") from error


def idx_in(file: io.BufferedIOBase, path: Path, rank: int) -> np.ndarray:
    """Read an array of bytes from an IDX file that is open: see `read_idx`."""
    magic, start = bytes([0, 0, 8, rank]), 4 + 4 * rank
    header = file.read(start)
    if header[:4] != magic:
        dimensions = f"{rank} dimension{'s' * (rank > 1)}"
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes with {dimensions}: expected it to start"
            f" with {magic.hex()}, got {header[:4].hex() or 'nothing'}"
        )
    if len(header) < start:
        raise ValueError(
            f"{path} is truncated: expected a header of {start} bytes, got {len(header)}"
        )
    shape = np.frombuffer(header[4:], ">u4").tolist()
    expected = math.prod(shape)
    # a header may announce more than any memory holds
    most = MOST_GZIPPED * path.stat().st_size
    content = file.read(min(expected, most))
    got = len(content) + len(file.read(1))
    if got != expected:
        more = " or more" if got > expected else ""
        raise ValueError(
            f"{path} should hold an array of shape {tuple(shape)}: expected {expected} bytes after"
            f" the header, got {got}{more}"
        )
    try:
        return np.frombuffer(content, np.uint8).reshape(shape)
    except ValueError as error:  # sides that no array can have, beside a side of 0
        raise ValueError(
            f"{path} announces an array of shape {tuple(shape)}, which is too large"
        ) from error
