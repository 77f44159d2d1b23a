"""The library stays small enough to read, and is laid out for reading."""

import ast
import re
from pathlib import Path

import pytest
from imports import PACKAGES, modules

ROOT = Path(__file__).parents[2]
MATHS = (  # a room for each lesson that builds one
    *("schedule", "noising", "posterior", "loss", "unet", "sampler"),
    *("training", "score", "ddim", "guidance", "targets"),
)
SWITCHED_OFF = re.compile(r"#\s*fmt:\s*(off|skip)")


def code_lines(text: str) -> int:
    """How many lines are neither blank nor a comment nor part of a docstring."""
    docstrings = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case (
                ast.Module(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
                | ast.ClassDef(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
                | ast.FunctionDef(body=[ast.Expr(ast.Constant(str())) as docstring, *_])
            ):
                docstrings |= set(range(docstring.lineno, docstring.end_lineno + 1))
    return sum(
        number not in docstrings and bool(line.strip()) and not line.lstrip().startswith("#")
        for number, line in enumerate(text.splitlines(), 1)
    )


def test_what_counts_as_code():
    text = '''"""A docstring
of two lines."""

import math  # counts


# a comment
class A:
    """A docstring."""

    def f(self):
        """A docstring."""
        text = """
        not a docstring
        """
        return text
'''
    assert code_lines(text) == 7


def test_the_maths_can_be_read_in_one_sitting():
    found = modules(ROOT)
    paths = {room: found.get(f"minddpm.{room}") for room in MATHS}
    sizes = {
        room: code_lines(path.read_text(encoding="utf-8")) for room, path in paths.items() if path
    }
    assert sizes.keys() >= set(MATHS) - {"targets"}  # room for a lesson to come
    assert sum(sizes.values()) <= 750, sizes


def hard_to_read(text: str) -> list[str]:
    """What is wrong with the layout of a file, a line each."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > 100:
            found.append(f"line {number} has {len(line)} characters")
        if SWITCHED_OFF.search(line):
            found.append(f"line {number} switches the formatter off")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_line_is_wide_and_the_formatter_never_off(package):
    files = [path for name, path in modules(ROOT).items() if name.split(".")[0] == package]
    assert files
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in files
        if (wrong := hard_to_read(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_wide_lines_and_switches_are_seen():
    text = "x = 1\n" + "y" * 101 + "\nz = [1,2]  # fmt: skip\n#fmt:off\n" + "y" * 100
    assert hard_to_read(text) == [
        "line 2 has 101 characters",
        "line 3 switches the formatter off",
        "line 4 switches the formatter off",
    ]
