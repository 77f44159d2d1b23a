"""Sliders without a browser: what is displayed, and what the kernel tells the page."""

import asyncio
import base64
import gc
import html
import io
import json
import re
import threading
import time
import weakref
from itertools import product
from pathlib import Path

import IPython.display
import ipywidgets
import nbformat
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from minddpm_course import playing
from minddpm_course.figures import new_figure, to_pixels
from minddpm_course.playing import BREATH, REST, Kernel, Playing, scale_of
from minddpm_course.sketchpad import Sketchpad, scrawled
from minddpm_course.widgets import play


class Page:
    """A page without a browser: what is displayed in it, and what it is told."""

    def __init__(self):
        self.bundles, self.told, self.kernels = [], [], []

    @property
    def given(self):
        """What the script of the latest figure is given."""
        (data,) = re.findall(
            r'<script type="application/json">(.*?)</script>', self.bundles[-1]["text/html"]
        )
        return json.loads(data)

    @property
    def frames(self):
        """The captions and pictures that the page was told, by places."""
        return {
            tuple(content["frame"]["at"]): (content["frame"].get("caption"), buffers)
            for content, buffers in self.told
            if "frame" in content
        }

    def says(self, **content):
        """What a page sends, as it arrives: {"draw": places} or {"rest": places}."""
        self.kernels[-1]._handle_custom_msg(json.loads(json.dumps(content)), [])


@pytest.fixture
def page(monkeypatch):
    page = Page()

    class Watched(Kernel):
        def __init__(self, **traits):
            super().__init__(**traits)
            page.kernels.append(self)

        def send(self, content, buffers=None):
            page.told.append((json.loads(json.dumps(content)), buffers))

    monkeypatch.setattr(playing, "Kernel", Watched)
    monkeypatch.setattr(playing, "played", [])
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: page.bundles.append(bundle))
    return page


def draw_level(level, name="digit"):
    figure, axes = new_figure(height=1.5)
    axes[0, 0].plot([0, 1], [0, level])
    axes[0, 0].set(ylim=(0, 10), title=name)
    return figure, f"A line to {level} for the {name}."


def level_slider(value=3):
    return ipywidgets.IntSlider(value=value, min=0, max=9)


def opened(webp):
    return np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"))


def test_the_page_is_told_the_picture_and_the_caption_that_it_asks_for(page):
    level = level_slider()
    play(draw_level, level=level)
    page.says(draw=[7])
    caption, (picture,) = page.frames[(7,)]
    assert caption == "A line to 7 for the digit."
    assert level.value == 7
    expected = np.asarray(to_pixels(draw_level(7)[0]))
    assert np.array_equal(opened(picture), expected)  # to the pixel
    page.says(draw=[3])
    assert not np.array_equal(opened(page.frames[(3,)][1][0]), expected)


def test_a_frame_is_drawn_once(page):
    drawn = []

    def draw(level):
        drawn.append(level)
        return draw_level(level)

    play(draw, level=level_slider())
    for place in (7, 3, 7, 3):
        page.says(draw=[place])
    assert drawn == [3, 7]


def test_nothing_jumps_where_labels_grow():
    figures = []

    def draw(level):
        figure, ((axis,),) = new_figure(height=1.5)
        axis.set_yticks([0.5], ["0" * (1 + level)])
        figures.append(figure)
        return figure, "caption"

    one, other = (Playing(draw, {"level": level_slider()}) for _ in range(2))
    for playing_one, level in ((one, 0), (one, 9), (other, 9)):
        playing_one.drawn((level,))
    first, later, alone = (figure.axes[0].get_position(original=True).x0 for figure in figures)
    assert later == first
    assert alone > first


def test_when_the_hand_rests_frames_nearby_are_drawn_ahead_the_nearest_first(page, monkeypatch):
    monkeypatch.setattr(playing, "AHEAD", 6)  # by key and by drag, to both sides

    async def rest():
        play(draw_level, level=ipywidgets.IntSlider(value=50, min=0, max=100))
        page.says(rest=[50])
        await asyncio.sleep(0)
        assert not page.frames  # not at once
        for _ in range(200):
            await asyncio.sleep(BREATH + 0.05)
            if len(page.frames) == 6:
                break
        await asyncio.sleep(REST)

    asyncio.run(rest())
    order = [place for (place,) in page.frames]
    assert sorted(order) == [47, 48, 49, 51, 52, 53]
    away = [abs(place - 50) for place in order]
    assert away == sorted(away)


def test_drawing_ahead_lets_the_kernel_do_other_things_between_two_frames(page):
    async def work():
        play(draw_level, level=ipywidgets.IntSlider(value=50, min=0, max=100))
        page.says(rest=[50])
        await asyncio.sleep(REST + 0.1)
        seen = []
        for _ in range(5):
            before = len(page.frames)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(len(page.frames) - before)
        assert max(seen) <= 1

    asyncio.run(work())
    assert page.frames


def test_the_longer_a_frame_takes_the_longer_the_kernel_is_free_after_it(page, monkeypatch):
    breaths = []

    def slow(level):
        time.sleep(0.25)
        return draw_level(level)

    async def rest():
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noted(delay, call, *arguments):
            if call.__name__ == "draw_ahead":
                breaths.append(delay)
            return call_later(delay, call, *arguments)

        monkeypatch.setattr(loop, "call_later", noted)
        play(slow, level=ipywidgets.IntSlider(value=3, min=0, max=6))
        page.says(rest=[3])
        while len(breaths) < 4:
            await asyncio.sleep(0.01)

    asyncio.run(rest())
    assert breaths[0] == REST
    assert min(breaths[1:]) >= 0.25 / 5


def test_later_cells_have_the_random_numbers_that_they_would_have_had(page):
    def draw(level):
        torch.manual_seed(level)
        return draw_level(level)

    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    play(draw, level=level_slider())
    page.says(draw=[7])
    assert torch.equal(torch.rand(3), expected)


def test_what_pages_say_in_other_threads_is_drawn_in_that_of_the_cells(page):
    """JupyterLab sends some messages to the kernel's main thread, others to a subshell's."""
    drawn = []

    def draw(level):
        drawn.append((level, threading.current_thread()))
        time.sleep(0.1)
        return draw_level(level)

    async def hurry():
        play(draw, level=level_slider(0))
        for place in (1, 2):
            await asyncio.to_thread(page.says, draw=[place])
        while len(page.frames) < 2:
            await asyncio.sleep(0.05)

    asyncio.run(hurry())
    here = threading.current_thread()
    assert drawn[:3] == [(0, here), (1, here), (2, here)]


def test_where_drawing_fails_the_page_is_told_the_error(page):
    def draw(level):
        if level > 5:
            raise ValueError(f"level must be < 6, got {level}")
        return draw_level(level)

    play(draw, level=level_slider(1))
    page.says(draw=[7])
    assert page.told == [
        ({"frame": {"at": [7], "error": "ValueError: level must be < 6, got 7"}}, [])
    ]
    page.says(draw=[5])
    assert page.frames[(5,)][0] == "A line to 5 for the digit."


def test_where_python_moves_a_control_the_page_goes_there(page):
    level = level_slider()
    play(draw_level, level=level)
    level.value = 8
    assert page.told == [({"go": [8]}, [])]
    page.says(draw=[6])
    assert [content for content, _ in page.told if "go" in content] == [{"go": [8]}]


def test_a_page_that_comes_later_is_told_where_the_controls_are(page):
    level, pad = level_slider(), Sketchpad()
    play(lambda level, name: draw_level(level), level=level, name=pad)
    page.says(here=True)
    level.value = 8
    pad.value = scrawled([(8, 6), (20, 6)])
    page.says(here=True)
    answers = [content for content, _ in page.told if "first" in content]
    assert [(one["go"], one["old"]) for one in answers] == [([3, 0], False), ([8, 0], True)]


def test_another_drawing_on_a_pad_makes_all_frames_old(page):
    def draw(digit, level):
        return draw_level(level, name=f"digit with {int((digit > 0).sum())} pixels")

    pad = Sketchpad()
    play(draw, digit=pad, level=level_slider())
    page.says(draw=[0, 5])
    assert page.frames[(0, 5)][0] == "A line to 5 for the digit with 0 pixels."
    pad.value = scrawled([(8, 6), (20, 6)])
    assert page.told[-1] == ({"old": True}, [])
    page.says(draw=[0, 5])
    inked = int((pad.value > 0).sum())
    assert inked > 0
    assert page.frames[(0, 5)][0] == f"A line to 5 for the digit with {inked} pixels."


@pytest.mark.parametrize(
    ("control", "kind", "labels", "values", "place"),
    [
        (
            ipywidgets.IntSlider(value=300, min=0, max=400, step=100),
            *("slider", ["0", "100", "200", "300", "400"], [0, 100, 200, 300, 400], 3),
        ),
        (
            ipywidgets.FloatSlider(value=0.2, min=-0.1, max=0.25, step=0.1, readout_format=".1f"),
            *("slider", ["-0.1", "0.0", "0.1", "0.2"], [-0.1, 0.0, 0.1, 0.2], 3),
        ),
        (
            ipywidgets.SelectionSlider(options=[2, 5, 10], value=5),
            *("slider", ["2", "5", "10"], [2, 5, 10], 1),
        ),
        (
            ipywidgets.Dropdown(options=[("one", 1), ("two", 2)], value=2),
            *("choice", ["one", "two"], [1, 2], 1),
        ),
        (ipywidgets.Checkbox(value=True), "tick", ["no", "yes"], [False, True], 1),
        (Sketchpad(), "widget", [""], [None], 0),
        (ipywidgets.Text("a word"), "widget", [""], [None], 0),
        (ipywidgets.FloatSlider(min=0, max=1, step=1e-6), "widget", [""], [None], 0),
    ],
)
def test_a_control_has_places(control, kind, labels, values, place):
    scale = scale_of(control)
    assert (scale.kind, list(scale.labels), list(scale.values)) == (kind, labels, values)
    assert scale.place_of(control.value) == place


@pytest.mark.parametrize(
    ("control", "stops"),
    [
        (ipywidgets.IntSlider(min=0, max=100), list(range(101))),
        (ipywidgets.IntSlider(min=1, max=1000), [1, *range(10, 1001, 10)]),
        (
            ipywidgets.FloatSlider(min=-1, max=1, step=0.01),
            [round(-1 + 0.02 * k, 2) for k in range(101)],
        ),
        (ipywidgets.Dropdown(options=range(300)), list(range(300))),
    ],
)
def test_a_drag_stops_at_about_a_hundred_round_values(control, stops):
    scale = scale_of(control)
    assert [scale.values[place] for place in scale.stops] == stops


def test_a_value_between_two_steps_is_drawn_at_the_nearest(page):
    play(draw_level, level=ipywidgets.FloatSlider(value=0.33, min=0, max=1, step=0.25))
    assert page.bundles[0]["text/plain"].startswith("A line to 0.25 ")


def test_the_output_reads_without_a_frontend(page):
    level = ipywidgets.IntSlider(value=3)
    named = ipywidgets.Dropdown(options=["digit"], description="picture")
    play(draw_level, level=level, name=named)
    (bundle,) = page.bundles
    # no view of a widget: that would be an error where the notebook is opened with another kernel
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    assert (
        bundle["text/plain"]
        == "A line to 3 for the digit. (In a running notebook, move: level, name.)"
    )
    shown, *_ = re.findall(r'<img alt="([^"]*)" .*? src="([^"]*)"', bundle["text/html"])
    assert html.unescape(shown[0]) == "A line to 3 for the digit."
    expected = np.asarray(to_pixels(draw_level(3)[0]))
    for data in (shown[1].partition(",")[2], bundle["image/png"]):
        assert np.array_equal(opened(base64.b64decode(data)), expected)
    assert page.given["start"] == [3, 0]
    assert [one["name"] for one in page.given["controls"]] == ["level", "picture"]
    assert page.given["frames"] == []
    assert page.kernels[0].figure in bundle["text/html"]


def test_nothing_in_a_caption_or_label_ends_the_script_or_the_picture(page):
    word = "</script><b>\"'&"
    play(draw_level, level=level_slider(), name=ipywidgets.Dropdown(options=[word]))
    shown = page.bundles[0]["text/html"]
    assert page.given["controls"][1]["labels"] == [word]
    assert shown.count("<script") == shown.count("</script>") == 2
    assert "<b>" not in shown


@pytest.mark.parametrize("most", [1, 2, 10])
def test_a_page_without_a_kernel_has_frames_for_all_combinations_of_some_values(most):
    controls = {
        "level": ipywidgets.IntSlider(value=37, min=0, max=1000),
        "name": ipywidgets.Dropdown(options=["digit", "cat"]),
    }
    one = Playing(draw_level, controls)
    one.bundle()
    frames = dict(one.frames_within(most, 10**9))
    assert (37, 0) not in frames  # the first figure is there already
    places = {*frames, (37, 0)}
    levels, names = ({at[axis] for at in places} for axis in (0, 1))
    assert places == set(product(levels, names))
    assert len(places) <= most
    if most >= 10:
        assert names == {0, 1}
        assert {0, 37, 1000} <= levels
        assert len(levels) == most // 2
        assert all(level % 10 == 0 for level in levels - {37})
    for (level, name), frame in frames.items():
        word = ["digit", "cat"][name]
        assert frame.caption == f"A line to {level} for the {word}."


def test_frames_of_a_page_keep_to_their_bytes():
    one = Playing(draw_level, {"level": ipywidgets.IntSlider(value=37, min=0, max=1000)})
    one.bundle()
    every = one.frames_within(8, 10**9)
    taken = sum(len(frame.picture) for _, frame in every)
    fewer = one.frames_within(8, taken // 2)
    assert 0 < sum(len(frame.picture) for _, frame in fewer) <= taken // 2
    assert len(fewer) >= len(every) // 3
    assert one.frames_within(8, 0) == []


def test_a_notebook_is_stored_with_the_frames(page):
    play(draw_level, level=level_slider())
    play(draw_level, level=level_slider(5))
    names = [kernel.figure for kernel in page.kernels]
    playing.show_stored()
    first, second = page.bundles[2:]
    assert [first["text/plain"], second["text/plain"]] == names
    assert page.given["start"] == [5]
    assert [frame["at"] for frame in page.given["frames"]] == [
        [place] for place in range(10) if place != 5
    ]
    assert not any(name in shown["text/html"] for name in names for shown in (first, second))


STORED = {
    path.stem: [
        output.data
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if "data-play" in output.get("data", {}).get("text/html", "")
    ]
    for path in sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
}


@pytest.mark.parametrize("lesson", STORED)
def test_what_a_lesson_stores_is_small_and_moves(page, lesson):
    assert STORED[lesson]
    page.bundles += STORED[lesson]
    assert all(len(bundle["text/html"]) < 1_000_000 for bundle in page.bundles)
    assert all('data-play=""' in bundle["text/html"] for bundle in page.bundles)  # no kernel's
    assert all(playing.FOLLOWER in bundle["text/html"] for bundle in page.bundles)  # not an old one
    page.bundles.sort(key=lambda bundle: len(bundle["text/html"]))
    frames = page.given["frames"]  # the largest's: a pad alone moves with a kernel only
    assert len({tuple(frame["at"]) for frame in frames}) == len(frames) >= 5
    # in 09, 10 and 11 some settings change nothing, such as eta in a single step
    assert len({frame["src"] for frame in frames}) > len(frames) / 2


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
def test_controls_that_do_not_fit_are_refused_before_anything_shows(page, controls, error, message):
    with pytest.raises(error, match=message):
        play(draw_level, **controls)
    assert not page.bundles
    assert not page.kernels


def test_no_frame_waits_until_the_collector_has_looked_through_what_was_there(page):
    class Node:
        pass

    kept, lost = Node(), Node()
    lost.itself = lost
    gone = weakref.ref(lost)
    del lost

    async def playing():
        play(draw_level, level=ipywidgets.IntSlider(0, 0, 3))

    gc.unfreeze()
    asyncio.run(playing())
    assert gone() is None
    assert not any(one is kept for one in gc.get_objects())
