"""Sliders: a function that draws a figure is called again at each move."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from minddpm_course.figures import to_html


def play(draw: Callable[..., tuple[Figure, str]], **controls: Any) -> None:
    """Display controls above a figure that follows them.

    Where no notebook is running, only the first figure is shown.

    Args:
        draw: takes the controls' values by name, returns the figure and its caption.
        controls: ipywidgets controls (IntSlider, Dropdown, ...) by the name of draw's argument.

    Raises: ValueError without controls; TypeError for a control that has no value, or controls that
        do not fit draw's arguments.
    """
    import ipywidgets
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

    def picture() -> tuple[Figure, str]:
        return draw(**{name: control.value for name, control in controls.items()})

    def update(_change: Any) -> None:
        panel.value = to_html(*picture())

    figure, caption = picture()
    panel = ipywidgets.HTML(to_html(figure, caption))
    for name, control in controls.items():
        control.description = control.description or name
        control.continuous_update = False
        control.observe(update, names="value")
    box = ipywidgets.VBox([*controls.values(), panel])
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    words = f"{caption} (In a running notebook, move: {', '.join(controls)}.)"
    bundle = {
        "application/vnd.jupyter.widget-view+json": view,
        "text/html": panel.value,
        "text/plain": words,
    }
    display(bundle, raw=True)
