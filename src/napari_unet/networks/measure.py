"""Cost of networks that are not written as graphs: run without values, on torch's meta device, and counted."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from napari_unet.config import ModelConfig
from napari_unet.networks.build import build_network


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are made within it, alive at a time.

    Attributes
    ----------
    peak : int
        Most bytes alive at a time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func` and look at what it made."""
        made = func(*args, **kwargs or {})
        for value in tree_iter(made):
            if isinstance(value, Tensor):
                self._see(value)
        self.peak = max(self.peak, sum(self._alive.values()))
        return made

    def _see(self, value: Tensor) -> None:
        storage = value.untyped_storage()
        key = storage._cdata
        if key not in self._alive:
            self._alive[key] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, key, None)


def measure(config: ModelConfig, spatial: Sequence[int], batch: int, *, training: bool) -> tuple[int, int, int]:
    """Count parameters, operations, and the peak bytes of activations and gradients of one pass."""
    with torch.device("meta"):
        network = build_network(config, pretrained=False)
        network = network.to("meta").train(training)
        image = torch.empty(batch, config.in_channels, *spatial)
    with FlopCounterMode(display=False) as counted, PeakMemory() as memory, torch.set_grad_enabled(training):
        output = network(image)
        if training:
            output.sum().backward()
    parameters = sum(values.numel() for values in network.parameters())
    return parameters, counted.get_total_flops(), memory.peak + image.nbytes
