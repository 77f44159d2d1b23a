"""The network: its shapes, its start at zero, and that time and skips reach every part that should
hear of them.
"""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import silu

from minddpm import (
    UNet,
    UNetConfig,
    checkpoints,
    linear_schedule,
    simple_loss,
    timestep_embedding,
    train_step,
)
from minddpm.unet import ResidualBlock, SelfAttention

SMALL = UNetConfig(channels=(8, 16, 24), blocks=2, time_dim=8, groups=4)
LABELLED = dataclasses.replace(SMALL, classes=3)


def awake(config: UNetConfig = SMALL) -> UNet:
    """A network in which no layer is zero, so that everything inside shows at the output."""
    torch.manual_seed(0)
    network = UNet(config).eval()
    for name, parameter in network.named_parameters():
        if "norm" not in name:
            nn.init.normal_(parameter, std=0.3)
    if config.classes:
        nn.init.zeros_(network.label.weight[-1])  # no label says nothing
    return network


def blocks_of(network: UNet) -> dict[str, ResidualBlock]:
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, ResidualBlock)
    }


@pytest.fixture
def images(generator):
    return torch.randn(3, 1, 8, 8, generator=generator)


TIMES = torch.tensor([1, 500, 1000])


@settings(max_examples=15)
@given(
    channels=st.lists(st.sampled_from([4, 8, 12]), min_size=1, max_size=3),
    blocks=st.integers(1, 2),
    image_channels=st.sampled_from([1, 3]),
    batch=st.integers(1, 2),
    sides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_the_output_has_the_shape_of_the_input(channels, blocks, image_channels, batch, sides):
    network = UNet(UNetConfig(image_channels, channels, blocks, time_dim=4, groups=2))
    multiple = 2 ** (len(channels) - 1)
    x_t = torch.randn(batch, image_channels, sides[0] * multiple, sides[1] * multiple)
    assert network(x_t, torch.ones(batch, dtype=torch.int64)).shape == x_t.shape


def test_the_default_takes_digits(generator):
    x_t = torch.randn(2, 1, 28, 28, generator=generator)
    assert UNet()(x_t, torch.tensor([1, 1000])).shape == x_t.shape


def test_it_computes_in_the_dtype_of_its_weights(images, float64):
    network = UNet(SMALL)
    assert network(images.double(), TIMES).dtype == torch.float64


def test_it_starts_by_predicting_zero(images):
    network = UNet(SMALL)
    assert (network(images, TIMES) == 0).all()
    for block in blocks_of(network).values():
        assert all((parameter == 0).all() for parameter in block.conv_out.parameters())
    assert all((parameter == 0).all() for parameter in network.attention.out.parameters())
    network(images, TIMES).sum().backward()
    assert network.out.weight.grad.abs().max() > 0  # and it can leave zero


def test_time_reaches_every_residual_block(images):
    network = awake()
    network(images, TIMES).square().sum().backward()
    blocks = blocks_of(network)
    assert len(blocks) == 2 * len(SMALL.channels) * SMALL.blocks + 2
    for name, block in blocks.items():
        assert block.time.weight.grad.abs().max() > 0, name


@torch.no_grad()
def test_each_block_on_its_own_changes_with_time(images):
    """Cutting the time off any one block changes what that block gives for the same input."""
    network = awake()
    calls = {}
    for name, block in blocks_of(network).items():
        block.register_forward_hook(
            lambda module, args, out, name=name: calls.__setitem__(name, (args, out))
        )
    network(images, TIMES)
    for name, block in blocks_of(network).items():
        (x, time_features), _ = calls[name]
        early, late = (block(x, time_features[[i]].expand(3, -1)) for i in (0, 2))
        assert (early - late).abs().max() > 1e-3, name
        block.time.weight.zero_()
        early, late = (block(x, time_features[[i]].expand(3, -1)) for i in (0, 2))
        assert torch.equal(early, late), name


@torch.no_grad()
def test_each_image_hears_its_own_time(images):
    network = awake()
    together = network(images, TIMES)
    for i in range(3):
        alone = network(images[i : i + 1], TIMES[i : i + 1])
        assert (together[i : i + 1] - alone).abs().max() <= 1e-5 * together.abs().max()
    assert (network(images, TIMES.flip(0)) - together)[[0, 2]].abs().max() > 1e-3


@pytest.mark.parametrize("widths", [(8, 8), (16, 8)])
@torch.no_grad()
def test_a_block_equals_its_definition(widths, generator):
    torch.manual_seed(1)
    block = ResidualBlock(*widths, SMALL)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, widths[0], 4, 4, generator=generator)
    time = torch.randn(2, 32, generator=generator)
    h = block.conv_in(silu(block.norm_in(x))) + block.time(time).reshape(2, -1, 1, 1)
    expected = block.shortcut(x) + block.conv_out(silu(block.norm_out(h)))
    assert (block(x, time) - expected).abs().max() <= 1e-6


@torch.no_grad()
def test_the_last_layer_sees_the_last_norm_through_silu(images):
    network, seen = awake(), {}
    network.norm.register_forward_hook(lambda layer, given, answer: seen.update(norm=answer))
    network.out.register_forward_hook(lambda layer, given, answer: seen.update(out=given[0]))
    network(images, TIMES)
    assert torch.equal(seen["out"], silu(seen["norm"]))


def test_attention_works_at_the_lowest_resolution_only(images):
    network = awake()
    attention = [module for module in network.modules() if isinstance(module, SelfAttention)]
    assert attention == [network.attention]
    seen = []
    network.attention.register_forward_hook(lambda module, args, out: seen.append(args[0].shape))
    network(images, TIMES)
    assert seen == [(3, 24, 2, 2)]


@torch.no_grad()
def test_attention_equals_its_definition(generator):
    torch.manual_seed(0)
    attention = SelfAttention(8, SMALL).double()
    nn.init.normal_(attention.out.weight)
    x = torch.randn(2, 8, 3, 2, dtype=torch.float64, generator=generator)
    weights, bias = attention.query_key_value.weight[:, :, 0, 0], attention.query_key_value.bias
    for image, result in zip(x, attention(x)):
        places = attention.norm(image[None])[0].reshape(8, 6)  # a column for each place
        q, k, v = (weights @ places + bias[:, None]).reshape(3, 8, 6)
        scores = torch.zeros(6, 6, dtype=torch.float64)
        for i in range(6):
            for j in range(6):
                scores[i, j] = sum(q[:, i] * k[:, j]) / math.sqrt(8)
        share = scores.softmax(1)  # of place j in place i
        mixed = torch.stack([sum(share[i, j] * v[:, j] for j in range(6)) for i in range(6)], 1)
        expected = image + (
            attention.out.weight[:, :, 0, 0] @ mixed + attention.out.bias[:, None]
        ).reshape(8, 3, 2)
        assert (result - expected).abs().max() <= 1e-12


@torch.no_grad()
def test_every_skip_is_used(images):
    """Each encoder block's output reaches the decoder past the lower resolutions: cut one and the
    output changes.
    """
    network = awake()
    seen = {}
    for name, block in blocks_of(network).items():
        block.register_forward_hook(
            lambda module, args, out, name=name: seen.__setitem__(name, (args[0], out))
        )
    expected = network(images, TIMES)
    encoder = [name for name in seen if name.startswith("encoder")]
    decoder = [name for name in seen if name.startswith("decoder")]
    assert len(encoder) == len(decoder) == len(SMALL.channels) * SMALL.blocks
    network_blocks = blocks_of(network)
    for down, up in zip(encoder, reversed(decoder)):
        skip = seen[down][1]
        width = skip.shape[1]
        assert torch.equal(seen[up][0][:, width:], skip), (
            down,
            up,
        )  # the same resolution, and the values unchanged

        def cut(module, args, width=width):
            return torch.cat([args[0][:, :width], torch.zeros_like(args[0][:, width:])], 1), args[1]

        handle = network_blocks[up].register_forward_pre_hook(cut)
        assert (network(images, TIMES) - expected).abs().max() > 1e-3, up
        handle.remove()


def test_every_normalisation_is_a_group_norm():
    network = UNet(SMALL)
    norms = [module for module in network.modules() if "Norm" in type(module).__name__]
    assert all(isinstance(norm, nn.GroupNorm) and norm.num_groups == SMALL.groups for norm in norms)
    assert (
        len(norms) == 2 * len(blocks_of(network)) + 2
    )  # two a block, one for attention, one at the end


def test_the_config_is_frozen_and_builds_the_same_network_again():
    network = UNet(SMALL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.config.blocks = 3
    again = UNet(UNetConfig(**dataclasses.asdict(SMALL)))
    assert again.config == SMALL
    again.load_state_dict(network.state_dict())
    assert UNetConfig(channels=[8, 16]) == UNetConfig(channels=(8, 16))  # a list, as JSON gives it


# labels


@torch.no_grad()
def test_no_labels_are_the_label_that_stands_for_none(images):
    network = awake(LABELLED)
    assert torch.equal(network(images, TIMES), network(images, TIMES, torch.full((3,), 3)))


@torch.no_grad()
def test_labels_begin_by_saying_nothing(images):
    network, plain = UNet(LABELLED), awake()
    assert set(network.state_dict()) - set(plain.state_dict()) == {"label.weight"}
    assert network.label.weight.shape == (4, 4 * SMALL.channels[0])
    assert (network.label.weight == 0).all()
    network.load_state_dict(plain.state_dict(), strict=False)
    for label in range(4):
        assert torch.equal(network(images, TIMES, torch.full((3,), label)), plain(images, TIMES))


@torch.no_grad()
def test_each_image_hears_its_own_label(images):
    network = awake(LABELLED)
    labels = torch.tensor([2, 0, 3])
    together = network(images, TIMES, labels)
    for i in range(3):
        alone = network(images[i : i + 1], TIMES[i : i + 1], labels[i : i + 1])
        assert (together[i : i + 1] - alone).abs().max() <= 1e-5 * together.abs().max()
    other = (network(images, TIMES, torch.tensor([1, 0, 3])) - together).abs().amax((1, 2, 3))
    assert other[0] > 1e-2 and other[1:].max() <= 1e-5 * together.abs().max()


def test_labels_reach_every_residual_block(images):
    """Where the time goes the label goes: each block gives another output for the same images."""
    network = awake(LABELLED)
    features = {}
    for name, block in blocks_of(network).items():
        block.register_forward_hook(
            lambda module, args, out, name=name: features.setdefault(name, []).append(args[1])
        )
    for labels in (torch.tensor([0, 0, 0]), torch.tensor([1, 1, 1])):
        network(images, TIMES, labels)
    assert len(features) == len(blocks_of(network))
    difference = network.label.weight[1] - network.label.weight[0]
    for before, after in features.values():
        assert (after - before - difference).abs().max() <= 1e-5


def test_the_row_of_no_label_stays_zero_while_the_others_learn(images):
    network = UNet(LABELLED)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(5):
        train_step(network, images, optimizer, linear_schedule(), label=torch.tensor([0, 3, 2]))
        assert (network.label.weight.grad[3] == 0).all()
    rows = network.label.weight.abs().amax(1) > 0
    assert rows.tolist() == [True, False, True, False]  # label 1 was never shown, 3 is none


def test_labels_can_leave_zero_as_soon_as_the_output_has(images):
    network = awake(LABELLED)
    nn.init.zeros_(network.label.weight)
    simple_loss(
        lambda x_t, t: network(x_t, t, torch.tensor([0, 1, 2])), images, linear_schedule()
    ).backward()
    assert (network.label.weight.grad[:3].abs().amax(1) > 0).all()


def test_a_checkpoint_keeps_the_classes_and_one_from_before_has_none(tmp_path, monkeypatch, images):
    network = awake(LABELLED)
    again, _, _ = checkpoints.load(
        checkpoints.save(tmp_path / "new.safetensors", network, linear_schedule())
    )
    assert again.config == LABELLED
    labels = torch.tensor([0, 3, 2])
    with torch.no_grad():
        assert torch.equal(again(images, TIMES, labels), network(images, TIMES, labels))

    old = {name: value for name, value in dataclasses.asdict(SMALL).items() if name != "classes"}
    monkeypatch.setattr(checkpoints, "asdict", lambda config: old)
    path = checkpoints.save(tmp_path / "old.safetensors", awake(), linear_schedule())
    assert "classes" not in checkpoints.read(path).config
    assert checkpoints.load(path)[0].config == SMALL


# patches, and what is left of the noise


@pytest.mark.parametrize(("patch", "channels"), [(2, 1), (2, 3), (3, 1)])
def test_a_patch_is_one_place_to_the_network_inside(patch, channels, generator):
    config = dataclasses.replace(SMALL, image_channels=channels, patch=patch)
    network = awake(config)
    inner = awake(dataclasses.replace(config, image_channels=channels * patch**2, patch=1))
    inner.load_state_dict(network.state_dict())
    x_t = torch.randn(3, channels, 8 * patch, 4 * patch, generator=generator)
    places = nn.functional.pixel_unshuffle(x_t, patch)
    with torch.no_grad():
        inside = nn.functional.pixel_shuffle(inner(places, TIMES), patch)
        assert torch.equal(network(x_t, TIMES), inside)


def test_a_fresh_residual_network_takes_what_it_sees_for_noise(images):
    network = UNet(dataclasses.replace(SMALL, residual=True))
    assert torch.equal(network(images, TIMES), images)
    network(images, TIMES).sum().backward()
    assert network.out.weight.grad.abs().max() > 0  # and it can leave that


def test_at_first_the_size_is_one_at_all_times(images):
    """So a residual network begins as a plain one that is added to what it sees."""
    network = UNet(dataclasses.replace(SMALL, residual=True))
    nn.init.normal_(network.out.weight)
    plain = UNet(SMALL)
    plain.load_state_dict({name: network.state_dict()[name] for name in plain.state_dict()})
    torch.testing.assert_close(network(images, TIMES), images + plain(images, TIMES))


def test_a_residual_network_adds_what_a_plain_one_answers_times_a_size_for_each_time(images):
    network = awake(dataclasses.replace(SMALL, residual=True))
    plain = awake()
    weights = {name: value for name, value in network.state_dict().items() if "size" not in name}
    plain.load_state_dict(weights)
    with torch.no_grad():
        answer = plain(images, TIMES)
        sizes = (network(images, TIMES) - images) / answer
    for size in sizes:
        assert torch.allclose(size, size.mean(), rtol=1e-3)
    assert sizes.mean((1, 2, 3)).unique().numel() == 3
    nn.init.zeros_(network.size.weight)
    nn.init.constant_(network.size.bias, 0.5)
    with torch.no_grad():
        assert torch.allclose(network(images, TIMES), images + answer / 2)


def test_a_checkpoint_keeps_patches_and_residual(tmp_path, images):
    network = awake(dataclasses.replace(LABELLED, channels=(8, 16), patch=2, residual=True))
    path = checkpoints.save(tmp_path / "folded.safetensors", network, linear_schedule())
    again, _, _ = checkpoints.load(path)
    assert again.config == network.config
    with torch.no_grad():
        assert torch.equal(again(images, TIMES), network(images, TIMES))


# time


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=5),
    st.integers(1, 20).map(lambda half: 2 * half),
)
def test_the_embedding_is_sines_then_cosines(times, dim):
    ours = timestep_embedding(torch.tensor(times), dim)
    assert ours.dtype == torch.float32
    assert ours.shape == (len(times), dim)
    for row, t in zip(ours.tolist(), times):
        for i in range(dim // 2):
            angle = t * 10_000 ** (-2 * i / dim)
            assert abs(row[i] - math.sin(angle)) <= 1e-7
            assert abs(row[dim // 2 + i] - math.cos(angle)) <= 1e-7


def test_embeddings_of_all_times_differ():
    embedding = timestep_embedding(torch.arange(1, 1001), UNetConfig().time_dim)
    distance = torch.cdist(embedding, embedding).fill_diagonal_(math.inf)
    assert distance.min() > 0.1
