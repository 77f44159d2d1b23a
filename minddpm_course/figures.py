"""The course's pictures, all drawn from computed data, in one style and with one colour per role.

Pictures of how things are connected are in diagrams.py.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torch import Tensor

from minddpm.network import Model, call_model
from minddpm.noising import forward_diffusion, forward_step, x0_from_noise
from minddpm.posterior import q_posterior
from minddpm.sampler import SampleStep
from minddpm.schedule import Schedule

# Okabe & Ito's palette, which works with any colour vision; a role has the same colour in every
# notebook and formula
COLOURS = {
    "clean": "#0072B2",
    "noise": "#D55E00",
    "noisy": "#CC79A7",
    "network": "#009E73",
    "posterior": "#E69F00",
}
# words and symbols in a role's colour: darker, because text needs more contrast than a line
TEXT = {
    "clean": "#0072B2",
    "noise": "#C05500",
    "noisy": "#B3528C",
    "network": "#008561",
    "posterior": "#9C6C00",
}
INK = "#222222"
GREY = "#767676"
PAGE_DPI = 110  # pixels of a page for an inch of a figure: 7 inches are 770 pixels
CENTRE: dict = {"ha": "center", "va": "center"}
STYLE = {
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "mathtext.fontset": "dejavuserif",
}
styled = plt.rc_context(STYLE)  # for each function that draws: matplotlib reads the style then


@styled
def new_figure(
    rows: int = 1, columns: int = 1, height: float = 2.6, **options
) -> tuple[Figure, np.ndarray]:
    """A 7-inch figure in the course's style, and its axes as a (rows, columns) array."""
    figure, axes = plt.subplots(rows, columns, figsize=(7, height), squeeze=False, **options)
    plt.close(figure)  # so that only `show` displays it, and only once
    return figure, axes


def canvas(height: float) -> tuple[Figure, Axes]:
    """A 7-inch figure for images, arrows and words, its coordinates in inches."""
    figure, ((axis,),) = new_figure(height=height, layout="none")
    axis.set(xlim=(0, 7), ylim=(0, height), position=(0, 0, 1, 1))
    axis.set_axis_off()
    return figure, axis


def words_in(artist: Artist) -> Iterator[Text]:
    """All words that are drawn, so none of the ticks of axes that are off, which take long."""
    if isinstance(artist, Text):
        yield artist
    for part in artist.get_children():
        if not isinstance(part, Axis) or part.axes.axison:
            yield from words_in(part)


def darken_words(figure: Figure) -> None:
    """Give words that have the colour of a role's marks that of its text."""
    of_text = {COLOURS[role]: colour for role, colour in TEXT.items()}
    for words in words_in(figure):
        colour = to_hex(words.get_color()).upper()
        words.set_color(of_text.get(colour, colour))


@styled
def to_pixels(figure: Figure, sharpness: float = 1.5) -> Image.Image:
    """A figure as pixels, with so many for each pixel at which a page shows it."""
    darken_words(figure)
    dpi = figure.dpi
    figure.set_dpi(sharpness * PAGE_DPI)
    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    figure.set_dpi(dpi)
    return Image.fromarray(np.asarray(drawn.buffer_rgba())).convert("RGB")


def as_png(picture: Image.Image) -> str:
    """A picture as a PNG file in base64, which is what `image/png` holds in a notebook."""
    png = io.BytesIO()
    picture.save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()


def as_address(picture: Image.Image) -> str:
    """A picture as an address that holds all of it: every pixel, in half the size of a PNG file."""
    webp = io.BytesIO()
    picture.save(webp, "WEBP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(webp.getvalue()).decode()}"


def page_width(figure: Figure) -> int:
    """How many pixels wide a page shows a figure."""
    return round(PAGE_DPI * float(figure.get_figwidth()))


def html_of(picture: Image.Image, width: int, caption: str) -> str:
    """A picture as HTML, so many pixels wide, the caption below it and as its alternative text."""
    text = html.escape(caption, quote=True)
    size = f'width="{width}" style="max-width:100%"'
    image = f'<img alt="{text}" {size} src="{as_address(picture)}"/>'
    return f'<figure style="margin:0">{image}<figcaption>{text}</figcaption></figure>'


def to_html(figure: Figure, caption: str) -> str:
    """A figure as HTML."""
    return html_of(to_pixels(figure), page_width(figure), caption)


def bundle_of(figure: Figure, caption: str) -> dict[str, str]:
    """What `show` displays, by MIME type: HTML for pages, a PNG file for paper, and the caption."""
    picture = to_pixels(figure)
    return {
        "text/html": html_of(picture, page_width(figure), caption),
        "image/png": as_png(picture),
        "text/plain": caption,
    }


def show(figure: Figure, caption: str) -> None:
    """Display a figure with a sentence that says what to see in it.

    The sentence is the caption, the alternative text and what a terminal shows.
    """
    from IPython.display import display

    display(bundle_of(figure, caption), raw=True)


def show_live() -> Callable[[Figure, str], None]:
    """Return a function like `show` whose figure takes the place of the one before: for a cell that
    runs for long.
    """
    from IPython.display import display

    view = None

    def show_again(figure: Figure, caption: str) -> None:
        nonlocal view
        bundle = bundle_of(figure, caption)
        if view is None:  # at first, and where no notebook is running
            view = display(bundle, raw=True, display_id=True)
        else:
            view.update(bundle, raw=True)

    return show_again


def draw_image(
    axis: Axes, image: Tensor, title: str = "", colour: str = INK, limits=(-1.0, 1.0), **where
) -> None:
    """Draw one grey or colour image, black and white at the limits; on a canvas, extent=(left,
    right, bottom, top) in inches.

    Args: image, shape (h, w), (1, h, w) or (3, h, w), or a batch of one of these.
    """
    low, high = limits
    pixels = image.detach().squeeze().cpu()
    if pixels.ndim == 3:  # colours have no scale of their own in matplotlib, but lie in [0, 1]
        pixels = ((pixels.movedim(0, -1) - low) / (high - low)).clamp(0, 1)
    axis.imshow(
        pixels.numpy(),
        "gray",
        interpolation="nearest",
        aspect="auto" if where else "equal",
        vmin=low,
        vmax=high,
        **where,
    )
    axis.set_axis_off()
    if title:
        axis.set_title(title, color=colour)


def in_a_row(images: Tensor, gap: int = 2) -> Tensor:
    """Images side by side as one, which is drawn faster than each on axes of its own.

    Args: images, shape (n, c, h, w); gap, the pixels between two of them, which are drawn white.
    Returns: shape (c, h, n * (w + gap) - gap).
    """
    apart = F.pad(images, (0, gap), value=math.nan)  # (n, c, h, w + gap)
    return torch.cat(list(apart), dim=-1)[..., :-gap]


def arrow(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK
) -> None:
    """Draw an arrow on a canvas."""
    axis.annotate(
        "",
        end,
        start,
        arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0},
    )


def two_digits(value: float | Tensor) -> str:
    """A number rounded to two significant digits, as mathtext."""
    mantissa, _, exponent = f"{float(value):.2g}".partition("e")
    return rf"{mantissa}\cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def bell(values: np.ndarray, mean: float, spread: float) -> np.ndarray:
    """The density of N(mean, spread^2) at the values."""
    density: np.ndarray = np.exp(-(((values - mean) / spread) ** 2) / 2)
    return density / (spread * math.sqrt(2 * math.pi))


@styled
def image_grid(images: Tensor, titles: Sequence[str] = (), columns: int = 10) -> Figure:
    """Grey or colour images, (n, c, h, w) in [-1, 1], row by row, each with its title if there are
    titles; the guide's figure 9.
    """
    rows = -(-len(images) // columns)
    figure, axes = new_figure(rows, columns, height=7 / columns * rows * (1.25 if titles else 1))
    for axis in axes.flat:
        axis.set_axis_off()
    for index, (axis, image) in enumerate(zip(axes.flat, images)):
        draw_image(axis, image, titles[index] if titles else "")
    return figure


@styled
def point_clouds(
    clouds: Sequence[Tensor],
    titles: Sequence[str] = (),
    colours: Sequence[str] = (COLOURS["noisy"],),
    beneath: Tensor | None = None,
) -> Figure:
    """Clouds of points in the plane side by side, from -3 to 3 both ways.

    Args:
        clouds: each of shape (n, 2).
        titles: of each cloud, if there are any.
        colours: of each cloud, or one for all.
        beneath: other points, (m, 2), in grey below each cloud.
    """
    share = 1 / len(clouds)
    side = min(3.5, 7 * share)
    top = 0.25 if titles else 0
    figure, (axes,) = new_figure(1, len(clouds), height=side + top, layout="none")
    figure.set_figwidth(side * len(clouds))
    for place, (axis, cloud) in enumerate(zip(axes, clouds)):
        axis.set(xlim=(-3, 3), ylim=(-3, 3))
        axis.set_position((place * share, 0, share, side / (side + top)))
        axis.set_axis_off()
        if beneath is not None:
            axis.scatter(*beneath.T.numpy(), s=5, color="#CCCCCC", linewidth=0)
        colour = colours[place % len(colours)]
        axis.scatter(*cloud.T.numpy(), s=5, color=colour, linewidth=0)
        if titles:
            axis.set_title(titles[place], color=colour)
    return figure


@styled
def digit_to_noise(x_0: Tensor, schedule: Schedule, times: Sequence[int], noise: Tensor) -> Figure:
    """One image at growing t, and how its pixel values turn into N(0, 1); the guide's figure 2.

    Args:
        x_0: the clean image, (1, 1, h, w).
        schedule: the noise schedule.
        times: 3 to 8 times in 0..T, from left to right.
        noise: standard normal noise, (1, 1, h, w), the same at every time.
    """
    heights = (7 / len(times), 1.1)
    figure, axes = new_figure(2, len(times), height=7 / len(times) + 1.7, height_ratios=heights)
    span = (-3.5, 3.5)
    top = 0.8
    values = np.linspace(*span, 200)
    for t, (picture, axis) in zip(times, axes.T):
        x_t, _ = forward_diffusion(x_0, t, schedule, noise)
        signal = rf"$\overline{{\alpha}}_t={two_digits(schedule.alpha_bar[t])}$"
        draw_image(picture, x_t, f"$t={t}$\n{signal}")
        colour = COLOURS["noisy" if t else "clean"]
        pixels = x_t.flatten().numpy()
        density, *_ = axis.hist(pixels, bins=28, range=span, density=True, color=colour)
        axis.plot(values, bell(values, 0, 1), color=INK, linewidth=1.2)
        if density.max() > top:  # say how high a bar reaches that leaves the axis
            place = density.argmax() / 4 - 3.0
            axis.text(place, top, f"up to {density.max():.1f}", va="top", fontsize=8)
        axis.set(xlim=span, ylim=(0, top), xticks=(-2, 0, 2), xlabel="pixel value")
    for axis in axes[1, 1:]:
        axis.spines["left"].set_visible(False)
        axis.set_yticks([])
    axes[1, 0].set_ylabel("density")
    axes[1, -1].text(3.5, 0.45, r"$\mathcal{N}(0, 1)$", ha="right", fontsize=8)
    return figure


@styled
def forward_and_reverse(forward: Tensor, backward: Tensor, times: Sequence[int]) -> Figure:
    """The forward process above the reverse process, one time a column; the guide's figure 1.

    Args:
        forward: x_t of the forward process at each of the times, (n, 1, h, w).
        backward: x_t of the reverse process at the same times in the same order, (n, 1, h, w); the
            sizes may differ.
        times: n rising times, 2 to 8 of them.

    Raises: ValueError where the numbers of images and times differ.
    """
    if not len(forward) == len(backward) == len(times):
        wanted = f"{len(times)} images, one a time"
        raise ValueError(f"each strip needs {wanted}, got {len(forward)} and {len(backward)}")
    side = 6.88 / len(times) - 0.08
    figure, axis = canvas(2 * side + 0.9)
    for column, t in enumerate(times):
        x = 0.1 + column * (side + 0.08)
        y = side + 0.6
        draw_image(axis, forward[column], extent=(x, x + side, y, y + side))
        draw_image(axis, backward[column], extent=(x, x + side, 0.32, 0.32 + side))
        axis.text(x + side / 2, y - 0.14, f"$t={t}$", **CENTRE)
    top = 2 * side + 0.75
    words = r"forward $q(x_t \mid x_{t-1})$: adds noise"
    axis.text(0.1, top, words, color=COLOURS["noise"], va="center")
    arrow(axis, (2.25, top), (6.9, top), COLOURS["noise"])
    words = r"reverse $p_\theta(x_{t-1} \mid x_t)$: the network removes it"
    axis.text(6.9, 0.15, words, color=COLOURS["network"], ha="right", va="center")
    arrow(axis, (4.05, 0.15), (0.1, 0.15), COLOURS["network"])
    return figure


@styled
def stepping_and_jumping(
    x_0: float, schedule: Schedule, t: int, generator: torch.Generator
) -> Figure:
    """2,000 pixels noised step by step, 2,000 in one jump, and the exact Gaussian.

    The guide's figure 3.

    Args:
        x_0: the clean value of the pixel, in [-1, 1].
        schedule: the noise schedule.
        t: the time where all of them end, 1..T.
        generator: source of randomness: the steps first, then the jump.
    """
    start = torch.full((2000,), float(x_0), dtype=torch.float64)
    chains = [start]
    for time in range(1, t + 1):
        chains.append(forward_step(chains[-1], time, schedule, generator=generator))
    jumps, _ = forward_diffusion(start, t, schedule, generator=generator)
    means = (schedule.alpha_bar[: t + 1].sqrt() * x_0).numpy()
    mean = float(means[t])
    spread = float((1 - schedule.alpha_bar[t]).sqrt())

    figure, ((paths, *ends),) = new_figure(1, 3, height=2.8, sharey=True, width_ratios=(2, 1, 1))
    some = torch.stack(chains)[:, :25].numpy()
    paths.plot(some, color=COLOURS["noisy"], linewidth=0.6, alpha=0.7)
    paths.plot(means, color=INK)
    paths.plot(0, x_0, "o", color=COLOURS["clean"], clip_on=False)
    paths.text(t * 0.02, x_0 + 0.25, f"$x_0={x_0:g}$", color=COLOURS["clean"])
    words = r"black: the mean $\sqrt{\overline{\alpha}_t}\,x_0$"
    paths.text(t * 0.98, -3.2, words, ha="right", fontsize=8)
    paths.set(xlabel="step $t$", ylabel="pixel value", title="25 of 2,000 chains")
    paths.set(xlim=(0, t), ylim=(-3.5, 3.5))
    values = np.linspace(mean - 4 * spread, mean + 4 * spread, 201)
    bars = {"bins": values[::5], "density": True, "orientation": "horizontal"}
    for axis, x_t, title in zip(ends, (chains[-1], jumps), ("step by step", "in one jump")):
        axis.hist(x_t.numpy(), color=COLOURS["noisy"], **bars)
        axis.plot(bell(values, mean, spread), values, color=INK)
        axis.set(xlabel="density", title=f"{title}\nmean {x_t.mean():.3f}, std {x_t.std():.3f}")
        words = rf"$\mathcal{{N}}({mean:.3f},\ {spread:.3f}^2)$"
        axis.text(1, 0.99, words, ha="right", va="top", transform=axis.transAxes, fontsize=8)
    return figure


@styled
@torch.inference_mode()
def true_and_learned_posterior(
    model: Model, x_0: Tensor, x_t: Tensor, t: int, schedule: Schedule
) -> Figure:
    """The mean of the true reverse step beside the network's, and one pixel's two densities.

    The guide's figure 4.

    Args:
        model: predicts the noise.
        x_0: a clean image, (1, 1, h, w).
        x_t: a noisy image made from it, (1, 1, h, w).
        t: the time of x_t, 2..T.
        schedule: the noise schedule.

    Raises: ValueError for t = 1, where the posterior is a point and has no density.
    """
    if t == 1:
        raise ValueError(f"t must lie in 2..{schedule.T}, got 1, where the posterior has no width")
    truth = q_posterior(x_0, x_t, t, schedule)
    estimate = x0_from_noise(x_t, t, call_model(model, x_t, t), schedule)
    learned = q_posterior(estimate, x_t, t, schedule)
    difference = (learned.mean - truth.mean).squeeze()
    largest = float(difference.abs().max())
    spread = float(truth.variance.sqrt())
    row, column = divmod(int(difference.abs().argmax()), difference.shape[1])

    figure, ((*pictures, density),) = new_figure(1, 4, height=2.1, width_ratios=(1, 1, 1, 1.7))
    words = "true mean\n" r"$\tilde\mu_t(x_t, x_0)$"
    draw_image(pictures[0], truth.mean, words, COLOURS["posterior"])
    words = "learned mean\n" r"$\mu_\theta(x_t, t)$"
    draw_image(pictures[1], learned.mean, words, COLOURS["network"])
    words = "learned − true\n" rf"black, white: $\pm{two_digits(largest)}$"
    draw_image(pictures[2], difference, words, limits=(-largest, largest))
    for axis in pictures:
        axis.plot(column, row, "s", color=COLOURS["noisy"], markersize=7, markerfacecolor="none")
    for role, gaussian, word, y in (
        ("posterior", truth, "true", 0.9),
        ("network", learned, "learned", 0.77),
    ):
        mean = float(gaussian.mean[0, 0, row, column])
        values = np.linspace(mean - 4 * spread, mean + 4 * spread, 201)
        density.plot(values, bell(values, mean, spread), color=COLOURS[role])
        density.text(0.02, y, word, color=COLOURS[role], transform=density.transAxes)
    density.set(xlabel="$x_{t-1}$ of the marked pixel", ylabel="density", ylim=(0, None))
    width = rf"$\sqrt{{\tilde\beta_t}}={two_digits(spread)}$"
    density.set_title(f"$t={t}$, both of width {width}")
    return figure


@styled
def progressive_denoising(steps: Sequence[SampleStep]) -> Figure:
    """Rows of x_t on its way from noise, above the estimate of x_0; the guide's figure 10.

    Args:
        steps: 2 to 12 moments of `sample_steps`, in its order, with 1 to 4 images each.
    """
    side = 6.65 / len(steps) - 0.06
    images = len(steps[0].x_t)
    figure, axis = canvas(0.22 + images * (2 * side + 0.2))
    for column, step in enumerate(steps):
        x = 0.35 + column * (side + 0.06)
        y = images * (2 * side + 0.2)
        axis.text(x + side / 2, y + 0.1, f"$t={step.t}$", **CENTRE)
        for noisy, clean in zip(step.x_t, step.x_0):
            for image, role, symbol in (
                (noisy, "noisy", "$x_t$"),
                (clean, "network", r"$\hat x_0$"),
            ):
                draw_image(axis, image, extent=(x, x + side, y - side, y))
                if column == 0:
                    place = (0.17, y - side / 2)
                    axis.text(*place, symbol, color=COLOURS[role], fontsize=11, **CENTRE)
                y -= side + 0.06
            y -= 0.08
    return figure
