"""Compare what a learner rebuilt in a lesson with the package, on random input."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from textwrap import fill
from types import SimpleNamespace
from typing import Any

WIDTH = 100  # characters of a line that a notebook need not break


class Rebuilt(SimpleNamespace):
    """What a notebook defines, by name."""

    def __getattr__(self, name: str) -> Any:
        raise NameError(f"{name} is not defined: run the cells above this one first")


def same_as_package(lesson: str, names: Mapping[str, Any]) -> None:
    """Compare the functions of a lesson with those of the package, and say what is equal.

    Args:
        lesson: its number, such as "03".
        names: what the notebook defines: globals().
    Raises: AssertionError for a function that differs from the package's; NameError for one that is
        not defined; ValueError for a lesson that rebuilds nothing.
    """
    modules = {module.name.split("_")[1]: module.name for module in iter_modules(__path__)}
    if lesson not in modules:
        raise ValueError(f"lesson must be one of {', '.join(sorted(modules))}, got {lesson!r}")
    equal_parts = import_module(f"{__name__}.{modules[lesson]}").equal_parts
    parts = ", ".join(equal_parts(Rebuilt(**names)))
    print(fill(f"equal to the package: {parts}", WIDTH, subsequent_indent="  "))
