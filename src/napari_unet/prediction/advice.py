"""Where a stroke teaches most: where a network is unsure, far from all strokes, and where its classes are rare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.events import Place, Reason

Floats = npt.NDArray[np.floating]
#: A stroke this many pixels away says little about a pixel any more.
REACH = {2: 32.0, 3: 12.0}
#: Width over which doubt is averaged: a brush covers more than the line between two classes.
BRUSH = {2: 3.0, 3: 1.5}
#: A class counts at most this many times more, or less, than a common one.
RAREST = 3.0
#: A place with less doubt than this teaches nothing.
LEAST = 0.03
#: Doubt of which one speaks first.
CLEARLY = 0.2


def rarity(painted: Sequence[int]) -> Floats:
    """How much a further stroke of each class is worth, by the pixels painted so far: 1 for the mean share.

    Examples
    --------
    >>> rarity([900, 100]).round(2).tolist()
    [0.75, 2.23]
    """
    counts = np.asarray(painted, float) + 1
    worth: Floats = np.clip(np.sqrt(counts.sum() / (len(counts) * counts)), 1 / RAREST, RAREST)
    return worth


def doubt(chances: Floats, others: Floats | None = None) -> Floats:
    """Uncertainty of each pixel, and how much a second opinion differs from the first; 0 to 1.

    Parameters
    ----------
    chances : ndarray
        Probabilities ``(K, *spatial)``, K of at least 2.
    others : ndarray, optional
        Probabilities of the same pixels by other means, for example of the mirrored image.

    Returns
    -------
    ndarray, shape ``(*spatial,)``
        The entropy of the mean over its largest value, and half the sum of the absolute differences: the mean of both.
        Without a second opinion they are taken to differ nowhere.
    """
    mean = chances if others is None else (chances + others) / 2
    entropy: Floats = -(mean * np.log(np.maximum(mean, 1e-12))).sum(0) / np.log(len(mean))
    differs = np.zeros_like(entropy) if others is None else np.abs(chances - others).sum(0) / 2
    return np.asarray((entropy + differs) / 2)


def distance_to(painted: npt.NDArray[np.bool_]) -> Floats:
    """Pixels to the nearest painted one; infinite where there is none."""
    if not painted.any():
        return np.full(painted.shape, np.inf)
    distance: Floats = ndimage.distance_transform_edt(~painted)
    return distance


def places(
    chances: Floats,
    distance: Floats,
    painted: Sequence[int],
    *,
    others: Floats | None = None,
    origin: Sequence[int] = (),
    lead: Sequence[int] = (),
    count: int = 3,
) -> list[Place]:
    """The places of one plane, or of a part of it, where a stroke teaches most, the best first.

    Parameters
    ----------
    chances, others
        As for `doubt`.
    distance : ndarray, shape ``(*spatial,)``
        Pixels to the nearest stroke, see `distance_to`.
    painted : sequence of int
        Painted pixels of each class, background first.
    origin : sequence of int
        Where the part begins in the image.
    lead : sequence of int
        Position along the leading axes, put in front of each point.
    count : int
        How many at most. They are apart by the reach of a stroke.

    Returns
    -------
    list of Place
        With the score ``doubt x distance from strokes x rarity``.

    Examples
    --------
    >>> chances = np.zeros((2, 64, 64)); chances[0] = 1; chances[:, 40:50, 20:30] = 0.5
    >>> (place,) = places(chances, np.full((64, 64), np.inf), [10, 10], count=1)
    >>> 40 <= place.point[0] < 50 and 20 <= place.point[1] < 30, place.reason
    (True, 'unsure')
    """
    ndim = distance.ndim
    unsure = ndimage.gaussian_filter(doubt(chances, others), BRUSH[ndim])
    apart = 1 - np.exp(-distance / REACH[ndim])
    worth = rarity(painted)
    rare = np.tensordot(worth, chances, 1)
    score = np.where(unsure >= LEAST, unsure, 0) * apart * rare
    smooth = [ndimage.gaussian_filter(plane, BRUSH[ndim]) for plane in chances]
    corner = tuple(origin) or (0,) * ndim
    found = []
    for at in _peaks(score, count, REACH[ndim]):
        first, second = np.argsort([plane[at] for plane in smooth])[::-1][:2]
        point = (*(int(n) for n in lead), *(int(a + b) for a, b in zip(at, corner, strict=True)))
        why = _reason(float(unsure[at]), worth[first], float(distance[at]), REACH[ndim])
        found.append(Place(point, int(first) + 1, int(second) + 1, float(score[at]), why))
    return found


def _peaks(score: Floats, count: int, apart: float) -> Iterator[tuple[int, ...]]:
    """The highest pixels, none nearer to another than `apart`."""
    left = score.copy()
    for _ in range(count):
        at = tuple(int(n) for n in np.unravel_index(int(left.argmax()), left.shape))
        if left[at] <= 0:
            return
        yield at
        left[tuple([slice(max(int(a - apart), 0), int(a + apart) + 1) for a in at])] = 0


def _reason(unsure: float, worth: float, distance: float, reach: float) -> Reason:
    """What makes a place worth a stroke, as far as one word says it."""
    if unsure >= CLEARLY:
        return "unsure"
    if worth > 1.5:
        return "rare"
    return "far" if distance > 2 * reach else "unsure"
