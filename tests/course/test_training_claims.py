"""What docs/claims.md says of samples, and lesson 07 does not compute."""

import json
from statistics import median

import pytest
import torch

from minddpm import (
    load_mnist,
    load_pretrained,
    respaced,
    sample_steps,
)
from minddpm.checkpoints import ASSETS
from minddpm.metrics import nearest_training

RESULTS = json.loads((ASSETS / "results.json").read_text(encoding="utf-8"))
FRECHET = {
    way: {int(steps): median(found) for steps, found in table.items()}
    for way, table in RESULTS["samplers"]["frechet"].items()
}
BITS = RESULTS["bound"]["bits_per_dim"]
REAL = median(RESULTS["samplers"]["held_out"] + RESULTS["samplers"]["train"])


def test_the_two_variances_are_alike_in_many_steps_but_not_in_few_and_not_in_bits():
    ratio = {steps: beta / FRECHET["beta tilde"][steps] for steps, beta in FRECHET["beta"].items()}
    assert all(0.5 < ratio[steps] < 2 for steps in (50, 100, 250, 1000))
    assert all(ratio[steps] > 1.3 for steps in (10, 5))
    for steps in ("50", "100", "250", "1000"):
        assert BITS["beta"][steps]["total"] > BITS["beta tilde"][steps]["total"] + 0.05


def test_samples_lie_less_than_three_times_as_far_as_as_many_real_digits():
    assert FRECHET["beta"][1000] < 3 * REAL


@pytest.fixture(scope="module")
def way_back():
    """Ten digits of the shipped network: its estimates of x_0 on the way, the digits last."""
    model, schedule, _ = load_pretrained("mnist")
    few, shorter = respaced(model, schedule, 50)
    generator = torch.Generator().manual_seed(2020)
    steps = sample_steps(few, (10, 1, 28, 28), shorter, generator=generator)
    return torch.stack([step.x_0 for step in steps])  # (51, 10, 1, 28, 28)


def test_no_sample_is_a_copy_of_a_training_digit(way_back):
    nearest, _ = nearest_training(way_back[-1])
    normal, _ = nearest_training(load_mnist("test")[0])
    assert nearest.min() > normal.quantile(0.01) / 2


def test_structure_comes_first_and_detail_later(way_back):
    """The error of the estimate falls below half of a band's power sooner for long waves."""
    cycles = torch.fft.fftfreq(28, 1 / 28)
    radius = (cycles[:, None] ** 2 + cycles**2).sqrt()  # (28, 28) waves that fit across the image
    waves = torch.fft.fft2(way_back[:, :, 0])  # (51, 10, 28, 28)
    settled = []
    for low, high in ((0.5, 2.5), (2.5, 5.5), (5.5, 9.5), (9.5, 14.5)):
        band = waves[..., (radius >= low) & (radius < high)]
        error = (band - band[-1]).abs().square().mean((1, 2)) / band[-1].abs().square().mean()
        settled.append(int((error > 0.5).nonzero().max()))  # the last step with a larger error
    assert settled == sorted(settled)
    assert settled[3] > settled[0] + 5
