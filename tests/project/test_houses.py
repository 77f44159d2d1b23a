"""Each package imports what its house may, the rooms of the maths only those below, and no circle
is anywhere.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from imports import PACKAGES, Graph, circle, import_graph, named
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORTED_AS = {"pillow": "PIL", "ipython": "IPython"}
STANDARD = set(sys.stdlib_module_names)
# each room may import those on the floors before its own, and no other module of the package
FLOORS = (
    ("checks", "progress", "state", "distributed"),  # no maths, but what the rooms share
    ("schedule",),
    ("noising",),
    ("posterior", "network"),
    ("loss", "start", "respacing"),
    ("sampler",),
    ("ddim", "guidance", "score", "targets"),
    ("solvers", "inpainting", "optimizers", "weighting", "mixture"),
    ("training",),
)
BELOW = {
    f"minddpm.{room}": {f"minddpm.{name}" for floor in FLOORS[:number] for name in floor}
    for number, floor in enumerate(FLOORS)
    for room in floor
} | {"minddpm.unet": {"minddpm.checks", "minddpm.hub"}}


def importable(*extras: str) -> set[str]:
    """The top-level names of what the distribution requires, bare or with extras."""
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    names = {Requirement(line).name for line in lines} - {PROJECT["name"]}
    return {IMPORTED_AS.get(name, name) for name in names}


# huggingface_hub, ONNX Runtime and landlock are used where they are installed; marking's child
# process runs beside its own files
MAY_IMPORT = {
    "minddpm": importable("onnx") | {"huggingface_hub", "minddpm"},
    "marking": importable("course")
    | {"marking", "absent", "cells", "confine", "landlock", "outcome", "shell", "wire"},
    "minddpm_course": importable("course", "classroom") | set(PACKAGES),
}

ROOMS_MAY_IMPORT = {"minddpm", "torch", "numpy", "jaxtyping", "tqdm"}


def strangers(graph: Graph) -> Iterator[str]:
    """Imports that a package's house does not allow, or a room of the maths does without."""
    for module, names in graph.items():
        house = MAY_IMPORT[module.split(".")[0]]
        allowed = STANDARD | (ROOMS_MAY_IMPORT if module in BELOW else house)
        for name in sorted(names):
            if name.split(".")[0] not in allowed:
                yield f"{module} imports {name}"


def uphill(graph: Graph) -> Iterator[str]:
    """Imports by a room of the maths of a module that does not lie below it."""
    for room in BELOW.keys() & graph.keys():
        for name in sorted(graph[room]):
            if name.split(".")[0] == "minddpm" and name not in BELOW[room]:
                yield f"{room} imports {name}"


@pytest.fixture(scope="module")
def graph():
    return import_graph(ROOT)


@pytest.fixture
def plant(tmp_path):
    """Write files into packages that are otherwise empty, and read who imports whom."""

    def write(files):
        for package in PACKAGES:
            files = {f"{package}/__init__.py": ""} | files
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return import_graph(tmp_path)

    return write


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_imports_what_its_house_allows(graph, package):
    inside = {module: names for module, names in graph.items() if module.split(".")[0] == package}
    assert inside
    assert list(strangers(inside)) == []


def test_imports_run_downhill(graph):
    built = {room for room in BELOW if room in graph}
    assert built == BELOW.keys()
    assert list(uphill(graph)) == []


def test_contributors_are_told_the_same_floors():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = [
        tuple(sorted(re.findall(r"`(\w+)`", line)))
        for line in re.findall(r"^\d\. (.*`)", page.split("form a sequence")[1], re.MULTILINE)
    ]
    assert listed[: len(FLOORS) - 1] == [tuple(sorted(floor)) for floor in FLOORS[1:]]
    shared = re.search(r"All of them may also import (.*?)\.", page)[1]
    assert re.findall(r"`(\w+)`", shared) == list(FLOORS[0])


def test_no_module_imports_itself_through_others(graph):
    assert circle(graph) == []


def test_a_package_in_a_folder_that_is_chosen_later_is_no_stranger(plant):
    text = "spec = importlib.util.spec_from_file_location(path.name, path / '__init__.py')"
    assert list(strangers(plant({"minddpm_course/compare.py": text}))) == []


PLACES = pytest.mark.parametrize(
    "place",
    [
        "{}\n",
        "def f():\n    {}\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {}\n",
    ],
    ids=["top", "function", "types"],
)


@PLACES
@pytest.mark.parametrize(
    ("module", "statement", "name"),
    [
        ("minddpm.data", "import matplotlib.pyplot as plt", "matplotlib.pyplot"),
        ("minddpm.data", "from requests import get", "requests"),
        ("minddpm.inner.module", "from marking.report import page", "marking.report"),
        ("minddpm.inner.module", "import minddpm_course", "minddpm_course"),
        ("minddpm.data", "module = __import__('minddpm_course.bank')", "minddpm_course.bank"),
        ("minddpm.schedule", "from PIL import Image", "PIL"),
        ("minddpm.unet", "from safetensors.torch import load_file", "safetensors.torch"),
        ("marking.inner.module", "from minddpm import options", "minddpm"),
        ("marking.grader", "bank = import_module('minddpm_course.bank')", "minddpm_course.bank"),
        ("minddpm_course.bank.lesson", "from nbclient import execute", "nbclient"),
        *(
            ("marking.grader", statement, "minddpm_course.bank")
            for statement in (
                "import importlib as i; i.import_module('minddpm_course.bank')",
                "from importlib import import_module as load; load('minddpm_course.bank')",
                "load = importlib.import_module; load('minddpm_course.bank')",
                "load: object = importlib.import_module; load('minddpm_course.bank')",
                "load = __import__; load(name='minddpm_course.bank')",
                "importlib.import_module(package=None, name='minddpm_course.bank')",
                "importlib.import_module(f'minddpm_course.bank.{lesson}')",
                "importlib.import_module('minddpm_course.bank.' + lesson)",
                "importlib.import_module('minddpm_course.bank.%s' % lesson)",
                "importlib.import_module('minddpm_course.bank.{}'.format(lesson))",
                "runpy.run_module(mod_name='minddpm_course.bank')",
            )
        ),
    ],
)
def test_a_stranger_is_seen(plant, place, module, statement, name):
    graph = plant({f"{module.replace('.', '/')}.py": place.format(statement)})
    assert f"{module} imports {name}" in list(strangers(graph))


@PLACES
@pytest.mark.parametrize(
    "statement",
    [
        "import minddpm.{}",
        "from minddpm.{} import something",
        "from minddpm import {}",
        "from .{} import something",
        "from . import {}",
    ],
)
@pytest.mark.parametrize(
    ("room", "higher"),
    [
        ("schedule", "noising"),
        ("posterior", "network"),
        ("ddim", "score"),
        ("unet", "schedule"),
        ("training", "checkpoints"),
    ],
)
def test_an_import_uphill_is_seen(plant, place, statement, room, higher):
    text = place.format(statement.format(higher))
    graph = plant({f"minddpm/{room}.py": text, f"minddpm/{higher}.py": ""})
    assert list(uphill(graph)) == [f"minddpm.{room} imports minddpm.{higher}"]


@PLACES
@pytest.mark.parametrize(
    "files",
    [
        {"marking/a.py": "import marking.b", "marking/b.py": "from marking import a"},
        {"marking/a.py": "from .inner import c", "marking/inner/c.py": "from ..a import f"},
        {  # to import inner.c runs inner/__init__.py
            "marking/a.py": "import marking.inner.c",
            "marking/inner/c.py": "import math",
            "marking/inner/__init__.py": "from marking.a import f",
        },
        {
            "marking/a.py": "import minddpm.x",
            "minddpm/x.py": "from minddpm_course.y import f",
            "minddpm_course/y.py": "from marking.a import f",
        },
    ],
    ids=["two", "nested", "package", "three packages"],
)
def test_a_circle_is_seen(plant, place, files):
    assert circle(plant({name: place.format(text) for name, text in files.items()}))
    without_its_last = dict(list(files.items())[:-1])
    assert not circle(plant(without_its_last | {list(files)[-1]: ""}))


def test_importing_the_library_loads_hardly_more_than_pytorch():
    code = """
import sys, torch, safetensors.torch
before = set(sys.modules)
import minddpm
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split()) - STANDARD
    assert "minddpm" in loaded
    assert loaded <= {"minddpm", "numpy", "jaxtyping", "wadler_lindig"}


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported_by(files: list[Path]) -> set[str]:
    return {name.split(".")[0] for path in files for name in named(path, path.stem, set())}


@pytest.mark.parametrize(
    "statement",
    [
        "import build_assets",
        "from tools.build_assets import ROOT",
        "spec = importlib.util.spec_from_file_location('build_assets', path)",
        "spec = importlib.util.spec_from_file_location('name', ROOT / 'tools' / 'build_assets.py')",
        "loader = importlib.machinery.SourceFileLoader('name', 'tools/build_assets.py')",
        "runpy.run_path('tools/build_assets.py')",
        "runpy.run_path(path_name=str(ROOT / 'tools' / 'build_assets.py'))",
        "from runpy import run_path as run; run(f'{ROOT}/tools/build_assets.py')",
    ],
)
def test_an_import_of_a_tool_is_seen(tmp_path, statement):
    path = tmp_path / "test_planted.py"
    path.write_text(f"def test():\n    {statement}\n")
    assert imported_by([path]) & {"tools", "build_assets"}


@pytest.mark.parametrize(("folder", "other"), [("tests", "tools"), ("tools", "tests")])
def test_tests_import_no_tools_and_tools_no_tests(folder, other):
    theirs = {path.stem for path in python_files(other)} - {"conftest"}
    assert theirs
    assert not imported_by(python_files(folder)) & {other, *theirs}
