"""The hints of the course: three for each function, which help and give no line away; and what is
said once it is solved.
"""

import ast
import random
import re
from functools import cache
from pathlib import Path

import pytest
from giveaways import FUNCTIONS, expressions_of, given_away

import minddpm
from marking.exercise import Exercise, function_of, lesson_of
from minddpm_course.bank import BANK
from minddpm_course.course import load_course
from minddpm_course.extraction import bound_by
from minddpm_course.joins import JOINS, ROOMS
from minddpm_course.placement import where_used

ROOT = Path(__file__).parents[2]
EXERCISES = [question for question in BANK.values() if isinstance(question, Exercise)]
every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.name)


@cache
def twin(folder, lesson):
    (path,) = (ROOT / folder / "py").glob(f"{lesson}_*.py")
    return path.read_text(encoding="utf-8")


def solution(exercise):
    """The function that solves an exercise, with its answer between the two marks."""
    text = twin("solutions", lesson_of(exercise.name))
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    (found,) = (node for node in functions if node.name == function_of(exercise.name))
    return found


class Inlined(ast.NodeTransformer):
    """Puts the definitions of symbols in their place."""

    def __init__(self, where):
        self.where = {name: ast.parse(text, mode="eval").body for name, text in where.items()}

    def visit_Name(self, node):
        return self.visit(self.where[node.id]) if node.id in self.where else node


def formulas(formula):
    """The right answer as expressions: with its symbols, and with what they stand for."""
    while formula is not None:
        for text in formula.results:
            for where in ({}, formula.where):
                yield Inlined(where).visit(ast.parse(text, mode="eval").body)
        formula = formula.otherwise


def lines(exercise):
    """The expressions that no hint may hold, each once."""
    both = [*expressions_of(solution(exercise)), *formulas(exercise.formula)]
    found = {ast.dump(one): one for one in both if not isinstance(one, ast.Name)}
    return list(found.values())


@every_exercise
def test_there_are_three_hints_of_sensible_length(exercise):
    assert len(exercise.hints) == 3
    for hint in exercise.hints:
        assert 60 <= len(hint) <= 420, hint
        assert 1 <= len(re.findall(r"[.?](?= [A-Z\"]|$)", hint)) <= 3, hint
        assert not set("\\$`\n!") & set(hint), "a card shows it as it stands"
    for hint in exercise.hints[:2]:
        assert hint not in exercise.hints[2]


@every_exercise
def test_each_hint_adds_something(exercise):
    seen = set()
    for hint in exercise.hints:
        words = set(re.findall(r"\w{3,}", hint.casefold()))
        assert len(words - seen) >= 5, hint
        seen |= words


@every_exercise
def test_the_second_hint_says_where_it_stands_in_which_lesson(exercise):
    hint = exercise.hints[1]
    lessons = [twin("notebooks", number) for number in re.findall(r"[Ll]esson (\d\d)", hint)]
    assert lessons, hint
    for quoted in re.findall(r'"([^"]+)"', hint):
        assert any(quoted in lesson.replace("$", "") for lesson in lessons), quoted


@every_exercise
def test_what_is_said_after_is_two_to_four_sentences(exercise):
    assert 100 <= len(exercise.after) <= 420
    assert 2 <= len(re.findall(r"[.?](?= [A-Z]|$)", exercise.after)) <= 4
    assert not set("\\$`\n!") & set(exercise.after)


@every_exercise
def test_the_answers_that_hints_are_held_against_are_those_of_the_solutions(exercise):
    segment = ast.get_source_segment(
        twin("solutions", lesson_of(exercise.name)), solution(exercise)
    )
    assert segment.count("### BEGIN SOLUTION") == 1
    assert lines(exercise)


@every_exercise
def test_no_hint_gives_a_line_away(exercise):
    for hint in exercise.hints:
        assert given_away(hint, lines(exercise)) == [], hint


class Renamed(ast.NodeTransformer):
    """Gives every value another name, and leaves functions theirs."""

    def __init__(self, tree):
        called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        self.kept = {node.id for node in called if isinstance(node, ast.Name)}
        self.kept |= {"torch", "F", *FUNCTIONS}
        self.names = {}

    def visit_Name(self, node):
        if node.id in self.kept:
            return node
        return ast.Name(self.names.setdefault(node.id, f"value_{len(self.names)}"), node.ctx)


class Turned(ast.NodeTransformer):
    """Turns every sum and every product round."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Mult):
            node.left, node.right = node.right, node.left
        return node


def squeezed(source):
    return re.sub(r"\s*([-+*/()\[\],=:<>])\s*", r"\1", source)


def disguises(tree):
    """An expression as it may stand in a sentence."""
    source = ast.unparse(tree)
    yield f"Then work out `{source}` for each."
    yield f"So the last line is {squeezed(source)}, and nothing else."
    yield f"Write answer = {source}."
    yield f"Take 2 + ({source}) in the end"
    renamed = ast.parse(source, mode="eval")
    yield f"With other names: {ast.unparse(Renamed(renamed).visit(renamed))}; return that."
    yield f"Or {ast.unparse(Turned().visit(ast.parse(source, mode='eval')))}, which is the same."


@every_exercise
def test_a_line_of_the_solution_is_seen_however_it_is_put(exercise):
    for tree in lines(exercise):
        planted = random.Random(0).choice(exercise.hints)
        for disguise in disguises(tree):
            assert given_away(f"{planted} {disguise}", [tree]), disguise


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("03.posterior_variance", "It is (1 − alpha_bar_prev) / (1 − alpha_bar_t) · beta_t."),
        ("03.posterior_variance", "Use beta * (1 - before) / (1 - after) and nothing more."),
        ("02.forward_step", "Add: √(1 − beta_t) · x_prev + √(beta_t) · noise"),
        ("02.forward_step", "The result is sqrt(1 - beta_t) x_prev + sqrt(beta_t) noise."),
        (
            "02.recover_noise",
            "Return (x_t - x_0 * alpha_bar_t.sqrt()) / torch.sqrt(1 - alpha_bar_t)",
        ),
        ("01.snr", "Divide: alpha_bar/(1-alpha_bar)."),
        ("01.snr", "It's `a / (1 - a)`, with a for alpha_bar."),
        ("04.simple_loss", "(noise - predicted_noise).pow(2).mean() is all"),
        ("06.steps", "Call range(T, 0, -1), as a list."),
        ("07.train_step", "First comes optimizer.zero_grad(), then the rest."),
        ("07.ema_update", "value (1 - decay) + average decay"),
        ("08.gaussian_score", "Return -(x - mean) / var."),
        ("08.langevin_step", "x + (2 * h) ** 0.5 * z + h * slope"),
        ("05.unet_forward", "In the loop: for down, block in zip(downs, encoder): ..."),
        ("05.join_skip", "Call torch.cat((h, skip), 1)."),
    ],
)
def test_a_line_in_other_words_is_seen(name, hint):
    assert given_away(hint, lines(BANK[name])), hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("01.snr", "Divide alpha_bar by what it leaves of 1, which is 1 - alpha_bar."),
        ("03.posterior_variance", "Both parts are of the form 1 - alpha_bar, and beta_t follows."),
        ("06.steps", "From t go to t - 1, and make a list of T of them."),
        ("07.train_step", "zero_grad, backward, step: in this order."),
    ],
)
def test_a_hint_that_gives_no_line_away_may_stand(name, hint):
    assert given_away(hint, lines(BANK[name])) == []
