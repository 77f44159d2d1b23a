"""Words that depend on a number."""


def counted(count: int, noun: str) -> str:
    """So many things: "1 notebook", "2 notebooks"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
