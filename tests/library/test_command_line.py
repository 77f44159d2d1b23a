"""The command line: what each command writes, how training goes on, and the one line that an error
costs.
"""

import ast
import csv
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import minddpm.__main__ as command_line
from minddpm import checkpoints, interrupts, runs, training
from minddpm.checkpoints import (
    ASSETS,
    load,
    load_pretrained,
    load_training,
    save,
    tensor_digest,
    training_file,
)
from minddpm.data import data_digest, load_mnist
from minddpm.ddim import ddim_sample
from minddpm.guidance import guided
from minddpm.metrics import digit_report
from minddpm.optimizers import muon
from minddpm.posterior import posterior_variance
from minddpm.recipes import RECIPES
from minddpm.runs import told_optimizer
from minddpm.sampler import sample
from minddpm.schedule import linear_schedule
from minddpm.solvers import dpm_solver, flow_sample, heun
from minddpm.unet import UNet, UNetConfig
from minddpm.weighting import weighted_loss

SMALL = UNetConfig(channels=(8, 8), time_dim=8, groups=4)
NEEDS_SIGINT = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
LOG = ["step", "images", "loss", "held_out_loss", "learning_rate", "seconds"]


@pytest.fixture
def small(monkeypatch):
    """A network and data small enough to train for a few steps."""
    recipes = {name: replace(recipe, network=SMALL) for name, recipe in RECIPES.items()}
    monkeypatch.setattr(command_line, "RECIPES", recipes)
    few = {split: tuple(part[:20] for part in load_mnist(split)) for split in ("train", "test")}
    monkeypatch.setattr(command_line, "load_mnist", lambda split, source: few[split])
    return few


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with few steps, so that it is quick to sample from."""
    torch.manual_seed(0)
    return save(tmp_path / "few_steps.safetensors", UNet(SMALL), linear_schedule(3, 0.1, 0.5))


@pytest.fixture
def run(capsys):
    """Run a command; returns its exit code, its output, and the last line it wrote on stderr."""

    def run(*arguments):
        code = command_line.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, (captured.err.splitlines() or [""])[-1]

    return run


@pytest.fixture
def drawn(monkeypatch):
    """The images that are drawn, one batch after another."""
    batches = []
    draw = command_line.draw

    def kept(*arguments):
        batches.append(draw(*arguments))
        return batches[-1]

    monkeypatch.setattr(command_line, "draw", kept)
    return batches


@pytest.fixture
def unsampled(monkeypatch):
    """Fail if images are drawn."""
    monkeypatch.setattr(command_line, "draw", lambda *_, **__: pytest.fail("sampled"))


@pytest.fixture
def heeded():
    """Heed Ctrl-C, also in processes to come: it is ignored where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def train_arguments(out, *more, steps=6, every=2):
    return ("train", "--out", out, "--steps", steps, "--every", every, "--batch-size", 4, *more)


def log_rows(out):
    return list(csv.reader((out / "log.csv").read_text().splitlines()))


def stop_at(monkeypatch, step, error):
    """Make training fail in the course of a step."""
    whole_step, count = training.train_step, iter(range(1, 1000))

    def train_step(*arguments, **options):
        if next(count) == step:
            raise error
        return whole_step(*arguments, **options)

    monkeypatch.setattr(training, "train_step", train_step)


# train


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            (),
            {
                "recipe": "fast",
                "learning_rate": 0.02,
                "ema_decay": 0.995,
                "optimizer": told_optimizer(UNet(SMALL), muon),
                "augment": "none",
            },
        ),
        (
            ("--recipe", "paper"),
            {
                "recipe": "paper",
                "learning_rate": 2.5e-3,
                "ema_decay": 0.999,
                "optimizer": "Adam",
                "augment": "jitter",
            },
        ),
    ],
)
def test_train_writes_a_checkpoint_and_a_log(tmp_path, small, run, more, expected):
    recipe = RECIPES[expected["recipe"]]
    code, out, bar = run(*train_arguments(tmp_path / "run", *more))
    assert code == 0
    assert "6 steps, held-out loss" in out
    assert "6/6" in bar
    assert "loss=" in bar
    assert "images/s=" in bar
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.safetensors",
        "checkpoint.training.safetensors",
        "log.csv",
    ]

    model, schedule, metadata = load(tmp_path / "run" / "checkpoint.safetensors")
    assert torch.equal(schedule.beta, recipe.schedule().beta)
    assert metadata.pop("seconds") > 0
    held_out = runs.held_out_loss(model, small["test"][0], schedule, loss=recipe.loss)
    assert len(metadata.pop("schedule_sha256")) == 64
    assert metadata == expected | {
        "seed": 0,
        "steps": 6,
        "batch_size": 4,
        "dropped": 0.1,
        "source": "bundled",
        "image_shape": [1, 28, 28],
        "data_sha256": data_digest(small["train"][0]),
        "precision": "float32",
        "start_sha256": None,
        "labels": False,
        "labels_sha256": None,
        "label_names": [],
        "step": 6,
        "images_seen": 24,
        "held_out_loss": pytest.approx(held_out, rel=1e-9),
    }
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == LOG
    assert [row[:2] for row in rows[1:]] == [["2", "8"], ["4", "16"], ["6", "24"]]
    assert float(rows[3][3]) == pytest.approx(held_out, abs=1e-5)
    assert all(math.isfinite(float(value)) for row in rows[1:] for value in row)


def test_the_commands_of_the_readme_are_those_that_made_the_shipped_weights():
    readme = (ASSETS / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python -m minddpm (train .+)$", readme, re.MULTILINE)
    *_, last = (command for command in commands if "--labels" not in command)
    options = vars(command_line.build_parser().parse_args(last.split()))
    model, _, metadata = load_pretrained("mnist")
    settings = {name: metadata[name] for name in ("seed", "steps", "learning_rate")}
    assert {name: options[name] for name in settings} == settings
    parsed = command_line.build_parser().parse_args(last.split())
    assert command_line.source_name(parsed) == metadata["source"]
    assert command_line.augment_of(parsed) == metadata["augment"]
    assert parsed.batch_size is None
    assert metadata["batch_size"] == 64
    assert not model.config.classes
    for command in commands:
        parsed = command_line.build_parser().parse_args(command.split())
        assert parsed.recipe == "paper"
    assert metadata["data_sha256"] == data_digest(load_mnist("train")[0])


def test_the_code_of_the_readme_is_what_made_the_weights_with_labels():
    readme = (ASSETS / "README.md").read_text(encoding="utf-8")
    (code,) = (
        code for code in re.findall(r"```python\n(.+?)```", readme, re.DOTALL) if "train_to" in code
    )
    (call,) = (
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "train_to"
    )
    written = {word.arg: ast.unparse(word.value) for word in call.keywords}
    model, _, metadata = load_pretrained("mnist_labels")
    same = ("seed", "steps", "batch_size", "learning_rate", "classes")
    assert {name: written[name] for name in same} == {name: str(metadata[name]) for name in same}
    assert f"lr={metadata['learning_rate']}" in written["optimizer"]
    assert "Muon" in metadata["optimizer"]
    assert metadata["step"] == metadata["steps"]
    assert model.config.classes == 10
    assert (metadata["source"], metadata["augment"]) == ("bundled", "none")
    assert "augment" not in written
    images, labels = load_mnist("train")
    assert metadata["data_sha256"] == data_digest(images)
    assert metadata["labels_sha256"] == tensor_digest(labels)


@pytest.mark.parametrize("stop", [2, 3, 4, 5])
def test_a_resumed_run_is_bit_identical_to_one_that_never_stopped(
    tmp_path, small, run, monkeypatch, stop
):
    run(*train_arguments(tmp_path / "whole", "--labels"))
    with monkeypatch.context() as patch:
        stop_at(patch, stop, KeyboardInterrupt())
        code, _, message = run(*train_arguments(tmp_path / "parts", "--labels"))
    checkpoint = tmp_path / "parts" / "checkpoint.safetensors"
    assert code == 130
    assert (
        message == f"stopped at step {stop - 1} of 6; saved in {checkpoint}: continue with --resume"
    )
    metadata, _ = load_training(checkpoint)
    assert metadata["step"] == stop - 1

    code, _, bar = run(*train_arguments(tmp_path / "parts", "--labels", "--resume"))
    assert code == 0
    assert "6/6" in bar
    for name in ("checkpoint.safetensors", "checkpoint.training.safetensors"):
        whole, parts = (load_file(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert whole.keys() == parts.keys()
        assert ("training" in name) == any(key.startswith("optimizer.") for key in whole)
        for key, value in whole.items():
            assert torch.equal(parts[key], value), key
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert [row.split(",")[:5] for row in logs[0]] == [row.split(",")[:5] for row in logs[1]]


@NEEDS_SIGINT
@pytest.mark.usefixtures("heeded")
def test_ctrl_c_keeps_the_step_that_was_reached(tmp_path):
    code = (
        "import sys; from dataclasses import replace; import minddpm.__main__ as command_line\n"
        "small = command_line.UNetConfig(channels=(8, 8), time_dim=8, groups=4)\n"
        "recipe = replace(command_line.RECIPES['fast'], network=small)\n"
        "command_line.RECIPES['fast'] = recipe; sys.exit(command_line.main(sys.argv[1:]))\n"
    )
    arguments = ["train", "--out", str(tmp_path / "run"), "--batch-size", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stderr is not None
    shown = b""
    try:
        while not re.search(rb"[1-9]/5000", shown):
            byte = process.stderr.read(1)
            assert byte, shown.decode()  # it ended by itself
            shown += byte
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    message = rest.decode().splitlines()[-1]
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    step = int(re.fullmatch(r"stopped at step (\d+) of 5000; .*", message)[1])
    assert step >= 1
    assert f"; saved in {checkpoint}: continue with --resume" in message
    metadata, tensors = load_training(checkpoint)
    assert metadata["step"] == tensors["step"] == step
    assert load(checkpoint)[2]["step"] == step


def test_a_run_may_begin_from_weights_and_leave_the_digits_as_they_are(
    tmp_path, small, run, monkeypatch
):
    run(*train_arguments(tmp_path / "first"))
    start = tmp_path / "first" / "checkpoint.safetensors"
    seen = []

    def train(model, *arguments, **settings):
        seen.append(
            (
                {name: value.clone() for name, value in model.state_dict().items()},
                settings["augment"],
            )
        )
        return training.train(model, *arguments, **settings)

    monkeypatch.setattr(runs, "train", train)
    assert run(*train_arguments(tmp_path / "second", "--start", start, "--augment", "none"))[0] == 0
    first, schedule, _ = load(start)
    weights, augment = seen[0]
    assert augment is None
    assert weights.keys() == first.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in first.state_dict().items())
    second, _, metadata = load(tmp_path / "second" / "checkpoint.safetensors")
    assert metadata["start_sha256"] == command_line.fingerprint(first, schedule)
    assert not torch.equal(second.out.weight, first.out.weight)


def test_labels_may_be_told_to_a_network_that_began_without(tmp_path, small, run, monkeypatch):
    run(*train_arguments(tmp_path / "first"))
    start = tmp_path / "first" / "checkpoint.safetensors"
    first, schedule, _ = load(start)
    seen = []

    def train(model, *arguments, **settings):
        seen.append(
            (
                {name: value.clone() for name, value in model.state_dict().items()},
                settings["labels"],
            )
        )
        return training.train(model, *arguments, **settings)

    monkeypatch.setattr(runs, "train", train)
    labelled = train_arguments(tmp_path / "second", "--labels", "--start", start)
    assert run(*labelled)[0] == 0
    weights, labels = seen[0]
    assert torch.equal(labels, small["train"][1])
    assert (weights.pop("label.weight") == 0).all()
    assert weights.keys() == first.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in first.state_dict().items())

    model, _, metadata = load(tmp_path / "second" / "checkpoint.safetensors")
    assert (metadata["labels"], model.config) == (True, replace(first.config, classes=10))
    assert metadata["held_out_loss"] == pytest.approx(
        runs.held_out_loss(model, small["test"][0], schedule, small["test"][1], weighted_loss)
    )
    moved = (model.label.weight != 0).any(1)
    assert moved.any() and not moved[10]
    assert not any(moved[digit] for digit in range(10) if digit not in labels)

    code, _, message = run(
        *(argument for argument in labelled if argument != "--labels"), "--resume"
    )
    assert code == 2
    assert message.endswith(f"settings: the run in {tmp_path / 'second'} was trained with labels")
    told = tmp_path / "second" / "checkpoint.safetensors"
    code, _, message = run(*train_arguments(tmp_path / "third", "--start", told))
    assert code == 2
    assert message == (
        "error: --start must be a checkpoint trained without --labels, got one with 10 labels"
    )


def test_log_rows_after_the_checkpoint_are_written_anew(tmp_path, small, run, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 4, KeyboardInterrupt())
        run(*train_arguments(tmp_path))
    with (tmp_path / "log.csv").open("a") as log:
        log.write(
            "4,16,9.0,9.0,9e-9,9\n"
        )  # as if the machine had died before the checkpoint of step 4
    run(*train_arguments(tmp_path, "--resume"))
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4", "6"]
    assert "9.0" not in rows[2].split(",")


def test_ctrl_c_before_the_first_step_is_done(tmp_path, small, run, monkeypatch):
    stop_at(monkeypatch, 1, KeyboardInterrupt())
    code, _, message = run(*train_arguments(tmp_path / "run"))
    assert code == 130
    assert message == "stopped at step 0 of 6; nothing was saved"
    assert not (tmp_path / "run").exists()


def test_a_finished_run_says_so(tmp_path, small, run):
    run(*train_arguments(tmp_path, steps=2))
    before = (tmp_path / "checkpoint.safetensors").read_bytes(), (tmp_path / "log.csv").read_text()
    code, out, _ = run(*train_arguments(tmp_path, "--resume", steps=2))
    assert code == 0
    assert out == f"{tmp_path / 'checkpoint.safetensors'} has already taken all 2 steps\n"
    assert before == (
        (tmp_path / "checkpoint.safetensors").read_bytes(),
        (tmp_path / "log.csv").read_text(),
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--steps", 8), "--steps was 2, is 8"),
        (("--seed", 1), "--seed was 0, is 1"),
        (("--learning-rate", 0.1), "--learning-rate was 0.02, is 0.1"),
        (("--recipe", "paper"), "--recipe was 'fast', is 'paper'"),
        (("--source", "full"), "--source was 'bundled', is 'full'"),
        (("--seed", 1, "--batch-size", 5), "--batch-size was 4, is 5; --seed was 0, is 1"),
    ],
)
def test_resuming_with_other_settings_is_refused(tmp_path, small, run, more, said):
    run(*train_arguments(tmp_path, steps=2))
    code, _, message = run(*train_arguments(tmp_path, "--resume", *more, steps=2))
    assert code == 2
    assert (
        message
        == f"error: cannot resume {tmp_path / 'checkpoint.safetensors'} with other settings: {said}"
    )


def test_resuming_with_other_data_is_refused(tmp_path, small, run):
    run(*train_arguments(tmp_path, steps=2))
    small["train"][0][0] *= -1
    code, _, message = run(*train_arguments(tmp_path, "--resume", steps=2))
    assert code == 2
    assert message == (
        f"error: cannot resume {tmp_path / 'checkpoint.safetensors'} with other settings: the"
        f" images differ from those of the run in {tmp_path}"
    )


def test_resuming_nothing_and_overwriting_something_are_refused(tmp_path, small, run):
    code, _, message = run(*train_arguments(tmp_path, "--resume"))
    assert code == 2
    assert (
        message
        == f"error: expected a checkpoint at {tmp_path / 'checkpoint.safetensors'}, got no file"
    )
    run(*train_arguments(tmp_path, steps=2))
    code, _, message = run(*train_arguments(tmp_path, steps=2))
    assert code == 2
    assert message.endswith(
        "checkpoint.safetensors exists: continue it with --resume, or choose another --out"
    )
    (tmp_path / "checkpoint.safetensors").unlink()
    training_file(tmp_path / "checkpoint.safetensors").unlink()
    before = (tmp_path / "log.csv").read_bytes()
    code, _, message = run(*train_arguments(tmp_path, steps=2))
    assert code == 2
    assert (
        message
        == f"error: {tmp_path / 'log.csv'} belongs to a run whose checkpoint is missing: choose"
        " another --out"
    )
    assert (tmp_path / "log.csv").read_bytes() == before


def test_training_goes_on_with_the_schedule_of_the_weights_it_starts_from(
    tmp_path, small, checkpoint, run
):
    assert run(*train_arguments(tmp_path / "run", "--start", checkpoint, steps=2))[0] == 0
    _, schedule, _ = load(tmp_path / "run" / "checkpoint.safetensors")
    assert torch.equal(schedule.beta, linear_schedule(3, 0.1, 0.5).beta)


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_last_good_checkpoint(
    tmp_path, small, run, monkeypatch
):
    stop_at(monkeypatch, 5, FloatingPointError("the loss is nan"))
    code, _, message = run(*train_arguments(tmp_path))
    checkpoint = tmp_path / "checkpoint.safetensors"
    assert code == 2
    assert (
        message
        == f"error: the loss is nan at step 5; last good checkpoint: {checkpoint}, from step 4"
    )
    assert all(value.isfinite().all() for value in load_file(checkpoint).values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path, small, run, monkeypatch):
    whole_step, count = training.train_step, iter(range(1, 1000))

    def train_step(model, *arguments, **options):
        loss = whole_step(model, *arguments, **options)
        if next(count) == 4:  # the loss before the step is finite, the weights after it are not
            with torch.no_grad():
                next(model.parameters()).fill_(math.nan)
        return loss

    monkeypatch.setattr(training, "train_step", train_step)
    code, _, message = run(*train_arguments(tmp_path))
    checkpoint = tmp_path / "checkpoint.safetensors"
    assert code == 2
    assert (
        message == f"error: the held-out loss is nan at step 4; last good checkpoint: {checkpoint},"
        " from step 2"
    )
    assert all(value.isfinite().all() for value in load_file(checkpoint).values())


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--steps", "0", "must be an integer from 1 to"),
        ("--steps", "1.5", "must be an integer from 1 to"),
        ("--batch-size", "0", "must be an integer from 1 to"),
        ("--every", "none", "must be an integer from 1 to"),
        ("--seed", "-1", "must be an integer from 0 to"),
        ("--learning-rate", "0", "must be a finite number above 0"),
        ("--learning-rate", "nan", "must be a finite number above 0"),
        ("--learning-rate", "inf", "must be a finite number above 0"),
        ("--minutes", "inf", "must be a finite number above 0"),
        ("--learning-rate", "fast", "must be a finite number above 0"),
        ("--out", "", "must not be empty"),
        ("--start", " ", "must not be empty"),
        ("--data", "", "must not be empty"),
        ("--source", "web", "invalid choice"),
    ],
)
def test_an_option_out_of_range_is_refused(tmp_path, capsys, option, value, said):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["train", "--out", str(tmp_path / "run"), option, value])
    assert stop.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {option}: {said}" in message
    assert repr(value) in message
    assert not (tmp_path / "run").exists()


def without_space(text):
    """Text as it is however its lines are wrapped."""
    return "".join(text.split())


@pytest.mark.parametrize("value", ["-1", "inf", "nan", "much"])
def test_a_scale_out_of_range_is_refused(tmp_path, capsys, value):
    with pytest.raises(SystemExit):
        command_line.main(["sample", "--out", str(tmp_path / "x.png"), "--scale", value])
    said = f"argument --scale: must be a finite number of at least 0, got {value!r}"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "sample", "evaluate", "export"])
def test_help_explains_each_option_and_tells_its_default(capsys, command):
    with pytest.raises(SystemExit) as stop:
        command_line.main([command, "--help"])
    assert stop.value.code == 0
    shown = without_space(capsys.readouterr().out)
    (choices,) = (
        action.choices
        for action in command_line.build_parser()._actions
        if isinstance(action.choices, dict)
    )
    for action in choices[command]._actions[1:]:
        assert action.help
        told = "(default: " if action.default is None else f"(default: {action.default})"
        assert (
            action.required or action.const or told in action.help % {"default": action.default}
        ), action.dest
        described = action.help % {"default": action.default}
        assert action.const or without_space(described) in shown


def test_a_batch_larger_than_the_images_to_train_on_names_those_held_out(tmp_path, run):
    np.savez(tmp_path / "few.npz", images=np.zeros((12, 8, 8), np.uint8))
    options = ("--data", tmp_path / "few.npz", "--batch-size", 12)
    code, _, message = run("train", "--out", tmp_path / "run", *options)
    assert (code, message) == (
        2,
        "error: --batch-size must be at most 11, the number of images to train on (1 more is held"
        " out), got 12",
    )


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize("option", ["--side", "--channels"])
@pytest.mark.usefixtures("unsampled")
def test_options_of_data_need_data(tmp_path, run, command, option):
    out = ("--out", tmp_path) if command == "train" else ("--samples", tmp_path / "x.npz")
    code, _, message = run(command, *out, option, 3)
    assert (code, message) == (2, f"error: {option} needs --data, got only {option} 3")


def test_source_chooses_digits_and_data_other_images(tmp_path, run):
    options = ("--source", "bundled", "--data", tmp_path)
    code, _, message = run("train", "--out", tmp_path / "run", *options)
    assert code == 2
    assert message.endswith(f"got both --source bundled and --data {tmp_path}")


@pytest.mark.parametrize(("classes", "said"), [(3, "10 labels, or with none, got one with 3")])
def test_weights_to_start_from_fit_the_labels_and_the_channels(tmp_path, small, run, classes, said):
    told = save(tmp_path / "told", UNet(replace(SMALL, classes=classes)), linear_schedule(3))
    code, _, message = run(*train_arguments(tmp_path / "run", "--labels", "--start", told))
    assert (code, message) == (2, f"error: --start must be a checkpoint with {said} labels")
    coloured = save(tmp_path / "rgb", UNet(replace(SMALL, image_channels=3)), linear_schedule(3))
    code, _, message = run(*train_arguments(tmp_path / "run", "--start", coloured))
    assert message.endswith("for images with 1 channel, got one for 3 channels")


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_no_advice_is_given_in_python(tmp_path, run, command):
    own = save(tmp_path / "own", torch.nn.Linear(1, 1), linear_schedule(3))
    out = ("--out", tmp_path / "x.png") if command == "sample" else ()
    code, _, message = run(command, *out, "--checkpoint", own)
    assert (code, message) == (2, f"error: {own} holds the weights of Linear, not of a UNet")
    save_file({"x": torch.ones(1)}, tmp_path / "foreign")
    code, _, message = run(command, *out, "--checkpoint", tmp_path / "foreign")
    assert message.endswith("has no noise schedule, because minddpm did not write it")


def test_what_the_library_says_is_said_in_options():
    options = command_line.build_parser().parse_args(["train", "--out", "x"])
    for text, said in (
        ("Use the digits of source='bundled'", "Use the digits of --source bundled"),
        ("choose a side, such as side=32", "choose a side, such as --side 32"),
        ("learning_rate must be positive, got 0", "--learning-rate must be positive, got 0"),
        ("in /steps must/learning_rate was", "in /steps must/learning_rate was"),
        ("the checkpoint was trained on x", "the checkpoint was trained on x"),
    ):
        assert command_line.in_options(ValueError(text), options) == said
    error = OSError(28, "No space left on device", "x.png")
    assert command_line.in_options(error, options) == "x.png: no space left on device"


def test_too_little_memory_is_said_without_the_allocators_words():
    with pytest.raises(RuntimeError, match="enforce fail") as refused:
        torch.empty(2**58)
    options = command_line.build_parser().parse_args(["sample", "--out", "x"])
    for error, asked in (
        (refused.value, f"{2**60} bytes"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU"), "2.00 GiB"),
        (MemoryError("Unable to allocate 2.9 TiB for an array with shape (4,)"), "2.9 TiB"),
    ):
        said = f"not enough memory for {asked} at once: fewer or smaller images need less"
        assert command_line.in_options(error, options) == said


# sample


@pytest.mark.parametrize("count", [1, 3, 12])
def test_sample_writes_a_grid(tmp_path, checkpoint, run, count):
    code, out, bar = run(
        "sample", "--out", tmp_path / "digits.png", "--checkpoint", checkpoint, "--count", count
    )
    assert code == 0
    counted = "1 image" if count == 1 else f"{count} images"
    assert out == f"wrote {counted} to {tmp_path / 'digits.png'}\n"
    assert "sampling" in bar
    with Image.open(tmp_path / "digits.png") as picture:
        width, height = picture.size
    assert width / height == pytest.approx(min(count, 10) / math.ceil(count / 10), rel=0.02)


@pytest.mark.parametrize("name", ["beta", "beta-tilde"])
def test_the_digits_are_those_of_the_seed_and_the_variance(tmp_path, checkpoint, run, drawn, name):
    common = ("--checkpoint", checkpoint, "--count", 2)
    code, _, _ = run(
        "sample", "--out", tmp_path / "x.png", *common, "--seed", 7, "--variance", name
    )
    assert code == 0
    model, schedule, _ = load(checkpoint)
    options = {"variance": posterior_variance} if name == "beta-tilde" else {}
    generator = torch.Generator().manual_seed(7)
    assert torch.equal(
        drawn[0], sample(model, (2, 1, 28, 28), schedule, generator=generator, **options)
    )


def test_the_digits_may_be_drawn_in_few_steps(tmp_path, checkpoint, run, drawn):
    assert (
        run(
            "sample",
            "--out",
            tmp_path / "x.png",
            "--checkpoint",
            checkpoint,
            "--count",
            2,
            "--ddim",
            2,
        )[0]
        == 0
    )
    model, schedule, _ = load(checkpoint)
    start = {"steps": 2, "clip": False, "generator": torch.Generator().manual_seed(0)}
    assert torch.equal(drawn[0], ddim_sample(model, (2, 1, 28, 28), schedule, **start).clamp(-1, 1))
    code, _, message = run(
        "sample", "--out", tmp_path / "x.png", "--checkpoint", checkpoint, "--ddim", 4
    )
    assert code == 2
    assert "--ddim must be at most 3, the number of steps of the noise schedule, got 4" in message


@pytest.mark.parametrize("solver", [dpm_solver, heun])
def test_the_few_steps_may_be_of_second_order(tmp_path, checkpoint, run, drawn, solver):
    option = "--dpm-solver" if solver is dpm_solver else "--heun"
    common = ("sample", "--out", tmp_path / "x.png", "--checkpoint", checkpoint, "--count", 2)
    assert run(*common, option, 2, "--seed", 5)[0] == 0
    model, schedule, _ = load(checkpoint)
    generator = torch.Generator().manual_seed(5)
    shape, options = (2, 1, 28, 28), {"solver": solver, "steps": 2, "generator": generator}
    assert torch.equal(drawn[0], flow_sample(model, shape, schedule, **options))
    code, _, message = run(*common, option, 4)
    assert code == 2
    expected = f"{option} must be at most 3, the number of steps of the noise schedule, got 4"
    assert expected in message
    code, _, message = run(*common, option, 2, "--variance", "beta-tilde")
    assert code == 2
    assert f"steps: got both {option} and --variance beta-tilde" in message
    code, _, message = run(*common, option, 2, "--eta", 0.5)
    assert code == 2 and "--eta needs --ddim, got only --eta 0.5" in message


def test_one_sampler_at_a_time(tmp_path, capsys):
    common = ["sample", "--out", str(tmp_path / "x.png"), "--ddim", "2"]
    for option in ("--dpm-solver", "--heun"):
        with pytest.raises(SystemExit) as stop:
            command_line.main([*common, option, "2"])
        assert stop.value.code == 2
        assert f"argument {option}: not allowed with argument --ddim" in capsys.readouterr().err


def test_the_few_steps_may_add_fresh_noise(tmp_path, checkpoint, run, drawn):
    common = ("sample", "--out", tmp_path / "x.png", "--checkpoint", checkpoint, "--count", 2)
    assert run(*common, "--ddim", 2, "--eta", 0.5)[0] == 0
    model, schedule, _ = load(checkpoint)
    start = {"steps": 2, "eta": 0.5, "clip": False, "generator": torch.Generator().manual_seed(0)}
    assert torch.equal(drawn[0], ddim_sample(model, (2, 1, 28, 28), schedule, **start).clamp(-1, 1))
    code, _, message = run(*common, "--eta", 0.5)
    assert code == 2 and "--eta needs --ddim, got only --eta 0.5" in message


@pytest.mark.parametrize("eta", ["-0.1", "1.1", "nan", "much"])
def test_eta_is_a_share(tmp_path, capsys, eta):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["sample", "--out", str(tmp_path / "x.png"), "--ddim", "2", "--eta", eta])
    assert stop.value.code == 2
    assert f"argument --eta: must be a number from 0 to 1, got {eta!r}" in capsys.readouterr().err


def test_the_variance_is_of_ancestral_steps(tmp_path, checkpoint, run):
    options = ("--checkpoint", checkpoint, "--ddim", 2, "--variance", "beta-tilde")
    code, _, message = run("sample", "--out", tmp_path / "x.png", *options)
    assert code == 2 and "--variance is for ancestral steps" in message and "beta-tilde" in message


@pytest.mark.parametrize("more", [(), ("--ddim", 2)])
def test_digits_that_are_no_numbers_are_not_written(tmp_path, run, more):
    model = UNet(SMALL)
    model.out.bias.data.fill_(math.nan)
    path = save(tmp_path / "broken.safetensors", model, linear_schedule(3, 0.1, 0.5))
    code, _, message = run(
        "sample", "--out", tmp_path / "x.png", "--checkpoint", path, "--count", 2, *more
    )
    assert (
        code == 2 and "images must be finite, got NaN in 2 of 2: the weights are broken" in message
    )
    assert not (tmp_path / "x.png").exists()


def test_a_scale_at_which_digits_overflow_is_named(tmp_path, run):
    options = ("--digit", 3, "--count", 2, "--ddim", 3, "--scale", "1e30")
    code, _, message = run("sample", "--out", tmp_path / "x.png", *options)
    assert code == 2 and "--scale 1e+30 is too large" in message
    assert not (tmp_path / "x.png").exists()


def test_one_digit_may_be_asked_for(tmp_path, run, drawn):
    torch.manual_seed(0)
    model, schedule = UNet(replace(SMALL, classes=10)).eval(), linear_schedule(3, 0.1, 0.5)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = save(tmp_path / "labels.safetensors", model, schedule)
    common = ("--checkpoint", path, "--count", 2)
    assert run("sample", "--out", tmp_path / "x.png", *common, "--digit", 7, "--scale", 2.5)[0] == 0
    told = guided(model, 7, 2.5)
    assert torch.equal(
        drawn[0], sample(told, (2, 1, 28, 28), schedule, generator=torch.Generator().manual_seed(0))
    )
    assert (
        run(
            "sample", "--out", tmp_path / "x.png", *common, "--digit", 7, "--scale", 4, "--ddim", 2
        )[0]
        == 0
    )
    generator = torch.Generator().manual_seed(0)
    start = {"steps": 2, "clip": False, "generator": generator}  # clipped, it would not heed the 7
    assert torch.equal(
        drawn[1], ddim_sample(guided(model, 7, 4.0), (2, 1, 28, 28), schedule, **start).clamp(-1, 1)
    )
    code, _, message = run("sample", "--out", tmp_path / "x.png", "--scale", 2)
    assert code == 2 and "--scale needs --digit or --label, got only --scale 2" in message


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A checkpoint of a network that knows ten labels, with random weights."""
    torch.manual_seed(0)
    model = UNet(replace(SMALL, classes=10)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path_factory.mktemp("labelled") / "labels.safetensors"
    return save(path, model, linear_schedule(3, 0.1, 0.5))


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_weights_with_labels_are_asked_for_each_in_turn(tmp_path, labelled, run, drawn, scale):
    common = ("--checkpoint", labelled, "--scale", scale, "--count", 12)
    assert run("sample", "--out", tmp_path / "x.png", *common)[0] == 0
    model, schedule, _ = load(labelled)

    def wanted(labels, seed):
        generator = torch.Generator().manual_seed(seed)
        told = guided(model, torch.tensor(labels), scale)
        return sample(told, (len(labels), 1, 28, 28), schedule, generator=generator)

    first = [*range(10), 0, 1]
    assert torch.equal(drawn[0], wanted(first, 0))
    kept = tmp_path / "kept.npz"
    assert run("evaluate", "--samples", kept, *common, "--batch", 7)[0] == 0
    with np.load(kept) as arrays:
        images = torch.from_numpy(arrays["images"])
    assert torch.equal(images, torch.cat([wanted(first[:7], 0), wanted(first[7:], 7)]))
    code, _, message = run("evaluate", "--samples", kept, *common, "--scale", 4)
    assert code == 2 and f"scale was {scale}, is 4.0" in message


def test_samples_of_weights_with_labels_that_were_asked_for_none_are_not_continued(
    tmp_path, labelled, run
):
    """As earlier versions drew them, which kept no scale."""
    common = ("evaluate", "--checkpoint", labelled, "--count", 3, "--samples", tmp_path / "a.npz")
    assert run(*common)[0] == 0
    with np.load(tmp_path / "a.npz") as arrays:
        images, settings = arrays["images"], json.loads(str(arrays["settings"]))
    del settings["scale"]
    np.savez(tmp_path / "a.npz", images=images, settings=json.dumps(settings))
    code, _, message = run(*common)
    assert code == 2 and "scale was None, is 1.0" in message


@pytest.mark.parametrize("command", [("sample", "--out", "x.png"), ("evaluate",)])
@pytest.mark.usefixtures("unsampled")
def test_a_scale_needs_weights_with_labels(tmp_path, checkpoint, run, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code, _, message = run(*command, "--checkpoint", checkpoint, "--scale", 2)
    expected = "--scale needs a checkpoint trained with --labels, got one without"
    assert (code, message) == (2, f"error: {expected}")


def test_a_digit_is_asked_only_of_weights_that_know_digits(tmp_path, checkpoint, run):
    code, _, message = run(
        "sample", "--out", tmp_path / "x.png", "--checkpoint", checkpoint, "--digit", 7
    )
    assert code == 2
    assert message == "error: --digit needs a checkpoint trained with --labels, got one without"


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("nowhere/digits.png", "expected an existing folder to write digits.png in, got "),
        ("digits.docx", "the ending of a picture, such as digits.png, got .*digits.docx"),
        ("digits", "the ending of a picture, such as digits.png, got .*digits"),
        ("digits.xbm", "the ending of a picture, such as digits.png, got .*digits.xbm"),
        ("digits.ico", ".ico files hold pictures of few sizes: choose another format, such as "),
        ("", "--out must be a file, got the folder "),
        (250 * "x" + ".png", "cannot write .*x.png: file name too long"),
        (300 * "x" + ".png", "cannot write .*x.png: file name too long"),
        (300 * "x" + "/x.png", "cannot write .*/x.png: file name too long"),
    ],
)
@pytest.mark.usefixtures("unsampled")
def test_a_picture_that_could_not_be_written_is_refused_before_sampling(tmp_path, run, out, said):
    code, _, message = run("sample", "--out", tmp_path / out)
    assert code == 2
    assert re.search(said, message)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
@pytest.mark.usefixtures("unsampled")
def test_a_place_that_takes_no_files_is_refused_before_sampling(checkpoint, run):
    for arguments in (("sample", "--out", "/proc/x.png"), ("evaluate", "--samples", "/proc/x.npz")):
        code, _, message = run(*arguments, "--checkpoint", checkpoint)
        assert code == 2
        assert message == f"error: cannot write {arguments[2]}: /proc takes no files"


@pytest.mark.usefixtures("unsampled")
def test_a_picture_too_large_for_its_format_is_refused_before_sampling(tmp_path, checkpoint, run):
    arguments = ("sample", "--checkpoint", checkpoint, "--count", 2800, "--out")
    code, _, message = run(*arguments, tmp_path / "x.webp")
    assert code == 2
    assert ".webp files cannot hold a picture of 600x16800 pixels: choose fewer images" in message


@pytest.mark.usefixtures("unsampled")
def test_images_that_no_picture_can_show_are_refused_before_sampling(tmp_path, run):
    path = save(tmp_path / "four", UNet(replace(SMALL, image_channels=4)), linear_schedule(3))
    code, _, message = run("sample", "--checkpoint", path, "--out", tmp_path / "x.png")
    assert (code, message) == (
        2,
        f"error: a picture can show only images with 1 or 3 channels: {path} draws images with 4",
    )


@pytest.mark.parametrize("shape", ["wide", [28, 28], [3, 28, 28], [1, 0, 28]])
@pytest.mark.usefixtures("unsampled")
def test_a_shape_of_images_that_cannot_be_is_refused(tmp_path, run, shape):
    about = {"image_shape": shape}
    path = save(tmp_path / "x", UNet(SMALL), linear_schedule(3), metadata=about)
    code, _, message = run("sample", "--checkpoint", path, "--out", tmp_path / "x.png")
    assert code == 2
    assert "its metadata must hold the image_shape [1, height, width], got" in message


# evaluate


@pytest.mark.parametrize(("count", "parts"), [(3, "2 and 1"), (12, "11 and 1")])
@pytest.mark.usefixtures("unsampled")
def test_too_few_images_to_compare_with_are_refused_before_sampling(
    tmp_path, checkpoint, run, count, parts
):
    np.savez(tmp_path / "few.npz", images=np.zeros((count, 28, 28), np.uint8))
    options = ("--samples", tmp_path / "kept.npz", "--data", tmp_path / "few.npz")
    code, _, message = run("evaluate", "--checkpoint", checkpoint, *options)
    assert code == 2
    assert message.startswith(
        "error: --data must hold at least 4 images to train on and 2 held out"
    )
    assert message.endswith(f"got {parts}")


@pytest.mark.usefixtures("unsampled")
def test_other_images_are_not_compared_with_digits(tmp_path, run):
    images = torch.zeros(4, 1, 8, 8)
    other = runs.train_to(tmp_path, UNet(SMALL), images, linear_schedule(3), steps=1).checkpoint
    code, _, message = run("evaluate", "--checkpoint", other, "--samples", tmp_path / "kept.npz")
    assert (code, message) == (
        2,
        "error: the checkpoint draws images of shape (1, 8, 8), not digits: say with --data which"
        " images to compare with",
    )


@pytest.mark.filterwarnings("default")
def test_other_images_of_the_size_of_digits_are_compared_with_a_warning(tmp_path, run, capsys):
    images = torch.zeros(4, 1, 28, 28)
    other = runs.train_to(tmp_path, UNet(SMALL), images, linear_schedule(3), steps=1).checkpoint
    samples = ("--samples", str(tmp_path / "kept.npz"), "--count", "2")
    assert command_line.main(["evaluate", "--checkpoint", str(other), *samples]) == 0
    said = "warning: the checkpoint was not trained on the bundled digits, which its images are"
    assert said in capsys.readouterr().err


def test_evaluate_keeps_the_samples_and_prints_the_report(tmp_path, checkpoint, run):
    samples = tmp_path / "new" / "kept.npz"
    arguments = (
        "evaluate",
        "--checkpoint",
        checkpoint,
        "--samples",
        samples,
        "--count",
        7,
        "--batch",
        4,
        "--seed",
        2,
    )
    code, out, _ = run(*arguments)
    assert code == 0
    with np.load(samples) as arrays:
        images = torch.from_numpy(arrays["images"])
    model, schedule, _ = load(checkpoint)
    seeds = [torch.Generator().manual_seed(2 * 1_000_003 + start) for start in (0, 4)]
    parts = [
        sample(model, (n, 1, 28, 28), schedule, generator=seed)
        for n, seed in zip((4, 3), seeds, strict=True)
    ]
    assert torch.equal(images, torch.cat(parts))
    assert out == f"{digit_report(images)}\n"


def test_an_extended_evaluation_draws_what_a_longer_one_draws(tmp_path, checkpoint, run):
    arguments = ("evaluate", "--checkpoint", checkpoint, "--batch", 4, "--samples")
    for count in (7, 10):
        assert run(*arguments, tmp_path / "parts.npz", "--count", count)[0] == 0
    assert run(*arguments, tmp_path / "whole.npz", "--count", 10)[0] == 0
    parts, whole = (np.load(tmp_path / name)["images"] for name in ("parts.npz", "whole.npz"))
    assert np.array_equal(parts, whole)


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path, checkpoint, run, monkeypatch):
    arguments = ("evaluate", "--checkpoint", checkpoint, "--count", 8, "--batch", 3, "--samples")
    run(*arguments, tmp_path / "whole.npz")
    draw, count = command_line.draw, []

    def interrupted(*arguments):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return draw(*arguments)

    monkeypatch.setattr(command_line, "draw", interrupted)
    code, _, message = run(*arguments, tmp_path / "parts.npz")
    assert code == 130
    assert message == (
        f"stopped; 6 images saved in {tmp_path / 'parts.npz'}: run the command again to continue"
    )
    code, out, _ = run(*arguments, tmp_path / "parts.npz")
    assert code == 0
    assert len(count) == 4, "only the last batch is drawn"
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "parts.npz") as parts:
        assert np.array_equal(whole["images"], parts["images"])
    again = run(*arguments, tmp_path / "parts.npz")
    assert len(count) == 4, "nothing is drawn twice"
    assert again[1] == out


def test_samples_of_another_kind_are_refused(tmp_path, checkpoint, run):
    samples = tmp_path / "kept.npz"
    arguments = ("evaluate", "--checkpoint", checkpoint, "--samples", samples, "--count", 2)
    run(*arguments)
    code, _, message = run(*arguments, "--variance", "beta-tilde")
    assert code == 2
    assert (
        message == f"error: cannot reuse {samples} with other settings: --variance was 'beta', is"
        " 'beta-tilde'"
    )
    code, _, message = run(*arguments, "--heun", 2)
    assert code == 2
    assert message.endswith("with other settings: --heun was None, is 2")
    save(checkpoint, UNet(SMALL), linear_schedule(4))
    code, _, message = run(*arguments)
    assert code == 2
    assert message == (
        f"error: cannot reuse {samples} with other settings: the weights or their noise schedule"
        " differ from those of the checkpoint that drew them"
    )


def test_samples_of_a_version_without_solvers_go_on_without_them(tmp_path, checkpoint, run):
    samples = tmp_path / "kept.npz"
    arguments = ("evaluate", "--checkpoint", checkpoint, "--samples", samples, "--count", 2)
    run(*arguments)
    with np.load(samples) as arrays:
        settings, images = json.loads(str(arrays["settings"])), arrays["images"]
    assert (settings.pop("heun"), settings.pop("dpm_solver")) == (None, None)
    np.savez(samples, images=images, settings=json.dumps(settings))
    assert run(*arguments)[0] == 0
    assert "--dpm-solver was None, is 2" in run(*arguments, "--dpm-solver", 2)[2]


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.write(b"text"),
        lambda file: np.save(file, [1]),
        lambda file: np.savez(file, images=[1]),
    ],
    ids=["text", "npy", "npz"],
)
def test_a_file_that_holds_no_samples_is_refused(tmp_path, checkpoint, run, write):
    samples = tmp_path / "other"
    with samples.open("wb") as file:
        write(file)
    code, _, message = run("evaluate", "--checkpoint", checkpoint, "--samples", samples)
    assert code == 2
    assert message == (
        f"error: expected the samples of an earlier evaluation in {samples}, got a file of another"
        " kind"
    )


# export


@pytest.fixture
def computed_by_onnx():
    """Computes the noise that an exported file predicts, given its inputs by name."""
    onnxruntime = pytest.importorskip("onnxruntime")

    def compute(path, **inputs):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert [one.name for one in session.get_inputs()] == list(inputs)
        arrays = {name: values.numpy() for name, values in inputs.items()}
        return torch.from_numpy(session.run(["noise"], arrays)[0])

    return compute


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("options", "name"), [((), "mnist"), (("--labels",), "mnist_labels")])
def test_the_shipped_weights_are_exported(tmp_path, run, computed_by_onnx, options, name, count):
    out = tmp_path / "unet.onnx"
    code, said, _ = run("export", "--out", out, *options)
    assert code == 0
    size = out.stat().st_size
    told = re.fullmatch(
        rf"wrote {re.escape(str(out))}, (.+) MB: the noise it predicts differs from PyTorch's by at"
        r" most (.+)\n",
        said,
    )
    assert float(told[1]) == round(size / 1e6, 1)
    assert 0 < float(told[2]) <= 1e-4
    model, schedule, _ = load_pretrained(name)
    inputs = {"x_t": torch.randn(count, 1, 28, 28), "t": torch.randint(1, schedule.T, (count,))}
    if options:
        inputs["label"] = torch.tensor([10, 3, 0])[:count]  # 10 stands for none
    with torch.inference_mode():
        expected = model(*inputs.values())
    assert (computed_by_onnx(out, **inputs) - expected).abs().max() <= 1e-4


def test_half_of_the_size_costs_little_precision(tmp_path, run, computed_by_onnx):
    whole, half = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    run("export", "--out", whole, "--labels")
    code, said, _ = run("export", "--out", half, "--labels", "--half")
    assert code == 0
    assert half.stat().st_size < 0.53 * whole.stat().st_size
    inputs = {
        "x_t": torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)),
        "t": torch.tensor([1, 10, 500, 1000]),
        "label": torch.tensor([1, 10, 7, 4]),
    }
    ours, theirs = (computed_by_onnx(path, **inputs) for path in (half, whole))
    assert 1e-5 < (ours - theirs).abs().max() <= 5e-3
    assert 1e-5 < float(said.split()[-1]) <= 5e-3


def test_own_weights_are_exported_in_the_shape_of_their_images(tmp_path, run, computed_by_onnx):
    torch.manual_seed(0)
    model = UNet(replace(SMALL, image_channels=3, classes=2)).eval()
    torch.nn.init.normal_(model.out.weight)
    about = {"image_shape": [3, 8, 12]}
    own = save(tmp_path / "own", model, linear_schedule(5), metadata=about)
    assert run("export", "--out", tmp_path / "own.onnx", "--checkpoint", own)[0] == 0
    x_t, t, label = torch.randn(2, 3, 8, 12), torch.tensor([1, 5]), torch.tensor([0, 2])
    with torch.inference_mode():
        expected = model(x_t, t, label)
    ours = computed_by_onnx(tmp_path / "own.onnx", x_t=x_t, t=t, label=label)
    assert (ours - expected).abs().max() <= 1e-4
    assert expected.std() > 0.1


@pytest.mark.parametrize(
    ("value", "options", "said"),
    [
        (math.nan, (), "the exported network must predict what PyTorch does, up to 0.001, got a"),
        (1e6, ("--half",), "weights stored in float16 must be at most 65504, got 1e+06"),
    ],
)
def test_broken_weights_are_not_exported(tmp_path, run, value, options, said):
    pytest.importorskip("onnxruntime")
    model = UNet(replace(SMALL, channels=(32, 32)))  # large enough for float16
    torch.nn.init.constant_(model.middle_in.conv_in.weight, value)
    torch.nn.init.normal_(model.middle_in.conv_out.weight)
    torch.nn.init.normal_(model.out.weight)
    own = save(tmp_path / "own", model, linear_schedule(5))
    out = tmp_path / "own.onnx"
    code, _, message = run("export", "--out", out, "--checkpoint", own, *options)
    assert code == 2
    assert message.startswith(f"error: {said}")
    assert not out.exists()


def test_what_cannot_be_exported_says_why(tmp_path, run, monkeypatch):
    code, _, message = run("export", "--out", tmp_path)
    assert (code, message) == (2, f"error: --out must be a file, got the folder {tmp_path}")
    for name, said in (
        ("new/unet.onnx", f"an existing folder to write unet.onnx in, got {tmp_path / 'new'}"),
        (
            "unet.txt",
            f"a name with the ending .onnx, such as unet.onnx, got {tmp_path / 'unet.txt'}",
        ),
        ("unet", f"a name with the ending .onnx, such as unet.onnx, got {tmp_path / 'unet'}"),
    ):
        code, _, message = run("export", "--out", tmp_path / name)
        assert (code, message) == (2, f"error: expected {said}")
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, message = run("export", "--out", tmp_path / "unet.onnx")
    assert code == 2
    assert message == "error: ONNX Runtime is not installed: pip install 'minddpm[onnx]'"


# errors


@pytest.mark.parametrize("command", [("sample", "--out", "x.png"), ("evaluate",)])
def test_a_checkpoint_that_is_none_costs_one_line(tmp_path, run, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no weights")
    code, out, message = run(*command, "--checkpoint", "text")
    assert (code, out) == (2, "")
    assert message.startswith("error: text is not a complete safetensors file (10 bytes)")


AS_MODULE = ["-m", "minddpm"]
AS_COMMAND = ["-c", "import sys; sys.argv[0] = '/bin/minddpm'; import minddpm.__main__"]
AS_LIBRARY = ["-c", "import minddpm"]


@NEEDS_SIGINT
@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(
    ("how", "code"), [(AS_MODULE, 130), (AS_COMMAND, 130), (AS_LIBRARY, -signal.SIGINT)]
)
def test_ctrl_c_while_pytorch_is_imported_ends_a_command_quietly(tmp_path, how, code):
    (tmp_path / "torch.py").write_text("import time; print(flush=True); time.sleep(60)")
    root = Path(command_line.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, *how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=50)
    finally:
        process.kill()
    assert process.returncode == code
    assert (said == b"") == (how != AS_LIBRARY)


@NEEDS_SIGINT
@pytest.mark.usefixtures("heeded")
def test_ctrl_c_raises_again_once_a_command_is_loaded(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/minddpm"])
    interrupts.loading()
    assert signal.getsignal(signal.SIGINT) is interrupts.end_quietly
    interrupts.loaded()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_module_runs_and_an_error_is_one_line_without_a_traceback(tmp_path):
    command = [
        sys.executable,
        "-m",
        "minddpm",
        "sample",
        "--out",
        str(tmp_path / "x.png"),
        "--checkpoint",
        "nowhere",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: expected a checkpoint at nowhere, got no file\n"


# precision and device


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_weights_of_another_precision_are_drawn_from_and_measured(tmp_path, run, dtype):
    torch.manual_seed(0)
    model = UNet(SMALL).to(dtype)
    path = save(tmp_path / "other.safetensors", model, linear_schedule(3, 0.1, 0.5))
    for more in ((), ("--ddim", 2)):
        out = tmp_path / "x.png"
        code, _, message = run("sample", "--out", out, "--checkpoint", path, "--count", 2, *more)
        assert code == 0, message
    samples = tmp_path / "kept.npz"
    arguments = ("evaluate", "--checkpoint", path, "--samples", samples, "--count", 2)
    code, out, message = run(*arguments)
    assert code == 0, message
    with np.load(samples) as arrays:
        assert arrays["images"].dtype == np.float32
    assert run(*arguments)[1] == out, "the kept samples are known again"


def test_training_may_multiply_in_bfloat16(tmp_path, small, run):
    rows, weights = {}, {}
    for precision in ("float32", "bf16"):
        out = tmp_path / precision
        code, _, message = run(*train_arguments(out, "--precision", precision, steps=30, every=30))
        assert code == 0, message
        model, schedule, metadata = load(out / "checkpoint.safetensors")
        weights[precision] = load_file(out / "checkpoint.training.safetensors")
        assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
        assert metadata["precision"] == precision
        held_out = runs.held_out_loss(  # as they are drawn from
            model, small["test"][0], schedule, loss=weighted_loss
        )
        assert metadata["held_out_loss"] == pytest.approx(held_out, rel=1e-9)
        rows[precision] = [float(value) for value in log_rows(out)[1]]
    for kept in weights.values():
        assert {value.dtype for value in kept.values()} == {torch.float32, torch.int64}
    loss, held_out = (rows["bf16"][column] / rows["float32"][column] for column in (2, 3))
    assert abs(loss - 1) <= 0.01
    assert abs(held_out - 1) <= 0.01
    plain, half = (kept["weights.out.weight"] for kept in weights.values())
    assert not torch.equal(plain, half)
    more = ("--precision", "float32", "--resume")
    code, _, message = run(*train_arguments(tmp_path / "bf16", *more, steps=30, every=30))
    assert code == 2
    assert message.endswith("with other settings: --precision was 'bf16', is 'float32'")


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="needs a C++ compiler")
def test_a_compiled_network_trains_the_same(tmp_path):
    code = (
        "import sys; from dataclasses import replace; import minddpm.__main__ as command_line\n"
        "small = command_line.UNetConfig(channels=(8,), time_dim=8, groups=4)\n"
        "recipe = replace(command_line.RECIPES['paper'], network=small)\n"
        "command_line.RECIPES['paper'] = recipe; sys.exit(command_line.main(sys.argv[1:]))\n"
    )
    losses, kept = [], []
    both = ("--device", "cpu"), ("--device", "cpu", "--compile")
    for out, more in zip((tmp_path / "plain", tmp_path / "compiled"), both):
        words = [str(word) for word in train_arguments(out, "--recipe", "paper", *more)]
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        losses.append([row[2] for row in log_rows(out)])
        kept.append(load_file(out / "checkpoint.training.safetensors"))
    plain, compiled = kept
    assert plain.keys() == compiled.keys()
    assert max((value - compiled[name]).abs().max() for name, value in plain.items()) <= 1e-4
    assert any(not torch.equal(value, compiled[name]) for name, value in plain.items())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("command", ["train", "sample", "evaluate"])
@pytest.mark.parametrize(
    ("name", "said"),
    [("mps", "this machine has no mps device: use cpu"), ("tpu", "must be one of auto, cpu, cuda")],
)
def test_a_device_that_is_not_there_is_refused(tmp_path, capsys, monkeypatch, command, name, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    out = [] if command == "evaluate" else ["--out", str(tmp_path / "x.png")]
    with pytest.raises(SystemExit) as stop:
        command_line.main([command, *out, "--device", name])
    assert stop.value.code == 2
    assert f"argument --device: {said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("there", "wanted"), [((True, True), "cuda"), ((False, True), "mps"), ((False, False), "cpu")]
)
def test_auto_is_the_fastest_device_that_is_there(monkeypatch, there, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there[0])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there[1])
    options = command_line.build_parser().parse_args(["sample", "--out", "x.png"])
    assert options.device == torch.device(wanted)


def test_the_model_is_moved_to_the_device(tmp_path, small, checkpoint, run, monkeypatch):
    moved = []
    move = UNet.to
    monkeypatch.setattr(UNet, "to", lambda model, *to: moved.append(to) or move(model, *to))
    out = tmp_path / "x.png"
    assert run("sample", "--out", out, "--checkpoint", checkpoint, "--device", "cpu")[0] == 0
    assert run(*train_arguments(tmp_path / "run", "--device", "cpu"))[0] == 0
    samples = ("--samples", tmp_path / "kept.npz", "--count", 2)
    assert run("evaluate", "--checkpoint", checkpoint, *samples, "--device", "cpu")[0] == 0
    assert moved == [(torch.device("cpu"),)] * 3


# paths


def test_a_home_folder_is_found_in_each_path(tmp_path, small, checkpoint, run, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert run("sample", "--out", "~/x.png", "--checkpoint", f"~/{checkpoint.name}")[0] == 0
    assert (tmp_path / "x.png").is_file()
    assert run(*train_arguments("~/run"))[0] == 0
    start = "~/run/checkpoint.safetensors"
    assert run(*train_arguments("~/second", "--start", start))[0] == 0
    samples = ("--samples", "~/kept.npz", "--count", 2)
    assert run("evaluate", "--checkpoint", checkpoint, *samples)[0] == 0
    assert (tmp_path / "kept.npz").is_file()


@pytest.mark.usefixtures("unsampled")
def test_samples_in_a_folder_or_a_picture_are_refused(tmp_path, checkpoint, run):
    arguments = ("evaluate", "--checkpoint", checkpoint, "--samples")
    code, _, message = run(*arguments, tmp_path)
    assert (code, message) == (2, f"error: --samples must be a file, got the folder {tmp_path}")
    picture = tmp_path / "x.png"
    Image.new("L", (8, 8)).save(picture)
    code, _, message = run(*arguments, picture)
    assert code == 2
    assert message.endswith(f"evaluation in {picture}, got a file of another kind")
    assert "pickle" not in message


@pytest.mark.parametrize("more", [("--batch-size", 21), ("--resume",), ("--start", "nowhere")])
def test_settings_that_cannot_work_leave_no_folder(tmp_path, small, run, more):
    arguments = ("train", "--out", tmp_path / "run", "--steps", 2, *more)
    code, _, message = run(*arguments)
    assert code == 2
    assert not (tmp_path / "run").exists()
    if "--batch-size" in more:
        assert message == (
            "error: --batch-size must be at most 20, the number of images to train on (20 more are"
            " held out), got 21"
        )


@pytest.mark.usefixtures("unsampled")
def test_a_folder_that_is_read_only_is_refused_before_sampling(
    tmp_path, checkpoint, run, monkeypatch
):
    def touch(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoints.Path, "touch", touch)
    weights = ("--checkpoint", checkpoint)
    for arguments in (("sample", "--out", "x.png"), ("evaluate", "--samples", "new/kept.npz")):
        code, _, message = run(*arguments[:2], tmp_path / arguments[2], *weights)
        assert (code, message) == (
            2,
            f"error: cannot write {tmp_path / arguments[2]}: permission denied",
        )
    assert not (tmp_path / "new").exists()


def test_an_out_that_is_a_file_is_refused(tmp_path, small, run):
    (tmp_path / "taken").write_text("")
    code, _, message = run(*train_arguments(tmp_path / "taken"))
    assert code == 2
    assert message.endswith(f"expected a folder to write in, got the file {tmp_path / 'taken'}")


def test_fewer_images_than_a_batch_are_all_taken(tmp_path, small, run):
    assert run("train", "--out", tmp_path, "--steps", 1)[0] == 0
    assert load(tmp_path / "checkpoint.safetensors")[2]["batch_size"] == 20


# the command itself


def test_the_version_and_where_the_lessons_are(capsys):
    for option, said in (("--version", "minddpm "), ("--help", "usage: minddpm ")):
        with pytest.raises(SystemExit) as stop:
            command_line.main([option])
        assert stop.value.code == 0
        shown = capsys.readouterr().out
        assert shown.startswith(said)
    assert "`minddpm lessons`" in shown
    assert "`make lab`" in shown.replace("\n", " ")


class Entry:
    """An entry point, as a package would offer it."""

    def __init__(self, name, load):
        self.name = name
        self.load = load


def offer(monkeypatch, *entries):
    def entry_points(group):
        assert group == "minddpm.commands"
        return entries

    monkeypatch.setattr(command_line, "entry_points", entry_points)


def greet(options):
    """Say hello."""
    print(f"hello {options.name}")
    return 1


def add_greeting(command):
    command("greet", greet).add_argument("name")


def missing():
    raise ModuleNotFoundError("No module named 'jinja2'")


def test_another_package_may_add_commands(monkeypatch, run, capsys):
    offer(monkeypatch, Entry("greetings", lambda: add_greeting))
    assert run("greet", "you")[:2] == (1, "hello you\n")
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    assert "Say hello." in capsys.readouterr().out


def test_a_package_that_is_broken_breaks_no_command_of_the_library(
    tmp_path, checkpoint, monkeypatch, run, capsys
):
    broken = Entry("classroom", missing), Entry("worse", lambda: lambda command: 1 / 0)
    offer(monkeypatch, *broken, Entry("greetings", lambda: add_greeting))
    out = ("--out", tmp_path / "x.png")
    code, _, message = run("sample", *out, "--checkpoint", checkpoint, "--count", 2)
    assert code == 0
    assert "classroom" not in message, "it is not even imported"
    assert command_line.main(["greet", "you"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "warning: no commands from classroom: No module named 'jinja2'",
        "warning: no commands from worse: division by zero",
    ]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "utf-16"])
def test_output_is_utf_8_whatever_the_terminal(tmp_path, checkpoint, monkeypatch, encoding):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
    samples = ("--samples", str(tmp_path / "kept.npz"), "--count", "2")
    assert command_line.main(["evaluate", "--checkpoint", str(checkpoint), *samples]) == 0
    sys.stdout.flush()
    assert "Fréchet distance" in shown.getvalue().decode("utf-8")


def test_a_name_in_an_error_steers_no_terminal(run):
    name = "a\x1b[2J\u202eb\udce9.pt"
    code, _, message = run("sample", "--out", "x.png", "--checkpoint", name)
    assert code == 2
    assert r"a\x1b[2J\u202eb\udce9.pt" in message
    assert message.isprintable()


def test_sampling_needs_nothing_of_the_course(tmp_path, checkpoint):
    others = ["matplotlib", "IPython", "minddpm_course", "marking", "pooch"]
    code = f"import sys; sys.modules |= dict.fromkeys({others}); from minddpm.__main__ import main;"
    code += f"sys.exit(main(['sample', '--checkpoint', {str(checkpoint)!r}, '--count', '2',"
    code += f"'--out', {str(tmp_path / 'x.png')!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("small")
def test_as_many_steps_are_planned_as_fit_in_some_minutes(tmp_path, run, monkeypatch):
    ticks = iter(range(0, 10**6, 4))  # nine steps, the first not timed: eight in 4 s
    monkeypatch.setattr(runs.time, "perf_counter", lambda: next(ticks))
    taken = []

    def train_to(folder, *_, steps, **__):
        taken.append(steps)
        return runs.Run(folder / "checkpoint.safetensors", {"held_out_loss": 0.5}, steps)

    monkeypatch.setattr(command_line, "train_to", train_to)
    code, _, message = run("train", "--minutes", 0.5, "--batch-size", 2, "--out", tmp_path / "run")
    assert code == 0, message
    assert taken == [60]
    assert message == "about 60 steps in 0.5 minutes"


@pytest.mark.usefixtures("small")
def test_minutes_that_are_resumed_are_those_that_were_planned(tmp_path, run, monkeypatch):
    out = tmp_path / "run"
    monkeypatch.setattr(command_line, "steps_within", lambda *_, **__: 2)
    options = ("--batch-size", 2, "--out", out)
    assert run("train", "--minutes", 1, *options)[0] == 0
    code, said, _ = run("train", "--minutes", 1, "--resume", *options)
    assert code == 0
    assert said == f"{out / 'checkpoint.safetensors'} has already taken all 2 steps\n"
    with pytest.raises(SystemExit):
        run("train", "--minutes", 1, "--steps", 2, *options)


def test_planning_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    model = UNet(SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = load_mnist("train")[0][:4]
    assert runs.steps_within(0.01, model, images, linear_schedule(), batch_size=2) >= 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
