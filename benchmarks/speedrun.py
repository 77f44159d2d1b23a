"""Race from nothing to digits of a fixed quality, and measure what each trick is worth.

    python -m benchmarks speedrun [--minutes 5] [--recipes all] [--seeds 0 1 2]

The quality is fixed: of 1,000 digits drawn in 20 ancestral steps the classifier is sure of 90%, and
their Fréchet distance to the training digits is at most 4 times that of as many real digits. Every
recipe starts from random weights and has the 4,500 bundled digits and --minutes. "fast" is what
`minddpm train --labels` does, and "paper" is the paper's; each other one is "fast" with one
change, so that the difference is what the change is worth. Several --minutes make a ladder, whose
first rung that reaches the quality is the answer.

How many images a recipe manages in a minute is measured for all of them before the first trains,
in rounds that take turns: the machine should have nothing else to do in these few minutes. The
training that follows sees so many images, so that whatever runs beside it does not decide the race.

Prints a table in Markdown. Results and networks are kept in runs/speedrun, so that an interrupted
race continues and new rows cost only themselves: rows at another guidance scale cost no training.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._report import Report, add_publish
from benchmarks.few_steps import SHAPE, figures
from minddpm import (
    Muon,
    Schedule,
    UNet,
    converted,
    guided,
    linear_schedule,
    load_mnist,
    min_snr_weight,
    muon,
    noise_from_velocity,
    noise_from_x0,
    respaced,
    sample,
    simple_loss,
    train,
    velocity_weight,
    weighted_loss,
)
from minddpm.checkpoints import write_whole
from minddpm.network import Model
from minddpm.noising import Images
from minddpm.optimizers import adam_step, muon_step, orthogonal
from minddpm.posterior import posterior_variance
from minddpm.recipes import FAST, PAPER, Recipe
from minddpm.runs import steps_within
from minddpm.targets import Conversion
from minddpm.training import Augment, Loss
from minddpm.weighting import even_times

SURE, TIMES_REAL = 90, 4  # the fixed quality
STEPS = 20  # of the ancestral sampler, by which it is judged
COUNT = 1000  # digits that are judged
ROUNDS = 5  # in which speeds are measured
Times = Callable[[int, Schedule, torch.Generator | None], Tensor]


def by_assignment(x_0: Tensor, noise: Tensor) -> Tensor:
    """Give each image the noise that is near it, so that all distances together are least."""
    from scipy.optimize import linear_sum_assignment  # of the extra bench

    distance = torch.cdist(x_0.flatten(1), noise.flatten(1))
    return noise[torch.from_numpy(linear_sum_assignment(distance.numpy())[1])]


def loss_with(
    model: Model,
    x_0: Images,
    schedule: Schedule,
    *,
    weight: Callable[[Tensor], Tensor] = velocity_weight,
    times: Times | None = None,
    pair: Callable[[Tensor, Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The weighted loss with times drawn in another way, or noise paired with the images."""
    t = times(len(x_0), schedule, generator) if times else None
    noise = pair(x_0, torch.randn(x_0.shape, generator=generator)) if pair else None
    return weighted_loss(model, x_0, schedule, weight=weight, t=t, noise=noise, generator=generator)


def random_times(count: int, schedule: Schedule, generator: torch.Generator | None) -> Tensor:
    """Times drawn one by one, as L_simple does."""
    return schedule.sample_t(count, generator=generator)


def normal_times(count: int, schedule: Schedule, generator: torch.Generator | None) -> Tensor:
    """Times whose logarithm of the signal-to-noise ratio is normal: mean 0, deviation 2."""
    share = schedule.alpha_bar[1:]
    falling = torch.log(share / (1 - share))
    drawn = 2 * torch.randn(count, generator=generator, dtype=falling.dtype)
    return (schedule.T - torch.searchsorted(falling.flip(0), drawn)).clamp(min=1)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move all images of a batch by up to two pixels."""
    across, down = torch.randint(-2, 3, (2,), generator=generator).tolist()
    return images.roll((across, down), (2, 3))


def without_attention(network: Any) -> None:
    """Leave the self-attention out."""
    network.attention = nn.Identity()


def channels_last(network: nn.Module) -> None:
    """Keep the channels of a place side by side in memory."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Racer:
    """A recipe that races."""

    recipe: Recipe = FAST
    what: str = ""
    change: Callable[[Any], None] | None = None  # of the network, before it is trained
    target: Conversion | None = None  # of what the network returns, if not the noise
    batch_size: int = 64
    augment: Augment | None = None
    labelled: bool = True
    scale: float = 2.0
    network_of: str = ""  # the racer whose networks are judged, if not its own
    code: tuple[Callable[..., Any], ...] = ()  # what the trick costs

    def built(self) -> tuple[nn.Module, Schedule]:
        """A network with random weights, and its schedule."""
        schedule = self.recipe.schedule()
        network = UNet(replace(self.recipe.network, classes=10 * self.labelled))
        if self.change:
            self.change(network)
        return (converted(network, self.target, schedule) if self.target else network), schedule

    @property
    def settings(self) -> dict[str, Any]:
        """Those of `train`."""
        return self.recipe.settings() | {"batch_size": self.batch_size, "augment": self.augment}


def with_network(what: str, **settings: Any) -> Racer:
    """The fast recipe with another network."""
    return Racer(replace(FAST, network=replace(FAST.network, **settings)), what)


def with_loss(what: str, loss: Loss, *code: Callable[..., Any]) -> Racer:
    """The fast recipe with another loss."""
    return Racer(replace(FAST, loss=loss), what, code=code)


MUON = (orthogonal, Muon, muon_step, adam_step, muon)
RACERS = {
    "paper": Racer(PAPER, "as the paper: `--recipe paper`", labelled=False, scale=1.0),
    "fast": Racer(what="`--recipe fast --labels`"),
    "paper with Muon": Racer(
        replace(PAPER, optimizer=muon, learning_rate=0.02),
        "nothing else changed",
        labelled=False,
        scale=1.0,
        code=MUON,
    ),
    # without one of its tricks
    "any digit": Racer(what="without labels", labelled=False, scale=1.0),
    "no guidance": Racer(what="labels, but scale 1", scale=1.0, network_of="fast", code=(guided,)),
    "Adam": Racer(
        replace(FAST, optimizer=None, learning_rate=PAPER.learning_rate),
        "Adam instead of Muon",
        code=MUON,
    ),
    "L_simple": with_loss("all times count the same", simple_loss, weighted_loss, velocity_weight),
    "linear": Racer(replace(FAST, schedule=linear_schedule), "linear schedule"),
    "not residual": with_network("the network returns all of the noise", residual=False),
    "28 x 28": with_network(
        "no patches: 8 channels more, at full size", patch=1, channels=(8, 24, 48)
    ),
    # with one more, or another
    "velocity": Racer(
        replace(
            FAST,
            network=replace(FAST.network, residual=False),
            loss=partial(loss_with, weight=partial(velocity_weight, most=math.inf)),
        ),
        "the network returns the velocity",
        target=noise_from_velocity,
        code=(converted, noise_from_velocity),
    ),
    "x_0": Racer(
        replace(FAST, network=replace(FAST.network, residual=False)),
        "the network returns x_0",
        target=noise_from_x0,
        code=(converted, noise_from_x0),
    ),
    "weights to 5": with_loss(
        "weights of at most 5", partial(loss_with, weight=partial(velocity_weight, most=5.0))
    ),
    "weights to 100": with_loss(
        "weights of at most 100", partial(loss_with, weight=partial(velocity_weight, most=100.0))
    ),
    "Min-SNR": with_loss(
        "weights of Min-SNR, gamma 5",
        partial(loss_with, weight=min_snr_weight),
        min_snr_weight,
    ),
    "random times": with_loss(
        "times drawn one by one", partial(loss_with, times=random_times), even_times
    ),
    "normal times": with_loss(
        "log SNR normal, errors count the same",
        partial(loss_with, weight=torch.ones_like, times=normal_times),
        normal_times,
    ),
    "assignment": with_loss(
        "each image gets noise that is near", partial(loss_with, pair=by_assignment), by_assignment
    ),
    "narrow": with_network("16 and 32 channels", channels=(16, 32)),
    "wide": with_network("32 and 64 channels", channels=(32, 64)),
    "deep": with_network("16 and 32 channels, two blocks", channels=(16, 32), blocks=2),
    "no attention": Racer(what="without attention", change=without_attention),
    "large steps": Racer(replace(FAST, learning_rate=0.04), "Muon at 0.04"),
    "small steps": Racer(replace(FAST, learning_rate=0.01), "Muon at 0.01"),
    "scale 1.5": Racer(what="labels at scale 1.5", scale=1.5, network_of="fast"),
    "scale 3": Racer(what="labels at scale 3", scale=3.0, network_of="fast"),
    "batch 32": Racer(what="32 images a step", batch_size=32),
    "batch 128": Racer(what="128 images a step", batch_size=128),
    "short EMA": Racer(replace(FAST, ema_decay=0.98), "decay 0.98"),
    "long EMA": Racer(replace(FAST, ema_decay=0.999), "decay 0.999"),
    "shifts": Racer(what="batches moved by 2 pixels", augment=shifted, code=(shifted,)),
    "channels last": Racer(what="memory by place", change=channels_last, code=(channels_last,)),
}


def code_lines(part: Callable[..., Any]) -> int:
    """How many lines a function or class has, without comments and docstrings."""
    tree = ast.parse(inspect.getsource(part))
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            node.body = node.body[1:]
    return len(ast.unparse(tree).split("\n"))


def judged(model: Model, schedule: Schedule, labelled: bool, scale: float) -> dict[str, float]:
    """What the classifier says of digits drawn with few steps; as many of each, if labelled."""
    images = []
    for start in range(0, COUNT, SHAPE[0]):
        generator = torch.Generator().manual_seed(1000 + start)
        told = guided(model, torch.arange(SHAPE[0]) % 10, scale) if labelled else model
        few, shorter = respaced(told, schedule, STEPS)
        draw = partial(sample, few, SHAPE, shorter, variance=posterior_variance)
        images.append(draw(generator=generator).clamp(-1, 1))
    return figures(torch.cat(images))


def beginning(one: Racer, seed: int) -> tuple[tuple[nn.Module, Tensor, Schedule], dict[str, Any]]:
    """A network with random weights, the digits and the schedule, and the settings of `train`."""
    torch.manual_seed(seed)
    images, labels = load_mnist("train")
    network, schedule = one.built()
    settings = one.settings | {"labels": labels if one.labelled else None, "seed": seed}
    return (network, images, schedule), settings


def speeds(names: Sequence[str]) -> dict[str, float]:
    """How many images each recipe trains on in a minute: the median of rounds that take turns."""
    measured: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, rounds in measured.items():
            what, settings = beginning(RACERS[name], seed=0)
            steps = steps_within(1, *what, **settings)
            rounds.append(steps * settings["batch_size"])
    return {name: median(rounds) for name, rounds in measured.items()}


def raced(one: Racer, count: float, seed: int, path: Path) -> dict[str, float]:
    """Train a network on so many images from nothing, or take it from its file, and judge what it
    draws.
    """
    what, settings = beginning(one, seed)
    network, _, schedule = what
    steps = round(count / one.batch_size)
    if path.exists():
        network.load_state_dict(torch.load(path))
    else:
        for state in train(*what, steps=steps, **settings):
            pass
        network = state.average.model
        file = io.BytesIO()
        torch.save(network.state_dict(), file)
        write_whole(path, file.getvalue())
    quality = judged(network, schedule, one.labelled, one.scale)
    return {"images": steps * one.batch_size, **quality}


def reached(result: Mapping[str, float]) -> bool:
    """Whether a result has the fixed quality."""
    return result["sure"] >= SURE and result["x real"] <= TIMES_REAL


def cells(name: str, minutes: float, results: Sequence[Mapping[str, float]]) -> str:
    """A row of the table: medians over the seeds and, behind them, the least and the most."""
    one = RACERS[name]

    def over_seeds(key: str) -> str:
        values = [result[key] for result in results]
        spread = f" ({min(values):g} to {max(values):g})" if len(values) > 1 else ""
        return f"{median(values):g}{spread}"

    figures = [over_seeds(key) for key in ("images", "sure", "x real")]
    good = f"{sum(map(reached, results))} of {len(results)}"
    lines = str(sum(map(code_lines, one.code)) or "")
    return f"| {' | '.join([name, one.what, f'{minutes:g}', *figures, good, lines])} |"


def main() -> None:
    """Race, judge and print, row by row."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add = parser.add_argument
    add("--minutes", type=float, nargs="+", default=[5.0], help="of training (default: 5)")
    add("--recipes", nargs="+", choices=RACERS, default=list(RACERS), metavar="NAME")
    add("--seeds", type=int, nargs="+", default=[0], help="default: 0")
    add("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    add("--runs", type=Path, default=Path("runs/speedrun"), help="where results are kept")
    add_publish(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.runs.mkdir(parents=True, exist_ok=True)
    kept = options.runs / "results.json"
    measured = options.runs / f"speeds_{options.threads}.json"
    speed = json.loads(measured.read_text()) if measured.exists() else {}
    wanted = dict.fromkeys(RACERS[name].network_of or name for name in options.recipes)
    missing = [name for name in wanted if name not in speed]
    if missing:
        speed |= speeds(missing)
        measured.write_text(json.dumps(speed, indent=1))
    report = Report(
        "| recipe | what | minutes | images | sure, % | x real | reached | lines |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    )
    for name in options.recipes:
        for minutes in options.minutes:
            results = []
            for seed in options.seeds:
                table = json.loads(kept.read_text()) if kept.exists() else {}
                spent = f"{minutes:g} minutes, {options.threads} threads, seed {seed}"
                row, trained = f"{name}, {spent}", RACERS[name].network_of or name
                if row not in table:
                    path = options.runs / f"{trained}, {spent}.pt"
                    table[row] = raced(RACERS[name], minutes * speed[trained], seed, path)
                    kept.write_text(json.dumps(table, indent=1))
                results.append(table[row])
            report.say(cells(name, minutes, results))
    if options.publish:
        report.publish("speedrun")


if __name__ == "__main__":
    main()
