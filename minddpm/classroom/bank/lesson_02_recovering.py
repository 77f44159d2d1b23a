"""Lesson 02: the jump solved for what one does not know."""

from __future__ import annotations

from minddpm.classroom.bank.lesson_02_noising import AXIS, FIRST, TWO, WHITE, each, jump, jump_shapes, level, pixel
from minddpm.classroom.exercise import Case, Exercise, Inputs, Mistake


def recover_cases(draw: Inputs):
    for what, x_0, noise, alpha_bar in jump_shapes(draw):
        yield Case(what, (jump(x_0, alpha_bar, noise), alpha_bar, noise))


NOISY = (pixel(0.72), level(0.36), pixel(0.3))
AT_NOISY = "for alpha_bar = 0.36, a noisy pixel of 0.72 and noise of 0.3 the clean one is {right}; yours is {wrong}."

recover_x0 = Exercise(
    "02.recover_x0",
    arguments=("x_t", "alpha_bar_t", "noise"),
    gives="the clean images, the shape of x_t",
    reference=lambda x_t, a, noise: (x_t - (1 - each(a, x_t)).sqrt() * noise) / each(a, x_t).sqrt(),
    cases=recover_cases,
    tolerance=2e-4,
    mistakes=(
        Mistake(
            "not scaled back",
            lambda x_t, a, noise: x_t - (1 - each(a, x_t)).sqrt() * noise,
            f"You take the noise away and stop. What is left is the image made smaller by sqrt(alpha_bar): {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "divided by alpha_bar",
            lambda x_t, a, noise: (x_t - (1 - each(a, x_t)).sqrt() * noise) / each(a, x_t),
            f"You divide by alpha_bar. The image was scaled by its root: {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "multiplied where one divides",
            lambda x_t, a, noise: (x_t - (1 - each(a, x_t)).sqrt() * noise) * each(a, x_t).sqrt(),
            f"You multiply by sqrt(alpha_bar) once more. To undo a scaling, divide: {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "variance for standard deviation",
            lambda x_t, a, noise: (x_t - (1 - each(a, x_t)) * noise) / each(a, x_t).sqrt(),
            "You take away (1 - alpha_bar) times the noise. It had been added with the root of that: " + AT_NOISY,
            NOISY,
        ),
        Mistake(
            "the noise is added again",
            lambda x_t, a, noise: (x_t + (1 - each(a, x_t)).sqrt() * noise) / each(a, x_t).sqrt(),
            f"You add the noise once more. To undo the jump, subtract it: {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "levels along the wrong axis",
            lambda x_t, a, noise: (x_t - (1 - a).sqrt() * noise) / a.sqrt(),
            AXIS,
            (WHITE, TWO, 0 * WHITE),
        ),
        Mistake(
            "one level for the whole batch",
            lambda x_t, a, noise: (x_t - (1 - a[0]).sqrt() * noise) / a[0].sqrt(),
            FIRST,
            (WHITE, TWO, 0 * WHITE),
        ),
    ),
)


def noise_cases(draw: Inputs):
    for what, x_0, noise, alpha_bar in jump_shapes(draw):
        yield Case(what, (jump(x_0, alpha_bar, noise), x_0, alpha_bar))


PAIR = (pixel(0.72), pixel(0.8), level(0.36))
AT_PAIR = "for alpha_bar = 0.36, a clean pixel of 0.8 that became 0.72, the noise is {right}; yours is {wrong}."

recover_noise = Exercise(
    "02.recover_noise",
    arguments=("x_t", "x_0", "alpha_bar_t"),
    gives="the noise that was added, the shape of x_t",
    reference=lambda x_t, x_0, a: (x_t - each(a, x_t).sqrt() * x_0) / (1 - each(a, x_t)).sqrt(),
    cases=noise_cases,
    tolerance=2e-4,
    mistakes=(
        Mistake(
            "divided by the variance",
            lambda x_t, x_0, a: (x_t - each(a, x_t).sqrt() * x_0) / (1 - each(a, x_t)),
            f"You divide by 1 - alpha_bar. The noise was scaled by its root: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "not scaled back",
            lambda x_t, x_0, a: x_t - each(a, x_t).sqrt() * x_0,
            "You return what was added. That is the noise times sqrt(1 - alpha_bar), not the standard normal noise: "
            f"{AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the image is not shrunk",
            lambda x_t, x_0, a: (x_t - x_0) / (1 - each(a, x_t)).sqrt(),
            f"You subtract the whole clean image. In x_t only sqrt(alpha_bar) of it is left: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the image's factor is not rooted",
            lambda x_t, x_0, a: (x_t - each(a, x_t) * x_0) / (1 - each(a, x_t)).sqrt(),
            f"You subtract alpha_bar times the image, a share of power. Its amplitude is the root: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the sign is turned",
            lambda x_t, x_0, a: (each(a, x_t).sqrt() * x_0 - x_t) / (1 - each(a, x_t)).sqrt(),
            f"You subtract the noisy image from the clean one. The noise is what came on top: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "levels along the wrong axis",
            lambda x_t, x_0, a: (x_t - a.sqrt() * x_0) / (1 - a).sqrt(),
            AXIS.replace(" and no noise, should get", ", that stayed white, hold the noise"),
            (WHITE, WHITE, TWO),
        ),
        Mistake(
            "one level for the whole batch",
            lambda x_t, x_0, a: (x_t - a[0].sqrt() * x_0) / (1 - a[0]).sqrt(),
            FIRST.replace(" and no noise, should get", ", that stayed white, hold the noise"),
            (WHITE, WHITE, TWO),
        ),
    ),
)

QUESTIONS = (recover_x0, recover_noise)
