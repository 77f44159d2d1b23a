"""Lesson 07: what training feeds the network, and the running average of its weights."""

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
from marking.outcome import Made
from minddpm_course.bank.inputs import draw_betas, each, function, pixel, row
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
    hints=(
        "You make the question yourself, so you know the answer. You noise a clean image, and"
        " the noise that you used is what the network should predict.",
        "The input is the jump of lesson 02, each image at the level of its own t; the target is"
        ' what the loss at the top of "The derivation" in lesson 07 compares the prediction with.'
        " The list begins with alpha_bar_1, so the level of t stands at index t - 1.",
        "Look up the levels of all images at once, with one less than t as the index, and give"
        " them the shape (b, 1, 1, 1). Make x_t from them as your forward_diffusion does. Return"
        " x_t, and beside it the noise as you were given it.",
    ),
    after=(
        "The jump reaches any t at once, so every image of a batch can have a time of its own."
        " The target is the standard normal noise, not the scaled one, so it has variance 1 at"
        " every t: no time is a larger task than another only because of its units."
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
    program="""\
level = alpha_bars[t - 1][:, None, None, None]
x_t = level.sqrt() * x_0 + (1 - level).sqrt() * noise
loss = (model(x_t, t) - noise).square().mean()
optimizer.zero_grad()
loss.backward()
optimizer.step()
return loss
""",
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
    hints=(
        "A step of training has a forward half, which works out the loss, and a backward half,"
        " which moves the weights. You have written the parts of the first half already.",
        'The backward half stands in train_step, under "Rebuild it" in lesson 07: three'
        " calls, two of the optimizer and one of the loss. Gradients add up unless they are"
        " cleared, so think about which call comes first.",
        "Forward: training_pair gives x_t and the target, the model is called with x_t and t,"
        " and the loss is the mean of the squared differences. Backward, in this order: the"
        " optimizer's zero_grad, the loss's backward, the optimizer's step. Return the loss from"
        " before the step.",
    ),
    after=(
        "The loss of a batch is a random estimate of L_simple with the right mean, and so is its"
        " gradient. Small steps against it lower L_simple on average. The gradients of earlier"
        " batches are cleared first, because PyTorch adds new ones to them."
    ),
)


LEARNS = """def step(batch):
    error = batch - weight
    weight.add_(0.3 * error.mean(0))
    return (share[: len(batch), None, None, None] * error.square()).mean()
"""


def epochs_cases(draw: Inputs):
    b = draw.integer(2, 3)
    for what, n, batch_size, epochs in (
        ("two epochs", 3 * b, b, 2),
        ("images left over", 2 * b + 1, b, 3),
        ("one batch of all images", 4, 4, 2),
        ("batches of one image", 3, 1, 2),
        ("one epoch", 8, 3, 1),
    ):
        # it learns from what came before, and images of one batch weigh differently
        tensors = {"weight": draw.normal(1, 2, 3), "share": draw.uniform(0.5, 1.5, 4 * n)}
        orders = [torch.randperm(n, generator=draw.generator) for _ in range(epochs)]
        step = Made("step", "a function", LEARNS, tensors)
        yield Case(what, (draw.normal(n, 1, 2, 3), torch.stack(orders), batch_size, step))


def epochs_of_steps(images, orders, batch_size, step):
    """The losses of all steps, epoch by epoch."""
    losses = []
    for order in orders:
        for start in range(0, len(order) - batch_size + 1, batch_size):
            losses.append(step(images[order[start : start + batch_size]]))
    return losses


def in_their_own_order(images, orders, batch_size, step):
    unshuffled = torch.arange(len(images)).expand(len(orders), -1)
    return epochs_of_steps(images, unshuffled, batch_size, step)


def first_order_each_time(images, orders, batch_size, step):
    return epochs_of_steps(images, orders[:1].expand(len(orders), -1), batch_size, step)


def with_what_is_left(images, orders, batch_size, step):
    return [step(images[places]) for order in orders for places in order.split(batch_size)]


def across_epochs(images, orders, batch_size, step):
    return epochs_of_steps(images, orders.reshape(1, -1), batch_size, step)


def overlapping(images, orders, batch_size, step):
    return [
        step(images[order[start : start + batch_size]])
        for order in orders
        for start in range(len(order) - batch_size + 1)
    ]


def end_too_early(images, orders, batch_size, step):
    return [
        step(images[order[start : start + batch_size]])
        for order in orders
        for start in range(0, len(order) - batch_size, batch_size)
    ]


def first_batch_again(images, orders, batch_size, step):
    return [
        step(images[order[:batch_size]])
        for order in orders
        for _ in range(len(order) // batch_size)
    ]


def mean_of_epochs(images, orders, batch_size, step):
    losses = torch.stack(epochs_of_steps(images, orders, batch_size, step))
    return losses.reshape(len(orders), -1).mean(1)


SUMS = function("step", "batch", "batch.sum()")
ORDERS = torch.tensor([[2, 0, 4, 1, 3], [4, 3, 2, 1, 0]])
EPOCHS = (row(1, 2, 3, 4, 5).reshape(5, 1, 1, 1), ORDERS, 2, SUMS)
AT_EPOCHS = (
    "for five images of one pixel, with the values 1 to 5, the orders 2, 0, 4, 1, 3 and 4, 3, 2, 1,"
    " 0, batches of two, and a step that returns the sum of its batch, the losses are {right};"
    " yours {wrong}."
)
FOUR = (row(1, 2, 3, 4).reshape(4, 1, 1, 1), torch.tensor([[3, 0, 1, 2]]), 2, SUMS)
AT_FOUR = (
    "for four images of one pixel, with the values 1 to 4, the order 3, 0, 1, 2, batches of two,"
    " and a step that returns the sum of its batch, the losses are {right}; yours {wrong}."
)

training_loop = Exercise(
    "07.training_loop",
    arguments=("images", "orders", "batch_size", "step"),
    returns="the loss of each step, in the order in which the steps are taken",
    reference=epochs_of_steps,
    cases=epochs_cases,
    program="""\
losses = []
for order in orders:
    for start in range(0, len(order) - batch_size + 1, batch_size):
        places = order[start : start + batch_size]
        loss = step(images[places])
        losses.append(loss)
return losses
""",
    mistakes=(
        Mistake(
            "the order is ignored",
            in_their_own_order,
            "You take the images in the order in which they lie. Each epoch has an order of its"
            f" own: {AT_EPOCHS}",
            EPOCHS,
        ),
        Mistake(
            "the first order in every epoch",
            first_order_each_time,
            "You take the first order in every epoch. Take the next one when an epoch begins:"
            f" {AT_EPOCHS}",
            EPOCHS,
        ),
        Mistake(
            "one epoch only",
            lambda images, orders, *rest: epochs_of_steps(images, orders[:1], *rest),
            f"You stop after the first epoch. Each row of orders is one epoch: {AT_EPOCHS}",
            EPOCHS,
        ),
        Mistake(
            "the images left over are a batch",
            with_what_is_left,
            "You also step with the images that are left at the end of an epoch, too few for a"
            f" batch. Leave them out until the next epoch: {AT_EPOCHS}",
            EPOCHS,
        ),
        Mistake(
            "batches reach into the next epoch",
            across_epochs,
            "You fill up the last batch of an epoch with images of the next one. Start each epoch"
            f" with a new batch: {AT_EPOCHS}",
            EPOCHS,
        ),
        Mistake(
            "batches overlap",
            overlapping,
            "Your batches overlap: each starts one image after the one before. It starts where the"
            f" one before ended: {AT_EPOCHS}",
            EPOCHS,
        ),
        Mistake(
            "the last batch is left out",
            end_too_early,
            "You leave out the last batch of an epoch where the images fill it exactly. A range"
            f" ends before its second number: {AT_FOUR}",
            FOUR,
        ),
        Mistake(
            "the same batch again",
            first_batch_again,
            f"You step with the first batch of the epoch again and again: {AT_EPOCHS}",
            EPOCHS,
        ),
        Mistake(
            "one loss for each epoch",
            mean_of_epochs,
            f"You return the mean loss of each epoch. Return the loss of each step: {AT_EPOCHS}",
            EPOCHS,
        ),
    ),
    hints=(
        "Two loops lie in each other: one over the epochs, one over the batches of an epoch."
        " What is different in the second epoch?",
        'Look at train under "Rebuild it" in lesson 07: an order cut into pieces, and a'
        " step for each piece. There divmod finds epoch and batch from the number of the step;"
        " here the rows of orders are the epochs.",
        "Go through the rows of orders. Inside, let a start run from 0 in steps of batch_size,"
        " as long as a whole batch still fits. At each start take the next batch_size entries of"
        " the row, pick those images, call step with them, and give its loss back.",
    ),
    after=(
        "An image is seen at most once in an epoch, and a new order each time keeps the batches"
        " from being the same ones again. Batches of one size make the losses comparable; what is"
        " left over is seen in another epoch, as its place in the order changes."
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
            "You add the whole value. The weights must sum to 1; with yours the average of a"
            " constant settles at that constant over 1 - decay, ten times too high for the decay"
            f" 0.9: {AT_AVERAGE}",
            AVERAGE,
        ),
        Mistake(
            "the average is kept whole",
            lambda average, value, decay: average + (1 - decay) * value,
            "You keep the whole average. The weights must sum to 1; with yours the average of a"
            f" constant grows without limit: {AT_AVERAGE}",
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
    hints=(
        "The new average lies on the line from the old average to the new value. The decay says"
        " how near to the old one.",
        '"The running average" in lesson 07 has the formula, with d for the decay. Two weights'
        " add up to 1, and the decay is the weight of the old average.",
        "Multiply the old average by the decay, and the new value by 1 minus the decay. Add the"
        " two into a new tensor, and change neither argument.",
    ),
    after=(
        "A value from k updates ago has the weight (1 - decay) decay^k in the average: recent"
        " weights count most, and the jitter of single steps averages out. With the decay 0.999"
        " that is a memory of about 1,000 steps."
    ),
)

by_hand = HandNumber(
    "07.by_hand",
    values=lambda draw: {
        "start": draw.integer(10, 95) / 100,
        "first": draw.integer(110, 195) / 100,
        "second": draw.integer(210, 295) / 100,
        "decay": draw.integer(60, 90) / 100,
    },
    question=(
        "The running average of a weight starts at {start}. Then the weight takes the values"
        " {first} and {second}, in this order; the decay is {decay} at both updates. What is the"
        " average after them? (Six decimals, rounded only at the end.)"
    ),
    answer=lambda start, first, second, decay: (
        decay * (decay * start + (1 - decay) * first) + (1 - decay) * second
    ),
    mistakes=(
        (
            "the weights are swapped",
            lambda start, first, second, decay: (
                (1 - decay) * ((1 - decay) * start + decay * first) + decay * second
            ),
            (
                "You multiplied the new value by the decay. The decay is what is kept of the"
                " average: the new value gets the rest, 1 - decay."
            ),
        ),
        (
            "one update only",
            lambda start, first, second, decay: decay * start + (1 - decay) * first,
            (
                "You stopped after the first update. Update once more, from that average to the"
                " second value."
            ),
        ),
        (
            "the values in the wrong order",
            lambda start, first, second, decay: (
                decay * (decay * start + (1 - decay) * second) + (1 - decay) * first
            ),
            (
                "You took the second value first. The order counts, because every update shrinks"
                " what came before it: begin with the first."
            ),
        ),
        (
            "the plain mean",
            lambda start, first, second, decay: (start + first + second) / 3,
            (
                "You gave all three the same weight, as in a plain mean. Here each update keeps"
                " the decay's share of the average and adds the rest of the new value."
            ),
        ),
        (
            "the start is left out",
            lambda start, first, second, decay: decay * (1 - decay) * first + (1 - decay) * second,
            (
                "You began at 0, and so left the start out. It counts too: after two updates its"
                " weight is the decay squared."
            ),
        ),
    ),
    bounds=Bounds(
        lambda start, first, second, decay: start,
        lambda start, first, second, decay: second,
        "an average lies between the smallest and the largest of its values",
    ),
    decimals=6,
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

catch_the_bug = BugHunt(
    "07.catch_the_bug",
    ema_update,
    right=(
        Variant(
            "moves the average towards the value",
            lambda average, value, decay: average + (1 - decay) * (value - average),
        ),
        Variant(
            "interpolates with lerp",
            lambda average, value, decay: torch.lerp(value, average, decay),
        ),
        Variant(
            "works in float64",
            lambda average, value, decay: (
                decay * average.double() + (1 - decay) * value.double()
            ).to(average.dtype),
        ),
    ),
    wrong=(
        Variant(
            "the average is changed in place",
            lambda average, value, decay: average.mul_(decay).add_((1 - decay) * value),
            AVERAGE,
        ),
        Variant("the value alone", lambda average, value, decay: value.clone(), AVERAGE),
        Variant(
            "the decay is 0.9, whatever is given",
            lambda average, value, decay: 0.9 * average + 0.1 * value,
            (row(0.5), row(0.7), 0.5),
        ),
    ),
)

QUESTIONS = (training_pair, ema_update, by_hand, predict, train_step, training_loop, catch_the_bug)
