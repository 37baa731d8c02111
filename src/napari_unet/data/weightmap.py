"""Boundary weights: pixels in narrow gaps between objects count more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

#: The boundary term is left out where it falls below this.
NEGLIGIBLE = 1e-6

Box = tuple[slice, ...]
Float = npt.NDArray[np.float32]


def weight_map(
    labels: npt.ArrayLike,
    w0: float = 10.0,
    sigma: float = 5.0,
    spacing: Sequence[float] | None = None,
    class_balance: bool = True,
) -> npt.NDArray[np.float32]:
    """Weights ``w = w_class + w0 exp(-(d1 + d2)^2 / (2 sigma^2))`` of Ronneberger et al. 2015, equation 2.

    d1 and d2 are the distances to the nearest and the second nearest object (0 inside the nearest).

    Parameters
    ----------
    labels : array-like of int
        Shape ``(*spatial)``, any number of axes: 0 = background, every other value is one object.
    w0 : float
        Weight of a gap of zero width.
    sigma : float
        Gap width at which the weight falls off, in the unit of `spacing`.
    spacing : sequence of float, optional
        Pixel size along each axis; 1 by default.
    class_balance : bool
        Whether ``w_class`` makes background and foreground weigh the same in total (mean 1); else it is 1.

    Returns
    -------
    ndarray
        float32 weights of the same shape.

    Examples
    --------
    >>> print(weight_map([[1, 0, 2]], class_balance=False).round(2))
    [[10.23 10.23 10.23]]
    """
    array = np.asarray(labels)
    weights = boundary_term(array, w0, sigma, spacing)
    weights += _class_weights(array != 0) if class_balance else np.float32(1)
    return weights


def boundary_term(
    labels: npt.NDArray[Any],
    w0: float,
    sigma: float,
    spacing: Sequence[float] | None = None,
    negligible: float = NEGLIGIBLE,
) -> Float:
    """The second summand of `weight_map`, 0 where it is below `negligible`."""
    if w0 <= negligible:
        return np.zeros(labels.shape, np.float32)
    limit = reach(w0, sigma, negligible)
    nearest, second = two_distances(labels, limit, spacing)
    total = nearest + second
    near = total <= limit
    term = np.zeros(labels.shape, np.float32)
    term[near] = w0 * np.exp(-(total[near] ** 2) / (2 * sigma**2))
    return term


def reach(w0: float, sigma: float, negligible: float = NEGLIGIBLE) -> float:
    """Sum of distances beyond which the boundary term is below `negligible`."""
    return sigma * math.sqrt(2 * math.log(w0 / negligible)) if w0 > negligible else 0.0


def two_distances(
    labels: npt.NDArray[Any], limit: float, spacing: Sequence[float] | None = None
) -> tuple[Float, Float]:
    """Distances to the two nearest objects, exact up to `limit` and infinite or larger than it beyond.

    Each object is worked on in its own bounding box grown by `limit`: the cost follows the objects, not their number
    times the image (Ronneberger et al. 2015 do not say how; one distance map per object is the usual way).
    """
    steps = tuple(spacing) if spacing is not None else (1.0,) * labels.ndim
    nearest = np.full(labels.shape, np.inf, np.float32)
    second = np.full(labels.shape, np.inf, np.float32)
    for value, box in _objects(labels):
        grown = _grow(box, labels.shape, [math.ceil(limit / step) for step in steps])
        distance = ndimage.distance_transform_edt(labels[grown] != value, sampling=steps).astype(np.float32)
        first, other = nearest[grown], second[grown]
        np.minimum(other, np.maximum(first, distance), out=other)
        np.minimum(first, distance, out=first)
    return nearest, second


def _objects(labels: npt.NDArray[Any]) -> Iterator[tuple[int, Box]]:
    """Value and bounding box of each object, whatever the values."""
    if labels.size == 0 or not labels.any():
        return
    if labels.min() >= 0 and labels.max() <= max(labels.size, 255):
        values, compact = None, labels
    else:
        values, inverse = np.unique(labels, return_inverse=True)
        compact = inverse.reshape(labels.shape) + (0 if values[0] == 0 else 1)
    compact = compact.astype(np.int32, copy=False)
    for number, box in enumerate(ndimage.find_objects(compact), start=1):
        if box is not None:
            yield (number if values is None else _original(values, number)), box


def _original(values: npt.NDArray[Any], number: int) -> int:
    """The label that was compacted to `number`."""
    return int(values[number if values[0] == 0 else number - 1])


def _grow(box: Box, shape: Sequence[int], margin: Sequence[int]) -> Box:
    """The box, larger by `margin` at each side, inside `shape`."""
    return tuple(slice(max(s.start - m, 0), min(s.stop + m, n)) for s, n, m in zip(box, shape, margin, strict=True))


def _class_weights(foreground: npt.NDArray[np.bool_]) -> Float:
    """Per pixel, the inverse share of its class, so that both weigh the same and the mean is 1."""
    inside = int(foreground.sum())
    if inside in (0, foreground.size):
        return np.ones(foreground.shape, np.float32)
    share = inside / foreground.size
    return np.where(foreground, np.float32(0.5 / share), np.float32(0.5 / (1 - share)))
