"""Objects of planes that follow each other: the same number where they are the same object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Objects = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
#: Objects of a plane, objects of the plane before, and how many pixels they share.
Overlaps = tuple[Ints, Ints, Ints]


class Numbering:
    """Gives the objects of each plane numbers that are unique in the image, from tables alone.

    Parameters
    ----------
    overlap : float
        An object takes over the number of the object of the previous z that it overlaps most, if their intersection
        over union is at least this, and that object went on in no other; 0 for never.

    Attributes
    ----------
    count : int
        Numbers that were given so far.

    Examples
    --------
    >>> numbering, none = Numbering(0.5), np.zeros(0, np.int64)
    >>> numbering.add(np.array([2, 1]), (), 0, lambda: (none, none, none)).tolist()
    [0, 1, 2]
    >>> numbering.add(np.array([4, 1]), (), 1, lambda: (np.array([2]), np.array([2]), np.array([1]))).tolist()
    [0, 3, 2]
    """

    def __init__(self, overlap: float) -> None:
        self.count = 0
        self._overlap = overlap
        self._last: dict[tuple[int, ...], tuple[int, Ints, Ints]] = {}

    def add(
        self, sizes: Ints, stack: tuple[int, ...], z: int | None, overlaps: Callable[[], Overlaps]
    ) -> npt.NDArray[np.uint32]:
        """Final number of each object of a plane, after 0 for none.

        Parameters
        ----------
        sizes : ndarray of int
            Pixels of the objects 1..N of the plane.
        stack : tuple of int
            Position along the other leading axes: only planes of one stack are linked.
        z : int or None
            Position along z; planes come in ascending order.
        overlaps : callable
            Asked where there is a plane before: what this one shares with it, objects there by their final numbers.
        """
        numbers = np.zeros(len(sizes) + 1, np.int64)
        before = self._last.get(stack)
        if self._overlap and z is not None and before is not None and before[0] == z - 1:
            mine, theirs, common = overlaps()
            order = np.argsort(before[1])
            other = before[2][order][np.searchsorted(before[1][order], theirs)]
            iou = common / (sizes[mine - 1] + other - common)
            kept = _best(mine, theirs, iou, self._overlap)
            numbers[mine[kept]] = theirs[kept]
        new = np.flatnonzero(numbers[1:] == 0) + 1
        numbers[new] = np.arange(self.count + 1, self.count + 1 + len(new))
        self.count += len(new)
        if self._overlap and z is not None:
            self._last[stack] = z, numbers[1:], np.asarray(sizes)
        return numbers.astype(np.uint32)


class Linker:
    """Gives the objects of each plane numbers that are unique in the image.

    Parameters
    ----------
    overlap : float
        As for `Numbering`.

    Examples
    --------
    >>> linker = Linker(0.5)
    >>> linker.add(np.array([[1, 1, 0, 2]]), (), 0).tolist(), linker.add(np.array([[0, 0, 0, 1]]), (), 1).tolist()
    ([[1, 1, 0, 2]], [[0, 0, 0, 2]])
    """

    def __init__(self, overlap: float) -> None:
        self._numbering = Numbering(overlap)
        self._links = overlap > 0
        self._last: dict[tuple[int, ...], Objects] = {}

    def preliminary(self, objects: Objects) -> npt.NDArray[np.uint32]:
        """Numbers that no finished plane has."""
        return np.where(objects > 0, objects + np.uint32(self._numbering.count), 0).astype(np.uint32)

    def add(self, objects: Objects, stack: tuple[int, ...], z: int | None) -> npt.NDArray[np.uint32]:
        """Final numbers of a plane.

        Parameters
        ----------
        objects : ndarray of int
            0 and 1..N.
        stack, z
            As for `Numbering.add`.
        """
        sizes = np.bincount(objects.ravel(), minlength=1)[1:].astype(np.int64)
        numbers = self._numbering.add(sizes, stack, z, lambda: overlaps_of([(objects, self._last[stack])]))
        found: npt.NDArray[np.uint32] = numbers[objects]
        if self._links and z is not None:
            self._last[stack] = found
        return found


def overlaps_of(blocks: Iterable[tuple[Objects, Objects]]) -> Overlaps:
    """What the objects of two planes share, from pairs of blocks that together are the planes.

    Examples
    --------
    >>> [part.tolist() for part in overlaps_of([(np.array([0, 1, 1]), np.array([5, 5, 5]))])]
    [[1], [5], [2]]
    """
    keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for here, before in blocks:
        both = (here > 0) & (before > 0)
        found, times = np.unique(
            (here[both].astype(np.int64) << 32) + before[both].astype(np.int64), return_counts=True
        )
        keys.append(found)
        counts.append(times)
    pairs, place = np.unique(np.concatenate(keys), return_inverse=True)
    common = np.bincount(place, np.concatenate(counts), len(pairs)).astype(np.int64)
    return pairs >> 32, pairs & 0xFFFFFFFF, common


def _best(mine: Ints, theirs: Ints, iou: npt.NDArray[np.float64], least: float) -> list[int]:
    """Pairs of objects that overlap best, each object in one pair at most."""
    order = np.lexsort((theirs, mine, -iou))
    order = order[iou[order] >= least]
    taken: tuple[set[int], set[int]] = set(), set()
    kept = []
    for i in order.tolist():
        a, b = int(mine[i]), int(theirs[i])
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            kept.append(i)
    return kept
