"""Each lesson checks the library: a formula of mistakes.toml, made wrong, makes its notebook fail.

A mistake is planted in a copy of the library. The notebook's cells run against the copy until one
raises, or prints something other than its stored output: first those that take little time, and all
where none of these notices. The same cells pass with the library as it is.
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
AT_FIRST = ("--seconds=1.5",)  # of the processor, for each cell


class Place(NamedTuple):
    module: str
    right: str
    wrong: str


class Mistake(NamedTuple):
    notebook: str
    name: str
    places: tuple[Place, ...]


def places(entry: dict) -> tuple[Place, ...]:
    """Where a mistake is made: in one place, or in several if its entry has lists."""
    columns = [entry[key] for key in Place._fields]
    if isinstance(entry["right"], str):
        return (Place(*columns),)
    return tuple(Place(*row) for row in zip(*columns, strict=True))


LISTED = tomllib.loads((HERE / "mistakes.toml").read_text(encoding="utf-8"))
MISTAKES = [
    Mistake(notebook, name, places(entry))
    for notebook, entries in LISTED.items()
    for name, entry in entries.items()
]
reached: dict[str, int] = {}  # notebook -> the last cell that failed where all were run


def run(library: Path, notebook: str, *options: str) -> dict:
    """Find the first wrong cell of a notebook with `minddpm` from a folder.

    The course's other packages come from the repository.
    """
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    command = [sys.executable, str(HERE / "first_wrong_cell.py"), str(path), *options]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(library), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def run_with(mistake: Mistake, folder: Path) -> dict:
    """Plant a mistake in a copy of the library and run its notebook."""
    copy = folder / "minddpm"
    shutil.copytree(ROOT / "minddpm", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module, right, wrong in mistake.places:
        path = copy / f"{module}.py"
        text = path.read_text(encoding="utf-8")
        found = text.count(right)
        assert found == 1, f"{module}.py must have exactly once, and has {found} times: {right}"
        path.write_text(text.replace(right, wrong), encoding="utf-8")
    result = run(folder, mistake.notebook, *AT_FIRST)
    if not result["cell"]:
        result = run(folder, mistake.notebook)
        reached[mistake.notebook] = max(result["cell"] or 0, reached.get(mistake.notebook, 0))
    shutil.rmtree(folder)
    return result


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """The runs of all selected mistakes, as many at once as there are processors."""
    items = request.session.items
    selected = [item for item in items if "runs" in getattr(item, "fixturenames", ())]
    mistakes = [item.callspec.params["mistake"] for item in selected]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            mistake: pool.submit(run_with, mistake, tmp_path_factory.mktemp("library"))
            for mistake in mistakes
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    "mistake", MISTAKES, ids=lambda mistake: f"{mistake.notebook}: {mistake.name}"
)
def test_mistake_makes_its_notebook_fail(mistake, runs):
    result = runs[mistake].result()
    assert result["cell"], f"no cell of {mistake.notebook} notices"


@pytest.mark.parametrize("notebook", sorted({mistake.notebook for mistake in MISTAKES}))
def test_the_same_cells_pass_without_a_mistake(notebook):
    last = reached.get(notebook)
    for options in (AT_FIRST, (f"--last={last}",)) if last else (AT_FIRST,):
        result = run(ROOT, notebook, *options)
        assert result["cell"] is None, result["why"]
