"""A result to a file: OME-TIFF, OME-Zarr or TIFF, by the ending of its name. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet import __version__
from napari_unet.config import CLASS_COLORS, ModelConfig, Output, PredictConfig
from napari_unet.errors import ImageError
from napari_unet.io.images import write_labels
from napari_unet.io.ome_zarr_store import canonical
from napari_unet.io.zarr_labels import write_store
from napari_unet.prediction.units import choose_unit

ENDINGS = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".ome.zarr", ".zarr")
#: Edges of a chunk and of a shard, pixels.
CHUNK, SHARD = 512, 2048
_TYPES = {"labels": np.uint8, "instances": np.uint32}
#: Axes in the order that ImageJ reads.
_IMAGEJ_ORDER = "TZCYX"


def form_of_result(
    model: ModelConfig, config: PredictConfig, label_shape: tuple[int, ...]
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a result in memory.

    Parameters
    ----------
    model : ModelConfig
    config : PredictConfig
        Says what is made.
    label_shape : tuple of int
        Shape of the image without its channels.

    Examples
    --------
    >>> form_of_result(ModelConfig(), PredictConfig(output="probabilities", half=True), (8, 9))
    ((2, 8, 9), dtype('float16'))
    """
    planes = (len(model.outputs),) if config.output == "probabilities" else ()
    small = np.float16 if config.half else np.float32
    return planes + tuple(label_shape), np.dtype(_TYPES.get(config.output, small))


def named_planes(model: ModelConfig, output: Output) -> tuple[tuple[str, str], ...]:
    """Name and colour of the values 1, 2, ... of labels, or of the planes of probabilities; none of other results.

    Examples
    --------
    >>> named_planes(ModelConfig(task="instances", instance_target="boundary"), "probabilities")
    (('background', '#56B4E9'), ('cell', '#E69F00'), ('cell boundary', '#009E73'))
    """
    if output not in ("labels", "probabilities"):
        return ()
    colors = (*model.class_colors, *CLASS_COLORS[len(model.class_colors) :])
    return tuple(zip(model.outputs if output == "probabilities" else model.classes, colors, strict=False))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A result to be kept.

    Attributes
    ----------
    array : ndarray
        Labels, or probabilities and uncertainty in floating point.
    axes : str
        One letter for each axis, for example ``"TZYX"``; C for one plane for each class.
    spacing : tuple of float or None
        Pixel size along the spatial axes in micrometres.
    classes : tuple of (str, str)
        Name and colour of the values 1, 2, ..., or of the planes along C; empty for single objects and uncertainty.
    recipe : mapping
        How it was made; an OME-Zarr store keeps it.
    """

    array: npt.NDArray[Any]
    axes: str
    spacing: tuple[float, ...] | None = None
    classes: tuple[tuple[str, str], ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)


def recipe(
    name: str, path: str, axes: str, step: int, model: ModelConfig, predicting: PredictConfig, **more: Any
) -> dict[str, Any]:
    """How a result was made, as layers and stores say it.

    Parameters
    ----------
    name, path : str
        Of the image; the path is empty when it is in no file.
    axes : str
        Of the image.
    step : int
        Steps that the model was trained.
    model : ModelConfig
    predicting : PredictConfig
    **more
        What else is to be known.
    """
    made = {"version": __version__, "image": name, "path": path, "axes": axes, "step": step}
    made |= {"model": model.model_dump(mode="json"), "predicting": predicting.model_dump(mode="json")}
    return made | more


def save_result(path: Path, result: Result, *, zero: bool = False, overwrite: bool = False) -> None:
    """Write a result, whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in one of `ENDINGS`.
    result : Result
    zero : bool
        Write background as 0 and the classes as 1, 2, ...; what is not predicted counts as background then.
    overwrite : bool
        Replace what is there.

    Raises
    ------
    ImageError
        When the name ends in something else, when something is there, or when it cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> save_result(Path(mkdtemp()) / "cells.ome.tif", Result(np.ones((8, 9), np.uint8), "YX", (0.5, 0.5)))
    """
    check_name(path)
    smooth = result.array.dtype.kind == "f"
    zero = zero and bool(result.classes) and not smooth
    try:
        # 0 (not predicted) stays 0, 1 (background) becomes 0
        array = result.array - (result.array > 0) if zero else result.array
        if path.suffix.lower() == ".zarr":
            _save_zarr(path, array, result, zero=zero, overwrite=overwrite)
        else:
            axes = "".join(axis for axis in _IMAGEJ_ORDER if axis in result.axes)
            axes = axes if "C" in result.axes and len(axes) == array.ndim else result.axes
            names = tuple(name for name, _ in result.classes) if smooth else ()
            write_labels(path, ordered(array, result.axes, axes), axes, result.spacing, names, overwrite=overwrite)
    except MemoryError as error:
        raise ImageError("close other images or programs: there is not enough memory to save this result") from error


def check_name(path: Path) -> None:
    """Raise a sentence unless the ending of the name tells a format."""
    if not path.name.lower().endswith(ENDINGS):
        raise ImageError(f"choose a name that ends in .ome.tif, .ome.zarr or .tif: '{path.name}' does not")


def ordered(array: npt.NDArray[Any], axes: str, wanted: str) -> npt.NDArray[Any]:
    """The array with its axes in another order."""
    return array.transpose([axes.index(axis) for axis in wanted])


def _save_zarr(path: Path, array: npt.NDArray[Any], result: Result, *, zero: bool, overwrite: bool) -> None:
    axes = canonical(result.axes)
    array = ordered(array, result.axes, axes)
    chunks, unit = choose_unit(array.shape, axes, "YX", CHUNK, SHARD)
    layout = {
        "axes": axes,
        "shape": list(array.shape),
        "chunks": list(chunks),
        "unit": list(unit),
        "dtype": array.dtype.name,
        "spacing": list(result.spacing) if result.spacing else None,
    }
    values = enumerate(result.classes, start=0 if zero else 1)
    classes = [{"value": value, "name": name, "color": color} for value, (name, color) in values]
    write_store(path, array, layout, {"classes": classes, "recipe": dict(result.recipe)}, overwrite=overwrite)
