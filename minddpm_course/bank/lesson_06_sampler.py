"""Lesson 06: the step back and the loop around it."""

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
from marking.outcome import Made
from minddpm_course.bank.inputs import draw_betas, function, pixel
from minddpm_course.pictures import curve


def back(x_t, predicted, t, betas, noise, *, spread=None, weight=None, scale=None):
    """The reverse step, with parts that a mistake may replace."""
    beta, alpha_bar = betas[t - 1], (1 - betas[:t]).prod()
    weight = beta / (1 - alpha_bar).sqrt() if weight is None else weight(beta, alpha_bar)
    scale = (1 - beta).sqrt() if scale is None else scale(beta, alpha_bar)
    spread = (beta.sqrt() if spread is None else spread(beta, alpha_bar)) if t > 1 else 0.0
    return (x_t - weight * predicted) / scale + spread * noise


def reverse_step_cases(draw: Inputs):
    T = draw.integer(5, 9)
    for what, t, shape in (
        ("some step", draw.integer(3, T - 1), (3, 1, 4, 5)),
        ("t = 1, the last step", 1, (2, 1, 4, 4)),
        ("t = T, the first step", T, (1, 1, 5, 5)),
        ("t = 2", 2, (4, 1, 4, 4)),
    ):
        yield Case(
            what,
            (draw.normal(*shape), draw.normal(*shape), t, draw_betas(draw, T), draw.normal(*shape)),
        )
    shape = (2, 1, 3, 3)
    images = [draw.normal(*shape).double() for _ in range(3)]
    yield Case("float64", (images[0], images[1], 3, draw_betas(draw, 4).double(), images[2]))


BETAS = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
SECOND = (pixel(0.4), pixel(0.3), 2, BETAS, pixel(1.0))
AT_SECOND = (
    "for x_t = 0.4, predicted noise 0.3, fresh noise 1, betas 0.1, 0.2, 0.3 and t = 2 it is"
    " {right}; yours is {wrong}."
)
LAST = (pixel(0.4), pixel(0.3), 1, BETAS, pixel(1.0))
AT_LAST = (
    "for x_t = 0.4, predicted noise 0.3, fresh noise 1, betas 0.1, 0.2, 0.3 and t = 1 it is"
    " {right}; yours is {wrong}."
)


def noise_at_the_end(x_t, predicted, t, betas, noise):
    mean = back(x_t, predicted, t, betas, 0 * noise)
    return mean + betas[t - 1].sqrt() * noise


def counted_from_0(x_t, predicted, t, betas, noise):
    alpha_bar = (1 - betas).cumprod(0)
    mean = (x_t - betas[t] / (1 - alpha_bar[t]).sqrt() * predicted) / (1 - betas[t]).sqrt()
    return mean + betas[t].sqrt() * noise if t > 1 else mean


def beta_tilde(x_t, predicted, t, betas, noise):
    before = (1 - betas[: t - 1]).prod()
    return back(
        x_t, predicted, t, betas, noise, spread=lambda b, a: ((1 - before) / (1 - a) * b).sqrt()
    )


reverse_step = Exercise(
    "06.reverse_step",
    arguments=("x_t", "predicted_noise", "t", "betas", "noise"),
    returns="x_{t-1}, the shape of x_t",
    reference=back,
    cases=reverse_step_cases,
    formula=Formula(
        (
            "(x_t - beta_t / sqrt(1 - alpha_bar_t) * predicted_noise) / sqrt(alpha_t)"
            " + (t > 1) * sqrt(beta_t) * noise",
        ),
        {
            "beta_t": "betas[t - 1]",
            "alpha_t": "1 - beta_t",
            "alpha_bar_t": "prod(1 - betas[:t])",
            "alpha_bar_prev": "prod(1 - betas[:t - 1])",
            "beta_tilde": "(1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t",
        },
    ),
    points=4,
    mistakes=(
        Mistake(
            "noise at the last step",
            noise_at_the_end,
            f"You add noise at t = 1 as well. Nothing removes it again: {AT_LAST}",
            LAST,
        ),
        Mistake(
            "variance instead of standard deviation",
            lambda *args: back(*args, spread=lambda b, a: b),
            "You scale the fresh noise by beta, its variance. Its standard deviation is the root:"
            f" {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "t counts from 0",
            counted_from_0,
            "You read betas[t]. The list begins with beta_1, so beta_t is betas[t - 1]; yours is"
            f" one step late, and at t = T it runs off the end: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "beta tilde instead of beta",
            beta_tilde,
            f"You use the posterior variance, beta tilde. Here sigma^2 = beta: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "no noise at all",
            lambda *args: back(*args, spread=lambda b, a: 0.0),
            f"You return the mean. Add fresh noise to it at every step but the last: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "the root of 1 - alpha_bar is missing",
            lambda *args: back(*args, weight=lambda b, a: b / (1 - a)),
            f"You divide beta by 1 - alpha_bar. Divide by its root: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "all of the noise is removed",
            lambda *args: back(*args, weight=lambda b, a: (1 - a).sqrt()),
            "You remove all of the predicted noise. One step removes beta / sqrt(1 - alpha_bar)"
            f" of it: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "not scaled back",
            lambda *args: back(*args, scale=lambda b, a: 1.0),
            f"The step forward made the image smaller. Divide by sqrt(alpha_t): {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "divided by alpha",
            lambda *args: back(*args, scale=lambda b, a: 1 - b),
            f"You divide by alpha_t. Divide by its root: {AT_SECOND}",
            SECOND,
        ),
        Mistake(
            "alpha_bar instead of alpha",
            lambda *args: back(*args, scale=lambda b, a: a.sqrt()),
            "You divide by sqrt(alpha_bar_t), as if going all the way. One step divides by"
            f" sqrt(alpha_t): {AT_SECOND}",
            SECOND,
        ),
    ),
    hints=(
        "A step back does two things: it takes a part of the predicted noise away, and adds a"
        " little fresh noise. Which of the two is left out at the very end, and why?",
        'The short form of the update, equation 11 with sigma_t times z added, stands in "The'
        ' derivation" of lesson 06. You need beta_t, at index t - 1 of the list, and alpha_bar_t,'
        " the product over the first t entries of one minus beta.",
        "For the mean, take from x_t the predicted noise times beta_t over the root of 1 -"
        " alpha_bar_t, then divide by the root of 1 - beta_t. If t is above 1, add the fresh"
        " noise times the root of beta_t. At t = 1 return the mean.",
    ),
    after=(
        "The mean is that of the true step back, with the clean image that the prediction"
        " implies in place of the real one. The fresh noise gives the image the spread that its"
        " level should have. At t = 1 nothing would take the noise out again, so none is added."
    ),
)

steps = Exercise(
    "06.steps",
    arguments=("T",),
    returns="a list of T integers, the times in the order in which the sampler visits them",
    reference=lambda T: list(range(T, 0, -1)),
    cases=lambda draw: [
        Case("a few steps", (draw.integer(4, 9),)),
        Case("one step", (1,)),
        Case("the paper's T = 1000", (1000,)),
        Case("some steps", (draw.integer(10, 60),)),
    ],
    formula=Formula(("arange(T, 0, -1)",)),
    tolerance=0.0,
    mistakes=(
        Mistake(
            "from 1 up",
            lambda T: list(range(1, T + 1)),
            "You count up. The sampler starts in the noise, at T: for T = 3 the order is {right};"
            " yours is {wrong}.",
            (3,),
        ),
        Mistake(
            "T is left out",
            lambda T: list(range(T - 1, -1, -1)),
            "You count from T - 1 down to 0, as array indices do. The noisiest image has t = T, and"
            " t = 0 is clean: for T = 3 the order is {right}; yours is {wrong}.",
            (3,),
        ),
        Mistake(
            "down to 0",
            lambda T: list(range(T, -1, -1)),
            "You visit t = 0 as well. That is the clean image, from which no step leads back: for T"
            " = 3 the order is {right}; yours is {wrong}.",
            (3,),
        ),
        Mistake(
            "the last step is left out",
            lambda T: list(range(T, 1, -1)),
            "You stop at t = 2. A range ends before its second number, and the step at t = 1 is"
            " still missing: for T = 3 the order is {right}; yours is {wrong}.",
            (3,),
        ),
        Mistake(
            "from 0 up",
            lambda T: list(range(T)),
            "You count up from 0, as array indices do. The sampler goes from T down to 1: for T = 3"
            " the order is {right}; yours is {wrong}.",
            (3,),
        ),
    ),
    hints=(
        "A step starts from an image at some t and leads to t - 1. At which t is the image"
        " before the first step, and at which before the last?",
        'The loop in lesson 06, under "Rebuild it", draws x_T first, so the first step starts'
        " there. The last step is the one that leads to x_0.",
        "A range can count down if its third number is -1. It ends before its second number, so"
        " choose that one to be one less than the last t you want. Make the range a list.",
    ),
    after=(
        "The network was trained on t = 1 to T, and the image at t = 0 is clean, so there are T"
        " steps. A loop that leaves out t = 1 returns an image with a faint grain; one that"
        " starts at T - 1 tells the network of less noise than there is."
    ),
)

NETWORK = """def model(x_t, t):
    if not isinstance(t, torch.Tensor) or t.shape != x_t.shape[:1]:
        raise TypeError("the network takes t as a tensor of shape (b,), one time for each image")
    return 0.3 * x_t + t[:, None, None, None] / 10 * pattern
"""


def tiny_network(pattern: torch.Tensor) -> Made:
    """A network for images of the pattern's shape; like a real one, it refuses a number as t."""
    return Made("model", "a network", NETWORK, {"pattern": pattern})


def loop_cases(draw: Inputs):
    for what, T, shape in (
        ("a few steps", draw.integer(3, 6), (2, 1, 3, 4)),
        ("one step", 1, (3, 1, 2, 2)),
        ("two steps, a batch of one", 2, (1, 1, 3, 3)),
    ):
        keep, move = draw.decimal(0.7, 0.95), draw.decimal(0.1, 0.4)
        step = function(
            "step",
            "x_t, predicted_noise, t",
            f"{keep} * x_t - {move} * predicted_noise + 0.01 * t",
        )
        yield Case(what, (tiny_network(draw.normal(*shape[1:])), draw.normal(*shape), T, step))


def loop(model, x_T, T, step, *, times=None):
    """The sampling loop, over other times if asked."""
    x = x_T
    for t in range(T, 0, -1) if times is None else times(T):
        x = step(x, model(x, torch.full((len(x),), t)), t)
    return x


def always_from_the_noise(model, x_T, T, step):
    x = x_T
    for t in range(T, 0, -1):
        x = step(x, model(x_T, torch.full((len(x),), t)), t)
    return x


def starts_again(model, x_T, T, step):
    for t in range(T, 0, -1):
        x = step(x_T, model(x_T, torch.full((len(x_T),), t)), t)
    return x


def always_at_the_end(model, x_T, T, step):
    x = x_T
    for t in range(T, 0, -1):
        x = step(x, model(x, torch.full((len(x),), T)), t)
    return x


def without_steps(model, x_T, T, step):
    x = x_T
    for t in range(T, 0, -1):
        x = x - model(x, torch.full((len(x),), t))
    return x


LOOP = (
    tiny_network(torch.ones(1, 1, 1, dtype=torch.float64)),
    pixel(1.0),
    3,
    function("step", "x_t, predicted_noise, t", "x_t - predicted_noise / 2 + t"),
)
AT_LOOP = (
    "for a pixel of 1, T = 3, a network that predicts 0.3 x_t + t / 10 and a step that makes x_t -"
    " predicted_noise / 2 + t, it is {right}; yours is {wrong}."
)

sample = Exercise(
    "06.sample",
    arguments=("model", "x_T", "T", "step"),
    returns="x_0, the shape of x_T",
    reference=loop,
    cases=loop_cases,
    points=3,
    program="""\
x_t = x_T
for t in range(T, 0, -1):
    predicted_noise = model(x_t, torch.full((len(x_t),), t))
    x_t = step(x_t, predicted_noise, t)
return x_t
""",
    mistakes=(
        Mistake(
            "from 1 up",
            lambda *args: loop(*args, times=lambda T: range(1, T + 1)),
            f"Your loop goes up. The noise is at T, so start there and count down: {AT_LOOP}",
            LOOP,
        ),
        Mistake(
            "counted from 0",
            lambda *args: loop(*args, times=lambda T: range(T - 1, -1, -1)),
            f"Your loop visits T - 1 to 0, as array indices go. The times are T to 1: {AT_LOOP}",
            LOOP,
        ),
        Mistake(
            "the last step is left out",
            lambda *args: loop(*args, times=lambda T: range(T, 1, -1)),
            f"Your loop stops before t = 1. A range ends before its second number: {AT_LOOP}",
            LOOP,
        ),
        Mistake(
            "the network always sees the pure noise",
            always_from_the_noise,
            "Your network is shown x_T at each step. Show it the image that you hold now:"
            f" {AT_LOOP}",
            LOOP,
        ),
        Mistake(
            "each step starts again",
            starts_again,
            "Each of your steps starts from x_T again. It starts from what the step before it made:"
            f" {AT_LOOP}",
            LOOP,
        ),
        Mistake(
            "the network is always told T",
            always_at_the_end,
            f"Your network is told T at each step. Tell it the time t of the image: {AT_LOOP}",
            LOOP,
        ),
        Mistake(
            "all of the prediction is subtracted",
            without_steps,
            "You subtract the predicted noise and never call step. A step takes off only a part of"
            f" it: {AT_LOOP}",
            LOOP,
        ),
    ),
    hints=(
        "Two things change in the loop: the image that you hold, and t. The model and the step"
        " do all the rest.",
        'It is the loop under "Rebuild it" in lesson 06, without clipping. In each round the'
        " model is shown the image that you hold now, with one time for each image of the batch.",
        "Hold x_T, and go through the times that your function steps gives. In each round call"
        " the model with the image and a tensor of b times, all equal to t (torch.full makes"
        " one); then call step with the image, the prediction and t, and hold what it returns."
        " After the loop return what you hold.",
    ),
    after=(
        "A step turns an image at level t into one at level t - 1, so T of them lead from pure"
        " noise to a clean image. The model sees only the current image and its time, and only the"
        " step knows the schedule. So the same loop draws with any step that you give it."
    ),
)

by_hand = HandNumber(
    "06.by_hand",
    values=lambda draw: {
        "beta": draw.integer(100, 300) / 1000,
        "alpha_bar": draw.integer(200, 600) / 1000,
        "x_t": draw.integer(40, 95) / 100,
        "predicted": draw.integer(20, 65) / 100,
    },
    question=(
        "At x_t = {x_t} the network predicts the noise {predicted}; beta_t = {beta}, alpha_bar_t ="
        " {alpha_bar}. What is the mean of the step back? (Six decimals, rounded only at the end.)"
    ),
    answer=lambda beta, alpha_bar, x_t, predicted: (
        (x_t - beta / (1 - alpha_bar) ** 0.5 * predicted) / (1 - beta) ** 0.5
    ),
    mistakes=(
        (
            "not scaled back",
            lambda beta, alpha_bar, x_t, predicted: x_t - beta / (1 - alpha_bar) ** 0.5 * predicted,
            (
                "You took the noise out and stopped. The step forward shrank the image by sqrt(1 -"
                " beta): divide by that."
            ),
        ),
        (
            "the root of 1 - alpha_bar is missing",
            lambda beta, alpha_bar, x_t, predicted: (
                (x_t - beta / (1 - alpha_bar) * predicted) / (1 - beta) ** 0.5
            ),
            (
                "You divided beta by the variance, 1 - alpha_bar. In x_t the noise has the factor"
                " sqrt(1 - alpha_bar), so one root cancels: divide by the root."
            ),
        ),
        (
            "the clean image",
            lambda beta, alpha_bar, x_t, predicted: (
                (x_t - (1 - alpha_bar) ** 0.5 * predicted) / alpha_bar**0.5
            ),
            (
                "You removed all of the noise: that is the estimate of x_0. One step back removes"
                " only beta / sqrt(1 - alpha_bar) of it."
            ),
        ),
        (
            "divided by alpha",
            lambda beta, alpha_bar, x_t, predicted: (
                (x_t - beta / (1 - alpha_bar) ** 0.5 * predicted) / (1 - beta)
            ),
            (
                "You divided by 1 - beta, a share of power. An image is an amplitude: divide by"
                " the root."
            ),
        ),
        (
            "the noise is added",
            lambda beta, alpha_bar, x_t, predicted: (
                (x_t + beta / (1 - alpha_bar) ** 0.5 * predicted) / (1 - beta) ** 0.5
            ),
            (
                "You added the predicted noise, as the way forward does. The step back removes"
                " some of it: subtract."
            ),
        ),
    ),
    decimals=6,
)

predict = Choice(
    "06.predict",
    question=(
        "A sampler adds noise at t = 1 as at every other step, with the variance beta_1 = 0.0001 of"
        " the linear schedule. What do you see?"
    ),
    options={
        "A": "no digits at all, only noise",
        "B": "digits with a grain too faint for the eye",
        "C": "nothing: the network takes the noise out again",
        "D": "digits shifted by a pixel",
    },
    right="B",
    replies={
        "A": (
            "At t = T noise covers everything. At t = 1 its standard deviation, sqrt(beta_1), is"
            " 0.01 on a range of 2."
        ),
        "B": "A standard deviation of 0.01 on a range of 2: little to see, yet measurable.",
        "C": "After t = 1 the network is not called again.",
        "D": "Noise changes the grey of each pixel, it does not move pixels.",
    },
)


def spread_of_samples(betas, s):
    """The standard deviation at each step back, t = T first, of samples of N(0, s^2) drawn with the
    perfect network.
    """
    alpha_bar, variance, spreads = (1 - betas).cumprod(0), 1.0, [1.0]
    for t in range(len(betas), 0, -1):
        beta, level = betas[t - 1], alpha_bar[t - 1]
        pull = (1 - beta / (level * s**2 + 1 - level)) / (1 - beta).sqrt()
        variance = pull**2 * variance + (beta if t > 1 else 0.0)
        spreads.append(math.sqrt(variance))
    return torch.tensor(spreads, dtype=torch.float64)


STRETCH = Stretch(
    "06.stretch",
    ("betas", "s"),
    "the standard deviation at t = T, T - 1, ..., 0 of samples of N(0, s^2) drawn with the perfect"
    " network, (T+1,)",
    spread_of_samples,
    Picture(
        (torch.linspace(0.001, 0.2, 100, dtype=torch.float64), 0.3),
        curve("steps taken", "standard deviation", 0.0),
    ),
)


def through_the_clean_image(x_t, predicted, t, betas, noise):
    alphas = 1 - betas.double()
    level, before = alphas[:t].prod(), alphas[: t - 1].prod()
    x_0 = (x_t - (1 - level).sqrt() * predicted) / level.sqrt()
    of_x0 = before.sqrt() * betas[t - 1] / (1 - level)
    of_xt = alphas[t - 1].sqrt() * (1 - before) / (1 - level)
    mean = of_x0 * x_0 + of_xt * x_t
    return (mean + (t > 1) * betas[t - 1].sqrt() * noise).to(x_t.dtype)


def with_plain_numbers(x_t, predicted, t, betas, noise):
    steps = betas.tolist()
    beta, level = steps[t - 1], math.prod(1 - beta for beta in steps[:t])
    mean = (x_t - beta / math.sqrt(1 - level) * predicted) / math.sqrt(1 - beta)
    return mean + math.sqrt(beta) * noise if t > 1 else mean


def a_step_early(x_t, predicted, t, betas, noise):
    beta, level = betas[t - 1], (1 - betas[: t - 1]).prod()
    mean = (x_t - beta / (1 - level + 1e-8).sqrt() * predicted) / (1 - beta).sqrt()
    return mean + (t > 1) * beta.sqrt() * noise


THIRD = (pixel(0.4), pixel(0.3), 3, BETAS, pixel(1.0))

catch_the_bug = BugHunt(
    "06.catch_the_bug",
    reverse_step,
    right=(
        Variant("goes through the estimate of x_0", through_the_clean_image),
        Variant("works with Python's own numbers", with_plain_numbers),
        Variant(
            "takes the images one by one",
            lambda x_t, predicted, t, betas, noise: torch.stack(
                [back(x, e, t, betas, z) for x, e, z in zip(x_t, predicted, noise)]
            ),
        ),
    ),
    wrong=(
        Variant(
            "no noise at t = 2 either",
            lambda x_t, predicted, t, betas, noise: back(
                x_t, predicted, t, betas, noise if t > 2 else 0 * noise
            ),
            SECOND,
        ),
        Variant("alpha_bar of the step before", a_step_early, SECOND),
        Variant(
            "the first beta at every step",
            lambda x_t, predicted, t, betas, noise: back(
                x_t, predicted, t, betas[:1].expand(len(betas)), noise
            ),
            THIRD,
        ),
    ),
)

QUESTIONS = (reverse_step, steps, by_hand, predict, sample, catch_the_bug)
