"""How large training patches are: from the settings, the network's grid and the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.networks.geometry import Geometry, geometry

#: A volume patch has this many times the voxels of a 2D patch, and a batch this many times fewer patches.
VOLUME = 4


@dataclass(frozen=True, slots=True)
class PatchPlan:
    """Sizes of one training step.

    Attributes
    ----------
    kept : tuple of int
        Part of a patch that is learnt from.
    batch : int
        Patches that go through the network at once.
    geometry : Geometry
        The network's.
    accumulate : int
        Batches whose gradients are added up to one step.
    """

    kept: tuple[int, ...]
    batch: int
    geometry: Geometry
    accumulate: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """What the network reads: the kept part, and what an unpadded network loses at the sides."""
        return tuple(n + 2 * m for n, m in zip(self.kept, self.geometry.margin, strict=True))

    def smaller(self) -> PatchPlan | None:
        """The next plan to try when memory runs out: half the batch, then half the patch, then none.

        A smaller batch is made up for by accumulation, so that a step still sees as many patches.
        """
        if self.batch > 1:
            batch = self.batch // 2
            return replace(self, batch=batch, accumulate=-(-self.accumulate * self.batch // batch))
        kept = tuple(_legal(n // 2, self.geometry, axis) for axis, n in enumerate(self.kept))
        return replace(self, kept=kept) if math.prod(kept) < math.prod(self.kept) else None

    def __str__(self) -> str:
        """For example ``8 patches of 128 x 128``."""
        patches = (
            f"{self.batch} {'patch' if self.batch == 1 else 'patches'} of {' x '.join(map(str, self.kept))} pixels"
        )
        return patches if self.accumulate == 1 else f"{patches}, {self.accumulate} times for each step"


def plan_patches(model: ModelConfig, config: TrainConfig, images: Sequence[Sequence[int]]) -> PatchPlan:
    """Patch size and batch size of a training.

    A patch is at most as large as the largest image needs. In 3D it holds `VOLUME` times the pixels of the 2D patch and
    is a cube in space: with `model.spacing` it has fewer pixels along the coarse axis.

    Parameters
    ----------
    model : ModelConfig
        The network.
    config : TrainConfig
        ``patch_size`` and ``batch_size``.
    images : sequence of tuple of int
        Spatial sizes of the training images.

    Returns
    -------
    PatchPlan

    Examples
    --------
    >>> plan_patches(ModelConfig(), TrainConfig(), [(300, 40)]).shape
    (128, 48)
    """
    grid = geometry(model)
    largest = [max(sizes) for sizes in zip(*images, strict=True)]
    if model.ndim == 2:
        wanted, batch = [config.patch_size] * 2, config.batch_size
    else:
        wanted, batch = _volume(config.patch_size, model.spacing or (1.0,) * 3, largest), config.batch_size // VOLUME
    kept = tuple(_legal(min(a, b), grid, axis) for axis, (a, b) in enumerate(zip(wanted, largest, strict=True)))
    return PatchPlan(kept, max(batch, 1), grid, config.accumulate)


def _volume(edge: int, spacing: Sequence[float], largest: Sequence[int]) -> list[int]:
    """Edges of a cube in space with `VOLUME` times the pixels of a square of `edge`; a thin image gets a wider one."""
    voxels = VOLUME * edge**2
    side = (voxels * math.prod(spacing)) ** (1 / 3)
    depth = max(1, min(round(side / spacing[0]), largest[0]))
    plane = math.sqrt(voxels / depth / (spacing[2] / spacing[1]))
    return [depth, round(plane), round(plane * spacing[1] / spacing[2])]


def _legal(size: int, grid: Geometry, axis: int) -> int:
    """The nearest size from which the network's input is legal, with at least two pixels left at its coarsest level."""
    stride, margin, residue = grid.stride[axis], grid.margin[axis], grid.residue[axis]
    shift = (residue - 2 * margin) % stride
    low = 2 * stride if axis >= len(grid.stride) - 2 else stride
    steps = max(round((size - shift) / stride), 0) if margin else -(-size // stride)
    return max(steps * stride + shift, low if shift == 0 else low + shift - stride)
