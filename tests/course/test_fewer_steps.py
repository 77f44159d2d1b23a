"""What lesson 09 says of few steps, and what docs/appendix_steps.md adds, is computed again."""

import json
import math
from pathlib import Path
from statistics import median

import pytest
import torch
from oracles import IdealNetwork

from minddpm import (
    ddim_sample,
    ddim_step,
    linear_schedule,
    noise_from_x0,
    posterior_variance,
    reverse_step,
)
from minddpm.checkpoints import ASSETS, load_pretrained
from minddpm.data import load_mnist

SCHEDULE = linear_schedule()
PAGE = (Path(__file__).parents[2] / "docs" / "appendix_steps.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the page's table whose first column has this heading."""
    _, table = PAGE.split(f"\n| {heading} |")
    lines = table.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def moved(t: int, s: int) -> tuple[float, float]:
    """How far x_s moves if the estimate of x_0 moves by 1: the noise kept, and the noise following.

    Both are found by taking the step.
    """
    x_t, estimate = torch.tensor([0.3], dtype=torch.float64), 0.9
    alpha_bar_t, alpha_bar_s = SCHEDULE.alpha_bar[t], SCHEDULE.alpha_bar[s]

    def step(x_0, noise):
        return (alpha_bar_s.sqrt() * x_0 + (1 - alpha_bar_s).sqrt() * noise).item()

    def between(x_0):
        return (x_t - alpha_bar_t.sqrt() * x_0) / (1 - alpha_bar_t).sqrt()

    before = step(estimate, between(estimate))
    kept = step(estimate + 1, between(estimate)) - before
    return kept, step(estimate + 1, between(estimate + 1)) - before


def test_the_page_says_how_far_clipping_moves_an_image():
    table = rows("steps")
    assert [row[0] for row in table] == ["20", "50", "250", "1000"]
    for steps, s, *factors in table:
        assert int(s) == 500 - 1000 // int(steps)
        kept, follows = moved(500, int(s))
        sums = kept * int(steps), follows * int(steps)
        right = [f"{kept:.3f}", f"{sums[0]:.1f}", f"{follows:.4f}", f"{sums[1]:.2f}"]
        assert factors == right, steps


def test_the_page_says_how_much_signal_leading_times_expect():
    table = rows("first time")
    assert [row[0] for row in table] == ["1000", "951", "901", "801"]
    for t, steps, signal in table:
        assert not steps or int(t) == 1000 - 1000 // int(steps) + 1
        assert signal == f"{math.sqrt(SCHEDULE.alpha_bar[int(t)]):.3f}"


@pytest.mark.usefixtures("float64")
def test_in_ancestral_sampling_the_noise_follows_the_clipped_estimate(generator):
    x_t, noise = torch.randn(2, 4, 1, 5, 5, generator=generator)
    clipped = torch.rand(4, 1, 5, 5, generator=generator) * 2 - 1
    for t in (1, 2, 500, 1000):
        follows = noise_from_x0(x_t, t, clipped, SCHEDULE)
        ours = ddim_step(x_t, t, clipped, follows, SCHEDULE, noise, eta=1.0)
        theirs = reverse_step(x_t, t, clipped, SCHEDULE, noise, variance=posterior_variance)
        assert (ours - theirs).abs().max() <= 1e-12


# mixes of two codes


def on_the_arc(a, b):
    """The middle between two noises, along the arc."""
    angle = torch.acos((a * b).sum() / (a.norm() * b.norm()))
    return torch.sin(angle / 2) / torch.sin(angle) * (a + b)


@pytest.mark.usefixtures("float64")
def test_normal_pixels_from_straight_mixes_are_too_alike(generator):
    """The middles of straight lines give half the variance of the data, those of arcs all of it."""
    power, (a, b) = 0.25, torch.randn(2, 20_000, generator=generator)
    model = IdealNetwork(SCHEDULE, power)
    for codes, share in (((a + b) / 2, 0.5), (on_the_arc(a, b), 1)):
        options = {"steps": 100, "clip": False, "start": (codes, SCHEDULE.T)}
        pixels = ddim_sample(model, (20_000,), SCHEDULE, **options)
        assert pixels.var().item() == pytest.approx(share * power, rel=0.08)


def test_digits_from_straight_mixes_are_too_alike():
    model, schedule, _ = load_pretrained()
    pairs = torch.randn(32, 2, 1, 28, 28, generator=torch.Generator().manual_seed(14))
    arcs = torch.stack([on_the_arc(*pair) for pair in pairs])
    variety = [
        ddim_sample(model, codes.shape, schedule, steps=10, start=(codes, schedule.T)).var(0).mean()
        for codes in (pairs.mean(1), arcs)
    ]
    assert variety[0] < 0.9 * variety[1]


# codes of real digits


@torch.inference_mode()
def test_in_a_background_without_noise_the_network_finds_hardly_any():
    model, _, _ = load_pretrained()
    digits = load_mnist("test")[0][:16]
    predicted = model(digits, torch.full((16,), 20))  # as in the first step up of 50
    assert predicted[digits == -1].square().mean().sqrt() < 0.3  # of fresh noise: 1


# distances by the number of steps


RESULTS = json.loads((ASSETS / "results.json").read_text(encoding="utf-8"))["samplers"]
COUNTS = (5, 10, 20, 50, 100, 1000)


@pytest.fixture
def distance():
    """The median of the batches, by the way to draw and the number of steps."""
    return {
        way: {n: median(found[str(n)]) for n in COUNTS} for way, found in RESULTS["frechet"].items()
    }


@pytest.mark.parametrize("steps", COUNTS)
def test_all_ways_have_equally_many_batches(steps):
    assert {len(found[str(steps)]) for found in RESULTS["frechet"].values()} == {
        3 if steps <= 100 else 1
    }


def test_with_few_steps_the_variance_beta_is_the_worst(distance):
    for steps in (5, 10):
        others = max(distance["beta tilde"][steps], distance["ddim"][steps])
        assert distance["beta"][steps] > 1.2 * others


def test_twenty_steps_with_eta_1_come_within_a_factor_of_two_of_a_thousand(distance):
    assert distance["beta tilde"][20] < 2 * distance["beta tilde"][1000]


@pytest.mark.parametrize("steps", [20, 50, 100, 1000])
def test_without_fresh_noise_digits_are_further_off(distance, steps):
    assert distance["ddim unclipped"][steps] > distance["beta tilde"][steps]


def test_clipping_harms_where_there_are_many_steps_and_no_fresh_noise(distance):
    assert distance["ddim"][1000] > 3 * distance["ddim"][50]
    assert distance["ddim unclipped"][1000] < 1.5 * distance["ddim unclipped"][50]
