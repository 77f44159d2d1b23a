"""What lesson 11 rebuilds is compared with the package."""

import pytest
import torch

import minddpm
from minddpm_course.comparisons import same_as_package


def walk(average):
    """A solver that moves along some average of the velocities at both ends of a step."""

    def solver(velocity, x, times):
        for s, s_next in zip(times, times[1:]):
            here = velocity(x, s)
            there = velocity(x + (s_next - s) * here, s_next) if s_next > 0 else here
            x = x + (s_next - s) * average(here, there)
        return x

    return solver


def weight(alpha_bar, gamma):
    return minddpm.min_snr_weight(alpha_bar, gamma)


LESSON_11 = {  # the package's functions, and solvers written otherwise
    "velocity_from_noise": minddpm.velocity_from_noise,
    "velocity_from_x0": minddpm.velocity_from_x0,
    "noise_from_velocity": minddpm.noise_from_velocity,
    "x0_from_velocity": minddpm.x0_from_velocity,
    "min_snr_weight": weight,
    "zero_terminal_snr": minddpm.zero_terminal_snr,
    "straight_time": minddpm.straight_time,
    "euler": walk(lambda here, there: here),
    "heun": walk(lambda here, there: (here + there) / 2),
}


def test_equal_functions_of_lesson_11_are_named(capsys):
    same_as_package("11", LESSON_11)
    said = f"equal to the package: {', '.join(LESSON_11)}"
    assert capsys.readouterr().out.split() == said.split()  # on two lines


def at_one_level(convert):
    """A conversion that looks up the first image's time for all of them."""

    def call(x_t, t, given, schedule):
        return convert(x_t, torch.as_tensor(t).reshape(-1)[0].item(), given, schedule)

    return call


def only_shifted(schedule):
    root = schedule.alpha_bar[1:].sqrt()
    alpha_bar = torch.cat([schedule.alpha_bar[:1], (root - root[-1]) ** 2])
    return minddpm.Schedule.from_betas(1 - alpha_bar[1:] / alpha_bar[:-1])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("velocity_from_noise", lambda *args: -minddpm.velocity_from_noise(*args)),
        ("velocity_from_noise", at_one_level(minddpm.velocity_from_noise)),
        ("velocity_from_noise", lambda *args: minddpm.velocity_from_noise(*args).float()),
        ("velocity_from_x0", minddpm.flow_from_x0),
        ("velocity_from_x0", at_one_level(minddpm.velocity_from_x0)),
        ("noise_from_velocity", minddpm.x0_from_velocity),
        ("noise_from_velocity", minddpm.noise_from_flow),
        ("x0_from_velocity", minddpm.noise_from_velocity),
        ("x0_from_velocity", at_one_level(minddpm.x0_from_velocity)),
        ("min_snr_weight", lambda alpha_bar, gamma: weight(alpha_bar, 5.0)),
        ("min_snr_weight", lambda alpha_bar, gamma: gamma * (1 - alpha_bar) / alpha_bar),
        ("zero_terminal_snr", lambda schedule: schedule),
        ("zero_terminal_snr", only_shifted),
        ("straight_time", lambda t, schedule: (1 - schedule.alpha_bar[t]).sqrt()),
        ("straight_time", lambda t, schedule: 1 - minddpm.straight_time(t, schedule)),
        ("euler", LESSON_11["heun"]),
        ("euler", walk(lambda here, there: -here)),
        ("heun", LESSON_11["euler"]),
        ("heun", walk(lambda here, there: there)),
    ],
)
def test_a_function_of_lesson_11_that_differs_is_named(name, wrong):
    with pytest.raises(AssertionError, match=f"^{name}\\b"):
        same_as_package("11", LESSON_11 | {name: wrong})
