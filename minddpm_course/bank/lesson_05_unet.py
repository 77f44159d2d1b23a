"""Lesson 05: the parts of the U-Net that are easily built wrong."""

from __future__ import annotations

import torch

from marking.exercise import (
    Case,
    Choice,
    Exercise,
    Formula,
    HandNumber,
    Inputs,
    Mistake,
    Picture,
    Stretch,
)
from minddpm_course.pictures import curve, heat_map


def waves(t, dim):
    """The angles of the embedding, (b, dim/2)."""
    return t[:, None] * 10_000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))


def both(angle):
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def embedding(t, dim):
    return both(waves(t, dim))


def rising(t, dim):
    whole = (
        t.float() if bool((t == t.round()).all()) else t
    )  # float32 rounds such large angles, as in an answer
    return both(whole[:, None] * 10_000.0 ** (torch.arange(dim // 2) / (dim // 2)))


def time_cases(draw: Inputs):
    for what, b, dim in (
        ("a few times", 4, 8),
        ("one time", 1, 16),
        ("as many times as entries", 6, 6),
    ):
        yield Case(what, (torch.tensor([float(draw.integer(1, 1000)) for _ in range(b)]), dim))
    yield Case("t = 0, t = 1 and t = 1000", (torch.tensor([0.0, 1.0, 1000.0]), 32))
    yield Case("float64, fractions", (draw.uniform(1.0, 100.0, 3).double(), 10))


TIME = (torch.tensor([100.0], dtype=torch.float64), 4)
AT_TIME = "for t = 100 and dim = 4 it is {right}; yours is {wrong}."

timestep_embedding = Exercise(
    "05.timestep_embedding",
    arguments=("t", "dim"),
    returns="one embedding for each time: all sines, then all cosines, shape (b, dim)",
    reference=embedding,
    cases=time_cases,
    formula=Formula(
        ("cat(sin(angle), cos(angle), 1)",),
        {"i": "arange(dim / 2)", "angle": "outer(t, 10000 ** (-i / (dim / 2)))"},
    ),
    picture=Picture((torch.arange(1.0, 101.0), 32), heat_map("entry", "time t")),
    points=3,
    tolerance=1e-3,
    mistakes=(
        Mistake(
            "sines and cosines alternate",
            lambda t, dim: torch.stack([waves(t, dim).sin(), waves(t, dim).cos()], dim=2).flatten(
                1
            ),
            "Your sines and cosines alternate. Here all sines come first, then all cosines:"
            f" {AT_TIME}",
            TIME,
        ),
        Mistake(
            "cosines first",
            lambda t, dim: torch.cat([waves(t, dim).cos(), waves(t, dim).sin()], dim=1),
            f"Your cosines come first. Here the sines do: {AT_TIME}",
            TIME,
        ),
        Mistake(
            "one less in the exponent",
            lambda t, dim: both(
                t[:, None] * 10_000.0 ** (-torch.arange(dim // 2) / (dim // 2 - 1))
            ),
            "You divide i by dim/2 - 1, as some codes do, so that the slowest frequency is exactly"
            f" 1/10000. Here it is dim/2: {AT_TIME}",
            TIME,
        ),
        Mistake(
            "dim instead of half of it",
            lambda t, dim: both(t[:, None] * 10_000.0 ** (-torch.arange(dim // 2) / dim)),
            f"You divide i by dim. There are dim/2 frequencies, so divide by dim/2: {AT_TIME}",
            TIME,
        ),
        Mistake(
            "frequencies that rise",
            rising,
            f"Your exponent lacks its minus: the waves should get slower from 1 down: {AT_TIME}",
            TIME,
        ),
        Mistake(
            "twice i in the exponent",
            lambda t, dim: both(
                t[:, None] * 10_000.0 ** (-2 * torch.arange(dim // 2) / (dim // 2))
            ),
            f"You use 2 i over dim/2. It is 2 i over dim, which is i over dim/2: {AT_TIME}",
            TIME,
        ),
        Mistake(
            "the time counts from 0",
            lambda t, dim: embedding(t - 1, dim),
            f"You embed t - 1. The network of this course is given t itself: {AT_TIME}",
            TIME,
        ),
    ),
)


def feature_cases(draw: Inputs):
    shapes = (
        ("a batch", (3, 5, 4, 6)),
        ("a batch of one", (1, 4, 3, 3)),
        ("batch and height equal, channels and width equal", (4, 6, 4, 6)),
        ("all sides equal", (3, 3, 3, 3)),
    )
    for what, shape in shapes:
        yield Case(what, (draw.normal(*shape), draw.normal(*shape[:2])))
    yield Case("float64", (draw.normal(2, 3, 2, 2).double(), draw.normal(2, 3).double()))


MAPS = (
    torch.zeros(2, 2, 1, 2, dtype=torch.float64),
    torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64),
)
AT_MAPS = (
    "two empty 1 x 2 maps for each of two images, with features [1, 2] and [3, 4], become {right};"
    " yours {wrong}."
)
FULL = (
    torch.full((1, 2, 1, 2), 0.5, dtype=torch.float64),
    torch.tensor([[1.0, 2.0]], dtype=torch.float64),
)
AT_FULL = "two maps of 0.5 everywhere, with features 1 and 2, become {right}; yours {wrong}."

add_time = Exercise(
    "05.add_time",
    arguments=("h", "time_features"),
    returns="each channel with its own number added at every place, the shape of h",
    reference=lambda h, f: h + f[:, :, None, None],
    cases=feature_cases,
    formula=Formula(("h + time_features",)),
    mistakes=(
        Mistake(
            "added along the last axes",
            lambda h, f: h + f,
            "Your features are added along the last two axes, the places of the map, because shapes"
            f" are matched from the right. Give them the shape (b, c, 1, 1): {AT_MAPS}",
            MAPS,
        ),
        Mistake(
            "multiplied instead of added",
            lambda h, f: h * f[:, :, None, None],
            f"You multiply. The time is added to each channel: {AT_FULL}",
            FULL,
        ),
        Mistake(
            "scaled by one plus the features",
            lambda h, f: h * (1 + f[:, :, None, None]),
            f"You scale by 1 + the features, as some networks do. Here they are added: {AT_FULL}",
            FULL,
        ),
        Mistake(
            "the first image's time for all",
            lambda h, f: h + f[:1, :, None, None],
            "You add the first image's features to the whole batch. Each image has its own time:"
            f" {AT_MAPS}",
            MAPS,
        ),
        Mistake(
            "the mean over the batch",
            lambda h, f: h + f.mean(0, keepdim=True)[:, :, None, None],
            f"You average the features over the batch. Each image has its own time: {AT_MAPS}",
            MAPS,
        ),
        Mistake(
            "one number for all channels",
            lambda h, f: h + f.mean(1)[:, None, None, None],
            f"You add one number to all channels. Each channel has its own: {AT_MAPS}",
            MAPS,
        ),
    ),
)


def skip_cases(draw: Inputs):
    for what, b, c_1, c_2, h, w in (
        ("different numbers of channels", 3, 5, 2, 4, 6),
        ("equal numbers of channels", 2, 4, 4, 3, 5),
        ("a batch of one", 1, 3, 4, 4, 4),
        ("all sides equal", 3, 3, 3, 3, 3),
    ):
        yield Case(what, (draw.normal(b, c_1, h, w), draw.normal(b, c_2, h, w)))
    yield Case("float64", (draw.normal(2, 2, 2, 2).double(), draw.normal(2, 3, 2, 2).double()))


HALVES = (
    torch.full((1, 2, 1, 1), 1.0, dtype=torch.float64),
    torch.full((1, 2, 1, 1), 2.0, dtype=torch.float64),
)
AT_HALVES = "two channels of 1 in h and two channels of 2 in skip become {right}; yours {wrong}."

join_skip = Exercise(
    "05.join_skip",
    arguments=("h", "skip"),
    returns="both side by side as channels, h first, shape (b, c1 + c2, h, w)",
    reference=lambda h, skip: torch.cat([h, skip], dim=1),
    cases=skip_cases,
    formula=Formula(("cat(h, skip, 1)",)),
    tolerance=1e-6,
    mistakes=(
        Mistake(
            "skip first",
            lambda h, skip: torch.cat([skip, h], dim=1),
            "You put skip first. The shapes fit, but weights trained the other way read the wrong"
            " half: " + AT_HALVES,
            HALVES,
        ),
        Mistake(
            "added instead of joined",
            lambda h, skip: h + skip,
            "You add the maps. A skip of a U-Net puts them side by side, so that nothing is mixed"
            f" yet: {AT_HALVES}",
            HALVES,
        ),
        Mistake(
            "joined along the batch",
            lambda h, skip: torch.cat([h, skip], dim=0),
            "You join along the batch: that makes more images, not more channels. Channels are"
            f" axis 1: {AT_HALVES}",
            HALVES,
        ),
        Mistake(
            "joined along the height",
            lambda h, skip: torch.cat([h, skip], dim=2),
            f"You join along the height: that makes taller maps. Channels are axis 1: {AT_HALVES}",
            HALVES,
        ),
        Mistake(
            "joined along the width",
            lambda h, skip: torch.cat([h, skip], dim=3),
            f"You join along the width: that makes wider maps. Channels are axis 1: {AT_HALVES}",
            HALVES,
        ),
        Mistake(
            "channels alternate",
            lambda h, skip: torch.stack([h, skip], dim=2).flatten(1, 2),
            f"Your channels alternate. All of h come first, then all of skip: {AT_HALVES}",
            HALVES,
        ),
    ),
)

by_hand = HandNumber(
    "05.by_hand",
    values=lambda draw: {"c": 8 * draw.integer(2, 9), "k": 8 * draw.integer(2, 9) + 4},
    question=(
        "How many numbers does a 3 x 3 convolution learn that takes {c} channels to {k}, biases"
        " included?"
    ),
    answer=lambda c, k: (9 * c + 1) * k,
    mistakes=(
        (
            "no biases",
            lambda c, k: 9 * c * k,
            "You left out the biases, one for each output channel.",
        ),
        (
            "one bias for all",
            lambda c, k: 9 * c * k + 1,
            "Each output channel has a bias of its own.",
        ),
        (
            "biases of the input",
            lambda c, k: 9 * c * k + c,
            "The biases belong to the output channels.",
        ),
        (
            "one set of weights for all inputs",
            lambda c, k: 10 * k,
            "Each pair of channels has 9 weights of its own.",
        ),
        ("three instead of nine", lambda c, k: (3 * c + 1) * k, "A 3 x 3 patch has 9 places."),
    ),
)

predict = Choice(
    "05.predict",
    question=(
        "A fresh U-Net whose last layer starts at zero has to predict standard normal noise. What"
        " is its first loss, the mean squared error?"
    ),
    options={
        "A": "about 0",
        "B": "about 1/3",
        "C": "about 1",
        "D": "one cannot know: its weights are random",
    },
    right="C",
    replies={
        "A": "It predicts 0, and the noise is not 0.",
        "B": (
            "That is the mean square of numbers drawn uniformly from [0, 1]. Noise here is standard"
            " normal."
        ),
        "C": "It predicts 0, so its loss is the mean square of the noise, the variance 1.",
        "D": "They are random, but the last layer turns any input into 0.",
    },
)


def likeness(dim):
    t = torch.arange(1, 1001, dtype=torch.float64)
    angle = t[:, None] * 10_000.0 ** (-torch.arange(dim // 2) / (dim // 2))
    waves = torch.cat([angle.sin(), angle.cos()], dim=1)
    return waves @ waves[499] / (dim // 2)


STRETCH = Stretch(
    "05.stretch",
    ("dim",),
    "the likeness of the embedding of t = 500 to those of t = 1 to 1000: inner product over dim/2,"
    " shape (1000,)",
    likeness,
    Picture((64,), curve("time t", "likeness")),
)

QUESTIONS = (timestep_embedding, add_time, join_skip, by_hand, predict)
