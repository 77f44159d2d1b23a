"""Make a class whose wrong answers are known, grade it, and measure the groups that they fall into.

python tools/measure_groups.py --students 300 --out runs/groups

Each student hands in one lesson, all of its functions wrong: one of the bank's mistakes each, some
more often than others, written in one of several styles. The course that grades them has a bank
without mistakes, so that none of the answers has a name.

Pure: of all pairs of answers in one group, the share that make the same mistake. Whole: of all
pairs that make the same mistake, the share that are in one group.
"""

import argparse
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from measure_grading import HEAD, mistaken

from marking import grader
from marking.course import Course
from marking.exercise import Exercise, function_of, lesson_of
from marking.grader import grade
from marking.grades import Graded
from marking.groups import cases_for_groups
from marking.hostile import as_notebook
from marking.names import with_groups
from marking.outcome import Made
from marking.report import write_report
from minddpm_course.course import load_course

STUDENTS = 300
TIMED = 40  # submissions, graded once with groups and once without
# what a style does with arguments and results: ways to write the same thing that round otherwise
HELPERS = """
from torch import nn
from torch.nn import functional as F
def in_all(x, change):
    if isinstance(x, (tuple, list)):
        return type(x)(in_all(one, change) for one in x)
    return change(x) if isinstance(x, torch.Tensor) else x
def double(x):
    return x.double() if x.is_floating_point() else x
def single(x):
    return x.float() if x.is_floating_point() else x
def rounded(x):
    return x.float() / 3 * 3 if x.is_floating_point() else x
def array(x):
    return x.detach().numpy()
"""
STYLES = {
    "plain": "{name} = lambda *args: wrong_answer(*args)",
    "float64": "{name} = lambda *args: wrong_answer(*in_all(args, double))",
    "float32": "{name} = lambda *args: in_all(wrong_answer(*args), single)",
    "numpy": "{name} = lambda *args: in_all(wrong_answer(*args), array)",
    "lists": "{name} = lambda *args: in_all(wrong_answer(*args), torch.Tensor.tolist)",
    "rounded": "{name} = lambda *args: in_all(wrong_answer(*args), rounded)",
    "object": (
        "class Work:\n    def __call__(self, *args):\n        return wrong_answer(*args)\n"
        "{name} = Work()"
    ),
    "loud": "def {name}(*args):\n    print(args)\n    return wrong_answer(*args)",
}
DOUBLE_ARGUMENTS = "float64"  # which what is made for an answer does not take


def takes_made(exercise: Exercise) -> bool:
    """Whether an answer is handed a function, a network or an optimizer."""
    return any(isinstance(arg, Made) for case in cases_for_groups(exercise) for arg in case.args)


def write_class(course: Course, folder: Path, students: int) -> dict[tuple[str, str], str]:
    """Write the class's notebooks.

    Returns: the mistake by student and exercise.
    """
    draw = random.Random(0)
    lessons: dict[str, list[Exercise]] = defaultdict(list)
    for name, question in course.bank.items():
        if isinstance(question, Exercise):
            lessons[lesson_of(name)].append(question)
    planted = {name: list(mistaken(name, [])) for name in names_of(lessons)}
    made: dict[tuple[str, str], str] = {}
    for number, lesson in zip(range(students), itertools.cycle(lessons)):
        student = f"student {number}"
        cells = [HEAD + HELPERS]
        for exercise in lessons[lesson]:
            some = planted[exercise.name]
            often = [1 / place for place in range(1, len(some) + 1)]
            ((label, (source, check)),) = draw.choices(some, often)
            styles = [
                style for style in STYLES if style != DOUBLE_ARGUMENTS or not takes_made(exercise)
            ]
            name = function_of(exercise.name)
            style = STYLES[draw.choice(styles)].format(name=name)
            cells += [f"{source}\nwrong_answer = {name}\n{style}", check]
            made[student, exercise.name] = label
        (folder / student).mkdir(parents=True)
        path = folder / student / f"{lesson}_wrong.ipynb"
        path.write_text(as_notebook(cells), encoding="utf-8")
    return made


def names_of(lessons: dict[str, list[Exercise]]) -> list[str]:
    return [exercise.name for some in lessons.values() for exercise in some]


def without_mistakes(course: Course) -> Course:
    """The course with a bank that knows no mistake."""
    bank = {
        name: replace(question, mistakes=()) if isinstance(question, Exercise) else question
        for name, question in course.bank.items()
    }
    return replace(course, bank=bank)


def pairs(count: int) -> int:
    return count * (count - 1) // 2


def print_groups(results: Sequence[Graded], made: dict[tuple[str, str], str]) -> None:
    """Print a table of the groups of each exercise, and what holds for all of them."""
    answers: dict[str, list[tuple[str, str]]] = defaultdict(list)
    alone: Counter[str] = Counter()
    earned = 0.0
    for result in results:
        for row in result.rows:
            key = (result.student, row.exercise)
            if key in made:
                earned += row.points
                if row.group:
                    answers[row.exercise].append((made[key], row.group))
                else:
                    alone[row.exercise] += 1
    print(f"{'exercise':<28}{'answers':>8}{'mistakes':>9}{'groups':>7}{'pure':>7}{'whole':>7}")
    total: Counter[str] = Counter()
    for name in sorted({exercise for _, exercise in made}):
        some = answers[name]
        both = sum(map(pairs, Counter(some).values()))
        same_group = sum(map(pairs, Counter(group for _, group in some).values()))
        same_mistake = sum(map(pairs, Counter(label for label, _ in some).values()))
        counts = {
            "answers": len(some),
            "mistakes": len({label for label, _ in some}),
            "groups": len({group for _, group in some}),
            "both": both,
            "same group": same_group,
            "same mistake": same_mistake,
        }
        total.update(counts)
        print_line(name, counts)
        if alone[name]:
            print(f"    {alone[name]} more in no group")
        split(some)
    print_line("all", total)
    print(f"{earned:g} points for wrong answers")


def print_line(name: str, counts: dict[str, int] | Counter[str]) -> None:
    pure = counts["both"] / max(counts["same group"], 1)
    whole = counts["both"] / max(counts["same mistake"], 1)
    shares = f"{pure:>7.3f}{whole:>7.3f}"
    print(f"{name:<28}{counts['answers']:>8}{counts['mistakes']:>9}{counts['groups']:>7}{shares}")


def split(some: Sequence[tuple[str, str]]) -> None:
    """Print which mistakes share a group, and which have several."""
    by_group: dict[str, set[str]] = defaultdict(set)
    by_label: dict[str, set[str]] = defaultdict(set)
    for label, group in some:
        by_group[group].add(label)
        by_label[label].add(group)
    for group, labels in by_group.items():
        if len(labels) > 1:
            print(f"    {group}: {', '.join(sorted(labels))}")
    for label, groups in by_label.items():
        if len(groups) > 1:
            print(f"    {label}: {len(groups)} groups")


def print_stability(results: Sequence[Graded]) -> None:
    """Print how many answers keep their group's identifier where half of the class is graded."""
    whole = {(result.student, row.exercise): row.group for result in results for row in result.rows}
    kept = total = 0
    for half in (results[::2], results[1::2]):
        for result in with_groups(half):
            for row in result.rows:
                if row.group:
                    total += 1
                    kept += row.group == whole[result.student, row.exercise]
    print(f"{kept} of {total} answers have the same group in half of the class")


def minutes_for(course: Course, submissions: Path, out: Path) -> float:
    start = time.perf_counter()
    grade(course, sorted(submissions.iterdir())[:TIMED], out, progress=False)
    return (time.perf_counter() - start) / 60


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, default=STUDENTS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    full = load_course()
    made = write_class(full, options.out / "submissions", options.students)
    start = time.perf_counter()
    course = without_mistakes(full)
    results = grade(
        course, [options.out / "submissions"], options.out / "report", report=write_report
    )
    minutes = (time.perf_counter() - start) / 60
    print_groups(results, made)
    print_stability(results)
    print(f"{len(results)} submissions in {minutes:.1f} min")
    with_them = minutes_for(course, options.out / "submissions", options.out / "with")
    grader.with_fingerprints = lambda rows, *_: rows
    without = minutes_for(course, options.out / "submissions", options.out / "without")
    print(f"{TIMED} submissions in {with_them:.2f} min, without groups in {without:.2f} min")
