# %% [markdown]
# # 00 · From noise to images
#
# **You will**
# - watch digits come out of noise, and a photograph dissolve into it,
# - write the loop that dissolves it, in three lines,
# - meet the one distribution that the whole course is made of.
#
# **You need** Python, a little PyTorch, and to have met the Gaussian (the normal distribution) before.
#
# **It takes** 18 minutes to read and 10 seconds to run. Run a cell with Shift+Enter, from top to bottom.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import math

import ipywidgets
import matplotlib
import torch

from minddpm.checkpoints import load_pretrained
from minddpm.data import load_cat, load_mnist
from minddpm.ddim import ddim_steps
from minddpm_course.figures import (
    COLOURS,
    GREY,
    INK,
    STYLE,
    draw_image,
    forward_and_reverse,
    image_grid,
    new_figure,
    show,
)
from minddpm_course.moving import show_moving
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
model, schedule, _ = load_pretrained("mnist")
generator = torch.Generator().manual_seed(0)
x_T = torch.randn(12, 1, 28, 28, generator=generator)  # (12, 1, 28, 28) pure noise
steps = list(ddim_steps(model, x_T, schedule, steps=40, eta=1, generator=generator))
show_moving(
    [step.x_t for step in steps],  # 41 times (12, 1, 28, 28)
    [f"t = {step.t}" for step in steps],
    "Twelve squares of noise turn into handwritten digits that nobody wrote.",
)

# %% [markdown]
# Press *Again*, and watch another one of the twelve. A neural network made these digits. It starts from noise, and takes away a little of it at a time. Its weights come with the course; they were trained on 4,500 handwritten digits.
# To be quick, it goes from $t = 1000$ to $t = 0$ in 40 strides, as lesson 09 explains. By the end of lesson 07, you will have written every part of the full way yourself.
#
# ## The idea in a picture
#
# How can a network learn this? From the opposite: images that dissolve into noise.
#
# Take a photograph of a cat. Add a little random noise to every pixel. Do it again, 1,000 times. What is left?

# %%
cat = load_cat()  # (1, 1, 128, 128) pixel values from -1 (black) to 1 (white)
betas = torch.linspace(1e-4, 0.02, 1000).tolist()  # how much noise each of the 1,000 steps adds
times = [0, 1, 10, 100, 200, 300, 400, 1000]
generator = torch.Generator().manual_seed(0)
x_t, kept = cat, {0: cat}
for t, beta in enumerate(betas, start=1):
    noise = torch.randn(x_t.shape, generator=generator)  # (1, 1, 128, 128)
    x_t = math.sqrt(1 - beta) * x_t + math.sqrt(beta) * noise  # (1, 1, 128, 128)
    if t in times:
        kept[t] = x_t
show(
    image_grid(torch.cat([kept[t] for t in times]), [f"$t={t}$" for t in times], columns=4),
    "The cat after t of 1,000 noise steps: at t = 100 it is grainy but plainly a cat, at t = 300 "
    "eyes and nose are a guess, at t = 1000 it is gone.",
)

# %% [markdown]
# How much of the cat is left? The **correlation** of two images is 1 if they are the same up to brightness and contrast, and 0 if they have nothing to do with each other.

# %%
for t in kept:
    together = torch.corrcoef(torch.stack([cat.flatten(), kept[t].flatten()]))[0, 1]
    print(f"t = {t:4d}   correlation with the cat {abs(together):.2f}")
    if t == 100:
        assert together > 0.5
    if t == 1000:
        assert abs(together) < 4 / math.sqrt(cat.numel())

# %% [markdown]
# Dissolving an image in noise, step by step, is the **forward process**. It needs no learning, because it only destroys.
#
# Now the question of the course: **can the process be run backwards?** Nobody remembers the noise that was added. But a neural network can look at a noisy image and guess which part of it is noise.
# If it guesses well enough to take one small step back, we can take 1,000 of them. We start from pure noise, where no image has been, and arrive at an image that never existed. That is a Denoising Diffusion Probabilistic Model, or **DDPM** (Ho, Jain & Abbeel 2020).
#
# Here are both directions. The lower strip is the first of your twelve digits.

# %% jupyter={"source_hidden": true}
digit = load_mnist("test")[0][20:21]  # (1, 1, 28, 28) a 3 that no network has seen
strip_times = [0, 50, 150, 300, 500, 750, 1000]
generator = torch.Generator().manual_seed(1)
x_t, forward = digit, [digit]
for t, beta in enumerate(betas, start=1):
    x_t = math.sqrt(1 - beta) * x_t + math.sqrt(beta) * torch.randn(x_t.shape, generator=generator)
    if t in strip_times:
        forward.append(x_t)
backward = {step.t: step.x_t for step in steps}  # (12, 1, 28, 28) each
show(
    forward_and_reverse(torch.cat(forward), torch.cat([backward[t][:1] for t in strip_times]), strip_times),
    "Above, read from left to right, a handwritten 3 turns into noise; below, read from right to "
    "left, the network turns another noise image into a new digit.",
)

# %% [markdown]
# ## The derivation
#
# All noise in this course is Gaussian. So this is the one piece of mathematics to have at hand before you go on.
#
# A **Gaussian** $\mathcal{N}(\mu, \sigma^2)$ has two numbers: its mean $\mu$, where its centre lies, and its **variance** $\sigma^2$. The square root $\sigma$ is the **standard deviation**: how far a draw typically lies from the mean. Its density is
#
# $$\mathcal{N}(x;\ \mu, \sigma^2) = \frac{1}{\sigma\sqrt{2\pi}}\, e^{-(x-\mu)^2/(2\sigma^2)} .$$
#
# The **standard Gaussian** has mean 0 and variance 1. `torch.randn` draws from it. We write its draws as $\epsilon \sim \mathcal{N}(0, 1)$. Every other Gaussian is made from it by stretching and shifting:
#
# $${\color{#B3528C}{x}} = \mu + \sigma\,{\color{#C05500}{\epsilon}} \qquad\text{is a draw from}\qquad \mathcal{N}(\mu, \sigma^2).$$
#
# Shifting moves the mean. Stretching by $\sigma$ multiplies the standard deviation by $\sigma$, and the variance by $\sigma^2$.

# %%
noise = torch.randn(100_000, generator=torch.Generator().manual_seed(3))  # (100000,)
shifted = 0.5 + 0.2 * noise  # (100000,) mean 0.5, standard deviation 0.2, variance 0.04
for name, draws in [("noise", noise), ("0.5 + 0.2 noise", shifted)]:
    print(f"{name:16s}  mean {draws.mean():.2f}   standard deviation {draws.std():.2f}   variance {draws.var():.2f}")
inside = [100 * (noise.abs() < k).float().mean() for k in (1, 2, 3)]
print("within 1, 2, 3 standard deviations: {:.1f}%, {:.1f}%, {:.1f}%".format(*inside))


def density(x, mean=0.0, std=1.0):
    return torch.exp(-((x - mean) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))  # the formula above


# %% jupyter={"source_hidden": true}
values = torch.linspace(-4, 4, 400)  # (400,)
figure, axes = new_figure(1, 2, height=2.4, sharex=True)
for axis, draws, mean, std, colour in [
    (axes[0, 0], noise, 0.0, 1.0, COLOURS["noise"]),
    (axes[0, 1], shifted, 0.5, 0.2, COLOURS["noisy"]),
]:
    axis.hist(draws.numpy(), bins=200, range=(-4, 4), density=True, color=colour)
    axis.plot(values.numpy(), density(values, mean, std).numpy(), color=INK, linewidth=1.2)
    axis.set(xlabel="value", xlim=(-4, 4), title=rf"$\mathcal{{N}}({mean:g},\ {std:g}^2)$")
axes[0, 0].set_ylabel("density")
show(
    figure,
    "Histograms of 100,000 draws follow the black density: on the left the standard Gaussian, on "
    "the right the same draws stretched by 0.2 and shifted by 0.5.",
)

# %% [markdown]
# For an image, $\boldsymbol\epsilon \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$ means one draw for each pixel, independent of all others. The $\mathbf{I}$ (the identity matrix) says just that. In code it is `torch.randn(x.shape)`.

# %% [markdown]
# ## Rebuild it
#
# The loop that dissolved the cat, as a function. It has three lines.


# %%
def add_noise(x, betas, generator):
    for beta in betas:
        noise = torch.randn(x.shape, generator=generator)  # (b, 1, h, w) fresh for each step and pixel
        x = math.sqrt(1 - beta) * x + math.sqrt(beta) * noise  # (b, 1, h, w) shrink, then add
    return x  # (b, 1, h, w)


again = add_noise(cat, betas, torch.Generator().manual_seed(0))  # (1, 1, 128, 128)
assert torch.equal(again, kept[1000])  # the same seed gives the same noise

# %% [markdown]
# Why shrink the image before adding? Without it, the pixel values would grow without end, as the first mistake below shows. Lesson 01 derives the factor $\sqrt{1-\beta}$.

# %% [markdown]
# ## By hand
#
# Images are stored as bytes from 0 to 255. The course maps them to $[-1, 1]$ by $x = \text{byte}/127.5 - 1$.
#
# Now take one pixel of value 0.5, and two steps with a large $\beta = 0.36$. Let the noise draws be $-1$ and $0.5$.

# %% tags=["worked-example"]
print(f"bytes 0, 191, 255 are {0 / 127.5 - 1:.0f}, {191 / 127.5 - 1:.3f}, {255 / 127.5 - 1:.0f}")
shrink, spread = math.sqrt(1 - 0.36), math.sqrt(0.36)
print(f"factors  sqrt(0.64) = {shrink:.1f}   sqrt(0.36) = {spread:.1f}")
x_1 = shrink * 0.5 + spread * -1
print(f"step 1   {shrink:.1f} x 0.5 + {spread:.1f} x (-1) = {shrink * 0.5:.1f} - {spread:.1f} = {x_1:.1f}")
x_2 = shrink * x_1 + spread * 0.5
print(f"step 2   {shrink:.1f} x ({x_1:.1f}) + {spread:.1f} x 0.5 = {shrink * x_1:.2f} + {spread * 0.5:.2f} = {x_2:.2f}")

assert [f"{shrink:.1f}", f"{spread:.1f}", f"{x_1:.1f}", f"{x_2:.2f}"] == ["0.8", "0.6", "-0.2", "0.14"]
assert f"{191 / 127.5 - 1:.3f}" == "0.498" and cat.min() >= -1 and cat.max() <= 1

# %% [markdown]
# ## Believe it
#
# The claim: **whatever you start from, 1,000 steps leave the standard Gaussian.** Test it on the cat, on a black image and on a white one.
#
# With $n$ pixels, the mean of the result may miss 0 by a few times $1/\sqrt{n}$, and the standard deviation may miss 1 by a few times $1/\sqrt{2n}$ (these are their *standard errors*: the standard deviations of such estimates). We allow four. We also allow for the trace that is left of the start: the product of all the factors $\sqrt{1-\beta}$.

# %%
trace = math.prod(math.sqrt(1 - beta) for beta in betas)
print(f"trace of the start: {trace:.4f}")
generator = torch.Generator().manual_seed(4)
for name, start in [("cat", cat), ("black", torch.full_like(cat, -1)), ("white", torch.full_like(cat, 1))]:
    end, n = add_noise(start, betas, generator), cat.numel()  # (1, 1, 128, 128)
    beyond = (end.abs() > 1).float().mean()
    print(f"{name:6s} mean {abs(end.mean()):.1f}   std {end.std():.2f}   beyond 1: {100 * beyond:.0f}%")
    assert abs(end.mean()) < 4 / math.sqrt(n) + trace
    assert abs(end.std() - 1) < 4 / math.sqrt(2 * n) + trace
    expected = 1 - math.erf(1 / math.sqrt(2))  # the Gaussian's share beyond one standard deviation, 31.7%
    assert abs(beyond - expected) < 4 * math.sqrt(expected * (1 - expected) / n) + trace

# %% [markdown]
# The three ends look alike. That is what makes the way back possible: we know where it starts, whatever the image was.

# %% [markdown]
# ## Same as the package
#
# `minddpm` has the same step as a function, `forward_step`, and the same betas. 1,000 steps on random images, with the same seeds, must agree to $10^{-4}$.

# %%
from minddpm import forward_step, linear_schedule

schedule = linear_schedule()  # the same as that of the shipped weights
assert torch.allclose(schedule.beta[1:].float(), torch.tensor(betas), rtol=1e-5, atol=0)  # beta[0] belongs to t = 0

start = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(5)) * 2 - 1  # (4, 1, 16, 16)
mine = add_noise(start, betas, torch.Generator().manual_seed(6))  # (4, 1, 16, 16)
theirs, generator = start, torch.Generator().manual_seed(6)
for t in range(1, schedule.T + 1):
    theirs = forward_step(theirs, t, schedule, generator=generator)  # (4, 1, 16, 16)
print("equal to 0.0001:", torch.allclose(mine, theirs, rtol=0, atol=1e-4))
assert torch.allclose(mine, theirs, rtol=0, atol=1e-4)

# %% [markdown]
# ## Play
#
# **At which $t$ do you lose the cat?** Start at 1,000 and go down until you see it. Then start at 0 and go up until you lose it. Do you get the same number?

# %%
generator = torch.Generator().manual_seed(0)
noisy_cats = {0: cat}  # each (1, 1, 128, 128)
for t in range(10, 1001, 10):
    noisy_cats[t] = add_noise(noisy_cats[t - 10], betas[t - 10 : t], generator)


# %% jupyter={"source_hidden": true}
def draw(t):
    x_t = noisy_cats[t]
    colour = COLOURS["noisy" if t else "clean"]
    figure, axes = new_figure(1, 2, height=2.8, width_ratios=[1, 1.5])
    draw_image(axes[0, 0], x_t, f"$x_t$ at $t={t}$", colour)
    axes[0, 1].hist(x_t.flatten().numpy(), bins=80, range=(-4, 4), density=True, color=colour, histtype="stepfilled")
    axes[0, 1].plot(values.numpy(), density(values).numpy(), color=INK, linewidth=1.2)
    axes[0, 1].text(1.7, 0.22, r"$\mathcal{N}(0, 1)$")
    axes[0, 1].set(xlabel="pixel value", ylabel="density", ylim=(0, 2), xlim=(-4, 4))
    return figure, f"At t = {t} the pixels have a standard deviation of {x_t.std():.2f}; the standard Gaussian has 1."


# %%
play(draw, t=ipywidgets.IntSlider(value=300, min=0, max=1000, step=10))

# %% [markdown]
# On the way up you may hold on to it longer, because you know what is there. A network has the same advantage. It has seen thousands of digits, and knows what to look for.

# %% [markdown]
# ## Mistakes people make
#
# **1. Adding noise without shrinking.** Each step adds its variance to what is there, and nothing takes it away. The values leave the range for good.

# %%
x_t, generator = cat, torch.Generator().manual_seed(7)
for beta in betas:
    x_t = x_t + math.sqrt(beta) * torch.randn(x_t.shape, generator=generator)
expected = math.sqrt(float(cat.var()) + sum(betas))
print(f"standard deviation after 1,000 steps: {x_t.std():.1f}; expected {expected:.1f}, wanted 1")
assert x_t.std() > 3

# %% [markdown]
# **2. Variance for standard deviation.** In $\mathcal{N}(0.5, 0.04)$ the second number is the variance. Code multiplies by the standard deviation, 0.2. You will meet this mistake again in lesson 02.

# %%
noise = torch.randn(100_000, generator=torch.Generator().manual_seed(8))
right, wrong = 0.5 + math.sqrt(0.04) * noise, 0.5 + 0.04 * noise
print(f"variance wanted 0.0400   with sqrt(0.04): {right.var():.3f}   with 0.04: {wrong.var():.4f}")
assert abs(right.var() - 0.04) < 4 * 0.04 * math.sqrt(2 / len(noise)) and wrong.var() < 0.002

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(height=2)
for draws, colour, name, x, y in [
    (wrong, GREY, "0.5 + 0.04 noise", 0.62, 8),
    (right, COLOURS["noisy"], "0.5 + 0.2 noise", 0.82, 1.4),
]:
    axes[0, 0].hist(draws.numpy(), bins=150, range=(-0.5, 1.5), density=True, color=colour, alpha=0.8)
    axes[0, 0].text(x, y, name, color=colour)
axes[0, 0].set(xlabel="value", ylabel="density")
show(figure, "Taking the variance for the standard deviation leaves a spike a fifth as wide as it should be.")

# %% [markdown]
# **3. Thinking that the way back restores the image.** The reverse process does not know which image was destroyed. It starts from noise and arrives at *an* image.
# Here are the first four of your digits, not hand-picked, each beside the image that is most like it among the 5,000 real ones. A run can fail to make a digit; lesson 07 measures how often.

# %%
samples = steps[-1].x_t[:4]  # (4, 1, 28, 28)
known = torch.cat([load_mnist("train")[0], load_mnist("test")[0]])  # (5000, 1, 28, 28)
difference = (samples[:, None] - known[None]).square().mean(dim=(2, 3, 4))  # (4, 5000) mean squared difference
nearest = difference.min(dim=1)  # the known image that comes closest
titles = [f"new {k}" for k in range(1, 5)] + [f"nearest to {k}" for k in range(1, 5)]
show(
    image_grid(torch.cat([samples, known[nearest.indices]]), titles, columns=8),
    "Four new images on the left, and on the right the real digit nearest to each: none is the 3 "
    "of the upper strip, and none is a copy.",
)
assert (samples - digit).square().mean(dim=(1, 2, 3)).min() > 0.05 and nearest.values.min() > 0.01

# %% [markdown]
# ## Check yourself
#
# 1. At $t = 1000$, about which share of the pixels lies outside $[-1, 1]$, the range of images?
#
# <details><summary>Answer</summary>
# The share of a standard Gaussian beyond one standard deviation: 32%, as counted under Believe it. Pictures of noise show those pixels as plain black or white.
# </details>
#
# 2. Each step of the worked example multiplies the pixel by 0.8. After how many steps is less than 1% of the start left?
#
# <details><summary>Answer</summary>
# After 21: 0.8 to the power of 20 is 0.0115, and to the power of 21 it is 0.0092.
# </details>
#
# 3. You are given the final noise image and all 1,000 noise images that were added. Could you restore the cat?
#
# <details><summary>Answer</summary>
# Yes, up to rounding: take off the last noise, divide by the last factor, and so on. But nobody has that noise when generating. The network must guess it from the noisy image alone.
# </details>

# %%
print(f"2. {0.8**20:.4f} after 20 steps, {0.8**21:.4f} after 21")
noises, generator = [], torch.Generator().manual_seed(0)
for _ in betas:
    noises.append(torch.randn(cat.shape, dtype=torch.float32, generator=generator).double())
x = kept[1000].double()
for beta, noise in zip(reversed(betas), reversed(noises)):
    x = (x - math.sqrt(beta) * noise) / math.sqrt(1 - beta)
print(f"3. restored to within 0.01 of the cat: {bool((x - cat).abs().max() < 0.01)}")
assert (x - cat).abs().max() < 0.01

# %% [markdown]
# **Look it up:** [questions about the idea](../docs/questions.md#the-idea), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# ## The map, and the symbols
#
# **The map.** From 01 on, each lesson builds one module. The equations are those of the paper.
#
# | lesson | you build | in the paper | in `minddpm` |
# |---|---|---|---|
# | [00b · Sixty lines](00b_sixty_lines.ipynb) | the whole method, for points in the plane | algorithms 1, 2 | |
# | [01 · Schedule](01_schedule.ipynb) | how much noise at which time | section 2 and 4 | `linear_schedule`, `cosine_schedule`, `Schedule` |
# | [02 · Noising](02_noising.ipynb) | one step, and the jump to any $t$ | eq. 2, 4 | `forward_step`, `forward_diffusion`, `x0_from_noise`, `noise_from_x0` |
# | [03 · Posterior](03_posterior.ipynb) | the true step back | eq. 6, 7 | `q_posterior`, `posterior_variance` |
# | [04 · Loss](04_loss.ipynb) | the bound on the likelihood, and the simple loss in it | eq. 3, 5, 8-14 | `gaussian_kl`, `variational_bound`, `simple_loss` |
# | [05 · U-Net](05_unet.ipynb) | the network | appendix B | `UNet`, `timestep_embedding` |
# | [06 · Sampler](06_sampler.ipynb) | from noise to images | eq. 11, algorithm 2 | `reverse_step`, `sample` |
# | [07 · Training](07_training.ipynb) | the weights | algorithm 1 | `train_step`, `train` |
# | [08 · The score](08_score.ipynb) | what the network has learned | section 3.2 | `score_from_noise`, `langevin` |
# | [09 · Fewer steps](09_ddim.ipynb) | images in 50 steps | Song, Meng & Ermon 2021 | `ddim_step`, `ddim_sample` |
# | [10 · Guidance](10_guidance.ipynb) | the digit that you ask for | Ho & Salimans 2022 | `guided` |
# | [11 · Other targets](11_targets.ipynb) | other things to predict than the noise | Salimans & Ho 2022 | `velocity_from_noise` |
# | [12 · Play](12_play.ipynb) | images from scrawls, filled in, turned over | Lugmayr et al. 2022 | `inpaint` |
#
# The numbered lessons have the same parts in the same order. You write a function yourself before the package's version may be imported.
# Change a number, run the cell again, and see what happens. The `assert` lines are the lesson's own checks: a wrong formula stops the notebook.
#
# The symbols are for looking up, so there is no need to learn them now.
#
# **Symbols.** They are those of the paper. Each role has one colour, in formulas and in pictures.
#
# | symbol | in code | meaning |
# |---|---|---|
# | $t = 0, \dots, T$ | `t`, `schedule.T` | time: 0 is the clean image, $T = 1000$ is noise |
# | ${\color{#0072B2}{\mathbf{x}_0}}$ | `x_0` | a clean image, values in $[-1, 1]$, shape `(b, 1, h, w)`: `b` images, one grey channel |
# | ${\color{#B3528C}{\mathbf{x}_t}}$ | `x_t` | the noisy image at time $t$ |
# | ${\color{#C05500}{\boldsymbol\epsilon}}$ | `noise` | standard Gaussian noise, of the image's shape |
# | ${\color{#008561}{\boldsymbol\epsilon_\theta(\mathbf{x}_t, t)}}$ | `predicted_noise` | the network's guess of the noise; $\theta$ are its weights |
# | $\beta_t$ | `beta[t]` | variance of the noise that step $t$ adds |
# | $\alpha_t = 1 - \beta_t$, $\bar\alpha_t = \alpha_1 \cdots \alpha_t$ | `alpha[t]`, `alpha_bar[t]` | how much of the image's variance one step leaves, and how much $t$ steps leave |
# | $q$ | | the forward process, fixed: adds noise |
# | ${\color{#9C6C00}{q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0)}}$ | `q_posterior` | the true step back, if $\mathbf{x}_0$ is known |
# | ${\color{#008561}{p_\theta}}$ | | the reverse process, learned: removes noise |
#
# **Index equals $t$.** Arrays in code start at index 0, the paper's steps at $t = 1$. Here arrays have length $T+1$, so that `beta[t]` is the paper's $\beta_t$ and index 0 is the clean image. Lesson 01 has the table that translates to other libraries.
#
# **Next:** [00b · A whole diffusion model in sixty lines](00b_sixty_lines.ipynb). You train one yourself, for points in the plane, and see all of it work before any lesson goes into detail.
