"""How good a segmentation is: one function, all the scores of the field."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.config import Task
from napari_unet.errors import ImageError
from napari_unet.training.tally import THRESHOLDS, Tally, add, compare, tally


def score(
    prediction: npt.ArrayLike | Sequence[npt.ArrayLike],
    truth: npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    task: Task = "semantic",
    prediction_background: int = 0,
    truth_background: int = 0,
    void: int | None = None,
    classes: Sequence[str] | None = None,
    tolerance: float = 2.0,
) -> dict[str, Any]:
    """Compare a label image, or a list of them, with the truth.

    Parameters
    ----------
    prediction, truth : array-like of int or bool, or list of them
        Label images of one shape, ``(Y, X)`` or ``(Z, Y, X)``; lists are pooled. Values above the background count.
    task : {"semantic", "instances"}
        What the values are: classes, whose connected pieces (over sides) are the objects; or single objects.
    prediction_background, truth_background : int
        Value of the background: 0 usually; 1 for what a model predicts as ``labels``, and for strokes. Lower values
        are background in the prediction and void in the truth, so that pixels without a stroke are ignored.
    void : int, optional
        One more value of the truth whose pixels are ignored.
    classes : sequence of str, optional
        Names of the classes, background first, for ``per_class``; by default numbers.
    tolerance : float
        Distance at which boundaries agree, pixels.

    Returns
    -------
    dict
        ``iou``, ``dice``, ``precision``, ``recall`` of the foreground pixels (mean of the foreground classes that
        occur, each of them in ``per_class``); ``pixel_error``; ``boundary_f1``; ``ap50`` and ``ap`` (mean over IoU
        0.5 to 0.95 of TP / (TP + FP + FN), Everingham et al. 2010 as in the Data Science Bowl 2018);
        ``panoptic_quality`` (Kirillov et al. 2019); ``rand_error`` (adapted Rand error over the truth's foreground,
        Arganda-Carreras et al. 2015); ``voi_split`` and ``voi_merge`` (variation of information in bits, Meila
        2003; background is a segment); ``warping_error`` (Jain et al. 2010, plane by plane); ``true_objects`` and
        ``predicted_objects``. All are 0 to 1 except the last four; where there is nothing to find and nothing was
        found, the prediction is perfect. For lists also ``images``: the same for each image.

    Raises
    ------
    ImageError
        When the shapes differ, or the values are no whole numbers.

    Examples
    --------
    >>> truth = np.zeros((8, 8), int); truth[:4, :4] = 1
    >>> prediction = np.zeros((8, 8), int); prediction[:4, :3] = 1
    >>> scores = score(prediction, truth)
    >>> scores["iou"], scores["precision"], scores["recall"], scores["ap50"]
    (0.75, 1.0, 0.75, 1.0)
    """
    several = isinstance(prediction, list | tuple)
    backgrounds = prediction_background, truth_background
    tallies = [tally(compare(p, t, task, backgrounds, void), tolerance) for p, t in _pairs(prediction, truth, several)]
    images = {"images": [_scores(one, classes) for one in tallies]} if several else {}
    return _scores(reduce(add, tallies), classes) | images


def _pairs(prediction: Any, truth: Any, several: bool) -> list[tuple[npt.ArrayLike, npt.ArrayLike]]:
    """Each prediction with its truth."""
    if not several:
        return [(prediction, truth)]
    if len(prediction) != len(truth) or len(prediction) == 0:
        raise ImageError(f"give one truth for each prediction: there are {len(truth)} for {len(prediction)}")
    return list(zip(prediction, truth, strict=True))


def _scores(sums: Tally, names: Sequence[str] | None) -> dict[str, Any]:
    """The scores that the sums give."""
    per_class = _per_class(sums, names)
    means = {
        key: float(np.mean([scores[key] for scores in per_class.values()])) if per_class else 1.0
        for key in ("iou", "dice", "precision", "recall")
    }
    precisions = [_average_precision(sums, limit) for limit in THRESHOLDS]
    objects = sums["predicted objects"] + sums["true objects"]
    return {
        **means,
        "pixel_error": 1 - _ratio(sums["pixels"] - sums["wrong"], sums["pixels"]),
        "boundary_f1": _boundary_f1(sums),
        "ap50": precisions[0],
        "ap": float(np.mean(precisions)),
        "panoptic_quality": _ratio(2 * sums["shared"], objects),
        "rand_error": 1 - _ratio(2 * sums["pairs"], sums["predicted pairs"] + sums["true pairs"]),
        "warping_error": 1 - _ratio(sums["pixels"] - sums["warped"], sums["pixels"]),
        "voi_split": sums["split"] / max(sums["pixels"], 1),
        "voi_merge": sums["merge"] / max(sums["pixels"], 1),
        "true_objects": int(sums["true objects"]),
        "predicted_objects": int(sums["predicted objects"]),
        "per_class": per_class,
    }


def _per_class(sums: Tally, names: Sequence[str] | None) -> dict[str, dict[str, float]]:
    """Pixel scores of each foreground class that occurs."""
    values = {int(key.split()[1]) for key in sums if key.startswith(("predicted ", "true ")) and key[-1].isdigit()}
    found = {}
    for value in sorted(values - {0}):
        name = names[value] if names is not None and value < len(names) else str(value)
        common, predicted, true = (sums.get(f"{part} {value}", 0) for part in ("common", "predicted", "true"))
        found[name] = {
            "iou": _ratio(common, predicted + true - common),
            "dice": _ratio(2 * common, predicted + true),
            "precision": common / predicted if predicted else 0.0,
            "recall": common / true if true else 0.0,
        }
    return found


def _average_precision(sums: Tally, limit: float) -> float:
    matched = sums[f"matched {limit}"]
    return _ratio(matched, sums["predicted objects"] + sums["true objects"] - matched)


def _boundary_f1(sums: Tally) -> float:
    """Harmonic mean of the parts of both boundaries that are near the other one."""
    if not sums["predicted boundary"] or not sums["true boundary"]:
        return float(sums["predicted boundary"] == sums["true boundary"])
    precision = sums["predicted boundary hit"] / sums["predicted boundary"]
    recall = sums["true boundary hit"] / sums["true boundary"]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _ratio(part: float, whole: float) -> float:
    """1 where there is nothing to find and nothing was found."""
    return float(part / whole) if whole else 1.0
