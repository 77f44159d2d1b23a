"""Compare the time of sampling with diffusers' schedulers, on the same network.

    python -m benchmarks sampling

Prints seconds and ratios. The seconds depend on the machine; compare the ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from benchmarks._report import Report, add_publish
from minddpm import ddim_sample, sample
from minddpm.checkpoints import load_pretrained

DIGITS = 25
FEW = 50  # steps of DDIM
ROUNDS = 3


@torch.inference_mode()
def peer(model: torch.nn.Module, scheduler: Any, steps: int) -> Tensor:
    """Sample with a scheduler of diffusers, which counts time from 0."""
    generator = torch.Generator().manual_seed(0)
    scheduler.set_timesteps(steps)
    x_t = torch.randn(DIGITS, 1, 28, 28, generator=generator)
    for t in scheduler.timesteps:
        predicted_noise = model(x_t, torch.full((DIGITS,), int(t) + 1))
        x_t = scheduler.step(predicted_noise, int(t), x_t, generator=generator).prev_sample
    return x_t


def main() -> None:
    """Time each way of sampling, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    add_publish(parser)
    options = parser.parse_args()
    model, schedule, _ = load_pretrained()
    shape = (DIGITS, 1, 28, 28)
    many = DDPMScheduler(variance_type="fixed_large")
    few = DDIMScheduler(timestep_spacing="trailing")

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    ways: dict[str, Callable[[], Tensor]] = {
        "sample, 1000 steps": lambda: sample(model, shape, schedule, generator=generator()),
        "diffusers' DDPMScheduler": lambda: peer(model, many, 1000),
        f"ddim_sample, {FEW} steps": lambda: ddim_sample(
            model, shape, schedule, steps=FEW, generator=generator()
        ),
        f"diffusers' DDIMScheduler, {FEW}": lambda: peer(model, few, FEW),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):  # in turns, so that a slow minute of the machine hits all
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    # the round that was disturbed least
    times = {name: min(values) for name, values in seconds.items()}
    report = Report(f"| {DIGITS} digits by | seconds |", "|---|---:|")
    for name, value in times.items():
        report.say(f"| {name} | {value:.2f} |")
    ancestral, theirs, ours, peers = times.values()
    report.say("")
    report.say(
        f"1000 ancestral steps take {ancestral / ours:.1f} times as long as {FEW} DDIM steps; ours"
        f" / diffusers': ancestral {ancestral / theirs:.2f}, DDIM {ours / peers:.2f}."
    )
    if options.publish:
        report.publish("sampling")


if __name__ == "__main__":
    main()
