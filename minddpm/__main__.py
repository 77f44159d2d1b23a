"""The command line: minddpm {train, sample, evaluate, export}, and commands of other packages."""

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
from minddpm.checkpoints import (
    check_readable,
    check_writable,
    load,
    load_pretrained,
    load_training,
    reason,
    tensor_digest,
    write_whole,
)
from minddpm.checks import how_many
from minddpm.data import data_digest, jitter, load_mnist
from minddpm.distributed import from_first, process_group, rank
from minddpm.grids import check_size, grid, picture_format, write_picture
from minddpm.guidance import guided
from minddpm.images import LoadedImages, load_splits
from minddpm.interrupts import loaded, uninterrupted
from minddpm.metrics import check_comparable, digit_report, image_report
from minddpm.network import Model
from minddpm.onnx_network import OnnxNetwork, largest_difference
from minddpm.options import (
    SOLVERS,
    add,
    add_device,
    add_images,
    add_sampling,
    add_speed,
    check_needs_data,
    check_sampling,
    draw,
    integer,
    loss_in,
    nonempty,
    not_negative,
    on_backend,
    place,
    positive,
)
from minddpm.recipes import RECIPES
from minddpm.runs import check_settings, steps_within, train_to
from minddpm.schedule import Schedule
from minddpm.unet import UNet, UNetConfig

AUGMENTS = {"jitter": jitter, "none": None}
DIGIT_NAMES = tuple("0123456789")
DIGIT_SHAPE = (1, 28, 28)
# how far the noise that an exported network predicts may be from PyTorch's; True for --half
MOST_DIFFERENT = {False: 1e-3, True: 3e-2}
LESSONS = """The lessons are notebooks. `minddpm lessons`, which comes with minddpm[course], copies
them into a folder to work in; in a checkout, `make lab` does so and opens JupyterLab there."""
# what the library advises its callers in Python, and how that is said here
IN_OPTIONS = {
    "resume=True": "--resume",
    "source='bundled'": "--source bundled",
    "another folder": "another --out",
    "the weights to start from": "the weights of --start",
    "side=": "--side ",
}
IN_PYTHON = r": (?:use load|fill a model with) ?.*"  # advice that is of no use here
# where a message of the library calls an option by its name in Python
OPTION_NAME = r"(?<![\w/.='-]){name}(?= (?:was [^;]*, is|must|needs)\b)"
# PyTorch's words for it, of a CPU and of a GPU, and NumPy's
NO_MEMORY = re.compile(r"\ballocate ([\d.]+ \w+)")

# characters of a file's name that would steer the terminal, or turn round what stands beside them
STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

# what is told in one line
ERRORS = (
    *(ValueError, TypeError, RuntimeError, OSError, ArithmeticError, MemoryError),
    ImportError,  # of what is optional
)
Command = Callable[[str, Callable[[argparse.Namespace], int | None]], argparse.ArgumentParser]


def run_train(options: argparse.Namespace) -> None:
    """Train on digits or on your own images, and save a log and a checkpoint to resume from."""
    with process_group(options.device) as options.device:
        train_as_asked(options)


def train_as_asked(options: argparse.Namespace) -> None:
    """Train as the options say, on their device."""
    check_needs_data(options)
    if options.source and options.data:
        raise ValueError(
            f"--source chooses digits, and --data other images: got both --source {options.source}"
            f" and --data {options.data}"
        )
    train, held_out = images_of(options)
    if (options.batch_size or 1) > len(train.images):
        more = len(held_out.images)
        raise ValueError(
            f"--batch-size must be at most {len(train.images)}, the number of images to train on"
            f" ({more} more {'is' if more == 1 else 'are'} held out), got {options.batch_size}"
        )
    recipe = RECIPES[options.recipe]
    config = replace(recipe.network, image_channels=train.images.shape[1], classes=len(train.names))
    schedule = recipe.schedule()
    torch.manual_seed(options.seed)
    model = UNet(config)
    start_sha256 = None
    if options.start:
        model, schedule = started_from(options.start, config)
        start_sha256 = fingerprint(model, schedule)
    check_sides(train.images, model.config)
    model = model.to(options.device)
    if options.compile:
        model.compile()
    settings = recipe.settings(options.learning_rate)
    settings["loss"] = loss_in(options.precision, recipe.loss)
    settings["augment"] = AUGMENTS[augment_of(options)]
    settings["batch_size"] = options.batch_size
    if options.minutes is not None:
        options.steps = planned_steps(options, model, train, schedule, settings)
    elif options.steps is None:
        options.steps = recipe.steps
    run = train_to(
        options.out,
        model,
        train.images,
        schedule,
        labels=train.labels,
        held_out=held_out.images,
        held_out_labels=held_out.labels,
        steps=options.steps,
        every=options.every,
        resume=options.resume,
        seed=options.seed,
        metadata={
            "recipe": options.recipe,
            "source": source_name(options),
            "augment": augment_of(options),
            "precision": options.precision,
            "start_sha256": start_sha256,
            "labels": options.labels,
            "label_names": list(train.names),
        },
        **settings,
    )
    if rank():  # the first process speaks for all
        return
    taken = how_many(options.steps, "step")
    if not run.steps:
        every = "the only step" if options.steps == 1 else f"all {taken}"
        print(f"{run.checkpoint} has already taken {every}")
        return
    held = run.metadata["held_out_loss"]
    print(f"{run.checkpoint}: {taken}, held-out loss {held:.4f}")


def planned_steps(
    options: argparse.Namespace,
    model: UNet,
    train: LoadedImages,
    schedule: Schedule,
    settings: Mapping[str, Any],
) -> int:
    """How many steps --minutes stand for: as many as fit, or as the run to resume has planned."""
    if options.resume:
        checkpoint = options.out / "checkpoint.safetensors"
        return from_first(lambda: int(load_training(checkpoint)[0]["steps"]))
    steps = steps_within(
        options.minutes,
        model,
        train.images,
        schedule,
        labels=train.labels,
        **settings,
    )
    steps = from_first(lambda: steps)  # one process decides, as no two take equally long
    if not rank():
        print(f"about {how_many(steps, 'step')} in {options.minutes:g} minutes", file=sys.stderr)
    return steps


def source_name(options: argparse.Namespace) -> str:
    """The name of the images to train on, as the checkpoint records it."""
    if options.data is None:
        return options.source or "bundled"
    return Path(options.data).expanduser().absolute().name


def images_of(options: argparse.Namespace) -> tuple[LoadedImages, LoadedImages]:
    """The images that the options name: to train on, and held out."""
    labelled = getattr(options, "labels", False)
    if options.data is None:
        parts = [load_mnist(split, source_name(options)) for split in ("train", "test")]
        names = DIGIT_NAMES if labelled else ()
        train, held_out = (
            LoadedImages(images, labels if labelled else None, names) for images, labels in parts
        )
        return train, held_out
    return load_splits(options.data, labels=labelled, side=options.side, channels=options.channels)


def augment_of(options: argparse.Namespace) -> str:
    """How images are changed before they are used: by default only digits are turned, and they
    only in the paper's recipe, which takes long enough to know each by heart.
    """
    turned = options.data is None and options.recipe == "paper"
    return options.augment or ("jitter" if turned else "none")


def started_from(path: Path, expected: UNetConfig) -> tuple[UNet, Schedule]:
    """A network with the weights of a checkpoint, and its schedule.

    A network with labels may start from weights without: its rows for the labels are then zero.
    """
    start, schedule, _ = load(path)
    if start.config.image_channels != expected.image_channels:
        channels = how_many(expected.image_channels, "channel")
        raise ValueError(
            f"--start must be a checkpoint for images with {channels}, got one for"
            f" {how_many(start.config.image_channels, 'channel')}"
        )
    if start.config.classes not in (0, expected.classes):
        trained = "trained without --labels"
        if expected.classes:
            trained = f"with {how_many(expected.classes, 'label')}, or with none"
        raise ValueError(
            f"--start must be a checkpoint {trained}, got one with"
            f" {how_many(start.config.classes, 'label')}"
        )
    model = UNet(replace(start.config, classes=expected.classes))
    model.load_state_dict(start.state_dict(), strict=expected.classes == start.config.classes)
    return model, schedule


def check_sides(images: Tensor, config: UNetConfig) -> None:
    """Raise unless the network can halve the images' sides as often as it has to, and suggest a
    side: images are not padded, because the network would learn to draw the border.
    """
    multiple = config.patch * 2 ** (len(config.channels) - 1)
    height, width = images.shape[2:]
    if height % multiple or width % multiple:
        side = max(round(min(height, width) / multiple), 1) * multiple
        raise ValueError(
            f"the network needs images with sides that are multiples of {multiple}, got"
            f" {width}x{height}: scale them, for instance with --side {side}"
        )


def run_sample(options: argparse.Namespace) -> None:
    """Draw new images and write them as one picture, ten to a row."""
    check_out(options.out)
    picture_format(options.out)
    label = options.label if options.digit is None else str(options.digit)
    if options.scale != 1 and label is None and options.checkpoint is None:
        raise ValueError(f"--scale needs --digit or --label, got only --scale {options.scale:g}")
    shipped = "mnist" if label is None else "mnist_labels"
    checkpoint = options.checkpoint
    model, schedule, metadata = load(checkpoint) if checkpoint else load_pretrained(shipped)
    check_sampling(options, schedule)
    one = image_shape(model, metadata)
    drawer = on_backend(model, one, options)
    if label is None:
        check_scale(model.config, options.scale)
        drawer = asked_in_turn(drawer, model.config, range(options.count), options.scale)
    else:
        option = "--label" if options.digit is None else "--digit"
        number = label_number(option, label, model.config, metadata)
        drawer = guided(drawer, number, options.scale)
    shape = (options.count, *one)
    if shape[1] not in (1, 3):
        raise ValueError(
            f"a picture can show only images with 1 or 3 channels: {checkpoint} draws images with"
            f" {shape[1]}"
        )
    check_size(grid(torch.zeros(shape)), options.out)
    images = draw(drawer, shape, schedule, options, options.seed)
    write_picture(grid(images), options.out)
    print(f"wrote {how_many(options.count, 'image')} to {options.out}")


def check_scale(config: UNetConfig, scale: float) -> None:
    """Refuse to guide a network without labels."""
    if scale != 1 and not config.classes:
        raise ValueError("--scale needs a checkpoint trained with --labels, got one without")


def asked_in_turn(model: Model, config: UNetConfig, places: range, scale: float) -> Model:
    """Ask a network with labels for each of them in turn: the image at place k has label k modulo
    their number. A network without labels stays as it is.
    """
    if not config.classes:
        return model
    return guided(model, torch.arange(places.start, places.stop) % config.classes, scale)


def check_out(out: Path) -> None:
    """Refuse a file that could not be written, or whose folder does not exist."""
    check_file("--out", out)
    if not out.parent.is_dir():
        raise FileNotFoundError(
            f"expected an existing folder to write {out.name} in, got {out.parent}"
        )


def check_file(option: str, path: Path) -> None:
    """Refuse a file that could not be written, before minutes are spent on the images."""
    try:
        check_writable(path)
    except IsADirectoryError:
        raise IsADirectoryError(f"{option} must be a file, got the folder {path}") from None


def label_number(option: str, name: str, config: UNetConfig, metadata: Mapping[str, Any]) -> int:
    """The number of the label with a name."""
    if not config.classes:
        raise ValueError(f"{option} needs a checkpoint trained with --labels, got one without")
    names = metadata.get("label_names") or [str(number) for number in range(config.classes)]
    if name not in names:
        raise ValueError(f"{option} must be one of {', '.join(names)}, got {name!r}")
    return int(names.index(name))


def image_shape(model: UNet, metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape (c, h, w) of the images that a network was trained on: 28 x 28 if none is saved."""
    channels = model.config.image_channels
    shape = metadata.get("image_shape", [channels, 28, 28])
    whole = isinstance(shape, list) and all(type(side) is int and side > 0 for side in shape)
    if not whole or len(shape) != 3 or shape[0] != channels:
        raise ValueError(
            "the checkpoint is damaged: its metadata must hold the image_shape"
            f" [{channels}, height, width], got {shape}"
        )
    return tuple(shape)


def run_evaluate(options: argparse.Namespace) -> None:
    """Draw images, saving each batch, and compare them with real ones."""
    check_needs_data(options)
    check_file("--samples", options.samples)
    settings = {
        name: getattr(options, name)
        for name in ("seed", "batch", "variance", "ddim", "eta", *SOLVERS)
    }
    checkpoint = options.checkpoint
    model, schedule, metadata = load(checkpoint) if checkpoint else load_pretrained()
    settings["weights_sha256"] = fingerprint(model, schedule)
    settings["scale"] = options.scale if model.config.classes else None
    check_scale(model.config, options.scale)
    check_sampling(options, schedule)
    shape = image_shape(model, metadata)
    real = real_images(options, shape, metadata)
    images = torch.empty(0, *shape)
    if options.samples.exists():
        images = kept_samples(options.samples, settings)
    if len(images) < options.count:  # a short last batch is drawn again, and whole
        images = images[: len(images) // options.batch * options.batch]
    drawer, saved = on_backend(model, shape, options), len(images)
    try:
        while (start := len(images)) < options.count:
            size = min(options.batch, options.count - start)
            now = f"images {start + 1} to {start + size}" if size > 1 else f"image {start + 1}"
            print(f"{now} of {options.count}", file=sys.stderr)
            # each batch has its own seed, so that stopping in between changes no image
            seed = options.seed * 1_000_003 + start
            asked = asked_in_turn(drawer, model.config, range(start, start + size), options.scale)
            drawn = draw(asked, (size, *shape), schedule, options, seed)
            images = torch.cat([images, drawn])
            arrays = io.BytesIO()
            np.savez_compressed(arrays, images=images.numpy(), settings=json.dumps(settings))
            with uninterrupted():
                write_whole(options.samples, arrays.getvalue())
                saved = len(images)
    except KeyboardInterrupt:
        images_saved = f"{how_many(saved, 'image')} saved in {options.samples}"
        done = (
            f"{images_saved}: run the command again to continue" if saved else "nothing was saved"
        )
        raise KeyboardInterrupt(f"stopped; {done}") from None
    images = images[: options.count]
    if real is None:
        print(digit_report(images, progress=True))
    else:
        print(image_report(images, real[0].images, real[1].images, progress=True))


def real_images(
    options: argparse.Namespace, shape: tuple[int, ...], metadata: Mapping[str, Any]
) -> tuple[LoadedImages, LoadedImages] | None:
    """The images to compare with: those of --data, or None for the bundled digits.

    Raises: ValueError for images that cannot be compared with what the weights draw.
    """
    if options.data is None:
        check_digits_meant(shape, metadata)
        return None
    train, held_out = images_of(options)
    if train.images.shape[1:] != shape:
        raise ValueError(
            f"--data must hold images of shape {shape}, as the checkpoint draws them, got"
            f" {tuple(train.images.shape[1:])}: see --side and --channels"
        )
    try:
        check_comparable(train.images, held_out.images)
    except ValueError:
        raise ValueError(
            "--data must hold at least 4 images to train on and 2 held out (one in ten if it has no"
            f" test images of its own), got {len(train.images)} and {len(held_out.images)}"
        ) from None
    if metadata.get("data_sha256") != data_digest(train.images):
        warnings.warn("the checkpoint was not trained on the images of --data", stacklevel=2)
    return train, held_out


def check_digits_meant(shape: tuple[int, ...], metadata: Mapping[str, Any]) -> None:
    """Refuse to compare with digits what a checkpoint draws if it was trained on other images."""
    source = metadata.get("source")
    advice = "say with --data which images to compare with"
    if source not in (None, "bundled", "full"):
        raise ValueError(f"the checkpoint was trained on {source}: {advice}")
    if shape != DIGIT_SHAPE:
        raise ValueError(f"the checkpoint draws images of shape {shape}, not digits: {advice}")
    trained_on = metadata.get("data_sha256")
    if source is not None or trained_on is None:
        return
    if trained_on != data_digest(load_mnist("train", "bundled")[0]):
        warnings.warn(
            "the checkpoint was not trained on the bundled digits, which its images are compared"
            f" with: {advice}",
            stacklevel=3,
        )


def fingerprint(model: UNet, schedule: Schedule) -> str:
    """The SHA-256 of weights and schedule."""
    return tensor_digest(*model.state_dict().values(), schedule.beta)


def kept_samples(path: Path, settings: Mapping[str, Any]) -> Float[Tensor, "n c h w"]:
    """Read the samples of an earlier evaluation, and refuse those drawn with other settings."""
    sought = "the samples of an earlier evaluation"
    expected = f"expected {sought} in {path}, got a file of another kind"
    check_readable(path, sought)
    if not zipfile.is_zipfile(path):
        raise ValueError(expected)
    try:
        with np.load(path) as arrays:
            images, was = torch.from_numpy(arrays["images"]), json.loads(str(arrays["settings"]))
            was = dict.fromkeys((*SOLVERS, "scale")) | was  # earlier versions had none
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ValueError(expected) from None  # what numpy says would be advice on pickles
    check_settings(f"reuse {path}", "the checkpoint that drew them", was, settings)
    return images


def run_export(options: argparse.Namespace) -> None:
    """Write a network as an ONNX model, and check that it predicts what PyTorch does."""
    check_out(options.out)
    if options.out.suffix.lower() != ".onnx":
        raise ValueError(
            f"expected a name with the ending .onnx, such as {options.out.stem}.onnx, got"
            f" {options.out}"
        )
    checkpoint = options.checkpoint
    shipped = "mnist_labels" if options.labels else "mnist"
    model, schedule, metadata = load(checkpoint) if checkpoint else load_pretrained(shipped)
    exported = OnnxNetwork(model, image_shape(model, metadata), half=options.half)
    difference = largest_difference(model, exported, schedule.T)
    most = MOST_DIFFERENT[options.half]
    if not difference <= most:  # NaN is not, either
        raise FloatingPointError(
            f"the exported network must predict what PyTorch does, up to {most:g}, got a difference"
            f" of {difference:g}: the weights are broken"
        )
    write_whole(options.out, exported.onnx)
    print(
        f"wrote {options.out}, {len(exported.onnx) / 1e6:.1f} MB: the noise it predicts differs"
        f" from PyTorch's by at most {difference:.1e}"
    )


def build_parser(plugins: bool = True) -> argparse.ArgumentParser:
    """Describe the commands and their options.

    Args: plugins, whether to add the commands of other packages, which may be slow to import.
    """
    parser = argparse.ArgumentParser(
        prog="minddpm",
        description="Train a DDPM, sample from it, and measure how good its samples are.",
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
    add_export(command)
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
        "--out",
        type=place,
        default=Path("run"),
        help="folder for the checkpoint and log.csv (default: %(default)s)",
    )
    add_images(trainer, "the digits of --source")
    trainer.add_argument(
        "--source",
        choices=("bundled", "full"),
        help="train on the 4,500 bundled digits, or on the full MNIST (default: bundled)",
    )
    trainer.add_argument(
        "--labels",
        action="store_true",
        help="train with labels (the digits, or the folder names in --data); one in ten is dropped",
    )
    add(
        trainer,
        "--recipe",
        "fast",
        "fast: a small network that sees 2 x 2 pixels at once and learns by Muon from a weighted"
        " loss, for good digits in minutes; paper: network, loss, Adam and schedule of the lessons",
        choices=RECIPES,
    )
    length = trainer.add_mutually_exclusive_group()
    length.add_argument(
        "--steps",
        type=integer(1),
        help="gradient steps in all (default: 5000; 18000 for the recipe of the paper)",
    )
    length.add_argument(
        "--minutes",
        type=positive,
        help="take as many steps as fit in this time (default: take --steps)",
    )
    trainer.add_argument(
        "--batch-size",
        type=integer(1),
        help="images per step (default: 64, or all if there are fewer)",
    )
    trainer.add_argument(
        "--learning-rate",
        type=positive,
        help="peak learning rate (warm-up, then cosine decay) (default: 0.02, of Muon; 0.0025, of"
        " Adam, for the recipe of the paper)",
    )
    add(
        trainer,
        "--seed",
        0,
        "seed of the initial weights, the order of the images, the times and the noise",
        type=integer(0),
    )
    trainer.add_argument(
        "--augment",
        choices=AUGMENTS,
        help="rotate and stretch each image a little (jitter), or not (none) (default: none; jitter"
        " for digits and the recipe of the paper)",
    )
    trainer.add_argument(
        "--start",
        type=place,
        help="checkpoint whose weights to start from (default: random weights)",
    )
    add(trainer, "--every", 500, "steps between checkpoints", type=integer(1))
    trainer.add_argument(
        "--resume", action="store_true", help="continue from the checkpoint in --out"
    )
    add_speed(trainer)
    add_device(trainer)


def add_sample(command: Command) -> None:
    """Describe `sample`."""
    sampler = command("sample", run_sample)
    sampler.add_argument(
        "--out", type=place, required=True, help="picture to write, such as digits.png"
    )
    add(sampler, "--count", 100, "how many images to draw", type=integer(1))
    label = sampler.add_mutually_exclusive_group()
    label.add_argument(
        "--digit", type=int, choices=range(10), help="the digit to draw (default: each in turn)"
    )
    label.add_argument(
        "--label",
        type=nonempty,
        help="the label to draw, by the name it was trained with (default: each in turn)",
    )
    add_scale(sampler)
    add_sampling(sampler)
    add_device(sampler)


def add_scale(command: argparse.ArgumentParser) -> None:
    """Describe how strongly a network heeds labels."""
    add(command, "--scale", 1.0, "how strongly labels guide the drawing", type=not_negative)


def add_evaluate(command: Command) -> None:
    """Describe `evaluate`."""
    evaluator = command("evaluate", run_evaluate)
    add(
        evaluator,
        "--samples",
        Path("samples.npz"),
        "file for the images, to continue from or to measure again",
        type=place,
    )
    add(evaluator, "--count", 1000, "how many images to draw", type=integer(2))
    add(evaluator, "--batch", 250, "how many to draw at once", type=integer(1))
    add_scale(evaluator)
    add_images(evaluator, "the bundled digits")
    add_sampling(evaluator)
    add_device(evaluator)


def add_export(command: Command) -> None:
    """Describe `export`."""
    exporter = command("export", run_export)
    exporter.add_argument(
        "--out", type=place, required=True, help="ONNX file to write, such as unet.onnx"
    )
    weights = exporter.add_mutually_exclusive_group()
    weights.add_argument(
        "--checkpoint", type=place, help="trained weights (default: those that minddpm ships)"
    )
    weights.add_argument(
        "--labels",
        action="store_true",
        help="export the shipped weights that know the labels of the digits",
    )
    exporter.add_argument(
        "--half",
        action="store_true",
        help="store large tensors of weights in float16, for half the size; they are computed with"
        " in float32",
    )


def in_options(error: BaseException, options: argparse.Namespace) -> str:
    """What an error says, in terms of the command line's options."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {reason(error)}"
    if isinstance(error, (RuntimeError, MemoryError)) and (asked := NO_MEMORY.search(text)):
        return f"not enough memory for {asked[1]} at once: fewer or smaller images need less"
    for argument, option in IN_OPTIONS.items():
        # whole words only, and no parts of a path
        text = re.sub(rf"(?<![\w/.-]){re.escape(argument)}(?![/.-]|\w*_)", option, text)
    for name in vars(options):
        text = re.sub(OPTION_NAME.format(name=name), f"--{name.replace('_', '-')}", text)
    return STEERING.sub(lambda found: repr(found[0])[1:-1], re.sub(IN_PYTHON, "", text))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns: 0, or 1 where answers are wrong; 2 after an error, told in one line; 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the terminal's own encoding is
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    own = arguments[:1] in (["train"], ["sample"], ["evaluate"], ["export"])
    options = build_parser(plugins=not own).parse_args(arguments)

    def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"warning: {in_options(Warning(str(message)), options)}", file=sys.stderr)

    try:
        loaded()
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            status = options.run(options)
            return status or 0
    except ERRORS as error:
        speaker = f"process {rank()}: " if rank() else ""
        print(f"{speaker}error: {in_options(error, options)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        if not rank():
            print(f"\n{in_options(stop, options) or 'stopped'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
