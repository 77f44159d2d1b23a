# %% [markdown]
# # Exercises 07 · Training
#
# Lesson 07 trained the network: draw a time and noise for each image, lower the loss a little, repeat, and keep a running average of the weights. Here you write what the
# network is shown and what it should answer, see where that task is easy, then write the running average, one step of training, and the loop around the steps.
#
# Read [07 · Training](../notebooks/07_training.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("07.training_pair")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

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
# ## 1. Question and answer
#
# Make one batch of the training set: what the network is shown, and what it should answer. `x_0`, the clean images, and `noise` have the shape `(b, 1, height, width)`. `alpha_bars` has the
# shape `(T,)` and begins with $\bar{\alpha}_1$. `t` has the shape `(b,)`, one integer in $1, \ldots, T$ for each image. Return the two, the network's input first, both in the shape of `x_0`.
#
# **In words.** Take the images one by one. Look up the level of this image's own time. Jump there from the clean image, with the noise that is given, as in lesson 02. That is
# the input. Beside it lay what the loss of lesson 04 compares the network's output with.
#
# <details><summary>Hint</summary>
#
# Two mistakes are easy to miss. The wrong entry of <code>alpha_bars</code> raises an error only at $t = T$. Levels along the wrong axis raise none if there are as many images as an image has columns. Try both.
# </details>


# %%
def training_pair(x_0, alpha_bars, t, noise):
    ### BEGIN SOLUTION
    level = alpha_bars[t - 1][:, None, None, None]  # (b, 1, 1, 1)
    x_t = level.sqrt() * x_0 + (1 - level).sqrt() * noise  # (b, 1, height, width)
    return x_t, noise
    ### END SOLUTION


# %%
check("07.training_pair", training_pair)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/07_training.ipynb), or go back to [The derivation](../notebooks/07_training.ipynb).
#
# ## 2. Where is the task easy?
#
# Not all of these pairs are equally hard. Before you see which are, predict. Run the question, choose a letter, then run the next two cells.

# %%
ask("07.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "C"
### END SOLUTION

# %%
check("07.predict", prediction)

# %% [markdown]
# Was your prediction right? Lesson 07 has the curve for digits, under *Play*. Here is the simplest case, with your pairs. The images are pixels from $\mathcal{N}(0, 0.5^2)$, and the network is one weight for each $t$: it
# answers $w\, x_t$. For such data nothing does better. The best weight is found by least squares, once to predict the noise, once to predict the clean pixel.

# %%
torch.manual_seed(7)
images, noise = 0.5 * torch.randn(1000, 1, 10, 10), torch.randn(1000, 1, 10, 10)
alpha_bars = (1 - torch.linspace(0.0001, 0.02, 1000)).cumprod(0)  # the linear schedule of lesson 01


def least_error(x, wanted):
    """The mean squared error of the best multiple of x."""
    return (wanted - (x * wanted).sum() / (x * x).sum() * x).square().mean().item()


lines = []
for t in (1, 50, 200, 500, 1000):
    x_t, target = training_pair(images, alpha_bars, torch.full((1000,), t), noise)
    lines.append(f"t = {t:>4}: loss {least_error(x_t, target):.5f}, squared error of the clean pixel {least_error(x_t, images):.5f}")
print("\n".join(lines))

# %% [markdown]
# The clean pixels have the variance 0.25. An error of as much means that nothing is known of them. So a loss says little unless you know its $t$.
#
# ## 3. A number by hand
#
# Now the running average of the weights. The decay says how much of the old average stays.

# %%
ask("07.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
after_first = 0.83 * 0.49 + 0.17 * 1.37
by_hand = 0.83 * after_first + 0.17 * 2.34
### END SOLUTION

# %%
check("07.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/07_training.ipynb), or go back to [By hand](../notebooks/07_training.ipynb).
#
# ## 4. The running average
#
# Write one update, for any number of weights at once. `average` and `value` are tensors of one shape, whatever it is: the average so far, and the weights after the latest step. `decay` is a number from 0 to 1.
# Return the new average, in the same shape.
#
# **In words.** For each weight, imagine a bag with 1,000 slips of paper. The average so far stands on all of them. With a decay of 0.9, leave 900 slips as they are, and write the new value on the other
# 100. The new average is the mean of what stands on the 1,000 slips. For another decay, leave another number.
#
# <details><summary>Hint</summary>
#
# Test the ends. With decay 1 nothing changes; with decay 0 only the new value is left. And where the average equals the value already, no decay may move it. Return a new tensor: the arguments stay as they are.
# </details>


# %%
def ema_update(average, value, decay):
    ### BEGIN SOLUTION
    return decay * average + (1 - decay) * value  # any shape
    ### END SOLUTION


# %%
check("07.ema_update", ema_update)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/07_training.ipynb), or go back to [Rebuild it](../notebooks/07_training.ipynb).
#
# ## 5. One step of training
#
# Put it together: one step of algorithm 1. `model` is the network, called with noisy images and their times, `optimizer` holds its weights. `x_0`, `alpha_bars`, `t` and `noise` are as in exercise 1. Change the weights by one step of the optimizer, and return
# the loss from which its gradients came.
#
# **In words.** Make question and answer. Let the network answer, and take the mean of the squared errors over everything. Forget the gradients of earlier steps, work out those of this loss, and let the optimizer move the weights along them.
#
# <details><summary>Hint</summary>
#
# An optimizer has two methods that you need, and a loss has one. PyTorch adds new gradients to old ones, so the order of the three matters. The check looks at the weights after your step.
# </details>


# %%
def train_step(model, optimizer, x_0, alpha_bars, t, noise):
    ### BEGIN SOLUTION
    x_t, target = training_pair(x_0, alpha_bars, t, noise)
    loss = (model(x_t, t) - target).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
    ### END SOLUTION


# %%
check("07.train_step", train_step)

# %% [markdown]
# Does it learn? Here is the network of exercise 2 again, one weight for each $t$, now trained by your step. The last column is the best weight there is: $\sqrt{1 - \bar{\alpha}_t} / (0.25\, \bar{\alpha}_t + 1 - \bar{\alpha}_t)$.


# %%
class OneWeight(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1000))

    def forward(self, x_t, t):
        return self.weight[t - 1][:, None, None, None] * x_t


torch.manual_seed(8)
network = OneWeight()
optimizer = torch.optim.SGD(network.parameters(), lr=50.0)
for _ in range(300):
    times = torch.randint(1, 1001, (1000,))
    train_step(network, optimizer, images, alpha_bars, times, torch.randn_like(images))
best = (1 - alpha_bars).sqrt() / (0.25 * alpha_bars + 1 - alpha_bars)
lines = [f"t = {t:>4}: learnt {network.weight[t - 1].item():.2f}, best {best[t - 1].item():.2f}" for t in (50, 200, 500, 1000)]
print("\n".join(lines))

# %% [markdown]
# Solved? Compare with the [solution](../solutions/07_training.ipynb), or go back to [Rebuild it](../notebooks/07_training.ipynb).
#
# ## 6. The loop around the steps
#
# A training run is many of these steps. `images` has the shape `(n, 1, height, width)`. `orders` has one row for each epoch: the numbers 0 to $n - 1$ in the order in which this epoch visits the images, an integer tensor of the
# shape `(epochs, n)`. `step` is called with one batch, `(batch_size, 1, height, width)`, and returns its loss. Go through all epochs, and give back the loss of each step in turn: `yield` it as soon as the step is taken, so that
# whoever runs your loop can watch, or stop. A list of all losses at the end is right as well.
#
# **In words.** Take the order of the first epoch. Cut it into pieces of `batch_size` places, from its beginning on. For each piece gather the images that stand at these places, in that order, and take a step with them. A piece that is
# too short for a batch is left out. Then comes the next epoch, with its own order.
#
# <details><summary>Hint</summary>
#
# An integer tensor picks several images at once. Try five images in batches of two: how many steps does an epoch have, and which image does it never show? With four images, is the second batch there?
# </details>


# %%
def training_loop(images, orders, batch_size, step):
    ### BEGIN SOLUTION
    for order in orders:
        for start in range(0, len(order) - batch_size + 1, batch_size):
            places = order[start : start + batch_size]  # (batch_size,)
            yield step(images[places])
    ### END SOLUTION


# %%
check("07.training_loop", training_loop)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/07_training.ipynb), or go back to [Rebuild it](../notebooks/07_training.ipynb).
#
# ## Run this with your code
#
# A milestone: the next cell trains. It makes a fresh U-Net, takes 640 digits of the training set, and lets your `training_loop` call your `train_step` with batches of 16. Each step draws its own times and noise.
# It takes about ten seconds. If one of the two is not written yet, the cell says so.

# %% tags=["nbval-ignore-output"]
from minddpm_course import milestone

milestone("07", training_loop, train_step)

# %% [markdown]
# Forty steps lower the loss, but they are too few for digits. For those, save this notebook and type in a terminal, in the folder that holds `exercises/`: `minddpm assemble --out mine`, then `python -m mine train --minutes 15`.
#
# ## 7. Catch the bug
#
# Test somebody's `ema_update`. It takes `average` and `value`, of one shape, whatever it is, and a number `decay`. It returns the new average. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **special cases**: decay 1, decay 0, and a value that equals the average already.
# - **a known value**: with a decay such as 0.9, and numbers that make it plain which of the two it belongs to.
# - **a property**: the arguments stay as they are. Keep a copy, and compare after the calls.


# %%
def test_ema_update(function):
    ### BEGIN SOLUTION
    average, value = torch.randn(2, 3, 4)
    kept = average.clone()
    assert torch.allclose(function(average, value, 1.0), kept, atol=1e-6)  # nothing changes
    assert torch.allclose(function(average, value, 0.0), value, atol=1e-6)  # no memory
    assert torch.allclose(function(value, value, 0.7), value, atol=1e-6)  # nothing new
    known = function(torch.tensor([0.5]), torch.tensor([0.7]), 0.9)
    assert torch.allclose(known, torch.tensor([0.52]))  # a tenth of the way
    assert torch.equal(average, kept)
    ### END SOLUTION


# %%
check("07.catch_the_bug", test_ema_update)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/07_training.ipynb), or go back to [Mistakes people make](../notebooks/07_training.ipynb).
#
# ## Stretch: an average that forgets its start
#
# Not graded. Smooth the noisy loss of a training run. `values` has the shape `(n,)`. The average starts at the first value, and that is the first entry of your result. Each later value is one update, counted
# $k = 0, 1, \ldots$, with the decay of the lesson that rises from small to `decay`: $\min\left(\text{decay}, \frac{1 + k}{10 + k}\right)$. Return the average after each, in the shape `(n,)`.


# %%
def running_average(values, decay):
    ### BEGIN SOLUTION
    average = values[0]
    averages = [average]
    for k, value in enumerate(values[1:]):
        average = ema_update(average, value, min(decay, (1 + k) / (10 + k)))
        averages.append(average)
    return torch.stack(averages)
    ### END SOLUTION


# %%
beside("07.stretch", running_average)

# %% [markdown]
# Draw it once more with `decay` at every update. Where do the two curves part, and which of them lies nearer to the values themselves?
#
# **Next:** [the exercises of lesson 08](08_score.ipynb), after [08 · The score](../notebooks/08_score.ipynb).
