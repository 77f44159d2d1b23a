"""Run one submission's cells and answer calls of its functions. Started by the sandbox; decides
nothing.

It sees of the package only this file, outcome.py and wire.py. Where a submission imports minddpm,
it gets stand-ins that keep what is handed to `check`.
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
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # isolated mode leaves the script's own folder out
from outcome import Slow, array_of, limited, outcome_of, own_line
from wire import receive, send, unpack

sys.path.pop(0)

FOREVER = time.monotonic() + 10**9
MAGIC = re.compile(r"^[ \t]*[%!?]|\?[ \t]*$|=[ \t]*[%!]", re.MULTILINE)


class Submission:
    """The cells of a notebook, what they define, and what they hand in."""

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
        """What a submission's `check` does here: keep the answer."""
        self.handed[str(name)] = answer
        self.students[str(name)] = str(student)

    def attempted(self, what: str) -> None:
        """Keep what it tried to do and should not."""
        if len(self.attempts) < 20 and what not in self.attempts:
            self.attempts.append(what)

    def run(self, number: int, source: str) -> None:
        """Run one cell; an error ends the cell, not the submission."""
        name = f"<cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        try:
            with limited(self.seconds):
                code = compile(plain(source), name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                value = eval(code, self.namespace)
                if inspect.iscoroutine(value):
                    asyncio.run(value)
        except Slow:
            self.errors.append(f"cell {number} took over {self.seconds} s")
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            self.errors.append(f"cell {number}: {type(error).__name__}: {error}"[:300])

    def find(self, name: str) -> tuple[Any, bool]:
        """The answer to a question: as handed to `check`, else by the name of the function or
        variable.
        """
        if name in self.handed:
            return self.handed[name], True
        short = {"predict": "prediction"}.get(name.partition(".")[2], name.partition(".")[2])
        return self.namespace.get(short), False


class Shell:
    """In place of IPython: takes magics, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        return ignore


def plain(source: str) -> str:
    """A cell without IPython's own syntax: magics become calls."""
    if not MAGIC.search(source):
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return TransformerManager().transform_cell(source)
    except Exception:  # it will fail when it is run, with its own message
        return source


def ignore(*_args: Any, **_options: Any) -> None:
    """Take anything, and do nothing."""


def reported(submission: Submission) -> None:
    """Keep which files of the package's answers a submission looks for; what it may see does not
    change by that.
    """

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir", "glob.glob/2") and args:
            path = str(args[0])
            if re.search(r"\b(?:minddpm|minddpm_course|marking)(?!-)\b|lesson_\d\d", path):
                submission.attempted(f"read {path[-80:]}")

    sys.addaudithook(heard)


class Blocked(importlib.abc.MetaPathFinder):
    """Refuses the package's other modules, and keeps which were asked for."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> None:
        if name.partition(".")[0] in ("minddpm", "minddpm_course", "marking"):
            self.submission.attempted(f"import {name}")
            raise ImportError(f"{name} is not there while a submission is graded")


def stand_ins(submission: Submission) -> None:
    """Put modules in place of the package: what exercises import, and nothing behind it."""
    sys.meta_path.insert(0, Blocked(submission))
    course = sys.modules["minddpm_course"] = types.ModuleType("minddpm_course")
    course.CheckFailed = AssertionError  # type: ignore[attr-defined]
    course.ask = course.beside = ignore  # type: ignore[attr-defined]
    course.check = submission.check  # type: ignore[attr-defined]


def answer(
    submission: Submission, request: dict[str, Any], args: list[Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Call the function of an exercise, and describe what came."""
    function, handed = submission.find(request["name"])
    if function is None or function is ...:
        return {
            "error": "NotImplementedError: nothing was handed in",
            "error_name": "NotImplementedError",
        }, []
    try:
        with limited(submission.seconds):
            outcome = outcome_of(function, args, describe=own_line)
    except Slow:
        return {"error": f"one call took over {submission.seconds} s", "error_name": "Slow"}, []
    except (SystemExit, KeyboardInterrupt) as error:
        return {"error": type(error).__name__, "error_name": type(error).__name__}, []
    if outcome.value is None:
        return {"error": outcome.error[:500], "error_name": outcome.error_name}, []
    values = [array.astype(float if array.dtype.kind == "f" else int) for array in outcome.value]
    return {"several": outcome.several, "changed": list(outcome.changed), "handed": handed}, values


def value_of(submission: Submission, name: str) -> dict[str, Any]:
    """A number worked out by hand, or a letter, with the student's name that goes with it."""
    value, handed = submission.find(name)
    plain: Any = value[:200] if isinstance(value, str) else None
    if plain is None and value is not None and value is not ...:
        try:
            plain = float(array_of(value).reshape(-1)[0])
        except Exception as error:
            plain = f"{type(error).__name__}: {error}"[:200]
    student = submission.students.get(name) or str(submission.namespace.get("STUDENT", ""))
    return {"value": plain, "student": student[:200], "handed": handed}


def main() -> None:
    """Take the cells, run them, then answer until the grader hangs up."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    order, _ = receive(channel, FOREVER)
    for limit, value in order["limits"].items():
        with contextlib.suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(getattr(resource, limit), (value, value))
    submission = Submission(order["seconds"])
    stand_ins(submission)
    reported(submission)
    for number, source in order["cells"]:
        submission.run(number, source)
    request, reply = order, {"errors": submission.errors[:20]}
    values: list[Any] = []
    while True:
        send(channel, {"id": request["id"], "attempts": submission.attempts, **reply}, values)
        try:
            request, arrays = receive(channel, FOREVER)
        except EOFError:
            return
        if request["kind"] == "value":
            reply, values = value_of(submission, request["name"]), []
        else:
            reply, values = answer(submission, request, unpack(request["args"], arrays))


if __name__ == "__main__":
    main()
