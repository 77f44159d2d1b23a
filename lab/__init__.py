"""JupyterLab in Chromium: for the tests of the browser and for `tools/measure_sliders.py`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
NOTEBOOK = "window.jupyterapp?.shell.currentWidget"
CELLS = f"{NOTEBOOK}.content.model.sharedModel.cells"
IDLE = f"{NOTEBOOK}?.context?.sessionContext?.session?.kernel?.status === 'idle'"
# each cell has been run, or those before one that failed
DONE = f"""() => {{
    const code = {CELLS}.filter(cell => cell.cell_type === 'code' && cell.source.trim());
    const failed = code.some(cell => cell.outputs.some(one => one.output_type === 'error'));
    return {IDLE} && (failed || code.every(cell => cell.execution_count));
}}"""


@contextmanager
def jupyterlab(folder: Path, settings: Path, options: Sequence[str] = ()) -> Iterator[str]:
    """Start JupyterLab, as `jupyter lab` does, and end it afterwards.

    Args:
        folder: where it is started.
        settings: where it keeps a learner's settings.
        options: of the command.
    Yields: its address.
    Raises: RuntimeError where it ends or does not answer within two minutes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(settings / name) for name in names}
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", *options, "--no-browser", "--allow-root"),
            *(f"--port={port}", "--IdentityProvider.token="),
            "--LabApp.expose_app_in_browser=True",
        ],
        cwd=folder,
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
                if server.poll() is not None:
                    raise RuntimeError("JupyterLab ended") from None
                time.sleep(0.5)
        else:
            raise RuntimeError("JupyterLab did not answer within two minutes")
        yield address
    finally:
        server.terminate()
        server.wait()


def chromium(playwright: Playwright) -> Browser:
    """Start Chromium, the system's own.

    Raises: FileNotFoundError where there is none.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise FileNotFoundError("no Chromium is installed")
    arguments = [
        *("--no-sandbox", "--disable-gpu"),
        *("--disable-background-networking", "--disable-component-update"),
    ]
    return playwright.chromium.launch(executable_path=found, args=arguments)


def open_in(page: Page, address: str, path: str) -> None:
    """Open a notebook of the JupyterLab at the address, and wait for its kernel."""
    page.goto(f"{address}/lab/tree/{path}?reset")
    page.wait_for_function(f"() => {IDLE}")


def run_all(page: Page) -> None:
    """Run the open notebook from top to bottom, or to the first cell that fails."""
    page.evaluate(
        f"""() => {{
            for (const cell of {CELLS}) if (cell.cell_type === 'code') {{
                cell.execution_count = null;
                cell.setOutputs([]);
            }}
            window.jupyterapp.commands.execute('notebook:run-all-cells');
        }}"""
    )
    page.wait_for_function(DONE)


def shut_down(page: Page) -> None:
    """End the kernel of the open notebook, which would outlive its page."""
    page.evaluate(f"() => {NOTEBOOK}.context.sessionContext.shutdown()")
