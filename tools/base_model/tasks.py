"""What the base network learns at once, so that its features serve classes that nobody has named yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.base_model.appearances import borders, contacts, depth
from tools.base_model.shapes import Labels

#: Weight of each task in the loss: inside an object, on its border, between two objects, how deep inside.
WEIGHTS = (1.0, 1.0, 0.5, 1.0)


def targets(labels: Labels) -> npt.NDArray[np.float32]:
    """Targets of a label image.

    Parameters
    ----------
    labels : ndarray of int32, shape (Y, X)
        0 = background, 1.. = objects.

    Returns
    -------
    ndarray of float32, shape (4, Y, X)
        One plane per task of `napari_unet.networks.base.TASKS`, 0 to 1.
    """
    planes = (labels > 0, borders(labels), contacts(labels), depth(labels))
    return np.stack([np.asarray(plane, np.float32) for plane in planes])


def loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of every task, and the Dice loss of the first three.

    Parameters
    ----------
    logits, wanted : Tensor
        Shape ``(N, 4, Y, X)``.

    Returns
    -------
    Tensor
        A scalar.
    """
    weights = torch.tensor(WEIGHTS, device=logits.device)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((0, 2, 3))
    p, t = logits[:, :3].sigmoid(), wanted[:, :3]
    dice = 1 - (2 * (p * t).sum((0, 2, 3)) + 1) / (p.sum((0, 2, 3)) + t.sum((0, 2, 3)) + 1)
    return (weights * entropy).sum() + (weights[:3] * dice).sum()
