"""Right answers, written differently from the references: loops, numpy, other formulas. The tests
also mutate them.
"""

import math

import numpy as np
import torch


def linear_betas(T, beta_start, beta_end):
    return [beta_start + k * (beta_end - beta_start) / (T - 1) for k in range(T)]


def alpha_bars(betas):
    kept, left = [], 1.0
    for beta in betas.tolist():
        left = left * (1 - beta)
        kept.append(left)
    return torch.tensor(kept)


def snr(alpha_bar):
    return 1 / (1 / alpha_bar - 1)


def first_step_below(alpha_bars, threshold):
    for t, level in enumerate(alpha_bars, start=1):
        if level < threshold:
            return t


def forward_step(x_prev, beta_t, noise):
    return math.sqrt(1 - beta_t) * x_prev + math.sqrt(beta_t) * noise


def forward_diffusion(x_0, alpha_bar_t, noise):
    level = alpha_bar_t.numpy()[:, None, None, None]
    return np.sqrt(level) * x_0.numpy() + np.sqrt(1 - level) * noise.numpy()


def recover_x0(x_t, alpha_bar_t, noise):
    level = alpha_bar_t[:, None, None, None]
    return x_t / level**0.5 - noise * ((1 - level) / level) ** 0.5


def recover_noise(x_t, x_0, alpha_bar_t):
    return torch.stack(
        [(x - a.sqrt() * clean) / (1 - a).sqrt() for x, clean, a in zip(x_t, x_0, alpha_bar_t)]
    )


def posterior_coefficients(beta_t, alpha_bar_t, alpha_bar_prev):
    narrow, wide = (1 - beta_t) / beta_t, 1 / (1 - alpha_bar_prev)
    variance = 1 / (narrow + wide)
    return torch.stack(
        [variance * wide * alpha_bar_prev**0.5, variance * narrow / (1 - beta_t) ** 0.5]
    ).nan_to_num(1.0)


def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):
    return beta_t - beta_t * beta_t * alpha_bar_prev / (1 - alpha_bar_t)


def product_of_gaussians(mean_1, var_1, mean_2, var_2):
    gain = var_1 / (var_1 + var_2)
    return mean_1 + gain * (mean_2 - mean_1), var_1 - gain * var_1


def gaussian_kl(mean_1, var_1, mean_2, var_2):
    first = torch.distributions.Normal(mean_1, var_1**0.5)
    second = torch.distributions.Normal(mean_2, var_2**0.5)
    return torch.distributions.kl_divergence(first, second)


def mean_from_noise(x_t, noise, beta_t, alpha_bar_t):
    before = alpha_bar_t / (1 - beta_t)
    x_0 = (x_t - math.sqrt(1 - alpha_bar_t) * noise) / math.sqrt(alpha_bar_t)
    of_x0 = math.sqrt(before) * beta_t / (1 - alpha_bar_t)
    of_xt = math.sqrt(1 - beta_t) * (1 - before) / (1 - alpha_bar_t)
    return of_x0 * x_0 + of_xt * x_t


def noise_loss_weight(beta_t, alpha_bar_t, sigma2):
    pull = beta_t / ((1 - alpha_bar_t) * (1 - beta_t)) ** 0.5
    return pull * pull / (sigma2 + sigma2)


def simple_loss(predicted_noise, noise):
    error = (noise - predicted_noise).reshape(-1)
    return float(error @ error) / len(error)


def timestep_embedding(t, dim):
    rows = []
    for time in t.tolist():
        angles = [time / 10_000 ** (2 * i / dim) for i in range(dim // 2)]
        rows.append([math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles])
    return torch.tensor(rows)


def add_time(h, time_features):
    return h + time_features.reshape(len(h), -1, 1, 1)


def join_skip(h, skip):
    joined = torch.empty(len(h), h.shape[1] + skip.shape[1], *h.shape[2:], dtype=h.dtype)
    joined[:, : h.shape[1]] = h
    joined[:, h.shape[1] :] = skip
    return joined


def residual_block(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    def bend(values):
        return values * torch.sigmoid(values)

    told = conv_in(bend(norm_in(x))) + time(time_features).reshape(len(x), -1, 1, 1)
    return torch.stack([a + b for a, b in zip(conv_out(bend(norm_out(told))), shortcut(x))])


def unet_forward(x, time_features, stem, downs, encoder, middle, decoder, ups, out):
    def inside(level, h):
        """From a level down to the deepest, and up to it again."""
        if level == len(encoder):
            return middle(h, time_features)
        skip = encoder[level](downs[level](h), time_features)
        h = torch.cat((inside(level + 1, skip), skip), 1)
        place = len(decoder) - 1 - level
        return ups[place](decoder[place](h, time_features))

    return out(inside(0, stem(x)))


def sample(model, x_T, T, step):
    x_t = x_T.clone()
    for t in reversed(range(1, T + 1)):
        x_t = step(x_t, model(x_t, torch.tensor([t] * len(x_t))), t)
    return x_t.numpy()


def train_step(model, optimizer, x_0, alpha_bars, t, noise):
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = None
    level = alpha_bars.gather(0, t - 1).reshape(-1, 1, 1, 1)
    predicted = model(level**0.5 * x_0 + (1 - level) ** 0.5 * noise, t)
    loss = torch.nn.functional.mse_loss(predicted, noise)
    loss.backward()
    optimizer.step()
    return loss.item()


def training_loop(images, orders, batch_size, step):
    for order in orders.tolist():
        while len(order) >= batch_size:
            chosen, order = order[:batch_size], order[batch_size:]
            yield step(torch.stack([images[place] for place in chosen])).item()


def reverse_step(x_t, predicted_noise, t, betas, noise):
    left = 1.0
    for beta in betas[:t].tolist():
        left = left * (1 - beta)
    beta = float(betas[t - 1])
    mean = (x_t - predicted_noise * beta / math.sqrt(1 - left)) / math.sqrt(1 - beta)
    return mean if t == 1 else mean + math.sqrt(beta) * noise


def steps(T):
    return [T - k for k in range(T)]


def training_pair(x_0, alpha_bars, t, noise):
    level = torch.stack([alpha_bars[int(time) - 1] for time in t])[:, None, None, None]
    return [level**0.5 * x_0 + (1 - level) ** 0.5 * noise, noise]


def ema_update(average, value, decay):
    return average + (1 - decay) * (value - average)


def score_from_noise(noise, alpha_bar_t):
    return torch.stack([-e * (1 - a) ** -0.5 for e, a in zip(noise, alpha_bar_t)])


def gaussian_score(x, mean, var):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(
        torch.distributions.Normal(mean, var.sqrt()).log_prob(x).sum(), x
    )
    return slope


def langevin_step(x, score, step_size, noise):
    spread = math.sqrt(2 * step_size)
    return x + spread * (noise + spread / 2 * score)


def ddim_step(x_t, predicted_noise, alpha_bar_t, alpha_bar_prev):
    growth = math.sqrt(alpha_bar_prev / alpha_bar_t)
    change = math.sqrt(1 - alpha_bar_prev) - growth * math.sqrt(1 - alpha_bar_t)
    return growth * x_t + change * predicted_noise


def guided_noise(unconditional, conditional, scale):
    return scale * conditional.numpy() - (scale - 1) * unconditional.numpy()


def velocity_from_noise(x_t, noise, alpha_bar_t):
    angle = torch.acos(alpha_bar_t.double().sqrt()).reshape(-1, 1, 1, 1)
    return (noise - torch.sin(angle) * x_t) / torch.cos(angle)


def noise_from_velocity(x_t, velocity, alpha_bar_t):
    both = [v * a**0.5 + x * (1 - a) ** 0.5 for x, v, a in zip(x_t, velocity, alpha_bar_t)]
    return np.stack([one.numpy() for one in both])


def min_snr_weight(alpha_bar, gamma):
    return [min(1.0, gamma * (1 - level) / level) for level in alpha_bar.tolist()]


def straight_path(x_0, noise, s):
    flow = noise - x_0
    return x_0 + torch.einsum("b,bchw->bchw", s, flow), flow
