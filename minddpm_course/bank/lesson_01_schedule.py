"""Lesson 01: how much noise each step adds, and what is left of the image."""

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
from minddpm_course.bank.inputs import draw_betas
from minddpm_course.pictures import curve

BETAS = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)


def linear_cases(draw: Inputs):
    yield Case(
        "a few steps", (draw.integer(4, 9), draw.decimal(0.001, 0.05), draw.decimal(0.1, 0.5))
    )
    yield Case("two steps: the two ends", (2, draw.decimal(0.001, 0.05), draw.decimal(0.1, 0.5)))
    yield Case("the paper's T = 1000", (1000, 0.0001, 0.02))
    yield Case(
        "some steps", (draw.integer(10, 60), draw.decimal(0.001, 0.05), draw.decimal(0.1, 0.5))
    )


linear_betas = Exercise(
    "01.linear_betas",
    arguments=("T", "beta_start", "beta_end"),
    returns="T numbers in equal steps, both ends included, shape (T,)",
    reference=lambda T, beta_start, beta_end: torch.linspace(
        beta_start, beta_end, T, dtype=torch.float64
    ),
    cases=linear_cases,
    formula=Formula(("beta_start + (beta_end - beta_start) * arange(T) / (T - 1)",)),
    picture=Picture((20, 0.0001, 0.02), curve("step t", "beta")),
    tolerance=1e-5,  # a thousand additions in float32 are off by 2e-6
    mistakes=(
        Mistake(
            "the end is left out",
            lambda T, start, end: start + (end - start) * torch.arange(T) / T,
            "Your step is (beta_end - beta_start) / T. T numbers have T - 1 steps between them, so"
            " you stop one step short: for T = 3 from 0.1 to 0.3 you should get {right}; yours are"
            " {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "the start is left out",
            lambda T, start, end: start + (end - start) * torch.arange(1, T + 1) / T,
            "You begin one step after beta_start: for T = 3 from 0.1 to 0.3 you should get {right};"
            " yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "one number too many",
            lambda T, start, end: torch.linspace(start, end, T + 1),
            "You return T + 1 numbers. There is one beta for each step and T steps: for T = 3 you"
            " should get {right}; yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "the ends are swapped",
            lambda T, start, end: torch.linspace(end, start, T),
            "Your betas fall. The first steps are the gentle ones: for T = 3 from 0.1 to 0.3 you"
            " should get {right}; yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "equal ratios instead of equal steps",
            lambda T, start, end: torch.logspace(
                math.log10(start), math.log10(end), T, dtype=torch.float64
            ),
            "Your betas are multiplied by one factor at each step; linear means that one amount is"
            " added: for T = 3 from 0.1 to 0.3 you should get {right}; yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "linear in the square root",
            lambda T, start, end: torch.linspace(start**0.5, end**0.5, T, dtype=torch.float64) ** 2,
            "Your square roots rise in equal steps (a schedule known as scaled linear); the betas"
            " themselves should: for T = 3 from 0.1 to 0.3 you should get {right}; yours are"
            " {wrong}.",
            (3, 0.1, 0.3),
        ),
    ),
    hints=(
        "Numbers in equal steps are a start plus a multiple of one amount. How many gaps lie"
        " between the first and the last of T numbers?",
        'The formula stands in lesson 01 under "The linear schedule": the start plus a share of'
        " the way to the end. The share is 0 at t = 1 and 1 at t = T, so it counts gaps, and"
        " there are T - 1 of them.",
        "PyTorch makes such numbers by itself: torch.linspace wants the first one, the last one"
        " and how many there should be, and includes both ends. Ask it for float64, as the lesson"
        " does, since a thousand factors 1 - beta will be multiplied.",
    ),
    after=(
        "T numbers have T - 1 gaps, so the amount added is (beta_end - beta_start) / (T - 1),"
        " and both ends are met. The first betas are small, because a clean image has fine detail"
        " to lose; later ones may be larger, because little of the image is left."
    ),
)


def beta_cases(draw: Inputs):
    yield Case("a few steps", (draw_betas(draw, draw.integer(4, 8)),))
    yield Case("one step", (draw_betas(draw, 1),))
    yield Case("the paper's schedule", (torch.linspace(1e-4, 0.02, 1000),))
    yield Case("float64", (draw_betas(draw, 5).double(),))


alpha_bars = Exercise(
    "01.alpha_bars",
    arguments=("betas",),
    returns="the share of signal power that is left after 1, ..., T steps, shape (T,)",
    reference=lambda betas: (1 - betas).cumprod(0),
    cases=beta_cases,
    formula=Formula(("cumprod(1 - betas)",)),
    picture=Picture((torch.linspace(1e-4, 0.02, 1000),), curve("step t", "alpha_bar")),
    mistakes=(
        Mistake(
            "the product of the betas",
            lambda betas: betas.cumprod(0),
            "You multiply the betas. What is left after a step is 1 - beta of what was there: for"
            " betas 0.1, 0.2, 0.3 alpha_bar is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "a sum instead of a product",
            lambda betas: 1 - betas.cumsum(0),
            "You subtract the sum of the betas. Each step takes its share of what is left, not of"
            " what there was at first: for betas 0.1, 0.2, 0.3 alpha_bar is {right}; yours is"
            " {wrong}. Once the betas add up to more than 1, yours is below 0, and no share is.",
            (BETAS,),
        ),
        Mistake(
            "shifted by one",
            lambda betas: torch.cat(
                [torch.ones(1, dtype=betas.dtype), (1 - betas).cumprod(0)[:-1]]
            ),
            "You return alpha_bar of the step before each: the first should already hold beta_1."
            " For betas 0.1, 0.2, 0.3 alpha_bar is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "alpha instead of alpha_bar",
            lambda betas: 1 - betas,
            "You return alpha_t = 1 - beta_t of each step by itself. The bar means the product of"
            " all up to t: for betas 0.1, 0.2, 0.3 it is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "the square root",
            lambda betas: (1 - betas).cumprod(0).sqrt(),
            "You return the factor of the image, sqrt(alpha_bar). alpha_bar itself is about power:"
            " for betas 0.1, 0.2, 0.3 it is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "the noise's share",
            lambda betas: 1 - (1 - betas).cumprod(0),
            "You return the share of noise, 1 - alpha_bar. alpha_bar is what is left of the signal:"
            " for betas 0.1, 0.2, 0.3 it is {right}; yours is {wrong}.",
            (BETAS,),
        ),
    ),
    hints=(
        "Follow the power of the clean image. Each step takes its share of what it finds, not of"
        " the 1 that there was at first.",
        'Under "What is left after t steps" lesson 01 defines alpha_t = 1 - beta_t, and'
        " alpha_bar_t as the product of alpha_1 to alpha_t. You need that product for every t,"
        " not only for the last.",
        "Turn all betas into alphas at once. Then take the running product of the alphas, so"
        " that entry t holds the product of the first t; PyTorch calls a running product cumprod,"
        " and wants to know along which axis.",
    ),
    after=(
        "After a step, 1 - beta_t of the power that was there is left, so what is left after t"
        " steps is the product. It is all that x_t takes from the schedule, so lesson 02 can jump"
        " to any t with this one number."
    ),
)

by_hand = HandNumber(
    "01.by_hand",
    values=lambda draw: {f"beta_{t}": draw.integer(100, 450) / 1000 for t in (1, 2, 3)},
    question=(
        "The first betas of a schedule are {beta_1}, {beta_2}, {beta_3}. What is alpha_bar_3?"
        " (Six decimals, rounded only at the end.)"
    ),
    answer=lambda beta_1, beta_2, beta_3: (1 - beta_1) * (1 - beta_2) * (1 - beta_3),
    mistakes=(
        (
            "the product of the betas",
            lambda beta_1, beta_2, beta_3: beta_1 * beta_2 * beta_3,
            "You multiplied the betas, what each step takes. Multiply what it leaves, 1 - beta.",
        ),
        (
            "a sum instead of a product",
            lambda beta_1, beta_2, beta_3: 1 - beta_1 - beta_2 - beta_3,
            (
                "You took the sum of the betas from 1, as if each were a share of the start. Each"
                " step takes its share of what is left: multiply the three 1 - beta."
            ),
        ),
        (
            "one step too few",
            lambda beta_1, beta_2, beta_3: (1 - beta_1) * (1 - beta_2),
            "That is alpha_bar_2: you stopped after two factors. The third step counts as well.",
        ),
        (
            "the square root",
            lambda beta_1, beta_2, beta_3: math.sqrt((1 - beta_1) * (1 - beta_2) * (1 - beta_3)),
            (
                "You took a root at the end, and have the factor of the image. alpha_bar is a"
                " share of power: leave the product as it is."
            ),
        ),
        (
            "the last alpha",
            lambda beta_1, beta_2, beta_3: 1 - beta_3,
            (
                "You took alpha_3 = 1 - beta_3, of the third step alone. The bar means the product"
                " of all up to it."
            ),
        ),
    ),
    bounds=Bounds(
        lambda **values: 0,
        lambda beta_1, beta_2, beta_3: 1 - max(beta_1, beta_2, beta_3),
        "each step leaves only a part of what it finds, so the product is less than the smallest"
        " 1 - beta",
    ),
    decimals=6,
)

predict = Choice(
    "01.predict",
    question=(
        "You keep beta_start and beta_end and halve the number of steps, T = 500 for T = 1000. What"
        " happens to alpha_bar_T, the share of signal that is left at the end?"
    ),
    options={
        "A": "It stays the same: both schedules end with the same beta.",
        "B": "It halves.",
        "C": "It becomes roughly its own square root: more signal is left.",
        "D": "It becomes roughly its own square: less signal is left.",
    },
    right="C",
    replies={
        "A": (
            "The last beta is the same, but alpha_bar is a product over all steps, and half of the"
            " factors are gone."
        ),
        "B": (
            "A sum over half the steps would halve. alpha_bar is a product, and fewer factors below"
            " 1 make it larger."
        ),
        "C": (
            "log alpha_bar_T is a sum over the steps, about -T times the mean beta. Half the steps,"
            " half the sum: the square root."
        ),
        "D": "That is what twice as many steps would do.",
    },
)


LEVELS = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)


def level_cases(draw: Inputs):
    yield Case("a few levels", (draw.uniform(0.05, 0.95, draw.integer(3, 7)),))
    yield Case("one level", (draw.uniform(0.6, 0.9, 1),))
    yield Case("almost clean, and almost noise", (torch.tensor([0.99, 0.75, 4e-5]),))
    yield Case("float64", (draw.uniform(0.05, 0.95, 5).double(),))


snr = Exercise(
    "01.snr",
    arguments=("alpha_bar",),
    returns="signal power over noise power at each level, shape (n,)",
    reference=lambda alpha_bar: alpha_bar / (1 - alpha_bar),
    cases=level_cases,
    formula=Formula(
        ("alpha_bar / (1 - alpha_bar)",), otherwise=Formula(("1 / (1 / alpha_bar - 1)",))
    ),
    mistakes=(
        Mistake(
            "amplitudes instead of powers",
            lambda alpha_bar: (alpha_bar / (1 - alpha_bar)).sqrt(),
            "You divide the amplitudes, sqrt(alpha_bar) and sqrt(1 - alpha_bar). Power is the"
            " square of amplitude: at alpha_bar 0.9, 0.5, 0.2 the ratio is {right}; yours is"
            " {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "upside down",
            lambda alpha_bar: (1 - alpha_bar) / alpha_bar,
            "You divide noise by signal. The ratio must be large where there is little noise: at"
            " alpha_bar 0.9, 0.5, 0.2 it is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "the signal alone",
            lambda alpha_bar: alpha_bar,
            "You return the signal's power and do not divide by the noise's: at alpha_bar 0.9, 0.5,"
            " 0.2 the ratio is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "the logarithm",
            lambda alpha_bar: (alpha_bar / (1 - alpha_bar)).log(),
            "You return the logarithm of the ratio. Return the ratio itself: at alpha_bar 0.9,"
            " 0.5, 0.2 it is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "decibels",
            lambda alpha_bar: 10 * (alpha_bar / (1 - alpha_bar)).log10(),
            "You return decibels, ten times the logarithm. Return the ratio itself: at alpha_bar"
            " 0.9, 0.5, 0.2 it is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "signal over everything",
            lambda alpha_bar: alpha_bar / (alpha_bar.sqrt() + (1 - alpha_bar).sqrt()) ** 2,
            "You divide by the square of both amplitudes' sum. The denominator is the noise's"
            " power alone: at alpha_bar 0.9, 0.5, 0.2 the ratio is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
    ),
    hints=(
        "A noisy image has two sources of power, and their shares add up to 1. You are given one"
        " of the shares.",
        'Lesson 01 defines the ratio under "Signal to noise". Its numerator is the share of the'
        " clean image, its denominator the share of the noise.",
        "The noise has the share 1 - alpha_bar. Divide the image's share by the noise's, entry"
        " by entry and without roots: at 0.5 the result is 1, at 0.75 it is 3.",
    ),
    after=(
        "In x_t the clean image has the power alpha_bar and the noise the rest of 1, so their"
        " ratio says how clearly the image can be seen. It depends on nothing else: schedules"
        " with other T and other betas are compared by it."
    ),
)


def threshold_cases(draw: Inputs):
    levels = (1 - draw_betas(draw, 9)).cumprod(0)
    between = levels[3:5].mean().item()
    yield Case("the threshold lies between two levels", (levels, between))
    yield Case("it is reached at the first step", (levels, 0.9999))
    yield Case("it is reached at the last step", (levels, levels[-2:].mean().item()))
    powers = torch.tensor([0.5, 0.25, 0.125, 0.0625])  # exact in binary, so that equal means equal
    yield Case("a level equals the threshold", (powers, powers[draw.integer(0, 2)].item()))
    yield Case(
        "the paper's schedule",
        ((1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(0), draw.decimal(0.1, 0.9)),
    )


first_step_below = Exercise(
    "01.first_step_below",
    arguments=("alpha_bars", "threshold"),
    returns="an int, the first t (counted from 1) with alpha_bar_t < threshold",
    reference=lambda alpha_bars, threshold: int((alpha_bars < threshold).nonzero()[0]) + 1,
    cases=threshold_cases,
    formula=Formula(("first_true(alpha_bars < threshold) + 1",)),
    mistakes=(
        Mistake(
            "counted from 0",
            lambda alpha_bars, threshold: int((alpha_bars < threshold).nonzero()[0]),
            "You return the index into the array, which counts from 0. The paper's t counts from 1:"
            " if the first level is already below the threshold, the answer is t = {right};"
            " yours is {wrong}.",
            (LEVELS, 0.95),
        ),
        Mistake(
            "at or below",
            lambda alpha_bars, threshold: int((alpha_bars <= threshold).nonzero()[0]) + 1,
            "You also stop where the level equals the threshold. Below means less: for levels 0.9,"
            " 0.5, 0.2 and the threshold 0.5 the answer is {right}; yours is {wrong}.",
            (LEVELS, 0.5),
        ),
        Mistake(
            "counted from the end",
            lambda alpha_bars, threshold: int((alpha_bars < threshold).sum()),
            "Your number says how many steps are below the threshold, which is also the place of"
            " the first of them if you count from the end. Count from the start: for levels 0.9,"
            " 0.5, 0.2 and the threshold 0.3 it is t = {right}; yours is {wrong}.",
            (LEVELS, 0.3),
        ),
        Mistake(
            "the last step below",
            lambda alpha_bars, threshold: int((alpha_bars < threshold).nonzero()[-1]) + 1,
            "You return the last step below the threshold, which is always T. Return the first:"
            " for levels 0.9, 0.5, 0.2 and the threshold 0.6 it is t = {right}; yours is {wrong}.",
            (LEVELS, 0.6),
        ),
        Mistake(
            "the first step above",
            lambda alpha_bars, threshold: int((alpha_bars > threshold).int().argmax()) + 1,
            "Your comparison is the wrong way round: you look for levels above the threshold. For"
            " levels 0.9, 0.5, 0.2 and the threshold 0.6 the answer is t = {right}; yours is"
            " {wrong}.",
            (LEVELS, 0.6),
        ),
    ),
    hints=(
        "Ask one question of every entry: is it below the threshold? You want the place of the"
        " first yes, in the paper's way of counting.",
        "A tensor compared with a number gives True or False for each entry, and equal is not"
        ' below. In lesson 01 the table under "Index equals t" says which t an index stands for'
        " in an array that begins with alpha_bar_1.",
        "Keep the comparison in a variable; its nonzero() lists the indices of all that are"
        " True, in order. Take the first, make it a plain int, and add 1 to turn an index into a"
        " t.",
    ),
    after=(
        "alpha_bar falls at every step, so once it is below the threshold it stays there, and"
        " the first True is the crossing. Index 0 holds alpha_bar_1, so t is the index plus 1."
    ),
)


def straight_betas(T):
    left = 1 - torch.arange(T + 1, dtype=torch.float64) / (T + 1)
    return 1 - left[1:] / left[:-1]


STRETCH = Stretch(
    "01.stretch",
    ("T",),
    "betas, shape (T,), for which alpha_bar falls in equal steps: alpha_bar_t = 1 - t / (T + 1)",
    straight_betas,
    Picture((50,), curve("step t", "beta")),
)


def multiplied_one_by_one(betas):
    left, kept = 1.0, []
    for beta in betas.tolist():
        left *= 1 - beta
        kept.append(left)
    return torch.tensor(kept, dtype=betas.dtype)


catch_the_bug = BugHunt(
    "01.catch_the_bug",
    alpha_bars,
    right=(
        Variant("multiplies in a loop", multiplied_one_by_one),
        Variant(
            "adds logarithms",
            lambda betas: (1 - betas.double()).log().cumsum(0).exp().to(betas.dtype),
        ),
        Variant(
            "multiplies in float64",
            lambda betas: (1 - betas.double()).cumprod(0).to(betas.dtype),
        ),
    ),
    wrong=(
        Variant(
            "alpha_bar_0 = 1 stands in front",
            lambda betas: torch.cat([betas.new_ones(1), (1 - betas).cumprod(0)]),
            (BETAS,),
        ),
        Variant(
            "every step takes the mean of the betas",
            lambda betas: (1 - betas.mean()) ** torch.arange(1, len(betas) + 1),
            (BETAS,),
        ),
        Variant(
            "multiplied from the last step on",
            lambda betas: (1 - betas).flip(0).cumprod(0),
            (BETAS,),
        ),
    ),
)

QUESTIONS = (linear_betas, alpha_bars, by_hand, predict, snr, first_step_below, catch_the_bug)
