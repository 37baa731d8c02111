"""Models and OME-Zarr images that are dropped on napari, or opened from its menu."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer

from napari_unet._napari.project_commands import dock_of
from napari_unet.errors import ModelFileError
from napari_unet.session.opening import OmeChannel, OmeImage, is_ome_zarr, read_ome_zarr

LayerData = tuple[Any, ...]
Reader = Callable[[Any], list[LayerData]]
#: napari's way to say that a file was read and holds no layer.
NO_LAYER: list[LayerData] = [(None,)]
#: Channels of these colours are the colours of one picture.
_RGB = ["FF0000", "00FF00", "0000FF"]
_CYCLE = ("green", "magenta", "cyan", "yellow", "red", "blue")


def get_model_reader(path: str | Sequence[str]) -> Reader | None:
    """The reader of a model file; None for all else."""
    return read_model if isinstance(path, str) and Path(path).is_file() else None


def read_model(path: str) -> list[LayerData]:
    """Use the model in the dock, which is opened if it is not; there is no layer.

    Raises
    ------
    ModelFileError
        When there is no window.
    """
    viewer = napari.current_viewer()
    if viewer is None:
        raise ModelFileError(f"open '{Path(path).name}' in a window of napari: a model is not an image")
    # napari is still opening the file: the dock comes when that has ended
    QTimer.singleShot(0, lambda: _use(viewer, path))
    return NO_LAYER


def get_zarr_reader(path: str | Sequence[str]) -> Reader | None:
    """The reader of a folder that is an OME-Zarr; None for all else, plain Zarr arrays among them."""
    return read_zarr if isinstance(path, str) and is_ome_zarr(Path(path)) else None


def read_zarr(path: str) -> list[LayerData]:
    """Layers of an OME-Zarr: each channel one, in colour one, each label image one.

    Raises
    ------
    ImageError
        When it cannot be read; one sentence.
    """
    return [layer for image in read_ome_zarr(Path(path)) for layer in _layers(image)]


def _use(viewer: Any, path: str) -> None:
    dock = dock_of(viewer)
    dock.controller.load(path)
    dock.show_page(dock.segment)


# ---------------------------------------------------------------------- layers of an image


def _layers(image: OmeImage) -> Iterator[LayerData]:
    if image.is_labels and np.dtype(image.levels[0].dtype).kind in "iub":
        yield _pyramid(image.levels), {"name": image.name, **_placed(image, None)}, "labels"
        return
    axis = image.axes.index("c") if "c" in image.axes else None
    if axis is None:
        yield _pyramid(image.levels), {"name": image.name, **_shown(image, 0), **_placed(image, None)}, "image"
    elif _is_rgb(image, axis):
        levels = [_lazy(level).transpose(*_last(len(level.shape), axis)) for level in image.levels]
        yield _pyramid(levels), {"name": image.name, "rgb": True, **_placed(image, axis)}, "image"
    else:
        yield from _channels(image, axis)


def _channels(image: OmeImage, axis: int) -> Iterator[LayerData]:
    """A layer for each channel."""
    for number in range(image.levels[0].shape[axis]):
        cut = (slice(None),) * axis + (number,)
        label = image.channels[number].label if number < len(image.channels) else ""
        about = {
            "name": f"{image.name}: {label or number}",
            "blending": "additive",
            "colormap": _cycle(image, axis, number),
        }
        levels = [_lazy(level)[cut] for level in image.levels]
        yield _pyramid(levels), {**about, **_shown(image, number), **_placed(image, axis)}, "image"


def _cycle(image: OmeImage, axis: int, number: int) -> str:
    return _CYCLE[number % len(_CYCLE)] if image.levels[0].shape[axis] > 1 else "gray"


def _shown(image: OmeImage, number: int) -> dict[str, Any]:
    """Colour and contrast as the file says."""
    channel = image.channels[number] if number < len(image.channels) else OmeChannel()
    shown: dict[str, Any] = {"visible": channel.visible}
    if channel.color:
        shown["colormap"] = "gray" if channel.color.upper() == "FFFFFF" else f"#{channel.color}"
    if channel.window:
        shown["contrast_limits"] = channel.window
    return shown


def _placed(image: OmeImage, without: int | None) -> dict[str, Any]:
    """Where it lies in the world; pixels count where the file gives no unit that napari knows."""
    kept = [axis for axis in range(len(image.axes)) if axis != without]
    placed: dict[str, Any] = {
        "scale": [image.scale[axis] for axis in kept],
        "translate": [image.translation[axis] for axis in kept],
        "axis_labels": tuple(image.axes[axis] for axis in kept),
    }
    units = tuple(image.units[axis] or ("" if image.axes[axis] in "zyx" else "pixel") for axis in kept)
    return placed | ({"units": units} if all(map(_is_unit, units)) else {})


def _is_unit(name: str) -> bool:
    """Whether napari knows the unit."""
    import pint

    try:
        return bool(name) and bool(pint.get_application_registry().Unit(name))
    except (pint.PintError, ValueError, TypeError):
        return False


def _is_rgb(image: OmeImage, axis: int) -> bool:
    """Whether the channels are the colours of one picture."""
    level = image.levels[0]
    colors = [channel.color.upper() for channel in image.channels]
    return level.shape[axis] == 3 and np.dtype(level.dtype) == np.uint8 and colors == _RGB


def _last(ndim: int, axis: int) -> list[int]:
    """The order of axes in which `axis` is the last."""
    return [*(other for other in range(ndim) if other != axis), axis]


def _pyramid(levels: Sequence[Any]) -> Any:
    """What a layer takes: one array, or several resolutions."""
    return levels[0] if len(levels) == 1 else list(levels)


def _lazy(level: Any) -> Any:
    """An array of which parts can be taken without reading it; napari brings dask."""
    import dask.array

    return dask.array.from_zarr(level)
