"""Tests that students write: what is accepted, what is said of the others, and that the verdict is
the same in a notebook and in the grader, where no function under test is within reach.
"""

import dataclasses
import functools
import linecache
import os
import random

import numpy as np
import pytest
import torch
from algebra import catch_the_bug, discriminant, parabola, roots, row
from bug_hunts import CHEATS, HEAD, RIGHT, STUBS, WRONG
from quadratics import COURSE, TUTOR
from quadratics import HEAD as IMPORTS

from marking import engine, hunting, notebook
from marking.course import Course
from marking.engine import judge
from marking.exercise import BugHunt, Variant
from marking.grader import grade
from marking.hostile import as_notebook
from marking.hunting import MOST_CALLS, Answering
from marking.notebook import CheckFailed, NoFunction, attempt_here
from marking.outcome import Made, attempt_of
from marking.sandbox.parent import Limits

SLOW_TEST = "def test(function):\n    while True:\n        pass\n"
WAYS = {
    **{f"right: {way}": source for way, source in RIGHT.items()},
    **{f"stub: {way}": source for way, source in STUBS.items()},
    **{f"wrong: {way}": source for way, (source, _) in WRONG.items()},
}


def defined(source):
    """The test of a cell, whose lines can be looked up."""
    linecache.cache["<test>"] = (len(source), None, source.splitlines(True), "<test>")
    scope = {}
    exec(HEAD, scope)
    exec(compile(source, "<test>", "exec"), scope)
    return scope["test"]


def verdict_on(test, question=catch_the_bug, seed=0):
    names = question.exercise.arguments
    return judge(question, functools.partial(attempt_here, test, names), seed)


@pytest.mark.parametrize("way", RIGHT)
def test_a_test_that_tells_right_from_wrong_passes(way):
    for seed in (0, 1, 2**40):
        verdict = verdict_on(defined(RIGHT[way]), seed=seed)
        assert verdict.passed, verdict.message
        assert verdict.message == (
            "graph.catch_the_bug: right. Your test accepts 3 right functions and refuses 5 wrong"
            " ones."
        )
        assert (verdict.caught, verdict.wrong, verdict.lives) == (5, 5, "")


@pytest.mark.parametrize("way", [way for way in STUBS if way != "is left out"])
def test_a_test_that_tests_nothing_is_not_written_yet(way):
    verdict = verdict_on(defined(STUBS[way]))
    assert not verdict.passed
    assert verdict.summary == "not written yet"
    assert verdict.message == (
        "graph.catch_the_bug: not written yet. It should raise an error if parabola is wrong."
    )


@pytest.mark.parametrize("way", WRONG)
def test_what_is_wrong_with_a_test_is_said(way):
    source, words = WRONG[way]
    verdict = verdict_on(defined(source))
    assert not verdict.passed
    assert words in verdict.message
    assert verdict.summary.strip(".") in verdict.message
    assert verdict.mistake is None
    if not verdict.lives:
        assert verdict.caught == 0


@pytest.mark.parametrize("way", CHEATS)
def test_a_cheat_earns_nothing(way):
    for seed in range(3):
        verdict = verdict_on(defined(CHEATS[way]), seed=seed)
        assert not verdict.passed, verdict.message


def test_what_lives_is_shown_on_its_example():
    verdict = verdict_on(defined("def test(function):\n    function(X.clone(), 1.0, 2, 3.0)\n"))
    assert verdict.message.endswith(
        "\n\ninput     x = [1], a = 1, b = 2, c = 3\n"
        "right     [6]   (the heights at x, shape (n,))\n"
        "this one  [3]"
    )
    assert (verdict.caught, verdict.wrong, verdict.lives) == (0, 5, "c is left out")
    in_place = verdict_on(defined(WRONG["does not look at the argument"][0]))
    assert in_place.message.endswith("this one  [7]   (and it changes x in place)")
    assert in_place.caught == 4


def test_one_that_lives_is_named_and_not_the_others():
    verdict = verdict_on(defined("def test(function):\n    function(X.clone(), 1.0, 2, 3.0)\n"))
    names = [variant.name for variant in catch_the_bug.wrong_ones()]
    assert sum(name in verdict.message for name in names) == 1


def test_a_test_that_hangs_is_slow(monkeypatch, untraced):
    monkeypatch.setattr(notebook, "SECONDS", 0.3)
    verdict = verdict_on(defined(SLOW_TEST))
    assert not verdict.passed
    assert verdict.message == (
        "graph.catch_the_bug: it took over 0.3 s; look for a loop that does not end."
    )
    hangs_on_one = (
        "def test(function):\n    y = function(X.clone(), 0.0, 0, 1.0)[0]\n"
        "    while y != 1:\n        pass\n"
    )
    assert "it took over 0.3 s" in verdict_on(defined(hangs_on_one)).message


def test_all_of_it_must_end_in_time(monkeypatch):
    monkeypatch.setattr(engine, "SECONDS", 0)
    assert verdict_on(defined(RIGHT["asserts"])).summary == "it took over 0 s"


def test_draws_at_random_depend_on_the_seed_and_disturb_nothing():
    drawn = []

    def test(function):
        drawn.append((torch.rand(2).tolist(), float(np.random.rand()), random.random()))
        function(torch.zeros(1), 1.0, 2, 3.0)

    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    verdict_on(test, seed=5)
    assert len(set(map(str, drawn))) == 1
    verdict_on(test, seed=6)
    assert len(set(map(str, drawn))) == 2
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert random.getstate() == states[2]


def test_functions_come_in_an_order_that_is_drawn_anew():
    orders = set()
    for _ in range(4):
        order = []

        def trial(answering, seed, order=order):
            order.append(id(answering.function))
            return attempt_of(lambda function: None, answering.function, seed)

        hunting.hunt(catch_the_bug, trial, 0, 20, ())
        orders.add(tuple(order))
        assert len(order) == 3 + 3 + 5
    assert len(orders) > 1


def test_what_a_function_changed_is_changed_back():
    x = torch.tensor([2.0])

    def forgetful(function):
        assert abs(float(function(x, 1.0, 0, 0.0)) - 4) < 1e-4

    assert verdict_on(forgetful).lives
    assert x.item() == 2


def test_a_function_can_be_called_only_while_its_test_runs():
    kept = []
    verdict_on(lambda function: kept.append(function))
    with pytest.raises(RuntimeError, match="only while its test runs"):
        kept[0](torch.zeros(1), 1.0, 2, 3.0)


def test_two_results_come_as_they_are_returned():
    both = BugHunt(
        "solve.catch_the_bug",
        roots,
        right=(
            Variant("returns a list", lambda a, b, c: list(roots.reference(a, b, c))),
            Variant("returns rows", lambda a, b, c: torch.stack(roots.reference(a, b, c))),
        ),
    )

    def test(function):
        low, high = function(torch.tensor([2.0]), torch.tensor([3.0]), torch.tensor([-2.0]))
        assert abs(low + 2) < 1e-4 and abs(high - 0.5) < 1e-4

    seen = set()
    verdict = verdict_on(lambda function: (test(function), seen.add(kind_of(function)))[2:], both)
    assert verdict.message.startswith("solve.catch_the_bug: your test returns tuple")
    assert seen == {"tuple", "list", "Tensor"}
    assert verdict_on(test, both).passed


def kind_of(function):
    return type(function(*(torch.ones(2), 3 * torch.ones(2), torch.ones(2)))).__name__


def test_results_have_the_precision_of_the_arguments():
    for dtype in (torch.float32, torch.float64):
        seen = set()
        verdict_on(lambda f, d=dtype, s=seen: s.add(f(torch.ones(2, dtype=d), 1.0, 2, 3.0).dtype))
        assert seen == {dtype}


def failure(answer, **options):
    with pytest.raises(CheckFailed) as caught:
        TUTOR.check("graph.catch_the_bug", answer, **options)
    return str(caught.value)


def test_a_notebook_checks_a_test(capsys):
    TUTOR.check("graph.catch_the_bug", defined(RIGHT["asserts"]))
    assert capsys.readouterr().out.startswith("✓ graph.catch_the_bug: right")
    source, words = WRONG["accepts too much"]
    assert words in failure(defined(source))
    with pytest.raises(NoFunction, match=r"check\('graph.catch_the_bug', test_parabola\)"):
        TUTOR.check("graph.catch_the_bug", 3)


def test_a_question_says_what_is_tested(capsys):
    TUTOR.ask("graph.catch_the_bug")
    assert capsys.readouterr().out == (
        "? test_parabola(function) raises an error if the function is wrong. function(x, a, b, c)"
        " should return the heights at x, shape (n,)\n"
    )


def test_what_lives_is_drawn_beside_the_right_one(monkeypatch):
    shown = []
    monkeypatch.setattr(notebook, "in_notebook", lambda: True)
    monkeypatch.setattr(notebook, "watch_cells", lambda: None)
    monkeypatch.setattr(notebook, "show_html", lambda html, text: shown.append((html, text)))
    source, _ = WRONG["accepts too much"]
    failure(defined(source))
    (_, card), (picture, caption) = shown
    assert "this one lives: c is left out" in card
    assert picture.startswith("<p>a curve: (array([4.")
    assert "beside (array([4.5" in picture
    assert "('wrong', 'right')" in picture
    assert caption == "What your test accepts: c is left out."


def test_the_answer_is_a_function_of_its_own_name():
    assert COURSE.variable_of("graph.catch_the_bug") == "test_parabola"
    assert COURSE.variable_of("graph.parabola") == "parabola"


def course_with(**changes):
    bank = {"graph.catch_the_bug": dataclasses.replace(catch_the_bug, **changes)}
    return Course("algebra", "quadratics", bank, {}, str)


ONE = (row(1.0), 2.0, 2, 3.0)
BAD_HUNTS = {
    "'is not' should be right, but result": {
        "right": (Variant("is not", lambda x, a, b, c: (x, x)),)
    },
    "'raises' should be right, but ZeroDivisionError": {
        "right": (Variant("raises", lambda x, a, b, c: 1 / 0),)
    },
    "'returns text' should be right, but TypeError: expected tensors and numbers, got str": {
        "right": (Variant("returns text", lambda x, a, b, c: "3"),)
    },
    "'is right' should be wrong, but is right in each case": {
        "wrong": (Variant("is right", lambda x, a, b, c: (a * x + b) * x + c, ONE),)
    },
    "the example of 'x alone' must be a tuple of 4 values": {
        "wrong": (Variant("x alone", lambda x, a, b, c: x),)
    },
    "two functions have the same name": {
        "wrong": (Variant("c is left out", lambda x, a, b, c: x, ONE),)
    },
    "there is no wrong function to catch": {
        "exercise": dataclasses.replace(parabola, mistakes=()),
        "wrong": (),
    },
    "points must be a positive integer": {"points": 0},
}


@pytest.mark.parametrize("words", BAD_HUNTS)
def test_a_question_that_cannot_be_asked_is_refused(words):
    with pytest.raises(ValueError, match="catch_the_bug") as caught:
        course_with(**BAD_HUNTS[words])
    assert words.split(" result")[0] in str(caught.value)


def test_an_exercise_that_takes_a_function_cannot_be_tested():
    made = Made("f", "a function", "def f(x):\n    return x\n")
    exercise = dataclasses.replace(
        discriminant,
        reference=lambda a, b, c: b,
        cases=lambda draw: [
            dataclasses.replace(case, args=(made, *case.args[1:]))
            for case in discriminant.cases(draw)
        ],
        mistakes=(),
    )
    wrong = (Variant("a", lambda a, b, c: b + 1, (row(1.0),) * 3),)
    with pytest.raises(ValueError, match="takes tensors, arrays and numbers, got function"):
        Course(
            "algebra",
            "quadratics",
            {"solve.bug": BugHunt("solve.bug", exercise, (), wrong)},
        )


def answering(function, calls=0):
    one = Answering(function, 1)
    one.calls = calls
    return one


def test_a_function_that_fails_is_an_error_and_no_more():
    def recursive(x):
        return recursive(x)

    for function in (lambda x: 1 / 0, recursive, lambda x: torch.zeros(2**40), lambda x: {}):
        reply, arrays = answering(function)([1.0], [])
        assert set(reply) == {"error", "error_name"}
        assert arrays == []
    reply, _ = answering(lambda x: x, MOST_CALLS)([1.0], [])
    assert "at most 200 times" in reply["error"]
    reply, _ = answering(lambda x: torch.zeros(2**20 + 1))([1.0], [])
    assert reply["error"] == "the result has over 1,048,576 numbers"


@pytest.fixture(scope="module")
def in_the_grader(tmp_path_factory):
    """What the grader says of each way to write a test, and of each cheat."""
    sources = {**WAYS, **{f"cheat: {way}": source for way, source in CHEATS.items()}}
    names = {way: f"graph{place}.catch_the_bug" for place, way in enumerate(sources)}
    bank = {name: dataclasses.replace(catch_the_bug, name=name) for name in names.values()}
    cells = [IMPORTS, HEAD]
    for way, source in sources.items():
        cells += [source, f"check({names[way]!r}, test)"]
    folder = tmp_path_factory.mktemp("hunts")
    (folder / "ada.ipynb").write_text(as_notebook(cells), encoding="utf-8")
    course = Course("algebra", "quadratics", bank, {}, str, answers=("algebra",))
    (graded,) = grade(
        course,
        [folder / "ada.ipynb"],
        folder / "out",
        limits=Limits(timeout=100, cell=10),
        progress=False,
    )
    assert not graded.broken, graded.remarks
    rows = {row.exercise: row for row in graded.rows}
    return {way: rows[name] for way, name in names.items()}


not_on_windows = pytest.mark.skipif(os.name == "nt", reason="submissions run on Linux and macOS")


@not_on_windows
@pytest.mark.parametrize("way", WAYS)
def test_the_grader_says_what_a_notebook_says(way, in_the_grader):
    row = in_the_grader[way]
    if way == "stub: is left out":
        assert (row.points, row.summary) == (0, "not written yet")
        return
    verdict = verdict_on(defined(WAYS[way]))
    assert row.points == (2 if verdict.passed else 0)
    assert row.message.replace(row.exercise, "graph.catch_the_bug") == verdict.message
    assert row.summary == verdict.summary
    assert row.remark == ""


@not_on_windows
@pytest.mark.parametrize("way", CHEATS)
def test_a_cheat_earns_nothing_in_the_grader(way, in_the_grader):
    assert in_the_grader[f"cheat: {way}"].points == 0
