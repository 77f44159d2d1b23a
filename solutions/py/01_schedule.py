# %% [markdown]
# # Exercises 01 · Schedule
#
# Lesson 01 chose one number for each step, the variance $\beta_t$ of the noise that is added, and followed $\bar{\alpha}_t$, the share of the image's power that is left.
# Here you build a schedule, and read from it when an image is gone.
#
# Read [01 · Schedule](../notebooks/01_schedule.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("01.linear_betas")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.
#
# One thing differs from the lesson. There the index of an array is $t$. Here an array has $T$ entries, as in most libraries: index 0 belongs to $t = 1$.

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
# ## 1. The betas
#
# Return $\beta_1, \dots, \beta_T$ of a linear schedule, shape `(T,)`. `T` is an int of at least 2; `beta_start` and `beta_end` are floats.
#
# **In words.** Write down `beta_start`. Add one amount, again and again the same, until you have $T$ numbers. Choose the amount so that the last number is `beta_end`.
#
# <details><summary>Hint</summary>
#
# How many times do you add? With $T = 2$ the two ends are all there is.
# </details>


# %%
def linear_betas(T, beta_start, beta_end):
    ### BEGIN SOLUTION
    return torch.linspace(beta_start, beta_end, T, dtype=torch.float64)  # (T,)
    ### END SOLUTION


# %%
check("01.linear_betas", linear_betas)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/01_schedule.ipynb), or go back to [Rebuild it](../notebooks/01_schedule.ipynb).
#
# ## 2. A number by hand
#
# Each step takes a share of the power that it finds. Follow the image's power through three steps.

# %%
ask("01.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
after_1 = 1 - 0.136
after_2 = after_1 * (1 - 0.415)
by_hand = after_2 * (1 - 0.226)
### END SOLUTION

# %%
check("01.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/01_schedule.ipynb), or go back to [By hand](../notebooks/01_schedule.ipynb).
#
# ## 3. What is left
#
# Now for any number of steps. Return $\bar{\alpha}_1, \dots, \bar{\alpha}_T$. `betas` has the shape `(T,)`, and so does the result.
#
# **In words.** Start with a power of 1. Step 1 takes the share $\beta_1$ of it. Step 2 takes the share $\beta_2$ of what step 1 left. Go on to step $T$, and write down what is left after each.
#
# <details><summary>Hint</summary>
#
# Each entry comes from the one before it by one operation. Which is it, if a beta of 0.1 leaves nine tenths? No entry may be negative, and the first lies below 1 already.
# </details>


# %%
def alpha_bars(betas):
    ### BEGIN SOLUTION
    return (1 - betas).cumprod(dim=0)  # (T,)
    ### END SOLUTION


# %%
check("01.alpha_bars", alpha_bars)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/01_schedule.ipynb), or go back to [The derivation](../notebooks/01_schedule.ipynb).
#
# ## 4. Half the steps
#
# A sampler takes $T$ steps, so half of them would save half of its time. Before you look at what that does to the end of the schedule, predict. Run the question, choose a letter, then run the next two cells.

# %%
ask("01.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "C"
### END SOLUTION

# %%
check("01.predict", prediction)

# %% [markdown]
# Was your prediction right? Your two functions tell. For comparison, the second line holds half of the first number, its root and its square.

# %%
usual = alpha_bars(linear_betas(1000, 1e-4, 0.02))[-1]
shorter = alpha_bars(linear_betas(500, 1e-4, 0.02))[-1]
print(f"alpha_bar_T with T = 1000: {usual:.1e}   with T = 500: {shorter:.1e}")
print(f"half of the first: {usual / 2:.1e}   its root: {usual**0.5:.1e}   its square: {usual**2:.1e}")

# %% [markdown]
# ## 5. Signal to noise
#
# Return for each level $\bar{\alpha}$ how large the image's power is, as a multiple of the noise's. `alpha_bar` has the shape `(n,)`, its entries lie between 0 and 1, and the result has its shape.
#
# **In words.** Cut all the power in a noisy image into 100 equal parts. Count the parts that belong to the clean image, and those that belong to the noise. How many of the first are there for each of the second?
#
# <details><summary>Hint</summary>
#
# Both counts are of power already, so nothing is rooted or squared. At the level 0.5 the counts are equal. What should your function give there, and what at 0.75?
# </details>


# %%
def snr(alpha_bar):
    ### BEGIN SOLUTION
    return alpha_bar / (1 - alpha_bar)  # (n,)
    ### END SOLUTION


# %%
check("01.snr", snr)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/01_schedule.ipynb), or go back to [The derivation](../notebooks/01_schedule.ipynb).
#
# ## 6. When is it gone?
#
# Return the first time $t$, counted from 1, at which $\bar{\alpha}_t$ is below `threshold`. `alpha_bars` has the shape `(T,)` and falls from each entry to the next; `threshold` is a float. The result is an int.
# You may rely on there being such a time.
#
# **In words.** Walk through the steps from $t = 1$. At each ask whether what is left is less than the threshold; equal is not less. At the first yes stop, and say which step it was.
#
# <details><summary>Hint</summary>
#
# A comparison of an array with a number gives a yes or no for each entry. Find the first yes. Then ask which $t$ its index stands for: the table under *Index equals t* in the lesson translates.
# </details>


# %%
def first_step_below(alpha_bars, threshold):
    ### BEGIN SOLUTION
    below = alpha_bars < threshold  # (T,) of True and False
    return int(below.nonzero()[0]) + 1  # index 0 is t = 1
    ### END SOLUTION


# %%
check("01.first_step_below", first_step_below)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/01_schedule.ipynb), or go back to [Mistakes people make](../notebooks/01_schedule.ipynb).
#
# Now put three of your functions together. When has the paper's schedule taken half of the power, and when all but a hundredth?

# %%
levels = alpha_bars(linear_betas(1000, 1e-4, 0.02))
for threshold in (0.5, 0.1, 0.01):
    print(f"alpha_bar is below {threshold:4} from t = {first_step_below(levels, threshold)} on")

# %% [markdown]
# ## 7. Catch the bug
#
# Until now we tested your functions. Here you test ours. `function` stands for somebody's `alpha_bars`: it takes `betas`, shape `(T,)`, and should return `(T,)` levels. Some of those that we hand to your test are right, each written in its own way; the others have a bug. Write a test that lets the right ones pass and stops at each bug.
#
# A test that finds nothing wrong returns nothing. To refuse a function, `assert` what must hold: an assertion that fails raises an error. Right functions differ in the last digits, so compare with `torch.allclose(a, b, atol=1e-5)` or `abs(a - b) < 1e-5`, not with `==`. Without `atol`, `allclose` refuses right results that are close to 0.
#
# Repeating the formula in the test helps little: if you misread it once, you will misread it twice. Test what you know without it:
#
# - **a known value**: three betas whose levels you can work out in your head;
# - **a special case**: what shape does the result have, and what do you know of its first entry?
# - **a property**: cut a schedule in two. How do the levels of its second part follow from those of the part alone?


# %%
def test_alpha_bars(function):
    ### BEGIN SOLUTION
    known = function(torch.tensor([0.1, 0.2, 0.5]))
    assert known.shape == (3,)  # one level for each step
    assert torch.allclose(known, torch.tensor([0.9, 0.72, 0.36]))  # 0.9, then 80% of it, then half
    late = torch.tensor([0.2, 0.4, 0.1])
    whole = function(torch.cat([torch.tensor([0.3, 0.6]), late]))
    assert torch.allclose(whole[2:], whole[1] * function(late))  # each step takes from what it finds
    ### END SOLUTION


# %%
check("01.catch_the_bug", test_alpha_bars)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/01_schedule.ipynb), or go back to [Mistakes people make](../notebooks/01_schedule.ipynb).
#
# ## Stretch: a straight fall
#
# Not graded. The cosine schedule fixes the curve $\bar{\alpha}_t$ and works out the betas. Do that for the plainest curve, one that falls in equal steps: $\bar{\alpha}_t = 1 - t/(T+1)$. Return the betas, shape `(T,)`.
# Before you run it, think: do they rise or fall, and by how much? To test them, give them to your `alpha_bars`.


# %%
def straight_betas(T):
    ### BEGIN SOLUTION
    left = 1 - torch.arange(T + 1, dtype=torch.float64) / (T + 1)  # (T+1,) alpha_bar_0 ... alpha_bar_T
    return 1 - left[1:] / left[:-1]  # (T,) the share that each step takes of what it finds
    ### END SOLUTION


# %%
beside("01.stretch", straight_betas)

# %% [markdown]
# **Next:** [the exercises of lesson 02](02_noising.ipynb), after [02 · Noising](../notebooks/02_noising.ipynb).
