"""Save a model with all that is needed to build it again, and load it: one safetensors file, no pickle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
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
    """Write a checkpoint in one piece: a reader sees the old file or the new one, never half of it.

    Args:
        path: where to write; its folder is made if absent.
        model: the U-Net whose weights are kept.
        schedule: the noise schedule it was trained with.
        metadata: anything JSON can hold (steps, seed, data digest, ...).
        training: more tensors, for resuming (see `training.TrainState.tensors`); `load` leaves them out.

    Returns: the path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"training.{name}": value for name, value in (training or {}).items()}
    tensors["schedule.betas"] = schedule.beta[1:]
    header = {"format": FORMAT, "config": json.dumps(asdict(model.config)), "metadata": json.dumps(dict(metadata or {}))}
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(descriptor)
    try:
        save_file({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}, temporary, header)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def read(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the header and the tensors of a checkpoint, or say why it is none."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file (truncated, or of another kind): {error}") from error
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} is not a minddpm checkpoint: wanted format {FORMAT!r}, got {header.get('format')!r}")
    return header, tensors


def load(path: str | Path) -> tuple[UNet, Schedule, dict[str, Any]]:
    """Read a checkpoint back.

    Returns: the U-Net in eval mode, its schedule, and the metadata it was saved with.
    Raises: FileNotFoundError for a missing file; ValueError for one that is truncated, foreign or inconsistent.
    """
    header, tensors = read(path)
    try:
        model = UNet(UNetConfig(**json.loads(header["config"])))
        model.load_state_dict(part(tensors, "model"))
        schedule = Schedule.from_betas(tensors["schedule.betas"])
        metadata = json.loads(header["metadata"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} holds weights that do not fit its own configuration: {error}") from error
    return model.eval(), schedule, metadata


def load_training(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the metadata and the tensors that `training.train` resumes from.

    Raises: as `load`, and ValueError for a checkpoint saved without them.
    """
    header, tensors = read(path)
    training = part(tensors, "training")
    if not training:
        raise ValueError(f"{path} holds no training state to resume from: it was saved for sampling only")
    return json.loads(header["metadata"]), training


def load_pretrained(name: str = "mnist") -> tuple[UNet, Schedule, dict[str, Any]]:
    """Load weights that the package ships.

    Raises: ValueError for an unknown name.
    """
    shipped = sorted(path.stem.removeprefix("ddpm_") for path in ASSETS.glob("ddpm_*.safetensors"))
    if name not in shipped:
        raise ValueError(f"unknown weights {name!r}: the package ships {', '.join(shipped) or 'none'}")
    return load(ASSETS / f"ddpm_{name}.safetensors")


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors below a prefix, and take the prefix off their names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
