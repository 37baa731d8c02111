"""A result that grows on the disk: Zarr 3 with OME-Zarr 0.5 metadata, a pyramid at the end, and a ledger meanwhile.

Layout: a group with the levels ``0``, ``1``, ...; while the work lasts, ``0/.napari-unet`` holds what is needed to go
on. The store can be read at any time; what is not computed yet is 0. Nothing is written outside it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from napari_unet import __version__
from napari_unet.errors import ImageError

WORK = ".napari-unet"
#: The smallest level of a pyramid has at most this many pixels along each axis.
SMALLEST_LEVEL = 512
_KINDS = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
_KEY = "napari-unet"
Ints = tuple[int, ...]


def canonical(axes: str) -> str:
    """The order of axes that OME-Zarr asks for: time, others, channels, space.

    Examples
    --------
    >>> canonical("CZTYX"), canonical("QYX")
    ('TCZYX', 'QYX')
    """
    rank = {axis: place for place, axis in enumerate("T?CZYX")}
    return "".join(sorted(axes, key=lambda axis: rank.get(axis, 1)))


class ResultStore:
    """One result on the disk, whole or not yet.

    Parameters
    ----------
    path : Path
        Folder of the Zarr group.

    Raises
    ------
    ImageError
        When it was not begun by `create`.

    Attributes
    ----------
    layout : dict
        ``axes``, ``shape``, ``chunks``, ``unit`` (of a write unit), ``dtype``, and ``spacing`` along the spatial axes,
        or None.
    job : dict
        What the work is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._group = zarr.open_group(str(path), mode="r+")
            about: dict[str, Any] = dict(self._group.attrs[_KEY])  # type: ignore[arg-type]
            self.layout, self.job = dict(about["layout"]), dict(about["job"])
            self.complete = bool(about["complete"])
            self.level(0)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ImageError(
                f"choose another name or allow overwriting: '{path}' is no result of napari-unet"
            ) from error

    @classmethod
    def create(cls, path: Path, layout: Mapping[str, Any], job: Mapping[str, Any]) -> ResultStore:
        """Begin a result.

        Parameters
        ----------
        path : Path
            A folder that does not exist yet, in one that does.
        layout, job : mapping
            See the attributes; ``job["classes"]`` are ``value``, ``name`` and ``color`` of the labels.

        Raises
        ------
        ImageError
            When it cannot be written.
        """
        about = {"version": __version__, "complete": False, "layout": dict(layout), "job": dict(job)}
        attributes = {_KEY: about, "ome": ome_metadata(path.name, layout, job)}
        try:
            group = zarr.create_group(str(path), zarr_format=3, attributes=attributes)
            _array(group, "0", layout, layout["shape"])
        except OSError as error:
            reason = error.strerror or "the disk did not take it"
            raise ImageError(f"save elsewhere or free some space: '{path}' could not be written ({reason})") from error
        return cls(path)

    @property
    def work(self) -> Path:
        """Folder of what is needed to go on."""
        return self.path / "0" / WORK

    def level(self, number: int) -> Any:
        """Array of a level of the pyramid; 0 is the result."""
        return self._group[str(number)]

    def add_level(self, number: int, shape: Sequence[int]) -> Any:
        """A coarser level, made unless it is there."""
        known = str(number) in self._group
        return self.level(number) if known else _array(self._group, str(number), self.layout, shape)

    def pieces(self) -> Any:
        """Array for preliminary numbers of objects in the folder of the work, made unless it is there."""
        if not (self.work / "pieces").exists():
            group = zarr.open_group(str(self.work), mode="a")
            _array(group, "pieces", {**self.layout, "dtype": "uint32"}, self.layout["shape"])
        return zarr.open_array(str(self.work / "pieces"), mode="r+")

    def write_kinds(self, unit: int, kinds: npt.NDArray[np.int16]) -> None:
        """Keep the kinds of the pieces of a unit in the folder of the work."""
        (self.work / "kinds").mkdir(exist_ok=True)
        with (self.work / "kinds" / f"{unit}.bin").open("wb") as file:
            file.write(kinds.tobytes())
            file.flush()
            os.fsync(file.fileno())

    def read_kinds(self, unit: int) -> npt.NDArray[np.int16]:
        """Kinds of the pieces of a unit."""
        return np.frombuffer((self.work / "kinds" / f"{unit}.bin").read_bytes(), np.int16)

    def finish(self, factors: Sequence[Ints]) -> None:
        """Describe the coarser levels, say that all is done, and remove what was needed to go on."""
        self._group.attrs["ome"] = ome_metadata(self.path.name, self.layout, self.job, factors)
        self._group.attrs[_KEY] = {**dict(self._group.attrs[_KEY]), "complete": True}  # type: ignore[arg-type]
        self.complete = True
        shutil.rmtree(self.work, ignore_errors=True)

    def sweep(self) -> None:
        """Remove files that a killed writer did not finish."""
        for path in self.path.rglob("*.partial"):
            with suppress(OSError):
                path.unlink()


def ome_metadata(
    name: str, layout: Mapping[str, Any], job: Mapping[str, Any], factors: Sequence[Ints] = ()
) -> dict[str, Any]:
    """OME-Zarr 0.5 attributes of a result: https://ngff.openmicroscopy.org/0.5.

    Parameters
    ----------
    name : str
        Of the store.
    layout, job : mapping
        See `ResultStore`.
    factors : sequence of tuple of int
        How much larger the pixels of the coarser levels are, axis by axis.
    """
    smooth = np.dtype(layout["dtype"]).kind == "f"
    scale = _scale(layout)
    levels = [_dataset(str(i), scale, factor, smooth) for i, factor in enumerate([(1,) * len(scale), *factors])]
    axes = [_axis(axis, bool(layout["spacing"])) for axis in layout["axes"]]
    image: dict[str, Any] = {"name": name.split(".")[0], "axes": axes, "datasets": levels}
    if factors:
        image["type"] = "mean" if smooth else "nearest"
    about: dict[str, Any] = {"version": "0.5", "multiscales": [image]}
    if smooth:
        return {**about, **_channel_facts(layout, job.get("classes", ()))}
    return {**about, "image-label": {"version": "0.5", **_label_facts(job.get("classes", ()))}}


def sync(array: Any, place: Sequence[int]) -> None:
    """Wait until the write unit at `place` in the grid of an array is on the disk; one of zeros has no file."""
    root = getattr(array.store, "root", None)
    if root is None:
        return
    path = Path(root) / array.path / array.metadata.encode_chunk_key(tuple(place))
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_store(path: Path) -> None:
    """Remove a Zarr store that is to be replaced; nothing else is ever removed.

    Raises
    ------
    ImageError
        When the folder is none.
    """
    if not any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
        raise ImageError(f"choose another name: '{path}' is no Zarr store, and is left as it is")
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise ImageError(f"choose another name: '{path}' cannot be removed ({error.strerror})") from error


def pyramid_factors(shape: Sequence[int], axes: str, spacing: Sequence[float] | None) -> list[Ints]:
    """How much coarser each level is along each axis: the finest spatial axes are halved, until all are small.

    Examples
    --------
    >>> pyramid_factors((40, 2000, 3000), "ZYX", (2.0, 0.5, 0.5))
    [(1, 2, 2), (1, 4, 4), (2, 8, 8)]
    """
    spatial = [i for i, axis in enumerate(axes) if axis in "ZYX"]
    sizes = dict(zip(spatial[::-1], (spacing or (1.0,) * 3)[::-1], strict=False))
    factors: list[Ints] = []
    now = [1] * len(shape)
    while any(-(-shape[i] // now[i]) > SMALLEST_LEVEL for i in spatial):
        large = [i for i in spatial if -(-shape[i] // now[i]) > 1]
        finest = min(now[i] * sizes.get(i, 1.0) for i in large)
        for i in large:
            now[i] *= 2 if now[i] * sizes.get(i, 1.0) < 2 * finest else 1
        factors.append(tuple(now))
    return factors


def coarser(block: npt.NDArray[Any], halved: Sequence[bool], *, smooth: bool) -> npt.NDArray[Any]:
    """A block at half the size along some axes: means of probabilities, every other label."""
    if not smooth:
        return block[tuple(slice(None, None, 2 if half else 1) for half in halved)]
    found: npt.NDArray[Any] = block.astype(np.float32)
    for axis, half in enumerate(halved):
        if half:
            last = found.take([-1], axis) if found.shape[axis] % 2 else found.take([], axis)
            found = np.concatenate([found, last], axis)
            even, odd = (found[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
            found = (even + odd) * np.float32(0.5)
    return found.astype(block.dtype)


def _array(group: zarr.Group, name: str, layout: Mapping[str, Any], shape: Sequence[int]) -> Any:
    return group.create_array(
        name,
        shape=tuple(shape),
        chunks=tuple(layout["chunks"]),
        shards=tuple(layout["unit"]),
        dtype=layout["dtype"],
        fill_value=0,
        dimension_names=[axis.lower() for axis in layout["axes"]],
    )


def _axis(axis: str, calibrated: bool) -> dict[str, str]:
    kind = _KINDS.get(axis)
    unit = {"unit": "micrometer"} if kind == "space" and calibrated else {}
    return {"name": axis.lower(), **({"type": kind} if kind else {}), **unit}


def _scale(layout: Mapping[str, Any]) -> list[float]:
    """Pixel size along each axis, 1 where it is not known."""
    spatial = [axis for axis in layout["axes"] if axis in "ZYX"]
    sizes = dict(zip(spatial[::-1], list(layout["spacing"] or ())[::-1], strict=False))
    return [float(sizes.get(axis, 1.0)) for axis in layout["axes"]]


def _dataset(path: str, scale: Sequence[float], factors: Ints, smooth: bool) -> dict[str, Any]:
    """A level: the size of its pixels, and where the middle of its first one lies."""
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": [s * f for s, f in zip(scale, factors, strict=True)]}]
    if smooth:
        shift = [s * (f - 1) / 2 for s, f in zip(scale, factors, strict=True)]
        steps.append({"type": "translation", "translation": shift})
    return {"path": path, "coordinateTransformations": steps}


def _channel_facts(layout: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Names, colours and contrast of the planes of probabilities, for viewers."""
    sizes = dict(zip(layout["axes"], layout["shape"], strict=True))
    if sizes.get("C") != len(classes):
        return {}
    window = {"start": 0.0, "end": 1.0, "min": 0.0, "max": 1.0}
    named = [{"label": one["name"], "color": one["color"].lstrip("#"), "window": window} for one in classes]
    return {"omero": {"version": "0.5", "channels": [{**one, "active": True} for one in named]}}


def _label_facts(classes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Colours and names of the classes, for viewers."""
    colors = [{"label-value": one["value"], "rgba": [*bytes.fromhex(one["color"][1:]), 255]} for one in classes]
    names = [{"label-value": one["value"], "class": one["name"]} for one in classes]
    return {"colors": colors, "properties": names} if classes else {}
