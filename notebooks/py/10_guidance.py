# %% [markdown]
# # 10 · Guidance
#
# **You will**
# - ask a network for a digit of your choice: a label is one more input,
# - derive *classifier-free guidance* from Bayes' rule, and rebuild it in a few lines,
# - see what a larger scale of guidance buys, and what it costs.
#
# **You need** the network ([05 · U-Net](05_unet.ipynb)), the score ([08 · The score](08_score.ipynb)) and the sampler of few steps ([09 · Fewer steps](09_ddim.ipynb)).
#
# **It takes** 25 minutes to read and about half a minute to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import json
import math

import ipywidgets
import matplotlib
import torch

from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm.ddim import ddim_sample
from minddpm.metrics import load_classifier
from minddpm.mixture import GaussianMixture
from minddpm.noising import forward_diffusion
from minddpm.score import noise_from_score, score_from_noise
from minddpm_course.figures import COLOURS, INK, STYLE, canvas, draw_image, new_figure, show
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
network, schedule, _ = load_pretrained("mnist_labels")
classifier = load_classifier()

# %% [markdown]
# ## The idea in a picture
#
# So far, you could not choose which digit came out. The network of this lesson takes one more input: `network(x_t, t, label)`. The **label** says which digit is in the image. (Such a network is called *class-conditional*.)
# Inside, it is the U-Net of lesson 05. It looks up a vector for the label, and adds it to the embedding of $t$. The labels 0 to 9 are digits; label 10, or `None`, means *no label*.
#
# To draw a 7, you could pass the label 7 in every step, and nothing else would change. It works better to ask the network twice in every step, with the label and without it. The two answers differ by what the label changes.
# Multiply this difference by a number, the **scale**, and you decide how much the label counts.
#
# Below, the same four starts $\mathbf{x}_T$ are used for each digit and each scale. The folded cell has two functions. `asked_for` draws digits in this way, and you rebuild its core below. `read` asks the classifier of lesson 07 which digit it sees.

# %% jupyter={"source_hidden": true}
@torch.inference_mode()
def asked_for(label, x_T, scale):
    """Digits from these starts, asked for by their labels, in 20 steps of lesson 09."""

    def predicted_noise(x_t, t):
        without = network(x_t, t, None)  # (b, 1, 28, 28)
        told = network(x_t, t, label)  # (b, 1, 28, 28)
        return without + scale * (told - without)  # (b, 1, 28, 28)

    start = (x_T, schedule.T)
    return ddim_sample(predicted_noise, x_T.shape, schedule, steps=20, clip=False, start=start)


@torch.inference_mode()
def read(images):
    """The digit that the classifier reads in each image."""
    return classifier(images.clamp(-1, 1)).argmax(1)  # (b,)


# %%
digits = torch.arange(10).repeat_interleave(4)  # (40,) 0, 0, 0, 0, 1, ...
starts = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(10))
x_T = starts.repeat(10, 1, 1, 1)  # (40, 1, 28, 28) the same four for each digit
drawn = {scale: asked_for(digits, x_T, scale) for scale in (0, 1, 2, 4)}

obeyed = {scale: (read(images) == digits).sum().item() for scale, images in drawn.items()}
assert obeyed[0] < 15 and obeyed[1] > 30 and min(obeyed[2], obeyed[4]) > 36

# %% jupyter={"source_hidden": true}
side, top = 0.385, 4.2  # inches
figure, axis = canvas(top + 0.42)
for block, (scale, images) in enumerate(drawn.items()):
    left = 0.3 + block * (4 * side + 0.17)
    axis.text(left, top + 0.24, f"scale {scale}", color=COLOURS["network"], va="center")
    axis.text(left, top + 0.08, f"{obeyed[scale]} of 40 read as asked", fontsize=8, va="center")
    for place, image in enumerate(images):
        row, column = divmod(place, 4)
        x, y = left + column * side, top - (row + 1) * (side + 0.03)
        draw_image(axis, image, extent=(x, x + side - 0.03, y, y + side - 0.03))
for digit in range(10):
    y = top - digit * (side + 0.03) - 0.5 * side - 0.03
    axis.text(0.12, y, str(digit), va="center", ha="center")
show(
    figure,
    "Each row asks for the digit at its left. At scale 0 all rows are alike; at 1 most digits are those asked for; "
    "at 2 and 4 all are, and the four digits of a row look more like one another.",
)

# %% [markdown]
# Read it block by block. Scale 0 ignores the label. Scale 1 is the plain network that is told the label, and a few digits come out wrong.
# Scales above 1 make the label count more than it did in training, and here all digits are right. But compare the four digits of a row: the larger the scale, the fewer ways there are to write a digit.
#
# ## The derivation
#
# **1. Bayes' rule.** Let $y$ be the label. A noisy image has one too: the label of the digit that it was made from. So Bayes' rule holds at each $t$: $q(\mathbf{x}_t \mid y) = q(\mathbf{x}_t)\, q(y \mid \mathbf{x}_t) / q(y)$.
# Take the logarithm, and then the gradient in $\mathbf{x}_t$. The term $q(y)$ does not depend on $\mathbf{x}_t$, so it drops out:
#
# $$
# \nabla \log q(\mathbf{x}_t \mid y) = \nabla \log q(\mathbf{x}_t) + \nabla \log q(y \mid \mathbf{x}_t)
# $$
#
# On the left is the **conditional score**. It is the score of all images, plus a **push** towards images that an ideal classifier would give the label $y$.
#
# **2. Classifier guidance** multiplies the push by a scale $s$, and takes it from a real classifier ([Dhariwal & Nichol 2021](https://arxiv.org/abs/2105.05233), section 4): the score becomes $\nabla \log q(\mathbf{x}_t) + s\, \nabla \log q(y \mid \mathbf{x}_t)$.
# It needs a second network, because ordinary classifiers have never seen noisy images: you train one on $\mathbf{x}_t$ at every $t$, and differentiate it in every step.
#
# **3. No classifier.** By step 1, the push is the difference of two scores:
#
# $$
# \nabla \log q(y \mid \mathbf{x}_t) = \nabla \log q(\mathbf{x}_t \mid y) - \nabla \log q(\mathbf{x}_t)
# $$
#
# A network that takes labels gives both, if it has also learned to do without (step 5). This is **classifier-free guidance** ([Ho & Salimans 2022](https://arxiv.org/abs/2207.12598)).
#
# **4. From scores to noise.** By lesson 08, a score is the predicted noise times $-1 / \sqrt{1 - \bar{\alpha}_t}$. All terms have this factor, so it cancels. The prediction with the label is called *conditional*, the one without it *unconditional*:
#
# $$
# {\color{#008561}{\tilde{\boldsymbol{\epsilon}}}}(\mathbf{x}_t, t) = {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) + s \left({\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t, y) - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)\right)
# $$
#
# Our $s$ is the `scale` of the package and the `guidance_scale` of diffusers. Ho & Salimans (eq. 6) write $(1 + w)\, \boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t, y) - w\, \boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)$.
# That is the same with $w = s - 1$: their $w = 0$ is our $s = 1$. Check which one a paper means.
#
# **5. One network for both: drop labels in training.** Two networks would do, one with labels and one without. One is enough. In each training step, replace every label by *no label* with a small probability $p$ (Ho & Salimans 2022, algorithm 1). On average, the loss is then
#
# $$
# (1 - p)\; L_\text{simple}\text{ with the label} \;+\; p\; L_\text{simple}\text{ without it}
# $$
#
# The smallest squared error belongs to the mean of the noise, given all that the network knows. So the first term teaches $\mathbb{E}[\boldsymbol{\epsilon} \mid \mathbf{x}_t, y]$, and the second $\mathbb{E}[\boldsymbol{\epsilon} \mid \mathbf{x}_t]$. Those are the two predictions of step 4.
# Our network lost one label in ten. If you drop none, the network has never learned to answer without a label, and what you subtract in step 4 is arbitrary.
#
# ## Rebuild it
#
# Three functions: one for training, two for sampling. `guided` returns a function of $\mathbf{x}_t$ and $t$, so that any sampler takes it as if it were a network.
# Try it first, if you like: fill in the next cell, then compare with the one below it.


# %%
def drop_labels(labels, classes, share, generator):
    """Replace each label with probability `share` by `classes`, which means no label."""
    # your lines


def guided_noise(unconditional, conditional, scale):
    """The noise of step 4."""
    # your lines


def guided(model, label, scale):
    """Turn model(x_t, t, label) into a model(x_t, t) with this label and scale."""
    # your lines


# %%
def drop_labels(labels, classes, share, generator):
    """Replace each label with probability `share` by `classes`, which means no label."""
    dropped = torch.rand(len(labels), generator=generator) < share  # (b,)
    return torch.where(dropped, classes, labels)  # (b,)


def guided_noise(unconditional, conditional, scale):
    """The noise of step 4."""
    return unconditional + scale * (conditional - unconditional)  # (b, *dims)


# %%
def guided(model, label, scale):
    """Turn model(x_t, t, label) into a model(x_t, t) with this label and scale."""

    def predicted_noise(x_t, t):
        unconditional = model(x_t, t, None)  # (b, *dims)
        conditional = model(x_t, t, label)  # (b, *dims), label is (b,)
        return guided_noise(unconditional, conditional, scale)  # (b, *dims)

    return predicted_noise


# %% [markdown]
# Watch a batch of sevens lose some of its labels. Then draw four sevens with `guided`: they are those of the first picture.

# %%
sevens = torch.full((30,), 7)  # (30,)
print(drop_labels(sevens, 10, 0.1, torch.Generator().manual_seed(1)).tolist())

model = guided(network, sevens[:4], 2)
again = ddim_sample(model, (4, 1, 28, 28), schedule, steps=20, clip=False, start=(starts, 1000))
assert torch.allclose(again, drawn[2][digits == 7], atol=1e-2)

# %% [markdown]
# ## By hand
#
# One pixel, $x_t = 0.4$, at a time where $\bar{\alpha}_t = 0.5$. The network predicts the noise 0.3 without the label, and 0.1 with it.

# %% tags=["worked-example"]
expected = {0: "0.3, 0.2657", 1: "0.1, 0.4657", 2: "-0.1, 0.6657", 4: "-0.5, 1.0657"}
for scale in expected:
    noise = guided_noise(0.3, 0.1, scale)
    x_0 = (0.4 - math.sqrt(0.5) * noise) / math.sqrt(0.5)
    print(f"scale {scale}: 0.3 + {scale} * (0.1 - 0.3) = {noise:.1f}, estimate of x_0: {x_0:.4f}")
    assert f"{noise:.1f}, {x_0:.4f}" == expected[scale]
    w = scale - 1  # the other convention
    assert math.isclose((1 + w) * 0.1 - w * 0.3, noise)

# %% [markdown]
# Each unit of scale moves the estimate by 0.2. Scale 4 moves it out of the range of pixels.
#
# Now Bayes' rule in numbers. The data is two clouds on a line, with centres $\pm 1$, variance 1 and equal shares. At $\bar{\alpha}_t = 0.5$ the centres are at $\pm 0.7071$, and the variance is still 1. Ask for the right cloud, at $x_t = 0.4$.

# %% tags=["worked-example"]
centre = math.sqrt(0.5)
right_share = 1 / (1 + math.exp(-2 * centre * 0.4))  # q(right | x_t)
conditional = centre - 0.4  # the slope of log N(x; 0.7071, 1)
unconditional = right_share * (centre - 0.4) + (1 - right_share) * (-centre - 0.4)
push = 2 * centre * (1 - right_share)  # the slope of log q(right | x_t)
print(f"q(right | x_t) = {right_share:.4f}")
print(f"conditional score {conditional:.4f} = unconditional {unconditional:.4f} + push {push:.4f}")
print(f"at scale 3: {unconditional:.4f} + 3 * {push:.4f} = {unconditional + 3 * push:.4f}")
assert f"{right_share:.4f} {unconditional + 3 * push:.4f}" == "0.6378 1.3317"
assert math.isclose(conditional, unconditional + push)

# %% [markdown]
# The less likely the right cloud is at $x_t$, the larger the push. Far to the right it is nearly 0, because there is nothing left to decide.

# %% [markdown]
# ## Believe it
#
# **The formula is exact.** Take two clouds that overlap, with unequal shares. At every $t$ their scores are known, with the label and without it (lesson 08), so you can write down a perfect network.

# %%
means = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)  # (2, 1)
shares, variance = torch.tensor([0.6, 0.4], dtype=torch.float64), 0.36
mixture = GaussianMixture(means, variance, shares)
clouds = [GaussianMixture(means[k : k + 1], variance, shares[k : k + 1]) for k in (0, 1)]


def exact_noise(x_t, t, label):
    """What a perfect network predicts, with a label for each point or with None."""
    if label is None:
        return noise_from_score(mixture.score(x_t, t, schedule), t, schedule)  # (n, 1)
    scores = torch.stack([cloud.score(x_t, t, schedule) for cloud in clouds])  # (2, n, 1)
    return noise_from_score(scores[label, torch.arange(len(x_t))], t, schedule)  # (n, 1)


# %% [markdown]
# The check uses neither scores nor guidance. It writes down $\log q(\mathbf{x}_t) + s \log q(y \mid \mathbf{x}_t)$ and lets PyTorch differentiate.


# %%
def slope(x_t, t, label, scale):
    """The gradient of log q(x_t) + scale * log q(y | x_t), by autograd."""
    x_t = x_t.clone().requires_grad_()  # (n, 1)
    alpha_bar = schedule.alpha_bar[t][:, None]  # (n, 1)
    width = (alpha_bar * variance + 1 - alpha_bar).sqrt()  # (n, 1)
    bells = torch.distributions.Normal(alpha_bar.sqrt() * means.T, width)
    joint = bells.log_prob(x_t) + shares.log()  # (n, 2) log q(x_t, y)
    log_x = joint.logsumexp(1)  # (n,) log q(x_t)
    log_y = joint.log_softmax(1)[torch.arange(len(x_t)), label]  # (n,) log q(y | x_t)
    return torch.autograd.grad((log_x + scale * log_y).sum(), x_t)[0]  # (n, 1)


# %%
generator = torch.Generator().manual_seed(10)
x_t = 2 * torch.randn(2000, 1, generator=generator, dtype=torch.float64)  # (n, 1)
t = schedule.sample_t(2000, generator=generator)  # (n,)
label = torch.randint(2, (2000,), generator=generator)  # (n,)
worst = 0.0
for scale in (0, 0.5, 1, 2, 4, 8):
    score = score_from_noise(guided(exact_noise, label, scale)(x_t, t), t, schedule)  # (n, 1)
    worst = max(worst, (score - slope(x_t, t, label, scale)).abs().max().item())
print("largest difference below 1e-9:", worst < 1e-9)
assert worst < 1e-9

# %% [markdown]
# **What it does not promise.** Does a guided sampler draw from $q(\mathbf{x}_0)\, q(y \mid \mathbf{x}_0)^s$, made to sum to 1? This *sharpened density* is what one might expect. On a grid you can compute it.
# Compare it with what the sampler draws with the perfect network, asked for the right cloud.

# %%
def draw_points(model, x_T):
    """Points on the line from these starts, in 100 steps of lesson 09."""
    return ddim_sample(model, x_T.shape, schedule, steps=100, clip=False, start=(x_T, schedule.T))


grid = torch.linspace(-4, 5, 1801, dtype=torch.float64)  # (k,)
log_x, log_right = (m.log_density(grid[:, None], 0, schedule) for m in (mixture, clouds[1]))
right = torch.ones(4000, dtype=torch.int64)  # (n,) the label of the right cloud
line_T = torch.randn(4000, 1, generator=generator, dtype=torch.float64)  # (n, 1)
sharpened, points = {}, {}
for scale in (1, 2, 4):
    sharpened[scale] = (log_x + scale * (log_right - log_x)).softmax(0)  # (k,)
    points[scale] = draw_points(guided(exact_noise, right, scale), line_T)  # (n, 1)
    mean = (sharpened[scale] * grid).sum()  # ()
    print(f"scale {scale}: mean of density {mean:.1f}, of points {points[scale].mean():.1f}")
assert abs(points[1].mean() - 1) < 0.03 and abs(points[1].std() - 0.6) < 0.03
assert points[4].mean() > mean + 0.5 and points[4].std() < 0.4

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(1, 3, height=2.4, sharey=True)
for axis, scale in zip(axes[0], points):
    heap = points[scale][:, 0].numpy()
    axis.hist(heap, bins=50, density=True, color=COLOURS["network"], alpha=0.45)
    axis.plot(grid.numpy(), 200 * sharpened[1].numpy(), color=COLOURS["clean"])
    if scale > 1:
        axis.plot(grid.numpy(), 200 * sharpened[scale].numpy(), "--", color=INK, linewidth=1.2)
    axis.set(title=f"scale {scale}", xlim=(-1.3, 3.6), xlabel="$x_0$", ylim=(0, 1.5))
axes[0, 0].set_ylabel("density")
axes[0, 0].text(-1.2, 0.85, "the right\ncloud", color=COLOURS["clean"])
axes[0, 0].text(1.9, 0.5, "points drawn", color=COLOURS["network"])
axes[0, 2].text(-1.2, 0.9, "sharpened\ndensity")
show(
    figure,
    "As the scale grows, the points leave the cloud that was asked for and crowd together; the "
    "sharpened density hardly moves.",
)

# %% [markdown]
# At scale 1 the sampler draws the right cloud. Above it, the points go past their own cloud, and crowd together, because the push is stronger for those that are nearer to the other cloud.
#
# The sharpened density is not what comes out, because *sharpen, then add noise* is not *add noise, then sharpen*. The guided score is that of $q(\mathbf{x}_t)\, q(y \mid \mathbf{x}_t)^s$ at each $t$, and adding noise to the sharpened density at $t = 0$ gives another ([Bradley & Nakkiran 2024](https://arxiv.org/abs/2408.09000)).
# So think of guidance as a push in the right direction, and look at results to decide how strong it should be.
#
# **One network holds both predictions.** Noise 200 of the 500 held-out digits, and predict the noise in four ways. For comparison, one of them is the network of lessons 06 and 07, which has never seen a label. Each error is divided by the error without a label.

# %%
plain_network, _, _ = load_pretrained("mnist")
images, labels = load_mnist("test")
images, labels = images[:200], labels[:200]  # (200, 1, 28, 28), (200,)

# %%
for t in (200, 600):
    x_t, noise = forward_diffusion(images, t, schedule, generator=torch.Generator().manual_seed(t))
    times = torch.full((200,), t)  # (200,)
    with torch.inference_mode():
        predictions = {
            "no label": network(x_t, times, None),
            "never saw labels": plain_network(x_t, times),
            "right label": network(x_t, times, labels),
            "wrong label": network(x_t, times, (labels + 1) % 10),
        }
    error = {name: (p - noise).square().mean().item() for name, p in predictions.items()}
    ratio = {name: value / error["no label"] for name, value in error.items()}
    print(f"t = {t}: " + ", ".join(f"{name} {value:.2f}" for name, value in ratio.items()))
assert 0.8 < ratio["never saw labels"] < 1.25
assert ratio["right label"] < 0.9 and ratio["wrong label"] > 1.1

# %% [markdown]
# Without a label, the network does about as well as one that was trained without labels. At $t = 600$ the right label helps, and a wrong one does harm. At $t = 200$ the label hardly matters, because the digit can be read in $\mathbf{x}_t$ itself.

# %% [markdown]
# ## What the scale buys, and what it costs
#
# `python tools/measure_results.py guidance` drew 250 digits at each scale, 25 of each class, in 25 steps. Three numbers describe them.
# - **Read as asked**: the share in which the classifier reads the digit that was asked for.
# - **Diversity**: how far apart two digits of one class are, as the mean distance over their 784 pixels.
# - **Fréchet distance** to the training digits, as in lesson 07. It compares whole sets, so that it counts both wrong digits and missing ones. Smaller is better.
#
# The last row has as many held-out digits, the same number of each class.

# %%
results = json.loads((ASSETS / "results.json").read_text())["guidance"]
table = {int(scale): row for scale, row in results["scales"].items()}
real = results["real"]
print("scale   read as asked   diversity   Fréchet distance")
for name, row in [*table.items(), ("real", real)]:
    print(f"{name:<5}{row['asked']:>15.0%}{row['diversity']:>13.1f}{row['frechet']:>15.1f}")
assert table[1]["asked"] < table[2]["asked"] <= table[4]["asked"]
assert table[1]["diversity"] > table[2]["diversity"] > table[4]["diversity"]
best = min(table, key=lambda scale: table[scale]["frechet"])
assert best == 1 and table[8]["frechet"] > 1.5 * table[best]["frechet"]

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(1, 2, height=2.8)
trade, distance = axes[0]
told = {scale: row for scale, row in table.items() if scale > 0}
x, y = ([row[key] for row in told.values()] for key in ("diversity", "asked"))
trade.plot(x, y, "o-", color=COLOURS["network"])
below = {"textcoords": "offset points", "ha": "right"}
for scale, row in told.items():
    words = f"scale {scale}" if scale == 1 else str(scale)
    point = (row["diversity"], row["asked"])
    trade.annotate(words, point, (0, -14), **below, color=COLOURS["network"])
trade.plot(real["diversity"], real["asked"], "o", color=COLOURS["clean"])
beside = {"color": COLOURS["clean"], "ha": "right"}
trade.text(real["diversity"] - 0.1, real["asked"], "real", va="center", **beside)
trade.set(xlabel="diversity within a class", ylabel="share read as asked")
trade.margins(0.18)
places = range(len(table))
distance.plot(places, [row["frechet"] for row in table.values()], "o-", color=COLOURS["network"])
distance.axhline(real["frechet"], color=COLOURS["clean"], linewidth=1)
distance.text(len(table) - 1, real["frechet"] * 0.9, "real", va="top", **beside)
distance.set(xlabel="scale", ylabel="Fréchet distance", ylim=(0, None))
distance.set_xticks(places, list(table))
show(
    figure,
    "Left: from scale 1 on, more digits are read as asked and the digits of a class grow alike; "
    "real digits are both readable and diverse. "
    "Right: the distance to the training digits is smallest for a small scale, and grows again with a large one.",
)

# %% [markdown]
# From scale 1 on, you pay for readable digits with variety. (At scale 0 the diversity is large for a bad reason: each "class" holds all ten digits.) The classifier likes what guidance makes, typical digits. It cannot see that the slanted, thin and odd ones are missing.
# The Fréchet distance can. It is smallest at scale 1, and a larger scale makes it worse, although every digit can be read.
#
# Strokes become bolder, too. Count the pixels that are nearly white:

# %%
white = {scale: (images > 0.9).float().mean().item() for scale, images in drawn.items()}
held_out, _ = load_mnist("test")
real_white = (held_out > 0.9).float().mean().item()
print(f"white pixels: scale 1 {white[1]:.0%}, scale 4 {white[4]:.0%}, real digits {real_white:.0%}")
assert white[4] > 1.2 * white[1]

# %% [markdown]
# ## Same as the package
#
# The package's `guidance` module holds these functions with checks of their input. It also takes one label for all images, and at scale 1 it asks the network only once. One line compares yours with it on random input, at several scales and shares.

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("10", globals())

# %% [markdown]
# ## Play
#
# **Draw me a 7.** Choose a digit and a scale. From which scale on do you read the digit in all four? From which on do they begin to look alike? All digits are drawn beforehand, so that a move only shows them.

# %%
for scale in (0.5, 8):
    drawn[scale] = asked_for(digits, x_T, scale)


# %% jupyter={"source_hidden": true}
def draw_asked(digit, scale):
    images = drawn[scale][digits == digit]  # (4, 1, 28, 28)
    figure, axes = new_figure(1, 4, height=2.0)
    for axis, image, seen in zip(axes[0], images, read(images).tolist()):
        draw_image(axis, image, f"read as {seen}")
    caption = f"Asked for {digit} at scale {scale:g}: above each digit, what the classifier reads."
    return figure, caption


# %%
play(
    draw_asked,
    digit=ipywidgets.Dropdown(options=range(10), value=7),
    scale=ipywidgets.SelectionSlider(options=sorted(drawn), value=2),
)

# %% [markdown]
# ## Mistakes people make
#
# **1. The scale is off by one.** A paper's $w$ is used as $s$, or the other way round.
#
# **2. The two predictions are swapped.** Then scale $s$ acts as $1 - s$: with $u$ the unconditional and $c$ the conditional prediction, $c + s\,(u - c) = u + (1 - s)(c - u)$.
#
# Ask the perfect network for the right cloud at scale 2, right and wrong:

# %%
centres = {}
for name, scale in (("right", 2), ("off by one", 2 + 1), ("swapped", 1 - 2)):
    x_0 = draw_points(guided(exact_noise, right, scale), line_T)  # (n, 1)
    centres[name] = x_0.mean().item()
    print(f"{name:<11} mean {centres[name]:+.1f}, right of 0: {(x_0 > 0).float().mean():.0%}")
assert centres["off by one"] > centres["right"] + 0.1 and centres["swapped"] < -1
assert math.isclose(guided_noise(0.1, 0.3, 2), guided_noise(0.3, 0.1, 1 - 2))

# %% [markdown]
# Off by one is quiet: the points lie farther out, and look right. So test with scale 1, which must give the conditional prediction, and with scale 0, which must not look at the label. Swapped is loud: the points flee from the cloud that was asked for.
#
# **3. DDIM clips, and keeps the guided noise.** All digits above were drawn with `clip=False`. By default `ddim_sample` clips the estimate of $\mathbf{x}_0$. Ten digits at scale 4, from one start:

# %%
ten = torch.arange(10)  # (10,)
start = (starts[:1].repeat(10, 1, 1, 1), 1000)
clipped = ddim_sample(guided(network, ten, 4), (10, 1, 28, 28), schedule, steps=20, start=start)
rows = {"clip=False": drawn[4][::4], "clip=True": clipped}  # (10, 1, 28, 28) each
agreed = {name: (read(images) == ten).sum().item() for name, images in rows.items()}
print("read as asked:", ", ".join(f"{name} {count} of 10" for name, count in agreed.items()))
assert agreed["clip=False"] >= 8 and agreed["clip=True"] <= 5

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(2, 10, height=1.5)
for row, (name, images) in zip(axes, rows.items()):
    row[0].text(-3, 14, name, ha="right", va="center")
    for axis, image in zip(row, images):
        draw_image(axis, image)
for axis, digit in zip(axes[0], ten.tolist()):
    axis.set_title(str(digit))
show(
    figure,
    "Asked for 0 to 9 at scale 4, from one start: above, the digits that were asked for; "
    "below, with the default clip=True, other digits come out, or none.",
)

# %% [markdown]
# Why? DDIM noises its estimate again, with the *predicted* noise. Beyond scale 1, guidance adds to this prediction, compared with scale 1, $\delta = (\text{scale} - 1)(c - u)$. In an unclipped step from $t$ to $s$, that changes $\mathbf{x}_s$ by
#
# $$
# \left(\sqrt{1 - \bar{\alpha}_s} - \sqrt{\frac{\bar{\alpha}_s}{\bar{\alpha}_t}} \sqrt{1 - \bar{\alpha}_t}\right) \delta
# $$
#
# The second term comes through the estimate, and it is the larger one: more noise predicted means more noise removed. Where the estimate is held at $\pm 1$, only the first term is left, with the other sign. Such a pixel moves away from the label.
# So do not clip, or compute the noise anew from the clipped estimate, as the measurement above did. The sampler of lesson 06 is safe, because its posterior takes the estimate and never the predicted noise.

# %% [markdown]
# ## Check yourself
#
# **1.** Your model draws the same digit whatever label you ask for. Which scale do you suspect, and which test do you run?
#
# <details><summary>Answer</summary>
# Scale 0, or a label that does not reach the network. Compare model(x_t, t, 3) with model(x_t, t, 7) at a middle t: they must differ. Then check that scale 1 gives the conditional prediction.
# </details>
#
# **2.** A paper reports its best results at w = 0.3. Which scale do you set here?
#
# <details><summary>Answer</summary>
# 1.3. Here scale 1 is the plain conditional network, which is w = 0 there.
# </details>
#
# **3.** Why does a step cost twice as much at scale 2 as at scale 1?
#
# <details><summary>Answer</summary>
# It asks the network twice, with the label and without it. At scale 1 the two unconditional terms cancel, and the package asks once.
# </details>
#
# **4.** You draw 1,000 digits at scale 4, to train a classifier with them. What will it lack?
#
# <details><summary>Answer</summary>
# The unusual digits. Digits of one class are more alike than real ones, so the classifier sees the middle of each class and not its edges.
# </details>
#
# **Look it up:** [questions about labels and guidance](../docs/questions.md#labels-and-guidance), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [10 · Guidance](../exercises/10_guidance.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [11 · Other targets](11_targets.ipynb) lets the network predict something other than the noise.
