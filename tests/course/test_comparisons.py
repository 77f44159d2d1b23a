"""What a lesson rebuilds is compared with the package by one line."""

import ast
from pathlib import Path

import pytest

from minddpm_course.comparisons import same_as_package

ROOT = Path(__file__).parents[2]
LESSONS = sorted(
    path.stem.split("_")[1]
    for path in (ROOT / "minddpm_course" / "comparisons").glob("lesson_*.py")
)


def twin(lesson):
    (path,) = (ROOT / "notebooks" / "py").glob(f"{lesson}_*.py")
    return path.read_text(encoding="utf-8")


def rebuilt(lesson):
    """The functions and classes that a lesson defines, and what it imports."""
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree = ast.parse(twin(lesson))
    tree.body = [statement for statement in tree.body if isinstance(statement, kept)]
    names = {"__name__": f"lesson_{lesson}"}
    exec(compile(tree, lesson, "exec"), names)
    return names


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_lesson_says_this_line_once(lesson):
    assert twin(lesson).count(f'same_as_package("{lesson}", globals())') == 1


def test_equal_functions_are_named(capsys):
    same_as_package("03", rebuilt("03"))
    expected = "posterior_coefficients, posterior_variance, q_posterior"
    assert capsys.readouterr().out == f"equal to the package: {expected}\n"


WRONG = {  # lesson: the name of a function, and how its right answer is made wrong
    "01": {
        "linear_betas": lambda right, T=1000, low=1e-4, high=0.02: right(T + 1, low, high)[:-1],
        "cosine_betas": lambda right, T=1000, s=0.008, most=0.999: right(T, s, most) * 1.001,
        "from_betas": lambda right, betas: (right(betas)[0], right(betas)[1].roll(1)),
        "snr": lambda right, alpha_bar: right(alpha_bar) ** 2,
        "steps": lambda right, T: range(T - 1, -1, -1),
        "sample_t": lambda right, T, count, generator: right(T - 1, count, generator),
        "per_image": lambda right, own, x: own.reshape(-1, 1),
    },
    "02": {
        "forward_step": lambda right, x, t, s, noise: right(x, t, s, 1.001 * noise),
        "forward_diffusion": lambda right, x, t, s, noise: right(x, t, s, noise) + 1e-4,
        "x0_from_noise": lambda right, x_t, t, noise, s: right(x_t, t, noise, s).clamp(-1, 1),
        "noise_from_x0": lambda right, x_t, t, x_0, s: x_t - x_0,
    },
    "03": {
        "posterior_coefficients": lambda right, t, s: [w * (1 + 1e-9) for w in right(t, s)],
        "posterior_variance": lambda right, t, s: s.beta[t],
        "q_posterior": lambda right, x_0, x_t, t, s: right(x_t, x_0, t, s),
    },
    "06": {
        "rebuilt_step": lambda right, x_t, t, x_0, s, noise, **more: right(
            x_t, t, x_0, s, noise * (1 if t > 1 else 0) + 1e-3 * (t == 2), **more
        ),
        "short_step": lambda right, x_t, t, predicted, s, noise: right(x_t, t, predicted, s, 0),
        "rebuilt_steps": lambda right, *args, clip=False, **more: right(*args, **more),
        "rebuilt_sample": lambda right, *args, **more: right(*args, **more) + 1e-3,
    },
}


@pytest.mark.parametrize(
    ("lesson", "name"), [(lesson, name) for lesson in WRONG for name in WRONG[lesson]]
)
def test_a_function_that_differs_is_named(lesson, name):
    names = rebuilt(lesson)
    right, wrong = names[name], WRONG[lesson][name]
    with pytest.raises(AssertionError, match=name):
        same_as_package(lesson, names | {name: lambda *args, **more: wrong(right, *args, **more)})


def test_wrong_functions_of_each_lesson_are_tried():
    elsewhere = {path.stem[-2:] for path in Path(__file__).parent.glob("test_comparison_*.py")}
    assert sorted(elsewhere | WRONG.keys()) == LESSONS


def test_a_function_that_is_missing_is_named():
    names = {name: value for name, value in rebuilt("03").items() if name != "q_posterior"}
    with pytest.raises(NameError, match="q_posterior is not defined: run the cells above"):
        same_as_package("03", names)


def test_another_lesson_is_refused():
    with pytest.raises(ValueError, match=r"lesson must be one of .*03.*, got '3'"):
        same_as_package("3", {})
