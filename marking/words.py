"""Words that depend on a number, or on what else is said, and text that does no harm where it is
shown.
"""

import re

# what hides, moves or turns round other text, or steers a terminal: control characters, signs of
# direction, invisible spaces, halves of pairs. What joins letters and emoji stays
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff]"
)


def counted(count: int, noun: str) -> str:
    """So many things: "1 notebook", "2 notebooks"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def known_mistake_in_words(name: str, explanation: str) -> str:
    """A known mistake by its name and its explanation; without the name where the explanation
    begins with its words, so that nothing is said twice.
    """
    first = set(re.findall(r"\w+", re.split(r"[.:] ", explanation)[0].casefold()))
    repeated = set(re.findall(r"\w+", name.casefold())) - {"a", "an", "the"} <= first
    return (
        f"A known mistake. {explanation}" if repeated else f"A known mistake: {name}. {explanation}"
    )


def harmless(text: str) -> str:
    """Text in which a character that is not seen but does something stands as its number: a name
    cannot clear a terminal, or turn round what stands beside it. Lines and tabs stay.
    """
    return UNSEEN.sub(number_of_character, text.replace("\r\n", "\n"))


def number_of_character(found: re.Match[str]) -> str:
    """A character as Python writes its number."""
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def on_one_line(text: str) -> str:
    """Harmless text on one line."""
    return harmless(" ".join(text.split()))


def shortly(number: float) -> str:
    """A number of points: "2", "2.5"."""
    return f"{number:g}"
