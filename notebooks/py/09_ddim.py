# %% [markdown]
# # 09 · Fewer steps
#
# *You will*
# - find a family of reverse processes that all fit the same trained network, and in it one that draws no noise;
# - build its step and its loop, and follow the same noise to the same digit in 5, 10, 20 or 50 steps;
# - go the way backwards, mix two noises into digits between digits, and measure what fewer steps cost.
#
# *You need* the jump to $\mathbf{x}_t$ ([02 Noising](02_noising.ipynb)), the sampler ([06 Sampler](06_sampler.ipynb)) and, for one remark, the probability
# flow ([08 · The score](08_score.ipynb)).
#
# *It takes* 30 minutes to read and about 40 seconds to run.

# %%
import json
import math
import time
from typing import NamedTuple

import matplotlib
import torch
from torch import Tensor
from torch.distributions import Normal

from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm.noising import forward_diffusion, x0_from_noise
from minddpm.posterior import posterior_variance
from minddpm.sampler import sample
from minddpm.schedule import linear_schedule
from minddpm_course.figures import COLOURS, GREY, STYLE, draw_image, new_figure, show

matplotlib.rcParams.update(STYLE)
network, schedule, _ = load_pretrained("mnist")
held_out, _ = load_mnist("test")

# %% [markdown]
# ## The idea in a picture
#
# The sampler of lesson 06 asks the network 1,000 times. At each step it estimates the clean image, goes a little way towards it, and adds fresh noise.
#
# Here is another way. Estimate the clean image. Then noise the estimate again, to an earlier time, with **the very noise that the network named**. Nothing is
# drawn but $\mathbf{x}_T$. And the earlier time need not be $t - 1$. It may be $t - 100$.

# %%
@torch.inference_mode()
def few_steps(x_t, steps):
    times = [schedule.T * k // steps for k in range(steps, -1, -1)]  # T, ..., 0
    for t, t_prev in zip(times, times[1:]):
        predicted_noise = network(x_t, torch.full((len(x_t),), t))  # (b, 1, 28, 28)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule).clamp(-1, 1)  # (b, 1, 28, 28)
        x_t, _ = forward_diffusion(x_0, t_prev, schedule, predicted_noise)  # (b, 1, 28, 28); at t_prev = 0, x_0 itself
    return x_t


x_T = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(9))
drawn = {steps: few_steps(x_T, steps) for steps in (5, 10, 20, 50)}

figure, axes = new_figure(4, 9, height=3.3, width_ratios=[0.9] + [1] * 8)
for row, (steps, digits) in zip(axes, drawn.items()):
    row[0].set_axis_off()
    row[0].text(1, 0.5, f"{steps} steps", ha="right", va="center", transform=row[0].transAxes, color=COLOURS["network"])
    for axis, digit in zip(row[1:], digits):
        draw_image(axis, digit)
show(figure, "Each column starts from one noise: it leads to much the same digit in 5, 10, 20 or 50 steps, and the strokes settle as the steps grow in number.")
change = {steps: (drawn[steps] - drawn[50]).square().mean().sqrt().item() for steps in (5, 10, 20)}
print("distance to the digits of 50 steps: " + ", ".join(f"{value:.2f} with {steps}" for steps, value in change.items()))
assert change[5] > change[10] > change[20]

# %% [markdown]
# ## The derivation
#
# **1. What the network was trained on.** The simple loss draws $t$, and noises a clean image straight to $\mathbf{x}_t$. It uses the marginals
#
# $$
# q(\mathbf{x}_t | \mathbf{x}_0) = \mathcal{N}\left(\mathbf{x}_t;\; \sqrt{\bar{\alpha}_t}\, {\color{#0072B2}{\mathbf{x}_0}},\; (1 - \bar{\alpha}_t)\, \mathbf{I}\right)
# $$
#
# and nothing else. How $\mathbf{x}_{t-1}$ and $\mathbf{x}_t$ hang together never enters. So any process with these marginals fits the trained network. Lesson 06 used one.
#
# **2. A family with the same marginals** (Song, Meng & Ermon 2021, eq. 7). Given ${\color{#B3528C}{\mathbf{x}_t}}$ and ${\color{#0072B2}{\mathbf{x}_0}}$ you know the noise between them:
# ${\color{#C05500}{\boldsymbol{\epsilon}}} = (\mathbf{x}_t - \sqrt{\bar{\alpha}_t}\, \mathbf{x}_0) / \sqrt{1 - \bar{\alpha}_t}$. Keep a part of it, and replace the rest by fresh noise $\mathbf{z} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$:
#
# $$
# \mathbf{x}_{t-1} = \sqrt{\bar{\alpha}_{t-1}}\, {\color{#0072B2}{\mathbf{x}_0}} + \sqrt{1 - \bar{\alpha}_{t-1} - \sigma_t^2}\; {\color{#C05500}{\boldsymbol{\epsilon}}} + \sigma_t\, {\color{#C05500}{\mathbf{z}}},
# \qquad 0 \le \sigma_t^2 \le 1 - \bar{\alpha}_{t-1}.
# $$
#
# Suppose that $\mathbf{x}_t$ has its marginal. Then $\boldsymbol{\epsilon} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$ is independent of $\mathbf{z}$, and variances add:
#
# $$
# (1 - \bar{\alpha}_{t-1} - \sigma_t^2) + \sigma_t^2 = 1 - \bar{\alpha}_{t-1}.
# $$
#
# The mean is $\sqrt{\bar{\alpha}_{t-1}}\, \mathbf{x}_0$. So $\mathbf{x}_{t-1}$ has its marginal too, whatever $\sigma_t$ is. Start at $T$, and all times follow.
#
# **3. Which $\sigma_t$?** Write it as a share $\eta$ of the posterior's standard deviation (eq. 16 of that paper):
#
# $$
# \sigma_t^2 = \eta^2\, \tilde{\beta}_t, \qquad \tilde{\beta}_t = \frac{1 - \bar{\alpha}_{t-1}}{1 - \bar{\alpha}_t} \left(1 - \frac{\bar{\alpha}_t}{\bar{\alpha}_{t-1}}\right).
# $$
#
# - $\eta = 1$ is the posterior of lesson 03. What is kept of the noise has the variance
#   $1 - \bar{\alpha}_{t-1} - \tilde{\beta}_t = (1 - \bar{\alpha}_{t-1}) \left(1 - \frac{\beta_t}{1 - \bar{\alpha}_t}\right) = \frac{\alpha_t (1 - \bar{\alpha}_{t-1})^2}{1 - \bar{\alpha}_t}$.
#   Its root over $\sqrt{1 - \bar{\alpha}_t}$ stands in front of $\mathbf{x}_t$. That is $\frac{\sqrt{\alpha_t} (1 - \bar{\alpha}_{t-1})}{1 - \bar{\alpha}_t}$, the coefficient in ${\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t}}$.
# - $\eta = 0$ draws nothing: from $\mathbf{x}_T$ on, everything is determined. This is **DDIM**, the denoising diffusion implicit model.
#
# **4. The network in place of what you do not know.** Put ${\color{#008561}{\boldsymbol{\epsilon}_\theta}}$ for the noise, and ${\color{#008561}{\hat{\mathbf{x}}_0}}$ for the clean image (eq. 12 of that paper):
#
# $$
# \mathbf{x}_{t-1} = \sqrt{\bar{\alpha}_{t-1}}\, {\color{#008561}{\hat{\mathbf{x}}_0}} + \sqrt{1 - \bar{\alpha}_{t-1} - \sigma_t^2}\; {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) + \sigma_t\, {\color{#C05500}{\mathbf{z}}}.
# $$
#
# **5. Leave out times.** Nothing above used that $t - 1$ comes right before $t$. It used two numbers, $\bar{\alpha}_t$ and $\bar{\alpha}_{t-1}$. So take any earlier time, and its $\bar{\alpha}$ in place of $\bar{\alpha}_{t-1}$.
# With $S$ steps this course visits $T, T - \frac{T}{S}, \ldots, \frac{T}{S}$, and ends on the clean image, $t = 0$, where $\bar{\alpha}_0 = 1$. The first step starts at $T$, for there $\mathbf{x}_T$ is noise alone.
#
# **6. Why few steps are enough, if $\eta = 0$.** Divide step 4 by $\sqrt{\bar{\alpha}}$. With $r_t = \sqrt{(1 - \bar{\alpha}_t) / \bar{\alpha}_t}$ and $s$ for the earlier time (eq. 13 of that paper):
#
# $$
# \frac{\mathbf{x}_s}{\sqrt{\bar{\alpha}_s}} = \frac{\mathbf{x}_t}{\sqrt{\bar{\alpha}_t}} + (r_s - r_t)\; {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t).
# $$
#
# This is Euler's method for a differential equation, with step $r_s - r_t$ and slope $\boldsymbol{\epsilon}_\theta$. It is the probability flow of lesson 08. Fewer steps mean a coarser line along the same path. Where the
# slope hardly changes, a long step does no harm.


# %% [markdown]
# ## Rebuild it
#
# One step, from the estimate of the clean image and the predicted noise. It takes the two values of $\bar{\alpha}$, so that it does not matter how far apart the times are.

# %%
def rebuilt_step(x_0, predicted_noise, alpha_bar_t, alpha_bar_prev, noise=None, *, eta=0.0):
    beta_tilde = (1 - alpha_bar_prev) / (1 - alpha_bar_t) * (1 - alpha_bar_t / alpha_bar_prev)
    sigma = eta * math.sqrt(beta_tilde)
    kept = math.sqrt(max(1 - alpha_bar_prev - sigma**2, 0))  # rounding may leave -1e-17
    x_prev = math.sqrt(alpha_bar_prev) * x_0 + kept * predicted_noise  # (b, *dims)
    if eta > 0:
        x_prev = x_prev + sigma * noise  # (b, *dims)
    return x_prev  # (b, *dims)


# %% [markdown]
# The times, $S + 1$ of them, and the loop. It draws nothing if $\eta = 0$, else one noise a step. As in lesson 06, the loop makes the
# estimate, clips it if you ask, and hands it to the step.

# %%
class Step(NamedTuple):
    t: int
    x_t: Tensor  # (b, *dims)
    x_0: Tensor  # the clean image that the network sees behind x_t; (b, *dims)


def rebuilt_times(schedule, steps):
    return [round(schedule.T - k * schedule.T / steps) for k in range(steps)] + [0]


@torch.inference_mode()
def rebuilt_steps(model, x_T, schedule, steps, *, eta=0.0, clip=False, generator=None):
    x_t, times = x_T, rebuilt_times(schedule, steps)
    for t, t_prev in zip(times, times[1:]):
        predicted_noise = model(x_t, torch.full((len(x_t),), t))  # (b, *dims)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)  # (b, *dims)
        if clip:
            x_0 = x_0.clamp(-1, 1)  # (b, *dims)
        yield Step(t, x_t, x_0)
        noise = torch.randn(x_t.shape, generator=generator, dtype=x_t.dtype) if eta > 0 else None  # (b, *dims)
        alpha_bar_t, alpha_bar_prev = schedule.alpha_bar[t].item(), schedule.alpha_bar[t_prev].item()
        x_t = rebuilt_step(x_0, predicted_noise, alpha_bar_t, alpha_bar_prev, noise, eta=eta)  # (b, *dims)
    yield Step(0, x_t, x_t)


def rebuilt_ddim(*arguments, **options):
    *_, last = rebuilt_steps(*arguments, **options)
    return last.x_t


for steps in (1, 5, 7):
    print(f"{steps} steps: t = {', '.join(str(t) for t in rebuilt_times(schedule, steps))}")
assert rebuilt_times(schedule, 1000) == list(range(1000, -1, -1))


# %% [markdown]
# With $\eta = 0$ the way can be gone **backwards**, from a digit to the $\mathbf{x}_T$ that leads to it. Swap the two times. One thing is missing: the step down from $t$ used the noise predicted *at* $\mathbf{x}_t$,
# which is what you look for. Predict it at the point where you stand, and say that it belongs to the new time. To be more exact, repeat: predict it again at the point found.

# %%
@torch.inference_mode()
def rebuilt_invert(model, x_0, schedule, steps, repeats=1):
    x_s, upwards = x_0, rebuilt_times(schedule, steps)[::-1]
    for s, t in zip(upwards, upwards[1:]):
        alpha_bar_s, alpha_bar_t = schedule.alpha_bar[s].item(), schedule.alpha_bar[t].item()
        x_t = x_s
        for _ in range(repeats):
            predicted_noise = model(x_t, torch.full((len(x_0),), t))  # (b, *dims)
            clean = (x_s - math.sqrt(1 - alpha_bar_s) * predicted_noise) / math.sqrt(alpha_bar_s)  # (b, *dims)
            x_t = math.sqrt(alpha_bar_t) * clean + math.sqrt(1 - alpha_bar_t) * predicted_noise  # (b, *dims)
        x_s = x_t
    return x_s  # x_T, (b, *dims)


# %% [markdown]
# ## By hand
#
# The guide's pixel: $x_t = 0.4$, predicted noise 0.3, $\bar{\alpha}_t = 0.5$, $\bar{\alpha}_{t-1} = 0.505$ (a rounding of $0.5 / 0.99$). First a short step, $\eta = 0$.

# %% tags=["worked-example"]
x_0 = (0.4 - math.sqrt(1 - 0.5) * 0.3) / math.sqrt(0.5)
signal, kept = math.sqrt(0.505) * x_0, math.sqrt(1 - 0.505) * 0.3
short = signal + kept
print(f"x_0 estimate = (0.4 - 0.7071 * 0.3) / 0.7071 = {x_0:.4f}")
print(f"signal = sqrt(0.505) * {x_0:.4f} = {signal:.4f}")
print(f"noise kept = sqrt(0.495) * 0.3 = {kept:.4f}")
print(f"x_(t-1) = {signal:.4f} + {kept:.4f} = {short:.4f}")
assert round(x_0, 4) == 0.2657 and round(signal, 4) == 0.1888
assert round(kept, 4) == 0.2111 and round(short, 4) == 0.3999

# %% [markdown]
# Now a long one, straight to a time where $\bar{\alpha} = 0.9$. And a jump to the end, where $\bar{\alpha}_0 = 1$: what is left is the estimate.

# %% tags=["worked-example"]
signal, kept = math.sqrt(0.9) * x_0, math.sqrt(1 - 0.9) * 0.3
long = signal + kept
print(f"signal = sqrt(0.9) * {x_0:.5f} = {signal:.5f}")
print(f"noise kept = sqrt(0.1) * 0.3 = {kept:.5f}")
print(f"x at alpha_bar = 0.9: {signal:.5f} + {kept:.5f} = {long:.5f}")
print(f"x at alpha_bar = 1: {math.sqrt(1.0) * x_0:.4f} + 0 = {x_0:.4f}")
assert round(signal, 5) == 0.25205 and round(kept, 5) == 0.09487 and round(long, 5) == 0.34692

# %% [markdown]
# And the short step with $\eta = 1$ and fresh noise $z = 0.1$. Its mean is the 0.3978 of lesson 06.

# %% tags=["worked-example"]
variance = (1 - 0.505) / (1 - 0.5) * (1 - 0.5 / 0.505)
sigma, kept = math.sqrt(variance), math.sqrt(1 - 0.505 - variance)
mean = math.sqrt(0.505) * x_0 + kept * 0.3
print(f"sigma^2 = 0.495 / 0.5 * (1 - 0.5 / 0.505) = {variance:.4f}, sigma = {sigma:.4f}")
print(f"sqrt(0.495 - {variance:.4f}) = {kept:.4f}")
print(f"mean = 0.1888 + {kept:.4f} * 0.3 = {mean:.4f}")
print(f"plus {sigma:.4f} * 0.1: {mean + sigma * 0.1:.3f}")
assert round(variance, 4) == 0.0098 and round(sigma, 4) == 0.0990 and round(kept, 4) == 0.6966
assert round(mean, 4) == 0.3978 and round(mean + sigma * 0.1, 3) == 0.408

estimate, predicted, z = (torch.tensor([value], dtype=torch.float64) for value in (x_0, 0.3, 0.1))
for alpha_bar_prev, eta, expected in ((0.505, 0.0, short), (0.9, 0.0, long), (1.0, 0.0, x_0), (0.505, 1.0, mean + sigma * 0.1)):
    assert abs(rebuilt_step(estimate, predicted, 0.5, alpha_bar_prev, z, eta=eta).item() - expected) < 1e-12

# %% [markdown]
# ## Believe it
#
# **The marginals are the same.** Take one clean pixel at 0.8, noise it 100,000 times to $x_T$, and go down in ten steps with the true noise. At each time the mean must be $0.8 \sqrt{\bar{\alpha}_t}$ and the standard
# deviation $\sqrt{1 - \bar{\alpha}_t}$, for every $\eta$.

# %%
pixel, draws = 0.8, 100_000


def knows(x_0):
    """The network that knows the clean image, and so the noise."""

    def model(x_t, t):
        alpha_bar = schedule.alpha_bar[t[0]].item()  # one time for all
        return (x_t - math.sqrt(alpha_bar) * x_0) / math.sqrt(1 - alpha_bar)

    return model


print("           " + "".join(f"   t = {t:>3}" for t in (900, 600, 300, 100)))
spreads = {t: (1 - schedule.alpha_bar[t]).sqrt().item() for t in rebuilt_times(schedule, 10)}
print("std, exact " + "".join(f"{spreads[t]:>10.3f}" for t in (900, 600, 300, 100)))
for eta in (0.0, 0.5, 1.0):
    generator = torch.Generator().manual_seed(9)
    x_T, _ = forward_diffusion(torch.full((draws,), pixel, dtype=torch.float64), 1000, schedule, generator=generator)
    way = {step.t: step.x_t for step in rebuilt_steps(knows(pixel), x_T, schedule, 10, eta=eta, generator=generator)}
    print(f"eta = {eta:.1f}  " + "".join(f"{way[t].std():>10.3f}" for t in (900, 600, 300, 100)))
    for t in list(way)[:-1]:
        error = spreads[t] / math.sqrt(draws)
        assert abs(way[t].mean() - pixel * schedule.alpha_bar[t].sqrt()) < 4.5 * error, (eta, t)
        assert abs(way[t].std() - spreads[t]) < 4.5 * error / math.sqrt(2), (eta, t)

# %% [markdown]
# **A network that knows the image leads to it**, in any number of steps. All of the estimates are the image, so there is nothing to be wrong about.

# %%
digit = held_out[:1].double()
for steps in (1, 2, 7, 50, 1000):
    errors = []
    for eta in (0.0, 0.5, 1.0):
        generator = torch.Generator().manual_seed(9)
        x_T = torch.randn(digit.shape, generator=generator, dtype=torch.float64)
        errors.append((rebuilt_ddim(knows(digit), x_T, schedule, steps, eta=eta, generator=generator) - digit).abs().max().item())
    print(f"{steps:>4} steps: below 1e-10 for eta = 0, 0.5 and 1:", max(errors) < 1e-10)
    assert max(errors) < 1e-10


# %% [markdown]
# **Two points, and paths that never cross.** Lesson 06 had data of two points, 30% at $-1$ and 70% at $0.5$, and its perfect network. Follow the same starts by both samplers, with 1,000 steps.
#
# Without fresh noise the exact paths can never cross: where they met, they would go on as one. (Long steps could jump across. 1,000 are short enough, as the cell checks.) So the order of the starts is kept.
# The lowest 30% of the starts must end at $-1$. The border is the 30% quantile of $\mathcal{N}(0, 1)$.

# %%
points, shares = torch.tensor([-1.0, 0.5], dtype=torch.float64), torch.tensor([0.3, 0.7], dtype=torch.float64)


def two_points(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]].item()
    distance = (x_t[:, None] - math.sqrt(alpha_bar) * points) ** 2  # (b, 2)
    weight = (shares.log() - distance / (2 * (1 - alpha_bar))).softmax(dim=1)  # (b, 2)
    return (x_t - math.sqrt(alpha_bar) * weight @ points) / math.sqrt(1 - alpha_bar)  # (b,)


starts = torch.linspace(-2.2, 2.2, 2201, dtype=torch.float64)
flow = torch.stack([step.x_t for step in rebuilt_steps(two_points, starts, schedule, 1000)])  # (1001, 2201)
shaken = torch.stack([step.x_t for step in rebuilt_steps(two_points, starts[::110], schedule, 1000, eta=1.0, generator=torch.Generator().manual_seed(9))])
border = starts[flow[-1] > 0].min().item()
print(f"border between the starts: {border:.2f}; 30% quantile: {Normal(0, 1).icdf(torch.tensor(0.3)):.2f}")
assert abs(border - Normal(0, 1).icdf(torch.tensor(0.3)).item()) < 0.02
assert (flow.diff(dim=1) > -1e-9).all(), "no two paths cross, at any time"
assert torch.minimum((flow[-1] + 1).abs(), (flow[-1] - 0.5).abs()).max() < 0.01, "every path ends at a point"

figure, axes = new_figure(1, 2, height=2.5, sharey=True)
for axis, paths, title in ((axes[0, 0], shaken, r"$\eta = 1$: fresh noise at each step"), (axes[0, 1], flow[:, ::110], r"$\eta = 0$: none")):
    axis.plot(range(1000, -1, -1), paths.numpy(), color=COLOURS["noisy"], linewidth=0.7)
    axis.plot([0, 0], points.numpy(), "o", color=COLOURS["clean"], clip_on=False)
    axis.set(xlabel="time t", xlim=(1000, 0), title=title)
axes[0, 0].set_ylabel("pixel value")
show(figure, "From the same starts: with fresh noise the paths shake and cross; without, they are smooth, keep their order, and reach the same two points.")

# %% [markdown]
# **The flow of normal data is known.** Let a pixel be $\mathcal{N}(m, s^2)$. Every $x_t$ is normal, the paths keep the order, so each quantile goes to the same quantile:
#
# $$
# x_0 = m + s\, \frac{x_T - \sqrt{\bar{\alpha}_T}\, m}{\sqrt{\bar{\alpha}_T\, s^2 + 1 - \bar{\alpha}_T}}.
# $$
#
# Euler's method is of first order: a tenth of the step should give a tenth of the error.

# %%
m, s = 0.5, 0.25


def gaussian_oracle(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]].item()
    return math.sqrt(1 - alpha_bar) / (alpha_bar * s**2 + 1 - alpha_bar) * (x_t - math.sqrt(alpha_bar) * m)


x_T = torch.randn(2000, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
alpha_bar = schedule.alpha_bar[-1]
exact = m + s * (x_T - alpha_bar.sqrt() * m) / (alpha_bar * s**2 + 1 - alpha_bar).sqrt()
counts = [5, 10, 20, 50, 100, 200, 500, 1000]
miss = {steps: (rebuilt_ddim(gaussian_oracle, x_T, schedule, steps) - exact).square().mean().sqrt().item() for steps in counts}
print("root mean square error: " + ", ".join(f"{miss[steps]:.4f} with {steps}" for steps in (10, 100, 1000)))
print(f"100 steps err {miss[100] / miss[1000]:.1f} times as much as 1,000")
assert all(miss[a] > miss[b] for a, b in zip(counts, counts[1:]))
assert 7 < miss[100] / miss[1000] < 13, "first order, within 30%"

figure, axes = new_figure(1, 1, height=2.5)
axes[0, 0].plot(counts, list(miss.values()), color=COLOURS["network"], marker="o", markersize=4)
axes[0, 0].plot([50, 1000], [miss[1000] * 20 * 0.45, miss[1000] * 0.45], color=GREY, linewidth=1)
axes[0, 0].text(150, miss[1000] * 1.6, "slope of first order", color=GREY, ha="right", va="top")
axes[0, 0].text(60, miss[50] * 1.3, r"DDIM, $\eta = 0$", color=COLOURS["network"])
axes[0, 0].set(xscale="log", yscale="log", xlabel="number of steps", ylabel="error of the samples", xticks=counts, xticklabels=counts)
axes[0, 0].minorticks_off()
show(figure, "Against the exact flow, the error of the samples falls in proportion to the length of a step.")

# %% [markdown]
# **With $\eta = 1$ and all $T$ steps it is the sampler of lesson 06**, with the variance $\tilde{\beta}$. Same seed, same draws, so the samples must be equal, up to float32 rounding over 1,000 steps. On the Gaussian oracle,
# and on the trained network with a schedule of 40 steps. It was not trained for that schedule, so expect no digits. Only the equality counts.

# %%
def seeds():
    return torch.Generator().manual_seed(99)


forty = linear_schedule(40, 0.0025, 0.5)
for name, model, shape, course in (("oracle", gaussian_oracle, (500,), schedule), ("network", network, (2, 1, 28, 28), forty)):
    generator = seeds()
    start = torch.randn(shape, generator=generator)
    yours = rebuilt_ddim(model, start, course, course.T, eta=1.0, generator=generator)
    ancestral = sample(model, shape, course, variance=posterior_variance, clip=False, generator=seeds())
    print(f"{name}: equal to 0.001:", bool((yours - ancestral).abs().max() < 1e-3))
    assert (yours - ancestral).abs().max() < 1e-3

# %% [markdown]
# ## Same as the package
#
# `respaced` makes the shorter schedule, and calls the network with the times of the long one. With it, `ddim_step`, the trajectories and `invert` must be yours.

# %%
from minddpm.ddim import ddim_sample, ddim_step, ddim_steps, invert, respaced

for steps in (1, 3, 7, 10, 30, 50, 61, 250, 1000):
    fewer, shorter = respaced(network, schedule, steps)
    assert fewer.times.tolist() == rebuilt_times(schedule, steps)[::-1]
    assert (shorter.alpha_bar - schedule.alpha_bar[fewer.times]).abs().max() < 1e-12

generator = torch.Generator().manual_seed(999)
for steps in (1, 7, 50, 1000):
    _, shorter = respaced(network, schedule, steps)
    x, predicted, noise = torch.randn(3, 4, 1, 28, 28, generator=generator, dtype=torch.float64)
    for k in {1, max(steps // 2, 1), steps}:
        alpha_bar_t, alpha_bar_prev = shorter.alpha_bar[k].item(), shorter.alpha_bar[k - 1].item()
        estimate = x0_from_noise(x, k, predicted, shorter)
        for eta in (0.0, 0.5, 1.0):
            for x_0 in (estimate, estimate.clamp(-1, 1)):
                yours = rebuilt_step(x_0, predicted, alpha_bar_t, alpha_bar_prev, noise, eta=eta)
                theirs = ddim_step(x, k, x_0, predicted, shorter, noise, eta=eta)
                assert torch.allclose(yours, theirs, rtol=1e-6, atol=1e-6), (steps, k, eta)

for eta in (0.0, 0.5):
    generator = seeds()
    x_T = torch.randn(2, 1, 28, 28, generator=generator)
    yours = list(rebuilt_steps(network, x_T, schedule, 10, eta=eta, clip=True, generator=generator))
    generator = seeds()
    x_T = torch.randn(2, 1, 28, 28, generator=generator)
    theirs = list(ddim_steps(network, x_T, schedule, steps=10, eta=eta, generator=generator))
    assert [step.t for step in yours] == [step.t for step in theirs]
    for mine, other in zip(yours, theirs):
        assert torch.allclose(mine.x_t, other.x_t, atol=1e-3) and torch.allclose(mine.x_0, other.x_0, atol=1e-3), (eta, mine.t)
    assert torch.allclose(ddim_sample(network, (2, 1, 28, 28), schedule, steps=10, eta=eta, generator=seeds()), yours[-1].x_t, atol=1e-3)
for repeats in (1, 3):
    yours = rebuilt_invert(network, held_out[:2], schedule, 10, repeats)
    assert torch.allclose(invert(network, held_out[:2], schedule, steps=10, repeats=repeats), yours, atol=1e-3)
assert torch.allclose(invert(gaussian_oracle, exact, schedule, steps=50, repeats=2), rebuilt_invert(gaussian_oracle, exact, schedule, 50, 2), atol=1e-9)
assert torch.allclose(ddim_sample(network, (8, 1, 28, 28), schedule, steps=10, generator=torch.Generator().manual_seed(9)), drawn[10], atol=1e-3)
print("times, steps, trajectories and inversions: equal")

# %% [markdown]
# ## $\mathbf{x}_T$ is a code for the image
#
# Without fresh noise, $\mathbf{x}_T$ alone decides what comes out. So what lies between two starts should lie between two digits.
#
# Do not mix them on the straight line. Two draws of noise with many pixels are nearly at a right angle, and of nearly the same length. The middle of the straight line between them is too short: its variance is
# $\frac{1}{4} + \frac{1}{4} = \frac{1}{2}$. No $\mathbf{x}_T$ of training was so short. Go along the arc (**spherical interpolation**), with $\cos\theta = \mathbf{a} \cdot \mathbf{b} / (|\mathbf{a}| |\mathbf{b}|)$:
#
# $$
# \mathbf{x}_T(\lambda) = \frac{\sin((1 - \lambda)\theta)}{\sin\theta}\, \mathbf{a} + \frac{\sin(\lambda\theta)}{\sin\theta}\, \mathbf{b}.
# $$

# %%
def spherical(a, b, share):
    angle = torch.acos((a * b).sum() / (a.norm() * b.norm()))
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


def straight(a, b, share):
    return (1 - share) * a + share * b


a, b = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(13))
lambdas = torch.linspace(0, 1, 9)
between = {name: torch.stack([mix(a, b, share) for share in lambdas]) for name, mix in (("along the arc", spherical), ("straight", straight))}
mixed = {name: rebuilt_ddim(network, x_T, schedule, 25, clip=True) for name, x_T in between.items()}
for name, x_T in between.items():
    print(f"{name:<14} std of x_T: " + " ".join(f"{x.std():.2f}" for x in x_T))
angle = torch.rad2deg(torch.acos((a * b).sum() / (a.norm() * b.norm())))
print(f"angle between the two: {angle:.0f} degrees")
middle = {name: x_T[4].std().item() for name, x_T in between.items()}
assert abs(middle["straight"] - math.sqrt(0.5)) < 0.03 and abs(middle["along the arc"] - 1) < 0.05

figure, axes = new_figure(2, 9, height=2.0)
for row, (name, digits) in zip(axes, mixed.items()):
    for axis, share, digit in zip(row, lambdas, digits):
        draw_image(axis, digit, rf"$\lambda = {share:.2g}$" if name == "along the arc" else "")
    row[0].text(-0.15, 0.5, name, rotation=90, ha="right", va="center", transform=row[0].transAxes, color=COLOURS["noisy"])
show(figure, "One digit passes into another by way of digits between; here the straight line below passes, too.")

# %% [markdown]
# A single pair shows little: the network forgives a short $\mathbf{x}_T$, and draws a digit all the same. But which? Take the middles of 48 pairs, in ten steps, and compare how much they differ from each other. And the normal
# pixel from above, where the flow is exact: the middles should vary as the data does.

# %%
pairs = torch.randn(2, 48, 1, 28, 28, generator=torch.Generator().manual_seed(14))
starts = {"drawn": pairs[0], "along the arc": torch.stack([spherical(a, b, 0.5) for a, b in zip(*pairs)]), "straight": straight(*pairs, 0.5)}
variety = {name: rebuilt_ddim(network, x_T, schedule, 10, clip=True).var(dim=0).mean().item() for name, x_T in starts.items()}
other = torch.randn(2000, generator=torch.Generator().manual_seed(15), dtype=torch.float64)
first = torch.randn(2000, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
pixels = {"drawn": first, "along the arc": spherical(first, other, 0.5), "straight": straight(first, other, 0.5)}
widths = {name: rebuilt_ddim(gaussian_oracle, x_T, schedule, 1000).std().item() for name, x_T in pixels.items()}
for name in starts:
    print(f"{name:<14} variance between digits {variety[name]:.2f}; std of the normal pixel {widths[name]:.2f}, of the data {s:.2f}")
assert abs(widths["straight"] / widths["drawn"] - math.sqrt(0.5)) < 0.05 and abs(widths["along the arc"] / widths["drawn"] - 1) < 0.05, "2,000 draws"
assert variety["straight"] < 0.9 * variety["along the arc"], "straight mixing makes digits more alike"

# %% [markdown]
# **Encode a real digit and come back.** Three held-out digits go up to $\mathbf{x}_T$ and down again, unclipped, in as many steps. The error is the root mean square over pixels, on their scale from $-1$ to 1.

# %%
originals, returned, encoded, loss = held_out[:3], {}, {}, {}
for repeats in (1, 3):
    for steps in (10, 20, 50, 100):
        encoded[repeats, steps] = rebuilt_invert(network, originals, schedule, steps, repeats)
        returned[repeats, steps] = rebuilt_ddim(network, encoded[repeats, steps], schedule, steps)
        loss[repeats, steps] = (returned[repeats, steps] - originals).square().mean().sqrt().item()
    print(f"noise predicted {'once' if repeats == 1 else 'three times'} a step: " + ", ".join(f"{loss[repeats, steps]:.3f} with {steps}" for steps in (10, 20, 50, 100)))
assert loss[1, 10] > loss[1, 20] > loss[1, 50] > loss[1, 100], "more steps, smaller error"
assert all(loss[3, steps] < loss[1, steps] for steps in (20, 50, 100)), "repeating helps"

figure, axes = new_figure(3, 7, height=3.0, width_ratios=[1, 1, 1, 1, 0.6, 3, 0.01])
shown = {"digit": originals, "$x_T$": encoded[1, 50], "back, 10": returned[1, 10], "back, 50": returned[1, 50]}
for column, (title, images) in enumerate(shown.items()):
    for row in range(3):
        limits = (-2.5, 2.5) if title == "$x_T$" else (-1, 1)
        colour = {0: COLOURS["clean"], 1: COLOURS["noisy"]}.get(column, COLOURS["network"])
        draw_image(axes[row, column], images[row], title if row == 0 else "", colour, limits=limits)
for axis in axes[:, 4:].flat:
    axis.remove()
curve = figure.add_subplot(axes[0, 0].get_gridspec()[:, 5])
for repeats, colour, word in ((1, COLOURS["noise"], "predicted once"), (3, COLOURS["network"], "three times")):
    curve.plot([10, 20, 50, 100], [loss[repeats, steps] for steps in (10, 20, 50, 100)], color=colour, marker="o", markersize=4)
    curve.text(22, loss[repeats, 20] * 1.1, word, color=colour)
curve.set(xscale="log", yscale="log", xlabel="number of steps", ylabel="error", xticks=[10, 20, 50, 100], xticklabels=[10, 20, 50, 100])
curve.minorticks_off()
show(figure, "A digit goes to its code and comes back: by 10 steps faint or changed, by 50 closely; predicting the noise three times a step makes the error much smaller.")

print("std of x_T at the strokes and at the background: "
      f"{encoded[1, 50][originals > 0].std():.2f}, {encoded[1, 50][originals == -1].std():.2f}")
with torch.inference_mode():
    named = network(originals, torch.full((3,), 20))[originals == -1].square().mean().sqrt().item()
print(f"noise that the first step of 50 finds in the background: {named:.2f} (fresh noise: 1)")
assert named < 0.2
assert encoded[1, 50][originals == -1].std() < 0.5 < encoded[1, 50][originals > 0].std()

# %% [markdown]
# Look at $\mathbf{x}_T$ in the second column. It is no draw of $\mathcal{N}(\mathbf{0}, \mathbf{I})$: you can read the digit in it, and the background is almost flat. The first step up asks the network about a background with no
# noise at all. In training there was always noise. It names hardly any, and the background stays flat on the whole way up. Use such a code to come back. Do not take it for noise.

# %% [markdown]
# ## Play
#
# **Does the same start give the same digit?** Move the number of steps with $\eta = 0$. From which number on does the row stand still? Then raise $\eta$, and move again.

# %%
import ipywidgets

from minddpm_course.widgets import play

seven = torch.randn(7, 1, 28, 28, generator=torch.Generator().manual_seed(11))


def draw_few(steps=20, eta=0.0):
    digits = [step.x_0 for step in ddim_steps(network, seven, schedule, steps=steps, eta=eta, generator=torch.Generator().manual_seed(12))]
    figure, axes = new_figure(2, 7, height=2.3)
    for column in range(7):
        draw_image(axes[0, column], seven[column], "$x_T$" if column == 0 else "", COLOURS["noisy"], limits=(-2.5, 2.5))
        draw_image(axes[1, column], digits[-1][column], "digit" if column == 0 else "", COLOURS["network"])
    return figure, f"Seven starts, and the digits that {steps} steps with eta = {eta:.1f} lead to."


play(draw_few, steps=ipywidgets.IntSlider(20, 1, 100), eta=ipywidgets.FloatSlider(0, min=0, max=1, step=0.1))

# %% [markdown]
# ### What fewer steps cost
#
# Time first. All of it goes into the network, so what counts is how often it is asked. One digit, both ways, on this machine:

# %% tags=["nbval-ignore-output"]
seconds = {}
for name, draw in (
    ("warm up", lambda: ddim_sample(network, (1, 1, 28, 28), schedule, steps=20)),
    ("50 DDIM steps", lambda: ddim_sample(network, (1, 1, 28, 28), schedule, steps=50, generator=seeds())),
    ("1,000 ancestral steps", lambda: sample(network, (1, 1, 28, 28), schedule, generator=seeds())),
):
    began = time.perf_counter()
    draw()
    seconds[name] = time.perf_counter() - began
print(f"50 DDIM steps: {seconds['50 DDIM steps']:.2f} s, 1,000 ancestral steps: {seconds['1,000 ancestral steps']:.1f} s")
print(f"ratio: {seconds['1,000 ancestral steps'] / seconds['50 DDIM steps']:.0f}")

# %% [markdown]
# Now quality. `python tools/measure_results.py samplers` drew 250 digits at a time in each way, and compared them with the training digits by the Fréchet distance of lesson 07. Smaller is better. It wrote
# `results.json`. Ancestral sampling runs here on the shortened schedule, as `respaced` makes it, with either variance. DDIM was run twice, with the estimate clipped (the default) and without. Each number below is the mean
# over the batches: two up to 100 steps, one at 250 and 1,000, four for $\beta$ at 1,000. The second batch is the harder one for DDIM. So compare across that border by the first batch, which is printed further down.

# %%
results = json.loads((ASSETS / "results.json").read_text())["samplers"]
table, real = results["frechet"], sum(results["held_out"]) / len(results["held_out"])
mean = {name: {int(steps): sum(row) / len(row) for steps, row in rows.items()} for name, rows in table.items()}
steps_measured = sorted({steps for rows in mean.values() for steps in rows})
ways = {"beta": "beta", "beta tilde": "beta tilde", "ddim": "DDIM, clipped", "ddim unclipped": "not clipped"}
print("steps" + "".join(f"{word:>15}" for word in ways.values()))
for steps in steps_measured:
    print(f"{steps:>5}" + "".join(f"{mean[name][steps]:>15.1f}" for name in ways))
print(f"real digits that were held out: {real:.1f}")

# %%
figure, axes = new_figure(1, 1, height=3.2)
axis = axes[0, 0]
colours = {"beta": COLOURS["noise"], "beta tilde": COLOURS["posterior"], "ddim": COLOURS["network"], "ddim unclipped": COLOURS["network"]}
for name, colour in colours.items():
    steps = sorted(mean[name])
    axis.plot(steps, [mean[name][k] for k in steps], color=colour, marker="o", markersize=4, linestyle="--" if name == "ddim" else "-")
    for k in steps:
        axis.plot([k] * len(table[name][str(k)]), table[name][str(k)], "_", color=colour, markersize=7, markeredgewidth=1)
axis.axhline(real, color=COLOURS["clean"], linewidth=1)
axis.text(5, real * 0.96, "real digits, held out", color=COLOURS["clean"], va="top")
axis.text(5.6, mean["beta"][5], r"ancestral, $\beta$", color=colours["beta"], va="bottom")
axis.text(9, mean["beta tilde"][10], r"ancestral, $\tilde\beta$", color=colours["beta tilde"], va="center", ha="right")
axis.text(230, mean["ddim"][250] * 1.1, "DDIM, clipped", color=colours["ddim"], ha="right")
axis.text(1000, mean["ddim unclipped"][1000] * 1.15, "DDIM, not clipped", color=colours["ddim"], ha="right")
axis.set(xscale="log", yscale="log", xlabel="calls of the network for a digit", ylabel="Fréchet distance", xticks=steps_measured, xticklabels=steps_measured,
         yticks=[1, 2, 5, 10, 20], yticklabels=[1, 2, 5, 10, 20])
axis.minorticks_off()
show(figure, "Ancestral sampling with beta is far off with 5 and 10 steps; with beta tilde 20 steps do; DDIM stays further off, and with the estimate clipped it gets worse beyond 100 steps. Short dashes are single batches.")

# %%
most = max(mean["beta"])
reference = mean["beta"][most]
print(f"50 DDIM steps against {most:,} ancestral ones with beta: {mean['ddim'][50] / reference:.1f} times the distance, not clipped {mean['ddim unclipped'][50] / reference:.1f} times")
many = [k for k in steps_measured if k >= 50]
first = {name: [table[name][str(k)][0] for k in many] for name in ("ddim", "ddim unclipped")}  # the first batch has the same x_T everywhere
for name, row in first.items():
    print(f"first batch, {ways[name]}: " + ", ".join(f"{value:.1f} with {k:,}" for k, value in zip(many, row)) + " steps")
print(f"20 ancestral steps with beta tilde: {mean['beta tilde'][20] / reference:.1f} times")
print(f"5 steps: beta {mean['beta'][5] / mean['ddim'][5]:.1f} times as far as DDIM")
batches = [max(row) / min(row) for rows in table.values() for row in rows.values() if len(row) > 1]
print(f"batches drawn in the same way differ by a factor of up to {max(batches):.1f}")
assert all(mean["beta"][k] > 1.2 * max(mean["ddim"][k], mean["beta tilde"][k]) for k in (5, 10))
assert mean["beta tilde"][20] < 1.3 * reference
assert all(mean["ddim unclipped"][k] > 1.2 * mean["beta tilde"][k] for k in steps_measured if k >= 10)
assert first["ddim"][-1] > 3 * first["ddim"][0] and first["ddim unclipped"][-1] < 1.2 * first["ddim unclipped"][0]

# %% [markdown]
# Four things to read, and one warning.
# - With few steps the variance matters. At 5 and 10 steps $\beta$ is the worst of the three.
# - With $\tilde{\beta}$, 20 steps on the shortened schedule come as near as 1,000 with $\beta$. (The one batch of 1,000 with $\tilde{\beta}$ is nearer still.) DDIM is not what makes few steps possible. Leaving out times is.
# - Here **DDIM is further off than $\tilde{\beta}$**, from 10 steps on, clipped or not. That is $\eta = 0$ against $\eta = 1$. Song, Meng & Ermon found the reverse on photographs. An explanation that others give (Karras et al. 2022,
#   section 4): fresh noise washes out errors that a path without noise carries to its end. This lesson does not test it. What $\eta = 0$ gives you is the fixed path: the same start, the same digit, a way back.
#   If you need none of that, take $\eta = 1$. It is the column $\tilde{\beta}$, apart from what clipping does.
# - **From 50 steps on, more steps make DDIM worse if it clips**, and change next to nothing if it does not. The next cell shows why.
# - The warning: 250 digits are few, and a few odd ones among them move the distance. Do not read small differences.
#
# Say that clipping moves the estimate of a pixel by $d$. A step from $t$ to an earlier time $s$ puts the *predicted* noise back, which knows nothing of $d$. So $\mathbf{x}_s$ moves by $\sqrt{\bar{\alpha}_s}\, d$, however short the step is.
# Many short steps add many such moves. Now let the noise follow the clipped estimate, so that both still add up to $\mathbf{x}_t$. Then $\mathbf{x}_s$ moves by
#
# $$
# \left(\sqrt{\bar{\alpha}_s} - \sqrt{\bar{\alpha}_t}\, \sqrt{\frac{1 - \bar{\alpha}_s}{1 - \bar{\alpha}_t}}\right) d,
# $$
#
# which goes to 0 with the length of the step. Here are both weights of $d$ for a step from $t = 500$, and times the number of steps.

# %%
print("steps    to s   noise kept, times steps   noise follows, times steps")
kept_sum, follows_sum = {}, {}
for steps in (20, 50, 250, 1000):
    t, earlier = 500, 500 - 1000 // steps
    kept = schedule.alpha_bar[earlier].sqrt().item()
    follows = kept - (schedule.alpha_bar[t] * (1 - schedule.alpha_bar[earlier]) / (1 - schedule.alpha_bar[t])).sqrt().item()
    kept_sum[steps], follows_sum[steps] = kept * steps, follows * steps
    print(f"{steps:>5} {earlier:>7} {kept:>12.3f} {kept * steps:>13.1f} {follows:>15.4f} {follows * steps:>13.2f}")
assert kept_sum[1000] > 15 * kept_sum[50] and follows_sum[1000] < follows_sum[50] < 1.2 * follows_sum[1000]

# %% [markdown]
# The course clips by default, as diffusers' `DDIMScheduler` does, and with 50 steps it makes no difference that 250 digits could show. Pass `clip=False` for more than a hundred, and cut off at the end what lies out of range.
# [Lesson 10](10_guidance.ipynb) meets the same trap with few steps, and builds the noise that follows. Ancestral sampling is safe: its posterior has no noise but that between the estimate and $\mathbf{x}_t$.

# %% [markdown]
# ## Mistakes people make
#
# 1. **Times that do not start at $T$, or do not end at 0.** Counting up from $t = 1$ in steps of $T/S$ gives $1, 1 + \frac{T}{S}, \ldots$ ("leading" spacing), and the first call is far below $T$. There $\mathbf{x}_t$ should hold some signal, and $\mathbf{x}_T$
#    has none. Or the loop ends at the last $t > 0$, and returns $\mathbf{x}_t$ with its noise.
# 2. **$\sqrt{1 - \bar{\alpha}_{t-1}}$ with $\eta > 0$**: the fresh noise comes on top of all of the old.
# 3. **$\beta$ for $\tilde{\beta}$ with few steps**: over a long step the two differ much, and what is drawn no longer fits what is kept.
# 4. **Mixing two $\mathbf{x}_T$ on the straight line**: seen above. The variance in the middle is one half.
#
# The marginals find an end at $t > 0$, and mistakes 2 and 3. They do not find leading times: with a network that knows the image, the amount of noise is right wherever you start. Take the pixel at 0.8 again, with the network that knows it, and 20 steps. How much noise is there at the last time before the end, against the $\sqrt{1 - \bar{\alpha}_t}$ that the network expects? And how
# much at the end?

# %%
def wrong_steps(name, model, x_t, generator, steps=20, clip=False):
    """Twenty steps with one mistake in them."""
    times = rebuilt_times(schedule, steps)
    if name == "leading times":
        times = [1 + k * schedule.T // steps for k in range(steps - 1, -1, -1)] + [0]  # 951, 901, ..., 1, 0
    if name == "ends at t > 0":
        times = times[:-1]
    eta = 0.0 if name in ("right, eta = 0", "leading times", "ends at t > 0") else 1.0
    for t, t_prev in zip(times, times[1:]):
        yield t, x_t
        alpha_bar_t, alpha_bar_prev = schedule.alpha_bar[t].item(), schedule.alpha_bar[t_prev].item()
        predicted_noise = model(x_t, torch.full((len(x_t),), t))
        noise = torch.randn(x_t.shape, generator=generator, dtype=x_t.dtype)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
        if clip:
            x_0 = x_0.clamp(-1, 1)
        x_prev = rebuilt_step(x_0, predicted_noise, alpha_bar_t, alpha_bar_prev, noise, eta=eta)
        beta = 1 - alpha_bar_t / alpha_bar_prev
        sigma = math.sqrt((1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta)
        if name == "all noise kept":
            x_prev = math.sqrt(alpha_bar_prev) * x_0 + math.sqrt(1 - alpha_bar_prev) * predicted_noise + sigma * noise
        if name == "beta for beta tilde" and t_prev > 0:
            x_prev = x_prev + (math.sqrt(beta) - sigma) * noise
        x_t = x_prev
    yield times[-1], x_t


names = ["right, eta = 0", "leading times", "ends at t > 0", "right, eta = 1", "all noise kept", "beta for beta tilde"]
surplus, left = {}, {}
print("                     noise at the last t > 0, times what it should be   noise at the end")
for name in names:
    generator = torch.Generator().manual_seed(9)
    x_T = torch.randn(draws, generator=generator, dtype=torch.float64)
    *_, before, (t_end, end) = wrong_steps(name, knows(pixel), x_T, generator)
    t, x_t = (t_end, end) if t_end else before
    surplus[name], left[name] = (x_t.std() / (1 - schedule.alpha_bar[t]).sqrt()).item(), end.std().item()
    print(f"{name:<20} {surplus[name]:>48.2f} {left[name]:>18.2f}")
print(f"leading times: at t = 951 the network expects a signal of {schedule.alpha_bar[951].sqrt():.3f} x_0, at t = 1000 of {schedule.alpha_bar[1000].sqrt():.3f} x_0")
print(f"with 5 steps they start at t = 801, where it expects {schedule.alpha_bar[801].sqrt():.3f} x_0")
for name in ("right, eta = 0", "leading times", "right, eta = 1"):
    assert abs(surplus[name] - 1) < 0.02 and left[name] < 1e-10
assert surplus["all noise kept"] > 1.5 and surplus["beta for beta tilde"] > 1.05
assert abs(left["ends at t > 0"] - (1 - schedule.alpha_bar[50]).sqrt()) < 0.01

# %% [markdown]
# With a network that knows the image, no surplus reaches the end, for the last step removes it. A trained network expects the right amount and takes what is more for a part of the image. On digits, in 20 steps, from the same starts:

# %%
six = torch.randn(6, 1, 28, 28, generator=torch.Generator().manual_seed(9))
figure, axes = new_figure(6, 7, height=5.2, width_ratios=[1.6] + [1] * 6)
grain = {}
for row, name in zip(axes, names):
    with torch.inference_mode():
        *_, (_, digits) = wrong_steps(name, network, six, torch.Generator().manual_seed(10), clip=True)
    grain[name] = digits[..., :4].std().item()
    row[0].set_axis_off()
    row[0].text(1, 0.5, name.replace(", ", ",\n").replace("for ", "for\n"), ha="right", va="center", transform=row[0].transAxes)
    for axis, digit in zip(row[1:], digits):
        draw_image(axis, digit)
show(figure, "Leading times are hard to tell from right; an end at t > 0 leaves grain; with all noise kept nothing is left to read; beta for beta tilde leaves a faint grain.")
print("std of the four columns at the left edge: " + ", ".join(f"{name}: {grain[name]:.2f}" for name in ("right, eta = 1", "beta for beta tilde")))
assert grain["beta for beta tilde"] > grain["right, eta = 1"] and grain["ends at t > 0"] > 2 * grain["right, eta = 0"]

# %% [markdown]
# Leading times do little harm here, because this schedule has almost no signal left at $t = 951$ either. With 5 steps the missing signal is larger. Check times by their numbers, not by eye.

# %% [markdown]
# ## Check yourself
#
# <details><summary>Why does the network need no new training for another number of steps?</summary>
#
# The simple loss saw clean images noised to x_t, for every t from 1 to T, and nothing of how two times hang together. Every process with these marginals fits it.
# </details>
#
# <details><summary>Your DDIM with eta = 0 gives another digit each time, from the same x_T. What do you look for?</summary>
#
# A draw inside the loop that has an effect. With eta = 0 the fresh noise must have the factor 0. Or the network is in training mode, and drops units at random.
# </details>
#
# <details><summary>With eta = 1 and 50 steps your samples are grainy, with eta = 0 they are clean. Which line do you read?</summary>
#
# The one with the noise that is kept. Its factor must be the root of 1 - alpha_bar_{t-1} - sigma^2, so that old and fresh noise together have the variance 1 - alpha_bar_{t-1}. Then look at sigma: over a long step beta is much more than beta tilde.
# </details>
#
# **Exercises:** [09 · Fewer steps](../exercises/09_ddim.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [10 · Guidance](10_guidance.ipynb) asks the network for the digit of your choice.
