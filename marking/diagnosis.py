"""What is wrong with an answer: in words, and which known mistake it is, or else what it has to do
with the right answer.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from marking.editor import Edited, Editor, Trial
from marking.exercise import Case, Exercise, Formula, Mistake
from marking.formula import as_array
from marking.outcome import (
    Array,
    Made,
    Outcome,
    agree,
    brief,
    outcome_in_words,
    outcome_of,
    precise,
    same,
    scale,
)
from marking.programs import Slip, variants
from marking.relations import relation_of, right_in_part
from marking.words import known_mistake_in_words

TOKEN = re.compile(r"\w+(?:\.\d+)?|\*\*|[^\w\s]|\s+")
MOST_RUNS = 4  # of entries that are named one by one
RIGHT, YOURS = "right  ", "yours  "  # before two formulas, one below the other
OFF_BY = ", off by up to "  # between a problem and the size of the error
# how it is known what an answer does instead
KNOWN = "known mistake"  # of the bank
EDITED = "changed formula"
RELATED = "related result"
AT_RANDOM = "random numbers"


@dataclass(frozen=True)
class Diagnosis:
    """What an answer does instead of what it should.

    Args:
        mistake: in a few words, without inputs and numbers.
        explanation: more about it, without them too; empty unless it is a mistake of the bank.
        beside: the right formula and the answer's, with their difference marked; may be empty.
        edited: the answer as a formula, if it is one.
        kind: how it is known, one of the above.
    """

    mistake: str
    explanation: str = ""
    beside: str = ""
    edited: Edited | None = None
    kind: str = RELATED

    def paragraphs(self) -> str:
        """For the student."""
        if self.explanation:
            return known_mistake_in_words(self.mistake, self.explanation)
        told = f"{self.mistake[:1].upper()}{self.mistake[1:]}."
        return f"{told}\n\n{self.beside}" if self.beside else told


def expected(exercise: Exercise, case: Case) -> Outcome:
    """The outcome of the reference, in float64."""
    return outcome_of(exercise.reference, [precise(arg) for arg in case.args])


def problem_of(exercise: Exercise, wanted: Outcome, got: Outcome) -> str:
    """What is wrong with one outcome, in words; empty if nothing is."""
    assert wanted.value is not None
    if got.value is None:
        return got.error
    values = got.value
    if len(values) != len(wanted.value):
        return f"it returns {arrays(len(values))}; expected {arrays(len(wanted.value))}"
    for place, (want, have) in enumerate(zip(wanted.value, values)):
        which = f"result {place + 1} of {len(values)}" if wanted.several else "the result"
        if have.shape != want.shape:
            return f"{which} has shape {have.shape}; expected {want.shape}"
        if want.dtype.kind == "i" and have.dtype.kind not in "iu":
            return f"{which} has dtype {have.dtype}; expected integers"
        if want.dtype.kind == "f" and have.dtype.kind != "f" and have.ndim:
            return f"{which} has dtype {have.dtype}; expected floating-point numbers"
        if not np.isfinite(have).all():
            return f"{which} contains {'NaN' if np.isnan(have).any() else 'an infinite value'}"
        error = np.abs(have.astype(float) - want)
        if error.size and error.max() > exercise.tolerance * scale(want):
            return f"{which} is wrong{OFF_BY}{error.max():.3g}"
    if got.changed:
        names = " and ".join(exercise.arguments[place] for place in got.changed)
        return f"the numbers are right, but the answer changes its input {names} in place"
    return ""


def arrays(count: int) -> str:
    """So many arrays, in words."""
    return "one array" if count == 1 else f"{count} arrays"


def diagnose(
    exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome], again: Outcome
) -> Diagnosis | None:
    """What a wrong answer does, if it can be told: a mistake of the bank; the right formula with a
    few changes; another relation to the right answer. Whatever is told holds on every case.

    Args:
        exercise: the question.
        cases: the calls.
        outcomes: what the answer gave.
        again: what it gave when the first call was repeated.
    """
    mistake = known_mistake(exercise, cases, outcomes)
    if mistake is not None:
        return Diagnosis(mistake.name, explain(exercise, mistake), kind=KNOWN)
    trial = trial_of(exercise, cases, outcomes)
    editors = [Editor(form, exercise.arguments, trial) for form in forms(exercise.formula)]
    both = outcomes[0].value is not None and again.value is not None
    if both and not same(outcomes[0], again, exercise.tolerance):
        return Diagnosis(at_random(editors), kind=AT_RANDOM)
    edited = fewest_edits(editors)
    if edited is not None:
        # a guess is named, but does not buy the right formula
        beside = marked(edited) if edited.near() else ""
        return Diagnosis(edited.said(), beside=beside, edited=edited, kind=EDITED)
    slip = one_change_of(exercise, cases, outcomes)
    if slip:
        return Diagnosis(f"you {slip}", kind=EDITED)
    if changes_nothing(exercise, cases, outcomes):
        return Diagnosis("nothing is changed that the call should change: all stays as it was")
    relation = relation_of(trial.own, trial.wanted, exercise.tolerance)
    if relation is None:
        right = [not problem_of(exercise, *pair) for pair in zip(trial.wanted, trial.own)]
        relation = right_in_part(exercise.arguments, trial.cases, right)
    return Diagnosis(relation) if relation else None


def forms(formula: Formula | None) -> Iterator[Formula]:
    """A formula in each of its forms."""
    while formula is not None:
        yield formula
        formula = formula.otherwise


def fewest_edits(editors: Sequence[Editor]) -> Edited | None:
    """The explanation with the fewest edits: one of any form, or else two of the first form."""
    for thorough, some in ((False, editors), (True, editors[:1])):
        for editor in some:
            edited = editor.fewest(thorough)
            if edited is not None:
                return edited
    return None


def trial_of(exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> Trial:
    """The calls of an answer as a formula sees them."""
    wanted = [expected(exercise, case) for case in cases]
    return Trial(
        tuple(
            {
                name: as_array(arg)
                for name, arg in zip(exercise.arguments, case.args)
                if not isinstance(arg, Made)  # a function is in no formula
            }
            for case in cases
        ),
        tuple(unpacked(wanted, outcomes)),
        tuple(wanted),
        exercise.tolerance,
    )


def unpacked(wanted: Sequence[Outcome], got: Sequence[Outcome]) -> Sequence[Outcome]:
    """Outcomes, each array taken as several results, if as many are wanted in every call."""
    count = len(wanted[0].value or ())
    if not wanted[0].several or not all(
        outcome.value is not None
        and not outcome.several
        and outcome.value[0].ndim
        and len(outcome.value[0]) == count
        for outcome in got
    ):
        return got
    return [
        Outcome(tuple((outcome.value or ())[0]), several=True, changed=outcome.changed)
        for outcome in got
    ]


def at_random(editors: Sequence[Editor]) -> str:
    """What can be said of an answer that gives other numbers when it is called again."""
    told = "called twice with the same input, it gives different results"
    drawn = editors[0].drawn() if editors else None
    if drawn is None:
        return f"{told}: it draws random numbers, or remembers earlier calls"
    name, uniform = drawn
    if uniform:
        return f"{told}: in place of {name} it draws numbers between 0 and 1"
    return f"{told}: in place of {name} it draws numbers of its own"


def marked(edited: Edited) -> str:
    """The right formula and the edited one below each other, what differs marked below it."""
    lines = []
    for right, own in edited.beside():
        tokens, others = TOKEN.findall(right), TOKEN.findall(own)
        below, below_other = [" "] * len(right), [" "] * len(own)
        matcher = difflib.SequenceMatcher(None, tokens, others, autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                mark(below, tokens, a, b)
                mark(below_other, others, c, d)
        for label, text, marks in ((RIGHT, right, below), (YOURS, own, below_other)):
            lines += [f"{label}{text}", f"{' ' * len(label)}{''.join(marks)}".rstrip()]
    return "\n".join(line for line in lines if line)


def mark(below: list[str], tokens: Sequence[str], start: int, stop: int) -> None:
    """Put marks below some tokens of a line."""
    begin = sum(map(len, tokens[:start]))
    end = begin + sum(map(len, tokens[start:stop]))
    below[begin:end] = "^" * (end - begin)


def known_mistake(
    exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]
) -> Mistake | None:
    """The known mistake that has the same outcome as the answer on every case, if there is one."""
    for mistake in exercise.mistakes:
        theirs = [outcome_of(mistake.wrong, [precise(arg) for arg in case.args]) for case in cases]
        shows = any(
            outcome.value is not None and problem_of(exercise, expected(exercise, case), outcome)
            for case, outcome in zip(cases, theirs)
        )
        if shows and all(same(b, a, exercise.tolerance) for a, b in zip(outcomes, theirs)):
            return mistake
    return None


def one_change_of(
    exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]
) -> str | None:
    """The change of the right program that has the outcomes of the answer, in words that follow
    "you", if there is one.
    """
    if not exercise.program or not any(outcome.value is not None for outcome in outcomes):
        return None
    able = [place for place, outcome in enumerate(outcomes) if outcome.value is not None]
    first = min(able, key=lambda place: sum(array.size for array in outcomes[place].value or ()))
    others = [place for place in range(len(cases)) if place != first]

    def agrees(variant: Slip, place: int) -> bool:
        theirs = outcome_of(variant.function, [precise(arg) for arg in cases[place].args])
        return same(theirs, outcomes[place], exercise.tolerance)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a variant does wrong is no news to the student
        for variant in variants(exercise.program, exercise.arguments):
            if all(agrees(variant, place) for place in (first, *others)):
                return variant.said
    return None


def changes_nothing(exercise: Exercise, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> bool:
    """Whether what a call should change besides its result is left as it was in every call."""
    if not any(isinstance(arg, Made) and arg.look for arg in cases[0].args):
        return False
    for case, outcome in zip(cases, outcomes):
        before = outcome_of(lambda *args: 0.0, [precise(arg) for arg in case.args]).value or ()
        if outcome.value is None or len(outcome.value) < len(before):
            return False
        looks = outcome.value[-(len(before) - 1) :]
        if not all(
            a.shape == b.shape and agree(a, b, exercise.tolerance)
            for a, b in zip(before[1:], looks)
        ):
            return False
    return True


def explain(exercise: Exercise, mistake: Mistake) -> str:
    """The explanation of a mistake, with the results of both functions on its example."""
    right = outcome_of(exercise.reference, mistake.example)
    wrong = outcome_of(mistake.wrong, mistake.example)
    return mistake.why.format(right=outcome_in_words(right), wrong=outcome_in_words(wrong))


def entries_right(exercise: Exercise, wanted: Outcome, got: Outcome, here: str = "Here") -> str:
    """Which entries of a wrong result are right, if some are, along the axis where they differ.

    Args: here, words for the input.
    """
    for result, (want, have) in enumerate(zip(wanted.value or (), got.value or ())):
        if want.shape != have.shape or have.size < 2 or not np.isfinite(want).all():
            continue
        with np.errstate(invalid="ignore"):
            away = np.abs(have.astype(float) - want)
        agrees = away <= exercise.tolerance * scale(want)
        for axis in range(want.ndim):
            others = tuple(other for other in range(want.ndim) if other != axis)
            along = agrees.all(axis=others)
            if along.any() and not along.all():
                which = f"{here} in result {result + 1}" if wanted.several else here
                which = which.replace("Here in", "In")
                of_axis = f" along axis {axis}" if want.ndim > 1 else ""
                right, wrong = (
                    places_in_words(np.flatnonzero(along)),
                    places_in_words(np.flatnonzero(~along)),
                )
                return f"{which}{of_axis} {wrong} wrong, and {right} right (counted from 1)."
    return ""


def places_in_words(places: Array) -> str:
    """Places of entries, counted from 1, in words with their verb."""
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    texts = [f"{run[0] + 1}" if len(run) == 1 else f"{run[0] + 1} to {run[-1] + 1}" for run in runs]
    if len(places) == 1:
        return f"entry {texts[0]} is"
    if len(texts) > MOST_RUNS:
        return f"{len(places)} entries are"
    return f"entries {', '.join(texts)} are"


def comparison(exercise: Exercise, case: Case, got: Outcome) -> list[str]:
    """The input, the expected result and the actual one, a line each."""
    inputs = ", ".join(f"{name} = {brief(arg)}" for name, arg in zip(exercise.arguments, case.args))
    wanted = outcome_in_words(expected(exercise, case))
    lines = [
        f"input     {inputs}   ({case.description})",
        f"expected  {wanted}   ({exercise.returns})",
    ]
    return lines + ([f"got       {outcome_in_words(got)}"] if got.value is not None else [])
