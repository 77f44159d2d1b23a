"""Lesson 09: the step that draws nothing, and may be long."""

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
from minddpm_course.bank.inputs import pixel
from minddpm_course.pictures import curve


def clean(x_t, predicted, a):
    return (x_t - (1 - a) ** 0.5 * predicted) / a**0.5


def down(x_t, predicted, a, before):
    return before**0.5 * clean(x_t, predicted, a) + (1 - before) ** 0.5 * predicted


def ancestral_mean(x_t, predicted, a, before):
    alpha = a / before
    return (x_t - (1 - alpha) / (1 - a) ** 0.5 * predicted) / alpha**0.5


def ddim_step_cases(draw: Inputs):
    for what, shape, a, before in (
        ("a short step", (3, 1, 4, 5), draw.decimal(0.4, 0.5), draw.decimal(0.55, 0.65)),
        ("the last step, onto the clean image", (2, 1, 4, 4), draw.decimal(0.7, 0.9), 1.0),
        (
            "a long step, out of much noise",
            (1, 1, 5, 5),
            draw.decimal(0.02, 0.05),
            draw.decimal(0.5, 0.8),
        ),
        ("out of much noise onto the clean image", (4, 1, 3, 3), draw.decimal(0.02, 0.05), 1.0),
    ):
        yield Case(what, (draw.normal(*shape), draw.normal(*shape), a, before))
    x_t, predicted = draw.normal(2, 2, 1, 3, 3).double()
    yield Case("float64", (x_t, predicted, draw.decimal(0.2, 0.4), draw.decimal(0.5, 0.9)))


STEP = (pixel(0.9), pixel(-0.6), 0.36, 0.64)
AT_STEP = (
    "for x_t = 0.9, predicted noise -0.6, alpha_bar_t = 0.36 and alpha_bar_prev = 0.64 it is"
    " {right}; " + "yours is {wrong}."
)
LAST = (pixel(0.9), pixel(-0.6), 0.36, 1.0)
AT_LAST = (
    "for x_t = 0.9, predicted noise -0.6, alpha_bar_t = 0.36 and alpha_bar_prev = 1 it is {right}; "
    + "yours is {wrong}."
)

ddim_step = Exercise(
    "09.ddim_step",
    arguments=("x_t", "predicted_noise", "alpha_bar_t", "alpha_bar_prev"),
    returns="the image at the level alpha_bar_prev, the shape of x_t",
    reference=down,
    cases=ddim_step_cases,
    formula=Formula(
        ("sqrt(alpha_bar_prev) * x_0 + sqrt(1 - alpha_bar_prev) * predicted_noise",),
        {"x_0": "(x_t - sqrt(1 - alpha_bar_t) * predicted_noise) / sqrt(alpha_bar_t)"},
        otherwise=Formula(
            ("growth * x_t + change * predicted_noise",),
            {
                "growth": "sqrt(alpha_bar_prev / alpha_bar_t)",
                "change": "sqrt(1 - alpha_bar_prev) - growth * sqrt(1 - alpha_bar_t)",
            },
        ),
    ),
    points=4,
    mistakes=(
        Mistake(
            "the levels are swapped",
            lambda x_t, predicted, a, before: (
                a**0.5 * (x_t - (1 - before) ** 0.5 * predicted) / before**0.5
                + (1 - a) ** 0.5 * predicted
            ),
            "You use alpha_bar_t in place of alpha_bar_prev and vice versa. That step leads up,"
            f" into more noise: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the estimate is clipped",
            lambda x_t, predicted, a, before: (
                before**0.5 * clean(x_t, predicted, a).clamp(-1, 1)
                + (1 - before) ** 0.5 * predicted
            ),
            "You clip the estimate of x_0 to [-1, 1]. Samplers may, but this step does not:"
            f" {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the mean of the ancestral step",
            ancestral_mean,
            "You return the mean of lesson 06. It removes more noise than this step, and relies on"
            f" fresh noise to make up for it: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "as much noise as before",
            lambda x_t, predicted, a, before: (
                before**0.5 * clean(x_t, predicted, a) + (1 - a) ** 0.5 * predicted
            ),
            "You put back as much noise as x_t had. At the earlier level there is less, and none"
            f" on the clean image: {AT_LAST}",
            LAST,
        ),
        Mistake(
            "the old share of signal",
            lambda x_t, predicted, a, before: (
                a**0.5 * clean(x_t, predicted, a) + (1 - before) ** 0.5 * predicted
            ),
            "You scale the estimate by sqrt(alpha_bar_t), as x_t contains it. At the earlier level"
            f" it is stronger: {AT_LAST}",
            LAST,
        ),
        Mistake(
            "no noise is put back",
            lambda x_t, predicted, a, before: before**0.5 * clean(x_t, predicted, a),
            "You leave the noise out. Without sqrt(1 - alpha_bar_prev) of it the image is cleaner"
            f" than its level says: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the clean image",
            lambda x_t, predicted, a, before: clean(x_t, predicted, a),
            f"You return the estimate of x_0. Noise it again, to the earlier level: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "variance instead of standard deviation",
            lambda x_t, predicted, a, before: (
                before**0.5 * clean(x_t, predicted, a) + (1 - before) * predicted
            ),
            f"You scale the noise by 1 - alpha_bar_prev, a variance. Take its root: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the estimate is not scaled back",
            lambda x_t, predicted, a, before: (
                before**0.5 * (x_t - (1 - a) ** 0.5 * predicted) + (1 - before) ** 0.5 * predicted
            ),
            "What is left of x_t without its noise is sqrt(alpha_bar_t) x_0. You did not divide by"
            f" that root: {AT_STEP}",
            STEP,
        ),
    ),
    hints=(
        "Take the network at its word: this is the noise. Which clean image then lies under x_t,"
        " and what does it look like at the new level with that same noise?",
        'Two formulas of lesson 02 do it: "The jump turned round" with alpha_bar_t, and then the'
        " jump itself with alpha_bar_prev. Lesson 09 has both in one line, in step 4, where"
        " sigma_t is 0 for you.",
        "First estimate x_0 as in recover_x0, with alpha_bar_t. Then noise it as in"
        " forward_diffusion, with alpha_bar_prev and with the predicted noise in place of fresh"
        " noise. The levels are plain numbers: ** 0.5 takes a root, and nothing is reshaped.",
    ),
    after=(
        "Training only ever used the jump to a level, so any step whose result has the right"
        " level fits the trained network. This one draws nothing, so x_T alone decides which"
        " image comes out. It needs no more than the two levels, so it may leave out times in"
        " between."
    ),
)


def walk(steps: int, length: int) -> dict[str, int]:
    """The times of a network, and how many steps of one length lead through them."""
    return {"T": steps * length, "steps": steps}


by_hand = HandNumber(
    "09.by_hand",
    values=lambda draw: {
        "x_t": draw.integer(30, 95) / 100,
        "predicted": draw.integer(20, 75) / 100,
        "a": draw.integer(200, 450) / 1000,
        "before": draw.integer(550, 900) / 1000,
    },
    question=(
        "At alpha_bar_t = {a} a pixel is {x_t}, and the network predicts the noise {predicted}. One"
        " DDIM step (eta = 0) leads to the level alpha_bar_prev = {before}. What is the pixel then?"
        " (Do not clip; estimate x_0 first. Five decimals, rounded only at the end.)"
    ),
    answer=down,
    mistakes=(
        (
            "the clean image",
            lambda x_t, predicted, a, before: clean(x_t, predicted, a),
            (
                "You went all the way to the estimate of x_0. The step ends at alpha_bar_prev:"
                " scale the estimate, and put some noise back."
            ),
        ),
        (
            "no noise is put back",
            lambda x_t, predicted, a, before: before**0.5 * clean(x_t, predicted, a),
            (
                "You scaled the estimate. Now put sqrt(1 - alpha_bar_prev) of the predicted noise"
                " back."
            ),
        ),
        (
            "as much noise as before",
            lambda x_t, predicted, a, before: (
                before**0.5 * clean(x_t, predicted, a) + (1 - a) ** 0.5 * predicted
            ),
            (
                "You put back as much noise as x_t had. At the earlier level it is sqrt(1 -"
                " alpha_bar_prev)."
            ),
        ),
        (
            "variance instead of standard deviation",
            lambda x_t, predicted, a, before: (
                before**0.5 * clean(x_t, predicted, a) + (1 - before) * predicted
            ),
            (
                "You scaled the noise by its variance, 1 - alpha_bar_prev. Scale it by the"
                " standard deviation, the root of that."
            ),
        ),
        (
            "the mean of the ancestral step",
            ancestral_mean,
            (
                "That is the mean of the step of lesson 06, which adds fresh noise. DDIM adds"
                " none: put the predicted noise back instead, times sqrt(1 - alpha_bar_prev)."
            ),
        ),
    ),
    decimals=5,
)

times = HandNumber(
    "09.times",
    values=lambda draw: walk(draw.integer(10, 100), draw.integer(20, 800)),
    question=(
        "You draw with DDIM in {steps} steps from a network that was trained with T = {T} times,"
        " spaced as in the lesson. What is the sum of the times that the network is given? (They go"
        " down from T in equal steps; t counts from 1.)"
    ),
    answer=lambda T, steps: T * (steps + 1) // 2,
    mistakes=(
        (
            "the times at which the steps end",
            lambda T, steps: T * (steps - 1) // 2,
            (
                "You added up the times at which the steps end, the last of which is 0. There the"
                " image is clean, and the network is not called any more: add up the times at which"
                " the steps begin, from T on."
            ),
        ),
        (
            "counted from 0",
            lambda T, steps: T * (steps + 1) // 2 - steps,
            (
                "You counted the times from 0, as some libraries do, so that each is too small by"
                " 1. In this course t counts from 1: add the number of steps."
            ),
        ),
        (
            "from 1 up",
            lambda T, steps: T * (steps - 1) // 2 + steps,
            (
                "You counted up from t = 1, which is called leading spacing, and stopped a step"
                " short of T. Here the first time is T, and the last is the length of a step."
            ),
        ),
        (
            "every time from T down",
            lambda T, steps: T * (T + 1) // 2,
            (
                "You added up all times from T to 1, those of the ancestral sampler. DDIM leaves"
                " most of them out: the length of a step is T divided by the number of steps."
            ),
        ),
        (
            "the last time alone",
            lambda T, steps: T // steps,
            (
                "That is the last time alone, the length of a step. The question asks for the sum"
                " of all of them: it is the first of them, and each other is a multiple of it."
            ),
        ),
    ),
    bounds=Bounds(
        lambda T, steps: T,
        lambda T, steps: T * steps,
        "the first time is T, and none of the others is larger",
    ),
)

predict = Choice(
    "09.predict",
    question=(
        "The data is two pictures, each as likely as the other, and the network is perfect. You"
        " draw from pure noise at t = T with a single DDIM step, straight to the clean image. What"
        " do you see?"
    ),
    options={
        "A": "one of the two pictures, sharp",
        "B": "about the average of the two pictures",
        "C": "one of the two pictures, under a grain of noise",
        "D": "noise, as at the start",
    },
    right="B",
    replies={
        "A": (
            "At t = T the noise hardly says which picture it will be. That is decided in the steps"
            " in between."
        ),
        "B": "The estimate of x_0 is an average over all images that could be under the noise.",
        "C": "The last step leaves no grain: it puts sqrt(1 - 1) = 0 of the noise back.",
        "D": (
            "The step removes the predicted noise, and at t = T a perfect prediction is nearly all"
            " of x_t."
        ),
    },
)


def path(alpha_bars, s, x_T):
    values = [x_T]
    for a, before in zip(alpha_bars[1:].flip(0), alpha_bars[:-1].flip(0)):
        variance = a * s**2 + 1 - a  # of x_t; the step multiplies x_t by a covariance over it
        shared = (a * before).sqrt() * s**2 + ((1 - a) * (1 - before)).sqrt()
        values.append(values[-1] * float(shared / variance))
    return torch.tensor(values, dtype=torch.float64)


STRETCH = Stretch(
    "09.stretch",
    ("alpha_bars", "s", "x_T"),
    "x at t = T, T - 1, ..., 0, shape (T + 1,): DDIM steps from x_T for data N(0, s^2) and the"
    " perfect network",
    path,
    Picture(
        (torch.linspace(1, 0.01, 21, dtype=torch.float64), 0.3, 1.5), curve("steps taken", "x", 0.0)
    ),
)


def by_ratio(x_t, predicted, a, before):
    growth = (before / a) ** 0.5
    return growth * x_t + ((1 - before) ** 0.5 - growth * (1 - a) ** 0.5) * predicted


catch_the_bug = BugHunt(
    "09.catch_the_bug",
    ddim_step,
    right=(
        Variant("scales x_t and corrects the noise", by_ratio),
        Variant(
            "works in float64",
            lambda x_t, predicted, a, before: down(x_t.double(), predicted.double(), a, before).to(
                x_t.dtype
            ),
        ),
        Variant(
            "takes the images one by one",
            lambda x_t, predicted, a, before: torch.stack(
                [down(x, e, a, before) for x, e in zip(x_t, predicted)]
            ),
        ),
    ),
    wrong=(
        Variant(
            "the noise is put back with the wrong sign",
            lambda x_t, predicted, a, before: (
                before**0.5 * clean(x_t, predicted, a) - (1 - before) ** 0.5 * predicted
            ),
            STEP,
        ),
        Variant("nothing happens", lambda x_t, predicted, a, before: x_t.clone(), STEP),
    ),
)

QUESTIONS = (ddim_step, by_hand, times, predict, catch_the_bug)
