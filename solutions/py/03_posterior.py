# %% [markdown]
# # Exercises 03 · Posterior
#
# Lesson 03 asked where an image was one step earlier, if its clean version is known. The answer is a Gaussian: its mean mixes
# $\mathbf{x}_0$ and $\mathbf{x}_t$, its variance is $\tilde{\beta}_t$. Here you write its parts, and the rule behind them.
#
# Read [03 · Posterior](../notebooks/03_posterior.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("03.posterior_coefficients")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

# %% jupyter={"source_hidden": true}
import sys

if "google.colab" in sys.modules:  # there the course is not installed yet
    from IPython import get_ipython

    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %%
import torch

from minddpm_course import ask, beside, check, hint

STUDENT = ""  # your name: the numbers that you work out by hand depend on it
### BEGIN SOLUTION
STUDENT = "Ada Lovelace"
### END SOLUTION

# %% [markdown]
# ## 1. The coefficients
#
# The mean of $q(\mathbf{x}_{t-1} | \mathbf{x}_t, \mathbf{x}_0)$ is one number times $\mathbf{x}_0$ plus another times $\mathbf{x}_t$. Return the two, that of $\mathbf{x}_0$ first. Each argument has the shape
# `(n,)`, one entry for each of $n$ times.
#
# **In words.** Two things are known of $\mathbf{x}_{t-1}$. It came from $\mathbf{x}_0$ by a jump, so it lies near $\sqrt{\bar{\alpha}_{t-1}}\, \mathbf{x}_0$, give or take a variance of
# $1 - \bar{\alpha}_{t-1}$. It led to $\mathbf{x}_t$ by a step, so it lies near $\mathbf{x}_t / \sqrt{\alpha_t}$, give or take $\beta_t / \alpha_t$. Average the two guesses, each weighed by one over its variance.
#
# <details><summary>Hint</summary>
#
# Both coefficients are fractions with the same denominator, the variance of the jump to $t$. At $t = 1$ the first must be 1 and the second 0: check that before anything else.
# </details>


# %%
def posterior_coefficients(beta_t, alpha_bar_t, alpha_bar_prev):
    ### BEGIN SOLUTION
    coef_x0 = alpha_bar_prev.sqrt() * beta_t / (1 - alpha_bar_t)
    coef_xt = (1 - beta_t).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar_t)
    return coef_x0, coef_xt
    ### END SOLUTION


# %%
check("03.posterior_coefficients", posterior_coefficients)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/03_posterior.ipynb), or go back to [Rebuild it](../notebooks/03_posterior.ipynb).
#
# ## 2. The variance
#
# Before you write it, predict. Run the question, choose a letter, then run the next two cells.

# %%
ask("03.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "B"
### END SOLUTION

# %%
check("03.predict", prediction)

# %% [markdown]
# Now write $\tilde{\beta}_t$, the variance of the true step back, shape `(n,)`.
#
# **In words.** Each of the two guesses above has a variance. One over the variance of their average is the sum of one over each.
#
# <details><summary>Hint</summary>
#
# It is $\beta_t$, made smaller by a fraction of two shares of noise: the one before the step over the one after it.
# </details>


# %%
def posterior_variance(beta_t, alpha_bar_t, alpha_bar_prev):
    ### BEGIN SOLUTION
    return (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t
    ### END SOLUTION


# %%
check("03.posterior_variance", posterior_variance)

# %% [markdown]
# Was your prediction right? Look at the first step of a schedule, and at the next two.

# %%
betas = torch.tensor([0.1, 0.2, 0.3])
levels = (1 - betas).cumprod(0)
before = torch.cat([torch.ones(1), levels[:-1]])
print("beta      ", betas)
print("beta tilde", posterior_variance(betas, levels, before))

# %% [markdown]
# Solved? Compare with the [solution](../solutions/03_posterior.ipynb), or go back to [Rebuild it](../notebooks/03_posterior.ipynb).
#
# ## 3. A number by hand

# %%
ask("03.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
after = 0.4247 * (1 - 0.118)
by_hand = (1 - 0.4247) / (1 - after) * 0.118
### END SOLUTION

# %%
check("03.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/03_posterior.ipynb), or go back to [By hand](../notebooks/03_posterior.ipynb).
#
# ## 4. The rule behind it
#
# Multiply two normal densities of the same variable, and divide by the area below the product. The result is a normal density again. Return its mean and its
# variance. All arguments have the shape `(n,)`; the second and the fourth are variances.
#
# **In words.** At each point multiply the two densities. Find where the product is highest, and how fast it falls off there.
#
# <details><summary>Hint</summary>
#
# Add the two exponents and complete the square. The sum of the two $1/\text{variance}$ is the new one.
# </details>


# %%
def product_of_gaussians(mean_1, var_1, mean_2, var_2):
    ### BEGIN SOLUTION
    variance = 1 / (1 / var_1 + 1 / var_2)
    mean = variance * (mean_1 / var_1 + mean_2 / var_2)
    return mean, variance
    ### END SOLUTION


# %%
check("03.product_of_gaussians", product_of_gaussians)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/03_posterior.ipynb), or go back to [The derivation](../notebooks/03_posterior.ipynb).
#
# ## 5. Catch the bug
#
# Test somebody's `posterior_coefficients`. It takes `beta_t`, `alpha_bar_t` and `alpha_bar_prev`, each `(n,)`, and returns two tensors of that shape, the coefficient of $\mathbf{x}_0$ first. They may come as a tuple, as a list, or as the two rows of one tensor: take them apart with `of_x0, of_xt = function(...)`. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **a special case**: at $t = 1$ the image before the step is $\mathbf{x}_0$, and $\bar{\alpha}_0 = 1$. Which coefficients give that?
# - **a property**: suppose that the jump added no noise. Then $\mathbf{x}_t$ is the image times $\sqrt{\bar{\alpha}_t}$, and the step back must lead to the image times $\sqrt{\bar{\alpha}_{t-1}}$.
# - **a known value**: one coefficient of one step, worked out by hand. The property then gives the other.


# %%
def test_posterior_coefficients(function):
    ### BEGIN SOLUTION
    before = torch.tensor([1.0, 0.9, 0.72])
    after = torch.tensor([0.9, 0.72, 0.36])  # so the betas are 0.1, 0.2, 0.5
    of_x0, of_xt = function(torch.tensor([0.1, 0.2, 0.5]), after, before)
    assert abs(of_x0[0] - 1) < 1e-5 and abs(of_xt[0]) < 1e-5  # t = 1: x_0 itself
    assert torch.allclose(of_x0 + of_xt * after.sqrt(), before.sqrt(), atol=1e-5)  # no noise
    assert abs(of_xt[1] - 0.31944) < 1e-4  # by hand: sqrt(0.8) * 0.1 / 0.28
    assert abs(of_xt[2] - 0.30936) < 1e-4  # and sqrt(0.5) * 0.28 / 0.64
    ### END SOLUTION


# %%
check("03.catch_the_bug", test_posterior_coefficients)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/03_posterior.ipynb), or go back to [Mistakes people make](../notebooks/03_posterior.ipynb).
#
# ## Stretch: the product without a formula
#
# Not graded. Draw the normalised product of two normal densities on a grid of equally spaced points, by multiplying the densities themselves. The area below your
# curve, the sum of its values times the distance of two points, must be 1.


# %%
def product_on_grid(grid, mean_1, var_1, mean_2, var_2):
    ### BEGIN SOLUTION
    density = torch.exp(-((grid - mean_1) ** 2) / (2 * var_1)) * torch.exp(-((grid - mean_2) ** 2) / (2 * var_2))
    return density / (density.sum() * (grid[1] - grid[0]))
    ### END SOLUTION


# %%
beside("03.stretch", product_on_grid)

# %% [markdown]
# **Next:** [the exercises of lesson 04](04_loss.ipynb), after [04 · Loss](../notebooks/04_loss.ipynb).
