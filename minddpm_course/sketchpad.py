"""A pad to draw a digit on, or to mark a part of one: a control for `play`, like a slider."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import torch
from ipywidgets import ValueWidget
from torch import Tensor
from traitlets import Any as Anything
from traitlets import TraitType, Unicode, validate

from minddpm.checks import kind_of

PAD = (1, 1, 28, 28)
PEN = 1.5  # pixels from the middle of a stroke to its end, as in sketchpad.js


def scrawled(*strokes: Sequence[tuple[float, float]]) -> Tensor:
    """Draw lines as the pad does, white on black.

    Args: strokes, each a list of points (x, y) in pixels, from (0, 0) at the top left to (28, 28);
        a single point is a dot.
    Returns: float32, shape (1, 1, 28, 28), in [-1, 1].
    Raises: ValueError for a stroke that is no list of points.
    """
    middles = torch.arange(28) + 0.5
    pixels = torch.cartesian_prod(middles, middles).flip(1)  # (784, 2), row by row
    ink = torch.zeros(len(pixels))
    for stroke in strokes:
        points = torch.tensor(stroke, dtype=torch.float32)  # (n, 2)
        if points.ndim != 2 or points.shape[1] != 2:
            got = tuple(points.shape)
            raise ValueError(f"a stroke must be a list of points (x, y), got shape {got}")
        for start, end in zip(points, points[min(1, len(points) - 1) :]):
            way = end - start
            along = ((pixels - start) @ way / way.square().sum().clamp(min=1e-9)).clamp(0, 1)
            away = (pixels - start - along[:, None] * way).norm(dim=1)
            ink = ink.maximum((PEN - away).clamp(0, 1))
    return 2 * ink.reshape(PAD) - 1


def to_ink(value: Tensor | None, _pad: Any) -> memoryview | None:
    """One byte a pixel: 0 is black or unmarked."""
    if value is None:
        return None
    bright = value.float() if value.dtype == torch.bool else (value + 1) / 2
    return memoryview((255 * bright).round().byte().flatten().numpy().tobytes())


def from_ink(data: Any, pad: Sketchpad) -> Tensor:
    """What the page sends, as an image, or as a mask if the pad has a picture."""
    bytes_ = torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(PAD)
    return bytes_ / 127.5 - 1 if pad.picture is None else bytes_ > 0


class Sketchpad(anywidget.AnyWidget, ValueWidget):  # type: ignore[misc]
    """A pad of 28 x 28 pixels to draw on, by mouse, finger or keyboard.

    `value` is what it holds; to set it draws that instead. It changes at the end of each stroke.

    Args:
        value: what is drawn at first, shape (1, 1, 28, 28): an image, float32 in [-1, 1]; with a
            picture, a mask, bool, True where the picture is marked. Nothing if None.
        picture: an image to be marked, shape (1, 1, 28, 28), float32 in [-1, 1], for good; without
            one, the pad is for drawing.
        description: what is to be done with it.
    Raises: TypeError or ValueError for arguments other than these.
    """

    _esm = Path(__file__).with_name("sketchpad.js").read_text(encoding="utf-8")
    value: TraitType = TraitType(None).tag(sync=True, to_json=to_ink, from_json=from_ink)
    picture = Anything(None, read_only=True).tag(sync=True, to_json=to_ink)
    description = Unicode().tag(sync=True)

    def __init__(
        self, value: Tensor | None = None, *, picture: Tensor | None = None, description: str = ""
    ) -> None:
        if picture is not None:
            self.set_trait("picture", pad_value("picture", picture, torch.float32))
        if value is None:
            value = torch.full(PAD, -1.0) if picture is None else torch.zeros(PAD).bool()
        super().__init__(value=value, description=description)

    @validate("value")
    def _check_value(self, proposal: Any) -> Tensor:
        dtype = torch.float32 if self.picture is None else torch.bool
        return pad_value("value", proposal.value, dtype)


def pad_value(name: str, value: Any, dtype: torch.dtype) -> Tensor:
    """Return a copy of the value if a pad can show it.

    Raises: TypeError or ValueError if it cannot.
    """
    if not isinstance(value, Tensor) or value.dtype != dtype:
        raise TypeError(f"{name} must be a {dtype} tensor, got {kind_of(value)}")
    if value.shape != PAD:
        raise ValueError(f"{name} must have shape {PAD}, got {tuple(value.shape)}")
    if dtype != torch.bool and not bool((value.abs() <= 1).all()):
        low, high = value.min().item(), value.max().item()
        raise ValueError(f"{name} must lie in [-1, 1], got values in [{low:g}, {high:g}]")
    return value.detach().cpu().clone()
