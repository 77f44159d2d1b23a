"""Lesson 02: one step of noise, and the jump to any step."""

from __future__ import annotations

import torch
from torch import Tensor

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
from minddpm.data import load_mnist
from minddpm_course.bank.inputs import each, pixel, row
from minddpm_course.pictures import image_row


def forward_step_cases(draw: Inputs):
    for what, shape in (
        ("a batch", (3, 1, 4, 5)),
        ("a batch of one", (1, 1, 6, 6)),
        ("batch and width equal", (4, 1, 4, 4)),
    ):
        yield Case(
            what, (draw.normal(*shape).clamp(-1, 1), draw.decimal(0.05, 0.4), draw.normal(*shape))
        )
    images, noise = draw.normal(2, 2, 1, 3, 3).double()
    yield Case("float64", (images, draw.decimal(0.05, 0.4), noise))
    yield Case("a faint step", (draw.normal(2, 1, 3, 3), 0.0001, draw.normal(2, 1, 3, 3)))


STEP = (pixel(0.8), 0.01, pixel(1.0))
AT_STEP = "for beta = 0.01, a pixel of 0.8 and noise of 1 the result is {right}; yours is {wrong}."

forward_step = Exercise(
    "02.forward_step",
    arguments=("x_prev", "beta_t", "noise"),
    returns="the image one step later, the shape of x_prev",
    reference=lambda x_prev, beta_t, noise: (1 - beta_t) ** 0.5 * x_prev + beta_t**0.5 * noise,
    cases=forward_step_cases,
    formula=Formula(("sqrt(1 - beta_t) * x_prev + sqrt(beta_t) * noise",)),
    mistakes=(
        Mistake(
            "variance instead of standard deviation",
            lambda x_prev, beta_t, noise: (1 - beta_t) ** 0.5 * x_prev + beta_t * noise,
            "You scale the noise by beta, its variance. A number that multiplies noise is a"
            f" standard deviation, sqrt(beta): {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the image is not shrunk",
            lambda x_prev, beta_t, noise: x_prev + beta_t**0.5 * noise,
            "You add noise and keep the image at full size. Then the variance grows with every"
            f" step and the end is not standard normal: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the root of the image's factor is missing",
            lambda x_prev, beta_t, noise: (1 - beta_t) * x_prev + beta_t**0.5 * noise,
            "You scale the image by 1 - beta. Its power must fall by that share, so its amplitude"
            f" by the root: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "no roots",
            lambda x_prev, beta_t, noise: (1 - beta_t) * x_prev + beta_t * noise,
            "You blend image and noise in the shares 1 - beta and beta. These are shares of power;"
            f" the factors are their roots: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the factors are swapped",
            lambda x_prev, beta_t, noise: beta_t**0.5 * x_prev + (1 - beta_t) ** 0.5 * noise,
            "You give the image the factor of the noise. A step is small, so most of the image"
            f" stays: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the noise is subtracted",
            lambda x_prev, beta_t, noise: (1 - beta_t) ** 0.5 * x_prev - beta_t**0.5 * noise,
            "You subtract the noise. As a distribution that is the same, but a network trained to"
            f" predict the noise would learn the opposite sign: {AT_STEP}",
            STEP,
        ),
    ),
    hints=(
        "A draw from a Gaussian is its mean plus its standard deviation times a standard normal"
        " draw. That last draw is given to you, as the argument noise.",
        '"One step" in lesson 02 gives mean and variance. The variance is beta_t, and the mean'
        " is x_prev times the factor that keeps pixels of variance 1 at variance 1; lesson 01"
        ' derives it under "Why the square root".',
        "The image's factor is the square root of 1 - beta_t, the noise's factor the square root"
        " of beta_t. Multiply each by its own, and add. Both are plain numbers, so shapes take"
        " care of themselves.",
    ),
    after=(
        "The result has the variance (1 - beta_t) times that of x_prev, plus beta_t: pixels of"
        " variance 1 keep it, however many steps follow. Without the shrinking the variance would"
        " grow with every step, and the last image would not be standard normal noise."
    ),
)


def jump_shapes(draw: Inputs):
    """Batches and a level for each image: (what, images, noise, levels)."""
    for what, b, h, w in (
        ("a batch", 3, 4, 5),
        ("a batch of one", 1, 5, 5),
        ("batch and width equal", 4, 4, 4),
    ):
        yield (
            what,
            draw.normal(b, 1, h, w).clamp(-1, 1),
            draw.normal(b, 1, h, w),
            draw.uniform(0.1, 0.9, b),
        )
    images, noise = draw.normal(2, 3, 1, 2, 2).double()
    yield "float64", images, noise, draw.uniform(0.1, 0.9, 3).double()
    extremes = torch.tensor([0.9999, 0.6, 4e-5])
    yield (
        "almost clean, and almost noise",
        draw.normal(3, 1, 3, 4),
        draw.normal(3, 1, 3, 4),
        extremes,
    )


def jump_cases(draw: Inputs):
    for what, x_0, noise, alpha_bar in jump_shapes(draw):
        yield Case(what, (x_0, alpha_bar, noise))


AXIS = (
    "Your levels are broadcast along the last axis of the images, their columns, because shapes are"
    " matched from the right. An error tells you only if batch and width differ and neither is 1;"
    " a single image even comes out right. Give the levels the shape (b, 1, 1, 1): two images of"
    " one row, of two white pixels each, with levels 0.81 and 0.25 and no noise, should get"
    " {right}; yours get {wrong}."
)
FIRST = (
    "You use the first image's level for the whole batch. Each image has its own: two images of one"
    " row, of two white pixels each, with levels 0.81 and 0.25 and no noise, should get {right};"
    " yours get {wrong}."
)
WHITE = torch.ones(2, 1, 1, 2, dtype=torch.float64)
TWO = torch.tensor([0.81, 0.25], dtype=torch.float64)
JUMP = (pixel(0.8), row(0.36), pixel(0.3))
AT_JUMP = (
    "for alpha_bar = 0.36, a pixel of 0.8 and noise of 0.3 the result is {right}; yours is {wrong}."
)


def jump(x_0: Tensor, alpha_bar: Tensor, noise: Tensor) -> Tensor:
    return each(alpha_bar, x_0).sqrt() * x_0 + (1 - each(alpha_bar, x_0)).sqrt() * noise


DIGITS = load_mnist("test")[0][[3, 3, 3, 3]]
NOISE = Inputs(0).normal(1, 1, 28, 28).expand(4, -1, -1, -1)

forward_diffusion = Exercise(
    "02.forward_diffusion",
    arguments=("x_0", "alpha_bar_t", "noise"),
    returns="each image at its own level of noise, the shape of x_0",
    reference=jump,
    cases=jump_cases,
    formula=Formula(("sqrt(alpha_bar_t) * x_0 + sqrt(1 - alpha_bar_t) * noise",)),
    picture=Picture((DIGITS, torch.tensor([1.0, 0.9, 0.5, 0.1]), NOISE), image_row),
    points=3,
    mistakes=(
        Mistake(
            "variance instead of standard deviation",
            lambda x_0, a, noise: each(a, x_0).sqrt() * x_0 + (1 - each(a, x_0)) * noise,
            "You scale the noise by 1 - alpha_bar, its variance. A number that multiplies noise is"
            f" a standard deviation, the root of that: {AT_JUMP}",
            JUMP,
        ),
        Mistake(
            "the root of the image's factor is missing",
            lambda x_0, a, noise: each(a, x_0) * x_0 + (1 - each(a, x_0)).sqrt() * noise,
            "You scale the image by alpha_bar, a share of power. Its amplitude falls by the root:"
            f" {AT_JUMP}",
            JUMP,
        ),
        Mistake(
            "no roots",
            lambda x_0, a, noise: each(a, x_0) * x_0 + (1 - each(a, x_0)) * noise,
            "You blend image and noise in the shares alpha_bar and 1 - alpha_bar. These are shares"
            f" of power; the factors are their roots: {AT_JUMP}",
            JUMP,
        ),
        Mistake(
            "the factors are swapped",
            lambda x_0, a, noise: (1 - each(a, x_0)).sqrt() * x_0 + each(a, x_0).sqrt() * noise,
            "You give the image the factor of the noise. alpha_bar is the image's share of the"
            f" power: {AT_JUMP}",
            JUMP,
        ),
        Mistake(
            "levels along the wrong axis",
            lambda x_0, a, noise: a.sqrt() * x_0 + (1 - a).sqrt() * noise,
            AXIS,
            (WHITE, TWO, 0 * WHITE),
        ),
        Mistake(
            "one level for the whole batch",
            lambda x_0, a, noise: a[0].sqrt() * x_0 + (1 - a[0]).sqrt() * noise,
            FIRST,
            (WHITE, TWO, 0 * WHITE),
        ),
    ),
    hints=(
        "The jump looks like one step: a factor times the image plus a factor times the noise,"
        " and the squares of the factors add up to 1. What is new is that each image of the batch"
        " has its own factors.",
        'The formula is equation 4, at the end of "All steps, by induction" in lesson 02: the'
        " squares of the two factors are alpha_bar_t and 1 - alpha_bar_t. Shapes are matched from"
        " the right, so levels of shape (b,) would meet the columns of the images.",
        "Reshape the levels to (b, 1, 1, 1). The root of the level goes with the images, the"
        " root of one minus the level with the noise; multiply, and add the two products.",
    ),
    after=(
        "The noises of all steps up to t are independent. So the variances of what is left of them"
        " add up, to 1 - alpha_bar_t, and a single draw does what they all do. Training relies"
        " on this: it noises an image to any t without taking the steps before it."
    ),
)

by_hand = HandNumber(
    "02.by_hand",
    values=lambda draw: {
        "alpha_bar": draw.integer(160, 840) / 1000,
        "x_0": draw.integer(30, 95) / 100,
        "noise": draw.integer(20, 125) / 100,
    },
    question=(
        "A pixel of {x_0} jumps to the level alpha_bar = {alpha_bar} with noise {noise}. Where does"
        " it land? (Six decimals, rounded only at the end.)"
    ),
    answer=lambda alpha_bar, x_0, noise: alpha_bar**0.5 * x_0 + (1 - alpha_bar) ** 0.5 * noise,
    mistakes=(
        (
            "variance instead of standard deviation",
            lambda alpha_bar, x_0, noise: alpha_bar**0.5 * x_0 + (1 - alpha_bar) * noise,
            (
                "You multiplied the noise by its variance, 1 - alpha_bar. Multiply it by the"
                " standard deviation, the root of that."
            ),
        ),
        (
            "no roots",
            lambda alpha_bar, x_0, noise: alpha_bar * x_0 + (1 - alpha_bar) * noise,
            (
                "You multiplied by alpha_bar and 1 - alpha_bar, which are shares of power. A pixel"
                " is an amplitude: take the root of both."
            ),
        ),
        (
            "the root of the image's factor is missing",
            lambda alpha_bar, x_0, noise: alpha_bar * x_0 + (1 - alpha_bar) ** 0.5 * noise,
            (
                "You multiplied the image by alpha_bar, and only the noise by a root. Both factors"
                " are amplitudes: take the root of alpha_bar too."
            ),
        ),
        (
            "the factors are swapped",
            lambda alpha_bar, x_0, noise: (1 - alpha_bar) ** 0.5 * x_0 + alpha_bar**0.5 * noise,
            (
                "You gave the image the factor of the noise, and the noise that of the image. The"
                " image keeps the share alpha_bar: its factor is sqrt(alpha_bar)."
            ),
        ),
        (
            "the image alone",
            lambda alpha_bar, x_0, noise: alpha_bar**0.5 * x_0,
            (
                "You scaled the image and stopped: that is the mean of where it lands. Add the"
                " noise, times sqrt(1 - alpha_bar)."
            ),
        ),
    ),
    bounds=Bounds(
        lambda **values: 0,
        lambda alpha_bar, x_0, noise: x_0 + noise,
        "pixel and noise are positive, and both of their factors lie between 0 and 1",
    ),
    decimals=6,
)

predict = Choice(
    "02.predict",
    question="At alpha_bar = 0.5, how much of a clean digit's amplitude is left in the noisy one?",
    options={
        "A": "half of it",
        "B": "a quarter",
        "C": "about 71%",
        "D": "none: the noise covers it",
    },
    right="C",
    replies={
        "A": "Half of the power is left. Amplitude is the root of power.",
        "B": "A quarter is the square of a half. Amplitude is the root of power, not its square.",
        "C": "The root of 0.5.",
        "D": (
            "Noise is added to the image, it does not replace it: the digit is still there, scaled"
            " by one number."
        ),
    },
)


def recover_cases(draw: Inputs):
    for what, x_0, noise, alpha_bar in jump_shapes(draw):
        yield Case(what, (jump(x_0, alpha_bar, noise), alpha_bar, noise))


NOISY = (pixel(0.72), row(0.36), pixel(0.3))
AT_NOISY = (
    "for alpha_bar = 0.36, a noisy pixel of 0.72 and noise of 0.3 the clean one is {right}; yours"
    " is {wrong}."
)

recover_x0 = Exercise(
    "02.recover_x0",
    arguments=("x_t", "alpha_bar_t", "noise"),
    returns="the clean images, the shape of x_t",
    reference=lambda x_t, a, noise: (x_t - (1 - each(a, x_t)).sqrt() * noise) / each(a, x_t).sqrt(),
    cases=recover_cases,
    formula=Formula(
        ("(x_t - sqrt(1 - alpha_bar_t) * noise) / sqrt(alpha_bar_t)",),
        otherwise=Formula(
            ("x_t / sqrt(alpha_bar_t) - sqrt((1 - alpha_bar_t) / alpha_bar_t) * noise",)
        ),
    ),
    tolerance=2e-4,
    mistakes=(
        Mistake(
            "not scaled back",
            lambda x_t, a, noise: x_t - (1 - each(a, x_t)).sqrt() * noise,
            "You subtract the noise and stop. What is left is the image made smaller by"
            f" sqrt(alpha_bar): {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "divided by alpha_bar",
            lambda x_t, a, noise: (x_t - (1 - each(a, x_t)).sqrt() * noise) / each(a, x_t),
            f"You divide by alpha_bar. The image was scaled by its root: {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "multiplied instead of divided",
            lambda x_t, a, noise: (x_t - (1 - each(a, x_t)).sqrt() * noise) * each(a, x_t).sqrt(),
            f"You multiply by sqrt(alpha_bar) once more. To undo a scaling, divide: {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "variance instead of standard deviation",
            lambda x_t, a, noise: (x_t - (1 - each(a, x_t)) * noise) / each(a, x_t).sqrt(),
            "You subtract (1 - alpha_bar) times the noise. It was added with the root of"
            " that: " + AT_NOISY,
            NOISY,
        ),
        Mistake(
            "the noise is added again",
            lambda x_t, a, noise: (x_t + (1 - each(a, x_t)).sqrt() * noise) / each(a, x_t).sqrt(),
            f"You add the noise once more. To undo the jump, subtract it: {AT_NOISY}",
            NOISY,
        ),
        Mistake(
            "levels along the wrong axis",
            lambda x_t, a, noise: (x_t - (1 - a).sqrt() * noise) / a.sqrt(),
            AXIS,
            (WHITE, TWO, 0 * WHITE),
        ),
        Mistake(
            "one level for the whole batch",
            lambda x_t, a, noise: (x_t - (1 - a[0]).sqrt() * noise) / a[0].sqrt(),
            FIRST,
            (WHITE, TWO, 0 * WHITE),
        ),
    ),
    hints=(
        "The jump is one equation between x_t, x_0 and the noise. You know two of them, so solve"
        " it for the third.",
        'It is the first formula under "The jump turned round" in lesson 02. In x_t the noise'
        " has the factor sqrt(1 - alpha_bar_t) and the image has sqrt(alpha_bar_t); each image"
        " has its own level.",
        "Give the levels the shape (b, 1, 1, 1). Take the noise out of x_t at the size at which"
        " it was added, then divide what remains by the image's factor.",
    ),
    after=(
        "Without its noise, x_t is sqrt(alpha_bar_t) x_0, and the division undoes that factor."
        " With a network's guess in place of the noise this is the estimate of the clean image in"
        " every sampler of the course. At large t the divisor is near 0, so small errors of the"
        " guess become large ones."
    ),
)


def recover_noise_cases(draw: Inputs):
    for what, x_0, noise, alpha_bar in jump_shapes(draw):
        yield Case(what, (jump(x_0, alpha_bar, noise), x_0, alpha_bar))


PAIR = (pixel(0.72), pixel(0.8), row(0.36))
AT_PAIR = (
    "for alpha_bar = 0.36, a clean pixel of 0.8 that became 0.72, the noise is {right}; yours is"
    " {wrong}."
)

recover_noise = Exercise(
    "02.recover_noise",
    arguments=("x_t", "x_0", "alpha_bar_t"),
    returns="the noise that was added, the shape of x_t",
    reference=lambda x_t, x_0, a: (x_t - each(a, x_t).sqrt() * x_0) / (1 - each(a, x_t)).sqrt(),
    cases=recover_noise_cases,
    formula=Formula(("(x_t - sqrt(alpha_bar_t) * x_0) / sqrt(1 - alpha_bar_t)",)),
    tolerance=2e-4,
    mistakes=(
        Mistake(
            "divided by the variance",
            lambda x_t, x_0, a: (x_t - each(a, x_t).sqrt() * x_0) / (1 - each(a, x_t)),
            f"You divide by 1 - alpha_bar. The noise was scaled by its root: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "not scaled back",
            lambda x_t, x_0, a: x_t - each(a, x_t).sqrt() * x_0,
            "You return what was added. That is the noise times sqrt(1 - alpha_bar), not the"
            f" standard normal noise: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the image is not shrunk",
            lambda x_t, x_0, a: (x_t - x_0) / (1 - each(a, x_t)).sqrt(),
            "You subtract the whole clean image. In x_t only sqrt(alpha_bar) of it is left:"
            f" {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the root of the image's factor is missing",
            lambda x_t, x_0, a: (x_t - each(a, x_t) * x_0) / (1 - each(a, x_t)).sqrt(),
            "You subtract alpha_bar times the image, a share of power. Its amplitude is the root:"
            f" {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the sign is wrong",
            lambda x_t, x_0, a: (each(a, x_t).sqrt() * x_0 - x_t) / (1 - each(a, x_t)).sqrt(),
            "You subtract the noisy image from the clean one. The noise is the noisy image minus"
            f" its clean part: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "levels along the wrong axis",
            lambda x_t, x_0, a: (x_t - a.sqrt() * x_0) / (1 - a).sqrt(),
            AXIS.replace(" and no noise, should get", ", that stayed white, hold the noise"),
            (WHITE, WHITE, TWO),
        ),
        Mistake(
            "one level for the whole batch",
            lambda x_t, x_0, a: (x_t - a[0].sqrt() * x_0) / (1 - a[0]).sqrt(),
            FIRST.replace(" and no noise, should get", ", that stayed white, hold the noise"),
            (WHITE, WHITE, TWO),
        ),
    ),
    hints=(
        "It is the equation of the jump again, with another unknown. First find what the noise"
        " contributed to x_t, then undo its scaling.",
        'Take the second formula under "The jump turned round" in lesson 02. In x_t the clean'
        " image has the factor sqrt(alpha_bar_t), and the noise has sqrt(1 - alpha_bar_t).",
        "Give the levels the shape (b, 1, 1, 1). Subtract from x_t the clean image times the"
        " root of its level, and divide the difference by the root of one minus the level.",
    ),
    after=(
        "What remains of x_t without the clean image has the variance 1 - alpha_bar_t, and the"
        " division brings it back to 1. This noise is what the network is trained to predict. An"
        " estimate of x_0 that was clipped is turned back into a noise in the same way."
    ),
)


def dissolve(x_0, noise):
    alpha_bar = torch.linspace(1, 0, x_0.shape[-1])
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise


DIGIT = load_mnist("test")[0][20:21]
DIGIT_NOISE = Inputs(1).normal(*DIGIT.shape)

STRETCH = Stretch(
    "02.stretch",
    ("x_0", "noise"),
    "the image with alpha_bar falling from 1 in its first column to 0 in its last, in equal steps",
    dissolve,
    Picture((DIGIT, DIGIT_NOISE), image_row),
)


def own_noise(images: Tensor) -> Tensor:
    """The same at each call."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(images.shape, generator=generator, dtype=images.dtype)


catch_the_bug = BugHunt(
    "02.catch_the_bug",
    forward_diffusion,
    right=(
        Variant(
            "takes the images one by one",
            lambda x_0, a, noise: torch.stack(
                [keep**0.5 * x + (1 - keep) ** 0.5 * e for x, keep, e in zip(x_0, a, noise)]
            ),
        ),
        Variant(
            "works in float64",
            lambda x_0, a, noise: jump(x_0.double(), a.double(), noise.double()).to(x_0.dtype),
        ),
        Variant(
            "multiplies with einsum",
            lambda x_0, a, noise: (
                torch.einsum("b,b...->b...", a.sqrt(), x_0)
                + torch.einsum("b,b...->b...", (1 - a).sqrt(), noise)
            ),
        ),
    ),
    wrong=(
        Variant(
            "noise of its own in place of the noise given",
            lambda x_0, a, noise: jump(x_0, a, own_noise(x_0)),
            JUMP,
        ),
        Variant(
            "the result is clipped to [-1, 1]",
            lambda x_0, a, noise: jump(x_0, a, noise).clamp(-1, 1),
            (pixel(0.9), row(0.36), pixel(1.5)),
        ),
        Variant(
            "the noise is subtracted",
            lambda x_0, a, noise: jump(x_0, a, -noise),
            JUMP,
        ),
    ),
)

QUESTIONS = (
    forward_step,
    forward_diffusion,
    by_hand,
    predict,
    recover_x0,
    recover_noise,
    catch_the_bug,
)
