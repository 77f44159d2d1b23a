# %% [markdown]
# # Exercises 11 · Other targets
#
# Lesson 11 turned one prediction into four coordinates, asked what each of them changes, and followed straight paths. Here you write the velocity and the way back from it, the weights of Min-SNR, and what flow matching trains on.
#
# Read [11 · Other targets](../notebooks/11_targets.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("11.velocity_from_noise")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

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
# One pixel, and a network that predicts the velocity.

# %%
ask("11.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
by_hand = 0.68**0.5 * 0.33 - (1 - 0.68) ** 0.5 * 0.25
### END SOLUTION

# %%
check("11.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# An early time, at which Min-SNR takes weight away.

# %%
ask("11.weighted", STUDENT)

# %%
weighted = None  # your number
### BEGIN SOLUTION
snr = 0.9155 / (1 - 0.9155)
weighted = 5 / snr * 1.0202**2
### END SOLUTION

# %%
check("11.weighted", weighted, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/11_targets.ipynb), or go back to [By hand](../notebooks/11_targets.ipynb).
#
# ## 2. The velocity
#
# A network has predicted the `noise` in `x_t`. Both have the shape `(b, 1, height, width)`. `alpha_bar_t` has the shape `(b,)`, one level for each image, between 0 and 1. Return the velocity that they imply, in the shape of `x_t`.
#
# **In words.** The jump leads along a quarter of a circle, from the image to the noise. In which direction does $\mathbf{x}_t$ move there? You know the noise. The clean image follows from it.
#
# <details><summary>Hint</summary>
#
# Start at the ends. Where there is hardly any noise, the quarter of a circle leaves the image in the direction of the noise. Where there is hardly any image, it points away from the image.
# </details>


# %%
def velocity_from_noise(x_t, noise, alpha_bar_t):
    ### BEGIN SOLUTION
    signal = alpha_bar_t.sqrt()[:, None, None, None]  # (b, 1, 1, 1)
    spread = (1 - alpha_bar_t).sqrt()[:, None, None, None]  # (b, 1, 1, 1)
    x_0 = (x_t - spread * noise) / signal  # (b, 1, h, w)
    return signal * noise - spread * x_0
    ### END SOLUTION


# %%
check("11.velocity_from_noise", velocity_from_noise)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/11_targets.ipynb), or go back to [The derivation](../notebooks/11_targets.ipynb).
#
# ## 3. Back to the noise
#
# Now a network has predicted the `velocity`. Return the noise in `x_t`. All shapes are as before. This time `alpha_bar_t` may be 0: at zero terminal SNR, only noise is left at $t = T$.
#
# **In words.** The velocity came from a rotation. Turn it back.
#
# <details><summary>Hint</summary>
#
# You could solve the formula of exercise 2 for the noise. Try it with $\bar\alpha_t = 0$ by hand: does it still give a number? The rotation turned back does.
# </details>


# %%
def noise_from_velocity(x_t, velocity, alpha_bar_t):
    ### BEGIN SOLUTION
    signal = alpha_bar_t.sqrt()[:, None, None, None]  # (b, 1, 1, 1)
    spread = (1 - alpha_bar_t).sqrt()[:, None, None, None]  # (b, 1, 1, 1)
    return signal * velocity + spread * x_t
    ### END SOLUTION


# %%
check("11.noise_from_velocity", noise_from_velocity)

# %% [markdown]
# Your two functions at work. A network is wrong by 0.01 in each pixel of what it predicts. How wrong is then its velocity, if it predicts the noise, and how wrong its noise, if it predicts the velocity?

# %%
alpha_bars = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
x_t, said = torch.randn(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
for t in (10, 300, 600, 900):
    level = alpha_bars[t - 1 : t]  # (1,)
    off = [(convert(x_t, said + 0.01, level) - convert(x_t, said, level)).abs().max() for convert in (velocity_from_noise, noise_from_velocity)]
    print(f"t = {t:>3}: the velocity off by {off[0]:.3f}, the noise off by {off[1]:.3f}")

# %% [markdown]
# At late times a small error of the noise is a large one of the velocity, and so of the image. The other way round nothing grows.
#
# Solved? Compare with the [solution](../solutions/11_targets.ipynb), or go back to [The derivation](../notebooks/11_targets.ipynb).
#
# ## 4. The weights of Min-SNR
#
# `alpha_bar` has the shape `(n,)`, and `gamma` is a positive number. Return the weight that Min-SNR gives to the squared error of the *noise* at each level, in the shape `(n,)`.
#
# There are two ways to say it. Hang et al. (2023) put the weight before the error of $\mathbf{x}_0$, and limit it to `gamma`. This course predicts the noise, and its errors have another size. Write the weight for those.
#
# **In words.** An error counts as the error of the image that it implies, but at most `gamma` times. Early times have a large SNR: there the weight is less than 1. At all others it is 1.
#
# <details><summary>Hint</summary>
#
# Work out the SNR as in lesson 01. Try two levels by hand, one with an SNR above `gamma` and one below it.
# </details>


# %%
def min_snr_weight(alpha_bar, gamma):
    ### BEGIN SOLUTION
    snr = alpha_bar / (1 - alpha_bar)  # (n,)
    return (gamma / snr).clamp(max=1)
    ### END SOLUTION


# %%
check("11.min_snr_weight", min_snr_weight)

# %% [markdown]
# Which times lose how much? Here are your weights on the linear schedule, with the `gamma` of the paper.

# %%
weights = torch.as_tensor(min_snr_weight(alpha_bars, 5.0))  # (1000,)
for t in (1, 20, 50, 100, 150, 300):
    print(f"t = {t:>3}: weight {weights[t - 1]:.3f}")
print(f"the first time that counts in full: t = {int((weights > 0.9999).nonzero()[0]) + 1}")

# %% [markdown]
# Solved? Compare with the [solution](../solutions/11_targets.ipynb), or go back to [The derivation](../notebooks/11_targets.ipynb).
#
# ## 5. The straight path
#
# Before you write it, predict where it leads. Run the question, choose a letter, then run the next two cells.

# %%
ask("11.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "B"
### END SOLUTION

# %%
check("11.predict", prediction)

# %% [markdown]
# Now write what flow matching trains on. `x_0` and `noise` have the shape `(b, 1, height, width)`, and `s` has the shape `(b,)`: each image has its own time between 0 and 1. Return the point $\mathbf{x}_s$ on the straight line, and the velocity $\mathbf{u}$ there, both in the shape of `x_0`.
#
# There are two conventions. Ours has the image at $s = 0$ and the noise at $s = 1$. Lipman et al. (2023) count the other way, and their velocity points to the image. Write ours.
#
# **In words.** Mix image and noise, with shares that add up to 1. Then say how fast the mixture changes when $s$ grows.
#
# <details><summary>Hint</summary>
#
# Put in $s = 0$ and $s = 1$. What must the point be there? How far is it from the one to the other?
# </details>


# %%
def straight_path(x_0, noise, s):
    ### BEGIN SOLUTION
    s = s[:, None, None, None]  # (b, 1, 1, 1)
    return (1 - s) * x_0 + s * noise, noise - x_0
    ### END SOLUTION


# %%
check("11.straight_path", straight_path)

# %% [markdown]
# Was your prediction right? The best answer of a network at a point is the mean velocity of all lines that pass near it. So no training is needed here: draw 200,000 lines with your function, and average.

# %%
generator = torch.Generator().manual_seed(12)
x_0 = torch.randint(2, (200_000, 1, 1, 1), generator=generator) * 2.0 - 1  # -1 or 1
noise = torch.randn(200_000, 1, 1, 1, generator=generator)


def mean_velocity(x, s):
    x_s, u = straight_path(x_0, noise, torch.full((200_000,), s))
    near = (torch.as_tensor(x_s) - x).abs() < 0.05
    return torch.as_tensor(u)[near].mean().item()


x = 0.8
for step in range(40, 0, -1):
    if step % 10 == 0:
        print(f"s = {step / 40:.2f}: x = {x:.1f}")
    x = x - mean_velocity(x, step / 40) / 40
print(f"s = 0.00: x = {x:.1f}")

# %% [markdown]
# The lines are straight, and the way is not.
#
# Solved? Compare with the [solution](../solutions/11_targets.ipynb), or go back to [Straight paths: flow matching](../notebooks/11_targets.ipynb).
#
# ## 6. Catch the bug
#
# Test somebody's `noise_from_velocity`. It takes `x_t` and `velocity`, `(b, 1, h, w)`, and `alpha_bar_t`, `(b,)`, and returns the noise in the shape of `x_t`. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **special cases**: $\bar\alpha_t = 0$, where $\mathbf{x}_t$ is the noise, and $\bar\alpha_t = 1$, where the velocity is.
# - **a round trip**: choose an image and a noise, work out $\mathbf{x}_t$ and the velocity, and ask for the noise. Give each image its own level. Let batch and width be equal, or a mistake of the axis stops with an error of its own.
# - **a known value**, such as the one in *By hand*.


# %%
def test_noise_from_velocity(function):
    ### BEGIN SOLUTION
    x_0, noise = 2 * torch.randn(2, 3, 1, 4, 3)
    levels = torch.tensor([0.2, 0.5, 0.9])
    signal, spread = levels.sqrt()[:, None, None, None], (1 - levels).sqrt()[:, None, None, None]
    x_t, velocity = signal * x_0 + spread * noise, signal * noise - spread * x_0
    assert torch.allclose(function(x_t, velocity, levels), noise, atol=1e-4)
    assert torch.allclose(function(x_t, velocity, torch.zeros(3)), x_t, atol=1e-5)
    assert torch.allclose(function(x_t, velocity, torch.ones(3)), velocity, atol=1e-5)
    ### END SOLUTION


# %%
check("11.catch_the_bug", test_noise_from_velocity)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/11_targets.ipynb), or go back to [Mistakes people make](../notebooks/11_targets.ipynb).
#
# ## Stretch: the field that is followed
#
# Not graded. The data is two equally likely clouds, $\mathcal{N}(-\text{centre}, \text{var})$ and $\mathcal{N}(\text{centre}, \text{var})$. `x` has the shape `(n,)`; `s`, `centre` and `var` are numbers. Return the mean velocity at each point at time `s`, in the shape `(n,)`.
#
# For one cloud $\mathbf{x}_s$ is normal, and both means, of the image and of the noise, are straight lines in $x$. For two, weigh by how likely each cloud is at $x$.


# %%
def field(x, s, centre, var):
    ### BEGIN SOLUTION
    variance = (1 - s) ** 2 * var + s**2  # of x_s in each cloud
    clouds = torch.tensor([-centre, centre], dtype=x.dtype)[:, None]  # (2, 1)
    off = (x - (1 - s) * clouds) / variance  # (2, n)
    share = (-(off**2) * variance / 2).softmax(0)  # (2, n)
    return (share * (s * off - clouds - (1 - s) * var * off)).sum(0)
    ### END SOLUTION


# %%
beside("11.stretch", field)

# %% [markdown]
# Points move against this curve, because $s$ falls. Where is it 0, and do points come together there or part? Move `s` towards 1, and towards 0.
#
# These are the last functions of the course. In [13 · Your DDPM](13_your_ddpm.ipynb) you put them together into a package and train it from zero. [11 · Other targets](../notebooks/11_targets.ipynb) ends with questions that you can answer without a computer.
