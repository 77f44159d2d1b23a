"""Muon turns gradients into steps that are as large in every direction, and training takes it."""

import copy
from functools import partial

import jaxtyping
import pytest
import torch
from torch import nn

from minddpm import UNet, UNetConfig, linear_schedule, muon, train, train_to
from minddpm.optimizers import Muon, orthogonal

SCHEDULE = linear_schedule(20, 1e-3, 0.3)
CONFIG = UNetConfig(channels=(8,), time_dim=8, groups=4, classes=2)
SHAPES = [(4, 288), (32, 288), (96, 96), (288, 32), (1, 9), (5, 1)]


def network(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(CONFIG)


@pytest.fixture
def images(generator):
    return torch.rand(10, 1, 4, 4, generator=generator) * 2 - 1


@pytest.fixture
def _unchecked():
    """Let the package's own checks see the input, as users do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def with_singular_values(shape, values, generator):
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    return u @ torch.diag(values) @ v


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_all_singular_values_become_about_1(shape, size, generator):
    values = size * torch.logspace(0, -1, min(shape))
    matrix = with_singular_values(shape, values, generator)
    after = torch.linalg.svdvals(orthogonal(matrix))
    assert after.min() > 0.65
    assert after.max() < 1.25


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay(shape, generator):
    matrix = with_singular_values(shape, torch.logspace(0, -1, min(shape)), generator)
    turned = orthogonal(matrix)
    # U S V^T and U R V^T with the same U and V: these products are symmetric
    for product in (turned.T @ matrix, turned @ matrix.T):
        assert torch.allclose(product, product.T, atol=1e-5)


def test_it_is_the_iteration_of_newton_and_schulz(generator):
    matrix = torch.randn(6, 20, generator=generator, dtype=torch.float64)
    expected = matrix / matrix.norm()
    for _ in range(5):
        square = expected @ expected.T
        expected = (3.4445 * torch.eye(6) - 4.775 * square + 2.0315 * square @ square) @ expected
    assert torch.allclose(orthogonal(matrix), expected, atol=1e-12)


def test_nothing_becomes_of_no_gradient():
    assert torch.equal(orthogonal(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_a_step_of_a_matrix_has_the_size_of_the_rate(generator):
    weight = nn.Parameter(torch.randn(8, 4, 3, 3, generator=generator))
    before = weight.detach().clone()
    optimizer = Muon([weight], lr=0.5)
    weight.grad = torch.randn(weight.shape, generator=generator)
    optimizer.step()
    step = torch.linalg.svdvals((before - weight).detach().flatten(1))
    assert torch.allclose(step, torch.full((8,), 0.5), rtol=0.35)


def test_tall_matrices_take_larger_steps(generator):
    weight = nn.Parameter(torch.zeros(36, 4))
    weight.grad = torch.randn(weight.shape, generator=generator)
    Muon([weight], lr=0.5).step()
    step = torch.linalg.svdvals(weight.detach())
    assert torch.allclose(step, torch.full((4,), 0.5 * 3), rtol=0.35)


def test_momentum_is_the_mean_that_its_docstring_gives(generator):
    weight = nn.Parameter(torch.zeros(3, 5))
    optimizer = Muon([weight], lr=1.0, momentum=0.9)
    mean, expected = torch.zeros(3, 5), torch.zeros(3, 5)
    for _ in range(4):
        gradient = torch.randn(3, 5, generator=generator)
        weight.grad = gradient
        optimizer.step()
        mean = 0.1 * gradient + 0.9 * mean
        expected = expected - orthogonal(0.1 * gradient + 0.9 * mean)
    assert torch.allclose(weight, expected, atol=1e-5)


def test_the_rest_learns_as_by_adam(generator):
    layer = nn.Linear(5, 3)
    twin = copy.deepcopy(layer)
    optimizers = (
        torch.optim.Adam(layer.parameters(), lr=0.01),
        Muon([], twin.parameters(), adam_lr=0.01),
    )
    for _ in range(30):
        inputs = torch.randn(8, 5, generator=generator)
        for model, optimizer in zip((layer, twin), optimizers):
            optimizer.zero_grad()
            model(inputs).square().sum().backward()
            optimizer.step()
    assert torch.allclose(layer.weight, twin.weight, atol=1e-6)
    assert torch.allclose(layer.bias, twin.bias, atol=1e-6)


def test_convolutions_and_matrices_learn_by_muon_and_all_else_by_adam():
    model = network()
    by_muon, by_adam = (group["params"] for group in muon(model).param_groups)
    assert len(by_muon) + len(by_adam) == len(list(model.parameters()))
    assert {weight.ndim for weight in by_muon} == {2, 4}
    assert any(weight is model.label.weight for weight in by_adam)
    assert {weight.ndim for weight in by_adam if weight is not model.label.weight} == {1}


def test_a_weight_without_a_gradient_stays():
    weights = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))]
    Muon(weights[:1], weights[1:]).step()
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in weights)


@pytest.mark.usefixtures("_unchecked")
@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"lr": 0}, "lr must be"),
        ({"lr": float("nan")}, "lr must be"),
        ({"adam_lr": -1.0}, "adam_lr must be"),
        ({"momentum": 1.5}, "momentum must"),
    ],
)
def test_settings_out_of_range_are_named(settings, wanted):
    with pytest.raises(ValueError, match=wanted):
        muon(network(), **settings)


@pytest.mark.usefixtures("_unchecked")
def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"at least 2 dimensions, got shape \(3,\)"):
        Muon([nn.Parameter(torch.ones(3))])
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got"):
        muon([nn.Parameter(torch.ones(3, 3))])


OPTIMIZERS = {
    "muon": muon,
    "sgd": lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
    "momentum": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=1e-3),
    "rmsprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=1e-3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_equals_one_that_never_stopped(name, images):
    settings = {"steps": 6, "batch_size": 5, "optimizer": OPTIMIZERS[name]}
    labels = torch.arange(10) % 2
    whole = network()
    *_, last = train(whole, images, SCHEDULE, labels=labels, **settings)
    for state in train(network(), images, SCHEDULE, labels=labels, **settings):
        if state.step == 3:
            break
    resumed = network(seed=1)
    *_, end = train(resumed, images, SCHEDULE, labels=labels, resume=state.tensors(), **settings)
    for expected, got in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(expected, got)
    assert torch.equal(last.last_loss, end.last_loss)


def test_adam_takes_an_eighth_of_the_rate_unless_it_is_given_one():
    assert [group["lr"] for group in muon(network(), lr=0.4).param_groups] == [0.4, 0.05]
    rates = [group["lr"] for group in muon(network(), lr=0.4, adam_lr=0.3).param_groups]
    assert rates == [0.4, 0.3]


def test_every_group_rises_to_its_own_rate_and_falls_to_none(images):
    rates = []
    rise_and_fall = partial(muon, lr=0.3, adam_lr=2.5e-3)
    for state in train(
        network(), images, SCHEDULE, steps=40, batch_size=5, optimizer=rise_and_fall
    ):
        rates.append([group["lr"] for group in state.optimizer.param_groups])
    matrices, others = torch.tensor(rates).T
    assert matrices.max() == pytest.approx(0.3)
    assert others.max() == pytest.approx(2.5e-3)
    assert matrices[-1] < 0.01
    assert torch.allclose(matrices / 0.3, others / 2.5e-3)
    assert state.learning_rate == pytest.approx(matrices[-1])


@pytest.mark.usefixtures("_unchecked")
@pytest.mark.parametrize(
    ("optimizer", "error", "wanted"),
    [
        (torch.optim.SGD([nn.Parameter(torch.ones(1))]), TypeError, "optimizer must be a function"),
        (lambda model: None, TypeError, "optimizer must return an optimizer of torch.optim, got"),
        (lambda model: muon(network()), ValueError, "optimizer must change the weights of the mod"),
    ],
)
def test_what_is_no_optimizer_of_the_model_is_refused(images, tmp_path, optimizer, error, wanted):
    with pytest.raises(error, match=wanted):
        next(train(network(), images, SCHEDULE, steps=1, optimizer=optimizer))
    with pytest.raises(error, match=wanted):
        train_to(tmp_path, network(), images, SCHEDULE, steps=1, optimizer=optimizer)
    assert not any(tmp_path.iterdir())


def test_a_run_is_not_resumed_with_another_optimizer(images, tmp_path):
    settings = {"steps": 4, "batch_size": 5, "progress": False}
    train_to(tmp_path, network(), images, SCHEDULE, optimizer=muon, **settings)
    with pytest.raises(ValueError, match="optimizer was 'Muon"):
        train_to(
            tmp_path,
            network(),
            images,
            SCHEDULE,
            optimizer=lambda model: muon(model, lr=0.1),
            resume=True,
            **settings,
        )
    with pytest.raises(ValueError, match="optimizer was 'Muon"):
        train_to(tmp_path, network(), images, SCHEDULE, resume=True, **settings)
