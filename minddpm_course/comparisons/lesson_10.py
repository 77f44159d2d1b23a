"""Lesson 10: dropped labels, and guided noise."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from minddpm import guidance as package
from minddpm_course.comparisons import Rebuilt


def labelled(x_t: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
    """A model to which each label, its absence and the time matter."""
    slope = torch.zeros(len(x_t)) if label is None else label + 1.0  # (n,)
    return torch.sin(x_t * slope[:, None]) + x_t + t[:, None] / 1000  # (n, d)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Shares from none to all, scales below and above 1; yields what is equal.

    Noises are float64 and agree to 1e-12.
    """
    generator = Generator().manual_seed(10)
    labels = torch.randint(10, (5000,), generator=generator)
    for share in (0.0, 0.1, 0.5, 1.0):
        mine = yours.drop_labels(labels, 10, share, generator=Generator().manual_seed(1))
        theirs = package.drop_labels(labels, 10, share, generator=Generator().manual_seed(1))
        assert torch.equal(mine, theirs), f"drop_labels, share {share}"
    yield "drop_labels"
    x_t, without, told = torch.randn(3, 50, 4, generator=generator, dtype=torch.float64)
    t = torch.randint(1, 1001, (50,), generator=generator)
    scales = (0.0, 0.5, 1.0, 1.5, 4.0)
    for scale in scales:
        both = package.guided(lambda x, t, label: without if label is None else told, 0, scale)
        difference = yours.guided_noise(without, told, scale) - both(x_t, t)
        assert difference.abs().max() <= 1e-12, f"guided_noise, scale {scale}"
    yield "guided_noise"
    for scale in scales:
        mine = yours.guided(labelled, labels[:50], scale)(x_t, t)
        theirs = package.guided(labelled, labels[:50], scale)(x_t, t)
        assert (mine - theirs).abs().max() <= 1e-12, f"guided, scale {scale}"
    yield "guided"
