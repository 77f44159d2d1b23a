"""Lesson 11: the velocity, weights for the loss, and the straight path of flow matching."""

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
from minddpm_course.bank.inputs import each, pixel, row
from minddpm_course.pictures import curve


def roots(a, images):
    return each(a, images).sqrt(), (1 - each(a, images)).sqrt()


def image_of(x_t, noise, a):
    signal, spread = roots(a, x_t)
    return (x_t - spread * noise) / signal


def turned(x_t, noise, a):
    signal, spread = roots(a, x_t)
    return signal * noise - spread * image_of(x_t, noise, a)


def turned_back(x_t, velocity, a):
    signal, spread = roots(a, x_t)
    return signal * velocity + spread * x_t


def prediction_cases(draw: Inputs):
    for what, shape in (
        ("a batch, each image at its own level", (3, 1, 4, 5)),
        ("a batch of one", (1, 1, 4, 4)),
        ("batch and width equal", (4, 1, 4, 4)),
    ):
        yield Case(what, (*draw.normal(2, *shape), draw.uniform(0.1, 0.9, shape[0])))
    x_t, predicted = draw.normal(2, 2, 1, 3, 3).double()
    yield Case("float64", (x_t, predicted, draw.uniform(0.1, 0.9, 2).double()))
    yield Case("hardly any noise yet", (*draw.normal(2, 2, 1, 3, 3), draw.uniform(0.98, 0.99, 2)))


POINT = (pixel(-0.18), pixel(-0.6), row(0.36))
AT_POINT = (
    "for x_t = -0.18, a noise of -0.6 and alpha_bar_t = 0.36 the velocity is {right}; "
    "yours is {wrong}."
)
WIDE = (torch.ones(2, 1, 1, 2, dtype=torch.float64), torch.zeros(2, 1, 1, 2, dtype=torch.float64))
TWO = (*WIDE, row(0.36, 0.64))

velocity_from_noise = Exercise(
    "11.velocity_from_noise",
    arguments=("x_t", "noise", "alpha_bar_t"),
    returns="the velocity, the shape of x_t",
    reference=turned,
    cases=prediction_cases,
    formula=Formula(
        ("sqrt(alpha_bar_t) * noise - sqrt(1 - alpha_bar_t) * x_0",),
        {"x_0": "(x_t - sqrt(1 - alpha_bar_t) * noise) / sqrt(alpha_bar_t)"},
        otherwise=Formula(("(noise - sqrt(1 - alpha_bar_t) * x_t) / sqrt(alpha_bar_t)",)),
    ),
    points=3,
    mistakes=(
        Mistake(
            "the opposite sign",
            lambda x_t, noise, a: -turned(x_t, noise, a),
            "Your velocity leads back to the image. It is the direction in which x_t moves when"
            f" there is more noise, so the noise enters with a plus: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "plus instead of minus",
            lambda x_t, noise, a: (
                roots(a, x_t)[0] * noise + roots(a, x_t)[1] * image_of(x_t, noise, a)
            ),
            "You add the image. The signal shrinks when the noise grows, so its derivative has a"
            f" minus: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the two roots are swapped",
            lambda x_t, noise, a: (
                roots(a, x_t)[1] * noise - roots(a, x_t)[0] * image_of(x_t, noise, a)
            ),
            "You give the noise and the image the shares that they have in x_t. Differentiating"
            f" swaps sine and cosine, and so the two roots: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "variances instead of roots",
            lambda x_t, noise, a: (
                each(a, x_t) * noise - (1 - each(a, x_t)) * image_of(x_t, noise, a)
            ),
            "You multiply by alpha_bar_t and by 1 - alpha_bar_t. Cosine and sine are their roots:"
            f" {AT_POINT}",
            POINT,
        ),
        Mistake(
            "x_t in place of x_0",
            lambda x_t, noise, a: roots(a, x_t)[0] * noise - roots(a, x_t)[1] * x_t,
            "You subtract the noisy image. What belongs there is the clean one, which x_t and the"
            f" noise imply: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the velocity of the straight path",
            lambda x_t, noise, a: noise - image_of(x_t, noise, a),
            "You return the noise less the image. That is the velocity on the straight path of"
            f" flow matching; on the circle each has a factor: {AT_POINT}",
            POINT,
        ),
        Mistake(
            "the image is not scaled back",
            lambda x_t, noise, a: (
                roots(a, x_t)[0] * noise - roots(a, x_t)[1] * (x_t - roots(a, x_t)[1] * noise)
            ),
            "x_t without its noise is sqrt(alpha_bar_t) x_0. You did not divide by that root:"
            f" {AT_POINT}",
            POINT,
        ),
        Mistake(
            "levels along the width",
            lambda x_t, noise, a: (
                a.sqrt() * noise - (1 - a).sqrt() * (x_t - (1 - a).sqrt() * noise) / a.sqrt()
            ),
            "Your levels run along the columns. Each image has its own: for two images of two"
            " pixels, x_t = 1 everywhere, no noise, alpha_bar_t = 0.36 and 0.64 the velocities are"
            " {right}; yours are {wrong}.",
            TWO,
        ),
    ),
    hints=(
        "x_t goes along a quarter of a circle, from the image to the noise. The velocity is the"
        " direction in which it goes. You need to know both ends of the quarter.",
        'The formula is step 1, "A circle", in lesson 11, with a and b for the two roots. The'
        " image that it contains follows from x_t and the noise, as in recover_x0.",
        "Shape the levels to (b, 1, 1, 1), and take both roots. Recover the clean image. Multiply"
        " the noise by the root of alpha_bar_t and the clean image by the other root, and subtract"
        " the second product from the first.",
    ),
    after=(
        "Cosine and sine of one angle are the shares of image and noise, so the derivative by the"
        " angle swaps them and turns one sign. The velocity is as large as the image where there"
        " is only noise, and as large as the noise where there is none: it never becomes a"
        " trivial task, as each of the other two does at one end."
    ),
)


def back_cases(draw: Inputs):
    yield from prediction_cases(draw)
    yield Case(
        "only noise is left in one of them", (*draw.normal(2, 2, 1, 3, 3), row(0, 0.5).float())
    )


BACK = (pixel(-0.18), pixel(-0.76), row(0.36))
AT_BACK = (
    "for x_t = -0.18, a velocity of -0.76 and alpha_bar_t = 0.36 the noise is {right}; "
    "yours is {wrong}."
)
NOTHING_LEFT = (pixel(0.5), pixel(-0.7), row(0.0))


def through_division(x_t, velocity, a):
    signal, spread = roots(a, x_t)
    x_0 = signal * x_t - spread * velocity
    return (velocity + spread * x_0) / signal


noise_from_velocity = Exercise(
    "11.noise_from_velocity",
    arguments=("x_t", "velocity", "alpha_bar_t"),
    returns="the noise, the shape of x_t",
    reference=turned_back,
    cases=back_cases,
    formula=Formula(
        ("sqrt(alpha_bar_t) * velocity + sqrt(1 - alpha_bar_t) * x_t",),
        otherwise=Formula(
            ("(x_t - sqrt(alpha_bar_t) * x_0) / sqrt(1 - alpha_bar_t)",),
            {"x_0": "sqrt(alpha_bar_t) * x_t - sqrt(1 - alpha_bar_t) * velocity"},
        ),
    ),
    points=3,
    mistakes=(
        Mistake(
            "the clean image",
            lambda x_t, v, a: roots(a, x_t)[0] * x_t - roots(a, x_t)[1] * v,
            "You return the clean image. The same two numbers turn into the noise with the roots"
            f" swapped, and with a plus: {AT_BACK}",
            BACK,
        ),
        Mistake(
            "the two roots are swapped",
            lambda x_t, v, a: roots(a, x_t)[1] * v + roots(a, x_t)[0] * x_t,
            "You swap the two roots. Where there is hardly any noise, the velocity is nearly the"
            f" noise itself, so its factor must be nearly 1 there: {AT_BACK}",
            BACK,
        ),
        Mistake(
            "minus instead of plus",
            lambda x_t, v, a: roots(a, x_t)[0] * v - roots(a, x_t)[1] * x_t,
            "You subtract x_t. Where only noise is left, x_t is the noise, so it enters with a"
            f" plus: {AT_BACK}",
            BACK,
        ),
        Mistake(
            "variances instead of roots",
            lambda x_t, v, a: each(a, x_t) * v + (1 - each(a, x_t)) * x_t,
            "You multiply by alpha_bar_t and by 1 - alpha_bar_t. A rotation needs cosine and"
            f" sine, which are their roots: {AT_BACK}",
            BACK,
        ),
        Mistake(
            "the velocity taken for the noise",
            lambda x_t, v, a: 1 * v,
            "You return the velocity as it is. It is nearly the noise as long as there is little"
            f" of it, and nearly the negative of the image at the end: {AT_BACK}",
            BACK,
        ),
        Mistake(
            "the velocity of the straight path",
            lambda x_t, v, a: (x_t + roots(a, x_t)[0] * v) / sum(roots(a, x_t)),
            "You take the velocity for that of the straight path, the noise less the image. This"
            f" one is that of the circle: {AT_BACK}",
            BACK,
        ),
        Mistake(
            "x_t in place of x_0",
            lambda x_t, v, a: (v + roots(a, x_t)[1] * x_t) / roots(a, x_t)[0],
            "You solved the formula of the velocity for the noise, and put x_t where it has the"
            f" clean image: {AT_BACK}",
            BACK,
        ),
        Mistake(
            "divided by the root of alpha_bar_t",
            through_division,
            "You solved the formula of the velocity for the noise, and divide by"
            " sqrt(alpha_bar_t). A rotation is turned back without dividing. That matters where"
            " only noise is left: for x_t = 0.5, a velocity of -0.7 and alpha_bar_t = 0 the noise"
            " is {right}; yours is {wrong}.",
            NOTHING_LEFT,
        ),
        Mistake(
            "levels along the width",
            lambda x_t, v, a: a.sqrt() * v + (1 - a).sqrt() * x_t,
            "Your levels run along the columns. Each image has its own: for two images of two"
            " pixels, x_t = 1 everywhere, velocity 0, alpha_bar_t = 0.36 and 0.64 the noises are"
            " {right}; yours are {wrong}.",
            TWO,
        ),
    ),
    hints=(
        "From image and noise to x_t and velocity is a rotation. A rotation is turned back by"
        " the same angle the other way round, and nothing is divided.",
        'Step 2, "Turned back", in lesson 11 has both ways back: one gives the clean image, the'
        " other one the noise. There a and b stand for the roots of alpha_bar_t and of what is"
        " missing from it to 1.",
        "Shape the levels to (b, 1, 1, 1). Two limits tell you which root belongs where: without"
        " noise (alpha_bar_t = 1) the velocity is the noise; with nothing but noise"
        " (alpha_bar_t = 0) x_t is. Add the two.",
    ),
    after=(
        "With this line, a network that predicts the velocity works in every sampler that asks"
        " for the noise. Nothing is divided, so an error of the network is never enlarged, and it"
        " works at zero terminal SNR too, where the image cannot be had from the noise."
    ),
)


def weigh(alpha_bar, gamma):
    return (gamma * (1 - alpha_bar) / alpha_bar).clamp(max=1)


def weight_cases(draw: Inputs):
    def levels(n):
        early, late = draw.uniform(0.92, 0.99, n), draw.uniform(0.05, 0.5, n)
        return torch.stack([early, late], 1).flatten()

    yield Case("early and late times", (levels(3), draw.decimal(2.0, 6.0)))
    yield Case("the gamma of Hang et al.", (levels(2), 5.0))
    yield Case("one time, an early one", (draw.uniform(0.95, 0.99, 1), draw.decimal(2.0, 6.0)))
    yield Case("gamma 1", (levels(2), 1))
    yield Case("float64", (levels(2).double(), draw.decimal(2.0, 6.0)))


BOTH = (row(0.9, 0.5), 5.0)
AT_BOTH = "for alpha_bar = 0.9 and 0.5 and gamma = 5 the weights are {right}; yours are {wrong}."


def snr(alpha_bar):
    return alpha_bar / (1 - alpha_bar)


min_snr_weight = Exercise(
    "11.min_snr_weight",
    arguments=("alpha_bar", "gamma"),
    returns="the weight of the noise's squared error at each level, shape (n,)",
    reference=weigh,
    cases=weight_cases,
    formula=Formula(
        ("clip01(gamma / snr)",),
        {"snr": "alpha_bar / (1 - alpha_bar)"},
        otherwise=Formula(("clip01(gamma * (1 - alpha_bar) / alpha_bar)",)),
    ),
    points=3,
    mistakes=(
        Mistake(
            "the weight of the image's error",
            lambda alpha_bar, gamma: snr(alpha_bar).clamp(max=gamma),
            "You return the weight for the error of x_0. An error of the noise is another number:"
            f" its square is SNR times as large, so divide by the SNR: {AT_BOTH}",
            BOTH,
        ),
        Mistake(
            "the weight of the velocity's error",
            lambda alpha_bar, gamma: snr(alpha_bar).clamp(max=gamma) / (snr(alpha_bar) + 1),
            "You return the weight for the error of the velocity. For the noise's, divide by the"
            f" SNR and not by SNR + 1: {AT_BOTH}",
            BOTH,
        ),
        Mistake(
            "the larger of the two",
            lambda alpha_bar, gamma: (gamma / snr(alpha_bar)).clamp(min=1),
            "You take the larger of the two numbers. That makes late times count more and leaves"
            f" early ones as they are. Take the smaller: {AT_BOTH}",
            BOTH,
        ),
        Mistake(
            "no limit",
            lambda alpha_bar, gamma: gamma / snr(alpha_bar),
            "You leave the minimum out. Without it this is the error of x_0 times gamma, and the"
            f" latest times decide everything. No weight is above 1: {AT_BOTH}",
            BOTH,
        ),
        Mistake(
            "upside down",
            lambda alpha_bar, gamma: (snr(alpha_bar) / gamma).clamp(max=1),
            "Your fraction is upside down: late times count less, and early ones in full. It is"
            f" the early ones, with a large SNR, that should count less: {AT_BOTH}",
            BOTH,
        ),
        Mistake(
            "noise over signal",
            lambda alpha_bar, gamma: (gamma * snr(alpha_bar)).clamp(max=1),
            "Your SNR is upside down. It is the power of the signal over that of the noise, large"
            f" at early times: {AT_BOTH}",
            BOTH,
        ),
        Mistake(
            "the ratio of the roots",
            lambda alpha_bar, gamma: (gamma / snr(alpha_bar).sqrt()).clamp(max=1),
            "Your SNR is the ratio of the two roots. It is that of the powers, which has no root:"
            f" {AT_BOTH}",
            BOTH,
        ),
        Mistake(
            "gamma is left out",
            lambda alpha_bar, gamma: (1 / snr(alpha_bar)).clamp(max=1),
            "You put 1 in the place of gamma. All times with an SNR above 1 then count less, and"
            f" not only those above gamma: {AT_BOTH}",
            BOTH,
        ),
    ),
    hints=(
        "The limit is put on the weight of the image's error. One and the same error is smaller"
        " as an error of the image where the signal is strong, so the weight must be converted.",
        'Step 4, "Min-SNR", in lesson 11 has the weight in both units, and step 3 says why they'
        " differ by the SNR. You know how to work that out since lesson 01.",
        "Work out the SNR of each level. Divide gamma by it, and let no weight be above 1. Early"
        " times then get less than 1, and all others exactly 1. clamp and minimum do this for a"
        " whole tensor.",
    ),
    after=(
        "An error of the noise counts as the error of the image that it implies, and never more"
        " than gamma times that. In units of the noise, this only takes weight from early times,"
        " whose tasks are many and easy. So more of the network is left for the times at which"
        " the shape of an image is decided."
    ),
)


def on_the_line(x_0, noise, s):
    return (1 - each(s, x_0)) * x_0 + each(s, x_0) * noise, noise - x_0


def path_cases(draw: Inputs):
    for what, shape in (
        ("a batch, each image at its own time", (3, 1, 4, 5)),
        ("a batch of one", (1, 1, 4, 4)),
        ("batch and width equal", (4, 1, 4, 4)),
    ):
        x_0, noise = draw.normal(*shape).clamp(-1, 1), draw.normal(*shape)
        yield Case(what, (x_0, noise, draw.uniform(0.1, 0.9, shape[0])))
    x_0, noise = draw.normal(2, 2, 1, 3, 3)
    yield Case("both ends of the path", (x_0, noise, row(0, 1).float()))
    x_0, noise = draw.normal(2, 2, 1, 3, 3).double()
    yield Case("float64", (x_0, noise, draw.uniform(0.1, 0.9, 2).double()))


QUARTER = (pixel(0.5), pixel(-0.6), row(0.25))
AT_QUARTER = (
    "for x_0 = 0.5, a noise of -0.6 and s = 0.25 the point and its velocity are {right}; "
    "yours are {wrong}."
)
TWO_TIMES = (*WIDE, row(0.25, 0.75))

straight_path = Exercise(
    "11.straight_path",
    arguments=("x_0", "noise", "s"),
    returns="the point x_s and the velocity u there, both of the shape of x_0",
    reference=on_the_line,
    cases=path_cases,
    formula=Formula(("(1 - s) * x_0 + s * noise", "noise - x_0")),
    points=3,
    mistakes=(
        Mistake(
            "the time runs the other way",
            lambda x_0, noise, s: on_the_line(noise, x_0, s),
            "You begin with the noise at s = 0, and go to the image. Lipman et al. count like"
            f" that; here the image is at s = 0: {AT_QUARTER}",
            QUARTER,
        ),
        Mistake(
            "the velocity points to the image",
            lambda x_0, noise, s: (on_the_line(x_0, noise, s)[0], x_0 - noise),
            "Your velocity leads to the image. It is the derivative of x_s by s, and with growing"
            f" s the noise grows: {AT_QUARTER}",
            QUARTER,
        ),
        Mistake(
            "image and noise are swapped in the point",
            lambda x_0, noise, s: (on_the_line(noise, x_0, s)[0], noise - x_0),
            "In your x_s image and noise have changed places, but your velocity fits the right"
            f" one. At s = 0 the point is the image: {AT_QUARTER}",
            QUARTER,
        ),
        Mistake(
            "the shares of the circle",
            lambda x_0, noise, s: (
                (1 - each(s, x_0)).sqrt() * x_0 + each(s, x_0).sqrt() * noise,
                noise - x_0,
            ),
            "You mix with the roots of the shares, as the jump does. On a straight line the shares"
            f" themselves add up to 1: {AT_QUARTER}",
            QUARTER,
        ),
        Mistake(
            "the noise is the target",
            lambda x_0, noise, s: (on_the_line(x_0, noise, s)[0], noise),
            "Your target is the noise. A network of flow matching learns the velocity, in which"
            f" the image is subtracted: {AT_QUARTER}",
            QUARTER,
        ),
        Mistake(
            "the way that is left",
            lambda x_0, noise, s: (
                on_the_line(x_0, noise, s)[0],
                noise - on_the_line(x_0, noise, s)[0],
            ),
            "Your velocity is the way from x_s to the noise, which is shorter the nearer you are."
            f" The velocity is the same at every s of a line: {AT_QUARTER}",
            QUARTER,
        ),
        Mistake(
            "the results are swapped",
            lambda x_0, noise, s: on_the_line(x_0, noise, s)[::-1],
            "You return the velocity first. The point comes first, which is the network's input:"
            f" {AT_QUARTER}",
            QUARTER,
        ),
        Mistake(
            "times along the width",
            lambda x_0, noise, s: ((1 - s) * x_0 + s * noise, noise - x_0),
            "Your times run along the columns. Each image has its own: two images of two white"
            " pixels, without noise, at s = 0.25 and 0.75 give {right}; yours {wrong}.",
            TWO_TIMES,
        ),
    ),
    hints=(
        "You walk along a line from the image to the noise, and have gone the share s of it. The"
        " velocity is how far you would go in a whole unit of time.",
        'The section "Straight paths: flow matching" in lesson 11 begins with both formulas. The'
        " second is the derivative of the first by s, so s does not occur in it any more.",
        "Shape s to (b, 1, 1, 1), and mix: the share that is left for the image, s for the noise."
        " For the velocity, subtract the image where you start from the noise where you arrive."
        " Return both, the point first.",
    ),
    after=(
        "This pair is the whole of training by flow matching: the point is the network's input,"
        " the velocity its target, and the loss is their mean squared error. Each line is"
        " straight, but many lines cross at a point. The network can only learn the mean of their"
        " velocities, so the ways that it takes bend."
    ),
)


def clean(x_t, velocity, a):
    return math.sqrt(a) * x_t - math.sqrt(1 - a) * velocity


by_hand = HandNumber(
    "11.by_hand",
    values=lambda draw: {
        "x_t": draw.integer(30, 95) / 100,
        "velocity": draw.integer(20, 75) / 100,
        "a": draw.integer(200, 900) / 1000,
    },
    question=(
        "At alpha_bar_t = {a} a pixel is {x_t}, and a network that predicts the velocity says"
        " {velocity}. Which clean pixel x_0 does that imply? (Five decimals, rounded only at the"
        " end.)"
    ),
    answer=clean,
    mistakes=(
        (
            "the noise",
            lambda x_t, velocity, a: math.sqrt(1 - a) * x_t + math.sqrt(a) * velocity,
            (
                "You worked out the noise. For the clean pixel swap the two roots, and subtract"
                " the velocity's part."
            ),
        ),
        (
            "plus instead of minus",
            lambda x_t, velocity, a: math.sqrt(a) * x_t + math.sqrt(1 - a) * velocity,
            (
                "You added the velocity's part. It leads towards the noise: subtract it to come"
                " back to the image."
            ),
        ),
        (
            "the velocity taken for the noise",
            lambda x_t, velocity, a: (x_t - math.sqrt(1 - a) * velocity) / math.sqrt(a),
            (
                "You took the velocity for the noise, and divided as in lesson 02. A velocity is"
                " turned back without dividing: multiply x_t by sqrt(alpha_bar_t)."
            ),
        ),
        (
            "the two roots are swapped",
            lambda x_t, velocity, a: math.sqrt(1 - a) * x_t - math.sqrt(a) * velocity,
            (
                "You swapped the two roots. Without noise x_t is the image: its factor is"
                " sqrt(alpha_bar_t)."
            ),
        ),
        (
            "variances instead of roots",
            lambda x_t, velocity, a: a * x_t - (1 - a) * velocity,
            (
                "You multiplied by alpha_bar_t and 1 - alpha_bar_t. A rotation has cosine and"
                " sine: take the roots of both."
            ),
        ),
    ),
    bounds=Bounds(
        lambda x_t, velocity, a: -math.hypot(x_t, velocity),
        lambda x_t, velocity, a: math.hypot(x_t, velocity),
        "a rotation keeps lengths, so the clean pixel is at most the root of x_t^2 + velocity^2",
    ),
    decimals=5,
)

weighted = HandNumber(
    "11.weighted",
    values=lambda draw: {
        "error": draw.integer(5001, 19_999) / 10_000,
        "a": draw.integer(8600, 9700) / 10_000,
    },
    question=(
        "At alpha_bar_t = {a} the noise that a network predicts for a pixel is wrong by {error}."
        " What does that add to the sum of weighted squared errors, with the Min-SNR weight of the"
        " noise's error and gamma = 5? (Five decimals, rounded only at the end.)"
    ),
    answer=lambda error, a: min(1.0, 5 * (1 - a) / a) * error**2,
    mistakes=(
        (
            "not weighted",
            lambda error, a: error**2,
            (
                "That is what L_simple adds, where every time has the weight 1. Here the SNR is"
                " above 5: multiply by 5 over the SNR."
            ),
        ),
        (
            "not squared",
            lambda error, a: min(1.0, 5 * (1 - a) / a) * error,
            "You weighted the error itself. The loss is made of squares: square the error first.",
        ),
        (
            "the weight of the image's error",
            lambda error, a: min(5.0, a / (1 - a)) * error**2,
            (
                "You took 5, the weight that the error of x_0 has. This is an error of the noise:"
                " divide that weight by the SNR."
            ),
        ),
        (
            "the error of the image",
            lambda error, a: (1 - a) / a * error**2,
            (
                "You worked out the squared error of x_0, 1 over the SNR times that of the noise."
                " It is to be counted gamma times: multiply by 5."
            ),
        ),
        (
            "the weight of the velocity's error",
            lambda error, a: 5 * (1 - a) * error**2,
            (
                "You divided by SNR + 1, as for an error of the velocity. For an error of the"
                " noise, divide by the SNR alone."
            ),
        ),
    ),
    bounds=Bounds(
        lambda error, a: 0.0,
        lambda error, a: error**2,
        "the weight lies between 0 and 1, so it can only make the squared error smaller",
    ),
    decimals=5,
)

predict = Choice(
    "11.predict",
    question=(
        "The data is two numbers, -1 and 1, each as likely as the other. A network has learnt the"
        " straight paths of flow matching perfectly. You start with the noise 0.8 at s = 1, and"
        " follow it in many small steps down to s = 0. Which way does the point take?"
    ),
    options={
        "A": "straight from 0.8 to 1, at a constant speed",
        "B": "first towards 0, then it turns and ends at 1",
        "C": "first beyond 1, then back to it",
        "D": "towards 0, and it stays there",
    },
    right="B",
    replies={
        "A": (
            "Each line of training is straight, but at s = 1 the network cannot know which line"
            " this is."
        ),
        "B": (
            "At first all it can name is the mean direction, to the middle of the data. The nearer"
            " it comes, the clearer it is which of the two it will be."
        ),
        "C": "No line of training that starts at 0.8 leads beyond 1, so no mean of them does.",
        "D": (
            "It only begins like that. On the way it becomes clear that the point is on the right"
            " of the middle, and -1 drops out of the mean."
        ),
    },
)


def field(x, s, centre, var):
    mean, variance = (1 - s) * centre, (1 - s) ** 2 * var + s**2
    right = torch.sigmoid(2 * mean * x / variance)  # the share of the right cloud, at x
    balance = 2 * right - 1
    off = (x - balance * mean) / variance  # the mean distance from the cloud's middle
    return (s - (1 - s) * var) * off - balance * centre


STRETCH = Stretch(
    "11.stretch",
    ("x", "s", "centre", "var"),
    "the mean velocity at the points x at time s, shape (n,)",
    field,
    Picture(
        (torch.linspace(-2, 2, 401, dtype=torch.float64), 0.4, 1.0, 0.04),
        curve("x", "mean velocity", -2.0, 0.01),
    ),
)


def by_angle(x_t, velocity, a):
    angle = torch.acos(each(a, x_t).sqrt())
    return torch.cos(angle) * velocity + torch.sin(angle) * x_t


catch_the_bug = BugHunt(
    "11.catch_the_bug",
    noise_from_velocity,
    right=(
        Variant("goes by the angle", by_angle),
        Variant(
            "works in float64",
            lambda x_t, v, a: turned_back(x_t.double(), v.double(), a.double()).to(x_t.dtype),
        ),
        Variant(
            "takes the images one by one",
            lambda x_t, v, a: torch.stack(
                [level**0.5 * one + (1 - level) ** 0.5 * x for x, one, level in zip(x_t, v, a)]
            ),
        ),
    ),
    wrong=(
        Variant("x_t is taken for the noise", lambda x_t, v, a: x_t.clone(), BACK),
        Variant(
            "the first level for all images",
            lambda x_t, v, a: turned_back(x_t, v, a[:1]),
            TWO,
        ),
        Variant(
            "the result is clipped to [-1, 1]",
            lambda x_t, v, a: turned_back(x_t, v, a).clamp(-1, 1),
            (pixel(2.0), pixel(1.0), row(0.36)),
        ),
    ),
)

QUESTIONS = (
    by_hand,
    velocity_from_noise,
    noise_from_velocity,
    weighted,
    min_snr_weight,
    predict,
    straight_path,
    catch_the_bug,
)
