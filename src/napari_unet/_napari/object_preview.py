"""What settings make of the objects in view, shown at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_unet._napari import prediction_layer
from napari_unet._napari.parts import Parts
from napari_unet.errors import NapariUnetError
from napari_unet.session.messages import Tile
from napari_unet.session.projects import Settings

#: Seconds that settings and view must rest before a preview is asked for.
REST = 0.15


class ObjectPreview:
    """Keeps a layer of the objects in view, until the segmentation itself takes its place.

    Parameters
    ----------
    parts : Parts
    settings : callable
        Gives what the forms say.

    Attributes
    ----------
    on : bool
        Whether changes are shown.
    """

    def __init__(self, parts: Parts, settings: Callable[[], Settings]) -> None:
        self._parts, self._settings, self.board = parts, settings, parts.board
        self.on = True
        self._due: float | None = None
        self._wanted = False
        self._layer: Any = None
        self._image: Any = None
        self._shown: prediction_layer.Index | None = None

    def changed(self, now: float) -> None:
        """The settings say something else."""
        if self.on:
            self._due = now

    def moved(self, now: float) -> None:
        """The user looks at another place: a preview that is shown follows."""
        if self.on and self._is_shown():
            self._due = now

    def tick(self, now: float) -> None:
        """Ask for a preview when it is time."""
        if self._due is None or now - self._due < REST:
            return
        self._due = None
        try:
            self._ask()
        except NapariUnetError as error:
            self.board.complain(str(error))

    def take(self, tile: Tile) -> None:
        """Show the objects."""
        link = self._parts.link
        if link.image is None or tile.data is None or not (self.on and self._wanted):
            return
        if not self._is_shown():
            self._remove()
            self._image, self._shown = link.image, None
            self._layer = prediction_layer.make_objects(link.image)
            self._layer.name = "Objects (preview)"
            link.insert_above_image(self._layer)
        if self._shown is not None:
            self._layer.data[self._shown] = 0
        self._layer.data[tile.index], self._shown = tile.data, tile.index
        prediction_layer.refresh(self._layer)
        self.board.say(_told(tile.data))

    def end(self) -> None:
        """Take the preview away; one that is still being computed is not shown any more."""
        self._due, self._wanted = None, False
        self._remove()

    def _remove(self) -> None:
        if self._layer is not None and self._parts.link.has(self._layer):
            self._parts.link.remove(self._layer)
        self._layer = self._image = None

    def close(self) -> None:
        """Show nothing more; the layer stays."""
        self.on = False

    def _is_shown(self) -> bool:
        link, layer = self._parts.link, self._layer
        return layer is not None and self._image is link.image and link.has(layer)

    def _ask(self) -> None:
        """Ask for the objects in view, if there is a model to ask."""
        parts, config = self._parts, self._settings().predicting
        if config.output != "instances" or parts.link.image is None or parts.model.config is None:
            return
        if not self.board.state.predicts or parts.client.dead:
            return
        view = parts.link.view(parts.need_model().ndim)
        if view is not None:
            self._wanted = True
            parts.client.preview_objects(parts.strokes.share_image(), view, config)


def _told(objects: Any) -> str:
    """How many objects, and how large."""
    sizes = np.bincount(objects.ravel())[1:]
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return "In view: no object with these settings."
    middle = int(np.median(sizes))
    return f"In view: {len(sizes)} objects of {sizes.min():,} to {sizes.max():,} pixels, half of them up to {middle:,}."
