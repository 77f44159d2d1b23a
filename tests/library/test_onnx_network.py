"""ONNX Runtime draws the pictures that PyTorch draws, and what is missing is said."""

import sys

import pytest
import torch
from diffusers import UNet2DModel

import minddpm.__main__ as command_line
from minddpm import (
    OnnxNetwork,
    UNet,
    UNetConfig,
    ddim_sample,
    flow_sample,
    guided,
    linear_schedule,
    load_pretrained,
    sample,
    save,
)
from minddpm.network import classes_of

SHAPE = (1, 8, 8)


def network(**settings):
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8, 16), time_dim=8, groups=4, **settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
        if model.config.classes:
            model.label.weight[-1] = 0  # no label, as training leaves it
    return model


def seeded():
    return torch.Generator().manual_seed(3)


@pytest.fixture(scope="module")
def shipped():
    model, schedule, _ = load_pretrained()
    return model, OnnxNetwork(model, (1, 28, 28)), schedule


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("draw", [ddim_sample, flow_sample])
def test_the_pictures_of_the_shipped_weights_are_the_same(shipped, draw, count):
    *models, schedule = shipped
    ours, theirs = (
        draw(model, (count, 1, 28, 28), schedule, steps=20, generator=seeded()) for model in models
    )
    assert (ours - theirs).abs().max() <= 1e-4
    assert ours.std() > 0.3


@pytest.mark.parametrize("settings", [{}, {"patch": 2, "residual": True}])
def test_ancestral_pictures_are_the_same(settings):
    model, schedule = network(**settings), linear_schedule(30, 0.01, 0.3)
    ours, theirs = (
        sample(one, (3, *SHAPE), schedule, generator=seeded())
        for one in (model, OnnxNetwork(model, SHAPE))
    )
    assert (ours - theirs).abs().max() <= 1e-4


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("label", [2, torch.tensor([0, 2, 1])])
def test_labels_and_none_are_told(label, scale):
    model, schedule = network(classes=3), linear_schedule(30, 0.01, 0.3)
    exported = OnnxNetwork(model, SHAPE)
    assert classes_of(exported) == 3
    ours, theirs = (
        ddim_sample(guided(one, label, scale), (3, *SHAPE), schedule, steps=6, generator=seeded())
        for one in (model, exported)
    )
    assert (ours - theirs).abs().max() <= 1e-4
    plain = ddim_sample(model, (3, *SHAPE), schedule, steps=6, generator=seeded())
    assert ((ours - plain).abs().max() <= 1e-6) == (scale == 0)


@pytest.mark.parametrize("labels", [None, 4])
def test_a_network_of_diffusers_in_colour_and_of_any_batch(labels):
    torch.manual_seed(0)
    model = UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        num_class_embeds=labels,
    ).eval()
    exported = OnnxNetwork(model, (3, 8, 8))
    told = (lambda one: guided(one, 1, 2.0)) if labels else (lambda one: one)
    with torch.inference_mode():
        for count in (1, 2, 5):
            x_t, t = torch.randn(count, 3, 8, 8), torch.arange(1, count + 1)
            ours, theirs = (
                ddim_sample(told(one), x_t.shape, linear_schedule(9), steps=3, start=(x_t, 9))
                for one in (model, exported)
            )
            assert (ours - theirs).abs().max() <= 1e-4
            if not labels:
                assert (model(x_t, t).sample - exported(x_t, t)).abs().max() <= 1e-5


def test_it_keeps_the_weights_that_it_was_made_of_and_the_network_as_it_was():
    model = network().train()
    x_t, t = torch.randn(2, *SHAPE), torch.tensor([1, 4])
    exported = OnnxNetwork(model, SHAPE)
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    before = exported(x_t, t)
    with torch.no_grad():
        model.stem.weight.zero_()
    assert torch.equal(exported(x_t, t), before)
    half = OnnxNetwork(network().to(torch.bfloat16), SHAPE)
    assert half(x_t, t).dtype == torch.float32
    assert 0 < (half(x_t, t) - before).abs().max() <= 0.05


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (
            (torch.zeros(2, 1, 8, 9), torch.ones(2).long()),
            ValueError,
            "(b, 1, 8, 8), got (2, 1, 8, 9)",
        ),
        (
            (torch.zeros(2, *SHAPE).double(), torch.ones(2).long()),
            TypeError,
            "torch.float32, got torch.float64",
        ),
        (
            (torch.zeros(2, *SHAPE), torch.ones(2).long(), torch.ones(2).long()),
            ValueError,
            "no classes",
        ),
    ],
)
def test_what_it_cannot_take(inputs, error, message):
    with pytest.raises(error) as caught:
        OnnxNetwork(network(), SHAPE)(*inputs)
    assert message in str(caught.value)


# from the command line


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run `sample` with a small network; returns the exit code, what was drawn, and the last line
    of stderr.
    """
    path = save(tmp_path / "x.safetensors", network(classes=10), linear_schedule(12, 0.01, 0.3))
    drawn, draw = [], command_line.draw
    monkeypatch.setattr(command_line, "draw", lambda *all: drawn.append(draw(*all)) or drawn[-1])

    def run(*arguments):
        drawn.clear()
        common = ("--out", tmp_path / "x.png", "--checkpoint", path, "--device", "cpu")
        code = command_line.main([*map(str, ("sample", *common, "--count", 3)), *arguments])
        return code, drawn, capsys.readouterr().err.splitlines()[-1]

    return run


@pytest.mark.parametrize(
    "more", [(), ("--ddim", "5"), ("--digit", "3", "--scale", "2", "--heun", "4")]
)
def test_the_command_line_draws_the_same(run, more):
    _, (torchs,), _ = run(*more)
    code, (ours,), _ = run(*more, "--backend", "onnx")
    assert code == 0
    assert 0 < (ours - torchs).abs().max() <= 1e-4


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_where_it_is_not_installed_that_is_said(run, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    code, drawn, message = run("--backend", "onnx")
    assert (code, drawn) == (2, [])
    assert message == "error: ONNX Runtime is not installed: pip install 'minddpm[onnx]'"
    assert run("--backend", "torch")[0] == 0


def test_it_computes_on_the_cpu_alone(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    code, _, message = run("--backend", "onnx", "--device", "cuda")
    assert code == 2
    assert message == "error: --backend onnx computes on the CPU: add --device cpu, got cuda"
