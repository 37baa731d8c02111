"""Zarr arrays and OME-Zarr images, version 2 and 3, read where they are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import zarr

from napari_unet.data.source import ArrayLike, guess_axes
from napari_unet.errors import ImageError
from napari_unet.io.tiff import to_micrometres

Spacing = tuple[float, ...]
#: A chunk is read whole; more than this is a mistake or an attack, bytes.
LARGEST_CHUNK = 2**32


def read_zarr(path: Path) -> tuple[ArrayLike, str, Spacing | None, tuple[str, ...]]:
    """An array, or the finest level of an OME-Zarr image (0.4, 0.5)."""
    if not any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        raise ImageError(f"choose an image, or the folder of a Zarr image: '{path.name}' is another folder")
    node = zarr.open(str(path), mode="r")
    axes, spacing = None, None
    channels: tuple[str, ...] = ()
    if isinstance(node, zarr.Group):
        node, axes, spacing, channels = _finest(node, path)
    if prod(node.chunks) * node.dtype.itemsize > LARGEST_CHUNK:
        raise ImageError(f"store '{path.name}' in smaller chunks: one of {node.chunks} does not fit in memory")
    return node, axes or _named(node) or guess_axes(node.shape), spacing, channels


def _finest(group: zarr.Group, path: Path) -> tuple[Any, str, Spacing | None, tuple[str, ...]]:
    """Level 0 of the first image of a group."""
    about = _about(group)
    if "bioformats2raw.layout" in about:
        group = _group(group["0"], path)
        about = _about(group)
    images = about.get("multiscales")
    if not images:
        raise ImageError(f"choose an image inside '{path.name}': this Zarr group is none itself")
    level = images[0]["datasets"][0]
    node = group[level["path"]]
    if not isinstance(node, zarr.Array):
        raise ImageError(f"choose another image: the finest level of '{path.name}' is missing")
    named = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in images[0].get("axes", ())]
    axes = "".join(str(axis["name"]).upper()[:1] for axis in named)
    return node, axes, _scale(level.get("coordinateTransformations", ()), named), _channels(about)


def _channels(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Labels of the channels, empty unless all have one."""
    labels = [str(channel.get("label", "")) for channel in about.get("omero", {}).get("channels", ())]
    return tuple(labels) if all(labels) else ()


def _group(node: Any, path: Path) -> zarr.Group:
    if not isinstance(node, zarr.Group):
        raise ImageError(f"choose another image: '{path.name}' is an incomplete OME-Zarr")
    return node


def _about(group: zarr.Group) -> Mapping[str, Any]:
    """OME attributes, which moved in version 0.5."""
    attributes: Mapping[str, Any] = group.attrs.asdict()
    about: Mapping[str, Any] = attributes.get("ome", attributes)
    return about


def _scale(transforms: Sequence[Mapping[str, Any]], axes: Sequence[Mapping[str, Any]]) -> Spacing | None:
    """Pixel size along the spatial axes in micrometres."""
    scale = next((step["scale"] for step in transforms if step.get("type") == "scale"), None)
    if scale is None:
        return None
    spatial = [(axis, size) for axis, size in zip(axes, scale, strict=True) if axis["name"] in ("z", "y", "x")]
    found = [to_micrometres(float(size), str(axis.get("unit", ""))) for axis, size in spatial]
    return tuple(size for size in found if size) if found and all(found) else None


def _named(array: Any) -> str | None:
    """Axes of a Zarr 3 array with dimension names of one letter."""
    names = getattr(array.metadata, "dimension_names", None)
    if not names or not all(name and len(name) == 1 for name in names):
        return None
    return "".join(names).upper()
