# %% [markdown]
# # 10 · Guidance
#
# *You will*
# - ask a network for a 7, and learn how one network can draw with a label and without;
# - derive guidance from Bayes' rule, prove the formula on data for which every density is known, and see what it does not promise;
# - measure what a larger scale buys and what it costs, and find out why a sampler with clipping may drive a digit away from its label.
#
# *You need* the network ([05 U-Net](05_unet.ipynb)), the score ([08 The score](08_score.ipynb)) and the sampler of few
# steps ([09 Fewer steps](09_ddim.ipynb)).
#
# *It takes* 25 minutes to read and about 40 seconds to run.

# %%
import json
import math
from functools import partial

import matplotlib
import torch
from torch import nn

from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm.ddim import ddim_sample, ddim_steps
from minddpm.loss import simple_loss
from minddpm.metrics import load_classifier
from minddpm.mixture import GaussianMixture
from minddpm.noising import forward_diffusion, noise_from_x0, x0_from_noise
from minddpm.score import noise_from_score, score_from_noise
from minddpm.unet import timestep_embedding
from minddpm_course.figures import COLOURS, INK, STYLE, draw_image, new_figure, show

matplotlib.rcParams.update(STYLE)
network, schedule, _ = load_pretrained("mnist_labels")
held_out, held_out_labels = load_mnist("test")
classifier = load_classifier()
classes = network.config.classes
print(f"labels 0 to {classes - 1} are digits, label {classes} stands for none")

# %% [markdown]
# ## The idea in a picture
#
# The networks so far drew whatever came. This one takes a third input, the label $y$: `network(x_t, t, label)`. It has the U-Net of lesson 05, and one vector more for each digit,
# which is added to the embedding of $t$. The sampler does not change. It sees a function of $\mathbf{x}_t$ and $t$.
#
# Each row below starts from one $\mathbf{x}_T$. Only the label differs from column to column.

# %%
digits = torch.arange(10)


def draw_rows(rows, names, titles=digits.tolist()):
    """Ten images a row, the row's name on the left."""
    figure, axes = new_figure(len(rows), 10, height=0.3 + 0.62 * len(rows))
    for row, (images, name) in enumerate(zip(rows, names)):
        for column, image in enumerate(images):
            draw_image(axes[row, column], image, str(titles[column]) if row == 0 else "")
        axes[row, 0].text(-3, 14, name, ha="right", va="center")
    return figure


def same_start(rows, seed=10):
    """One x_T for each row, ten times."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 1, 28, 28, generator=generator).repeat_interleave(10, dim=0)  # (10 rows, 1, 28, 28)


def from_start(model, x_T, steps=20, **options):
    """The sampler of lesson 09, from a given x_T."""
    *_, last = ddim_steps(model, x_T, schedule, steps=steps, **options)
    return last.x_t


asked = digits.repeat(3)  # 0..9, 0..9, 0..9
plain = from_start(partial(network, label=asked), same_start(3))
show(
    draw_rows(plain.split(10), ["one $x_T$", "another", "another"]),
    "From left to right the network is asked for 0 to 9: from one starting noise the label makes different digits, though not always the one asked for.",
)


# %% [markdown]
# Most of these are the digits asked for. Some are not. The network was told the label, but training did not force it to heed the label at any price. **Guidance** turns the label up.
#
# ## The derivation
#
# **1. Bayes' rule.** Let $y$ be the label. For noisy images, too, $q(\mathbf{x}_t | y) = q(\mathbf{x}_t)\, q(y | \mathbf{x}_t) / q(y)$. Take the logarithm, and the slope in $\mathbf{x}_t$. The term $q(y)$ does not depend on $\mathbf{x}_t$ and drops out:
#
# $$
# {\color{#9C6C00}{\nabla \log q(\mathbf{x}_t | y)}} = \nabla \log q(\mathbf{x}_t) + \nabla \log q(y | \mathbf{x}_t).
# $$
#
# The score of the images with this label is the score of all images, and a push towards images that a perfect classifier would give this label.
#
# **2. Exaggerate the push** by a scale $s$ (Dhariwal & Nichol 2021, section 4, who train a classifier of noisy images for it):
#
# $$
# \nabla \log q(\mathbf{x}_t) + s\, \nabla \log q(y | \mathbf{x}_t).
# $$
#
# **3. No classifier is needed.** By step 1 the push is the difference of two scores:
#
# $$
# \nabla \log q(y | \mathbf{x}_t) = {\color{#9C6C00}{\nabla \log q(\mathbf{x}_t | y)}} - \nabla \log q(\mathbf{x}_t).
# $$
#
# **4. From scores to noise.** Lesson 08: the score is $-1 / \sqrt{1 - \bar{\alpha}_t}$ times the predicted noise. All terms have this factor, so it cancels:
#
# $$
# {\color{#008561}{\tilde{\boldsymbol{\epsilon}}}}(\mathbf{x}_t, t) = {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) + s \left({\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t, y) - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)\right).
# $$
#
# Scale 0 ignores the label. Scale 1 is the plain network that is told the label. More goes beyond it. Ho & Salimans (2022, eq. 6) write the same as
# $(1 + w)\, \boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t, y) - w\, \boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)$, with $w = s - 1$. Their $w = 0$ is our $s = 1$. Read which one a paper means.
#
# **5. One network for both.** Two networks would do. One is enough: in training, replace a share of the labels by a value that stands for none (Ho & Salimans 2022, algorithm 1). With $p$ the share, the loss is on average
#
# $$
# (1 - p)\; L_\text{simple}\text{ told the label} + p\; L_\text{simple}\text{ not told}.
# $$
#
# The least squared error of a network that is told $y$ is reached at $\mathbb{E}[\boldsymbol{\epsilon} | \mathbf{x}_t, y]$, and of one that is not told at $\mathbb{E}[\boldsymbol{\epsilon} | \mathbf{x}_t]$. Those are the two predictions of step 4. The shipped network lost one label in ten.
#
# **6. Clipping, once more.** DDIM (lesson 09) estimates $\hat{\mathbf{x}}_0$, clips it, and noises it again with the *predicted* noise. Change the prediction by ${\color{#C05500}{\boldsymbol{\delta}}}$. Where nothing is clipped, $\mathbf{x}_{t-1}$ changes by
#
# $$
# \left(\sqrt{1 - \bar{\alpha}_{t-1}} - \sqrt{\frac{\bar{\alpha}_{t-1}}{\bar{\alpha}_t}} \sqrt{1 - \bar{\alpha}_t}\right) {\color{#C05500}{\boldsymbol{\delta}}},
# $$
#
# which is *against* $\boldsymbol{\delta}$: more noise predicted, more noise removed. Where $\hat{\mathbf{x}}_0$ is held at the clip's edge, only the first term is left. It is *along* $\boldsymbol{\delta}$. With guidance, against scale 1, $\boldsymbol{\delta} = (s - 1)\left(\boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t, y) - \boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)\right)$.
# A score is *minus* the noise, up to a factor. So $\boldsymbol{\delta}$ points against the push. A free pixel moves along the push, and a clipped one against it. Here are both weights for 20 steps.

# %%
for t, before in ((1000, 950), (500, 450), (200, 150), (100, 50)):
    along = (1 - schedule.alpha_bar[before]).sqrt()
    free = along - (schedule.alpha_bar[before] / schedule.alpha_bar[t]).sqrt() * (1 - schedule.alpha_bar[t]).sqrt()
    print(f"t = {t:>4} to {before:>3}: weight of the predicted noise {free:+.2f}, where the estimate is clipped {along:+.2f}")
    assert free < 0 < along

# %% [markdown]
# The remedy is to let the noise follow the clipped estimate: $\tilde{\boldsymbol{\epsilon}}$ becomes the noise that leads from the clipped $\hat{\mathbf{x}}_0$ to $\mathbf{x}_t$. The posterior of lesson 03 does so by itself, since it has no other noise. For DDIM you say it.
#
# ## Rebuild it
#
# Three functions. The first makes the training labels. The second makes of a network that takes labels a model that any sampler takes. The third lets the noise follow the clipped estimate.

# %%
def rebuilt_drop(labels, classes, share, *, generator):
    dropped = torch.rand(len(labels), generator=generator) < share  # (b,)
    return torch.where(dropped, classes, labels)  # (b,)


def guided_noise(unconditional, conditional, scale):
    return unconditional + scale * (conditional - unconditional)  # (b, *dims)


def rebuilt_guided(model, label, scale):
    def predict(x_t, t):
        unconditional = model(x_t, t, None)  # (b, *dims)
        conditional = model(x_t, t, label)  # (b, *dims), label is (b,)
        return guided_noise(unconditional, conditional, scale)  # (b, *dims)

    return predict


def bounded(model):
    def predict(x_t, t):
        x_0 = x0_from_noise(x_t, t, model(x_t, t), schedule).clamp(-1, 1)  # (b, 1, 28, 28)
        return noise_from_x0(x_t, t, x_0, schedule)  # (b, 1, 28, 28)

    return predict


# %% [markdown]
# Now ask again, at five scales, 40 digits at each: four starts, ten labels. The starts are the same at every scale.

# %%
scales, asked = (0, 1, 2, 4, 8), digits.repeat(4)
drawn = {}
for scale in scales:
    model = rebuilt_guided(network, asked, scale)
    drawn[scale] = from_start(bounded(model), same_start(4))  # (40, 1, 28, 28)

show(
    draw_rows([drawn[scale][:10] for scale in scales], [f"scale {scale}" for scale in scales]),
    "All fifty start from one noise: at scale 0 the label does nothing, at 1 it is mostly obeyed, and with more it is obeyed by plainer, bolder digits.",
)
assert (drawn[0][:10] - drawn[0][0]).abs().max() < 1e-3, "one image, ten times"

# %% [markdown]
# ## By hand
#
# One pixel $x_t = 0.4$ with $\bar{\alpha}_t = 0.5$, as in lesson 06. Without a label the network predicts the noise 0.3, with the label 0.1.

# %% tags=["worked-example"]
unconditional, conditional, x_t = 0.3, 0.1, 0.4
for scale, expected, clean in ((0, 0.3, 0.2657), (1, 0.1, 0.4657), (2, -0.1, 0.6657), (4, -0.5, 1.0657)):
    noise = guided_noise(unconditional, conditional, scale)
    w = scale - 1
    x_0 = (x_t - math.sqrt(0.5) * noise) / math.sqrt(0.5)
    print(f"scale {scale}: 0.3 + {scale} * (0.1 - 0.3) = {noise:+.1f}, x_0 estimate {x_0:.4f};  w = {w:>2}: {1 + w} * 0.1 - {f'({w})' if w < 0 else w} * 0.3 = {noise:+.1f}")
    assert round(noise, 4) == expected and round((1 + w) * conditional - w * unconditional, 4) == expected
    assert round(x_0, 4) == clean

# %% [markdown]
# Each unit of scale moves the estimate by 0.2. Scale 4 moves it out of the range of pixels.
#
# And Bayes' rule in numbers. Two clouds in one dimension, centres $\pm 1$, variance 1, equal shares. At $\bar{\alpha}_t = 0.5$ the centres are $\pm 0.7071$ and the variance is still 1. Ask for the right cloud, at $x_t = 0.4$.

# %% tags=["worked-example"]
centre = math.sqrt(0.5)
right_share = 1 / (1 + math.exp(-2 * centre * 0.4))  # q(right | x_t)
conditional = centre - 0.4  # the slope of log N(x; 0.7071, 1)
unconditional = right_share * (centre - 0.4) + (1 - right_share) * (-centre - 0.4)
push = 2 * centre * (1 - right_share)  # the slope of log q(right | x_t)
print(f"q(right | x_t) = {right_share:.4f}")
print(f"conditional score {conditional:.4f} = unconditional {unconditional:.4f} + push {push:.4f}")
print(f"at scale 3: {unconditional:.4f} + 3 * {push:.4f} = {unconditional + 3 * push:.4f}")
assert round(right_share, 4) == 0.6378
assert abs(conditional - (unconditional + push)) < 1e-12
assert abs(guided_noise(unconditional, conditional, 3) - (unconditional + 3 * push)) < 1e-12

# %% [markdown]
# ## Believe it
#
# **The formula is exact.** Take two overlapping clouds whose shares differ. Their scores, with and without the label, are known at every $t$ (lesson 08). The oracle knows neither score nor formula: it computes $\log q(\mathbf{x}_t) + s \log q(y | \mathbf{x}_t)$ from PyTorch's
# own distributions and differentiates. Since the densities of all $\mathbf{x}_t$ are known, this holds at every $t$.

# %%
means, weights, variance = torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([0.6, 0.4]).double(), 0.36
mixture = GaussianMixture(means, variance, weights)
clouds = [GaussianMixture(means[k : k + 1], variance, weights[k : k + 1]) for k in range(2)]


def exact_noise(x_t, t, label=None):
    """A perfect network: what it would predict with a label, 0 or 1 for each point, and without."""
    if label is None:
        return noise_from_score(mixture.score(x_t, t, schedule), t, schedule)  # (b, 1)
    each = torch.stack([cloud.score(x_t, t, schedule) for cloud in clouds])  # (2, b, 1)
    return noise_from_score(each[label, torch.arange(len(x_t))], t, schedule)  # (b, 1)


def oracle(x, t, label, scale):
    alpha_bar = schedule.alpha_bar[t]
    x = x.clone().requires_grad_()  # (b, 1)
    bells = torch.distributions.Normal(alpha_bar.sqrt() * means.T, (alpha_bar * variance + 1 - alpha_bar).sqrt())
    joint = bells.log_prob(x) + weights.log()  # (b, 2): log q(x_t, y)
    log_x = joint.logsumexp(1)  # (b,)
    log_y = joint.log_softmax(1)[torch.arange(len(x)), label]  # (b,)
    return torch.autograd.grad((log_x + scale * log_y).sum(), x)[0]  # (b, 1)


generator = torch.Generator().manual_seed(10)
worst = 0.0
for t in (1, 10, 100, 300, 600, 1000):
    for scale in (0, 0.5, 1, 2, 4, 8):
        x = 2 * torch.randn(200, 1, generator=generator, dtype=torch.float64)
        label, times = torch.randint(2, (200,), generator=generator), torch.full((200,), t)
        score = score_from_noise(rebuilt_guided(exact_noise, label, scale)(x, times), times, schedule)
        worst = max(worst, (score - oracle(x, t, label, scale)).abs().max().item())
print("largest difference below 1e-9:", worst < 1e-9)
assert worst < 1e-9

# %% [markdown]
# **What it does not promise.** You may expect that a sampler with the guided score draws from $q(\mathbf{x}_0)\, q(y | \mathbf{x}_0)^s$. That holds for $s = 0$ and $s = 1$. For other scales the guided scores are exact at each $t$, but they do not belong together:
# they are those of $q(\mathbf{x}_t)\, q(y | \mathbf{x}_t)^s$, and these densities are not what noise makes of the first one. *Sharpen, then noise* is not *noise, then sharpen* (Bradley & Nakkiran 2024).
#
# Both can be computed on a grid. Then the sampler draws, with the exact guided noise and 250 steps.

# %%
grid = torch.linspace(-6, 8, 2801, dtype=torch.float64)[:, None]
cell = (grid[1] - grid[0]).item()


def sharpened(t, scale):
    """The density q(x_t) q(right | x_t)^scale on the grid, its sum made 1."""
    everything = mixture.log_density(grid, t, schedule)
    right = clouds[1].log_density(grid, t, schedule) - everything  # log q(right | x_t), but for a constant
    density = (everything + scale * right).exp()
    return density / (density.sum() * cell)


def noised(density, t):
    """What the forward process makes of a density on the grid."""
    alpha_bar = schedule.alpha_bar[t]
    kernel = torch.exp(-((grid - alpha_bar.sqrt() * grid.T) ** 2) / (2 * (1 - alpha_bar)))  # (to, from)
    return kernel @ density * cell / (2 * math.pi * (1 - alpha_bar)).sqrt()


def describe(density):
    mean = (density * grid[:, 0]).sum() * cell
    return mean.item(), ((density * (grid[:, 0] - mean) ** 2).sum() * cell).sqrt().item()


points, ends = 4000, {}
for scale in (1, 2, 4):
    label = torch.ones(points, dtype=torch.int64)
    model = rebuilt_guided(lambda x, t, label: exact_noise(x.double(), int(t[0]), label).float(), label, scale)
    generator = torch.Generator().manual_seed(10)
    ends[scale] = ddim_sample(model, (points, 1), schedule, steps=250, clip=False, generator=generator)[:, 0].double()
    mean, std = describe(sharpened(0, scale))
    print(f"scale {scale}: wanted mean {mean:.2f}, std {std:.2f};  drawn mean {ends[scale].mean():.2f}, std {ends[scale].std():.2f}")
    if scale == 1:
        assert abs(ends[scale].mean() - mean) < 0.03 and abs(ends[scale].std() - std) < 0.03, "exact at scale 1"
    else:
        assert ends[scale].mean() > mean + 0.2 and ends[scale].std() < 0.9 * std, "too far, and too narrow"

# %%
figure, axes = new_figure(1, 2, height=2.7)
axes[0, 0].hist(ends[4].numpy(), bins=50, density=True, color=COLOURS["noisy"], alpha=0.6)
line = grid[:, 0].numpy()
axes[0, 0].plot(line, sharpened(0, 1).numpy(), color=COLOURS["clean"])
axes[0, 0].plot(line, sharpened(0, 4).numpy(), color=COLOURS["posterior"])
axes[0, 0].text(0.05, 0.33, "the right\ncloud", color=COLOURS["clean"], ha="right")
axes[0, 0].text(0.5, 0.72, "sharpened,\nscale 4", color=COLOURS["posterior"], ha="right")
axes[0, 0].text(2.3, 0.9, "drawn,\nscale 4", color=COLOURS["noisy"])
axes[0, 0].set(title="t = 0", xlim=(-1.8, 3.8), xlabel="$x_0$", ylabel="density", ylim=(0, 1.45))
first, second = noised(sharpened(0, 4), 300), sharpened(300, 4)
axes[0, 1].plot(line, first.numpy(), color=COLOURS["posterior"])
axes[0, 1].plot(line, second.numpy(), color=COLOURS["network"])
axes[0, 1].text(-0.4, 0.38, "sharpened,\nthen noised", color=COLOURS["posterior"], ha="right")
axes[0, 1].text(2.3, 0.42, "noised, then\nsharpened: what the\nguided score is of", color=COLOURS["network"], ha="left")
axes[0, 1].set(title="t = 300", xlim=(-4.5, 7), xlabel="$x_t$", ylabel="density", ylim=(0, 0.65))
show(
    figure,
    "Left: at scale 4 the draws lie farther out and closer together than the density that one may expect; right: sharpening after the noise is another density than sharpening before it.",
)
assert abs(first.sum() * cell - 1) < 1e-3 and describe(second)[0] > describe(first)[0] + 0.2

# %% [markdown]
# So treat guidance as what it is: a push in the right direction, of a strength that you choose by looking at results. It is no sampler of a density that you could write down.
#
# **Dropping labels does teach both.** A tiny network learns the noise of these two clouds. One is trained with a tenth of the labels dropped, its twin with none. Then both are asked with the label and without, and compared with the exact prediction. (The row of the label *none* stays zero in both, as in the U-Net.)

# %%
class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(3, 32, padding_idx=2)  # two clouds, and none
        self.body = nn.Sequential(nn.Linear(1 + 32 + 32, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 1))

    def forward(self, x_t, t, label=None):
        label = torch.full_like(t, 2) if label is None else label  # (b,)
        inputs = [x_t, timestep_embedding(t, 32), self.label(label)]  # (b, 1), (b, 32), (b, 32)
        return self.body(torch.cat(inputs, dim=1))  # (b, 1)


def train_tiny(share):
    torch.manual_seed(10)
    model, generator = Tiny(), torch.Generator().manual_seed(10)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(1500):
        label = torch.multinomial(weights, 256, replacement=True, generator=generator)  # (256,)
        x_0 = (means[label] + math.sqrt(variance) * torch.randn(256, 1, generator=generator)).float()  # (256, 1)
        told = rebuilt_drop(label, 2, share, generator=generator)  # (256,)
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 1500)
        optimizer.zero_grad()
        simple_loss(partial(model, label=told), x_0, schedule, generator=generator).backward()
        optimizer.step()
    return model.eval()


generator = torch.Generator().manual_seed(11)
label = torch.multinomial(weights, 2000, replacement=True, generator=generator)
x_0 = means[label] + math.sqrt(variance) * torch.randn(2000, 1, generator=generator)
t = schedule.sample_t(2000, generator=generator)
x_t, _ = forward_diffusion(x_0, t, schedule, generator=generator)
errors, trained = {}, {share: train_tiny(share) for share in (0.1, 0.0)}
with torch.inference_mode():
    for share, model in trained.items():
        for told in (label, None):
            error = (model(x_t.float(), t, told) - exact_noise(x_t, t, told)).square().mean().sqrt().item()
            errors[share, told is None] = error
            print(f"labels dropped {share:>4.0%}, asked {'without' if told is None else 'with   '} label: error of the noise below {min(bound for bound in (0.05, 0.2, 0.5) if error < bound)}")
assert errors[0.1, False] < 0.05 and errors[0.0, False] < 0.05, "with the label, close to exact"
assert errors[0.1, True] < 0.2 and errors[0.0, True] > 2 * errors[0.1, True], "without: learned from a tenth, or never"

# %% [markdown]
# The share that is dropped is the share that was asked for, and no digit loses its label more often than another.

# %%
generator = torch.Generator().manual_seed(10)
labels = torch.randint(10, (50_000,), generator=generator)
told = rebuilt_drop(labels, 10, 0.1, generator=generator)
share = (told == 10).double().mean().item()
by_digit = torch.stack([(told[labels == digit] == 10).double().mean() for digit in range(10)])
print(f"dropped: {share:.2f}")
assert abs(share - 0.1) < 4 * math.sqrt(0.1 * 0.9 / 50_000), "4 standard errors"
assert (by_digit - 0.1).abs().max() < 4.5 * math.sqrt(0.1 * 0.9 / 4_800), "4.5 standard errors"
assert torch.equal(told[told != 10], labels[told != 10]), "the others are untouched"

# %% [markdown]
# ## Same as the package
#
# `guided` and `drop_labels`, on random input, then a short trajectory of the network.

# %%
from minddpm.guidance import drop_labels, guided

generator = torch.Generator().manual_seed(100)
for t in (1, 2, 500, 1000):
    for scale in (0, 0.5, 1, 1.5, 4):
        x, label, times = torch.randn(50, 1, generator=generator).double(), torch.randint(2, (50,), generator=generator), torch.full((50,), t)
        yours = rebuilt_guided(exact_noise, label, scale)(x, times)
        assert torch.allclose(yours, guided(exact_noise, label, scale)(x, times), rtol=1e-9, atol=1e-9), (t, scale)
        one = guided(exact_noise, 1, scale)(x, times)  # the package takes one label for all, too
        assert torch.allclose(rebuilt_guided(exact_noise, torch.ones_like(label), scale)(x, times), one, rtol=1e-9, atol=1e-9)

for share in (0, 0.1, 0.5, 1):
    yours = rebuilt_drop(labels, 10, share, generator=torch.Generator().manual_seed(1))
    assert torch.equal(yours, drop_labels(labels, 10, share, generator=torch.Generator().manual_seed(1)))

x_T = same_start(1)[:3]
for scale in (0, 2):
    pair = [from_start(make(network, digits[6:9], scale), x_T, steps=4) for make in (rebuilt_guided, guided)]
    assert torch.allclose(*pair, atol=1e-3)
with torch.inference_mode():
    times = torch.full((3,), 500)
    none = network(x_T, times, torch.full((3,), classes))
    assert torch.allclose(none, network(x_T, times, None), atol=1e-5), "label 10 is no label"
print("guided noise, dropped labels and samples: equal")

# %% [markdown]
# ## Play
#
# **Draw me a 7.** Choose a digit and a scale. The eight starting noises are the same at every setting. From which scale on do you read the digit in all eight? From which on do they begin to look alike?

# %%
import ipywidgets

from minddpm_course.widgets import play

eight = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(7))


@torch.inference_mode()
def read(images):
    """The digit that the classifier reads in each image."""
    return classifier(images.clamp(-1, 1)).argmax(1)


def draw_asked(digit=7, scale=2.0):
    images = from_start(bounded(guided(network, digit, scale)), eight)
    figure, axes = new_figure(1, 8, height=1.15)
    for axis, image, seen in zip(axes[0], images, read(images).tolist()):
        draw_image(axis, image, f"read: {seen}", INK if seen == digit else COLOURS["noise"])
    return figure, f"Asked for {digit} at scale {scale:g}, 20 steps: above each digit, what the classifier reads."


play(
    draw_asked,
    digit=ipywidgets.Dropdown(options=list(range(10)), value=7),
    scale=ipywidgets.FloatSlider(2, min=0, max=8, step=0.5),
)

# %% [markdown]
# ## What the scale buys, and what it costs
#
# First a small check of the 40 digits from above. *Asked* is the share that the classifier reads as the digit asked for. *Diversity* is the mean distance of two digits of one class, over their 784 pixels.


# %%
def diversity(images, labels):
    return torch.stack([torch.pdist(images[labels == digit].flatten(1)).mean() for digit in range(10)]).mean().item()


agreed = {scale: (read(images) == asked).double().mean().item() for scale, images in drawn.items()}
spread = {scale: diversity(images, asked) for scale, images in drawn.items()}
for name, holds in {
    "at scale 0 the label is met by chance, in less than a third": agreed[0] < 1 / 3,
    "at scale 1 in more than two thirds": agreed[1] > 2 / 3,
    "at scale 4 in nine of ten or more": agreed[4] >= 0.9,
    "at scale 8 digits of a class are nearer to each other than at scale 1": spread[8] < spread[1],
}.items():
    print(f"{name}: {holds}")
    assert holds, (agreed, spread)

# %% [markdown]
# Now the measurement with more digits and more steps, made once by `tools/measure_results.py`. *Sure* is the share to which the classifier gives the digit asked for with more than 0.9 probability. The Fréchet distance compares all digits of a row with the training digits (smaller is better).
# The last row has as many held-out real digits, 25 of each class, as many as are asked for. Even classes bring a set nearer to the training digits. So it is nearer than the held-out batches of lesson 09, and scale 0, where classes fall as they may, is at a
# disadvantage.

# %%
results = json.loads((ASSETS / "results.json").read_text())["guidance"]
print(f"{results['digits']} digits a row, {results['steps']} DDIM steps")
print(f"{'':<8}{'asked':>8}{'sure':>8}{'diversity':>11}{'Fréchet':>9}")
rows = {f"scale {scale}": row for scale, row in results["scales"].items()} | {"real": results["real"]}
for name, row in rows.items():
    print(f"{name:<8}{row['asked']:>8.1%}{row['sure']:>8.1%}{row['diversity']:>11.2f}{row['frechet']:>9.2f}")
table = {int(scale): row for scale, row in results["scales"].items()}
best = min(table, key=lambda scale: table[scale]["frechet"])
print(f"smallest Fréchet distance: at scale {best}")

# %%
figure, axes = new_figure(1, 3, height=2.5)
places, real = range(len(table)), results["real"]
for axis, key, title, colour in zip(axes[0], ("asked", "diversity", "frechet"), ("read as asked", "distance within a class", "Fréchet distance"), ("network", "noisy", "noise")):
    values = [row[key] for row in table.values()]
    axis.plot(places, values, "o-", color=COLOURS[colour])
    axis.axhline(real[key], color=COLOURS["clean"], linewidth=1)
    axis.text(len(table) - 0.7, real[key], " real", color=COLOURS["clean"], ha="left", va="center")
    axis.set(title=title, xlabel="scale", xticks=places, xticklabels=list(table), xlim=(-0.4, len(table) - 0.7), ylim=(0, 1.08 * max(*values, real[key])))
axes[0, 0].set_ylabel("share")
axes[0, 1].set_ylabel("pixel distance")
axes[0, 2].set_ylabel("distance to train")
show(figure, "With the scale, more digits are read as asked, and the digits of one class grow alike; the line marks real digits.")
assert table[0]["asked"] < 0.3 < 0.6 < table[1]["asked"] < table[4]["asked"] and table[2]["asked"] > table[1]["asked"]
assert table[1]["diversity"] > table[2]["diversity"] > table[4]["diversity"]
assert best < 8 and table[8]["frechet"] > 1.05 * table[best]["frechet"]

# %% [markdown]
# Read the columns together. Diversity at scale 0 is large for a bad reason: those "classes" hold all ten digits. From scale 1 on, each step of the scale buys obedience with variety. The classifier likes what guidance makes: bold, typical digits. It cannot see that the slanted, thin or odd ones have gone.
# The Fréchet distance compares whole sets, and counts both: digits that are read wrong, and digits that are missing. It is smallest at the scale that the table names, and larger again at 8.
#
# ## Mistakes people make
#
# 1. **The scale off by one.** A paper's $w$ is put in for $s$, or the other way round.
# 2. **Conditional and unconditional swapped.** The push turns round.
# 3. **The guided noise kept after clipping.** See step 6 of the derivation.
# 4. **No clipping.** Pixels leave the range of images.
# 5. **No labels dropped in training.** You saw it above: asked without a label, such a network errs more than twice as much.
#
# First the clouds. You ask for the right one.

# %%
def other_noise(rule):
    """The right cloud asked for, with another rule in place of guided_noise."""
    label = torch.ones(2000, dtype=torch.int64)

    def model(x, t):
        x, time = x.double(), int(t[0])
        return rule(exact_noise(x, time), exact_noise(x, time, label)).float()

    x = ddim_sample(model, (2000, 1), schedule, steps=100, clip=False, generator=torch.Generator().manual_seed(10))
    return x[:, 0]


rules = {
    "right, scale 2": lambda u, c: guided_noise(u, c, 2),
    "w = 2 for scale 2": lambda u, c: (1 + 2) * c - 2 * u,
    "swapped, scale 2": lambda u, c: guided_noise(c, u, 2),
}
landed = {name: other_noise(rule) for name, rule in rules.items()}
for name, x in landed.items():
    print(f"{name:<18} mean {x.mean():+.1f}, right of 0: {(x > 0).double().mean():.0%}")
assert landed["w = 2 for scale 2"].mean() > landed["right, scale 2"].mean() + 0.1, "stronger than asked for"
assert (landed["swapped, scale 2"] > 0).double().mean() < 0.2, "driven away"
u, c = torch.randn(2, 100, generator=torch.Generator().manual_seed(10), dtype=torch.float64)
assert torch.allclose(guided_noise(c, u, 2), guided_noise(u, c, 1 - 2)), "swapped, scale s acts as 1 - s"

# %% [markdown]
# Off by one is quiet: the samples lie farther out, and look right. Test it with a scale of 1, which must give the conditional prediction, and 0, which must not look at the label.
# Swapped is loud: scale $s$ acts as $1 - s$. At $s = 2$ that is $-1$, and the samples flee from the cloud that was asked for.
#
# Then the digits, at scale 4 and from one start.

# %%
four = guided(network, digits, 4)
swapped = bounded(lambda x_t, t: guided_noise(network(x_t, t, digits), network(x_t, t, None), 4))
x_T = same_start(1)
panels = {
    "right": drawn[4][:10],
    "swapped": from_start(swapped, x_T),
    "noise kept": from_start(four, x_T, clip=True),
    "unclipped": from_start(four, x_T, clip=False),
}
show(
    draw_rows(panels.values(), panels.keys()),
    "Asked for 0 to 9 at scale 4: swapped, and with the guided noise kept after clipping, other digits come out, or none; unclipped, the right ones do.",
)
obeyed = {name: (read(images) == digits).sum().item() for name, images in panels.items()}
for name, images in panels.items():
    print(f"{name:<12} read as asked: {obeyed[name]:>2} of 10, pixels out of range: {(images.abs() > 1).double().mean():.0%}")
assert min(obeyed["right"], obeyed["unclipped"]) >= 8 and max(obeyed["swapped"], obeyed["noise kept"]) <= 5
assert panels["unclipped"].abs().max() > 1

# %% [markdown]
# - *Noise kept* is what `ddim_sample` does with a guided model when nobody thinks of it. Digits are driven *away* from their label, and nothing in the code looks wrong. At scale 1 no push is added, so one does not see it.
# - *Unclipped*, the push has the right sign everywhere, and the digits are those asked for. But pixels end out of range, and you must cut them off.
#
# How much does clipping take off? Noise 40 held-out digits to $t = 500$, and ask with their own labels. The first number is how far the estimate of a pixel lies out of $[-1, 1]$, on average. The second is the share of white pixels in the digits drawn above.

# %%
own, x_0 = held_out_labels[:40], held_out[:40]
x_t, _ = forward_diffusion(x_0, 500, schedule, generator=torch.Generator().manual_seed(10))
beyond, white = {}, {}
for scale in scales:
    with torch.inference_mode():
        noise = guided(network, own, scale)(x_t, torch.full((40,), 500))
    beyond[scale] = (x0_from_noise(x_t, 500, noise, schedule).abs() - 1).clamp(min=0).mean().item()
    white[scale] = (drawn[scale] > 0.9).double().mean().item()
for scale in scales:
    print(f"scale {scale}: cut off {beyond[scale]:.3f}, white pixels {white[scale]:.1%}")
print(f"real digits:          white pixels {(held_out > 0.9).double().mean():.1%}")
assert beyond[8] > 1.2 * beyond[1], "more is clipped"
assert white[8] > 1.1 * white[1], "bolder"

# %% [markdown]
# A larger scale asks for more than pixels can give, so more is cut off, and more pixels end at white. Where the share is above that of real digits, the strokes are fatter than people write them.
#
# ## Check yourself
#
# <details><summary>Your model gives the same digit whatever label you ask for. Which scale do you suspect, and which test do you run?</summary>
#
# Scale 0, or a label that does not reach the network. Compare model(x_t, t, 3) with model(x_t, t, 7) at a middle t: they must differ. Then check that scale 1 gives the conditional prediction.
# </details>
#
# <details><summary>A paper reports its best results at w = 0.3. Which scale do you set here?</summary>
#
# 1.3. Here scale 1 is the plain conditional network, which is w = 0 there.
# </details>
#
# <details><summary>Why does one step cost twice as much at scale 2 as at scale 1?</summary>
#
# It asks the network twice, with the label and without. At scale 1 the two unconditional terms cancel, and the package asks once.
# </details>
#
# <details><summary>You draw 1,000 digits at scale 4 to train a classifier. What will it lack?</summary>
#
# The unusual digits. Digits of one class are more alike than real ones, so the classifier would see the middle of each class and not its edges.
# </details>
#
# **Exercises:** [10 · Guidance](../exercises/10_guidance.ipynb). What you write is checked on fresh numbers, and a known mistake is named. Then [13 · Your DDPM](../exercises/13_your_ddpm.ipynb) makes a package of all that you wrote, and trains it.
#
# ## Looking back
#
# This is the last lesson. In [01](01_schedule.ipynb) to [03](03_posterior.ipynb) you noised an image, in one step and in many, and solved the way back for a known image. [04](04_loss.ipynb) turned that into a loss, [05](05_unet.ipynb) into a network, [06](06_sampler.ipynb) into a loop, and [07](07_training.ipynb) trained it.
# [08](08_score.ipynb) said what the network has learned: a slope. [09](09_ddim.ipynb) followed the slope in fewer steps, and this lesson bent it towards a label. Every formula was checked against something that does not know it. Keep that habit.
#
# **Where to go from here**
# - Draw from a terminal: `python -m minddpm sample --digit 7 --scale 2 --out sevens.png`. Train on all of MNIST: `python -m minddpm train --source full --labels --out runs/full`.
# - Other things to predict, and other schedules: Salimans & Ho 2022 (velocity instead of noise), Karras et al. 2022 (the choices of a diffusion model, one by one).
# - Larger images: Rombach et al. 2022 run the same process on the codes of an autoencoder.
# - Paths of other shapes: Lipman et al. 2023 (flow matching) learn the velocity along a path of one's choice. The path of lesson 09 is one, straight lines are another.
