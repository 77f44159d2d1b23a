"""Judging on a bank about quadratic equations: right answers pass, known mistakes are named, others
are not, and each message says what is wrong.
"""

import dataclasses
import functools
import itertools
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from algebra import BANK, roots

from marking import engine
from marking.diagnosis import explain
from marking.engine import judge
from marking.exercise import BugHunt, Choice, Exercise, HandNumber
from marking.outcome import outcome_of

EXERCISES = [question for question in BANK.values() if isinstance(question, Exercise)]
HAND_NUMBER = BANK["solve.by_hand"]
CHOICE = BANK["graph.which_way"]
SEEDS = range(3)


def verdict_on(exercise, function, seed=0):
    return judge(exercise, lambda args: outcome_of(function, args), seed)


def test_the_bank_has_every_kind_of_question():
    assert {type(question) for question in BANK.values()} == {Exercise, HandNumber, Choice, BugHunt}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_pass_and_known_mistakes_are_named(exercise):
    for seed in SEEDS:
        verdict = verdict_on(exercise, exercise.reference, seed)
        assert verdict.passed
        assert verdict.summary == "right"
        for mistake in exercise.mistakes:
            verdict = verdict_on(exercise, mistake.wrong, seed)
            assert not verdict.passed
            assert verdict.mistake == mistake.name
            assert verdict.explanation == explain(exercise, mistake)
            assert verdict.explanation in verdict.message
            assert "{" not in verdict.explanation


def test_an_explanation_shows_both_results():
    assert explain(roots, roots.mistakes[0]).endswith(
        "they are [-2] and [0.5]; yours are [0.5] and [-2]."
    )


def test_a_known_mistake_is_shown_with_its_numbers():
    verdict = verdict_on(roots, roots.mistakes[1].wrong)
    for line in ("input     a = [", "expected  [", "got       ["):
        assert line in verdict.message
    for word in ("input", "expected", "got  "):
        assert word not in verdict.summary + verdict.explanation


def test_another_wrong_answer_has_no_name():
    verdict = verdict_on(BANK["solve.discriminant"], lambda a, b, c: b / 7)
    assert verdict.mistake is None
    assert "the result is wrong, off by up to" in verdict.message


@pytest.mark.parametrize("nothing", [None, ...])
def test_a_stub_is_not_written_yet(nothing):
    def unwritten(*args):
        raise NotImplementedError

    for stub in (unwritten, lambda *args: nothing):
        verdict = verdict_on(roots, stub)
        assert verdict.message == (
            "solve.roots: not written yet. It should return the smaller and the larger root, each"
            " (n,)."
        )
        assert not verdict.passed


@pytest.mark.parametrize("compute", [torch.nn.functional.silu, torch.rand_like])
def test_what_pytorch_does_not_compute_with_integers_is_written(compute):
    verdict = verdict_on(BANK["solve.discriminant"], lambda a, b, c: compute(a.long()))
    assert verdict.message.startswith("solve.discriminant: ")
    assert "not written yet" not in verdict.message
    assert "not implemented for 'Long'" in verdict.message


def not_yet():
    raise NotImplementedError("of two roots")


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (lambda: None, "it returns None"),
        (lambda: ..., "it returns Ellipsis"),
        (not_yet, "NotImplementedError: of two roots"),
    ],
)
def test_what_is_left_out_for_some_inputs_is_wrong_and_shown(left_out, words, place):
    """It is written, only not for all."""
    discriminant = BANK["solve.discriminant"]
    calls = itertools.count()

    def answer(a, b, c):
        return left_out() if next(calls) == place else discriminant.reference(a, b, c)

    message = verdict_on(discriminant, answer).message
    assert message.startswith(f"solve.discriminant: {words}")
    assert "input" in message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda a, b, c: (b**2 - 4 * a * c)[:0], "the result has shape (0,); expected ("),
        (lambda a, b, c: b.int(), "the result has dtype int32; expected floating-point numbers"),
        (lambda a, b, c: b / 0, "the result contains an infinite value"),
        (lambda a, b, c: b * float("nan"), "the result contains NaN"),
        (lambda a, b, c: (b, a), "it returns 2 arrays; expected one array"),
        (lambda a, b, c: {"b": b}, "expected numbers, but the answer returns dict"),
        (lambda a, b, c: b > 0, "expected numbers, but the answer returns bool values"),
        (lambda a, b, c: b.pow_(2).sub_(4 * a * c), "changes its input b in place"),
        (lambda a: a, "TypeError"),
    ],
)
def test_what_is_wrong_is_said(answer, words):
    assert words in verdict_on(BANK["solve.discriminant"], answer).message


def yielding_one(x):
    out = torch.zeros((), dtype=x.dtype)
    for value in x:
        yield out.copy_(value)


FORMS = {  # in which the numbers stay what they are
    "a list": torch.Tensor.tolist,
    "a generator": lambda x: (value for value in x.tolist()),
    "a generator that goes on working on what it yields": yielding_one,
    "an iterator of tensors": iter,
    "tensors of one number each": lambda x: list(x[:, None]),
    "an array": torch.Tensor.numpy,
    "an array of objects": lambda x: np.array(x.tolist(), dtype=object),
    "fractions": lambda x: map(Fraction, x.tolist()),
    "decimals": lambda x: tuple(map(Decimal, x.tolist())),
    "a part of a graph": lambda x: x * torch.ones(1, requires_grad=True),
    "sparse": torch.Tensor.to_sparse,
    "negated": lambda x: torch.complex(0 * x.double(), -x.double()).conj().imag,
    "values of a dict": lambda x: dict(enumerate(x)).values(),
    "long doubles": lambda x: x.numpy().astype(np.longdouble),
    "bytes in another order": lambda x: x.double().numpy().astype(">f8"),
}
COUPLES = {
    "a list": list,
    "a stack": torch.stack,
    "a generator": iter,
    "lists": lambda both: [one.tolist() for one in both],
    "pairs": lambda both: zip(*zip(*both)),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_a_result_does_not_matter(form):
    exercise = BANK["solve.discriminant"]
    verdict = verdict_on(exercise, lambda *args: FORMS[form](exercise.reference(*args)))
    assert verdict.passed, verdict.message
    named = verdict_on(exercise, lambda *args: FORMS[form](exercise.mistakes[0].wrong(*args)))
    assert named.mistake == exercise.mistakes[0].name


@pytest.mark.parametrize("form", COUPLES)
def test_the_form_of_two_results_does_not_matter(form):
    verdict = verdict_on(roots, lambda *args: COUPLES[form](roots.reference(*args)))
    assert verdict.passed, verdict.message
    swapped = roots.mistakes[0]
    verdict = verdict_on(roots, lambda *args: COUPLES[form](swapped.wrong(*args)))
    assert verdict.mistake == swapped.name


COUNT = dataclasses.replace(
    roots,
    name="solve.count",
    reference=lambda a, b, c: 2 * len(a),
    mistakes=(dataclasses.replace(roots.mistakes[0], wrong=lambda a, b, c: len(a)),),
)
MEAN = dataclasses.replace(
    roots, name="solve.mean", reference=lambda a, b, c: (a * 0 + 3).mean(), mistakes=()
)


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        (lambda a, b, c: 2.0 * len(a), True),
        (lambda a, b, c: torch.tensor([2 * len(a)]), True),
        (lambda a, b, c: [np.float32(2 * len(a))], True),
        (lambda a, b, c: Fraction(2 * len(a)), True),
        (lambda a, b, c: 2.0 * len(a) + 1e-6, False),
        (lambda a, b, c: torch.full((3,), 2 * len(a) / 3).cumsum(0)[-1], True),
        (lambda a, b, c: np.nextafter(np.float32(2 * len(a)), np.float32(0)), True),
        (lambda a, b, c: torch.tensor(2.0 * len(a)) * (1 + 1e-5), False),
        (lambda a, b, c: float("nan"), False),
        (lambda a, b, c: 1e300, False),
        (lambda a, b, c: torch.tensor([[2 * len(a)]]), False),
        (lambda a, b, c: [2 * len(a)] * 2, False),
    ],
)
def test_a_whole_number_may_be_a_float_and_one_number_a_list(answer, passes):
    verdict = verdict_on(COUNT, answer)
    assert verdict.passed == passes, verdict.message


def test_whole_numbers_may_be_integers_where_floats_are_wanted():
    assert verdict_on(MEAN, lambda a, b, c: 3).passed
    assert verdict_on(MEAN, lambda a, b, c: torch.tensor([3])).passed
    assert verdict_on(COUNT, lambda a, b, c: float(len(a))).mistake == roots.mistakes[0].name


def test_a_class_whose_objects_are_called_is_an_answer():
    class Discriminant:
        def __call__(self, a, b, c):
            return b**2 - 4 * a * c

    for answer in (Discriminant, Discriminant(), functools.partial(Discriminant())):
        assert verdict_on(BANK["solve.discriminant"], answer).passed


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (torch.ones(3).half(), "expected float32 or float64, got float16: half precision"),
        ([torch.ones(()).bfloat16()], "expected float32 or float64, got bfloat16: half precision"),
        (np.ones(3, np.float16), "expected float32 or float64, got float16: half precision"),
        ({1.0}, "expected numbers, but the answer returns set"),
        ([{"a": 1}], "expected numbers, but the answer returns dict"),
        ("text", "expected numbers, but the answer returns text"),
        ([1.0, None], "expected numbers, but the answer returns NoneType"),
        (1j, "expected numbers, but the answer returns complex128 values"),
        ([[[1], [2, 3]]], "expected lists of equal lengths, got a ragged one"),
        (torch.empty(3, device="meta"), "expected numbers, but a tensor on the device meta has"),
        (torch.zeros(1).expand(10**9), "expected at most 1,048,576 numbers, got more"),
        (itertools.count(), "expected at most 1,048,576 numbers, got more"),
        ([torch.ones(2)] * 5000, "expected at most 4,096 arrays, got 5,000"),
        (
            [torch.ones(2)] * 7,
            "got       [1, 1] and [1, 1] and [1, 1] and [1, 1] and 3 more arrays",
        ),
        (np.zeros([1] * 9), "expected at most 8 dimensions, got 9"),
        ([[[[[[[[[1]]]]]]]]], "expected lists that are nested at most 8 deep"),
        (0.5, "it returns one array; expected 2 arrays"),
    ],
)
def test_what_is_no_result_is_said(result, words):
    message = verdict_on(roots, lambda a, b, c: result).message
    assert words in message
    assert "TypeError" not in message


def test_a_student_who_makes_overflows_errors_is_judged_as_any_other():
    def infinite(a, b, c):
        return torch.full_like(a, float("inf"))

    with np.errstate(all="raise"):
        assert verdict_on(BANK["solve.discriminant"], infinite).summary


def test_what_torch_compiles_is_called_as_it_is_written():
    code = (
        "import torch\n"
        "from marking.outcome import outcome_of\n"
        "def backend(graph, inputs):\n    raise OSError('there is no compiler')\n"
        "answer = torch.compile(lambda x: x + 1, backend=backend)\n"
        "print(outcome_of(answer, [torch.ones(2)]).value)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "(array([2., 2.], dtype=float32),)\n", done.stderr


def test_one_of_several_results_is_named():
    verdict = verdict_on(roots, lambda a, b, c: (roots.reference(a, b, c)[0], b))
    assert "result 2 of 2 is wrong" in verdict.message


def test_an_answer_that_draws_or_remembers_is_caught():
    right = BANK["solve.discriminant"].reference
    calls = []

    def remembering(a, b, c):
        calls.append(1)
        return right(a, b, c) + (1 if len(calls) > 3 else 0)

    def drawing(a, b, c):
        return right(a, b, c) + 0.01 * torch.rand(())

    assert "different results" in verdict_on(BANK["solve.discriminant"], remembering).message
    assert not verdict_on(BANK["solve.discriminant"], drawing).passed


def test_an_answer_that_is_slow_at_every_call_is_said(monkeypatch):
    monkeypatch.setattr(engine, "SECONDS", 0)
    words = "it took over 0 s; a check calls the function 4 times"
    assert words in verdict_on(roots, roots.reference).message


def test_inputs_are_fresh_and_repeat_with_the_seed():
    def drawn(seed):
        return [[arg.tolist() for arg in case.args] for case in roots.cases(engine.Inputs(seed))]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_numbers_by_hand():
    values = HAND_NUMBER.values_for("Ada Lovelace")
    assert values == HAND_NUMBER.values_for("  ADA   lovelace ")
    assert judge(HAND_NUMBER, round(HAND_NUMBER.answer(**values), 3), 0, "Ada Lovelace").passed
    right = round(HAND_NUMBER.answer(**values), 3)
    for answer in (str(right), torch.tensor([right]), np.float32(right), Decimal(str(right))):
        assert judge(HAND_NUMBER, answer, 0, "Ada Lovelace").passed, answer
    for name, wrong, why in HAND_NUMBER.mistakes:
        verdict = judge(HAND_NUMBER, wrong(**values), 0, "Ada Lovelace")
        assert verdict.mistake == name
        assert why in verdict.message
    for answer, student, words in (
        (1e6, "Ada", "1e+06 is not the answer for the values of 'Ada'"),
        (None, "Ada", "not answered yet"),
        ("many", "Ada", "expected a number, got 'many'"),
        (torch.ones(2), "Ada", "expected a number, got tensor([1., 1.])"),
        (True, "Ada", "expected a number, got True"),
        ({}, "Ada", "expected a number, got {}"),
        (3.0, " ", "the values depend on your name, and no name is given"),
        (3.0, None, "the values depend on your name, and no name is given"),
    ):
        verdict = judge(HAND_NUMBER, answer, 0, student)
        assert not verdict.passed
        assert verdict.mistake is None
        assert words in verdict.message
    assert len({str(HAND_NUMBER.values_for(str(number))) for number in range(20)}) > 5


def test_predictions():
    assert judge(CHOICE, "b", 0).message == "graph.which_way: right. The factor of x^2 is negative."
    wrong = judge(CHOICE, "A", 0)
    assert wrong.mistake == "A: up"
    assert wrong.message == "graph.which_way: wrong. Its height at x = 10 is -97."
    assert "expected one of A, B, got 'Z'" in judge(CHOICE, "Z", 0).message
    assert "not answered yet" in judge(CHOICE, "", 0).message
    for answer in (" b ", "B.", "b)", "(B)", "'B'", np.str_("B")):
        assert judge(CHOICE, answer, 0).passed, answer
    for answer in (torch.ones(3), 1, ["B"], np.array(["B", "A"])):
        assert "expected one of A, B, got " in judge(CHOICE, answer, 0).message
