# %% [markdown]
# # 06 · Sampler
#
# **You will**
# - write the loop that turns noise into an image, and see why each of its lines is right,
# - test it on data for which the perfect network is known,
# - learn why the estimate is clipped, and what four common mistakes look like.
#
# **You need** the jump ([02 · Noising](02_noising.ipynb)), the posterior ([03 · Posterior](03_posterior.ipynb)),
# equation 11 ([04 · Loss](04_loss.ipynb)) and the network ([05 · U-Net](05_unet.ipynb)).
#
# **It takes** 25 minutes to read and about half a minute to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import math
from typing import NamedTuple

import ipywidgets
import matplotlib
import torch
from torch import Tensor

from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm.noising import forward_diffusion, x0_from_noise
from minddpm.posterior import beta_variance, posterior_coefficients, posterior_variance, q_posterior
from minddpm.schedule import Schedule, linear_schedule
from minddpm_course.diagrams import sampling_step_stages
from minddpm_course.figures import (
    COLOURS,
    GREY,
    STYLE,
    draw_image,
    image_grid,
    in_a_row,
    new_figure,
    progressive_denoising,
    show,
    true_and_learned_posterior,
)
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
network, schedule, _ = load_pretrained("mnist")
held_out, _ = load_mnist("test")  # (500, 1, 28, 28)

# %% [markdown]
# ## The idea in a picture
#
# You have a network that finds the noise in an image. How does it make an image? Start from noise alone, and ask the network what the noise is.
# Do not trust the answer all the way: take a small step towards the clean image that it implies, add a little fresh noise, and ask again.
#
# Here is one such step, with the real values of one digit at $t = 300$.

# %%
generator = torch.Generator().manual_seed(6)
x_t, _ = forward_diffusion(held_out[2:3], 300, schedule, generator=generator)
noise = torch.randn(x_t.shape, generator=generator)
show(
    sampling_step_stages(network, x_t, 300, schedule, noise),
    "One turn of the loop: from the noisy image the network predicts the noise, the noise implies a clean image, "
    "and the step goes a little way towards it.",
)


# %% [markdown]
# And here are all 1,000 steps, starting from pure noise. The loop uses two functions that you know, `x0_from_noise` of lesson 02 and `q_posterior` of lesson
# 03. In it ${\color{#008561}{\hat{\mathbf{x}}_0}}$ is the clean image that the network's prediction implies.

# %%
class Step(NamedTuple):
    t: int
    x_t: Tensor  # (b, 1, 28, 28)
    x_0: Tensor  # the clean image that the network sees behind x_t; (b, 1, 28, 28)


def reverse_process(digits, seed):
    generator = torch.Generator().manual_seed(seed)
    x_t = torch.randn(digits, 1, 28, 28, generator=generator)
    for t in schedule.steps():  # 1000, 999, ..., 1
        predicted_noise = network(x_t, torch.full((digits,), t))  # (b, 1, 28, 28)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule).clamp(-1, 1)  # (b, 1, 28, 28)
        yield Step(t, x_t, x_0)
        sigma = beta_variance(t, schedule).sqrt().float() * (t > 1)  # ()
        noise = torch.randn(x_t.shape, generator=generator)
        x_t = q_posterior(x_0, x_t, t, schedule).mean + sigma * noise  # (b, 1, 28, 28)
    yield Step(0, x_t, x_t)


# %%
with torch.inference_mode():
    moments = {step.t: step for step in reverse_process(4, seed=2020)}  # kept for the whole lesson
shown = (1000, 800, 600, 500, 400, 300, 200, 100, 50, 0)
show(
    progressive_denoising([moments[t] for t in shown]),
    "The estimate of the clean image is noise at t = 1000 and a blur around t = 600; then it "
    "takes the shape of a digit, and its edges come last.",
)

# %% [markdown]
# ## The derivation
#
# You want to draw ${\color{#B3528C}{\mathbf{x}_{t-1}}}$ given ${\color{#B3528C}{\mathbf{x}_t}}$. For a known clean image, lesson 03 gave the answer: the posterior $\mathcal{N}({\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t}}(\mathbf{x}_t, \mathbf{x}_0),\ \tilde{\beta}_t \mathbf{I})$.
# You do not know $\mathbf{x}_0$, but the network knows something about it. So the step has three parts.
#
# **1. Predict the noise**, ${\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)$.
#
# **2. Solve the jump for the clean image** ([Ho et al. 2020](https://arxiv.org/abs/2006.11239), eq. 4, with the predicted noise):
#
# $$
# {\color{#008561}{\hat{\mathbf{x}}_0}} = \frac{1}{\sqrt{\bar{\alpha}_t}} \left({\color{#B3528C}{\mathbf{x}_t}} - \sqrt{1 - \bar{\alpha}_t}\, {\color{#008561}{\boldsymbol{\epsilon}_\theta}}\right).
# $$
#
# **3. Take the posterior as if this were the clean image**, and draw from it:
#
# $$
# \mathbf{x}_{t-1} = {\color{#9C6C00}{\tilde{\boldsymbol{\mu}}_t}}(\mathbf{x}_t, {\color{#008561}{\hat{\mathbf{x}}_0}}) + \sigma_t\, {\color{#C05500}{\mathbf{z}}}, \qquad {\color{#C05500}{\mathbf{z}}} \sim \mathcal{N}(\mathbf{0}, \mathbf{I}).
# $$
#
# Why is that allowed? The posterior mean is linear in $\mathbf{x}_0$, so that the average clean image gives the average step ([lesson 03](03_posterior.ipynb)). And the average is what a network learns that is trained on squared errors.

# %%
x_t, _ = forward_diffusion(held_out[3:4], 100, schedule, generator=torch.Generator().manual_seed(0))
show(
    true_and_learned_posterior(network, held_out[3:4], x_t, 100, schedule),
    "At t = 100 the network's mean, made from the noisy image alone, looks like the true "
    "posterior's, made from the clean image as well; "
    "they differ a little along the strokes.",
)

# %% [markdown]
# **The short form.** Put step 2 into step 3, and $\hat{\mathbf{x}}_0$ disappears. [Lesson 04](04_loss.ipynb) collected the terms (eq. 10 and 11), and algorithm 2 of the paper uses the result:
#
# $$
# \mathbf{x}_{t-1} = \frac{1}{\sqrt{\alpha_t}} \left({\color{#B3528C}{\mathbf{x}_t}} - \frac{\beta_t}{\sqrt{1 - \bar{\alpha}_t}}\, {\color{#008561}{\boldsymbol{\epsilon}_\theta}}(\mathbf{x}_t, t)\right) + \sigma_t\, {\color{#C05500}{\mathbf{z}}}.
# $$
#
# **How large is $\sigma_t$?** $\tilde\beta_t$ is exact for data of one point, $\beta_t$ for data that is standard normal ([lesson 03](03_posterior.ipynb)). Real data lies between. Both choices work, and *Believe it* measures by how much they miss.
#
# **No noise at the last step.** At $t = 1$ the posterior's mean is $\hat{\mathbf{x}}_0$ and its variance is 0. Noise added there
# would stay in the image, because no later step takes it out. So $\mathbf{z} = \mathbf{0}$ at $t = 1$, whichever variance is used.
#
# **Clipping.** The long form has a place where you can say what you know: pixels lie in $[-1, 1]$. At
# large $t$, step 2 divides by a $\sqrt{\bar{\alpha}_t}$ near 0, so that a small error of the prediction becomes a huge one of $\hat{\mathbf{x}}_0$. Clipping
# $\hat{\mathbf{x}}_0$ to $[-1, 1]$ bounds it. The short form has no such place.

# %%
for t in (1000, 500, 100, 1):
    factor = ((1 - schedule.alpha_bar[t]) / schedule.alpha_bar[t]).sqrt()  # ()
    print(f"t = {t:>4}: an error of 0.01 in the noise is one of {0.01 * factor:.4f} in x_0")


# %% [markdown]
# ## Rebuild it
#
# One step, the long form: from $\mathbf{x}_t$ and the estimate $\hat{\mathbf{x}}_0$ to $\mathbf{x}_{t-1}$. The numbers in it depend on $t$ alone.
# Try it first, if you like: fill in the next cell, then compare with the one below it.


# %%
def rebuilt_step(x_t, t, x_0, schedule, noise, *, variance=beta_variance):
    """x_{t-1} from x_t and the estimate of x_0."""
    # your lines


# %%
def rebuilt_step(x_t, t, x_0, schedule, noise, *, variance=beta_variance):
    """x_{t-1} from x_t and the estimate of x_0."""
    beta, alpha = schedule.beta[t].item(), schedule.alpha[t].item()
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t].item(), schedule.alpha_bar[t - 1].item()
    coef_x0 = math.sqrt(alpha_bar_prev) * beta / (1 - alpha_bar)
    coef_xt = math.sqrt(alpha) * (1 - alpha_bar_prev) / (1 - alpha_bar)
    mean = coef_x0 * x_0 + coef_xt * x_t  # (b, 1, 28, 28)
    if t == 1:
        return mean  # no noise at the last step
    sigma = math.sqrt(variance(t, schedule).item())
    return mean + sigma * noise  # (b, 1, 28, 28)


# %% [markdown]
# The short form, with $\sigma_t^2 = \beta_t$. It cannot clip.


# %%
def short_step(x_t, t, predicted_noise, schedule, noise):
    """x_{t-1} from x_t and the predicted noise (algorithm 2)."""
    beta, alpha_bar = schedule.beta[t].item(), schedule.alpha_bar[t].item()
    pull = beta / math.sqrt(1 - alpha_bar)
    mean = (x_t - pull * predicted_noise) / math.sqrt(1 - beta)  # (b, 1, 28, 28)
    return mean + (math.sqrt(beta) * noise if t > 1 else 0)  # (b, 1, 28, 28)


# %% [markdown]
# The loop (algorithm 2). It draws $\mathbf{x}_T$ first, then one noise a step, and yields what it holds at each time. The loop makes the estimate
# of the clean image and clips it if you ask. The step takes the estimate, so that any kind of step fits into this loop.


# %%
@torch.inference_mode()
def rebuilt_steps(model, shape, schedule, generator, *, variance=beta_variance, clip=False):
    """Yield a Step for each t = T, ..., 0."""
    x_t = torch.randn(shape, generator=generator)  # x_T, (b, 1, 28, 28)
    for t in range(schedule.T, 0, -1):
        predicted_noise = model(x_t, torch.full((shape[0],), t))  # (b, 1, 28, 28)
        x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)  # (b, 1, 28, 28)
        if clip:
            x_0 = x_0.clamp(-1, 1)  # (b, 1, 28, 28)
        yield Step(t, x_t, x_0)
        noise = torch.randn(shape, generator=generator)  # (b, 1, 28, 28)
        x_t = rebuilt_step(x_t, t, x_0, schedule, noise, variance=variance)  # (b, 1, 28, 28)
    yield Step(0, x_t, x_t)


# %%
def rebuilt_sample(*arguments, **options):
    """The images at the end of the loop."""
    for step in rebuilt_steps(*arguments, **options):
        pass
    return step.x_t


# %% [markdown]
# The first line, `torch.inference_mode()`, tells PyTorch that no gradients will be needed. Without it, PyTorch keeps the inner results of each network call for a backward pass that never comes, and each call depends on the one before:

# %%
kept = []  # the size of each tensor that one call keeps for its gradient
own = load_pretrained("mnist")[0].requires_grad_(True)  # as a network that you have just trained
with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.nbytes), lambda x: x):
    own(torch.zeros(1, 1, 28, 28), torch.tensor([1]))
print(f"kept by one call for one image: {sum(kept) / 1e6:.0f} MB; by 1,000 calls: {sum(kept) / 1e6:.0f} GB")

# %% [markdown]
# ## By hand
#
# One pixel $x_t = 0.4$, predicted noise 0.3, fresh noise $z = 0.1$, with $\alpha_t = 0.99$, $\beta_t = 0.01$ and $\bar{\alpha}_t = 0.5$. First the short form:

# %% tags=["worked-example"]
subtracted = 0.01 / math.sqrt(1 - 0.5) * 0.3
difference = 0.4 - subtracted
mean = difference / math.sqrt(0.99)
result = mean + math.sqrt(0.01) * 0.1
print(f"beta / sqrt(1 - alpha_bar) * predicted = {subtracted:.5f}")
print(f"0.4 - {subtracted:.5f} = {difference:.4f}")
print(f"divided by sqrt(0.99): {mean:.4f}")
print(f"plus 0.1 * 0.1: {result:.3f}")
assert f"{subtracted:.5f} {difference:.4f} {mean:.4f} {result:.3f}" == "0.00424 0.3958 0.3978 0.408"

# %% [markdown]
# The long form leads to the same. A schedule of two steps has these numbers at $t = 2$.

# %% tags=["worked-example"]
example = Schedule.from_betas([1 - 0.5 / 0.99, 0.01])  # alpha_bar_2 = 0.5
pixel, predicted, z = torch.tensor([[0.4], [0.3], [0.1]], dtype=torch.float64)
x_0 = x0_from_noise(pixel, 2, predicted, example)
coef_x0, coef_xt = posterior_coefficients(2, example)
mean = coef_x0 * x_0 + coef_xt * pixel
print(f"x_0 estimate = (0.4 - 0.707 * 0.3) / 0.707 = {x_0.item():.4f}")
print(f"mean = {coef_x0:.4f} * {x_0.item():.4f} + {coef_xt:.4f} * 0.4 = {mean.item():.4f}")
assert f"{x_0.item():.4f} {mean.item():.4f}" == "0.2657 0.3978"
assert f"{rebuilt_step(pixel, 2, x_0, example, z).item():.3f}" == "0.408"

# %% [markdown]
# ## Believe it
#
# **The two forms are one.** At every $t$, on random numbers, in float64, they may differ by rounding only.

# %%
generator = torch.Generator().manual_seed(66)
x, predicted, noise = torch.randn(3, 100, generator=generator, dtype=torch.float64)
worst = 0.0
for t in schedule.steps():
    x_0 = x0_from_noise(x, t, predicted, schedule)  # (100,)
    difference = rebuilt_step(x, t, x_0, schedule, noise) - short_step(x, t, predicted, schedule, noise)
    worst = max(worst, difference.abs().max().item())
print("largest difference below 1e-10:", worst < 1e-10)
assert worst < 1e-10


# %% [markdown]
# **A perfect network.** Is the loop right? Digits cannot tell, because nobody knows their distribution. So take data that you do know. Let each "image" be
# one pixel from $\mathcal{N}(m, s^2)$. Then $x_t$ and the noise are jointly normal, and the best prediction of the noise is a line:
#
# $$
# {\color{#008561}{\epsilon^*}}(x_t, t) = \mathbb{E}[\epsilon | x_t] = \frac{\operatorname{cov}(\epsilon, x_t)}{\operatorname{var}(x_t)} \left(x_t - \mathbb{E} x_t\right)
# = \frac{\sqrt{1 - \bar{\alpha}_t}}{\bar{\alpha}_t s^2 + 1 - \bar{\alpha}_t} \left(x_t - \sqrt{\bar{\alpha}_t}\, m\right).
# $$
#
# With this network the sampler must give $\mathcal{N}(m, s^2)$ back, up to what 1,000 finite steps miss.

# %%
m, s, draws = 0.5, 0.1, 20_000


def perfect(x_t, t):
    """The best prediction of the noise for data N(m, s^2)."""
    alpha_bar = schedule.alpha_bar[t[0]].item()  # one time for all
    slope = math.sqrt(1 - alpha_bar) / (alpha_bar * s**2 + 1 - alpha_bar)
    return slope * (x_t - math.sqrt(alpha_bar) * m)


for name, variance in (("beta", beta_variance), ("beta tilde", posterior_variance)):
    generator = torch.Generator().manual_seed(6)
    samples = rebuilt_sample(perfect, (draws,), schedule, generator, variance=variance)
    print(f"{name:<11} mean {samples.mean():.3f}, std {samples.std():.3f}")
    assert abs(samples.mean() - m) < 0.005 and abs(samples.std() / s - 1) < 0.07

# %% [markdown]
# One variance leaves the samples a little too wide, the other a little too narrow. Both errors come from the finite number of steps. Each step is linear here, so that you can follow mean and variance exactly, without drawing anything. Take fewer and larger steps, and see:


# %%
def exact_std(schedule, variance):
    """The standard deviation of what the sampler draws for data N(m, s^2)."""
    spread = 1.0  # the variance of x_T
    for t in schedule.steps():
        alpha_bar, beta = schedule.alpha_bar[t].item(), schedule.beta[t].item()
        shrink = 1 - beta / (alpha_bar * s**2 + 1 - alpha_bar)  # what the short form does to x_t
        added = variance(t, schedule).item() if t > 1 else 0
        spread = shrink**2 / (1 - beta) * spread + added
    return math.sqrt(spread)


lengths = [50, 100, 200, 500, 1000, 2000]
schedules = [linear_schedule(T, 0.1 / T, 20 / T) for T in lengths]
too_wide = [exact_std(one, beta_variance) / s for one in schedules]
too_narrow = [exact_std(one, posterior_variance) / s for one in schedules]
assert too_wide[0] > too_wide[-1] > 1 > too_narrow[-1] > too_narrow[0]

# %% jupyter={"source_hidden": true}
figure, ((axis,),) = new_figure(1, 1, height=2.4)
for name, ratios, colour, side in (
    ("$\\beta_t$", too_wide, COLOURS["noise"], "bottom"),
    ("$\\tilde\\beta_t$", too_narrow, COLOURS["posterior"], "top"),
):
    axis.plot(lengths, ratios, color=colour, marker="o", markersize=4)
    axis.text(105, ratios[1], name, color=colour, ha="left", va=side)
axis.axhline(1, color=GREY, linewidth=1)
axis.set(xscale="log", xlabel="number of steps $T$", ylabel="std of samples / of data")
axis.set(xticks=lengths, xticklabels=lengths)
axis.minorticks_off()
show(
    figure,
    "With beta the samples spread a little too wide, with beta tilde too little; both errors "
    "shrink as the steps grow in number.",
)

# %% [markdown]
# **Two points.** Data of 30% at $-1$ and 70% at $0.5$ has a perfect network as well: the exact denoiser of [lesson 03](03_posterior.ipynb), which weighs each point by how likely it makes $x_t$. The samples
# should land on the points, in these shares.

# %%
points, shares = torch.tensor([-1.0, 0.5]), torch.tensor([0.3, 0.7])


def two_points(x_t, t):
    alpha_bar = schedule.alpha_bar[t[0]].item()
    distance = (x_t[:, None] - math.sqrt(alpha_bar) * points) ** 2  # (b, 2)
    weight = (shares.log() - distance / (2 * (1 - alpha_bar))).softmax(dim=1)  # (b, 2)
    return (x_t - math.sqrt(alpha_bar) * weight @ points) / math.sqrt(1 - alpha_bar)  # (b,)


generator = torch.Generator().manual_seed(6)
paths = torch.stack([step.x_t for step in rebuilt_steps(two_points, (5000,), schedule, generator)])
from_points = (paths[-1][:, None] - points).abs().min(dim=1).values  # (5000,)
share = (paths[-1] > 0).float().mean()
print(f"share at 0.5: {share:.2f}")
assert from_points.max() < 1e-3 and abs(share - 0.7) < 0.03

# %% jupyter={"source_hidden": true}
figure, ((axis,),) = new_figure(1, 1, height=2.4)
axis.plot(range(1000, -1, -1), paths[:, :40].numpy(), color=COLOURS["noisy"], linewidth=0.5)
axis.plot([0, 0], points.numpy(), "o", color=COLOURS["clean"], clip_on=False)
axis.set(xlabel="time $t$", ylabel="pixel value", xlim=(1000, 0))
show(figure, "Forty samples start as noise on the left, and each ends on one of the two data points on the right.")

# %% [markdown]
# ## Same as the package
#
# The package's `sampler` module has `reverse_step`, `sample_steps` and `sample`. One line compares single steps and whole trajectories from the same seed, clipped and not, with both variances.

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("06", globals())

# %% [markdown]
# ## Play
#
# **When is the digit decided?** Move through the 1,001 steps of the trajectory from the top of this lesson. From which $t$ on can you read the digit in
# $\hat{\mathbf{x}}_0$? And from which in $\mathbf{x}_t$? The curve is the distance of each estimate to the finished digit.

# %% jupyter={"source_hidden": true}
finished = moments[0].x_t
distance = {t: (step.x_0 - finished).square().mean().sqrt().item() for t, step in moments.items()}


def draw_moment(t=400):
    step = moments[t]
    figure, axes = new_figure(2, 2, height=2.7, width_ratios=[4, 2.2])
    limits = (-2, 2) if t > 200 else (-1, 1)
    draw_image(axes[0, 0], in_a_row(step.x_t[:4]), "$x_t$", COLOURS["noisy"], limits=limits)
    draw_image(axes[1, 0], in_a_row(step.x_0[:4]), r"$\hat x_0$", COLOURS["network"])
    axes[1, 1].remove()
    curve = axes[0, 1]
    curve.set_subplotspec(curve.get_gridspec()[:, 1])
    curve.plot(list(distance), list(distance.values()), color=COLOURS["network"])
    curve.plot([t], [distance[t]], "o", color=COLOURS["noisy"])
    curve.set(xlabel="time $t$", ylabel="distance to the finished digit", xlim=(1000, -20), ylim=(0, None))
    caption = "above, what the sampler holds; below, the clean digits that the network sees behind it."
    return figure, f"At t = {t}: {caption}"


assert distance[1000] > distance[400] > distance[100] > distance[0] == 0

# %%
play(draw_moment, t=ipywidgets.IntSlider(400, 0, 1000))

# %% [markdown]
# ## Mistakes people make
#
# 1. **Noise at the last step**: nothing removes it.
# 2. **$\sigma^2$ for $\sigma$**: the noise is multiplied by the variance instead of its root: at $t = 500$ by 0.01 instead of 0.1.
# 3. **$t$ off by one**: the network sees a time that is too small by 1.
# 4. **Clipping $\mathbf{x}_t$** instead of $\hat{\mathbf{x}}_0$: a noisy image may well lie outside $[-1, 1]$.
#
# First with the perfect network, where right and wrong are numbers. The data is $\mathcal{N}(0.5, 0.1^2)$.


# %%
def mistaken_step(name, x_t, t, predicted_noise, noise):
    """One step, with a mistake in it."""
    sigma = schedule.beta[t].sqrt().item()
    x_0 = x0_from_noise(x_t, t, predicted_noise, schedule)
    if name not in ("unclipped", "x_t clipped"):
        x_0 = x_0.clamp(-1, 1)
    if name == "variance for std":
        noise = sigma * noise
    x_prev = rebuilt_step(x_t, t, x_0, schedule, noise)
    if name == "noise at the last step" and t == 1:
        x_prev = x_prev + sigma * noise
    return x_prev.clamp(-1, 1) if name == "x_t clipped" else x_prev


# %%
ends = {}
for name in ("right", "noise at the last step", "variance for std", "t off by one", "x_t clipped"):
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(draws, generator=generator)
    for t in schedule.steps():
        seen = max(t - 1, 1) if name == "t off by one" else t
        x = mistaken_step(name, x, t, perfect(x, [seen]), torch.randn(draws, generator=generator))
    ends[name] = x.std()
    print(f"{name:<24} mean {x.mean():.2f}, std {x.std():.3f}")
assert ends["variance for std"] < 0.1 * s and abs(ends["right"] - s) < 0.05 * s
assert ends["noise at the last step"] > ends["right"]
assert abs(ends["t off by one"] - ends["right"]) > 4 * s / math.sqrt(2 * draws)  # four standard errors

# %% [markdown]
# One mistake breaks everything. Three are small, and small is worse, because they pass by eye. What is small for one pixel need not be small for 784. Here are the same on digits, with the shipped network. Each
# column starts from the same $\mathbf{x}_T$ and uses the same noise as the first.

# %%
names = ["unclipped", "variance for std", "x_t clipped", "noise at the last step"]
generator = torch.Generator().manual_seed(2020)
x_T = torch.randn(4, 1, 28, 28, generator=generator)[:2]  # that of the first two digits above
x = dict.fromkeys(names, x_T)
reach = {}  # of the unclipped run: the largest |x_0 estimate| at each t
with torch.inference_mode():
    for t in schedule.steps():
        predicted = network(torch.cat([*x.values()]), torch.full((2 * len(names),), t)).split(2)
        noise = torch.randn(4, 1, 28, 28, generator=generator)[:2]
        reach[t] = x0_from_noise(x["unclipped"], t, predicted[0], schedule).abs().max().item()
        for name, its in zip(names, predicted):
            x[name] = mistaken_step(name, x[name], t, its, noise)

# %% jupyter={"source_hidden": true}
columns = {"right": finished[:2]} | x
titles = ["right", "unclipped", "variance\nfor std", "$x_t$ clipped", "noise at\nthe last step"]
rows = torch.cat([images[row : row + 1] for row in range(2) for images in columns.values()])
show(
    image_grid(rows, titles + [""] * 5, columns=5),
    "Right and unclipped give digits; variance for std gives plain strokes; x_t clipped gives "
    "white blobs; noise at the last step is too faint to see.",
)


def roughness(images):
    """How much neighbouring pixels differ."""
    return (images[..., 1:] - images[..., :-1]).std()


assert roughness(x["variance for std"]) < roughness(finished[:2]), "too smooth"

# %% [markdown]
# With too little fresh noise, the sampler follows the mean at every step, and means are smooth. With $\mathbf{x}_t$ clipped, the network sees another kind of noise than in training, and no digit comes out.
# The noise of the last step hides from the eye, but not from a number:

# %%
grain = (x["noise at the last step"] - finished[:2]).std() * 127.5
print(f"standard deviation of the grain: {grain:.1f} of 255 grey levels")
assert abs(grain - 1.275) < 0.1  # sqrt(beta_1) = 0.01 on a range of 2

# %% [markdown]
# Why clip at all, if the unclipped column has digits too? Look at $\hat{\mathbf{x}}_0$ on the way.

# %% jupyter={"source_hidden": true}
clipped = {t: step.x_0.abs().max().item() for t, step in moments.items() if t}
figure, ((axis,),) = new_figure(1, 1, height=2.4)
axis.plot(list(reach), list(reach.values()), color=COLOURS["noise"])
axis.plot(list(clipped), list(clipped.values()), color=COLOURS["network"])
axis.text(700, max(reach.values()) * 0.6, "unclipped", color=COLOURS["noise"])
axis.text(985, 1.08, "clipped", color=COLOURS["network"], va="bottom")
axis.set(yscale="log", xlabel="time $t$", ylabel=r"largest $|\hat x_0|$", xlim=(1000, 0))
show(
    figure,
    "Unclipped, the estimate of the clean image leaves the range of images by far at large t; "
    "clipped, it never does.",
)
assert max(reach.values()) > 3 and finished.abs().max() <= 1

# %% [markdown]
# At large $t$ the estimate has little weight, so that this network gets away without clipping. But no pixel of an image has the value 3. In this sampler clipping costs nothing (lesson 09 meets one where it does), uses what
# you know, and returns images that lie in the range of images.
#
# Your own samples look wrong, and none of these is the cause? The page [Is it a bug?](../docs/diagnosis.md) shows more symptoms, each with the test that finds its cause.

# %% [markdown]
# ## Check yourself
#
# **1.** Your samples are clean digits on a background with a faint grain. Which line do you read first?
#
# <details><summary>Answer</summary>
# The one that adds noise. At t = 1 it must add none. With the variance beta_1 of the linear schedule the grain has a standard deviation of 0.01, which is 1.3 of 255 grey levels.
# </details>
#
# **2.** Samples of your Gaussian test have the right mean and a standard deviation that is far too small. Which mistake is it?
#
# <details><summary>Answer</summary>
# The noise was multiplied by the variance instead of the standard deviation. The fresh noise is then far too weak, and each step's pull towards the mean wins.
# </details>
#
# **3.** Why not jump from $t = 1000$ straight to the estimate of the clean image?
#
# <details><summary>Answer</summary>
# At t = 1000 the noise holds no digit yet. The best estimate there is the mean of all digits, a blur. The steps choose a digit, little by little.
# The estimate at small t is a digit, because by then x_t holds one.
# </details>
#
# **Look it up:** [questions about sampling](../docs/questions.md#sampling), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [06 · Sampler](../exercises/06_sampler.ipynb). What you write is checked on fresh numbers, and a known mistake is named. Milestone: at their end, your sampler draws digits with the network that we ship.
#
# **Next:** [07 · Training](07_training.ipynb) trains a network before your eyes, and measures the one that you sampled from.
