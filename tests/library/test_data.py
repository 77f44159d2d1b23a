"""The data: what is bundled, and the whole of MNIST from files served on this machine."""

import functools
import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest
import torch

from minddpm import archives, data
from minddpm.images import ARCHIVES, load_images, load_splits

SIDES = (28, 28)
NAMES = tuple(archives.MNIST.sha256)


def idx(array, kind=8):
    """An array as an IDX file, written independently of the package; kind, the dtype's code."""
    header = bytes([0, 0, kind, array.ndim]) + b"".join(
        side.to_bytes(4, "big") for side in array.shape
    )
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


packed = functools.partial(
    gzip.compress, mtime=0
)  # bytes name tests: without the time, two collections agree


def digits(count):
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, *SIDES), dtype=np.uint8), rng.integers(
        0, 10, count, dtype=np.uint8
    )


@pytest.fixture
def web(tmp_path, monkeypatch):
    """Serve MNIST's four files, with few digits, at two addresses on loopback; `web.mnist()` makes
    them the archive.
    """

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            web.requests.append(self.path)
            super().do_GET()

    class Web:
        def __init__(self):
            self.folder, self.cache, self.requests = tmp_path / "web", tmp_path / "cache", []
            self.digits = {"train": digits(7), "t10k": digits(5)}
            for mirror in ("first", "second"):
                (self.folder / mirror).mkdir(parents=True)
                for name, (images, labels) in self.digits.items():
                    self.write(f"{mirror}/{name}-images-idx3-ubyte.gz", packed(idx(images)))
                    self.write(f"{mirror}/{name}-labels-idx1-ubyte.gz", packed(idx(labels)))

        def write(self, path, content):
            (self.folder / path).write_bytes(content)

        def mnist(self, *, trust="second"):
            """Make this the archive of load_mnist, the checksums being those of the files of one
            mirror.
            """
            sha256 = {
                name: hashlib.sha256((self.folder / trust / name).read_bytes()).hexdigest()
                for name in NAMES
            }
            address = f"http://127.0.0.1:{server.server_address[1]}"
            mirrors = (f"{address}/first/", f"{address}/second/")
            archive = archives.Archive(mirrors, sha256, tuple("0123456789"), self.cache)
            monkeypatch.setattr(data, "MNIST", archive)
            monkeypatch.setitem(ARCHIVES, "fashion-mnist", archive)
            return archive

        def cached(self):
            return sorted(path.name for path in self.cache.iterdir()) if self.cache.exists() else []

    web = Web()
    handler = functools.partial(Handler, directory=web.folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def stop():
        server.shutdown()
        server.server_close()
        thread.join()

    web.stop = stop
    yield web
    stop()


# what is bundled


@pytest.mark.parametrize(("split", "each"), [("train", 450), ("test", 50)])
def test_the_bundled_split_is_stratified(split, each):
    images, labels = data.load_mnist(split)
    assert images.shape == (10 * each, 1, 28, 28)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [each] * 10
    assert (images.min(), images.max()) == (-1, 1)
    assert labels[:10].unique().numel() > 1, (
        "the digits are sorted by class, so that a slice of them is no sample"
    )


def test_no_digit_is_in_both_splits():
    train, test = (data.load_mnist(split)[0] for split in ("train", "test"))
    assert not {image.numpy().tobytes() for image in train} & {
        image.numpy().tobytes() for image in test
    }


def test_images_are_eight_bit_pixels():
    images, _ = data.load_mnist("test")
    pixels = (images + 1) * 127.5
    assert (pixels - pixels.round()).abs().max() < 1e-4
    with np.load(data.ASSETS / "mnist_5000.npz") as arrays:
        assert np.array_equal(pixels.round().numpy()[:, 0], arrays["test_images"])


def test_from_bytes_maps_the_ends_to_minus_one_and_one():
    assert data.from_bytes(np.array([0, 255], dtype=np.uint8)).tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("arguments", "name"), [(("valid",), "split"), (("train", "web"), "source")]
)
def test_an_unknown_split_or_source_is_refused(arguments, name):
    with pytest.raises(ValueError, match=f"{name} must be .* or .*, got '{arguments[-1]}'"):
        data.load_mnist(*arguments)


def test_the_cat():
    cat = data.load_cat()
    assert cat.shape == (1, 1, 128, 128)
    assert cat.dtype == torch.float32
    assert cat.abs().max() <= 1
    assert cat.std() > 0.2, "a photograph has contrast"


def test_the_digest_names_the_images():
    images, _ = data.load_mnist("test")
    with np.load(data.ASSETS / "mnist_5000.npz") as arrays:
        assert (
            data.data_digest(images) == hashlib.sha256(arrays["test_images"].tobytes()).hexdigest()
        )
    assert data.data_digest(images[:-1]) != data.data_digest(images)


def test_jitter_without_amplitude_changes_nothing():
    images, _ = data.load_mnist("test")
    still = data.jitter(images[:50], torch.Generator().manual_seed(0), degrees=0.0, stretch=0.0)
    assert (still - images[:50]).abs().max() < 1e-4


def test_jitter_turns_each_image_its_own_way_within_bounds_and_repeatably():
    bar = -torch.ones(400, 1, 28, 28)
    bar[:, :, 4:24, 13:15] = 1  # an upright stroke
    turned = data.jitter(bar, torch.Generator().manual_seed(1), stretch=0.0)
    assert torch.equal(turned, data.jitter(bar, torch.Generator().manual_seed(1), stretch=0.0))
    assert turned.abs().max() <= 1
    weight = turned.double() + 1
    y, x = torch.meshgrid(torch.arange(28.0) - 13.5, torch.arange(28.0) - 13.5, indexing="ij")
    second = [(weight * v).sum((1, 2, 3)) / weight.sum((1, 2, 3)) for v in (x * y, y * y - x * x)]
    degrees = torch.rad2deg(
        torch.atan2(2 * second[0], second[1]) / 2
    )  # of the stroke's long axis, from its moments
    assert degrees.abs().max() < 6.2
    assert degrees.max() > 5
    assert degrees.min() < -5


def disc(height, width, radius=7.0):
    """A bright disc in the middle of a dark image, its edge a pixel wide."""
    y = torch.arange(height)[:, None] - (height - 1) / 2
    x = torch.arange(width)[None] - (width - 1) / 2
    return (2 * (radius + 0.5 - (x**2 + y**2).sqrt()).clamp(0, 1) - 1)[None, None]


@pytest.mark.parametrize("sides", [(20, 40), (40, 20), (28, 28)])
def test_jitter_turns_an_image_of_any_sides_without_shearing_it(sides):
    images = disc(*sides).expand(50, -1, -1, -1)
    turned = data.jitter(images, torch.Generator().manual_seed(0), degrees=45.0, stretch=0.0)
    assert (turned - images).abs().mean() < 0.01  # a disc turned is that disc
    assert (turned - images).abs().max() < 0.4  # but for what its edge loses to interpolation


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_jitter_keeps_the_dtype(dtype):
    images, _ = data.load_mnist("test")
    turned = data.jitter(images[:4].to(dtype), torch.Generator().manual_seed(0))
    wanted = data.jitter(images[:4], torch.Generator().manual_seed(0))
    assert turned.dtype == dtype
    assert (turned.float() - wanted).abs().max() < 0.02


def test_defaults_of_the_caller_change_nothing():
    def loaded():
        images, labels = data.load_mnist("test")
        turned = data.jitter(images[:9], torch.Generator().manual_seed(0))
        return images, labels, turned, data.load_cat()

    usual = loaded()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        unusual = loaded()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    for one, other in zip(usual, unusual, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_bytes_and_back():
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(data.to_bytes(data.from_bytes(pixels)), pixels)
    assert data.to_bytes(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


# the whole of MNIST


@pytest.mark.parametrize("archive", [archives.MNIST, archives.FASHION_MNIST])
def test_the_archives_are_the_official_ones(archive):
    assert len(archive.mirrors) >= 2
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in archive.mirrors)
    assert tuple(archive.sha256) == tuple(
        f"{split}-{kind}-ubyte.gz"
        for split in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )
    assert all(len(bytes.fromhex(value)) == 32 for value in archive.sha256.values())
    assert len(set(archive.names)) == 10


def test_each_archive_has_files_of_its_own():
    # the files of both have the same names
    assert not set(archives.MNIST.sha256.values()) & set(archives.FASHION_MNIST.sha256.values())
    assert archives.MNIST.cache != archives.FASHION_MNIST.cache


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("test", "t10k")])
def test_full_mnist_is_fetched_once_and_kept(web, split, name):
    web.mnist()
    images, labels = data.load_mnist(split, "full")
    pixels, digits = web.digits[name]
    assert torch.equal(images, data.from_bytes(pixels)[:, None])
    assert labels.tolist() == digits.tolist()
    assert len(web.requests) == 2
    web.stop()
    again, _ = data.load_mnist(split, "full")  # no network now
    assert torch.equal(again, images)
    assert len(web.requests) == 2
    assert web.cached() == [f"{name}-images-idx3-ubyte.gz", f"{name}-labels-idx1-ubyte.gz"]


def break_by_absence(path):
    path.unlink()


def break_by_corruption(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def break_by_truncation(path):
    path.write_bytes(path.read_bytes()[:-100])


BREAKAGES = [break_by_absence, break_by_corruption, break_by_truncation]


@pytest.mark.parametrize("damage", BREAKAGES)
def test_the_next_mirror_stands_in_for_a_broken_one(web, damage):
    web.mnist()
    damage(web.folder / "first" / "t10k-images-idx3-ubyte.gz")
    images, _ = data.load_mnist("test", "full")
    assert torch.equal(images, data.from_bytes(web.digits["t10k"][0])[:, None])


@pytest.mark.parametrize("damage", BREAKAGES)
def test_no_good_mirror_is_an_error_that_names_each_and_leaves_nothing(web, damage):
    archive = web.mnist()
    for mirror in ("first", "second"):
        damage(web.folder / mirror / "t10k-images-idx3-ubyte.gz")
    kind = ConnectionError if damage is break_by_absence else ValueError
    with pytest.raises(
        kind, match="could not fetch t10k-images-idx3-ubyte.gz.*source='bundled'"
    ) as error:
        data.load_mnist("test", "full")
    assert all(mirror in str(error.value) for mirror in archive.mirrors)
    said = {
        ConnectionError: "File not found",
        ValueError: archive.sha256["t10k-images-idx3-ubyte.gz"],
    }
    assert said[kind] in str(error.value)
    assert web.cached() == []


def test_no_network_is_an_error_that_names_the_bundled_digits(web):
    archive = web.mnist()
    web.stop()
    with pytest.raises(
        ConnectionError, match="The digits of source='bundled' need no network"
    ) as error:
        data.load_mnist("train", "full")
    assert all(f"{mirror} (ConnectionError)" in str(error.value) for mirror in archive.mirrors)
    assert web.cached() == []


def test_fashion_mnist_is_fetched_by_name(web):
    web.mnist()
    loaded = load_images("fashion-mnist", labels=True)
    pixels, digits = web.digits["train"]
    assert torch.equal(loaded.images, data.from_bytes(pixels)[:, None])
    assert loaded.labels.tolist() == digits.tolist()
    assert loaded.names == tuple("0123456789")
    train, held_out = load_splits("fashion-mnist")
    assert (len(train.images), len(held_out.images)) == (7, 5)
    assert held_out.labels is None


def test_offline_the_cache_folder_is_named_and_what_lies_there_is_taken(web):
    archive = web.mnist()
    web.stop()
    with pytest.raises(ConnectionError, match="Without a network, put ") as error:
        data.load_mnist("test", "full")
    assert str(web.cache) in str(error.value)
    assert archive.sha256["t10k-images-idx3-ubyte.gz"] in str(error.value)
    web.cache.mkdir(exist_ok=True)
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (web.cache / name).write_bytes((web.folder / "first" / name).read_bytes())
    loaded, _ = data.load_mnist("test", "full")
    assert torch.equal(loaded, data.from_bytes(web.digits["t10k"][0])[:, None])


def test_a_damaged_copy_in_the_cache_is_fetched_again(web):
    web.mnist()
    images, _ = data.load_mnist("test", "full")
    break_by_truncation(web.cache / "t10k-images-idx3-ubyte.gz")
    again, _ = data.load_mnist("test", "full")
    assert torch.equal(again, images)


PIXELS, LABELS = digits(5)
IMAGES_FILE, LABELS_FILE = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGES_FILE, b"", "expected it to start with 00000803, got nothing"),
        (IMAGES_FILE, b"<html>404</html>", "is not a whole gzip file"),
        (IMAGES_FILE, packed(idx(PIXELS))[:-100], "is not a whole gzip file"),
        (IMAGES_FILE, packed(b""), "expected it to start with 00000803, got nothing"),
        (IMAGES_FILE, packed(idx(LABELS)), "expected it to start with 00000803, got 00000801"),
        (LABELS_FILE, packed(idx(PIXELS)), "expected it to start with 00000801, got 00000803"),
        (
            IMAGES_FILE,
            packed(idx(PIXELS.astype(np.float32), kind=13)),
            "start with 00000803, got 00000d03",
        ),
        (IMAGES_FILE, packed(idx(PIXELS)[:10]), "ends within its header: expected 16 bytes, got 10"),
        (
            IMAGES_FILE,
            packed(idx(PIXELS)[:-9]),
            "shape .5, 28, 28.: expected 3920 bytes of content, got 3911",
        ),
        (IMAGES_FILE, packed(idx(PIXELS) + b"x"), "expected 3920 bytes of content, got 3921"),
        (
            IMAGES_FILE,
            packed(idx(PIXELS[:4])),
            r"expected an image .* got images of shape \(4, 28, 28\) and 5 labels",
        ),
        (
            IMAGES_FILE,
            packed(idx(PIXELS[:, 1:])),
            r"28 x 28 pixels for each label .* got .* \(5, 27, 28\)",
        ),
        (LABELS_FILE, packed(idx(LABELS + np.uint8(10))), "label 0..9, got .* labels up to 1"),
    ],
)
def test_a_file_that_is_not_mnist_is_refused_whatever_its_checksum(web, name, content, message):
    web.write(f"first/{name}", content)
    web.mnist(trust="first")
    with pytest.raises(ValueError, match=message):
        data.load_mnist("test", "full")
