"""Lesson 08: the score, from a noise and of a Gaussian."""

from __future__ import annotations

import math

import torch

from minddpm.classroom.bank.lesson_02_noising import each, level, pixel
from minddpm.classroom.bank.lesson_03_posterior import row
from minddpm.classroom.exercise import Case, Exercise, HandNumber, Inputs, Mistake


def noise_cases(draw: Inputs):
    for what, shape in (
        ("a batch, each image at its own level", (3, 1, 4, 5)),
        ("a batch of one", (1, 1, 4, 4)),
        ("batch and width equal", (4, 1, 4, 4)),
    ):
        yield Case(what, (draw.normal(*shape), draw.uniform(0.1, 0.9, shape[0])))
    yield Case("float64", (draw.normal(2, 1, 3, 3).double(), draw.uniform(0.1, 0.9, 2).double()))
    yield Case("hardly any noise yet", (draw.normal(2, 1, 3, 3), draw.uniform(0.98, 0.99, 2)))


ONE = (pixel(0.6), level(0.64))
AT_ONE = "for a noise of 0.6 and alpha_bar = 0.64 the score is {right}; yours is {wrong}."
TWO = (torch.ones(2, 1, 1, 2, dtype=torch.float64), row(0.64, 0.91))

score_from_noise = Exercise(
    "08.score_from_noise",
    arguments=("noise", "alpha_bar_t"),
    gives="the score, the shape of noise",
    reference=lambda noise, a: -noise / (1 - each(a, noise)).sqrt(),
    cases=noise_cases,
    mistakes=(
        Mistake(
            "the sign is missing",
            lambda noise, a: noise / (1 - each(a, noise)).sqrt(),
            f"Your score points along the noise, to rarer images. It points back, against the noise: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "variance for standard deviation",
            lambda noise, a: -noise / (1 - each(a, noise)),
            "You divide by 1 - alpha_bar_t, a variance. One root of it is used up already, for x_t holds "
            f"sqrt(1 - alpha_bar_t) times the noise: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "not divided",
            lambda noise, a: -noise,
            f"You only turn the sign. The less noise, the steeper the density: divide by its spread: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "multiplied",
            lambda noise, a: -noise * (1 - each(a, noise)).sqrt(),
            f"You multiply by sqrt(1 - alpha_bar_t). That leads from a score to a noise. Divide: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "signal share for noise share",
            lambda noise, a: -noise / each(a, noise).sqrt(),
            f"You divide by sqrt(alpha_bar_t), the size of the signal. The noise has sqrt(1 - alpha_bar_t): {AT_ONE}",
            ONE,
        ),
        Mistake(
            "levels along the width",
            lambda noise, a: -noise / (1 - a).sqrt(),
            "Your levels run along the columns. Each image has its own: for two images of two pixels, noise 1 "
            "everywhere, alpha_bar = 0.64 and 0.91 the scores are {right}; yours are {wrong}.",
            TWO,
        ),
    ),
)


def gauss_cases(draw: Inputs):
    def drawn(n):
        return draw.normal(n), draw.uniform(0.5, 2.0, n), draw.uniform(0.1, 0.7, n)

    yield Case("some points", drawn(draw.integer(4, 7)))
    yield Case("one point", drawn(1))
    x, mean, var = drawn(3)
    yield Case("the first point at its mean", (torch.cat([mean[:1], x[1:]]), mean, var))
    yield Case("float64", tuple(values.double() for values in drawn(5)))
    x, mean, var = drawn(4)
    yield Case("wide", (x, mean, 10 * var))


POINT = (row(2.0), row(0.5), row(0.25))
AT_POINT = "at x = 2, with mean 0.5 and variance 0.25, the score is {right}; yours is {wrong}."


def density(x, mean, var):
    return torch.exp(-((x - mean) ** 2) / (2 * var)) / (2 * math.pi * var).sqrt()


gaussian_score = Exercise(
    "08.gaussian_score",
    arguments=("x", "mean", "var"),
    gives="the slope of the log density at x, shape (n,)",
    reference=lambda x, mean, var: (mean - x) / var,
    cases=gauss_cases,
    mistakes=(
        Mistake(
            "downhill",
            lambda x, mean, var: (x - mean) / var,
            f"Your score points away from the mean. The density rises towards it: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "standard deviation for variance",
            lambda x, mean, var: (mean - x) / var.sqrt(),
            f"You divide by the standard deviation. In the exponent stands the variance: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the 2 is kept",
            lambda x, mean, var: (mean - x) / (2 * var),
            f"You keep the 2 of the exponent. The derivative of the square cancels it: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "not divided",
            lambda x, mean, var: mean - x,
            f"You return the way to the mean. A narrow density is steeper: divide by the variance: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the density's own slope",
            lambda x, mean, var: (mean - x) / var * density(x, mean, var),
            f"You differentiate the density. Take its log first; then the far tails pull as well: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the log density itself",
            lambda x, mean, var: density(x, mean, var).log(),
            f"You return the log density. Asked is its slope in x: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the mean is left out",
            lambda x, mean, var: -x / var,
            f"Your density has its peak at 0. This one has it at the mean: {AT_POINT}",
            POINT,
        ),
    ),
)


by_hand = HandNumber(
    "08.by_hand",
    values=lambda draw: {
        "x_0": round(draw.integer(3, 9) * 0.1, 1),
        "alpha_bar": round(draw.integer(4, 15) * 0.05, 2),
        "x_t": round(draw.integer(-8, 2) * 0.1, 1),
    },
    question="A clean pixel is {x_0}. At alpha_bar_t = {alpha_bar} it has become {x_t}. What is the score of "
    "q(x_t | x_0) there? (Three decimals; write down mean and variance first.)",
    answer=lambda x_0, alpha_bar, x_t: (alpha_bar**0.5 * x_0 - x_t) / (1 - alpha_bar),
    mistakes=(
        (
            "downhill",
            lambda x_0, alpha_bar, x_t: (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar),
            "The sign is wrong. The score points from x_t to the mean.",
        ),
        (
            "standard deviation for variance",
            lambda x_0, alpha_bar, x_t: (alpha_bar**0.5 * x_0 - x_t) / (1 - alpha_bar) ** 0.5,
            "You divided by the standard deviation. That gives the noise, with its sign turned.",
        ),
        (
            "the noise",
            lambda x_0, alpha_bar, x_t: (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar) ** 0.5,
            "That is the noise in x_t. Turn its sign and divide once more by sqrt(1 - alpha_bar).",
        ),
        (
            "the mean is not shrunk",
            lambda x_0, alpha_bar, x_t: (x_0 - x_t) / (1 - alpha_bar),
            "You took x_0 for the mean. At this level the mean is sqrt(alpha_bar) x_0.",
        ),
        (
            "signal share for noise share",
            lambda x_0, alpha_bar, x_t: (alpha_bar**0.5 * x_0 - x_t) / alpha_bar,
            "You divided by alpha_bar. The variance is 1 - alpha_bar.",
        ),
    ),
)

QUESTIONS = (score_from_noise, gaussian_score, by_hand)
