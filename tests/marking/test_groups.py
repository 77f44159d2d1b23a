"""Wrong answers that compute the same are one group, whatever their code, and others are not."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from algebra import BANK

from marking.exercise import Inputs
from marking.groups import (
    BORDER,
    KEPT,
    RIGHT_HERE,
    Fingerprint,
    cases_for_groups,
    fingerprint_from,
    fingerprint_of,
    grouped,
    identifiers,
    outcomes_in_short,
)
from marking.notebook import call_here
from marking.outcome import Outcome

HERE = Path(__file__).parent
ONE = BANK["solve.discriminant"]
TWO = BANK["solve.roots"]


def found(answer, exercise=ONE):
    return fingerprint_of(exercise, lambda args: call_here(answer, args))


def made(answer, exercise=ONE):
    return found(answer, exercise)[0]


def together(*answers, exercise=ONE, known=()):
    """The places of the answers in each group."""
    groups = grouped(exercise.name, [made(one, exercise) for one in answers], dict(known))
    return sorted(group.members for group in groups)


SEVEN = {
    "plain": lambda a, b, c: 7 * a + b * b,
    "another order": lambda a, b, c: b**2 + a + 6 * a,
    "float64": lambda a, b, c: 7 * a.double() + b.double() ** 2,
    "list": lambda a, b, c: (7 * a + b * b).tolist(),
    "numpy": lambda a, b, c: 7 * a.numpy() + b.numpy() ** 2,
    "rows": lambda a, b, c: [7 * x + y * y for x, y in zip(a, b)],
    "generator": lambda a, b, c: (7 * float(x) + float(y) ** 2 for x, y in zip(a, b)),
    "in place": lambda a, b, c: b.mul_(b).add_(7 * a),
    "rounding": lambda a, b, c: ((7 * a + b * b) / 3 * 3).log().exp(),
}


def test_the_same_numbers_are_one_group_whatever_the_code():
    assert together(*SEVEN.values()) == [tuple(range(len(SEVEN)))]


OTHERS = (
    lambda a, b, c: 7.01 * a + b * b,
    lambda a, b, c: (7 * a + b * b)[None],
    lambda a, b, c: (7 * a + b * b).int(),
    lambda a, b, c: (7 * a + b * b, b),
    lambda a, b, c: torch.where(torch.arange(len(a)) == 1, 0, 7 * a + b * b),  # right for one
    lambda a, b, c: (7 * a + b * b) / (len(a) > 1),
    lambda a, b, c: (7 * a + b * b) * float("nan"),
)


def test_right_numbers_that_are_made_in_place_are_a_group_of_their_own():
    answers = [
        lambda a, b, c: b.mul_(b).sub_(4 * a * c),
        lambda a, b, c: b.pow_(2).sub_(4 * c * a),
        lambda a, b, c: a.mul_(-4 * c).add_(b * b),
        ONE.reference,
    ]
    assert together(*answers) == [(0, 1), (2,), (3,)]
    assert found(answers[0])[1] != RIGHT_HERE


def test_a_wrong_shape_is_the_same_as_an_array_and_as_lists():
    forms = [lambda x: x, torch.Tensor.numpy, torch.Tensor.tolist, list, iter]
    for wrong in (
        lambda a, b, c: torch.stack([a, b, c]),
        lambda a, b, c: torch.stack([a, b, c], 1),
        lambda a, b, c: (a * b)[None, None],
    ):
        answers = [lambda *args, form=form, wrong=wrong: form(wrong(*args)) for form in forms]
        assert together(*answers) == [(0, 1, 2, 3, 4)]
        assert together(*answers, exercise=TWO) == [(0, 1, 2, 3, 4)]


def test_other_numbers_shapes_and_kinds_are_other_groups():
    answers = [SEVEN["plain"], *OTHERS]
    assert together(*answers) == [(place,) for place in range(len(answers))]
    assert together(*answers[::-1]) == [(place,) for place in range(len(answers))]


def raising(error):
    def answer(a, b, c):
        raise error

    return answer


def test_errors_are_grouped_by_their_kind_and_by_the_calls_that_raise_them():
    answers = [
        lambda a, b, c: undefined + 1,  # noqa: F821
        lambda a, b, c: [unknown],  # noqa: F821
        lambda a, b, c: torch.cat([a, a, a]) + b,
        lambda a, b, c: b + torch.cat([a, a, a]),
        raising(ValueError("no")),
        raising(KeyError("no")),
        lambda a, b, c: "text",
        lambda a, b, c: f"text {a}",
        lambda a, b, c: 7 * a if len(a) > 1 else undefined,  # noqa: F821
        lambda a, b, c: a.no_such_thing,
        lambda a, b, c: (1).no_such_thing,
        raising(TypeError("first() takes 1 argument but 3 were given, at 0x7f12")),
        raising(TypeError("second() takes 1 argument but 3 were given, at 0x7fab")),
    ]
    assert together(*answers) == [
        (0, 1),
        (2, 3),
        (4,),
        (5,),
        (6, 7),
        (8,),
        (9,),
        (10,),
        (11, 12),
    ]


def test_answers_that_draw_are_said_to_be_incomparable():
    draws = [
        lambda a, b, c: 7 * a + torch.rand(len(a)),
        lambda a, b, c: b * torch.randn(len(a)),
    ]
    assert together(*draws, SEVEN["plain"]) == [(0, 1), (2,)]
    assert all(made(answer).at_random and not made(answer).numbers for answer in draws)
    assert not made(SEVEN["plain"]).at_random
    torch_seeded = made(
        lambda a, b, c: a + torch.rand(1, generator=torch.Generator().manual_seed(0))
    )
    assert not torch_seeded.at_random


def test_results_of_a_pair_are_compared_in_any_form():
    def root(a, b, c):
        return b / a, c / a

    forms = [
        root,
        lambda a, b, c: list(root(a, b, c)),
        lambda a, b, c: torch.stack(root(a, b, c)),
        lambda a, b, c: iter(root(a, b, c)),
    ]
    assert together(*forms, lambda a, b, c: root(a, b, c)[::-1], exercise=TWO) == [
        (0, 1, 2, 3),
        (4,),
    ]


def test_the_inputs_belong_to_the_question_alone():
    first, again = (cases_for_groups(ONE) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one.args, other.args))
    renamed = cases_for_groups(replace(ONE, name="solve.other"))
    assert not torch.equal(first[0].args[0][:1], renamed[0].args[0][:1])
    drawn = list(ONE.cases(Inputs(0)))
    assert not torch.equal(first[1].args[0], drawn[1].args[0])


def test_a_small_input_is_shown_beside_both_results():
    _, sample = found(SEVEN["plain"])
    lines = sample.splitlines()
    assert [line.split()[0] for line in lines] == ["input", "expected", "got"]
    assert "one equation" in lines[0]
    _, sample = found(raising(ValueError("not <b> this")))
    assert "got       ValueError: not <b> this" in sample
    assert found(ONE.reference)[1] == RIGHT_HERE


def line_of(numbers, scale=1.0, tolerance=0.1):
    return Fingerprint("f(1,)", tuple(numbers), (len(numbers),), (scale,), tolerance)


def test_groups_do_not_grow_from_neighbour_to_neighbour():
    chain = [line_of([0.09 * place]) for place in range(40)]
    for order in (chain, chain[::-1], chain[1::2] + chain[::2]):
        groups = grouped("q", order, {})
        assert sum(len(group.members) for group in groups) == 40
        for group in groups:
            numbers = [order[place].numbers[0] for place in group.members]
            assert max(numbers) - min(numbers) <= 0.2
        assert {group.identifier for group in groups} == {
            group.identifier for group in grouped("q", chain, {})
        }


def test_no_border_splits_a_group():
    """As rounded numbers would: some number always lies at a border."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        middle = draw.normal(size=40)
        answers = [line_of(middle + 1e-7 * draw.normal(size=40)) for _ in range(5)]
        assert [len(group.members) for group in grouped("q", answers, {})] == [5]


def test_a_group_is_recognised_by_its_identifier_on_a_machine_that_rounds_otherwise():
    draw = np.random.default_rng(1)
    moved = 0
    for _ in range(2000):
        numbers = draw.normal(size=30)
        here = line_of(numbers, float(abs(numbers).max()))
        other = numbers * (1 + BORDER / 20 * draw.normal(size=30))
        there = line_of(other, float(abs(other).max()))
        identifier = next(identifiers("q", here))
        assert identifier in identifiers("q", there)
        moved += identifier != next(identifiers("q", there))
    assert moved < 10


def test_identifiers_are_the_same_in_another_process():
    code = (
        "from test_groups import SEVEN, made, ONE\nfrom marking.groups import identifiers\n"
        "print(next(identifiers(ONE.name, made(SEVEN['plain']))))"
    )
    path = os.pathsep.join([str(HERE), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == next(identifiers(ONE.name, made(SEVEN["plain"])))


def test_identifiers_tell_groups_and_questions_apart():
    fingerprints = [made(one) for one in (SEVEN["plain"], *OTHERS)]
    names = [next(identifiers("q", one)) for one in fingerprints]
    names += [next(identifiers("r", one)) for one in fingerprints]
    assert len(set(names)) == len(names)


def test_two_groups_never_share_an_identifier():
    """Numbers that differ by more than the tolerance may be read alike."""
    close = [line_of([1, 1 + 3e-8 * place], tolerance=1e-8) for place in range(4)]
    assert len({next(identifiers("q", one)) for one in close}) == 1
    groups = grouped("q", close, {})
    assert len({group.identifier for group in groups}) == 4
    assert [group.identifier for group in groups] == [
        group.identifier for group in grouped("q", close[::-1], {})
    ]


def test_a_known_group_keeps_its_identifier():
    answers = [made(SEVEN["float64"]), made(OTHERS[0])]
    (own,) = [g for g in grouped(ONE.name, answers, {}) if 0 in g.members]
    known = {"abcdef": made(SEVEN["plain"]), "123456": line_of([1.0])}
    by_member = {g.members: g.identifier for g in grouped(ONE.name, answers, known)}
    assert by_member[0,] == "abcdef" != own.identifier
    assert by_member[1,] not in known


def test_of_a_huge_array_little_is_kept_and_one_number_still_counts():
    huge = np.linspace(-1, 1, 2**20).reshape(2**10, 2**10)
    changed = huge.copy()
    changed[777, 555] += 2
    missing = huge.copy()
    missing[777, 555] = np.nan
    flipped = huge[::-1]
    prints = [
        outcomes_in_short([Outcome((one,))], True, 1e-4)
        for one in (huge, huge * (1 + 1e-7), changed, missing, flipped)
    ]
    assert all(len(one.numbers) == KEPT for one in prints)
    assert sorted(g.members for g in grouped("q", prints, {})) == [(0, 1), (2,), (3,), (4,)]
    many = outcomes_in_short([Outcome(tuple(np.zeros(1) for _ in range(4096)), True)], True, 1e-4)
    assert len(many.form) <= 1000


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e308, 0.0])
def test_any_number_is_compared_and_kept(number):
    one, other = (
        outcomes_in_short([Outcome((np.array([number, last]),))], True, 1e-4) for last in (1.0, 2.0)
    )
    assert sorted(g.members for g in grouped("q", [one, other, one], {})) == (
        [(0, 1, 2)] if number == 1e308 else [(0, 2), (1,)]
    )
    again = fingerprint_from(json.loads(json.dumps(asdict(one))))
    assert sorted(g.members for g in grouped("q", [one, again], {})) == [(0, 1)]
    assert next(identifiers("q", one)) == next(identifiers("q", again))


def test_a_slow_answer_is_in_no_group(monkeypatch):
    monkeypatch.setattr("marking.groups.GROUP_SECONDS", 0)
    assert found(SEVEN["plain"]) is None


def test_middles_differ_by_more_than_rounding():
    """Whatever is in one group is close to its middle."""
    draw = np.random.default_rng(2)
    answers = [line_of([number]) for number in np.cumsum(draw.exponential(0.05, size=200))]
    for group in grouped("q", answers, {}):
        distances = [
            abs(answers[place].numbers[0] - group.middle.numbers[0]) for place in group.members
        ]
        assert max(distances) <= 0.2
    middles = sorted(group.middle.numbers[0] for group in grouped("q", answers, {}))
    assert all(b > a for a, b in pairwise(middles))
