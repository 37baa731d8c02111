"""A Labels layer that predictions are written into, tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_unet._napari.axes import label_shape, placement
from napari_unet._napari.colors import prediction_colormap, soft_colormap
from napari_unet._napari.outlines import outlined
from napari_unet._napari.view import displayed_axes, slice_point

Index = tuple[int | slice, ...]
NAME = "Prediction"
SOFT_NAME = "Probability"
OBJECTS_NAME = "Objects"
ROLE = "napari-unet"
#: Key of the metadata of a result layer that says how it was made.
RECIPE = "napari-unet recipe"
#: How opaque filled classes and objects are.
FILLED, OBJECTS_FILLED = 0.4, 0.5


def make_prediction(image: Any, colors: Sequence[str]) -> Labels:
    """An empty prediction of `image`: one byte a pixel, in the class colours."""
    return Labels(
        np.zeros(label_shape(image), np.uint8),
        name=NAME,
        opacity=FILLED,
        colormap=prediction_colormap(colors),
        metadata={ROLE: "prediction"},
        **placement(image),
    )


def make_soft(image: Any, colors: Sequence[str]) -> Labels:
    """An empty overlay of `image` for class and certainty: one byte a pixel."""
    return Labels(
        np.zeros(label_shape(image), np.uint8),
        name=SOFT_NAME,
        opacity=0.6,
        colormap=soft_colormap(colors),
        metadata={ROLE: "prediction"},
        **placement(image),
    )


def make_objects(image: Any) -> Labels:
    """An empty layer for single objects of `image`, each in a colour of its own."""
    return Labels(
        np.zeros(label_shape(image), np.uint32),
        name=OBJECTS_NAME,
        opacity=OBJECTS_FILLED,
        metadata={ROLE: "prediction"},
        **placement(image),
    )


def write(viewer: Any, layer: Any, index: Index, tile: npt.NDArray[Any]) -> bool:
    """Put `tile` at `index` of the prediction `layer`, and show it at the price of the tile, not of the layer.

    Returns
    -------
    bool
        Whether it is on the screen as far as it should be; False when the layer must be refreshed.
    """
    layer.data[index] = tile
    if not layer.visible or not _in_slice(viewer, layer, index):
        return True
    return _show_part(viewer, layer, index)


def outdate(layer: Any) -> None:
    """Note that a part of a result was predicted anew since: its recipe does not tell how all of it was made."""
    if RECIPE in layer.metadata:
        layer.metadata[RECIPE] = {**layer.metadata[RECIPE], "complete": False}


def refresh(layer: Any) -> None:
    """Redraw the layer as cheaply as a whole layer can be."""
    layer.refresh(extent=False, thumbnail=False, highlight=False)


def _in_slice(viewer: Any, layer: Any, index: Index) -> bool:
    """Whether any of the tile is on the screen."""
    displayed, point = displayed_axes(viewer, layer), slice_point(viewer, layer)
    hidden = ((at, part) for axis, (at, part) in enumerate(zip(point, index, strict=True)) if axis not in displayed)
    return all(_holds(part, at) for at, part in hidden)


def _holds(part: int | slice, at: int) -> bool:
    return part.start <= at < part.stop if isinstance(part, slice) else part == at


def _show_part(viewer: Any, layer: Any, index: Index) -> bool:
    """Update only a part of the texture; False where napari cannot.

    A whole refresh of a large layer takes up to a second, this one takes a millisecond. It works for one plane of
    pixels in their own order, and relies on one private function of napari, hence the guards.
    """
    displayed = displayed_axes(viewer, layer)
    to_texture = getattr(layer.colormap, "_data_to_texture", None)
    update = getattr(layer.events, "labels_update", None)
    ordered = displayed == tuple(sorted(displayed)) and len(displayed) == 2
    if not ordered or layer.multiscale or to_texture is None or update is None:
        return False
    place = [part for part in (index[axis] for axis in displayed) if isinstance(part, slice)]
    if len(place) < 2:
        return False
    point = slice_point(viewer, layer)
    plane = layer.data[tuple(slice(None) if axis in displayed else point[axis] for axis in range(layer.ndim))]
    rows, columns = place
    if layer.contour:  # what is outlined changes around the tile too
        thick = int(layer.contour)
        rows, columns = (
            slice(max(part.start - thick, 0), min(part.stop + thick, size))
            for part, size in zip((rows, columns), plane.shape, strict=True)
        )
    data = outlined(plane, rows, columns, layer.contour) if layer.contour else plane[rows, columns]
    update(data=to_texture(np.ascontiguousarray(data)), offset=[rows.start, columns.start])
    return True
