"""What is said of a mistake is what its function does: claims that go beyond the example."""

import math
import re

import pytest
import torch

from marking.exercise import Exercise, HandNumber
from minddpm_course.bank import BANK
from minddpm_course.bank.inputs import row


def mistake(name, exercise):
    (found,) = [one for one in BANK[exercise].mistakes if one.name == name]
    return found


def test_an_index_counted_from_the_end_is_told_so():
    levels, threshold = row(0.9, 0.7, 0.5, 0.3), 0.6
    found = mistake("counted from the end", "01.first_step_below")
    right = BANK["01.first_step_below"].reference(levels, threshold)
    from_the_end = len(levels) - (right - 1)
    assert found.wrong(levels, threshold) == from_the_end
    assert "count from the end" in found.why
    assert "how many steps are below" in found.why


def test_the_logarithm_to_base_2_is_not_called_bits():
    bells = row(0.0), row(1.0), row(1.0), row(4.0)
    nats = BANK["04.gaussian_kl"].reference(*bells)
    bits = mistake("bits instead of nats", "04.gaussian_kl")
    base_2 = mistake("the logarithm to base 2", "04.gaussian_kl")
    assert torch.allclose(bits.wrong(*bells), nats / math.log(2))
    assert "base 2" not in bits.why
    assert not torch.allclose(base_2.wrong(*bells), nats / math.log(2), rtol=0.01)
    assert "does not give bits" in base_2.why
    values = {"var_1": 0.5, "var_2": 3.0, "mean": 1.2}
    by_hand = {name: (wrong(**values), why) for name, wrong, why in BANK["04.by_hand"].mistakes}
    right = BANK["04.by_hand"].answer(**values)
    assert by_hand["bits instead of nats"][0] == pytest.approx(right / math.log(2))
    assert "base 2" not in by_hand["bits instead of nats"][1]
    half_a_log = math.log2(values["var_2"] / values["var_1"]) / 2
    natural = math.log(values["var_2"] / values["var_1"]) / 2
    assert by_hand["the logarithm to base 2"][0] == pytest.approx(right - natural + half_a_log)


def test_levels_along_the_wrong_axis_are_noticed_where_it_is_said():
    found = mistake("levels along the wrong axis", "02.forward_diffusion")
    assert "if batch and width differ and neither is 1; a single image even comes out right" in (
        found.why
    )
    reference = BANK["02.forward_diffusion"].reference
    for batch in range(1, 5):
        for width in range(1, 5):
            images, noise = torch.rand(2, batch, 1, 3, width)
            levels = torch.linspace(0.2, 0.9, batch)
            try:
                wrong = found.wrong(images, levels, noise)
            except RuntimeError:
                assert batch != width and batch > 1 and width > 1
                continue
            assert batch == width or 1 in (batch, width)
            right = reference(images, levels, noise)
            alike = wrong.shape == right.shape and torch.allclose(wrong, right)
            assert alike == (batch == 1)


def test_each_mistake_about_the_variance_before_the_step_changes_what_it_says():
    schedule = row(0.2), row(0.72), row(0.9)
    beta, after, before = schedule
    swapped = mistake("the variances before and after are swapped", "03.posterior_coefficients")
    divided = mistake("divided by the variance before the step", "03.posterior_coefficients")
    right = BANK["03.posterior_coefficients"].reference(*schedule)
    for got, want in zip(divided.wrong(*schedule), right):
        assert torch.allclose(got, want * (1 - after) / (1 - before))
    of_x0, of_xt = swapped.wrong(*schedule)
    assert torch.allclose(of_x0, right[0] * (1 - after) / (1 - before))
    assert torch.allclose(of_xt, right[1] * ((1 - after) / (1 - before)) ** 2)
    assert "and in the numerator of the coefficient of x_t" in swapped.why


def settled(update, value, decay):
    average = row(0.0)
    for _ in range(3000):
        average = update(average, value, decay)
    return average.item()


def test_a_running_average_with_the_wrong_weights_does_what_is_said():
    added = mistake("the value is added whole", "07.ema_update")
    assert settled(added.wrong, row(0.7), 0.9) == pytest.approx(0.7 / (1 - 0.9))
    assert "settles at that constant over 1 - decay, ten times too high for the decay 0.9" in (
        added.why
    )
    kept = mistake("the average is kept whole", "07.ema_update")
    assert settled(kept.wrong, row(0.7), 0.9) == pytest.approx(3000 * 0.07)
    assert "grows without limit" in kept.why


def test_half_the_variance_is_said_of_a_gaussian_alone():
    """With half the shake's variance, points follow the square of the density."""
    step = mistake("the 2 is missing", "08.langevin_step")
    assert "those of a Gaussian have half its variance" in step.why
    torch.manual_seed(0)

    def spread(score):
        x = torch.randn(4000, dtype=torch.float64)
        for _ in range(1000):
            x = step.wrong(x, score(x), 0.01, torch.randn_like(x))
        return x.var().item()

    def two_clouds(x):
        share = torch.sigmoid(2 * x / 0.5)
        return (2 * share - 1 - x) / 0.5

    grid = torch.linspace(-6, 6, 2001, dtype=torch.float64)
    clouds = torch.exp(-((grid - 1) ** 2)) + torch.exp(-((grid + 1) ** 2))
    squared = clouds**2 / (clouds**2).sum()
    of_clouds = spread(two_clouds)
    assert spread(lambda x: -x / 2.0) == pytest.approx(1.0, abs=0.1)
    assert of_clouds == pytest.approx((squared * grid**2).sum().item(), abs=0.1)
    assert of_clouds > 0.65 * 1.5  # far from half of the variance of the clouds


UNIDIOMATIC = (
    r"\bto name the noise\b",
    r"\b(trained to|should) name\b",
    r"\btaken off whole\b",
    r"\bmakes of an?\b",
    r"\bof the moment\b",
    r"\bsome codes\b",
)


def texts(question):
    if isinstance(question, Exercise):
        yield from (one.why for one in question.mistakes)
        yield from (one.name for one in question.mistakes)
        yield from (question.after, *question.hints)
    elif isinstance(question, HandNumber):
        yield question.question
        yield from (part for name, _, why in question.mistakes for part in (name, why))


@pytest.mark.parametrize("question", BANK.values(), ids=lambda one: one.name)
def test_explanations_are_idiomatic(question):
    for text in texts(question):
        for turn in UNIDIOMATIC:
            assert not re.search(turn, text), text
