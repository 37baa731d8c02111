"""Several groups of tensors as one, and apart again."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def together(**groups: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """All tensors, named ``group/name``.

    Examples
    --------
    >>> import torch
    >>> sorted(together(a={"x": torch.zeros(1)}, b={"x": torch.ones(1)}))
    ['a/x', 'b/x']
    """
    return {f"{group}/{name}": value for group, part in groups.items() for name, value in (part or {}).items()}


def part_of(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    """The tensors of one group, by their own names."""
    return {name.removeprefix(f"{group}/"): value for name, value in tensors.items() if name.startswith(f"{group}/")}
