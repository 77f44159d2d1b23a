"""Checkpoints come back bit for bit, hold any network, and a file that is none says so."""

import copy
import json
import math
import os
import pickle
import stat
import sys
from dataclasses import asdict

import jaxtyping
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from minddpm import checkpoints
from minddpm.checkpoints import (
    ASSETS,
    fill,
    load,
    load_pretrained,
    load_training,
    save,
    training_file,
)
from minddpm.sampler import sample
from minddpm.schedule import cosine_schedule, linear_schedule
from minddpm.training import train
from minddpm.unet import UNet, UNetConfig

SMALL = UNetConfig(channels=(8, 16), time_dim=8, groups=4)
METADATA = {
    "steps": 3,
    "rate": 0.1 + 0.2,
    "name": "Fréchet",
    "list": [1, None, True],
    "nested": {"seed": 2**40},
}


@pytest.fixture
def model():
    """A small U-Net, none of whose weights is zero."""
    generator = torch.Generator().manual_seed(0)
    model = UNet(SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    return model


@pytest.mark.parametrize(
    "schedule", [linear_schedule(), cosine_schedule(50)], ids=["linear", "cosine"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_round_trip_is_exact(tmp_path, model, schedule, dtype):
    path = save(
        tmp_path / "new" / "folder" / "model.safetensors",
        model.to(dtype),
        schedule,
        metadata=METADATA,
    )
    loaded, loaded_schedule, metadata = load(path)
    assert not loaded.training
    assert loaded.config == SMALL
    weights = loaded.state_dict()
    assert weights.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert weights[name].dtype == dtype
        assert torch.equal(weights[name], value), name
    assert torch.equal(loaded_schedule.beta, schedule.beta)
    assert torch.equal(loaded_schedule.alpha_bar, schedule.alpha_bar)
    assert metadata == METADATA
    x_t, t = (
        torch.randn(2, 1, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(1)),
        torch.tensor([1, 50]),
    )
    assert torch.equal(loaded(x_t, t), model(x_t, t))


def test_what_is_loaded_can_be_trained_and_does_not_share_the_file(tmp_path, model):
    path = save(tmp_path / "model.safetensors", model, linear_schedule())
    loaded, _, metadata = load(str(path))
    assert metadata == {}
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    before = path.read_bytes()
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.zero_()
    assert path.read_bytes() == before


def test_loading_draws_no_random_numbers(tmp_path, model):
    path = save(tmp_path / "model.safetensors", model, linear_schedule())
    before = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_training_state_comes_back(tmp_path, model):
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    state = next(train(model, images, linear_schedule(10), steps=2, batch_size=2))
    saved = {name: value.clone() for name, value in state.tensors().items()}
    average = {name: value.clone() for name, value in state.average.model.state_dict().items()}
    path = save(
        tmp_path / "run",
        state.average.model,
        linear_schedule(10),
        metadata={"step": 1},
        training=saved,
    )
    metadata, tensors = load_training(path)
    assert metadata == {"step": 1}
    assert tensors.keys() == saved.keys()
    assert all(torch.equal(tensors[name], value) for name, value in saved.items())
    loaded, _, _ = load(path)
    assert all(torch.equal(value, average[name]) for name, value in loaded.state_dict().items())


def test_a_checkpoint_without_training_state_cannot_be_resumed(tmp_path, model):
    path = save(tmp_path / "model", model, linear_schedule())
    with pytest.raises(
        ValueError, match="expected a training state to resume from, got .*saved for sampling only"
    ):
        load_training(path)


# files that are no checkpoints


@pytest.fixture(params=[load, load_training], ids=["load", "load_training"])
def reader(request):
    return request.param


def test_a_missing_file(tmp_path, reader):
    with pytest.raises(
        FileNotFoundError, match="expected a checkpoint at .*nothing.safetensors, got no file"
    ):
        reader(tmp_path / "nothing.safetensors")
    with pytest.raises(FileNotFoundError, match="expected a checkpoint at .*, got a folder"):
        reader(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"a text file\n" * 100, pickle.dumps({"weights": [1.0] * 100})]
)
def test_a_file_of_another_kind(tmp_path, reader, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"other is not a complete safetensors file \({len(content)} bytes\)"
    ):
        reader(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file(tmp_path, model, reader, share):
    path = save(tmp_path / "model", model, linear_schedule(), training={"step": torch.tensor(1)})
    path = path if reader is load else training_file(path)
    content = path.read_bytes()
    path.write_bytes(content[: math.ceil(share * len(content))])
    path = tmp_path / "model"
    with pytest.raises(ValueError, match=r"is not a complete safetensors file \(\d+ bytes?\)"):
        reader(path)


@pytest.mark.parametrize("header", [None, {"format": "pt"}, {"format": "other"}])
def test_a_foreign_safetensors_file_names_what_loads_it(tmp_path, reader, header):
    save_file({"weight": torch.ones(2)}, tmp_path / "foreign", header)
    with pytest.raises(ValueError, match="foreign has no noise schedule.*load_state_dict"):
        reader(tmp_path / "foreign")


def test_a_file_of_a_later_version(tmp_path, reader):
    save_file({"weight": torch.ones(2)}, tmp_path / "later", {"minddpm": "3"})
    with pytest.raises(ValueError, match="of version 2, got .*later of version 3"):
        reader(tmp_path / "later")


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


@pytest.mark.parametrize(
    "change",
    [
        {"config": None},
        {"metadata": None},
        {"betas": None},
        {"config": "{"},
        {"metadata": "steps"},
        {"config": "[1]"},
        {"metadata": "3"},
        {"betas": "0.1"},
    ],
    ids=str,
)
def test_a_damaged_header(tmp_path, model, reader, change):
    path = save(tmp_path / "x", model, linear_schedule(), training={"step": torch.tensor(1)})
    path = path if reader is load else training_file(path)
    header = header_of(path) | change
    kept = {name: value for name, value in header.items() if value is not None}
    save_file(load_file(path), path, kept)
    with pytest.raises(ValueError, match="has a damaged header: expected "):
        reader(tmp_path / "x")


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        ({"channels": [8, 16, 32]}, {}, "Missing key"),
        ({"channels": [16, 16]}, {}, "size mismatch"),
        ({"channels": [9, 16]}, {}, "multiple of groups=4"),
        ({"channels": 8}, {}, "Type(Check)?Error"),
        ({"groups": 0}, {}, "groups must be at least 1, got 0"),
        ({"depth": 3}, {}, "unexpected keyword argument 'depth'"),
        ({}, {"stem.weight": None}, "Missing key.*stem.weight"),
        ({}, {"extra": torch.ones(1)}, "Unexpected key.*extra"),
        ({}, {"stem.weight": torch.ones(8, 1, 3, 3, dtype=torch.int64)}, "floating point"),
        ({}, {"betas": "[]"}, "betas must have shape"),
        ({}, {"betas": "[0.5, 1.5]"}, "betas must lie strictly between 0 and 1, got 1.5"),
    ],
)
def test_an_inconsistent_file(tmp_path, model, config, change, said):
    path = save(tmp_path / "model", model, linear_schedule(5))
    changed = load_file(path) | change
    betas = changed.pop("betas", header_of(path)["betas"])
    tensors = {name: value for name, value in changed.items() if value is not None}
    config = json.dumps({"channels": [8, 16], "time_dim": 8, "groups": 4} | config)
    save_file(tensors, path, header_of(path) | {"config": config, "betas": betas})
    with pytest.raises(
        ValueError, match=f"is damaged: weights or schedule do not match its config: .*{said}"
    ) as error:
        load(path)
    assert "\n" not in str(error.value)


def test_the_state_of_training_is_no_model(tmp_path, model):
    path = save(tmp_path / "model", model, linear_schedule(), training={"step": torch.tensor(1)})
    with pytest.raises(ValueError, match="holds a training state: load the checkpoint next to it"):
        load(training_file(path))


# files for others


def test_the_weights_load_as_any_other_do(tmp_path, model):
    path = save(tmp_path / "model", model, linear_schedule(), training={"step": torch.tensor(1)})
    other = UNet(SMALL)
    other.load_state_dict(load_file(path))
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_a_checkpoint_saved_for_sampling_drops_an_older_state_of_training(tmp_path, model):
    path = save(tmp_path / "model", model, linear_schedule(), training={"step": torch.tensor(1)})
    assert training_file(path).is_file()
    save(path, model, linear_schedule())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["run.safetensors", "run", "v1.5"])
def test_the_state_of_training_lies_beside_the_checkpoint(tmp_path, name):
    stem = name.removesuffix(".safetensors")
    assert training_file(tmp_path / name) == tmp_path / f"{stem}.training.safetensors"


# the first format: one file, prefixed names


def first_format(path, model, schedule, metadata, training=None):
    """Write a file as the first version of the package did."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"training.{name}": value for name, value in (training or {}).items()}
    tensors["schedule.betas"] = schedule.beta[1:]
    header = {
        "format": "minddpm 1",
        "config": json.dumps(asdict(model.config)),
        "metadata": json.dumps(metadata),
    }
    save_file({name: value.clone() for name, value in tensors.items()}, path, header)


def test_files_of_the_first_format_load(tmp_path, model):
    schedule, state = cosine_schedule(7), {"step": torch.tensor(3), "average.x": torch.ones(2)}
    first_format(tmp_path / "old", model, schedule, METADATA, state)
    loaded, loaded_schedule, metadata = load(tmp_path / "old")
    assert metadata == METADATA
    assert loaded.config == SMALL
    assert torch.equal(loaded_schedule.beta, schedule.beta)
    assert all(
        torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items()
    )
    metadata, tensors = load_training(tmp_path / "old")
    assert metadata == METADATA
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[name], value) for name, value in state.items())
    first_format(tmp_path / "sampling", model, schedule, {})
    with pytest.raises(ValueError, match="saved for sampling only"):
        load_training(tmp_path / "sampling")


# networks of one's own, wrapped ones, and other precisions


class Own(torch.nn.Module):
    """A network that is no UNet, with a buffer and an integer one."""

    def __init__(self, width=4):
        super().__init__()
        self.body = torch.nn.Conv2d(1, width, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(width)
        self.out = torch.nn.Conv2d(width, 1, 1)

    def forward(self, x_t, t):
        return self.out(self.norm(self.body(x_t)))


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def test_a_network_of_ones_own_fills_another(tmp_path):
    torch.manual_seed(0)
    own, other = Own(), Own()
    path = save(tmp_path / "own", own, cosine_schedule(9), metadata={"name": "mine"})
    filled, schedule, metadata = load(path, model=other)
    assert filled is other
    assert not other.training
    assert same(own, other)
    assert torch.equal(schedule.beta, cosine_schedule(9).beta)
    assert metadata == {"name": "mine"}
    with pytest.raises(
        ValueError, match=r"weights of Own, not of a UNet: use load\(path, model=Own\(...\)\)"
    ):
        load(path)


def test_weights_that_do_not_fit_leave_the_network_as_it_was(tmp_path):
    torch.manual_seed(0)
    path = save(tmp_path / "own", Own(), linear_schedule())
    wider = Own(8)
    before = copy.deepcopy(wider)
    with pytest.raises(
        ValueError, match="does not match the model: .*size mismatch for body.weight"
    ):
        load(path, model=wider)
    assert same(wider, before)


def test_a_network_keeps_its_own_dtype_when_it_is_filled(tmp_path):
    path = save(tmp_path / "own", Own(), linear_schedule())
    filled, *_ = load(path, model=Own().double())
    assert {value.dtype for value in filled.parameters()} == {torch.float64}


class Compiled(torch.nn.Module):
    """What torch.compile returns, without its compiler."""

    def __init__(self, model):
        super().__init__()
        self._orig_mod = model


def wrapped(model, how):
    return {
        "compiled": lambda: Compiled(model),
        "parallel": lambda: torch.nn.DataParallel(model),
        "both": lambda: Compiled(torch.nn.DataParallel(model)),
        "really compiled": lambda: torch.compile(model, backend="eager"),
    }[how]()


@pytest.mark.parametrize("how", ["compiled", "parallel", "both", "really compiled"])
def test_a_wrapped_model_is_saved_without_its_wrapper(tmp_path, model, how):
    path = save(tmp_path / "model", wrapped(model, how), linear_schedule())
    loaded, *_ = load(path)
    assert same(loaded, model)


def test_a_compiled_part_leaves_no_mark(tmp_path):
    own = Own()
    own.body = Compiled(own.body)
    assert "body._orig_mod.weight" in own.state_dict()
    path = save(tmp_path / "own", own, linear_schedule())
    assert "body.weight" in load_file(path)
    load(path, model=Own())
    other = Own()
    other.body = Compiled(other.body)
    load(path, model=other)
    assert same(own, other)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."]
)
def test_weights_under_the_prefix_of_a_wrapper_are_loaded(model, prefix):
    weights = {prefix + name: value for name, value in model.state_dict().items()}
    other = UNet(SMALL)
    fill(other, weights)
    assert same(other, model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_weights_of_another_precision_are_loaded_as_they_are_and_sample(tmp_path, model, dtype):
    path = save(tmp_path / "model", model.to(dtype), linear_schedule(4))
    loaded, schedule, _ = load(path)
    assert same(loaded, model)
    images = sample(loaded, (2, 1, 8, 8), schedule, generator=torch.Generator().manual_seed(0))
    assert images.dtype == dtype
    assert images.isfinite().all()


def test_tied_weights_are_saved(tmp_path):
    own = Own()
    own.twin = own.out
    other = Own()
    other.twin = other.out
    load(save(tmp_path / "own", own, linear_schedule()), model=other)
    assert same(own, other)
    assert other.twin is other.out


def test_defaults_of_the_caller_change_nothing(tmp_path, model):
    path = save(tmp_path / "model", model, linear_schedule(50))
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        loaded, schedule, _ = load(path)
        shipped, *_ = load_pretrained()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert same(loaded, model)
    assert torch.equal(schedule.beta, linear_schedule(50).beta)
    assert same(shipped, load_pretrained()[0])
    assert {value.dtype for value in shipped.parameters()} == {torch.float32}


def test_a_home_folder_is_found(tmp_path, model, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert save("~/model", model, linear_schedule()) == tmp_path / "model"
    assert same(load("~/model")[0], model)


# writing


@pytest.mark.parametrize(
    "value", [torch.ones(2), {1, 2}, object()], ids=["tensor", "set", "object"]
)
def test_metadata_that_json_cannot_hold_is_named(tmp_path, model, value):
    with pytest.raises(
        TypeError, match=r"metadata\['wrong'\] must be something JSON can hold, got "
    ):
        save(tmp_path / "model", model, linear_schedule(), metadata={"right": 1, "wrong": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedule": linear_schedule().beta}, "schedule must be a Schedule, got a torch.float64"),
        ({"path": None}, "path must name a file, got None"),
        ({"path": 3}, "path must name a file, got an int"),
        ({"metadata": [1]}, "metadata must be a dict, got a list"),
        ({"metadata": {2: 1}}, "the keys of metadata must be strings, got 2"),
        ({"metadata": {"x": math.inf}}, r"metadata\['x'\] must be something JSON can hold"),
        ({"training": {"step": 1}}, "training must hold only tensors, got an int as 'step'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_saved_is_named(tmp_path, model, monkeypatch, change, said):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    given = {"path": tmp_path / "new" / "x", "model": model, "schedule": linear_schedule()}
    with pytest.raises(TypeError, match=said):
        save(**given | change)
    for read in (load, load_training):
        with pytest.raises(TypeError, match="path must name a file, got a dict"):
            read({})


def test_a_checkpoint_cannot_take_the_place_of_a_folder(tmp_path, model):
    with pytest.raises(
        IsADirectoryError, match=f"expected a file to write, got the folder {tmp_path}"
    ):
        save(tmp_path, model, linear_schedule())
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="folder to write in, got the file .*file"):
        save(tmp_path / "file" / "below", model, linear_schedule())
    with pytest.raises(OSError, match="cannot write .*: file name too long"):
        save(tmp_path / (300 * "x"), model, linear_schedule())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_place_that_takes_no_files_is_refused(tmp_path, model):
    with pytest.raises(PermissionError, match="cannot write /proc/x: /proc takes no files"):
        save("/proc/x", model, linear_schedule())


def test_a_file_that_may_not_be_read_is_not_called_missing(tmp_path, model, reader, monkeypatch):
    path = save(tmp_path / "x", model, linear_schedule(), training={"step": torch.tensor(1)})

    def refused(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoints.Path, "open", refused)
    with pytest.raises(PermissionError, match=r"x\S* cannot be read: permission denied"):
        reader(path)


def test_what_is_no_network_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        jaxtyping.config, "jaxtyping_disable", True
    )  # as users run it, without enforced annotations
    with pytest.raises(TypeError, match="model must be a torch.nn.Module, got a dict"):
        save(tmp_path / "model", {}, linear_schedule())


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path, model, monkeypatch, error
):
    path = save(tmp_path / "model", model, linear_schedule(), metadata={"step": 1})
    before = path.read_bytes()

    def fsync(descriptor):
        assert os.fstat(descriptor).st_size > 1000  # it is the new file that is cut off
        raise error

    monkeypatch.setattr(checkpoints.os, "fsync", fsync)
    said = None if isinstance(error, type) else f"cannot write {path}: no space left on device"
    with pytest.raises(error if isinstance(error, type) else type(error), match=said):
        save(path, model, linear_schedule(), metadata={"step": 2})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path, model, umask, mode):
    old = os.umask(umask)
    try:
        path = save(tmp_path / "model", model, linear_schedule())
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == mode


# what the package ships


def test_the_pretrained_weights():
    model, schedule, metadata = load_pretrained()
    assert schedule.T == 1000
    assert metadata["images_seen"] > 0
    assert not model.training


@pytest.mark.parametrize("name", ["mnist", "mnist_labels"])
def test_the_shipped_weights_load_as_any_other_do(name):
    model, _, _ = load_pretrained(name)
    other = UNet(model.config)
    other.load_state_dict(load_file(ASSETS / f"ddpm_{name}.safetensors"))
    assert same(other, model)


def test_an_unknown_name_lists_what_is_shipped():
    with pytest.raises(
        ValueError,
        match="name must be one of the shipped weights, mnist, mnist_labels, got 'cifar'",
    ):
        load_pretrained("cifar")
