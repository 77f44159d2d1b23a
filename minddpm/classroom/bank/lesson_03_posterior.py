"""Lesson 03: the step back, when the clean image is known."""

from __future__ import annotations

import torch

from minddpm.classroom.exercise import Case, Choice, Exercise, HandNumber, Inputs, Mistake


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def row_cases(draw: Inputs):
    yield Case("a schedule, from t = 1", draw.rows(draw.integer(4, 7)))
    yield Case("t = 1 alone", draw.rows(1))
    yield Case("two steps, out of order", tuple(values.flip(0) for values in draw.rows(2)))
    yield Case("float64", tuple(values.double() for values in draw.rows(5)))


FIRST = (row(0.1), row(0.9), row(1.0))  # t = 1
SECOND = (row(0.2), row(0.72), row(0.9))  # t = 2 of the betas 0.1, 0.2
AT_SECOND = "for beta = 0.2, alpha_bar = 0.72, alpha_bar_prev = 0.9 it is {right}; yours is {wrong}."
AT_BOTH = "for beta = 0.2, alpha_bar = 0.72, alpha_bar_prev = 0.9 they are {right}; yours are {wrong}."


def coefficients(beta, alpha_bar, before):
    return before.sqrt() * beta / (1 - alpha_bar), (1 - beta).sqrt() * (1 - before) / (1 - alpha_bar)


posterior_coefficients = Exercise(
    "03.posterior_coefficients",
    arguments=("beta_t", "alpha_bar_t", "alpha_bar_prev"),
    gives="two of shape (n,): the coefficient of x_0, then that of x_t",
    reference=coefficients,
    cases=row_cases,
    points=3,
    mistakes=(
        Mistake(
            "the coefficients are swapped",
            lambda beta, a, before: coefficients(beta, a, before)[::-1],
            "Your coefficients are swapped: the one you return first multiplies x_t. At t = 1 the step back leads to "
            "x_0 itself, so the coefficients of x_0 and x_t must be {right}; yours are {wrong}.",
            FIRST,
        ),
        Mistake(
            "alpha_bar_t for its predecessor",
            lambda beta, a, before: (a.sqrt() * beta / (1 - a), coefficients(beta, a, before)[1]),
            f"In the coefficient of x_0 you take the root of alpha_bar_t. It is that of alpha_bar_prev: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "alpha_bar_prev is not rooted",
            lambda beta, a, before: (before * beta / (1 - a), coefficients(beta, a, before)[1]),
            f"In the coefficient of x_0 the root of alpha_bar_prev is missing: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "alpha_t is not rooted",
            lambda beta, a, before: (coefficients(beta, a, before)[0], (1 - beta) * (1 - before) / (1 - a)),
            f"In the coefficient of x_t the root of alpha_t is missing: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "beta for alpha",
            lambda beta, a, before: (coefficients(beta, a, before)[0], beta.sqrt() * (1 - before) / (1 - a)),
            f"In the coefficient of x_t you take the root of beta. It is that of alpha_t = 1 - beta_t: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "beta is rooted",
            lambda beta, a, before: (before.sqrt() * beta.sqrt() / (1 - a), coefficients(beta, a, before)[1]),
            f"In the coefficient of x_0 stands beta itself, not its root: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "divided by the step before",
            lambda beta, a, before: (
                before.sqrt() * beta / (1 - before),
                (1 - beta).sqrt() * (1 - a) / (1 - before),
            ),
            "You divide by 1 - alpha_bar_prev. That is the variance before the step; at t = 1 it is 0. Divide by "
            f"1 - alpha_bar_t: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "not divided",
            lambda beta, a, before: (before.sqrt() * beta, (1 - beta).sqrt() * (1 - before)),
            f"The common denominator 1 - alpha_bar_t is missing: {AT_BOTH}",
            SECOND,
        ),
    ),
)

posterior_variance = Exercise(
    "03.posterior_variance",
    arguments=("beta_t", "alpha_bar_t", "alpha_bar_prev"),
    gives="beta tilde, shape (n,)",
    reference=lambda beta, a, before: (1 - before) / (1 - a) * beta,
    cases=row_cases,
    mistakes=(
        Mistake(
            "beta for beta tilde",
            lambda beta, a, before: beta,
            "You return beta_t. Knowing x_0 leaves less to guess than that: at t = 1 nothing at all, so beta tilde "
            "must be {right}; yours is {wrong}.",
            FIRST,
        ),
        Mistake(
            "upside down",
            lambda beta, a, before: (1 - a) / (1 - before) * beta,
            "Your fraction is upside down. The variance after the step, 1 - alpha_bar_t, is the larger one and stands "
            f"below: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "standard deviation for variance",
            lambda beta, a, before: ((1 - before) / (1 - a) * beta).sqrt(),
            f"You return the square root. Asked is the variance: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "signal shares for noise shares",
            lambda beta, a, before: before / a * beta,
            "You divide the alpha_bars. In the fraction stand the shares of noise, 1 - alpha_bar: at t = 1 the result "
            "must be {right}; yours is {wrong}.",
            FIRST,
        ),
        Mistake(
            "not divided",
            lambda beta, a, before: (1 - before) * beta,
            f"The denominator 1 - alpha_bar_t is missing: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "alpha for beta",
            lambda beta, a, before: (1 - before) / (1 - a) * (1 - beta),
            f"You multiply by alpha_t. It is beta_t, the noise of the step: {AT_SECOND}",
            SECOND,
        ),
    ),
)

by_hand = HandNumber(
    "03.by_hand",
    values=lambda draw: {
        "beta": round(draw.integer(2, 8) * 0.05, 2),
        "before": round(draw.integer(8, 17) * 0.05, 2),
    },
    question="A step has beta = {beta}, and before it alpha_bar was {before}. What is the variance of the true step "
    "back, beta tilde? (Four decimals; work out alpha_bar after the step first.)",
    answer=lambda beta, before: (1 - before) / (1 - before * (1 - beta)) * beta,
    mistakes=(
        ("beta for beta tilde", lambda beta, before: beta, "That is beta_t. Knowing x_0 leaves less to guess."),
        (
            "upside down",
            lambda beta, before: (1 - before * (1 - beta)) / (1 - before) * beta,
            "Your fraction is upside down: yours is larger than beta, and beta tilde is smaller.",
        ),
        (
            "standard deviation for variance",
            lambda beta, before: ((1 - before) / (1 - before * (1 - beta)) * beta) ** 0.5,
            "That is the standard deviation. Asked is the variance.",
        ),
        (
            "not divided",
            lambda beta, before: (1 - before) * beta,
            "You forgot to divide by 1 - alpha_bar after the step.",
        ),
        (
            "signal share for noise share",
            lambda beta, before: before / (1 - before * (1 - beta)) * beta,
            "Above the line you have alpha_bar. It is 1 - alpha_bar, the share of noise before the step.",
        ),
    ),
)

predict = Choice(
    "03.predict",
    question="At t = 1 the image before the step is x_0 itself, and it is known. What is the variance of the true step "
    "back there?",
    options={"A": "beta_1", "B": "0", "C": "1 - alpha_bar_1", "D": "1"},
    right="B",
    replies={
        "A": "beta_1 is the variance of the step forward. Backward, with x_0 known, nothing is left to guess.",
        "B": "The step leads to x_0, which is given.",
        "C": "That equals beta_1, of the step forward. Backward, with x_0 known, nothing is left to guess.",
        "D": "1 is about the variance at the other end, t = T.",
    },
)

QUESTIONS = (posterior_coefficients, posterior_variance, by_hand, predict)
