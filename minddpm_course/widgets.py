"""Sliders and the like: a function that draws a figure, and controls that its picture follows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from minddpm_course.playing import Playing


def play(draw: Callable[..., tuple[Figure, str]], **controls: Any) -> None:
    """Display controls above a figure that follows them while they are moved.

    Each frame is drawn once. Of the moves that come while one is drawn, the latest counts; when the
    hand rests, frames nearby are drawn ahead. Where draw fails, its error takes the figure's place.
    Where no notebook is running, only the first figure is shown.

    Args:
        draw: takes the controls' values by name, returns the figure and its caption. It must draw
            the same whenever it is called with the same values.
        controls: ipywidgets controls (IntSlider, FloatSlider, SelectionSlider, Dropdown, Checkbox)
            or a Sketchpad, by the name of draw's argument.

    Raises: ValueError without controls; TypeError for a control that has no value, or controls that
        do not fit draw's arguments.
    """
    from IPython.display import display

    if not controls:
        raise ValueError("play needs at least one control, got none")
    for name, control in controls.items():
        if not isinstance(control, ipywidgets.ValueWidget):
            got = type(control).__name__
            raise TypeError(f"{name} must be an ipywidgets control with a value, got {got}")
    signature = inspect.signature(draw)
    try:
        signature.bind(**controls)
    except TypeError as error:
        wanted = f"the arguments {signature} of draw"
        names = ", ".join(controls)
        raise TypeError(f"controls must fit {wanted}, got {names}: {error}") from None
    playing = Playing(draw, controls)
    bundle = playing.bundle()
    playing.connect()
    display(bundle, raw=True)
