"""Objects that reach over the units of a large array: one number each, whatever the units.

Every unit is labelled by itself; its numbers start at 1. Pieces that touch across a face of two units are the edges of
a graph whose connected parts are the objects. Holes and loose pieces are settled on the graph too, so that only the
faces and one row per piece are held in memory, never the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.data.source import ArrayLike

Box = tuple[slice, ...]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]

#: Kinds of pieces: from 2 on classes, in the strokes' values; below 0 loose pieces of a class, -2 of class 2.
BACKGROUND, FOREGROUND = 1, 2
#: The upper bits of a linked pixel say along which axes the next pixel belongs to the same piece.
LINK_BITS = 3
LINK_SHIFT = 32 - LINK_BITS
NUMBER = (1 << LINK_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """What becomes of the pieces of all units.

    Attributes
    ----------
    offsets : ndarray of int64
        Row of piece 0 of each unit.
    numbers : ndarray
        Final number of each row's piece; 0 for what is removed.
    sizes : ndarray of int64
        Pixels of the final objects, from number 1.
    linked : bool
        Whether the pieces' upper bits are links.
    """

    offsets: Ints
    numbers: Numbers
    sizes: Ints
    linked: bool = False

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.sizes)

    def renumbered(self, unit: int, pieces: Numbers) -> Numbers:
        """The final numbers of a block of unit number `unit`."""
        start = self.offsets[unit]
        stop = self.offsets[unit + 1] if unit + 1 < len(self.offsets) else len(self.numbers)
        found: Numbers = self.numbers[start:stop][pieces & NUMBER if self.linked else pieces]
        return found


def object_table(
    array: ArrayLike,
    units: Sequence[Box],
    counts: Sequence[int | npt.ArrayLike],
    *,
    linked: bool = False,
    min_size: int = 0,
    max_size: int | None = None,
    fill_holes: int = 0,
) -> ObjectTable:
    """Join the pieces of all units to objects.

    Each unit is read once. The objects are numbered 1..N by their first pixel in C order, so that neither the numbers
    nor the partition depend on the units.

    Parameters
    ----------
    array : array-like
        Pieces, numbered from 1 in each unit, 0 elsewhere; numpy and Zarr arrays and all that is read like them. In 2D
        and 3D pieces touch where pixels share a side (a face).
    units : sequence of tuple of slice
        Boxes of a grid that part the array, or a part of it; any order.
    counts : sequence
        For each unit the number of its pieces, or an array with the kind of each: `BACKGROUND`, a class from
        `FOREGROUND` on, or a class with a minus for loose pieces. Only pieces of one kind are joined. A background
        piece is a candidate for a hole; background of number 0 is none. A loose piece becomes part of the object of its
        class that it touches most, if any.
    linked : bool
        Whether the upper bits of a pixel say to which of the next pixels it is joined, see `link`; by default it is
        joined to all of its own kind.
    min_size, max_size : int, optional
        Smaller and larger objects become 0; holes that were filled count.
    fill_holes : int
        Background pieces of at most this size that touch one object only, and not the border, become part of it.

    Returns
    -------
    ObjectTable

    Examples
    --------
    >>> pieces = np.array([[1, 1, 1, 0], [0, 0, 1, 0], [2, 0, 1, 0]])
    >>> halves = [(slice(0, 3), slice(0, 2)), (slice(0, 3), slice(2, 4))]
    >>> table = object_table(pieces, halves, [2, 1])
    >>> renumber(pieces, pieces, halves, table)
    >>> pieces.tolist()
    [[1, 1, 1, 0], [0, 0, 1, 0], [2, 0, 1, 0]]
    """
    graph = _Graph([_kinds(count) for count in counts], linked)
    for unit in sorted(range(len(units)), key=lambda i: [part.start for part in units[i]]):
        graph.add(unit, units[unit], np.asarray(array[units[unit]]), array.shape)
    graph.close()
    numbers, sizes = _Objects(graph).settled(fill_holes, min_size, max_size)
    return ObjectTable(graph.offsets, numbers.astype(np.min_scalar_type(len(sizes))), sizes, linked)


def renumber(array_in: ArrayLike, array_out: Any, units: Sequence[Box], table: ObjectTable) -> None:
    """Replace the numbers of the pieces by those of the objects, unit by unit.

    Parameters
    ----------
    array_in : array-like
        What the table was made from.
    array_out : array-like
        Where the result is written, with ``array_out[unit] = block``; it may be `array_in`.
    units : sequence of tuple of slice
        The units of the table, in the same order.
    table : ObjectTable
        From `object_table`.
    """
    for number, unit in enumerate(units):
        array_out[unit] = table.renumbered(number, np.asarray(array_in[unit]))


def _kinds(count: int | npt.ArrayLike) -> npt.NDArray[np.int16]:
    """Kinds of the pieces of a unit; its row 0 is the background that is no hole."""
    given = np.full(count, FOREGROUND) if isinstance(count, int | np.integer) else np.asarray(count)
    return np.concatenate([[BACKGROUND], given]).astype(np.int16)


class _Graph:
    """All pieces: how large, where they begin, what they are joined to and what they touch.

    Row 0 of each unit is the background outside; all these rows are joined.
    """

    def __init__(self, kinds: Sequence[npt.NDArray[np.int16]], linked: bool) -> None:
        self.kinds = np.concatenate([*kinds, np.zeros(0, np.int16)])
        self.offsets: Ints = np.cumsum([0, *(len(part) for part in kinds)], dtype=np.int64)[:-1]
        self.sizes = np.zeros(len(self.kinds), np.int64)
        self.first = np.full(len(self.kinds), np.iinfo(np.int64).max)
        self.joined = _Pairs(len(self.kinds))
        self.touching = _Pairs(len(self.kinds))
        self.joined.put(self.offsets, np.zeros_like(self.offsets))
        self._outside = np.zeros(len(self.kinds), bool)
        self._outside[self.offsets] = True
        self._soft = bool((self.kinds[~self._outside] < FOREGROUND).any())
        self._linked = linked
        self._waiting: dict[tuple[int, ...], _Face] = {}

    def add(self, unit: int, box: Box, block: Numbers, shape: tuple[int, ...]) -> None:
        """Take the pieces of one unit into the graph."""
        if block.size == 0:
            return
        rows = (block & NUMBER if self._linked else block).astype(np.int64) + self.offsets[unit]
        self._measure(box, rows, shape)
        start = tuple(part.start for part in box)
        for axis, part in enumerate(box):
            if self._soft:
                here, after = rows[_cut(axis, None, -1)], rows[_cut(axis, 1, None)]
                self._touch(here, after)
            links = (block.take(-1, axis) >> (LINK_SHIFT + axis) & 1).astype(bool) if self._linked else None
            self._meet((axis, *start), _Face(rows.take(0, axis), None, low=True))
            end = (axis, *start[:axis], part.stop, *start[axis + 1 :])
            self._meet(end, _Face(rows.take(-1, axis), links, low=False))

    def close(self) -> None:
        """Faces that met no other are the border: a piece of background there is no hole."""
        for face in self._waiting.values():
            rows = np.unique(face.rows)
            rows = rows[self.kinds[rows] == BACKGROUND]
            self.joined.put(rows, np.zeros_like(rows))
        self._waiting.clear()

    def _measure(self, box: Box, rows: Ints, shape: tuple[int, ...]) -> None:
        """Sizes and first pixels, from the runs of equal numbers."""
        flat = rows.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        values = flat[starts]
        low = int(values.min())
        found = np.bincount(values - low, np.diff(starts, append=flat.size)).astype(np.int64)
        self.sizes[low : low + len(found)] += found
        places = zip(np.unravel_index(starts, rows.shape), box, strict=True)
        # Of several values for one row the last one stays: the first pixel.
        where = np.ravel_multi_index(tuple(place + part.start for place, part in places), shape)
        self.first[values[::-1]] = where[::-1]

    def _meet(self, place: tuple[int, ...], face: _Face) -> None:
        """Compare a face with the one on its other side, once both are known."""
        other = self._waiting.pop(place, None)
        if other is None:
            self._waiting[place] = face
            return
        before, behind = (other, face) if face.low else (face, other)
        same = self.kinds[before.rows] == self.kinds[behind.rows]
        if before.links is not None:
            same &= before.links
        self.joined.put(before.rows[same], behind.rows[same])
        if self._soft:
            self._touch(before.rows, behind.rows)

    def _touch(self, here: Ints, after: Ints) -> None:
        """Remember which background and loose pieces touch pieces of another kind."""
        before, behind = self.kinds[here], self.kinds[after]
        wanted = (before != behind) & (np.minimum(before, behind) < FOREGROUND)
        a, b = here[wanted], after[wanted]
        inside = ~(self._outside[a] | self._outside[b])
        self.touching.put(a[inside], b[inside])


@dataclass(frozen=True, slots=True)
class _Face:
    """Rows of the pixels on one side of a border between units, and whether they are joined to those behind it."""

    rows: Ints
    links: npt.NDArray[np.bool_] | None
    low: bool


class _Pairs:
    """Pairs of rows, and how often each was put in."""

    def __init__(self, rows: int) -> None:
        self._rows = max(rows, 1)
        self._parts: list[tuple[Ints, Ints]] = []

    def put(self, a: Ints, b: Ints) -> None:
        pairs, counts = np.unique(np.minimum(a, b) * self._rows + np.maximum(a, b), return_counts=True)
        self._parts.append((pairs, counts))

    def get(self) -> tuple[Ints, Ints, Ints]:
        """Smaller row, larger row, number of times."""
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64)), *self._parts]
        pairs, place = np.unique(np.concatenate([pairs for pairs, _ in parts]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts for _, counts in parts]), len(pairs))
        return pairs // self._rows, pairs % self._rows, counts.astype(np.int64)


class _Objects:
    """Joined pieces, row by row: `whole` is the number of the whole that a row belongs to."""

    def __init__(self, graph: _Graph) -> None:
        a, b, _ = graph.joined.get()
        rows = len(graph.kinds)
        edges = coo_array((np.ones(len(a), bool), (a, b)), shape=(rows, rows))
        count, whole = connected_components(edges, directed=False) if rows else (0, np.zeros(0, np.int32))
        self._whole: Numbers = whole
        self._sizes = np.bincount(self._whole, graph.sizes, count).astype(np.int64)
        self._first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(self._first, self._whole, graph.first)
        self._kinds = np.zeros(count, np.int16)
        self._kinds[self._whole] = graph.kinds
        self._owner = np.arange(count)
        a, b, self._times = graph.touching.get()
        self._a, self._b = self._whole[a], self._whole[b]

    def settled(self, fill_holes: int, min_size: int, max_size: int | None) -> tuple[Ints, Ints]:
        """Final number of every row, and the sizes of the objects."""
        self._attach_loose()
        if fill_holes:
            self._fill(fill_holes)
        background = (self._kinds == BACKGROUND) & (self._owner == np.arange(len(self._owner)))
        sizes = np.bincount(self._owner, self._sizes, len(self._owner)).astype(np.int64)
        first = self._first.copy()
        np.minimum.at(first, self._owner, self._first)
        top = np.iinfo(np.int64).max if max_size is None else max_size
        kept = np.flatnonzero(~background & (sizes >= max(1, min_size)) & (sizes <= top))
        kept = kept[np.argsort(first[kept])]
        numbers = np.zeros(len(sizes), np.int64)
        numbers[kept] = np.arange(1, len(kept) + 1)
        return numbers[self._owner][self._whole], sizes[kept]

    def _contacts(self) -> tuple[Ints, Ints, Ints]:
        """Wholes, what they touch, and at how many sides of pixels, in both directions."""
        return np.concatenate([self._a, self._b]), np.concatenate([self._b, self._a]), np.concatenate([self._times] * 2)

    def _attach_loose(self) -> None:
        """Loose pieces to the object they touch most, of equals the first; the others are objects themselves."""
        loose, objects, times = self._contacts()
        wanted = (self._kinds[loose] < 0) & (self._kinds[objects] == -self._kinds[loose])
        loose, objects, times = _summed(loose[wanted], objects[wanted], times[wanted])
        order = np.lexsort((-self._first[objects], times))
        self._owner[loose[order]] = objects[order]

    def _fill(self, limit: int) -> None:
        """Small background in one object to that object; what is joined to the outside is no hole."""
        here, there, times = self._contacts()
        wanted = (self._kinds[here] == BACKGROUND) & (self._kinds[there] != BACKGROUND)
        holes, objects, _ = _summed(here[wanted], self._owner[there[wanted]], times[wanted])
        alone = np.bincount(holes, minlength=len(self._sizes))[holes] == 1
        inside = (self._sizes[holes] <= limit) & (holes != self._whole[0])
        self._owner[holes[alone & inside]] = objects[alone & inside]


def _summed(a: Ints, b: Ints, times: Ints) -> tuple[Ints, Ints, Ints]:
    """Each pair once, with the sum of its times."""
    pairs, place = np.unique(np.stack([a, b]), axis=1, return_inverse=True)
    return pairs[0], pairs[1], np.bincount(place.ravel(), times, pairs.shape[1]).astype(np.int64)


def _cut(axis: int, start: int | None, stop: int | None) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, stop),)
