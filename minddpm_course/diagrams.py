"""Pictures of how things are connected: the stages of a step, the U-Net, and the way from the bound
to the simple loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from minddpm.loss import VariationalBound
from minddpm.network import Model, call_model
from minddpm.noising import forward_diffusion, x0_from_noise
from minddpm.posterior import (
    beta_variance,
    posterior_coefficients,
    posterior_variance,
    q_posterior,
)
from minddpm.sampler import reverse_step
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
    styled,
    two_digits,
)

# inches: the side of a stage's image, the way from one stage to the next, the left margin
SIDE = 0.84
PITCH = 1.2
MARGIN = 0.08


def stages(
    panels: Sequence[tuple[Tensor | None, str, str, str]], below: float
) -> tuple[Figure, Axes]:
    """Draw panels in a row, each (image in [-1, 1] or None, title, role, words under it).

    Args: below, the height of the images' lower edge, in inches.
    """
    figure, axis = canvas(below + SIDE + 0.3)
    for stage, (image, title, role, words) in enumerate(panels):
        x = MARGIN + stage * PITCH
        middle = x + SIDE / 2
        if image is not None:
            draw_image(axis, image, extent=(x, x + SIDE, below, below + SIDE))
        colour = COLOURS.get(role, INK)
        axis.text(middle, below + SIDE + 0.14, title, color=colour, fontsize=10, **CENTRE)
        under = {"ha": "center", "va": "top", "fontsize": 8, "linespacing": 1.4}
        axis.text(middle, below - 0.07, words, **under)
    return figure, axis


def between(axis: Axes, stage: int, y: float, sign: str = "") -> None:
    """Join a stage to the next one: with a sign if there is one, otherwise with an arrow."""
    x = MARGIN + stage * PITCH + SIDE
    if sign:
        axis.text(x + (PITCH - SIDE) / 2, y, sign, fontsize=13, **CENTRE)
    else:
        arrow(axis, (x + 0.06, y), (x + PITCH - SIDE - 0.06, y))


@styled
@torch.inference_mode()
def sampling_step_stages(
    model: Model, x_t: Tensor, t: int, schedule: Schedule, noise: Tensor
) -> Figure:
    """One step of `sample` on one image, with every value between x_t and x_{t-1}.

    Args:
        model: predicts the noise.
        x_t: a noisy image, (1, 1, h, w).
        t: the time of x_t, 1..T.
        schedule: the noise schedule.
        noise: standard normal noise, (1, 1, h, w).

    Replaces the guide's figure 8.
    """
    predicted_noise = call_model(model, x_t, t)
    x_0 = x0_from_noise(x_t, t, predicted_noise, schedule).clamp(-1, 1)
    mean = q_posterior(x_0, x_t, t, schedule).mean
    x_prev = reverse_step(x_t, t, x_0, schedule, noise)
    coef_x0, coef_xt = posterior_coefficients(t, schedule)
    sum_of_two = rf"${two_digits(coef_x0)}\,\hat x_0$" "\n" rf"$+\;{two_digits(coef_xt)}\,x_t$"
    spread = "none at $t=1$"
    if t > 1:
        spread = rf"$\sigma_t={two_digits(beta_variance(t, schedule).sqrt())}$"
    panels = [
        (x_t, "$x_t$", "noisy", f"$t={t}$"),
        (predicted_noise, "predicted noise", "network", r"$\epsilon_\theta(x_t, t)$"),
        (x_0, "$x_0$ estimate", "network", "$\\hat x_0$, clipped\nto $[-1, 1]$"),
        (mean, "mean", "network", sum_of_two),
        (x_prev - mean, "fresh noise", "noise", r"$\sigma_t z$" "\n" + spread),
        (x_prev, "$x_{t-1}$", "noisy" if t > 1 else "clean", f"$t-1={t - 1}$"),
    ]
    below = 0.95
    figure, axis = stages(panels, below)
    for stage, sign in enumerate(("", "", "", "+", "=")):
        between(axis, stage, below + SIDE / 2, sign)
    x = MARGIN + (PITCH + SIDE) / 2
    axis.text(x, below + SIDE / 2 + 0.12, "U-Net", color=COLOURS["network"], fontsize=7.5, **CENTRE)
    first = MARGIN + SIDE / 2
    last = first + 5 * PITCH
    low = 0.2
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
        x_0: a clean image, (1, 1, h, w).
        schedule: the noise schedule.
        t: the time that was drawn, 1..T.
        noise: standard normal noise, (1, 1, h, w).

    Replaces the guide's figure 5.
    """
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    predicted_noise = call_model(model, x_t, t)
    error = (noise - predicted_noise) ** 2
    largest = float(error.max())
    alpha_bar = schedule.alpha_bar[t]
    signal = rf"${two_digits(alpha_bar.sqrt())}\,x_0$"
    spread = rf"$+\;{two_digits((1 - alpha_bar).sqrt())}\,\epsilon$"
    squared = error / largest * 2 - 1
    panels = [
        (x_0, "image $x_0$", "clean", "drawn from\nthe data"),
        (None, f"time $t={t}$", "", f"uniform on\n$1 \\ldots {schedule.T}$"),
        (noise, r"noise $\epsilon$", "noise", r"$\mathcal{N}(0, 1)$" "\nfor each pixel"),
        (x_t, "$x_t$", "noisy", f"{signal}\n{spread}"),
        (predicted_noise, "predicted noise", "network", r"$\epsilon_\theta(x_t, t)$"),
        (squared, r"$(\epsilon-\epsilon_\theta)^2$", "", f"black 0, white {largest:.2g}"),
    ]
    below = 0.5
    figure, axis = stages(panels, below)
    for stage in (2, 3, 4):
        between(axis, stage, below + SIDE / 2)
    x = MARGIN + PITCH
    y = below + SIDE / 2
    axis.plot((x, x + SIDE), (y, y), color=INK, linewidth=1.2)
    axis.plot(x + SIDE * (t - 1) / max(schedule.T - 1, 1), y, "o", color=INK)
    for place, end in ((x, 1), (x + SIDE, schedule.T)):
        axis.text(place, y - 0.14, str(end), fontsize=8, **CENTRE)
    middle = MARGIN + 5 * PITCH + SIDE / 2
    words = f"loss = {float(error.mean()):.4f}"  # the mean over the pixels
    axis.text(middle, below - 0.31, words, fontsize=8.5, weight="bold", **CENTRE)
    return figure


def recorded(model: UNet, x_t: Tensor, t: int) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """What each module of a U-Net takes and gives on one noisy image, its first input alone."""
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def record(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        seen[module] = (inputs[0], output)

    hooks = [module.register_forward_hook(record) for module in model.modules()]
    try:
        call_model(model, x_t, t)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def map_size(maps: Tensor) -> str:
    """The size of one image's maps: "channels × height × width"."""
    return " × ".join(str(side) for side in maps.shape[1:])


def named_rows(model: UNet) -> list[tuple[int, str, nn.Module, nn.Module]]:
    """The rows of a U-Net from the top: level, ending of its names, encoder's and decoder's block.

    Names end in "", or in _1, _2, ... where a level has several blocks.
    """
    down = [(level, block) for level, blocks in enumerate(model.encoder) for block in blocks]
    up = [block for blocks in model.decoder for block in blocks]
    several = model.config.blocks > 1
    endings = [f"_{place % model.config.blocks + 1}" if several else "" for place in range(len(up))]
    return [
        (level, ending, block, mirror)
        for (level, block), ending, mirror in zip(down, endings, reversed(up))  # skips join rows
    ]


@styled
@torch.inference_mode()
def unet_diagram(model: UNet, x_t: Tensor, t: int) -> Figure:
    """The U-Net as it is: it runs on a noisy image, and what each module puts out is recorded.

    Boxes have the names of lesson 05 and the channels × height × width that a block puts out. In
    the middle of each skip is one of its maps, the channel that varies most, from its least value
    in black to its largest in white; behind it, the size of the join.

    Args:
        model: a U-Net of any configuration.
        x_t: a noisy image, (1, c, h, w).
        t: its time, 1..T.

    Replaces the guide's figure 7.
    """
    seen = recorded(model, x_t, t)
    rows = named_rows(model)
    shift = min(0.35, 0.85 / max(len(model.encoder) - 1, 1))
    wide = 1.15
    high = 0.36
    side = 0.46  # of a map
    below = 0.56  # from one row to the next, and more where the size changes
    more = 0.1
    top = 0.37 + below * (len(rows) + 2) + more * len(model.encoder)
    figure, axis = canvas(top + 1.25)

    def words(x: float, y: float, text: str, colour: str = INK, **options) -> None:
        axis.text(x, y, text, color=colour, fontsize=8, **CENTRE | options)

    def box(x: float, y: float, name: str, module: nn.Module) -> None:
        corner = (x - wide / 2, y - high / 2)
        edge = COLOURS["network"]
        axis.add_patch(Rectangle(corner, wide, high, lw=1.3, edgecolor=edge, facecolor="white"))
        words(x, y + 0.075, name, edge)
        words(x, y - 0.085, map_size(seen[module][1]))

    def picture(x: float, y: float, image: Tensor, largest: float, limits=(-1.0, 1.0)) -> None:
        height, width = (largest * length / max(image.shape[-2:]) for length in image.shape[-2:])
        extent = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
        draw_image(axis, image, limits=limits, extent=extent)

    def mirrored(start: tuple[float, float], end: tuple[float, float]) -> None:
        """An arrow down on the left, and its mirror image up on the right."""
        (x, y), (new_x, new_y) = start, end
        arrow(axis, (x, y - high / 2), (new_x, new_y + high / 2))
        arrow(axis, (7 - new_x, new_y + high / 2), (7 - x, y - high / 2))

    x = 0.45 + wide / 2
    y = top
    for centre, image, title, role in (
        (x, x_t, f"$x_t$, $t={t}$", "noisy"),
        (7 - x, seen[model][1], r"predicted noise $\epsilon_\theta(x_t, t)$", "network"),
    ):
        picture(centre, top + 0.65, image, 0.72, (-2.0, 2.0))
        words(centre, top + 1.12, title, COLOURS[role])
    arrow(axis, (x, y + 0.28), (x, y + high / 2))
    arrow(axis, (7 - x, y + high / 2), (7 - x, y + 0.28))
    box(x, y, "stem", model.stem)
    box(7 - x, y, "out", model.out)
    parameters = sum(weights.numel() for weights in model.parameters())
    words(3.5, top + 0.75, f"{parameters:,} parameters")
    words(3.5, top + 0.55, "in each box: name, channels × height × width")
    words(3.5, top + 0.35, "on each skip: one of its channels, as computed for this image")
    previous = 0
    for level, ending, block, mirror in rows:
        maps = seen[block][1]
        name = f"{maps.shape[2]}{ending}"
        new_x = x + shift * (level - previous)
        new_y = y - below - more * (level > previous)
        mirrored((x, y), (new_x, new_y))
        if level > previous:
            middle = (y + new_y) / 2
            words(new_x + 0.1, middle, f"down_{maps.shape[2]}: sides halved", GREY, ha="left")
            words(6.9 - new_x, middle, f"up_{2 * maps.shape[2]}: sides doubled", GREY, ha="right")
        x = new_x
        y = new_y
        previous = level
        box(x, y, f"encoder_{name}", block)
        box(7 - x, y, f"decoder_{name}", mirror)
        edge = x + wide / 2
        varied = maps[0, maps[0].flatten(1).std(1).argmax()]
        axis.plot((edge, 3.5 - side / 2), (y, y), color=INK, linewidth=1.2)
        arrow(axis, (3.5 + side / 2, y), (7 - edge, y))
        picture(3.5, y, varied, side, (float(varied.min()), float(varied.max())))
        words((edge + 3.5 - side / 2) / 2, y + 0.09, f"skip_{name}")
        joined = (3.5 + side / 2 + 7 - edge) / 2
        words(joined, y + 0.09, "join")
        words(joined, y - 0.1, map_size(seen[mirror][0]))
        arrow(axis, (0.15, y), (x - wide / 2, y), GREY)
        arrow(axis, (6.85, y), (7 - x + wide / 2, y), GREY)

    middle = y - below - more
    mirrored((x, y), (x, middle))
    for centre, name in ((x, "middle_in"), (3.5, "attention"), (7 - x, "middle_out")):
        box(centre, middle, name, getattr(model, name))
    arrow(axis, (x + wide / 2, middle), (3.5 - wide / 2, middle))
    arrow(axis, (3.5 + wide / 2, middle), (7 - x - wide / 2, middle))
    floor = 0.45
    roof = top - below
    axis.plot((0.15, 0.15, 6.85, 6.85), (roof, floor, floor, roof), color=GREY, linewidth=1.2)
    for centre in (x, 7 - x):
        arrow(axis, (centre, floor), (centre, middle - high / 2), GREY)
    axis.plot((3.5, 3.5), (0.25, floor), color=GREY, linewidth=1.2)
    numbers = seen[model.time][1].shape[1]
    way = f"time: $t={t}$ → sines and cosines → two layers → {numbers} numbers"
    words(3.5, 0.14, f"{way}, given to every block")
    return figure


@styled
def bound_to_simple_loss(bound: VariationalBound, schedule: Schedule, errors: Tensor) -> Figure:
    """From the variational bound to the simple loss, in four panels.

    The terms of the bound; the denoising term of each t; the weight of the squared error in it; the
    squared errors without that weight.

    Args:
        bound: of a batch of images, with `posterior_variance`; its mean over the batch is drawn.
        schedule: the noise schedule of both.
        errors: the mean squared error of the predicted noise at t = 1..T, shape (T,).

    Raises: ValueError where the lengths do not fit the schedule.
    Replaces the guide's figure 6.
    """
    if bound.denoising.shape[1] != schedule.T - 1 or errors.shape != (schedule.T,):
        wanted = f"{schedule.T - 1} denoising terms and {schedule.T} errors"
        got = (bound.denoising.shape[1], *errors.shape)
        raise ValueError(f"T = {schedule.T} needs {wanted}, got {got}")
    t = torch.arange(1, schedule.T + 1)
    # mu_tilde depends on x_0 by coef_x0, and x_0 on the noise by sqrt((1 - alpha_bar) / alpha_bar)
    coef_x0, _ = posterior_coefficients(t, schedule)
    weight = coef_x0**2 / schedule.snr[1:] / (2 * posterior_variance(t, schedule))
    figure, ((sums, middle), (weights, simple)) = new_figure(2, 2, height=4.6)
    pixels = draw_terms(sums, bound)
    times = t.numpy()
    denoising = bound.denoising.mean(0).flip(0).numpy()  # t = 2..T
    substituted = (weight * pixels * errors)[1:].numpy()
    middle.plot(times[1:], denoising, color=COLOURS["network"])
    middle.plot(times[1:], substituted, color=INK, linewidth=0.7)
    right = {"ha": "right", "transform": middle.transAxes}
    middle.text(0.98, 0.9, "$L_{t-1}$", color=COLOURS["network"], **right)
    middle.text(0.98, 0.78, "weight × squared error", fontsize=8, **right)
    middle.set(title="2. Its middle is a term for each $t$", ylabel="nats an image", yscale="log")
    weights.plot(times[1:], weight[1:].numpy(), color=INK)
    weights.set(title="3. The weight that each error has", ylabel="nats a squared error")
    weights.set(yscale="log")
    simple.plot(times, errors.numpy(), color=COLOURS["network"])
    simple.axhline(float(errors.mean()), color=INK, linewidth=0.8)
    words = rf"mean: $L_\mathrm{{simple}}={errors.mean():.4f}$"
    simple.text(0.98, 0.9, words, ha="right", transform=simple.transAxes)
    simple.set(title=r"4. Every $t$ alike: the simple loss", ylabel="squared error a pixel")
    simple.set(ylim=(0, None))
    for axis in (middle, weights, simple):
        axis.set(xlabel="$t$", xlim=(1, schedule.T), xscale="log")
    return figure


def draw_terms(axis: Axes, bound: VariationalBound) -> float:
    """Draw the three terms of the bound as bars, and return the number of pixels of an image."""
    parts = (bound.prior, bound.denoising.sum(1), bound.reconstruction)
    terms = np.array([float(part.mean()) for part in parts])
    bits = float(bound.total_bits_per_dim.mean())
    names = ("prior $L_T$", r"denoising $\sum L_{t-1}$", "reconstruction $L_0$")
    colours = [COLOURS[role] for role in ("noise", "network", "clean")]
    axis.barh(names, terms, color=colours, height=0.55)
    for row, term in enumerate(terms):
        axis.text(max(term, 0), row, f" {term:,.2f}", va="center", fontsize=8)
    axis.set(title=f"1. The bound is a sum: {bits:.2f} bits a pixel", xlabel="nats an image")
    axis.set(xlim=(0, 1.3 * terms.max()), ylim=(2.5, -0.5))
    axis.spines["left"].set_visible(False)
    axis.tick_params(left=False)
    return float(terms.sum()) / math.log(2) / bits
