# %% [markdown]
# # Exercises 08 · The score
#
# Lesson 08 showed that the network, which was trained to guess noise, knows the slope of the log density. Here you turn one into the other, work out the slope of a Gaussian, and walk with nothing but slopes.
#
# Read [08 · The score](../notebooks/08_score.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("08.score_from_noise")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

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
# ## 1. From noise to score
#
# Turn a noise into the score that it stands for. `noise` has the shape `(b, 1, height, width)`; `alpha_bar_t` has the shape `(b,)`, one level for each image, each below 1. Return the score of $\mathbf{x}_t$, in the shape of
# `noise`.
#
# **In words.** The score points from $\mathbf{x}_t$ to where images are more likely: back, against the noise that was added. The less noise there is, the steeper the density.
#
# <details><summary>Hint</summary>
#
# $q(\mathbf{x}_t \mid \mathbf{x}_0)$ is a Gaussian. Write down the logarithm of its density, differentiate it in $\mathbf{x}_t$, and put in for $\mathbf{x}_t$ what lesson 02 says. How many roots of the variance are left below the line?
# </details>


# %%
def score_from_noise(noise, alpha_bar_t):
    ### BEGIN SOLUTION
    spread = (1 - alpha_bar_t).sqrt()[:, None, None, None]  # (b, 1, 1, 1)
    return -noise / spread  # (b, 1, height, width)
    ### END SOLUTION


# %%
check("08.score_from_noise", score_from_noise)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/08_score.ipynb), or go back to [Rebuild it](../notebooks/08_score.ipynb).
#
# ## 2. A number by hand
#
# One pixel, whose clean value is known.

# %%
ask("08.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
mean, variance = 0.423**0.5 * 0.48, 1 - 0.423
by_hand = (mean + 0.69) / variance
### END SOLUTION

# %%
check("08.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/08_score.ipynb), or go back to [By hand](../notebooks/08_score.ipynb).
#
# ## 3. The score of a Gaussian
#
# Give the slope of the log density of $\mathcal{N}(\text{mean}, \text{var})$ at `x`. All three have the shape `(n,)`, and each entry has its own mean and variance. Return the shape `(n,)`.
#
# **In words.** How far, and in which direction, is it to the mean? Count the distance in units of the variance.
#
# <details><summary>Hint</summary>
#
# Take the logarithm first. The factor in front of the exponential becomes a number that does not depend on $x$. Check by drawing the log density: where it rises, the score is positive.
# </details>


# %%
def gaussian_score(x, mean, var):
    ### BEGIN SOLUTION
    return (mean - x) / var  # (n,)
    ### END SOLUTION


# %%
check("08.gaussian_score", gaussian_score)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/08_score.ipynb), or go back to [The derivation](../notebooks/08_score.ipynb).
#
# ## 4. A Langevin step
#
# Before you write it, predict what many such steps do. Run the question, choose a letter, then run the next two cells.

# %%
ask("08.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "B"
### END SOLUTION

# %%
check("08.predict", prediction)

# %% [markdown]
# Now write the step. `x`, `score` and `noise` have one shape, which is any; `score` is the score at `x`, and `noise` is standard normal. `step_size` is a positive number $h$. Return where `x` is after the step.
#
# There are two conventions. Ours has the whole of $h$ before the score and the variance $2h$ for the noise. Song & Ermon (2019) write half of their step size before the score, and the whole of it as the variance. The two say the same with
# step sizes that differ by a factor of 2. Write ours.
#
# **In words.** Go uphill along the score, a share $h$ of it. Then shake: add noise of variance $2h$.
#
# <details><summary>Hint</summary>
#
# What multiplies standard normal noise is a standard deviation. Try your step on $\mathcal{N}(0, 1)$, where the score is $-x$: after many small steps the variance must still be about 1.
# </details>


# %%
def langevin_step(x, score, step_size, noise):
    ### BEGIN SOLUTION
    return x + step_size * score + (2 * step_size) ** 0.5 * noise
    ### END SOLUTION


# %%
check("08.langevin_step", langevin_step)

# %% [markdown]
# Was your prediction right? Here is your step at work, with your score of a Gaussian. At each point, the two clouds' scores are mixed in the proportion in which the clouds are likely there. The walk is done once with the clouds at
# $\pm 5$, and once with the clouds at $\pm 1$. The data has 0.8 of its points in the left cloud, and the walk starts with half.

# %%
def walk(centre, steps=1000, step_size=0.01):
    torch.manual_seed(8)
    left, right, one = (torch.full((4000,), value, dtype=torch.float64) for value in (-centre, centre, 1.0))
    x = torch.cat([left[:2000], right[2000:]]) + torch.randn(4000, dtype=torch.float64)
    for _ in range(steps):
        share = torch.sigmoid(torch.log(one * 0.8 / 0.2) - 2 * centre * x)  # how likely the left cloud is at x
        slope = share * gaussian_score(x, left, one) + (1 - share) * gaussian_score(x, right, one)
        x = langevin_step(x, slope, step_size, torch.randn_like(x))
    return float((x < 0).double().mean())


far, near = walk(5.0), walk(1.0)
print(f"clouds at -5 and 5: {far:.2f} of the points are left of 0")
print(f"clouds at -1 and 1: {near:.1f} of the points are left of 0")

# %% [markdown]
# Where the clouds overlap, points cross and the shares come right. (Left of 0 lie some points of the right cloud too, and some of the left cloud lie right of it: the share there is not 0.8 itself.) Where a gap lies between them, the start decides. The lesson mends
# that with many noise levels.
#
# Solved? Compare with the [solution](../solutions/08_score.ipynb), or go back to [Believe it](../notebooks/08_score.ipynb).
#
# ## 5. Catch the bug
#
# Test somebody's `gaussian_score`. It takes `x`, `mean` and `var`, each `(n,)`, and returns the slope of the log density at `x`, `(n,)`. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **a special case**: at the mean the density has its peak. How steep is it there? A mean of 0 would hide a bug.
# - **a property**: points at the same distance on both sides of the mean have opposite slopes, and each points to the mean.
# - **a known value**: far out, with a variance that is not 1, for a wide Gaussian and for a narrow one.


# %%
def test_gaussian_score(function):
    ### BEGIN SOLUTION
    mean, var = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.25, 4.0, 1.0])
    assert torch.allclose(function(mean, mean, var), torch.zeros(3), atol=1e-6)  # flat at the peak
    right, left = function(mean + 3, mean, var), function(mean - 3, mean, var)
    assert torch.allclose(right, torch.tensor([-12.0, -0.75, -3.0]), atol=1e-4)  # -3 / variance
    assert torch.allclose(left, -right, atol=1e-4)
    ### END SOLUTION


# %%
check("08.catch_the_bug", test_gaussian_score)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/08_score.ipynb), or go back to [Mistakes people make](../notebooks/08_score.ipynb).
#
# ## Stretch: the score of two clouds
#
# Not graded. The data is two equally likely clouds, $\mathcal{N}(m_1, v)$ and $\mathcal{N}(m_2, v)$. `x` has the shape `(n,)`; `mean_1`, `mean_2` and `var` are numbers. Return the score of the whole at each point, in the shape `(n,)`.
#
# Let autograd differentiate the log density, or work it out: the score is an average of the clouds' own.


# %%
def slope_of_two_clouds(x, mean_1, mean_2, var):
    ### BEGIN SOLUTION
    x = x.clone().requires_grad_()
    parts = torch.stack([-((x - mean) ** 2) / (2 * var) for mean in (mean_1, mean_2)])  # (2, n)
    return torch.autograd.grad(parts.logsumexp(0).sum(), x)[0]
    ### END SOLUTION


# %%
beside("08.stretch", slope_of_two_clouds)

# %% [markdown]
# The curve crosses 0 three times. Two of the places are peaks of the density. What is the third, and where do points go that start a little left or right of it? Make `var` larger: from which value on is there a single crossing?
#
# **Next:** [the exercises of lesson 09](09_ddim.ipynb), after [09 · Fewer steps](../notebooks/09_ddim.ipynb).
