"""Moving pictures in a browser: in a page without a kernel, and in JupyterLab before and after the
cell is run.
"""

import nbformat
import pytest

from minddpm_course.moving import moving_bundle

FRAMES = 21
CAPTION = "A grey square turns white."
CELL = """
import torch
from minddpm_course.moving import show_moving

frames = [torch.full((4, 1, 8, 8), k / 10 - 1) for k in range(21)]
show_moving(frames, [f"t = {20 - k}" for k in range(21)], "A grey square turns white.")
"""


@pytest.fixture(scope="module")
def bundle():
    """What the cell displays."""
    torch = pytest.importorskip("torch")
    frames = [torch.full((4, 1, 8, 8), k / 10 - 1) for k in range(FRAMES)]
    return moving_bundle(frames, [f"t = {FRAMES - 1 - k}" for k in range(FRAMES)], CAPTION)


@pytest.fixture
def static_page(browser, bundle, tmp_path):
    """Opens a page that holds the picture and nothing else, without a network. Its clock stands
    still until `play_for` moves it on.
    """
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{bundle['text/html']}", encoding="utf-8")

    def open_page(**options):
        page = browser.new_context(offline=True, **options).new_page()
        page.set_default_timeout(20_000)
        stop_clock(page)
        page.goto(path.as_uri())
        return page

    return open_page


def position(page):
    return page.get_by_role("slider").input_value()


def stop_clock(page):
    page.clock.install(time=0)
    page.clock.pause_at(1)


def play_for(page, seconds):
    """Let a page's timers run for so many of its own seconds."""
    page.clock.run_for(1000 * seconds)


def test_it_plays_once_and_again_on_request(static_page):
    page = static_page()
    button = page.get_by_role("button", name="Pause")
    button.wait_for()  # it plays by itself
    assert position(page) == "0"
    play_for(page, 3.9)
    button.wait_for()
    play_for(page, 0.2)
    assert position(page) == str(FRAMES - 1)
    page.get_by_role("button", name="Play").wait_for()
    assert page.get_by_text("t = 0", exact=True).is_visible()
    page.get_by_role("button", name="Again").click()
    button.wait_for()
    play_for(page, 4.1)
    assert position(page) == str(FRAMES - 1)


def test_it_stops_where_it_is_paused_and_goes_on_from_there(static_page):
    page = static_page()
    page.get_by_role("button", name="Pause").wait_for()
    play_for(page, 1.1)
    page.get_by_role("button", name="Pause").click()
    assert position(page) == "5"
    play_for(page, 1)
    assert position(page) == "5"
    page.get_by_role("button", name="Play").click()
    play_for(page, 0.3)
    assert position(page) == "6"
    play_for(page, 4)
    assert position(page) == str(FRAMES - 1)


def test_each_frame_is_another_picture_with_its_label(static_page, bundle):
    page = static_page(reduced_motion="reduce")
    slider, picture = page.get_by_role("slider"), page.get_by_role("img")
    seen = set()
    for frame in range(FRAMES):
        slider.fill(str(frame))
        assert slider.get_attribute("aria-valuetext") == f"t = {FRAMES - 1 - frame}"
        assert page.get_by_text(f"t = {FRAMES - 1 - frame}", exact=True).is_visible()
        seen.add(picture.get_attribute("src"))
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 18
    assert len(seen) == FRAMES
    assert picture.get_attribute("alt") == CAPTION


def test_with_reduced_motion_it_waits_on_its_last_frame(static_page):
    page = static_page(reduced_motion="reduce")
    page.wait_for_timeout(700)
    play_for(page, 1)
    assert position(page) == str(FRAMES - 1)
    page.get_by_role("button", name="Play").click()  # but does what it is told
    page.get_by_role("button", name="Pause").wait_for()
    play_for(page, 4.1)
    assert position(page) == str(FRAMES - 1)


def test_the_keyboard_reaches_everything(static_page):
    page = static_page(reduced_motion="reduce")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Play"
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Play").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Again"
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert position(page) == "0"
    page.keyboard.press("ArrowRight")
    assert position(page) == "1"


def test_what_is_out_of_sight_does_not_play(browser, bundle, tmp_path):
    path = tmp_path / "long.html"
    path.write_text(f"<div style='height: 5000px'></div>{bundle['text/html']}", encoding="utf-8")
    page = browser.new_page()
    stop_clock(page)
    page.goto(path.as_uri())
    page.wait_for_timeout(700)
    play_for(page, 1)
    assert position(page) == str(FRAMES - 1)
    page.get_by_role("slider").scroll_into_view_if_needed()
    page.get_by_role("button", name="Pause").wait_for()


def test_two_on_one_page_play_apart(browser, bundle, tmp_path):
    path = tmp_path / "two.html"
    path.write_text(2 * bundle["text/html"], encoding="utf-8")
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(path.as_uri())
    first, second = page.get_by_role("slider").all()
    first.fill("3")
    assert (first.input_value(), second.input_value()) == ("3", str(FRAMES - 1))


def test_without_scripts_it_is_the_still_picture(static_page):
    page = static_page(java_script_enabled=False)
    assert page.get_by_role("button").count() == page.get_by_role("slider").count() == 0
    assert page.get_by_alt_text(CAPTION).bounding_box()["width"] == 770
    assert page.get_by_text("(Run this cell to see it move.)").is_visible()


def test_in_jupyterlab_it_stands_still_until_its_cell_is_run(open_notebook, clone, bundle):
    path = clone / "notebooks" / "moving.ipynb"
    output = nbformat.v4.new_output("display_data", data=bundle)
    cell = nbformat.v4.new_code_cell(CELL, outputs=[output], execution_count=1)
    kernel = {"display_name": "Python 3", "name": "python3"}
    cells = [cell, nbformat.v4.new_code_cell()]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)

    page = open_notebook("notebooks/moving.ipynb")  # a notebook from elsewhere is not trusted
    outputs = page.locator(".jp-OutputArea-output")
    still = outputs.get_by_alt_text(CAPTION)
    still.wait_for()
    assert still.evaluate("image => image.decode().then(() => image.naturalWidth)") == 770
    assert outputs.get_by_role("slider").count() == 0
    assert outputs.get_by_text("(Run this cell to see it move.)").is_visible()

    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell') }")
    slider = outputs.get_by_role("slider")
    slider.wait_for()
    assert not outputs.get_by_text("(Run this cell to see it move.)").is_visible()
    outputs.get_by_role("button", name="Play").wait_for()  # it has played
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    before = page.evaluate(active)
    slider.focus()
    page.keyboard.press("Home")
    for key, frame in (("ArrowUp", "1"), ("ArrowRight", "2"), ("ArrowDown", "1")):
        page.keyboard.press(key)  # the slider's, though the notebook has shortcuts on two of them
        assert slider.input_value() == frame
    assert page.evaluate(active) == before
