# %% [markdown]
# # 06 · The sampler
#
# *You will*
# - derive the update that turns noise into an image, and see that two ways to write it are one;
# - build the sampling loop and test it on data for which the perfect network is known;
# - learn why one clips, what the two variances are for, and what four common mistakes look like.
#
# *You need* the jump to $\mathbf{x}_t$ ([02 Noising](02_noising.ipynb)), the posterior ([03 Posterior](03_posterior.ipynb)) and the
# network ([05 U-Net](05_unet.ipynb)).
#
# *It takes* 25 minutes to read and about half a minute to run.

# %%
import math
from typing import NamedTuple

import torch
from torch import Tensor

from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm.noising import forward_diffusion, x0_from_noise
from minddpm.posterior import beta_variance, posterior_coefficients, posterior_variance, q_posterior
from minddpm.schedule import Schedule, linear_schedule
from minddpm_course.diagrams import sampling_step_stages
from minddpm_course.figures import (
    COLOURS,
    GREY,
    draw_image,
    image_grid,
    new_figure,
    progressive_denoising,
    show,
)

network, schedule, _ = load_pretrained("mnist")
held_out, _ = load_mnist("test")

# %% [markdown]
# ## The idea in a picture
#
# You have a network that names the noise in an image. How does it make an image? Start from noise alone. Ask the network what the noise is.
# Do not believe it at once: take a small step towards the clean image it implies, add a little fresh noise, and ask again.
#
# Here is one such step, with the real values of one digit at $t = 300$.

# %%
generator = torch.Generator().manual_seed(6)
x_t, _ = forward_diffusion(held_out[2:3], 300, schedule, generator=generator)
show(
    sampling_step_stages(network, x_t, 300, schedule, torch.randn(x_t.shape, generator=generator)),
    "One turn of the loop: from the noisy image the network predicts the noise, the noise implies a clean image, "
    "and the step goes a little way towards it.",
)


# %% [markdown]
# And here are all 1,000 steps, from pure noise. The loop uses two functions that you know: `x0_from_noise` of lesson 02 and `q_posterior` of lesson
# 03. The rest of this lesson is about why these lines are right. ${\color{#008561}{\hat{\mathbf{x}}_0}}$ is the clean image that the network's prediction implies.

# %%
class Step(NamedTuple):
    t: int
    x_t: Tensor  # (b, 1, 28, 28)
    x_0: Tensor  # the clean image that the network sees behind x_t; (b, 1, 28, 28)


def reverse_process(digits, seed):
    generator = torch.Generator().manual_seed(seed)
    x_t = torch.randn(digits, 1, 28, 28, generator=generator)
    for t in schedule.steps():  # 1000, 999, ..., 1
        predicted_noise = network(x_t, torch.full((digits,), t))
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule).clamp(-1, 1)
        yield Step(t, x_t, x_0)
        noise = torch.randn(x_t.shape, generator=generator)
        x_t = q_posterior(x_0, x_t, t, schedule).mean + (t > 1) * beta_variance(t, schedule).sqrt().float() * noise
    yield Step(0, x_t, x_t)


with torch.inference_mode():
    trajectory = list(reverse_process(4, seed=2020))  # 1,001 steps, kept for the rest of the lesson

moments = {step.t: step for step in trajectory}
show(
    progressive_denoising([moments[t] for t in (1000, 800, 600, 500, 400, 300, 200, 100, 50, 0)]),
    "The estimate of the clean image is noise at t = 1000 and a blur around t = 600; then it takes the shape of a digit, and its edges come last.",
)

# %% [markdown]
# ## The derivation
#
# You want to draw ${\color{#B3528C}{\mathbf{x}_{t-1}}}$ given ${\color{#B3528C}{\mathbf{x}_t}}$. Lesson 03 gave the answer for a known clean image (eq. 6 and 7 of the paper):
#
# $$
# q(\mathbf{x}_{t-1} | \mathbf{x}_t, \mathbf{x}_0) = \mathcal{N}\left(\mathbf{x}_{t-1};\; {\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t}}(\mathbf{x}_t, \mathbf{x}_0),\; \tilde{\beta}_t \mathbf{I}\right),
# \qquad
# {\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t}} = \frac{\sqrt{\bar{\alpha}_{t-1}}\, \beta_t}{1 - \bar{\alpha}_t}\, {\color{#0072B2}{\mathbf{x}_0}} + \frac{\sqrt{\alpha_t}\,(1 - \bar{\alpha}_{t-1})}{1 - \bar{\alpha}_t}\, {\color{#B3528C}{\mathbf{x}_t}}.
# $$
#
# You do not know ${\color{#0072B2}{\mathbf{x}_0}}$. The network knows something about it.
#
# **1. Predict the noise**, ${\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)$.
#
# **2. Solve the jump for the clean image** (eq. 4 of the paper, with the predicted noise in place of the noise):
#
# $$
# {\color{#008561}{\hat{\mathbf{x}}_0}} = \frac{1}{\sqrt{\bar{\alpha}_t}} \left({\color{#B3528C}{\mathbf{x}_t}} - \sqrt{1 - \bar{\alpha}_t}\, {\color{#008561}{\boldsymbol{\epsilon}_\theta}}\right).
# $$
#
# **3. Take the posterior as if it were true:** the mean is $\tilde{\boldsymbol{\mu}}_t(\mathbf{x}_t, \hat{\mathbf{x}}_0)$. To this add noise $\sigma_t \mathbf{z}$, with $\mathbf{z} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$.
#
# That is the whole update. The paper and the guide write it in another way. Put step 2 into step 3 and collect terms. In front of ${\color{#008561}{\boldsymbol{\epsilon}_\theta}}$ stands
#
# $$
# -\frac{\sqrt{\bar{\alpha}_{t-1}}\, \beta_t}{1 - \bar{\alpha}_t} \cdot \frac{\sqrt{1 - \bar{\alpha}_t}}{\sqrt{\bar{\alpha}_t}} = -\frac{\beta_t}{\sqrt{\alpha_t}\, \sqrt{1 - \bar{\alpha}_t}},
# \qquad \text{since } \bar{\alpha}_t = \alpha_t\, \bar{\alpha}_{t-1}.
# $$
#
# In front of ${\color{#B3528C}{\mathbf{x}_t}}$ stands
#
# $$
# \frac{\sqrt{\bar{\alpha}_{t-1}}\, \beta_t}{(1 - \bar{\alpha}_t) \sqrt{\bar{\alpha}_t}} + \frac{\sqrt{\alpha_t}\,(1 - \bar{\alpha}_{t-1})}{1 - \bar{\alpha}_t}
# = \frac{\beta_t + \alpha_t (1 - \bar{\alpha}_{t-1})}{(1 - \bar{\alpha}_t) \sqrt{\alpha_t}}
# = \frac{1}{\sqrt{\alpha_t}},
# $$
#
# because $\beta_t + \alpha_t - \alpha_t \bar{\alpha}_{t-1} = 1 - \bar{\alpha}_t$. Together (eq. 11 and algorithm 2 of the paper):
#
# $$
# \mathbf{x}_{t-1} = \frac{1}{\sqrt{\alpha_t}} \left({\color{#B3528C}{\mathbf{x}_t}} - \frac{\beta_t}{\sqrt{1 - \bar{\alpha}_t}}\, {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)\right) + \sigma_t\, {\color{#C05500}{\mathbf{z}}}.
# $$
#
# **How large is $\sigma_t$?** The true $q(\mathbf{x}_{t-1} | \mathbf{x}_t)$ depends on the data. Two cases are exact (section 3.2 of the paper).
# - *The data is one point.* Then $\mathbf{x}_0$ is known, and the true step is the posterior: $\sigma_t^2 = \tilde{\beta}_t$.
# - *The data is $\mathcal{N}(\mathbf{0}, \mathbf{I})$.* Then every $\mathbf{x}_t$ is $\mathcal{N}(\mathbf{0}, \mathbf{I})$ too, and $\mathbf{x}_{t-1}$ and $\mathbf{x}_t$ have covariance
#   $\sqrt{\alpha_t}$. The variance of one given the other is $1 - \alpha_t$: $\sigma_t^2 = \beta_t$.
#
# Real data, with pixels in $[-1, 1]$, lies between. Both choices work, and *Believe it* measures by how much they miss.
#
# **No noise at the last step.** At $t = 1$ the posterior is exact: its mean is $\hat{\mathbf{x}}_0$ and its variance $\tilde{\beta}_1$ is 0. Noise added there
# would stay in the image, and nothing would take it out again. So $\mathbf{z} = \mathbf{0}$ at $t = 1$, whichever variance is used.
#
# **Clipping.** The way through $\hat{\mathbf{x}}_0$ is longer, but it has a place where you can say what you know: pixels lie in $[-1, 1]$. At
# large $t$ step 2 divides by a $\sqrt{\bar{\alpha}_t}$ near 0. A small error of the prediction becomes a huge one of $\hat{\mathbf{x}}_0$. Bounding
# $\hat{\mathbf{x}}_0$ to $[-1, 1]$ keeps it below 2. The short form has no such place.

# %%
error = 0.01
for t in (1000, 500, 100, 1):
    alpha_bar = schedule.alpha_bar[t]
    print(f"t = {t:>4}: an error of 0.01 in the noise becomes one of {error * ((1 - alpha_bar) / alpha_bar).sqrt():.4f} in x_0")


# %% [markdown]
# ## Rebuild it
#
# One step, the long way: from $\mathbf{x}_t$ and the estimate $\hat{\mathbf{x}}_0$ to $\mathbf{x}_{t-1}$. The numbers in it depend on $t$ alone. They are
# computed as float64 and used on float32 images.

# %%
def rebuilt_step(x_t, t, x_0, schedule, noise, *, variance=beta_variance):
    beta, alpha = schedule.beta[t].item(), schedule.alpha[t].item()
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t].item(), schedule.alpha_bar[t - 1].item()
    coef_x0 = math.sqrt(alpha_bar_prev) * beta / (1 - alpha_bar)
    coef_xt = math.sqrt(alpha) * (1 - alpha_bar_prev) / (1 - alpha_bar)
    mean = coef_x0 * x_0 + coef_xt * x_t  # (b, 1, 28, 28)
    if t == 1:
        return mean  # no noise at the last step
    sigma = math.sqrt(variance(t, schedule).item())
    return mean + sigma * noise  # (b, 1, 28, 28)


# %% [markdown]
# One step, the short way: the guide's rule. It cannot clip.

# %%
def guide_step(x_t, t, predicted_noise, schedule, noise):
    beta, alpha_bar = schedule.beta[t].item(), schedule.alpha_bar[t].item()
    mean = (x_t - beta / math.sqrt(1 - alpha_bar) * predicted_noise) / math.sqrt(1 - beta)  # (b, 1, 28, 28)
    return mean + (math.sqrt(beta) * noise if t > 1 else 0)  # (b, 1, 28, 28)


# %% [markdown]
# The loop (algorithm 2 of the paper). It draws $\mathbf{x}_T$ first, then one noise a step, and yields what it holds at each time. The loop makes the estimate
# of the clean image, once a step, and clips it there if you ask; the step takes it, so that any kind of step can be put into this loop.

# %%
@torch.inference_mode()
def rebuilt_steps(model, shape, schedule, generator, *, variance=beta_variance, clip=False):
    x_t = torch.randn(shape, generator=generator)  # x_T, (b, 1, 28, 28)
    for t in range(schedule.T, 0, -1):
        predicted_noise = model(x_t, torch.full((shape[0],), t))  # (b, 1, 28, 28)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)  # (b, 1, 28, 28)
        if clip:
            x_0 = x_0.clamp(-1, 1)  # (b, 1, 28, 28)
        yield Step(t, x_t, x_0)
        noise = torch.randn(shape, generator=generator)  # (b, 1, 28, 28)
        x_t = rebuilt_step(x_t, t, x_0, schedule, noise, variance=variance)  # (b, 1, 28, 28)
    yield Step(0, x_t, x_t)


def rebuilt_sample(*arguments, **options):
    for step in rebuilt_steps(*arguments, **options):
        pass
    return step.x_t


# %% [markdown]
# ## By hand
#
# The guide's example: one pixel $x_t = 0.4$, predicted noise 0.3, fresh noise $z = 0.1$, with $\alpha_t = 0.99$, $\beta_t = 0.01$ and $\bar{\alpha}_t = 0.5$.

# %% tags=["worked-example"]
subtracted = 0.01 / math.sqrt(1 - 0.5) * 0.3
difference = 0.4 - subtracted
mean = difference / math.sqrt(0.99)
result = mean + math.sqrt(0.01) * 0.1
print(f"beta / sqrt(1 - alpha_bar) * predicted = {subtracted:.5f}")
print(f"0.4 - {subtracted:.5f} = {difference:.4f}")
print(f"divided by sqrt(0.99): {mean:.4f}")
print(f"plus 0.1 * 0.1: {result:.3f}")
assert round(subtracted, 5) == 0.00424
assert round(difference, 4) == 0.3958
assert round(mean, 4) == 0.3978
assert round(result, 3) == 0.408

# %% [markdown]
# The same by the long way. A schedule of two steps has these very numbers at $t = 2$.

# %% tags=["worked-example"]
example = Schedule.from_betas([1 - 0.5 / 0.99, 0.01])  # alpha_bar_2 = 0.5
pixel, predicted, z = (torch.tensor([value], dtype=torch.float64) for value in (0.4, 0.3, 0.1))
x_0 = x0_from_noise(pixel, 2, predicted, example)
coef_x0, coef_xt = posterior_coefficients(2, example)
mean = coef_x0 * x_0 + coef_xt * pixel
print(f"x_0 estimate = (0.4 - 0.707 * 0.3) / 0.707 = {x_0.item():.4f}")
print(f"mean = {coef_x0:.4f} * {x_0.item():.4f} + {coef_xt:.4f} * 0.4 = {mean.item():.4f}")
assert round(x_0.item(), 4) == 0.2657
assert round(mean.item(), 4) == 0.3978
assert round(rebuilt_step(pixel, 2, x_0, example, z).item(), 3) == 0.408
assert round(guide_step(pixel, 2, predicted, example, z).item(), 3) == 0.408

# %% [markdown]
# The guide calls this $t = 500$. On the linear schedule that this course uses, these numbers belong to no one time.

# %%
half = int((schedule.alpha_bar - 0.5).abs().argmin())
print(f"alpha_bar at t = 500: {schedule.alpha_bar[500]:.2f}")
print(f"alpha_bar is nearest 0.5 at t = {half}, where beta is {schedule.beta[half]:.4f}")
assert round(schedule.alpha_bar[500].item(), 2) == 0.08

# %% [markdown]
# ## Believe it
#
# **The two forms are one.** At every $t$, on random numbers, in float64: the largest difference should be rounding.

# %%
generator = torch.Generator().manual_seed(66)
x, predicted, noise = torch.randn(3, 100, generator=generator, dtype=torch.float64)
worst = 0.0
for t in schedule.steps():
    long_way = rebuilt_step(x, t, x0_from_noise(x, t, predicted, schedule), schedule, noise)  # (100,)
    short_way = guide_step(x, t, predicted, schedule, noise)  # (100,)
    worst = max(worst, (long_way - short_way).abs().max().item())
print("largest difference below 1e-10:", worst < 1e-10)
assert worst < 1e-10


# %% [markdown]
# **An exact oracle.** Is the loop right? Digits cannot tell: you do not know their distribution. So take data that you do know. Let each "image" be
# one pixel from $\mathcal{N}(m, s^2)$. Then $x_t$ and the noise are jointly normal, and the best prediction of the noise is a line:
#
# $$
# {\color{#008561}{\epsilon^*}}(x_t, t) = \mathbb{E}[\epsilon | x_t] = \frac{\operatorname{cov}(\epsilon, x_t)}{\operatorname{var}(x_t)} \left(x_t - \mathbb{E} x_t\right)
# = \frac{\sqrt{1 - \bar{\alpha}_t}}{\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t} \left(x_t - \sqrt{\bar{\alpha}_t}\, m\right).
# $$
#
# With a perfect network the sampler must give $\mathcal{N}(m, s^2)$ back, up to what 1,000 finite steps miss. Since every step is linear, what it misses can be
# computed without drawing anything: follow the mean and the variance through the short form.

# %%
m, s = 0.5, 0.1


def gaussian_oracle(schedule):
    def perfect(x_t, t):
        alpha_bar = schedule.alpha_bar[t[0]].item()  # one time for all
        return math.sqrt(1 - alpha_bar) / (alpha_bar * s**2 + 1 - alpha_bar) * (x_t - math.sqrt(alpha_bar) * m)

    return perfect


def exact_end(schedule, variance, m, s):
    mean, spread = 0.0, 1.0  # of x_T, the spread being the variance
    for t in schedule.steps():
        alpha_bar, beta = schedule.alpha_bar[t].item(), schedule.beta[t].item()
        slope = math.sqrt(1 - alpha_bar) / (alpha_bar * s**2 + 1 - alpha_bar)
        pull = beta / math.sqrt(1 - alpha_bar)
        mean = (mean - pull * slope * (mean - math.sqrt(alpha_bar) * m)) / math.sqrt(1 - beta)
        added = variance(t, schedule).item() if t > 1 else 0
        spread = (1 - pull * slope) ** 2 / (1 - beta) * spread + added
    return mean, math.sqrt(spread)


draws = 20_000
for name, variance in (("beta", beta_variance), ("beta tilde", posterior_variance)):
    generator = torch.Generator().manual_seed(6)
    samples = rebuilt_sample(gaussian_oracle(schedule), (draws,), schedule, generator, variance=variance)
    mean, std = exact_end(schedule, variance, m, s)
    print(f"{name:<11} exact: mean {mean:.4f}, std {std:.4f};  drawn: mean {samples.mean():.3f}, std {samples.std():.3f}")
    assert abs(mean - m) < 0.001 and abs(std / s - 1) < 0.05, "1,000 steps: mean within 0.001, standard deviation within 5%"
    assert abs(samples.mean() - mean) < 4 * std / math.sqrt(draws), "4 standard errors"
    assert abs(samples.std() - std) < 4 * std / math.sqrt(2 * draws), "4 standard errors"

# %% [markdown]
# The drawn samples agree with the exact value, and that agrees with the data. One variance is a little too wide, the other a little too narrow. Both
# errors come from the finite number of steps. Take fewer and larger ones, and see.

# %%
figure, axes = new_figure(1, 1, height=2.6)
lengths = [50, 100, 200, 500, 1000, 2000]
for name, variance, colour in (("beta", beta_variance, COLOURS["noise"]), ("beta tilde", posterior_variance, COLOURS["posterior"])):
    ratios = [exact_end(linear_schedule(T, 0.1 / T, 20 / T), variance, m, s)[1] / s for T in lengths]
    axes[0, 0].plot(lengths, ratios, color=colour, marker="o", markersize=4)
    axes[0, 0].text(105, ratios[1], name, color=colour, ha="left", va="bottom" if name == "beta" else "top")
    assert abs(ratios[-1] - 1) < abs(ratios[0] - 1), "more steps, smaller error"
axes[0, 0].axhline(1, color=GREY, linewidth=1)
axes[0, 0].set(xscale="log", xlabel="number of steps T", ylabel="std of samples / std of data", xticks=lengths, xticklabels=lengths)
axes[0, 0].minorticks_off()
show(figure, "With beta the samples spread a little too wide, with beta tilde too little; both errors shrink as the steps grow in number.")

# %% [markdown]
# **The two exact cases.** For data $\mathcal{N}(0, 1)$ the variance $\beta_t$ should be exact, but for the noise that the last step leaves out. For data of one point
# $c$, the perfect network knows $\mathbf{x}_0$, and every sample must land on $c$.

# %%
mean, std = exact_end(schedule, beta_variance, 0.0, 1.0)
print(f"data N(0, 1): std squared {std**2:.4f} = 1 - beta_1")
assert abs(std**2 - (1 - schedule.beta[1].item())) < 1e-9


def point_oracle(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]].item()
    return (x_t - math.sqrt(alpha_bar) * 0.7) / math.sqrt(1 - alpha_bar)


for name, variance in (("beta", beta_variance), ("beta tilde", posterior_variance)):
    generator = torch.Generator().manual_seed(6)
    samples = rebuilt_sample(point_oracle, (1000,), schedule, generator, variance=variance)
    print(f"one point at 0.7, {name}: samples from {samples.min():.4f} to {samples.max():.4f}")
    assert (samples - 0.7).abs().max() < 1e-4


# %% [markdown]
# **Two points.** Data of 30% at $-1$ and 70% at $0.5$ has a perfect network as well: weigh each point by how likely it makes $x_t$. The samples
# should land on the points, in these shares. This is also what a network does that knows its training images by heart: it draws them again.

# %%
points, shares = torch.tensor([-1.0, 0.5]), torch.tensor([0.3, 0.7])


def two_points(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]].item()
    distance = (x_t[:, None] - math.sqrt(alpha_bar) * points) ** 2  # (b, 2)
    weight = (shares.log() - distance / (2 * (1 - alpha_bar))).softmax(dim=1)  # (b, 2)
    return (x_t - math.sqrt(alpha_bar) * weight @ points) / math.sqrt(1 - alpha_bar)  # (b,)


paths = torch.stack([step.x_t for step in rebuilt_steps(two_points, (5000,), schedule, torch.Generator().manual_seed(6))])
samples = paths[-1]
share = (samples > 0).float().mean()
print(f"share at 0.5: {share:.2f}")
assert torch.minimum((samples + 1).abs(), (samples - 0.5).abs()).max() < 1e-3, "every sample is on a point"
assert abs(share - 0.7) < 4 * math.sqrt(0.3 * 0.7 / 5000), "4 standard errors"

figure, axes = new_figure(1, 1, height=2.6)
axes[0, 0].plot(range(1000, -1, -1), paths[:, :40].numpy(), color=COLOURS["noisy"], linewidth=0.5)
axes[0, 0].plot([0, 0], points.numpy(), "o", color=COLOURS["clean"], clip_on=False)
axes[0, 0].set(xlabel="time t", ylabel="pixel value", xlim=(1000, 0))
show(figure, "Forty samples start as noise on the left, and each ends on one of the two data points on the right.")

# %% [markdown]
# ## Same as the package
#
# `reverse_step` on random input at random times, with both variances, from an estimate clipped or not. Then whole trajectories from the same seed, the network's and the oracle's.

# %%
from minddpm.sampler import SampleStep, reverse_step, sample, sample_steps

variances = {"beta": beta_variance, "beta tilde": posterior_variance}
generator = torch.Generator().manual_seed(666)
for t in [1, 2, 1000, *torch.randint(3, 1000, (20,), generator=generator).tolist()]:
    x, predicted, noise = torch.randn(3, 4, 1, 28, 28, generator=generator)
    estimate = x0_from_noise(x, t, predicted, schedule)  # (4, 1, 28, 28)
    for name, variance in variances.items():
        for x_0 in (estimate, estimate.clamp(-1, 1)):
            x_prev = rebuilt_step(x, t, x_0, schedule, noise, variance=variance)
            package = reverse_step(x, t, x_0, schedule, noise, variance=variance)
            assert torch.allclose(x_prev, package, rtol=1e-5, atol=1e-5), (t, name)
    x_prev = reverse_step(x, t, estimate, schedule, noise)
    assert torch.allclose(guide_step(x, t, predicted, schedule, noise), x_prev, rtol=1e-4, atol=1e-4)

times = torch.tensor([1, 2, 500, 1000])  # the package takes a time for each image, too
x_0 = x0_from_noise(x, times, predicted, schedule)  # (4, 1, 28, 28)
each = torch.stack([rebuilt_step(x[i], int(t), x_0[i], schedule, noise[i]) for i, t in enumerate(times)])
assert torch.allclose(each, reverse_step(x, times, x_0, schedule, noise), rtol=1e-5, atol=1e-4)

short = linear_schedule(40, 0.0025, 0.5)  # forty steps, so that the whole trajectory is quick


def seeds():
    return torch.Generator().manual_seed(66)


for name, variance in variances.items():
    yours = list(rebuilt_steps(network, (2, 1, 28, 28), short, seeds(), variance=variance, clip=True))
    theirs = list(sample_steps(network, (2, 1, 28, 28), short, variance=variance, clip=True, generator=seeds()))
    assert [step.t for step in yours] == [step.t for step in theirs] == list(range(40, -1, -1))
    assert isinstance(theirs[0], SampleStep)
    for a, b in zip(yours, theirs):
        assert torch.allclose(a.x_t, b.x_t, atol=1e-3) and torch.allclose(a.x_0, b.x_0, atol=1e-3), f"trajectories part at t = {a.t}"
    assert torch.equal(sample(network, (2, 1, 28, 28), short, variance=variance, generator=seeds()), theirs[-1].x_t)

yours = rebuilt_sample(gaussian_oracle(schedule), (500,), schedule, seeds())
theirs = sample(gaussian_oracle(schedule), (500,), schedule, clip=False, generator=seeds())
assert torch.allclose(yours, theirs, atol=1e-4), "all 1,000 steps"
print("steps, trajectories and samples: equal")

# %% [markdown]
# ## Play
#
# **When is the digit decided?** Move through the 1,001 steps of the trajectory from the top of this lesson. From which $t$ on can you read the digit in
# $\hat{\mathbf{x}}_0$? And from which in $\mathbf{x}_t$? The curve is the distance of each estimate to the finished digit.

# %%
import ipywidgets

from minddpm_course.widgets import play

finished = moments[0].x_t
distance = {t: (step.x_0 - finished).square().mean().sqrt().item() for t, step in moments.items()}


def draw_moment(t=400):
    step = moments[t]
    figure, axes = new_figure(2, 5, height=2.7, width_ratios=[1, 1, 1, 1, 2.2])
    for column in range(4):
        draw_image(axes[0, column], step.x_t[column], "$x_t$" if column == 0 else "", COLOURS["noisy"], limits=(-2, 2) if t > 200 else (-1, 1))
        draw_image(axes[1, column], step.x_0[column], r"$\hat x_0$" if column == 0 else "", COLOURS["network"])
    axes[1, 4].remove()
    axes[0, 4].set_subplotspec(axes[0, 4].get_gridspec()[:, 4])
    axes[0, 4].plot(list(distance), list(distance.values()), color=COLOURS["network"])
    axes[0, 4].plot([t], [distance[t]], "o", color=COLOURS["noisy"])
    axes[0, 4].set(xlabel="time t", ylabel="distance to the finished digit", xlim=(1000, -20), ylim=(0, None))
    return figure, f"At t = {t}: above, what the sampler holds; below, the clean digits that the network sees behind it."


play(draw_moment, t=ipywidgets.IntSlider(400, 0, 1000))
assert distance[1000] > distance[400] > distance[100] > distance[0] == 0

# %% [markdown]
# ## Mistakes people make
#
# First on the oracle, where right and wrong are numbers. The data is $\mathcal{N}(0.5, 0.1^2)$. Each variant draws 20,000 samples with the perfect network.
#
# 1. **Noise at the last step**: nothing removes it.
# 2. **$\sigma^2$ for $\sigma$**: the variance, 0.01, where its root belongs, 0.1.
# 3. **$t$ off by one**: the network is told $t - 1$.
# 4. **Clipping $\mathbf{x}_t$** rather than $\hat{\mathbf{x}}_0$: noise is not an image, and may lie outside $[-1, 1]$.

# %%
def rule(name):
    """The step that belongs to a mistake."""

    def step(x_t, t, predicted_noise, noise):
        sigma = schedule.beta[t].sqrt().item()
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
        if name not in ("unclipped", "x_t clipped"):
            x_0 = x_0.clamp(-1, 1)
        if name == "variance for std":
            return rebuilt_step(x_t, t, x_0, schedule, sigma * noise)
        variance = posterior_variance if name == "beta tilde" else beta_variance
        x_prev = rebuilt_step(x_t, t, x_0, schedule, noise, variance=variance)
        if name == "noise at the last step" and t == 1:
            return x_prev + sigma * noise
        return x_prev.clamp(-1, 1) if name == "x_t clipped" else x_prev

    return step


perfect = gaussian_oracle(schedule)
ends = {}
for name in ("right", "noise at the last step", "variance for std", "network told t - 1", "x_t clipped"):
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(draws, generator=generator)
    for t in schedule.steps():
        told = max(t - 1, 1) if name == "network told t - 1" else t
        x = rule(name)(x, t, perfect(x, [told]), torch.randn(draws, generator=generator))
    ends[name] = x
    print(f"{name:<24} mean {x.mean():.2f}, std {x.std():.3f}")

standard_error = s / math.sqrt(2 * draws)
assert abs(ends["right"].std() - s) < 0.05 * s
assert ends["variance for std"].std() < 0.1 * s, "far too narrow"
assert ends["noise at the last step"].std() > ends["right"].std()
assert abs(ends["network told t - 1"].std() - ends["right"].std()) > 4 * standard_error

# %%
figure, axes = new_figure(1, 5, height=1.8, sharey=True)
grid = torch.linspace(-0.5, 1.5, 200)
density = torch.exp(-((grid - m) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
for axis, (name, x) in zip(axes[0], ends.items()):
    axis.hist(x.numpy(), bins=80, range=(-0.5, 1.5), density=True, color=COLOURS["noisy"])
    axis.plot(grid.numpy(), density.numpy(), color=COLOURS["clean"], linewidth=1)
    axis.set_title(name.replace("at the", "at\nthe").replace("told", "told\n").replace("for", "for\n"), fontsize=8)
    axis.set(ylim=(0, 7), yticks=[], xticks=[0, 1], xlabel="pixel")
show(figure, "Histograms of samples against the data's density in blue: variance for std collapses, the others err little.")

# %% [markdown]
# One mistake breaks everything. Three are small in one dimension, and small is worse: they pass by eye. What is small in one dimension need not be small in 784. Now the same on digits, with the shipped network. Each
# column starts from the same $\mathbf{x}_T$ and uses the same noise as the first. `beta tilde` and `unclipped` are no mistakes, but choices to compare.

# %%
names = ["beta tilde", "unclipped", "variance for std", "x_t clipped"]
generator = torch.Generator().manual_seed(2020)
x = torch.randn(4, 1, 28, 28, generator=generator)[:2].repeat(len(names), 1, 1, 1, 1)  # (rules, 2, 1, 28, 28)
reach = {}  # of the unclipped run: the largest |x_0 estimate| at each t
with torch.inference_mode():
    for t in schedule.steps():
        predicted = network(x.flatten(0, 1), torch.full((2 * len(names),), t)).reshape(x.shape)  # (rules, 2, 1, 28, 28)
        noise = torch.randn(4, 1, 28, 28, generator=generator)[:2]
        reach[t] = x0_from_noise(x[1], t, predicted[1], schedule).abs().max().item()
        x = torch.stack([rule(name)(x[i], t, predicted[i], noise) for i, name in enumerate(names)])

last = moments[1]
noisy_end = finished[:2] + schedule.beta[1].sqrt().float() * noise  # the right run, with the noise of t = 1 left in
columns = {"right": finished[:2]} | dict(zip(names, x)) | {"noise at the end": noisy_end}
short = {"variance for std": "var. for std", "noise at the end": "end noise"}
titles = [short.get(name, name) if row == 0 else "" for row in range(2) for name in columns]
figure = image_grid(torch.cat([images[row : row + 1] for row in range(2) for images in columns.values()]), titles, columns=len(columns))
show(figure, "Right, beta tilde and unclipped give digits; variance for std gives plain strokes; x_t clipped gives white blobs; noise at the end is too faint to see.")


def roughness(images):
    """How much neighbouring pixels differ."""
    return (images[..., 1:] - images[..., :-1]).std()


pictures = {name: images[:2] for name, images in columns.items()}
assert roughness(pictures["variance for std"]) < roughness(pictures["right"]), "too smooth"

# %% [markdown]
# With too little fresh noise, the sampler follows the mean at every step, and means are smooth. With $\mathbf{x}_t$ clipped, the noise that the network sees is not the noise
# that it was trained on, and no digit comes out.
#
# The noise of the last step is too faint for the eye. Stretch the greys near the background, and you see it.

# %%
figure, axes = new_figure(1, 4, height=1.9)
for column, (images, word) in enumerate(((finished, "right"), (noisy_end, "noise at the end"))):
    for row in range(2):
        draw_image(axes[0, 2 * column + row], images[row], word if row == 0 else "", limits=(-1.03, -0.93))
show(figure, "The same digits with the greys near black stretched twentyfold: noise at the last step leaves a stronger grain on the whole background.")
grain = (noisy_end - finished[:2]).std() * 127.5
print(f"standard deviation of the grain: {grain:.1f} of 255 grey levels")
assert abs(grain - 1.275) < 0.1, "sqrt(beta_1) = 0.01 on a range of 2"
ends_at_one = [rebuilt_step(last.x_t, 1, last.x_0, schedule, noise) for noise in (0 * last.x_t, last.x_t)]
assert torch.equal(*ends_at_one), "no noise at t = 1"

# %% [markdown]
# Why does one clip, if the unclipped column has digits too? Look at $\hat{\mathbf{x}}_0$ on the way.

# %%
figure, axes = new_figure(1, 1, height=2.5)
clipped_reach = {t: step.x_0.abs().max().item() for t, step in moments.items() if t}
axes[0, 0].plot(list(reach), list(reach.values()), color=COLOURS["noise"])
axes[0, 0].plot(list(clipped_reach), list(clipped_reach.values()), color=COLOURS["network"])
axes[0, 0].text(700, max(reach.values()) * 0.6, "unclipped", color=COLOURS["noise"])
axes[0, 0].text(985, 1.08, "clipped", color=COLOURS["network"], va="bottom")
axes[0, 0].set(yscale="log", xlabel="time t", ylabel="largest |x_0 estimate|", xlim=(1000, 0))
show(figure, "Unclipped, the estimate of the clean image leaves the range of images by far at large t; clipped, it never does.")
coef_x0, _ = posterior_coefficients(1000, schedule)
print(f"weight of the estimate in the step at t = 1000: {coef_x0:.5f}")
print("unclipped, the estimate exceeds 3:", max(reach.values()) > 3, "- clipped, the digits stay in [-1, 1]:", bool(finished.abs().max() <= 1))
assert max(reach.values()) > 3 and finished.abs().max() <= 1

# %% [markdown]
# The estimate has little weight at large $t$, so this network gets away without clipping. But a pixel of 3 is no pixel. Clipping costs nothing, uses what
# you know, and returns images that lie where images lie. That is why it is what one runs.
#
# Your own samples look wrong, and none of these is it? The page [Is it a bug?](../docs/diagnosis.md) shows more symptoms, each with the test that tells its cause.

# %% [markdown]
# ## Check yourself
#
# <details><summary>Your samples are clean digits on a background with a faint grain. Which line do you read first?</summary>
#
# The one that adds noise. At t = 1 it must add none. With the variance beta_1 of the linear schedule the grain has a standard deviation of 0.01, which is 1.3 of 255 grey levels.
# </details>
#
# <details><summary>Samples of your Gaussian test have the right mean and a standard deviation that is far too small. Which mistake is it?</summary>
#
# The variance was used where the standard deviation belongs: the fresh noise is far too weak, and each step's pull towards the mean wins.
# </details>
#
# <details><summary>Why not jump from t = 1000 straight to the estimate of the clean image?</summary>
#
# At t = 1000 the noise holds no digit yet. The best estimate there is the mean of all digits, a blur. The steps pick a digit, little by little.
# The estimate at small t is a digit, because by then x_t holds one.
# </details>
#
# **Exercises:** [06 · Sampler](../exercises/06_sampler.ipynb). What you write is checked on fresh numbers, and a known mistake is named. Milestone: at their end, your sampler draws digits with the network that we ship.
#
# **Next:** [07 Training](07_training.ipynb) trains a network before your eyes, and measures the one that you sampled from.
