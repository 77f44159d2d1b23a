# %% [markdown]
# # 03 · Posterior
#
# **You will**
# - see why the step back from $x_t$ to $x_{t-1}$ cannot be computed from $x_t$ alone,
# - derive the step back for a known clean image $x_0$ (equations 6 and 7 of Ho et al. 2020) and rebuild it,
# - check it against a method that knows no formula, and meet the two variances that a reverse step may use.
#
# **You need** [01 · Schedule](01_schedule.ipynb) for $\beta_t$, $\alpha_t$ and $\bar\alpha_t$,
# and [02 · Noising](02_noising.ipynb) for one forward step and the jump.
#
# **It takes** 25 minutes to read and about 6 seconds to run.

# %%
import math

import ipywidgets
import matplotlib
import torch

from minddpm import Schedule, forward_diffusion, forward_step, linear_schedule
from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm_course.figures import COLOURS, INK, STYLE, new_figure, show, true_and_learned_posterior
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %% [markdown]
# ## The idea in a picture
#
# You can noise an image. To generate one, you must go the other way: given $x_t$, where was $x_{t-1}$?
#
# Try it by brute force. Take one pixel near the middle of each of the 4,500 training digits.
# Noise it in two steps, the second one large, and do this 200 times for each digit.
# Then keep only the chains whose $x_2$ fell into a narrow slot around 0.1. Where were they one step before?

# %%
digits, _ = load_mnist("train")  # (4500, 1, 28, 28)
two_steps = Schedule.from_betas([0.1, 0.5])
generator = torch.Generator().manual_seed(3)

x_0 = digits[:, 0, 14, 13].double().repeat(200)  # (900000,) one pixel of every digit, 200 times
x_1 = forward_step(x_0, 1, two_steps, generator=generator)  # (900000,)
x_2 = forward_step(x_1, 2, two_steps, generator=generator)  # (900000,)
slot = (x_2 - 0.1).abs() < 0.02  # (900000,) the chains that we keep
dark, bright = slot & (x_0 == -1), slot & (x_0 > 0.9)

figure, ((left, right),) = new_figure(1, 2, height=2.9)
left.plot(x_2[:4500].numpy(), x_1[:4500].numpy(), ".", color=COLOURS["noisy"], markersize=2, alpha=0.5)
left.axvspan(0.08, 0.12, color=INK, alpha=0.25, linewidth=0)
left.set(xlabel="$x_2$", ylabel="$x_1$")
left.set_title("4,500 of the chains, and the slot")
bins = torch.linspace(-2, 2, 81).numpy()
for chosen, colour, style in ((slot, "noisy", "stepfilled"), (dark, "posterior", "step"), (bright, "posterior", "step")):
    right.hist(x_1[chosen].numpy(), bins, color=COLOURS[colour], histtype=style, linewidth=1.8, alpha=0.45 if chosen is slot else 1)
height = right.get_ylim()[1]
right.set(xlabel="$x_1$ of the chains in the slot", ylabel="chains", ylim=(0, 1.25 * height))
right.text(-1.9, 1.12 * height, "$x_0 = -1$\n(background)", color=COLOURS["posterior"], va="center")
right.text(1.0, 1.12 * height, "$x_0 > 0.9$\n(stroke)", color=COLOURS["posterior"], va="center")
right.text(0.0, 1.12 * height, "all", color=COLOURS["noisy"], va="center")
show(
    figure,
    f"The {slot.sum().item():,} chains in the slot came from two heaps of x_1; "
    "those whose clean pixel is known to be background, or to be stroke, came from one bell each.",
)

# %% [markdown]
# Two things are in this picture.
#
# - If you know only $x_t$, the answer depends on which clean pixels exist, and it need not be Gaussian.
# - If you also know $x_0$, the answer is a single bell curve. This lesson computes it.
#
# A **posterior** is a distribution after an observation. Here it is $x_{t-1}$'s, after you have seen $x_t$.

# %% [markdown]
# ## The derivation
#
# ### Why $x_t$ alone is not enough
#
# Bayes' rule turns a step around:
#
# $$q(x_{t-1} \mid x_t) = \frac{q(x_t \mid x_{t-1})\; q(x_{t-1})}{q(x_t)}$$
#
# The first factor is one forward step, which you know. The second is the trouble:
#
# $$q(x_{t-1}) = \int q(x_{t-1} \mid x_0)\; q(x_0)\, dx_0$$
#
# It sums over every clean image, each with its probability $q(x_0)$. Nobody can write $q(x_0)$ down for images.
# A quantity that cannot be computed in any practical time is called **intractable**.
#
# In one dimension, with data that takes two values, the integral is a sum of two terms and you can do it.
# The next cell does so on a grid of $x_{t-1}$: multiply prior and likelihood, and divide by the sum.
# The **prior** is what you know before you see $x_t$. The **likelihood** says how well each $x_{t-1}$ explains $x_t$.


# %%
def normal(x, mean, variance):
    """The density of N(mean, variance) at x."""
    return torch.exp(-((x - mean) ** 2) / (2 * variance)) / (2 * math.pi * variance) ** 0.5  # shape of x


def prior_density(grid, x_0, t, schedule):
    """q(x_{t-1} | x_0): the jump of lesson 02, to t - 1."""
    alpha_bar_prev = schedule.alpha_bar[t - 1]  # ()
    return normal(grid, alpha_bar_prev.sqrt() * x_0, 1 - alpha_bar_prev)  # (n,)


def likelihood(grid, x_t, t, schedule):
    """q(x_t | x_{t-1}) as a function of x_{t-1}: the forward step of lesson 02."""
    return normal(x_t, schedule.alpha[t].sqrt() * grid, schedule.beta[t])  # (n,)


def bayes_on_grid(grid, prior, x_t, t, schedule):
    """Bayes' rule and nothing else: multiply, then divide by the sum."""
    product = prior * likelihood(grid, x_t, t, schedule)  # (n,)
    return product / (product.sum() * (grid[1] - grid[0]))  # (n,) a density


def moments(grid, density):
    """Mean and variance of a density on a grid."""
    weight = density / density.sum()  # (n,)
    mean = (weight * grid).sum()  # ()
    return mean, (weight * (grid - mean) ** 2).sum()  # (), ()


# %%
grid = torch.linspace(-2.5, 2.5, 5001, dtype=torch.float64)
values, shares = (-1.0, 1.0), (0.6, 0.4)  # data of two values, and how often each occurs
steps = {"a large step, $\\beta_t = 0.5$": Schedule.from_betas([0.1, 0.5]), "a small one, $\\beta_t = 0.01$": Schedule.from_betas([0.495, 0.01])}

figure, (axes,) = new_figure(1, 2, height=2.6)
misfit = []
for axis, (title, schedule) in zip(axes, steps.items()):
    parts = [share * prior_density(grid, value, 2, schedule) for value, share in zip(values, shares)]
    mixture = bayes_on_grid(grid, sum(parts), 0.1, 2, schedule)
    bell = normal(grid, *moments(grid, mixture))
    misfit.append(((mixture - bell).abs().max() / mixture.max()).item())
    axis.fill_between(grid.numpy(), mixture.numpy(), color=COLOURS["noisy"], alpha=0.45, linewidth=0)
    axis.plot(grid.numpy(), bell.numpy(), "--", color=INK, linewidth=1)
    axis.set(xlabel="$x_{t-1}$", ylim=(0, None))
    axis.set_title(title)
axes[0].set_ylabel("density")
axes[0].text(-0.5, 0.68, "$q(x_{t-1} \\mid x_t)$", color=COLOURS["noisy"])
axes[0].text(1.4, 0.33, "Gaussian of\nequal mean\nand variance")
show(
    figure,
    "With two possible clean values a large step back is a mixture of two bells, far from the dashed Gaussian; "
    "a small step back is one bell, and the dashed Gaussian lies on it.",
)
print(f"largest distance from the Gaussian, as a share of the peak: {misfit[0]:.0%} and {misfit[1]:.2%}")
assert misfit[0] > 0.3 and misfit[1] < 0.02

# %% [markdown]
# The right half is why DDPM takes many small steps: if $\beta_t$ is small, the step back is nearly Gaussian,
# and a Gaussian is a thing that a network can be asked for. Its mean still depends on all the data.
#
# ### Bayes with $x_0$ known
#
# Write the same rule with $x_0$ given everywhere:
#
# $$q({\color{#B3528C}{x_{t-1}}} \mid {\color{#B3528C}{x_t}}, {\color{#0072B2}{x_0}}) = \frac{q({\color{#B3528C}{x_t}} \mid {\color{#B3528C}{x_{t-1}}}, {\color{#0072B2}{x_0}})\; q({\color{#B3528C}{x_{t-1}}} \mid {\color{#0072B2}{x_0}})}{q({\color{#B3528C}{x_t}} \mid {\color{#0072B2}{x_0}})}$$
#
# Now each factor on the right is known.
#
# 1. **Likelihood.** The forward process has no memory: who knows $x_{t-1}$ learns nothing more from $x_0$. So the first factor is
#    the forward step, equation 2: $q(x_t \mid x_{t-1}) = \mathcal N(x_t;\ \sqrt{\alpha_t}\, x_{t-1},\ \beta_t)$.
# 2. **Prior.** The second is the jump to $t-1$, equation 4: $q(x_{t-1} \mid x_0) = \mathcal N(x_{t-1};\ \sqrt{\bar\alpha_{t-1}}\, x_0,\ 1 - \bar\alpha_{t-1})$.
# 3. The denominator does not contain $x_{t-1}$. It only makes the area under the curve 1.
#
# All noise is independent from pixel to pixel, so one pixel is enough.
#
# ### The likelihood as a bell over $x_{t-1}$
#
# The likelihood is a Gaussian in $x_t$. We need it as a function of $x_{t-1}$. Take $\alpha_t$ out of the square:
#
# $$\frac{(x_t - \sqrt{\alpha_t}\,x_{t-1})^2}{\beta_t} = \frac{(x_{t-1} - x_t/\sqrt{\alpha_t})^2}{\beta_t/\alpha_t}$$
#
# It is a bell around $x_t/\sqrt{\alpha_t}$ of variance $\beta_t/\alpha_t$.
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
# Use $m_1 = \sqrt{\bar\alpha_{t-1}}\,x_0$, $v_1 = 1-\bar\alpha_{t-1}$ for the prior and $m_2 = x_t/\sqrt{\alpha_t}$, $v_2 = \beta_t/\alpha_t$ for the likelihood. First the sum of the variances:
#
# $$v_1 + v_2 = \frac{\alpha_t(1-\bar\alpha_{t-1}) + \beta_t}{\alpha_t} = \frac{\alpha_t - \bar\alpha_t + 1 - \alpha_t}{\alpha_t} = \frac{1-\bar\alpha_t}{\alpha_t}$$
#
# The middle step used $\alpha_t\bar\alpha_{t-1} = \bar\alpha_t$ and $\beta_t = 1-\alpha_t$. Now the variance, with the $\alpha_t$ cancelling:
#
# $$\tilde\beta_t = \frac{v_1v_2}{v_1+v_2} = \frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t \tag{7}$$
#
# The weight of $x_0$ is $v_2\sqrt{\bar\alpha_{t-1}}/(v_1+v_2)$, the weight of $x_t$ is $v_1/(\sqrt{\alpha_t}\,(v_1+v_2))$. Insert again:
#
# $$\tilde\mu_t({\color{#B3528C}{x_t}}, {\color{#0072B2}{x_0}}) = \frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t}\,{\color{#0072B2}{x_0}} + \frac{\sqrt{\alpha_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\,{\color{#B3528C}{x_t}} \tag{7}$$
#
# Together they are the posterior. For all pixels of an image at once (bold letters are images):
#
# $$q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0) = \mathcal N\big(\mathbf{x}_{t-1};\ {\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t(\mathbf{x}_t, \mathbf{x}_0)}},\ {\color{#9C6C00}{\tilde\beta_t}}\, \mathbf{I}\big) \tag{6}$$
#
# ### At $t = 1$
#
# Here $\bar\alpha_{t-1} = \bar\alpha_0 = 1$ and $1-\bar\alpha_1 = \beta_1$. The weights become 1 and 0, and the variance becomes 0:
# one step before $x_1$ there is $x_0$ itself, and you were given it. In this course the array index equals the paper's $t$,
# so `alpha_bar[t - 1]` is `alpha_bar[0]`, which is 1. No special case is needed.
#
# ### What the network has to do
#
# When you generate, there is no $x_0$ to be given. The network stands in for it. The learned reverse step is a Gaussian too:
#
# $$p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t) = \mathcal N\big(\mathbf{x}_{t-1};\ {\color{#008561}{\boldsymbol{\mu}_\theta(\mathbf{x}_t, t)}},\ \sigma_t^2 \mathbf{I}\big)$$
#
# The network looks at $x_t$ and $t$ and predicts the noise. From the noise you get an estimate of $x_0$ ([lesson 02](02_noising.ipynb)).
# That estimate takes the place of $x_0$ in $\tilde\mu_t$. For $\sigma_t^2$ the paper uses $\beta_t$ or $\tilde\beta_t$; you will compare them below.
#
# The next figure does this for a digit that the network has not seen in training, with the weights that the package ships.

# %%
model, schedule, _ = load_pretrained("mnist")
unseen, _ = load_mnist("test")
time = 100
digit = unseen[3:4]  # (1, 1, 28, 28)
x_t, _ = forward_diffusion(digit, time, schedule, generator=torch.Generator().manual_seed(0))
show(
    true_and_learned_posterior(model, digit, x_t, time, schedule),
    f"At t = {time} the network's mean, made from the noisy image alone, looks like the true posterior's, made from the clean image as well; "
    "their difference lies along the strokes.",
)


# %% [markdown]
# ## Rebuild it
#
# Three lines of algebra, three functions. `t` is one integer or a tensor of shape `(b,)`, one time for each image.


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
    return (1 - schedule.alpha_bar[t - 1]) / (1 - schedule.alpha_bar[t]) * schedule.beta[t]  # (b,)


def q_posterior(x_0, x_t, t, schedule):
    """Mean and variance of q(x_{t-1} | x_t, x_0) (eq. 6)."""
    shape = (-1,) + (1,) * (x_t.ndim - 1)  # one number for each image
    coef_x0, coef_xt = (c.to(x_t).reshape(shape) for c in posterior_coefficients(t, schedule))  # (b, 1, ..., 1) each
    mean = coef_x0 * x_0 + coef_xt * x_t  # (b, *dims)
    return mean, posterior_variance(t, schedule).to(x_t).reshape(shape)  # (b, *dims), (b, 1, ..., 1)


# %%
linear = linear_schedule()
for t in (1, 2, 10, 100, 1000):
    coef_x0, coef_xt = posterior_coefficients(t, linear)
    print(f"t = {t:<5} weight of x_0 {coef_x0:.4f}   weight of x_t {coef_xt:.4f}   variance {posterior_variance(t, linear):.6f}")
coef_x0, coef_xt = posterior_coefficients(1, linear)
assert abs(coef_x0 - 1) < 1e-12 and coef_xt == 0 and posterior_variance(1, linear) == 0  # exact zeros, from one formula

# %% [markdown]
# ## By hand
#
# The example of the guide that this course grew from: $\alpha_t = 0.99$, $\bar\alpha_t = 0.5$, $\bar\alpha_{t-1} = 0.505$, $\beta_t = 0.01$, a clean pixel $x_0 = 0.8$ and a noisy one $x_t = 0.6$.
# Do it with a pocket calculator first.

# %% tags=["worked-example"]
alpha, alpha_bar, alpha_bar_prev, beta = 0.99, 0.5, 0.505, 0.01
coef_x0 = math.sqrt(alpha_bar_prev) * beta / (1 - alpha_bar)
coef_xt = math.sqrt(alpha) * (1 - alpha_bar_prev) / (1 - alpha_bar)

lines = [
    ("sqrt(alpha_bar_prev)", math.sqrt(alpha_bar_prev), "0.711"),
    ("  times beta", math.sqrt(alpha_bar_prev) * beta, "0.00711"),
    ("  weight of x_0", coef_x0, "0.0142"),
    ("sqrt(alpha)", math.sqrt(alpha), "0.995"),
    ("1 - alpha_bar_prev", 1 - alpha_bar_prev, "0.495"),
    ("  their product", math.sqrt(alpha) * (1 - alpha_bar_prev), "0.4925"),
    ("  weight of x_t", coef_xt, "0.985"),
    ("weight of x_0 times 0.8", coef_x0 * 0.8, "0.0114"),
    ("weight of x_t times 0.6", coef_xt * 0.6, "0.591"),
    ("mean", coef_x0 * 0.8 + coef_xt * 0.6, "0.602"),
    ("variance", (1 - alpha_bar_prev) / (1 - alpha_bar) * beta, "0.0099"),
]
for name, value, by_hand in lines:
    shown = f"{value:.{len(by_hand) - 2}f}"
    print(f"{name:<26}{shown}")
    assert shown == by_hand, f"{name}: wanted {by_hand}, got {shown}"

# %% [markdown]
# Your functions take a schedule, not loose numbers. Two steps with $\beta_1 = 0.495$ and $\beta_2 = 0.01$ have $\bar\alpha_1 = 0.505$ and $\bar\alpha_2 = 0.49995$, so $t = 2$ is the example to the precision printed.

# %% tags=["worked-example"]
example = Schedule.from_betas([0.495, 0.01])
mean, variance = q_posterior(torch.tensor([0.8]), torch.tensor([0.6]), 2, example)
coef_x0, coef_xt = posterior_coefficients(2, example)
print(f"weights {coef_x0:.4f} and {coef_xt:.3f}, mean {mean.item():.3f}, variance {variance.item():.4f}")
assert (f"{coef_x0:.4f}", f"{coef_xt:.3f}", f"{mean.item():.3f}", f"{variance.item():.4f}") == ("0.0142", "0.985", "0.602", "0.0099")

# %% [markdown]
# Two remarks on the example. Its 0.505 is a rounding: $\bar\alpha_{t-1} = \bar\alpha_t/\alpha_t$, which is $0.5/0.99$.
# And it says $t = 500$, where the linear schedule has another $\bar\alpha_t$. The next cell shows both, and gives the two weights where that schedule really passes 0.5.

# %%
halfway = int((linear.alpha_bar >= 0.5).sum()) - 1  # the last t with alpha_bar of at least 0.5
real_x0, real_xt = posterior_coefficients(halfway, linear)
print(f"0.5 / 0.99 = {0.5 / 0.99:.5f}")
print(f"linear schedule: alpha_bar at t = 500 is {linear.alpha_bar[500]:.3f}; it passes 0.5 at t = {halfway}, where beta is {linear.beta[halfway]:.4f}")
print(f"there the weights are {real_x0:.4f} and {real_xt:.4f}")
assert real_x0 < 0.0142 and real_xt > 0.985  # a smaller step leans on x_t even more

# %% [markdown]
# The weight of $x_0$ is small, yet it is not idle. Most steps correct the image a little towards $x_0$. The last few do much of the work.

# %% [markdown]
# ## Believe it
#
# **Bayes on a grid.** `bayes_on_grid` above multiplies two densities and divides by the sum. It has never heard of equation 7. Give it the prior for one known $x_0$, and compare mean and variance.
# The grid has 400,001 points; both must agree to $10^{-9}$.

# %%
fine = torch.linspace(-4, 4, 400_001, dtype=torch.float64)
generator = torch.Generator().manual_seed(5)
largest = 0.0
for t in (2, 3, 10, 100, 500, 1000):
    x_0 = 2 * torch.rand(1, generator=generator, dtype=torch.float64) - 1  # (1,) a clean pixel
    x_t, _ = forward_diffusion(x_0, t, linear, generator=generator)  # (1,)
    oracle = moments(fine, bayes_on_grid(fine, prior_density(fine, x_0, t, linear), x_t, t, linear))
    mine = q_posterior(x_0, x_t, t, linear)
    largest = max(largest, *(abs(a.item() - b.item()) for a, b in zip(mine, oracle)))
print("largest difference from Bayes on the grid is below 1e-9:", largest < 1e-9)
assert largest < 1e-9

# %% [markdown]
# **Back to the jump.** Draw $x_t$ from $q(x_t \mid x_0)$, then $x_{t-1}$ from the posterior. The result must follow $q(x_{t-1} \mid x_0)$, for every $t$. Its mean and variance say
#
# $$a_t\,x_0 + b_t\sqrt{\bar\alpha_t}\,x_0 = \sqrt{\bar\alpha_{t-1}}\,x_0, \qquad b_t^2\,(1-\bar\alpha_t) + \tilde\beta_t = 1-\bar\alpha_{t-1}$$
#
# where $a_t$ and $b_t$ are the two weights. So the weights need not sum to 1. (In the table above they nearly do, but for $t = 1000$, where the sum is 0.99.) What they keep is the *amplitude*: they bring the image from $\sqrt{\bar\alpha_t}$ to $\sqrt{\bar\alpha_{t-1}}$.

# %%
every_t = torch.arange(1, 1001)
a, b = posterior_coefficients(every_t, linear)
alpha_bar, alpha_bar_prev = linear.alpha_bar[every_t], linear.alpha_bar[every_t - 1]
mean_error = (a + b * alpha_bar.sqrt() - alpha_bar_prev.sqrt()).abs().max()
variance_error = (b**2 * (1 - alpha_bar) + posterior_variance(every_t, linear) - (1 - alpha_bar_prev)).abs().max()
print("mean and variance of the jump come back at every t, to 1e-12:", bool(mean_error < 1e-12 and variance_error < 1e-12))
assert mean_error < 1e-12 and variance_error < 1e-12

# %% [markdown]
# **The chains in the slot.** The first picture kept chains with $x_2$ near 0.1. Among those with $x_0 = -1$, the average of $x_1$ must be the posterior mean.
# Five standard errors of the average is the bound; the formula is applied to each chain's own $x_2$.

# %%
formula, variance = q_posterior(torch.full_like(x_2[dark], -1.0), x_2[dark], 2, two_steps)
standard_error = (variance / dark.sum()).sqrt().item()
print(f"x_0 = -1: average of x_1 over the chains {x_1[dark].mean():.2f}, posterior mean {formula.mean():.2f}")
print(f"          their variance {x_1[dark].var():.3f}, posterior variance {variance.item():.3f}")
assert abs(x_1[dark].mean() - formula.mean()) < 5 * standard_error
assert abs((x_1[dark] - formula).var() / variance.item() - 1) < 5 * math.sqrt(2 / dark.sum())  # five standard errors again

# %% [markdown]
# **Two variances, each exact somewhere.** The network's reverse step needs a variance $\sigma_t^2$, and it has no $x_0$. There are two extreme cases (the paper's section 3.2).
#
# - The data is a single image. Then $x_0$ is always known, and the step back has variance $\tilde\beta_t$.
# - The data is standard normal noise. Then noising changes nothing: $x_{t-1}$ and $x_t$ are both standard normal, with correlation $\sqrt{\alpha_t}$. The step back has variance $1-\alpha_t = \beta_t$.
#
# Real images lie in between. The grid can tell, with the prior of each case:

# %%
ratio = posterior_variance(every_t, linear) / linear.beta[every_t]  # (1000,) beta tilde over beta
for t in (2, 10, 100):
    one_point = moments(fine, bayes_on_grid(fine, prior_density(fine, 0.3, t, linear), 0.3, t, linear))[1]
    pure_noise = moments(fine, bayes_on_grid(fine, normal(fine, 0, 1), 0.3, t, linear))[1]
    print(f"t = {t:<4} data one point: {one_point:.6f}   data N(0, 1): {pure_noise:.6f}   ratio {one_point / pure_noise:.3f}")
    assert abs(one_point - posterior_variance(t, linear)) < 1e-9 and abs(pure_noise - linear.beta[t]) < 1e-9

figure, ((axis,),) = new_figure(height=2.4)
axis.plot(every_t.numpy(), ratio.numpy(), color=COLOURS["posterior"])
axis.axhline(1, color=INK, linewidth=0.8)
at_two = ratio[1].item()
axis.plot(2, at_two, "o", color=COLOURS["posterior"])
axis.annotate(f"t = 2: {at_two:.2f}", (2, at_two), (3.2, at_two - 0.08), color=COLOURS["posterior"])
axis.text(1.1, 1.03, "$\\beta_t$: exact for standard normal data")
axis.text(30, 0.78, "$\\tilde\\beta_t$: exact for a single image", color=COLOURS["posterior"])
axis.set(xscale="log", xlabel="$t$", ylabel="$\\tilde\\beta_t\\,/\\,\\beta_t$", ylim=(0, 1.15), xlim=(1, 1000))
above = int((ratio < 0.99).sum()) + 1
show(figure, f"The two variances differ only near the clean end: from t = {above} on, the posterior's is at least 99% of beta.")

# %% [markdown]
# ## Same as the package
#
# The package's `posterior` module holds these functions with checks of their input. It also has `beta_variance`, which is $\beta_t$ in the same form, so that a sampler can take either.
# One line compares yours with it on random images and times: weights and variances to $10^{-15}$, means to $10^{-6}$.

# %%
import minddpm as package
from minddpm_course.comparisons import same_as_package

same_as_package("03", globals())

guide = package.q_posterior(torch.tensor([0.8]), torch.tensor([0.6]), 2, example)
print(f"the package on the guide's example: mean {guide.mean.item():.3f}, variance {guide.variance.item():.4f}")
assert f"{guide.mean.item():.3f} {guide.variance.item():.4f}" == "0.602 0.0099"

# %% [markdown]
# ## Play
#
# Three bells: the prior $q(x_{t-1} \mid x_0)$, the likelihood $q(x_t \mid x_{t-1})$ and their product, the posterior. The noisy pixel stays at $x_t = 0.6$. Each bell is drawn with peak height 1.
#
# Question: at which $t$ does the posterior follow you when you move $x_0$, and which bell holds it back at the others?


# %%
def three_bells(t, x_0, x_t=0.6):
    line = torch.linspace(-1.6, 1.6, 4001, dtype=torch.float64)
    mean, variance = package.q_posterior(torch.tensor([x_0]), torch.tensor([x_t]), t, linear)
    bells = {
        "prior": (prior_density(line, x_0, t, linear), COLOURS["clean"]),
        "likelihood": (likelihood(line, x_t, t, linear), COLOURS["noisy"]),
        "posterior": (normal(line, mean.item(), variance.item()), COLOURS["posterior"]),
    }
    figure, ((axis,),) = new_figure(height=2.5)
    for row, (name, (bell, colour)) in enumerate(bells.items()):
        style = {"linestyle": "--", "zorder": 3} if name == "likelihood" else {"linestyle": "-", "zorder": 2}
        height = (bell / bell.max()).numpy()
        axis.fill_between(line.numpy(), height, color=colour, alpha=0.25, linewidth=0)
        axis.plot(line.numpy(), height, color=colour, **style)
        axis.text(-1.55, 0.95 - 0.13 * row, name, color=colour)
    axis.set(xlabel="$x_{t-1}$", yticks=[], ylim=(0, 1.05), xlim=(-1.6, 1.6))
    axis.set_title(f"$t$ = {t},  $x_0$ = {x_0:.1f},  $x_t$ = {x_t}")
    weight = package.posterior_coefficients(t, linear)[0].item()
    caption = f"At t = {t} the posterior mean is {mean.item():.3f}; it moves by {weight:.4f} when x_0 moves by 1."
    return figure, caption


show(*three_bells(2, 0.8))
show(*three_bells(500, 0.8))

# %%
play(
    three_bells,
    t=ipywidgets.SelectionSlider(options=[2, 3, 5, 10, 20, 50, 100, 200, 500, 1000], value=5),
    x_0=ipywidgets.FloatSlider(value=0.8, min=-1, max=1, step=0.1),
)

# %% [markdown]
# Near the clean end the two bells are about equally narrow and both pull. Later the prior is wide, for a clean image says little about a very noisy one, and the narrow likelihood decides.

# %% [markdown]
# ## Mistakes people make
#
# Walk the whole way back with $x_0 = 0.8$ known, from $q(x_{1000} \mid x_0)$ to $t = 0$. Each step draws $x_{t-1}$ from a Gaussian, and Gaussian steps keep mean and variance in closed form, so no sampling is needed.
# With the right posterior the walk retraces the jump: mean $\sqrt{\bar\alpha_t}\,x_0$, standard deviation $\sqrt{1-\bar\alpha_t}$. Four mistakes:
#
# - **Swapped weights**: the weight of $x_0$ goes to $x_t$ and the other way round.
# - **$\bar\alpha$ off by one**: `alpha_bar[t]` where $\bar\alpha_{t-1}$ belongs. In 0-based arrays this is easy to do.
# - **$\beta$ for $\alpha$**: $\sqrt{\beta_t}$ in the weight of $x_t$.
# - **Variance for standard deviation**: the noise is multiplied by $\tilde\beta_t$, not by $\sqrt{\tilde\beta_t}$.


# %%
def walk_back(coef_x0, coef_xt, variance, x_0=0.8):
    """Mean and standard deviation of x_t for t = 0..T if each step draws N(coef_x0 x_0 + coef_xt x_t, variance)."""
    mean = torch.empty(linear.T + 1, dtype=torch.float64)  # (T+1,)
    var = torch.empty_like(mean)  # (T+1,) the variance of x_t
    mean[-1], var[-1] = linear.alpha_bar[-1].sqrt() * x_0, 1 - linear.alpha_bar[-1]
    for t in linear.steps():
        mean[t - 1] = coef_x0[t] * x_0 + coef_xt[t] * mean[t]
        var[t - 1] = coef_xt[t] ** 2 * var[t] + variance[t]
    return mean, var.sqrt()


with_zero = torch.arange(0, 1001)  # one entry for each index 0..T
with_zero[0] = 1  # a dummy, for index 0 is never used
right = (*posterior_coefficients(with_zero, linear), posterior_variance(with_zero, linear))
beta, alpha, alpha_bar = linear.beta[with_zero], linear.alpha[with_zero], linear.alpha_bar[with_zero]
mistakes = {
    "swapped weights": (right[1], right[0], right[2]),
    "alpha_bar off by one": (alpha_bar.sqrt() * beta / (1 - alpha_bar), alpha.sqrt(), beta),
    "beta for alpha": (right[0], right[1] / alpha.sqrt() * beta.sqrt(), right[2]),
    "variance for std": (right[0], right[1], right[2] ** 2),
}

figure, axes = new_figure(2, 4, height=3.3, sharex=True, sharey="row")
true_mean, true_std = walk_back(*right)
for column, (name, wrong) in enumerate(mistakes.items()):
    mean, std = walk_back(*wrong)
    for axis, true, curve in ((axes[0, column], true_mean, mean), (axes[1, column], true_std, std)):
        axis.plot(true.numpy(), color=COLOURS["posterior"], linewidth=3)
        axis.plot(curve.numpy(), "--", color=INK, linewidth=1.4)
    axes[0, column].set_title(name)
    axes[1, column].set(xlabel="$t$", xlim=(1000, 0), xticks=[750, 500, 250])
    print(f"{name:<22} mean and std at t = 500: {mean[500]:.3f}, {std[500]:.3f}   at t = 0: {mean[0]:.3f}, {std[0]:.3f}")
print(f"{'right':<22} mean and std at t = 500: {true_mean[500]:.3f}, {true_std[500]:.3f}   at t = 0: {true_mean[0]:.3f}, {true_std[0]:.3f}")
axes[0, 0].set(ylabel="mean", ylim=(-0.1, 1.6))
axes[1, 0].set_ylabel("standard deviation")
axes[0, 0].text(950, 0.22, "right", color=COLOURS["posterior"])
axes[0, 0].text(950, 0.9, "mistaken")
axes[0, 1].text(250, 1.4, f"to {walk_back(*mistakes['alpha_bar off by one'])[0][0]:.1f}", ha="right")
show(
    figure,
    "Read from left to right, from noise to image: each dashed walk leaves the right one, in its mean, in its spread or in both.",
)
assert torch.allclose(true_mean, linear.alpha_bar.sqrt() * 0.8, atol=1e-9) and torch.allclose(true_std**2, 1 - linear.alpha_bar, atol=1e-9)

# %% [markdown]
# In the worked example the same four give:

# %%
a, b = (c.item() for c in posterior_coefficients(2, example))
tilde = posterior_variance(2, example).item()
print(f"right                   mean {a * 0.8 + b * 0.6:.3f}   noise times {math.sqrt(tilde):.4f}")
print(f"swapped weights         mean {b * 0.8 + a * 0.6:.3f}")
print(f"alpha_bar off by one    mean {math.sqrt(0.5) * 0.01 / 0.5 * 0.8 + math.sqrt(0.99) * 0.6:.3f}")
print(f"beta for alpha          mean {a * 0.8 + b / math.sqrt(0.99) * math.sqrt(0.01) * 0.6:.3f}")
print(f"variance for std        noise times {tilde:.4f}")
at_1 = {name: (a[1] * 0.8 + b[1] * 0.6).item() for name, (a, b, _) in (("right", right), ("off by one", mistakes["alpha_bar off by one"]))}
print(f"one step from t = 1: right {at_1['right']:.3f}, alpha_bar off by one {at_1['off by one']:.3f}")
assert abs(at_1["right"] - 0.8) < 1e-9 and abs(at_1["off by one"] - 1.4) < 1e-3

# %% [markdown]
# Look at the off-by-one. In the example it moves the mean by less than a hundredth, and a test at one late $t$ would miss it. Near the clean end it does not hide: at $t = 1$ the weight of $x_t$ is $\sqrt{\alpha_1}$ instead of 0. So test at $t = 1$, and test the whole walk.

# %% [markdown]
# ## Check yourself
#
# **1.** The code for the posterior has no `if t == 1`. Why does it still return exactly $x_0$ with variance 0 there?
#
# <details><summary>Answer</summary>
# Index equals t, so alpha_bar[t - 1] is alpha_bar[0] = 1. Then 1 - alpha_bar[0] is exactly 0; it is a factor of the variance and of the weight of x_t. The weight of x_0 is beta_1 / (1 - alpha_bar_1), which is 1.
# </details>
#
# **2.** At $t = 1000$ the weights of $x_0$ and $x_t$ sum to 0.99, not to 1. Is the posterior mean then biased?
#
# <details><summary>Answer</summary>
# No. x_t is already shrunk by sqrt(alpha_bar_t). On average the mean is (a + b sqrt(alpha_bar_t)) x_0, and a + b sqrt(alpha_bar_t) is sqrt(alpha_bar_{t-1}), the amplitude at t - 1.
# </details>
#
# **3.** Your data set holds one image, and you sample with variance $\beta_t$. What goes wrong, and where along the way?
#
# <details><summary>Answer</summary>
# The exact variance is beta tilde, which is smaller. The samples are noisier than the forward process at the same t. The ratio plot says where it matters: near the clean end, where beta tilde is well below beta.
# </details>
#
# **Exercises:** [03 · Posterior](../exercises/03_posterior.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [04 · Loss](04_loss.ipynb) asks how far the network's Gaussian is from this one, and turns the answer into a training loss.
