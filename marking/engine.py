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

from marking.by_hand import asked_back, reply_to
from marking.cells import DID_NOT_RUN
from marking.diagnosis import (
    AT_RANDOM,
    KNOWN,
    RELATED,
    Diagnosis,
    comparison,
    diagnose,
    expected,
    problem_of,
)
from marking.exercise import (
    ALLOWED,
    BugHunt,
    Case,
    Choice,
    Exercise,
    HandNumber,
    Inputs,
    Question,
    Variant,
    function_of,
)
from marking.hunting import Findings, RunTest, hunt
from marking.outcome import (
    NO_FUNCTION,
    Attempt,
    NoNumber,
    NotNumbers,
    Outcome,
    brief,
    copied,
    in_the_form_of,
    is_double,
    number_of,
    outcome_in_words,
    outcome_of,
    plain_answer,
    same,
    shown,
    single,
)
from marking.own_line import line_of_edit
from marking.where import smallest, where_right
from marking.words import counted, known_mistake_in_words

SECONDS = 20  # a check that takes longer says so
HURRY = 5  # seconds after which a wrong answer is not called again for a smaller input
NOT_WRITTEN = "not written yet"  # a function
NOT_ANSWERED = "not answered yet"  # a number or a prediction
UNEXPLAINED = "unexplained"  # of a wrong answer, where nothing can be told
ENDED = ("Slow", DID_NOT_RUN, NO_FUNCTION)  # the names of errors after which no other call is made


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
        caught: how many wrong functions a test refused; 0 if it refused a right one too.
        wrong: how many wrong functions there are for a test to refuse.
        lives: the name of one that it accepted.
        line: the student's own line that is wrong, in words, if it can be told.
        kind: how it is known what a wrong answer does, as in `diagnosis`, or UNEXPLAINED; empty if
            it was not compared.
    """

    passed: bool
    message: str
    mistake: str | None = None
    summary: str = ""
    explanation: str = ""
    computed: bool = False
    caught: int = 0
    wrong: int = 0
    lives: str = ""
    line: str = ""
    kind: str = ""


Call = Callable[[Sequence[Any]], Outcome]


def judge(
    question: Question,
    answer: Any,
    seed: int,
    student: str = "",
    source: Callable[[], str] = str,
) -> Verdict:
    """Judge an answer to a question.

    Args:
        question: an Exercise, a BugHunt, a HandNumber or a Choice.
        answer: for an exercise a Call, for a hunt a RunTest; otherwise the number, or the letter.
        seed: of the inputs, or of what a test draws at random.
        student: whose values to use for a HandNumber.
        source: gives the text of the function, where it is at hand; asked for only if needed.
    """
    if isinstance(question, Exercise):
        return judge_function(question, answer, seed, source)
    if isinstance(question, BugHunt):
        return judge_test(question, answer, seed)
    if isinstance(question, HandNumber):
        return judge_number(question, plain_answer(answer), str(student or ""))
    return judge_choice(question, plain_answer(answer))


@np.errstate(all="ignore")  # a student may have made errors of overflows
def judge_function(
    exercise: Exercise, call: Call, seed: int, source: Callable[[], str] = str
) -> Verdict:
    """Call the answer on every case, and once more on the first."""
    cases = list(exercise.cases(Inputs(seed)))
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    problems: list[str] = []
    for case in [*cases, cases[0]]:
        got = outcome_on(case, call)
        if got.error_name in ENDED or time.perf_counter() - started > SECONDS:
            calls = f"a check calls the function {len(cases) + 1} times"
            return failed(exercise, got.error or f"it took over {SECONDS} s; {calls}")
        wanted = expected(exercise, case)
        outcome = in_the_form_of(wanted, got, exercise.tolerance)
        outcomes.append(outcome)
        problems.append(problem_of(exercise, wanted, outcome))
    if all(outcome.error_name == "NotImplementedError" for outcome in outcomes):
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
    place = min(failing, key=lambda index: size(exercise, cases[index]))  # the easiest to read
    problem = problems[place]
    diagnosis = diagnose(exercise, cases, outcomes, again)
    shown, outcome = cases[place], outcomes[place]
    if time.perf_counter() - started < HURRY and same(outcomes[0], again, exercise.tolerance):
        shown, outcome = smallest(exercise, shown, outcome, call)
    numbers = "\n".join(comparison(exercise, shown, outcome))
    of_places = diagnosis is not None and "entry" in diagnosis.mistake
    computed = outcomes[place].value is not None
    line = line_of(exercise, diagnosis, source)
    parts = [
        f"{exercise.name}: {problem}.",
        diagnosis.paragraphs() if diagnosis else "",
        line,
        where_right(exercise, cases, outcomes, place, shown, places=not of_places),
        numbers,
    ]
    message = "\n\n".join(part for part in parts if part)
    mistake, explanation = (diagnosis.mistake, diagnosis.explanation) if diagnosis else (None, "")
    kind = diagnosis.kind if diagnosis else UNEXPLAINED
    return Verdict(False, message, mistake, problem, explanation, computed, line=line, kind=kind)


def outcome_on(case: Case, call: Call) -> Outcome:
    """Call the answer on a case; in float32 where PyTorch refuses float64 beside the answer's own
    constants, which may be float32.
    """
    got = call([copied(arg) for arg in case.args])
    if got.error_name != RuntimeError.__name__ or not any(map(is_double, case.args)):
        return got
    again = call([single(arg) for arg in case.args])
    return got if again.error else again


def line_of(exercise: Exercise, diagnosis: Diagnosis | None, source: Callable[[], str]) -> str:
    """The student's own line that holds what is edited of the formula, if it can be told."""
    if diagnosis is None or diagnosis.edited is None or not diagnosis.edited.near():
        return ""
    return line_of_edit(diagnosis.edited, exercise.arguments, source())


def failed(question: Question, reason: str) -> Verdict:
    """The verdict on an answer that fails without being compared in numbers."""
    return Verdict(False, f"{question.name}: {reason}.", summary=reason)


def unwritten(question: Question) -> Verdict:
    """The verdict on an answer that is not there yet."""
    if isinstance(question, BugHunt):
        wanted = f"It should raise an error if {function_of(question.exercise.name)} is wrong."
        return Verdict(False, f"{question.name}: {NOT_WRITTEN}. {wanted}", summary=NOT_WRITTEN)
    if not isinstance(question, Exercise):
        return failed(question, NOT_ANSWERED)
    wanted = f"It should return {question.returns}."
    return Verdict(False, f"{question.name}: {NOT_WRITTEN}. {wanted}", summary=NOT_WRITTEN)


def size(exercise: Exercise, case: Case) -> int:
    """How many numbers a reader of this case has to look at."""
    given = sum(arg.numel() for arg in case.args if isinstance(arg, Tensor))
    return given + sum(array.size for array in expected(exercise, case).value or ())


def judge_test(question: BugHunt, run_test: RunTest, seed: int) -> Verdict:
    """Try a test on right functions, which it must accept, and on wrong ones."""
    found = hunt(question, run_test, seed, SECONDS, ENDED)
    if found.ended:
        return failed(question, found.ended.error)
    if found.unwritten:
        return unwritten(question)
    verdict = decided(question, found)
    sound = verdict.passed or verdict.lives  # otherwise it caught nothing: it refuses the right too
    caught = found.count - len(found.lives) if sound else 0
    return replace(verdict, caught=caught, wrong=found.count)


def decided(question: BugHunt, found: Findings) -> Verdict:
    """The verdict on a test that ran on every function."""
    if found.unsure:
        return failed(
            question,
            "run twice on the same function, your test decides differently; it must not remember"
            " earlier calls or leave its decision to chance",
        )
    if found.returned:
        return failed(
            question,
            f"your test returns {found.returned}, which decides nothing; a test refuses a function"
            " by raising an error, so write assert in place of return",
        )
    if found.refused:
        return failed(question, refusal_in_words(*found.refused))
    if found.lives:
        return alive(question, found.lives[0], found.count - len(found.lives), found.count)
    rights = counted(len(question.right_ones()), "right function")
    told = f"Your test accepts {rights} and refuses {found.count} wrong ones."
    return Verdict(True, f"{question.name}: right. {told}", summary="right")


def refusal_in_words(variant: Variant, attempt: Attempt) -> str:
    """What to say of a test that refuses a right function."""
    error = (attempt.error.splitlines() or ["an error"])[0].removesuffix(": ")
    error += f" ({attempt.line})" if attempt.line else ""
    if attempt.error_name != "AssertionError" and ": raise " not in attempt.line:
        return (
            f"your test stopped with {error} before it could judge; the function that it was given"
            f" is right, and {variant.name}"
        )
    without = "" if attempt.calls else ", without having called it"
    return f"your test refuses a right function, which {variant.name}{without}: {error}"


def alive(question: BugHunt, variant: Variant, caught: int, count: int) -> Verdict:
    """The verdict on a test that accepts a wrong function."""
    exercise = question.exercise
    inputs = ", ".join(
        f"{name} = {brief(arg)}" for name, arg in zip(exercise.arguments, variant.example)
    )
    right, wrong = (
        outcome_of(function, [copied(arg) for arg in variant.example])
        for function in (exercise.reference, variant.function)
    )
    summary = f"you caught {caught} of {count}; this one lives: {variant.name}"
    numbers = (
        f"input     {inputs}\n"
        f"right     {outcome_in_words(right)}   ({exercise.returns})\n"
        f"this one  {outcome_in_words(wrong)}"
    )
    if wrong.changed:
        changed = " and ".join(exercise.arguments[place] for place in wrong.changed)
        numbers += f"   (and it changes {changed} in place)"
    message = f"{question.name}: {summary}.\n\n{numbers}"
    return Verdict(False, message, summary=summary, lives=variant.name)


def judge_number(
    question: HandNumber, answer: float | str | NoNumber | None, student: str
) -> Verdict:
    """Compare a number worked out by hand with the right one, and with the wrong ones that people
    get.
    """
    if answer is None:
        return unwritten(question)
    try:
        number = number_of(answer)
    except NotNumbers as reason:
        return failed(question, asked_back(answer) or str(reason))
    if not student.strip():
        return failed(question, "the values depend on your name, and no name is given")
    values = question.values_for(student)
    if abs(number - question.answer(**values)) <= question.allowed:
        return Verdict(True, f"{question.name}: right.", summary="right")
    short = f"{number:g}"
    given = short if float(short) == number else f"{number:.10g}"
    wanted = f"{question.name}: {given} is not the answer"
    for name, wrong, why in question.mistakes:
        if abs(number - wrong(**values)) <= ALLOWED:
            message = f"{wanted}.\n\n{known_mistake_in_words(name, why)}"
            return Verdict(False, message, name, "wrong", why, kind=KNOWN)
    reply = reply_to(question, values, number)
    told = " ".join(part for part in (reply.first, reply.more) if part)
    return Verdict(
        False,
        f"{wanted} for the values of {student!r}.\n\n{told}",
        reply.instead or None,
        summary=reply.summary,
        explanation=reply.more,
        kind=RELATED if reply.instead else "",
    )


def judge_choice(question: Choice, answer: float | str | NoNumber | None) -> Verdict:
    """Reply to a prediction."""
    if answer is None:
        return unwritten(question)
    letter = answer.strip(" \t\n.:()'\"").upper() if isinstance(answer, str) else "no letter"
    if not letter:
        return unwritten(question)
    if letter not in question.options:
        letters = ", ".join(question.options)
        got = answer.shown if isinstance(answer, NoNumber) else shown(answer).removesuffix(".0")
        return failed(question, f"expected one of {letters}, got {got}")
    reply = question.replies.get(letter, "")
    if letter == question.right:
        return Verdict(True, f"{question.name}: right. {reply}", summary="right")
    chosen = f"{letter}: {question.options[letter]}"
    message = f"{question.name}: wrong. {reply}"
    return Verdict(False, message, chosen, f"you chose {chosen}", reply, kind=KNOWN)
