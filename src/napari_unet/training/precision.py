"""Half precision for training, where a short test finds it faster."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_unet.config import Precision
from napari_unet.networks.precision import NAMED, candidates, faster_types

Objective = Callable[[nn.Module], Tensor]


def choose_dtype(wanted: Precision, network: nn.Module, objective: Objective, device: torch.device) -> torch.dtype:
    """The type to compute in.

    Parameters
    ----------
    wanted : {"auto", "off", "bf16", "fp16"}
        As in `TrainConfig`. On a CPU ``"auto"`` is ``"off"``: a training there is the same bit for bit, whatever else
        is running.
    network : nn.Module
        What will be trained; the test runs on a copy of it.
    objective : callable
        Gives the loss of a network on a real batch.
    device : torch.device
        Where it will be trained.
    """
    if wanted != "auto":
        return NAMED[wanted]
    if not candidates(device):
        return torch.float32
    trial = copy.deepcopy(network).train()

    def passes(dtype: torch.dtype) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = objective(trial)
        torch.autograd.backward(loss)
        trial.zero_grad(set_to_none=True)
        loss.item()

    return next(iter(faster_types(passes, device)), torch.float32)
