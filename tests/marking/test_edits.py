"""Wrong answers about quadratic equations, told as the right formula with something changed."""

import numpy as np
import pytest
import torch
from algebra import BANK, roots

from marking.diagnosis import diagnose
from marking.edits import rewrites
from marking.engine import judge
from marking.exercise import Case, Exercise, Formula, Inputs
from marking.formula import Scope, as_array, parse, scope_of, written
from marking.outcome import copied, outcome_of

DISCRIMINANT, PARABOLA = BANK["solve.discriminant"], BANK["graph.parabola"]


def diagnosis_of(exercise, function, seed=0):
    cases = list(exercise.cases(Inputs(seed)))
    *outcomes, again = (
        outcome_of(function, [copied(arg) for arg in case.args]) for case in [*cases, cases[0]]
    )
    return diagnose(exercise, cases, outcomes, again)


def exercise_with(formula, reference, cases, arguments, **options):
    return Exercise("x.y", arguments, "a number", reference, cases, (), formula=formula, **options)


@pytest.mark.parametrize(
    "text",
    [
        "b ** 2 - 4 * a * c",
        "(-b - root) / (2 * a)",
        "a - (b - c)",
        "a / (b * c) / b",
        "(a + b) ** 2 * -c",
        "-(a + b) ** 2",
        "(-a) ** 2",
        "cumprod(1 - x[:t])[t - 1] + sqrt(2 * x[0])",
        "(t > 1) * cat(a, b, 1)",
        "0.5 * (a <= 2)",
    ],
)
def test_a_formula_is_written_as_it_is_read(text):
    assert written(parse(text)) == text
    assert written(parse(written(parse(text)))) == text


@pytest.mark.parametrize("text", ["a if b else c", "open(a)", "a.b", "a[1:2]", "'a'", "lambda: a"])
def test_a_formula_holds_nothing_else(text):
    with pytest.raises(ValueError, match="expected a formula of numbers, names and functions, got"):
        parse(text)


def test_shapes_are_matched_from_the_left_or_the_right():
    values = {"rows": np.array([1.0, 2.0]), "table": np.ones((2, 2))}
    product = parse("rows * table")
    assert Scope(values).value(product).tolist() == [[1, 1], [2, 2]]
    assert Scope(values, from_the_right=True).value(product).tolist() == [[1, 2], [1, 2]]


def test_symbols_are_defined_by_those_before_them_and_left_out_where_they_cannot_be():
    scope = scope_of(
        {"x": as_array(torch.tensor([3.0, 4.0]))},
        {"first": parse("x[0]"), "twice": parse("2 * first"), "late": parse("x[7]")},
    )
    assert scope.values["twice"] == 6
    assert "late" not in scope.values


@pytest.mark.parametrize(
    ("function", "said", "yours"),
    [
        (lambda a, b, c: b - 4 * a * c, "you do not square b", "b - 4 * a * c"),
        (lambda a, b, c: b**2 - a * c / 4, "", "b ** 2 - 1 / 4"),
        (lambda a, b, c: b**2 - 4 * a, "you leave out the factor c", "b ** 2 - 4 * a"),
        (lambda a, b, c: 4 * a * c, "", "4 * a * c"),
        (lambda a, b, c: (b - 4 * a * c) ** 2, "", "(b - 4 * a * c) ** 2"),
        (lambda a, b, c: c**2 - 4 * a * b, "you swap b and c", "c ** 2 - 4 * a * b"),
        (lambda a, b, c: b * 2 - 4 * a * c, "", "b * 2 - 4 * a * c"),
        (lambda a, b, c: 4 * a * c - b**2, "", "4 * a * c - b ** 2"),
        (
            lambda a, b, c: b**2 - 2 * a * c,
            "you have 2 * a where the formula has 4 * a",
            "2 * a * c",
        ),
        (lambda a, b, c: b**2 - 4 * a / c, "you divide by c where the formula multiplies", "/ c"),
        (lambda a, b, c: a**2 + 4 * a * c, "", "a ** 2 + 4 * a * c"),
        (lambda a, b, c: (b**2 - 4 * a * c).mean(), "you take the mean of", "mean(b ** 2"),
        (lambda a, b, c: b**2 - 4 * a * c[0], "use the first entry of c for all", "c[0]"),
    ],
)
def test_an_answer_is_told_by_what_is_changed(function, said, yours):
    for seed in range(3):
        diagnosis = diagnosis_of(DISCRIMINANT, function, seed)
        assert diagnosis is not None
        assert said in diagnosis.mistake
        assert diagnosis.explanation == ""
        if diagnosis.edited is not None and said:
            assert yours in diagnosis.beside


def test_both_formulas_are_shown_with_the_difference_marked():
    verdict = judge(
        DISCRIMINANT, lambda args: outcome_of(lambda a, b, c: b - 4 * a * c, args), seed=0
    )
    assert (
        "You do not square b.\n\nright  b ** 2 - 4 * a * c\n        ^^^^^\nyours  b - 4 * a * c\n\n"
    ) in verdict.message
    assert verdict.mistake == "you do not square b"
    assert verdict.explanation == ""
    assert "right" not in verdict.summary


def test_a_change_of_a_symbol_is_told_where_it_is_defined():
    def rootless(a, b, c):
        root = b**2 - 4 * a * c
        return (-b - root) / (2 * a), (-b + root) / (2 * a)

    diagnosis = diagnosis_of(roots, rootless)
    assert diagnosis.mistake == "you leave out the root of b ** 2 - 4 * a * c, in root"
    assert "yours  root = b ** 2 - 4 * a * c" in diagnosis.beside


def test_each_of_several_results_is_told():
    def function(a, b, c):
        root = (b**2 - 4 * a * c).sqrt()
        return (-b - root) / a / 2, (-b + root) / 2 * a

    diagnosis = diagnosis_of(roots, function)
    assert len(diagnosis.edited.edits) == 1
    assert "right  result 2: (-b + root) / (2 * a)" in diagnosis.beside
    assert "result 1" not in diagnosis.beside


def test_two_changes_are_told_together():
    diagnosis = diagnosis_of(PARABOLA, lambda x, a, b, c: a * x**2 - b * x - c)
    told = diagnosis.mistake.removeprefix("you ").split(", and ")
    assert sorted(told) == [
        "subtract b * x where the formula adds it",
        "subtract c where the formula adds it",
    ]


def test_a_change_of_a_change_is_told_as_one():
    exercise = exercise_with(
        Formula(("cumprod(1 - x)",)),
        lambda x: (1 - x).cumprod(0),
        lambda draw: [Case("some", (draw.uniform(0.1, 0.5, 5),)) for _ in range(3)],
        ("x",),
    )
    diagnosis = diagnosis_of(exercise, lambda x: 1 - x.cumsum(0))
    assert diagnosis.mistake == "you have 1 - cumsum(x) where the formula has cumprod(1 - x)"


def test_the_simplest_of_several_explanations_is_told():
    # the root of the sum is left out, which is also the square of the whole
    exercise = exercise_with(
        Formula(("sqrt(x + y)",)),
        lambda x, y: (x + y).sqrt(),
        lambda draw: [
            Case("some", (draw.uniform(1, 2, 5), draw.uniform(1, 2, 5))) for _ in range(3)
        ],
        ("x", "y"),
    )
    assert diagnosis_of(exercise, lambda x, y: x + y).mistake == "you leave out the root of x + y"


def test_what_does_not_hold_on_every_case_is_not_told():
    def function(a, b, c):
        return b - 4 * a * c if len(b) > 1 else b**2 - 4 * a * c + 1

    assert "square" not in str(diagnosis_of(DISCRIMINANT, function))


def test_where_an_answer_fails_the_edited_formula_fails_too():
    exercise = exercise_with(
        Formula(("x[n - 1]",)),
        lambda x, n: x[n - 1],
        lambda draw: [Case(f"n = {n}", (draw.normal(5), n)) for n in (1, 3, 5)],
        ("x", "n"),
    )
    diagnosis = diagnosis_of(exercise, lambda x, n: x[n])
    assert diagnosis.mistake == "you have n where the formula has n - 1"
    # right but for the end, where it fails: not the same
    assert diagnosis_of(exercise, lambda x, n: x[n] if n < 5 else x[0]) is None


def test_an_answer_that_draws_is_told_by_what_it_replaces():
    exercise = exercise_with(
        Formula(("sqrt(1 - a) * x + sqrt(a) * z",)),
        lambda x, a, z: (1 - a) ** 0.5 * x + a**0.5 * z,
        lambda draw: [Case("some", (draw.normal(30), 0.3, draw.normal(30))) for _ in range(3)],
        ("x", "a", "z"),
    )
    torch.manual_seed(0)
    random = "called twice with the same input, it gives different results: "
    normal = diagnosis_of(
        exercise, lambda x, a, z: (1 - a) ** 0.5 * x + a**0.5 * torch.randn_like(z)
    )
    assert normal.mistake == random + "in place of z it draws numbers of its own"
    uniform = diagnosis_of(
        exercise, lambda x, a, z: (1 - a) ** 0.5 * x + a**0.5 * torch.rand_like(z)
    )
    assert uniform.mistake == random + "in place of z it draws numbers between 0 and 1"
    unclear = diagnosis_of(exercise, lambda x, a, z: torch.rand_like(z) * 9)
    assert unclear.mistake == random + "it draws random numbers, or remembers earlier calls"


def test_numbers_of_rows_along_the_last_axis_are_told():
    exercise = exercise_with(
        Formula(("level * x",)),
        lambda x, level: level[:, None] * x,
        lambda draw: [
            Case("square", (draw.normal(3, 3), draw.normal(3))),
            Case("wide", (draw.normal(3, 4), draw.normal(3))),
        ],
        ("x", "level"),
    )
    diagnosis = diagnosis_of(exercise, lambda x, level: level * x)
    assert (
        diagnosis.mistake == "you let the numbers that belong to the rows run along the last axis"
    )


def test_axes_of_length_one_that_a_formula_does_not_write_are_no_difference():
    exercise = exercise_with(
        Formula(("level * x",)),
        lambda x, level: level[:, None] * x,
        lambda draw: [Case("wide", (draw.normal(3, 4), draw.normal(3))) for _ in range(3)],
        ("x", "level"),
    )
    diagnosis = diagnosis_of(exercise, lambda x, level: level[:, None])
    assert diagnosis.mistake == "you leave out the factor x"


def test_another_form_of_the_formula_is_known():
    exercise = exercise_with(
        Formula(("x / (1 - x)",), otherwise=Formula(("1 / (1 / x - 1)",))),
        lambda x: x / (1 - x),
        lambda draw: [Case("some", (draw.uniform(0.1, 0.5, 5),)) for _ in range(3)],
        ("x",),
    )
    diagnosis = diagnosis_of(exercise, lambda x: 1 / (1 / x + 1))
    assert diagnosis.mistake in (
        "you add x where the formula subtracts it",
        "you add 1 where the formula subtracts it",
    )


def test_without_a_formula_relations_are_told():
    exercise = exercise_with(
        None,
        lambda x: x**3,
        lambda draw: [Case("some", (draw.normal(5),)) for _ in range(3)],
        ("x",),
    )
    assert (
        diagnosis_of(exercise, lambda x: 2 * x**3).mistake == "the result is 2 times the right one"
    )


def test_every_rewrite_differs_from_the_formula_and_is_said_as_an_act():
    for text in (
        "b ** 2 - 4 * a * c",
        "sqrt(x) / y",
        "cumprod(1 - x)",
        "sin(x)",
        "x[n - 1]",
        "t > 1",
    ):
        term = parse(text)
        changes = list(rewrites(term, {"x": True, "z": False}, 1))
        assert changes
        for edit, new in changes:
            assert written(new) != text
            assert edit.cost in (1, 2, 3)
            assert edit.said.split()[0] in (
                *("have", "take", "leave", "add", "subtract", "divide", "multiply", "double"),
                *("halve", "square", "do", "use", "clip"),
            )


@pytest.mark.parametrize(
    "odd",
    [
        lambda a, b, c: np.zeros((0, 3)),
        lambda a, b, c: float("nan"),
        lambda a, b, c: [float("inf")] * 4,
        lambda a, b, c: torch.full_like(b, float("nan")),
        lambda a, b, c: torch.zeros(2, 2, 2, 2, 2),
        lambda a, b, c: (b, 7),
        lambda a, b, c: np.uint8(3),
        lambda a, b, c: 1 / 0,
        lambda a, b, c: b / 0,
        lambda a, b, c: 1e300 * b * 1e300,
        lambda a, b, c: torch.eye(3),
        lambda a, b, c: b.int(),
        lambda a, b, c: [],
    ],
)
def test_odd_answers_break_nothing(odd):
    for exercise in (DISCRIMINANT, roots):
        verdict = judge(exercise, lambda args: outcome_of(odd, args), seed=0)
        assert not verdict.passed
