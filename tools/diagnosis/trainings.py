"""The trainings behind docs/diagnosis.md, kept under runs/diagnosis."""

from pathlib import Path
from typing import Any

import torch

from minddpm.data import jitter, load_mnist
from minddpm.schedule import linear_schedule
from minddpm.unet import UNet
from minddpm_course.trainings import train_to_stops

RUNS = Path(__file__).parents[2] / "runs/diagnosis"
SEEDS = range(5)
LESSON: dict[str, Any] = {
    "steps": 150,
    "batch_size": 64,
    "learning_rate": 2.5e-3,
}  # the training cell of lesson 07
PUBLISHED: dict[str, Any] = {
    "steps": 18_000,
    "batch_size": 64,
    "learning_rate": 2.5e-3,
    "augment": jitter,
}
IMAGES_A_MINUTE = 60 * 1_152_000 / 4_092  # of the published run, see minddpm/assets/README.md


def seed_path(seed: int) -> Path:
    """Where the averaged weights of lesson 07's training with a seed are kept."""
    return RUNS / f"seed_{seed}.safetensors"


def minute_path(minutes: int) -> Path:
    """Where the averaged weights of the published run after some minutes are kept."""
    return RUNS / f"minutes_{minutes}.safetensors"


def train_fresh(path: Path, stops: dict[int, Path], seed: int, **settings: Any) -> None:
    """Train a new U-Net on the digits; the seed fixes weights, order, times and noise."""
    images, _ = load_mnist("train")
    torch.manual_seed(seed)
    train_to_stops(path, stops, UNet(), images, linear_schedule(), seed=seed, **settings)


def run_seeds() -> None:
    """Train as lesson 07 does, once with each seed."""
    for seed in SEEDS:
        state = RUNS / f"seed_{seed}_state.safetensors"
        train_fresh(state, {LESSON["steps"]: seed_path(seed)}, seed, **LESSON)


def run_long(minutes: list[int]) -> None:
    """Train the first minutes of the published run, with its learning rate at each step."""
    steps_a_minute = IMAGES_A_MINUTE / PUBLISHED["batch_size"]
    stops = {round(minute * steps_a_minute): minute_path(minute) for minute in minutes}
    train_fresh(RUNS / "long_state.safetensors", stops, 0, **PUBLISHED)
