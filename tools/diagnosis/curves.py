"""The losses to expect: in lesson 07, at each time t, and in the published run."""

import csv
from functools import partial

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from torch import Generator, Tensor

from diagnosis.page import band_text, computed_once, loss_text, save_picture, table
from diagnosis.trainings import IMAGES_A_MINUTE, LESSON, SEEDS, seed_path
from minddpm.checkpoints import load, load_pretrained
from minddpm.data import ASSETS, load_mnist
from minddpm.noising import forward_diffusion
from minddpm.schedule import Schedule
from minddpm.unet import UNet
from minddpm_course.figures import COLOURS, GREY, STYLE, new_figure

WINDOW = 25  # steps over which a loss is smoothed
TIMES = (1, 10, 50, 100, 200, 400, 700, 1000)
COUNTED = ("one seed", "two seeds", "three seeds", "four seeds", "five seeds")


@torch.inference_mode()
def loss_by_time(model: UNet, schedule: Schedule) -> Tensor:
    """The loss at each of TIMES, on 64 held-out digits, always with the same noise."""
    x_0 = load_mnist("test")[0][:64]
    generator = Generator().manual_seed(7)
    losses = []
    for t in TIMES:
        x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)
        losses.append((model(x_t, torch.full((len(x_0),), t)) - noise).square().mean())
    return torch.stack(losses)


def smoothed(losses: Tensor) -> Tensor:
    """The mean of the last 25 losses at each step from the 25th on."""
    return losses.unfold(-1, WINDOW, 1).mean(-1)


def draw_band(axis: Axes, places: range | tuple[int, ...], curves: Tensor) -> None:
    """Fill the space between the lowest and the highest curve, and draw the median."""
    low = curves.amin(0).numpy()
    high = curves.amax(0).numpy()
    colour = COLOURS["network"]
    axis.fill_between(places, low, high, color=colour, alpha=0.35, linewidth=0)
    axis.plot(places, curves.median(0).values.numpy(), color=colour)


@plt.rc_context(STYLE)
def draw_lesson_curves() -> dict[str, str]:
    """Draw the losses of lesson 07's training, and return the numbers for the page."""
    runs = {seed: load(seed_path(seed)) for seed in SEEDS if seed_path(seed).exists()}
    losses = torch.tensor([about["losses"] for _, _, about in runs.values()])  # (seeds, steps)
    count, steps = losses.shape
    curves = smoothed(losses)
    by_time = torch.stack(
        [
            computed_once(f"by_time_seed_{seed}", partial(loss_by_time, *run[:2]))
            for seed, run in runs.items()
        ]
    )
    shipped = load_pretrained("mnist")
    long = computed_once("by_time_shipped", lambda: loss_by_time(*shipped[:2]))

    figure, ((by_step, over_t),) = new_figure(1, 2, height=2.8)
    by_step.plot(range(1, steps + 1), losses.T.numpy(), ".", color=GREY, markersize=1.5)
    draw_band(by_step, range(WINDOW, steps + 1), curves)
    right = {"ha": "right", "va": "top", "transform": by_step.transAxes}
    words = f"band: mean of {WINDOW} steps"
    by_step.text(0.97, 0.94, words, color=COLOURS["network"], **right)
    by_step.text(0.97, 0.84, "dots: single steps", color=GREY, **right)
    by_step.set(xlabel="step", ylabel="loss", yscale="log", xlim=(0, steps), ylim=(0.025, 1.5))
    draw_band(over_t, TIMES, by_time)
    over_t.plot(TIMES, long.numpy(), color=COLOURS["clean"])
    height = 1.3 * float(by_time[:, 1].max())
    over_t.text(14, height, f"{LESSON['steps']} steps", color=COLOURS["network"])
    height = 0.4 * float(long[2])
    over_t.text(60, height, "shipped", color=COLOURS["clean"], ha="right", va="top")
    over_t.set(xlabel="time $t$", ylabel="loss at $t$", xscale="log", yscale="log")
    save_picture(figure, "loss_lesson")

    marks = [WINDOW, 50, 75, 100, steps]
    step_rows = [f"| {mark} | {band_text(curves[:, mark - WINDOW])} |" for mark in marks]
    time_rows = [
        f"| {t} | {band_text(column)} | {loss_text(value)} |"
        for t, column, value in zip(TIMES, by_time.T, long)
    ]
    time_head = "| t | after 150 steps | shipped weights |"
    return {
        "seeds": COUNTED[count - 1],
        "first": band_text(losses[:, 0]),
        "single": band_text(losses[:, -WINDOW:]),
        "by_step": table("| step | loss, mean of the last 25 steps |", "|---:|---|", step_rows),
        "by_time": table(time_head, "|---:|---|---:|", time_rows),
    }


def published_log() -> list[dict[str, float]]:
    """The log of the published run."""
    with (ASSETS / "ddpm_mnist_log.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@plt.rc_context(STYLE)
def draw_long_curve() -> dict[str, str]:
    """Draw the losses of the published run, and return the numbers for the page."""
    log = published_log()
    seen = [row["images"] / 1000 for row in log]
    rates = [row["learning_rate"] for row in log]
    turn = next(n for n in range(1, len(log)) if rates[n] > 10 * rates[n - 1])  # the second stage
    figure, ((axis,),) = new_figure(1, 1, height=2.6)
    for column, role, word, place in (
        ("loss", "network", "training", "top"),
        ("held_out_loss", "clean", "held-out", "bottom"),
    ):
        axis.plot(seen, [row[column] for row in log], color=COLOURS[role])
        axis.text(seen[-1], log[-1][column], f" {word}", color=COLOURS[role], va=place)
    axis.axvline(seen[turn - 1], color=GREY, linewidth=1, linestyle="--")
    axis.text(seen[turn - 1], 0.06, "turned and stretched  ", color=GREY, ha="right")
    axis.text(seen[turn - 1], 0.06, "  as they are", color=GREY)
    axis.set(xlabel="thousands of images seen", ylabel="loss", yscale="log")
    axis.set(xlim=(0, None), ylim=(0.019, 0.07))
    ticks = [0.02, 0.03, 0.05]
    axis.set_yticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    save_picture(figure, "loss_long")

    rows = [
        min(log, key=lambda row: abs(row["images"] - minutes * IMAGES_A_MINUTE))
        for minutes in (1, 5, 20, 60)
    ]
    lines = [
        f"| {row['seconds'] / 60:.0f} | {row['images']:,.0f} | {row['loss']:.4f} |"
        f" {row['held_out_loss']:.4f} |"
        for row in (*rows, log[turn - 1], log[-1])
    ]
    head = "| minutes | images seen | loss | held-out loss |"
    return {"long": table(head, "|---:|---:|---:|---:|", lines)}
