# %% [markdown]
# # Exercises 06 · Sampler
#
# Lesson 06 turned the network's guess of the noise into one step from $\mathbf{x}_t$ to $\mathbf{x}_{t-1}$, and repeated it until an image was there. Here you write the order of
# the steps, then the step, and run both on data for which the perfect network is known.
#
# Read [06 · Sampler](../notebooks/06_sampler.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("06.steps")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

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
# ## 1. The order of the steps
#
# At which times does the sampler ask the network, and in which order? `T` is a positive integer. Return a list of `T` integers.
#
# **In words.** Begin with an image that is all noise. Each step leads to the image one time earlier. Go on until you hold $\mathbf{x}_0$. Before each step, write down the time of the image that
# you hold.
#
# <details><summary>Hint</summary>
#
# Write the list for $T = 1$ and $T = 2$ on paper. How many steps are there, and from which time does the last one start?
# </details>


# %%
def steps(T):
    ### BEGIN SOLUTION
    return list(range(T, 0, -1))  # a range ends before its second number
    ### END SOLUTION


# %%
check("06.steps", steps)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/06_sampler.ipynb), or go back to [Rebuild it](../notebooks/06_sampler.ipynb).
#
# ## 2. A number by hand
#
# One pixel, one step. Fresh noise comes later: asked is the mean.

# %%
ask("06.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
share = 0.205 / (1 - 0.394) ** 0.5
without = 0.69 - share * 0.63
by_hand = without / (1 - 0.205) ** 0.5
### END SOLUTION

# %%
check("06.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/06_sampler.ipynb), or go back to [By hand](../notebooks/06_sampler.ipynb).
#
# ## 3. The step back
#
# Before you write it, predict what one mistake in it would do. Run the question, choose a letter, then run the next two cells.

# %%
ask("06.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "B"
### END SOLUTION

# %%
check("06.predict", prediction)

# %% [markdown]
# Now write the step, with the variance $\sigma_t^2 = \beta_t$ and without clipping. `x_t`, `predicted_noise` and `noise` have the shape `(b, 1, height, width)`. `t` is an integer in $1, \ldots, T$,
# one for the whole batch. `betas` has the shape `(T,)` and begins with $\beta_1$. `noise` is standard normal. Return $\mathbf{x}_{t-1}$, in the shape of `x_t`.
#
# **In words.** Find the clean image that the predicted noise implies, as in lesson 02. Take the mean of the posterior of lesson 03 as if that image were true. Then add fresh
# noise of variance $\beta_t$, unless what you hold now is $\mathbf{x}_0$.
#
# <details><summary>Hint</summary>
#
# The lesson shows that the two stages shrink to one line, in which $\beta_t$ and $\bar{\alpha}_t$ are the only numbers that depend on $t$. Get both from the list, and print them for $t = 1$
# and $t = T$ first: at $t = 1$ they add up to 1.
# </details>


# %%
def reverse_step(x_t, predicted_noise, t, betas, noise):
    ### BEGIN SOLUTION
    beta, alpha_bar = betas[t - 1], (1 - betas[:t]).prod()
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * predicted_noise) / (1 - beta).sqrt()  # (b, 1, height, width)
    return mean + beta.sqrt() * noise if t > 1 else mean
    ### END SOLUTION


# %%
check("06.reverse_step", reverse_step)

# %% [markdown]
# Was your prediction right? Here is your sampler at work. The data is a single picture, so the perfect network is known: it names what is left of $\mathbf{x}_t$ once the picture is taken out.
# The schedule is the linear one, with 1,000 steps. The numbers are grey levels, from 0 for black to 255 for white.

# %%
picture = 2 * torch.tensor([[1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]]).double()[None, None] - 1
betas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
level = torch.cat([torch.ones(1), (1 - betas).cumprod(0)])  # index 0 is the clean image, as in lesson 01


def grey(x):
    return ((x[0, 0] + 1) * 127.5).round().int().numpy()


torch.manual_seed(6)
x = torch.randn(picture.shape, dtype=torch.float64)
seen = [f"pure noise\n{grey(x)}"]
for t in steps(1000):
    predicted = (x - level[t].sqrt() * picture) / (1 - level[t]).sqrt()
    x = reverse_step(x, predicted, t, betas, torch.randn_like(x))
seen.append(f"your sample\n{grey(x)}")

grain = 0.01 * torch.randn_like(x)  # what the variance 0.0001 would have added at t = 1
seen.append(f"with noise at t = 1\n{grey(x + grain)}")
print("\n\n".join(seen))

# %% [markdown]
# A screen shows levels below 0 as black and levels above 255 as white. What is left of the grain is a level or two. A histogram of the background would give the mistake away; your eye does not.
#
# ## 4. The loop
#
# The cell above had a loop around your step. Write it yourself, for any network and any step. `model` is the network: call it with the image that you hold and its times, an integer tensor of the shape `(b,)`, and it returns the predicted noise. `step`
# is called with the image, the predicted noise and `t` as one integer, and returns the image one time earlier. `x_T` has the shape `(b, 1, height, width)`, and `T` is the number of steps. Return $\mathbf{x}_0$.
#
# **In words.** Hold the noise. At each time, from the noisiest down, ask the network what is noise in the image that you hold, and let the step bring you one time back. Return what you hold in the end.
#
# <details><summary>Hint</summary>
#
# You have the order of the times already. The network wants to know the time of each image of the batch, and here they are all the same: <code>torch.full</code> makes such a tensor.
# </details>


# %%
def sample(model, x_T, T, step):
    ### BEGIN SOLUTION
    x_t = x_T
    for t in steps(T):
        predicted_noise = model(x_t, torch.full((len(x_t),), t))
        x_t = step(x_t, predicted_noise, t)
    return x_t
    ### END SOLUTION


# %%
check("06.sample", sample)

# %% [markdown]
# Here it is with your step and the perfect network for the picture above. It is the whole algorithm 2 of the paper, and all of it is yours.


# %%
def perfect_network(x_t, t):
    left = level[t][:, None, None, None]
    return (x_t - left.sqrt() * picture) / (1 - left).sqrt()


torch.manual_seed(6)
drawn = sample(perfect_network, torch.randn_like(picture), 1000, lambda x_t, predicted, t: reverse_step(x_t, predicted, t, betas, torch.randn_like(x_t)))
print(grey(drawn))

# %% [markdown]
# Solved? Compare with the [solution](../solutions/06_sampler.ipynb), or go back to [Mistakes people make](../notebooks/06_sampler.ipynb).
#
# ## Run this with your code
#
# A milestone: your `sample` and your `reverse_step` draw digits. The next cell hands them the network that we ship and pure noise. To save time it visits 100 of the 1,000 times; `betas` is the schedule
# with that many steps. It takes a few seconds. If one of the two is not written yet, the cell says so.

# %%
from minddpm_course import milestone

milestone("06", sample, reverse_step)

# %% [markdown]
# To draw with all 1,000 steps and with everything that you have written so far, save this notebook and type in a terminal, in the folder that holds `exercises/`: `minddpm assemble --out mine`, then `python -m mine sample --out digits.png`.
#
# ## 5. Catch the bug
#
# Test somebody's `reverse_step`. It takes `x_t`, `predicted_noise`, an integer `t`, `betas`, `(T,)`, and `noise`; the images have the shape `(b, 1, h, w)`. It returns $\mathbf{x}_{t-1}$, in that shape, with $\sigma_t^2 = \beta_t$. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **a round trip**: noise an image by one step, with $t = 1$. With that very noise as the prediction, the step back must return the image. And fresh noise must leave no trace there.
# - **special cases** at a later $t$: everything is zero except the image, or except the fresh noise. By which factor must each be multiplied? Betas such as 0.19, 0.36 and 0.51 have handy roots: $1 - \beta_t$ is $0.9^2$, $0.8^2$, $0.7^2$.
# - **a known value**: the factor of the prediction at $t = 2$, worked out by hand.


# %%
def test_reverse_step(function):
    ### BEGIN SOLUTION
    betas, zero = torch.tensor([0.19, 0.36, 0.51]), torch.zeros(2, 1, 3, 4)
    image, noise = torch.randn(2, 2, 1, 3, 4)
    noisy = 0.9 * image + 0.19**0.5 * noise
    assert torch.allclose(function(noisy, noise, 1, betas, noise), image, atol=1e-5)  # and back
    for t, keep in ((2, 0.8), (3, 0.7)):
        assert torch.allclose(function(image, zero, t, betas, zero), image / keep, atol=1e-5)
        fresh = function(zero, zero, t, betas, noise)
        assert torch.allclose(fresh, (1 - keep**2) ** 0.5 * noise, atol=1e-5)
    removed = function(zero, noise, 2, betas, zero)
    assert torch.allclose(removed, -0.64844 * noise, atol=1e-4)  # 0.36 / sqrt(1 - 0.5184) / 0.8
    ### END SOLUTION


# %%
check("06.catch_the_bug", test_reverse_step)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/06_sampler.ipynb), or go back to [Mistakes people make](../notebooks/06_sampler.ipynb).
#
# ## Stretch: how the samples find their spread
#
# Not graded. The data is one pixel from $\mathcal{N}(0, s^2)$, and the network is perfect: its prediction is a number times $x_t$, given in the lesson under *Believe it*. `betas` has the shape `(T,)`.
# Return the standard deviation of what the sampler of exercise 3 holds at $t = T, T - 1, \ldots, 0$: the shape `(T + 1,)`. The first entry is that of pure noise.
#
# You can draw many samples with your step and measure. That comes close. Or follow the variance through the steps without drawing anything. That meets the target.


# %%
def spread_of_samples(betas, s):
    ### BEGIN SOLUTION
    variance, spreads = 1.0, [1.0]
    for t in steps(len(betas)):
        beta, alpha_bar = betas[t - 1], (1 - betas[:t]).prod()
        slope = (1 - alpha_bar).sqrt() / (alpha_bar * s**2 + 1 - alpha_bar)  # the perfect prediction is slope * x_t
        factor = (1 - beta / (1 - alpha_bar).sqrt() * slope) / (1 - beta).sqrt()  # so the mean is factor * x_t
        variance = factor**2 * variance + (beta if t > 1 else 0)
        spreads.append(variance**0.5)
    return torch.tensor(spreads)
    ### END SOLUTION


# %%
beside("06.stretch", spread_of_samples)

# %% [markdown]
# The data has $s = 0.3$, and the curve ends a little above that. Take $\tilde{\beta}_t$ for $\beta_t$ as the variance of the step, and see on which side it ends then. And why does hardly anything happen in the first 40 steps?
# Look at $\bar{\alpha}_t$ there: the betas rise in equal steps from 0.001 to 0.2.
#
# **Next:** [the exercises of lesson 07](07_training.ipynb), after [07 · Training](../notebooks/07_training.ipynb).
