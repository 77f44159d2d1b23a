"""What an exercise is: its right answer, the inputs to try answers on, and the mistakes that people
make in it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

# that are asked of a number worked out by hand, unless its question asks for more
ASKED_DECIMALS = 3
MOST_DRAWS = 1000  # of values for one student, until the right number and all the wrong ones differ


def lesson_of(name: str) -> str:
    """The lesson in a question's name: "roots" in "roots.discriminant"."""
    return name.partition(".")[0]


def function_of(name: str) -> str:
    """What a question's name asks for: "discriminant" in "roots.discriminant"."""
    return name.partition(".")[2]


def agreeing(decimals: int) -> float:
    """How far a number may be from another, cut off or rounded, and still agree to so many
    decimals.
    """
    return 1.1 * 10.0**-decimals


# how far a number worked out by hand may be from a known wrong one and still be taken for it
ALLOWED = agreeing(ASKED_DECIMALS)


class Inputs:
    """A source of fresh inputs for one check; the same seed draws the same inputs."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float32."""
        return torch.randn(shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between low and high, float32."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def decimal(self, low: float, high: float) -> float:
        """One number between low and high, rounded to four decimals."""
        return round(self.uniform(low, high).item(), 4)

    def integer(self, low: int, high: int) -> int:
        """One integer from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))


@dataclass(frozen=True)
class Case:
    """One call of the function under test: what is special about it, and the arguments."""

    description: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give.

    Args:
        name: what they do, in a few words.
        wrong: the function as they write it.
        why: what is wrong with it; {right} and {wrong} stand for the results of the right and the
            wrong function on `example`.
        example: arguments that show the consequence.
    """

    name: str
    wrong: Callable[..., Any]
    why: str
    example: tuple[Any, ...]


@dataclass(frozen=True)
class Picture:
    """How to draw the results of a function.

    Args:
        args: the arguments to call it with.
        how: what the course's `draw_beside` needs to know; the engine only passes it on.
    """

    args: tuple[Any, ...]
    how: Any


@dataclass(frozen=True)
class Formula:
    """The right answer as text, in which wrong answers are found by changing it here and there.

    Args:
        results: one expression of Python for each result, in the arguments and in `where`.
        where: other symbols, each defined by the arguments and the symbols before it: those that
            `results` contain, and others that may be taken for them.
        otherwise: the same formula in another form that people write.
    """

    results: tuple[str, ...]
    where: Mapping[str, str] = field(default_factory=dict)
    otherwise: Formula | None = None


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    Args:
        name: lesson and function, "roots.discriminant".
        arguments: their names, in order. Their values can be tensors without a gradient,
            numbers, bools, strings, None, and what is made where the answer runs
            (`outcome.Made`); a submission cannot be sent anything else.
        returns: the result in words, for messages.
        reference: the right answer, on the same arguments.
        cases: draws the calls that an answer is judged by, corner cases included.
        mistakes: the known ones.
        points: what it is worth.
        hints: what to look at, which quantities to use, how to go about it: three texts, each
            clearer than the one before, without a line of the answer; or none.
        after: why it works, for those who have solved it.
        tolerance: the largest error allowed, as a share of the largest number expected.
        picture: draws a wrong answer beside the target, where a picture says more than numbers.
        formula: the right answer as text, if it is one.
        program: the right answer as the body of a function, if it is put together from functions
            that it is given; it may use torch and F.
    """

    name: str
    arguments: tuple[str, ...]
    returns: str
    reference: Callable[..., Any]
    cases: Callable[[Inputs], Iterable[Case]]
    mistakes: tuple[Mistake, ...]
    points: int = 2
    hints: tuple[str, ...] = ()
    after: str = ""
    tolerance: float = 1e-4
    picture: Picture | None = None
    formula: Formula | None = None
    program: str = ""


@dataclass(frozen=True)
class Bounds:
    """Where a number worked out by hand must lie, by an argument that needs no calculation.

    Args:
        low: the least it can be, from the values.
        high: the most it can be.
        why: the argument, in words that follow a colon.
    """

    low: Callable[..., float]
    high: Callable[..., float]
    why: str


@dataclass(frozen=True)
class HandNumber:
    """A number to work out by hand, from values that differ from student to student.

    Args:
        name: "roots.by_hand".
        values: draws the values, by name.
        question: the text; {names} stand for the values.
        answer: the right number, from the values.
        mistakes: wrong numbers that people arrive at: what they do, the number from the values, and
            the explanation.
        points: what it is worth.
        bounds: where the right number must lie, if that can be seen without working it out.
        decimals: how many of the number's are compared. With the values they decide how rarely two
            students have the same right number: of a share, three leave one pair in 500.
    """

    name: str
    values: Callable[[Inputs], Mapping[str, Any]]
    question: str
    answer: Callable[..., float]
    mistakes: tuple[tuple[str, Callable[..., float], str], ...]
    points: int = 1
    bounds: Bounds | None = None
    decimals: int = ASKED_DECIMALS

    @property
    def allowed(self) -> float:
        """How far a number may be from the right one and still be right."""
        return agreeing(self.decimals)

    def values_for(self, student: str) -> Mapping[str, Any]:
        """The values for one student, drawn from the name alone; spaces and capitals do not matter.

        They are drawn so that the right number and all the wrong ones differ.
        Raises: ValueError if no values that are drawn do this.
        """
        name = " ".join(student.split()).casefold()
        digest = hashlib.sha256(f"{self.name} {name}".encode()).digest()
        draw = Inputs(int.from_bytes(digest[:4], "big"))
        for _ in range(MOST_DRAWS):
            values = self.values(draw)
            wrong_numbers = [wrong(**values) for _, wrong, _ in self.mistakes]
            numbers = sorted([self.answer(**values), *wrong_numbers])
            if all(b - a > 4 * ALLOWED for a, b in itertools.pairwise(numbers)):
                return values
        raise ValueError(
            f"{self.name}: its answer and its mistakes must differ by more than {4 * ALLOWED:g},"
            f" but two of them are alike in each of {MOST_DRAWS} draws"
        )


@dataclass(frozen=True)
class Choice:
    """A prediction to make before a cell is run.

    Args:
        name: "roots.predict".
        question: the text.
        options: the possible answers, by capital letter.
        right: the letter of the right one.
        replies: what to say to a student who chooses a letter, by letter.
        points: what it is worth.
    """

    name: str
    question: str
    options: Mapping[str, str]
    right: str
    replies: Mapping[str, str] = field(default_factory=dict)
    points: int = 1


@dataclass(frozen=True)
class Stretch:
    """A question that is not graded: the answer is drawn beside the target.

    Args:
        name: "roots.stretch".
        arguments: their names, in order.
        returns: the result in words.
        target: the right answer.
        picture: draws both.
    """

    name: str
    arguments: tuple[str, ...]
    returns: str
    target: Callable[..., Any]
    picture: Picture


@dataclass(frozen=True)
class Variant:
    """A function that a test is tried on.

    Args:
        name: of a right one what it does, "goes through the rows"; of a wrong one what is wrong
            with it, "the larger root first".
        function: takes the arguments of the exercise.
        example: for a wrong one, arguments that show the consequence.
    """

    name: str
    function: Callable[..., Any]
    example: tuple[Any, ...] = ()


@dataclass(frozen=True)
class BugHunt:
    """A test to write: a function of one argument, a function, that returns nothing if that is
    right and raises an error if it is wrong.

    Args:
        name: "roots.catch_the_bug".
        exercise: whose function is tested; its mistakes are to be caught. Its arguments must be
            tensors and numbers, which the function under test can be sent from a submission.
        right: other styles in which the right answer is written. A test must accept them and the
            reference, so each should return what any sensible test accepts.
        wrong: more wrong functions than the exercise's mistakes.
        points: what it is worth.
    """

    name: str
    exercise: Exercise
    right: tuple[Variant, ...]
    wrong: tuple[Variant, ...] = ()
    points: int = 2

    @property
    def variable(self) -> str:
        """What the test is called: "test_discriminant"."""
        return f"test_{function_of(self.exercise.name)}"

    def right_ones(self) -> tuple[Variant, ...]:
        """All functions that a test must accept."""
        return (Variant("follows the formula", self.exercise.reference), *self.right)

    def wrong_ones(self) -> tuple[Variant, ...]:
        """All functions that a test must refuse."""
        known = (Variant(one.name, one.wrong, one.example) for one in self.exercise.mistakes)
        return (*known, *self.wrong)


Question = Exercise | HandNumber | Choice | BugHunt
