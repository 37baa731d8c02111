"""Single objects from classes or probabilities.

Every step is either local, with a reach in pixels, or is settled on the graph of `seams`: the objects of an image do
not depend on how it was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import label

from napari_unet.config import InstanceConfig
from napari_unet.data.source import ArrayLike
from napari_unet.prediction.growth import grow
from napari_unet.prediction.outputs import labels_of, smallest_type
from napari_unet.prediction.seams import BACKGROUND, FOREGROUND, LINK_SHIFT, Box, ObjectTable, object_table

#: Steps that a seed grows back over a boundary.
BOUNDARY_REACH = 8
#: A Gaussian is cut off after this many standard deviations.
TRUNCATE = 3.0


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of each pixel before objects are told apart.

    Attributes
    ----------
    classes : ndarray of uint8
        In the strokes' values; 1 and below is background.
    seeds : ndarray of bool or None
        Where objects are apart; the rest of the foreground is grown into. None: everywhere.
    """

    classes: npt.NDArray[np.uint8]
    seeds: npt.NDArray[np.bool_] | None = None

    def cut(self, box: Box) -> Marks:
        """A part of the image."""
        return Marks(self.classes[box], None if self.seeds is None else self.seeds[box])


def reach(config: InstanceConfig, *, boundary: bool = False) -> int:
    """Pixels on each side that the marks and the growth of a pixel depend on; the rest is settled on the graph."""
    smooth = int(TRUNCATE * config.smoothing + 0.5)
    return smooth + ceil(config.split) + _steps(config, boundary) + 1


def marks_of(found: npt.NDArray[Any], config: InstanceConfig, *, boundary: bool = False) -> Marks:
    """Classes and seeds.

    Parameters
    ----------
    found : ndarray
        Classes ``(*spatial,)`` in the strokes' values, or probabilities ``(K, *spatial)`` in floating point.
    config : InstanceConfig
        Smoothing needs probabilities.
    boundary : bool
        Whether the last of three probabilities is that of the boundaries.
    """
    if found.dtype.kind != "f":
        classes, seeds = found, None
    else:
        smoothed = _smoothed(found, config.smoothing)
        classes = labels_of(_with_boundary(smoothed) if boundary else smoothed)
        seeds = smoothed.argmax(0) == 1 if boundary else None
    if config.split:
        cores = _cores(classes, config.split)
        seeds = cores if seeds is None else seeds & cores
    return Marks(classes, seeds)


def _smoothed(probabilities: npt.NDArray[Any], sigma: float) -> npt.NDArray[Any]:
    if not sigma:
        return probabilities
    return np.stack(
        [ndimage.gaussian_filter(plane, sigma, mode="mirror", truncate=TRUNCATE) for plane in probabilities]
    )


def _with_boundary(probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Background, and interior and boundary together."""
    return np.stack([probabilities[0], probabilities[1] + probabilities[2]])


def _cores(classes: npt.NDArray[Any], radius: float) -> npt.NDArray[np.bool_]:
    """Pixels further than `radius` from every other class."""
    cores = np.zeros(classes.shape, bool)
    for value in np.unique(classes[classes >= FOREGROUND]):
        mask: npt.NDArray[np.bool_] = classes == value
        if mask.all():  # nothing to be far from
            return mask
        cores |= ndimage.distance_transform_edt(mask) > radius
    return cores


def _steps(config: InstanceConfig, boundary: bool) -> int:
    """How far seeds grow."""
    return BOUNDARY_REACH * boundary + 2 * ceil(config.split)


def pieces_of(
    marks: Marks, config: InstanceConfig, unit: Box | None = None, *, boundary: bool = False
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int16]]:
    """Label one unit by itself, for `seams.object_table` with ``linked=True``.

    Parameters
    ----------
    marks : Marks
        Of the unit and, where the image goes on, of at least one pixel and the steps of growth around it.
    config : InstanceConfig
        What to do.
    unit : tuple of slice, optional
        Where in `marks` the unit lies; by default they are the same.
    boundary : bool
        As for `marks_of`.

    Returns
    -------
    pieces : ndarray of uint32
        Shape of the unit: number and links.
    kinds : ndarray of int16
        Of each piece.
    """
    unit = unit or tuple(slice(0, n) for n in marks.classes.shape)
    classes = np.where(marks.classes >= FOREGROUND, marks.classes, BACKGROUND).astype(np.int16)
    seeds = (classes >= FOREGROUND) if marks.seeds is None else marks.seeds & (classes >= FOREGROUND)
    growth = grow(classes, seeds, _steps(config, boundary))
    kinds = np.where(seeds | (growth.parents > 0), classes, -classes)
    kinds[classes == BACKGROUND] = BACKGROUND
    numbers = np.zeros(classes.shape, np.uint32)
    whole = label(np.where(seeds, classes, 0)[unit], connectivity=1)  # type: ignore[no-untyped-call]
    numbers[unit] = whole
    count = growth.spread(numbers, unit, int(whole.max(initial=0)))
    rest = np.where(kinds < 0, classes, 0)[unit] if marks.seeds is not None else np.zeros((1,) * classes.ndim, np.int16)
    if config.fill_holes:
        rest = rest + (classes == BACKGROUND)[unit]
    if rest.any():
        others = label(rest, connectivity=1)  # type: ignore[no-untyped-call]
        numbers[unit] += np.where(others > 0, others + count, 0).astype(np.uint32)
        count += int(others.max())
    found = numbers[unit]
    table = np.zeros(count + 1, np.int16)
    table[found] = kinds[unit]
    _link(found, kinds, growth.parents, seeds, unit)
    return found, table[1:]


def _link(
    numbers: npt.NDArray[np.uint32],
    kinds: npt.NDArray[np.int16],
    parents: npt.NDArray[np.uint8],
    seeds: npt.NDArray[np.bool_],
    unit: Box,
) -> None:
    """Set the bits of the pixels on the far faces of a unit that are joined to the pixel behind."""
    for axis, part in enumerate(unit):
        if part.stop >= kinds.shape[axis]:
            continue
        last = tuple(slice(part.stop - 1, part.stop) if i == axis else other for i, other in enumerate(unit))
        behind = tuple(slice(part.stop, part.stop + 1) if i == axis else other for i, other in enumerate(unit))
        alike = kinds[last] == kinds[behind]
        apart = (kinds[last] >= FOREGROUND) & ~(seeds[last] & seeds[behind])
        grown = (parents[behind] == 2 * axis + 1) | (parents[last] == 2 * axis + 2)
        joined = (alike & (~apart | grown)).astype(np.uint32)
        face = (slice(None),) * axis + (slice(-1, None),)
        numbers[face] |= joined << np.uint32(LINK_SHIFT + axis)


def join(
    units: Sequence[Box], pieces: ArrayLike, kinds: Sequence[npt.ArrayLike], config: InstanceConfig
) -> ObjectTable:
    """Table of the objects that the pieces of all units make together; see `seams.object_table`."""
    return object_table(
        pieces,
        units,
        kinds,
        linked=True,
        min_size=config.min_size,
        max_size=config.max_size,
        fill_holes=config.fill_holes,
    )


def objects_of(marks: Marks, config: InstanceConfig, *, boundary: bool = False) -> tuple[npt.NDArray[np.uint32], int]:
    """Number the objects of one plane or volume 1..N by their first pixel in C order; and N.

    Parameters
    ----------
    marks, config, boundary
        As for `pieces_of`.
    """
    if marks.seeds is None and not config.fill_holes and not config.min_size and config.max_size is None:
        return connected(marks.classes)
    pieces, kinds = pieces_of(marks, config, boundary=boundary)
    unit = tuple(slice(0, n) for n in pieces.shape)
    table = join([unit], pieces, [kinds], config)
    return table.renumbered(0, pieces).astype(np.uint32), table.count


def instances(
    probabilities: npt.NDArray[Any], config: InstanceConfig | None = None, *, boundary: bool = False
) -> npt.NDArray[Any]:
    """Objects from the probabilities of one plane or volume; nothing is predicted again.

    Parameters
    ----------
    probabilities : ndarray
        Shape ``(K, *spatial)``, K = 1 for the foreground's alone.
    config : InstanceConfig, optional
        Smoothing, splitting, sizes.
    boundary : bool
        Whether the network knows boundaries (``ModelConfig.has_boundary``).

    Returns
    -------
    ndarray
        0 and 1..N, in the smallest unsigned type that holds N.

    Examples
    --------
    >>> foreground = np.array([[[0.9, 0.9, 0.2, 0.8, 0.1]]])
    >>> instances(foreground).tolist(), instances(foreground, InstanceConfig(min_size=2)).tolist()
    ([[1, 1, 0, 2, 0]], [[1, 1, 0, 0, 0]])
    """
    config = config or InstanceConfig()
    objects, count = objects_of(marks_of(probabilities, config, boundary=boundary), config, boundary=boundary)
    return objects.astype(smallest_type(count), copy=False)


def connected(labels: npt.NDArray[Any], first: int = 1) -> tuple[npt.NDArray[np.uint32], int]:
    """Number the connected pieces of one plane or volume.

    Parameters
    ----------
    labels : ndarray
        Class labels in the strokes' values: 0 and 1 are background. Pixels of one class that share a side (a face in
        3D) are one object; a diagonal gap of one pixel separates.
    first : int
        Number of the first object.

    Returns
    -------
    objects : ndarray of uint32
        0 and ``first``, ``first + 1``, ...
    count : int
        Number of objects.
    """
    pieces, count = label(np.where(labels > 1, labels, 0), connectivity=1, return_num=True)  # type: ignore[no-untyped-call]
    objects = pieces.astype(np.uint32)
    objects[objects > 0] += np.uint32(first - 1)
    return objects, int(count)
