"""Ask for a kind of image, and how strongly: classifier-free guidance (Ho & Salimans 2022)."""

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from minddpm.checks import check_labels, check_one_for_each, check_share
from minddpm.network import Adapted, Model, as_prediction, classes_of
from minddpm.noising import Images
from minddpm.schedule import Rng


def guided(model: Model, label: int | Int64[Tensor, " b"], scale: float = 1.0) -> Adapted:
    """Turn a model that takes labels into one of x_t and t alone, which any sampler takes.

    guided noise = unconditional + scale (conditional - unconditional)

    Scale 0 ignores the label, 1 is the plain conditional model, more exaggerates the label. Ho &
    Salimans write w = scale - 1.

    Args:
        model: called as model(x_t, t, label), and as model(x_t, t, None) without a label.
        label: one for all images, or int64 of shape (b,), one for each; in 0..classes-1.
        scale: at least 0, finite.
    Raises: TypeError or ValueError for a label that the model does not know or a scale out of
        range; ValueError, when called, for another number of labels than images.
    Source: Ho & Salimans 2022, eq. 6.
    """
    if not 0 <= scale < math.inf:
        raise ValueError(f"scale must be finite and at least 0, got {scale}")
    check_labels(label, classes_of(model))

    def call(model: Model, x_t: Images, t: Int64[Tensor, " b"], label: Tensor) -> Images:
        labels = label if label.ndim else label.expand(len(x_t))
        check_one_for_each("label", labels, x_t)
        if scale == 1:
            return as_prediction(model(x_t, t, labels), x_t)
        unconditional = as_prediction(model(x_t, t, None), x_t)
        conditional = as_prediction(model(x_t, t, labels), x_t)
        return unconditional + scale * (conditional - unconditional)

    return Adapted(model, call, label=torch.as_tensor(label, device="cpu"))


def drop_labels(
    labels: Int64[Tensor, " b"], classes: int, share: float, *, generator: Rng = None
) -> Int64[Tensor, " b"]:
    """Replace labels by `classes`, which stands for no label, each with probability `share`.

    So one network learns to predict the noise with a label and without.

    Raises: ValueError for a share outside [0, 1].
    Source: Ho & Salimans 2022, algorithm 1.
    """
    check_share("share", share)
    source = generator.device if generator else labels.device
    chance = torch.rand(labels.shape, generator=generator, device=source, dtype=torch.float32)
    return labels.where(chance.to(labels.device) >= share, classes)
