"""Which part of an image the viewer shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_unet._napari.axes import label_shape
from napari_unet._napari.boxes import around, inside, whole
from napari_unet.session.commands import Box

#: Longest edge of a view that is predicted live, pixels; around its centre when more is shown.
MAX_EDGE = {2: 1024, 3: 128}
#: Edge of the surroundings of a stroke, pixels.
NEAR_EDGE = {2: 256, 3: 48}


@dataclass(frozen=True, slots=True)
class View:
    """A part of an image: position along the leading axes, and a box over the spatial axes."""

    lead: tuple[int, ...]
    box: Box


def displayed_axes(viewer: Any, layer: Any) -> tuple[int, ...]:
    """Axes of `layer` on the screen, in the order of the screen."""
    missing = viewer.dims.ndim - layer.ndim
    return tuple(axis - missing for axis in viewer.dims.displayed if axis >= missing)


def slice_point(viewer: Any, layer: Any) -> tuple[int, ...]:
    """The position of the sliders in pixels of `layer`, inside it."""
    world = np.asarray(viewer.dims.point)
    shape = label_shape(layer) if hasattr(layer, "rgb") else layer.data.shape
    point = np.round(layer.world_to_data(world))[-layer.ndim :]
    return tuple(int(min(max(at, 0), size - 1)) for at, size in zip(point, shape, strict=True))


def field_of_view(viewer: Any, layer: Any, ndim: int) -> View | None:
    """The part of image `layer` in view, for a network of `ndim` axes; None when its planes are seen from the side.

    At most `MAX_EDGE` pixels along each axis, so that the answer comes soon.
    """
    displayed, shape = displayed_axes(viewer, layer), label_shape(layer)
    if displayed != tuple(range(layer.ndim))[-len(displayed) :]:
        return None
    corners, point = _corners(layer, displayed), slice_point(viewer, layer)
    seen = tuple(corners[axis] if axis in displayed else (at, at + 1) for axis, at in enumerate(point))
    box = inside(seen[-ndim:], shape[-ndim:])
    if box is None or len(shape) < ndim:
        return None
    centre = [(start + stop) / 2 for start, stop in box]
    return View(point[:-ndim], around(box, centre, MAX_EDGE[ndim]))


def part_around(view: View, box: Box, ndim: int) -> View | None:
    """The part of `view` around a stroke in `box` (label axes); None when it is elsewhere, or most of the view."""
    if not all(start <= at < stop for at, (start, stop) in zip(view.lead, box[:-ndim], strict=True)):
        return None
    if inside([(a - c, b - c) for (a, b), (c, _) in zip(box[-ndim:], view.box, strict=True)], _sizes(view)) is None:
        return None
    part = View(view.lead, around(view.box, [(a + b) / 2 for a, b in box[-ndim:]], NEAR_EDGE[ndim]))
    return part if 2 * np.prod(_sizes(part)) <= np.prod(_sizes(view)) else None


def _sizes(view: View) -> list[int]:
    return [stop - start for start, stop in view.box]


def _corners(layer: Any, displayed: tuple[int, ...]) -> Box:
    """Box of `layer` on the screen; all of it before it was drawn, and in 3D."""
    shape = label_shape(layer)
    if len(displayed) > 2:
        return whole(shape)
    first, last = np.asarray(layer.corner_pixels, dtype=float)
    if not (first + last)[list(displayed)].any():
        return whole(shape)
    pixel = layer.downsample_factors[layer.data_level] if layer.multiscale else np.ones(layer.ndim)
    return tuple((int(a), int(np.ceil(b))) for a, b in zip(first * pixel, (last + 1) * pixel, strict=True))
