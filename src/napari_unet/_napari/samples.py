"""Sample images for napari's File menu."""

from __future__ import annotations

from functools import partial
from typing import Any

import napari
from qtpy.QtCore import QTimer

from napari_unet._napari.project_commands import dock_of
from napari_unet.data import scenes
from napari_unet.data.movie import moving_cells
from napari_unet.data.synthetic import stained_tissue, touching_cells

LayerData = tuple[Any, dict[str, Any], str]


def synthetic_cells() -> list[LayerData]:
    """Synthetic fluorescent cells that touch each other."""
    return [(touching_cells((512, 512), seed=1).image, {"name": "Touching cells"}, "image")]


def synthetic_stack() -> list[LayerData]:
    """The same in 3D."""
    spacing = (2.0, 1.0, 1.0)
    image = touching_cells((24, 192, 192), seed=1, spacing=spacing).image
    return [(image, {"name": "Touching cells, stack", "scale": spacing, "axis_labels": ("z", "y", "x")}, "image")]


_MOVIE = {"name": "Moving cells", "axis_labels": ("t", "y", "x")}


def synthetic_movie() -> list[LayerData]:
    """The same, drifting and bleaching, in 2D and time."""
    return [(moving_cells((12, 256, 256), seed=1).image, _MOVIE, "image")]


def tissue() -> list[LayerData]:
    """Stained tissue in colour, a real microscopy image that comes with scikit-image."""
    return [(stained_tissue(), {"name": "Stained tissue", "rgb": True}, "image")]


def painted_cells() -> list[LayerData]:
    """Synthetic touching cells with strokes on them; the dock opens, and Train is the next button."""
    return _painted(scenes.cells(), "Touching cells")


def painted_tissue() -> list[LayerData]:
    """Stained tissue in colour with strokes on glands and around them; the dock opens, and Train is the next button."""
    return _painted(scenes.tissue(), "Stained tissue")


def _painted(scene: scenes.Scene, name: str) -> list[LayerData]:
    strokes = f"{name}: strokes"
    viewer = napari.current_viewer()
    if viewer is not None:
        # napari adds the layers when this has returned
        QTimer.singleShot(0, partial(_take_up, viewer, name, strokes, scene.classes))
    image = {"name": name, "rgb": scene.axes.endswith("C")}
    return [(scene.image, image, "image"), (scene.strokes, {"name": strokes, "opacity": 1.0}, "labels")]


def _take_up(viewer: Any, image: str, strokes: str, classes: tuple[str, ...]) -> None:
    """Let the dock learn from the layers that were added last under these names."""
    layers = {layer.name.split(" [")[0]: layer for layer in viewer.layers}
    if image not in layers or strokes not in layers:
        return
    dock = dock_of(viewer)
    controller = dock.controller
    controller.choose_image(layers[image])
    controller.set_model(controller.model.replace(classes=classes, colors=()))
    controller.link.use_strokes(layers[strokes], controller.model)
    controller.board.say()
    dock.show_page(dock.train)
