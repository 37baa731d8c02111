"""The warping error of Jain et al. 2010 (doi:10.1109/CVPR.2010.5539950), as in the ISBI 2012 challenge."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]
#: Neighbours of a pixel, row and column; bit k of a neighbourhood's code is the k-th.
NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def warped_errors(prediction: Mask, truth: Mask) -> int:
    """Pixels that still differ when the truth has been bent towards the prediction without tearing or merging.

    Pixels are flipped one after the other where that changes neither the 4-connected foreground nor the 8-connected
    background; what remains are splits, mergers, holes, and objects missed or invented. The order of the flips is
    fixed; as in the original the result is a local minimum.

    Parameters
    ----------
    prediction, truth : ndarray of bool
        Foreground of one plane, shape ``(Y, X)``.

    Returns
    -------
    int

    Examples
    --------
    >>> truth = np.zeros((5, 9), bool); truth[1:4, 1:8] = True
    >>> thinner = truth.copy(); thinner[1] = False
    >>> split = truth.copy(); split[:, 4] = False
    >>> warped_errors(thinner, truth), warped_errors(split, truth)
    (0, 1)
    """
    current, target = np.pad(truth, 1), np.pad(prediction, 1)
    places = np.argwhere(current != target)
    # Pixels of one parity class are no neighbours, so they may be flipped at once.
    parity = 2 * (places[:, 0] % 2) + places[:, 1] % 2
    fields = [places[parity == p] for p in range(4)]
    flipped = True
    while flipped:
        flipped = False
        for p, field in enumerate(fields):
            simple = _simple_points()[_codes(current, field)]
            rows, columns = field[simple].T
            current[rows, columns] = target[rows, columns]
            fields[p] = field[~simple]
            flipped |= bool(simple.any())
    return sum(len(field) for field in fields)


def _codes(mask: Mask, places: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """The neighbourhood of each place as a number of 8 bits."""
    found = np.zeros(len(places), np.intp)
    for bit, (row, column) in enumerate(NEIGHBOURS):
        found |= mask[places[:, 0] + row, places[:, 1] + column].astype(np.intp) << bit
    return found


@cache
def _simple_points() -> Mask:
    """For each neighbourhood, whether its centre can be flipped without a change of topology."""
    return np.array([_is_simple(code) for code in range(256)])


def _is_simple(code: int) -> bool:
    """One piece of foreground touches the centre's sides, and one piece of background touches it at all."""
    around = np.zeros((3, 3), bool)
    for bit, (row, column) in enumerate(NEIGHBOURS):
        around[1 + row, 1 + column] = code >> bit & 1
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    foreground, _ = ndimage.label(around, _CROSS)
    _, holes = ndimage.label(ring & ~around, _SQUARE)
    sides = foreground[[0, 1, 1, 2], [1, 0, 2, 1]]
    return len(set(sides[sides > 0].tolist())) == 1 and holes == 1
