"""How good a prediction is, by a mask of known meaning."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.prediction.instances import connected
from napari_unet.session.arrays import close_array, open_array
from napari_unet.session.commands import Compare, Meaning
from napari_unet.training.metrics import score


def compare_with(
    prediction: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    meaning: Meaning,
    *,
    classes: Sequence[str] = (),
    ndim: int = 2,
) -> dict[str, Any]:
    """Score predicted classes against a mask.

    Parameters
    ----------
    prediction : ndarray of int
        1 = background, 2, 3, ... = classes; 0 where nothing was predicted, which is left out.
    truth : ndarray of int
        Of the same shape.
    meaning : {"objects", "classes", "strokes"}
        ``objects``: 0 is background, every other value one object, to be compared with the connected pieces of the
        prediction's foreground. ``classes``: 0 is background, 1 the first class. ``strokes``: 0 is not known and left
        out, 1 background, 2 the first class.
    classes : sequence of str
        Names, background first.
    ndim : int
        Number of spatial axes, the last ones; the planes (or volumes) before them are pooled.

    Returns
    -------
    dict
        As from `napari_unet.score`, and ``compared``, the part of the pixels that could be compared.

    Examples
    --------
    >>> truth = np.zeros((8, 8), int); truth[2:6, 2:6] = 7
    >>> compare_with(np.where(truth, 2, 1), truth, "objects")["ap50"]
    1.0
    """
    void = 0 if meaning == "strokes" else -1
    known = np.where(prediction > 0, truth.astype(np.int64), void)
    leads = list(product(*(range(size) for size in truth.shape[:-ndim])))
    predictions, truths = [np.asarray(prediction[lead]) for lead in leads], [known[lead] for lead in leads]
    part = {"compared": float((known > void).mean())}
    if meaning == "objects":
        return score([connected(plane)[0] for plane in predictions], truths, task="instances") | part
    scores = score(
        predictions, truths, prediction_background=1, truth_background=void + 1, classes=list(classes) or None
    )
    return scores | part


def compare(command: Compare) -> dict[str, Any]:
    """The scores that `command` asks for."""
    (prediction, mine), (truth, theirs) = open_array(command.prediction), open_array(command.truth)
    try:
        return compare_with(prediction, truth, command.meaning, classes=command.classes, ndim=command.ndim)
    finally:
        del prediction, truth
        close_array(mine)
        close_array(theirs)
