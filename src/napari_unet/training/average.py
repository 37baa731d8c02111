"""Averaged weights: what predicts while the other weights still jump about."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average of a network's weights (Polyak and Juditsky 1992).

    The decay rises with the number of updates, ``min(decay, (1 + n) / (10 + n))``, so that the first weights are soon
    forgotten. Buffers, such as running statistics, are averaged already and are copied.

    Parameters
    ----------
    network : nn.Module
        The network that is trained.

    Attributes
    ----------
    network : nn.Module
        Copy in evaluation mode that holds the average; always the same object.
    count : int
        Updates so far.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.count = 0

    def reset(self, network: nn.Module) -> None:
        """Become equal to `network`, as if it had just begun."""
        self.network.load_state_dict(network.state_dict())
        self.count = 0

    @torch.no_grad()
    def update(self, network: nn.Module, decay: float) -> None:
        """Move towards `network`; with decay 0 become equal to it."""
        self.count += 1
        kept = min(decay, (1 + self.count) / (10 + self.count))
        ours: list[torch.Tensor] = [*self.network.parameters()]
        torch._foreach_lerp_(ours, [*network.parameters()], 1.0 - kept)
        for mine, other in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(other)
