"""Milestones: what you wrote in a notebook, run on real digits and with the weights we ship.

Nothing here is graded, and nothing raises: a function that is not written yet, or stops, is named
in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from marking.outcome import error_with_line
from marking.words import counted

Function = Callable[..., Any]
Drawn = tuple[Any, str]  # a figure and its caption
FIRST_NOISE = 0
FEW_STEPS = 40  # of training


class Unfinished(Exception):
    """A function that cannot be run yet; the message says which, and why."""


class Unwritten(Unfinished):
    """A function that returns nothing."""


def milestone(lesson: str, *functions: Function) -> None:
    """Run your functions of a lesson on real digits, and draw what they make of them.

    Args:
        lesson: "02", "04", "06" or "07".
        functions: those of the lesson's milestone, in the order in which its cell names them.
    Raises: ValueError for a lesson without a milestone, or another number of functions.
    """
    from minddpm_course.figures import show

    if lesson not in MILESTONES:
        raise ValueError(f"expected a lesson of {', '.join(MILESTONES)}, got {lesson!r}")
    names, draw = MILESTONES[lesson]
    if len(functions) != len(names):
        raise ValueError(
            f"expected {' and '.join(names)}, got {counted(len(functions), 'function')}"
        )
    try:
        figure, caption = draw(*(watched(*pair) for pair in zip(names, functions)))
    except Unfinished as reason:
        print(reason)
        return
    show(figure, caption)


def watched(name: str, function: Function) -> Function:
    """A function whose errors, and whose silence, are told in words."""

    def call(*args: Any) -> Any:
        try:
            result = function(*args)
        except NotImplementedError:
            result = None
        except Unfinished:  # of a function that it was handed
            raise
        except Exception as error:
            raise Unfinished(f"{name} stops here: {error_with_line(error)}.") from error
        if result is None or result is ...:
            raise Unwritten(f"{name} is not written yet. Write it above, then run this cell again.")
        return result

    return call


def returned_by(name: str, result: Any, like: Tensor, *shape: int) -> Tensor:
    """What a function returned, as a tensor like another."""
    from minddpm_course.answers import tensor_of

    try:
        return tensor_of(result, like, shape or None).detach()
    except Exception as error:
        raise Unfinished(
            f"{name} returns something of another kind or shape than expected: run its check."
        ) from error


def noised(forward_diffusion: Function) -> Drawn:
    """A digit of the test set at growing t."""
    from minddpm import forward_diffusion as right_diffusion
    from minddpm import linear_schedule, load_mnist
    from minddpm_course.figures import image_grid

    schedule = linear_schedule()
    times = torch.tensor([1, 50, 150, 300, 500, 1000])
    x_0 = load_mnist("test")[0][:1].expand(len(times), -1, -1, -1)
    noise = torch.randn(x_0[:1].shape, generator=torch.Generator().manual_seed(FIRST_NOISE))
    noise = noise.expand_as(x_0)
    levels = schedule.alpha_bar[times].float()
    result = forward_diffusion(x_0.clone(), levels, noise.clone())
    yours = returned_by("forward_diffusion", result, x_0)
    right, _ = right_diffusion(x_0, times, schedule, noise)
    titles = [f"t = {t}" for t in times.tolist()]
    told = "A digit of the test set, noised by your forward_diffusion"
    if torch.allclose(yours, right, atol=1e-4):
        caption = f"{told}. The library makes the same images."
        return image_grid(yours, titles, columns=len(times)), caption
    caption = f"{told}, above what the library makes of it: they differ."
    rows = [*titles, *(f"library, t = {t}" for t in times.tolist())]
    return image_grid(torch.cat([yours, right]), rows, columns=len(times)), caption


@torch.no_grad()
def measured(simple_loss: Function) -> Drawn:
    """The loss of the shipped weights at several t."""
    from minddpm import forward_diffusion, load_mnist, load_pretrained
    from minddpm.network import call_model

    model, schedule, *_ = load_pretrained()
    times = [1, 5, 10, 20, 50, 100, 200, 300, 500, 700, 1000]
    x_0 = load_mnist("test")[0][:32]
    generator = torch.Generator().manual_seed(FIRST_NOISE)
    yours, right = [], []
    for t in times:
        x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)
        predicted = call_model(model, x_t, t)
        right.append(torch.nn.functional.mse_loss(predicted, noise).item())
        loss = simple_loss(predicted.clone(), noise.clone())
        yours.append(returned_by("simple_loss", loss, predicted, 1).item())
    return loss_at_each_time(times, yours, right)


def loss_at_each_time(times: list[int], yours: list[float], right: list[float]) -> Drawn:
    """Two curves over t."""
    from minddpm_course.figures import COLOURS, GREY, INK, new_figure, styled

    @styled
    def drawn() -> Any:
        figure, ((axis,),) = new_figure(height=2.6)
        axis.plot(times, right, color=INK, linewidth=4, alpha=0.3)
        axis.plot(times, yours, "o-", color=COLOURS["network"], markersize=4)
        axis.set(xlabel="time $t$", ylabel="loss", xscale="log", ylim=(0, None))
        axis.text(
            0.98, 0.9, "yours", color=COLOURS["network"], transform=axis.transAxes, ha="right"
        )
        axis.text(0.98, 0.78, "library", color=GREY, transform=axis.transAxes, ha="right")
        return figure

    told = "Your simple_loss of the shipped weights on 32 digits of the test set, at growing t"
    if torch.allclose(torch.tensor(yours), torch.tensor(right), atol=1e-4):
        return drawn(), f"{told}. It is the library's, at every t that was tried."
    return drawn(), f"{told}, beside the library's: they differ."


@torch.no_grad()
def drawn_from_noise(sample: Function, reverse_step: Function) -> Drawn:
    """Digits from the shipped weights."""
    from minddpm import load_pretrained
    from minddpm.respacing import respaced
    from minddpm_course.answers import tensor_of
    from minddpm_course.figures import image_grid

    model, schedule, *_ = load_pretrained()
    network, shorter = respaced(model, schedule, 100)
    betas = shorter.beta[1:].float()
    generator = torch.Generator().manual_seed(FIRST_NOISE)
    x_T = torch.randn(8, 1, 28, 28, generator=generator)

    def predict(x_t: Any, t: Any) -> Tensor:
        predicted: Tensor = network(tensor_of(x_t, x_T), torch.as_tensor(t))
        return predicted

    def step(x_t: Any, predicted_noise: Any, t: Any) -> Tensor:
        noise = torch.randn(x_T.shape, generator=generator)
        parts = (tensor_of(x_t, x_T), tensor_of(predicted_noise, x_T))
        return returned_by("reverse_step", reverse_step(*parts, int(t), betas, noise), x_T)

    x_0 = returned_by("sample", sample(predict, x_T.clone(), shorter.T, step), x_T)
    caption = (
        "Eight images that your sample and your reverse_step made of noise, with the shipped"
        " weights and 100 of the 1,000 steps."
    )
    return image_grid(x_0, columns=8), caption


def trained(training_loop: Function, train_step: Function) -> Drawn:
    """The loss of a network's first steps."""
    from minddpm import UNet, load_mnist
    from minddpm.schedule import linear_schedule
    from minddpm_course.figures import COLOURS, GREY, new_figure, styled

    batch_size = 16
    schedule = linear_schedule()
    alpha_bars = schedule.alpha_bar[1:].float()
    generator = torch.Generator().manual_seed(FIRST_NOISE)
    images = load_mnist()[0][: FEW_STEPS * batch_size]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(FIRST_NOISE)
        model = UNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def step(some: Any) -> Tensor:
        from minddpm_course.answers import tensor_of

        x_0 = tensor_of(some, images, (-1, *images.shape[1:]))
        t = schedule.sample_t(len(x_0), generator=generator)
        noise = torch.randn(x_0.shape, generator=generator)
        loss = train_step(model, optimizer, x_0, alpha_bars, t, noise)
        return returned_by("train_step", loss, x_0, 1)[0]

    orders = torch.randperm(len(images), generator=generator)[None]
    told = "your training_loop and your train_step"
    try:
        taken = list(training_loop(images, orders, batch_size, step))
    except Unwritten as reason:
        if "training_loop" not in str(reason):
            raise
        told = "your train_step; training_loop is not written yet, so a plain loop took the batches"
        taken = list(in_batches(images, orders, batch_size, step))
    losses = [returned_by("training_loop", loss, images, 1).item() for loss in taken]

    @styled
    def drawn() -> Any:
        figure, ((axis,),) = new_figure(height=2.6)
        axis.plot(range(1, len(losses) + 1), losses, color=COLOURS["network"])
        axis.axhline(1, color=GREY, linewidth=1, linestyle=":")
        axis.text(len(losses), 1.02, "predicts 0", color=GREY, ha="right", fontsize=8)
        axis.set(xlabel="step", ylabel="loss", ylim=(0, None))
        return figure

    first, last = (sum(some) / len(some) for some in (losses[:5], losses[-5:]))
    caption = (
        f"The loss of a fresh U-Net in {len(losses)} steps of {batch_size} digits with {told}:"
        f" {first:.2f} on average in the first five, {last:.2f} in the last five."
    )
    return drawn(), caption


def in_batches(
    images: Tensor, orders: Tensor, batch_size: int, step: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    """The loop around steps, where there is none of the student's yet."""
    for order in orders:
        for places in order.split(batch_size):
            yield step(images[places])


MILESTONES: dict[str, tuple[tuple[str, ...], Callable[..., Drawn]]] = {
    "02": (("forward_diffusion",), noised),
    "04": (("simple_loss",), measured),
    "06": (("sample", "reverse_step"), drawn_from_noise),
    "07": (("training_loop", "train_step"), trained),
}
