"""The notebooks are a real check of the package: each formula of mistakes.toml, made wrong, makes
its notebook fail.

A mistake is planted in a copy of the package; the notebook's cells run against it until the first
that raises or says something else than what is stored. The same cells then pass with the package as
it is.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


class Mistake(NamedTuple):
    notebook: str
    name: str
    module: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def places(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


MISTAKES = [
    Mistake(notebook, name, entry["module"], places(entry["right"]), places(entry["wrong"]))
    for notebook, entries in tomllib.loads(
        (HERE / "mistakes.toml").read_text(encoding="utf-8")
    ).items()
    for name, entry in entries.items()
]
reached: dict[str, int] = {}  # notebook -> the last cell that a mistake made fail


def run(package: Path, notebook: str, last: int | None = None) -> dict:
    """Find the first cell of a notebook, up to the last, that is wrong when `minddpm` is the one in
    a folder.
    """
    command = [
        sys.executable,
        str(HERE / "first_wrong_cell.py"),
        str(ROOT / "notebooks" / f"{notebook}.ipynb"),
    ]
    command += [str(last)] if last else []
    environment = os.environ | {
        "PYTHONPATH": str(package),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def run_with(mistake: Mistake, folder: Path) -> dict:
    """Plant a mistake in a copy of the package and run its notebook."""
    shutil.copytree(
        ROOT / "minddpm", folder / "minddpm", ignore=shutil.ignore_patterns("__pycache__")
    )
    module = folder / "minddpm" / f"{mistake.module}.py"
    text = module.read_text(encoding="utf-8")
    for right, wrong in zip(mistake.right, mistake.wrong, strict=True):
        assert text.count(right) == 1, (
            f"{mistake.module}.py has, {text.count(right)} times and not once: {right}"
        )
        text = text.replace(right, wrong)
    module.write_text(text, encoding="utf-8")
    result = run(folder, mistake.notebook)
    shutil.rmtree(folder)
    return result


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """The runs of all selected mistakes, as many at once as there are processors."""
    selected = [
        item for item in request.session.items if "runs" in getattr(item, "fixturenames", ())
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        folders = {
            item.callspec.params["mistake"]: tmp_path_factory.mktemp("package") for item in selected
        }
        yield {
            mistake: pool.submit(run_with, mistake, folder) for mistake, folder in folders.items()
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    "mistake", MISTAKES, ids=lambda mistake: f"{mistake.notebook}: {mistake.name}"
)
def test_mistake_makes_its_notebook_fail(mistake, runs):
    result = runs[mistake].result()
    assert result["cell"], f"no cell of {mistake.notebook} notices"
    reached[mistake.notebook] = max(result["cell"], reached.get(mistake.notebook, 0))


@pytest.mark.parametrize("notebook", sorted({mistake.notebook for mistake in MISTAKES}))
def test_the_same_cells_pass_without_a_mistake(notebook):
    result = run(ROOT, notebook, reached.get(notebook))
    assert result["cell"] is None, result["why"]
