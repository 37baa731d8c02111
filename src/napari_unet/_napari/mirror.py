"""A copy of the strokes in shared memory, kept up to date change by change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet._napari.boxes import inside, slices, union, whole
from napari_unet.session.arrays import SharedArray, SharedRef
from napari_unet.session.commands import Box

VALUES = 256
BAND_PIXELS = 2**20
#: Strokes of up to so many pixels are compared as a whole when in doubt, larger ones a little in each turn.
SMALL_PIXELS = 2**24
#: Time for one turn, seconds: a tick of the dock comes every 50 ms, and a frame takes 16.
TURN_SECONDS = 0.008
#: Edge of the blocks in which is remembered where something was painted, pixels.
BLOCK = 256

Lead = tuple[int, ...]


class StrokesMirror:
    """Strokes in shared memory, and how many pixels of each value they hold.

    What is known to have changed is copied at once by `copy`. What may have changed is marked with `doubt`, and `look`
    compares it; of large strokes a little with each call, so that nobody who paints has to wait.

    Parameters
    ----------
    data : array-like of int
        The strokes of a Labels layer; copied, large ones by the next calls of `look`.

    Attributes
    ----------
    counts : ndarray of int64, shape (256,)
        Pixels per value; the last entry also counts all larger values.
    complete : bool
        Whether all strokes were looked at once.
    """

    def __init__(self, data: Any) -> None:
        self.shape = tuple(int(size) for size in data.shape)
        self._shared = SharedArray(self.shape, data.dtype)
        self._used: dict[Lead, Box] = {}
        self._blocks: dict[Lead, set[tuple[int, int]]] = {}
        self._doubted: dict[Box, None] = {}
        self._walk: Iterator[Box] = iter(())
        self.counts = np.zeros(VALUES, np.int64)
        self.counts[0] = int(np.prod(self.shape))
        self.complete = False
        self.doubt()
        if self.is_small:
            self.look(data)

    @property
    def ref(self) -> SharedRef:
        """What the session needs to read the strokes."""
        return self._shared.ref

    @property
    def is_small(self) -> bool:
        """Whether all strokes can be compared in one turn."""
        return bool(self.counts.sum() <= SMALL_PIXELS)

    @property
    def painted(self) -> tuple[Box, ...]:
        """Boxes outside which nothing was ever painted: one for each plane that was painted on."""
        return tuple((*((at, at + 1) for at in lead), *box) for lead, box in self._used.items())

    def matches(self, data: Any) -> bool:
        """Whether `data` has the shape and type of the mirror."""
        return tuple(data.shape) == self.shape and np.dtype(data.dtype) == self._shared.array.dtype

    def copy(self, data: Any, box: Box) -> list[Box]:
        """Copy `box` of `data`; for each plane the box around what was new."""
        leads = product(*(range(start, stop) for start, stop in box[:-2]))
        found = ((lead, self._copy_plane(data, lead, box[-2:])) for lead in leads)
        return [(*((at, at + 1) for at in lead), *new) for lead, new in found if new is not None]

    def doubt(self) -> None:
        """Anything may have changed without a word: look at all of it again, first where something was painted."""
        for lead in self._blocks:
            self._doubt_plane(lead)
        self._walk = _bands(self.shape)

    def doubt_planes(self, planes: Box) -> None:
        """What was painted in `planes` may have changed, as by undo and redo."""
        for lead in product(*(range(start, stop) for start, stop in planes[:-2])):
            self._doubt_plane(lead)

    def look(self, data: Any, seconds: float = TURN_SECONDS) -> list[Box]:
        """Copy what differs where it is doubted: all of it if the strokes are small, else as much as time allows.

        Returns
        -------
        list of Box
            What was new, at most one box for each plane.
        """
        end = float("inf") if self.is_small else time.perf_counter() + seconds
        found: dict[Lead, Box] = {}
        while time.perf_counter() < end:
            place = self._next()
            if place is None:
                self.complete = True
                break
            for box in self.copy(data, place):
                lead = tuple(at for at, _ in box[:-2])
                found[lead] = union(found.get(lead), box) or box
        return list(found.values())

    def close(self) -> None:
        """Give the shared memory back."""
        self._shared.close()

    def _next(self) -> Box | None:
        """Where to look next; None when nothing is left."""
        if self._doubted:
            return self._doubted.popitem()[0]
        return next(self._walk, None)

    def _doubt_plane(self, lead: Lead) -> None:
        edges = tuple((at, at + 1) for at in lead)
        for row, column in self._blocks.get(lead, ()):
            rows, columns = (row * BLOCK, (row + 1) * BLOCK), (column * BLOCK, (column + 1) * BLOCK)
            self._doubted[inside((*edges, rows, columns), self.shape) or whole(self.shape)] = None

    def _copy_plane(self, data: Any, lead: Lead, box: Box) -> Box | None:
        """Copy a part of one plane, a band of rows at a time; the box around what was new, or None."""
        (top, bottom), columns = box
        rows = max(BAND_PIXELS // max(columns[1] - columns[0], 1), 1)
        changed: Box | None = None
        for first in range(top, bottom, rows):
            band = ((first, min(first + rows, bottom)), columns)
            changed = union(changed, self._copy_band(data, lead, band))
        return changed

    def _copy_band(self, data: Any, lead: Lead, box: Box) -> Box | None:
        """Copy what is new in `box`; what nobody painted on is not even read from shared memory."""
        new = np.asarray(data[(*lead, *slices(box))])
        # max and min are 15 times faster than any() on integers
        if not self._is_used(lead, box) and not (new.max() or new.min()):
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
        rows, columns = (_blocks(edge) for edge in changed)
        self._blocks.setdefault(lead, set()).update((row, column) for row in rows for column in columns)
        return changed

    def _is_used(self, lead: Lead, box: Box) -> bool:
        """Whether `box` of a plane touches what was painted before."""
        used = self._used.get(lead)
        return used is not None and all(a < d and c < b for (a, b), (c, d) in zip(used, box, strict=True))


def _bands(shape: tuple[int, ...]) -> Iterator[Box]:
    """All of an array, about `BAND_PIXELS` at a time."""
    height, width = shape[-2:]
    rows = max(BAND_PIXELS // max(width, 1), 1)
    for *lead, top in product(*(range(size) for size in shape[:-2]), range(0, height, rows)):
        yield (*((at, at + 1) for at in lead), (top, min(top + rows, height)), (0, width))


def _blocks(edge: tuple[int, int]) -> range:
    """Blocks that a span of pixels touches."""
    return range(edge[0] // BLOCK, -(-edge[1] // BLOCK))


def _around(mask: npt.NDArray[np.bool_], box: Box) -> Box:
    """The part of `box` that the True pixels of `mask` span."""
    spans = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in range(2))
    return tuple((start + int(span[0]), start + int(span[-1]) + 1) for (start, _), span in zip(box, spans, strict=True))


def _count(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.bincount(np.clip(values, 0, VALUES - 1).ravel().astype(np.intp), minlength=VALUES)
