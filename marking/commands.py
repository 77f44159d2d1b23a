"""The classroom's part of the command line: check, progress, grade, nbgrader-course."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from marking.grader import Graded, grade, grade_submission
from marking.intake import Broken, read_submission
from marking.nbgrader_course import lay_out_course
from marking.sandbox.parent import Limits, bubblewrap, prepared_room
from minddpm.options import add, integer


def graded_here(path: Path) -> Graded:
    """Run one notebook of one's own, and judge its answers on fresh inputs.

    Raises: FileNotFoundError for no such file; ValueError for one that is no notebook.
    """
    if not path.is_file():
        raise FileNotFoundError(f"wanted a notebook of exercises, got {path}, which does not exist")
    try:
        submission = read_submission(path, "", path.name)
    except Broken as reason:
        raise ValueError(f"{path}: {reason}") from None
    with prepared_room() as room:
        return grade_submission(submission, "", secrets.randbits(32), Limits(), room, bubblewrap())


def run_check(options: argparse.Namespace) -> int:
    """Check a notebook's answers, as its check cells do."""
    result = graded_here(options.notebook)
    for row in result.rows:
        print(f"{'✓' if row.points else '✗'} {row.message}\n")
    for remark in result.remarks:
        print(f"  {remark}")
    solved = sum(row.points > 0 for row in result.rows)
    print(f"{solved} of {len(result.rows)} solved")
    return 0 if solved == len(result.rows) > 0 else 1


def run_progress(options: argparse.Namespace) -> int:
    """List which exercises are solved, and which comes next."""
    notebooks = sorted(options.folder.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(
            f"wanted a folder with notebooks of exercises, got {options.folder}"
        )
    rows = [(path, row) for path in notebooks for row in graded_here(path).rows]
    for path, row in rows:
        print(
            f"{'✓' if row.points else '·'} {row.exercise:<28}"
            f" {'' if row.points else row.mistake or row.summary}"
        )
    solved = sum(row.points > 0 for _, row in rows)
    points, of = sum(row.points for _, row in rows), sum(row.of for _, row in rows)
    print(f"\n{solved} of {len(rows)} solved, {points} of {of} points")
    following = next(((path, row) for path, row in rows if not row.points), None)
    print(f"next: {following[1].exercise}, in {following[0]}" if following else "all done")
    return 0


def run_grade(options: argparse.Namespace) -> int:
    """Grade a class: notebooks, folders of them, or zips as a learning platform exports them."""
    if bubblewrap() is None:
        print(
            "warning: bubblewrap is not installed; submissions can read files of this machine",
            file=sys.stderr,
        )
    limits = Limits(timeout=options.timeout, memory=options.memory)
    try:
        graded = grade(
            options.submissions,
            options.out,
            jobs=options.jobs,
            limits=limits,
            seed=options.seed,
            resume=options.resume,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; what is graded is kept in {options.out}: go on with --resume"
        ) from None
    broken = sum(result.broken for result in graded)
    students = len({result.student for result in graded})
    print(
        f"{len(graded)} notebooks of {students} students graded, {broken} broken:"
        f" {options.out / 'class.html'}"
    )
    return 1 if broken else 0


def run_nbgrader_course(options: argparse.Namespace) -> None:
    """Lay out a course for nbgrader: an assignment for each notebook of solutions."""
    copies = lay_out_course(options.folder, options.solutions, timeout=options.timeout)
    print(
        f"{len(copies)} assignments in {options.folder / 'source'}:"
        f" {', '.join(copy.stem for copy in copies)}"
    )
    print(f"next, in {options.folder}: nbgrader generate_assignment {copies[0].stem}")


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the classroom's commands to the parser."""
    checker = command("check", run_check)
    checker.add_argument("notebook", type=Path, help="such as exercises/03_posterior.ipynb")

    lister = command("progress", run_progress)
    lister.add_argument(
        "folder", type=Path, nargs="?", default=Path("exercises"), help="(default: exercises)"
    )

    grader = command("grade", run_grade)
    grader.add_argument("submissions", type=Path, nargs="+", help="notebooks, folders, zips")
    grader.add_argument(
        "--out", type=Path, required=True, help="folder for grades.csv, class.html and feedback/"
    )
    add(
        grader,
        "--jobs",
        None,
        "submissions at once; as many as processors if not given",
        type=integer(1),
    )
    add(grader, "--timeout", Limits.timeout, "seconds for each submission", type=integer(1))
    add(grader, "--memory", Limits.memory, "megabytes for each submission", type=integer(256))
    add(
        grader,
        "--seed",
        0,
        "of the inputs; another one, kept secret, keeps them so",
        type=integer(0),
    )
    grader.add_argument("--resume", action="store_true", help="go on with what is in --out")

    layer = command("nbgrader-course", run_nbgrader_course)
    layer.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="the course, new or empty; its gradebook goes beside it",
    )
    add(layer, "--solutions", Path("solutions"), "folder with the solved notebooks", type=Path)
    add(layer, "--timeout", 60, "seconds that nbgrader gives one cell", type=integer(1))
