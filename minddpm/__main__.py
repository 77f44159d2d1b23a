"""The command line: minddpm {train, sample, evaluate}, and the commands of installed packages."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from minddpm import __version__
from minddpm.checkpoints import check_writable, load, load_pretrained, tensor_digest, write_whole
from minddpm.data import data_digest, jitter, load_mnist
from minddpm.grids import grid, picture_format, write_picture
from minddpm.guidance import guided
from minddpm.images import LoadedImages, load_splits
from minddpm.metrics import digit_report, image_report
from minddpm.network import Model
from minddpm.options import (
    add,
    add_device,
    add_images,
    add_sampling,
    check_sampling,
    draw,
    integer,
    not_negative,
    place,
    positive,
)
from minddpm.runs import check_settings, train_to
from minddpm.schedule import Schedule, linear_schedule
from minddpm.unet import UNet, UNetConfig

AUGMENTS = {"jitter": jitter, "none": None}
DIGIT_NAMES = tuple("0123456789")
LESSONS = """The lessons are the notebooks 00 to 10 in the folder notebooks/ of the repository:
`make lab` opens them in JupyterLab."""
# what Python's callers pass, and what it is called here
IN_OPTIONS = {
    "resume=True": "--resume",
    "batch_size": "--batch-size",
    "learning_rate": "--learning-rate",
    "another folder": "another --out",
    "side=": "--side ",
}

Command = Callable[[str, Callable[[argparse.Namespace], int | None]], argparse.ArgumentParser]


def run_train(options: argparse.Namespace) -> None:
    """Train on digits or on your own images, keeping a log and a checkpoint to resume from."""
    train, held_out = images_of(options)
    schedule, classes = linear_schedule(), len(train.names)
    torch.manual_seed(options.seed)
    model = UNet(UNetConfig(image_channels=train.images.shape[1], classes=classes))
    start_sha256 = None
    if options.start:
        model, schedule = started_from(options.start, model.config)
        start_sha256 = fingerprint(model, schedule)
    check_sides(train.images, model.config)
    run = train_to(
        options.out,
        model.to(options.device),
        train.images,
        schedule,
        labels=train.labels,
        held_out=held_out.images,
        held_out_labels=held_out.labels,
        steps=options.steps,
        every=options.every,
        resume=options.resume,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        augment=AUGMENTS[augment_of(options)],
        metadata={
            "source": Path(options.data).name if options.data else options.source,
            "augment": augment_of(options),
            "start_sha256": start_sha256,
            "labels": options.labels,
            "label_names": list(train.names),
        },
    )
    if not run.steps:
        print(f"{run.checkpoint} is finished: all its {options.steps} steps are taken")
        return
    held = run.metadata["held_out_loss"]
    print(f"{run.checkpoint}: {options.steps} steps, held-out loss {held:.4f}")


def images_of(options: argparse.Namespace) -> tuple[LoadedImages, LoadedImages]:
    """The images that the options name: to train on, and held out."""
    labelled = getattr(options, "labels", False)
    if options.data is None:
        for name in ("side", "channels"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} needs --data, got only --{name}")
        parts = [load_mnist(split, options.source) for split in ("train", "test")]
        names = DIGIT_NAMES if labelled else ()
        train, held_out = (
            LoadedImages(images, labels if labelled else None, names) for images, labels in parts
        )
        return train, held_out
    return load_splits(options.data, labels=labelled, side=options.side, channels=options.channels)


def augment_of(options: argparse.Namespace) -> str:
    """How images are changed before they are used: if it is not said, only digits are turned."""
    return options.augment or ("jitter" if options.data is None else "none")


def started_from(path: Path, expected: UNetConfig) -> tuple[UNet, Schedule]:
    """A network with the weights of a checkpoint, and its schedule.

    Weights without labels may begin a network with them, whose rows of labels begin at zero.
    """
    start, schedule, _ = load(path)
    if start.config.image_channels != expected.image_channels:
        raise ValueError(
            f"--start must hold weights for images of {expected.image_channels} channels, got"
            f" {start.config.image_channels}"
        )
    if start.config.classes not in (0, expected.classes):
        raise ValueError(
            f"--start must hold weights for {expected.classes} labels or none, got"
            f" {start.config.classes}"
        )
    model = UNet(replace(start.config, classes=expected.classes))
    model.load_state_dict(start.state_dict(), strict=expected.classes == start.config.classes)
    return model, schedule


def check_sides(images: Tensor, config: UNetConfig) -> None:
    """Raise unless the network can halve the images' sides as often as it has to, and say which
    side would do: images are not padded, because the network would learn to draw the border.
    """
    multiple = 2 ** (len(config.channels) - 1)
    height, width = images.shape[2:]
    if height % multiple or width % multiple:
        side = max(round(min(height, width) / multiple), 1) * multiple
        raise ValueError(
            f"the network needs images with sides that are multiples of {multiple}, got"
            f" {width}x{height}: scale them, for instance with --side {side}"
        )


def run_sample(options: argparse.Namespace) -> None:
    """Draw new images and write them as a grid, ten to a row."""
    if options.out.is_dir():
        raise IsADirectoryError(
            f"--out must be the file of a picture, got the folder {options.out}"
        )
    if not options.out.parent.is_dir():  # refused now, before minutes are spent on the images
        raise FileNotFoundError(
            f"expected an existing folder to write {options.out.name} in, got {options.out.parent}"
        )
    check_writable(options.out.parent)
    picture_format(options.out)
    label = options.label if options.digit is None else str(options.digit)
    if options.scale != 1 and label is None:
        raise ValueError(f"--scale needs --digit or --label, got only --scale {options.scale:g}")
    shipped = "mnist" if label is None else "mnist_labels"
    checkpoint = options.checkpoint
    model, schedule, metadata = load(checkpoint) if checkpoint else load_pretrained(shipped)
    check_sampling(options, schedule)
    drawer: Model = model.to(options.device)
    if label is not None:
        number = label_number(label, model.config, metadata)
        drawer = guided(model, number, options.scale)
    shape = (options.count, *image_shape(model, metadata))
    images = draw(drawer, shape, schedule, options, options.seed)
    write_picture(grid(images), options.out)
    print(f"{options.count} images in {options.out}")


def label_number(name: str, config: UNetConfig, metadata: Mapping[str, Any]) -> int:
    """The number of a label that is called by its name."""
    if not config.classes:
        raise ValueError(
            f"expected weights that know labels, to draw {name!r}, got some trained without --labels"
        )
    names = metadata.get("label_names") or [str(number) for number in range(config.classes)]
    if name not in names:
        raise ValueError(f"the label must be one of {', '.join(names)}, got {name!r}")
    return int(names.index(name))


def image_shape(model: UNet, metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape (c, h, w) of the images that a network was trained on: 28 x 28 if none is kept."""
    return tuple(metadata.get("image_shape", (model.config.image_channels, 28, 28)))


def run_evaluate(options: argparse.Namespace) -> None:
    """Draw images, keeping each batch, and measure them beside real ones."""
    if options.samples.is_dir():
        raise IsADirectoryError(f"--samples must be a file, got the folder {options.samples}")
    check_writable(options.samples.parent)
    settings = {
        name: getattr(options, name) for name in ("seed", "batch", "variance", "ddim", "eta")
    }
    checkpoint = options.checkpoint
    model, schedule, metadata = load(checkpoint) if checkpoint else load_pretrained()
    settings["weights_sha256"] = fingerprint(model, schedule)
    check_sampling(options, schedule)
    shape = image_shape(model, metadata)
    real = real_images(options, shape, metadata)
    images = torch.empty(0, *shape)
    if options.samples.exists():
        images = kept_samples(options.samples, settings)
    if len(images) < options.count:  # a short last batch is drawn again, and whole
        images = images[: len(images) // options.batch * options.batch]
    model = model.to(options.device)
    try:
        while (start := len(images)) < options.count:
            size = min(options.batch, options.count - start)
            print(f"images {start + 1} to {start + size} of {options.count}", file=sys.stderr)
            # each batch has its own seed, so that a run that goes on draws what it would have drawn
            seed = options.seed * 1_000_003 + start
            drawn = draw(model, (size, *shape), schedule, options, seed)
            images = torch.cat([images, drawn])
            arrays = io.BytesIO()
            np.savez_compressed(arrays, images=images.numpy(), settings=json.dumps(settings))
            write_whole(options.samples, arrays.getvalue())
    except KeyboardInterrupt:
        kept = f"{start} images are kept in {options.samples}" if start else "nothing is kept"
        raise KeyboardInterrupt(f"stopped; {kept}") from None
    images = images[: options.count]
    if real is None:
        print(digit_report(images, progress=True))
    else:
        print(image_report(images, real[0].images, real[1].images, progress=True))


def real_images(
    options: argparse.Namespace, shape: tuple[int, ...], metadata: Mapping[str, Any]
) -> tuple[LoadedImages, LoadedImages] | None:
    """The images to measure by: of --data, or None for the bundled digits."""
    if options.data is None:
        source = metadata.get("source", "bundled")
        if source not in ("bundled", "full"):
            raise ValueError(
                f"the weights were trained on {source}: name images to measure by, with --data"
            )
        return None
    train, held_out = images_of(options)
    if train.images.shape[1:] != shape:
        raise ValueError(
            f"--data must hold images of shape {shape}, as the weights draw them, got"
            f" {tuple(train.images.shape[1:])}: see --side and --channels"
        )
    if metadata.get("data_sha256") != data_digest(train.images):
        warnings.warn("the weights were not trained on these images of --data", stacklevel=2)
    return train, held_out


def fingerprint(model: UNet, schedule: Schedule) -> str:
    """The SHA-256 of weights and schedule."""
    return tensor_digest(*model.state_dict().values(), schedule.beta)


def kept_samples(path: Path, settings: Mapping[str, Any]) -> Float[Tensor, "n c h w"]:
    """Read the samples of an earlier evaluation, and refuse those drawn with other settings."""
    expected = f"expected the samples of an earlier evaluation in {path}, got a file of another kind"
    if not zipfile.is_zipfile(path):
        raise ValueError(expected)
    try:
        with np.load(path) as arrays:
            images, was = torch.from_numpy(arrays["images"]), json.loads(str(arrays["settings"]))
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ValueError(expected) from None  # what numpy says would be advice on pickles
    check_settings(f"reuse {path}", was, settings)
    return images


def build_parser(plugins: bool = True) -> argparse.ArgumentParser:
    """Describe the commands and their options.

    Args: plugins, whether to add the commands of other packages, which may be slow to import.
    """
    parser = argparse.ArgumentParser(
        prog="minddpm",
        description="Train a DDPM, sample from it, and judge its samples.",
        epilog=LESSONS,
    )
    parser.add_argument("--version", action="version", version=f"minddpm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int | None]
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    add_train(command)
    add_sample(command)
    add_evaluate(command)
    if plugins:
        add_plugins(command)
    return parser


def add_plugins(command: Command) -> None:
    """Add the commands that installed packages offer as entry points of the group
    `minddpm.commands`: each is a function, called with `command`.
    """
    for entry in entry_points(group="minddpm.commands"):
        try:
            entry.load()(command)
        except Exception as error:  # of whatever kind: the library's own commands go on
            print(f"warning: no commands from {entry.name}: {error}", file=sys.stderr)


def add_train(command: Command) -> None:
    """Describe `train`."""
    trainer = command("train", run_train)
    trainer.add_argument(
        "--out", type=place, required=True, help="folder for the checkpoint and log.csv"
    )
    add_images(trainer, "the digits of --source")
    add(
        trainer, "--source", "bundled", "4,500 digits, or all of MNIST", choices=("bundled", "full")
    )
    trainer.add_argument(
        "--labels",
        action="store_true",
        help="train with labels (the digits, or the folder names in --data); one in ten is dropped",
    )
    add(trainer, "--steps", 18_000, "gradient steps in all", type=integer(1))
    trainer.add_argument(
        "--batch-size",
        type=integer(1),
        help="images a step (default: 64, or all of them if they are fewer)",
    )
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
    trainer.add_argument(
        "--augment",
        choices=AUGMENTS,
        help="turn and stretch each image a little, or not (default: jitter for digits, none for"
        " --data)",
    )
    trainer.add_argument(
        "--start", type=place, help="checkpoint whose weights to begin with (default: fresh ones)"
    )
    add(trainer, "--every", 500, "steps between checkpoints", type=integer(1))
    trainer.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    add_device(trainer)


def add_sample(command: Command) -> None:
    """Describe `sample`."""
    sampler = command("sample", run_sample)
    sampler.add_argument(
        "--out", type=place, required=True, help="picture to write, such as digits.png"
    )
    add(sampler, "--count", 100, "how many images", type=integer(1))
    label = sampler.add_mutually_exclusive_group()
    label.add_argument(
        "--digit", type=int, choices=range(10), help="the digit to draw (default: any)"
    )
    label.add_argument(
        "--label", help="the label to draw, by the name it was trained with (default: any)"
    )
    add(sampler, "--scale", 1.0, "how strongly the label guides", type=not_negative)
    add_sampling(sampler)
    add_device(sampler)


def add_evaluate(command: Command) -> None:
    """Describe `evaluate`."""
    evaluator = command("evaluate", run_evaluate)
    add(
        evaluator,
        "--samples",
        Path("samples.npz"),
        "where the images are kept, to go on from or measure again",
        type=place,
    )
    add(evaluator, "--count", 1000, "how many images", type=integer(2))
    add(evaluator, "--batch", 250, "images drawn at once", type=integer(1))
    add_images(evaluator, "the bundled digits")
    add_sampling(evaluator)
    add_device(evaluator)


def in_options(error: BaseException) -> str:
    """What an error says, in terms of the command line's options."""
    text = str(error)
    for argument, option in IN_OPTIONS.items():
        # whole words only, and no parts of a path
        text = re.sub(rf"(?<![\w/.-]){re.escape(argument)}(?![/.-]|\w*_)", option, text)
    return text


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Write a warning as one line."""
    print(f"warning: {in_options(Warning(str(message)))}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns: 0, or 1 where answers are wrong; 2 after an error, named in one line; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may know few characters
            stream.reconfigure(errors="replace")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    own = arguments[:1] in (["train"], ["sample"], ["evaluate"])
    options = build_parser(plugins=not own).parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            status = options.run(options)
            return status or 0
    except (ValueError, TypeError, RuntimeError, OSError, ArithmeticError, MemoryError) as error:
        print(f"error: {in_options(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\n{in_options(stop) or 'stopped'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
