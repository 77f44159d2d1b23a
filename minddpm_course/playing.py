"""Pictures that follow controls, in a notebook and in any page that is made from one.

What a notebook stores is a figure with a small script, playing.js, which shows the controls and
keeps the frames. While the kernel runs, playing_kernel.js asks it for those that the page lacks.
Without a kernel, the controls offer the values for which frames were stored. Where scripts do not
run (on GitHub, on paper), the figure is its first picture.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import html
import io
import json
import math
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from PIL import Image
from traitlets import Unicode

from minddpm_course.figures import as_address, as_png, page_width, to_pixels

FOLLOWER = Path(__file__).with_name("playing.js").read_text(encoding="utf-8")
REST = 0.2  # seconds without a question from the page after which frames are drawn ahead
AHEAD = 220  # frames that are drawn ahead, at most
FRAMES_KEPT = 400  # frames that are kept, of about 70 kB each
MOST_VALUES = 10_000  # steps of a slider
STOPS = 101  # of a slider that is dragged, at most, and its ends
KEY_STEPS = 5  # to each side that are drawn ahead for keys
BREATH = 0.01  # seconds between two of them, at least: the kernel takes what else there is to do
BREATHS = 0.2  # of the time that a frame took, for a kernel that is slow in other things, too
STORED = 70  # quality of the frames that a notebook stores, out of 100

Places = tuple[int, ...]  # of the controls: which of its values each of them has


@dataclass(frozen=True)
class Frame:
    """A drawn figure: a WebP file, and its caption."""

    picture: bytes
    caption: str

    @property
    def address(self) -> str:
        """The picture as an address that holds all of it."""
        return f"data:image/webp;base64,{base64.b64encode(self.picture).decode()}"


@dataclass(frozen=True)
class Scale:
    """All values of a control, in their order, and what a page calls them.

    The values are [None] for a control that a page cannot do without its own widget: a Sketchpad.
    """

    kind: str
    values: Sequence[Any]
    labels: Sequence[str]

    @cached_property
    def stops(self) -> list[int]:
        """The places over which the mouse drags: all, or about a hundred that have round values.

        Of a thousand, a hand could not hit each; a hundred can be drawn ahead.
        """
        places = list(range(len(self.values)))
        for grain in (factor * 10**power for power in range(4) for factor in (1, 2, 5)):
            if len(places) <= STOPS or self.kind != "slider":
                break
            step = grain * (self.values[1] - self.values[0])
            shares = [value / step for value in self.values]
            places = [place for place, one in enumerate(shares) if math.isclose(one, round(one))]
        return sorted({0, *places, len(self.values) - 1})

    def place_of(self, value: Any) -> int:
        """Where the value is among all of them; of a number, the nearest."""
        if self.kind == "widget":
            return 0
        if value in self.values:
            return self.values.index(value)
        return min(range(len(self.values)), key=lambda place: abs(self.values[place] - value))


def scale_of(control: ipywidgets.ValueWidget) -> Scale:
    """The values between which a control of ipywidgets chooses."""
    if isinstance(control, ipywidgets.IntSlider | ipywidgets.FloatSlider):
        steps = math.floor((control.max - control.min) / control.step + 1e-9)
        if steps < MOST_VALUES:
            values = [round(control.min + k * control.step, 12) for k in range(steps + 1)]
            return Scale("slider", values, [format(one, control.readout_format) for one in values])
    if isinstance(control, ipywidgets.Dropdown | ipywidgets.SelectionSlider):
        kind = "slider" if isinstance(control, ipywidgets.SelectionSlider) else "choice"
        return Scale(kind, control._options_values, control._options_labels)
    if isinstance(control, ipywidgets.Checkbox):
        return Scale("tick", (False, True), ("no", "yes"))
    return Scale("widget", (None,), ("",))


def around(at: Places, scales: Sequence[Scale]) -> Iterator[Places]:
    """The places that one control's move leads to, the nearest first: one step by key, or to a stop
    of a drag.
    """
    moves = []
    for axis, scale in enumerate(scales):
        near = range(max(0, at[axis] - KEY_STEPS), min(len(scale.values), at[axis] + KEY_STEPS + 1))
        ends = {*near, *scale.stops} - {at[axis]}
        for rank, place in enumerate(sorted(ends, key=lambda end: abs(end - at[axis]))):
            moves.append((rank, (*at[:axis], place, *at[axis + 1 :])))
    return (places for _, places in sorted(moves, key=lambda move: move[0]))


def evenly(stops: Sequence[int], place: int, most: int) -> list[int]:
    """At most so many of the stops, evenly spread from the first to the last, and the given place
    for the one that is nearest to it.
    """
    count = min(len(stops), most)
    if count == 1:
        return [place]
    even = [stops[round(k * (len(stops) - 1) / (count - 1))] for k in range(count)]
    if place not in even:
        inner = range(1, count - 1) or range(count)
        even[min(inner, key=lambda k: abs(even[k] - place))] = place
    return even


def counts_within(sizes: Sequence[int], most: int) -> list[int]:
    """How many values of each control to take, so that there are at most so many combinations."""
    counts = list(sizes)
    by_size = sorted(range(len(sizes)), key=lambda place: sizes[place])
    for done, place in enumerate(by_size):
        fair = int(most ** (1 / (len(sizes) - done)) + 1e-9)
        counts[place] = min(sizes[place], max(1, fair))
        most //= counts[place]
    return counts


def as_webp(picture: Image.Image, **options: Any) -> bytes:
    """A picture as a WebP file."""
    webp = io.BytesIO()
    picture.save(webp, "WEBP", **options)
    return webp.getvalue()


def spare_what_is_there() -> None:
    """Have the garbage collector look through all there is now, and then no more.

    Every thirty frames or so it would look again, and no picture would follow for a quarter of a
    second or more.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class Kernel(anywidget.AnyWidget):
    """What connects a figure in a page to the kernel. It has no view."""

    _esm = Path(__file__).with_name("playing_kernel.js").read_text(encoding="utf-8")
    figure = Unicode().tag(sync=True)


played: list[Playing] = []  # by the calls of `play` in this kernel


def show_stored(most: int = 60, size: int = 400_000) -> None:
    """Display what a notebook should store of each figure that has been displayed so far, with its
    name as text: frames for pages without a kernel.

    Args: the most frames of a figure, and the most bytes that they have together.
    """
    from IPython.display import display

    for one in played:
        stored = one.html(frames=one.frames_within(most, size))
        display({"text/html": stored, "text/plain": one.name}, raw=True)


class Playing:
    """A function that draws, its controls, and the frames that have been drawn.

    Args: as `play`.
    """

    def __init__(
        self, draw: Callable[..., tuple[Figure, str]], controls: dict[str, ipywidgets.ValueWidget]
    ) -> None:
        self.draw, self.controls = draw, controls
        self.scales = {name: scale_of(control) for name, control in controls.items()}
        self.frames: dict[Places, Frame] = {}
        self.layout: list[Any] = []  # where the first figure has its axes
        self.name = uuid.uuid4().hex
        self.kernel: Kernel | None = None
        self.renewed = False  # whether the first figure is old
        self.hands_off = False  # whether the page, not Python, is moving the controls
        self.ahead: asyncio.TimerHandle | None = None
        try:
            self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = None

    @property
    def at(self) -> Places:
        """Where the controls are."""
        controls, scales = self.controls.values(), self.scales.values()
        return tuple(scale.place_of(control.value) for control, scale in zip(controls, scales))

    def drawn(self, at: Places) -> tuple[Image.Image, int, str]:
        """Draw the figure for these places: its pixels, its width in a page, its caption.

        Its axes are where the first figure had them: nothing jumps, and half of the time is saved,
        as by titles that look for no better place. Later cells have the random numbers that they
        would have had without it.
        """
        values = {
            name: self.controls[name].value if scale.kind == "widget" else scale.values[place]
            for (name, scale), place in zip(self.scales.items(), at)
        }
        with torch.random.fork_rng(devices=[]), plt.rc_context({"axes.titley": 1.0}):
            figure, caption = self.draw(**values)
        if figure.get_layout_engine() is not None and len(self.layout) == len(figure.axes):
            figure.set_layout_engine("none")
            for axis, place in zip(figure.axes, self.layout):
                axis.set_position(place)
        picture = to_pixels(figure)
        if not self.layout:
            self.layout = [axis.get_position(original=True) for axis in figure.axes]
        return picture, page_width(figure), caption

    def keep(self, at: Places, picture: Image.Image, caption: str) -> Frame:
        """Keep a drawn figure as a frame, in the way that takes least time."""
        self.frames[at] = Frame(as_webp(picture, lossless=True, method=0, quality=0), caption)
        if len(self.frames) > FRAMES_KEPT:
            del self.frames[next(iter(self.frames))]
        return self.frames[at]

    def frame(self, at: Places) -> Frame:
        """The frame for these places, drawn unless it is kept."""
        if at in self.frames:
            return self.frames[at]
        picture, _, caption = self.drawn(at)
        return self.keep(at, picture, caption)

    def frames_within(self, most: int, size: int) -> list[tuple[Places, Frame]]:
        """Frames for a page without a kernel: for some values of each control, evenly spread from
        the first to the last, and for each combination of them, but for the first figure's.

        Args:
            most: how many frames there may be.
            size: how many bytes they may have in all.
        """
        scales, (first, width, _, start) = list(self.scales.values()), self.first
        shape = (width, round(width * first.height / first.width))  # no sharper than a page
        small: dict[Places, Frame] = {}
        while True:
            counts = counts_within([len(scale.stops) for scale in scales], most)
            values = map(evenly, (scale.stops for scale in scales), start, counts)
            grid = [at for at in product(*values) if at != start]
            for at in grid:
                if at not in small:
                    frame = self.frame(at)
                    picture = Image.open(io.BytesIO(frame.picture)).resize(shape)
                    small[at] = Frame(as_webp(picture, quality=STORED), frame.caption)
            taken = sum(len(small[at].picture) for at in grid)
            if taken <= size:
                return [(at, small[at]) for at in grid]
            most = int(most * size / taken)

    def bundle(self) -> dict[str, str]:
        """What `play` displays, by MIME type: the figure for pages, a PNG file, the caption."""
        at = self.at
        picture, width, caption = self.drawn(at)
        self.keep(at, picture, caption)
        self.first = picture, width, caption, at
        words = f"{caption} (In a running notebook, move: {', '.join(self.controls)}.)"
        page = self.html(self.name)
        return {"text/html": page, "image/png": as_png(picture), "text/plain": words}

    def html(self, name: str = "", frames: Sequence[tuple[Places, Frame]] = ()) -> str:
        """The figure at first: with a name, to be connected to the kernel; with frames, to be moved
        without one.
        """
        picture, width, caption, at = self.first
        controls = [
            {
                "name": control.description or name,
                "kind": scale.kind,
                "labels": scale.labels,
                "stops": scale.stops,
                "model": control.model_id if scale.kind == "widget" else None,
            }
            for (name, control), scale in zip(self.controls.items(), self.scales.values())
        ]
        given = {
            "controls": controls,
            "start": at,
            "width": width,
            "frames": [
                {"at": place, "caption": frame.caption, "src": frame.address}
                for place, frame in frames
            ],
        }
        data = json.dumps(given).replace("<", r"\u003c")  # so that no label ends the script
        text = html.escape(caption, quote=True)
        size = f'width="{width}" style="max-width:100%"'
        return (
            f'<figure style="margin:0" data-play="{name}">'
            f'<img alt="{text}" {size} src="{as_address(picture)}"/>'
            f"<figcaption>{text} <small>(Run this cell to move it.)</small></figcaption>"
            f'<script type="application/json">{data}</script><script>{FOLLOWER}</script></figure>'
        )

    def connect(self) -> None:
        """Make what a page needs to move the controls, and follow them."""
        played.append(self)
        if self.loop is not None:
            spare_what_is_there()
        self.kernel = Kernel(figure=self.name)
        self.kernel.on_msg(lambda _kernel, content, _buffers: self.soon(self.answer, content))
        for name, control in self.controls.items():
            control.description = control.description or name
            if self.scales[name].kind == "widget":
                control.continuous_update = False
                control.observe(lambda _change: self.soon(self.renew), names="value")
            else:
                control.observe(lambda _change: self.moved(), names="value")

    def soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call in the event loop of the cells: pages are heard in several threads, and two figures
        are never drawn at once. Where no loop was running, call now.
        """
        if self.loop is None:
            call(*arguments)
        else:
            self.loop.call_soon_threadsafe(call, *arguments)

    def tell(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Tell the page."""
        assert self.kernel is not None
        self.kernel.send(content, list(buffers))

    def answer(self, content: dict[str, Any]) -> None:
        """Say where the controls are to a page that is here now; else move them to where the page
        has them, and draw the frame if it lacks it.
        """
        if "here" in content:
            self.tell({"go": self.at, "old": self.renewed, "first": True})
            return
        at = tuple(content.get("draw") or content["rest"])
        self.hands_off = True
        try:
            for (name, scale), place in zip(self.scales.items(), at):
                if scale.kind != "widget":
                    self.controls[name].value = scale.values[place]
        finally:
            self.hands_off = False
        if self.ahead is not None:
            self.ahead.cancel()
        if "draw" in content:
            self.tell_frame(at)
        if self.loop is not None:
            near = islice(around(at, list(self.scales.values())), AHEAD)
            self.ahead = self.loop.call_later(REST, self.draw_ahead, near)

    def tell_frame(self, at: Places) -> None:
        """Tell the page the frame; where drawing fails, tell it the error, and raise it."""
        try:
            frame = self.frame(at)
        except Exception as error:
            self.tell({"frame": {"at": at, "error": f"{type(error).__name__}: {error}"}})
            raise
        self.tell({"frame": {"at": at, "caption": frame.caption}}, [frame.picture])

    def draw_ahead(self, places: Iterator[Places]) -> None:
        """Draw the next frame that the page lacks, then let the kernel do what else there is."""
        at = next((one for one in places if one not in self.frames), None)
        if at is not None and self.loop is not None:
            begin = time.perf_counter()
            with suppress(Exception):  # it is told to who moves there
                self.frame(at)
                self.tell_frame(at)
            breath = max(BREATH, BREATHS * (time.perf_counter() - begin))
            self.ahead = self.loop.call_later(breath, self.draw_ahead, places)

    def moved(self) -> None:
        """Tell the page where Python has moved the controls."""
        if not self.hands_off:
            self.soon(lambda: self.tell({"go": self.at}))

    def renew(self) -> None:
        """Forget all frames: the value of a control that has no places is another."""
        self.frames.clear()
        self.renewed = True
        self.tell({"old": True})
