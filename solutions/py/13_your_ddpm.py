# %% [markdown]
# # 13 · Your DDPM
#
# In the exercises you wrote the parts of a diffusion model. Here they are put together into a package, `mine`. You watch it draw, then you train it from zero.
#
# Nothing is graded here, and you can begin at any time: what you have not solved yet is borrowed from the library. Come back when you have solved more, and run all cells again.

# %%
from minddpm_course import capstone

STUDENT = ""  # your name: your training, and your digits, begin from a seed made of it
PACKAGE = "../mine"  # where your package is written
### BEGIN SOLUTION
STUDENT, PACKAGE = "Ada Lovelace", "../runs/solved"
### END SOLUTION

# %% [markdown]
# ## 1. Put it together
#
# The next cell checks your notebooks in this folder, as `minddpm progress` does, and writes the package. It takes about half a minute. Save your notebooks first: it reads the files.
#
# The package has one part for each lesson, a *room*. For each room the cell lists what is *yours*, what is *borrowed* because it is not written yet, and what is *failing*: written, but not right, with the reason. What fails is borrowed too, so the package works in any case.

# %%
mine = capstone.assemble_here(".", PACKAGE)

# %% [markdown]
# Have a look into the folder. A room in which something is yours holds a file `yours.py`, with your functions as you wrote them.
#
# ## 2. Watch your digits emerge
#
# Your package and the library now draw the same digits: with the weights that the library ships, from one seed, in all 1,000 steps. It takes about half a minute, and you see them come out of the noise.
#
# The line below the picture gives the largest difference. Two right ways to write one formula round differently, and a thousand steps carry that along. So expect a small number, not 0: below 0.001, where black and white are 2 apart.

# %% tags=["nbval-ignore-output"]
capstone.watch(mine.package, times=(1000, 700, 500, 300, 200, 100, 50, 0))

# %% [markdown]
# ## 3. Train from zero
#
# Now without the shipped weights: 150 steps from a fresh network, with your training code, as in lesson 07. It takes about half a minute. The bars show where the loss should lie. They come from the table in [Is it a bug?](../docs/diagnosis.md#in-lesson-07), for which lesson 07 was trained with five seeds.
#
# If a line says *OUTSIDE*, and by much, look at that page: it lists what goes wrong, and the line of code that shows it. A mean that misses a bar by its last digit is no bug.

# %% tags=["nbval-ignore-output"]
capstone.learn(mine.package, capstone.bands_in("../docs/diagnosis.md"), seed=3)

# %% [markdown]
# ## 4. Train for as long as you like
#
# 150 steps are too few: they give pieces of strokes on grey. In the published training few of the samples were digits after 5 minutes, about half after 20, and most after an hour. The page [Is it a bug?](../docs/diagnosis.md#what-samples-look-like-after-some-minutes) shows them.
#
# Choose a number of minutes. A few steps are timed first, then as many are planned as fit: the learning rate falls to 0 at the last of them, so let the cell finish. If you stop it (the square button), the steps that were taken are kept, but the digits come out rougher than they need be.

# %% tags=["nbval-ignore-output"]
MINUTES = 15
### BEGIN SOLUTION
MINUTES = 0.5
### END SOLUTION
trained = capstone.train_for(mine.package, MINUTES, seed=capstone.seed_of(STUDENT))

# %% [markdown]
# Last, 250 digits by your sampler, in 50 steps of DDIM. You see the first hundred. They come from your training and a seed made of your name.
#
# The lines below them say what made them, and how far they are from real digits. The Fréchet distance compares all 250 with the training digits, as lesson 07 explains; smaller is nearer. The line below it is what as many real digits would get. Digits and weights are kept in `../runs`; running the cell again overwrites them.

# %% tags=["nbval-ignore-output"]
capstone.certify(mine, trained, STUDENT, folder="../runs")

# %% [markdown]
# Your package works outside this notebook as well. From the folder that holds `mine/`, in a terminal:
#
# `python -m mine sample --out digits.png` draws with the shipped weights, `python -m mine train --minutes 60` trains for an hour and keeps a checkpoint, and `minddpm compare mine` follows your functions through all 1,000 steps.
#
# **Back to:** [00 · From noise to images](../notebooks/00_from_noise_to_images.ipynb), which may read differently now.
