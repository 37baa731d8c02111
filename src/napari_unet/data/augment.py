"""Random changes of patches: all geometry in one resampling, then intensity. Runs on the training device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_unet.config import AugmentConfig
from napari_unet.data.annotations import IGNORE

Row = npt.NDArray[np.float64]

#: Sharpness of the cubic through the nodes of the elastic grid (Keys 1981); Catmull-Rom.
CUBIC = -0.5


@dataclass(frozen=True, slots=True)
class Changes:
    """Parameters of one batch, drawn by `Augmenter.draw`, on the CPU.

    Attributes
    ----------
    matrix : Tensor
        ``(N, d, d)``: pixel offsets from the centre of the result to offsets in the patch that is read.
    nodes : Tensor
        ``(N, d, *grid)``: displacements at the nodes of the elastic grid, pixels.
    brightness, contrast, gamma, noise, blur : Tensor
        ``(N,)``: added, factor, exponent, standard deviation of the noise, of the blur.
    dropped : Tensor
        ``(N,)``: which channel is left out, parts of their number; negative for none.
    seed : int
        Seed of the noise.
    """

    matrix: Tensor
    nodes: Tensor
    brightness: Tensor
    contrast: Tensor
    gamma: Tensor
    noise: Tensor
    blur: Tensor
    dropped: Tensor
    seed: int


class Augmenter:
    """Draws changes and applies them.

    Parameters
    ----------
    config : AugmentConfig
        How much of what.
    ndim : {2, 3}
        Spatial axes.
    spacing : sequence of float, optional
        Pixel size. A volume is rotated in all planes if it is the same along each axis, else only in the plane YX.

    Examples
    --------
    >>> augmenter = Augmenter(AugmentConfig(), ndim=2)
    >>> changes = augmenter.draw(4, torch.Generator().manual_seed(0))
    >>> image, labels = torch.rand(4, 1, 48, 48), torch.zeros(4, 48, 48, dtype=torch.int16)
    >>> image, labels, weights = augmenter.apply(changes, image, labels, torch.ones(4, 48, 48), (32, 32))
    >>> tuple(image.shape), tuple(labels.shape), labels.dtype
    ((4, 1, 32, 32), (4, 32, 32), torch.int64)
    """

    def __init__(self, config: AugmentConfig, ndim: int, spacing: Sequence[float] | None = None) -> None:
        self.config = config
        self.ndim = ndim
        self.isotropic = ndim == 2 or (spacing is not None and len(set(spacing)) == 1)
        ratio = spacing[-2] / spacing[-1] if spacing is not None else 1.0
        self._sizes = tuple(s / min(spacing) for s in spacing) if spacing is not None else (1.0,) * ndim
        steps = np.array([1.0] * (ndim - 2) + [ratio, 1.0])
        self._anisotropy = steps / steps[:, None]
        self._planes = [(1, 2), (0, 2), (0, 1)] if ndim == 3 and self.isotropic else [(ndim - 2, ndim - 1)]
        low, high = np.array([*self._ranges()]).T[..., None]
        self._low, self._span = low, high - low

    def source_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Size of the patch to read, so that a turned patch of `shape` finds real pixels in its corners."""
        if not self.config.enabled:
            return tuple(shape)
        turned = self.config.rotation > 0 or self.config.shear > 0
        plane = math.hypot(*shape[-2:]) if turned else None
        grown = [n if axis < self.ndim - 2 or plane is None else plane for axis, n in enumerate(shape)]
        if self.ndim == 3 and self.isotropic and turned:
            grown = [math.sqrt(sum(n * n for n in shape))] * 3
        return tuple(_like(math.ceil(a * self._margin()), n) for a, n in zip(grown, shape, strict=True))

    def _margin(self) -> float:
        """Part of the largest magnification that the patch is read larger by; the rest is mirrored."""
        return math.sqrt(self.config.scale)

    # ------------------------------------------------------------------ draw

    def draw(self, count: int, generator: torch.Generator) -> Changes:
        """Parameters for `count` patches."""
        even = torch.rand(len(self._low), count, generator=generator, dtype=torch.float64).numpy()
        values, geometry = self._low + self._span * even, 1 + 2 * len(self._planes)
        scale, *angles = values[-geometry:]
        brightness, contrast, gamma, noise, blur, dropped, some = torch.from_numpy(values[:-geometry]).float()
        matrix, nodes = self._matrix(scale, angles, generator), self._nodes(count, generator)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        dropped = dropped.where(some < self.config.channel_drop, -1.0)
        return Changes(matrix, nodes, brightness, contrast, gamma.exp_(), noise, blur, dropped, seed)

    def _ranges(self) -> Iterator[tuple[float, float]]:
        """What is drawn evenly: intensities, the magnification in the logarithm, then angles of each plane."""
        config = self.config
        yield -config.brightness, config.brightness
        yield 1 - config.contrast, 1 + config.contrast
        yield -math.log(1 + config.gamma), math.log(1 + config.gamma)
        yield 0, config.noise
        yield 0, config.blur
        yield 0, 1
        yield 0, 1
        yield -math.log(config.scale), math.log(config.scale)
        for largest in (config.rotation, config.shear):
            yield from [(-math.radians(largest), math.radians(largest))] * len(self._planes)

    def _matrix(self, scale: Row, angles: Sequence[Row], generator: torch.Generator) -> Tensor:
        """Scale, rotation, shear and flip, in pixels of equal size, then back to the voxels."""
        unit = np.eye(self.ndim)
        matrix = unit * np.exp(scale)[:, None, None]
        if self.ndim == 3 and not self.isotropic:
            matrix[:, 0, 0] = 1
        planes = len(self._planes)
        for (a, b), turned, sheared in zip(self._planes, angles[:planes], angles[planes:], strict=True):
            turn = np.tile(unit, (len(scale), 1, 1))
            turn[:, a, a] = turn[:, b, b] = np.cos(turned)
            turn[:, b, a] = np.sin(turned)
            turn[:, a, b] = -turn[:, b, a]
            matrix = turn @ matrix
            if self.config.shear > 0:
                matrix[:, a] += np.tan(sheared)[:, None] * matrix[:, b]
        if self.config.flip:
            signs = torch.randint(2, (len(scale), 1, self.ndim), generator=generator).numpy()
            matrix = matrix * (2 * signs - 1)
        return torch.from_numpy((matrix * self._anisotropy).astype(np.float32))

    def _nodes(self, count: int, generator: torch.Generator) -> Tensor:
        """Displacements; along the coarse axis of an anisotropic volume there are none."""
        shape = (count, self.ndim, *(self.config.elastic_grid,) * self.ndim)
        nodes = torch.randn(shape, generator=generator) * self.config.elastic
        if self.ndim == 3 and not self.isotropic:
            nodes[:, 0] = 0
        return nodes

    # ------------------------------------------------------------------ apply

    @torch.no_grad()
    def apply(
        self, changes: Changes, images: Tensor, targets: Tensor, boundary: Tensor, shape: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Resample once, then change intensities.

        Parameters
        ----------
        changes : Changes
            From `draw`, for N patches.
        images : Tensor
            float32 ``(N, C, *source_shape)``.
        targets : Tensor
            Integers ``(N, *source_shape)``, -1 = ignore.
        boundary : Tensor
            float32 ``(N, *source_shape)``.
        shape : sequence of int
            Size of the result, in the middle of the patches.

        Returns
        -------
        images, targets, boundary : Tensor
            float32 ``(N, C, *shape)``, int64 ``(N, *shape)`` and float32 ``(N, *shape)``. Image values are linear
            between pixels and mirrored outside; targets are the nearest pixel's, and ignore outside.
        """
        grid = self._grid(changes, images.shape[2:], shape, images.device)
        images = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
        stacked = torch.empty(2, *targets.shape, device=targets.device)
        stacked[0] = targets - IGNORE  # 0 is what is outside
        stacked[1] = boundary
        found = F.grid_sample(stacked.transpose(0, 1), grid, mode="nearest", padding_mode="zeros", align_corners=True)
        return self._intensity(changes, images), found[:, 0].to(targets.dtype).add_(IGNORE).long(), found[:, 1]

    def _grid(self, changes: Changes, source: Sequence[int], shape: Sequence[int], device: torch.device) -> Tensor:
        """Sampling grid in the units of `grid_sample`: ``(N, *shape, d)``, last axis first.

        Affine map and elastic field are one sum over products of functions of single axes: the cubic weights of the
        nodes, one, and the offset from the centre. Each axis is one matrix product.
        """
        ndim, count, nodes = self.ndim, len(changes.nodes), changes.nodes.shape[2:]
        unit = np.array([[2 / max(n - 1, 1)] for n in source], np.float32)
        matrix = (changes.matrix.numpy() * unit)[:, ::-1]
        parts = np.zeros((count, *(n + 2 for n in nodes), ndim), np.float32)
        moved = matrix @ changes.nodes.numpy().reshape(count, ndim, -1)
        parts[(slice(None), *map(slice, nodes))] = moved.swapaxes(1, 2).reshape(count, *nodes, ndim)
        for axis in range(ndim):
            place: tuple[Any, ...] = tuple(n + (1 if other == axis else 0) for other, n in enumerate(nodes))
            parts[(slice(None), *place)] = matrix[:, :, axis]
        grid = torch.from_numpy(parts).to(device)
        for axis in reversed(range(ndim)):
            after = math.prod(grid.shape[axis + 2 :])
            rows = _functions(nodes[axis], shape[axis]).to(device)
            sizes = (*grid.shape[: axis + 1], shape[axis], *grid.shape[axis + 2 :])
            grid = torch.matmul(rows, grid.reshape(-1, nodes[axis] + 2, after)).reshape(sizes)
        return grid

    def _intensity(self, changes: Changes, images: Tensor) -> Tensor:
        column = (-1,) + (1,) * (images.ndim - 1)
        config, device = self.config, images.device
        if config.blur > 0:
            images = self._blurred(images, changes.blur.to(device))
        if config.gamma > 0:
            exponent = changes.gamma.to(device).reshape(column)
            images = images.abs().clamp_(min=1e-6).pow_(exponent).copysign_(images)
        if config.contrast > 0 or config.brightness > 0:
            mean = images.mean(dim=tuple(range(1, images.ndim)), keepdim=True)
            factor = changes.contrast.to(device).reshape(column)
            images = (images - mean).mul_(factor).add_(mean + changes.brightness.to(device).reshape(column))
        if config.noise > 0:
            generator = torch.Generator(device).manual_seed(changes.seed)
            noise = torch.randn(images.shape, generator=generator, device=device)
            images = torch.addcmul(images, noise, changes.noise.to(device).reshape(column))
        channels = images.shape[1]
        if config.channel_drop > 0 and channels > 1:
            left = torch.arange(channels, device=device) != (changes.dropped.to(device)[:, None] * channels).floor()
            images = images * left.reshape(-1, channels, *column[2:])
        return images

    def _blurred(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Gaussian blur, one pass along each axis; `sigma` in pixels of the finest axis, one for each patch."""
        count, channels = images.shape[:2]
        flat = images.reshape(1, count * channels, *images.shape[2:])
        for axis, step in enumerate(self._sizes):
            radius = math.ceil(3 * self.config.blur / step)
            place = torch.arange(-radius, radius + 1, device=images.device) * step
            kernel = torch.exp(-(place**2) / (2 * sigma[:, None] ** 2).clamp(min=1e-6))
            kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
            pad = [0, 0] * self.ndim
            pad[2 * (self.ndim - 1 - axis)] = pad[2 * (self.ndim - 1 - axis) + 1] = radius
            shape = [1] * self.ndim
            shape[axis] = 2 * radius + 1
            weight = kernel.reshape(-1, 1, *shape)
            conv = F.conv2d if self.ndim == 2 else F.conv3d
            flat = conv(F.pad(flat, pad, mode="replicate"), weight, groups=count * channels)
        return flat.reshape(images.shape)


def _like(size: int, inner: int) -> int:
    """A size of the same parity as `inner`, so that both have one centre."""
    return size + (size - inner) % 2


def _cubic(nodes: int, size: int) -> Tensor:
    """Matrix ``(size, nodes)`` of cubic interpolation from nodes at equal steps, the outer ones on the border."""
    place = torch.linspace(0, nodes - 1, size, dtype=torch.float64)
    first = place.floor().clamp(max=nodes - 2).long()
    matrix = torch.zeros(size, nodes, dtype=torch.float64)
    for step in range(-1, 3):
        weight = _keys((place - first - step).abs())
        matrix.scatter_add_(1, (first + step).clamp(0, nodes - 1)[:, None], weight[:, None])
    return matrix.float()


@lru_cache(maxsize=32)
def _functions(nodes: int, size: int) -> Tensor:
    """Matrix ``(size, nodes + 2)``, not to be changed: the weights of `_cubic`, one, the offset from the centre."""
    offset = torch.arange(size) - (size - 1) / 2
    return torch.cat([_cubic(nodes, size), torch.ones(size, 1), offset[:, None]], dim=1)


def _keys(distance: Tensor) -> Tensor:
    """The cubic convolution kernel of Keys 1981."""
    near = (CUBIC + 2) * distance**3 - (CUBIC + 3) * distance**2 + 1
    far = CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))
