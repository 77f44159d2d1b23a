"""Read the JSON of a notebook without what it shows: outputs, attachments and the state of widgets
may have megabytes, and no grade depends on them.

The file goes by in pieces. What is left out is never parsed, nor kept; only the names of exercises
that it shows as right are (`marking.stored`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import numpy as np

from marking.stored import LONGEST_CARD, names_shown

MOST_PARTS = 2_000_000  # objects and lists in what is kept: each costs far more than its brackets
MOST_SHOWN = 100  # names of exercises that are kept of what is left out in one place
LONGEST_KEY = 50  # characters of a key that is left out, its colon and spaces
# a string before a colon is a key, wherever it stands; inside of a string, quotes are escaped
KEY = re.compile(r'"(?:outputs|attachments|widgets)"\s*+(:|\Z)')
IN_STRING = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
STRING = f'"{IN_STRING.pattern}"'
STRINGS = re.compile(STRING, re.DOTALL)
UP_TO_KEY = re.compile(rf'[^"]*+(?:(?!{KEY.pattern}){STRING}[^"]*+)*+', re.DOTALL)
OUTSIDE = r'[^"\[\]{}]*+'
UP_TO_BRACKET = re.compile(rf"{OUTSIDE}(?:{STRING}{OUTSIDE})*+", re.DOTALL)
# at the edge of what is left out
EDGE = re.compile(r'["\[\]{},]')
# by how much a character goes deeper
DEEPER = np.zeros(256, dtype=np.int8)
DEEPER[list(b"[{")] = 1
DEEPER[list(b"]}")] = -1


class TooMuch(Exception):
    """More is left than may be kept."""


def skimmed(texts: Iterable[str], most: int) -> str:
    """The JSON of a notebook, with a list of the exercises that are shown as right in place of
    whatever is left out.

    Args:
        texts: the file, in pieces.
        most: characters to keep.

    Raises: TooMuch.
    """
    skimmer = Skimmer(most)
    for text in texts:
        skimmer.read(text)
    skimmer.keep(skimmer.held)
    return "".join(skimmer.kept)


class Skimmer:
    """Keeps JSON as it is read, but for some values. Such a value ends at the first comma or
    closing bracket that is not inside of it.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[str] = []
        self.size = 0
        self.parts = 0
        self.keeping = True
        self.in_string = False  # that began in an earlier piece of the file
        self.held = ""  # the end of a piece, which can only be understood with the next one
        self.depth = 0  # in what is being left out
        self.untried = False  # whether it may go on to the end of this piece
        self.shown: dict[str, None] = {}  # there, in order
        self.tail = ""  # of what was read of it last

    def read(self, text: str) -> None:
        """Read the next piece of the file."""
        text = self.held + text
        self.held = ""
        self.untried = True
        place = 0
        while place < len(text):
            if self.in_string:
                place = self.read_string(text, place)
            elif self.keeping:
                place = self.read_kept(text, place)
            else:
                place = self.read_left_out(text, place)

    def read_string(self, text: str, place: int) -> int:
        """Go to the end of a string, and return where it is."""
        end = end_of(IN_STRING, text, place)
        self.in_string = end == len(text) or text[end] == "\\"
        if self.in_string:  # a backslash at the end of a piece belongs to what comes next
            self.held = text[end:]
            self.take(text[place:end])
            return len(text)
        self.take(text[place : end + 1])
        return end + 1

    def read_kept(self, text: str, place: int) -> int:
        """Keep all up to a value that is to be left out, and return where its key ends."""
        end = end_of(UP_TO_KEY, text, place)
        self.keep(text[place:end])
        self.parts += sum(map(STRINGS.sub("", text[place:end]).count, "[{"))
        if self.parts > MOST_PARTS:
            raise TooMuch
        key = KEY.match(text, end)
        if key is not None and key[1]:
            self.keep(key[0])
            self.keeping = False
            self.depth = 0
            self.shown = {}
            self.tail = ""
            return key.end()
        if len(text) - end <= LONGEST_KEY:  # a key may be cut in two
            self.held = text[end:]
            return len(text)
        self.in_string = True
        self.keep('"')
        return end + 1

    def read_left_out(self, text: str, place: int) -> int:
        """Go to the next bracket in what is left out, or to its end, and return where it is."""
        if self.depth and self.untried:
            self.untried = False
            end = self.end_if_it_goes_on(text, place)
            if end > place:
                self.take(text[place:end])
                return end
        if self.depth:
            end = end_of(UP_TO_BRACKET, text, place)
        else:
            edge = EDGE.search(text, place)
            end = len(text) if edge is None else edge.start()
        self.take(text[place:end])
        sign = text[end : end + 1]
        if sign == '"':
            self.in_string = True
        elif sign and sign in "[{":
            self.depth += 1
        elif self.depth:
            self.depth -= bool(sign)
        elif sign:
            self.keeping = True
            self.keep(json.dumps(list(self.shown)[:MOST_SHOWN]))
            return end
        return end + 1

    def end_if_it_goes_on(self, text: str, place: int) -> int:
        """Where the piece ends, or its last string begins, if what is left out does not end before;
        otherwise the same place. This is for outputs of millions of numbers.
        """
        bare = STRINGS.sub("", text[place:])
        end = len(text)
        if '"' in bare:
            end -= len(bare) - bare.index('"')
            bare = bare[: bare.index('"')]
        signs = np.frombuffer(bare.encode("ascii", "replace"), dtype=np.uint8)
        depths = self.depth + np.cumsum(DEEPER[signs], dtype=np.int64)
        if not len(depths) or depths.min() < 1:
            return place
        self.depth = int(depths[-1])
        return end

    def take(self, text: str) -> None:
        """Keep a piece of the file, or look at what is shown there if it is being left out."""
        if self.keeping:
            self.keep(text)
        elif text and len(self.shown) < MOST_SHOWN:
            seen = self.tail + text
            self.shown.update(dict.fromkeys(names_shown(seen)))
            self.tail = seen[-LONGEST_CARD:]

    def keep(self, text: str) -> None:
        """Keep a piece of the file."""
        self.size += len(text)
        if self.size > self.most:
            raise TooMuch
        self.kept.append(text)


def end_of(pattern: re.Pattern[str], text: str, place: int) -> int:
    """Where a match of a pattern ends that begins at a place; it may be empty."""
    found = pattern.match(text, place)
    return place if found is None else found.end()
