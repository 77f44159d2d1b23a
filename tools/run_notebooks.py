"""Make each notebook from its text twin: build, run in a fresh kernel, store the outputs.

python tools/run_notebooks.py              # all of notebooks/py
python tools/run_notebooks.py 03 05        # those whose names begin so
"""

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def build(twin: Path) -> nbformat.NotebookNode:
    """Read a text twin as a notebook without outputs, its cells named by their place."""
    notebook: nbformat.NotebookNode = jupytext.read(twin)
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place:02d}"
        cell.metadata.pop("lines_to_next_cell", None)  # of the twin's layout
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    return notebook


def execute(notebook: nbformat.NotebookNode, folder: Path) -> float:
    """Run a notebook in a fresh kernel and store its outputs, without times.

    Returns: the seconds it took.
    """
    metadata = notebook.metadata.copy()
    start = time.perf_counter()
    NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": folder}},
        record_timing=False,
    ).execute()
    notebook.metadata = metadata
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            # a widget is dead without its kernel
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return time.perf_counter() - start


if __name__ == "__main__":
    twins = sorted((FOLDER / "py").glob("*.py"))
    for twin in twins:
        if not sys.argv[1:] or any(twin.name.startswith(name) for name in sys.argv[1:]):
            notebook = build(twin)
            print(f"{twin.stem}: {execute(notebook, FOLDER):.0f} s", flush=True)
            nbformat.write(notebook, FOLDER / f"{twin.stem}.ipynb")
