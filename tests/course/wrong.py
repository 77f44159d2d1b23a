"""Wrong answers that are not in the bank, at least five for each exercise: they must fail, and
without a name of the bank.
"""

import math

import torch
from torch.nn.functional import silu


def each(level, images):
    return level[:, None, None, None]


WRONG = {
    "01.linear_betas": [
        lambda T, a, b: torch.linspace(a, b, T) * 1.01,
        lambda T, a, b: torch.linspace(0, b, T),
        lambda T, a, b: torch.full((T,), (a + b) / 2),
        lambda T, a, b: torch.linspace(a, b, T)[:, None],
        lambda T, a, b: torch.linspace(a, b, T).tolist()[0],
        lambda T, a, b: "betas",
    ],
    "01.alpha_bars": [
        lambda betas: (1 - betas).cumprod(0) ** 2,
        lambda betas: (1 - betas).prod(),
        lambda betas: (1 - betas / 2).cumprod(0),
        lambda betas: (1 - betas).flip(0).cumprod(0),
        lambda betas: (1 + betas).cumprod(0),
    ],
    "01.snr": [
        lambda a: a / (1 - a) + 1,
        lambda a: a**2 / (1 - a) ** 2,
        lambda a: a - (1 - a),
        lambda a: 1 / (1 - a),
        lambda a: (a / (1 - a)).mean(),
    ],
    "01.first_step_below": [
        lambda levels, threshold: float((levels < threshold).nonzero()[0]) + 1.5,
        lambda levels, threshold: int((levels < threshold).nonzero()[0]) + 2,
        lambda levels, threshold: len(levels) // 2 + 7,
        lambda levels, threshold: levels[(levels < threshold).nonzero()[0]],
        lambda levels, threshold: True,
    ],
    "02.forward_step": [
        lambda x, beta, noise: (1 - beta) ** 0.5 * x,
        lambda x, beta, noise: (1 - beta) ** 0.5 * x + beta**0.5 * torch.randn_like(x),
        lambda x, beta, noise: (1 - beta**2) ** 0.5 * x + beta * noise,
        lambda x, beta, noise: ((1 - beta) ** 0.5 * x + beta**0.5 * noise).clamp(-1, 1),
        lambda x, beta, noise: x.mul_((1 - beta) ** 0.5).add_(beta**0.5 * noise),
    ],
    "02.forward_diffusion": [
        lambda x, a, noise: each(a, x).sqrt() * x,
        lambda x, a, noise: each(a, x).sqrt() * x - (1 - each(a, x)).sqrt() * noise,
        lambda x, a, noise: a.mean().sqrt() * x + (1 - a.mean()).sqrt() * noise,
        lambda x, a, noise: (each(a, x).sqrt() * x + (1 - each(a, x)).sqrt() * noise).clamp(-1, 1),
        lambda x, a, noise: (each(a, x).sqrt() * x + (1 - each(a, x)).sqrt() * noise)[:1],
        lambda x, a, noise: x + (1 - each(a, x)).sqrt() * noise,
    ],
    "02.recover_x0": [
        lambda x, a, noise: x / each(a, x).sqrt(),
        lambda x, a, noise: ((x - (1 - each(a, x)).sqrt() * noise) / each(a, x).sqrt()).clamp(
            -0.5, 0.5
        ),
        lambda x, a, noise: (x - noise) / each(a, x).sqrt(),
        lambda x, a, noise: (x - each(a, x).sqrt() * noise) / (1 - each(a, x)).sqrt(),
        lambda x, a, noise: x - noise,
    ],
    "02.recover_noise": [
        lambda x, x_0, a: x - x_0,
        lambda x, x_0, a: (x - each(a, x).sqrt() * x_0) / each(a, x).sqrt(),
        lambda x, x_0, a: (x - (1 - each(a, x)).sqrt() * x_0) / each(a, x).sqrt(),
        lambda x, x_0, a: x / (1 - each(a, x)).sqrt(),
        lambda x, x_0, a: torch.randn_like(x),
    ],
    "03.posterior_coefficients": [
        lambda b, a, p: (p.sqrt() * b / (1 - a), (1 - b).sqrt() * (1 - p) / (1 - p)),
        lambda b, a, p: (p.sqrt() / (1 - a), (1 - b).sqrt() * (1 - p) / (1 - a)),
        lambda b, a, p: p.sqrt() * b / (1 - a),
        lambda b, a, p: (a.sqrt() * b / (1 - a), (1 - a).sqrt() * (1 - p) / (1 - a)),
        lambda b, a, p: (torch.ones_like(b), torch.zeros_like(b)),
        lambda b, a, p: (p.sqrt() * b / (1 - a), (1 - b).sqrt() * (1 - a)),
    ],
    "03.posterior_variance": [
        lambda b, a, p: (1 - p) / (1 - a),
        lambda b, a, p: (1 - p) / (1 - a) * b**2,
        lambda b, a, p: (1 - p).sqrt() / (1 - a).sqrt() * b,
        lambda b, a, p: b / 2,
        lambda b, a, p: torch.zeros_like(b),
        lambda b, a, p: (1 - p) / (1 - a) * b.sqrt(),
    ],
    "03.product_of_gaussians": [
        lambda m, v, n, w: (m * n, v * w),
        lambda m, v, n, w: ((m * w + n * v) / (v + w), v * w),
        lambda m, v, n, w: ((m * w + n * v) / (v + w), (v + w) / 2),
        lambda m, v, n, w: (m, v),
        lambda m, v, n, w: ((m * w - n * v) / (v + w), v * w / (v + w)),
    ],
    "04.gaussian_kl": [
        lambda m, v, n, w: ((w / v).log() + (v + (m - n).abs()) / w - 1) / 2,
        lambda m, v, n, w: ((w / v).log() + v / w - 1) / 2,
        lambda m, v, n, w: ((w / v).log() + (v + (m - n) ** 2) / v - 1) / 2,
        lambda m, v, n, w: ((w / v).sqrt().log() + (v + (m - n) ** 2) / w - 1) / 2,
        lambda m, v, n, w: (m - n).abs(),
        lambda m, v, n, w: (((w / v).log() + (v + (m - n) ** 2) / w - 1) / 2).mean(),
    ],
    "04.mean_from_noise": [
        lambda x, noise, b, a: (x - b * noise) / (1 - b) ** 0.5,
        lambda x, noise, b, a: (x - b / a**0.5 * noise) / (1 - b) ** 0.5,
        lambda x, noise, b, a: (x - b / (1 - a) ** 0.5 * noise) / b**0.5,
        lambda x, noise, b, a: (x - b / (1 - a) ** 0.5 * noise) * (1 - b) ** 0.5,
        lambda x, noise, b, a: x / (1 - b) ** 0.5,
    ],
    "04.noise_loss_weight": [
        lambda b, a, s: b**2 / (2 * s * (1 - b)),
        lambda b, a, s: b**2 / (2 * s * (1 - a)) * (1 - a),
        lambda b, a, s: b**2 / (2 * s * (1 - b) * a),
        lambda b, a, s: b**2 / (4 * s * (1 - b) * (1 - a)),
        lambda b, a, s: 1 / (2 * s),
    ],
    "04.simple_loss": [
        lambda p, n: (p - n).square(),
        lambda p, n: (p - n).mean().abs(),
        lambda p, n: (p - n).pow(4).mean(),
        lambda p, n: (p - n).square().mean() * 1.01,
        lambda p, n: (p - n).square().median(),
        lambda p, n: (p - n).square().mean().reshape(1, 1),
    ],
    "05.timestep_embedding": [
        lambda t, dim: torch.stack([t * 0.5**i for i in range(dim)], 1).sin(),
        lambda t, dim: torch.zeros(len(t), dim),
        lambda t, dim: torch.cat(
            [(t[:, None] * 100.0 ** (-torch.arange(dim // 2) / (dim // 2))).sin()] * 2, 1
        ),
        lambda t, dim: (t[:, None] * 10_000.0 ** (-torch.arange(dim // 2) / (dim // 2))).sin(),
        lambda t, dim: torch.cat(
            [
                f(2 * math.pi * t[:, None] * 10_000.0 ** (-torch.arange(dim // 2) / (dim // 2)))
                for f in (torch.sin, torch.cos)
            ],
            1,
        ),
    ],
    "05.add_time": [
        lambda h, f: h - f[:, :, None, None],
        lambda h, f: f[:, :, None, None].expand_as(h),
        lambda h, f: h + 2 * f[:, :, None, None],
        lambda h, f: h + f.flip(1)[:, :, None, None],
        lambda h, f: torch.cat([h, f[:, :, None, None].expand_as(h)], 1),
        lambda h, f: h.add_(f[:, :, None, None]),
    ],
    "05.join_skip": [
        lambda h, s: h,
        lambda h, s: torch.cat([h, s, h], 1),
        lambda h, s: torch.cat([h, 0 * s], 1),
        lambda h, s: torch.cat([h, s], 1) / 2,
        lambda h, s: (h, s),
    ],
    "06.reverse_step": [
        lambda x, e, t, betas, z: x - e,
        lambda x, e, t, betas, z: (x - betas[t - 1] * e) / (1 - betas[t - 1]).sqrt(),
        lambda x, e, t, betas, z: x + (betas[t - 1].sqrt() * z if t > 1 else 0),
        lambda x, e, t, betas, z: (
            (x - betas[t - 1] / (1 - (1 - betas).prod()).sqrt() * e) / (1 - betas[t - 1]).sqrt()
        ),
        lambda x, e, t, betas, z: torch.zeros_like(x),
    ],
    "06.steps": [
        lambda T: list(range(T, 0, -2)),
        lambda T: T,
        lambda T: [T] * T,
        lambda T: list(range(2 * T, T, -1)),
        lambda T: [t + 0.5 for t in range(T, 0, -1)],
    ],
    "07.training_pair": [
        lambda x, a, t, z: (each(a[t - 1], x).sqrt() * x, z),
        lambda x, a, t, z: each(a[t - 1], x).sqrt() * x + (1 - each(a[t - 1], x)).sqrt() * z,
        lambda x, a, t, z: (each(a[t - 1], x) * x + (1 - each(a[t - 1], x)) * z, z),
        lambda x, a, t, z: (each(a[t - 1], x).sqrt() * x + (1 - each(a[t - 1], x)).sqrt() * z, -z),
        lambda x, a, t, z: (each(a[-t], x).sqrt() * x + (1 - each(a[-t], x)).sqrt() * z, z),
    ],
    "07.ema_update": [
        lambda average, value, d: average,
        lambda average, value, d: value,
        lambda average, value, d: d * average - (1 - d) * value,
        lambda average, value, d: d**2 * average + (1 - d**2) * value,
        lambda average, value, d: average.lerp_(value, 1 - d),
    ],
    "08.score_from_noise": [
        lambda z, a: -z / (1 - a.mean()).sqrt() * 0.9,
        lambda z, a: (-z / (1 - each(a, z)).sqrt())[:1] * 2,
        lambda z, a: -z / (1 - each(a, z) ** 2).sqrt(),
        lambda z, a: -z * (each(a, z) / (1 - each(a, z))).sqrt(),
        lambda z, a: (-z / (1 - each(a, z)).sqrt()).clamp(-1, 1),
        lambda z, a: z.neg_().div_((1 - each(a, z)).sqrt()),
    ],
    "08.gaussian_score": [
        lambda x, m, v: (m - x) / v**2,
        lambda x, m, v: (m + x) / v,
        lambda x, m, v: (m - x) * v,
        lambda x, m, v: -((x - m) ** 2) / v,
        lambda x, m, v: ((m - x) / v).mean(),
        lambda x, m, v: -1 / v,
    ],
    "08.langevin_step": [
        lambda x, s, h, z: x + h * s + (2 * h) ** 0.5 * torch.randn_like(x),
        lambda x, s, h, z: h * s + (2 * h) ** 0.5 * z,
        lambda x, s, h, z: x + h * s + h * z,
        lambda x, s, h, z: x + h / 2 * s + (2 * h) ** 0.5 * z,
        lambda x, s, h, z: (1 - h) ** 0.5 * x + h * s + (2 * h) ** 0.5 * z,
        lambda x, s, h, z: x.add_(h * s + (2 * h) ** 0.5 * z),
    ],
    "09.ddim_step": [
        lambda x, e, a, p: x - e,
        lambda x, e, a, p: p * (x - (1 - a) ** 0.5 * e) / a + (1 - p) ** 0.5 * e,
        lambda x, e, a, p: p**0.5 * (x - (1 - a) ** 0.5 * e) / a**0.5 - (1 - p) ** 0.5 * e,
        lambda x, e, a, p: p**0.5 * (x - (1 - a) * e) / a**0.5 + (1 - p) ** 0.5 * e,
        lambda x, e, a, p: (
            p**0.5 * (x - (1 - a) ** 0.5 * e) / a**0.5 + (1 - p) ** 0.5 * torch.randn_like(x)
        ),
        lambda x, e, a, p: (p**0.5 * (x - (1 - a) ** 0.5 * e) / a**0.5 + (1 - p) ** 0.5 * e).clamp(
            -1, 1
        ),
    ],
    "10.guided_noise": [
        lambda u, c, s: (u + c) / 2,
        lambda u, c, s: u + s**0.5 * (c - u),
        lambda u, c, s: u + s * (c - u).clamp(-1, 1),
        lambda u, c, s: u + s**2 * (c - u),
        lambda u, c, s: (u + s * (c - u)) / (1 + s),
        lambda u, c, s: u.add_(s * (c - u)),
    ],
    "11.velocity_from_noise": [
        lambda x, e, a: x - e,
        lambda x, e, a: each(a, x).sqrt() * e,
        lambda x, e, a: (e - (1 - each(a, x)) * x) / each(a, x),
        lambda x, e, a: (e - (1 - a.mean()).sqrt() * x) / a.mean().sqrt() * 0.9,
        lambda x, e, a: ((e - (1 - each(a, x)).sqrt() * x) / each(a, x).sqrt()).clamp(-1, 1),
        lambda x, e, a: e.sub_((1 - each(a, x)).sqrt() * x).div_(each(a, x).sqrt()),
    ],
    "11.noise_from_velocity": [
        lambda x, v, a: x - v,
        lambda x, v, a: each(a, x).sqrt() * v,
        lambda x, v, a: (1 - each(a, x)).sqrt() * x,
        lambda x, v, a: (each(a, x).sqrt() * v + (1 - each(a, x)).sqrt() * x)[:1] * 2,
        lambda x, v, a: (each(a, x).sqrt() * v + (1 - each(a, x)).sqrt() * x).clamp(-0.5, 0.5),
        lambda x, v, a: v.mul_(each(a, x).sqrt()).add_((1 - each(a, x)).sqrt() * x),
    ],
    "11.min_snr_weight": [
        lambda a, gamma: torch.ones_like(a),
        lambda a, gamma: a / (1 - a),
        lambda a, gamma: (gamma * (1 - a) / a).clamp(max=1).mean(),
        lambda a, gamma: (gamma * (1 - a) / a).clamp(max=gamma),
        lambda a, gamma: (gamma * (1 - a)).clamp(max=1),
        lambda a, gamma: 1 - (gamma * (1 - a) / a).clamp(max=1),
    ],
    "11.straight_path": [
        lambda x, e, s: (x, e - x),
        lambda x, e, s: (1 - each(s, x)) * x + each(s, x) * e,
        lambda x, e, s: ((1 - each(s, x)) * x + each(s, x) * e, x),
        lambda x, e, s: (x + each(s, x) * e, e),
        lambda x, e, s: ((1 - s.mean()) * x + s.mean() * e, (e - x) / 2),
        lambda x, e, s: ((1 - each(s, x)) * x + each(s, x) * e, (e - x) ** 2),
    ],
    "05.residual_block": [
        lambda x, f, n1, c1, t, n2, c2, s: x,
        lambda x, f, n1, c1, t, n2, c2, s: s(x),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) + c2(silu(n2(silu(c1(n1(x))) + t(f)[:, :, None, None])))
        ),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) - c2(silu(n2(c1(silu(n1(x))) + t(f)[:, :, None, None])))
        ),
        lambda x, f, n1, c1, t, n2, c2, s: s(x) + c2(n2(c1(n1(x)) + t(f)[:, :, None, None]).relu()),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) * c2(silu(n2(c1(silu(n1(x))) + t(f)[:, :, None, None])))
        ),
    ],
    "05.unet_forward": [
        lambda x, f, stem, downs, enc, mid, dec, ups, out: x,
        lambda x, f, stem, downs, enc, mid, dec, ups, out: out(stem(x)),
        lambda x, f, stem, downs, enc, mid, dec, ups, out: stem(x),
        lambda x, f, stem, downs, enc, mid, dec, ups, out: out(mid(stem(x), f)),
        lambda x, f, stem, downs, enc, mid, dec, ups, out: out(enc[0](downs[0](stem(x)), f)),
    ],
    "06.sample": [
        lambda model, x, T, step: x,
        lambda model, x, T, step: step(x, model(x, torch.full((len(x),), T)), T),
        lambda model, x, T, step: model(x, torch.full((len(x),), T)),
        lambda model, x, T, step: step(x, x, T),
        lambda model, x, T, step: [x for _ in range(T)],
        lambda model, x, T, step: step(x, model(x, T), T),
    ],
    "07.training_loop": [
        lambda images, orders, b, step: [step(images)],
        lambda images, orders, b, step: [step(images) for _ in orders],
        lambda images, orders, b, step: [step(images[order[:b]]) for order in orders],
        lambda images, orders, b, step: [
            step(images[i : i + b]) for i in range(0, len(images) - b + 1, b)
        ],
        lambda images, orders, b, step: [
            step(images[i].unsqueeze(0)) for order in orders for i in order
        ],
        lambda images, orders, b, step: sum(
            step(images[order[i : i + b]])
            for order in orders
            for i in range(0, len(order) - b + 1, b)
        ),
    ],
    "07.train_step": [
        lambda model, optimizer, x, levels, t, z: 0.0,
        lambda model, optimizer, x, levels, t, z: (model(x, t) - z).square().mean(),
        lambda model, optimizer, x, levels, t, z: optimizer.step() or 1.0,
        lambda model, optimizer, x, levels, t, z: model(z, t),
        lambda model, optimizer, x, levels, t, z: optimizer.zero_grad() or 0.5,
    ],
}
