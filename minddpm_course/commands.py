"""The course's part of the command line."""

import argparse
from collections.abc import Callable
from pathlib import Path

from marking.commands import add_marking_commands, with_course
from marking.course import Course
from minddpm_course.course import INSTALL, load_course


def run_assemble(options: argparse.Namespace, course: Course) -> int:
    """Make a package of your own: your functions, and the library's for what is not solved yet."""
    from minddpm_course.assemble import assemble_package, next_command, parts_in, rooms

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


def add_commands(
    command: Callable[[str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser],
) -> None:
    """Add check, hint, progress, grade, nbgrader-course, assemble and compare to the command line
    of minddpm.
    """
    add_marking_commands(command, load_course, INSTALL)

    maker = command("assemble", with_course(load_course, INSTALL, run_assemble))
    maker.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("exercises"),
        help="your notebooks (default: %(default)s)",
    )
    maker.add_argument(
        "--out", type=Path, default=Path("mine"), help="the package (default: %(default)s)"
    )

    follower = command("compare", with_course(load_course, INSTALL, run_compare))
    follower.add_argument(
        "package", type=Path, nargs="?", default=Path("mine"), help="(default: %(default)s)"
    )
