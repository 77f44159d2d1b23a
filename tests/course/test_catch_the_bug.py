"""The tests that students write: the course's own pass, are short, and refuse almost all wrong
functions, those of the bank and those of no bank. `pytest -s -m slow` prints the table.
"""

import functools

import pytest
import torch
from model_tests import (
    HUNTS,
    attempt_on,
    by_hand,
    caught,
    in_the_bank,
    model_test,
    of_a_machine,
    source_of_model,
)

from marking import notebook
from marking.engine import judge
from marking.notebook import attempt_here
from minddpm_course import CheckFailed, check
from minddpm_course.assemble import FUNCTIONS
from minddpm_course.bank import BANK

LESSONS = [f"{number:02}" for number in range(1, 12)]
SHARE = 0.95  # of the wrong functions, at least
MOST_LINES = 12


def name_of(hunt):
    return hunt.name


def verdict_on(hunt, test, seed=0):
    return judge(hunt, functools.partial(attempt_here, test, hunt.exercise.arguments), seed)


def test_each_lesson_asks_for_a_test():
    assert [hunt.name for hunt in HUNTS] == [f"{lesson}.catch_the_bug" for lesson in LESSONS]
    for hunt in HUNTS:
        assert BANK[hunt.exercise.name] is hunt.exercise
        assert hunt.exercise.name[:2] == hunt.name[:2]
        assert len(hunt.right) >= 3
        assert len(hunt.wrong_ones()) >= 5
        assert hunt.points == 2


@pytest.mark.parametrize("hunt", HUNTS, ids=name_of)
def test_a_model_test_passes_and_is_short(hunt):
    for seed in range(5):
        verdict = verdict_on(hunt, model_test(hunt), seed)
        assert verdict.passed, verdict.message
        assert verdict.caught == verdict.wrong == len(hunt.wrong_ones())
    lines = source_of_model(hunt).splitlines()
    assert len([line for line in lines if "SOLUTION" not in line]) <= MOST_LINES


@pytest.mark.parametrize("hunt", HUNTS, ids=name_of)
def test_a_test_that_tests_nothing_earns_nothing(hunt):
    def accepts_everything(function):
        pass  # your answer

    def refuses_everything(function):
        raise AssertionError

    verdict = verdict_on(hunt, accepts_everything)
    assert (verdict.passed, verdict.summary) == (False, "not written yet")
    verdict = verdict_on(hunt, refuses_everything)
    assert not verdict.passed
    assert verdict.caught == 0
    assert "refuses a right function" in verdict.message


@pytest.mark.parametrize("hunt", HUNTS, ids=name_of)
def test_a_bug_that_a_test_lets_live_is_named_and_shown(hunt):
    for variant in hunt.wrong_ones():

        def blind_to_one(function, variant=variant):
            x = hunt.exercise.reference(*variant.example)
            y = function(*variant.example)
            z = variant.function(*(one_copy(arg) for arg in variant.example))
            if not same(y, z):
                assert same(x, y)

        verdict = verdict_on(hunt, blind_to_one)
        assert not verdict.passed
        assert verdict.lives
        assert f"this one lives: {verdict.lives}" in verdict.message
        assert "right     " in verdict.message


def calling(example):
    """A test that calls the function, and accepts whatever comes."""

    def test(function):
        function(*example)

    return test


def one_copy(arg):
    return arg.clone() if isinstance(arg, torch.Tensor) else arg


def same(*results):
    one, other = (torch.stack(list(r)) if isinstance(r, tuple | list) else r for r in results)
    close = functools.partial(torch.allclose, atol=1e-4, equal_nan=True)
    return one.shape == other.shape and close(one.double(), other.double())


@pytest.mark.parametrize("hunt", HUNTS, ids=name_of)
def test_an_example_shows_its_bug(hunt):
    for variant in hunt.wrong_ones():
        kept = [one_copy(arg) for arg in variant.example]
        right = hunt.exercise.reference(*variant.example)
        wrong = variant.function(*kept)
        changed = any(
            isinstance(a, torch.Tensor) and not torch.equal(a, b)
            for a, b in zip(kept, variant.example)
        )
        assert changed or not same(right, wrong), variant.name


@pytest.mark.parametrize("hunt", [hunt for hunt in HUNTS if hunt.exercise.picture], ids=name_of)
def test_a_bug_that_lives_is_drawn(hunt, monkeypatch):
    shown = []
    monkeypatch.setattr(notebook, "in_notebook", lambda: True)
    monkeypatch.setattr(notebook, "watch_cells", lambda: None)
    monkeypatch.setattr(notebook, "show_html", lambda html, text: shown.append((html, text)))
    with pytest.raises(CheckFailed):
        check(hunt.name, calling(hunt.wrong_ones()[0].example))
    (_, card), (picture, caption) = shown
    assert "you caught 0 of" in card
    assert picture.count("<img ") == 1
    assert caption.startswith(f"What your test accepts: {hunt.wrong_ones()[0].name}.")


def test_a_package_is_assembled_without_tests():
    assert not any(name.endswith("catch_the_bug") for name in FUNCTIONS)


def test_model_tests_catch_what_the_bank_holds():
    counts = [in_the_bank(hunt) for hunt in HUNTS]
    assert sum(some for some, _ in counts) >= SHARE * sum(all_ for _, all_ in counts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [of_a_machine, by_hand], ids=lambda kind: kind.__name__)
def test_model_tests_catch_what_no_bank_holds(kind):
    counts = {hunt.name: caught(hunt, kind) for hunt in HUNTS}
    for name, (some, every, lives) in counts.items():
        print(f"{name}  {kind.__name__}: {some} of {every}", *lives, sep="\n")
    found = sum(some for some, _, _ in counts.values())
    every = sum(every for _, every, _ in counts.values())
    print(f"{kind.__name__}: {found} of {every}")
    assert every > 100
    assert found >= SHARE * every


def test_a_style_that_rounds_differently_is_accepted():
    for hunt in HUNTS:
        for variant in hunt.right_ones():
            for seed in range(5):
                attempt = attempt_on(hunt, variant.function, seed)
                assert not attempt.refused, (hunt.name, variant.name, attempt)
