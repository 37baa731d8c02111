"""Objects of planes that follow each other: the same number where they are the same object."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Objects = npt.NDArray[Any]


class Linker:
    """Gives the objects of each plane numbers that are unique in the image.

    Parameters
    ----------
    overlap : float
        An object takes over the number of the object of the previous z that it overlaps most, if their intersection
        over union is at least this, and that object went on in no other; 0 for never.

    Examples
    --------
    >>> linker = Linker(0.5)
    >>> linker.add(np.array([[1, 1, 0, 2]]), (), 0).tolist(), linker.add(np.array([[0, 0, 0, 1]]), (), 1).tolist()
    ([[1, 1, 0, 2]], [[0, 0, 0, 2]])
    """

    def __init__(self, overlap: float) -> None:
        self._overlap = overlap
        self._count = 0
        self._last: dict[tuple[int, ...], tuple[int, Objects]] = {}

    def preliminary(self, objects: Objects) -> npt.NDArray[np.uint32]:
        """Numbers that no finished plane has."""
        return np.where(objects > 0, objects + np.uint32(self._count), 0).astype(np.uint32)

    def add(self, objects: Objects, stack: tuple[int, ...], z: int | None) -> npt.NDArray[np.uint32]:
        """Final numbers of a plane.

        Parameters
        ----------
        objects : ndarray of int
            0 and 1..N.
        stack : tuple of int
            Position along the other leading axes: only planes of one stack are linked.
        z : int or None
            Position along z; planes come in ascending order.
        """
        numbers = np.zeros(int(objects.max(initial=0)) + 1, np.uint32)
        before = self._last.get(stack)
        if self._overlap and z is not None and before is not None and before[0] == z - 1:
            mine, theirs = _matches(objects, before[1], self._overlap)
            numbers[mine] = theirs
        new = np.flatnonzero(numbers[1:] == 0) + 1
        numbers[new] = np.arange(self._count + 1, self._count + 1 + len(new))
        self._count += len(new)
        found = numbers[objects]
        if self._overlap and z is not None:
            self._last[stack] = (z, found)
        return found


def _matches(objects: Objects, before: Objects, least: float) -> tuple[Objects, Objects]:
    """Pairs of objects that overlap best, each object in one pair at most."""
    both = (objects > 0) & (before > 0)
    if not both.any():
        return np.zeros(0, int), np.zeros(0, int)
    pairs, common = np.unique(np.stack([objects[both], before[both]]), axis=1, return_counts=True)
    mine, theirs = pairs.astype(np.int64)
    iou = common / (np.bincount(objects.ravel())[mine] + np.bincount(before.ravel())[theirs] - common)
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
    return mine[kept], theirs[kept]
