"""The stretch questions: not graded, drawn beside their targets."""

from __future__ import annotations

import math

import torch

from minddpm.classroom.exercise import Picture, Stretch
from minddpm.classroom.pictures import bars, curve, images
from minddpm.data import load_mnist


def straight_betas(T):
    left = 1 - torch.arange(T + 1, dtype=torch.float64) / (T + 1)
    return 1 - left[1:] / left[:-1]


def dissolve(x_0, noise):
    alpha_bar = torch.linspace(1, 0, x_0.shape[-1])
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * noise


def two_hints(grid, mean_1, var_1, mean_2, var_2):
    density = torch.exp(-((grid - mean_1) ** 2) / (2 * var_1) - (grid - mean_2) ** 2 / (2 * var_2))
    return density / (density.sum() * (grid[1] - grid[0]))


def grey_levels(mean, std):
    edges = torch.arange(257, dtype=torch.float64) / 127.5 - 1 - 1 / 255
    below = (1 + torch.erf((edges - mean) / (std * math.sqrt(2)))) / 2
    below[0], below[-1] = 0, 1
    return below[1:] - below[:-1]


def likeness(dim):
    t = torch.arange(1, 1001, dtype=torch.float64)
    angle = t[:, None] * 10_000.0 ** (-torch.arange(dim // 2) / (dim // 2))
    waves = torch.cat([angle.sin(), angle.cos()], dim=1)
    return waves @ waves[499] / (dim // 2)


def spread_of_samples(betas, s):
    """The standard deviation at each step back, t = T first, of samples of N(0, s^2) drawn with the perfect network."""
    alpha_bar, variance, spreads = (1 - betas).cumprod(0), 1.0, [1.0]
    for t in range(len(betas), 0, -1):
        beta, level = betas[t - 1], alpha_bar[t - 1]
        pull = (1 - beta / (level * s**2 + 1 - level)) / (1 - beta).sqrt()
        variance = pull**2 * variance + (beta if t > 1 else 0.0)
        spreads.append(math.sqrt(variance))
    return torch.tensor(spreads, dtype=torch.float64)


def running_average(values, decay):
    averages = [values[0]]
    for step, value in enumerate(values[1:]):
        d = min(decay, (1 + step) / (10 + step))
        averages.append(d * averages[-1] + (1 - d) * value)
    return torch.stack(averages)


def slope_of_two_clouds(x, mean_1, mean_2, var):
    share = torch.sigmoid((mean_1 - mean_2) * (x - (mean_1 + mean_2) / 2) / var)  # of the first cloud, at x
    return (share * mean_1 + (1 - share) * mean_2 - x) / var


def path(alpha_bars, s, x_T):
    values = [x_T]
    for a, before in zip(alpha_bars[1:].flip(0), alpha_bars[:-1].flip(0)):
        variance = a * s**2 + 1 - a  # of x_t; the step multiplies x_t by a covariance over it
        shared = (a * before).sqrt() * s**2 + ((1 - a) * (1 - before)).sqrt()
        values.append(values[-1] * float(shared / variance))
    return torch.tensor(values, dtype=torch.float64)


def sharpened(x, mean, other, var, scale):
    share = torch.sigmoid((mean - other) * (x - (mean + other) / 2) / var)  # of the cloud asked for, at x
    density = torch.exp(-((x - mean) ** 2) / (2 * var)) * share ** (scale - 1)
    return density / (density.sum() * (x[1] - x[0]))


DIGIT = load_mnist("test")[0][20:21]  # the 3 of lessons 01 and 02
DRAW = torch.Generator().manual_seed(1)
NOISE = torch.randn(DIGIT.shape, generator=DRAW)
LOSSES = torch.exp(-torch.arange(300, dtype=torch.float64) / 40) + 0.1 * torch.randn(300, generator=DRAW).double().abs()

STRETCHES = (
    Stretch(
        "01.stretch",
        ("T",),
        "betas, shape (T,), for which alpha_bar falls in equal steps: alpha_bar_t = 1 - t / (T + 1)",
        straight_betas,
        Picture((50,), curve("step t", "beta")),
    ),
    Stretch(
        "02.stretch",
        ("x_0", "noise"),
        "the image with alpha_bar falling from 1 in its first column to 0 in its last, in equal steps",
        dissolve,
        Picture((DIGIT, NOISE), images),
    ),
    Stretch(
        "03.stretch",
        ("grid", "mean_1", "var_1", "mean_2", "var_2"),
        "the normalised product of two normal densities on a grid of points, without using your formula",
        two_hints,
        Picture(
            (torch.linspace(-3, 3, 301, dtype=torch.float64), -0.8, 0.6, 1.2, 0.3), curve("x", "density", -3.0, 0.02)
        ),
    ),
    Stretch(
        "04.stretch",
        ("mean", "std"),
        "the probability of each of the 256 grey levels under the discretised Gaussian, shape (256,)",
        grey_levels,
        Picture((0.7, 0.2), bars("grey level", "probability")),
    ),
    Stretch(
        "05.stretch",
        ("dim",),
        "the likeness of the embedding of t = 500 to those of t = 1 to 1000: inner product over dim/2, shape (1000,)",
        likeness,
        Picture((64,), curve("time t", "likeness")),
    ),
    Stretch(
        "06.stretch",
        ("betas", "s"),
        "the standard deviation at t = T, T - 1, ..., 0 of samples of N(0, s^2) drawn with the perfect network, (T+1,)",
        spread_of_samples,
        Picture(
            (torch.linspace(0.001, 0.2, 100, dtype=torch.float64), 0.3), curve("steps taken", "standard deviation", 0.0)
        ),
    ),
    Stretch(
        "07.stretch",
        ("values", "decay"),
        "the first value, then the average after each update n = 0, 1, ..., its decay min(decay, (1 + n) / (10 + n))",
        running_average,
        Picture((LOSSES, 0.95), curve("step", "loss")),
    ),
    Stretch(
        "08.stretch",
        ("x", "mean_1", "mean_2", "var"),
        "the score at each of the points x, shape (n,), of two equally likely normal clouds",
        slope_of_two_clouds,
        Picture((torch.linspace(-3, 3, 301, dtype=torch.float64), -1.5, 1.0, 0.2), curve("x", "score", -3.0, 0.02)),
    ),
    Stretch(
        "09.stretch",
        ("alpha_bars", "s", "x_T"),
        "x at t = T, T - 1, ..., 0, shape (T + 1,): DDIM steps from x_T for data N(0, s^2) and the perfect network",
        path,
        Picture((torch.linspace(1, 0.01, 21, dtype=torch.float64), 0.3, 1.5), curve("steps taken", "x", 0.0)),
    ),
    Stretch(
        "10.stretch",
        ("x", "mean", "other", "var", "scale"),
        "the sharpened density on the grid x, normalised, shape (n,)",
        sharpened,
        Picture(
            (torch.linspace(-4, 4, 401, dtype=torch.float64), 1.0, -1.0, 0.64, 8.0), curve("x", "density", -4.0, 0.02)
        ),
    ),
)
