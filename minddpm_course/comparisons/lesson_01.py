"""Lesson 01: both schedules, their arrays, and the helpers that use them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from minddpm import schedule as package
from minddpm_course.comparisons import Rebuilt


def same(mine: Tensor, theirs: Tensor) -> bool:
    """Whether two arrays are equal to a relative 1e-12."""
    return len(mine) == len(theirs) and torch.allclose(mine, theirs, rtol=1e-12, atol=0)


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Fifty schedules with random settings, and the two of the lesson; yields what is equal."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        T = int(torch.randint(2, 2000, (), generator=generator))
        scale = torch.tensor([0.001, 0.05])
        low, high = (torch.rand(2, generator=generator) * scale + 1e-5).tolist()
        s = 0.05 * float(torch.rand((), generator=generator))
        betas = torch.rand(T, generator=generator, dtype=torch.float64) * 0.05 + 1e-3
        schedules = {
            "from_betas": (betas, package.Schedule.from_betas(betas)),
            "linear_betas": (
                yours.linear_betas(T, low, high),
                package.linear_schedule(T, low, high),
            ),
            "cosine_betas": (yours.cosine_betas(T, s, 0.99), package.cosine_schedule(T, s, 0.99)),
        }
        for name, (mine, theirs) in schedules.items():
            beta, alpha_bar = yours.from_betas(mine)
            assert same(beta, theirs.beta), f"{name}, beta, T = {T}"
            assert same(alpha_bar, theirs.alpha_bar), f"{name}, alpha_bar, T = {T}"
            assert same(1 - beta, theirs.alpha), f"{name}, alpha, T = {T}"
            assert same(yours.snr(alpha_bar), theirs.snr), f"snr of {name}, T = {T}"
        assert list(theirs.steps()) == list(yours.steps(T)), f"steps, T = {T}"
        drawn = yours.sample_t(T, 64, torch.Generator().manual_seed(T))
        expected = theirs.sample_t(64, generator=torch.Generator().manual_seed(T))
        assert torch.equal(drawn, expected), f"sample_t, T = {T}"
    usual = (
        (yours.linear_betas(), package.linear_schedule()),
        (yours.cosine_betas(), package.cosine_schedule()),
    )
    for mine, theirs in usual:
        assert same(mine, theirs.beta[1:]), "the usual settings"
    yield from ("linear_betas", "cosine_betas", "from_betas", "snr", "steps", "sample_t")
    x = torch.randn(5, 1, 4, 3, generator=generator)
    own = torch.rand(5, generator=generator, dtype=torch.float64)
    assert torch.equal(yours.per_image(own, x), package.per_image(own, x)), "per_image"
    yield "per_image"
