"""Lesson 04: how far one Gaussian is from another."""

from __future__ import annotations

import math

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
from minddpm_course.bank.inputs import bell_cases, draw_rows, pixel, row
from minddpm_course.pictures import bars


def kl(mean_1, var_1, mean_2, var_2):
    return ((var_2 / var_1).log() + (var_1 + (mean_1 - mean_2) ** 2) / var_2 - 1) / 2


BELLS = (row(0.0), row(1.0), row(1.0), row(4.0))
AT_BELLS = "from N(0, 1) to N(1, 4), given by their variances, it is {right}; yours is {wrong}."
ALIKE = (row(0.3), row(0.25), row(0.3), row(0.25))
AT_ALIKE = "from N(0.3, 0.25) to itself it must be {right}; yours is {wrong}."

gaussian_kl = Exercise(
    "04.gaussian_kl",
    arguments=("mean_1", "var_1", "mean_2", "var_2"),
    returns="KL(1 || 2) in nats, shape (n,)",
    reference=kl,
    cases=bell_cases,
    formula=Formula(
        ("(log(var_2 / var_1) + (var_1 + (mean_1 - mean_2) ** 2) / var_2 - 1) / 2",),
        otherwise=Formula(
            (
                "log(std_2 / std_1) + (std_1 ** 2 + (mean_1 - mean_2) ** 2) / (2 * std_2 ** 2)"
                " - 1 / 2",
            ),
            {"std_1": "sqrt(var_1)", "std_2": "sqrt(var_2)"},
        ),
    ),
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
            "You compare the means alone. That is right only where the variances are equal: "
            + AT_BELLS,
            BELLS,
        ),
        Mistake(
            "variances treated as standard deviations",
            lambda m_1, v_1, m_2, v_2: kl(m_1, v_1**2, m_2, v_2**2),
            "You square the second and the fourth argument. They are variances already:"
            f" {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "bits instead of nats",
            lambda m_1, v_1, m_2, v_2: kl(m_1, v_1, m_2, v_2) / math.log(2),
            f"You divide the result by ln 2, which turns nats into bits. Return nats: {AT_BELLS}",
            BELLS,
        ),
        Mistake(
            "the logarithm to base 2",
            lambda m_1, v_1, m_2, v_2: (
                ((v_2 / v_1).log2() + (v_1 + (m_1 - m_2) ** 2) / v_2 - 1) / 2
            ),
            "Your logarithm has the base 2. That does not give bits, since the other terms stay in"
            f" nats. Use the natural logarithm: {AT_BELLS}",
            BELLS,
        ),
    ),
    hints=(
        "The divergence is the average, over draws from the first Gaussian, of one log density"
        " minus the other. Write both log densities down: you meet a logarithm and two squares.",
        '"KL of two Gaussians" in lesson 04 takes that average. One square leaves a 1; the other'
        " leaves the first variance plus the squared distance of the means, measured in units of"
        " the second variance.",
        "Three terms: the log of the second variance over the first; the first variance plus the"
        " squared difference of the means, all over the second variance; and minus 1. Add them up"
        " and halve the sum. From a Gaussian to itself the result must be 0.",
    ),
    after=(
        "The logarithm compares the widths, the fraction penalises distance and width, and the -"
        " 1 makes the result 0 for equal Gaussians. It has a direction, because the average is"
        " taken over the first one. With equal variances only the squared distance of the means"
        " is left. That is how a bound on probabilities becomes a squared error."
    ),
)

by_hand = HandNumber(
    "04.by_hand",
    values=lambda draw: {
        "var_1": draw.integer(20, 95) / 100,
        "var_2": draw.integer(150, 550) / 100,
        "mean": draw.integer(50, 195) / 100,
    },
    question=(
        "What is the divergence KL(1 || 2), in nats, from N(0, {var_1}) to N({mean}, {var_2})? The"
        " second numbers are variances. (Six decimals, rounded only at the end.)"
    ),
    answer=lambda var_1, var_2, mean: (math.log(var_2 / var_1) + (var_1 + mean**2) / var_2 - 1) / 2,
    mistakes=(
        (
            "the wrong direction",
            lambda var_1, var_2, mean: (
                (math.log(var_1 / var_2) + (var_2 + mean**2) / var_1 - 1) / 2
            ),
            (
                "You swapped the two distributions: that is KL(2 || 1). Divide by the variance of"
                " the second, and take the logarithm of var_2 / var_1."
            ),
        ),
        (
            "the minus one is missing",
            lambda var_1, var_2, mean: (math.log(var_2 / var_1) + (var_1 + mean**2) / var_2) / 2,
            (
                "You left out the - 1, so that even two equal distributions would differ. Subtract"
                " it before you halve."
            ),
        ),
        (
            "the half is missing",
            lambda var_1, var_2, mean: math.log(var_2 / var_1) + (var_1 + mean**2) / var_2 - 1,
            (
                "You left out the factor 1/2, which comes from the exponent of the density. Halve"
                " the sum at the end."
            ),
        ),
        (
            "bits instead of nats",
            lambda var_1, var_2, mean: (
                (math.log(var_2 / var_1) + (var_1 + mean**2) / var_2 - 1) / 2 / math.log(2)
            ),
            (
                "You divided the result by log(2), which turns nats into bits. Leave it in nats:"
                " the natural logarithm gives them already."
            ),
        ),
        (
            "the logarithm to base 2",
            lambda var_1, var_2, mean: (
                (math.log2(var_2 / var_1) + (var_1 + mean**2) / var_2 - 1) / 2
            ),
            (
                "Your logarithm has the base 2. That does not give bits either, since the other"
                " terms stay in nats: use the natural logarithm."
            ),
        ),
        (
            "the mean is not squared",
            lambda var_1, var_2, mean: (math.log(var_2 / var_1) + (var_1 + mean) / var_2 - 1) / 2,
            (
                "You added the difference of the means as it is. It is a distance in the exponent"
                " of a Gaussian: square it."
            ),
        ),
    ),
    bounds=Bounds(lambda **values: 0, lambda **values: math.inf, "a divergence is never negative"),
    decimals=6,
)

predict = Choice(
    "04.predict",
    question=(
        "L_simple drops the weight of each L_{t-1}. Take the paper's linear schedule with T = 1000,"
        " and an error of the noise at t = 5 and one at t = 500. Compared with the bound, which of"
        " the two does L_simple take more seriously?"
    ),
    options={
        "A": "the one at t = 5, where the noise is faint",
        "B": "the one at t = 500, where the noise is strong",
        "C": "neither: dropping a factor changes nothing",
        "D": "neither: it keeps their balance, and moves the minimum",
    },
    right="B",
    replies={
        "A": (
            "In the bound t = 5 weighs over 20 times as much as t = 500. L_simple takes that"
            " preference away."
        ),
        "B": (
            "In the bound t = 5 weighs over 20 times as much as t = 500; in L_simple both weigh the"
            " same."
        ),
        "C": "A common factor would change nothing. This one differs from t to t.",
        "D": (
            "The best guess at each t makes both as small as can be. The weight decides where an"
            " error costs most."
        ),
    },
)


def mean_cases(draw: Inputs):
    def levels() -> tuple[float, float]:
        beta = draw.decimal(0.05, 0.4)
        return beta, round(draw.decimal(0.1, 0.9) * (1 - beta), 4)

    for what, shape in (
        ("a batch", (3, 1, 4, 5)),
        ("a batch of one", (1, 1, 6, 6)),
        ("batch and width equal", (4, 1, 4, 4)),
    ):
        yield Case(what, (draw.normal(*shape), draw.normal(*shape), *levels()))
    yield Case("t = 1", (draw.normal(2, 1, 3, 3), draw.normal(2, 1, 3, 3), 0.3, 0.7))
    yield Case(
        "float64", (draw.normal(2, 1, 3, 3).double(), draw.normal(2, 1, 3, 3).double(), *levels())
    )


MEAN = (pixel(0.4), pixel(0.3), 0.19, 0.5)
AT_MEAN = (
    "for x_t = 0.4, noise 0.3, beta = 0.19, alpha_bar = 0.5 the mean is {right}; yours is {wrong}."
)

mean_from_noise = Exercise(
    "04.mean_from_noise",
    arguments=("x_t", "noise", "beta_t", "alpha_bar_t"),
    returns="the posterior mean with x_0 written through the noise, the shape of x_t",
    reference=lambda x_t, noise, beta, a: (x_t - beta / (1 - a) ** 0.5 * noise) / (1 - beta) ** 0.5,
    cases=mean_cases,
    formula=Formula(
        ("(x_t - beta_t / sqrt(1 - alpha_bar_t) * noise) / sqrt(alpha_t)",),
        {"alpha_t": "1 - beta_t"},
        otherwise=Formula(
            ("coef_x0 * x_0 + coef_xt * x_t",),
            {
                "alpha_bar_prev": "alpha_bar_t / (1 - beta_t)",
                "x_0": "(x_t - sqrt(1 - alpha_bar_t) * noise) / sqrt(alpha_bar_t)",
                "coef_x0": "sqrt(alpha_bar_prev) * beta_t / (1 - alpha_bar_t)",
                "coef_xt": "sqrt(1 - beta_t) * (1 - alpha_bar_prev) / (1 - alpha_bar_t)",
            },
        ),
    ),
    points=3,
    mistakes=(
        Mistake(
            "the root of 1 - alpha_bar is missing",
            lambda x_t, noise, beta, a: (x_t - beta / (1 - a) * noise) / (1 - beta) ** 0.5,
            f"You divide by 1 - alpha_bar. Divide by its root: {AT_MEAN}",
            MEAN,
        ),
        Mistake(
            "the root of beta",
            lambda x_t, noise, beta, a: (
                (x_t - beta**0.5 / (1 - a) ** 0.5 * noise) / (1 - beta) ** 0.5
            ),
            f"The numerator is beta itself, not its root: {AT_MEAN}",
            MEAN,
        ),
        Mistake(
            "not scaled back",
            lambda x_t, noise, beta, a: x_t - beta / (1 - a) ** 0.5 * noise,
            f"The step forward made the image smaller. Divide by sqrt(1 - beta): {AT_MEAN}",
            MEAN,
        ),
        Mistake(
            "divided by alpha",
            lambda x_t, noise, beta, a: (x_t - beta / (1 - a) ** 0.5 * noise) / (1 - beta),
            f"You divide by alpha_t = 1 - beta. Divide by its root: {AT_MEAN}",
            MEAN,
        ),
        Mistake(
            "the noise is added",
            lambda x_t, noise, beta, a: (x_t + beta / (1 - a) ** 0.5 * noise) / (1 - beta) ** 0.5,
            f"You add the noise. The step back takes some of it away: {AT_MEAN}",
            MEAN,
        ),
        Mistake(
            "the clean image",
            lambda x_t, noise, beta, a: (x_t - (1 - a) ** 0.5 * noise) / a**0.5,
            "You return the estimate of x_0, all the way back. The mean is one step back:"
            f" {AT_MEAN}",
            MEAN,
        ),
        Mistake(
            "all of the noise is taken away",
            lambda x_t, noise, beta, a: (x_t - (1 - a) ** 0.5 * noise) / (1 - beta) ** 0.5,
            "You take all of the noise away. One step back takes beta / sqrt(1 - alpha_bar) of it:"
            f" {AT_MEAN}",
            MEAN,
        ),
    ),
    hints=(
        "The posterior mean mixes x_0 and x_t. You are not given x_0, but x_t and the noise"
        " determine it.",
        '"From means to noise" in lesson 04 puts the jump into the mean and collects terms, up'
        " to equations 9 and 10. There x_t loses a part of the noise, and the rest is divided by"
        " the root of alpha_t, which is 1 - beta_t.",
        "The part to take away is the noise times beta_t over the root of 1 - alpha_bar_t."
        " Subtract it from x_t, then divide everything by the root of 1 - beta_t. beta_t and"
        " alpha_bar_t are plain numbers, so ** 0.5 takes a root.",
    ),
    after=(
        "Since alpha_bar_t is alpha_t times alpha_bar_prev, all that stands in front of x_t"
        " shrinks to one over sqrt(alpha_t). The network is given x_t, so the noise is the only"
        " thing in this mean that it does not know. That is why it is trained to guess the noise."
    ),
)


def weight_cases(draw: Inputs):
    for what, T in (
        ("a schedule", draw.integer(4, 7)),
        ("t = 1 alone", 1),
        ("a longer schedule", 12),
    ):
        beta, alpha_bar, _ = draw_rows(draw, T)
        yield Case(what, (beta, alpha_bar, draw.uniform(0.05, 0.6, T)))
    beta, alpha_bar, _ = draw_rows(draw, 5)
    yield Case("sigma2 = beta", (beta, alpha_bar, beta))
    yield Case("float64", (beta.double(), alpha_bar.double(), draw.uniform(0.05, 0.6, 5).double()))


WEIGHT = (row(0.2), row(0.5), row(0.1))
AT_WEIGHT = "for beta = 0.2, alpha_bar = 0.5, sigma2 = 0.1 it is {right}; yours is {wrong}."


def weight(beta, a, sigma2):
    return beta**2 / (2 * sigma2 * (1 - beta) * (1 - a))


noise_loss_weight = Exercise(
    "04.noise_loss_weight",
    arguments=("beta_t", "alpha_bar_t", "sigma2"),
    returns="the weight of the squared error of the noise in L_{t-1}, shape (n,)",
    reference=weight,
    cases=weight_cases,
    formula=Formula(
        ("beta_t ** 2 / (2 * sigma2 * alpha_t * (1 - alpha_bar_t))",),
        {"alpha_t": "1 - beta_t"},
        otherwise=Formula(
            ("pull ** 2 / (2 * sigma2)",),
            {"pull": "beta_t / sqrt((1 - alpha_bar_t) * (1 - beta_t))"},
        ),
    ),
    mistakes=(
        Mistake(
            "the half is missing",
            lambda beta, a, sigma2: 2 * weight(beta, a, sigma2),
            "The 2 in the denominator is missing. It comes from the KL of two Gaussians:"
            f" {AT_WEIGHT}",
            WEIGHT,
        ),
        Mistake(
            "beta is not squared",
            lambda beta, a, sigma2: weight(beta, a, sigma2) / beta,
            "Your numerator is beta. The difference of the means contains beta once, and it is"
            f" squared: {AT_WEIGHT}",
            WEIGHT,
        ),
        Mistake(
            "sigma2 is squared again",
            lambda beta, a, sigma2: weight(beta, a, sigma2) / sigma2,
            f"You square sigma2. It is the variance already: {AT_WEIGHT}",
            WEIGHT,
        ),
        Mistake(
            "the root of sigma2",
            lambda beta, a, sigma2: weight(beta, a, sigma2) * sigma2.sqrt(),
            f"You divide by the root of sigma2. The KL divides by the variance: {AT_WEIGHT}",
            WEIGHT,
        ),
        Mistake(
            "alpha is missing",
            lambda beta, a, sigma2: weight(beta, a, sigma2) * (1 - beta),
            "alpha_t = 1 - beta is missing in the denominator. The mean is divided by its root:"
            f" {AT_WEIGHT}",
            WEIGHT,
        ),
        Mistake(
            "alpha_bar instead of alpha",
            lambda beta, a, sigma2: beta**2 / (2 * sigma2 * a * (1 - a)),
            f"You have alpha_bar where alpha_t = 1 - beta belongs: {AT_WEIGHT}",
            WEIGHT,
        ),
        Mistake(
            "the root of 1 - alpha_bar",
            lambda beta, a, sigma2: weight(beta, a, sigma2) * (1 - a).sqrt(),
            f"You divide by the root of 1 - alpha_bar. Square it with the rest: {AT_WEIGHT}",
            WEIGHT,
        ),
        Mistake(
            "the weight of L_simple",
            lambda beta, a, sigma2: torch.ones_like(beta),
            f"That is the weight that L_simple uses. Return the weight that it drops: {AT_WEIGHT}",
            WEIGHT,
        ),
    ),
    hints=(
        "Two Gaussians of one variance differ in their means alone. If two guesses at the noise"
        " differ by 1, how far apart are the means that they lead to?",
        'In equations 9 and 10, under "From means to noise" in lesson 04, the noise has a'
        " factor: beta_t over two roots, that of alpha_t and that of 1 - alpha_bar_t. Equation 8,"
        " a little above, says what a distance of means costs: its square over twice the"
        " variance.",
        "Square the factor: beta_t squared, over alpha_t times 1 - alpha_bar_t, with both roots"
        " gone. Then divide by twice sigma2, which is a variance already. Here alpha_t is 1 -"
        " beta_t.",
    ),
    after=(
        "With one variance, the divergence is the squared distance of the means over twice that"
        " variance, and x_t drops out of the distance. The weight is largest at small t, so the"
        " bound cares most about faint noise. L_simple puts 1 in its place, and so cares more"
        " about large t, where the digit's shape is decided."
    ),
)


def loss_cases(draw: Inputs):
    for what, shape in (
        ("a batch", (3, 1, 4, 5)),
        ("a batch of one", (1, 1, 6, 6)),
        ("batch and width equal", (4, 1, 4, 4)),
    ):
        yield Case(what, (draw.normal(*shape), draw.normal(*shape)))
    yield Case("float64", (draw.normal(2, 1, 3, 3).double(), draw.normal(2, 1, 3, 3).double()))


LOSS = (
    torch.tensor([[[[0.25, 0.5]]]], dtype=torch.float64),
    torch.tensor([[[[0.3, 0.1]]]], dtype=torch.float64),
)
AT_LOSS = "for predictions 0.25 and 0.5 of the noise 0.3 and 0.1 it is {right}; yours is {wrong}."

simple_loss = Exercise(
    "04.simple_loss",
    arguments=("predicted_noise", "noise"),
    returns="one number, shape ()",
    reference=lambda predicted, noise: (predicted - noise).square().mean(),
    cases=loss_cases,
    formula=Formula(("mean((predicted_noise - noise) ** 2)",)),
    mistakes=(
        Mistake(
            "the sum over everything",
            lambda predicted, noise: (predicted - noise).square().sum(),
            "You add up. The loss is the mean, so that it does not depend on how many pixels there"
            f" are: {AT_LOSS}",
            LOSS,
        ),
        Mistake(
            "the sum over each image",
            lambda predicted, noise: (predicted - noise).square().flatten(1).sum(1).mean(),
            "You add up over the pixels and average over the images. Here the mean is over both:"
            f" {AT_LOSS}",
            LOSS,
        ),
        Mistake(
            "not squared",
            lambda predicted, noise: (predicted - noise).abs().mean(),
            f"You average absolute errors. The loss averages their squares: {AT_LOSS}",
            LOSS,
        ),
        Mistake(
            "the root",
            lambda predicted, noise: (predicted - noise).square().mean().sqrt(),
            f"You take the root at the end. The loss is the mean square itself: {AT_LOSS}",
            LOSS,
        ),
        Mistake(
            "half of it",
            lambda predicted, noise: (predicted - noise).square().mean() / 2,
            f"You halve it. There is no 1/2 in L_simple: {AT_LOSS}",
            LOSS,
        ),
        Mistake(
            "averaged before it is squared",
            lambda predicted, noise: (predicted - noise).mean().square(),
            "You average the errors and then square: errors of both signs cancel. Square first:"
            f" {AT_LOSS}",
            LOSS,
        ),
    ),
    hints=(
        "At one pixel, how far is the guess from the noise? Turn all these errors into one"
        " number that does not grow with the batch or the image.",
        'Equation 14, under "Drop the weight" in lesson 04, is the squared norm of the'
        " difference, on average. In code the norm is a mean over the pixels, and the average is"
        " a mean over the images.",
        "Take the difference, square every entry of it, and then take one mean over all axes."
        " Square before you average: errors of both signs would cancel.",
    ),
    after=(
        "The mean over images and pixels estimates the expectation in equation 14 from one"
        " batch. The guess with the least squared error is the average of all noises that could"
        " be in x_t, and this average is what a step back needs."
    ),
)


def grey_levels(mean, std):
    edges = torch.arange(257, dtype=torch.float64) / 127.5 - 1 - 1 / 255
    below = (1 + torch.erf((edges - mean) / (std * math.sqrt(2)))) / 2
    below[0], below[-1] = 0, 1
    return below[1:] - below[:-1]


STRETCH = Stretch(
    "04.stretch",
    ("mean", "std"),
    "the probability of each of the 256 grey levels under the discretised Gaussian, shape (256,)",
    grey_levels,
    Picture((0.7, 0.2), bars("grey level", "probability")),
)


def by_torch(mean_1, var_1, mean_2, var_2):
    first, second = (
        torch.distributions.Normal(mean, var.sqrt())
        for mean, var in ((mean_1, var_1), (mean_2, var_2))
    )
    return torch.distributions.kl_divergence(first, second)


FAR = (row(0.0), row(1.0), row(3.0), row(4.0))

catch_the_bug = BugHunt(
    "04.catch_the_bug",
    gaussian_kl,
    right=(
        Variant("asks torch.distributions", by_torch),
        Variant(
            "works in float64",
            lambda *numbers: kl(*(x.double() for x in numbers)).to(numbers[0].dtype),
        ),
        Variant(
            "adds the parts in another order",
            lambda m_1, v_1, m_2, v_2: (
                v_2.log() / 2 - v_1.log() / 2 + v_1 / (2 * v_2) + (m_2 - m_1) ** 2 / (2 * v_2) - 0.5
            ),
        ),
    ),
    wrong=(
        Variant(
            "the difference of the means is not squared",
            lambda m_1, v_1, m_2, v_2: kl(0 * m_1, v_1, (m_1 - m_2).abs().sqrt(), v_2),
            FAR,
        ),
        Variant(
            "the means are left out",
            lambda m_1, v_1, m_2, v_2: kl(m_1, v_1, m_1, v_2),
            BELLS,
        ),
        Variant(
            "both directions, averaged",
            lambda m_1, v_1, m_2, v_2: (kl(m_1, v_1, m_2, v_2) + kl(m_2, v_2, m_1, v_1)) / 2,
            BELLS,
        ),
    ),
)

QUESTIONS = (
    gaussian_kl,
    by_hand,
    predict,
    mean_from_noise,
    noise_loss_weight,
    simple_loss,
    catch_the_bug,
)
