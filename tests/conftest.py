"""Settings of the whole test run."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import settings

from napari_unet.session.threads import PATIENT_THREADS

for name, value in PATIENT_THREADS.items():
    os.environ.setdefault(name, value)

# The same cases in every run, however slow the machine; `pytest --hypothesis-profile default` looks for new ones.
settings.register_profile("repeated", derandomize=True, deadline=None)
settings.load_profile("repeated")


@pytest.fixture(scope="session")
def cells():
    """Touching cells, an image of (80, 96) pixels with its truth."""
    from napari_unet.data.synthetic import touching_cells

    return touching_cells((80, 96), seed=3)


@pytest.fixture(scope="session")
def cell_model(cells, tmp_path_factory):
    """A file with a model that tells `cells` from background, after 60 steps."""
    import napari_unet as nu
    from napari_unet.config import ModelConfig, TrainConfig

    path = tmp_path_factory.mktemp("model") / "cells.unet"
    strokes = np.where(cells.labels > 0, 2, 1).astype(np.uint8)
    config = TrainConfig(patch_size=48, batch_size=2, steps=60, learning_rate=1e-2)
    nu.fit([cells.image], [strokes], model=ModelConfig(width=8, depth=2), training=config).save(path)
    return path
