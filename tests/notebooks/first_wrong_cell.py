"""Find the first code cell of a notebook that raises or differs from its stored output.

    python tests/notebooks/first_wrong_cell.py notebooks/01_schedule.ipynb [LAST]

The last line printed is a JSON object: "cell", the number of the first wrong code cell (null if all
up to LAST are right), and "why". Everything runs in this one process, so that no kernel has to
start, with minddpm from the first folder of PYTHONPATH.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import nbformat
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbval.plugin import find_comment_markers, find_metadata_tags

# outside any cell: a package that cannot be imported proves nothing about a notebook
import minddpm
import minddpm_course.figures


def stored(cell) -> tuple[str, list[str]]:
    """What a cell printed, and the plain text of what it displayed, when the notebook was made."""
    printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    shown = [output.data.get("text/plain", "") for output in cell.outputs if "data" in output]
    return printed, shown


def wrong(shell: InteractiveShell, cell) -> str | None:
    """Run one cell and say what is wrong with it, if anything is."""
    shell.display_pub.outputs.clear()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
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


def first_wrong(notebook: Path, last: int | None) -> dict:
    """Find the first wrong code cell of a notebook, counting from 1."""
    shell = InteractiveShell.instance()
    shell.display_pub = CapturingDisplayPublisher()
    shell.display_trap.hook = CapturingDisplayHook(shell, outputs=shell.display_pub.outputs)
    cells = nbformat.read(notebook, as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code"]
    os.chdir(notebook.parent)
    for number, cell in enumerate(cells[:last], start=1):
        if why := wrong(shell, cell):
            return {"cell": number, "why": why[:2000]}
    return {"cell": None, "why": ""}


if __name__ == "__main__":
    folder = Path(os.environ["PYTHONPATH"].split(os.pathsep)[0]).resolve()
    assert Path(minddpm.__file__).resolve().is_relative_to(folder), minddpm.__file__
    # pixels are not compared, so there is no need to draw them
    minddpm_course.figures.to_html = lambda figure, caption: ""
    last = int(sys.argv[2]) if sys.argv[2:] else None
    print(json.dumps(first_wrong(Path(sys.argv[1]).resolve(), last)))
