"""What a student wrote, run on real digits: drawn where it works, in words where it does not."""

import inspect

import pytest
import torch
from right import __dict__ as RIGHT

import minddpm_course
from minddpm_course import figures, milestone, milestones
from minddpm_course.bank import BANK
from minddpm_course.milestones import MILESTONES, loss_at_each_time


@pytest.fixture
def shown(monkeypatch):
    """The captions of the figures that are shown."""
    captions = []
    monkeypatch.setattr(figures, "show", lambda figure, caption: captions.append(caption))
    return captions


def nothing(*args):
    """An exercise as it is handed out."""


def unwritten(*args):
    raise NotImplementedError


def broken(*args):
    return torch.zeros(2) @ torch.zeros(3)


def test_each_milestone_takes_functions_of_its_lesson():
    for lesson, (names, _) in MILESTONES.items():
        assert all(f"{lesson}.{name}" in BANK for name in names)
    assert minddpm_course.milestone is milestone


@pytest.mark.parametrize("lesson", MILESTONES)
def test_functions_of_any_form_are_drawn(lesson, shown, capsys, monkeypatch):
    names, _ = MILESTONES[lesson]
    milestone(lesson, *(RIGHT[name] for name in names))
    assert capsys.readouterr().out == ""
    (caption,) = shown
    assert "differ" not in caption
    assert all(f"your {name}" in caption.lower() for name in names)


@pytest.mark.parametrize("lesson", ["02", "07"])
def test_what_is_not_written_is_named_and_nothing_raised(lesson, shown, capsys):
    names, _ = MILESTONES[lesson]
    for stub in (nothing, unwritten):
        milestone(lesson, *(stub for _ in names))
        told = capsys.readouterr().out
        assert "is not written yet. Write it above, then run this cell again." in told
        assert any(told.startswith(name) for name in names)
    assert shown == []


@pytest.mark.parametrize("lesson", ["02", "07"])
def test_what_stops_is_named_with_its_line(lesson, shown, capsys):
    names, _ = MILESTONES[lesson]
    milestone(lesson, *(broken for _ in names))
    told = capsys.readouterr().out
    assert told.startswith(f"{names[0]} stops here: RuntimeError: ")
    assert "of broken: return torch.zeros(2) @ torch.zeros(3)" in told
    assert shown == []


def test_a_result_of_another_shape_is_said_to_be_one(shown, capsys):
    milestone("02", lambda *args: torch.zeros(3))
    assert "forward_diffusion returns something of another kind or shape" in capsys.readouterr().out
    assert shown == []


def test_a_wrong_function_is_drawn_beside_the_library(shown):
    milestone("02", lambda x_0, level, noise: x_0)
    assert shown == [
        "A digit of the test set, noised by your forward_diffusion, above what the library makes of"
        " it: they differ."
    ]
    _, caption = loss_at_each_time([1, 2], [0.1, 0.2], [0.1, 0.3])
    assert caption.endswith("beside the library's: they differ.")


def test_training_goes_on_without_a_loop_of_ones_own(shown, monkeypatch):
    monkeypatch.setattr(milestones, "FEW_STEPS", 3)
    milestone("07", nothing, RIGHT["train_step"])
    assert "training_loop is not written yet, so a plain loop took the batches" in shown[0]
    assert "in 3 steps" in shown[0]


def test_a_lesson_without_a_milestone_and_a_function_too_few_are_errors():
    with pytest.raises(ValueError, match="expected a lesson of 02, 04, 06, 07, got '03'"):
        milestone("03")
    with pytest.raises(ValueError, match="expected sample and reverse_step, got 1 function"):
        milestone("06", nothing)


def test_the_names_in_the_code_are_the_arguments():
    for names, draw in MILESTONES.values():
        assert tuple(inspect.signature(draw).parameters) == names
