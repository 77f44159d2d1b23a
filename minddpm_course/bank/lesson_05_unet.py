"""Lesson 05: the parts of the U-Net that are easily built wrong."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

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
from minddpm_course.bank.inputs import function
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
        otherwise=Formula(
            ("cat(sin(angle), cos(angle), 1)",),
            {"i": "arange(dim / 2)", "angle": "outer(t, 1 / 10000 ** (2 * i / dim))"},
            otherwise=Formula(
                ("cat(sin(angle), cos(angle), 1)",),
                {
                    "half": "dim / 2",
                    "i": "arange(half)",
                    "angle": "outer(t, exp(-log(10000) * i / half))",
                },
            ),
        ),
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
            "You divide i by dim/2 - 1, as some libraries do, so that the slowest frequency is"
            f" exactly 1/10000. Here the divisor is dim/2: {AT_TIME}",
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
            "Your exponent lacks its minus. The first frequency is 1, and the others are lower:"
            f" {AT_TIME}",
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
    hints=(
        "Think of dim / 2 clocks with one hand each, from fast to slow. The sine and the cosine"
        " of a hand's angle say where it stands.",
        'The formula for the speeds, omega_i, stands under "Why the time" in lesson 05, with d'
        " for dim and i from 0 to d/2 - 1. An angle is a speed times a time, and you need one for"
        " each pair of the two.",
        "For the speeds, count i from 0 with arange, divide by how many there are, change the"
        " sign, and raise 10000 to that. Give the times the shape (b, 1), so that times and"
        " speeds multiply to a table of angles. Then torch.cat joins the table's sines and"
        " cosines along axis 1.",
    ),
    after=(
        "Every entry lies between -1 and 1, and near times have similar rows: the inner product"
        " of two rows depends only on the distance of their times. Fast hands tell neighbours"
        " apart but come back to nearly the same place; slow ones tell apart times that are far"
        " from each other."
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
            "You add one number to all channels of an image, the mean of its features. Each"
            f" channel has its own: {AT_MAPS}",
            MAPS,
        ),
    ),
    hints=(
        "Each image and each channel has one number, and it is the same at every place of a map."
        " Which two axes of h does time_features lack?",
        'Look at the method forward of the residual block under "Rebuild it" in lesson 05; a'
        " comment there gives the shape (b, k, 1, 1). PyTorch matches shapes from the right, and"
        " stretches an axis of length 1 as far as needed.",
        "Put two axes of length 1 at the end of time_features: index it with two colons and two"
        " Nones, or reshape it. Then add it to h.",
    ),
    after=(
        "A number added to a channel shifts what the layers after it let through, so that a"
        " block works differently at each t. One number for each channel is enough, because the"
        " time is the same at every pixel."
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
    hints=(
        "No number changes: the maps of both are only laid side by side. Of the four axes, one"
        " grows and three stay.",
        'Lesson 05 says it above the U-Net, at "skip join": side by side as channels, the'
        " decoder's first. Channels are axis 1.",
        "torch.cat takes a list of tensors, and as dim the axis along which they are joined."
        " Your list has two entries, and h is the first.",
    ),
    after=(
        "The small maps in the middle cannot hold the noise of every pixel, so a skip brings the"
        " details of each size across. Laid side by side, nothing is mixed yet: the next"
        " convolution learns what to make of both. Which comes first is a convention, but trained"
        " weights depend on it."
    ),
)


def convolution(draw: Inputs, name: str, c: int, k: int, side: int = 3):
    """A convolution with random weights from c channels to k."""
    weight = draw.normal(k, c, side, side) / (c * side**2) ** 0.5
    call = f"F.conv2d(h, weight, bias, padding={side // 2})"
    return function(name, "h", call, weight=weight, bias=draw.normal(k) / 2)


def norm(draw: Inputs, name: str, c: int):
    """A group norm of one group, with random weights."""
    scale, shift = draw.uniform(0.5, 1.5, c), draw.normal(c) / 2
    return function(name, "h", "F.group_norm(h, 1, scale, shift)", scale=scale, shift=shift)


def block_parts(draw: Inputs, c: int, k: int, f: int):
    """The parts of a residual block from c channels to k, told the time by f features."""
    linear = {"weight": draw.normal(k, f), "bias": draw.normal(k) / 2}
    alike = function("shortcut", "x", "x")
    return (
        norm(draw, "norm_in", c),
        convolution(draw, "conv_in", c, k),
        function("time", "features", "F.linear(features, weight, bias)", **linear),
        norm(draw, "norm_out", k),
        convolution(draw, "conv_out", k, k),
        alike if c == k else convolution(draw, "shortcut", c, k, 1),
    )


def block_cases(draw: Inputs):
    for what, b, c, k, h, w in (
        ("as many channels as before", 2, 4, 4, 4, 5),
        ("more channels", 3, 2, 4, 4, 4),
        ("a batch of one", 1, 3, 2, 3, 5),
    ):
        yield Case(what, (draw.normal(b, c, h, w), draw.normal(b, 3), *block_parts(draw, c, k, 3)))
    parts = (*block_parts(draw, 3, 3, 3)[:-1], convolution(draw, "shortcut", 3, 3, 1))
    yield Case("a shortcut with weights", (draw.normal(2, 3, 3, 4), draw.normal(2, 3), *parts))


def block(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    h = conv_in(F.silu(norm_in(x)))
    h = h + time(time_features)[:, :, None, None]
    return shortcut(x) + conv_out(F.silu(norm_out(h)))


def without_shortcut(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    return block(x, time_features, norm_in, conv_in, time, norm_out, conv_out, lambda x: 0)


def adds_x(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    return block(x, time_features, norm_in, conv_in, time, norm_out, conv_out, lambda x: x)


def without_time(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    return shortcut(x) + conv_out(F.silu(norm_out(conv_in(F.silu(norm_in(x))))))


def late_time(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    h = conv_out(F.silu(norm_out(conv_in(F.silu(norm_in(x))))))
    return shortcut(x) + h + time(time_features)[:, :, None, None]


def without_silu(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    h = conv_in(norm_in(x)) + time(time_features)[:, :, None, None]
    return shortcut(x) + conv_out(norm_out(h))


def silu_first(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    h = conv_in(norm_in(F.silu(x))) + time(time_features)[:, :, None, None]
    return shortcut(x) + conv_out(norm_out(F.silu(h)))


def normalised_shortcut(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    h = conv_in(F.silu(norm_in(x))) + time(time_features)[:, :, None, None]
    return shortcut(norm_in(x)) + conv_out(F.silu(norm_out(h)))


BLOCK = (
    torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64),
    torch.tensor([[1.0]], dtype=torch.float64),
    function("norm_in", "h", "2 * h"),
    function("conv_in", "h", "3 * h"),
    function("time", "features", "features"),
    function("norm_out", "h", "h"),
    function("conv_out", "h", "h"),
    function("shortcut", "x", "10 * x"),
)
AT_BLOCK = (
    "for x = 0.5, one time feature of 1, a first norm that doubles, a first convolution that"
    " triples, a shortcut that multiplies by 10, and all else left alone, it is {right}; yours is"
    " {wrong}."
)

residual_block = Exercise(
    "05.residual_block",
    arguments=(
        "x",
        "time_features",
        "norm_in",
        "conv_in",
        "time",
        "norm_out",
        "conv_out",
        "shortcut",
    ),
    returns="norm, SiLU, convolution; the time added; norm, SiLU, convolution; plus the shortcut",
    reference=block,
    cases=block_cases,
    points=3,
    program="""\
h = norm_in(x)
h = F.silu(h)
h = conv_in(h)
h = h + time(time_features)[:, :, None, None]
h = norm_out(h)
h = F.silu(h)
h = conv_out(h)
return shortcut(x) + h
""",
    mistakes=(
        Mistake(
            "no shortcut",
            without_shortcut,
            f"The shortcut is missing. Add shortcut(x) to the end of the chain: {AT_BLOCK}",
            BLOCK,
        ),
        Mistake(
            "x instead of the shortcut",
            adds_x,
            "You add x itself. Where the number of channels changes, only shortcut(x) fits, so add"
            f" that: {AT_BLOCK}",
            BLOCK,
        ),
        Mistake(
            "the time is left out",
            without_time,
            f"The block is not told the time. Add it after the first convolution: {AT_BLOCK}",
            BLOCK,
        ),
        Mistake(
            "the time comes last",
            late_time,
            "You add the time after the second convolution. Add it after the first, so that the"
            f" second can make use of it: {AT_BLOCK}",
            BLOCK,
        ),
        Mistake(
            "no SiLU",
            without_silu,
            "Both SiLUs are missing. Without them the chain is nearly linear, however many layers"
            f" it has: {AT_BLOCK}",
            BLOCK,
        ),
        Mistake(
            "SiLU before the norm",
            silu_first,
            f"You apply SiLU before each norm. The norm comes first: {AT_BLOCK}",
            BLOCK,
        ),
        Mistake(
            "the shortcut starts after the norm",
            normalised_shortcut,
            f"Your shortcut starts after the norm. It takes x as it came: {AT_BLOCK}",
            BLOCK,
        ),
    ),
    hints=(
        "Two ways lead through a block: a chain of layers, and a shortcut around it. Draw both,"
        " and mark where the number of channels changes.",
        'It is the method forward of RebuiltBlock under "Rebuild it" in lesson 05. The chain'
        " does the same three things twice, and the time comes in between, where there are k"
        " channels already.",
        "First half of the chain: norm_in, SiLU, conv_in. Add what time makes of time_features,"
        " as in add_time; second half: norm_out, SiLU, conv_out. At the end add what shortcut"
        " makes of x, the x that came in.",
    ),
    after=(
        "The chain only learns what to add to its input, and the shortcut lets the rest pass as"
        " it is; gradients come back the same way. That is why many blocks can be stacked and"
        " still be trained. Where the number of channels changes, the shortcut has weights of its"
        " own, so that the sum fits."
    ),
)


BLOCKS = """{name} = [
    lambda h, features, k=k: F.conv2d(h, weight[k]) + (features @ to[k])[:, :, None, None]
    for k in range({levels})
]
"""
HALVINGS = """downs = [lambda h: h]
downs += [lambda h, k=k: scale[k] * F.avg_pool2d(h, 2) for k in range({levels} - 1)]
"""
DOUBLINGS = """ups = [
    lambda h, k=k: scale[k] * F.interpolate(h, scale_factor=2) for k in range({levels} - 1)
]
ups += [lambda h: h]
"""


def network_parts(draw: Inputs, levels: int, c: int, f: int):
    """The parts of a U-Net with c channels at each of its levels."""

    def blocks(name: str, inputs: int) -> Made:
        tensors = {
            "weight": draw.normal(levels, c, inputs, 1, 1) / inputs**0.5,
            "to": draw.normal(levels, f, c) / 2,
        }
        code = BLOCKS.format(name=name, levels=levels)
        return Made(name, f"a list of {levels} functions", code, tensors)

    def resize(name: str, code: str) -> Made:
        scale = {"scale": draw.uniform(0.5, 1.5, levels)}
        return Made(name, f"a list of {levels} functions", code.format(levels=levels), scale)

    weight = draw.normal(c, c, 1, 1) / c**0.5
    middle = "F.conv2d(h, weight) + features.sum(1)[:, None, None, None]"
    return (
        convolution(draw, "stem", 1, c),
        resize("downs", HALVINGS),
        blocks("encoder", c),
        function("middle", "h, features", middle, weight=weight),
        blocks("decoder", 2 * c),
        resize("ups", DOUBLINGS),
        convolution(draw, "out", c, 1),
    )


def network_cases(draw: Inputs):
    for what, levels, b, side in (
        ("two levels", 2, 2, 4),
        ("three levels, a batch of one", 3, 1, 8),
        ("one level", 1, 3, 3),
    ):
        parts = network_parts(draw, levels, 3, 2)
        yield Case(what, (draw.normal(b, 1, side, side), draw.normal(b, 2), *parts))
    parts = list(network_parts(draw, 3, 3, 2))
    for place, name in ((1, "downs"), (5, "ups")):
        scale = {"scale": draw.uniform(0.5, 1.5, 3)}
        code = f"{name} = [lambda h, k=k: scale[k] * h for k in range(3)]\n"
        parts[place] = Made(name, "a list of 3 functions", code, scale)
    yield Case("all maps of one size", (draw.normal(2, 1, 3, 4), draw.normal(2, 2), *parts))


def network(x, time_features, stem, downs, encoder, middle, decoder, ups, out, *, joined=None):
    """The way through a U-Net, its joins made in another way if asked."""
    joined = joined or (lambda h, skip: torch.cat([h, skip], dim=1))
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = block(down(h), time_features)
        skips.append(h)
    h = middle(h, time_features)
    for block, up in zip(decoder, ups):
        h = up(block(joined(h, skips.pop()), time_features))
    return out(h)


def first_skips_first(x, time_features, stem, downs, encoder, middle, decoder, ups, out):
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = block(down(h), time_features)
        skips.append(h)
    h = middle(h, time_features)
    for block, up, skip in zip(decoder, ups, skips):
        h = up(block(torch.cat([h, skip], dim=1), time_features))
    return out(h)


def without_middle(x, features, stem, downs, encoder, middle, decoder, ups, out):
    return network(x, features, stem, downs, encoder, lambda h, f: h, decoder, ups, out)


def without_features(x, features, stem, downs, encoder, middle, decoder, ups, out):
    return network(x, 0 * features, stem, downs, encoder, middle, decoder, ups, out)


def skips_before_blocks(x, time_features, stem, downs, encoder, middle, decoder, ups, out):
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = down(h)
        skips.append(h)
        h = block(h, time_features)
    h = middle(h, time_features)
    for block, up in zip(decoder, ups):
        h = up(block(torch.cat([h, skips.pop()], dim=1), time_features))
    return out(h)


def skips_left_in(x, features, stem, downs, encoder, middle, decoder, ups, out):
    """Each join takes the deepest skip again."""
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = block(down(h), features)
        skips.append(h)
    h = middle(h, features)
    for block, up in zip(decoder, ups):
        h = up(block(torch.cat([h, skips[-1]], dim=1), features))
    return out(h)


NETWORK = (
    torch.full((1, 1, 1, 1), 1.0, dtype=torch.float64),
    torch.tensor([[1.0]], dtype=torch.float64),
    function("stem", "x", "2 * x"),
    Made("downs", "a list of one function", "downs = [lambda h: h]\n"),
    Made("encoder", "a list of one function", "encoder = [lambda h, f: h + f[:, :, None, None]]\n"),
    function("middle", "h, f", "10 * h + f[:, :, None, None]"),
    Made(
        "decoder",
        "a list of one function",
        "decoder = [lambda h, f: h[:, :1] + 100 * h[:, 1:] + f[:, :, None, None]]\n",
    ),
    Made("ups", "a list of one function", "ups = [lambda h: h]\n"),
    function("out", "h", "h"),
)
AT_NETWORK = (
    "for one pixel of 1, one time feature f = 1 and one level, with a stem that doubles, an encoder"
    " that adds f, a middle that makes 10 h + f and a decoder that makes h + 100 skip + f, it is"
    " {right}; yours is {wrong}."
)
TALL = (
    torch.full((1, 1, 2, 2), 1.0, dtype=torch.float64),
    torch.tensor([[1.0]], dtype=torch.float64),
    function("stem", "x", "x"),
    Made(
        "downs", "a list of two functions", "downs = [lambda h: h, lambda h: F.avg_pool2d(h, 2)]\n"
    ),
    Made(
        "encoder", "a list of two functions", "encoder = [lambda h, f: 2 * h, lambda h, f: 3 * h]\n"
    ),
    function("middle", "h, f", "h"),
    Made(
        "decoder",
        "a list of two functions",
        "decoder = 2 * [lambda h, f: h[:, :1] + 10 * h[:, 1:]]\n",
    ),
    Made(
        "ups",
        "a list of two functions",
        "ups = [lambda h: F.interpolate(h, scale_factor=2), lambda h: h]\n",
    ),
    function("out", "h", "h.mean((2, 3), keepdim=True)"),
)
AT_TALL = (
    "for four pixels of 1 and two levels, whose encoders double and triple and whose decoders make"
    " h + 10 skip, it is {right}; yours is {wrong}."
)

unet_forward = Exercise(
    "05.unet_forward",
    arguments=(
        "x",
        "time_features",
        "stem",
        "downs",
        "encoder",
        "middle",
        "decoder",
        "ups",
        "out",
    ),
    returns="the network's output, the shape of x",
    reference=network,
    cases=network_cases,
    points=4,
    program="""\
h = stem(x)
skips = []
for down, block in zip(downs, encoder):
    h = down(h)
    h = block(h, time_features)
    skips.append(h)
h = middle(h, time_features)
for block, up in zip(decoder, ups):
    skip = skips.pop()
    h = torch.cat([h, skip], dim=1)
    h = block(h, time_features)
    h = up(h)
return out(h)
""",
    mistakes=(
        Mistake(
            "the finest skip is used first",
            first_skips_first,
            "You join the finest skip first. The decoder starts where the encoder ended, at the"
            f" coarsest, so the last skip comes first: {AT_TALL}",
            TALL,
        ),
        Mistake(
            "the coarsest skip each time",
            skips_left_in,
            "You join the coarsest skip at every level. Each skip is used once, at its own level:"
            f" {AT_TALL}",
            TALL,
        ),
        Mistake(
            "the middle is left out",
            without_middle,
            f"The middle is missing between encoder and decoder: {AT_NETWORK}",
            NETWORK,
        ),
        Mistake(
            "the time is left out",
            without_features,
            f"Your blocks are not told the time. Each takes time_features too: {AT_NETWORK}",
            NETWORK,
        ),
        Mistake(
            "skips from before the block",
            skips_before_blocks,
            f"Your skips leave before the block of their level. They leave after it: {AT_NETWORK}",
            NETWORK,
        ),
        Mistake(
            "skip first",
            lambda *args: network(*args, joined=lambda h, skip: torch.cat([skip, h], dim=1)),
            f"You put the skip before h. As in join_skip, h comes first: {AT_NETWORK}",
            NETWORK,
        ),
    ),
    hints=(
        "On the way down each level leaves a copy, and on the way up each level takes one. The"
        " copy that was left last is taken first.",
        'It is the method forward of RebuiltUNet under "Rebuild it" in lesson 05, with loops.'
        " Going down, a level changes the size first and then runs its block; going up, it runs"
        " its block first.",
        "After the stem, loop over downs and encoder together: change the size, run the block"
        " with time_features, and append the result to a list. Run middle, which takes"
        " time_features too. Then loop over decoder and ups: pop a copy, join it to what you hold"
        " with h first, run the block, change the size; out comes last.",
    ),
    after=(
        "A list used as a pile hands the copies back in reverse order, so that each meets maps"
        " of its own size. The middle sees the digit as a whole, the skips remember where each"
        " pixel was. The network needs both to predict the noise at every pixel."
    ),
)

by_hand = HandNumber(
    "05.by_hand",
    values=lambda draw: {"c": draw.integer(3, 512), "k": draw.integer(3, 512)},
    question=(
        "How many numbers does a 3 x 3 convolution learn that takes {c} channels to {k}, biases"
        " included?"
    ),
    answer=lambda c, k: (9 * c + 1) * k,
    mistakes=(
        (
            "no biases",
            lambda c, k: 9 * c * k,
            "You counted the weights alone. Add the biases, one for each output channel.",
        ),
        (
            "one bias for all",
            lambda c, k: 9 * c * k + 1,
            (
                "You added one bias for the whole layer. Each output channel has a bias of its"
                " own: add as many as there are."
            ),
        ),
        (
            "biases of the input",
            lambda c, k: 9 * c * k + c,
            (
                "You added a bias for each input channel. A bias is added to what comes out: count"
                " the output channels."
            ),
        ),
        (
            "one set of weights for all inputs",
            lambda c, k: 10 * k,
            (
                "You gave each output channel one 3 x 3 patch for all its inputs. Each pair of an"
                " input and an output channel has 9 weights of its own."
            ),
        ),
        (
            "three instead of nine",
            lambda c, k: (3 * c + 1) * k,
            (
                "You counted 3 weights for a pair of channels, one side of the patch. A 3 x 3 patch"
                " has 9 places."
            ),
        ),
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
        "A": "The prediction is 0, but the loss is its distance to the noise, which is not 0.",
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


def entry_by_entry(t, dim):
    rows = []
    for time in t.tolist():
        angles = [time / 10_000 ** (i / (dim // 2)) for i in range(dim // 2)]
        rows.append([*map(math.sin, angles), *map(math.cos, angles)])
    return torch.tensor(rows, dtype=t.dtype)


def filled_in(t, dim):
    angles = torch.outer(t.double(), 10_000 ** (-2 * torch.arange(dim // 2) / dim).double())
    filled = t.new_empty(len(t), dim)
    filled[:, : dim // 2] = angles.sin()
    filled[:, dim // 2 :] = angles.cos()
    return filled


def quarter_turn(t, dim):
    angles = waves(t.double(), dim)
    return torch.cat([angles.sin(), (angles + math.pi / 2).sin()], dim=1).to(t.dtype)


TIMES = (torch.tensor([1.0, 100.0], dtype=torch.float64), 4)

catch_the_bug = BugHunt(
    "05.catch_the_bug",
    timestep_embedding,
    right=(
        Variant("goes entry by entry", entry_by_entry),
        Variant("fills in the two halves", filled_in),
        Variant("turns sines by a quarter to get cosines", quarter_turn),
    ),
    wrong=(
        Variant(
            "degrees instead of radians",
            lambda t, dim: both(waves(t, dim).deg2rad()),
            TIME,
        ),
        Variant(
            "1,000 in place of 10,000",
            lambda t, dim: both(t[:, None] * 1000.0 ** (-torch.arange(dim // 2) / (dim // 2))),
            TIME,
        ),
        Variant("the times in reverse order", lambda t, dim: embedding(t.flip(0), dim), TIMES),
    ),
)

QUESTIONS = (
    timestep_embedding,
    add_time,
    join_skip,
    by_hand,
    predict,
    residual_block,
    unet_forward,
    catch_the_bug,
)
