"""JupyterLab as a student opens it: a server on a copy of the course, and a real browser."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IDLE = (
    "window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status ==="
    " 'idle'"
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what a student opens of the course: one for each module, since notebooks are saved
    in it and kernels outlive their page.
    """
    folder = tmp_path_factory.mktemp("lab") / "course"
    for name in ("notebooks", "exercises", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "jupytext.toml", folder)
    for twin in folder.glob("*/py/*.py"):  # older than their notebooks, as after `make notebooks`
        os.utime(twin, (0, 0))
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = tmp_path_factory.mktemp("settings")
    own = {
        name: str(settings / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    }
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", *shlex.split(start)),
            *("--no-browser", "--allow-root", f"--port={port}"),
            *(
                "--IdentityProvider.token=",
                "--LabApp.expose_app_in_browser=True",
                "--LabApp.news_url=",
            ),
        ],
        cwd=clone,
        env={**os.environ, **own, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "JupyterLab ended"
                time.sleep(0.5)
        else:
            raise AssertionError("JupyterLab did not answer within two minutes")
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def browser():
    """Chromium, the system's own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        arguments = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
        ]
        launched = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def open_notebook(server, browser):
    """Opens a notebook in a fresh page, its kernel idle:
    open_notebook("exercises/03_posterior.ipynb").
    """

    def open_page(path):
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(120_000)
        page.goto(f"{server}/lab/tree/{path}?reset")
        page.wait_for_function(IDLE)
        return page

    return open_page
