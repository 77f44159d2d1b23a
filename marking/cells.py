"""What the cells of a notebook define, and which definitions did not run: their cell failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

DID_NOT_RUN = "DidNotRun"  # in place of an error's name, for an answer older than its cell
# at the left edge: inside a class or a function it is no answer
DEFINED = re.compile(
    r"^(?:(?:async[ \t]+)?def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", re.M
)


def names_defined(source: str) -> set[str]:
    """The names that a cell defines, read from its text, which need not be valid Python."""
    return {function or variable for function, variable in DEFINED.findall(source)}


class Definitions:
    """Which names still hold what they held before a cell that defines them failed.

    Args:
        namespace: what the cells define.
    """

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.reasons: dict[str, tuple[Any, str]] = {}
        self.running: list[dict[str, Any]] = []  # a cell may run another one, as %%capture does

    def begin(self, source: str) -> None:
        """A cell is about to run."""
        names = names_defined(source)
        self.running.append({name: self.namespace.get(name) for name in names})
        for name in names:  # until it fails as well
            self.reasons.pop(name, None)

    def end(self, error: str) -> None:
        """The cell that began last has ended, with an error or, if that is empty, without."""
        before = self.running.pop() if self.running else {}
        for name, value in before.items():
            if error and self.namespace.get(name) is value:
                self.reasons[name] = value, error

    def why_old(self, answer: Any) -> str:
        """Why an answer is not what its cell says, in words; empty if it is."""
        for name, (value, error) in self.reasons.items():
            if value is answer and value is not None:
                return did_not_run(name, error)
        return ""

    def why_missing(self, name: str) -> str:
        """Why nothing stands under a name that a cell should have defined; empty if none tried."""
        value, error = self.reasons.get(name, (None, ""))
        return did_not_run(name, error) if error and value is None else ""


def did_not_run(name: str, error: str) -> str:
    """What to say of a cell that failed before it had defined a name."""
    return f"the cell that defines {name} did not run: {error}"
