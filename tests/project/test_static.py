"""The static checks see undefined names in every file of the packages, in bodies and signatures."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from imports import PACKAGES, modules

ROOT = Path(__file__).parents[2]
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
    """What ruff or mypy says of copies of the packages with undefined names in every file."""
    folder = tmp_path_factory.mktemp("copies")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("assets"))
        (folder / package / "signatures.py").write_text(IN_SIGNATURES)
    for path in modules(ROOT).values():
        with (folder / path.relative_to(ROOT)).open("a", encoding="utf-8") as file:
            file.write(IN_A_BODY)
    run = subprocess.run(
        [sys.executable, "-m", *COMMANDS[request.param], *PACKAGES],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stdout + run.stderr

    def lines(name: str) -> list[tuple[str, int]]:
        """The files, and the lines in them, where the name is said to be undefined."""
        wanted = re.escape(UNDEFINED[request.param].format(name))
        found = re.findall(rf"^(.*?\.py):(\d+):.*{wanted}", run.stdout, re.MULTILINE)
        return [(Path(file).as_posix(), int(line)) for file, line in found]

    lines.all = run.stdout
    return lines


@pytest.mark.parametrize("package", PACKAGES)
def test_an_undefined_name_is_refused_in_every_file(said, package):
    files = {path.relative_to(ROOT).as_posix() for path in modules(ROOT).values()}
    assert {file for file in files if file.startswith(f"{package}/")} <= {
        file for file, _ in said("in_a_body")
    }


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", HIDDEN)
def test_an_undefined_name_is_refused_in_signatures(said, package, name):
    assert f"{package}/signatures.py" in {file for file, _ in said(name)}


def test_shapes_are_no_names(said):
    last = IN_SIGNATURES[: IN_SIGNATURES.index("def wrong_type")].count("\n")
    lines = re.findall(r"signatures\.py:(\d+):", said.all)
    assert lines
    assert all(int(line) > last for line in lines), said.all
