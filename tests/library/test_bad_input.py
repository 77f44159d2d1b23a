"""Wrong input is refused by the package itself, with a message that says what was wanted and what
came.

Shape checking, which refuses most of it first in the other unit tests, is off here: users do not
have it.
"""

import importlib
import inspect
import math
import typing
from types import SimpleNamespace

import jaxtyping
import numpy as np
import pytest
import torch

from minddpm import (
    EMA,
    Gaussian,
    Schedule,
    UNet,
    UNetConfig,
    beta_variance,
    cosine_schedule,
    forward_diffusion,
    forward_step,
    gaussian_kl,
    linear_schedule,
    noise_from_x0,
    posterior_coefficients,
    posterior_variance,
    q_posterior,
    reverse_step,
    sample,
    sample_steps,
    simple_loss,
    timestep_embedding,
    train,
    train_step,
    variational_bound,
    weighted_loss,
    x0_from_noise,
)
from minddpm.ddim import ddim_sample, ddim_step, ddim_steps, invert
from minddpm.guidance import drop_labels, guided
from minddpm.inpainting import inpaint
from minddpm.mixture import GaussianMixture
from minddpm.noising import moved
from minddpm.respacing import respaced
from minddpm.schedule import time_index
from minddpm.score import langevin, noise_from_score, score_from_noise
from minddpm.solvers import flow_sample, heun
from minddpm.targets import (
    converted,
    flow_from_noise,
    flow_from_x0,
    noise_from_flow,
    noise_from_velocity,
    straight_time,
    to_straight_path,
    velocity_from_noise,
    velocity_from_x0,
    x0_from_flow,
    x0_from_velocity,
    zero_terminal_snr,
)
from minddpm.weighting import min_snr_weight, velocity_weight

SCHEDULE = linear_schedule(10)
X = torch.zeros(3, 1, 4, 4)
SMALL = UNetConfig(channels=(8, 16, 24), groups=4)
LABELLED = UNetConfig(channels=(8,), groups=4, classes=3)
RIGHT = torch.tensor([False, False, True, True])
MIXTURE = GaussianMixture(torch.zeros(2, 2), 1.0, torch.ones(2))


@pytest.fixture(autouse=True, scope="module")
def _unchecked():
    """Let the package's own checks see the input."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def zeros(x_t, t):
    return torch.zeros_like(x_t)


def refuses(error, call, *fragments):
    """The call raises exactly this kind of error, and its message contains each fragment."""
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error
    for fragment in fragments:
        assert fragment in str(caught.value), f"{fragment!r} is not said in {str(caught.value)!r}"


def test_the_hook_checks_shapes_elsewhere_and_not_here():
    """If this fails the package was imported before the hook: no unit test then has its shapes
    checked.
    """
    wrong = torch.zeros(2, 1, 4, 4)
    refuses(
        ValueError, lambda: forward_step(X, 1, SCHEDULE, wrong), "noise must have the images' shape"
    )
    jaxtyping.config.update("jaxtyping_disable", False)
    try:
        with pytest.raises(jaxtyping.TypeCheckError):
            forward_step(X, 1, SCHEDULE, wrong)
    finally:
        jaxtyping.config.update("jaxtyping_disable", True)


ROOMS = [
    "schedule",
    "noising",
    "posterior",
    "loss",
    "sampler",
    "ddim",
    "solvers",
    "inpainting",
    "score",
    "guidance",
    "targets",
    "weighting",
    "unet",
    "training",
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_annotation_can_be_read(room):
    """One that cannot be resolved is silently not checked."""
    module, checked = importlib.import_module(f"minddpm.{room}"), 0
    for thing in vars(module).values():
        if getattr(thing, "__module__", "") != module.__name__ or hasattr(
            thing, "_fields"
        ):  # tuples are not checked
            continue
        for member in vars(thing).values() if isinstance(thing, type) else [thing]:
            function = getattr(member, "fget", getattr(member, "__func__", member))
            if inspect.isfunction(function):
                typing.get_type_hints(inspect.unwrap(function), include_extras=True)
                checked += 1
    assert checked >= 2


# t

CONVERSIONS = {  # and the name of what each of them takes
    velocity_from_noise: "noise",
    velocity_from_x0: "x_0",
    noise_from_velocity: "velocity",
    x0_from_velocity: "velocity",
    flow_from_noise: "noise",
    flow_from_x0: "x_0",
    noise_from_flow: "flow",
    x0_from_flow: "flow",
}
TAKE_T = {
    "forward_step": lambda t: forward_step(X, t, SCHEDULE),
    "forward_diffusion": lambda t: forward_diffusion(X, t, SCHEDULE),
    "x0_from_noise": lambda t: x0_from_noise(X, t, X, SCHEDULE),
    "noise_from_x0": lambda t: noise_from_x0(X, t, X, SCHEDULE),
    "moved": lambda t: moved(X, t, X, 1, SCHEDULE),
    "moved, to": lambda t: moved(X, 1, X, t, SCHEDULE),
    "posterior_coefficients": lambda t: posterior_coefficients(t, SCHEDULE),
    "posterior_variance": lambda t: posterior_variance(t, SCHEDULE),
    "beta_variance": lambda t: beta_variance(t, SCHEDULE),
    "q_posterior": lambda t: q_posterior(X, X, t, SCHEDULE),
    "simple_loss": lambda t: simple_loss(zeros, X, SCHEDULE, t=t),
    "weighted_loss": lambda t: weighted_loss(zeros, X, SCHEDULE, t=t),
    "reverse_step": lambda t: reverse_step(X, t, X, SCHEDULE),
    "ddim_step": lambda t: ddim_step(X, t, X, X, SCHEDULE),
    "score_from_noise": lambda t: score_from_noise(X, t, SCHEDULE),
    "noise_from_score": lambda t: noise_from_score(X, t, SCHEDULE),
    "mixture's score": lambda t: MIXTURE.score(torch.zeros(3, 2), t, SCHEDULE),
    "mixture's log_density": lambda t: MIXTURE.log_density(torch.zeros(3, 2), t, SCHEDULE),
    **{
        convert.__name__: lambda t, convert=convert: convert(X, t, X, SCHEDULE)
        for convert in CONVERSIONS
    },
    "straight_time": lambda t: straight_time(t, SCHEDULE),
    "to_straight_path": lambda t: to_straight_path(X, t, SCHEDULE),
    "time_index": lambda t: time_index(t, SCHEDULE),
    "start": lambda t: sample(zeros, X.shape, SCHEDULE, start=(X, t)),
    "start of flow_sample": lambda t: flow_sample(zeros, X.shape, SCHEDULE, start=(X, t)),
}
FROM_0 = {
    *("forward_diffusion", "moved, to", "mixture's score", "mixture's log_density"),
    *("straight_time", "to_straight_path"),
}
BAD_T = {
    "above T": (11, ValueError, "t must lie in", "..10", "got 11"),
    "below": (-1, ValueError, "t must lie in", "..10", "got -1"),
    "above every int64": (10**30, ValueError, "t must lie in", "..10", f"got {10**30}"),
    "below every int64": (-(10**30), ValueError, "t must lie in", "..10", f"got {-(10**30)}"),
    "one of the tensor above T": (
        torch.tensor([1, 11, 2]),
        ValueError,
        "t must lie in",
        "..10",
        "got 11",
    ),
    "one of the tensor below": (
        torch.tensor([1, -3, 2]),
        ValueError,
        "t must lie in",
        "..10",
        "got -3",
    ),
    "float": (1.0, TypeError, "t must be an int or an int64 tensor", "float"),
    "numpy float": (np.float64(1), TypeError, "t must be an int or an int64 tensor", "float64"),
    "bool": (True, TypeError, "t must be an int or an int64 tensor", "bool"),
    "numpy bool": (np.bool_(True), TypeError, "t must be an int or an int64 tensor", "bool"),
    "text": ("1", TypeError, "t must be an int or an int64 tensor", "str"),
    "list": ([1, 2, 3], TypeError, "t must be an int or an int64 tensor", "list"),
    "float tensor": (
        torch.ones(3),
        TypeError,
        "t must be an int or an int64 tensor",
        "torch.float32",
    ),
    "int32 tensor": (torch.ones(3, dtype=torch.int32), TypeError, "int64 tensor", "torch.int32"),
    "bool tensor": (torch.ones(3, dtype=torch.bool), TypeError, "int64 tensor", "torch.bool"),
    "column": (
        torch.ones(3, 1, dtype=torch.int64),
        ValueError,
        "t must be an int or have shape (b,)",
        "got (3, 1)",
    ),
}


@pytest.mark.parametrize("function", TAKE_T)
@pytest.mark.parametrize("case", BAD_T)
def test_t(function, case):
    t, error, *fragments = BAD_T[case]
    refuses(error, lambda: TAKE_T[function](t), *fragments)


@pytest.mark.parametrize("function", [name for name in TAKE_T if name not in FROM_0])
def test_t_is_zero(function):
    for t in (0, torch.tensor([3, 0, 1])):
        refuses(ValueError, lambda t=t: TAKE_T[function](t), "t must lie in 1..10, got 0")


@pytest.mark.parametrize(
    "function",
    [
        name
        for name in TAKE_T
        if name
        not in {
            "posterior_coefficients",
            "posterior_variance",
            "beta_variance",
            "straight_time",
            "time_index",
            "start",
            "start of flow_sample",
        }
    ],
)
@pytest.mark.parametrize("length", [1, 2, 4])
def test_t_of_another_length_than_the_batch(function, length):
    t = torch.ones(length, dtype=torch.int64)
    refuses(
        ValueError,
        lambda: TAKE_T[function](t),
        "t must be an int or have shape (3,)",
        f"got ({length},)",
    )


# noise, images and predictions

TAKE_NOISE = {
    "forward_step": (lambda x, noise: forward_step(x, 1, SCHEDULE, noise), "noise"),
    "forward_diffusion": (lambda x, noise: forward_diffusion(x, 1, SCHEDULE, noise), "noise"),
    "x0_from_noise": (lambda x, noise: x0_from_noise(x, 1, noise, SCHEDULE), "noise"),
    "noise_from_x0": (lambda x, x_0: noise_from_x0(x, 1, x_0, SCHEDULE), "x_0"),
    "moved": (lambda x, x_0: moved(x, 2, x_0, 1, SCHEDULE), "x_0"),
    "q_posterior": (lambda x, x_0: q_posterior(x_0, x, 1, SCHEDULE), "x_0"),
    "simple_loss": (lambda x, noise: simple_loss(zeros, x, SCHEDULE, noise=noise), "noise"),
    "weighted_loss": (lambda x, noise: weighted_loss(zeros, x, SCHEDULE, noise=noise), "noise"),
    "reverse_step": (lambda x, noise: reverse_step(x, 1, x, SCHEDULE, noise), "noise"),
    "reverse_step, estimate": (lambda x, x_0: reverse_step(x, 1, x_0, SCHEDULE), "x_0"),
    "ddim_step": (lambda x, noise: ddim_step(x, 2, x, x, SCHEDULE, noise, eta=0.5), "noise"),
    "ddim_step, eta = 0": (lambda x, noise: ddim_step(x, 2, x, x, SCHEDULE, noise), "noise"),
    "ddim_step, estimate": (lambda x, x_0: ddim_step(x, 2, x_0, x, SCHEDULE), "x_0"),
    "ddim_step, prediction": (
        lambda x, noise: ddim_step(x, 2, x, noise, SCHEDULE),
        "predicted_noise",
    ),
    **{
        convert.__name__: (lambda x, given, convert=convert: convert(x, 1, given, SCHEDULE), name)
        for convert, name in CONVERSIONS.items()
    },
}
TAKE_PREDICTION = {
    "invert": lambda model: invert(model, X, SCHEDULE, steps=2),
    "simple_loss": lambda model: simple_loss(model, X, SCHEDULE)[None],
    "weighted_loss": lambda model: weighted_loss(model, X, SCHEDULE)[None],
    "variational_bound": lambda model: variational_bound(model, X, SCHEDULE),
    "sample": lambda model: sample(model, X.shape, SCHEDULE),
    "ddim_sample": lambda model: ddim_sample(model, X.shape, SCHEDULE, steps=2),
    "flow_sample": lambda model: flow_sample(model, X.shape, SCHEDULE, steps=2),
    "flow_sample, heun": lambda model: flow_sample(model, X.shape, SCHEDULE, solver=heun, steps=2),
    "inpaint": lambda model: inpaint(model, X, RIGHT, SCHEDULE),
    "converted": lambda model: converted(model, noise_from_x0, SCHEDULE)(X, torch.tensor([1] * 3)),
    "guided": lambda model: guided(lambda x_t, t, label: model(x_t, t), 0, 2)(X, torch.ones(3)),
}
OTHER_SHAPES = [(1, 1, 4, 4), (3, 1, 1, 1), (3, 1, 4), (4, 4), (), (3, 1, 4, 5), (3, 3, 4, 4)]


@pytest.mark.parametrize("function", TAKE_NOISE)
@pytest.mark.parametrize("shape", OTHER_SHAPES)
def test_noise_of_another_shape_even_if_it_would_broadcast(function, shape):
    call, name = TAKE_NOISE[function]
    message = f"{name} must have the images' shape (3, 1, 4, 4), got {shape}"
    refuses(ValueError, lambda: call(X, torch.zeros(shape)), message)


@pytest.mark.parametrize("function", TAKE_NOISE)
def test_noise_of_another_dtype(function):
    call, name = TAKE_NOISE[function]
    message = f"{name} must have the images' dtype torch.float32, got torch.float64"
    refuses(TypeError, lambda: call(X, X.double()), message)


TAKE_IMAGES = {
    **{name: lambda x, call=call: call(x, x) for name, (call, _) in TAKE_NOISE.items()},
    "forward_step, noise drawn": lambda x: forward_step(x, 1, SCHEDULE),
    "forward_diffusion, noise drawn": lambda x: forward_diffusion(x, 1, SCHEDULE),
    "invert": lambda x: invert(UNet(SMALL), x, SCHEDULE, steps=2),
    "inpaint": lambda x: inpaint(UNet(SMALL), x, RIGHT, SCHEDULE),
    "langevin": lambda x: langevin(lambda x: x, x, step_size=0.1, steps=2),
    "train": lambda x: next(train(UNet(SMALL), x, SCHEDULE, steps=1)),
}


@pytest.mark.parametrize("function", TAKE_IMAGES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_integer_images(function, dtype):
    refuses(
        TypeError,
        lambda: TAKE_IMAGES[function](X.to(dtype)),
        "images must be floating point",
        str(dtype),
    )


@pytest.mark.parametrize("function", TAKE_PREDICTION)
@pytest.mark.parametrize("shape", OTHER_SHAPES)
def test_a_prediction_of_another_shape(function, shape):
    message = f"predicted noise must have the images' shape (3, 1, 4, 4), got {shape}"
    refuses(
        ValueError, lambda: TAKE_PREDICTION[function](lambda x_t, t: torch.zeros(shape)), message
    )


@pytest.mark.parametrize("function", TAKE_PREDICTION)
@pytest.mark.parametrize("answer", [None, [1.0], np.zeros((3, 1, 4, 4)), SimpleNamespace(sample=1)])
def test_a_prediction_that_is_no_tensor(function, answer):
    message = "the network must return a tensor, got "
    refuses(TypeError, lambda: TAKE_PREDICTION[function](lambda x_t, t: answer), message)


@pytest.mark.parametrize("function", TAKE_PREDICTION)
def test_a_prediction_of_another_dtype_is_cast(function):
    torch.manual_seed(1)
    expected = TAKE_PREDICTION[function](zeros)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        torch.manual_seed(1)
        cast = TAKE_PREDICTION[function](lambda x_t, t, dtype=dtype: zeros(x_t, t).to(dtype))
        for one, other in zip(expected, cast):
            assert one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.parametrize("function", TAKE_PREDICTION)
def test_the_output_of_a_network_of_diffusers_is_taken(function):
    torch.manual_seed(1)
    expected = TAKE_PREDICTION[function](zeros)
    torch.manual_seed(1)
    taken = TAKE_PREDICTION[function](lambda x_t, t: SimpleNamespace(sample=zeros(x_t, t)))
    assert all(torch.equal(one, other) for one, other in zip(expected, taken))


@pytest.mark.parametrize(
    ("value", "said"), [(1.5, "1.5"), (-2.0, "-2"), (255.0, "255"), (math.nan, "nan")]
)
def test_images_outside_the_range_of_the_bound(value, said):
    x_0 = X.clone()
    x_0[1, 0, 2, 2] = value
    refuses(
        ValueError,
        lambda: variational_bound(zeros, x_0, SCHEDULE),
        "images must lie in [-1, 1]",
        said,
    )


@pytest.mark.parametrize("value", [1.5, -2.0, 255.0, math.nan])
def test_images_outside_the_range_of_training(value):
    images = X.clone()
    images[1, 0, 2, 2] = value
    run = train(UNet(SMALL), images, SCHEDULE, steps=1)
    refuses(ValueError, lambda: next(run), "images must lie in [-1, 1]")


def test_the_bound_of_a_single_step():
    refuses(
        ValueError, lambda: variational_bound(zeros, X, linear_schedule(1)), "T at least 2", "got 1"
    )


@pytest.mark.parametrize("variance", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("of", ["p", "q"])
def test_a_variance_that_is_not_positive(variance, of):
    good, bad = (Gaussian(torch.zeros(2), torch.tensor([1.0, v])) for v in (1.0, variance))
    pair = (bad, good) if of == "p" else (good, bad)
    refuses(
        ValueError,
        lambda: gaussian_kl(*pair),
        "variances must be positive",
        f"got {variance:g} in {of}",
    )


def test_what_is_no_gaussian():
    good = Gaussian(torch.zeros(2), torch.ones(2))
    for bad, said in (
        (Gaussian(good.mean, 1.0), "the variance of {} must be a tensor, got a float"),
        (Gaussian(0.0, good.variance), "the mean of {} must be a tensor, got a float"),
        (tuple(good), "{} must be a Gaussian, got a tuple: use Gaussian(mean, variance)"),
        (good.mean, "{} must be a Gaussian, got a torch.float32 tensor"),
    ):
        refuses(TypeError, lambda: gaussian_kl(bad, good), said.format("p"))  # noqa: B023
        refuses(TypeError, lambda: gaussian_kl(good, bad), said.format("q"))  # noqa: B023


@pytest.mark.parametrize(("answer", "got"), [(0.5, "0.5"), (torch.tensor(1), "torch.int64")])
def test_a_variance_function_that_returns_no_variance(answer, got):
    message = f"variance must return a floating-point tensor, got {got}"
    for call in (
        lambda variance: reverse_step(X, 2, X, SCHEDULE, variance=variance),
        lambda variance: variational_bound(zeros, X, SCHEDULE, variance=variance),
    ):
        refuses(TypeError, lambda: call(lambda t, schedule: answer), message)  # noqa: B023


# schedules


@pytest.mark.parametrize(
    ("betas", "fragments"),
    [
        ([], ["betas must have shape (T,) with T at least 1", "got (0,)"]),
        ([[0.1, 0.2]], ["betas must have shape (T,)", "got (1, 2)"]),
        (0.1, ["betas must have shape (T,)", "got ()"]),
        ([0.1, 0.0], ["strictly between 0 and 1", "got 0.0 for t = 2"]),
        ([1.0, 0.1], ["strictly between 0 and 1", "got 1.0 for t = 1"]),
        ([0.1, 1.0, 1.0], ["strictly between 0 and 1", "got 1.0 for t = 2"]),
        ([0.1, 0.2, -0.5], ["strictly between 0 and 1", "got -0.5 for t = 3"]),
        ([0.1, 2], ["strictly between 0 and 1", "got 2.0 for t = 2"]),
        ([math.nan, 0.1], ["strictly between 0 and 1", "got nan for t = 1"]),
        ([math.inf], ["strictly between 0 and 1", "got inf for t = 1"]),
        (
            [0.9] * 1000,
            ["some signal", "alpha_bar falls to 1e-308 at t = 308 of 1000, too little for float64"],
        ),
    ],
)
def test_betas(betas, fragments):
    for convert in (lambda b: b, np.array, torch.tensor):
        refuses(ValueError, lambda convert=convert: Schedule.from_betas(convert(betas)), *fragments)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("beta", "alpha_bar", "fragments"),
    [
        (doubles(0.1, 0.2), doubles(0.9, 0.72), ["beta[0] = 0", "got 0.1", "Schedule.from_betas"]),
        (doubles(0), doubles(1), ["beta must be float64 and of shape (T+1,)", "got (1,)"]),
        (doubles(0, 0.1).float(), doubles(1, 0.9), ["beta must be float64", "torch.float32"]),
        (doubles(0, 0.1), doubles(1, 0.9).float(), ["alpha_bar must be float64", "torch.float32"]),
        (doubles(0, 0.1), doubles(1, 0.9, 0.8), ["alpha_bar must be", "shape (T+1,)", "got (3,)"]),
        (
            doubles(0, 0.1),
            doubles(1, 0.8),
            ["alpha_bar must be the running product of 1 - beta", "off by 0.11"],
        ),
        (
            doubles(0, 0.1),
            doubles(0.9, 0.9),
            ["alpha_bar must be the running product of 1 - beta", "off by 0.1"],
        ),
        (doubles(0, 1.5), doubles(1, -0.5), ["strictly between 0 and 1", "got 1.5 for t = 1"]),
        (doubles(0, 1), doubles(1, 0.1), ["strictly between 0 and 1", "got 1.0 for t = 1"]),
        (doubles(0, 0.5), doubles(1, 0), ["some signal", "alpha_bar falls to 0 at t = 1 of 1"]),
        (doubles(0, 0.5, 1), doubles(1, 0.4, 0), ["the running product of 1 - beta", "off by 0.2"]),
    ],
)
def test_a_schedule_that_does_not_fit_itself(beta, alpha_bar, fragments):
    refuses(ValueError, lambda: Schedule(beta, alpha_bar), *fragments)


@pytest.mark.parametrize("make", [linear_schedule, cosine_schedule])
def test_T(make):
    refuses(ValueError, lambda: make(0), "T must be at least 1, got 0")
    refuses(ValueError, lambda: make(-5), "T must be at least 1, got -5")
    refuses(TypeError, lambda: make(10.0), "T must be an integer, got 10.0")
    refuses(TypeError, lambda: make(True), "T must be an integer, got True")
    refuses(TypeError, lambda: make("10"), "T must be an integer, got '10'")


def test_the_settings_of_schedules():
    inside = "must lie strictly between 0 and 1, got"
    for make, name, value in (
        (linear_schedule, "beta_start", 0.0),
        (linear_schedule, "beta_start", math.nan),
        (linear_schedule, "beta_end", 1.0),
        (cosine_schedule, "max_beta", 1.0),
        (cosine_schedule, "max_beta", 0),
    ):
        call = lambda: make(10, **{name: value})  # noqa: B023, E731
        refuses(ValueError, call, f"{name} {inside} {value}")
    for s in (-0.1, math.inf, math.nan):
        message = f"s must be finite and at least 0, got {s}"
        refuses(ValueError, lambda s=s: cosine_schedule(10, s=s), message)


def test_batch_size():
    refuses(ValueError, lambda: SCHEDULE.sample_t(0), "batch_size must be at least 1, got 0")
    refuses(TypeError, lambda: SCHEDULE.sample_t(2.0), "batch_size must be an integer, got 2.0")


# sampling


@pytest.mark.parametrize(
    "function",
    [
        sample,
        lambda *args: next(sample_steps(*args)),
        lambda *args: ddim_sample(*args, steps=2),
        lambda *args: flow_sample(*args, steps=2),
    ],
    ids=["sample", "sample_steps", "ddim_sample", "flow_sample"],
)
@pytest.mark.parametrize(
    ("shape", "error", "fragments"),
    [
        ((), ValueError, ["image_shape must be (b, *dims)", "got ()"]),
        ((0, 1, 4, 4), ValueError, ["image_shape (0, 1, 4, 4) must be at least 1, got 0"]),
        ((2, 1, -4, 4), ValueError, ["image_shape (2, 1, -4, 4) must be at least 1, got -4"]),
        ((2, 1, 4.0, 4), TypeError, ["image_shape (2, 1, 4.0, 4) must be an integer, got 4.0"]),
        ((2, True), TypeError, ["image_shape (2, True) must be an integer, got True"]),
    ],
)
def test_image_shape(function, shape, error, fragments):
    refuses(error, lambda: function(zeros, shape, SCHEDULE), *fragments)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"mask": torch.ones(1, 1, 4, 4)},
            TypeError,
            "mask must be a bool tensor, True where images are to be filled in, got a"
            " torch.float32 tensor: use mask > 0.5",
        ),
        ({"mask": [[True]]}, TypeError, "True where images are to be filled in, got a list"),
        ({"mask": None}, TypeError, "True where images are to be filled in, got None"),
        (
            {"mask": RIGHT[:3]},
            ValueError,
            "mask must have the images' shape (3, 1, 4, 4), or one that broadcasts to it, got (3,)",
        ),
        (
            {"mask": RIGHT.expand(2, 3, 1, 4, 4)},
            ValueError,
            "or one that broadcasts to it, got (2, 3, 1, 4, 4)",
        ),
        ({"images": X.double()}, TypeError, "images must have the network's dtype torch.float32"),
        ({"images": X[:0]}, ValueError, "images must have shape (b, *dims) with b at least 1"),
        ({"resamplings": 0}, ValueError, "resamplings must be at least 1, got 0"),
        ({"resamplings": 2.5}, TypeError, "resamplings must be an integer, got 2.5"),
        ({"variance": "small"}, TypeError, "variance must be a function such as beta_variance"),
        ({"generator": 3}, TypeError, "generator must be a torch.Generator, got 3"),
        ({"device": "nowhere"}, ValueError, "device must be a torch.device or a name"),
        ({"schedule": 3}, TypeError, "schedule must be"),
    ],
)
def test_filling_in(changed, error, message):
    good = {"images": X, "mask": RIGHT, "schedule": SCHEDULE}
    refuses(error, lambda: inpaint(UNet(SMALL), **(good | changed)), message)


BAD_STEPS = {
    "none": (0, ValueError, "steps must be at least 1, got 0"),
    "negative": (-3, ValueError, "steps must be at least 1, got -3"),
    "more than T": (11, ValueError, "steps must be at most T = 10, got 11"),
    "float": (5.0, TypeError, "steps must be an integer, got 5.0"),
    "NaN": (math.nan, TypeError, "steps must be an integer, got nan"),
    "bool": (True, TypeError, "steps must be an integer, got True"),
    "text": ("5", TypeError, "steps must be an integer, got '5'"),
    "list": ([5] * 99, TypeError, "steps must be an integer, got a list"),
}


@pytest.mark.parametrize("case", BAD_STEPS)
def test_steps(case):
    steps, error, message = BAD_STEPS[case]
    refuses(error, lambda: respaced(zeros, SCHEDULE, steps), message)
    refuses(error, lambda: ddim_sample(zeros, X.shape, SCHEDULE, steps=steps), message)
    refuses(error, lambda: next(ddim_steps(zeros, X, SCHEDULE, steps=steps)), message)
    refuses(error, lambda: flow_sample(zeros, X.shape, SCHEDULE, steps=steps), message)
    refuses(error, lambda: invert(zeros, X, SCHEDULE, steps=steps), message)
    if case != "more than T":
        refuses(error, lambda: langevin(lambda x: -x, X, step_size=0.1, steps=steps), message)


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan, math.inf, -math.inf])
def test_eta(eta):
    message = f"eta must lie in [0, 1], got {eta}"
    refuses(ValueError, lambda: ddim_step(X, 2, X, X, SCHEDULE, eta=eta), message)
    refuses(ValueError, lambda: ddim_sample(zeros, X.shape, SCHEDULE, steps=5, eta=eta), message)


@pytest.mark.parametrize("solver", [None, "heun", 2])
def test_solver(solver):
    message = f"solver must be a function such as dpm_solver, got {solver!r}"
    refuses(TypeError, lambda: flow_sample(zeros, X.shape, SCHEDULE, solver=solver), message)


def test_repeats():
    for value, error, message in (
        (0, ValueError, "at least 1, got 0"),
        (1.5, TypeError, "an integer, got 1.5"),
    ):
        call = lambda value=value: invert(zeros, X, SCHEDULE, steps=5, repeats=value)  # noqa: E731
        refuses(error, call, f"repeats must be {message}")


# scores


@pytest.mark.parametrize("use", [MIXTURE.score, MIXTURE.log_density])
def test_points_of_a_mixture(use):
    for shape in ((3, 1), (3, 3), (2,), (3, 2, 2)):
        refuses(
            ValueError,
            lambda shape=shape: use(torch.zeros(shape), 1, SCHEDULE),
            "x must have shape (n, 2)",
            f"got {shape}",
        )
    refuses(
        TypeError,
        lambda: use(torch.ones(3, 2, dtype=torch.int64), 1, SCHEDULE),
        "floating point",
        "torch.int64",
    )


@pytest.mark.parametrize("use", [score_from_noise, noise_from_score])
def test_noise_and_score_are_floating_point(use):
    refuses(
        TypeError,
        lambda: use(torch.ones(3, 2, dtype=torch.int64), 1, SCHEDULE),
        "floating point",
        "torch.int64",
    )


@pytest.mark.parametrize("step_size", [0.0, -0.1, math.nan, math.inf])
def test_step_size(step_size):
    wanted = "finite" if step_size == math.inf else "positive"
    message = f"step_size must be {wanted}, got {step_size}"
    refuses(ValueError, lambda: langevin(lambda x: -x, X, step_size=step_size, steps=1), message)


@pytest.mark.parametrize(
    ("error", "change", "got"),
    [(ValueError, lambda x: x[:, :1], "(3, 1)"), (TypeError, torch.Tensor.double, "torch.float64")],
)
def test_a_score_is_like_its_points(error, change, got):
    refuses(
        error,
        lambda: langevin(change, torch.ones(3, 2), step_size=0.1, steps=1),
        "score must have",
        f"got {got}",
    )


@pytest.mark.parametrize(
    ("means", "variance", "weights", "fragments"),
    [
        ((2,), 1.0, [1.0, 1.0], ["shapes (k, d) and (k,)", "got (2,) and (2,)"]),
        ((2, 3), 1.0, [1.0], ["shapes (k, d) and (k,)", "got (2, 3) and (1,)"]),
        ((2, 3), 1.0, [[1.0], [1.0]], ["shapes (k, d) and (k,)", "got (2, 3) and (2, 1)"]),
        ((2, 3), 0.0, [1.0, 1.0], ["must be positive", "got 0.0"]),
        ((2, 3), math.nan, [1.0, 1.0], ["must be positive", "got nan"]),
        ((2, 3), math.inf, [1.0, 1.0], ["variance must be finite, got inf"]),
        ((2, 3), 1.0, [1.0, 0.0], ["each of the weights must be positive, got 0.0"]),
        ((2, 3), 1.0, [1.0, math.nan], ["each of the weights must be positive, got nan"]),
        ((2, 3), 1.0, [1.0, math.inf], ["each of the weights must be finite, got inf"]),
    ],
)
def test_mixtures(means, variance, weights, fragments):
    refuses(
        ValueError,
        lambda: GaussianMixture(torch.zeros(means), variance, torch.tensor(weights)),
        *fragments,
    )


def test_a_number_of_draws():
    refuses(ValueError, lambda: MIXTURE.sample(0), "n must be at least 1, got 0")
    refuses(TypeError, lambda: MIXTURE.sample(2.0), "n must be an integer, got 2.0")


# labels

BAD_LABELS = {
    "above": (
        torch.tensor([0, 4]),
        ValueError,
        "label must lie in 0..2, or 3 for no label, got 4",
    ),
    "below": (
        torch.tensor([-1, 2]),
        ValueError,
        "label must lie in 0..2, or 3 for no label, got -1",
    ),
    "one too many": (
        torch.tensor([0, 1, 2]),
        ValueError,
        "label must have shape (2,), one for each image, got (3,)",
    ),
    "one for two": (
        torch.tensor([1]),
        ValueError,
        "label must have shape (2,), one for each image, got (1,)",
    ),
    "column": (
        torch.tensor([[1], [2]]),
        ValueError,
        "label must have shape (2,), one for each image, got (2, 1)",
    ),
    "float": (
        torch.tensor([1.0, 2.0]),
        TypeError,
        "label must be an int64 tensor, got torch.float32",
    ),
    "int32": (
        torch.tensor([1, 2], dtype=torch.int32),
        TypeError,
        "label must be an int64 tensor, got torch.int32",
    ),
    "bool": (
        torch.tensor([True, False]),
        TypeError,
        "label must be an int64 tensor, got torch.bool",
    ),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels(case):
    label, error, message = BAD_LABELS[case]
    network, x_t, t = UNet(LABELLED), torch.zeros(2, 1, 4, 4), torch.tensor([1, 2])
    refuses(error, lambda: network(x_t, t, label), message)


GUIDED_LABELS = {
    "none, but asked for": (3, ValueError, "label must lie in 0..2, got 3"),
    "above": (4, ValueError, "label must lie in 0..2, got 4"),
    "below": (-1, ValueError, "label must lie in 0..2, got -1"),
    "one of the tensor": (torch.tensor([0, 3]), ValueError, "label must lie in 0..2, got 3"),
    "column": (torch.tensor([[1], [2]]), ValueError, "have shape (b,), got (2, 1)"),
    "bool": (True, TypeError, "label must be an int or an int64 tensor, got a bool"),
    "float": (1.0, TypeError, "label must be an int or an int64 tensor, got a float"),
    "int32": (torch.tensor([1, 2], dtype=torch.int32), TypeError, "got a torch.int32 tensor"),
    "nothing": (None, TypeError, "label must be an int or an int64 tensor, got None"),
}


@pytest.mark.parametrize("case", GUIDED_LABELS)
def test_labels_that_are_asked_for(case):
    label, error, message = GUIDED_LABELS[case]
    refuses(error, lambda: guided(UNet(LABELLED), label), message)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("network", [UNet(LABELLED), lambda x_t, t, label: x_t])
def test_another_number_of_labels_than_images(network, scale):
    model = guided(network, torch.tensor([0, 1, 2]), scale)
    message = "label must have shape (2,), one for each image, got (3,)"
    refuses(ValueError, lambda: sample(model, (2, 1, 4, 4), SCHEDULE), message)


def test_a_label_that_is_no_tensor_in_the_network():
    t = torch.ones(2, dtype=torch.int64)
    refuses(TypeError, lambda: UNet(LABELLED)(X[:2], t, 1), "label must be an int64 tensor, got 1")


def test_labels_for_a_network_without_classes():
    message, network = "this network has no classes, so it takes no label", UNet(SMALL)
    refuses(
        ValueError,
        lambda: network(X, torch.ones(3, dtype=torch.int64), torch.tensor([0, 1, 2])),
        message,
    )
    refuses(ValueError, lambda: guided(network, 0), message)
    refuses(ValueError, lambda: guided(respaced(network, SCHEDULE, 3)[0], 0), message)


@pytest.mark.parametrize("scale", [-0.1, math.nan, math.inf, -math.inf])
def test_scale(scale):
    message = f"scale must be finite and at least 0, got {scale}"
    refuses(ValueError, lambda: guided(UNet(LABELLED), 0, scale), message)


@pytest.mark.parametrize(
    ("labels", "classes", "error", "message"),
    [
        ([0, 1], 3, TypeError, "got a list: use torch.as_tensor(labels).long()"),
        (torch.tensor([0.0, 1.0]), 3, TypeError, "must be an int64 tensor, got torch.float32"),
        (torch.tensor([[0, 1]]), 3, ValueError, "labels must have shape (1,), one for each image"),
        (torch.tensor([0, 3]), 3, ValueError, "labels must lie in 0..2, got 3"),
        (torch.tensor([0, -1]), 3, ValueError, "labels must lie in 0..2, got -1"),
        (torch.tensor([0, 1]), 0, ValueError, "classes must be at least 1, got 0"),
        (torch.tensor([0, 1]), 2.0, TypeError, "classes must be an integer, got 2.0"),
    ],
)
def test_labels_that_cannot_be_dropped(labels, classes, error, message):
    refuses(error, lambda: drop_labels(labels, classes, 0.5), message)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_share_of_dropped_labels(share):
    message, labels = f"share must lie in [0, 1], got {share}", torch.tensor([0, 1, 2])
    refuses(ValueError, lambda: drop_labels(labels, 3, share), message)
    run = train(UNet(LABELLED), X, SCHEDULE, steps=1, labels=labels, dropped=share)
    refuses(ValueError, lambda: next(run), f"dropped must lie in [0, 1], got {share}")


# the network


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ((30, 30), "30x30"),
        ((28, 30), "28x30"),
        ((2, 4), "2x4"),
        ((29, 28), "29x28"),
        ((0, 4), "0x4"),
    ],
)
def test_sides_that_the_levels_cannot_halve(sides, said):
    x_t = torch.zeros(2, 1, *sides)
    message = f"image sides must be multiples of 4 to be halved 2 times, got {said}"
    refuses(ValueError, lambda: UNet(SMALL)(x_t, torch.ones(2, dtype=torch.int64)), message)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 8, 8), (8, 8), (2, 1, 8, 8, 8)])
def test_images_of_another_shape_than_the_network_takes(shape):
    t = torch.ones(2, dtype=torch.int64)
    message = f"images must have shape (b, 1, height, width), got {shape}"
    refuses(ValueError, lambda: UNet(SMALL)(torch.zeros(shape), t), message)


@pytest.mark.parametrize(
    ("t", "error", "fragments"),
    [
        (torch.ones(3, dtype=torch.int64), ValueError, ["t must have shape (2,)", "got (3,)"]),
        (torch.ones(1, dtype=torch.int64), ValueError, ["t must have shape (2,)", "got (1,)"]),
        (torch.ones((), dtype=torch.int64), ValueError, ["t must have shape (2,)", "got ()"]),
        (torch.ones(2, 1, dtype=torch.int64), ValueError, ["t must have shape (2,)", "got (2, 1)"]),
        (torch.ones(2), TypeError, ["t must be an int64 tensor", "torch.float32"]),
        (torch.ones(2, dtype=torch.int32), TypeError, ["t must be an int64 tensor", "torch.int32"]),
        (1, TypeError, ["t must be an int64 tensor", "got 1"]),
    ],
)
def test_times_that_the_network_cannot_take(t, error, fragments):
    refuses(error, lambda: UNet(SMALL)(torch.zeros(2, 1, 8, 8), t), *fragments)


@pytest.mark.parametrize("dim", [0, -2, 1, 7])
def test_embedding_sizes(dim):
    refuses(
        ValueError,
        lambda: timestep_embedding(torch.ones(2), dim),
        "dim must be even and positive",
        f"got {dim}",
    )
    refuses(
        ValueError,
        lambda: UNetConfig(time_dim=dim),
        "time_dim must be even and positive",
        f"got {dim}",
    )


def test_times_of_the_embedding_in_another_shape():
    refuses(
        ValueError,
        lambda: timestep_embedding(torch.ones(2, 1), 4),
        "t must have shape (b,)",
        "got (2, 1)",
    )


@pytest.mark.parametrize(
    ("settings", "fragments"),
    [
        (
            {"channels": (8, 12)},
            ["each width in channels must be a multiple of groups=8, got 12"],
        ),
        ({"channels": ()}, ["channels must have at least one width, got ()"]),
        ({"channels": (0, 8)}, ["each width in channels must be at least 1, got 0"]),
        ({"channels": (-8,)}, ["each width in channels must be at least 1, got -8"]),
        ({"groups": 0}, ["groups must be at least 1, got 0"]),
        ({"blocks": 0}, ["blocks must be at least 1", "got 0"]),
        ({"image_channels": 0}, ["image_channels", "must be at least 1", "got 0"]),
        ({"classes": -1}, ["classes must be at least 0", "got -1"]),
        ({"patch": 0}, ["patch must be at least 1, got 0"]),
    ],
)
def test_configurations(settings, fragments):
    refuses(ValueError, lambda: UNetConfig(**settings), *fragments)


def test_a_residual_that_is_neither_true_nor_false():
    for residual in (1, None, "yes"):
        message = f"residual must be True or False, got {residual!r}"
        refuses(TypeError, lambda: UNetConfig(residual=residual), message)  # noqa: B023
    refuses(TypeError, lambda: UNetConfig(patch=2.0), "patch must be an integer, got 2.0")


def test_sides_that_do_not_divide_into_patches():
    network = UNet(UNetConfig(channels=(8, 16), groups=4, patch=3))
    message = "image sides must be multiples of 6 to be halved 1 times in patches of 3x3, got 9x12"
    t = torch.ones(1, dtype=torch.int64)
    refuses(ValueError, lambda: network(torch.zeros(1, 1, 9, 12), t), message)


# training


@pytest.mark.parametrize("decay", [1.0, -0.1, 2.0, math.nan])
def test_decay(decay):
    refuses(
        ValueError,
        lambda: EMA(torch.nn.Linear(1, 1), decay),
        "decay must lie in [0, 1)",
        f"got {decay}",
    )


@pytest.mark.parametrize(
    ("settings", "error", "fragments"),
    [
        ({"steps": 0}, ValueError, ["steps must be at least 1, got 0"]),
        ({"steps": 2.5}, TypeError, ["steps must be an integer, got 2.5"]),
        ({"batch_size": 0}, ValueError, ["batch_size must be at least 1, got 0"]),
        ({"learning_rate": 0.0}, ValueError, ["learning_rate must be positive", "got 0.0"]),
        ({"learning_rate": math.nan}, ValueError, ["learning_rate must be positive", "got nan"]),
        ({"learning_rate": math.inf}, ValueError, ["learning_rate must be finite, got inf"]),
        ({"ema_decay": 1.0}, ValueError, ["ema_decay must lie in [0, 1), got 1.0"]),
        ({"images": X[:0]}, ValueError, ["images must have shape (b, *dims)", "(0, 1, 4, 4)"]),
        ({"images": X[0, 0, 0, 0]}, ValueError, ["images must have shape (b, *dims)", "got ()"]),
        ({"batch_size": 4}, ValueError, ["batch_size must be at most the 3 images, got 4"]),
        ({"resume": {}}, ValueError, ["resume", "step"]),
        ({"resume": {"step": torch.tensor(2)}}, ValueError, ["steps must be at least 2", "got 1"]),
    ],
)
def test_settings_of_a_run(settings, error, fragments):
    settings = {"images": X, "steps": 1} | settings
    refuses(
        error,
        lambda: next(train(UNet(SMALL), settings.pop("images"), SCHEDULE, **settings)),
        *fragments,
    )


@pytest.mark.parametrize(
    ("config", "labels", "error", "fragments"),
    [
        (LABELLED, [0, 1], ValueError, ["labels must have shape (3,), one for each image", "(2,)"]),
        (SMALL, [0, 1, 2], ValueError, ["this network has no classes, so it takes no labels"]),
        (LABELLED, [0, 1, 3], ValueError, ["labels must lie in 0..2, got 3"]),
        (LABELLED, [0, 1, 7], ValueError, ["labels must lie in 0..2, got 7"]),
        (LABELLED, [0.0, 1.0, 2.0], TypeError, ["must be an int64 tensor", "torch.float32"]),
        (LABELLED, [[0], [1], [2]], ValueError, ["must have shape (3,)", "got (3, 1)"]),
    ],
)
def test_labels_of_a_run(config, labels, error, fragments):
    run = train(UNet(config), X, SCHEDULE, steps=1, labels=torch.tensor(labels), dropped=0.0)
    refuses(error, lambda: next(run), *fragments)


def test_the_state_of_another_model():
    *_, state = train(UNet(SMALL), X, SCHEDULE, steps=1)
    other = UNet(UNetConfig(channels=(8,)))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    refuses(
        ValueError,
        lambda: next(train(other, X, SCHEDULE, steps=2, resume=state.tensors())),
        "resume must be the training state of this model",
        "has shape",
    )
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_a_batch_of_bytes_in_a_training_step():
    model = UNet(SMALL)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    message = "images must be floating point, got torch.uint8"
    refuses(TypeError, lambda: train_step(model, X.byte(), optimizer, SCHEDULE), message)


# what Python and PyTorch would say in words of their own

FUNCTION = lambda x_t, t: x_t  # noqa: E731
NOT_NUMBERS = ["1", [0.5], None, True, 1j, np.array([0.5]), torch.ones(2)]
TAKE_NUMBERS = {
    "eta": [
        lambda value: ddim_step(X, 2, X, X, SCHEDULE, eta=value),
        lambda value: ddim_sample(zeros, X.shape, SCHEDULE, eta=value),
    ],
    "scale": [lambda value: guided(UNet(LABELLED), 0, value)],
    "most": [lambda value: velocity_weight(SCHEDULE.alpha_bar, value)],
    "share": [lambda value: drop_labels(torch.tensor([0]), 3, value)],
    "step_size": [lambda value: langevin(lambda x: -x, X, step_size=value, steps=1)],
    "variance": [lambda value: GaussianMixture(torch.zeros(2, 2), value, torch.ones(2))],
    "beta_start": [lambda value: linear_schedule(10, beta_start=value)],
    "beta_end": [lambda value: linear_schedule(10, beta_end=value)],
    "s": [lambda value: cosine_schedule(10, s=value)],
    "max_beta": [lambda value: cosine_schedule(10, max_beta=value)],
    "max_period": [lambda value: timestep_embedding(torch.ones(2), 4, value)],
    "learning_rate": [lambda value: next(a_run(learning_rate=value))],
    "ema_decay": [lambda value: next(a_run(ema_decay=value))],
    "dropped": [lambda value: next(a_run(dropped=value))],
}


def a_run(model=None, images=X, **settings):
    return train(model or UNet(SMALL), images, SCHEDULE, **{"steps": 1} | settings)


def test_a_run_wants_a_schedule_whatever_its_loss():
    def size_of_the_answer(model, x_0, schedule, *, generator):
        return model(x_0, torch.ones(len(x_0), dtype=torch.int64)).square().mean()

    run = train(UNet(SMALL), X, SCHEDULE.T, steps=1, loss=size_of_the_answer)
    refuses(TypeError, lambda: next(run), "schedule must be a Schedule, got an int")


@pytest.mark.parametrize("name", TAKE_NUMBERS)
@pytest.mark.parametrize("value", NOT_NUMBERS, ids=[type(value).__name__ for value in NOT_NUMBERS])
def test_what_is_no_number(name, value):
    for call in TAKE_NUMBERS[name]:
        refuses(TypeError, lambda call=call: call(value), f"{name} must be a number, got ")


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5)])
def test_numbers_of_numpy_and_torch_are_numbers(value):
    one = ddim_step(X, 2, X, X, SCHEDULE, eta=value, generator=torch.Generator())
    other = ddim_step(X, 2, X, X, SCHEDULE, eta=0.5, generator=torch.Generator())
    assert torch.equal(one, other)
    next(a_run(ema_decay=value, learning_rate=value, dropped=value))


INTEGERS = {
    "UNetConfig": (UNetConfig, ["image_channels", "blocks", "time_dim", "groups", "classes"]),
    "train": (lambda **setting: next(a_run(**setting)), ["steps", "batch_size", "seed", "classes"]),
}


@pytest.mark.parametrize(
    ("where", "name"), [(where, name) for where, (_, names) in INTEGERS.items() for name in names]
)
@pytest.mark.parametrize("value", ["8", 2.5, 8.0, True, [8]])
def test_what_is_no_integer(where, name, value):
    refuses(TypeError, lambda: INTEGERS[where][0](**{name: value}), f"{name} must be an integer")


def test_widths_that_are_none():
    for channels, got in ((16, "got 16"), ("16", "got '16'"), (None, "got None")):
        message = "channels must be a sequence of widths, such as (16, 48, 96)"
        refuses(TypeError, lambda: UNetConfig(channels=channels), message, got)  # noqa: B023
    message = "each width in channels must be an integer, got "
    refuses(TypeError, lambda: UNetConfig(channels=(8, 8.5)), message + "8.5")
    refuses(TypeError, lambda: UNetConfig(channels=["8"]), message + "'8'")
    assert UNetConfig(channels=np.array([8, 16])).channels == (8, 16)


@pytest.mark.parametrize("config", [16, None, {"channels": (8,)}, (8, 16)])
def test_a_unet_of_something_else_than_a_config(config):
    refuses(TypeError, lambda: UNet(config), "config must be a UNetConfig, got ", "UNetConfig(...)")


@pytest.mark.parametrize("seed", [2**43, -(2**43), 10**30])
def test_a_seed_that_torch_cannot_hold(seed):
    refuses(
        ValueError, lambda: next(a_run(seed=seed)), f"below 2**43 in absolute value, got {seed}"
    )
    next(a_run(seed=(2**43 - 1) * (1 if seed > 0 else -1)))


TAKE_GENERATORS = {
    "forward_step": lambda g: forward_step(X, 1, SCHEDULE, generator=g),
    "forward_diffusion": lambda g: forward_diffusion(X, 1, SCHEDULE, generator=g),
    "reverse_step": lambda g: reverse_step(X, 1, X, SCHEDULE, generator=g),
    "simple_loss": lambda g: simple_loss(zeros, X, SCHEDULE, generator=g),
    "weighted_loss": lambda g: weighted_loss(zeros, X, SCHEDULE, generator=g),
    "variational_bound": lambda g: variational_bound(zeros, X, SCHEDULE, generator=g),
    "sample": lambda g: sample(zeros, X.shape, SCHEDULE, generator=g),
    "sample, start": lambda g: sample(zeros, X.shape, SCHEDULE, start=(X, 2), generator=g),
    "ddim_sample": lambda g: ddim_sample(zeros, X.shape, SCHEDULE, generator=g),
    "sample_t": lambda g: SCHEDULE.sample_t(2, generator=g),
    "drop_labels": lambda g: drop_labels(torch.tensor([0, 1]), 3, 0.5, generator=g),
    "mixture": lambda g: MIXTURE.sample(2, generator=g),
    "langevin": lambda g: langevin(lambda x: -x, X, step_size=0.1, steps=1, generator=g),
}


@pytest.mark.parametrize("function", TAKE_GENERATORS)
def test_a_seed_where_a_generator_is_wanted(function):
    message = "generator must be a torch.Generator, got "
    for seed in (0, 7):  # 0 counts as false, and must not count as none
        advice = f"{seed}: use torch.Generator().manual_seed({seed})"
        refuses(TypeError, lambda seed=seed: TAKE_GENERATORS[function](seed), message + advice)
    for other in ("0", np.random.default_rng(0)):
        refuses(TypeError, lambda other=other: TAKE_GENERATORS[function](other), message)


TAKE_DEVICES = {
    "sample": lambda device: sample(zeros, X.shape, SCHEDULE, device=device),
    "sample_steps": lambda device: next(sample_steps(zeros, X.shape, SCHEDULE, device=device)),
    "ddim_sample": lambda device: ddim_sample(zeros, X.shape, SCHEDULE, device=device),
    "sample_t": lambda device: SCHEDULE.sample_t(2, device=device),
}


@pytest.mark.parametrize("function", TAKE_DEVICES)
def test_devices(function):
    message = "device must be a torch.device or a name such as 'cpu' or 'cuda', got "
    for device in ("gpu", "", "cuda:99", torch.device("xpu", 99)):
        refuses(ValueError, lambda device=device: TAKE_DEVICES[function](device), message)
    for device in (1.5, ["cpu"], True):
        refuses(TypeError, lambda device=device: TAKE_DEVICES[function](device), message)


@pytest.mark.parametrize("variance", ["beta", 0.1, SCHEDULE.beta])
def test_a_variance_that_is_no_function(variance):
    message = "variance must be a function such as beta_variance, got "
    options = {"variance": variance}
    for call in (
        lambda: reverse_step(X, 2, X, SCHEDULE, **options),
        lambda: sample(zeros, X.shape, SCHEDULE, **options),
        lambda: list(sample_steps(zeros, X.shape, SCHEDULE, **options)),
        lambda: variational_bound(zeros, X, SCHEDULE, **options),
    ):
        refuses(TypeError, call, message)


def test_a_score_or_a_model_that_cannot_be_called():
    message = "score must be a function such as mixture.score, got "
    refuses(TypeError, lambda: langevin(X, X, step_size=0.1, steps=1), message)
    for model in (None, "unet", X):
        message = "model must be a network or a function of x_t and t, got "
        for name, call in TAKE_MODELS.items():
            refuses(TypeError, lambda: call(model), message), name  # noqa: B023


TAKE_MODELS = {name: call for name, call in TAKE_PREDICTION.items() if name != "guided"}


class Weightless(torch.nn.Module):
    def forward(self, x_t, t):
        return x_t


def test_models_that_cannot_be_trained():
    message = "model must be an nn.Module to be trained, got a function"
    refuses(TypeError, lambda: next(a_run(FUNCTION)), message)
    refuses(TypeError, lambda: EMA(FUNCTION), "model must be an nn.Module, got a function")
    frozen = UNet(SMALL).requires_grad_(False)
    for model in (Weightless(), frozen):
        message = "model must have weights that require gradients, got none"
        refuses(ValueError, lambda model=model: next(a_run(model)), message)
        optimizer = torch.optim.SGD(UNet(SMALL).parameters(), lr=0.1)
        message = "loss must depend on the model's weights, got one without a gradient"
        call = lambda: train_step(model, X, optimizer, SCHEDULE)  # noqa: B023, E731
        refuses(ValueError, call, message)


@pytest.mark.parametrize(
    ("answer", "error", "got"),
    [
        (lambda loss: None, TypeError, "got None"),
        (lambda loss: 0 * loss.item(), TypeError, "got 0.0"),
        (lambda loss: [loss], TypeError, "got a list"),
        (lambda loss: loss.expand(3), ValueError, "got one of shape (3,): take its mean"),
        (lambda loss: loss[None], ValueError, "got one of shape (1,): take its mean"),
    ],
)
def test_a_loss_that_returns_no_scalar(answer, error, got):
    def loss(*args, **options):
        return answer(simple_loss(*args, **options))

    model = UNet(SMALL)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    message = "loss must return a scalar tensor, "
    refuses(error, lambda: next(a_run(model, loss=loss)), message + got)
    refuses(error, lambda: train_step(model, X, optimizer, SCHEDULE, loss=loss), message + got)
    refuses(TypeError, lambda: next(a_run(loss="mse")), "loss must be a function such as", "'mse'")


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ("min-snr", TypeError, "weight must be a function such as velocity_weight, got 'min-snr'"),
        (lambda share: None, TypeError, "weight must return a floating-point tensor, got None"),
        (lambda share: share > 0.5, TypeError, "a floating-point tensor, got torch.bool"),
        (lambda share: share.mean(), ValueError, "shape (3,), one for each image, got ()"),
        (lambda share: share[:2], ValueError, "shape (3,), one for each image, got (2,)"),
        (lambda share: share[:, None], ValueError, "one for each image, got (3, 1)"),
    ],
)
def test_weights_of_another_kind(weight, error, message):
    refuses(error, lambda: weighted_loss(zeros, X, SCHEDULE, weight=weight), message)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("v", TypeError, "target must be a function such as velocity_from_x0, got 'v'"),
        (lambda x_t, *_: None, TypeError, "target must be a tensor, got None"),
        (lambda x_t, *_: x_t.double(), TypeError, "target must have the images' dtype"),
        (lambda x_t, *_: x_t[:1], ValueError, "target must have the images' shape (3, 1, 4, 4)"),
    ],
)
def test_targets_of_another_kind(target, error, message):
    refuses(error, lambda: weighted_loss(zeros, X, SCHEDULE, target=target), message)


@pytest.mark.parametrize(
    ("adapted", "limits"),
    [
        (converted(zeros, noise_from_velocity, SCHEDULE), "1..10"),
        (respaced(zeros, SCHEDULE, 4)[0], "0..4"),
    ],
)
def test_times_at_which_an_adapted_network_is_called(adapted, limits):
    first, last = map(int, limits.split(".."))
    for t in (first - 1, last + 1, -last):
        times = torch.tensor([first, t, last])
        refuses(ValueError, lambda: adapted(X, times), f"t must lie in {limits}, got {t}")  # noqa: B023
    assert adapted(X, torch.tensor([first, last, last])).shape == X.shape
    message = "t must be an int or an int64 tensor, got a tensor of torch.float32"
    refuses(TypeError, lambda: adapted(X, torch.ones(3)), message)


def test_what_cannot_be_converted():
    message = "to_noise must be a function such as noise_from_velocity, got 'velocity'"
    refuses(TypeError, lambda: converted(zeros, "velocity", SCHEDULE), message)
    message = "model must be a network or a function of x_t and t, got None"
    refuses(TypeError, lambda: converted(None, noise_from_velocity, SCHEDULE), message)
    for schedule in (SCHEDULE.beta, None):
        make = lambda: converted(zeros, noise_from_velocity, schedule)  # noqa: B023, E731
        refuses(TypeError, make, "schedule must be a Schedule, got")


def test_a_gamma_that_is_not_positive():
    for gamma in (0, -1.0, math.nan):
        message = f"gamma must be positive, got {gamma}"
        refuses(ValueError, lambda: min_snr_weight(SCHEDULE.alpha_bar[1:], gamma), message)  # noqa: B023


def test_a_most_that_is_not_positive():
    for most in (0, -1, math.nan):
        message = f"most must be positive, got {most}"
        refuses(ValueError, lambda: velocity_weight(SCHEDULE.alpha_bar[1:], most), message)  # noqa: B023


def test_a_schedule_that_cannot_be_rescaled():
    message = "schedule must have T at least 2, got 1"
    refuses(ValueError, lambda: zero_terminal_snr(linear_schedule(1)), message)
    refuses(TypeError, lambda: zero_terminal_snr([0.1, 0.2]), "schedule must be a Schedule")


NOISE_ALONE = zero_terminal_snr(SCHEDULE)
AT_T = {
    "x0_from_noise": lambda: x0_from_noise(X, 10, X, NOISE_ALONE),
    "one of several": lambda: x0_from_noise(X, torch.tensor([1, 10, 5]), X, NOISE_ALONE),
    "velocity_from_noise": lambda: velocity_from_noise(X, 10, X, NOISE_ALONE),
    "flow_from_noise": lambda: flow_from_noise(X, 10, X, NOISE_ALONE),
    "sample": lambda: sample(zeros, X.shape, NOISE_ALONE),
    "respaced": lambda: sample(*around(X.shape, respaced(zeros, NOISE_ALONE, 10))),
    "ddim_sample": lambda: ddim_sample(zeros, X.shape, NOISE_ALONE),
    "flow_sample": lambda: flow_sample(zeros, X.shape, NOISE_ALONE),
    "variational_bound": lambda: variational_bound(zeros, X, NOISE_ALONE),
}


def around(shape, pair):
    model, schedule = pair
    return model, shape, schedule


@pytest.mark.parametrize("function", AT_T)
def test_an_image_where_only_noise_is_left(function):
    message = "alpha_bar must be above 0 for x_0 to follow from the noise, got 0 at t = 10: there,"
    refuses(ValueError, AT_T[function], message, "predict x_0 or the velocity")


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda x: None, TypeError, "augment must return a floating-point tensor, got None"),
        (lambda x: x.byte(), TypeError, "floating-point tensor, got a torch.uint8 tensor"),
        (lambda x: x[:1], ValueError, "augment must return as many images as it gets, 3, got"),
    ],
)
def test_an_augment_that_returns_no_batch(answer, error, message):
    refuses(error, lambda: next(a_run(augment=lambda x, generator: answer(x))), message)


@pytest.mark.parametrize("resume", ["run.safetensors", [torch.tensor(1)], 1])
def test_a_state_that_is_none(resume):
    refuses(TypeError, lambda: next(a_run(resume=resume)), "resume must be what state.tensors()")


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (np.array([0, 1, 2]), "a NumPy array of int64"),
        ([0, 1, 2], "a list"),
        ((0, 1, 2), "a tuple"),
    ],
)
def test_labels_that_are_no_tensor(labels, got):
    message = f"labels must be an int64 tensor, got {got}: use torch.as_tensor(labels).long()"
    refuses(TypeError, lambda: next(a_run(UNet(LABELLED), labels=labels)), message)


def test_classes_of_a_run():
    labels = torch.tensor([0, 1, 2])
    for classes in (2, 4):
        message = f"classes must be 3, as in the network's config, got {classes}"
        run = a_run(UNet(LABELLED), labels=labels, classes=classes)
        refuses(ValueError, lambda run=run: next(run), message)
    refuses(ValueError, lambda: next(a_run(classes=0)), "classes must be at least 1, got 0")
    own = torch.nn.Conv2d(1, 1, 1)  # a network without a config
    run = a_run(own, labels=labels, classes=2)
    refuses(ValueError, lambda: next(run), "labels must lie in 0..1, got 2")
    run = a_run(own, labels=labels - 1)
    refuses(ValueError, lambda: next(run), "labels must be at least 0, got -1")


@pytest.mark.parametrize("t", [torch.tensor([5, 5, 5]), torch.tensor([5])])
def test_a_start_at_several_times(t):
    message = f"t must be one int for all images, got one of shape ({len(t)},)"
    refuses(ValueError, lambda: SCHEDULE.until(t), message)
    for function in (sample, ddim_sample):
        call = lambda: function(zeros, X.shape, SCHEDULE, start=(X, t))  # noqa: B023, E731
        refuses(ValueError, call, message)


def own_network(dtype=torch.float32):
    """A network that does not look at its input before PyTorch does."""
    layer = torch.nn.Conv2d(1, 1, 1, dtype=dtype)

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x_t, t):
            return self.layer(x_t)

    return Own()


@pytest.mark.parametrize("network", [UNet(SMALL), own_network()], ids=["UNet", "own"])
def test_images_of_another_dtype_than_the_weights(network):
    message = "must have the network's dtype torch.float32, got torch.float64"
    x = X.double()
    for name, call in {
        "start's x_t": lambda: sample(network, X.shape, SCHEDULE, start=(x, 3)),
        "images": lambda: invert(network, x, SCHEDULE),
    }.items():
        refuses(TypeError, call, f"{name} {message}")
    refuses(TypeError, lambda: next(ddim_steps(network, x, SCHEDULE)), message)
    refuses(TypeError, lambda: variational_bound(network, x, SCHEDULE), message)
    with torch.autocast("cpu", torch.bfloat16):  # which leaves float64 alone
        for call in (
            lambda: sample(network, X.shape, SCHEDULE, start=(x, 3)),
            lambda: ddim_sample(network, X.shape, SCHEDULE, start=(x, 3)),
            lambda: variational_bound(network, x, SCHEDULE),
        ):
            refuses(TypeError, call, message)
        sample(network, X.shape, SCHEDULE, start=(X.bfloat16(), 3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_betas_of_any_precision(dtype):
    betas = torch.tensor([0.125, 0.25], dtype=dtype)  # exact in each of them
    assert torch.equal(Schedule.from_betas(betas).beta, doubles(0, 0.125, 0.25))


@pytest.mark.parametrize(
    ("betas", "got"),
    [
        ("linear", "'linear'"),
        (None, "None"),
        (["0.1"], "a list"),
        ([0.1, None], "a list"),
        ([[0.1], [0.1, 0.2]], "a list"),
        (np.array([0.1j]), "a NumPy array of complex128"),
        (torch.tensor([0.1j]), "a torch.complex64 tensor"),
        (np.array([True]), "a NumPy array of bool"),
    ],
)
def test_betas_that_are_no_numbers(betas, got):
    message = f"betas must be a list, array or tensor of numbers, got {got}"
    refuses(TypeError, lambda: Schedule.from_betas(betas), message)


@pytest.mark.parametrize("beta", [[0.0, 0.1], np.array([0.0, 0.1]), None])
def test_a_schedule_of_no_tensors(beta):
    refuses(TypeError, lambda: Schedule(beta, beta), "beta must be a float64 tensor", "from_betas")


def test_no_signal_is_only_said_of_none():
    few = [0.9] * 308  # alpha_bar = 1e-308, which float64 holds with few digits
    refuses(ValueError, lambda: Schedule.from_betas(few), "falls to 1e-308 at t = 308 of 308")
    refuses(ValueError, lambda: Schedule.from_betas([1 - 1e-16] * 30), "falls to", "of 30")
    assert Schedule.from_betas(few[:-1]).T == 307


def test_long_values_are_not_written_out():
    long = list(range(1000))
    for call in (
        lambda: linear_schedule(long),
        lambda: SCHEDULE.sample_t(torch.arange(1000.0)),
        lambda: sample(zeros, torch.arange(1000), SCHEDULE),
        lambda: UNet(LABELLED)(X, torch.ones(3, dtype=torch.int64), long),
        lambda: UNet(LABELLED)(
            torch.zeros(1000, 1, 4, 4), torch.tensor([1] * 1000), torch.full((1000,), 7)
        ),
        lambda: next(a_run(labels=long)),
        lambda: GaussianMixture(torch.zeros(1000, 2), 1.0, torch.zeros(1000)),
        lambda: UNetConfig(channels=[7] * 1000),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert len(str(caught.value)) < 150


# what is no tensor, or a schedule

NOT_IMAGES = {
    "a NumPy array": (np.zeros((3, 1, 4, 4), np.float32), "torch.from_numpy"),
    "a list": ([torch.zeros(1, 4, 4)] * 3, "torch.stack"),
    "a TensorDataset": (torch.utils.data.TensorDataset(X), "torch.stack"),
    "a DataLoader": (torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X)), "torch.stack"),
    "None": (None, ""),
    "a float": (0.5, ""),
}
TAKE_TENSORS = {name: call for name, call in TAKE_IMAGES.items() if name != "langevin"} | {
    "UNet": lambda x: UNet(SMALL)(x, torch.ones(3, dtype=torch.int64)),
    "start": lambda x: sample(zeros, X.shape, SCHEDULE, start=(x, 3)),
    "ddim_steps": lambda x: next(ddim_steps(zeros, x, SCHEDULE, steps=2)),
}


@pytest.mark.parametrize("function", TAKE_TENSORS)
@pytest.mark.parametrize("kind", NOT_IMAGES)
def test_images_that_are_no_tensor(function, kind):
    images, advice = NOT_IMAGES[kind]
    refuses(
        TypeError, lambda: TAKE_TENSORS[function](images), "must be a tensor, got", kind, advice
    )


@pytest.mark.parametrize("function", [*TAKE_T, "train", "sample_t"])
@pytest.mark.parametrize("schedule", [SCHEDULE.beta[1:], [0.1, 0.2], None, np.array([0.1])])
def test_betas_where_a_schedule_is_wanted(function, schedule, monkeypatch):
    monkeypatch.setitem(globals(), "SCHEDULE", schedule)
    call = TAKE_T.get(function, lambda t: next(train(UNet(SMALL), X, SCHEDULE, steps=1)))
    if function == "sample_t":
        call = lambda t: simple_loss(zeros, X, SCHEDULE)  # noqa: E731
    refuses(TypeError, lambda: call(1), "schedule must be a Schedule, got", "Schedule.from_betas")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_images_of_another_precision_than_the_network(dtype):
    message = f"images must have the network's dtype torch.float32, got {dtype}"
    t = torch.ones(3, dtype=torch.int64)
    refuses(TypeError, lambda: UNet(SMALL)(X.to(dtype), t), message)


@pytest.mark.parametrize("t", [np.array([1, 2, 3]), np.array([1, 2, 3], np.int32)])
def test_t_as_an_array(t):
    for function, call in TAKE_T.items():
        refuses(TypeError, lambda call=call: call(t), "NumPy array", "torch.from_numpy"), function


def test_another_start():
    for start, error, message in (
        (
            (X[:2], 3),
            ValueError,
            "start's x_t must have image_shape (3, 1, 4, 4), got (2, 1, 4, 4)",
        ),
        ((X, 11), ValueError, "t must lie in 1..10, got 11"),
        ((X, 0), ValueError, "t must lie in 1..10, got 0"),
        ((X, 2.0), TypeError, "t must be an int"),
        (X, ValueError, "start must be (x_t, t)"),
    ):
        for function in (sample, ddim_sample):
            call = lambda: function(zeros, X.shape, SCHEDULE, start=start)  # noqa: B023, E731
            refuses(error, call, message)
