"""Who imports whom: read from the source, inside functions and under TYPE_CHECKING too."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGES = ("minddpm", "marking", "minddpm_course")
BY_NAME = {
    "__import__",
    "import_module",
    "spec_from_file_location",
    "run_module",
}  # calls that import
Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Every module of the packages that lie in the folder, by its full name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def named(path: Path, module: str, known: set[str]) -> Iterator[str]:
    """The full names that a module imports; `from a import b` is a.b where that is a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = [*above, *filter(None, [node.module])] if node.level else [node.module]
                for alias in node.names:
                    inside = ".".join([*source, alias.name])
                    yield inside if inside in known else ".".join(source)
            case ast.Call(
                func=ast.Name(id=function) | ast.Attribute(attr=function),
                args=[ast.Constant(str(name)), *_],
            ) if function in BY_NAME:
                yield name


def import_graph(root: Path) -> Graph:
    """What each module imports. To import a.b runs a too, unless one is inside a already."""
    found = modules(root)
    graph = {}
    for module, path in found.items():
        names = set(named(path, module, set(found)))
        parents = {
            parent
            for name in names & set(found)
            for parent in found
            if name.startswith(f"{parent}.") and not f"{module}.".startswith(f"{parent}.")
        }
        graph[module] = names | parents
    return graph


def circle(graph: Graph) -> list[str]:
    """Modules that import each other, in order, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []
