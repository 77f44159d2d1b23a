"""Measure how good digits are that each sampler draws with so many calls of the network.

    python -m benchmarks few_steps [--calls 10 20] [--backend onnx] [--checkpoint FILE]

Prints a table in Markdown, by `digit_report`: how many digits the classifier is sure of, and their
Fréchet distance to the training digits, as such and beside that of as many real digits. All
samplers start from the same noise. Images and figures are kept in runs/few_steps, by the weights
that drew them, so that an interrupted run continues and new rows cost only themselves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks._report import Report, add_publish
from minddpm import OnnxNetwork, Schedule, ddim_sample, flow_sample, heun, load, respaced, sample
from minddpm.checkpoints import load_pretrained, tensor_digest
from minddpm.metrics import digit_report
from minddpm.network import Model
from minddpm.posterior import posterior_variance

BATCH = 100  # digits drawn at once, each batch with a seed of its own
SHAPE = (BATCH, 1, 28, 28)
Draw = Callable[..., Tensor]  # draw(generator=generator) returns a batch


def ways(model: Model, schedule: Schedule, calls: int) -> dict[str, tuple[int, Draw]]:
    """Each sampler that calls the network at most so often: its number of steps, and how it draws.

    Each is set as suits it best here: beta tilde for few ancestral steps, DDIM not clipped.
    """
    told, shorter = respaced(model, schedule, calls)
    of_heun = (calls + 1) // 2
    few = partial(flow_sample, model, SHAPE, schedule)
    return {
        "ancestral": (calls, partial(sample, told, SHAPE, shorter, variance=posterior_variance)),
        "DDIM": (calls, partial(ddim_sample, model, SHAPE, schedule, steps=calls, clip=False)),
        "DPM-Solver++": (calls, partial(few, steps=calls)),
        "Heun": (of_heun, partial(few, solver=heun, steps=of_heun)),
    }


def drawn(path: Path, count: int, draw: Draw) -> Tensor:
    """Draw so many images, or as many as a file lacks, and keep them there."""
    images = torch.empty(0, *SHAPE[1:])
    if path.exists():
        images = torch.from_numpy(np.load(path)["images"])
    while len(images) < count:
        generator = torch.Generator().manual_seed(1000 + len(images))
        images = torch.cat([images, draw(generator=generator).clamp(-1, 1)])
        np.savez_compressed(path, images=images.numpy())
    return images[:count]


def figures(images: Tensor) -> dict[str, float]:
    """What the table shows of some images."""
    report = digit_report(images)
    return {
        "sure": round(100 * report.images.confident, 1),
        "frechet": round(report.images.frechet, 3),
        "x real": round(report.images.frechet / report.drawn_frechet, 2),
    }


def main() -> None:
    """Draw, measure and print, row by row."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add = parser.add_argument
    add("--calls", type=int, nargs="+", default=[5, 7, 10, 15, 20, 30, 50, 100])
    add("--count", type=int, default=1000, help="digits for each row (default: %(default)s)")
    add("--checkpoint", type=Path, help="weights without labels (default: those that are shipped)")
    add("--backend", choices=("torch", "onnx"), default="torch")
    add("--runs", type=Path, default=Path("runs/few_steps"), help="where images are kept")
    add_publish(parser)
    options = parser.parse_args()
    network, schedule, _ = load(options.checkpoint) if options.checkpoint else load_pretrained()
    weights = tensor_digest(*network.state_dict().values(), schedule.beta)[:8]
    folder = options.runs / f"{weights}_{options.backend}"
    folder.mkdir(parents=True, exist_ok=True)
    model: Model = OnnxNetwork(network, SHAPE[1:]) if options.backend == "onnx" else network
    kept = folder / "figures.json"
    report = Report(
        "| calls | sampler | steps | sure, % | Fréchet | x real |", "|---:|---|---:|---:|---:|---:|"
    )
    for calls in options.calls:
        for name, (steps, draw) in ways(model, schedule, calls).items():
            table = json.loads(kept.read_text()) if kept.exists() else {}
            row = f"{name}_{steps}_{options.count}"
            if row not in table:
                table[row] = figures(drawn(folder / f"{name}_{steps}.npz", options.count, draw))
                kept.write_text(json.dumps(table, indent=1))
            cells = " | ".join(str(value) for value in table[row].values())
            report.say(f"| {calls} | {name} | {steps} | {cells} |")
    if options.publish:
        report.publish("few_steps")


if __name__ == "__main__":
    main()
