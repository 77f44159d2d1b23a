"""One name means one thing across the three packages."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from imports import PACKAGES, modules

ROOT = Path(__file__).parents[2]


def at_the_top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, those under if, try, with, for and while
    too.
    """
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from at_the_top(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from at_the_top(handler.body)


def names_of(path: Path) -> set[str]:
    """The classes, functions and constants that a module defines at its top."""
    names = set()
    for node in at_the_top(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                part.id for t in targets for part in ast.walk(t) if isinstance(part, ast.Name)
            }
    return {name for name in names if not name.startswith("__")}


def places_by_name(root: Path) -> dict[str, set[str]]:
    """Where each name is defined.

    A lesson of the bank is left out: its exercises bear the names of the functions they ask for.
    Every comparison of a lesson with the package is one function, `equal_parts`.
    """
    places = defaultdict(set)
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            if path.parent.name != "bank":
                shared = {"equal_parts"} if path.parent.name == "comparisons" else set()
                for name in names_of(path) - shared:
                    places[name].add(str(path.relative_to(root)))
    return places


def test_no_two_modules_define_one_name():
    assert {name: found for name, found in places_by_name(ROOT).items() if len(found) > 1} == {}


def hidden_modules(root: Path) -> set[str]:
    """The modules, in folders of the packages too, whose own name is that of something else."""
    last = {name.rpartition(".")[2] for name in modules(root)}
    return last & places_by_name(root).keys()


def test_a_name_never_hides_a_module():
    assert hidden_modules(ROOT) == set()


def test_a_name_that_hides_a_module_is_seen(tmp_path):
    sources = {
        "minddpm/schedule.py": "def parent(): ...",
        "marking/sandbox/parent.py": "def wire(): ...",
        "marking/sandbox/wire.py": "",
        "minddpm_course/course.py": "if True:\n    sandbox = 1",
        "marking/sandbox/__init__.py": "",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    assert hidden_modules(tmp_path) == {"parent", "wire", "sandbox"}


def test_names_under_a_condition_are_seen(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "try:\n    import tqdm\nexcept ImportError:\n    bar = None\n"
        "else:\n    async def show(): ...\n"
        "finally:\n    class Done:\n        inside = 1\n"
    )
    assert names_of(path) == {"bar", "show", "Done"}


def test_two_of_one_name_are_seen(tmp_path):
    for package, source in zip(
        PACKAGES, ("def ask(): ...", "ask, other = 1, 2", "class Other: ...")
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "module.py").write_text(source)
    found = places_by_name(tmp_path)
    assert found["ask"] == {"minddpm/module.py", "marking/module.py"}
    assert found["Other"] == {"minddpm_course/module.py"}
