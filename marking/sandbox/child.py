"""Run one submission's cells and answer calls of its functions. Started by the sandbox; decides
nothing.

It sees of the engine only this file, those beside it in its folder, cells.py and outcome.py. Where
a submission imports the course's package, it gets a stand-in: its `check` tells the grader, answers
what it asks, and then lets the cell go on, whatever the grader thinks of the answer.
"""

from __future__ import annotations
import __future__

import ast
import asyncio
import builtins
import contextlib
import gc
import importlib.abc
import inspect
import linecache
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # isolated mode leaves the script's own folder out
from confine import give_up

give_up(Path(__file__).parent)  # before anything else is imported, torch included
gc.disable()  # what importing torch makes stays: to look through it again and again costs a tenth
# ruff: noqa: E402
from absent import (
    HELPER,
    Absent,
    NotInstalledHere,
    careful,
    names_bound,
    what_to_bind,
    why_absent,
)
from cells import DID_NOT_RUN, Definitions
from outcome import (
    NO_FUNCTION,
    Made,
    Slow,
    attempt_of,
    error_in_words,
    error_with_line,
    limited,
    no_function_in_words,
    outcome_of,
    plain_answer,
    shown,
    slow_in_words,
    source_text,
    to_send,
)
from shell import (
    Outputs,
    ZMQInteractiveShell,
    ends_with_semicolon,
    ignore,
    install,
    without_magics,
)
from wire import LIMIT, receive, remote_function, send, unpack

sys.path.pop(0)
gc.enable()

FOREVER = time.monotonic() + 10**9
FLAGS = tuple(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


@dataclass
class HandedIn:
    """What was handed to a check, or found by its name.

    Args:
        answer: the function, number or letter.
        student: the name that came with it.
        scope: what the answer could see.
        why_old: why it is not what its cell says; empty if it is.
    """

    answer: Any
    student: str
    scope: Mapping[str, Any]
    why_old: str


class Workspace:
    """What the cells of a notebook define, and what they hand in.

    Args:
        seconds: of one cell, and of one call.
        hidden: packages that a submission cannot import.
        most: the names of all questions, each with how many checks of it are told at once.
        late: those of them of which no check is told: the grader asks for them in the end.
    """

    def __init__(
        self,
        seconds: int,
        hidden: Sequence[str] = (),
        most: Mapping[str, int] | None = None,
        late: Sequence[str] = (),
    ) -> None:
        self.seconds = seconds
        self.hidden = hidden
        self.most = most or {}
        self.late = dict.fromkeys(late, 0)  # how many checks of each were kept
        self.line: Line | None = None
        self.lock = threading.Lock()
        self.handed: dict[str, list[HandedIn]] = {}
        self.later: dict[tuple[str, int], None] = {}  # checks to tell of when all cells have run
        self.telling = False
        self.attempts: list[str] = []
        self.errors: list[str] = []
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main  # where annotations and pickles look names up
        self.namespace = main.__dict__
        self.results = Outputs(self.namespace)
        install(ZMQInteractiveShell(self.namespace, self.results, self.execute, self.run_inside))
        vars(builtins)[HELPER] = self.import_failed
        self.definitions = Definitions(self.namespace)
        self.cell = ""
        self.missed = ""  # what the cell needs of a package that is absent
        # later cells may define helpers of the same names: an answer is called with those it had
        self.defined: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.entered: tuple[str, int] | None = None
        self.final: dict[str, Any] | None = None  # what all cells together have defined

    def check(
        self,
        name: str,
        answer: Any = None,
        *more: Any,
        student: str = "",
        seed: int | None = None,
    ) -> None:
        """Stand in for `check`: let the answer be judged, here and now. After too many checks of a
        question, and in a thread, the answer is kept for the end.
        """
        if not isinstance(name, str) or name not in self.most:
            raise ValueError(f"expected the name of an exercise, got {shown(name)}")
        in_thread = threading.current_thread() is not threading.main_thread()
        most = self.most[name]
        if not most or (self.telling and not in_thread) or self.final is not None:
            return  # an answer that checks while it is judged, or a thread that does not end
        answer = (answer, *more) if more else answer
        student = as_name(student) or as_name(self.namespace.get("STUDENT"))
        why_old = self.definitions.why_old(answer)
        one = HandedIn(answer, student, dict(self.namespace), why_old)
        with self.lock:
            some = self.handed.setdefault(name, [])
            del some[most:]
            some.append(one)
            place = len(some) - 1
            if name in self.late:
                self.late[name] = len(some)
                return
            if in_thread or place == most:
                self.later[name, place] = None
                return
        self.tell(name, place)

    def tell(self, name: str, place: int) -> None:
        """Tell the grader of a check, and do what it asks until it wants the cells to go on."""
        assert self.line is not None
        self.telling = True
        try:
            with clock_stopped():
                converse(self, self.line, {"checked": name, "place": place})
        except EOFError:  # nobody is there any more
            os._exit(0)
        finally:
            self.telling = False

    def attempted(self, action: str) -> None:
        """Keep a forbidden action that was tried."""
        if len(self.attempts) < 20 and action not in self.attempts:
            self.attempts.append(action)

    def run_all(self, cells: Sequence[tuple[int, str]]) -> None:
        """Run the cells in their order."""
        for number, source in cells:
            self.run(number, source)
        self.final = dict(self.namespace)
        for name, place in list(self.later):
            self.tell(name, place)

    def run(self, number: int, source: str) -> None:
        """Run one cell; an error ends the cell, not the submission."""
        self.cell = f"<cell {number}>"
        self.missed = ""
        self.definitions.begin(source)
        self.results.begin(source)
        error = ""
        try:
            with limited(self.seconds):
                value = self.execute(source)
                if not ends_with_semicolon(source):
                    self.results.keep(value)
        except Slow:
            error = f"it took over {self.seconds} s"
            self.errors.append(f"cell {number} took over {self.seconds} s")
        except BaseException as reason:
            error = error_in_words(reason)
            self.errors.append(f"cell {number}: {error}"[:300])
        self.definitions.end(error or self.missed)
        self.keep_scope()

    def run_inside(self, source: str, *_: Any, **_options: Any) -> Any:
        """Run a source as a cell inside the one that is now running, as `run_cell` of Jupyter."""
        self.definitions.begin(source)
        value, error = None, None
        try:
            value = self.execute(source)
        except Exception as reason:
            error = reason
        self.definitions.end(error_in_words(error) if error else "")
        return types.SimpleNamespace(
            result=value,
            success=error is None,
            error_in_exec=error,
            error_before_exec=None,
            raise_error=ignore,
        )

    def execute(self, source: str, *, before: str = "", apart: bool = False) -> Any:
        """Run a source as the cell that is now running, or a part of it, and return the value of
        its last line.

        Args:
            source: the cell.
            before: statements to run first.
            apart: run it in a function of its own: what it defines is gone afterwards.
        """
        text = without_magics(source)
        # where inspect finds it: TorchScript, for one, compiles from the source
        linecache.cache[self.cell] = (len(text), None, text.splitlines(True), self.cell)
        tree = self.parsed(text)
        if apart:
            return self.execute_apart([*self.parsed(before).body, *tree.body])
        value = None
        for statement in careful(tree).body:
            value = self.execute_one(statement)
        return value

    def parsed(self, text: str) -> ast.Module:
        """A source as a tree."""
        tree = compile(text, self.cell, "exec", self.flags | ast.PyCF_ONLY_AST, True)
        assert isinstance(tree, ast.Module)
        return tree

    def execute_one(self, statement: ast.stmt) -> Any:
        """Run one statement and return its value, None if it has none; one that uses what could not
        be imported costs only what it defines.
        """
        whole: Any
        if isinstance(statement, ast.Expr):
            whole, mode = ast.Expression(statement.value), "eval"
        else:
            whole, mode = ast.Module([statement], []), "exec"
        code = compile(whole, self.cell, mode, self.flags, True)
        for flag in FLAGS:  # an import from __future__ holds for what follows
            self.flags |= code.co_flags & flag
        try:
            value = eval(code, self.namespace)
            if code.co_flags & inspect.CO_COROUTINE:  # it awaits something
                value = asyncio.run(value)
        except NotInstalledHere as error:
            self.note(str(error), error_in_words(error))
            bound = dict.fromkeys(names_bound(statement), Absent(str(error)))
            self.namespace.update(bound)
            return None
        return value

    def execute_apart(self, body: list[ast.stmt]) -> None:
        """Run statements in a function of their own."""
        tree = ast.parse("def inner(): pass")
        (function,) = tree.body
        assert isinstance(function, ast.FunctionDef)
        function.body = body or function.body
        code = compile(ast.fix_missing_locations(tree), self.cell, "exec", self.flags, True)
        found: dict[str, Any] = {}
        exec(code, self.namespace, found)
        found["inner"]()

    def import_failed(self, module: str, names: Sequence[str]) -> None:
        """Let a cell go on after an import that failed: what it should define is absent."""
        why = why_absent(sys.exc_info()[1], module)
        if module.partition(".")[0] not in self.hidden:
            self.note(why)
        for name in names:
            self.namespace[name] = what_to_bind(name, module, why)

    def note(self, why: str, error: str = "") -> None:
        """Keep that a package is absent, and the error of what uses it."""
        remark = f"{self.cell.strip('<>')}: {why}"[:300]
        if remark not in self.errors:
            self.errors.append(remark)
        self.missed = self.missed or error

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

    def find(self, name: str, variable: str, place: int) -> HandedIn:
        """The answer to a question: what was handed to one of its checks, or below 0 what stands
        under the name of its function or variable in the end.
        """
        if place >= 0:
            return self.handed[name][place]
        final = self.final or {}
        answer = final.get(variable)
        _, scope = self.defined.get(variable, (None, {}))
        definitions = self.definitions
        missing = answer is None
        why_old = definitions.why_missing(variable) if missing else definitions.why_old(answer)
        return HandedIn(answer, as_name(final.get("STUDENT")), scope, why_old)

    def enter(self, name: str, place: int, one: HandedIn) -> None:
        """Once all cells have run, give an answer back the helpers and constants it had; what came
        later stays in reach.
        """
        if self.final is None or self.entered == (name, place):
            return
        self.entered = name, place
        self.namespace.clear()
        self.namespace.update(self.final)
        self.namespace.update(one.scope)


@contextlib.contextmanager
def clock_stopped() -> Iterator[None]:
    """Do not count meanwhile what the cell takes."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)


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


def stand_in(workspace: Workspace, package: str, offered: Mapping[str, bool]) -> types.ModuleType:
    """A module in place of the course's package: the names that it offers, each with whether it is
    an error, and nothing behind them.
    """
    module = types.ModuleType(package)
    module.__path__ = []  # so that an import of one of its modules reaches the Blocker
    for name, is_error in offered.items():
        stands: Any = type(name, (AssertionError,), {}) if is_error else ignore
        setattr(module, name, stands)
    module.check = workspace.check  # type: ignore[attr-defined]
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


def as_name(student: Any) -> str:
    """A student's name, whatever was given for it: None is no name."""
    return "" if student is None else str(student)


def why_uncallable(request: dict[str, Any], one: HandedIn) -> dict[str, Any]:
    """Why an answer cannot be called, as a reply; empty if it can."""
    function = one.answer
    if function is None and one.why_old:
        return {"error": one.why_old, "error_name": DID_NOT_RUN}
    if function is None or function is ...:
        name = "NotImplementedError"
        return {"error": f"{name}: there is no answer", "error_name": name}
    if not callable(function):
        words = no_function_in_words(request["name"], request["variable"], function)
        return {"error": words, "error_name": NO_FUNCTION}
    if one.why_old:
        return {"error": one.why_old, "error_name": DID_NOT_RUN}
    return {}


def answer_test(workspace: Workspace, request: dict[str, Any], line: Line) -> dict[str, Any]:
    """Let a test judge a function that the grader calls, and describe what it did."""
    one = workspace.find(request["name"], request["variable"], request["place"])
    why_not = why_uncallable(request, one)
    if why_not:
        return why_not
    workspace.enter(request["name"], request["place"], one)
    try:
        with (
            remote_function(request["arguments"], line.ask) as function,
            limited(workspace.seconds),
        ):
            attempt = attempt_of(one.answer, function, request["seed"])
    except Slow:
        return {"error": slow_in_words(workspace.seconds), "error_name": "Slow"}
    except KeyboardInterrupt as error:
        return {"error": type(error).__name__, "error_name": type(error).__name__}
    return dict(vars(attempt))


def answer_call(
    workspace: Workspace, request: dict[str, Any], args: list[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Call the function of an exercise, and describe the outcome."""
    one = workspace.find(request["name"], request["variable"], request["place"])
    why_not = why_uncallable(request, one)
    if why_not:
        return why_not, []
    workspace.enter(request["name"], request["place"], one)
    try:
        with limited(workspace.seconds):
            outcome = outcome_of(one.answer, args, describe=error_with_line)
    except Slow:
        return {"error": slow_in_words(workspace.seconds), "error_name": "Slow"}, []
    except KeyboardInterrupt as error:
        return {"error": type(error).__name__, "error_name": type(error).__name__}, []
    if outcome.value is None:
        return {"error": outcome.error, "error_name": outcome.error_name}, []
    told = {"several": outcome.several, "changed": list(outcome.changed)}
    return told, list(outcome.value)


def answer_value(workspace: Workspace, request: dict[str, Any]) -> dict[str, Any]:
    """A number worked out by hand, or a letter, with the student's name that belongs to it."""
    one = workspace.find(request["name"], request["variable"], request["place"])
    return {"value": to_send(plain_answer(one.answer)), "student": one.student[:200]}


def answered(
    workspace: Workspace, line: Line, request: dict[str, Any], arrays: list[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """The reply to a request of the grader."""
    if request["kind"] == "value":
        return answer_value(workspace, request), []
    if request["kind"] == "test":
        return answer_test(workspace, request, line), []
    if request["kind"] == "source":
        one = workspace.find(request["name"], request["variable"], request["place"])
        return {"source": source_text(one.answer)}, []
    return answer_call(workspace, request, unpack(request["args"], arrays, Made))


def converse(workspace: Workspace, line: Line, reply: dict[str, Any]) -> None:
    """Reply, and answer requests until the grader wants the cells to go on.

    Raises: EOFError where the grader hangs up.
    """
    values: list[Any] = []
    while True:
        line.reply(reply, values)
        request, arrays = line.receive()
        if request["kind"] == "go on":
            return
        reply, values = answered(workspace, line, request, arrays)


def serve() -> None:
    """Receive the cells, run them, then answer until the grader hangs up."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    order, _ = receive(channel, FOREVER, words=LIMIT)
    for limit, value in order["limits"].items():
        with contextlib.suppress(
            ValueError, OSError, AttributeError
        ):  # not every system has every limit
            resource.setrlimit(getattr(resource, limit), (value, value))
    workspace = Workspace(order["seconds"], order["hidden"], order["most"], order["late"])
    line = workspace.line = Line(channel, workspace)
    line.id = order["id"]
    sys.meta_path.insert(0, Blocker(workspace, order["hidden"]))
    sys.modules[order["package"]] = stand_in(workspace, order["package"], order["offered"])
    report_reads(workspace, order["hidden"], order["files"])
    sys.path.insert(0, os.getcwd())  # for modules that %%writefile makes, as in Jupyter
    workspace.run_all(order["cells"])
    with contextlib.suppress(EOFError):
        converse(workspace, line, {"errors": workspace.errors[:20], "late": workspace.late})


if __name__ == "__main__":
    serve()
