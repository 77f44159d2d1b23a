"""Each stored notebook is its text twin, run once from top to bottom, and nearly all of it is
compared.
"""

import ast
import re
import symtable
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks
from nbval.plugin import find_comment_markers, find_metadata_tags

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
GUIDE = {  # what the worked examples print, at the guide's precision
    "02_noising": ["0.796", "0.1", "0.566", "0.212", "0.778"],
    "03_posterior": ["0.0142", "0.985", "0.0114", "0.591", "0.602", "0.0099"],
    "04_loss": ["0.0025"],
    "06_sampler": ["0.00424", "0.3958", "0.3978", "0.408"],
    "08_score": ["0.778", "0.424", "0.00424", "0.408"],
}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def exempt(cell) -> bool:
    """Whether nbval leaves out the cell, its output, or the error it should not raise."""
    options = {
        **dict(find_metadata_tags(cell.metadata) or ()),
        **dict(find_comment_markers(cell.source)),
    }
    return not options.get("check", True) or bool(
        options.get("skip") or options.get("check_exception")
    )


def printed(cell) -> str:
    """The text that a cell printed and displayed."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


def test_every_twin_has_its_notebook():
    assert NOTEBOOKS
    assert [path.stem for path in NOTEBOOKS] == sorted(
        path.stem for path in (FOLDER / "py").glob("*.py")
    )


def test_notebook_equals_its_twin(path, notebook):
    twin = jupytext.read(FOLDER / "py" / f"{path.stem}.py")
    twin.metadata = notebook.metadata  # the name of the kernel, which a twin leaves out
    compare_notebooks(notebook, twin, fmt="py:percent", compare_outputs=False, compare_ids=False)


def names_read(name: str, tables: dict[str, symtable.SymbolTable], seen: set[str]) -> set[str]:
    """A function's name, and all that it and the functions it calls read from the notebook."""
    if name not in seen:
        seen.add(name)
        scopes = [tables[name]] if name in tables else []
        while scopes:
            scope = scopes.pop()
            scopes += scope.get_children()
            for symbol in scope.get_symbols():
                if symbol.is_global():
                    names_read(symbol.get_name(), tables, seen)
    return seen


def test_a_slider_can_be_moved_when_all_cells_have_run(path):
    source = (FOLDER / "py" / f"{path.stem}.py").read_text(encoding="utf-8")
    statements, played = ast.parse(source).body, 0
    tables = {
        table.get_name(): table
        for table in symtable.symtable(source, path.stem, "exec").get_children()
    }
    for place, statement in enumerate(statements):
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "play"
        ):
            continue
        assert isinstance(call.args[0], ast.Name)
        played, read = played + 1, names_read(call.args[0].id, tables, set())
        for later in statements[place + 1 :]:
            defined = {later.name} if isinstance(later, ast.FunctionDef | ast.ClassDef) else set()
            if not defined:
                defined = {
                    n.id
                    for n in ast.walk(later)
                    if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                }
            assert not defined & read, f"line {later.lineno} changes what the slider draws from"
    assert played


def test_no_text_cell_holds_code_that_would_never_run(notebook):
    code = re.compile(r"^(assert |import |from \w+ import |print\()", re.MULTILINE)
    for cell in notebook.cells:
        assert cell.cell_type == "code" or not code.search(cell.source), cell.source


def test_cells_were_run_once_and_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_nothing_failed_or_warned(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"{output.text}\nfrom\n{cell.source}"


def test_no_printed_line_is_broken_within_a_word(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            for line in output.get("text", "").splitlines():
                assert len(line) <= 100, line  # as in JupyterLab, in a window of 1280 pixels


def test_what_is_shown_is_compared(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert "data" not in output or output.data.get("text/plain"), (
                f"shown without text by\n{cell.source}"
            )


def test_at_most_one_cell_in_ten_is_exempt(notebook):
    cells = code_cells(notebook)
    left_out = [cell for cell in cells if exempt(cell)]
    assert len(left_out) <= len(cells) / 10
    assert not any("worked-example" in cell.metadata.get("tags", []) for cell in left_out)


@pytest.mark.parametrize("name", GUIDE)
def test_worked_examples_have_the_guides_numbers(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    cells = [
        cell for cell in code_cells(notebook) if "worked-example" in cell.metadata.get("tags", [])
    ]
    numbers = re.findall(r"(?<![\w.])\d+\.\d+", "\n".join(map(printed, cells)))
    assert [number for number in GUIDE[name] if number not in numbers] == []
    assert all("assert " in cell.source for cell in cells)
