"""Draw the pictures of docs/appendix_bound.md, and write its table of the two variances.

    python tools/build_appendix.py

The table and the second picture come from minddpm/assets/results.json, which
`python tools/measure_results.py bound` writes: run this again after it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from benchmarks._report import put_between_marks
from minddpm import Gaussian, beta_variance, linear_schedule, posterior_variance
from minddpm.data import ASSETS
from minddpm.loss import discretised_log_likelihood
from minddpm_course.figures import COLOURS, INK, STYLE, bell, darken_words, new_figure

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "appendix_bound.md"
SCHEDULE = linear_schedule()
TIMES = torch.arange(2, SCHEDULE.T + 1)
SHOWN = 699  # of these times, t = 2..700


def bins() -> Figure:
    """The last Gaussian and the probabilities of its bins, at black and at a grey level."""
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    sigma2 = posterior_variance(2, SCHEDULE)
    spread = float(sigma2.sqrt())
    figure, (axes,) = new_figure(1, 2, height=2.6, sharey=True)
    for axis, first, mean in zip(axes, (0, 150), (-0.998, float(levels[153]) + 0.003)):
        shown = levels[first : first + 7]
        decoder = Gaussian(torch.full_like(shown, mean), sigma2)
        bars = discretised_log_likelihood(shown, decoder).exp()
        line = torch.linspace(float(shown[0]) - 0.03, float(shown[-1]) + 0.01, 400).numpy()
        edge = COLOURS["clean"]
        axis.bar(shown.numpy(), bars.numpy(), 2 / 255, fc="none", edgecolor=edge, linewidth=1.2)
        axis.plot(line, bell(line, mean, spread) * 2 / 255, color=COLOURS["network"])
        axis.set(xlabel="pixel value")
    axes[0].set(ylabel="probability of the bin", ylim=(0, 0.7), xlim=(-1.04, -0.95))
    axes[0].set(xticks=[-1.03, -1, -0.97])
    below = [-1.04, -1 - 1 / 255]
    axes[0].fill_between(below, 0, 1, color=COLOURS["clean"], alpha=0.12, linewidth=0)
    axes[0].text(-1.039, 0.53, "the bin of black\nreaches to $-\\infty$", color=COLOURS["clean"])
    words = "the last Gaussian,\nits density times\nthe bin's width"
    axes[0].text(-0.985, 0.3, words, color=COLOURS["network"])
    return figure


def best_variance(stored: dict[str, Any]) -> Figure:
    """Where the best variance of digits lies, from 0 at beta tilde to 1 at beta."""
    beta, tilde = beta_variance(TIMES, SCHEDULE), posterior_variance(TIMES, SCHEDULE)
    alpha_bar = SCHEDULE.alpha_bar[TIMES]
    nats = torch.tensor(stored["beta tilde"]["by_t"], dtype=torch.float64).flip(0) * math.log(2)
    error = nats * 2 * tilde * SCHEDULE.alpha[TIMES] * (1 - alpha_bar) / beta**2  # eq. 12
    share = (error / alpha_bar)[:SHOWN]
    figure, ((axis,),) = new_figure(height=2.5)
    axis.plot(TIMES[:SHOWN].numpy(), share.numpy(), color=COLOURS["network"])
    axis.axhline(1, color=INK, linewidth=1)
    axis.axhline(0, color=COLOURS["posterior"], linewidth=1)
    axis.text(2.2, 0.97, "1: $\\beta$ is best", va="top")
    axis.text(2.2, 0.02, "0: $\\tilde\\beta$ is best", color=COLOURS["posterior"])
    axis.text(60, 0.13, "digits", color=COLOURS["network"])
    axis.set(xscale="log", xlim=(2, 700), ylim=(-0.05, 1.05))
    axis.set(xlabel="$t$", ylabel="share $e_t / \\overline{\\alpha}_t$")
    return figure


def table(stored: dict[str, Any]) -> str:
    """The terms of the bound by variance and number of steps, in Markdown."""
    lines = ["| steps | variance | prior | denoising | reconstruction | all |"]
    lines.append("|---:|---|---:|---:|---:|---:|")
    for steps in ("1000", "250", "100", "50"):
        for name, symbol in (("beta tilde", "$\\tilde\\beta_t$"), ("beta", "$\\beta_t$")):
            row = stored[name][steps]
            keys = ("prior", "denoising", "reconstruction", "total")
            cells = " | ".join(f"{row[key]:.2f}" for key in keys)
            lines.append(f"| {steps} | {symbol} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Draw the pictures and fill in the table."""
    plt.rcParams.update(STYLE)
    stored = json.loads((ASSETS / "results.json").read_text(encoding="utf-8"))["bound"]
    stored = stored["bits_per_dim"]
    for name, figure in (("bins", bins()), ("best_variance", best_variance(stored))):
        darken_words(figure)
        path = DOCS / "appendix_bound" / f"{name}.png"
        figure.savefig(path, dpi=165, metadata={"Software": None})
    put_between_marks(PAGE, "variances", table(stored))


if __name__ == "__main__":
    main()
