"""Who imports whom: read from the source, inside functions and under TYPE_CHECKING too."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGES = ("minddpm", "marking", "minddpm_course")
# calls that import a module by its name, or run a file by its path
BY_NAME = {"__import__", "import_module", "run_module"}
BY_PATH = {"run_path", "spec_from_file_location", "SourceFileLoader"}
Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Every module of the packages that lie in the folder, by its full name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def aliases(tree: ast.AST) -> dict[str, str]:
    """Other names that a module gives to calls that import: `from importlib import import_module as
    load`, `load = importlib.import_module`.
    """
    calls = BY_NAME | BY_PATH
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(names=names):
                found |= {one.asname: one.name for one in names if one.asname and one.name in calls}
            case (
                ast.Assign(targets=[ast.Name(id=alias)], value=value)
                | ast.AnnAssign(target=ast.Name(id=alias), value=value)
            ) if (function := getattr(value, "id", getattr(value, "attr", ""))) in calls:
                found[alias] = function
    return found


def beginning(value: ast.expr) -> str:
    """The text of a string, or that of an f-string or a sum up to the first value in it."""
    match value:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return beginning(first)
        case ast.BinOp(left=left, op=ast.Add()):
            return beginning(left)
        case ast.BinOp(left=left, op=ast.Mod()):
            return beginning(left).partition("%")[0]
        case ast.Call(func=ast.Attribute(value=text, attr="format")):
            return beginning(text).partition("{")[0]
    return ""


def called(node: ast.Call, function: str) -> Iterator[str]:
    """The modules that a call of importlib, runpy or __import__ names, as far as it says."""
    if function in BY_NAME:
        by_keyword = [one.value for one in node.keywords if one.arg in ("name", "mod_name")]
        for value in [*node.args[:1], *by_keyword]:
            if name := beginning(value).rstrip("."):
                yield name
    else:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [beginning(part) for value in given for part in ast.walk(value)]
        stems = {Path(part).stem for text in texts for part in Path(text).parts}
        yield from stems - {"__init__"}  # of a package whose folder is known only when it runs


def named(path: Path, module: str, known: set[str]) -> Iterator[str]:
    """The full names that a module imports; `from a import b` is a.b where that is a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alias = aliases(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (one.name for one in node.names)
            case ast.ImportFrom():
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = [*above, *filter(None, [node.module])] if node.level else [node.module]
                for one in node.names:
                    inside = ".".join([*source, one.name])
                    yield inside if inside in known else ".".join(source)
            case ast.Call(func=ast.Name(id=function) | ast.Attribute(attr=function)):
                function = alias.get(function, function)
                if function in BY_NAME | BY_PATH:
                    yield from called(node, function)


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
