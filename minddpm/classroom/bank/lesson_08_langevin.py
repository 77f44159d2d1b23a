"""Lesson 08: the walk that needs nothing but the score."""

from __future__ import annotations

from minddpm.classroom.bank.lesson_03_posterior import row
from minddpm.classroom.exercise import Case, Choice, Exercise, Inputs, Mistake


def walk_cases(draw: Inputs):
    for what, shape, step_size in (
        ("some points of the plane", (5, 2), draw.number(0.05, 0.4)),
        ("one point", (1, 1), draw.number(0.05, 0.4)),
        ("small steps", (3, 2), draw.number(0.01, 0.03)),
        ("images", (2, 1, 3, 3), draw.number(0.05, 0.4)),
    ):
        yield Case(what, (draw.normal(*shape), draw.normal(*shape), step_size, draw.normal(*shape)))
    x, score, noise = draw.normal(3, 4, 2).double()
    yield Case("float64", (x, score, draw.number(0.05, 0.4), noise))


STEP = (row(1.0), row(-2.0), 0.08, row(0.5))
AT_STEP = "for x = 1, score -2, step_size = 0.08 and noise 0.5 the result is {right}; yours is {wrong}."

langevin_step = Exercise(
    "08.langevin_step",
    arguments=("x", "score", "step_size", "noise"),
    gives="x after one step, the shape of x",
    reference=lambda x, score, step, noise: x + step * score + (2 * step) ** 0.5 * noise,
    cases=walk_cases,
    mistakes=(
        Mistake(
            "the other convention",
            lambda x, score, step, noise: x + step / 2 * score + step**0.5 * noise,
            "You write the step as Song & Ermon do, with step_size / 2 before the score. Right too, but its "
            f"step_size is twice the one asked for: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the 2 is missing",
            lambda x, score, step, noise: x + step * score + step**0.5 * noise,
            "You scale the noise by sqrt(step_size). With the whole step before the score it is sqrt(2 step_size); "
            f"otherwise the samples come out with half their variance: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "variance for standard deviation",
            lambda x, score, step, noise: x + step * score + 2 * step * noise,
            f"You scale the noise by its variance, 2 step_size. Take the root: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the root leaves the 2 out",
            lambda x, score, step, noise: x + step * score + 2 * step**0.5 * noise,
            f"Your 2 stands outside the root. It belongs inside: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "downhill",
            lambda x, score, step, noise: x - step * score + (2 * step) ** 0.5 * noise,
            f"You subtract the score. It points uphill, to where points are more likely; add it: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "no noise",
            lambda x, score, step, noise: x + step * score,
            f"You leave the noise out. Then all points climb to the peaks and stay there: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the whole score",
            lambda x, score, step, noise: x + score + (2 * step) ** 0.5 * noise,
            f"You add the score at full size. It is scaled by step_size: {AT_STEP}",
            STEP,
        ),
    ),
)

predict = Choice(
    "08.predict",
    question="Four of five data points lie around -5, the fifth around +5, each cloud with variance 1. You know the "
    "score of this density exactly. You start half of your points in each cloud and take 1,000 Langevin steps of size "
    "0.01. What share of the points is around -5 then?",
    options={"A": "0.8", "B": "0.5", "C": "1", "D": "0.2"},
    right="B",
    replies={
        "A": "That comes true only after far more steps. Hardly a point crosses the gap between the clouds.",
        "B": "Inside a cloud the score knows nothing of how many points are in the other one.",
        "C": "The heavier cloud pulls on nobody in the other: there the score points to the nearer centre.",
        "D": "That is the share of the other cloud in the data. The walk does not turn shares around.",
    },
)

QUESTIONS = (langevin_step, predict)
