# %% [markdown]
# # Exercises 10 · Guidance
#
# Lesson 10 asked the network twice, with a label and without, and went beyond the difference. Here you write that one line, and see on data with a known perfect network what a large scale does to the samples.
#
# Read [10 · Guidance](../notebooks/10_guidance.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("10.guided_noise")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

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
# ## 1. Numbers by hand
#
# One pixel, two predictions.

# %%
ask("10.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
change = -0.52 - 0.36
by_hand = 0.36 + 6.51 * change
### END SOLUTION

# %%
check("10.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# What does guidance cost?

# %%
ask("10.calls", STUDENT)

# %%
looked_at = None  # your number
### BEGIN SOLUTION
looked_at = 2 * 1820 * 141
### END SOLUTION

# %%
check("10.calls", looked_at, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/10_guidance.ipynb), or go back to [By hand](../notebooks/10_guidance.ipynb).
#
# ## 2. Guided noise
#
# Before you write it, predict what it does to the samples. Run the question, choose a letter, then run the next two cells.

# %%
ask("10.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "B"
### END SOLUTION

# %%
check("10.predict", prediction)

# %% [markdown]
# Now write it. `unconditional` and `conditional` are the noises that the network predicts without and with the label, both of the shape `(b, 1, height, width)`. `scale` is a number that is at least 0. Return the guided noise, in the same shape.
#
# There are two conventions. Ours has scale 0 for the unconditional prediction, scale 1 for the conditional one, and more for what lies beyond. Ho & Salimans (2022) write $w$, which is our scale less 1. Write ours.
#
# **In words.** What does the label change? Start without the label, and add that change as many times as the scale says.
#
# <details><summary>Hint</summary>
#
# Think of two points on a line. The scale says how far to go from the first towards the second: not at all, all the way, or past it. Try the scales 0 and 1 by hand before you run the check.
# </details>


# %%
def guided_noise(unconditional, conditional, scale):
    ### BEGIN SOLUTION
    return unconditional + scale * (conditional - unconditional)
    ### END SOLUTION


# %%
check("10.guided_noise", guided_noise)

# %% [markdown]
# Was your prediction right? Here is your line at work. Half of the data is $\mathcal{N}(-1, 0.64)$, the other half $\mathcal{N}(1, 0.64)$, so both perfect predictions are known. The half around 1 is asked for. The sampler takes 200 DDIM steps,
# from the same noise for each scale.

# %%
betas = torch.linspace(0.0005, 0.1, 200, dtype=torch.float64)
levels = torch.cat([torch.ones(1), (1 - betas).cumprod(0)])  # index 0 is the clean data, as in lesson 01


def perfect_noise(x, level, centre):
    return (1 - level).sqrt() / (level * 0.64 + 1 - level) * (x - level.sqrt() * centre)


def samples(scale):
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(10), dtype=torch.float64)
    for level, before in zip(levels[1:].flip(0), levels[:-1].flip(0)):
        balance = torch.tanh(level.sqrt() * x / (level * 0.64 + 1 - level))  # -1: surely the left half, 1: the right
        predicted = guided_noise(perfect_noise(x, level, balance), perfect_noise(x, level, 1.0), scale)
        x_0 = (x - (1 - level).sqrt() * predicted) / level.sqrt()
        x = before.sqrt() * x_0 + (1 - before).sqrt() * predicted
    return x


seen = []
for scale in (0, 1, 8):
    x = samples(scale)
    seen.append(f"scale {scale}: mean {float(x.mean().abs()):.1f}, standard deviation {float(x.std()):.1f}")
print("\n".join(seen))

# %% [markdown]
# Scale 0 draws from both halves, scale 1 from the half around 1 as it is. A large scale moves the samples away from the other half, past the centre of their own, and makes them more alike.
#
# Solved? Compare with the [solution](../solutions/10_guidance.ipynb), or go back to [Mistakes people make](../notebooks/10_guidance.ipynb).
#
# ## 3. Catch the bug
#
# Test somebody's `guided_noise`. It takes `unconditional` and `conditional`, `(b, 1, h, w)`, and a number `scale`, and returns the guided noise in that shape. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **special cases**: scale 0 and scale 1. And what if the label makes no difference, so that the two predictions are alike?
# - **a property**: equal steps of the scale are equal steps of the result, also beyond 1. Let some entries lie far outside $[-1, 1]$.
# - **a known value** at a scale above 1, such as 3.


# %%
def test_guided_noise(function):
    ### BEGIN SOLUTION
    plain, label = 3 * torch.randn(2, 2, 1, 3, 4)
    assert torch.allclose(function(plain, label, 0.0), plain, atol=1e-5)
    assert torch.allclose(function(plain, label, 1.0), label, atol=1e-5)
    assert torch.allclose(function(plain, plain, 5.0), plain, atol=1e-5)  # nothing to add
    half, twice = function(plain, label, 0.5), function(plain, label, 2.0)
    assert torch.allclose(half, (plain + label) / 2, atol=1e-5)
    assert torch.allclose(twice - label, label - plain, atol=1e-5)  # as far again
    known = function(torch.full((1, 1, 1, 1), 0.2), torch.full((1, 1, 1, 1), 0.5), 3.0)
    assert abs(known.item() - 1.1) < 1e-5
    ### END SOLUTION


# %%
check("10.catch_the_bug", test_guided_noise)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/10_guidance.ipynb), or go back to [Mistakes people make](../notebooks/10_guidance.ipynb).
#
# ## Stretch: the sharpened density
#
# Not graded. Guidance is often said to draw from $p(x)\, p(c \mid x)^{\text{scale}}$, normalised. Draw that density for $t = 0$. The data is again two equally likely halves, $\mathcal{N}(\text{mean}, \text{var})$, which is asked for, and $\mathcal{N}(\text{other}, \text{var})$. `x` is
# a fine grid of points with equal gaps, of the shape `(n,)`; all others are numbers. Return the density at the points, of the shape `(n,)`, such that its sum times the gap is 1.


# %%
def sharpened(x, mean, other, var, scale):
    ### BEGIN SOLUTION
    asked, against = (torch.exp(-((x - centre) ** 2) / (2 * var)) for centre in (mean, other))
    density = (asked + against) * (asked / (asked + against)) ** scale
    return density / (density.sum() * (x[1] - x[0]))
    ### END SOLUTION


# %%
beside("10.stretch", sharpened)

# %% [markdown]
# The picture has the halves and the scale of exercise 2. Compare its peak with the mean that your samples had there. They differ: the noised versions of this density do not have the guided score, and the sampler follows the guided score.
#
# **Next:** [the exercises of lesson 11](11_targets.ipynb), after [11 · Other targets](../notebooks/11_targets.ipynb).
