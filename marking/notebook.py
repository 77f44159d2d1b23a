"""What a student calls in a notebook: ask a question, get a hint, check an answer, draw an answer
beside the target.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from marking.cells import DID_NOT_RUN, Definitions
from marking.course import Course, missing
from marking.diagnosis import RIGHT
from marking.engine import NOT_ANSWERED, NOT_WRITTEN, SECONDS, Verdict, judge, unwritten
from marking.exercise import (
    BugHunt,
    Choice,
    Exercise,
    HandNumber,
    Picture,
    Question,
    lesson_of,
)
from marking.hints import HINTS, hint_in_words, offer
from marking.hunting import Answering
from marking.outcome import (
    Attempt,
    Outcome,
    Slow,
    attempt_of,
    copied,
    error_in_words,
    error_with_line,
    in_the_form_of,
    limited,
    no_function_in_words,
    outcome_of,
    slow_in_words,
    source_text,
)
from marking.pages import render
from marking.sandbox.wire import remote_function
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
    """The functions that the notebooks of a course import.

    Args:
        course: loads the course. It is called when a function is, so that importing the functions
            stays fast.
        install: the command that installs what the course needs, named if some of it is missing.
    """

    course: Callable[[], Course]
    install: str
    # how many hints were shown so far, by question
    hints_shown: dict[str, int] = field(default_factory=dict, init=False, compare=False)

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
        if isinstance(question, Exercise | BugHunt):
            if answer is None or answer is ...:
                raise CheckFailed(name, unwritten(question))
            if not callable(answer):
                variable = self.course().variable_of(name)
                raise NoFunction(f"{name}: {no_function_in_words(name, variable, answer)}.")
            fresh = secrets.randbits(32) if seed is None else seed
            if isinstance(question, Exercise):
                verdict = judge(
                    question,
                    lambda args: call_here(answer, args),
                    fresh,
                    source=lambda: source_text(answer),
                )
            else:
                names = question.exercise.arguments
                verdict = judge(question, functools.partial(attempt_here, answer, names), fresh)
        else:
            verdict = judge(question, answer, 0, student)
        if verdict.passed:
            show_card("✓", paragraphs(verdict.message, *self.after_solving(question)))
            return
        if in_notebook():
            show_card("✗", paragraphs(verdict.message, offer(question)))
            if isinstance(question, Exercise) and question.picture and verdict.computed:
                yours, target = results_on(question.picture, answer, question.reference)
                difference = beside_in_words(target, yours, ALIKE)
                caption = f"Your answer and the target, for an example: {difference}"
                self.show_beside(question.picture, yours, target, caption)
            if isinstance(question, BugHunt) and verdict.lives:
                self.show_alive(question, verdict.lives)
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
            whose = str(student or "")
            if not whose.strip():
                raise WrongName(
                    f"{name} has values of your own: give your name, as in STUDENT = 'Ada Lovelace'"
                )
            text = question.question.format(**question.values_for(whose))
        elif isinstance(question, Choice):
            options = [f"{letter}  {option}" for letter, option in question.options.items()]
            text = question.question + "\n\n" + "\n".join(options)
        elif isinstance(question, BugHunt):
            tested = question.exercise
            text = (
                f"{question.variable}(function) raises an error if the function is wrong."
                f" function({', '.join(tested.arguments)}) should return {tested.returns}"
            )
        else:
            text = f"{name}({', '.join(question.arguments)}) returns {question.returns}"
        show_card("?", text)

    @saying_what_to_install
    def hint(self, name: str) -> None:
        """Show a hint for a function to write: a clearer one at each call, up to the last.

        Args: name, of the exercise, such as "roots.discriminant".

        Raises: ValueError for an unknown name.
        """
        question = self.question(name)
        number = min(self.hints_shown.get(name, 0) + 1, HINTS)
        show_card("?", hint_in_words(question, number))
        self.hints_shown[name] = number

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

    def show_beside(
        self, picture: Picture, yours: Outcome, target: Outcome, caption: str, **titles: Any
    ) -> None:
        """Show an answer beside the target, as the course draws them."""
        draw_beside = self.course().draw_beside
        assert draw_beside is not None  # a course with pictures has one
        show_html(draw_beside(picture.how, yours, target, caption, **titles), caption)

    def show_alive(self, question: BugHunt, name: str) -> None:
        """Show a wrong function beside the right one, if there is a picture of them."""
        (variant,) = (one for one in question.wrong_ones() if one.name == name)
        picture = question.exercise.picture
        if picture:
            wrong, right = results_on(picture, variant.function, question.exercise.reference)
            caption = f"What your test accepts: {name}."
            self.show_beside(picture, wrong, right, caption, titles=("wrong", "right"))

    def question(self, name: str) -> Question:
        """The question of that name.

        Raises: ValueError for an unknown name, naming those that are similar.
        """
        return question_named(self.course().bank, name)

    def after_solving(self, question: Question) -> list[str]:
        """What is said once a function is right: why it works, and where the course uses it."""
        if not isinstance(question, Exercise):
            return []
        where_used = self.course().after_solving
        return [question.after, where_used(question.name) if where_used else ""]


def question_named(bank: Mapping[str, Question], name: str) -> Question:
    """The question of that name in a bank.

    Raises: ValueError for an unknown name, naming those of the lesson if it is one, else the three
        that are most similar.
    """
    if name not in bank:
        near = [question for question in bank if lesson_of(question) == name]
        near = near or difflib.get_close_matches(str(name), bank, n=3, cutoff=0)
        raise WrongName(
            f"expected the name of an exercise, such as {', '.join(near)}, got {name!r}"
        )
    return bank[name]


def paragraphs(*parts: str) -> str:
    """The parts of a message, those that say nothing left out."""
    return "\n\n".join(part for part in parts if part)


def results_on(
    picture: Picture, answer: Callable[..., Any], target: Callable[..., Any]
) -> tuple[Outcome, Outcome]:
    """The outcomes of an answer and of the target on the arguments that are to be drawn."""
    yours, wanted = (
        call_here(function, [copied(arg) for arg in picture.args]) for function in (answer, target)
    )
    return in_the_form_of(wanted, yours, ALIKE), wanted


def attempt_here(
    test: Callable[..., Any], arguments: Sequence[str], answering: Answering, seed: int
) -> Attempt:
    """Let a student's test judge a function of these arguments in this process, within its time."""
    why_old = reason_not_to_call(test)
    if why_old:
        return Attempt(True, why_old, DID_NOT_RUN)
    try:
        with remote_function(arguments, answering) as function, limited(SECONDS):
            attempt = attempt_of(test, function, seed)
    except Slow:
        return Attempt(True, slow_in_words(SECONDS), "Slow")
    return replace(attempt, calls=answering.calls)


def reason_not_to_call(answer: Any) -> str:
    """Why a student's function is older than its cell, in words; empty if it is not."""
    watched = watch_cells()
    return watched.why_old(answer) if watched else ""


def call_here(function: Callable[..., Any], args: Sequence[Any]) -> Outcome:
    """Call a student's function in this process; one that does not end is interrupted, and one that
    is older than its cell is not called.
    """
    why_old = reason_not_to_call(function)
    if why_old:
        return Outcome(None, error=why_old, error_name=DID_NOT_RUN)
    try:
        with limited(SECONDS):
            return outcome_of(function, args, describe=error_with_line)
    except Slow:
        return Outcome(None, error=slow_in_words(SECONDS), error_name="Slow")


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
