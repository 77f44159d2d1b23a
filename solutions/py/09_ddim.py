# %% [markdown]
# # Exercises 09 · Fewer steps
#
# Lesson 09 found a step that draws nothing and may be long. Here you write it, and see on data with a known perfect network what a single step gives, and what several do.
#
# Read [09 · Fewer steps](../notebooks/09_ddim.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("09.ddim_step")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

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
# One pixel, one step.

# %%
ask("09.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
x_0 = (0.65 - (1 - 0.208) ** 0.5 * 0.47) / 0.208**0.5
by_hand = 0.582**0.5 * x_0 + (1 - 0.582) ** 0.5 * 0.47
### END SOLUTION

# %%
check("09.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# One more number, for a whole walk.

# %%
ask("09.times", STUDENT)

# %%
sum_of_times = None  # your number
### BEGIN SOLUTION
length = 29874 // 78  # of a step, and the last time
sum_of_times = (29874 + length) * 78 / 2
### END SOLUTION

# %%
check("09.times", sum_of_times, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/09_ddim.ipynb), or go back to [By hand](../notebooks/09_ddim.ipynb).
#
# ## 2. The step that draws nothing
#
# Before you write it, predict what a single one of them gives. Run the question, choose a letter, then run the next two cells.

# %%
ask("09.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "B"
### END SOLUTION

# %%
check("09.predict", prediction)

# %% [markdown]
# Now write the step, with $\eta = 0$ and without clipping. `x_t` and `predicted_noise` have the shape `(b, 1, height, width)`. `alpha_bar_t` and `alpha_bar_prev` are numbers: the level of `x_t`, and the level to go to, which has less noise. The two may lie
# far apart, and `alpha_bar_prev` may be 1. Return the image at the new level, in the shape of `x_t`.
#
# **In words.** Find the clean image that the predicted noise implies, as in lesson 02. Then noise it to the new level, as in lesson 02, with the predicted noise in place of fresh noise.
#
# <details><summary>Hint</summary>
#
# Two lines do it, and each level belongs to one of them. Try $\bar{\alpha}_{\text{prev}} = \bar{\alpha}_t$: the step must leave the image as it is. Then try $\bar{\alpha}_{\text{prev}} = 1$: nothing of the noise may remain.
# </details>


# %%
def ddim_step(x_t, predicted_noise, alpha_bar_t, alpha_bar_prev):
    ### BEGIN SOLUTION
    x_0 = (x_t - (1 - alpha_bar_t) ** 0.5 * predicted_noise) / alpha_bar_t**0.5  # (b, 1, height, width)
    return alpha_bar_prev**0.5 * x_0 + (1 - alpha_bar_prev) ** 0.5 * predicted_noise
    ### END SOLUTION


# %%
check("09.ddim_step", ddim_step)

# %% [markdown]
# Was your prediction right? Here is your step at work. The data is two pictures, a 7 and a 1, so the perfect network is known: its estimate of $\mathbf{x}_0$ weighs the two by how well each explains $\mathbf{x}_t$. The schedule is the linear one, with 1,000 times.
# All runs start from the same noise. The numbers are grey levels, from 0 for black to 255 for white.

# %%
seven = [[1, 1, 1], [0, 0, 1], [0, 1, 0], [0, 1, 0]]
one = [[0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]]
pictures = 2 * torch.tensor([seven, one]).double()[:, None] - 1  # (2, 1, 4, 3)
betas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
levels = [1.0, *(1 - betas).cumprod(0).tolist()]  # index 0 is the clean image, as in lesson 01


def perfect_noise(x, level):
    away = (x - level**0.5 * pictures).square().sum((1, 2, 3))  # (2,)
    weights = torch.softmax(-away / (2 * (1 - level)), 0)[:, None, None, None]
    estimate = (weights * pictures).sum(0, keepdim=True)  # (1, 1, 4, 3)
    return (x - level**0.5 * estimate) / (1 - level) ** 0.5


def draw(count):
    torch.manual_seed(1)
    x, length = torch.randn(1, 1, 4, 3, dtype=torch.float64), 1000 // count
    for t in range(1000, 0, -length):
        x = ddim_step(x, perfect_noise(x, levels[t]), levels[t], levels[t - length])
    return ((x[0, 0] + 1) * 127.5).round().int().numpy()


print("\n\n".join(f"steps: {count}\n{draw(count)}" for count in (1, 2, 10, 1000)))

# %% [markdown]
# A pixel in which the pictures agree is right after one step. Where they differ, one step gives a grey close to the middle. Steps in between decide: each adds a little to what the noise happened to favour.
#
# Solved? Compare with the [solution](../solutions/09_ddim.ipynb), or go back to [Mistakes people make](../notebooks/09_ddim.ipynb).
#
# ## 3. Catch the bug
#
# Test somebody's `ddim_step`. It takes `x_t` and `predicted_noise`, `(b, 1, h, w)`, and the numbers `alpha_bar_t` and `alpha_bar_prev`. It returns the image at the level `alpha_bar_prev`. Let right functions pass, and `assert` what a wrong one breaks. You know more than the sampler does: make $\mathbf{x}_t$ yourself, from an image and noise, at the level 0.36, whose factors are 0.6 and 0.8. Then hand over that very noise as the prediction.
#
# - **a round trip**: which image must come back at the level 1?
# - **a property**: at any other level, the same image with the same noise. At 0.64 its factors are 0.8 and 0.6.
# - **a special case**: a step to the level where it already is.


# %%
def test_ddim_step(function):
    ### BEGIN SOLUTION
    image, noise = torch.randn(2, 3, 1, 4, 5)
    noisy = 0.6 * image + 0.8 * noise  # at the level 0.36
    assert torch.allclose(function(noisy, noise, 0.36, 1.0), image, atol=1e-5)
    assert torch.allclose(function(noisy, noise, 0.36, 0.64), 0.8 * image + 0.6 * noise, atol=1e-5)
    assert torch.allclose(function(noisy, noise, 0.36, 0.36), noisy, atol=1e-5)
    ### END SOLUTION


# %%
check("09.catch_the_bug", test_ddim_step)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/09_ddim.ipynb), or go back to [Mistakes people make](../notebooks/09_ddim.ipynb).
#
# ## Stretch: the path of one point
#
# Not graded. The data is one pixel from $\mathcal{N}(0, s^2)$, and the network is perfect: its prediction is $\frac{\sqrt{1 - \bar{\alpha}_t}}{\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t}\, x_t$. `alpha_bars` has the shape `(T + 1,)`, and its index 0 is the clean image, with
# $\bar{\alpha}_0 = 1$. `x_T` is a number. Return what DDIM holds at $t = T, T - 1, \ldots, 0$, in the shape `(T + 1,)`, `x_T` first.


# %%
def path(alpha_bars, s, x_T):
    ### BEGIN SOLUTION
    x = torch.tensor(x_T, dtype=torch.float64)
    places = [x]
    for t in range(len(alpha_bars) - 1, 0, -1):
        level = alpha_bars[t]
        x = ddim_step(x, (1 - level).sqrt() / (level * s**2 + 1 - level) * x, level, alpha_bars[t - 1])
        places.append(x)
    return torch.stack(places)
    ### END SOLUTION


# %%
beside("09.stretch", path)

# %% [markdown]
# The steps only multiply, so a point that starts at 1.5 standard deviations should end at about 1.5 of those of the data: at 0.45. Where does yours end? Take more levels between the same two ends, and see what becomes of the gap.
#
# **Next:** [the exercises of lesson 10](10_guidance.ipynb), after [10 · Guidance](../notebooks/10_guidance.ipynb).
