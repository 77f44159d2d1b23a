"""Measure how good the digits of the shipped weights are, with labels and without.

    python -m benchmarks weights [--count 1000] [--repeats 4] [--unlabelled FILE] [--labelled FILE]

For each way to draw: how many digits the classifier is sure of, their Fréchet distance to the
training digits beside that of as many real digits, how many are read as the digit that was asked
for, and how many lie nearer to a training digit than 99% of the held-out digits do. All are
medians over sets of equal size, with the least and the most behind them.

Prints a table in Markdown. Images and figures are kept in runs/weights, by the weights that drew
them, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks._report import Report, add_publish
from benchmarks.few_steps import BATCH, Draw, drawn, ways
from minddpm import Schedule, guided, load, load_pretrained
from minddpm.checkpoints import tensor_digest
from minddpm.metrics import digit_report, load_classifier

DIGITS = torch.arange(BATCH) % 10  # what a batch is asked for
WAYS = (("ancestral", 100), ("DDIM", 50), ("DPM-Solver++", 10))  # by how often they call


def asked_ways(model: torch.nn.Module, schedule: Schedule) -> Iterator[tuple[str, int, Draw]]:
    """Each way to draw: its name, how often it calls the network, and how it draws a batch."""
    scales = (1, 2) if model.config.classes else ()  # type: ignore[union-attr]
    told = {f"scale {scale}": guided(model, DIGITS, scale) for scale in scales}
    for kind, network in told.items() or (("no label", model),):
        for name, calls in WAYS:
            yield f"{kind}, {name}", calls, ways(network, schedule, calls)[name][1]


@torch.inference_mode()
def of_set(images: Tensor) -> dict[str, float]:
    """What the table shows of one set of images."""
    report = digit_report(images)
    read = load_classifier()(images).argmax(1)
    asked = DIGITS.repeat(len(images) // BATCH)
    return {
        "sure": 100 * report.images.confident,
        "x real": report.images.frechet / report.drawn_frechet,
        "as asked": 100 * (read == asked).double().mean().item(),
        "nearer": 100 * report.closer,
    }


def over_sets(sets: list[dict[str, float]], key: str, places: int) -> str:
    """The median of a figure, and the least and the most."""
    values = [one[key] for one in sets]
    spread = f" ({min(values):.{places}f} to {max(values):.{places}f})" if len(values) > 1 else ""
    return f"{median(values):.{places}f}{spread}"


def main() -> None:
    """Draw, measure and print, row by row."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add = parser.add_argument
    add("--count", type=int, default=1000, help=f"digits in a set, a multiple of {BATCH}")
    add("--repeats", type=int, default=4, help="sets (default: %(default)s)")
    for kind in ("unlabelled", "labelled"):
        add(f"--{kind}", type=Path, help="other weights than those that are shipped")
    add("--runs", type=Path, default=Path("runs/weights"), help="where images are kept")
    add_publish(parser)
    options = parser.parse_args()
    report = Report(
        "| way to draw | calls | sure, % | x real | read as asked, % | nearer, % |",
        "|---|---:|---:|---:|---:|---:|",
    )
    for path, name in ((options.unlabelled, "mnist"), (options.labelled, "mnist_labels")):
        model, schedule, _ = load(path) if path else load_pretrained(name)
        digest = tensor_digest(*model.state_dict().values(), schedule.beta)[:8]
        folder = options.runs / digest
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "figures.json"
        for way, calls, draw in asked_ways(model, schedule):
            table = json.loads(kept.read_text()) if kept.exists() else {}
            rows = [f"{way}, {options.count}, set {k}" for k in range(options.repeats)]
            if not set(rows) <= set(table):
                images = drawn(folder / f"{way}.npz", options.count * options.repeats, draw)
                for row, one in zip(rows, images.split(options.count)):
                    table[row] = of_set(one)
                kept.write_text(json.dumps(table, indent=1))
            sets = [table[row] for row in rows]
            labelled = way.startswith("scale")
            cells = [
                over_sets(sets, "sure", 1),
                over_sets(sets, "x real", 2),
                over_sets(sets, "as asked", 1) if labelled else "",
                over_sets(sets, "nearer", 1),
            ]
            report.say(f"| {way} | {calls} | {' | '.join(cells)} |")
    if options.publish:
        report.publish("weights")


if __name__ == "__main__":
    main()
