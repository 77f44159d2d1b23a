"""The commands of a course: check, hint, progress, grade, nbgrader-course."""

from __future__ import annotations

import argparse
import functools
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from marking.attempts import BEST, NEWEST
from marking.course import Course, missing
from marking.grader import grade, grade_submission
from marking.grades import Graded
from marking.hints import HINTS, hint_in_words
from marking.intake import Broken, read_submission
from marking.nbgrader_course import lay_out_course
from marking.notebook import question_named
from marking.pages import templates
from marking.report import write_report
from marking.sandbox.parent import Limits, bubblewrap, prepared_sandbox
from marking.self_test import run_self_test
from marking.words import counted


def graded_here(course: Course, path: Path) -> Graded:
    """Run one of your own notebooks, and judge its answers on fresh inputs.

    Raises: FileNotFoundError if there is no such file; ValueError for one that is no notebook.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a notebook of exercises, got {path}, which {what_instead(path)}"
        )
    try:
        submission = read_submission(course, path, "", path.name)
    except Broken as reason:
        raise ValueError(f"{path}: {reason}") from None
    with prepared_sandbox(course, Limits()) as sandbox:
        return grade_submission(submission, sandbox, secrets.randbits(32))


def what_instead(path: Path) -> str:
    """What a path is that should have been something else, as the end of "x, which ..."."""
    if path.is_dir():
        return "is a folder"
    return "is a file" if path.exists() else "does not exist"


def run_check(options: argparse.Namespace, course: Course) -> int:
    """Check a notebook's answers, as its check cells do."""
    result = graded_here(course, options.notebook)
    for row in result.rows:
        print(f"{'✓' if row.points else '✗'} {row.message}\n")
    for remark in result.remarks:
        print(f"  {remark}")
    solved = sum(row.points > 0 for row in result.rows)
    print(f"{solved} of {len(result.rows)} solved")
    return 0 if solved == len(result.rows) > 0 else 1


def run_hint(options: argparse.Namespace, course: Course) -> int:
    """Show a hint for a function to write: the first of three, or a clearer one."""
    question = question_named(course.bank, options.exercise)
    numbers = range(1, HINTS + 1) if options.all else [options.number]
    # where there are no hints, that is said once
    print("\n\n".join(dict.fromkeys(hint_in_words(question, number) for number in numbers)))
    return 0


def run_progress(options: argparse.Namespace, course: Course) -> int:
    """List which exercises are solved, and which comes next."""
    notebooks = course.notebooks_in(options.folder)
    if not notebooks:
        got = "has none" if options.folder.is_dir() else what_instead(options.folder)
        raise FileNotFoundError(
            f"expected a folder with notebooks of exercises, got {options.folder}, which {got}"
        )
    rows = [(path, row) for path in notebooks for row in graded_here(course, path).rows]
    for _, row in rows:
        print(f"{'✓' if row.points else '·'} {row.exercise:<28} {row.mistake or row.summary}")
    solved = sum(row.points > 0 for _, row in rows)
    points = sum(row.points for _, row in rows)
    most = sum(row.of for _, row in rows)
    print(f"\n{solved} of {len(rows)} solved, {points} of {counted(most, 'point')}")
    following = next(((path, row) for path, row in rows if not row.points), None)
    print(f"next: {following[1].exercise}, in {following[0]}" if following else "all done")
    if course.after_progress is not None:
        print(course.after_progress(rows))
    return 0


def run_grade(options: argparse.Namespace, course: Course) -> int:
    """Grade a class: notebooks, folders of them, or zips as a learning platform exports them."""
    if bubblewrap() is None:
        print(
            "warning: bubblewrap is not installed; submissions can read files of this machine",
            file=sys.stderr,
        )
    templates()  # so that a missing package shows now, not when everything is graded
    try:
        graded = grade(
            course,
            options.submissions,
            options.out,
            report=write_report,
            jobs=options.jobs,
            limits=Limits(timeout=options.timeout, memory=options.memory),
            seed=options.seed,
            resume=options.resume,
            names=options.names,
            roster=options.roster,
            attempts=options.attempts,
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; the grades so far are in {options.out}: continue with --resume"
        ) from None
    broken = sum(result.broken for result in graded)
    here = [result for result in graded if not result.absent]
    notebooks = counted(len(here), "notebook")
    students = counted(len({result.student for result in here}), "student")
    counts = f"{notebooks} of {students} graded, {broken} broken"
    if len(here) < len(graded):
        counts += f", {len(graded) - len(here)} of the roster handed in nothing"
    print(f"{counts}: {options.out / 'class.html'}")
    return 1 if broken else 0


class NeedsNothingElse(argparse.Action):
    """An option without a value, with which the others need not be given."""

    def __init__(self, *, others: Sequence[argparse.Action], **options: Any) -> None:
        super().__init__(**options, nargs=0)
        self.others = others

    def __call__(self, _parser: Any, namespace: argparse.Namespace, *_: Any) -> None:
        setattr(namespace, self.dest, True)
        for other in self.others:
            other.required = False


def run_grade_or_self_test(options: argparse.Namespace, course: Course) -> int:
    """Grade a class: notebooks, folders of them, or zips as a learning platform exports them."""
    return run_self_test(course) if options.self_test else run_grade(options, course)


def run_nbgrader_course(options: argparse.Namespace, course: Course) -> int:
    """Lay out a course for nbgrader: an assignment for each notebook of solutions."""
    copies = lay_out_course(course, options.folder, options.solutions, timeout=options.timeout)
    names = ", ".join(copy.stem for copy in copies)
    print(f"{counted(len(copies), 'assignment')} in {options.folder / 'source'}: {names}")
    print(f"next, in {options.folder}: nbgrader generate_assignment {copies[0].stem}")
    return 0


def whole_number(least: int) -> Callable[[str], int]:
    """Make a reader of an option that is an integer, at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {least} to {2**32 - 1}, got {text!r}"
            )
        return int(text)

    return read


def add_default(
    parser: argparse.ArgumentParser, name: str, value: Any, meaning: str, **kind: Any
) -> None:
    """Add an option whose help names its default."""
    parser.add_argument(name, default=value, help=f"{meaning} (default: %(default)s)", **kind)


def with_course(
    load_course: Callable[[], Course],
    install: str,
    run: Callable[[argparse.Namespace, Course], int],
) -> Callable[[argparse.Namespace], int]:
    """A command that loads the course when it runs, and says what to install if it cannot."""

    @functools.wraps(run)
    def run_with_course(options: argparse.Namespace) -> int:
        try:
            return run(options, load_course())
        except ModuleNotFoundError as error:
            raise ValueError(missing(error, install)) from error

    return run_with_course


def add_marking_commands(
    command: Callable[[str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser],
    load_course: Callable[[], Course],
    install: str,
) -> None:
    """Add the commands of a course to a command line.

    Args:
        command: adds a command of a name that runs a function, and returns its parser.
        load_course: loads the course, when a command runs.
        install: the command that installs what the course needs, named if some of it is missing.
    """

    checker = command("check", with_course(load_course, install, run_check))
    checker.add_argument("notebook", type=Path, help="the notebook with your answers")

    hinter = command("hint", with_course(load_course, install, run_hint))
    hinter.add_argument("exercise", help="its name, as its check has it")
    which = hinter.add_mutually_exclusive_group()
    which.add_argument(
        "number",
        type=int,
        nargs="?",
        default=1,
        choices=range(1, HINTS + 1),
        help=f"which hint, from 1 to {HINTS} (default: %(default)s)",
    )
    which.add_argument("--all", action="store_true", help="show all of them")

    lister = command("progress", with_course(load_course, install, run_progress))
    lister.add_argument(
        "folder", type=Path, nargs="?", default=Path("exercises"), help="(default: %(default)s)"
    )

    grader = command("grade", with_course(load_course, install, run_grade_or_self_test))
    notebooks = grader.add_argument(
        "submissions", type=Path, nargs="+", help="notebooks, folders, zips"
    )
    out = grader.add_argument(
        "--out", type=Path, required=True, help="folder for grades.csv, class.html and feedback/"
    )
    grader.add_argument(
        "--self-test",
        action=NeedsNothingElse,
        default=False,
        others=(notebooks, out),
        help="grade nothing; try hostile submissions and say which walls of this machine are up",
    )
    grader.add_argument(
        "--jobs", type=whole_number(1), help="submissions at once (default: one per processor)"
    )
    add_default(
        grader, "--timeout", Limits.timeout, "seconds for each submission", type=whole_number(1)
    )
    add_default(
        grader, "--memory", Limits.memory, "megabytes for each submission", type=whole_number(256)
    )
    add_default(
        grader,
        "--seed",
        0,
        "seed for the inputs; keep it secret to keep them secret",
        type=whole_number(0),
    )
    grader.add_argument("--resume", action="store_true", help="continue with the grades in --out")
    grader.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="what to say about groups of wrong answers, and points for them, line by line",
    )

    grader.add_argument(
        "--roster",
        type=Path,
        metavar="FILE",
        help="who is in the class: CSV with the columns id and name",
    )
    add_default(
        grader,
        "--attempts",
        BEST,
        "which of a student's attempts at an exercise counts",
        choices=(BEST, NEWEST),
    )

    layer = command("nbgrader-course", with_course(load_course, install, run_nbgrader_course))
    layer.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="the course, new or empty; its gradebook will be next to it",
    )
    add_default(
        layer, "--solutions", Path("solutions"), "folder with the solved notebooks", type=Path
    )
    add_default(
        layer, "--timeout", 60, "seconds that nbgrader gives one cell", type=whole_number(1)
    )
