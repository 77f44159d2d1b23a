"""train_to: what it keeps, how it goes on, and what it refuses before anything is written."""

import copy
import os
import signal
import threading

import jaxtyping
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from minddpm import checkpoints, runs, training
from minddpm.checkpoints import load, load_training, save, training_file
from minddpm.data import data_digest
from minddpm.interrupts import uninterrupted
from minddpm.loss import simple_loss
from minddpm.runs import held_out_loss, train_to
from minddpm.schedule import cosine_schedule, linear_schedule
from minddpm.training import train
from minddpm.unet import UNet, UNetConfig

CONFIG = UNetConfig(channels=(8, 8), time_dim=8, groups=4)
SCHEDULE = linear_schedule(20)
SETTINGS = {"steps": 6, "batch_size": 4, "every": 2, "progress": False}
pytestmark = pytest.mark.usefixtures("heed_ctrl_c")


def network(classes=0, seed=0):
    torch.manual_seed(seed)
    return UNet(UNetConfig(channels=(8, 8), time_dim=8, groups=4, classes=classes))


def images_like(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 8, 8, generator=generator) * 2 - 1


IMAGES, HELD_OUT = images_like(11), images_like(5, seed=1)
LABELS = torch.arange(11) % 3


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def stop_after(monkeypatch, step):
    """Press Ctrl-C in the course of the step after this one."""
    whole_step, count = training.train_step, iter(range(1, 1000))

    def train_step(*arguments, **options):
        if next(count) == step + 1:
            os.kill(os.getpid(), signal.SIGINT)
        return whole_step(*arguments, **options)

    monkeypatch.setattr(training, "train_step", train_step)


@pytest.fixture
def unchecked():
    """Let bad input through to the package's own checks, as it is without enforced annotations."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_it_trains_as_train_does_and_keeps_the_average(tmp_path):
    model, alone = network(), network()
    run = train_to(tmp_path / "new" / "run", model, IMAGES, SCHEDULE, **SETTINGS)
    for state in train(alone, IMAGES, SCHEDULE, steps=6, batch_size=4):
        pass
    assert same(model, alone)
    loaded, schedule, metadata = load(run.checkpoint)
    assert same(loaded, state.average.model)
    assert torch.equal(schedule.beta, SCHEDULE.beta)
    assert metadata == run.metadata
    assert (run.steps, metadata["step"], metadata["images_seen"]) == (6, 6, 24)
    assert "held_out_loss" not in metadata
    rows = (run.checkpoint.parent / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["2", "4", "6"]
    assert {row.split(",")[3] for row in rows[1:]} == {""}


def test_held_out_images_are_measured_at_each_checkpoint(tmp_path):
    run = train_to(
        tmp_path,
        network(classes=3),
        IMAGES,
        SCHEDULE,
        labels=LABELS,
        held_out=HELD_OUT,
        held_out_labels=LABELS[:5],
        **SETTINGS,
    )
    model, *_ = load(run.checkpoint)
    held = held_out_loss(model, HELD_OUT, SCHEDULE, LABELS[:5])
    assert run.metadata["held_out_loss"] == pytest.approx(held, rel=1e-9)
    assert held != held_out_loss(model, HELD_OUT, SCHEDULE)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert float(rows[-1].split(",")[3]) == pytest.approx(held, abs=1e-5)


def test_another_loss_is_trained_and_measured(tmp_path):
    def tenfold(*arguments, **options):
        return 10 * simple_loss(*arguments, **options)

    run = train_to(
        tmp_path, network(), IMAGES, SCHEDULE, held_out=HELD_OUT, loss=tenfold, **SETTINGS
    )
    model, *_ = load(run.checkpoint)
    held = held_out_loss(model, HELD_OUT, SCHEDULE)
    assert run.metadata["held_out_loss"] == pytest.approx(10 * held, rel=1e-5)


def test_numpy_images_are_taken(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    torch.manual_seed(0)
    model = UNet(UNetConfig(image_channels=3, channels=(8, 8), time_dim=8, groups=4))
    run = train_to(tmp_path, model, pixels, SCHEDULE, steps=1, progress=False)
    assert run.metadata["image_shape"] == [3, 8, 8]
    assert run.metadata["batch_size"] == 5, "all of them, where they are fewer than 64"


def test_numpy_labels_are_taken(tmp_path):
    labels = LABELS.numpy().astype(np.uint8)
    options = SETTINGS | {"held_out": HELD_OUT, "held_out_labels": labels[:5]}
    a = train_to(tmp_path / "a", network(3), IMAGES, SCHEDULE, labels=labels, **options)
    options["held_out_labels"] = LABELS[:5]
    b = train_to(tmp_path / "b", network(3), IMAGES, SCHEDULE, labels=LABELS, **options)
    assert a.metadata | {"seconds": 0} == b.metadata | {"seconds": 0}


def test_numpy_numbers_are_taken_as_settings(tmp_path, unchecked):
    numbers = {"learning_rate": np.float32(0.5), "seed": np.int64(1), "dropped": np.float32(0.25)}
    run = train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS, **numbers)
    assert [load(run.checkpoint)[2][name] for name in numbers] == [0.5, 1, 0.25]


class Own(nn.Module):
    """A network that is no UNet and takes labels."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)
        self.label = nn.Embedding(4, 1)

    def forward(self, x_t, t, label=None):
        shift = 0 if label is None else self.label(label)[:, :, None, None]
        return self.layer(x_t) + shift


def test_a_network_of_ones_own_with_labels(tmp_path):
    torch.manual_seed(0)
    own = Own()
    before = own.label.weight.detach().clone()
    options = {"labels": LABELS, "held_out": HELD_OUT, "held_out_labels": LABELS[:5]}
    run = train_to(tmp_path, own, IMAGES, SCHEDULE, **options, **SETTINGS)
    filled, _, metadata = load(run.checkpoint, model=Own())
    assert metadata["step"] == 6
    assert not torch.equal(filled.label.weight, before)


# going on


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_ctrl_c_keeps_the_step_under_way_and_the_run_goes_on_to_the_bit(
    tmp_path, monkeypatch, stop
):
    options = {**SETTINGS, "labels": LABELS, "held_out": HELD_OUT, "held_out_labels": LABELS[:5]}
    whole = network(classes=3)
    train_to(tmp_path / "whole", whole, IMAGES, SCHEDULE, **options)
    checkpoint = tmp_path / "parts" / "checkpoint.safetensors"
    with monkeypatch.context() as patch:
        stop_after(patch, stop)
        said = f"stopped at step {stop + 1} of 6; saved in {checkpoint}: continue with resume=True"
        with pytest.raises(KeyboardInterrupt, match=said):
            train_to(tmp_path / "parts", network(classes=3), IMAGES, SCHEDULE, **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert load_training(checkpoint)[0]["step"] == stop + 1
    resumed = network(classes=3, seed=9)
    run = train_to(tmp_path / "parts", resumed, IMAGES, SCHEDULE, resume=True, **options)
    assert run.steps == 6 - (stop + 1)
    assert same(resumed, whole)
    for name in ("checkpoint.safetensors", "checkpoint.training.safetensors"):
        one, other = (load_file(tmp_path / folder / name) for folder in ("whole", "parts"))
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items())
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert [row.split(",")[:5] for row in logs[0]] == [row.split(",")[:5] for row in logs[1]]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_in_the_last_step_ends_the_run(tmp_path, monkeypatch):
    stop_after(monkeypatch, 5)
    assert train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS).metadata["step"] == 6


def test_a_step_that_was_torn_apart_is_not_kept(tmp_path, monkeypatch):
    # as a second Ctrl-C may do: the weights have moved, their average has not
    def update(*_):
        raise KeyboardInterrupt

    model = network()
    state = next(train(copy.deepcopy(model), IMAGES, SCHEDULE, steps=6, batch_size=4))
    assert runs.between_steps(state)
    monkeypatch.setattr(type(state.average), "update", update)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 0 of 6; nothing was saved"):
        train_to(tmp_path / "run", model, IMAGES, SCHEDULE, **SETTINGS)
    assert not (tmp_path / "run").exists()
    state.step += 1
    assert not runs.between_steps(state)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("presses", [1, 2, 3])
@pytest.mark.parametrize("during", ["write", "measure"])
def test_ctrl_c_at_a_checkpoint_loses_no_row_of_the_log(tmp_path, monkeypatch, during, presses):
    options = {**SETTINGS, "held_out": HELD_OUT}
    train_to(tmp_path / "whole", network(), IMAGES, SCHEDULE, **options)
    name = {"write": "write_whole", "measure": "held_out_loss"}[during]
    work, coming = getattr(runs, name), iter([presses])

    def interrupted(*arguments, **options):
        for _ in range(next(coming, 0)):
            os.kill(os.getpid(), signal.SIGINT)
        return work(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(runs, name, interrupted)
        with pytest.raises(KeyboardInterrupt, match="stopped at step 2 of 6"):
            train_to(tmp_path / "parts", network(), IMAGES, SCHEDULE, **options)
    log = (tmp_path / "parts" / "log.csv").read_text()
    assert [row.split(",")[0] for row in log.splitlines()] == ["step", "2"]
    train_to(tmp_path / "parts", network(), IMAGES, SCHEDULE, resume=True, **options)
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert [row.split(",")[:5] for row in logs[0]] == [row.split(",")[:5] for row in logs[1]]


def test_ctrl_c_that_waited_comes_afterwards():
    done = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append(1)
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_it_runs_outside_the_main_thread(tmp_path):
    # where no handler of Ctrl-C may be set
    done = []

    def work():
        done.append(train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done[0].steps == 6


def test_a_finished_run_is_left_alone(tmp_path):
    train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    model = network(seed=5)
    untouched = copy.deepcopy(model)
    run = train_to(tmp_path, model, IMAGES, SCHEDULE, resume=True, **SETTINGS)
    assert (run.steps, run.metadata["step"]) == (0, 6)
    assert same(model, untouched)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 5}, "steps was 6, is 5"),
        ({"steps": 9}, "steps was 6, is 9"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"ema_decay": 0.5}, "ema_decay was 0.999, is 0.5"),
        ({"schedule": cosine_schedule(20)}, "the noise schedule differs from that of the run in "),
        ({"images": -IMAGES}, "the images differ from those of the run in [^;]*$"),
        ({"labels": None}, "the run in .* was trained with labels$"),
        ({"labels": 1 * (LABELS > 0)}, "the labels differ from those of the run in [^;]*$"),
        ({"images": IMAGES[:9], "labels": LABELS[:9]}, "the images differ from [^;]*$"),
        ({"metadata": {"kind": "b"}}, "kind was 'a', is 'b'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_settings_are_refused_and_spare_the_model(tmp_path, change, said):
    given = {"images": IMAGES, "schedule": SCHEDULE, "labels": LABELS, "metadata": {"kind": "a"}}
    train_to(tmp_path, network(classes=3), **given, **SETTINGS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    model = network(classes=3, seed=5)
    untouched = copy.deepcopy(model)
    with pytest.raises(ValueError, match=f"cannot resume .* with other settings: .*{said}"):
        train_to(tmp_path, model, resume=True, **(SETTINGS | given | change))
    assert same(model, untouched)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_resume_beyond_its_end_is_refused(tmp_path):
    # a state that does not say how many steps it was to take
    state = next(train(network(), IMAGES, SCHEDULE, steps=1, batch_size=4))
    state.step = 9
    checkpoint = tmp_path / "checkpoint.safetensors"
    save(checkpoint, network(), SCHEDULE, metadata={"step": 9}, training=state.tensors())
    model = network(seed=5)
    untouched = copy.deepcopy(model)
    with pytest.raises(
        ValueError, match="steps must be at least 9, which .* has already taken, got 6"
    ):
        train_to(tmp_path, model, IMAGES, SCHEDULE, resume=True, **SETTINGS)
    assert same(model, untouched)


def test_the_state_of_another_network_is_refused_and_spares_the_model(tmp_path):
    train_to(tmp_path, network(), IMAGES, SCHEDULE, **(SETTINGS | {"steps": 6}))
    metadata, tensors = load_training(tmp_path / "checkpoint.safetensors")
    half = metadata | {"step": 4}
    tensors["step"] = torch.tensor(4)
    save(tmp_path / "checkpoint.safetensors", network(), SCHEDULE, metadata=half, training=tensors)
    wider = UNet(UNetConfig(channels=(16, 16), time_dim=8, groups=4))
    untouched = copy.deepcopy(wider)
    with pytest.raises(ValueError, match="training state of this model"):
        train_to(tmp_path, wider, IMAGES, SCHEDULE, resume=True, **SETTINGS)
    assert same(wider, untouched)


def test_what_is_there_is_not_overwritten(tmp_path):
    train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS)
    with pytest.raises(
        FileExistsError, match="exists: continue it with resume=True, or choose another fold"
    ):
        train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS)
    training_file(tmp_path / "checkpoint.safetensors").unlink()
    with pytest.raises(ValueError, match="expected a training state to resume from"):
        train_to(tmp_path, network(), IMAGES, SCHEDULE, resume=True, **SETTINGS)


def test_a_checkpoint_that_does_not_say_its_step_cannot_be_resumed(tmp_path):
    state = next(train(network(), IMAGES, SCHEDULE, steps=1, batch_size=4))
    save(tmp_path / "checkpoint.safetensors", network(), SCHEDULE, training=state.tensors())
    with pytest.raises(ValueError, match="does not say how many steps it has taken"):
        train_to(tmp_path, network(), IMAGES, SCHEDULE, resume=True, **SETTINGS)


@pytest.mark.parametrize("line", [b"notes\n", b",1\n", b"\xff\n", b"-1,2\n"])
def test_a_foreign_line_in_the_log_is_named(tmp_path, monkeypatch, line):
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS)
    log = tmp_path / "log.csv"
    before = log.read_bytes()
    log.write_bytes(before + line)
    with pytest.raises(ValueError, match="log.csv has a line that does not begin with a step: rem"):
        train_to(tmp_path, network(), IMAGES, SCHEDULE, resume=True, **SETTINGS)
    log.write_bytes(before + b"\n")  # an empty line is none
    assert train_to(tmp_path, network(), IMAGES, SCHEDULE, resume=True, **SETTINGS).steps == 4


def test_a_log_that_is_a_folder_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "log.csv").mkdir()
    with pytest.raises(IsADirectoryError, match="expected a file to write, got the folder .*log"):
        train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS)


def test_there_must_be_something_to_resume(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a checkpoint at "):
        train_to(tmp_path / "run", network(), IMAGES, SCHEDULE, resume=True, **SETTINGS)
    assert not (tmp_path / "run").exists()


# refused before anything is written


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"batch_size": 12}, ValueError, "batch_size must be at most the 11 images, got 12"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"every": 0}, ValueError, "every must be at least 1, got 0"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be positive, got -1"),
        ({"ema_decay": 1.0}, ValueError, r"decay must lie in \[0, 1\), got 1"),
        ({"labels": LABELS}, ValueError, "classes"),
        ({"images": 2 * IMAGES}, ValueError, r"images must lie in \[-1, 1\]"),
        (
            {"images": IMAGES[:, :, :7], "held_out": HELD_OUT[:, :, :7]},
            ValueError,
            "image sides must be multiples of 2",
        ),
        ({"held_out": HELD_OUT[:, :, :6]}, ValueError, "held_out must have the shape"),
        ({"schedule": SCHEDULE.beta}, TypeError, "schedule must be a Schedule"),
        ({"held_out": 2 * HELD_OUT}, ValueError, r"held_out: images must lie in \[-1, 1\]"),
        (
            {"held_out": None, "held_out_labels": LABELS[:5]},
            ValueError,
            "held_out_labels needs held_out, got only held_out_labels",
        ),
        ({"labels": [0] * 11}, TypeError, "labels must be an int64 tensor, got"),
        ({"metadata": {"step": 3}}, ValueError, "metadata may not hold 'step', which train_to"),
        ({"metadata": {"held_out_loss": 3}}, ValueError, "metadata may not hold 'held_out_loss'"),
        ({"metadata": {"seed": 0}}, ValueError, "metadata may not hold 'seed'"),
        ({"metadata": {"odd": float("nan")}}, TypeError, r"metadata\['odd'\] must be something"),
        ({"metadata": {1: 2}}, TypeError, "the keys of metadata must be strings, got 1"),
        ({"metadata": ["by me"]}, TypeError, "metadata must be a dict, got a list"),
        ({"images": [IMAGES[0]]}, TypeError, "torch.stack"),
        ({"images": IMAGES.double()[:0]}, ValueError, "n at least 1"),
        ({"metadata": {"odd": {1, 2}}}, TypeError, r"metadata\['odd'\] must be something JSON"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_work_leave_nothing_behind(tmp_path, unchecked, change, error, said):
    given = {"images": IMAGES, "held_out": HELD_OUT} | SETTINGS | change
    model = network()
    untouched = copy.deepcopy(model)
    with pytest.raises(error, match=said):
        train_to(tmp_path / "run", model, **{"schedule": SCHEDULE} | given)
    assert not list(tmp_path.iterdir())
    assert same(model, untouched)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(NotADirectoryError, match="expected a folder to write in, got the file"):
            train_to(folder, network(), IMAGES, SCHEDULE, **SETTINGS)


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, monkeypatch):
    def touch(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(checkpoints.Path, "touch", touch)
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(PermissionError, match="cannot write .*tensors: permission denied"):
        train_to(tmp_path / "run", network(), IMAGES, SCHEDULE, **SETTINGS)


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    run = train_to("~/run", network(), IMAGES, SCHEDULE, **SETTINGS)
    assert run.checkpoint == tmp_path / "run" / "checkpoint.safetensors"
    assert run.checkpoint.is_file()


def test_broken_weights_never_replace_good_ones(tmp_path, monkeypatch):
    # without held-out images, whose loss would show it
    whole_step, count = training.train_step, iter(range(1, 1000))

    def train_step(model, *arguments, **options):
        loss = whole_step(model, *arguments, **options)
        if next(count) == 4:
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))
        return loss

    monkeypatch.setattr(training, "train_step", train_step)
    with pytest.raises(FloatingPointError, match="not finite at step 4; last good .* from step 2"):
        train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS)
    loaded = load_file(tmp_path / "checkpoint.safetensors")
    assert all(value.isfinite().all() for value in loaded.values())


def test_the_metadata_name_the_data(tmp_path):
    run = train_to(tmp_path, network(), IMAGES, SCHEDULE, metadata={"by": "me"}, **SETTINGS)
    assert run.metadata["by"] == "me"
    assert run.metadata["data_sha256"] == data_digest(IMAGES)


def test_the_bar_is_shown_only_if_wanted(tmp_path, capsys):
    train_to(tmp_path / "a", network(), IMAGES, SCHEDULE, **SETTINGS)
    assert capsys.readouterr().err == ""
    train_to(tmp_path / "b", network(), IMAGES, SCHEDULE, **(SETTINGS | {"progress": True}))
    assert "6/6" in capsys.readouterr().err


def test_no_loss_is_read_at_each_step(tmp_path, monkeypatch):
    # reading one waits for an accelerator
    reads = []
    item = torch.Tensor.item

    def counted(tensor):
        reads.append(tensor.shape)
        return item(tensor)

    state_type = type(next(train(network(), IMAGES, SCHEDULE, steps=1, batch_size=4)))
    monkeypatch.setattr(
        state_type, "loss", property(lambda state: reads.append(state) or state.last_loss.item())
    )
    monkeypatch.setattr(torch.Tensor, "item", counted)
    options = {"steps": 40, "every": 40, "batch_size": 4, "progress": True}
    train_to(tmp_path, network(), IMAGES, SCHEDULE, **options)
    assert len(reads) < 20
