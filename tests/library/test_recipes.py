"""A recipe trains a network as it says, at its own rate or another one."""

import inspect
import math
from dataclasses import replace

import pytest
import torch

from minddpm import UNet, load_mnist, train, train_to
from minddpm.recipes import FAST, PAPER, RECIPES


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("rate", [None, 0.5])
def test_a_recipe_trains_its_network_at_its_rate(name, rate):
    recipe = RECIPES[name]
    images, labels = (part[:40] for part in load_mnist("train"))
    torch.manual_seed(0)
    network = UNet(replace(recipe.network, classes=10))
    settings = recipe.settings(rate)
    expected = recipe.learning_rate if rate is None else rate
    rates = []
    for state in train(
        network, images, recipe.schedule(), steps=20, batch_size=4, labels=labels, **settings
    ):
        assert math.isfinite(state.loss)
        rates.append(state.learning_rate)
    assert max(rates) == pytest.approx(expected)
    assert state.average.decay == recipe.ema_decay
    assert settings["loss"] is recipe.loss


def test_the_paper_is_what_train_does_by_itself():
    for function in (train, train_to):
        defaults = inspect.signature(function).parameters
        for name, value in PAPER.settings().items():
            assert defaults[name].default == value, name
    assert UNet().config == PAPER.network


def test_adam_has_an_eighth_of_the_rate_of_the_fast_recipe():
    optimizer = FAST.settings(0.4)["optimizer"](UNet(FAST.network))
    assert [group["lr"] for group in optimizer.param_groups] == [0.4, 0.05]
