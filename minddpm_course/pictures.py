"""Draw an answer beside the target, where a picture tells more than numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from marking.outcome import Array, Outcome
from minddpm_course.figures import CENTRE, COLOURS, draw_image, new_figure, styled, to_html

Draw = Callable[[Axes, Array], None]


def curve(x: str, y: str, first: float = 1.0, step: float = 1.0) -> Draw:
    """Draw numbers as a line: the labels of the axes, the position of the first number, and the
    distance between two.
    """

    def draw(axis: Axes, value: Array) -> None:
        axis.plot(first + step * np.arange(value.size), value.reshape(-1), color=COLOURS["network"])
        axis.set(xlabel=x, ylabel=y)

    return draw


def bars(x: str, y: str) -> Draw:
    """Draw a bar for each number, with the labels of the axes."""

    def draw(axis: Axes, value: Array) -> None:
        axis.bar(range(value.size), value.reshape(-1), width=1, color=COLOURS["network"])
        axis.set(xlabel=x, ylabel=y)

    return draw


def image_row(axis: Axes, value: Array) -> None:
    """A batch of grey images (b, 1, h, w) in a row, black at -1 and white at 1."""
    draw_image(axis, torch.as_tensor(np.concatenate(list(value[:, 0]), axis=1)))


def heat_map(x: str, y: str) -> Draw:
    """Draw a matrix as shades, each of its rows from left to right."""

    def draw(axis: Axes, value: Array) -> None:
        axis.imshow(value, "cividis", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
        axis.set(xlabel=x, ylabel=y)

    return draw


TITLES = ("yours", "target")


@styled
def side_by_side(
    draw: Draw, yours: Outcome, target: Outcome, titles: tuple[str, str] = TITLES
) -> Figure:
    """An answer on the left, the target on the right, to one scale."""
    figure, axes = new_figure(1, 2, height=2.6)
    for axis, outcome, title in zip(axes[0], (yours, target), titles):
        axis.set_title(title)
        try:
            if outcome.value is None:
                raise ValueError(outcome.error)
            draw(axis, outcome.value[0])
        except (ValueError, TypeError, IndexError):  # numbers of a shape that cannot be drawn so
            axis.text(0.5, 0.5, "nothing to draw", transform=axis.transAxes, **CENTRE)
    limits = [axis.get_ylim() for axis in axes[0] if axis.lines or axis.patches]
    if len(limits) == 2:
        for axis in axes[0]:
            axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure


def draw_beside(
    draw: Draw,
    yours: Outcome,
    target: Outcome,
    caption: str,
    titles: tuple[str, str] = TITLES,
) -> str:
    """An answer beside the target, as HTML with a caption."""
    html: str = to_html(side_by_side(draw, yours, target, titles), caption)
    return html
