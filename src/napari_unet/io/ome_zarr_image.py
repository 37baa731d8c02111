"""What is in an OME-Zarr (0.4 or 0.5), to be shown: all its resolutions, where they lie, channels and label images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

import zarr

from napari_unet.data.source import ArrayLike
from napari_unet.errors import ImageError
from napari_unet.io.images import UNREADABLE
from napari_unet.io.ome_zarr import LARGEST_CHUNK

Floats = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class OmeChannel:
    """How a channel is to be shown; each part empty or None where the file does not tell."""

    label: str = ""
    color: str = ""  #: RRGGBB
    window: tuple[float, float] | None = None
    visible: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class OmeImage:
    """One image, or label image.

    Attributes
    ----------
    name : str
    levels : tuple of zarr.Array
        The same at falling resolutions, the finest first.
    axes : tuple of str
        Names of the axes, as in the file.
    scale, translation : tuple of float
        Of the finest level, per axis, in `units`.
    units : tuple of str
        Per axis, "" where the file does not tell.
    channels : tuple of OmeChannel
    is_labels : bool
        Whether the values are objects or classes.
    """

    name: str
    levels: tuple[ArrayLike, ...]
    axes: tuple[str, ...]
    scale: Floats
    translation: Floats
    units: tuple[str, ...]
    channels: tuple[OmeChannel, ...] = ()
    is_labels: bool = False


def is_ome_zarr(path: Path) -> bool:
    """Whether a folder says that it is an OME-Zarr image; a broken one may. Reads two small files at most."""
    for name, key in (("zarr.json", b'"ome"'), (".zattrs", b'"multiscales"'), (".zattrs", b'"bioformats2raw.layout"')):
        try:
            if key in (path / name).read_bytes():
                return True
        except OSError:
            continue
    return False


def read_ome_zarr(path: Path) -> list[OmeImage]:
    """All images of an OME-Zarr with their label images; pixels stay on the disk.

    Raises
    ------
    ImageError
        When it cannot be read; one sentence.
    """
    try:
        found = list(_images(zarr.open(str(path), mode="r"), path))
    except ImageError:
        raise
    except UNREADABLE as error:
        reason = str(error).strip().split("\n")[0][:150] or type(error).__name__
        raise ImageError(f"choose another image: '{path.name}' is no complete OME-Zarr ({reason})") from error
    if not found:
        raise ImageError(f"choose an image inside '{path.name}': this Zarr group is none itself")
    return found


def _images(group: Any, path: Path) -> Iterator[OmeImage]:
    if not isinstance(group, zarr.Group):
        raise ImageError(f"choose the folder around '{path.name}': this is one array, not a whole OME-Zarr")
    about = _about(group)
    if "plate" in about:
        raise ImageError(f"choose a field of a well inside '{path.name}': it is a whole plate")
    if "bioformats2raw.layout" in about:
        for number in sorted((key for key in group if key.isdigit()), key=int):
            yield from _with_labels(group[number], f"{_stem(path)} {number}", path)
    elif "multiscales" in about:
        yield from _with_labels(group, _stem(path), path)


def _with_labels(group: Any, name: str, path: Path) -> Iterator[OmeImage]:
    """An image and its label images."""
    yield _image(group, name, path, is_labels="image-label" in _about(group))
    if "labels" not in group:
        return
    labels = group["labels"]
    for part in _about(labels).get("labels", ()):
        yield _image(labels[str(part)], f"{name}: {part}", path, is_labels=True)


def _image(group: Any, name: str, path: Path, *, is_labels: bool) -> OmeImage:
    about = _about(group)
    image = about["multiscales"][0]
    levels = tuple(group[level["path"]] for level in image["datasets"])
    for level in levels:
        _check(level, path)
    ndim = len(levels[0].shape)
    axes = _axes(image.get("axes"), ndim, path)
    first = image["datasets"][0].get("coordinateTransformations", ())
    scale, translation = _placed([*first, *image.get("coordinateTransformations", ())], ndim)
    units = tuple(str(axis.get("unit") or "") for axis in axes)
    names = tuple(str(axis["name"]) for axis in axes)
    channels = tuple(_channel(channel) for channel in about.get("omero", {}).get("channels", ()))
    return OmeImage(name, levels, names, scale, translation, units, channels, is_labels)


def _check(level: Any, path: Path) -> None:
    if not isinstance(level, zarr.Array) or 0 in level.shape:
        raise ImageError(f"choose another image: a resolution of '{path.name}' is missing")
    if prod(level.chunks) * level.dtype.itemsize > LARGEST_CHUNK:
        raise ImageError(f"store '{path.name}' in smaller chunks: one of {level.chunks} does not fit in memory")


def _axes(found: Any, ndim: int, path: Path) -> list[Mapping[str, Any]]:
    """One mapping per axis; before version 0.4 they were names only, or the last of TCZYX."""
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in found or "tczyx"[-ndim:]]
    if len(axes) != ndim:
        raise ImageError(f"choose another image: '{path.name}' names {len(axes)} axes and has {ndim}")
    return axes


def _placed(transforms: Sequence[Mapping[str, Any]], ndim: int) -> tuple[Floats, Floats]:
    """Scale and translation of several steps, one after the other."""
    scale, translation = [1.0] * ndim, [0.0] * ndim
    for step in transforms:
        by = [float(value) for value in step.get(step.get("type", ""), ())]
        if len(by) != ndim or not all(map(isfinite, by)):
            continue
        if step["type"] == "scale" and all(by):
            scale = [a * b for a, b in zip(scale, by, strict=True)]
            translation = [a * b for a, b in zip(translation, by, strict=True)]
        elif step["type"] == "translation":
            translation = [a + b for a, b in zip(translation, by, strict=True)]
    return tuple(scale), tuple(translation)


def _channel(about: Mapping[str, Any]) -> OmeChannel:
    window = about.get("window") or {}
    low, high = window.get("start"), window.get("end")
    known = isinstance(low, int | float) and isinstance(high, int | float) and low < high
    color = str(about.get("color", "")).lstrip("#")
    return OmeChannel(
        label=str(about.get("label") or ""),
        color=color if len(color) == 6 else "",
        window=(float(low), float(high)) if known else None,  # type: ignore[arg-type]
        visible=bool(about.get("active", True)),
    )


def _about(group: Any) -> Mapping[str, Any]:
    """OME attributes, which moved in version 0.5."""
    attributes: Mapping[str, Any] = group.attrs.asdict()
    about: Mapping[str, Any] = attributes.get("ome", attributes)
    return about


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name
