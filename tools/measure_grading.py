"""Make a class of generated submissions and grade it: minutes, memory, mistakes named, what cheats
earned.

python tools/measure_grading.py --students 300 --out runs/class

Each student hands in one notebook with the exercises of lessons 02 and 03, eleven questions: solved
ones, one for each known mistake of the bank, one for each hostile notebook of tests/course/cheats,
a few that are broken, and more solved ones until the class is full.
"""

import argparse
import ast
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat

from marking.exercise import Exercise
from marking.grader import Graded, grade
from marking.sandbox.parent import Limits
from minddpm_course.bank import BANK

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "minddpm_course" / "bank"
sys.path.insert(0, str(ROOT / "tests" / "course"))
LESSONS = ("02", "03")
BROKEN = ("", "not JSON", "[1, 2]", '{"cells": "' + "x" * 2**25 + '"}')


def solved_cells() -> list[str]:
    """The code cells of the solutions of the lessons, for the student whom they name."""
    paths = [
        path for path in sorted((ROOT / "solutions").glob("*.ipynb")) if path.name[:2] in LESSONS
    ]
    cells = [cell for path in paths for cell in nbformat.read(path, as_version=4).cells]
    return [
        cell.source for cell in cells if cell.cell_type == "code" and "beside(" not in cell.source
    ]


def mistaken(name: str, cells: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each known mistake of an exercise, and the cells of a notebook that makes it: the bank's own
    source of it.
    """
    sources = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("lesson_*.py"))]
    sources.sort(
        key=lambda source: f'"{name}"' in source
    )  # its own module comes last, and its functions win
    *_, tree = trees = [ast.parse(source) for source in sources]
    nodes = [node for each in trees for node in each.body]
    helpers = "\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.FunctionDef))
    call = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and is_text(node.args[0], name)
    )
    known = next(keyword.value for keyword in call.keywords if keyword.arg == "mistakes")
    for mistake in ast.walk(known):
        if isinstance(mistake, ast.Call) and getattr(mistake.func, "id", "") == "Mistake":
            label = ast.literal_eval(mistake.args[0])
            head = (
                "from __future__ import annotations\nimport math, torch\nTensor ="
                f" torch.Tensor\n{helpers}\n"
            )
            short = name[3:]
            wrong = f"{head}{short} = {ast.unparse(mistake.args[1])}"
            yield label, [*cells, wrong, f'check("{name}", {short})']


def is_text(node: ast.expr, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def notebook(cells: list[str]) -> str:
    """A notebook of these code cells, as JSON."""
    made = [nbformat.v4.new_code_cell(source, id=f"c{place}") for place, source in enumerate(cells)]
    return nbformat.writes(nbformat.v4.new_notebook(cells=made))


def write_class(folder: Path, students: int) -> dict[str, tuple[str, str]]:
    """Write the class's notebooks.

    Returns: for each student who makes a known mistake, the exercise and the mistake.
    """
    from test_cheats import cells_of

    cells, made = solved_cells(), {}
    texts: dict[str, str] = {}
    for name, question in BANK.items():
        if name[:2] in LESSONS and isinstance(question, Exercise):
            for place, (label, with_mistake) in enumerate(mistaken(name, cells)):
                student = f"mistake {name} {place}"
                texts[student], made[student] = notebook(with_mistake), (name, label)
    head = "PORT, VICTIM, OUT = 9, '/tmp/victim', '/tmp/grades.csv'"
    for path in sorted((ROOT / "tests" / "course" / "cheats").glob("*.py")):
        texts[f"cheat {path.stem}"] = notebook([head, *cells_of(path)])
    texts |= {f"broken {place}": text for place, text in enumerate(BROKEN)}
    for place in range(students - len(texts)):
        texts[f"Ada {place}"] = notebook(cells)
    for student, text in list(texts.items())[:students]:
        (folder / student).mkdir(parents=True)
        (folder / student / "02_and_03.ipynb").write_text(text, encoding="utf-8")
    return made


def tell(results: list[Graded], made: dict[str, tuple[str, str]]) -> None:
    """Print who earned what, and which mistakes were named as themselves."""
    named = total = full = 0
    for result in results:
        points = {row.exercise: row for row in result.rows}
        earned, of = sum(row.points for row in result.rows), sum(row.of for row in result.rows)
        if result.student in made:
            exercise, label = made[result.student]
            total += 1
            named += points[exercise].mistake == label
            if points[exercise].mistake != label:
                print(f"{result.student}: {label!r} was taken for {points[exercise].mistake!r}")
        elif result.student.startswith("cheat"):
            row = points["03.posterior_variance"]
            print(
                f"{result.student}: {row.points} for the exercise it did not solve, {earned} of"
                f" {of} in all"
            )
        elif not result.broken:
            full += earned == of
    print(
        f"{named} of {total} mistakes named as themselves; {full} solved notebooks earned"
        " everything"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    made = write_class(options.out / "submissions", options.students)
    start = time.perf_counter()
    results = grade(
        [options.out / "submissions"], options.out / "report", limits=Limits(timeout=60, cell=5)
    )
    minutes = (time.perf_counter() - start) / 60
    megabytes = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )  # on Linux; a killed child's is not told
    tell(results, made)
    print(
        f"{len(results)} submissions in {minutes:.1f} min; the grader took {megabytes:.0f} MB at"
        " most"
    )
