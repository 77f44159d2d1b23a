"""A network of diffusers is taken as it is, for training and for sampling."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from oracles import in_float64

from minddpm import (
    ddim_sample,
    forward_diffusion,
    guided,
    linear_schedule,
    respaced,
    sample,
    simple_loss,
    train,
    train_step,
    variational_bound,
)
from minddpm.network import call_model, classes_of

SCHEDULE = linear_schedule(10)
SHAPE = (2, 1, 8, 8)


def unet(**options):
    torch.manual_seed(0)
    return UNet2DModel(
        **options,
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )


@pytest.fixture
def network():
    return unet()


def test_it_trains_samples_and_is_measured(network):
    images = ((torch.rand(6, 1, 8, 8) * 255).round() / 127.5 - 1).clamp(-1, 1)
    *_, state = train(network, images, SCHEDULE, steps=3, batch_size=2)
    assert math.isfinite(state.loss)
    model = state.average.model
    for draw in (sample, ddim_sample):
        options = {"steps": 4} if draw is ddim_sample else {}
        assert draw(model, (2, 1, 8, 8), SCHEDULE, **options).abs().max() <= 1
    assert variational_bound(model, images, SCHEDULE).total_bits_per_dim.isfinite().all()


def test_its_loss_is_that_of_its_tensor(network):
    images = torch.rand(3, 1, 8, 8) * 2 - 1
    seeds = [torch.Generator().manual_seed(4) for _ in range(2)]
    ours = simple_loss(network, images, SCHEDULE, generator=seeds[0])
    theirs = simple_loss(
        lambda x_t, t: network(x_t, t, return_dict=False)[0], images, SCHEDULE, generator=seeds[1]
    )
    assert ours == theirs


@torch.inference_mode()
def test_a_network_trained_with_diffusers_is_called_one_timestep_lower(network):
    """Their timestep is our t - 1: adapted as README says, it samples here as it does there."""
    scheduler = DDIMScheduler(
        num_train_timesteps=10, timestep_spacing="trailing", clip_sample=False
    )
    schedule = in_float64(scheduler)
    scheduler.set_timesteps(5)
    x_T = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    network = network.double().eval()
    x = x_T
    for timestep in scheduler.timesteps:
        x = scheduler.step(network(x, timestep).sample, timestep, x).prev_sample
    options = {"steps": 5, "clip": False, "start": (x_T, 10)}
    ours = ddim_sample(lambda x_t, t: network(x_t, t - 1), SHAPE, schedule, **options)
    assert (ours - x).abs().max() <= 1e-10
    assert (ddim_sample(network, SHAPE, schedule, **options) - x).abs().max() > 1e-6


def test_a_clean_image_is_noised_as_at_the_timestep_below():
    scheduler = DDPMScheduler(num_train_timesteps=10)
    schedule = in_float64(scheduler)
    x_0, noise = torch.randn(2, 10, 3, dtype=torch.float64)
    t = torch.arange(1, 11)
    ours, _ = forward_diffusion(x_0, t, schedule, noise)
    assert (ours - scheduler.add_noise(x_0, noise, t - 1)).abs().max() <= 1e-12


# labels


@pytest.fixture
def labelled():
    """A network of diffusers that knows the labels 0, 1, 2 and, as 3, none."""
    return unet(num_class_embeds=4)


LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


def test_it_learns_labels_and_is_guided_to_one(labelled):
    images, told = torch.rand(6, 1, 8, 8) * 2 - 1, []
    labelled.register_forward_pre_hook(
        lambda module, args, options: told.append(options["class_labels"].tolist()),
        with_kwargs=True,
    )
    options = {"steps": 8, "batch_size": 6, "labels": LABELS, "dropped": 0.5}
    *_, state = train(labelled, images, SCHEDULE, **options)
    assert math.isfinite(state.loss)
    assert {label for batch in told for label in batch} == {0, 1, 2, 3}
    told.clear()
    x_t, t = images[:2], torch.tensor([3, 4])
    with torch.inference_mode():
        none, two = (labelled(x_t, t, class_labels=torch.full((2,), k)).sample for k in (3, 2))
        assert torch.equal(guided(labelled, 2, 0.0)(x_t, t), none)
        assert torch.equal(guided(labelled, 2)(x_t, t), two)
        assert torch.equal(guided(labelled, 2, 3.0)(x_t, t), none + 3 * (two - none))
    told.clear()
    for draw in (
        lambda model: sample(model, SHAPE, SCHEDULE),
        lambda model: ddim_sample(model, SHAPE, SCHEDULE, steps=3),
        lambda model: sample(*respaced_by(model, 3)),
    ):
        assert draw(guided(labelled, 2, 3.0)).abs().max() <= 1
        assert {tuple(batch) for batch in told} == {(2, 2), (3, 3)}
        told.clear()


def respaced_by(model, steps):
    shorter, schedule = respaced(model, SCHEDULE, steps)
    return shorter, SHAPE, schedule


@torch.inference_mode()
def test_without_a_label_it_gets_the_one_that_stands_for_none(labelled):
    labelled.eval()
    x_t, t = torch.randn(SHAPE), torch.tensor([7, 7])
    none = labelled(x_t, t, class_labels=torch.tensor([3, 3])).sample
    assert torch.equal(call_model(labelled, x_t, 7), none)
    shorter, _ = respaced(labelled, SCHEDULE, 10)
    assert torch.equal(shorter(x_t, t), none)
    assert torch.equal(guided(shorter, 1, 0.0)(x_t, t), none)


def test_its_labels_are_known(labelled, network):
    assert classes_of(labelled) == 3
    assert classes_of(network) is None
    for label in (3, -1):
        with pytest.raises(ValueError, match=f"label must lie in 0..2, got {label}"):
            guided(labelled, label)
    with pytest.raises(ValueError, match="classes must be 3, as in the network's config, got 4"):
        next(train(labelled, torch.zeros(6, 1, 8, 8), SCHEDULE, steps=1, labels=LABELS, classes=4))


class Own(torch.nn.Module):
    """A network of one's own in the style of diffusers, where another input comes third."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(4))
        self.told = []

    def forward(self, sample, timestep, hidden=None, class_labels=None, return_dict=True):
        assert hidden is None
        self.told.append(None if class_labels is None else class_labels.tolist())
        return Answer(sample * self.scale[0])


class Answer:
    def __init__(self, sample):
        self.sample = sample


def test_a_network_in_their_style_gets_labels_by_name():
    model, x_t = Own(), torch.rand(3, 2)
    guided(model, 1, 2.0)(x_t, torch.tensor([1, 2, 3]))
    assert model.told == [None, [1, 1, 1]]
    guided(torch.nn.DataParallel(model), 1)(x_t, torch.tensor([1, 2, 3]))
    assert model.told[-1] == [1, 1, 1]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_step(model, x_t, optimizer, SCHEDULE, label=torch.tensor([2, 0, 1]))
    assert model.told[-1] == [2, 0, 1]
    sample(model, (1, 2), SCHEDULE)
    assert model.told[-1] is None
