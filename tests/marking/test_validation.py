"""A slip in a question shows when the course is made, and names the question."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from algebra import BANK, STRETCHES, by_hand, discriminant, parabola, roots, vertex, which_way
from quadratics import COURSE

from marking.course import Course
from marking.exercise import ALLOWED, Bounds, Case, Choice, Mistake, Picture


def course_of(*questions, **options):
    return Course("algebra", "algebra", {one.name: one for one in questions}, **options)


def drawing(*args, name="solve.discriminant"):
    """An exercise with one case, of these arguments."""
    return replace(
        discriminant,
        name=name,
        arguments=tuple("abcdef"[: len(args)]),
        reference=lambda *_: 1.0,
        cases=lambda draw: [Case("the only one", args)],
        mistakes=(),
    )


def mistaken(why, example=discriminant.mistakes[0].example):
    return replace(
        discriminant, mistakes=(Mistake("plus for minus", lambda a, b, c: b, why, example),)
    )


WRONG_NAMES = [
    "roots",
    ".roots",
    "solve.",
    "solve.more.roots",
    "solve.the roots",
    "so lve.roots",
    "solve.2",
    "solve.lambda",
]


@pytest.mark.parametrize("name", WRONG_NAMES)
@pytest.mark.parametrize("question", [roots, by_hand, which_way], ids=lambda one: one.name)
def test_a_name_is_that_of_a_lesson_and_a_function(question, name):
    with pytest.raises(ValueError, match="LESSON.function") as caught:
        course_of(replace(question, name=name))
    assert str(caught.value).startswith(f"{name}: ")


def test_a_name_of_digits_is_that_of_a_lesson():
    assert course_of(drawing(1, name="03.roots")).lessons == ("03",)


def no_number(*_):
    raise RuntimeError("no root")


WRONG_EXERCISES = {
    "no cases": (replace(roots, cases=lambda draw: []), "at least one Case, got none"),
    "cases of another type": (
        replace(roots, cases=lambda draw: [(1, 2, 3)]),
        "cases must draw instances of Case, got tuple",
    ),
    "cases for some seeds": (
        replace(
            drawing(1.0),
            cases=lambda draw: [Case("a", (1.0,))] * (draw.uniform(0, 1).item() < 0.4),
        ),
        "at least one Case, got none",
    ),
    "cases that cannot be drawn": (
        replace(roots, cases=lambda draw: no_number()),
        "drawing the cases raises RuntimeError: no root",
    ),
    "too few arguments": (
        replace(roots, arguments=("a", "b")),
        "the case 'a few equations' must be a tuple of 2 values, for a, b, got 3 values",
    ),
    "arguments that cannot be called so": (
        replace(roots, arguments=("a", "b", "the constant")),
        "no argument can be called 'the constant'",
    ),
    "a reference that raises": (
        replace(drawing(1.0), reference=no_number),
        "on the case 'the only one' the right answer must be made of numbers: RuntimeError",
    ),
    "a reference that returns a bool": (
        replace(drawing(1.0), reference=lambda a: a > 0),
        "must be made of numbers: expected numbers, but .* bool",
    ),
    "a reference that returns nothing": (
        replace(drawing(1.0), reference=lambda a: None),
        "must be made of numbers: it returns None",
    ),
    "a reference that returns NaN": (
        replace(drawing(1.0), reference=lambda a: float("nan")),
        "contains NaN or an infinite value",
    ),
    "an example too short": (
        mistaken("{right}", discriminant.mistakes[0].example[:2]),
        "the example of 'plus for minus' must be a tuple of 3 values, for a, b, c, got 2 values",
    ),
    "an example without a right answer": (
        mistaken("{right}", ("x", "y", "z")),
        "on the example of 'plus for minus' the right answer must be made of numbers",
    ),
    "an explanation of a set": (
        mistaken("The roots are {1, 2}, not {wrong}."),
        "the explanation of 'plus for minus' may hold {right} and {wrong}, and other braces doubl",
    ),
    "an explanation with a brace": (mistaken("An open { brace"), "and other braces doubled"),
    "an explanation with an empty place": (mistaken("It is {}."), "and other braces doubled"),
    "two mistakes of one name": (
        replace(discriminant, mistakes=(discriminant.mistakes[0],) * 2),
        "two mistakes have the same name",
    ),
    "a picture of other arguments": (
        replace(parabola, picture=Picture((1.0,), "a curve")),
        "the picture must be a tuple of 4 values, for x, a, b, c, got 1 value",
    ),
    "a picture that cannot be drawn": (
        replace(parabola, picture=Picture(("x", 1.0, 1.0, 1.0), "a curve")),
        "for the picture the right answer must be made of numbers: TypeError",
    ),
    "points of none": (replace(roots, points=0), "points must be a positive integer, got 0"),
    "a negative tolerance": (replace(roots, tolerance=-1.0), "tolerance must be from 0 to 1"),
}


@pytest.mark.parametrize(("exercise", "words"), WRONG_EXERCISES.values(), ids=WRONG_EXERCISES)
def test_an_exercise_that_cannot_be_judged_is_refused(exercise, words):
    with pytest.raises(ValueError, match=words) as caught:
        course_of(exercise, draw_beside=COURSE.draw_beside)
    assert str(caught.value).startswith(f"{exercise.name}: ")


UNSENT = {
    "ndarray": np.ones(3),
    "float64": np.float64(1.0),
    "dict": {"a": 1.0},
    "tensor": {"tensor": 0},
    "tuple": (1, 2),
    "list": [1, 2],
    "complex": 1j,
    "bool on cpu": torch.ones(2) > 0,
    "bfloat16 on cpu": torch.ones(2, dtype=torch.bfloat16),
    "requires a gradient": torch.ones(2, requires_grad=True),
}


@pytest.mark.parametrize(("what", "arg"), UNSENT.items(), ids=UNSENT)
def test_an_argument_that_a_submission_cannot_be_sent_is_refused(what, arg):
    words = "solve.discriminant: the case 'the only one': b cannot be sent to a submission, because"
    with pytest.raises(ValueError, match=words) as caught:
        course_of(drawing(1.0, arg))
    assert what in str(caught.value) or type(arg).__name__ in str(caught.value)


def test_arguments_that_a_submission_can_be_sent_are_taken():
    tensors = [torch.ones(2, dtype=kind) for kind in (torch.float32, torch.float64, torch.int64)]
    course_of(drawing(*tensors), drawing(1, 2.0, True, "a", None, float("nan"), name="solve.more"))


WRONG_NUMBERS = {
    "a number by hand of too many decimals": (
        replace(by_hand, decimals=10),
        "the decimals must be an integer from 1 to 9, got 10",
    ),
    "a number by hand of half a decimal": (
        replace(by_hand, decimals=2.5),
        "the decimals must be an integer from 1 to 9, got 2.5",
    ),
    "values that cannot be drawn": (
        replace(by_hand, values=lambda draw: no_number()),
        "drawing the values raises RuntimeError: no root",
    ),
    "an answer that raises": (
        replace(by_hand, answer=lambda b, c: 1 / 0),
        "working out the answer raises ZeroDivisionError: division by zero",
    ),
    "an answer of other values": (
        replace(by_hand, answer=lambda a: a),
        "working out the answer raises TypeError",
    ),
    "an answer that is a bool": (
        replace(by_hand, answer=lambda b, c: b > c),
        "the answer must be a finite number, got True",
    ),
    "an answer that is NaN": (
        replace(by_hand, answer=lambda b, c: float("nan")),
        "the answer must be a finite number, got nan",
    ),
    "a mistake that is infinite": (
        replace(by_hand, mistakes=(("far", lambda b, c: float("inf"), "Too far."),)),
        "the mistake 'far' must be a finite number, got inf",
    ),
    "a mistake that is the answer": (
        replace(by_hand, mistakes=(("alike", by_hand.answer, "No mistake."),)),
        "must differ by more than 0.0044, but two of them are alike in each of 1000 draws",
    ),
    "a text with other names": (
        replace(by_hand, question="What is {d} x {b}?"),
        "the question may hold {b} and {c}, and other braces doubled, got 'What is {d}",
    ),
    "bounds without the answer": (
        replace(by_hand, bounds=Bounds(lambda b, c: 0, lambda b, c: 0.1, "it is small")),
        "the answer must lie within its bounds, 0 and 0.1, got ",
    ),
    "a bound that cannot be worked out": (
        replace(by_hand, bounds=Bounds(lambda b, c: 1 / 0, lambda b, c: 9, "it is small")),
        "the lower bound raises ZeroDivisionError",
    ),
    "a text with a set": (replace(by_hand, question="In {1, 2}?"), "may hold {b} and {c}"),
}


@pytest.mark.parametrize(("question", "words"), WRONG_NUMBERS.values(), ids=WRONG_NUMBERS)
def test_a_number_that_cannot_be_asked_for_is_refused(question, words):
    with pytest.raises(ValueError, match=words) as caught:
        course_of(question)
    assert str(caught.value).startswith("solve.by_hand: ")


def test_values_that_never_differ_enough_end_with_an_error():
    near = ("near", lambda b, c: by_hand.answer(b, c) + 3 * ALLOWED, "Near.")
    with pytest.raises(ValueError, match="solve.by_hand: its answer and its mistakes must differ"):
        replace(by_hand, mistakes=(near,)).values_for("Ada")


WRONG_CHOICES = {
    "no options": (replace(which_way, options={}), "at least one letter, got none"),
    "none is right": (replace(which_way, right="C"), "right must be of the options A, B, got 'C'"),
    "a reply to none": (
        replace(which_way, replies={"Z": "No."}),
        "replies must be of the options A, B, got 'Z'",
    ),
    "a small letter": (
        Choice("graph.which_way", "?", {"a": "up"}, "a"),
        "options must have capital letters, got 'a'",
    ),
}


@pytest.mark.parametrize(("question", "words"), WRONG_CHOICES.values(), ids=WRONG_CHOICES)
def test_a_prediction_that_cannot_be_made_is_refused(question, words):
    with pytest.raises(ValueError, match=f"graph.which_way: .*{words}"):
        course_of(question)


def test_a_stretch_question_that_cannot_be_drawn_is_refused():
    for stretch, words in (
        (replace(vertex, target=no_number), "made of numbers: RuntimeError: no root"),
        (replace(vertex, name="stretch"), "stretch: the name must be LESSON.function"),
        (
            replace(vertex, arguments=("a",)),
            "the picture must be a tuple of 1 value, for a, got 3 values",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            course_of(stretches={stretch.name: stretch}, draw_beside=COURSE.draw_beside)


def test_a_question_stands_under_its_own_name():
    with pytest.raises(
        ValueError, match=r"solve.roots: it stands under another name, 'solve.root'"
    ):
        Course("algebra", "algebra", {"solve.root": roots})


def test_two_answers_of_a_lesson_have_two_names():
    with pytest.raises(ValueError, match="which_way: its answer is 'graph', as that of graph.para"):
        replace(COURSE, variables={"which_way": "graph", "parabola": "graph"})
    with pytest.raises(ValueError, match="graph.which_way: no variable can be called 'my answer'"):
        replace(COURSE, variables={"which_way": "my answer"})
    course_of(drawing(1.0, name="solve.predict"), drawing(1.0, name="graph.predict"))


def test_only_a_course_with_pictures_needs_to_draw():
    course_of(roots, by_hand, which_way)
    for questions, stretches in (((parabola,), {}), ((), STRETCHES)):
        with pytest.raises(ValueError, match="it has a picture, but the course has no draw_beside"):
            course_of(*questions, stretches=stretches)
    Course("algebra", "algebra", BANK, STRETCHES, COURSE.draw_beside)
