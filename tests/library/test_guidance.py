"""Guidance against its formula and exact scores, and that samplers take a guided model like any
other.
"""

import math
import warnings

import pytest
import torch

from minddpm import UNet, UNetConfig, linear_schedule, sample, sample_steps
from minddpm.ddim import ddim_sample, invert
from minddpm.guidance import drop_labels, guided
from minddpm.mixture import GaussianMixture
from minddpm.network import home_of
from minddpm.respacing import respaced
from minddpm.score import noise_from_score

SCHEDULE = linear_schedule(12, 0.01, 0.4)
CONFIG = UNetConfig(channels=(8,), time_dim=8, groups=4, classes=3)
T = torch.tensor([1, 5, 12, 12])
LABELS = {"an int": 1, "one each": torch.tensor([0, 2, 1, 0])}


@pytest.fixture
def network():
    """A network in which labels matter, its last row, which stands for none, zero as ever."""
    torch.manual_seed(0)
    model = UNet(CONFIG).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            (parameter[:3] if name == "label.weight" else parameter).normal_(std=0.3)
    return model


@pytest.fixture
def images(generator):
    return torch.randn(4, 1, 4, 4, generator=generator)


def each(label) -> torch.Tensor:
    return torch.full((4,), label) if isinstance(label, int) else label


# the formula


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
@torch.no_grad()
def test_scale_0_is_the_unconditional_and_1_the_conditional_model_to_the_bit(
    network, images, label
):
    plain, told = network(images, T), network(images, T, each(label))
    assert torch.equal(guided(network, label, 0.0)(images, T), plain)
    assert torch.equal(guided(network, label, 1.0)(images, T), told)
    assert torch.equal(guided(network, label)(images, T), told)
    assert (plain - told).abs().max() > 0.1


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
@torch.no_grad()
def test_between_and_beyond_it_is_linear_in_the_scale(network, images, label, float64):
    network, images = network.double(), images.double()
    plain, told = network(images, T), network(images, T, each(label))
    for scale in (0.25, 0.5, 1.0, 2.0, 7.5):
        expected = (1 - scale) * plain + scale * told
        w = scale - 1  # the paper's: eq. 6
        paper = (1 + w) * told - w * plain
        ours = guided(network, label, scale)(images, T)
        for other in (expected, paper):
            assert (ours - other).abs().max() <= 1e-13 * max(1.0, ours.abs().max().item())


@torch.no_grad()
def test_the_label_none_is_no_label(network, images):
    plain = network(images, T)
    # the last row of the embedding is zero, so that the sum is the same
    assert torch.equal(network(images, T, torch.full((4,), 3)), plain)
    mixed = network(images, T, torch.tensor([1, 3, 3, 0]))
    assert torch.equal(mixed[1:3], plain[1:3])
    assert (mixed - plain)[[0, 3]].abs().amin(0).max() > 0.02


def test_the_network_is_asked_no_more_than_needed():
    asked = []

    def model(x_t, t, label):
        asked.append(None if label is None else label.tolist())
        return x_t

    x_t, t = torch.zeros(2, 3), torch.tensor([1, 2])
    guided(model, 5, 1.0)(x_t, t)
    assert asked == [[5, 5]]
    asked.clear()
    guided(model, torch.tensor([4, 6]), 3.0)(x_t, t)
    assert asked == [None, [4, 6]]


MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.5]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
EVERYTHING = GaussianMixture(MEANS, 0.09, WEIGHTS)
CLOUDS = [GaussianMixture(MEANS[[k]], 0.09, WEIGHTS[[k]]) for k in range(3)]


def exact(schedule):
    """The noise prediction of three clouds, or, told a label, of one of them."""

    def model(x_t, t, label):
        score = EVERYTHING.score(x_t, t, schedule)
        if label is not None:
            parts = torch.stack([cloud.score(x_t, t, schedule) for cloud in CLOUDS])
            score = parts[label, torch.arange(len(x_t))]
        return noise_from_score(score, t, schedule)

    return model


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.5])
def test_it_is_exact_where_the_scores_are_known(scale, generator):
    """By Bayes' rule it follows the slope of log q(x_t) + scale log q(label | x_t), found here by
    autograd.
    """
    x_t, t = (
        torch.randn(6, 2, dtype=torch.float64, generator=generator),
        torch.tensor([1, 2, 5, 8, 11, 12]),
    )
    label = torch.tensor([0, 1, 2, 0, 1, 2])
    x = x_t.clone().requires_grad_()
    joint = torch.stack([cloud.log_density(x, t, SCHEDULE) for cloud in CLOUDS], 1) + WEIGHTS.log()
    log_share = joint.log_softmax(1)[torch.arange(6), label]
    (slope,) = torch.autograd.grad((joint.logsumexp(1) + scale * log_share).sum(), x)
    ours = guided(exact(SCHEDULE), label, scale)(x_t, t)
    assert (ours - noise_from_score(slope, t, SCHEDULE)).abs().max() <= 1e-12


@pytest.mark.usefixtures("float64")
def test_samples_are_those_of_the_cloud_asked_for_and_beyond_it_move_off_the_others(generator):
    schedule, n = linear_schedule(), 4_000
    settings = {"steps": 100, "clip": False, "generator": generator}
    mean = {
        scale: ddim_sample(guided(exact(schedule), 1, scale), (n, 2), schedule, **settings).mean(0)
        for scale in (0.0, 1.0, 3.0)
    }
    # four standard errors, and 0.02 for the steps being finite
    assert (mean[0.0] - WEIGHTS @ MEANS).abs().max() <= 4 * 0.9 / math.sqrt(n) + 0.02
    assert (mean[1.0] - MEANS[1]).abs().max() <= 4 * 0.3 / math.sqrt(n) + 0.02
    away = MEANS[1] - MEANS[[0, 2]]
    assert (away @ (mean[3.0] - MEANS[1]) > 0.1).all()


# samplers


def test_samplers_take_it_as_any_model_in_eval_mode_and_leave_the_modes(network):
    network.train()
    asked = []
    network.register_forward_pre_hook(lambda module, args: asked.append((module.training, args[2])))
    model, shape = guided(network, 2, 3.0), (2, 1, 4, 4)
    for draw in (
        lambda: sample(model, shape, SCHEDULE),
        lambda: list(sample_steps(model, shape, SCHEDULE))[-1].x_t,
        lambda: ddim_sample(model, shape, SCHEDULE, steps=3),
        lambda: invert(model, torch.zeros(shape), SCHEDULE, steps=3),
    ):
        asked.clear()
        assert draw().shape == shape
        assert asked and not any(training for training, _ in asked)
        assert all(label is None or label.tolist() == [2, 2] for _, label in asked)
        assert network.training


def test_the_device_of_the_weights_is_found_through_it(network):
    model = guided(network.to("meta"), 2)
    for adapted in (model, respaced(model, SCHEDULE, 3)[0]):
        assert home_of(adapted)[0].type == "meta"
        assert all(tensor.device.type == "meta" for tensor in adapted.buffers())


def test_a_sample_of_scale_0_or_1_is_that_of_the_plain_model(network):
    shape = (4, 1, 4, 4)

    def draw(model):
        return ddim_sample(
            model, shape, SCHEDULE, steps=4, generator=torch.Generator().manual_seed(3)
        )

    labels = torch.tensor([0, 1, 2, 1])
    assert torch.equal(draw(guided(network, labels, 0.0)), draw(network))
    assert torch.equal(draw(guided(network, labels)), draw(lambda x_t, t: network(x_t, t, labels)))
    assert not torch.equal(draw(guided(network, labels)), draw(network))


# dropped labels


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_each_label_is_dropped_with_this_probability_by_itself(share, generator):
    n, labels = 40_000, torch.arange(40_000) % 10
    kept = drop_labels(labels, 10, share, generator=generator)
    gone = kept == 10
    assert torch.equal(kept[~gone], labels[~gone])
    bound = 4 * math.sqrt(share * (1 - share))
    assert abs(gone.double().mean() - share) <= bound / math.sqrt(n)
    for label in range(10):
        assert abs(gone[labels == label].double().mean() - share) <= bound / math.sqrt(n / 10)
    together = (gone[1:] & gone[:-1]).double().mean()
    assert abs(together - share**2) <= 4 * share / math.sqrt(n)
    assert torch.equal(labels, torch.arange(40_000) % 10)


def test_none_and_all_are_dropped_for_certain(generator, monkeypatch):
    labels = torch.arange(1000) % 10
    assert torch.equal(drop_labels(labels, 10, 0.0, generator=generator), labels)
    assert (drop_labels(labels, 10, 1.0, generator=generator) == 10).all()
    # the lowest draw there is
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.zeros(shape))
    assert torch.equal(drop_labels(labels, 10, 0.0), labels)


def test_labels_are_dropped_on_their_own_device():
    dropped = drop_labels(
        torch.zeros(5, dtype=torch.int64, device="meta"), 3, 0.5, generator=torch.Generator()
    )
    assert dropped.device.type == "meta"


def test_a_guided_model_may_be_respaced_and_a_respaced_one_guided(network):
    start = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    one, times = respaced(guided(network, 1, 2.0), SCHEDULE, 5)
    other = guided(respaced(network, SCHEDULE, 5)[0], 1, 2.0)
    assert torch.equal(
        one(start, torch.full((4,), times.T)), other(start, torch.full((4,), times.T))
    )


def test_dropping_is_one_draw_of_the_generator():
    labels, seeds = torch.arange(50) % 3, [torch.Generator().manual_seed(seed) for seed in (8, 8)]
    ours = drop_labels(labels, 3, 0.4, generator=seeds[0])
    expected = [
        3 if u < 0.4 else k for u, k in zip(torch.rand(50, generator=seeds[1]), labels.tolist())
    ]
    assert ours.tolist() == expected
    assert torch.equal(seeds[0].get_state(), seeds[1].get_state())


def test_traced_and_scripted_networks_are_taken():
    """Python cannot see the parameters of a traced one."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1))

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = network

        def forward(self, x_t, t):
            return self.layers(x_t)

    inputs = (torch.zeros(2, 1, 4, 4), torch.tensor([1, 2]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of torch deprecate both
        made = [torch.jit.trace(Own(), inputs), torch.jit.script(Own())]
        seeds = [torch.Generator().manual_seed(1) for _ in range(3)]
        samples = [
            sample(model, (2, 1, 4, 4), SCHEDULE, generator=seed)
            for model, seed in zip([Own(), *made], seeds)
        ]
    assert (samples[1] - samples[0]).abs().max() <= 1e-5
    assert (samples[2] - samples[0]).abs().max() <= 1e-5
