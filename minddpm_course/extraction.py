"""Take a student's functions out of her notebook, with all that they need, as she wrote them."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

RUNS_PYTHON = re.compile(r"\A\s*%%(?:time|timeit|capture|prun)\b.*\n")  # magics above a cell
IMPORT = ("import ", "from ")
MARK = re.compile(r"^[ \t]*### (?:BEGIN|END) SOLUTION[ \t]*\n", re.MULTILINE)


@dataclass(frozen=True)
class Statement:
    """A statement at the top level of a notebook, with the comments above it.

    Args:
        text: as it was written.
        binds: the names that it defines or changes.
        needs: the names of the notebook that it refers to.
        everything: whether it is `from ... import *`.
    """

    text: str
    binds: frozenset[str]
    needs: frozenset[str]
    everything: bool


class Missing(ValueError):
    """A name that no cell defines."""


def plain(cell: str) -> str:
    """A cell as Python, IPython's magics as calls of `get_ipython()`."""
    return TransformerManager().transform_cell(RUNS_PYTHON.sub("", cell))


def statements_of(cells: Iterable[str]) -> Iterator[Statement]:
    """The statements of a notebook's code cells, in order; a cell that is no Python is left out."""
    for cell in cells:
        try:
            source = MARK.sub("", plain(cell))
            tree = ast.parse(source)
        except SyntaxError:
            continue
        lines = source.splitlines()
        free = 0  # the first line that belongs to no statement yet
        for node in tree.body:
            decorators = getattr(node, "decorator_list", [])
            start = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
            while start > free and lines[start - 1].lstrip().startswith("#"):
                start -= 1
            free = node.end_lineno or start
            text = "\n".join(lines[start:free])
            everything = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
            if "get_ipython()" not in text:
                yield Statement(
                    text, frozenset(bound_by(node)), frozenset(needed(text)), everything
                )


def bound_by(node: ast.stmt) -> Iterator[str]:
    """The names that a statement binds at the top level, or whose object it changes."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    for inner in ast.walk(node):
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef)):
            yield inner.name
        elif isinstance(inner, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in inner.names)
        elif isinstance(inner, (ast.Attribute, ast.Subscript)) and isinstance(inner.ctx, ast.Store):
            yield from (name.id for name in ast.walk(inner.value) if isinstance(name, ast.Name))
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id


def needed(text: str) -> Iterator[str]:
    """The names that a piece of a module refers to, and does not find in its own functions."""

    def walk(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                yield symbol.get_name()
        for inner in table.get_children():
            yield from walk(inner)

    yield from walk(symtable.symtable(text, "notebook", "exec"))


def answer_expression(cells: Iterable[str], question: str, name: str) -> str:
    """What a notebook hands to `check` as the answer to a question, last; else the plain name."""
    found = name
    for cell in cells:
        try:
            tree = ast.parse(plain(cell))
        except SyntaxError:
            continue
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                match call.args:
                    case [ast.Constant(value=asked), answer, *_] if asked == question:
                        found = ast.unparse(answer)
    return found


def closure(statements: Sequence[Statement], names: Iterable[str]) -> list[Statement]:
    """The statements that define the names, and those that these need, in the notebook's order.

    Raises: Missing for a name that no statement defines.
    """
    wanted = set(names)
    seen: set[str] = set()
    while fresh := wanted - seen:
        seen |= fresh
        for statement in statements:
            if statement.binds & fresh:
                wanted |= statement.needs
    defined = frozenset[str]().union(*(statement.binds for statement in statements))
    elsewhere = {name for name in seen - defined if not hasattr(builtins, name)}
    chosen = [
        statement
        for statement in statements
        if statement.binds & seen or (statement.everything and elsewhere)
    ]
    if elsewhere and not any(statement.everything for statement in chosen):
        raise Missing(f"{min(elsewhere)} is defined in no cell")
    return chosen


def module_of(cells: Sequence[str], answers: dict[str, str]) -> str:
    """A module with the functions that answer these questions, by question and function.

    Raises: Missing for a function that refers to a name which no cell defines.
    """
    statements = list(statements_of(cells))
    names: list[str] = []
    aliases = []
    for question, function in answers.items():
        expression = answer_expression(cells, question, function)
        names += needed(expression)
        if expression != function:
            aliases.append(f"{function} = {expression}")
    text = ""
    for piece in [*(statement.text for statement in closure(statements, names)), *aliases]:
        imports = piece.startswith(IMPORT) and text.rpartition("\n")[2].startswith(IMPORT)
        text += ("\n" if imports else "\n\n\n") * bool(text) + piece
    return text + "\n"
