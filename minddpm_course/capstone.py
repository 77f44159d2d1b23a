"""The last exercise: a package of your own, its digits, and a training from zero."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

import minddpm
from minddpm_course.assemble import assemble_package, parts_in, rooms
from minddpm_course.compare import import_package
from minddpm_course.course import load_course
from minddpm_course.figures import COLOURS, GREY, image_grid, new_figure, to_html

LESSON_STEPS = 150  # the training of lesson 07, for which the bands were measured
BAND = re.compile(r"^\| (\d+) \| ([\d.]+) to ([\d.]+) \|$", re.MULTILINE)


def assemble_here(folder: str | Path = ".", out: str | Path = "../mine") -> ModuleType:
    """Assemble your package from a folder of exercises, say what is yours, and import it.

    Raises: as `assemble.assemble`.
    """
    parts = assemble_package(parts_in(load_course(), Path(folder)), Path(out))
    print(rooms(parts))
    return import_package(Path(out))


def seed_of(name: str) -> int:
    """A seed that belongs to a name; spaces at its ends and capitals do not matter."""
    digest = hashlib.sha256(" ".join(name.split()).casefold().encode()).digest()
    return int.from_bytes(digest[:4], "big")


def emergence(package: Any, times: Sequence[int], *, count: int = 4, seed: int = 0) -> Figure:
    """Digits on their way out of the noise, the library's above the package's, from one seed.

    Args: times, the columns, in the order of the sampler; count, digits of each.
    """
    rows = [states(library, times, count, seed) for library in (minddpm, package)]
    gap = (rows[0] - rows[1]).abs().max().item()
    images = torch.cat([rows[row][:, digit] for digit in range(count) for row in (0, 1)])
    titles = [f"t = {t}" for t in times] + [""] * (len(images) - len(times))
    print(f"the library's and yours differ by at most {gap:.1e} in any pixel")
    return image_grid(images, titles, columns=len(times))


def states(library: Any, times: Sequence[int], count: int, seed: int) -> Tensor:
    """x_t at some times of 1,000 steps with the shipped weights, (times, count, 1, 28, 28)."""
    model, schedule, *_ = library.load_pretrained()
    generator = torch.Generator().manual_seed(seed)
    steps = library.sample_steps(model, (count, 1, 28, 28), schedule, generator=generator)
    kept = {step.t: step.x_t for step in steps if step.t in times}
    return torch.stack([kept[t] for t in times]).clamp(-1, 1)


def bands_in(page: str | Path) -> list[tuple[int, float, float]]:
    """Between which losses five trainings of lesson 07 lay, by step, as docs/diagnosis.md says.

    Raises: ValueError for a page without that table.
    """
    text = Path(page).read_text(encoding="utf-8")
    table = text.partition("<!-- by_step -->")[2].partition("<!-- /by_step -->")[0]
    bands = [(int(step), float(low), float(high)) for step, low, high in BAND.findall(table)]
    if not bands:
        raise ValueError(f"expected the table of losses by step in {page}, got none")
    return bands


def learn(package: Any, bands: Sequence[tuple[int, float, float]], *, seed: int = 0) -> Any:
    """Train a fresh network as lesson 07 does, with the package's own code, and draw its loss as it
    falls.

    Args: bands, between which the mean of the last 25 losses should lie.
    Returns: the last state.
    """
    from IPython.display import display

    images, _ = package.load_mnist("train")
    torch.manual_seed(seed)
    model = package.UNet()
    losses: list[float] = []
    view = display(*picture(losses, bands), raw=True, display_id=True)
    for state in package.train(
        model, images, package.linear_schedule(), steps=LESSON_STEPS, batch_size=64, seed=seed
    ):
        losses.append(state.loss)
        if view is not None and state.step % 10 == 0:
            view.update(*picture(losses, bands), raw=True)
    for step, low, high in bands:
        mean = sum(losses[step - 25 : step]) / 25
        word = "inside" if 0.9 * low <= mean <= 1.1 * high else "OUTSIDE"
        print(f"step {step:>3}: {mean:.3f}, {word} {low} to {high}")
    return state


def picture(losses: Sequence[float], bands: Sequence[tuple[int, float, float]]) -> list[Any]:
    """The loss so far, with the bands, as something to display."""
    figure, axes = new_figure(1, 1, height=2.8)
    axis = axes[0, 0]
    axis.plot(range(1, len(losses) + 1), losses, ".", color=GREY, markersize=3)
    means = [sum(losses[k : k + 25]) / 25 for k in range(len(losses) - 24)]
    axis.plot(range(25, 25 + len(means)), means, color=COLOURS["network"])
    for step, low, high in bands:
        axis.plot([step, step], [low, high], color=COLOURS["noise"], linewidth=5, alpha=0.5)
    axis.set(yscale="log", xlabel="step", ylabel="loss", xlim=(0, LESSON_STEPS), ylim=(0.02, 1.3))
    caption = (
        "Dots: the loss of each step. Line: the mean of the last 25, which should pass through the"
        " bars, where five trainings of lesson 07 lay."
    )
    return [{"text/html": to_html(figure, caption), "text/plain": caption}]
