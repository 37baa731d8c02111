"""The only module that touches the viewer's layers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Shapes
from psygnal import Signal

from napari_unet._napari import prediction_layer
from napari_unet._napari.axes import label_shape, placement
from napari_unet._napari.boxes import inside, painted_box, painted_parts, slices, stroke_value, whole
from napari_unet._napari.colors import stroke_colors, strokes_colormap
from napari_unet._napari.display import Display
from napari_unet._napari.view import View, displayed_axes, field_of_view, slice_point
from napari_unet.config import ModelConfig
from napari_unet.errors import ImageError
from napari_unet.session.commands import Box
from napari_unet.session.projects import complete_boxes

log = logging.getLogger(__name__)

Connection = tuple[Any, Callable[..., Any]]
STROKES, REGIONS = "Strokes", "Complete regions"
ROLES = ("image", "strokes", "regions", "prediction", "soft", "objects")


class ViewerLink:
    """Finds, makes and watches layers; tells what the user did to them.

    Strokes and images belong to the user: they are read, and never changed or removed.

    Parameters
    ----------
    viewer : napari.Viewer or ViewerModel

    Attributes
    ----------
    image, strokes, regions, prediction, soft, objects : layer or None
        The layers in use.
    display : Display
        How predictions are shown.
    """

    layers_changed = Signal()  #: a layer came, went or got another name
    roles_changed = Signal()  #: another image, strokes, regions or prediction layer is in use
    removed = Signal(
        str, object
    )  #: the user deleted the "image", "strokes", "regions", "prediction", "soft" or "other" layer
    painted = Signal(object)  #: a box of the strokes was painted; None: they may have changed anywhere
    drawn = Signal(object)  #: boxes of the strokes that the brush just went over, also before the stroke ends
    stroked = Signal(int, int)  #: a value, and how many strokes of it were made (1) or taken back (-1)
    redrawn = Signal(object)  #: the box of the strokes on the screen was drawn again
    pixels_changed = Signal()  #: the image has other pixels
    regions_changed = Signal()
    view_changed = Signal()
    picked = Signal(int)  #: another value of the strokes is painted now

    def __init__(self, viewer: Any) -> None:
        # napari hands plugins a proxy without private names; prediction_layer needs one of them
        self._viewer = getattr(viewer, "__wrapped__", viewer)
        self.image: Any = None
        self.strokes: Any = None
        self.regions: Any = None
        self.prediction: Any = None
        self.soft: Any = None
        self.objects: Any = None
        self.display = Display(self._viewer, self)
        self._connections: dict[str, list[Connection]] = {}
        self._roles: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
        self._watch_viewer()

    # ------------------------------------------------------------------ layers

    @property
    def viewer(self) -> Any:
        """The viewer, private names included."""
        return self._viewer

    @property
    def images(self) -> list[Any]:
        """All image layers but our probabilities."""
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        return [layer for layer in layers if layer.metadata.get(prediction_layer.ROLE) != "prediction"]

    @property
    def selected_images(self) -> list[Any]:
        """The image layers that are selected in the list, from below."""
        return [layer for layer in self.images if layer in self._viewer.layers.selection]

    @property
    def labels(self) -> list[Any]:
        """All labels layers but our predictions."""
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Labels)]
        return [layer for layer in layers if layer.metadata.get(prediction_layer.ROLE) != "prediction"]

    def has(self, layer: Any) -> bool:
        """Whether the layer is in the viewer."""
        return layer in self._viewer.layers

    def open_images(self, path: str, plugin: str | None) -> list[Any]:
        """Open a file as napari does; the image layers in it.

        Raises
        ------
        ImageError
            When it cannot be read.
        """
        try:
            opened = self._viewer.open(path, plugin=plugin)
        except Exception as error:  # readers are other people's code, and promise nothing
            log.exception("an image could not be opened")
            raise ImageError(f"open '{path}' yourself, then go on: {error}") from error
        return [layer for layer in opened if isinstance(layer, Image)]

    def add_image(self, array: Any, **kwargs: Any) -> Any:
        """Add an image that comes from no file."""
        return self._viewer.add_layer(Image(array, **kwargs))

    def add_strokes(self, data: npt.NDArray[Any], name: str, model: ModelConfig, placed: dict[str, Any]) -> Any:
        """Add strokes that were painted before; they are in use if they fit the image."""
        colormap, metadata = strokes_colormap(stroke_colors(model)), {prediction_layer.ROLE: "strokes"}
        layer = Labels(data, name=name, opacity=1.0, colormap=colormap, metadata=metadata, **placed)
        self._viewer.add_layer(layer)
        if self.image is not None and data.shape == label_shape(self.image):
            self._hand_over(layer, model)
        return layer

    def add_regions(self, shapes: list[dict[str, Any]]) -> None:
        """Add complete regions that were drawn before, for the image."""
        active, regions = self._viewer.layers.selection.active, self.new_regions()
        for shape in shapes:
            regions.add(np.asarray(shape["vertices"], float), shape_type=shape["kind"])
        regions.mode = "pan_zoom"
        self._viewer.layers.selection.active = active

    def choose_image(self, layer: Any) -> None:
        """Work on image `layer`, or on none, with the strokes, regions and prediction it had before."""
        if layer is self.image:
            return
        self._remember()
        self._release(*ROLES)
        self.image = layer
        if layer is not None:
            self._connect("image", layer.events.data, self._on_pixels)
            self._recall()
        self.roles_changed.emit()

    def choose_strokes(self, layer: Any) -> None:
        """Learn from labels `layer`, or from none."""
        if layer is self.strokes:
            return
        self._release("strokes")
        self.strokes = layer
        if layer is not None:
            self._connect("strokes", layer.events.paint, self._on_paint)
            self._connect("strokes", layer.events.labels_update, self._on_brush)
            self._connect("strokes", layer.events.data, self._on_strokes_replaced)
            self._connect("strokes", layer.events.set_data, self._on_strokes_redrawn)
            self._connect("strokes", layer.events.selected_label, self._on_selected_label)
        self.roles_changed.emit()

    def new_strokes(self, model: ModelConfig, data: npt.NDArray[Any] | None = None) -> Any:
        """Add strokes for the image, with named and coloured classes, and put the brush in the user's hand."""
        shape = label_shape(self.image)
        layer = Labels(
            np.zeros(shape, np.uint8) if data is None else data,
            name=STROKES,
            opacity=1.0,
            colormap=strokes_colormap(stroke_colors(model)),
            metadata={prediction_layer.ROLE: "strokes"},
            **placement(self.image),
        )
        self._viewer.add_layer(layer)
        self._hand_over(layer, model)
        return layer

    def use_strokes(self, layer: Any, model: ModelConfig) -> None:
        """Use strokes that are there, with named and coloured classes, and put the brush in the user's hand."""
        layer.metadata[prediction_layer.ROLE] = "strokes"
        self._hand_over(layer, model)

    def name_classes(self, model: ModelConfig) -> None:
        """Show names and colours of the classes on strokes and prediction."""
        if self.strokes is not None:
            self.strokes.colormap = strokes_colormap(stroke_colors(model))
            names = ["not painted", *model.classes]
            self.strokes.features = {"index": list(range(len(names))), "class": names}
        self.display.name_classes(model)

    def take_brush(self, value: int) -> None:
        """Select the strokes, the paint brush and the class to paint."""
        self.strokes.selected_label = value
        self.take_tool("paint")

    def take_tool(self, mode: str) -> None:
        """Select the strokes and a tool, by its name in napari."""
        self._viewer.layers.selection.active = self.strokes
        self.strokes.mode = mode

    def go_to(self, box: Box) -> None:
        """Move the sliders to `box` of the strokes where it is not on the screen."""
        shown, point = displayed_axes(self._viewer, self.strokes), slice_point(self._viewer, self.strokes)
        inside_of = [start <= at < stop for at, (start, stop) in zip(point, box, strict=True)]
        away = [axis for axis, is_inside in enumerate(inside_of) if axis not in shown and not is_inside]
        if away:
            target = [box[axis][0] if axis in away else at for axis, at in enumerate(point)]
            world = self.strokes.data_to_world(target)
            missing = self._viewer.dims.ndim - self.strokes.ndim
            self._viewer.dims.set_point([axis + missing for axis in away], [world[axis] for axis in away])

    def copy_prediction(self, view: View) -> int:
        """Paint what is predicted in `view` where nothing is painted, as one stroke that undo takes back.

        Returns
        -------
        int
            Pixels painted.
        """
        index = (*(slice(at, at + 1) for at in view.lead), *slices(view.box))
        found, painted = self.prediction.data[index], np.asarray(self.strokes.data[index])
        places = np.nonzero((painted == 0) & (found > 0))
        whole = tuple(place + part.start for place, part in zip(places, index, strict=True))
        self.strokes.data_setitem(whole, found[places].astype(self.strokes.data.dtype))
        return len(places[0])

    def hide_classes(self, hidden: Collection[int], colors: Sequence[str]) -> None:
        """Do not show these values of the strokes, nor of predictions; they stay what they are."""
        if self.strokes is not None:
            self.strokes.colormap = strokes_colormap(colors, hidden)
        self.display.hide_classes(hidden, colors)

    def new_regions(self) -> Any:
        """Add or select the layer of complete regions, ready to draw a rectangle."""
        if self.regions is None:
            regions = Shapes(
                ndim=len(label_shape(self.image)),
                name=REGIONS,
                face_color="transparent",
                edge_color="#0072B2",
                edge_width=2,
                metadata={prediction_layer.ROLE: "regions"},
                **placement(self.image),
            )
            self._viewer.add_layer(regions)
            self._use_regions(regions)
        self._viewer.layers.selection.active = self.regions
        self.regions.mode = "add_rectangle"
        return self.regions

    def complete(self) -> tuple[Box, ...]:
        """Boxes of the complete regions, in pixels of the strokes."""
        return _boxes(self.regions, self.image)

    def others(self) -> list[tuple[Any, Any, tuple[Box, ...]]]:
        """Images that were worked on before, each with its strokes and the boxes of its complete regions."""
        found = []
        for image, roles in self._roles.items():
            kept = {role: layer if layer in self._viewer.layers else None for role, layer in roles.items()}
            if image is not self.image and image in self._viewer.layers and kept.get("strokes") is not None:
                found.append((image, kept["strokes"], _boxes(kept.get("regions"), image)))
        return found

    def result_of(self, image: Any, role: str) -> Any:
        """The "prediction" or "objects" layer of an image that is not in use; None when it has none."""
        layer = self._roles.get(image, {}).get(role)
        return layer if layer in self._viewer.layers else None

    def keep_result(self, image: Any, role: str, layer: Any) -> None:
        """Add a result of an image that is not in use; it is found again when that image is chosen."""
        self._roles.setdefault(image, {})[role] = layer
        self.insert_above_image(layer, image)

    def insert_above_image(self, layer: Any, image: Any = None) -> None:
        """Add a layer of ours above an image, below strokes; the selected layers and the tool stay.

        Single objects lie above classes and probabilities, which would hide their colours.
        """
        below = self.image if image is None else image
        if below is self.image and layer.name.startswith(prediction_layer.OBJECTS_NAME):
            others = [one for one in (below, self.prediction, self.soft) if one is not None and self.has(one)]
            below = max(others, key=self._viewer.layers.index)
        selection, mode = self._viewer.layers.selection, getattr(self.strokes, "mode", None)
        selected, active = set(selection), selection.active
        self._viewer.layers.insert(self._viewer.layers.index(below) + 1, layer)
        selection.active = active
        selection.update(selected)
        if self.strokes is not None:
            self.strokes.mode = mode

    def remove(self, layer: Any) -> None:
        """Take a layer of ours away."""
        self._viewer.layers.remove(layer)

    def remove_soft(self) -> None:
        """Take the soft overlay away: it shows the same as the prediction."""
        if self.soft is not None:
            layer, self.soft = self.soft, None
            self._viewer.layers.remove(layer)

    def remove_prediction(self) -> None:
        """Take away what is predicted in view, and its soft overlay."""
        self.remove_soft()
        if self.prediction is not None:
            self._viewer.layers.remove(self.prediction)

    def view(self, ndim: int) -> View | None:
        """The part of the image that is on the screen."""
        return None if self.image is None else field_of_view(self._viewer, self.image, ndim)

    # ------------------------------------------------------------------ events

    def cleanup(self) -> None:
        """Undo all connections and let go of all layers."""
        self._release(*ROLES, "layers", "viewer")

    def _watch_viewer(self) -> None:
        viewer, layers = self._viewer, self._viewer.layers
        camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
        for emitter in (camera.events.zoom, camera.events.center, viewer.dims.events.point, viewer.dims.events.order):
            self._connect("viewer", emitter, self._on_view)
        self._connect("viewer", viewer.dims.events.ndisplay, self._on_view)
        self._connect("viewer", layers.events.inserted, self._on_inserted)
        self._connect("viewer", layers.events.removed, self._on_removed)
        for layer in layers:
            self._connect("layers", layer.events.name, self._on_name)

    def _hand_over(self, layer: Any, model: ModelConfig) -> None:
        """Put strokes in use, and the brush in the user's hand."""
        self.choose_strokes(layer)
        self.name_classes(model)
        layer.brush_size = max(2, min(10, round(min(layer.data.shape[-2:]) / 50)))
        self.take_brush(2)

    def _connect(self, owner: str, emitter: Any, callback: Callable[..., Any]) -> None:
        emitter.connect(callback)
        self._connections.setdefault(owner, []).append((emitter, callback))

    def _release(self, *owners: str) -> None:
        for owner in owners:
            for emitter, callback in self._connections.pop(owner, []):
                emitter.disconnect(callback)
            if owner in ROLES:
                setattr(self, owner, None)

    def _on_inserted(self, event: Any) -> None:
        self._connect("layers", event.value.events.name, self._on_name)
        self.layers_changed.emit()

    def _on_removed(self, event: Any) -> None:
        event.value.events.name.disconnect(self._on_name)
        self._connections["layers"] = [
            (emitter, callback)
            for emitter, callback in self._connections.get("layers", [])
            if emitter is not event.value.events.name
        ]
        role = next((role for role in ROLES if getattr(self, role) is event.value), "other")
        self._release(role)
        self.removed.emit(role, event.value)
        self.layers_changed.emit()

    def _remember(self) -> None:
        """Keep in mind what belongs to the image."""
        if self.image is not None:
            self._roles[self.image] = {role: getattr(self, role) for role in ROLES if role != "image"}

    def _recall(self) -> None:
        """Take up what belongs to the image, as far as it is still there."""
        kept = {role: layer for role, layer in self._roles.get(self.image, {}).items() if layer in self._viewer.layers}
        self.prediction, self.soft, self.objects = (kept.get(role) for role in ("prediction", "soft", "objects"))
        self.choose_strokes(kept.get("strokes"))
        if "regions" in kept:
            self._use_regions(kept["regions"])

    def _use_regions(self, layer: Any) -> None:
        self.regions = layer
        self._connect("regions", layer.events.data, self._on_regions)

    def _on_name(self) -> None:
        self.layers_changed.emit()

    def _on_view(self) -> None:
        self.view_changed.emit()

    def _on_pixels(self) -> None:
        self.pixels_changed.emit()

    def _on_paint(self, event: Any) -> None:
        self.drawn.emit(painted_parts(event.value, self.strokes.data.shape))
        self.stroked.emit(stroke_value(event.value), 1)
        self.painted.emit(painted_box(event.value, self.strokes.data.shape))

    def _on_brush(self, event: Any) -> None:
        self.drawn.emit([self._brushed(event.offset, event.data.shape)])

    def _on_strokes_replaced(self) -> None:
        self.painted.emit(None)

    def _on_strokes_redrawn(self) -> None:
        self.redrawn.emit(self._plane())

    def _on_selected_label(self) -> None:
        self.picked.emit(int(self.strokes.selected_label))

    def _on_regions(self) -> None:
        self.regions_changed.emit()

    def _plane(self) -> Box:
        """The slice of the strokes on the screen: undo and redo redraw it, and say nothing else."""
        shown, point = displayed_axes(self._viewer, self.strokes), slice_point(self._viewer, self.strokes)
        sizes = self.strokes.data.shape
        return tuple((0, sizes[a]) if a in shown else (point[a], point[a] + 1) for a in range(len(sizes)))

    def _brushed(self, offset: Any, size: Any) -> Box:
        """The part of the strokes that was sent to the screen; a brush with depth reaches the slices around it too."""
        sizes, shown = self.strokes.data.shape, displayed_axes(self._viewer, self.strokes)
        depth = self.strokes.brush_size // 2 if self.strokes.n_edit_dimensions > len(shown) else 0
        edges = [(at - depth, at + depth + 1) for at in slice_point(self._viewer, self.strokes)]
        for axis, start, extent in zip(shown, offset, size, strict=False):
            edges[axis] = (start, start + extent)
        return inside(edges, sizes) or whole(sizes)


def _boxes(regions: Any, image: Any) -> tuple[Box, ...]:
    """Boxes of complete regions, in pixels of the label image."""
    if regions is None:
        return ()
    return complete_boxes(zip(regions.shape_type, regions.data, strict=True), label_shape(image))
