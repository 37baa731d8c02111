"""Half precision, where a short test on the device itself finds it faster, and of the same labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from napari_unet.networks.timing import shortest

NAMED = {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Seconds of the test, all precisions together; half precision must be faster by this factor.
SECONDS = 1.0
GAIN = 1.1
#: Part of the labels that must be equal.
SAME_LABELS = 0.999

_CANDIDATES = {"cuda": (torch.float16, torch.bfloat16), "mps": (torch.float16,)}
#: What was found faster, the fastest first.
_known: dict[Hashable, tuple[torch.dtype, ...]] = {}


def candidates(device: torch.device) -> tuple[torch.dtype, ...]:
    """What is tried on a device; nothing on a CPU, where results must not depend on what else is running.

    Examples
    --------
    >>> candidates(torch.device("cpu"))
    ()
    """
    return tuple(dtype for dtype in _CANDIDATES.get(device.type, ()) if _is_native(dtype, device))


def faster_types(work: Callable[[torch.dtype], object], device: torch.device) -> tuple[torch.dtype, ...]:
    """The types in which `work` is faster than in float32, the fastest first.

    Parameters
    ----------
    work : callable
        Computes in the type that it is given, and is done when it returns.
    device : torch.device
        Where it computes. The test takes about a second.
    """
    tried = candidates(device)
    if not tried:
        return ()
    share = SECONDS / (len(tried) + 1)
    single = shortest(lambda: work(torch.float32), share)
    times = {dtype: shortest(lambda dtype=dtype: work(dtype), share) for dtype in tried}  # type: ignore[misc]
    return tuple(sorted((dtype for dtype in tried if times[dtype] * GAIN < single), key=times.__getitem__))


@torch.inference_mode()
def choose_precision(network: Callable[[Tensor], Tensor], example: Tensor, key: Hashable) -> torch.dtype:
    """Find the fastest precision for a network on its own device.

    Parameters
    ----------
    network : callable
        Image batch ``(N, C, *spatial)`` to logits ``(N, K, *spatial)``, as in a prediction.
    example : Tensor
        A real input on the network's device.
    key : hashable
        Device and config: what was found faster for them is not timed again. The labels are compared each time,
        because weights may have changed.

    Returns
    -------
    torch.dtype
        For `torch.autocast`; ``float32`` unless another one is faster and gives equal labels at 99.9 % of the pixels.
    """
    device = example.device

    def passes(dtype: torch.dtype) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return network(example)

    if key not in _known:
        _known[key] = faster_types(lambda dtype: passes(dtype).flatten()[0].item(), device)
    if not _known[key]:
        return torch.float32
    expected = _labels(passes(torch.float32))
    for dtype in _known[key]:
        if (_labels(passes(dtype)) == expected).float().mean().item() >= SAME_LABELS:
            return dtype
    return torch.float32


def _is_native(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the device computes in it, rather than emulating it."""
    return dtype != torch.bfloat16 or device.type != "cuda" or torch.cuda.get_device_capability(device)[0] >= 8


def _labels(logits: Tensor) -> Tensor:
    return logits.argmax(1) if logits.shape[1] > 1 else logits > 0
