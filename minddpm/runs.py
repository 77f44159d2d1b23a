"""A run of training that saves a checkpoint and a log, and continues where it stopped."""

from __future__ import annotations

import copy
import math
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
    as_path,
    check_writable,
    fill,
    load_training,
    reason,
    remove_half_written,
    save,
    tensor_digest,
    training_file,
    unwrapped,
    write_whole,
)
from minddpm.checks import check_training_set, checked_batch_size, is_integer, positive_integer
from minddpm.data import data_digest
from minddpm.distributed import from_first, processes, rank
from minddpm.images import as_images
from minddpm.interrupts import uninterrupted, waiting_interrupt
from minddpm.loss import simple_loss
from minddpm.network import home_of, known_classes, with_label
from minddpm.optimizers import MakeOptimizer, optimizer_of
from minddpm.schedule import Schedule, check_schedule
from minddpm.state import TrainState
from minddpm.training import Augment, Loss, train

LOG_HEAD = "step,images,loss,held_out_loss,learning_rate,seconds\n"
AT_START: dict[str, Any] = {"step": 0, "images_seen": 0, "seconds": 0.0}  # before any step
TRIAL_STEPS = 9  # to find out how long one takes
HELD_OUT_AT_ONCE = 250  # held-out images measured at once
# how a setting that a checkpoint records as a digest differs, and what else differs because of it
DIFFERS = {
    "data_sha256": "the images differ from those of {run}",
    "labels_sha256": "the labels differ from those of {run}",
    "schedule_sha256": "the noise schedule differs from that of {run}",
    "start_sha256": "the weights to start from differ from those of {run}",
    "weights_sha256": "the weights or their noise schedule differ from those of {run}",
}
FOLLOWS = {
    "data_sha256": {
        "image_shape",
        "batch_size",
        "source",
        "labels_sha256",
        "labels",
        "label_names",
        "classes",
    },
    "labels_sha256": {"labels", "label_names", "classes", "start_sha256"},
    "start_sha256": {"schedule_sha256"},
    "learning_rate": {"optimizer"},
    "recipe": {"schedule_sha256", "learning_rate", "optimizer", "ema_decay", "augment"},
}


class Run(NamedTuple):
    """What `train_to` returns."""

    checkpoint: Path  # the averaged weights
    metadata: dict[str, Any]  # step, images_seen, seconds, held_out_loss, and all settings
    steps: int  # taken in this call: 0 if the run was already finished


def train_to(
    folder: str | Path,
    model: nn.Module,
    images: Tensor | np.ndarray,
    schedule: Schedule,
    *,
    steps: int,
    labels: Int64[Tensor, " n"] | np.ndarray | None = None,
    classes: int | None = None,
    held_out: Tensor | np.ndarray | None = None,
    held_out_labels: Int64[Tensor, " m"] | np.ndarray | None = None,
    every: int = 500,
    resume: bool = False,
    batch_size: int | None = None,
    learning_rate: float = 2.5e-3,
    ema_decay: float = 0.999,
    seed: int = 0,
    loss: Loss = simple_loss,
    optimizer: MakeOptimizer | None = None,
    augment: Augment | None = None,
    dropped: float = 0.1,
    metadata: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Train a model, saving a checkpoint and a log in a folder.

    The folder gets `checkpoint.safetensors`, the averaged weights, which `checkpoints.load` reads;
    next to it `checkpoint.training.safetensors`, from which the run continues; and `log.csv`. They
    are written every so many steps, at the end, and on Ctrl-C, once the current step is done.
    Before the first checkpoint nothing is written. A run that was stopped and resumed equals, bit
    for bit, one that never stopped.

    The processes of one group, such as those of torchrun, share each batch (see `distributed`); the
    first one reads and writes the folder. A run may go on with another number of them: the weights
    then differ by rounding.

    Args:
        folder: where to save; it is created, if necessary, for the first checkpoint.
        model, images, schedule, labels, classes, batch_size, learning_rate, ema_decay, seed, loss,
            optimizer, augment, dropped: as in `training.train`; images (see `images.as_images`) and
            labels may be NumPy arrays too.
        steps: how many to take in all, counted from the start of the run.
        held_out, held_out_labels: images whose loss is logged, and their labels if they have any.
        every: steps between checkpoints.
        resume: continue from the checkpoint in the folder, with the same settings.
        metadata: what JSON can hold, saved in the checkpoint; part of the settings. It may not use
            the names of what is saved there anyway, such as step or seed.
        progress: show a bar.

    Raises: FileExistsError for a folder that already holds a run, unless it is resumed;
        FileNotFoundError for one to resume that holds none; OSError for one that cannot be written;
        ValueError for a run to resume with other settings, and what `train` raises: all before
        anything is written, and before the model is changed. FloatingPointError for a loss that is
        not finite; RuntimeError where another process is lost. KeyboardInterrupt on Ctrl-C, saying
        what was saved.
    """
    folder, images = as_path(folder), as_images(images)
    check_schedule(schedule)
    given: Tensor | None = as_labels(labels)
    known = known_classes(model, classes)
    found = check_training_set(images, given, known)
    measure = None
    if held_out is not None:
        others, other_labels = checked_held_out(
            held_out, held_out_labels, images, known if given is None else found
        )
        measure = partial(
            held_out_loss,
            images=others,
            schedule=schedule,
            labels=other_labels,
            loss=loss,
        )
    elif held_out_labels is not None:
        raise ValueError("held_out_labels needs held_out, got only held_out_labels")
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
    for name, value in chosen.items():
        chosen[name] = value.item() if isinstance(value, np.generic) else value
    recorded = chosen | {
        "image_shape": list(images.shape[1:]),
        "data_sha256": data_digest(images),
        "labels_sha256": None if given is None else tensor_digest(given),
        **({} if given is None else {"classes": found}),
        "schedule_sha256": tensor_digest(schedule.beta),
        "optimizer": "Adam" if optimizer is None else told_optimizer(model, optimizer),
    }
    settings = as_json({} if metadata is None else metadata)
    taken = [name for name in settings if name in recorded or name in (*AT_START, "held_out_loss")]
    if taken:
        raise ValueError(f"metadata may not hold {taken[0]!r}, which train_to itself saves there")
    settings |= as_json(recorded)
    records, tensors = from_first(partial(begin, folder, schedule, settings, resume))
    records.measure = measure
    first = records.last["step"]
    if tensors is not None and rank() == 0 and not records.checkpoint.exists():
        complete(records, model, tensors)
    if first == steps:
        return Run(records.checkpoint, records.last, 0)
    training = train(
        model,
        images,
        schedule,
        labels=given,
        classes=classes,
        loss=loss,
        optimizer=optimizer,
        augment=augment,
        resume=tensors,
        **chosen,
    )
    state = None

    def is_due(step: int) -> bool:
        return step % every == 0 or step == steps

    def stopping(interrupted: Callable[[], bool]) -> bool:
        return interrupted() and rank() == 0  # other processes go on until the first one is gone

    try:
        with (
            waiting_interrupt() as interrupted,
            progress_bar(steps, records.last, progress and rank() == 0) as advance,
        ):
            for state in training:
                records.losses.append(state.last_loss)
                advance(state)
                due = is_due(state.step)
                if due or stopping(interrupted):
                    records.keep(state, log_row=due)
                if stopping(interrupted) and state.step < steps:
                    raise KeyboardInterrupt
    except (FloatingPointError, OSError) as error:
        raise type(error)(f"{error}; {records.last_good()}") from error
    except (KeyboardInterrupt, RuntimeError) as error:
        if isinstance(error, RuntimeError):
            if processes() == 1:
                raise
            if not interrupted():
                lost = f"not all {processes()} processes finished a step: {error}"
                raise RuntimeError(f"{lost}; {records.last_good()}") from error
        if state is not None and state.step > records.last["step"] and between_steps(state):
            records.keep(state, log_row=is_due(state.step))
        step = records.last["step"]
        saved = f"saved in {records.checkpoint}: continue with resume=True"
        if not step:
            saved = "nothing was saved"
        raise KeyboardInterrupt(f"stopped at step {step} of {steps}; {saved}") from None
    records.last = from_first(lambda: records.last)  # and wait until all is written
    return Run(records.checkpoint, records.last, steps - first)


def as_labels(labels: Any) -> Any:
    """Turn a NumPy array of integers into an int64 tensor, and leave all else for the checks."""
    if isinstance(labels, np.ndarray) and np.issubdtype(labels.dtype, np.integer):
        return torch.from_numpy(labels.astype(np.int64))
    return labels


def told_optimizer(model: nn.Module, optimizer: MakeOptimizer) -> str:
    """An optimizer's name and settings, on one line."""
    return " ".join(repr(optimizer_of(model, optimizer, 0.0)).split())


def checked_held_out(
    held_out: Any, labels: Any, images: Tensor, classes: int | None
) -> tuple[Tensor, Tensor | None]:
    """Return the held-out images and their labels as tensors.

    Raises: TypeError or ValueError as for the images to train on, naming held_out; ValueError for
        held-out images of another shape.
    """
    try:
        held_out, labels = as_images(held_out), as_labels(labels)
        check_training_set(held_out, labels, classes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"held_out: {error}") from error
    if held_out.shape[1:] != images.shape[1:]:
        expected, got = tuple(images.shape[1:]), tuple(held_out.shape[1:])
        raise ValueError(f"held_out must have the shape {expected} of the images, got {got}")
    return held_out, labels


@dataclass
class Records:
    """The files of a run, and what their next version needs."""

    checkpoint: Path
    log: Path
    schedule: Schedule
    settings: dict[str, Any]
    last: dict[str, Any]  # the metadata of the last checkpoint
    rows: list[str]  # of the log
    losses: list[Tensor]  # since the last row; left on the device, so that no step waits for it
    started: float  # when the run would have started if it had never stopped
    measure: Callable[[nn.Module], float] | None = None  # the held-out loss of a model

    def last_good(self) -> str:
        """Where the last checkpoint is, and how to go on from it."""
        if not self.last["step"]:
            return "last good checkpoint: none yet"
        return f"last good checkpoint: {self.checkpoint}, from step {self.last['step']}"

    def keep(self, state: TrainState, *, log_row: bool) -> None:
        """Write a checkpoint, and before it, if asked, a row of the log; Ctrl-C waits for both.

        Of several processes, only the first one measures and writes.

        Raises: FloatingPointError for weights, or a held-out loss, that are not finite: they must
            not replace the last good ones.
        """
        seconds = time.perf_counter() - self.started
        now = {"step": state.step, "images_seen": state.images_seen, "seconds": seconds}
        if rank():
            self.losses.clear()
            self.last = self.settings | now
            return
        held_out = ""
        if self.measure:
            now["held_out_loss"] = self.measure(state.average.model)
            held_out = f"{now['held_out_loss']:.5f}"
            if not math.isfinite(now["held_out_loss"]):
                raise FloatingPointError(f"the held-out loss is {held_out} at step {state.step}")
        if not all(bool(weight.isfinite().all()) for weight in state.model.parameters()):
            raise FloatingPointError(f"the weights are not finite at step {state.step}")
        with uninterrupted():
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


def steps_within(
    minutes: float, model: nn.Module, images: Tensor, schedule: Schedule, **settings: Any
) -> int:
    """How many steps of `training.train` this machine takes in so many minutes, at least 1.

    A copy of the model takes a few steps, the first of which, a slow one, is not timed.

    Args: minutes, positive; model, images, schedule, settings: as in `training.train`.
    """
    trial = train(copy.deepcopy(model), images, schedule, steps=TRIAL_STEPS, **settings)
    next(trial)
    start = time.perf_counter()
    for state in trial:
        _ = state.loss  # waits for an accelerator
    seconds = (time.perf_counter() - start) / (TRIAL_STEPS - 1)
    return max(1, int(60 * minutes / seconds))


def begin(
    folder: Path,
    schedule: Schedule,
    settings: dict[str, Any],
    resume: bool,
) -> tuple[Records, dict[str, Tensor] | None]:
    """Begin a run, or continue the one in the folder.

    Returns: its records; the tensors to resume from, or None for a new run.
    """
    checkpoint, log = folder / "checkpoint.safetensors", folder / "log.csv"
    last = dict(AT_START)
    tensors = None
    losses: list[Tensor] = []
    kept = checkpoint.exists() or training_file(checkpoint).exists()
    # a row is logged before the first checkpoint: a run that was killed in between starts anew
    if resume and (kept or len(log_lines(log)) != 2):
        saved, tensors = load_training(checkpoint)
        check_settings(f"resume {checkpoint}", f"the run in {folder}", saved, settings)
        if not is_integer(saved.get("step")):
            raise ValueError(f"{checkpoint} does not say how many steps it has taken")
        last |= saved
        if last["step"] > settings["steps"]:
            raise ValueError(
                f"steps must be at least {last['step']}, which {checkpoint} has already taken, got"
                f" {settings['steps']}"
            )
        losses = list(tensors.pop("losses", torch.empty(0, device="cpu")))
    elif kept:
        raise FileExistsError(
            f"{checkpoint} exists: continue it with resume=True, or choose another folder"
        )
    for path in (checkpoint, log):
        check_writable(path)
    lines = log_lines(log)
    if len(lines) > 1 and not resume:
        raise FileExistsError(
            f"{log} belongs to a run whose checkpoint is missing: choose another folder"
        )
    rows = log_rows(log, lines[1:], last["step"])
    for path in (checkpoint, training_file(checkpoint), log):
        remove_half_written(path)
    started = time.perf_counter() - last["seconds"]
    records = Records(checkpoint, log, schedule, settings, last, rows, losses, started)
    return records, tensors


def complete(records: Records, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Write the weights of a run that was killed between the two files of its first checkpoint.

    Raises: ValueError for the state of another model.
    """
    average = copy.deepcopy(unwrapped(model))
    weights = {
        name.removeprefix("average."): value
        for name, value in tensors.items()
        if name.startswith("average.")
    }
    fill(average, weights)
    save(records.checkpoint, average, records.schedule, metadata=records.last, training=tensors)


def check_settings(action: str, run: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue with other settings than those recorded, naming each.

    Args: action, such as "resume x.safetensors"; run, what the settings were recorded of.
    """
    changed = {name for name, value in now.items() if name in was and was[name] != value}
    for cause, effects in FOLLOWS.items():
        if cause in changed:
            changed -= effects
    words = dict(DIFFERS)
    if now.get("labels_sha256") is None:
        words["labels_sha256"] = "{run} was trained with labels"
    elif was.get("labels_sha256") is None:
        words["labels_sha256"] = "{run} was trained without labels"
    other = [words[name].format(run=run) for name in words if name in changed]
    other += [
        f"{name} was {was[name]!r}, is {value!r}"
        for name, value in now.items()
        if name in changed and name not in DIFFERS
    ]
    if other:
        raise ValueError(f"cannot {action} with other settings: {'; '.join(other)}")


def log_rows(log: Path, lines: list[str], step: int) -> list[str]:
    """The rows of a log up to the step from which training continues: it will write the later ones
    again.

    Raises: ValueError for a line that is not a row.
    """
    rows = [line for line in lines if line.strip()]
    for row in rows:
        if not row.partition(",")[0].isdecimal():
            raise ValueError(
                f"{log} has a line that does not begin with a step: remove {row.strip()!r}"
            )
    return [row for row in rows if int(row.partition(",")[0]) <= step]


def log_lines(log: Path) -> list[str]:
    """The lines of a log, none if there is no such file."""
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise type(error)(f"{log} cannot be read: {reason(error)}") from error


@torch.inference_mode()
def held_out_loss(
    model: nn.Module,
    images: Float[Tensor, " n *dims"],
    schedule: Schedule,
    labels: Int64[Tensor, " n"] | None = None,
    loss: Loss = simple_loss,
) -> float:
    """The mean loss on held-out images, at the same times and with the same noise every time.

    Args: labels, if given, are passed to the model; loss, as in `training.train`.
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


def between_steps(state: TrainState) -> bool:
    """Whether weights, their average and the optimizer have all taken the same number of steps."""
    moments = state.optimizer.state.values()
    taken = {int(moment["step"]) for moment in moments if "step" in moment}
    return taken | {state.average.updates} == {state.step}


@contextmanager
def progress_bar(
    steps: int, last: Mapping[str, Any], shown: bool
) -> Iterator[Callable[[TrainState], None]]:
    """Show how far training has come; yields what to call after each step."""
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
            if now - shown_at > 1:  # rarely, because it waits for the device
                shown_at, rate = now, (state.images_seen - seen) / (now - start)
                loss = torch.stack([*recent]).mean().item()
                bar.set_postfix({"loss": f"{loss:.4f}", "images/s": f"{rate:.0f}"}, refresh=False)
            bar.update()

        yield advance
