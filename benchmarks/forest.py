"""The rival: a random forest on multiscale features, as in ilastik, Labkit and Convpaint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from napari_unet.config import NormalizationConfig
from napari_unet.data.normalize import fit_normalizer
from napari_unet.data.source import ImageSource


class Forest:
    """100 trees on `skimage.feature.multiscale_basic_features`, with the network's normalisation of the image."""

    def __init__(self, seed: int = 0, threads: int = 2) -> None:
        self._trees = RandomForestClassifier(n_estimators=100, random_state=seed, n_jobs=threads)

    def fit(self, images: Sequence[npt.NDArray[np.generic]], strokes: Sequence[npt.NDArray[np.uint8]]) -> None:
        """Learn from the painted pixels."""
        pairs = [
            (features(image)[painted > 0], painted[painted > 0]) for image, painted in zip(images, strokes, strict=True)
        ]
        self._trees.fit(np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]))

    def predict(self, image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Strokes' value of each pixel: 1 = background, 2 = object."""
        columns = features(image)
        return self._trees.predict(columns.reshape(-1, columns.shape[-1])).reshape(image.shape)


def features(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Intensity, edges and texture at sigma 0.5 to 16 (8 in a volume), shape ``(*image.shape, features)``."""
    source = ImageSource(image, "ZYX"[-image.ndim :], image.ndim)
    normalized = fit_normalizer(source, NormalizationConfig())(image[np.newaxis])[0]
    return multiscale_basic_features(normalized, sigma_min=0.5, sigma_max=16 if image.ndim == 2 else 8)
