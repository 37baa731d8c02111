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
#: Up to this distance two squares of it fit in a 16-bit integer.
SMALL = 126
#: Pixels worked on at once: a few hundred kilobytes.
BATCH = 300_000

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
    total, second = two_distances(labels, limit, spacing)
    total += second
    return _within(total, limit, w0, sigma)


def falk_weight_map(
    labels: npt.ArrayLike,
    w0: float = 50.0,
    sigma: float = 6.0,
    spacing: Sequence[float] | None = None,
    far: float = 0.1,
    fade: float = 10.0,
) -> npt.NDArray[np.float32]:
    """Weights of Falk et al. 2019 (Nature Methods 16; ``TrainingSample.java`` of their plugin).

    An object weighs 1, and background ``r + w0 exp(-(d1 + d2)^2 / (2 sigma^2)) + (1 - r) exp(-d1^2 / (2 fade^2))``
    with d1 and d2 as in `weight_map`: as much as objects next to them, ever less further away.

    Parameters
    ----------
    labels, w0, sigma, spacing
        As in `weight_map`.
    far : float
        r, the weight of background far from all objects.
    fade : float
        Distance over which the weight falls to it, in the unit of `spacing`.

    Returns
    -------
    ndarray
        float32 weights of the same shape.

    Examples
    --------
    >>> print(falk_weight_map([[1, 0, 0, 0, 0]]).round(3))
    [[1.    0.996 0.982 0.96  0.931]]
    """
    array = np.asarray(labels)
    term = falk_term(array, w0, sigma, spacing, far, fade, NEGLIGIBLE)
    return np.where(array != 0, np.float32(1), np.float32(far) + term)


def falk_term(
    labels: npt.NDArray[Any],
    w0: float,
    sigma: float,
    spacing: Sequence[float] | None,
    far: float,
    fade: float,
    negligible: float,
) -> Float:
    """What `falk_weight_map` adds to r; each summand may be left out where it is below `negligible`."""
    limit = max(reach(w0, sigma, negligible), reach(1 - far, fade, negligible))
    nearest, second = two_distances(labels, limit, spacing)
    second += nearest
    term = _within(second, limit, w0, sigma)
    term += _within(nearest, limit, 1 - far, fade)
    return term


def _within(distance: Float, limit: float, height: float, sigma: float) -> Float:
    """``height exp(-distance^2 / (2 sigma^2))`` up to the limit, 0 beyond; written over `distance`."""
    far = distance > limit
    distance *= distance
    distance *= np.float32(-1 / (2 * sigma**2))
    np.exp(distance, out=distance)
    distance *= np.float32(height)
    distance[far] = 0
    return distance


def reach(w0: float, sigma: float, negligible: float = NEGLIGIBLE) -> float:
    """Sum of distances beyond which the boundary term is below `negligible`."""
    return sigma * math.sqrt(2 * math.log(w0 / negligible)) if w0 > negligible else 0.0


def two_distances(
    labels: npt.NDArray[Any], limit: float, spacing: Sequence[float] | None = None
) -> tuple[Float, Float]:
    """Distances to the two nearest objects, exact up to `limit` and larger than it beyond.

    Each object is worked on in its own bounding box grown by `limit`: the cost follows the objects, not their number
    times the image (Ronneberger et al. 2015 do not say how; one distance map per object is the usual way). Objects of
    like size are worked on together, and in pixels of equal size the squares are 16-bit integers.
    """
    steps = tuple(spacing) if spacing is not None else (1.0,) * labels.ndim
    small = set(steps) == {1.0} and limit < SMALL
    dtype, far = (np.dtype(np.int16), SMALL**2) if small else (np.dtype(np.float32), np.inf)
    nearest, second = np.full(labels.shape, far, dtype), np.full(labels.shape, far, dtype)
    margin = [math.ceil(limit / step) for step in steps]
    for boxes, squares in _squared_distances(labels, margin, steps, dtype, far):
        for box, square in zip(boxes, squares, strict=True):
            to = _grow(box, labels.shape, margin)
            of = tuple(
                slice(t.start - s.start + m, t.stop - s.start + m) for t, s, m in zip(to, box, margin, strict=True)
            )
            first, other, new = nearest[to], second[to], square[of]
            np.minimum(other, np.maximum(first, new), out=other)
            np.minimum(first, new, out=first)
    return np.sqrt(nearest, dtype=np.float32), np.sqrt(second, dtype=np.float32)


def _squared_distances(
    labels: npt.NDArray[Any], margin: Sequence[int], steps: Sequence[float], dtype: np.dtype[Any], far: float
) -> Iterator[tuple[list[Box], npt.NDArray[Any]]]:
    """Bounding boxes of some objects, and an array of as many squared distance maps around them.

    A map starts `margin` pixels before its box; its end may be further away than the box's.
    """
    for objects in _batches(list(_objects(labels)), margin):
        boxes = [box for _, box in objects]
        shape = [max(box[axis].stop - box[axis].start for box in boxes) for axis in range(labels.ndim)]
        squares = np.full((len(boxes), *shape), far, dtype)
        for square, (value, box) in zip(squares, objects, strict=True):
            inside = labels[box] == value
            square[tuple(map(slice, inside.shape))][inside] = 0
        for axis in reversed(range(labels.ndim)):
            rows = np.ascontiguousarray(np.moveaxis(squares, axis + 1, 0))
            squares = np.moveaxis(_widen(rows, margin[axis], steps[axis], far), 0, axis + 1)
        yield boxes, squares


def _batches(objects: list[tuple[int, Box]], margin: Sequence[int]) -> Iterator[list[tuple[int, Box]]]:
    """The objects in groups of like size that fit in a processor's cache together; a large one is alone."""
    batch: list[tuple[int, Box]] = []
    objects.sort(key=lambda found: [part.stop - part.start for part in found[1]])
    for found in objects:
        pixels = math.prod(part.stop - part.start + 2 * m for part, m in zip(found[1], margin, strict=True))
        if batch and pixels * (len(batch) + 1) > BATCH:
            yield batch
            batch = []
        batch.append(found)
    if batch:
        yield batch


def _widen(squares: npt.NDArray[Any], margin: int, step: float, far: float) -> npt.NDArray[Any]:
    """One pass of a separable squared distance transform along the first axis, which gets `margin` longer at each end.

    ``out[y] = min over |dy| <= margin of squares[y + dy] + (dy step)^2`` (Saito and Toriwaki 1994): each row is added
    to a parabola and held against all rows it can reach at once.
    """
    parabola = ((np.arange(-margin, margin + 1) * step) ** 2).astype(squares.dtype)
    parabola = parabola.reshape(-1, *[1] * (squares.ndim - 1))
    out = np.full((len(squares) + 2 * margin, *squares.shape[1:]), far, squares.dtype)
    reached = np.empty((len(parabola), *squares.shape[1:]), squares.dtype)
    for first, row in enumerate(squares):
        np.add(parabola, row, out=reached)
        part = out[first : first + len(parabola)]
        np.minimum(part, reached, out=part)
    return out


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
