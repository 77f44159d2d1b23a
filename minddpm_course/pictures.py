"""Draw an answer and the target, where a picture tells more than numbers: curves over each other,
images side by side, with their difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marking.outcome import Array, Outcome
from minddpm_course.figures import (
    CENTRE,
    COLOURS,
    GREY,
    INK,
    draw_image,
    new_figure,
    styled,
    to_html,
)

Draw = Callable[[Axes, Array, float], None]
APART = 0.12  # two labels, as a share of the axis
FEW = 60  # points, each of which can be seen
TITLES = ("yours", "target")
MOST_TIMES = 3  # as many numbers as the target an answer may have to be drawn
NO_DIFFERENCE = 1e-4  # a difference that is none
NOTHING = "nothing to draw"
LINES: tuple[dict[str, Any], dict[str, Any]] = (
    {"color": COLOURS["network"], "linestyle": "-", "linewidth": 2.6},
    {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.4},
)


@dataclass(frozen=True)
class Curve:
    """Numbers drawn as a line over the target's.

    Args:
        x: the label of the horizontal axis.
        y: that of the vertical axis.
        first: the position of the first number.
        step: the distance between two.
        drawstyle: how matplotlib joins two points.
    """

    x: str
    y: str
    first: float = 1.0
    step: float = 1.0
    drawstyle: str = "default"

    def places(self, count: int) -> Array:
        """The positions of so many numbers."""
        return np.asarray(self.first + self.step * np.arange(count))


@dataclass(frozen=True)
class Image:
    """Numbers drawn as shades, beside the target's.

    Args:
        draw: draws them on an axis; the last argument is the number that is drawn darkest or
            brightest.
    """

    draw: Draw


def curve(x: str, y: str, first: float = 1.0, step: float = 1.0) -> Curve:
    """Draw numbers as a line: the labels of the axes, the position of the first number, and the
    distance between two.
    """
    return Curve(x, y, first, step)


def bars(x: str, y: str) -> Curve:
    """Draw a step for each number, with the labels of the axes."""
    return Curve(x, y, 0.0, 1.0, "steps-mid")


def draw_row(axis: Axes, value: Array, most: float = 1.0) -> None:
    """A batch of grey images (b, 1, h, w) in a row, black at -most and white at most."""
    row = torch.as_tensor(np.concatenate(list(value[:, 0]), axis=1))
    draw_image(axis, row, limits=(-most, most))


image_row = Image(draw_row)


def heat_map(x: str, y: str) -> Image:
    """Draw a matrix as shades, each of its rows from left to right."""

    def draw(axis: Axes, value: Array, most: float = 1.0) -> None:
        shades = "cividis"
        axis.imshow(value, shades, vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
        axis.set(xlabel=x, ylabel=y)

    return Image(draw)


def numbers_of(outcome: Outcome) -> Array | None:
    """The first result, if there is one and it holds numbers."""
    if not outcome.value or not outcome.value[0].size:
        return None
    return outcome.value[0]


def compared(
    how: Curve | Image, yours: Outcome, target: Outcome, titles: tuple[str, str] = TITLES
) -> tuple[Figure, str]:
    """An answer and the target as a picture, and a sentence that says how they are drawn."""
    own, right = numbers_of(yours), numbers_of(target)
    assert right is not None
    drawn: tuple[Figure, str] = (
        overlaid(how, own, right, titles)
        if isinstance(how, Curve)
        else side_by_side(how.draw, own, right, titles)
    )
    return drawn


def in_a_sentence(title: str) -> str:
    """What a title stands for."""
    return {"yours": "your answer", "target": "the target"}.get(title, f"the {title} one")


@styled
def overlaid(
    how: Curve, own: Array | None, right: Array, titles: tuple[str, str]
) -> tuple[Figure, str]:
    """An answer and the target on one axis, and their difference below."""
    name = titles[0]
    answer, aim = map(in_a_sentence, titles)
    right = right.reshape(-1)
    if own is None or own.size > MOST_TIMES * right.size:
        figure, ((axis,),) = new_figure(height=2.6)
        draw_line(axis, how, right, LINES[1])
        axis.set(xlabel=how.x, ylabel=how.y, title=f"{name}: {NOTHING}")
        return figure, f"Only {aim} is drawn, as a dashed black line."
    own = own.reshape(-1)
    figure, ((axis,), (below,)) = new_figure(2, 1, height=3.4, sharex=True, height_ratios=(2.2, 1))
    finite = np.isfinite(own)
    form = "line" if finite.sum() > 1 else "dot"
    said = f"{capital(answer)} is the solid green {form}, {aim} the dashed black line"
    if not finite.any():
        said = f"{capital(aim)} is the dashed black line"
    for values, line in zip((own, right), LINES):
        draw_line(axis, how, values, line)
    axis.set(ylabel=how.y)
    label_ends(axis, (own, right), titles)
    if own.size != right.size:
        axis.plot(*unpaired(how, own, right), "o", color=COLOURS["noise"], fillstyle="none")
        longer = f"{name} goes on too far" if own.size > right.size else f"{name} is missing"
        said += f"; circles mark where {longer}"
    if not finite.all():
        places = how.places(own.size)[~finite]
        at_the_bottom = axis.get_xaxis_transform()
        axis.plot(
            places,
            np.zeros(places.size),
            "x",
            color=COLOURS["noise"],
            transform=at_the_bottom,
            clip_on=False,
            zorder=4,
        )
        said += f"; crosses mark where {name} is NaN or infinite"
    draw_difference(below, how, own, right)
    figure.align_ylabels()
    difference = f"{name} minus {aim}" if finite[: right.size].any() else NOTHING
    return figure, f"{said}. Below: {difference}."


def capital(words: str) -> str:
    """Words as a sentence begins."""
    return words[0].upper() + words[1:]


def draw_line(axis: Axes, how: Curve, values: Array, line: dict[str, Any]) -> None:
    """Draw the numbers that are finite, each with a dot where there are few."""
    dots = "." if values.size <= FEW else None
    seen = np.where(np.isfinite(values), values, np.nan)
    axis.plot(how.places(values.size), seen, marker=dots, drawstyle=how.drawstyle, **line)


def unpaired(how: Curve, own: Array, right: Array) -> tuple[Array, Array]:
    """The points of the longer curve at which the other has none."""
    shorter, longer = sorted((own, right), key=len)
    return how.places(longer.size)[shorter.size :], longer[shorter.size :]


def label_ends(axis: Axes, pair: tuple[Array, Array], titles: tuple[str, str]) -> None:
    """Name the lines at their ends, on the right of the axis, one above the other."""
    ends = []
    for values, name, line in zip(pair, titles, LINES):
        places = np.flatnonzero(np.isfinite(values))
        if places.size:
            last = places[-1]
            low, high = axis.get_ylim()
            ends.append([(values[last] - low) / (high - low), name, line["color"]])
    ends.sort(key=lambda end: (end[0], end[1]))
    if len(ends) == 2 and ends[1][0] - ends[0][0] < APART:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends[0][0], ends[1][0] = middle - APART / 2, middle + APART / 2
    for height, name, colour in ends:
        axis.annotate(
            name,
            (1.01, height),
            xycoords="axes fraction",
            va="center",
            color=colour,
            annotation_clip=False,
        )


def draw_difference(axis: Axes, how: Curve, own: Array, right: Array) -> None:
    """Draw an answer minus the target, where both have numbers."""
    common = min(own.size, right.size)
    away = own[:common].astype(float) - right[:common]
    seen = np.isfinite(away)
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set(xlabel=how.x, ylabel="difference")
    if not seen.any():
        axis.text(0.5, 0.5, NOTHING, transform=axis.transAxes, **CENTRE)
        return
    axis.plot(
        how.places(common),
        np.where(seen, away, np.nan),
        color=COLOURS["noise"],
        drawstyle=how.drawstyle,
        marker="." if common <= FEW else None,
    )
    if np.abs(away[seen]).max() < NO_DIFFERENCE * max(np.abs(right).max(), NO_DIFFERENCE):
        axis.set_ylim(-1, 1)  # not the noise of the last decimals, as large as the axis
        axis.set_yticks([0])


@styled
def side_by_side(
    draw: Draw, own: Array | None, right: Array, titles: tuple[str, str]
) -> tuple[Figure, str]:
    """An answer on the left, the target in the middle, their difference on the right."""
    name, target = titles
    answer, aim = map(in_a_sentence, titles)
    figure, (axes,) = new_figure(1, 3, height=2.3)
    away = own - right if own is not None and own.shape == right.shape else None
    seen = None if away is None else np.abs(away[np.isfinite(away)])
    largest = 0.0 if seen is None else float(seen.max(initial=0))
    most = largest if largest > NO_DIFFERENCE else 1.0
    drawn = []
    panels = ((name, own, 1.0), (target, right, 1.0), (f"{name} − {target}", away, most))
    for axis, (title, values, limit) in zip(axes, panels):
        axis.set_title(title)
        try:
            if values is None:
                raise ValueError(NOTHING)
            draw(axis, values, limit)
            drawn.append(title)
        except (ValueError, TypeError, IndexError):  # numbers of a shape that cannot be drawn so
            axis.clear()
            axis.set_axis_off()
            axis.set_title(title)
            axis.text(0.5, 0.5, NOTHING, transform=axis.transAxes, **CENTRE)
    if axes[1].get_aspect() == 1:  # pixels are squares: no more room than they take
        height, width = axes[1].images[0].get_array().shape
        figure.set_figheight(min(2.3, 2.2 * height / width + 0.4))
    if name not in drawn:
        return figure, f"{capital(aim)} is in the middle; of {answer} there is nothing to draw."
    said = f"{capital(answer)} is on the left, {aim} in the middle"
    if away is None:
        return figure, f"{said}; their shapes differ, and no difference is drawn."
    if largest <= NO_DIFFERENCE:
        return figure, f"{said}; their difference, on the right, is 0 everywhere."
    return figure, f"{said}; on the right {name} minus {aim}, up to ±{most:.2g}."


def draw_beside(
    how: Curve | Image,
    yours: Outcome,
    target: Outcome,
    caption: str,
    titles: tuple[str, str] = TITLES,
) -> str:
    """An answer and the target, as HTML with a caption that also says how they are drawn."""
    figure, said = compared(how, yours, target, titles)
    html: str = to_html(figure, f"{caption} {said}")
    return html
