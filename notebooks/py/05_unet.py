# %% [markdown]
# # 05 · The network that predicts the noise
#
# *You will*
# - turn a time $t$ into a vector that a network can use, and see why one number is not enough;
# - build a U-Net from four small parts: a block that is told the time, attention, halving, and skips;
# - take its parts away one at a time, and read off the error what each of them does.
#
# *You need* the jump to $\mathbf{x}_t$ ([02 Noising](02_noising.ipynb)) and the loss ([04 Loss](04_loss.ipynb)).
#
# *It takes* 25 minutes to read and about 20 seconds to run.

# %%
import torch
import torch.nn.functional as F
from torch import nn

from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm.loss import simple_loss
from minddpm.noising import forward_diffusion, x0_from_noise
from minddpm.schedule import time_index
from minddpm_course.diagrams import unet_diagram
from minddpm_course.figures import COLOURS, GREY, draw_image, new_figure, show

shipped, schedule, _ = load_pretrained("mnist")  # weights that the package ships, trained on 4,500 digits
held_out, _ = load_mnist("test")  # 500 digits that it never saw, (500, 1, 28, 28), in [-1, 1]

# %% [markdown]
# ## The idea in a picture
#
# The loss of [lesson 04](04_loss.ipynb) asks for one thing: a function that takes a noisy image and its time, and gives back the
# noise in it. It is written ${\color{#008561}{\boldsymbol{\epsilon}_\theta}}({\color{#B3528C}{\mathbf{x}_t}}, t)$, where $\theta$
# stands for all its weights. Ho et al. use a **U-Net** for it (appendix B of the paper). Here is the one that this course
# trained. The boxes are its layers, with the shapes that one digit has on its way through.

# %%
show(
    unet_diagram(shipped, (1, 28, 28)),
    "The image goes down through three sizes and up again; at each size a skip carries the details straight across, "
    "and the time t reaches every block.",
)

# %% [markdown]
# ## The derivation
#
# **What goes in and out.** The noise has the shape of the image. So the network maps 28 × 28 pixels to 28 × 28 pixels.
#
# **Why convolutions.** A stroke looks the same wherever it is written. A **convolution** uses one small set of weights at every
# place: each output is a weighted sum of the 3 × 3 inputs around it. The number of such sums kept side by side is the number of **channels**.
#
# **Why several sizes.** To know whether a grey pixel is noise or ink, you look at its neighbours. To know whether a stroke
# belongs there at all, you look at the whole digit. A stack of 3 × 3 convolutions sees one pixel further for each layer. If the
# image is halved in between, each layer sees twice as far. The **encoder** halves 28 to 14 and 14 to 7. The **decoder** goes back.
#
# **Why skips.** The noise is different at every pixel, and the network must name it at every pixel. A 7 × 7 map cannot hold
# that. So the encoder's output at each size is also handed straight to the decoder at the same size. This hand-over is a **skip connection**.
#
# **Why the time.** The same ${\color{#B3528C}{\mathbf{x}_t}}$ needs another answer at another $t$. A grey speck at small $t$, where the noise is
# faint, must be ink; at large $t$ it is most likely noise. The network must be told $t$. The plain number is a poor input: its values reach from 1 to 1,000, and a
# layer that multiplies it by one weight can only rise or fall in equal steps. It cannot mark out some of the times. You want a vector in which near times are alike, far times differ, and no entry is large.
#
# Take one wave with frequency $\omega$. The pair $(\sin \omega t, \cos \omega t)$ is a point on a circle. It stays in $[-1, 1]$.
# Later by $\Delta$ means turned by the angle $\omega \Delta$, whatever $t$ was. But the circle closes: $t$ and $t + 2\pi/\omega$
# are the same point. A fast wave tells neighbours apart and repeats soon; a slow wave does not repeat and hardly tells
# neighbours apart. So take many, from fast to slow, each slower than the last by one factor:
#
# $$
# \omega_i = 10000^{-i / (d/2)}, \quad i = 0, \ldots, d/2 - 1, \qquad
# \operatorname{emb}(t) = (\sin \omega_0 t, \ldots, \sin \omega_{d/2-1} t, \; \cos \omega_0 t, \ldots, \cos \omega_{d/2-1} t).
# $$
#
# This is the **timestep embedding** (Vaswani et al. 2017, section 3.5), of length $d$: all sines, then all cosines. The inner
# product of two embeddings is, by $\cos a \cos b + \sin a \sin b = \cos(a - b)$,
#
# $$
# \operatorname{emb}(t) \cdot \operatorname{emb}(s) = \sum_i \cos \omega_i (t - s).
# $$
#
# It depends on the distance of the two times and on nothing else.
#
# **Where the time enters.** Two small layers turn the embedding into 64 features. In every block, one more layer turns these
# into one number per channel, and adds it to that channel at every pixel. That shifts the input of the block's second half: what it lets pass
# now depends on $t$.
#
# **Why residual blocks.** A block computes $\mathbf{h} + f(\mathbf{h}, t)$: it adds to its input rather than replacing it. If the last layer
# of $f$ starts with zero weights, each block begins by adding nothing to its shortcut, and a deep stack is no harder to start than a shallow one.
# The network's own last layer starts at zero as well. Its first prediction is therefore exactly 0, and its first loss is the mean of
# ${\color{#C05500}{\boldsymbol{\epsilon}}}^2$, the variance of standard normal noise: 1.
#
# **Why attention.** At 7 × 7, each of the 49 places may look at all the others. A place sends out a **query** $\mathbf{q}$, and
# every place offers a **key** $\mathbf{k}$ and a **value** $\mathbf{v}$. The answer is the average of the values, weighted by how well the keys match
# the query (Vaswani et al. 2017, eq. 1, with $c$ channels):
#
# $$
# \operatorname{attention}(\mathbf{q}, \mathbf{K}, \mathbf{V}) = \operatorname{softmax}\left(\mathbf{q} \mathbf{K}^\top / \sqrt{c}\right) \mathbf{V}.
# $$
#
# The cost grows as the square of the number of places. That is why it sits at the smallest size.
#
# **Why GroupNorm.** Layers train well when their inputs have mean near 0 and variance near 1. **GroupNorm** brings them there by the mean and
# variance of a group of channels *of one image*. Batch normalisation would use the mean and variance over all images of the
# batch. Here those images have different times, hence different amounts of noise, and one would change the other's answer.

# %% [markdown]
# ## Rebuild it
#
# First the embedding. One row for each time.

# %%
def rebuilt_embedding(t, dim):
    half = dim // 2
    frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)  # (dim/2,), from 1 down
    angle = t.double()[:, None] * frequency[None, :]  # (b, 1) * (1, dim/2) -> (b, dim/2)
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()  # (b, dim)


times = torch.arange(0, 1001)
embedding = rebuilt_embedding(times, 64)  # (1001, 64)

figure, axes = new_figure(1, 2, height=2.9, width_ratios=[1.5, 1])
axes[0, 0].imshow(embedding.T.numpy(), aspect="auto", vmin=-1, vmax=1, cmap="RdBu_r", extent=(0, 1000, 64, 0))
axes[0, 0].axhline(32, color="black", linewidth=1)
axes[0, 0].set(xlabel="time t", ylabel="entry of the embedding", yticks=[0, 16, 32, 48, 64])
for y, word in ((27, "sines"), (59, "cosines")):
    axes[0, 0].text(985, y, word, ha="right", va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
for place, i in enumerate((8, 14, 20)):
    axes[0, 1].plot(times.numpy(), (embedding[:, i] - 2.6 * place).numpy(), color=COLOURS["network"])
    axes[0, 1].text(1020, -2.6 * place, f"entry {i}", va="center")
axes[0, 1].set(xlabel="time t", yticks=[], xlim=(0, 1000))
axes[0, 1].spines["left"].set_visible(False)
show(figure, "Each column on the left is the embedding of one time; entries further down in each half turn more slowly, as the three waves on the right show.")

slowest = 2 * torch.pi * 10_000 ** (31 / 32)
print(f"the fastest wave repeats after {2 * torch.pi:.1f} steps, the slowest after {slowest:,.0f}")
assert slowest > schedule.T

# %% [markdown]
# The slowest wave needs far more than the 1,000 steps to repeat. So no two times share an embedding.
#
# Next the **residual block**. SiLU is the function $x / (1 + e^{-x})$: nearly 0 for very negative $x$, nearly $x$ for large $x$.
# The comments give shapes; $b$ is the batch, $c$ the channels that come in, $k$ those that go out.

# %%
class RebuiltBlock(nn.Module):
    def __init__(self, c, k):
        super().__init__()
        self.norm_in = nn.GroupNorm(8, c)
        self.conv_in = nn.Conv2d(c, k, 3, padding=1)
        self.time = nn.Linear(64, k)
        self.norm_out = nn.GroupNorm(8, k)
        self.conv_out = nn.Conv2d(k, k, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)  # the block begins by adding nothing
        nn.init.zeros_(self.conv_out.bias)
        self.shortcut = nn.Identity() if c == k else nn.Conv2d(c, k, 1)

    def forward(self, x, time_features):
        h = self.conv_in(F.silu(self.norm_in(x)))  # (b, c, h, w) -> (b, k, h, w)
        h = h + self.time(time_features)[:, :, None, None]  # (b, k, 1, 1): one number per channel, the same at every pixel
        h = self.conv_out(F.silu(self.norm_out(h)))  # (b, k, h, w)
        return self.shortcut(x) + h  # (b, k, h, w)


# %% [markdown]
# **Attention**, with the softmax in the open.

# %%
class RebuiltAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.GroupNorm(8, c)
        self.query_key_value = nn.Conv2d(c, 3 * c, 1)
        self.out = nn.Conv2d(c, c, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x):
        b, c, height, width = x.shape
        places = self.query_key_value(self.norm(x)).flatten(2).transpose(1, 2)  # (b, h w, 3 c)
        q, k, v = places.split(c, dim=2)  # three of (b, h w, c)
        weights = (q @ k.transpose(1, 2) / c**0.5).softmax(dim=2)  # (b, h w, h w), each row sums to 1
        h = (weights @ v).transpose(1, 2).reshape(b, c, height, width)  # (b, c, h, w)
        return x + self.out(h)  # (b, c, h, w)


# %% [markdown]
# The **skip join** puts two maps of one size side by side as channels, the decoder's first.

# %%
def join(h, skip):
    return torch.cat([h, skip], dim=1)  # (b, k, h, w) and (b, k, h, w) -> (b, 2 k, h, w)


# %% [markdown]
# And the whole **U-Net**, with no loops: read `forward` beside the picture above.

# %%
class RebuiltUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.encoder_28, self.encoder_14, self.encoder_7 = RebuiltBlock(16, 16), RebuiltBlock(48, 48), RebuiltBlock(96, 96)
        self.down_14, self.down_7 = nn.Conv2d(16, 48, 3, stride=2, padding=1), nn.Conv2d(48, 96, 3, stride=2, padding=1)
        self.middle_in, self.attention, self.middle_out = RebuiltBlock(96, 96), RebuiltAttention(96), RebuiltBlock(96, 96)
        self.decoder_7, self.decoder_14, self.decoder_28 = RebuiltBlock(192, 96), RebuiltBlock(96, 48), RebuiltBlock(32, 16)
        self.up_14, self.up_28 = nn.Conv2d(96, 48, 1), nn.Conv2d(48, 16, 1)
        self.norm = nn.GroupNorm(8, 16)
        self.out = nn.Conv2d(16, 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)  # the first prediction is 0
        nn.init.zeros_(self.out.bias)
        self.join = join

    def forward(self, x_t, t):
        time = self.time(rebuilt_embedding(t, 64))  # (b,) -> (b, 64)
        skip_28 = self.encoder_28(self.stem(x_t), time)  # (b, 1, 28, 28) -> (b, 16, 28, 28)
        skip_14 = self.encoder_14(self.down_14(skip_28), time)  # (b, 48, 14, 14)
        skip_7 = self.encoder_7(self.down_7(skip_14), time)  # (b, 96, 7, 7)
        h = self.middle_out(self.attention(self.middle_in(skip_7, time)), time)  # (b, 96, 7, 7)
        h = self.decoder_7(self.join(h, skip_7), time)  # (b, 192, 7, 7) -> (b, 96, 7, 7)
        h = F.interpolate(self.up_14(h), scale_factor=2.0)  # (b, 48, 14, 14): each pixel becomes four
        h = self.decoder_14(self.join(h, skip_14), time)  # (b, 96, 14, 14) -> (b, 48, 14, 14)
        h = F.interpolate(self.up_28(h), scale_factor=2.0)  # (b, 16, 28, 28)
        h = self.decoder_28(self.join(h, skip_28), time)  # (b, 32, 28, 28) -> (b, 16, 28, 28)
        return self.out(F.silu(self.norm(h)))  # (b, 1, 28, 28)


# %% [markdown]
# The layers are made in the same order as the package makes its own. So you can copy the shipped weights into your network, one
# tensor after the other. All that follows, down to *Same as the package*, runs your code with these weights.

# %%
def copy_weights(source, target):
    pairs = list(zip(source.parameters(), target.parameters(), strict=True))
    with torch.no_grad():
        for theirs, yours in pairs:
            assert theirs.shape == yours.shape
            yours.copy_(theirs)


network = RebuiltUNet().eval().requires_grad_(False)
copy_weights(shipped, network)

parts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
for name, count in parts.items():
    print(f"{name:<12}{count:>9,}")
print(f"{'in all':<12}{sum(parts.values()):>9,}")

# %% [markdown]
# Most weights sit where the image is smallest, because the channels are many there. Each of them is used at 49 places only.

# %% [markdown]
# ## By hand
#
# The embedding of $t = 100$ with $d = 4$. There are two waves, with frequencies $10000^0 = 1$ and $10000^{-1/2} = 0.01$.

# %% tags=["worked-example"]
import math

frequency = [10_000 ** (-i / 2) for i in (0, 1)]
angle = [100 * w for w in frequency]
by_hand = [math.sin(angle[0]), math.sin(angle[1]), math.cos(angle[0]), math.cos(angle[1])]
print("frequencies", [round(w, 2) for w in frequency])
print("angles     ", [round(a, 2) for a in angle])
print("embedding  ", [round(e, 3) for e in by_hand])
assert [round(w, 2) for w in frequency] == [1, 0.01]
assert [round(e, 3) for e in by_hand] == [-0.506, 0.841, 0.862, 0.54]
assert torch.allclose(rebuilt_embedding(torch.tensor([100]), 4)[0], torch.tensor(by_hand), atol=1e-6)

# %% [markdown]
# One output of a 3 × 3 convolution: multiply place by place, add up, add the bias. The weights here respond to a vertical edge.

# %% tags=["worked-example"]
patch = torch.tensor([[-1.0, 0.2, 0.8], [-1.0, 0.4, 0.9], [-1.0, 0.1, 0.7]])  # dark on the left, bright on the right
weight = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
rows = [(patch[i] * weight[i]).sum().item() for i in range(3)]
output = sum(rows) + 0.1  # the bias is 0.1
print("the rows add", [round(r, 4) for r in rows])
print("output", round(output, 4))
assert [round(r, 4) for r in rows] == [0.225, 0.475, 0.2125]
assert round(output, 4) == 1.0125
assert abs(F.conv2d(patch[None, None], weight[None, None], torch.tensor([0.1])).item() - output) < 1e-6

# %% [markdown]
# The number of weights of a convolution: 9 for each pair of channels, and one bias for each channel that goes out. The
# second block of the decoder, by hand: two norms, two convolutions, the time layer, the shortcut.

# %% tags=["worked-example"]
norms = 2 * 96 + 2 * 48
convolutions = (9 * 96 + 1) * 48 + (9 * 48 + 1) * 48
time_layer = (64 + 1) * 48
shortcut = (96 + 1) * 48
print(norms, "+", convolutions, "+", time_layer, "+", shortcut, "=", norms + convolutions + time_layer + shortcut)
assert (norms, convolutions, time_layer, shortcut) == (288, 62304, 3120, 4656)
assert norms + convolutions + time_layer + shortcut == parts["decoder_14"]

# %% [markdown]
# ## Believe it
#
# **The embedding.** The inner product of two embeddings should depend on the distance of their times alone. Compare it with the sum of
# cosines, for 500 random pairs, and draw it.

# %%
generator = torch.Generator().manual_seed(5)
t, s = torch.randint(1, 1001, (2, 500), generator=generator)  # two of (500,)
frequency = 10_000.0 ** (-torch.arange(32, dtype=torch.float64) / 32)
product = (rebuilt_embedding(t, 64) * rebuilt_embedding(s, 64)).sum(1)
expected = (frequency * (t - s)[:, None]).cos().sum(1)
assert (product - expected).abs().max() < 1e-4, "float32 sums of 64 terms of size 1"

figure, axes = new_figure(1, 1, height=2.3)
for time, colour in ((100, COLOURS["network"]), (500, GREY)):
    axes[0, 0].plot(times.numpy(), (embedding @ embedding[time] / 32).numpy(), color=colour)
    axes[0, 0].text(time + 18, 0.97, f"with t = {time}", color=colour)
axes[0, 0].set(xlabel="time", ylabel="likeness, 1 = same", ylim=(0, 1.05))
show(figure, "The likeness of two embeddings falls with the distance of their times, in the same way around t = 100 and t = 500.")

# %% [markdown]
# **Attention.** An average over places can be written as a plain loop. It gives the same.

# %%
attention = network.attention
x = torch.randn(1, 96, 7, 7, generator=generator)
q, k, v = attention.query_key_value(attention.norm(x))[0].flatten(1).T.split(96, dim=1)  # three of (49, 96)
slow = torch.zeros(49, 96)
for place in range(49):
    scores = [math.exp(float(q[place] @ k[other]) / math.sqrt(96)) for other in range(49)]
    for other in range(49):
        slow[place] += scores[other] / sum(scores) * v[other]
slow = x + attention.out(slow.T.reshape(1, 96, 7, 7))
assert torch.allclose(attention(x), slow, atol=1e-4)
print("the loop agrees:", torch.allclose(attention(x), slow, atol=1e-4))


# %% [markdown]
# **The receptive field** is the square of input pixels that one output can depend on. Count it: start at 1; a 3 × 3 convolution adds 2 times the
# distance of two neighbours, counted in input pixels; halving doubles that distance. The oracle is automatic differentiation: the gradient of one output
# is zero at every pixel that it does not see. (Norms and attention look at the whole map. They are taken out for the count.)

# %%
def count_field(layers):
    field, distance = 1, 1
    for stride in layers:
        field += 2 * distance
        distance *= stride
    return field


def measured_field(levels):
    bare = RebuiltUNet()
    copy_weights(shipped, bare)
    for block in (bare.encoder_28, bare.encoder_14, bare.encoder_7):
        block.norm_in = block.norm_out = nn.Identity()
    image = torch.zeros(1, 1, 96, 96, requires_grad=True)
    features = bare.time(rebuilt_embedding(torch.tensor([300]), 64))
    h = bare.encoder_28(bare.stem(image), features)
    for down, block in [(bare.down_14, bare.encoder_14), (bare.down_7, bare.encoder_7)][:levels]:
        h = block(down(h), features)
    h[0, :, h.shape[2] // 2, h.shape[3] // 2].abs().sum().backward()
    seen = image.grad[0, 0].abs().sum(0) > 0  # columns with any influence
    return int(seen.sum())


block = [1, 1]
at_28 = [1] + block
at_14 = at_28 + [2] + block
at_7 = at_14 + [2] + block
for size, layers, levels in ((28, at_28, 0), (14, at_14, 1), (7, at_7, 2)):
    counted, measured = count_field(layers), measured_field(levels)
    print(f"after the encoder's block at {size} x {size}: counted {counted}, measured {measured}")
    assert counted == measured

# %% [markdown]
# At 7 × 7 a place in the middle of the encoder already sees more than the 28 pixels there are. At 28 × 28 it sees a patch of 7 pixels.
#
# **The first loss.** A fresh network predicts 0. Its loss on $n$ noise values is a mean of $n$ squares of normal draws, whose standard deviation
# is $\sqrt{2/n}$. The loss should lie within 4 of these of 1. With an ordinary last layer it starts anywhere, and you could not check it.

# %%
@torch.inference_mode()
def first_loss(net):
    return simple_loss(net, held_out[:100], schedule, generator=torch.Generator().manual_seed(5)).item()


torch.manual_seed(0)
nets = [RebuiltUNet() for _ in range(6)]
zero = [first_loss(net) for net in nets]
for net in nets:
    net.out.reset_parameters()  # PyTorch's usual random start
ordinary = [first_loss(net) for net in nets]
allowed = 4 * math.sqrt(2 / held_out[:100].numel())
print("last layer zero:    ", *[f"{loss:.2f}" for loss in zero], f"  (allowed distance from 1: {allowed:.3f})")
print("last layer ordinary:", *[f"{loss:.2f}" for loss in ordinary])
assert all(abs(loss - 1) < allowed for loss in zero)
assert max(abs(loss - 1) for loss in ordinary) > 2 * allowed

# %% [markdown]
# **GroupNorm against batch normalisation.** Take one digit at $t = 100$. Normalise the stem's output of it, once in company of seven images at
# $t = 1000$ and once in company of seven at $t = 1$. Its own values should not depend on the company.

# %%
digit, _ = forward_diffusion(held_out[:1], 100, schedule, generator=generator)
noisy, _ = forward_diffusion(held_out[1:8], 1000, schedule, generator=generator)
clear, _ = forward_diffusion(held_out[1:8], 1, schedule, generator=generator)
changes = {}
for name, norm in (("GroupNorm", nn.GroupNorm(8, 16)), ("batch norm", nn.BatchNorm2d(16))):
    norm.train()
    with torch.no_grad():
        one = norm(network.stem(torch.cat([digit, noisy])))[0]
        other = norm(network.stem(torch.cat([digit, clear])))[0]
    changes[name] = (one - other).abs().mean().item()
    print(f"{name}: the digit's values move by {changes[name]:.1f} on average")
assert changes["GroupNorm"] < 1e-5 and changes["batch norm"] > 0.1


# %% [markdown]
# ### What the skips and the time do
#
# Now take parts away from the trained network, and measure the error $\|{\color{#C05500}{\boldsymbol{\epsilon}}} -
# {\color{#008561}{\boldsymbol{\epsilon}_\theta}}\|^2$ per pixel on digits it never saw. *Without a skip* means: the encoder's half of the join is
# filled with zeros. *Without the time* means: the network is told $t = 500$ whatever the image is. The network was trained with these
# parts. So this shows what it relies on, not what a network would reach that never had them.

# %%
grid = [1, 10, 30, 60, 100, 200, 300, 500, 700, 1000]
digits = held_out[:40]


def without_skips(*sizes):
    net = RebuiltUNet().eval().requires_grad_(False)
    copy_weights(shipped, net)
    net.join = lambda h, skip: join(h, torch.zeros_like(skip) if skip.shape[-1] in sizes else skip)
    return net


def without_time(x_t, t):
    return network(x_t, torch.full_like(t, 500))


@torch.inference_mode()
def error(net, t, images=digits):
    generator = torch.Generator().manual_seed(t)  # the same noise for every network
    return simple_loss(net, images, schedule, t=t, generator=generator).item()


variants = {
    "as trained": network,
    "no skip at 28": without_skips(28),
    "no skip at 14": without_skips(14),
    "no skip at 7": without_skips(7),
    "no skips": without_skips(28, 14, 7),
    "time fixed at 500": without_time,
}
errors = {name: [error(net, t) for t in grid] for name, net in variants.items()}
for name, values in errors.items():
    print(f"{name:<18} mean error over these times {sum(values) / len(values):.2f}")
assert all(a < b for a, b in zip(errors["as trained"], errors["no skips"]))
assert sum(errors["no skip at 7"]) < 1.5 * sum(errors["as trained"]) < sum(errors["no skip at 14"]) < sum(errors["no skip at 28"])
assert abs(errors["time fixed at 500"][grid.index(500)] - errors["as trained"][grid.index(500)]) < 1e-5

# %%
styles = {
    "as trained": (COLOURS["network"], "-"),
    "no skip at 28": (COLOURS["noise"], "-"),
    "no skip at 14": (COLOURS["posterior"], "--"),
    "no skip at 7": ("black", ":"),
    "time fixed at 500": (COLOURS["noisy"], "-"),
}
figure, axes = new_figure(1, 1, height=3.2)
ends = sorted((errors[name][-1], name) for name in styles)
height = 0.0
for value, name in ends:
    colour, line = styles[name]
    axes[0, 0].plot(grid, errors[name], color=colour, linestyle=line, marker="o", markersize=3, zorder=3 if line == ":" else 2)
    height = max(value, height * 2.1)  # keep the labels apart
    axes[0, 0].text(1030, height, name, color=colour, va="center")
axes[0, 0].set(yscale="log", xlabel="time t of the image", ylabel="squared error per pixel", xlim=(0, 1000))
show(figure, "Without the skip at 28 x 28 the error is large at every time; told a fixed t = 500, the network is right only near t = 500.")

# %% [markdown]
# The skip at 7 × 7 is hardly missed: it joins the two ends of a short piece that keeps the size. The one at 28 × 28 carries what no smaller map can hold.
#
# Pictures of the same. The first row is a digit at $t = 200$. The others show the clean image that the prediction implies, by the formula of
# [lesson 02](02_noising.ipynb).

# %%
x_t, noise = forward_diffusion(held_out[:8], 200, schedule, generator=torch.Generator().manual_seed(5))
t_200 = torch.full((8,), 200)
shown = ["as trained", "no skip at 28", "no skip at 14", "no skip at 7", "no skips", "time fixed at 500"]
figure, axes = new_figure(len(shown) + 1, 9, height=6.1, width_ratios=[1.7] + [1] * 8)
for row, name in enumerate(["x_t"] + shown):
    with torch.inference_mode():
        images = x_t if name == "x_t" else x0_from_noise(x_t, 200, variants[name](x_t, t_200), schedule)
    axes[row, 0].set_axis_off()
    colour = COLOURS["noisy"] if name == "x_t" else COLOURS["network"]
    axes[row, 0].text(0, 0.5, "noisy, t = 200" if name == "x_t" else name, color=colour, va="center", transform=axes[row, 0].transAxes)
    for column in range(8):
        draw_image(axes[row, column + 1], images[column])
show(figure, "As trained, the network recovers the digits; without the skip at 28, or with the wrong time, noise stays; without the one at 14, strokes blur.")

# %% [markdown]
# ## Same as the package
#
# The package's `UNet` takes its sizes from a frozen `UNetConfig`, and loops over them. Otherwise it is what you built. `classes` is for [lesson 10](10_guidance.ipynb): with 0 the network takes no label. `patch` and `residual` are for [lesson 07](07_training.ipynb), where they save time.

# %%
from minddpm.unet import UNet, UNetConfig, timestep_embedding

generator = torch.Generator().manual_seed(55)
for dim in (2, 4, 64, 128):
    t = torch.randint(1, 1001, (50,), generator=generator)
    assert torch.allclose(rebuilt_embedding(t, dim), timestep_embedding(t, dim), atol=1e-6)

config = UNetConfig()
theirs = UNet(config).eval()
for parameter in theirs.parameters():  # random weights everywhere, also where training starts at zero
    nn.init.normal_(parameter, std=0.1, generator=generator)
yours = RebuiltUNet().eval()
copy_weights(theirs, yours)
x = torch.randn(6, 1, 28, 28, generator=generator)
t = torch.randint(1, 1001, (6,), generator=generator)
with torch.inference_mode():
    distance = (yours(x, t) - theirs(x, t)).abs().max() / theirs(x, t).std()
    trained = (network(x, t) - shipped(x, t)).abs().max()
assert distance < 1e-4, "random weights, relative to the output's spread"
assert trained < 1e-4, "shipped weights"
assert not any(layer.any() for layer in UNet().out.parameters()), "a fresh network predicts zero"
assert sum(p.numel() for p in UNet().parameters()) == sum(parts.values())
print("embedding, network with random weights, network with shipped weights: equal")
print(config)


# %% [markdown]
# ## Play
#
# **What does the network do if it is told a wrong time?** The image below is a digit at $t = 200$. Move the time that the network is told.
# Told too small a time, does it leave noise in, or take ink away? And told too large a time?

# %%
import ipywidgets

from minddpm_course.widgets import play

x_t, noise = forward_diffusion(held_out[:8], 200, schedule, generator=torch.Generator().manual_seed(5))
told_grid = [1, 50, 100, 150, 200, 250, 300, 400, 500, 700, 1000]
with torch.inference_mode():
    told_error = [F.mse_loss(network(x_t, torch.full((8,), told)), noise).item() for told in told_grid]


def draw_told(told=200):
    with torch.inference_mode():
        predicted = network(x_t, torch.full((8,), told))
    estimate = x0_from_noise(x_t, 200, predicted, schedule)
    loss = F.mse_loss(predicted, noise).item()
    figure, axes = new_figure(2, 4, height=3.0, width_ratios=[1, 1, 1, 2.2])
    for column in range(3):
        draw_image(axes[0, column], x_t[column], "$x_t$, $t = 200$" if column == 0 else "", COLOURS["noisy"])
        draw_image(axes[1, column], estimate[column], r"$\hat x_0$" if column == 0 else "", COLOURS["network"])
    axes[1, 3].remove()
    axes[0, 3].set_subplotspec(axes[0, 3].get_gridspec()[:, 3])
    axes[0, 3].plot(told_grid, told_error, color=COLOURS["network"])
    axes[0, 3].plot([told], [loss], "o", color=COLOURS["noise"])
    axes[0, 3].set(xlabel="time the network is told", ylabel="squared error per pixel", ylim=(0, None))
    return figure, f"Told t = {told} for digits at t = 200, the network errs by {loss:.2f} per pixel."


play(draw_told, told=ipywidgets.IntSlider(200, 1, 1000, description="told t"))
with torch.inference_mode():
    copy = F.cosine_similarity(network(x_t, torch.full((8,), 1000)).flatten(), x_t.flatten(), dim=0)
    slopes = {told: (network(x_t, torch.full((8,), told)) * noise).mean() / noise.square().mean() for told in (100, 200, 500)}
print("predicted noise over true noise: " + ", ".join(f"{slope:.1f} told {told}" for told, slope in slopes.items()))
print(f"told 1000, its prediction is nearly the image itself: {copy > 0.9}")
assert copy > 0.9 and slopes[100] > 1.2 and slopes[500] < 0.8

# %% [markdown]
# Neither, told too small a time: it names too much noise, and the specks come back inverted. Told too large a time, it names too little and takes ink along. Noise stays, and the contrast falls.

# %%
assert told_grid[told_error.index(min(told_error))] in (150, 200, 250), "the truth, or its neighbour"

# %% [markdown]
# ## Mistakes people make
#
# **1. The time is counted from 0, or in another unit.** Many libraries call the first noisy time 0. Feed their $t$ to a network trained
# on $1, \ldots, T$, and every time is one too small. Others feed $t/T$, between 0 and 1. Here is what each costs.

# %%
hundred = held_out[:100]
shifted, scaled = {}, {}
for t in (1, 2, 5, 20, 100, 400):
    right = error(network, t, hundred)
    shifted[t] = error(lambda x, t: network(x, t - 1), t, hundred) / right
    scaled[t] = error(lambda x, t: network(x, t / 1000), t, hundred) / right
    print(f"t = {t:>3}: error times {shifted[t]:.2f} if t - 1 is fed, times {scaled[t]:.1f} if t / 1000 is fed")
assert shifted[2] > 1.05 and abs(shifted[100] - 1) < 0.02
assert scaled[100] > 2

# %% [markdown]
# The wrong unit is a disaster that you cannot miss. The wrong start hides. It costs something at the first few times, where the noise grows
# fastest in proportion, and nothing at the others: no picture shows it, and hardly the loss. A check of the range does. The package's schedule draws $t$ from $1, \ldots, T$ and refuses 0 where a step is meant.

# %%
try:
    time_index(0, schedule)
except ValueError as problem:
    print("ValueError:", problem)
else:
    raise AssertionError("t = 0 was accepted")

# %% [markdown]
# **2. One block is not told the time.** Set the time layer of one block to zero, and compare with the whole network.

# %%
blocks = ["encoder_28", "encoder_14", "encoder_7", "middle_in", "middle_out", "decoder_7", "decoder_14", "decoder_28"]
few = (10, 100, 300, 800)
whole = sum(error(network, t) for t in few) / len(few)
forgotten = {}
for name in blocks:
    net = RebuiltUNet().eval().requires_grad_(False)
    copy_weights(shipped, net)
    nn.init.zeros_(getattr(net, name).time.weight)
    nn.init.zeros_(getattr(net, name).time.bias)
    forgotten[name] = sum(error(net, t) for t in few) / len(few) / whole

worst = max(forgotten, key=forgotten.get)
figure, axes = new_figure(1, 1, height=2.5)
axes[0, 0].barh(blocks[::-1], [100 * (forgotten[name] - 1) for name in blocks[::-1]], color=COLOURS["network"])
axes[0, 0].set(xlabel="rise of the error when this block is not told the time, in %")
show(figure, f"Forgetting the time in one block costs most in {worst}.")
assert worst in ("encoder_28", "decoder_28") and forgotten[worst] > 1.5
assert all(0.98 < forgotten[name] < 1.1 for name in ("encoder_7", "middle_in", "middle_out", "decoder_7"))

# %% [markdown]
# The time matters most where the image is large. At 7 × 7 a block can do without it, since the others still know it. The network was trained with
# all of them told.

# %% [markdown]
# **3. The skips come in the wrong order.** The last map that the encoder made is the first that the decoder needs. Taken in the order of
# making, the sizes do not fit, and PyTorch says so. The quieter mistake is to swap the two halves of the join. The
# shapes fit. A network trained that way would be fine. A network with weights trained the other way is not.

# %%
swapped = RebuiltUNet().eval().requires_grad_(False)
copy_weights(shipped, swapped)
swapped.join = lambda h, skip: join(skip, h)
right, wrong = error(network, 200), error(swapped, 200)
print(f"error at t = 200: {right:.2f} with the halves as trained, {'more than 0.3' if wrong > 0.3 else 'small'} with the halves swapped")
assert wrong > 0.3 > right

try:
    network.join(torch.zeros(1, 96, 7, 7), torch.zeros(1, 16, 28, 28))
except RuntimeError as problem:
    print("first made, first used: PyTorch raises", type(problem).__name__)

# %% [markdown]
# **4. Sides that cannot be halved.** 30 pixels halve to 15, and 15 to 8, rounded up. Doubled again that is 16, and the skip has 15. Many
# implementations die there with a message about tensor sizes. The package refuses at the door.

# %%
try:
    shipped(torch.zeros(1, 1, 30, 30), torch.tensor([1]))
except ValueError as problem:
    print("ValueError:", problem)
else:
    raise AssertionError("a side of 30 was accepted")
with torch.inference_mode():
    print("32 x 32 is fine:", tuple(shipped(torch.zeros(1, 1, 32, 32), torch.tensor([1])).shape))

# %% [markdown]
# ## Check yourself
#
# <details><summary>The embedding has 64 entries. Why not use the 32 sines alone?</summary>
#
# A sine alone does not say where on the circle you are: sin(a) and sin(π − a) are equal. With the cosine, the inner product of two
# embeddings depends on the distance of the times alone; without it, it does not.
# </details>
#
# <details><summary>The first loss of your training run is 1.00. Your friend's is 0.33. Neither has trained yet. Who has a bug?</summary>
#
# Your friend. With a zero output the first loss is the mean square of the noise. For standard normal noise that is 1. One third is the mean
# square of numbers drawn uniformly from [0, 1]: <code>rand</code> was called in place of <code>randn</code>.
# </details>
#
# <details><summary>In <em>Play</em>, told a time near 1000, the network gives back a fainter copy of the noisy image. Why?</summary>
#
# At t = 1000 an image is almost nothing but noise, so the right answer there is nearly the image itself. The network gives that answer, and ink and noise are
# taken away in the same proportion.
# </details>
#
# <details><summary>Why does the loss of the network without the time have its minimum at t = 500?</summary>
#
# It was told 500 for every image. At that time it was told the truth.
# </details>
#
# **Exercises:** [05 · U-Net](../exercises/05_unet.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [06 Sampler](06_sampler.ipynb) puts the network in a loop, and digits come out.
