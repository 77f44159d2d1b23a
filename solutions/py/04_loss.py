# %% [markdown]
# # Exercises 04 · Loss
#
# Lesson 04 split a bound on $-\log p_\theta(\mathbf{x}_0)$ into divergences of Gaussians, turned each into a weighted error of a guess at the noise, and dropped the weight.
# Here you write the loss that is left, and then the pieces that it came from.
#
# Read [04 · Loss](../notebooks/04_loss.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("04.simple_loss")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

# %% jupyter={"source_hidden": true}
import sys

if "google.colab" in sys.modules:  # there the course is not installed yet
    from IPython import get_ipython

    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %%
import math

import torch

from minddpm_course import ask, beside, check, hint

STUDENT = ""  # your name: the numbers that you work out by hand depend on it
### BEGIN SOLUTION
STUDENT = "Ada Lovelace"
### END SOLUTION

# %% [markdown]
# ## 1. The loss
#
# The network has guessed. Return $L_\text{simple}$ of the batch, one number of shape `()`. `predicted_noise` and `noise` have the shape `(b, 1, h, w)`.
#
# **In words.** Go through all pixels of all images. At each take the error of the guess and square it. Add up what you have, and divide by how many pixels you went through.
#
# <details><summary>Hint</summary>
#
# The number must stay the same if every image comes twice in the batch, or if every image is tiled to twice its width.
# </details>


# %%
def simple_loss(predicted_noise, noise):
    ### BEGIN SOLUTION
    return ((predicted_noise - noise) ** 2).mean()  # () over images and pixels
    ### END SOLUTION


# %%
check("04.simple_loss", simple_loss)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/04_loss.ipynb), or go back to [Drop the weight](../notebooks/04_loss.ipynb).
#
# ## 2. A number by hand
#
# Behind the loss stands the question of how far one Gaussian is from another. Work it out once on paper.

# %%
ask("04.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
logarithm = math.log(3.86 / 0.2)
square = (0 - 1.08) ** 2
by_hand = (logarithm + (0.2 + square) / 3.86 - 1) / 2
### END SOLUTION

# %%
check("04.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/04_loss.ipynb), or go back to [KL of two Gaussians](../notebooks/04_loss.ipynb).
#
# ## 3. How far one Gaussian is from another
#
# Return $\mathrm{KL}(1\,\|\,2)$ in nats. All arguments have the shape `(n,)`, and so does the result; the second and the fourth are variances.
#
# **In words.** Draw many numbers from the first Gaussian. For each, take the logarithm of its density under the first and subtract the logarithm of its density under the second. The average of these differences is the divergence.
#
# <details><summary>Hint</summary>
#
# The average can be had without drawing: that of $(x - \text{mean}_1)^2$ is the first variance. For the other square, write $x - \text{mean}_2$ as $(x - \text{mean}_1)$ plus a constant. Two checks: from a Gaussian to itself the result is 0, and it is never negative.
# </details>


# %%
def gaussian_kl(mean_1, var_1, mean_2, var_2):
    ### BEGIN SOLUTION
    logarithm = (var_2 / var_1).log()  # (n,)
    squares = (var_1 + (mean_1 - mean_2) ** 2) / var_2  # (n,)
    return (logarithm + squares - 1) / 2  # (n,)
    ### END SOLUTION


# %%
check("04.gaussian_kl", gaussian_kl)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/04_loss.ipynb), or go back to [KL of two Gaussians](../notebooks/04_loss.ipynb).
#
# ## 4. The mean, through the noise
#
# Return the mean of $q(\mathbf{x}_{t-1} | \mathbf{x}_t, \mathbf{x}_0)$, without being given $\mathbf{x}_0$: you have the noise of the jump instead. `x_t` and `noise` have the shape `(b, 1, h, w)`, and so does the result; `beta_t` and `alpha_bar_t` are floats.
#
# **In words.** Find the clean image from $\mathbf{x}_t$ and the noise, as in the exercises of lesson 02. Mix it with $\mathbf{x}_t$ by the two coefficients of lesson 03. For those you need $\bar{\alpha}_{t-1}$: it is the number that the factor $1 - \beta_t$ turns into $\bar{\alpha}_t$.
#
# <details><summary>Hint</summary>
#
# This can be written in three lines as it stands, or in one: collect what multiplies $\mathbf{x}_t$, then what multiplies the noise, and simplify each. At $t = 1$, where $\bar{\alpha}_t = 1 - \beta_t$, the clean image itself must come out.
# </details>


# %%
def mean_from_noise(x_t, noise, beta_t, alpha_bar_t):
    ### BEGIN SOLUTION
    taken = beta_t / (1 - alpha_bar_t) ** 0.5 * noise  # (b, 1, h, w)
    return (x_t - taken) / (1 - beta_t) ** 0.5  # (b, 1, h, w)
    ### END SOLUTION


# %%
check("04.mean_from_noise", mean_from_noise)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/04_loss.ipynb), or go back to [From means to noise](../notebooks/04_loss.ipynb).
#
# ## 5. The weight that is dropped
#
# Before you write it, predict. Run the question, choose a letter, then run the next two cells.

# %%
ask("04.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "B"
### END SOLUTION

# %%
check("04.predict", prediction)

# %% [markdown]
# Now write the weight of $\|\boldsymbol{\epsilon} - \boldsymbol{\epsilon}_\theta\|^2$ in $L_{t-1}$. All arguments have the shape `(n,)`, one entry for each of $n$ times, and so does the result; `sigma2` is $\sigma_t^2$, the variance of the learned step.
#
# **In words.** Take one pixel, and two guesses at its noise that differ by 1. Each guess gives a mean, by exercise 4. Take two Gaussians with these means, both of the variance `sigma2`. Their divergence, by exercise 3, is the weight.
#
# <details><summary>Hint</summary>
#
# In the difference of the two means $\mathbf{x}_t$ drops out. What does a difference of 1 in the noise become in the mean, and what does the divergence do with it when the variances are equal?
# </details>


# %%
def noise_loss_weight(beta_t, alpha_bar_t, sigma2):
    ### BEGIN SOLUTION
    square = beta_t**2 / ((1 - beta_t) * (1 - alpha_bar_t))  # (n,) of the difference of the means
    return square / (2 * sigma2)  # (n,)
    ### END SOLUTION


# %%
check("04.noise_loss_weight", noise_loss_weight)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/04_loss.ipynb), or go back to [From means to noise](../notebooks/04_loss.ipynb).
#
# Was your prediction right? These are the weights of the paper's schedule, with $\sigma_t^2 = \beta_t$. Look also where the lowest is.

# %%
betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)  # (1000,) beta_1 ... beta_1000
weights = noise_loss_weight(betas, (1 - betas).cumprod(0), betas)  # (1000,)
for t in (2, 5, 50, 200, 350, 500, 1000):
    print(f"t = {t:4d}   weight in the bound {weights[t - 1]:.4f}   in L_simple 1")

# %% [markdown]
# ## Run this with your code
#
# A milestone: the next cell noises 32 digits of the test set, lets the network that we ship predict the noise, and calls your `simple_loss` at eleven times. The grey curve is the library's.
# If the function is not written yet, the cell says so.

# %%
from minddpm_course import milestone

milestone("04", simple_loss)

# %% [markdown]
# The loss is largest where $t$ is small. Lesson 07 asks why. Save this notebook and type in a terminal, in the folder that holds `exercises/`: `minddpm assemble --out mine`. Your loss then trains in your package.
#
# ## 6. Catch the bug
#
# Test somebody's `gaussian_kl`. It takes `mean_1`, `var_1`, `mean_2`, `var_2`, each `(n,)`, and returns $\mathrm{KL}(1\,\|\,2)$ in nats, `(n,)`: the average is taken over the first. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **a special case**: from a Gaussian to itself. Take several, whose variances are not 1.
# - **another**: if the variances are equal, what remains is a fraction with the squared distance of the means. By which number is it divided?
# - **a known value**: all four numbers different, worked out by hand. A bug in one term can hide where that term is 0, and a bug in the direction where both are alike.


# %%
def test_gaussian_kl(function):
    ### BEGIN SOLUTION
    mean, var = torch.tensor([0.0, 0.3, -2.0]), torch.tensor([1.0, 0.25, 4.0])
    assert torch.allclose(function(mean, var, mean, var), torch.zeros(3), atol=1e-5)  # to itself
    shifted = function(mean, var, mean + 3, var)  # equal variances: 9 / (2 var)
    assert torch.allclose(shifted, torch.tensor([4.5, 18.0, 1.125]), atol=1e-4)
    known = function(torch.zeros(1), torch.ones(1), torch.ones(1), torch.tensor([4.0]))
    assert abs(known - 0.44315) < 1e-4  # by hand: (log 4 + 2/4 - 1) / 2
    ### END SOLUTION


# %%
check("04.catch_the_bug", test_gaussian_kl)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/04_loss.ipynb), or go back to [Mistakes people make](../notebooks/04_loss.ipynb).
#
# ## Stretch: 256 bins
#
# Not graded. The last step back gives each pixel a Gaussian, and $L_0$ asks how probable each of the 256 grey levels is under it. Return the 256 probabilities, black first, shape `(256,)`; `mean` and `std` are floats. Levels run from $-1$ to 1, and the bins of black and white are open.
#
# The picture has the mean at 0.7, a light grey, and a standard deviation of 0.2. Before you run it, guess which bar is the highest. All bars together must make 1.


# %%
def grey_levels(mean, std):
    ### BEGIN SOLUTION
    edges = (torch.arange(257, dtype=torch.float64) - 0.5) / 127.5 - 1  # (257,) the bins' ends, 2/255 apart
    below = (1 + torch.erf((edges - mean) / (std * 2**0.5))) / 2  # (257,) the area to the left of each
    below[0], below[-1] = 0, 1  # open: black reaches to minus infinity, white to infinity
    return below.diff()  # (256,)
    ### END SOLUTION


# %%
beside("04.stretch", grey_levels)

# %% [markdown]
# **Next:** [the exercises of lesson 05](05_unet.ipynb), after [05 · U-Net](../notebooks/05_unet.ipynb).
