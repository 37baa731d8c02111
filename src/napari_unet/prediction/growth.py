"""Seeds that grow step by step into the pixels around them: a watershed with a bounded reach.

Each pixel goes to the seed that reaches it in the fewest steps, of several to the one that comes along the first axis
from the first side. That depends on no more than the pixels within reach, so that any cut of an image gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.prediction.seams import Box

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Growth:
    """Who came from whom.

    Attributes
    ----------
    parents : ndarray of uint8
        0 for pixels that nothing grew into; ``2 * axis + 1`` where the previous pixel along an axis did, ``2 * axis +
        2`` where the next one did.
    waves : list of (ndarray, ndarray)
        Step by step the pixels that were reached and those they were reached from, as flat indices.
    """

    parents: npt.NDArray[np.uint8]
    waves: list[tuple[Places, Places]] = field(default_factory=list)

    def spread(self, numbers: npt.NDArray[np.uint32], unit: Box, count: int) -> int:
        """Hand the numbers of seeds on within a unit; what comes from outside of it gets new ones above `count`.

        Returns
        -------
        int
            The highest number.
        """
        inside = np.zeros(numbers.shape, bool)
        inside[unit] = True
        flat, wanted = numbers.reshape(-1), inside.reshape(-1)
        for targets, sources in self.waves:
            here = wanted[targets]
            found = flat[sources[here]]
            new = np.flatnonzero(found == 0)
            found[new] = np.arange(count + 1, count + 1 + len(new))
            count += len(new)
            flat[targets[here]] = found
        return count


def grow(classes: npt.NDArray[Any], seeds: npt.NDArray[np.bool_], steps: int) -> Growth:
    """Grow seeds into the pixels of their own class.

    Parameters
    ----------
    classes : ndarray of int
        Class of each pixel.
    seeds : ndarray of bool
        Where growth begins.
    steps : int
        Largest number of steps, from side to side of pixels.
    """
    growth = Growth(np.zeros(classes.shape, np.uint8))
    free = np.flatnonzero(~seeds & (classes > 1))
    if steps < 1 or not len(free):
        return growth
    reached, values, parents = seeds.reshape(-1).copy(), classes.reshape(-1), growth.parents.reshape(-1)
    candidates = free
    for _ in range(steps):
        targets, sources = _reached(candidates, classes.shape, reached, values, parents)
        if not len(targets):
            break
        growth.waves.append((targets, sources))
        reached[targets] = True
        around = np.concatenate([near for _, _, near in _neighbours(targets, classes.shape)])
        candidates = np.unique(around[~reached[around] & (values[around] > 1)])
    return growth


def _reached(
    places: Places,
    shape: tuple[int, ...],
    reached: npt.NDArray[np.bool_],
    values: npt.NDArray[Any],
    parents: npt.NDArray[np.uint8],
) -> tuple[Places, Places]:
    """Those of `places` that have a reached neighbour of their class, and that neighbour; the first direction wins."""
    sources = np.full(len(places), -1)
    for direction, chosen, near in _neighbours(places, shape):
        good = (sources[chosen] < 0) & reached[near] & (values[near] == values[places[chosen]])
        sources[chosen[good]] = near[good]
        parents[places[chosen[good]]] = direction
    found = sources >= 0
    return places[found], sources[found]


def _neighbours(places: Places, shape: tuple[int, ...]) -> Iterator[tuple[int, Places, Places]]:
    """For each direction its number, which of `places` have a neighbour there, and that neighbour."""
    stride = 1
    strides: list[int] = []
    for n in reversed(shape):
        strides.insert(0, stride)
        stride *= n
    for axis, (step, n) in enumerate(zip(strides, shape, strict=True)):
        position = places // step % n
        for direction, inside, move in ((1, position > 0, -step), (2, position < n - 1, step)):
            chosen = np.flatnonzero(inside)
            yield 2 * axis + direction, chosen, places[chosen] + move
