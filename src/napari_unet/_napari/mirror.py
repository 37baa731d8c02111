"""A copy of the strokes in shared memory, kept up to date change by change."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet._napari.boxes import slices, union, whole
from napari_unet.session.arrays import SharedArray, SharedRef
from napari_unet.session.commands import Box

VALUES = 256
BAND_PIXELS = 2**20


class StrokesMirror:
    """Strokes in shared memory, and how many pixels of each value they hold.

    Parameters
    ----------
    data : array-like of int
        The strokes of a Labels layer; copied.

    Attributes
    ----------
    counts : ndarray of int64, shape (256,)
        Pixels per value; the last entry also counts all larger values.
    """

    def __init__(self, data: Any) -> None:
        self.shape = tuple(int(size) for size in data.shape)
        self._shared = SharedArray(self.shape, data.dtype)
        self._used: dict[tuple[int, ...], Box] = {}
        self.counts = np.zeros(VALUES, np.int64)
        self.counts[0] = int(np.prod(self.shape))
        self.sync(data)

    @property
    def ref(self) -> SharedRef:
        """What the session needs to read the strokes."""
        return self._shared.ref

    def matches(self, data: Any) -> bool:
        """Whether `data` has the shape and type of the mirror."""
        return tuple(data.shape) == self.shape and np.dtype(data.dtype) == self._shared.array.dtype

    def copy(self, data: Any, box: Box) -> Box | None:
        """Copy `box` of `data` plane by plane; the box around what was new, or None."""
        changed: Box | None = None
        for lead in product(*(range(start, stop) for start, stop in box[:-2])):
            new = self._copy_plane(data, lead, box[-2:])
            if new is not None:
                changed = union(changed, (*((at, at + 1) for at in lead), *new))
        return changed

    def sync(self, data: Any) -> Box | None:
        """Copy whatever differs; the box around it, or None when all was equal."""
        return self.copy(data, whole(self.shape))

    def painted_part(self, plane: Box) -> Box | None:
        """The part of one plane that was ever painted, which is all that undo and redo can change."""
        if any(stop - start > 1 for start, stop in plane[:-2]):
            return plane
        lead = tuple(start for start, _ in plane[:-2])
        return (*plane[:-2], *self._used[lead]) if lead in self._used else None

    def close(self) -> None:
        """Give the shared memory back."""
        self._shared.close()

    def _copy_plane(self, data: Any, lead: tuple[int, ...], box: Box) -> Box | None:
        """Copy a part of one plane, a band of rows at a time; the box around what was new, or None."""
        (top, bottom), columns = box
        rows = max(BAND_PIXELS // max(columns[1] - columns[0], 1), 1)
        changed: Box | None = None
        for first in range(top, bottom, rows):
            band = ((first, min(first + rows, bottom)), columns)
            changed = union(changed, self._copy_band(data, lead, band))
        return changed

    def _copy_band(self, data: Any, lead: tuple[int, ...], box: Box) -> Box | None:
        """Copy what is new in `box`; planes that nobody painted on are not even read from shared memory."""
        new = np.asarray(data[(*lead, *slices(box))])
        # max and min are 15 times faster than any() on integers
        if lead not in self._used and not (new.max() or new.min()):
            return None
        plane = self._shared.array[lead]
        differs = new != plane[slices(box)]
        if not differs.any():
            return None
        changed = _around(differs, box)
        new = np.asarray(data[(*lead, *slices(changed))])
        old = plane[slices(changed)]
        self.counts += _count(new) - _count(old)
        old[...] = new
        self._used[lead] = union(self._used.get(lead), changed) or changed
        return changed


def _around(mask: npt.NDArray[np.bool_], box: Box) -> Box:
    """The part of `box` that the True pixels of `mask` span."""
    spans = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in range(2))
    return tuple((start + int(span[0]), start + int(span[-1]) + 1) for (start, _), span in zip(box, spans, strict=True))


def _count(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.bincount(np.clip(values, 0, VALUES - 1).ravel().astype(np.intp), minlength=VALUES)
