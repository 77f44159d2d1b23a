"""Grids of images of any kind, written with Pillow."""

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

from minddpm.grids import check_size, grid, picture_format, write_picture


def pixels_of(picture):
    return np.asarray(picture)


@pytest.fixture
def unchecked():
    """Let bad input through to the package's own checks, as it is without enforced annotations."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_images_lie_row_by_row_in_white_frames():
    images = torch.full((5, 1, 70, 64), -1.0)
    images[4] = 0.0
    sheet = pixels_of(grid(images, columns=2))
    assert sheet.shape == (3 * 72, 2 * 66)
    assert (sheet[0] == 255).all()
    assert (sheet[1:71, 1:65] == 0).all()
    assert (sheet[145:215, 1:65] == 128).all()
    assert (sheet[144:, 66:] == 255).all(), "the last row is short"


def test_colours_keep_their_channels():
    images = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 100, 100)
    sheet = pixels_of(grid(images))
    assert sheet.shape == (102, 102, 3)
    assert (sheet[1:-1, 1:-1] == [255, 0, 128]).all()


def test_small_images_are_enlarged_pixel_by_pixel():
    images = torch.rand(3, 1, 8, 14, generator=torch.Generator().manual_seed(0)) * 2 - 1
    small, large = pixels_of(grid(images[:, :, :, :14])), 4
    assert small.shape == (10 * large, 3 * 16 * large)
    assert (small.reshape(10, large, 48, large) == small[::large, None, ::large, None]).all()


@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (0, 1, 8, 8), (2, 1, 0, 8)])
def test_images_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(n, 3, h, w\), .* got \(" + ", ".join(map(str, shape))):
        grid(torch.zeros(shape))


@pytest.mark.parametrize(
    ("images", "columns", "said"),
    [
        (torch.zeros(8, 8), 1, r"images must have shape .*, got \(8, 8\)"),
        ([torch.zeros(1, 8, 8)], 1, "images must be a tensor, got a list"),
        (torch.zeros(2, 1, 8, 8), 0, "columns must be at least 1, got 0"),
        (torch.zeros(2, 1, 8, 8), 1.5, "columns must be an integer, got 1.5"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_in_our_words(unchecked, images, columns, said):
    with pytest.raises((TypeError, ValueError), match=said):
        grid(images, columns)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("end", [".png", ".jpg", ".PNG", ".webp", ".pdf", ".tif", ".gif"])
def test_a_picture_is_written_in_the_format_of_its_name(tmp_path, end, channels):
    path = tmp_path / f"x{end}"
    write_picture(grid(torch.zeros(4, channels, 8, 8)), path)
    if end == ".pdf":
        assert path.read_bytes().startswith(b"%PDF")
    else:
        with Image.open(path) as picture:
            assert picture.format == picture_format(path)
            assert picture.size == (4 * 10 * 8, 10 * 8)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x", "x.docx", "x.svg", "x.h5", "x.xbm", "x.mp4", "x.npz"])
def test_a_name_that_no_picture_can_have(tmp_path, name):
    with pytest.raises(ValueError, match=f"such as x.png, got .*{name}"):
        picture_format(tmp_path / name)


@pytest.mark.parametrize("name", ["x.ico", "x.icns"])
def test_a_format_that_changes_sizes_is_refused(tmp_path, name):
    with pytest.raises(
        ValueError, match=f"{name[1:]} files hold pictures of few sizes: choose .*png"
    ):
        picture_format(tmp_path / name)


@pytest.mark.parametrize("name", ["x.webp", "x.jpg", "x.gif"])
def test_a_picture_that_is_too_large_for_its_format_is_refused(tmp_path, name):
    check_size(Image.new("L", (10, 10_000)), tmp_path / name)
    with pytest.raises(ValueError, match=f"{name[1:]} files cannot hold a picture of 10x70000 pix"):
        check_size(Image.new("L", (10, 70_000)), tmp_path / name)
    check_size(Image.new("L", (10, 70_000)), tmp_path / "x.png")
