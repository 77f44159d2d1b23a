"""The static checks see undefined names in every file of Python but the lessons, in bodies and, in
the packages, in signatures.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imports import PACKAGES, modules

ROOT = Path(__file__).parents[2]
BESIDE = ("honest", "lab", "tools", "benchmarks", "tests", "book")
FILES = {path.relative_to(ROOT).as_posix() for path in modules(ROOT).values()} | {
    path.relative_to(ROOT).as_posix()
    for folder in BESIDE
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts  # others' files, which the checks pass over, too
}
COMMANDS = {
    "ruff": ("ruff", "check", "--no-cache", "--output-format=concise"),
    "mypy": ("mypy", "--cache-dir=cache"),
}
UNDEFINED = {"ruff": "Undefined name `{}`", "mypy": 'Name "{}" is not defined'}
IN_A_BODY = "\n\ndef planted() -> int:\n    return in_a_body\n"
IN_SIGNATURES = '''"""Undefined names that a signature may hide, and shapes, which are no names."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "b c h w"]


def doubled(x: Float[Tensor, " b"], y: Float[Tensor, " b *dims"]) -> Float[Tensor, "n 1 28 28"]:
    """Right: nothing is said of it."""
    return x + y


def wrong_type(x: Float[in_a_shape, " b"], y: in_an_annotation) -> "in_quotes":
    return x
'''
HIDDEN = ("in_a_shape", "in_an_annotation", "in_quotes")


@pytest.fixture(scope="module", params=COMMANDS)
def said(request, tmp_path_factory):
    """What ruff or mypy says of a copy of the project with undefined names in every file."""
    folder = tmp_path_factory.mktemp("copies")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "conftest.py", folder)
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8")
        (folder / name).write_text(text + IN_A_BODY, encoding="utf-8")
    for package in PACKAGES:
        (folder / package / "signatures.py").write_text(IN_SIGNATURES)
    run = subprocess.run(
        [sys.executable, "-m", *COMMANDS[request.param]], cwd=folder, capture_output=True, text=True
    )
    assert run.returncode == 1, run.stdout + run.stderr

    def lines(name: str) -> list[tuple[str, int]]:
        """The files, and the lines in them, where the name is said to be undefined."""
        wanted = re.escape(UNDEFINED[request.param].format(name))
        found = re.findall(rf"^(.*?\.py):(\d+):.*{wanted}", run.stdout, re.MULTILINE)
        return [(Path(file).as_posix(), int(line)) for file, line in found]

    lines.all = run.stdout
    return lines


@pytest.mark.parametrize("folder", [*PACKAGES, *BESIDE])
def test_an_undefined_name_is_refused_in_every_file(said, folder):
    files = {name for name in FILES if name.startswith(f"{folder}/")}
    assert files
    assert files <= {file for file, _ in said("in_a_body")}


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", HIDDEN)
def test_an_undefined_name_is_refused_in_signatures(said, package, name):
    assert f"{package}/signatures.py" in {file for file, _ in said(name)}


def test_shapes_are_no_names(said):
    last = IN_SIGNATURES[: IN_SIGNATURES.index("def wrong_type")].count("\n")
    lines = re.findall(r"signatures\.py:(\d+):", said.all)
    assert lines
    assert all(int(line) > last for line in lines), said.all
