"""What a segmentation is written into: a layer of classes or of objects, or maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_unet._napari.maps import Maps
from napari_unet._napari.prediction_layer import RECIPE, Index

if TYPE_CHECKING:
    from napari_unet._napari.viewer_link import ViewerLink


class Target(Protocol):
    """Takes the tiles of one image."""

    @property
    def layers(self) -> Sequence[Any]:
        """What the user sees of it."""

    def begin(self, part: Index | None) -> None:
        """Make ready for a part of the label image, or for all of it."""

    def write(self, index: Index, tile: npt.NDArray[Any]) -> None:
        """Show a tile, if the user has not deleted the layer."""


class LabelTarget:
    """A layer of classes or of objects.

    Parameters
    ----------
    link : ViewerLink
    layer : Labels
    objects : bool
        Whether it holds objects.
    """

    def __init__(self, link: ViewerLink, layer: Any, *, objects: bool) -> None:
        self._link, self._layer, self._objects = link, layer, objects
        self._offset = 0
        self.layers = (layer,)

    def begin(self, part: Index | None) -> None:
        """Objects of a part take the place of those that were there, with numbers that no other object has."""
        self._layer.metadata.pop(RECIPE, None)
        if self._objects and part is not None:
            self._layer.data[part] = 0
            self._offset = int(self._layer.data.max(initial=0))

    def write(self, index: Index, tile: npt.NDArray[Any]) -> None:
        display, layer = self._link.display, self._layer
        if self._offset:
            tile = np.where(tile > 0, tile + self._offset, 0)
        if layer is self._link.prediction:
            display.write(index, tile)
        elif layer is self._link.objects:
            display.write_objects(index, tile)
        elif self._link.has(layer):
            display.write_into(layer, index, tile)


class MapTarget:
    """Layers of probabilities or uncertainty.

    Parameters
    ----------
    link : ViewerLink
    maps : Maps
    """

    def __init__(self, link: ViewerLink, maps: Maps) -> None:
        self._link, self._maps = link, maps
        self.layers = maps.layers

    def begin(self, part: Index | None) -> None:
        for layer in self.layers:
            layer.metadata.pop(RECIPE, None)

    def write(self, index: Index, tile: npt.NDArray[Any]) -> None:
        self._maps.write(index, tile)
        for layer in self.layers:
            self._link.display.redraw_later(layer)
