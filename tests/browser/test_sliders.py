"""Sliders in a browser: with a kernel, without one, and with a new one."""

import nbformat
import pytest

from lab import shut_down

CELL = """
import time
import ipywidgets
from minddpm_course.figures import new_figure
from minddpm_course.widgets import play

seconds = 0
drawn = []

def draw(level, name):
    time.sleep(seconds)
    drawn.append(level)
    if level == 13:
        raise ValueError("level must not be 13")
    figure, ((axis,),) = new_figure(height=1.5)
    axis.plot([0, 1], [0, level])
    axis.set(ylim=(0, 100))
    return figure, f"A line to {level} for the {name}."

"""
PLAY = """play(
    draw,
    level=ipywidgets.IntSlider(value=30, min=0, max=100),
    name=ipywidgets.Dropdown(options=["digit", "cat"]),
)
"""
RUN = "() => { window.jupyterapp.commands.execute('notebook:run-cell') }"
OUTPUT = ".jp-OutputArea-output"


@pytest.fixture(scope="module")
def stored():
    """What a notebook stores of a figure with frames for a page without a kernel."""
    ipywidgets = pytest.importorskip("ipywidgets")
    from minddpm_course.playing import Playing

    namespace = {}
    exec(CELL, namespace)
    controls = {
        "level": ipywidgets.IntSlider(value=30, min=0, max=100, step=10),
        "name": ipywidgets.Dropdown(options=["digit", "cat"]),
    }
    one = Playing(namespace["draw"], controls)
    one.bundle()
    return one.html(frames=one.frames_within(12, 10**7))


@pytest.fixture
def static_page(browser, stored, tmp_path):
    """Opens a page that holds the figure and nothing else, without a network."""
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{stored}", encoding="utf-8")

    def open_page(**options):
        page = browser.new_context(offline=True, **options).new_page()
        page.set_default_timeout(20_000)
        page.goto(path.as_uri())
        return page

    return open_page


@pytest.fixture
def open_lab(open_notebook, clone):
    """Opens a notebook in JupyterLab whose only cell shows a figure that follows, and runs it."""

    def open_page(last=PLAY, **options):
        cells = [nbformat.v4.new_code_cell(CELL + last), nbformat.v4.new_code_cell()]
        kernel = {"display_name": "Python 3", "name": "python3"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, clone / "notebooks" / "moving.ipynb")
        page = open_notebook("notebooks/moving.ipynb", **options)
        page.evaluate(RUN)
        page.locator(f"{OUTPUT} input[type=range]").wait_for()
        return page

    return open_page


def caption_is(page, text):
    page.locator("figcaption", has_text=text).wait_for()
    picture = page.locator("figure[data-play] img")
    assert picture.get_attribute("alt").strip() == text
    width = picture.evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert width in (1155, 770)  # drawn by the kernel, or stored


def slider(page):
    return page.get_by_role("slider", name="level")


def number(page):
    return page.get_by_role("spinbutton", name="level, as a number")


def test_without_a_kernel_the_picture_follows_over_the_values_that_were_stored(static_page):
    page = static_page()
    assert slider(page).get_attribute("aria-valuetext") == "30"
    seen = set()
    slider(page).focus()
    page.keyboard.press("Home")
    for level in (0, 30, 40, 60, 80, 100):
        caption_is(page, f"A line to {level} for the digit.")
        assert number(page).input_value() == str(level)
        seen.add(page.get_by_role("img").get_attribute("src"))
        page.keyboard.press("ArrowRight")
    assert len(seen) == 6
    page.get_by_label("name").select_option("cat")
    caption_is(page, "A line to 100 for the cat.")
    number(page).fill("58")
    page.keyboard.press("Enter")
    caption_is(page, "A line to 60 for the cat.")
    assert number(page).input_value() == "60"


def test_the_keyboard_reaches_every_control(static_page):
    page = static_page()
    names = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.type"))
    assert names == ["number", "range", "select-one"]


def test_the_track_is_as_wide_as_the_picture(static_page):
    for width in (1280, 390):
        page = static_page(viewport={"width": width, "height": 900})
        track, picture = slider(page).bounding_box(), page.get_by_role("img").bounding_box()
        assert abs(track["width"] - picture["width"]) <= 1
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_scripts_it_is_the_first_picture(static_page):
    page = static_page(java_script_enabled=False)
    assert page.get_by_role("slider").count() == 0
    assert page.get_by_alt_text("A line to 30 for the digit.").is_visible()
    assert page.get_by_text("(Run this cell to move it.)").is_visible()


def test_in_jupyterlab_the_picture_follows_while_the_hand_drags(open_lab):
    page = open_lab()
    caption_is(page, "A line to 30 for the digit.")
    box = slider(page).bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.3 * box["width"], middle)
    page.mouse.down()
    seen = set()
    for k in range(31, 100):
        page.mouse.move(box["x"] + k / 100 * box["width"], middle)
        page.wait_for_timeout(30)
        seen.add(page.locator("figcaption").text_content())
    assert len(seen) > 10  # the button is still down
    page.mouse.up()
    level = number(page).input_value()
    caption_is(page, f"A line to {level} for the digit.")


def test_in_jupyterlab_keys_move_the_slider_and_not_the_notebook(open_lab):
    page = open_lab()
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    before = page.evaluate(active)
    slider(page).focus()
    for key, level in (("ArrowRight", 31), ("ArrowUp", 32), ("ArrowLeft", 31), ("Home", 0)):
        page.keyboard.press(key)
        caption_is(page, f"A line to {level} for the digit.")
    number(page).fill("77")
    page.keyboard.press("Enter")
    caption_is(page, "A line to 77 for the digit.")
    page.get_by_label("name").select_option("cat")
    caption_is(page, "A line to 77 for the cat.")
    assert page.evaluate(active) == before


def test_in_jupyterlab_it_says_that_it_draws_and_the_latest_move_wins(open_lab):
    page = open_lab(f"{PLAY}\nseconds = 8")  # longer than all moves take, on a busy machine too
    number(page).fill("50")
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="drawing …").wait_for()
    for level in ("60", "70", "80"):
        number(page).fill(level)
        page.keyboard.press("Enter")
    caption_is(page, "A line to 80 for the digit.")
    page.get_by_text("drawing …").wait_for(state="detached")
    code = "window.jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel"
    asked = "print([level for level in drawn if level in (50, 60, 70, 80)][:2])"
    page.evaluate(f"() => {code}.setSource('{asked}')")
    page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    page.evaluate(RUN)
    page.get_by_text("[50, 80]").wait_for()
    shut_down(page)  # or it would go on to draw ahead, for the next test to wait


def test_in_jupyterlab_an_error_takes_the_place_of_the_picture(open_lab):
    page = open_lab()
    number(page).fill("13")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(has_text="ValueError: level must not be 13")
    alert.wait_for()
    assert not page.locator("figure[data-play] img").is_visible()
    number(page).fill("14")
    page.keyboard.press("Enter")
    caption_is(page, "A line to 14 for the digit.")
    assert not alert.is_visible()


def test_in_jupyterlab_python_moves_the_slider_too(open_lab):
    page = open_lab(
        "level = ipywidgets.IntSlider(value=30, min=0, max=100)\n"
        "play(draw, level=level, name=ipywidgets.Dropdown(options=['digit']))\n"
        "level.value = 64"
    )
    caption_is(page, "A line to 64 for the digit.")
    assert slider(page).get_attribute("aria-valuetext") == "64"


@pytest.mark.parametrize("kernel", ["same", "new"])
def test_what_jupyterlab_saves_is_a_picture_when_it_is_opened_again(
    open_lab, open_notebook, clone, kernel
):
    page = open_lab()
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    if kernel == "new":
        session = "window.jupyterapp.shell.currentWidget.context.sessionContext"
        page.evaluate(f"() => {session}.shutdown()")
    page.close()
    saved = nbformat.read(clone / "notebooks" / "moving.ipynb", as_version=4)
    (output,) = saved.cells[0].outputs
    assert set(output.data) == {"text/html", "image/png", "text/plain"}

    page = open_notebook("notebooks/moving.ipynb")
    picture = page.locator(f"{OUTPUT} img")
    picture.wait_for()
    assert picture.get_attribute("alt") == "A line to 30 for the digit."
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1155
    assert "Error displaying widget" not in page.locator(".jp-Notebook").inner_text()
    if kernel == "same":  # it still moves
        slider(page).focus()
        page.keyboard.press("ArrowRight")
        caption_is(page, "A line to 31 for the digit.")
    else:
        assert page.get_by_text("(Run this cell to move it.)").is_visible()
        assert page.get_by_role("slider").count() == 0
        page.evaluate(RUN)
        slider(page).focus()
        page.keyboard.press("ArrowRight")
        caption_is(page, "A line to 31 for the digit.")


def test_in_jupyterlab_a_kernel_that_is_gone_leaves_the_picture(open_lab):
    page = open_lab()
    session = "window.jupyterapp.shell.currentWidget.context.sessionContext.session"
    page.evaluate(f"() => {session}.kernel.restart()")
    page.get_by_text("(Run this cell to move it.)").wait_for()
    assert slider(page).is_disabled()
    assert page.locator(f"{OUTPUT} img").is_visible()
