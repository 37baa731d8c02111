"""Outlines that can be seen, however large the image is and from however far it is looked at."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet._napari.view import displayed_axes

#: Pixels of the screen that an outline is wide, its thickness in napari's measure at most, and the pixels times
#: thickness that napari outlines in about half a second.
WIDE, MOST, EFFORT = 3.0, 6, 2**24
#: Seconds that the view must rest before outlines get another thickness.
REST = 0.3


class Outlines:
    """Gives layers outlines of the thickness that suits the view.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._wanted: dict[Any, int] = {}
        self._since = 0.0

    def show(self, layer: Any, *, outlined: bool, opacity: float) -> None:
        """Outline a layer, as opaque as can be, or fill it with `opacity`."""
        thick = self.thickness(layer) if outlined else 0
        if outlined != (layer.contour > 0):
            layer.opacity = 1.0 if outlined else opacity
        if layer.contour != thick:
            layer.contour = thick

    def follow(self, layers: list[Any], now: float) -> None:
        """Make outlines thicker or thinner when the view has rested at another magnification."""
        wanted = {layer: self.thickness(layer) for layer in layers if layer.visible and layer.contour > 0}
        if wanted != self._wanted:
            self._wanted, self._since = wanted, now
        if now - self._since >= REST:
            for layer, thick in wanted.items():
                if layer.contour != thick:
                    layer.contour = thick

    def thickness(self, layer: Any) -> int:
        """Of the inner outline in pixels, as napari counts; outside there is one pixel more."""
        viewer, shown = self._viewer, displayed_axes(self._viewer, layer)
        camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
        pixel = float(camera.zoom) * min((abs(float(layer.scale[axis])) for axis in shown), default=1.0)
        wanted = ceil(WIDE / max(pixel, 1e-9)) - 1
        affordable = EFFORT // max(prod(layer.data.shape[axis] for axis in shown), 1)
        return int(max(min(wanted, MOST, affordable), 1))


def outlined(plane: npt.NDArray[Any], rows: slice, columns: slice, thick: int) -> npt.NDArray[Any]:
    """A part of a plane with only its outlines, as napari's contour of that thickness.

    Examples
    --------
    >>> outlined(np.array([[1, 1, 1, 2, 2, 2]]), slice(0, 1), slice(0, 6), 1).tolist()
    [[0, 0, 1, 2, 0, 0]]
    """
    from scipy import ndimage

    top, left = max(rows.start - thick, 0), max(columns.start - thick, 0)
    wide = np.asarray(plane[top : rows.stop + thick, left : columns.stop + thick])
    cross = ndimage.generate_binary_structure(2, 1)
    around = ndimage.iterate_structure(cross, thick).astype(bool)
    inner = ndimage.grey_dilation(wide, footprint=cross) == ndimage.grey_erosion(wide, footprint=around)
    part = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    found: npt.NDArray[Any] = np.where(inner[part], 0, wide[part]).astype(wide.dtype, copy=False)
    return found
