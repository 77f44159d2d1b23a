"""Lesson 07: what training feeds the network, and the running average of its weights."""

from __future__ import annotations

import torch

from marking.exercise import (
    Bounds,
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
from marking.outcome import Made
from minddpm_course.bank.inputs import draw_betas, each, pixel, row
from minddpm_course.pictures import curve


def noisy(x_0, level, noise):
    return each(level, x_0).sqrt() * x_0 + (1 - each(level, x_0)).sqrt() * noise


def pair_cases(draw: Inputs):
    def levels(T: int) -> torch.Tensor:
        return (1 - draw_betas(draw, T)).cumprod(0)

    for what, times, shape in (
        ("a batch", [2, 5, 3], (3, 1, 4, 5)),
        ("t = 1 and t = T", [1, 7], (2, 1, 3, 4)),
        ("a batch of one", [4], (1, 1, 5, 5)),
        ("batch and width equal", [3, 1, 6, 2], (4, 1, 4, 4)),
    ):
        x_0, noise = draw.normal(*shape).clamp(-1, 1), draw.normal(*shape)
        yield Case(what, (x_0, levels(7), torch.tensor(times), noise))
    x_0, noise = draw.normal(2, 2, 1, 3, 3).double()
    yield Case("float64", (x_0, levels(6).double(), torch.tensor([5, 2]), noise))


LEVELS = torch.tensor([0.81, 0.49, 0.25], dtype=torch.float64)
PAIR = (pixel(0.8), LEVELS, torch.tensor([2]), pixel(0.3))
AT_PAIR = (
    "for alpha_bars 0.81, 0.49, 0.25, t = 2, a pixel of 0.8 and noise of 0.3, input and target are"
    " {right}; yours {wrong}."
)
WHITE = torch.ones(2, 1, 1, 2, dtype=torch.float64)
TWO = (WHITE, LEVELS, torch.tensor([1, 3]), 0 * WHITE)
AT_TWO = (
    "two images of one row, of two white pixels, at t = 1 and t = 3 of the alpha_bars 0.81, 0.49,"
    " 0.25 and without noise, give {right}; yours {wrong}."
)


def one_axis(x_0, alpha_bars, t, noise):
    level = alpha_bars[t - 1]
    return level.sqrt() * x_0 + (1 - level).sqrt() * noise, noise


training_pair = Exercise(
    "07.training_pair",
    arguments=("x_0", "alpha_bars", "t", "noise"),
    returns="the network's input and the target of the regression, both of the shape of x_0",
    reference=lambda x_0, alpha_bars, t, noise: (noisy(x_0, alpha_bars[t - 1], noise), noise),
    cases=pair_cases,
    formula=Formula(
        ("sqrt(alpha_bar_t) * x_0 + sqrt(1 - alpha_bar_t) * noise", "noise"),
        {"alpha_bar_t": "alpha_bars[t - 1]"},
    ),
    points=3,
    mistakes=(
        Mistake(
            "t counts from 0",
            lambda x_0, alpha_bars, t, noise: (noisy(x_0, alpha_bars[t], noise), noise),
            "You read alpha_bars[t]. The list begins with alpha_bar_1, so alpha_bar_t is"
            f" alpha_bars[t - 1]; at t = T yours runs off the end: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the clean image is the target",
            lambda x_0, alpha_bars, t, noise: (noisy(x_0, alpha_bars[t - 1], noise), x_0),
            f"Your target is the clean image. This network learns to predict the noise: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "input and target are swapped",
            lambda x_0, alpha_bars, t, noise: (noise, noisy(x_0, alpha_bars[t - 1], noise)),
            f"You return the noise first. The input of the network comes first: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the target is the scaled noise",
            lambda x_0, alpha_bars, t, noise: (
                noisy(x_0, alpha_bars[t - 1], noise),
                (1 - each(alpha_bars[t - 1], x_0)).sqrt() * noise,
            ),
            "Your target is the noise as it was added, scaled. The network learns the standard"
            f" normal noise itself: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "variance instead of standard deviation",
            lambda x_0, alpha_bars, t, noise: (
                each(alpha_bars[t - 1], x_0).sqrt() * x_0
                + (1 - each(alpha_bars[t - 1], x_0)) * noise,
                noise,
            ),
            f"You scale the noise by 1 - alpha_bar, its variance. Take the root: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "the input is the clean image",
            lambda x_0, alpha_bars, t, noise: (x_0, noise),
            f"The network would see the clean image, which contains no noise to predict: {AT_PAIR}",
            PAIR,
        ),
        Mistake(
            "one time for the whole batch",
            lambda x_0, alpha_bars, t, noise: (noisy(x_0, alpha_bars[t[:1] - 1], noise), noise),
            f"You use the first image's time for the whole batch. Each image has its own: {AT_TWO}",
            TWO,
        ),
        Mistake(
            "levels along the wrong axis",
            one_axis,
            "Your levels are broadcast along the last axis, the columns. Give them the shape (b,"
            " 1, 1, 1): " + AT_TWO,
            TWO,
        ),
    ),
)


NETWORK = """class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)

    def forward(self, x_t, t):
        return self.weight * x_t + self.bias * t[:, None, None, None]


model = Network()
model.weight.grad, model.bias.grad = left  # from a step before
"""
OPTIMIZER = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"


def trainable(weight: torch.Tensor, bias: torch.Tensor, left: torch.Tensor) -> tuple[Made, Made]:
    """A network of two weights, with gradients left over from a step before, and its optimizer."""
    tensors = {"weight": weight, "bias": bias, "left": left}
    look = "torch.cat([model.weight, model.bias])"
    model = Made("model", "a network of two weights", NETWORK, tensors, look)
    return model, Made("optimizer", "its optimizer", OPTIMIZER)


def step_cases(draw: Inputs):
    for what, times, shape in (
        ("a batch", [2, 5, 3], (3, 1, 4, 5)),
        ("t = 1 and t = T", [1, 7], (2, 1, 3, 4)),
        ("a batch of one", [4], (1, 1, 5, 5)),
    ):
        parts = trainable(draw.normal(1), draw.normal(1) / 10, draw.normal(2, 1))
        x_0, noise = draw.normal(*shape).clamp(-1, 1), draw.normal(*shape)
        levels = (1 - draw_betas(draw, 7)).cumprod(0)
        yield Case(what, (*parts, x_0, levels, torch.tensor(times), noise))


def gradient_step(
    model, optimizer, x_0, alpha_bars, t, noise, *, fresh=True, target=None, step=True
):
    """One step of training, with parts that a mistake may replace."""
    error = model(noisy(x_0, alpha_bars[t - 1], noise), t) - (noise if target is None else target)
    loss = error.square().mean()
    if fresh:
        optimizer.zero_grad()
    loss.backward()
    if step:
        optimizer.step()
    return loss


def clean_target(model, optimizer, x_0, alpha_bars, t, noise):
    return gradient_step(model, optimizer, x_0, alpha_bars, t, noise, target=x_0)


def loss_afterwards(model, optimizer, x_0, alpha_bars, t, noise):
    gradient_step(model, optimizer, x_0, alpha_bars, t, noise)
    error = model(noisy(x_0, alpha_bars[t - 1], noise), t) - noise
    return error.square().mean()


def clean_input(model, optimizer, x_0, alpha_bars, t, noise):
    return gradient_step(model, optimizer, x_0, torch.ones_like(alpha_bars), t, noise)


STEP = (
    *trainable(row(0.5), row(0.1), row(1.0, 1.0).reshape(2, 1)),
    pixel(0.8),
    LEVELS,
    torch.tensor([2]),
    pixel(0.3),
)
AT_STEP = (
    "for a network that predicts 0.5 x_t + 0.1 t, with gradients of 1 left from the step before,"
    " one pixel of 0.8 with noise 0.3 at t = 2 of the alpha_bars 0.81, 0.49, 0.25, and SGD with a"
    " rate of 0.1, the loss and the new weights are {right}; yours {wrong}."
)

train_step = Exercise(
    "07.train_step",
    arguments=("model", "optimizer", "x_0", "alpha_bars", "t", "noise"),
    returns="the loss, a number; the network's weights after the step are compared as well",
    reference=gradient_step,
    cases=step_cases,
    points=4,
    mistakes=(
        Mistake(
            "old gradients are kept",
            lambda *args: gradient_step(*args, fresh=False),
            "You never clear the gradients, so those of the steps before are added to these. Call"
            f" optimizer.zero_grad() before backward: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "no step is taken",
            lambda *args: gradient_step(*args, step=False),
            "The weights stay as they were. Call optimizer.step() after backward, and clear the"
            f" gradients before it, not in between: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the clean image is the target",
            clean_target,
            f"You compare with the clean image. The network predicts the noise: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the input is the clean image",
            clean_input,
            f"The network is shown the clean image. Show it x_t: {AT_STEP}",
            STEP,
        ),
        Mistake(
            "the loss after the step",
            loss_afterwards,
            "You return the loss after the step, for which the network has to be called again."
            f" Return the loss from which the gradients come: {AT_STEP}",
            STEP,
        ),
    ),
)


def average_cases(draw: Inputs):
    for what, shape in (
        ("a matrix", (3, 4)),
        ("one number", (1,)),
        ("a convolution", (4, 2, 3, 3)),
    ):
        yield Case(what, (draw.normal(*shape), draw.normal(*shape), draw.decimal(0.7, 0.95)))
    yield Case("decay 0: no memory", (draw.normal(3), draw.normal(3), 0.0))
    yield Case("the usual decay", (draw.normal(5), draw.normal(5), 0.999))
    yield Case("float64", (draw.normal(3).double(), draw.normal(3).double(), 0.9))


AVERAGE = (row(0.5), row(0.7), 0.9)
AT_AVERAGE = (
    "for an average of 0.5, a value of 0.7 and the decay 0.9 it is {right}; yours is {wrong}."
)

ema_update = Exercise(
    "07.ema_update",
    arguments=("average", "value", "decay"),
    returns="the new average, the shape of average",
    reference=lambda average, value, decay: decay * average + (1 - decay) * value,
    cases=average_cases,
    formula=Formula(
        ("decay * average + (1 - decay) * value",),
        otherwise=Formula(("average + (1 - decay) * (value - average)",)),
    ),
    mistakes=(
        Mistake(
            "the weights are swapped",
            lambda average, value, decay: decay * value + (1 - decay) * average,
            "You multiply the new value by the decay. The decay belongs to the average:"
            f" {AT_AVERAGE}",
            AVERAGE,
        ),
        Mistake(
            "the value is added whole",
            lambda average, value, decay: decay * average + value,
            "You add the whole value. The weights must sum to 1, or the average grows without"
            f" limit: {AT_AVERAGE}",
            AVERAGE,
        ),
        Mistake(
            "the average is kept whole",
            lambda average, value, decay: average + (1 - decay) * value,
            "You keep the whole average. The weights must sum to 1, or it grows without limit:"
            f" {AT_AVERAGE}",
            AVERAGE,
        ),
        Mistake(
            "the plain mean",
            lambda average, value, decay: (average + value) / 2,
            f"You take the mean of the two and ignore the decay: {AT_AVERAGE}",
            AVERAGE,
        ),
        Mistake(
            "the step goes the wrong way",
            lambda average, value, decay: average + (1 - decay) * (average - value),
            f"You move away from the value. Move towards it: {AT_AVERAGE}",
            AVERAGE,
        ),
    ),
)

by_hand = HandNumber(
    "07.by_hand",
    values=lambda draw: {
        "start": round(draw.integer(1, 9) * 0.1, 1),
        "first": round(draw.integer(1, 9) * 0.1 + 1, 1),
        "second": round(draw.integer(1, 9) * 0.1 + 2, 1),
    },
    question=(
        "The running average of a weight starts at {start}. Then the weight takes the values"
        " {first} and {second}, in this order; the decay is 0.8 at both updates. What is the"
        " average after them? (Three decimals.)"
    ),
    answer=lambda start, first, second: 0.8 * (0.8 * start + 0.2 * first) + 0.2 * second,
    mistakes=(
        (
            "the weights are swapped",
            lambda start, first, second: 0.2 * (0.2 * start + 0.8 * first) + 0.8 * second,
            (
                "You multiplied the new value by the decay. The decay is what is kept of the"
                " average: the new value gets the rest, 0.2."
            ),
        ),
        (
            "one update only",
            lambda start, first, second: 0.8 * start + 0.2 * first,
            (
                "You stopped after the first update. Update once more, from that average to the"
                " second value."
            ),
        ),
        (
            "the values in the wrong order",
            lambda start, first, second: 0.8 * (0.8 * start + 0.2 * second) + 0.2 * first,
            (
                "You took the second value first. The order counts, because every update shrinks"
                " what came before it: begin with the first."
            ),
        ),
        (
            "the plain mean",
            lambda start, first, second: (start + first + second) / 3,
            (
                "You gave all three the same weight, as in a plain mean. Here each update keeps"
                " 0.8 of the average and adds 0.2 of the new value."
            ),
        ),
        (
            "the start is left out",
            lambda start, first, second: 0.8 * 0.2 * first + 0.2 * second,
            (
                "You began at 0, and so left the start out. It counts too: after two updates its"
                " weight is 0.8 squared."
            ),
        ),
    ),
    bounds=Bounds(
        lambda start, first, second: start,
        lambda start, first, second: second,
        "an average lies between the smallest and the largest of its values",
    ),
)

predict = Choice(
    "07.predict",
    question=(
        "At which t is the loss of a trained network smallest, and does the network know the digit"
        " best there?"
    ),
    options={
        "A": "at small t, and yes: little noise is easy",
        "B": "at large t, and yes",
        "C": "at large t, and no",
        "D": "at small t, and no",
    },
    right="C",
    replies={
        "A": (
            "At small t the noise is too faint to tell it from the digit: the loss is largest"
            " there."
        ),
        "B": (
            "The loss is smallest there, because x_t is nearly the noise itself. The digit is"
            " hidden."
        ),
        "C": "At large t the noise is plain to see and the digit is hidden.",
        "D": (
            "At small t the noise is too faint to tell it from the digit: the loss is largest"
            " there."
        ),
    },
)


def running_average(values, decay):
    averages = [values[0]]
    for step, value in enumerate(values[1:]):
        d = min(decay, (1 + step) / (10 + step))
        averages.append(d * averages[-1] + (1 - d) * value)
    return torch.stack(averages)


DRAW = torch.Generator().manual_seed(1)
LOSSES = (
    torch.exp(-torch.arange(300, dtype=torch.float64) / 40)
    + 0.1 * torch.randn(300, generator=DRAW).double().abs()
)

STRETCH = Stretch(
    "07.stretch",
    ("values", "decay"),
    "the first value, then the average after each update n = 0, 1, ..., its decay min(decay, (1 +"
    " n) / (10 + n))",
    running_average,
    Picture((LOSSES, 0.95), curve("step", "loss")),
)

QUESTIONS = (training_pair, ema_update, by_hand, predict, train_step)
