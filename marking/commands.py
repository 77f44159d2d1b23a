"""The commands of a course: check, hint, progress, grade, nbgrader-course."""

from __future__ import annotations

import argparse
import contextlib
import functools
import getpass
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from marking.attempts import BEST, NEWEST
from marking.checksums import CHECKSUMS, keep_changed, write_checksums
from marking.course import Course, missing
from marking.grader import grade, grade_submission
from marking.grades import Graded
from marking.hints import HINTS, hint_in_words
from marking.intake import Broken, Submission, read_submission
from marking.nbgrader_course import lay_out_course
from marking.notebook import question_named
from marking.pages import templates
from marking.rehearsal import NOT_FOUND, rehearse
from marking.report import FILES, write_report
from marking.report_folder import refuse_foreign_report
from marking.sandbox.bare import Bare, prepared
from marking.sandbox.parent import Limits, bubblewrap, hidden_places, prepared_sandbox
from marking.self_test import run_self_test
from marking.stored import NOT_GRADED
from marking.words import counted, harmless

EXERCISES = "exercises"  # the folder that holds them
LONGEST_SEED = 100  # figures


def graded_here(course: Course, path: Path) -> Graded:
    """Run one of your own notebooks, and judge its answers on fresh inputs.

    Raises: FileNotFoundError if there is no such file; ValueError for one that is no notebook, or a
        lesson without exercises;
        NotReady, a RuntimeError, where the notebook fails because of this machine.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a notebook of exercises, got {path}, which {what_instead(path)}"
        )
    try:
        submission = read_submission(course, path, "", path.name)
    except Broken as reason:
        raise ValueError(f"{path}: {reason}") from None
    refuse_lesson(course, path, submission)
    with prepared_sandbox(course, Limits()) as sandbox:
        graded = grade_submission(submission, sandbox, secrets.randbits(32))
        if may_be_the_machine(graded):
            rehearse(sandbox, lambda one, where: grade_submission(one, where, 0))
        return graded


def all_graded_here(
    course: Course, notebooks: Sequence[Path]
) -> Generator[tuple[Path, Graded], None, None]:
    """Each notebook and its grades, in order: as many are judged at once as there are processors.

    Raises: as `graded_here`, once those that are under way have ended.
    """
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from zip(notebooks, pool.map(partial(graded_here, course), notebooks))
    finally:
        pool.shutdown(cancel_futures=True)


def refuse_lesson(course: Course, path: Path, submission: Submission) -> None:
    """Raise ValueError for a notebook that names no question, if another of the same name does in
    the folder of exercises next to its own.
    """
    exercises = Path(os.path.normpath(path.parent / ".." / EXERCISES / path.name))
    named = any(name in source for _, source in submission.cells for name in course.bank)
    if named or not exercises.is_file() or exercises.samefile(path):
        return
    asked = exercises.read_text(encoding="utf-8", errors="replace")
    if any(name in asked for name in course.bank):
        raise ValueError(f"{path} is the lesson; its exercises are in {exercises}")


def may_be_the_machine(graded: Graded) -> bool:
    """Whether a notebook failed in a way that may be no fault of its own."""
    ended = any(row.summary.startswith(NOT_GRADED) for row in graded.rows)
    return ended or any(map(NOT_FOUND.search, graded.remarks))


def what_instead(path: Path) -> str:
    """What a path is that should have been something else, as the end of "x, which ..."."""
    if path.is_dir():
        return "is a folder"
    return "is a file" if path.exists() else "does not exist"


def say(text: str) -> None:
    """Print text that holds names and words of students."""
    print(harmless(text))


def run_check(options: argparse.Namespace, course: Course) -> int:
    """Check a notebook's answers, as its check cells do."""
    result = graded_here(course, options.notebook)
    for row in result.rows:
        say(f"{'✓' if row.points else '✗'} {row.message}\n")
        if row.shown_right:
            say(f"  {row.remark}\n")
    for remark in result.remarks:
        say(f"  {remark}")
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
    rows = []
    for path, graded in all_graded_here(course, notebooks):
        for row in graded.rows:
            rows.append((path, row))
            sign = "✓" if row.points else "·"
            print(harmless(f"{sign} {row.exercise:<28} {row.mistake or row.summary}"), flush=True)
    solved = sum(row.points > 0 for _, row in rows)
    points = sum(row.points for _, row in rows)
    most = sum(row.of for _, row in rows)
    print(f"\n{solved} of {len(rows)} solved, {points} of {counted(most, 'point')}")
    following = next(((path, row) for path, row in rows if not row.points), None)
    say(f"next: {following[1].exercise}, in {following[0]}" if following else "all done")
    if course.after_progress is not None:
        print(course.after_progress(rows))
    return 0


def run_grade(options: argparse.Namespace, course: Course) -> int:
    """Grade a class: notebooks, folders of them, or zips as a learning platform exports them."""
    templates()  # so that a missing package shows now, not when everything is graded
    refuse_foreign_report(options.out, FILES)
    seed = options.seed if options.seed_file is None else read_seed(options.seed_file)
    bare = None
    if options.trust_submissions and bubblewrap() is None:
        bare = prepared(hidden_places(course))
        print(f"warning: not contained. {' '.join(bare.open)}", file=sys.stderr)
    try:
        with ended_in_order():
            graded = grade(
                course,
                options.submissions,
                options.out,
                report=partial(report_with_checksums, bare=bare),
                jobs=options.jobs,
                limits=Limits(timeout=options.timeout, memory=options.memory),
                seed=seed,
                resume=options.resume,
                names=options.names,
                roster=options.roster,
                attempts=options.attempts,
                trust=options.trust_submissions,
                bare=bare,
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
    say(f"{counts}: {options.out / 'class.html'}")
    return 1 if broken else 0


def report_with_checksums(
    out: Path, graded: Sequence[Graded], contained: bool, *, bare: Bare | None
) -> None:
    """Write the report, and checksums by which a later change is noticed."""
    kept = keep_changed(out)
    if kept:
        print(
            f"warning: changed since it was written, and kept: {', '.join(kept)}", file=sys.stderr
        )
    held, left_open = ((), ()) if bare is None else (bare.held, bare.open)
    write_report(out, graded, contained, held=held, left_open=left_open)
    checksum = write_checksums(out, FILES)
    if not contained:
        print(f"to notice later changes, keep this checksum of {out / CHECKSUMS}: {checksum}")


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """End as after Ctrl-C where the system asks to end, or the terminal closes."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only it hears of signals
        yield
        return
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names}
    # what is ignored on purpose, as under nohup, stays so
    heard = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, old in heard.items():
            signal.signal(number, old)


def read_seed(path: Path) -> int:
    """The seed in a file; "-" reads it from the terminal, unseen, or from a pipe.

    Raises: OSError where the file cannot be read; ValueError for anything but one whole number.
    """
    if str(path) == "-":
        at_terminal = sys.stdin.isatty()
        text = getpass.getpass("seed: ") if at_terminal else sys.stdin.readline()
    elif path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(LONGEST_SEED + 2)
    else:
        raise FileNotFoundError(
            f"expected a file with the seed, got {path}, which {what_instead(path)}"
        )
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_SEED):
        # without the text: it may be half the seed, or another secret
        raise ValueError(
            f"expected one whole number of at most {LONGEST_SEED} figures as the seed, got"
            f" something else in {path}"
        )
    return int(text)


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


def some_path(text: str) -> Path:
    """Read an option that is a path. Without text, as a shell makes of an unset variable, it would
    be the folder one is in.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError(f"must not be empty, got {text!r}")
    return Path(text)


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
    parser: argparse._ActionsContainer, name: str, value: Any, meaning: str, **kind: Any
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
    checker.add_argument("notebook", type=some_path, help="the notebook with your answers")

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
        "folder", type=some_path, nargs="?", default=Path(EXERCISES), help="(default: %(default)s)"
    )

    grader = command("grade", with_course(load_course, install, run_grade_or_self_test))
    grader.usage = "%(prog)s [options] --out OUT submissions ...\n       %(prog)s --self-test"
    notebooks = grader.add_argument(
        "submissions", type=some_path, nargs="+", help="notebooks, folders, zips"
    )
    out = grader.add_argument(
        "--out",
        type=some_path,
        required=True,
        help="folder for grades.csv, class.html and feedback/",
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
    seeds = grader.add_mutually_exclusive_group()
    add_default(
        seeds,
        "--seed",
        0,
        "seed for the inputs, which other programs of this machine can read",
        type=whole_number(0),
    )
    seeds.add_argument(
        "--seed-file",
        type=some_path,
        metavar="FILE",
        help="a file with the seed, which keeps the inputs secret; - asks for it",
    )
    grader.add_argument("--resume", action="store_true", help="continue with the grades in --out")
    grader.add_argument(
        "--names",
        type=some_path,
        metavar="FILE",
        help="what to say about groups of wrong answers, and points for them, line by line",
    )

    grader.add_argument(
        "--roster",
        type=some_path,
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

    grader.add_argument(
        "--trust-submissions",
        action="store_true",
        help="run them without bubblewrap too: only where you trust everyone who handed in",
    )

    layer = command("nbgrader-course", with_course(load_course, install, run_nbgrader_course))
    layer.add_argument(
        "folder",
        type=some_path,
        metavar="DIR",
        help="the course, new or empty; its gradebook will be next to it",
    )
    add_default(
        layer, "--solutions", Path("solutions"), "folder with the solved notebooks", type=some_path
    )
    add_default(
        layer, "--timeout", 60, "seconds that nbgrader gives one cell", type=whole_number(1)
    )
