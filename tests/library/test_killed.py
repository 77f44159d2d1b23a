"""Nothing is lost: a run that is killed at any moment, or meets a full disk, goes on to the bit."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minddpm import checkpoints
from minddpm.checkpoints import load, load_training
from minddpm.runs import train_to
from minddpm.schedule import linear_schedule
from minddpm.unet import UNet, UNetConfig

ROOT = Path(__file__).parents[2]
KILLS = 20
# Trains in children, which are killed; a file or a name that is finished is an event.
LIVES = """
import json, os, pathlib, random, signal, sys, time
import torch
from minddpm import UNet, UNetConfig, linear_schedule, train_to

STEPS = 300
folder, mode, kills = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
images = torch.rand(11, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

def train(folder, steps):
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8, 8), time_dim=8, groups=4))
    options = {"steps": steps, "batch_size": 4, "every": 2, "progress": False, "held_out": images}
    begun = (folder / "log.csv").exists()
    train_to(folder, model, images, linear_schedule(20), resume=begun, **options)

def die_at(event):
    def count(work):
        def counted(*arguments):
            nonlocal event
            event -= 1
            if event == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*arguments)
        return counted
    os.fsync, pathlib.Path.replace = count(os.fsync), count(pathlib.Path.replace)

def life(folder, steps, seconds=None, event=None):
    # whether it was killed
    child = os.fork()
    if child == 0:
        if event:
            die_at(event)
        train(folder, steps)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

start = time.perf_counter()
killed = 0
if mode == "random":
    life(folder / "whole", STEPS)
    whole = time.perf_counter() - start
    moments = random.Random(0)
    for _ in range(kills):
        killed += life(folder / "run", STEPS, seconds=moments.uniform(0, 1.6 * whole / kills))
    life(folder / "run", STEPS)
else:  # at each event of the first checkpoint, and of the second; and then again and again
    life(folder / "whole", 4)
    for event in range(1, kills + 1):
        killed += life(folder / f"run{event}", 4, event=event)
        life(folder / f"run{event}", 4)
print(json.dumps(killed))
"""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def lives(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIVES, str(folder), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_same(one, other):
    """Weights, training state and log are equal to the bit, and nothing else is there."""
    files = ["checkpoint.safetensors", "checkpoint.training.safetensors", "log.csv"]
    for folder in (one, other):
        assert sorted(path.name for path in folder.iterdir()) == files
    for name in files[:2]:
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    logs = [(folder / "log.csv").read_text().splitlines() for folder in (one, other)]
    assert [row.split(",")[:5] for row in logs[0]] == [row.split(",")[:5] for row in logs[1]]


def test_a_run_that_is_killed_at_random_moments_goes_on_to_the_bit(tmp_path):
    assert lives(tmp_path, "random", KILLS) == KILLS
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_a_run_that_is_killed_at_each_point_of_a_write_goes_on_to_the_bit(tmp_path):
    # a checkpoint writes three files: each is flushed, and then takes its name
    assert lives(tmp_path, "events", 12) == 12
    for event in range(1, 13):
        assert_same(tmp_path / "whole", tmp_path / f"run{event}")


SETTINGS = {"steps": 6, "batch_size": 4, "every": 2, "progress": False}
SCHEDULE = linear_schedule(20)
IMAGES = torch.rand(11, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def network():
    torch.manual_seed(0)
    return UNet(UNetConfig(channels=(8, 8), time_dim=8, groups=4))


@pytest.mark.parametrize("write", range(1, 10))
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left on device"),
        (errno.EROFS, "read-only file system"),
        (errno.EIO, "input/output error"),
    ],
)
def test_a_disk_that_takes_no_more_leaves_whole_files_and_a_way_on(
    tmp_path, monkeypatch, number, said, write
):
    train_to(tmp_path / "whole", network(), IMAGES, SCHEDULE, **SETTINGS)
    flush, count, out = os.fsync, iter(range(1, 100)), tmp_path / "run"

    def full(descriptor):
        if next(count) >= write:
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.os, "fsync", full)
        with pytest.raises(OSError, match=f"cannot write {out}.*: {said}; last good ch") as failed:
            train_to(out, network(), IMAGES, SCHEDULE, **SETTINGS)
    step = 2 * ((write - 1) // 3)  # three files for two steps
    checkpoint = out / "checkpoint.safetensors"
    good = f"{checkpoint}, from step {step}" if step else "none yet"
    assert str(failed.value).endswith(f"; last good checkpoint: {good}")
    assert not list(out.glob("*.part"))
    if step:
        assert load(checkpoint)[2]["step"] >= step
        assert load_training(checkpoint)[0]["step"] == step
    try:
        train_to(out, network(), IMAGES, SCHEDULE, resume=True, **SETTINGS)
    except FileNotFoundError:  # nothing was saved yet, but a row may be logged
        (out / "log.csv").unlink(missing_ok=True)
        train_to(out, network(), IMAGES, SCHEDULE, **SETTINGS)
    assert_same(tmp_path / "whole", out)


def test_a_run_that_was_killed_between_its_first_two_files_is_completed(tmp_path):
    # its last checkpoint was its first
    settings = SETTINGS | {"every": 6}
    train_to(tmp_path / "whole", network(), IMAGES, SCHEDULE, **settings)
    train_to(tmp_path / "run", network(), IMAGES, SCHEDULE, **settings)
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    with pytest.raises(FileExistsError, match="continue it with resume=True"):
        train_to(tmp_path / "run", network(), IMAGES, SCHEDULE, **settings)
    run = train_to(tmp_path / "run", network(), IMAGES, SCHEDULE, resume=True, **settings)
    assert run.steps == 0
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_what_a_killed_run_left_half_written_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "checkpoint.safetensors.123.part").write_bytes(b"half")
    (tmp_path / "notes.123.part").write_bytes(b"mine")
    train_to(tmp_path, network(), IMAGES, SCHEDULE, **SETTINGS)
    assert [path.name for path in tmp_path.glob("*.part")] == ["notes.123.part"]
