"""Make each notebook from its text twin: build, run in a fresh kernel, store the outputs.

python tools/run_notebooks.py              # all of notebooks/py
python tools/run_notebooks.py 03 05        # those whose names begin so
"""

import argparse
import re
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
STORED = "from minddpm_course.playing import show_stored\nshow_stored()"
PLAYED = re.compile(r'<figure [^>]*data-play="(\w+)"')


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
    """Run a notebook in a fresh kernel and store its outputs, without times; those of sliders with
    frames for pages without a kernel.

    Returns: the seconds it took.
    """
    metadata = notebook.metadata.copy()
    start = time.perf_counter()
    notebook.cells.append(nbformat.v4.new_code_cell(STORED))
    NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        resources={"metadata": {"path": folder}},
        record_timing=False,
    ).execute()
    notebook.metadata = metadata
    stored = {
        output["data"]["text/plain"]: output["data"]["text/html"]
        for output in notebook.cells.pop().outputs
    }
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if name := PLAYED.search(output.get("data", {}).get("text/html", "")):
                output["data"]["text/html"] = stored[name[1]]
    return time.perf_counter() - start


def main() -> None:
    """Build the notebooks that are named."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("names", nargs="*", help="how the names of twins begin; all if none")
    names = tuple(parser.parse_args().names) or ("",)
    for twin in sorted((FOLDER / "py").glob("*.py")):
        if twin.name.startswith(names):
            notebook = build(twin)
            print(f"{twin.stem}: {execute(notebook, FOLDER):.0f} s", flush=True)
            nbformat.write(notebook, FOLDER / f"{twin.stem}.ipynb")


if __name__ == "__main__":
    main()
