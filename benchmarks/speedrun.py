"""Race from nothing to digits of a fixed quality, and measure what each trick is worth.

    python -m benchmarks speedrun [--minutes 5] [--recipes all] [--seeds 0 1 2]

The quality is fixed: of 1,000 digits drawn in 20 ancestral steps the classifier is sure of 90%, and
their Fréchet distance to the training digits is at most 4 times that of as many real digits. Every
recipe starts from random weights and has the 4,500 bundled digits and --minutes. Recipe "default"
is that of `minddpm train`; "fast" is the fastest that was found; each other one is "fast" with one
change, so that the difference is what the change is worth. Several --minutes make a ladder, whose
first rung that reaches the quality is the answer.

Prints a table in Markdown. Results are kept in runs/speedrun, so that an interrupted race continues
and new rows cost only themselves.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.few_steps import SHAPE, figures
from minddpm import (
    Schedule,
    UNet,
    UNetConfig,
    cosine_schedule,
    forward_diffusion,
    guided,
    linear_schedule,
    load_mnist,
    respaced,
    sample,
    simple_loss,
    train,
)
from minddpm.network import Adapted, Model, Predict, predict
from minddpm.noising import Images
from minddpm.optimizers import MakeOptimizer, Muon, adam_step, muon, muon_step, orthogonal
from minddpm.posterior import posterior_variance
from minddpm.runs import steps_within
from minddpm.schedule import per_image
from minddpm.training import Augment, Loss

SURE, TIMES_REAL = 90, 4  # the fixed quality
STEPS = 20  # of the ancestral sampler, by which it is judged
COUNT = 1000  # digits that are judged
T = 1000


class Folded(nn.Module):
    """A U-Net that sees every square of 2 x 2 pixels as one place with four channels."""

    at_once = UNet.at_once

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.inner = UNet(replace(config, image_channels=4))
        self.config = self.inner.config

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return F.pixel_shuffle(self.inner(F.pixel_unshuffle(x_t, 2), t, label), 2)


def velocity(network: nn.Module, schedule: Schedule) -> nn.Module:
    """Take what a network returns for the velocity v, and predict the noise from it.

    v = sqrt(alpha_bar_t) noise - sqrt(1 - alpha_bar_t) x_0, so that
    noise = sqrt(alpha_bar_t) v + sqrt(1 - alpha_bar_t) x_t

    Source: Salimans & Ho 2022, appendix D.
    """

    def call(
        predict: Predict, x_t: Images, t: Tensor, *label: Tensor | None, alpha_bar: Tensor
    ) -> Images:
        share = per_image(alpha_bar[t], x_t).to(x_t.dtype)
        return share.sqrt() * predict(x_t, t, *label) + (1 - share).sqrt() * x_t

    return Adapted(network, call, alpha_bar=schedule.alpha_bar)


def clean(network: nn.Module, schedule: Schedule) -> nn.Module:
    """Take what a network returns for x_0, and predict the noise from it."""

    def call(
        predict: Predict, x_t: Images, t: Tensor, *label: Tensor | None, alpha_bar: Tensor
    ) -> Images:
        share = per_image(alpha_bar[t], x_t).to(x_t.dtype)
        return (x_t - share.sqrt() * predict(x_t, t, *label)) / (1 - share).sqrt()

    return Adapted(network, call, alpha_bar=schedule.alpha_bar)


def even_times(count: int, schedule: Schedule, generator: torch.Generator | None) -> Tensor:
    """Times as evenly spread as `count` draws can be, so that no batch has only late ones."""
    place = torch.arange(count) + torch.rand(count, generator=generator)
    return (place / count * schedule.T).long().clamp(max=schedule.T - 1) + 1


def noise_everywhere(snr: Tensor) -> Tensor:
    """The weights of L_simple."""
    return torch.ones_like(snr)


def velocity_weight(snr: Tensor) -> Tensor:
    """The weights with which the error of the noise is that of the velocity: 1 / alpha_bar_t."""
    return 1 + 1 / snr


def min_snr(snr: Tensor) -> Tensor:
    """The weights of Min-SNR, gamma 5, for the error of the noise (Hang et al. 2023)."""
    return (5 / snr).clamp(max=1)


def by_chance(x_0: Tensor, noise: Tensor) -> Tensor:
    """Leave each image the noise that it was given."""
    return noise


def by_assignment(x_0: Tensor, noise: Tensor) -> Tensor:
    """Give each image the noise that is near it, so that all distances together are least."""
    from scipy.optimize import linear_sum_assignment  # of the extra bench

    distance = torch.cdist(x_0.flatten(1), noise.flatten(1))
    return noise[torch.from_numpy(linear_sum_assignment(distance.numpy())[1])]


def weighted_loss(
    model: Model,
    x_0: Images,
    schedule: Schedule,
    *,
    weight: Callable[[Tensor], Tensor] = noise_everywhere,
    times: Callable[..., Tensor] = even_times,
    pair: Callable[[Tensor, Tensor], Tensor] = by_chance,
    generator: torch.Generator | None = None,
) -> Tensor:
    """L_simple with other times, pairs of image and noise, and weights by signal-to-noise ratio."""
    t = times(len(x_0), schedule, generator)
    noise = pair(x_0, torch.randn(x_0.shape, generator=generator))
    x_t, noise = forward_diffusion(x_0, t, schedule, noise)
    error = F.mse_loss(predict(model, x_t, t), noise, reduction="none").flatten(1).mean(1)
    share = schedule.alpha_bar[t].to(error.dtype)
    return (weight(share / (1 - share)) * error).mean()


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
    network.inner.attention = nn.Identity()


def channels_last(network: nn.Module) -> None:
    """Keep the channels of a place side by side in memory."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained. The defaults are the fast recipe."""

    what: str = ""
    network: Callable[[UNetConfig], nn.Module] = Folded
    channels: Sequence[int] = (24, 48)
    blocks: int = 1
    change: Callable[[Any], None] | None = None  # of the network, before it is trained
    schedule: Callable[[int], Schedule] = cosine_schedule
    target: Callable[[nn.Module, Schedule], nn.Module] | None = velocity
    loss: Loss = partial(weighted_loss, weight=velocity_weight)
    optimizer: MakeOptimizer | None = muon
    learning_rate: float = 2.5e-3
    batch_size: int = 64
    ema_decay: float = 0.995
    augment: Augment | None = None
    labelled: bool = True
    scale: float = 2.0
    code: tuple[Callable[..., Any], ...] = ()  # what the trick costs

    def built(self) -> tuple[nn.Module, Schedule]:
        """A network with random weights, and its schedule."""
        schedule = self.schedule(T)
        config = UNetConfig(channels=self.channels, blocks=self.blocks, classes=10 * self.labelled)
        network = self.network(config)
        if self.change:
            self.change(network)
        return (self.target(network, schedule) if self.target else network), schedule

    @property
    def settings(self) -> dict[str, Any]:
        """Those of `train`."""
        names = ("loss", "optimizer", "learning_rate", "batch_size", "ema_decay", "augment")
        return {name: getattr(self, name) for name in names}


FAST = Recipe()
DEFAULT = Recipe(
    what="as `minddpm train`, not augmented",
    schedule=linear_schedule,
    network=UNet,
    channels=UNetConfig().channels,
    target=None,
    loss=simple_loss,
    optimizer=None,
    ema_decay=0.999,
    labelled=False,
)
MUON = (orthogonal, Muon, muon_step, adam_step, muon)

RECIPES = {
    "default": DEFAULT,
    "fast": FAST,
    "default with Muon": replace(DEFAULT, what="nothing else changed", optimizer=muon, code=MUON),
    # without one of its tricks
    "any digit": replace(FAST, what="without labels", labelled=False, scale=1.0),
    "no guidance": replace(FAST, what="labels, but scale 1", scale=1.0, code=(guided,)),
    "Adam": replace(FAST, what="Adam instead of Muon", optimizer=None, code=MUON),
    "noise": replace(
        FAST,
        what="the network returns the noise, and all errors count the same",
        target=None,
        loss=weighted_loss,
        code=(velocity, velocity_weight),
    ),
    "L_simple": replace(
        FAST, what="all errors count the same", loss=weighted_loss, code=(velocity_weight,)
    ),
    "random times": replace(
        FAST,
        what="times drawn one by one",
        loss=partial(weighted_loss, weight=velocity_weight, times=random_times),
        code=(even_times,),
    ),
    "28 x 28": replace(
        FAST,
        what="no folding: 8 channels more, at full size",
        network=UNet,
        channels=(8, 24, 48),
        code=(Folded,),
    ),
    # with one more
    "x_0": replace(FAST, what="the network returns x_0", target=clean, code=(clean,)),
    "Min-SNR": replace(
        FAST,
        what="weights of Min-SNR, gamma 5",
        loss=partial(weighted_loss, weight=min_snr),
        code=(min_snr,),
    ),
    "normal times": replace(
        FAST,
        what="log SNR normal, errors count the same",
        loss=partial(weighted_loss, times=normal_times),
        code=(normal_times,),
    ),
    "assignment": replace(
        FAST,
        what="each image gets noise that is near",
        loss=partial(weighted_loss, weight=velocity_weight, pair=by_assignment),
        code=(by_assignment,),
    ),
    "linear": replace(FAST, what="linear schedule", schedule=linear_schedule),
    "narrow": replace(FAST, what="16 and 32 channels", channels=(16, 32)),
    "wide": replace(FAST, what="32 and 64 channels", channels=(32, 64)),
    "deep": replace(FAST, what="16 and 32 channels, two blocks", channels=(16, 32), blocks=2),
    "no attention": replace(FAST, what="without attention", change=without_attention),
    "large steps": replace(FAST, what="Muon at 0.04", optimizer=partial(muon, lr=0.04)),
    "small steps": replace(FAST, what="Muon at 0.01", optimizer=partial(muon, lr=0.01)),
    "scale 3": replace(FAST, what="labels at scale 3", scale=3.0),
    "batch 32": replace(FAST, what="32 images a step", batch_size=32),
    "batch 128": replace(FAST, what="128 images a step", batch_size=128),
    "short EMA": replace(FAST, what="decay 0.98", ema_decay=0.98),
    "long EMA": replace(FAST, what="decay 0.999", ema_decay=0.999),
    "shifts": replace(FAST, what="batches moved by 2 pixels", augment=shifted, code=(shifted,)),
    "channels last": replace(
        FAST, what="memory by place", change=channels_last, code=(channels_last,)
    ),
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


def raced(recipe: Recipe, minutes: float, seed: int) -> dict[str, float]:
    """Train a network for so many minutes from nothing, and judge what it draws."""
    torch.manual_seed(seed)
    images, labels = load_mnist("train")
    network, schedule = recipe.built()
    settings = recipe.settings | {"labels": labels if recipe.labelled else None, "seed": seed}
    steps = steps_within(minutes, network, images, schedule, **settings)
    start = time.perf_counter()
    for state in train(network, images, schedule, steps=steps, **settings):
        pass
    seconds = time.perf_counter() - start
    quality = judged(state.average.model, schedule, recipe.labelled, recipe.scale)
    return {"images": state.images_seen, "seconds": round(seconds), **quality}


def reached(result: Mapping[str, float]) -> bool:
    """Whether a result has the fixed quality."""
    return result["sure"] >= SURE and result["x real"] <= TIMES_REAL


def cells(name: str, minutes: float, results: Sequence[Mapping[str, float]]) -> str:
    """A row of the table: medians over the seeds and, behind them, the least and the most."""
    recipe = RECIPES[name]

    def over_seeds(key: str) -> str:
        values = [result[key] for result in results]
        spread = f" ({min(values):g} to {max(values):g})" if len(values) > 1 else ""
        return f"{median(values):g}{spread}"

    figures = [over_seeds(key) for key in ("images", "seconds", "sure", "x real")]
    good = f"{sum(map(reached, results))} of {len(results)}"
    lines = str(sum(map(code_lines, recipe.code)) or "")
    return f"| {' | '.join([name, recipe.what, f'{minutes:g}', *figures, good, lines])} |"


def main() -> None:
    """Race, judge and print, row by row."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add = parser.add_argument
    add("--minutes", type=float, nargs="+", default=[5.0], help="of training (default: 5)")
    add("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME")
    add("--seeds", type=int, nargs="+", default=[0], help="default: 0")
    add("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    add("--runs", type=Path, default=Path("runs/speedrun"), help="where results are kept")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.runs.mkdir(parents=True, exist_ok=True)
    kept = options.runs / "results.json"
    print("| recipe | what | minutes | images | seconds | sure, % | x real | reached | lines |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for name in options.recipes:
        for minutes in options.minutes:
            results = []
            for seed in options.seeds:
                table = json.loads(kept.read_text()) if kept.exists() else {}
                row = f"{name}, {minutes:g} minutes, {options.threads} threads, seed {seed}"
                if row not in table:
                    table[row] = raced(RECIPES[name], minutes, seed)
                    kept.write_text(json.dumps(table, indent=1))
                results.append(table[row])
            print(cells(name, minutes, results), flush=True)


if __name__ == "__main__":
    main()
