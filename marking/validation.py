"""Whether the questions of a course can be asked, checked and graded: an author's slip shows when
the course is made, and not in a student's notebook.
"""

from __future__ import annotations

import itertools
import json
import keyword
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from marking.diagnosis import expected, problem_of
from marking.exercise import (
    BugHunt,
    Case,
    Choice,
    Exercise,
    HandNumber,
    Inputs,
    Picture,
    Question,
    Stretch,
    Variant,
    lesson_of,
)
from marking.hints import HINTS
from marking.hunting import Answering
from marking.outcome import Made, copied, in_the_form_of, outcome_of, precise
from marking.sandbox import wire
from marking.words import counted

SEEDS = range(3)  # of the inputs that are tried
MOST_DECIMALS = 9  # that a calculator shows
STUDENTS = ("Ada Lovelace", "Emmy Noether", "Sofya Kovalevskaya")  # whose values are tried


def validate(
    bank: Mapping[str, Question],
    stretches: Mapping[str, Stretch],
    variable_of: Callable[[str], str],
    draws: bool,
) -> None:
    """Try every question of a course.

    Args:
        bank: the questions by name.
        stretches: the ungraded questions by name.
        variable_of: the variable that holds the answer to a question.
        draws: whether the course can draw.

    Raises: ValueError, naming the question and what is wrong with it.
    """
    named: Mapping[str, Question | Stretch] = {**bank, **stretches}
    for name, question in named.items():
        require(name == question.name, question, f"it stands under another name, {name!r}")
        check_name(question)
    check_variables(bank, variable_of)
    for question in bank.values():
        require(
            type(question.points) is int and question.points > 0,
            question,
            f"points must be a positive integer, got {question.points!r}",
        )
        if isinstance(question, Exercise):
            check_exercise(question)
        elif isinstance(question, BugHunt):
            check_hunt(question)
        elif isinstance(question, HandNumber):
            check_hand_number(question)
        else:
            check_choice(question)
    for stretch in stretches.values():
        check_picture(stretch, stretch.picture, stretch.target)
    for question in named.values():
        pictured = isinstance(question, Stretch | Exercise) and question.picture is not None
        reason = "it has a picture, but the course has no draw_beside"
        require(draws or not pictured, question, reason)


def require(condition: bool, question: Question | Stretch, reason: str) -> None:
    """Raise ValueError about a question unless a condition holds."""
    if not condition:
        raise ValueError(f"{question.name}: {reason}")


def attempt(
    question: Question | Stretch, what: str, function: Callable[..., Any], *args: Any
) -> Any:
    """Call what an author wrote; an error becomes a ValueError about the question."""
    try:
        return function(*args)
    except Exception as error:
        raise ValueError(
            f"{question.name}: {what} raises {type(error).__name__}: {error}"
        ) from error


def check_name(question: Question | Stretch) -> None:
    """A name is that of a lesson, which begins file names, and one that can be defined."""
    lesson, _, function = question.name.partition(".")
    require(
        re.fullmatch(r"\w+", lesson) is not None and is_identifier(function),
        question,
        "the name must be LESSON.function, made of letters, numbers and underscores",
    )


def is_identifier(name: str) -> bool:
    """Whether Python lets a name be defined."""
    return name.isidentifier() and not keyword.iskeyword(name)


def check_variables(bank: Mapping[str, Question], variable_of: Callable[[str], str]) -> None:
    """A grader finds the answers of a notebook by their names, so these must differ."""
    found: dict[tuple[str, str], str] = {}
    for name, question in bank.items():
        variable = variable_of(name)
        require(is_identifier(variable), question, f"no variable can be called {variable!r}")
        other = found.setdefault((lesson_of(name), variable), name)
        require(other == name, question, f"its answer is {variable!r}, as that of {other}")


def check_exercise(exercise: Exercise) -> None:
    """Its cases can be drawn, sent and answered, and its mistakes explained."""
    for argument in exercise.arguments:
        require(is_identifier(argument), exercise, f"no argument can be called {argument!r}")
    tolerance = exercise.tolerance
    require(0 <= tolerance < 1, exercise, f"tolerance must be from 0 to 1, got {tolerance!r}")
    for seed in SEEDS:
        cases = attempt(exercise, "drawing the cases", drawn, exercise, seed)
        require(len(cases) > 0, exercise, "cases must draw at least one Case, got none")
        for case in cases:
            check_case(exercise, case)
    names = [mistake.name for mistake in exercise.mistakes]
    require(len(set(names)) == len(names), exercise, "two mistakes have the same name")
    for mistake in exercise.mistakes:
        which = f"the example of {mistake.name!r}"
        check_arguments(exercise, which, mistake.example)
        check_result(exercise, which, exercise.reference, mistake.example)
        fill_in(exercise, f"the explanation of {mistake.name!r}", mistake.why, right="", wrong="")
    if exercise.picture is not None:
        check_picture(exercise, exercise.picture, exercise.reference)
    check_hints(exercise)


def check_hints(exercise: Exercise) -> None:
    """A function has all its hints or none, and each adds something; what is said after is text."""
    hints = exercise.hints
    require(
        isinstance(hints, tuple) and len(hints) in (0, HINTS),
        exercise,
        f"hints must be a tuple of {HINTS} texts, or empty, got {hints_given(hints)}",
    )
    for hint in hints:
        written = isinstance(hint, str) and hint.strip() != ""
        require(written, exercise, f"hints must be texts that say something, got {hint!r}")
    for one, other in itertools.permutations(hints, 2):
        require(one not in other, exercise, f"one hint says nothing new: {one!r}")
    after = exercise.after
    require(isinstance(after, str), exercise, f"after must be a text, got {after!r}")


def hints_given(hints: Any) -> str:
    """How many hints there are, or what there is in their place."""
    return counted(len(hints), "text") if isinstance(hints, tuple) else type(hints).__name__


def check_hunt(question: BugHunt) -> None:
    """What is right is right, what is wrong is wrong, and what both return can be sent."""
    check_exercise(question.exercise)
    names = [variant.name for variant in (*question.right_ones(), *question.wrong_ones())]
    require(len(set(names)) == len(names), question, "two functions have the same name")
    require(len(question.wrong_ones()) > 0, question, "there is no wrong function to catch")
    for variant in question.wrong:
        count = len(question.exercise.arguments)
        require(
            isinstance(variant.example, tuple) and len(variant.example) == count,
            question,
            f"the example of {variant.name!r} must be a tuple of {counted(count, 'value')}",
        )
    for seed in SEEDS:
        cases = drawn(question.exercise, seed)
        for variant in question.right_ones():
            problem = next(problems(question.exercise, variant, cases), "")
            require(not problem, question, f"{variant.name!r} should be right, but {problem}")
        for variant in question.wrong_ones():
            shows = any(problems(question.exercise, variant, cases))
            require(shows, question, f"{variant.name!r} should be wrong, but is right in each case")


def problems(exercise: Exercise, variant: Variant, cases: Sequence[Case]) -> Iterator[str]:
    """What is wrong with the results of a function, as a test sees them."""
    answering = Answering(variant.function, len(exercise.arguments))
    for case in cases:
        wanted = expected(exercise, case)
        with wire.remote_function(exercise.arguments, answering) as function:
            got = outcome_of(function, [copied(arg) for arg in case.args])
        problem = problem_of(exercise, wanted, in_the_form_of(wanted, got, exercise.tolerance))
        if problem:
            yield problem


def drawn(exercise: Exercise, seed: int) -> list[Case]:
    """The cases of one seed."""
    return list(exercise.cases(Inputs(seed)))


def check_case(exercise: Exercise, case: Case) -> None:
    """A case is one that both `check` and the grader can call, and has a right answer."""
    require(
        isinstance(case, Case),
        exercise,
        f"cases must draw instances of Case, got {type(case).__name__}",
    )
    which = f"the case {case.description!r}"
    check_arguments(exercise, which, case.args)
    for name, arg in zip(exercise.arguments, case.args):
        require(
            arrives(arg),
            exercise,
            f"{which}: {name} cannot be sent to a submission, because it is {type_in_words(arg)}",
        )
    check_result(exercise, which, exercise.reference, case.args)


def check_arguments(question: Exercise | Stretch, which: str, args: Sequence[Any]) -> None:
    """There is a value for each argument."""
    wanted = counted(len(question.arguments), "value")
    got = counted(len(args), "value") if isinstance(args, tuple) else type(args).__name__
    require(
        isinstance(args, tuple) and len(args) == len(question.arguments),
        question,
        f"{which} must be a tuple of {wanted}, for {', '.join(question.arguments)}, got {got}",
    )


def check_result(
    question: Exercise | Stretch, which: str, function: Callable[..., Any], args: Sequence[Any]
) -> None:
    """The right answer is made of numbers."""
    outcome = outcome_of(function, [precise(arg) for arg in args])
    require(
        outcome.value is not None,
        question,
        f"on {which} the right answer must be made of numbers: {outcome.error}",
    )
    finite = all(np.isfinite(array).all() for array in outcome.value or ())
    require(finite, question, f"on {which} the right answer contains NaN or an infinite value")


def check_picture(
    question: Exercise | Stretch, picture: Picture, target: Callable[..., Any]
) -> None:
    """The right answer can be called as its picture says."""
    check_arguments(question, "the picture", picture.args)
    outcome = outcome_of(target, [copied(arg) for arg in picture.args])
    require(
        outcome.value is not None,
        question,
        f"for the picture the right answer must be made of numbers: {outcome.error}",
    )


def fill_in(question: Question, what: str, text: str, **values: Any) -> None:
    """A text can be filled in with the values there are."""
    try:
        text.format(**values)
    except (ValueError, LookupError, AttributeError) as error:
        places = " and ".join(f"{{{name}}}" for name in values)
        raise ValueError(
            f"{question.name}: {what} may hold {places}, and other braces doubled,"
            f" got {text!r} ({type(error).__name__}: {error})"
        ) from error


def check_hand_number(question: HandNumber) -> None:
    """It can be asked of anyone, and its numbers are numbers."""
    require(
        type(question.decimals) is int and 1 <= question.decimals <= MOST_DECIMALS,
        question,
        f"the decimals must be an integer from 1 to {MOST_DECIMALS}, got {question.decimals!r}",
    )
    for student in STUDENTS:
        values = attempt(question, "drawing the values", question.values, Inputs(0))
        functions = {"the answer": question.answer}
        functions |= {f"the mistake {name!r}": wrong for name, wrong, _ in question.mistakes}
        for what, function in functions.items():
            number = attempt(question, f"working out {what}", partial(function, **values))
            require(
                isinstance(number, int | float)
                and not isinstance(number, bool)
                and math.isfinite(number),
                question,
                f"{what} must be a finite number, got {number!r}",
            )
        values = question.values_for(student)
        fill_in(question, "the question", question.question, **values)
        if question.bounds is not None:
            low = attempt(question, "the lower bound", partial(question.bounds.low, **values))
            high = attempt(question, "the upper bound", partial(question.bounds.high, **values))
            right = question.answer(**values)
            reason = f"the answer must lie within its bounds, {low!r} and {high!r}, got {right!r}"
            require(low <= right <= high, question, reason)


def check_choice(question: Choice) -> None:
    """It has options that can be chosen, and one of them is right."""
    require(len(question.options) > 0, question, "options must have at least one letter, got none")
    for letter in question.options:
        require(
            letter != "" and letter == letter.strip().upper(),
            question,
            f"options must have capital letters, got {letter!r}",
        )
    letters = ", ".join(question.options)
    for what, used in (("right", [question.right]), ("replies", question.replies)):
        for letter in used:
            require(
                letter in question.options,
                question,
                f"{what} must be of the options {letters}, got {letter!r}",
            )


def arrives(arg: Any) -> bool:
    """Whether a submission is handed an argument as it was drawn."""
    try:
        values, arrays = wire.pack([arg])
        if any(str(array.dtype) not in wire.DTYPES for array in arrays):
            return False
        (sent,) = wire.unpack(json.loads(json.dumps(values)), arrays, Made)
    except Exception:  # whatever an argument raises that cannot be sent
        return False
    if isinstance(arg, Made):
        return (
            isinstance(sent, Made)
            and sent.code == arg.code
            and set(sent.tensors) == set(arg.tensors)
        )
    if isinstance(arg, Tensor):
        return isinstance(sent, Tensor) and sent.dtype == arg.dtype and sent.shape == arg.shape
    # a list would arrive too, but `check` does not copy it, and an answer may change it
    plain = isinstance(arg, int | float | str | None)
    return plain and type(sent) is type(arg)


def type_in_words(arg: Any) -> str:
    """What an argument is, in words."""
    if not isinstance(arg, Tensor):
        return f"of type {type(arg).__name__}"
    if arg.requires_grad:
        return "a tensor that requires a gradient"
    return f"a tensor of {str(arg.dtype).removeprefix('torch.')} on {arg.device}"
