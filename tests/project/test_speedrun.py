"""Each recipe of the race trains and draws; its times and pairs are what they say."""

import math
import sys

import pytest
import torch

from benchmarks import speedrun
from minddpm import cosine_schedule, linear_schedule, load_mnist, respaced, train
from minddpm.sampler import sample

SCHEDULE = cosine_schedule(1000)


@pytest.fixture(scope="module")
def digits():
    images, labels = load_mnist("train")
    return images[:128], labels[:128]


@pytest.mark.parametrize("name", speedrun.RACERS)
def test_every_recipe_trains_and_draws(name, digits):
    racer = speedrun.RACERS[name]
    if racer.code == (speedrun.by_assignment,):
        pytest.importorskip("scipy")
    torch.manual_seed(0)
    network, schedule = racer.built()
    images, labels = digits
    labels = labels if racer.labelled else None
    before = [weight.clone() for weight in network.parameters()]
    *_, state = train(network, images, schedule, steps=2, labels=labels, **racer.settings)
    assert math.isfinite(state.loss)
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters()))
    told = network
    if racer.labelled:
        told = speedrun.guided(network, torch.tensor([3]), racer.scale)
    few, shorter = respaced(told, schedule, 3)
    drawn = sample(few, (1, 1, 28, 28), shorter)
    assert drawn.shape == (1, 1, 28, 28)
    assert drawn.isfinite().all()


def test_normal_times_have_the_ratios_they_say(generator):
    t = speedrun.normal_times(20_000, SCHEDULE, generator)
    assert t.min() >= 1
    assert t.max() <= 1000
    share = SCHEDULE.alpha_bar[t]
    ratio = torch.log(share / (1 - share))
    assert ratio.mean() == pytest.approx(0, abs=0.05)
    assert ratio.std() == pytest.approx(2, abs=0.05)


def test_a_time_drawn_at_random_is_any_time(generator):
    drawn = speedrun.random_times(20_000, linear_schedule(10), generator)
    assert set(drawn.tolist()) == set(range(1, 11))


def test_assignment_gives_each_image_noise_of_its_own_and_nearer(generator):
    pytest.importorskip("scipy")
    x_0 = torch.randn(20, 1, 2, 2, generator=generator)
    noise = torch.randn(20, 1, 2, 2, generator=generator)
    paired = speedrun.by_assignment(x_0, noise)
    assert sorted(paired.flatten().tolist()) == sorted(noise.flatten().tolist())
    assert (x_0 - paired).square().sum() < (x_0 - noise).square().sum()


def test_code_is_counted_without_docstrings_and_comments():
    assert speedrun.code_lines(speedrun.random_times) == 2
    assert speedrun.code_lines(speedrun.without_attention) == 2


def test_a_race_goes_on_where_it_stopped(monkeypatch, tmp_path, capsys):
    raced, timed = [], []

    def race(racer, count, seed, path):
        assert count == 0.5 * 64_000
        assert (
            path
            == tmp_path / f"fast, 0.5 minutes, {torch.get_num_threads()} threads, seed {seed}.pt"
        )
        raced.append(seed)
        return {"images": 10, "sure": 90 + seed, "frechet": 1.0, "x real": 3.0 + seed}

    def speeds(names):
        timed.extend(names)
        return dict.fromkeys(names, 64_000)

    monkeypatch.setattr(speedrun, "raced", race)
    monkeypatch.setattr(speedrun, "speeds", speeds)
    command = ["speedrun", "--recipes", "fast", "--minutes", "0.5", "--runs", str(tmp_path)]
    for seeds in (["0"], ["0", "1", "2"], ["0", "1", "2"]):
        monkeypatch.setattr(sys, "argv", [*command, "--seeds", *seeds])
        speedrun.main()
    assert raced == [0, 1, 2]
    assert timed == ["fast"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert "| 91 (90 to 92) | 4 (3 to 5) | 2 of 3 |" in last


def test_a_row_at_another_scale_trains_nothing_again(monkeypatch, tmp_path, capsys):
    trained, scales, weights = [], [], []

    def counted(*args, steps, **settings):
        trained.append(steps)
        return train(*args, steps=steps, **settings)

    def judged(model, schedule, labelled, scale):
        scales.append(scale)
        weights.append(torch.cat([weight.flatten() for weight in model.parameters()]))
        return {"sure": 99.0, "frechet": 1.0, "x real": 2.0}

    monkeypatch.setattr(speedrun, "train", counted)
    monkeypatch.setattr(speedrun, "judged", judged)
    monkeypatch.setattr(speedrun, "speeds", lambda names: dict.fromkeys(names, 2 * 64))
    names = ["fast", "scale 1.5", "no guidance"]
    command = ["speedrun", "--minutes", "1", "--runs", str(tmp_path), "--recipes", *names]
    monkeypatch.setattr(sys, "argv", command)
    speedrun.main()
    assert trained == [2]
    assert scales == [2, 1.5, 1]
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])
    assert "| no guidance | labels, but scale 1 | 1 | 128 |" in capsys.readouterr().out


def test_speeds_are_medians_of_rounds_that_take_turns(monkeypatch):
    calls = []

    def steps_within(minutes, network, *_, **settings):
        calls.append(network.config.channels)
        return minutes * len(calls)

    monkeypatch.setattr(speedrun, "steps_within", steps_within)
    measured = speedrun.speeds(["narrow", "batch 32"])
    assert calls == [(16, 32), (24, 48)] * speedrun.ROUNDS
    assert measured == {"narrow": 64 * speedrun.ROUNDS, "batch 32": 32 * (speedrun.ROUNDS + 1)}


@pytest.mark.parametrize(
    ("sure", "times", "good"), [(90, 4, True), (89.9, 1, False), (100, 4.01, False)]
)
def test_both_figures_decide_whether_the_quality_is_reached(sure, times, good):
    assert speedrun.reached({"sure": sure, "x real": times}) is good
