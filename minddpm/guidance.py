"""Ask for a kind of image, and how strongly: classifier-free guidance (Ho & Salimans 2022)."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn


class Guided(nn.Module):
    """A model of x_t and t alone, for any sampler: see `guided`."""

    def __init__(
        self, model: Callable[..., Tensor], label: int | Int64[Tensor, "b"], scale: float
    ) -> None:
        super().__init__()
        self.model, self.label, self.scale = model, torch.as_tensor(label), scale

    def forward(
        self, x_t: Float[Tensor, "b *dims"], t: Int64[Tensor, "b"]
    ) -> Float[Tensor, "b *dims"]:
        label = (self.label if self.label.ndim else self.label.expand(len(x_t))).to(t.device)
        if self.scale == 1:
            return self.model(x_t, t, label)
        unconditional = self.model(x_t, t, None)
        return unconditional + self.scale * (self.model(x_t, t, label) - unconditional)


def guided(
    model: Callable[..., Tensor], label: int | Int64[Tensor, "b"], scale: float = 1.0
) -> Guided:
    """Make of a model that takes labels one that draws this label, exaggerated by the scale.

    guided noise = unconditional + scale (conditional - unconditional)
    Scale 0 ignores the label, 1 is the plain conditional model, more goes beyond it. Ho & Salimans
    write w = scale - 1.

    Args: model, asked as model(x_t, t, label), and without a label as model(x_t, t, None);
        label: one for all images, or int64 of shape (b,), one for each; scale: at least 0, finite.
    Raises: TypeError or ValueError for a label that the model does not know, or a scale out of
        range.
    Source: Ho & Salimans 2022, eq. 6.
    """
    if not 0 <= scale < math.inf:
        raise ValueError(f"scale must be finite and at least 0, got {scale}")
    return Guided(model, label, scale)


def drop_labels(
    labels: Int64[Tensor, "b"], classes: int, share: float, *, generator: Generator | None = None
) -> Int64[Tensor, "b"]:
    """Replace labels by `classes`, which stands for none, each with probability `share`: one
    network learns both.

    Raises: ValueError for a share outside [0, 1].
    Source: Ho & Salimans 2022, algorithm 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    return labels.where(
        torch.rand(labels.shape, generator=generator).to(labels.device) >= share, classes
    )
