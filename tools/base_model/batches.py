"""Batches of real and synthetic patches under changes of geometry, intensity and sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from napari_unet.config import AugmentConfig
from napari_unet.data.augment import Augmenter
from tools.base_model.appearances import render
from tools.base_model.images import Picture
from tools.base_model.shapes import Floats, Labels, random_labels
from tools.base_model.tasks import targets

GEOMETRY = AugmentConfig(scale=2.0, elastic=6.0, brightness=0, contrast=0, gamma=0, noise=0)
#: How often a real patch comes from a data set; one that is not there leaves its part to the others.
SHARES = {
    "dsb2018_stage1": 0.45,
    "usiigaci_t98g_phc": 0.25,
    "plantseg_3d": 0.15,
    "qcanet_mouse_embryo_3d": 0.05,
    "stardist_samples": 0.1,
}


class Batches:
    """Draws batches; the same seed and step give the same batch.

    Parameters
    ----------
    pictures : sequence of Picture
        Real images.
    size : int
        Edge of a patch, pixels.
    real, synthetic : int
        Patches of either kind in a batch.
    seed : int
        Seed of all choices.
    """

    def __init__(self, pictures: Sequence[Picture], size: int, real: int, synthetic: int, seed: int) -> None:
        self._pictures = {name: [p for p in pictures if p.source == name] for name in SHARES}
        present = {name: share for name, share in SHARES.items() if self._pictures[name]}
        self._names = list(present)
        self._shares = np.array(list(present.values())) / sum(present.values())
        self._size, self._real, self._synthetic, self._seed = size, real, synthetic, seed
        self._augmenter = Augmenter(GEOMETRY, ndim=2)

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Images ``(N, 1, size, size)`` and targets ``(N, 4, size, size)`` of a step."""
        rng = np.random.default_rng((self._seed, step))
        pairs = [*self._real_patches(rng), *(self._drawn_patch(rng) for _ in range(self._synthetic))]
        images = np.stack([change(rng, image) for image, _ in pairs])
        wanted = np.stack([targets(labels) for _, labels in pairs])
        return torch.from_numpy(images)[:, None], torch.from_numpy(wanted)

    def _drawn_patch(self, rng: np.random.Generator) -> tuple[Floats, Labels]:
        labels = random_labels(rng, self._size)
        image = render(rng, labels)
        low, high = np.percentile(image, (1, 99.8))
        return np.asarray((image - low) / max(high - low, 1e-3), np.float32), labels

    def _real_patches(self, rng: np.random.Generator) -> list[tuple[Floats, Labels]]:
        shape = (self._size, self._size)
        source = self._augmenter.source_shape(shape)
        crops = [self._crop(rng, source) for _ in range(self._real)]
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        images = torch.from_numpy(np.stack([image for image, _ in crops]))[:, None]
        labels = torch.from_numpy(np.stack([labels for _, labels in crops]))
        changes = self._augmenter.draw(self._real, generator)
        images, labels, _ = self._augmenter.apply(changes, images, labels, torch.ones(labels.shape), shape)
        kept = labels.clamp(min=0).numpy().astype(np.int32)
        return list(zip(images[:, 0].numpy(), kept, strict=True))

    def _crop(self, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Floats, Labels]:
        """Part of a random picture, mirrored where that is too small, its channels mixed to one."""
        known = self._pictures[self._names[rng.choice(len(self._names), p=self._shares)]]
        picture = known[rng.integers(len(known))]
        image = _mix(rng, picture.image)
        box = _box(rng, picture.labels, shape)
        image, labels = image[box], picture.labels[box]
        missing = [(0, s - n) for n, s in zip(image.shape, shape, strict=True)]
        padded = np.pad(labels, missing, mode="symmetric")
        return np.asarray(np.pad(image, missing, mode="symmetric"), np.float32), np.asarray(padded, np.int32)


def _box(rng: np.random.Generator, labels: Labels, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """A random part of an image; one without objects is seldom taken."""
    for _ in range(4):
        starts = [int(rng.integers(max(n - s, 0) + 1)) for n, s in zip(labels.shape, shape, strict=True)]
        box = tuple(slice(a, a + s) for a, s in zip(starts, shape, strict=True))
        if labels[box].any():
            break
    return box


def _mix(rng: np.random.Generator, channels: npt.NDArray[np.float32]) -> Floats:
    """One grey image of the channels, with random weights."""
    if len(channels) == 1:
        return np.asarray(channels[0], np.float32)
    return np.asarray(np.tensordot(rng.dirichlet(np.ones(len(channels))), channels, 1), np.float32)


def change(rng: np.random.Generator, image: Floats) -> Floats:
    """Draw gamma, contrast, brightness, blur, noise and sign of an image whose values lie about 0 to 1."""
    if rng.random() < 0.5:
        image = np.asarray(np.sign(image) * np.abs(image) ** np.exp(rng.normal(0, 0.35)), np.float32)
    if rng.random() < 0.25:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.5))
    image = np.asarray((image - 0.5) * np.exp(rng.normal(0, 0.3)) + 0.5 + rng.normal(0, 0.12), np.float32)
    if rng.random() < 0.6:
        image = np.asarray(image + rng.normal(0, rng.uniform(0, 0.1), image.shape), np.float32)
    return np.asarray(1 - image if rng.random() < 0.4 else image, np.float32)
