# %% [markdown]
# # 03 · Posterior
#
# **You will**
# - see why the step back from $x_t$ to $x_{t-1}$ cannot be computed from $x_t$ alone,
# - derive the step back for a known clean image $x_0$ (equations 6 and 7 of [Ho et al. 2020](https://arxiv.org/abs/2006.11239)) and rebuild it,
# - see what the network has to add, and why a perfect answer would only copy its training images.
#
# **You need** [01 · Schedule](01_schedule.ipynb) for $\beta_t$, $\alpha_t$ and $\bar\alpha_t$,
# and [02 · Noising](02_noising.ipynb) for one forward step and the jump.
#
# **It takes** 25 minutes to read and about 10 seconds to run.

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

from minddpm import Schedule, forward_diffusion, forward_step, linear_schedule
from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm_course.figures import COLOURS, INK, STYLE, draw_image, new_figure, show
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %% [markdown]
# ## The idea in a picture
#
# You can add noise to an image. To generate one, you must go the other way: given $x_t$, where was $x_{t-1}$?
#
# Try it by brute force. Take one pixel near the middle of each of the 4,500 training digits.
# Add noise in two steps, the second one large, and repeat this 200 times for each digit.
# Then keep only the chains whose $x_2$ fell into a narrow slot around 0.1. Where were they one step earlier?

# %%
digits, _ = load_mnist("train")  # (4500, 1, 28, 28)
two_steps = Schedule.from_betas([0.1, 0.5])
generator = torch.Generator().manual_seed(3)

x_0 = digits[:, 0, 14, 13].double().repeat(200)  # (900000,) one pixel of every digit
x_1 = forward_step(x_0, 1, two_steps, generator=generator)  # (900000,)
x_2 = forward_step(x_1, 2, two_steps, generator=generator)  # (900000,)

slot = (x_2 - 0.1).abs() < 0.02  # (900000,) the chains that we keep
dark, bright = slot & (x_0 == -1), slot & (x_0 > 0.9)  # background, stroke

# %% jupyter={"source_hidden": true}
figure, ((left, right),) = new_figure(1, 2, height=2.9)
left.plot(
    x_2[:4500].numpy(), x_1[:4500].numpy(), ".", color=COLOURS["noisy"], markersize=2, alpha=0.5
)
left.axvspan(0.08, 0.12, color=INK, alpha=0.25, linewidth=0)
left.set(xlabel="$x_2$", ylabel="$x_1$")
left.set_title("4,500 of the chains, and the slot")
bins = torch.linspace(-2, 2, 81).numpy()
right.hist(x_1[slot].numpy(), bins, color=COLOURS["noisy"], histtype="stepfilled", alpha=0.45)
for chosen in (dark, bright):
    right.hist(
        x_1[chosen].numpy(), bins, color=COLOURS["posterior"], histtype="step", linewidth=1.8
    )
height = right.get_ylim()[1]
right.set(xlabel="$x_1$ of the chains in the slot", ylabel="chains", ylim=(0, 1.25 * height))
right.text(-1.9, 1.12 * height, "$x_0 = -1$\n(background)", color=COLOURS["posterior"], va="center")
right.text(1.0, 1.12 * height, "$x_0 > 0.9$\n(stroke)", color=COLOURS["posterior"], va="center")
right.text(0.0, 1.12 * height, "all", color=COLOURS["noisy"], va="center")
show(
    figure,
    f"The {slot.sum().item():,} chains in the slot came from two heaps of x_1; "
    "the chains whose clean pixel is known to be background, or to be stroke, came from one bell each.",
)

# %% [markdown]
# Two things are in this picture.
#
# - If you know only $x_t$, the answer depends on which clean pixels exist, and it need not be Gaussian.
# - If you also know $x_0$, the answer is a single bell curve. This lesson computes it.
#
# A **posterior** is a distribution after an observation. Here it is the distribution of $x_{t-1}$ after you have seen $x_t$.

# %% [markdown]
# ## The derivation
#
# ### Why $x_t$ alone is not enough
#
# Bayes' rule turns a step around:
#
# $$q(x_{t-1} \mid x_t) = \frac{q(x_t \mid x_{t-1})\; q(x_{t-1})}{q(x_t)}, \qquad q(x_{t-1}) = \int q(x_{t-1} \mid x_0)\; q(x_0)\, dx_0$$
#
# The first factor is one forward step, which you know: it is the **likelihood**, and says how well each $x_{t-1}$ explains $x_t$.
# The second, the **prior**, is the trouble. It sums over every clean image, each with its probability $q(x_0)$, and nobody can write $q(x_0)$ down for images.
# An integral that cannot be computed in any practical time is called **intractable**.
#
# In one dimension, with data that takes two values, it is a sum of two terms and you can do it on a grid.


# %%
def normal(x, mean, variance):
    """The density of N(mean, variance) at x."""
    return torch.exp(-((x - mean) ** 2) / (2 * variance)) / (2 * math.pi * variance) ** 0.5


def prior_density(grid, x_0, t, schedule):
    """q(x_{t-1} | x_0): the jump of lesson 02, to t - 1."""
    alpha_bar_prev = schedule.alpha_bar[t - 1]  # ()
    return normal(grid, alpha_bar_prev.sqrt() * x_0, 1 - alpha_bar_prev)  # (n,)


def likelihood(grid, x_t, t, schedule):
    """q(x_t | x_{t-1}) as a function of x_{t-1}: the forward step of lesson 02."""
    return normal(x_t, schedule.alpha[t].sqrt() * grid, schedule.beta[t])  # (n,)


# %%
def bayes_on_grid(grid, prior, x_t, t, schedule):
    """Bayes' rule and nothing else: multiply, then divide by the sum."""
    product = prior * likelihood(grid, x_t, t, schedule)  # (n,)
    return product / (product.sum() * (grid[1] - grid[0]))  # (n,) a density


def moments(grid, density):
    """Mean and variance of a density on a grid."""
    weight = density / density.sum()  # (n,)
    mean = (weight * grid).sum()  # ()
    return mean, (weight * (grid - mean) ** 2).sum()  # (), ()


# %% [markdown]
# Now let the data be $-1$ in 60% of the cases and $1$ in the others, and look back over a large step and over a small one. How far is the answer from a Gaussian of the same mean and variance?

# %%
grid = torch.linspace(-2.5, 2.5, 5001, dtype=torch.float64)


def step_back(values, x_t, schedule, shares=(0.6, 0.4)):
    """q(x_{t-1} | x_t) at t = 2 for data of two values, and the Gaussian most like it."""
    parts = [share * prior_density(grid, x, 2, schedule) for x, share in zip(values, shares)]
    density = bayes_on_grid(grid, sum(parts), x_t, 2, schedule)  # (n,)
    bell = normal(grid, *moments(grid, density))  # (n,)
    return density, bell, ((density - bell).abs().max() / density.max()).item()


large = step_back((-1.0, 1.0), 0.1, Schedule.from_betas([0.1, 0.5]))
small = step_back((-1.0, 1.0), 0.1, Schedule.from_betas([0.495, 0.01]))
print(f"farthest from the Gaussian, as a share of the peak: {large[2]:.0%} and {small[2]:.2%}")
assert large[2] > 0.3 and small[2] < 0.02

# %% jupyter={"source_hidden": true}
figure, (axes,) = new_figure(1, 2, height=2.6)
titles = ("a large step, $\\beta_t = 0.5$", "a small one, $\\beta_t = 0.01$")
for axis, title, (density, bell, _) in zip(axes, titles, (large, small)):
    axis.fill_between(
        grid.numpy(), density.numpy(), color=COLOURS["noisy"], alpha=0.45, linewidth=0
    )
    axis.plot(grid.numpy(), bell.numpy(), "--", color=INK, linewidth=1)
    axis.set(xlabel="$x_{t-1}$", ylim=(0, None), title=title)
axes[0].set_ylabel("density")
axes[0].text(-0.5, 0.68, "$q(x_{t-1} \\mid x_t)$", color=COLOURS["noisy"])
axes[0].text(1.4, 0.33, "Gaussian of\nequal mean\nand variance")
show(
    figure,
    "With two possible clean values a large step back is a mixture of two bells, far from the dashed Gaussian; "
    "a small step back is one bell, and the dashed Gaussian lies on it.",
)

# %% [markdown]
# The right half is why DDPM takes many small steps. If the step is small, the step back is nearly Gaussian, and a Gaussian is something that a network can describe: it needs a mean and a variance.
#
# *Small* means small beside the width of the details of $q(x_{t-1})$. Near the clean end the details are very fine, so that even the first steps of the linear schedule are not small for data with sharp values:

# %%
linear = linear_schedule()
grid = torch.linspace(-0.2, 0.2, 40_001, dtype=torch.float64)
sharp = step_back((-0.02, 0.02), 0.0, linear, shares=(0.5, 0.5))
print(f"clean values of -0.02 and 0.02, t = 2 of the linear schedule: {sharp[2]:.0%}")
assert sharp[2] > 0.3

# %% [markdown]
# ### Bayes with $x_0$ known
#
# Write the same rule with $x_0$ given everywhere:
#
# $$q({\color{#B3528C}{x_{t-1}}} \mid {\color{#B3528C}{x_t}}, {\color{#0072B2}{x_0}}) = \frac{q({\color{#B3528C}{x_t}} \mid {\color{#B3528C}{x_{t-1}}}, {\color{#0072B2}{x_0}})\; q({\color{#B3528C}{x_{t-1}}} \mid {\color{#0072B2}{x_0}})}{q({\color{#B3528C}{x_t}} \mid {\color{#0072B2}{x_0}})}$$
#
# Now you know each factor on the right.
#
# 1. **Likelihood.** The forward process is a Markov chain: once you know $x_{t-1}$, $x_0$ tells you nothing more about $x_t$. So the first factor is
#    the forward step, equation 2: $q(x_t \mid x_{t-1}) = \mathcal N(x_t;\ \sqrt{\alpha_t}\, x_{t-1},\ \beta_t)$.
# 2. **Prior.** The second is the jump to $t-1$, equation 4: $q(x_{t-1} \mid x_0) = \mathcal N(x_{t-1};\ \sqrt{\bar\alpha_{t-1}}\, x_0,\ 1 - \bar\alpha_{t-1})$.
# 3. The denominator does not contain $x_{t-1}$. It only makes the area under the curve 1.
#
# The noise of each pixel is independent of that of all others, so one pixel is enough.
#
# The likelihood is a Gaussian in $x_t$. You need it as a function of $x_{t-1}$, so take $\alpha_t$ out of the square:
#
# $$\frac{(x_t - \sqrt{\alpha_t}\,x_{t-1})^2}{\beta_t} = \frac{(x_{t-1} - x_t/\sqrt{\alpha_t})^2}{\beta_t/\alpha_t}$$
#
# It is a bell around $x_t/\sqrt{\alpha_t}$ with variance $\beta_t/\alpha_t$.
#
# ### The product of two Gaussians
#
# Let the two bells over $x$ have means $m_1, m_2$ and variances $v_1, v_2$. A product of exponentials adds the exponents. Up to a factor $-\tfrac12$ the sum is
#
# $$\frac{(x-m_1)^2}{v_1} + \frac{(x-m_2)^2}{v_2}
# = \underbrace{\Big(\frac1{v_1}+\frac1{v_2}\Big)}_{A} x^2 - 2\underbrace{\Big(\frac{m_1}{v_1}+\frac{m_2}{v_2}\Big)}_{B} x + \text{terms without } x$$
#
# **Complete the square**: $A x^2 - 2 B x = A\,(x - B/A)^2 - B^2/A$, and $B^2/A$ does not contain $x$. What remains is a Gaussian:
#
# $$\text{variance} = \frac1A = \frac{v_1 v_2}{v_1+v_2}, \qquad \text{mean} = \frac BA = \frac{v_2\,m_1 + v_1\,m_2}{v_1+v_2}$$
#
# One over a variance is a **precision**. Precisions add, and the mean lies nearer to the bell with the higher precision.
#
# ### Put the two bells in
#
# The prior has $m_1 = \sqrt{\bar\alpha_{t-1}}\,x_0$ and $v_1 = 1-\bar\alpha_{t-1}$, the likelihood $m_2 = x_t/\sqrt{\alpha_t}$ and $v_2 = \beta_t/\alpha_t$. First add the variances, with $\alpha_t\bar\alpha_{t-1} = \bar\alpha_t$ and $\beta_t = 1-\alpha_t$:
#
# $$v_1 + v_2 = \frac{\alpha_t(1-\bar\alpha_{t-1}) + \beta_t}{\alpha_t} = \frac{\alpha_t - \bar\alpha_t + 1 - \alpha_t}{\alpha_t} = \frac{1-\bar\alpha_t}{\alpha_t}$$
#
# Then the variance, where $\alpha_t$ cancels:
#
# $$\tilde\beta_t = \frac{v_1v_2}{v_1+v_2} = \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t \tag{7}$$
#
# The weight of $x_0$ is $v_2\sqrt{\bar\alpha_{t-1}}/(v_1+v_2)$, and the weight of $x_t$ is $v_1/(\sqrt{\alpha_t}\,(v_1+v_2))$. Insert again:
#
# $$\tilde\mu_t({\color{#B3528C}{x_t}}, {\color{#0072B2}{x_0}}) = \frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t}\,{\color{#0072B2}{x_0}} + \frac{\sqrt{\alpha_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\,{\color{#B3528C}{x_t}} \tag{7}$$
#
# Together they are the posterior. For all pixels of an image at once (bold letters are images):
#
# $$q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0) = \mathcal N\big(\mathbf{x}_{t-1};\ {\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t(\mathbf{x}_t, \mathbf{x}_0)}},\ {\color{#9C6C00}{\tilde\beta_t}}\, \mathbf{I}\big) \tag{6}$$
#
# At $t = 1$ you have $\bar\alpha_{t-1} = \bar\alpha_0 = 1$ and $1-\bar\alpha_1 = \beta_1$. The weights become 1 and 0, and the variance becomes 0, because
# one step before $x_1$ there is $x_0$ itself. In this course the array index equals the paper's $t$, so `alpha_bar[t - 1]` is `alpha_bar[0]`, which is 1, and no special case is needed.

# %% [markdown]
# ## Rebuild it
#
# Three lines of algebra, three functions. `t` is one integer or a tensor of shape `(b,)`, one time for each image.
# Try it first, if you like: fill in the next cell, then compare with the one below it.


# %%
def posterior_coefficients(t, schedule):
    """The weights of x_0 and of x_t in the posterior mean (eq. 7)."""
    # your lines


def posterior_variance(t, schedule):
    """beta tilde (eq. 7)."""
    # your lines


# %%
def posterior_coefficients(t, schedule):
    """The weights of x_0 and of x_t in the posterior mean (eq. 7)."""
    beta, alpha = schedule.beta[t], schedule.alpha[t]  # (b,), (b,)
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]  # (b,), (b,)
    coef_x0 = alpha_bar_prev.sqrt() * beta / (1 - alpha_bar)  # (b,)
    coef_xt = alpha.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar)  # (b,)
    return coef_x0, coef_xt


def posterior_variance(t, schedule):
    """beta tilde (eq. 7)."""
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]  # (b,), (b,)
    return (1 - alpha_bar_prev) / (1 - alpha_bar) * schedule.beta[t]  # (b,)


# %%
def q_posterior(x_0, x_t, t, schedule):
    """Mean and variance of q(x_{t-1} | x_t, x_0) (eq. 6)."""
    shape = (-1,) + (1,) * (x_t.ndim - 1)  # one number for each image
    coef_x0, coef_xt = posterior_coefficients(t, schedule)  # (b,), (b,)
    mean = coef_x0.to(x_t).reshape(shape) * x_0 + coef_xt.to(x_t).reshape(shape) * x_t  # (b, *dims)
    return mean, posterior_variance(t, schedule).to(x_t).reshape(
        shape
    )  # (b, *dims), (b, 1, ..., 1)


for t in (1, 2, 10, 100, 1000):
    coef_x0, coef_xt = posterior_coefficients(t, linear)
    print(f"t = {t:<5} weight of x_0 {coef_x0:.4f}   weight of x_t {coef_xt:.4f}")

# %% [markdown]
# Most steps correct the image only a little towards $x_0$. The last few do much of the work, and the very last returns $x_0$.

# %% [markdown]
# ## What the network has to add
#
# When you generate, no $x_0$ is given. But look at equation 7 again: the mean $\tilde\mu_t$ is *linear* in $x_0$. The average of a linear function is the function of the average, so that, exactly,
#
# $$\mathbb E[\mathbf{x}_{t-1} \mid \mathbf{x}_t] = \tilde{\boldsymbol\mu}_t\big(\mathbf{x}_t,\ \mathbb E[\mathbf{x}_0 \mid \mathbf{x}_t]\big)$$
#
# So nothing is lost if the network only knows the *average* of all clean images that fit $\mathbf{x}_t$. This average is the best **denoiser**: no other guess of $\mathbf{x}_0$ has a smaller mean squared error. Only two things about the step back are approximate, its variance and its shape.
#
# For a finite set of images you can compute the average. Each image fits $\mathbf{x}_t$ as well as the jump says, $\mathcal N(\mathbf{x}_t;\ \sqrt{\bar\alpha_t}\,\mathbf{x}_0,\ (1-\bar\alpha_t)\mathbf{I})$:


# %%
def exact_denoiser(x_t, t, images, schedule):
    """E[x_0 | x_t] if x_0 is one of these images, each as likely as any other."""
    alpha_bar = schedule.alpha_bar[t].item()
    distance = ((x_t - math.sqrt(alpha_bar) * images) ** 2).sum((1, 2, 3))  # (n,)
    weight = (-distance / (2 * (1 - alpha_bar))).softmax(0)  # (n,) how likely each image is
    return (weight[:, None, None, None] * images).sum(0, keepdim=True)  # (1, 1, h, w)


model, schedule, _ = load_pretrained("mnist")
digit = load_mnist("test")[0][20:21]  # (1, 1, 28, 28) a held-out digit, which is not in the set
times = (900, 700, 500, 300, 150, 50)
noise = torch.randn(digit.shape, generator=torch.Generator().manual_seed(0))
noisy = [forward_diffusion(digit, t, schedule, noise)[0] for t in times]
averages = [exact_denoiser(x_t, t, digits, schedule) for x_t, t in zip(noisy, times)]

# %% [markdown]
# The network looks at $\mathbf{x}_t$ and $t$ and predicts the noise, which gives an estimate of $\mathbf{x}_0$ ([lesson 02](02_noising.ipynb)). Compare it with the exact average over the training digits, for a held-out digit:

# %%
from minddpm import x0_from_noise

with torch.inference_mode():
    predicted = [model(x_t, torch.tensor([t])) for x_t, t in zip(noisy, times)]
estimates = [x0_from_noise(x, t, e, schedule) for x, t, e in zip(noisy, times, predicted)]

nearest = ((averages[-1] - digits) ** 2).mean((1, 2, 3)).min().sqrt().item()
print(f"t = {times[-1]}: the exact average differs from one training digit by {nearest:.3f}")
assert nearest < 0.01

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(3, len(times), height=4.0)
rows = (
    (noisy, "noisy", "$x_t$"),
    (averages, "posterior", "exact"),
    (estimates, "network", "network"),
)
for row, (images, role, name) in zip(axes, rows):
    for axis, image in zip(row, images):
        draw_image(axis, image)
    row[0].text(-3, 14, name, rotation=90, va="center", ha="right", color=COLOURS[role])
for axis, t in zip(axes[0], times):
    axis.set_title(f"$t = {t}$")
show(
    figure,
    "Middle, the average of all training digits that fit the noisy image: a blur at large t that "
    "sharpens as t falls, and in the end one training digit. "
    "Below, the network's estimate: grainy at first, and in the end the held-out digit itself.",
)

# %% [markdown]
# Read the columns from left to right. At $t = 900$ many digits fit, so that the average is a blur; the network's estimate is grainy, because there a tiny error in the noise is a large one in the image. As $t$ falls fewer digits fit, and both answers sharpen.
#
# At the right the two part. The exact denoiser of a finite set always ends at one of its images, so that a sampler with this denoiser could only copy: it would **memorise**. Ours has 1 million weights and saw 3.5 million pixels, too many to keep exactly. It learns what strokes look like instead, and repairs a digit that it has never seen. All that is new in a generated image comes from this failure to be exact.
#
# The learned reverse step is then a Gaussian around $\tilde{\boldsymbol\mu}_t$ of the network's estimate:
#
# $$p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t) = \mathcal N\big(\mathbf{x}_{t-1};\ {\color{#008561}{\boldsymbol{\mu}_\theta(\mathbf{x}_t, t)}},\ \sigma_t^2 \mathbf{I}\big)$$
#
# For $\sigma_t^2$ the paper uses $\tilde\beta_t$ or $\beta_t$ (in its code `fixedsmall` and `fixedlarge`). *Believe it* shows where each is exact.

# %% [markdown]
# ## By hand
#
# An example with $\alpha_t = 0.99$, $\bar\alpha_t = 0.5$, $\bar\alpha_{t-1} = 0.505$, $\beta_t = 0.01$, a clean pixel $x_0 = 0.8$ and a noisy one $x_t = 0.6$.
# Do it with a pocket calculator first.

# %%
alpha, alpha_bar, alpha_bar_prev, beta = 0.99, 0.5, 0.505, 0.01
coef_x0 = math.sqrt(alpha_bar_prev) * beta / (1 - alpha_bar)
coef_xt = math.sqrt(alpha) * (1 - alpha_bar_prev) / (1 - alpha_bar)
mean = coef_x0 * 0.8 + coef_xt * 0.6
variance = (1 - alpha_bar_prev) / (1 - alpha_bar) * beta

# %% tags=["worked-example"]
print(
    f"sqrt(alpha_bar_prev) = {math.sqrt(alpha_bar_prev):.3f}, times beta {math.sqrt(alpha_bar_prev) * beta:.5f}"
)
print(f"weight of x_0 = {coef_x0:.4f}, times 0.8 = {coef_x0 * 0.8:.4f}")
print(
    f"sqrt(alpha) = {math.sqrt(alpha):.3f}, times {1 - alpha_bar_prev:.3f} = "
    f"{math.sqrt(alpha) * (1 - alpha_bar_prev):.4f}"
)
print(f"weight of x_t = {coef_xt:.3f}, times 0.6 = {coef_xt * 0.6:.3f}")
print(f"mean = {mean:.3f}, variance = {variance:.4f}")
assert f"{coef_x0:.4f} {coef_xt:.3f} {mean:.3f} {variance:.4f}" == "0.0142 0.985 0.602 0.0099"

# %% [markdown]
# Your functions take a schedule, not loose numbers. Two steps with $\beta_1 = 0.495$ and $\beta_2 = 0.01$ have $\bar\alpha_1 = 0.505$ and $\bar\alpha_2 = 0.49995$, so $t = 2$ is the example to the precision printed.

# %% tags=["worked-example"]
example = Schedule.from_betas([0.495, 0.01])
mean, variance = q_posterior(torch.tensor([0.8]), torch.tensor([0.6]), 2, example)
print(f"mean {mean.item():.3f}, variance {variance.item():.4f}")
assert f"{mean.item():.3f} {variance.item():.4f}" == "0.602 0.0099"

# %% [markdown]
# ## Believe it
#
# **Bayes on a grid.** `bayes_on_grid` above multiplies two densities and divides by the sum. It has never heard of equation 7. Give it the prior for one known $x_0$, and compare mean and variance: on a grid of 400,001 points both must agree to $10^{-9}$.

# %%
fine = torch.linspace(-4, 4, 400_001, dtype=torch.float64)
generator = torch.Generator().manual_seed(5)
largest = 0.0
for t in (2, 3, 10, 100, 500, 1000):
    x_0 = 2 * torch.rand(1, generator=generator, dtype=torch.float64) - 1  # (1,) a clean pixel
    x_t, _ = forward_diffusion(x_0, t, linear, generator=generator)  # (1,)
    posterior = bayes_on_grid(fine, prior_density(fine, x_0, t, linear), x_t, t, linear)
    for formula, oracle in zip(q_posterior(x_0, x_t, t, linear), moments(fine, posterior)):
        largest = max(largest, abs(formula.item() - oracle.item()))
print("largest difference from Bayes on the grid is below 1e-9:", largest < 1e-9)
assert largest < 1e-9

# %% [markdown]
# **The average is enough.** Take the data of two values again, $-1$ and $1$. On the grid, without any $x_0$, compute the mean of $x_{t-1}$ given $x_t$. It must equal $\tilde\mu_t$ of the average $x_0$.

# %%
x_t, t = 0.1, 2
prior = sum(s * prior_density(fine, x, t, two_steps) for x, s in ((-1.0, 0.6), (1.0, 0.4)))
mean, variance = moments(fine, bayes_on_grid(fine, prior, x_t, t, two_steps))

jump = (two_steps.alpha_bar[t].sqrt(), 1 - two_steps.alpha_bar[t])
fits = torch.stack([s * normal(x_t, jump[0] * x, jump[1]) for x, s in ((-1.0, 0.6), (1.0, 0.4))])
average = (fits / fits.sum()) @ torch.tensor([-1.0, 1.0], dtype=torch.float64)  # () E[x_0 | x_t]
coef_x0, coef_xt = posterior_coefficients(t, two_steps)
print(
    f"mean of x_1: on the grid {mean:.4f}, from the average x_0 {coef_x0 * average + coef_xt * x_t:.4f}"
)
print(f"variance: on the grid {variance:.4f}, beta tilde {posterior_variance(t, two_steps):.4f}")
assert abs(mean - coef_x0 * average - coef_xt * x_t) < 1e-9

# %% [markdown]
# The means agree. The variance does not: $\tilde\beta_t$ leaves out that $x_0$ itself is uncertain, which adds the squared weight of $x_0$ times its variance.
#
# **Two variances, each exact somewhere.** The network's reverse step needs a variance $\sigma_t^2$, and it has no $x_0$. There are two extreme cases (the paper's section 3.2).
#
# - The data is a single image. Then $x_0$ is always known, and the step back has variance $\tilde\beta_t$.
# - The data is standard normal noise. Then adding noise changes nothing: $x_{t-1}$ and $x_t$ are both standard normal, with correlation $\sqrt{\alpha_t}$. The step back has variance $1-\alpha_t = \beta_t$.
#
# Real images lie in between. Ask the grid, with the prior of each case:

# %%
for t in (2, 10, 100):
    one_image = bayes_on_grid(fine, prior_density(fine, 0.3, t, linear), 0.3, t, linear)
    noise_data = bayes_on_grid(fine, normal(fine, 0, 1), 0.3, t, linear)
    (_, point), (_, normal_data) = moments(fine, one_image), moments(fine, noise_data)
    ratio = point / normal_data
    print(f"t = {t:<4} one image: {point:.6f}   N(0, 1): {normal_data:.6f}   ratio {ratio:.3f}")
    assert abs(point - posterior_variance(t, linear)) < 1e-9
    assert abs(normal_data - linear.beta[t]) < 1e-9

# %% jupyter={"source_hidden": true}
every_t = torch.arange(1, 1001)
ratio = posterior_variance(every_t, linear) / linear.beta[every_t]  # (1000,) beta tilde over beta
figure, ((axis,),) = new_figure(height=2.4)
axis.plot(every_t.numpy(), ratio.numpy(), color=COLOURS["posterior"])
axis.axhline(1, color=INK, linewidth=0.8)
axis.text(1.1, 1.03, "$\\beta_t$: exact for standard normal data")
axis.text(30, 0.78, "$\\tilde\\beta_t$: exact for a single image", color=COLOURS["posterior"])
axis.set(
    xscale="log",
    xlabel="$t$",
    ylabel="$\\tilde\\beta_t\\,/\\,\\beta_t$",
    ylim=(0, 1.15),
    xlim=(1, 1000),
)
above = int((ratio < 0.99).sum()) + 1
show(
    figure,
    f"The two variances differ only near the clean end: from t = {above} on, beta tilde is at least 99% of beta.",
)

# %% [markdown]
# ## Same as the package
#
# The package's `posterior` module holds these functions with checks of their input. It also has `beta_variance`, which is $\beta_t$ in the same form, so that a sampler can take either.
# One line compares yours with it on random images and times: weights and variances to $10^{-15}$, means to $10^{-6}$.

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("03", globals())

# %% [markdown]
# ## Play
#
# Three bells: the prior $q(x_{t-1} \mid x_0)$, the likelihood $q(x_t \mid x_{t-1})$ and their product, the posterior. The noisy pixel stays at $x_t = 0.6$. Each bell is drawn with peak height 1.
#
# Question: at which $t$ does the posterior follow you when you move $x_0$, and which bell holds it back at the others?


# %% jupyter={"source_hidden": true}
def three_bells(t, x_0, x_t=0.6):
    line = torch.linspace(-1.6, 1.6, 4001, dtype=torch.float64)
    mean, variance = q_posterior(torch.tensor([x_0]), torch.tensor([x_t]), t, linear)
    bells = {
        "prior": (prior_density(line, x_0, t, linear), "clean", "-"),
        "likelihood": (likelihood(line, x_t, t, linear), "noisy", "--"),
        "posterior": (normal(line, mean.item(), variance.item()), "posterior", "-"),
    }
    figure, ((axis,),) = new_figure(height=2.5)
    for row, (name, (bell, role, style)) in enumerate(bells.items()):
        height = (bell / bell.max()).numpy()
        axis.fill_between(line.numpy(), height, color=COLOURS[role], alpha=0.25, linewidth=0)
        axis.plot(
            line.numpy(), height, style, color=COLOURS[role], zorder=3 if style == "--" else 2
        )
        axis.text(-1.55, 0.95 - 0.13 * row, name, color=COLOURS[role])
    axis.set(xlabel="$x_{t-1}$", yticks=[], ylim=(0, 1.05), xlim=(-1.6, 1.6))
    axis.set_title(f"$t$ = {t},  $x_0$ = {x_0:.1f},  $x_t$ = {x_t}")
    weight = posterior_coefficients(t, linear)[0].item()
    caption = f"At t = {t} the posterior mean is {mean.item():.3f}; it moves by {weight:.4f} when x_0 moves by 1."
    return figure, caption


show(*three_bells(2, 0.8))

# %%
play(
    three_bells,
    t=ipywidgets.SelectionSlider(options=[2, 3, 5, 10, 20, 50, 100, 200, 500, 1000], value=5),
    x_0=ipywidgets.FloatSlider(value=0.8, min=-1, max=1, step=0.1),
)

# %% [markdown]
# Near the clean end the two bells are about equally narrow, and both pull. Later the prior is wide, because a clean image says little about a very noisy one, and the narrow likelihood decides.

# %% [markdown]
# ## Mistakes people make
#
# Walk the whole way back with $x_0 = 0.8$ known, from $q(x_{1000} \mid x_0)$ to $t = 0$. Each step is Gaussian, so that mean and variance stay in closed form and no sampling is needed.
# With the right posterior the walk retraces the jump: mean $\sqrt{\bar\alpha_t}\,x_0$, standard deviation $\sqrt{1-\bar\alpha_t}$. Four mistakes:
#
# - **Swapped weights**: the weight of $x_0$ goes to $x_t$ and the other way round.
# - **$\bar\alpha$ off by one**: `alpha_bar[t]` instead of `alpha_bar[t - 1]`. With 0-based arrays this is easy to do.
# - **$\beta$ for $\alpha$**: $\sqrt{\beta_t}$ in the weight of $x_t$.
# - **Variance for standard deviation**: the noise is multiplied by $\tilde\beta_t$, not by $\sqrt{\tilde\beta_t}$.


# %%
def walk_back(coef_x0, coef_xt, variance, x_0=0.8):
    """Mean and standard deviation of x_t for t = 0..T if each step draws from this Gaussian."""
    mean = torch.empty(linear.T + 1, dtype=torch.float64)  # (T+1,)
    var = torch.empty_like(mean)  # (T+1,)
    mean[-1], var[-1] = linear.alpha_bar[-1].sqrt() * x_0, 1 - linear.alpha_bar[-1]
    for t in linear.steps():
        mean[t - 1] = coef_x0[t] * x_0 + coef_xt[t] * mean[t]
        var[t - 1] = coef_xt[t] ** 2 * var[t] + variance[t]
    return mean, var.sqrt()


# %%
index = torch.arange(1001).clamp(min=1)  # one entry for each index 0..T; the first is never used
a, b = posterior_coefficients(index, linear)  # (T+1,) the weights of x_0 and x_t
tilde = posterior_variance(index, linear)  # (T+1,)
beta, alpha, alpha_bar = linear.beta[index], linear.alpha[index], linear.alpha_bar[index]

# %%
walks = {
    "right": walk_back(a, b, tilde),
    "swapped weights": walk_back(b, a, tilde),
    "alpha_bar off by one": walk_back(
        alpha_bar.sqrt() * beta / (1 - alpha_bar), alpha.sqrt(), beta
    ),
    "beta for alpha": walk_back(a, b / alpha.sqrt() * beta.sqrt(), tilde),
    "variance for std": walk_back(a, b, tilde**2),
}
for name, (mean, std) in walks.items():
    print(
        f"{name:<22} at t = 500: {mean[500]:.3f}, {std[500]:.3f}   at t = 0: {mean[0]:.3f}, {std[0]:.3f}"
    )
assert torch.allclose(walks["right"][0], linear.alpha_bar.sqrt() * 0.8, atol=1e-9)
assert torch.allclose(walks["right"][1] ** 2, 1 - linear.alpha_bar, atol=1e-9)

# %% jupyter={"source_hidden": true}
right, *wrong = walks.items()
figure, axes = new_figure(2, 4, height=3.3, sharex=True, sharey="row")
for (top, bottom), (name, walk) in zip(axes.T, wrong):
    for axis, true, curve in zip((top, bottom), right[1], walk):
        axis.plot(true.numpy(), color=COLOURS["posterior"], linewidth=3)
        axis.plot(curve.numpy(), "--", color=INK, linewidth=1.4)
    top.set_title(name)
    bottom.set(xlabel="$t$", xlim=(1000, 0), xticks=[750, 500, 250])
axes[0, 0].set(ylabel="mean", ylim=(-0.1, 1.6))
axes[1, 0].set_ylabel("standard deviation")
axes[0, 0].text(950, 0.22, "right", color=COLOURS["posterior"])
axes[0, 0].text(950, 0.9, "mistaken")
axes[0, 1].text(250, 1.4, f"to {walks['alpha_bar off by one'][0][0]:.1f}", ha="right")
show(
    figure,
    "Read from left to right, from noise to image: each dashed walk leaves the right one, in its "
    "mean, in its spread or in both.",
)

# %% [markdown]
# Look at the off-by-one. At large $t$ it hardly moves the mean, so that a test at one large $t$ would miss it. Near the clean end it does not hide: at $t = 1$ the weight of $x_t$ is $\sqrt{\alpha_1}$ instead of 0. So test at $t = 1$, and test the whole walk.

# %% [markdown]
# ## Check yourself
#
# **1.** The code for the posterior has no `if t == 1`. Why does it still return exactly $x_0$ with variance 0 there?
#
# <details><summary>Answer</summary>
# The index equals t, so alpha_bar[t - 1] is alpha_bar[0] = 1. Then 1 - alpha_bar[0] is exactly 0, and it is a factor of the variance and of the weight of x_t. The weight of x_0 is beta_1 / (1 - alpha_bar_1), which is 1.
# </details>
#
# **2.** At $t = 1000$ the weights of $x_0$ and $x_t$ sum to 0.99, not to 1. Is the posterior mean then biased?
#
# <details><summary>Answer</summary>
# No. x_t is already shrunk by sqrt(alpha_bar_t). On average the mean is (a + b sqrt(alpha_bar_t)) x_0, and a + b sqrt(alpha_bar_t) is sqrt(alpha_bar_{t-1}), the amplitude at t - 1.
# </details>
#
# **3.** A friend trains a network so large that its loss on the training digits is as small as it can be. What will it draw?
#
# <details><summary>Answer</summary>
# Training digits. The smallest possible loss belongs to the exact denoiser of the training set, and that one ends at a training image. This is overfitting, and the loss on held-out digits shows it.
# </details>
#
# **Look it up:** [questions about the idea](../docs/questions.md#the-idea), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [03 · Posterior](../exercises/03_posterior.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [04 · Loss](04_loss.ipynb) asks how far the network's Gaussian is from this one, and turns the answer into a training loss.
