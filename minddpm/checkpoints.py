"""Save a model with its noise schedule, and load both: safetensors files, no pickle.

The weights are stored under the names of the model's own `state_dict`, so that
`model.load_state_dict(safetensors.torch.load_file(path))` loads them too. The header holds, as
JSON, a UNet's config, the betas and the metadata. What training needs to continue is in a second
file next to the first: `run.training.safetensors` for `run.safetensors`.
"""

from __future__ import annotations

import glob
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

from minddpm.checks import how_many, kind_of
from minddpm.data import ASSETS
from minddpm.schedule import Schedule, check_schedule
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
        path: the file to write; its folder is created if it does not exist.
        model: whose weights to save. A UNet is built again by `load(path)`; of a network of your
            own only the weights are saved, and `load(path, model=...)` puts them into another one.
            Wrappers, such as torch.compile's, are left out.
        schedule: the noise schedule it was trained with.
        metadata: anything JSON can hold (steps, seed, data digest, ...).
        training: the tensors to resume from (see `training.TrainState.tensors`), saved in the
            file `training_file(path)`; without them an older file of that name is removed.

    Returns: the path.
    Raises: TypeError for a path, model or schedule of another type, or metadata that JSON cannot
        hold; OSError for a path that cannot be written.
    """
    path = as_path(path)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {kind_of(model)}")
    check_schedule(schedule)
    kept = as_json({} if metadata is None else metadata)
    network = unwrapped(model)
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
    weights = {plain_name(name): value for name, value in network.state_dict().items()}
    beside = training_file(path)
    state, first = None, False
    if training is not None:
        state = to_bytes(on_cpu(training), header | {"holds": "training"})
        first = not beside.exists()
    # the weights before the state: if the machine stops in between, the run goes on from the step
    # before; at its first checkpoint there is none, and the state comes before the weights
    if state is not None and first:
        write_whole(beside, state)
    write_whole(path, to_bytes(on_cpu(weights), header))
    if state is None:
        beside.unlink(missing_ok=True)
    elif not first:
        write_whole(beside, state)
    return path


def as_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as it will be read back.

    Raises: TypeError for what JSON cannot hold, naming the key.
    """
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a dict, got {kind_of(metadata)}")
    kept = {}
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise TypeError(f"the keys of metadata must be strings, got {key!r}")
        try:
            # NaN, which JSON does not know, would differ from itself when it is read back
            kept[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"metadata[{key!r}] must be something JSON can hold, got {value!r}: {error}"
            ) from error
    return kept


def as_path(path: str | Path) -> Path:
    """A path, in which ~ stands for the home folder. Raises: TypeError for anything else."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must name a file, got {kind_of(path)}")
    return Path(path).expanduser()


def training_file(path: str | Path) -> Path:
    """The file next to a checkpoint from which its training continues."""
    path = as_path(path)
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
            raise TypeError(f"training must hold only tensors, got {kind_of(value)} as {name!r}")
    return {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}


def tensor_digest(*tensors: Tensor) -> str:
    """The SHA-256 of the bytes of tensors, one after another."""
    whole = hashlib.sha256()
    for tensor in tensors:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        whole.update(flat.view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file in one piece, creating its folder: a reader sees the old file or the new one,
    never half of it.

    Raises: OSError for a path that cannot be written, and as `check_writable`.
    """
    check_writable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = part_of(path)
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # on the disk before it takes the old file's name
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise type(error)(f"cannot write {path}: {reason(error)}") from error
    return path


def part_of(path: Path) -> Path:
    """The file that `write_whole` fills before it takes the name of the whole one."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def remove_half_written(path: Path) -> None:
    """Remove what processes that were killed while they wrote this file have left of it."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Why the operating system refused, such as "permission denied"."""
    return (error.strerror or str(error) or type(error).__name__).lower()


def check_writable(path: Path) -> None:
    """Raise unless `write_whole` can write a file, as far as can be told without creating folders.

    Raises: IsADirectoryError for a folder, NotADirectoryError for a file where a folder must be,
        OSError for a place where no such file can be created.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(f"expected a file to write, got the folder {path}")
        folders = path.absolute().parents
        folder = next(folder for folder in folders if folder.exists())
        if not folder.is_dir():
            raise NotADirectoryError(f"expected a folder to write in, got the file {folder}")
        trial = part_of(folder / path.name)
        try:
            trial.touch()  # only the operating system knows who may write what
        except FileNotFoundError:  # as in /proc
            raise PermissionError(f"cannot write {path}: {folder} takes no files") from None
        trial.unlink()
    except OSError as error:
        if error.strerror is None:  # said above
            raise
        raise type(error)(f"cannot write {path}: {reason(error)}") from error


def check_readable(path: Path, expected: str) -> None:
    """Raise unless a file is there and can be read.

    Args: expected, what it should be, such as "a checkpoint".
    Raises: FileNotFoundError for a folder or nothing, another OSError for a file that the operating
        system does not open.
    """
    try:
        if path.is_dir():
            raise FileNotFoundError(f"expected {expected} at {path}, got a folder")
        with path.open("rb"):
            pass
    except OSError as error:
        if error.strerror is None:  # said above
            raise
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise FileNotFoundError(f"expected {expected} at {path}, got no file") from None
        raise type(error)(f"{path} cannot be read: {reason(error)}") from error


class Contents(NamedTuple):
    """What a checkpoint file holds."""

    holds: str  # "model" or "training"
    network: str  # the class of the model
    config: dict[str, Any] | None  # of a UNet
    betas: list[float]
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]


def read(path: str | Path, part: str = "model") -> Contents:
    """Read a checkpoint file, or say why it is not one; part is only for the first format, which
    keeps model and training in one file.
    """
    path = as_path(path)
    check_readable(path, "a checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            # clones, because the originals keep the file mapped, and a mapped file cannot be
            # replaced on Windows
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        size = path.stat().st_size
        raise ValueError(
            f"{path} is not a complete safetensors file ({how_many(size, 'byte')}): {error}"
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
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} has a damaged header: expected config, betas and metadata in JSON, got"
            f" {error!r}"
        ) from error
    kinds = {"config": (dict, type(None)), "betas": (list,), "metadata": (dict,)}
    for name, expected in kinds.items():
        if not isinstance(values[name], expected):
            got = textwrap.shorten(header[name], 40)
            raise ValueError(
                f"{path} has a damaged header: expected other JSON in {name}, got {got}"
            )
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
        model: the network to load the weights into, in its own dtype and on its own device; needed
            if they are not those of a UNet. It stays as it was if they do not fit it.

    Returns: the network, in eval mode, its schedule, and the metadata it was saved with.
    Raises: FileNotFoundError for a missing file, OSError for one that cannot be read; ValueError
        for one that is incomplete, damaged or not a checkpoint, or holds the weights of another
        network.
    """
    contents = read(path)
    if contents.holds == "training":
        raise ValueError(f"{path} holds a training state: load the checkpoint next to it")
    if model is None and contents.config is None:
        raise ValueError(
            f"{path} holds the weights of {contents.network}, not of a UNet: use load(path,"
            f" model={contents.network}(...))"
        )
    try:
        # no default of the caller's, nor the state of the random numbers, makes a difference
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            schedule = Schedule.from_betas(torch.tensor(contents.betas, dtype=torch.float64))
            network = unet_of(contents) if model is None else model
        fill(network, contents.tensors, assign=model is None)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        why = textwrap.shorten(f"{type(error).__name__}: {error}", 400)
        if model is None:
            damage = "is damaged: weights or schedule do not match its config"
        else:
            damage = "does not match the model"
        raise ValueError(f"{path} {damage}: {why}") from error
    return network.eval(), schedule, contents.metadata


def unet_of(contents: Contents) -> UNet:
    """Build the U-Net of a checkpoint's config.

    Raises: TypeError or ValueError for a config that is none, or is that of a network with more
        weights than the file holds: that is told before it takes memory.
    """
    config = UNetConfig(**contents.config or {})
    first, *_ = widths = config.channels
    least = max(  # of the weights, without most of the layers
        9 * config.blocks * sum(width * width for width in widths),
        9 * config.image_channels * config.patch**2 * first,
        4 * (config.classes + config.time_dim) * first,
    )
    given = sum(tensor.numel() for tensor in contents.tensors.values())
    if least > given:
        raise ValueError(f"its network has at least {least} weights, got {given}")
    return UNet(config)


def fill(model: nn.Module, tensors: Mapping[str, Tensor], *, assign: bool = False) -> None:
    """Load weights into a model, under its own names or those of a wrapper around it.

    Args: assign, take dtype and device from the tensors too, rather than keep the model's.
    Raises: ValueError for weights that do not fit; the model then stays as it was.
    """
    network = unwrapped(model)
    own = network.state_dict()
    names = {plain_name(name): name for name in own}
    if tensors.keys() != names.keys():
        bare = {plain_name(name).removeprefix("module."): value for name, value in tensors.items()}
        tensors = bare if bare.keys() == names.keys() else tensors
    wrong = [f"Missing key {name}" for name in names if name not in tensors]
    wrong += [f"Unexpected key {name}" for name in tensors if name not in names]
    in_both = [name for name in names if name in tensors]
    for name in in_both:
        given, expected = tensors[name], own[names[name]]
        if given.shape != expected.shape:
            wrong.append(
                f"size mismatch for {name}: expected {tuple(expected.shape)}, got"
                f" {tuple(given.shape)}"
            )
        elif given.is_floating_point() != expected.is_floating_point():
            kind = "floating point" if expected.is_floating_point() else "integers"
            wrong.append(f"{name} must be {kind}, got {given.dtype}")
    if wrong:
        raise ValueError("; ".join(wrong))
    network.load_state_dict({names[name]: value for name, value in tensors.items()}, assign=assign)


def load_training(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the metadata and the tensors that `training.train` resumes from.

    Args: path, of the checkpoint; they are in the file `training_file(path)`.
    Raises: as `load`, and ValueError for a checkpoint that was saved without them.
    """
    beside = training_file(path)
    contents = read(beside if beside.is_file() else path, part="training")
    if contents.holds != "training":
        raise ValueError(
            f"expected a training state to resume from, got {path}, which was saved for sampling"
            " only"
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
