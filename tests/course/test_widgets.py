"""Sliders without a browser: what is displayed, and what moving one does."""

import html
import re

import IPython.display
import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell

from minddpm_course.figures import new_figure
from minddpm_course.widgets import play


@pytest.fixture
def shown(monkeypatch):
    """The bundles that are displayed, and the HTML panels that are made."""
    bundles, panels, panel = [], [], ipywidgets.HTML
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: bundles.append(bundle))
    monkeypatch.setattr(ipywidgets, "HTML", lambda value: panels.append(panel(value)) or panels[-1])
    return bundles, panels


def draw_level(level, name="digit"):
    figure, axes = new_figure(height=1.5)
    axes[0, 0].plot([0, 1], [0, level])
    return figure, f"A line to {level} for the {name}."


def caption_of(value):
    return html.unescape(re.search("<figcaption>(.*)</figcaption>", value)[1])


def picture_of(value):
    return re.search('base64,([^"]+)"', value)[1]


def test_moving_a_slider_draws_the_picture_and_the_caption_again(shown):
    _, panels = shown
    level = ipywidgets.IntSlider(value=3, min=0, max=9)
    play(draw_level, level=level)
    before = panels[0].value
    assert caption_of(before) == "A line to 3 for the digit."
    level.value = 7
    after = panels[0].value
    assert caption_of(after) == "A line to 7 for the digit."
    assert picture_of(after) != picture_of(before)
    level.value = 3
    assert panels[0].value == before  # the picture depends on the controls alone


def test_each_control_moves_its_own_argument(shown):
    _, panels = shown
    name = ipywidgets.Dropdown(options=["digit", "cat"])
    play(draw_level, level=ipywidgets.IntSlider(value=2), name=name)
    name.value = "cat"
    assert caption_of(panels[0].value) == "A line to 2 for the cat."


def test_the_output_reads_without_a_frontend(shown):
    bundles, panels = shown
    level = ipywidgets.IntSlider(value=3)
    named = ipywidgets.Dropdown(options=["digit"], description="picture")
    play(draw_level, level=level, name=named)
    (bundle,) = bundles
    assert (
        bundle["text/plain"]
        == "A line to 3 for the digit. (In a running notebook, move: level, name.)"
    )
    assert bundle["text/html"] == panels[0].value
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert (level.description, named.description) == ("level", "picture")
    assert not level.continuous_update  # a figure is drawn when the hand rests


def test_plain_ipython_prints_the_words(capsys):
    InteractiveShell.instance()
    try:
        play(draw_level, level=ipywidgets.IntSlider(value=3))
    finally:
        InteractiveShell.clear_instance()
    assert (
        capsys.readouterr().out.strip()
        == "A line to 3 for the digit. (In a running notebook, move: level.)"
    )


@pytest.mark.parametrize(
    ("controls", "error", "message"),
    [
        ({}, ValueError, "at least one control, got none"),
        (
            {"height": ipywidgets.IntSlider()},
            TypeError,
            r"arguments \(level, name='digit'\) of draw, got height",
        ),
        ({"name": ipywidgets.Text()}, TypeError, "got name: missing a required argument: 'level'"),
        ({"level": 3}, TypeError, "level must be an ipywidgets control with a value, got int"),
    ],
)
def test_controls_that_do_not_fit_are_refused_before_anything_shows(
    shown, controls, error, message
):
    with pytest.raises(error, match=message):
        play(draw_level, **controls)
    assert shown == ([], [])
