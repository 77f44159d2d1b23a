"""What an exercise is: its right answer, the inputs to try it on, and the mistakes that people make
in it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from minddpm_course.pictures import Draw

# how far a number worked out by hand may lie from the right one, to be the same to three decimals
ALLOWED = 0.0011


class Inputs:
    """A source of fresh inputs for one check; the same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, float32."""
        return torch.randn(shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between low and high, float32."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def number(self, low: float, high: float) -> float:
        """One number between low and high, with four decimals."""
        return round(self.uniform(low, high).item(), 4)

    def integer(self, low: int, high: int) -> int:
        """One integer from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def betas(self, T: int) -> Tensor:
        """The variances of T noising steps, (T,): large enough that a small mistake shows, and no
        two alike.
        """
        return self.uniform(0.02, 0.3, T)

    def rows(self, T: int) -> tuple[Tensor, Tensor, Tensor]:
        """beta_t, alpha_bar_t and alpha_bar_{t-1} of a schedule of T steps, t = 1 first, each (T,)."""
        beta = self.betas(T)
        alpha_bar = (1 - beta.double()).cumprod(0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
        return beta, alpha_bar.float(), before.float()


@dataclass(frozen=True)
class Case:
    """One call of the function under test: what is particular about it, and the arguments."""

    what: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give.

    Args:
        name: what they do, in a few words.
        wrong: the function as they write it.
        why: what is wrong with it; {right} and {wrong} stand for what the two functions give on
            `example`.
        example: arguments that show the consequence.
    """

    name: str
    wrong: Callable[..., Any]
    why: str
    example: tuple[Any, ...]


@dataclass(frozen=True)
class Picture:
    """What a function is drawn on, and how."""

    args: tuple[Any, ...]
    draw: Draw


@dataclass(frozen=True)
class Exercise:
    """A function to write.

    Args:
        name: lesson and function, "03.posterior_variance".
        arguments: their names, in order.
        gives: the result in words, for messages.
        reference: the right answer, on the same arguments.
        cases: draws the calls that an answer is judged by, corner cases included.
        mistakes: the known ones.
        points: what it is worth.
        tolerance: the largest error allowed, as a share of the largest number expected (at least
            1).
        picture: what a wrong answer is drawn on beside the target, where that tells more than
            numbers.
    """

    name: str
    arguments: tuple[str, ...]
    gives: str
    reference: Callable[..., Any]
    cases: Callable[[Inputs], Iterable[Case]]
    mistakes: tuple[Mistake, ...]
    points: int = 2
    tolerance: float = 1e-4
    picture: Picture | None = None


@dataclass(frozen=True)
class HandNumber:
    """A number to work out by hand, from values of the student's own.

    Args:
        name: "03.by_hand".
        values: draws the values, by name.
        question: the text; {names} stand for the values.
        answer: the right number, from the values.
        mistakes: wrong numbers that people come to: what they do, the number from the values, and
            the explanation.
    """

    name: str
    values: Callable[[Inputs], Mapping[str, Any]]
    question: str
    answer: Callable[..., float]
    mistakes: tuple[tuple[str, Callable[..., float], str], ...]
    points: int = 1

    def values_for(self, student: str) -> Mapping[str, Any]:
        """The values of one student: from the name alone, whatever its spaces and capitals.

        They are such that the right number and all the wrong ones differ.
        """
        name = " ".join(student.split()).casefold()
        draw = Inputs(
            int.from_bytes(hashlib.sha256(f"{self.name} {name}".encode()).digest()[:4], "big")
        )
        while True:
            values = self.values(draw)
            numbers = sorted(
                [self.answer(**values), *(wrong(**values) for _, wrong, _ in self.mistakes)]
            )
            if all(b - a > 4 * ALLOWED for a, b in itertools.pairwise(numbers)):
                return values


@dataclass(frozen=True)
class Choice:
    """A prediction to make before a cell is run.

    Args:
        name: "03.predict".
        question: the text.
        options: by letter, what one can choose.
        right: the letter of the right one.
        replies: by letter, what to say to who chooses it.
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
        name: "03.stretch".
        arguments: their names, in order.
        gives: the result in words.
        target: the right answer.
        picture: what both are drawn on, and how.
    """

    name: str
    arguments: tuple[str, ...]
    gives: str
    target: Callable[..., Any]
    picture: Picture


Question = Exercise | HandNumber | Choice
