"""Sliders: the same function that draws a figure, called again at each move."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from minddpm.figures import to_html


def play(draw: Callable[..., tuple[Figure, str]], **controls) -> None:
    """Display controls above a figure that follows them; without a browser it is simply drawn once.

    Args:
        draw: takes the controls' values by name, returns the figure and its caption.
        controls: ipywidgets controls (IntSlider, Dropdown, ...) by the name of draw's argument.
    """
    import ipywidgets
    from IPython.display import display

    def picture() -> str:
        return to_html(*draw(**{name: control.value for name, control in controls.items()}))

    def update(_change) -> None:
        panel.value = picture()

    panel = ipywidgets.HTML(picture())
    for name, control in controls.items():
        control.description = control.description or name
        control.continuous_update = False
        control.observe(update, names="value")
    box = ipywidgets.VBox([*controls.values(), panel])
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": f"Move: {', '.join(controls)}"}, raw=True)
