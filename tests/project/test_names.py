"""One name means one thing across the three packages."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("minddpm", "marking", "minddpm_course")


def names_of(path: Path) -> set[str]:
    """The classes, functions and constants that a module defines at its top."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
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
    """
    places = defaultdict(set)
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            if path.parent.name != "bank":
                for name in names_of(path):
                    places[name].add(str(path.relative_to(root)))
    return places


def test_no_two_modules_define_one_name():
    assert {name: found for name, found in places_by_name(ROOT).items() if len(found) > 1} == {}


def test_a_name_never_hides_a_module():
    modules = {path.stem for package in PACKAGES for path in (ROOT / package).glob("*.py")}
    hidden = {name for name in places_by_name(ROOT) if name in modules}
    assert hidden == set()


def test_two_of_one_name_are_seen(tmp_path):
    for package, source in zip(
        PACKAGES, ("def ask(): ...", "ask, other = 1, 2", "class Other: ...")
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "module.py").write_text(source)
    found = places_by_name(tmp_path)
    assert found["ask"] == {"minddpm/module.py", "marking/module.py"}
    assert found["Other"] == {"minddpm_course/module.py"}
