"""A run of training that keeps a checkpoint and a log, and goes on where it stopped."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from minddpm.checkpoints import (
    as_json,
    check_writable,
    load_training,
    save,
    tensor_digest,
    write_whole,
)
from minddpm.checks import check_training_set, checked_batch_size, positive_integer
from minddpm.data import data_digest
from minddpm.images import as_images
from minddpm.loss import simple_loss
from minddpm.network import home_of, known_classes, with_label
from minddpm.schedule import Schedule, check_schedule
from minddpm.state import TrainState
from minddpm.training import Augment, Loss, train

LOG_HEAD = "step,images,loss,held_out_loss,learning_rate,seconds\n"
HELD_OUT_AT_ONCE = 250  # held-out images measured at once


class Run(NamedTuple):
    """What `train_to` leaves behind."""

    checkpoint: Path  # the averaged weights
    metadata: dict[str, Any]  # step, images_seen, seconds, held_out_loss, and all settings
    steps: int  # taken now: 0 if the run was finished before


def train_to(
    folder: str | Path,
    model: nn.Module,
    images: Tensor | np.ndarray,
    schedule: Schedule,
    *,
    steps: int,
    labels: Int64[Tensor, " n"] | None = None,
    classes: int | None = None,
    held_out: Tensor | np.ndarray | None = None,
    held_out_labels: Int64[Tensor, " m"] | None = None,
    every: int = 500,
    resume: bool = False,
    batch_size: int | None = None,
    learning_rate: float = 2.5e-3,
    ema_decay: float = 0.999,
    seed: int = 0,
    loss: Loss = simple_loss,
    augment: Augment | None = None,
    dropped: float = 0.1,
    metadata: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Train a model, keeping a checkpoint and a log in a folder.

    The folder gets `checkpoint.safetensors`, the averaged weights, which `checkpoints.load` reads;
    beside it `checkpoint.training.safetensors`, from which the run goes on; and `log.csv`. They are
    written every so many steps, at the end, and on Ctrl-C, as soon as the step under way is done.
    Before the first checkpoint nothing is written. A run that was stopped and resumed equals, bit
    for bit, one that never stopped.

    Args:
        folder: is made, if absent, for the first checkpoint.
        model, images, schedule, labels, classes, batch_size, learning_rate, ema_decay, seed, loss,
            augment, dropped: as in `training.train`; images may be a numpy array too (see
            `images.as_images`).
        steps: how many to take in all, counted from the start of the run.
        held_out, held_out_labels: images, and their labels if there are any, whose loss is logged.
        every: steps between checkpoints.
        resume: go on from the checkpoint in the folder, with the same settings.
        metadata: what JSON can hold, kept in the checkpoint; part of the settings.
        progress: show a bar.

    Raises: FileExistsError for a folder that holds a run, unless it is resumed; FileNotFoundError
        for one to resume that holds none; ValueError for a run to resume with other settings, and
        what `train` raises: all before anything is written, and before the model is changed.
        FloatingPointError for a loss that is not finite. KeyboardInterrupt on Ctrl-C, saying what
        is kept.
    """
    folder, images = Path(folder).expanduser(), as_images(images)
    check_schedule(schedule)
    known = known_classes(model, classes)
    found = check_training_set(images, labels, known)
    measure = None
    if held_out is not None:
        held_out = as_images(held_out)
        check_training_set(held_out, held_out_labels, known if labels is None else found)
        if held_out.shape[1:] != images.shape[1:]:
            expected, got = tuple(images.shape[1:]), tuple(held_out.shape[1:])
            raise ValueError(f"held_out must have the shape {expected} of the images, got {got}")
        measure = partial(
            held_out_loss,
            images=held_out,
            schedule=schedule,
            labels=held_out_labels,
            loss=loss,
        )
    batch_size = checked_batch_size(batch_size, len(images))
    steps, every = positive_integer("steps", steps), positive_integer("every", every)
    chosen: dict[str, Any] = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "ema_decay": ema_decay,
        "dropped": dropped,
        "seed": seed,
    }
    settings = {
        **as_json(metadata or {}),
        **chosen,
        "image_shape": list(images.shape[1:]),
        "data_sha256": data_digest(images),
        "labels_sha256": None if labels is None else tensor_digest(labels),
        **({} if labels is None else {"classes": found}),
        "schedule_sha256": tensor_digest(schedule.beta),
    }
    records, tensors = begin(folder, schedule, settings, measure, resume)
    first = records.last["step"]
    if first == steps:
        return Run(records.checkpoint, records.last, 0)
    training = train(
        model,
        images,
        schedule,
        labels=labels,
        classes=classes,
        loss=loss,
        augment=augment,
        resume=tensors,
        **chosen,
    )
    state = None
    try:
        with (
            waiting_interrupt() as interrupted,
            progress_bar(steps, records.last, progress) as advance,
        ):
            for state in training:
                records.losses.append(state.last_loss)
                advance(state)
                due = state.step % every == 0 or state.step == steps
                if due or interrupted():
                    records.keep(state, log_row=due)
                if interrupted() and state.step < steps:
                    raise KeyboardInterrupt
    except FloatingPointError as error:
        step = records.last["step"]
        good = f"{records.checkpoint}, of step {step}" if step else "none yet"
        raise FloatingPointError(f"{error}; last good checkpoint: {good}") from None
    except KeyboardInterrupt:
        if state is not None and state.step > records.last["step"] and between_steps(state):
            records.keep(state, log_row=False)
        step = records.last["step"]
        kept = f"{records.checkpoint} keeps it: go on with resume=True" if step else "nothing kept"
        raise KeyboardInterrupt(f"stopped at step {step} of {steps}; {kept}") from None
    return Run(records.checkpoint, records.last, steps - first)


@dataclass
class Records:
    """The files of a run, and what their next version needs."""

    checkpoint: Path
    log: Path
    schedule: Schedule
    settings: dict[str, Any]
    measure: Callable[[nn.Module], float] | None  # the held-out loss of a model
    last: dict[str, Any]  # the metadata of the last checkpoint
    rows: list[str]  # of the log
    losses: list[Tensor]  # since the last row; they stay on the device, which need not be awaited
    started: float  # when the run would have started, had it never stopped

    def keep(self, state: TrainState, *, log_row: bool) -> None:
        """Write a checkpoint, and before it, if asked, a row of the log.

        Raises: FloatingPointError for weights, or a held-out loss, that are not finite: they must
            not replace the last good ones.
        """
        seconds = time.perf_counter() - self.started
        now = {"step": state.step, "images_seen": state.images_seen, "seconds": seconds}
        held_out = ""
        if self.measure:
            now["held_out_loss"] = self.measure(state.average.model)
            held_out = f"{now['held_out_loss']:.5f}"
            if not math.isfinite(now["held_out_loss"]):
                raise FloatingPointError(f"the held-out loss is {held_out} at step {state.step}")
        if not all(bool(weight.isfinite().all()) for weight in state.model.parameters()):
            raise FloatingPointError(f"the weights are not finite at step {state.step}")
        if log_row:
            loss = torch.stack([loss.cpu() for loss in self.losses]).double().mean().item()
            self.rows.append(
                f"{state.step},{state.images_seen},{loss:.5f},{held_out},"
                f"{state.learning_rate:.2e},{seconds:.0f}\n"
            )
            self.losses.clear()
            write_whole(self.log, "".join([LOG_HEAD, *self.rows]).encode())
        tensors = state.tensors()
        if self.losses:
            tensors["losses"] = torch.stack([loss.cpu() for loss in self.losses])
        metadata = self.settings | now
        save(
            self.checkpoint,
            state.average.model,
            self.schedule,
            metadata=metadata,
            training=tensors,
        )
        self.last = metadata


def begin(
    folder: Path,
    schedule: Schedule,
    settings: dict[str, Any],
    measure: Callable[[nn.Module], float] | None,
    resume: bool,
) -> tuple[Records, dict[str, Tensor] | None]:
    """Begin a run, or go on with the one in the folder.

    Returns: its records; the tensors to resume from, or None for a new run.
    """
    checkpoint, log = folder / "checkpoint.safetensors", folder / "log.csv"
    last: dict[str, Any] = {"step": 0, "images_seen": 0, "seconds": 0.0}
    tensors = None
    losses: list[Tensor] = []
    if resume:
        last, tensors = load_training(checkpoint)
        check_settings(f"resume {checkpoint}", last, settings)
        if last["step"] > settings["steps"]:
            raise ValueError(
                f"steps must be at least {last['step']}, as many as {checkpoint} has taken, got"
                f" {settings['steps']}"
            )
        losses = list(tensors.pop("losses", torch.empty(0, device="cpu")))
    elif checkpoint.exists():
        raise FileExistsError(
            f"{checkpoint} exists: add resume=True to go on from it, or choose another folder"
        )
    elif log.exists() and len(log.read_text().splitlines()) > 1:
        raise FileExistsError(f"{log} holds a run whose checkpoint is gone: choose another folder")
    check_writable(folder)
    rows = log_rows(log, last["step"])
    started = time.perf_counter() - last["seconds"]
    records = Records(checkpoint, log, schedule, settings, measure, last, rows, losses, started)
    return records, tensors


def check_settings(action: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than those recorded, naming each."""
    changed = [
        f"{name} was {was[name]!r}, is {value!r}"
        for name, value in now.items()
        if name in was and was[name] != value
    ]
    if changed:
        raise ValueError(f"cannot {action} with other settings: {'; '.join(changed)}")


def log_rows(log: Path, step: int) -> list[str]:
    """The rows of a log up to the step from which training goes on: later ones will come again."""
    rows = log.read_text().splitlines(keepends=True)[1:] if step and log.exists() else []
    return [row for row in rows if int(row.split(",")[0]) <= step]


@torch.inference_mode()
def held_out_loss(
    model: nn.Module,
    images: Float[Tensor, " n *dims"],
    schedule: Schedule,
    labels: Int64[Tensor, " n"] | None = None,
    loss: Loss = simple_loss,
) -> float:
    """The mean loss on held-out images, at the same times and with the same noise every time.

    Args: labels, if given, are handed to the model; loss, as in `training.train`.
    """
    generator = torch.Generator().manual_seed(1)
    device, dtype = home_of(model)
    losses = []
    for start in range(0, len(images), HELD_OUT_AT_ONCE):
        x_0 = images[start : start + HELD_OUT_AT_ONCE].to(device, dtype)
        label = None
        if labels is not None:
            label = labels[start : start + HELD_OUT_AT_ONCE].to(device)
        losses.append(loss(with_label(model, label), x_0, schedule, generator=generator).item())
    return fmean(losses)


@contextmanager
def waiting_interrupt() -> Iterator[Callable[[], bool]]:
    """Let a first Ctrl-C wait, so that no step is left half done; a second one stops at once.

    Yields: whether Ctrl-C was pressed.
    """
    pressed: list[int] = []

    def press(number: int, _: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def between_steps(state: TrainState) -> bool:
    """Whether weights, their average and the optimizer have all taken the same number of steps."""
    taken = {int(moments["step"]) for moments in state.optimizer.state.values()}
    return taken | {state.average.updates} == {state.step}


@contextmanager
def progress_bar(
    steps: int, last: Mapping[str, Any], shown: bool
) -> Iterator[Callable[[TrainState], None]]:
    """Show how far training is; yields what to call after each step."""
    from tqdm.auto import tqdm

    recent: deque[Tensor] = deque(maxlen=50)
    start, seen, shown_at = time.perf_counter(), last["images_seen"], -math.inf
    with tqdm(
        total=steps, initial=last["step"], desc="training", unit="step", disable=not shown
    ) as bar:

        def advance(state: TrainState) -> None:
            nonlocal shown_at
            recent.append(state.last_loss)
            now = time.perf_counter()
            if now - shown_at > 1:  # seldom, because it waits for the device
                shown_at, rate = now, (state.images_seen - seen) / (now - start)
                loss = torch.stack([*recent]).mean().item()
                bar.set_postfix({"loss": f"{loss:.4f}", "images/s": f"{rate:.0f}"}, refresh=False)
            bar.update()

        yield advance
