"""Measure what lessons report but takes them too long, and write minddpm/assets/results.json.

python tools/measure_results.py {samplers,bound,trainings,schedules,guidance} [...]

Samples and small networks are kept in runs/results, so that an interrupted run continues. Each part
takes between a quarter of an hour and an hour on one core, but for samplers, which take two. Every
number of the file comes from here; seeds are fixed.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from minddpm import (
    EMA,
    Schedule,
    UNet,
    UNetConfig,
    cosine_schedule,
    forward_diffusion,
    linear_schedule,
    sample,
    variational_bound,
)
from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm.ddim import ddim_sample
from minddpm.guidance import guided
from minddpm.metrics import SURE, frechet_distance, load_classifier, training_features
from minddpm.network import Model
from minddpm.noising import noise_from_x0, x0_from_noise
from minddpm.posterior import beta_variance, posterior_variance
from minddpm.respacing import respaced
from minddpm.schedule import per_image

RUNS = Path("runs/results")
RESULTS = ASSETS / "results.json"
BATCH = 250  # digits drawn, and compared, at once: distances depend on how many there are
BATCHES = 3  # of each way to draw in up to MANY steps, and one in more, so that columns are equal
MANY = 100
VARIANCES = {"beta": beta_variance, "beta tilde": posterior_variance}


def drawn_once(name: str, count: int, draw: Callable[..., Tensor]) -> Tensor:
    """Draw images in batches, each with its own seed, and keep them in a file.

    Args: draw, called as draw(generator=generator), returns a batch.
    """
    path = RUNS / f"{name}.npz"
    images = torch.empty(0, 1, 28, 28)
    if path.exists():
        images = torch.from_numpy(np.load(path)["images"])
    while len(images) < count:
        generator = torch.Generator().manual_seed(1000 + len(images))
        images = torch.cat([images, draw(generator=generator)])
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, images=images.numpy())
        print(name, len(images), flush=True)
    return images[:count]


@torch.inference_mode()
def distances(images: Tensor) -> list[float]:
    """The Fréchet distance to the train split, of each batch."""
    classifier = load_classifier()
    return [
        round(frechet_distance(classifier.features(x), training_features()), 4)
        for x in images.split(BATCH)
    ]


def measure_samplers() -> dict[str, object]:
    """Fréchet distance by the number of steps: ancestral sampling with either variance, and DDIM,
    clipped and not.
    """
    model, schedule, _ = load_pretrained()
    shape = (BATCH, 1, 28, 28)
    table: dict[str, dict[str, list[float]]] = {}
    for steps in (50, 20, 10, 5, 100, 250, 1000):
        count = BATCH * (BATCHES if steps <= MANY else 1)
        few, shorter = respaced(model, schedule, steps)
        ways = {
            name: partial(sample, few, shape, shorter, variance=variance)
            for name, variance in VARIANCES.items()
        } | {
            name: partial(ddim_sample, model, shape, schedule, steps=steps, clip=clip)
            for name, clip in (("ddim", True), ("ddim unclipped", False))
        }
        for name, way in ways.items():
            if name == "beta" and steps == 1000:
                # kept by `python -m minddpm evaluate --samples runs/samples.npz`
                images = torch.from_numpy(np.load(RUNS.parent / "samples.npz")["images"])
                images = images[:count]
            else:
                images = drawn_once(f"{name.replace(' ', '_')}_{steps}", count, way)
            table.setdefault(name, {})[str(steps)] = distances(images)
    real = load_mnist("train")[0]
    orders = [
        torch.randperm(len(real), generator=torch.Generator().manual_seed(k))[:BATCH]
        for k in range(4)
    ]
    return {
        "digits": BATCH,
        "frechet": table,
        "held_out": distances(load_mnist("test")[0]),
        "train": [distances(real[order])[0] for order in orders],
    }


def measure_bound(count: int = 32) -> dict[str, object]:
    """Bits/dim of held-out digits and its terms, by the variance and the number of steps."""
    model, schedule, _ = load_pretrained()
    x_0 = load_mnist("test")[0][:count]
    table: dict[str, dict[str, object]] = {}
    nats = math.log(2) * 784
    for steps in (50, 100, 250, 1000):
        for name, variance in VARIANCES.items():
            few, shorter = respaced(model, schedule, steps)
            generator = torch.Generator().manual_seed(0)
            bound = variational_bound(few, x_0, shorter, variance=variance, generator=generator)
            row = {
                "prior": bound.prior.mean().item() / nats,
                "denoising": bound.denoising.sum(1).mean().item() / nats,
                "reconstruction": bound.reconstruction.mean().item() / nats,
                "total": bound.total_bits_per_dim.mean().item(),
            }
            table.setdefault(name, {})[str(steps)] = {
                key: round(value, 5) for key, value in row.items()
            }
            print(name, steps, table[name][str(steps)], flush=True)
            if steps == 1000:
                by_t = (bound.denoising.mean(0) / nats).tolist()  # t = 1000..2
                table[name]["by_t"] = [float(f"{value:.4g}") for value in by_t]
    return {"digits": count, "bits_per_dim": table}


SMALL = UNetConfig(channels=(8, 24, 48))
STEPS = 1500
IMAGES = 64  # a step
SCHEDULES = {"linear": linear_schedule(), "cosine": cosine_schedule()}


def true_weight(schedule: Schedule) -> Tensor:
    """The weight of the squared error of the noise in L_{t-1}, with sigma^2 = beta tilde.

    Scaled so that its mean over t is 1.
    """
    variance = posterior_variance(torch.arange(1, schedule.T + 1), schedule)
    variance[0] = variance[1]  # at t = 1, where beta tilde is 0, as `variational_bound` does
    rest = schedule.alpha[1:] * (1 - schedule.alpha_bar[1:])
    weight = schedule.beta[1:] ** 2 / (2 * variance * rest)
    return weight / weight.mean()


def fit(name: str, schedule: Schedule, weight: Tensor) -> UNet:
    """Train a small network with a weight for each t.

    Returns: the running average of its weights.
    """
    path = RUNS / f"{name.replace(' ', '_').replace(',', '').replace('=_', '')}.pt"
    averaged = UNet(SMALL).eval()
    if not path.exists():
        torch.manual_seed(0)
        model = UNet(SMALL)
        images, _ = load_mnist("train")
        generator = torch.Generator().manual_seed(0)
        average = EMA(model, 0.995)
        optimizer = torch.optim.Adam(model.parameters(), lr=2.5e-3)
        order = torch.empty(0, dtype=torch.int64)
        for step in range(STEPS):
            if len(order) < IMAGES:
                order = torch.randperm(len(images), generator=generator)
            chosen, order = order[:IMAGES], order[IMAGES:]
            t = schedule.sample_t(IMAGES, generator=generator)
            x_t, noise = forward_diffusion(images[chosen], t, schedule, generator=generator)
            loss = (per_image(weight[t - 1], noise) * (model(x_t, t) - noise) ** 2).mean()
            optimizer.param_groups[0]["lr"] = 2.5e-3 * min(1, (step + 1) / 150)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update(model)
            if (step + 1) % 500 == 0:
                print(name, step + 1, f"{loss.item():.4f}", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(average.model.state_dict(), path)
    averaged.load_state_dict(torch.load(path))
    return averaged


def measure_trainings() -> dict[str, object]:
    """Small networks that differ in one thing: the schedule, or the weight of the loss."""
    rows: dict[str, dict[str, object]] = {}
    shape, held_out = (BATCH, 1, 28, 28), load_mnist("test")[0][:32]
    runs = {
        f"{kind}, T = 1000": (schedule, torch.ones(schedule.T, dtype=torch.float64))
        for kind, schedule in SCHEDULES.items()
    }
    first = SCHEDULES["linear"]
    runs["linear, T = 1000, weight of the bound"] = first, true_weight(first)
    for name, (schedule, weight) in runs.items():
        last = fit(name, schedule, weight)
        images = sample(last, shape, schedule, generator=torch.Generator().manual_seed(1000))
        bound = variational_bound(
            last, held_out, schedule, generator=torch.Generator().manual_seed(0)
        )
        rows[name] = {
            "frechet": distances(images)[0],
            "bits_per_dim": round(bound.total_bits_per_dim.mean().item(), 4),
        }
        print(name, rows[name], flush=True)
    settings = {
        "parameters": sum(p.numel() for p in UNet(SMALL).parameters()),
        "images_seen": STEPS * IMAGES,
    }
    return settings | {"digits": BATCH, "runs": rows}


def bounded(model: Model, schedule: Schedule) -> Model:
    """The noise that belongs to the clipped estimate of x_0."""

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        x_0 = x0_from_noise(x_t, t, model(x_t, t), schedule).clamp(-1, 1)
        return noise_from_x0(x_t, t, x_0, schedule)

    return predict


def measure_schedules() -> dict[str, object]:
    """What the last step of a schedule costs: the bound of a small network on held-out digits, its
    term of t = T alone, and the bound with the estimate of x_0 clipped.
    """
    held_out = load_mnist("test")[0][:32]
    rows: dict[str, dict[str, float]] = {}
    for kind, schedule in SCHEDULES.items():
        ones = torch.ones(schedule.T, dtype=torch.float64)
        last = fit(f"{kind}, T = 1000", schedule, ones)
        bound, clipped = (
            variational_bound(model, held_out, schedule, generator=torch.Generator().manual_seed(0))
            for model in (last, bounded(last, schedule))
        )
        last_term = bound.denoising[:, 0].mean().item() / (math.log(2) * 784)
        rows[kind] = {
            "bits_per_dim": round(bound.total_bits_per_dim.mean().item(), 4),
            "last_term": float(f"{last_term:.4g}"),
            "bits_clipped": round(clipped.total_bits_per_dim.mean().item(), 4),
        }
        print(kind, rows[kind], flush=True)
    return {"digits": len(held_out), "runs": rows}


SCALES = (0, 1, 2, 4, 8)


@torch.inference_mode()
def obedience(images: Tensor, labels: Tensor) -> dict[str, float]:
    """How often a classifier reads the label, and how much the digits of one class differ."""
    probability = load_classifier()(images).softmax(1)
    within = [torch.pdist(images[labels == digit].flatten(1)).mean() for digit in range(10)]
    return {
        "asked": round((probability.argmax(1) == labels).double().mean().item(), 4),
        "sure": round(
            (probability[torch.arange(len(labels)), labels] > SURE).double().mean().item(), 4
        ),
        "diversity": round(torch.stack(within).mean().item(), 3),
        "frechet": distances(images)[0],
    }


def measure_guidance(steps: int = 25) -> dict[str, object]:
    """What the scale of the guidance does: 25 digits of each class, from the same x_T each time."""
    model, schedule, _ = load_pretrained("mnist_labels")
    labels = torch.arange(BATCH) % 10
    shape = (BATCH, 1, 28, 28)
    table: dict[str, dict[str, float]] = {}
    for scale in SCALES:
        # `ddim_sample` clips the estimate and keeps the predicted noise. Guided noise is then put
        # back at full strength while the estimate stays bounded, and from scale 2 on the image is
        # driven away from its label.
        network = bounded(guided(model, labels, scale), schedule)
        way = partial(ddim_sample, network, shape, schedule, steps=steps)
        images = drawn_once(f"guided_{scale}", BATCH, way)
        table[str(scale)] = obedience(images, labels)
        print(scale, table[str(scale)], flush=True)
    real, digits = load_mnist("test")
    chosen = torch.cat([(digits == digit).nonzero()[: BATCH // 10, 0] for digit in range(10)])
    return {
        "steps": steps,
        "digits": BATCH,
        "scales": table,
        "real": obedience(real[chosen], digits[chosen]),
    }


PARTS = {
    "samplers": measure_samplers,
    "bound": measure_bound,
    "trainings": measure_trainings,
    "schedules": measure_schedules,
    "guidance": measure_guidance,
}


if __name__ == "__main__":
    for part in sys.argv[1:]:
        measured = PARTS[part]()
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        text = json.dumps(results | {part: measured}, indent=1)
        # each list on one line
        text = re.sub(r"\[[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), text)
        RESULTS.write_text(text + "\n")
