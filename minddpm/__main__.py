"""The command line: python -m minddpm {train, sample, evaluate, check, progress, grade,
nbgrader-course}.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.backend_bases import FigureCanvasBase
from torch import Tensor
from tqdm import tqdm

from minddpm.checkpoints import ASSETS, load, load_training, save, write_whole
from minddpm.data import digest, jitter, load_mnist
from minddpm.guidance import guided
from minddpm.loss import simple_loss
from minddpm.metrics import digit_report
from minddpm.options import add, add_sampling, draw, integer, not_negative, positive
from minddpm.schedule import Schedule, linear_schedule
from minddpm.training import TrainState, train
from minddpm.unet import UNet, UNetConfig
from minddpm_course.figures import image_grid

AUGMENTS = {"jitter": jitter, "none": None}


def run_train(options: argparse.Namespace) -> None:
    """Train on the digits, keeping a log and a checkpoint from which a stopped run goes on."""
    checkpoint, log = options.out / "checkpoint.safetensors", options.out / "log.csv"
    (images, labels), held_out = (load_mnist(split, options.source) for split in ("train", "test"))
    knobs = {
        name: getattr(options, name) for name in ("seed", "steps", "batch_size", "learning_rate")
    }
    schedule, classes = linear_schedule(), 10 * options.labels
    torch.manual_seed(options.seed)
    model = UNet(UNetConfig(classes=classes))
    if options.start:  # a network without labels lacks only their weights, which begin at zero
        start, schedule, _ = load(options.start)
        if start.config.classes not in (0, classes):
            raise ValueError(
                f"--start must hold weights for {classes} labels or none, got"
                f" {start.config.classes}"
            )
        model = UNet(replace(start.config, classes=classes))
        model.load_state_dict(start.state_dict(), strict=classes == start.config.classes)
    settings = knobs | {
        "source": options.source,
        "data_sha256": digest(images),
        "augment": options.augment,
    }
    settings["start_sha256"] = fingerprint(model, schedule) if options.start else None
    settings["labels"] = options.labels
    last: dict[str, Any] = {"step": 0, "images_seen": 0, "seconds": 0.0}
    tensors = None
    if options.resume:
        last, tensors = load_training(checkpoint)
        check_settings(f"resume {checkpoint}", last, settings)
    elif checkpoint.exists():
        raise FileExistsError(
            f"{checkpoint} exists: add --resume to go on from it, or choose another --out"
        )
    elif log.exists() and len(log.read_text().splitlines()) > 1:
        raise FileExistsError(f"{log} holds a run whose checkpoint is gone: choose another --out")
    if last["step"] == options.steps:
        print(f"{checkpoint} is finished: all its {options.steps} steps are taken")
        return
    rows = log_rows(log, last["step"])
    write_whole(
        log, "".join(rows).encode()
    )  # a folder that cannot be written shows now, not at the first checkpoint
    started = time.perf_counter() - last["seconds"]
    augment, told = AUGMENTS[options.augment], labels if options.labels else None
    training = train(model, images, schedule, augment=augment, labels=told, resume=tensors, **knobs)
    try:
        for state, loss in at_checkpoints(training, last, options.steps, options.every):
            average, seconds = cast(UNet, state.average.model), time.perf_counter() - started
            held = held_out_loss(average, *held_out, schedule)
            if not math.isfinite(held):  # broken weights must not replace the last good ones
                raise FloatingPointError(f"the held-out loss is {held} at step {state.step}")
            rate = f"{state.learning_rate:.2e}"
            rows.append(
                f"{state.step},{state.images_seen},{loss:.5f},{held:.5f},{rate},{seconds:.0f}\n"
            )
            write_whole(log, "".join(rows).encode())
            now = {
                "step": state.step,
                "images_seen": state.images_seen,
                "seconds": seconds,
                "held_out_loss": held,
            }
            save(checkpoint, average, schedule, metadata=settings | now, training=state.tensors())
            last = now
    except (FloatingPointError, KeyboardInterrupt) as error:
        good = f"{checkpoint}, of step {last['step']}" if last["step"] else "none yet"
        raise type(error)(f"{str(error) or 'stopped'}; last good checkpoint: {good}") from None
    print(f"{checkpoint}: {options.steps} steps, held-out loss {last['held_out_loss']:.4f}")


def at_checkpoints(
    training: Iterator[TrainState], last: Mapping[str, Any], steps: int, every: int
) -> Iterator[tuple[TrainState, float]]:
    """Train under a progress bar, yielding the state at each checkpoint with the mean loss since
    the last one.
    """
    losses, start = [], time.perf_counter()
    with tqdm(
        total=steps, initial=last["step"], desc="training", unit="step", mininterval=1
    ) as bar:
        for state in training:
            losses.append(state.loss)
            rate = (state.images_seen - last["images_seen"]) / (time.perf_counter() - start)
            bar.set_postfix(
                {"loss": f"{fmean(losses[-50:]):.4f}", "images/s": f"{rate:.0f}"}, refresh=False
            )
            bar.update()
            if state.step % every == 0 or state.step == steps:
                yield state, fmean(losses)
                losses = []


def check_settings(action: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with what was made with other settings, naming each."""
    changed = [
        f"{name} was {was.get(name)!r}, is {value!r}"
        for name, value in now.items()
        if was.get(name) != value
    ]
    if changed:
        raise ValueError(f"cannot {action} with other settings: {'; '.join(changed)}")


def log_rows(log: Path, step: int) -> list[str]:
    """The head of the log, and its rows up to the step from which training goes on: the later ones
    will come again.
    """
    rows = log.read_text().splitlines(keepends=True)[1:] if step and log.exists() else []
    return [
        "step,images,loss,held_out_loss,learning_rate,seconds\n",
        *(row for row in rows if int(row.split(",")[0]) <= step),
    ]


@torch.inference_mode()
def held_out_loss(
    model: UNet, images: Float[Tensor, "n 1 28 28"], labels: Int64[Tensor, "n"], schedule: Schedule
) -> float:
    """L_simple on held-out images, the model told their labels if it takes any; the same times and
    noise every time.
    """
    generator = torch.Generator().manual_seed(1)
    losses = []
    for x_0, label in zip(images.split(250), labels.split(250)):
        told = partial(model, label=label) if model.config.classes else model
        losses.append(simple_loss(told, x_0, schedule, generator=generator).item())
    return fmean(losses)


def run_sample(options: argparse.Namespace) -> None:
    """Draw digits and write them as a grid, ten to a row."""
    if (
        not options.out.parent.is_dir()
    ):  # refused now, before minutes are spent on what goes into it
        raise FileNotFoundError(
            f"wanted an existing folder to write {options.out.name} in, got {options.out.parent}"
        )
    formats = FigureCanvasBase.get_supported_filetypes()
    if options.out.suffix.lower().removeprefix(".") not in formats:
        raise ValueError(
            f"--out must end in one of .{', .'.join(sorted(formats))}, got {options.out}"
        )
    asked = options.digit is not None
    if options.scale != 1 and not asked:
        raise ValueError(
            f"--scale needs a --digit that is asked for, got only --scale {options.scale:g}"
        )
    model, schedule, _ = load(
        options.checkpoint or ASSETS / f"ddpm_mnist{'_labels' * asked}.safetensors"
    )
    images = draw(
        guided(model, options.digit, options.scale) if asked else model,
        schedule,
        options.count,
        options,
    )
    image_grid(images, columns=min(10, options.count)).savefig(options.out)
    print(f"{options.count} digits in {options.out}")


def run_evaluate(options: argparse.Namespace) -> None:
    """Draw digits, keeping each batch, and measure them beside real ones."""
    options.samples.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        name: getattr(options, name) for name in ("seed", "batch", "variance", "ddim", "eta")
    }
    model, schedule, _ = load(options.checkpoint or ASSETS / "ddpm_mnist.safetensors")
    settings["weights_sha256"] = fingerprint(model, schedule)
    images = (
        kept_samples(options.samples, settings)
        if options.samples.exists()
        else torch.empty(0, 1, 28, 28)
    )
    if len(images) < options.count:  # a short last batch is drawn again, and whole
        images = images[: len(images) // options.batch * options.batch]
    try:
        while (start := len(images)) < options.count:
            size = min(options.batch, options.count - start)
            print(f"digits {start + 1} to {start + size} of {options.count}", file=sys.stderr)
            # each batch has its own seed, so that a run that goes on draws what it would have drawn
            images = torch.cat(
                [images, draw(model, schedule, size, options, options.seed * 1_000_003 + start)]
            )
            arrays = io.BytesIO()
            np.savez_compressed(arrays, images=images.numpy(), settings=json.dumps(settings))
            write_whole(options.samples, arrays.getvalue())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {start} digits are kept in {options.samples}") from None
    print(digit_report(images[: options.count], progress=True))


def fingerprint(model: UNet, schedule: Schedule) -> str:
    """The SHA-256 of weights and schedule."""
    weights = b"".join(
        value.numpy().tobytes() for value in [*model.state_dict().values(), schedule.beta]
    )
    return hashlib.sha256(weights).hexdigest()


def kept_samples(path: Path, settings: Mapping[str, Any]) -> Float[Tensor, "n 1 28 28"]:
    """Read the samples of an earlier evaluation, and refuse those drawn with other settings."""
    try:
        with np.load(path) as arrays:
            images, was = torch.from_numpy(arrays["images"]), json.loads(str(arrays["settings"]))
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"wanted the samples of an earlier evaluation in {path}, got another file: {error}"
        ) from error
    check_settings(f"reuse {path}", was, settings)
    return images


def build_parser() -> argparse.ArgumentParser:
    """Describe the commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m minddpm", description="Train and judge a DDPM; check exercises."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int | None]
    ) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        parser.set_defaults(run=run)
        return parser

    trainer = command("train", run_train)
    trainer.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoint.safetensors and log.csv"
    )
    add(trainer, "--steps", 18_000, "gradient steps in all", type=integer(1))
    add(trainer, "--batch-size", 64, "images a step", type=integer(1))
    add(
        trainer,
        "--learning-rate",
        2.5e-3,
        "its peak, after a warm-up and before a cosine",
        type=positive,
    )
    add(
        trainer,
        "--seed",
        0,
        "of the first weights, the order, the times and the noise",
        type=integer(0),
    )
    add(
        trainer, "--source", "bundled", "4,500 digits, or all of MNIST", choices=("bundled", "full")
    )
    add(
        trainer,
        "--augment",
        "jitter",
        "turn and stretch each digit a little, or not",
        choices=AUGMENTS,
    )
    trainer.add_argument(
        "--labels", action="store_true", help="tell the network the digit, but for one in ten"
    )
    trainer.add_argument(
        "--start", type=Path, help="checkpoint whose weights to begin with (default: fresh ones)"
    )
    add(trainer, "--every", 500, "steps between checkpoints", type=integer(1))
    trainer.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")

    sampler = command("sample", run_sample)
    sampler.add_argument(
        "--out", type=Path, required=True, help="picture to write, such as digits.png"
    )
    add(sampler, "--count", 100, "how many digits", type=integer(1))
    sampler.add_argument(
        "--digit", type=int, choices=range(10), help="the digit to draw (default: any)"
    )
    add(sampler, "--scale", 1.0, "how strongly that digit is asked for", type=not_negative)

    evaluator = command("evaluate", run_evaluate)
    add(
        evaluator,
        "--samples",
        Path("samples.npz"),
        "where digits are kept, to go on from or measure again",
        type=Path,
    )
    add(evaluator, "--count", 1000, "how many digits", type=integer(2))
    add(evaluator, "--batch", 250, "digits drawn at once", type=integer(1))

    for drawer in (sampler, evaluator):
        drawer.add_argument("--checkpoint", type=Path, help="weights (default: the shipped ones)")
        add_sampling(drawer)
    from marking.commands import add_commands

    add_commands(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns: 0, or 1 where answers are wrong; 2 after an error, told in one line;
    130 after Ctrl-C.
    """
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'stopped'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
