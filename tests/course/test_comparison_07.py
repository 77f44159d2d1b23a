"""What lesson 07 rebuilds is compared with the package."""

import itertools

import pytest
import torch

import minddpm
from minddpm.training import warm_cosine
from minddpm_course.comparisons import same_as_package


def packages_train(model, images, schedule, *, optimizer, **options):
    """The package's loop, called as lesson 07 calls its own."""
    run = minddpm.train(model, images, schedule, optimizer=lambda model: optimizer, **options)
    for state in run:
        yield state.last_loss, state.average


LESSON_07 = {
    "train_step": minddpm.train_step,
    "EMA": minddpm.EMA,
    "warm_cosine": warm_cosine,
    "train": packages_train,
}


def test_equal_functions_of_lesson_07_are_named(capsys):
    same_as_package("07", LESSON_07)
    assert capsys.readouterr().out == f"equal to the package: {', '.join(LESSON_07)}\n"


def descending(*, clear=True, own_loss=None, value_of=torch.Tensor.detach):
    """One step of training, with a mistake."""

    def step(model, x_0, optimizer, schedule, *, loss=minddpm.simple_loss, generator):
        value = (own_loss or loss)(model, x_0, schedule, generator=generator)
        if clear:
            optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value_of(value)

    return step


class NeverSmaller(minddpm.EMA):
    """An average whose decay is the same from the first update on."""

    def update(self, model):
        self.updates = 10**9
        super().update(model)


class Hasty(minddpm.EMA):
    """An average that takes the weights' share for its own."""

    @torch.no_grad()
    def update(self, model):
        d = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, weights in zip(self.model.parameters(), model.parameters()):
            average.lerp_(weights, d)
        self.updates += 1


class IntoTheModel(minddpm.EMA):
    """An average that is put back into the model."""

    def update(self, model):
        super().update(model)
        model.load_state_dict(self.model.state_dict())


def with_options(**changed):
    """The loop with other options than those asked for."""
    return lambda *args, **options: packages_train(*args, **(options | changed))


def half_the_loss(*args, **options):
    return minddpm.simple_loss(*args, **options) / 2


def over_reversed_images(model, images, schedule, **options):
    return packages_train(model, images.flip(0), schedule, **options)


def one_step_less(*args, **options):
    return itertools.islice(packages_train(*args, **options), 11)


def one_step_more(model, images, schedule, **options):
    yield from packages_train(model, images, schedule, **options)
    yield torch.tensor(0.0), minddpm.EMA(model)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("train_step, weights", descending(clear=False)),
        ("train_step, loss of step 2", descending(own_loss=minddpm.simple_loss)),
        ("train_step, loss with gradients", descending(value_of=lambda x: x)),
        ("train_step, loss of step 1", descending(value_of=lambda x: 784 * x)),
        ("EMA, decay 0.5", NeverSmaller),
        ("EMA, decay", Hasty),
        ("EMA, the model itself", IntoTheModel),
        ("warm_cosine", lambda step, steps: warm_cosine(step, steps, warmup=0)),
        ("warm_cosine", lambda step, steps: warm_cosine(step + 1, steps)),
        ("train, average", with_options(ema_decay=0.999)),
        ("train, loss", with_options(seed=1)),
        ("train, loss", with_options(loss=half_the_loss)),
        ("train, loss", over_reversed_images),
        ("train, ends", one_step_less),
        ("train, goes on", one_step_more),
    ],
)
def test_a_function_of_lesson_07_that_differs_is_named(name, wrong):
    with pytest.raises(AssertionError, match=f"^{name}"):
        same_as_package("07", LESSON_07 | {name.partition(",")[0]: wrong})
