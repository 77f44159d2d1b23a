"""The house keeps its rules: sizes, who imports whom, what an import loads, and the lists of
packages agree.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minddpm"
MODULES = {path.stem: path for path in PACKAGE.glob("*.py")}
# each room may use those to its left; rooms in one place do not use each other
STAIRS = (
    ["schedule"],
    ["noising"],
    ["posterior"],
    ["loss"],
    ["sampler"],
    ["ddim", "guidance", "score"],
    ["training"],
)
ROOMS = [room for floor in STAIRS for room in floor if room in MODULES]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
]


def imports(path: Path) -> set[str]:
    """All that a file imports, at its top or inside functions, by full name; `from a import b`
    counts as a.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            inside = {f"minddpm.{alias.name}" for alias in node.names}
            names |= inside if node.module == "minddpm" else {node.module}
    return names


def rooms_of(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("minddpm.")}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_the_maths_can_be_read_in_one_sitting():
    sizes = {room: lines(MODULES[room]) for room in [*ROOMS, "unet"]}
    assert len(sizes) == 10
    assert sum(sizes.values()) <= 1200, sizes
    assert sizes["unet"] < 200


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_module_is_longer_than_250_lines(path):
    assert lines(path) <= 250


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downhill(room):
    floor = next(number for number, floor in enumerate(STAIRS) if room in floor)
    below = {name for floor in STAIRS[:floor] for name in floor}
    assert rooms_of(MODULES[room]) <= below


def test_the_network_knows_nothing_of_schedules():
    assert not any(name.startswith("minddpm") for name in imports(MODULES["unet"]))


@pytest.mark.parametrize("room", [*ROOMS, "unet"])
def test_the_maths_needs_only_pytorch(room):
    outside = {name.split(".")[0] for name in imports(MODULES[room])} - set(sys.stdlib_module_names)
    assert outside <= {"minddpm", "torch", "numpy", "jaxtyping", "tqdm"}


def test_no_module_imports_itself_through_others():
    below = {
        name: rooms_of(path) & set(MODULES) for name, path in MODULES.items() if name != "__init__"
    }
    while leaves := [name for name, used in below.items() if not used & below.keys()]:
        for name in leaves:
            del below[name]
    assert not below, f"these import each other in a circle: {sorted(below)}"


def test_importing_the_package_loads_hardly_more_than_pytorch():
    code = """
import sys, torch
before = set(sys.modules)
import minddpm
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split()) - set(sys.stdlib_module_names)
    assert "minddpm" in loaded
    assert loaded <= {"minddpm", "numpy", "jaxtyping", "wadler_lindig"}


def ranges(requirements: list[Requirement]) -> dict[str, str]:
    return {canonicalize_name(one.name): str(one.specifier) for one in requirements}


def test_conda_installs_what_pip_installs():
    renamed = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = ranges([Requirement(line) for line in listed if isinstance(line, str)])
    from_pip = [
        line for part in listed if isinstance(part, dict) for line in part["pip"] if line != "-e ."
    ]
    found = {renamed.get(name, name): versions for name, versions in conda.items()} | ranges(
        map(Requirement, from_pip)
    )
    assert found.pop("python") == PROJECT["requires-python"]
    assert found.pop("pip") == ""
    assert found == ranges(REQUIREMENTS)


def test_what_is_tested_lies_in_the_ranges():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = {
        canonicalize_name(one.name): one.specifier
        for one in map(Requirement, re.findall("^[^#].*", text, re.M))
    }
    for one in REQUIREMENTS:
        (pin,) = pins[canonicalize_name(one.name)]
        assert pin.operator == "=="
        assert pin.version in one.specifier, (
            f"{one.name} is pinned to {pin.version}, wanted {one.specifier}"
        )


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
