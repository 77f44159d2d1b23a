"""Lesson 05: the embedding, the residual block, the attention and the whole U-Net."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from minddpm.checkpoints import load_pretrained
from minddpm.unet import ResidualBlock, SelfAttention, UNet, UNetConfig, timestep_embedding
from minddpm_course.comparisons import Rebuilt


def with_weights(yours: nn.Module, theirs: nn.Module, name: str) -> nn.Module:
    """Your module with the weights of the package's, in the order in which they were made."""
    mine, wanted = list(yours.parameters()), list(theirs.parameters())
    assert len(mine) == len(wanted), f"{name}, {len(wanted)} tensors of weights, got {len(mine)}"
    with torch.no_grad():
        for place, (weights, expected) in enumerate(zip(mine, wanted)):
            shapes = f"{tuple(expected.shape)}, got {tuple(weights.shape)}"
            assert weights.shape == expected.shape, f"{name}, tensor {place} of weights: {shapes}"
            weights.copy_(expected)
    return yours.eval()


def scrambled(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """A module whose weights are all random, those too that start at zero."""
    for weights in module.parameters():
        nn.init.normal_(weights, std=0.1, generator=generator)
    return module.eval()


def distance(mine: Tensor, theirs: Tensor) -> float:
    """The largest difference, as a share of how much the right answer varies."""
    assert mine.shape == theirs.shape
    return float((mine - theirs).abs().max() / theirs.std())


def equal_parts(yours: Rebuilt) -> Iterator[str]:
    """Random times, maps and weights, and the shipped weights; yields what is equal.

    Embeddings agree to 1e-6, and what networks put out in float32 to 1e-4 of its spread.
    """
    generator = torch.Generator().manual_seed(55)
    for dim in (2, 4, 64, 128):
        t = torch.randint(1, 1001, (50,), generator=generator)
        mine = yours.rebuilt_embedding(t, dim)
        same = torch.allclose(mine, timestep_embedding(t, dim), rtol=0, atol=1e-6)
        assert same, f"rebuilt_embedding, dim = {dim}"
    yield "rebuilt_embedding"

    with torch.inference_mode(False), torch.no_grad():
        config = UNetConfig()
        for c, k in ((16, 16), (32, 48)):
            theirs = scrambled(ResidualBlock(c, k, config), generator)
            mine = with_weights(
                yours.RebuiltBlock(c, k), theirs, f"RebuiltBlock, {c} to {k} channels"
            )
            x = torch.randn(3, c, 8, 6, generator=generator)
            features = torch.randn(3, 64, generator=generator)
            found = distance(mine(x, features), theirs(x, features))
            assert found < 1e-4, f"RebuiltBlock, {c} to {k} channels"
        yield "RebuiltBlock"

        theirs = scrambled(SelfAttention(32, config), generator)
        mine = with_weights(yours.RebuiltAttention(32), theirs, "RebuiltAttention")
        x = torch.randn(3, 32, 5, 7, generator=generator)
        assert distance(mine(x), theirs(x)) < 1e-4, "RebuiltAttention"
        yield "RebuiltAttention"

        fresh = yours.RebuiltUNet()
        x_t = torch.randn(6, 1, 28, 28, generator=generator)
        t = torch.randint(1, 1001, (6,), generator=generator)
        assert not fresh(x_t, t).any(), "RebuiltUNet, a fresh network predicts zero"
        shipped, _, _ = load_pretrained("mnist")
        for name, theirs in (
            ("random weights", scrambled(UNet(config), generator)),
            ("shipped weights", shipped),
        ):
            mine = with_weights(yours.RebuiltUNet(), theirs, "RebuiltUNet")
            assert distance(mine(x_t, t), theirs(x_t, t)) < 1e-4, f"RebuiltUNet, {name}"
        yield "RebuiltUNet"
