"""Each lesson checks the library: a formula of mistakes.toml, made wrong, makes its notebook fail.

A mistake is planted in a copy of the library. The notebook's cells run against the copy until one
raises, or prints something other than its stored output: first those that take little time, and all
where none of these notices. The same cells pass with the library as it is.
"""

import os
import shutil
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from lab.first_wrong_cell import WrongCell, first_wrong_cell

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
AT_FIRST = 1.5  # seconds of the processor, for each cell


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


def path_of(notebook: str) -> Path:
    return ROOT / "notebooks" / f"{notebook}.ipynb"


def run_with(mistake: Mistake, folder: Path) -> WrongCell:
    """Plant a mistake in a copy of the library and run its notebook."""
    copy = folder / "minddpm"
    shutil.copytree(ROOT / "minddpm", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module, right, wrong in mistake.places:
        path = copy / f"{module}.py"
        text = path.read_text(encoding="utf-8")
        count = text.count(right)
        assert count == 1, f"{module}.py must have exactly once, and has {count} times: {right}"
        path.write_text(text.replace(right, wrong), encoding="utf-8")
    found = first_wrong_cell(path_of(mistake.notebook), folder, seconds=AT_FIRST)
    if not found.cell:
        found = first_wrong_cell(path_of(mistake.notebook), folder)
        reached[mistake.notebook] = max(found.cell or 0, reached.get(mistake.notebook, 0))
    shutil.rmtree(folder)
    return found


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
    assert runs[mistake].result().cell, f"no cell of {mistake.notebook} notices"


@pytest.mark.parametrize("notebook", sorted({mistake.notebook for mistake in MISTAKES}))
def test_the_same_cells_pass_without_a_mistake(notebook):
    assert first_wrong_cell(path_of(notebook), seconds=AT_FIRST) == (None, "")
    if last := reached.get(notebook):
        assert first_wrong_cell(path_of(notebook), last=last) == (None, "")
