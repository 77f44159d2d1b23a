"""Wrong answers that are in no bank: most are understood, and nothing untrue is said of them."""

import ast
import inspect

import numpy as np
import pytest
from mutants import mutants, source_of_reference
from natural_mistakes import NATURAL
from right import __dict__ as RIGHT
from truth import Left, calls, diagnosis_of, fails, functions, number_of, untrue
from wrong import WRONG

from marking.diagnosis import forms
from marking.exercise import Exercise
from marking.formula import as_array, parse, scope_of, written
from marking.outcome import same
from marking.programs import function_with, variants
from minddpm_course.bank import BANK

FUNCTIONS = [question for question in BANK.values() if isinstance(question, Exercise)]
EXERCISES = [exercise for exercise in FUNCTIONS if exercise.formula]
# what is made of functions that are handed over is no formula, but a program
PUT_TOGETHER = {
    *("05.residual_block", "05.unet_forward"),
    *("06.sample", "07.train_step", "07.training_loop"),
}
EVERY = 3  # of the answers are tried in a quick run
EVERY_MUTANT = 4


def name_of(exercise):
    return exercise.name


def finite(outcome):
    """Whether a call gave any number."""
    return any(np.isfinite(array).any() for array in outcome.value or ())


def said_of(answers, every=1):
    """What is said of every so many answers: the exercise, whether its slip is understood, and what
    is untrue of it.
    """
    places = [(name, place) for name, some in answers.items() for place in range(len(some))]
    rows = []
    for name, place in places[::every]:
        exercise, function = BANK[name], answers[name][place]
        diagnosis = diagnosis_of(exercise, function)
        wrong = [] if diagnosis is None else untrue(exercise, function, diagnosis)
        rows.append((name, diagnosis is not None, [f"{name} {place}: {words}" for words in wrong]))
    return rows


def assert_understood(rows):
    """Most are, and nothing untrue is said."""
    assert rows
    assert [words for _, _, wrong in rows for words in wrong] == []
    assert sum(understood for _, understood, _ in rows) >= 0.9 * len(rows)


def test_only_what_is_put_together_has_no_formula():
    assert {exercise.name for exercise in FUNCTIONS if not exercise.formula} == PUT_TOGETHER


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_a_formula_is_the_right_answer_on_every_case_in_each_of_its_forms(exercise):
    assert exercise.formula
    for formula in forms(exercise.formula):
        results = [parse(text) for text in formula.results]
        where = {name: parse(text) for name, text in formula.where.items()}
        for seed in range(3):
            cases, outcomes, _ = calls(exercise, exercise.reference, seed)
            for case, outcome in zip(cases, outcomes):
                values = {name: as_array(arg) for name, arg in zip(exercise.arguments, case.args)}
                scope = scope_of(values, where)
                for term, right in zip(results, outcome.value, strict=True):
                    value = scope.value(term)
                    assert value.shape == right.shape
                    room = exercise.tolerance * max(abs(right).max(), 0.05)
                    assert abs(value - right).max() <= room, (case.description, written(term))


@pytest.mark.parametrize("name", sorted(PUT_TOGETHER))
def test_a_program_is_the_right_answer(name):
    exercise = BANK[name]
    answer = function_with(exercise.program, exercise.arguments)
    for seed in range(3):
        assert not fails(exercise, answer, seed)


@pytest.mark.parametrize("name", sorted(PUT_TOGETHER))
def test_a_line_that_is_said_to_be_left_out_or_run_twice_is(name):
    exercise = BANK[name]
    lines = ast.unparse(ast.parse(exercise.program)).splitlines()
    tried = 0
    for variant in variants(exercise.program, exercise.arguments):
        for said, count in (("leave out the line ", 0), ("run the line ", 2)):
            line = variant.said.removeprefix(said).removesuffix(" twice")
            if not variant.said.startswith(said) or line.startswith("for "):
                continue
            own = calls(exercise, variant.function, 0)[1]
            if any(outcome.value is None for outcome in own):
                continue  # it stops with an error
            as_text = []
            for at, text in enumerate(lines):
                if text.strip() == line:
                    changed = [*lines[:at], *count * [text], *lines[at + 1 :]]
                    answer = function_with("\n".join(changed), exercise.arguments)
                    as_text.append(calls(exercise, answer, 0)[1])
            tried += 1
            assert any(
                all(same(a, b, exercise.tolerance) for a, b in zip(own, other)) for other in as_text
            ), variant.said
    assert tried >= 3


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=name_of)
def test_there_are_at_least_five_slips_and_all_are_wrong_and_in_no_bank(exercise):
    slips = NATURAL[exercise.name]
    assert len(slips) >= 5
    known = {mistake.name for mistake in exercise.mistakes}
    for place, slip in enumerate(slips[:: len(slips) - 1]):
        assert fails(exercise, slip, place)
        diagnosis = diagnosis_of(exercise, slip)
        assert diagnosis is None or diagnosis.mistake not in known


def test_most_slips_are_understood_and_nothing_untrue_is_said_of_a_part():
    assert_understood(said_of(NATURAL, EVERY))


@pytest.mark.slow
@pytest.mark.parametrize("answers", [NATURAL, WRONG], ids=["slips", "wrong answers"])
def test_nine_of_ten_are_understood_and_nothing_untrue_is_said(answers):
    rows = said_of(answers)
    assert_understood(rows)
    assert_understood([row for row in rows if row[0] not in PUT_TOGETHER])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["right", pytest.param("reference", marks=pytest.mark.thorough)])
def test_mutants_are_understood_and_nothing_untrue_is_said(kind):
    """Of one in four. Of all, 847 of 904 mutants of references are understood, and 987 of 1,106 of
    right answers in other styles, which is a little less.
    """
    answers = {}
    for exercise in EXERCISES:
        function = RIGHT[exercise.name[3:]]
        source, scope, name = (
            source_of_reference(exercise)
            if kind == "reference"
            else (inspect.getsource(function), RIGHT, function.__name__)
        )
        known = {mistake.name for mistake in exercise.mistakes}
        answers[exercise.name] = []
        for place, (_, _, mutant) in enumerate(mutants(source, scope, name)):
            if place % EVERY_MUTANT or not fails(exercise, mutant, 0):
                continue
            _, outcomes, _ = calls(exercise, mutant, 0)
            if not any(map(finite, outcomes)):
                continue  # its error, or NaN, says what is wrong
            diagnosis = diagnosis_of(exercise, mutant)
            if diagnosis is None or diagnosis.mistake not in known:
                answers[exercise.name].append(mutant)
    assert_understood(said_of(answers))


def test_a_diagnosis_is_the_same_for_other_inputs_and_so_holds_none_of_them():
    for name, slips in list(NATURAL.items())[::EVERY]:
        one, other = (diagnosis_of(BANK[name], slips[-1], seed) for seed in (0, 1))
        assert (one and one.mistake) == (other and other.mistake)


def test_the_independent_reading_of_formulas_matches_shapes_from_the_left():
    rows, table = Left([1.0, 2.0]), Left([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    assert (rows * table).values.tolist() == [[1, 1, 1], [4, 4, 4]]
    assert (1 - rows).values.tolist() == [0, -1]
    assert number_of(functions(Left)["cumprod"](rows)).tolist() == [1, 2]
