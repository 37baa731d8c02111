"""Class and certainty in one byte a pixel: what a soft overlay shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

MOST_LEVELS = 64


def levels(classes: int) -> int:
    """Steps of certainty that fit for so many classes, background included.

    Examples
    --------
    >>> levels(2), levels(5), levels(255)
    (64, 63, 1)
    """
    return max(min(MOST_LEVELS, 255 // max(classes - 1, 1)), 1)


def code(value: int, level: int, classes: int) -> int:
    """The byte for class `value` (2, 3, ...) at `level` (0 to ``levels(classes) - 1``)."""
    return 1 + (value - 2) * levels(classes) + level


def per_class(probabilities: npt.NDArray[np.float32], classes: int) -> npt.NDArray[np.float32]:
    """One plane for each class, background first: of one plane two, and the boundary with its foreground."""
    if len(probabilities) == 1:
        return np.concatenate([1 - probabilities, probabilities])
    if len(probabilities) > max(classes, 2):
        return np.stack([probabilities[0], 1 - probabilities[0]])
    return probabilities


def soften(probabilities: npt.NDArray[np.float32], classes: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Labels and codes of a tile.

    Parameters
    ----------
    probabilities : ndarray
        ``(K, *spatial)``, background first; a single plane is the foreground's. One more plane than classes is the
        boundary of objects, a part of the foreground.
    classes : int
        Number of classes, background included.

    Returns
    -------
    labels : ndarray of uint8
        1 = background, 2, 3, ... = classes.
    codes : ndarray of uint8
        The likeliest class of the foreground, and how probable the foreground is.
    """
    probabilities = per_class(probabilities, classes)
    found = probabilities.argmax(0).astype(np.uint8) + np.uint8(1)
    best = probabilities[1:].argmax(0).astype(np.uint8)
    steps = levels(classes)
    level = np.minimum((1 - probabilities[0]) * steps, steps - 1).astype(np.uint8)
    return found, best * np.uint8(steps) + level + np.uint8(1)


def hard_codes(classes: int) -> npt.NDArray[np.uint8]:
    """A table from labels to the codes of full certainty; nothing predicted stays 0, background is certain to be none.

    Returns
    -------
    ndarray of uint8, shape (256,)
    """
    table: npt.NDArray[Any] = np.zeros(256, np.uint8)
    table[1] = code(2, 0, classes)
    for value in range(2, classes + 1):
        table[value] = code(value, levels(classes) - 1, classes)
    return table
