"""What lesson 08 rebuilds is compared with the package."""

import pytest
import torch

import minddpm
from minddpm_course.comparisons import same_as_package

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
