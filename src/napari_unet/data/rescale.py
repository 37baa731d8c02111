"""Images on another grid, computed where they are looked at: any part of it has the pixels of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from napari_unet.data.source import SPATIAL, ArrayLike, ImageSource
from napari_unet.errors import ImageError

#: An image that is brought to another size may not grow beyond this many times its pixels.
LARGEST_GROWTH = 4096.0


class Rescaled:
    """An array-like with other sizes along its spatial axes.

    Linear interpolation where pixels become more, the mean under a triangle where they become fewer. NaN and infinite
    pixels are left out of it, and are NaN where they prevail.

    Parameters
    ----------
    array : array-like
        The image; read where this one is.
    axes : str
        One letter per axis.
    sizes : dict of str to int
        New size of each axis that changes.

    Examples
    --------
    >>> Rescaled(np.array([[0.0, 4.0]]), "YX", {"X": 4})[0:1, 0:4].tolist()
    [[0.0, 1.0, 3.0, 4.0]]
    """

    def __init__(self, array: ArrayLike, axes: str, sizes: dict[str, int]) -> None:
        self._array = array
        self._sizes = [sizes.get(axis) for axis in axes]
        self.shape = tuple(size or int(n) for size, n in zip(self._sizes, array.shape, strict=True))
        self.dtype = np.dtype(np.float32 if np.dtype(array.dtype).itemsize <= 2 else np.float64)

    def __getitem__(self, index: tuple[int | slice, ...], /) -> npt.NDArray[Any]:
        """Pixels of a box; along the axes that change, the index must be a slice without a step."""
        place = list(index)
        matrices: list[csr_array | None] = []
        for axis, (part, size) in enumerate(zip(index, self._sizes, strict=True)):
            matrix = None
            if size is not None and isinstance(part, slice):
                place[axis], matrix = resampling(int(self._array.shape[axis]), size, part)
            if isinstance(part, slice):
                matrices.append(matrix)
        return _masked(np.asarray(self._array[tuple(place)]).astype(self.dtype), matrices)


def rescaled(source: ImageSource, spacing: Sequence[float] | None, wanted: Sequence[float] | None) -> ImageSource:
    """An image as if it had been taken with another pixel size.

    Parameters
    ----------
    source : ImageSource
        The image.
    spacing : sequence of float or None
        Its pixel size along ``ZYX`` or ``YX``.
    wanted : sequence of float or None
        The pixel size to bring it to.

    Returns
    -------
    ImageSource
        The same one when its size would not change.

    Raises
    ------
    ImageError
        When a pixel size is not known, or they are too different.

    Examples
    --------
    >>> rescaled(ImageSource(np.zeros((20, 30)), "YX", 2), (0.5, 0.5), (1, 1)).spatial
    (10, 15)
    """
    if wanted is None:
        raise ImageError("train a model with a pixel size (spacing) to rescale images to it; this one has none")
    if spacing is None or len(spacing) < source.ndim:
        raise ImageError("give the pixel size of the image (spacing) to rescale it; the file does not tell")
    here = tuple(spacing)[-source.ndim :]
    sizes = [max(1, round(n * a / b)) for n, a, b in zip(source.spatial, here, wanted, strict=True)]
    if prod(sizes) > LARGEST_GROWTH * prod(source.spatial):
        raise ImageError(f"check the pixel sizes: the image has {here}, the model {tuple(wanted)}")
    if tuple(sizes) == source.spatial:
        return source
    changed = {axis: n for axis, n, m in zip(SPATIAL[source.ndim], sizes, source.spatial, strict=True) if n != m}
    return ImageSource(Rescaled(source.array, source.axes, changed), source.axes, source.ndim, source.chosen)


def resampling(size: int, wanted: int, part: slice) -> tuple[slice, csr_array]:
    """How pixels `part` of an axis of `wanted` pixels are made from one of `size` pixels over the same length.

    Returns
    -------
    needed : slice
        Pixels that are looked at.
    matrix : csr_array
        Weights, shape ``(pixels of part, pixels of needed)``; those of a pixel do not depend on `part`.
    """
    start, stop, _ = part.indices(wanted)
    centres = (np.arange(start, stop) + 0.5) * (size / wanted) - 0.5
    radius = max(1.0, size / wanted)
    first = np.ceil(centres - radius).astype(np.int64)
    taps = first[:, None] + np.arange(int(2 * radius) + 2)
    weights = np.maximum(0.0, 1 - np.abs(taps - centres[:, None]) / radius)
    weights[(taps < 0) | (taps >= size)] = 0
    edge = ~weights.any(axis=1)
    weights[edge, 0], taps[edge, 0] = 1, np.clip(np.rint(centres[edge]), 0, size - 1)
    weights /= weights.sum(axis=1, keepdims=True)
    rows, columns = np.nonzero(weights)
    used = taps[rows, columns]
    low, high = (int(used.min()), int(used.max()) + 1) if used.size else (0, 0)
    shape = (stop - start, high - low)
    return slice(low, high), csr_array((weights[rows, columns], (rows, used - low)), shape=shape)


def nearest(size: int, wanted: int, part: slice) -> npt.NDArray[np.intp]:
    """Pixel of an axis of `size` under each of the pixels `part` of an axis of `wanted` over the same length.

    Examples
    --------
    >>> nearest(2, 5, slice(0, 5)).tolist()
    [0, 0, 1, 1, 1]
    """
    start, stop, _ = part.indices(wanted)
    return ((2 * np.arange(start, stop) + 1) * size // (2 * wanted)).astype(np.intp)


def apply(block: npt.NDArray[Any], matrices: Sequence[csr_array | None]) -> npt.NDArray[Any]:
    """Multiply each axis of a block by its matrix, where it has one."""
    for axis, matrix in enumerate(matrices):
        if matrix is None:
            continue
        moved = np.moveaxis(block, axis, 0)
        found = matrix.astype(block.dtype) @ np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
        block = np.moveaxis(found.reshape(matrix.shape[0], *moved.shape[1:]), 0, axis)
    return np.ascontiguousarray(block)


def _masked(block: npt.NDArray[Any], matrices: Sequence[csr_array | None]) -> npt.NDArray[Any]:
    """As `apply`, with the values that are not finite left out."""
    finite = np.isfinite(block)
    if finite.all():
        return apply(block, matrices)
    lost = apply((~finite).astype(block.dtype), matrices)
    value = apply(np.where(finite, block, 0), matrices)
    value /= np.where((lost > 0) & (lost < 0.5), 1 - lost, 1)
    value[lost >= 0.5] = np.nan
    return value
