"""A student's functions are taken out of her notebook as she wrote them, with what they need."""

import pytest

from minddpm_course.extraction import Missing, module_of


def extracted(*cells: str, **answers: str) -> dict:
    """The module of answers to questions "L.name", run."""
    namespace: dict = {}
    questions = {f"L.{name}": name for name in answers or {"f": ""}}
    exec(compile(module_of(cells, questions), "yours", "exec"), namespace)
    return namespace


def test_a_function_keeps_its_text_and_its_comments():
    cell = (
        "# halves it\n\ndef f(x):  # of any size\n\n    # by two\n    return x / 2  # not three\n"
    )
    assert module_of([cell], {"L.f": "f"}) == cell.replace("# halves it\n\n", "")
    above = "# halves it\n@staticmethod\ndef f(x):\n    return x / 2\n"
    assert module_of(["print(1)\n" + above], {"L.f": "f"}) == above


@pytest.mark.parametrize(
    "cells",
    [
        ["import math", "def f(x):\n    return math.sqrt(x)"],
        ["from math import sqrt as root", "f = lambda x: root(x)"],
        ["def helper(x):\n    return x**half", "half = 0.5", "def f(x):\n    return helper(x)"],
        ["from math import *", "def f(x):\n    return sqrt(x)"],
        ["class Root:\n    def __call__(self, x):\n        return x**0.5", "f = Root()"],
        [
            "import functools",
            "def power(n, x):\n    return x**n",
            "f = functools.partial(power, 0.5)",
        ],
        ["def f(x):\n    return 0", "def f(x):\n    return x**0.5"],
        ["def mine(x):\n    return x**0.5", 'check("L.f", mine)'],
        ["def power(x, n):\n    return x**n", 'check("L.f", lambda x: power(x, 0.5))'],
        ["def f(x):\n    return x**powers['half']", "powers = {}", "powers['half'] = 0.5"],
        ["if True:\n    half = 0.5\nelse:\n    half = 1", "def f(x, n=half):\n    return x**n"],
        ["for n in (1, 0.5):\n    pass", "def f(x):\n    return x**n"],
        [
            "def twice(g):\n    return lambda x: g(g(x))",
            "@twice\ndef f(x):\n    return x**0.5**0.5",
        ],
        ["%%time\ndef f(x):\n    return x**0.5"],
        ["%matplotlib inline\n!pip list\ndef f(x):\n    return x**0.5\n%timeit f(4)"],
        ["def f(x):\n    ### BEGIN SOLUTION\n    return x**0.5\n    ### END SOLUTION"],
        ["this is no Python", "def f(x):\n    return [y**0.5 for y in [x]][0]"],
        ["def f(x: 'Image') -> 'Image':\n    y: float = x**0.5\n    return y"],
    ],
)
def test_what_a_function_needs_comes_with_it(cells):
    cells = ["raise SystemExit('a cell of a demonstration was run')", *cells]
    assert extracted(*cells)["f"](4) == pytest.approx(2, abs=1e-9)


def test_only_what_is_needed_comes_with_it():
    text = module_of(
        ["import os, sys", "import math", "def f(x):\n    return math.sqrt(x)"], {"L.f": "f"}
    )
    assert "os" not in text


def test_two_functions_of_one_notebook_share_what_they_need():
    cells = [
        "import math\nroot = math.sqrt",
        "def f(x):\n    return root(x)",
        "def g(x):\n    return f(x) + root(x)",
    ]
    text = module_of(cells, {"L.g": "g", "L.f": "f"})
    assert text.count("root = math.sqrt") == 1
    assert extracted(*cells, f="", g="")["g"](4) == 4


def test_a_name_that_no_cell_defines_is_named():
    with pytest.raises(Missing, match="helper is defined in no cell"):
        module_of(["def f(x):\n    return helper(x)"], {"L.f": "f"})
