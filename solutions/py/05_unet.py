# %% [markdown]
# # Exercises 05 · U-Net
#
# Lesson 05 built the network that predicts the noise in $\mathbf{x}_t$: an image goes down to a small map and up again, skips carry the details across, and
# every block is told the time $t$. Here you write the three parts that are easily built wrong, predict how a small network of them begins, and then write a residual block and the way through the whole network.
#
# Read [05 · U-Net](../notebooks/05_unet.ipynb) first. Write your answers where it says so, and run the check below each. A check draws
# new inputs each time, so a number copied from its message does not help.
# If you are stuck, run `hint("05.timestep_embedding")` in a cell of its own, with the name that stands in the check: each run gives a clearer hint, three in all, and hints cost no points.

# %% jupyter={"source_hidden": true}
import sys

if "google.colab" in sys.modules:  # there the course is not installed yet
    from IPython import get_ipython

    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %%
import torch
import torch.nn.functional as F
from torch import nn

from minddpm_course import ask, beside, check, hint

STUDENT = ""  # your name: the numbers that you work out by hand depend on it
### BEGIN SOLUTION
STUDENT = "Ada Lovelace"
### END SOLUTION

# %% [markdown]
# ## 1. The time as a vector
#
# Turn each time into a vector. `t` has the shape `(b,)` and is floating point; `dim` is an even number. Return the shape `(b, dim)`, one row for each time: all
# sines, then all cosines.
#
# **In words.** Take `dim / 2` clocks, each with one hand. The first hand turns by 1 radian a step. Each other hand is slower than the one before it, always by the
# same factor. The factor is such that one more hand, after the last, would turn by 1/10000 of a radian a step. At each time write down the sine of every hand's angle, then
# the cosine of every hand's angle, the fastest hand first in both.
#
# <details><summary>Hint</summary>
#
# Print the speeds of the hands first. For <code>dim = 8</code> they are 1, 0.1, 0.01 and 0.001. A column of $b$ times and a row of speeds multiply to a table of angles.
# </details>


# %%
def timestep_embedding(t, dim):
    ### BEGIN SOLUTION
    half = dim // 2
    frequency = 10_000.0 ** (-torch.arange(half) / half)  # (dim/2,), from 1 down
    angle = t[:, None] * frequency  # (b, 1) * (dim/2,) -> (b, dim/2)
    return torch.cat([angle.sin(), angle.cos()], dim=1)  # (b, dim)
    ### END SOLUTION


# %%
check("05.timestep_embedding", timestep_embedding)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/05_unet.ipynb), or go back to [Rebuild it](../notebooks/05_unet.ipynb).
#
# ## 2. Tell the block the time
#
# In every block, a layer turns the time into one number for each channel. `h` has the shape `(b, c, height, width)`: $c$ maps for each image. `time_features` has the shape
# `(b, c)`. Return the maps with the time in them, in the shape of `h`.
#
# **In words.** Go through the images, and through the maps of each. Take the one number that belongs to this image and this map. Add it at every place of the map.
#
# <details><summary>Hint</summary>
#
# PyTorch matches shapes from the right, and stretches sides of length 1. So the features as they are meet the height and the width. If those happen to equal $b$ and $c$,
# there is no error, only a wrong sum. The check tries that case.
# </details>


# %%
def add_time(h, time_features):
    ### BEGIN SOLUTION
    return h + time_features[:, :, None, None]  # (b, c, height, width) + (b, c, 1, 1)
    ### END SOLUTION


# %%
check("05.add_time", add_time)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/05_unet.ipynb), or go back to [The derivation](../notebooks/05_unet.ipynb), *Where the time enters*.
#
# ## 3. Hand over the details
#
# A skip hands the encoder's maps to the decoder. `h`, the decoder's, has the shape `(b, c1, height, width)`, and `skip`, the encoder's, `(b, c2, height, width)`. Return the shape
# `(b, c1 + c2, height, width)`, with `h` first.
#
# **In words.** For each image, lay down the maps of `h` in their order, and after them the maps of `skip` in theirs. No number changes. What to make of
# the two is left to the next convolution.
#
# <details><summary>Hint</summary>
#
# Of the four sides, three stay as they are. Find the one that grows, and its place in the shape.
# </details>


# %%
def join_skip(h, skip):
    ### BEGIN SOLUTION
    return torch.cat([h, skip], dim=1)  # (b, c1, height, width) and (b, c2, height, width) -> (b, c1 + c2, height, width)
    ### END SOLUTION


# %%
check("05.join_skip", join_skip)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/05_unet.ipynb), or go back to [Rebuild it](../notebooks/05_unet.ipynb).
#
# ## 4. A number by hand
#
# A join has no weights of its own. But it brings more channels to the convolution that follows, and every one of them costs weights.

# %%
ask("05.by_hand", STUDENT)

# %%
by_hand = None  # your number
### BEGIN SOLUTION
pairs = 94 * 11  # each channel that goes out looks at each that comes in
weights = 3 * 3 * pairs
by_hand = weights + 11  # and has one bias
### END SOLUTION

# %%
check("05.by_hand", by_hand, student=STUDENT)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/05_unet.ipynb), or go back to [By hand](../notebooks/05_unet.ipynb).
#
# ## 5. Put together
#
# Below is the smallest network that has all three parts: one block that is told the time, one halving, one skip. It uses your functions. Do not run it yet.
# First predict. Run the question, choose a letter, then run the next two cells.

# %%
ask("05.predict")

# %%
prediction = ""  # "A", "B", "C" or "D"
### BEGIN SOLUTION
prediction = "C"
### END SOLUTION

# %%
check("05.predict", prediction)

# %% [markdown]
# Was your prediction right? Here are five such networks, each with other random weights, and their first losses. The second line asks them for noise from `rand` in place of `randn`. What the images are
# does not matter here, so they are random too.


# %%
class SmallUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Linear(32, 16)
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.down = nn.Conv2d(16, 24, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(24 + 16, 16, 3, padding=1)
        self.out = nn.Conv2d(16, 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x_t, t):
        time_features = self.time(timestep_embedding(t, 32).float())  # (b, 16)
        skip = F.silu(add_time(self.stem(x_t), time_features))  # (b, 16, 28, 28)
        h = F.interpolate(F.silu(self.down(skip)), scale_factor=2.0)  # (b, 24, 14, 14) -> (b, 24, 28, 28)
        return self.out(F.silu(self.mix(join_skip(h, skip))))  # (b, 1, 28, 28)


torch.manual_seed(5)
images, times = 2 * torch.rand(100, 1, 28, 28) - 1, torch.full((100,), 300.0)
networks = [SmallUNet() for _ in range(5)]
lines = []
for word, noise in (("randn", torch.randn(100, 1, 28, 28)), ("rand ", torch.rand(100, 1, 28, 28))):
    with torch.inference_mode():
        predictions = [network(0.6 * images + 0.8 * noise, times) for network in networks]
    losses = [(predicted - noise).square().mean().item() for predicted in predictions]
    lines.append(f"noise from {word}: first losses " + " ".join(f"{loss:.2f}" for loss in losses))
print("\n".join(lines))

# %% [markdown]
# A loss that is known before training is a test. If the first one that you see is another, look for the mistake before you train. The second line shows what one such mistake looks like.
#
# ## 6. One residual block
#
# The networks above have convolutions alone. A real U-Net is built of residual blocks. Write the way through one. You are given its parts, each as a function: `norm_in`, `conv_in`, `time`, `norm_out`,
# `conv_out` and `shortcut`. `x` has the shape `(b, c, height, width)`, and `time_features` the shape `(b, f)`; `time` turns them into `(b, k)`, one number for each channel
# that `conv_in` makes. Return the shape `(b, k, height, width)`.
#
# **In words.** Twice the same: normalise, bend with SiLU, convolve. Between the two, add the time to each channel, as in exercise 2. In the end, lay what went through the shortcut over what went through the chain.
#
# <details><summary>Hint</summary>
#
# Follow the shapes. `conv_in` may change the number of channels, so the time, and the input itself, fit only at certain places. PyTorch has SiLU as <code>F.silu</code>.
# </details>


# %%
def residual_block(x, time_features, norm_in, conv_in, time, norm_out, conv_out, shortcut):
    ### BEGIN SOLUTION
    h = conv_in(F.silu(norm_in(x)))  # (b, k, height, width)
    h = add_time(h, time(time_features))
    h = conv_out(F.silu(norm_out(h)))
    return shortcut(x) + h
    ### END SOLUTION


# %%
check("05.residual_block", residual_block)

# %% [markdown]
# Why add the input at all? Below, 20 blocks in a row, each with random weights, once with the shortcut and once without. The numbers say how strongly the image that comes out
# still depends on one pixel of the image that goes in.


# %%
def twenty_blocks(x, shortcut):
    generator = torch.Generator().manual_seed(5)
    for _ in range(20):
        weights = [torch.randn(4, 4, 3, 3, generator=generator) / 6 for _ in range(2)]
        convolutions = [lambda h, w=w: F.conv2d(h, w, padding=1) for w in weights]
        norm, no_time = (lambda h: F.group_norm(h, 1)), (lambda features: features)
        x = residual_block(x, torch.zeros(1, 4), norm, convolutions[0], no_time, norm, convolutions[1], shortcut)
    return x


image = torch.randn(1, 4, 28, 28, generator=torch.Generator().manual_seed(6), requires_grad=True)
lines = []
for word, shortcut in (("with the shortcut", lambda x: x), ("without it", lambda x: 0)):
    (slope,) = torch.autograd.grad(twenty_blocks(image, shortcut)[0, 0, 14, 14], image)
    lines.append(f"{word}: slope at the pixel itself {slope[0, 0, 14, 14].abs():.4f}, elsewhere on average {slope.abs().mean():.4f}")
print("\n".join(lines))

# %% [markdown]
# With the shortcut, the pixel itself has by far the strongest say, and a gradient finds its way back through all 20 blocks. Without it, the pixel is one among many.
#
# Solved? Compare with the [solution](../solutions/05_unet.ipynb), or go back to [The derivation](../notebooks/05_unet.ipynb).
#
# ## 7. All the way through
#
# Now the whole network, from given parts. `stem` and `out` are functions of an image. `downs`, `encoder`, `decoder` and `ups` are lists with one function for each level: those of `encoder` and `decoder` are blocks, called
# with the maps and `time_features`, as `middle` is; those of `downs` and `ups` change the size of the maps. `downs[0]` and the last of `ups` leave it as it is. `x` has the shape `(b, 1, height, width)`. Return the same shape.
#
# **In words.** Go in through the stem. At each level on the way down, first change the size, then run the block, and keep a copy of what comes out. Cross the middle. On the way up, the latest copy that is left comes first: join it to what you
# hold, run the block, then change the size. Go out.
#
# <details><summary>Hint</summary>
#
# The copies make a pile. What is laid on it last is taken off first. Print the shapes at each level once: a join works only where height and width agree.
# </details>


# %%
def unet_forward(x, time_features, stem, downs, encoder, middle, decoder, ups, out):
    ### BEGIN SOLUTION
    h, skips = stem(x), []
    for down, block in zip(downs, encoder):
        h = block(down(h), time_features)
        skips.append(h)
    h = middle(h, time_features)
    for block, up in zip(decoder, ups):
        h = up(block(join_skip(h, skips.pop()), time_features))
    return out(h)
    ### END SOLUTION


# %%
check("05.unet_forward", unet_forward)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/05_unet.ipynb), or go back to [Rebuild it](../notebooks/05_unet.ipynb).
#
# ## 8. Catch the bug
#
# Test somebody's `timestep_embedding`. It takes `t`, `(b,)`, and an even `dim`, and returns `(b, dim)`: all sines, then all cosines. Let right functions pass, and `assert` what a wrong one breaks.
#
# - **special cases**: $t = 0$, where every angle is 0. And with $t = 1$ the angles are the frequencies themselves: for `dim = 4` these are 1 and 1/100.
# - **a property**: a sine and its cosine, squared, sum to 1. That holds for many wrong frequencies too, so it is not enough.
# - **a known value**: a third time, so that a shift or a swap of rows shows. An angle of a few hundred radians is off by some millionths in float32: allow for that.


# %%
def test_timestep_embedding(function):
    ### BEGIN SOLUTION
    rows = function(torch.tensor([0.0, 1.0, 50.0]), 4)
    assert rows.shape == (3, 4)
    assert torch.allclose(rows[0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert torch.allclose(rows[1], torch.tensor([0.84147, 0.01000, 0.54030, 0.99995]), atol=1e-4)
    sines, cosines = rows.chunk(2, dim=1)
    assert torch.allclose(sines**2 + cosines**2, torch.ones(3, 2), atol=1e-4)
    assert torch.allclose(sines[2], torch.tensor([-0.26237, 0.47943]), atol=1e-4)  # of 50 and 0.5
    sines, cosines = function(torch.tensor([1.0]), 8).reshape(2, 4)  # frequencies 1, 1/10, ...
    assert torch.allclose(sines, torch.tensor([0.84147, 0.09983, 0.01, 0.001]), atol=1e-4)
    ### END SOLUTION


# %%
check("05.catch_the_bug", test_timestep_embedding)

# %% [markdown]
# Solved? Compare with the [solution](../solutions/05_unet.ipynb), or go back to [Mistakes people make](../notebooks/05_unet.ipynb).
#
# ## Stretch: which times look alike
#
# Not graded. How much is the embedding of each time like that of $t = 500$? Return the inner product of the two, divided by `dim / 2`, for $t = 1, \ldots, 1000$: the shape
# `(1000,)`. Do it without building any embedding: the lesson shows what the inner product is, and on what alone it depends.


# %%
def likeness_to_500(dim):
    ### BEGIN SOLUTION
    distance = torch.arange(1, 1001) - 500  # (1000,)
    frequency = 10_000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))  # (dim/2,)
    return torch.cos(distance[:, None] * frequency).mean(dim=1)  # (1000, dim/2) -> (1000,)
    ### END SOLUTION


# %%
beside("05.stretch", likeness_to_500)

# %% [markdown]
# The peak tells $t = 500$ from its neighbours, and the slopes tell near times from far ones. Which hands make the peak, and which the slopes? Average over the fast half alone,
# then over the slow half, and draw again.
#
# **Next:** [the exercises of lesson 06](06_sampler.ipynb), after [06 · Sampler](../notebooks/06_sampler.ipynb).
