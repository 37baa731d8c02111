"""What the axes of a napari image layer mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unet.errors import ImageError

_NAMES = "QTZYX"
_TIMES = ("t", "time", "frame", "frames")


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


def spacing(layer: Any, axes: str) -> tuple[float, ...] | None:
    """Pixel size of a layer along its spatial axes in micrometres.

    Where napari knows no unit, a scale other than 1 counts as micrometres: so do the readers of most formats mean it.
    """
    spatial = [place for place, axis in enumerate(axes) if axis in "ZYX"]
    found = [_micrometres(float(abs(layer.scale[at])), layer.units[at]) for at in spatial]
    return None if all(size is None for size in found) else tuple(1.0 if size is None else size for size in found)


def _micrometres(size: float, unit: Any) -> float | None:
    """A length in micrometres; None where neither unit nor size tell of one."""
    if unit.is_compatible_with("micrometer"):
        return float((size * unit).to("micrometer").magnitude)
    return None if size == 1 else size


def is_stack_of_times(layer: Any, ndim: int) -> bool | None:
    """Whether the axis before the `ndim` spatial ones of an image is time; None when there is no such axis.

    It is, where napari was told so by names or units, or the file says it.
    """
    axis = len(label_shape(layer)) - ndim - 1
    if axis < 0:
        return None
    if axis > 0:  # the first axis of four is time, the second z
        return False
    named = str(layer.axis_labels[axis]).lower() in _TIMES
    return named or layer.units[axis].is_compatible_with("second") or _file_axes(layer)[:1] == "T"


def _file_axes(layer: Any) -> str:
    """Axes that a TIFF file gives the image, "" where nothing is known."""
    path = str(getattr(layer.source, "path", None) or "")
    if not path.lower().endswith((".tif", ".tiff")):
        return ""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            return str(series.axes) if tuple(series.shape) == tuple(pixels(layer).shape) else ""
    except (OSError, ValueError, LookupError, tifffile.TiffFileError):
        return ""
