"""What the axes of a napari image layer mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unet.errors import ImageError

_NAMES = "QTZYX"


def layer_axes(layer: Any) -> str:
    """Axes of an image layer: the last are ZYX, then T; colour is C.

    Raises
    ------
    ImageError
        When the layer cannot be segmented.
    """
    if np.issubdtype(layer.dtype, np.complexfloating):
        raise ImageError("choose an image with real numbers: this one is complex")
    if not 2 <= layer.ndim <= len(_NAMES):
        raise ImageError(f"choose an image with 2 to {len(_NAMES)} axes: this one has {layer.ndim}")
    if 0 in pixels(layer).shape:
        raise ImageError("choose an image with pixels: this one is empty")
    return _NAMES[-layer.ndim :] + "C" * bool(layer.rgb)


def pixels(layer: Any) -> Any:
    """The array behind an image or labels layer, at full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def label_shape(layer: Any) -> tuple[int, ...]:
    """Shape of a label image of an image layer: all but the colour."""
    shape = tuple(int(size) for size in pixels(layer).shape)
    return shape[:-1] if layer.rgb else shape


def channels(layer: Any) -> int:
    """Number of channels of an image layer."""
    return int(pixels(layer).shape[-1]) if layer.rgb else 1


def placement(layer: Any) -> dict[str, Any]:
    """Where a layer lies in the world, as arguments for a label layer on top of it."""
    names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
    return {name: getattr(layer, name) for name in names if hasattr(layer, name)}
