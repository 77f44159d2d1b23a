"""Trainings whose weights are kept at several moments, and which can be interrupted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from minddpm.checkpoints import load_training, save
from minddpm.schedule import Schedule
from minddpm.training import train

EVERY = 25  # steps between two saved states


def train_to_stops(
    path: Path,
    stops: Mapping[int, Path],
    model: nn.Module,
    images: Tensor,
    schedule: Schedule,
    **settings: Any,
) -> None:
    """Train a model, and save its averaged weights at each of the stops; end at the last one.

    An interrupted run continues from `path`, unless weights that are missing lie before its state:
    then it starts again. Stops whose files exist are left alone.

    Args:
        path: where the state of the training is saved every 25 steps and at the stops.
        stops: files for the averaged weights, by the number of steps. Their metadata hold step,
            images_seen and the losses of all steps.
        model, images, schedule, settings: as in `train`.
    """
    missing = {step: stop for step, stop in stops.items() if not stop.exists()}
    if not missing:
        return
    losses: list[float] = []
    resume = None
    if path.exists():
        about, tensors = load_training(path)
        if about["step"] < min(missing):
            losses = about["losses"]
            resume = tensors
    for state in train(model, images, schedule, resume=resume, **settings):
        losses.append(state.loss)
        about = {"step": state.step, "images_seen": state.images_seen, "losses": losses}
        average = state.average.model
        if state.step in missing:
            save(missing[state.step], average, schedule, metadata=about)
        if state.step % EVERY == 0 or state.step in missing:
            save(path, average, schedule, metadata=about, training=state.tensors())
            recent = losses[-EVERY:]
            print(path.name, state.step, f"{sum(recent) / len(recent):.4f}", flush=True)
        if state.step == max(missing):
            return
