"""The last notebook: a package of your own, its digits, and trainings from zero."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

import minddpm
from minddpm.checks import how_many
from minddpm.grids import grid, write_picture
from minddpm.interrupts import waiting_interrupt
from minddpm.metrics import digit_report
from minddpm_course.assemble import assemble_package, parts_in, rooms
from minddpm_course.compare import import_package
from minddpm_course.course import load_course
from minddpm_course.figures import COLOURS, GREY, bundle_of, image_grid, new_figure, show, show_live

LESSON_STEPS = 150  # the training of lesson 07, for which the bands were measured
BATCH = 64
WINDOW = 25  # steps whose mean loss the bands bound
DRAW_EVERY = 10  # steps between two pictures of the loss
LEARNING = (
    f"The mean of the last {WINDOW} losses should pass through the bars, between which five"
    " trainings of lesson 07 lay. Single steps scatter around it."
)
BAND = re.compile(r"^\| (\d+) \| ([\d.]+) to ([\d.]+) \|$", re.MULTILINE)

Bands = Sequence[tuple[int, float, float]]


@dataclass(frozen=True)
class Assembled:
    """A package that was put together.

    Args:
        package: what `import mine` would give.
        own: how many of its functions are the student's.
        of: how many could be.
    """

    package: ModuleType
    own: int
    of: int


@dataclass(frozen=True)
class Trained:
    """What came out of a training.

    Args:
        model: the network with its averaged weights.
        steps: how many it took.
        seconds: how long it took.
    """

    model: Any
    steps: int
    seconds: float


def assemble_here(folder: str | Path, out: str | Path) -> Assembled:
    """Assemble a package from a folder of exercises, say what is in it, and import it.

    Raises: as `assemble.parts_in` and `assemble.assemble_package`.
    """
    parts = assemble_package(parts_in(load_course(), Path(folder)), Path(out))
    own = sum(part.yours for part in parts)
    print(rooms(parts))
    print(f"\n{own} of {len(parts)} functions are yours")
    return Assembled(import_package(Path(out)), own, len(parts))


def seed_of(name: str) -> int:
    """A seed that belongs to a name; capitals and spaces around or doubled do not matter."""
    digest = hashlib.sha256(" ".join(name.split()).casefold().encode()).digest()
    return int.from_bytes(digest[:4], "big")


def watch(package: Any, times: Sequence[int], *, count: int = 2, seed: int = 0) -> None:
    """Show digits on their way out of the noise, the library's above the package's, from one seed.

    Args:
        times: of the columns, 0..1000, in any order.
        count: digits of each.

    Raises: ValueError for other times.
    """
    from IPython.display import display

    beyond = [t for t in times if t not in range(1001)]
    if beyond:
        raise ValueError(f"times must lie in 0..1000, got {beyond[0]}")
    times = sorted(set(times), reverse=True)
    library: list[Tensor] = []
    yours: list[Tensor] = []
    view = display(emergence(library, yours, times, count), raw=True, display_id=True)
    walks = (states(one, times, count, seed) for one in (minddpm, package))
    for pair in zip(*walks, strict=True):
        library.append(pair[0])
        yours.append(pair[1])
        if view is not None:
            view.update(emergence(library, yours, times, count), raw=True)
    gap = max((one - other).abs().max().item() for one, other in zip(library, yours))
    print(f"The largest difference in any pixel of these pictures is {gap:.1e}.")


def states(library: Any, times: Sequence[int], count: int, seed: int) -> Iterator[Tensor]:
    """x_t at some times of 1,000 steps with the shipped weights, each (count, 1, 28, 28)."""
    model, schedule, *_ = library.load_pretrained()
    generator = torch.Generator().manual_seed(seed)
    steps = library.sample_steps(model, (count, 1, 28, 28), schedule, generator=generator)
    return (step.x_t for step in steps if step.t in times)


def emergence(
    library: Sequence[Tensor], yours: Sequence[Tensor], times: Sequence[int], count: int
) -> dict[str, str]:
    """The digits so far as something to display."""
    caption = (
        f"{how_many(count, 'digit')} from the noise of one seed, each in two rows: drawn by the"
        " library above, by your package below. Both rows should look alike."
    )
    return bundle_of(emergence_figure(library, yours, times, count), caption)


def emergence_figure(
    library: Sequence[Tensor], yours: Sequence[Tensor], times: Sequence[int], count: int
) -> Figure:
    """The digits so far, a column for each time; those still to come are white."""
    to_come = [torch.ones(count, 1, 28, 28)] * (len(times) - len(library))
    rows = [torch.stack([*states, *to_come], dim=1) for states in (library, yours)]
    images = torch.stack(rows, dim=1).flatten(0, 2).clamp(-1, 1)
    titles = [f"t = {t}" for t in times] + [""] * (len(images) - len(times))
    figure = image_grid(images, titles, columns=len(times))
    for row, axis in enumerate(figure.axes[:: len(times)]):
        name = "yours" if row % 2 else "library"
        axis.text(-0.12, 0.5, name, rotation=90, va="center", ha="right", transform=axis.transAxes)
    return figure


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


def learn(package: Any, bands: Bands, *, seed: int = 0) -> None:
    """Train a fresh network as lesson 07 does, with the package's own code, draw its loss as it
    falls, and say whether it lies inside the bands.
    """
    losses: list[float] = []
    show_again = show_live()
    show_again(loss_figure(losses, bands), LEARNING)
    for state in from_zero(package, LESSON_STEPS, seed):
        losses.append(state.loss)
        if state.step % DRAW_EVERY == 0:
            show_again(loss_figure(losses, bands), LEARNING)
    print("\n".join(verdicts(losses, bands)))


def from_zero(package: Any, steps: int, seed: int) -> Any:
    """A training from zero on the course's digits, as `training.train` yields it."""
    images, _ = package.load_mnist("train")
    torch.manual_seed(seed)
    return package.train(
        package.UNet(), images, package.linear_schedule(), steps=steps, batch_size=BATCH, seed=seed
    )


def verdicts(losses: Sequence[float], bands: Bands) -> list[str]:
    """Whether the mean of the last losses lies inside each band, at the two digits of the bands."""
    lines = []
    for step, low, high in bands:
        mean = float(f"{fmean(losses[step - WINDOW : step]):.2g}")
        word = "inside" if low <= mean <= high else "OUTSIDE"
        lines.append(f"step {step:>3}: {mean:<5} {word} {low} to {high}")
    return lines


def loss_figure(losses: Sequence[float], bands: Bands) -> Figure:
    """The loss of each step, the mean of the last ones, and the bands."""
    figure, ((axis,),) = new_figure(height=2.8)
    axis.plot(range(1, len(losses) + 1), losses, ".", color=GREY, markersize=3)
    ends = range(WINDOW, len(losses) + 1)
    means = [fmean(losses[end - WINDOW : end]) for end in ends]
    axis.plot(ends, means, color=COLOURS["network"])
    for step, low, high in bands:
        axis.plot([step, step], [low, high], color=COLOURS["noise"], linewidth=5, alpha=0.5)
    axis.text(8, 1.05, "each step", color=GREY)
    axis.text(31, 0.45, f"mean of the last {WINDOW}", color=COLOURS["network"])
    axis.text(53, 0.1, "bars: five trainings of lesson 07")
    axis.set(
        yscale="log", xlabel="step", ylabel="loss", xlim=(0, LESSON_STEPS + 5), ylim=(0.02, 1.3)
    )
    return figure


def train_for(package: Any, minutes: float, *, seed: int) -> Trained:
    """Train a fresh network with the package's own code, for about so many minutes; where the cell
    is stopped, as far as it came.
    """
    from IPython.display import display

    images, _ = package.load_mnist("train")
    schedule = package.linear_schedule()
    steps = package.runs.steps_within(minutes, package.UNet(), images, schedule, batch_size=BATCH)
    line = display({"text/plain": f"{steps} steps planned"}, raw=True, display_id=True)
    start = told = time.perf_counter()
    with waiting_interrupt() as stopped:
        for state in from_zero(package, steps, seed):
            now = time.perf_counter()
            ends = state.step == steps or stopped()
            if line is not None and (now - told > 1 or ends):
                told = now
                words = f"step {state.step} of {steps}, loss {state.loss:.3f}, {now - start:.0f} s"
                line.update({"text/plain": words}, raw=True)
            if ends:
                break
    return Trained(state.average.model, state.step, time.perf_counter() - start)


def certify(
    assembled: Assembled, trained: Trained, name: str, folder: str | Path, *, count: int = 250
) -> None:
    """Draw digits with weights of your own in 50 steps of DDIM, keep them, and measure them.

    Args:
        name: the student's, whose seed the digits are drawn from.
        folder: where digits.png and weights.safetensors are written.
        count: how many digits are measured, at least 100; the first 100 are shown.
    """
    package, folder = assembled.package, Path(folder)
    schedule = package.linear_schedule()
    generator = torch.Generator().manual_seed(seed_of(name))
    digits = package.ddim_sample(
        trained.model, (count, 1, 28, 28), schedule, steps=50, generator=generator
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_picture(grid(digits[:100]), folder / "digits.png")
    package.save(folder / "weights.safetensors", trained.model, schedule)
    show(
        image_grid(digits[:100]),
        f"A hundred digits by {name or 'you'}, in the order drawn, after {trained.steps} steps.",
    )
    report = digit_report(digits)
    print(
        f"name                 {name or '(none)'}\n"
        f"functions            {assembled.own} of {assembled.of} your own\n"
        f"training             {how_many(trained.steps, 'step')}, {trained.seconds:.0f} seconds\n"
        f"Fréchet distance     {report.images.frechet:.2f} for {count} digits\n"
        f"  real digits        {report.drawn_frechet:.2f} for as many, drawn at random\n"
        f"kept                 {folder / 'digits.png'}, {folder / 'weights.safetensors'}"
    )
