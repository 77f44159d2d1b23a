"""Hints for a function, in a notebook and in a terminal, and what is said once it is solved."""

import re
from dataclasses import replace

import pytest
from algebra import BANK, by_hand, discriminant, roots
from quadratics import COURSE, SOLVED, check, solved
from test_commands import run, unix
from test_tutor import in_ipython

from marking.course import Course
from marking.notebook import CheckFailed, Tutor

COST_NOTHING = "You lose nothing by taking hints: they cost no points."


@pytest.fixture
def hint():
    """The function of a notebook that has just begun."""
    return Tutor(lambda: COURSE, "pip install algebra[course]").hint


def right_roots(a, b, c):
    space = {}
    exec(SOLVED["roots"], space)
    return space["roots"](a, b, c)


def test_each_call_shows_a_clearer_hint_and_the_last_one_stays(hint, capsys):
    for number in (1, 2, 3, 3, 3):
        hint("solve.roots")
        shown = capsys.readouterr().out
        assert shown.startswith(f"? solve.roots: hint {number} of 3.\n\n{roots.hints[number - 1]}")
        assert (COST_NOTHING in shown) == (number == 3)
        assert [one for one in roots.hints if one in shown] == [roots.hints[number - 1]]


def test_each_function_begins_with_its_first_hint(capsys):
    course = replace(COURSE, bank=BANK | {"solve.more": replace(roots, name="solve.more")})
    hint = Tutor(lambda: course, "").hint
    for name in ("solve.roots", "solve.more", "solve.roots"):
        hint(name)
    starts = re.findall(r"^\? (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert starts == [
        "solve.roots: hint 1 of 3.",
        "solve.more: hint 1 of 3.",
        "solve.roots: hint 2 of 3.",
    ]


def test_an_unknown_name_is_refused_as_by_ask(hint):
    with pytest.raises(ValueError, match=r"^expected the name of an .*roots.*, got 'solve\.root'$"):
        hint("solve.root")
    with pytest.raises(ValueError, match="got 3$"):
        hint(3)


def test_where_there_are_no_hints_it_is_said_in_a_line(hint, capsys):
    for name in ("solve.by_hand", "graph.which_way"):
        hint(name)
        assert capsys.readouterr().out == f"? {name}: there are hints for functions only.\n"
    hint("solve.discriminant")
    shown = capsys.readouterr().out
    assert shown == "? solve.discriminant: there are no hints for this function.\n"


def test_in_a_notebook_a_wrong_function_is_offered_a_hint_once():
    shown = in_ipython(
        "from quadratics import check, hint",
        "check('solve.roots', lambda a, b, c: (a, b))",
        "hint('solve.roots')",
    )
    offer = "Stuck? hint(&#34;solve.roots&#34;) gives you a hint."
    assert shown.count(offer) == shown.count("Stuck?") == 1
    assert shown.index(offer) < shown.index("CheckFailed: solve.roots")
    assert "hint 1 of 3." in shown
    assert roots.hints[0] in shown


def test_an_offer_is_made_only_where_there_is_a_hint():
    shown = in_ipython(
        "from quadratics import check",
        "check('solve.discriminant', lambda a, b, c: b)",
        "check('solve.by_hand', 3, student='Ada')",
        "check('graph.which_way', 'A')",
    )
    assert shown.count("CheckFailed: ") == 3
    assert "Stuck?" not in shown


def test_an_error_in_a_script_offers_nothing():
    with pytest.raises(CheckFailed) as caught:
        check("solve.roots", lambda a, b, c: (a, b))
    assert "hint" not in str(caught.value)


def test_a_right_function_is_followed_by_why_it_works_and_where_it_is_used(capsys):
    check("solve.roots", right_roots)
    assert capsys.readouterr().out == (
        "✓ solve.roots: right, on 3 fresh inputs.\n\n"
        "Completing the square leaves one square, which has two roots.\n\n"
        "factors calls it.\n"
    )


def test_a_course_that_does_not_say_where_a_function_is_used_says_why_it_works(capsys):
    check_alone = Tutor(lambda: Course("algebra", "algebra", {roots.name: roots}), "").check
    check_alone(roots.name, right_roots)
    assert capsys.readouterr().out.endswith(
        "inputs.\n\nCompleting the square leaves one square, which has two roots.\n"
    )


def test_nothing_of_it_is_said_of_a_wrong_function():
    with pytest.raises(CheckFailed) as caught:
        check("solve.roots", lambda a, b, c: (a, b))
    assert roots.after not in str(caught.value)
    assert "factors calls it" not in str(caught.value)


def test_the_command_shows_one_hint_or_all(capsys):
    assert run("hint", "solve.roots") == 0
    assert capsys.readouterr().out == f"solve.roots: hint 1 of 3.\n\n{roots.hints[0]}\n"
    assert run("hint", "solve.roots", "2") == 0
    assert capsys.readouterr().out == f"solve.roots: hint 2 of 3.\n\n{roots.hints[1]}\n"
    assert run("hint", "solve.roots", "--all") == 0
    shown = capsys.readouterr().out
    assert re.findall(r"hint (\d) of 3", shown) == ["1", "2", "3"]
    assert all(one in shown for one in roots.hints)
    assert shown.endswith(f"{COST_NOTHING}\n")


def test_the_command_says_once_that_there_are_no_hints(capsys):
    for more in ((), ("3",), ("--all",)):
        assert run("hint", "solve.by_hand", *more) == 0
        out = capsys.readouterr().out
        assert out == "solve.by_hand: there are hints for functions only.\n"


def test_the_command_refuses_what_it_does_not_know(capsys):
    with pytest.raises(ValueError, match=r"such as solve\.roots.*got 'solve\.rots'"):
        run("hint", "solve.rots")
    for wrong in (("4",), ("0",), ("first",), ("2", "--all")):
        with pytest.raises(SystemExit):
            run("hint", "solve.roots", *wrong)
    assert "4 (choose from" in capsys.readouterr().err


WRONG_HINTS = {
    "two": (roots.hints[:2], r"hints must be a tuple of 3 texts, or empty, got 2 texts"),
    "one": (roots.hints[:1], r"got 1 text$"),
    "a text": ("abc", r"hints must be a tuple of 3 texts, or empty, got str"),
    "a list": (list(roots.hints), r"got list"),
    "a blank": ((*roots.hints[:2], " "), r"hints must be texts that say something, got ' '"),
    "a number": ((*roots.hints[:2], 3), r"hints must be texts that say something, got 3"),
    "twice the same": ((*roots.hints[:2], roots.hints[0]), "one hint says nothing new"),
    "one in another": ((*roots.hints[:2], f"So: {roots.hints[0]}"), "one hint says nothing new"),
}


@pytest.mark.parametrize(("hints", "words"), WRONG_HINTS.values(), ids=WRONG_HINTS)
def test_hints_that_are_no_three_texts_are_refused(hints, words):
    with pytest.raises(ValueError, match=words) as caught:
        Course("algebra", "algebra", {roots.name: replace(roots, hints=hints)})
    assert str(caught.value).startswith("solve.roots: ")


def test_what_is_said_after_is_a_text():
    with pytest.raises(ValueError, match=r"^solve\.roots: after must be a text, got None$"):
        Course("algebra", "algebra", {roots.name: replace(roots, after=None)})


def test_a_course_may_do_without_hints():
    Course("algebra", "algebra", {discriminant.name: discriminant, by_hand.name: by_hand})


@unix
def test_a_notebook_that_asks_for_hints_is_graded(hand_in, capsys):
    cells = solved()
    asking = [cells[0], "hint('solve.roots')\nfrom quadratics import hint as another\nanother('x')"]
    folder = hand_in(ada=[*asking, *cells[1:]])
    run("check", folder / "ada" / "solve_quadratics.ipynb")
    shown = capsys.readouterr().out
    assert shown.endswith("2 of 3 solved\n")
    assert "cell" not in shown
