"""Measure how fast pictures in the lessons follow their controls, as a table in Markdown.

    python tools/measure_sliders.py [--publish] [03 05 ...]

Each lesson is run in JupyterLab, in Chromium. Then each of its figures comes into view and is left
alone for ten seconds, as by somebody who reads, in which the kernel draws frames ahead: a hand that
moves at once waits longer than this table says. After that each control is moved by mouse: a slider
is dragged from end to end, a list gets each of its options, a pad two strokes. A time is that from
a move to the picture of it, or of a later move if that came first.

The height is that of controls, picture and caption together, in pixels; a window of 1280 x 900
shows about 780 of a notebook.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

from benchmarks._report import put_between_marks
from lab import chromium, jupyterlab, open_in, run_all, shut_down
from minddpm_course.lessons import OPTIONS, copy_lessons

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
MOVES = 40  # of a slider
PAUSE = 25  # milliseconds between two of them
READING = 10_000  # milliseconds from when a figure comes into view to the first move
SLOW = 400  # milliseconds after which a figure surely says that it is being drawn
# keeps the time of each move, and of the frame that shows it
WATCH = """figure => {
    const moves = [];
    const now = () => performance.now();
    window.times = [];
    const moved = ({ type, target }) => {
        const ends = type === 'input' ? 'fieldset' : '[role=application]'; // a stroke on a pad
        if (target.closest(ends)) moves.push(now());
    };
    for (const kind of ['input', 'pointerup']) figure.addEventListener(kind, moved, true);
    new MutationObserver(() => {
        const latest = moves.splice(0);
        requestAnimationFrame(() => times.push(...latest.map(time => now() - time)));
    }).observe(figure.querySelector('img'), { attributeFilter: ['src'] });
}"""


def drag(page: Page, slider: Locator) -> None:
    """Drag the thumb of a slider from its first value to its last."""
    box = slider.bounding_box()
    assert box is not None
    thumb = 16  # its width, about: the middle of a thumb does not reach the ends of the track
    places = [box["x"] + thumb / 2 + (box["width"] - thumb) * k / MOVES for k in range(MOVES + 1)]
    middle = box["y"] + box["height"] / 2
    page.mouse.move(places[0], middle)
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(place, middle)
        page.wait_for_timeout(PAUSE)
    page.mouse.up()


def stroke(page: Page, pad: Locator) -> None:
    """Draw a line on a pad, and another across it."""
    box = pad.bounding_box()
    assert box is not None
    for ends in (((0.2, 0.3), (0.8, 0.3)), ((0.5, 0.2), (0.5, 0.8))):
        (x0, y0), (x1, y1) = ends
        shown = page.evaluate("times.length")
        page.mouse.move(box["x"] + x0 * box["width"], box["y"] + y0 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + x1 * box["width"], box["y"] + y1 * box["height"], steps=10)
        page.mouse.up()
        page.wait_for_function("shown => times.length > shown", arg=shown, timeout=60_000)


def settled(page: Page) -> None:
    """Wait until the picture has followed."""
    page.wait_for_timeout(SLOW)
    page.wait_for_function("() => window.pending.every(is => !is())")


def times_of(page: Page, figure: Locator) -> Iterator[tuple[str, list[float]]]:
    """Each control's name, and the milliseconds from its moves to the pictures of them."""
    controls = figure.locator("input[type=range], select, [role=application]")
    for control in controls.all():
        control.scroll_into_view_if_needed()
        label = control.evaluate("one => one.labels?.[0]?.textContent ?? one.ariaLabel")
        page.evaluate("() => { window.times = [] }")
        if control.evaluate("one => one.type === 'range'"):
            drag(page, control)
        elif control.evaluate("one => one.localName === 'select'"):
            for index in range(control.evaluate("one => one.options.length")):
                control.select_option(index=index)
                settled(page)
        else:
            stroke(page, control)
        settled(page)
        page.wait_for_timeout(500)
        times: list[float] = page.evaluate("window.times")
        yield label, times


def rows_of(page: Page, lesson: str) -> Iterator[str]:
    """The rows of a lesson in the table."""
    run_all(page)
    page.locator("figure[data-play]").first.wait_for()
    for figure in page.locator("figure[data-play]").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_timeout(READING)
        height = figure.evaluate("one => one.getBoundingClientRect().height")
        figure.evaluate(WATCH)
        page.evaluate("() => { window.pending = [] }")
        figure.evaluate(
            """figure => pending.push(() => figure.querySelector('[role=status]').textContent)"""
        )
        for name, times in times_of(page, figure):
            middle, worst = statistics.median(times), max(times)
            yield (
                f"| {lesson} | {name} | {len(times)} | {middle:.0f} | {worst:.0f} | {height:.0f} |"
            )


def table(names: list[str]) -> str:
    """A row for each control of each lesson."""
    rows = [
        "| lesson | control | moves | median ms | worst ms | height |",
        "|---|---|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as path, sync_playwright() as playwright:
        folder = Path(path)
        copy_lessons(folder)
        browser = chromium(playwright)
        with jupyterlab(folder, folder / "settings", OPTIONS.split()) as address:
            for notebook in sorted((folder / "notebooks").glob("*.ipynb")):
                if names and not notebook.name.startswith(tuple(names)):
                    continue
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.set_default_timeout(900_000)  # of which lesson 07 trains for minutes
                open_in(page, address, f"notebooks/{notebook.name}")
                for row in rows_of(page, notebook.stem):
                    print(row, flush=True)
                    rows.append(row)
                shut_down(page)
                page.close()
    return "\n".join(rows)


def main() -> None:
    """Print the table, and publish it if asked to."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", help="how the names of lessons begin; all if none")
    parser.add_argument("--publish", action="store_true", help=f"write it into {PAGE.name}, too")
    options = parser.parse_args()
    text = table(options.names)
    print(text)
    if options.publish:
        put_between_marks(PAGE, "sliders", text)


if __name__ == "__main__":
    main()
