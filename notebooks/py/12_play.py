# %% [markdown]
# # 12 · Play
#
# **You will**
# - turn a scrawl of your own into a digit, and find out how much of it survives,
# - paint a part of a digit away and have it filled in, and repair the bias that the obvious way has,
# - make digits that read differently when the page is turned over, and let one digit become another.
#
# **You need** the jump ([02 · Noising](02_noising.ipynb)), the sampler ([06 · Sampler](06_sampler.ipynb)), few steps ([09 · Fewer steps](09_ddim.ipynb)) and guidance ([10 · Guidance](10_guidance.ipynb)).
#
# **It takes** 25 minutes to read and about a minute to run.

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

from minddpm.checkpoints import load_pretrained
from minddpm.data import load_mnist
from minddpm.ddim import ddim_sample
from minddpm.guidance import guided
from minddpm.metrics import load_classifier
from minddpm.noising import forward_diffusion, forward_step
from minddpm.posterior import posterior_variance
from minddpm.respacing import respaced
from minddpm.sampler import estimate, reverse_step, sample
from minddpm.schedule import linear_schedule
from minddpm_course.figures import COLOURS, STYLE, draw_image, new_figure, show
from minddpm_course.sketchpad import Sketchpad, scrawled
from minddpm_course.widgets import play

matplotlib.rcParams.update(STYLE)

# %%
network, schedule, _ = load_pretrained("mnist")
told_network, _, _ = load_pretrained("mnist_labels")
classifier = load_classifier()
held_out, held_out_labels = load_mnist("test")

# %% [markdown]
# ## The idea in a picture
#
# Nothing is trained in this lesson. A sampler asks for two things only: an image to start from, and a prediction in every step. Change one of them, and the network of lesson 07 does things that it was never trained for.
#
# First, the start. Draw a crude 2 with three straight lines. Noise it to some time $t$, and let the sampler take it from there back to 0. (This is image-to-image, or *img2img*; [Meng et al. 2022](https://arxiv.org/abs/2108.01073) call it SDEdit.)

# %%
def redrawn(images, t, generator):
    x_t, _ = forward_diffusion(images, t, schedule, generator=generator)  # (b, 1, 28, 28)
    steps = max(1, t // 25)  # fewer steps for a shorter way
    return ddim_sample(network, x_t.shape, schedule, steps=steps, eta=1, start=(x_t, t), generator=generator)


scrawl = scrawled([(8, 8), (19, 8), (8, 21), (20, 21)])  # (1, 1, 28, 28) three straight lines
times = [200, 300, 400, 500, 700]
generator = torch.Generator().manual_seed(12)
redrawings = {t: redrawn(scrawl.repeat(4, 1, 1, 1), t, generator) for t in times}  # (4, 1, 28, 28) each

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(4, 6, height=4.9)
for row, line in enumerate(axes):
    line[0].set_axis_off()
    for axis, (t, images) in zip(line[1:], redrawings.items()):
        draw_image(axis, images[row], f"$t = {t}$" if row == 0 else "", COLOURS["network"])
draw_image(axes[0, 0], scrawl, "your scrawl", COLOURS["clean"])
show(
    figure,
    "A 2 of three straight lines, noised to t and brought back, four times each: from t = 200 it comes back with its "
    "corners, from t = 400 as handwriting, and from t = 700 as any digit.",
)

# %% [markdown]
# The time decides how much is yours. Noise hides details first and the shape last, so the network redraws the details first. At $t = 1000$ nothing of the scrawl is left, and you get what lesson 06 gives.
#
# ## The derivation
#
# **1. Why a scrawl may start.** The network has only seen noised *digits*. A scrawl $\mathbf{a}$ is not a digit. But there is a digit $\mathbf{b}$ that looks like it. Noised to $t$, both are Gaussians with the same variance, and lesson 04 says how far apart they are:
#
# $$
# \mathrm{KL}\big( q(\mathbf{x}_t \mid \mathbf{a}) \,\|\, q(\mathbf{x}_t \mid \mathbf{b}) \big) = \frac{\bar\alpha_t}{2 (1 - \bar\alpha_t)}\, \lVert \mathbf{a} - \mathbf{b} \rVert^2 = \frac{\text{SNR}_t}{2}\, \lVert \mathbf{a} - \mathbf{b} \rVert^2 .
# $$
#
# The signal-to-noise ratio falls with $t$. Where this number is small, nobody can tell whether $\mathbf{x}_t$ came from the scrawl or from the digit, so the network treats it as a digit's.
#
# **2. Filling in.** Now let a part of the image be known, and the rest hidden (this is *inpainting*; what is hidden is the *mask*). At each time you know what the known part looks like: noise it yourself, by the jump. So take a step of the sampler, and replace the known part:
#
# $$
# \mathbf{x}_{t-1} = \begin{cases} \text{the sampler's step from } \mathbf{x}_t & \text{where hidden} \\ \sqrt{\bar\alpha_{t-1}}\, {\color{#0072B2}{\mathbf{x}_0}} + \sqrt{1 - \bar\alpha_{t-1}}\, {\color{#C05500}{\boldsymbol\epsilon}} & \text{where known.} \end{cases}
# $$
#
# There is a catch. The hidden part was drawn from $\mathbf{x}_t$, in which the known part had *other* noise. The two halves of $\mathbf{x}_{t-1}$ have not seen each other, so the hidden part fits too little.
# The repair is to let them meet. Noise $\mathbf{x}_{t-1}$ by one step, back to $t$, and take the step down again. Now the hidden part answers to the known part that is there. Do this a few times before you go on. This is **RePaint** ([Lugmayr et al. 2022](https://arxiv.org/abs/2201.09865)). `resamplings` says how often each step down is taken; 1 means once, without a repetition.
#
# **3. Two wishes at once.** A digit is to read as a 6, and as a 9 when the page is turned over. Turned over, $\mathbf{x}_t$ is as good a noisy image as before, because the noise has no direction. So ask twice: for a 6 in $\mathbf{x}_t$, and for a 9 in the turned $\mathbf{x}_t$. Turn the second answer back, and take the mean ([Geng et al. 2024](https://arxiv.org/abs/2311.17919)).
# By lesson 08, the mean of two predictions is a mean of two scores, and so the slope of $\frac12 \log q(\mathbf{x}_t \mid 6) + \frac12 \log q(\text{turned } \mathbf{x}_t \mid 9)$. It leads uphill to images that are likely under both.
#
# **4. A walk.** Lesson 09 walked between two starts. You can walk between two wishes as well. Keep the start, and mix the predictions for a 3 and for an 8 with the weights $1 - \lambda$ and $\lambda$. That is the slope of $(1 - \lambda) \log q(\mathbf{x}_t \mid 3) + \lambda \log q(\mathbf{x}_t \mid 8)$, so that $\lambda$ says how much of each you want.
#
# ## Rebuild it
#
# Three functions. Try them first, if you like: fill in the next cell, then compare with the one below it.


# %%
def inpaint(model, images, mask, schedule, resamplings, generator, clip=True):
    """Fill in images where the mask is True, step by step from noise."""
    # your lines


def turned_over(model_6, model_9):
    """A model(x_t, t) that wants what model_6 wants, and, turned over, what model_9 wants."""
    # your lines


def between(model_a, model_b, share):
    """A model(x_t, t) on the way from model_a (share 0) to model_b (share 1)."""
    # your lines


# %%
def inpaint(model, images, mask, schedule, resamplings, generator, clip=True):
    """Fill in images where the mask is True, step by step from noise."""
    x_t = torch.randn(images.shape, generator=generator, dtype=images.dtype)  # (b, *dims)
    for t in range(schedule.T, 0, -1):
        for left in reversed(range(resamplings)):
            x_0, _ = estimate(model, x_t, t, schedule, clip)  # (b, *dims) the sampler's estimate
            hidden = reverse_step(x_t, t, x_0, schedule, generator=generator)  # (b, *dims)
            known, _ = forward_diffusion(images, t - 1, schedule, generator=generator)  # (b, *dims)
            x_prev = torch.where(mask, hidden, known)  # (b, *dims)
            if left > 0:
                x_t = forward_step(x_prev, t, schedule, generator=generator)  # (b, *dims) up again
        x_t = x_prev
    return x_t  # (b, *dims)


# %%
def turn(images):
    return images.rot90(2, (2, 3))  # (b, 1, h, w) by 180 degrees


def turned_over(model_6, model_9):
    """A model(x_t, t) that wants what model_6 wants, and, turned over, what model_9 wants."""

    def predicted_noise(x_t, t):
        upright = model_6(x_t, t)  # (b, 1, h, w)
        turned = turn(model_9(turn(x_t), t))  # (b, 1, h, w) asked turned, answer turned back
        return (upright + turned) / 2  # (b, 1, h, w)

    return predicted_noise


def between(model_a, model_b, share):
    """A model(x_t, t) on the way from model_a (share 0) to model_b (share 1)."""

    def predicted_noise(x_t, t):
        return (1 - share) * model_a(x_t, t) + share * model_b(x_t, t)  # (b, 1, h, w)

    return predicted_noise


# %% [markdown]
# ## By hand
#
# Take images of two pixels. Both are Gaussian with mean 0 and variance 1, and their covariance is 0.8. The first pixel is known to be 1. What is the second? (The conditional Gaussian: lesson 03 divided a joint density by a marginal in the same way.)

# %% tags=["worked-example"]
mean, variance = 0.8 / 1 * 1, 1 - 0.8**2 / 1
print(f"the second pixel: mean 0.8 / 1 * 1 = {mean:.2f}, variance 1 - 0.8^2 / 1 = {variance:.2f}")
apart = 60.0  # the squared distance of a scrawl and a digit, for step 1 of the derivation
for alpha_bar in (0.8, 0.2, 0.01):
    print(f"alpha_bar {alpha_bar:<4}: KL = {alpha_bar / (2 * (1 - alpha_bar)) * apart:.2f} nats")
assert f"{mean:.2f} {variance:.2f}" == "0.80 0.36"
assert f"{0.2 / 1.6 * apart:.2f}" == "7.50" and f"{0.01 / 1.98 * apart:.2f}" == "0.30"

# %% [markdown]
# ## Believe it
#
# For these two pixels a perfect network can be written down: the noise that is expected in $\mathbf{x}_t$ is $\sqrt{1 - \bar\alpha_t}\, \boldsymbol\Sigma_t^{-1} \mathbf{x}_t$, where $\boldsymbol\Sigma_t$ is the covariance of $\mathbf{x}_t$. So whatever goes wrong is the method's fault. Fill in the second pixel 4,000 times.

# %%
covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)  # (2, 2)
short = linear_schedule(100, 1e-3, 0.2)  # a hundred steps, as noisy at the end as the long one


def perfect(x_t, t):
    alpha_bar = short.alpha_bar[t[0]]
    of_x_t = alpha_bar * covariance + (1 - alpha_bar) * torch.eye(2, dtype=torch.float64)  # (2, 2)
    return (1 - alpha_bar).sqrt() * torch.linalg.solve(of_x_t, x_t.T).T  # (n, 2)


# %%
pixels = torch.ones(4000, 2, dtype=torch.float64)  # (n, 2)
second = torch.tensor([False, True])
filled = {}
for resamplings in (1, 3, 10):
    generator = torch.Generator().manual_seed(1)
    x_0 = inpaint(perfect, pixels, second, short, resamplings, generator, clip=False)  # (n, 2)
    filled[resamplings] = x_0[:, 1]  # (n,)
    mean, variance = filled[resamplings].mean(), filled[resamplings].var()
    print(f"resamplings = {resamplings:>2}: mean {mean:.1f}, variance {variance:.1f}")
    assert torch.equal(x_0[:, 0], pixels[:, 0])  # what is known comes back exactly

assert abs(filled[1].mean() - 0.5) < 0.05 and abs(filled[10].mean() - 0.8) < 0.06
assert abs(filled[10].var() - 0.36) < 0.05 < abs(filled[1].var() - 0.36)

# %% jupyter={"source_hidden": true}
values = torch.linspace(-2.5, 3, 300)  # (k,)
wanted = torch.exp(-((values - 0.8) ** 2) / 0.72) / math.sqrt(0.72 * math.pi)  # (k,)
figure, axes = new_figure(1, 2, height=2.4, sharey=True)
for axis, resamplings in zip(axes[0], (1, 10)):
    axis.hist(filled[resamplings].numpy(), bins=60, range=(-2.5, 3), density=True, color=COLOURS["network"])
    axis.plot(values, wanted, color=COLOURS["posterior"])
    axis.text(1.75, 0.5, "wanted", color=COLOURS["posterior"])
    axis.set(xlabel="second pixel", title="one pass" if resamplings == 1 else "10 resamplings")
axes[0, 0].set_ylabel("density")
show(
    figure,
    "The second pixel if the first is 1. In one pass it lies too low and spreads too far; "
    "with 10 resamplings it follows the curve that Bayes' rule gives.",
)

# %% [markdown]
# In one pass, the second pixel goes only three fifths of the way from 0 to where it belongs. Ten resamplings bring it close. The same happens in images: strokes that do not meet.
#
# ## How much of it survives
#
# Do the same with 60 held-out digits. How many does the classifier of lesson 07 still read as before?

# %%
@torch.inference_mode()
def read(images):
    return classifier(images.clamp(-1, 1)).argmax(1)  # (b,)


digits, written = held_out[:60], held_out_labels[:60]  # (60, 1, 28, 28) and (60,)
survived = {}
for t in (100, 300, 400, 500, 600, 700, 1000):
    images = redrawn(digits, t, torch.Generator().manual_seed(1))  # (60, 1, 28, 28)
    survived[t] = (read(images) == written).sum().item()
assert survived[300] > 50 > 40 > survived[500] > 10 and survived[1000] < 20

# %% jupyter={"source_hidden": true}
figure, ((axis,),) = new_figure(height=2.3)
axis.plot(survived.keys(), [count / 60 for count in survived.values()], "o-", color=COLOURS["network"])
axis.axhline(0.1, color=COLOURS["noise"], linewidth=1)
axis.text(60, 0.12, "chance", color=COLOURS["noise"])
axis.set(xlabel="noised to $t$", ylabel="share read as before", ylim=(0, 1.03), xlim=(0, 1040))
show(
    figure,
    "Up to t = 300 nearly all digits are read as before; from t = 700 on, one in ten is, as many as by chance.",
)

# %% [markdown]
# Between $t = 300$ and $t = 700$ it is decided which digit it will be. Above 700 there is no digit yet, and below 300 only its details change. If you train a network, these are the times to get right.
#
# ## Half a digit, filled in
#
# Hide the lower half of 40 held-out digits, which the network has never seen. Fill them in with 25 steps, in one pass and with five resamplings. How often does the classifier still read the digit that was there?

# %%
few, shorter = respaced(network, schedule, 25)
lower = torch.zeros(28, 28, dtype=torch.bool)
lower[14:] = True
halves = digits[:40]  # (40, 1, 28, 28)
whole, agreed = {}, {}
for resamplings in (1, 5):
    generator = torch.Generator().manual_seed(2)
    whole[resamplings] = inpaint(few, halves, lower, shorter, resamplings, generator)  # (40, 1, 28, 28)
    kept = (whole[resamplings] - halves)[:, :, ~lower].abs().max()
    agreed[resamplings] = (read(whole[resamplings]) == written[:40]).sum().item()
    assert kept < 1e-3  # what is known stays
print("read as before:", ", ".join(f"{count} of 40 (resamplings = {r})" for r, count in agreed.items()))
assert agreed[5] > 26 and agreed[5] > agreed[1] + 3

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(4, 10, height=3.0)
hidden = halves.masked_fill(lower, -0.4)
rows = {"known": hidden, "one pass": whole[1], "5 resamplings": whole[5], "real": halves}
for line, (name, images) in zip(axes, rows.items()):
    line[0].text(-3, 14, name, ha="right", va="center")
    for axis, image in zip(line, images):
        draw_image(axis, image)
show(
    figure,
    "Upper halves of ten held-out digits, filled in: in one pass strokes often do not meet at the seam; "
    "with 5 resamplings they go on. Below, the real digits.",
)

# %% [markdown]
# A filled-in digit need not be the real one. Half a 7 may be half a 9. What you want is a lower half that fits the upper one.
#
# ## A digit that turns
#
# Ask the network with labels for a 6, and for a 9 in the turned image. Draw 100 of them, and pick none.

# %%
def both_ways(upright, turned, seed):
    count = len(upright)
    model = turned_over(guided(told_network, upright, 3), guided(told_network, turned, 3))
    steps, their_schedule = respaced(model, schedule, 25)
    generator = torch.Generator().manual_seed(seed)
    return sample(steps, (count, 1, 28, 28), their_schedule, variance=posterior_variance, generator=generator)


@torch.inference_mode()
def sure_of(images, labels):
    chances = classifier(images.clamp(-1, 1)).softmax(1)  # (b, 10)
    return chances[torch.arange(len(labels)), labels] > 0.9  # (b,)


six, nine = torch.full((100,), 6), torch.full((100,), 9)
turning = both_ways(six, nine, seed=3)  # (100, 1, 28, 28)
good = sure_of(turning, six) & sure_of(turn(turning), nine)  # (100,)
print(f"{good.sum()} of 100 are surely a 6 and, turned over, surely a 9")
assert good.sum() >= 70

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(2, 10, height=1.6)
for line, (name, images) in zip(axes, {"as drawn": turning, "turned over": turn(turning)}.items()):
    line[0].text(-3, 14, name, ha="right", va="center")
    for axis, image in zip(line, images):
        draw_image(axis, image)
show(figure, "The first ten: each reads as a 6, and as a 9 when the page is turned over.")

# %% [markdown]
# A 6 turned over is nearly a 9 anyway. What about all other pairs? One batch of 100 asks for each digit upright and each digit turned over.

# %%
tens = torch.arange(10)
upright, turned = tens.repeat_interleave(10), tens.repeat(10)  # (100,) each
pairs = both_ways(upright, turned, seed=4)  # (100, 1, 28, 28)
both = sure_of(pairs, upright) & sure_of(turn(pairs), turned)  # (100,)
print(f"{both.sum()} of the 100 pairs read both ways")
assert 5 < both.sum() < 40

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(10, 10, height=6.6)
for place, (axis, image) in enumerate(zip(axes.flat, pairs)):
    draw_image(axis, image)
    if both[place]:
        frame = {"fill": False, "edgecolor": COLOURS["posterior"], "linewidth": 2.5}
        axis.add_patch(matplotlib.patches.Rectangle((-0.5, -0.5), 28, 28, **frame))
for digit in range(10):
    axes[digit, 0].text(-4, 14, str(digit), ha="right", va="center")
    axes[0, digit].set_title(f"{digit}", rotation=180)
show(
    figure,
    "Row: the digit asked for upright. Column: the digit asked for upside down. Framed: those that the classifier "
    "reads both ways. Some pairs come twice, such as 6 and 9 beside 9 and 6, because an image of one, turned over, "
    "is an image of the other.",
)

# %% [markdown]
# ## A walk
#
# Three pairs of wishes, and for each pair one start. The share goes from 0 at the left to 1 at the right.

# %%
shares = torch.linspace(0, 1, 8)[:, None, None, None]  # (8, 1, 1, 1) one for each image of a row
starts = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(5))  # (4, 1, 28, 28)
walks = {}
for (first, last), x_T in zip([(3, 8), (4, 9), (0, 6)], starts[[0, 2, 3]]):
    model = between(guided(told_network, first, 2), guided(told_network, last, 2), shares)
    start = (x_T.repeat(8, 1, 1, 1), schedule.T)  # (8, 1, 28, 28) the same start for all
    walks[first, last] = ddim_sample(model, (8, 1, 28, 28), schedule, steps=25, clip=False, start=start)
    print(f"from {first} to {last}: read as", *read(walks[first, last]).tolist())
    assert read(walks[first, last])[[0, -1]].tolist() == [first, last]

# %% jupyter={"source_hidden": true}
figure, axes = new_figure(3, 8, height=3.0)
for row, images in zip(axes, walks.values()):
    for axis, image in zip(row, images):
        draw_image(axis, image)
for axis, share in zip(axes[0], shares.flatten().tolist()):
    axis.set_title(f"share {share:.2f}")
show(
    figure,
    "From a 3 to an 8, from a 4 to a 9, from a 0 to a 6: the stroke that makes the difference moves, and the rest of "
    "the handwriting stays.",
)

# %% [markdown]
# Half-way, most images are already one digit or the other. An image that is as likely under both labels is rare, and the sampler soon slides to one side.

# %% [markdown]
# ## Same as the package
#
# The package has `inpaint` with checks of its input. One line compares yours with it, and the other two functions with what they must do.

# %%
from minddpm_course.comparisons import same_as_package

same_as_package("12", globals())

# %% [markdown]
# ## Play
#
# **How much of yours survives?** Draw a digit on the pad: by mouse, by finger, or with arrow keys and Space. Then move $t$. At which $t$ does it become handwriting? At which is it no longer yours?


# %% jupyter={"source_hidden": true}
def redraw(scrawl, t):
    images = redrawn(scrawl.repeat(4, 1, 1, 1), t, torch.Generator().manual_seed(6))  # (4, 1, 28, 28)
    figure, axes = new_figure(1, 5, height=1.7)
    draw_image(axes[0, 0], scrawl, "yours", COLOURS["clean"])
    for axis, image, seen in zip(axes[0, 1:], images, read(images).tolist()):
        draw_image(axis, image, f"read as {seen}", COLOURS["network"])
    return figure, f"Your scrawl, noised to t = {t} and brought back, four times."


# %%
pad = Sketchpad(scrawl, description="Draw a digit")
play(redraw, scrawl=pad, t=ipywidgets.IntSlider(value=500, min=50, max=1000, step=50))

# %% [markdown]
# **What else could it be?** Mark a part of this 8, and it is filled in four times. Which digits can you get from it?

# %% jupyter={"source_hidden": true}
eight = held_out[held_out_labels == 8][:1]  # (1, 1, 28, 28)


def fill_in(mask):
    generator = torch.Generator().manual_seed(7)
    images = inpaint(few, eight.repeat(4, 1, 1, 1), mask, shorter, 5, generator)  # (4, 1, 28, 28)
    figure, axes = new_figure(1, 5, height=1.7)
    draw_image(axes[0, 0], eight.masked_fill(mask, -0.4), "known", COLOURS["clean"])
    for axis, image, seen in zip(axes[0, 1:], images, read(images).tolist()):
        draw_image(axis, image, f"read as {seen}", COLOURS["network"])
    return figure, "What you marked is filled in, four times. The rest is as it was."


# %%
left = torch.zeros(1, 1, 28, 28, dtype=torch.bool)
left[..., :14] = True
play(fill_in, mask=Sketchpad(left, picture=eight, description="Mark what to fill in"))

# %% [markdown]
# ## Mistakes people make
#
# **1. Pasting at the end.** Draw a digit freely, and put the known half over it when it is finished. The sampler never saw the known half.
#
# **2. The noise of the wrong time.** After a step, $\mathbf{x}$ belongs to $t - 1$. Noise the known part to $t$ instead, and it is too noisy in every step, and in the last one, too.

# %%
def one_late(schedule, generator):
    x_t = torch.randn(halves.shape, generator=generator)  # (40, 1, 28, 28)
    for t in range(schedule.T, 0, -1):
        x_0, _ = estimate(few, x_t, t, schedule, clip=True)
        hidden = reverse_step(x_t, t, x_0, schedule, generator=generator)
        known, _ = forward_diffusion(halves, t, schedule, generator=generator)  # t, and not t - 1
        x_t = torch.where(lower, hidden, known)
    return x_t


generator = torch.Generator().manual_seed(2)
pasted = torch.where(lower, sample(few, halves.shape, shorter, generator=generator), halves)
late = one_late(shorter, torch.Generator().manual_seed(2))
changed = (late - halves)[:, :, ~lower].abs().max().item()
print(f"pasted at the end: {(read(pasted) == written[:40]).sum()} of 40 read as before, {agreed[5]} by resampling")
print(f"noise of the wrong time: the known half differs by up to {changed:.1f}, wanted 0")
assert (read(pasted) == written[:40]).sum() < agreed[5] - 10 and changed > 0.2

# %% [markdown]
# **3. The mask the other way round.** Here, and in the inpainting of diffusers, True (white) means *fill in*. In other code, 1 means *keep*. No error is raised: you keep what you wanted to hide. So look at one result before you draw a thousand.
#
# ## Check yourself
#
# **1.** You start from a photograph of a cat, noised to $t = 500$. What does the network of this course make of it?
#
# <details><summary>Answer</summary>
# A digit. Whatever is left of the cat is taken for a noisy digit, because the network has seen nothing else.
# </details>
#
# **2.** Filling in with 10 resamplings in 25 steps: how often is the network called? And the free sampler of 25 steps?
#
# <details><summary>Answer</summary>
# 250 times, and 25 times. That is the price of a fit.
# </details>
#
# **3.** You average the predictions for a 6 and for a 9 in the *same* image, without turning it. What do you expect?
#
# <details><summary>Answer</summary>
# An image that is likely as a 6 and as a 9 at once. There is hardly one, so most results are neither.
# </details>
#
# **4.** The known part comes back exactly. Which factor of the jump makes it so?
#
# <details><summary>Answer</summary>
# The last step noises it to t = 0, where the share of the signal is 1 and that of the noise is 0.
# </details>
#
# **Look it up:** [questions about sampling](../docs/questions.md#sampling), each with its answer, and the [glossary](../docs/glossary.md) of names.
#
# **Exercises:** this lesson has none. [13 · Your DDPM](../exercises/13_your_ddpm.ipynb) makes a package of all that you wrote, and trains it.
#
# ## Looking back
#
# You noised an image ([01](01_schedule.ipynb), [02](02_noising.ipynb)) and solved the way back for a known one ([03](03_posterior.ipynb)). That became a loss ([04](04_loss.ipynb)), a network ([05](05_unet.ipynb)), a loop ([06](06_sampler.ipynb)) and a training ([07](07_training.ipynb)).
# Then you saw that the network has learned a slope, the score ([08](08_score.ipynb)), followed it in fewer steps ([09](09_ddim.ipynb)), bent it towards a label ([10](10_guidance.ipynb)), and wrote it in other coordinates ([11](11_targets.ipynb)). Each formula was checked by something that did not use it. Keep that habit.
#
# Where to go from here:
# - Draw and train from a terminal: `python -m minddpm sample --digit 7 --scale 2 --out sevens.png`, and `python -m minddpm train --source full --labels --out runs/full`.
# - Draw large images: run the same process on the codes of an autoencoder ([Rombach et al. 2022](https://arxiv.org/abs/2112.10752)).
