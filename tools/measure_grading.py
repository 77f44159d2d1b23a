"""Make a class of generated submissions and grade it: minutes, memory, mistakes named, and what the
hostile ones earned.

python tools/measure_grading.py --students 300 --out runs/class

Each student hands in one notebook with the exercises of lessons 02 and 03, thirteen questions:
solved ones, one for each known mistake of the bank, every fifth hostile notebook of the engine, a
few that are broken, and more solved ones until the class is full.
"""

import argparse
import ast
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat

from marking.attempts import NEWEST
from marking.exercise import Exercise, function_of, lesson_of
from marking.grader import grade
from marking.grades import Graded
from marking.hostile import Target, as_notebook, hostile_cells, hostile_notebooks
from marking.report import write_report
from marking.sandbox.parent import Limits
from minddpm_course.course import load_course

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "minddpm_course" / "bank"
STUDENTS = 300
LESSONS = ("02", "03")
TARGET = "03.posterior_variance"  # which the hostile notebooks do not solve
ONE_IN = 5  # of the hostile notebooks is handed in: a class is not made of them
BROKEN = ("", "not JSON", "[1, 2]", '{"cells": "' + "x" * 2**25 + '"}')
HEAD = "import torch\nfrom minddpm_course import ask, beside, check"


def solved_cells() -> list[str]:
    """The code cells of the solutions of the lessons, for the student whom they name."""
    paths = [
        path
        for path in sorted((ROOT / "solutions").glob("*.ipynb"))
        if path.name.startswith(LESSONS)
    ]
    cells = [cell for path in paths for cell in nbformat.read(path, as_version=4).cells]
    return [
        cell.source for cell in cells if cell.cell_type == "code" and "beside(" not in cell.source
    ]


def mistaken(name: str, cells: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each known mistake of an exercise, and the cells of a notebook that makes it: the bank's own
    source of it.
    """
    sources = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.py"))]
    # its own module comes last, and its functions win
    sources.sort(key=lambda source: f'"{name}"' in source)
    *_, tree = trees = [ast.parse(source) for source in sources]
    nodes = [node for each in trees for node in each.body]
    helpers = "\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.FunctionDef))
    call = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and is_text(node.args[0], name)
    )
    known = next(keyword.value for keyword in call.keywords if keyword.arg == "mistakes")
    head = "from __future__ import annotations\nimport math, torch\nTensor = torch.Tensor"
    for mistake in ast.walk(known):
        if isinstance(mistake, ast.Call) and getattr(mistake.func, "id", "") == "Mistake":
            label = ast.literal_eval(mistake.args[0])
            function = function_of(name)
            wrong = f"{head}\n{helpers}\n{function} = {ast.unparse(mistake.args[1])}"
            yield label, [*cells, wrong, f'check("{name}", {function})']


def is_text(node: ast.expr, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def write_class(folder: Path, students: int) -> dict[str, tuple[str, str]]:
    """Write the class's notebooks.

    Returns: for each student who makes a known mistake, the exercise and the mistake.
    """
    course = load_course()
    cells = solved_cells()
    made: dict[str, tuple[str, str]] = {}
    texts: dict[str, str] = {}
    for name, question in course.bank.items():
        if lesson_of(name) in LESSONS and isinstance(question, Exercise):
            for place, (label, with_mistake) in enumerate(mistaken(name, cells)):
                student = f"mistake {name} {place}"
                texts[student] = as_notebook(with_mistake)
                made[student] = name, label
    exercise = course.bank[TARGET]
    assert isinstance(exercise, Exercise)
    right = next(cell for cell in cells if f"def {function_of(TARGET)}(" in cell)
    target = Target(course, exercise, right, 9, "/tmp/victim", "/tmp/grades.csv")
    rest = [cell for cell in cells if function_of(TARGET) not in cell]
    for hostile in hostile_notebooks()[::ONE_IN]:
        texts[f"hostile {hostile.name}"] = as_notebook(hostile_cells(hostile, target, HEAD, rest))
    texts |= {f"broken {place}": text for place, text in enumerate(BROKEN)}
    for place in range(students - len(texts)):
        texts[f"Ada {place}"] = as_notebook(cells)
    for student, text in list(texts.items())[:students]:
        (folder / student).mkdir(parents=True)
        (folder / student / "02_and_03.ipynb").write_text(text, encoding="utf-8")
    return made


def print_results(results: list[Graded], made: dict[str, tuple[str, str]]) -> None:
    """Print who earned what, and which mistakes were named as themselves."""
    named = total = full = 0
    for result in results:
        rows = {row.exercise: row for row in result.rows}
        earned = sum(row.points for row in result.rows)
        most = sum(row.of for row in result.rows)
        if result.student in made:
            exercise, label = made[result.student]
            total += 1
            named += rows[exercise].mistake == label
            if rows[exercise].mistake != label:
                print(f"{result.student}: {label!r} was taken for {rows[exercise].mistake!r}")
        elif result.student.startswith("hostile"):
            unearned = rows[TARGET].points
            print(f"{result.student}: {unearned} for what it did not solve, {earned} of {most}")
        elif not result.broken:
            full += earned == most
    print(f"{named} of {total} mistakes named as themselves")
    print(f"{full} solved notebooks earned everything")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, default=STUDENTS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    made = write_class(options.out / "submissions", options.students)
    start = time.perf_counter()
    results = grade(
        load_course(),
        [options.out / "submissions"],
        options.out / "report",
        report=write_report,
        limits=Limits(timeout=60, cell=5),
        attempts=NEWEST,  # a mistake follows the right answer in its notebook
    )
    minutes = (time.perf_counter() - start) / 60
    # on Linux; without the memory of processes that were killed
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print_results(results, made)
    print(f"{len(results)} submissions in {minutes:.1f} min; the grader took {megabytes:.0f} MB")
