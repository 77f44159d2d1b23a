"""Lesson 08: the score, from a noise and of a Gaussian."""

from __future__ import annotations

import math

import torch

from marking.exercise import (
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
from minddpm_course.bank.inputs import each, pixel, row
from minddpm_course.pictures import curve


def score_from_noise_cases(draw: Inputs):
    for what, shape in (
        ("a batch, each image at its own level", (3, 1, 4, 5)),
        ("a batch of one", (1, 1, 4, 4)),
        ("batch and width equal", (4, 1, 4, 4)),
    ):
        yield Case(what, (draw.normal(*shape), draw.uniform(0.1, 0.9, shape[0])))
    yield Case("float64", (draw.normal(2, 1, 3, 3).double(), draw.uniform(0.1, 0.9, 2).double()))
    yield Case("hardly any noise yet", (draw.normal(2, 1, 3, 3), draw.uniform(0.98, 0.99, 2)))


ONE = (pixel(0.6), row(0.64))
AT_ONE = "for a noise of 0.6 and alpha_bar = 0.64 the score is {right}; yours is {wrong}."
TWO = (torch.ones(2, 1, 1, 2, dtype=torch.float64), row(0.64, 0.91))

score_from_noise = Exercise(
    "08.score_from_noise",
    arguments=("noise", "alpha_bar_t"),
    returns="the score, the shape of noise",
    reference=lambda noise, a: -noise / (1 - each(a, noise)).sqrt(),
    cases=score_from_noise_cases,
    formula=Formula(("-noise / sqrt(1 - alpha_bar_t)",)),
    mistakes=(
        Mistake(
            "the sign is missing",
            lambda noise, a: noise / (1 - each(a, noise)).sqrt(),
            "Your score points along the noise, to rarer images. It points back, against the"
            f" noise: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "variance instead of standard deviation",
            lambda noise, a: -noise / (1 - each(a, noise)),
            "You divide by 1 - alpha_bar_t, a variance. One root of it cancels, because x_t"
            f" contains sqrt(1 - alpha_bar_t) times the noise: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "not divided",
            lambda noise, a: -noise,
            "You only change the sign. The less noise, the steeper the density: divide by sqrt(1 -"
            f" alpha_bar_t), its standard deviation: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "multiplied",
            lambda noise, a: -noise * (1 - each(a, noise)).sqrt(),
            "You multiply by sqrt(1 - alpha_bar_t). That turns a score into a noise. Divide:"
            f" {AT_ONE}",
            ONE,
        ),
        Mistake(
            "signal share instead of noise share",
            lambda noise, a: -noise / each(a, noise).sqrt(),
            "You divide by sqrt(alpha_bar_t), the size of the signal. The noise has sqrt(1 -"
            f" alpha_bar_t): {AT_ONE}",
            ONE,
        ),
        Mistake(
            "levels along the width",
            lambda noise, a: -noise / (1 - a).sqrt(),
            "Your levels run along the columns. Each image has its own: for two images of two"
            " pixels, noise 1 everywhere, alpha_bar = 0.64 and 0.91 the scores are {right}; yours"
            " are {wrong}.",
            TWO,
        ),
    ),
    hints=(
        "The score is the slope of the log density at x_t: it points to where images are more"
        " likely. The noise has led away from there.",
        'Follow step 1, "The score of one Gaussian", in lesson 08. The slope has the variance in'
        " its denominator, and the jump brings the root of the variance into the numerator.",
        "One root cancels. So change the sign of the noise, and divide by the root of one minus"
        " the level, shaped to (b, 1, 1, 1) so that each image has its own.",
    ),
    after=(
        "The log density of a Gaussian has the slope -(x_t - mean) / variance, and x_t - mean is"
        " sqrt(1 - alpha_bar_t) times the noise. So a network that predicts noise knows the score"
        " at every level. Where there is less noise the density is narrower, and its slope"
        " steeper."
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
    returns="the slope of the log density at x, shape (n,)",
    reference=lambda x, mean, var: (mean - x) / var,
    cases=gauss_cases,
    formula=Formula(("(mean - x) / var",), otherwise=Formula(("-(x - mean) / var",))),
    mistakes=(
        Mistake(
            "downhill",
            lambda x, mean, var: (x - mean) / var,
            f"Your score points away from the mean. The density rises towards it: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "standard deviation instead of variance",
            lambda x, mean, var: (mean - x) / var.sqrt(),
            f"You divide by the standard deviation. The exponent contains the variance: {AT_POINT}",
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
            "You return the distance to the mean. A narrow density is steeper: divide by the"
            f" variance: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the density's own slope",
            lambda x, mean, var: (mean - x) / var * density(x, mean, var),
            "You differentiate the density. Take its log first; then the far tails pull as well:"
            f" {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the log density itself",
            lambda x, mean, var: density(x, mean, var).log(),
            f"You return the log density. Return its slope in x: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the mean is left out",
            lambda x, mean, var: -x / var,
            f"Your density has its peak at 0. This one has it at the mean: {AT_POINT}",
            POINT,
        ),
    ),
    hints=(
        "Take the logarithm first: what is left of the bell is a parabola. Its slope is positive"
        " to the left of the mean and negative to the right.",
        'Lesson 08 does it under "The score of one Gaussian". For a single number, the log'
        " density is minus the squared distance to the mean, over twice the variance, plus a"
        " constant; differentiate that.",
        "The 2 from the square cancels the 2 in the denominator. What is left is the way from x"
        " to the mean, with its sign, over the variance. Take no root.",
    ),
    after=(
        "The factor in front of the bell becomes a constant and drops out. The slope grows with"
        " the distance to the mean, so far points are pulled back hardest; a narrow bell pulls"
        " harder than a wide one."
    ),
)


by_hand = HandNumber(
    "08.by_hand",
    values=lambda draw: {
        "x_0": draw.integer(30, 95) / 100,
        "alpha_bar": draw.integer(200, 750) / 1000,
        "x_t": draw.integer(-80, 20) / 100,
    },
    question=(
        "A clean pixel is {x_0}. At alpha_bar_t = {alpha_bar} it has become {x_t}. What is the"
        " score of q(x_t | x_0) there? (Write down mean and variance first. Five decimals, rounded"
        " only at the end.)"
    ),
    answer=lambda x_0, alpha_bar, x_t: (alpha_bar**0.5 * x_0 - x_t) / (1 - alpha_bar),
    mistakes=(
        (
            "downhill",
            lambda x_0, alpha_bar, x_t: (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar),
            (
                "You subtracted the mean from x_t. The score points uphill, from x_t to the mean:"
                " subtract the other way round."
            ),
        ),
        (
            "standard deviation instead of variance",
            lambda x_0, alpha_bar, x_t: (alpha_bar**0.5 * x_0 - x_t) / (1 - alpha_bar) ** 0.5,
            (
                "You divided by the standard deviation, which gives the noise with its sign"
                " changed. Divide by the variance, 1 - alpha_bar."
            ),
        ),
        (
            "the noise",
            lambda x_0, alpha_bar, x_t: (x_t - alpha_bar**0.5 * x_0) / (1 - alpha_bar) ** 0.5,
            (
                "You worked out the noise in x_t. Change its sign and divide again by sqrt(1 -"
                " alpha_bar)."
            ),
        ),
        (
            "the mean is not shrunk",
            lambda x_0, alpha_bar, x_t: (x_0 - x_t) / (1 - alpha_bar),
            (
                "You used x_0 as the mean, as if nothing had shrunk it. At this level the mean is"
                " sqrt(alpha_bar) x_0."
            ),
        ),
        (
            "signal share instead of noise share",
            lambda x_0, alpha_bar, x_t: (alpha_bar**0.5 * x_0 - x_t) / alpha_bar,
            (
                "You divided by alpha_bar, the share of the image. The variance is the share of"
                " noise: divide by 1 - alpha_bar."
            ),
        ),
    ),
    decimals=5,
)


def langevin_cases(draw: Inputs):
    for what, shape, step_size in (
        ("some points of the plane", (5, 2), draw.decimal(0.05, 0.4)),
        ("one point", (1, 1), draw.decimal(0.05, 0.4)),
        ("small steps", (3, 2), draw.decimal(0.01, 0.03)),
        ("images", (2, 1, 3, 3), draw.decimal(0.05, 0.4)),
    ):
        yield Case(what, (draw.normal(*shape), draw.normal(*shape), step_size, draw.normal(*shape)))
    x, score, noise = draw.normal(3, 4, 2).double()
    yield Case("float64", (x, score, draw.decimal(0.05, 0.4), noise))


STEP = (row(1.0), row(-2.0), 0.08, row(0.5))
AT_STEP = (
    "for x = 1, score -2, step_size = 0.08 and noise 0.5 the result is {right}; yours is {wrong}."
)

langevin_step = Exercise(
    "08.langevin_step",
    arguments=("x", "score", "step_size", "noise"),
    returns="x after one step, the shape of x",
    reference=lambda x, score, step, noise: x + step * score + (2 * step) ** 0.5 * noise,
    cases=langevin_cases,
    formula=Formula(
        ("x + step_size * score + sqrt(2 * step_size) * noise",),
        otherwise=Formula(
            ("x + spread * (noise + spread / 2 * score)",), {"spread": "sqrt(2 * step_size)"}
        ),
    ),
    mistakes=(
        Mistake(
            "the other convention",
            lambda x, score, step, noise: x + step / 2 * score + step**0.5 * noise,
            "You write the step as Song & Ermon do, with step_size / 2 before the score. That is"
            f" right too, but its step_size is twice the one used here: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the 2 is missing",
            lambda x, score, step, noise: x + step * score + step**0.5 * noise,
            "You scale the noise by sqrt(step_size). With the whole step before the score it is"
            " sqrt(2 step_size). With less noise the samples crowd around the peaks; those of a"
            f" Gaussian have half its variance: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "variance instead of standard deviation",
            lambda x, score, step, noise: x + step * score + 2 * step * noise,
            f"You scale the noise by its variance, 2 step_size. Take the root: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the root leaves the 2 out",
            lambda x, score, step, noise: x + step * score + 2 * step**0.5 * noise,
            f"Your 2 is outside the root. It belongs inside: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "downhill",
            lambda x, score, step, noise: x - step * score + (2 * step) ** 0.5 * noise,
            "You subtract the score. It points uphill, to where points are more likely; add it:"
            f" {AT_STEP}",
            STEP,
        ),
        Mistake(
            "no noise",
            lambda x, score, step, noise: x + step * score,
            "You leave the noise out. Then all points climb to the peaks and stay there:"
            f" {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the whole score",
            lambda x, score, step, noise: x + score + (2 * step) ** 0.5 * noise,
            f"You add the score at full size. It is scaled by step_size: {AT_STEP}",
            STEP,
        ),
    ),
    hints=(
        "Three things are added up: where you are, a push uphill, and a shake. Without the shake"
        " all points would end up on the peaks.",
        'The formula is step 6, "A walk", in lesson 08, with h for step_size. The shake has'
        " twice step_size as its variance, and what multiplies standard normal noise is a"
        " standard deviation.",
        "Push: the score times step_size. Shake: the noise times the root of twice step_size,"
        " with the 2 inside the root. Add both to x.",
    ),
    after=(
        "If the points are distributed like the density whose score you use, push and shake"
        " balance and they stay so, for tiny steps. With half the shake's variance they would"
        " follow the square of that density instead, which has half the variance if it is a"
        " Gaussian. A finite step leaves an error that shrinks with it."
    ),
)

predict = Choice(
    "08.predict",
    question=(
        "Four of five data points lie around -5, the fifth around +5, each cloud with variance 1."
        " You know the score of this density exactly. You start half of your points in each cloud"
        " and take 1,000 Langevin steps of size 0.01. What share of the points is around -5 then?"
    ),
    options={"A": "0.8", "B": "0.5", "C": "1", "D": "0.2"},
    right="B",
    replies={
        "A": ("That takes far more steps. Hardly any point crosses the gap between the clouds."),
        "B": "Inside a cloud the score knows nothing of how many points are in the other one.",
        "C": (
            "The heavier cloud pulls on no point of the other: there the score points to the nearer"
            " centre."
        ),
        "D": (
            "That is the share of the other cloud in the data. The steps do not swap the shares."
        ),
    },
)


def slope_of_two_clouds(x, mean_1, mean_2, var):
    share = torch.sigmoid(
        (mean_1 - mean_2) * (x - (mean_1 + mean_2) / 2) / var
    )  # of the first cloud, at x
    return (share * mean_1 + (1 - share) * mean_2 - x) / var


STRETCH = Stretch(
    "08.stretch",
    ("x", "mean_1", "mean_2", "var"),
    "the score at each of the points x, shape (n,), of two equally likely normal clouds",
    slope_of_two_clouds,
    Picture(
        (torch.linspace(-3, 3, 301, dtype=torch.float64), -1.5, 1.0, 0.2),
        curve("x", "score", -3.0, 0.02),
    ),
)


def slope_by_autograd(x, mean, var):
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        log_density = torch.distributions.Normal(mean, var.sqrt()).log_prob(x).sum()
        return torch.autograd.grad(log_density, x)[0]


catch_the_bug = BugHunt(
    "08.catch_the_bug",
    gaussian_score,
    right=(
        Variant("differentiates the log density", slope_by_autograd),
        Variant(
            "standardises first",
            lambda x, mean, var: -((x - mean) / var.sqrt()) / var.sqrt(),
        ),
        Variant(
            "works in float64",
            lambda x, mean, var: ((mean.double() - x.double()) / var.double()).to(x.dtype),
        ),
    ),
    wrong=(
        Variant(
            "divided by the variance twice",
            lambda x, mean, var: (mean - x) / var**2,
            POINT,
        ),
        Variant(
            "the direction alone",
            lambda x, mean, var: (mean - x).sign(),
            POINT,
        ),
        Variant(
            "clipped to [-1, 1]",
            lambda x, mean, var: ((mean - x) / var).clamp(-1, 1),
            POINT,
        ),
    ),
)

QUESTIONS = (score_from_noise, gaussian_score, by_hand, langevin_step, predict, catch_the_bug)
