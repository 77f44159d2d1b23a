"""results.json is whole, and as `tools/measure_results.py` made it: a slice is measured again."""

import json
import math

import pytest
import torch

from minddpm import variational_bound
from minddpm.checkpoints import ASSETS, load_pretrained
from minddpm.data import load_mnist
from minddpm.metrics import frechet_distance, load_classifier, training_features
from minddpm.posterior import beta_variance, posterior_variance
from minddpm.respacing import respaced
from minddpm.schedule import cosine_schedule, linear_schedule

VARIANCES = {"beta": beta_variance, "beta tilde": posterior_variance}
RESULTS = json.loads((ASSETS / "results.json").read_text(encoding="utf-8"))
RUNS = ["linear, T = 1000", "cosine, T = 1000", "linear, T = 1000, weight of the bound"]


def measured(value) -> bool:
    """A number that a distance or a bound can be."""
    return isinstance(value, float) and math.isfinite(value) and value > 0


@pytest.mark.parametrize("way", ["beta", "beta tilde", "ddim", "ddim unclipped"])
@pytest.mark.parametrize("steps", [5, 10, 20, 50, 100, 1000])
def test_every_sampler_was_measured_at_every_number_of_steps(way, steps):
    distances = RESULTS["samplers"]["frechet"][way][str(steps)]
    assert distances
    assert all(map(measured, distances))


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("steps", ["50", "100", "250", "1000"])
def test_the_terms_of_the_bound_add_up(variance, steps):
    row = RESULTS["bound"]["bits_per_dim"][variance][steps]
    assert all(map(measured, row.values()))
    parts = row["prior"] + row["denoising"] + row["reconstruction"]
    assert parts == pytest.approx(row["total"], abs=3e-5)  # each is rounded to 5 digits


@pytest.mark.parametrize("variance", VARIANCES)
def test_the_curve_over_t_adds_up_to_the_denoising_terms(variance):
    table = RESULTS["bound"]["bits_per_dim"][variance]
    assert len(table["by_t"]) == 999
    assert sum(table["by_t"]) == pytest.approx(
        table["1000"]["denoising"], rel=1e-4
    )  # each is rounded to 4 digits


def test_every_training_was_measured():
    trainings = RESULTS["trainings"]
    assert list(trainings["runs"]) == RUNS
    assert all(measured(value) for row in trainings["runs"].values() for value in row.values())
    assert trainings["parameters"] > 0
    assert trainings["images_seen"] == 1500 * 64


def test_the_weight_of_the_bound_makes_worse_samples():
    """One run each, so no more than a large difference counts."""
    runs = RESULTS["trainings"]["runs"]
    simple, weighted = runs["linear, T = 1000"], runs["linear, T = 1000, weight of the bound"]
    assert weighted["frechet"] > 1.5 * simple["frechet"]


def denoising_bits(error, schedule):
    """The denoising terms of a squared error of the noise, t = 2..T, in bits/dim (eq. 12)."""
    t = torch.arange(2, schedule.T + 1)
    variance = posterior_variance(t, schedule)
    rest = 2 * variance * schedule.alpha[t] * (1 - schedule.alpha_bar[t])
    return schedule.beta[t] ** 2 / rest * error / math.log(2)


def test_the_last_step_of_the_cosine_schedule_costs_nearly_the_whole_gap():
    rows, trainings = RESULTS["schedules"]["runs"], RESULTS["trainings"]["runs"]
    for kind, row in rows.items():
        assert all(map(measured, row.values()))
        assert row["bits_per_dim"] == pytest.approx(
            trainings[f"{kind}, T = 1000"]["bits_per_dim"], rel=5e-3
        )  # the same training, perhaps on another machine
    linear, cosine = rows["linear"], rows["cosine"]
    distance = {kind: trainings[f"{kind}, T = 1000"]["frechet"] for kind in rows}
    assert 0.8 < distance["cosine"] / distance["linear"] < 1.25  # the samples are about as good
    assert linear["last_term"] < 1e-3
    rest = {kind: row["bits_per_dim"] - row["last_term"] for kind, row in rows.items()}
    assert rest["cosine"] < rest["linear"]
    per_error = {
        "linear": denoising_bits(1, linear_schedule())[-1],
        "cosine": denoising_bits(1, cosine_schedule())[-1],
    }
    error = {kind: row["last_term"] / per_error[kind] for kind, row in rows.items()}
    assert 1 / 3 < error["cosine"] / error["linear"] < 3
    assert 0.003 < error["cosine"] < 0.005
    assert cosine["last_term"] > 0.9 * (cosine["bits_per_dim"] - linear["bits_per_dim"])
    assert cosine["bits_clipped"] < linear["bits_per_dim"]


def test_the_cosine_schedule_has_nearly_all_of_its_weight_at_its_end():
    linear, cosine = (denoising_bits(1, make()) for make in (linear_schedule, cosine_schedule))
    assert cosine[-1] / cosine.sum() > 0.97
    assert 45_000 < cosine[-1] / linear[-1] < 50_000
    power = (load_mnist("test")[0] ** 2).mean()
    unchanged = cosine_schedule().alpha_bar[-1] * power  # the error of x_T, taken as the noise
    assert 1.5e-9 < unchanged < 2.5e-9
    assert denoising_bits(unchanged, cosine_schedule())[-1] < 1e-5


@pytest.mark.parametrize("variance", VARIANCES)
def test_the_bound_of_50_steps_is_measured_again(variance):
    """As the tool did it: to 5e-4 bits/dim, for convolutions round differently on each machine."""
    x_0 = load_mnist("test")[0][: RESULTS["bound"]["digits"]]
    model, schedule = respaced(*load_pretrained()[:2], 50)
    generator = torch.Generator().manual_seed(0)
    bound = variational_bound(
        model, x_0, schedule, variance=VARIANCES[variance], generator=generator
    )
    row, bits = RESULTS["bound"]["bits_per_dim"][variance]["50"], 1 / (math.log(2) * 784)
    assert bound.total_bits_per_dim.mean().item() == pytest.approx(row["total"], abs=5e-4)
    assert bound.denoising.sum(1).mean().item() * bits == pytest.approx(row["denoising"], abs=5e-4)
    assert bound.reconstruction.mean().item() * bits == pytest.approx(
        row["reconstruction"], abs=5e-4
    )


@torch.inference_mode()
def test_the_distances_of_real_digits_are_measured_again():
    classifier, count = load_classifier(), RESULTS["samplers"]["digits"]
    real = load_mnist("train")[0]
    orders = [
        torch.randperm(len(real), generator=torch.Generator().manual_seed(k))[:count]
        for k in range(4)
    ]
    for key, batches in (
        ("train", [real[order] for order in orders]),
        ("held_out", load_mnist("test")[0].split(count)),
    ):
        again = [
            frechet_distance(classifier.features(batch), training_features()) for batch in batches
        ]
        assert RESULTS["samplers"][key] == pytest.approx(again, abs=1e-3)
