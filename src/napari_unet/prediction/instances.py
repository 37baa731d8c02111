"""Single objects from class labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.measure import label

from napari_unet.data.source import ImageSource
from napari_unet.prediction.outputs import smallest_type


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


def label_objects(labels: npt.NDArray[Any], source: ImageSource) -> npt.NDArray[Any]:
    """Number the objects of a label image, each with a number of its own.

    Parameters
    ----------
    labels : ndarray
        Class labels of ``source.label_shape`` in the strokes' values.
    source : ImageSource
        The image they are of. Along its leading axes (time; z for a 2D network) objects are not connected.

    Returns
    -------
    ndarray
        0 and 1..N, in the smallest unsigned type that holds N.

    Examples
    --------
    >>> source = ImageSource(np.zeros((2, 1, 5)), "TYX", ndim=2)
    >>> label_objects(np.array([[[1, 2, 2, 1, 2]], [[2, 1, 1, 1, 1]]]), source).tolist()
    [[[0, 1, 1, 0, 2]], [[3, 0, 0, 0, 0]]]
    """
    objects = np.zeros(source.label_shape, np.uint32)
    total = 0
    whole = [slice(0, size) for size in source.spatial]
    for lead in source.planes():
        index = source.label_index(lead, whole)
        objects[index], count = connected(np.asarray(labels[index]), total + 1)
        total += count
    return objects.astype(smallest_type(total), copy=False)
