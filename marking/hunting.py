"""Try a student's test on right and on wrong functions, and find out which it refuses."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from marking.exercise import BugHunt, Variant
from marking.outcome import Array, Attempt, changed_places, copied
from marking.sandbox import wire

MOST_CALLS = 200  # of the function, by a test of it
TOO_OFTEN = f"a test may call the function at most {MOST_CALLS} times"

# lets the test judge the function that answers, with a seed for what it draws at random
RunTest = Callable[["Answering", int], Attempt]


class Answering:
    """Computes what a function under test gives, out of reach of the test.

    Args:
        function: the function.
        arguments: how many it takes.
    """

    def __init__(self, function: Callable[..., Any], arguments: int) -> None:
        self.function = function
        self.arguments = arguments
        self.calls = 0

    def __call__(
        self, call: Any, arrays: Sequence[Array]
    ) -> tuple[dict[str, Any], Sequence[Array]]:
        """The answer to a call, which may come from anyone: see `wire.remote_function`.

        Raises: wire.Unreadable for what is no call.
        """
        self.calls += 1
        args = wire.args_of_call(call, arrays, self.arguments)
        results: list[Array] = []
        try:
            if self.calls > MOST_CALLS:
                raise RuntimeError(TOO_OFTEN)
            wire.check_sizes(args)
            kept = [copied(arg) for arg in args]
            with torch.no_grad(), np.errstate(all="ignore"):
                value = as_precise_as(args, self.function(*args))
            if numbers_in(value) > wire.MOST_SENT:
                raise ValueError(f"the result has over {wire.MOST_SENT:,} numbers")
            changed = [
                [place, wire.tree_of(args[place], results)] for place in changed_places(kept, args)
            ]
            return {"value": wire.tree_of(value, results), "changed": changed}, results
        except Exception as error:  # it is the test's to see
            return {"error": str(error)[:500], "error_name": type(error).__name__}, []


def as_precise_as(args: Sequence[Any], value: Any) -> Any:
    """A result in the precision of the arguments, whatever a function uses inside: a test should
    not have to mind that.
    """
    if isinstance(value, list | tuple):
        return type(value)(as_precise_as(args, item) for item in value)
    precisions = [arg.dtype for arg in args if is_floating(arg)]
    if not is_floating(value) or not precisions:
        return value
    return value.to(functools.reduce(torch.promote_types, precisions))


def is_floating(value: Any) -> bool:
    """Whether a value is a tensor of floating-point numbers."""
    return isinstance(value, Tensor) and value.is_floating_point()


def numbers_in(value: Any) -> int:
    """How many numbers a result has."""
    if isinstance(value, list | tuple):
        return sum(map(numbers_in, value))
    if isinstance(value, Tensor):
        return value.numel()
    return value.size if isinstance(value, np.ndarray) else 1


@dataclass(frozen=True)
class Findings:
    """How a test judged the functions that it was tried on.

    Args:
        ended: how the run_test ended before it was complete; None if it did not.
        unsure: a right function that the test accepted once and refused once.
        refused: a right function that it refused, and how.
        lives: the wrong functions that it accepted.
        count: of all wrong functions.
        returned: what the test returned in place of nothing, in words; may be empty.
        unwritten: whether it does nothing at all.
    """

    ended: Attempt | None = None
    unsure: Variant | None = None
    refused: tuple[Variant, Attempt] | None = None
    lives: tuple[Variant, ...] = ()
    count: int = 0
    returned: str = ""
    unwritten: bool = False


def hunt(
    question: BugHunt, run_test: RunTest, seed: int, seconds: float, ends: Sequence[str]
) -> Findings:
    """Try a test on every function, in an order that nobody can know: so a test that counts, or
    draws lots, does not pass.

    Args:
        question: the question.
        run_test: the test.
        seed: for what the test draws at random.
        seconds: after which it is too slow.
        ends: the names of errors after which it is not tried again.
    """
    right, wrong = question.right_ones(), question.wrong_ones()
    variants = [*right, *wrong]
    order = [*range(len(variants)), *range(len(right))]  # the right ones twice
    random.SystemRandom().shuffle(order)
    attempts: dict[int, list[Attempt]] = {place: [] for place in range(len(variants))}
    started = time.perf_counter()
    for place in order:
        answering = Answering(variants[place].function, len(question.exercise.arguments))
        attempt = run_test(answering, seed)
        if attempt.error_name in ends:
            return Findings(ended=attempt)
        if answering.calls > MOST_CALLS:
            return Findings(ended=Attempt(True, TOO_OFTEN, "Slow"))
        if time.perf_counter() - started > seconds:
            return Findings(ended=Attempt(True, f"it took over {seconds} s", "Slow"))
        attempts[place].append(attempt)
    every = [attempt for some in attempts.values() for attempt in some]
    judged = list(zip(variants, attempts.values()))
    twice, once = judged[: len(right)], judged[len(right) :]
    unsure = [variant for variant, (one, two) in twice if one.refused != two.refused]
    refused = [(variant, some[0]) for variant, some in twice if some[0].refused]
    lives = [variant for variant, (one,) in once if not one.refused]
    returned = [attempt.returned for attempt in every if attempt.returned]
    return Findings(
        unsure=unsure[0] if unsure else None,
        refused=refused[0] if refused else None,
        lives=tuple(lives),
        count=len(wrong),
        returned=returned[0] if returned else "",
        unwritten=all(map(does_nothing, every)),
    )


def does_nothing(attempt: Attempt) -> bool:
    """Whether a test is a stub, as far as one attempt tells."""
    if attempt.refused:
        return attempt.error_name == "NotImplementedError"
    return not attempt.calls and not attempt.returned
