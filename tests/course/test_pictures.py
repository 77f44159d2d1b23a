"""The picture of a wrong answer: the target over it, and what differs."""

import html
import re

import numpy as np
import pytest
import torch

from marking.outcome import Outcome, outcome_of
from marking.where import beside_in_words
from minddpm_course.bank import BANK
from minddpm_course.pictures import bars, compared, curve, draw_beside, heat_map, image_row

RIGHT = np.linspace(1.0, 2.0, 20)
CURVE = curve("step t", "beta")


def outcome(values):
    return Outcome(None if values is None else (np.asarray(values, dtype=float),), error="broken")


def drawn(own, how=CURVE, right=RIGHT):
    return compared(how, outcome(own), outcome(right))


def lines(axis):
    return {line.get_color(): line for line in axis.lines}


@pytest.mark.parametrize("how", [CURVE, bars("grey level", "probability")])
def test_both_curves_share_an_axis_and_the_difference_stands_below(how):
    own = RIGHT**2
    figure, said = drawn(own, how)
    top, below = figure.axes
    yours, target = top.lines[:2]
    assert np.allclose(yours.get_ydata(), own)
    assert np.allclose(target.get_ydata(), RIGHT)
    assert yours.get_color() != target.get_color()
    assert yours.get_linestyle() != target.get_linestyle()
    assert np.allclose(below.lines[1].get_ydata(), own - RIGHT)
    assert top.get_shared_x_axes().joined(top, below)
    assert {text.get_text() for text in top.texts} == {"yours", "target"}
    assert top.get_legend() is None
    assert said.endswith("Below: yours minus the target.")
    assert "left" not in said


def test_labels_of_two_curves_that_end_together_do_not_cover_each_other():
    figure, _ = drawn(RIGHT + 1e-9)
    figure.canvas.draw()
    one, other = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not one.overlaps(other)


@pytest.mark.parametrize("size", [20, 1000])
@pytest.mark.parametrize("cut", [slice(-1), slice(-3)])
def test_a_missing_end_is_marked_and_said(size, cut):
    right = np.linspace(1, 2, size)
    figure, said = drawn(right[cut], right=right)
    (marks,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    missing = size - len(right[cut])
    assert marks.get_xdata().tolist() == list(range(size - missing + 1, size + 1))
    assert np.allclose(marks.get_ydata(), right[-missing:])
    assert "circles mark where yours is missing" in said
    assert len(figure.axes[1].lines[1].get_ydata()) == size - missing


def test_numbers_too_many_are_marked_and_said():
    figure, said = drawn(np.append(RIGHT, [2.1, 2.2]))
    (marks,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert marks.get_xdata().tolist() == [21, 22]
    assert "circles mark where yours goes on too far" in said


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_marked_and_said(value):
    own = RIGHT.copy()
    own[[3, 7]] = value
    figure, said = drawn(own)
    (marks,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert marks.get_xdata().tolist() == [4, 8]
    assert "crosses mark where yours is NaN or infinite" in said
    figure, said = drawn(np.full(20, value))
    assert said.startswith("The target is the dashed black line; crosses")
    assert said.endswith("Below: nothing to draw.")


@pytest.mark.parametrize("own", [None, np.zeros((20, 20)), []])
def test_what_cannot_be_drawn_leaves_the_target_and_is_said(own):
    figure, said = drawn(own)
    (axis,) = figure.axes
    assert "nothing to draw" in axis.get_title()
    assert said == "Only the target is drawn, as a dashed black line."


@pytest.mark.parametrize("own", [0.3, [[0.3]], RIGHT[:, None], RIGHT[None]])
def test_other_shapes_are_drawn(own):
    figure, said = drawn(own)
    assert len(figure.axes) == 2
    assert ("green dot" in said) == (np.size(own) == 1)


IMAGES = np.linspace(-1, 1, 2 * 16).reshape(2, 1, 4, 4)


@pytest.mark.parametrize(
    ("how", "right"), [(image_row, IMAGES), (heat_map("entry", "time t"), IMAGES[:, 0, 0])]
)
def test_images_stand_side_by_side_with_their_difference(how, right):
    figure, said = drawn(right * 0.5, how, right)
    assert [axis.get_title() for axis in figure.axes] == ["yours", "target", "yours − target"]
    assert np.abs(figure.axes[2].images[0].get_array()).max() == pytest.approx(0.5)
    assert "left" in said and "middle" in said and "up to ±0.5" in said
    _, said = drawn(right, how, right)
    assert said.endswith("their difference, on the right, is 0 everywhere.")
    figure, said = drawn(right[:, ..., :-1], how, right)
    assert said.endswith("their shapes differ, and no difference is drawn.")
    assert not figure.axes[2].images
    _, said = drawn(None, how, right)
    assert said == "The target is in the middle; of your answer there is nothing to draw."


def test_the_caption_is_the_alternative_text_too():
    shown = draw_beside(CURVE, outcome(RIGHT[1:]), outcome(RIGHT), "Yours, for an example.")
    (alt,) = re.findall('<img alt="([^"]*)"', shown)
    (caption,) = re.findall("<figcaption>(.*)</figcaption>", shown)
    assert html.unescape(alt) == html.unescape(caption)
    assert caption.startswith("Yours, for an example. Your answer is the solid green line")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (RIGHT, "they agree."),
        (RIGHT[:-1], "yours has 19 numbers, the target 20: the last is missing, and the others"),
        (RIGHT[1:], "yours has 19 numbers, the target 20: the first is missing, and the others"),
        (RIGHT[:-3], "the last 3 are missing, and the others agree."),
        (np.append(RIGHT, 3), "the last of yours is too many, and the others agree."),
        (np.append([3, 4], RIGHT), "the first 2 of yours are too many, and the others agree."),
        (RIGHT[:-1] + 1, "yours has 19 numbers, the target 20."),
        (RIGHT[:, None], "yours has shape (20, 1), the target (20,)."),
        (np.where(RIGHT > 1.9, np.nan, RIGHT), "yours is NaN in 2 of 20 entries, first in entry"),
        (np.where(RIGHT > 1.99, np.inf, RIGHT), "yours is infinite in 1 of 20 entries"),
        (np.append(RIGHT[:-1], 0), "difference is 2, at entry 20 of 20; entries 1 to 19 agree."),
        (np.append(0, RIGHT[1:]), "they differ. The largest difference is 1, at entry 1 of 20."),
        (None, "broken."),
    ],
)
def test_a_difference_is_said(own, words):
    assert words in beside_in_words(outcome(RIGHT), outcome(own), 1e-3)


def test_two_results_for_one_are_said():
    target, yours = outcome(RIGHT), Outcome((RIGHT, RIGHT), several=True)
    assert beside_in_words(target, yours, 1e-3) == "yours is 2 arrays, not 1."


def test_a_shift_by_one_is_seen_in_the_difference():
    exercise = BANK["01.alpha_bars"]
    target = outcome_of(exercise.reference, exercise.picture.args)
    before = outcome_of(
        lambda betas: torch.cat([torch.ones(1), (1 - betas).cumprod(0)[:-1]]), exercise.picture.args
    )
    figure, _ = compared(exercise.picture.how, before, target)
    low, high = figure.axes[1].get_ylim()
    assert high - low < 0.01  # the axis of the difference is as wide as that
