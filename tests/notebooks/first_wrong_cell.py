"""Find the first code cell of a notebook that raises or differs from its stored output.

    python tests/notebooks/first_wrong_cell.py notebooks/01_schedule.ipynb [--last N] [--seconds S]

The last line printed is a JSON object: "cell", the number of the first wrong code cell (null if all
up to the last are right), and "why". Everything runs in this one process, so that no kernel has to
start, with minddpm from the first folder of PYTHONPATH.

With `--seconds`, a cell that takes longer is given up, and cells that use what it would have bound
are left out: what the others notice is known much sooner.
"""

import argparse
import ast
import contextlib
import io
import json
import math
import os
import signal
import symtable
from pathlib import Path

import nbformat
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbval.plugin import find_comment_markers, find_metadata_tags
from PIL import Image

# outside any cell: a package that cannot be imported proves nothing about a notebook
import minddpm
import minddpm_course.figures


class GivenUp(BaseException):
    """A cell has used up its time."""


def give_up(*_args) -> None:
    raise GivenUp


@contextlib.contextmanager
def limited(seconds: float):
    """Give up after so many seconds of the processor."""
    if math.isinf(seconds) or not hasattr(signal, "setitimer"):  # Windows has none
        yield
        return
    signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def global_names(source: str) -> tuple[set[str], set[str]]:
    """The global names that a cell binds, or whose objects it changes, and those that it uses."""
    scopes = [symtable.symtable(source, "cell", "exec")]
    bound = {
        one.get_name() for one in scopes[0].get_symbols() if one.is_assigned() or one.is_imported()
    }
    used: set[str] = set()
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        used |= {
            one.get_name()
            for one in scope.get_symbols()
            if one.is_referenced() and (one.is_global() or scope.get_type() == "module")
        }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            bound |= {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)} & used
    return bound, used


def stored(cell) -> tuple[str, list[str]]:
    """What a cell printed, and the plain text of what it displayed, when the notebook was made."""
    printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    shown = [output.data.get("text/plain", "") for output in cell.outputs if "data" in output]
    return printed, shown


def wrong(shell: InteractiveShell, cell, seconds: float) -> str | None:
    """Run one cell and say what is wrong with it, if anything is, or that it was given up."""
    shell.display_pub.outputs.clear()
    with contextlib.redirect_stdout(io.StringIO()) as printed, limited(seconds):
        result = shell.run_cell(cell.source, store_history=True)
    if not result.success:
        error = result.error_in_exec or result.error_before_exec
        return f"{type(error).__name__}: {error}"
    options = {
        **dict(find_metadata_tags(cell.metadata) or ()),
        **dict(find_comment_markers(cell.source)),
    }
    # nbval sees no updates either
    shown = [output for output in shell.display_pub.outputs if not output.get("update")]
    now = printed.getvalue(), [output["data"].get("text/plain", "") for output in shown]
    if options.get("check", True) and now != stored(cell):
        return f"stored {stored(cell)!r}, got {now!r}"
    return None


def first_wrong(notebook: Path, last: int | None, seconds: float) -> dict:
    """Find the first wrong code cell of a notebook, counting from 1."""
    shell = InteractiveShell.instance()
    shell.display_pub = CapturingDisplayPublisher()
    shell.showtraceback = lambda *_args, **_options: None  # nobody reads it
    shell.display_trap.hook = CapturingDisplayHook(shell, outputs=shell.display_pub.outputs)
    cells = nbformat.read(notebook, as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code"]
    os.chdir(notebook.parent)
    missing: set[str] = set()  # what the cells that were given up would have bound
    for number, cell in enumerate(cells[:last], start=1):
        bound, used = global_names(cell.source)
        why = "GivenUp" if used & missing else wrong(shell, cell, seconds) or ""
        if why.startswith("GivenUp") or (missing and why.startswith("NameError")):
            missing |= bound
            for name in bound:
                shell.user_ns.pop(name, None)
        elif why:
            return {"cell": number, "why": why[:2000]}
    return {"cell": None, "why": ""}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--last", type=int, help="the last cell that is run")
    parser.add_argument("--seconds", type=float, default=math.inf, help="of a cell at most")
    options = parser.parse_args()
    folder = Path(os.environ["PYTHONPATH"].split(os.pathsep)[0]).resolve()
    assert Path(minddpm.__file__).resolve().is_relative_to(folder), minddpm.__file__
    # pixels are not compared, so there is no need to draw them
    minddpm_course.figures.to_pixels = lambda figure, sharpness=1: Image.new("RGB", (1, 1))
    print(json.dumps(first_wrong(options.notebook.resolve(), options.last, options.seconds)))
