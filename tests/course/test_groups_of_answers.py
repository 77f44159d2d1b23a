"""Wrong answers of the course fall into groups by what they compute: whether two belong together is
told by other inputs than those that groups are made with.
"""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from natural_mistakes import NATURAL
from wrong import WRONG

from marking.diagnosis import expected, problem_of
from marking.exercise import Exercise, Inputs
from marking.groups import RIGHT_HERE, cases_for_groups, fingerprint_of, grouped
from marking.notebook import call_here
from marking.outcome import Made, copied, in_the_form_of, same
from minddpm_course.bank import BANK

EXERCISES = [question for question in BANK.values() if isinstance(question, Exercise)]
EVERY = 12  # exercise is tried in a quick run
SEEDS = (1, 2, 3)


def in_all(x, change):
    if isinstance(x, (tuple, list)):
        return type(x)(in_all(one, change) for one in x)
    return change(x) if isinstance(x, torch.Tensor) else x


def double(x):
    return x.double() if x.is_floating_point() else x


def rounded(x):
    return x.float() / 3 * 3 if x.is_floating_point() else x


STYLES = {
    "plain": lambda wrong: wrong,
    "float64": lambda wrong: lambda *args: wrong(*in_all(args, double)),
    "rounded": lambda wrong: lambda *args: in_all(wrong(*args), rounded),
    "lists": lambda wrong: lambda *args: in_all(wrong(*args), lambda x: x.detach().tolist()),
    "numpy": lambda wrong: lambda *args: in_all(wrong(*args), lambda x: x.detach().numpy()),
}


def styles_for(exercise):
    """A network that is handed over does not take float64."""
    made = any(isinstance(arg, Made) for case in cases_for_groups(exercise) for arg in case.args)
    return [name for name in STYLES if not (made and name == "float64")]


def wrong_answers(exercise):
    """All that are known of, with those of the bank."""
    known = [mistake.wrong for mistake in exercise.mistakes]
    return [*known, *NATURAL.get(exercise.name, ()), *WRONG.get(exercise.name, ())]


def results(exercise, answer):
    """What an answer gives on other inputs; None if it raises anything, or draws, or is wrong only
    in what it changes.
    """
    outcomes = []
    wrong = False
    for seed in SEEDS:
        for case in exercise.cases(Inputs(seed)):
            one, other = (call_here(answer, [copied(arg) for arg in case.args]) for _ in range(2))
            if one.value is None or not same(one, other, 1e-5):
                return None
            right = expected(exercise, case)
            outcomes.append(in_the_form_of(right, one, exercise.tolerance))
            wrong |= bool(problem_of(exercise, right, replace(outcomes[-1], changed=())))
    return outcomes if wrong else None


def alike(exercise, one, other):
    return all(same(a, b, max(exercise.tolerance, 1e-5)) for a, b in zip(one, other, strict=True))


def counts_of_pairs(exercise):
    """How many pairs of answers are in one group, compute the same, and both."""
    wrong = [(answer, results(exercise, answer)) for answer in wrong_answers(exercise)]
    kept = [
        (answer, computed, style)
        for answer, computed in wrong
        if computed is not None
        for style in styles_for(exercise)
    ]
    prints = []
    for answer, _, style in kept:
        styled = STYLES[style](answer)
        found = fingerprint_of(exercise, lambda args, styled=styled: call_here(styled, args))
        prints.append(found)
    # as a list, a column of numbers is what is wanted
    kept = [one for one, (_, sample) in zip(kept, prints) if sample != RIGHT_HERE]
    prints = [made for made, sample in prints if sample != RIGHT_HERE]
    group = {}
    for number, one in enumerate(grouped(exercise.name, prints, {})):
        group.update(dict.fromkeys(one.members, number))
    counts = Counter(groups=len(set(group.values())), answers=len(kept))
    for a, b in itertools.combinations(range(len(kept)), 2):
        together = group[a] == group[b]
        equal = kept[a][1] is kept[b][1] or alike(exercise, kept[a][1], kept[b][1])
        counts.update(together=together, equal=equal, both=together and equal)
    return counts


@np.errstate(all="ignore")
def shares(exercises):
    """How pure the groups are, and how whole the mistakes."""
    counts = Counter()
    for exercise in exercises:
        counts.update(counts_of_pairs(exercise))
    return counts["both"] / counts["together"], counts["both"] / counts["equal"]


def test_groups_are_pure_and_mistakes_stay_whole_in_some_exercises():
    pure, whole = shares(EXERCISES[::EVERY])
    assert pure >= 0.99
    assert whole >= 0.99


@pytest.mark.slow
def test_groups_are_pure_and_mistakes_stay_whole_in_every_style():
    pure, whole = shares(EXERCISES)
    assert pure >= 0.99
    assert whole >= 0.99
