"""Training by several processes, as torchrun starts them: they share each batch, and one writes.

    torchrun --nproc-per-node 2 -m minddpm train

Every process holds all weights and takes every step. Each makes the whole batch, draws its times
and noise with the same seed, and works out the loss of all of it; only the network, which is
nearly all of the work, sees a share. So the processes together draw what one alone would draw, any
loss can be trained, and all of them see the same loss and stop at the same step if it is NaN.

Without torchrun nothing here does anything.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Answer = TypeVar("Answer")


def processes() -> int:
    """How many processes train together: 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0; the first one writes and speaks for all."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    return int(os.environ["RANK"]) if by_torchrun() else 0


def by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Meet the other processes that torchrun started, if it started this one.

    They talk by NCCL on Nvidia's GPUs, and by Gloo on CPUs.

    Yields: the device of this process; on a machine with several GPUs each has its own.
    Raises: ValueError for a device that processes cannot share.
    """
    if not by_torchrun():
        yield device
        return
    device = device_of(device, int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    # no error, as it says itself: the memory of a gradient is laid out in another order
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    before = signal.signal(signal.SIGTERM, ended)
    try:
        yield device
    finally:
        signal.signal(signal.SIGTERM, before)
        dist.destroy_process_group()


def device_of(device: torch.device, place: int) -> torch.device:
    """The device of the process at this place on its machine, counted from 0.

    Raises: ValueError for a device that processes cannot share.
    """
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise ValueError(f"several processes cannot share the device {device}: use --device cpu")
    there = torch.cuda.device_count()
    if place >= there:
        raise ValueError(
            f"--nproc-per-node must be at most {there}, one process for each GPU, got more"
        )
    torch.cuda.set_device(place)
    return torch.device("cuda", place)


def ended(*_: Any) -> None:
    """Answer SIGTERM, by which torchrun ends the others when a process has failed."""
    raise RuntimeError("torchrun ended this process: another one failed, or the job was stopped")


def from_first(find: Callable[[], Answer]) -> Answer:
    """What the first process finds; the others, which do not look, get a copy of it.

    Raises: in each process, what the search raises in the first.
    """
    if processes() == 1:
        return find()
    answer: list[Any] = [None, None]
    if rank() == 0:
        try:
            answer[0] = find()
        except Exception as error:  # whatever it is, the others must not wait for an answer
            answer[1] = error
    dist.broadcast_object_list(answer)
    found, met = answer
    if met is not None:
        raise met
    return found  # type: ignore[no-any-return]  # it has been a pickle


def shared(model: nn.Module, batch_size: int) -> nn.Module:
    """A model whose processes share each batch; the model itself if there is one process.

    Raises: ValueError for a batch that cannot be shared equally.
    """
    if processes() == 1:
        return model
    if batch_size % processes():
        raise ValueError(
            f"batch_size must be a multiple of {processes()}, the number of processes, got"
            f" {batch_size}"
        )
    return Sharing(model, static_graph=True)  # weights that no loss depends on do no harm


class Sharing(nn.parallel.DistributedDataParallel):
    """A network that is called with a whole batch, sees its share, and returns the whole answer.

    The gradient reaches only the answer to its own share, and is the same as with one process once
    DistributedDataParallel has added up those of all. What a network computes from several images
    together, such as the mean of a BatchNorm, it computes from its share alone.
    """

    def forward(self, x_t: Tensor, *more: Any, **named: Any) -> Tensor:
        count = len(x_t) // processes()
        rows = slice(rank() * count, (rank() + 1) * count)

        def own(value: Any) -> Any:
            return value[rows] if isinstance(value, Tensor) else value

        forward: Callable[..., Any] = super().forward
        named = {name: own(value) for name, value in named.items()}
        answer = forward(own(x_t), *map(own, more), **named)
        share: Tensor = getattr(answer, "sample", answer)  # as diffusers' networks return it
        if share.requires_grad:
            # DistributedDataParallel takes the mean over processes, and this is a part of a sum
            share.register_hook(lambda gradient: processes() * gradient)
        sent = share.detach().contiguous()
        shares = [torch.empty_like(sent) for _ in range(processes())]
        dist.all_gather(shares, sent)
        shares[rank()] = share
        return torch.cat(shares)
