"""What lesson 09 rebuilds is compared with the package."""

import math

import pytest

import minddpm
from minddpm_course.comparisons import same_as_package


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
