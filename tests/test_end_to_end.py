"""The main job on real images; skipped where there are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_unet as nu
from napari_unet.data.simulate import paint_strokes

DATA = Path(os.environ.get("NAPARI_UNET_DATA", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("NAPARI_UNET_DATA"), reason="NAPARI_UNET_DATA is not set")


def read(folder: str) -> list[tuple[np.ndarray, np.ndarray]]:
    images = sorted((DATA / folder / "images").glob("*.tif"))
    return [(tifffile.imread(path), tifffile.imread(DATA / folder / "labels" / path.name)) for path in images]


def iou(found: np.ndarray, true: np.ndarray) -> float:
    return float((found & true).sum() / (found | true).sum())


def test_nuclei_are_learnt_from_a_few_strokes():
    image, truth = next((i, t) for i, t in read("stardist_samples") if i.ndim == 2)
    field = np.s_[:256, :256]
    strokes = paint_strokes(truth[field], seed=0, fraction=0.02)
    model = nu.fit(image[field], strokes, training=nu.TrainConfig(steps=60, device="cpu"))
    unseen = np.s_[:, 256:]
    assert iou(model.predict(image)[unseen] > 1, truth[unseen] > 0) > 0.6
    assert nu.score(model.predict(image)[unseen] > 1, truth[unseen] > 0)["iou"] > 0.6


def test_a_volume_is_learnt_in_3d():
    image, truth = next((i, t) for i, t in read("qcanet_mouse_embryo_3d") if i.ndim == 3)
    strokes = paint_strokes(truth, seed=0, fraction=0.01)
    config = nu.ModelConfig(ndim=3, width=8, depth=3, spacing=(2.18, 1, 1))
    training = nu.TrainConfig(steps=60, patch_size=48, batch_size=2, device="cpu")
    model = nu.fit(image, strokes, model=config, training=training)
    assert iou(model.predict(image) > 1, truth > 0) > 0.4
