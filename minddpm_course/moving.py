"""Pictures that move, in a notebook and in any page that is made from one.

All frames are stored, with a small script that plays them: no kernel, nothing to download. Where
scripts do not run (on GitHub, on paper, in JupyterLab until the cell is run), a still picture shows
some of the frames side by side.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from minddpm_course.figures import as_address, as_png, new_figure, page_width, styled, to_pixels

PLAYER = Path(__file__).with_name("moving.js").read_text(encoding="utf-8")
GAP = 2  # pixels between the images of a frame
SCALE = 4  # pixels of a page for a pixel of an image


def tiled(images: Tensor) -> Image.Image:
    """Grey or colour images, (n, c, h, w) in [-1, 1], in rows of about as many as there are rows.

    A pixel of the images is a pixel of the result.
    """
    values = ((images.detach().clamp(-1, 1) + 1) * 127.5).round().byte().movedim(1, -1).cpu()
    count, height, width, channels = values.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP)
    sheet = Image.new("RGB" if channels == 3 else "L", size, "white")
    for place, image in enumerate(values):
        row, column = divmod(place, columns)
        tile = Image.fromarray(image.squeeze(-1).numpy())
        sheet.paste(tile, (column * (width + GAP), row * (height + GAP)))
    return sheet


def drawn_frame(frame: Figure | Tensor) -> Image.Image:
    """A frame as pixels."""
    if isinstance(frame, Figure):
        # less sharp than other figures, so that all frames together stay below 1 MB
        pixels: Image.Image = to_pixels(frame, 1.25)
        return pixels
    return tiled(frame)


@styled
def some_of(pictures: Sequence[Image.Image], labels: Sequence[str]) -> Figure:
    """Two to five frames, the first and the last among them, side by side below their labels."""
    width, height = pictures[0].size
    most = min(5, len(pictures))
    count = max(
        2, min(most, round(5 * height / width))
    )  # wide ones are fewer, so that they are seen
    figure, (axes,) = new_figure(1, count, height=7 / count * height / width + 0.25)
    for column, axis in enumerate(axes):
        frame = round(column * (len(pictures) - 1) / (count - 1))
        axis.imshow(pictures[frame], "gray", vmin=0, vmax=255)
        axis.set_axis_off()
        axis.set_title(labels[frame])
    return figure


def moving_html(
    pictures: Sequence[Image.Image],
    labels: Sequence[str],
    caption: str,
    width: int,
    still: Image.Image,
) -> str:
    """A figure as HTML that plays its frames, so many pixels wide, where scripts run.

    Elsewhere it is the still picture, and a sentence that says how to see it move.
    """
    frames = [as_address(picture) for picture in pictures]
    pixelated = pictures[0].width < width  # images, whose pixels are to be seen
    film = {"frames": frames, "labels": list(labels), "width": width, "pixelated": pixelated}
    data = json.dumps(film).replace("<", r"\u003c")  # so that no label ends the script
    text = html.escape(caption, quote=True)
    return (
        f'<figure style="margin:0"><img alt="{text}" width="770" style="max-width:100%"'
        f' src="{as_address(still)}"/><figcaption>{text}'
        " <small>(Run this cell to see it move.)</small></figcaption>"
        f'<script type="application/json">{data}</script><script>{PLAYER}</script></figure>'
    )


def moving_bundle(
    frames: Sequence[Figure | Tensor], labels: Sequence[str], caption: str
) -> dict[str, str]:
    """What `show_moving` displays, by MIME type: the player, the still picture, the caption."""
    if len(frames) < 2:
        raise ValueError(f"a moving picture needs at least 2 frames, got {len(frames)}")
    if len(frames) != len(labels):
        wanted = f"{len(frames)} frames need {len(frames)} labels"
        raise ValueError(f"{wanted}, got {len(labels)}")
    pictures = [drawn_frame(frame) for frame in frames]
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) > 1:
        raise ValueError(f"frames must be of one size, got {sizes[0]} and {sizes[1]} pixels")
    if isinstance(frames[0], Figure):
        width = page_width(frames[0])
    else:
        width = SCALE * pictures[0].width
    still = to_pixels(some_of(pictures, labels), 1)  # as sharp as 1 MB allows
    return {
        "text/html": moving_html(pictures, labels, caption, width, still),
        "image/png": as_png(still),
        "text/plain": caption,
    }


def show_moving(frames: Sequence[Figure | Tensor], labels: Sequence[str], caption: str) -> None:
    """Display frames one after the other, with buttons to play them and play them again, and a
    slider.

    They play once when they come into view, unless the reader prefers reduced motion.

    Args:
        frames: at least two of one size: figures, or batches of images, (n, c, h, w) in [-1, 1].
        labels: what stands beside the slider at each frame, such as "t = 600".
        caption: says what to see; it is the alternative text too, and what a terminal shows.

    Raises: ValueError for fewer frames, frames of several sizes, or another number of labels.
    """
    from IPython.display import display

    display(moving_bundle(frames, labels, caption), raw=True)
