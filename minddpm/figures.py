"""The pictures of the course: one style, one colour for each role, each figure a function of real data."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

# Okabe & Ito's palette, readable with any colour vision; a role keeps its colour in every notebook and formula
COLOURS = {"clean": "#0072B2", "noise": "#D55E00", "noisy": "#CC79A7", "network": "#009E73", "posterior": "#E69F00"}
INK, GREY = "#222222", "#8A8A8A"
STYLE = {
    "figure.figsize": (7, 2.6),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.edgecolor": INK,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "lines.linewidth": 1.8,
}


def new_figure(rows: int = 1, columns: int = 1, height: float = 2.6, **options) -> tuple[Figure, np.ndarray]:
    """A 7-inch figure in the course's style, and its axes as a (rows, columns) array."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(7, height), squeeze=False, **options)
    plt.close(figure)  # shown by `show` alone, never twice
    return figure, axes


def to_html(figure: Figure, caption: str) -> str:
    """A figure as HTML: the picture, with the caption below it and as its alternative text."""
    png = io.BytesIO()
    with plt.rc_context(STYLE):
        figure.savefig(png, format="png", metadata={"Software": None})
    data, text = base64.b64encode(png.getvalue()).decode(), html.escape(caption, quote=True)
    return f'<figure style="margin:0"><img alt="{text}" src="data:image/png;base64,{data}"/><figcaption>{text}</figcaption></figure>'


def show(figure: Figure, caption: str) -> None:
    """Display a figure in a notebook with one sentence that says what to see in it.

    The sentence is the caption, the alternative text and the plain-text form of the output.
    """
    from IPython.display import display

    display({"text/html": to_html(figure, caption), "text/plain": caption}, raw=True)


def draw_image(axis, image: Tensor, title: str = "", colour: str = INK, limits: tuple[float, float] = (-1, 1)) -> None:
    """Draw one grey image, without axes."""
    axis.imshow(image.detach().squeeze().cpu().numpy(), vmin=limits[0], vmax=limits[1])
    axis.set_axis_off()
    if title:
        axis.set_title(title, color=colour)


def image_grid(images: Tensor, titles: Sequence[str] = (), columns: int = 10) -> Figure:
    """Images (n, 1, h, w) in [-1, 1] as small multiples, row by row, each with its title if there are titles."""
    rows = -(-len(images) // columns)
    figure, axes = new_figure(rows, columns, height=7 / columns * rows * (1.25 if titles else 1))
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (axis, image) in enumerate(zip(axes.flat, images)):
        draw_image(axis, image, titles[number] if titles else "")
    return figure
