"""What the network is shown in training, small enough to be sent to a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_unet.session.commands import Preview
from napari_unet.session.messages import Previewed
from napari_unet.training.loop import Trainer


def look(trainer: Trainer, command: Preview) -> Previewed:
    """Augmented patches with what is told about them; of a volume the plane with most annotated voxels.

    Raises
    ------
    AnnotationError
        When there are no strokes yet.
    """
    found = trainer.preview(command.count, command.seed, command.config)
    targets, images, weights = found.targets, found.images, found.weights
    if targets.ndim == 4:
        planes = (targets >= 0).sum((2, 3)).argmax(1)
        targets, weights = _planes(targets, planes), _planes(weights, planes)
        images = _planes(np.moveaxis(images, 2, 1), planes)
    shown = (np.clip(images, 0, 1) * 255).astype(np.uint8)
    return Previewed(command.request, shown, targets, weights)


def _planes(stack: npt.NDArray[Any], planes: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    return stack[np.arange(len(stack)), planes]
