"""Lesson 04: how far one Gaussian is from another."""

from __future__ import annotations

import math

from minddpm.classroom.bank.lesson_03_posterior import row
from minddpm.classroom.bank.lesson_03_product import bell_cases
from minddpm.classroom.exercise import Choice, Exercise, HandNumber, Mistake


def kl(mean_1, var_1, mean_2, var_2):
    return ((var_2 / var_1).log() + (var_1 + (mean_1 - mean_2) ** 2) / var_2 - 1) / 2


BELLS = (row(0.0), row(1.0), row(1.0), row(4.0))
AT_BELLS = "from N(0, 1) to N(1, 4), given by their variances, it is {right}; yours is {wrong}."
ALIKE = (row(0.3), row(0.25), row(0.3), row(0.25))
AT_ALIKE = "from N(0.3, 0.25) to itself it must be {right}; yours is {wrong}."

gaussian_kl = Exercise(
    "04.gaussian_kl",
    arguments=("mean_1", "var_1", "mean_2", "var_2"),
    gives="KL(1 || 2) in nats, shape (n,)",
    reference=kl,
    cases=bell_cases,
    points=3,
    mistakes=(
        Mistake(
            "the wrong direction",
            lambda m_1, v_1, m_2, v_2: kl(m_2, v_2, m_1, v_1),
            f"You return KL(2 || 1). The divergence has a direction: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the minus one is missing",
            lambda m_1, v_1, m_2, v_2: kl(m_1, v_1, m_2, v_2) + 0.5,
            f"The - 1 is missing. Equal distributions have no divergence: {AT_ALIKE}",
            ALIKE,
        ),
        Mistake(
            "the half is missing",
            lambda m_1, v_1, m_2, v_2: 2 * kl(m_1, v_1, m_2, v_2),
            f"The factor 1/2 is missing: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the logarithm is upside down",
            lambda m_1, v_1, m_2, v_2: kl(m_1, v_1, m_2, v_2) - (v_2 / v_1).log(),
            f"Your logarithm has the fraction of variances upside down: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the means alone",
            lambda m_1, v_1, m_2, v_2: (m_1 - m_2) ** 2 / (2 * v_2),
            "You compare the means alone. That is right only where the variances are equal: " + AT_BELLS,
            BELLS,
        ),
        Mistake(
            "variances taken for standard deviations",
            lambda m_1, v_1, m_2, v_2: kl(m_1, v_1**2, m_2, v_2**2),
            f"You square the second and the fourth argument. They are variances already: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "bits rather than nats",
            lambda m_1, v_1, m_2, v_2: kl(m_1, v_1, m_2, v_2) / math.log(2),
            f"You use the logarithm to base 2 or divide by ln 2: that gives bits. Asked are nats: {AT_BELLS}",
            BELLS,
        ),
    ),
)

by_hand = HandNumber(
    "04.by_hand",
    values=lambda draw: {
        "var_1": round(draw.integer(2, 9) * 0.1, 1),
        "var_2": float(draw.integer(2, 5)),
        "mean": round(draw.integer(5, 19) * 0.1, 1),
    },
    question="What is the divergence KL(1 || 2), in nats, from N(0, {var_1}) to N({mean}, {var_2})? The second numbers "
    "are variances. (Three decimals.)",
    answer=lambda var_1, var_2, mean: (math.log(var_2 / var_1) + (var_1 + mean**2) / var_2 - 1) / 2,
    mistakes=(
        (
            "the wrong direction",
            lambda var_1, var_2, mean: (math.log(var_1 / var_2) + (var_2 + mean**2) / var_1 - 1) / 2,
            "That is KL(2 || 1).",
        ),
        (
            "the minus one is missing",
            lambda var_1, var_2, mean: (math.log(var_2 / var_1) + (var_1 + mean**2) / var_2) / 2,
            "You forgot the - 1.",
        ),
        (
            "the half is missing",
            lambda var_1, var_2, mean: math.log(var_2 / var_1) + (var_1 + mean**2) / var_2 - 1,
            "You forgot the factor 1/2.",
        ),
        (
            "bits rather than nats",
            lambda var_1, var_2, mean: (math.log(var_2 / var_1) + (var_1 + mean**2) / var_2 - 1) / 2 / math.log(2),
            "That is in bits. Nats use the natural logarithm.",
        ),
        (
            "the mean is not squared",
            lambda var_1, var_2, mean: (math.log(var_2 / var_1) + (var_1 + mean) / var_2 - 1) / 2,
            "You forgot to square the difference of the means.",
        ),
    ),
)

predict = Choice(
    "04.predict",
    question="L_simple drops the weight of each L_{t-1}. Take the paper's linear schedule with T = 1000, and an error "
    "of the noise at t = 5 and one at t = 500. Compared with the bound, which of the two does L_simple take more "
    "seriously?",
    options={
        "A": "the one at t = 5, where the noise is faint",
        "B": "the one at t = 500, where the noise is strong",
        "C": "neither: dropping a factor changes nothing",
        "D": "neither: it keeps their balance, and moves the minimum",
    },
    right="B",
    replies={
        "A": "In the bound t = 5 weighs over 20 times as much as t = 500. L_simple takes that preference away.",
        "B": "In the bound t = 5 weighs over 20 times as much as t = 500; in L_simple both weigh the same.",
        "C": "A common factor would change nothing. This one differs from t to t.",
        "D": "The best guess at each t makes both as small as can be. The weight decides where an error costs most.",
    },
)

QUESTIONS = (gaussian_kl, by_hand, predict)
