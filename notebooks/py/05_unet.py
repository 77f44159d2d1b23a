# %% [markdown]
# # 05 · U-Net
#
# **You will**
# - turn a time $t$ into a vector that a network can use, and see why one number is not enough,
# - build a U-Net from four small parts: a block that knows the time, attention, halving and skips,
# - take parts away one at a time, and read off the error what each of them does.
#
# **You need** [02 · Noising](02_noising.ipynb) for the jump to $\mathbf{x}_t$, and [04 · Loss](04_loss.ipynb) for the loss.
#
# **It takes** 30 minutes to read and about 15 seconds to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import math

import ipywidgets
import matplotlib
import torch
import torch.nn.functional as F
from torch import nn

from minddpm import forward_diffusion, load_mnist, load_pretrained, simple_loss, x0_from_noise
from minddpm_course.diagrams import unet_diagram
from minddpm_course.figures import (
    COLOURS,
    GREY,
    INK,
    STYLE,
    canvas,
    draw_image,
    in_a_row,
    new_figure,
    show,
)
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %% [markdown]
# ## The idea in a picture
#
# The loss of lesson 04 needs a function that takes a noisy image and its time, and returns the noise in it. We write it ${\color{#008561}{\boldsymbol{\epsilon}_\theta}}({\color{#B3528C}{\mathbf{x}_t}}, t)$, where $\theta$ stands for all its weights. [Ho et al. 2020](https://arxiv.org/abs/2006.11239) (appendix B) use a **U-Net**, which [Ronneberger et al. 2015](https://arxiv.org/abs/1505.04597) invented to outline cells in microscope images. Here is the network that this course trained, at work on a held-out digit, which it never saw in training.

# %%
shipped, schedule, _ = load_pretrained("mnist")  # trained on 4,500 digits
held_out, _ = load_mnist("test")  # the 500 held-out digits, (500, 1, 28, 28), in [-1, 1]
generator = torch.Generator().manual_seed(5)
x_200, _ = forward_diffusion(held_out[7:8], 200, schedule, generator=generator)
show(
    unet_diagram(shipped, x_200, 200),
    "The image goes down through three sizes and up again; each skip carries one size straight "
    "across, and the time reaches every block.",
)

# %% [markdown]
# The pictures on the skips were computed for this digit. The top one still shows fine detail, and the bottom one little more than where something is.
#
# ## The derivation
#
# **What goes in and out.** The noise has the shape of the image, so the network maps 28 × 28 pixels to 28 × 28 pixels.
#
# **Why convolutions.** A stroke looks the same wherever it is written. So a **convolution** uses the same few weights at every place: each output is a weighted sum of the 3 × 3 inputs around it. Many such sums are kept side by side, and each of them is a **channel**.
#
# **Why several sizes.** Is this grey pixel noise or ink? Its neighbours tell. Does a stroke belong here at all? That depends on the whole digit. A stack of 3 × 3 convolutions sees only one pixel further with each layer. Halve the image in between, and each layer sees twice as far. The **encoder** halves 28 to 14 and 14 to 7, and the **decoder** goes back up.
#
# **Why skips.** The noise is different at every pixel, and a 7 × 7 map is too small to hold it. So the encoder also hands its output at each size straight to the decoder at that size. This is a **skip connection**.
#
# **Why the time.** The same ${\color{#B3528C}{\mathbf{x}_t}}$ can need another answer at another $t$. A grey speck at small $t$, where the noise is faint, must be ink. At large $t$ it is most likely noise. So the network takes $t$ as a second input. The plain number is a poor input. A layer multiplies it by a weight, so that the result only rises or falls in equal steps and cannot single out a stretch of times. You want a vector in which near times are alike, far times differ, and no entry is large.
#
# Take one wave of frequency $\omega$. The pair $(\sin \omega t, \cos \omega t)$ is a point on a circle, so both numbers stay in $[-1, 1]$. A time that is later by $\Delta$ is the same point turned by the angle $\omega \Delta$, whatever $t$ was. But the circle closes: $t$ and $t + 2\pi/\omega$ give the same point. A fast wave tells neighbours apart and soon repeats. A slow wave does not repeat, but it hardly tells neighbours apart. So take many waves, each slower than the last by the same factor:
#
# $$
# \omega_i = 10000^{-i / (d/2)}, \quad i = 0, \ldots, d/2 - 1, \qquad
# \operatorname{emb}(t) = (\sin \omega_0 t, \ldots, \sin \omega_{d/2-1} t, \; \cos \omega_0 t, \ldots, \cos \omega_{d/2-1} t).
# $$
#
# This vector of length $d$ is the **timestep embedding**, also called sinusoidal embedding ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), section 3.5). Vaswani et al. let sines and cosines alternate. The order here, all sines and then all cosines, is that of DDPM's code. The inner product of two embeddings is, because $\cos a \cos b + \sin a \sin b = \cos(a - b)$,
#
# $$
# \operatorname{emb}(t) \cdot \operatorname{emb}(s) = \sum_i \cos \omega_i (t - s).
# $$
#
# It depends only on the distance of the two times.
#
# **Where the time enters.** Two small layers turn the embedding into 64 features. In each block, one more layer turns these into one number per channel, and adds it to that channel at every pixel. This shifts the input of the block's second half, so that what that half lets through depends on $t$.
#
# **Why residual blocks.** A block computes $\mathbf{h} + f(\mathbf{h}, t)$: it adds to its input instead of replacing it. The last layer of $f$ starts with zero weights. At first each block therefore adds nothing, and a deep stack starts as simply as a shallow one. The network's own last layer starts at zero too. Its first prediction is exactly 0, so its first loss is the mean of ${\color{#C05500}{\boldsymbol{\epsilon}}}^2$. That is 1, the variance of standard normal noise.
#
# **Why attention.** At 7 × 7, each of the 49 places may look at all the others. Each place computes a **query** $\mathbf{q}$, a **key** $\mathbf{k}$ and a **value** $\mathbf{v}$. It receives the average of all values, weighted by how well their keys match its query (Vaswani et al. 2017, eq. 1, with $c$ channels):
#
# $$
# \operatorname{attention}(\mathbf{q}, \mathbf{K}, \mathbf{V}) = \operatorname{softmax}\left(\mathbf{q} \mathbf{K}^\top / \sqrt{c}\right) \mathbf{V}.
# $$
#
# The cost grows with the square of the number of places, so attention sits at the smallest size.
#
# **Why GroupNorm.** Layers train well when their inputs have mean near 0 and variance near 1. **GroupNorm** ([Wu & He 2018](https://arxiv.org/abs/1803.08494)) takes the mean and variance over a group of channels *of one image*. Batch normalisation would take them over all images of the batch. These images have different times, hence different amounts of noise, so that one would change the answer to another.

# %% [markdown]
# ## Rebuild it
#
# First the embedding, one row for each time. Try it first, if you like: fill in the next cell, then compare with the one below it. Each part of the network comes as such a pair.

# %%
def rebuilt_embedding(t, dim):
    """The embedding of each time, sines first: (b,) -> (b, dim)."""
    # your lines


# %%
def rebuilt_embedding(t, dim):
    half = dim // 2
    frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)  # (dim/2,)
    angle = t.double()[:, None] * frequency  # (b, 1) * (dim/2,) -> (b, dim/2)
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()  # (b, dim)


# %% jupyter={"source_hidden": true}
times = torch.arange(0, 1001)
embedding = rebuilt_embedding(times, 64)  # (1001, 64)

figure, ((waves, three),) = new_figure(1, 2, height=2.9, width_ratios=[1.5, 1])
colours = {"aspect": "auto", "vmin": -1, "vmax": 1, "cmap": "RdBu_r", "extent": (0, 1000, 64, 0)}
waves.imshow(embedding.T.numpy(), **colours)
waves.axhline(32, color=INK, linewidth=1)
waves.set(xlabel="time $t$", ylabel="entry of the embedding", yticks=[0, 16, 32, 48, 64])
label = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
waves.text(985, 27, "sines", ha="right", va="center", bbox=label)
waves.text(985, 59, "cosines", ha="right", va="center", bbox=label)
for place, entry in enumerate((8, 14, 20)):
    three.plot(times.numpy(), (embedding[:, entry] - 2.6 * place).numpy(), color=INK)
    three.text(1020, -2.6 * place, f"entry {entry}", va="center")
three.set(xlabel="time $t$", yticks=[], xlim=(0, 1000))
three.spines["left"].set_visible(False)
show(
    figure,
    "Each column on the left is the embedding of one time, red for 1 and blue for -1; further down "
    "in each half the waves are slower, as the three on the right show.",
)

# %%
fastest, slowest = 2 * math.pi, 2 * math.pi * 10_000 ** (31 / 32)  # 2 pi over the frequency
print(f"the fastest wave repeats after {fastest:.1f} steps, the slowest after {slowest:,.0f}")
assert slowest > schedule.T

# %% [markdown]
# The slowest wave needs far more than 1,000 steps to repeat. So no two timesteps share an embedding.
#
# Next comes the **residual block**. SiLU is the function $x / (1 + e^{-x})$: nearly 0 for very negative $x$, and nearly $x$ for large $x$. In the comments on shapes, $b$ is the batch, $c$ the channels that come in, and $k$ those that go out. The layers themselves are made in `__init__`.

# %%
class RebuiltBlock(nn.Module):
    def forward(self, x, time_features):
        """Norm, SiLU, convolution; add the time; the same three again; add the shortcut."""
        # your lines


# %%
def zeroed(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# %%
class RebuiltBlock(nn.Module):
    def __init__(self, c, k):
        super().__init__()
        self.norm_in = nn.GroupNorm(8, c)
        self.conv_in = nn.Conv2d(c, k, 3, padding=1)
        self.time = nn.Linear(64, k)
        self.norm_out = nn.GroupNorm(8, k)
        self.conv_out = zeroed(nn.Conv2d(k, k, 3, padding=1))  # at first, add nothing
        self.shortcut = nn.Identity() if c == k else nn.Conv2d(c, k, 1)

    def forward(self, x, time_features):
        h = self.conv_in(F.silu(self.norm_in(x)))  # (b, c, h, w) -> (b, k, h, w)
        h = h + self.time(time_features)[:, :, None, None]  # (b, k, 1, 1), the same at every pixel
        h = self.conv_out(F.silu(self.norm_out(h)))  # (b, k, h, w)
        return self.shortcut(x) + h  # (b, k, h, w)


# %% [markdown]
# **Attention** adds to its input as well, but it gets no time.

# %%
class RebuiltAttention(nn.Module):
    def forward(self, x):
        """Add to each place an average over all places, weighted by query and keys."""
        # your lines


# %%
class RebuiltAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.GroupNorm(8, c)
        self.query_key_value = nn.Conv2d(c, 3 * c, 1)
        self.out = zeroed(nn.Conv2d(c, c, 1))

    def forward(self, x):
        places = self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2)  # (b, h w, 3 c)
        q, k, v = places.chunk(3, dim=2)  # three of (b, h w, c)
        weights = (q @ k.transpose(1, 2) / q.shape[2] ** 0.5).softmax(dim=2)  # (b, h w, h w)
        h = (weights @ v).transpose(1, 2).reshape(x.shape)  # (b, c, h, w)
        return x + self.out(h)  # (b, c, h, w)


# %% [markdown]
# The **skip join** puts two maps of one size side by side as channels, the decoder's first.

# %%
def join(h, skip):
    """Two of (b, k, h, w) -> (b, 2 k, h, w)."""
    # your lines


# %%
def join(h, skip):
    return torch.cat([h, skip], dim=1)


# %% [markdown]
# Now the layers of the **U-Net**: first those on the way down and in the middle, then those on the way up.

# %%
class WayDown(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.encoder_28 = RebuiltBlock(16, 16)
        self.encoder_14 = RebuiltBlock(48, 48)
        self.encoder_7 = RebuiltBlock(96, 96)
        self.down_14 = nn.Conv2d(16, 48, 3, stride=2, padding=1)  # stride 2 halves the sides
        self.down_7 = nn.Conv2d(48, 96, 3, stride=2, padding=1)
        self.middle_in = RebuiltBlock(96, 96)
        self.attention = RebuiltAttention(96)
        self.middle_out = RebuiltBlock(96, 96)


# %%
class WayDownAndUp(WayDown):
    def __init__(self):
        super().__init__()
        self.decoder_7 = RebuiltBlock(192, 96)  # 96 channels from below, 96 from the skip
        self.decoder_14 = RebuiltBlock(96, 48)
        self.decoder_28 = RebuiltBlock(32, 16)
        self.up_14 = nn.Conv2d(96, 48, 1)
        self.up_28 = nn.Conv2d(48, 16, 1)
        self.norm = nn.GroupNorm(8, 16)
        self.out = zeroed(nn.Conv2d(16, 1, 3, padding=1))  # the first prediction is 0
        self.join = join


# %% [markdown]
# What is left is the way through them. The picture at the top has the same names.

# %%
class RebuiltUNet(WayDownAndUp):
    def forward(self, x_t, t):
        """Down to 7 x 7, through the middle, and up again with the skips."""
        # your lines


# %%
class RebuiltUNet(WayDownAndUp):
    def forward(self, x_t, t):
        time = self.time(rebuilt_embedding(t, 64))  # (b,) -> (b, 64)
        skip_28 = self.encoder_28(self.stem(x_t), time)  # (b, 16, 28, 28)
        skip_14 = self.encoder_14(self.down_14(skip_28), time)  # (b, 48, 14, 14)
        skip_7 = self.encoder_7(self.down_7(skip_14), time)  # (b, 96, 7, 7)
        h = self.attention(self.middle_in(skip_7, time))  # (b, 96, 7, 7)
        h = self.middle_out(h, time)  # (b, 96, 7, 7)
        h = self.decoder_7(self.join(h, skip_7), time)  # (b, 192, 7, 7) -> (b, 96, 7, 7)
        h = F.interpolate(self.up_14(h), scale_factor=2.0)  # (b, 48, 14, 14), pixels doubled
        h = self.decoder_14(self.join(h, skip_14), time)  # (b, 96, 14, 14) -> (b, 48, 14, 14)
        h = F.interpolate(self.up_28(h), scale_factor=2.0)  # (b, 16, 28, 28)
        h = self.decoder_28(self.join(h, skip_28), time)  # (b, 32, 28, 28) -> (b, 16, 28, 28)
        return self.out(F.silu(self.norm(h)))  # (b, 1, 28, 28)


# %% [markdown]
# The layers are made in the package's order, so you can copy the shipped weights one tensor after the other. All that follows runs your code with these weights.

# %%
def trained():
    """Your network with the shipped weights."""
    network = RebuiltUNet().eval().requires_grad_(False)
    for yours, theirs in zip(network.parameters(), shipped.parameters(), strict=True):
        yours.copy_(theirs.detach())
    return network


network = trained()
parts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
for name, count in parts.items():
    print(f"{name:<12}{count:>9,}")
print(f"{'in all':<12}{sum(parts.values()):>9,}")

# %% [markdown]
# Most weights sit where the image is smallest, because there are the most channels. Each of them is used at 49 places only.
#
# ## By hand
#
# The embedding of $t = 100$ with $d = 4$ has two waves, of frequencies $10000^0 = 1$ and $10000^{-1/2} = 0.01$. Their angles at $t = 100$ are 100 and 1.

# %% tags=["worked-example"]
by_hand = [math.sin(100), math.sin(1), math.cos(100), math.cos(1)]
print("embedding", [round(entry, 3) for entry in by_hand])
assert [round(entry, 3) for entry in by_hand] == [-0.506, 0.841, 0.862, 0.54]
assert torch.allclose(rebuilt_embedding(torch.tensor([100]), 4)[0], torch.tensor(by_hand))

# %% [markdown]
# A convolution has 9 weights for each pair of channels, and one bias for each channel that goes out. Count them in `decoder_14`: two norms, two convolutions, the time layer and the shortcut.

# %% tags=["worked-example"]
norms = 2 * 96 + 2 * 48
convolutions = (9 * 96 + 1) * 48 + (9 * 48 + 1) * 48
time_layer = (64 + 1) * 48
shortcut = (96 + 1) * 48
total = norms + convolutions + time_layer + shortcut
print(norms, "+", convolutions, "+", time_layer, "+", shortcut, "=", total)
assert total == 70368 == parts["decoder_14"]

# %% [markdown]
# How far does the encoder see? The **receptive field** is the square of input pixels on which one output can depend. It starts at 1. Each 3 × 3 convolution adds twice the distance of two neighbours, measured in input pixels. Halving doubles this distance.

# %% tags=["worked-example"]
field = {28: 1 + 2 + 2 + 2}  # the stem and two convolutions of encoder_28
field[14] = field[28] + 2 + 4 + 4  # down_14, then two convolutions at distance 2
field[7] = field[14] + 4 + 8 + 8  # down_7, then two convolutions at distance 4
print(field)
assert field == {28: 7, 14: 17, 7: 37}

# %% [markdown]
# At 28 × 28 an output sees a patch of 7 pixels. At 7 × 7 the convolutions alone already see more than the 28 pixels there are.
#
# ## Believe it
#
# **The embedding.** The inner product should depend only on the distance of two times. Compare it with the sum of cosines for 500 pairs.

# %%
t, s = torch.randint(1, 1001, (2, 500), generator=generator)  # two of (500,)
product = (rebuilt_embedding(t, 64) * rebuilt_embedding(s, 64)).sum(1)  # (500,)
frequency = 10_000.0 ** (-torch.arange(32, dtype=torch.float64) / 32)
expected = (frequency * (t - s)[:, None]).cos().sum(1)  # (500, 32) -> (500,)
assert (product - expected).abs().max() < 1e-4  # float32 sums of 64 terms of size 1

# %% jupyter={"source_hidden": true}
figure, ((axis,),) = new_figure(1, 1, height=2.3)
for time, colour in ((100, INK), (500, GREY)):
    product = embedding @ embedding[time] / 32
    axis.plot(times.numpy(), product.numpy(), color=colour, linewidth=1.2)
    axis.text(time + 18, 0.97, f"with $t = {time}$", color=colour)
axis.set(xlabel="time", ylabel="inner product / 32", ylim=(0, 1.05), xlim=(0, 1000))
show(
    figure,
    "Divided by 32, the inner product is 1 for equal times; it falls with the distance, "
    "in the same way around t = 100 and t = 500.",
)

# %% [markdown]
# **The receptive field.** Automatic differentiation needs no counting: the gradient of one output is zero at each pixel that the output does not see.

# %%
def measured_field(strides):
    """How many columns of pixels reach one output through 3 x 3 convolutions."""
    image = torch.zeros(1, 1, 96, 96, requires_grad=True)
    h = image
    for stride in strides:
        h = F.conv2d(h, torch.ones(1, 1, 3, 3), stride=stride, padding=1)
    h[0, 0, h.shape[2] // 2, h.shape[3] // 2].backward()
    return int((image.grad[0, 0].sum(0) > 0).sum())


strides = {28: [1, 1, 1], 14: [1, 1, 1, 2, 1, 1], 7: [1, 1, 1, 2, 1, 1, 2, 1, 1]}
assert field == {size: measured_field(strides[size]) for size in field}

# %% [markdown]
# **The first loss.** A fresh network predicts 0, so its loss on $n$ noise values is a mean of $n$ squares of normal draws. Its standard deviation is $\sqrt{2/n}$. The first loss must lie within 4 of these of 1. The cell also shows two wrong starts: noise from `rand` instead of `randn`, and a last layer that does not start at zero.

# %%
torch.manual_seed(0)
fresh, images = RebuiltUNet(), held_out[:100]
normal, uniform = torch.randn_like(images), torch.rand_like(images)
first = simple_loss(fresh, images, schedule, noise=normal, generator=generator).item()
with_rand = simple_loss(fresh, images, schedule, noise=uniform, generator=generator).item()
fresh.out.reset_parameters()  # PyTorch's usual random start
random_start = simple_loss(fresh, images, schedule, noise=normal, generator=generator).item()
print(f"first loss {first:.2f}; with rand {with_rand:.2f}; from a random layer {random_start:.2f}")
assert abs(first - 1) < 4 * math.sqrt(2 / images.numel())

# %% [markdown]
# **GroupNorm.** Take one digit at $t = 100$ through the stem. Normalise it in the company of seven digits at $t = 1$, then of the same seven at $t = 1000$. Its own values should not depend on the company.

# %%
digit, _ = forward_diffusion(held_out[:1], 100, schedule, generator=generator)
seven = [forward_diffusion(held_out[1:8], t, schedule, generator=generator)[0] for t in (1, 1000)]
batches = [network.stem(torch.cat([digit, company])) for company in seven]  # two of (8, 16, 28, 28)
moved = []
for norm in (nn.GroupNorm(8, 16), nn.BatchNorm2d(16)):
    moved.append((norm(batches[0])[0] - norm(batches[1])[0]).abs().mean().item())
    print(f"{type(norm).__name__}: the digit's values move by {moved[-1]:.1f} on average")
assert moved[0] < 1e-5 and moved[1] > 0.1

# %% [markdown]
# ## What the skips and the time do
#
# Now take parts away from the trained network, and measure the squared error $\|{\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}\|^2$ per pixel on held-out digits. *No skip* means that zeros take the encoder's place in the join. *Time fixed* means that the network is given $t = 500$ for every image. The network was trained with these parts, so you see what it relies on. A network trained without them may find another way.

# %%
def without_skip(size):
    net = trained()
    net.join = lambda h, skip: join(h, 0 * skip if skip.shape[-1] == size else skip)
    return net


def fixed_time(x_t, t):
    return network(x_t, torch.full_like(t, 500))


@torch.inference_mode()
def error(net, t):
    generator = torch.Generator().manual_seed(t)  # the same noise for every network
    return simple_loss(net, held_out[:40], schedule, t=t, generator=generator).item()


# %%
grid = [1, 10, 30, 60, 100, 200, 300, 500, 700, 1000]
variants = {f"no skip at {size}": without_skip(size) for size in (28, 14, 7)}
variants |= {"time fixed at 500": fixed_time, "as trained": network}
errors = {name: [error(net, t) for t in grid] for name, net in variants.items()}
mean = {name: sum(values) / len(grid) for name, values in errors.items()}
for name, value in mean.items():
    print(f"{name:<18} mean error {value:.2f}")
assert mean["no skip at 7"] < 1.5 * mean["as trained"] < mean["no skip at 14"]
assert mean["no skip at 28"] > 2 * mean["no skip at 14"]
assert mean["time fixed at 500"] > 1.5 * mean["as trained"]
assert abs(errors["time fixed at 500"][7] - errors["as trained"][7]) < 1e-5  # at t = 500

# %% jupyter={"source_hidden": true}
styles = {"no skip at 28": "--", "no skip at 14": ":", "time fixed at 500": "-.", "as trained": "-"}
clean = held_out[[0, 1, 4, 7]]
noisy, _ = forward_diffusion(clean, 200, schedule, generator=torch.Generator().manual_seed(5))
figure, page = canvas(4.3)  # inches
curves = figure.add_axes((0.65 / 7, 2.25 / 4.3, 5.0 / 7, 2.0 / 4.3))
for place, name in enumerate(["$x_t$ at $t = 200$", *styles]):
    images, colour = noisy, COLOURS["noisy"]
    if name in variants:
        with torch.inference_mode():
            predicted = variants[name](noisy, torch.full((4,), 200))
        images = x0_from_noise(noisy, 200, predicted, schedule)
        colour = COLOURS["network"] if name == "as trained" else INK
        curves.plot(grid, errors[name], styles[name], color=colour)
        curves.text(1015, errors[name][-1], name, color=colour, va="center")
    left = 0.1 + 1.39 * place
    page.text(left, 1.5, name, color=colour)
    for number, image in enumerate(images):
        x, y = left + 0.65 * (number % 2), 0.75 - 0.65 * (number // 2)
        draw_image(page, image, extent=(x, x + 0.6, y + 0.05, y + 0.65))
curves.set(yscale="log", xlabel="time $t$ of the image", ylabel="squared error per pixel")
curves.set(xlim=(0, 1000))
show(
    figure,
    "Without the skip at 28 x 28 the error is large at every time, and with a fixed t = 500 it is "
    "small only near t = 500; below, the clean digits that the predictions at t = 200 imply.",
)

# %% [markdown]
# The skip at 7 × 7 is hardly missed, because the middle that it bypasses keeps the size. The skip at 28 × 28 carries what no smaller map can hold. With the wrong time, noise stays in the picture.
#
# ### With and without the time
#
# Must a denoiser be given $t$ at all? Suppose that the pixels of an image are independent draws from $\mathcal N(0, \tfrac12)$. The best guess of the noise is then known exactly, with $t$ and without it, and so is its squared error. The folded cell computes it.

# %% jupyter={"source_hidden": true}
def least_losses(pixels, schedule):
    """The least loss per pixel of such images when t is known, and when it is not.

    x_t has variance v_t = alpha_bar_t / 2 + 1 - alpha_bar_t in each pixel. With t known, the best
    guess is sqrt(1 - alpha_bar_t) / v_t times x_t. Without t, this factor is averaged over the
    posterior of t. An image says of t only what its mean square says, which has a Gamma density.
    """
    alpha_bar = schedule.alpha_bar[1:]  # (T,)
    variance = alpha_bar / 2 + 1 - alpha_bar
    factor = (1 - alpha_bar).sqrt() / variance
    square = torch.linspace(0, 16, 4001, dtype=torch.float64)[1:, None]  # (4000, 1)
    gamma = torch.distributions.Gamma(pixels / 2, pixels / (2 * variance))
    log_density = gamma.log_prob(square)  # (4000, T)
    blurred = (log_density.softmax(1) * factor).sum(1, keepdim=True)  # (4000, 1)
    excess = (log_density.exp() * (factor - blurred) ** 2 * square).mean(1).sum() * 0.004
    known = (alpha_bar / 2 / variance).mean()
    return known.item(), (known + excess).item()


losses = {pixels: least_losses(pixels, schedule) for pixels in (1, 16, 784)}
print("pixels   least loss with t   without t")
for pixels, (known, unknown) in losses.items():
    print(f"{pixels:>6}   {known:.4f}              {unknown:.4f}")
assert losses[1][1] > 1.1 * losses[1][0] and losses[784][1] < 1.01 * losses[784][0]

# %% [markdown]
# A single pixel says little about $t$, so not knowing $t$ raises the least loss by more than a tenth. An image of 784 pixels says nearly everything, and the loss rises by less than 1%. Giving $t$ to the network spares it the work of reading it off the pixels.

# %% [markdown]
# ## Same as the package
#
# The package's `UNet` takes its sizes from a frozen `UNetConfig`, and loops over them. Otherwise it is what you built. Its `classes` is for [lesson 10](10_guidance.ipynb). Its `patch` and `residual` save time in [lesson 07](07_training.ipynb).

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("05", globals())

# %% [markdown]
# ## Play
#
# What does the network do with a wrong time? The digits below are noised to $t = 200$. Move the time that the network is given. If it is too small, does noise stay in, or is ink taken away? And if it is too large?

# %% jupyter={"source_hidden": true}
x_t, noise = forward_diffusion(
    held_out[:8], 200, schedule, generator=torch.Generator().manual_seed(5)
)
given_grid = [1, 50, 100, 150, 200, 250, 300, 400, 500, 700, 1000]
with torch.inference_mode():
    given_error = [F.mse_loss(network(x_t, torch.full((8,), t)), noise).item() for t in given_grid]


def draw_given(given):
    with torch.inference_mode():
        predicted = network(x_t, torch.full((8,), given))
    estimate = x0_from_noise(x_t, 200, predicted, schedule)
    loss = F.mse_loss(predicted, noise).item()
    figure, axes = new_figure(2, 2, height=3.0, width_ratios=[3, 2.2])
    draw_image(axes[0, 0], in_a_row(x_t[:3]), "$x_t$, $t = 200$", COLOURS["noisy"])
    draw_image(axes[1, 0], in_a_row(estimate[:3]), r"$\hat x_0$", COLOURS["network"])
    axes[1, 1].remove()
    curve = axes[0, 1]
    curve.set_subplotspec(curve.get_gridspec()[:, 1])
    curve.plot(given_grid, given_error, color=COLOURS["network"])
    curve.plot([given], [loss], "o", color=INK)
    curve.set(xlabel="time given to the network", ylabel="squared error per pixel", ylim=(0, None))
    caption = f"Given t = {given} for digits at t = 200, the squared error is {loss:.2f} per pixel."
    return figure, caption


# %%
play(draw_given, given=ipywidgets.IntSlider(200, 1, 1000, description="given t"))

# %% [markdown]
# <details><summary>What you should see</summary>
#
# Given a time that is too small, the network names too much noise. The specks come back inverted, dark for bright. Given a time that is too large, it names too little and takes ink along. Noise stays, and the contrast falls.
# </details>

# %% [markdown]
# ## Mistakes people make
#
# **1. The time is counted from 0.** Many libraries call the first noisy time 0. Feed their $t$ to a network trained on $1, \ldots, T$, and it sees a time that is too small by one.

# %%
some_t = (1, 2, 5, 20, 100)
ratios = [error(lambda x, t: network(x, t - 1), t) / error(network, t) for t in some_t]
for t, ratio in zip(some_t, ratios):
    print(f"t = {t:>3}: {ratio:.2f} times the error")
assert ratios[1] > 1.05 and abs(ratios[-1] - 1) < 0.02  # at t = 2 and t = 100

# %% [markdown]
# This mistake hides: it costs something at the first few times, where the noise grows fastest in proportion, and nothing later. So the package checks the range, and refuses $t = 0$ wherever a step is meant.
#
# **2. The embedding of $t/T$ instead of $t$.** Some networks take a time between 0 and 1, but this embedding does not suit it. From $t = 1$ to $t = T$ the fastest wave then turns by one radian, and the others hardly turn. How alike are two embeddings, if 1 means equal?

# %%
for name, unit in (("t", 1), ("t / T", schedule.T)):
    first, middle, near, last = rebuilt_embedding(torch.tensor([1, 500, 510, 1000]) / unit, 64)
    alike = [(middle @ near / 32).item(), (first @ last / 32).item()]
    print(f"{name:<5} 500 and 510: {alike[0]:.3f}   1 and 1000: {alike[1]:.3f}")
assert alike[0] > 0.999 and alike[1] > 0.95
print(f"degrees that the fastest wave turns: {math.degrees(999 / 1000):.0f}")
assert error(lambda x_t, t: network(x_t, t / 1000), 400) > 10 * error(network, 400)

# %% [markdown]
# With $t/T$ the first and the last time look almost the same, and near times can hardly be told apart. A network that was trained with $t$ then makes more than 10 times the error at $t = 400$.
#
# **3. The halves of a join are swapped.** The shapes fit, and a network trained that way would be fine. But these weights were trained the other way round.

# %%
swapped = trained()
swapped.join = lambda h, skip: join(skip, h)
right, wrong = error(network, 200), error(swapped, 200)
print(f"error at t = 200: {right:.2f} as trained, swapped more than 0.3: {wrong > 0.3}")
assert wrong > 0.3 > right

# %% [markdown]
# **4. A size that fits is taken for a size that works.** 30 pixels halve to 15, and 15 to 8, rounded up. Doubled again that is 16, but the skip has 15. The package refuses such an image at once. 32 × 32 fits.

# %%
for side in (30, 32):
    try:
        answer = shipped(torch.zeros(1, 1, side, side), torch.tensor([1]))
        print(f"{side} x {side}: shape {tuple(answer.shape)}")
    except ValueError as problem:
        print("ValueError:", problem)
assert answer.shape == (1, 1, 32, 32)

# %% [markdown]
# But does the network draw digits at that size? [Lesson 06](06_sampler.ipynb) explains how to sample, and [lesson 09](09_ddim.ipynb) how to do it in 25 steps. Here just look at what comes out.

# %% jupyter={"source_hidden": true}
from minddpm import respaced, sample

few, shorter = respaced(shipped, schedule, 25)
figure, axes = new_figure(3, 9, height=2.5, width_ratios=[0.9] + [1] * 8)
for row, side in zip(axes, (28, 32, 40)):
    generator = torch.Generator().manual_seed(32)
    images = sample(few, (8, 1, side, side), shorter, generator=generator)
    row[0].set_axis_off()
    row[0].text(0, 0.5, f"{side} × {side}", va="center", transform=row[0].transAxes)
    for axis, image in zip(row[1:], images):
        draw_image(axis, image)
show(
    figure,
    "Drawn by the same network at three sizes: at 28 x 28 mostly digits, at 32 x 32 fewer, and at "
    "40 x 40 strokes that wander over the whole image.",
)

# %% [markdown]
# The strokes look right at every size. At 32 × 32 some of them form a digit and some do not, and at 40 × 40 hardly any do. So for another size, train on that size.

# %% [markdown]
# ## Check yourself
#
# <details><summary>The embedding has 64 entries. Why not use the 32 sines alone?</summary>
#
# A sine alone does not say where on the circle you are: sin(a) and sin(π − a) are equal. With the cosine, the inner product of two embeddings depends only on the distance of the times. Without it, it does not.
# </details>
#
# <details><summary>The first loss of your training run is 1.00. Your friend's is 0.33. Whose code has a bug?</summary>
#
# Your friend's. With a zero output the first loss is the mean square of the noise, and 1 for standard normal noise. One third is the mean square of numbers drawn uniformly from [0, 1]: the code calls <code>rand</code> in place of <code>randn</code>.
# </details>
#
# <details><summary>In <em>Play</em>, given a time near 1000, the network returns a fainter noisy image. Why?</summary>
#
# At t = 1000 an image is almost nothing but noise, so the right answer there is nearly the image itself. The network gives that answer, and ink and noise are taken away in the same proportion.
# </details>
#
# **Look it up:** [questions about the network](../docs/questions.md#the-network), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [05 · U-Net](../exercises/05_unet.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [06 · Sampler](06_sampler.ipynb) puts the network in a loop, and digits come out.
