"""Complete regions: rectangles in which everything that is not painted is background."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[tuple[int, int], ...]


def complete_boxes(shapes: Iterable[tuple[str, npt.ArrayLike]], shape: Sequence[int]) -> tuple[Box, ...]:
    """Boxes of upright rectangles on a label image.

    Parameters
    ----------
    shapes : iterable of (str, array-like)
        Kind and vertices of each shape, ``(N, D)`` in pixels; all but upright rectangles are left out.
    shape : sequence of int
        Of the label image.

    Returns
    -------
    tuple of boxes
        ``((start, stop), ...)`` for each axis.

    Examples
    --------
    >>> complete_boxes([("rectangle", [[1, 2], [1, 8], [5, 8], [5, 2]])], (10, 6))
    (((1, 6), (2, 6)),)
    """
    found = [(kind, np.asarray(vertices, float)) for kind, vertices in shapes]
    boxes = [_box(vertices, shape) for kind, vertices in found if kind == "rectangle" and _upright(vertices)]
    return tuple(box for box in boxes if box is not None)


def _box(vertices: npt.NDArray[np.floating[Any]], shape: Sequence[int]) -> Box | None:
    """Pixels whose centres lie in the rectangle; along an axis without extent, the one slice."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    edges = [
        (np.ceil(a), np.floor(b) + 1) if b - a >= 1 else (np.round((a + b) / 2), np.round((a + b) / 2) + 1)
        for a, b in zip(low, high, strict=True)
    ]
    if len(edges) < len(shape):
        return None
    cut = tuple((int(max(a, 0)), int(min(b, size))) for (a, b), size in zip(edges[-len(shape) :], shape, strict=True))
    return cut if all(a < b for a, b in cut) else None


def _upright(vertices: npt.NDArray[np.floating[Any]]) -> bool:
    """Whether each side is parallel to an axis."""
    sides = np.abs(np.diff(vertices, axis=0, append=vertices[:1]))
    return bool(((sides > 1e-3 * sides.max()).sum(axis=1) <= 1).all())
