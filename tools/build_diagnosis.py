"""Make the pictures and numbers of docs/diagnosis.md: each symptom by its mistake, each number by
measuring it.

    python tools/build_diagnosis.py seeds long draw

seeds: five runs of the training cell of lesson 07; long: the published run, as far as its first
minutes; draw: the pictures, and the numbers of the page, from what is there. All is kept under
runs/diagnosis: a run that was stopped goes on, and what is deleted there is made again. The words
of the page are written in the page; its numbers stand between marks such as <!-- by_step --> and
<!-- /by_step -->, and are put there by `draw`.
"""

import argparse
import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from minddpm.checkpoints import ASSETS, load, load_pretrained, load_training, save, write_whole
from minddpm.data import jitter, load_mnist
from minddpm.ddim import ddim_sample, ddim_steps, respaced
from minddpm.noising import forward_diffusion
from minddpm.sampler import finish, reverse_step, walk
from minddpm.schedule import Schedule, linear_schedule
from minddpm.training import train
from minddpm.unet import UNet
from minddpm_course.figures import COLOURS, GREY, STYLE, draw_image, new_figure, plt

ROOT = Path(__file__).parents[1]
RUNS, PAGE = ROOT / "runs/diagnosis", ROOT / "docs/diagnosis.md"
SEEDS = range(5)
LESSON = {"steps": 150, "batch_size": 64, "learning_rate": 2.5e-3}  # the training cell of lesson 07
PUBLISHED = {"steps": 18_000, "batch_size": 64, "learning_rate": 2.5e-3, "augment": jitter}
IMAGES_A_MINUTE = 60 * 1_152_000 / 4_092  # of the published run, see minddpm/assets/README.md
WINDOW = 25  # steps over which a loss is smoothed
TIMES = (1, 10, 50, 100, 200, 400, 700, 1000)
SHAPE = (8, 1, 28, 28)


# Trainings


def kept_run(path: Path, stops: dict[int, Path], seed: int, **settings) -> None:
    """Train a fresh UNet, keeping its state at `path` and its averaged weights at each of the
    stops, in steps.
    """
    stops = {step: stop for step, stop in stops.items() if not stop.exists()}
    if not stops:
        return
    images, schedule = load_mnist("train")[0], linear_schedule()
    torch.manual_seed(seed)
    model, losses, resume = UNet(), [], None
    if path.exists():
        about, tensors = load_training(path)
        if about["step"] < min(stops):  # else what is missing lies behind, and the run begins anew
            losses, resume = about["losses"], tensors
    for state in train(model, images, schedule, seed=seed, resume=resume, **settings):
        losses.append(state.loss)
        about = {"step": state.step, "images_seen": state.images_seen, "losses": losses}
        if state.step in stops:
            save(stops[state.step], state.average.model, schedule, metadata=about)
        if state.step % 25 == 0 or state.step in stops:
            save(path, state.average.model, schedule, metadata=about, training=state.tensors())
            print(
                path.name,
                state.step,
                f"{sum(losses[-WINDOW:]) / len(losses[-WINDOW:]):.4f}",
                flush=True,
            )
        if state.step == max(stops):
            return


def seed_path(seed: int) -> Path:
    """Where the averaged weights of a seed lie."""
    return RUNS / f"seed_{seed}.safetensors"


def run_seeds() -> None:
    """Run lesson 07's cell five times; a seed fixes first weights, order, times and noise."""
    for seed in SEEDS:
        kept_run(
            RUNS / f"seed_{seed}_state.safetensors",
            {LESSON["steps"]: seed_path(seed)},
            seed,
            **LESSON,
        )


def minute_path(minutes: int) -> Path:
    """Where the averaged weights of the published run after some minutes lie."""
    return RUNS / f"minutes_{minutes}.safetensors"


def run_long(minutes: list[int]) -> None:
    """Run the first minutes of the published run, its learning rate falling as in the whole of it."""
    stops = {
        round(minute * IMAGES_A_MINUTE / PUBLISHED["batch_size"]): minute_path(minute)
        for minute in minutes
    }
    kept_run(RUNS / "long_state.safetensors", stops, 0, **PUBLISHED)


# Mistakes: each beside what is right, for the pictures and for tests/unit/test_diagnosis.py


def right_sampler(model: Callable, schedule: Schedule, steps: int = 50) -> Tensor:
    """DDIM in a few steps."""
    return ddim_sample(model, SHAPE, schedule, steps=steps, generator=Generator().manual_seed(2020))


def counting_sampler(model: Callable, schedule: Schedule, steps: int = 50) -> Tensor:
    """The mistake: of 50 steps, the network is told the number, 50..1, and not the time, 1000..20."""
    _, shorter = respaced(model, schedule, steps)
    return ddim_sample(model, SHAPE, shorter, steps=steps, generator=Generator().manual_seed(2020))


def right_up(up: nn.Conv2d, h: Tensor) -> Tensor:
    """Upsampling as in the course: each pixel four times."""
    return F.interpolate(up(h), scale_factor=2.0)


def transposed_up(up: nn.Conv2d, h: Tensor) -> Tensor:
    """The mistake: a transposed convolution of kernel 3 and stride 2, with the same weights spread
    over the kernel.

    Output pixels get 1, 2 or 4 of the kernel's weights in turn, for 2 does not divide 3.
    """
    kernel = up.weight.transpose(0, 1).expand(-1, -1, 3, 3) / 2.25  # 9 weights fall on 4 pixels
    return F.conv_transpose2d(h, kernel, up.bias, stride=2, padding=1, output_padding=1)


def transposed_network(model: UNet) -> Callable:
    """The network with that upsampling in each place."""

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        with patch(
            "minddpm.unet.F.interpolate", lambda h, scale_factor: h
        ):  # it is twice as large already
            return model(x_t, t)

    for up in model.ups:
        if isinstance(up, nn.Conv2d):
            up.forward = partial(transposed_up, up)  # type: ignore[method-assign]
    return predict


def first_noise_each() -> Tensor:
    """x_T, drawn for each image."""
    return torch.randn(SHAPE, generator=Generator().manual_seed(2020))


def first_noise_once() -> Tensor:
    """The mistake: one x_T for all images, as from a generator that is seeded again before each."""
    return torch.randn((1, *SHAPE[1:]), generator=Generator().manual_seed(2020)).expand(SHAPE)


def noisy_step(
    x_t: Tensor,
    t: int,
    predicted_noise: Tensor,
    schedule: Schedule,
    noise: Tensor,
    clip: bool = True,
) -> Tensor:
    """The mistake: a reverse step that adds noise at t = 1 too."""
    x = reverse_step(x_t, t, predicted_noise, schedule, noise, clip=clip)
    return x + (t == 1) * schedule.beta[1].sqrt().float() * noise


def noisy_sampler(model: Callable, schedule: Schedule, steps: int = 20) -> Tensor:
    """Sample in a few steps, the last of which adds noise."""
    generator = Generator().manual_seed(2020)
    model, shorter = respaced(model, schedule, steps)

    def step(
        x_t: Tensor, t: int, predicted_noise: Tensor, schedule: Schedule, clip: bool
    ) -> Tensor:
        return noisy_step(
            x_t, t, predicted_noise, schedule, torch.randn(SHAPE, generator=generator), clip
        )

    x_T = torch.randn(SHAPE, generator=generator)
    return finish(walk(model, x_T, shorter, True, step), steps, False)


def twice_rescaled(images: Tensor) -> Tensor:
    """The mistake: images that lie in [0, 1] where [-1, 1] is expected."""
    return (images + 1) / 2


class UncheckedSchedule(Schedule):
    """A schedule that takes any beta."""

    def __post_init__(self) -> None:
        pass


def to_nothing(schedule: Schedule) -> Schedule:
    """The mistake: the last beta is 1, so no signal is left at t = T, and the estimate of x_0 is
    divided by 0.
    """
    beta, alpha_bar = schedule.beta.clone(), schedule.alpha_bar.clone()
    beta[-1], alpha_bar[-1] = 1, 0
    return UncheckedSchedule(beta, alpha_bar)


def nan_sampler(model: Callable, schedule: Schedule, steps: int = 50) -> Tensor:
    """Sample, unclipped, on a schedule whose alpha_bar ends at 0."""
    generator = Generator().manual_seed(2020)
    model, shorter = respaced(model, schedule, steps)
    x_T = torch.randn(SHAPE, generator=generator)
    step = partial(reverse_step, generator=generator)
    return finish(walk(model, x_T, to_nothing(shorter), False, step), steps, False)


# Pictures


@torch.inference_mode()
def kept(name: str, make: Callable[[], Tensor]) -> Tensor:
    """A tensor that is computed once and kept."""
    path = RUNS / f"{name}.pt"
    if not path.exists():
        RUNS.mkdir(parents=True, exist_ok=True)
        torch.save(make().clone(), path)
        print(name, flush=True)
    return torch.load(path, weights_only=True)


def samples_of(path: Path) -> Callable[[], Tensor]:
    """Eight samples of the weights in a file."""
    return lambda: right_sampler(*load(path)[:2])


@torch.inference_mode()
def loss_by_time(model: UNet, schedule: Schedule) -> Tensor:
    """The loss at each of TIMES, on 64 held-out digits, always with the same noise."""
    x_0, generator = load_mnist("test")[0][:64], Generator().manual_seed(7)
    losses = []
    for t in TIMES:
        x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)
        losses.append((model(x_t, torch.full((len(x_0),), t)) - noise).square().mean())
    return torch.stack(losses)


def strip(rows: dict[str, Tensor], limits: tuple[float, float] = (-1, 1)) -> Figure:
    """Rows of eight images, each with its word if it has one; what is not a number is drawn as an
    empty frame.
    """
    words = any(rows)
    figure, axes = new_figure(len(rows), 8 + words, height=(0.8 if words else 0.87) * len(rows))
    for line, (word, images) in zip(axes, rows.items()):
        if words:
            line[0].set_axis_off()
            line[0].text(0, 0.5, word, va="center", transform=line[0].transAxes)
        for axis, image in zip(line[words:], images):
            if image.isfinite().all():
                draw_image(axis, image, limits=limits)
            else:
                axis.set(xticks=[], yticks=[], aspect="equal", xlim=(0, 28), ylim=(0, 28))
                axis.text(14, 14, "nan", color=GREY, ha="center", va="center")
                axis.spines[["top", "right"]].set_visible(True)
    return figure


def write(figure: Figure, name: str) -> None:
    """Write a picture of the page."""
    path = PAGE.with_suffix("") / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        figure.savefig(path, dpi=110, metadata={"Software": None})


def smoothed(losses: Tensor) -> Tensor:
    """The mean of the last 25 losses at each step from the 25th on."""
    return losses.unfold(-1, WINDOW, 1).mean(-1)


def draw_symptoms() -> None:
    """Draw what is right, and each mistake."""
    shipped, schedule, _ = load_pretrained("mnist")
    shipped.requires_grad_(False)
    right = kept("right", lambda: right_sampler(shipped, schedule))

    def one_noise() -> Tensor:
        one = finish(ddim_steps(shipped, first_noise_once()[:1], schedule), 50, False)
        return one.expand(SHAPE)

    pictures = {
        "right": right,
        "grey_mush": kept("grey_mush", lambda: counting_sampler(shipped, schedule)),
        "one_digit": kept("one_digit", one_noise),
        "noise_remains": kept("noise_remains", lambda: noisy_sampler(shipped, schedule)),
        "contrast_lost": twice_rescaled(right),
        "nan": kept("nan", lambda: nan_sampler(shipped, schedule)),
    }
    for name, images in pictures.items():
        write(strip({"": images}), name)
    transposed = kept(
        "checkerboard",
        lambda: right_sampler(transposed_network(load_pretrained("mnist")[0]), schedule),
    )
    write(strip({"mistaken": transposed, "right": right}, limits=(-1, -0.9)), "checkerboard")


def draw() -> None:
    """Draw the pictures, and put the numbers that they show into the page."""
    draw_symptoms()
    page = PAGE.read_text()
    for name, value in (draw_curves() | draw_minutes()).items():
        block = "\n\n" if "\n" in value else ""
        marked = f"<!-- {name} -->{block}{value}{block}<!-- /{name} -->"
        page, found = re.subn(
            f"<!-- {name} -->.*?<!-- /{name} -->",
            lambda _, marked=marked: marked,
            page,
            flags=re.DOTALL,
        )
        if not found:
            raise ValueError(f"{PAGE} must have a place for {name}, got none")
    write_whole(PAGE, page.encode())


@plt.rc_context(STYLE)
def draw_curves() -> dict[str, str]:
    """Draw the losses to expect, and return what the page says of them."""
    seeds = [seed for seed in SEEDS if seed_path(seed).exists()]
    losses = torch.tensor([load(seed_path(seed))[2]["losses"] for seed in seeds])
    curves = smoothed(losses)
    by_time = torch.stack(
        [
            kept(f"by_time_seed_{seed}", lambda seed=seed: loss_by_time(*load(seed_path(seed))[:2]))
            for seed in seeds
        ]
    )
    long = kept("by_time_shipped", lambda: loss_by_time(*load_pretrained("mnist")[:2]))
    figure, ((by_step, over_t),) = new_figure(1, 2, height=2.8)
    steps = range(WINDOW, losses.shape[1] + 1)
    by_step.plot(range(1, losses.shape[1] + 1), losses.T, ".", color=GREY, markersize=1.5)
    by_step.fill_between(
        steps, curves.amin(0), curves.amax(0), color=COLOURS["network"], alpha=0.35, linewidth=0
    )
    by_step.plot(steps, curves.median(0).values, color=COLOURS["network"])
    by_step.text(0.97, 0.94, f"band: mean of {WINDOW} steps", color=COLOURS["network"], ha="right", va="top",
                 transform=by_step.transAxes)  # fmt: skip
    by_step.text(
        0.97,
        0.84,
        "dots: single steps",
        color=GREY,
        ha="right",
        va="top",
        transform=by_step.transAxes,
    )
    by_step.set(
        xlabel="step", ylabel="loss", yscale="log", xlim=(0, losses.shape[1]), ylim=(0.025, 1.5)
    )
    over_t.fill_between(
        TIMES, by_time.amin(0), by_time.amax(0), color=COLOURS["network"], alpha=0.35, linewidth=0
    )
    over_t.plot(TIMES, by_time.median(0).values, color=COLOURS["network"])
    over_t.plot(TIMES, long, color=COLOURS["clean"])
    over_t.text(
        14, 1.3 * float(by_time[:, 1].max()), f"{LESSON['steps']} steps", color=COLOURS["network"]
    )
    over_t.text(60, 0.4 * float(long[2]), "shipped", color=COLOURS["clean"], ha="right", va="top")
    over_t.set(xlabel="time $t$", ylabel="loss at $t$", xscale="log", yscale="log")
    write(figure, "loss_lesson")

    with (ASSETS / "ddpm_mnist_log.csv").open(newline="") as file:
        log = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    seen = [row["images"] / 1000 for row in log]
    turn = next(
        n for n in range(1, len(log)) if log[n]["learning_rate"] > 10 * log[n - 1]["learning_rate"]
    )
    figure, ((axis,),) = new_figure(1, 1, height=2.6)
    for column, colour, word, place in (
        ("loss", "network", "training", "top"),
        ("held_out_loss", "clean", "held-out", "bottom"),
    ):
        axis.plot(seen, [row[column] for row in log], color=COLOURS[colour])
        axis.text(seen[-1], log[-1][column], f" {word}", color=COLOURS[colour], va=place)
    axis.axvline(seen[turn - 1], color=GREY, linewidth=1, linestyle="--")
    axis.text(seen[turn - 1], 0.06, "turned and stretched  ", color=GREY, ha="right")
    axis.text(seen[turn - 1], 0.06, "  as they are", color=GREY)
    ticks = [0.02, 0.03, 0.05]
    axis.set(
        xlabel="thousands of images seen",
        ylabel="loss",
        xlim=(0, None),
        yscale="log",
        ylim=(0.019, 0.07),
    )
    axis.set_yticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    write(figure, "loss_long")

    marks = [WINDOW, 50, 75, 100, losses.shape[1]]
    table = ["| step | loss, mean of the last 25 steps |", "|---:|---|"]
    table += [f"| {mark} | {band(curves[:, mark - WINDOW])} |" for mark in marks]
    table_t = ["| t | after 150 steps | shipped weights |", "|---:|---|---:|"]
    table_t += [
        f"| {t} | {band(column)} | {number(value)} |"
        for t, column, value in zip(TIMES, by_time.T, long)
    ]
    rows = [
        min(log, key=lambda row: abs(row["images"] - minutes * IMAGES_A_MINUTE))
        for minutes in (1, 5, 20, 60)
    ]
    log_table = ["| minutes | images seen | loss | held-out loss |", "|---:|---:|---:|---:|"]
    log_table += [
        f"| {row['seconds'] / 60:.0f} | {row['images']:,.0f} | {row['loss']:.4f} |"
        f" {row['held_out_loss']:.4f} |"
        for row in (*rows, log[turn - 1], log[-1])
    ]
    return {
        "seeds": {
            1: "one seed",
            2: "two seeds",
            3: "three seeds",
            4: "four seeds",
            5: "five seeds",
        }[len(seeds)],
        "first": band(losses[:, 0]),
        "single": band(losses[:, -WINDOW:]),
        "by_step": "\n".join(table),
        "by_time": "\n".join(table_t),
        "long": "\n".join(log_table),
    }


def number(value: float | Tensor) -> str:
    """A loss at two digits."""
    value = float(value)
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def band(values: Tensor) -> str:
    """The least and the largest of some losses."""
    ends = (number(values.min()), number(values.max()))
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def draw_minutes() -> dict[str, str]:
    """Draw samples at the moments of training of which there are weights, from one x_T."""
    moments: dict[str, Tensor] = {}
    if seed_path(0).exists():
        moments[f"{LESSON['steps'] * LESSON['batch_size']:,}\nlesson 07"] = kept(
            "samples_seed_0", samples_of(seed_path(0))
        )
    measured, missing = [], []
    for minutes in (1, 5, 20, 60):
        (measured if minute_path(minutes).exists() else missing).append(minutes)
    for minutes in measured:
        seen = load(minute_path(minutes))[2]["images_seen"]
        moments[f"{seen:,}\n{minutes} min"] = kept(
            f"samples_minutes_{minutes}", samples_of(minute_path(minutes))
        )
    with (ASSETS / "ddpm_mnist_log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    moments[f"{int(last['images']):,}\n{int(last['seconds']) / 60:.0f} min"] = kept(
        "right", lambda: None
    )
    write(strip(moments), "minutes")
    there = (
        f"The rows of {listed(measured)} min come from the settings of `python -m minddpm train`,"
        " stopped early. "
        if measured
        else ""
    )
    lacking = f"Not measured, hence not drawn: {listed(missing)} minutes." if missing else ""
    later = listed([f"{minutes * IMAGES_A_MINUTE:,.0f}" for minutes in (1, 5, 20, 60)])
    return {
        "a_minute": f"{round(IMAGES_A_MINUTE, -3):,.0f}",
        "measured": (there + lacking).strip(),
        "seen": later,
    }


def listed(numbers: list) -> str:
    """1, 5 and 20."""
    words = [str(n) for n in numbers]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def main() -> None:
    """Run the parts that are asked for, in this order."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=("seeds", "long", "draw"))
    parser.add_argument(
        "--minutes",
        nargs="+",
        type=int,
        default=[1, 5, 20, 60],
        help="to stop the published run at",
    )
    options = parser.parse_args()
    parts = {"seeds": run_seeds, "long": partial(run_long, options.minutes), "draw": draw}
    for name in options.parts:
        parts[name]()


if __name__ == "__main__":
    main()
