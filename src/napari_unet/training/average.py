"""Averaged weights: what predicts while the other weights still jump about."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average of a network's weights (Polyak and Juditsky 1992).

    The decay rises with the number of updates, ``min(decay, (1 + n) / (10 + n))``, so that random weights are soon
    forgotten, and learnt ones are not. Buffers, such as running statistics, are averaged already and are copied.

    Parameters
    ----------
    network : nn.Module
        The network that is trained.
    count : int
        Updates that its weights have behind them.

    Attributes
    ----------
    network : nn.Module
        Copy in evaluation mode that holds the average; always the same object.
    count : int
        Updates so far, those before included.
    """

    def __init__(self, network: nn.Module, count: int = 0) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.count = count

    def reset(self, network: nn.Module) -> None:
        """Become equal to `network`."""
        self.network.load_state_dict(network.state_dict())

    @torch.no_grad()
    def update(self, network: nn.Module, decay: float) -> None:
        """Move towards `network`; with decay 0 become equal to it."""
        self.count += 1
        kept = min(decay, (1 + self.count) / (10 + self.count))
        ours: list[torch.Tensor] = [*self.network.parameters()]
        torch._foreach_lerp_(ours, [*network.parameters()], 1.0 - kept)
        for mine, other in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(other)
