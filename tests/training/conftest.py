"""A small training on a small image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.training.loop import Trainer


@pytest.fixture
def make_trainer() -> Callable[..., Trainer]:
    """A trainer with one image of bright blobs and sparse strokes on them; `start` gives weights and step."""

    def make(model: ModelConfig | None = None, shape=(72, 80), start=None, **changes) -> Trainer:
        rng = np.random.default_rng(0)
        smooth = ndimage.gaussian_filter(rng.random(shape), 4)
        truth = smooth > np.quantile(smooth, 0.7)
        image = (truth * 100 + rng.normal(50, 25, shape)).astype(np.float32)
        settings = {"steps": 3, "patch_size": 16, "batch_size": 2, "device": "cpu", "warmup": 2, **changes}
        trainer = Trainer(model or ModelConfig(width=2, depth=1), TrainConfig(**settings), **(start or {}))
        trainer.set_image("a", image, "YX")
        trainer.set_strokes("a", np.where(rng.random(shape) < 0.05, truth + 1, 0).astype(np.uint8))
        return trainer

    return make
