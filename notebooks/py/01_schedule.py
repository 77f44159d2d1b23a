# %% [markdown]
# # 01 · Schedule
#
# **You will**
# - see what goes wrong when noise comes too fast or too slowly,
# - derive why each step multiplies the image by $\sqrt{1-\beta_t}$, and by nothing else,
# - build the linear and the cosine schedule, and read off how much of an image is left at any time.
#
# **You need** the noising loop of [00 · From noise to images](00_from_noise_to_images.ipynb).
#
# **It takes** 20 minutes to read and 5 seconds to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
import math

import ipywidgets
import matplotlib
import torch

from minddpm.data import load_mnist
from minddpm_course.figures import COLOURS, GREY, INK, STYLE, draw_image, new_figure, show
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
digit = load_mnist("test")[0][20:21]  # (1, 1, 28, 28) a 3 that no network has seen, in [-1, 1]

# %% [markdown]
# ## The idea in a picture
#
# Lesson 00 turned an image into noise in 1,000 small steps. One step needs one number, $\beta_t$: the **variance** of the noise that is added at time $t$.
# The list $\beta_1, \beta_2, \dots, \beta_T$ is the **noise schedule**, and $t$ is called the **timestep**. The schedule is chosen by hand, once, before any training.
#
# Here are three choices. The digit is the same in each row, and so is the loop.

# %%
plans = {
    "too slow": torch.full((1000,), 0.0002),
    "linear": torch.linspace(1e-4, 0.02, 1000),
    "too fast": torch.full((1000,), 0.05),
}
chains = {}
for name, betas in plans.items():
    generator = torch.Generator().manual_seed(1)
    chains[name] = [digit]
    for beta_t in betas:  # the loop of lesson 00
        noise = torch.randn(digit.shape, generator=generator)  # (1, 1, 28, 28)
        chains[name].append((1 - beta_t).sqrt() * chains[name][-1] + beta_t.sqrt() * noise)

# %% jupyter={"source_hidden": true}
times = [0, 50, 100, 250, 500, 1000]
figure, axes = new_figure(3, len(times), height=3.9)
for row, (name, chain) in zip(axes, chains.items()):
    for axis, t in zip(row, times):
        draw_image(axis, chain[t], f"t = {t}" if name == "too slow" else "")
    row[0].text(-0.12, 0.5, name, transform=row[0].transAxes, rotation=90, ha="center", va="center")
show(
    figure,
    "Too slow, the digit is still there at t = 1000; too fast, it is gone by t = 50 and 950 "
    "steps change noise into noise; the linear schedule ends in noise and gets there gradually.",
)

# %% [markdown]
# Each failure has a cost.
#
# - **Too slow**: generation starts from pure noise. If training never reaches pure noise, the network never sees the place where generation starts.
# - **Too fast**: each step destroys so much that undoing it is hard, and most steps are wasted because nothing is left to undo.
#
# To judge a schedule you need a number that says how much of the image is left. The rest of this lesson builds it.

# %% [markdown]
# ## The derivation
#
# **One step.** The forward process ([Sohl-Dickstein et al. 2015](https://arxiv.org/abs/1503.03585)) is a **Markov chain**: each step looks only at the image before it. It draws $\mathbf{x}_t$ from a Gaussian around a shrunken $\mathbf{x}_{t-1}$ ([Ho et al. 2020](https://arxiv.org/abs/2006.11239), eq. 2):
#
# $$q(\mathbf{x}_t \mid \mathbf{x}_{t-1}) = \mathcal{N}\!\left(\mathbf{x}_t;\ \sqrt{1-\beta_t}\,\mathbf{x}_{t-1},\ \beta_t \mathbf{I}\right)$$
#
# Read it as a recipe. With $\boldsymbol\epsilon_t \sim \mathcal{N}(\mathbf{0}, \mathbf{I})$ drawn fresh at each step,
#
# $${\color{#B3528C}{\mathbf{x}_t}} = \sqrt{1-\beta_t}\ {\color{#B3528C}{\mathbf{x}_{t-1}}} + \sqrt{\beta_t}\ {\color{#C05500}{\boldsymbol\epsilon_t}} .$$
#
# **Why the square root.** Let $v_t$ be the variance of one pixel at time $t$. Multiplying by $a$ multiplies a variance by $a^2$, and variances of independent parts add. So
#
# $$v_t = (1-\beta_t)\,v_{t-1} + \beta_t \qquad\Longrightarrow\qquad v_t - 1 = (1-\beta_t)\,(v_{t-1} - 1).$$
#
# If $v_{t-1} = 1$, then $v_t = 1$. If it is not 1, its distance from 1 is multiplied by $1-\beta_t$. So the images approach variance 1, the variance of the noise that generation starts from.
# They get there only if the product of all these factors is small. With the plan called *too slow* it is not.
# No other positive factor than $\sqrt{1-\beta_t}$ keeps a variance of 1 at 1.
#
# **What is left after $t$ steps.** The paper writes
#
# $$\alpha_t = 1-\beta_t, \qquad \bar\alpha_t = \prod_{s=1}^{t} \alpha_s, \qquad \bar\alpha_0 = 1 .$$
#
# Follow the clean image through the steps and leave the noise aside. Step 1 multiplies it by $\sqrt{\alpha_1}$, step 2 by $\sqrt{\alpha_2}$, so that after $t$ steps its factor in $\mathbf{x}_t$ is $\sqrt{\bar\alpha_t}$.
# Its variance is then $\bar\alpha_t$ times what it was. If the total stays at 1, the noise must make up the remaining $1-\bar\alpha_t$:
#
# $$1 = {\color{#0072B2}{\bar\alpha_t}} + {\color{#C05500}{(1-\bar\alpha_t)}} .$$
#
# Variance is also called **power**, so $\bar\alpha_t$ is the share of the power that belongs to the clean image. The pixel values themselves, the **amplitude**, are multiplied by $\sqrt{\bar\alpha_t}$.
#
# **Signal to noise.** The ratio of the two shares is the signal-to-noise ratio, $\mathrm{snr}_t = \bar\alpha_t / (1-\bar\alpha_t)$. It is infinite at $t = 0$ and falls at every step.
#
# **The linear schedule** lets $\beta_t$ rise in equal steps (Ho et al., section 4: $T = 1000$, $\beta_1 = 10^{-4}$, $\beta_T = 0.02$):
#
# $$\beta_t = \beta_1 + \frac{t-1}{T-1}\,(\beta_T - \beta_1).$$
#
# A quick check that it goes far enough: for small $\beta$, $\ln(1-\beta) \approx -\beta$, so $\bar\alpha_T \approx e^{-\sum\beta_t}$. The sum is $T$ times the average beta, $1000 \times 0.01005 = 10.05$. Almost nothing is left of the power.
#
# **The cosine schedule** goes the other way round: it fixes the curve $\bar\alpha_t$ and works out the betas ([Nichol & Dhariwal 2021](https://arxiv.org/abs/2102.09672), eq. 17):
#
# $$\bar\alpha_t = \frac{f(t)}{f(0)}, \qquad f(t) = \cos^2\!\left(\frac{t/T+s}{1+s}\cdot\frac{\pi}{2}\right), \qquad \beta_t = \min\!\left(1-\frac{\bar\alpha_t}{\bar\alpha_{t-1}},\ 0.999\right).$$
#
# The offset $s = 0.008$ keeps $\beta_1$ from being too small. The bound 0.999 is needed because $f(T) = 0$: without it $\beta_T$ would be 1, and later formulas divide by $\alpha_T$.
#
# **Index equals $t$.** The paper counts $t = 1, \dots, T$. Python counts from 0. This course stores arrays of length $T+1$ whose index *is* the paper's $t$. Index 0 is the clean image: $\beta_0 = 0$, $\bar\alpha_0 = 1$.
# Many libraries store length $T$ and shift by one, so that their $t$ is ours minus 1:
#
# | in the paper | here | in a library that counts from 0 |
# |---|---|---|
# | the first step | `t = 1` | `t = 0` |
# | $\beta_t$ | `beta[t]` | `betas[t - 1]` |
# | $\bar\alpha_t$ | `alpha_bar[t]` | `alphas_cumprod[t - 1]` |
# | $\bar\alpha_{t-1}$ at the first step | `alpha_bar[0]`, which is 1 | a special case |
# | the last step | `t = T` | `t = T - 1` |

# %% [markdown]
# ## Rebuild it
#
# The numbers are kept in float64, because a product of a thousand factors near 1 collects rounding errors, and a thousand numbers cost nothing.
# Try it first, if you like: fill in the next cell, then compare with the one below it.


# %%
def linear_betas(T=1000, beta_start=1e-4, beta_end=0.02):
    """The betas beta_1, ..., beta_T, rising in equal steps."""
    # your lines


def from_betas(betas):
    """beta and alpha_bar for t = 0, ..., T."""
    # your lines


# %%
def linear_betas(T=1000, beta_start=1e-4, beta_end=0.02):
    return torch.linspace(beta_start, beta_end, T, dtype=torch.float64)  # (T,) beta_1 ... beta_T


def cosine_betas(T=1000, s=0.008, max_beta=0.999):
    t = torch.arange(T + 1, dtype=torch.float64)  # (T+1,) 0, 1, ..., T
    f = torch.cos((t / T + s) / (1 + s) * math.pi / 2) ** 2  # (T+1,) alpha_bar times f(0)
    return (1 - f[1:] / f[:-1]).clamp(max=max_beta)  # (T,) beta_1 ... beta_T


def from_betas(betas):
    beta = torch.cat([torch.zeros(1, dtype=torch.float64), betas])  # (T+1,) beta[0] = 0, so the index is t
    alpha_bar = (1 - beta).cumprod(dim=0)  # (T+1,) alpha_bar[0] = 1
    return beta, alpha_bar


def snr(alpha_bar):
    return alpha_bar / (1 - alpha_bar)  # (T+1,) infinite at t = 0


# %% [markdown]
# Three helpers use a schedule. Training draws a time for each image. Generation walks from $T$ down to 1. And each image of a batch is multiplied by the number of its own time.


# %%
def sample_t(T, batch_size, generator):
    return torch.randint(1, T + 1, (batch_size,), generator=generator)  # (b,) uniform on 1, ..., T


def steps(T):
    return range(T, 0, -1)  # T, T-1, ..., 1


def per_image(coefficient, x):
    return coefficient.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))  # (b,) -> (b, 1, 1, 1) for images (b, 1, h, w)


# %%
beta, alpha_bar = from_betas(linear_betas())  # (1001,) each
cosine_beta, cosine_alpha_bar = from_betas(cosine_betas())

print("          linear               cosine")
print("   t      beta  alpha_bar      beta  alpha_bar")
for t in [1, 10, 100, 259, 500, 750, 1000]:
    ours = f"{beta[t]:.5f}  {alpha_bar[t]:9.5f}"
    print(f"{t:4d}   {ours}   {cosine_beta[t]:.5f}  {cosine_alpha_bar[t]:9.5f}")

# %% jupyter={"source_hidden": true}
t = torch.arange(1001)
panels = [
    (r"$\beta_t$", beta, cosine_beta, COLOURS["noise"]),
    (r"$\overline{\alpha}_t$", alpha_bar, cosine_alpha_bar, COLOURS["clean"]),
    (r"$\mathrm{snr}_t$", snr(alpha_bar), snr(cosine_alpha_bar), COLOURS["noisy"]),
]
figure, axes = new_figure(1, 3, height=2.5)
for axis, (name, linear, cosine, colour) in zip(axes[0], panels):
    axis.plot(t[1:].numpy(), linear[1:].numpy(), color=colour)
    axis.plot(t[1:].numpy(), cosine[1:].numpy(), color=colour, linestyle="--")
    axis.set(title=name, xlabel="$t$")
axes[0, 0].set_ylim(0, 0.03)
axes[0, 0].text(420, 0.0115, "linear", ha="right")
axes[0, 0].text(620, 0.0015, "cosine")
axes[0, 1].text(215, 0.33, "linear", ha="right")
axes[0, 1].text(560, 0.45, "cosine")
axes[0, 1].plot([259, 500], alpha_bar[[259, 500]].numpy(), "o", color=INK, markersize=4)
axes[0, 2].set_yscale("log")
axes[0, 2].text(330, 0.02, "linear", ha="right")
axes[0, 2].text(560, 1.6, "cosine")
show(
    figure,
    "The cosine schedule keeps more of the image until close to the end. The dots on the linear "
    "curve are t = 259, where half of the power is left, and t = 500.",
)

# %% [markdown]
# ## By hand
#
# Take three large betas: 0.1, 0.2 and 0.3. You can do this one on paper.

# %% tags=["worked-example"]
small_beta, small_alpha_bar = from_betas(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
small_alpha = 1 - small_beta
_, a_1, a_2, a_3 = small_alpha
_, bar_1, bar_2, bar_3 = small_alpha_bar
print(f"alpha_1, alpha_2, alpha_3   {a_1:.1f}, {a_2:.1f}, {a_3:.1f}")
print(f"alpha_bar_1                 {bar_1:.1f}")
print(f"alpha_bar_2                 {bar_1:.1f} x {a_2:.1f} = {bar_2:.2f}")
print(f"alpha_bar_3                 {bar_2:.2f} x {a_3:.1f} = {bar_3:.3f}")
print(f"snr_3                       {bar_3:.3f} / {1 - bar_3:.3f} = {snr(small_alpha_bar)[3]:.3f}")

assert [f"{value:.1f}" for value in small_alpha] == ["1.0", "0.9", "0.8", "0.7"]
assert [f"{value:.3f}" for value in small_alpha_bar] == ["1.000", "0.900", "0.720", "0.504"]
assert f"{snr(small_alpha_bar)[3]:.3f}" == "1.016"

# %% [markdown]
# The examples of later lessons start from $\bar\alpha_t = 0.5$: half of the power is left, and $\sqrt{0.5}$ of the amplitude. When is that?

# %% tags=["worked-example"]
half = int((alpha_bar >= 0.5).nonzero().max())  # the last time with at least half of the power
print(f"amplitude at alpha_bar = 0.5: {math.sqrt(0.5):.3f}")
print(f"linear  alpha_bar_{half} = {alpha_bar[half]:.4f}   beta_{half} = {beta[half]:.4f}")
print(f"linear  alpha_bar_500 = {alpha_bar[500]:.4f}   beta_500 = {beta[500]:.4f}")
assert half == 259 and f"{alpha_bar[259]:.3f} {math.sqrt(0.5):.3f}" == "0.500 0.707"
assert f"{beta[500]:.2f} {alpha_bar[500]:.2f}" == "0.01 0.08"

# %% [markdown]
# Halfway through the linear schedule only 8% of the power is left; half of it is gone after a quarter of the steps. The cosine schedule was made to spread this loss more evenly.

# %% [markdown]
# ## Believe it
#
# Two other ways must lead to the same numbers.
#
# **Arithmetic.** Add logarithms one by one in plain Python, and compare to a relative error of $10^{-12}$. For the cosine schedule, the running product of $1 - \beta_t$ must give back the curve that the betas were made from, up to $t = T$, where the bound acts.

# %%
total = 0.0
for t in range(1, 1001):
    beta_t = 1e-4 + (t - 1) / 999 * (0.02 - 1e-4)  # the formula, not linspace
    total += math.log1p(-beta_t)
    assert math.isclose(alpha_bar[t], math.exp(total), rel_tol=1e-12)


def curve(t):
    return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2


assert all(math.isclose(cosine_alpha_bar[t], curve(t) / curve(0), rel_tol=1e-9) for t in range(1000))
print(f"alpha_bar_1000 = {alpha_bar[1000]:.3g}; the estimate exp(-10.05) = {math.exp(-10.05):.3g}")

# %% [markdown]
# **Simulation.** Start 20,000 pixels from a Gaussian of variance 1 and take 1,000 noisy steps. At each of the times below, the variance must be 1, and the part of $x_t$ that still follows $x_0$ must have amplitude $\sqrt{\bar\alpha_t}$.
# That part is measured by the slope of the line that predicts $x_t$ from $x_0$.
#
# With $n$ draws the variance has a standard error of $\sqrt{2/n}$ and the slope one of $\sqrt{(1-\bar\alpha_t)/n}$. We allow four of them.

# %%
n = 20_000
generator = torch.Generator().manual_seed(2)
x_0 = torch.randn(n, generator=generator)  # (n,) pixels of variance 1
x_t = x_0
print("   t   variance   slope   sqrt(alpha_bar)")
for t in range(1, 1001):
    noise = torch.randn(n, generator=generator)  # (n,) fresh at each step
    x_t = (1 - beta[t]).sqrt().float() * x_t + beta[t].sqrt().float() * noise  # (n,)
    if t in (1, 10, 100, 259, 500, 1000):
        variance, slope = x_t.var(), (x_0 * x_t).mean() / (x_0 * x_0).mean()
        print(f"{t:4d}   {variance:8.2f}   {slope:5.2f}   {alpha_bar[t].sqrt():15.2f}")
        assert abs(variance - 1) < 4 * math.sqrt(2 / n)
        assert abs(slope - alpha_bar[t].sqrt()) < 4 * math.sqrt((1 - alpha_bar[t]) / n)

# %% [markdown]
# ## Same as the package
#
# From here on you may import `minddpm.schedule`. One line compares your functions with it on random settings, to a relative $10^{-12}$.

# %%
from minddpm import schedule as package
from minddpm_course.comparisons import same_as_package

same_as_package("01", globals())

# %% [markdown]
# The package adds one thing: it checks. Its functions send each time through `time_index`, which accepts only integers from 1 to $T$, and 0 where the clean image makes sense. Reading `schedule.beta[t]` directly is not checked.

# %%
schedule = package.linear_schedule()
for wrong in [0, 1001, 2.5]:
    try:
        package.time_index(wrong, schedule)
    except (ValueError, TypeError) as error:
        print(f"{type(error).__name__}: {error}")

# %% [markdown]
# ## Play
#
# Generation takes $T$ steps, so a small $T$ is tempting. **With $T = 100$ and the usual betas, what is wrong, and which `beta_end` repairs it?** Move the sliders until the digit on the right is gone.


# %% jupyter={"source_hidden": true}
def draw(T, beta_end):
    alpha_bar = package.linear_schedule(T, 1e-4, beta_end).alpha_bar
    noise = torch.randn(digit.shape, generator=torch.Generator().manual_seed(5))
    x_T = alpha_bar[T].sqrt().float() * digit + (1 - alpha_bar[T]).sqrt().float() * noise
    figure, axes = new_figure(1, 2, height=2.6, width_ratios=[2, 1])
    share = torch.arange(T + 1) / T
    axes[0, 0].fill_between(share.numpy(), 0, alpha_bar.numpy(), color=COLOURS["clean"], alpha=0.7, linewidth=0)
    axes[0, 0].fill_between(share.numpy(), alpha_bar.numpy(), 1, color=COLOURS["noise"], alpha=0.35, linewidth=0)
    cosine = package.cosine_schedule(T).alpha_bar
    axes[0, 0].plot(share.numpy(), cosine.numpy(), color=INK, linestyle="--")
    axes[0, 0].text(0.03, 0.06, "image", color="white")
    axes[0, 0].text(0.97, 0.9, "noise", color=INK, ha="right")
    axes[0, 0].text(0.52, float(cosine[T // 2]) + 0.02, "cosine", color=INK)
    axes[0, 0].set(xlabel="$t/T$", ylabel="share of power", xlim=(0, 1), ylim=(0, 1))
    draw_image(axes[0, 1], x_T, rf"$x_T$, $\overline{{\alpha}}_T=${alpha_bar[T]:.2g}", COLOURS["noisy"])
    return figure, f"With T = {T} and beta_end = {beta_end:.3f}, alpha_bar_T = {alpha_bar[T]:.2g} of the power is left."


# %%
play(
    draw,
    T=ipywidgets.IntSlider(value=100, min=10, max=1000, step=10),
    beta_end=ipywidgets.FloatSlider(value=0.02, min=0.005, max=0.4, step=0.005, readout_format=".3f"),
)

# %% [markdown]
# The estimate of the derivation says where to look. What is left is about $e^{-T\beta_T/2}$, so keep $T \times \beta_T$ at 20: ten times fewer steps, each with ten times the variance.

# %%
for T, beta_end in [(1000, 0.02), (100, 0.02), (100, 0.2)]:
    left = package.linear_schedule(T, 1e-4, beta_end).alpha_bar[T]
    print(f"T = {T:4d}, beta_end = {beta_end:.2f}: alpha_bar_T = {left:.1g}")

# %% [markdown]
# ## Mistakes people make
#
# **1. The square root is lost.** The image is multiplied by $1-\beta_t$, or not at all. The recursion for the variance shows where that leads.

# %%
factors = {"sqrt(1 - beta)": (1 - beta).sqrt(), "1 - beta": 1 - beta, "no factor": torch.ones(1001)}
variance = {name: [1.0] for name in factors}
for name, factor in factors.items():
    for t in range(1, 1001):
        variance[name].append(float(factor[t] ** 2 * variance[name][-1] + beta[t]))
for name, values in variance.items():
    print(f"{name:14s}  variance at t = 1000: {values[-1]:.2f}")
assert abs(variance["sqrt(1 - beta)"][-1] - 1) < 1e-9
assert abs(variance["1 - beta"][-1] - 0.5) < 0.01 and variance["no factor"][-1] > 11

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(height=2.3)
for name, colour in [("sqrt(1 - beta)", COLOURS["noisy"]), ("1 - beta", GREY), ("no factor", GREY)]:
    axes[0, 0].plot(variance[name], color=colour)
    axes[0, 0].text(1010, variance[name][-1], name, color=colour, va="center")
axes[0, 0].set(xlabel="$t$", ylabel="variance of a pixel", yscale="log", xlim=(0, 1000), ylim=(0.4, 13))
axes[0, 0].set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
axes[0, 0].minorticks_off()
show(
    figure,
    "Only the factor sqrt(1 - beta) keeps the variance at 1; without a factor it grows "
    "elevenfold, with 1 - beta it sinks to a half.",
)

# %% [markdown]
# **2. `alpha_bar` is read one place off.** This happens when 0-based arrays meet the paper's formulas. From the middle on the error hides. At the start it does not, and `alpha_bars[t - 1]` at `t = 0` is worst: Python wraps round to the last entry.

# %%
alpha_bars = alpha_bar[1:]  # (T,) as a library stores it: alpha_bars[0] is the paper's alpha_bar_1
for t in [1, 2, 10, 259]:
    right, wrong = (1 - alpha_bar[t]).sqrt(), (1 - alpha_bars[t]).sqrt()
    print(f"t = {t:3d}   noise std {right:.4f}, one place off {wrong:.4f}: {100 * (wrong / right - 1):.1f}%")
print(f"alpha_bar before the first step: {alpha_bar[0]:.0f}, wrapped round: {alpha_bars[0 - 1]:.5f}")
assert (1 - alpha_bars[1]).sqrt() / (1 - alpha_bar[1]).sqrt() > 1.4

# %% [markdown]
# **3. The cosine loses its square.** The curve still falls from 1 to 0 and looks reasonable. But halfway it keeps 70% of the power instead of half, because it is the amplitude.

# %%
t = torch.arange(1001)
plain = torch.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2)
print(f"alpha_bar_500: squared {cosine_alpha_bar[500]:.2f}, without the square {plain[500] / plain[0]:.2f}")
assert abs(cosine_alpha_bar[500] - 0.5) < 0.01 and plain[500] > 0.69

# %% [markdown]
# **4. Times are drawn from 0 to $T-1$.** With arrays of length $T+1$, `randint(0, T, ...)` asks for the noise in a clean image, where there is none, and never trains time $T$, where generation starts.

# %%
wrong = torch.randint(0, 1000, (200_000,), generator=torch.Generator().manual_seed(6))
print(f"drawn: {wrong.min()} to {wrong.max()}   needed: {min(steps(1000))} to {max(steps(1000))}")
assert set(steps(1000)) - set(wrong.tolist()) == {1000} and 0 in wrong

# %% [markdown]
# ## Check yourself
#
# 1. You double every beta of the linear schedule. What happens to $\bar\alpha_{1000}$?
#
# <details><summary>Answer</summary>
# Its logarithm is about minus the sum of the betas, so it doubles: <code>alpha_bar</code> is about the square of what it was. From 4e-5 it falls to 1.4e-9. (That is a little less than the square: ln(1 - beta) is about -beta - beta^2/2, and doubling beta makes the second part four times as large.)
# </details>
#
# 2. The digits here have a pixel variance of about 0.4, not 1. Does $v_t$ still end near 1?
#
# <details><summary>Answer</summary>
# Yes. The distance from 1 shrinks by 1 - beta at each step, so after 1,000 steps it is the old distance times <code>alpha_bar[1000]</code>, which is below 0.0001.
# </details>
#
# 3. A library reports `alphas_cumprod[499]`. Which of the paper's $\bar\alpha_t$ is it, and what is it for the linear schedule?
#
# <details><summary>Answer</summary>
# Its index 499 is the paper's t = 500, so it is the value printed above under By hand: about 0.08.
# </details>
#
# **Look it up:** [questions about the noise schedule](../docs/questions.md#the-noise-schedule), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [01 · Schedule](../exercises/01_schedule.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [02 · Noising](02_noising.ipynb) uses $\bar\alpha_t$ to jump from a clean image to any time at once.
