# %% [markdown]
# # 07 · Training, and what comes out
#
# **You will**
# - write the training step, the running average of the weights and the loop around them;
# - check training against problems whose best possible loss is known;
# - train a network for a minute, sample from it, and measure a network that trained for longer;
# - train another for two minutes, and draw digits with it;
# - measure which choices matter, and check each claim of the guide, the text that this course grew from.
#
# **You need** the loss ([04 Loss](04_loss.ipynb)), the network ([05 U-Net](05_unet.ipynb)) and the sampler ([06 Sampler](06_sampler.ipynb)).
#
# **It takes** 35 minutes to read and four minutes to run.

# %%
import copy
import csv
import json
import math
import time

import torch
from torch import nn

from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm.loss import simple_loss
from minddpm.noising import forward_diffusion, forward_step, x0_from_noise
from minddpm.posterior import beta_variance, posterior_coefficients, posterior_variance, q_posterior
from minddpm.sampler import reverse_step, sample, sample_steps
from minddpm.schedule import Schedule, linear_schedule
from minddpm.unet import UNet, UNetConfig
from minddpm_course.figures import (
    COLOURS,
    GREY,
    INK,
    draw_image,
    image_grid,
    new_figure,
    show,
    to_html,
)

shipped, schedule, about = load_pretrained("mnist")
shipped.requires_grad_(False)
images, _ = load_mnist("train")  # (4500, 1, 28, 28), in [-1, 1]
held_out, _ = load_mnist("test")  # (500, 1, 28, 28)

# %% [markdown]
# ## The idea in a picture
#
# A fresh network predicts no noise at all. So the clean image that it sees in ${\color{#B3528C}{\mathbf{x}_t}}$ is $\mathbf{x}_t$ itself, with more contrast. A trained network takes the
# noise out. Between the two lies one number, the loss, and many thousand small steps that lower it. Below are the two networks' views of the same
# eight digits, and the loss of the run that made the shipped weights.

# %%
torch.manual_seed(0)
fresh = UNet().eval().requires_grad_(False)
x_t, _ = forward_diffusion(held_out[:8], 300, schedule, generator=torch.Generator().manual_seed(7))
t_300 = torch.full((8,), 300)
views = {
    "noisy, t = 300": x_t,
    "fresh network": x0_from_noise(x_t, 300, fresh(x_t, t_300), schedule),
    "trained network": x0_from_noise(x_t, 300, shipped(x_t, t_300), schedule),
}
figure, axes = new_figure(3, 9, height=2.5, width_ratios=[1.6] + [1] * 8)
for row, (word, pictures) in enumerate(views.items()):
    axes[row, 0].set_axis_off()
    axes[row, 0].text(0, 0.5, word, color=COLOURS["network" if row else "noisy"], va="center", transform=axes[row, 0].transAxes)
    for column in range(8):
        draw_image(axes[row, column + 1], pictures[column])
show(figure, "Asked for the clean image, a fresh network gives the noisy one back; the trained one has learned what digits look like.")

# %%
with (ASSETS / "ddpm_mnist_log.csv").open(newline="") as file:
    log = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
seen = [row["images"] / 1000 for row in log]
turn = next(n for n in range(1, len(log)) if log[n]["learning_rate"] > 10 * log[n - 1]["learning_rate"])  # the second stage begins
figure, axes = new_figure(1, 1, height=2.6)
axes[0, 0].plot(seen, [row["loss"] for row in log], color=COLOURS["network"])
axes[0, 0].plot(seen, [row["held_out_loss"] for row in log], color=COLOURS["clean"])
axes[0, 0].text(seen[-1], log[-1]["loss"], " training", color=COLOURS["network"], va="top")
axes[0, 0].text(seen[-1], log[-1]["held_out_loss"], " held-out", color=COLOURS["clean"], va="bottom")
ticks = [0.02, 0.03, 0.05, 0.1, 0.2]
axes[0, 0].set(xlabel="thousands of images seen", ylabel="loss", xlim=(0, None), yscale="log", ylim=(0.018, 0.25), yticks=ticks, yticklabels=ticks)
axes[0, 0].minorticks_off()
axes[0, 0].axvline(seen[turn - 1], color=GREY, linewidth=1, linestyle="--")
axes[0, 0].text(seen[turn - 1], 0.2, "turned and stretched  ", color=GREY, ha="right")
axes[0, 0].text(seen[turn - 1], 0.2, "  as they are", color=GREY)
show(figure, "The loss of the shipped run falls fast and then ever more slowly; once the digits are shown as they are, that on unseen digits drops again.")
print(f"the shipped run: {log[turn - 1]['images']:,.0f} images turned and stretched, then {log[-1]['images'] - log[turn - 1]['images']:,.0f} as they are, {about['batch_size']} a step")
print(f"held-out loss: {log[turn - 1]['held_out_loss']:.4f} after the first stage, {log[-1]['held_out_loss']:.4f} at the end")
assert log[-1]["held_out_loss"] < log[turn - 1]["held_out_loss"] < log[0]["held_out_loss"]

# %% [markdown]
# In the first stage each digit was turned and stretched a little, by new amounts each time, so that few digits stand for many. That has a price. A turned digit is made
# of averages of pixels, and so is smoother than a scanned one. The network learned that as well. In the second stage it saw the digits as they are.

# %% [markdown]
# ## The derivation
#
# Lesson 04 ended with the loss (eq. 14 of the paper):
#
# $$
# L_{\text{simple}} = \mathbb{E}_{t, \mathbf{x}_0, \boldsymbol{\epsilon}} \left[ \left\| {\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}\left(\sqrt{\bar{\alpha}_t}\, {\color{#0072B2}{\mathbf{x}_0}} + \sqrt{1 - \bar{\alpha}_t}\, {\color{#C05500}{\boldsymbol{\epsilon}}},\; t\right) \right\|^2 \right].
# $$
#
# **From an expectation to a step.** You cannot compute this expectation. You can draw from it: a batch of clean images, one $t$ for each, noise for each. The mean over the batch
# has the right expectation, and so has its gradient. Going a little against the gradient lowers the loss on average. That is **stochastic gradient descent**, and with
# these draws it is algorithm 1 of the paper:
#
# 1. take a batch ${\color{#0072B2}{\mathbf{x}_0}}$ of clean images;
# 2. draw $t$ uniformly from $1, \ldots, T$, one for each image;
# 3. draw ${\color{#C05500}{\boldsymbol{\epsilon}}} \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$;
# 4. step along $-\nabla_\theta \|{\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)\|^2$; repeat.
#
# Here the norm is divided by the number of pixels. That scales the gradient and moves no minimum. The step itself is Adam's, which gives each weight its own step size.
#
# **The running average.** A step taken from 64 random draws is a noisy step. The weights jitter around where they are heading. So keep a second set of
# weights, which follows the first slowly. This is the **exponential moving average** (EMA), with a decay $d$ just below 1 (the paper uses 0.9999, appendix B):
#
# $$
# \bar{\theta}_n = d\, \bar{\theta}_{n-1} + (1 - d)\, \theta_n = (1 - d) \sum_{k=1}^{n} d^{\,n-k}\, \theta_k + d^{\,n}\, \theta_0.
# $$
#
# The weights of the last $1/(1-d)$ steps count most. The last term is the random start. It fades slowly if $d$ is near 1. So begin with a smaller decay: $d_n = \min\left(d, \frac{1 + n}{10 + n}\right)$ at update $n = 0, 1, \ldots$
#
# **The step size.** It rises from near 0 to its peak, because the first gradients are wild, and falls to 0 like half a cosine, so that the jitter dies out at the end.
#
# **What loss can you hope for?** Not 0. Many pairs of image and noise give the same $\mathbf{x}_t$, and the best prediction is their mean, $\mathbb{E}[\boldsymbol{\epsilon} | \mathbf{x}_t]$. What is left is the variance of
# the noise given $\mathbf{x}_t$. For pixels from $\mathcal{N}(m, s^2)$ it has a closed form. The variance of $\epsilon$ is 1, that of $x_t$ is $\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t$, and their covariance is $\sqrt{1 - \bar{\alpha}_t}$. So
#
# $$
# \operatorname{var}(\epsilon | x_t) = 1 - \frac{1 - \bar{\alpha}_t}{\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t} = \frac{\bar{\alpha}_t s^2}{\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t}.
# $$
#
# At small $t$ it is near 1: such faint noise cannot be told from the data. At large $t$ it is near 0: $x_t$ *is* the noise, nearly. The prediction $\hat{\epsilon} = x_t$ alone then errs by only
# $\bar{\alpha}_t\, \mathbb{E}x_0^2 + (1 - \sqrt{1 - \bar{\alpha}_t})^2$. A small loss at large $t$ is no merit.

# %% [markdown]
# ## Rebuild it
#
# Algorithm 1, one step. Lines 2 to 4 up to the norm are the loss; the rest is the same for any loss, so the step takes the loss as an argument.

# %%
def rebuilt_loss(model, x_0, schedule, *, generator):
    t = schedule.sample_t(len(x_0), generator=generator)  # (b,), one time for each image, from 1..T
    noise = torch.randn(x_0.shape, generator=generator)  # (b, 1, 28, 28), standard normal
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)  # (b, 1, 28, 28)
    predicted_noise = model(x_t, t)  # (b, 1, 28, 28)
    return (noise - predicted_noise).square().mean()  # ()


def rebuilt_train_step(model, x_0, optimizer, schedule, *, loss=rebuilt_loss, generator):
    value = loss(model, x_0, schedule, generator=generator)  # ()
    optimizer.zero_grad()  # gradients add up unless cleared
    value.backward()
    optimizer.step()
    return value.detach()  # (), without its gradients


# %% [markdown]
# The running average.

# %%
class RebuiltEMA:
    def __init__(self, model, decay=0.999):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    def update(self, model):
        d = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, weight in zip(self.model.parameters(), model.parameters()):
            average.copy_(d * average + (1 - d) * weight.detach())
        self.updates += 1


# %% [markdown]
# The step size, and the loop. Each pass over the images goes in a new order. Each step has a seed of its own, so that a run can be stopped and taken up again.

# %%
def rebuilt_rate(step, steps):
    rise = min(500, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / (steps - rise))) / 2


def rebuilt_train(model, images, schedule, *, steps, batch_size, learning_rate, seed=0, loss=rebuilt_loss):
    optimizer = torch.optim.Adam(model.parameters())
    average, generator = RebuiltEMA(model), torch.Generator()
    for step in range(steps):
        epoch, batch = divmod(step, len(images) // batch_size)
        order = torch.randperm(len(images), generator=generator.manual_seed(seed * 1_000_003 + epoch))
        x_0 = images[order[batch * batch_size : (batch + 1) * batch_size]]  # (b, 1, 28, 28)
        generator.manual_seed(seed * 1_000_003 + 500_000_000 + step)
        optimizer.param_groups[0]["lr"] = learning_rate * rebuilt_rate(step, steps)
        last_loss = rebuilt_train_step(model, x_0, optimizer, schedule, loss=loss, generator=generator)
        average.update(model)
        yield last_loss, average


# %% [markdown]
# ## By hand
#
# One gradient step of a network with a single weight: $\hat{\epsilon} = w\, x_t$. Take the pixel of lesson 02: $x_0 = 0.8$, noise 0.3, $\bar{\alpha}_t = 0.5$, hence
# $x_t = 0.778$. Start at $w = 0.2$, with step size 0.1. The derivative of $(w x_t - \epsilon)^2$ by $w$ is $2\, (w x_t - \epsilon)\, x_t$.

# %% tags=["worked-example"]
x_pixel = math.sqrt(0.5) * 0.8 + math.sqrt(0.5) * 0.3
predicted = 0.2 * x_pixel
loss = (predicted - 0.3) ** 2
gradient = 2 * (predicted - 0.3) * x_pixel
new_w = 0.2 - 0.1 * gradient
new_loss = (new_w * x_pixel - 0.3) ** 2
print(f"x_t = {x_pixel:.3f}, predicted {predicted:.4f}, loss {loss:.4f}")
print(f"gradient {gradient:.4f}, new w {new_w:.4f}, new loss {new_loss:.4f}")
assert (round(x_pixel, 3), round(predicted, 4), round(loss, 4)) == (0.778, 0.1556, 0.0209)
assert (round(gradient, 4), round(new_w, 4), round(new_loss, 4)) == (-0.2247, 0.2225, 0.0161)

w = torch.tensor(0.2, requires_grad=True)
(w * x_pixel - 0.3).square().backward()
assert abs(w.grad.item() - gradient) < 1e-6, "automatic differentiation agrees"

# %% [markdown]
# Two updates of an average with decay 0.9. It starts at 0.5; the weight is 0.7, then 0.6.

# %% tags=["worked-example"]
first = 0.9 * 0.5 + 0.1 * 0.7
second = 0.9 * first + 0.1 * 0.6
print(f"0.9 * 0.5 + 0.1 * 0.7 = {first:.3f}")
print(f"0.9 * {first:.3f} + 0.1 * 0.6 = {second:.3f}")
assert (round(first, 3), round(second, 3)) == (0.52, 0.528)
assert abs(second - (0.1 * (0.9 * 0.7 + 0.6) + 0.9**2 * 0.5)) < 1e-12, "the sum in the derivation"

# %% [markdown]
# The average forgets slowly. After 200 steps with decay 0.999, the random start still has this share of it; with the smaller decay of the first steps, this.

# %%
kept = math.prod(min(0.999, (1 + n) / (10 + n)) for n in range(200))
print(f"share of the start after 200 updates: {0.999**200:.2f} with a fixed decay, {kept:.0e} with the rising one")
assert kept < 1e-6 < 0.7 < 0.999**200

# %% [markdown]
# ## Believe it
#
# **Known minimum.** Pixels from $\mathcal{N}(0.5, 0.3^2)$, and 50 steps of noise. First the formula against a fit: draw 100,000 pairs of $x_t$ and noise, and fit the best line by
# least squares. Its loss must lie within 4 standard errors of the closed form.

# %%
m, s = 0.5, 0.3
toy = linear_schedule(50, 0.002, 0.4)
best = (toy.alpha_bar * s**2 / (toy.alpha_bar * s**2 + 1 - toy.alpha_bar))[1:]  # (50,), t = 1..50
generator = torch.Generator().manual_seed(7)
for t in (1, 5, 10, 20, 50):
    x_0 = m + s * torch.randn(100_000, generator=generator, dtype=torch.float64)
    x_toy, noise = forward_diffusion(x_0, t, toy, generator=generator)
    design = torch.stack([x_toy, torch.ones_like(x_toy)], dim=1)  # (100000, 2)
    line = torch.linalg.lstsq(design, noise[:, None]).solution  # (2, 1)
    squares = (noise - (design @ line)[:, 0]).square()
    print(f"t = {t:>2}: least squares {squares.mean():.3f}, closed form {best[t - 1]:.3f}")
    assert abs(squares.mean() - best[t - 1]) < 4 * squares.std() / math.sqrt(len(squares))


# %% [markdown]
# Now training. The tiny model has a line of its own for each $t$. Run the training step above, and compare its exact expected loss with the minimum.

# %%
class Lines(nn.Module):
    def __init__(self, T):
        super().__init__()
        self.slope, self.shift = nn.Parameter(torch.zeros(T + 1)), nn.Parameter(torch.zeros(T + 1))

    def forward(self, x_t, t):
        return self.slope[t] * x_t + self.shift[t]  # (b,)


def excess(model):
    """The expected loss of the lines, less the least possible, on average over t = 1..T."""
    slope, shift = model.slope.detach().double()[1:], model.shift.detach().double()[1:]
    root, rest = toy.alpha_bar[1:].sqrt(), 1 - toy.alpha_bar[1:]
    spread = toy.alpha_bar[1:] * s**2 + rest
    loss = 1 - 2 * slope * rest.sqrt() + slope**2 * spread + (slope * root * m + shift) ** 2
    return (loss - best).mean().item()


def fit_lines(steps=1500, rate=lambda step: 0.03 * rebuilt_rate(step, 1500), loss=rebuilt_loss):
    model, generator = Lines(toy.T), torch.Generator().manual_seed(7)
    optimizer, average = torch.optim.Adam(model.parameters()), RebuiltEMA(model, 0.99)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate(step)
        x_0 = m + s * torch.randn(512, generator=generator)  # (512,)
        rebuilt_train_step(model, x_0, optimizer, toy, loss=loss, generator=generator)
        average.update(model)
    return model, average.model


lines, _ = fit_lines()
print(f"least possible loss {best.mean():.3f}; before training {excess(Lines(toy.T)):.3f} above it")
print("after training less than 0.002 above it:", excess(lines) < 0.002)
assert 0 <= excess(lines) < 0.002

# %% [markdown]
# Training finds the minimum that algebra gives. So the step is right, and what a network misses is a matter of the network and of time.

# %% [markdown]
# ## Same as the package
#
# From equal weights and equal seeds: one step, the average, and a short run of the whole loop. Then a run that is stopped and taken up again.

# %%
from minddpm.training import EMA, TrainState, train, train_step, warm_cosine


def close(a, b):
    return all(torch.allclose(x, y, atol=2e-5) for x, y in zip(a.parameters(), b.parameters(), strict=True))


small = UNetConfig(channels=(8, 16))
torch.manual_seed(7)
start = UNet(small)
for parameter in start.parameters():  # away from zero, so that every weight has a gradient
    nn.init.normal_(parameter, std=0.1)

yours, theirs = copy.deepcopy(start), copy.deepcopy(start)
optimizers = [torch.optim.SGD(model.parameters(), lr=0.01) for model in (yours, theirs)]
averages = RebuiltEMA(yours, 0.9), EMA(theirs, 0.9)
for step in range(3):
    batch = images[8 * step : 8 * step + 8]
    seeds = [torch.Generator().manual_seed(step) for _ in range(2)]
    a = rebuilt_train_step(yours, batch, optimizers[0], schedule, generator=seeds[0])
    b = train_step(theirs, batch, optimizers[1], schedule, generator=seeds[1])
    averages[0].update(yours)
    averages[1].update(theirs)
    assert abs(a - b) < 1e-5 and close(yours, theirs) and close(averages[0].model, averages[1].model)
assert not close(theirs, start) and not close(averages[1].model, theirs)

assert all(abs(warm_cosine(step, 300) - rebuilt_rate(step, 300)) < 1e-12 for step in range(300))

pixels = m + s * torch.randn(40, generator=torch.Generator().manual_seed(7))
pixels = pixels.clamp(-1, 1)  # the package refuses to train on images outside this range
options = {"steps": 12, "batch_size": 8, "learning_rate": 1e-2}
yours, theirs = Lines(toy.T), Lines(toy.T)
for last_loss, average in rebuilt_train(yours, pixels, toy, **options):
    pass
for state in train(theirs, pixels, toy, **options):
    if state.step == 5:
        saved = state.tensors()
assert isinstance(state, TrainState) and (state.step, state.images_seen) == (12, 96)
assert abs(last_loss - state.loss) < 1e-5 and close(yours, theirs) and close(average.model, state.average.model)
assert not close(theirs, Lines(toy.T))

for again in train(Lines(toy.T), pixels, toy, resume=saved, **options):
    pass
assert close(again.model, state.model) and close(again.average.model, state.average.model)
print("step, average, step size, loop, and a run taken up again: equal")


# %% [markdown]
# ### A minute of training
#
# Now train the real network, with the package's `train`, on the 4,500 digits. The picture is drawn again every 25 steps. The held-out loss is
# measured twice: with the weights as they are, and with their running average.

# %%
spread_t = torch.linspace(1, 1000, 100).long()  # a hundred held-out digits, each at its own time
spread_x, spread_noise = forward_diffusion(held_out[:100], spread_t, schedule, generator=torch.Generator().manual_seed(7))


@torch.inference_mode()
def held_out_loss(model):
    was_training = model.training
    loss = (model.eval()(spread_x, spread_t) - spread_noise).square().mean().item()
    model.train(was_training)
    return loss


def draw_live(losses, checks):
    figure, axes = new_figure(1, 1, height=2.8)
    axes[0, 0].plot(range(1, len(losses) + 1), losses, ".", color=GREY, markersize=3)
    steps = [step for step, _, _ in checks]
    for place, colour, word in ((1, COLOURS["noise"], "held-out, weights"), (2, COLOURS["network"], "held-out, average")):
        axes[0, 0].plot(steps, [check[place] for check in checks], color=colour)
        axes[0, 0].text(0.97, 0.94 - 0.1 * place, word, color=colour, ha="right", transform=axes[0, 0].transAxes)
    axes[0, 0].text(0.97, 0.94, "each step's batch", color=GREY, ha="right", transform=axes[0, 0].transAxes)
    axes[0, 0].set(yscale="log", xlabel="step", ylabel="loss", xlim=(0, 150), ylim=(0.02, 1.3))
    caption = "The loss starts at 1 and falls within a hundred steps to less than a tenth; single batches scatter."
    return {"text/html": to_html(figure, caption), "text/plain": caption}


# %% tags=["nbval-ignore-output"]
from IPython.display import display

torch.manual_seed(7)
live = UNet()
losses, checks = [], [(0, held_out_loss(live), held_out_loss(live))]
began = time.perf_counter()
picture = display(draw_live(losses, checks), raw=True, display_id=True)
for state in train(live, images, schedule, steps=150, batch_size=64, learning_rate=2.5e-3):
    losses.append(state.loss)
    if state.step % 25 == 0:
        checks.append((state.step, held_out_loss(live), held_out_loss(state.average.model)))
        picture.update(draw_live(losses, checks), raw=True)
print(f"{state.images_seen:,} images in {time.perf_counter() - began:.0f} s, held-out loss {checks[-1][2]:.3f}")

# %%
print("first loss:", round(losses[0], 1), "- held-out loss at the end below 0.1:", checks[-1][2] < 0.1)
assert abs(losses[0] - 1) < 0.05, "a fresh network predicts 0, and noise has variance 1"
assert checks[-1][2] < 0.1

# %% [markdown]
# What does the sampler make of it?

# %%
minute = sample(state.average.model, (10, 1, 28, 28), schedule, generator=torch.Generator().manual_seed(2020))
show(image_grid(minute), "After a minute of training the sampler gives strokes on a dark ground, few of them digits.")

# %% [markdown]
# ### After longer training
#
# The package ships weights that saw far more images, with small random turns and stretches of them. Here are their first 20 samples from one seed. Nobody picked.

# %%
trajectory = sample_steps(shipped, (20, 1, 28, 28), schedule, generator=torch.Generator().manual_seed(2020))
estimates = {step.t: step.x_0 for step in trajectory}  # at t = 1000, ..., 1; at t = 0 the samples
drawn = estimates[0]  # (20, 1, 28, 28)
show(image_grid(drawn), "Twenty samples of the shipped network, seed 2020, none left out: most are digits that you can read.")
assert drawn.abs().max() <= 1

# %% [markdown]
# **The loss over $t$**, on 100 held-out digits. Two predictions that need no network stand beside it. The first says $\hat{\boldsymbol{\epsilon}} = \mathbf{x}_t$. The second is the best *linear* one, fitted to the
# training digits: for each principal direction of the digits, with variance $\lambda$, the closed form of the derivation applies with $s^2 = \lambda$.

# %%
grid = [1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1000]
with torch.inference_mode():
    generator = torch.Generator().manual_seed(7)
    rows = []
    for t in grid:
        x, noise = forward_diffusion(held_out[:100], t, schedule, generator=generator)
        rows.append((shipped(x, torch.full((100,), t)) - noise).square().mean((1, 2, 3)))
    per_image = torch.stack(rows)  # (17, 100), times by images
network_loss = dict(zip(grid, per_image.mean(1).tolist()))

variances = torch.linalg.eigvalsh(images.flatten(1).double().T.cov()).clamp(min=0)  # (784,)
power = images.double().square().mean()
linear, copying = {}, {}
for t in range(1, 1001):
    alpha_bar = schedule.alpha_bar[t]
    linear[t] = (alpha_bar * variances / (alpha_bar * variances + 1 - alpha_bar)).mean().item()
    copying[t] = (alpha_bar * power + (1 - (1 - alpha_bar).sqrt()) ** 2).item()

for t in (10, 100, 300, 500, 1000):
    print(f"t = {t:>4}: predict x_t {copying[t]:.1e}, best line {linear[t]:.1e}, network {network_loss[t]:.1e}")
assert all(network_loss[t] < linear[t] < copying[t] for t in (10, 20, 50, 100, 200, 300, 400))
assert network_loss[1000] < 0.01, "at t = 1000 the noise lies open"

figure, axes = new_figure(1, 1, height=2.9)
for values, colour, word in ((copying, GREY, "predict x_t"), (linear, COLOURS["posterior"], "best linear"), (network_loss, COLOURS["network"], "network")):
    axes[0, 0].plot(list(values), list(values.values()), color=colour)
axes[0, 0].text(150, 1.3 * copying[150], "predict x_t", color=GREY)
axes[0, 0].text(360, 1.25 * linear[360], "best linear", color=COLOURS["posterior"])
axes[0, 0].text(160, 0.5 * network_loss[150], "network", color=COLOURS["network"], ha="right")
axes[0, 0].set(yscale="log", xlabel="time t", ylabel="squared error per pixel", xlim=(0, 1000))
show(figure, "The network errs less than the best linear prediction at small and middle t; at t = 1000 both plain formulas beat it.")

# %% [markdown]
# Near $t = 1000$ the noise lies open: $\mathbf{x}_t$ is nearly equal to it. Whoever says $\mathbf{x}_t$ is nearly right, and a network has to learn to say so.
#
# **The metrics.** A small classifier, trained on the real digits, judges the samples. The *Fréchet distance* compares the mean and covariance of its features on two sets of images:
# 0 for equal ones, larger for less alike. It depends on how many images there are, so the report also gives that of as many real digits. Twenty are few. Read the
# ratio as rough. `python -m minddpm evaluate` measures many.

# %% tags=["nbval-ignore-output"]
from minddpm.metrics import digit_report

report, minute_report = digit_report(drawn), digit_report(minute)
print(report)
print(f"\nafter a minute of training: {100 * minute_report.images.confident:.0f}% of 10 samples are sure")

# %% [markdown]
# The classifier is sure of some of the minute's samples, yet you hardly read one. It was trained on digits alone. Sure is not the same as right.

# %%
print("more than half of the shipped network's samples are sure digits:", report.images.confident > 0.5)
assert report.images.confident > 0.5
assert report.images.frechet < 3 * report.drawn_frechet, "real digits, as many, set the scale"

# %% [markdown]
# **Has it learned the training digits by heart?** Put each sample beside its nearest training image. A copy would look the same, with a distance near 0. The distance of a held-out
# digit to its nearest training image is what two different digits have.

# %%
def nearest(pictures):
    distance, index = torch.cdist(pictures.flatten(1), images.flatten(1)).min(dim=1)  # (n, 784), (4500, 784) -> two of (n,)
    return distance, index


distance, index = nearest(drawn[:10])
held_distance, _ = nearest(held_out)
pairs = torch.cat([drawn[:10], images[index]])
titles = [f"{d:.1f}" for d in distance] + [""] * 10
figure = image_grid(pairs, titles)
show(figure, "Above, samples; below, the nearest training digit of each, at the distance written: no two are the same drawing.")
print("no sample is within half the distance that 99% of held-out digits keep:", bool(nearest(drawn)[0].min() > 0.5 * held_distance.quantile(0.01)))
assert nearest(drawn)[0].min() > 0.5 * held_distance.quantile(0.01)

# %% [markdown]
# ### Which choices matter?
#
# One question at a time, each answered by a number. What takes long was measured by `python tools/measure_results.py samplers bound trainings`, which wrote `results.json`; it is read here.
# Every Fréchet distance below compares 250 images with the training digits. Real digits, as many, have a distance too. It is the scale: around it, this measure cannot tell samples from real digits.

# %%
stored = json.loads((ASSETS / "results.json").read_text())
frechet, bits = stored["samplers"]["frechet"], stored["bound"]["bits_per_dim"]


def mean(values):
    return sum(values) / len(values)


real = stored["samplers"]["held_out"] + stored["samplers"]["train"]
print(f"{stored['samplers']['digits']} real digits, {len(real)} times: {min(real):.2f} to {max(real):.2f}, mean {mean(real):.2f}")
print("        Fréchet distance       bits/dim")
print("steps   beta  beta tilde    beta  beta tilde")
counts = [1000, 250, 100, 50, 20, 10, 5]
for count in map(str, counts):
    row = f"{count:>5}{mean(frechet['beta'][count]):>7.2f}{mean(frechet['beta tilde'][count]):>12.2f}"
    print(row + (f"{bits['beta'][count]['total']:>8.2f}{bits['beta tilde'][count]['total']:>12.2f}" if count in bits["beta"] else ""))
distance_ratio = {count: mean(frechet["beta"][str(count)]) / mean(frechet["beta tilde"][str(count)]) for count in counts}
assert all(0.5 < distance_ratio[count] < 2 for count in (1000, 250, 100, 50)) and all(distance_ratio[count] > 1.3 for count in (10, 5))
assert all(bits["beta"][count]["total"] > bits["beta tilde"][count]["total"] + 0.05 for count in ("1000", "250", "100", "50"))

figure, axes = new_figure(1, 1, height=2.7)
axes[0, 0].axhspan(min(real), max(real), color=COLOURS["clean"], alpha=0.15, linewidth=0)
axes[0, 0].text(4.3, min(real), "real digits", color=COLOURS["clean"], va="bottom")
for name, colour in (("beta", INK), ("beta tilde", COLOURS["posterior"])):
    axes[0, 0].plot(counts, [mean(frechet[name][str(count)]) for count in counts], color=colour)
    for count in counts:
        axes[0, 0].plot([count] * len(frechet[name][str(count)]), frechet[name][str(count)], "o", color=colour, markersize=3)
axes[0, 0].text(7.5, 9, r"$\sigma_t^2 = \beta_t$", color=INK)
axes[0, 0].text(5.3, 2.6, r"$\sigma_t^2 = \tilde\beta_t$", color=COLOURS["posterior"], ha="left")
axes[0, 0].set(xscale="log", yscale="log", xlabel="number of steps", ylabel="Fréchet distance", xticks=counts, xticklabels=counts, yticks=[1, 2, 5, 10], yticklabels=[1, 2, 5, 10])
axes[0, 0].minorticks_off()
show(figure, "Each dot is the distance of 250 samples: with 50 steps or more the two variances lie within a factor of 2 of each other; with 20 or fewer beta tilde fares better.")

# %% [markdown]
# **The variance.** With 50 steps or more, these few batches of samples do not tell the two apart for certain. In bits they are never alike: [lesson 04](04_loss.ipynb) shows that $\beta_t$ pays more at the smallest $t$, and why.
# With few steps, $\beta_t$ adds more noise at each step than $\mathbf{x}_{t-1}$ should hold.
#
# **The schedule, the weight, the average.** The networks below are small, and see few images. They are alike but for the one thing named. Do not compare their distances with those above, only with each other. And only within a table: the first samples with all $T$
# steps, the second with 50 steps of DDIM ([lesson 09](09_ddim.ipynb)).

# %%
trainings = stored["trainings"]
runs, averages = trainings["runs"], trainings["ema"]
print(f"{trainings['parameters']:,} parameters, {trainings['images_seen']:,} images seen")
for name, row in runs.items():
    print(f"{name:<41} Fréchet {row['frechet']:>6.1f}   bits/dim {row['bits_per_dim']:.2f}   alpha_bar_T {row['alpha_bar_T']:.0e}")
print("steps of training" + "".join(f"{step:>8}" for step in averages["raw"]))
for kind, words in (("raw", "weights"), ("average", "their average")):
    print(f"Fréchet, {words:<14}" + "".join(f"{value:>7.1f} " for value in averages[kind].values()).rstrip())


def verdict(a, b, margin=1.1):
    """Is a smaller than b by more than a factor of margin? (One run each, so chance is not ruled out.)"""
    return "less" if a * margin < b else "more" if b * margin < a else "about as much"


def compare(first, second, key):
    return verdict(runs[first][key], runs[second][key], {"frechet": 1.1, "bits_per_dim": 1.02}[key])


base, bound_weight = "linear, T = 1000", "linear, T = 1000, weight of the bound"
print()
for first, second in (("cosine, T = 1000", base), ("cosine, T = 100", "linear, T = 100"), (bound_weight, base)):
    print(f"{first}, beside {second}: Fréchet {compare(first, second, 'frechet')}, bits/dim {compare(first, second, 'bits_per_dim')}")
last = max(averages["raw"], key=int)
print(f"average of the weights, beside the weights, after {last} steps: Fréchet {verdict(averages['average'][last], averages['raw'][last])}")

# %% [markdown]
# A word on what these can say. One run is one run. A factor below 1.1 in distance, or 1.02 in bits, is not called a difference here, and one just above may be chance. Why the cosine schedule costs so many bits was not looked for.
# So short a run does not show what the average of the weights is for. The bound's weight is what [lesson 04](04_loss.ipynb) dropped: it cares for small $t$ most.
#
# **Structure first, detail later?** Take the 20 samples above and the clean images that the network saw on the way to them. Split each image by spatial frequency, with a Fourier transform:
# waves that fit once or twice across the image are its rough shape, waves that fit 10 times or more its edges. For each band, when is the estimate what it will be in the end? The error of a band is
# the power of the difference to the finished sample, over the power of the sample.

# %%
cycles = torch.fft.fftfreq(28, 1 / 28)  # (28,) waves that fit across the image
radius = (cycles[:, None] ** 2 + cycles**2).sqrt()  # (28, 28)
bands = {"1-2": (0.5, 2.5), "3-5": (2.5, 5.5), "6-9": (5.5, 9.5), "10-14": (9.5, 14.5)}
times = sorted(estimates)  # 0..1000
waves = torch.fft.fft2(torch.stack([estimates[t] for t in times])[:, :, 0])  # (1001, 20, 28, 28)
settled, band_error, band_power = {}, {}, {}
for band, (low, high) in bands.items():
    inside = (radius >= low) & (radius < high)  # (28, 28)
    part = waves[..., inside]  # (1001, 20, k), all directions alike
    power = part.abs().square().mean((1, 2))  # (1001,)
    band_power[band] = power / power[0]
    band_error[band] = (part - part[0]).abs().square().mean((1, 2)) / power[0]
    settled[band] = int((band_error[band] > 0.5).nonzero().min())  # from here down the error stays below half
print("from this t on, more than half of the band is there:")
for band, t in settled.items():
    print(f"{band:>6} waves across: t about {round(t, -2)}")
assert settled["1-2"] > settled["3-5"] > settled["10-14"] and settled["1-2"] > settled["10-14"] + 100, "coarse before fine"

figure, (axes,) = new_figure(1, 2, height=2.8)
for number, (band, colour) in enumerate(zip(bands, (COLOURS["clean"], COLOURS["network"], COLOURS["posterior"], COLOURS["noise"]))):
    axes[0].plot(times, band_error[band].numpy(), color=colour, linewidth=1.4)
    axes[1].plot(times, band_power[band].numpy(), color=colour, linewidth=1.4)
    axes[0].text(10, 1.4 - 0.11 * number, f"{band} waves across", color=colour, ha="right")
axes[0].axhline(0.5, color=GREY, linewidth=1)
axes[0].set(xlabel="time t", ylabel="error of the band", xlim=(1000, 0), ylim=(0, 1.5))
axes[1].set(xlabel="time t", ylabel="power / that of the sample", xlim=(1000, 0), yscale="log")
show(figure, "Left, the coarse bands of the estimate reach their final values first, the fine ones last; right, at the largest t fine waves are there too, but they are noise.")

# %% [markdown]
# The guide is right, with one addition. Near $t = 1000$ the estimate has fine waves in plenty. They are errors, and have nothing to do with the sample.
#
# **How long is "about 20 epochs"?** An epoch is one pass over the data. How many images that is depends on the data. No run here had 60,000 digits. The log only says where the shipped run stood after as many images.

# %%
def loss_after(count):
    row = next(row for row in log if row["images"] >= count)
    return row["held_out_loss"], row["held_out_loss"] / log[-1]["held_out_loss"] - 1


for digits in (len(images), 60_000):
    loss, above = loss_after(20 * digits)
    print(f"as many images as 20 epochs of {digits:>6,} digits: held-out loss {loss:.4f}, {above:.0%} above the end of the run")
assert loss_after(90_000)[1] > 0.2
print(f"a small network after {trainings['images_seen']:,} images: Fréchet distance {runs[base]['frechet'] / mean(real):.0f} times that of real digits; the shipped one {mean(frechet['beta']['1000']) / mean(real):.1f} times")

# %% [markdown]
# With the 4,500 digits of this course, 20 epochs are too few. Whether 20 of 60,000 are enough is not measured. After as many images, the shipped run had just gone over to digits as they are, and its loss was near its end. Count images, not epochs. What samples look like on the way, and what each kind of bad sample means, is on the page
# [Is it a bug?](../docs/diagnosis.md)

# %% [markdown]
# ## Play
#
# **The loss is smallest near $t = 1000$. Does the network know most about the digit there?** Move $t$, and compare the loss with the image that the network sees.

# %%
import ipywidgets

from minddpm_course.widgets import play


def draw_time(t=700):
    x, noise = forward_diffusion(held_out[:3], t, schedule, generator=torch.Generator().manual_seed(7))
    predicted = shipped(x, torch.full((3,), t))
    estimate = x0_from_noise(x, t, predicted, schedule).clamp(-1, 1)
    figure, axes = new_figure(3, 4, height=3.6, width_ratios=[1, 1, 1, 2.6])
    for column in range(3):
        draw_image(axes[0, column], held_out[column], "clean" if column == 0 else "", COLOURS["clean"])
        draw_image(axes[1, column], x[column], "$x_t$" if column == 0 else "", COLOURS["noisy"], limits=(-2, 2))
        draw_image(axes[2, column], estimate[column], r"$\hat x_0$" if column == 0 else "", COLOURS["network"])
    for row in (1, 2):
        axes[row, 3].remove()
    axis = axes[0, 3]
    axis.set_subplotspec(axis.get_gridspec()[:, 3])
    axis.plot(grid, list(network_loss.values()), color=COLOURS["network"])
    axis.axvline(t, color=COLOURS["noisy"], linewidth=1)
    axis.set(yscale="log", xlabel="time t", ylabel="squared error of the noise")
    return figure, f"At t = {t}: the clean digits, the noisy ones, and what the network sees behind the noise."


play(draw_time, t=ipywidgets.IntSlider(700, 1, 1000))

# %% [markdown]
# It does not. At large $t$ the error of the noise is tiny, and the image is a blur or worse, since a tiny error of the noise is a large one of $\hat{\mathbf{x}}_0$. In numbers:

# %%
image_error = {t: network_loss[t] * ((1 - schedule.alpha_bar[t]) / schedule.alpha_bar[t]).item() for t in grid}
for t in (10, 100, 500, 700):
    print(f"t = {t:>3}: squared error of the noise {network_loss[t]:.4f}, of the image {image_error[t]:.4f}")
assert network_loss[10] > network_loss[100] > network_loss[500] > network_loss[700]
assert image_error[10] < image_error[100] < image_error[500] < image_error[700]

# %% [markdown]
# ## Mistakes people make
#
# **1. Sampling from the last weights.** With a constant step size the weights never settle. The lines show by how much they stay above the least possible loss, and how much less their average does.

# %%
jittery, averaged = fit_lines(rate=lambda step: 0.03)
print(f"above the least possible loss: weights {excess(jittery):.4f}, average {excess(averaged):.4f}")
assert excess(averaged) < 0.5 * excess(jittery)


# %% [markdown]
# **2. Drawing $t$ from $0, \ldots, T-1$** with arrays in which $t = 0$ is the clean image. Then $\mathbf{x}_0$ holds no noise, yet the network is asked for it. And $t = T$ never
# comes up, where the sampler starts.

# %%
def from_zero_loss(model, x_0, schedule, *, generator):
    t = torch.randint(0, schedule.T, (len(x_0),), generator=generator)  # the mistake
    noise = torch.randn(x_0.shape, generator=generator)
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    return (noise - model(x_t, t)).square().mean()


off, _ = fit_lines(loss=from_zero_loss)
print(f"slope learned at t = T: {off.slope[toy.T]:.2f} (trained rightly: {lines.slope[toy.T]:.2f})")
assert off.slope[toy.T] == 0 and abs(lines.slope[toy.T] - 1) < 0.1

# %% [markdown]
# **3. One $t$ for the whole batch.** The gradient is still right on average, but it scatters more. Draw 2,000 batches of 32 from the table of errors above, in both ways. (Its 17 times are crowded at small $t$, so the mean is not that of training.)

# %%
generator = torch.Generator().manual_seed(7)
who = torch.randint(0, 100, (2000, 32), generator=generator)
own = torch.randint(0, len(grid), (2000, 32), generator=generator)
one = torch.randint(0, len(grid), (2000, 1), generator=generator).expand(2000, 32)
scatter = {"a time for each image": per_image[own, who].mean(1), "one time for all": per_image[one, who].mean(1)}
for word, values in scatter.items():
    print(f"{word:<22} mean {values.mean():.2f}, standard deviation {values.std():.3f}")
ratio = scatter["one time for all"].std() / scatter["a time for each image"].std()
print(f"ratio {ratio:.0f}; the square root of 32, if images did not differ as well: {math.sqrt(32):.1f}")
assert 4 < ratio < 7

figure, axes = new_figure(1, 1, height=2.0)
for (word, values), colour in zip(scatter.items(), (COLOURS["network"], COLOURS["noise"])):
    axes[0, 0].hist(values.numpy(), bins=60, range=(0, 0.4), color=colour, alpha=0.7)
    axes[0, 0].text(0.99, 0.8 if word.startswith("a") else 0.6, word, color=colour, ha="right", transform=axes[0, 0].transAxes)
axes[0, 0].set(xlabel="loss of a batch", ylabel="batches", yticks=[])
show(figure, "With a time for each image, batches agree on the loss; with one time for all, a batch tells you mostly which time it drew.")

# %% [markdown]
# **4. Uniform noise.** `rand` for `randn`: numbers between 0 and 1. The loss looks better from the first step. The samples do not.

# %%
def uniform_loss(model, x_0, schedule, *, generator):
    t = schedule.sample_t(len(x_0), generator=generator)
    noise = torch.rand(x_0.shape, generator=generator)  # the mistake
    x_t, _ = forward_diffusion(x_0, t, schedule, noise)
    return (noise - model(x_t, t)).square().mean()


uniform, _ = fit_lines(loss=uniform_loss)
first = torch.rand(images[:100].shape, generator=torch.Generator().manual_seed(7)).square().mean()
print(f"first loss {first:.2f} in place of 1.00")
samples = {}
for word, model in (("normal noise", lines), ("uniform noise", uniform)):
    samples[word] = sample(model, (20_000,), toy, clip=False, generator=torch.Generator().manual_seed(7))
    print(f"trained on {word:<14} samples have mean {samples[word].mean():.2f}, std {samples[word].std():.2f}; the data {m}, {s}")
assert abs(first - 1 / 3) < 0.01
assert abs(samples["normal noise"].mean() - m) < 0.05 and abs(samples["normal noise"].std() / s - 1) < 0.1
assert abs(samples["uniform noise"].mean() - m) > 0.1

# %% [markdown]
# ## What the guide claims, and what was measured
#
# Each row is a claim of the guide. Its verdict stands only while its test does: a claim *holds*, *holds with a condition*, or is *loose*, which is to say wrong as written. The last column is the lesson that goes into it.

# %%
rows = []


def claim(words, verdict, number, lesson, test):
    assert bool(test), words
    rows.append((words, verdict, number, lesson))


def pixel(value):
    return torch.tensor([value], dtype=torch.float64)


HOLDS, IF, LOOSE = "holds", "holds with a condition", "loose"
t = torch.arange(1, 1001)
alpha_bar, before, beta = schedule.alpha_bar[1:], schedule.alpha_bar[:-1], schedule.beta[1:]
coef_x0, coef_xt = posterior_coefficients(t, schedule)
tilde = posterior_variance(t, schedule)

# the forward process
amplitude = schedule.alpha_bar.sqrt()
claim("after 100 steps a photograph is barely recognizable", LOOSE, f"{amplitude[100]:.0%} of its amplitude is left; half at t = {int((amplitude - 0.5).abs().argmin())}", "01", amplitude[100] > 0.9)
short_end = linear_schedule(100).alpha_bar[100].sqrt()
claim("after 1,000 steps only noise is left", IF, f"amplitude {amplitude[1000]:.3f} at T = 1000; with the same betas and T = 100, {short_end:.1f}", "01", amplitude[1000] < 0.01 and short_end > 0.3)
one_step, half, two_steps = Schedule.from_betas([0.01]), Schedule.from_betas([0.5]), Schedule.from_betas([1 - 0.5 / 0.99, 0.01])
centre, width = forward_step(pixel(0.8), 1, one_step, pixel(0)).item(), forward_step(pixel(0), 1, one_step, pixel(1)).item()
claim("0.8 becomes N(0.796, 0.1²) at beta = 0.01", HOLDS, f"{centre:.3f}, {width:.1f}", "02", abs(centre - 0.796) < 5e-4 and abs(width - 0.1) < 1e-9)
spread = 0.0
for b in beta:
    spread = (1 - b) * spread + b
claim("one jump equals all the steps", HOLDS, "the variance of 1,000 steps is that of the jump, to 1e-12", "02", abs(spread - (1 - alpha_bar[-1])) < 1e-12)
jumped, kept = (forward_diffusion(pixel(clean), 1, half, pixel(noise))[0].item() for clean, noise in ((0.8, 0.3), (1, 0)))
claim("the jump's example: 0.778", HOLDS, f"{jumped:.3f}", "02", abs(jumped - 0.778) < 5e-4)
claim("at alpha_bar = 0.5, 70.7% of the signal remains", LOOSE, f"of its amplitude; of its power {kept**2:.0%}", "02", abs(kept - 0.707) < 5e-4)
claim("alpha_bar = 0.5 and beta = 0.01 at t = 500", LOOSE, f"alpha_bar_500 is {schedule.alpha_bar[500]:.2f}; it is 0.5 at t = {int((schedule.alpha_bar - 0.5).abs().argmin())}", "01", schedule.alpha_bar[500] < 0.1)
claim("alpha_bar_(t-1) = 0.505", IF, f"rounded from {two_steps.alpha_bar[1]:.5f}, for which alpha_bar_t is 0.5", "03", abs(two_steps.alpha_bar[1] - 0.505) < 5e-4 and abs(two_steps.alpha_bar[2] - 0.5) < 1e-12)

# the reverse process
exact = tilde + coef_x0**2 * (1 - alpha_bar)  # data N(0, 1)
claim("q(x_(t-1) | x_t) is intractable", IF, "for images; for data N(0, I) its variance is beta, to 1e-9", "03", (exact / beta - 1).abs().max() < 1e-9)
precision = schedule.alpha[2:] / beta[1:] + 1 / (1 - before[1:])
claim("given x_0, it is a Gaussian of known mean and variance", HOLDS, "Bayes' rule gives 1 / beta tilde, to 1e-9", "03", (precision * tilde[1:] - 1).abs().max() < 1e-9)
guide_mean = q_posterior(pixel(0.8), pixel(0.6), 2, two_steps).mean.item()
claim("the posterior's example: mean 0.602", HOLDS, f"{guide_mean:.3f}", "03", abs(guide_mean - 0.602) < 1e-3)
turning = int((coef_xt > coef_x0).nonzero().min()) + 1
claim("the step back relies mostly on x_t", IF, f"from t = {turning} on; at t = 1 on x_0 alone", "03", turning < 10 and coef_xt[0] < 1e-9)
extra = bits["beta"]["1000"]["total"] - bits["beta tilde"]["1000"]["total"]
claim("beta and beta tilde both work well", IF, f"in samples of 50 steps or more, distances within a factor of 2; at 10 steps {distance_ratio[10]:.1f} times; in bits/dim beta pays {extra:.2f} more", "04", distance_ratio[10] > 1.3 and extra > 0.1 and all(0.5 < distance_ratio[count] < 2 for count in (50, 100, 250, 1000)))

# the loss
parts = bits["beta tilde"]["1000"]
claim("the bound has three kinds of term", HOLDS, f"prior {parts['prior']:.0e}, denoising {parts['denoising']:.2f}, reconstruction {parts['reconstruction']:.2f} bits/dim", "04", abs(sum(parts[k] for k in ("prior", "denoising", "reconstruction")) - parts["total"]) < 1e-3)
constant = 0.5 * (torch.log(beta / tilde)[1:] + (tilde / beta)[1:] - 1).sum() / math.log(2)
claim("both have one variance, so the KL is a squared error", IF, f"for beta tilde; for beta it gains {constant:.2f} bits/dim, a constant", "04", constant > 0.1)
weight = beta**2 / (2 * tilde * schedule.alpha[1:] * (1 - alpha_bar))
fall = weight[1:].max() / weight[1:].min()
claim("inserting the noise gives L_simple", LOOSE, f"it gives a weight for each t, which L_simple drops; largest over smallest is {fall:.0f}", "04", fall > 10)
cost = simple_loss(lambda x_t, t: torch.full_like(x_t, 0.25), pixel(0), schedule, t=5, noise=pixel(0.3)).item()
claim("0.25 for a noise of 0.3 costs 0.0025", HOLDS, f"{cost:.4f}", "04", abs(cost - 0.0025) < 1e-9)
claim("a perfect prediction has the loss 0", IF, f"but none can be perfect: the least possible loss of the lines above is {best.mean():.2f}", "07", best.mean() > 0.1)
with torch.inference_mode():
    told_wrong = (shipped(spread_x, torch.full((100,), 500)) - spread_noise).square().mean().item()
claim("the network must know the noise level", IF, f"one trained with t must: always told t = 500, its loss is {told_wrong / held_out_loss(shipped):.0f} times as high; one trained without t was not tried", "05", told_wrong > 3 * held_out_loss(shipped))

# sampling and results
estimate = x0_from_noise(pixel(0.4), 2, pixel(0.3), two_steps)
stepped = reverse_step(pixel(0.4), 2, estimate, two_steps, pixel(0.1)).item()
claim("the sampler's example: 0.408", HOLDS, f"{stepped:.3f}", "06", abs(stepped - 0.408) < 5e-4)
estimate = x0_from_noise(pixel(0.4), 1, pixel(0.3), schedule)
ends = [reverse_step(pixel(0.4), 1, estimate, schedule, pixel(noise)) for noise in (-1, 1)]
claim("no noise at the last step", HOLDS, f"there the noise changes nothing; a grain of {beta[0].sqrt() * 127.5:.1f} of 255 grey levels is left out", "06", torch.equal(*ends) and beta_variance(1, schedule) > 0)
fewer = {name: mean(frechet[name]["50"]) / mean(frechet[name]["1000"]) for name in ("beta", "beta tilde")}
dearer = bits["beta tilde"]["50"]["total"] - bits["beta tilde"]["1000"]["total"]
claim("far fewer steps will do", IF, f"for samples: 50 steps have {fewer['beta']:.1f} (beta) and {fewer['beta tilde']:.1f} (beta tilde) times the distance of 1,000; in bits/dim they cost {dearer:.2f} more", "09", max(fewer.values()) < 2 and dearer > 0.1)
above = loss_after(20 * len(images))[1]
claim("about 20 epochs are enough", IF, f"not of 4,500 digits: after as many images the loss is {above:.0%} above the end of a longer run; of 60,000: not measured", "07", above > 0.2)
quality = mean(frechet["beta"]["1000"]) / mean(real)
closest = nearest(drawn)[0].min() / held_distance.quantile(0.01)
claim("the digits are diverse and realistic", IF, f"most of them: Fréchet {quality:.1f} times that of real digits; none of 20 is a copy", "07", 1.05 < quality < 3 and closest > 0.5)
claim("structure first, detail later", HOLDS, f"half of the coarse waves is there at t about {round(settled['1-2'], -2)}, of the fine ones at {round(settled['10-14'], -2)}", "07", settled["1-2"] > settled["10-14"] + 100)

# scores
slope = (1 - toy.alpha_bar[1:]).sqrt() / (toy.alpha_bar[1:] * s**2 + 1 - toy.alpha_bar[1:])  # of the best prediction, exactly
miss = (lines.slope[1:].double() - slope).abs().max().item()
claim("the predicted noise is the score, scaled", IF, f"the best prediction is; a trained one nearly: the lines miss the slope by less than {math.ceil(10 * miss) / 10:.1f}", "08", miss < 0.3)
pull = coef_x0 * (1 - alpha_bar) / alpha_bar.sqrt() / (beta / 2)  # the factor of the score in the step's mean, over that of a Langevin step
claim("sampling is essentially Langevin dynamics", LOOSE, f"the noise level falls as it goes, and the score's pull is {pull.mean():.1f} times that of a Langevin step with this noise", "08", 1.99 < pull.min() and pull.max() < 2.05)

style = {HOLDS: COLOURS["network"], IF: COLOURS["posterior"], LOOSE: COLOURS["noise"]}
cells = "".join(f'<tr><td style="text-align:left">{a}</td><td style="text-align:left;color:{style[b]};white-space:nowrap"><b>{b}</b></td><td style="text-align:left">{c}</td><td>{d}</td></tr>' for a, b, c, d in rows)
head = "".join(f'<th style="text-align:left">{word}</th>' for word in ("the guide says", "verdict", "measured", "lesson"))
plain = "\n".join(f"{a} | {b} | {c} | {d}" for a, b, c, d in rows)
display({"text/html": f"<table><tr>{head}</tr>{cells}</table>", "text/plain": plain}, raw=True)
verdicts = [row[1] for row in rows]
print(f"{len(rows)} claims: {verdicts.count(HOLDS)} hold, {verdicts.count(IF)} hold with a condition, {verdicts.count(LOOSE)} are loose")

# %% [markdown]
# No formula of the guide is wrong. What is loose is mostly in the words around them: numbers that belong to no one time of its own schedule, amplitude for power, and a weight that is dropped without a word.

# %% [markdown]
# ## Digits in two minutes
#
# A minute of training gave strokes. The shipped weights took nearly two hours. Must it take so long? *Play* says what holds the network up: at large $t$, where the shape of a digit
# is decided, a tiny error of the noise is a large one of the image, and $L_{\text{simple}}$ hardly counts it. Six changes mend that and save work. None of them touches what you derived.
#
# - *Late times count more.* The error of each image is multiplied by $1 / \bar{\alpha}_t$, but by 25 at most. The minimum stays where it was, because the best prediction at one $t$ does not depend on its weight.
# - *Fewer places.* The network sees each square of $2 \times 2$ pixels as one place with four channels. So the layers at the finest resolution do a quarter of the work.
# - *Less to say.* It predicts only how the noise differs from ${\color{#B3528C}{\mathbf{x}_t}}$. At large $t$ that is next to nothing.
# - *Even steps.* A gradient is nearly all in a few directions. Muon, an optimizer, makes the step as long in all the others, so that they are learnt as fast.
# - *The cosine schedule* of [lesson 01](01_schedule.ipynb). It spends fewer steps where nothing is left of the image.
# - *A label.* The network is told which digit it sees, and later which one to draw. [Lesson 10](10_guidance.ipynb) says how, and what the 2.0 below does.
#
# `FAST` holds these settings. `python -m benchmarks speedrun` measures what each one is worth. Watch ten digits, 0 to 9, while the network learns. They always start from the same noise, and take 20 long steps ([lesson 09](09_ddim.ipynb)).

# %%
from dataclasses import replace

from minddpm.ddim import respaced
from minddpm.guidance import guided
from minddpm.recipes import FAST

fast_schedule = FAST.schedule()


def draw_digits(network, digits, seed):
    told = guided(network, digits, 2.0)
    few, shorter = respaced(told, fast_schedule, 20)
    generator = torch.Generator().manual_seed(seed)
    return sample(few, (len(digits), 1, 28, 28), shorter, variance=posterior_variance, generator=generator)


def draw_rows(rows):
    caption = f"A row each for {', '.join(rows)} images seen: strokes come first, then digits."
    figure = image_grid(torch.cat([*rows.values()]))
    return {"text/html": to_html(figure, caption), "text/plain": caption}


# %% tags=["nbval-ignore-output"]
_, labels = load_mnist("train")
torch.manual_seed(7)
quick = UNet(replace(FAST.network, classes=10))
began = time.perf_counter()
rows = {"0": draw_digits(quick, torch.arange(10), seed=7)}
picture = display(draw_rows(rows), raw=True, display_id=True)
for state in train(quick, images, fast_schedule, steps=900, batch_size=64, labels=labels, **FAST.settings()):
    if state.step in (75, 150, 300, 600, 900):
        rows[f"{state.images_seen:,}"] = draw_digits(state.average.model, torch.arange(10), seed=7)
        picture.update(draw_rows(rows), raw=True)
print(f"{state.images_seen:,} images in {time.perf_counter() - began:.0f} s")

# %% [markdown]
# Now a hundred, ten of each, none left out. The classifier reads them, too.

# %%
from minddpm.metrics import load_classifier

asked = torch.arange(100) % 10
hundred = draw_digits(state.average.model, asked, seed=2020)
show(
    image_grid(hundred[:40]),
    "Forty digits after two minutes of training, asked for in the order 0 to 9: most are what was asked for.",
)
with torch.inference_mode():
    read = load_classifier()(hundred).argmax(1)  # (100,)
print("more than 70 of 100 are read as the digit that was asked for:", bool((read == asked).sum() > 70))
assert (read == asked).sum() > 70

# %% [markdown]
# These are digits of your own: two minutes of your machine, from random weights. The network has a quarter of the shipped one's weights and saw a thirtieth of its images. In a terminal,
# `minddpm train --labels --minutes 5` does the same for five minutes, and keeps what was learnt.

# %% [markdown]
# ## Check yourself
#
# <details><summary>Your loss is 0.03 and does not fall any more. Is training stuck?</summary>
#
# Perhaps it is done. The least possible loss is not 0: it is the variance of the noise given the noisy image. And samples go on improving while the loss falls by amounts that
# you can hardly see, because most of the loss comes from small t.
# </details>
#
# <details><summary>Why is the average of the weights measured in a copy of the model, and not put back into the model that trains?</summary>
#
# The next gradient belongs to the weights that were used. Training would start over from the average at each step, and the average would follow itself.
# </details>
#
# <details><summary>The nearest training image of a sample is at distance 0.1. What do you conclude?</summary>
#
# The sample is a copy. Two different digits are much further apart: compare with the distances of held-out digits.
# </details>
#
# **Exercises:** [07 · Training](../exercises/07_training.ipynb). What you write is checked on fresh numbers, and a known mistake is named. Milestone: at their end, your loop and your step train a U-Net on digits, and the loss falls.
#
# **Next:** [08 · The score](08_score.ipynb)
