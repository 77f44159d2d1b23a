"""The course's part of the command line."""

import argparse
import contextlib
import shlex
import webbrowser
from collections.abc import Callable
from pathlib import Path

from marking.commands import add_marking_commands, with_course
from marking.course import Course
from minddpm_course.book import address_of, book_server
from minddpm_course.course import INSTALL, load_course


def run_assemble(options: argparse.Namespace, course: Course) -> int:
    """Make a package of your own: your functions, and the library's for what is not solved yet."""
    from minddpm_course.assemble import assemble_package, check_place, next_command, parts_in, rooms

    check_place(options.out)  # before minutes are spent on the notebooks
    parts = parts_in(course, options.folder)
    assembled = assemble_package(parts, options.out)
    print(rooms(assembled))
    yours = sum(part.yours for part in assembled)
    print(f"\n{options.out}: {yours} of {len(assembled)} functions are yours")
    print(f"next command: {next_command(parts, options.out)}")
    return 0


def run_compare(options: argparse.Namespace, course: Course) -> int:
    """Follow your package through all 1,000 steps and say where it first leaves the library's."""
    from minddpm_course.assemble import followed

    found = followed(options.package)
    for departure in found:
        print(departure)
    if not found:
        print(f"{options.package}: right at every step")
    return 1 if found else 0


def run_book(options: argparse.Namespace) -> int:
    """Open the web book in the browser, without a network: serve it until Ctrl-C."""
    with book_server(options.folder) as server:
        address = address_of(server)
        print(f"{address} has the book; Ctrl-C ends it", flush=True)
        webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def run_lessons(options: argparse.Namespace) -> int:
    """Copy the lessons into a folder, to work in; files that are there already stay as they are."""
    from minddpm.checks import how_many
    from minddpm_course.lessons import OPEN, copy_lessons

    copied = copy_lessons(options.folder)
    print(f"{options.folder}: {how_many(len(copied.new), 'new file')}")
    if copied.kept:
        print("kept, as they differ from those of this version (move one away to get the new one):")
        print("\n".join(f"    {path}" for path in copied.kept))
    print(f"next commands: cd {shlex.quote(str(options.folder))} && {OPEN}")
    return 0


def add_commands(
    command: Callable[[str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser],
) -> None:
    """Add lessons, check, hint, progress, grade, nbgrader-course, assemble, compare and book to the
    command line of minddpm.
    """
    from minddpm.options import place  # not at the top: a check takes no library along

    copier = command("lessons", run_lessons)
    copier.add_argument(
        "folder", type=place, nargs="?", default=Path("course"), help="(default: %(default)s)"
    )

    add_marking_commands(command, load_course, INSTALL)

    maker = command("assemble", with_course(load_course, INSTALL, run_assemble))
    maker.add_argument(
        "folder",
        type=place,
        nargs="?",
        default=Path("exercises"),
        help="your notebooks (default: %(default)s)",
    )
    maker.add_argument(
        "--out", type=place, default=Path("mine"), help="the package (default: %(default)s)"
    )

    follower = command("compare", with_course(load_course, INSTALL, run_compare))
    follower.add_argument(
        "package", type=place, nargs="?", default=Path("mine"), help="(default: %(default)s)"
    )

    reader = command("book", run_book)
    reader.add_argument(
        "folder",
        type=place,
        nargs="?",
        default=Path("_book"),
        help="the built book (default: %(default)s)",
    )
