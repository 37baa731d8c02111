"""Batches of one training step: sampled, augmented, weighted, on the training device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.annotations import class_count
from napari_unet.data.augment import Augmenter
from napari_unet.data.sampler import Sampler, Spot
from napari_unet.training.losses import patch_losses
from napari_unet.training.patches import PatchPlan
from napari_unet.training.start import memory_format
from napari_unet.training.weights import pixel_weights


@dataclass(frozen=True, slots=True)
class Batch:
    """What the network learns from at once.

    Attributes
    ----------
    images : Tensor
        float32 ``(N, C, *shape)``, channels-last.
    targets : Tensor
        int64 ``(N, *kept)``, -1 = ignore.
    weights : Tensor
        float32 ``(N, *kept)``.
    spots : tuple of Spot
        What the patches were drawn around.
    """

    images: Tensor
    targets: Tensor
    weights: Tensor
    spots: tuple[Spot, ...]


class Batches:
    """Makes batches, each from its seed alone.

    Parameters
    ----------
    sampler : Sampler
        Images and strokes.
    model : ModelConfig
        The network.
    config : TrainConfig
        Augmentation and weights.
    device : torch.device
        Where the augmentation runs, and the batch is wanted.
    """

    def __init__(self, sampler: Sampler, model: ModelConfig, config: TrainConfig, device: torch.device) -> None:
        self._sampler = sampler
        self._model = model
        self._config = config
        self._device = device
        self._augmenter = Augmenter(config.augment, model.ndim, model.spacing)

    @torch.no_grad()
    def make(self, plan: PatchPlan, seed: int) -> Batch:
        """The batch of a seed, from the strokes as they are now."""
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        spots = self._sampler.draw(rng, plan.batch, self._config.sampling)
        source = self._augmenter.source_shape(plan.shape)
        starts = [self._sampler.start(rng, spot, source, plan.kept) for spot in spots]
        batch = self._sampler.read(spots, starts, source)
        images, targets, boundary = (
            torch.from_numpy(array).to(self._device) for array in (batch.images, batch.targets, batch.boundary)
        )
        if self._config.augment.enabled:
            changes = self._augmenter.draw(plan.batch, generator)
            images, targets, boundary = self._augmenter.apply(changes, images, targets, boundary, plan.shape)
        targets, boundary = (crop(tensor, plan.geometry.margin) for tensor in (targets.long(), boundary))
        return Batch(
            images.contiguous(memory_format=memory_format(self._model.ndim)),
            targets,
            pixel_weights(targets, boundary, class_count(self._model), self._config.loss.boundary),
            tuple(spots),
        )

    def learnt(self, batch: Batch, logits: Tensor) -> None:
        """Let the sampler know how hard each patch was; `logits` are the network's main output."""
        losses = patch_losses(logits, batch.targets).tolist() if self._config.sampling.hard > 0 else ()
        self._sampler.learnt(batch.spots if losses else (), losses)


def crop(tensor: Tensor, margin: Sequence[int]) -> Tensor:
    """Without `margin` pixels at each side of the spatial axes."""
    return tensor[(slice(None), *(slice(m, n - m) for m, n in zip(margin, tensor.shape[1:], strict=True)))]
