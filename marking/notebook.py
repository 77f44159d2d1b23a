"""What a student calls in a notebook: ask a question, check an answer, draw an answer beside the
target.
"""

from __future__ import annotations

import difflib
import html
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from marking.engine import SECONDS, Verdict, judge
from marking.exercise import Choice, Exercise, HandNumber, Picture, Question
from marking.outcome import Outcome, Slow, copied, limited, outcome_of, own_line, same
from minddpm_course.bank import BANK, STRETCHES
from minddpm_course.figures import COLOURS
from minddpm_course.figures import show as show_figure
from minddpm_course.pictures import side_by_side


class Told:
    """An error that a notebook tells in one line, without the checker's own code."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {str(self).partition(chr(10))[0]}"]


class CheckFailed(Told, AssertionError):
    """A wrong answer. `mistake` is the name of the known mistake, or None."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.mistake = verdict.mistake


class WrongName(Told, ValueError):
    """A name that no question has, or a student's name that is missing."""


class NoFunction(Told, TypeError):
    """Something else where a function is to be checked."""


def find(name: str) -> Question:
    """The question of that name.

    Raises: ValueError for an unknown name, with those that are near.
    """
    if name not in BANK:
        near = difflib.get_close_matches(str(name), BANK, n=3, cutoff=0.4) or list(BANK)
        raise WrongName(f"wanted the name of an exercise, such as {', '.join(near)}, got {name!r}")
    return BANK[name]


def check(name: str, answer: Any, *, student: str = "", seed: int | None = None) -> None:
    """Check an answer, on inputs drawn afresh.

    Args:
        name: of the exercise, "03.posterior_variance".
        answer: the function; for a number worked out by hand the number, for a prediction its
            letter.
        student: for numbers worked out by hand, the name that `ask` was given.
        seed: of the inputs; a new one at each call if None.

    Raises: CheckFailed, an AssertionError, for a wrong answer; ValueError for an unknown name;
        TypeError for an answer that is no function where one is asked.
    """
    question = find(name)
    if isinstance(question, Exercise):
        if not callable(answer):
            raise NoFunction(
                f"{name} wants the function itself, as in check({name!r}, {name[3:]}), got"
                f" {answer!r}"
            )
        fresh = secrets.randbits(32) if seed is None else seed
        verdict = judge(question, lambda args: call_here(answer, args), fresh)
    else:
        verdict = judge(question, answer, 0, student)
    if not verdict.passed:
        if in_notebook():
            show("✗", verdict.message, COLOURS["noise"])
            if isinstance(question, Exercise) and question.picture and verdict.computed:
                picture = side_by_side(
                    question.picture.draw, *drawn(question.picture, answer, question.reference)
                )
                show_figure(
                    picture, "On the left your answer, on the right the target, for an example."
                )
        raise CheckFailed(verdict)
    show("✓", verdict.message, COLOURS["network"])


def ask(name: str, student: str = "") -> None:
    """Show a question: one with numbers of the student's own, or a prediction with its options.

    Raises: ValueError for an unknown name, or where the student's name is wanted and missing.
    """
    question = find(name)
    if isinstance(question, HandNumber):
        if not student.strip():
            raise WrongName(
                f"{name} has numbers of your own: give your name, as in STUDENT = 'Ada Lovelace'"
            )
        show("?", question.question.format(**question.values_for(student)), COLOURS["clean"])
    elif isinstance(question, Choice):
        options = [f"{letter}  {text}" for letter, text in question.options.items()]
        show("?", question.question + "\n\n" + "\n".join(options), COLOURS["clean"])
    else:
        show(
            "?", f"{name}({', '.join(question.arguments)}) gives {question.gives}", COLOURS["clean"]
        )


def beside(name: str, answer: Callable[..., Any]) -> None:
    """Draw an answer to a stretch question beside the target.

    Raises: ValueError for an unknown name.
    """
    if name not in STRETCHES:
        raise WrongName(f"wanted one of {', '.join(STRETCHES)}, got {name!r}")
    question = STRETCHES[name]
    yours, target = drawn(question.picture, answer, question.target)
    alike = yours.value is not None and same(target, yours, 1e-3)
    words = yours.error or ("they are alike" if alike else "they differ")
    figure = side_by_side(question.picture.draw, yours, target)
    show_figure(figure, f"{name}: on the left your answer, on the right the target; {words}.")


def drawn(picture: Picture, *functions: Callable[..., Any]) -> list[Outcome]:
    """What each function gives for what it is to be drawn on."""
    return [call_here(function, [copied(arg) for arg in picture.args]) for function in functions]


def call_here(function: Callable[..., Any], args: Sequence[Any]) -> Outcome:
    """Call a student's function in this process; one that does not end is interrupted."""
    try:
        with limited(SECONDS):
            return outcome_of(function, args, describe=own_line)
    except Slow:
        return Outcome(
            None,
            error=f"it took over {SECONDS} s; look for a loop that does not end",
            error_name="Slow",
        )


def in_notebook() -> bool:
    """Whether there is an IPython to display cards."""
    from IPython import get_ipython

    return get_ipython() is not None


def show(sign: str, message: str, colour: str) -> None:
    """Display a card in a notebook, plain text elsewhere."""
    from IPython.display import display

    if in_notebook():
        display(
            {"text/html": card(sign, message, colour), "text/plain": f"{sign} {message}"}, raw=True
        )
    else:
        print(f"{sign} {message}")


def card(sign: str, message: str, colour: str) -> str:
    """A message as a box with a coloured edge."""
    first, *others = message.split("\n\n")
    body = "".join(paragraph(text) for text in others)
    style = f"border-left:4px solid {colour}; padding:6px 12px; margin:4px 0"
    return (
        f'<div style="{style}"><b style="color:{colour}">{sign}</b>'
        f" {html.escape(first)}{body}</div>"
    )


def paragraph(text: str) -> str:
    """A part of a message: words that wrap, or several lines that are set one below the other."""
    if "\n" not in text:
        return f'<div style="margin-top:6px">{html.escape(text)}</div>'
    style = (
        "margin:6px 0 0; white-space:pre-wrap; word-break:normal; overflow-wrap:anywhere;"
        " line-height:1.3"
    )
    return f'<pre style="{style}">{html.escape(text)}</pre>'
