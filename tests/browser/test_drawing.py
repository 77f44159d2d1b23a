"""The pad in a browser: by mouse, finger and keyboard, in a page of its own and in JupyterLab."""

import json
import re

import nbformat
import pytest
import torch

from minddpm.data import to_bytes
from minddpm_course.sketchpad import Sketchpad, scrawled

SEVEN = [(8, 6), (20, 6), (12, 23)]
BAR = [(6, 14), (22, 14)]
THEMES = {"light": "background: #fff; color: #222", "dark": "background: #111; color: #ddd"}
CELL = """
import time
from minddpm.data import to_bytes
from minddpm_course.figures import draw_image, new_figure
from minddpm_course.sketchpad import Sketchpad, scrawled
from minddpm_course.widgets import play

drawn = 0
seconds = 0

def draw(digit):
    global drawn
    time.sleep(seconds)
    drawn += 1
    figure, ((axis,),) = new_figure(height=1.5)
    draw_image(axis, digit.float())
    pixels = to_bytes(digit if digit.is_floating_point() else 2 * digit.float() - 1)
    return figure, f"{drawn}: {pixels.tobytes().hex()}"

"""
# what of the pad has words, with their colour, and the first colour that is painted behind them
WORDS = """() => [...document.querySelectorAll(".sketchpad, .sketchpad *")]
    .filter(part => part.tagName !== "STYLE" && [...part.childNodes].some(
        node => node.nodeType === Node.TEXT_NODE && node.data.trim()))
    .map(part => {
        let behind = part;
        while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)")
            behind = behind.parentElement;
        const paper = getComputedStyle(behind).backgroundColor;
        return [part.textContent, getComputedStyle(part).color, paper];
    })"""


def ink_of(image):
    return to_bytes(image).flatten().astype(int)


def marked_by(*strokes):
    """What a marker, of 2 pixels to each side, leaves of strokes, (28, 28).

    Each stroke runs along a row or a column, so that it has no need of the pad's own formula.
    """
    mask = torch.zeros(28, 28, dtype=torch.bool)
    for (x0, y0), (x1, y1) in strokes:
        for y in range(28):
            for x in range(28):
                right = max(x0 - x - 0.5, x + 0.5 - x1, 0)
                down = max(y0 - y - 0.5, y + 0.5 - y1, 0)
                mask[y, x] |= right**2 + down**2 <= 4
    return mask


def contrast(one, other):
    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return sum(share * v for share, v in zip((0.2126, 0.7152, 0.0722), linear))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture
def pad_page(browser, tmp_path):
    """Opens a page with a pad and nothing else, without a network; what the pad tells is in `told`,
    and `setInk` sets it.
    """

    def open_page(style="", picture=None, **options):
        options = {"viewport": {"width": 800, "height": 700}} | options
        grey = json.dumps(ink_of(picture).tolist()) if picture is not None else "null"
        path = tmp_path / "page.html"
        path.write_text(
            f"<!doctype html><meta charset=utf-8>"
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<body style="{style}"><div id="here"></div><script type="module">{Sketchpad._esm}'
            f"""
            window.told = [];
            window.setInk = sketchpad(document.querySelector("#here"), {{
                ink: new Uint8Array(784), picture: {grey}, label: "digit",
                onChange: (ink) => told.push([...ink]),
            }});
            </script>""",
            encoding="utf-8",
        )
        page = browser.new_context(offline=True, **options).new_page()
        page.set_default_timeout(20_000)
        page.goto(path.as_uri())
        surface(page).wait_for()
        return page

    return open_page


def surface(page):
    return page.get_by_role("application")


def told(page):
    return page.evaluate("told")


def shown(page):
    """The colours on the pad, (784, 3)."""
    data = surface(page).evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    return torch.tensor(data).reshape(784, 4)[:, :3]


def on_page(page, points):
    """Where points of the pad, in its pixels, are in the window."""
    surface(page).scroll_into_view_if_needed()
    box = surface(page).bounding_box()
    scale = box["width"] / 28
    return [(box["x"] + scale * x, box["y"] + scale * y) for x, y in points]


def by_mouse(page, points, lift=True):
    first, *others = on_page(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point)
    if lift:
        page.mouse.up()


def by_finger(page, points):
    first, *others = on_page(page, points)
    touch = page.context.new_cdp_session(page)

    def send(kind, *places):
        fingers = [{"x": x, "y": y} for x, y in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    send("touchStart", first)
    for point in others:
        send("touchMove", point)
    send("touchEnd")


def near(ink, image):
    """Whether bytes are those of an image, up to what a tenth of a pixel moves them."""
    return abs(torch.tensor(list(ink)) - torch.from_numpy(ink_of(image))).max() <= 30


@pytest.mark.parametrize("hand", [by_mouse, by_finger])
def test_a_stroke_is_told_once_when_it_ends(pad_page, hand):
    page = pad_page(has_touch=hand is by_finger)
    hand(page, SEVEN)
    (ink,) = told(page)
    assert near(ink, scrawled(SEVEN))
    assert (shown(page) == torch.tensor(ink)[:, None]).all()
    hand(page, BAR)
    assert near(told(page)[1], scrawled(SEVEN, BAR))
    assert len(told(page)) == 2


def test_the_keyboard_alone_draws_undoes_and_clears(pad_page):
    page = pad_page()
    page.keyboard.press("Tab")
    assert surface(page).evaluate("canvas => canvas === document.activeElement")
    status = page.get_by_role("status")
    assert status.text_content() == "column 15, row 15, pen up"
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    assert told(page) == []
    page.keyboard.press("Space")
    assert status.text_content() == "column 7, row 15, pen down"
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    assert told(page) == []
    page.keyboard.press("Enter")
    assert status.text_content() == "column 22, row 15, pen up"
    bar = scrawled([(6.5, 14.5), (21.5, 14.5)])
    assert told(page) == [ink_of(bar).tolist()]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert status.text_content() == "nothing to undo"
    assert told(page)[1:] == [784 * [0]]
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    assert max(told(page)[2]) == 255
    page.keyboard.press("Delete")
    assert status.text_content() == "cleared"
    assert told(page)[3] == 784 * [0]
    for _ in range(40):
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
    assert status.text_content() == "column 28, row 1, pen up"
    page.keyboard.press("Space")
    page.keyboard.press("Tab")  # what leaves the pad lifts the pen
    assert told(page)[4][27] == 255
    assert page.evaluate("document.activeElement.textContent") == "Clear"
    page.keyboard.press("Enter")
    assert told(page)[5] == 784 * [0]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Undo"
    page.keyboard.press("Space")
    assert told(page)[6] == told(page)[4]


def test_clear_and_undo_go_back_a_step_each(pad_page):
    page = pad_page()
    undo, clear = (page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
    by_mouse(page, SEVEN)
    by_mouse(page, BAR)
    clear.click()
    one, both, nothing = told(page)
    assert nothing == 784 * [0]
    for step, ink in enumerate([both, one, nothing], start=4):
        undo.click()
        assert len(told(page)) == step
        assert told(page)[-1] == ink
        assert (shown(page) == torch.tensor(ink)[:, None]).all()
    undo.click()
    assert len(told(page)) == 6
    assert page.get_by_role("status").text_content() == "nothing to undo"


def test_marks_lie_over_a_picture_that_stays(pad_page):
    picture = scrawled(SEVEN)
    page = pad_page(picture=picture)
    grey = torch.from_numpy(ink_of(picture))
    assert (shown(page) == grey[:, None]).all()
    by_mouse(page, BAR)
    mask = marked_by(BAR).flatten()
    assert told(page) == [(255 * mask.int()).tolist()]
    colours = shown(page)
    assert (colours[~mask] == grey[~mask, None]).all()
    orange = 0.7 * torch.tensor([230, 159, 0]) + 0.3 * grey[mask, None]
    assert (colours[mask] - orange).abs().max() <= 1
    page.get_by_role("button", name="Clear").click()
    assert (shown(page) == grey[:, None]).all()


def test_two_hands_draw_no_line_between_them(pad_page):
    page = pad_page(has_touch=True)
    points = on_page(page, [(5, 5), (5, 15), (25, 25)])
    touch = page.context.new_cdp_session(page)
    one, moved, other = ({"x": x, "y": y, "id": place} for place, (x, y) in enumerate(points))
    moved["id"] = 0
    steps = [("Start", [one]), ("Start", [one, other]), ("Move", [moved, other]), ("End", [])]
    for kind, fingers in steps:
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})
    (ink,) = told(page)
    assert near(ink, scrawled([(5, 5), (5, 15)]))
    page.get_by_role("button", name="Clear").click()

    surface(page).focus()
    page.keyboard.press("Space")  # the pen is down, in the middle
    by_mouse(page, [(5, 5), (5, 15)])
    assert near(told(page)[-1], scrawled([(14.5, 14.5)], [(5, 5), (5, 15)]))
    before = len(told(page))
    page.mouse.click(*points[2], button="right")
    assert len(told(page)) == before


def test_what_comes_back_leaves_a_stroke_alone_and_what_is_new_replaces_it(pad_page):
    page = pad_page()
    by_mouse(page, SEVEN)
    by_mouse(page, BAR, lift=False)
    page.evaluate("setInk(Uint8Array.from(told[0]))")
    page.mouse.up()
    assert near(told(page)[1], scrawled(SEVEN, BAR))
    by_mouse(page, BAR, lift=False)
    page.evaluate("setInk(new Uint8Array(784))")
    page.mouse.move(5, 5)
    page.mouse.up()
    assert len(told(page)) == 2
    assert shown(page).max() == 0
    page.get_by_role("button", name="Undo").click()
    assert shown(page).max() == 0


@pytest.mark.parametrize("theme", THEMES)
def test_its_words_can_be_read_and_its_cursor_be_seen(pad_page, theme):
    page = pad_page(THEMES[theme], picture=scrawled(SEVEN))
    by_mouse(page, BAR)
    surface(page).focus()
    page.keyboard.press("ArrowLeft")
    words = page.evaluate(WORDS)
    assert len(words) >= 5
    for text, ink, paper in words:
        assert contrast(ink, paper) >= 4.5, text
    ring = surface(page).evaluate(
        "canvas => [getComputedStyle(canvas).outlineStyle, getComputedStyle(canvas).outlineColor,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    assert ring[0] == "solid"
    assert contrast(*ring[1:]) >= 3
    assert page.locator(".cursor").is_visible()
    line, edge = page.locator(".cursor").evaluate(
        "cursor => [getComputedStyle(cursor).borderColor, getComputedStyle(cursor).outlineColor]"
    )
    for behind in ("rgb(0, 0, 0)", "rgb(255, 255, 255)", "rgb(230, 159, 0)"):
        assert max(contrast(line, behind), contrast(edge, behind)) >= 3


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_it_fits_and_a_finger_draws_without_scrolling(pad_page, width):
    options = {"viewport": {"width": width, "height": 300}, "has_touch": True, "is_mobile": True}
    page = pad_page(**options)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert surface(page).bounding_box()["width"] == 280
    surface(page).scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    by_finger(page, [(14, 20), (14, 10), (14, 6)])
    assert page.evaluate("scrollY") == before
    assert near(told(page)[0], scrawled([(14, 20), (14, 6)]))
    for button in page.get_by_role("button").all():
        assert min(button.bounding_box()[side] for side in ("width", "height")) >= 24


@pytest.fixture
def open_lab(open_notebook, clone):
    """Opens a notebook in JupyterLab whose only cell shows a pad, and runs it."""

    def open_page(last, **options):
        cells = [nbformat.v4.new_code_cell(CELL + last), nbformat.v4.new_code_cell()]
        kernel = {"display_name": "Python 3", "name": "python3"}
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, clone / "notebooks" / "drawing.ipynb")
        page = open_notebook("notebooks/drawing.ipynb", **options)
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell') }")
        surface(page).wait_for()
        return page

    return open_page


def heard(page, number):
    """What Python's pad held when the figure of this number was drawn."""
    caption = page.locator(".jp-OutputArea-output figcaption")
    caption.filter(has_text=re.compile(f"^{number}: ")).wait_for()
    return bytes.fromhex(caption.text_content().split(": ")[1])


def test_in_jupyterlab_python_has_what_is_drawn(open_lab):
    page = open_lab("play(draw, digit=Sketchpad())")
    assert heard(page, 1) == bytes(784)
    by_mouse(page, SEVEN)
    assert near(heard(page, 2), scrawled(SEVEN))
    by_finger(page, BAR)
    assert near(heard(page, 3), scrawled(SEVEN, BAR))
    page.get_by_role("button", name="Undo").click()
    assert near(heard(page, 4), scrawled(SEVEN))
    page.get_by_role("button", name="Clear").click()
    assert heard(page, 5) == bytes(784)

    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    cells = "window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = [page.evaluate(active), page.evaluate(cells)]
    surface(page).focus()
    page.keyboard.press("Space")
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert near(heard(page, 6), scrawled([(14.5, 14.5), (14.5, 19.5)]))
    page.keyboard.press("Control+z")
    assert heard(page, 7) == bytes(784)
    assert surface(page).evaluate("canvas => canvas === document.activeElement")
    assert [page.evaluate(active), page.evaluate(cells)] == before


def test_in_jupyterlab_python_has_what_is_marked(open_lab):
    page = open_lab(f"play(draw, digit=Sketchpad(picture=scrawled({SEVEN})))", has_touch=True)
    assert heard(page, 1) == bytes(784)
    by_finger(page, BAR)
    assert list(heard(page, 2)) == (255 * marked_by(BAR).flatten().int()).tolist()


def test_in_jupyterlab_what_python_sets_is_shown_and_drawn(open_lab):
    last = f"pad = Sketchpad()\nplay(draw, digit=pad)\npad.value = scrawled({SEVEN})"
    page = open_lab(last)
    assert near(heard(page, 2), scrawled(SEVEN))
    assert (shown(page) == torch.from_numpy(ink_of(scrawled(SEVEN)))[:, None]).all()


def test_in_jupyterlab_it_says_that_it_draws_and_the_latest_stroke_wins(open_lab):
    page = open_lab("play(draw, digit=Sketchpad())\nseconds = 3")
    heard(page, 1)
    by_mouse(page, SEVEN)
    page.get_by_text("drawing …").wait_for()
    by_mouse(page, BAR)
    by_mouse(page, [(14, 2), (14, 26)])
    assert near(heard(page, 3), scrawled(SEVEN, BAR, [(14, 2), (14, 26)]))
    page.get_by_text("drawing …").wait_for(state="hidden")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_in_jupyterlab_its_words_can_be_read(open_lab, theme):
    page = open_lab(f"play(draw, digit=Sketchpad(scrawled({SEVEN})))")
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
    )
    is_light = str(theme.endswith("Light")).lower()
    page.wait_for_function(f"document.body.dataset.jpThemeLight === '{is_light}'")
    surface(page).focus()
    page.keyboard.press("ArrowLeft")
    words = page.evaluate(WORDS)
    assert len(words) >= 5
    for text, ink, paper in words:
        assert contrast(ink, paper) >= 4.5, text
