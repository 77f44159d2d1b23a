"""Slips as people make them, at least five for each exercise, none of them in the bank: a bracket
in the wrong place, a root forgotten, an index too far, the wrong reduction, two names confused.
"""

import math

import torch


def wide(level):
    return level[:, None, None, None]


def early_product(x_t, e, t, betas, z):
    bar = (1 - betas[: t - 1]).prod()
    beta = betas[t - 1]
    mean = (x_t - beta / (1 - bar).sqrt() * e) / (1 - beta).sqrt()
    return mean + beta.sqrt() * z if t > 1 else mean


def late_product(x_t, e, t, betas, z):
    bar = (1 - betas[: t + 1]).prod()
    beta = betas[t - 1]
    mean = (x_t - beta / (1 - bar).sqrt() * e) / (1 - beta).sqrt()
    return mean + beta.sqrt() * z if t > 1 else mean


def product_of_betas(x_t, e, t, betas, z):
    bar = 1 - betas[:t].prod()
    beta = betas[t - 1]
    mean = (x_t - beta / (1 - bar).sqrt() * e) / (1 - beta).sqrt()
    return mean + beta.sqrt() * z if t > 1 else mean


def noise_inside(x_t, e, t, betas, z):
    beta, bar = betas[t - 1], (1 - betas[:t]).prod()
    noise = beta.sqrt() * z if t > 1 else 0
    return (x_t - beta / (1 - bar).sqrt() * e + noise) / (1 - beta).sqrt()


def bracket_left_out(x_t, e, t, betas, z):
    beta, bar = betas[t - 1], (1 - betas[:t]).prod()
    mean = x_t - beta / (1 - bar).sqrt() * e / (1 - beta).sqrt()
    return mean + beta.sqrt() * z if t > 1 else mean


def root_of_both(x_t, e, t, betas, z):
    beta, bar = betas[t - 1], (1 - betas[:t]).prod()
    mean = (x_t - (beta / (1 - bar)).sqrt() * e) / (1 - beta).sqrt()
    return mean + beta.sqrt() * z if t > 1 else mean


def noise_from_two(x_t, e, t, betas, z):
    beta, bar = betas[t - 1], (1 - betas[:t]).prod()
    mean = (x_t - beta / (1 - bar).sqrt() * e) / (1 - beta).sqrt()
    return mean + beta.sqrt() * z if t > 2 else mean


def spread_by_alpha(x_t, e, t, betas, z):
    beta, bar = betas[t - 1], (1 - betas[:t]).prod()
    mean = (x_t - beta / (1 - bar).sqrt() * e) / (1 - beta).sqrt()
    return mean + (1 - beta).sqrt() * z if t > 1 else mean


def angles(t, dim):
    half = dim // 2
    return t[:, None] * 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)


def embedding_base(t, dim, base):
    half = dim // 2
    angle = t[:, None] * base ** (-torch.arange(half, dtype=torch.float64) / half)
    return torch.cat([angle.sin(), angle.cos()], 1)


def embedding_from_one(t, dim):
    half = dim // 2
    angle = t[:, None] * 10_000.0 ** (-torch.arange(1, half + 1, dtype=torch.float64) / half)
    return torch.cat([angle.sin(), angle.cos()], 1)


def clean(x, e, a):
    return (x - (1 - a) ** 0.5 * e) / a**0.5


NATURAL = {
    "01.linear_betas": [
        lambda T, a, b: a + (b - a) * torch.arange(T) / (T + 1),
        lambda T, a, b: torch.linspace(a, b, T) ** 0.5,
        lambda T, a, b: a + b * torch.arange(T) / (T - 1),
        lambda T, a, b: torch.arange(T) * (b - a) / (T - 1),
        lambda T, a, b: torch.linspace(a, b, T - 1),
        lambda T, a, b: 1 - torch.linspace(a, b, T),
    ],
    "01.alpha_bars": [
        lambda betas: (1 - betas).cumsum(0),
        lambda betas: 1 - betas.cumprod(0),
        lambda betas: 1 - betas.sum(),
        lambda betas: (1 - betas).prod().expand(len(betas)),
        lambda betas: (1 - betas).flip(0).cumprod(0).flip(0),
        lambda betas: (1 - betas.sqrt()).cumprod(0),
        lambda betas: (1 - betas).sqrt().cumprod(0).cumprod(0),
        lambda betas: torch.exp(-betas.cumsum(0)),
        lambda betas: (1 - betas).cumprod(0)[1:],
    ],
    "01.snr": [
        lambda a: a / 1 - a,
        lambda a: a.sqrt() / (1 - a),
        lambda a: a / (1 - a).sqrt(),
        lambda a: a / (1 + a),
        lambda a: (a / (1 - a)) ** 2,
        lambda a: a**2 / (1 - a),
    ],
    "01.first_step_below": [
        lambda levels, threshold: int((levels <= threshold).nonzero()[0]),
        lambda levels, threshold: int((levels >= threshold).sum()) - 1,
        lambda levels, threshold: int((levels - threshold).abs().argmin()),
        lambda levels, threshold: (levels < threshold).nonzero() + 1,
        lambda levels, threshold: int((levels < threshold).int().argmax()) - 1,
        lambda levels, threshold: int((1 - levels < threshold).nonzero()[0]) + 1,
        lambda levels, threshold: int((levels < threshold).nonzero()[0]) * 2,
    ],
    "02.forward_step": [
        lambda x, beta, z: (1 - beta**0.5) * x + beta**0.5 * z,
        lambda x, beta, z: 1 - beta**0.5 * x + beta**0.5 * z,
        lambda x, beta, z: ((1 - beta) * x + beta * z) ** 2,
        lambda x, beta, z: (1 - beta) ** 0.5 * (x + beta**0.5 * z),
        lambda x, beta, z: (1 + beta) ** 0.5 * x + beta**0.5 * z,
        lambda x, beta, z: (1 - beta) ** 0.5 * x + (1 - beta) ** 0.5 * z,
        lambda x, beta, z: (1 - beta) ** 2 * x + beta**2 * z,
    ],
    "02.forward_diffusion": [
        lambda x, a, z: wide(a).sqrt() * x + 1 - wide(a).sqrt() * z,
        lambda x, a, z: wide(a).sqrt() * x + (1 - wide(a).sqrt()) * z,
        lambda x, a, z: wide(a) * x + (1 - wide(a) ** 2).sqrt() * z,
        lambda x, a, z: wide(a).sqrt() * (x + (1 - wide(a)).sqrt() * z),
        lambda x, a, z: (1 - wide(a)) * x + wide(a) * z,
        lambda x, a, z: wide(a).sqrt() * x + (1 - wide(a)).sqrt() * torch.rand_like(z),
        lambda x, a, z: (wide(a).sqrt() * x + (1 - wide(a)).sqrt() * z).mean(0),
    ],
    "02.recover_x0": [
        lambda x, a, z: x - (1 - wide(a)).sqrt() * z / wide(a).sqrt(),
        lambda x, a, z: x / wide(a).sqrt() - (1 - wide(a)).sqrt() * z,
        lambda x, a, z: (x - wide(a).sqrt() * z) / wide(a).sqrt(),
        lambda x, a, z: (x - (1 - wide(a).sqrt()) * z) / wide(a).sqrt(),
        lambda x, a, z: (x - (1 - wide(a)).sqrt() * z) / (1 - wide(a)).sqrt(),
        lambda x, a, z: ((1 - wide(a)).sqrt() * z - x) / wide(a).sqrt(),
    ],
    "02.recover_noise": [
        lambda x, x_0, a: x - wide(a).sqrt() * x_0 / (1 - wide(a)).sqrt(),
        lambda x, x_0, a: (x - wide(a).sqrt() * x_0) * (1 - wide(a)).sqrt(),
        lambda x, x_0, a: (x - x_0 / wide(a).sqrt()) / (1 - wide(a)).sqrt(),
        lambda x, x_0, a: (x + wide(a).sqrt() * x_0) / (1 - wide(a)).sqrt(),
        lambda x, x_0, a: (x - wide(a).sqrt() * x_0) / (1 - wide(a).sqrt()),
        lambda x, x_0, a: (x - wide(a).sqrt() * x_0) / (1 + wide(a)).sqrt(),
    ],
    "03.posterior_coefficients": [
        lambda b, a, p: (p.sqrt() * b / 1 - a, (1 - b).sqrt() * (1 - p) / (1 - a)),
        lambda b, a, p: (p.sqrt() * b / (1 - a), (1 - b).sqrt() * (1 - p) / 1 - a),
        lambda b, a, p: (p.sqrt() * b / (1 - a).sqrt(), (1 - b).sqrt() * (1 - p) / (1 - a).sqrt()),
        lambda b, a, p: (p.sqrt() * (1 - b) / (1 - a), (1 - b).sqrt() * (1 - p) / (1 - a)),
        lambda b, a, p: (p.sqrt() * b / (1 - a), (1 - b).sqrt() * p / (1 - a)),
        lambda b, a, p: (p.sqrt() * b / a, (1 - b).sqrt() * (1 - p) / a),
        lambda b, a, p: (p * b / (1 - a), (1 - b) * (1 - p) / (1 - a)),
        lambda b, a, p: (p.sqrt() * b / (1 - a), a.sqrt() * (1 - p) / (1 - a)),
    ],
    "03.posterior_variance": [
        lambda b, a, p: 1 - p / (1 - a) * b,
        lambda b, a, p: (1 - p) / (1 - a * b),
        lambda b, a, p: (1 - p) / ((1 - a) * b),
        lambda b, a, p: (1 - p) / (1 - a),
        lambda b, a, p: (1 - p) / (1 + a) * b,
    ],
    "03.product_of_gaussians": [
        lambda m, v, n, w: ((m * w + n * v) / (v + w), v * w),
        lambda m, v, n, w: ((m + n) / (v + w), v * w / (v + w)),
        lambda m, v, n, w: ((m / v + n / w) / (1 / v + 1 / w), 1 / (v + w)),
        lambda m, v, n, w: ((m * w - n * v) / (v + w), v * w / (v + w)),
        lambda m, v, n, w: ((m / v + n / w) / (1 / v - 1 / w), 1 / (1 / v - 1 / w)),
        lambda m, v, n, w: (v * w / (v + w), (m * w + n * v) / (v + w)),
        lambda m, v, n, w: (m * w + n * v, v * w / (v + w)),
    ],
    "04.gaussian_kl": [
        lambda m, v, n, w: ((w / v).log() + (v + m - n) / w - 1) / 2,
        lambda m, v, n, w: ((w / v).log() + v + (m - n) ** 2 / w - 1) / 2,
        lambda m, v, n, w: (w / v).log() + (v + (m - n) ** 2) / w - 1 / 2,
        lambda m, v, n, w: ((w / v).log() - (v + (m - n) ** 2) / w - 1) / 2,
        lambda m, v, n, w: ((w / v).log() + (w + (m - n) ** 2) / v - 1) / 2,
        lambda m, v, n, w: ((w / v).log() + (v + (m + n) ** 2) / w - 1) / 2,
        lambda m, v, n, w: (w / v).log() + (v + (m - n) ** 2) / (2 * w) - 0.5,
        lambda m, v, n, w: ((w / v).log10() + (v + (m - n) ** 2) / w - 1) / 2,
    ],
    "04.mean_from_noise": [
        lambda x, e, b, a: x - b / (1 - a) ** 0.5 * e / (1 - b) ** 0.5,
        lambda x, e, b, a: (x - b / (1 - a**0.5) * e) / (1 - b) ** 0.5,
        lambda x, e, b, a: (x - (1 - b) / (1 - a) ** 0.5 * e) / (1 - b) ** 0.5,
        lambda x, e, b, a: (x - b / (1 - a) ** 0.5 * e) / a**0.5,
        lambda x, e, b, a: (x - b * (1 - a) ** 0.5 * e) / (1 - b) ** 0.5,
        lambda x, e, b, a: (x - (b / (1 - a)) ** 0.5 * e) / (1 - b),
    ],
    "04.noise_loss_weight": [
        lambda b, a, s: b**2 / 2 * s * (1 - b) * (1 - a),
        lambda b, a, s: b**2 / (2 * s * b * (1 - a)),
        lambda b, a, s: b**2 / (2 * s * (1 - b) * a),
        lambda b, a, s: b / (2 * s * (1 - b) * (1 - a)) ** 0.5,
        lambda b, a, s: b**2 / (2 * s * (1 - b) * (1 - a)) ** 2,
        lambda b, a, s: 2 * s * (1 - b) * (1 - a) / b**2,
        lambda b, a, s: b**2 / (2 * s * (1 - b)),
    ],
    "04.simple_loss": [
        lambda p, e: (p - e).square().mean(0),
        lambda p, e: (p + e).square().mean(),
        lambda p, e: (p**2 - e**2).mean(),
        lambda p, e: (p - e).mean(),
        lambda p, e: (p - e).square().flatten(1).mean(1),
        lambda p, e: (p - e).norm(),
        lambda p, e: -(p - e).square().mean(),
    ],
    "05.timestep_embedding": [
        lambda t, dim: torch.cat([angles(t, dim).sin()] * 2, 1),
        lambda t, dim: torch.cat([angles(t, dim).sin(), angles(t, dim).cos()], 1).T,
        lambda t, dim: embedding_base(t, dim, 1000.0),
        embedding_from_one,
        lambda t, dim: torch.cat([angles(t, dim).sin(), -angles(t, dim).cos()], 1),
        lambda t, dim: torch.cat(
            [torch.sin(torch.deg2rad(angles(t, dim))), angles(t, dim).cos()], 1
        ),
        lambda t, dim: torch.cat([angles(t + 1, dim).sin(), angles(t + 1, dim).cos()], 1),
    ],
    "05.add_time": [
        lambda h, f: h + f[:, :1, None, None],
        lambda h, f: h + f.sum(1)[:, None, None, None],
        lambda h, f: h - f[:, :, None, None],
        lambda h, f: h + 1 + f[:, :, None, None],
        lambda h, f: f[:, :, None, None].expand_as(h),
        lambda h, f: h * (f[:, :, None, None] - 1),
    ],
    "05.join_skip": [
        lambda h, s: torch.cat([h, h], 1),
        lambda h, s: torch.stack([h, s], 1),
        lambda h, s: torch.cat([s, h], 2),
        lambda h, s: (h + s) / 2,
        lambda h, s: s,
        lambda h, s: torch.cat([h, s], 1).mean(1),
    ],
    "06.reverse_step": [
        early_product,
        late_product,
        product_of_betas,
        noise_inside,
        bracket_left_out,
        root_of_both,
        noise_from_two,
        spread_by_alpha,
    ],
    "06.steps": [
        lambda T: list(range(T, 0, -1))[1:],
        lambda T: list(range(T, 0, -2)),
        lambda T: list(range(T + 1, 1, -1)),
        lambda T: list(range(T + 1, 0, -1)),
        lambda T: list(range(T, -1, -2)),
        lambda T: list(range(T, 0, -1)) * 2,
    ],
    "07.training_pair": [
        lambda x, a, t, z: (wide(a[t - 1]) * x + (1 - wide(a[t - 1])).sqrt() * z, z),
        lambda x, a, t, z: (wide(a[t - 1]).sqrt() * x + (1 - wide(a[t - 1]).sqrt()) * z, z),
        lambda x, a, t, z: ((1 - wide(a[t - 1])).sqrt() * x + wide(a[t - 1]).sqrt() * z, z),
        lambda x, a, t, z: (wide(a[t - 1]).sqrt() * x - (1 - wide(a[t - 1])).sqrt() * z, z),
        lambda x, a, t, z: (wide(a[t - 2]).sqrt() * x + (1 - wide(a[t - 2])).sqrt() * z, z),
        lambda x, a, t, z: (x + (1 - wide(a[t - 1])).sqrt() * z, z),
        lambda x, a, t, z: (wide(a[t - 1]).sqrt() * x + (1 - wide(a[t - 1])).sqrt() * z, x - z),
    ],
    "07.ema_update": [
        lambda average, value, d: d * (average + (1 - d) * value),
        lambda average, value, d: d * average + 1 - d * value,
        lambda average, value, d: (1 + d) * average - d * value,
        lambda average, value, d: average + d * (value - average) / 2,
        lambda average, value, d: d * average,
        lambda average, value, d: (d * average + (1 - d) * value) / 2,
        lambda average, value, d: d * average + (1 - d) ** 2 * value,
    ],
    "08.score_from_noise": [
        lambda z, a: -z / 1 - wide(a).sqrt(),
        lambda z, a: -z / (1 - wide(a).sqrt()),
        lambda z, a: -z / (1 + wide(a)).sqrt(),
        lambda z, a: -z * (1 - wide(a)),
        lambda z, a: -(1 - wide(a)).sqrt() / z,
        lambda z, a: -z / wide(a),
    ],
    "08.gaussian_score": [
        lambda x, m, v: m - x / v,
        lambda x, m, v: (m - x) ** 2 / v,
        lambda x, m, v: -((x - m) ** 2) / (2 * v),
        lambda x, m, v: m / v,
        lambda x, m, v: 2 * (m - x) / v,
        lambda x, m, v: v / (m - x),
    ],
    "08.langevin_step": [
        lambda x, s, h, z: x + h * (s + (2 * h) ** 0.5 * z),
        lambda x, s, h, z: x + h * s + (h / 2) ** 0.5 * z,
        lambda x, s, h, z: x + h * s - (2 * h) ** 0.5 * z,
        lambda x, s, h, z: x + h**0.5 * s + (2 * h) ** 0.5 * z,
        lambda x, s, h, z: x + h * s + 2**0.5 * h * z,
        lambda x, s, h, z: x + 2 * h * s + (2 * h) ** 0.5 * z,
        lambda x, s, h, z: x + h * s + (2 * h) ** 0.5,
    ],
    "09.ddim_step": [
        lambda x, e, a, p: p**0.5 * clean(x, e, a) + (1 - p**0.5) * e,
        lambda x, e, a, p: p * clean(x, e, a) + (1 - p) ** 0.5 * e,
        lambda x, e, a, p: p**0.5 * (x - (1 - a) ** 0.5 * e) / a + (1 - p) ** 0.5 * e,
        lambda x, e, a, p: p**0.5 * (x - (1 - p) ** 0.5 * e) / a**0.5 + (1 - p) ** 0.5 * e,
        lambda x, e, a, p: p**0.5 * (x + (1 - a) ** 0.5 * e) / a**0.5 + (1 - p) ** 0.5 * e,
        lambda x, e, a, p: (1 - p) ** 0.5 * clean(x, e, a) + p**0.5 * e,
        lambda x, e, a, p: p**0.5 * x + (1 - p) ** 0.5 * e,
        lambda x, e, a, p: p**0.5 * (x - (1 - a) ** 0.5 * e) * a**0.5 + (1 - p) ** 0.5 * e,
    ],
    "10.guided_noise": [
        lambda u, c, s: u + (c - u) / (s + 1),
        lambda u, c, s: (1 - s) * u + c,
        lambda u, c, s: c + (1 - s) * (c - u),
        lambda u, c, s: u * s + c,
        lambda u, c, s: u + s * c + u,
        lambda u, c, s: u - s * (c - u) / 2,
        lambda u, c, s: math.sqrt(s) * (c - u) + u,
    ],
}
