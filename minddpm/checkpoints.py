"""Save a model with its noise schedule, and load both: safetensors files, no pickle.

The weights stand in the file under the names of the model's own `state_dict`, so that
`model.load_state_dict(safetensors.torch.load_file(path))` loads them too. Its header holds, as
JSON, a UNet's config, the betas and the metadata. What a run of training needs to go on lies in a
second file beside it: `run.training.safetensors` for `run.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
import os
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from minddpm.data import ASSETS
from minddpm.schedule import Schedule
from minddpm.unet import UNet, UNetConfig

VERSION = "2"
FIRST_FORMAT = "minddpm 1"  # one file with prefixed names: see `from_first_format`

OwnNetwork = TypeVar("OwnNetwork", bound=nn.Module)


def save(
    path: str | Path,
    model: nn.Module,
    schedule: Schedule,
    *,
    metadata: Mapping[str, Any] | None = None,
    training: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint.

    Args:
        path: where to write; its folder is made if absent.
        model: whose weights to keep. A UNet is built again by `load(path)`; of a network of your
            own only the weights are kept, and `load(path, model=...)` fills them into another one.
            Wrappers, such as torch.compile's, are left out.
        schedule: the noise schedule it was trained with.
        metadata: anything JSON can hold (steps, seed, data digest, ...).
        training: the tensors to resume from (see `training.TrainState.tensors`), kept in the file
            `training_file(path)`; without them an older file of that name is removed.

    Returns: the path.
    Raises: TypeError for a model that is no nn.Module, or metadata that JSON cannot hold.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    kept = as_json(metadata or {})
    path, network = Path(path).expanduser(), unwrapped(model)
    config = asdict(network.config) if isinstance(network, UNet) else None
    header = {
        "format": "pt",
        "minddpm": VERSION,
        "holds": "model",
        "network": type(network).__name__,
        "config": json.dumps(config),
        "betas": json.dumps(schedule.beta[1:].tolist()),
        "metadata": json.dumps(kept),
    }
    # the weights first: if the machine stops in between, the run goes on from the step before
    weights = {plain_name(name): value for name, value in network.state_dict().items()}
    write_whole(path, to_bytes(on_cpu(weights), header))
    if training is None:
        training_file(path).unlink(missing_ok=True)
    else:
        state = header | {"holds": "training"}
        write_whole(training_file(path), to_bytes(on_cpu(training), state))
    return path


def as_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it will be read back.

    Raises: TypeError for what JSON cannot hold, naming the key.
    """
    kept = {}
    for key, value in metadata.items():
        try:
            kept[key] = json.loads(json.dumps(value))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"metadata[{key!r}] must be something JSON can hold, got {value!r}: {error}"
            ) from error
    return kept


def training_file(path: str | Path) -> Path:
    """The file beside a checkpoint from which its run of training goes on."""
    path = Path(path).expanduser()
    return path.with_name(f"{path.name.removesuffix('.safetensors')}.training.safetensors")


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside torch.compile's and DataParallel's wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def plain_name(name: str) -> str:
    """A weight's name without the marks that torch.compile leaves on compiled parts of a model."""
    return name.replace("_orig_mod.", "")


def on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors as safetensors writes them: on the CPU, whole, each with its own memory."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"only tensors can be saved, got a {type(value).__name__} as {name}")
    return {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}


def tensor_digest(*tensors: Tensor) -> str:
    """The SHA-256 of the bytes of tensors, one after another."""
    whole = hashlib.sha256()
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        whole.update(flat.view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


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


def check_writable(folder: Path) -> None:
    """Raise unless `write_whole` can write in a folder, or make it, as far as can be told before.

    Raises: NotADirectoryError for a file, PermissionError for what is read-only.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"expected a folder to write in, got the file {there}")
    if not os.access(there, os.W_OK):
        raise PermissionError(f"expected a folder to write in, got {there}, which is read-only")


class Contents(NamedTuple):
    """What a checkpoint file holds."""

    holds: str  # "model" or "training"
    network: str  # the class of the model
    config: dict[str, Any] | None  # of a UNet
    betas: list[float]
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]


def read(path: str | Path, part: str = "model") -> Contents:
    """Read a checkpoint file, or say why it is none; part is only for the first format, which keeps
    model and training in one file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a checkpoint at {path}, got {'a folder' if path.is_dir() else 'no file'}"
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
            f"expected a whole safetensors file, got {path}, {size} bytes, empty, truncated or of"
            f" another kind: {error}"
        ) from error
    if header.get("format") == FIRST_FORMAT:
        header, tensors = from_first_format(header, tensors, part)
    if "minddpm" not in header:
        raise ValueError(
            f"{path} has no noise schedule, because minddpm did not write it: fill a model with"
            " model.load_state_dict(safetensors.torch.load_file(path))"
        )
    if header["minddpm"] != VERSION:
        raise ValueError(
            f"expected a checkpoint of version {VERSION}, got {path} of version {header['minddpm']}"
        )
    try:
        values = {name: json.loads(header[name]) for name in ("config", "betas", "metadata")}
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path} has a damaged header: expected JSON in config, betas and metadata, got {error!r}"
        ) from error
    kinds = {"config": (dict, type(None)), "betas": (list,), "metadata": (dict,)}
    for name, expected in kinds.items():
        if not isinstance(values[name], expected):
            got = textwrap.shorten(header[name], 40)
            raise ValueError(f"{path} has a damaged header: expected other JSON in {name}, got {got}")
    return Contents(header.get("holds", ""), header.get("network", ""), **values, tensors=tensors)


def from_first_format(
    header: dict[str, str], tensors: dict[str, Tensor], part: str
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Turn the first format, in which one file holds `model.*`, `training.*` and `schedule.betas`,
    into the present one.
    """
    kept = {
        name.removeprefix(f"{part}."): value
        for name, value in tensors.items()
        if name.startswith(f"{part}.")
    }
    header = header | {"minddpm": VERSION, "network": "UNet", "holds": part if kept else ""}
    if "schedule.betas" in tensors:
        header["betas"] = json.dumps(tensors["schedule.betas"].tolist())
    return header, kept


@overload
def load(path: str | Path) -> tuple[UNet, Schedule, dict[str, Any]]: ...
@overload
def load(path: str | Path, model: OwnNetwork) -> tuple[OwnNetwork, Schedule, dict[str, Any]]: ...
def load(
    path: str | Path, model: nn.Module | None = None
) -> tuple[nn.Module, Schedule, dict[str, Any]]:
    """Read a checkpoint back, bit for bit.

    Args:
        path: the file that `save` wrote.
        model: the network to fill with the weights, in its own dtype and on its own device; needed
            if they are not those of a UNet. It is left as it was if they do not fit it.

    Returns: the network, in eval mode, its schedule, and the metadata it was saved with.
    Raises: FileNotFoundError for a missing file; ValueError for one that is truncated, foreign or
        inconsistent, or holds the weights of another network.
    """
    contents = read(path)
    if contents.holds == "training":
        raise ValueError(f"{path} holds a state of training: load the checkpoint beside it")
    if model is None and contents.config is None:
        raise ValueError(
            f"{path} holds the weights of a {contents.network}, not of a UNet:"
            f" pass a network to fill, load(path, model={contents.network}(...))"
        )
    try:
        # no default of the caller's, nor the state of the random numbers, makes a difference
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            schedule = Schedule.from_betas(torch.tensor(contents.betas, dtype=torch.float64))
            network = UNet(UNetConfig(**contents.config or {})) if model is None else model
        fill(network, contents.tensors, assign=model is None)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 400)
        misfit = "do not fit its own config" if model is None else "do not fit the model"
        raise ValueError(f"{path} holds weights or a schedule that {misfit}: {reason}") from error
    return network.eval(), schedule, contents.metadata


def fill(model: nn.Module, tensors: Mapping[str, Tensor], *, assign: bool = False) -> None:
    """Give a model its weights, under its own names or those of a wrapper around it.

    Args: assign, take dtype and device from the tensors too, rather than keep the model's.
    Raises: ValueError for weights that do not fit; the model is then left as it was.
    """
    network = unwrapped(model)
    own = network.state_dict()
    names = {plain_name(name): name for name in own}
    if tensors.keys() != names.keys():
        bare = {plain_name(name).removeprefix("module."): value for name, value in tensors.items()}
        tensors = bare if bare.keys() == names.keys() else tensors
    wrong = [f"Missing key {name}" for name in names if name not in tensors]
    wrong += [f"Unexpected key {name}" for name in tensors if name not in names]
    for name in names.keys() & tensors.keys():
        given, expected = tensors[name], own[names[name]]
        if given.shape != expected.shape:
            wrong.append(
                f"size mismatch for {name}: expected {tuple(expected.shape)}, got {tuple(given.shape)}"
            )
        elif given.is_floating_point() != expected.is_floating_point():
            kind = "floating point" if expected.is_floating_point() else "integers"
            wrong.append(f"{name} must be {kind}, got {given.dtype}")
    if wrong:
        raise ValueError("; ".join(wrong))
    network.load_state_dict({names[name]: value for name, value in tensors.items()}, assign=assign)


def load_training(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the metadata and the tensors that `training.train` resumes from.

    Args: path, of the checkpoint; they lie in the file `training_file(path)`.
    Raises: FileNotFoundError and ValueError as `load`, and ValueError for a checkpoint that was
        saved without them.
    """
    beside = training_file(path)
    contents = read(beside if beside.is_file() else path, part="training")
    if contents.holds != "training":
        raise ValueError(
            f"expected a training state to resume from, got {path}, which was saved for sampling only"
        )
    return contents.metadata, contents.tensors


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
