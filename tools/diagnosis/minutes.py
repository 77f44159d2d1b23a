"""What samples look like after some minutes of training, from one x_T."""

from pathlib import Path

from torch import Tensor

from diagnosis.curves import published_log
from diagnosis.page import computed_once, enumeration, save_picture, strip
from diagnosis.symptoms import right_samples
from diagnosis.trainings import IMAGES_A_MINUTE, LESSON, minute_path, seed_path
from minddpm.checkpoints import load
from minddpm_course.diagnosis import right_sampler

MINUTES = [1, 5, 20, 60]


def samples_of(path: Path, name: str) -> Tensor:
    """Eight samples of the weights in a file."""
    model, schedule, _ = load(path)
    return computed_once(name, lambda: right_sampler(model, schedule))


def draw_minutes() -> dict[str, str]:
    """Draw samples at each moment whose weights exist, and return the numbers for the page."""
    rows: dict[str, Tensor] = {}
    if seed_path(0).exists():
        images = LESSON["steps"] * LESSON["batch_size"]
        rows[f"{images:,}\nlesson 07"] = samples_of(seed_path(0), "samples_seed_0")
    measured = [minutes for minutes in MINUTES if minute_path(minutes).exists()]
    missing = [minutes for minutes in MINUTES if minutes not in measured]
    for minutes in measured:
        _, _, about = load(minute_path(minutes))
        word = f"{about['images_seen']:,}\n{minutes} min"
        rows[word] = samples_of(minute_path(minutes), f"samples_minutes_{minutes}")
    last = published_log()[-1]
    rows[f"{last['images']:,.0f}\n{last['seconds'] / 60:.0f} min"] = right_samples()
    save_picture(strip(rows), "minutes")

    sentences = []
    if measured:
        source = "the settings of `python -m minddpm train --recipe paper`, stopped early"
        sentences.append(f"The rows of {enumeration(measured)} min come from {source}.")
    if missing:
        sentences.append(f"Not measured, hence not drawn: {enumeration(missing)} minutes.")
    return {
        "a_minute": f"{round(IMAGES_A_MINUTE, -3):,.0f}",
        "measured": " ".join(sentences),
        "seen": enumeration([f"{minutes * IMAGES_A_MINUTE:,.0f}" for minutes in MINUTES]),
    }
