"""Image files to arrays with named axes, and label images back to files that napari and Fiji read."""

from __future__ import annotations

import os
import struct
import tokenize
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.format import MAGIC_PREFIX

from napari_unet.data.source import ArrayLike, guess_axes
from napari_unet.errors import ImageError
from napari_unet.io.atomic import replacing

Spacing = tuple[float, ...]
#: What the readers of damaged or foreign files raise; they promise nothing.
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """An image from a file.

    Attributes
    ----------
    array : array-like
        Pixels; large files stay on the disk and are read where they are looked at.
    axes : str
        One letter per axis: ``T``, ``Z``, ``C``, ``Y``, ``X``, or another letter where the file gives no meaning.
    spacing : tuple of float or None
        Pixel size along the spatial axes (``ZYX`` or ``YX``) in micrometres, if the file says it of all of them.
    name : str
        Name of the file without its ending.
    channels : tuple of str
        Names of the channels; empty where the file does not tell.
    """

    array: ArrayLike
    axes: str
    spacing: Spacing | None
    name: str
    channels: tuple[str, ...] = ()


def read_image(path: str | os.PathLike[str]) -> LoadedImage:
    """Open an image file.

    Parameters
    ----------
    path : path-like
        TIFF (plain, ImageJ, OME), PNG, JPEG, NumPy's ``.npy``, or a Zarr array or OME-Zarr image (a folder).

    Returns
    -------
    LoadedImage

    Raises
    ------
    ImageError
        When the file cannot be read or is no image of real numbers.
    """
    path = Path(path)
    read = _reader(path)
    try:
        array, axes, spacing, channels = read(path)
    except ImageError:
        raise
    except UNREADABLE as error:
        raise ImageError(f"choose another image: '{path.name}' cannot be read ({_reason(error)})") from error
    axes = _distinct(axes)
    _check(path, array, axes)
    known = "C" in axes and len(channels) == array.shape[axes.index("C")]
    return LoadedImage(array, axes, spacing, path.name.split(".")[0] or path.name, channels if known else ())


def write_labels(
    path: str | os.PathLike[str],
    array: npt.NDArray[Any],
    axes: str,
    spacing: Sequence[float] | None = None,
    channels: Sequence[str] = (),
    *,
    overwrite: bool = False,
) -> None:
    """Write a label image (or probabilities) to a compressed TIFF.

    It becomes an OME-TIFF if its name says so, else an ImageJ hyperstack where ImageJ knows type and axes, else an
    OME-TIFF, else a plain TIFF that names its axes. A failed write leaves an older file as it was.

    Parameters
    ----------
    path : path-like
        The file, usually ``.tif`` or ``.ome.tif``.
    array : ndarray
        Labels of any integer type or bool, or float32 probabilities.
    axes : str
        One letter per axis, for example ``"TZYX"``.
    spacing : sequence of float, optional
        Pixel size along the spatial axes in micrometres.
    channels : sequence of str, optional
        Names of what lies along C; kept where it is an OME-TIFF or ImageJ's.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    ImageError
        When the file exists, cannot be written, or the axes do not fit.
    """
    from napari_unet.io.tiff import write_tiff

    if len(axes) != array.ndim or 0 in array.shape:
        raise ImageError(f"give one axis letter for each axis of this result of shape {array.shape}, not '{axes}'")
    if Path(path).exists() and not overwrite:
        raise ImageError(f"choose another name or allow overwriting: '{path}' exists already")
    try:
        with replacing(path) as temporary:
            as_ome = Path(path).name.lower().endswith((".ome.tif", ".ome.tiff"))
            size, names = tuple(spacing) if spacing else None, tuple(channels)
            write_tiff(temporary, array, axes, size, names, as_ome=as_ome)
    except OSError as error:
        reason = error.strerror or "the disk did not take it"
        raise ImageError(f"save elsewhere or free some space: '{path}' could not be written ({reason})") from error


Loaded = tuple[ArrayLike, str, Spacing | None, tuple[str, ...]]


def _reader(path: Path) -> Callable[[Path], Loaded]:
    """The function that reads this kind of file."""
    if path.is_dir():
        return _read_zarr
    if not path.is_file():
        raise ImageError(f"choose another image: there is no file '{path}'")
    found = _READERS.get(path.suffix.lower())
    if found is None:
        raise ImageError(
            f"convert '{path.name}' first, for example with Fiji to OME-TIFF: "
            "TIFF, PNG, JPEG, .npy and Zarr images can be read"
        )
    return found


def _read_tiff(path: Path) -> Loaded:
    from napari_unet.io.tiff import read_tiff

    return read_tiff(path)


def _read_zarr(path: Path) -> Loaded:
    from napari_unet.io.ome_zarr import read_zarr

    return read_zarr(path)


def _read_picture(path: Path) -> Loaded:
    """PNG, JPEG: grey, or colours as channels."""
    import imageio.v3 as iio
    from PIL.Image import DecompressionBombError

    try:
        # From memory, for a reader that fails would leave the file open.
        array = np.asarray(iio.imread(path.read_bytes(), plugin="pillow"))
    except DecompressionBombError as error:
        raise ImageError(f"convert '{path.name}' to TIFF first: it is too large for a picture file") from error
    return array, "YXC" if array.ndim == 3 else "YX", None, ()


def _read_npy(path: Path) -> Loaded:
    """NumPy's own format, mapped; an array of objects would run code and is refused by NumPy."""
    with path.open("rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ValueError("not a file of NumPy")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array, guess_axes(array.shape, rgb=looks_like_colours(array.shape)), None, ()


def looks_like_colours(shape: Sequence[int]) -> bool:
    """Whether the last axis is red, green, blue (and opacity) rather than x."""
    return len(shape) >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 8


_READERS: dict[str, Callable[[Path], Loaded]] = {
    ".npy": _read_npy,
    **dict.fromkeys((".tif", ".tiff", ".btf", ".lsm"), _read_tiff),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp"), _read_picture),
}
#: How the names of images end that `read_image` may know how to read.
ENDINGS = frozenset((*_READERS, ".zarr"))


def _distinct(axes: str) -> str:
    """Axes in upper case, samples as channels, and letters that occur twice replaced by free ones."""
    found = ""
    for letter in axes.upper().replace("S", "C"):
        free = (other for other in letter + "QIPRVWABD" if other not in found)
        found += next(free)
    return found


def _check(path: Path, array: ArrayLike, axes: str) -> None:
    if np.dtype(array.dtype).kind not in "buif":
        raise ImageError(f"convert '{path.name}' to real numbers first; its type is {array.dtype}")
    if 0 in array.shape or len(axes) != len(array.shape) or not {"Y", "X"} <= set(axes):
        raise ImageError(f"choose another image: '{path.name}' has no picture in it, only shape {tuple(array.shape)}")


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for a sentence."""
    text = str(error).strip().split("\n")[0][:150]
    return text or type(error).__name__
