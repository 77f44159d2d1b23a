"""Share a network as Hugging Face's hub does: from_pretrained, save_pretrained, push_to_hub."""

from __future__ import annotations

import copy
import types
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class OnHub(nn.Module):
    """A network with the methods of huggingface_hub's `PyTorchModelHubMixin`.

    A subclass has an attribute `config`, a dataclass, from which `cls(config=config)` builds the
    same network. huggingface_hub is optional and slow to import, so only these methods import it.
    """

    config: Any

    @classmethod
    def from_pretrained(cls: type[Network], name: str | Path, **options: Any) -> Network:
        """Load a network in eval mode from a repository of the hub, such as "me/digits", or from a
        folder.

        Args: options, as `PyTorchModelHubMixin.from_pretrained` takes them (revision, token, ...);
            `strict` is True by default, which refuses missing weights.
        Raises: ImportError where huggingface_hub is not installed.
        """
        network = with_hub(cls).from_pretrained(name, **{"strict": True} | options)
        network.__class__ = cls  # a plain network again, which pickles as one
        return network  # type: ignore[no-any-return]

    def save_pretrained(self, folder: str | Path, **options: Any) -> Any:
        """Write config.json, model.safetensors and a model card into a folder.

        Args: options, as `PyTorchModelHubMixin.save_pretrained` takes them.
        Raises: ImportError where huggingface_hub is not installed.
        """
        return self.on_hub().save_pretrained(folder, **options)

    def push_to_hub(self, name: str, **options: Any) -> Any:
        """Upload what `save_pretrained` writes to a repository of the hub, such as "me/digits".

        Args: options, as `PyTorchModelHubMixin.push_to_hub` takes them (private, token, ...).
        Raises: ImportError where huggingface_hub is not installed.
        """
        return self.on_hub().push_to_hub(name, **options)

    def on_hub(self) -> Any:
        """This network, its weights shared, as an instance of `PyTorchModelHubMixin`."""
        network: Any = copy.copy(self)
        network.__class__ = with_hub(type(self))
        network._hub_mixin_config = self.config
        return network


def with_hub(cls: Any) -> Any:
    """A class of networks, made a subclass of `PyTorchModelHubMixin`."""
    try:
        from huggingface_hub import PyTorchModelHubMixin
    except ImportError as error:
        raise ImportError(
            "sharing networks needs huggingface_hub: pip install huggingface_hub"
        ) from error
    card = {
        "library_name": "minddpm",
        "pipeline_tag": "unconditional-image-generation",
        "paper_url": "https://arxiv.org/abs/2006.11239",
    }
    return types.new_class(cls.__name__, (PyTorchModelHubMixin, cls), card)
