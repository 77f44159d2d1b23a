"""Judge an answer: call it on fresh inputs, compare with the reference, and name the mistake if it
is a known one.
"""

from __future__ import annotations

import reprlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from marking.exercise import ALLOWED, Case, Choice, Exercise, HandNumber, Inputs, Mistake, Question
from marking.outcome import Outcome, brief, copied, outcome_of, precise, same, scale, told

SECONDS = 20  # a check that takes longer says so
UNWRITTEN = ("NotImplementedError",)


@dataclass(frozen=True)
class Verdict:
    """The judgement of one answer.

    Args:
        passed: whether it is right.
        message: for who wrote it, with the numbers.
        mistake: the name of the known mistake, if it is one.
        summary: one line without the inputs or the expected numbers.
        explanation: of the known mistake, without them too.
        computed: whether a function gave numbers, which may be drawn.
    """

    passed: bool
    message: str
    mistake: str | None = None
    summary: str = ""
    explanation: str = ""
    computed: bool = False


Call = Callable[[Sequence[Any]], Outcome]


def judge(question: Question, answer: Any, seed: int, student: str = "") -> Verdict:
    """Judge an answer to a question.

    Args:
        question: an Exercise, a HandNumber or a Choice.
        answer: for an exercise a Call; else the number, or the letter.
        seed: of the inputs.
        student: whose numbers to take for a HandNumber.
    """
    if isinstance(question, Exercise):
        return judge_function(question, answer, seed)
    if isinstance(question, HandNumber):
        return judge_number(question, answer, student)
    return judge_choice(question, answer)


def judge_function(exercise: Exercise, call: Call, seed: int) -> Verdict:
    """Call the answer on every case, and once more on the first."""
    cases = list(exercise.cases(Inputs(seed)))
    started = time.perf_counter()
    outcomes, problems = [], []
    for case in [*cases, cases[0]]:
        outcome = call([copied(arg) for arg in case.args])
        if outcome.error_name == "Slow" or time.perf_counter() - started > SECONDS:
            slow = outcome.error or f"it took over {SECONDS} s; a check asks {len(cases) + 1} times"
            return Verdict(False, f"{exercise.name}: {slow}.", summary=slow)
        outcomes.append(outcome)
        problems.append(problem_of(exercise, expected(exercise, case), outcome))
        if outcome.error_name in UNWRITTEN:
            return unwritten(exercise)
    *outcomes, again = outcomes
    failing = [place for place, problem in enumerate(problems[:-1]) if problem]
    if not failing:
        if problems[-1] or not same(outcomes[0], again, exercise.tolerance):
            words = (
                "asked twice with the same input, it gives different results; the answer must not"
                " draw or remember"
            )
            return Verdict(False, f"{exercise.name}: {words}.", summary=words)
        return Verdict(
            True, f"{exercise.name}: right, on {len(cases)} fresh inputs.", summary="right"
        )
    place = min(failing, key=lambda index: size(cases[index]))  # the one that is easiest to read
    problem = problems[place]
    mistake = known_mistake(exercise, cases, outcomes)
    numbers = "\n".join(comparison(exercise, cases[place], outcomes[place]))
    computed = outcomes[place].value is not None
    if mistake is None:
        message = f"{exercise.name}: {problem}.\n\n{numbers}"
        return Verdict(False, message, summary=problem, computed=computed)
    explanation = explain(exercise, mistake)
    message = (
        f"{exercise.name}: {problem}.\n\nA known mistake: {mistake.name}."
        f" {explanation}\n\n{numbers}"
    )
    return Verdict(False, message, mistake.name, problem, explanation, computed)


def unwritten(question: Question) -> Verdict:
    """The verdict on an answer that is not there yet."""
    words = "not written yet"
    wanted = f" It gives {question.gives}." if isinstance(question, Exercise) else ""
    return Verdict(False, f"{question.name}: {words}.{wanted}", summary=words)


def expected(exercise: Exercise, case: Case) -> Outcome:
    """What the reference gives, in float64."""
    return outcome_of(exercise.reference, [precise(arg) for arg in case.args])


def problem_of(exercise: Exercise, wanted: Outcome, got: Outcome) -> str:
    """What is wrong with one outcome, in words; empty if nothing is."""
    assert wanted.value is not None
    if got.value is None:
        return got.error
    values = got.value
    if wanted.several and not got.several and len(values[0]) == len(wanted.value):
        values = tuple(values[0])  # one array that unpacks into as many
    if len(values) != len(wanted.value):
        return (
            f"it returns {count(values)}, where {count(wanted.value)}"
            f" {'are' if wanted.several else 'is'} wanted"
        )
    for place, (want, have) in enumerate(zip(wanted.value, values)):
        which = f"result {place + 1} of {len(values)}" if wanted.several else "the result"
        if have.shape != want.shape:
            return f"{which} has shape {have.shape}, where {want.shape} is wanted"
        if want.dtype.kind == "i" and have.dtype.kind not in "iu":
            return f"{which} is of {have.dtype}, where integers are wanted"
        if want.dtype.kind == "f" and have.dtype.kind != "f" and have.ndim:
            return f"{which} is of {have.dtype}, where floating-point numbers are wanted"
        if not np.isfinite(have).all():
            return f"{which} holds {'NaN' if np.isnan(have).any() else 'an infinite value'}"
        error = np.abs(have.astype(float) - want)
        if error.size and error.max() > exercise.tolerance * scale(want):
            return f"{which} is wrong, by as much as {error.max():.3g}"
    if got.changed:
        names = " and ".join(exercise.arguments[place] for place in got.changed)
        return f"the numbers are right, but the answer changes its input {names} in place"
    return ""


def count(values: Sequence[np.ndarray]) -> str:
    return "one array" if len(values) == 1 else f"{len(values)} arrays"


def size(case: Case) -> int:
    """How many numbers a reader of this case would face."""
    return sum(arg.numel() for arg in case.args if isinstance(arg, Tensor))


def known_mistake(
    exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]
) -> Mistake | None:
    """The known mistake that gives the answer's outcome on every case, if there is one."""
    for mistake in exercise.mistakes:
        theirs = [outcome_of(mistake.wrong, [precise(arg) for arg in case.args]) for case in cases]
        shows = any(
            b.value is not None and problem_of(exercise, expected(exercise, case), b)
            for case, b in zip(cases, theirs)
        )
        if shows and all(same(b, a, exercise.tolerance) for a, b in zip(outcomes, theirs)):
            return mistake
    return None


def explain(exercise: Exercise, mistake: Mistake) -> str:
    """The explanation of a mistake, with what both functions give on its example."""
    right, wrong = (
        outcome_of(function, mistake.example) for function in (exercise.reference, mistake.wrong)
    )
    return mistake.why.format(right=told(right), wrong=told(wrong))


def comparison(exercise: Exercise, case: Case, got: Outcome) -> list[str]:
    """The input, what was expected and what came, for a reader."""
    inputs = ", ".join(f"{name} = {brief(arg)}" for name, arg in zip(exercise.arguments, case.args))
    lines = [
        f"input     {inputs}   ({case.what})",
        f"expected  {told(expected(exercise, case))}   ({exercise.gives})",
    ]
    return lines + ([f"got       {told(got)}"] if got.value is not None else [])


def judge_number(question: HandNumber, answer: Any, student: str) -> Verdict:
    """Compare a number worked out by hand with the right one and with the wrong ones that people
    come to.
    """
    if answer is None or answer is ...:
        return unwritten(question)
    try:
        number = float(answer)
    except (TypeError, ValueError, OverflowError):
        words = f"wanted a number, got {reprlib.repr(answer)}"
        return Verdict(False, f"{question.name}: {words}.", summary=words)
    if not student.strip():
        words = "the numbers are those of a name, and none is given"
        return Verdict(False, f"{question.name}: {words}.", summary=words)
    values = question.values_for(student)
    if abs(number - question.answer(**values)) <= ALLOWED:
        return Verdict(True, f"{question.name}: right.", summary="right")
    for name, wrong, why in question.mistakes:
        if abs(number - wrong(**values)) <= ALLOWED:
            message = f"{question.name}: {number:g} is not it.\n\nA known mistake: {name}. {why}"
            return Verdict(False, message, name, "wrong", why)
    return Verdict(
        False,
        f"{question.name}: {number:g} is not it, for the values of {student!r}.",
        summary="wrong",
    )


def judge_choice(question: Choice, answer: Any) -> Verdict:
    """Reply to a prediction."""
    if answer is None or answer is ... or answer == "":
        return unwritten(question)
    letter = str(answer).strip().upper()
    if letter not in question.options:
        words = f"wanted one of {', '.join(question.options)}, got {reprlib.repr(answer)}"
        return Verdict(False, f"{question.name}: {words}.", summary=words)
    reply = question.replies.get(letter, "")
    if letter == question.right:
        return Verdict(True, f"{question.name}: right. {reply}", summary="right")
    chosen = f"{letter}: {question.options[letter]}"
    return Verdict(False, f"{question.name}: not so. {reply}", chosen, "wrong", reply)
