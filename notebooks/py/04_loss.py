# %% [markdown]
# # 04 · Loss
#
# **You will**
# - split a bound on $-\log p_\theta(\mathbf{x}_0)$ into three kinds of term (equations 3 to 5 of [Ho et al. 2020](https://arxiv.org/abs/2006.11239)),
# - turn the middle kind into "predict the noise", and see which weight is dropped on the way (equations 8 to 14),
# - count every term in bits per pixel for the trained network, and find out why one schedule costs so many bits.
#
# **You need** [02 · Noising](02_noising.ipynb) for the jump to $\mathbf{x}_t$, and [03 · Posterior](03_posterior.ipynb) for $\tilde{\boldsymbol{\mu}}_t$ and $\tilde\beta_t$.
#
# **It takes** 30 minutes to read and about 20 seconds to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
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
    cosine_schedule,
    forward_diffusion,
    linear_schedule,
    posterior_variance,
    q_posterior,
    x0_from_noise,
)
from minddpm.checkpoints import load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm_course.comparisons import same_as_package
from minddpm_course.diagrams import bound_to_simple_loss, training_step_stages
from minddpm_course.figures import COLOURS, INK, STYLE, draw_image, new_figure, show
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %% [markdown]
# ## The idea in a picture
#
# This is one training step. The digit is *held out*: the network never saw it in training.

# %%
model, schedule, _ = load_pretrained("mnist")
digits, _ = load_mnist("test")  # (500, 1, 28, 28), held out
image = digits[7:8]  # (1, 1, 28, 28)
fixed_noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
show(
    training_step_stages(model, image, schedule, 250, fixed_noise),
    "Take a digit, draw t (here 250) and noise, mix them, let the network predict the noise, "
    "and average the squared error over the pixels.",
)

# %% [markdown]
# Training makes the last number small. It is a squared error, and easy to compute. But you want something else: a model that finds real digits *probable*. This lesson starts from that wish and arrives at the squared error, in five steps.
#
# 1. The probability of an image cannot be computed, so we take a **bound** on it.
# 2. The bound is a sum of **three kinds of term**.
# 3. Most terms compare **two Gaussians**, and for that there is a formula.
# 4. Only one thing in this formula is unknown to the network: **the noise**. So the network predicts it.
# 5. Each term is now a weight times a squared error. **Drop the weight**, and the loss of the picture is left.
#
# ## The derivation
#
# ### What we want, and why we cannot compute it
#
# The model makes an image with a **Markov chain**, in which each step depends only on the one before. It starts from noise and takes $T$ learned steps back (equation 1):
#
# $$p_\theta(\mathbf{x}_{0:T}) = p(\mathbf{x}_T) \prod_{t=1}^T {\color{#008561}{p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t)}}, \qquad p(\mathbf{x}_T) = \mathcal N(\mathbf{0}, \mathbf{I})$$
#
# A good model gives real images a high probability, so that $-\log p_\theta(\mathbf{x}_0)$ is small. But $\mathbf{x}_1, \ldots, \mathbf{x}_T$ are **latent variables**: the data does not contain them. To get $p_\theta(\mathbf{x}_0)$, you would have to integrate over all chains that end in $\mathbf{x}_0$. This integral is intractable.
#
# ### A bound
#
# We do have chains that fit $\mathbf{x}_0$, because the forward process makes them: $q(\mathbf{x}_{1:T} \mid \mathbf{x}_0) = \prod_t q(\mathbf{x}_t \mid \mathbf{x}_{t-1})$, equation 2. Multiply and divide by this density. The integral becomes an average over forward chains:
#
# $$-\log p_\theta(\mathbf{x}_0) = -\log \mathbb E_q\!\left[\frac{p_\theta(\mathbf{x}_{0:T})}{q(\mathbf{x}_{1:T} \mid \mathbf{x}_0)}\right] \;\le\; \mathbb E_q\!\left[-\log \frac{p_\theta(\mathbf{x}_{0:T})}{q(\mathbf{x}_{1:T} \mid \mathbf{x}_0)}\right] =: L \tag{3}$$
#
# The inequality is **Jensen's**: $-\log$ is convex, so $-\log$ of an average is at most the average of $-\log$. The right side can be estimated, because we can draw forward chains. It is never smaller than the left side, so a small $L$ means a small $-\log p_\theta(\mathbf{x}_0)$. $-L$ is called the **ELBO** (evidence lower bound). [Sohl-Dickstein et al. 2015](https://arxiv.org/abs/1503.03585) trained the first diffusion models with it.
#
# ### Three kinds of term
#
# The model steps back in time, but each $q$ in $L$ steps forward. Turn each forward step around with Bayes' rule. As in lesson 03, $\mathbf{x}_0$ is given. (The forward process is a Markov chain too, so this changes nothing on the left side.) For $t > 1$:
#
# $$q(\mathbf{x}_t \mid \mathbf{x}_{t-1}) = {\color{#9C6C00}{q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0)}}\; \frac{q(\mathbf{x}_t \mid \mathbf{x}_0)}{q(\mathbf{x}_{t-1} \mid \mathbf{x}_0)}$$
#
# Multiply over $t = 2, \ldots, T$. Each numerator cancels the denominator of the next fraction, and only $q(\mathbf{x}_T \mid \mathbf{x}_0)/q(\mathbf{x}_1 \mid \mathbf{x}_0)$ is left. The forward step at $t=1$ is $q(\mathbf{x}_1 \mid \mathbf{x}_0)$ itself, and it cancels that denominator. So
#
# $$L = \mathbb E_q\Big[-\log\frac{p(\mathbf{x}_T)}{q(\mathbf{x}_T \mid \mathbf{x}_0)} - \sum_{t=2}^T \log\frac{\color{#008561}{p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t)}}{\color{#9C6C00}{q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0)}} - \log p_\theta(\mathbf{x}_0 \mid \mathbf{x}_1)\Big].$$
#
# The **KL divergence** $\mathrm{KL}(p\,\|\,q) = \mathbb E_p[\log p - \log q]$ measures how far $q$ is from $p$. It is 0 if they are equal, and positive otherwise. Averaged over $q$, the first two kinds of fraction become KL divergences:
#
# $$L = \mathbb E_q\Big[L_T + \sum_{t=2}^T L_{t-1} + L_0\Big] \tag{5}$$
#
# - $L_T = \mathrm{KL}(q(\mathbf{x}_T \mid \mathbf{x}_0)\,\|\,p(\mathbf{x}_T))$, **prior matching**: is the last noisy image really noise? The network plays no part in this term.
# - $L_{t-1} = \mathrm{KL}(q(\mathbf{x}_{t-1} \mid \mathbf{x}_t, \mathbf{x}_0)\,\|\,p_\theta(\mathbf{x}_{t-1} \mid \mathbf{x}_t))$, **denoising**: how far is the learned step from the posterior? There is one such term for each of the timesteps $2, \ldots, T$.
# - $L_0 = -\log p_\theta(\mathbf{x}_0 \mid \mathbf{x}_1)$, **reconstruction**: how probable are the exact pixels after the last step?
#
# With the natural logarithm, all terms are in **nats**. Divide by $\ln 2$ and by the number of pixels to get **bits per dimension** (bits/dim).
#
# ### KL of two Gaussians
#
# Both distributions in $L_{t-1}$ are Gaussians with independent pixels, so one pixel is enough. Let $p = \mathcal N(\mu_p, v_p)$ and $q = \mathcal N(\mu_q, v_q)$. Insert the two densities:
#
# $$\log p - \log q = \tfrac12 \log\frac{v_q}{v_p} - \frac{(x-\mu_p)^2}{2v_p} + \frac{(x-\mu_q)^2}{2v_q}$$
#
# Now average over $x \sim p$. The first square averages to $v_p$, by the definition of variance. Write the second as $\big((x - \mu_p) + (\mu_p - \mu_q)\big)^2$. Its cross term averages to 0, so the square averages to $v_p + (\mu_p-\mu_q)^2$. Together:
#
# $$\mathrm{KL} = \tfrac12\left(\log\frac{v_q}{v_p} + \frac{v_p + (\mu_p - \mu_q)^2}{v_q} - 1\right)$$
#
# ### Equal variances leave the means
#
# The learned step needs a variance $\sigma_t^2$, and the paper fixes it in advance. Take the posterior's own, $\sigma_t^2 = \tilde\beta_t$ (`fixed_small` in other libraries). Then $v_p = v_q$, so the logarithm is 0, and $v_p/v_q - 1$ is 0 too. Only the means are left:
#
# $$L_{t-1} = \mathbb E_q\!\left[\frac{1}{2\sigma_t^2}\,\big\|{\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t(\mathbf{x}_t, \mathbf{x}_0)}} - {\color{#008561}{\boldsymbol{\mu}_\theta(\mathbf{x}_t, t)}}\big\|^2\right] + C \tag{8}$$
#
# with $C = 0$. The other common choice is $\sigma_t^2 = \beta_t$ (`fixed_large`). It adds $C = \tfrac12(\log\frac{\beta_t}{\tilde\beta_t} + \frac{\tilde\beta_t}{\beta_t} - 1)$ for each pixel, which no network can change. [An appendix](../docs/appendix_bound.md#which-variance-costs-less) compares the two.
#
# ### From means to noise
#
# The learned mean should match $\tilde{\boldsymbol{\mu}}_t$, and that contains $\mathbf{x}_0$, which the network is not given. So express $\mathbf{x}_0$ by $\mathbf{x}_t$ and the noise of the jump: $\mathbf{x}_0 = (\mathbf{x}_t - \sqrt{1-\bar\alpha_t}\,\boldsymbol{\epsilon})/\sqrt{\bar\alpha_t}$. First collect what multiplies $\mathbf{x}_t$, with $\sqrt{\bar\alpha_t} = \sqrt{\bar\alpha_{t-1}}\sqrt{\alpha_t}$:
#
# $$\frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{(1-\bar\alpha_t)\sqrt{\bar\alpha_t}} + \frac{\sqrt{\alpha_t}(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}
# = \frac{\beta_t + \alpha_t(1-\bar\alpha_{t-1})}{(1-\bar\alpha_t)\sqrt{\alpha_t}} = \frac{1}{\sqrt{\alpha_t}}$$
#
# The last step uses $\beta_t + \alpha_t - \bar\alpha_t = 1 - \bar\alpha_t$. Then collect what multiplies $\boldsymbol{\epsilon}$: it is $-\frac{\beta_t}{(1-\bar\alpha_t)\sqrt{\alpha_t}}\sqrt{1-\bar\alpha_t}$. Together:
#
# $$\tilde{\boldsymbol{\mu}}_t = \frac{1}{\sqrt{\alpha_t}}\left({\color{#B3528C}{\mathbf{x}_t}} - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\,{\color{#C05500}{\boldsymbol{\epsilon}}}\right) \tag{9, 10}$$
#
# The network is given $\mathbf{x}_t$ and $t$. The only thing in this formula that it lacks is $\boldsymbol{\epsilon}$. So let it predict $\boldsymbol{\epsilon}$, and put the prediction into the same formula:
#
# $$\boldsymbol{\mu}_\theta(\mathbf{x}_t, t) = \frac{1}{\sqrt{\alpha_t}}\left({\color{#B3528C}{\mathbf{x}_t}} - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\,{\color{#008561}{\boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)}}\right) \tag{11}$$
#
# This choice is a **reparameterisation** of the mean. Subtract the two means: $\mathbf{x}_t$ drops out, and equation 8 becomes
#
# $$L_{t-1} - C = \mathbb E\left[\underbrace{\frac{\beta_t^2}{2\sigma_t^2\,\alpha_t\,(1-\bar\alpha_t)}}_{\text{weight}}\ \big\|{\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta(\mathbf{x}_t, t)}}\big\|^2\right] \tag{12}$$
#
# ### Drop the weight
#
# The paper replaces every weight by 1, and draws $t$ uniformly from $1, \ldots, T$:
#
# $$L_\text{simple} = \mathbb E_{t, \mathbf{x}_0, \boldsymbol{\epsilon}}\Big[\big\|{\color{#C05500}{\boldsymbol{\epsilon}}} - {\color{#008561}{\boldsymbol{\epsilon}_\theta(\sqrt{\bar\alpha_t}\,\mathbf{x}_0 + \sqrt{1-\bar\alpha_t}\,\boldsymbol{\epsilon},\ t)}}\big\|^2\Big] \tag{14}$$
#
# At $t = 1$ the same expression stands in for $L_0$. In code the norm becomes a mean over the pixels, so that the loss does not depend on the size of the image. And this is the weight that is dropped:


# %%
def noise_weight(t, schedule, sigma2):
    """What a squared error of the noise costs in L_{t-1}, in nats (eq. 12)."""
    beta, alpha, alpha_bar = schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t]  # (n,) each
    return beta**2 / (2 * sigma2 * alpha * (1 - alpha_bar))  # (n,)


times = torch.arange(2, schedule.T + 1)  # (T-1,)
weights = noise_weight(times, schedule, posterior_variance(times, schedule))  # (T-1,)
for t in (2, 10, 100, 500, 1000):
    print(f"t = {t:>4}   weight {weights[t - 2]:.4f}")

# %% [markdown]
# In the bound, an error at $t = 2$ weighs over 100 times as much as one at $t = 500$. In $L_\text{simple}$ both weigh the same. So $L_\text{simple}$ is not the bound. It cares less about small $t$, where the image is nearly clean. It cares more about large $t$, where the digit takes shape. The paper found better samples this way.
#
# ### The last step, from $\mathbf{x}_1$ to pixels
#
# $L_0$ is left. A pixel has one of 256 grey levels, which lie $2/255$ apart. A density gives no single value a probability, so integrate the last Gaussian over a **bin** of $1/255$ to either side of the level (equation 13). The bins of black and white are open: they reach to $-\infty$ and $+\infty$, so that the 256 probabilities sum to 1. At $t = 1$ the variance $\tilde\beta_1$ is 0, and the step borrows $\tilde\beta_2$. [The appendix](../docs/appendix_bound.md#bins) has a picture, and says what closed bins would cost.
#
# ## Rebuild it
#
# Try it first, if you like: before each function stands an almost empty cell with its signature. The cell after it has our version.


# %%
def gaussian_kl(p, q):
    """KL(p || q) in nats, pixel by pixel; p and q have a mean and a variance."""
    # your lines


# %%
def gaussian_kl(p, q):
    """KL(p || q) in nats, pixel by pixel; p and q have a mean and a variance."""
    ratio = p.variance / q.variance  # (...) v_p / v_q
    distance = (p.mean - q.mean) ** 2 / q.variance  # (b, *dims)
    return 0.5 * (-torch.log(ratio) + ratio + distance - 1)  # (b, *dims)


# %% [markdown]
# The simple loss is short. If $t$ or the noise is not given, it is drawn.


# %%
def simple_loss(model, x_0, schedule, t=None, noise=None, generator=None):
    """L_simple (eq. 14) of one batch."""
    # your lines


# %%
def simple_loss(model, x_0, schedule, t=None, noise=None, generator=None):
    """L_simple (eq. 14) of one batch."""
    if t is None:
        t = schedule.sample_t(len(x_0), generator=generator)  # (b,)
    x_t, noise = forward_diffusion(x_0, t, schedule, noise, generator=generator)  # (b, *dims) each
    return ((noise - model(x_t, t)) ** 2).mean()  # () the mean over images and pixels


# %% [markdown]
# Next come the three kinds of term. Each is summed over the pixels, so that there is one number for each image.


# %%
def mean_from_noise(x_t, noise, t, schedule):
    """The mean of the step back, through the noise (eq. 10 and 11)."""
    # your lines


def prior_term(x_0, schedule):
    """L_T: how far x_T is from pure noise."""
    # your lines


def denoising_term(x_0, x_t, predicted_noise, t, schedule, variance):
    """L_{t-1}: how far the learned step is from the posterior."""
    # your lines


# %%
def mean_from_noise(x_t, noise, t, schedule):
    """The mean of the step back, through the noise (eq. 10 and 11)."""
    beta, alpha, alpha_bar = schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t]  # () each
    return (x_t - beta / (1 - alpha_bar).sqrt() * noise) / alpha.sqrt()  # (b, *dims)


def prior_term(x_0, schedule):
    """L_T: how far x_T is from pure noise."""
    end = schedule.alpha_bar[schedule.T]  # ()
    last = Gaussian(end.sqrt() * x_0, 1 - end)  # q(x_T | x_0)
    standard = Gaussian(torch.zeros_like(x_0), torch.ones_like(x_0))  # p(x_T)
    return gaussian_kl(last, standard).flatten(1).sum(1)  # (b,)


def denoising_term(x_0, x_t, predicted_noise, t, schedule, variance):
    """L_{t-1}: how far the learned step is from the posterior."""
    truth = q_posterior(x_0, x_t, t, schedule)
    learned = Gaussian(mean_from_noise(x_t, predicted_noise, t, schedule), variance(t, schedule))
    return gaussian_kl(truth, learned).flatten(1).sum(1)  # (b,)


# %%
def bin_log_probability(x_0, mean, variance):
    """log of the probability that N(mean, variance) gives to the bin of each pixel (eq. 13)."""
    # your lines


def reconstruction_term(x_0, x_1, predicted_noise, schedule, variance):
    """L_0: how improbable the exact pixels are."""
    # your lines


# %%
def area_below(z):
    """The area under the standard normal density to the left of z."""
    return 0.5 * torch.special.erfc(-z / math.sqrt(2))  # the shape of z


def bin_log_probability(x_0, mean, variance):
    """log of the probability that N(mean, variance) gives to the bin of each pixel (eq. 13)."""
    spread, off = variance**0.5, mean - x_0  # () and (b, *dims)
    lower, upper = (-1 / 255 - off.abs()) / spread, (1 / 255 - off.abs()) / spread  # (b, *dims)
    inside = area_below(upper) - area_below(lower)  # a bell is symmetric: only |off| counts
    black, white = area_below((1 / 255 - off) / spread), area_below((1 / 255 + off) / spread)
    return torch.where(x_0 < -0.999, black, torch.where(x_0 > 0.999, white, inside)).log()


def reconstruction_term(x_0, x_1, predicted_noise, schedule, variance):
    """L_0: how improbable the exact pixels are."""
    sigma2 = variance(1, schedule) or variance(2, schedule)  # () beta tilde_1 is 0: borrow
    mean = mean_from_noise(x_1, predicted_noise, 1, schedule)  # (b, *dims)
    return -bin_log_probability(x_0, mean, sigma2).flatten(1).sum(1)  # (b,)


# %% [markdown]
# The bound asks the network once for each $t$. Each $\mathbf{x}_t$ is one random draw, so a term is an estimate of its average over $q$. Beside the terms, we keep the mean squared error of the noise.


# %%
class Bound(NamedTuple):
    prior: torch.Tensor  # (b,) L_T, in nats per image
    denoising: torch.Tensor  # (b, T-1) L_{t-1}, for t = T..2
    reconstruction: torch.Tensor  # (b,) L_0
    total_bits_per_dim: torch.Tensor  # (b,)
    errors: torch.Tensor  # (b, T) mean squared error of the noise, for t = 1..T


# %%
def bound(model, x_0, schedule, variance=posterior_variance, generator=None):
    """Every term of the negative ELBO (eq. 5), with one draw of the noise for each t."""
    # your lines


# %%
@torch.inference_mode()
def bound(model, x_0, schedule, variance=posterior_variance, generator=None):
    """Every term of the negative ELBO (eq. 5), with one draw of the noise for each t."""
    clean, denoising, errors = x_0.double(), [], []  # sums are taken in float64
    for t in schedule.steps():  # T, T-1, ..., 1
        x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)  # (b, *dims) each
        guess = model(x_t, torch.full((len(x_0),), t))  # (b, *dims)
        errors.append(((noise - guess) ** 2).flatten(1).mean(1))  # (b,)
        x_t, guess = x_t.double(), guess.double()
        if t > 1:
            denoising.append(denoising_term(clean, x_t, guess, t, schedule, variance))  # (b,)
    reconstruction = reconstruction_term(clean, x_t, guess, schedule, variance)  # (b,) at t = 1
    prior, denoising = prior_term(clean, schedule), torch.stack(denoising, 1)  # (b,), (b, T-1)
    total = (prior + denoising.sum(1) + reconstruction) / (math.log(2) * clean[0].numel())  # (b,)
    return Bound(prior, denoising, reconstruction, total, torch.stack(errors, 1).flip(1))


# %% [markdown]
# ## By hand
#
# An example: the noise in a pixel was 0.3, and the network predicts 0.25.

# %% tags=["worked-example"]
pixel_noise, guess = torch.tensor([0.3, 0.25], dtype=torch.float64)  # () each
difference = pixel_noise - guess
loss = difference**2
print(f"difference {difference:.2f}")
print(f"loss       {loss:.4f}")
assert f"{difference:.2f}" == "0.05" and f"{loss:.4f}" == "0.0025"

# %% [markdown]
# What does this error cost in the bound? Take the step of lesson 03's example, with $\alpha_t = 0.99$, $\bar\alpha_{t-1} = 0.505$ and $x_t = 0.6$. Go once through the means (equation 8), and once through the weight (equation 12).

# %% tags=["worked-example"]
example, x_t = Schedule.from_betas([0.495, 0.01]), torch.tensor(0.6, dtype=torch.float64)
sigma2 = posterior_variance(2, example)
true_mean = mean_from_noise(x_t, pixel_noise, 2, example)
learned_mean = mean_from_noise(x_t, guess, 2, example)
through_means = (true_mean - learned_mean) ** 2 / (2 * sigma2)
weight = noise_weight(2, example, sigma2)
print(f"means {true_mean:.4f} and {learned_mean:.4f}, difference {learned_mean - true_mean:.5f}")
print(f"L_(t-1) through the means:   {through_means:.7f} nats")
print(f"weight {weight:.4f} x loss {loss:.4f}: {weight * loss:.7f} nats")
assert abs(through_means - weight * loss) < 1e-12

# %% [markdown]
# ## Believe it
#
# **The KL by integration.** Average $\log p - \log q$ over $p$ on a fine grid, for 200 pairs of random Gaussians. The formula agrees to $10^{-9}$.

# %%
generator = torch.Generator().manual_seed(2)
means = torch.randn(2, 200, 1, generator=generator, dtype=torch.float64)  # (2, 200, 1)
variances = torch.rand(2, 200, 1, generator=generator, dtype=torch.float64) * 2 + 0.1
p, q = (Gaussian(m, v) for m, v in zip(means, variances))  # (200, 1) each
points = torch.linspace(-12, 12, 4001, dtype=torch.float64)  # (4001,)
grid = p.mean + p.variance.sqrt() * points  # (200, 4001)
log_p, log_q = (torch.distributions.Normal(m, v.sqrt()).log_prob(grid) for m, v in (p, q))
step = grid[:, 1] - grid[:, 0]  # (200,)
integral = (log_p.exp() * (log_p - log_q)).sum(1) * step  # (200,)
largest = (gaussian_kl(p, q)[:, 0] - integral).abs().max()
print("200 divergences agree with their integrals to 1e-9:", bool(largest < 1e-9))
assert largest < 1e-9

# %% [markdown]
# **A case where the bound is exact.** Let an image be one standard normal number. Then the true step back is known from lesson 03: $\mathcal N(\sqrt{\alpha_t}\,x_t,\ \beta_t)$. It is the step of equation 11 if the network predicts $\sqrt{1-\bar\alpha_t}\,x_t$. For this model the inequality of equation 3 is an equality, so all terms must add up to $-\log \mathcal N(x_0; 0, 1)$. The sum is wrong if any term of equation 5 is missing.
#
# Each term is a quadratic function of $x_t$, averaged over a Gaussian. Two values of $x_t$ give this average exactly: the mean plus and minus one standard deviation.

# %%
short = linear_schedule(20, 0.01, 0.3)
number = torch.tensor([[-1.5], [0.0], [0.4], [2.0]], dtype=torch.float64)  # (4, 1) values of x_0
total = prior_term(number, short)  # (4,) L_T
for t in range(20, 1, -1):
    centre, spread = short.alpha_bar[t].sqrt() * number, (1 - short.alpha_bar[t]).sqrt()
    for x_t in (centre - spread, centre + spread):  # (4, 1)
        best_guess = (1 - short.alpha_bar[t]).sqrt() * x_t  # (4, 1)
        total += denoising_term(number, x_t, best_guess, t, short, beta_variance) / 2  # L_{t-1}
alpha, beta = short.alpha[1], short.beta[1]
square = (number[:, 0] - alpha * number[:, 0]) ** 2 + alpha * beta  # (4,) of x_0 - sqrt(alpha) x_1
total += 0.5 * torch.log(2 * math.pi * beta) + square / (2 * beta)  # L_0, as a density
exact = 0.5 * math.log(2 * math.pi) + number[:, 0] ** 2 / 2  # (4,)
print("sum of the terms:", [f"{value:.6f}" for value in total])
print("-log p(x_0):     ", [f"{value:.6f}" for value in exact])
assert (total - exact).abs().max() < 1e-12

# %% [markdown]
# ## The trained network in numbers
#
# Now evaluate all terms for the trained network on eight held-out digits. This asks the network 1,000 times, once for each $t$.

# %%
eight = digits[::64]  # (8, 1, 28, 28)
result = bound(model, eight, schedule, generator=torch.Generator().manual_seed(4))
bits = 1 / (math.log(2) * 784)  # nats per image to bits per dimension
print(f"L_T, prior                 {result.prior.mean() * bits:.5f} bits/dim")
print(f"sum of L_(t-1), denoising  {result.denoising.sum(1).mean() * bits:.2f}    bits/dim")
print(f"L_0, reconstruction        {result.reconstruction.mean() * bits:.2f}    bits/dim")
print(f"all                        {result.total_bits_per_dim.mean():.2f}    bits/dim")
assert result.total_bits_per_dim.mean() < 3

# %% [markdown]
# A pixel without a model costs 8 bits. With the model it costs a fraction of that. $L_T$ costs next to nothing, because the schedule leaves almost no signal in $\mathbf{x}_T$.

# %% jupyter={"source_hidden": true}
errors = result.errors.mean(0)  # (T,)
term = result.denoising.mean(0).flip(0)  # (T-1,) t = 2..T
top = int(term.argmax()) + 2
assert ((784 * weights * errors[1:] - term) / term).abs().max() < 1e-3, "equation 12"
show(
    bound_to_simple_loss(result, schedule, errors),
    f"Two of the three sums are large; the largest denoising term is at t = {top}. The black line "
    "lies on the green one: each term is its weight times its squared error, as equation 12 says. "
    "L_simple keeps the error and drops the weight.",
)

# %% [markdown]
# ## Why the cosine schedule costs so many bits
#
# Lesson 01 built two schedules. `tools/measure_results.py` trained the same small network with each, and measured the bound on 32 held-out digits. (After 1,500 steps neither network draws good digits yet; that is not the point here.)

# %%
rows = json.loads((ASSETS / "results.json").read_text())["schedules"]["runs"]
for name, row in rows.items():
    print(f"{name}: {row['bits_per_dim']:.2f} bits/dim")

# %% [markdown]
# The cosine schedule costs more than twice as many bits. Yet it is the one that many papers prefer, because of its samples. Which term would you suspect? Think of equation 12 before you read on.
#
# The weight has $\alpha_t$ in its denominator. The cosine schedule would end with $\beta_T = 1$, so [Nichol & Dhariwal 2021](https://arxiv.org/abs/2102.09672) clip it at 0.999. Then $\alpha_T$ is 0.001. The first step back divides by the root of it, and so multiplies an error of the noise by 32.

# %%
last_weight = {}  # at t = T
for name, one in (("linear", linear_schedule()), ("cosine", cosine_schedule())):
    last_weight[name] = noise_weight(one.T, one, posterior_variance(one.T, one)).item()
    cost = last_weight[name] * 0.004 / math.log(2)
    print(f"{name}: weight {last_weight[name]:.4f}; an error of 0.004 costs {cost:.4f} bits/dim")

# %% jupyter={"source_hidden": true}
figure, ((axis,),) = new_figure(height=2.3)
cosine = cosine_schedule()
cosine_weights = noise_weight(times, cosine, posterior_variance(times, cosine))  # (T-1,)
axis.plot(times.numpy(), cosine_weights.numpy(), color=COLOURS["posterior"])
axis.plot(times.numpy(), weights.numpy(), color=INK)
axis.plot([1000], [cosine_weights[-1].item()], "o", color=COLOURS["posterior"], markersize=5)
axis.text(985, 400, "cosine, t = 1000", color=COLOURS["posterior"], ha="right", va="center")
axis.text(600, 0.011, "linear", ha="center")
axis.text(450, 0.0009, "cosine", color=COLOURS["posterior"], ha="center")
axis.set(yscale="log", xlabel="$t$", ylabel="weight in the bound", xlim=(0, 1010), ylim=(5e-4, 2e3))
show(
    figure,
    "The cosine schedule has the larger weights late, and at the very last timestep its weight jumps "
    "to 500.",
)

# %% [markdown]
# With the cosine schedule, a mean squared error of 0.004 in this one term would be enough for the whole difference. Is it there? The term of $t = T$ was also measured alone, and the error follows from it:

# %%
for name, row in rows.items():
    others = row["bits_per_dim"] - row["last_term"]
    error = row["last_term"] * math.log(2) / last_weight[name]
    print(f"{name}: error {error:.4f}, term {row['last_term']:.5f} bits/dim, other terms {others:.2f}")

# %% [markdown]
# It is. The two networks make errors of similar size at $t = T$, but the weights differ by a factor of nearly 50,000. Without this term, the cosine schedule costs no more than the linear one.
#
# The error would be easy to avoid: $\mathbf{x}_T$ is nearly pure noise, so a network that returns $\mathbf{x}_T$ unchanged is wrong by only $2 \cdot 10^{-9}$. But $L_\text{simple}$ does not ask for such precision. For it, $t = T$ is one timestep of 1,000, and an error of 0.004 there adds 0.000004 to the loss. This is what dropping the weight means.
#
# And the samples? The sampler of [lesson 06](06_sampler.ipynb) clips its estimate of $\mathbf{x}_0$ to $-1..1$ at every step. Then no pixel of the estimate can be off by more than 2, whatever the network predicts. The paper's own code also clips when it counts bits. Count like that, and the difference is gone:

# %%
for name, row in rows.items():
    print(f"{name}, estimate of x_0 clipped: {row['bits_clipped']:.2f} bits/dim")

# %% [markdown]
# ## Same as the package
#
# This line compares your functions with those of `minddpm.loss`, on random input.

# %%
same_as_package("04", globals())

# %% [markdown]
# ## Play
#
# Move $t$. On the left is what the network sees at that $t$, and what it makes of it. On the right are the error of the noise and the denoising term that it costs, for the eight digits.
#
# Question: at which end of time is the noise hardest to predict, and where does a wrong prediction cost most?


# %% jupyter={"source_hidden": true}
chosen = [2, 5, 10, 20, 50, 100, 200, 400, 600, 800, 1000]
with torch.inference_mode():
    noisy = {t: forward_diffusion(image, t, schedule, fixed_noise)[0] for t in chosen}
    guesses = {t: model(x_t, torch.tensor([t])) for t, x_t in noisy.items()}


def guess_at(t):
    x_t, predicted = noisy[t], guesses[t]
    figure, (axes,) = new_figure(1, 5, height=2.1, width_ratios=(1, 1, 1, 1, 2.3))
    pictures = {
        "$x_t$": (x_t, "noisy", 1),
        "noise": (fixed_noise, "noise", 3),
        "predicted": (predicted, "network", 3),
        "$x_0$ estimate": (x0_from_noise(x_t, t, predicted, schedule), "network", 1),
    }
    for axis, (title, (picture, role, limit)) in zip(axes, pictures.items()):
        draw_image(axis, picture, title, COLOURS[role], limits=(-limit, limit))
    in_bits = term * bits  # (T-1,)
    axes[4].plot(range(1, schedule.T + 1), errors.numpy(), color=COLOURS["network"], linewidth=1)
    axes[4].plot(times.numpy(), in_bits.numpy(), color=COLOURS["posterior"], linewidth=1)
    marks = [errors[t - 1].item(), in_bits[t - 2].item()]
    axes[4].plot([t, t], marks, "o", color=INK, markersize=4)
    axes[4].text(6, 0.35, "error of the noise", color=COLOURS["network"])
    axes[4].text(2, 1e-4, "$L_{t-1}$ in\nbits/dim", color=COLOURS["posterior"])
    axes[4].set(xscale="log", yscale="log", xlabel="$t$", ylim=(None, 1.5))
    axes[4].set_ylabel("mean of eight digits")
    axes[4].minorticks_off()
    error = ((fixed_noise - predicted) ** 2).mean().item()
    words = f"At t = {t} the mean squared error of this digit's noise is {error:.3f}; dots mark t."
    return figure, words


# %%
show(*guess_at(20))
show(*guess_at(600))

# %%
play(guess_at, t=ipywidgets.SelectionSlider(options=chosen, value=100))

# %% [markdown]
# At small $t$ there is little noise in the image, and it is hard to tell from the edge of a stroke. So the error is large there, and the weight is large too. At large $t$ nearly everything is noise. Returning $\mathbf{x}_t$ unchanged is almost right there.
#
# ## Mistakes people make
#
# **A KL without its logarithm, or with its sides swapped.** As long as both variances are equal, you cannot see either. Vary $v_q$ and you can:

# %%
p = Gaussian(torch.zeros(1), torch.ones(1))  # N(0, 1)
for v_q in (0.25, 1.0, 4.0):
    q = Gaussian(torch.zeros(1), torch.full((1,), v_q))
    without_log = 0.5 * (1 / v_q - 1)
    right, swapped = gaussian_kl(p, q).item(), gaussian_kl(q, p).item()
    print(f"v_q = {v_q:<4}  right {right:.2f}  no log {without_log:.2f}  swapped {swapped:.2f}")

# %% [markdown]
# A divergence is never negative, so the formula without the logarithm cannot be one. The swapped one is a divergence, but of the other direction.
#
# **Sum or mean.** The bound sums over the pixels, and $L_\text{simple}$ averages over them. If you swap the two, the number is wrong by a factor of 784. Adam divides such a factor out, so training may hide the mistake.

# %%
nats = (result.prior + result.denoising.sum(1) + result.reconstruction)[0]  # () of one image
print(f"right: {nats:.0f} nats per image, {nats * bits:.2f} bits/dim")
print(f"averaged, then divided by 784 again: {nats / 784 * bits:.4f} bits/dim")

# %% [markdown]
# **The wrong target.** Suppose a network predicts $\mathbf{x}_0$ perfectly, and you compare it with the noise. Image and noise are independent, so the loss is 1 plus the mean of $x_0^2$, although the network is perfect. If you train with this loss, the network learns the noise instead. Then only the sampler shows the mistake, because it takes the prediction for $\mathbf{x}_0$.

# %%
drawn = torch.randn(digits.shape, generator=torch.Generator().manual_seed(11))
t = torch.full((500,), 300)
wrong = simple_loss(lambda x_t, t: digits, digits, schedule, t, drawn)
right = simple_loss(lambda x_t, t: drawn, digits, schedule, t, drawn)
expected = 1 + (digits**2).mean()
print(f"perfect x_0: {wrong:.2f} (1 + mean of x_0^2 is {expected:.2f}); perfect noise: {right:.2f}")
assert abs(wrong - expected) < 0.02 and right == 0

# %% [markdown]
# ## Check yourself
#
# **1.** $L_T$ is tiny, and training ignores it. Which choice makes it tiny, and where would you notice if that choice were bad?
#
# <details><summary>Answer</summary>
# The schedule. It makes alpha_bar_T so small that x_T is nearly standard normal, whatever x_0 is. With too few or too small betas L_T grows, and sampling starts from noise that does not look like x_T. The network cannot change that.
# </details>
#
# **2.** You change the variance from beta tilde to beta. Does the network that minimises the bound change?
#
# <details><summary>Answer</summary>
# A network that could predict everything perfectly would not: each term keeps its best prediction, and the constant does not depend on the network. A real one changes somewhat, because it has to choose where to be good: each weight is multiplied by beta tilde over beta, which is 0.45 at t = 2 and nearly 1 at large t. L_simple does not change at all, because it has no variance in it.
# </details>
#
# **3.** A colleague reports a loss of 0.03 and asks whether that is good. What do you need to know?
#
# <details><summary>Answer</summary>
# Which number it is. L_simple is a mean over pixels and over t, and at most t the error is small even for a weak network. Compare it with the error at single t, or evaluate the bound in bits per dimension on held-out images.
# </details>
#
# **4.** Would you train a network on the bound with the cosine schedule, every weight as in equation 12?
#
# <details><summary>Answer</summary>
# Better not as it stands. Over 97% of the total weight lies on t = T, where returning x_T unchanged is already almost right. Errors at all other timesteps would hardly count, unless you clip beta_T at a smaller value or leave that step out.
# </details>
#
# **Look it up:** [questions about the loss](../docs/questions.md#the-loss), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [04 · Loss](../exercises/04_loss.ipynb). What you write is checked on fresh numbers, and a known mistake is named. At their end comes a milestone: your loss judges the network that we ship, at eleven times.
#
# **Next:** [05 · U-Net](05_unet.ipynb) builds the network that predicts the noise.
