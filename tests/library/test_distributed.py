"""Several processes: they train what one would, one of them writes, and they end together."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minddpm import distributed
from minddpm.checkpoints import load, load_training
from minddpm.distributed import device_of, from_first, process_group, shared
from minddpm.schedule import linear_schedule
from minddpm.training import train
from minddpm.unet import UNet, UNetConfig

ROOT = Path(__file__).parents[2]
STEPS = 20
# the command line with a small network; a process may end itself in the course of a step
SMALL = """
import os, signal, sys
from dataclasses import replace
import minddpm.__main__ as command_line
from minddpm import training

network = command_line.UNetConfig(channels=(8, 8), time_dim=8, groups=4)
recipe = replace(command_line.RECIPES["paper"], network=network)
command_line.RECIPES["paper"] = recipe
whole_step, count = training.train_step, iter(range(1, 10**6))

def train_step(*arguments, **options):
    if [os.environ.get("RANK"), str(next(count))] == os.environ.get("DIES", "").split():
        os.kill(os.getpid(), signal.SIGKILL)
    return whole_step(*arguments, **options)

training.train_step = train_step
sys.exit(command_line.main(sys.argv[1:]))
"""
# labels that are never used, and a loss that is no mean over images
UNUSED = """
import torch
from minddpm import UNet, UNetConfig, linear_schedule, simple_loss, train
from minddpm.distributed import process_group, rank

def losses():
    torch.manual_seed(0)
    model = UNet(UNetConfig(channels=(8,), time_dim=8, groups=4, classes=2))
    images = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    def loss(*arguments, **options):
        return simple_loss(*arguments, **options).sqrt()
    run = train(model, images, linear_schedule(10), steps=6, batch_size=4, loss=loss)
    return [state.loss for state in run]

if __name__ == "__main__":
    with process_group(torch.device("cpu")):
        found = losses()
        if rank() == 0:
            print(*found)
"""
NEEDS_SIGINT = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
NEEDS_GLOO = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this PyTorch has no Gloo, by which processes talk",
)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return path


def command(processes, program, out, *more, every=2, recipe="paper"):
    """A command line that trains by so many processes, without torchrun if that is 1."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    words = ["train", "--out", out, "--steps", STEPS, "--every", every, "--batch-size", 8]
    words += ["--recipe", recipe, "--labels", "--device", "cpu", *more]
    return [
        *(sys.executable, *(torchrun if processes > 1 else [])),
        *(str(word) for word in [*program, *words]),
    ]


def environment(**more):
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def finished(arguments, **more):
    return subprocess.run(
        arguments, env=environment(**more), capture_output=True, text=True, check=False, timeout=300
    )


def largest_difference(one, other):
    """The largest of a weight, of its average, and of Adam's moments, in two runs."""
    name = "checkpoint.training.safetensors"
    ours, theirs = (load_file(folder / name) for folder in (one, other))
    assert ours.keys() == theirs.keys()
    return max((value - theirs[name]).abs().max().item() for name, value in ours.items())


@NEEDS_GLOO
@pytest.mark.parametrize(
    ("recipe", "rounding"),
    [
        ("paper", 1e-4),
        ("fast", 3e-3),
    ],  # what is small in a gradient, Muon makes as large as all else
)
def test_two_processes_train_what_one_does(tmp_path, recipe, rounding):
    folders = {1: tmp_path / "one", 2: tmp_path / "two"}
    said = {}
    for processes, out in folders.items():
        words = command(processes, ["-m", "minddpm"], out, every=STEPS, recipe=recipe)
        done = finished(words)
        assert done.returncode == 0, done.stderr
        said[processes] = done.stdout
        assert sorted(path.name for path in out.iterdir()) == [
            *("checkpoint.safetensors", "checkpoint.training.safetensors", "log.csv")
        ]
    assert said[2].count("held-out loss") == 1  # one of them speaks
    logs = [(out / "log.csv").read_text().splitlines()[1] for out in folders.values()]
    one, two = ([float(cell) for cell in log.split(",")[:5]] for log in logs)
    assert two == pytest.approx(one, rel=rounding)
    if recipe == "paper":  # what is printed does not show the rounding
        assert two == one
        assert said[2].split(": ")[1] == said[1].split(": ")[1]
    assert largest_difference(*folders.values()) <= rounding
    model, _, _ = load(folders[2] / "checkpoint.safetensors")
    moved = (model.out.weight - UNet(model.config).out.weight).abs().max()
    assert moved >= 10 * rounding


@NEEDS_GLOO
def test_any_loss_and_weights_without_a_gradient_are_shared_too(tmp_path):
    path = tmp_path / "unused.py"
    path.write_text(UNUSED)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = finished([sys.executable, *torchrun, str(path)])
    assert done.returncode == 0, done.stderr
    together = [float(word) for word in done.stdout.split()]
    alone = [float(word) for word in finished([sys.executable, str(path)]).stdout.split()]
    assert len(alone) == 6
    assert together == pytest.approx(alone, rel=1e-5)


@NEEDS_GLOO
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("dies", [0, 1])
def test_a_process_that_dies_ends_the_job_and_another_number_goes_on(tmp_path, small, dies):
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert finished(command(1, [small], whole)).returncode == 0
    killed = finished(command(2, [small], out), DIES=f"{dies} 8")
    assert killed.returncode != 0
    checkpoint = out / "checkpoint.safetensors"
    where = f"; last good checkpoint: {checkpoint}, from step 6"
    if dies:  # the first one is left to say so
        assert re.search(rf"^error: not all 2 processes .*{where}$", killed.stderr, re.M | re.S)
    assert "Signal 9 (SIGKILL)" in killed.stderr  # as torchrun says
    assert load(checkpoint)[2]["step"] == load_training(checkpoint)[0]["step"] == 6
    if dies:  # once is enough
        again = finished(command(2, [small], out))
        assert again.returncode != 0
        assert f"error: {checkpoint} exists: continue it with --resume" in again.stderr
    resumed = finished(command(1, [small], out, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    assert largest_difference(whole, out) <= 1e-4


@NEEDS_GLOO
@NEEDS_SIGINT
@pytest.mark.usefixtures("heed_ctrl_c")
def test_ctrl_c_keeps_the_step_that_all_have_taken(tmp_path, small):
    out = tmp_path / "run"
    arguments = command(2, [small], out, "--steps", 18_000, every=500)
    process = subprocess.Popen(
        arguments, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    shown = b""
    try:
        while not re.search(rb"[1-9]/18000", shown):
            byte = process.stderr.read(1)
            assert byte, shown.decode()
            shown += byte
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=120)
    finally:
        process.kill()
    said = re.findall(r"stopped at step (\d+) of 18000; saved in (.+): continue w", rest.decode())
    checkpoint = out / "checkpoint.safetensors"
    assert [where for _, where in said] == [str(checkpoint)]
    assert load_training(checkpoint)[0]["step"] == int(said[0][0]) >= 1
    assert "error:" not in rest.decode()


@NEEDS_GLOO
def test_a_batch_that_cannot_be_shared_is_refused_in_the_words_of_the_caller(tmp_path, small):
    refused = finished(command(2, [small], tmp_path / "run", "--batch-size", 7))
    assert refused.returncode != 0
    said = "error: --batch-size must be a multiple of 2, the number of processes, got 7\n"
    assert said in refused.stderr
    assert not (tmp_path / "run").exists()


def test_one_process_changes_nothing():
    model = UNet(UNetConfig(channels=(8,), time_dim=8, groups=4))
    assert shared(model, 7) is model
    assert from_first(lambda: model) is model
    with process_group(torch.device("meta")) as device:
        assert device == torch.device("meta")
    assert not torch.distributed.is_initialized()


def test_a_batch_is_shared_equally_or_not_at_all(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    model = UNet(UNetConfig(channels=(8,), time_dim=8, groups=4))
    images = torch.zeros(8, 1, 4, 4)
    with pytest.raises(ValueError, match="batch_size must be a multiple of 3, the .*, got 8"):
        next(train(model, images, linear_schedule(5), steps=1))


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert device_of(torch.device("cuda"), 1) == torch.device("cuda", 1)
    assert chosen == [1]
    assert device_of(torch.device("cpu"), 5) == torch.device("cpu")
    with pytest.raises(ValueError, match="--nproc-per-node must be at most 2, one process for"):
        device_of(torch.device("cuda"), 2)
    with pytest.raises(ValueError, match="cannot share the device mps: use --device cpu"):
        device_of(torch.device("mps"), 0)
