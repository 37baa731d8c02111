"""Projects from napari's own menus, and from a folder that is dropped on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QTimer

from napari_unet._napari.widgets.dock import UNetWidget
from napari_unet.session.projects import is_project, read_project

PLUGIN = "napari-unet"
LayerData = tuple[Any, ...]


def open_project(viewer: napari.Viewer) -> None:
    """Ask for a project and open it in the dock."""
    dock_of(viewer).project_bar.ask_for_project()


def save_project(viewer: napari.Viewer) -> None:
    """Ask for a place, and move the project of the dock there."""
    dock_of(viewer).project_bar.ask_for_place()


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """The reader of a project's folder, or of its ``project.json``; None for all else."""
    if not isinstance(path, str):
        return None
    folder = Path(path).parent if Path(path).name == "project.json" else Path(path)
    return read if is_project(folder) else None


def read(path: str) -> list[LayerData]:
    """Open a project in the dock, with its images, strokes and model; without a window, only its strokes."""
    folder = Path(path).parent if Path(path).name == "project.json" else Path(path)
    viewer = napari.current_viewer()
    if viewer is None:
        layers = read_project(folder).state.layers.values()
        return [(layer.array(), {"name": layer.name}, "labels") for layer in layers]
    # napari is still opening a file: let it end before images of the project are opened
    QTimer.singleShot(0, lambda: dock_of(viewer).controller.safe.open(folder))
    return [(None,)]


def dock_of(viewer: Any) -> UNetWidget:
    """The dock of the viewer, opened if it is not."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN)
    return widget  # type: ignore[no-any-return]
