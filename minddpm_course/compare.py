"""Follow an assembled package beside the library, and say where it first differs."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import minddpm
from marking.diagnosis import expected, problem_of
from marking.exercise import Case, Exercise, Inputs, function_of, lesson_of
from marking.outcome import copied, error_with_line, in_the_form_of, outcome_of
from minddpm_course.answers import as_tensor
from minddpm_course.bank import BANK
from minddpm_course.joins import ROOMS

# what draws or learns cannot be called twice, so it is compared on inputs of its own
ON_ITS_OWN = {
    "06.sample": "in sampling",
    "07.train_step": "in training",
    "07.training_loop": "in training",
}


@dataclass(frozen=True)
class Departure:
    """The first call of a function that gave another result than the right one.

    Args:
        question: the exercise, "03.posterior_coefficients".
        where: "at t = 731", or what the package was doing.
        problem: what is wrong with the result.
    """

    question: str
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}, {function_of(self.question)}: {self.problem}"


def check_package(path: Path) -> None:
    """Raise FileNotFoundError unless there is a package in this folder."""
    if not (path / "__init__.py").is_file():
        raise FileNotFoundError(f"expected an assembled package, got {path}")


def import_package(path: Path) -> ModuleType:
    """Import a package by its folder, afresh.

    Raises: FileNotFoundError where there is no package.
    """
    check_package(path)
    path = path.resolve()
    spec = importlib.util.spec_from_file_location(path.name, path / "__init__.py")
    assert spec is not None and spec.loader is not None  # it is a file of Python
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{path.name}.")]:
        del sys.modules[name]
    package = importlib.util.module_from_spec(spec)
    sys.modules[path.name] = package
    spec.loader.exec_module(package)
    return package


class Watch:
    """Stands in for each of your functions, and compares every call with the right answer."""

    def __init__(self, package: ModuleType) -> None:
        self.where = "in the schedule"
        self.departures: dict[str, Departure] = {}
        self.left: list[tuple[Exercise, ModuleType]] = []
        for question in BANK.values():
            room = ROOMS[lesson_of(question.name)]
            name = function_of(question.name)
            try:
                yours = importlib.import_module(f"{package.__name__}.{room}.yours")
            except ModuleNotFoundError:
                continue
            if not isinstance(question, Exercise) or not hasattr(yours, name):
                continue
            if question.name in ON_ITS_OWN:
                self.left.append((question, yours))
            else:
                setattr(yours, name, self.watched(question, getattr(yours, name)))

    def judge_on_its_own(self) -> None:
        """Compare on inputs of their own the functions that cannot be called twice; a wrong one is
        replaced.
        """
        for exercise, yours in self.left:
            name = function_of(exercise.name)
            self.where = ON_ITS_OWN[exercise.name]
            self.judge(exercise, getattr(yours, name))
            if exercise.name in self.departures:
                setattr(yours, name, exercise.reference)

    def judge(self, exercise: Exercise, function: Callable[..., Any]) -> None:
        """Compare a function on inputs that are drawn for it."""
        for case in exercise.cases(Inputs(0)):
            got = outcome_of(function, [copied(arg) for arg in case.args], error_with_line)
            wanted = expected(exercise, case)
            problem = problem_of(exercise, wanted, in_the_form_of(wanted, got, exercise.tolerance))
            if problem:
                found = Departure(exercise.name, self.where, problem)
                self.departures.setdefault(exercise.name, found)

    def watched(self, exercise: Exercise, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compared with the reference at each call; a wrong result is replaced by the
        right one, so that it is not blamed on what comes after it.
        """

        def call(*args: Any) -> Any:
            if exercise.name in self.departures:
                return exercise.reference(*args)
            kept = tuple(copied(arg) for arg in args)
            results: list[Any] = []

            def once(*args: Any) -> Any:
                result = function(*args)
                results.append(list(result) if inspect.isgenerator(result) else result)
                return results[0]

            got = outcome_of(once, args, describe=error_with_line)
            # layers that are handed over have a dtype of their own
            precise = expected(exercise, Case(self.where, kept)) if exercise.formula else None
            wanted = precise or outcome_of(exercise.reference, kept)
            problem = problem_of(exercise, wanted, in_the_form_of(wanted, got, exercise.tolerance))
            if not problem and stops_gradients(args, results[0]):
                problem = "no gradient flows through its result"
            if not problem:
                return results[0]
            self.departures[exercise.name] = Departure(exercise.name, self.where, problem)
            return exercise.reference(*kept)

        return call


def stops_gradients(args: tuple[Any, ...], result: Any) -> bool:
    """Whether gradients flow into a call, and not out of it."""
    enter = torch.is_grad_enabled() and any(
        isinstance(arg, Tensor) and arg.requires_grad for arg in args
    )
    return enter and not as_tensor(result).requires_grad


def departures(package: ModuleType, *, steps: int | None = None) -> list[Departure]:
    """Use all of a package as the library's own commands do, and find each function's first wrong
    result, in the order in which they come.

    Args:
        package: an assembled package.
        steps: how many of the schedule's 1,000 times to visit, all if None.
    """
    watch = Watch(package)
    generator = torch.Generator().manual_seed(0)
    schedule = package.linear_schedule()
    _ = schedule.snr
    images = minddpm.load_mnist("test")[0][:2]
    watch.where = "before the first step"
    model = package.load_pretrained()[0]
    times = schedule.steps() if steps is None else spread(schedule.steps(), steps)
    if hasattr(package.sampler, "yours") and hasattr(package.sampler.yours, "steps"):
        package.sampler.yours.steps(schedule.T)
    x_t = torch.randn(images.shape, generator=generator)
    for t in times:
        watch.where = f"at t = {t}"
        x_t = visit(package, model, x_t, images, t, schedule, generator)
    watch.judge_on_its_own()
    few = package.Schedule.from_betas([0.1, 0.2, 0.3])
    package.sample(model, images.shape, few, generator=generator)
    watch.where = "in training"
    train_a_little(package, images, schedule)
    return list(watch.departures.values())


def spread(times: range, count: int) -> list[int]:
    """So many of the times, evenly, the first and the last among them."""
    return [times[round(k * (len(times) - 1) / (count - 1))] for k in range(count)]


def visit(
    package: Any,
    model: Any,
    x_t: Tensor,
    images: Tensor,
    t: int,
    schedule: Any,
    generator: torch.Generator,
) -> Tensor:
    """Call at t all that depends on t, and return x_{t-1}."""
    noise = torch.randn(images.shape, generator=generator)
    predicted = package.network.call_model(model, x_t, t)
    estimate = package.x0_from_noise(x_t, t, predicted, schedule)
    package.noise_from_x0(x_t, t, estimate, schedule)
    package.forward_step(images, t, schedule, noise)
    package.forward_diffusion(images, t, schedule, noise)
    posterior = package.q_posterior(estimate, x_t, t, schedule)
    if t > 1:
        other = package.Gaussian(posterior.mean + 0.1, 2 * posterior.variance)
        package.gaussian_kl(posterior, other)
    package.score_from_noise(predicted, t, schedule)
    velocity = package.velocity_from_noise(x_t, t, predicted, schedule)
    package.noise_from_velocity(x_t, t, velocity, schedule)
    package.min_snr_weight(schedule.alpha_bar[t : t + 1])
    package.ddim_step(x_t, t, estimate, predicted, schedule)
    guided = package.guided(lambda x, _t, label: x if label is None else predicted, 3, scale=2.0)
    guided(x_t, torch.full((len(x_t),), t))
    clipped = estimate.clamp(-1, 1)
    x_prev: Tensor = package.reverse_step(x_t, t, clipped, schedule, generator=generator)
    return x_prev


def train_a_little(package: Any, images: Tensor, schedule: Any) -> None:
    """Take three steps with a small network, and walk along a known score."""
    model = package.UNet(package.UNetConfig(channels=(8, 8), time_dim=8, groups=4))
    for _ in package.train(model, images, schedule, steps=3):
        pass
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            raise RuntimeError(f"no gradient reaches {name}")
    package.simple_loss(model, images, schedule, generator=torch.Generator().manual_seed(0))
    package.langevin(lambda x: -x, images, step_size=0.01, steps=2)


if __name__ == "__main__":
    path, *steps = sys.argv[1:]
    found = departures(import_package(Path(path)), steps=int(steps[0]) if steps else None)
    print(json.dumps([asdict(departure) for departure in found]))
