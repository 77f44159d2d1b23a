"""What a student of this course sees: `check`, `ask` and `beside` on its own bank."""

import subprocess
import sys
import time

import pytest
import torch

from minddpm_course import CheckFailed, ask, beside, check
from minddpm_course.bank import BANK
from minddpm_course.course import load_course


def failure(name, answer, **options):
    with pytest.raises(CheckFailed) as caught:
        check(name, answer, **options)
    return caught.value


def test_a_right_answer_shows_a_tick_and_returns(capsys):
    def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):
        return (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t

    assert check("03.posterior_variance", posterior_variance) is None
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


def test_an_answer_that_draws_is_caught():
    def drawing(x_prev, beta_t, noise):
        return (1 - beta_t) ** 0.5 * x_prev + beta_t**0.5 * noise + 0.01 * torch.rand(noise.shape)

    assert "different results" in failure("02.forward_step", drawing).mistake


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"such as 03\.posterior_variance"):
        check("03.posterior_varience", lambda: None)
    with pytest.raises(TypeError, match=r"as in check\('06\.steps', steps\)"):
        check("06.steps", [3, 2, 1])
    with pytest.raises(ValueError, match="give your name"):
        ask("03.by_hand")
    with pytest.raises(ValueError, match=r"expected one of 01\.stretch"):
        beside("03.posterior_variance", lambda: None)


def test_a_question_has_the_students_values(capsys):
    values = BANK["03.by_hand"].values_for("ada  lovelace")
    ask("03.by_hand", "Ada Lovelace")
    shown = capsys.readouterr().out
    assert all(str(value) in shown for value in values.values())
    check("03.by_hand", BANK["03.by_hand"].answer(**values), student="Ada Lovelace")
    wrong = failure("03.by_hand", values["beta"], student="Ada Lovelace")
    assert wrong.mistake == "beta for beta tilde"
    ask("03.predict")
    assert "B  0" in capsys.readouterr().out


def test_in_ipython_a_wrong_answer_is_a_card_a_picture_and_one_line():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S\n"
        "s = S.instance()\n"
        "s.run_cell('from minddpm_course import check')\n"
        "from IPython.utils.capture import capture_output\n"
        "with capture_output() as shown:\n"
        "    s.run_cell('check(\"01.alpha_bars\", lambda betas: 1 - betas)')\n"
        "for output in shown.outputs: print(output.data['text/html'])\n"
        "print(shown.stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    shown = done.stdout
    assert "<div style=" in shown
    assert "A known mistake: " in shown
    assert "You return alpha_t = 1 - beta_t of each step by itself." in shown
    assert '<img alt="Your answer and the target, for an example: they differ. ' in shown
    assert "the solid green line, the target the dashed black line. Below: yours minus" in shown
    assert "CheckFailed: 01.alpha_bars is not right yet" in shown
    assert "engine.py" not in shown + done.stderr


def test_a_check_without_matplotlib_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from minddpm_course import check\n"
        "try: check('03.predict', 'B')\n"
        "except ImportError as error: print(error._render_traceback_())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    words = "this command needs matplotlib, which is not installed: pip install 'minddpm[course]'"
    assert done.stdout == f"{[f'NotInstalled: {words}']}\n"


def test_trying_every_question_takes_no_time_to_speak_of():
    """It is done whenever the course is loaded."""
    course = load_course()
    started = time.perf_counter()
    course.__post_init__()
    assert time.perf_counter() - started < 2


def test_what_exercises_import_stays_light():
    code = (
        "import sys, minddpm_course, minddpm_course.commands\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "print('minddpm_course.bank' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages, bank = done.stdout.splitlines()
    assert not set(packages.split()) & {"matplotlib", "IPython", "jinja2", "minddpm"}
    assert bank == "False"
