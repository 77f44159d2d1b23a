"""What a student sees: the messages of `check`, `ask` and `beside`, and their cards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from algebra import BANK
from quadratics import ask, beside, check

from marking import notebook
from marking.notebook import CheckFailed, card

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


def test_a_loop_without_end_is_interrupted_and_said(monkeypatch):
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
    with pytest.raises(ValueError, match="give your name"):
        ask("solve.by_hand")
    with pytest.raises(ValueError, match=r"expected one of graph\.stretch, got 'solve\.roots'"):
        beside("solve.roots", lambda: None)
    assert "no name is given" in str(failure("solve.by_hand", 0.1))


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
    assert "the target on the right; they agree." in capsys.readouterr().out
    beside("graph.stretch", lambda a, b, c: c)
    assert "they differ." in capsys.readouterr().out
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
    assert "A known mistake: plus for minus" in shown
    assert "CheckFailed: solve.discriminant: the result is wrong" in shown
    assert "engine.py" not in shown


def test_in_ipython_a_wrong_answer_is_drawn_beside_the_target():
    shown = in_ipython(
        "from quadratics import check, beside",
        "check('graph.parabola', lambda x, a, b, c: a * x**2 + b * x)",
        "beside('graph.stretch', lambda a, b, c: c)",
    )
    assert "<p>a curve: (array([4." in shown
    assert "<p>Your answer on the left, the target on the right, for an example.</p>" in shown
    assert "<p>two dots: (array([0., 1." in shown


def test_a_card_escapes_what_it_shows_and_keeps_lines():
    shown = card(
        "✗", "<script>alert('1')</script> {{ 7 * 7 }}\n\n\"one\"\n<b>two</b>\n\n<i>three</i>"
    )
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; {{ 7 * 7 }}" in shown
    assert "&#34;one&#34;\n&lt;b&gt;two&lt;/b&gt;</pre>" in shown
    assert '<div style="margin-top:6px">&lt;i&gt;three&lt;/i&gt;</div>' in shown
