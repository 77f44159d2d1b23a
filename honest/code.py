"""The code of cells: cut into parts, and put into another order that means the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence


def is_check(source: str) -> bool:
    """Whether a cell begins with a check."""
    return source.lstrip().startswith("check(")


def split_statements(source: str) -> list[str]:
    """Each statement at the left edge with the comments before it."""
    lines = source.splitlines(keepends=True)
    begins = [first_line(node) - 1 for node in ast.parse(source).body]
    return cut(lines, begins[1:])


def split_definitions(source: str) -> list[str]:
    """A cell cut before and after each definition of a function or class."""
    lines = source.splitlines(keepends=True)
    cuts = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            cuts |= {first_line(node) - 1, node.end_lineno or 0}
    return cut(lines, sorted(place for place in cuts if 0 < place < len(lines)))


def cut(lines: Sequence[str], places: Iterable[int]) -> list[str]:
    """Lines cut before some of them, each part as a string; parts of nothing are left out."""
    edges = [0, *places, len(lines)]
    parts = ["".join(lines[start:stop]) for start, stop in zip(edges, edges[1:])]
    return [part for part in parts if part.strip()]


def first_line(node: ast.stmt) -> int:
    """The number of a statement's first line, that of a decorator if it has one."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def in_order_permitted(cells: Sequence[str], wished: Sequence[int]) -> list[str]:
    """The cells in an order that is as near to the wished one as their names permit: where one of
    two cells changes what the other uses or changes, the first stays first.
    """
    first = {place: number for number, place in enumerate(wished)}
    before = {
        place: {earlier for earlier in range(place) if depend(cells, earlier, place)}
        for place in range(len(cells))
    }
    done: list[int] = []
    while before:
        ready = [place for place, needs in before.items() if needs <= set(done)]
        place = min(ready, key=lambda one: first[one])
        done.append(place)
        del before[place]
    return [cells[place] for place in done]


def definitions_first(cells: list[str]) -> list[str]:
    """Imports and definitions of functions at the beginning, where the order permits."""
    kept = re.compile(r"\s*(?:import|from|def|class|@)\b")
    return in_order_permitted(
        cells, sorted(range(len(cells)), key=lambda place: not kept.match(cells[place]))
    )


def depend(cells: Sequence[str], one: int, other: int) -> bool:
    """Whether two cells may not change places."""
    changes, uses = names_in(cells, one)
    other_changes, other_uses = names_in(cells, other)
    return bool(changes & (other_changes | other_uses) or uses & other_changes)


def names_in(cells: Sequence[str], place: int) -> tuple[set[str], set[str]]:
    """The names that a cell may change, and those that it uses, in the functions it calls as well.

    What it draws at random or does to an object counts as a change of everything in the statement.
    """
    changes, uses = own_names(cells[place])
    definitions = [own_names(cell) for cell in cells]
    reached: set[str] = set()
    while uses - reached:
        name = (uses - reached).pop()
        reached.add(name)
        for changed, used in definitions:
            if name in changed:
                uses |= used
    return changes, uses


def own_names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell itself changes and uses."""
    changes: set[str] = set()
    uses: set[str] = set()
    for statement in ast.parse(source).body:
        nodes = list(ast.walk(statement))
        loaded = {
            node.id
            for node in nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        uses |= loaded
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            changes.add(statement.name)
        else:
            changes |= {node.id for node in nodes if isinstance(node, ast.Name)} - loaded
            if any(isinstance(node, ast.Attribute | ast.Subscript) for node in nodes):
                changes |= {name for name in loaded if name not in ("torch", "math", "np")}
        for node in nodes:
            if isinstance(node, ast.alias):
                changes.add((node.asname or node.name).partition(".")[0])
    if "manual_seed" in source or re.search(
        r"torch\.(?:rand|normal|bernoulli)|\.normal_\(", source
    ):
        changes.add("<random>")
    return changes, uses
