"""Imports of packages that are not installed where a submission is graded: they cost only what uses
them.

It runs beside child.py, in the process of a submission.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from typing import Any

HELPER = "_import_failed_"  # a builtin function that is told of an import that failed
COMPOUND = (ast.If, ast.For, ast.While)  # whose statements may be imports of the cell


class NotInstalledHere(ModuleNotFoundError):
    """A package is used that is not there."""


def used(absent: Absent, *_args: Any, **_options: Any) -> Any:
    """Raise the error of a package that is used."""
    raise NotInstalledHere(object.__getattribute__(absent, "why"))


class Absent:
    """In place of what could not be imported: any use of it says so.

    Args: why, the words of the error.
    """

    def __init__(self, why: str) -> None:
        object.__setattr__(self, "why", why)

    def __repr__(self) -> str:
        return "what could not be imported"

    def __getattr__(self, name: str) -> Any:
        # what looks around, as `inspect` and `copy` do, is no use of it
        if name.startswith("__"):
            raise AttributeError(name)
        return used(self)

    __call__ = __getitem__ = __setitem__ = __delitem__ = __iter__ = __len__ = __contains__ = used
    __enter__ = __exit__ = __setattr__ = __bool__ = __mro_entries__ = __instancecheck__ = used
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = used
    __rtruediv__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __mod__ = __rmod__ = used
    __neg__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = used


def careful(tree: ast.Module) -> ast.Module:
    """A cell whose imports go on where a package is absent. Those in `try` and in functions stay:
    whoever waits for the error sees it.
    """
    tree.body = [part for statement in tree.body for part in carefully(statement)]
    return tree


def carefully(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement, or in place of an import several that go on."""
    if isinstance(statement, COMPOUND):
        for block in (statement.body, statement.orelse):
            block[:] = [part for inner in block for part in carefully(inner)]
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            name = alias.asname or alias.name.partition(".")[0]
            yield tried(statement, ast.Import([alias]), alias.name, [name])
    elif isinstance(statement, ast.ImportFrom) and not statement.level:
        names = [alias.asname or alias.name for alias in statement.names if alias.name != "*"]
        module = statement.module or ""
        yield statement if module == "__future__" else tried(statement, statement, module, names)
    else:
        yield statement


def tried(place: ast.stmt, one: ast.stmt, module: str, names: Sequence[str]) -> ast.stmt:
    """An import that calls for help where it fails."""
    listed = ast.List([ast.Constant(name) for name in names], ast.Load())
    call = ast.Call(ast.Name(HELPER, ast.Load()), [ast.Constant(module), listed], [])
    caught = ast.ExceptHandler(ast.Name("ImportError", ast.Load()), None, [ast.Expr(call)])
    whole = ast.Try([one], [caught], [], [])
    return ast.fix_missing_locations(ast.copy_location(whole, place))


def why_absent(error: BaseException | None, module: str) -> str:
    """Why an import failed, in words."""
    name = getattr(error, "name", None) or module
    if isinstance(error, ModuleNotFoundError):
        return f"{name} is not installed where this notebook is graded"
    return str(error)


def what_to_bind(name: str, module: str, why: str) -> Any:
    """What stands under a name that an import should have defined."""
    top = sys.modules.get(name)
    return top if top is not None and module.startswith(f"{name}.") else Absent(why)


def names_bound(statement: ast.stmt) -> set[str]:
    """The names that a statement defines in its cell."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
