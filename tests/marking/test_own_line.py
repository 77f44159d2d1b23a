"""The student's own line is shown where it alone can hold what is edited of the formula."""

import functools
import linecache

import pytest
from algebra import BANK
from quadratics import check

from marking.engine import judge
from marking.notebook import CheckFailed
from marking.outcome import outcome_of, source_text

DISCRIMINANT, ROOTS = BANK["solve.discriminant"], BANK["solve.roots"]
AT = "In your code, line "


def answer(text, name="f"):
    """A function of a cell, as a notebook holds it."""
    file = f"<test {hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    scope = {}
    exec(compile("import torch, math\nimport numpy as np\n", file, "exec"), scope)
    exec(compile(text, file, "exec"), scope)
    return scope[name]


def said(exercise, text):
    function = answer(text)
    verdict = judge(
        exercise, lambda args: outcome_of(function, args), 0, source=lambda: source_text(function)
    )
    assert verdict.mistake
    lines = [part for part in verdict.message.split("\n\n") if part.startswith(AT)]
    assert len(lines) <= 1
    return lines[0].removeprefix(AT) if lines else ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(a, b, c):\n    return b - 4 * a * c\n", "2 of f: return b - 4 * a * c"),
        (
            'x = 1\n\ndef f(a, b, c):\n    """It is."""\n    return b - 4 * a * c\n',
            "5 of f: return b - 4 * a * c",
        ),
        (
            "def f(p, q, r):\n    one = q\n    other = 4 * p * r\n    return one - other\n",
            "2 of f: one = q",
        ),
        (
            "def f(p, q, r):\n    one = q.square()\n    other = 4 * p\n    return one - other\n",
            "3 of f: other = 4 * p",
        ),
        (
            "def f(a, b, c):\n    d = torch.pow(b, 2)\n    d -= 2 * (c * a)\n    return d.to(b)\n",
            "3 of f: d -= 2 * (c * a)",
        ),
        (
            "def f(a, b, c):\n    d = (\n        2\n        * a * c\n    )\n    return b**2 - d\n",
            "2 of f: d = ( 2 * a * c )",
        ),
        ("f = lambda a, b, c: b - 4 * a * c\n", "1: f = lambda a, b, c: b - 4 * a * c"),
    ],
)
def test_the_line_that_holds_the_edit_is_shown(text, line):
    assert said(DISCRIMINANT, text) == line


@pytest.mark.parametrize(
    "text",
    [
        # the same part on two lines
        "def f(a, b, c):\n    x = 2 * a * c\n    y = 2 * a * c\n    return b**2 - (x + y) / 2\n",
        # a loop, a branch, a helper: what is worked out cannot be followed
        "def f(a, b, c):\n    d = b**2\n    for _ in '12':\n        d = d - a * c\n    return d\n",
        "def f(a, b, c):\n    if True:\n        d = 2 * a * c\n    return b**2 - d\n",
        "g = lambda a, c: 2 * a * c\n\ndef f(a, b, c):\n    d = g(a, c)\n    return b**2 - d\n",
        # another way of writing, in which the edited part does not stand
        "def f(a, b, c):\n    d = a * c\n    e = d + d\n    return b**2 - e\n",
    ],
)
def test_no_line_is_shown_where_another_may_be_meant(text):
    assert said(DISCRIMINANT, text) == ""


def test_the_line_of_the_result_that_is_wrong_is_shown():
    text = (
        "def f(a, b, c):\n"
        "    root = (b**2 - 4 * a * c).sqrt()\n"
        "    low = (-b - root) / (2 * a)\n"
        "    high = (b + root) / (2 * a)\n"
        "    return low, high\n"
    )
    assert said(ROOTS, text) == "4 of f: high = (b + root) / (2 * a)"


def test_the_line_where_a_symbol_is_worked_out_is_shown():
    text = (
        "def f(a, b, c):\n"
        "    root = torch.sqrt(b**2 - 2 * a * c)\n"
        "    return (-b - root) / (2 * a), (-b + root) / (2 * a)\n"
    )
    assert said(ROOTS, text) == "2 of f: root = torch.sqrt(b**2 - 2 * a * c)"


def test_a_part_that_the_right_formula_has_too_is_not_taken_for_the_edit():
    """2 * a stands in the right formula, and the line that sets it is right."""
    text = (
        "def f(a, b, c):\n"
        "    twice = 2 * a\n"
        "    root = (b**2 - twice * c).sqrt()\n"
        "    return (-b - root) / twice, (-b + root) / twice\n"
    )
    assert said(ROOTS, text) in ("", "3 of f: root = (b**2 - twice * c).sqrt()")


def test_a_guess_and_a_known_mistake_show_no_line():
    assert said(DISCRIMINANT, "def f(a, b, c):\n    return b\n") == ""
    assert said(DISCRIMINANT, "def f(a, b, c):\n    return b**2 + 4 * a * c\n") == ""


def test_a_long_line_is_not_shown():
    text = f"def f(a, b, c):\n    return b - 4 * a * c + {' + '.join(['0 * a'] * 60)}\n"
    assert said(DISCRIMINANT, text) == ""


class Called:
    def __call__(self, a, b, c):
        return b - 4 * a * c


def test_the_text_of_whatever_can_be_called_is_found():
    def f(a, b, c):
        return b - 4 * a * c

    assert source_text(f).lstrip("\n").lstrip().startswith("def f(a, b, c):")
    assert source_text(functools.partial(f)) == source_text(f)
    for one in (Called, Called()):
        assert "def __call__(self, a, b, c):" in source_text(one)
    for nothing in (len, 3, None, eval("lambda: 1")):
        assert source_text(nothing) == ""


def test_a_check_shows_the_line():
    def f(a, b, c):
        return b - 4 * a * c

    with pytest.raises(CheckFailed, match=r"In your code, line \d+ of f: return b - 4 \* a \* c"):
        check("solve.discriminant", f)


DOUBLED = "".join(f"    x = x + x  # {place}\n" for place in range(60))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def f(a, b, c:\n",
        "return b\n",
        "def f(a, b, c):\n    return \0\n",
        f"def f(a, b, c):\n    x = a\n{DOUBLED}    return x\n",
        f"def f(a, b, c):\n    x = b\n    return {'-' * 9000}x\n",
        f"def f(a, b, c):\n    x = b\n    return {' + '.join(['x'] * 4000)}\n",
        "def f():\n    x = 1\n    return x\n",
    ],
)
def test_whatever_is_sent_as_source_costs_nothing(text):
    """A submission says itself what its source is."""
    verdict = judge(
        DISCRIMINANT,
        lambda args: outcome_of(lambda a, b, c: b - 4 * a * c, args),
        0,
        source=lambda: text,
    )
    assert AT not in verdict.message
    assert verdict.mistake == "you do not square b"
