# %% [markdown]
# # 00b · A whole diffusion model in sixty lines
#
# **You will**
# - write a complete diffusion model for points in the plane, and train it in seconds,
# - watch a cloud of random points gather into a spiral,
# - measure how close it comes, change it, and see it fail in three ways.
#
# **You need** Python, a little PyTorch (a training loop is enough), and the noise of [00 · From noise to images](00_from_noise_to_images.ipynb).
#
# **It takes** 18 minutes to read and 20 seconds to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import math

import ipywidgets
import torch
from torch import nn

from minddpm_course.figures import COLOURS, new_figure, point_clouds, show
from minddpm_course.moving import show_moving
from minddpm_course.widgets import play

# %% [markdown]
# ## The data
#
# An image of 28 × 28 pixels is a list of 784 numbers, so it is one point in a space of 784 dimensions. Nobody can see that space.
# This lesson takes points of **two** numbers, because you can see all of them at once. The noise, the loss and the way back are the same as for images.

# %% tags=["method"]
def spiral(n):
    turn = math.pi * (1 + 3 * torch.rand(n, 1))  # (n, 1) an angle
    curve = turn * torch.cat([turn.cos(), turn.sin()], dim=1) / 6  # (n, 2) the larger the angle, the further out
    return curve + 0.05 * torch.randn(n, 2)  # (n, 2) not quite on the curve


torch.manual_seed(0)
data = spiral(10_000)  # (10000, 2) all that the model will ever see

# %%
show(
    point_clouds([data[:2000], torch.randn(2000, 2)], ["data", "noise"], [COLOURS["clean"], COLOURS["noise"]]),
    "Left, the data: points along a spiral. Right, noise: each point is two draws from the standard Gaussian.",
)

# %% [markdown]
# Noise is easy to make: `torch.randn` gives as much as you like. The task is to make new points of the spiral just as easily, from examples alone, without the formula in `spiral`.
# A diffusion model learns to turn the right cloud into the left one. For that it needs a schedule, a network, a loss, training, and a way back.
#
# ## The schedule, and a jump to any time
#
# The **schedule** says how much noise is added when. There are $T = 1000$ steps (the *timesteps*), as in lesson 00. Step $t$ adds noise of variance $\beta_t$.
#
# Lesson 00 took the steps one after the other. There is a shortcut. After $t$ steps, this share of the data's variance is left:
#
# $$\bar\alpha_t = (1 - \beta_1) \cdots (1 - \beta_t) .$$
#
# Noise has taken the place of the rest:
#
# $${\color{#B3528C}{\mathbf{x}_t}} = \sqrt{\bar\alpha_t}\,{\color{#0072B2}{\mathbf{x}_0}} + \sqrt{1 - \bar\alpha_t}\,{\color{#C05500}{\boldsymbol\epsilon}} .$$
#
# Here $\mathbf{x}_0$ is a clean point (`x_start` in many libraries), $\mathbf{x}_t$ the noisy point at time $t$, and $\boldsymbol\epsilon$ is drawn by `torch.randn`.

# %% tags=["method"]
T = 1000
beta = torch.cat([torch.zeros(1), torch.linspace(1e-4, 0.02, T)])  # (T + 1,) beta[t] is step t's
alpha_bar = (1 - beta).cumprod(dim=0)  # (T + 1,) from 1 at t = 0 down to almost 0


def jump(x_0, t, noise):
    signal = alpha_bar[t].sqrt()[:, None]  # (b, 1)
    spread = (1 - alpha_bar[t]).sqrt()[:, None]  # (b, 1)
    return signal * x_0 + spread * noise  # (b, 2) this is x_t


# %%
x_0, noise = data[:800], torch.randn(800, 2)  # (800, 2) each
times = [round(T * (k / 40) ** 2) for k in range(41)]  # 0 to T, most of them early
show_moving(
    [point_clouds([jump(x_0, torch.full((800,), t), noise)]) for t in times],
    [f"t = {t}" for t in times],
    "The spiral dissolves: at t = 40 it is blurred, at t = 90 hard to make out, and from t = 250 "
    "on it looks like noise.",
)

# %% [markdown]
# This direction is the **forward process**. It is fixed, and it needs no network.
#
# ## The network
#
# The network is given a noisy point and its time. It answers with two numbers: its guess of the noise in the point.
#
# Why does it need the time? Take a point that lies between two arms of the spiral. At $t = 10$ there is little noise, so the point came from close by. At $t = 900$ it may have come from anywhere.

# %% tags=["method"]
class Network(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        layers = [nn.Linear(3, width), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Linear(width, width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 2))

    def forward(self, x_t, t):
        time = 2 * t[:, None] / T - 1  # (b, 1) from -1 to 1
        return self.layers(torch.cat([x_t, time], dim=1))  # (b, 2) the guess of the noise


# %% [markdown]
# ## The loss
#
# We make the questions ourselves, so we know the answers. Take clean points. Draw a time for each of them, and noise. Jump to $\mathbf{x}_t$, and ask the network which noise it was. The **loss** is the mean squared error of its guess.

# %% tags=["method"]
def loss_of(x_0):
    t = torch.randint(1, T + 1, (len(x_0),))  # (b,) a time for each point
    noise = torch.randn_like(x_0)  # (b, 2)
    guess = network(jump(x_0, t, noise), t)  # (b, 2)
    return (guess - noise).square().mean()


# %% [markdown]
# ## Training
#
# The training loop is PyTorch as you know it. The learning rate falls to 0 by the end, so that the network settles.

# %% tags=["method"]
torch.manual_seed(0)
network, steps, losses = Network(), 3000, []
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
for _ in range(steps):
    x_0 = data[torch.randint(len(data), (512,))]  # (512, 2) a batch
    loss = loss_of(x_0)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    decay.step()
    losses.append(loss.item())

# %% jupyter={"source_hidden": true}
means = torch.tensor(losses).reshape(-1, 50).mean(dim=1)  # (60,) of 50 steps each
figure, ((axis,),) = new_figure(height=2.2)
axis.plot(range(50, len(losses) + 1, 50), means, color=COLOURS["network"])
axis.set(xlabel="training step", ylabel="loss", ylim=(0, 1), xlim=(0, len(losses)))
show(figure, "The loss, averaged over 50 steps, falls within the first 200 steps and then levels off, far from 0.")
print(f"the last 500 steps: {sum(losses[-500:]) / 500:.2f}")

# %% [markdown]
# A network that always answers 0 would have the loss 1, the variance of the noise. Ours is far below that. It can never reach 0: one noisy point may come from several clean points, so nobody can name its noise exactly.
#
# ## The way back
#
# Start from pure noise at $t = T$. At each step, ask the network for the noise in $\mathbf{x}_t$. Take out a small part of it, and add a little fresh noise $\mathbf{z}$:
#
# $$\mathbf{x}_{t-1} = \frac{1}{\sqrt{1 - \beta_t}} \left( {\color{#B3528C}{\mathbf{x}_t}} - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, {\color{#008561}{\boldsymbol\epsilon_\theta(\mathbf{x}_t, t)}} \right) + \sqrt{\beta_t}\, {\color{#C05500}{\mathbf{z}}} .$$
#
# ${\color{#008561}{\boldsymbol\epsilon_\theta}}$ is the network; $\theta$ stands for its weights. Lessons 03 and 06 derive the two amounts. For now, read the line as code. The last step adds no noise, because its result is the answer.

# %% tags=["method"]
@torch.no_grad()
def sample(n):
    x_t = torch.randn(n, 2)  # (n, 2) pure noise
    yield T, x_t
    for t in range(T, 0, -1):
        guess = network(x_t, torch.full((n,), t))  # (n, 2)
        x_t = (x_t - beta[t] / (1 - alpha_bar[t]).sqrt() * guess) / (1 - beta[t]).sqrt()  # (n, 2)
        if t > 1:
            x_t = x_t + beta[t].sqrt() * torch.randn(n, 2)  # (n, 2)
        yield t - 1, x_t


# %%
torch.manual_seed(2)
path = dict(sample(2000))  # the cloud, (2000, 2), at each time
show_moving(
    [point_clouds([path[t][:800]], beneath=data[:800]) for t in reversed(times)],
    [f"t = {t}" for t in reversed(times)],
    "A cloud of noise gathers on the spiral, whose real points are grey. The shape comes late: "
    "you see it from about t = 100 on.",
)

# %% [markdown]
# That is the whole method, in fewer than sixty lines: data, schedule, network, loss, training, and the way back. It needed nothing but PyTorch.
#
# ## Is it right?
#
# A picture can flatter, so measure. Two numbers compare the generated cloud with new points of the spiral that the model has not seen:
#
# - **nearest**: how far is a generated point from the nearest real one, on average? This is small if all generated points lie on the spiral.
# - **energy distance**: twice the mean distance between points of the two clouds, less the mean distance within each cloud. This is 0 only if both have the same distribution.
#
# Even real points do not reach 0, because no two samples are alike. So compare with *fresh* real points, and with noise.

# %%
def distances(a, b):
    between = torch.cdist(a, b)  # (n, m) from each point of a to each of b
    nearest = between.min(dim=1).values.mean()
    energy = 2 * between.mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()
    return float(nearest), float(energy)


torch.manual_seed(3)
real, fresh = spiral(2000), spiral(2000)  # (2000, 2) each
for name, cloud in [("fresh", fresh), ("generated", path[0]), ("noise", path[T])]:
    nearest, energy = distances(cloud, real)
    print(f"{name:10s} nearest {nearest:.2f}   energy distance {energy:.2f}")
    if name == "noise":
        assert nearest > 0.2
    else:
        assert nearest < 0.03 and energy < 0.01

# %% [markdown]
# We ask for less than 0.03, and less than 0.01. Fresh points stay below both marks, and so do generated ones. Noise is ten times as far as the first mark allows. A broken method misses at least one mark by far, as the mistakes below show.
#
# ## Play
#
# **How many steps back do you need?** The network was trained for 1,000 times, but the way back may leave some out. Then a step goes from $t$ to an earlier time $s$, and the share of the variance that survives between them is $\bar\alpha_t / \bar\alpha_s$, in place of $1 - \beta_t$. Before you move the slider, guess: are 100 steps enough? And 10?

# %%
@torch.no_grad()
def sample_in(steps, n=2000):
    torch.manual_seed(4)
    times = torch.linspace(T, 0, steps + 1).round().long()  # (steps + 1,) from T down to 0
    x_t = torch.randn(n, 2)  # (n, 2)
    for t, s in zip(times, times[1:]):
        kept = alpha_bar[t] / alpha_bar[s]  # with s = t - 1 this is 1 - beta[t]
        guess = network(x_t, t.expand(n))  # (n, 2)
        x_t = (x_t - (1 - kept) / (1 - alpha_bar[t]).sqrt() * guess) / kept.sqrt()  # (n, 2)
        if s > 0:
            x_t = x_t + (1 - kept).sqrt() * torch.randn(n, 2)  # (n, 2)
    return x_t


chosen = [2, 5, 10, 20, 50, 100, 200]
clouds = {steps: sample_in(steps) for steps in chosen}  # each (2000, 2)


# %% jupyter={"source_hidden": true}
def draw(steps):
    cloud = clouds[steps]
    figure = point_clouds([cloud], colours=[COLOURS["network"]], beneath=data[:1000])
    nearest, energy = distances(cloud, real)
    return figure, f"In {steps} steps: nearest {nearest:.2f}, energy distance {energy:.2f}."


# %%
play(draw, steps=ipywidgets.SelectionSlider(options=chosen, value=10))

# %% [markdown]
# With two steps, nearly all points land in the middle. The first step aims at the *average* of everything that the noise may have been, and the average point of a spiral lies between its arms. With small steps, a point is drawn to one arm little by little.
#
# **Then change the data.** In `spiral`, let the second line be `curve = 1.5 * torch.cat([turn.cos(), turn.sin()], dim=1)`, and choose *Run All Cells* from the menu *Run*. You get a ring, and nothing else had to change.
#
# ## Mistakes people make
#
# Here are three broken ways back with the same trained network. Two have another amount of fresh noise, and the third tells the network another time. (Noise after the last step as well would make no visible difference, so the code leaves out that case.)

# %%
@torch.no_grad()
def sample_wrongly(spread, time=lambda t: t, n=2000):
    torch.manual_seed(5)
    x_t = torch.randn(n, 2)  # (n, 2)
    for t in range(T, 0, -1):
        guess = network(x_t, torch.full((n,), time(t)))  # (n, 2)
        x_t = (x_t - beta[t] / (1 - alpha_bar[t]).sqrt() * guess) / (1 - beta[t]).sqrt()  # (n, 2)
        x_t = x_t + spread(t) * torch.randn(n, 2)  # (n, 2)
    return x_t


wrong = {
    "1. no fresh noise": sample_wrongly(lambda t: 0),
    "2. variance for deviation": sample_wrongly(lambda t: beta[t]),
    "3. always told t = 500": sample_wrongly(lambda t: beta[t].sqrt(), lambda t: 500),
}

# %%
show(
    point_clouds(list(wrong.values()), list(wrong), [COLOURS["network"]], beneath=data[:1000]),
    "Without fresh noise, or with too little, all points end on a short piece of the spiral; "
    "with a wrong time they form a ball.",
)
for name, cloud in wrong.items():
    nearest, energy = distances(cloud, real)
    print(
        f"{name:26s} nearest {'passes' if nearest < 0.03 else 'fails'}, "
        f"energy distance more than 0.2: {energy > 0.2}"
    )
    assert energy > 0.2

# %% [markdown]
# 1. **No fresh noise.** "We remove noise, so why add any?" Each step aims at an average, so it draws the points together. Fresh noise spreads them again, by just as much.
# 2. **Variance for standard deviation.** `torch.randn` must be multiplied by $\sqrt{\beta_t}$. With $\beta_t$ itself you get a seventh of the noise, or less. No error is raised.
# 3. **A wrong time.** Told 500, the network knows only the rough direction. The fine work belongs to small times, and it is never told of them.
#
# All three miss the mark for the energy distance, 0.01, more than twentyfold. The first two pass the test of *nearest*: all their points lie on the spiral. One number alone would have missed them.
#
# ## What the lessons refine
#
# You have seen the whole method work. Each lesson takes one piece of it and asks why it is so, or how it gets better.
#
# | here | open question | lesson |
# |---|---|---|
# | `beta` | Why these numbers? What if noise comes faster? | [01 · Schedule](01_schedule.ipynb) |
# | `jump` | Why may 1,000 steps be taken in one? | [02 · Noising](02_noising.ipynb) |
# | the two amounts in `sample` | What is the true step back? | [03 · Posterior](03_posterior.ipynb) |
# | `loss_of` | Why guess the noise, and not the clean point? | [04 · Loss](04_loss.ipynb) |
# | `Network` | Which network reads images, and how does it read the time? | [05 · U-Net](05_unet.ipynb) |
# | `sample` | How much fresh noise, and what if a guess leaves the range of images? | [06 · Sampler](06_sampler.ipynb) |
# | the training loop | How long, on which images, and how good are the results? | [07 · Training](07_training.ipynb) |
# | what the network has learned | What does it know about the data? | [08 · The score](08_score.ipynb) |
# | `sample_in` | How do few steps give good images? | [09 · Fewer steps](09_ddim.ipynb) |
# | any point of the spiral | How do you ask for a certain digit? | [10 · Guidance](10_guidance.ipynb) |
# | the guess of the noise | Must it be the noise that is guessed? | [11 · Other targets](11_targets.ipynb) |
# | the start of `sample` | What if you start from an image, and not from noise? | [12 · Play](12_play.ipynb) |
#
# ## Check yourself
#
# 1. In which line does the model learn that the data is a spiral?
#
# <details><summary>Answer</summary>
# In the first line of the training loop, where a batch is taken from the data. Schedule, network, loss and way back know nothing of spirals.
# </details>
#
# 2. How large is the loss of a network that always answers 0? And why?
#
# <details><summary>Answer</summary>
# 1. The loss is then the mean of the squared noise, and the noise has mean 0 and variance 1.
# </details>
#
# 3. How often was the network called to generate 2,000 points?
#
# <details><summary>Answer</summary>
# 1,000 times: once a step, each time with all 2,000 points as one batch. That is why many lessons, papers and libraries look for fewer steps.
# </details>

# %%
noise = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(6))  # (100000, 2)
print(f"2. the loss of a network that answers 0: {noise.square().mean():.2f}")
assert abs(noise.square().mean() - 1) < 0.02

# %% [markdown]
# **Look it up:** [questions about the idea](../docs/questions.md#the-idea), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Next:** [01 · Schedule](01_schedule.ipynb) asks how much noise each step should add.
