"""What a benchmark prints, and where it is published: benchmarks/README.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from minddpm.checkpoints import write_whole

PAGE = Path(__file__).with_name("README.md")


class Report:
    """Lines that are printed one by one, and may then stand between the marks of a page."""

    def __init__(self, *lines: str) -> None:
        self.lines: list[str] = []
        for line in lines:
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line at once, and keep it."""
        print(line, flush=True)
        self.lines.append(line)

    def publish(self, name: str, page: Path = PAGE) -> None:
        """Put all lines between the marks of a page, as `put_between_marks`."""
        put_between_marks(page, name, "\n".join(self.lines))


def put_between_marks(page: Path, name: str, text: str) -> None:
    """Put a text between the marks <!-- name --> and <!-- /name --> of a page.

    Raises: ValueError for a page without these marks.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, begun, rest = page.read_text(encoding="utf-8").partition(start)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"{page} must have the marks {start} and {end}")
    write_whole(page, f"{before}{start}\n\n{text}\n\n{end}{after}".encode())


def add_publish(parser: argparse.ArgumentParser) -> None:
    """Add the option --publish."""
    parser.add_argument(
        "--publish", action="store_true", help=f"write what is printed into {PAGE.name}, too"
    )
