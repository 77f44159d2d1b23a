"""Whatever an answer to an exercise of this course returns, it is a wrong answer in words, and what
the grader receives of it over the wire is what a notebook sees.
"""

import json
import socket
import time

import numpy as np
import pytest
import torch

from marking.engine import judge
from marking.exercise import Exercise, Inputs
from marking.grader import outcome_from
from marking.notebook import call_here
from marking.sandbox.wire import receive, send
from minddpm_course.bank import BANK

EXERCISES = {name: one for name, one in BANK.items() if isinstance(one, Exercise)}
# what is said of numbers does not depend on warnings
pytestmark = pytest.mark.filterwarnings("ignore")
RESULTS = (
    *("0", "None", "'x'", "[]", "()", "{}", "float('nan')", "float('inf')", "1j", "10**400"),
    *("2**70", "True", "1e308", "[[1, 2], [3, 4]]", "[[1], [2, 3]]", "(x for x in [1, 2])"),
    *("(float('nan'), 0.0)", "(0.5, None)", "(1.0,)", "(1.0, 2.0, 3.0)", "[0.5, [0.5]]"),
    *("torch.zeros(0)", "(torch.zeros(0), torch.zeros(0))", "torch.zeros(0, 3)", "[[], []]"),
    *("[torch.ones(3), torch.ones(3)]", "[torch.ones(2), torch.ones(3)]", "(0.5, torch.ones(3))"),
    *("torch.empty(3, device='meta')", "torch.eye(3).to_sparse()", "torch.ones(3).half()"),
    *("torch.ones(3, requires_grad=True)", "torch.full((3,), float('nan'))", "torch.ones(3) > 0"),
    *("np.array([None, 1.0])", "np.array([1.0, 2.0], object)", "np.zeros(3, 'u4')", "np.zeros(3)"),
    *("torch.ones(3, dtype=torch.int64)", "torch.tensor(0.5)", "[torch.tensor(0.5)] * 2"),
    *("len", "int", "ValueError('x')", "args", "args[0]", "list(args)[::-1]", "[args[0], 0]"),
)


def answer(expression):
    return eval(f"lambda *args: {expression}", {"torch": torch, "np": np})


def over_the_wire(outcome, args):
    """An outcome as the grader receives it."""
    told = {"several": outcome.several, "changed": list(outcome.changed)}
    if outcome.value is None:
        told = {"error": outcome.error, "error_name": outcome.error_name}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs, told, outcome.value or ())
        reply, results = receive(ours, time.monotonic() + 10)
    return outcome_from(json.loads(json.dumps(reply)), results, args)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize(
    "part", [0, *(pytest.param(k, marks=pytest.mark.thorough) for k in (1, 2))]
)
def test_an_odd_result_is_wrong_in_words(name, part):
    """Another kind is an error of the answer, never one of the engine. In each part, every third
    result goes to an exercise, and each result to every third exercise.
    """
    first = (list(EXERCISES).index(name) + part) % 3
    for expression in RESULTS[first::3]:
        odd = answer(expression)
        verdict = judge(EXERCISES[name], lambda args, odd=odd: call_here(odd, args), 1)
        assert not verdict.passed, expression
        assert verdict.message.startswith(f"{name}: "), expression
        assert verdict.summary


@pytest.mark.parametrize("name", EXERCISES)
def test_the_grader_receives_what_a_notebook_sees(name):
    case = next(iter(EXERCISES[name].cases(Inputs(0))))
    for expression in RESULTS:
        seen = call_here(answer(expression), case.args)
        got = over_the_wire(seen, len(case.args))
        assert (got.error, got.error_name) == (seen.error, seen.error_name), expression
        assert (got.several, got.changed) == (seen.several, seen.changed), expression
        assert len(got.value or ()) == len(seen.value or ())
        for one, other in zip(got.value or (), seen.value or ()):
            assert one.dtype == other.dtype, expression
            np.testing.assert_array_equal(one, other)


def steps_that_run(T):
    """The steps, each the one before minus 1, in float32 and as shares of T."""
    return torch.linspace(1, 0, T + 1)[:-1] * T


FORMS = {  # in which the right numbers are right
    "a float32 running sum": ("06.steps", steps_that_run),
    "tensors": ("06.steps", lambda T: [torch.tensor(t) for t in range(T, 0, -1)]),
    "a running product": ("01.alpha_bars", lambda betas: list((1 - betas.float()).cumprod(0))),
    "nested lists": (
        "03.posterior_coefficients",
        lambda *args: [
            one.tolist() for one in EXERCISES["03.posterior_coefficients"].reference(*args)
        ],
    ),
    "lists of tensors": (
        "03.posterior_coefficients",
        lambda *args: [
            list(one) for one in EXERCISES["03.posterior_coefficients"].reference(*args)
        ],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_right_numbers_are_right_in_any_form(form):
    name, function = FORMS[form]
    for seed in range(5):
        verdict = judge(BANK[name], lambda args: call_here(function, args), seed)
        assert verdict.passed, verdict.message
