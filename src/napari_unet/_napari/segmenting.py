"""The segmentation of a whole image: its shared target, its progress, its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from psygnal import Signal

from napari_unet._napari.axes import label_shape
from napari_unet._napari.client import SessionClient
from napari_unet._napari.prediction_layer import RECIPE
from napari_unet._napari.viewer_link import ViewerLink
from napari_unet.config import PredictConfig
from napari_unet.session.arrays import SharedArray
from napari_unet.session.messages import Tile


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes
    ----------
    done, total : int
        Tiles.
    seconds : float or None
        What is left, once it can be told.
    """

    done: int
    total: int
    seconds: float | None = None


class Segmenting:
    """At most one segmentation at a time.

    Parameters
    ----------
    link : ViewerLink
    client : SessionClient
    clock : callable
        Seconds that only grow.

    Attributes
    ----------
    progress : Progress or None
    complete : int
        Steps of the model that the image in use was last segmented with as a whole; 0 when it was not.
    """

    finished = Signal(object, object, PredictConfig, int)  #: layer, image, settings, and steps of the model

    def __init__(self, link: ViewerLink, client: SessionClient, clock: Callable[[], float]) -> None:
        self._link, self._client, self._clock = link, client, clock
        self._target: SharedArray | None = None
        self._layer: Any = None
        self._image: Any = None
        self._config = PredictConfig()
        self._began = 0.0
        self.progress: Progress | None = None
        self.complete = 0
        self._quiet = self._objects = False

    def start(self, key: str, config: PredictConfig, *, quiet: bool = False) -> None:
        """Fill the prediction layer with the whole image `key`; `quiet` when nobody asked for it."""
        self.cancel()
        self._quiet = quiet
        self._objects = config.output == "instances"
        if self._objects:
            self._link.display.make_objects()
        self._target = SharedArray(label_shape(self._link.image), np.uint32 if self._objects else np.uint8)
        self._layer, self._image, self._config = self._role(), self._link.image, config
        if self._layer is not None:
            self._layer.metadata.pop(RECIPE, None)
        self._began = self._clock()
        self.progress = Progress(0, 0)
        self._client.predict_image(key, self._target.ref, config)

    def take(self, tile: Tile) -> None:
        """Show a finished tile."""
        if self._target is None:
            return
        display = self._link.display
        if self._layer is not None and self._role() is self._layer:
            (display.write_objects if self._objects else display.write)(tile.index, self._target.array[tile.index])
        spent = self._clock() - self._began
        self.progress = Progress(tile.done, tile.total, spent / tile.done * (tile.total - tile.done))

    def _role(self) -> Any:
        """The layer that is filled."""
        return self._link.objects if self._objects else self._link.prediction

    def finish(self, step: int) -> None:
        """All tiles have come, predicted by a model of `step` steps."""
        if self._layer is not None:
            self.finished.emit(self._layer, self._image, self._config, step)
        self.drop()
        self.complete = step
        self._link.display.refresh()

    def give_way(self) -> None:
        """There is something better to do than what nobody asked for."""
        if self.progress is not None and self._quiet:
            self.cancel()

    def cancel(self) -> None:
        """Give up; finished tiles stay."""
        self._client.cancel_image()
        self.drop()

    def drop(self) -> None:
        """Nothing more will come."""
        self.progress = None
        self.complete = 0
        self._layer = self._image = None
        self.close()

    def close(self) -> None:
        """Give the shared memory back."""
        if self._target is not None:
            self._target.close()
            self._target = None
