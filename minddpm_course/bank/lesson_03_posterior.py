"""Lesson 03: the step back, when the clean image is known."""

from __future__ import annotations

import torch

from marking.exercise import (
    Bounds,
    BugHunt,
    Case,
    Choice,
    Exercise,
    Formula,
    HandNumber,
    Inputs,
    Mistake,
    Picture,
    Stretch,
    Variant,
)
from minddpm_course.bank.inputs import bell_cases, draw_rows, row
from minddpm_course.pictures import curve


def row_cases(draw: Inputs):
    yield Case("a schedule, from t = 1", draw_rows(draw, draw.integer(4, 7)))
    yield Case("t = 1 alone", draw_rows(draw, 1))
    yield Case("two steps, out of order", tuple(values.flip(0) for values in draw_rows(draw, 2)))
    yield Case("float64", tuple(values.double() for values in draw_rows(draw, 5)))


FIRST = (row(0.1), row(0.9), row(1.0))  # t = 1
SECOND = (row(0.2), row(0.72), row(0.9))  # t = 2 of the betas 0.1, 0.2
AT_SECOND = (
    "for beta = 0.2, alpha_bar = 0.72, alpha_bar_prev = 0.9 it is {right}; yours is {wrong}."
)
AT_BOTH = (
    "for beta = 0.2, alpha_bar = 0.72, alpha_bar_prev = 0.9 they are {right}; yours are {wrong}."
)


def coefficients(beta, alpha_bar, before):
    return before.sqrt() * beta / (1 - alpha_bar), (1 - beta).sqrt() * (1 - before) / (
        1 - alpha_bar
    )


posterior_coefficients = Exercise(
    "03.posterior_coefficients",
    arguments=("beta_t", "alpha_bar_t", "alpha_bar_prev"),
    returns="two tensors of shape (n,): the coefficient of x_0, then the coefficient of x_t",
    reference=coefficients,
    cases=row_cases,
    formula=Formula(
        (
            "sqrt(alpha_bar_prev) * beta_t / (1 - alpha_bar_t)",
            "sqrt(alpha_t) * (1 - alpha_bar_prev) / (1 - alpha_bar_t)",
        ),
        {"alpha_t": "1 - beta_t"},
        otherwise=Formula(  # as the product of two Gaussians in x_{t-1}, of these variances
            (
                "near / (near + far) * sqrt(alpha_bar_prev)",
                "far / (near + far) / sqrt(1 - beta_t)",
            ),
            {"near": "beta_t / (1 - beta_t)", "far": "1 - alpha_bar_prev"},
        ),
    ),
    points=3,
    mistakes=(
        Mistake(
            "the coefficients are swapped",
            lambda beta, a, before: coefficients(beta, a, before)[::-1],
            "Your coefficients are swapped: your first one multiplies x_t. At t = 1 the"
            " step back leads to x_0 itself, so the coefficients of x_0 and x_t must be {right};"
            " yours are {wrong}.",
            FIRST,
        ),
        Mistake(
            "alpha_bar_t instead of alpha_bar_prev",
            lambda beta, a, before: (a.sqrt() * beta / (1 - a), coefficients(beta, a, before)[1]),
            "In the coefficient of x_0 you take the root of alpha_bar_t. Take the root of"
            f" alpha_bar_prev: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "the root of alpha_bar_prev is missing",
            lambda beta, a, before: (before * beta / (1 - a), coefficients(beta, a, before)[1]),
            f"In the coefficient of x_0 the root of alpha_bar_prev is missing: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "the root of alpha_t is missing",
            lambda beta, a, before: (
                coefficients(beta, a, before)[0],
                (1 - beta) * (1 - before) / (1 - a),
            ),
            f"In the coefficient of x_t the root of alpha_t is missing: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "beta instead of alpha",
            lambda beta, a, before: (
                coefficients(beta, a, before)[0],
                beta.sqrt() * (1 - before) / (1 - a),
            ),
            "In the coefficient of x_t you take the root of beta. Take the root of alpha_t = 1 -"
            f" beta_t: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "the root of beta",
            lambda beta, a, before: (
                before.sqrt() * beta.sqrt() / (1 - a),
                coefficients(beta, a, before)[1],
            ),
            f"The coefficient of x_0 contains beta itself, not its root: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "the variances before and after are swapped",
            lambda beta, a, before: (
                before.sqrt() * beta / (1 - before),
                (1 - beta).sqrt() * (1 - a) / (1 - before),
            ),
            "You have 1 - alpha_bar_t and 1 - alpha_bar_prev the wrong way round, in both"
            " denominators and in the numerator of the coefficient of x_t. Divide by the variance"
            f" after the step, 1 - alpha_bar_t: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "divided by the variance before the step",
            lambda beta, a, before: (
                before.sqrt() * beta / (1 - before),
                (1 - beta).sqrt() * (1 - before) / (1 - before),
            ),
            "Both of your denominators are 1 - alpha_bar_prev, the variance before the step, which"
            f" is 0 at t = 1. Divide by the variance after it, 1 - alpha_bar_t: {AT_BOTH}",
            SECOND,
        ),
        Mistake(
            "not divided",
            lambda beta, a, before: (before.sqrt() * beta, (1 - beta).sqrt() * (1 - before)),
            f"The common denominator 1 - alpha_bar_t is missing: {AT_BOTH}",
            SECOND,
        ),
    ),
    hints=(
        "Two bells over x_{t-1} are multiplied: what x_0 says about it, and what x_t says about"
        " it. The mean of the product is a weighted average, and the narrower bell has the larger"
        " weight.",
        'Equation 7 in lesson 03, under "Put the two bells in", has both coefficients. Both have'
        " the denominator 1 - alpha_bar_t. The numerator for x_0 is made of beta_t and the root"
        " of alpha_bar_prev, the one for x_t of the root of alpha_t and the share of noise before"
        " the step.",
        "For x_0, multiply the root of alpha_bar_prev by beta_t; for x_t, multiply the root of 1"
        " - beta_t by 1 - alpha_bar_prev. Divide both by the common denominator, and return them"
        " in this order. At t = 1, where alpha_bar_prev is 1, they must be 1 and 0.",
    ),
    after=(
        "Each bell is weighted by one over its variance; put together, both weights get the"
        " variance of the jump to t as their denominator. At t = 1 alpha_bar_prev is 1, the bell"
        " of x_0 has no width, and the mean is x_0 itself. No special case is needed for that."
    ),
)

posterior_variance = Exercise(
    "03.posterior_variance",
    arguments=("beta_t", "alpha_bar_t", "alpha_bar_prev"),
    returns="beta tilde, shape (n,)",
    reference=lambda beta, a, before: (1 - before) / (1 - a) * beta,
    cases=row_cases,
    formula=Formula(
        ("(1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t",),
        {"alpha_t": "1 - beta_t"},
        otherwise=Formula(("beta_t - beta_t * beta_t * alpha_bar_prev / (1 - alpha_bar_t)",)),
    ),
    mistakes=(
        Mistake(
            "beta for beta tilde",
            lambda beta, a, before: beta,
            "You return beta_t. Knowing x_0 leaves less to guess than that: at t = 1 nothing at"
            " all, so beta tilde must be {right}; yours is {wrong}.",
            FIRST,
        ),
        Mistake(
            "upside down",
            lambda beta, a, before: (1 - a) / (1 - before) * beta,
            "Your fraction is upside down. The variance after the step, 1 - alpha_bar_t, is the"
            f" larger one and is the denominator: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "standard deviation instead of variance",
            lambda beta, a, before: ((1 - before) / (1 - a) * beta).sqrt(),
            f"You return the square root. Return the variance: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "signal shares instead of noise shares",
            lambda beta, a, before: before / a * beta,
            "You divide the alpha_bars. The fraction is made of the shares of noise, 1 - alpha_bar:"
            " at t = 1 the result must be {right}; yours is {wrong}.",
            FIRST,
        ),
        Mistake(
            "not divided",
            lambda beta, a, before: (1 - before) * beta,
            f"The denominator 1 - alpha_bar_t is missing: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "alpha instead of beta",
            lambda beta, a, before: (1 - before) / (1 - a) * (1 - beta),
            f"You multiply by alpha_t. Multiply by beta_t, the noise of the step: {AT_SECOND}",
            SECOND,
        ),
    ),
    hints=(
        "Each bell is evidence about x_{t-1}, and both together are narrower than either. What"
        " must be left of the variance at t = 1, where the image before the step is x_0 itself?",
        'It is the first formula with the number 7 in lesson 03, under "Put the two bells in":'
        " beta_t times a fraction. Both halves of the fraction are shares of noise, one before"
        " the step and one after it.",
        "A share of noise is 1 - alpha_bar. Divide the share for alpha_bar_prev by the share for"
        " alpha_bar_t, and multiply by beta_t; a variance is asked for, so take no root.",
    ),
    after=(
        "Precisions add, and one over their sum is this fraction of beta_t. There is less noise"
        " before the step than after it, so the fraction is below 1; at t = 1 there is none"
        " before it, so the variance is 0. It is the smaller of the two variances that the paper"
        " samples with."
    ),
)

by_hand = HandNumber(
    "03.by_hand",
    values=lambda draw: {
        "beta": draw.integer(100, 450) / 1000,
        "before": draw.integer(3500, 8800) / 10000,
    },
    question=(
        "A step has beta = {beta}, and before it alpha_bar was {before}. What is the variance of"
        " the true step back, beta tilde? (Work out alpha_bar after the step first. Six decimals,"
        " rounded only at the end.)"
    ),
    answer=lambda beta, before: (1 - before) / (1 - before * (1 - beta)) * beta,
    mistakes=(
        (
            "beta for beta tilde",
            lambda beta, before: beta,
            (
                "That is beta_t, the variance of the step forward. Knowing x_0 leaves less to"
                " guess on the way back: shrink it by the two shares of noise."
            ),
        ),
        (
            "upside down",
            lambda beta, before: (1 - before * (1 - beta)) / (1 - before) * beta,
            (
                "Your fraction is upside down: yours is larger than beta, and beta tilde is"
                " smaller. Divide by the larger share of noise, which is the one after the step."
            ),
        ),
        (
            "standard deviation instead of variance",
            lambda beta, before: ((1 - before) / (1 - before * (1 - beta)) * beta) ** 0.5,
            (
                "You took a root at the end, and have the standard deviation. The question asks"
                " for the variance: leave the root out."
            ),
        ),
        (
            "not divided",
            lambda beta, before: (1 - before) * beta,
            (
                "You multiplied beta by 1 - alpha_bar before the step and stopped. Divide by 1 -"
                " alpha_bar after it."
            ),
        ),
        (
            "signal share instead of noise share",
            lambda beta, before: before / (1 - before * (1 - beta)) * beta,
            (
                "Your numerator is alpha_bar. It must be 1 - alpha_bar, the share of noise before"
                " the step."
            ),
        ),
    ),
    bounds=Bounds(
        lambda **values: 0,
        lambda beta, before: beta,
        "knowing x_0 leaves less to guess than beta, the variance of the step forward",
    ),
    decimals=6,
)

predict = Choice(
    "03.predict",
    question=(
        "At t = 1 the image before the step is x_0 itself, and it is known. What is the variance of"
        " the true step back there?"
    ),
    options={"A": "beta_1", "B": "0", "C": "1 - alpha_bar_1", "D": "1"},
    right="B",
    replies={
        "A": (
            "beta_1 is the variance of the step forward. Backward, with x_0 known, nothing is left"
            " to guess."
        ),
        "B": "The step leads to x_0, which is given.",
        "C": (
            "That equals beta_1, of the step forward. Backward, with x_0 known, nothing is left to"
            " guess."
        ),
        "D": "1 is about the variance at the other end, t = T.",
    },
)


def product(mean_1, var_1, mean_2, var_2):
    variance = 1 / (1 / var_1 + 1 / var_2)
    return variance * (mean_1 / var_1 + mean_2 / var_2), variance


BELLS = (row(0.0), row(1.0), row(3.0), row(0.5))
AT_BELLS = (
    "for N(0, 1) and N(3, 0.5), given by their variances, mean and variance are {right}; yours are"
    " {wrong}."
)

product_of_gaussians = Exercise(
    "03.product_of_gaussians",
    arguments=("mean_1", "var_1", "mean_2", "var_2"),
    returns="mean and variance of the normalised product of the two densities, each (n,)",
    reference=product,
    cases=bell_cases,
    formula=Formula(
        ("variance * (mean_1 / var_1 + mean_2 / var_2)", "variance"),
        {"variance": "1 / (1 / var_1 + 1 / var_2)"},
        otherwise=Formula(
            (
                "(mean_1 * var_2 + mean_2 * var_1) / (var_1 + var_2)",
                "var_1 * var_2 / (var_1 + var_2)",
            ),
            otherwise=Formula(
                ("mean_1 + gain * (mean_2 - mean_1)", "var_1 - gain * var_1"),
                {"gain": "var_1 / (var_1 + var_2)"},
            ),
        ),
    ),
    points=3,
    mistakes=(
        Mistake(
            "the plain average of the means",
            lambda m_1, v_1, m_2, v_2: ((m_1 + m_2) / 2, product(m_1, v_1, m_2, v_2)[1]),
            "You average the means. The narrower density counts more: weight each mean by 1 /"
            f" variance: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "each mean weighted by its own variance",
            lambda m_1, v_1, m_2, v_2: (
                (m_1 * v_1 + m_2 * v_2) / (v_1 + v_2),
                product(m_1, v_1, m_2, v_2)[1],
            ),
            "You weight each mean by its own variance, so that the wider density wins. The narrower"
            f" one should: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the variances are added",
            lambda m_1, v_1, m_2, v_2: (product(m_1, v_1, m_2, v_2)[0], v_1 + v_2),
            "You add the variances. The product is narrower than either density: add the"
            f" precisions, 1 / variance, and invert their sum: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the sum of two variables",
            lambda m_1, v_1, m_2, v_2: (m_1 + m_2, v_1 + v_2),
            "You return mean and variance of the sum of two random variables. Return those of the"
            f" product of two densities of one variable: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "precision instead of variance",
            lambda m_1, v_1, m_2, v_2: (product(m_1, v_1, m_2, v_2)[0], 1 / v_1 + 1 / v_2),
            f"Your second result is the precision, 1 / variance. Invert it: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "standard deviation instead of variance",
            lambda m_1, v_1, m_2, v_2: (
                product(m_1, v_1, m_2, v_2)[0],
                product(m_1, v_1, m_2, v_2)[1].sqrt(),
            ),
            f"Your second result is a standard deviation. Return the variance: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "variances treated as standard deviations",
            lambda m_1, v_1, m_2, v_2: product(m_1, v_1**2, m_2, v_2**2),
            "You square the second and the fourth argument. They are variances already:"
            f" {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the mean is not normalised",
            lambda m_1, v_1, m_2, v_2: (m_1 / v_1 + m_2 / v_2, product(m_1, v_1, m_2, v_2)[1]),
            "Your mean is the sum of mean / variance. Divide by the sum of the weights, that"
            f" is, multiply by the new variance: {AT_BELLS}",
            BELLS,
        ),
    ),
    hints=(
        "A product of two exponentials adds their exponents, and the sum of two parabolas is a"
        " parabola. Its top gives the mean, its curvature the variance.",
        'Lesson 03 does the sum under "The product of two Gaussians" and calls the factor of x'
        " squared A and that of -2x B. A is the sum of the precisions, one over each variance; B"
        " is the sum of the means, each divided by its variance.",
        "Start with the variance: one over the sum of the two precisions. The mean is B times"
        " that variance. Return the mean first.",
    ),
    after=(
        "Completing the square turns A x^2 - 2 B x into A (x - B/A)^2 and a constant, so the"
        " variance is 1/A and the mean B/A. The mean lies nearer to the narrower bell. The"
        " posterior of this lesson is one such product: a jump from x_0 times a step to x_t."
    ),
)


def two_hints(grid, mean_1, var_1, mean_2, var_2):
    density = torch.exp(-((grid - mean_1) ** 2) / (2 * var_1) - (grid - mean_2) ** 2 / (2 * var_2))
    return density / (density.sum() * (grid[1] - grid[0]))


STRETCH = Stretch(
    "03.stretch",
    ("grid", "mean_1", "var_1", "mean_2", "var_2"),
    "the normalised product of two normal densities on a grid of points, without using your"
    " formula",
    two_hints,
    Picture(
        (torch.linspace(-3, 3, 301, dtype=torch.float64), -0.8, 0.6, 1.2, 0.3),
        curve("x", "density", -3.0, 0.02),
    ),
)


def step_by_step(beta_t, alpha_bar_t, alpha_bar_prev):
    rows = zip(beta_t.tolist(), alpha_bar_t.tolist(), alpha_bar_prev.tolist())
    pairs = [
        (before**0.5 * beta / (1 - after), (1 - beta) ** 0.5 * (1 - before) / (1 - after))
        for beta, after, before in rows
    ]
    return [torch.tensor(values, dtype=beta_t.dtype) for values in zip(*pairs)]


def from_the_mean(beta_t, alpha_bar_t, alpha_bar_prev):
    beta, after, before = (x.double() for x in (beta_t, alpha_bar_t, alpha_bar_prev))
    of_xt = (1 - beta).sqrt() * (1 - before) / (1 - after)
    of_x0 = before.sqrt() - of_xt * after.sqrt()
    return of_x0.to(beta_t.dtype), of_xt.to(beta_t.dtype)


def shares(beta, a, before):
    """The coefficients, made to sum to 1."""
    of_x0, of_xt = coefficients(beta, a, before)
    return of_x0 / (of_x0 + of_xt), of_xt / (of_x0 + of_xt)


catch_the_bug = BugHunt(
    "03.catch_the_bug",
    posterior_coefficients,
    right=(
        Variant("goes step by step and returns a list", step_by_step),
        Variant("finds one coefficient from the other", from_the_mean),
        Variant(
            "returns one tensor of two rows",
            lambda beta, a, before: torch.stack(coefficients(beta, a, before)),
        ),
    ),
    wrong=(
        Variant("the two are made to sum to 1", shares, SECOND),
        Variant(
            "no x_t at all",
            lambda beta, a, before: (before.sqrt(), 0 * before),
            SECOND,
        ),
    ),
)

QUESTIONS = (
    posterior_coefficients,
    posterior_variance,
    by_hand,
    predict,
    product_of_gaussians,
    catch_the_bug,
)
