"""JupyterLab as a student opens it: a server on a copy of the course, and a real browser."""

import re
import shlex
from pathlib import Path

import pytest

import lab
from minddpm_course.lessons import OPEN, copy_lessons

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what a student opens of the course: one for each module, since notebooks are saved
    in it and kernels outlive their page.
    """
    folder = tmp_path_factory.mktemp("lab") / "course"
    copy_lessons(folder)
    return folder


@pytest.fixture(scope="module")
def server(clone, tmp_path_factory):
    """The address of a JupyterLab that is started as by `make lab` and as the README says, in that
    copy.
    """
    told = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "README.md"))
    (start,) = set(
        re.findall(r"jupyter lab (?:\$\(\w+\) )*(.*?) *(?:#.*)?$", told, re.MULTILINE)
    )  # each way the same
    assert f"jupyter lab {start}" == OPEN
    with lab.jupyterlab(clone, tmp_path_factory.mktemp("settings"), shlex.split(start)) as address:
        yield address


@pytest.fixture(scope="module")
def running_browser():
    """Chromium, the system's own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        try:
            launched = lab.chromium(playwright)
        except FileNotFoundError as error:
            pytest.skip(str(error))
        yield launched
        launched.close()


@pytest.fixture
def browser(running_browser):
    """The browser, without pages of other tests."""
    yield running_browser
    for context in running_browser.contexts:
        context.close()


@pytest.fixture
def open_notebook(server, browser):
    """Opens a notebook in a fresh page, its kernel idle, with options of the page if there are any:
    open_notebook("exercises/03_posterior.ipynb").
    """

    def open_page(path, **options):
        page = browser.new_page(**{"viewport": {"width": 1200, "height": 1000}} | options)
        page.set_default_timeout(120_000)
        lab.open_in(page, server, path)
        return page

    return open_page
