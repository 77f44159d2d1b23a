"""The library stays small enough to read, and is laid out for reading."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from imports import PACKAGES, modules

ROOT = Path(__file__).parents[2]
MATHS = (  # a room for each lesson that builds one
    *("schedule", "noising", "posterior", "loss", "unet", "sampler"),
    *("training", "score", "ddim", "guidance", "targets"),
)
MOST_LINES = 750  # of code, in all rooms of the maths together
MOST_IN = {"solvers": 60, "inpainting": 70}  # of code, in samplers beside those rooms
HEADS = {  # the words with which a statement begins that holds others
    *("if", "elif", "else", "for", "while", "try", "except", "finally"),
    *("with", "async", "def", "class", "match", "case"),
}
ALONE = {"else", "try", "except", "finally"}  # these of them without anything before the colon
SWITCHED_OFF = re.compile(r"\b(fmt:\s*(off|skip)|yapf:\s*disable|isort:\s*(off|skip))")


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
    paths = {room: found[f"minddpm.{room}"] for room in MATHS}
    sizes = {room: code_lines(path.read_text(encoding="utf-8")) for room, path in paths.items()}
    assert sum(sizes.values()) <= MOST_LINES, sizes


@pytest.mark.parametrize("room", MOST_IN)
def test_other_samplers_are_short(room):
    path = modules(ROOT)[f"minddpm.{room}"]
    assert code_lines(path.read_text(encoding="utf-8")) <= MOST_IN[room]


def tokens_of(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text).readline)


def switches(text: str) -> list[int]:
    """The lines whose comments switch a formatter off."""
    comments = (token for token in tokens_of(text) if token.type == tokenize.COMMENT)
    return [token.start[0] for token in comments if SWITCHED_OFF.search(token.string)]


def crowded(text: str) -> list[int]:
    """The lines on which a second statement begins; an ellipsis may stand beside its head."""
    found, line, depth = [], [], 0
    for token in tokens_of(text):
        if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT):
            continue
        if token.type == tokenize.NEWLINE:
            line = []
            continue
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(token.string, 0)
        ends_a_head = line[-1:] == [":"] and line[0] in (HEADS if len(line) > 2 else ALONE)
        if token.string == ";" or (ends_a_head and token.string != "..."):
            found.append(token.start[0])
        if token.string != ":" or not depth:  # a colon in brackets ends no head
            line.append(token.string)
    return found


def hard_to_read(text: str) -> list[str]:
    """What is wrong with the layout of a file, a line each."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > 100:
            found.append(f"line {number} has {len(line)} characters")
    found += [f"line {number} switches the formatter off" for number in switches(text)]
    found += [f"line {number} holds two statements" for number in crowded(text)]
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_line_is_wide_or_crowded_and_the_formatter_never_off(package):
    files = [path for name, path in modules(ROOT).items() if name.split(".")[0] == package]
    assert files
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in files
        if (wrong := hard_to_read(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "folder", ["tests", "honest", "lab", "tools", "benchmarks", "notebooks/py", "solutions/py"]
)
def test_the_formatter_is_never_off_elsewhere(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    assert {name: found for name, text in texts.items() if (found := switches(text))} == {}


def test_wide_lines_and_switches_are_seen():
    text = "x = 1\n" + "y" * 101 + "\nz = [1,2]  # fmt: skip\n#fmt:off\n" + "y" * 100
    text += "\nz = 1  # yapf: disable\n# isort: skip_file\n'# fmt: off'\na, b = 1, 2; c = 3\n"
    assert hard_to_read(text) == [
        "line 2 has 101 characters",
        "line 3 switches the formatter off",
        "line 4 switches the formatter off",
        "line 6 switches the formatter off",
        "line 7 switches the formatter off",
        "line 9 holds two statements",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "x = 1; y = 2",
        "x = (\n    1\n); y = 2",
        "x = 1;",
        "if x: y = 2",
        "if x:\n    pass\nelif z: y = 2",
        "if x:\n    pass\nelse: y = 2",
        "if (\n    a[1:2]\n): y = 2",
        "for x in {1: 2}: pass",
        "while True: break",
        "try: import a\nexcept ImportError: a = None",
        "try:\n    pass\nexcept: a = None",
        "with open(a) as b: b.read()",
        "def f(x: int) -> int: return x",
        "class A: x = 1",
        "match x:\n    case 1: y = 2",
        "async def f(): return 1",
    ],
)
def test_two_statements_on_a_line_are_seen(text):
    assert crowded(text + "\n")


@pytest.mark.parametrize(
    "text",
    [
        "x: int = 1",
        "x = {1: 2, 3: lambda a: a}[1:2]",
        "def f(x: int = 1) -> dict[str, int]: ...",
        "class A(B): ...  # a comment",
        "if x[1:2] == {1: 2}:  # a comment\n    y = f'{x:d}; {y!r:>3}'",
        "match: int = 1",
        "match x:\n    case {1: y}:\n        pass",
        "try:\n    pass\nfinally:\n    pass",
        "with a as b, c as d:\n    pass",
        "'a; b'",
    ],
)
def test_one_statement_on_a_line_is_right(text):
    assert crowded(text + "\n") == []


def test_a_tool_whose_help_is_a_line_says_all_in_it():
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tools").glob("*.py"))]
    told = [ast.get_docstring(ast.parse(one)) for one in sources if "__doc__).splitlines()" in one]
    assert len(told) >= 5
    for words in told:
        assert words.split("\n")[0].endswith("."), words
