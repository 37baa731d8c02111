"""An image by named axes, read as the network needs it: one (C, *spatial) block at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_unet.errors import ImageError

Index = tuple[int | slice, ...]
SPATIAL = {2: "YX", 3: "ZYX"}


class ArrayLike(Protocol):
    """What an image must offer: numpy, memmap, Zarr and dask arrays do."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of a pixel."""
        ...

    def __getitem__(self, index: Any, /) -> Any: ...


def mirror(start: int, stop: int, size: int) -> npt.NDArray[np.intp]:
    """Indices of ``range(start, stop)`` folded into ``range(size)`` by mirroring at the first and last pixel.

    The border pixel itself is not repeated (numpy's ``reflect``); any distance outside is allowed.

    Examples
    --------
    >>> mirror(-2, 6, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    period = max(2 * (size - 1), 1)
    folded = np.arange(start, stop) % period
    return np.minimum(folded, period - folded) if size > 1 else np.zeros(stop - start, dtype=np.intp)


class ImageSource:
    """An array with named axes, seen by a network of `ndim` spatial axes.

    Parameters
    ----------
    array : array-like
        numpy, memmap, Zarr or dask array; never copied whole.
    axes : str
        One letter per array axis: ``Y``, ``X`` (and ``Z``) in this order, ``C`` (or ``S``) for channels, any other
        letter (``T``, ``Q``, ...) for a leading axis that is walked through.
    ndim : {2, 3}
        Spatial axes of the network. With 2, ``Z`` is a leading axis.
    chosen : sequence of int, optional
        Channels to read, in this order; all by default.

    Raises
    ------
    ImageError
        When the axes do not describe the array, a spatial axis is missing or empty, or a channel is not there.

    Attributes
    ----------
    spatial, lead : tuple of int
        Sizes of the spatial axes, and of the leading axes in array order.
    channels : int
        Number of channels that are read, 1 without a channel axis.
    spatial_axes, lead_axes : str
        Their letters.
    label_axes : str
        Axes of a label image of this image: all but the channels.
    label_shape : tuple of int
        Its shape.

    Examples
    --------
    >>> source = ImageSource(np.zeros((5, 3, 32, 40)), "TCYX", ndim=2)
    >>> source.lead, source.channels, source.spatial, source.label_shape
    ((5,), 3, (32, 40), (5, 32, 40))
    """

    def __init__(self, array: ArrayLike, axes: str, ndim: int, chosen: Sequence[int] | None = None) -> None:
        axes = axes.upper().replace("S", "C")
        _check_axes(axes, tuple(array.shape), ndim)
        self.array = array
        self.axes = axes
        self.ndim = ndim
        self.spatial_axes = SPATIAL[ndim]
        sizes = dict(zip(axes, array.shape, strict=True))
        self.spatial = tuple(int(sizes[axis]) for axis in self.spatial_axes)
        there = int(sizes.get("C", 1))
        if chosen is not None and not all(0 <= number < there for number in chosen):
            raise ImageError(
                f"choose channels 0 to {there - 1}: the image has no other; {tuple(chosen)} were asked for"
            )
        self.chosen = None if chosen is None or tuple(chosen) == tuple(range(there)) else tuple(chosen)
        self.channels = there if self.chosen is None else len(self.chosen)
        self.label_axes = axes.replace("C", "")
        self.label_shape = tuple(int(sizes[axis]) for axis in self.label_axes)
        self.lead_axes = "".join(axis for axis in self.label_axes if axis not in self.spatial_axes)
        self.lead = tuple(int(sizes[axis]) for axis in self.lead_axes)

    def planes(self) -> Iterator[tuple[int, ...]]:
        """All positions along the leading axes, the last fastest."""
        return product(*(range(size) for size in self.lead))

    def stack(self, lead: Sequence[int]) -> tuple[tuple[int, ...], int | None]:
        """Which stack a plane of a 2D network belongs to, and its place along z; None without z."""
        z = self.lead_axes.find("Z")
        return (tuple(lead), None) if z < 0 else ((*lead[:z], *lead[z + 1 :]), lead[z])

    def label_index(self, lead: Sequence[int], box: Sequence[slice]) -> Index:
        """Index of a spatial `box` at position `lead` in an array of shape `label_shape`."""
        place: dict[str, int | slice] = dict(zip(self.lead_axes, lead, strict=True))
        place |= dict(zip(self.spatial_axes, box, strict=True))
        return tuple(place[axis] for axis in self.label_axes)

    def read(self, lead: Sequence[int], box: Sequence[slice]) -> npt.NDArray[np.generic]:
        """Pixels of a spatial `box` at position `lead`, shape ``(C, *box)``, in the image's own type."""
        place: dict[str, int | slice] = dict(zip(self.lead_axes, lead, strict=True))
        place |= dict(zip(self.spatial_axes, box, strict=True))
        first = min(self.chosen or (0,))
        place["C"] = slice(first, max(self.chosen) + 1) if self.chosen else slice(None)
        block = np.asarray(self.array[tuple(place[axis] for axis in self.axes)])
        kept = [axis for axis in self.axes if axis not in self.lead_axes]
        block = np.moveaxis(block, kept.index("C"), 0) if "C" in kept else block[np.newaxis]
        return block if self.chosen is None else block[[number - first for number in self.chosen]]

    def read_mirrored(self, lead: Sequence[int], start: Sequence[int], stop: Sequence[int]) -> npt.NDArray[np.generic]:
        """As `read` for the box ``start:stop``, which may reach outside the image and is mirrored there."""
        indices = [mirror(a, b, n) for a, b, n in zip(start, stop, self.spatial, strict=True)]
        box = [slice(int(i.min()), int(i.max()) + 1) for i in indices]
        block = self.read(lead, box)
        inside = all(a >= 0 and b <= n for a, b, n in zip(start, stop, self.spatial, strict=True))
        if inside:
            return block
        for axis, (index, taken) in enumerate(zip(indices, box, strict=True), start=1):
            block = np.take(block, index - taken.start, axis=axis)
        return block


def guess_axes(shape: Sequence[int], *, rgb: bool = False) -> str:
    """Axes of an array without names: the last are ZYX, then T; a last axis of `rgb` is C.

    Examples
    --------
    >>> guess_axes((4, 8, 64, 64)), guess_axes((64, 64, 3), rgb=True)
    ('TZYX', 'YXC')
    """
    count = len(shape) - rgb
    if not 2 <= count <= 5:
        raise ImageError(f"name the axes of this image of shape {tuple(shape)}, for example axes='TZCYX'")
    return "QTZYX"[-count:] + "C" * rgb


def _check_axes(axes: str, shape: tuple[int, ...], ndim: int) -> None:
    """Raise `ImageError` unless the axes name each axis of the shape once and in order."""
    if len(axes) != len(shape):
        raise ImageError(f"give one axis letter for each of the {len(shape)} axes of the image, not '{axes}'")
    if len(set(axes)) != len(axes):
        raise ImageError(f"name each axis once, not '{axes}'")
    spatial = SPATIAL[ndim]
    if "".join(axis for axis in axes if axis in spatial) != spatial:
        raise ImageError(f"a {ndim}D network needs the axes {spatial} in this order; the image has '{axes}'")
    if 0 in shape:
        raise ImageError(f"choose an image with pixels; this one has shape {shape}")
