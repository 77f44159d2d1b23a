"""What a student calls in a notebook: ask a question, check an answer, draw an answer beside the
target.
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from marking.course import Course
from marking.engine import SECONDS, Verdict, judge
from marking.exercise import Choice, Exercise, HandNumber, Picture, Question, function_of
from marking.outcome import Outcome, Slow, copied, error_with_line, limited, outcome_of, same
from marking.pages import render

# of Okabe and Ito's palette, which can be told apart with any colour vision
EDGES = {"✓": "#009E73", "✗": "#D55E00", "?": "#0072B2"}


class OneLineError:
    """An error that a notebook shows in one line, without the code of the check."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {str(self).partition(chr(10))[0]}"]


class CheckFailed(OneLineError, AssertionError):
    """A wrong answer. `mistake` says in words what it does instead, or is None."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.mistake = verdict.mistake


class WrongName(OneLineError, ValueError):
    """There is no question of that name, or the student's name is missing."""


class NoFunction(OneLineError, TypeError):
    """The answer to an exercise is not a function."""


@dataclass(frozen=True)
class Tutor:
    """The three functions that the notebooks of a course import.

    Args:
        course: loads the course. It is called when a function is, so that importing the functions
            stays fast.
    """

    course: Callable[[], Course]

    def check(self, name: str, answer: Any, *, student: str = "", seed: int | None = None) -> None:
        """Check an answer on fresh inputs.

        Args:
            name: of the exercise, such as "roots.discriminant".
            answer: the function; for a number worked out by hand the number, for a prediction its
                letter.
            student: for numbers worked out by hand, the name given to `ask`.
            seed: of the inputs; a new one at each call if None.

        Raises: CheckFailed, an AssertionError, for a wrong answer; ValueError for an unknown name;
            TypeError for an answer that is not a function where one is expected.
        """
        question = self.question(name)
        if isinstance(question, Exercise):
            if not callable(answer):
                example = f"check({name!r}, {function_of(name)})"
                raise NoFunction(
                    f"{name} expects the function itself, as in {example}, got {answer!r}"
                )
            fresh = secrets.randbits(32) if seed is None else seed
            verdict = judge(question, lambda args: call_here(answer, args), fresh)
        else:
            verdict = judge(question, answer, 0, student)
        if verdict.passed:
            show_card("✓", verdict.message)
            return
        if in_notebook():
            show_card("✗", verdict.message)
            if isinstance(question, Exercise) and question.picture and verdict.computed:
                yours, target = results_on(question.picture, answer, question.reference)
                caption = "Your answer on the left, the target on the right, for an example."
                html = self.course().draw_beside(question.picture.how, yours, target, caption)
                show_html(html, caption)
        raise CheckFailed(verdict)

    def ask(self, name: str, student: str = "") -> None:
        """Show a question: the values of a number to work out, or the options of a prediction.

        Args:
            name: of the question, such as "roots.by_hand".
            student: your name, which the values depend on; not needed for a prediction.

        Raises: ValueError for an unknown name, or if the student's name is needed and missing.
        """
        question = self.question(name)
        if isinstance(question, HandNumber):
            if not student.strip():
                raise WrongName(
                    f"{name} has values of your own: give your name, as in STUDENT = 'Ada Lovelace'"
                )
            text = question.question.format(**question.values_for(student))
        elif isinstance(question, Choice):
            options = [f"{letter}  {option}" for letter, option in question.options.items()]
            text = question.question + "\n\n" + "\n".join(options)
        else:
            text = f"{name}({', '.join(question.arguments)}) returns {question.returns}"
        show_card("?", text)

    def beside(self, name: str, answer: Callable[..., Any]) -> None:
        """Draw the answer to a stretch question beside the target.

        Raises: ValueError for an unknown name.
        """
        stretches = self.course().stretches
        if name not in stretches:
            raise WrongName(f"expected one of {', '.join(stretches)}, got {name!r}")
        question = stretches[name]
        yours, target = results_on(question.picture, answer, question.target)
        alike = yours.value is not None and same(target, yours, 1e-3)
        comparison = yours.error or ("they agree" if alike else "they differ")
        caption = f"{name}: your answer on the left, the target on the right; {comparison}."
        html = self.course().draw_beside(question.picture.how, yours, target, caption)
        show_html(html, caption)

    def question(self, name: str) -> Question:
        """The question of that name.

        Raises: ValueError for an unknown name, naming those that are similar.
        """
        bank = self.course().bank
        if name not in bank:
            near = difflib.get_close_matches(str(name), bank, n=3, cutoff=0.4) or list(bank)
            raise WrongName(
                f"expected the name of an exercise, such as {', '.join(near)}, got {name!r}"
            )
        return bank[name]


def results_on(picture: Picture, *functions: Callable[..., Any]) -> list[Outcome]:
    """The outcome of each function on the arguments that are to be drawn."""
    return [call_here(function, [copied(arg) for arg in picture.args]) for function in functions]


def call_here(function: Callable[..., Any], args: Sequence[Any]) -> Outcome:
    """Call a student's function in this process; one that does not end is interrupted."""
    try:
        with limited(SECONDS):
            return outcome_of(function, args, describe=error_with_line)
    except Slow:
        slow = f"it took over {SECONDS} s; look for a loop that does not end"
        return Outcome(None, error=slow, error_name="Slow")


def in_notebook() -> bool:
    """Whether IPython is there to display cards."""
    from IPython import get_ipython

    return get_ipython() is not None


def show_card(sign: str, message: str) -> None:
    """Show a message: as a card in a notebook, as text elsewhere."""
    show_html(card(sign, message), f"{sign} {message}")


def show_html(html: str, text: str) -> None:
    """Show HTML in a notebook, or the text that says the same elsewhere."""
    if not in_notebook():
        print(text)
        return
    from IPython.display import display

    data = {"text/html": html, "text/plain": text}
    display(data, raw=True)


def card(sign: str, message: str) -> str:
    """A message as a box with a coloured edge; paragraphs of several lines keep their layout."""
    return render("card.html", sign=sign, colour=EDGES[sign], parts=message.split("\n\n"))
