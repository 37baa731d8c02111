"""TIFF with the dialects of microscopy: ImageJ hyperstacks, OME-TIFF, and plain files that name their axes."""

from __future__ import annotations

import re
import weakref
from math import prod
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from napari_unet.data.source import ArrayLike
from napari_unet.errors import ImageError

Spacing = tuple[float, ...]
#: Larger images stay on the disk, bytes. Smaller ones are safe in memory from a file that changes under them.
LARGE = 2**28
#: Micrometres in the units that files name.
MICROMETRES = {
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("inch", "in"), 25400.0),
}
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
_CHANNEL = re.compile(r'<(?:\w+:)?Channel\b[^>]*\sName="([^"]*)"')
_SIZE = re.compile(r'PhysicalSize([XYZ])(Unit)?="([^"]*)"')
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_IMAGEJ_ORDER = "TZCYX"


def read_tiff(path: Path) -> tuple[ArrayLike, str, Spacing | None, tuple[str, ...]]:
    """Pixels, axes, pixel size and names of the channels of the first image in a file."""
    with tifffile.TiffFile(path) as file:
        if not file.series:
            raise ImageError(f"choose another image: '{path.name}' has no picture in it")
        series = file.series[0]
        axes = str(series.axes)
        spacing, channels = _spacing(file, axes), _channels(file)
        array: ArrayLike = series.asarray() if series.nbytes < LARGE else _on_disk(path)
    if "S" in axes and "C" in axes:
        return _joined_channels(np.asarray(array), axes), axes.replace("S", ""), spacing, ()
    return array, axes, spacing, channels


def write_tiff(
    path: Path,
    array: npt.NDArray[Any],
    axes: str,
    spacing: Spacing | None,
    channels: tuple[str, ...] = (),
    *,
    as_ome: bool = False,
) -> None:
    """Compressed, in the dialect that keeps most of what is known, or `as_ome`."""
    array = _storable(array)
    options: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack"}
    ordered = _is_ordered(axes)
    if ordered and not as_ome and array.dtype.name in _IMAGEJ_TYPES and array.nbytes < 2**31:
        options |= _as_imagej(axes, spacing)
        if channels:
            planes = prod(array.shape[:-2])
            options["metadata"]["Labels"] = list(channels) * (planes // len(channels))
    elif ordered or as_ome:
        named = {"Channel": {"Name": list(channels)}} if channels else {}
        options |= {"ome": True, "metadata": {"axes": axes, **_ome_sizes(axes, spacing), **named}}
    else:
        options["metadata"] = {"axes": axes} | ({"spacing": list(spacing)} if spacing else {})
    tifffile.imwrite(path, array, **options)


def to_micrometres(size: float, unit: str) -> float | None:
    """A length in micrometres; None for what is no length."""
    factor = MICROMETRES.get(unit.replace("\\u00B5", "µ").strip().lower())
    return size * factor if factor and 0 < size < float("inf") else None


def _on_disk(path: Path) -> ArrayLike:
    """The first image of a large file, mapped if it lies there as it is, else decoded piece by piece."""
    try:
        mapped: ArrayLike = tifffile.memmap(path, mode="r")
        return mapped
    except ValueError:
        store = tifffile.imread(path, aszarr=True, series=0, level=0)
        lazy: ArrayLike = zarr.open_array(store, mode="r")
        weakref.finalize(lazy, store.close)
        return lazy


def _joined_channels(array: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Channels that are coloured themselves, as one axis of channels at the place of C."""
    c, s = axes.index("C"), axes.index("S")
    place = c - (s < c)
    moved = np.moveaxis(array, s, place + 1)
    shape = moved.shape
    return moved.reshape(*shape[:place], shape[place] * shape[place + 1], *shape[place + 2 :])


def _channels(file: tifffile.TiffFile) -> tuple[str, ...]:
    """Names of the channels: of OME, or ImageJ's labels where there is one for each channel."""
    if file.is_ome and file.ome_metadata:
        image = file.ome_metadata.split("</Pixels>")[0]
        return tuple(unescape(name) for name in _CHANNEL.findall(image))
    about = file.imagej_metadata or {}
    labels = about.get("Labels")
    if not isinstance(labels, list) or len(labels) != about.get("images"):
        return ()
    return tuple(str(label) for label in labels)


def _spacing(file: tifffile.TiffFile, axes: str) -> Spacing | None:
    """Pixel size along ZYX or YX in micrometres."""
    if file.is_imagej:
        sizes = _imagej_sizes(file)
    elif file.is_ome and file.ome_metadata:
        sizes = _ome_found(file.ome_metadata)
    else:
        kept = (file.shaped_metadata or ({},))[0].get("spacing")
        return tuple(float(size) for size in kept) if kept else None
    found = [sizes.get(axis) for axis in "ZYX" if axis in axes]
    return tuple(size for size in found if size) if found and all(found) else None


def _imagej_sizes(file: tifffile.TiffFile) -> dict[str, float | None]:
    about = file.imagej_metadata or {}
    tags = file.pages.first.tags
    unit = str(about.get("unit", ""))
    sizes = {"Z": to_micrometres(float(about.get("spacing", 0)), unit)}
    for axis, name in (("Y", "YResolution"), ("X", "XResolution")):
        pixels, units = tags[name].value if name in tags else (0, 1)
        sizes[axis] = to_micrometres(units / pixels, unit) if pixels else None
    return sizes


def _ome_found(text: str) -> dict[str, float | None]:
    pixels = _PIXELS.search(text)
    if pixels is None:
        return {}
    said = {axis + unit: value for axis, unit, value in _SIZE.findall(pixels[1])}
    return {a: to_micrometres(float(said[a]), said.get(a + "Unit", "µm")) for a in "ZYX" if a in said}


def _is_ordered(axes: str) -> bool:
    """Whether the axes are known to ImageJ, and in its order."""
    return axes.endswith("YX") and [a for a in _IMAGEJ_ORDER if a in axes] == list(axes)


def _as_imagej(axes: str, spacing: Spacing | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes}
    if spacing is None:
        return {"imagej": True, "metadata": metadata}
    metadata["unit"] = "um"
    if len(spacing) == 3:
        metadata["spacing"] = spacing[0]
    return {"imagej": True, "metadata": metadata, "resolution": (1 / spacing[-1], 1 / spacing[-2])}


def _ome_sizes(axes: str, spacing: Spacing | None) -> dict[str, Any]:
    spatial = [axis for axis in "ZYX" if axis in axes][-len(spacing) :] if spacing else []
    sizes = dict(zip(spatial, spacing or (), strict=True))
    named = {f"PhysicalSize{axis}": size for axis, size in sizes.items()}
    return named | {f"PhysicalSize{axis}Unit": "µm" for axis in sizes}


def _storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In a type that other programs read: up to 32 bits, native byte order, no value changed."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.astype(np.uint8)
    if kind == "f":
        return array.astype(np.float32)
    if kind in "iu" and size == 8:
        low, high = int(array.min()), int(array.max())
        if low < -(2**31) or high >= 2**32:
            raise ImageError(f"number the labels anew: {max(-low, high)} is more than a TIFF of 32 bits holds")
        return array.astype(np.min_scalar_type(high) if low >= 0 else np.int32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
