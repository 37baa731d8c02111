"""Bring a pixel into the middle of the view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_unet._napari.view import displayed_axes

#: Pixels to see along the shorter side after a jump, unless it was fewer already.
SHOWN = 240.0


def jump(viewer: Any, layer: Any, point: Sequence[float], shown: float = SHOWN) -> None:
    """Move sliders and camera to `point`, in pixels of `layer`; zoom in until at most `shown` pixels are in view."""
    world = np.asarray(layer.data_to_world(point), float)
    missing = viewer.dims.ndim - layer.ndim
    axes = displayed_axes(viewer, layer)
    away = [axis for axis in range(layer.ndim) if axis not in axes]
    if away:
        viewer.dims.set_point([axis + missing for axis in away], [float(world[axis]) for axis in away])
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center = tuple([0.0] * (3 - len(axes)) + [float(world[axis]) for axis in axes])
    pixel = float(np.abs(np.asarray(layer.scale)[list(axes)]).max()) or 1.0
    canvas = min(getattr(viewer, "_canvas_size", (600, 600)))
    camera.zoom = max(float(camera.zoom), canvas / (shown * pixel))
