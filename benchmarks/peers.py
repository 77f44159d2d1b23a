"""Race minddpm against other libraries, from nothing to the quality that `speedrun` fixes.

    python -m pip install 'minddpm[bench]'
    python -m benchmarks peers [--minutes 2 10] [--peers all] [--seed 0]

All have the same digits, threads, images a step, minutes and judge. Network, noise, loss,
optimizer, averaging and sampler are each library's own, as its documentation has them for pictures
of this size, but for the tuned network of diffusers, which has ours around it. Every sampler has 20
steps. Each runs in a process of its own. What each costs is measured before the first is trained,
and says how many images it manages in a minute: the machine should have nothing else to do
meanwhile. The training that follows sees so many images.

Prints a table in Markdown: quality; floating-point operations of a training step as a share of what
matrix products reach on this machine; seconds to draw 1 and 100 digits; the most memory that the
process took; seconds to import the library, beyond those that torch takes. Results are kept in
runs/peers.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._report import Report, add_publish
from benchmarks.few_steps import figures
from benchmarks.speedrun import COUNT, RACERS, STEPS, Racer, reached
from minddpm import EMA, guided, load_mnist, respaced, sample, simple_loss
from minddpm.guidance import drop_labels
from minddpm.network import with_label
from minddpm.optimizers import optimizer_of
from minddpm.posterior import posterior_variance
from minddpm.recipes import FAST, PAPER
from minddpm.training import warm_cosine

BATCH = 64  # digits in each step
AT_ONCE = 100  # digits drawn at once
TRIAL_STEPS = 5  # to find out how many images a minute takes
SIDE = 1024  # of the matrices whose product is timed


def constant(share: float) -> float:
    """A learning rate that stays as it is."""
    return 1.0


def warm(share: float) -> float:
    """That of `minddpm.train`, by the share of the time that has passed."""
    return warm_cosine(int(1000 * share), 1000)


@dataclass
class Contestant:
    """What a library trains, how, and how it draws."""

    network: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]  # of digits in [-1, 1] and their labels
    optimizer: torch.optim.Optimizer
    draw: Callable[[nn.Module, Tensor], Tensor]  # with these weights, digits of these labels
    decay: float = 0.0  # of the averaged weights
    rate: Callable[[float], float] = constant


def minddpm(racer: Racer) -> Contestant:
    """One of the speedrun."""
    network, schedule = racer.built()
    recipe = racer.recipe

    def loss(x_0: Tensor, labels: Tensor) -> Tensor:
        kept = drop_labels(labels, 10, 0.1) if racer.labelled else None
        value: Tensor = recipe.loss(with_label(network, kept), x_0, schedule)
        return value

    def draw(model: nn.Module, labels: Tensor) -> Tensor:
        told = guided(model, labels, racer.scale) if racer.labelled else model
        few, shorter = respaced(told, schedule, STEPS)
        shape = (len(labels), 1, 28, 28)
        return sample(few, shape, shorter, variance=posterior_variance)

    settings = recipe.settings()
    optimizer = optimizer_of(network, settings["optimizer"], settings["learning_rate"])
    return Contestant(network, loss, optimizer, draw, recipe.ema_decay, warm)


def unet2d(**settings: Any) -> Any:
    """A U-Net of diffusers, for images of 28 x 28."""
    from diffusers import UNet2DModel

    return UNet2DModel(sample_size=28, out_channels=1, **settings)


def by_diffusers(
    network: nn.Module, call: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor], rate: float
) -> Contestant:
    """Train and draw as the course does: squared cosine, Adam, every step's noise, DDPM."""
    from diffusers import DDPMScheduler

    noising: Any = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")

    def loss(x_0: Tensor, labels: Tensor) -> Tensor:
        noise, t = torch.randn_like(x_0), torch.randint(0, 999, (len(x_0),))
        return F.mse_loss(call(network, noising.add_noise(x_0, noise, t), t, labels), noise)

    def draw(model: nn.Module, labels: Tensor) -> Tensor:
        drawing = DDPMScheduler.from_config(noising.config)
        drawing.set_timesteps(STEPS)
        x_t = torch.randn(len(labels), 1, 28, 28)
        for t in drawing.timesteps:
            noise = call(model, x_t, t.expand(len(labels)), labels)
            x_t = drawing.step(noise, t, x_t).prev_sample
        return x_t

    return Contestant(network, loss, torch.optim.Adam(network.parameters(), rate), draw)


class Conditioned(nn.Module):
    """The course's network: an embedding of the label stands beside the image as four channels."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.inner = unet2d(
            in_channels=1 + 4,
            layers_per_block=2,
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        )

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        beside = self.embedding(labels)[:, :, None, None].expand(-1, -1, *x_t.shape[2:])
        predicted: Tensor = self.inner(torch.cat([x_t, beside], dim=1), t).sample
        return predicted


def course() -> Contestant:
    """Hugging Face's diffusion course, unit 2, the network that is asked for a digit."""

    def call(model: nn.Module, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        return model(x_t, t, labels)  # type: ignore[no-any-return]

    return by_diffusers(Conditioned(), call, rate=1e-3)


def tuned() -> Contestant:
    """A U-Net of diffusers as wide as our default: L_simple, Adam, warm-up, our guided sampler."""
    network = unet2d(
        in_channels=1,
        layers_per_block=1,
        block_out_channels=(16, 48, 96),
        down_block_types=("DownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        num_class_embeds=11,
    )
    ours = minddpm(RACERS["fast"])
    _, schedule = RACERS["fast"].built()

    def loss(x_0: Tensor, labels: Tensor) -> Tensor:
        kept = drop_labels(labels, 10, 0.1)
        return simple_loss(with_label(network, kept), x_0, schedule)

    optimizer = torch.optim.Adam(network.parameters(), PAPER.learning_rate)
    return Contestant(network, loss, optimizer, ours.draw, FAST.ema_decay, warm)


def lucidrains() -> Contestant:
    """denoising-diffusion-pytorch: its README's settings, with the three widths that fit 28."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    network = GaussianDiffusion(
        Unet(dim=64, dim_mults=(1, 2, 4), channels=1),
        image_size=28,
        timesteps=1000,
        sampling_timesteps=STEPS,
    )

    def loss(x_0: Tensor, labels: Tensor) -> Tensor:
        return network((x_0 + 1) / 2)  # type: ignore[no-any-return]

    def draw(model: nn.Module, labels: Tensor) -> Tensor:
        digits: Tensor = model.sample(batch_size=len(labels))  # type: ignore[operator]
        return 2 * digits - 1

    optimizer = torch.optim.Adam(network.parameters(), lr=8e-5, betas=(0.9, 0.99))
    return Contestant(network, loss, optimizer, draw, decay=0.995)


def smalldiffusion() -> Contestant:
    """smalldiffusion's own example for pictures of this size, FashionMNIST."""
    from smalldiffusion import ScheduleLogLinear, Unet, samples
    from smalldiffusion.diffusion import generate_train_sample
    from smalldiffusion.model import Scaled

    schedule = ScheduleLogLinear(sigma_min=0.01, sigma_max=20, N=800)
    network = Scaled(Unet)(28, 1, 1, ch=64, ch_mult=(1, 1, 2), attn_resolutions=(14,))

    def loss(x_0: Tensor, labels: Tensor) -> Tensor:
        x_0, sigma, noise, _ = generate_train_sample(x_0, schedule)
        return network.get_loss(x_0, sigma, noise)  # type: ignore[no-any-return]

    def draw(model: nn.Module, labels: Tensor) -> Tensor:
        sigmas = schedule.sample_sigmas(STEPS)
        *_, digits = samples(model, sigmas, gam=1.6, batchsize=len(labels))
        return digits  # type: ignore[no-any-return]

    optimizer = torch.optim.AdamW(network.parameters(), lr=7e-4)
    return Contestant(network, loss, optimizer, draw, decay=0.999)


PEERS: dict[str, tuple[Callable[[], Contestant], str]] = {
    "minddpm, fast": (partial(minddpm, RACERS["fast"]), "minddpm"),
    "minddpm, paper": (partial(minddpm, RACERS["paper"]), "minddpm"),
    "Hugging Face's course": (course, "diffusers"),
    "diffusers, tuned": (tuned, "diffusers"),
    "denoising-diffusion-pytorch": (lucidrains, "denoising_diffusion_pytorch"),
    "smalldiffusion": (smalldiffusion, "smalldiffusion"),
}


def batches(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of digits and labels without end, in a new order each epoch."""
    images, labels = load_mnist("train")
    for epoch in count():
        generator = torch.Generator().manual_seed(1000 * seed + epoch)
        for chosen in torch.randperm(len(images), generator=generator).split(BATCH)[:-1]:
            yield images[chosen], labels[chosen]


def trained(contestant: Contestant, images: int, seed: int) -> EMA:
    """Train on so many images; returns the averaged weights."""
    average = EMA(contestant.network, contestant.decay)
    peaks = [group["lr"] for group in contestant.optimizer.param_groups]
    contestant.network.train()
    steps = images // BATCH
    for taken, (x_0, labels) in enumerate(islice(batches(seed), steps)):
        for group, peak in zip(contestant.optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * contestant.rate(taken / steps)
        step(contestant, x_0, labels)
        average.update(contestant.network)
    return average


def step(contestant: Contestant, x_0: Tensor, labels: Tensor) -> None:
    """Take one step."""
    contestant.optimizer.zero_grad()
    contestant.loss(x_0, labels).backward()
    contestant.optimizer.step()


def seconds_of(action: Callable[[], Any], times: int = 5) -> float:
    """The median time that something takes, after it has been done once."""
    action()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return median(taken)


def of_training(contestant: Contestant) -> dict[str, float]:
    """How many images training takes in a minute; and the floating-point operations a second of a
    step, in percent of those of a product of matrices.
    """
    minutes = seconds_of(lambda: trained(contestant, TRIAL_STEPS * BATCH, 0), 3) / 60
    x_0, labels = next(batches(0))
    with FlopCounterMode(display=False) as counter:
        step(contestant, x_0, labels)
    one = torch.randn(SIDE, SIDE)
    rate = 2 * SIDE**3 / seconds_of(lambda: one @ one, 20)
    seconds = seconds_of(lambda: step(contestant, x_0, labels))
    share = 100 * counter.get_total_flops() / seconds / rate
    return {"a minute": round(TRIAL_STEPS * BATCH / minutes), "share": round(share, 1)}


@torch.no_grad()
def drawn(contestant: Contestant, model: nn.Module, number: int) -> Tensor:
    """So many digits; as many of each, where one can be asked for."""
    torch.manual_seed(1)
    labels = (torch.arange(number) % 10).split(AT_ONCE)
    return torch.cat([contestant.draw(model, part).clamp(-1, 1) for part in labels])


def costs(name: str) -> dict[str, float]:
    """What one of them costs on this machine, which should have nothing else to do."""
    make, package = PEERS[name]
    contestant = make()
    model = contestant.network
    return {
        "weights": sum(weight.numel() for weight in model.parameters()),
        **of_training(contestant),
        "one": round(seconds_of(lambda: drawn(contestant, model.eval(), 1)), 3),
        "hundred": round(seconds_of(lambda: drawn(contestant, model.eval(), 100), 3), 2),
        "memory": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),
        "import": round(seconds_to_import(package), 2),
    }


def raced(name: str, images: int, seed: int) -> dict[str, float]:
    """Train one of them on so many images from nothing, and judge what it draws."""
    torch.manual_seed(seed)
    contestant = PEERS[name][0]()
    average = trained(contestant, images, seed)
    quality = figures(drawn(contestant, average.model.eval(), COUNT))
    return {"images": images // BATCH * BATCH, **quality}


def seconds_to_import(package: str) -> float:
    """How long importing a package takes in a fresh process that has imported torch."""
    code = f"import time, torch; s = time.time(); import {package}; print(time.time() - s)"
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return median(float(answer.stdout.split()[-1]) for answer in answers)


def cells(name: str, minutes: float, result: dict[str, float]) -> str:
    """A row of the table."""
    order = ("weights", "images", "sure", "x real", "share", "one", "hundred", "memory", "import")
    values = [f"{result[key]:,}" for key in order]
    values.insert(4, "yes" if reached(result) else "no")
    values.insert(1, f"{minutes:g}")
    return f"| {' | '.join([name, *values])} |"


def main() -> None:
    """Race, measure and print, row by row."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add = parser.add_argument
    add("--minutes", type=float, nargs="+", default=[2.0], help="of training (default: 2)")
    add("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    add("--runs", type=Path, default=Path("runs/peers"), help="where results are kept")
    add("--images", type=int, help=argparse.SUPPRESS)  # race one in this process
    add("--costs", action="store_true", help=argparse.SUPPRESS)  # measure one in this process
    add_publish(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.costs or options.images:
        (name,) = options.peers
        races = partial(raced, name, options.images, options.seed)
        print(json.dumps(costs(name) if options.costs else races()))
        return
    options.runs.mkdir(parents=True, exist_ok=True)
    kept = options.runs / "results.json"

    def answer(row: str, peer: str, *command: str) -> dict[str, float]:
        table = json.loads(kept.read_text()) if kept.exists() else {}
        if row not in table:
            all_of_it = [sys.executable, "-m", "benchmarks.peers", "--peers", peer, *command]
            done = subprocess.run(all_of_it, stdout=subprocess.PIPE, text=True, check=True)
            table[row] = json.loads(done.stdout.splitlines()[-1])
            kept.write_text(json.dumps(table, indent=1))
        return dict(table[row])

    report = Report(
        "| library | weights | minutes | images | sure, % | x real | reached | % of matmul "
        "| 1 digit, s | 100 digits, s | MB | import, s |",
        "|---|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|",
    )
    threads = ("--threads", str(options.threads))
    cost = {
        name: answer(f"costs of {name}, {options.threads} threads", name, "--costs", *threads)
        for name in options.peers
    }
    for name in options.peers:
        for minutes in options.minutes:
            images = round(minutes * cost[name]["a minute"])
            command = ("--images", str(images), "--seed", str(options.seed), *threads)
            quality = answer(f"{name}, {images} images, seed {options.seed}", name, *command)
            report.say(cells(name, minutes, cost[name] | quality))
    if options.publish:
        report.publish("peers")


if __name__ == "__main__":
    main()
