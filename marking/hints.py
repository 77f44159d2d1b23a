"""Hints for a function that is to be written, in the words in which a student reads them."""

from __future__ import annotations

from marking.exercise import Exercise, Question

HINTS = 3  # for each function that has any


def hint_in_words(question: Question, number: int) -> str:
    """A hint for a question, or why there is none.

    Args:
        question: any question.
        number: of the hint, from 1 to HINTS; the last is the clearest.
    """
    if not isinstance(question, Exercise):
        return f"{question.name}: there are hints for functions only."
    if not question.hints:
        return f"{question.name}: there are no hints for this function."
    parts = [f"{question.name}: hint {number} of {HINTS}.", question.hints[number - 1]]
    if number == HINTS:
        parts.append(
            "This is the last hint. You lose nothing by taking hints: they cost no points."
        )
    return "\n\n".join(parts)


def offer(question: Question) -> str:
    """The line that tells a student who is stuck how to get a hint; empty where there is none."""
    if isinstance(question, Exercise) and question.hints:
        return f'Stuck? hint("{question.name}") gives you a hint.'
    return ""
