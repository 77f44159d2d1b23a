"""What a lesson rebuilds is compared with the package by one line."""

import math
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


def spread(eta, alpha_bar_t, alpha_bar_s):
    beta = 1 - alpha_bar_t / alpha_bar_s
    return eta * math.sqrt((1 - alpha_bar_s) / (1 - alpha_bar_t) * beta)


def step_to(x_0, predicted_noise, alpha_bar_s, fresh=0.0, noise=0.0, kept=None):
    kept = max(1 - alpha_bar_s - fresh**2, 0) if kept is None else kept
    return math.sqrt(alpha_bar_s) * x_0 + math.sqrt(kept) * predicted_noise + fresh * noise


def states(model, x_t, schedule, times, **options):
    return minddpm.ddim_steps(model, x_t, schedule, steps=len(times) - 1, **options)


def invert(model, x_0, schedule, steps, repeats=1):
    return minddpm.invert(model, x_0, schedule, steps=steps, repeats=repeats)


LESSON_09 = {  # the package's functions, called as lesson 09 calls its own
    "times_down": lambda T, steps: [round(T - k * T / steps) for k in range(steps)] + [0],
    "sigma": spread,
    "ddim_step": step_to,
    "ddim_steps": states,
    "invert": invert,
}


def test_equal_functions_of_lesson_09_are_named(capsys):
    same_as_package("09", LESSON_09)
    assert capsys.readouterr().out == f"equal to the package: {', '.join(LESSON_09)}\n"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("times_down", lambda T, n: [T - (k + 1) * T // n + 1 for k in range(n)] + [0]),
        ("times_down", lambda T, n: [round(T - k * T / n) for k in range(n)]),
        ("times_down", lambda T, n: [T - k * (T // n) for k in range(n)] + [0]),
        ("sigma", lambda eta, a, before: eta * math.sqrt(1 - a / before)),
        ("sigma", lambda eta, a, before: spread(math.sqrt(eta), a, before)),
        ("sigma", lambda eta, a, before: spread(eta, a, before) ** 2),
        ("ddim_step", lambda x_0, e, a, f, z: step_to(x_0, e, a, f, z, kept=1 - a)),
        ("ddim_step", lambda x_0, e, a, f, z: step_to(x_0, e, a, f, 0 * z)),
        ("ddim_step", lambda x_0, e, a, f, z: step_to(x_0, e, a)),
        ("ddim_steps", lambda *args, clip, **options: states(*args, clip=False, **options)),
        ("ddim_steps", lambda *args, eta, **options: states(*args, eta=eta / 2, **options)),
        ("ddim_steps", lambda model, *args, **options: states(late(model), *args, **options)),
        ("invert", lambda model, *args: invert(late(model), *args)),
        ("invert", lambda model, x_0, s, steps, repeats: invert(model, x_0, s, steps, repeats + 1)),
        ("invert", lambda model, x_0, s, steps, repeats: invert(model, x_0, s, steps, 1)),
    ],
)
def test_a_function_of_lesson_09_that_differs_is_named(name, wrong):
    with pytest.raises(AssertionError, match=f"^{name},"):
        same_as_package("09", LESSON_09 | {name: wrong})


def late(model):
    """A network that is told the time before."""
    return lambda x_t, t: model(x_t, t - 1)
