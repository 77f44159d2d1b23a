"""Moving pictures without a browser: which frames are stored, and what is seen where none move."""

import base64
import html
import io
import json
import re
from pathlib import Path

import IPython.display
import nbformat
import numpy as np
import pytest
import torch
from PIL import Image

from minddpm_course.figures import new_figure, point_clouds
from minddpm_course.moving import GAP, moving_bundle, show_moving, some_of, tiled

ROOT = Path(__file__).parents[2]
GREYS = torch.linspace(-1, 1, 6)
DIGITS = [grey.expand(5, 1, 4, 3) for grey in GREYS]
LABELS = [f"t = {time}" for time in (50, 40, 30, 20, 10, 0)]
CAPTION = 'Where "x < y" & more: </script> nothing is lost.'


def film_of(bundle):
    """What the player is given, and its frames as pixels."""
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', bundle["text/html"])
    film = json.loads(data)
    return film, [opened(frame, "image/webp") for frame in film["frames"]]


def opened(address, mime):
    assert address.startswith(f"data:{mime};base64,")
    content = base64.b64decode(address.partition(",")[2], validate=True)
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def lines(count=4, size=(7, 2)):
    """Figures of one line that rises."""
    for height in range(count):
        figure, ((axis,),) = new_figure()
        figure.set_size_inches(size)
        axis.plot([0, 1], [0, height])
        axis.set(xlabel="x", ylabel="y", ylim=(0, count))
        yield figure


def test_every_pixel_of_every_image_is_stored():
    film, frames = film_of(moving_bundle(DIGITS, LABELS, CAPTION))
    assert film["labels"] == LABELS
    assert film["pixelated"]
    assert len(frames) == len(DIGITS)
    for grey, frame in zip(GREYS, frames):
        assert frame.shape == (2 * 4 + GAP, 3 * 3 + 2 * GAP, 3)  # five images in rows of three
        value = round((float(grey) + 1) * 127.5)
        assert (frame[:4, :3] == value).all()
        assert (frame[-4:, 3 + GAP : 6 + GAP] == value).all()
        assert (frame[-4:, -3:] == 255).all()  # there is no sixth
        assert (frame[4 : 4 + GAP] == 255).all()


def test_images_stand_in_their_order_and_in_their_colours():
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sheet = torch.from_numpy(np.asarray(tiled(images)).copy()).movedim(-1, 0) / 127.5 - 1
    for image, (top, left) in zip(images, ((0, 0), (0, 4 + GAP), (4 + GAP, 0))):
        shown = sheet[:, top : top + 4, left : left + 4]
        assert torch.allclose(shown, image, rtol=0, atol=0.005)
    outside = tiled(torch.full((1, 1, 2, 2), 3.0))
    assert (np.asarray(outside) == 255).all()


def test_figures_are_frames_as_wide_as_they_are():
    film, frames = film_of(moving_bundle(list(lines()), LABELS[:4], CAPTION))
    assert film["width"] == 770
    assert not film["pixelated"]
    assert len({frame.tobytes() for frame in frames}) == 4
    film, _ = film_of(moving_bundle([point_clouds([torch.zeros(1, 2)])] * 2, LABELS[:2], CAPTION))
    assert film["width"] == 385


def test_where_nothing_moves_there_is_a_picture_and_a_sentence():
    bundle = moving_bundle(DIGITS, LABELS, CAPTION)
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    assert bundle["text/plain"] == CAPTION
    shown, *_ = re.findall(r'<img alt="([^"]*)" width="770" .*? src="([^"]*)"', bundle["text/html"])
    assert html.unescape(shown[0]) == CAPTION
    paper = opened(f"data:image/png;base64,{bundle['image/png']}", "image/png")
    assert np.array_equal(opened(shown[1], "image/webp"), paper)
    assert paper.shape[1] == 770
    caption, hint = re.search(
        r"<figcaption>(.*) <small>(.*)</small></figcaption>", bundle["text/html"]
    ).groups()
    assert html.unescape(caption) == CAPTION
    assert hint == "(Run this cell to see it move.)"


@pytest.mark.parametrize(
    ("size", "frames", "titles"),
    [
        ((10, 10), 41, [0, 10, 20, 30, 40]),
        ((10, 10), 3, [0, 1, 2]),
        ((30, 20), 41, [0, 20, 40]),
        ((70, 20), 41, [0, 40]),
    ],
)
def test_the_still_picture_shows_the_first_the_last_and_some_between(size, frames, titles):
    pictures = [Image.new("L", size, place) for place in range(frames)]
    figure = some_of(pictures, [str(place) for place in range(frames)])
    assert [int(axis.get_title()) for axis in figure.axes] == titles
    for axis, place in zip(figure.axes, titles):
        assert (axis.images[0].get_array() == place).all()


def test_nothing_in_a_label_or_caption_ends_the_script_or_the_picture():
    label = "</script><b>\"'&\u2028"
    bundle = moving_bundle(DIGITS[:2], [label, label], CAPTION)
    film, frames = film_of(bundle)
    assert film["labels"] == [label, label]
    assert len(frames) == 2
    assert bundle["text/html"].count("<script") == bundle["text/html"].count("</script>") == 2


def test_nothing_is_fetched():
    without_data = re.sub(
        r"data:[\w/]+;base64,[\w+/=]+", "", moving_bundle(DIGITS, LABELS, "c")["text/html"]
    )
    assert not re.search(r"https?:|//\w|import\(|fetch\(|src=\"(?!\")", without_data)


def test_show_moving_displays_it_once(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append((bundle, raw)))
    show_moving(DIGITS, LABELS, CAPTION)
    assert shown == [(moving_bundle(DIGITS, LABELS, CAPTION), True)]


@pytest.mark.parametrize(
    ("frames", "labels", "message"),
    [
        (DIGITS[:1], LABELS[:1], "a moving picture needs at least 2 frames, got 1"),
        ([], [], "a moving picture needs at least 2 frames, got 0"),
        (DIGITS, LABELS[1:], "6 frames need 6 labels, got 5"),
        (
            [DIGITS[0], torch.zeros(5, 1, 4, 4)],
            LABELS[:2],
            r"frames must be of one size, got \(13, 10\) and \(16, 10\) pixels",
        ),
    ],
)
def test_what_cannot_be_played_is_refused(frames, labels, message):
    with pytest.raises(ValueError, match=message):
        show_moving(frames, labels, CAPTION)


STORED = [
    pytest.param(output.data, id=f"{path.stem}: cell {cell.execution_count}")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    for cell in nbformat.read(path, as_version=4).cells
    for output in cell.get("outputs", [])
    if '"labels": ["' in (shown := output.get("data", {}).get("text/html", ""))
    and "data-play" not in shown
]


def test_lessons_hold_moving_pictures():
    assert len(STORED) >= 3


@pytest.mark.parametrize("bundle", STORED)
def test_what_a_lesson_stores_is_small_and_plays(bundle):
    assert len(bundle["text/html"]) + len(bundle["image/png"]) < 1_000_000
    film, frames = film_of(bundle)
    assert len(frames) == len(film["labels"]) >= 20
    assert len({frame.tobytes() for frame in frames}) == len(frames)  # it moves all the time
