"""The pictures of the symptoms: right samples, and those of each mistake."""

from torch import Tensor

from diagnosis.page import computed_once, save_picture, strip
from minddpm.checkpoints import load_pretrained
from minddpm.ddim import ddim_steps
from minddpm_course.diagnosis import (
    SHAPE,
    counting_sampler,
    first_noise_once,
    last_images,
    nan_sampler,
    noisy_sampler,
    right_sampler,
    transposed_network,
    twice_rescaled,
)


def right_samples() -> Tensor:
    """Eight samples of the shipped weights."""
    model, schedule, _ = load_pretrained("mnist")
    return computed_once("right", lambda: right_sampler(model, schedule))


def draw_symptoms() -> None:
    """Draw what is right, and each mistake."""
    model, schedule, _ = load_pretrained("mnist")
    right = right_samples()

    def from_one_noise() -> Tensor:
        one = last_images(ddim_steps(model, first_noise_once()[:1], schedule))
        return one.expand(SHAPE)

    def with_transposed_layers() -> Tensor:
        other, _, _ = load_pretrained("mnist")
        return right_sampler(transposed_network(other), schedule)

    pictures = {
        "right": right,
        "grey_mush": computed_once("grey_mush", lambda: counting_sampler(model, schedule)),
        "one_digit": computed_once("one_digit", from_one_noise),
        "noise_remains": computed_once("noise_remains", lambda: noisy_sampler(model, schedule)),
        "contrast_lost": twice_rescaled(right),
        "nan": computed_once("nan", lambda: nan_sampler(model, schedule)),
    }
    for name, images in pictures.items():
        save_picture(strip({"": images}), name)
    transposed = computed_once("checkerboard", with_transposed_layers)
    rows = {"mistaken": transposed, "right": right}
    save_picture(strip(rows, limits=(-1, -0.9)), "checkerboard")
