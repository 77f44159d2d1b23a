"""python -m minddpm {train, sample, evaluate}."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import torch

from minddpm.checkpoints import load_training, save
from minddpm.data import digest, jitter, load_mnist
from minddpm.loss import simple_loss
from minddpm.schedule import linear_schedule
from minddpm.training import train
from minddpm.unet import UNet


def held_out_loss(model, images, schedule) -> float:
    """L_simple of a model on held-out images: the same times and noise at every call."""
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        return sum(simple_loss(model, batch, schedule, generator=generator).item() for batch in images.split(250)) / 2


def run_train(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    checkpoint, log = options.out / "checkpoint.safetensors", options.out / "log.csv"
    images, _ = load_mnist("train", options.source)
    held_out, _ = load_mnist("test", options.source)
    schedule = linear_schedule()
    torch.manual_seed(options.seed)
    model = UNet()
    settings = {"seed": options.seed, "steps": options.steps, "batch_size": options.batch_size,
                "learning_rate": options.learning_rate, "source": options.source, "data_sha256": digest(images)}
    resume, seconds, done = None, 0.0, 0
    if options.resume:
        metadata, resume = load_training(checkpoint)
        changed = {k: (metadata.get(k), v) for k, v in settings.items() if metadata.get(k) != v}
        if changed:
            raise ValueError("cannot resume with other settings: " + ", ".join(f"{k} was {a}, is {b}" for k, (a, b) in changed.items()))
        seconds, done = metadata["seconds"], metadata["step"]
    elif checkpoint.exists():
        raise FileExistsError(f"{checkpoint} exists: add --resume to go on, or choose another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    if options.resume and log.exists():
        with log.open(newline="") as file:
            rows = [row for row in csv.reader(file)][1:]
            rows = [row for row in rows if int(row[0]) <= done]
    with log.open("w", newline="") as file, tqdm(total=options.steps, initial=done, unit="step", mininterval=2) as bar:
        writer = csv.writer(file)
        writer.writerow(["step", "images", "loss", "held_out_loss", "learning_rate", "seconds"])
        writer.writerows(rows)
        start, recent = time.perf_counter() - seconds, []
        for state in train(model, images, schedule, steps=options.steps, batch_size=options.batch_size,
                           learning_rate=options.learning_rate, seed=options.seed, augment=jitter, resume=resume):
            recent.append(state.loss)
            bar.update()
            if state.step % 50 == 0:
                rate = (state.step - done) * options.batch_size / (time.perf_counter() - start - seconds)
                bar.set_postfix(loss=f"{sum(recent) / len(recent):.4f}", images_per_s=f"{rate:.0f}")
            if state.step % options.every == 0 or state.step == options.steps:
                elapsed = time.perf_counter() - start
                held = held_out_loss(state.average.model, held_out, schedule)
                writer.writerow([state.step, state.images_seen, f"{sum(recent) / len(recent):.5f}", f"{held:.5f}",
                                 f"{state.learning_rate:.2e}", f"{elapsed:.0f}"])
                file.flush()
                recent = []
                save(checkpoint, state.average.model, schedule, training=state.tensors(),
                     metadata=settings | {"step": state.step, "images_seen": state.images_seen, "seconds": elapsed, "held_out_loss": held})


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(prog="python -m minddpm")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--steps", type=int, default=18_000)
    command.add_argument("--batch-size", type=int, default=64)
    command.add_argument("--learning-rate", type=float, default=2.5e-3)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--source", default="bundled")
    command.add_argument("--every", type=int, default=500)
    command.add_argument("--resume", action="store_true")
    command.set_defaults(run=run_train)
    options = parser.parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    main()
