"""A lesson that becomes slides, a page, Markdown or LaTeX takes its figures along."""

import base64
import html
import io
import re
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter, SlidesExporter
from PIL import Image, ImageChops

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SMALL = FOLDER / "01_schedule.ipynb"
DPI, MOVING_DPI = 165, 110  # at which small words can be read on paper; frames have few of them
IMAGE = re.compile(r'<img alt="([^"]*)" [^>]*src="data:image/webp;base64,([^"]+)"')


def figures(notebook) -> list[dict[str, str]]:
    """The bundles of a notebook that hold a figure."""
    return [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "<figure" in output.get("data", {}).get("text/html", "")
    ]


def opened(content: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(content, validate=True))).convert("RGB")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_figure_is_also_a_picture_file_of_the_same_pixels(path):
    bundles = figures(nbformat.read(path, as_version=4))
    assert bundles
    for bundle in bundles:
        text, content = IMAGE.search(bundle["text/html"]).groups()
        width = re.search(r'<img [^>]*width="(\d+)"', bundle["text/html"])[1]
        assert bundle["text/plain"].startswith(html.unescape(text))
        picture = opened(bundle["image/png"])
        page = bundle["text/html"]
        moving = "application/json" in page and "data-play" not in page
        dpi = MOVING_DPI if moving else DPI
        assert picture.width == pytest.approx(dpi * int(width) / 110, abs=1)  # 110 for an inch
        assert ImageChops.difference(picture, opened(content)).getbbox() is None


@pytest.fixture(scope="module")
def lesson():
    return nbformat.read(SMALL, as_version=4)


def captions(notebook) -> list[str]:
    return [IMAGE.search(bundle["text/html"])[1] for bundle in figures(notebook)]


@pytest.mark.parametrize("exporter", [HTMLExporter, SlidesExporter])
def test_pages_and_slides_hold_each_figure_with_its_words(lesson, exporter):
    page, _ = exporter().from_notebook_node(lesson)
    assert [text for text, _ in IMAGE.findall(page)] == captions(lesson)
    shown = re.findall(r"<figcaption>(.*?)(?: <small>.*?</small>)?</figcaption>", page)
    assert shown == captions(lesson)
    assert page.count("<img ") == len(captions(lesson))  # each once


def test_markdown_has_a_file_for_each_figure_and_its_words(lesson):
    page, resources = MarkdownExporter().from_notebook_node(lesson)
    assert files_of(resources) == pictures_of(lesson)
    assert [text for text, _ in IMAGE.findall(page)] == captions(lesson)


def test_latex_shows_a_file_for_each_figure(lesson):
    """Of the code cells alone, because Pandoc is needed for the text."""
    code = nbformat.v4.new_notebook(cells=[c for c in lesson.cells if c.cell_type == "code"])
    page, resources = LatexExporter().from_notebook_node(code)
    assert files_of(resources) == pictures_of(lesson)
    assert re.findall(r"\\adjustimage\{.*\}\{(.+?)\}$", page, re.M) == list(resources["outputs"])


def files_of(resources) -> list[bytes]:
    return list(resources["outputs"].values())


def pictures_of(notebook) -> list[bytes]:
    return [base64.b64decode(bundle["image/png"]) for bundle in figures(notebook)]
