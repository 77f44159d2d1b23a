# %% [markdown]
# # 09 · Fewer steps
#
# **You will**
# - find a family of reverse processes that all fit the same trained network, one of which draws no noise;
# - build its step and its loop, and draw the same digit from the same noise in 10, 50 or 1,000 steps;
# - mix two noises, go from a digit back to its noise, and see what fewer steps cost.
#
# **You need** the jump to $\mathbf{x}_t$ ([02 · Noising](02_noising.ipynb)), the posterior ([03 · Posterior](03_posterior.ipynb)), the sampler
# ([06 · Sampler](06_sampler.ipynb)) and, for one remark, the probability flow ([08 · The score](08_score.ipynb)).
#
# **It takes** 30 minutes to read and about 40 seconds to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import json
import math
from statistics import median

import ipywidgets
import matplotlib
import torch
from torch.distributions import Normal

from minddpm import Schedule, forward_diffusion, posterior_variance, sample, x0_from_noise
from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm_course.figures import (
    COLOURS,
    STYLE,
    draw_image,
    image_grid,
    in_a_row,
    new_figure,
    show,
)
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
network, schedule, _ = load_pretrained("mnist")
held_out, _ = load_mnist("test")

# %% [markdown]
# ## The idea in a picture
#
# The sampler of lesson 06 calls the network 1,000 times for one digit. Why so often?
# It draws each step back from a Gaussian, and the true step back is nearly Gaussian only if it is short ([Sohl-Dickstein et al. 2015](https://arxiv.org/abs/1503.03585)).
# After a long step back there are several digits to choose from, and one bell does not fit them.
#
# Leave out most of the times (other libraries say *timesteps*) all the same. The sampler still runs: the $\beta$ of a long step from $t$ to $s$ is $1 - \bar{\alpha}_t / \bar{\alpha}_s$.

# %%
def lesson_06(steps):
    """Three digits by ancestral sampling, with only so many of the 1,000 times."""
    times = torch.arange(0, 1001, 1000 // steps)  # (steps+1,)
    alpha_bar = schedule.alpha_bar[times]  # (steps+1,)
    shorter = Schedule.from_betas(1 - alpha_bar[1:] / alpha_bar[:-1])
    generator = torch.Generator().manual_seed(9)
    return sample(lambda x, k: network(x, times[k]), x_T.shape, shorter, generator=generator)


x_T = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(9))
ancestral = {steps: lesson_06(steps) for steps in (1000, 50, 10)}

# %% [markdown]
# This lesson takes another step. Estimate the clean image. Then noise the estimate again, to an earlier time, with **the same noise that the network predicted**.
# Nothing is drawn after $\mathbf{x}_T$. And the earlier time need not be $t - 1$. It may be $t - 100$.

# %%
@torch.inference_mode()
def few_steps(x_t, steps):
    times = range(1000, -1, -1000 // steps)  # 1000, ..., 0
    for t, s in zip(times, times[1:]):
        predicted_noise = network(x_t, torch.full((len(x_t),), t))  # (b, 1, 28, 28)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)  # (b, 1, 28, 28)
        x_t, _ = forward_diffusion(x_0, s, schedule, predicted_noise)  # (b, 1, 28, 28)
    return x_t


direct = {steps: few_steps(x_T, steps) for steps in (1000, 50, 10)}

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(2, 12, height=1.75, width_ratios=[1.1, 1, 1, 1, 0.2, 1, 1, 1, 0.2, 1, 1, 1])
for row, digits, name in ((axes[0], ancestral, "lesson 06"), (axes[1], direct, "this lesson")):
    for axis in row:
        axis.set_axis_off()
    row[0].text(0.9, 0.5, name, ha="right", va="center", transform=row[0].transAxes)
    for block, steps in enumerate((1000, 50, 10)):
        for place, digit in enumerate(digits[steps]):
            draw_image(row[1 + 4 * block + place], digit)
for block, steps in enumerate((1000, 50, 10)):
    axes[0, 2 + 4 * block].set_title(f"{steps:,} steps", color=COLOURS["network"])
show(
    figure,
    "All start from the same three noises. Above, the digits change with the number of steps, "
    "and ten steps leave grain. "
    "Below, each noise leads to much the same digit in 1,000, 50 and 10 steps.",
)

# %%
moved = (direct[10] - direct[1000]).square().mean().sqrt().item()
print(f"this lesson, root mean square between 10 and 1,000 steps: {moved:.2f}")
assert moved < 0.5 * (ancestral[10] - ancestral[1000]).square().mean().sqrt().item()

# %% [markdown]
# ## The derivation
#
# **1. What the network has learned.** The simple loss draws $t$ and noises a clean image straight to $\mathbf{x}_t$. It uses only the **marginals**, the distribution of each $\mathbf{x}_t$ by itself, given $\mathbf{x}_0$ (eq. 4 of [Ho et al. 2020](https://arxiv.org/abs/2006.11239)):
#
# $$
# q(\mathbf{x}_t | \mathbf{x}_0) = \mathcal{N}\left(\mathbf{x}_t;\; \sqrt{\bar{\alpha}_t}\, {\color{#0072B2}{\mathbf{x}_0}},\; (1 - \bar{\alpha}_t)\, \mathbf{I}\right).
# $$
#
# How $\mathbf{x}_{t-1}$ and $\mathbf{x}_t$ depend on each other never enters. So any process with these marginals fits the trained network. Lesson 06 reversed one of them, a **Markov chain**: there, the past acts on $\mathbf{x}_t$ only through $\mathbf{x}_{t-1}$.
#
# **2. A family with the same marginals** ([Song, Meng & Ermon 2021](https://arxiv.org/abs/2010.02502), eq. 7). If you know ${\color{#B3528C}{\mathbf{x}_t}}$ and ${\color{#0072B2}{\mathbf{x}_0}}$, you know the noise between them:
# ${\color{#C05500}{\boldsymbol{\epsilon}}} = (\mathbf{x}_t - \sqrt{\bar{\alpha}_t}\, \mathbf{x}_0) / \sqrt{1 - \bar{\alpha}_t}$. Keep a part of it, and replace the rest by fresh noise $\mathbf{z} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$:
#
# $$
# \mathbf{x}_{t-1} = \sqrt{\bar{\alpha}_{t-1}}\, {\color{#0072B2}{\mathbf{x}_0}} + \sqrt{1 - \bar{\alpha}_{t-1} - \sigma_t^2}\; {\color{#C05500}{\boldsymbol{\epsilon}}} + \sigma_t\, {\color{#C05500}{\mathbf{z}}},
# \qquad 0 \le \sigma_t^2 \le 1 - \bar{\alpha}_{t-1}.
# $$
#
# Suppose that $\mathbf{x}_t$ has its marginal. Then $\boldsymbol{\epsilon} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$, and $\mathbf{z}$ is independent of it, so their variances add up to $1 - \bar{\alpha}_{t-1}$.
# The mean is $\sqrt{\bar{\alpha}_{t-1}}\, \mathbf{x}_0$. So $\mathbf{x}_{t-1}$ has its marginal too, whatever $\sigma_t$ is. Start at $T$, and the same follows for all times.
#
# **3. How much of the noise is fresh?** Write $\sigma_t$ as a share $\eta$ of the posterior's standard deviation (eq. 16 of that paper):
#
# $$
# \sigma_t^2 = \eta^2\, \tilde{\beta}_t, \qquad \tilde{\beta}_t = \frac{1 - \bar{\alpha}_{t-1}}{1 - \bar{\alpha}_t} \left(1 - \frac{\bar{\alpha}_t}{\bar{\alpha}_{t-1}}\right).
# $$
#
# - $\eta = 1$ is the posterior of lesson 03, so this is ancestral sampling with the variance $\tilde{\beta}_t$ (*fixed_small*). The variance kept is
#   $1 - \bar{\alpha}_{t-1} - \tilde{\beta}_t = \frac{\alpha_t (1 - \bar{\alpha}_{t-1})^2}{1 - \bar{\alpha}_t}$.
#   Its root over $\sqrt{1 - \bar{\alpha}_t}$ multiplies $\mathbf{x}_t$, and that is the weight of $\mathbf{x}_t$ in ${\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t}}$.
# - $\eta = 0$ draws nothing. From $\mathbf{x}_T$ on, everything is determined. This is **DDIM**, the denoising diffusion *implicit* model.
#
# **4. The network in place of what you do not know.** Put ${\color{#008561}{\boldsymbol{\epsilon}_\theta}}$ for the noise, and ${\color{#008561}{\hat{\mathbf{x}}_0}}$ for the clean image (eq. 12 of that paper):
#
# $$
# \mathbf{x}_{t-1} = \sqrt{\bar{\alpha}_{t-1}}\, {\color{#008561}{\hat{\mathbf{x}}_0}} + \sqrt{1 - \bar{\alpha}_{t-1} - \sigma_t^2}\; {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) + \sigma_t\, {\color{#C05500}{\mathbf{z}}}.
# $$
#
# **5. Leave out times.** Nothing above used that $t - 1$ comes right before $t$. Only two numbers entered, $\bar{\alpha}_t$ and $\bar{\alpha}_{t-1}$. So take any earlier time $s$, and $\bar{\alpha}_s$ in place of $\bar{\alpha}_{t-1}$.
# With $S$ steps this course calls the network at $T, T - \frac{T}{S}, \ldots, \frac{T}{S}$, and ends on the clean image, $t = 0$, where $\bar{\alpha}_0 = 1$. (Libraries call this *trailing* spacing.)
#
# **6. Why few steps are enough if $\eta = 0$.** Divide step 4 by $\sqrt{\bar{\alpha}_s}$, and write $r_t = \sqrt{(1 - \bar{\alpha}_t) / \bar{\alpha}_t}$ (eq. 13 of that paper):
#
# $$
# \frac{\mathbf{x}_s}{\sqrt{\bar{\alpha}_s}} = \frac{\mathbf{x}_t}{\sqrt{\bar{\alpha}_t}} + (r_s - r_t)\; {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t).
# $$
#
# This is Euler's method for a differential equation, the probability flow of lesson 08: the step is $r_s - r_t$, and the slope is $\boldsymbol{\epsilon}_\theta$. Fewer steps draw a coarser line along the same path, and where the slope hardly changes, a long step does no harm.
#
# **7. Back up to the noise** (*DDIM inversion*). Solve step 6 for $\mathbf{x}_t$ to go from a digit up to the $\mathbf{x}_T$ that leads to it. But the slope belongs to the upper end, $\boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)$, and $\mathbf{x}_t$ is what you look for. There are two ways out.
# - Predict **at the present time**: $\boldsymbol{\epsilon}_\theta(\mathbf{x}_s, s)$. This is Euler's method upwards, as in OpenAI's guided-diffusion. It assumes that the slope is the same at both ends of the step.
# - Predict **at the time aimed at**: $\boldsymbol{\epsilon}_\theta(\mathbf{x}_s, t)$, as diffusers does. It assumes that the network sees the same noise in $\mathbf{x}_s$ as in $\mathbf{x}_t$. You can then predict again at the $\mathbf{x}_t$ found, and improve it.

# %% [markdown]
# ## Rebuild it
#
# Before each function stands an empty one with the same signature. Try it first, if you like: fill it in, and compare with the cell below.
#
# First the step from $t$ to an earlier time $s$: how much noise it draws, and where it leads.

# %%
def sigma(eta, alpha_bar_t, alpha_bar_s):
    """The standard deviation of the fresh noise in a step from t to s."""
    # your lines


def ddim_step(x_0, predicted_noise, alpha_bar_s, fresh=0.0, noise=0.0):
    """x_s, from an estimate of x_0 and the predicted noise."""
    # your lines


# %%
def sigma(eta, alpha_bar_t, alpha_bar_s):
    beta = 1 - alpha_bar_t / alpha_bar_s  # of the long step
    return eta * math.sqrt((1 - alpha_bar_s) / (1 - alpha_bar_t) * beta)


def ddim_step(x_0, predicted_noise, alpha_bar_s, fresh=0.0, noise=0.0):
    kept = math.sqrt(max(1 - alpha_bar_s - fresh**2, 0))  # rounding may leave -1e-17
    return math.sqrt(alpha_bar_s) * x_0 + kept * predicted_noise + fresh * noise  # (b, *dims)


# %% [markdown]
# Next, the times and the loop. If $\eta > 0$ it draws noise at each step. As in lesson 06, it can clip the estimate.

# %%
def times_down(T, steps):
    """T, T - T/steps, ..., T/steps, 0: steps + 1 whole numbers."""
    # your lines


def ddim_steps(model, x_t, schedule, times, *, eta=0.0, clip=False, generator=None):
    """Yield t, x_t and the estimate of x_0, from times[0] to times[-1]."""
    # your lines


# %%
def times_down(T, steps):
    return [round(T - k * T / steps) for k in range(steps)] + [0]


@torch.inference_mode()
def ddim_steps(model, x_t, schedule, times, *, eta=0.0, clip=False, generator=None):
    alpha_bar = schedule.alpha_bar.tolist()
    for t, s in zip(times, times[1:]):
        predicted_noise = model(x_t, torch.full((len(x_t),), t))  # (b, *dims)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)  # (b, *dims)
        x_0 = x_0.clamp(-1, 1) if clip else x_0
        yield t, x_t, x_0
        noise = torch.randn(x_t.shape, generator=generator, dtype=x_t.dtype) if eta else 0.0
        fresh = sigma(eta, alpha_bar[t], alpha_bar[s])
        x_t = ddim_step(x_0, predicted_noise, alpha_bar[s], fresh, noise)  # (b, *dims)
    yield times[-1], x_t, x_t


# %%
def ddim(model, x_T, schedule, steps, **options):
    """The image that the loop ends with."""
    *_, (_, x_0, _) = ddim_steps(model, x_T, schedule, times_down(schedule.T, steps), **options)
    return x_0


print("7 steps:", times_down(1000, 7))
assert torch.allclose(ddim(network, x_T, schedule, 10), direct[10], atol=1e-4)

# %% [markdown]
# Last, the way back up. With `ahead` the network is told the time aimed at, and `repeats` says how often it predicts in a step.

# %%
def invert(model, x_0, schedule, steps, repeats=1, ahead=True):
    """x_T, from which DDIM with eta = 0 leads back to nearly x_0."""
    # your lines


# %%
@torch.inference_mode()
def invert(model, x_0, schedule, steps, repeats=1, ahead=True):
    alpha_bar, upwards = schedule.alpha_bar.tolist(), times_down(schedule.T, steps)[::-1]
    x_s = x_0
    for s, t in zip(upwards, upwards[1:]):
        time = t if ahead else max(s, 1)  # the network never saw t = 0
        x_t = x_s  # a first guess
        for _ in range(repeats):
            predicted_noise = model(x_t, torch.full((len(x_t),), time))  # (b, *dims)
            clean = x_s - math.sqrt(1 - alpha_bar[s]) * predicted_noise  # (b, *dims)
            clean = clean / math.sqrt(alpha_bar[s])  # (b, *dims)
            x_t = ddim_step(clean, predicted_noise, alpha_bar[t])  # (b, *dims)
        x_s = x_t
    return x_s


# %% [markdown]
# ## By hand
#
# One pixel: $x_t = 0.4$, predicted noise 0.3, $\bar{\alpha}_t = 0.5$. Take a short step with $\eta = 0$ to $\bar{\alpha}_{t-1} = 0.505$ (a rounding of $0.5 / 0.99$), and a long one from the same $x_t$, to a time where $\bar{\alpha} = 0.9$.

# %% tags=["worked-example"]
x_0 = (0.4 - math.sqrt(1 - 0.5) * 0.3) / math.sqrt(0.5)
print(f"x_0 estimate = (0.4 - 0.7071 * 0.3) / 0.7071 = {x_0:.4f}")
for alpha_bar_s in (0.505, 0.9):
    signal, kept = math.sqrt(alpha_bar_s) * x_0, math.sqrt(1 - alpha_bar_s) * 0.3
    x_s = ddim_step(x_0, 0.3, alpha_bar_s)
    print(f"to alpha_bar = {alpha_bar_s}: {signal:.5f} + {kept:.5f} = {x_s:.5f}")
    assert abs(signal + kept - x_s) < 1e-12
assert (round(x_0, 4), round(ddim_step(x_0, 0.3, 0.505), 4)) == (0.2657, 0.3999)
assert (round(signal, 5), round(kept, 5), round(x_s, 5)) == (0.25205, 0.09487, 0.34692)

# %% [markdown]
# The short step again, with $\eta = 1$ and fresh noise $z = 0.1$. Its mean is the 0.3978 of lesson 06.

# %% tags=["worked-example"]
fresh = sigma(1.0, 0.5, 0.505)
kept = math.sqrt(0.495 - fresh**2)
mean = ddim_step(x_0, 0.3, 0.505, fresh, 0.0)
print(f"sigma = sqrt(0.495 / 0.5 * (1 - 0.5 / 0.505)) = {fresh:.4f}")
print(f"noise kept: sqrt(0.495 - 0.0990^2) = {kept:.4f}")
print(f"mean = 0.1888 + {kept:.4f} * 0.3 = {mean:.4f}")
print(f"plus {fresh:.4f} * 0.1: {mean + fresh * 0.1:.3f}")
assert (round(fresh, 4), round(kept, 4), round(mean, 4)) == (0.0990, 0.6966, 0.3978)
assert round(ddim_step(x_0, 0.3, 0.505, fresh, 0.1), 3) == round(mean + fresh * 0.1, 3) == 0.408

# %% [markdown]
# ## Believe it
#
# **The marginals are the same for every $\eta$.** Take a clean pixel at 0.8, noise it 100,000 times to $x_T$, and go down in ten steps with a network that knows the pixel.
# At each time the mean must be $0.8 \sqrt{\bar{\alpha}_t}$ and the standard deviation $\sqrt{1 - \bar{\alpha}_t}$, up to 4.5 standard errors.

# %%
def knows_the_pixel(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]]  # one time for all
    return (x_t - alpha_bar.sqrt() * 0.8) / (1 - alpha_bar).sqrt()  # (n,)


clean = torch.full((100_000,), 0.8, dtype=torch.float64)
for eta in (0.0, 0.5, 1.0):
    generator = torch.Generator().manual_seed(9)
    x_T, _ = forward_diffusion(clean, 1000, schedule, generator=generator)  # (n,)
    options = {"eta": eta, "generator": generator}
    way = ddim_steps(knows_the_pixel, x_T, schedule, times_down(1000, 10), **options)
    for t, x_t, _ in list(way)[:-1]:
        spread = (1 - schedule.alpha_bar[t]).sqrt()
        if t in (900, 500, 100):
            print(f"eta = {eta}, t = {t}: standard deviation {x_t.std():.2f}, exact {spread:.2f}")
        assert abs(x_t.mean() - 0.8 * schedule.alpha_bar[t].sqrt()) <= 4.5 * spread / math.sqrt(1e5)
        assert abs(x_t.std() - spread) <= 4.5 * spread / math.sqrt(2e5)

# %% [markdown]
# **Without fresh noise, paths never cross.** Lesson 06 had data of two points, 30% at $-1$ and 70% at $0.5$, and its perfect network. Follow 1,000 steps from many starts.
# If two exact paths met, they would go on as one. So they keep their order, and the lowest 30% of the starts end at $-1$. The border must be the 30% quantile of $\mathcal{N}(0, 1)$.

# %%
points, shares = torch.tensor([-1.0, 0.5]).double(), torch.tensor([0.3, 0.7]).double()


def two_points(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]]
    distance = (x_t[:, None] - alpha_bar.sqrt() * points) ** 2  # (b, 2)
    weight = (shares.log() - distance / (2 * (1 - alpha_bar))).softmax(dim=1)  # (b, 2)
    return (x_t - alpha_bar.sqrt() * weight @ points) / (1 - alpha_bar).sqrt()  # (b,)


starts = torch.linspace(-2.2, 2.2, 2201, dtype=torch.float64)
ends = ddim(two_points, starts, schedule, 1000)  # (2201,)
border, quantile = starts[ends > 0].min().item(), Normal(0, 1).icdf(torch.tensor(0.3)).item()
print(f"border between the starts: {border:.2f}; 30% quantile: {quantile:.2f}")
assert abs(border - quantile) < 0.02 and (ends.diff() > -1e-9).all()

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(1, 2, height=2.4, sharey=True)
for axis, eta, title in zip(axes[0], (1.0, 0.0), (r"$\eta = 1$: fresh noise at each step", r"$\eta = 0$: none")):
    generator = torch.Generator().manual_seed(9)
    times = times_down(1000, 1000)
    way = ddim_steps(two_points, starts[::110], schedule, times, eta=eta, generator=generator)
    paths = torch.stack([x_t for _, x_t, _ in way]).numpy()
    axis.plot(range(1000, -1, -1), paths, color=COLOURS["noisy"], linewidth=0.7)
    axis.plot([0, 0], points.numpy(), "o", color=COLOURS["clean"], clip_on=False)
    axis.set(xlabel="time t", xlim=(1000, 0), title=title)
axes[0, 0].set_ylabel("pixel value")
show(
    figure,
    "From the same starts: with fresh noise the paths shake and cross; without, they are smooth, "
    "keep their order, and reach the same two points.",
)

# %% [markdown]
# **Euler's method is of first order**: a tenth of the step should leave about a tenth of the error. For a pixel from $\mathcal{N}(0.5, 0.25^2)$ the perfect network is known, and so is the end of each path.
# Because paths keep their order, a start at $x_T$ ends at $0.5 + 0.25\, x_T$, but for a trace of signal that is left at $T$.

# %%
def normal_pixel(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]]
    variance = alpha_bar * 0.25**2 + 1 - alpha_bar  # of x_t
    return (1 - alpha_bar).sqrt() / variance * (x_t - alpha_bar.sqrt() * 0.5)  # (n,)


start = torch.randn(2000, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
last = schedule.alpha_bar[1000]
exact = 0.5 + 0.25 * (start - last.sqrt() * 0.5) / (last * 0.25**2 + 1 - last).sqrt()
errors = [(ddim(normal_pixel, start, schedule, n) - exact).abs().max() for n in (10, 100, 1000)]
print("largest error: " + ", ".join(f"{e:.4f} with {n}" for e, n in zip(errors, (10, 100, 1000))))
assert 7 < errors[1] / errors[2] < 13, "first order, within 30%"

# %% [markdown]
# **With $\eta = 1$ and all $T$ steps it is the sampler of lesson 06**, with the variance $\tilde{\beta}$. From the same seed, the two must agree up to rounding.

# %%
generator = torch.Generator().manual_seed(99)
start = torch.randn(500, generator=generator)
mine = ddim(normal_pixel, start, schedule, 1000, eta=1.0, generator=generator)
generator.manual_seed(99)
settings = {"variance": posterior_variance, "clip": False, "generator": generator}
theirs = sample(normal_pixel, (500,), schedule, **settings)
print("equal to 0.001:", bool((mine - theirs).abs().max() < 1e-3))
assert (mine - theirs).abs().max() < 1e-3

# %% [markdown]
# ## The noise is a code for the digit
#
# With $\eta = 0$, $\mathbf{x}_T$ alone decides what comes out. It is a **latent variable**: a hidden code for the image. So what lies between two codes should lie between two digits.
#
# Do not mix codes on a straight line. They are independent, so the middle has variance $\frac{1}{4} + \frac{1}{4} = \frac{1}{2}$. No $\mathbf{x}_T$ in training was so weak, and the digits that come out are too alike.
# Go along the arc instead (*spherical interpolation*, or *slerp*), with the angle $\theta$ from $\cos\theta = \mathbf{a} \cdot \mathbf{b} / (|\mathbf{a}| |\mathbf{b}|)$:
#
# $$
# \mathbf{x}_T(\lambda) = \frac{\sin((1 - \lambda)\theta)}{\sin\theta}\, \mathbf{a} + \frac{\sin(\lambda\theta)}{\sin\theta}\, \mathbf{b}.
# $$

# %%
def along_the_arc(a, b, share):
    angle = torch.acos((a * b).sum() / (a.norm() * b.norm()))
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


lambdas = torch.linspace(0, 1, 9)
pairs = torch.randn(2, 2, 1, 28, 28, generator=torch.Generator().manual_seed(13))
codes = torch.stack([along_the_arc(a, b, share) for a, b in pairs for share in lambdas])
between = ddim(network, codes, schedule, 20)  # (18, 1, 28, 28)
a, b = pairs[0]
print(f"standard deviation of the middle: arc {codes[4].std():.2f}, line {((a + b) / 2).std():.2f}")
assert abs(codes[4].std() - 1) < 0.06 and abs(((a + b) / 2).std() - math.sqrt(0.5)) < 0.06

# %% jupyter={"source_hidden": true}
titles = [r"$\lambda = 0$", "", "", "", r"$\lambda = \frac{1}{2}$", "", "", "", r"$\lambda = 1$"]
show(
    image_grid(between, titles + [""] * 9, columns=9),
    "Two pairs of noises, mixed along the arc: each row passes from one digit to another by way "
    "of shapes between them.",
)

# %% [markdown]
# **From a digit to its code and back.** Six held-out digits go up in each of the ways of step 7, and down again in as many steps. The error is the root mean square over pixels, which lie between $-1$ and 1.

# %%
digits = held_out[:6]  # (6, 1, 28, 28)
ways = {
    "present time": {"ahead": False},
    "time aimed at": {},
    "time aimed at, twice": {"repeats": 2},
}
codes, error = {}, {}
for way, options in ways.items():
    for steps in (10, 20, 50):
        codes[way, steps] = invert(network, digits, schedule, steps, **options)
        back = ddim(network, codes[way, steps], schedule, steps)
        error[way, steps] = (back - digits).square().mean().sqrt().item()
    print(f"{way:<21}" + ", ".join(f"{error[way, n]:.3f} with {n} steps" for n in (10, 20, 50)))
    assert error[way, 10] > error[way, 20] > error[way, 50]

# %%
once, twice = "time aimed at", "time aimed at, twice"
assert all(0.5 < error["present time", n] / error[once, n] < 2 for n in (10, 20, 50))
assert all(error[twice, n] < 0.5 * error[once, n] for n in (10, 20, 50))
weak = codes[once, 50][digits == -1].std().item()  # where the digit is black
strong = codes[once, 50][digits > 0].std().item()  # at its strokes
print(f"x_T of 50 steps: standard deviation {weak:.2f} at the background, {strong:.2f} at strokes")
assert weak < 0.5 < strong

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(3, 6, height=3.0, width_ratios=[1, 1, 1, 1, 0.5, 3.2])
shown = {
    "digit": (digits, "clean", 1),
    "$x_T$": (codes[once, 50], "noisy", 2.5),
    "back, 10": (ddim(network, codes[once, 10], schedule, 10), "network", 1),
    "back, 50": (ddim(network, codes[once, 50], schedule, 50), "network", 1),
}
for column, (title, (images, role, limit)) in enumerate(shown.items()):
    for row in range(3):
        draw_image(axes[row, column], images[row], title if row == 0 else "", COLOURS[role], limits=(-limit, limit))
for axis in axes[:, 4:].flat:
    axis.remove()
curve = figure.add_subplot(axes[0, 0].get_gridspec()[:, 5])
for way, colour, style in (("present time", "noise", "--"), (once, "network", "-"), (twice, "clean", "-")):
    measured = [error[way, n] for n in (10, 20, 50)]
    curve.plot([10, 20, 50], measured, style, color=COLOURS[colour], marker="o", markersize=4)
curve.text(19.5, error["present time", 20] * 0.85, "present\ntime", color=COLOURS["noise"], va="top", ha="right")
curve.text(22, error[once, 20] * 1.1, once, color=COLOURS["network"])
curve.text(19.5, error[twice, 20] * 0.7, "time aimed\nat, twice", color=COLOURS["clean"], va="top", ha="right")
curve.set(xscale="log", yscale="log", xlabel="number of steps", ylabel="error")
curve.set(xticks=[10, 20, 50], xticklabels=[10, 20, 50])
curve.minorticks_off()
show(
    figure,
    "Left: three digits, their codes, and what comes back when the noise is predicted once, at the time aimed at. "
    "Right: more steps bring all digits closer; a second prediction helps more than the choice of the time.",
)

# %% [markdown]
# Predicted once, both ways come back about equally close. A second prediction helps more, because it is made nearer to the point where the slope belongs.
#
# Look at $\mathbf{x}_T$ in the second column. It is no draw of $\mathcal{N}(\mathbf{0}, \mathbf{I})$: you can read the digit in it, and the background is weak. The first step up shows the network a background without noise, which it never saw in training, and it finds hardly any there.
# So use such a code to come back. Do not take it for noise.

# %% [markdown]
# ## How good, by how many steps
#
# The network takes nearly all of the time, so count its calls (papers say *NFE*, number of function evaluations). `python tools/measure_results.py samplers` drew batches of 250 digits in four ways, and compared each batch with the training digits by the Fréchet distance of lesson 07. Smaller is better.
# The distance depends on how many digits are compared, so every batch has as many. The table has medians, in each column over equally many batches of all ways.

# %%
results = json.loads((ASSETS / "results.json").read_text())["samplers"]
table, counts = results["frechet"], (5, 10, 20, 50, 100, 1000)
batches = {n: min(len(table[way][str(n)]) for way in table) for n in counts}
distance = {way: {n: median(table[way][str(n)][: batches[n]]) for n in counts} for way in table}
print("steps           " + "".join(f"{n:>7,}" for n in counts))
for way, row in distance.items():
    print(f"{way:<16}" + "".join(f"{row[n]:>7.1f}" for n in counts))
real = ", ".join(f"{value:.1f}" for value in results["held_out"])
print("batches         " + "".join(f"{batches[n]:>7}" for n in counts))
print(f"two batches of held-out digits: {real}")

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(height=3.0)
axis = axes[0, 0]
colours = {"beta": "noise", "beta tilde": "posterior", "ddim": "network", "ddim unclipped": "network"}
for way, role in colours.items():
    style = "--" if way == "ddim" else "-"
    axis.plot(counts, list(distance[way].values()), style, color=COLOURS[role], marker="o", markersize=4)
    for n in counts:
        found = table[way][str(n)][: batches[n]]
        axis.plot([n] * len(found), found, "_", color=COLOURS[role], markersize=8)
axis.axhspan(min(results["held_out"]), max(results["held_out"]), color=COLOURS["clean"], alpha=0.2, linewidth=0)
axis.text(5, min(results["held_out"]) * 0.95, "real digits, held out", color=COLOURS["clean"], va="top")
axis.text(5.5, distance["beta"][5], r"lesson 06, $\beta$", color=COLOURS["noise"], va="bottom")
axis.text(9.3, distance["beta tilde"][10], r"$\eta = 1$", color=COLOURS["posterior"], va="top", ha="right")
axis.text(900, distance["ddim"][1000], r"$\eta = 0$, clipped", color=COLOURS["network"], ha="right")
height = distance["ddim unclipped"][1000] * 1.15
axis.text(1000, height, r"$\eta = 0$, not clipped", color=COLOURS["network"], ha="right")
ticks = [1, 2, 5, 10, 20]
axis.set(xscale="log", yscale="log", xlabel="calls of the network for a digit", ylabel="Fréchet distance")
axis.set(xticks=counts, xticklabels=counts, yticks=ticks, yticklabels=ticks)
axis.minorticks_off()
show(
    figure,
    "With few steps, the variance beta of lesson 06 is far off; with eta = 1 twenty steps come near to a thousand; "
    "eta = 0 stays further off, and with clipping it gets worse when there are many steps. "
    "Points are medians, short dashes single batches.",
)

# %% [markdown]
# Read four things from it.
# - **With few steps, the variance matters.** *beta* is the sampler of lesson 06 (*fixed_large*). In a long step it adds more fresh noise than it took out of the old.
# - **Leaving out times saves the work, not $\eta = 0$.** *beta tilde* is $\eta = 1$, and in 20 steps it comes within a factor of two of its 1,000.
# - **Here $\eta = 0$ is further off than $\eta = 1$**, from 10 steps on. What $\eta = 0$ gives you is the fixed path: the same digit from the same noise, and a way back.
# - **With $\eta = 0$ and many steps, do not clip.** Where clipping moves the estimate by $d$, the step still puts all of the predicted noise back. So $\mathbf{x}_s$ moves by $\sqrt{\bar{\alpha}_s}\, d$, however short the step is, and a thousand such moves add up. Lesson 10 meets this again.
#
# Small differences mean little, because a few odd digits can move a distance. [How good by how many steps](../docs/appendix_steps.md) says how it was measured, and works out what clipping does.
#
# A solver of second order also uses how the slope changes, so that it follows the same flow more closely in as few steps. `minddpm.solvers` has one, DPM-Solver++ ([Lu et al. 2022](https://arxiv.org/abs/2211.01095)), for which ten steps are enough.

# %% [markdown]
# ## Same as the package
#
# The package's `respaced` makes a shorter schedule for any sampler, and calls the network with the times of the long one. Its times, steps, paths and inversions must equal yours.

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("09", globals())

# %% [markdown]
# ## Play
#
# **Does the same noise give the same digit?** Move the number of steps with $\eta = 0$. From which number on does the lower row stand still? Then raise $\eta$, and move again. The next cell draws all digits beforehand, so that a move only shows them.

# %%
six = torch.randn(6, 1, 28, 28, generator=torch.Generator().manual_seed(11))
numbers, etas = (1, 2, 4, 8, 16, 32), (0.0, 0.5, 1.0)
drawn = {
    (n, eta): ddim(network, six, schedule, n, eta=eta, generator=torch.Generator().manual_seed(12))
    for n in numbers
    for eta in etas
}


# %% jupyter={"source_hidden": true}
def draw_few(steps=8, eta=0.0):
    figure, ((above,), (below,)) = new_figure(2, 1, height=2.4)
    draw_image(above, in_a_row(six, 8), "$x_T$", COLOURS["noise"])
    draw_image(below, in_a_row(drawn[steps, eta], 8), "digits", COLOURS["network"])
    return figure, f"Six noises x_T, and the digits that {steps} steps with eta = {eta} lead to."


# %%
play(
    draw_few,
    steps=ipywidgets.SelectionSlider(options=numbers, value=8),
    eta=ipywidgets.SelectionSlider(options=etas),
)

# %% [markdown]
# ## Mistakes people make
#
# 1. **Times that do not start at $T$, or do not end at 0.** If you count up from 1 in steps of $T/S$ (*leading* spacing), the first call is far below $T$. There the network expects some signal, and $\mathbf{x}_T$ has none. Or the loop stops at the last $t > 0$, and returns a digit with noise.
# 2. **$\sqrt{1 - \bar{\alpha}_s}$ with $\eta > 0$.** The fresh noise then comes on top of all of the old.
# 3. **$\beta$ instead of $\tilde{\beta}$** over long steps. More fresh noise is added than was taken out of the old.
#
# Put mistakes 2 and 3 into a step, and walk down in 20 steps with the network that knows the pixel. How much noise is left at $t = 50$, against what there should be?

# %%
def right(x_0, predicted_noise, alpha_bar_t, alpha_bar_s, noise):
    fresh = sigma(1.0, alpha_bar_t, alpha_bar_s)
    return ddim_step(x_0, predicted_noise, alpha_bar_s, fresh, noise)


def all_kept(x_0, predicted_noise, alpha_bar_t, alpha_bar_s, noise):
    x_s = ddim_step(x_0, predicted_noise, alpha_bar_s)
    return x_s + sigma(1.0, alpha_bar_t, alpha_bar_s) * noise


def beta_drawn(x_0, predicted_noise, alpha_bar_t, alpha_bar_s, noise):
    mean = right(x_0, predicted_noise, alpha_bar_t, alpha_bar_s, 0.0)
    return mean + math.sqrt(1 - alpha_bar_t / alpha_bar_s) * noise


# %%
@torch.inference_mode()
def walk(step, model, x_t, times):
    alpha_bar, generator = schedule.alpha_bar.tolist(), torch.Generator().manual_seed(10)
    for t, s in zip(times, times[1:]):
        predicted_noise = model(x_t, torch.full((len(x_t),), t))  # (b, *dims)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)  # (b, *dims)
        noise = torch.randn(x_t.shape, generator=generator, dtype=x_t.dtype) if s else 0.0
        x_t = step(x_0, predicted_noise, alpha_bar[t], alpha_bar[s], noise)  # (b, *dims)
    return x_t


# %%
down = times_down(1000, 20)  # 1000, 950, ..., 50, 0
noisy = torch.randn(100_000, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
surplus = {}
for step in (right, all_kept, beta_drawn):
    at_50 = walk(step, knows_the_pixel, noisy, down[:-1])  # (n,)
    surplus[step] = (at_50.std() / (1 - schedule.alpha_bar[50]).sqrt()).item()
    print(f"{step.__name__}: {surplus[step]:.2f} times the noise that t = 50 should have")
assert abs(surplus[right] - 1) < 0.02 < 0.05 < surplus[beta_drawn] - 1 < surplus[all_kept] - 1

# %% jupyter={"source_hidden": true}
wrong = {
    "right": (right, down),
    "all of the noise\nis kept": (all_kept, down),
    "beta is drawn": (beta_drawn, down),
    "ends at t = 50": (right, down[:-1]),
}
figure, axes = new_figure(4, 7, height=3.6, width_ratios=[1.5] + [1] * 6)
grain = {}
for row, (name, (step, times)) in zip(axes, wrong.items()):
    images = walk(step, network, six, times)
    grain[name] = images[..., :4].std().item()  # at the left edge, where no stroke is
    row[0].set_axis_off()
    row[0].text(1, 0.5, name, ha="right", va="center", transform=row[0].transAxes)
    for axis, digit in zip(row[1:], images):
        draw_image(axis, digit)
assert grain["right"] < 0.7 * min(value for name, value in grain.items() if name != "right")
show(
    figure,
    "Twenty steps with eta = 1 from the same noises: with all of the noise kept nothing can be "
    "read; with beta drawn, or an end above 0, there is grain.",
)

# %% [markdown]
# Mistake 3 is the grain in the upper row of the first picture. Leading times hide: with 20 of them the first is $t = 951$, where this schedule has almost no signal left either. Check times by their numbers, not by eye.
#
# ## Check yourself
#
# <details><summary>Why does the network need no new training for another number of steps?</summary>
#
# The simple loss saw clean images noised to x_t, for every t from 1 to T, and nothing of how two times depend on each other. Every process with these marginals fits it.
# </details>
#
# <details><summary>Your DDIM with eta = 0 gives another digit each time, from the same x_T. What do you look for?</summary>
#
# A draw inside the loop that has an effect: with eta = 0 the fresh noise must have the factor 0. Or the network is in training mode, and drops units at random.
# </details>
#
# <details><summary>With eta = 1 and 50 steps your samples are grainy, with eta = 0 they are clean. Which line do you read?</summary>
#
# The one with the noise that is kept. Its factor must be the root of 1 - alpha_bar_s - sigma^2, so that old and fresh noise together have the variance 1 - alpha_bar_s. Then look at sigma: over a long step beta is much more than beta tilde.
# </details>
#
# **Look it up:** [questions about fewer steps](../docs/questions.md#fewer-steps), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [09 · Fewer steps](../exercises/09_ddim.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [10 · Guidance](10_guidance.ipynb) asks the network for the digit of your choice.
