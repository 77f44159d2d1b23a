"""What a lesson rebuilds is compared with the package by one line."""

from pathlib import Path

import pytest

import minddpm
from minddpm_course.comparisons import same_as_package

COMPARISONS = Path(__file__).parents[2] / "minddpm_course" / "comparisons"
LESSONS = [path.stem.split("_")[1] for path in sorted(COMPARISONS.glob("lesson_*.py"))]


def test_equal_functions_are_named(capsys):
    same_as_package("03", vars(minddpm))
    expected = "posterior_coefficients, posterior_variance, q_posterior"
    assert capsys.readouterr().out == f"equal to the package: {expected}\n"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("posterior_coefficients", lambda t, s: [w * (1 + 1e-9) for w in right(t, s)]),
        ("posterior_variance", lambda t, s: s.beta[t]),
        ("q_posterior", lambda x_0, x_t, t, s: minddpm.q_posterior(x_t, x_0, t, s)),
    ],
)
def test_a_function_that_differs_is_named(name, wrong):
    with pytest.raises(AssertionError, match=name):
        same_as_package("03", {**vars(minddpm), name: wrong})


def right(t, schedule):
    return minddpm.posterior_coefficients(t, schedule)


def test_a_function_that_is_missing_is_named():
    names = {name: value for name, value in vars(minddpm).items() if name != "q_posterior"}
    with pytest.raises(NameError, match="q_posterior is not defined: run the cells above"):
        same_as_package("03", names)


def test_another_lesson_is_refused():
    with pytest.raises(ValueError, match=r"lesson must be one of .*03.*, got '3'"):
        same_as_package("3", {})


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_lesson_says_this_line(lesson):
    (twin,) = (COMPARISONS.parents[1] / "notebooks" / "py").glob(f"{lesson}_*.py")
    assert f'same_as_package("{lesson}", globals())' in twin.read_text(encoding="utf-8")
