"""Several processes that train one network, started by ``torchrun``: one for each GPU, or on a CPU for tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

Outputs = Callable[[Tensor], list[Tensor]]


def is_launched() -> bool:
    """Whether ``torchrun`` started this process."""
    return bool(dist.is_available() and dist.is_torchelastic_launched())


def rank() -> int:
    """Number of this process among its team; 0 writes files and speaks."""
    return int(os.environ.get("RANK", "0")) if is_launched() else 0


def local_device(name: str) -> str:
    """The device of this process: with ``"auto"`` or ``"cuda"`` each takes a GPU of its own."""
    if is_launched() and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    return name


def leave() -> None:
    """Part from the team, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class Team:
    """The processes that train together; one alone needs no other.

    Parameters
    ----------
    device : torch.device
        Where this process computes: NCCL carries the gradients between GPUs, gloo between CPUs.
    """

    def __init__(self, device: torch.device) -> None:
        if is_launched() and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        self._device = device
        self.size = dist.get_world_size() if is_launched() else 1
        self.rank = dist.get_rank() if is_launched() else 0

    def wrap(self, outputs: nn.Module) -> Outputs:
        """Let gradients be averaged over the team; everybody starts from the weights of rank 0."""
        if self.size == 1 or not any(p.requires_grad for p in outputs.parameters()):
            return cast("Outputs", outputs)
        wrapped = nn.parallel.DistributedDataParallel(outputs, broadcast_buffers=False, find_unused_parameters=True)
        return cast("Outputs", wrapped)

    def alone(self, outputs: Outputs) -> AbstractContextManager[Any]:
        """Context in which gradients are only added up, not averaged yet."""
        if isinstance(outputs, nn.parallel.DistributedDataParallel):
            return outputs.no_sync()
        return nullcontext()

    def share_buffers(self, network: nn.Module) -> None:
        """Running statistics become those of rank 0."""
        if self.size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)

    def agree(self, choice: int) -> int:
        """What rank 0 chose: nobody stops while the others wait for it."""
        if self.size == 1:
            return choice
        word = torch.tensor([choice], device=self._device)
        dist.broadcast(word, 0)
        return int(word.item())
