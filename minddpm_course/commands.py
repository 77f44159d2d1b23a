"""The course's part of the command line."""

import argparse
from collections.abc import Callable

from marking.commands import add_marking_commands
from minddpm_course.course import INSTALL, load_course


def add_commands(
    command: Callable[[str, Callable[[argparse.Namespace], int]], argparse.ArgumentParser],
) -> None:
    """Add check, progress, grade and nbgrader-course to the command line of minddpm."""
    add_marking_commands(command, load_course, INSTALL)
