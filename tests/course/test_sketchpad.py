"""The pad without a browser: what it holds, refuses, sends to the page and takes from it."""

import re

import IPython.display
import numpy as np
import pytest
import torch

from minddpm.data import load_mnist
from minddpm.metrics import load_classifier
from minddpm_course import playing, sketchpad
from minddpm_course.figures import COLOURS, draw_image, new_figure
from minddpm_course.sketchpad import PEN, Sketchpad, scrawled
from minddpm_course.widgets import play

SEVEN = [(8, 6), (20, 6), (12, 23)]
DIGITS = {
    1: [[(14.5, 5), (13.5, 23)]],
    2: [[(9, 8), (12, 5), (17, 6), (18, 10), (9, 22), (20, 22)]],
    3: [[(9, 6), (14, 4.5), (18, 8), (13, 13), (18.5, 17), (15, 22.5), (9, 21)]],
    4: [[(10, 5), (8, 14), (19, 14)], [(17, 6), (16, 23)]],
    7: [SEVEN],
}


def sent_by_the_page(pad, ink):
    """The pad is told what a page tells it: one byte a pixel."""
    pad.set_state({"value": memoryview(bytes(ink))})


def sent_to_the_page(pad, name="value"):
    return np.frombuffer(pad.get_state()[name], np.uint8).reshape(28, 28)


def test_an_empty_pad_is_black_or_unmarked():
    pad = Sketchpad()
    assert pad.picture is None
    assert pad.value.dtype == torch.float32
    assert torch.equal(pad.value, torch.full((1, 1, 28, 28), -1.0))
    pad = Sketchpad(picture=scrawled(SEVEN))
    assert torch.equal(pad.value, torch.zeros(1, 1, 28, 28, dtype=torch.bool))
    assert torch.equal(pad.picture, scrawled(SEVEN))


def test_digits_go_to_the_page_and_come_back_to_the_bit():
    images, _ = load_mnist()
    pad, other = Sketchpad(images[:1]), Sketchpad()
    assert torch.equal(pad.value, images[:1])
    ink = sent_to_the_page(pad)
    assert (ink.min(), ink.max()) == (0, 255)
    sent_by_the_page(other, ink.tobytes())
    assert other.value.dtype == torch.float32
    assert torch.equal(other.value, images[:1])


def test_marks_go_to_the_page_and_come_back():
    mask = torch.zeros(1, 1, 28, 28, dtype=torch.bool)
    mask[..., 3:9, 20:] = True
    picture = scrawled(SEVEN)
    pad, other = Sketchpad(mask, picture=picture), Sketchpad(picture=picture)
    ink = sent_to_the_page(pad)
    assert (ink == 255 * mask[0, 0].numpy()).all()
    assert (sent_to_the_page(pad, "picture") == sent_to_the_page(Sketchpad(picture))).all()
    sent_by_the_page(other, ink.tobytes())
    assert other.value.dtype == torch.bool
    assert torch.equal(other.value, mask)


def test_it_tells_of_each_change():
    pad, heard = Sketchpad(), []
    pad.observe(lambda change: heard.append(change.new), names="value")
    pad.value = scrawled(SEVEN)
    sent_by_the_page(pad, 784 * [255])
    assert torch.equal(heard[0], scrawled(SEVEN))
    assert torch.equal(heard[1], torch.ones(1, 1, 28, 28))


def test_what_it_holds_is_its_own():
    image = scrawled(SEVEN).requires_grad_()
    pad = Sketchpad(image)
    assert not pad.value.requires_grad
    with torch.no_grad():
        image.fill_(0)
    assert torch.equal(pad.value, scrawled(SEVEN))


BAD = [
    (torch.zeros(28, 28), ValueError, r"have shape \(1, 1, 28, 28\), got \(28, 28\)"),
    (torch.full((1, 1, 28, 28), 255.0), ValueError, r"lie in \[-1, 1\], got values in \[255, 255"),
    (torch.full((1, 1, 28, 28), float("nan")), ValueError, r"lie in \[-1, 1\], got values"),
    (torch.zeros(1, 1, 28, 28).byte(), TypeError, "float32 tensor, got a torch.uint8 tensor"),
    (torch.zeros(1, 1, 28, 28).double(), TypeError, "float32 tensor, got a torch.float64 tensor"),
    (torch.zeros(1, 1, 28, 28).bool(), TypeError, "float32 tensor, got a torch.bool tensor"),
    (np.zeros((1, 1, 28, 28)), TypeError, "float32 tensor, got a NumPy array of float64"),
    ("7", TypeError, "float32 tensor, got a str"),
]


@pytest.mark.parametrize(("image", "error", "words"), BAD)
def test_what_is_no_image_is_refused(image, error, words):
    with pytest.raises(error, match=f"^value must .*{words}"):
        Sketchpad(image)
    with pytest.raises(error, match=f"^picture must .*{words}"):
        Sketchpad(picture=image)
    pad = Sketchpad(scrawled(SEVEN))
    with pytest.raises(error, match=f"^value must .*{words}"):
        pad.value = image
    assert torch.equal(pad.value, scrawled(SEVEN))


def test_a_value_is_never_none():
    pad = Sketchpad()
    with pytest.raises(TypeError, match="value must be a torch.float32 tensor, got None"):
        pad.value = None


def test_with_a_picture_it_takes_masks_alone_and_keeps_the_picture():
    pad = Sketchpad(picture=scrawled(SEVEN))
    for value in (scrawled(SEVEN), torch.ones(1, 1, 28, 28).long()):
        with pytest.raises(TypeError, match="value must be a torch.bool tensor, got a torch."):
            pad.value = value
    with pytest.raises(Exception, match='"picture" trait is read-only'):
        pad.picture = scrawled(SEVEN)


def test_strokes_are_soft_and_two_pixels_wide():
    ink = (scrawled([(4, 14), (24, 14)])[0, 0] + 1) / 2
    assert torch.allclose(ink[11:17, 14], torch.tensor([0, 0, 1, 1, 0, 0.0]))
    assert torch.allclose(ink[:, 14].sum(), torch.tensor(2.0))
    ink = (scrawled([(4, 13.5), (24, 13.5)])[0, 0] + 1) / 2
    assert torch.allclose(ink[11:17, 14], torch.tensor([0, 0.5, 1, 0.5, 0, 0]))


def test_x_goes_right_and_y_goes_down():
    ink = scrawled([(24, 3), (24, 5)])[0, 0]
    assert ink[4, 23] == 1
    assert ink[23, 4] == ink[4, 4] == -1


def test_points_and_strokes_add_up():
    empty, dot, apart = scrawled(), scrawled([(5, 6)]), scrawled([(5, 6)], [(20, 20)])
    assert torch.equal(empty, torch.full((1, 1, 28, 28), -1.0))
    assert dot.max() > 0
    assert torch.equal(apart, dot.maximum(scrawled([(20, 20)])))
    assert torch.equal(scrawled([(5, 6), (5, 6)]), dot)


@pytest.mark.parametrize("stroke", [(5, 6), [], [(1, 2, 3)]])
def test_what_is_no_stroke_is_refused(stroke):
    with pytest.raises(ValueError, match=r"a stroke must be a list of points \(x, y\), got shape"):
        scrawled(stroke)


def test_strokes_look_like_mnist():
    """The classifier is sure of them, and they hold as much ink as the digits that people wrote."""
    drawn = torch.cat([scrawled(*strokes) for strokes in DIGITS.values()])
    with torch.no_grad():
        sure = load_classifier()(drawn).softmax(dim=1)
    assert sure[range(len(DIGITS)), list(DIGITS)].min() > 0.9
    images, labels = load_mnist()
    for image, digit in zip(drawn, DIGITS):
        ink = (images[labels == digit] + 1).sum(dim=(1, 2, 3))
        low, high = ink.quantile(torch.tensor([0.01, 0.99]))
        assert low < (image + 1).sum() < high


def test_the_page_draws_with_the_same_pen_and_the_palette():
    numbers = dict(re.findall(r"^const (\w+) = ([^;]+);", sketchpad.Sketchpad._esm, re.MULTILINE))
    assert float(numbers["PEN"]) == PEN
    red, green, blue = (int(part) for part in numbers["MARK"].strip("[]").split(","))
    assert f"#{red:02X}{green:02X}{blue:02X}" == COLOURS["posterior"]


def test_play_draws_what_is_on_the_pad(monkeypatch):
    bundles, drawn = [], []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: bundles.append(bundle))

    def draw(digit):
        drawn.append(digit)
        figure, ((axis,),) = new_figure(height=1.5)
        draw_image(axis, digit)
        return figure, f"{int((digit > 0).sum())} bright pixels."

    pad = Sketchpad(scrawled(SEVEN))
    play(draw, digit=pad)
    assert pad.description == "digit"
    assert bundles[0]["text/plain"].startswith(f"{int((scrawled(SEVEN) > 0).sum())} bright pixels.")
    sent_by_the_page(pad, 784 * [255])
    playing.played[-1].answer({"draw": [0]})  # which the page asks for then
    assert torch.equal(drawn[-1], torch.ones(1, 1, 28, 28))
    assert len(drawn) == 2
