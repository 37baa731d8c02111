"""What correcting an object paints. Numpy and SciPy only: it is done where the user waits for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
#: Half the width of what joins two objects, pixels.
BRIDGE = 1.5


def rim(mask: Mask) -> Mask:
    """The pixels around an object that share a side with it."""
    around: Mask = ndimage.binary_dilation(mask) & ~mask
    return around


def bridge(one: Mask, other: Mask) -> Mask:
    """The shortest way from one object to another, three pixels wide, with neither of both.

    Examples
    --------
    >>> one = np.zeros((5, 9), bool); one[2, :3] = True
    >>> other = np.zeros((5, 9), bool); other[2, 6:] = True
    >>> bridge(one, other)[2].nonzero()[0].tolist()
    [3, 4, 5]
    """
    away, nearest = ndimage.distance_transform_edt(~one, return_indices=True)
    points = np.argwhere(other)
    end = points[int(away[tuple(points.T)].argmin())]
    start = nearest[(slice(None), *end)]
    steps = int(np.abs(end - start).max()) + 1
    way = np.ones(one.shape, bool)
    way[tuple(np.round(np.linspace(start, end, steps)).astype(int).T)] = False
    joined: Mask = (ndimage.distance_transform_edt(way) <= BRIDGE) & ~one & ~other
    return joined


def split(mask: Mask) -> npt.NDArray[np.uint8]:
    """Cut an object at its narrowest place, or in the middle when it has none.

    Returns
    -------
    ndarray of uint8
        0 outside, 1 and 2 the parts, 3 the cut between them.

    Examples
    --------
    >>> mask = np.zeros((7, 13), bool); mask[1:6, 1:6] = mask[1:6, 7:12] = mask[3, 6] = True
    >>> parts = split(mask)
    >>> bool(parts[3, 2] != parts[3, 10]), np.unique(parts[mask]).tolist()
    (True, [1, 2, 3])
    """
    seeds = _seeds(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
    _, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    parts: npt.NDArray[Any] = np.where(mask, seeds[tuple(nearest)], 0).astype(np.uint8)
    touching = ndimage.grey_dilation(parts, footprint=np.ones((3,) * mask.ndim)) == 2
    parts[(parts == 1) & touching] = 3
    return parts


def _seeds(mask: Mask) -> npt.NDArray[np.uint8]:
    """The two largest pieces that are left when the object is worn away until it breaks, as 1 and 2."""
    depth = ndimage.distance_transform_edt(mask)
    for level in np.unique(depth[mask]):
        pieces, count = ndimage.label(depth > level)
        if count >= 2:
            sizes = np.bincount(pieces.ravel())[1:]
            first, second = np.argsort(sizes)[::-1][:2] + 1
            return np.where(pieces == first, 1, np.where(pieces == second, 2, 0)).astype(np.uint8)
    return _halves(mask)


def _halves(mask: Mask) -> npt.NDArray[np.uint8]:
    """Both sides of the middle of an object's longest direction."""
    points = np.argwhere(mask)
    centred = points - points.mean(0)
    longest = np.linalg.svd(centred, full_matrices=False)[2][0]
    halves = np.zeros(mask.shape, np.uint8)
    halves[tuple(points.T)] = np.where(centred @ longest > 0, 2, 1)
    return halves
