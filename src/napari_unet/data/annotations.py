"""What strokes mean: 0 = not annotated, 1 = background, 2 and up = classes, or single objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_unet.config import ModelConfig
from napari_unet.errors import AnnotationError

#: Target of a pixel that is not annotated: no loss, no influence.
IGNORE = -1
#: Above any object's value, and exact in the double precision that filters compute in.
TOP = 2**53

Strokes = npt.NDArray[Any]
Targets = npt.NDArray[np.int16]


def class_count(config: ModelConfig) -> int:
    """Number of target classes: a network with a single (sigmoid) output still tells two apart."""
    return max(len(config.outputs), 2)


def class_names(config: ModelConfig) -> tuple[str, ...]:
    """One name per target class, background first."""
    return config.outputs if len(config.outputs) > 1 else ("background", *config.outputs)


def import_mask(mask: npt.ArrayLike, ignore: int | None = None) -> Strokes:
    """Strokes of a dense mask: its 0 becomes background (1), its n becomes n + 1; all but `ignore` is annotated.

    Parameters
    ----------
    mask : array-like of int or bool
        0 = background, n = class or object n.
    ignore : int, optional
        Value of the mask for "not known", often 255; it becomes 0, not annotated.

    Returns
    -------
    ndarray
        Strokes of the same shape, in the smallest unsigned type that holds them.

    Raises
    ------
    AnnotationError
        When the mask is not made of integers of 0 and up.

    Examples
    --------
    >>> import_mask(np.array([0, 1, 255], dtype=np.uint8))
    array([  1,   2, 256], dtype=uint16)
    >>> import_mask(np.array([0, 1, 255], dtype=np.uint8), ignore=255)
    array([1, 2, 0], dtype=uint8)
    """
    array = check_values(np.asarray(mask), "mask")
    known = np.ones(array.shape, bool) if ignore is None else array != ignore
    dtype = np.min_scalar_type(int(array.max(initial=0, where=known)) + 1)
    strokes: Strokes = np.where(known, array, 0).astype(dtype)
    strokes += known.astype(dtype)
    return strokes


def check_values(strokes: Strokes, name: str = "strokes") -> Strokes:
    """The strokes, if they are integers of 0 and up.

    Raises
    ------
    AnnotationError
        When they are not.
    """
    if strokes.dtype.kind not in "bui":
        raise AnnotationError(f"give the {name} as integers, not as {strokes.dtype}")
    if strokes.dtype.kind == "i" and strokes.size and strokes.min() < 0:
        raise AnnotationError(f"give the {name} values of 0 and up; the smallest is {strokes.min()}")
    if strokes.dtype.kind == "u" and strokes.dtype.itemsize == 8 and strokes.max(initial=0) >= 2**63 - 1:
        raise AnnotationError(f"give the {name} values below 2^63; the largest is {strokes.max()}")
    return strokes.astype(np.uint8) if strokes.dtype.kind == "b" else strokes


def check_classes(top: int, config: ModelConfig) -> None:
    """Raise `AnnotationError` when the largest stroke value `top` has no class in a semantic task."""
    count = class_count(config)
    if config.task == "semantic" and top > count:
        raise AnnotationError(
            f"add a class to the model or repaint: strokes use the value {top}, and with {count} classes the "
            f"largest is {count} ({class_names(config)[-1]})"
        )


def check_annotated(counts: Mapping[str, int]) -> None:
    """Raise `AnnotationError` when the strokes cannot teach anything yet.

    Parameters
    ----------
    counts : dict of str to int
        Annotated pixels per class, background first.
    """
    painted = [name for name, count in counts.items() if count]
    background = next(iter(counts))
    if not painted:
        raise AnnotationError(
            f"paint strokes on at least two classes first, for example {' and '.join(list(counts)[:2])}"
        )
    if painted == [background]:
        raise AnnotationError(f"paint a little {list(counts)[1]} too: so far only {background} is painted")
    if len(painted) == 1:
        raise AnnotationError(f"paint a little {background} too (value 1): so far only {painted[0]} is painted")


def targets_of(
    strokes: Strokes, task: str, instance_target: str = "foreground", steps: Sequence[float] | None = None
) -> Targets:
    """Class index of every pixel, `IGNORE` where nothing is annotated.

    Parameters
    ----------
    strokes : ndarray of int
        Stroke values.
    task : {"semantic", "instances"}
        Whether values of 2 and up are classes, or objects of one class.
    instance_target : {"foreground", "boundary"}
        For instances: ``foreground`` has two classes, 0 = background and 1 = object, and forces a line of background
        between objects that touch (Ronneberger et al. 2015), or they could not be told apart. ``boundary`` has three,
        0 = background, 1 = interior and 2 = boundary (as in Caicedo et al. 2019, Cytometry A 95); an object is its
        interior and its boundary together, see `rims`.
    steps : sequence of float, optional
        Pixel size along each axis, for `rims`.

    Returns
    -------
    ndarray
        int16, same shape.

    Examples
    --------
    >>> targets_of(np.array([0, 1, 2, 2, 7, 7]), "instances")
    array([-1,  0,  1,  0,  1,  1], dtype=int16)
    >>> targets_of(np.array([0, 1, 2, 2, 2, 7, 7]), "instances", "boundary")
    array([-1,  0,  2,  1,  2,  2,  1], dtype=int16)
    """
    if task == "semantic":
        return strokes.astype(np.int16) - np.int16(1)
    targets = np.minimum(strokes, 2).astype(np.int16) - np.int16(1)
    if instance_target == "boundary":
        targets[rims(strokes, steps)] = 2
    else:
        targets[gaps(strokes)] = 0
    return targets


def gaps(strokes: Strokes) -> npt.NDArray[np.bool_]:
    """Object pixels that touch, also diagonally, an object of a larger value."""
    objects = objects_of(strokes, "instances")
    if not objects.any():
        return np.zeros(strokes.shape, bool)
    largest: Strokes = ndimage.maximum_filter(objects, size=3, mode="constant", cval=0)
    return (objects > 0) & (largest > objects)


def rims(strokes: Strokes, steps: Sequence[float] | None = None) -> npt.NDArray[np.bool_]:
    """Object pixels next to background or another object, also diagonally: one pixel wide, inside the objects.

    Next to a pixel that is not annotated an object goes on: a stroke inside an object paints its interior. Along an
    axis of pixels twice as large as the smallest, only other objects make a rim, not background: else the caps of flat
    objects would be nothing but boundary.

    Parameters
    ----------
    strokes : ndarray of int
        Stroke values, 1 = background, 2 and up = objects.
    steps : sequence of float, optional
        Pixel size along each axis; all alike by default.

    Returns
    -------
    ndarray of bool
        Same shape.
    """
    objects = objects_of(strokes, "instances").astype(np.int64)
    if not objects.any():
        return np.zeros(strokes.shape, bool)
    near = [1 if step >= 2 * min(steps) else 3 for step in steps] if steps is not None else 3
    largest: Strokes = ndimage.maximum_filter(objects, size=3, mode="constant", cval=0)
    smallest: Strokes = ndimage.minimum_filter(np.where(objects > 0, objects, TOP), size=3, mode="constant", cval=TOP)
    background = ndimage.maximum_filter(strokes == 1, size=near, mode="constant", cval=False)
    rim: npt.NDArray[np.bool_] = (objects > 0) & ((largest > objects) | (smallest < objects) | background)
    return rim


def objects_of(strokes: Strokes, task: str) -> Strokes:
    """Objects of strokes, 0 elsewhere: the values themselves, or connected pieces of one class."""
    painted = np.where(strokes > 1, strokes, strokes.dtype.type(0))
    if task == "instances":
        return painted
    pieces = np.zeros(strokes.shape, np.int32)
    total = 0
    for value in np.unique(painted[painted > 0]):
        found, count = ndimage.label(painted == value, structure=np.ones((3,) * strokes.ndim))
        pieces += np.where(found > 0, found + total, 0).astype(np.int32)
        total += count
    return pieces


def overlap(index: Sequence[int | slice], box: Sequence[tuple[int, int]]) -> tuple[slice, ...] | None:
    """The part of the block at `index` (one int or slice per axis) inside `box`, in the block's own coordinates."""
    local = []
    for place, (start, stop) in zip(index, box, strict=True):
        if isinstance(place, slice):
            local.append(slice(max(start - place.start, 0), min(stop, place.stop) - place.start))
            if local[-1].start >= local[-1].stop:
                return None
        elif not start <= place < stop:
            return None
    return tuple(local)
