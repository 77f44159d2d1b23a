"""Docstrings of the library, which are plain text, in the markup that Sphinx reads."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

import minddpm

EXPORTED = set(minddpm.__all__) - {"__version__"}
NO_WORDS = "Alias for field number"  # what Python says of each field of a named tuple
SECTIONS = {"Args": "Arguments", "Returns": "Returns", "Raises": "Raises", "Source": "Source"}
SECTION = re.compile(rf"({'|'.join(SECTIONS)}): *(.*)")
ARGUMENT = re.compile(r"([\w, ]+): (.*)")
FORMULA = re.compile(r"(?![A-Z][a-z]+ )[^.]{1,60} (=|<-) .*[^.:;,]|log of the integral of .*")


def plain(text: str) -> str:
    """Text without markup, but for what is between backticks: code, or a link to what `minddpm`
    exports.
    """
    parts = text.split("`")
    for place, part in enumerate(parts):
        if place % 2 == 0:
            parts[place] = re.sub(r"([\\*_|])", r"\\\1", part)
        elif part in EXPORTED:
            parts[place] = f":py:obj:`~{getattr(minddpm, part).__module__}.{part}`"
        else:
            parts[place] = f"``{part}``"
    return "".join(parts)


def blocks(lines: list[str]) -> Iterator[list[str]]:
    """The paragraphs of a docstring, and each of its sections, which need no blank line between."""
    block: list[str] = []
    in_section = False
    for line in lines:
        at_margin = bool(line) and not line.startswith(" ")
        if not line or SECTION.match(line) or (in_section and at_margin):
            if block:
                yield block
            block, in_section = [], bool(SECTION.match(line))
        if line:
            block.append(line)
    if block:
        yield block


def arguments(lines: list[str]) -> Iterator[str]:
    """A list of arguments, one item for each: "name: what it is", and lines further in go on."""
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        if not line.startswith(" ") and (named := ARGUMENT.fullmatch(line)):
            yield f"- ``{named[1]}``: {plain(named[2])}"
        else:
            yield f"  {plain(line.strip())}"


def marked_up(block: list[str]) -> list[str]:
    """A paragraph, formula, list or section of a docstring."""
    if section := SECTION.fullmatch(block[0]):
        name, first = section.groups()
        field, rest = f":{SECTIONS[name]}: {plain(first)}", block[1:]
        if rest and ARGUMENT.fullmatch(rest[0].strip()):
            return [field, "", *(f"    {line}" for line in arguments(rest))]
        return [field, *(f"    {plain(line.strip())}" for line in rest)]
    if FORMULA.fullmatch(block[0]):
        return [".. code-block:: none", "", *(f"    {line}" for line in block)]
    if block[0].startswith("- "):
        return [plain(line) for line in block]
    return [plain(line.strip()) for line in block]


def rewrite(*event: Any) -> None:
    """Rewrite a docstring before Sphinx reads it."""
    lines: list[str] = event[-1]
    lines[:] = [line for block in blocks(lines) for line in [*marked_up(block), ""]]


def is_without_words(_app: Sphinx, _what: str, _name: str, member: Any, *_: Any) -> bool | None:
    """Leave out what has no words of its own; the rest is for Sphinx to decide."""
    return True if (member.__doc__ or "").startswith(NO_WORDS) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Add it to Sphinx."""
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-skip-member", is_without_words)
    return {"parallel_read_safe": True}
