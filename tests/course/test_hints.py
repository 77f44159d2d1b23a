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

import minddpm_course
from marking.exercise import Exercise, function_of, lesson_of
from minddpm.__main__ import main
from minddpm_course import TUTOR, check
from minddpm_course.bank import BANK
from minddpm_course.extraction import bound_by
from minddpm_course.joins import JOINS, ROOMS, Join
from minddpm_course.placement import LIBRARY, where_used

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


@cache
def package_source(module, own):
    """A module of a package in which some functions are her own."""
    text = (LIBRARY / f"{module}.py").read_text(encoding="utf-8")
    for name, join in JOINS.items():
        if join.module == module and name in own:
            assert join.lines in text
            text = text.replace(join.lines, join.yours)
    return text


@cache
def functions_of(source):
    """The functions and methods of a module, as text by name."""
    found = {}
    for node in ast.parse(source).body:
        methods = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for method in methods:
            if isinstance(method, ast.FunctionDef):
                found[f"{prefix}{method.name}"] = ast.unparse(method)
    return found


def callers_in(source, called):
    """The functions of a module whose text matches a regular expression."""
    return [name for name, text in functions_of(source).items() if re.search(called, text)]


@pytest.mark.parametrize("name", JOINS)
def test_the_function_that_is_said_to_call_yours_does(name):
    join, function = JOINS[name], function_of(name)
    source = package_source(join.module, frozenset({name}))
    found = callers_in(source, rf"\b(?:yours|training)\.{function}\(")
    words = where_used(name)
    assert words.startswith(f"In your package it stands in mine/{ROOMS[name[:2]]}/yours.py. ")
    assert [f"{one} in mine.{join.module} calls it" in words for one in found] == [True]


@pytest.mark.parametrize("name", JOINS)
def test_those_that_are_said_to_call_it_in_turn_do_whoever_wrote_the_rest(name):
    found = re.search(
        r"\. ([\w.]+) in mine\.\w+ calls it, and is called by (.*) in turn", where_used(name)
    )
    if found is None:
        return
    modules = [path.stem for path in LIBRARY.glob("*.py")]
    for own in (frozenset({name}), frozenset(set(JOINS) - {"05.add_time", "05.join_skip"})):
        sources = [package_source(module, own) for module in modules]
        for caller in re.split(r", | and ", found[2]):
            assert any(
                caller in callers_in(source, rf"(?<![\w.]){found[1]}\(") for source in sources
            ), caller


def test_a_function_inside_of_a_larger_one_is_called_until_that_is_yours():
    for name, larger in (("05.add_time", "residual_block"), ("05.join_skip", "unet_forward")):
        assert where_used(name).endswith(f" calls it, until your {larger} takes its place.")


@every_exercise
def test_what_no_room_calls_is_offered_by_its_room(exercise):
    function, room = function_of(exercise.name), ROOMS[lesson_of(exercise.name)]
    offer = f"mine.{room} offers it: from mine.{room} import {function}."
    assert (offer in where_used(exercise.name)) == (exercise.name not in JOINS)
    if exercise.name not in JOINS:
        source = package_source(room, frozenset())
        assert function not in {name for node in ast.parse(source).body for name in bound_by(node)}
        assert not any(f"yours.{function}(" in join.yours for join in JOINS.values())


def test_where_a_function_is_used_follows_its_join(monkeypatch):
    assert "Schedule.snr in mine.schedule calls it." in where_used("01.snr")
    elsewhere = JOINS["03.posterior_variance"].lines
    monkeypatch.setitem(JOINS, "01.snr", Join("posterior", elsewhere, "    return yours.snr(t)\n"))
    assert "posterior_variance in mine.posterior calls it" in where_used("01.snr")


def test_a_solved_function_is_followed_by_both(capsys):
    exercise = BANK["03.posterior_coefficients"]
    check(exercise.name, exercise.reference)
    assert capsys.readouterr().out == (
        "✓ 03.posterior_coefficients: right, on 4 fresh inputs.\n\n"
        f"{exercise.after}\n\n"
        "In your package it stands in mine/posterior/yours.py. posterior_coefficients in"
        " mine.posterior calls it, and is called by q_posterior in turn.\n"
    )


def test_a_hint_is_had_from_the_course_and_in_a_terminal(capsys):
    TUTOR.hints_shown.clear()
    minddpm_course.hint("09.ddim_step")
    assert f"hint 1 of 3.\n\n{BANK['09.ddim_step'].hints[0]}" in capsys.readouterr().out
    assert main(["hint", "09.ddim_step", "3"]) == 0
    assert f"hint 3 of 3.\n\n{BANK['09.ddim_step'].hints[2]}" in capsys.readouterr().out
    assert main(["hint", "09.ddim_stop"]) == 2
    assert "error: expected the name of an exercise, such as 09.ddim_step" in (
        capsys.readouterr().err
    )
    assert main(["hint", "nothere"]) == 2
    said = capsys.readouterr().err
    assert sum(f" {name}," in said for name in BANK) == 3
    assert main(["hint", "03"]) == 2
    names = ", ".join(name for name in BANK if name.startswith("03."))
    expected = f"error: expected the name of an exercise, such as {names}, got '03'\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("lesson", ROOMS)
def test_the_notebooks_of_exercises_import_hint_and_say_so(lesson):
    text = twin("solutions", lesson)
    assert "from minddpm_course import ask, beside, check, hint\n" in text
    (name,) = re.findall(r'^# If you are stuck, run `hint\("([\w.]+)"\)`', text, re.MULTILINE)
    assert name in BANK
    assert lesson_of(name) == lesson
    assert f'check("{name}"' in text
