"""Run one submission's cells and answer calls of its functions. Started by the sandbox; decides
nothing.

It sees of the engine only this file, cells.py, outcome.py and wire.py. Where a submission imports
the course's package, it gets a stand-in that keeps whatever is handed to `check`.
"""

from __future__ import annotations
import __future__

import ast
import asyncio
import contextlib
import importlib.abc
import inspect
import linecache
import os
import re
import resource
import signal
import socket
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # isolated mode leaves the script's own folder out
from confine import give_up

give_up(Path(__file__).parent)  # before anything else is imported, torch included
# ruff: noqa: E402
from cells import DID_NOT_RUN, Definitions
from outcome import (
    Made,
    NotNumbers,
    Slow,
    attempt_of,
    error_in_words,
    error_with_line,
    limited,
    number_of,
    outcome_of,
    shown,
    source_text,
)
from wire import LIMIT, receive, remote_function, send, unpack

sys.path.pop(0)

FOREVER = time.monotonic() + 10**9
TIMING = ("time", "capture", "prun")  # magics that run Python, and keep what it defines
FLAGS = tuple(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
MAGIC = re.compile(r"^[ \t]*[%!?]|\?[ \t]*$|=[ \t]*[%!]", re.MULTILINE)


class Workspace:
    """What the cells of a notebook define, and what they hand in."""

    def __init__(self, seconds: int, hidden: Sequence[str] = ()) -> None:
        self.seconds = seconds
        self.hidden = hidden
        self.handed: dict[str, Any] = {}
        self.students: dict[str, str] = {}
        self.attempts: list[str] = []
        self.errors: list[str] = []
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main  # where annotations and pickles look names up
        self.namespace = main.__dict__
        self.namespace.update(get_ipython=lambda: Shell(self), display=ignore)
        self.definitions = Definitions(self.namespace)
        self.cell = ""
        # later cells may define helpers of the same names: an answer is called with those it had
        self.scopes: dict[str, dict[str, Any]] = {}
        self.defined: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.entered: str | None = None
        self.final: dict[str, Any] = {}
        self.old: dict[str, str] = {}

    def check(
        self,
        name: str,
        answer: Any = None,
        *more: Any,
        student: str = "",
        seed: int | None = None,
    ) -> None:
        """Stand in for `check`: keep the answer."""
        answer = (answer, *more) if more else answer
        self.handed[str(name)] = answer
        self.students[str(name)] = str(student)
        self.scopes[str(name)] = dict(self.namespace)
        self.old[str(name)] = self.definitions.why_old(answer)

    def attempted(self, action: str) -> None:
        """Keep a forbidden action that was tried."""
        if len(self.attempts) < 20 and action not in self.attempts:
            self.attempts.append(action)

    def run_all(self, cells: Sequence[tuple[int, str]]) -> None:
        """Run the cells in their order."""
        for number, source in cells:
            self.run(number, source)
        self.final = dict(self.namespace)

    def run(self, number: int, source: str) -> None:
        """Run one cell; an error ends the cell, not the submission."""
        self.cell = f"<cell {number}>"
        self.definitions.begin(source)
        error = ""
        try:
            with limited(self.seconds):
                self.execute(source)
        except Slow:
            error = f"it took over {self.seconds} s"
            self.errors.append(f"cell {number} took over {self.seconds} s")
        except BaseException as reason:
            error = error_in_words(reason)
            self.errors.append(f"cell {number}: {error}"[:300])
        self.definitions.end(error)
        self.keep_scope()

    def execute(self, source: str) -> None:
        """Run a source as the cell that is now running, or a part of it."""
        text = without_magics(source)
        # where inspect finds it: TorchScript, for one, compiles from the source
        linecache.cache[self.cell] = (len(text), None, text.splitlines(True), self.cell)
        tree: Any = compile(text, self.cell, "exec", self.flags | ast.PyCF_ONLY_AST, True)
        if any(name in text for name in self.hidden):
            tree.body = [part for statement in tree.body for part in self.parted(statement)]
        code = compile(tree, self.cell, "exec", self.flags, True)
        for flag in FLAGS:  # an import from __future__ holds for the cells that follow
            self.flags |= code.co_flags & flag
        value = eval(code, self.namespace)
        if inspect.iscoroutine(value):
            asyncio.run(value)

    def parted(self, statement: ast.stmt) -> list[ast.stmt]:
        """A statement; one that imports from a hidden package may fail without ending its cell."""
        if isinstance(statement, ast.Import):
            parts: list[ast.stmt] = [ast.Import([alias]) for alias in statement.names]
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            parts = [statement]
            names = [statement.module or ""]
        else:
            return [statement]
        if not any(name.partition(".")[0] in self.hidden for name in names):
            return [statement]
        caught = ast.ExceptHandler(ast.Name("ImportError", ast.Load()), None, [ast.Pass()])
        tried = [ast.Try([part], [caught], [], []) for part in parts]
        return [ast.fix_missing_locations(ast.copy_location(one, statement)) for one in tried]

    def keep_scope(self) -> None:
        """Keep what a function could see when its cell ended, for one that is never checked."""
        functions = {name: value for name, value in self.namespace.items() if callable(value)}
        new = {
            name: value
            for name, value in functions.items()
            if name not in self.defined or self.defined[name][0] is not value
        }
        scope = dict(self.namespace) if new else {}
        self.defined.update((name, (value, scope)) for name, value in new.items())

    def enter(self, name: str, variable: str) -> None:
        """Give an answer back the helpers and constants it had; what came later stays in reach."""
        if self.entered == name:
            return
        self.entered = name
        _, scope = self.defined.get(variable, (None, {}))
        self.namespace.clear()
        self.namespace.update(self.final)
        self.namespace.update(self.scopes.get(name, scope))

    def find(self, name: str, variable: str) -> tuple[Any, bool]:
        """The answer to a question, and whether it was handed to `check`; if not, it is looked up
        by the name of its function or variable.
        """
        if name in self.handed:
            return self.handed[name], True
        return self.final.get(variable), False

    def why_old(self, name: str, answer: Any, handed: bool) -> str:
        """Why an answer that was found is not what its cell says; empty if it is."""
        return self.old[name] if handed else self.definitions.why_old(answer)


class Shell:
    """Stands in for IPython: runs what magics time or capture, and ignores all other magics."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        """Run what stands below %%time or %%capture; write a file for %%writefile."""
        words = [word for word in line.split() if not word.startswith("-")]
        if name in TIMING:
            self.workspace.execute(f"\n{body}")
        if name == "capture":
            shown_nothing = types.SimpleNamespace(stdout="", stderr="", outputs=[], show=ignore)
            self.workspace.namespace.update(dict.fromkeys(words[:1], shown_nothing))
        if name in ("writefile", "file") and words:
            Path(words[0]).write_text(body, encoding="utf-8")

    def run_line_magic(self, name: str, line: str, *_: Any) -> None:
        """Run what stands behind %time."""
        if name in TIMING:
            self.workspace.execute(re.sub(r"^(?:-\S+[ \t]+)*", "", line))

    def getoutput(self, *_: Any) -> list[str]:
        """The output of a command that is not run."""
        return []

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
    module.milestone = ignore  # type: ignore[attr-defined]
    module.check = workspace.check  # type: ignore[attr-defined]
    module.hint = ignore  # type: ignore[attr-defined]
    return module


class Line:
    """The line to the grader: whatever is sent is the reply to what was received last."""

    def __init__(self, channel: socket.socket, workspace: Workspace) -> None:
        self.channel = channel
        self.workspace = workspace
        self.id = ""

    def receive(self) -> tuple[dict[str, Any], list[Any]]:
        """What the grader says next."""
        message, arrays = receive(self.channel, FOREVER)
        self.id = message["id"]
        return message, arrays

    def reply(self, message: dict[str, Any], arrays: Sequence[Any]) -> None:
        """Reply to it."""
        known = {"id": self.id, "attempts": self.workspace.attempts}
        send(self.channel, {**known, **message}, arrays)

    def ask(self, call: list[Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """Have the grader call a function; this is interrupted only when it is over."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        try:
            self.reply({"call": call}, arrays)
            return self.receive()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])


def why_uncallable(function: Any, why_old: str) -> dict[str, Any]:
    """Why an answer cannot be called, as a reply; empty if it can."""
    if function is None or function is ...:
        name = "NotImplementedError"
        return {"error": f"{name}: there is no answer", "error_name": name}
    if why_old:
        return {"error": why_old, "error_name": DID_NOT_RUN}
    if not callable(function):
        words = f"expected the function itself, got {shown(function)}"
        return {"error": words, "error_name": "TypeError"}
    return {}


def answer_test(workspace: Workspace, request: dict[str, Any], line: Line) -> dict[str, Any]:
    """Let a test judge a function that the grader calls, and describe what it did."""
    question, variable = request["name"], request["variable"]
    test, handed = workspace.find(question, variable)
    why_not = why_uncallable(test, workspace.why_old(question, test, handed))
    if why_not:
        return why_not
    workspace.enter(question, variable)
    try:
        with (
            remote_function(request["arguments"], line.ask) as function,
            limited(workspace.seconds),
        ):
            attempt = attempt_of(test, function, request["seed"])
    except Slow:
        return {"error": f"it took over {workspace.seconds} s", "error_name": "Slow"}
    except KeyboardInterrupt as error:
        return {"error": type(error).__name__, "error_name": type(error).__name__}
    return {**vars(attempt), "handed": handed}


def answer_call(
    workspace: Workspace, request: dict[str, Any], args: list[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Call the function of an exercise, and describe the outcome."""
    question, variable = request["name"], request["variable"]
    function, handed = workspace.find(question, variable)
    why_not = why_uncallable(function, workspace.why_old(question, function, handed))
    if why_not:
        return why_not, []
    workspace.enter(question, variable)
    try:
        with limited(workspace.seconds):
            outcome = outcome_of(function, args, describe=error_with_line)
    except Slow:
        return {"error": f"one call took over {workspace.seconds} s", "error_name": "Slow"}, []
    except KeyboardInterrupt as error:
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
            value = number_of(found)
        except NotNumbers:
            value = shown(found)
    student = workspace.students.get(name) or str(workspace.final.get("STUDENT", ""))
    return {"value": value, "student": student[:200], "handed": handed}


def serve() -> None:
    """Receive the cells, run them, then answer until the grader hangs up."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    order, _ = receive(channel, FOREVER, words=LIMIT)
    for limit, value in order["limits"].items():
        with contextlib.suppress(
            ValueError, OSError, AttributeError
        ):  # not every system has every limit
            resource.setrlimit(getattr(resource, limit), (value, value))
    workspace = Workspace(order["seconds"], order["hidden"])
    line = Line(channel, workspace)
    line.id = order["id"]
    sys.meta_path.insert(0, Blocker(workspace, order["hidden"]))
    sys.modules[order["package"]] = stand_in(workspace, order["package"])
    report_reads(workspace, order["hidden"], order["files"])
    sys.path.append(os.getcwd())  # for modules that %%writefile makes
    workspace.run_all(order["cells"])
    reply: dict[str, Any] = {"errors": workspace.errors[:20]}
    values: list[Any] = []
    while True:
        line.reply(reply, values)
        try:
            request, arrays = line.receive()
        except EOFError:
            return
        if request["kind"] == "value":
            reply, values = answer_value(workspace, request), []
        elif request["kind"] == "test":
            reply, values = answer_test(workspace, request, line), []
        elif request["kind"] == "source":
            function, _ = workspace.find(request["name"], request["variable"])
            reply, values = {"source": source_text(function)}, []
        else:
            reply, values = answer_call(workspace, request, unpack(request["args"], arrays, Made))


if __name__ == "__main__":
    serve()
