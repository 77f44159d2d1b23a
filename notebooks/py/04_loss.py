# %% [markdown]
# # 04 · Loss
#
# **You will**
# - split the bound on $-\log p_\theta(\mathbf{x}_0)$ into three kinds of term and see where each comes from (equations 3 to 5 of Ho et al. 2020),
# - turn the middle kind into "predict the noise", step by step, and see which weight is dropped on the way (equations 8 to 14),
# - evaluate every term as a number, in bits per pixel, for the trained network on digits it has not seen.
#
# **You need** [01 · Schedule](01_schedule.ipynb), [02 · Noising](02_noising.ipynb) for the jump,
# and [03 · Posterior](03_posterior.ipynb) for $\tilde{\boldsymbol{\mu}}_t$ and $\tilde\beta_t$.
#
# **It takes** 30 minutes to read and about 20 seconds to run.

# %%
import json
import math
from typing import NamedTuple

import ipywidgets
import matplotlib
import torch

from minddpm import (
    Gaussian,
    Schedule,
    beta_variance,
    forward_diffusion,
    linear_schedule,
    noise_from_x0,
    posterior_variance,
    q_posterior,
    x0_from_noise,
)
from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm_course.diagrams import bound_to_simple_loss, training_step_stages
from minddpm_course.figures import COLOURS, INK, STYLE, draw_image, new_figure, show
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %% [markdown]
# ## The idea in a picture
#
# This is one training step, with the real numbers of one held-out digit and the trained network.
# *Held out* means that the network never saw this digit in training.

# %%
model, schedule, _ = load_pretrained("mnist")
digits, _ = load_mnist("test")  # (500, 1, 28, 28), held out
image = digits[7:8]  # (1, 1, 28, 28)
t = 250
noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
show(
    training_step_stages(model, image, schedule, t, noise),
    f"Take a digit, draw t (here {t}) and noise, mix them, let the network guess the noise, and average the squared error over the pixels.",
)

# %% [markdown]
# The last number is what training makes small. It is easy to compute. This lesson answers why it is the right number:
# why a network that guesses noise well is a model that gives real digits a high probability.
#
# ## The derivation
#
# ### What we want, and why it cannot be had directly
#
# The model makes an image by a chain. It starts from noise and takes $T$ learned steps back (equation 1):
#
# $$p_\theta(\mathbf{x}_{0:T}) = p(\mathbf{x}_T) \prod_{t=1}^T {\color{#008561}{p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t)}}, \qquad p(\mathbf{x}_T) = \mathcal N(\mathbf{0}, \mathbf{I})$$
#
# Good training makes real images probable, so that $-\log p_\theta(\mathbf{x}_0)$ is small. But $p_\theta(\mathbf{x}_0)$ is the integral over all chains that end in $\mathbf{x}_0$, and that integral is intractable.
#
# ### A bound
#
# The forward process gives chains that fit $\mathbf{x}_0$: $q(\mathbf{x}_{1:T} \mid \mathbf{x}_0) = \prod_t q(\mathbf{x}_t \mid \mathbf{x}_{t-1})$, equation 2. Write the integral as an average over them:
#
# $$-\log p_\theta(\mathbf{x}_0) = -\log \mathbb E_q\!\left[\frac{p_\theta(\mathbf{x}_{0:T})}{q(\mathbf{x}_{1:T} \mid \mathbf{x}_0)}\right] \;\le\; \mathbb E_q\!\left[-\log \frac{p_\theta(\mathbf{x}_{0:T})}{q(\mathbf{x}_{1:T} \mid \mathbf{x}_0)}\right] =: L \tag{3}$$
#
# The step is **Jensen's inequality**: $-\log$ is convex, so $-\log$ of an average is at most the average of $-\log$. $L$ is the negative **ELBO** (evidence lower bound). Small $L$ forces small $-\log p_\theta(\mathbf{x}_0)$.
#
# ### Three kinds of term
#
# In $L$ the forward steps run the wrong way. Turn each around with Bayes' rule, $\mathbf{x}_0$ given, as in lesson 03. For $t > 1$:
#
# $$q(\mathbf{x}_t \mid \mathbf{x}_{t-1}) = {\color{#9C6C00}{q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0)}}\; \frac{q(\mathbf{x}_t \mid \mathbf{x}_0)}{q(\mathbf{x}_{t-1} \mid \mathbf{x}_0)}$$
#
# Multiply over $t = 2..T$. In the fractions each numerator cancels the next denominator; what is left is $q(\mathbf{x}_T \mid \mathbf{x}_0)/q(\mathbf{x}_1 \mid \mathbf{x}_0)$, and the forward step at $t=1$ is $q(\mathbf{x}_1 \mid \mathbf{x}_0)$ itself, which cancels too. So
#
# $$L = \mathbb E_q\Big[-\log\frac{p(\mathbf{x}_T)}{q(\mathbf{x}_T \mid \mathbf{x}_0)} - \sum_{t=2}^T \log\frac{\color{#008561}{p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t)}}{\color{#9C6C00}{q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0)}} - \log p_\theta(\mathbf{x}_0 \mid \mathbf{x}_1)\Big].$$
#
# The **KL divergence** $\mathrm{KL}(p\,\|\,q) = \mathbb E_p[\log p - \log q]$ says how far $q$ is from $p$. It is 0 if they are equal and positive otherwise. The average turns the first two kinds of term into KL divergences:
#
# $$L = \mathbb E_q\Big[L_T + \sum_{t=2}^T L_{t-1} + L_0\Big] \tag{5}$$
#
# - $L_T = \mathrm{KL}(q(\mathbf{x}_T \mid \mathbf{x}_0)\,\|\,p(\mathbf{x}_T))$, **prior matching**: is the last noisy image really noise? No network in it.
# - $L_{t-1} = \mathrm{KL}(q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0)\,\|\,p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t))$, **denoising**: how far is the learned step from the posterior? One term for each $t = 2..T$.
# - $L_0 = -\log p_\theta(\mathbf{x}_0 \mid \mathbf{x}_1)$, **reconstruction**: how probable are the exact pixels after the last step?
#
# With the natural logarithm the unit is the **nat**. Divide by $\ln 2$ and by the number of pixels, and you have **bits per dimension**.
#
# ### KL of two Gaussians
#
# For one pixel let $p = \mathcal N(\mu_p, v_p)$ and $q = \mathcal N(\mu_q, v_q)$. Insert the two densities:
#
# $$\log p - \log q = \tfrac12 \log\frac{v_q}{v_p} - \frac{(x-\mu_p)^2}{2v_p} + \frac{(x-\mu_q)^2}{2v_q}$$
#
# Average over $x \sim p$. The first square averages to $v_p$. The second is $(x - \mu_p + \mu_p - \mu_q)^2$ and averages to $v_p + (\mu_p-\mu_q)^2$, for the cross term averages to 0. So
#
# $$\mathrm{KL} = \tfrac12\left(\log\frac{v_q}{v_p} + \frac{v_p + (\mu_p - \mu_q)^2}{v_q} - 1\right)$$
#
# ### Equal variances leave the means
#
# Let the learned step have the posterior's variance, $\sigma_t^2 = \tilde\beta_t$. Then $v_p = v_q$, the logarithm is 0, and $v_p/v_q - 1$ is 0:
#
# $$L_{t-1} = \mathbb E_q\!\left[\frac{1}{2\sigma_t^2}\,\big\|{\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t(\mathbf{x}_t, \mathbf{x}_0)}} - {\color{#008561}{\boldsymbol{\mu}_\theta(\mathbf{x}_t, t)}}\big\|^2\right] + C \tag{8}$$
#
# with $C = 0$. If you choose $\sigma_t^2 = \beta_t$ instead, each pixel gains $\tfrac12(\log\frac{\beta_t}{\tilde\beta_t} + \frac{\tilde\beta_t}{\beta_t} - 1)$. That is a constant: no network can change it. You will compute it below.
#
# ### From means to noise
#
# The posterior mean contains $\mathbf{x}_0$. Replace it through the jump, $\mathbf{x}_0 = (\mathbf{x}_t - \sqrt{1-\bar\alpha_t}\,\boldsymbol{\epsilon})/\sqrt{\bar\alpha_t}$. Collect $\mathbf{x}_t$ first; recall $\sqrt{\bar\alpha_t} = \sqrt{\bar\alpha_{t-1}}\sqrt{\alpha_t}$:
#
# $$\frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{(1-\bar\alpha_t)\sqrt{\bar\alpha_t}} + \frac{\sqrt{\alpha_t}(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}
# = \frac{\beta_t + \alpha_t(1-\bar\alpha_{t-1})}{(1-\bar\alpha_t)\sqrt{\alpha_t}} = \frac{1}{\sqrt{\alpha_t}}$$
#
# The last step is lesson 03's: $\beta_t + \alpha_t - \bar\alpha_t = 1 - \bar\alpha_t$. Then collect $\boldsymbol{\epsilon}$: its factor is $-\frac{\beta_t}{(1-\bar\alpha_t)\sqrt{\alpha_t}}\sqrt{1-\bar\alpha_t}$. Together:
#
# $$\tilde{\boldsymbol{\mu}}_t = \frac{1}{\sqrt{\alpha_t}}\left({\color{#B3528C}{\mathbf{x}_t}} - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\,{\color{#C05500}{\boldsymbol{\epsilon}}}\right) \tag{9, 10}$$
#
# The network is given $\mathbf{x}_t$. The one thing in this formula that it does not have is $\boldsymbol{\epsilon}$. So let it guess just that, and use the same formula:
#
# $$\boldsymbol{\mu}_\theta(\mathbf{x}_t, t) = \frac{1}{\sqrt{\alpha_t}}\left({\color{#B3528C}{\mathbf{x}_t}} - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\,{\color{#008561}{\boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)}}\right) \tag{11}$$
#
# Subtract. $\mathbf{x}_t$ drops out, and equation 8 becomes
#
# $$L_{t-1} - C = \mathbb E\left[\underbrace{\frac{\beta_t^2}{2\sigma_t^2\,\alpha_t\,(1-\bar\alpha_t)}}_{\text{weight}}\ \big\|{\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)}}\big\|^2\right] \tag{12}$$
#
# ### Drop the weight
#
# The paper trains on equation 12 with every weight replaced by 1, and $t$ drawn uniformly from $1..T$:
#
# $$L_\text{simple} = \mathbb E_{t, \mathbf{x}_0, \boldsymbol{\epsilon}}\Big[\big\|{\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta(\sqrt{\bar\alpha_t}\,\mathbf{x}_0 + \sqrt{1-\bar\alpha_t}\,\boldsymbol{\epsilon},\ t)}}\big\|^2\Big] \tag{14}$$
#
# At $t = 1$ the same expression stands in for $L_0$. In code the norm is a mean over the pixels. Here is the weight that is dropped:


# %%
def noise_weight(t, schedule, sigma2):
    """beta^2 / (2 sigma^2 alpha (1 - alpha_bar)): what a squared noise error costs in L_{t-1}, in nats (eq. 12)."""
    return schedule.beta[t] ** 2 / (2 * sigma2 * schedule.alpha[t] * (1 - schedule.alpha_bar[t]))  # (n,)


times = torch.arange(2, schedule.T + 1)  # (T-1,)
figure, ((axis,),) = new_figure(height=2.5)
falls = []
for name, variance, colour, place in (
    ("$\\sigma_t^2 = \\tilde\\beta_t$", posterior_variance, COLOURS["posterior"], (4.5, 0.3)),
    ("$\\sigma_t^2 = \\beta_t$", beta_variance, INK, (3.2, 0.09)),
):
    weight = noise_weight(times, schedule, variance(times, schedule))
    axis.plot(times.numpy(), weight.numpy(), color=colour)
    axis.text(*place, name, color=colour)
    low = int(weight.argmin())
    falls.append(weight[0] / weight[low])
    print(f"{variance.__name__:<19} weight at t = 2: {weight[0]:.3f}   lowest, at t = {low + 2}: {weight[low]:.4f}   at t = 1000: {weight[998]:.4f}")
axis.set(xscale="log", yscale="log", xlabel="$t$", ylabel="weight", xlim=(2, schedule.T))
show(
    figure,
    f"The weight falls until t = {low + 2}: with beta tilde as variance (orange) its lowest value is {falls[0]:.0f} times smaller than that at t = 2, with beta (black) {falls[1]:.0f} times; "
    "L_simple replaces both curves by the constant 1.",
)

# %% [markdown]
# Relative to the bound, $L_\text{simple}$ therefore cares less about small $t$, where little noise has to be told from a nearly clean image, and more about large $t$, where the digit's shape is decided. The paper found better samples that way.
#
# ### The last step: bins
#
# $L_0$ is left. A pixel is one of 256 grey levels, scaled to $-1..1$, so neighbours are $2/255$ apart. A density says nothing about a single value.
# Give each level a **bin**, $1/255$ to either side, and integrate the last Gaussian over it:
#
# $$p_\theta(\mathbf{x}_0 \mid \mathbf{x}_1) = \prod_i \int_{\delta_-(x_0^i)}^{\delta_+(x_0^i)} \mathcal N\big(x;\ \mu_\theta^i(\mathbf{x}_1, 1),\ \sigma_1^2\big)\, dx \tag{13}$$
#
# Here $\delta_\pm(x) = x \pm 1/255$, but the bins at the edges are open: $\delta_-(-1) = -\infty$ and $\delta_+(1) = \infty$. So the 256 probabilities sum to 1.
#
# One thing needs a choice. At $t = 1$ the posterior's variance is 0, and a Gaussian of variance 0 gives a wrong guess the probability 0. The paper's code uses $\tilde\beta_2$ for $\sigma_1^2$ there, with either variance. The course does so for $\tilde\beta$; with $\beta$ it keeps $\sigma_1^2 = \beta_1$.


# %%
def area_below(z):
    """The standard normal's area to the left of z; written with erfc, it keeps its digits far out on the left."""
    return 0.5 * torch.special.erfc(-z / math.sqrt(2))  # shape of z


def bin_log_probability(x_0, mean, variance):
    """log of the probability that N(mean, variance) gives to the bin of each 8-bit pixel (eq. 13)."""
    spread = variance**0.5
    lower = torch.where(x_0 < -0.999, -math.inf, (x_0 - 1 / 255 - mean) / spread)  # (*dims) the bin's ends,
    upper = torch.where(x_0 > 0.999, math.inf, (x_0 + 1 / 255 - mean) / spread)  # (*dims) in standard deviations
    right = lower > 0  # (*dims) mirror such a bin: left of the mean no area rounds to 1
    lower, upper = torch.where(right, -upper, lower), torch.where(right, -lower, upper)  # (*dims) each
    return torch.log(area_below(upper) - area_below(lower))  # (*dims)


levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1  # (256,) all that a pixel can be
spread = posterior_variance(2, schedule).sqrt().item()
figure, (axes,) = new_figure(1, 2, height=2.6, sharey=True)
for axis, first, mean in zip(axes, (0, 150), (-0.998, levels[153].item() + 0.003)):
    shown = levels[first : first + 7]  # (7,)
    probability = bin_log_probability(shown, mean, spread**2).exp()  # (7,)
    line = torch.linspace(shown[0] - 0.03, shown[-1] + 0.01, 400, dtype=torch.float64)
    bell = torch.exp(-((line - mean) ** 2) / (2 * spread**2)) / (spread * math.sqrt(2 * math.pi)) * 2 / 255
    axis.bar(shown.numpy(), probability.numpy(), 2 / 255, facecolor="none", edgecolor=COLOURS["clean"], linewidth=1.2)
    axis.plot(line.numpy(), bell.numpy(), color=COLOURS["network"])
    axis.set(xlabel="pixel value")
axes[0].set_ylabel("probability of the bin")
axes[0].fill_between([-1.04, -1 - 1 / 255], 0, 1, color=COLOURS["clean"], alpha=0.12, linewidth=0)
axes[0].text(-1.039, 0.53, "the edge bin\nreaches to $-\\infty$", color=COLOURS["clean"])
axes[0].text(-0.985, 0.3, "$p_\\theta(x_0 \\mid x_1)$,\nits density times\nthe bin width", color=COLOURS["network"])
axes[0].set(ylim=(0, 0.7), xlim=(-1.04, -0.95), xticks=[-1.03, -1, -0.97])
total = bin_log_probability(levels, levels.new_tensor(-0.998), spread**2).exp().sum().item()
show(figure, f"Each bar is the bell's area over one bin; at the edge, the left panel, the bar collects the whole tail, and all 256 sum to {total:.6f}.")
assert abs(total - 1) < 1e-12


# %% [markdown]
# ## Rebuild it
#
# First the KL and the simple loss.


# %%
def gaussian_kl(p, q):
    """KL(p || q) in nats, pixel by pixel; p and q are pairs (mean, variance)."""
    ratio = p.variance / q.variance  # (...) v_p / v_q
    distance = (p.mean - q.mean) ** 2 / q.variance  # (*dims)
    return 0.5 * (-torch.log(ratio) + ratio + distance - 1)  # (*dims)


def simple_loss(model, x_0, schedule, t=None, noise=None, generator=None):
    """L_simple (eq. 14) for one batch."""
    t = schedule.sample_t(len(x_0), generator=generator) if t is None else t  # (b,)
    x_t, noise = forward_diffusion(x_0, t, schedule, noise, generator=generator)  # (b, *dims) each
    return ((noise - model(x_t, t)) ** 2).mean()  # () the mean over images and pixels


# %% [markdown]
# Then the whole bound. A sum over pixels gives one number for each image; nothing is averaged over $t$. Each $\mathbf{x}_t$ is one random draw, so a term is an estimate of its average over $q$.
# Beside the terms we keep the mean squared noise error of each $t$.


# %%
def mean_from_noise(x_t, noise, t, schedule):
    """The mean of the step back, written through the noise (eq. 10 and 11)."""
    beta, alpha, alpha_bar = schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t]  # () each
    return (x_t - beta / (1 - alpha_bar).sqrt() * noise) / alpha.sqrt()  # (b, *dims)


class Bound(NamedTuple):
    prior: torch.Tensor  # (b,) L_T, in nats per image
    denoising: torch.Tensor  # (b, T-1) L_{t-1} for t = T..2
    reconstruction: torch.Tensor  # (b,) L_0
    total_bits_per_dim: torch.Tensor  # (b,)
    errors: torch.Tensor  # (b, T) mean squared noise error for t = 1..T


@torch.inference_mode()
def bound(model, x_0, schedule, variance=posterior_variance, generator=None):
    """Every term of the negative ELBO (eq. 5), with one draw of the noise for each t."""
    clean = x_0.double()  # (b, 1, h, w) the sums are taken in float64
    pixels = tuple(range(1, x_0.ndim))
    end = schedule.alpha_bar[schedule.T]  # ()
    standard = Gaussian(torch.zeros_like(clean), torch.ones_like(clean))
    prior = gaussian_kl(Gaussian(end.sqrt() * clean, 1 - end), standard).sum(pixels)  # (b,)
    denoising, errors = [], []
    for t in schedule.steps():  # T, T-1, ..., 1
        x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)  # (b, 1, h, w) each
        guess = model(x_t, torch.full((len(x_0),), t))  # (b, 1, h, w)
        errors.append(((noise - guess) ** 2).mean(pixels))  # (b,)
        mean = mean_from_noise(x_t.double(), guess.double(), t, schedule)  # (b, 1, h, w)
        if t > 1:
            truth = q_posterior(clean, x_t.double(), t, schedule)  # (b, 1, h, w)
            denoising.append(gaussian_kl(truth, Gaussian(mean, variance(t, schedule))).sum(pixels))  # (b,)
    sigma2 = variance(1, schedule) or variance(2, schedule)  # () beta tilde_1 is 0: borrow that of t = 2
    reconstruction = -bin_log_probability(clean, mean, sigma2).sum(pixels)  # (b,) mean is that of t = 1 now
    denoising = torch.stack(denoising, dim=1)  # (b, T-1)
    total = (prior + denoising.sum(1) + reconstruction) / (math.log(2) * clean[0].numel())  # (b,)
    return Bound(prior, denoising, reconstruction, total, torch.stack(errors, dim=1).flip(1))


# %% [markdown]
# ## By hand
#
# The guide's example (the guide is the text that this course grew from): the noise in a pixel was 0.3, the network says 0.25.

# %% tags=["worked-example"]
pixel_noise, guess = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.25, dtype=torch.float64)
difference = pixel_noise - guess
loss = difference**2
print(f"difference {difference:.2f}")
print(f"loss       {loss:.4f}")
assert f"{difference:.2f}" == "0.05" and f"{loss:.4f}" == "0.0025"
assert abs(simple_loss(lambda x_t, t: torch.full_like(x_t, 0.25), torch.zeros(1), schedule, 5, torch.full((1,), 0.3)) - 0.0025) < 1e-7

# %% [markdown]
# What does this error cost in the bound? Take lesson 03's step, $\alpha_t = 0.99$ and $\bar\alpha_{t-1} = 0.505$, with $x_t = 0.6$. Once through the means (equation 8), once through the weight (equation 12).

# %% tags=["worked-example"]
example, x_t = Schedule.from_betas([0.495, 0.01]), torch.tensor(0.6, dtype=torch.float64)
sigma2 = posterior_variance(2, example)
true_mean, learned_mean = (mean_from_noise(x_t, e, 2, example) for e in (pixel_noise, guess))
through_means = (true_mean - learned_mean) ** 2 / (2 * sigma2)
weight = noise_weight(2, example, sigma2)
print(f"means {true_mean:.4f} and {learned_mean:.4f}, difference {learned_mean - true_mean:.5f}")
print(f"L_(t-1) through the means  {through_means:.7f} nats")
print(f"weight {weight:.4f} times loss {loss:.4f} is {weight * loss:.7f} nats")
assert abs(through_means - weight * loss) < 1e-12
assert abs(gaussian_kl(Gaussian(true_mean, sigma2), Gaussian(learned_mean, sigma2)) - through_means) < 1e-12

# %% [markdown]
# ## Believe it
#
# **The KL by numerical integration.** Average $\log p - \log q$ over $p$ on a grid of 200,001 points, for random means and variances. Both must agree to $10^{-9}$.

# %%
generator = torch.Generator().manual_seed(2)
mean_p, mean_q = torch.randn(2, 200, generator=generator, dtype=torch.float64)  # (200,) each
var_p, var_q = torch.rand(2, 200, generator=generator, dtype=torch.float64) * 2 + 0.1  # (200,) each
grid = torch.linspace(-20, 20, 200_001, dtype=torch.float64)  # (n,)
largest = 0.0
for m_p, v_p, m_q, v_q in zip(mean_p, var_p, mean_q, var_q):
    log_p = -((grid - m_p) ** 2) / (2 * v_p) - 0.5 * torch.log(2 * math.pi * v_p)  # (n,)
    log_q = -((grid - m_q) ** 2) / (2 * v_q) - 0.5 * torch.log(2 * math.pi * v_q)  # (n,)
    integral = (log_p.exp() * (log_p - log_q)).sum() * (grid[1] - grid[0])  # ()
    largest = max(largest, abs(gaussian_kl(Gaussian(m_p, v_p), Gaussian(m_q, v_q)) - integral).item())
print("200 divergences agree with their integrals to 1e-9:", largest < 1e-9)
assert largest < 1e-9

# %% [markdown]
# **A case where the bound is exact.** Let the data be one standard normal number. Lesson 03 found the exact step back: $\mathcal N(\sqrt{\alpha_t}\,x_t,\ \beta_t)$. For a model that takes this very step, the bound has no gap: $L_T$, all $L_{t-1}$ and $L_0$ must add up to $-\log \mathcal N(x_0; 0, 1)$, for every $\mathbf{x}_0$.
# All averages over $x_t$ are known here, so the sum can be checked to $10^{-12}$. It fails if any term of equation 5 is missing, or any formula in it is wrong.

# %%
short = linear_schedule(20, 0.01, 0.3)
number = torch.tensor([-1.5, 0.0, 0.4, 2.0], dtype=torch.float64)  # (4,) values of x_0
end = short.alpha_bar[20]
total = gaussian_kl(Gaussian(end.sqrt() * number, 1 - end), Gaussian(torch.zeros_like(number), torch.ones_like(number)))  # L_T
for t in range(20, 1, -1):
    centre, deviation = short.alpha_bar[t].sqrt() * number, (1 - short.alpha_bar[t]).sqrt()  # q(x_t | x_0)
    for x_t in (centre - deviation, centre + deviation):  # two points stand for the average over x_t: see below
        step = Gaussian(short.alpha[t].sqrt() * x_t, short.beta[t])
        total = total + 0.5 * gaussian_kl(q_posterior(number, x_t, t, short), step)  # L_{t-1}
square = (number - short.alpha[1] * number) ** 2 + short.alpha[1] * short.beta[1]  # of x_0 - sqrt(alpha_1) x_1, on average
total = total + 0.5 * torch.log(2 * math.pi * short.beta[1]) + square / (2 * short.beta[1])  # L_0, as a density
exact = 0.5 * math.log(2 * math.pi) + number**2 / 2
for value, left, right in zip(number, total, exact):
    print(f"x_0 = {value:>4.1f}   sum of the terms {left:.6f}   -log p(x_0) {right:.6f}")
assert (total - exact).abs().max() < 1e-12

# %% [markdown]
# (An average of a square over a Gaussian equals its average over the two points mean ± standard deviation. That is why two values of `x_t` are enough in the loop.)
#
# **A model that knows $\mathbf{x}_0$.** It returns the exact noise. Then every denoising term must vanish for $\sigma_t^2 = \tilde\beta_t$. For $\sigma_t^2 = \beta_t$ each must equal its constant.

# %%
few = digits[:2].double()  # (2, 1, 28, 28)
mid = linear_schedule(200, 1e-4, 0.1)


def knows(x_t, t):
    return noise_from_x0(x_t, t, few, mid)  # (2, 1, 28, 28)


zero = bound(knows, few, mid, generator=torch.Generator().manual_seed(0)).denoising
constant = bound(knows, few, mid, beta_variance, torch.Generator().manual_seed(0)).denoising  # (2, T-1), t = T..2
ratio = (posterior_variance(torch.arange(200, 1, -1), mid) / mid.beta[2:].flip(0)).double()  # (T-1,)
by_formula = 784 * 0.5 * (-torch.log(ratio) + ratio - 1)  # (T-1,) nats per image
print("all denoising terms below 1e-9 nats for beta tilde:", bool(zero.abs().max() < 1e-9))
print("each equal to its constant, to 1e-9, for beta:     ", bool((constant - by_formula).abs().max() < 1e-9))
assert zero.abs().max() < 1e-9 and (constant - by_formula).abs().max() < 1e-9

ratio = posterior_variance(times, schedule) / schedule.beta[times]
gain = 0.5 * (-torch.log(ratio) + ratio - 1) / math.log(2)  # (T-1,) bits per dimension
print(f"with T = 1000, sigma^2 = beta adds {gain.sum():.3f} bits per dimension in all, {gain[:10].sum():.3f} of them at t = 2..11")

# %% [markdown]
# **The gradient.** Equation 14 says which way the guess is pushed: for $n$ pixels the derivative by $\boldsymbol{\epsilon}_\theta$ is $2(\boldsymbol{\epsilon}_\theta - \boldsymbol{\epsilon})/n$. Autograd agrees to $10^{-9}$.

# %%
guess = torch.randn(4, 1, 28, 28, generator=generator).requires_grad_()  # (4, 1, 28, 28)
noise = torch.randn(4, 1, 28, 28, generator=generator)
simple_loss(lambda x_t, t: guess, digits[:4], schedule, torch.tensor([1, 10, 100, 1000]), noise).backward()
assert (guess.grad - 2 * (guess.detach() - noise) / noise.numel()).abs().max() < 1e-9
print("autograd's gradient of L_simple is 2 (predicted - noise) / n, at every t alike")

# %% [markdown]
# ### The trained network in numbers
#
# Now evaluate all three kinds of term for the shipped network on eight held-out digits. This asks the network 1,000 times, once for each $t$.

# %%
result = bound(model, digits[::64], schedule, generator=torch.Generator().manual_seed(4))  # 8 digits
bits = 1 / (math.log(2) * 784)  # nats per image to bits per dimension
print(f"L_T, prior                  {result.prior.mean() * bits:.1e} bits/dim")
print(f"sum of L_(t-1), denoising   {result.denoising.sum(1).mean() * bits:.2f}    bits/dim")
print(f"L_0, reconstruction         {result.reconstruction.mean() * bits:.2f}    bits/dim")
print(f"all                         {result.total_bits_per_dim.mean():.2f}    bits/dim   (8-bit pixels without a model: 8)")
early = result.denoising.mean(0).flip(0)[:99].sum() * bits  # t = 2..100
print(f"of the denoising terms, those of t = 2..100 hold {early / (result.denoising.sum(1).mean() * bits):.0%}")
assert torch.isfinite(result.total_bits_per_dim).all() and result.total_bits_per_dim.mean() < 8

# %% [markdown]
# Most of the denoising bits are spent at small $t$, on the details of single pixels. $L_T$ costs next to nothing: the schedule has done its work.
#
# Equation 12 can be tested on this run: for each $t$, weight times 784 pixels times mean squared noise error must be the KL that was computed from means and variances. The two go different ways through the formulas.

# %%
weight = noise_weight(times, schedule, posterior_variance(times, schedule))  # (T-1,) t = 2..T
through_noise = weight * 784 * result.errors[:, 1:].double()  # (b, T-1)
through_kl = result.denoising.flip(1)  # (b, T-1)
relative = ((through_noise - through_kl) / through_kl).abs().max()
print("L_(t-1) equals weight times noise error, to 1 part in 1,000:", bool(relative < 1e-3))
assert relative < 1e-3

# %%
errors = result.errors.mean(0)  # (T,)
top = int(through_kl.mean(0).argmax()) + 2
show(
    bound_to_simple_loss(result, schedule, errors),
    f"From the bound to L_simple: two of the three sums are large; the largest denoising term is at t = {top}; each term is its weight times its squared error, as the black line on the green one shows; "
    "L_simple keeps the error and drops the weight.",
)

# %% [markdown]
# ### Which variance pays less?
#
# Eight digits give a rough number. `python tools/measure_results.py bound` did the same for 32 held-out digits, with both variances and with fewer steps, and wrote `results.json`, which is read here.
# (Fewer steps: the same network, asked only at every fourth, tenth or twentieth $t$. [Lesson 09](09_ddim.ipynb) builds that.)

# %%
stored = json.loads((ASSETS / "results.json").read_text())["bound"]
table = stored["bits_per_dim"]  # by variance, then by the number of steps
print(f"bits/dim of {stored['digits']} held-out digits   prior  denoising  reconstruction    all")
for steps in ("1000", "250", "100", "50"):
    for name in ("beta tilde", "beta"):
        row = table[name][steps]
        print(f"{steps:>5} steps, sigma^2 = {name:<12}{row['prior']:>6.3f}{row['denoising']:>11.2f}{row['reconstruction']:>16.2f}{row['total']:>7.2f}")
    assert table["beta"][steps]["total"] - table["beta tilde"][steps]["total"] > 0.05, "the margin, in bits/dim"
live, whole = result.total_bits_per_dim.mean().item(), table["beta tilde"]["1000"]
error = whole["total_std"] * math.sqrt(1 / 8 + 1 / stored["digits"])
print(f"eight digits, measured above: {live:.2f}; {stored['digits']} digits: {whole['total']:.2f}; less than 3 standard errors apart: {abs(live - whole['total']) < 3 * error}")
assert abs(live - whole["total"]) < 3 * error

# %%
figure, ((by_time, by_steps),) = new_figure(1, 2, height=2.7)
for name, colour, place, words in (("beta", INK, (40, 6e-3), "$\\beta$"), ("beta tilde", COLOURS["posterior"], (3, 1.5e-3), "$\\tilde\\beta$")):
    by_time.plot(times.numpy(), list(reversed(table[name]["by_t"])), color=colour, linewidth=1.2)
    by_time.text(*place, f"$\\sigma_t^2 = $ {words}", color=colour)
    count = [50, 100, 250, 1000]
    by_steps.plot(count, [table[name][str(steps)]["total"] for steps in count], "o-", color=colour, markersize=4)
    by_steps.text(55, table[name]["50"]["total"] + (0.12 if name == "beta" else -0.28), f"$\\sigma_t^2 = $ {words}", color=colour)
measured = result.denoising.mean(0).flip(0) * bits  # (T-1,), t = 2..T
by_time.plot(times[::25].numpy(), measured[::25].numpy(), ".", color=COLOURS["network"], markersize=4)
by_time.text(60, 4e-6, "dots: eight digits, $\\tilde\\beta$", color=COLOURS["network"], ha="center")
by_time.set(xscale="log", yscale="log", xlabel="$t$", ylabel="$L_{t-1}$ in bits/dim")
by_steps.set(xscale="log", xlabel="number of steps", ylabel="all terms, bits/dim", xticks=count, xticklabels=count, ylim=(1.4, 3.1))
by_steps.minorticks_off()
show(figure, "Left, each denoising term: beta pays more at the smallest t, and the two agree later; right, the whole bound: beta tilde pays less at every number of steps.")

# %% [markdown]
# **Why?** The true step back has a variance of its own, and the bound charges for any other. For pixels from $\mathcal N(0, s^2)$ it is known. $\mathbf{x}_0$ given $\mathbf{x}_t$ has the variance
# $v_0 = s^2(1-\bar\alpha_t)/(\bar\alpha_t s^2 + 1 - \bar\alpha_t)$, and that adds to the posterior's: $v_t = \tilde\beta_t + c_t^2\, v_0$, with $c_t = \sqrt{\bar\alpha_{t-1}}\,\beta_t/(1-\bar\alpha_t)$, the posterior's factor of $\mathbf{x}_0$.
# At $s = 0$, a single point, $v_t = \tilde\beta_t$. At $s = 1$, standard normal data, $v_t = \beta_t$. Each choice is exact for one extreme. With the right mean and the variance $\sigma_t^2$, a pixel pays $\tfrac12(\log\frac{\sigma_t^2}{v_t} + \frac{v_t}{\sigma_t^2} - 1)$ nats too much.
#
# Digits lie between. Their best $\sigma_t^2$ is $\tilde\beta_t$ plus the mean squared error of the learned mean. By equation 12 that error is $\frac{\beta_t^2}{\alpha_t(1-\bar\alpha_t)}$ times the squared noise error $e_t$, and $\beta_t - \tilde\beta_t = \frac{\beta_t^2\,\bar\alpha_{t-1}}{1-\bar\alpha_t}$.
# So the best variance lies the share $e_t/\bar\alpha_t$ of the way from $\tilde\beta_t$ to $\beta_t$. That is about the denoising terms. The reconstruction adds its own part of the difference, since $\sigma_1^2 = \beta_1$ is nearly twice $\tilde\beta_2$.

# %%
beta, tilde, alpha_bar = schedule.beta[times], posterior_variance(times, schedule), schedule.alpha_bar[times]  # (T-1,)


def true_variance(s):
    """The variance of x_{t-1} given x_t, for data N(0, s^2)."""
    v_0 = s**2 * (1 - alpha_bar) / (alpha_bar * s**2 + 1 - alpha_bar)  # (T-1,)
    return tilde + schedule.alpha_bar[times - 1] * (beta / (1 - alpha_bar)) ** 2 * v_0  # (T-1,)


def overpaid(sigma2, truth):
    return 0.5 * (torch.log(sigma2 / truth) + truth / sigma2 - 1)  # (T-1,) nats per pixel


assert (true_variance(0.0) / tilde - 1).abs().max() < 1e-9 and (true_variance(1.0) / beta - 1).abs().max() < 1e-9
share = errors[1:] / alpha_bar  # (T-1,) of the way from beta tilde to beta, for the digits
digits_variance = tilde + share * (beta - tilde)  # (T-1,)
print("nats overpaid per pixel         data, one point      digits      data N(0, I)")
for t in (2, 5, 10, 50):
    for name, sigma2 in (("beta tilde", tilde), ("beta", beta)):
        paid = [overpaid(sigma2, truth)[t - 2].item() for truth in (tilde, digits_variance, beta)]
        print(f"t = {t:>2}, sigma^2 = {name:<12}" + "".join(f"{max(x, 0):>17.4f}" for x in paid))
total = {name: overpaid(sigma2, digits_variance).sum() / math.log(2) for name, sigma2 in (("beta", beta), ("tilde", tilde))}
print(f"all t = 2..1000, for the digits, in bits/dim: beta tilde {total['tilde']:.2f}, beta {total['beta']:.2f}")
assert total["beta"] > total["tilde"]

figure, ((left, right),) = new_figure(1, 2, height=2.7)
left.plot(times.numpy(), overpaid(beta, tilde).numpy(), color=INK)
left.plot(times.numpy(), overpaid(tilde, beta).numpy(), color=COLOURS["posterior"])
left.text(2.2, 3e-5, "$\\beta$, where data\nis one point")
left.text(9, 4e-2, "$\\tilde\\beta$, where data is $\\mathcal{N}(0, I)$", color=COLOURS["posterior"])
left.set(xscale="log", yscale="log", xlabel="$t$", ylabel="overpaid, nats per pixel", ylim=(1e-9, 1))
right.plot(times[:699].numpy(), share[:699].numpy(), color=COLOURS["network"])
right.axhline(1, color=INK, linewidth=1)
right.axhline(0, color=COLOURS["posterior"], linewidth=1)
right.text(2.2, 0.93, "$\\beta$ is best", va="top")
right.text(2.2, 0.03, "$\\tilde\\beta$ is best", color=COLOURS["posterior"])
right.text(60, 0.3, "eight digits", color=COLOURS["network"])
right.set(xscale="log", xlabel="$t$", ylabel="$e_t / \\overline{\\alpha}_t$", ylim=(-0.05, 1.05))
show(figure, "Left, the wrong variance costs most at small t, and next to nothing later; right, where the best variance of digits lies between the two: nearer beta tilde (drawn to t = 700: beyond, the network's own error counts, at next to no cost).")

# %% [markdown]
# ## Same as the package
#
# `minddpm.loss` holds these functions with checks of their input. Compare them on random input: the divergence to $10^{-12}$, the bins to $10^{-9}$, the simple loss with and without given $t$ and noise to $10^{-6}$, and the bound's three kinds of term on a schedule of 20 steps, with both variances, to 1 part in $10^{9}$.

# %%
import minddpm as package
from minddpm.loss import discretised_log_likelihood

p, q = Gaussian(mean_p, var_p), Gaussian(mean_q, var_q)
assert (gaussian_kl(p, q) - package.gaussian_kl(p, q)).abs().max() < 1e-12
assert package.gaussian_kl(p, p).abs().max() < 1e-12

generator = torch.Generator().manual_seed(6)
x_0 = torch.randint(0, 256, (6, 1, 8, 8), generator=generator).float() / 127.5 - 1  # (6, 1, 8, 8) random 8-bit pixels
x_0[:, :, 0], x_0[:, :, 1] = -1, 1  # both edge bins for certain
near = x_0.double() + 0.02 * torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
for sigma2 in (1e-4, 1e-2):
    theirs = discretised_log_likelihood(x_0.double(), Gaussian(near, torch.tensor(sigma2, dtype=torch.float64)))
    assert (bin_log_probability(x_0.double(), near, sigma2) - theirs).abs().max() < 1e-9

mix = torch.randn(8, 8, generator=generator) / 3


def toy(x_t, t):
    return x_t @ mix + t.reshape(-1, 1, 1, 1) / 50  # any function of image and time will do


t, noise = torch.tensor([1, 2, 10, 100, 500, 1000]), torch.randn(x_0.shape, generator=generator)
given = simple_loss(toy, x_0, schedule, t, noise), package.simple_loss(toy, x_0, schedule, t=t, noise=noise)
drawn = [f(toy, x_0, schedule, generator=torch.Generator().manual_seed(9)) for f in (simple_loss, package.simple_loss)]
assert abs(given[0] / given[1] - 1) < 1e-6 and abs(drawn[0] / drawn[1] - 1) < 1e-6

short = linear_schedule(20, 1e-3, 0.4)
for variance in (posterior_variance, beta_variance):
    mine = bound(toy, x_0, short, variance, torch.Generator().manual_seed(7))
    theirs = package.variational_bound(toy, x_0, short, variance=variance, generator=torch.Generator().manual_seed(7))
    for name in ("prior", "denoising", "reconstruction", "total_bits_per_dim"):
        assert torch.allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-9, atol=1e-9), name
print("gaussian_kl, the bins, simple_loss and all terms of variational_bound: equal")

# %% [markdown]
# ## Play
#
# Move $t$. On the left is what the network sees at that $t$ and what it makes of it. On the right, for the eight digits above, its noise error and the denoising term that this error costs.
#
# Question: at which end of time is the noise hardest to guess, and where does a wrong guess cost the most bits?


# %%
@torch.inference_mode()
def guess_at(t):
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    x_t, _ = forward_diffusion(image, t, schedule, noise)
    predicted = model(x_t, torch.tensor([t]))
    figure, (axes,) = new_figure(1, 5, height=2.1, width_ratios=(1, 1, 1, 1, 2.3))
    pictures = {
        "$x_t$": (x_t, "noisy", 1),
        "noise": (noise, "noise", 3),
        "predicted": (predicted, "network", 3),
        "$x_0$ estimate": (x0_from_noise(x_t, t, predicted, schedule), "network", 1),
    }
    for axis, (title, (picture, role, limit)) in zip(axes, pictures.items()):
        draw_image(axis, picture, title, COLOURS[role], limits=(-limit, limit))
    term = through_kl.mean(0) * bits  # (T-1,)
    axes[4].plot(range(1, schedule.T + 1), errors.numpy(), color=COLOURS["network"], linewidth=1)
    axes[4].plot(times.numpy(), term.numpy(), color=COLOURS["posterior"], linewidth=1)
    axes[4].plot([t, t], [errors[t - 1].item(), term[t - 2].item()], "o", color=INK, markersize=4)
    axes[4].text(6, 0.35, "noise error", color=COLOURS["network"])
    axes[4].text(2, 1e-4, "$L_{t-1}$ in\nbits/dim", color=COLOURS["posterior"])
    axes[4].set(xscale="log", yscale="log", xlabel="$t$", ylim=(None, 1.5))
    error = ((noise - predicted) ** 2).mean().item()
    return figure, f"At t = {t} the squared noise error of this digit is {error:.3f}; the dots mark t on the averages of eight digits."


show(*guess_at(20))
show(*guess_at(600))

# %%
play(guess_at, t=ipywidgets.SelectionSlider(options=[2, 5, 10, 20, 50, 100, 200, 400, 600, 800, 1000], value=100))

# %% [markdown]
# With little noise in the image, noise is hard to tell from a stroke's edge, so the error is large at small $t$. There the weight is large too. At large $t$ nearly everything is noise, and a guess that returns the image itself is almost right.
#
# ## Mistakes people make
#
# **A KL without its logarithm, or with its sides swapped.** As long as both variances are equal, neither shows. Vary $v_q$ and it does:

# %%
widths = torch.logspace(-1, 1, 200, dtype=torch.float64)  # (200,) v_q, while p = N(0, 1) and q = N(0, v_q)
p, q = Gaussian(torch.zeros(200), torch.ones(200)), Gaussian(torch.zeros(200), widths)
curves = {
    "right": (gaussian_kl(p, q), COLOURS["posterior"], "-", (5.2, 0.62)),
    "without the log": (0.5 * (p.variance / widths - 1), INK, "--", (3.0, -0.25)),
    "sides swapped": (gaussian_kl(q, p), INK, "-.", (2.5, 1.9)),
    "$\\sigma$ for $\\sigma^2$": (gaussian_kl(Gaussian(p.mean, p.variance), Gaussian(q.mean, widths.sqrt())), INK, ":", (0.1, -0.32)),
}
figure, ((axis,),) = new_figure(height=2.6)
for name, (curve, colour, style, place) in curves.items():
    axis.plot(widths.numpy(), curve.numpy(), style, color=colour, linewidth=3 if name == "right" else 1.4)
    axis.text(*place, name, color=colour)
    print(f"{name.replace('$', '').replace(chr(92), ''):<20} KL at v_q = 0.25: {curve[(widths - 0.25).abs().argmin()]:>6.2f}   at v_q = 4: {curve[(widths - 4).abs().argmin()]:>6.2f}")
axis.axhline(0, color=INK, linewidth=0.6)
axis.set(xscale="log", xlabel="$v_q$, while $p = \\mathcal{N}(0, 1)$", ylabel="KL in nats", ylim=(-0.6, 3.2))
show(figure, "Only the thick curve is the divergence: without the logarithm it turns negative, swapped it punishes the other side, and with sigma for sigma squared it is too flat.")
assert curves["right"][0].min() >= 0 and curves["without the log"][0].min() < -0.4

# %% [markdown]
# **Sum or mean.** The bound sums over pixels; `L_simple` averages over them. Swap the two, and the number is wrong by a factor of 784, or with plain gradient descent the step is. Adam divides such a factor out, so that training may hide the mistake.

# %%
one = result.denoising[0].sum() + result.reconstruction[0] + result.prior[0]  # nats per image
print(f"right:          {one:.0f} nats per image, {one * bits:.2f} bits/dim")
print(f"mean of pixels: {one / 784:.2f} nats, and then divided by 784 again {one / 784 * bits:.4f} bits/dim")
assert abs(one * bits - result.total_bits_per_dim[0]) < 1e-9

# %% [markdown]
# **The wrong target.** Score a network that predicts $\mathbf{x}_0$ perfectly against the noise. $\mathbf{x}_0$ and noise are independent, so its loss is $1 + \text{mean of } x_0^2$. Train it with that loss, and it learns the noise instead. Then the mistake shows only in the sampler, which takes
# noise for $\mathbf{x}_0$.

# %%
noise = torch.randn(digits.shape, generator=torch.Generator().manual_seed(11))
wrong = simple_loss(lambda x_t, t: digits, digits, schedule, torch.full((500,), 300), noise)
right = simple_loss(lambda x_t, t: noise, digits, schedule, torch.full((500,), 300), noise)
print(f"perfect x_0 against noise: {wrong:.2f}   (1 + mean of x_0^2 is {1 + (digits**2).mean():.2f})   perfect noise: {right:.2f}")
assert abs(wrong - 1 - (digits**2).mean()) < 0.02 and right == 0

# %% [markdown]
# **Edge bins closed.** If the two edge bins end 1/255 to either side like the others, the 256 probabilities no longer sum to 1 near black and white. For digits that is four pixels in five: the background is exactly $-1$.

# %%
means = torch.linspace(-1.02, -0.96, 401, dtype=torch.float64)  # (401,)
ends = torch.stack([levels - 1 / 255, levels + 1 / 255])  # (2, 256)
closed = area_below((ends[:, None] - means[:, None]) / spread).diff(dim=0)[0].sum(1)  # (401,)
opened = bin_log_probability(levels.expand(401, 256), means[:, None], spread**2).exp().sum(1)  # (401,)
figure, ((axis,),) = new_figure(height=2.1)
axis.plot(means.numpy(), opened.numpy(), color=COLOURS["posterior"], linewidth=3)
axis.plot(means.numpy(), closed.numpy(), "--", color=INK, linewidth=1.2)
axis.text(-1.015, 0.87, "edge bins open", color=COLOURS["posterior"])
axis.text(-1.003, 0.3, "edge bins closed")
axis.set(xlabel="mean of the last Gaussian", ylabel="sum of all bins", ylim=(0, 1.08))
at_black = closed[(means + 1).abs().argmin()].item()
show(figure, f"The sum over all 256 bins stays at 1 with open edges; with closed ones it falls near black, to {at_black:.2f} for a guess of exactly black.")
above, below = (area_below(levels.new_tensor(side / 255 / spread)).item() for side in (1, -1))
kept, lost = -math.log2(above), -math.log2(above - below)
black = (digits == -1).float().mean().item()
print(f"a background pixel guessed exactly: {kept:.2f} bits with the open bin, {lost:.2f} with the closed one; {black:.0%} of all pixels are such")
assert (opened - 1).abs().max() < 1e-12 and at_black < 0.9

# %% [markdown]
# ## Check yourself
#
# **1.** $L_T$ is tiny, and training ignores it. Which choice makes it tiny, and where would you see it if that choice were bad?
#
# <details><summary>Answer</summary>
# The schedule: alpha_bar_T is close to 0, so x_T is nearly standard normal whatever x_0 is. With too few or too small betas L_T grows, and sampling starts from noise that does not look like x_T. The network can do nothing about it.
# </details>
#
# **2.** You switch from variance beta tilde to beta. Does the trained network that minimises the bound change?
#
# <details><summary>Answer</summary>
# The constant that is gained does not depend on the network, so it moves no minimum. The weights of the noise errors change a little, by the factor beta tilde over beta. With L_simple nothing changes at all, for it has no variance in it.
# </details>
#
# **3.** A colleague reports a loss of 0.03 and asks whether that is good. What do you need to know?
#
# <details><summary>Answer</summary>
# Which number it is: L_simple is a mean over pixels and over t, and most t have a small error even for a weak network. Compare it with the error at single t, or evaluate the bound in bits per dimension on held-out images.
# </details>
#
# **Exercises:** [04 · Loss](../exercises/04_loss.ipynb). What you write is checked on fresh numbers, and a known mistake is named. Milestone: at their end, your loss judges the network that we ship, at eleven times.
#
# **Next:** [05 · U-Net](05_unet.ipynb) builds the network that makes the guess.
