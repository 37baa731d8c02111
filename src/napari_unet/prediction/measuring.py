"""Objects as a table: class, size, intensity, and how sure the network is of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.events import ObjectRows

Ints = npt.NDArray[np.int64]


def boxes_of(objects: npt.NDArray[Any], count: int) -> Ints:
    """Bounding box of each object 1..count, ``(count, ndim, 2)``: start and stop along each axis.

    Examples
    --------
    >>> boxes_of(np.array([[0, 1, 1], [2, 0, 0]]), 2).tolist()
    [[[0, 1], [1, 3]], [[1, 2], [0, 1]]]
    """
    found = ndimage.find_objects(objects.astype(np.int32, copy=False), count)
    boxes = [[(0, 0)] * objects.ndim if box is None else [(side.start, side.stop) for side in box] for box in found]
    return np.asarray(boxes, np.int64).reshape(count, objects.ndim, 2)


class Measuring:
    """Sums over objects, one tile of the image at a time.

    Parameters
    ----------
    boxes : ndarray
        As from `boxes_of`, for all objects.
    classes : int
        Planes of the probabilities.

    Examples
    --------
    >>> objects = np.array([[0, 1], [2, 2]])
    >>> measuring = Measuring(boxes_of(objects, 2), 2)
    >>> measuring.add(objects, np.stack([objects == 0, objects > 0]).astype(float), np.array([[9, 5], [1, 3]]))
    >>> rows = measuring.rows()
    >>> rows.sizes.tolist(), rows.intensities.tolist(), rows.values.tolist(), rows.confidences.tolist()
    ([1, 2], [5.0, 2.0], [2, 2], [1.0, 1.0])
    """

    def __init__(self, boxes: Ints, classes: int) -> None:
        self._boxes = boxes
        self._length = len(boxes) + 1
        self._sizes = np.zeros(self._length, np.int64)
        self._light = np.zeros(self._length)
        self._chances = np.zeros((classes, self._length))

    def add(self, objects: npt.NDArray[Any], chances: npt.NDArray[Any], pixels: npt.NDArray[Any]) -> None:
        """Add a tile: numbers of the objects, probabilities ``(K, *tile)``, and intensities, all of the same pixels."""
        inside = objects > 0
        numbers = objects[inside]
        self._sizes += np.bincount(numbers, minlength=self._length)
        self._light += np.bincount(numbers, np.nan_to_num(pixels[inside].astype(float)), self._length)
        for sums, plane in zip(self._chances, chances, strict=True):
            sums += np.bincount(numbers, plane[inside], self._length)

    def rows(self, values: Sequence[int] | Ints = ()) -> ObjectRows:
        """The table; classes are those of `values` where given, else the likeliest of the foreground."""
        sizes = np.maximum(self._sizes[1:], 1)
        chances = self._chances[:, 1:] / sizes
        known = np.asarray(values, np.int64) if len(values) else chances[1:].argmax(0) + 2
        return ObjectRows(
            values=known,
            sizes=self._sizes[1:],
            intensities=self._light[1:] / sizes,
            confidences=np.take_along_axis(chances, np.minimum(known - 1, len(chances) - 1)[None], 0)[0],
            boxes=self._boxes,
        )
