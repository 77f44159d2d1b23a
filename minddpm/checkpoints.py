"""Save a model with all that is needed to build it again, and load it: one safetensors file, no
pickle.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from minddpm.schedule import Schedule
from minddpm.unet import UNet, UNetConfig

ASSETS = Path(__file__).parent / "assets"
FORMAT = "minddpm 1"


def save(
    path: str | Path,
    model: UNet,
    schedule: Schedule,
    *,
    metadata: Mapping[str, Any] | None = None,
    training: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint.

    Args:
        path: where to write; its folder is made if absent.
        model: the U-Net whose weights are kept.
        schedule: the noise schedule it was trained with.
        metadata: anything JSON can hold (steps, seed, data digest, ...).
        training: more tensors, for resuming (see `training.TrainState.tensors`); `load` leaves them
            out.

    Returns: the path.
    Raises: TypeError for a model that is no UNet, or for metadata that JSON cannot hold, naming the
        key.
    """
    if not isinstance(model, UNet):
        raise TypeError(f"model must be a UNet, got {type(model).__name__}")
    for key, value in (metadata or {}).items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"metadata[{key!r}] must be something JSON can hold, got {value!r}: {error}"
            ) from error
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"training.{name}": value for name, value in (training or {}).items()}
    tensors["schedule.betas"] = schedule.beta[1:]
    config, kept = json.dumps(asdict(model.config)), json.dumps(dict(metadata or {}))
    content = to_bytes(
        {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()},
        {"format": FORMAT, "config": config, "metadata": kept},
    )
    return write_whole(Path(path), content)


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file in one piece, making its folder: a reader sees the old file or the new one,
    never half of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # on the disk before it takes the old file's name
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


class Contents(NamedTuple):
    """What a checkpoint file holds."""

    config: dict[str, Any]
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with a prefix and a dot, without these."""
        return {
            name[len(prefix) + 1 :]: value
            for name, value in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }


def read(path: str | Path) -> Contents:
    """Read a checkpoint file, or say why it is none."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"wanted a checkpoint at {path}, got {'a folder' if path.is_dir() else 'no file'}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # clones, because the originals keep the file mapped, and a mapped file cannot be
            # replaced on Windows
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        size = path.stat().st_size
        raise ValueError(
            f"wanted a whole safetensors file, got {path}, {size} bytes, empty, truncated or of"
            f" another kind: {error}"
        ) from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"wanted a checkpoint of format {FORMAT!r}, got {path} of format"
            f" {header.get('format')!r}"
        )
    try:
        config, metadata = json.loads(header["config"]), json.loads(header["metadata"])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path} has a damaged header: wanted JSON in config and metadata, got {error!r}"
        ) from error
    if not isinstance(config, dict) or not isinstance(metadata, dict):
        raise ValueError(
            f"{path} has a damaged header: wanted JSON objects in config and metadata, got {header}"
        )
    return Contents(config, metadata, tensors)


def load(path: str | Path) -> tuple[UNet, Schedule, dict[str, Any]]:
    """Read a checkpoint back, bit for bit.

    Returns: the U-Net in eval mode, its schedule, and the metadata it was saved with.
    Raises: FileNotFoundError for a missing file; ValueError for one that is truncated, foreign or
        inconsistent.
    """
    contents = read(path)
    try:
        with torch.device(
            "meta"
        ):  # shapes without values: draws no random numbers, and takes any dtype from the file
            model = UNet(UNetConfig(**contents.config))
        model.load_state_dict(contents.below("model"), assign=True)
        schedule = Schedule.from_betas(contents.tensors["schedule.betas"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 400)
        raise ValueError(
            f"{path} holds weights or a schedule that do not fit its own config: {reason}"
        ) from error
    return model.eval(), schedule, contents.metadata


def load_training(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the metadata and the tensors that `training.train` resumes from.

    Raises: FileNotFoundError and ValueError as `load`, and ValueError for a checkpoint saved
        without them.
    """
    contents = read(path)
    training = contents.below("training")
    if "step" not in training:
        raise ValueError(
            f"wanted a training state to resume from, got {path}, which was saved for sampling only"
        )
    return contents.metadata, training


def load_pretrained(name: str = "mnist") -> tuple[UNet, Schedule, dict[str, Any]]:
    """Load weights that the package ships.

    Raises: ValueError for an unknown name.
    """
    shipped = sorted(path.stem.removeprefix("ddpm_") for path in ASSETS.glob("ddpm_*.safetensors"))
    if name not in shipped:
        raise ValueError(
            f"name must be one of the shipped weights, {', '.join(shipped) or 'none'}, got {name!r}"
        )
    return load(ASSETS / f"ddpm_{name}.safetensors")
