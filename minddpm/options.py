"""Options of the command line: numbers in a range, paths, devices, and the choice of a loss and of
a sampler.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from minddpm.ddim import ddim_sample
from minddpm.network import Model
from minddpm.onnx_network import OnnxNetwork
from minddpm.posterior import beta_variance, posterior_variance
from minddpm.sampler import sample
from minddpm.schedule import Schedule
from minddpm.solvers import dpm_solver, flow_sample, heun
from minddpm.training import Loss
from minddpm.unet import UNet

VARIANCES = {"beta": beta_variance, "beta-tilde": posterior_variance}
SOLVERS = {"dpm_solver": dpm_solver, "heun": heun}  # by the option that chooses one
PRECISIONS = ("float32", "bf16")
DEVICES = ("auto", "cpu", "cuda", "mps")


def integer(least: int) -> Callable[[str], int]:
    """Make a reader for an option that is an integer of at least `least`."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {least} to {2**32 - 1}, got {text!r}"
            )
        return int(text)

    return read


def number(expected: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """Make a reader for an option that is a number, which `expected` describes and `fits` tests."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"must be {expected}, got {text!r}")
        return value

    return read


positive = number("a finite number above 0", lambda value: 0 < value < math.inf)
not_negative = number("a finite number of at least 0", lambda value: 0 <= value < math.inf)
share = number("a number from 0 to 1", lambda value: 0 <= value <= 1)


def place(text: str) -> Path:
    """Read an option that is a path, in which ~ stands for the home folder."""
    try:
        return Path(nonempty(text)).expanduser()
    except RuntimeError as error:  # ~ of a user who is unknown
        raise argparse.ArgumentTypeError(f"{error}: {text}") from None


def nonempty(text: str) -> str:
    """Read an option that is any text but none, which a shell makes of an unset variable."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"must not be empty, got {text!r}")
    return text


def device(text: str) -> torch.device:
    """Read an option that is a device of this machine; auto is the fastest available."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if text == "auto":
        return torch.device(next(name for name in there if there[name]))
    if text not in there:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(DEVICES)}, got {text!r}")
    if not there[text]:
        usable = " or ".join(name for name in there if there[name])
        raise argparse.ArgumentTypeError(f"this machine has no {text} device: use {usable}")
    return torch.device(text)


def add(
    command: argparse._ActionsContainer, name: str, default: Any, what: str, **kind: Any
) -> None:
    """Add an option whose help names its default."""
    command.add_argument(name, default=default, help=f"{what} (default: %(default)s)", **kind)


def add_device(command: argparse.ArgumentParser) -> None:
    """Add the option --device."""
    add(
        command,
        "--device",
        "auto",
        "where to compute: cpu, cuda, mps, or auto, the fastest available",
        type=device,
    )


def add_speed(command: argparse.ArgumentParser) -> None:
    """Add the options by which training may be faster on some machines."""
    add(
        command,
        "--precision",
        "float32",
        "bf16 lets the network multiply in bfloat16 while it is trained (autocast)",
        choices=PRECISIONS,
    )
    command.add_argument(
        "--compile",
        action="store_true",
        help="compile the network first, with torch.compile, which takes a minute",
    )


def loss_in(precision: str, loss: Loss) -> Loss:
    """The loss to train with, its network in the precision that is asked for.

    Weights, their gradients and averages, and the loss itself stay in float32. Held-out images,
    where no gradient is wanted, are measured in float32, as samples are drawn.
    """
    if precision == "float32":
        return loss

    def cast(model: Model, x_0: Tensor, schedule: Schedule, **options: Any) -> Tensor:
        training = torch.is_grad_enabled()
        with torch.autocast(x_0.device.type, torch.bfloat16, enabled=training):
            return loss(model, x_0, schedule, **options)

    return cast


def add_images(command: argparse.ArgumentParser, default: str) -> None:
    """Add the options that choose images."""
    command.add_argument(
        "--data",
        type=nonempty,
        help="a folder of pictures, an .npz file with an array `images`, a folder of IDX files,"
        f" mnist or fashion-mnist (default: {default})",
    )
    command.add_argument(
        "--side",
        type=integer(1),
        help="scale the images of --data until their shorter side has this many pixels, and cut out"
        " the middle square (default: leave them as they are)",
    )
    command.add_argument(
        "--channels",
        type=int,
        choices=(1, 3),
        help="turn the images of --data grey (1) or into colour (3) (default: leave them as they"
        " are)",
    )


def check_needs_data(options: argparse.Namespace) -> None:
    """Refuse options about the images of --data where there is no --data."""
    for name in ("side", "channels"):
        value = getattr(options, name)
        if value is not None and options.data is None:
            raise ValueError(f"--{name} needs --data, got only --{name} {value}")


def add_sampling(command: argparse.ArgumentParser) -> None:
    """Add the options that `draw` reads."""
    command.add_argument(
        "--checkpoint", type=place, help="trained weights (default: those that minddpm ships)"
    )
    add(command, "--seed", 0, "seed of the noise", type=integer(0))
    add(
        command,
        "--variance",
        "beta",
        "variance of the noise that an ancestral step adds",
        choices=VARIANCES,
    )
    few = command.add_mutually_exclusive_group()
    few.add_argument(
        "--ddim",
        type=integer(1),
        help="sample with DDIM in this many steps (default: take all steps, each ancestral)",
    )
    few.add_argument(
        "--dpm-solver",
        type=integer(1),
        help="sample with DPM-Solver++ of second order in this many steps (default: without it)",
    )
    few.add_argument(
        "--heun",
        type=integer(1),
        help="sample with Heun's method in this many steps, each of which calls the network twice,"
        " but the last once (default: without it)",
    )
    add(
        command,
        "--eta",
        0.0,
        "how much fresh noise a DDIM step adds: 0 for none, 1 for as much as an ancestral step",
        type=share,
    )
    add(
        command,
        "--backend",
        "torch",
        "what computes the network: PyTorch, or ONNX Runtime, on the CPU (pip install"
        " 'minddpm[onnx]')",
        choices=("torch", "onnx"),
    )


def few_steps(options: argparse.Namespace) -> tuple[str, int] | None:
    """The option that asks for few steps, and how many: None if all are to be taken."""
    for name in ("ddim", *SOLVERS):
        if steps := getattr(options, name):
            return f"--{name.replace('_', '-')}", steps
    return None


def check_sampling(options: argparse.Namespace, schedule: Schedule) -> None:
    """Refuse options of sampling that contradict each other or the schedule."""
    if options.eta and not options.ddim:
        raise ValueError(f"--eta needs --ddim, got only --eta {options.eta:g}")
    if (few := few_steps(options)) is None:
        return
    option, steps = few
    if options.variance != "beta":
        instead = ", and DDIM has --eta instead" if options.ddim else ""
        raise ValueError(
            f"--variance is for ancestral steps{instead}: got both {option} and"
            f" --variance {options.variance}"
        )
    if steps > schedule.T:
        raise ValueError(
            f"{option} must be at most {schedule.T}, the number of steps of the noise schedule, got"
            f" {steps}"
        )


def on_backend(model: UNet, image_shape: Sequence[int], options: argparse.Namespace) -> Model:
    """The network as it is to be computed: by PyTorch on --device, or by ONNX Runtime on the CPU.

    Args: image_shape, of one image, (c, h, w).
    Raises: ImportError as `OnnxNetwork`; ValueError for ONNX Runtime on another device.
    """
    if options.backend == "torch":
        return model.to(options.device)
    if options.device.type != "cpu":
        raise ValueError(
            f"--backend onnx computes on the CPU: add --device cpu, got {options.device}"
        )
    return OnnxNetwork(model, image_shape)


def draw(
    model: Model,
    image_shape: Sequence[int],
    schedule: Schedule,
    options: argparse.Namespace,
    seed: int,
) -> Float[Tensor, " n *dims"]:
    """Draw images, float32 on the CPU, with the sampler that the options name, and show a bar.

    Args: image_shape, (n, *dims).
    Raises: ValueError as `check_sampling`; FloatingPointError for images with NaN.
    """
    check_sampling(options, schedule)
    sampler: Callable[..., Tensor] = partial(sample, variance=VARIANCES[options.variance])
    if options.ddim:
        # clipped, it errs with guidance or with many steps: lessons 09 and 10
        sampler = partial(ddim_sample, steps=options.ddim, eta=options.eta, clip=False)
    for name, solver in SOLVERS.items():
        if steps := getattr(options, name):
            sampler = partial(flow_sample, solver=solver, steps=steps)
    generator = torch.Generator().manual_seed(seed)
    images = sampler(model, image_shape, schedule, generator=generator, progress=True).clamp(-1, 1)
    if broken := int((~images.isfinite().flatten(1).all(1)).sum()):
        why = "" if options.scale == 1 else f"--scale {options.scale:g} is too large, or "
        got = f"NaN in {broken} of {len(images)}: {why}the weights are broken"
        raise FloatingPointError(f"images must be finite, got {got}")
    return images.float().cpu()
