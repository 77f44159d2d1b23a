"""Measure how the cost of training and sampling grows, and work out what many processes would take.

    python -m benchmarks scaling --out runs/scaling

Each point is measured by a process of its own, with one thread, in processor seconds, several times
in turns; the least counts. So other work on the machine disturbs little. Messages between processes
are measured by the clock. An interrupted run continues. The folder gets `scaling.json` and
a figure of each curve; with --publish they also go into docs/scaling.md, beside
it, and into benchmarks/scaling.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Generator

from minddpm import UNet, UNetConfig, linear_schedule, sample
from minddpm.checkpoints import write_whole
from minddpm.data import jitter
from minddpm.distributed import process_group, rank
from minddpm.loss import simple_loss
from minddpm.noising import forward_diffusion
from minddpm.state import EMA
from minddpm.training import train

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"
KEPT = ROOT / "benchmarks" / "scaling.json"
LEAST_SECONDS = 0.5  # of measuring a point
USUAL: dict[str, Any] = {"batch": 16, "side": 28, "width": 1.0, "T": 1000, "images": 4500}
PROCESSES: list[int] = [2**power for power in range(10)]  # 1 to 512
GLOBAL_BATCH = 512  # shared by all of them
OWN_BATCH = 64  # or so many images for each
LEVEL = 1.05  # what grows by less over its whole range is called level
HALF = 0.5  # the share of a process's time that must not be lost, for it to pay
BYTES = 4  # of a float32
PIXELS = 28 * 28


class Curve(NamedTuple):
    """What is measured against what."""

    kind: str  # "train" or "sample"
    x: str  # the setting that varies
    values: Sequence[float]
    power: int  # time and memory are fitted by a line in this power of x
    others: dict[str, Any]  # settings that are not the usual ones


CURVES = {
    "batch": Curve("train", "batch", (1, 4, 16, 64, 256), 1, {}),
    "side": Curve("train", "side", (28, 32, 64, 128), 2, {"batch": 4}),
    "width": Curve("train", "width", (0.5, 1.0, 2.0, 4.0), 2, {"batch": 4}),
    "T": Curve("sample", "T", (10, 30, 100, 300), 1, {"batch": 1}),
    "T_training": Curve("train", "T", (10, 100, 1000, 4000), 1, {}),
    "samples": Curve("sample", "batch", (1, 4, 16, 64, 256), 1, {"T": 4}),
    "data": Curve("train", "images", (100, 1000, 10_000, 60_000), 1, {}),
}


class Cluster(NamedTuple):
    """Processes and the network between them."""

    faster: float  # than one core of the machine that was measured, where the network computes
    latency: float  # seconds for one message
    bandwidth: float  # bytes in a second


CLUSTERS = {  # assumed, not measured
    "cores": Cluster(1, 50e-6, 1.25e9),  # joined by 10 Gbit/s Ethernet
    "GPUs": Cluster(100, 10e-6, 25e9),  # joined by 200 Gbit/s InfiniBand
}


def least(work: Callable[[], object]) -> float:
    """The least processor seconds that some work takes, the first time not counted."""
    work()
    seconds: list[float] = []
    while sum(seconds) < LEAST_SECONDS or len(seconds) < 3:
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def peak_megabytes() -> float:
    """The most memory that this process has had."""
    import resource  # Windows has none

    scale = 1 if platform.system() == "Darwin" else 1024  # Linux counts in kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def network(width: float = 1.0) -> UNet:
    """The network of `minddpm train --recipe paper`, or one that is narrower or wider."""
    torch.manual_seed(0)
    channels = tuple(int(width * usual) for usual in UNetConfig().channels)
    return UNet(UNetConfig(channels=channels))


def measure_point(kind: str, settings: Mapping[str, Any]) -> dict[str, float]:
    """Seconds and megabytes of a training step, or of drawing images, in this process."""
    before = peak_megabytes()
    model, schedule = network(settings["width"]), linear_schedule(settings["T"])
    batch, side = settings["batch"], settings["side"]
    if kind == "train":
        images = torch.rand(settings["images"], 1, side, side) * 2 - 1
        states = train(model, images, schedule, steps=10**6, batch_size=batch, augment=jitter)
        seconds = least(lambda: next(states).loss)
    else:
        seconds = least(lambda: sample(model, (batch, 1, side, side), schedule))
    return {"seconds": seconds, "megabytes": peak_megabytes() - before}


def measure_parts() -> dict[str, float]:
    """Seconds of the parts of a training step, and what an image adds to each."""
    model, schedule = network(), linear_schedule()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    average, generator = EMA(model), Generator().manual_seed(0)
    few, many = OWN_BATCH // 4, OWN_BATCH
    found = {"parameters": float(sum(weight.numel() for weight in model.parameters()))}

    def whole_batch(count: int) -> float:
        """What each process does for all images: everything but the network."""
        images = torch.rand(count, 1, 28, 28) * 2 - 1

        def work() -> None:
            x_0 = jitter(images, generator)
            t = schedule.sample_t(count, generator=generator)
            x_t, noise = forward_diffusion(x_0, t, schedule, generator=generator)
            torch.nn.functional.mse_loss(x_t, noise)

        return least(work)

    def there_and_back(count: int) -> float:
        images = torch.rand(count, 1, 28, 28) * 2 - 1
        return least(lambda: simple_loss(model, images, schedule, generator=generator).backward())

    def update() -> None:
        optimizer.step()
        average.update(model)

    for name, part in (("whole", whole_batch), ("network", there_and_back)):
        small, large = part(few), part(many)
        found[f"{name}_image"] = (large - small) / (many - few)
        found[f"{name}_step"] = max(small - few * found[f"{name}_image"], 0.0)
    return found | {"update": least(update)}


def in_process(work: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """What some work finds in a process of its own, so that its memory is its own."""
    context = multiprocessing.get_context("fork")  # torch is imported once
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=lambda: theirs.send(work(*arguments)))
    child.start()
    theirs.close()
    try:
        found: dict[str, float] = ours.recv()
    finally:
        child.join()
    return found


def measure_two(out: Path) -> dict[str, float]:
    """Processor seconds of a step of one process, and of each of two; seconds of messages."""
    result = out / "two.part.json"
    found: dict[str, float] = {}
    for count in (1, 2):
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        worker = ["-m", "benchmarks.scaling", "--worker", str(result)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, *torchrun, *worker], cwd=ROOT, env=environment, check=True)
        found |= {
            f"{name}_{count}": value for name, value in json.loads(result.read_text()).items()
        }
        result.unlink()
    return found


def work_in_group(result: Path) -> None:
    """Be one of the processes of `measure_two`."""
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")):
        images = torch.rand(4500, 1, 28, 28, generator=Generator().manual_seed(0)) * 2 - 1
        steps = 12
        states = train(
            network(), images, linear_schedule(), steps=steps, batch_size=64, augment=jitter
        )
        next(states)
        seconds = []
        for _ in range(steps - 1):
            start = time.process_time()
            _ = next(states).loss
            seconds.append(time.process_time() - start)
        found = {"step": min(seconds)}
        for name, size in (("short", 1), ("long", 2**20)):
            message = torch.ones(size)
            times = []
            for _ in range(20):
                dist.barrier()
                start = time.perf_counter()
                dist.all_reduce(message)
                times.append(time.perf_counter() - start)
            found[name] = min(times)
        if rank() == 0:
            write_whole(result, json.dumps(found).encode())


def fitted(curve: Curve, measured: Sequence[float]) -> dict[str, float]:
    """The constant and the slope of a line whose largest errors, as shares, are small.

    Least squares of the relative errors; the largest of these is returned too.
    """
    x, y = np.array(curve.values, float) ** curve.power, np.array(measured, float)
    design = np.stack([1 / y, x / y], axis=1)
    constant, slope = (float(value) for value in np.linalg.lstsq(design, np.ones_like(y))[0])
    error = float(max(abs((constant + slope * x) / y - 1)))
    return {"constant": constant, "slope": slope, "error": error}


def step_seconds(
    parts: Mapping[str, float], count: int, batch: int, cluster: Cluster
) -> tuple[float, float]:
    """Seconds of a step by so many processes, and of the messages in it.

    step = whole + (network(batch / N) + update) / faster + reduce + gather
    reduce = 2 (N - 1) (latency + gradient bytes / (N bandwidth))
    gather = (N - 1) (latency + answer bytes / (N bandwidth))
    """
    whole = parts["whole_step"] + batch * parts["whole_image"]
    own = parts["network_step"] + batch / count * parts["network_image"] + parts["update"]
    reduced = BYTES * parts["parameters"]
    gathered = BYTES * PIXELS * batch
    ring = cluster.latency + reduced / (count * cluster.bandwidth)
    pass_round = cluster.latency + gathered / (count * cluster.bandwidth)
    messages = (count - 1) * (2 * ring + pass_round)
    return whole + own / cluster.faster + messages, messages


def summed_up(points: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says: of each point the least, the fits, and the model of many processes."""
    curves = {}
    for name, curve in CURVES.items():
        rounds = points[name]
        seconds = [min(values) for values in zip(*(one["seconds"] for one in rounds))]
        megabytes = [min(values) for values in zip(*(one["megabytes"] for one in rounds))]
        curves[name] = {
            "x": list(curve.values),
            "seconds": seconds,
            "megabytes": megabytes,
            "seconds_fit": fitted(curve, seconds),
            "megabytes_fit": fitted(curve, megabytes),
        }
    parts = {name: min(one[name] for one in points["parts"]) for name in points["parts"][0]}
    two = {name: min(one[name] for one in points["two"]) for name in points["two"][0]}
    latency = two["short_2"] / 2
    bandwidth = BYTES * 2**20 / max(two["long_2"] - two["short_2"], 1e-9)
    here = Cluster(1, latency, bandwidth)
    two |= {"latency": latency, "bandwidth": bandwidth}
    two |= {f"model_{count}": step_seconds(parts, count, 64, here)[0] for count in (1, 2)}
    many = {}
    for name, cluster in CLUSTERS.items():
        shared = [step_seconds(parts, count, GLOBAL_BATCH, cluster) for count in PROCESSES]
        own = [step_seconds(parts, count, OWN_BATCH * count, cluster) for count in PROCESSES]
        many[name] = {
            "shared": [seconds for seconds, _ in shared],
            "messages": [messages for _, messages in shared],
            "own": [seconds for seconds, _ in own],
            "cluster": cluster._asdict(),
        }
    return {"curves": curves, "parts": parts, "two": two, "many": many}


def shown(seconds: float) -> str:
    """A time at three digits, in the unit that fits it."""
    unit, size = next(
        (unit, size) for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 0)) if seconds >= size
    )
    value = seconds / (size or 1e-6)
    return f"{value:#.3g}".rstrip(".") + f" {unit}"


def memory(megabytes: float) -> str:
    """A size at three digits, in the unit that fits it."""
    if megabytes >= 1:
        return f"{megabytes:,.0f} MB"
    return f"{1000 * megabytes:.3g} kB"


def fit_text(curve: Curve, fit: Mapping[str, float], text: Callable[[float], str]) -> str:
    """A fit in words, with amounts as `text` writes them."""
    constant, slope = fit["constant"], fit["slope"]
    low, high = (constant + slope * x**curve.power for x in (curve.values[0], curve.values[-1]))
    within = f"within {max(fit['error'], 0.01):.0%}"
    if max(low, high) <= LEVEL * min(low, high):
        return f"level at {text((low + high) / 2)}, {within}"
    sign = "and" if constant >= 0 else "less"
    each = "for each" if curve.power == 1 else "for its square"
    return f"{text(slope)} {each} {sign} {text(abs(constant))}, {within}"


def curve_table(name: str, found: Mapping[str, Any]) -> str:
    """The table of a curve."""
    lines = [f"| {CURVES[name].x} | time | memory |", "|---:|---:|---:|"]
    for x, seconds, megabytes in zip(found["x"], found["seconds"], found["megabytes"]):
        lines.append(f"| {x:,g} | {shown(seconds)} | {memory(megabytes)} |")
    return "\n".join(lines)


def efficiency(times: Sequence[float], *, own: bool = False) -> list[float]:
    """The share of a step that is not lost to the others, for each number of processes.

    Args: own, whether each process has images of its own, rather than a share of the same ones.
    """
    counts = [1] * len(times) if own else PROCESSES
    return [times[0] / (count * seconds) for count, seconds in zip(counts, times)]


def most_that_pay(times: Sequence[float], *, own: bool = False) -> int:
    """The largest number of processes that keeps half of each busy."""
    shares = efficiency(times, own=own)
    paying: list[int] = [count for count, share in zip(PROCESSES, shares) if share >= HALF]
    return paying[-1]


def texts(summary: Mapping[str, Any]) -> dict[str, str]:
    """Every number of the page, by the name of its place there."""
    found: dict[str, str] = {}
    for name, curve in summary["curves"].items():
        found[f"{name} table"] = curve_table(name, curve)
        seconds = fit_text(CURVES[name], curve["seconds_fit"], shown)
        megabytes = fit_text(CURVES[name], curve["megabytes_fit"], memory)
        found[f"{name} fit"] = f"time {seconds}; memory {megabytes}"
    parts, two = summary["parts"], summary["two"]
    found |= {"batch usual": str(USUAL["batch"]), "global batch": str(GLOBAL_BATCH)}
    found |= {"own batch": str(OWN_BATCH), "most": str(PROCESSES[-1])}
    found |= {"side batch": str(CURVES["side"].others["batch"])}
    found |= {"width batch": str(CURVES["width"].others["batch"])}
    found |= {"samples T": str(CURVES["samples"].others["T"])}
    found["parameters"] = f"{parts['parameters']:,.0f}"
    for name in ("whole_image", "network_image", "network_step", "update"):
        found[name] = shown(parts[name])
    found["limit"] = f"{parts['network_image'] / parts['whole_image']:.0f}"
    for name in ("step_1", "step_2", "model_1", "model_2", "latency"):
        found[name] = shown(two[name])
    found["bandwidth"] = f"{two['bandwidth'] / 1e9:.1f} GB/s"
    found["speedup"] = f"{two['step_1'] / two['step_2']:.2f}"
    lines = [
        "| processes | cores, 512 images | times as fast | 64 images each |"
        " GPUs, 512 images | times as fast | 64 images each |",
        "|---:" * 7 + "|",
    ]
    for place, count in enumerate(PROCESSES):
        cells = [str(count)]
        for many in summary["many"].values():
            shared, own = many["shared"], many["own"]
            cells += [shown(shared[place]), f"{shared[0] / shared[place]:.1f}", shown(own[place])]
        lines.append(f"| {' | '.join(cells)} |")
    found["many table"] = "\n".join(lines)
    for name, many in summary["many"].items():
        found[f"{name} pay"] = str(most_that_pay(many["shared"]))
        found[f"{name} pay own"] = str(most_that_pay(many["own"], own=True))
        fastest = min(range(len(PROCESSES)), key=lambda place: many["shared"][place])
        found[f"{name} fastest"] = str(PROCESSES[fastest])
        found[f"{name} messages"] = shown(many["messages"][-1])
        cluster = Cluster(**many["cluster"])
        found[f"{name} latency"] = f"{1e6 * cluster.latency:g} µs"
        found[f"{name} bandwidth"] = f"{cluster.bandwidth / 1e9:g} GB/s"
        if cluster.faster != 1:
            found[f"{name} faster"] = f"{cluster.faster:g}"
    machine = summary["machine"]
    found["machine"] = f"{machine['processor']}, PyTorch {machine['torch']}"
    found["rounds"] = str(summary["rounds"])
    return found


def filled(page: str, found: Mapping[str, str]) -> str:
    """A page with each text between its marks, <!-- name --> and <!-- /name -->.

    Raises: ValueError for a mark of the page that has no text.
    """
    pieces = page.split("<!-- /")
    for number, piece in enumerate(pieces[:-1]):
        name = pieces[number + 1].partition(" -->")[0]
        before, start, _ = piece.rpartition(f"<!-- {name} -->")
        if not start or name not in found:
            raise ValueError(f"{PAGE.name} has marks of {name}, of which nothing was measured")
        gap = "\n\n" if "\n" in found[name] else ""
        pieces[number] = f"{before}{start}{gap}{found[name]}{gap}"
    return "<!-- /".join(pieces)


def draw_figures(summary: Mapping[str, Any], folder: Path) -> None:
    """Draw each curve with its fit, and the steps of many processes."""
    from matplotlib import pyplot as plt

    from minddpm_course.figures import COLOURS, STYLE, new_figure

    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, found in summary["curves"].items():
            curve = CURVES[name]
            figure, axes = new_figure(1, 2, height=2.4)
            x = np.geomspace(found["x"][0], found["x"][-1], 100)
            for axis, what, role in zip(axes[0], ("seconds", "megabytes"), ("network", "noise")):
                fit = found[f"{what}_fit"]
                line = fit["constant"] + fit["slope"] * x**curve.power
                axis.plot(x, line, color=COLOURS[role], linewidth=1)
                axis.plot(found["x"], found[what], "o", color=COLOURS[role])
                named = "images drawn" if name == "samples" else curve.x
                axis.set(xscale="log", yscale="log", xlabel=named, ylabel=what)
                if min(found[what]) > max(found[what]) / 3:  # or what is level would look wild
                    axis.set(yscale="linear", ylim=(0, 1.2 * max(found[what])))
                plain_numbers(axis, found["x"])
            save_figure(figure, folder / f"{name}.png")
        figure, axes = new_figure(1, 2, height=2.6)
        labels = (("shared", GLOBAL_BATCH, "network"), ("own", OWN_BATCH, "noise"))
        for axis, (name, many) in zip(axes[0], summary["many"].items()):
            axis.plot(PROCESSES, many["shared"], "o-", color=COLOURS["network"])
            axis.plot(PROCESSES, many["own"], "o-", color=COLOURS["noise"])
            for what, count, role in labels:
                axis.annotate(
                    f"{count} images" + " each" * (what == "own"),
                    (PROCESSES[-1], many[what][-1]),
                    xytext=(0, 6),
                    textcoords="offset points",
                    color=COLOURS[role],
                    ha="right",
                )
            axis.set(xscale="log", yscale="log", xlabel=name, ylabel="seconds a step")
            axis.set_ylim(top=3 * max(many["own"] + many["shared"]))
            plain_numbers(axis, PROCESSES[::3])
        save_figure(figure, folder / "many.png")


def plain_numbers(axis: Any, x: Sequence[float]) -> None:
    """Write plain numbers on the axes: the values that were measured, and powers of ten upwards."""
    from matplotlib import ticker

    axis.set_xticks(x, [f"{value:g}" for value in x])
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    axis.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    if axis.get_yscale() == "log":
        low, high = axis.get_ylim()
        few = "%g" if high / low < 60 else ""
        axis.yaxis.set_minor_formatter(ticker.FormatStrFormatter(few))
        axis.yaxis.set_minor_locator(ticker.LogLocator(subs=(2, 5)))


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure, the same bytes for the same numbers."""
    figure.savefig(path, dpi=80, metadata={"Software": None})


def measure(out: Path, rounds: int) -> dict[str, Any]:
    """Measure what the folder does not hold yet."""
    kept = out / "points.json"
    points: dict[str, list[Any]] = json.loads(kept.read_text()) if kept.exists() else {}

    def keep(name: str, found: Any) -> None:
        points.setdefault(name, []).append(found)
        write_whole(kept, json.dumps(points).encode())
        print(f"{name}, round {len(points[name])}", file=sys.stderr)

    for number in range(rounds):  # in turns, so that a slow minute of the machine hits all
        for name, curve in CURVES.items():
            if len(points.get(name, [])) <= number:
                found = [
                    in_process(measure_point, curve.kind, USUAL | curve.others | {curve.x: value})
                    for value in curve.values
                ]
                keep(name, {key: [one[key] for one in found] for key in found[0]})
        if len(points.get("parts", [])) <= number:
            keep("parts", in_process(measure_parts))
        if len(points.get("two", [])) <= number:
            keep("two", measure_two(out))
    return points


def processor() -> str:
    """The name of the processor, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, fit and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/scaling"))
    parser.add_argument("--rounds", type=int, default=3, help="how often each point is measured")
    parser.add_argument("--publish", action="store_true", help="fill in docs/scaling.md too")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.worker:
        work_in_group(options.worker)
        return
    torch.set_num_threads(1)
    summary = summed_up(measure(options.out, options.rounds))
    summary["machine"] = {"processor": processor(), "torch": torch.__version__.partition("+")[0]}
    summary["rounds"] = options.rounds
    write_whole(options.out / "scaling.json", json.dumps(summary, indent=1).encode())
    draw_figures(summary, options.out)
    for name, text in texts(summary).items():
        print(f"{name}: {text}" if "\n" not in text else f"\n{name}\n{text}\n")
    if options.publish:
        shutil.copy(options.out / "scaling.json", KEPT)
        draw_figures(summary, PAGE.with_suffix(""))
        page = filled(PAGE.read_text(encoding="utf-8"), texts(summary))
        write_whole(PAGE, page.encode())


if __name__ == "__main__":
    main()
