"""Images that are not the package's own: folders, arrays, IDX files, and training on them."""

import gzip
import io
import os
import re
import zipfile
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import minddpm.__main__ as command_line
from minddpm.checkpoints import load
from minddpm.data import from_bytes
from minddpm.images import as_images, fit, hold_out, load_images, load_splits
from minddpm.metrics import image_report
from minddpm.pictures import read_picture


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_pictures(folder, sizes=((12, 8),) * 3, mode="L", seed=0, suffix=".png"):
    """Pictures of these sizes (width, height), and their pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for index, (width, height) in enumerate(sizes):
        shape = (height, width, 3) if mode == "RGB" else (height, width)
        drawn.append(pixels(*shape, seed=seed + index))
        Image.fromarray(drawn[-1]).save(folder / f"{index}{suffix}")
    return drawn


@pytest.fixture
def unchecked():
    """Let bad input through to the package's own checks, as it is without enforced annotations."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# a folder of pictures


def test_a_folder_of_grey_pictures_of_any_sides(tmp_path):
    drawn = write_pictures(tmp_path / "below" / "it")
    images, labels, names = load_images(tmp_path)
    assert images.dtype == torch.float32
    assert torch.equal(images, from_bytes(np.stack(drawn))[:, None])
    assert images.shape == (3, 1, 8, 12)
    assert (labels, names) == (None, ())


def test_a_folder_of_colour_pictures(tmp_path):
    drawn = write_pictures(tmp_path, mode="RGB", suffix=".bmp")
    images = load_images(tmp_path).images
    assert torch.equal(images, from_bytes(np.stack(drawn)).permute(0, 3, 1, 2))


def test_grey_pictures_among_colour_ones_become_colour(tmp_path):
    grey = write_pictures(tmp_path / "a", [(8, 8)])
    colour = write_pictures(tmp_path / "b", [(8, 8)], mode="RGB")
    images = load_images(tmp_path).images
    assert torch.equal(images[0], from_bytes(grey[0]).expand(3, 8, 8))
    assert torch.equal(images[1], from_bytes(colour[0]).permute(2, 0, 1))
    greyed = load_images(tmp_path, channels=1).images
    assert torch.equal(greyed[0], from_bytes(grey[0])[None])
    wanted = np.asarray(Image.fromarray(colour[0]).convert("L"), dtype=np.float32)
    assert ((greyed[1, 0] + 1) * 127.5 - torch.from_numpy(wanted)).abs().max() < 1
    assert load_images(tmp_path / "a", channels=3).images.shape == (1, 3, 8, 8)


def test_a_folder_for_each_label(tmp_path):
    for seed, name in enumerate(("dog", "cat", "emu")):
        write_pictures(tmp_path / name / "deeper", [(8, 8)] * (seed + 1), seed=10 * seed)
    images, labels, names = load_images(tmp_path, labels=True)
    assert names == ("cat", "dog", "emu")
    assert labels.dtype == torch.int64
    assert labels.bincount().tolist() == [2, 1, 3]
    for name, number in zip(names, range(3), strict=True):
        alone = load_images(tmp_path / name).images
        assert torch.equal(images[labels == number], alone)


@pytest.mark.parametrize("name", ["loose.png", "without_ending"])
def test_a_picture_outside_the_label_folders_is_refused(tmp_path, name):
    write_pictures(tmp_path / "cat")
    Image.fromarray(pixels(8, 12)).save(tmp_path / name, "PNG")
    wanted = f"{name} lies outside the label folders: move it into one$"
    with pytest.raises(ValueError, match=wanted):
        load_images(tmp_path, labels=True)
    assert len(load_images(tmp_path).images) == 4


@pytest.mark.parametrize("name", ["README", "Thumbs.db", "labels.csv", "desktop.ini", "cut.png"])
def test_another_file_beside_the_label_folders_is_skipped(tmp_path, name):
    for label in ("cat", "dog"):
        write_pictures(tmp_path / label, [(8, 8)])
    (tmp_path / name).write_text("cat,0\n")
    (tmp_path / ".DS_Store").write_bytes(b"Bud1")
    with pytest.warns(match=rf"skipped 1 of 3 files in .*: {name} \(not a picture.*\)$"):
        images, labels, names = load_images(tmp_path, labels=True)
    assert (len(images), labels.tolist(), names) == (2, [0, 1], ("cat", "dog"))


def test_labels_need_folders(tmp_path):
    write_pictures(tmp_path)
    with pytest.raises(ValueError, match="expected a subfolder for each label in .*, got none"):
        load_images(tmp_path, labels=True)


def test_a_label_without_a_picture_is_refused(tmp_path):
    write_pictures(tmp_path / "cat")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "rex.png").write_bytes(b"no picture")
    (tmp_path / "owl" / "young").mkdir(parents=True)
    (tmp_path / "__MACOSX").mkdir()  # beside what a zip file of macOS holds
    wanted = (
        r"none in dog.rex.png \(not a picture that .*\), owl \(empty\): add pictures, or remove"
    )
    with pytest.raises(ValueError, match=wanted):
        load_images(tmp_path, labels=True)


def test_a_linked_label_folder_is_read(tmp_path):
    write_pictures(tmp_path / "elsewhere" / "dogs", [(8, 8)] * 2)
    write_pictures(tmp_path / "mine" / "cat", [(8, 8)])
    (tmp_path / "mine" / "dog").symlink_to(tmp_path / "elsewhere" / "dogs")
    images, labels, names = load_images(tmp_path / "mine", labels=True)
    assert (len(images), labels.tolist(), names) == (3, [0, 1, 1], ("cat", "dog"))
    assert len(load_images(tmp_path / "mine").images) == 3


def test_a_link_to_a_folder_around_it_ends(tmp_path):
    write_pictures(tmp_path / "cat", [(8, 8)])
    (tmp_path / "cat" / "again").symlink_to(tmp_path)
    (tmp_path / "cat" / "lost.png").symlink_to(tmp_path / "nowhere")
    wanted = (
        r"skipped 2 of 3 files in .*: cat.again \(a link to a folder around it\),"
        r" cat.lost.png \(a link to nothing that can be opened\)$"
    )
    with pytest.warns(match=wanted):
        assert len(load_images(tmp_path, labels=True).images) == 1


@pytest.fixture
def closed(monkeypatch):
    """Close the folders of this name, which a mode of 000 does not do for root."""

    def close(name):
        def listdir(path):
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied", str(path))
            return listed(path)

        listed = os.listdir
        monkeypatch.setattr(os, "listdir", listdir)

    return close


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, closed):
    for label in ("cat", "dog", "dog/secret"):
        write_pictures(tmp_path / label, [(8, 8)])
    closed("secret")
    reason = r"\(a folder that cannot be opened: Permission denied\)"
    with pytest.warns(match=f"skipped 1 of 3 files in .*: dog.secret {reason}$"):
        load_images(tmp_path, labels=True)
    closed("dog")
    with pytest.raises(ValueError, match=f"got none in dog {reason}: add"):
        load_images(tmp_path, labels=True)
    closed(tmp_path.name)
    wanted = f"the folder {re.escape(str(tmp_path))} cannot be opened: Permission denied$"
    with pytest.raises(PermissionError, match=wanted):
        load_images(tmp_path)


def test_what_cannot_be_read_is_named_and_skipped(tmp_path):
    write_pictures(tmp_path)
    (tmp_path / "notes.txt").write_text("these are my pictures")
    (tmp_path / ".hidden").write_text("not even looked at")
    (tmp_path / "none.png").touch()
    content = (tmp_path / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:-40])
    middle = content.index(b"IDAT") + 4  # where the pixels begin
    (tmp_path / "bad.png").write_bytes(content[:middle] + bytes(9) + content[middle + 9 :])
    (tmp_path / "photo.heic").write_bytes(b"....ftypheic")
    wanted = (
        r"skipped 5 of 8 files in .*: bad.png \(damaged: .*\), cut.png \(truncated\),"
        r" none.png \(empty\), notes.txt \(not a picture\),"
        r" photo.heic \(not a picture that Pillow can read\)$"
    )
    with pytest.warns(UserWarning, match=wanted) as warned:
        images = load_images(tmp_path).images
    assert len(images) == 3
    assert len(warned) == 1


@pytest.mark.parametrize(
    "limit", [100, 60]
)  # Pillow warns beyond its limit, and raises beyond twice
def test_a_picture_beyond_the_limit_of_pillow_is_named_and_skipped(tmp_path, monkeypatch, limit):
    write_pictures(tmp_path, [(8, 6), (16, 10), (8, 6)])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    wanted = (
        rf"skipped 1 of 3 files .*: 1.png \(too large: more than {limit} pixels, Pillow's limit\)"
    )
    with pytest.warns(match=wanted):
        assert len(load_images(tmp_path).images) == 2


def test_a_picture_beyond_memory_is_named_and_skipped(tmp_path, monkeypatch):
    write_pictures(tmp_path)

    def read(path):
        if path.name == "1.png":
            raise MemoryError
        return read_picture(path)

    monkeypatch.setattr("minddpm.images.read_picture", read)
    with pytest.warns(match=r"skipped 1 of 3 files .*: 1.png \(too large for memory\)"):
        load_images(tmp_path)


def test_many_unread_files_are_not_all_named(tmp_path):
    write_pictures(tmp_path)
    for index in range(8):
        (tmp_path / f"note{index}.txt").write_text("")
    with pytest.warns(
        match=r"skipped 8 of 11 files .*: note0.txt \(empty\), .*note4.txt \(empty\), \.\.\.$"
    ):
        load_images(tmp_path)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected pictures in .*, got no files"):
        load_images(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"got only notes.txt \(empty\)"):
        load_images(tmp_path)


def test_pictures_of_several_sizes_need_a_side(tmp_path):
    write_pictures(tmp_path, [(12, 8), (12, 8), (8, 8)])
    wanted = r"have 2 sizes, 12x8 \(2\), 8x8 \(1\): choose a side .*side=32"
    with pytest.raises(ValueError, match=wanted):
        load_images(tmp_path)
    assert load_images(tmp_path, side=8).images.shape == (3, 1, 8, 8)


def test_a_side_cuts_out_the_middle():
    images = torch.linspace(-1, 1, 12).expand(1, 1, 8, 12)
    assert torch.equal(fit(images, 8), images[:, :, :, 2:10])
    assert torch.equal(fit(images.mT, 8), images.mT[:, :, 2:10])


@pytest.mark.parametrize(("size", "side"), [((40, 30), 10), ((10, 15), 30), ((31, 17), 8)])
def test_a_side_scales_as_pillow_does(size, side):
    picture = Image.fromarray(pixels(*reversed(size)))
    width, height = (max(side, round(length * side / min(size))) for length in size)
    scaled = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - side) // 2, (height - side) // 2
    wanted = np.asarray(scaled.crop((left, top, left + side, top + side)))
    images = fit(from_bytes(np.asarray(picture))[None, None], side)
    assert images.shape == (1, 1, side, side)
    assert (images - from_bytes(wanted)).abs().max() < 2 / 127.5  # Pillow rounds to bytes, twice


def test_a_transparent_part_is_black_and_a_turned_photograph_upright(tmp_path):
    shades = np.full((4, 6, 4), 200, np.uint8)
    shades[:, :3, 3], shades[:, 3:, 3] = 0, 255
    Image.fromarray(shades).save(tmp_path / "clear.png")
    seen = read_picture(tmp_path / "clear.png")
    assert (seen[:, :, :3] == 0).all()
    assert (seen[:, :, 3:] == 200).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(pixels(4, 6)).save(tmp_path / "turned.png", exif=exif)
    assert read_picture(tmp_path / "turned.png").shape == (6, 4)


def test_sixteen_bits_become_eight(tmp_path):
    deep = (np.arange(64).reshape(8, 8) * 1040).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read_picture(tmp_path / "deep.png"), deep // 257)


def test_sixteen_bits_in_wider_integers_become_eight(tmp_path):
    deep = (np.arange(64).reshape(8, 8) * 1040).astype(np.int32)
    header = b"P5 8 8 65535\n"
    (tmp_path / "deep.ppm").write_bytes(header + deep.astype(">u2").tobytes())
    with Image.open(tmp_path / "deep.ppm") as picture:
        assert picture.mode == "I"
    assert np.array_equal(read_picture(tmp_path / "deep.ppm"), deep // 257)


@pytest.mark.parametrize(
    ("kind", "end", "reason"),
    [
        (np.uint16, "png", "its 16-bit pixels are at most 255 of 65535, which is black"),
        (np.uint16, "tif", "its 16-bit pixels are at most 255 of 65535, which is black"),
        (np.int32, "tif", "its pixels are integers of unknown range"),
        (np.float32, "tif", "its pixels are floating point, of unknown range"),
    ],
)
def test_eight_bits_in_a_wider_type_are_refused_not_black(tmp_path, kind, end, reason):
    wide = np.arange(256).reshape(16, 16).astype(kind)
    Image.fromarray(wide).save(tmp_path / f"wide.{end}")
    with pytest.raises(
        ValueError, match=rf"only wide.{end} \({reason}: save 8 or|{reason}: save 8"
    ):
        load_images(tmp_path)


def test_a_black_picture_of_sixteen_bits_is_black(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "black.png")
    assert (load_images(tmp_path).images == -1).all()


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("test", ["test", "testing", "val", "valid", "Validation"])
@pytest.mark.parametrize("labels", [False, True])
def test_subfolders_with_the_usual_names_are_splits(tmp_path, train, test, labels):
    for number, split in enumerate((train, test)):
        for label in ("a", "b"):
            write_pictures(tmp_path / split / label, [(8, 8)] * (5 - number), seed=10 * number)
    (tmp_path / "README.txt").write_text("nothing to say")
    kept, held_out = load_splits(tmp_path, labels=labels)
    for loaded, split in ((kept, train), (held_out, test)):
        alone = load_images(tmp_path / split, labels=labels)
        assert torch.equal(loaded.images, alone.images)
        assert loaded.names == alone.names == (("a", "b") if labels else ())


def test_what_lies_beside_the_splits_is_named(tmp_path):
    for split in ("train", "val", "test", "other"):
        write_pictures(tmp_path / split)
    write_pictures(tmp_path, [(12, 8)])
    wanted = "took train and test as the splits of .*, and left out 0.png, other, val$"
    with pytest.warns(match=wanted) as warned:
        train, held_out = load_splits(tmp_path)
    assert len(warned) == 1
    assert len(train.images) == len(held_out.images) == 3


@pytest.mark.parametrize("val", [False, True])
def test_a_test_split_without_labels_is_left_out_where_labels_are_asked_for(tmp_path, val):
    for split in ("train", "val")[: 1 + val]:
        for label in ("a", "b"):
            write_pictures(tmp_path / split / label, [(8, 8)] * 10)
    write_pictures(tmp_path / "test", [(8, 8)] * 5)
    used = "train and val as the splits" if val else "train as the split"
    with pytest.warns(match=f"took {used} of .*, and left out test$"):
        train, held_out = load_splits(tmp_path, labels=True)
    assert train.names == held_out.names == ("a", "b")
    assert (len(train.images), len(held_out.images)) == ((20, 20) if val else (18, 2))


def test_a_train_split_alone_is_no_label(tmp_path):
    for label in ("a", "b"):
        write_pictures(tmp_path / "train" / label)
    train, held_out = load_splits(tmp_path, labels=True)
    assert (train.names, len(train.images), len(held_out.images)) == (("a", "b"), 5, 1)
    with pytest.raises(ValueError, match="expected a split 'test' in .*, got only train"):
        load_images(tmp_path, split="test")


def test_splits_without_one_to_train_on_are_no_labels(tmp_path):
    for split in ("val", "test"):
        write_pictures(tmp_path / split / "a")
    folders = " or ".join(re.escape(str(tmp_path / split)) for split in ("test", "val"))
    wanted = f"got the splits test, val without one to train on: load {folders}$"
    with pytest.raises(ValueError, match=wanted):
        load_images(tmp_path, labels=True)
    assert len(load_images(tmp_path).images) == 6


def test_splits_one_folder_further_down_are_no_label(tmp_path):
    for split in ("train", "val"):
        write_pictures(tmp_path / "data" / split / "a")
    wanted = (
        f"got only data with the splits train and val: load {re.escape(str(tmp_path / 'data'))}$"
    )
    with pytest.raises(ValueError, match=wanted):
        load_images(tmp_path, labels=True)
    assert load_images(tmp_path / "data", labels=True).names == ("a",)


def test_a_label_called_train_is_a_label(tmp_path):
    for label in ("bus", "car", "train"):
        write_pictures(tmp_path / label)
    assert load_images(tmp_path, labels=True).names == ("bus", "car", "train")


# arrays


@pytest.mark.parametrize(
    ("shape", "channels_last"),
    [((5, 6, 8), False), ((5, 6, 8, 3), True), ((5, 1, 6, 8), False), ((5, 3, 6, 8), False)],
)
@pytest.mark.parametrize("kind", ["uint8", "float64"])
def test_an_npz_file_in_each_layout(tmp_path, shape, channels_last, kind):
    raw = pixels(*shape)
    stored = raw if kind == "uint8" else raw / 127.5 - 1
    np.savez(tmp_path / "mine.npz", images=stored, labels=np.array(["b", "a", "b", "c", "a"]))
    images, labels, names = load_images(tmp_path / "mine.npz", labels=True)
    wanted = from_bytes(raw)
    wanted = wanted.permute(0, 3, 1, 2) if channels_last else wanted.reshape(5, -1, *shape[-2:])
    assert images.dtype == torch.float32
    assert (images - wanted).abs().max() < 1e-6
    assert images.shape == wanted.shape
    assert labels.tolist() == [1, 0, 1, 2, 0]
    assert names == ("a", "b", "c")
    assert load_images(tmp_path / "mine.npz").labels is None


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"pictures": pixels(2, 4, 4)}, "expected an array 'images' in .*, got pictures"),
        ({"images": pixels(2, 4, 4)}, "expected an array 'labels' in .*, got images"),
        (
            {"images": pixels(2, 4, 4), "labels": [0]},
            r"labels must have shape \(2,\), one for each image, got \(1,\)",
        ),
        ({"images": pixels(2, 4), "labels": [0, 1]}, r"must have shape .*, got \(2, 4\)"),
        ({"images": pixels(2, 4, 4, 4), "labels": [0, 1]}, r"got \(2, 4, 4, 4\)"),
        ({"images": pixels(2, 4, 4) / 1.0, "labels": [0, 1]}, r"lie in \[-1, 1\], got .* 4 to 248"),
        ({"images": np.full((2, 4, 4), np.nan), "labels": [0, 1]}, r"lie in \[-1, 1\], got .*nan"),
        ({"images": pixels(0, 4, 4), "labels": []}, "n at least 1 and no side of 0"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError, match=said):
        load_images(tmp_path / "mine.npz", labels=True)


def test_integers_of_unknown_range_are_refused():
    with pytest.raises(TypeError, match="or floating point, got int64: .*images.astype"):
        as_images(np.zeros((2, 4, 4), np.int64))


@pytest.mark.parametrize(
    "given",
    [
        np.array([[[False, True], [True, False]]]),
        np.array([[[0, 65535], [65535, 0]]], np.uint16),
        np.array([[[0, 255], [255, 0]]], np.uint16),
        np.array([[[0, 255], [255, 0]]], np.int64),
    ],
    ids=["bool", "sixteen bits", "eight of sixteen bits", "int64"],
)
def test_the_advice_on_other_integers_keeps_black_and_white(given):
    with pytest.raises(TypeError, match="or floating point, got ") as caught:
        as_images(given)
    advice = str(caught.value).rpartition("use ")[2]
    assert as_images(eval(advice, {"images": given, "np": np})).tolist() == [[[[-1, 1], [1, -1]]]]


@pytest.mark.parametrize("kind", ["u2", ">u2", "i4", "i8"])
def test_the_advice_on_16_bits_keeps_greys(kind):
    greys = np.arange(32).reshape(2, 4, 4) * 2000
    given = greys.astype(kind)
    with pytest.raises(TypeError, match="or floating point, got ") as caught:
        as_images(given)
    advice = str(caught.value).rpartition("use ")[2]
    ours = as_images(eval(advice, {"images": given, "np": np})).numpy()[:, 0]
    assert np.abs(ours - (greys / 65535 * 2 - 1)).max() <= 1 / 127


def test_bytes_of_0_and_1_are_doubted():
    with pytest.warns(match="all pixels are 0 or 1 of 255, .* use 255 "):
        as_images(np.array([[[0, 1], [1, 0]]], np.uint8))


def test_images_in_0_to_1_are_doubted():
    with pytest.warns(match=r"all pixels lie in \[0, 1\], .* use 2 \* images - 1"):
        as_images(pixels(2, 4, 4) / 255)


def zipped(**contents):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file.getvalue()


def saved(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


WHOLE = saved(images=pixels(2, 4, 4))
HEADER = b"\x93NUMPY\x01\x00\x06\x00rubbis"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no archive", "mine.npz is not a complete .npz file$"),
        (b"", "mine.npz is not a complete .npz file$"),
        (WHOLE[:-50], "mine.npz is not a complete .npz file$"),
        (b"before it" + WHOLE, "mine.npz is damaged$"),
        (zipped(), "expected an array 'images' in .*mine.npz, got none$"),
        (zipped(images=b"text"), "expected an array 'images' in .*mine.npz, got something else"),
        (zipped(**{"images.npy": b""}), "expected an array 'images' in .*, got something else"),
        (zipped(**{"images.npy": HEADER}), "the array 'images' in .*mine.npz is damaged$"),
        (WHOLE.replace(b"descr", b"crash"), "the array 'images' in .*mine.npz is damaged$"),
    ],
)
def test_a_file_that_is_no_npz(tmp_path, content, said):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        load_images(tmp_path / "mine.npz")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": np.array([{"a": 1}])}, "'images' in .* holds Python objects: save .* numbers$"),
        (
            {"images": pixels(1, 4, 4), "labels": np.array(["cat"], object)},
            "'labels' in .*mine.npz holds Python objects: save an array of numbers or of strings$",
        ),
    ],
)
def test_arrays_of_objects_are_refused_without_a_word_on_pickles(tmp_path, arrays, said):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError, match=said):
        load_images(tmp_path / "mine.npz", labels=True)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (np.array([b"square", b"circle"]), ("circle", "square")),
        (np.array(["Zürich".encode(), b"Bern"]), ("Bern", "Zürich")),
        (np.array([10.0, 9.0]), ("9", "10")),
        (np.array([10, 9], np.uint8), ("9", "10")),
    ],
    ids=["bytes", "UTF-8", "floats", "integers"],
)
def test_labels_of_each_kind_have_plain_names(tmp_path, given, names):
    np.savez(tmp_path / "mine.npz", images=pixels(2, 4, 4), labels=given)
    loaded = load_images(tmp_path / "mine.npz", labels=True)
    assert (loaded.names, loaded.labels.tolist()) == (names, [1, 0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.array([1, 0.5]), "labels must be whole numbers or words, got 0.5"),
        (np.array([1, np.nan]), "labels must be whole numbers or words, got nan"),
        (np.array([1, np.inf]), "labels must be whole numbers or words, got inf"),
        (np.array([1, 1j]), "labels must be whole numbers or words, got a NumPy array of complex"),
        (np.array([b"a", b"\xff"]), r"labels must be text in UTF-8, got b'\\xff'"),
    ],
)
def test_labels_of_no_sense_are_refused(tmp_path, given, said):
    np.savez(tmp_path / "mine.npz", images=pixels(2, 4, 4), labels=given)
    with pytest.raises((TypeError, ValueError), match=said):
        load_images(tmp_path / "mine.npz", labels=True)


IMAGES = torch.zeros(4, 1, 8, 8)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([IMAGES[0]], r"got a list: use torch.stack\("),
        ((IMAGES[0],), r"got a tuple: use torch.stack\("),
        (TensorDataset(IMAGES), r"got a TensorDataset: use torch.stack\(\[image for image, \*_ in"),
        (DataLoader(TensorDataset(IMAGES)), r"got a DataLoader: use torch.cat\("),
        (None, "got None$"),
        ("mine", "got a str$"),
        (IMAGES.byte(), r"floating point in \[-1, 1\], got torch.uint8: .* pixels / 127.5 - 1"),
        (IMAGES > 0, r"floating point in \[-1, 1\], got torch.bool: use 2.0 \* images - 1"),
    ],
)
def test_what_is_no_tensor_is_told_how_to_become_one(unchecked, value, said):
    with pytest.raises(TypeError, match=said):
        as_images(value)


def test_images_given_for_a_path_are_sent_on(unchecked):
    with pytest.raises(
        TypeError, match="path must be a str or a Path, got a .* can be used as they"
    ):
        load_images(IMAGES)


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        (["a", "b"], {}, "path must be a str or a Path, got a list"),
        (None, {}, "path must be a str or a Path, got None"),
        (b"mine", {}, "path must be a str or a Path, got a bytes"),
        ("", {}, "path must name a file or a folder, got an empty string"),
        (".", {"side": "32"}, "side must be an integer, got '32'"),
        (".", {"side": 3.5}, "side must be an integer, got 3.5"),
        (".", {"side": (8, 8)}, r"side must be an integer, got a tuple"),
        (".", {"side": True}, "side must be an integer, got True"),
        (".", {"channels": "3"}, "channels must be 1 or 3, got '3'"),
        (".", {"channels": 3.0}, "channels must be 1 or 3, got 3.0"),
        (".", {"channels": True}, "channels must be 1 or 3, got True"),
        (".", {"labels": "labels.csv"}, "labels must be True or False, got 'labels.csv'"),
    ],
)
def test_arguments_of_another_type_are_refused_in_our_words(unchecked, path, options, said):
    for loader in (load_images, load_splits):
        with pytest.raises((TypeError, ValueError), match=said):
            loader(path, **options)
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got None"):
        load_images(".", split=None)


# IDX files


def idx(array):
    header = bytes([0, 0, 8, array.ndim])
    header += b"".join(side.to_bytes(4, "big") for side in array.shape)
    return header + array.tobytes()


def write_idx(folder, split="train", count=6, packed=False, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = pixels(count, 12, 8, seed=seed), np.arange(count, dtype=np.uint8) % 4
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        content = gzip.compress(idx(array)) if packed else idx(array)
        name = f"{split}-{kind}-ubyte{'.gz' if packed else ''}"
        (folder / name).write_bytes(content)
    return images, labels


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_idx_files_flat_or_as_torchvision_lays_them_out(tmp_path, packed, below):
    raw, digits = write_idx(tmp_path / below, packed=packed)
    other, _ = write_idx(tmp_path / below, "t10k", count=3, packed=packed, seed=9)
    images, labels, names = load_images(tmp_path, labels=True)
    assert torch.equal(images, from_bytes(raw)[:, None])
    assert labels.tolist() == digits.tolist()
    assert names == ("0", "1", "2", "3")
    train, held_out = load_splits(tmp_path)
    assert torch.equal(train.images, images)
    assert torch.equal(held_out.images, from_bytes(other)[:, None])
    end = ".gz" if packed else ""
    file = tmp_path / below / f"train-images-idx3-ubyte{end}"
    assert torch.equal(load_images(file).images, images)
    assert torch.equal(load_splits(file)[1].images, held_out.images)


def test_plain_files_are_read_where_both_lie(tmp_path):
    raw, _ = write_idx(tmp_path)
    write_idx(tmp_path, packed=True, seed=5)
    assert torch.equal(load_images(tmp_path).images, from_bytes(raw)[:, None])


def test_idx_files_without_a_test_split_hold_some_out(tmp_path):
    write_idx(tmp_path, count=40)
    train, held_out = load_splits(tmp_path, labels=True)
    assert (len(train.images), len(held_out.images)) == (36, 4)
    assert len(held_out.labels) == 4


def test_two_data_sets_in_a_folder_are_refused(tmp_path):
    for name in ("MNIST", "FashionMNIST"):
        write_idx(tmp_path / name / "raw")
    with pytest.raises(
        ValueError, match="several data sets: choose one of .*FashionMNIST.*, .*MNIST"
    ):
        load_images(tmp_path)
    assert len(load_images(tmp_path / "MNIST").images) == 6


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-test-images-idx3-ubyte"),
        ("train-images.idx3-ubyte", "t10k-images.idx3-ubyte"),
    ],
)
def test_idx_files_of_other_spellings(tmp_path, train, test, end):
    wanted = {}
    for seed, name in enumerate((train, test)):
        raw, digits = pixels(6, 12, 8, seed=seed), np.arange(6, dtype=np.uint8) % 4
        wanted[name] = from_bytes(raw)[:, None]
        labels = name.replace("images", "labels").replace("idx3", "idx1")
        for file, array in ((name, raw), (labels, digits)):
            content = gzip.compress(idx(array)) if end else idx(array)
            (tmp_path / f"{file}{end}").write_bytes(content)
    for path in (tmp_path, tmp_path / f"{train}{end}"):
        kept, held_out = load_splits(path, labels=True)
        assert torch.equal(kept.images, wanted[train])
        assert torch.equal(held_out.images, wanted[test])
        assert kept.labels.tolist() == [0, 1, 2, 3, 0, 1]
    alone = load_images(tmp_path / f"{test}{end}").images
    assert torch.equal(alone, wanted[test])
    kept, held_out = load_splits(tmp_path / f"{test}{end}")
    assert (len(kept.images), len(held_out.images)) == (5, 1)


def test_two_idx_data_sets_side_by_side_are_refused(tmp_path):
    for name in ("emnist-letters", "emnist-digits"):
        (tmp_path / f"{name}-train-images-idx3-ubyte").write_bytes(idx(pixels(3, 4, 4)))
    with pytest.raises(ValueError, match="several data sets: .*emnist-digits-.*emnist-letters-"):
        load_images(tmp_path)


def test_idx_files_in_the_folder_itself_come_first(tmp_path):
    raw, _ = write_idx(tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte.d", seed=5)
    assert torch.equal(load_images(tmp_path).images, from_bytes(raw)[:, None])


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_by_content_not_by_name(tmp_path, packed):
    raw, digits = write_idx(tmp_path, packed=packed)
    for file in list(tmp_path.iterdir()):
        other = file.name.removesuffix(".gz") if packed else f"{file.name}.gz"
        file.rename(tmp_path / other)
    loaded = load_images(tmp_path, labels=True)
    assert torch.equal(loaded.images, from_bytes(raw)[:, None])
    assert loaded.labels.tolist() == digits.tolist()


def test_an_idx_split_that_is_not_there_is_missed(tmp_path):
    write_idx(tmp_path)
    for path in (tmp_path, tmp_path / "train-images-idx3-ubyte"):
        with pytest.raises(ValueError, match="expected a split 'test' in .*, got only train"):
            load_images(path, split="test")


def test_labels_that_are_not_there_are_missed(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    assert load_images(tmp_path).labels is None
    with pytest.raises(ValueError, match="expected a file of labels beside .*, got none"):
        load_images(tmp_path, labels=True)


# other paths


def test_a_path_that_is_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="fashion-mnist, got .*nowhere, which does not"):
        load_images(tmp_path / "nowhere")
    write_pictures(tmp_path)
    with pytest.raises(ValueError, match="got the file .*0.png"):
        load_images(tmp_path / "0.png")


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_pictures(tmp_path / "mine")
    assert len(load_images("~/mine").images) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [({"side": 0}, "side must be at least 1"), ({"channels": 2}, "channels must be 1 or 3, got 2")],
)
def test_options_out_of_range(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        load_images(tmp_path, **options)


def test_one_image_in_ten_is_held_out_always_the_same(tmp_path):
    np.savez(tmp_path / "mine.npz", images=pixels(45, 4, 4), labels=np.arange(45))
    train, held_out = load_splits(tmp_path / "mine.npz", labels=True)
    assert (len(train.images), len(held_out.images)) == (41, 4)
    assert sorted([*train.labels.tolist(), *held_out.labels.tolist()]) == [*range(45)]
    assert load_splits(tmp_path / "mine.npz", labels=True)[1].labels.equal(held_out.labels)
    with pytest.raises(ValueError, match="at least 2 images"):
        hold_out(load_images(tmp_path / "mine.npz")._replace(images=torch.zeros(1, 1, 4, 4)))


# from the command line: train, sample, evaluate


@pytest.fixture
def run(capsys):
    def run(*arguments):
        code = command_line.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, (captured.err.splitlines() or [""])[-1]

    return run


def train_on(data, out, *more, steps=2):
    return ("train", "--data", data, "--out", out, "--steps", steps, "--batch-size", 2, *more)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_train_sample_and_evaluate_on_pictures_of_ones_own(tmp_path, run, mode, channels):
    write_pictures(tmp_path / "mine", [(16, 8)] * 40, mode)
    code, out, _ = run(*train_on(tmp_path / "mine", tmp_path / "run"))
    assert code == 0, out
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    model, _, metadata = load(checkpoint)
    assert model.config.image_channels == channels
    assert metadata["image_shape"] == [channels, 8, 16]
    assert metadata["augment"] == "none"
    drawn = ("--checkpoint", checkpoint, "--ddim", 2)
    code, out, message = run("sample", *drawn, "--count", 5, "--out", tmp_path / "grid.png")
    assert (code, message.startswith("error")) == (0, False)
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.mode == mode
        assert picture.width * 10 == picture.height * 5 * 18  # 5 images of 16 by 8, framed
    kept = ("--samples", tmp_path / "kept.npz", "--count", 6)
    code, out, message = run("evaluate", *drawn, *kept, "--data", tmp_path / "mine")
    assert code == 0, message
    with np.load(tmp_path / "kept.npz") as arrays:
        images = torch.from_numpy(arrays["images"])
    train, held_out = load_splits(tmp_path / "mine")
    assert out == f"{image_report(images, train.images, held_out.images)}\n"
    code, _, message = run("evaluate", *drawn, *kept)
    assert code == 2
    assert message == (
        "error: the checkpoint was trained on mine: say with --data which images to compare with"
    )


@pytest.mark.filterwarnings("default")
def test_an_evaluation_by_other_images_says_so(tmp_path, run):
    for seed, name in enumerate(("mine", "other")):
        write_pictures(tmp_path / name, [(8, 8)] * 40, seed=100 * seed)
    run(*train_on(tmp_path / "mine", tmp_path / "run"))
    drawn = ("--checkpoint", tmp_path / "run" / "checkpoint.safetensors", "--ddim", 2)
    kept = ("--samples", tmp_path / "kept.npz", "--count", 3)
    command_line.main([*map(str, ("evaluate", *drawn, *kept, "--data", tmp_path / "mine"))])
    code, _, _ = run("evaluate", *drawn, *kept, "--data", tmp_path / "other")
    assert code == 0
    write_pictures(tmp_path / "wide", [(16, 8)] * 40)
    code, _, message = run("evaluate", *drawn, *kept, "--data", tmp_path / "wide")
    assert code == 2
    assert "images of shape (1, 8, 8), as the checkpoint draws them, got (1, 8, 16)" in message


def test_the_labels_of_folders_can_be_drawn_by_name(tmp_path, run):
    for seed, name in enumerate(("cat", "dog", "7")):
        write_pictures(tmp_path / "mine" / name, [(8, 8)] * 4, seed=10 * seed)
    run(*train_on(tmp_path / "mine", tmp_path / "run", "--labels"))
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    model, _, metadata = load(checkpoint)
    assert model.config.classes == 3
    assert metadata["label_names"] == ["7", "cat", "dog"]
    drawn = ("sample", "--checkpoint", checkpoint, "--count", 2, "--ddim", 2)
    for option in (("--label", "dog"), ("--digit", 7), ("--label", "cat", "--scale", 2)):
        code, _, message = run(*drawn, *option, "--out", tmp_path / "x.png")
        assert code == 0, message
    code, _, message = run(*drawn, "--label", "emu", "--out", tmp_path / "x.png")
    assert (code, message) == (2, "error: --label must be one of 7, cat, dog, got 'emu'")


def test_labels_are_drawn_as_they_were_trained():
    # the name must reach the network as the number of its folder
    metadata = {"label_names": ["cat", "dog"]}
    config = command_line.UNetConfig(classes=2)
    assert command_line.label_number("--label", "dog", config, metadata) == 1
    assert command_line.label_number("--label", "1", config, {}) == 1


@pytest.mark.parametrize(
    ("size", "said"),
    [((9, 8), "multiples of 4, got 9x8: .* --side 8"), ((30, 50), "30x50: .* --side 32")],
)
def test_sides_that_cannot_be_halved_name_a_side_that_can(tmp_path, run, size, said):
    write_pictures(tmp_path / "mine", [size] * 4)
    code, _, message = run(*train_on(tmp_path / "mine", tmp_path / "run"))
    assert code == 2
    assert re.search(said, message), message
    assert not (tmp_path / "run").exists()
    side = message.split()[-1]
    code, _, _ = run(*train_on(tmp_path / "mine", tmp_path / "run", "--side", side))
    assert code == 0


def test_several_sizes_name_the_option_that_helps(tmp_path, run):
    write_pictures(tmp_path / "mine", [(8, 8), (9, 8), (8, 8)])
    code, _, message = run(*train_on(tmp_path / "mine", tmp_path / "run"))
    assert code == 2
    assert message.endswith("choose a side to scale and crop them to, such as --side 32")
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("default")
def test_skipped_files_cost_a_line(tmp_path, run, capsys):
    write_pictures(tmp_path / "mine", [(8, 8)] * 5)
    (tmp_path / "mine" / "notes.txt").write_text("")
    arguments = train_on(tmp_path / "mine", tmp_path / "run")
    assert command_line.main([str(argument) for argument in arguments]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (f"warning: skipped 1 of 6 files in {tmp_path / 'mine'}: notes.txt (empty)")


def test_idx_and_npz_and_colour_from_the_command_line(tmp_path, run):
    write_idx(tmp_path / "idx", count=8)
    write_idx(tmp_path / "idx", "t10k", count=3)
    assert run(*train_on(tmp_path / "idx", tmp_path / "a", "--labels"))[0] == 0
    assert load(tmp_path / "a" / "checkpoint.safetensors")[0].config.classes == 4
    np.savez(tmp_path / "mine.npz", images=pixels(6, 8, 8, 3))
    assert run(*train_on(tmp_path / "mine.npz", tmp_path / "b", "--channels", 1))[0] == 0
    assert load(tmp_path / "b" / "checkpoint.safetensors")[0].config.image_channels == 1


@pytest.mark.parametrize("option", ["--side", "--channels"])
def test_options_of_data_need_data(tmp_path, run, option):
    code, _, message = run("train", "--out", tmp_path / "run", option, 3)
    assert (code, message) == (2, f"error: {option} needs --data, got only {option} 3")


def test_start_must_have_the_channels_of_the_images(tmp_path, run):
    write_pictures(tmp_path / "grey", [(8, 8)] * 4)
    write_pictures(tmp_path / "colour", [(8, 8)] * 4, mode="RGB")
    run(*train_on(tmp_path / "grey", tmp_path / "a"))
    start = ("--start", tmp_path / "a" / "checkpoint.safetensors")
    code, _, message = run(*train_on(tmp_path / "colour", tmp_path / "b", *start))
    assert code == 2
    assert (
        "--start must be a checkpoint for images with 3 channels, got one for 1 channel" in message
    )


def test_test_labels_are_numbered_as_those_trained_on(tmp_path):
    for split, labels in (("train", ("cat", "dog", "fox")), ("test", ("dog", "fox"))):
        for number, label in enumerate(labels):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            Image.new("L", (8, 8), 10 * number).save(folder / "a.png")
    train, held_out = load_splits(tmp_path, labels=True)
    assert train.names == held_out.names == ("cat", "dog", "fox")
    assert held_out.labels.tolist() == [1, 2]
    (tmp_path / "test" / "fox").rename(tmp_path / "test" / "owl")
    with pytest.raises(ValueError, match="must be among cat, dog, fox, got owl"):
        load_splits(tmp_path, labels=True)


def test_test_images_of_another_shape_are_refused_before_training(tmp_path):
    for split, side in (("train", 8), ("test", 12)):
        (tmp_path / split).mkdir()
        Image.new("RGB", (side, side)).save(tmp_path / split / "a.png")
    with pytest.raises(ValueError, match=r"to train on, \(3, 8, 8\), got \(3, 12, 12\)"):
        load_splits(tmp_path)


@pytest.mark.parametrize("name", ["batch_size_xx", "a/side=3", "learning_rate.npz"])
def test_a_path_is_named_as_it_was_given(run, tmp_path, name):
    code, _, message = run("train", "--data", tmp_path / name, "--out", tmp_path / "run")
    assert code == 2 and str(tmp_path / name) in message


def test_arrays_of_a_kind_that_is_not_taken_are_refused_in_one_line(run, tmp_path):
    for number, images in enumerate((np.zeros((4, 8, 8), np.int64), np.zeros((5, 0, 0), np.uint8))):
        path = tmp_path / f"{number}.npz"
        np.savez(path, images=images)
        code, _, message = run("train", "--data", path, "--out", tmp_path / "run")
        assert code == 2 and message.startswith("error: ") and "\n" not in message
