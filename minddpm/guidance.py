"""Sample images of a chosen class: classifier-free guidance (Ho & Salimans 2022)."""

import torch
from jaxtyping import Int64
from torch import Tensor

from minddpm.checks import check_dropping, check_guidance, check_one_for_each, source_device
from minddpm.network import Adapted, Model, Predict, classes_of
from minddpm.noising import Images
from minddpm.schedule import Rng


def guided(model: Model, label: int | Int64[Tensor, " b"], scale: float = 1.0) -> Adapted:
    """Fix the label: turn model(x_t, t, label) into a model(x_t, t) that any sampler takes.

    guided noise = unconditional + scale (conditional - unconditional)

    Scale 0 ignores the label, 1 is the plain conditional model, and a larger scale follows the
    label more strongly. Ho & Salimans write w = scale - 1.

    Args:
        model: called as model(x_t, t, label), and as model(x_t, t, None) without a label. A network
            whose forward names its labels class_labels, as those of diffusers do, is called with
            that keyword; if its config has num_class_embeds, the last of these means no label.
        label: an int for all images, or int64 of shape (b,), one for each; in 0..classes-1.
        scale: at least 0, finite.
    Raises: TypeError or ValueError for a label that the model does not know or a scale out of
        range; ValueError, when called, if there are more or fewer labels than images.
    Source: Ho & Salimans 2022, eq. 6.
    """
    check_guidance(label, classes_of(model), scale)

    def call(predict: Predict, x_t: Images, t: Int64[Tensor, " b"], label: Tensor) -> Images:
        labels = label if label.ndim else label.expand(len(x_t))
        check_one_for_each("label", labels, x_t)
        if scale == 1:
            return predict(x_t, t, labels)
        unconditional = predict(x_t, t, None)
        conditional = predict(x_t, t, labels)
        return unconditional + scale * (conditional - unconditional)

    return Adapted(model, call, label=torch.as_tensor(label, device="cpu"))


def drop_labels(
    labels: Int64[Tensor, " b"], classes: int, share: float, *, generator: Rng = None
) -> Int64[Tensor, " b"]:
    """Replace each label with probability `share` by `classes`, which means no label.

    This way one network learns to predict the noise both with a label and without.

    Args: labels, 0..classes-1, int64, shape (b,); classes, at least 1; share, in [0, 1].
    Raises: TypeError or ValueError for arguments other than these; on an accelerator the labels'
        values are not checked.
    Source: Ho & Salimans 2022, algorithm 1.
    """
    check_dropping(labels, classes, share)
    source = source_device(generator, labels.device)
    chance = torch.rand(labels.shape, generator=generator, device=source, dtype=torch.float32)
    return labels.where(chance.to(labels.device) >= share, classes)
