"""The scenes of the demo are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.data.scenes import cells, tissue


@pytest.mark.parametrize(("make", "most"), [(tissue, 0.06), (cells, 0.015)])
def test_few_pixels_of_both_classes_are_painted(make, most):
    scene = make()
    assert set(np.unique(scene.strokes)) == {0, 1, 2}
    assert 0.005 < np.mean(scene.strokes > 0) < most


def test_strokes_on_the_tissue_agree_with_its_outlines():
    scene = tissue()
    painted = scene.strokes > 0
    agreed = (scene.strokes[painted] == 2) == (scene.unseen[1][painted] > 0)
    assert agreed.mean() > 0.98


def test_cells_are_scored_on_another_field():
    scene = cells((64, 64))
    assert scene.unseen[0].shape == scene.image.shape
    assert not np.array_equal(scene.unseen[0], scene.image)
