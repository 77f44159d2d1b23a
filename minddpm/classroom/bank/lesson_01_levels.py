"""Lesson 01: reading a schedule."""

from __future__ import annotations

import torch

from minddpm.classroom.exercise import Case, Exercise, Inputs, Mistake

LEVELS = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)


def level_cases(draw: Inputs):
    yield Case("a few levels", (draw.uniform(0.05, 0.95, draw.integer(3, 7)),))
    yield Case("one level", (draw.uniform(0.6, 0.9, 1),))
    yield Case("almost clean, and almost noise", (torch.tensor([0.99, 0.75, 4e-5]),))
    yield Case("float64", (draw.uniform(0.05, 0.95, 5).double(),))


snr = Exercise(
    "01.snr",
    arguments=("alpha_bar",),
    gives="signal power over noise power at each level, shape (n,)",
    reference=lambda alpha_bar: alpha_bar / (1 - alpha_bar),
    cases=level_cases,
    mistakes=(
        Mistake(
            "amplitudes rather than powers",
            lambda alpha_bar: (alpha_bar / (1 - alpha_bar)).sqrt(),
            "You divide the amplitudes, sqrt(alpha_bar) and sqrt(1 - alpha_bar). Power is the square of amplitude: at "
            "alpha_bar 0.9, 0.5, 0.2 the ratio is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "upside down",
            lambda alpha_bar: (1 - alpha_bar) / alpha_bar,
            "You divide noise by signal. The ratio must be large where there is little noise: at alpha_bar 0.9, 0.5, "
            "0.2 it is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "the signal alone",
            lambda alpha_bar: alpha_bar,
            "You return the signal's power and do not divide by the noise's: at alpha_bar 0.9, 0.5, 0.2 the ratio is "
            "{right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "the logarithm",
            lambda alpha_bar: (alpha_bar / (1 - alpha_bar)).log(),
            "You return the logarithm of the ratio. Asked is the ratio itself: at alpha_bar 0.9, 0.5, 0.2 it is "
            "{right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "decibels",
            lambda alpha_bar: 10 * (alpha_bar / (1 - alpha_bar)).log10(),
            "You return decibels, ten times the logarithm. Asked is the ratio itself: at alpha_bar 0.9, 0.5, 0.2 it is "
            "{right}; yours is {wrong}.",
            (LEVELS,),
        ),
        Mistake(
            "signal over everything",
            lambda alpha_bar: alpha_bar / (alpha_bar.sqrt() + (1 - alpha_bar).sqrt()) ** 2,
            "You divide by the square of both amplitudes' sum. Below the line belongs the noise's power alone: at "
            "alpha_bar 0.9, 0.5, 0.2 the ratio is {right}; yours is {wrong}.",
            (LEVELS,),
        ),
    ),
)


def threshold_cases(draw: Inputs):
    levels = (1 - draw.betas(9)).cumprod(0)
    between = levels[3:5].mean().item()
    yield Case("the threshold lies between two levels", (levels, between))
    yield Case("it is reached at the first step", (levels, 0.9999))
    yield Case("it is reached at the last step", (levels, levels[-2:].mean().item()))
    powers = torch.tensor([0.5, 0.25, 0.125, 0.0625])  # exact in binary, so that equal means equal
    yield Case("a level equals the threshold", (powers, powers[draw.integer(0, 2)].item()))
    yield Case("the paper's schedule", ((1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(0), draw.number(0.1, 0.9)))


first_step_below = Exercise(
    "01.first_step_below",
    arguments=("alpha_bars", "threshold"),
    gives="an int, the first t (counted from 1) with alpha_bar_t < threshold",
    reference=lambda alpha_bars, threshold: int((alpha_bars < threshold).nonzero()[0]) + 1,
    cases=threshold_cases,
    mistakes=(
        Mistake(
            "counted from 0",
            lambda alpha_bars, threshold: int((alpha_bars < threshold).nonzero()[0]),
            "You return the index into the array, which counts from 0. The paper's t counts from 1: if already the "
            "first level is below the threshold, the answer is t = {right}; yours is {wrong}.",
            (LEVELS, 0.95),
        ),
        Mistake(
            "at or below",
            lambda alpha_bars, threshold: int((alpha_bars <= threshold).nonzero()[0]) + 1,
            "You also stop where the level equals the threshold. Below means less: for levels 0.9, 0.5, 0.2 and the "
            "threshold 0.5 the answer is {right}; yours is {wrong}.",
            (LEVELS, 0.5),
        ),
        Mistake(
            "how many are below",
            lambda alpha_bars, threshold: int((alpha_bars < threshold).sum()),
            "You count the steps below the threshold. Asked is the first of them: for levels 0.9, 0.5, 0.2 and the "
            "threshold 0.3 it is t = {right}; yours is {wrong}.",
            (LEVELS, 0.3),
        ),
        Mistake(
            "the last step below",
            lambda alpha_bars, threshold: int((alpha_bars < threshold).nonzero()[-1]) + 1,
            "You return the last step below the threshold, which is always T. Asked is the first: for levels 0.9, "
            "0.5, 0.2 and the threshold 0.6 it is t = {right}; yours is {wrong}.",
            (LEVELS, 0.6),
        ),
        Mistake(
            "the first step above",
            lambda alpha_bars, threshold: int((alpha_bars > threshold).int().argmax()) + 1,
            "Your comparison is turned round: you look for levels above the threshold. For levels 0.9, 0.5, 0.2 and "
            "the threshold 0.6 the answer is t = {right}; yours is {wrong}.",
            (LEVELS, 0.6),
        ),
    ),
)

QUESTIONS = (snr, first_step_below)
