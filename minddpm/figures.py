"""The pictures of the course: one style, one colour for each role, each figure a function of real data.

The figures that are drawn as diagrams (a step's stages, the U-Net, the bound) are in `minddpm.diagrams`.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minddpm.loss import Model, evaluate
from minddpm.noising import forward_diffusion, forward_step, predict_x0
from minddpm.posterior import posterior
from minddpm.sampler import SampleStep
from minddpm.schedule import Schedule

# Okabe & Ito's palette, readable with any colour vision; a role keeps its colour in every notebook and formula
COLOURS = {"clean": "#0072B2", "noise": "#D55E00", "noisy": "#CC79A7", "network": "#009E73", "posterior": "#E69F00"}
INK, GREY = "#222222", "#767676"
CENTRE = {"ha": "center", "va": "center"}
STYLE = {
    "figure.figsize": (7, 2.6),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.edgecolor": INK,
    "text.color": INK,
    "mathtext.fontset": "dejavuserif",
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "lines.linewidth": 1.8,
}
styled = plt.rc_context(STYLE)  # decorates each function that draws: matplotlib reads the style while drawing


@styled
def new_figure(rows: int = 1, columns: int = 1, height: float = 2.6, **options) -> tuple[Figure, np.ndarray]:
    """A 7-inch figure in the course's style, and its axes as a (rows, columns) array."""
    figure, axes = plt.subplots(rows, columns, figsize=(7, height), squeeze=False, **options)
    plt.close(figure)  # shown by `show` alone, never twice
    return figure, axes


def canvas(height: float) -> tuple[Figure, Axes]:
    """A 7-inch figure without axes to place images, arrows and words on, its coordinates in inches."""
    figure, axes = new_figure(height=height, layout="none")
    axis = axes[0, 0]
    axis.set_position((0, 0, 1, 1))
    axis.set(xlim=(0, 7), ylim=(0, height))
    axis.set_axis_off()
    return figure, axis


@styled
def to_html(figure: Figure, caption: str) -> str:
    """A figure as HTML: the picture, with the caption below it and as its alternative text."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=165, metadata={"Software": None})  # sharper than the 770 px it is shown at
    data, text = base64.b64encode(png.getvalue()).decode(), html.escape(caption, quote=True)
    image = f'<img alt="{text}" width="770" style="max-width:100%" src="data:image/png;base64,{data}"/>'
    return f'<figure style="margin:0">{image}<figcaption>{text}</figcaption></figure>'


def show(figure: Figure, caption: str) -> None:
    """Display a figure in a notebook with one sentence that says what to see in it.

    The sentence is the caption, the alternative text and the plain-text form of the output.
    """
    from IPython.display import display

    display({"text/html": to_html(figure, caption), "text/plain": caption}, raw=True)


@styled
def draw_image(
    axis: Axes, image: Tensor, title: str = "", colour: str = INK, limits: tuple[float, float] = (-1, 1)
) -> None:
    """Draw one grey image, without axes."""
    axis.imshow(image.detach().squeeze().cpu().numpy(), vmin=limits[0], vmax=limits[1])
    axis.set_axis_off()
    if title:
        axis.set_title(title, color=colour)


@styled
def place(axis: Axes, image: Tensor, x: float, y: float, size: float, limits: tuple[float, float] = (-1, 1)) -> None:
    """Put one grey image on a canvas, its lower left corner at (x, y)."""
    pixels = image.detach().squeeze().cpu().numpy()
    axis.imshow(pixels, vmin=limits[0], vmax=limits[1], extent=(x, x + size, y, y + size), aspect="auto")


def arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK) -> None:
    """Draw an arrow on a canvas."""
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", end, start, arrowprops=style)


def number(value: float | Tensor) -> str:
    """A number at two digits, as mathtext."""
    mantissa, _, exponent = f"{float(value):.2g}".partition("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def normal_density(values: np.ndarray, mean: float, spread: float) -> np.ndarray:
    """The density of N(mean, spread^2)."""
    return np.exp(-(((values - mean) / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi))


@styled
def image_grid(images: Tensor, titles: Sequence[str] = (), columns: int = 10) -> Figure:
    """Images (n, 1, h, w) in [-1, 1] as small multiples, row by row, each with its title if there are titles.

    Replaces the guide's figure 9.
    """
    rows = -(-len(images) // columns)
    figure, axes = new_figure(rows, columns, height=7 / columns * rows * (1.25 if titles else 1))
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (axis, image) in enumerate(zip(axes.flat, images)):
        draw_image(axis, image, titles[number] if titles else "")
    return figure


@styled
def digit_to_noise(x_0: Tensor, schedule: Schedule, times: Sequence[int], noise: Tensor) -> Figure:
    """One image at growing t, made with one noise; under it how its pixel values turn into N(0, 1).

    Args:
        x_0, noise: the clean image and standard normal noise, both (1, 1, h, w).
        schedule: the noise schedule.
        times: 3 to 8 times in 0..T, left to right.

    Replaces the guide's figure 2.
    """
    figure, axes = new_figure(2, len(times), height=7 / len(times) + 1.7, height_ratios=(7 / len(times), 1.1))
    values, top = np.linspace(-3.5, 3.5, 200), 0.8
    for t, (picture, axis) in zip(times, axes.T):
        x_t, _ = forward_diffusion(x_0, t, schedule, noise)
        draw_image(picture, x_t, rf"$t={t}$" "\n" rf"$\overline{{\alpha}}_t={number(schedule.alpha_bar[t])}$")
        colour, span = COLOURS["noisy" if t else "clean"], (-3.5, 3.5)
        density, *_ = axis.hist(x_t.flatten().numpy(), bins=28, range=span, density=True, color=colour)
        axis.plot(values, normal_density(values, 0, 1), color=INK, linewidth=1.2)
        if density.max() > top:  # a spike that leaves the axis says how high it is
            axis.text(density.argmax() / 4 - 3.0, top, f"up to {density.max():.1f}", va="top", fontsize=8)
        axis.set(xlim=span, ylim=(0, top), xticks=(-2, 0, 2), xlabel="pixel value")
        if t != times[0]:
            axis.spines["left"].set_visible(False)
            axis.set_yticks([])
    axes[1, 0].set_ylabel("density")
    axes[1, -1].text(3.5, 0.45, r"$\mathcal{N}(0, 1)$", ha="right", fontsize=8)
    return figure


@styled
def forward_and_reverse(forward: Tensor, backward: Tensor, times: Sequence[int]) -> Figure:
    """Two strips of images with one time to each column: noise is added to the right, and removed to the left.

    Args:
        forward: x_t of the forward process at each of the times, (n, 1, h, w).
        backward: x_t of the reverse process at the same times in the same order, (n, 1, h, w); the sizes may differ.
        times: n rising times, 2 to 10 of them.

    Raises: ValueError where the numbers of images and times differ.
    Replaces the guide's figure 1.
    """
    if not len(forward) == len(backward) == len(times):
        raise ValueError(f"each strip needs {len(times)} images, one a time, got {len(forward)} and {len(backward)}")
    gap, edge = 0.08, 0.1
    size = (7 - 2 * edge + gap) / len(times) - gap
    figure, axis = canvas(2 * size + 0.9)
    for column, t in enumerate(times):
        x = edge + column * (size + gap)
        place(axis, forward[column], x, size + 0.6, size)
        place(axis, backward[column], x, 0.32, size)
        axis.text(x + size / 2, size + 0.46, f"$t={t}$", **CENTRE)
    top = 2 * size + 0.75
    axis.text(edge, top, r"forward $q(x_t \mid x_{t-1})$: adds noise", color=COLOURS["noise"], va="center")
    arrow(axis, (2.25, top), (7 - edge, top), COLOURS["noise"])
    words = r"reverse $p_\theta(x_{t-1} \mid x_t)$: the network removes it"
    axis.text(7 - edge, 0.15, words, color=COLOURS["network"], ha="right", va="center")
    arrow(axis, (4.05, 0.15), (edge, 0.15), COLOURS["network"])
    return figure


@styled
def stepping_and_jumping(x_0: float, schedule: Schedule, t: int, generator: torch.Generator) -> Figure:
    """2,000 chains of one pixel taken to time t step by step, 2,000 taken there in one jump, and the closed form.

    Args:
        x_0: the clean value of the pixel, in [-1, 1].
        schedule: the noise schedule.
        t: where to go, 1..T.
        generator: source of randomness: the steps first, then the jump.

    Replaces the guide's figure 3.
    """
    start = torch.full((2000,), float(x_0), dtype=torch.float64)
    chains, shown = start, [start[:25]]
    for time in range(1, t + 1):
        chains = forward_step(chains, time, schedule, generator=generator)
        shown.append(chains[:25])
    jumps, _ = forward_diffusion(start, t, schedule, generator=generator)

    mean, spread = float(schedule.alpha_bar[t].sqrt() * x_0), float((1 - schedule.alpha_bar[t]).sqrt())
    figure, axes = new_figure(1, 3, height=2.8, sharey=True, width_ratios=(2.4, 1, 1))
    paths = axes[0, 0]
    paths.plot(torch.stack(shown), color=COLOURS["noisy"], linewidth=0.6, alpha=0.7)
    paths.plot(schedule.alpha_bar[: t + 1].sqrt() * x_0, color=INK)
    paths.plot(0, x_0, "o", color=COLOURS["clean"], clip_on=False)
    paths.text(t * 0.02, x_0 + 0.25, f"$x_0={x_0:g}$", color=COLOURS["clean"])
    paths.text(t * 0.98, -3.2, r"black: the mean $\sqrt{\overline{\alpha}_t}\,x_0$", ha="right", fontsize=8)
    paths.set(xlabel="step $t$", ylabel="pixel value", xlim=(0, t), ylim=(-3.5, 3.5), title="25 of 2,000 chains")
    values = np.linspace(mean - 4 * spread, mean + 4 * spread, 200)
    for axis, end, title in zip(axes[0, 1:], (chains, jumps), ("step by step", "in one jump")):
        axis.hist(end.numpy(), bins=values[::5], density=True, orientation="horizontal", color=COLOURS["noisy"])
        axis.plot(normal_density(values, mean, spread), values, color=INK)
        words = f"mean {end.mean():.3f}\nstd {end.std():.3f}"
        axis.text(0.98, 0.02, words, ha="right", transform=axis.transAxes, fontsize=8)
        axis.set(xlabel="density", title=title)
    words = rf"$\mathcal{{N}}({mean:.3f},\ {spread:.3f}^2)$"
    axes[0, 2].text(1, 0.99, words, ha="right", va="top", transform=axes[0, 2].transAxes, fontsize=8)
    return figure


@styled
@torch.inference_mode()
def true_and_learned_posterior(model: Model, x_0: Tensor, x_t: Tensor, t: int, schedule: Schedule) -> Figure:
    """The mean of the true reverse step, which knows x_0, beside the network's, and both densities of one pixel.

    Args:
        model: predicts the noise.
        x_0, x_t: a clean image and a noisy one made from it, both (1, 1, h, w).
        t: the time of x_t, 2..T (at t = 1 the posterior is a point and has no density).
        schedule: the noise schedule.

    Raises: ValueError for t = 1.
    Replaces the guide's figure 4.
    """
    if t == 1:
        raise ValueError(f"t must lie in 2..{schedule.T}, got 1, where the posterior has no width")
    predicted_noise = evaluate(model, x_t, torch.full((1,), t))
    truth = posterior(x_0, x_t, t, schedule)
    learned = posterior(predict_x0(x_t, t, predicted_noise, schedule), x_t, t, schedule)
    difference = (learned.mean - truth.mean).squeeze()
    largest, spread = float(difference.abs().max()), float(truth.variance.sqrt())
    row, column = divmod(int(difference.abs().argmax()), difference.shape[1])

    figure, axes = new_figure(1, 4, height=2.1, width_ratios=(1, 1, 1, 1.7))
    draw_image(axes[0, 0], truth.mean, "true mean\n" r"$\tilde\mu_t(x_t, x_0)$", COLOURS["posterior"])
    draw_image(axes[0, 1], learned.mean, "learned mean\n" r"$\mu_\theta(x_t, t)$", COLOURS["network"])
    words = "learned − true\n" rf"black, white: $\pm{number(largest)}$"
    draw_image(axes[0, 2], difference, words, limits=(-largest, largest))
    density = axes[0, 3]
    for name, gaussian, word, height in (("posterior", truth, "true", 0.9), ("network", learned, "learned", 0.77)):
        mean = float(gaussian.mean[0, 0, row, column])
        values = np.linspace(mean - 4 * spread, mean + 4 * spread, 200)
        density.plot(values, normal_density(values, mean, spread), color=COLOURS[name])
        density.text(0.02, height, word, color=COLOURS[name], transform=density.transAxes)
    for axis in axes[0, :3]:
        axis.plot(column, row, "s", markersize=7, markerfacecolor="none", markeredgecolor=COLOURS["noise"])
    density.set(xlabel="$x_{t-1}$ of the marked pixel", ylabel="density", ylim=(0, None))
    density.set_title(rf"$t={t}$, both of width $\sqrt{{\tilde\beta_t}}={number(spread)}$")
    return figure


@styled
def progressive_denoising(steps: Sequence[SampleStep]) -> Figure:
    """Images on their way from noise: a row of x_t, and under it the clean image that the network sees behind each.

    Args:
        steps: 2 to 12 moments of `sample_steps`, in its order, with 1 to 4 images each.

    Replaces the guide's figure 10.
    """
    gap, edge = 0.06, 0.35
    size = (7 - edge) / len(steps) - gap
    rows = 2 * len(steps[0].x_t)
    figure, axis = canvas(rows * (size + gap) + rows // 2 * 0.08 + 0.22)
    for column, step in enumerate(steps):
        x, y = edge + column * (size + gap), axis.get_ylim()[1] - 0.22
        axis.text(x + size / 2, y + 0.1, f"$t={step.t}$", **CENTRE)
        for noisy, clean in zip(step.x_t, step.x_0):
            for image, name, symbol in ((noisy, "noisy", "$x_t$"), (clean, "network", r"$\hat x_0$")):
                y -= size + gap
                place(axis, image, x, y, size)
                if column == 0:
                    axis.text(edge / 2, y + size / 2, symbol, color=COLOURS[name], fontsize=11, **CENTRE)
            y -= 0.08
    return figure
