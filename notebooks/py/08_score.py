# %% [markdown]
# # 08 · The score
#
# *You will*
# - derive why a network that predicts noise has learned the slope of the log density, and prove it with numbers;
# - walk along that slope, see the walk fail with one noise level, and repair it with many;
# - read the reverse step as a step of a stochastic differential equation, and measure what "essentially Langevin dynamics" leaves out.
#
# *You need* the jump to $\mathbf{x}_t$ ([02 Noising](02_noising.ipynb)), the simple loss ([04 Loss](04_loss.ipynb)) and the reverse
# step ([06 Sampler](06_sampler.ipynb)).
#
# *It takes* 30 minutes to read and about 40 seconds to run.

# %%
import math
from functools import partial
from typing import NamedTuple

import matplotlib
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from minddpm.loss import simple_loss
from minddpm.noising import forward_diffusion, x0_from_noise
from minddpm.sampler import reverse_step
from minddpm.schedule import linear_schedule
from minddpm.unet import timestep_embedding
from minddpm_course.figures import COLOURS, GREY, INK, STYLE, new_figure, show

matplotlib.rcParams.update(STYLE)
schedule = linear_schedule()

# %% [markdown]
# ## The idea in a picture
#
# For images nobody knows the density. So take data for which you know everything: points in the plane, in two round clouds. One point in five is in
# the left cloud. Noise them, as you would noise an image of two pixels. The result is $\mathbf{x}_t$.
#
# The upper row shows the **score** of $\mathbf{x}_t$: the slope of the log density. Each arrow points to where points become more likely. It is
# computed by automatic differentiation.
#
# The lower row knows no density. It noises a million points, and looks at those that fall into one cell of a grid. The arrow
# points against the average of the noise that brought them there, and is divided by $\sqrt{1 - \bar{\alpha}_t}$.

# %%
class Clouds(NamedTuple):
    means: Tensor  # (k, d)
    variance: float
    weights: Tensor  # (k,), their sum is 1

    def sample(self, n, generator):
        cloud = torch.multinomial(self.weights, n, replacement=True, generator=generator)  # (n,)
        noise = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)  # (n, d)
        return self.means[cloud] + math.sqrt(self.variance) * noise  # (n, d)


data = Clouds(torch.tensor([[-1.5, -0.5], [1.0, 0.5]], dtype=torch.float64), 0.04, torch.tensor([0.2, 0.8], dtype=torch.float64))


def torch_density(t):
    """The density of x_t, from PyTorch's own distributions."""
    alpha_bar = schedule.alpha_bar[t]
    bells = Normal(alpha_bar.sqrt() * data.means, (alpha_bar * data.variance + 1 - alpha_bar).sqrt())
    return MixtureSameFamily(Categorical(data.weights), Independent(bells, 1))


def autograd_score(x, t):
    x = x.clone().requires_grad_()  # (n, 2)
    return torch.autograd.grad(torch_density(t).log_prob(x).sum(), x)[0]  # (n, 2)


side = torch.linspace(-2.4, 2.4, 9, dtype=torch.float64)  # the middles of the cells, 0.6 wide
grid = torch.cartesian_prod(side, side)  # (81, 2)
shown = (50, 150, 300, 600)


def against_average_noise(t, generator, draws=1_000_000):
    """In each cell: minus the average noise over sqrt(1 - alpha_bar_t), and how many points there are."""
    x_t, noise = forward_diffusion(data.sample(draws, generator), t, schedule, generator=generator)
    column, row = ((x_t + 2.7) / 0.6).floor().long().unbind(1)
    inside = (column >= 0) & (column < 9) & (row >= 0) & (row < 9)
    cell = (9 * column + row)[inside]
    count = torch.zeros(81, dtype=torch.float64).index_add(0, cell, torch.ones(len(cell), dtype=torch.float64))
    total = torch.zeros(81, 2, dtype=torch.float64).index_add(0, cell, noise[inside])
    return -total / count[:, None] / (1 - schedule.alpha_bar[t]).sqrt(), count


def arrows(axis, places, field, colour, longest=0.12, width=0.013):
    scale = field.norm(dim=1).max().item() / longest  # the longest arrow is this share of the axis
    head = {"headwidth": 3.5, "headlength": 4}
    axis.quiver(*places.T.numpy(), *field.T.numpy(), color=colour, angles="xy", width=width, scale=scale, **head)
    axis.set(xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")


def dots(axis, x, colour):
    axis.plot(*x[:300].T.numpy(), ".", color=colour, markersize=1.5, alpha=0.6)


generator = torch.Generator().manual_seed(8)
figure, axes = new_figure(2, 5, height=3.1, sharex=True, sharey=True)
x_0 = data.sample(300, generator)
dots(axes[0, 0], x_0, COLOURS["clean"])
axes[0, 0].set_title("the data", color=COLOURS["clean"])
axes[0, 0].set(aspect="equal", ylabel="second coordinate")
axes[0, 0].tick_params(labelbottom=True)
axes[1, 0].remove()
for column, t in enumerate(shown, start=1):
    x_t, _ = forward_diffusion(x_0, t, schedule, generator=generator)
    average, count = against_average_noise(t, generator)
    seen = count >= 100
    for axis, field in zip(axes[:, column], (autograd_score(grid, t)[seen], average[seen])):
        dots(axis, x_t, COLOURS["noisy"])
        arrows(axis, grid[seen], field, INK)
    axes[0, column].set_title(f"t = {t}")
    axes[1, column].set_xlabel("first coordinate")
axes[0, 1].set_ylabel("slope of the\nlog density")
axes[1, 1].set_ylabel("against the\naverage noise")
axes[1, 1].tick_params(labelleft=True)
show(
    figure,
    "The two rows of arrows agree: against the average noise is uphill. At small t each point is drawn to its own cloud, at large t all are drawn to the middle.",
)

# %% [markdown]
# Lengths are relative to the longest arrow of each panel. Cells with fewer than 100 points have no arrow.

# %% [markdown]
# ## The derivation
#
# **1. The score of one Gaussian.** The jump says that $q(\mathbf{x}_t | \mathbf{x}_0) = \mathcal{N}(\sqrt{\bar{\alpha}_t}\, \mathbf{x}_0, (1 - \bar{\alpha}_t) \mathbf{I})$ (eq. 4 of the paper).
# The log density is $-\lVert \mathbf{x}_t - \sqrt{\bar{\alpha}_t}\, \mathbf{x}_0 \rVert^2 / (2 (1 - \bar{\alpha}_t))$ plus a constant. Differentiate, and put in the jump:
#
# $$
# \nabla \log q({\color{#B3528C}{\mathbf{x}_t}} | {\color{#0072B2}{\mathbf{x}_0}})
# = -\frac{{\color{#B3528C}{\mathbf{x}_t}} - \sqrt{\bar{\alpha}_t}\, {\color{#0072B2}{\mathbf{x}_0}}}{1 - \bar{\alpha}_t}
# = -\frac{{\color{#C05500}{\boldsymbol{\epsilon}}}}{\sqrt{1 - \bar{\alpha}_t}}.
# $$
#
# All slopes here are taken in $\mathbf{x}_t$.
#
# **2. The score of all of them.** The density of $\mathbf{x}_t$ is $q(\mathbf{x}_t) = \int q(\mathbf{x}_t | \mathbf{x}_0)\, q(\mathbf{x}_0)\, d\mathbf{x}_0$. Take the slope under the integral,
# write $\nabla q = q \nabla \log q$, and divide by $q(\mathbf{x}_t)$:
#
# $$
# \nabla \log q(\mathbf{x}_t) = \int \frac{q(\mathbf{x}_t | \mathbf{x}_0)\, q(\mathbf{x}_0)}{q(\mathbf{x}_t)}\, \nabla \log q(\mathbf{x}_t | \mathbf{x}_0)\, d\mathbf{x}_0
# = \mathbb{E}\left[\nabla \log q(\mathbf{x}_t | \mathbf{x}_0) \,\middle|\, \mathbf{x}_t\right]
# = -\frac{\mathbb{E}\left[{\color{#C05500}{\boldsymbol{\epsilon}}} \,\middle|\, {\color{#B3528C}{\mathbf{x}_t}}\right]}{\sqrt{1 - \bar{\alpha}_t}}.
# $$
#
# The fraction is Bayes' rule for $q(\mathbf{x}_0 | \mathbf{x}_t)$. That is the picture: the slope is against the *average* noise. (Vincent 2011 calls training on it
# **denoising score matching**.)
#
# **3. What the simple loss asks for.** Split the noise into its mean given $\mathbf{x}_t$ and a rest. The rest has mean 0 at each $\mathbf{x}_t$, so the mixed term is 0:
#
# $$
# \mathbb{E} \lVert {\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) \rVert^2
# = \underbrace{\mathbb{E} \lVert {\color{#C05500}{\boldsymbol{\epsilon}}} - \mathbb{E}[{\color{#C05500}{\boldsymbol{\epsilon}}} | \mathbf{x}_t] \rVert^2}_{\text{the least possible loss}}
# + \underbrace{\mathbb{E} \lVert {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t) - \mathbb{E}[{\color{#C05500}{\boldsymbol{\epsilon}}} | \mathbf{x}_t] \rVert^2}_{\text{distance to the score}}.
# $$
#
# Only the last term depends on the network. Training makes it small, though nobody has told the network a density. So, for the best network,
#
# $$
# {\color{#008561}{\boldsymbol{\epsilon}^*}}(\mathbf{x}_t, t) = -\sqrt{1 - \bar{\alpha}_t}\; \nabla \log q({\color{#B3528C}{\mathbf{x}_t}}).
# $$
#
# The guide writes this for the network that you have. It holds for the best one. The mean squared distance of yours from it is what its loss has above the least.
#
# **4. Tweedie's formula.** Average the jump solved for the clean image, $\mathbf{x}_0 = (\mathbf{x}_t - \sqrt{1 - \bar{\alpha}_t}\, \boldsymbol{\epsilon}) / \sqrt{\bar{\alpha}_t}$, given $\mathbf{x}_t$, and put in step 2:
#
# $$
# \mathbb{E}[{\color{#0072B2}{\mathbf{x}_0}} | \mathbf{x}_t] = \frac{{\color{#B3528C}{\mathbf{x}_t}} + (1 - \bar{\alpha}_t)\, \nabla \log q(\mathbf{x}_t)}{\sqrt{\bar{\alpha}_t}}.
# $$
#
# **5. The clouds.** A cloud of mean $\mathbf{m}_k$ and variance $s^2$ becomes one of mean $\sqrt{\bar{\alpha}_t}\, \mathbf{m}_k$ and variance $v_t = \bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t$. The weights $w_k$ stay. The score is
# the average of the clouds' own scores, each weighed by its share in the density at that place (step 2 again, with clouds for clean images):
#
# $$
# \nabla \log q(\mathbf{x}_t) = \sum_k r_k(\mathbf{x}_t)\, \frac{\sqrt{\bar{\alpha}_t}\, \mathbf{m}_k - \mathbf{x}_t}{v_t},
# \qquad r_k \propto w_k\, \mathcal{N}(\mathbf{x}_t; \sqrt{\bar{\alpha}_t}\, \mathbf{m}_k, v_t \mathbf{I}).
# $$
#
# **6. A walk.** What is a score good for? Walk uphill, and shake (**Langevin dynamics**, eq. 4 of Song and Ermon 2019; their step size $\epsilon$ is $2h$ here):
#
# $$
# \mathbf{x} \leftarrow \mathbf{x} + h\, \nabla \log q(\mathbf{x}) + \sqrt{2h}\; {\color{#C05500}{\mathbf{z}}}, \qquad \mathbf{z} \sim \mathcal{N}(\mathbf{0}, \mathbf{I}).
# $$
#
# Let many points walk so, the *walkers*, and let $\tau$ be the sum of the steps $h$ so far. For tiny steps their density $p$ changes as $\partial p / \partial \tau = -\nabla \cdot (p\, \nabla \log q) + \nabla^2 p$:
# the first term carries them uphill, the second spreads them.
# Put $p = q$: then $p \nabla \log q = \nabla q$, and both terms cancel. Walkers distributed as $q$ stay so. A finite $h$ leaves an error. For $q = \mathcal{N}(0, v)$ the variance $V$ at rest obeys
# $V = (1 - h / v)^2\, V + 2h$, so $V = v / (1 - \frac{h}{2v})$.
#
# **7. The reverse step.** Put the score into the update of lesson 06 (eq. 11 of the paper):
#
# $$
# \mathbf{x}_{t-1} = \frac{1}{\sqrt{1 - \beta_t}} \left({\color{#B3528C}{\mathbf{x}_t}} + \beta_t\, \nabla \log q(\mathbf{x}_t)\right) + \sqrt{\beta_t}\; {\color{#C05500}{\mathbf{z}}}.
# $$
#
# For small $\beta_t$ use $1 / \sqrt{1 - \beta_t} \approx 1 + \beta_t / 2$ and drop what is of order $\beta_t^2$:
#
# $$
# \mathbf{x}_{t-1} \approx \mathbf{x}_t + \tfrac{1}{2} \beta_t\, \mathbf{x}_t + \beta_t\, \nabla \log q(\mathbf{x}_t) + \sqrt{\beta_t}\; {\color{#C05500}{\mathbf{z}}}.
# $$
#
# This is a step of size 1, backwards, of $d\mathbf{x} = \left[-\frac{1}{2} \beta\, \mathbf{x} - \beta\, \nabla \log q(\mathbf{x})\right] dt + \sqrt{\beta}\, d\bar{\mathbf{w}}$, where $\bar{\mathbf{w}}$ is random shaking. Such an equation, a slope plus
# shaking, is a **stochastic differential equation** (SDE), and its simplest step is named after **Euler and Maruyama**. It is the forward process run back (eq. 6 and 11 of Song et al. 2021).
# There is also a path without shaking that has the same density at every $t$, the **probability-flow ODE** (their eq. 13). It takes half of the score:
#
# $$
# \mathbf{x}_{t-1} \approx \mathbf{x}_t + \tfrac{1}{2} \beta_t\, \mathbf{x}_t + \tfrac{1}{2} \beta_t\, \nabla \log q(\mathbf{x}_t).
# $$
#
# The terms dropped are of order $\beta_t^2$ in each step. With $T$ steps, and every $\beta_t$ proportional to $1/T$, they should add up to something of order $1/T$. *Believe it* measures that.


# %% [markdown]
# ## Rebuild it

# %%
def rebuilt_score_from_noise(noise, t, schedule):
    scale = (1 - schedule.alpha_bar[t]).sqrt()  # () or (b,), float64: at t = 1 the difference needs it
    return -noise / scale.to(noise).reshape(-1, *[1] * (noise.ndim - 1))  # (b, *dims)


def parts(clouds, x, t, schedule):
    """The log density of each cloud, its weight included, and its own score."""
    alpha_bar = schedule.alpha_bar[t].reshape(-1, 1)  # (1, 1) or (n, 1)
    variance = alpha_bar * clouds.variance + 1 - alpha_bar  # (1, 1) or (n, 1)
    towards = alpha_bar.sqrt()[..., None] * clouds.means - x[:, None]  # (n, k, d)
    log_bell = -towards.square().sum(2) / (2 * variance) - x.shape[1] / 2 * (2 * math.pi * variance).log()  # (n, k)
    return clouds.weights.log() + log_bell, towards / variance[..., None]  # (n, k), (n, k, d)


def rebuilt_log_density(clouds, x, t, schedule):
    return parts(clouds, x, t, schedule)[0].logsumexp(1)  # (n,)


def rebuilt_score(clouds, x, t, schedule):
    log_parts, scores = parts(clouds, x, t, schedule)
    return (log_parts.softmax(1)[..., None] * scores).sum(1)  # (n, d)


def rebuilt_langevin(score, x, step_size, steps, generator):
    for _ in range(steps):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)  # (n, d)
        x = x + step_size * score(x) + math.sqrt(2 * step_size) * noise  # (n, d)
    return x


# %% [markdown]
# ## By hand
#
# The guide's pixel: $\bar{\alpha}_t = 0.5$, $x_0 = 0.8$ and $\epsilon = 0.3$ give $x_t = 0.778$. What is the score of $q(x_t | x_0)$ there? And does Tweedie's formula lead back?

# %% tags=["worked-example"]
root = math.sqrt(0.5)  # of alpha_bar and of 1 - alpha_bar
x_t = root * 0.8 + root * 0.3
score = -0.3 / root
print(f"x_t = 0.707 * 0.8 + 0.707 * 0.3 = {x_t:.3f}")
print(f"score = -0.3 / 0.707 = {score:.3f}")
print(f"the slope of the bell, -(0.778 - 0.566) / 0.5 = {-(x_t - root * 0.8) / 0.5:.3f}")
print(f"Tweedie: (0.778 + 0.5 * {score:.3f}) / 0.707 = {(x_t + 0.5 * score) / root:.1f}")
assert round(x_t, 3) == 0.778
assert round(score, 3) == round(-(x_t - root * 0.8) / 0.5, 3) == -0.424
assert abs((x_t + 0.5 * score) / root - 0.8) < 1e-12

# %% [markdown]
# Now let the clean pixel be $0.8$ or $-0.8$, each half of the time. The same $x_t$ may have come from either, and the score takes the average.

# %% tags=["worked-example"]
noises = torch.tensor([(x_t - root * 0.8) / root, (x_t + root * 0.8) / root])
share = torch.softmax(-(noises**2) / 2, 0)
average = (share * noises).sum()
print(f"noise: {noises[0]:.1f} if the pixel was 0.8, {noises[1]:.1f} if it was -0.8")
print(f"shares: {share[0]:.3f} and {share[1]:.3f}")
print(f"average noise: {average:.3f}, score: {-average / root:.3f}")
print(f"Tweedie: (0.778 + 0.5 * {-average / root:.3f}) / 0.707 = {(x_t - 0.5 * average / root) / root:.3f}")
assert torch.allclose(noises, torch.tensor([0.3, 1.9]))
assert abs((x_t - 0.5 * average / root) / root - 0.8 * (share[0] - share[1])) < 1e-6, "the average clean pixel"

# %% [markdown]
# Last, the sampler's example of lesson 06: $x_t = 0.4$, predicted noise 0.3, $\beta_t = 0.01$, $z = 0.1$. What was subtracted there is *minus* $\beta_t$ times the score: the step adds $\beta_t$ times the score. A Langevin step that shakes as much has $2h = \beta_t$.

# %% tags=["worked-example"]
score = -0.3 / math.sqrt(1 - 0.5)
reverse_value = (0.4 + 0.01 * score) / math.sqrt(0.99) + math.sqrt(0.01) * 0.1
walk_value = 0.4 + 0.005 * score + math.sqrt(2 * 0.005) * 0.1
print(f"beta * score = {0.01 * score:.5f}")
print(f"reverse step:  (0.4 - {-0.01 * score:.5f}) / 0.995 + 0.1 * 0.1 = {reverse_value:.3f}")
print(f"Langevin step:  0.4 - {-0.005 * score:.5f}          + 0.1 * 0.1 = {walk_value:.3f}")
assert round(-0.01 * score, 5) == 0.00424 and round(reverse_value, 3) == 0.408 and round(walk_value, 3) == 0.408

# %% [markdown]
# To three digits they are equal here. That is chance: the reverse step goes twice as far uphill, and is then stretched.

# %% [markdown]
# ## Believe it
#
# **The slope of the log density.** Your score against automatic differentiation of your log density, and your log density against PyTorch's. All in float64.

# %%
generator = torch.Generator().manual_seed(80)
worst = 0.0
for t in (0, 1, 10, 100, 500, 1000):
    x = 2 * torch.randn(500, 2, generator=generator, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(rebuilt_log_density(data, leaf, t, schedule).sum(), leaf)
    score = rebuilt_score(data, x, t, schedule)
    worst = max(worst, ((score - slope).norm() / slope.norm()).item())
    assert torch.allclose(rebuilt_log_density(data, x, t, schedule), torch_density(t).log_prob(x), rtol=1e-12, atol=1e-12)
print("largest relative difference below 1e-14:", worst < 1e-14)
assert worst < 1e-14

# %% [markdown]
# **Against the average noise.** The lower row of the picture, as a test: in each cell, the average noise of a million points against your score at the very same points. The difference should be chance.

# %%
draws = 1_000_000
for t in shown:
    x_t, noise = forward_diffusion(data.sample(draws, generator), t, schedule, generator=generator)
    rest = noise + (1 - schedule.alpha_bar[t]).sqrt() * rebuilt_score(data, x_t, t, schedule)  # (n, 2), mean 0 wherever x_t is
    column, row = (x_t / 0.6).round().long().clamp(-4, 4).add(4).unbind(1)
    cell = 9 * column + row  # the outermost cells reach to infinity
    sums = torch.zeros(81, 5, dtype=torch.float64).index_add(0, cell, torch.cat([rest, rest**2, torch.ones_like(rest[:, :1])], 1))
    full = sums[sums[:, 4] >= 100]
    mean, square = full[:, :2] / full[:, 4:], full[:, 2:4] / full[:, 4:]
    deviation = (mean / (square / full[:, 4:]).sqrt()).abs().max()
    print(f"t = {t}: {len(full)} cells, all within 4.5 standard errors of 0: {bool(deviation < 4.5)}")
    assert deviation < 4.5, "the largest of at most 162 numbers"


# %% [markdown]
# **A trained network.** A small one, with three hidden layers of 64 units, is told $\mathbf{x}_t$ and $t$. It is trained with `simple_loss` on points of the clouds. It never sees a density or a score.

# %%
class SmallNetwork(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 + 32, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )

    def forward(self, x_t, t):
        return self.layers(torch.cat([x_t, timestep_embedding(t, 32).to(x_t)], dim=1))  # (b, 2)


torch.manual_seed(8)
network = SmallNetwork().double()
optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
updates = 2500
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
generator = torch.Generator().manual_seed(8)
for _ in range(updates):
    loss = simple_loss(network, data.sample(512, generator), schedule, generator=generator)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    cosine.step()
network.requires_grad_(False)


def asked(x, t):
    """What the trained network says of the score."""
    return rebuilt_score_from_noise(network(x, torch.full((len(x),), t)), t, schedule)  # (n, 2)


figure, axes = new_figure(2, 4, height=3.7, sharex=True, sharey=True)
for column, t in enumerate(shown):
    x_t, _ = forward_diffusion(data.sample(5000, generator), t, schedule, generator=generator)
    seen = torch.cdist(grid, x_t).amin(1) < 0.3  # places near points that the network has seen
    exact, learned = rebuilt_score(data, grid[seen], t, schedule), asked(grid[seen], t)
    for axis, field, colour in ((axes[0, column], exact, INK), (axes[1, column], learned, COLOURS["network"])):
        dots(axis, x_t, COLOURS["noisy"])
        arrows(axis, grid[seen], field, colour)
    axes[0, column].set_title(f"t = {t}")
    axes[1, column].set_xlabel("first coordinate")
axes[0, 0].set_ylabel("exact score")
axes[1, 0].set_ylabel("the network's", color=COLOURS["network"])
show(figure, "Where there are points, the arrows of the trained network are those of the exact score.")

# %% [markdown]
# Now the numbers, at points of $q(\mathbf{x}_t)$. *Error of the noise* is the root of the mean square of $\boldsymbol{\epsilon}_\theta - \boldsymbol{\epsilon}^*$, per coordinate. The score's error is that divided by
# $\sqrt{1 - \bar{\alpha}_t}$. The last two columns test step 3 of the derivation: what the loss exceeds the least possible loss by should be the squared error.

# %%
print("   t   error of noise   of score   relative   loss - least   error squared")
noise_errors, relative = {}, {}
for t in (10, 50, 150, 300, 600, 1000):
    x_t, noise = forward_diffusion(data.sample(100_000, generator), t, schedule, generator=generator)
    scale = (1 - schedule.alpha_bar[t]).sqrt()
    best = -scale * rebuilt_score(data, x_t, t, schedule)
    guess = network(x_t, torch.full((len(x_t),), t))
    noise_errors[t] = (guess - best).square().mean().sqrt().item()
    relative[t] = noise_errors[t] / best.square().mean().sqrt().item()
    excess = (noise - guess).square() - (noise - best).square()
    print(f"{t:>4} {noise_errors[t]:>14.2f} {noise_errors[t] / scale:>12.2f} {relative[t]:>9.0%} {excess.mean():>13.4f} {noise_errors[t] ** 2:>14.4f}")
    assert abs(excess.mean() - noise_errors[t] ** 2) < 4 * excess.std() / math.sqrt(excess.numel()), "4 standard errors"
assert max(noise_errors[t] for t in (50, 150, 300, 600, 1000)) < 0.08 and noise_errors[10] < 0.2
assert max(relative[t] for t in (50, 150, 300, 600, 1000)) < 0.1

# %% [markdown]
# From $t = 50$ on the network's score is right to a few per cent. At $t = 10$ it is not, and the loss hardly tells. There the noise is small against a cloud's width, and can hardly be told from the data, so the best
# prediction is near 0. What error there is gets divided by a small $\sqrt{1 - \bar{\alpha}_t}$. And of all the times drawn in training, only one in a hundred is 10 or less.


# %% [markdown]
# ### One noise level fails, many repair it
#
# Now walk. Start 2,000 walkers from $\mathcal{N}(\mathbf{0}, \mathbf{I})$, and let them follow the exact score of the *clean* data ($t = 0$) for 2,000 steps. Then **anneal**: start with the score of $t = T$, walk a little, and pass
# to the next lower noise level, down to $t = 1$. The steps must shrink with the noise. Take $h = 0.2\, (1 - \bar{\alpha}_t)$, and two steps at each of the 1,000 levels. That is as many steps as before.

# %%
def describe(x):
    """The share of points in the left cloud, and the standard deviation inside the clouds."""
    cloud = torch.cdist(x, data.means).argmin(1)  # (n,)
    inside = x - torch.stack([x[cloud == k].mean(0) for k in (0, 1)])[cloud]  # (n, 2)
    return (cloud == 0).double().mean().item(), inside.square().mean().sqrt().item()


walkers = 2000


def start(seed=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(walkers, 2, generator=generator, dtype=torch.float64), generator


def anneal(step_size, score=partial(rebuilt_score, data, schedule=schedule), langevin=rebuilt_langevin):
    x, generator = start()
    for t in schedule.steps():
        x = langevin(partial(score, t=t), x, step_size(t), 2, generator)
    return x


def noise_share(t):
    return (1 - schedule.alpha_bar[t]).item()


x_T, generator = start()
ends = {
    "the data": data.sample(walkers, generator),
    "one noise level": rebuilt_langevin(partial(rebuilt_score, data, t=0, schedule=schedule), x_T, 0.004, 2000, generator),
    "annealed": anneal(lambda t: 0.2 * noise_share(t)),
    "annealed, network": anneal(lambda t: 0.2 * noise_share(t), asked),
}
figure, axes = new_figure(1, 4, height=1.9, sharey=True)
for axis, (name, x) in zip(axes[0], ends.items()):
    share, spread = describe(x)
    colour = {"the data": "clean", "annealed, network": "network"}.get(name, "noisy")
    axis.plot(*x[:1000].T.numpy(), ".", color=COLOURS[colour], markersize=2, alpha=0.5)
    axis.set(title=name, xlim=(-2.8, 2.8), ylim=(-2.0, 2.0), xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal", xlabel="first coordinate")
    for word, x_place, y_place in ((f"{share:.0%}", -1.5, 0.4), (f"{1 - share:.0%}", 1.0, 1.4)):
        axis.text(x_place, y_place, word, ha="center")
    print(f"{name:<18} left cloud {share:.0%}, standard deviation inside {spread:.2f}")
axes[0, 0].set_ylabel("second coordinate")
show(figure, "With one noise level far too many walkers end in the left cloud; with many levels the shares are those of the data.")
error = math.sqrt(0.2 * 0.8 / walkers)
assert describe(ends["one noise level"])[0] > 0.35, "true share 0.2"
for name in ("annealed", "annealed, network"):
    share, spread = describe(ends[name])
    assert abs(share - 0.2) < 4 * error and abs(spread - 0.2) < 0.02, "4 standard errors; the finite step leaves 0.02"

# %% [markdown]
# With one level each walker climbs the hill on whose side it started. Between the clouds the density is so low that none goes back. The score knows the *shape* of each cloud well, but near one cloud it says nothing about
# the *weight* of the other. How low is low? Compare the density at the lowest place on the line between the clouds with that at the lower hill.

# %%
along = torch.linspace(-3, 3, 3001, dtype=torch.float64)  # on the line through both centres, from their middle


def profile(t):
    """The density on the line, where its hills are, and how deep the valley is: its floor over the lower hill."""
    left, right = schedule.alpha_bar[t].sqrt() * data.means
    line = (left + right) / 2 + along[:, None] * (right - left) / (right - left).norm()  # (3001, 2)
    density = rebuilt_log_density(data, line, t, schedule).exp()  # (3001,)
    hills = ((density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])).nonzero().flatten() + 1
    return density, hills, (density[hills[0] : hills[-1] + 1].min() / density[hills].min()).item()


for t in (0, 50, 100, 150, 200, 250):
    density, hills, valley = profile(t)
    print(f"t = {t:>3}: " + (f"two hills, the valley's floor is {valley:.0e} of the lower one" if len(hills) == 2 else "one hill"))
merged = min(t for t in schedule.steps() if len(profile(t)[1]) == 1)
print(f"one hill from t = {merged} on")
assert profile(0)[2] < 1e-8 and len(profile(250)[1]) == 1

# %% [markdown]
# Above that time there is nothing to cross. Annealing places the walkers in the right shares while walking is easy, and keeps them there when it is not.
#
# ### The reverse step as an SDE, and the ODE
#
# Now step 7. Scale the schedule so that the process is the same and only the number of steps $T$ changes: $\beta$ from $0.1/T$ to $20/T$. Start 3,000 points, and give the reverse step (*ancestral sampling*) and the
# Euler-Maruyama step the same $\mathbf{x}_T$ and the same noise. Both get the exact score. How far apart do they end?

# %%
def reverse(x, t, schedule, score, noise):
    beta = schedule.beta[t].item()
    return (x + beta * score) / math.sqrt(1 - beta) + math.sqrt(beta) * noise  # (n, d)


def euler_maruyama(x, t, schedule, score, noise):
    beta = schedule.beta[t].item()
    return x + beta / 2 * x + beta * score + math.sqrt(beta) * noise  # (n, d)


def ode_step(x, t, schedule, score):
    beta = schedule.beta[t].item()
    return x + beta / 2 * x + beta / 2 * score  # (n, d)


def scaled(T):
    return linear_schedule(T, 0.1 / T, 20 / T)


generator = torch.Generator().manual_seed(88)
x_T = torch.randn(3000, 2, generator=generator, dtype=torch.float64)
paths_apart, lengths = {}, (50, 100, 200, 500, 1000)
for T in lengths:
    short, ancestral, euler = scaled(T), x_T, x_T
    for t in short.steps():
        noise = torch.randn(x_T.shape, generator=generator, dtype=torch.float64) * (t > 1)
        ancestral = reverse(ancestral, t, short, rebuilt_score(data, ancestral, t, short), noise)
        euler = euler_maruyama(euler, t, short, rebuilt_score(data, euler, t, short), noise)
    apart = (ancestral - euler).norm(dim=1)  # (3000,)
    paths_apart[T] = apart.median().item()
    print(f"T = {T:>4}: half of the pairs end within {apart.median():.5f}; in another cloud: {(apart > 1).double().mean():.2%}")
slope = math.log(paths_apart[1000] / paths_apart[50]) / math.log(1000 / 50)
print(f"slope in log-log: {slope:.1f}")
assert abs(slope + 1) < 0.1, "order 1/T"

# %% [markdown]
# Ten times the steps, a tenth of the difference. A pair that starts near the watershed may end in two clouds, which is why you look at the median. Such pairs get rare as well.
#
# The ODE has no noise, so its paths are others. Only the *distributions* can agree. In one dimension you can compute them without drawing anything. For ancestral sampling, carry the density on a grid through each step. The
# ODE keeps the order of points, so carry quantiles. Start both from the exact $q(x_T)$, so that only the steps differ. The difference between two distributions is measured by how far, on average, one must move the points of the first to get the
# second (the Wasserstein-1 distance).

# %%
pixel = Clouds(data.means[:, :1], data.variance, data.weights)  # the first coordinate alone
values = torch.linspace(-5, 5, 801, dtype=torch.float64)
levels = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000


def interpolate(x, known_x, known_y):
    right = torch.searchsorted(known_x, x).clamp(1, len(known_x) - 1)
    left = right - 1
    return known_y[left] + (x - known_x[left]) / (known_x[right] - known_x[left]) * (known_y[right] - known_y[left])


def quantiles(places, density):
    """Where each level of the cumulated density on the grid is reached; places are where the grid's points are by now."""
    below = density.cumsum(0) - density / 2
    return interpolate(levels, below / density.sum(), places)


ode_apart, to_data = {}, {}
clean = quantiles(values, rebuilt_log_density(pixel, values[:, None], 0, schedule).exp())
for T in (25, 50, 100, 200, 400):
    short = scaled(T)
    density = rebuilt_log_density(pixel, values[:, None], T, short).exp()  # (801,)
    ode = quantiles(values, density)  # (2000,)
    for t in short.steps():
        ode = ode_step(ode, t, short, rebuilt_score(pixel, ode[:, None], t, short)[:, 0])
        mean = reverse(values, t, short, rebuilt_score(pixel, values[:, None], t, short)[:, 0], 0)  # (801,)
        if t > 1:
            beta = short.beta[t].item()
            density = torch.exp(-((values[:, None] - mean) ** 2) / (2 * beta)) @ density  # (801,)
            density = density / density.sum()
    ancestral = quantiles(mean, density)  # the last step adds no noise
    ode_apart[T] = (ancestral - ode).abs().mean().item()
    to_data[T] = [(q - clean).abs().mean().item() for q in (ancestral, ode)]
    print(f"T = {T:>3}: ancestral and ODE {ode_apart[T]:.4f} apart; from the data: ancestral {to_data[T][0]:.4f}, ODE {to_data[T][1]:.4f}")
ode_slope = math.log(ode_apart[400] / ode_apart[50]) / math.log(400 / 50)
print(f"slope in log-log: {ode_slope:.1f}")
assert abs(ode_slope + 1) < 0.15, "order 1/T"
assert all(ode > ancestral for ancestral, ode in to_data.values())

# %%
figure, axes = new_figure(1, 2, height=2.7)
for axis, apart, word, limits in (
    (axes[0, 0], paths_apart, "Euler-Maruyama and ancestral:\nmedian distance of paths", (2e-4, 2e-2)),
    (axes[0, 1], ode_apart, "ODE and ancestral:\ndistance of distributions", (3e-3, 3e-1)),
):
    steps, distances = list(apart), list(apart.values())
    axis.plot(steps, distances, color=COLOURS["noisy"], marker="o", markersize=4)
    axis.plot(steps, [distances[0] * steps[0] / T for T in steps], color=GREY, linewidth=1, linestyle="--")
    axis.text(steps[1] * 0.9, distances[0] * steps[0] / steps[1] * 0.9, "1/T", color=GREY, ha="right", va="top")
    axis.set(xscale="log", yscale="log", title=word, ylim=limits, xlabel="number of steps T", ylabel="distance", xticks=steps, xticklabels=steps)
    axis.minorticks_off()
show(figure, "Both differences from ancestral sampling fall like 1/T: on the doubly logarithmic axes they follow the dashed line of slope -1.")

# %% [markdown]
# Note the last two columns of numbers: the ODE's Euler step errs more than the reverse step. Both are of first order in $1/T$, with other constants. Lesson 09 follows the same path by better steps.
#
# ### "Essentially Langevin dynamics"
#
# The guide says so of DDPM's sampling. Look closely. The Euler-Maruyama step is a sum:
#
# $$
# \mathbf{x} + \tfrac{1}{2} \beta\, \mathbf{x} + \beta\, \nabla \log q + \sqrt{\beta}\, \mathbf{z}
# = \mathbf{x} + \underbrace{\tfrac{1}{2} \beta\, \mathbf{x} + \tfrac{1}{2} \beta\, \nabla \log q}_{\text{the ODE's step, from level } t \text{ to } t-1}
# + \underbrace{\tfrac{1}{2} \beta\, \nabla \log q + \sqrt{\beta}\, \mathbf{z}}_{\text{a Langevin step, } h = \beta/2, \text{ at level } t}.
# $$
#
# So Langevin is half of it. It shakes the points at their level, and on the true density it changes nothing. The other half moves the density from one level to the next. Two consequences can be measured.
#
# 1. **Leave out the other half.** Take the Langevin steps alone, one at each level, with the noise that DDPM uses. The walkers should lag behind the levels.
# 2. **Stay at one level** and repeat the reverse step. Langevin dynamics settles at $q(\mathbf{x}_t)$. The reverse step, for small $\beta$, drifts by $\beta\,(\frac{1}{2}\mathbf{x} + \nabla \log q) = \frac{\beta}{2} \nabla \left(2 \log q + \frac{1}{2} \lVert \mathbf{x} \rVert^2\right)$ and shakes by
#    $\sqrt{\beta}$. This is Langevin with $h = \beta/2$ on *another* density, proportional to $q(\mathbf{x}_t)^2\, e^{\lVert \mathbf{x}_t \rVert^2 / 2}$. For one cloud of variance $v$ around 0 it has the variance $v / (2 - v)$, and not $v$.
#
# A third can be read off the formulas. Langevin's $h$ is yours to choose: more and smaller steps at a level come nearer to $q(\mathbf{x}_t)$. DDPM's step and noise are both tied to $\beta_t$, and it takes one step at a level.

# %%
x, noise = torch.randn(2, 1000, 2, generator=generator, dtype=torch.float64)
t, score = 300, rebuilt_score(data, x, 300, schedule)
beta = schedule.beta[t].item()
langevin_half = beta / 2 * score + math.sqrt(beta) * noise
error = (euler_maruyama(x, t, schedule, score, noise) - ode_step(x, t, schedule, score) - langevin_half).abs().max()
print("the sum holds, up to 1e-14:", bool(error < 1e-14))
assert error < 1e-14


def descend(step):
    x, generator = start()
    for t in schedule.steps():
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype) * (t > 1)
        x = step(x, t, schedule, rebuilt_score(data, x, t, schedule), noise)
    return x


def langevin_alone(x, t, schedule, score, noise):
    beta = schedule.beta[t].item()
    return x + beta / 2 * score + math.sqrt(beta) * noise


descended = {"reverse step": descend(reverse), "Langevin half alone": descend(langevin_alone)}
for name, x in descended.items():
    share, spread = describe(x)
    print(f"T to 1, {name:<20} left cloud {share:.0%}, standard deviation inside {spread:.2f}")
assert abs(describe(descended["reverse step"])[1] - 0.2) < 0.01
assert describe(descended["Langevin half alone"])[1] > 0.22, "it lags behind the levels"

# %%
one = Clouds(torch.zeros(1, 2, dtype=torch.float64), 0.04, torch.ones(1, dtype=torch.float64))  # a single cloud, so that all is known
print("   t   of q(x_t)   Langevin   reverse step repeated   sqrt(v / (2 - v))")
for t in (100, 200, 400):
    beta, alpha_bar = schedule.beta[t].item(), schedule.alpha_bar[t].item()
    v = alpha_bar * 0.04 + 1 - alpha_bar
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(6000, 2, generator=generator, dtype=torch.float64)
    settled = rebuilt_langevin(partial(rebuilt_score, one, t=t, schedule=schedule), x, beta / 2, 600, generator).std().item()
    for _ in range(600):
        x = reverse(x, t, schedule, rebuilt_score(one, x, t, schedule), torch.randn(x.shape, generator=generator, dtype=x.dtype))
    predicted = math.sqrt(v / (2 - v))
    print(f"{t:>4} {math.sqrt(v):>11.2f} {settled:>10.2f} {x.std():>23.2f} {predicted:>19.2f}")
    assert abs(settled / math.sqrt(v) - 1) < 0.05 and abs(x.std() / predicted - 1) < 0.05, "5%: chance, and the finite beta"
    assert x.std() < 0.95 * math.sqrt(v), "sharper than q(x_t)"

# %% [markdown]
# "Essentially Langevin dynamics" is right about the score, the noise and the many levels. It is loose in what it leaves out. DDPM never settles at a level, and repeated at one level it would settle at the wrong density. Half of its score, and
# all of its stretching, serve to move with the density as the level falls.

# %% [markdown]
# ## Same as the package
#
# `score_from_noise` on random images, each at its time. `GaussianMixture` on random clouds, and `langevin` from the same seed. Then both reverse steps.

# %%
from minddpm.mixture import GaussianMixture
from minddpm.score import langevin, noise_from_score, score_from_noise

generator = torch.Generator().manual_seed(888)
noise = torch.randn(4, 1, 28, 28, generator=generator)
times = torch.tensor([1, 2, 500, 1000])
for t in (1, 300, 1000, times):
    assert torch.allclose(rebuilt_score_from_noise(noise, t, schedule), score_from_noise(noise, t, schedule), rtol=1e-6)
    assert torch.allclose(noise_from_score(score_from_noise(noise, t, schedule), t, schedule), noise, rtol=1e-5, atol=1e-6)

for k, d in ((1, 1), (2, 2), (5, 3)):
    weights = torch.rand(k, generator=generator, dtype=torch.float64) + 0.1
    clouds = Clouds(torch.randn(k, d, generator=generator, dtype=torch.float64), 0.3, weights / weights.sum())
    mixture = GaussianMixture(clouds.means, clouds.variance, weights)  # the package divides by the sum
    x = torch.randn(50, d, generator=generator, dtype=torch.float64)
    for t in (0, 1, 500, 1000, torch.randint(0, 1001, (50,), generator=generator)):
        assert torch.allclose(rebuilt_log_density(clouds, x, t, schedule), mixture.log_density(x, t, schedule), rtol=1e-12, atol=1e-12)
        assert torch.allclose(rebuilt_score(clouds, x, t, schedule), mixture.score(x, t, schedule), rtol=1e-10, atol=1e-12)
    draws = [source.sample(1000, generator=torch.Generator().manual_seed(k)) for source in (clouds, mixture)]
    assert torch.equal(*draws), "the same draws"
    walks = []
    for walk in (rebuilt_langevin, langevin):
        options = {"step_size": 0.01, "steps": 20, "generator": torch.Generator().manual_seed(8)}
        walks.append(walk(partial(mixture.score, t=100, schedule=schedule), x, **options))
    assert torch.allclose(*walks, rtol=1e-12, atol=1e-12), "the same walk"

mixture = GaussianMixture(data.means, data.variance, data.weights)
x, z = torch.randn(2, 50, 2, generator=generator, dtype=torch.float64)
for t in (1, 2, 500, 1000):
    score = mixture.score(x, t, schedule)
    estimate = x0_from_noise(x, t, noise_from_score(score, t, schedule), schedule)  # (50, 2)
    tweedie = (x + (1 - schedule.alpha_bar[t]) * score) / schedule.alpha_bar[t].sqrt()
    assert torch.allclose(estimate, tweedie, rtol=1e-9, atol=1e-9)
    step = reverse_step(x, t, estimate, schedule, z)
    yours = reverse(x, t, schedule, score, z * (t > 1))
    assert torch.allclose(yours, step, rtol=1e-9, atol=1e-9), "lesson 06's step, made of a score"
print("scores, densities, draws and walks: equal")

# %% [markdown]
# ## Play
#
# **When do the two clouds become one hill?** Move $t$. On the left is the direction of the exact score, all arrows of one length, with points of $q(\mathbf{x}_t)$. On the right is the density on the line through both centres. From which $t$ on do the arrows no longer part?

# %%
import ipywidgets

from minddpm_course.widgets import play

fine = torch.linspace(-2.4, 2.4, 13, dtype=torch.float64)
fine = torch.cartesian_prod(fine, fine)  # (169, 2)


def draw_score(t=100):
    x_t, _ = forward_diffusion(data.sample(300, torch.Generator().manual_seed(8)), t, schedule, generator=torch.Generator().manual_seed(9))
    score = mixture.score(fine, t, schedule)
    density, hills, valley = profile(t)
    figure, axes = new_figure(1, 2, height=3.2)
    dots(axes[0, 0], x_t, COLOURS["noisy"])
    arrows(axes[0, 0], fine, score / score.norm(dim=1, keepdim=True), INK, longest=0.06, width=0.006)
    axes[0, 0].set(title=f"t = {t}: direction of the score", xlabel="first coordinate", ylabel="second coordinate")
    height = (density / density.max()).numpy()
    axes[0, 1].plot(along.numpy(), height, color=COLOURS["noisy"])
    axes[0, 1].plot(along[hills].numpy(), height[hills], "o", color=INK)
    axes[0, 1].set(xlabel="place on the line through both centres", ylabel="density / largest density", ylim=(0, 1.1))
    found = f"two hills, the valley is {valley:.2g} of the lower one" if len(hills) == 2 else "one hill"
    return figure, f"At t = {t}: {found}."


play(draw_score, t=ipywidgets.IntSlider(100, 0, 1000))
assert all(len(profile(t)[1]) == (2 if t < merged else 1) for t in range(0, 1001, 10)), "two hills before, one from then on"

# %% [markdown]
# ## Mistakes people make
#
# Each walk anneals as before, from the same start, with the exact score, and one thing wrong.
#
# 1. **The wrong sign**: the score is taken to be *plus* the noise.
# 2. **No $1/\sqrt{1 - \bar{\alpha}_t}$**: minus the noise is taken for the score.
# 3. **$\sqrt{h}$ for $\sqrt{2h}$**: too little shaking.
# 4. **$h$ for $\sqrt{2h}$**: hardly any shaking.
# 5. **One step size for all levels**, small or large.

# %%
def shaken(spread):
    """A walk whose noise has another standard deviation."""

    def walk(score, x, step_size, steps, generator):
        for _ in range(steps):
            x = x + step_size * score(x) + spread(step_size) * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return x

    return walk


def rule(t):
    return 0.2 * noise_share(t)


exact = partial(mixture.score, schedule=schedule)

walks = {
    "right": anneal(rule),
    "wrong sign": anneal(rule, lambda x, t: -exact(x, t=t)),
    "noise for score": anneal(rule, lambda x, t: -noise_from_score(exact(x, t=t), t, schedule)),
    "sqrt(h)": anneal(rule, langevin=shaken(math.sqrt)),
    "h": anneal(rule, langevin=shaken(lambda h: h)),
    "fixed, small": anneal(lambda t: 0.0002),
    "fixed, large": anneal(lambda t: 0.06),
}
measured = {}
for name, x in walks.items():
    far = x.norm(dim=1).median().item() > 10
    measured[name] = None if far else describe(x)
    words = "all have run away" if far else f"left cloud {measured[name][0]:.0%}, standard deviation inside {measured[name][1]:.2f}"
    print(f"{name:<16} {words}")
print("the data         left cloud 20%, standard deviation inside 0.20")

# %%
panels = {name: x for name, x in walks.items() if measured[name]}
figure, axes = new_figure(1, len(panels), height=1.7, sharey=True)
for axis, (name, x) in zip(axes[0], panels.items()):
    axis.plot(*data.means.T.numpy(), "+", color=COLOURS["clean"], markersize=12, markeredgewidth=1)
    axis.plot(*x[:1000].T.numpy(), ".", color=COLOURS["noisy"], markersize=1.5, alpha=0.5)
    axis.set(title=name, xlim=(-2.8, 2.8), ylim=(-2.4, 2.4), xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal", xlabel="first coordinate")
axes[0, 0].set_ylabel("second coordinate")
show(
    figure,
    "Crosses mark the centres of the data: noise taken for the score spreads the points; with sqrt(h) the left cloud thins out, with h it is empty; a fixed step leaves the clouds too wide, a small one the shares wrong too.",
)
squared = data.weights**2 / (data.weights**2).sum()
print(f"squares of the weights: {squared[0]:.0%} and {squared[1]:.0%}; 0.2 / sqrt(2) = {0.2 / math.sqrt(2):.2f}")
assert measured["wrong sign"] is None
assert measured["noise for score"][1] > 2 * 0.2, "far too wide"
assert abs(measured["sqrt(h)"][0] - squared[0]) < 0.03 and abs(measured["sqrt(h)"][1] - 0.2 / math.sqrt(2)) < 0.02
assert measured["h"][0] < 0.01 and measured["h"][1] < 0.02, "one point is left"
assert measured["fixed, small"][0] > 0.3 and measured["fixed, large"][1] > 0.3

# %% [markdown]
# - With $\sqrt{h}$ the shaking has half of its variance, and the walk draws from the *square* of the density: the shares are those of the squared weights, and each cloud is narrower by $\sqrt{2}$. The samples look clean, and the rarer cloud is
#   almost lost. With $h$ nearly all walkers climb to the top of the larger hill.
# - Without the division by $\sqrt{1 - \bar{\alpha}_t}$ the score is too weak, the more so the smaller $t$ is.
# - A small step size moves too little while there is one hill, and too little again after. A large one mixes well, and at small $t$ is too coarse for the clouds: with $v = 0.04$ step 6 of the derivation gives a standard deviation of
#   $\sqrt{v / (1 - \frac{h}{2v})}$.

# %%
coarse = math.sqrt(0.04 / (1 - 0.06 / (2 * 0.04)))
print(f"h = 0.06 and v = 0.04: standard deviation {coarse:.2f}")
assert abs(measured["fixed, large"][1] - coarse) < 0.02

# %% [markdown]
# ## Check yourself
#
# <details><summary>A friend's sampler uses the network's output as the score. Which line is missing, and what do you expect to see?</summary>
#
# The division by minus the root of 1 - alpha_bar_t. Without the minus the points run away. With the minus but without the root the pull is too weak at small t, so the points stay spread too wide.
# </details>
#
# <details><summary>The simple loss of your network is 0.03 above the least possible one at some t. How far is its noise prediction from the exact one?</summary>
#
# The excess is the mean squared distance: the root of 0.03, which is about 0.17 for each coordinate. The score is off by that over the root of 1 - alpha_bar_t.
# </details>
#
# <details><summary>You repeat the reverse step at t = 300 for ever, with the exact score. Do you get draws of q(x_300)?</summary>
#
# No. Half of the step's pull is meant to follow the density to t = 299. Repeated at one level it makes the points too narrow. A Langevin step with the same noise has half of the pull and no stretching.
# </details>
#
# **Exercises:** [08 · The score](../exercises/08_score.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [09 · Fewer steps](09_ddim.ipynb) follows the path without shaking, in far fewer steps.
