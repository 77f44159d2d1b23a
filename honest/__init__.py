"""Honest notebooks as they are handed in: cut, joined, moved and copied, saved by other programs,
in other formats, with anything in their metadata and outputs. No mark may change by any of it.

A disturbance takes a notebook of format 4 as `json.load` reads it, and makes the bytes of a file.
"""

from __future__ import annotations

import copy
import functools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nbformat

from honest.code import (
    definitions_first,
    in_order_permitted,
    is_check,
    split_definitions,
    split_statements,
)

Notebook = dict[str, Any]
Cell = dict[str, Any]
MEGABYTES = 30  # of outputs


@dataclass(frozen=True)
class Disturbance:
    """One way to disturb a notebook.

    Args:
        name: what is different, in words.
        change: makes the file of a notebook, which it may change.
        cells: whether other code runs, or the same in another order.
    """

    name: str
    change: Callable[[Notebook], bytes]
    cells: bool = False

    def of(self, notebook: Notebook) -> bytes:
        """The file of a notebook that is disturbed in this way."""
        return self.change(copy.deepcopy(notebook))


def disturbances(megabytes: int = MEGABYTES) -> list[Disturbance]:
    """All of them, in groups of a kind.

    Args: megabytes, of what is put into outputs, attachments and the state of widgets.
    """
    size = megabytes * 2**20
    return [
        *formats(),
        *identifiers(),
        *kernels(),
        *programs(),
        *encodings(),
        *sources(),
        *outputs(size),
        *more_cells(),
        *other_cells(),
    ]


def saved(notebook: Any, **settings: Any) -> bytes:
    """A notebook as Jupyter saves it, unless settings of `json.dumps` say otherwise."""
    usual = {"ensure_ascii": False, "indent": 1}
    return (json.dumps(notebook, **{**usual, **settings}) + "\n").encode("utf-8")


def changed(name: str, change: Callable[[Notebook], Any], *, cells: bool = False) -> Disturbance:
    """A disturbance that changes the content of a notebook, and saves it as usual."""

    def save(notebook: Notebook) -> bytes:
        change(notebook)
        return saved(notebook)

    return Disturbance(name, save, cells)


def of_each(name: str, change: Callable[[Cell], Any], *, cells: bool = False) -> Disturbance:
    """A disturbance that changes each code cell."""

    def change_all(notebook: Notebook) -> None:
        for cell in code_cells(notebook):
            change(cell)

    return changed(name, change_all, cells=cells)


def code_cells(notebook: Notebook) -> list[Cell]:
    """The code cells of a notebook."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source_of(cell: Cell) -> str:
    """The source of a cell as one string."""
    return "".join(cell["source"])


def code_cell(source: str, **more: Any) -> Cell:
    """A code cell that was not run."""
    empty: Cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    return {**empty, "source": source, **more}


def formats() -> Iterator[Disturbance]:
    """Other numbers of the format, and older formats."""

    def numbered(major: Any, minor: Any) -> Callable[[Notebook], None]:
        def change(notebook: Notebook) -> None:
            notebook.update(nbformat=major, nbformat_minor=minor)
            if minor in range(5):
                for cell in notebook["cells"]:
                    cell.pop("id", None)

        return change

    for minor in (0, 1, 2, 3, 4, 5, 6, 7, 99):
        yield changed(f"format 4.{minor}", numbered(4, minor))
    yield changed("format 5.0", numbered(5, 0))
    yield changed("a format in words", numbered("4", "5"))
    yield changed("no minor format", lambda notebook: notebook.pop("nbformat_minor"))
    yield changed(
        "no format", lambda notebook: [notebook.pop(key) for key in ("nbformat", "nbformat_minor")]
    )
    yield Disturbance("format 3", lambda notebook: older(notebook, 3))
    yield Disturbance("format 2", lambda notebook: older(notebook, 2))


def older(notebook: Notebook, major: int) -> bytes:
    """A notebook in a format that has worksheets, with outputs as that format has them."""
    for cell in code_cells(notebook):
        cell["execution_count"] = cell.get("execution_count") or 1
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        cell.pop("id", None)
    text = nbformat.v3.writes_json(nbformat.reads(json.dumps(notebook), as_version=3))
    content = json.loads(text)
    content["nbformat"] = major
    return saved(content)


def identifiers() -> Iterator[Disturbance]:
    """Other ids of cells."""
    ids: dict[str, Callable[[int], Any]] = {
        "every id the same": lambda number: "same",
        "ids that are numbers": lambda number: number,
        "ids that are empty": lambda number: "",
        "ids of 500 characters": lambda number: f"{number}" * 500,
        "ids of two cells each": lambda number: f"id-{number // 2}",
        "ids that are null": lambda number: None,
    }

    def numbered(make: Callable[[int], Any]) -> Callable[[Notebook], None]:
        def change(notebook: Notebook) -> None:
            for number, cell in enumerate(notebook["cells"]):
                cell["id"] = make(number)

        return change

    for name, make in ids.items():
        yield changed(name, numbered(make))
    yield changed("no ids", lambda notebook: [cell.pop("id", None) for cell in notebook["cells"]])


def kernels() -> Iterator[Disturbance]:
    """Other names of kernels, with a language and without, and metadata that lack them."""

    def with_metadata(metadata: Any) -> Callable[[Notebook], None]:
        return lambda notebook: notebook.update(metadata=metadata)

    for name in ("python3", "Python 3", "ml-course", "conda-env-ml-py", ".venv", "базовый", "base"):
        spec = {"name": name, "display_name": name}
        yield changed(f"kernel {name}, no language", with_metadata({"kernelspec": spec}))
        named = {**spec, "language": "python"}
        yield changed(f"kernel {name} of Python", with_metadata({"kernelspec": named}))
    for language in ("Python", "PYTHON", "ipython", "python3"):
        about = {"kernelspec": {"name": "k", "language": language}}
        yield changed(f"the language {language}", with_metadata(about))
    full = {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
        "version": "3.12.4",
    }
    odd: dict[str, Any] = {
        "only information on the language": {"language_info": full},
        "a kernel and information on the language": {
            "kernelspec": {"name": "course", "display_name": "Course"},
            "language_info": full,
        },
        "information that names no language": {"language_info": {"version": "3.12.4"}},
        "empty metadata": {},
        "metadata that are null": None,
        "metadata that are a list": [],
        "metadata that are text": "python",
        "a kernel that is null": {"kernelspec": None},
        "a kernel that is a name": {"kernelspec": "python3"},
        "a kernel without anything": {"kernelspec": {}},
        "a language that is empty": {"kernelspec": {"name": "python3", "language": ""}},
        "a language that is null": {"kernelspec": {"name": "course", "language": None}},
    }
    for name, metadata in odd.items():
        yield changed(name, with_metadata(metadata))
    yield changed("no metadata", lambda notebook: notebook.pop("metadata"))
    yield changed(
        "no metadata of cells",
        lambda notebook: [cell.pop("metadata") for cell in notebook["cells"]],
    )
    yield changed(
        "metadata of cells that are null",
        lambda notebook: [cell.update(metadata=None) for cell in notebook["cells"]],
    )


PROGRAMS: dict[str, tuple[Notebook, Cell]] = {  # what is put beside a notebook, and in each cell
    "Colab": (
        {
            "colab": {"provenance": [], "toc_visible": True, "gpuType": "T4"},
            "accelerator": "GPU",
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
        },
        {
            "id": "mQ3ab",
            "outputId": "f3a1-22",
            "colab": {"base_uri": "https://localhost:8080/", "height": 34},
            "executionInfo": {"status": "ok", "timestamp": 1, "user": {"displayName": "Ada"}},
        },
    ),
    "Colab's forms": ({"colab": {"name": "03.ipynb"}}, {"cellView": "form", "id": "a"}),
    "VS Code": (
        {
            "kernelspec": {"display_name": ".venv (3.12.4)", "name": "python3"},
            "orig_nbformat": 4,
            "vscode": {"interpreter": {"hash": "31f2aee4e71d21"}},
        },
        {"vscode": {"languageId": "python"}},
    ),
    "nbgrader": (
        {"celltoolbar": "Create Assignment"},
        {
            "nbgrader": {
                "grade": True,
                "grade_id": "same",
                "locked": True,
                "points": 100,
                "schema_version": 3,
                "solution": True,
                "checksum": "00",
            },
            "deletable": False,
            "editable": False,
        },
    ),
    "jupytext": (
        {
            "jupytext": {
                "formats": "ipynb,py:percent",
                "text_representation": {"extension": ".py", "format_name": "percent"},
                "main_language": "python",
            }
        },
        {"lines_to_next_cell": 2, "tags": ["active-ipynb"]},
    ),
    "Kaggle": ({"kaggle": {"accelerator": "none", "dataSources": []}}, {"_cell_guid": "b1-07"}),
    "Databricks": (
        {"application/vnd.databricks.v1+notebook": {"language": "python", "widgets": {}}},
        {"application/vnd.databricks.v1+cell": {"inputWidgets": {}, "title": ""}},
    ),
    "PyCharm": ({}, {"pycharm": {"name": "#%%\n", "is_executing": True}}),
    "Deepnote": (
        {"deepnote": {}, "deepnote_execution_queue": []},
        {"deepnote_cell_type": "code", "source_hash": "9b", "allow_embed": False},
    ),
    "papermill": (
        {"papermill": {"duration": 1.5, "exception": None, "parameters": {}}},
        {"papermill": {"status": "completed"}, "tags": ["parameters"]},
    ),
    "ExecuteTime": (
        {"toc": {"base_numbering": 1}, "varInspector": {"cols": {"lenName": 16}}},
        {"ExecuteTime": {"end_time": "2026-01-01T10:00:00", "start_time": "2026"}},
    ),
    "slides": ({"celltoolbar": "Slideshow"}, {"slideshow": {"slide_type": "slide"}}),
    "folded cells": ({}, {"jupyter": {"source_hidden": True, "outputs_hidden": True}}),
    "SageMaker": ({"instance_type": "ml.t3.medium"}, {"tags": [], "trusted": True}),
}


def programs() -> Iterator[Disturbance]:
    """What other programs leave in metadata."""

    def marked(beside: Notebook, inside: Cell) -> Callable[[Notebook], None]:
        def change(notebook: Notebook) -> None:
            notebook["metadata"] = {**notebook["metadata"], **beside}
            for cell in notebook["cells"]:
                cell["metadata"] = {**cell["metadata"], **inside}

        return change

    for name, (beside, inside) in PROGRAMS.items():
        yield changed(f"metadata of {name}", marked(beside, inside))
    yield changed(
        "no marks of nbgrader",
        lambda notebook: [cell["metadata"].pop("nbgrader", None) for cell in notebook["cells"]],
    )


def encodings() -> Iterator[Disturbance]:
    """Other ways to write the same JSON."""

    def encoded(name: str) -> Callable[[Notebook], bytes]:
        return lambda notebook: saved(notebook).decode().encode(name)

    def replaced(old: str, new: str) -> Callable[[Notebook], bytes]:
        return lambda notebook: saved(notebook).decode().replace(old, new).encode()

    def with_settings(**settings: Any) -> Callable[[Notebook], bytes]:
        return lambda notebook: saved(notebook, **settings)

    yield Disturbance("a mark of the byte order", encoded("utf-8-sig"))
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield Disturbance(name.upper(), encoded(name))
    yield Disturbance("lines that end in CRLF", replaced("\n", "\r\n"))
    yield Disturbance("lines that end in CR", replaced("\n", "\r"))
    yield Disturbance("blank lines between all lines", replaced("\n", "\n\n"))
    yield Disturbance("ASCII only", with_settings(ensure_ascii=True))
    yield Disturbance("sorted keys", with_settings(sort_keys=True))
    yield Disturbance("no spaces", with_settings(indent=None, separators=(",", ":")))
    yield Disturbance("spaces around colons", with_settings(separators=(" , ", " : ")))
    for indent in (None, 0, 2, 4, "\t"):
        shown = "a tab" if indent == "\t" else indent
        yield Disturbance(f"indented by {shown}", with_settings(indent=indent))
    yield Disturbance("spaces around all", lambda notebook: b" \n\n" + saved(notebook) + b" \n" * 9)
    yield Disturbance("keys in reverse order", lambda notebook: saved(reverse(notebook)))
    yield Disturbance("slashes escaped", replaced("/", "\\/"))


def reverse(value: Any) -> Any:
    """The same JSON with the keys of each object in the other order."""
    if isinstance(value, dict):
        return {key: reverse(one) for key, one in reversed(value.items())}
    return [reverse(one) for one in value] if isinstance(value, list) else value


def sources() -> Iterator[Disturbance]:
    """Other ways to write the source of a cell."""
    forms: dict[str, Callable[[str], Any]] = {
        "a string": lambda source: source,
        "a list of lines": lambda source: source.splitlines(keepends=True),
        "a list of characters": list,
        "a list of one": lambda source: [source],
        "a list with empty ones": lambda source: ["", source, ""],
        "CRLF": lambda source: source.replace("\n", "\r\n"),
        "CR": lambda source: source.replace("\n", "\r"),
        "a list of lines with CRLF": lambda source: [f"{one}\r\n" for one in source.splitlines()],
        "newlines at the end": lambda source: source + "\n\n",
        "blank lines at the beginning": lambda source: "\n \n" + source,
        "a space at the end of each line": lambda source: source.replace("\n", " \n") + " ",
    }

    def written(form: Callable[[str], Any]) -> Callable[[Cell], None]:
        return lambda cell: cell.update(source=form(source_of(cell)))

    for name, form in forms.items():
        yield of_each(f"sources as {name}", written(form))


def outputs(size: int) -> Iterator[Disturbance]:
    """Other outputs and numbers of execution; `size` bytes of what is large."""
    image = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0K"}}
    failed = {
        "output_type": "error",
        "ename": "ZeroDivisionError",
        "evalue": "division by zero",
        "traceback": ['\x1b[0;31m---> {"outputs": [\x1b[0m'],
    }
    large: dict[str, Callable[[], list[Any]]] = {
        "one picture": lambda: [{**image, "data": {"image/png": "iVBORw0KGgo+" * (size // 12)}}],
        "lines": lambda: [
            {"output_type": "stream", "name": "stdout", "text": ["step \\ 7: []\n"] * (size // 20)}
        ],
        "numbers": lambda: [{"output_type": "x", "data": {"a": [[0.5, {"b": 1}]] * (size // 20)}}],
        "small outputs": lambda: [image] * (size // 80),
    }

    def with_large(make: Callable[[], list[Any]]) -> Callable[[Notebook], None]:
        def change(notebook: Notebook) -> None:
            last = code_cells(notebook)[-1]
            last["outputs"] = [*last["outputs"], *make()]

        return change

    for name, make in large.items():
        yield Disturbance(
            f"{size // 2**20} MB of {name}",
            functools.partial(saved_after, with_large(make)),
        )

    def with_widgets(notebook: Notebook) -> None:
        state = {"model": {"state": {"outputs": [], "value": "x" * size}}}
        about = {"application/vnd.jupyter.widget-state+json": {"state": state}}
        notebook["metadata"]["widgets"] = about

    def with_attachments(notebook: Notebook) -> None:
        shown = {"a.png": {"image/png": "x" * size}}
        words = {"cell_type": "markdown", "metadata": {}, "source": "![](attachment:a.png)"}
        notebook["cells"].insert(0, {**words, "attachments": shown})

    yield changed(f"{size // 2**20} MB of the state of widgets", with_widgets)
    yield changed(f"{size // 2**20} MB of attachments", with_attachments)
    each: dict[str, Callable[[Cell], Any]] = {
        "no outputs": lambda cell: cell.update(outputs=[]),
        "outputs that are null": lambda cell: cell.update(outputs=None),
        "outputs that are missing": lambda cell: cell.pop("outputs"),
        "outputs of an unknown kind": lambda cell: cell.update(outputs=[{"output_type": "new"}, 7]),
        "errors as outputs": lambda cell: cell.update(outputs=[failed]),
        "outputs twice": lambda cell: cell.update(outputs=cell["outputs"] * 2),
        "no numbers of execution": lambda cell: cell.update(execution_count=None),
        "numbers of execution that are missing": lambda cell: cell.pop("execution_count", None),
        "cells that were running": lambda cell: cell.update(execution_count="*", outputs=[]),
        "numbers of execution that are huge": lambda cell: cell.update(execution_count=10**30),
        "one number of execution": lambda cell: cell.update(execution_count=1),
    }
    for name, change in each.items():
        yield of_each(name, change)

    def midway(notebook: Notebook) -> None:
        cells = code_cells(notebook)
        for cell in cells[len(cells) // 2 :]:
            cell.update(outputs=[], execution_count=None)

    def backwards(notebook: Notebook) -> None:
        for number, cell in enumerate(reversed(code_cells(notebook)), start=3):
            cell["execution_count"] = number

    def shifted(notebook: Notebook) -> None:
        cells = code_cells(notebook)
        shown = [cell["outputs"] for cell in cells]
        for cell, one in zip(cells, [*shown[1:], []]):
            cell["outputs"] = one

    yield changed("saved midway", midway)
    yield changed("executed from the last cell to the first", backwards)
    yield changed("outputs of the next cell", shifted)


def saved_after(change: Callable[[Notebook], None], notebook: Notebook) -> bytes:
    """A notebook that is changed, and saved without indents, which would take too long."""
    change(notebook)
    return saved(notebook, indent=None)


def more_cells() -> Iterator[Disturbance]:
    """Cells between those of the notebook that define nothing it uses."""
    words = {"cell_type": "markdown", "metadata": {}, "source": "# check\n```\n1 / 0\n```"}
    between: dict[str, list[Cell]] = {
        "raw cells": [{"cell_type": "raw", "metadata": {}, "source": "check(1 / 0"}],
        "cells of text": [words],
        "empty cells": [code_cell("")],
        "cells of nothing": [
            code_cell(""),
            {"cell_type": "code"},
            {**code_cell(""), "source": None},
        ],
        "cells of spaces": [code_cell("  \n\n  ")],
        "cells of an unknown kind": [{"cell_type": "sql", "metadata": {}, "source": "SELECT 1"}],
        "cells that are no cells": [None, 7, "x", []],  # type: ignore[list-item]
    }

    def put_between(some: list[Cell]) -> Callable[[Notebook], None]:
        def change(notebook: Notebook) -> None:
            cells = notebook["cells"]
            notebook["cells"] = [one for cell in cells for one in (*copy.deepcopy(some), cell)]
            notebook["cells"] += copy.deepcopy(some)

        return change

    for name, some in between.items():
        yield changed(f"{name} between all", put_between(some))
    scratch = {
        "comments": "# what did I do here?",
        "magics": "%matplotlib inline\n%load_ext autoreload\n%autoreload 2",
        "commands": "!pip install -q torch\nfiles = !ls",
        "questions": "torch?\n?print",
        "an error": "scratch_1 = 1 / 0",
        "an error of syntax": "def scratch_2(:",
        "a print": "print('check', 1)",
        "a display": "from IPython.display import display\ndisplay('hello')",
        "a return outside of a function": "return 1",
    }
    for name, source in scratch.items():
        one = [code_cell(source)]
        yield changed(f"cells of {name} between all", put_between(one), cells=True)


def other_cells() -> Iterator[Disturbance]:
    """The code of a notebook in other cells, in another order where that is allowed, and twice."""
    arranged: dict[str, Callable[[list[str]], list[str]]] = {
        "every statement in a cell of its own": lambda cells: [
            part for cell in cells for part in split_statements(cell)
        ],
        "definitions in cells of their own": lambda cells: [
            part for cell in cells for part in split_definitions(cell)
        ],
        "all code in one cell": lambda cells: ["\n\n".join(cells)],
        "all code in two cells": lambda cells: [
            "\n".join(cells[: len(cells) // 2]),
            "\n".join(cells[len(cells) // 2 :]),
        ],
        "cells merged in pairs": lambda cells: [
            "\n".join(cells[place : place + 2]) for place in range(0, len(cells), 2)
        ],
        "cells merged in threes": lambda cells: [
            "\n".join(cells[place : place + 3]) for place in range(0, len(cells), 3)
        ],
        "checks merged with their answers": with_their_checks,
        "checks moved to the end": lambda cells: in_order_permitted(
            cells, sorted(range(len(cells)), key=lambda place: is_check(cells[place]))
        ),
        "definitions moved to the beginning": definitions_first,
        "reversed where the order permits": lambda cells: in_order_permitted(
            cells, list(reversed(range(len(cells))))
        ),
        "neighbours swapped where the order permits": lambda cells: in_order_permitted(
            cells, [place ^ 1 for place in range(len(cells) + len(cells) % 2)]
        ),
        "shuffled where the order permits": lambda cells: in_order_permitted(
            cells, random.Random(1).sample(range(len(cells)), len(cells))
        ),
        "shuffled otherwise": lambda cells: in_order_permitted(
            cells, random.Random(2).sample(range(len(cells)), len(cells))
        ),
        "every cell twice": lambda cells: [cell for cell in cells for _ in range(2)],
        "the whole notebook twice": lambda cells: cells * 2,
        "the first half twice": lambda cells: cells[: len(cells) // 2] + cells,
        "checks again at the end": lambda cells: [*cells, *filter(is_check, cells)],
        "every check three times": lambda cells: [
            cell for cell in cells for _ in range(3 if is_check(cell) else 1)
        ],
        "the first cell again at the end": lambda cells: [*cells, cells[0]],
        "timed cells": lambda cells: [f"%%time\n{cell}" for cell in cells],
        "captured cells": lambda cells: [f"%%capture\n{cell}" for cell in cells],
        "comments at the top of cells": lambda cells: [f"# mine\n\n{cell}" for cell in cells],
        "a form of Colab": lambda cells: [f"#@title A cell {{ run: 'auto' }}\n{c}" for c in cells],
    }

    def rearranged(arrange: Callable[[list[str]], list[str]]) -> Callable[[Notebook], None]:
        def change(notebook: Notebook) -> None:
            cells = [source_of(cell) for cell in code_cells(notebook)]
            notebook["cells"] = [code_cell(source) for source in arrange(cells)]

        return change

    for name, arrange in arranged.items():
        yield changed(name, rearranged(arrange), cells=True)

    def words_last(notebook: Notebook) -> None:
        notebook["cells"].sort(key=lambda cell: cell["cell_type"] != "code")

    yield changed("text moved to the end", words_last)


def with_their_checks(cells: list[str]) -> list[str]:
    """Each check in the cell before it."""
    merged: list[str] = []
    for cell in cells:
        if merged and is_check(cell):
            merged[-1] += f"\n{cell}"
        else:
            merged.append(cell)
    return merged
