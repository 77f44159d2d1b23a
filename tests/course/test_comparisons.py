"""What a lesson rebuilds is compared with the package by one line."""

import ast
from pathlib import Path

import pytest
import torch

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


def with_part(network, name, forward):
    """A network, a part of which computes something else."""
    getattr(network, name).forward = forward
    return network


def unscaled(attention):
    """Attention that does not divide by the root of the channels."""
    layer = attention.query_key_value
    right = layer.forward

    def forward(x):
        q, k, v = right(x).chunk(3, dim=1)
        return torch.cat([q * q.shape[1] ** 0.5, k, v], dim=1)

    layer.forward = forward
    return attention


def swapped(network):
    """A U-Net that joins the encoder's half first."""
    right = network.join
    network.join = lambda h, skip: right(skip, h)
    return network


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
    "05": {
        "rebuilt_embedding": lambda right, t, dim: right(t, dim).roll(dim // 2, dims=1),
        "RebuiltBlock": lambda right, c, k: with_part(
            right(c, k), "time", lambda features: torch.zeros(len(features), k)
        ),
        "RebuiltAttention": lambda right, c: unscaled(right(c)),
        "RebuiltUNet": lambda right: swapped(right()),
    },
    "10": {
        "drop_labels": lambda right, labels, classes, share, generator: right(
            labels, classes - 1, share, generator
        ),
        "guided_noise": lambda right, without, told, scale: right(told, without, scale),
        "guided": lambda right, model, label, scale: right(model, label, scale + 1),
    },
    "12": {
        "inpaint": lambda right, model, images, mask, *rest, **more: right(
            model, images, ~mask, *rest, **more
        ),
        "turned_over": lambda right, upright, turned: right(turned, upright),
        "between": lambda right, first, last, share: right(last, first, share),
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


def alternating(right, t, dim):
    return right(t, dim).unflatten(1, (2, -1)).transpose(1, 2).flatten(1)


def awake(right):
    """A U-Net with a last layer that does not start at zero."""
    network = right()
    network.out.reset_parameters()
    return network


def without_skips(right):
    network = right()
    network.join = lambda h, skip: torch.cat([h, 0 * skip], dim=1)
    return network


def counting_from_0(right):
    network = right()
    forward = network.forward
    network.forward = lambda x_t, t: forward(x_t, t - 1)
    return network


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("rebuilt_embedding, dim = 4", alternating),
        ("rebuilt_embedding, dim = 2", lambda right, t, dim: right(t - 1, dim)),
        ("rebuilt_embedding, dim = 64", lambda right, t, dim: right(t, dim) + (dim == 64) * 1e-5),
        ("RebuiltBlock, 16 to 16", lambda right, c, k: with_part(right(c, k), "shortcut", abs)),
        ("RebuiltBlock, 32 to 48", lambda right, c, k: right(c, k if c == k else k + 8)),
        ("RebuiltAttention", lambda right, c: with_part(right(c), "norm", lambda x: x)),
        ("RebuiltUNet, a fresh network predicts zero", awake),
        ("RebuiltUNet, random weights", without_skips),
        ("RebuiltUNet, random weights", counting_from_0),
    ],
)
def test_what_differs_in_the_network_of_lesson_05_is_said(what, wrong):
    names = rebuilt("05")
    name = what.partition(",")[0]
    right = names[name]
    with pytest.raises(AssertionError, match=what):
        same_as_package("05", names | {name: lambda *args: wrong(right, *args)})
