"""What a notebook finds of Jupyter while it is graded: magics, `Out`, `get_ipython()`, `display`.
Nothing is shown, and no command of the system is run.

It runs beside child.py, in the process of a submission.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import getpass
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import re
import sys
import time
import tokenize
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MAGIC = re.compile(r"^[ \t]*[%!?]|\?[ \t]*$|=[ \t]*[%!]", re.MULTILINE)
# a command that works without %, where it is all that a cell says
COMMAND = re.compile(
    r"(?:pip|conda|mamba|cd|ls|ll|pwd|cat|cp|mv|rm|mkdir|rmdir|man|less|more|who|whos|history|time"
    r"|timeit|matplotlib|load_ext|reload_ext|autoreload|config|env|precision|prun|run|pylab)\b"
    r"[^=\n]*"
)
TIMEIT_OPTIONS = re.compile(r"(?:-[nrpv][ \t]*\S+[ \t]*|-[tcqo]+[ \t]+|-[tcqo]+$)*")
PRUN_OPTIONS = re.compile(r"(?:-[lsTD][ \t]+\S+[ \t]*|-[rq]+[ \t]+)*")
LONG_OPTIONS = re.compile(r"(?:--[a-z-]+[ \t]*)*")
OUTPUTS = re.compile(r"--(?:out|err)[ =](\w+)")
NO_INPUT = (
    "input() cannot ask anyone while a notebook is graded: write the value into the cell, as in"
    " name = 'Ada'"
)
MOST_KEPT = 1000  # results in Out, as in Jupyter


class Nothing:
    """Accepts whatever is done with it, and does nothing."""

    def __call__(self, *_args: Any, **_options: Any) -> Nothing:
        return self

    def __getattr__(self, name: str) -> Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: Any) -> Nothing:
        return self

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def __repr__(self) -> str:
        return "nothing"


SILENCE = Nothing()


def ignore(*_args: Any, **_options: Any) -> None:
    """Accept anything, and do nothing."""


def display(*_objects: Any, display_id: Any = None, **_options: Any) -> Nothing | None:
    """Show nothing."""
    return SILENCE if display_id else None


def no_input(*_args: Any, **_options: Any) -> str:
    """Nobody is there to answer."""
    raise RuntimeError(NO_INPUT)


class Lines(list[str]):
    """Output of a command that is not run: no lines, with what IPython's lists of lines have."""

    @property
    def l(self) -> Lines:  # noqa: E743 (IPython's name)
        """The lines."""
        return self

    @property
    def n(self) -> str:
        """The lines as one text."""
        return "\n".join(self)

    @property
    def s(self) -> str:
        """The lines in one, with spaces between them."""
        return " ".join(self)

    @property
    def p(self) -> list[Path]:
        """The lines that are paths."""
        return [Path(line) for line in self if os.path.exists(line)]

    list = get_list = l
    nlstr = get_nlstr = n
    spstr = get_spstr = s
    paths = get_paths = p

    def grep(self, *_args: Any, **_options: Any) -> Lines:
        """The lines that match: none."""
        return Lines()

    def fields(self, *_args: Any) -> Lines:
        """Some words of each line: none."""
        return Lines()

    def sort(self, *_args: Any, **_options: Any) -> Lines:  # type: ignore[override]
        """The lines in order."""
        return Lines(sorted(self))


class Quits:
    """In place of `exit` and `quit`, which in Jupyter let their cell run to its end."""

    def __call__(self, *_args: Any, **_options: Any) -> None:
        pass

    def __repr__(self) -> str:
        return "exit"


class Captured:
    """What a cell printed below %%capture."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.err = io.StringIO()
        self.outputs: Sequence[Any] = []
        self.show = self.__call__ = ignore

    @property
    def stdout(self) -> str:
        """What it printed."""
        return self.out.getvalue()

    @property
    def stderr(self) -> str:
        """What it printed as errors."""
        return self.err.getvalue()


class Outputs:
    """What cells gave and said: `Out`, `In`, `_`, `__`, `___`, and those with numbers.

    Args:
        namespace: what the cells define.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.count = 0
        self.results: dict[int, Any] = {}
        self.sources = [""]
        self.latest: list[Any] = ["", "", ""]
        namespace.update(Out=self.results, _oh=self.results, In=self.sources, _ih=self.sources)
        namespace.update(zip(("_", "__", "___"), self.latest), _dh=[Path.cwd()])

    def begin(self, source: str) -> None:
        """A cell is about to run; an empty one does not count."""
        if not source.strip():
            return
        self.count += 1
        self.sources.append(source)
        for back, name in enumerate(("_i", "_ii", "_iii"), 2):
            self.namespace[name] = self.sources[-back] if len(self.sources) >= back else ""
        self.namespace[f"_i{self.count}"] = source

    def keep(self, value: Any) -> None:
        """Keep what the last line of a cell gave."""
        if value is None or value is self.results:
            return
        # a name that the cells use for something else is theirs
        free = all(
            self.namespace.get(name, old) is old
            for name, old in zip(("_", "__", "___"), self.latest)
        )
        self.latest = [value, *self.latest[:2]]
        if free:
            self.namespace.update(zip(("_", "__", "___"), self.latest))
        self.results[self.count] = self.namespace[f"_{self.count}"] = value
        if len(self.results) > MOST_KEPT:
            oldest = next(iter(self.results))
            del self.results[oldest]
            self.namespace.pop(f"_{oldest}", None)


def ends_with_semicolon(source: str) -> bool:
    """Whether the last thing that a cell says is a semicolon, which keeps its value from `Out`."""
    if not source.rstrip().rpartition("\n")[2].count(";"):
        return False
    unseen = (tokenize.ENDMARKER, tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return False
    return [token.string for token in tokens if token.type not in unseen][-1:] == [";"]


class ZMQInteractiveShell:
    """Stands in for the shell of IPython, under the name that it has in Jupyter.

    Args:
        namespace: what the cells define.
        results: what they gave.
        execute: runs a source as a part of the cell that is now running, and returns the value of
            its last line.
        run: runs a source as a cell of its own inside it.
    """

    kernel = None  # with which widgets would talk

    def __init__(
        self,
        namespace: dict[str, Any],
        results: Outputs,
        execute: Callable[..., Any],
        run: Callable[[str], Any],
    ) -> None:
        self.user_ns = self.user_global_ns = namespace
        self.results = results
        self.execute = execute
        self.run_cell = run
        self.ast_transformers: list[Any] = []

    @property
    def execution_count(self) -> int:
        """The number of the next cell."""
        return self.results.count + 1

    def run_cell_magic(self, name: str, line: str, body: str) -> Any:
        """Run what stands below %%time, %%timeit, %%prun and %%capture; write a file for
        %%writefile.
        """
        if name == "time":
            return self.execute(f"\n{body}")
        if name == "prun":
            self.execute(f"\n{body}")
        elif name == "timeit":
            return self.timed(line, f"\n{body}")
        elif name == "capture":
            self.capture(line, body)
        elif name in ("writefile", "file"):
            self.write(line, body)
        elif name in ("sx", "system", "!"):
            return Lines()
        else:
            self.user_ns.update(dict.fromkeys(OUTPUTS.findall(line), ""))
        return None

    def run_line_magic(self, name: str, line: str = "", *_: Any) -> Any:
        """Run what stands behind %time, %timeit and %prun."""
        if name == "time":
            return self.execute(LONG_OPTIONS.sub("", line, count=1))
        if name == "timeit":
            options = TIMEIT_OPTIONS.match(line)
            end = options.end() if options else 0
            return self.timed(line[:end], line[end:])
        if name == "prun":
            self.execute(PRUN_OPTIONS.sub("", line, count=1))
        elif name == "run":
            self.run_file(line)
        elif name == "cd":
            with contextlib.suppress(OSError):
                os.chdir(Path(line.strip(" '\"") or "~").expanduser())
        elif name in ("sx", "system"):
            return Lines()
        elif name == "env":
            return self.environment(line)
        elif name == "pwd":
            return os.getcwd()
        return None

    def magic(self, line: str) -> Any:
        """Run a line magic, in an older way of writing."""
        name, _, rest = line.lstrip("%").partition(" ")
        return self.run_line_magic(name, rest)

    def run_file(self, line: str) -> None:
        """Run a file that an earlier cell wrote, and define what it does; with -i it sees what the
        cells define.
        """
        words = [word.strip("'\"") for word in line.split()]
        path = next((Path(word) for word in words if not word.startswith("-")), Path())
        if not path.is_file():
            return
        # otherwise the file has names of its own, as a program
        space = self.user_ns if "-i" in words else {"__name__": "__main__", "__file__": str(path)}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)
        new = {name: value for name, value in space.items() if not name.startswith("__")}
        self.user_ns.update(new)

    def timed(self, line: str, body: str) -> Any:
        """Run what is to be timed, once. What it defines is gone afterwards, as in Jupyter."""
        options = TIMEIT_OPTIONS.match(line)
        end = options.end() if options else 0
        wants = re.search(r"-[tcq]*o", line[:end])
        started = time.perf_counter()
        self.execute(body, before=line[end:], apart=True)
        taken = time.perf_counter() - started
        if not wants:
            return None
        names = ("best", "worst", "average", "stdev", "compile_time")
        times = dict(zip(names, (taken, taken, taken, 0.0, 0.0)))
        return types.SimpleNamespace(**times, loops=1, repeat=1, all_runs=[taken], timings=[taken])

    def capture(self, line: str, body: str) -> None:
        """Run a cell, and keep what it prints."""
        captured = Captured()
        with contextlib.ExitStack() as stack:
            if "--no-stdout" not in line:
                stack.enter_context(contextlib.redirect_stdout(captured.out))
            if "--no-stderr" not in line:
                stack.enter_context(contextlib.redirect_stderr(captured.err))
            self.execute(f"\n{body}")
        words = [word for word in line.split() if not word.startswith("-")]
        self.user_ns.update(dict.fromkeys(words[:1], captured))

    def write(self, line: str, body: str) -> None:
        """Write a file that a later cell may read or import."""
        words = [word.strip("'\"") for word in line.split()]
        mode = "a" if "-a" in words or "--append" in words else "w"
        for name in [word for word in words if not word.startswith("-")][:1]:
            with Path(name).expanduser().open(mode, encoding="utf-8") as file:
                file.write(body)
        importlib.invalidate_caches()

    def environment(self, line: str) -> Any:
        """Read or set a variable of the environment."""
        name, equals, value = line.partition("=" if "=" in line else " ")
        if equals:
            os.environ[name.strip()] = value.strip()
            return None
        return os.environ.get(name) if name else dict(os.environ)

    def getoutput(self, *_args: Any, **_options: Any) -> Lines:
        """The output of a command that is not run."""
        return Lines()

    def system(self, *_args: Any, **_options: Any) -> None:
        """A command that is not run."""

    def ev(self, expression: str) -> Any:
        """The value of an expression."""
        return eval(expression, self.user_ns)

    def ex(self, source: str) -> None:
        """Run statements."""
        exec(source, self.user_ns)

    def push(self, variables: Any, **_options: Any) -> None:
        """Define variables; text names those of the caller."""
        if isinstance(variables, Mapping):
            self.user_ns.update(variables)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return SILENCE


def without_magics(source: str) -> str:
    """A cell as plain Python: IPython's magics become calls."""
    line = source.strip()
    if COMMAND.fullmatch(line) and not is_python(line):
        source = f"%{line}"
    if not MAGIC.search(source):
        return source
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(source)
    except Exception:  # it will fail when it is run, with its own message
        return source


def is_python(source: str) -> bool:
    """Whether a source can be parsed."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


class AfterImport(importlib.abc.MetaPathFinder):
    """Changes modules when a submission imports them.

    Args: changes, a function for each name of a module.
    """

    def __init__(self, changes: Mapping[str, Callable[[types.ModuleType], None]]) -> None:
        self.changes = changes

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> Any:
        """The module's own spec, with a loader that changes it."""
        if name not in self.changes:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = Changing(spec.loader, self.changes[name])
        return spec


class Changing(importlib.abc.Loader):
    """Loads a module and changes it."""

    def __init__(
        self, loader: importlib.abc.Loader, change: Callable[[types.ModuleType], None]
    ) -> None:
        self.loader = loader
        self.change = change

    def create_module(self, spec: Any) -> Any:
        """As its own loader does."""
        return self.loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        """As its own loader does, and change it."""
        self.loader.exec_module(module)
        self.change(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


def set_in(**values: Any) -> Callable[[types.ModuleType], None]:
    """What sets names of a module that has them."""

    def change(module: types.ModuleType) -> None:
        vars(module).update({name: new for name, new in values.items() if hasattr(module, name)})

    return change


def install(shell: ZMQInteractiveShell) -> None:
    """Let a submission find what Jupyter would give it."""

    def get_ipython() -> ZMQInteractiveShell:
        """The shell."""
        return shell

    found: dict[str, Any] = {
        "get_ipython": get_ipython,
        "display": display,
        "input": no_input,
        "exit": Quits(),
        "quit": Quits(),
    }
    vars(builtins).update(found)
    getpass.getpass = no_input
    shows = set_in(
        display=display, update_display=ignore, publish_display_data=ignore, clear_output=ignore
    )
    gives = set_in(get_ipython=get_ipython)
    changes = {
        "IPython": lambda module: (gives(module), shows(module)),
        "IPython.core.getipython": gives,
        "IPython.core.display_functions": shows,
        "IPython.display": shows,
        "matplotlib.pyplot": set_in(show=ignore),
    }
    sys.meta_path.insert(0, AfterImport(changes))  # type: ignore[arg-type]
