"""The last notebook: its bands are those of the page, its seed is the student's, and it runs."""

import re
import signal
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

import minddpm
from minddpm_course import capstone
from minddpm_course.capstone import (
    Assembled,
    Trained,
    assemble_here,
    bands_in,
    certify,
    loss_figure,
    seed_of,
    states,
    train_for,
    verdicts,
    watch,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/diagnosis.md"


@pytest.fixture
def small(monkeypatch):
    """The library, its network as small as can be."""
    config = minddpm.UNetConfig(channels=(8, 8), time_dim=8, groups=4)
    monkeypatch.setattr(minddpm, "UNet", lambda: minddpm.unet.UNet(config))
    return minddpm


def test_bands_are_those_of_the_page():
    rows = re.findall(r"^\| (\d+) \| (0\.\d+) to (0\.\d+) \|$", PAGE.read_text(), re.MULTILINE)
    by_step = [row for row in rows if row[0] in ("25", "50", "75", "100", "150")]
    bands = bands_in(PAGE)
    assert [step for step, _, _ in bands] == [25, 50, 75, 100, capstone.LESSON_STEPS]
    assert all(0 < low < high < 1 for _, low, high in bands)
    assert bands == [(int(step), float(low), float(high)) for step, low, high in by_step[:5]]


def test_a_page_without_the_table_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("| 25 | 0.1 to 0.2 |\n")
    with pytest.raises(ValueError, match=r"expected the table of losses by step in .*page\.md"):
        bands_in(page)


@pytest.mark.parametrize(
    ("mean", "word"),
    [(0.055, "inside"), (0.0504, "inside"), (0.0494, "OUTSIDE"), (0.066, "OUTSIDE")],
)
def test_a_mean_is_judged_at_the_two_digits_of_the_band(mean, word):
    losses = [1.0] * 25 + [mean] * 25
    (line,) = verdicts(losses, [(50, 0.05, 0.06)])
    assert line.startswith("step  50: ")
    assert line.endswith(f"{word} 0.05 to 0.06")


def test_a_seed_belongs_to_a_name():
    assert seed_of("Ada Lovelace") == seed_of("  ada   LOVELACE ")
    assert len({seed_of(name) for name in ("", "Ada", "Bob", "Adá")}) == 4
    assert 0 <= seed_of("Ada") < 2**32


def test_the_curve_shows_losses_mean_and_bands():
    (axis,) = loss_figure([0.5] * 30, [(25, 0.1, 0.2), (50, 0.05, 0.1)]).axes
    dots, mean, *bars = axis.lines
    assert len(dots.get_ydata()) == 30
    assert list(mean.get_xdata()) == [25, 26, 27, 28, 29, 30]
    assert mean.get_ydata() == pytest.approx([0.5] * 6)
    assert [list(bar.get_ydata()) for bar in bars] == [[0.1, 0.2], [0.05, 0.1]]
    assert not plt.get_fignums()


def test_states_are_in_the_order_of_the_sampler_and_end_at_the_digit(monkeypatch):
    schedule = minddpm.Schedule.from_betas([0.1, 0.2, 0.3])
    model = minddpm.UNet(minddpm.UNetConfig(channels=(8, 8), time_dim=8, groups=4))
    monkeypatch.setattr(minddpm, "load_pretrained", lambda: (model, schedule))
    found = list(states(minddpm, (3, 1, 0), 2, seed=4))
    assert [state.shape for state in found] == [(2, 1, 28, 28)] * 3
    generator = torch.Generator().manual_seed(4)
    assert torch.equal(
        found[-1], minddpm.sample(model, (2, 1, 28, 28), schedule, generator=generator)
    )


def test_watching_states_the_largest_difference(monkeypatch, capsys):
    noise, digit = torch.zeros(3, 1, 28, 28), torch.ones(3, 1, 28, 28)
    walks = iter([[noise, digit], [noise, digit - 0.25]])
    asked = []
    monkeypatch.setattr(capstone, "states", lambda *args: asked.append(args[1]) or next(walks))
    watch(minddpm, (0, 1, 0), count=3)
    assert asked == [[1, 0]] * 2
    assert (
        "largest difference in any pixel of these pictures is 2.5e-01." in capsys.readouterr().out
    )


@pytest.mark.parametrize("t", [-1, 1001, 0.5])
def test_watching_refuses_times_that_do_not_exist(t):
    with pytest.raises(ValueError, match=rf"times must lie in 0\.\.1000, got {t}"):
        watch(minddpm, (1000, t))


def test_digits_that_are_still_to_come_are_white():
    shown = []
    noise = [torch.full((2, 1, 28, 28), -1.0)]
    html = capstone.emergence(noise, noise, (9, 5, 0), 2)
    assert html["text/plain"].startswith("2 digits from the noise of one seed")
    assert html["image/png"]
    figure = capstone.emergence_figure(noise, noise, (9, 5, 0), 2)
    for axis in figure.axes:
        shown.append({float(value) for value in axis.images[0].get_array().flat})
    assert shown == [{-1.0}, {1.0}, {1.0}] * 4
    assert [axis.get_title() for axis in figure.axes[:3]] == ["t = 9", "t = 5", "t = 0"]
    names = [axis.texts[0].get_text() for axis in figure.axes[::3]]
    assert names == ["library", "yours"] * 2


def test_a_training_takes_the_steps_that_fit_from_the_seed(small, monkeypatch):
    monkeypatch.setattr(small.runs, "steps_within", lambda *_, **__: 2)
    first, again, other = (train_for(small, 0.1, seed=seed) for seed in (1, 1, 2))
    assert first.steps == 2
    weights = [torch.cat([p.flatten() for p in one.model.parameters()]) for one in (first, again)]
    assert torch.equal(*weights)
    others = torch.cat([p.flatten() for p in other.model.parameters()])
    assert not torch.equal(weights[0], others)


def test_a_training_that_is_stopped_keeps_the_steps_it_took(small, monkeypatch, heed_ctrl_c):
    monkeypatch.setattr(small.runs, "steps_within", lambda *_, **__: 1000)
    train = small.train

    def stopped_in_the_third_step(*args, **settings):
        for state in train(*args, **settings):
            if state.step == 3:
                signal.raise_signal(signal.SIGINT)
            yield state

    monkeypatch.setattr(small, "train", stopped_in_the_third_step)
    assert train_for(small, 1, seed=0).steps == 3


def test_a_certificate_says_what_was_done_and_keeps_it(small, tmp_path, capsys):
    trained = Trained(small.UNet(), 1, 2.4)
    certify(Assembled(small, 3, 31), trained, "Ada", tmp_path / "runs", count=100)
    said = capsys.readouterr().out
    for line in ("Ada", "3 of 31 your own", "1 step, 2 seconds", "for 100 digits"):
        assert line in said
    assert (tmp_path / "runs/digits.png").is_file()
    model, *_ = small.load(tmp_path / "runs/weights.safetensors")
    assert all(map(torch.equal, model.parameters(), trained.model.parameters()))


def test_an_untouched_clone_owns_nothing_and_draws_as_the_library_does(tmp_path, capsys):
    mine = assemble_here(ROOT / "exercises", tmp_path / "mine")
    said = capsys.readouterr().out
    assert mine.own == 0
    assert f"0 of {mine.of} functions are yours" in said
    assert "failing" not in said
    assert sys.modules["mine"] is mine.package
    library, yours = (list(states(one, (500, 0), 1, 0)) for one in (minddpm, mine.package))
    assert all(map(torch.equal, library, yours))
