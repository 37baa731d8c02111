"""Complete regions: rectangles in which everything that is not painted is background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet._napari.boxes import inside
from napari_unet.session.commands import Box


def complete_boxes(layer: Any, shape: Sequence[int]) -> tuple[Box, ...]:
    """Boxes of the upright rectangles of a Shapes layer on an image of label `shape`; other shapes are left out."""
    shapes = zip(layer.data, layer.shape_type, strict=True)
    boxes = [_box(vertices, shape) for vertices, kind in shapes if kind == "rectangle" and _upright(vertices)]
    return tuple(box for box in boxes if box is not None)


def _box(vertices: npt.NDArray[np.floating[Any]], shape: Sequence[int]) -> Box | None:
    """Pixels whose centres lie in the rectangle; along an axis without extent, the one slice."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    edges = [
        (np.ceil(a), np.floor(b) + 1) if b - a >= 1 else (np.round((a + b) / 2), np.round((a + b) / 2) + 1)
        for a, b in zip(low, high, strict=True)
    ]
    return inside(edges[-len(shape) :], shape) if len(edges) >= len(shape) else None


def _upright(vertices: npt.NDArray[np.floating[Any]]) -> bool:
    """Whether each side is parallel to an axis."""
    sides = np.abs(np.diff(vertices, axis=0, append=vertices[:1]))
    return bool(((sides > 1e-3 * sides.max()).sum(axis=1) <= 1).all())
