"""How predictions are shown: probabilities as a soft overlay, classes filled or as outlines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_unet._napari import prediction_layer
from napari_unet._napari.colors import prediction_colormap, soft_colormap
from napari_unet._napari.maps import Maps
from napari_unet._napari.outlines import Outlines
from napari_unet._napari.targets import LabelTarget, MapTarget, Target
from napari_unet.config import ModelConfig, Output, PredictConfig
from napari_unet.session.soft import hard_codes, levels

if TYPE_CHECKING:
    from napari_unet._napari.viewer_link import ViewerLink

Mode = Literal["soft", "fill", "outline"]
REDRAW_SECONDS = 0.5
#: Of the time, at most one part in so many goes into redrawing.
PATIENCE = 20
#: A certainty that changes by one part in so many is seen.
SEEN = 16


class Display:
    """Writes predictions into layers, and shows those that the user wants to see.

    The Prediction layer always holds the classes. The Probability layer is made when it is first wanted; where only
    classes are known it shows them as certain.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel
    link : ViewerLink
        Has the layers.

    Attributes
    ----------
    mode : {"soft", "fill", "outline"}
    blinked : bool
        Whether the user has hidden predictions for a moment.
    """

    changed = Signal()  #: another mode, or blinked
    made = Signal(object)  #: a layer was made

    def __init__(self, viewer: Any, link: ViewerLink) -> None:
        self._viewer, self._link = viewer, link
        self._stale: set[str] = set()
        self._stale_maps: WeakSet[Any] = WeakSet()
        self._maps: WeakKeyDictionary[Any, dict[str, Maps]] = WeakKeyDictionary()
        self._took = 0.0
        self._outlines = Outlines(viewer)
        self._redrawn = float("-inf")
        self._classes = 2
        self.mode: Mode = "soft"
        self.blinked = False

    # ------------------------------------------------------------------ layers

    def make(self, model: ModelConfig) -> None:
        """Make the layers, below the strokes, unless they are there."""
        link = self._link
        self._classes = len(model.classes)
        if link.prediction is None:
            link.prediction = prediction_layer.make_prediction(link.image, model.class_colors)
            self._show()
            link.insert_above_image(link.prediction)
            self.made.emit(link.prediction)
        if self.mode == "soft" and link.soft is None:
            link.soft = prediction_layer.make_soft(link.image, model.class_colors)
            self._harden(link.prediction.data)
            self._show()
            link.insert_above_image(link.soft)
            self.made.emit(link.soft)

    def target(self, image: Any, model: ModelConfig, config: PredictConfig) -> Target:
        """What a segmentation of an image is written into: the layers that are there, or new ones."""
        if config.output in ("labels", "instances"):
            objects = config.output == "instances"
            return LabelTarget(self._link, self._result(image, model, objects=objects), objects=objects)
        kept = self._maps.setdefault(image, {})
        before = kept.get(config.output)
        if before is None or not before.fits(image, model, config):
            kept[config.output] = Maps(image, model, config)
            for layer in before.layers if before is not None else ():
                self._link.remove(layer)
        self._show_maps(image, kept[config.output])
        return MapTarget(self._link, kept[config.output])

    def maps_of(self, image: Any, output: Output) -> Maps | None:
        """Probabilities or uncertainty of an image; None when a layer of them is missing."""
        maps = self._maps.get(image, {}).get(output)
        return maps if maps is not None and all(map(self._link.has, maps.layers)) else None

    def _show_maps(self, image: Any, maps: Maps) -> None:
        """Add the layers that are not there: new ones, and those the user deleted."""
        for layer in maps.order:
            if not self._link.has(layer):
                of = f" of {image.name}" if image is not self._link.image else ""
                layer.name = layer.name.removesuffix(of) + of
                self._link.insert_above_image(layer, image)

    def _result(self, image: Any, model: ModelConfig, *, objects: bool) -> Any:
        """The layer for the classes or objects of an image, made unless it is there."""
        link, role = self._link, "objects" if objects else "prediction"
        if image is link.image:
            self.make(model)
            if objects:
                self.make_objects()
            return getattr(link, role)
        layer = link.result_of(image, role)
        if layer is None:
            make, colors = prediction_layer, model.class_colors
            layer = make.make_objects(image) if objects else make.make_prediction(image, colors)
            layer.name = f"{layer.name} of {image.name}"
            link.keep_result(image, role, layer)
        return layer

    def write_into(self, layer: Any, index: prediction_layer.Index, tile: npt.NDArray[Any]) -> None:
        """Put a tile into a layer of an image that is not in use."""
        if not prediction_layer.write(self._viewer, layer, index, tile):
            prediction_layer.refresh(layer)

    def make_objects(self) -> None:
        """Make the layer of single objects, unless it is there."""
        link = self._link
        if link.objects is None:
            link.objects = prediction_layer.make_objects(link.image)
            link.insert_above_image(link.objects)
            self.made.emit(link.objects)
        self.blinked = False
        self._show()

    def write_objects(self, index: prediction_layer.Index, tile: npt.NDArray[Any]) -> None:
        """Put numbered objects into their layer, if the user has not deleted it."""
        if self._link.objects is not None:
            self._write("objects", index, tile)

    def name_classes(self, model: ModelConfig) -> None:
        """Show the classes in their colours; with another number of them, certainties are coded in another way."""
        others = self._classes != len(model.classes)
        self._classes = len(model.classes)
        self.hide_classes((), model.class_colors)
        if others and self._link.soft is not None and self._link.prediction is not None:
            self._harden(self._link.prediction.data)
            self._link.soft.refresh()

    def hide_classes(self, hidden: Collection[int], colors: Sequence[str]) -> None:
        """Show all classes but the `hidden` ones."""
        if self._link.prediction is not None:
            self._link.prediction.colormap = prediction_colormap(colors, hidden)
        if self._link.soft is not None:
            self._link.soft.colormap = soft_colormap(colors, hidden)

    def set_mode(self, mode: Mode) -> None:
        """Show predictions another way; what is not there yet is made with the next prediction."""
        self.mode, self.blinked = mode, False
        self._show()
        self.changed.emit()

    def blink(self) -> None:
        """Hide the predictions, or show them again."""
        self.blinked = not self.blinked
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        """Make the right layers visible."""
        prediction, soft, objects = self._link.prediction, self._link.soft, self._link.objects
        outlined = self.mode == "outline"
        if objects is not None:
            self._outlines.show(objects, outlined=outlined, opacity=prediction_layer.OBJECTS_FILLED)
            objects.visible = not self.blinked
        if soft is not None:
            soft.visible = self.mode == "soft" and not self.blinked
        if prediction is not None:
            hidden = self.blinked or (self.mode == "soft" and soft is not None)
            self._outlines.show(prediction, outlined=outlined, opacity=prediction_layer.FILLED)
            prediction.visible = not hidden

    # ------------------------------------------------------------------ pixels

    def write(
        self,
        index: prediction_layer.Index,
        labels: npt.NDArray[Any],
        codes: npt.NDArray[np.uint8] | None = None,
    ) -> int:
        """Put a tile into the layers that the user has not deleted.

        Returns
        -------
        int
            Number of pixels that look different now.
        """
        prediction, soft = self._link.prediction, self._link.soft
        changed = 0
        if prediction is not None:
            changed = int(np.count_nonzero(prediction.data[index] != labels))
            if changed:
                prediction_layer.outdate(prediction)
            self._write("prediction", index, labels)
        if soft is not None:
            codes = hard_codes(self._classes)[labels] if codes is None else codes
            changed = int(np.count_nonzero(_apart(soft.data[index], codes) > levels(self._classes) // SEEN))
            self._write("soft", index, codes)
        return changed

    def redraw(self, now: float) -> None:
        """Refresh what cannot be shown tile by tile (maps, or in 3D), twice a second at most, less where it is slow."""
        if self.mode == "outline":
            layers = [self._link.prediction, self._link.objects]
            self._outlines.follow([layer for layer in layers if layer is not None], now)
        if (self._stale or self._stale_maps) and now - self._redrawn >= max(REDRAW_SECONDS, PATIENCE * self._took):
            began = perf_counter()
            self._refresh(self._stale)
            self._took, self._redrawn = perf_counter() - began, now

    def redraw_later(self, layer: Any) -> None:
        """A map has other pixels."""
        self._stale_maps.add(layer)

    def refresh(self) -> None:
        """Redraw the predictions as a whole."""
        self._refresh({"prediction", "soft", "objects"})

    def _write(self, role: str, index: prediction_layer.Index, tile: npt.NDArray[Any]) -> None:
        if not prediction_layer.write(self._viewer, getattr(self._link, role), index, tile):
            self._stale.add(role)

    def _refresh(self, roles: set[str]) -> None:
        for role in roles:
            layer = getattr(self._link, role)
            if layer is not None and layer.visible:
                prediction_layer.refresh(layer)
        for layer in self._stale_maps:
            if layer.visible and self._link.has(layer):
                layer.refresh(extent=False, highlight=False)
        self._stale = set()
        self._stale_maps.clear()

    def _harden(self, labels: npt.NDArray[Any]) -> None:
        """Show known classes as certain ones, plane by plane; planes without any are not touched."""
        table = hard_codes(self._classes)
        for lead in np.ndindex(labels.shape[:-2]):
            plane = labels[lead]
            if plane.max(initial=0):
                self._link.soft.data[lead] = table[plane]


def _apart(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Distance of two bytes."""
    return np.maximum(one, other) - np.minimum(one, other)
