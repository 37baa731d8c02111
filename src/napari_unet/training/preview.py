"""A look at augmented patches: what the network is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_unet.training.batches import Batches, crop
from napari_unet.training.patches import PatchPlan


@dataclass(frozen=True, slots=True)
class Preview:
    """Augmented patches, as numpy arrays.

    Attributes
    ----------
    images : ndarray
        float32 ``(N, C, *shape)``, normalised: 0 to 1 are the percentiles of the whole image.
    targets : ndarray
        int16 ``(N, *shape)``, class indices, -1 = not annotated.
    weights : ndarray
        float32 ``(N, *shape)``, what each pixel counts; 0 where nothing is annotated.
    """

    images: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int16]
    weights: npt.NDArray[np.float32]


def preview(batches: Batches, plan: PatchPlan, count: int = 6, seed: int = 0) -> Preview:
    """Patches as the network would get them in one step.

    Parameters
    ----------
    batches : Batches
        Images, strokes, augmentation.
    plan : PatchPlan
        Size of a patch.
    count : int
        Patches.
    seed : int
        Of all random choices: the same gives the same patches.

    Returns
    -------
    Preview

    Raises
    ------
    AnnotationError
        When there are no strokes yet.
    """
    batch = batches.make(replace(plan, batch=count), seed)
    targets = batch.targets.cpu().numpy().astype(np.int16)
    images = [crop(channel, plan.geometry.margin).cpu().numpy() for channel in batch.images.unbind(1)]
    weights = np.where(targets >= 0, batch.weights.cpu().numpy(), np.float32(0))
    return Preview(np.stack(images, axis=1), targets, weights)
