"""The page docs/diagnosis.md: its pictures, and the numbers between marks in its text."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from diagnosis.trainings import RUNS
from minddpm.checkpoints import write_whole
from minddpm_course.figures import GREY, STYLE, draw_image, new_figure

PAGE = Path(__file__).parents[2] / "docs/diagnosis.md"


@torch.inference_mode()
def computed_once(name: str, compute: Callable[[], Tensor]) -> Tensor:
    """A tensor that is computed and kept in a file, or read from that file."""
    path = RUNS / f"{name}.pt"
    if not path.exists():
        RUNS.mkdir(parents=True, exist_ok=True)
        torch.save(compute().clone(), path)
        print(name, flush=True)
    kept: Tensor = torch.load(path, weights_only=True)
    return kept


def strip(rows: dict[str, Tensor], limits: tuple[float, float] = (-1, 1)) -> Figure:
    """Rows of eight images, each with its word if it has one; an image that holds NaN becomes an
    empty frame.
    """
    words = any(rows)
    height = (0.8 if words else 0.87) * len(rows)
    figure, axes = new_figure(len(rows), 8 + words, height=height)
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


def save_picture(figure: Figure, name: str) -> None:
    """Write a picture of the page."""
    path = PAGE.with_suffix("") / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        figure.savefig(path, dpi=110, metadata={"Software": None})


def fill_in(numbers: dict[str, str]) -> None:
    """Put each text between its marks, <!-- name --> and <!-- /name -->.

    Raises: ValueError for a name that has no marks in the page.
    """
    page = PAGE.read_text()
    for name, text in numbers.items():
        block = "\n\n" if "\n" in text else ""
        marked = f"<!-- {name} -->{block}{text}{block}<!-- /{name} -->"
        before, start, rest = page.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not (start and end):
            raise ValueError(f"{PAGE} must have the marks <!-- {name} --> and <!-- /{name} -->")
        page = before + marked + after
    write_whole(PAGE, page.encode())


def loss_text(value: float | Tensor) -> str:
    """A loss at two digits."""
    loss = float(value)
    if loss < 0.01:
        return f"{loss:.4f}"
    return f"{loss:.3f}" if loss < 0.1 else f"{loss:.2f}"


def band_text(losses: Tensor) -> str:
    """The least and the largest of some losses."""
    least = loss_text(losses.min())
    largest = loss_text(losses.max())
    return least if least == largest else f"{least} to {largest}"


def enumeration(items: Sequence[object]) -> str:
    """1, 5 and 20."""
    *first, last = (str(item) for item in items)
    return f"{', '.join(first)} and {last}" if first else last


def table(head: str, rule: str, rows: list[str]) -> str:
    """A table of the page."""
    return "\n".join([head, rule, *rows])
