# %% [markdown]
# # 07 · Training
#
# **You will**
# - write one training step, the running average of the weights, and the loop around them,
# - train a network for a minute, see why it draws only strokes, and train another that draws digits after two,
# - measure how good your digits are, and find where NaN in a training comes from.
#
# **You need** the loss ([04 · Loss](04_loss.ipynb)), the network ([05 · U-Net](05_unet.ipynb)) and the sampler ([06 · Sampler](06_sampler.ipynb)).
#
# **It takes** 30 minutes to read and about four minutes to run on two cores.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import copy
import math
import time
from dataclasses import replace

import ipywidgets
import matplotlib
import torch
from torch import nn

from minddpm import UNet, UNetConfig, forward_diffusion, linear_schedule, load_mnist, sample
from minddpm.checkpoints import load_pretrained
from minddpm.metrics import digit_report, load_classifier, nearest_training
from minddpm_course.figures import STYLE, image_grid, show, show_live
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
images, labels = load_mnist("train")  # (4500, 1, 28, 28) in [-1, 1], and (4500,) in 0..9
held_out, _ = load_mnist("test")  # (500, 1, 28, 28), not trained on
shipped, shipped_schedule, _ = load_pretrained("mnist")

# %% [markdown]
# ## The idea in a picture
#
# The last layer of a fresh network is zero, so it predicts no noise at all. The clean image that it sees in ${\color{#B3528C}{\mathbf{x}_t}}$ is then $\mathbf{x}_t$ itself, with more contrast.
# A trained network takes the noise out. Between the two lie thousands of small steps that lower one number: the loss.

# %% jupyter={"source_hidden": true}
from minddpm import x0_from_noise
from minddpm_course.figures import COLOURS, GREY, draw_image, in_a_row, new_figure

torch.manual_seed(0)
fresh = UNet().eval()
x_t, _ = forward_diffusion(
    held_out[:8], 300, shipped_schedule, generator=torch.Generator().manual_seed(7)
)
views = {"noisy, t = 300": x_t}
for name, network in (("fresh network", fresh), ("trained network", shipped)):
    with torch.inference_mode():
        predicted_noise = network(x_t, torch.full((8,), 300))
    views[name] = x0_from_noise(x_t, 300, predicted_noise, shipped_schedule)
figure, axes = new_figure(3, 9, height=2.5, width_ratios=[1.6] + [1] * 8)
for row, (name, pictures) in enumerate(views.items()):
    colour = COLOURS["network" if row else "noisy"]
    axes[row, 0].set_axis_off()
    axes[row, 0].text(0, 0.5, name, color=colour, va="center", transform=axes[row, 0].transAxes)
    for column in range(8):
        draw_image(axes[row, column + 1], pictures[column])
show(
    figure,
    "Asked for the clean image, a fresh network gives the noisy one back; "
    "the trained one has learned what digits look like.",
)

# %% [markdown]
# ## The derivation
#
# Lesson 04 ended with the loss (eq. 14 of [Ho et al. 2020](https://arxiv.org/abs/2006.11239)):
#
# $$
# L_{\text{simple}} = \mathbb{E}_{t, \mathbf{x}_0, \boldsymbol{\epsilon}} \left[ \left\| {\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}\left(\sqrt{\bar{\alpha}_t}\, {\color{#0072B2}{\mathbf{x}_0}} + \sqrt{1 - \bar{\alpha}_t}\, {\color{#C05500}{\boldsymbol{\epsilon}}},\; t\right) \right\|^2 \right].
# $$
#
# ### From an expectation to a step
#
# You cannot compute this expectation, but you can draw from it: some images, and a time and noise for each. The mean over these draws has the right expectation, and so has its gradient.
# A small step against the gradient lowers the loss on average. This is **stochastic gradient descent**, and here it is algorithm 1 of the paper:
#
# 1. take a **batch** ${\color{#0072B2}{\mathbf{x}_0}}$ of clean images;
# 2. draw a timestep $t$ uniformly from $1, \ldots, T$, one for each image;
# 3. draw ${\color{#C05500}{\boldsymbol{\epsilon}}} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$;
# 4. step along $-\nabla_\theta \|{\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)\|^2$, and repeat.
#
# When each image has had its turn, an **epoch** is over. The step itself is that of [Adam](https://arxiv.org/abs/1412.6980), which gives each weight its own step size.
#
# ### The learning rate
#
# The **learning rate** is the size of the steps. The first gradients are large and erratic, so it rises from near 0 to its peak. This is the **warm-up**. Then it falls to 0 like half a cosine, so that the weights come to rest.
#
# ### The running average
#
# A gradient from a few random draws is noisy, so the weights jitter. Keep a second set of
# weights that follows the first slowly, and draw images with that one. It is the **exponential moving average** (EMA) of the weights, with a decay $d$ just below 1 (the paper uses 0.9999):
#
# $$
# \bar{\theta}_n = d\, \bar{\theta}_{n-1} + (1 - d)\, \theta_n = (1 - d) \sum_{k=1}^{n} d^{\,n-k}\, \theta_k + d^{\,n}\, \theta_0.
# $$
#
# The weights of the last $1/(1-d)$ steps count most. The last term is the random start, and it fades slowly when $d$ is near 1. So the decay begins smaller: $d_n = \min\left(d, \frac{1 + n}{10 + n}\right)$ at update $n = 0, 1, \ldots$
#
# ### The least possible loss
#
# The loss never reaches 0. Many pairs of image and noise give the same $\mathbf{x}_t$, and the best prediction is the mean of their noise, $\mathbb{E}[\boldsymbol{\epsilon} | \mathbf{x}_t]$. What remains is the variance of
# the noise given $\mathbf{x}_t$. For pixels from $\mathcal{N}(m, s^2)$ it has a closed form. The variance of $\epsilon$ is 1, that of $x_t$ is $\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t$, and their covariance is $\sqrt{1 - \bar{\alpha}_t}$. So
#
# $$
# \operatorname{var}(\epsilon | x_t) = 1 - \frac{1 - \bar{\alpha}_t}{\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t} = \frac{\bar{\alpha}_t s^2}{\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t}.
# $$
#
# At small $t$ it is near 1, because noise so faint cannot be told from the data. At large $t$ it is near 0, because $x_t$ is almost nothing but noise.

# %% [markdown]
# ## Rebuild it
#
# Try it first, if you like: before each function stands an empty one to fill in.
#
# Algorithm 1 begins with the loss of lesson 04. The rest is the same for any loss, so the step takes the loss as an argument.

# %%
def train_step(model, x_0, optimizer, schedule, *, loss, generator):
    """Take one gradient step, and return the loss before it."""
    ...


# %%
def simple_loss(model, x_0, schedule, *, generator):
    t = schedule.sample_t(len(x_0), generator=generator)  # (b,), a time for each image, 1..T
    x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)  # (b, 1, 28, 28) each
    return (noise - model(x_t, t)).square().mean()  # ()


def train_step(model, x_0, optimizer, schedule, *, loss=simple_loss, generator):
    value = loss(model, x_0, schedule, generator=generator)  # ()
    optimizer.zero_grad()  # PyTorch adds new gradients to old ones
    value.backward()
    optimizer.step()
    return value.detach()  # (), without its gradients


# %% [markdown]
# The running average, in a copy of the model.

# %%
class EMA:
    """The average of a model's weights: average <- d average + (1 - d) weights."""

    def __init__(self, model, decay): ...

    def update(self, model): ...


# %%
class EMA:
    def __init__(self, model, decay=0.999):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    def update(self, model):
        d = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, weight in zip(self.model.parameters(), model.parameters()):
            average.copy_(d * average + (1 - d) * weight.detach())
        self.updates += 1


# %% [markdown]
# The learning rate, as a share of its peak: up in a line for 500 steps, or a tenth of a short run, then down.

# %%
def warm_cosine(step, steps):
    """The learning rate at a step 0..steps-1, as a share of its peak."""
    ...


# %%
def warm_cosine(step, steps):
    warmup = min(500, steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% [markdown]
# The loop. Each epoch has a new order, and each step a seed of its own, so that a run can be stopped and taken up again.

# %%
def train(model, images, schedule, *, optimizer, steps, batch_size, loss, ema_decay):
    """Train, and yield the loss of each step and the average so far."""
    ...


# %%
def train(
    model, images, schedule, *, optimizer, steps, batch_size, loss=simple_loss, ema_decay=0.999
):
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_cosine(step, steps))
    average, generator = EMA(model, ema_decay), torch.Generator()
    for step in range(steps):
        epoch, batch = divmod(step, len(images) // batch_size)
        order = torch.randperm(len(images), generator=generator.manual_seed(epoch))  # (n,)
        x_0 = images[order[batch * batch_size : (batch + 1) * batch_size]]  # (b, 1, 28, 28)
        generator.manual_seed(500_000_000 + step)
        value = train_step(model, x_0, optimizer, schedule, loss=loss, generator=generator)
        rate.step()
        average.update(model)
        yield value, average


# %% [markdown]
# ## By hand
#
# An example of one gradient step. The network has a single weight, $\hat{\epsilon} = w\, x_t$. The pixel is that of lesson 02: $x_0 = 0.8$, noise 0.3, $\bar{\alpha}_t = 0.5$, so
# $x_t = 0.778$. Start at $w = 0.2$, with learning rate 0.1. The derivative of $(w x_t - \epsilon)^2$ with respect to $w$ is $2\, (w x_t - \epsilon)\, x_t$.

# %% tags=["worked-example"]
x_t = math.sqrt(0.5) * 0.8 + math.sqrt(0.5) * 0.3
predicted = 0.2 * x_t
gradient = 2 * (predicted - 0.3) * x_t
new_w = 0.2 - 0.1 * gradient
losses = (predicted - 0.3) ** 2, (new_w * x_t - 0.3) ** 2
print(f"x_t = {x_t:.3f}, predicted {predicted:.4f}, loss {losses[0]:.4f}")
print(f"gradient {gradient:.4f}, new w {new_w:.4f}, new loss {losses[1]:.4f}")
assert [round(loss, 4) for loss in losses] == [0.0209, 0.0161]

# %% [markdown]
# Two updates of an average with decay 0.9. It starts at 0.5; the weight is 0.7, then 0.6. Below that, the share of the random start after 200 updates with decay 0.999.

# %% tags=["worked-example"]
first = 0.9 * 0.5 + 0.1 * 0.7
second = 0.9 * first + 0.1 * 0.6
print(f"0.9 * 0.5 + 0.1 * 0.7 = {first:.3f}, 0.9 * {first:.3f} + 0.1 * 0.6 = {second:.3f}")
kept = math.prod(min(0.999, (1 + n) / (10 + n)) for n in range(200))
print(f"left of the start: {0.999**200:.2f} with a fixed decay, {kept:.0e} with the rising one")
assert (round(first, 3), round(second, 3)) == (0.52, 0.528) and kept < 1e-6

# %% [markdown]
# ## Believe it
#
# Take pixels from $\mathcal{N}(0.5, 0.3^2)$ and 50 steps of noise. For these you know the best prediction, from lesson 06, and its loss. Do the two agree, on 200,000 pixels?

# %%
m, s = 0.5, 0.3
toy = linear_schedule(50, 0.002, 0.4)
pixels, fresh_pixels = m + s * torch.randn(2, 200_000, generator=torch.Generator().manual_seed(7))
generator = torch.Generator().manual_seed(8)
times = toy.sample_t(200_000, generator=generator)  # (200000,)
noisy, noise = forward_diffusion(fresh_pixels, times, toy, generator=generator)


def best_prediction(x_t, t):
    alpha_bar = toy.alpha_bar[t].float()  # (b,)
    slope = (1 - alpha_bar).sqrt() / (alpha_bar * s**2 + 1 - alpha_bar)
    return slope * (x_t - alpha_bar.sqrt() * m)  # (b,)


measured = (noise - best_prediction(noisy, times)).square().mean().item()
signal = toy.alpha_bar[1:] * s**2  # (50,)
least = (signal / (signal + 1 - toy.alpha_bar[1:])).mean().item()
print(f"least possible loss: measured {measured:.2f}, by the formula {least:.2f}")
assert abs(measured - least) < 0.003, "4 standard errors"

# %% [markdown]
# Now train one line $\hat{\epsilon} = a_t x_t + b_t$ for each $t$. Its loss exceeds the least possible one by its mean squared distance from the best prediction.


# %%
class Lines(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(51)), nn.Parameter(torch.zeros(51))

    def forward(self, x_t, t):
        return self.a[t] * x_t + self.b[t]  # (b,)


def excess(model):
    return (model(noisy, times) - best_prediction(noisy, times)).square().mean().item()


# %%
def fit_lines(loss=simple_loss):
    lines = Lines()
    optimizer = torch.optim.Adam(lines.parameters(), lr=0.03)
    list(train(lines, pixels, toy, optimizer=optimizer, steps=1500, batch_size=512, loss=loss))
    return lines


lines = fit_lines()
print(f"above the least possible loss: {excess(Lines()):.2f} before training")
print("less than 0.002 after it:", excess(lines) < 0.002)
assert excess(lines) < 0.002

# %% [markdown]
# Training finds the minimum that algebra gives, so the step is right.

# %% [markdown]
# ## Same as the package
#
# From equal weights and seeds: single steps, averages, learning rates, and a short run of the whole loop.

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("07", globals())

# %% [markdown]
# ## A minute of training
#
# Now your loop trains the U-Net of lesson 05 on the 4,500 digits. Grey dots are the losses of single batches. The line is the loss of the running average on a hundred held-out digits.

# %%
schedule = linear_schedule()


@torch.inference_mode()
def held_out_loss(model):
    generator = torch.Generator().manual_seed(7)  # the same times and noise at each call
    return simple_loss(model, held_out[:100], schedule, generator=generator).item()


# %% jupyter={"source_hidden": true}
def loss_so_far(losses, checks):
    figure, ((axis,),) = new_figure(height=2.6)
    axis.plot(range(1, len(losses) + 1), losses, ".", color=GREY, markersize=3)
    axis.plot(list(checks), list(checks.values()), color=COLOURS["network"])
    axis.text(0.97, 0.9, "each batch", color=GREY, ha="right", transform=axis.transAxes)
    axis.text(
        0.97, 0.8, "held-out digits", color=COLOURS["network"], ha="right", transform=axis.transAxes
    )
    ticks = [0.03, 0.1, 0.3, 1]
    axis.set(xlabel="step", ylabel="loss", xlim=(0, 150), yscale="log", ylim=(0.02, 1.3))
    axis.set(yticks=ticks, yticklabels=ticks)
    axis.minorticks_off()
    return figure, "The loss starts at 1 and falls to less than a tenth of it; batches scatter."


# %% tags=["nbval-ignore-output"]
torch.manual_seed(7)
model = UNet()
optimizer = torch.optim.Adam(model.parameters(), lr=2.5e-3)
losses, checks = [], {0: held_out_loss(model)}
began, show_again = time.process_time(), show_live()
for loss, average in train(model, images, schedule, optimizer=optimizer, steps=150, batch_size=64):
    losses.append(loss.item())
    if len(losses) % 25 == 0:
        checks[len(losses)] = held_out_loss(average.model)
        show_again(*loss_so_far(losses, checks))
print(f"{64 * 150 / len(images):.1f} epochs, {time.process_time() - began:.0f} processor seconds")
print(f"held-out loss: average {checks[150]:.3f}, weights {held_out_loss(model):.3f}")
assert abs(losses[0] - 1) < 0.05, "a fresh network predicts 0, and noise has variance 1"
assert checks[150] < 0.1

# %% [markdown]
# Both losses fall together. If the first went on falling while that on held-out digits rose, the network would be learning the training digits by heart: **overfitting**.
# **Data augmentation** helps against it: `minddpm train --recipe paper` turns and stretches each digit a little, by new amounts each time, so that few digits stand for many.
#
# What does the sampler of lesson 06 make of this minute?

# %%
generator = torch.Generator().manual_seed(2020)
strokes = sample(average.model, (10, 1, 28, 28), schedule, generator=generator)
show(
    image_grid(strokes),
    "After a minute of training the sampler gives strokes on a dark ground, few of them digits.",
)

# %% [markdown]
# ## What the average does
#
# In so short a run, little: the falling learning rate calms the weights, too. While the rate is high, you see what the average is for. So train the lines once more, plan 20,000 steps, and stop after 2,000.

# %%
lines, distance = Lines(), {"weights": [], "average": []}
optimizer = torch.optim.Adam(lines.parameters(), lr=0.03)
run = train(lines, pixels, toy, optimizer=optimizer, steps=20_000, batch_size=512, ema_decay=0.99)
for step, (_, average_line) in zip(range(2000), run):
    if step % 20 == 0:
        distance["weights"].append(excess(lines))
        distance["average"].append(excess(average_line.model))
late = {name: sum(values[50:]) / 50 for name, values in distance.items()}
print("the average is more than five times as near:", late["weights"] > 5 * late["average"])
assert late["weights"] > 5 * late["average"]

# %% jupyter={"source_hidden": true}
figure, ((axis,),) = new_figure(height=2.4)
for name, colour in (("weights", GREY), ("average", COLOURS["network"])):
    axis.plot(range(0, 2000, 20), distance[name], color=colour)
axis.text(2010, late["weights"], "weights", color=GREY, va="center")
axis.text(2010, late["average"], "average", color=COLOURS["network"], va="center")
axis.set(xlabel="step", ylabel="loss above the least", xlim=(0, 2000), yscale="log")
show(
    figure,
    "At a high learning rate the weights jitter above the least possible loss, and do not come "
    "nearer; their average follows them at first, and then lies far below.",
)

# %% [markdown]
# So draw images with the average, above all while a run is under way.

# %% [markdown]
# ## Where the loss is small
#
# Why only strokes, at so small a loss? Look at each $t$ by itself, with the shipped network, which trained for much longer: at the error of returning $\mathbf{x}_t$ unchanged, at the network's error of the noise, and at its error of the clean image.

# %%
grid = [1, 2, 5, 10, 20, 50, *range(100, 1000, 100), 990]
copied, noise_error, image_error = {}, {}, {}
generator = torch.Generator().manual_seed(7)
for t in grid:
    x, noise = forward_diffusion(held_out[:100], t, shipped_schedule, generator=generator)
    with torch.inference_mode():
        predicted_noise = shipped(x, torch.full((100,), t))  # (100, 1, 28, 28)
    copied[t] = (x - noise).square().mean().item()
    noise_error[t] = (predicted_noise - noise).square().mean().item()
    image_error[t] = noise_error[t] / shipped_schedule.snr[t].item()
for t in (10, 100, 500, 700):
    print(f"t = {t:>3}: x_t unchanged {copied[t]:.2f}", end=", ")
    print(f"the network's noise {noise_error[t]:.4f}, its image {image_error[t]:.4f}")
assert noise_error[10] > noise_error[100] > noise_error[500] > noise_error[700]
assert image_error[10] < image_error[100] < image_error[500] < image_error[700]

# %% [markdown]
# The loss is smallest at large $t$, where $\mathbf{x}_t$ is almost nothing but noise. Returning $\mathbf{x}_t$ unchanged is almost right there, and even that must be learned. But the image is hidden.
# The estimate of $\mathbf{x}_0$ divides by $\sqrt{\bar{\alpha}_t}$, so that a tiny error of the noise is a large one of the image. In sampling, the shape of a digit is decided at these times, and $L_{\text{simple}}$ hardly counts them.

# %% [markdown]
# ## Digits in two minutes
#
# `minddpm.recipes.FAST` changes six things, and none of them touches what you derived. [Measured one by one](../benchmarks/README.md), the first three matter most.
#
# - **Late times count more.** The error of each image is multiplied by $1 / \bar{\alpha}_t$ ([Salimans & Ho 2022](https://arxiv.org/abs/2202.00512)), but by 25 at most. The minimum stays where it was, because the best prediction at one $t$ does not depend on its weight.
# - **A label.** The network is told which digit it sees, and later which one to draw. [Lesson 10](10_guidance.ipynb) says how, and why one label in ten is left out.
# - **Even steps.** [Muon](https://kellerjordan.github.io/posts/muon/) takes the place of Adam. A gradient is large in a few directions only, and Muon makes the step equally long in all.
# - **The cosine schedule** of [lesson 01](01_schedule.ipynb) ([Nichol & Dhariwal 2021](https://arxiv.org/abs/2102.09672)) spends fewer steps where nothing is left of the image.
# - **Fewer places.** The network sees each square of $2 \times 2$ pixels as one place with four channels. So its finest layers do a quarter of the work.
# - **Less to say.** The network predicts only how the noise differs from ${\color{#B3528C}{\mathbf{x}_t}}$. At large $t$ that is next to nothing.
#
# The loop is yours. It only passes batches on, so let it pass the images' places in the data: the loss looks up image and label.

# %%
from minddpm.guidance import drop_labels
from minddpm.recipes import FAST
from minddpm.weighting import weighted_loss

fast_schedule = FAST.schedule()


def labelled_loss(model, places, schedule, *, generator):
    told = drop_labels(labels[places], 10, 0.1, generator=generator)  # (b,), one in ten left out
    return weighted_loss(
        lambda x_t, t: model(x_t, t, told), images[places], schedule, generator=generator
    )


# %% [markdown]
# At five moments the network draws a hundred digits, ten of each, always from the same noise and in 20 long steps ([lesson 09](09_ddim.ipynb)). You see the first ten.

# %% jupyter={"source_hidden": true}
from minddpm import guided, posterior_variance, respaced


def draw_digits(network, digits, seed):
    few, shorter = respaced(guided(network, digits, 2.0), fast_schedule, 20)
    generator, shape = torch.Generator().manual_seed(seed), (len(digits), 1, 28, 28)
    return sample(few, shape, shorter, variance=posterior_variance, generator=generator)


def digits_so_far(drawn):
    widths = [1.7] + [1] * 10
    figure, axes = new_figure(len(drawn), 11, height=0.62 * len(drawn), width_ratios=widths)
    for row, (seen, digits) in zip(axes, drawn.items()):
        row[0].set_axis_off()
        row[0].text(0, 0.5, f"{seen:,} images", va="center", transform=row[0].transAxes)
        for axis, digit in zip(row[1:], digits):
            draw_image(axis, digit)
    return figure, "A row for each moment of the training: strokes come first, then digits."


# %% tags=["nbval-ignore-output"]
torch.manual_seed(7)
network = UNet(replace(FAST.network, classes=10))  # random weights, a quarter of a million
optimizer = FAST.optimizer(network, lr=FAST.learning_rate)
settings = {"steps": 900, "batch_size": 64, "loss": labelled_loss, "ema_decay": FAST.ema_decay}
run = train(network, torch.arange(len(images)), fast_schedule, optimizer=optimizer, **settings)
asked = torch.arange(100) % 10  # (100,), 0, 1, ..., 9, 0, 1, ...
drawn, began, show_again = {}, time.process_time(), show_live()
for step, (_, average) in enumerate(run, start=1):
    if step in (75, 300, 450, 600, 900):
        drawn[64 * step] = draw_digits(average.model, asked, seed=2020)
        show_again(*digits_so_far(drawn))
print(f"{64 * step / len(images):.0f} epochs, {time.process_time() - began:.0f} processor seconds")

# %%
hundred = drawn[57_600]  # (100, 1, 28, 28)
show(
    image_grid(hundred[:40]),
    "Forty of the last hundred, none left out, asked for in the order 0 to 9: most can be read.",
)

# %% [markdown]
# All this came from random weights. In a terminal, `minddpm train --labels --minutes 5` takes five minutes, and keeps what was learned.

# %% [markdown]
# ## How you know that digits are good
#
# **A classifier reads them.** It was trained on real digits. You know what you asked for, so count how often it agrees. That it is sure means less: it knows nothing but digits, so it is often sure of a scribble.
#
# **The Fréchet distance** ([Heusel et al. 2017](https://arxiv.org/abs/1706.08500)) compares two sets of images by the mean and covariance of the classifier's features: 0 for equal ones, and the larger the less alike. It also sees what no single image shows, such as sevens that are all the same.
# It depends on the number of images, so compare a hundred digits only with a hundred real ones.

# %% tags=["nbval-ignore-output"]
classifier = load_classifier()
print("images seen  read as asked  sure  Fréchet distance, each of 100 digits")
for seen, digits in drawn.items():
    right = (classifier(digits).argmax(1) == asked).sum().item()
    report = digit_report(digits)
    sure, distance = 100 * report.images.confident, report.images.frechet
    print(f"{seen:>11,}{right:>15}{sure:>6.0f}{distance:>18.1f}")
print(f"real digits {report.drawn_frechet:>38.1f}")

# %%
print("more than 70 of 100 are read as the digit that was asked for:", right > 70)
assert right > 70
assert report.images.frechet < 10 * report.drawn_frechet, "a hundred digits each"

# %% [markdown]
# **The nearest training digit** shows whether the network learned by heart. A copy would lie at a distance near 0. Compare with the distances of held-out digits.

# %%
distance, index = nearest_training(hundred)  # (100,) each
normal, _ = nearest_training(held_out)  # (500,)
pairs = torch.cat([hundred[:10], images[index[:10]]])
titles = [f"{d:.1f}" for d in distance[:10]] + [""] * 10
show(
    image_grid(pairs, titles),
    "Above, your digits; below, the training digit nearest to each, at the distance written above.",
)
apart = (distance.min() > normal.quantile(0.01) / 2).item()
print("all are at least half as far as 99% of the held-out digits:", apart)
assert apart

# %% [markdown]
# If yours look worse, the page [Is it a bug?](../docs/diagnosis.md) names mistakes by how they look.

# %% [markdown]
# ## Play
#
# **From which $t$ on does the network know which digit it is?** Move $t$ down from 1000, and watch the estimate $\hat{\mathbf{x}}_0$ and the two errors.

# %% jupyter={"source_hidden": true}
def digits_at(t):
    generator = torch.Generator().manual_seed(7)
    x_t, _ = forward_diffusion(held_out[:3], t, shipped_schedule, generator=generator)
    with torch.inference_mode():
        predicted_noise = shipped(x_t, torch.full((3,), t))
    estimate = x0_from_noise(x_t, t, predicted_noise, shipped_schedule).clamp(-1, 1)
    figure, axes = new_figure(3, 2, height=3.4, width_ratios=[3, 2.8])
    draw_image(axes[0, 0], in_a_row(held_out[:3]), "clean", COLOURS["clean"])
    draw_image(axes[1, 0], in_a_row(x_t), "$x_t$", COLOURS["noisy"], limits=(-2, 2))
    draw_image(axes[2, 0], in_a_row(estimate), r"$\hat x_0$", COLOURS["network"])
    for row in (1, 2):
        axes[row, 1].remove()
    axis = axes[0, 1]
    axis.set_subplotspec(axis.get_gridspec()[:, 1])
    axis.plot(grid, list(noise_error.values()), color=COLOURS["noise"])
    axis.plot(grid, list(image_error.values()), color=COLOURS["network"])
    axis.text(30, 1.3 * noise_error[50], "of the noise", color=COLOURS["noise"])
    axis.text(980, 0.4 * image_error[500], "of the image", color=COLOURS["network"], ha="right")
    axis.axvline(t, color=COLOURS["noisy"], linewidth=1)
    axis.set(yscale="log", xlabel="time t", ylabel="squared error", xlim=(0, 1000), ylim=(1e-5, 10))
    caption = f"At t = {t}: clean digits, noisy ones, and what the network sees behind the noise."
    return figure, caption


# %%
play(digits_at, t=ipywidgets.IntSlider(700, 1, 1000))

# %% [markdown]
# Where the error of the noise is lowest, the estimate is a blur. It becomes one digit as the error of the image falls.

# %% [markdown]
# ## Mistakes people make
#
# **1. Blaming the learning rate for NaN.** It is the usual suspect, but half precision and NaN in the data come first. Try all three on a tiny U-Net.

# %%
def forty_steps(images, learning_rate=2.5e-3, dtype=torch.float32):
    torch.manual_seed(7)
    tiny = UNet(UNetConfig(channels=(8, 16))).to(dtype)
    optimizer = torch.optim.Adam(tiny.parameters(), lr=learning_rate)
    run = train(tiny, images.to(dtype), schedule, optimizer=optimizer, steps=40, batch_size=16)
    for step, (loss, _) in enumerate(run, start=1):
        if loss.isnan():
            return f"NaN at step {step}"
    return f"no NaN, last loss {'below' if loss < 0.3 else 'above'} 0.3"


# %%
digits = images[:640]
spoilt = digits.clone()
spoilt[300, 0, 14, 14] = math.nan
print("as it should be:   ", forty_steps(digits))
print("half precision:    ", forty_steps(digits, dtype=torch.float16))
print("one pixel is NaN:  ", forty_steps(spoilt))
print("200 times the rate:", forty_steps(digits, learning_rate=0.5))

# %% [markdown]
# - Half precision (float16) has no number between 0 and $6 \cdot 10^{-8}$. Adam divides by a root plus $10^{-8}$, which is 0 there, and most gradients of the first step are 0, too: it computes 0 / 0. Use bfloat16, or autocast with float32 weights.
# - One bad pixel spoils all weights as soon as its batch comes. Assert that `images.isfinite().all()`.
# - Adam's steps are bounded, so that a rate far too high makes the network useless, but not NaN.
#
# The package's `train` stops at a loss that is not finite, and names the step.
#
# **2. Drawing $t$ from $0, \ldots, T-1$** with arrays in which $t = 0$ is the clean image. Then $\mathbf{x}_0$ holds no noise, yet the network is asked for it. And $t = T$, where the sampler starts, never comes up.

# %%
def loss_from_zero(model, x_0, schedule, *, generator):
    t = torch.randint(0, schedule.T, (len(x_0),), generator=generator)  # the mistake
    x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)
    return (noise - model(x_t, t)).square().mean()


right_lines, off = fit_lines(), fit_lines(loss_from_zero)
print(f"slope learned at t = T: {off.a[toy.T]:.2f} (trained rightly: {right_lines.a[toy.T]:.1f})")
assert off.a[toy.T] == 0 and abs(right_lines.a[toy.T] - 1) < 0.1

# %% [markdown]
# **3. Uniform noise**: `rand` for `randn`, numbers between 0 and 1. The loss looks better from the first step. The samples do not.

# %%
def uniform_loss(model, x_0, schedule, *, generator):
    t = schedule.sample_t(len(x_0), generator=generator)
    noise = torch.rand(x_0.shape, generator=generator)  # the mistake
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    return (noise - model(x_t, t)).square().mean()


for name, loss in (("normal", simple_loss), ("uniform", uniform_loss)):
    generator = torch.Generator().manual_seed(7)
    first, trained = loss(Lines(), pixels, toy, generator=generator), fit_lines(loss)
    x_0 = sample(trained, (20_000,), toy, clip=False, generator=generator)  # (20000,)
    drew = f"samples have mean {x_0.mean():.1f}, std {x_0.std():.1f}"
    print(f"{name:<7} noise: first loss {first:.2f}, {drew}; the data {m}, {s}")
assert abs(first - 1 / 3) < 0.01 and abs(x_0.mean() - m) > 0.1

# %% [markdown]
# ## Check yourself
#
# <details><summary>Your loss is 0.03 and does not fall any more. Is training stuck?</summary>
#
# Perhaps it is done: the least possible loss is the variance of the noise given the noisy image, not 0. And samples improve while the loss hardly falls, because most of it comes from small t.
# </details>
#
# <details><summary>You draw one t for the whole batch, not one for each image. Is the gradient wrong?</summary>
#
# It is right on average, but it scatters more: the loss of such a batch tells you mostly which time it drew.
# </details>
#
# **Look it up:** [questions about training](../docs/questions.md#training), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [07 · Training](../exercises/07_training.ipynb). What you write is checked on fresh numbers, and a known mistake is named. Milestone: your loop and your step train a U-Net on digits.
#
# **Next:** [08 · The score](08_score.ipynb) shows that your network has learned something else, too: the slope of the data's log density.
