"""The course's own tests, as its solutions have them, and how many wrong functions they refuse."""

import inspect
import math
import re
from pathlib import Path

import torch
from mutants import mutants, source_of_reference
from natural_mistakes import NATURAL
from right import __dict__ as RIGHT
from wrong import WRONG

from marking.exercise import BugHunt, Inputs, Variant
from marking.hunting import Answering
from marking.notebook import attempt_here
from marking.validation import problems
from minddpm_course.bank import BANK

HUNTS = [question for question in BANK.values() if isinstance(question, BugHunt)]
TWINS = Path(__file__).parents[2] / "solutions" / "py"


def source_of_model(hunt):
    """The source of the model test."""
    (twin,) = TWINS.glob(f"{hunt.name[:2]}_*.py")
    text = twin.read_text(encoding="utf-8")
    return re.search(rf"^def {hunt.variable}\(function\):\n(?:    .*\n)+", text, re.MULTILINE)[0]


def model_test(hunt):
    """The model test as a function."""
    scope = {"torch": torch, "math": math}
    exec(source_of_model(hunt), scope)
    return scope[hunt.variable]


def attempt_on(hunt, function, seed=0, test=None):
    """What the model test, or another one, does with a function."""
    arguments = hunt.exercise.arguments
    answering = Answering(function, len(arguments))
    return attempt_here(test or model_test(hunt), arguments, answering, seed)


def of_a_machine(exercise):
    """Mutants that a mutation tool makes of the reference and of another right answer."""
    function = RIGHT[exercise.name[3:]]
    sources = (
        source_of_reference(exercise),
        (inspect.getsource(function), RIGHT, function.__name__),
    )
    for source, scope, name in sources:
        for _, text, mutant in mutants(source, scope, name):
            cases = list(exercise.cases(Inputs(0)))
            if any(problems(exercise, Variant(text, mutant), cases)):
                yield text, mutant


def by_hand(exercise):
    """Wrong answers that are in no bank, written by hand."""
    for place, function in enumerate([*NATURAL[exercise.name], *WRONG[exercise.name]]):
        yield f"{exercise.name} {place}", function


def caught(hunt, mutants_of):
    """How many mutants of a kind the model test refuses, of how many, and which live."""
    test = model_test(hunt)
    every = list(mutants_of(hunt.exercise))
    lives = [text for text, mutant in every if not attempt_on(hunt, mutant, test=test).refused]
    return len(every) - len(lives), len(every), lives


def in_the_bank(hunt):
    """How many wrong functions of the question itself the model test refuses, and of how many."""
    wrong = hunt.wrong_ones()
    return sum(attempt_on(hunt, variant.function).refused for variant in wrong), len(wrong)
