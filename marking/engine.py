"""Judge an answer: call it on fresh inputs, compare with the reference, and say what it does
instead if that can be told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from marking.cells import DID_NOT_RUN
from marking.diagnosis import (
    AT_RANDOM,
    KNOWN,
    comparison,
    diagnose,
    expected,
    problem_of,
    where_right,
)
from marking.exercise import ALLOWED, Case, Choice, Exercise, HandNumber, Inputs, Question
from marking.outcome import NotNumbers, Outcome, copied, in_the_form_of, number_of, same, shown
from marking.words import counted, known_mistake_in_words

SECONDS = 20  # a check that takes longer says so
NOT_WRITTEN = "not written yet"  # a function
NOT_ANSWERED = "not answered yet"  # a number or a prediction
UNEXPLAINED = "unexplained"  # of a wrong answer, where nothing can be told
ENDED = ("Slow", DID_NOT_RUN)  # the names of errors after which no other call is made


@dataclass(frozen=True)
class Verdict:
    """The judgement of one answer.

    Args:
        passed: whether it is right.
        message: for the student, with the numbers.
        mistake: what the answer does instead, if that can be told: the name of a known mistake, an
            edit of the right formula, or what the result has to do with the right one.
        summary: one line without the inputs or the expected numbers.
        explanation: of a known mistake, without them too.
        computed: whether a function returned numbers, which can be drawn.
        kind: how it is known what a wrong answer does, as in `diagnosis`, or UNEXPLAINED; empty if
            it was not compared.
    """

    passed: bool
    message: str
    mistake: str | None = None
    summary: str = ""
    explanation: str = ""
    computed: bool = False
    kind: str = ""


Call = Callable[[Sequence[Any]], Outcome]


def judge(question: Question, answer: Any, seed: int, student: str = "") -> Verdict:
    """Judge an answer to a question.

    Args:
        question: an Exercise, a HandNumber or a Choice.
        answer: for an exercise a Call; otherwise the number, or the letter.
        seed: of the inputs.
        student: whose values to use for a HandNumber.
    """
    if isinstance(question, Exercise):
        return judge_function(question, answer, seed)
    if isinstance(question, HandNumber):
        return judge_number(question, answer, student)
    return judge_choice(question, answer)


@np.errstate(all="ignore")  # a student may have made errors of overflows
def judge_function(exercise: Exercise, call: Call, seed: int) -> Verdict:
    """Call the answer on every case, and once more on the first."""
    cases = list(exercise.cases(Inputs(seed)))
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    problems: list[str] = []
    for case in [*cases, cases[0]]:
        got = call([copied(arg) for arg in case.args])
        if got.error_name in ENDED or time.perf_counter() - started > SECONDS:
            calls = f"a check calls the function {len(cases) + 1} times"
            return failed(exercise, got.error or f"it took over {SECONDS} s; {calls}")
        wanted = expected(exercise, case)
        outcome = in_the_form_of(wanted, got, exercise.tolerance)
        outcomes.append(outcome)
        problems.append(problem_of(exercise, wanted, outcome))
        if outcome.error_name == "NotImplementedError":
            return unwritten(exercise)
    *outcomes, again = outcomes
    failing = [place for place, problem in enumerate(problems[:-1]) if problem]
    if not failing:
        if problems[-1] or not same(outcomes[0], again, exercise.tolerance):
            reason = (
                "called twice with the same input, it gives different results; an answer must not"
                " draw random numbers or remember earlier calls"
            )
            return replace(failed(exercise, reason), kind=AT_RANDOM)
        message = f"{exercise.name}: right, on {counted(len(cases), 'fresh input')}."
        return Verdict(True, message, summary="right")
    place = min(failing, key=lambda index: size(cases[index]))  # the easiest to read
    problem = problems[place]
    diagnosis = diagnose(exercise, cases, outcomes, again)
    numbers = "\n".join(comparison(exercise, cases[place], outcomes[place]))
    computed = outcomes[place].value is not None
    parts = [
        f"{exercise.name}: {problem}.",
        diagnosis.paragraphs() if diagnosis else "",
        where_right(exercise, cases, outcomes, place),
        numbers,
    ]
    message = "\n\n".join(part for part in parts if part)
    mistake, explanation = (diagnosis.mistake, diagnosis.explanation) if diagnosis else (None, "")
    kind = diagnosis.kind if diagnosis else UNEXPLAINED
    return Verdict(False, message, mistake, problem, explanation, computed, kind)


def failed(question: Question, reason: str) -> Verdict:
    """The verdict on an answer that fails without being compared in numbers."""
    return Verdict(False, f"{question.name}: {reason}.", summary=reason)


def unwritten(question: Question) -> Verdict:
    """The verdict on an answer that is not there yet."""
    if not isinstance(question, Exercise):
        return failed(question, NOT_ANSWERED)
    wanted = f"It should return {question.returns}."
    return Verdict(False, f"{question.name}: {NOT_WRITTEN}. {wanted}", summary=NOT_WRITTEN)


def size(case: Case) -> int:
    """How many numbers a reader of this case has to look at."""
    return sum(arg.numel() for arg in case.args if isinstance(arg, Tensor))


def judge_number(question: HandNumber, answer: Any, student: str) -> Verdict:
    """Compare a number worked out by hand with the right one, and with the wrong ones that people
    arrive at.
    """
    if answer is None or answer is ...:
        return unwritten(question)
    try:
        number = number_of(answer)
    except NotNumbers as reason:
        return failed(question, str(reason))
    if not student.strip():
        return failed(question, "the values depend on your name, and no name is given")
    values = question.values_for(student)
    if abs(number - question.answer(**values)) <= ALLOWED:
        return Verdict(True, f"{question.name}: right.", summary="right")
    for name, wrong, why in question.mistakes:
        if abs(number - wrong(**values)) <= ALLOWED:
            known = known_mistake_in_words(name, why)
            message = f"{question.name}: {number:g} is not the answer.\n\n{known}"
            return Verdict(False, message, name, "wrong", why, kind=KNOWN)
    message = f"{question.name}: {number:g} is not the answer for the values of {student!r}."
    return Verdict(False, message, summary="wrong")


def judge_choice(question: Choice, answer: Any) -> Verdict:
    """Reply to a prediction."""
    if answer is None or answer is ...:
        return unwritten(question)
    letter = answer.strip(" \t\n.:()'\"").upper() if isinstance(answer, str) else "no letter"
    if not letter:
        return unwritten(question)
    if letter not in question.options:
        letters = ", ".join(question.options)
        return failed(question, f"expected one of {letters}, got {shown(answer)}")
    reply = question.replies.get(letter, "")
    if letter == question.right:
        return Verdict(True, f"{question.name}: right. {reply}", summary="right")
    chosen = f"{letter}: {question.options[letter]}"
    message = f"{question.name}: wrong. {reply}"
    return Verdict(False, message, chosen, f"you chose {chosen}", reply, kind=KNOWN)
