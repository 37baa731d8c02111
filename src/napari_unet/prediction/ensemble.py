"""Test-time augmentation: one prediction from mirrored and turned copies of every tile.

Mirroring and turning keep the grid of a network's pooling, so that the result is as independent of the tiles as that of
a single pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from napari_unet.config import Augmented
from napari_unet.errors import ConfigError
from napari_unet.networks.geometry import Geometry
from napari_unet.prediction.solver import Form

#: Probabilities are kept this far from 0 and 1, so that their logits are finite.
SMALLEST = 1e-7


@dataclass(frozen=True, slots=True)
class Turn:
    """A copy of an image: first Y and X change places, perhaps, then some axes are mirrored."""

    mirrored: tuple[int, ...]
    swapped: bool = False

    def there(self, x: Tensor) -> Tensor:
        """The copy."""
        return (x.transpose(-1, -2) if self.swapped else x).flip([axis - x.ndim + 2 for axis in self.mirrored])

    def back(self, y: Tensor) -> Tensor:
        """The original of a copy."""
        y = y.flip([axis - y.ndim + 2 for axis in self.mirrored])
        return y.transpose(-1, -2) if self.swapped else y

    def part(self, keep: Sequence[slice], size: Sequence[int]) -> tuple[slice, ...]:
        """Where a part of the original lies in the copy, of which `size` is the size of the original."""
        parts = list(zip(keep, size, strict=True))
        if self.swapped:
            parts[-2:] = parts[:-3:-1]
        return tuple(
            slice(n - part.stop, n - part.start) if axis in self.mirrored else part
            for axis, (part, n) in enumerate(parts)
        )


def turns(kind: Augmented, ndim: int, geometry: Geometry) -> tuple[Turn, ...]:
    """The copies that `kind` asks for, the image itself first.

    Raises
    ------
    ConfigError
        When a network does not treat Y and X alike, so that its tiles cannot be turned.
    """
    subsets = [tuple(axis for axis in range(ndim) if chosen[axis]) for chosen in product((0, 1), repeat=ndim)]
    flips = tuple(Turn(axes) for axes in subsets)
    if kind == "none":
        return flips[:1]
    if kind == "flips":
        return flips
    if any(values[-1] != values[-2] for values in (geometry.stride, geometry.halo, geometry.margin, geometry.residue)):
        raise ConfigError("choose flips instead of rotations: this network treats Y and X differently")
    return flips + tuple(Turn(axes, swapped=True) for axes in subsets)


def ensemble(form: Form, copies: Sequence[Turn], margin: Sequence[int], *, disagreement: bool) -> Form:
    """The mean of a network's probabilities over copies, as logits.

    Parameters
    ----------
    form : callable
        The network.
    copies : sequence of Turn
        From `turns`.
    margin : sequence of int
        Pixels that the network removes at each side.
    disagreement : bool
        Add one channel: how much the copies disagree, the mutual information of copy and class over its largest value.
    """

    def run(x: Tensor, keep: tuple[slice, ...]) -> Tensor:
        size = [n - 2 * m for n, m in zip(x.shape[2:], margin, strict=True)]
        total = apart = None
        for turn in copies:
            logits = turn.back(form(turn.there(x), turn.part(keep, size))).float()
            chances = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
            total = chances if total is None else total + chances
            if disagreement:
                apart = entropy(chances) if apart is None else apart + entropy(chances)
        assert total is not None  # there is always the image itself
        mean = total / len(copies)
        safe = mean.clamp(SMALLEST, 1 - SMALLEST)
        logits = safe.logit() if mean.shape[1] == 1 else safe.log()
        if apart is None:
            return logits
        return torch.cat([logits, (entropy(mean) - apart / len(copies)).clamp(min=0)], 1)

    return run


def entropy(chances: Tensor) -> Tensor:
    """Shannon entropy of probabilities ``(N, K, *spatial)`` over its largest value, 0 to 1: ``(N, 1, *spatial)``."""
    if chances.shape[1] == 1:
        chances = torch.cat([chances, 1 - chances], 1)
    count = torch.tensor(float(chances.shape[1]))
    return functional.relu(-torch.xlogy(chances, chances).sum(1, keepdim=True) / count.log())
