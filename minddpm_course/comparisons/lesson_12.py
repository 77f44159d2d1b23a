"""Lesson 12: filling in, two wishes at once, and the way between them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from minddpm import inpaint, linear_schedule
from minddpm_course.comparisons import Rebuilt


def model(x_t: Tensor, t: Tensor) -> Tensor:
    """Some smooth function to which the place in the image and the time matter."""
    ramp = torch.linspace(0, 1, x_t.shape[-1], dtype=x_t.dtype)
    return torch.sin(x_t + ramp + t.reshape(-1, 1, 1, 1) / 10)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random images in float64; yields what is equal to the package, or to its definition.

    Images agree to 1e-9, predictions to 1e-12.
    """
    schedule = linear_schedule(10, 0.01, 0.5)
    generator = Generator().manual_seed(12)
    images = torch.rand(3, 1, 4, 4, generator=generator, dtype=torch.float64) * 2 - 1
    mask = torch.rand(3, 1, 4, 4, generator=generator) < 0.5
    for resamplings in (1, 2, 5):
        for clip in (True, False):
            mine, theirs = (
                fill(
                    *(model, images, mask, schedule),
                    resamplings=resamplings,
                    clip=clip,
                    generator=Generator().manual_seed(1),
                )
                for fill in (yours.inpaint, inpaint)
            )
            same = (mine - theirs).abs().max() <= 1e-9
            assert same, f"inpaint, {resamplings} resamplings, clip={clip}"
    yield "inpaint"
    t = torch.tensor([1, 5, 10])

    def other(x_t: Tensor, t: Tensor) -> Tensor:
        return 3 * model(x_t, t) - x_t

    upright, over = model(images, t), other(images.flip(2, 3), t).flip(2, 3)
    difference = yours.turned_over(model, other)(images, t) - (upright + over) / 2
    assert difference.abs().max() <= 1e-12, "turned_over"
    yield "turned_over"
    for share in (0.0, 0.25, 1.0):
        mixed = (1 - share) * upright + share * other(images, t)
        difference = yours.between(model, other, share)(images, t) - mixed
        assert difference.abs().max() <= 1e-12, f"between, share {share}"
    yield "between"
