"""Precisions, devices and defaults: what the caller chose is followed, what torch was told is not.

The device "meta" stands for an accelerator. It computes shapes only, so that whatever would wait
for a value (`.item()`, `.cpu()`, a tensor in an `if`) raises an error.
"""

import copy
import math
from functools import partial

import pytest
import torch
from oracles import RecordingNetwork
from torch.utils._python_dispatch import TorchDispatchMode

from minddpm import (
    EMA,
    Schedule,
    UNet,
    UNetConfig,
    converted,
    cosine_schedule,
    ddim_sample,
    dpm_solver,
    flow_sample,
    guided,
    heun,
    invert,
    linear_schedule,
    noise_from_velocity,
    respaced,
    sample,
    simple_loss,
    straight_heun,
    timestep_embedding,
    train,
    train_step,
    variational_bound,
    velocity_from_x0,
    weighted_loss,
    zero_terminal_snr,
)
from minddpm.guidance import drop_labels
from minddpm.noising import standard_noise

SCHEDULE = linear_schedule(10)
SHAPE = (2, 1, 8, 8)
HALVES = [torch.float16, torch.bfloat16]


def network(classes: int = 0) -> UNet:
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8, 16), time_dim=8, groups=4, classes=classes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model


def in_velocity(model):
    """The network, taken for one that predicts the velocity."""
    return converted(model, noise_from_velocity, SCHEDULE)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


class OnlyThere(TorchDispatchMode):
    """Refuses float64 on the device that stands for an accelerator, as Apple's GPUs do."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta":
                assert tensor.dtype != torch.float64, function
        return result


USES = {
    "sample": lambda model: sample(model, SHAPE, SCHEDULE),
    "ddim_sample": lambda model: ddim_sample(model, SHAPE, SCHEDULE, steps=4, eta=0.5),
    "dpm_solver": lambda model: flow_sample(model, SHAPE, SCHEDULE, steps=4),
    "heun": lambda model: flow_sample(model, SHAPE, SCHEDULE, solver=heun, steps=4),
    "guided": lambda model: sample(guided(model, 1, 2.0), SHAPE, SCHEDULE),
    "start": lambda model: sample(model, SHAPE, SCHEDULE, start=(torch.zeros(SHAPE), 4)),
    "invert": lambda model: invert(model, torch.zeros(SHAPE, device="meta"), SCHEDULE, steps=3),
    "velocity": lambda model: sample(in_velocity(model), SHAPE, SCHEDULE),
    "straight": lambda model: flow_sample(model, SHAPE, SCHEDULE, solver=straight_heun, steps=4),
    "one label each": lambda model: ddim_sample(
        guided(model, torch.tensor([0, 2]), 2.0), SHAPE, SCHEDULE, steps=4
    ),
}


@pytest.mark.parametrize("use", USES)
def test_sampling_follows_the_weights_and_never_waits_for_the_device(use):
    with OnlyThere():
        images = USES[use](network(classes=3).to("meta"))
    assert images.device.type == "meta" and images.dtype == torch.float32


@pytest.mark.parametrize("loss", [simple_loss, partial(weighted_loss, target=velocity_from_x0)])
@pytest.mark.parametrize("convert", [lambda model: model, in_velocity])
@pytest.mark.parametrize("labels", [None, torch.tensor([0, 2])])
def test_a_training_step_never_waits_for_the_device(labels, convert, loss):
    model = convert(network(classes=3).to("meta").train())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x_0 = torch.zeros(SHAPE, device="meta")
    with OnlyThere():
        label = None if labels is None else drop_labels(labels, 3, 0.5).to("meta")
        value = train_step(model, x_0, optimizer, SCHEDULE, loss=loss, label=label)
        EMA(model).update(model)
    assert value.device.type == "meta" and value.shape == () and not value.requires_grad


class Scaled(torch.nn.Module):
    """Predicts x_t times a number for each label."""

    def __init__(self):
        super().__init__()
        self.size = torch.nn.Embedding(4, 1)

    def forward(self, x_t, t, label):
        return x_t * self.size(label)


def training_there(steps):
    """A training run on a device that has no values."""

    def plain(model):  # Adam's fused form knows no meta
        return torch.optim.SGD(model.parameters(), lr=0.1)

    options = {"steps": steps, "batch_size": 2, "labels": LABELS, "optimizer": plain}
    return train(Scaled().to("meta"), torch.zeros(8, 1), SCHEDULE, **options)


def test_training_waits_for_the_device_at_the_hundredth_step_first():
    run = training_there(101)
    for taken in range(1, 100):
        assert next(run).step == taken
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        next(run)


def test_then_it_waits_at_every_hundredth(monkeypatch):
    waits = []
    monkeypatch.setattr("minddpm.training.check_finite", waits.append)
    for state in training_there(300):
        assert len(waits) == state.step // 100


ADAPT = {"respaced": lambda model: respaced(model, SCHEDULE, 4)[0], "converted": in_velocity}


@pytest.mark.parametrize("adapt", ADAPT)
def test_an_adapted_network_can_be_exported_and_vectorised(adapt):
    """Both call it with a t that has no values to look at."""
    adapted, times = ADAPT[adapt](network()), torch.arange(len(IMAGES)) % 4 + 1
    expected = adapted(IMAGES, times)
    exported = torch.export.export(adapted, (IMAGES, times), strict=False).module()
    assert torch.equal(exported(IMAGES, times), expected)
    each = torch.vmap(lambda x_t, t: adapted(x_t[None], t[None])[0])(IMAGES, times)
    assert (each - expected).abs().max() <= 1e-5


def test_what_moves_a_model_moves_all_its_tensors():
    for adapted in (
        guided(network(classes=3), 1, 2.0),
        respaced(network(), SCHEDULE, 3)[0],
        in_velocity(network()),
    ):
        moved = adapted.to("meta")
        assert {tensor.device.type for tensor in moved.state_dict().values()} == {"meta"}
        assert {tensor.device.type for tensor in moved.buffers()} == {"meta"}


def test_what_a_generator_draws_is_moved_to_the_images():
    noise = standard_noise(torch.zeros(SHAPE, device="meta"), None, torch.Generator())
    assert noise.device.type == "meta"
    assert SCHEDULE.sample_t(3, generator=torch.Generator(), device="meta").device.type == "meta"


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
@pytest.mark.parametrize(
    "use", ["sample", "ddim_sample", "dpm_solver", "heun", "guided", "velocity", "straight"]
)
def test_weights_of_any_precision_sample(use, dtype):
    model = network(classes=3)
    torch.manual_seed(1)
    expected = USES[use](model)
    torch.manual_seed(1)
    images = USES[use](copy.deepcopy(model).to(dtype))
    assert images.dtype == dtype and images.isfinite().all()
    assert images.shape == expected.shape


def test_rounded_weights_and_noise_lead_to_nearly_the_same_images():
    model = network().double()
    x_T = torch.randn(SHAPE, dtype=torch.float64, generator=seeded())
    exact = ddim_sample(model, SHAPE, SCHEDULE, steps=5, start=(x_T, 10))
    for dtype, bound in ((torch.float32, 1e-5), (torch.float16, 0.05), (torch.bfloat16, 0.4)):
        start = (x_T.to(dtype), 10)
        images = ddim_sample(copy.deepcopy(model).to(dtype), SHAPE, SCHEDULE, steps=5, start=start)
        assert (images.double() - exact).abs().max() <= bound, dtype


@pytest.mark.parametrize("solver", [dpm_solver, heun])
def test_rounded_weights_and_noise_take_a_solver_to_nearly_the_same_images(solver):
    model = network().double()
    x_T = torch.randn(SHAPE, dtype=torch.float64, generator=seeded())
    options = {"solver": solver, "steps": 5}
    exact = flow_sample(model, SHAPE, SCHEDULE, **options, start=(x_T, 10))
    for dtype, bound in ((torch.float32, 1e-5), (torch.float16, 0.05), (torch.bfloat16, 0.4)):
        options["start"] = (x_T.to(dtype), 10)
        images = flow_sample(copy.deepcopy(model).to(dtype), SHAPE, SCHEDULE, **options)
        assert (images.double() - exact).abs().max() <= bound, dtype


def test_autocast_samples_and_trains():
    model, images = network(), torch.rand(8, 1, 8, 8, generator=seeded()) * 2 - 1
    plain = ddim_sample(model, SHAPE, SCHEDULE, steps=5, generator=seeded())
    with torch.autocast("cpu", torch.bfloat16):
        cast = ddim_sample(model, SHAPE, SCHEDULE, steps=5, generator=seeded())
        loss = simple_loss(model, images, SCHEDULE, generator=seeded())
    assert cast.dtype == torch.float32 and 0 < (cast - plain).abs().max() <= 0.1
    assert loss.dtype == torch.float32
    assert abs(loss / simple_loss(model, images, SCHEDULE, generator=seeded()) - 1) <= 0.05
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        *_, state = train(model, images, SCHEDULE, steps=3, batch_size=4)
    assert math.isfinite(state.loss)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_training_follows_the_precision_of_the_weights(dtype):
    images = torch.rand(8, 1, 8, 8, generator=seeded()) * 2 - 1
    *_, state = train(network().to(dtype), images, SCHEDULE, steps=2, batch_size=4)
    assert state.last_loss.dtype == dtype and math.isfinite(state.loss)


@pytest.fixture(params=["float64", "float16", "meta"])
def other_defaults(request):
    """Tell torch to make tensors of another dtype, or on another device, where nothing is said."""
    if request.param == "meta":
        torch.set_default_device("meta")
    else:
        torch.set_default_dtype(getattr(torch, request.param))
    yield
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


MODEL = network(classes=3)
IMAGES = torch.rand(8, 1, 8, 8, generator=seeded()) * 2 - 1
LABELS = torch.arange(8) % 3


def all_that_is_computed():
    generator = seeded()
    schedules = [linear_schedule(7), cosine_schedule(7), Schedule.from_betas([0.1, 0.2])]
    model = copy.deepcopy(MODEL)
    options = {"steps": 3, "batch_size": 4, "labels": LABELS}
    *_, state = train(model, IMAGES, SCHEDULE, **options)
    bound = variational_bound(MODEL, (IMAGES * 127.5).round() / 127.5, SCHEDULE, generator=seeded())
    return [
        *(schedule.alpha_bar for schedule in schedules),
        SCHEDULE.sample_t(4, generator=generator),
        timestep_embedding(torch.arange(4, device="cpu"), 8),
        sample(MODEL, SHAPE, SCHEDULE, generator=generator),
        sample(lambda x_t, t: x_t / 2, SHAPE, SCHEDULE, generator=generator),
        ddim_sample(guided(MODEL, 1, 2.0), SHAPE, SCHEDULE, steps=3, generator=generator),
        flow_sample(guided(MODEL, 1, 2.0), SHAPE, SCHEDULE, steps=3, generator=generator),
        sample(
            converted(MODEL, noise_from_velocity, SCHEDULE), SHAPE, SCHEDULE, generator=generator
        ),
        invert(MODEL, IMAGES, SCHEDULE, steps=3),
        zero_terminal_snr(SCHEDULE).alpha_bar,
        simple_loss(MODEL, IMAGES, SCHEDULE, generator=generator).detach(),
        drop_labels(LABELS, 3, 0.5, generator=generator),
        state.last_loss,
        *state.average.model.state_dict().values(),
        *bound,
    ]


EXPECTED = all_that_is_computed()


@pytest.mark.usefixtures("other_defaults")
def test_torchs_defaults_change_nothing():
    for ours, expected in zip(all_that_is_computed(), EXPECTED, strict=True):
        assert ours.dtype == expected.dtype and ours.device == expected.device
        assert torch.equal(ours, expected)


def test_on_another_device_the_embedding_has_the_same_waves():
    t = torch.arange(1, 1001)
    exact = timestep_embedding(t.double(), 64)
    assert (timestep_embedding(t, 64) - exact).abs().max() <= 1e-7
    assert timestep_embedding(t.to("meta"), 64).dtype == torch.float32


def test_an_extreme_schedule_in_few_steps():
    """Between neighbouring times so little signal is left that 1 - beta rounds to 0."""
    schedule = linear_schedule(4000)
    assert 1 - schedule.alpha_bar[-1] == 1
    for steps in (1, 2, 3, 50):
        for draw in (ddim_sample, flow_sample):
            images = draw(RecordingNetwork(), (2, 3), schedule, steps=steps)
            assert images.isfinite().all() and images.abs().max() <= 1
        model, shorter = respaced(RecordingNetwork(), schedule, steps)
        assert torch.equal(shorter.alpha_bar, schedule.alpha_bar[model.times])
