"""Compare how long one digit takes on one core with PyTorch and with ONNX Runtime.

    python -m benchmarks one_digit [--steps 20] [--rounds 30] [--batch 1]

The two take turns, so that a slow minute of the machine hits both. Prints milliseconds of the
processor, which other work disturbs less than those of a clock, their ratio, and by how much the
digits differ at most.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from torch import Tensor

from benchmarks._report import Report, add_publish
from minddpm import OnnxNetwork, ddim_sample
from minddpm.checkpoints import load_pretrained
from minddpm.network import Model


def main() -> None:
    """Time both in turns, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="of DDIM (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=1, help="digits (default: %(default)s)")
    add_publish(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, schedule, _ = load_pretrained()
    start = time.perf_counter()
    models: dict[str, Model] = {"torch": network, "onnx": OnnxNetwork(network, (1, 28, 28))}
    exporting = time.perf_counter() - start

    def draw(model: Model, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        shape = (options.batch, 1, 28, 28)
        return ddim_sample(model, shape, schedule, steps=options.steps, generator=generator)

    seconds: dict[str, list[float]] = {name: [] for name in models}
    furthest = 0.0
    for seed in range(options.rounds + 1):
        digits = []
        for name, model in models.items():
            start = time.process_time()
            digits.append(draw(model, seed))
            seconds[name].append(time.process_time() - start)
        furthest = max(furthest, (digits[0] - digits[1]).abs().max().item())
    rounds = {name: values[1:] for name, values in seconds.items()}  # the first one warms up
    report = Report("| network by | median, ms | least, ms |", "|---|---:|---:|")
    for name, values in rounds.items():
        report.say(f"| {name} | {1000 * median(values):.1f} | {1000 * min(values):.1f} |")
    ratios = [first / second for first, second in zip(*rounds.values(), strict=True)]
    least = min(rounds["torch"]) / min(rounds["onnx"])
    report.say("")
    report.say(
        f"torch / onnx: {median(ratios):.2f} (median of {len(ratios)}), of the least {least:.2f}."
        f" Exported in {exporting:.1f} s; the digits differ by at most {furthest:.1e}."
    )
    if options.publish:
        report.publish("one_digit")


if __name__ == "__main__":
    main()
