"""Find the first code cell of a notebook that raises or differs from its stored output.

    python -m lab.first_wrong_cell notebooks/01_schedule.ipynb

All cells run in one process, so that no kernel has to start. It is forked from one that has
imported PyTorch, matplotlib and IPython, which takes longer than most cells, and imports the
library itself: from any folder.
"""

import argparse
import ast
import contextlib
import io
import math
import multiprocessing
import os
import signal
import symtable
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import nbformat
import torch
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot as plt
from nbformat import NotebookNode
from nbval.plugin import find_comment_markers, find_metadata_tags
from PIL import Image

ROOT = Path(__file__).parents[1]
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    [
        *("torch", "safetensors.torch", "jaxtyping", "matplotlib.backends.backend_agg"),
        *("matplotlib.pyplot", "IPython.core.interactiveshell", "ipywidgets", "nbval.plugin"),
    ]
)


class WrongCell(NamedTuple):
    """The first wrong cell of a notebook, counting from 1, or None, and why it is wrong."""

    cell: int | None
    why: str


class Shell(InteractiveShell):
    """An interactive shell that shows no traceback, which nobody reads."""

    def showtraceback(self, *_args: object, **_options: object) -> None:
        """Show nothing."""


class GivenUp(BaseException):
    """A cell has used up its time."""


def give_up(*_args: object) -> None:
    raise GivenUp


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
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


def stored(cell: NotebookNode) -> tuple[str, list[str]]:
    """What a cell printed, and the plain text of what it displayed, when the notebook was made."""
    printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    shown = [output.data.get("text/plain", "") for output in cell.outputs if "data" in output]
    return printed, shown


def wrong(shell: InteractiveShell, cell: NotebookNode, seconds: float) -> str | None:
    """Run one cell and say what is wrong with it, if anything is, or that it was given up."""
    published = shell.display_pub
    assert isinstance(published, CapturingDisplayPublisher)
    published.outputs.clear()
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
    shown = [output for output in published.outputs if not output.get("update")]
    now = printed.getvalue(), [output["data"].get("text/plain", "") for output in shown]
    if options.get("check", True) and now != stored(cell):
        return f"stored {stored(cell)!r}, got {now!r}"
    return None


def first_wrong(notebook: Path, last: int | None, seconds: float) -> WrongCell:
    """Run the cells of a notebook up to the last one, in this process."""
    shell = Shell.instance()
    shell.display_pub = CapturingDisplayPublisher()
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
            return WrongCell(number, why[:2000])
    return WrongCell(None, "")


def answer(
    end: Connection, library: Path, notebook: Path, last: int | None, seconds: float
) -> None:
    """Send the first wrong cell to the process that asked."""
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("minddpm")]:
        del sys.modules[name]  # what the caller's own file imports
    sys.path[:0] = [str(library), str(ROOT)]
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    torch.set_num_threads(1)
    plt.switch_backend("agg")
    # outside any cell: a package that cannot be imported proves nothing about a notebook
    import minddpm
    import minddpm_course.figures

    assert Path(minddpm.__file__).is_relative_to(library), minddpm.__file__
    # pixels are not compared, so there is no need to draw them
    minddpm_course.figures.to_pixels = lambda figure, sharpness=1: Image.new("RGB", (1, 1))
    end.send(first_wrong(notebook, last, seconds))


def first_wrong_cell(
    notebook: Path,
    library: Path = ROOT,
    last: int | None = None,
    seconds: float = math.inf,
    patience: float = 600,
) -> WrongCell:
    """Find the first wrong cell of a notebook with `minddpm` from a folder.

    The course's other packages come from the repository. Cells after the last are not run. A cell
    that takes more than so many seconds of the processor is given up, and cells that use what it
    would have bound are left out: what the others notice is known much sooner.

    Raises: TimeoutError where all cells together take longer than one has patience for; EOFError
        where the process ends itself, as one does that cannot import the library.
    """
    ours, theirs = FORKED.Pipe(duplex=False)
    arguments = (theirs, library.resolve(), notebook.resolve(), last, seconds)
    process = FORKED.Process(target=answer, args=arguments)
    process.start()
    theirs.close()
    try:
        if not ours.poll(patience):
            raise TimeoutError(f"{notebook.name} took more than {patience} s")
        found: WrongCell = ours.recv()
        process.join(10)  # it tidies up, and ends
        return found
    finally:
        process.kill()
        process.join()
        ours.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("notebook", type=Path)
    print(first_wrong_cell(parser.parse_args().notebook))
