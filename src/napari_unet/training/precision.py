"""Half precision for training, where a short test finds it faster."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from napari_unet.config import Precision

#: What `auto` tries. On a CPU it tries nothing: a training there is the same bit for bit, whatever else is running.
CANDIDATES = {"cuda": (torch.bfloat16, torch.float16), "mps": (torch.float16,)}
NAMED = {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Seconds of the test, all precisions together; half precision must be faster by this factor.
SECONDS = 1.0
GAIN = 1.1

Objective = Callable[[nn.Module], Tensor]


def choose_dtype(wanted: Precision, network: nn.Module, objective: Objective, device: torch.device) -> torch.dtype:
    """The type to compute in.

    Parameters
    ----------
    wanted : {"auto", "off", "bf16", "fp16"}
        As in `TrainConfig`.
    network : nn.Module
        What will be trained; the test runs on a copy of it.
    objective : callable
        Gives the loss of a network on a real batch.
    device : torch.device
        Where it will be trained.
    """
    if wanted != "auto":
        return NAMED[wanted]
    candidates = [dtype for dtype in CANDIDATES.get(device.type, ()) if _is_native(dtype, device)]
    if not candidates:
        return torch.float32
    trial = copy.deepcopy(network).train()
    share = SECONDS / (len(candidates) + 1)
    times = {
        dtype: _duration(lambda: objective(trial), trial, device, dtype, share)
        for dtype in (torch.float32, *candidates)
    }
    best = min(candidates, key=times.__getitem__)
    return best if times[best] * GAIN < times[torch.float32] else torch.float32


def _is_native(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the device computes in it, rather than emulating it."""
    return dtype != torch.bfloat16 or torch.cuda.get_device_capability(device)[0] >= 8


def _duration(
    objective: Callable[[], Tensor], network: nn.Module, device: torch.device, dtype: torch.dtype, seconds: float
) -> float:
    """Shortest forward and backward pass of those that fit into `seconds`; the first one warms up."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 2 or time.perf_counter() < end:
        begin = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = objective()
        torch.autograd.backward(loss)
        network.zero_grad(set_to_none=True)
        loss.item()
        found.append(time.perf_counter() - begin)
    return min(found[1:])
