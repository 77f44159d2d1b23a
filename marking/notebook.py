"""What a student calls in a notebook: ask a question, check an answer, draw an answer beside the
target.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from marking.cells import DID_NOT_RUN, Definitions
from marking.course import Course, missing
from marking.diagnosis import RIGHT
from marking.engine import NOT_ANSWERED, NOT_WRITTEN, SECONDS, Verdict, judge
from marking.exercise import Choice, Exercise, HandNumber, Picture, Question, function_of
from marking.outcome import (
    Outcome,
    Slow,
    copied,
    error_in_words,
    error_with_line,
    in_the_form_of,
    limited,
    outcome_of,
    shown,
    source_text,
)
from marking.pages import render
from marking.where import beside_in_words

P = ParamSpec("P")
R = TypeVar("R")
# of Okabe and Ito's palette, which can be told apart with any colour vision
EDGES = {"✓": "#009E73", "✗": "#D55E00", "?": "#0072B2"}
ALIKE = 1e-3  # the error allowed in what is drawn, as a share of the largest number


class OneLineError:
    """An error that a notebook shows in one line, without the code of the check."""

    def one_line(self) -> str:
        """What the line says."""
        return str(self).partition("\n")[0]

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self.one_line()}"]


class CheckFailed(OneLineError, AssertionError):
    """A wrong answer. `mistake` says in words what it does instead, or is None."""

    def __init__(self, name: str, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.name = name
        self.mistake = verdict.mistake
        self.summary = verdict.summary

    def one_line(self) -> str:
        """Only which answer it is: a notebook shows the message on a card above this line."""
        unanswered = self.summary in (NOT_WRITTEN, NOT_ANSWERED)
        return f"{self.name} is {self.summary if unanswered else 'not right yet'}"


class WrongName(OneLineError, ValueError):
    """There is no question of that name, or the student's name is missing."""


class NoFunction(OneLineError, TypeError):
    """The answer to an exercise is not a function."""


class NotInstalled(OneLineError, ModuleNotFoundError):
    """A package that the course needs is missing; the message says how to install it."""


def saying_what_to_install(
    function: Callable[Concatenate[Tutor, P], R],
) -> Callable[Concatenate[Tutor, P], R]:
    """Let a function of a Tutor say in one line which package is missing."""

    @functools.wraps(function)
    def run(tutor: Tutor, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(tutor, *args, **kwargs)
        except ModuleNotFoundError as error:
            raise NotInstalled(missing(error, tutor.install), name=error.name) from error

    return run


@dataclass(frozen=True)
class Tutor:
    """The three functions that the notebooks of a course import.

    Args:
        course: loads the course. It is called when a function is, so that importing the functions
            stays fast.
        install: the command that installs what the course needs, named if some of it is missing.
    """

    course: Callable[[], Course]
    install: str

    def __post_init__(self) -> None:
        watch_cells()

    @saying_what_to_install
    def check(
        self, name: str, answer: Any, *more: Any, student: str = "", seed: int | None = None
    ) -> None:
        """Check an answer on fresh inputs.

        Args:
            name: of the exercise, such as "roots.discriminant".
            answer: the function; for a number worked out by hand the number, for a prediction its
                letter.
            more: what stands behind a comma in a number, as in 0,27: it is asked back.
            student: for numbers worked out by hand, the name given to `ask`.
            seed: of the inputs; a new one at each call if None.

        Raises: CheckFailed, an AssertionError, for a wrong answer; ValueError for an unknown name;
            TypeError for an answer that is not a function where one is expected.
        """
        question = self.question(name)
        answer = (answer, *more) if more else answer
        if isinstance(question, Exercise):
            if not callable(answer):
                example = f"check({name!r}, {function_of(name)})"
                raise NoFunction(
                    f"{name} expects the function itself, as in {example}, got {shown(answer)}"
                )
            fresh = secrets.randbits(32) if seed is None else seed
            verdict = judge(
                question,
                lambda args: call_here(answer, args),
                fresh,
                source=lambda: source_text(answer),
            )
        else:
            verdict = judge(question, answer, 0, student)
        if verdict.passed:
            show_card("✓", verdict.message)
            return
        if in_notebook():
            show_card("✗", verdict.message)
            if isinstance(question, Exercise) and question.picture and verdict.computed:
                yours, target = results_on(question.picture, answer, question.reference)
                difference = beside_in_words(target, yours, ALIKE)
                caption = f"Your answer and the target, for an example: {difference}"
                self.show_beside(question.picture, yours, target, caption)
        raise CheckFailed(name, verdict)

    @saying_what_to_install
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

    @saying_what_to_install
    def beside(self, name: str, answer: Callable[..., Any]) -> None:
        """Draw the answer to a stretch question beside the target.

        Raises: ValueError for an unknown name.
        """
        stretches = self.course().stretches
        if name not in stretches:
            names = ", ".join(stretches) or "the stretch questions, of which there are none"
            raise WrongName(f"expected one of {names}, got {name!r}")
        question = stretches[name]
        yours, target = results_on(question.picture, answer, question.target)
        difference = beside_in_words(target, yours, ALIKE)
        caption = f"{name}, your answer and the target: {difference}"
        self.show_beside(question.picture, yours, target, caption)

    def show_beside(self, picture: Picture, yours: Outcome, target: Outcome, caption: str) -> None:
        """Show an answer beside the target, as the course draws them."""
        draw_beside = self.course().draw_beside
        assert draw_beside is not None  # a course with pictures has one
        show_html(draw_beside(picture.how, yours, target, caption), caption)

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


def results_on(
    picture: Picture, answer: Callable[..., Any], target: Callable[..., Any]
) -> tuple[Outcome, Outcome]:
    """The outcomes of an answer and of the target on the arguments that are to be drawn."""
    yours, wanted = (
        call_here(function, [copied(arg) for arg in picture.args]) for function in (answer, target)
    )
    return in_the_form_of(wanted, yours, ALIKE), wanted


def call_here(function: Callable[..., Any], args: Sequence[Any]) -> Outcome:
    """Call a student's function in this process; one that does not end is interrupted, and one that
    is older than its cell is not called.
    """
    watched = watch_cells()
    why_old = watched.why_old(function) if watched else ""
    if why_old:
        return Outcome(None, error=why_old, error_name=DID_NOT_RUN)
    try:
        with limited(SECONDS):
            return outcome_of(function, args, describe=error_with_line)
    except Slow:
        slow = f"it took over {SECONDS} s; look for a loop that does not end"
        return Outcome(None, error=slow, error_name="Slow")


WATCHED: dict[int, Definitions] = {}  # by the identity of the shell


def watch_cells() -> Definitions | None:
    """What is known of the cells of this notebook since the first call; None outside of one."""
    if "IPython" not in sys.modules or not in_notebook():
        return None
    from IPython import get_ipython

    shell = get_ipython()
    if id(shell) not in WATCHED:
        cells = WATCHED[id(shell)] = Definitions(shell.user_ns)
        shell.events.register("pre_run_cell", lambda info: cells.begin(info.raw_cell))
        shell.events.register("post_run_cell", lambda result: cells.end(error_of(result)))
    return WATCHED[id(shell)]


def error_of(result: Any) -> str:
    """The error that ended a cell, in words; empty if none did."""
    error = result.error_before_exec or result.error_in_exec
    return error_in_words(error) if error else ""


def in_notebook() -> bool:
    """Whether IPython is there to display cards."""
    ipython = sys.modules.get("IPython")  # it need not be installed to check an answer in a script
    return ipython is not None and ipython.get_ipython() is not None


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
    """A message as a box with a coloured edge; paragraphs of several lines keep their layout, and
    what carets point at is marked in the line itself.
    """
    first, *others = message.split("\n\n")
    parts = [marked_lines(part) if "\n" in part else part for part in others]
    return render("card.html", sign=sign, colour=EDGES[sign], first=first, parts=parts)


def marked_lines(part: str) -> list[list[tuple[str, bool]]]:
    """The lines of a paragraph, each in pieces that are marked or not: a line of carets below two
    formulas becomes the marks of the line before it.
    """
    texts = part.split("\n")
    compared = texts[0].startswith(RIGHT)
    lines: list[list[tuple[str, bool]]] = []
    for text in texts:
        if compared and lines and re.fullmatch(r"[ ^]*\^", text):
            above = "".join(piece for piece, _ in lines[-1])
            ends = [edge for run in re.finditer(r"\^+", text) for edge in run.span()]
            cuts = [0, *ends, len(above)]
            lines[-1] = [
                (above[start:stop], place % 2 == 1)
                for place, (start, stop) in enumerate(itertools.pairwise(cuts))
                if start < stop
            ]
        else:
            lines.append([(text, False)])
    return lines
