"""Strokes that a network cannot fit, that are probably of the wrong class, or that make one object of two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.events import Finding

#: Pieces of strokes below so many pixels are not spoken of.
SMALLEST = 4
#: So sure of another class that the stroke is probably wrong.
SURE = 0.9


def findings(strokes: npt.NDArray[Any], chances: npt.NDArray[Any], *, objects: bool = False) -> Iterator[Finding]:
    """Look at each connected piece of strokes of one value.

    Parameters
    ----------
    strokes : ndarray of int, shape ``(*spatial,)``
        0 = not annotated, 1 = background, 2 and up = classes or `objects`.
    chances : ndarray, shape ``(K, *spatial)``
        Probabilities of the classes, background first.
    objects : bool
        Whether values from 2 on are single objects, all of the second class.

    Yields
    ------
    Finding
        With `point` in the array.

    Examples
    --------
    >>> strokes = np.zeros((9, 9), int); strokes[4, 2:8] = 2
    >>> [found.kind for found in findings(strokes, np.stack([np.full((9, 9), 0.95), np.full((9, 9), 0.05)]))]
    ['swapped']
    """
    foreground, _ = ndimage.label(chances[0] < 0.5)
    for value in np.unique(strokes[strokes > 0]).tolist():
        pieces, count = ndimage.label(strokes == value, np.ones((3,) * strokes.ndim))
        index = min(value - 1, 1) if objects else value - 1
        if index >= len(chances):
            continue
        lies_on: set[int] = set()
        for number, box in enumerate(ndimage.find_objects(pieces), start=1):
            mask = pieces[box] == number
            size = int(mask.sum())
            if size < SMALLEST:
                continue
            points = np.argwhere(mask)
            point = tuple(int(n) + side.start for n, side in zip(points[len(points) // 2], box, strict=True))
            means = np.array([plane[box][mask].mean() for plane in chances])
            seen = int(means.argmax())
            if seen != index:
                kind = "swapped" if means[seen] >= SURE else "misfit"
                yield Finding(kind, point, value, seen + 1, float(means[index]), size)  # type: ignore[arg-type]
            elif objects and index and count > 1:
                under = int(np.bincount(foreground[box][mask]).argmax())
                if lies_on and under and under not in lies_on:
                    yield Finding("shared", point, value, value, float(means[index]), size)
                lies_on |= {under} - {0}
