# %% [markdown]
# # 08 · The score
#
# **You will**
# - see what the score is: at each place, an arrow to where data is more likely;
# - derive that a network which predicts noise has learned these arrows, up to a known factor;
# - walk along them with one noise level and with many, and find that walk again in DDPM's sampler.
#
# **You need** the jump to $\mathbf{x}_t$ ([02 · Noising](02_noising.ipynb)), the simple loss ([04 · Loss](04_loss.ipynb)) and the reverse
# step ([06 · Sampler](06_sampler.ipynb)).
#
# **It takes** 27 minutes to read and about 20 seconds to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import math
from functools import partial

import ipywidgets
import matplotlib
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from minddpm.loss import simple_loss
from minddpm.noising import forward_diffusion
from minddpm.schedule import linear_schedule
from minddpm.unet import timestep_embedding
from minddpm_course.comparisons import same_as_package
from minddpm_course.figures import COLOURS, INK, STYLE, new_figure, show
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
schedule = linear_schedule()

# %% [markdown]
# ## The idea in a picture
#
# Suppose that you know, at every place, in which direction data becomes more likely, and how fast. Then you can start anywhere and walk to
# where the data is. At each place this is an arrow, called the **score**: the gradient of the log density, $\nabla \log q(\mathbf{x})$.
#
# Nobody can write down the density of images. So let us take data whose density we know: points of the plane, in two round clouds.
# One point in five lies in the left cloud.

# %%
centres = torch.tensor([[-1.5, -0.5], [1.0, 0.5]], dtype=torch.float64)  # (2, 2) one a row
shares = torch.tensor([0.2, 0.8], dtype=torch.float64)  # (2,) of the points
variance = 0.04  # of each cloud, in each direction


def draw_data(n, generator):
    cloud = torch.multinomial(shares, n, replacement=True, generator=generator)  # (n,)
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)  # (n, 2)
    return centres[cloud] + math.sqrt(variance) * noise  # (n, 2)


# %% [markdown]
# We noise these points as we would noise an image of two pixels. The result is $\mathbf{x}_t$, and its density is known too. Each cloud
# stays Gaussian: the jump moves it towards 0 and widens it. PyTorch can differentiate the log of this density.

# %%
def density(t):
    """The distribution of x_t: two clouds again."""
    alpha_bar = schedule.alpha_bar[t]
    spread = (alpha_bar * variance + 1 - alpha_bar).sqrt()  # () the standard deviation of each
    clouds = Independent(Normal(alpha_bar.sqrt() * centres, spread), 1)
    return MixtureSameFamily(Categorical(shares), clouds)


def slope(x, t):
    """The gradient of log q(x_t) at the points x, by automatic differentiation."""
    x = x.clone().requires_grad_()  # (n, 2)
    return torch.autograd.grad(density(t).log_prob(x).sum(), x)[0]  # (n, 2)


# %% [markdown]
# Now let us compute something that needs no density. Noise a million points and cut the plane into cells. In each cell, average the noise
# of the points that fell into it. Turn this average around, and divide it by $\sqrt{1 - \bar{\alpha}_t}$.

# %%
side = 0.6 * torch.arange(-5, 6, dtype=torch.float64)  # (11,) the middles of the cells
middles = torch.cartesian_prod(side, side)  # (121, 2)


def against_average_noise(t, generator, n=1_000_000):
    """For each cell: minus its average noise over sqrt(1 - alpha_bar_t), and its points."""
    x_t, noise = forward_diffusion(draw_data(n, generator), t, schedule, generator=generator)
    column, row = (x_t / 0.6).round().clamp(-5, 5).long().add(5).unbind(1)  # 0..10 each
    cell = 11 * column + row  # (n,)
    count = torch.bincount(cell, minlength=121)  # (121,)
    total = [torch.bincount(cell, coordinate, minlength=121) for coordinate in noise.T]
    average = torch.stack(total, dim=1) / count[:, None]  # (121, 2)
    return -average / (1 - schedule.alpha_bar[t]).sqrt(), count


# %% jupyter={"source_hidden": true}
shown = (50, 150, 300, 600)
inner = middles.abs().amax(1) < 2.7  # the outermost cells reach to infinity


plane = {"xlim": (-2.8, 2.8), "xticks": [-2, 0, 2], "yticks": [-2, 0, 2], "aspect": "equal"}


def arrows(axis, places, field, colour, scale=None, longest=0.12, width=0.013, head=3.5):
    """Draw a field; the longest arrow is this share of the axis, unless the scale is given."""
    scale = scale or field.norm(dim=1).max().item() / longest
    form = {"angles": "xy", "headwidth": head, "headlength": 4, "width": width, "scale": scale}
    axis.quiver(*places.T.numpy(), *field.T.numpy(), color=colour, **form)
    axis.set(**plane, ylim=(-2.8, 2.8))
    return scale


def dots(axis, x, colour):
    axis.plot(*x[:300].T.numpy(), ".", color=colour, markersize=1.5, alpha=0.6)


generator = torch.Generator().manual_seed(8)
figure, axes = new_figure(2, 5, height=3.2, sharex=True, sharey=True)
left = figure.add_subplot(axes[0, 0].get_gridspec()[:, 0])
axes[0, 0].remove()
axes[1, 0].remove()
x_0 = draw_data(300, generator)
dots(left, x_0, COLOURS["clean"])
left.set_title("the data", color=COLOURS["clean"])
left.set(**plane, ylim=(-2.8, 2.8), xlabel="first coordinate", ylabel="second coordinate")
for column, t in enumerate(shown, start=1):
    x_t, _ = forward_diffusion(x_0, t, schedule, generator=generator)
    average, count = against_average_noise(t, generator)
    seen = inner & (count >= 100)
    for axis, field in zip(axes[:, column], (slope(middles[seen], t), average[seen])):
        dots(axis, x_t, COLOURS["noisy"])
        arrows(axis, middles[seen], field, INK)
    axes[0, column].set_title(f"t = {t}")
    axes[1, column].set_xlabel("first coordinate")
axes[0, 1].set_ylabel("gradient of the\nlog density")
axes[1, 1].set_ylabel("against the\naverage noise")
axes[1, 1].tick_params(labelleft=True)
show(
    figure,
    "The two rows of arrows agree: against the average noise is uphill. At small t each point is "
    "drawn to its own cloud, at large t all are drawn to the middle. (In each panel the longest "
    "arrow is drawn equally long.)",
)

# %% [markdown]
# The upper row is the score. The lower row was made of noise alone. The derivation shows why they agree.

# %% [markdown]
# ## The derivation
#
# All gradients here are with respect to $\mathbf{x}_t$. (In statistics, *score* often means a gradient with respect to parameters.)
#
# **1. The score of one Gaussian.** By the jump, $q(\mathbf{x}_t | \mathbf{x}_0) = \mathcal{N}(\sqrt{\bar{\alpha}_t}\, \mathbf{x}_0, (1 - \bar{\alpha}_t) \mathbf{I})$
# (eq. 4 of [Ho et al. 2020](https://arxiv.org/abs/2006.11239)). Its log density is
# $-\lVert \mathbf{x}_t - \sqrt{\bar{\alpha}_t}\, \mathbf{x}_0 \rVert^2 / (2 (1 - \bar{\alpha}_t))$ plus a constant. Differentiate it, and put in the jump:
#
# $$
# \nabla \log q({\color{#B3528C}{\mathbf{x}_t}} | {\color{#0072B2}{\mathbf{x}_0}})
# = -\frac{{\color{#B3528C}{\mathbf{x}_t}} - \sqrt{\bar{\alpha}_t}\, {\color{#0072B2}{\mathbf{x}_0}}}{1 - \bar{\alpha}_t}
# = -\frac{{\color{#C05500}{\boldsymbol{\epsilon}}}}{\sqrt{1 - \bar{\alpha}_t}}.
# $$
#
# **2. The score of noisy data.** The density of $\mathbf{x}_t$ is $q(\mathbf{x}_t) = \int q(\mathbf{x}_t | \mathbf{x}_0)\, q(\mathbf{x}_0)\, d\mathbf{x}_0$. Take the gradient
# under the integral, write $\nabla q = q \nabla \log q$, and divide by $q(\mathbf{x}_t)$:
#
# $$
# \nabla \log q(\mathbf{x}_t) = \int \frac{q(\mathbf{x}_t | \mathbf{x}_0)\, q(\mathbf{x}_0)}{q(\mathbf{x}_t)}\, \nabla \log q(\mathbf{x}_t | \mathbf{x}_0)\, d\mathbf{x}_0
# = -\frac{\mathbb{E}\left[{\color{#C05500}{\boldsymbol{\epsilon}}} \,\middle|\, {\color{#B3528C}{\mathbf{x}_t}}\right]}{\sqrt{1 - \bar{\alpha}_t}}.
# $$
#
# By Bayes' rule the fraction is $q(\mathbf{x}_0 | \mathbf{x}_t)$, so the integral is an average over all clean images that may have led to $\mathbf{x}_t$.
# That is the picture: the score points against the *average* noise.
#
# **3. What the simple loss asks for.** Split the noise into its average given $\mathbf{x}_t$ and a rest. The rest averages to 0 at each $\mathbf{x}_t$, so the
# mixed term of the square is 0:
#
# $$
# \mathbb{E} \lVert {\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) \rVert^2
# = \underbrace{\mathbb{E} \lVert {\color{#C05500}{\boldsymbol{\epsilon}}} - \mathbb{E}[{\color{#C05500}{\boldsymbol{\epsilon}}} | \mathbf{x}_t] \rVert^2}_{\text{the least possible loss}}
# + \underbrace{\mathbb{E} \lVert {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) - \mathbb{E}[{\color{#C05500}{\boldsymbol{\epsilon}}} | \mathbf{x}_t] \rVert^2}_{\text{what training makes small}}.
# $$
#
# The best network therefore predicts the average noise, and with step 2 that is
#
# $$
# {\color{#008561}{\boldsymbol{\epsilon}^*}}(\mathbf{x}_t, t) = -\sqrt{1 - \bar{\alpha}_t}\; \nabla \log q({\color{#B3528C}{\mathbf{x}_t}}).
# $$
#
# So the network's noise is the score, scaled. A trained network comes near it; the last term of its loss says how near. Learning a score in this way is called
# **denoising score matching** ([Vincent 2011](https://doi.org/10.1162/NECO_a_00142)).
#
# **4. Tweedie's formula.** Solve the jump for the clean image, and average it given $\mathbf{x}_t$. Then put in step 2:
#
# $$
# \mathbb{E}[{\color{#0072B2}{\mathbf{x}_0}} | \mathbf{x}_t] = \frac{{\color{#B3528C}{\mathbf{x}_t}} + (1 - \bar{\alpha}_t)\, \nabla \log q(\mathbf{x}_t)}{\sqrt{\bar{\alpha}_t}}.
# $$
#
# This is lesson 06's estimate of the clean image (`x_start` in other code), written with a score.
#
# **5. Our two clouds.** For them the average of step 2 has two terms. Cloud $k$ has the centre $\sqrt{\bar{\alpha}_t}\, \mathbf{m}_k$ at time $t$ and the variance
# $v_t = \bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t$, where $s^2$ is its variance at the start. Let $r_k$ be the probability that a point at $\mathbf{x}_t$ came
# from cloud $k$. By Bayes' rule it is proportional to the cloud's share times its density at $\mathbf{x}_t$. Then
#
# $$
# \nabla \log q(\mathbf{x}_t) = \sum_k r_k(\mathbf{x}_t)\, \frac{\sqrt{\bar{\alpha}_t}\, \mathbf{m}_k - \mathbf{x}_t}{v_t}.
# $$
#
# **6. A walk.** What is a score good for? Take a step uphill, and add noise (**Langevin dynamics**, eq. 4 of
# [Song & Ermon 2019](https://arxiv.org/abs/1907.05600); their step size is $2h$):
#
# $$
# \mathbf{x} \leftarrow \mathbf{x} + h\, \nabla \log q(\mathbf{x}) + \sqrt{2h}\; {\color{#C05500}{\mathbf{z}}}, \qquad \mathbf{z} \sim \mathcal{N}(\mathbf{0}, \mathbf{I}).
# $$
#
# Let many points walk, and let $p$ be their density. Add up the step sizes $h$ to a time $\tau$. For tiny steps $p$ obeys the **Fokker-Planck equation**:
#
# $$
# \frac{\partial p}{\partial \tau} = -\nabla \cdot (p\, \nabla \log q) + \nabla^2 p.
# $$
#
# The first term carries points uphill, and the second spreads them. For $p = q$ the two cancel, because $q \nabla \log q = \nabla q$. So points that are
# distributed as $q$ stay so, and others get there in time.
#
# **7. The reverse step.** Put the score into the reverse step of lesson 06 (eq. 11 of Ho et al.):
#
# $$
# \mathbf{x}_{t-1} = \frac{1}{\sqrt{1 - \beta_t}} \left({\color{#B3528C}{\mathbf{x}_t}} + \beta_t\, \nabla \log q(\mathbf{x}_t)\right) + \sqrt{\beta_t}\; {\color{#C05500}{\mathbf{z}}}.
# $$
#
# For small $\beta_t$, $1 / \sqrt{1 - \beta_t} \approx 1 + \beta_t / 2$. Drop what is of order $\beta_t^2$, and sort the terms into two groups:
#
# $$
# \mathbf{x}_{t-1} \approx {\color{#B3528C}{\mathbf{x}_t}}
# + \underbrace{\tfrac{1}{2} \beta_t\, \mathbf{x}_t + \tfrac{1}{2} \beta_t\, \nabla \log q(\mathbf{x}_t)}_{\text{from level } t \text{ to level } t-1}
# + \underbrace{\tfrac{1}{2} \beta_t\, \nabla \log q(\mathbf{x}_t) + \sqrt{\beta_t}\; {\color{#C05500}{\mathbf{z}}}}_{\text{a Langevin step at level } t,\ h = \beta_t / 2}.
# $$
#
# The second group is the walk of step 6. The first group has no noise. It moves points so that their density becomes that of the next level.
#
# **In continuous time.** Let the number of steps grow. The forward process becomes a **stochastic differential equation** (SDE): a steady part (the *drift*) plus random
# shaking. [Anderson (1982)](https://doi.org/10.1016/0304-4149%2882%2990051-5) showed that such an equation can be run backwards if you know the score.
# [Song et al. (2021)](https://arxiv.org/abs/2011.13456) use this **reverse-time SDE** to generate images (their eq. 6). The formula above is one step of it, by
# the simplest method, named after Euler and Maruyama. DDPM's forward process is their *variance-preserving* SDE (eq. 11). The first group alone is the
# **probability-flow ODE** (eq. 13). It leads to the same density at every $t$, without any shaking. Lesson 09 follows it.

# %% [markdown]
# ## Rebuild it
#
# Try it first, if you like: before each function stands an almost empty cell with its signature. The cell after it has our version.


# %%
def score_from_noise(noise, t, schedule):
    """The score that a noise stands for; t is an integer, or a tensor with one for each point."""
    # your lines


# %%
def score_from_noise(noise, t, schedule):
    spread = (1 - schedule.alpha_bar[t]).sqrt()  # () or (b,)
    spread = spread.to(noise).reshape(-1, *[1] * (noise.ndim - 1))  # (1, 1, ...) or (b, 1, ...)
    return -noise / spread  # (b, *dims)


# %%
def exact_score(x, t):
    """The score of our two clouds at the points x, by step 5."""
    # your lines


# %%
def exact_score(x, t):
    alpha_bar = schedule.alpha_bar[t]
    v = alpha_bar * variance + 1 - alpha_bar  # ()
    to_centre = alpha_bar.sqrt() * centres - x[:, None]  # (n, 2 clouds, 2)
    log_likelihood = -to_centre.square().sum(2) / (2 * v)  # (n, 2 clouds), up to a constant
    r = (shares.log() + log_likelihood).softmax(1)  # (n, 2 clouds)
    return (r[..., None] * to_centre / v).sum(1)  # (n, 2)


# %%
def langevin(score, x, step_size, steps, generator):
    """Walk so many steps from x; score is a function of x."""
    # your lines


# %%
def langevin(score, x, step_size, steps, generator):
    for _ in range(steps):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)  # (n, d)
        x = x + step_size * score(x) + math.sqrt(2 * step_size) * noise  # (n, d)
    return x


# %% [markdown]
# ## By hand
#
# An example: $\bar{\alpha}_t = 0.5$, $x_0 = 0.8$ and $\epsilon = 0.3$ give $x_t = 0.778$. What is the score of $q(x_t | x_0)$ there? And does Tweedie's
# formula lead back to $x_0$?

# %% tags=["worked-example"]
root = math.sqrt(0.5)  # of alpha_bar and of 1 - alpha_bar
x_t = root * 0.8 + root * 0.3
score = -0.3 / root
print(f"x_t = 0.707 * 0.8 + 0.707 * 0.3 = {x_t:.3f}")
print(f"score = -0.3 / 0.707 = {score:.3f}")
print(f"by the mean and variance: -(0.778 - 0.566) / 0.5 = {-(x_t - root * 0.8) / 0.5:.3f}")
print(f"Tweedie: (0.778 + 0.5 * {score:.3f}) / 0.707 = {(x_t + 0.5 * score) / root:.1f}")
assert round(x_t, 3) == 0.778 and round(score, 3) == -0.424

# %% [markdown]
# Now let the clean pixel be $0.8$ or $-0.8$, each half of the time. The same $x_t$ may have come from either, and the score takes the average.

# %% tags=["worked-example"]
noises = torch.tensor([(x_t - root * 0.8) / root, (x_t + root * 0.8) / root])
probability = torch.softmax(-(noises**2) / 2, 0)
average = (probability * noises).sum().item()
print(f"noise: {noises[0]:.1f} if the pixel was 0.8, {noises[1]:.1f} if it was -0.8")
print(f"probabilities: {probability[0]:.3f} and {probability[1]:.3f}")
score = -average / root
print(f"average noise: {average:.3f}, score: {score:.3f}")
print(f"Tweedie: (0.778 + 0.5 * {score:.3f}) / 0.707 = {(x_t + 0.5 * score) / root:.3f}")
mean_pixel = 0.8 * (probability[0] - probability[1]).item()
assert abs((x_t + 0.5 * score) / root - mean_pixel) < 1e-6

# %% [markdown]
# Last, the example of lesson 06: $x_t = 0.4$, predicted noise 0.3, $\beta_t = 0.01$, $z = 0.1$. Here is its reverse step with a score in it, and the
# Langevin step that shakes as much ($2h = \beta_t$).

# %% tags=["worked-example"]
score = -0.3 / math.sqrt(1 - 0.5)
reverse_value = (0.4 + 0.01 * score) / math.sqrt(0.99) + math.sqrt(0.01) * 0.1
walk_value = 0.4 + 0.005 * score + math.sqrt(2 * 0.005) * 0.1
print(f"reverse step:  (0.4 - {-0.01 * score:.5f}) / 0.995 + 0.1 * 0.1 = {reverse_value:.3f}")
print(f"Langevin step:  0.4 - {-0.005 * score:.5f}          + 0.1 * 0.1 = {walk_value:.3f}")
assert round(-0.01 * score, 5) == 0.00424 and round(reverse_value, 3) == 0.408

# %% [markdown]
# The two agree to three digits by chance. The reverse step goes twice as far uphill, and is then stretched.

# %% [markdown]
# ## Believe it
#
# **The formula.** The score of step 5 should be what automatic differentiation finds.

# %%
x = 2 * torch.randn(500, 2, generator=generator, dtype=torch.float64)
for t in (0, 1, 10, 100, 500, 1000):
    difference = (exact_score(x, t) - slope(x, t)).norm() / slope(x, t).norm()
    assert difference < 1e-13
print("equal at six times, up to rounding")


# %% [markdown]
# **A trained network.** A small network with three hidden layers is trained with `simple_loss` on points of the clouds. It sees noisy points, their
# noise and their timesteps, never a density or a score.

# %%
class SmallNetwork(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        sizes = [(2 + 32, width), (width, width), (width, width)]
        hidden = [layer for size in sizes for layer in (nn.Linear(*size), nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 2))

    def forward(self, x_t, t):
        time = timestep_embedding(t, 32).to(x_t)  # (b, 32)
        return self.layers(torch.cat([x_t, time], dim=1))  # (b, 2)


# %%
torch.manual_seed(8)
network = SmallNetwork().double()
optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2500)
generator = torch.Generator().manual_seed(8)
for _ in range(2500):
    loss = simple_loss(network, draw_data(512, generator), schedule, generator=generator)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    cosine.step()
network.requires_grad_(False)


def network_score(x, t):
    times = torch.full((len(x),), t)  # (n,)
    return score_from_noise(network(x, times), t, schedule)  # (n, 2)


# %% jupyter={"source_hidden": true}
figure, axes = new_figure(1, 4, height=2.2, sharey=True)
for axis, t in zip(axes[0], shown):
    x_t, _ = forward_diffusion(draw_data(5000, generator), t, schedule, generator=generator)
    seen = inner & (torch.cdist(middles, x_t).amin(1) < 0.3)  # near what the network has seen
    places = middles[seen]
    dots(axis, x_t, COLOURS["noisy"])
    scale = arrows(axis, places, exact_score(places, t), INK, longest=0.15, width=0.026, head=1)
    arrows(axis, places, network_score(places, t), COLOURS["network"], scale, width=0.01)
    axis.set(title=f"t = {t}", xlabel="first coordinate")
axes[0, 0].set_ylabel("second coordinate")
show(
    figure,
    "Where there are points, the network's arrows (green) lie on the exact score (black wedges).",
)

# %% [markdown]
# How near is it? At points of $q(\mathbf{x}_t)$, compare the predicted noise with the best prediction $\boldsymbol{\epsilon}^*$, and the network's score with the
# exact one. Both errors are root mean squares.

# %%
print("   t   error of noise   relative   error of score")
relative = {}
for t in (10, 50, 150, 300, 600):
    x_t, _ = forward_diffusion(draw_data(100_000, generator), t, schedule, generator=generator)
    spread = (1 - schedule.alpha_bar[t]).sqrt()  # ()
    best = -spread * exact_score(x_t, t)  # (n, 2) the average noise
    error = (network(x_t, torch.full((len(x_t),), t)) - best).square().mean().sqrt()
    relative[t] = (error / best.square().mean().sqrt()).item()
    print(f"{t:>4} {error:>14.2f} {relative[t]:>12.0%} {error / spread:>14.2f}")
assert relative[10] > 0.2 and max(relative[t] for t in (50, 150, 300, 600)) < 0.1

# %% [markdown]
# From $t = 50$ on, the noise is right to within ten per cent. At $t = 10$ it is not, and the loss hardly shows it. There the noise is small against
# a cloud's width and can hardly be told from the data, so even the best prediction is near 0. The score divides what error there is by a small
# $\sqrt{1 - \bar{\alpha}_t}$.

# %% [markdown]
# ## One noise level fails, many repair it
#
# Now walk. Start 2,000 points from $\mathcal{N}(\mathbf{0}, \mathbf{I})$, and follow the exact score of the *clean* data ($t = 0$) for 1,000 steps.
#
# Then use many noise levels, as Song & Ermon (2019) do. Start with the score of $t = 1000$, walk ten steps, pass to the next lower level, and so on
# down to $t = 10$. These are 1,000 steps too. They must shrink with the noise: $h = 0.3\, (1 - \bar{\alpha}_t)$. This is **annealed Langevin
# dynamics**.

# %%
def start():
    generator = torch.Generator().manual_seed(8)
    return torch.randn(2000, 2, generator=generator, dtype=torch.float64), generator


def shrinking(t):
    """The step size h at level t."""
    return 0.3 * (1 - schedule.alpha_bar[t]).item()


def anneal(score=exact_score, step_size=shrinking, walk=langevin):
    x, generator = start()
    for t in range(1000, 0, -10):
        x = walk(partial(score, t=t), x, step_size(t), 10, generator)  # (2000, 2)
    return x


# %%
def describe(x):
    """The share of points in the left cloud, and the standard deviation inside the clouds."""
    cloud = torch.cdist(x, centres).argmin(1)  # (n,)
    means = torch.stack([x[cloud == k].mean(0) for k in (0, 1)])  # (2, 2)
    return (cloud == 0).double().mean().item(), (x - means[cloud]).square().mean().sqrt().item()


x_T, generator = start()
ends = {
    "the data": draw_data(2000, generator),
    "one level": langevin(partial(exact_score, t=0), x_T, 0.004, 1000, generator),
    "many levels": anneal(),
    "many levels, network": anneal(network_score),
}
for name, x in ends.items():
    share, spread = describe(x)
    print(f"{name:<22} left cloud {share:.0%}, standard deviation inside {spread:.2f}")

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(1, 4, height=1.9, sharey=True)
for axis, (name, x) in zip(axes[0], ends.items()):
    share, _ = describe(x)
    colour = {"the data": "clean", "many levels, network": "network"}.get(name, "noisy")
    axis.plot(*x[:1000].T.numpy(), ".", color=COLOURS[colour], markersize=2, alpha=0.5)
    axis.set(**plane, ylim=(-2.0, 2.0), title=name, xlabel="first coordinate")
    for word, x_place, y_place in ((f"{share:.0%}", -1.5, 0.4), (f"{1 - share:.0%}", 1.0, 1.4)):
        axis.text(x_place, y_place, word, ha="center")
axes[0, 0].set_ylabel("second coordinate")
show(
    figure,
    "With one noise level far too many points end in the left cloud; with many levels the shares "
    "are those of the data.",
)
standard_error = math.sqrt(0.2 * 0.8 / 2000)  # of the share
assert describe(ends["one level"])[0] > 0.35
for name in ("many levels", "many levels, network"):
    share, spread = describe(ends[name])
    assert abs(share - 0.2) < 4 * standard_error and abs(spread - 0.2) < 0.03

# %% [markdown]
# With many levels the shares are right. (The clouds are still a little too wide, because ten steps at each level are few.)
#
# With one level, each point climbs the hill on whose side it started. Near one cloud the score says nothing about the *share* of the other. Points would
# have to cross from cloud to cloud until the shares are right. How likely is the place that they would have to cross?


# %%
def valley(t):
    """The lowest density on the way between the two centres, over that at the left centre."""
    left, right = schedule.alpha_bar[t].sqrt() * centres  # (2,), (2,)
    along = torch.linspace(0, 1, 501, dtype=torch.float64)[:, None]  # (501, 1)
    way = left + along * (right - left)  # (501, 2)
    height = density(t).log_prob(way).exp()  # (501,)
    return (height.min() / height[0]).item()


for t in (0, 50, 100, 150, 200):
    print(f"t = {t:>3}: {valley(t):.0e}")
assert valley(0) < 1e-8 and valley(200) > 0.5

# %% [markdown]
# At $t = 0$ no point crosses. Where there is much noise, crossing is easy. So the high levels share the points out between the clouds, and the
# low levels give each cloud its shape. This is why Song and Ermon train one network for many noise levels, a *noise-conditional score network*. Like
# DDPM's network, it is told the level.

# %% [markdown]
# ## DDPM is this walk, read the other way
#
# DDPM starts from noise and passes from level to level too. Step 7 of the derivation says what one of its steps does: half of it is a Langevin step, and the other
# half moves the points on to the next level. Is the Langevin half enough? Take it alone, one step at each of the 1,000 levels.

# %%
def ddpm_step(x, t, score, noise):
    beta = schedule.beta[t].item()
    return (x + beta * score) / math.sqrt(1 - beta) + math.sqrt(beta) * noise  # (n, d)


def langevin_half(x, t, score, noise):
    beta = schedule.beta[t].item()
    return x + beta / 2 * score + math.sqrt(beta) * noise  # (n, d)


for step in (ddpm_step, langevin_half):
    x, generator = start()
    for t in schedule.steps():
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype) * (t > 1)  # (n, 2)
        x = step(x, t, exact_score(x, t), noise)
    share, spread = describe(x)
    print(f"{step.__name__:<14} left cloud {share:.0%}, standard deviation inside {spread:.2f}")
    assert (abs(spread - 0.2) < 0.02) == (step is ddpm_step)

# %% [markdown]
# DDPM's step arrives at the data. The Langevin half alone lags behind: at each level its points still have the spread of a noisier level. Annealed
# Langevin dynamics lets them catch up, by many steps at each level. DDPM moves them along instead.
#
# Song et al. (2021) build both into one sampler. A **predictor** goes from one level to the next, then a **corrector** takes Langevin steps at that level, as
# many as you like. DDPM has only the predictor, and annealed Langevin dynamics has only the corrector.
#
# If you want to know how small the dropped terms of step 7 are, or what happens if the reverse step is repeated at one level, see
# [the appendix](../docs/appendix_score.md).

# %% [markdown]
# ## Same as the package
#
# `exact_score` is compared with the package's `GaussianMixture`, which holds any number of clouds. `ddpm_step` is compared with the `reverse_step` of lesson 06.

# %%
same_as_package("08", globals())

# %% [markdown]
# ## Play
#
# **When do the two clouds become one hill?** Move $t$. On the left is the direction of the score, all arrows of one length. On the right is the density on the
# line through both centres. From which $t$ on do the arrows no longer part between the clouds?

# %% jupyter={"source_hidden": true}
along = torch.linspace(-3, 3, 3001, dtype=torch.float64)  # from the middle between the centres
side = torch.linspace(-2.4, 2.4, 13, dtype=torch.float64)
fine = torch.cartesian_prod(side, side)  # (169, 2)


def hills_on_the_line(t):
    left, right = schedule.alpha_bar[t].sqrt() * centres
    direction = (right - left) / (right - left).norm()  # (2,)
    line = (left + right) / 2 + along[:, None] * direction  # (3001, 2)
    height = density(t).log_prob(line).exp()  # (3001,)
    hills = ((height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:])).nonzero().flatten() + 1
    return height / height.max(), hills


def draw_score(t):
    generator = torch.Generator().manual_seed(8)
    x_t, _ = forward_diffusion(draw_data(300, generator), t, schedule, generator=generator)
    score = exact_score(fine, t)
    direction = score / score.norm(dim=1, keepdim=True)  # (169, 2)
    height, hills = hills_on_the_line(t)
    figure, axes = new_figure(1, 2, height=3.2)
    dots(axes[0, 0], x_t, COLOURS["noisy"])
    arrows(axes[0, 0], fine, direction, INK, longest=0.06, width=0.006)
    axes[0, 0].set(title=f"t = {t}: direction of the score")
    axes[0, 0].set(xlabel="first coordinate", ylabel="second coordinate")
    axes[0, 1].plot(along.numpy(), height.numpy(), color=COLOURS["noisy"])
    axes[0, 1].plot(along[hills].numpy(), height[hills].numpy(), "o", color=INK)
    axes[0, 1].set(xlabel="place on the line through both centres", ylim=(0, 1.1))
    axes[0, 1].set_ylabel("density / largest density")
    return figure, f"At t = {t} the density has {'two hills' if len(hills) == 2 else 'one hill'}."


for t in (*range(0, 1001, 25), 235, 236):
    assert len(hills_on_the_line(t)[1]) == (2 if t < 236 else 1)

# %%
play(draw_score, t=ipywidgets.IntSlider(100, 0, 1000))

# %% [markdown]
# <details><summary>Answer</summary>
#
# From t = 236 on. The smaller hill gets lower and wider until it is a shoulder of the larger one. Above that time there is nothing left to cross.
# </details>

# %% [markdown]
# ## Mistakes people make
#
# Each walk uses many levels as before, with the exact score and one thing wrong.
#
# 1. **The wrong sign**: the score is taken to be *plus* the noise.
# 2. **Not divided**: minus the noise is taken for the score, without $1 / \sqrt{1 - \bar{\alpha}_t}$.
# 3. **$\sqrt{h}$ for $\sqrt{2h}$**: too little shaking.
# 4. **One step size for all levels.**

# %%
def shaken_too_little(score, x, step_size, steps, generator):
    for _ in range(steps):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = x + step_size * score(x) + math.sqrt(step_size) * noise
    return x


walks = {
    "right": ends["many levels"],
    "wrong sign": anneal(lambda x, t: -exact_score(x, t)),
    "not divided": anneal(lambda x, t: exact_score(x, t) * (1 - schedule.alpha_bar[t]).sqrt()),
    "sqrt(h)": anneal(walk=shaken_too_little),
    "one step size": anneal(step_size=lambda t: 0.06),
}

# %% jupyter={"source_hidden": true}
panels = {name: x for name, x in walks.items() if x.norm(dim=1).median() < 10}
measured = {name: describe(x) for name, x in panels.items()}
figure, axes = new_figure(1, len(panels), height=2.2, sharey=True)
for axis, (name, x) in zip(axes[0], panels.items()):
    share, spread = measured[name]
    axis.plot(*centres.T.numpy(), "+", color=COLOURS["clean"], markersize=12, zorder=3)
    axis.plot(*x[:1000].T.numpy(), ".", color=COLOURS["noisy"], markersize=1.5, alpha=0.5)
    axis.set(**plane, ylim=(-2.4, 2.4), xlabel="first coordinate")
    axis.set_title(f"{name}\nleft {share:.0%}, spread {spread:.2f}")
axes[0, 0].set_ylabel("second coordinate")
show(
    figure,
    "Crosses mark the centres of the data, whose left cloud has 20% of the points and whose spread "
    "is 0.20. A score that is not divided leaves the points too wide; with sqrt(h) the left cloud "
    "thins out; one step size for all levels leaves the clouds too wide. With the wrong sign all "
    "points have run away.",
)
assert "wrong sign" not in panels
assert measured["not divided"][1] > 0.4 and measured["one step size"][1] > 0.3
left_of_square = 0.2**2 / (0.2**2 + 0.8**2)
assert abs(measured["sqrt(h)"][0] - left_of_square) < 0.03
assert abs(measured["sqrt(h)"][1] - 0.2 / math.sqrt(2)) < 0.02

# %% [markdown]
# - With the wrong sign every point runs away downhill. You notice that at once.
# - Without the division the score is too weak, and more so the smaller $t$ is.
# - With $\sqrt{h}$ the noise has half of its variance, and the walk draws from the *square* of the density. The left cloud's share becomes
#   $0.2^2 / (0.2^2 + 0.8^2)$, about 6%, and each cloud is narrower by $\sqrt{2}$. The samples look clean, so this mistake is easy to overlook.
# - A step size that suits the high levels is too coarse for narrow clouds. One that suits the low levels would hardly move the points at the high ones.

# %% [markdown]
# ## Check yourself
#
# <details><summary>A friend's sampler uses the network's output as the score. What is missing, and what do you expect to see?</summary>
#
# The division by minus the root of 1 - alpha_bar_t. Without the minus the points run away. With the minus but without the root the pull is too weak at small t, so the points stay spread too wide.
# </details>
#
# <details><summary>The simple loss of your network is 0.03 above the least possible one at some t. How far is its noise prediction from the exact one?</summary>
#
# By step 3 the excess is the mean squared distance: the root of 0.03 is about 0.17 for each coordinate. The score is off by that over the root of 1 - alpha_bar_t.
# </details>
#
# <details><summary>You repeat the reverse step at t = 300 for ever, with the exact score. Do you get draws of q(x_300)?</summary>
#
# No. Half of the step's pull is meant to follow the density to t = 299. Repeated at one level it makes the points too narrow. A Langevin step with the same noise has half of the pull and no stretching.
# </details>
#
# **Look it up:** [questions about likelihood, scores and other models](../docs/questions.md#likelihood-scores-and-other-models), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [08 · The score](../exercises/08_score.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [09 · Fewer steps](09_ddim.ipynb) follows the path without shaking, in far fewer steps.
