"""Pictures of how things hang together: the stages of a step, the U-Net, the way from the bound to
the simple loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from minddpm.loss import Model, VariationalBound, evaluate
from minddpm.noising import forward_diffusion
from minddpm.posterior import beta_variance, q_posterior, posterior_coefficients, posterior_variance
from minddpm.sampler import estimate_x0, reverse_step
from minddpm.schedule import Schedule
from minddpm.unet import UNet
from minddpm_course.figures import (
    CENTRE,
    COLOURS,
    GREY,
    INK,
    arrow,
    canvas,
    draw_image,
    new_figure,
    number,
    styled,
)

SIDE, PITCH = 0.84, 1.2  # inches: the side of a stage's image, and from one stage to the next


def stages(
    panels: Sequence[tuple[Tensor | None, str, str, str]], below: float
) -> tuple[Figure, Axes, float]:
    """Six panels in a row, each (image in [-1, 1], title, role, words under it), and the height of
    their lower edge.
    """
    figure, axis = canvas(below + SIDE + 0.3)
    for stage, (image, title, role, words) in enumerate(panels):
        x = 0.08 + stage * PITCH
        if image is not None:
            draw_image(axis, image, extent=(x, x + SIDE, below, below + SIDE))
        axis.text(
            x + SIDE / 2,
            below + SIDE + 0.14,
            title,
            color=COLOURS.get(role, INK),
            fontsize=10,
            **CENTRE,
        )
        axis.text(
            x + SIDE / 2, below - 0.07, words, ha="center", va="top", fontsize=8, linespacing=1.4
        )
    return figure, axis, below


def between(axis: Axes, stage: int, y: float, sign: str = "") -> None:
    """Join a stage to the next: by a sign, or by an arrow if there is none."""
    x = 0.08 + stage * PITCH + SIDE
    if sign:
        axis.text(x + (PITCH - SIDE) / 2, y, sign, fontsize=13, **CENTRE)
    else:
        arrow(axis, (x + 0.06, y), (x + PITCH - SIDE - 0.06, y))


@styled
@torch.inference_mode()
def sampling_step_stages(
    model: Model, x_t: Tensor, t: int, schedule: Schedule, noise: Tensor
) -> Figure:
    """One turn of the sampling loop on one image, as `sample` takes it: every value between x_t and
    x_{t-1}.

    Args:
        model: predicts the noise.
        x_t, noise: a noisy image and standard normal noise, both (1, 1, h, w).
        t: the time of x_t, 1..T.
        schedule: the noise schedule.

    Replaces the guide's figure 8.
    """
    predicted_noise = evaluate(model, x_t, torch.full((1,), t))
    x_0 = estimate_x0(x_t, t, predicted_noise, schedule, clip=True)
    mean = q_posterior(x_0, x_t, t, schedule).mean
    x_prev = reverse_step(x_t, t, predicted_noise, schedule, noise, clip=True)
    coef_x0, coef_xt = posterior_coefficients(t, schedule)
    spread = (
        rf"$\sigma_t={number(beta_variance(t, schedule).sqrt())}$" if t > 1 else "none at $t=1$"
    )
    panels = [
        (x_t, "$x_t$", "noisy", f"$t={t}$"),
        (predicted_noise, "predicted noise", "network", r"$\epsilon_\theta(x_t, t)$"),
        (x_0, "$x_0$ estimate", "network", "$\\hat x_0$, clipped\nto $[-1, 1]$"),
        (
            mean,
            "mean",
            "network",
            rf"${number(coef_x0)}\,\hat x_0$" "\n" rf"$+\;{number(coef_xt)}\,x_t$",
        ),
        (x_prev - mean, "fresh noise", "noise", r"$\sigma_t z$" "\n" + spread),
        (x_prev, "$x_{t-1}$", "noisy" if t > 1 else "clean", f"$t-1={t - 1}$"),
    ]
    figure, axis, below = stages(panels, below=0.95)
    for stage, sign in enumerate(("", "", "", "+", "=")):
        between(axis, stage, below + SIDE / 2, sign)
    x = 0.08 + (PITCH + SIDE) / 2
    axis.text(x, below + SIDE / 2 + 0.12, "U-Net", color=COLOURS["network"], fontsize=7.5, **CENTRE)
    first, last, low = 0.08 + SIDE / 2, 0.08 + 5 * PITCH + SIDE / 2, 0.2
    axis.plot((last, last, first), (below - 0.28, low, low), color=INK, linewidth=1.2)
    arrow(axis, (first, low), (first, below - 0.28))
    words = f"again with $t-1$ in place of $t$, from $t={schedule.T}$ down to $t=1$"
    axis.text((first + last) / 2, low + 0.1, words, fontsize=8, **CENTRE)
    return figure


@styled
@torch.inference_mode()
def training_step_stages(
    model: Model, x_0: Tensor, schedule: Schedule, t: int, noise: Tensor
) -> Figure:
    """The six stages of a training step with the values of one image, the loss included.

    Args:
        model: predicts the noise.
        x_0, noise: a clean image and standard normal noise, both (1, 1, h, w).
        schedule: the noise schedule.
        t: the time that was drawn, 1..T.

    Replaces the guide's figure 5.
    """
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    predicted_noise = evaluate(model, x_t, torch.full((1,), t))
    error = (noise - predicted_noise) ** 2
    alpha_bar, largest = schedule.alpha_bar[t], float(error.max())
    weights = (
        rf"${number(alpha_bar.sqrt())}\,x_0$"
        "\n"
        rf"$+\;{number((1 - alpha_bar).sqrt())}\,\epsilon$"
    )
    panels = [
        (x_0, "image $x_0$", "clean", "drawn from\nthe data"),
        (None, f"time $t={t}$", "", f"uniform on\n$1 \\ldots {schedule.T}$"),
        (noise, r"noise $\epsilon$", "noise", r"$\mathcal{N}(0, 1)$" "\nfor each pixel"),
        (x_t, "$x_t$", "noisy", weights),
        (predicted_noise, "predicted noise", "network", r"$\epsilon_\theta(x_t, t)$"),
        (
            error / largest * 2 - 1,
            r"$(\epsilon-\epsilon_\theta)^2$",
            "",
            f"black 0, white {largest:.2g}",
        ),
    ]
    figure, axis, below = stages(panels, below=0.5)
    for stage in (2, 3, 4):
        between(axis, stage, below + SIDE / 2)
    x, y = 0.08 + PITCH, below + SIDE / 2
    axis.plot((x, x + SIDE), (y, y), color=INK, linewidth=1.2)
    axis.plot(x + SIDE * (t - 1) / max(schedule.T - 1, 1), y, "o", color=INK)
    for place_x, end in ((x, 1), (x + SIDE, schedule.T)):
        axis.text(place_x, y - 0.14, str(end), fontsize=8, **CENTRE)
    words = f"loss = {float(error.mean()):.4f}"  # the mean over the pixels
    axis.text(
        0.08 + 5 * PITCH + SIDE / 2, below - 0.31, words, fontsize=8.5, weight="bold", **CENTRE
    )
    return figure


@styled
@torch.inference_mode()
def unet_diagram(model: UNet, image_shape: Sequence[int]) -> Figure:
    """The U-Net as it is: hooks on its modules note what passes when it is asked about one zero
    image.

    Boxes hold channels x height x width of what each block puts out; every block is given the time.

    Args:
        model: a U-Net of any configuration.
        image_shape: (b, c, h, w) or (c, h, w) of the images.

    Replaces the guide's figure 7.
    """
    shapes: dict[torch.nn.Module, str] = {}

    def record(module: torch.nn.Module, _inputs: tuple, output: Tensor) -> None:
        shapes[module] = " × ".join(str(side) for side in output.shape[1:])

    hooks = [module.register_forward_hook(record) for module in model.modules()]
    try:
        evaluate(model, torch.zeros(1, *image_shape[-3:]), torch.ones(1, dtype=torch.int64))
    finally:
        for hook in hooks:
            hook.remove()
    down = [(level, block) for level, blocks in enumerate(model.encoder) for block in blocks]
    up = [block for blocks in model.decoder for block in blocks][
        ::-1
    ]  # so that skips join equal rows
    shift, wide, high = min(0.35, 0.85 / max(len(model.encoder) - 1, 1)), 1.15, 0.25
    y = 1.62 + 0.37 * len(down) + 0.16 * len(model.encoder)
    figure, axis = canvas(y + 0.45)

    def box(x: float, y: float, module: torch.nn.Module, filled: bool = False) -> None:
        corner, edge = (x - wide / 2, y - high / 2), COLOURS["network"]
        axis.add_patch(
            Rectangle(
                corner, wide, high, lw=1.3, edgecolor=edge, facecolor=edge if filled else "white"
            )
        )
        axis.text(x, y, shapes[module], color="white" if filled else INK, fontsize=8, **CENTRE)

    def words(x: float, y: float, text: str, colour: str = INK, **options) -> None:
        axis.text(x, y, text, color=colour, fontsize=8, **CENTRE | options)

    x, roof = 0.45 + wide / 2, y
    box(x, y, model.stem)
    box(7 - x, y, model.out)
    words(x, y + 0.28, "noisy image $x_t$", COLOURS["noisy"])
    words(7 - x, y + 0.28, r"predicted noise $\epsilon_\theta(x_t, t)$", COLOURS["network"])
    words(3.5, y + 0.28, f"{sum(weights.numel() for weights in model.parameters()):,} parameters")
    previous = 0
    for (level, block), mirror in zip(down, up):
        new_x, new_y = x + shift * (level - previous), y - 0.37 - 0.16 * (level > previous)
        for side, start, end in ((1, (x, y), (new_x, new_y)), (-1, (7 - new_x, new_y), (7 - x, y))):
            arrow(axis, (start[0], start[1] - side * high / 2), (end[0], end[1] + side * high / 2))
        if level > previous:
            words(new_x + 0.1, (y + new_y) / 2, "sides halved", GREY, ha="left")
            words(7 - new_x - 0.1, (y + new_y) / 2, "sides doubled", GREY, ha="right")
        x, y, previous = new_x, new_y, level
        box(x, y, block)
        box(7 - x, y, mirror)
        arrow(axis, (x + wide / 2, y), (7 - x - wide / 2, y))
        arrow(axis, (0.15, y), (x - wide / 2, y), GREY)
        arrow(axis, (6.85, y), (7 - x + wide / 2, y), GREY)
    words(3.5, roof - 0.27, "skips: kept, and joined to what comes up")

    middle, floor = y - 0.58, 0.6
    arrow(axis, (x, y - high / 2), (x, middle + high / 2))
    arrow(axis, (7 - x, middle + high / 2), (7 - x, y - high / 2))
    for centre, module in ((x, model.middle_in), (3.5, model.attention), (7 - x, model.middle_out)):
        box(centre, middle, module, filled=module is model.attention)
    words(3.5, middle + 0.22, "self-attention", COLOURS["network"])
    arrow(axis, (x + wide / 2, middle), (3.5 - wide / 2, middle))
    arrow(axis, (3.5 + wide / 2, middle), (7 - x - wide / 2, middle))
    axis.plot(
        (0.15, 0.15, 6.85, 6.85),
        (roof - 0.37, floor, floor, roof - 0.37),
        color=GREY,
        linewidth=1.2,
    )
    for centre in (x, 7 - x):
        arrow(axis, (centre, floor), (centre, middle - high / 2), GREY)
    axis.plot((3.5, 3.5), (0.32, floor), color=GREY, linewidth=1.2)
    words(
        3.5,
        0.2,
        f"time $t$ → sines and cosines → two layers: {shapes[model.time]} numbers, given to every"
        " block",
    )
    return figure


@styled
def bound_to_simple_loss(bound: VariationalBound, schedule: Schedule, errors: Tensor) -> Figure:
    """From the variational bound to the simple loss: its terms, their middle for each t, its
    weight, and without it.

    Args:
        bound: of a batch of images, with `posterior_variance`; its mean over the batch is drawn.
        schedule: the noise schedule of both.
        errors: the mean squared error of the predicted noise at t = 1..T, shape (T,).

    Raises: ValueError where the lengths do not fit the schedule.
    Replaces the guide's figure 6.
    """
    if bound.denoising.shape[1] != schedule.T - 1 or errors.shape != (schedule.T,):
        wanted, got = (schedule.T - 1, schedule.T), (bound.denoising.shape[1], *errors.shape)
        raise ValueError(
            f"T = {schedule.T} needs {wanted[0]} denoising terms and {wanted[1]} errors, got {got}"
        )
    denoising = bound.denoising.mean(0).flip(0)  # t = 2..T
    terms = [float(bound.prior.mean()), float(denoising.sum()), float(bound.reconstruction.mean())]
    bits = bound.total_bits_per_dim.mean()
    pixels = sum(terms) / math.log(2) / float(bits)
    t = torch.arange(1, schedule.T + 1)
    # mu_tilde depends on x_0 by coef_x0, and x_0 on the noise by sqrt((1 - alpha_bar) / alpha_bar)
    weight = (
        posterior_coefficients(t, schedule)[0] ** 2
        / schedule.snr[1:]
        / (2 * posterior_variance(t, schedule))
    )

    figure, axes = new_figure(2, 2, height=4.6)
    (sums, middle), (weights, simple) = axes
    names = ("prior $L_T$", r"denoising $\sum L_{t-1}$", "reconstruction $L_0$")
    sums.barh(
        names, terms, color=[COLOURS["noise"], COLOURS["network"], COLOURS["clean"]], height=0.55
    )
    for row, term in enumerate(terms):
        sums.text(max(term, 0), row, f" {term:,.2f}", va="center", fontsize=8)
    sums.set(title=f"1. The bound is a sum: {bits:.2f} bits a pixel", xlabel="nats an image")
    sums.set(xlim=(0, 1.3 * max(terms)), ylim=(2.5, -0.5))
    sums.spines["left"].set_visible(False)
    sums.tick_params(left=False)
    middle.plot(t[1:], denoising, color=COLOURS["network"])
    middle.plot(t[1:], weight[1:] * pixels * errors[1:], color=INK, linewidth=0.7)
    middle.text(
        0.98, 0.9, "$L_{t-1}$", color=COLOURS["network"], ha="right", transform=middle.transAxes
    )
    middle.text(
        0.98, 0.78, "weight × squared error", fontsize=8, ha="right", transform=middle.transAxes
    )
    middle.set(title="2. Its middle is a term for each $t$", ylabel="nats an image", yscale="log")
    weights.plot(t[1:], weight[1:], color=INK)
    weights.set(
        title="3. The weight that each error has", ylabel="nats a squared error", yscale="log"
    )
    simple.plot(t, errors, color=COLOURS["network"])
    simple.axhline(errors.mean(), color=INK, linewidth=0.8)
    words = rf"mean: $L_\mathrm{{simple}}={errors.mean():.4f}$"
    simple.text(0.98, 0.9, words, ha="right", transform=simple.transAxes)
    simple.set(
        title=r"4. Every $t$ alike: the simple loss", ylabel="squared error a pixel", ylim=(0, None)
    )
    for axis in (middle, weights, simple):
        axis.set(xlabel="$t$", xlim=(1, schedule.T), xscale="log")
    return figure
