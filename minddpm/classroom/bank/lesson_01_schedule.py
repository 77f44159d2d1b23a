"""Lesson 01: how much noise each step adds, and what is left of the image."""

from __future__ import annotations

import math

import torch

from minddpm.classroom.exercise import Case, Choice, Exercise, HandNumber, Inputs, Mistake, Picture
from minddpm.classroom.pictures import curve

BETAS = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)


def linear_cases(draw: Inputs):
    yield Case("a few steps", (draw.integer(4, 9), draw.number(0.001, 0.05), draw.number(0.1, 0.5)))
    yield Case("two steps: the two ends", (2, draw.number(0.001, 0.05), draw.number(0.1, 0.5)))
    yield Case("the paper's T = 1000", (1000, 0.0001, 0.02))
    yield Case("some steps", (draw.integer(10, 60), draw.number(0.001, 0.05), draw.number(0.1, 0.5)))


linear_betas = Exercise(
    "01.linear_betas",
    arguments=("T", "beta_start", "beta_end"),
    gives="T numbers in equal steps, both ends included, shape (T,)",
    reference=lambda T, beta_start, beta_end: torch.linspace(beta_start, beta_end, T, dtype=torch.float64),
    cases=linear_cases,
    picture=Picture((20, 0.0001, 0.02), curve("step t", "beta")),
    tolerance=1e-6,
    mistakes=(
        Mistake(
            "the end is left out",
            lambda T, start, end: start + (end - start) * torch.arange(T) / T,
            "Your step is (beta_end - beta_start) / T. T numbers have T - 1 steps between them, so you stop one step "
            "short: for T = 3 from 0.1 to 0.3 you should get {right}; yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "the start is left out",
            lambda T, start, end: start + (end - start) * torch.arange(1, T + 1) / T,
            "You begin one step after beta_start: for T = 3 from 0.1 to 0.3 you should get {right}; yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "one number too many",
            lambda T, start, end: torch.linspace(start, end, T + 1),
            "You return T + 1 numbers. There is one beta for each step and T steps: for T = 3 you should get {right}; "
            "yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "the ends are swapped",
            lambda T, start, end: torch.linspace(end, start, T),
            "Your betas fall. The first steps are the gentle ones: for T = 3 from 0.1 to 0.3 you should get {right}; "
            "yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "equal ratios rather than equal steps",
            lambda T, start, end: torch.logspace(math.log10(start), math.log10(end), T, dtype=torch.float64),
            "Your betas are multiplied by one factor at each step; linear means that one amount is added: for T = 3 "
            "from 0.1 to 0.3 you should get {right}; yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
        Mistake(
            "linear in the square root",
            lambda T, start, end: torch.linspace(start**0.5, end**0.5, T, dtype=torch.float64) ** 2,
            "Your square roots rise in equal steps (a schedule known as scaled linear); the betas themselves should: "
            "for T = 3 from 0.1 to 0.3 you should get {right}; yours are {wrong}.",
            (3, 0.1, 0.3),
        ),
    ),
)


def beta_cases(draw: Inputs):
    yield Case("a few steps", (draw.betas(draw.integer(4, 8)),))
    yield Case("one step", (draw.betas(1),))
    yield Case("the paper's schedule", (torch.linspace(1e-4, 0.02, 1000),))
    yield Case("float64", (draw.betas(5).double(),))


alpha_bars = Exercise(
    "01.alpha_bars",
    arguments=("betas",),
    gives="the share of signal power that is left after 1, ..., T steps, shape (T,)",
    reference=lambda betas: (1 - betas).cumprod(0),
    cases=beta_cases,
    picture=Picture((torch.linspace(1e-4, 0.02, 1000),), curve("step t", "alpha_bar")),
    mistakes=(
        Mistake(
            "the product of the betas",
            lambda betas: betas.cumprod(0),
            "You multiply the betas. What is left after a step is 1 - beta of what was there: for betas 0.1, 0.2, 0.3 "
            "alpha_bar is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "a sum for a product",
            lambda betas: 1 - betas.cumsum(0),
            "You subtract the sum of the betas. Each step takes its share of what is left, not of what there was at "
            "first: for betas 0.1, 0.2, 0.3 alpha_bar is {right}; yours is {wrong}. After more steps yours falls "
            "below 0, and no share does.",
            (BETAS,),
        ),
        Mistake(
            "shifted by one",
            lambda betas: torch.cat([torch.ones(1, dtype=betas.dtype), (1 - betas).cumprod(0)[:-1]]),
            "You return alpha_bar of the step before each: the first should already hold beta_1. For betas 0.1, 0.2, "
            "0.3 alpha_bar is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "alpha for alpha_bar",
            lambda betas: 1 - betas,
            "You return alpha_t = 1 - beta_t of each step by itself. The bar means the product of all up to t: for "
            "betas 0.1, 0.2, 0.3 it is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "the square root",
            lambda betas: (1 - betas).cumprod(0).sqrt(),
            "You return the factor of the image, sqrt(alpha_bar). alpha_bar itself is about power: for betas 0.1, 0.2, "
            "0.3 it is {right}; yours is {wrong}.",
            (BETAS,),
        ),
        Mistake(
            "the noise's share",
            lambda betas: 1 - (1 - betas).cumprod(0),
            "You return the share of noise, 1 - alpha_bar. alpha_bar is what is left of the signal: for betas 0.1, "
            "0.2, 0.3 it is {right}; yours is {wrong}.",
            (BETAS,),
        ),
    ),
)

by_hand = HandNumber(
    "01.by_hand",
    values=lambda draw: {f"beta_{t}": round(draw.integer(2, 9) * 0.05 + t * 0.01, 2) for t in (1, 2, 3)},
    question="The first betas of a schedule are {beta_1}, {beta_2}, {beta_3}. What is alpha_bar_3? (Three decimals.)",
    answer=lambda beta_1, beta_2, beta_3: (1 - beta_1) * (1 - beta_2) * (1 - beta_3),
    mistakes=(
        (
            "the product of the betas",
            lambda beta_1, beta_2, beta_3: beta_1 * beta_2 * beta_3,
            "You multiplied the betas. Multiply what each step leaves, 1 - beta.",
        ),
        (
            "a sum for a product",
            lambda beta_1, beta_2, beta_3: 1 - beta_1 - beta_2 - beta_3,
            "You took the sum of the betas from 1. Each step takes its share of what is left.",
        ),
        (
            "one step too few",
            lambda beta_1, beta_2, beta_3: (1 - beta_1) * (1 - beta_2),
            "That is alpha_bar_2. The third step counts as well.",
        ),
        (
            "the square root",
            lambda beta_1, beta_2, beta_3: math.sqrt((1 - beta_1) * (1 - beta_2) * (1 - beta_3)),
            "That is its square root, the factor of the image.",
        ),
        (
            "the last alpha",
            lambda beta_1, beta_2, beta_3: 1 - beta_3,
            "That is alpha_3, of the third step alone. The bar means the product of all up to it.",
        ),
    ),
)

predict = Choice(
    "01.predict",
    question="You keep beta_start and beta_end and halve the number of steps, T = 500 for T = 1000. What happens to "
    "alpha_bar_T, the share of signal that is left at the end?",
    options={
        "A": "It stays the same: both schedules end with the same beta.",
        "B": "It halves.",
        "C": "It becomes roughly its own square root: more signal is left.",
        "D": "It becomes roughly its own square: less signal is left.",
    },
    right="C",
    replies={
        "A": "The last beta is the same, but alpha_bar is a product over all steps, and half of the factors are gone.",
        "B": "Fewer factors below 1 make a product larger, not smaller.",
        "C": "log alpha_bar_T is a sum over the steps, about -T times the mean beta. Half the steps, half the sum: the "
        "square root.",
        "D": "That is what twice as many steps would do.",
    },
)

QUESTIONS = (linear_betas, alpha_bars, by_hand, predict)
