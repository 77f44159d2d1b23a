# %% [markdown]
# # 11 · Other targets
#
# **You will**
# - see that noise, clean image, velocity and score are one prediction in four coordinates, and change each into the others;
# - find out what the choice changes: which times count in the loss, and what is left to learn where there is only noise;
# - take weights that were trained to predict noise along the straight paths of flow matching, and train a small network on such paths.
#
# **You need** the jump ([02 · Noising](02_noising.ipynb)), the simple loss ([04 · Loss](04_loss.ipynb)), the score ([08 · The score](08_score.ipynb)) and DDIM ([09 · Fewer steps](09_ddim.ipynb)).
#
# **It takes** 30 minutes to read and about 30 seconds to run.

# %% jupyter={"source_hidden": true}
import sys

from IPython import get_ipython

if "google.colab" in sys.modules:  # there the course is not installed yet
    get_ipython().run_line_magic("pip", "install --quiet 'minddpm[course]'")

# %% jupyter={"source_hidden": true}
from textwrap import fill

import ipywidgets
import matplotlib
import torch
from torch import nn

from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm.ddim import ddim_sample, ddim_step
from minddpm.metrics import load_classifier
from minddpm.noising import forward_diffusion, noise_from_x0, x0_from_noise
from minddpm.schedule import Schedule, linear_schedule, per_image
from minddpm.score import score_from_noise
from minddpm_course.figures import COLOURS, STYLE, draw_image, new_figure, show
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
network, schedule, _ = load_pretrained("mnist")
held_out, held_out_labels = load_mnist("test")

# %% [markdown]
# ## The idea in a picture
#
# Noise a digit up to four times $t$, and call the network once for each. It predicts the noise. Everything else follows from its answer and $\mathbf{x}_t$, without another call: the clean image of lesson 02, and the velocity and the flow, which this lesson explains.

# %%
times = torch.tensor([50, 250, 450, 700])  # (4,)
x_0 = held_out[30:31].expand(4, 1, 28, 28)
x_t, _ = forward_diffusion(x_0, times, schedule, generator=torch.Generator().manual_seed(11))  # (4, 1, 28, 28)
with torch.inference_mode():
    noise = network(x_t, times)  # (4, 1, 28, 28): the only answer of the network in this picture
clean = x0_from_noise(x_t, times, noise, schedule)  # (4, 1, 28, 28)
signal = per_image(schedule.alpha_bar[times].sqrt(), x_t)  # (4, 1, 1, 1)
spread = per_image((1 - schedule.alpha_bar[times]).sqrt(), x_t)  # (4, 1, 1, 1)
velocity = signal * noise - spread * clean  # (4, 1, 28, 28)
flow = noise - clean  # (4, 1, 28, 28)

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(4, 5, height=5.6)
columns = {
    "$x_t$": (x_t, "noisy", 2), "noise": (noise, "noise", 2), r"clean image $\hat x_0$": (clean, "network", 1),
    "velocity $v$": (velocity, "posterior", 2), "flow $u$": (flow, "posterior", 3),
}
for axis_column, (title, (rows, role, limit)) in zip(axes.T, columns.items()):
    for axis, image in zip(axis_column, rows):
        draw_image(axis, image, title if axis is axis_column[0] else "", COLOURS[role], limits=(-limit, limit))
for axis, t in zip(axes[:, 0], times.tolist()):
    axis.text(-4, 14, f"$t = {t}$", ha="right", va="center")
show(
    figure,
    "One answer, read as noise, clean image, velocity and flow: at small t the velocity looks "
    "like the noise, at large t like the negative of the clean image that the network sees.",
)

# %% [markdown]
# ## The derivation
#
# **1. A circle.** Write $a = \sqrt{\bar\alpha_t}$ and $b = \sqrt{1 - \bar\alpha_t}$. Then $a^2 + b^2 = 1$, so that $a$ and $b$ are the cosine and the sine of an angle $\phi$. The jump ([Ho et al. 2020](https://arxiv.org/abs/2006.11239), eq. 4) goes along a quarter of a circle, from the image at $\phi = 0$ to the noise at $90°$:
#
# $$
# \mathbf{x}_t = a\, {\color{#0072B2}{\mathbf{x}_0}} + b\, {\color{#C05500}{\boldsymbol\epsilon}} = \cos\phi\; {\color{#0072B2}{\mathbf{x}_0}} + \sin\phi\; {\color{#C05500}{\boldsymbol\epsilon}} .
# $$
#
# The **velocity** is the direction in which $\mathbf{x}_t$ moves when the angle grows. Differentiate ([Salimans & Ho 2022](https://arxiv.org/abs/2202.00512), appendix D):
#
# $$
# {\color{#9C6C00}{\mathbf{v}}} = \frac{d \mathbf{x}_t}{d\phi} = a\, {\color{#C05500}{\boldsymbol\epsilon}} - b\, {\color{#0072B2}{\mathbf{x}_0}} .
# $$
#
# **2. Turned back.** From $(\mathbf{x}_0, \boldsymbol\epsilon)$ to $(\mathbf{x}_t, \mathbf{v})$ is a rotation. The inverse of a rotation turns the other way:
#
# $$
# {\color{#0072B2}{\mathbf{x}_0}} = a\, \mathbf{x}_t - b\, {\color{#9C6C00}{\mathbf{v}}}, \qquad {\color{#C05500}{\boldsymbol\epsilon}} = b\, \mathbf{x}_t + a\, {\color{#9C6C00}{\mathbf{v}}} .
# $$
#
# Nothing is divided here. Compare lesson 02: $\mathbf{x}_0$ from the noise divides by $a$, which is small at large $t$. The noise from $\mathbf{x}_0$ divides by $b$, which is small at small $t$.
#
# With the score $-\boldsymbol\epsilon / b$ of lesson 08 that makes four coordinates of one prediction. Libraries name the choice `prediction_type`: *epsilon*, *sample* (or *x_start*), *v_prediction*. Papers speak of a *reparameterisation*.
#
# **3. One error in four units.** $\mathbf{x}_t$ is given. If the predicted noise is wrong by $\boldsymbol\delta$, then $\mathbf{x}_0$ is wrong by $-\frac{b}{a} \boldsymbol\delta$, and the velocity by $\frac{1}{a} \boldsymbol\delta$. Square both, with $\text{SNR} = a^2 / b^2$:
#
# $$
# \lVert \Delta \mathbf{x}_0 \rVert^2 = \frac{1}{\text{SNR}}\, \lVert \Delta \boldsymbol\epsilon \rVert^2, \qquad \lVert \Delta \mathbf{v} \rVert^2 = \frac{1}{\bar\alpha_t}\, \lVert \Delta \boldsymbol\epsilon \rVert^2 .
# $$
#
# So a new target is two choices. What the network *returns* is a change of coordinates. What the loss *measures* is $L_\text{simple}$ with a weight for each $t$. You may combine them freely.
#
# **4. Min-SNR.** [Hang et al. (2023)](https://arxiv.org/abs/2303.09556) measure the error of $\mathbf{x}_0$ with the weight $\min(\text{SNR}, \gamma)$, so that an early time, which is easy, counts at most $\gamma$. In units of the noise this is $\min(\text{SNR}, \gamma) / \text{SNR} = \min(1, \gamma / \text{SNR})$. They take $\gamma = 5$.

# %% [markdown]
# ## Rebuild it
#
# Four conversions beside those of lesson 02, and a weight. Try two of them first, if you like: fill in the next cell, then compare with the ones below it.


# %%
def velocity_from_noise(x_t, t, noise, schedule):
    """Step 1: the velocity, from x_t and the noise in it."""
    # your lines


def noise_from_velocity(x_t, t, velocity, schedule):
    """Step 2: back to the noise."""
    # your lines


# %%
def jump(t, schedule, x):
    alpha_bar = schedule.alpha_bar[t]  # () or (b,)
    return per_image(alpha_bar.sqrt(), x), per_image((1 - alpha_bar).sqrt(), x)  # a and b, (b, 1, ...)


def velocity_from_noise(x_t, t, noise, schedule):
    a, b = jump(t, schedule, x_t)
    return a * noise - b * x0_from_noise(x_t, t, noise, schedule)  # (b, *dims)


def velocity_from_x0(x_t, t, x_0, schedule):
    a, b = jump(t, schedule, x_t)
    return a * noise_from_x0(x_t, t, x_0, schedule) - b * x_0  # (b, *dims)


# %%
def noise_from_velocity(x_t, t, velocity, schedule):
    a, b = jump(t, schedule, x_t)
    return b * x_t + a * velocity  # (b, *dims)


def x0_from_velocity(x_t, t, velocity, schedule):
    a, b = jump(t, schedule, x_t)
    return a * x_t - b * velocity  # (b, *dims)


def min_snr_weight(alpha_bar, gamma=5.0):
    return (gamma * (1 - alpha_bar) / alpha_bar).clamp(max=1)  # (n,)


# %% [markdown]
# ## By hand
#
# An example, the pixel of lesson 02: $x_0 = 0.8$, noise $0.3$, $\bar\alpha_t = 0.5$, and so $x_t = 0.778$. Here $\phi = 45°$.

# %% tags=["worked-example"]
half = Schedule.from_betas([0.5])
pixel = torch.tensor([0.5**0.5 * 0.8 + 0.5**0.5 * 0.3])  # x_t
v = velocity_from_noise(pixel, 1, torch.tensor([0.3]), half).item()
score = score_from_noise(torch.tensor([0.3]), 1, half).item()
print(f"x_t      0.707 x 0.8 + 0.707 x 0.3 = {pixel.item():.3f}")
print(f"velocity 0.707 x 0.3 - 0.707 x 0.8 = {v:.3f}")
print(f"x_0      0.707 x 0.778 + 0.707 x 0.354 = {x0_from_velocity(pixel, 1, torch.tensor([v]), half).item():.3f}")
print(f"noise    0.707 x 0.778 - 0.707 x 0.354 = {noise_from_velocity(pixel, 1, torch.tensor([v]), half).item():.3f}")
print(f"score    -0.3 / 0.707 = {score:.3f}")
assert [f"{pixel.item():.3f}", f"{v:.3f}", f"{score:.3f}"] == ["0.778", "-0.354", "-0.424"]
assert abs(velocity_from_x0(pixel, 1, torch.tensor([0.8]), half).item() - v) < 1e-6

# %% [markdown]
# ## Believe it
#
# **The velocity is the derivative.** The oracle knows the circle and nothing of $\mathbf{v}$: PyTorch differentiates it by the angle, at all thousand times.
#
# **The best prediction is one in all coordinates.** Let the pixels be normal with variance $p$. Draw many pairs at one $t$, and fit a line through zero to each target by least squares. Convert the line of the noise with your functions. It must be the line that was fitted to the target itself.

# %%
t = torch.arange(1, 1001)
x_0, noise = torch.randn(2, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(12))
angle = torch.acos(schedule.alpha_bar[t].sqrt()).requires_grad_()
on_circle = torch.cos(angle) * x_0 + torch.sin(angle) * noise  # (1000,)
slope = torch.autograd.grad(on_circle.sum(), angle)[0]  # (1000,)
error = (velocity_from_noise(on_circle.detach(), t, noise, schedule) - slope).abs().max()
print("largest difference from the derivative below 1e-9:", bool(error < 1e-9))

# %%
draws, p, t = 200_000, 0.4, 300
x_0, noise = torch.randn(2, draws, dtype=torch.float64, generator=torch.Generator().manual_seed(13))
x_t, _ = forward_diffusion(p**0.5 * x_0, t, schedule, noise)
line = {"noise": noise, "x_0": p**0.5 * x_0, "velocity": velocity_from_noise(x_t, t, noise, schedule)}
line = {name: (target @ x_t / (x_t @ x_t)) for name, target in line.items()}  # least squares, by target
one = torch.ones(1, dtype=torch.float64)  # x_t = 1, so that a line is its value
for name, convert in (("x_0", x0_from_noise), ("velocity", velocity_from_noise)):
    converted = convert(one, t, line["noise"] * one, schedule).item()
    print(f"{name:<8} fitted {line[name]:+.3f}, from the line of the noise {converted:+.3f}")
    assert abs(line[name] - converted) < 1e-9

# %% [markdown]
# The agreement is exact, because every conversion is linear. That is why a trained network need not be trained again.

# %% [markdown]
# ## What the choice changes: which times count
#
# A network that predicted perfectly would have no error at any $t$, and weights would not matter. A real one cannot be perfect everywhere. The weights say where an error is expensive.

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(1, 1, height=3.0)
axis, t, alpha_bar = axes[0, 0], torch.arange(1, 1001), schedule.alpha_bar[1:]
curves = (
    ("clean", "-", (70, 4e-3), r"error of $x_0$: $1\,/\,\mathrm{SNR}$", (1 - alpha_bar) / alpha_bar),
    ("posterior", "--", (250, 9), r"error of $v$: $1\,/\,\bar\alpha_t$", 1 / alpha_bar),
    ("network", "-", (560, 0.25), r"Min-SNR-5: $\min(1,\ 5\,/\,\mathrm{SNR})$", min_snr_weight(alpha_bar)),
    ("noise", "--", (820, 2.2), r"$L_\mathrm{simple}$: 1", torch.ones(1000)),
)
for role, line_style, place, words, weights in curves:
    axis.plot(t, weights, color=COLOURS[role], linestyle=line_style)
    axis.text(*place, words, color=COLOURS[role])
axis.set(yscale="log", xlabel="time t", ylabel="weight of the noise's error", xlim=(1, 1000))
show(
    figure,
    "L_simple counts all times alike. The error of x_0 counts late times ten thousandfold and "
    "early ones hardly at all; that of the velocity only adds to late ones, where the two curves "
    "meet; Min-SNR only takes from early ones.",
)

# %% [markdown]
# Late times decide the shape of an image, early ones its grain. A loss of the error of $\mathbf{x}_0$ spends nearly everything on times at which there is next to nothing to see. The package's `weighted_loss`, which `minddpm train` uses, takes the velocity's weight and limits it to 25.

# %% [markdown]
# ## Where only noise is left
#
# On our schedule $\sqrt{\bar\alpha_T}$ is small, but not zero. Sampling starts from noise alone, which the network never saw in training. Does it matter? One number of an image shows through noise: its mean. Averaged over $n$ pixels, the noise has a standard deviation of only $1/\sqrt{n}$.

# %%
betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
latent_schedule = Schedule.from_betas(betas)  # that of Stable Diffusion 1
for name, course, side in (
    ("here", schedule, 28),
    ("here", schedule, 256),
    ("Stable Diffusion 1", latent_schedule, 64),
):
    left = course.alpha_bar[-1].sqrt().item()
    print(
        f"{name}: sqrt(alpha_bar_T) = {left:.3f}; at {side} x {side} "
        f"a mean of 0.5 is {0.5 * left * side:.1f} standard deviations"
    )

# %% [markdown]
# With digits it hardly matters. With larger images the network learns at $T$ to read the brightness off the mean, and pure noise always says "medium". [Lin et al. (2024)](https://arxiv.org/abs/2305.08891) found that such models draw no very dark and no very bright images. Their remedy (algorithm 1) is **zero terminal SNR**: shift $\sqrt{\bar\alpha_t}$ down until it ends at 0, then stretch it so that $t = 1$ stays as it was.

# %%
def zero_terminal_snr(schedule):
    root = schedule.alpha_bar[1:].sqrt()  # (T,)
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])  # (T,): first as before, last 0
    alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), root**2])  # (T + 1,)
    return Schedule.from_betas(1 - alpha_bar[1:] / alpha_bar[:-1])


rescaled = zero_terminal_snr(schedule)
x_0 = held_out[:4].double()
x_T, noise = forward_diffusion(x_0, 1000, rescaled, generator=torch.Generator().manual_seed(16))
print("x_T is the noise:", torch.equal(x_T, noise))
print("its velocity is -x_0:", torch.equal(velocity_from_x0(x_T, 1000, x_0, rescaled), -x_0))
try:
    x0_from_noise(x_T, 1000, noise, rescaled)
except ValueError as error:
    print(fill(f"ValueError: {error}", 100))

# %% [markdown]
# Now $\mathbf{x}_T$ *is* the noise. A network that predicts the noise need only copy its input, and its answer says nothing about the image: $\mathbf{x}_0 = (\mathbf{x}_T - \boldsymbol\epsilon)/a$ is $0/0$. The samplers of lessons 06 to 10 need that estimate, so they refuse to start at $T$.
#
# The velocity survives, because nothing is divided on its way back. At $T$ it is $-\mathbf{x}_0$, and the best prediction is minus the mean of all images. Try it with a network that we can write down: the perfect one for a data set of 500 digits. It averages the digits, each weighted by how likely it is to lie behind $\mathbf{x}_t$.

# %%
twenty = zero_terminal_snr(linear_schedule(20, 0.005, 0.4))
digits = held_out.flatten(1)  # (500, 784)


def perfect_velocity(x_t, t):
    a, b = jump(t, twenty, x_t)
    distance = torch.cdist(x_t.flatten(1), a * digits) ** 2  # (b, 500)
    likely = (-distance / (2 * b**2)).softmax(1)  # (b, 500)
    return velocity_from_x0(x_t, t, (likely @ digits).view_as(x_t), twenty)  # (b, 1, 28, 28)


x_t, seen = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(17)), []
for t in twenty.steps():
    v = perfect_velocity(x_t, t)
    seen.append(x0_from_velocity(x_t, t, v, twenty))  # (8, 1, 28, 28)
    x_t = ddim_step(x_t, t, seen[-1], noise_from_velocity(x_t, t, v, twenty), twenty)
print("first estimate is the mean digit:", torch.allclose(seen[0], held_out.mean(0), atol=1e-4))
print("ends at digits of the data:", bool(torch.cdist(x_t.flatten(1), digits).min(1).values.max() < 0.1))

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(4, 8, height=3.5)
for row, (k, t) in zip(axes, ((0, 20), (6, 14), (11, 9), (19, 1))):
    for axis, image in zip(row, seen[k]):
        draw_image(axis, image)
    row[0].text(-4, 14, f"$t = {t}$", ha="right", va="center")
show(
    figure,
    "The clean image that the perfect velocity implies: from noise alone the mean of all digits, "
    "later a mixture of a few, at last one digit of the data each.",
)
assert torch.allclose(seen[0], held_out.mean(0), atol=1e-4)

# %% [markdown]
# To train a network on the velocity, use `weighted_loss` with `target=velocity_from_x0` and `weight=torch.ones_like`. This works at $T$, too.
#
# ## Straight paths: flow matching
#
# Why a circle? Take the straight line. At **time** $s$, from 0 to 1,
#
# $$
# \mathbf{x}_s = (1 - s)\, {\color{#0072B2}{\mathbf{x}_0}} + s\, {\color{#C05500}{\boldsymbol\epsilon}}, \qquad {\color{#9C6C00}{\mathbf{u}}} = \frac{d \mathbf{x}_s}{d s} = {\color{#C05500}{\boldsymbol\epsilon}} - {\color{#0072B2}{\mathbf{x}_0}} .
# $$
#
# A network learns $\mathbf{u}$ from $\mathbf{x}_s$ and $s$ by squared error. That is **flow matching** ([Lipman et al. 2023](https://arxiv.org/abs/2210.02747)) and **rectified flow** ([Liu et al. 2023](https://arxiv.org/abs/2209.03003)). To draw, start with noise at $s = 1$ and follow $-\mathbf{u}$ down to $s = 0$. Lipman et al. count the other way: noise at 0, data at 1, and their velocity is $\mathbf{x}_0 - \boldsymbol\epsilon$.
#
# **It is the same family.** Both mix the same two things, and only the ratio of the shares matters. Divide $\mathbf{x}_t = a\, \mathbf{x}_0 + b\, \boldsymbol\epsilon$ by $a + b$. The shares now add up to 1, and that is the straight path:
#
# $$
# \mathbf{x}_s = \frac{\mathbf{x}_t}{a + b}, \qquad s = \frac{b}{a + b} .
# $$
#
# So a network that predicts the noise knows $\mathbf{u}$ already: $\mathbf{u} = \boldsymbol\epsilon_\theta - \hat{\mathbf{x}}_0$. No new training, only a new clock and a new scale.
#
# **Euler's method on it is DDIM.** A step from $s$ to $s'$ with the predictions held fixed gives $\mathbf{x}_s + (s' - s)(\boldsymbol\epsilon - \hat{\mathbf{x}}_0) = (1 - s')\, \hat{\mathbf{x}}_0 + s'\, \boldsymbol\epsilon$. Multiply by $a' + b'$: it is $a'\, \hat{\mathbf{x}}_0 + b'\, \boldsymbol\epsilon$, the step of lesson 09 with $\eta = 0$.
#
# **Heun's method** takes the step, calls the network again at its end, and repeats it with the mean of both velocities. Only the last step, which ends on the clean image, is taken once. Its error falls with the square of the step.

# %%
def euler(velocity, x, times):
    for s, s_next in zip(times, times[1:]):
        x = x + (s_next - s) * velocity(x, s)  # (b, *dims)
    return x


def heun(velocity, x, times):
    for s, s_next in zip(times, times[1:]):
        here = velocity(x, s)  # (b, *dims)
        ahead = x + (s_next - s) * here  # (b, *dims)
        there = velocity(ahead, s_next) if s_next > 0 else here  # (b, *dims)
        x = x + (s_next - s) * (here + there) / 2  # (b, *dims)
    return x


# %% [markdown]
# Now the shipped weights on the straight path. The network expects $\mathbf{x}_t$ and $t$, so $\mathbf{x}_s$ and $s$ are turned back into those.

# %%
def straight_time(t, schedule):
    a, b = schedule.alpha_bar[t].sqrt(), (1 - schedule.alpha_bar[t]).sqrt()
    return b / (a + b)  # () or (b,): the s of t


straight = straight_time(torch.arange(1001), schedule)  # (1001,)
scale = schedule.alpha_bar.sqrt() + (1 - schedule.alpha_bar).sqrt()  # (1001,): a + b


@torch.inference_mode()
def shipped(x_s, s):
    t = int(torch.searchsorted(straight, s))  # the t with straight[t] = s
    x_t = x_s * scale[t]  # (b, 1, 28, 28)
    noise = network(x_t, torch.full((len(x_t),), t))  # (b, 1, 28, 28)
    return noise - x0_from_noise(x_t, t, noise, schedule)  # (b, 1, 28, 28)


def along(method, steps):
    times = straight[torch.arange(1000, -1, -1000 // steps)]  # (steps + 1,), from T to 0
    return method(shipped, x_T / scale[-1], times)  # (4, 1, 28, 28)


# %%
x_T = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(15))
ddim = ddim_sample(network, x_T.shape, schedule, steps=10, clip=False, start=(x_T, 1000))
print("Euler on the straight path is DDIM:", torch.allclose(along(euler, 10), ddim, atol=1e-3))

# %% [markdown]
# ## A network trained on straight paths
#
# Points in the plane are enough to see it. The data is the ink of one digit: draw a pixel, bright ones more often, and put a point somewhere in it.

# %%
ink = (held_out[30, 0] + 1) / 2  # (28, 28) in [0, 1]


def ink_points(n, generator):
    cell = torch.multinomial(ink.flatten(), n, replacement=True, generator=generator)  # (n,)
    corner = torch.stack([cell % 28, 27 - cell // 28], dim=1)  # (n, 2): column, row from below
    return (corner + torch.rand(n, 2, generator=generator) - 14) / 5  # (n, 2), about 1 wide


# %%
class Field(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        hidden = [nn.Linear(19, width), nn.SiLU()]
        for _ in range(2):
            hidden += [nn.Linear(width, width), nn.SiLU()]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, 2))

    def forward(self, x, s):
        waves = (x[:, :, None] * torch.tensor([1.0, 2.0, 4.0, 8.0])).flatten(1)  # (b, 8)
        return self.layers(torch.cat([x, s.expand(len(x), 1), waves.sin(), waves.cos()], dim=1))  # (b, 2)


# %% [markdown]
# This is the whole training, with no schedule, no $\bar\alpha_t$ and no weights:

# %%
generator = torch.Generator().manual_seed(18)
torch.manual_seed(18)
points = ink_points(4000, generator)  # (4000, 2)
field = Field()
optimizer = torch.optim.Adam(field.parameters(), lr=2e-3)
for step in range(1500):
    x_0 = points[torch.randint(4000, (256,), generator=generator)]  # (256, 2)
    noise = torch.randn(256, 2, generator=generator)  # (256, 2)
    s = torch.rand(256, 1, generator=generator)  # (256, 1)
    x_s = (1 - s) * x_0 + s * noise  # (256, 2)
    loss = (field(x_s, s) - (noise - x_0)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %%
@torch.inference_mode()
def follow(method, steps, start):
    return method(field, start, torch.linspace(1, 0, steps + 1))


def on_ink(x):
    cell = (x * 5 + 14).floor().long().clamp(0, 27)  # (n, 2)
    return (ink[27 - cell[:, 1], cell[:, 0]] > 0).double().mean().item()


# %%
start = torch.randn(2000, 2, generator=torch.Generator().manual_seed(19))
end = follow(heun, 200, start)
print("more than 80% end on the ink:", on_ink(end) > 0.8)
bounds = (0.02, 0.08, 0.15, 0.4, 0.8)
for steps in (2, 5, 10, 20):
    apart = [(follow(method, steps, start) - end).square().mean().sqrt() for method in (euler, heun)]
    below = [min(bound for bound in bounds if distance < bound) for distance in apart]
    print(f"{steps:>2} steps, distance to the end of the flow: Euler below {below[0]}, Heun below {below[1]}")
    assert apart[1] < apart[0]

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(1, 4, height=2.3, sharex=True, sharey=True)
few = start[:60]
moments = torch.linspace(1, 0, 41)
way = [few]
for k in range(40):
    way.append(heun(lambda x, s: field(x, s).detach(), way[-1], moments[k : k + 2]))
way = torch.stack(way)  # (41, 60, 2)
panels = (
    ("data", points[:2000], "clean"),
    ("Euler, 5 calls", follow(euler, 5, start), "network"),
    ("Heun, 5 calls", follow(heun, 3, start), "network"),
)
for axis, (title, cloud, role) in zip(axes[0], panels):
    axis.plot(*cloud.T, ".", color=COLOURS[role], markersize=1.2)
    axis.set_title(title, color=COLOURS[role])
axes[0, 3].plot(way[:, :, 0], way[:, :, 1], color=COLOURS["noisy"], linewidth=0.6)
axes[0, 3].plot(*way[-1].T, ".", color=COLOURS["network"], markersize=3)
axes[0, 3].set_title("60 ways from the noise")
for axis in axes[0]:
    axis.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=[], yticks=[])
show(
    figure,
    "Points of noise flow into the shape of the digit in five calls of the network, by either "
    "method; the ways that they take bend.",
)

# %% [markdown]
# Each straight line of training joins one image with one noise. Where many lines cross, the network can only learn their mean direction, so the ways that it takes bend. If they were straight, one step would be enough.
#
# ## Ten steps beside a thousand
#
# Back to the digits. Take 1,000 steps of DDIM for the end of the flow. How near do ten steps come?

# %%
thousand = ddim_sample(network, x_T.shape, schedule, steps=1000, clip=False, start=(x_T, 1000))
few_steps = {
    "Euler, 10 steps": along(euler, 10),
    "Euler, 20 steps": along(euler, 20),
    "Heun, 10 steps": along(heun, 10),
}
calls = {"Euler, 10 steps": 10, "Euler, 20 steps": 20, "Heun, 10 steps": 19}
rms = {name: (images - thousand).square().mean().sqrt().item() for name, images in few_steps.items()}
for name, value in rms.items():
    print(f"{name}, {calls[name]} calls: {value:.2f} from 1,000 steps")
assert rms["Heun, 10 steps"] < rms["Euler, 10 steps"]

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(2, 9, height=2.2, width_ratios=[1] * 4 + [0.3] + [1] * 4)
for axis in axes[:, 4]:
    axis.set_axis_off()
corners = (axes[0, :4], axes[0, 5:], axes[1, :4], axes[1, 5:])
for row, (name, images) in zip(corners, (*few_steps.items(), ("DDIM, 1,000 steps", thousand))):
    for axis, image in zip(row, images):
        draw_image(axis, image, " ")
    row[0].text(0, -3, name, color=COLOURS["network"], va="bottom").set_in_layout(False)
show(figure, "Four starts, drawn in four ways: look for strokes that differ from those of 1,000 steps.")

# %% [markdown]
# For a solver of second order the path matters. The package's `heun` follows the path of [Karras et al. (2022)](https://arxiv.org/abs/2206.00364), $\mathbf{x}_t / a$, whose slope is the noise. There Euler's step is DDIM's as well. But the mean of two slopes depends on the path whose slopes they are, so `heun` and `straight_heun` arrive at different images.
#
# ## In a latent space
#
# Large images cost too much pixel by pixel. **Latent diffusion** ([Rombach et al. 2022](https://arxiv.org/abs/2112.10752)) first trains an autoencoder: an encoder that turns an image into a small code, and a decoder that turns it back. Then everything in this course runs on the codes. Stable Diffusion's codes hold $64 \times 64 \times 4$ numbers in place of $512 \times 512 \times 3$.
#
# The simplest autoencoder is linear: principal component analysis (PCA). The code of a digit is its coordinates along the $k$ directions in which digits vary most. A trained encoder keeps more in as few numbers, but three things can be seen here. First, what a code loses:

# %%
print(f"Stable Diffusion: one number in place of {512 * 512 * 3 / (64 * 64 * 4):.0f}")
flat = load_mnist("train")[0].flatten(1).double()  # (4500, 784)
mean = flat.mean(0)  # (784,)
directions = torch.linalg.eigh((flat - mean).T @ (flat - mean)).eigenvectors  # (784, 784), the largest last
classifier = load_classifier()
for k in (8, 32, 128):
    basis = directions[:, -k:]  # (784, k)
    decoded = (held_out.flatten(1).double() - mean) @ basis @ basis.T + mean  # (500, 784)
    with torch.inference_mode():
        right = (classifier(decoded.float().view(-1, 1, 28, 28)).argmax(1) == held_out_labels).double().mean()
    error = (decoded - held_out.flatten(1)).square().mean().sqrt()
    print(f"{k:>3} of 784 numbers: pixels off by {error:.2f}, {right:.0%} read as the right digit")

# %% [markdown]
# Second, **the scale**. The jump adds noise of variance 1, which suits pixels in $[-1, 1]$. Codes have whatever size the encoder gives them. Divide by their standard deviation, or the schedule adds far too little noise, or too much. (Stable Diffusion multiplies by 0.18215, which is 1 over the standard deviation of its codes.) Third, **no clipping**: images end at $\pm 1$, codes do not.

# %%
codes = (flat - mean) @ directions[:, -32:]  # (4500, 32)
scaled = codes / codes.std()  # (4500, 32)
for name, some in (("as they are", codes), ("scaled", scaled)):
    noisier = schedule.alpha_bar * some.var() < 1 - schedule.alpha_bar  # (1001,)
    print(f"{name:<11} std {some.std():.1f}; half signal, half noise at t = {int(noisier.int().argmax())}")
outside = (scaled.abs() > 1).double().mean()
clipped = (scaled.clamp(-1, 1) * codes.std()) @ directions[:, -32:].T + mean  # (4500, 784)
kept = codes @ directions[:, -32:].T + mean  # (4500, 784)
print(f"{outside:.0%} of the scaled codes lie outside [-1, 1]")
off = [(pixels - flat).square().mean().sqrt() for pixels in (kept, clipped)]
print(f"pixels off by {off[0]:.2f}, with clipped codes by {off[1]:.2f}")
assert abs(scaled.std() - 1) < 1e-9 and outside > 0.1

# %% [markdown]
# All samplers of the package take `clip=False`, so a network for codes needs nothing else.
#
# ## Same as the package
#
# `minddpm.targets` holds these conversions with checks of their input, and `straight_heun` is Heun's method for its samplers. One line compares yours with them.

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("11", globals())

# %% [markdown]
# Its `converted` turns a network that predicts something else into one that predicts the noise, so that everything of lessons 06 to 10 takes it. Let the shipped network predict the velocity, and convert it back: it draws the same digits.

# %%
from minddpm.targets import converted


def predicts_velocity(x_t, t):
    return velocity_from_noise(x_t, t, network(x_t, t), schedule)


back = converted(predicts_velocity, noise_from_velocity, schedule)
again = ddim_sample(back, x_T.shape, schedule, steps=10, clip=False, start=(x_T, 1000))
print("converted there and back, the network draws the same:", torch.allclose(again, ddim, atol=1e-2))

# %% [markdown]
# ## Play
#
# The flow of the ink again. **How many calls of the network does it take until you can read the digit: by Euler's method, and by Heun's, which calls it twice a step?**

# %% jupyter={"source_hidden": true}
def draw(method, steps):
    figure, axes = new_figure(1, 1, height=3.0)
    solver = {"Euler": euler, "Heun": heun}[method]
    cloud = follow(solver, steps, start)
    calls_made = steps if method == "Euler" else 2 * steps - 1
    axes[0, 0].plot(*start.T, ".", color=COLOURS["noisy"], markersize=1)
    axes[0, 0].plot(*cloud.T, ".", color=COLOURS["network"], markersize=2)
    axes[0, 0].set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=[], yticks=[])
    return figure, f"{method}, {steps} steps, {calls_made} calls: where 2,000 points of noise end."


# %%
play(
    draw,
    method=ipywidgets.Dropdown(options=["Euler", "Heun"], value="Heun"),
    steps=ipywidgets.IntSlider(3, 1, 20),
)

# %% [markdown]
# ## Mistakes people make
#
# 1. **The other direction.** You train with noise at 0 and data at 1, as Lipman et al. do, and sample with our times or with the opposite sign of $\mathbf{u}$. The points fly away.
# 2. **The velocity taken for the noise.** At small $t$ they are nearly the same, so everything looks right there. At large $t$ the velocity is nearly $-\mathbf{x}_0$.

# %%
turned = euler(lambda x, s: -field(x, s).detach(), start, torch.linspace(1, 0, 21))
print("1. with the sign turned, fewer end on the ink than there were at the start:", on_ink(turned) < on_ink(start))
for t in (10, 900):
    x_t, noise = forward_diffusion(held_out[:100], t, schedule, generator=torch.Generator().manual_seed(20))
    v = velocity_from_noise(x_t, t, noise, schedule)
    alike = torch.corrcoef(torch.stack([v.flatten(), noise.flatten()]))[0, 1]
    print(f"2. t = {t}: correlation of velocity and noise {alike:.2f}")

# %% [markdown]
# ## Check yourself
#
# <details><summary>You trained a network to predict x_0, and your sampler wants the noise. Must you train again?</summary>
#
# No. noise_from_x0 turns each answer into the noise, and converted does it for the whole network. Be careful at very small t, where an error of x_0 is divided by the small b.
# </details>
#
# <details><summary>At zero terminal SNR a network can predict the noise without any error. Why can no sampler start with it there?</summary>
#
# Because x_T is the noise. Copying the input is a perfect answer, and it says nothing about the image. The velocity at T is -x_0, so a network that predicts it must know what images look like on average.
# </details>
#
# <details><summary>A friend says that flow matching needs fewer steps because its paths are straight. What do you answer?</summary>
#
# The paths of training are straight, and those that the network learns are not. At the same noise levels Euler's method takes exactly the steps of DDIM. What can differ is which times are visited, which times count in the loss, and the order of the solver.
# </details>
#
# **Look it up:** [questions about likelihood, scores and other models](../docs/questions.md#likelihood-scores-and-other-models), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** [11 · Other targets](../exercises/11_targets.ipynb). What you write is checked on fresh numbers, and a known mistake is named.
#
# **Next:** [12 · Play](12_play.ipynb) turns your scrawls into digits, fills in what you paint away, and makes digits that read differently upside down.
