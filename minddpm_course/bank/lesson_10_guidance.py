"""Lesson 10: ask for a kind of image, and how strongly."""

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
from minddpm_course.bank.inputs import pixel
from minddpm_course.pictures import curve


def guide(unconditional, conditional, scale):
    return unconditional + scale * (conditional - unconditional)


def guidance_cases(draw: Inputs):
    for what, shape, scale in (
        ("beyond the label", (3, 1, 4, 5), draw.decimal(2.2, 8.0)),
        ("scale 0, no label", (2, 1, 4, 4), 0.0),
        ("scale 1, the label and no more", (1, 1, 5, 5), 1.0),
        ("between", (4, 1, 4, 4), draw.decimal(0.2, 0.8)),
        ("a whole number", (2, 1, 3, 3), draw.integer(3, 7)),
    ):
        yield Case(what, (draw.normal(*shape), draw.normal(*shape), scale))
    unconditional, conditional = draw.normal(2, 2, 1, 3, 3).double()
    yield Case("float64", (unconditional, conditional, draw.decimal(2.2, 8.0)))


THREE = (pixel(0.2), pixel(0.5), 3.0)
AT_THREE = "for 0.2 unconditional, 0.5 conditional and scale 3 it is {right}; yours is {wrong}."
ZERO = (pixel(0.2), pixel(0.5), 0.0)
ONE = (pixel(0.2), pixel(0.5), 1.0)
AT_ZERO = "for 0.2 unconditional, 0.5 conditional and scale 0 it is {right}; yours is {wrong}."
AT_ONE = "for 0.2 unconditional, 0.5 conditional and scale 1 it is {right}; yours is {wrong}."

guided_noise = Exercise(
    "10.guided_noise",
    arguments=("unconditional", "conditional", "scale"),
    returns="the guided noise, the shape of unconditional",
    reference=guide,
    cases=guidance_cases,
    formula=Formula(
        ("unconditional + scale * (conditional - unconditional)",),
        otherwise=Formula(("scale * conditional + (1 - scale) * unconditional",)),
    ),
    points=3,
    mistakes=(
        Mistake(
            "the paper's scale",
            lambda u, c, scale: (1 + scale) * c - scale * u,
            "Your scale is the w of Ho & Salimans, which is 0 for the plain conditional"
            f" prediction. Here scale = w + 1, which is 1 there: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "1 is subtracted from the scale",
            lambda u, c, scale: guide(u, c, scale - 1),
            "You subtract 1 from the scale and then start at the unconditional prediction. From"
            f" there the scale counts in full: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "the predictions are swapped",
            lambda u, c, scale: guide(c, u, scale),
            "You start at the conditional prediction and go to the unconditional one. Scales above"
            f" 1 then lead away from the label: {AT_THREE}",
            THREE,
        ),
        Mistake(
            "away from the label",
            lambda u, c, scale: guide(u, c, -scale),
            f"Your difference has the wrong sign. It is conditional - unconditional: {AT_THREE}",
            THREE,
        ),
        Mistake(
            "the difference alone",
            lambda u, c, scale: scale * (c - u),
            "You return the scaled difference. It is what the label adds, on top of the"
            f" unconditional prediction: {AT_ZERO}",
            ZERO,
        ),
        Mistake(
            "the sum",
            lambda u, c, scale: u + scale * c,
            "You add the scaled conditional prediction itself. Then scale 1 counts the noise"
            f" twice. Scale the difference: {AT_ONE}",
            ONE,
        ),
        Mistake(
            "the conditional alone",
            lambda u, c, scale: scale * c,
            "You scale the conditional prediction itself. Above scale 1 that removes more noise"
            f" than there is. Scale the change that the label makes: {AT_THREE}",
            THREE,
        ),
        Mistake(
            "no further than the label",
            lambda u, c, scale: guide(u, c, min(scale, 1)),
            f"You stop at the conditional prediction. A scale above 1 goes beyond it: {AT_THREE}",
            THREE,
        ),
    ),
    hints=(
        "The two predictions are two points on a line. The scale says how far to go from the"
        " first towards the second, and it may lead beyond it.",
        'The formula is step 4, "From scores to noise", in lesson 10, with s for the scale. What'
        " the label changes is the difference of the two predictions, and only that is scaled.",
        "Find the change first: the prediction with the label less the one without it. Start"
        " from the prediction without the label, and add the change as often as the scale says."
        " Scale 1 must give back the prediction with the label.",
    ),
    after=(
        "By Bayes' rule the difference of the two scores is the push that a perfect classifier"
        " of noisy images would give. Scores and noises differ by one common factor, so it can be"
        " taken from two predictions, without a classifier. Beyond scale 1 the push is"
        " exaggerated: samples fit the label better and vary less."
    ),
)

by_hand = HandNumber(
    "10.by_hand",
    values=lambda draw: {
        "unconditional": draw.integer(-95, 95) / 100,
        "conditional": draw.integer(-95, 95) / 100,
        "scale": draw.integer(205, 795) / 100,
    },
    question=(
        "For one pixel the network predicts the noise {unconditional} without a label and"
        " {conditional} with it. What is the guided noise at scale {scale}? (All four decimals;"
        " scale 1 is the plain conditional prediction.)"
    ),
    answer=guide,
    mistakes=(
        (
            "the paper's scale",
            lambda unconditional, conditional, scale: guide(unconditional, conditional, scale + 1),
            (
                "You used the scale as the w of Ho & Salimans, where 0 is the plain prediction."
                " Here 1 is, and the scale is w + 1: take one difference less."
            ),
        ),
        (
            "the predictions are swapped",
            lambda unconditional, conditional, scale: guide(conditional, unconditional, scale),
            (
                "You started at the prediction with the label and moved to the one without. Start"
                " at the one without the label."
            ),
        ),
        (
            "the difference alone",
            lambda unconditional, conditional, scale: scale * (conditional - unconditional),
            (
                "You scaled the difference and stopped. That is what guidance adds: add it to the"
                " prediction without the label."
            ),
        ),
        (
            "the sum",
            lambda unconditional, conditional, scale: unconditional + scale * conditional,
            (
                "You added the scaled prediction with the label. What is scaled is the difference"
                " of the two predictions."
            ),
        ),
    ),
    bounds=Bounds(
        lambda unconditional, conditional, scale: (
            conditional if conditional > unconditional else -math.inf
        ),
        lambda unconditional, conditional, scale: (
            conditional if conditional < unconditional else math.inf
        ),
        "with a scale above 1 the result lies beyond the prediction with the label, seen from the"
        " one without",
    ),
    decimals=5,
)

calls = HandNumber(
    "10.calls",
    values=lambda draw: {"images": draw.integer(101, 2999), "steps": draw.integer(11, 250)},
    question=(
        "You draw {images} digits with {steps} DDIM steps at scale 3, each with its own label. How"
        " many images does the network process in total? (An image that it processes twice"
        " counts twice.)"
    ),
    answer=lambda images, steps: 2 * images * steps,
    mistakes=(
        (
            "called once a step",
            lambda images, steps: images * steps,
            (
                "That is the count at scale 1. Beyond it, each step needs the prediction with the"
                " label and without."
            ),
        ),
        (
            "once for each class",
            lambda images, steps: 10 * images * steps,
            (
                "You counted every image ten times, once a label. The network is given one label"
                " for each image, the one you want: count that, and the prediction without one."
            ),
        ),
        (
            "the calls of the network",
            lambda images, steps: 2 * steps,
            (
                "You counted the calls of the network. The question counts images, and each call"
                " is given all of them: multiply by their number."
            ),
        ),
        (
            "scale times",
            lambda images, steps: 3 * images * steps,
            (
                "You took the scale for a number of calls. It multiplies the difference of two"
                " predictions: count the predictions."
            ),
        ),
    ),
    bounds=Bounds(
        lambda images, steps: images * steps,
        lambda images, steps: math.inf,
        "every image goes through the network at least once a step",
    ),
)

predict = Choice(
    "10.predict",
    question=(
        "Half of the data lies around -1, the other half around +1, and the halves overlap. You ask"
        " for the half around +1, first with scale 1, then with scale 8. What becomes of the"
        " samples?"
    ),
    options={
        "A": "they stay around +1 and spread as before: only fewer stray",
        "B": "they move further than +1 and lie closer together",
        "C": "they move further than +1 and spread more widely",
        "D": "they gather halfway between the halves",
    },
    right="B",
    replies={
        "A": "Scale 1 already draws that half as it is. A larger scale draws another distribution.",
        "B": "They go to where the other half is least likely, and the part near it is empty.",
        "C": (
            "The push is strongest on points near the other half, and weak on those far from it:"
            " they close up."
        ),
        "D": "The push points away from the other half, not to it.",
    },
)


def sharpened(x, mean, other, var, scale):
    share = torch.sigmoid(
        (mean - other) * (x - (mean + other) / 2) / var
    )  # of the wanted cloud, at x
    density = torch.exp(-((x - mean) ** 2) / (2 * var)) * share ** (scale - 1)
    return density / (density.sum() * (x[1] - x[0]))


STRETCH = Stretch(
    "10.stretch",
    ("x", "mean", "other", "var", "scale"),
    "the sharpened density on the grid x, normalised, shape (n,)",
    sharpened,
    Picture(
        (torch.linspace(-4, 4, 401, dtype=torch.float64), 1.0, -1.0, 0.64, 8.0),
        curve("x", "density", -4.0, 0.02),
    ),
)

catch_the_bug = BugHunt(
    "10.catch_the_bug",
    guided_noise,
    right=(
        Variant("weights the two predictions", lambda u, c, scale: scale * c + (1 - scale) * u),
        Variant("starts from the conditional one", lambda u, c, scale: c + (scale - 1) * (c - u)),
        Variant(
            "works in float64",
            lambda u, c, scale: guide(u.double(), c.double(), scale).to(u.dtype),
        ),
    ),
    wrong=(
        Variant("the label is ignored", lambda u, c, scale: u.clone(), THREE),
        Variant(
            "the result is clipped to [-1, 1]",
            lambda u, c, scale: guide(u, c, scale).clamp(-1, 1),
            THREE,
        ),
    ),
)

QUESTIONS = (guided_noise, by_hand, calls, predict, catch_the_bug)
