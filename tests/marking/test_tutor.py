"""What a student sees: the messages of `check`, `ask` and `beside`, and their cards."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from algebra import BANK
from quadratics import ask, beside, check

from marking import notebook
from marking.course import Course
from marking.exercise import Exercise
from marking.notebook import CheckFailed, Tutor, card

HERE = Path(__file__).parent


def failure(name, answer, **options):
    with pytest.raises(CheckFailed) as caught:
        check(name, answer, **options)
    return caught.value


def test_a_right_answer_shows_a_tick_and_returns(capsys):
    assert check("solve.discriminant", lambda a, b, c: b * b - 4 * a * c) is None
    assert capsys.readouterr().out == "✓ solve.discriminant: right, on 3 fresh inputs.\n"


def test_a_known_mistake_is_named():
    error = failure("solve.discriminant", lambda a, b, c: b * b + 4 * a * c)
    assert isinstance(error, AssertionError)
    assert error.mistake == "plus for minus"
    assert "A known mistake: plus for minus. You add 4 a c." in str(error)


def test_a_mistake_of_no_bank_is_told_by_what_it_changes():
    error = failure("solve.discriminant", lambda a, b, c: b**2 - 4 * a)
    assert error.mistake == "you leave out the factor c"
    assert "You leave out the factor c.\n\nright  b ** 2 - 4 * a * c\n" in str(error)
    guess = failure("solve.discriminant", lambda a, b, c: b)
    assert guess.mistake == "you return b"
    assert "4 * a * c" not in str(guess)
    assert failure("solve.discriminant", lambda a, b, c: (7 * b).sin()).mistake is None


def test_an_error_keeps_the_students_own_line():
    def broken(a, b, c):
        numbers = [1, 2]
        return numbers[2]

    text = str(failure("solve.discriminant", broken))
    assert "IndexError: list index out of range" in text
    assert "return numbers[2]" in text
    assert "outcome.py" not in text


def test_a_loop_without_end_is_interrupted_and_said(monkeypatch, untraced):
    def looping(a, b, c):
        while True:
            pass

    monkeypatch.setattr(notebook, "SECONDS", 1)
    words = "it took over 1 s; look for a loop that does not end"
    assert words in str(failure("solve.discriminant", looping))


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"such as solve\.discriminant"):
        check("solve.discriminent", lambda: None)
    with pytest.raises(TypeError, match=r"as in check\('solve\.roots', roots\), got \[3, 2\]"):
        check("solve.roots", [3, 2])
    for nobody in ("", " ", None):
        with pytest.raises(ValueError, match="give your name"):
            ask("solve.by_hand", nobody)
    with pytest.raises(ValueError, match=r"expected one of graph\.stretch, got 'solve\.roots'"):
        beside("solve.roots", lambda: None)
    assert "no name is given" in str(failure("solve.by_hand", 0.1))


def test_a_students_number_is_a_name_too(capsys):
    values = BANK["solve.by_hand"].values_for("2026")
    ask("solve.by_hand", 2026)
    assert BANK["solve.by_hand"].question.format(**values) in capsys.readouterr().out
    check("solve.by_hand", BANK["solve.by_hand"].answer(**values), student=2026)


def test_a_question_has_the_students_values(capsys):
    question = BANK["solve.by_hand"]
    values = question.values_for("ada  lovelace")
    ask("solve.by_hand", "Ada Lovelace")
    assert f"x^2 - {values['b']} x + {values['c']} = 0" in capsys.readouterr().out
    check("solve.by_hand", question.answer(**values), student="Ada Lovelace")
    ask("graph.which_way")
    assert "\nB  down\n" in capsys.readouterr().out
    ask("solve.roots")
    assert "? solve.roots(a, b, c) returns the smaller" in capsys.readouterr().out


def test_an_answer_beside_the_target_is_described_in_words(capsys):
    beside("graph.stretch", lambda a, b, c: c - b * b / (4 * a))
    assert "graph.stretch, your answer and the target: they agree.\n" == capsys.readouterr().out
    beside("graph.stretch", lambda a, b, c: iter(c - b * b / (4 * a)))
    assert "they agree." in capsys.readouterr().out
    beside("graph.stretch", lambda a, b, c: c)
    assert "they differ." in capsys.readouterr().out
    beside("graph.stretch", lambda a, b, c: c[:1])
    assert "yours has 1 number, the target 2.\n" in capsys.readouterr().out
    beside("graph.stretch", lambda a, b, c: 1 / 0)
    assert "ZeroDivisionError" in capsys.readouterr().out


def in_ipython(*cells):
    """Run cells in an IPython of their own; return the HTML that it displays and what it prints."""
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from IPython.utils.capture import capture_output\n"
        "shell = InteractiveShell.instance()\n"
        "with capture_output() as shown:\n"
        f"    for cell in {cells!r}: shell.run_cell(cell)\n"
        "for output in shown.outputs: print(output.data['text/html'])\n"
        "print(shown.stdout)\n"
    )
    path = os.pathsep.join([str(HERE), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    return done.stdout + done.stderr


def test_in_ipython_the_message_is_a_card_and_the_traceback_one_line():
    shown = in_ipython(
        "from quadratics import check",
        "check('solve.discriminant', lambda a, b, c: b * b + 4 * a * c)",
    )
    assert "<div style=" in shown
    assert shown.count("A known mistake: plus for minus. You add 4 a c.") == 1
    assert shown.count("the result is wrong, off by up to") == 1
    assert "\nCheckFailed: solve.discriminant is not right yet\n" in shown
    assert "engine.py" not in shown


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("'solve.roots', lambda a, b, c: None", "solve.roots is not written yet"),
        ("'solve.roots', lambda a: None", "solve.roots is not right yet"),
        ("'graph.which_way', None", "graph.which_way is not answered yet"),
        ("'graph.which_way', 'A'", "graph.which_way is not right yet"),
        ("'solve.by_hand', 1, student='Ada'", "solve.by_hand is not right yet"),
    ],
)
def test_the_line_of_an_error_points_to_the_card_and_the_error_has_the_whole_message(call, line):
    with pytest.raises(CheckFailed) as caught:
        eval(f"check({call})")
    assert caught.value._render_traceback_() == [f"CheckFailed: {line}"]
    name = line.partition(" ")[0]
    assert str(caught.value).startswith(f"{name}: ")
    assert line not in str(caught.value)


def test_in_ipython_a_wrong_answer_is_drawn_beside_the_target():
    shown = in_ipython(
        "from quadratics import check, beside",
        "check('graph.parabola', lambda x, a, b, c: a * x**2 + b * x)",
        "beside('graph.stretch', lambda a, b, c: c)",
        "# mine\ndef f(a, b, c):\n    d = 4 * a * c\n    return b - d",
        "check('solve.discriminant', f)",
    )
    assert "In your code, line 4 of f: return b - d" in shown
    assert "<p>a curve: (array([4." in shown
    assert "<p>Your answer and the target, for an example: they differ. The largest" in shown
    assert "<p>two dots: (array([0., 1." in shown


def without(package, *cells):
    """What IPython shows of cells where a package is not installed."""
    return in_ipython(f"import sys; sys.modules[{package!r}] = None", *cells)


@pytest.mark.parametrize(
    "call", ["ask('solve.roots')", "check('solve.roots', 1)", "beside('a', 1)"]
)
def test_what_a_course_lacks_is_said_in_one_line(call):
    """A course imports what draws when it is loaded, as on the command line."""
    shown = without(
        "matplotlib",
        "from marking.notebook import Tutor",
        "def load_course():\n    import matplotlib.pyplot",
        "tutor = Tutor(load_course, 'pip install algebra[course]')",
        f"tutor.{call}",
    )
    words = "this command needs matplotlib, which is not installed: pip install algebra[course]"
    assert f"NotInstalled: {words}" in shown
    assert "Traceback" not in shown
    assert "notebook.py" not in shown
    assert "load_course()" not in shown


def test_cards_that_cannot_be_made_say_what_to_install():
    shown = without("jinja2", "from quadratics import check", "check('graph.which_way', 'B')")
    assert "NotInstalled: this command needs jinja2, which is not installed: pip" in shown
    assert "pages.py" not in shown


def test_a_script_needs_no_notebook_to_check():
    code = (
        "import sys; sys.modules['IPython'] = None\n"
        "from quadratics import check; check('graph.which_way', 'B')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.stdout.startswith("✓ graph.which_way: right."), done.stderr


def test_a_missing_package_of_the_students_own_is_no_lack_of_the_course():
    def answer(a, b, c):
        import no_such_package_of_a_student  # noqa: F401

    text = str(failure("solve.discriminant", answer))
    assert "ModuleNotFoundError: No module named 'no_such_package_of_a_student'" in text
    assert "pip install" not in text


def test_an_unanswered_question_is_not_answered_yet():
    for nothing in ("", None, ...):
        assert str(failure("graph.which_way", nothing)) == "graph.which_way: not answered yet."
    for nothing in (None, ...):
        text = str(failure("solve.by_hand", nothing, student="Ada"))
        assert text == "solve.by_hand: not answered yet."
    assert "solve.roots: not written yet." in str(failure("solve.roots", lambda a, b, c: None))


def test_one_fresh_input_is_said_in_the_singular(capsys):
    once = replace(
        BANK["solve.discriminant"],
        cases=lambda draw: [next(iter(BANK["solve.discriminant"].cases(draw)))],
    )
    course = Course("algebra", "algebra", {once.name: once})
    Tutor(lambda: course, "").check(once.name, once.reference)
    assert capsys.readouterr().out == "✓ solve.discriminant: right, on 1 fresh input.\n"


def test_a_course_without_stretch_questions_says_so():
    course = Course("algebra", "algebra", {"solve.roots": BANK["solve.roots"]})
    with pytest.raises(ValueError, match="expected one of the stretch questions, of which there"):
        Tutor(lambda: course, "").beside("solve.roots", lambda: None)


def test_long_lines_of_numbers_keep_their_columns_and_scroll():
    shown = card("✗", "wrong\n\nexpected  [1, 2]\ngot       [3, 4]")
    (style,) = re.findall(r'<pre style="([^"]*)">', shown)
    assert "white-space:pre;" in style
    assert "overflow-x:auto" in style


def sentences(text):
    return [one.strip().casefold() for one in re.split(r"[.:;\n]\s", text) if one.strip()]


def test_no_message_says_a_sentence_twice():
    for question in BANK.values():
        if not isinstance(question, Exercise):
            continue
        for mistake in question.mistakes:
            text = str(failure(question.name, mistake.wrong))
            assert "\n\nA known mistake" in text
            assert len(set(sentences(text))) == len(sentences(text)), text


def test_a_card_escapes_what_it_shows_and_keeps_lines():
    shown = card(
        "✗", "<script>alert('1')</script> {{ 7 * 7 }}\n\n\"one\"\n<b>two</b>\n\n<i>three</i>"
    )
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; {{ 7 * 7 }}" in shown
    assert "&#34;one&#34;\n&lt;b&gt;two&lt;/b&gt;</pre>" in shown
    assert '<div style="margin-top:6px">&lt;i&gt;three&lt;/i&gt;</div>' in shown


def contrast(one, other):
    """How far two colours are apart in brightness, by the web's guidelines for accessibility."""

    def light(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    return max(light(one), light(other)) / min(light(one), light(other))


def test_a_card_marks_the_difference_of_two_formulas_in_their_lines():
    error = failure("solve.discriminant", lambda a, b, c: b**2 - 2 * a * c)
    assert "right  b ** 2 - 4 * a * c\n                ^\nyours  b ** 2 - 2" in str(error)
    shown = card("✗", str(error))
    assert "^" not in shown
    marks = re.findall(r'<b style="([^"]*)">(.+?)</b>', shown)
    assert [text for _, text in marks] == ["4", "2"]
    for style, _ in marks:
        assert "text-decoration:underline" in style  # a colour alone is not seen by everyone
        colours = re.findall("#[0-9a-f]{6}", style)
        assert contrast(*colours) >= 4.5
    lines = re.sub("<[^>]*>", "", shown).splitlines()
    assert any(line.endswith("right  b ** 2 - 4 * a * c") for line in lines)
    assert "yours  b ** 2 - 2 * a * c" in "\n".join(lines)


def test_only_carets_below_formulas_are_marks():
    shown = card("✗", "wrong\n\ngot  a\n     ^")
    assert shown.count("<b") == 1
    assert "got  a\n     ^</pre>" in shown
