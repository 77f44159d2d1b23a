"""Arguments that are made where an answer runs: functions, networks, optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Made:
    """An argument that cannot be sent to another process, as the code that makes it.

    Args:
        code: Python that leaves the argument under its own name. It can use torch, nn and F, its
            tensors, and the arguments before it, by name.
        tensors: numbers that it needs, by name.
    """

    code: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def precise(self) -> Made:
        """The same with its numbers in float64."""
        return replace(self, tensors={name: x.double() for name, x in self.tensors.items()})


def realised(names: Sequence[str], args: Sequence[Any]) -> list[Any]:
    """The arguments of one call, those that are `Made` made afresh."""
    values: dict[str, Any] = {}
    for name, arg in zip(names, args):
        if isinstance(arg, Made):
            copies = {key: tensor.clone() for key, tensor in arg.tensors.items()}
            space = {"torch": torch, "nn": nn, "F": F, **values, **copies}
            exec(arg.code, space)
            arg = space[name]
        values[name] = arg
    return list(values.values())


def looked_at(names: Sequence[str], args: Sequence[Any], look: str, result: Any) -> Any:
    """What is compared after a call: an expression of the arguments and of the `result`."""
    return eval(look, {"torch": torch, **dict(zip(names, args)), "result": result})
