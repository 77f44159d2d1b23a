"""Run one submission's cells and answer calls of its functions. Started by the sandbox; decides
nothing.

It sees of the engine only this file, outcome.py and wire.py. Where a submission imports the
course's package, it gets a stand-in that keeps whatever is handed to `check`.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.abc
import inspect
import linecache
import re
import resource
import socket
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # isolated mode leaves the script's own folder out
from outcome import Slow, array_of, error_with_line, limited, outcome_of
from wire import receive, send, unpack

sys.path.pop(0)

FOREVER = time.monotonic() + 10**9
MAGIC = re.compile(r"^[ \t]*[%!?]|\?[ \t]*$|=[ \t]*[%!]", re.MULTILINE)


class Workspace:
    """What the cells of a notebook define, and what they hand in."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.handed: dict[str, Any] = {}
        self.students: dict[str, str] = {}
        self.attempts: list[str] = []
        self.errors: list[str] = []
        self.namespace: dict[str, Any] = {
            "__name__": "__main__",
            "get_ipython": lambda: Shell(),
            "display": ignore,
        }

    def check(
        self, name: str, answer: Any = None, *, student: str = "", seed: int | None = None
    ) -> None:
        """Stand in for `check`: keep the answer."""
        self.handed[str(name)] = answer
        self.students[str(name)] = str(student)

    def attempted(self, action: str) -> None:
        """Keep a forbidden action that was tried."""
        if len(self.attempts) < 20 and action not in self.attempts:
            self.attempts.append(action)

    def run(self, number: int, source: str) -> None:
        """Run one cell; an error ends the cell, not the submission."""
        name = f"<cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        try:
            with limited(self.seconds):
                code = compile(without_magics(source), name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                value = eval(code, self.namespace)
                if inspect.iscoroutine(value):
                    asyncio.run(value)
        except Slow:
            self.errors.append(f"cell {number} took over {self.seconds} s")
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            self.errors.append(f"cell {number}: {type(error).__name__}: {error}"[:300])

    def find(self, name: str, variable: str) -> tuple[Any, bool]:
        """The answer to a question, and whether it was handed to `check`; if not, it is looked up
        by the name of its function or variable.
        """
        if name in self.handed:
            return self.handed[name], True
        return self.namespace.get(variable), False


class Shell:
    """Stands in for IPython: accepts magics, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return ignore


def without_magics(source: str) -> str:
    """A cell as plain Python: IPython's magics become calls."""
    if not MAGIC.search(source):
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return TransformerManager().transform_cell(source)
    except Exception:  # it will fail when it is run, with its own message
        return source


def ignore(*_args: Any, **_options: Any) -> None:
    """Accept anything, and do nothing."""


def report_reads(workspace: Workspace, hidden: Sequence[str], files: Sequence[str]) -> None:
    """Keep which hidden files a submission looks for; this does not change what it can see."""
    words = [rf"\b(?:{'|'.join(map(re.escape, hidden))})(?!-)\b", *map(re.escape, files)]
    forbidden = re.compile("|".join(words))
    prefix = sys.prefix  # of an environment that may be in a checkout with a package's name

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir", "glob.glob/2") and args:
            path = str(args[0])
            if forbidden.search(path.removeprefix(prefix)):
                workspace.attempted(f"read {path[-80:]}")

    sys.addaudithook(hear)


class Blocker(importlib.abc.MetaPathFinder):
    """Refuses to import hidden packages, and keeps which were tried."""

    def __init__(self, workspace: Workspace, hidden: Sequence[str]) -> None:
        self.workspace = workspace
        self.hidden = hidden

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> None:
        if name.partition(".")[0] in self.hidden:
            self.workspace.attempted(f"import {name}")
            raise ImportError(f"{name} is not available while a submission is graded")


def stand_in(workspace: Workspace, package: str) -> types.ModuleType:
    """A module in place of the course's package: what exercises import, and nothing behind it."""
    module = types.ModuleType(package)
    module.__path__ = []  # so that an import of one of its modules reaches the Blocker
    module.CheckFailed = AssertionError  # type: ignore[attr-defined]
    module.ask = module.beside = ignore  # type: ignore[attr-defined]
    module.check = workspace.check  # type: ignore[attr-defined]
    return module


def answer_call(
    workspace: Workspace, request: dict[str, Any], args: list[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Call the function of an exercise, and describe the outcome."""
    function, handed = workspace.find(request["name"], request["variable"])
    if function is None or function is ...:
        name = "NotImplementedError"
        return {"error": f"{name}: there is no answer", "error_name": name}, []
    try:
        with limited(workspace.seconds):
            outcome = outcome_of(function, args, describe=error_with_line)
    except Slow:
        return {"error": f"one call took over {workspace.seconds} s", "error_name": "Slow"}, []
    except (SystemExit, KeyboardInterrupt) as error:
        return {"error": type(error).__name__, "error_name": type(error).__name__}, []
    if outcome.value is None:
        return {"error": outcome.error[:500], "error_name": outcome.error_name}, []
    values = [array.astype(float if array.dtype.kind == "f" else int) for array in outcome.value]
    return {"several": outcome.several, "changed": list(outcome.changed), "handed": handed}, values


def answer_value(workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    """A number worked out by hand, or a letter, with the student's name that belongs to it."""
    name = request["name"]
    found, handed = workspace.find(name, request["variable"])
    value: Any = found[:200] if isinstance(found, str) else None
    if value is None and found is not None and found is not ...:
        try:
            value = float(array_of(found).reshape(-1)[0])
        except Exception as error:
            value = f"{type(error).__name__}: {error}"[:200]
    student = workspace.students.get(name) or str(workspace.namespace.get("STUDENT", ""))
    return {"value": value, "student": student[:200], "handed": handed}


def serve() -> None:
    """Receive the cells, run them, then answer until the grader hangs up."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    order, _ = receive(channel, FOREVER)
    for limit, value in order["limits"].items():
        with contextlib.suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(getattr(resource, limit), (value, value))
    workspace = Workspace(order["seconds"])
    sys.meta_path.insert(0, Blocker(workspace, order["hidden"]))
    sys.modules[order["package"]] = stand_in(workspace, order["package"])
    report_reads(workspace, order["hidden"], order["files"])
    for number, source in order["cells"]:
        workspace.run(number, source)
    request = order
    reply: dict[str, Any] = {"errors": workspace.errors[:20]}
    values: list[Any] = []
    while True:
        send(channel, {"id": request["id"], "attempts": workspace.attempts, **reply}, values)
        try:
            request, arrays = receive(channel, FOREVER)
        except EOFError:
            return
        if request["kind"] == "value":
            reply, values = answer_value(workspace, request), []
        else:
            reply, values = answer_call(workspace, request, unpack(request["args"], arrays))


if __name__ == "__main__":
    serve()
