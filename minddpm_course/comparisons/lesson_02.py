"""Lesson 02: one step, the jump, and both ways back."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from minddpm import linear_schedule
from minddpm import noising as package
from minddpm_course.comparisons import Rebuilt


def seeded(seed: int) -> Generator:
    """A source of randomness."""
    return Generator().manual_seed(seed)


def same(mine: Tensor, theirs: Tensor) -> bool:
    """Whether two batches of images are equal, to 1e-12 in float64 and 1e-5 in float32."""
    limit = 1e-12 if theirs.dtype == torch.float64 else 1e-5
    return mine.dtype == theirs.dtype and torch.allclose(mine, theirs, rtol=limit, atol=limit)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Images of several ranks and dtypes, one time for all or one each; yields what is equal."""
    schedule, generator = linear_schedule(), seeded(5)
    for shape in ((6,), (6, 3), (6, 1, 8, 8), (6, 3, 4, 5, 2)):
        for dtype in (torch.float32, torch.float64):
            own = [schedule.sample_t(6, generator=generator) for _ in range(2)]
            times: list[int | Tensor] = [1, 259, 1000, *own]
            for t in times:
                where = f"shape {shape}, {dtype}, t = {t}"
                x = torch.rand(shape, dtype=dtype, generator=generator) * 2 - 1
                noise = torch.randn(shape, dtype=dtype, generator=seeded(6))
                mine = yours.forward_step(x, t, schedule, noise)
                theirs = package.forward_step(x, t, schedule, generator=seeded(6))
                assert same(mine, theirs), f"forward_step, {where}"
                mine = yours.forward_diffusion(x, t, schedule, noise)
                theirs, used = package.forward_diffusion(x, t, schedule, generator=seeded(6))
                assert torch.equal(used, noise), f"noise drawn, {where}"
                assert same(mine, theirs), f"forward_diffusion, {where}"
                x_t = torch.randn(shape, dtype=dtype, generator=generator)
                for name, known in (("x0_from_noise", noise), ("noise_from_x0", x)):
                    mine = getattr(yours, name)(x_t, t, known, schedule)
                    theirs = getattr(package, name)(x_t, t, known, schedule)
                    assert same(mine, theirs), f"{name}, {where}"
    clean, _ = package.forward_diffusion(x, 0, schedule)
    assert torch.equal(clean, x), "t = 0 is the clean image"
    yield from ("forward_step", "forward_diffusion", "x0_from_noise", "noise_from_x0")
