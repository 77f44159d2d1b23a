"""What a lesson rebuilds is compared with the package by one line."""

from pathlib import Path

import pytest
import torch

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


SCHEDULE = minddpm.linear_schedule()
CENTRES = torch.tensor([[-1.5, -0.5], [1.0, 0.5]], dtype=torch.float64)
SHARES = torch.tensor([0.2, 0.8], dtype=torch.float64)
TWO_CLOUDS = minddpm.GaussianMixture(CENTRES, 0.04, SHARES)


def walk(score, x, step_size, steps, generator):
    """The package's walk, called as lesson 08 calls its own."""
    return minddpm.langevin(score, x, step_size=step_size, steps=steps, generator=generator)


def score_step(x, t, score, noise):
    """The package's reverse step, made of a score."""
    predicted_noise = minddpm.noise_from_score(score, t, SCHEDULE)
    estimate = minddpm.x0_from_noise(x, t, predicted_noise, SCHEDULE)
    return minddpm.reverse_step(x, t, estimate, SCHEDULE, noise)


LESSON_08 = {
    "score_from_noise": minddpm.score_from_noise,
    "exact_score": lambda x, t: TWO_CLOUDS.score(x, t, SCHEDULE),
    "langevin": walk,
    "ddpm_step": score_step,
}
DATA_08 = {"centres": CENTRES, "variance": 0.04, "shares": SHARES}


def test_equal_functions_of_lesson_08_are_named(capsys):
    same_as_package("08", DATA_08 | LESSON_08)
    assert capsys.readouterr().out == f"equal to the package: {', '.join(LESSON_08)}\n"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("score_from_noise", lambda noise, t, s: -minddpm.score_from_noise(noise, t, s)),
        ("score_from_noise", lambda noise, t, s: -noise),
        ("score_from_noise", lambda noise, t, s: minddpm.noise_from_score(noise, t, s)),
        ("score_from_noise", lambda noise, t, s: minddpm.score_from_noise(noise, 300, s)),
        ("exact_score", lambda x, t: TWO_CLOUDS.score(x, max(t, 1), SCHEDULE)),
        (
            "exact_score",  # clouds of equal shares
            lambda x, t: minddpm.GaussianMixture(CENTRES, 0.04, torch.ones(2).double()).score(
                x, t, SCHEDULE
            ),
        ),
        ("langevin", lambda score, x, h, steps, rng: walk(score, x, h / 2, steps, rng)),
        ("langevin", lambda score, x, h, steps, rng: walk(score, x, h, steps + 1, rng)),
        ("langevin", lambda score, x, h, steps, rng: walk(lambda x: -score(x), x, h, steps, rng)),
        ("ddpm_step", lambda x, t, score, noise: score_step(x, t, score / 2, noise)),
        ("ddpm_step", lambda x, t, score, noise: score_step(x, t, score, 0 * noise)),
        (
            "ddpm_step",  # a step of Euler and Maruyama
            lambda x, t, score, noise: (
                (1 + SCHEDULE.beta[t] / 2) * x
                + SCHEDULE.beta[t] * score
                + SCHEDULE.beta[t].sqrt() * noise
            ),
        ),
    ],
)
def test_a_function_of_lesson_08_that_differs_is_named(name, wrong):
    with pytest.raises(AssertionError, match=f"^{name}"):
        same_as_package("08", DATA_08 | LESSON_08 | {name: wrong})
