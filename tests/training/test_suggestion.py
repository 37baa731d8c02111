"""What the base network takes for cells before anything is painted."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage
from skimage.segmentation import find_boundaries

import napari_unet as nu
from napari_unet.data.synthetic import touching_cells
from napari_unet.networks.base import UNEXPECTED
from napari_unet.standard import standard_model
from napari_unet.training.loop import Trainer
from napari_unet.training.start import start_network

DATA = Path(os.environ.get("NAPARI_UNET_DATA", "")) / "dsb2018_stage1"


def logits(**changes):
    image = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return start_network(standard_model(**changes), seed=0).eval()(image)


def overlap(found, true):
    return (found & true).sum() / (found | true).sum()


def test_the_first_class_is_what_the_base_knows_as_foreground():
    two = logits()
    assert torch.equal(two[:, 0], torch.zeros_like(two[:, 0]))
    assert two[:, 1].std() > 0.1
    torch.testing.assert_close(logits(classes=("cell",))[:, 0], two[:, 1])
    four = logits(classes=("background", "cell", "debris", "fold"))
    torch.testing.assert_close(four[:, :2], two)
    assert (four[:, 2:] == UNEXPECTED).all()


def test_channels_that_are_all_alike_give_the_same_suggestion():
    image = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        three = start_network(standard_model(in_channels=3), seed=0).eval()(image.expand(-1, 3, -1, -1))
    torch.testing.assert_close(three, logits(), rtol=1e-3, atol=1e-3)


def test_the_boundary_lies_where_an_object_has_a_border():
    cells = touching_cells((96, 96), seed=0)
    low, high = np.percentile(cells.image, (1, 99.8))
    image = torch.from_numpy(((cells.image - low) / (high - low)).astype(np.float32))[None, None]
    with torch.no_grad():
        found = start_network(standard_model(task="instances", instance_target="boundary"), seed=0).eval()(image)[0]
    assert found.shape == (3, 96, 96)
    assert (found[0] == 0).all()
    border = (found[2] - found[1]).numpy()
    true = find_boundaries(cells.labels, mode="inner")
    inside = (cells.labels > 0) & ~ndimage.binary_dilation(true, iterations=3)
    assert np.median(border[true]) > np.median(border[inside]) + 1


@pytest.mark.skipif(not DATA.is_dir(), reason="NAPARI_UNET_DATA does not name the images")
def test_nuclei_that_it_never_saw_are_found_without_strokes():
    names = json.loads((DATA / "split.json").read_text())["benchmark"]
    model, found = nu.Model.from_trainer(Trainer(standard_model(), nu.TrainConfig(device="cpu"))), []
    for name in names:
        image = tifffile.imread(DATA / "images" / f"{name}.tif")
        if image.shape != (256, 256):
            continue
        labels = tifffile.imread(DATA / "labels" / f"{name}.tif")
        found.append(overlap(model.predict(image, axes="YX", device="cpu") == 2, labels > 0))
        if len(found) == 8:
            break
    assert np.median(found) > 0.6
