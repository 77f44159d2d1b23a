"""A network of diffusers is taken as it is, for training and for sampling."""

import math

import pytest
import torch
from diffusers import UNet2DModel

from minddpm import ddim_sample, linear_schedule, sample, simple_loss, train, variational_bound

SCHEDULE = linear_schedule(10)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )


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
