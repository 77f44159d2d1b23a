# %% [markdown]
# # Exercises 02 · Noising
#
# Lesson 02 took one noising step, then showed that a single jump from $\mathbf{x}_0$ to any $\mathbf{x}_t$ does what all the steps to it do, and turned the jump round.
# Here you write the step, the jump, and both ways back.
#
# Read [02 · Noising](../notebooks/02_noising.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("02.forward_step")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

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
# ## 1. One step
#
# Return the images one step later. `x_prev` and `noise` have the shape `(b, 1, h, w)`, and so does the result; `beta_t` is a float, the same for the whole batch.
#
# **In words.** Draw each new pixel from a Gaussian. Its variance is $\beta_t$. Its mean is the old pixel, made smaller, so that pixels of variance 1 keep the variance 1. The draw itself is done for you: `noise` comes from the standard Gaussian.
#
# <details><summary>Hint</summary>
#
# A number that multiplies an image or noise multiplies its variance by the square of that number.
# </details>


# %%
def forward_step(x_prev, beta_t, noise):
    ### BEGIN SOLUTION
    keep, spread = (1 - beta_t) ** 0.5, beta_t**0.5
    return keep * x_prev + spread * noise  # (b, 1, h, w)
    ### END SOLUTION


# %%
check("02.forward_step", forward_step)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/02_noising.ipynb), or go back to [Rebuild it](../notebooks/02_noising.ipynb).
#
# ## 2. Half of the power
#
# Before you go on from one step to many, predict. Run the question, choose a letter, then run the next two cells.

# %%
ask("02.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "C"
### END SOLUTION

# %%
check("02.predict", prediction)

# %% [markdown]
# Was your prediction right? A single step with $\beta_1 = 0.5$ leads to $\bar{\alpha}_1 = 0.5$, so your function can tell. Make 200,000 noisy versions of an image of four pixels, and average them. The noise averages out. What is left of the image does not.

# %%
x_0 = torch.tensor([1.0, -1.0, -1.0, 1.0]).reshape(1, 1, 2, 2).expand(200_000, 1, 2, 2)
noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
average = forward_step(x_0, 0.5, noise).mean(0)  # (1, 2, 2)
for clean, noisy in zip(x_0[0].flatten().tolist(), average.flatten().tolist()):
    print(f"clean pixel {clean:4.1f}   noisy on average {noisy:5.2f}")

# %% [markdown]
# ## 3. A number by hand
#
# Now the jump, for one pixel and one draw of the noise.

# %%
ask("02.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
signal = 0.357**0.5 * 0.88
added = (1 - 0.357) ** 0.5 * 0.55
by_hand = signal + added
### END SOLUTION

# %%
check("02.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/02_noising.ipynb), or go back to [By hand](../notebooks/02_noising.ipynb).
#
# ## 4. The jump
#
# Training draws another time for each image of a batch. So write the jump for that: `x_0` and `noise` have the shape `(b, 1, h, w)`, `alpha_bar_t` has the shape `(b,)`, one level for each image. Return the noisy images, `(b, 1, h, w)`.
#
# **In words.** Take the images one at a time. An image's level is the share of power that its clean version keeps; the rest goes to the noise. Find the factor of each, one for the image and one for the noise, and add the two products. Then take the next image, with its own level.
#
# <details><summary>Hint</summary>
#
# Shapes are matched from the right. Which axis of the images does a `(b,)` meet there, and what shape would make it meet the first? Try a batch of two or more that is not as large as the images are wide.
# </details>


# %%
def forward_diffusion(x_0, alpha_bar_t, noise):
    ### BEGIN SOLUTION
    level = alpha_bar_t.reshape(-1, 1, 1, 1)  # (b,) -> (b, 1, 1, 1)
    return level.sqrt() * x_0 + (1 - level).sqrt() * noise  # (b, 1, h, w)
    ### END SOLUTION


# %%
check("02.forward_diffusion", forward_diffusion)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/02_noising.ipynb), or go back to [The derivation](../notebooks/02_noising.ipynb).
#
# ## 5. Back to the clean image
#
# Suppose that you know the noise. Return the clean images, `(b, 1, h, w)`. `x_t` and `noise` have that shape too; `alpha_bar_t` has the shape `(b,)`.
#
# **In words.** The jump did two things to an image: it scaled the pixels, then it added scaled noise. Undo both, and the last thing first.
#
# <details><summary>Hint</summary>
#
# Do not trust a formula that you have not tried: noise a few images with your jump, come back with this function, and compare.
# </details>


# %%
def recover_x0(x_t, alpha_bar_t, noise):
    ### BEGIN SOLUTION
    level = alpha_bar_t.reshape(-1, 1, 1, 1)  # (b,) -> (b, 1, 1, 1)
    return (x_t - (1 - level).sqrt() * noise) / level.sqrt()  # (b, 1, h, w)
    ### END SOLUTION


# %%
check("02.recover_x0", recover_x0)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/02_noising.ipynb), or go back to [The derivation](../notebooks/02_noising.ipynb).
#
# ## 6. Back to the noise
#
# Now suppose that you know the clean image. Return the noise that the jump was given, `(b, 1, h, w)`. `x_t` and `x_0` have that shape too; `alpha_bar_t` has the shape `(b,)`. Mind the order of the arguments.
#
# **In words.** Take out of the noisy image all that is left in it of the clean one. What remains is the noise, at the size at which it was added. Bring it back to a variance of 1.
#
# <details><summary>Hint</summary>
#
# What remains has a variance that you know from the level. By which number must it be divided, so that the variance becomes 1?
# </details>


# %%
def recover_noise(x_t, x_0, alpha_bar_t):
    ### BEGIN SOLUTION
    level = alpha_bar_t.reshape(-1, 1, 1, 1)  # (b,) -> (b, 1, 1, 1)
    return (x_t - level.sqrt() * x_0) / (1 - level).sqrt()  # (b, 1, h, w)
    ### END SOLUTION


# %%
check("02.recover_noise", recover_noise)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/02_noising.ipynb), or go back to [Rebuild it](../notebooks/02_noising.ipynb).
#
# ## Run this with your code
#
# A milestone: the next cell hands your `forward_diffusion` a digit of the test set, six times over, with the levels of six times $t$ of the linear schedule, and draws what comes back.
# If the function is not written yet, the cell says so.

# %%
from minddpm_course import milestone

milestone("02", forward_diffusion)

# %% [markdown]
# The same jump makes every training image in lesson 07. To keep yours in a package of your own, save this notebook and type in a terminal, in the folder that holds `exercises/`: `minddpm assemble --out mine`.
#
# ## 7. Catch the bug
#
# Test somebody's `forward_diffusion`. It takes `x_0` and `noise`, `(b, 1, h, w)`, and `alpha_bar_t`, `(b,)`, and returns noisy images, `(b, 1, h, w)`. Let right functions pass, and `assert` what a wrong one breaks. Take levels whose roots you know, such as 0.36 and 0.64, a different one for each image, and images that are not square:
#
# - **special cases**: no noise at all, a grey image (zeros), the level 1. What must come back?
# - **a property**: how does the result for image and noise together follow from the results for each alone? Let some pixels lie far outside $[-1, 1]$, or you will not see whether somebody cuts them off.
# - **another property**: if pixels and noise have variance 1, so does the result. This test needs many pixels, and it does not notice a wrong sign.


# %%
def test_forward_diffusion(function):
    ### BEGIN SOLUTION
    x_0, noise = 3 * torch.randn(2, 3, 1, 4, 5)
    level = torch.tensor([0.36, 0.64, 1.0])
    image, added = function(x_0, level, 0 * noise), function(0 * x_0, level, noise)
    for place, (keep, spread) in enumerate([(0.6, 0.8), (0.8, 0.6), (1.0, 0.0)]):
        assert torch.allclose(image[place], keep * x_0[place], atol=1e-5)  # no noise
        assert torch.allclose(added[place], spread * noise[place], atol=1e-5)  # a grey image: zeros
    assert torch.allclose(function(x_0, level, noise), image + added, atol=1e-5)
    ### END SOLUTION


# %%
check("02.catch_the_bug", test_forward_diffusion)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/02_noising.ipynb), or go back to [Mistakes people make](../notebooks/02_noising.ipynb).
#
# ## Stretch: from image to noise in one picture
#
# Not graded. Let the level fall across a single image: 1 in its first column, 0 in its last, in equal steps between. Return that image. `x_0` and `noise` have the shape `(1, 1, h, w)`.
# In exercise 4 it was a mistake to let the levels meet the columns. Here it is what you want.
#
# Before you run it, guess how far to the right you will still see the digit.


# %%
def dissolve(x_0, noise):
    ### BEGIN SOLUTION
    level = torch.linspace(1, 0, x_0.shape[-1])  # (w,) one for each column
    return level.sqrt() * x_0 + (1 - level).sqrt() * noise  # (1, 1, h, w)
    ### END SOLUTION


# %%
beside("02.stretch", dissolve)

# %% [markdown]
# **Next:** [the exercises of lesson 03](03_posterior.ipynb), after [03 · Posterior](../notebooks/03_posterior.ipynb).
