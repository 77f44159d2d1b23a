"""Checkpoints come back bit for bit, and a file that is none says so."""

import json
import math
import os
import pickle
import stat
import sys

import jaxtyping
import pytest
import torch
from safetensors.torch import load_file, save_file

from minddpm import checkpoints
from minddpm.checkpoints import load, load_pretrained, load_training, save
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
        ValueError, match="wanted a training state to resume from, got .*saved for sampling only"
    ):
        load_training(path)


# files that are no checkpoints


@pytest.fixture(params=[load, load_training], ids=["load", "load_training"])
def reader(request):
    return request.param


def test_a_missing_file(tmp_path, reader):
    with pytest.raises(
        FileNotFoundError, match="wanted a checkpoint at .*nothing.safetensors, got no file"
    ):
        reader(tmp_path / "nothing.safetensors")
    with pytest.raises(FileNotFoundError, match="wanted a checkpoint at .*, got a folder"):
        reader(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"a text file\n" * 100, pickle.dumps({"weights": [1.0] * 100})]
)
def test_a_file_of_another_kind(tmp_path, reader, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"wanted a whole safetensors file, got .*other, {len(content)} bytes"
    ):
        reader(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file(tmp_path, model, reader, share):
    path = save(tmp_path / "model", model, linear_schedule(), training={"step": torch.tensor(1)})
    content = path.read_bytes()
    path.write_bytes(content[: math.ceil(share * len(content))])
    with pytest.raises(ValueError, match="wanted a whole safetensors file, got .* truncated"):
        reader(path)


@pytest.mark.parametrize("header", [None, {"format": "pt"}, {"format": "minddpm 2"}])
def test_a_foreign_safetensors_file(tmp_path, reader, header):
    save_file({"weight": torch.ones(2)}, tmp_path / "foreign", header)
    got = repr(header and header["format"])
    with pytest.raises(
        ValueError,
        match=f"wanted a checkpoint of format 'minddpm 1', got .*foreign of format {got}",
    ):
        reader(tmp_path / "foreign")


@pytest.mark.parametrize(
    "change",
    [
        {"config": None},
        {"metadata": None},
        {"config": "{"},
        {"metadata": "steps"},
        {"config": "[1]"},
        {"metadata": "3"},
    ],
    ids=str,
)
def test_a_damaged_header(tmp_path, model, reader, change):
    header = {"format": "minddpm 1", "config": "{}", "metadata": "{}"} | change
    save_file(
        {"training.step": torch.tensor(1)},
        tmp_path / "x",
        {k: v for k, v in header.items() if v is not None},
    )
    with pytest.raises(ValueError, match="x has a damaged header: wanted JSON"):
        reader(tmp_path / "x")


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        ({"channels": [8, 16, 32]}, {}, "Missing key"),
        ({"channels": [16, 16]}, {}, "size mismatch"),
        ({"channels": [9, 16]}, {}, "multiple of groups=4"),
        ({"channels": 8}, {}, "Type(Check)?Error"),
        ({"groups": 0}, {}, "multiple of groups=0"),
        ({"depth": 3}, {}, "unexpected keyword argument 'depth'"),
        ({}, {"model.stem.weight": None}, "Missing key.*stem.weight"),
        ({}, {"model.extra": torch.ones(1)}, "Unexpected key.*extra"),
        ({}, {"model.stem.weight": torch.ones(8, 1, 3, 3, dtype=torch.int64)}, "floating point"),
        ({}, {"schedule.betas": None}, "KeyError: 'schedule.betas'"),
        (
            {},
            {"schedule.betas": torch.tensor([0.5, 1.5])},
            "betas must lie strictly between 0 and 1, got 1.5",
        ),
    ],
)
def test_an_inconsistent_file(tmp_path, model, config, change, said):
    path = save(tmp_path / "model", model, linear_schedule(5))
    tensors = {
        name: value for name, value in (load_file(path) | change).items() if value is not None
    }
    config = json.dumps({"channels": [8, 16], "time_dim": 8, "groups": 4} | config)
    save_file(tensors, path, {"format": "minddpm 1", "config": config, "metadata": "{}"})
    with pytest.raises(ValueError, match=f"do not fit its own config: .*{said}") as error:
        load(path)
    assert "\n" not in str(error.value)


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


def test_a_model_of_another_class_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        jaxtyping.config, "jaxtyping_disable", True
    )  # as users run it, without enforced annotations
    with pytest.raises(TypeError, match="model must be a UNet, got Linear"):
        save(tmp_path / "model", torch.nn.Linear(1, 1), linear_schedule())


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
    with pytest.raises(error if isinstance(error, type) else type(error)):
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


def test_an_unknown_name_lists_what_is_shipped():
    with pytest.raises(
        ValueError,
        match="name must be one of the shipped weights, mnist, mnist_labels, got 'cifar'",
    ):
        load_pretrained("cifar")
