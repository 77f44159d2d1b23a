"""What is wrong with an answer: in words, and which known mistake it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from marking.exercise import Case, Exercise, Mistake
from marking.outcome import (
    Outcome,
    brief,
    outcome_in_words,
    outcome_of,
    precise,
    same,
    scale,
)

OFF_BY = ", off by up to "  # between a problem and the size of the error


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


def explain(exercise: Exercise, mistake: Mistake) -> str:
    """The explanation of a mistake, with the results of both functions on its example."""
    right = outcome_of(exercise.reference, mistake.example)
    wrong = outcome_of(mistake.wrong, mistake.example)
    return mistake.why.format(right=outcome_in_words(right), wrong=outcome_in_words(wrong))


def comparison(exercise: Exercise, case: Case, got: Outcome) -> list[str]:
    """The input, the expected result and the actual one, a line each."""
    inputs = ", ".join(f"{name} = {brief(arg)}" for name, arg in zip(exercise.arguments, case.args))
    wanted = outcome_in_words(expected(exercise, case))
    lines = [
        f"input     {inputs}   ({case.description})",
        f"expected  {wanted}   ({exercise.returns})",
    ]
    return lines + ([f"got       {outcome_in_words(got)}"] if got.value is not None else [])
