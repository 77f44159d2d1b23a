"""Words that depend on a number, or on what else is said."""

import re


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


def shortly(number: float) -> str:
    """A number of points: "2", "2.5"."""
    return f"{number:g}"
