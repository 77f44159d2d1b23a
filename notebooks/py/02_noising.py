# %% [markdown]
# # 02 · Noising
#
# **You will**
# - take one noising step, and check its mean and its spread,
# - derive the formula that jumps from a clean image to any time $t$ at once,
# - turn the jump round: find the clean image from the noise, and the noise from the clean image.
#
# **You need** $\beta_t$ and $\bar\alpha_t$ from [01 · Schedule](01_schedule.ipynb), and the Gaussian of [00 · From noise to images](00_from_noise_to_images.ipynb).
#
# **It takes** 20 minutes to read and 6 seconds to run.

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

from minddpm.data import load_cat, load_mnist
from minddpm.schedule import Schedule, linear_schedule, per_image
from minddpm_course.figures import (
    COLOURS,
    STYLE,
    digit_to_noise,
    draw_image,
    image_grid,
    new_figure,
    show,
    stepping_and_jumping,
)
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
images = load_mnist("test")[0]  # (500, 1, 28, 28) held-out digits in [-1, 1]
digit = images[20:21]  # (1, 1, 28, 28)
schedule = linear_schedule()

# %% [markdown]
# ## The idea in a picture
#
# One digit, one fixed noise image, and growing $t$. Above is the image $\mathbf{x}_t$. Below is what its 784 pixel values look like when you forget where they belong.

# %%
noise = torch.randn(digit.shape, generator=torch.Generator().manual_seed(0))
show(
    digit_to_noise(digit, schedule, [0, 50, 150, 300, 500, 1000], noise),
    "The two spikes of a black-and-white digit widen and move towards zero, until at t = 1000 "
    "the pixel values follow the bell curve of pure noise.",
)

# %% [markdown]
# Two things happen at once: the old values shrink towards zero, and noise widens them.
#
# No picture here was made from the one before it. The image at $t = 1000$ took one step, not 1,000. This lesson derives how. Training depends on it, because each training step needs an image at a random time and cannot afford to walk there.

# %% [markdown]
# ## The derivation
#
# **One step.** Recall the step of lesson 01 ([Ho et al. 2020](https://arxiv.org/abs/2006.11239), eq. 2), with $\alpha_t = 1 - \beta_t$:
#
# $${\color{#B3528C}{\mathbf{x}_t}} = \sqrt{\alpha_t}\ {\color{#B3528C}{\mathbf{x}_{t-1}}} + \sqrt{\beta_t}\ {\color{#C05500}{\boldsymbol\epsilon_t}}, \qquad {\color{#C05500}{\boldsymbol\epsilon_t}} \sim \mathcal{N}(\mathbf{0}, \mathbf{I}).$$
#
# **Two steps.** Put the first into the second:
#
# $$\mathbf{x}_2 = \sqrt{\alpha_2}\left(\sqrt{\alpha_1}\,\mathbf{x}_0 + \sqrt{\beta_1}\,\boldsymbol\epsilon_1\right) + \sqrt{\beta_2}\,\boldsymbol\epsilon_2 = \sqrt{\alpha_1\alpha_2}\,\mathbf{x}_0 + \sqrt{\alpha_2\beta_1}\,\boldsymbol\epsilon_1 + \sqrt{\beta_2}\,\boldsymbol\epsilon_2 .$$
#
# The clean image has the factor $\sqrt{\alpha_1\alpha_2} = \sqrt{\bar\alpha_2}$. The rest is a sum of two noises.
#
# **Sums of Gaussians.** If $a\,\epsilon$ and $b\,\epsilon'$ are independent Gaussians of mean 0, their sum is a Gaussian of mean 0 and variance $a^2 + b^2$. Variances add. Standard deviations do not: they combine like the sides of a right triangle.
# So **one** draw $\sqrt{a^2+b^2}\;\bar\epsilon$ with $\bar\epsilon \sim \mathcal{N}(0, 1)$ can stand in for the sum. It is a different random number with the same distribution, and only the distribution matters.

# %%
generator = torch.Generator().manual_seed(1)
one, other = torch.randn(2, 200_000, generator=generator)
total = 0.3 * one + 0.4 * other
print(f"std 0.3 and std 0.4 together: {total.std():.2f}, not {0.3 + 0.4:.1f}")
assert abs(total.std() - math.hypot(0.3, 0.4)) < 0.005

# %% [markdown]
# For our two steps the variance is
#
# $$\alpha_2\beta_1 + \beta_2 = \alpha_2(1-\alpha_1) + (1 - \alpha_2) = 1 - \alpha_1\alpha_2 = 1 - \bar\alpha_2 .$$
#
# **All steps, by induction.** The claim is
#
# $$\mathbf{x}_t = \sqrt{\bar\alpha_t}\,\mathbf{x}_0 + \sqrt{1-\bar\alpha_t}\;\bar{\boldsymbol\epsilon}, \qquad \bar{\boldsymbol\epsilon} \sim \mathcal{N}(\mathbf{0}, \mathbf{I}).$$
#
# *Start.* At $t = 0$, $\bar\alpha_0 = 1$ and the claim says $\mathbf{x}_0 = \mathbf{x}_0$.
#
# *Step.* Suppose it holds at $t-1$. Take one more step:
#
# $$\mathbf{x}_t = \sqrt{\alpha_t}\left(\sqrt{\bar\alpha_{t-1}}\,\mathbf{x}_0 + \sqrt{1-\bar\alpha_{t-1}}\;\bar{\boldsymbol\epsilon}\right) + \sqrt{1-\alpha_t}\,\boldsymbol\epsilon_t .$$
#
# The factor of $\mathbf{x}_0$ is $\sqrt{\alpha_t\bar\alpha_{t-1}} = \sqrt{\bar\alpha_t}$. The two noises are independent, because $\boldsymbol\epsilon_t$ is drawn fresh, so their variances add:
#
# $$\alpha_t\,(1-\bar\alpha_{t-1}) + (1-\alpha_t) = 1 - \alpha_t\bar\alpha_{t-1} = 1-\bar\alpha_t .$$
#
# That is the claim at $t$. It is the paper's eq. 4:
#
# $$q(\mathbf{x}_t \mid \mathbf{x}_0) = \mathcal{N}\!\left(\mathbf{x}_t;\ \sqrt{\bar\alpha_t}\,\mathbf{x}_0,\ (1-\bar\alpha_t)\,\mathbf{I}\right), \qquad {\color{#B3528C}{\mathbf{x}_t}} = \sqrt{\bar\alpha_t}\ {\color{#0072B2}{\mathbf{x}_0}} + \sqrt{1-\bar\alpha_t}\ {\color{#C05500}{\boldsymbol\epsilon}} .$$
#
# This course calls it **the jump**. Writing a random image as a fixed function of $\mathbf{x}_0$ and a standard draw $\boldsymbol\epsilon$, as on the right, is known as the **reparameterisation trick**.
#
# **The jump turned round.** It is one equation between $\mathbf{x}_t$, $\mathbf{x}_0$ and $\boldsymbol\epsilon$. Any two give the third:
#
# $${\color{#0072B2}{\mathbf{x}_0}} = \frac{{\color{#B3528C}{\mathbf{x}_t}} - \sqrt{1-\bar\alpha_t}\ {\color{#C05500}{\boldsymbol\epsilon}}}{\sqrt{\bar\alpha_t}}, \qquad {\color{#C05500}{\boldsymbol\epsilon}} = \frac{{\color{#B3528C}{\mathbf{x}_t}} - \sqrt{\bar\alpha_t}\ {\color{#0072B2}{\mathbf{x}_0}}}{\sqrt{1-\bar\alpha_t}} .$$
#
# So a network that predicts the noise also predicts the clean image, and the other way round. (Other libraries call $\mathbf{x}_0$ `x_start`.)

# %% [markdown]
# ## Rebuild it
#
# Four formulas, four functions. `t` is an int, or one time for each image. `schedule` and `per_image` come from lesson 01: the arithmetic on $\bar\alpha_t$ is done in float64, and `per_image` then shapes the result so that it multiplies the images.
# Try it first, if you like: fill in the next cell, then compare with the ones below it.


# %%
def forward_diffusion(x_0, t, schedule, noise):
    """The jump: x_t from x_0 and the noise (eq. 4)."""
    # your lines


def x0_from_noise(x_t, t, noise, schedule):
    """The clean image that x_t and the noise in it imply."""
    # your lines


# %%
def forward_step(x_prev, t, schedule, noise):
    beta = schedule.beta[t]  # () or (b,)
    keep = per_image((1 - beta).sqrt(), x_prev)  # () or (b, 1, 1, 1)
    spread = per_image(beta.sqrt(), x_prev)  # () or (b, 1, 1, 1)
    return keep * x_prev + spread * noise  # (b, 1, h, w)


def forward_diffusion(x_0, t, schedule, noise):
    alpha_bar = schedule.alpha_bar[t]  # () or (b,)
    signal = per_image(alpha_bar.sqrt(), x_0)  # () or (b, 1, 1, 1)
    spread = per_image((1 - alpha_bar).sqrt(), x_0)  # () or (b, 1, 1, 1)
    return signal * x_0 + spread * noise  # (b, 1, h, w)


# %%
def x0_from_noise(x_t, t, noise, schedule):
    alpha_bar = schedule.alpha_bar[t]  # () or (b,)
    signal = per_image(alpha_bar.sqrt(), x_t)  # () or (b, 1, 1, 1)
    spread = per_image((1 - alpha_bar).sqrt(), x_t)  # () or (b, 1, 1, 1)
    return (x_t - spread * noise) / signal  # (b, 1, h, w)


def noise_from_x0(x_t, t, x_0, schedule):
    alpha_bar = schedule.alpha_bar[t]  # () or (b,)
    signal = per_image(alpha_bar.sqrt(), x_t)  # () or (b, 1, 1, 1)
    spread = per_image((1 - alpha_bar).sqrt(), x_t)  # () or (b, 1, 1, 1)
    return (x_t - signal * x_0) / spread  # (b, 1, h, w)


# %% [markdown]
# Five digits, each at its own time, and back again. The way back is exact up to rounding.

# %%
x_0 = images[20:25]  # (5, 1, 28, 28)
t = torch.tensor([1, 100, 250, 500, 1000])  # (5,)
noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(2))  # (5, 1, 28, 28)
x_t = forward_diffusion(x_0, t, schedule, noise)  # (5, 1, 28, 28)
back = x0_from_noise(x_t, t, noise, schedule)  # (5, 1, 28, 28)
assert (back - x_0).abs().max() < 1e-3  # at t = 1000 rounding is divided by 0.006
assert (noise_from_x0(x_t, t, x_0, schedule) - noise).abs().max() < 1e-4

# %% jupyter={"source_hidden": true}
titles = [f"$x_t$, $t={time}$" for time in t.tolist()] + ["$x_0$ from $x_t$"] * 5
show(
    image_grid(torch.cat([x_t, back]), titles, columns=5),
    "Given the noise, the digit comes back from any time, even from t = 1000 where nothing of it can be seen.",
)

# %% [markdown]
# ## By hand
#
# One step. A pixel has the value $x_{t-1} = 0.8$ and $\beta_t = 0.01$.

# %% tags=["worked-example"]
one = Schedule.from_betas([0.01])
beta, x_prev = one.beta[1], 0.8
factor = (1 - beta).sqrt()
mean, std = factor * x_prev, beta.sqrt()
print(f"factor  sqrt(1 - {beta:.2f}) = {factor:.3f}")
print(f"mean    {factor:.3f} x {x_prev} = {mean:.3f}")
print(f"std     sqrt({beta:.2f}) = {std:.1f}")

assert [f"{factor:.3f}", f"{mean:.3f}", f"{std:.1f}"] == ["0.995", "0.796", "0.1"]
pixel = torch.tensor([x_prev])
assert f"{forward_step(pixel, 1, one, torch.zeros(1)).item():.3f}" == "0.796"  # the mean
assert f"{forward_step(pixel, 1, one, torch.ones(1)).item() - 0.796:.3f}" == "0.100"  # the std

# %% [markdown]
# The jump. A pixel has $x_0 = 0.8$, the time is one where $\bar\alpha_t = 0.5$, and the noise drawn is $\epsilon = 0.3$.

# %% tags=["worked-example"]
half = Schedule.from_betas([0.5])  # alpha_bar_1 = 0.5
alpha_bar, x_0, noise = half.alpha_bar[1], 0.8, 0.3
signal, spread = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
x_t = signal * x_0 + spread * noise
print(f"factors  sqrt({alpha_bar:.1f}) = {signal:.3f}   sqrt(1 - {alpha_bar:.1f}) = {spread:.3f}")
print(f"signal   {signal:.3f} x {x_0} = {signal * x_0:.3f}")
print(f"noise    {spread:.3f} x {noise} = {spread * noise:.3f}")
print(f"x_t      {signal * x_0:.3f} + {spread * noise:.3f} = {x_t:.3f}")

assert f"{signal:.3f} {signal * x_0:.3f} {spread * noise:.3f} {x_t:.3f}" == "0.707 0.566 0.212 0.778"
noisy = forward_diffusion(torch.tensor([0.8]), 1, half, torch.tensor([0.3]))
assert f"{noisy.item():.3f}" == "0.778"
assert f"{x0_from_noise(noisy, 1, torch.tensor([0.3]), half).item():.3f}" == "0.800"

# %% [markdown]
# The image keeps 70.7% of its amplitude, and the noise comes in with 70.7% of its own. These need not add up to 100%. Their squares do.

# %% [markdown]
# ## Believe it
#
# The induction says that stepping and jumping lead to the same distribution. Check it with 20,000 pixels that all start at $x_0 = 0.8$ and walk step by step.
#
# With $n$ draws of standard deviation $\sigma$, the mean has a standard error of $\sigma/\sqrt{n}$ and the standard deviation one of $\sigma/\sqrt{2n}$. We allow four of each.

# %%
n = 20_000
generator = torch.Generator().manual_seed(3)
x_t = torch.full((n,), 0.8)  # (n,)
print("   t    walked: mean   std    jump: mean   std")
for t in range(1, 1001):
    x_t = forward_step(x_t, t, schedule, torch.randn(n, generator=generator))  # (n,)
    if t in (1, 10, 100, 259, 500, 1000):
        mean = 0.8 * schedule.alpha_bar[t].sqrt()  # ()
        std = (1 - schedule.alpha_bar[t]).sqrt()  # ()
        print(f"{t:4d}  {x_t.mean():13.2f}  {x_t.std():4.2f}  {mean:11.2f}  {std:4.2f}")
        assert abs(x_t.mean() - mean) < 4 * std / math.sqrt(n)
        assert abs(x_t.std() - std) < 4 * std / math.sqrt(2 * n)

# %% [markdown]
# Mean and spread agree. The shape must be a Gaussian as well, which you can see:

# %%
show(
    stepping_and_jumping(0.8, schedule, 259, torch.Generator().manual_seed(4)),
    "Chains that walk 259 steps and draws that jump there land on the same bell curve; the black "
    "line is its centre, which sinks from 0.8 to 0.57.",
)

# %% [markdown]
# ## Same as the package
#
# From here on you may import `minddpm.noising`. One line compares your functions with it on random input: other ranks, other dtypes, one time for all images or one each.
# The package draws the noise itself if you give it a generator, and its jump returns a pair, the noisy image and the noise in it, because training needs both.

# %%
from minddpm import noising as package
from minddpm_course.comparisons import same_as_package

same_as_package("02", globals())

# %% [markdown]
# ## Play
#
# At $t = 259$ half of the power is left. **Is the digit half gone there? When do you stop seeing it, and is that the same time for the cat?**

# %%
pictures = {"digit": digit, "cat": load_cat()}
for name, picture in pictures.items():
    print(f"{name:5s}  {picture.numel():6d} pixels   std {picture.std():.2f}")



# %% jupyter={"source_hidden": true}
def draw(picture, t):
    x_0 = pictures[picture]
    x_t, _ = package.forward_diffusion(x_0, t, schedule, generator=torch.Generator().manual_seed(7))
    signal, spread = float(schedule.alpha_bar[t].sqrt()), float((1 - schedule.alpha_bar[t]).sqrt())
    figure, axes = new_figure(1, 3, height=2.5, width_ratios=[1, 1, 1.3])
    draw_image(axes[0, 0], x_0, "$x_0$", COLOURS["clean"])
    draw_image(axes[0, 1], x_t, f"$x_t$ at $t={t}$", COLOURS["noisy"])
    bars = {"image": signal * float(x_0.std()), "noise": spread}
    for place, (name, height) in enumerate(bars.items()):
        axes[0, 2].bar(place, height, color=COLOURS["clean" if name == "image" else "noise"], width=0.7)
        axes[0, 2].text(place, height + 0.03, f"{height:.2f}", ha="center")
    axes[0, 2].set_xticks([0, 1], list(bars))
    axes[0, 2].set(ylim=(0, 1.15), title="standard deviation in $x_t$")
    return figure, f"The {picture} at t = {t}: its own pixels spread by {bars['image']:.2f}, the noise by {spread:.2f}."


show(*draw("cat", 259))

# %%
play(
    draw,
    picture=ipywidgets.Dropdown(options=list(pictures), value="digit"),
    t=ipywidgets.IntSlider(value=259, min=0, max=1000),
)

# %% [markdown]
# Half of each image's own power is left. But only an image of variance 1 would then be as strong as the noise. The clean digit's pixels spread by 0.66 and the cat's by 0.24, so that at the same $t$ the cat is deeper in the noise. The eye makes up for part of that, because it averages over the cat's many more pixels.

# %% [markdown]
# ## Mistakes people make
#
# In each of them the code runs and the pictures look noisy. So look at numbers.
#
# **1. Variance for standard deviation.** `(1 - alpha_bar) * noise` lacks the square root. Small noise becomes far too small: at $t = 10$ by a factor of 23.

# %%
for t in [10, 100, 259, 1000]:
    variance = float(1 - schedule.alpha_bar[t])
    std = math.sqrt(variance)
    print(f"t = {t:4d}   std {std:.3f}   variance {variance:.3f}   {std / variance:4.1f} times too small")
assert math.sqrt(1 - schedule.alpha_bar[10]) / (1 - schedule.alpha_bar[10]) > 20

# %% jupyter={"source_hidden": true}
noise = torch.randn(digit.shape, generator=torch.Generator().manual_seed(8))
panels, titles = [], []
for t in [10, 100, 259]:
    titles += [f"std, $t={t}$", f"variance, $t={t}$"]
    alpha_bar = float(schedule.alpha_bar[t])
    panels += [math.sqrt(alpha_bar) * digit + spread * noise for spread in (math.sqrt(1 - alpha_bar), 1 - alpha_bar)]
show(
    image_grid(torch.cat(panels), titles, columns=6),
    "At each time the right one of the pair, where the variance was used as the standard "
    "deviation, has too little noise.",
)

# %% [markdown]
# **2. `alpha_bar` off by one.** Lesson 01 showed the sizes. Here is how to catch it: at $t = 0$ the jump must give the clean image back exactly, and one step from $\mathbf{x}_0$ must equal the jump to $t = 1$ with the same noise.

# %%
noise = torch.randn(digit.shape, generator=torch.Generator().manual_seed(8))
jump = forward_diffusion(digit, 1, schedule, noise)
shifted = schedule.alpha_bar[2]  # alphas_cumprod[1] of a library that counts from 0
wrong = float(shifted.sqrt()) * digit + float((1 - shifted).sqrt()) * noise
step = forward_step(digit, 1, schedule, noise)
apart, shifted_apart = (step - jump).abs().max(), (step - wrong).abs().max()
print(f"largest difference of step and jump: {apart:.3f}; of step and shifted jump: {shifted_apart:.3f}")
assert apart < 1e-6 and shifted_apart > 0.01

# %% [markdown]
# **3. Uniform noise.** `torch.rand` instead of `torch.randn`: one letter is missing. Uniform noise on $[0, 1)$ has mean 0.5 and standard deviation 0.3, so that the image gets lighter and far too little noise comes in.

# %%
uniform = torch.rand(n, generator=torch.Generator().manual_seed(9))
normal = torch.randn(n, generator=torch.Generator().manual_seed(9))
for name, draws in [("randn", normal), ("rand", uniform)]:
    print(f"{name:6s} |mean| {draws.mean().abs():.1f}   std {draws.std():.1f}")
assert normal.mean().abs() < 0.05 and uniform.mean() > 0.45

# %% [markdown]
# **4. Noise that broadcasts over the batch.** Noise of shape `(1, 1, 28, 28)` is accepted by PyTorch for any batch: each image then gets the same noise. Nothing fails, and the network sees far fewer noise images than it should. Noise of shape `(b, 1, 1, 1)` is worse: a whole image moves by one number.

# %%
batch = images[20:24]  # (4, 1, 28, 28)
generator = torch.Generator().manual_seed(10)
shared = torch.randn(1, 1, 28, 28, generator=generator)
single = torch.randn(4, 1, 1, 1, generator=generator)
own = torch.randn(batch.shape, generator=generator)
kinds = {"one for each pixel": own, "one image for all": shared, "one for each image": single}
for name, kind in kinds.items():
    added = kind.expand_as(batch).flatten(1)  # (4, 784)
    alike, spread = torch.equal(added[0], added[1]), added.std(dim=1).mean()
    print(f"{name:20s} the same in two images: {str(alike):5s}   std in an image: {spread:.1f}")

# %% jupyter={"source_hidden": true}
noisy = [forward_diffusion(batch, 259, schedule, kind) for kind in kinds.values()]  # (4, 1, 28, 28)
show(
    image_grid(torch.cat(noisy), columns=4),
    "Above, each digit has its own noise; in the middle all four share one pattern; below, each "
    "image is only lighter or darker.",
)

# %%
try:
    package.forward_diffusion(batch, 259, schedule, shared)
except ValueError as error:
    print(f"ValueError: {error}")

# %% [markdown]
# ## Check yourself
#
# 1. You jump to $t = 400$ and then take one step to $t = 401$. Is that the same as jumping to $t = 401$?
#
# <details><summary>Answer</summary>
# In distribution, yes: that is the induction step. As numbers, no: the step draws new noise.
# </details>
#
# 2. Training draws $t$ uniformly from 1 to 1,000. How many noising steps would an image cost on average without the jump?
#
# <details><summary>Answer</summary>
# The average of 1, ..., 1,000, which is 500.5. The jump costs one, whatever t is.
# </details>
#
# 3. A network's noise prediction at $t = 1000$ is off by 0.01 in each pixel. How far off is the clean image that it implies?
#
# <details><summary>Answer</summary>
# By 0.01 times sqrt(1 - alpha_bar) / sqrt(alpha_bar), about 0.01 x 157 = 1.57: more than the way from grey to white. At t = 10 it would be 0.0004. Early predictions of the clean image are rough, which is why generation does not jump back but takes small steps.
# </details>
#
# 4. Someone converts images of 0 to 255 to floating point and forgets to map them to $[-1, 1]$. What goes wrong, and where?
#
# <details><summary>Answer</summary>
# The noise has standard deviation 1, and the formulas give no error. Against pixels that reach 255 this noise is faint for most of the way, so the digit can be read where it should long be hidden. The package refuses integer images. It cannot know what a floating-point image is meant to be: that check is yours.
# </details>
#
# **Look it up:** [questions about the idea](../docs/questions.md#the-idea), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [02 · Noising](../exercises/02_noising.ipynb). What you write is checked on fresh numbers, and a known mistake is named. Milestone: at their end, your jump noises a digit of the test set.
#
# **Next:** [03 · Posterior](03_posterior.ipynb) asks for the way back: given $\mathbf{x}_t$ and $\mathbf{x}_0$, where was the image one step earlier?
