"""From logits to what the user gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from napari_unet.config import PredictConfig
from napari_unet.prediction.ensemble import entropy


def to_labels(logits: Tensor) -> npt.NDArray[np.uint8]:
    """Most probable class of every pixel in the strokes' values: 1 = background, 2, 3, ... = classes.

    Parameters
    ----------
    logits : Tensor
        Shape ``(K, *spatial)``. With K = 1, a logit above 0 (probability above 0.5) is class 2.

    Returns
    -------
    ndarray
        uint8, shape ``(*spatial,)``. Equal logits give the first of the classes.
    """
    if len(logits) == 1:
        found = logits[0] > 0
    elif len(logits) == 2:
        found = logits[1] > logits[0]
    else:
        found = logits.argmax(0)
    return found.to(torch.uint8).add_(1).cpu().numpy()


def labels_of(probabilities: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """`to_labels` of probabilities ``(K, *spatial)``; of one plane, those above 0.5 are class 2."""
    if len(probabilities) == 1:
        found = probabilities[0] > 0.5
    elif len(probabilities) == 2:
        found = probabilities[1] > probabilities[0]
    else:
        found = probabilities.argmax(0)
    labels: npt.NDArray[np.uint8] = found.astype(np.uint8) + np.uint8(1)
    return labels


def to_whole(logits: Tensor) -> npt.NDArray[np.uint8]:
    """`to_labels` of a network that knows boundaries: 2 where interior and boundary together outweigh background.

    Parameters
    ----------
    logits : Tensor
        Shape ``(3, *spatial)``: background, interior, boundary.
    """
    return to_labels(torch.stack([logits[0].float(), torch.logaddexp(logits[1].float(), logits[2].float())]))


def to_probabilities(logits: Tensor) -> npt.NDArray[np.float32]:
    """Softmax over the classes; with K = 1 the sigmoid, one plane: the probability of the foreground.

    Returns
    -------
    ndarray
        float32, shape ``(K, *spatial)``.
    """
    logits = logits.float()
    found = logits.sigmoid() if len(logits) == 1 else logits.softmax(0)
    return found.cpu().contiguous().numpy()


def to_entropy(logits: Tensor) -> npt.NDArray[np.float32]:
    """Entropy of the probabilities over its largest value: 0 = sure, 1 = all classes alike; ``(*spatial,)``."""
    logits = logits.float()
    chances = logits.sigmoid() if len(logits) == 1 else logits.softmax(0)
    return entropy(chances[None])[0, 0].cpu().contiguous().numpy()


def to_last(logits: Tensor) -> npt.NDArray[np.float32]:
    """The last channel: the disagreement of an ensemble."""
    return logits[-1].float().cpu().contiguous().numpy()


def as_wanted(result: npt.NDArray[Any], config: PredictConfig) -> npt.NDArray[Any]:
    """Labels with background as 0, and probabilities as float16, where the user asked for that."""
    if config.half and config.output in ("probabilities", "uncertainty"):
        return result.astype(np.float16)
    return result - 1 if config.background_zero and config.output == "labels" else result


def smallest_type(largest: int) -> np.dtype[Any]:
    """Smallest unsigned integer type that holds `largest`.

    Examples
    --------
    >>> smallest_type(255), smallest_type(256)
    (dtype('uint8'), dtype('uint16'))
    """
    return np.min_scalar_type(largest)
