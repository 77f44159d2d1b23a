"""What a student sees: the messages of `check`, `ask` and `beside`."""

import subprocess
import sys

import pytest
import torch

from minddpm_course import CheckFailed, ask, beside, check, engine, notebook
from minddpm_course.bank import BANK


def failure(name, answer, **options):
    with pytest.raises(CheckFailed) as caught:
        check(name, answer, **options)
    return caught.value


def test_a_right_answer_shows_a_tick_and_returns(capsys):
    assert (
        check("03.posterior_variance", lambda beta, a, before: (1 - before) / (1 - a) * beta)
        is None
    )
    assert capsys.readouterr().out.startswith("✓ 03.posterior_variance: right")


def test_a_known_mistake_is_named_with_its_consequence():
    error = failure(
        "03.posterior_coefficients",
        lambda b, a, p: BANK["03.posterior_coefficients"].reference(b, a, p)[::-1],
    )
    assert isinstance(error, AssertionError)
    assert error.mistake == "the coefficients are swapped"
    for words in (
        "Your coefficients are swapped",
        "input",
        "expected",
        "got",
        "must be [1] and [0]; yours are [0] and [1]",
    ):
        assert words in str(error)


def test_another_wrong_answer_has_no_name():
    error = failure("03.posterior_variance", lambda b, a, p: b / 7)
    assert error.mistake is None
    assert "wrong, by as much as" in str(error)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda b, a, p: (1 - p)[:1], "shape (1,), where"),
        (lambda b, a, p: b.int(), "floating-point numbers are wanted"),
        (lambda b, a, p: b / 0, "infinite"),
        (lambda b, a, p: b * float("nan"), "NaN"),
        (lambda b, a, p: (b, a), "2 arrays, where one array is wanted"),
        (lambda b, a, p: {"variance": b}, "returns dict, where numbers are wanted"),
        (lambda b, a, p: b > 0, "bool"),
        (lambda b, a, p: b.mul_((1 - p) / (1 - a)), "changes its input beta_t in place"),
        (lambda b: b, "TypeError"),
    ],
)
def test_what_is_wrong_is_said(answer, words):
    assert words in str(failure("03.posterior_variance", answer))


def test_an_answer_that_draws_is_caught():
    def drawing(x_prev, beta_t, noise):
        return (1 - beta_t) ** 0.5 * x_prev + beta_t**0.5 * noise + 0.01 * torch.rand(())

    assert failure("02.forward_step", drawing).mistake is None


def test_an_answer_that_remembers_is_caught():
    calls = []

    def remembering(beta_t, alpha_bar_t, alpha_bar_prev):
        calls.append(1)
        right = (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t
        return right if len(calls) <= 4 else right + 1

    assert "different results" in str(failure("03.posterior_variance", remembering))


def test_an_error_keeps_the_students_own_line():
    def broken(T):
        steps = list(range(T, 0, -1))
        return steps[T]

    text = str(failure("06.steps", broken))
    assert "IndexError: list index out of range" in text
    assert "return steps[T]" in text
    assert "outcome.py" not in text


def test_a_loop_without_end_is_interrupted_and_said(monkeypatch):
    def looping(T):
        while True:
            pass

    monkeypatch.setattr(notebook, "SECONDS", 1)
    assert "it took over 1 s; look for a loop that does not end" in str(
        failure("06.steps", looping)
    )


def test_an_answer_that_is_slow_at_every_call_is_said(monkeypatch):
    monkeypatch.setattr(engine, "SECONDS", 0)
    assert "it took over 0 s; a check asks" in str(
        failure("06.steps", lambda T: list(range(T, 0, -1)))
    )


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"such as 03\.posterior_variance"):
        check("03.posterior_varience", lambda: None)
    with pytest.raises(TypeError, match="wants the function itself"):
        check("06.steps", [3, 2, 1])
    with pytest.raises(ValueError, match="give your name"):
        ask("03.by_hand")
    assert "none is given" in str(failure("03.by_hand", 0.1))
    with pytest.raises(ValueError, match=r"wanted one of 01\.stretch"):
        beside("03.posterior_variance", lambda: None)


def test_a_question_is_asked_with_the_students_numbers(capsys):
    values = BANK["03.by_hand"].values_for("ada  lovelace")
    ask("03.by_hand", "Ada Lovelace")
    asked = capsys.readouterr().out
    assert all(str(value) in asked for value in values.values())
    check("03.by_hand", BANK["03.by_hand"].answer(**values), student="Ada Lovelace")
    assert (
        failure("03.by_hand", values["beta"], student="Ada Lovelace").mistake
        == "beta for beta tilde"
    )
    ask("03.predict")
    assert "B  0" in capsys.readouterr().out


def test_in_ipython_the_message_is_a_card_and_the_traceback_one_line():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S\n"
        "s = S.instance()\n"
        "s.run_cell('from minddpm_course import check')\n"
        "from IPython.utils.capture import capture_output\n"
        "with capture_output() as shown:\n"
        "    s.run_cell('check(\"03.posterior_variance\", lambda b, a, p: b)')\n"
        "print(shown.outputs[0].data['text/html'], shown.stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    shown = done.stdout
    assert "<div style=" in shown
    assert "A known mistake: beta for beta tilde" in shown
    assert "CheckFailed: 03.posterior_variance" in shown
    assert "engine.py" not in shown + done.stderr
