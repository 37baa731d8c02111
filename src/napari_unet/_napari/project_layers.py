"""Layers as a project describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_unet._napari.axes import layer_axes, pixels, placement
from napari_unet.session.projects import ImageEntry, Wanted

#: Images without a file are copied into the project up to this size, bytes.
LARGEST_COPY = 2**29


def wanted(layer: Any) -> Wanted:
    """An image layer, to be found in a project."""
    return Wanted(file_of(layer), tuple(int(size) for size in pixels(layer).shape), lambda: pixels(layer))


def file_of(layer: Any) -> Path | None:
    """The file an image layer was read from, if it is there."""
    path = layer.source.path
    return Path(path) if path and Path(path).exists() else None


def image_entry(layer: Any, key: str) -> ImageEntry:
    """What a project must know of an image layer.

    Raises
    ------
    ImageError
        When it is no image that can be segmented.
    """
    path, array = file_of(layer), pixels(layer)
    return ImageEntry(
        key=key,
        name=layer.name,
        path=str(path.resolve()) if path is not None else None,
        plugin=layer.source.reader_plugin if path is not None else None,
        shape=tuple(int(size) for size in array.shape),
        dtype=np.dtype(array.dtype).str,
        axes=layer_axes(layer),
        placement={name: _plain(value) for name, value in placement(layer).items()},
    )


def is_small(layer: Any) -> bool:
    """Whether a copy of the image fits into a project."""
    array = pixels(layer)
    return bool(np.prod(array.shape, dtype=float) * np.dtype(array.dtype).itemsize <= LARGEST_COPY)


def shapes_of(layer: Any) -> list[dict[str, Any]]:
    """The shapes of a layer of complete regions, as a project keeps them."""
    return [
        {"kind": str(kind), "vertices": np.asarray(vertices, float).tolist()}
        for vertices, kind in zip(layer.data, layer.shape_type, strict=True)
    ]


def _plain(value: Any) -> Any:
    """A placement in JSON: numbers as lists, units and axes by their names."""
    value = getattr(value, "affine_matrix", value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [str(part) for part in value]
