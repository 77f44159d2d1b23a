"""A progress bar around a sampler."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor


def final_images(states: Iterable[Any], calls: int, progress: bool) -> Tensor:
    """Follow a sampler to its end and return the images.

    Args: states, `sampler.SampleStep`s down to t = 0; calls, how often the model is called, which
        the bar counts; progress, whether to show the bar.
    """
    from tqdm.auto import tqdm

    with tqdm(total=calls, desc="sampling", unit="step", disable=not progress) as bar:
        for state in states:
            bar.update(state.t > 0)
    images: Tensor = state.x_t
    return images
