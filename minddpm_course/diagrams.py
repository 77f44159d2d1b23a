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


def output_shapes(model: UNet, image_shape: Sequence[int]) -> dict[nn.Module, str]:
    """What each module of a U-Net puts out for one image: "channels × height × width"."""
    shapes: dict[nn.Module, str] = {}

    def record(module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        shapes[module] = " × ".join(str(side) for side in output.shape[1:])

    hooks = [module.register_forward_hook(record) for module in model.modules()]
    try:
        call_model(model, torch.zeros(1, *image_shape[-3:]), 1)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


@styled
def unet_diagram(model: UNet, image_shape: Sequence[int]) -> Figure:
    """The U-Net as it is: the model runs on one blank image, and each module's output is recorded.

    Boxes hold channels × height × width of what each block puts out; every block gets the time.

    Args:
        model: a U-Net of any configuration.
        image_shape: (b, c, h, w) or (c, h, w) of the images.

    Replaces the guide's figure 7.
    """
    shapes = output_shapes(model, image_shape)
    down = [(level, block) for level, blocks in enumerate(model.encoder) for block in blocks]
    up = [block for blocks in model.decoder for block in blocks]
    up.reverse()  # so that skips join equal rows
    shift = min(0.35, 0.85 / max(len(model.encoder) - 1, 1))
    wide = 1.15
    high = 0.25
    roof = 1.62 + 0.37 * len(down) + 0.16 * len(model.encoder)
    figure, axis = canvas(roof + 0.45)

    def box(x: float, y: float, module: nn.Module, filled: bool = False) -> None:
        edge = COLOURS["network"]
        face = edge if filled else "white"
        corner = (x - wide / 2, y - high / 2)
        axis.add_patch(Rectangle(corner, wide, high, lw=1.3, edgecolor=edge, facecolor=face))
        axis.text(x, y, shapes[module], color="white" if filled else INK, fontsize=8, **CENTRE)

    def words(x: float, y: float, text: str, colour: str = INK, **options) -> None:
        axis.text(x, y, text, color=colour, fontsize=8, **CENTRE | options)

    def mirrored(start: tuple[float, float], end: tuple[float, float]) -> None:
        """An arrow down on the left, and its mirror image up on the right."""
        (x, y), (new_x, new_y) = start, end
        arrow(axis, (x, y - high / 2), (new_x, new_y + high / 2))
        arrow(axis, (7 - new_x, new_y + high / 2), (7 - x, y - high / 2))

    x = 0.45 + wide / 2
    y = roof
    box(x, y, model.stem)
    box(7 - x, y, model.out)
    parameters = sum(weights.numel() for weights in model.parameters())
    words(x, y + 0.28, "noisy image $x_t$", COLOURS["noisy"])
    words(7 - x, y + 0.28, r"predicted noise $\epsilon_\theta(x_t, t)$", COLOURS["network"])
    words(3.5, y + 0.28, f"{parameters:,} parameters")
    words(3.5, roof - 0.27, "skips: kept, and joined to what comes up")
    previous = 0
    for (level, block), mirror in zip(down, up):
        new_x = x + shift * (level - previous)
        new_y = y - 0.37 - 0.16 * (level > previous)
        mirrored((x, y), (new_x, new_y))
        if level > previous:
            words(new_x + 0.1, (y + new_y) / 2, "sides halved", GREY, ha="left")
            words(7 - new_x - 0.1, (y + new_y) / 2, "sides doubled", GREY, ha="right")
        x = new_x
        y = new_y
        previous = level
        box(x, y, block)
        box(7 - x, y, mirror)
        arrow(axis, (x + wide / 2, y), (7 - x - wide / 2, y))
        arrow(axis, (0.15, y), (x - wide / 2, y), GREY)
        arrow(axis, (6.85, y), (7 - x + wide / 2, y), GREY)

    middle = y - 0.58
    mirrored((x, y), (x, middle))
    for centre, module in ((x, model.middle_in), (3.5, model.attention), (7 - x, model.middle_out)):
        box(centre, middle, module, filled=module is model.attention)
    words(3.5, middle + 0.22, "self-attention", COLOURS["network"])
    arrow(axis, (x + wide / 2, middle), (3.5 - wide / 2, middle))
    arrow(axis, (3.5 + wide / 2, middle), (7 - x - wide / 2, middle))
    floor = 0.6
    top = roof - 0.37
    axis.plot((0.15, 0.15, 6.85, 6.85), (top, floor, floor, top), color=GREY, linewidth=1.2)
    for centre in (x, 7 - x):
        arrow(axis, (centre, floor), (centre, middle - high / 2), GREY)
    axis.plot((3.5, 3.5), (0.32, floor), color=GREY, linewidth=1.2)
    time = f"time $t$ → sines and cosines → two layers: {shapes[model.time]} numbers"
    words(3.5, 0.2, f"{time}, given to every block")
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
