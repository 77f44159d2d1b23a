"""Training: it learns, it resumes to the bit, it averages as it says and it stops at a loss that is
no number.
"""

import copy
import dataclasses
import functools
import itertools
import math
import operator

import pytest
import torch
from torch import nn

from minddpm import (
    EMA,
    UNet,
    UNetConfig,
    guided,
    linear_schedule,
    simple_loss,
    train,
    train_step,
    train_to,
)
from minddpm.training import warm_cosine

SCHEDULE = linear_schedule(20, 1e-3, 0.3)
CONFIG = UNetConfig(channels=(8,), time_dim=8, groups=4)


@pytest.fixture
def images(generator):
    return torch.rand(10, 1, 4, 4, generator=generator) * 2 - 1


def network(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(CONFIG)


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_one_step_of_plain_descent_is_the_gradient_times_the_rate(images):
    model = network().eval()
    before = copy.deepcopy(model)
    loss = train_step(
        model,
        images,
        torch.optim.SGD(model.parameters(), lr=0.1),
        SCHEDULE,
        generator=torch.Generator().manual_seed(1),
    )
    expected = simple_loss(before, images, SCHEDULE, generator=torch.Generator().manual_seed(1))
    assert loss == expected.item()
    gradients = torch.autograd.grad(expected, list(before.parameters()))
    for new, old, gradient in zip(model.parameters(), before.parameters(), gradients):
        assert (new - (old - 0.1 * gradient)).abs().max() <= 1e-7


def test_an_old_gradient_is_forgotten(images):
    models = [network().eval() for _ in range(2)]
    for parameter in models[0].parameters():
        parameter.grad = torch.full_like(parameter, 1e6)
    for model in models:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train_step(model, images, optimizer, SCHEDULE, generator=torch.Generator().manual_seed(1))
    assert same(*models)


def test_training_lowers_the_loss_on_one_batch(images):
    model = network()

    def loss():
        with torch.no_grad():
            return sum(
                simple_loss(
                    model.eval(), images, SCHEDULE, generator=torch.Generator().manual_seed(seed)
                ).item()
                for seed in range(20)
            )

    before = loss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(100)
    for _ in range(60):
        train_step(model, images, optimizer, SCHEDULE, generator=generator)
    assert loss() < 0.6 * before


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_harms_the_weights(images, bad):
    model = network()
    before = copy.deepcopy(model)
    images[3, 0, 1, 1] = bad
    with pytest.raises(FloatingPointError, match="loss is"):
        train_step(model, images, torch.optim.Adam(model.parameters()), SCHEDULE)
    assert same(model, before)


def test_the_loop_names_the_step_at_which_the_loss_was_lost(images):
    model, seen = network(), []

    def spoil_fifth_batch(batch, generator):
        seen.append(copy.deepcopy(model))
        return batch * math.nan if len(seen) == 5 else batch

    run = train(model, images, SCHEDULE, steps=9, batch_size=4, augment=spoil_fifth_batch)
    for last in itertools.islice(run, 4):
        assert math.isfinite(last.loss)
    with pytest.raises(FloatingPointError, match="nan at step 5"):
        next(run)
    assert last.step == 4
    assert same(model, seen[-1])
    assert all(value.isfinite().all() for value in last.average.model.state_dict().values())


def test_a_resumed_run_has_the_same_weights_to_the_bit(images):
    settings = {
        "steps": 11,
        "batch_size": 4,
        "seed": 3,
        "augment": lambda x, g: x + torch.randn(x.shape, generator=g),
    }
    for state in train(network(), images, SCHEDULE, **settings):
        if state.step == 4:
            stored = {name: value.clone() for name, value in state.tensors().items()}
    resumed = network(seed=77)  # weights that the stored ones must replace
    for again in train(resumed, images, SCHEDULE, resume=stored, **settings):
        assert again.images_seen == 4 * again.step
    assert again.step == state.step == 11
    assert same(again.model, state.model)
    assert same(again.average.model, state.average.model)
    assert again.average.updates == state.average.updates
    assert all(torch.equal(value, again.tensors()[name]) for name, value in state.tensors().items())


def test_a_state_is_kept_as_it_was_and_may_be_resumed_twice(images):
    settings = {"steps": 8, "batch_size": 4}
    for state in train(network(), images, SCHEDULE, **settings):
        if state.step == 3:
            stored = state.tensors()
            before = {name: value.clone() for name, value in stored.items()}
    for _ in range(2):
        assert all(torch.equal(value, before[name]) for name, value in stored.items())
        *_, again = train(network(seed=77), images, SCHEDULE, resume=stored, **settings)
        assert same(again.model, state.model)


# labels


class Listening(nn.Module):
    """Predicts a little noise, and remembers the labels it was told."""

    config = UNetConfig(channels=(8,), groups=4, classes=3)

    def __init__(self):
        super().__init__()
        self.scale, self.told = nn.Parameter(torch.tensor(0.5)), []

    def forward(self, x_t, t, label=None):
        self.told.append(None if label is None else label.tolist())
        return self.scale * x_t


def labelled(seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(dataclasses.replace(CONFIG, classes=3))


LABELS = torch.tensor([0, 1, 2, 1, 1, 0, 2, 2, 0, 1])


def test_a_run_with_labels_repeats_and_resumes_to_the_bit(images):
    settings = {"steps": 11, "batch_size": 4, "seed": 3, "labels": LABELS, "dropped": 0.3}
    for state in train(labelled(), images, SCHEDULE, **settings):
        if state.step == 4:
            stored = {name: value.clone() for name, value in state.tensors().items()}
    *_, again = train(labelled(), images, SCHEDULE, **settings)
    *_, resumed = train(labelled(seed=77), images, SCHEDULE, resume=stored, **settings)
    assert (state.model.label.weight[:3].abs().amax(1) > 0).all() and (
        state.model.label.weight[3] == 0
    ).all()
    for other in (again, resumed):
        assert same(other.model, state.model)
        assert all(
            torch.equal(value, other.tensors()[name]) for name, value in state.tensors().items()
        )
    *_, shuffled = train(labelled(), images, SCHEDULE, **settings | {"labels": LABELS.flip(0)})
    assert not same(shuffled.model, state.model)


def test_each_image_comes_with_its_label():
    images, shown = (LABELS / 9)[:, None, None, None].expand(10, 1, 2, 2), []

    def remember(batch, generator):
        shown.append([round(9 * value) for value in batch[:, 0, 0, 0].tolist()])
        return batch

    model = Listening()
    list(
        train(
            model,
            images,
            SCHEDULE,
            steps=7,
            batch_size=4,
            labels=LABELS,
            dropped=0.0,
            augment=remember,
        )
    )
    assert model.told == shown
    assert len({tuple(batch) for batch in shown}) > 1


@pytest.mark.parametrize(
    ("settings", "share"), [({}, 0.1), ({"dropped": 0.5}, 0.5), ({"dropped": 1.0}, 1.0)]
)
def test_this_share_of_labels_is_dropped(settings, share):
    model, n = Listening(), 400
    list(
        train(
            model,
            torch.zeros(n, 2),
            SCHEDULE,
            steps=20,
            batch_size=n,
            labels=torch.arange(n) % 3,
            **settings,
        )
    )
    gone = sum(label == 3 for batch in model.told for label in batch) / (20 * n)
    assert abs(gone - share) <= 4 * math.sqrt(share * (1 - share) / (20 * n))


def test_without_labels_classes_change_nothing(images):
    plain, classes = network(), labelled()
    classes.load_state_dict(plain.state_dict(), strict=False)
    runs = []
    for model in (plain, classes):
        *_, state = train(model, images, SCHEDULE, steps=6, batch_size=4)
        runs.append(state)
    assert (classes.label.weight == 0).all()
    assert runs[0].loss == runs[1].loss
    for name, value in plain.state_dict().items():
        assert torch.equal(value, classes.state_dict()[name]), name
    model = Listening()
    list(train(model, images, SCHEDULE, steps=2))
    assert model.told == [None, None]


def test_the_seed_is_0_unless_it_is_given(images):
    options = {"steps": 2, "batch_size": 4}
    runs = [train(network(), images, SCHEDULE, **options, **seed) for seed in ({}, {"seed": 0})]
    ours, expected = [list(run)[-1].last_loss for run in runs]
    assert torch.equal(ours, expected)


def test_the_seed_decides_the_run(images):
    def weights(seed):
        *_, state = train(network(), images, SCHEDULE, steps=3, batch_size=4, seed=seed)
        return state.model

    assert same(weights(1), weights(1))
    assert not same(weights(1), weights(2))


def test_an_epoch_shows_each_image_once_and_the_next_in_another_order():
    images, shown = torch.arange(12.0).reshape(12, 1, 1, 1).expand(12, 1, 4, 4) / 12, []

    def remember(batch, generator):
        shown.append([round(12 * value) for value in batch[:, 0, 0, 0].tolist()])
        return batch

    for state in train(network(), images, SCHEDULE, steps=6, batch_size=4, augment=remember):
        assert state.images_seen == 4 * state.step
    first, second = (
        functools.reduce(operator.iadd, shown[:3], []),
        functools.reduce(operator.iadd, shown[3:], []),
    )
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second


def test_every_step_draws_anew(images):
    drawn = []

    def remember(batch, generator):
        drawn.append(torch.randn(3, generator=generator).tolist())
        return batch

    for _ in train(
        network(), images, SCHEDULE, steps=6, batch_size=4, augment=remember
    ):  # three epochs
        pass
    assert len({tuple(draw) for draw in drawn}) == 6


def test_every_step_yields_where_training_stands(images):
    states = [
        (state.step, state.loss, state.learning_rate)
        for state in train(network(), images, SCHEDULE, steps=20, batch_size=5, learning_rate=0.01)
    ]
    assert [step for step, _, _ in states] == list(range(1, 21))
    assert all(math.isfinite(loss) for _, loss, _ in states)
    assert [rate for _, _, rate in states] == [0.01 * warm_cosine(step, 20) for step in range(20)]


def test_the_learning_rate_is_the_one_the_optimiser_uses(images):
    for state in train(network(), images, SCHEDULE, steps=15, batch_size=5):
        assert {group["lr"] for group in state.optimizer.param_groups} == {state.learning_rate}


@pytest.mark.parametrize(
    ("steps", "warmup"), [(10_000, 500), (5_000, 500), (200, 20), (9, 0), (1, 0)]
)
def test_the_rate_rises_in_a_line_and_falls_as_a_cosine(steps, warmup):
    rates = [warm_cosine(step, steps) for step in range(steps)]
    for step, rate in enumerate(rates):
        if step < warmup:
            assert abs(rate - (step + 1) / warmup) <= 1e-15
        else:
            assert (
                abs(rate - math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2) <= 1e-12
            )
    assert max(rates) == 1
    assert min(rates) > 0  # no step is wasted
    assert warm_cosine(steps, steps) <= 1e-15


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_the_average_is_the_formula(decay):
    model = nn.Linear(3, 2).double()
    average = EMA(model, decay)
    expected = [parameter.detach().clone() for parameter in model.parameters()]
    for n in range(30):
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        average.update(model)
        d = min(decay, (1 + n) / (10 + n))
        expected = [
            d * old + (1 - d) * new.detach() for old, new in zip(expected, model.parameters())
        ]
    for ours, formula in zip(average.model.parameters(), expected):
        assert (ours - formula).abs().max() <= 1e-14
        assert not ours.requires_grad
    assert average.updates == 30


def test_the_average_keeps_the_statistics_of_the_model():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = EMA(model)
    for n in range(3):
        model(torch.full((2, 1, 4, 4), float(n)) + torch.arange(4.0))
        average.update(model)
    assert torch.equal(average.model[1].running_var, model[1].running_var)
    assert average.model[1].num_batches_tracked == 3


def test_the_average_is_another_model_in_eval_mode():
    model = network().train()
    average = EMA(model)
    assert not average.model.training
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        model.out.weight.add_(1)
    assert (average.model.out.weight == 0).all()


def test_a_run_minimises_the_loss_it_is_given():
    """A weighted loss takes another path, and is called as `simple_loss` is."""
    images = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    calls = []

    def halved(model, x_0, schedule, *, generator):
        calls.append(x_0.shape)
        return simple_loss(model, x_0, schedule, generator=generator) / 2

    settings = {"steps": 3, "batch_size": 4}
    plain = [state.loss for state in train(network(), images, SCHEDULE, **settings)]
    ours = [state.loss for state in train(network(), images, SCHEDULE, loss=halved, **settings)]
    assert calls == [(4, 1, 8, 8)] * 3
    assert ours[0] == plain[0] / 2  # the same draws
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    seeds = [torch.Generator().manual_seed(2) for _ in range(2)]
    whole = train_step(model, images, optimizer, SCHEDULE, generator=seeds[0])
    half = train_step(model, images, optimizer, SCHEDULE, loss=halved, generator=seeds[1])
    assert half == whole / 2


def test_a_model_is_trained_in_training_mode(images):
    model, modes = network().eval(), []

    def watching(predict, x_0, schedule, *, generator):
        modes.append(model.training)
        return simple_loss(predict, x_0, schedule, generator=generator)

    list(train(model, images, SCHEDULE, steps=2, batch_size=4, loss=watching))
    assert modes == [True, True]


class OwnNetwork(torch.nn.Module):
    """A network of somebody's own, without a config, that takes labels."""

    def __init__(self):
        super().__init__()
        self.label = torch.nn.Embedding(4, 1)
        self.seen = []

    def forward(self, x_t, t, label=None):
        self.seen.append(label)
        shift = 0 if label is None else self.label(label)[:, :, None, None]
        return x_t * self.label.weight[0] + shift


def test_an_own_network_learns_labels():
    images = torch.rand(6, 1, 2, 2) * 2 - 1
    model, labels = OwnNetwork(), torch.tensor([0, 1, 2, 2, 1, 0])
    *_, state = train(model, images, SCHEDULE, steps=4, batch_size=3, labels=labels, dropped=0.5)
    drawn = torch.cat(model.seen)
    assert drawn.max() == 3 and drawn.min() >= 0  # 3, one beyond the labels, is none
    assert math.isfinite(state.loss)
    before = len(model.seen)
    guided(model, 2, 3.0)(images, torch.ones(6, dtype=torch.int64))
    assert model.seen[before] is None and model.seen[before + 1].tolist() == [2] * 6


@pytest.mark.parametrize(("classes", "none"), [(None, 2), (3, 3), (9, 9)])
def test_an_own_network_is_told_how_many_classes_there_are(classes, none):
    """The largest label need not be among the images: 0 and 1 of three."""

    class Own(Listening):
        config = None

    images, labels = torch.zeros(40, 2), torch.arange(40) % 2
    model, options = Own(), {"steps": 5, "batch_size": 40, "dropped": 0.5}
    *_, state = train(model, images, SCHEDULE, labels=labels, classes=classes, **options)
    assert {label for batch in model.told for label in batch} == {0, 1, none}


def test_a_kept_run_is_told_how_many_classes_there_are(tmp_path):
    class Own(Listening):
        config = None

    images, labels = torch.zeros(12, 1, 2, 2), torch.arange(12) % 2
    options = {"steps": 2, "dropped": 0.5, "labels": labels, "progress": False}
    run = train_to(tmp_path / "more", Own(), images, SCHEDULE, classes=5, **options)
    assert run.metadata["classes"] == 5
    run = train_to(tmp_path / "found", Own(), images, SCHEDULE, **options)
    assert run.metadata["classes"] == 2
    with pytest.raises(ValueError, match="classes"):
        train_to(tmp_path / "more", Own(), images, SCHEDULE, resume=True, **options)
    held_out = {"held_out": images, "held_out_labels": labels + 1}
    with pytest.raises(ValueError, match="labels must lie in 0..1, got 2"):
        train_to(tmp_path / "held", Own(), images, SCHEDULE, **held_out, **options)
    train_to(tmp_path / "held", Own(), images, SCHEDULE, classes=3, **held_out, **options)


def test_classes_may_repeat_what_the_config_says(images):
    settings = {"steps": 3, "batch_size": 4, "labels": LABELS, "dropped": 0.5}
    *_, named = train(labelled(), images, SCHEDULE, classes=3, **settings)
    *_, known = train(labelled(), images, SCHEDULE, **settings)
    assert same(named.model, known.model)


def test_the_state_of_another_model_is_refused_by_its_first_difference(images):
    *_, state = train(network(), images, SCHEDULE, steps=2)
    stored = state.tensors()
    name = "weights.stem.bias"
    other = UNet(dataclasses.replace(CONFIG, channels=(8, 8)))
    for model, tensors, said in (
        (network(), {k: v for k, v in stored.items() if k != name}, f"it has no '{name}'"),
        (network(), stored | {name: torch.zeros(9)}, rf"its '{name}' has shape \(9,\), not \(8,\)"),
        (network(), stored | {"average.extra": torch.zeros(1)}, "model has no 'average.extra'"),
        (other, stored, "it has no 'weights."),
        (network(), {}, "it has no 'step'"),
    ):
        before = copy.deepcopy(model)
        message = "resume must be the training state of this model, but "
        with pytest.raises(ValueError, match=message + ".*" + said) as caught:
            next(train(model, images, SCHEDULE, steps=4, resume=tensors))
        assert len(str(caught.value)) < 150
        assert same(model, before)


def test_without_a_batch_size_a_small_set_is_one_batch():
    images = torch.rand(5, 1, 8, 8) * 2 - 1
    *_, state = train(network(), images, SCHEDULE, steps=2)
    assert state.images_seen == 10


def test_a_state_beyond_the_end_spares_the_callers_model():
    images = torch.rand(5, 1, 8, 8) * 2 - 1
    *_, state = train(network(), images, SCHEDULE, steps=3)
    other = network(seed=5)
    before = [parameter.clone() for parameter in other.parameters()]
    with pytest.raises(ValueError, match="steps must be at least 3, got 2: .* already taken 3"):
        next(train(other, images, SCHEDULE, steps=2, resume=state.tensors()))
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters()))


def test_a_state_without_the_optimizers_moments_is_refused():
    images = torch.rand(5, 1, 8, 8) * 2 - 1
    *_, state = train(network(), images, SCHEDULE, steps=3)
    tensors = {
        name: value for name, value in state.tensors().items() if not name.startswith("optimizer")
    }
    with pytest.raises(ValueError, match="no moments of the optimizer"):
        next(train(network(), images, SCHEDULE, steps=5, resume=tensors))
