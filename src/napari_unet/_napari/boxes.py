"""Boxes of pixels: ``(start, stop)`` for each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_unet.session.commands import Box


def whole(shape: Sequence[int]) -> Box:
    """The box of a whole array."""
    return tuple((0, int(size)) for size in shape)


def slices(box: Box) -> tuple[slice, ...]:
    """`box` as an index."""
    return tuple(slice(start, stop) for start, stop in box)


def union(first: Box | None, second: Box | None) -> Box | None:
    """The smallest box around both; None is no box."""
    if first is None or second is None:
        return first or second
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))


def inside(box: Sequence[tuple[float, float]], shape: Sequence[int]) -> Box | None:
    """`box` cut to an array of `shape`, or None when nothing is left of it."""
    cut = tuple((int(max(a, 0)), int(min(b, size))) for (a, b), size in zip(box, shape, strict=True))
    return cut if all(a < b for a, b in cut) else None


def around(box: Box, centre: Sequence[float], edge: int) -> Box:
    """At most `edge` pixels of `box` along each axis, as near to `centre` as the box allows."""
    return tuple(_part(start, stop, at, edge) for (start, stop), at in zip(box, centre, strict=True))


def _part(start: int, stop: int, at: float, edge: int) -> tuple[int, int]:
    size = min(stop - start, edge)
    first = min(max(round(at) - size // 2, start), stop - size)
    return first, first + size


def painted_box(edits: Any, shape: Sequence[int]) -> Box:
    """Box around the `edits` of a Labels layer's paint event; the whole array when they are not understood.

    An edit starts with its place: slices of a bounding box (napari 0.9), or arrays of indices (before, and
    ``data_setitem``).
    """
    box: Box | None = None
    for part in painted_parts(edits, shape):
        box = union(box, part)
    return box or whole(shape)


def painted_parts(edits: Any, shape: Sequence[int]) -> list[Box]:
    """Box around each of the `edits` of a paint event; a long stroke is many of them."""
    parts = (inside(_place_box(edit[0], shape), shape) for edit in edits)
    return [part for part in parts if part is not None]


def stroke_value(edits: Any) -> int:
    """The value that the `edits` of one stroke paint; 0 when they erase, paint several, or are not understood."""
    values = {_edit_value(edit) for edit in edits}
    return values.pop() if len(values) == 1 else 0


def _edit_value(edit: Any) -> int:
    value: Any = getattr(edit, "new_value", None)
    value = edit[-1] if value is None and isinstance(edit, tuple) else value
    return int(value) if np.ndim(value) == 0 and isinstance(value, int | np.integer) else 0


def _place_box(place: Any, shape: Sequence[int]) -> Box:
    if not isinstance(place, tuple) or len(place) != len(shape):
        return whole(shape)
    return tuple(_edge(part, size) for part, size in zip(place, shape, strict=True))


def _edge(part: Any, size: int) -> tuple[int, int]:
    if isinstance(part, slice):
        start, stop, _ = part.indices(size)
        return start, stop
    index = np.asarray(part)
    return (int(index.min()), int(index.max()) + 1) if index.size else (0, size)
