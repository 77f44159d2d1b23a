"""Slips as people make them, at least five for each exercise, none of them in the bank: a bracket
in the wrong place, a root forgotten, an index too far, the wrong reduction, two names confused.
"""

import math

import torch
from torch.nn.functional import relu, silu


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


def told_early(x, f, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    h = silu(norm_in(x)) + time(f)[:, : x.shape[1], None, None]
    return shortcut(x) + conv_out(silu(norm_out(conv_in(h))))


def u_net(x, f, stem, downs, encoder, middle, decoder, ups, out, *, ending=None):
    """The way through, its last steps in another order if asked."""
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = block(down(h), f)
        skips.append(h)
    h = middle(h, f)
    ending = ending or (lambda h, block, up, skip: up(block(torch.cat([h, skip], 1), f)))
    for block, up in zip(decoder, ups):
        h = ending(h, block, up, skips.pop())
    return out(h)


def without_ups(x, f, *parts):
    return u_net(x, f, *parts, ending=lambda h, block, up, skip: block(torch.cat([h, skip], 1), f))


def same_skip_twice(x, f, *parts):
    return u_net(
        x, f, *parts, ending=lambda h, block, up, skip: up(block(torch.cat([skip, skip], 1), f))
    )


def up_before_block(x, f, *parts):
    return u_net(
        x, f, *parts, ending=lambda h, block, up, skip: block(up(torch.cat([h, skip], 1)), f)
    )


def without_downs(x, f, stem, downs, *parts):
    return u_net(x, f, stem, [lambda h: h for _ in downs], *parts)


def no_out(x, f, stem, downs, encoder, middle, decoder, ups, out):
    return u_net(x, f, stem, downs, encoder, middle, decoder, ups, lambda h: h)


def out_too_early(x, f, stem, downs, encoder, middle, decoder, ups, out):
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = block(down(h), f)
        skips.append(h)
    h = middle(h, f)
    for block, up in zip(decoder, ups):
        return out(up(block(torch.cat([h, skips.pop()], 1), f)))


def middle_twice(x, f, stem, downs, encoder, middle, decoder, ups, out):
    return u_net(
        x, f, stem, downs, encoder, lambda h, f: middle(middle(h, f), f), decoder, ups, out
    )


def blocks_before_downs(x, f, stem, downs, encoder, middle, decoder, ups, out):
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = down(block(h, f))
        skips.append(h)
    h = middle(h, f)
    for block, up in zip(decoder, ups):
        h = up(block(torch.cat([h, skips.pop()], 1), f))
    return out(h)


def back(model, x, T, step, *, times=None, time=None, last=None):
    """The sampling loop, with other times, another time for the network, or an early end."""
    for t in range(T, 0, -1) if times is None else times(T):
        told = t if time is None else time(t, T)
        x = step(x, model(x, torch.full((len(x),), told)), t)
        if last is not None and t == last(T):
            return x
    return x


def predicts_the_image(model, x, T, step):
    for t in range(T, 0, -1):
        x = model(x, torch.full((len(x),), t))
    return x


def arguments_of_step_swapped(model, x, T, step):
    for t in range(T, 0, -1):
        x = step(model(x, torch.full((len(x),), t)), x, t)
    return x


def step_one_early(model, x, T, step):
    for t in range(T, 0, -1):
        x = step(x, model(x, torch.full((len(x),), t)), t - 1)
    return x


def adds_the_step(model, x, T, step):
    for t in range(T, 0, -1):
        x = x + step(x, model(x, torch.full((len(x),), t)), t)
    return x


def learn(model, optimizer, x_0, alpha_bars, t, noise, *, level=None, error=None, mean=torch.mean):
    """One step of training, with other levels, another error, or another mean."""
    a = wide(alpha_bars[t - 1] if level is None else level(alpha_bars, t))
    x_t = a.sqrt() * x_0 + (1 - a).sqrt() * noise
    away = model(x_t, t) - noise if error is None else error(model, a, x_0, x_t, t, noise)
    loss = mean(away.square())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def uphill(model, optimizer, x_0, alpha_bars, t, noise):
    a = wide(alpha_bars[t - 1])
    loss = (model(a.sqrt() * x_0 + (1 - a).sqrt() * noise, t) - noise).square().mean()
    optimizer.zero_grad()
    (-loss).backward()
    optimizer.step()
    return loss


def absolute_error(model, optimizer, x_0, alpha_bars, t, noise):
    a = wide(alpha_bars[t - 1])
    loss = (model(a.sqrt() * x_0 + (1 - a).sqrt() * noise, t) - noise).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def two_steps(model, optimizer, x_0, alpha_bars, t, noise):
    a = wide(alpha_bars[t - 1])
    loss = (model(a.sqrt() * x_0 + (1 - a).sqrt() * noise, t) - noise).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss


def in_order(images, orders, b, step, *, start=0, every=None, take=None):
    """The losses of all steps, with another start, stride or batch."""
    return [
        step(images[order[k : k + b]] if take is None else take(images, order, k, b))
        for order in orders
        for k in range(start, len(order) - b + 1, every or b)
    ]


def last_loss_of_each_epoch(images, orders, b, step):
    losses = []
    for order in orders:
        for k in range(0, len(order) - b + 1, b):
            loss = step(images[order[k : k + b]])
        losses.append(loss)
    return losses


def returns_inside(images, orders, b, step):
    for order in orders:
        for k in range(0, len(order) - b + 1, b):
            return [step(images[order[k : k + b]])]


def running_mean(images, orders, b, step):
    losses = torch.stack(in_order(images, orders, b, step))
    return losses.cumsum(0) / torch.arange(1, len(losses) + 1)


NATURAL = {
    "05.residual_block": [
        lambda x, f, n1, c1, t, n2, c2, s: s(x) + c2(n2(c1(silu(n1(x))) + t(f)[:, :, None, None])),
        lambda x, f, n1, c1, t, n2, c2, s: s(x) + c2(silu(n2(c1(n1(x)) + t(f)[:, :, None, None]))),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) + c2(silu(n2(c1(silu(n1(x))) * t(f)[:, :, None, None])))
        ),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) + c2(relu(n2(c1(relu(n1(x))) + t(f)[:, :, None, None])))
        ),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) + silu(n2(c1(silu(n1(x))) + t(f)[:, :, None, None]))
        ),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) + c2(silu(c1(silu(n1(x))) + t(f)[:, :, None, None]))
        ),
        lambda x, f, n1, c1, t, n2, c2, s: silu(
            s(x) + c2(silu(n2(c1(silu(n1(x))) + t(f)[:, :, None, None])))
        ),
        lambda x, f, n1, c1, t, n2, c2, s: (
            s(x) + c2(silu(n2(c1(silu(x)) + t(f)[:, :, None, None])))
        ),
        told_early,
    ],
    "05.unet_forward": [
        without_ups,
        same_skip_twice,
        up_before_block,
        without_downs,
        no_out,
        out_too_early,
        middle_twice,
        blocks_before_downs,
    ],
    "06.sample": [
        lambda model, x, T, step: back(model, x, T, step, last=lambda T: T),
        lambda model, x, T, step: back(model, x, T, step, time=lambda t, T: t - 1),
        lambda model, x, T, step: back(model, x, T, step, times=lambda T: range(T + 1, 0, -1)),
        lambda model, x, T, step: back(model, x, T, step, times=lambda T: range(T, -1, -1)),
        lambda model, x, T, step: back(model, x, T, step, time=lambda t, T: 1),
        predicts_the_image,
        arguments_of_step_swapped,
        step_one_early,
        adds_the_step,
    ],
    "07.train_step": [
        lambda *args: learn(*args, mean=torch.sum),
        lambda *args: learn(*args, level=lambda a, t: a[t - 1] ** 2),
        lambda *args: learn(*args, level=lambda a, t: a[t - 2]),
        lambda *args: learn(*args, error=lambda model, a, x, x_t, t, e: model(x_t, t - 1) - e),
        lambda *args: learn(*args, error=lambda model, a, x, x_t, t, e: model(x_t, t) - x_t),
        lambda *args: learn(*args, error=lambda model, a, x, x_t, t, e: model(e, t) - e),
        lambda *args: learn(*args, error=lambda model, a, x, x_t, t, e: model(x_t, t) + e),
        uphill,
        absolute_error,
        two_steps,
    ],
    "07.training_loop": [
        last_loss_of_each_epoch,
        returns_inside,
        running_mean,
        lambda images, orders, b, step: in_order(images, orders, b, step, every=2 * b),
        lambda images, orders, b, step: in_order(images, orders, b, step, start=b),
        lambda images, orders, b, step: in_order(images, orders.flip(0), b, step),
        lambda images, orders, b, step: in_order(images, orders.argsort(1), b, step),
        lambda images, orders, b, step: torch.stack(in_order(images, orders, b, step)).mean(),
        lambda images, orders, b, step: in_order(
            images,
            orders,
            b,
            step,
            take=lambda images, order, k, b: images[k : k + b][order[:b] % b],
        ),
        lambda images, orders, b, step: in_order(images, orders, b, step)[-1],
    ],
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
    "11.velocity_from_noise": [
        lambda x, e, a: wide(a).sqrt() * e - (1 - wide(a).sqrt()) * clean(x, e, wide(a)),
        lambda x, e, a: wide(a).sqrt() * e - (1 - wide(a)) * clean(x, e, wide(a)),
        lambda x, e, a: wide(a) * e - (1 - wide(a)).sqrt() * clean(x, e, wide(a)),
        lambda x, e, a: (e + (1 - wide(a)).sqrt() * x) / wide(a).sqrt(),
        lambda x, e, a: (e - (1 - wide(a)).sqrt() * x) / (1 - wide(a)).sqrt(),
        lambda x, e, a: (e - (1 - wide(a)).sqrt() * x) * wide(a).sqrt(),
        lambda x, e, a: e - (1 - wide(a)).sqrt() * clean(x, e, wide(a)),
    ],
    "11.noise_from_velocity": [
        lambda x, v, a: wide(a).sqrt() * v + (1 - wide(a).sqrt()) * x,
        lambda x, v, a: wide(a).sqrt() * v + (1 - wide(a)) * x,
        lambda x, v, a: wide(a) * v + (1 - wide(a)).sqrt() * x,
        lambda x, v, a: v + (1 - wide(a)).sqrt() * x,
        lambda x, v, a: wide(a).sqrt() * v + x,
        lambda x, v, a: wide(a).sqrt() * v + (1 + wide(a)).sqrt() * x,
        lambda x, v, a: (1 - wide(a)).sqrt() * x - wide(a).sqrt() * v,
    ],
    "11.min_snr_weight": [
        lambda a, gamma: (gamma * (1 - a)).clamp(max=1) / a,
        lambda a, gamma: (gamma * (1 - a) / a**2).clamp(max=1),
        lambda a, gamma: (gamma * (1 - a) ** 2 / a).clamp(max=1),
        lambda a, gamma: (gamma / (a - 1) * a).clamp(max=1),
        lambda a, gamma: (gamma * (1 - a) / a).clamp(max=1).sqrt(),
        lambda a, gamma: (gamma**2 * (1 - a) / a).clamp(max=1),
        lambda a, gamma: (gamma * (1 + a) / a).clamp(max=1),
    ],
    "11.straight_path": [
        lambda x, e, s: ((1 - wide(s)) * x + wide(s) * e, e + x),
        lambda x, e, s: ((1 - wide(s)) * x - wide(s) * e, e - x),
        lambda x, e, s: (x + wide(s) * e, e - x),
        lambda x, e, s: ((1 - wide(s)) * (x + wide(s) * e), e - x),
        lambda x, e, s: ((1 - wide(s)) * x + wide(s) * e, wide(s) * (e - x)),
        lambda x, e, s: ((1 + wide(s)) * x + wide(s) * e, e - x),
        lambda x, e, s: ((1 - wide(s)) * x + e, e - x),
    ],
}
