"""Lesson 03: two hints about one number, joined."""

from __future__ import annotations

from minddpm.classroom.bank.lesson_03_posterior import row
from minddpm.classroom.exercise import Case, Exercise, Inputs, Mistake


def bell_cases(draw: Inputs):
    for what, n in (("a few pairs", draw.integer(3, 6)), ("one pair", 1), ("more pairs", 8)):
        mean_1, mean_2 = draw.uniform(-2.0, 2.0, 2, n)
        var_1, var_2 = draw.uniform(0.2, 1.8, 2, n)
        yield Case(what, (mean_1, var_1, mean_2, var_2))
    yield Case("one is far narrower", (row(0.5).float(), row(0.01).float(), row(-1.0).float(), row(2.0).float()))
    yield Case("float64", tuple(draw.uniform(0.3, 2.0, 4).double() for _ in range(4)))


def product(mean_1, var_1, mean_2, var_2):
    variance = 1 / (1 / var_1 + 1 / var_2)
    return variance * (mean_1 / var_1 + mean_2 / var_2), variance


BELLS = (row(0.0), row(1.0), row(3.0), row(0.5))
AT_BELLS = "for N(0, 1) and N(3, 0.5), given by their variances, mean and variance are {right}; yours are {wrong}."

product_of_gaussians = Exercise(
    "03.product_of_gaussians",
    arguments=("mean_1", "var_1", "mean_2", "var_2"),
    gives="mean and variance of the normalised product of the two densities, each (n,)",
    reference=product,
    cases=bell_cases,
    points=3,
    mistakes=(
        Mistake(
            "the plain average of the means",
            lambda m_1, v_1, m_2, v_2: ((m_1 + m_2) / 2, product(m_1, v_1, m_2, v_2)[1]),
            f"You average the means. The narrower density has more to say: weigh each by 1 / variance: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "each mean weighed by its own variance",
            lambda m_1, v_1, m_2, v_2: ((m_1 * v_1 + m_2 * v_2) / (v_1 + v_2), product(m_1, v_1, m_2, v_2)[1]),
            "You weigh each mean by its own variance, so that the wider density wins. The narrower one should: "
            f"{AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the variances are added",
            lambda m_1, v_1, m_2, v_2: (product(m_1, v_1, m_2, v_2)[0], v_1 + v_2),
            f"You add the variances. What adds up is 1 / variance, since two hints are narrower than one: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the sum of two variables",
            lambda m_1, v_1, m_2, v_2: (m_1 + m_2, v_1 + v_2),
            "You return mean and variance of the sum of two random variables. Asked is the product of two densities "
            f"of one variable: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "precision for variance",
            lambda m_1, v_1, m_2, v_2: (product(m_1, v_1, m_2, v_2)[0], 1 / v_1 + 1 / v_2),
            f"Your second result is the precision, 1 / variance. Turn it over: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "standard deviation for variance",
            lambda m_1, v_1, m_2, v_2: (product(m_1, v_1, m_2, v_2)[0], product(m_1, v_1, m_2, v_2)[1].sqrt()),
            f"Your second result is a standard deviation. Asked is the variance: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "variances taken for standard deviations",
            lambda m_1, v_1, m_2, v_2: product(m_1, v_1**2, m_2, v_2**2),
            f"You square the second and the fourth argument. They are variances already: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the mean is not normalised",
            lambda m_1, v_1, m_2, v_2: (m_1 / v_1 + m_2 / v_2, product(m_1, v_1, m_2, v_2)[1]),
            "Your mean is the sum of mean / variance. Divide by the sum of the weights, which is to multiply by the "
            f"new variance: {AT_BELLS}",
            BELLS,
        ),
    ),
)

QUESTIONS = (product_of_gaussians,)
