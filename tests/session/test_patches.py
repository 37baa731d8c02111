"""Augmented patches through a session."""

import numpy as np
import pytest

from napari_unet.config import AugmentConfig, ModelConfig, TrainConfig
from napari_unet.session import commands as do
from napari_unet.session.arrays import SharedArray
from napari_unet.session.core import SessionCore
from napari_unet.session.messages import Failed, Previewed

PLAIN = TrainConfig(patch_size=16, augment=AugmentConfig(enabled=False))


def shared(array):
    made = SharedArray(array.shape, array.dtype)
    made.array[...] = array
    return made


@pytest.fixture
def core():
    made = SessionCore("cpu")
    yield made
    made.close()


def teach(core, image, strokes, axes, model):
    arrays = shared(image), shared(strokes)
    core.handle(do.SetImage("a", arrays[0].ref, axes))
    core.handle(do.NewModel(model))
    core.handle(do.SetStrokes("a", arrays[1].ref))
    return arrays


def test_patches_show_the_strokes_and_do_not_train(core):
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    strokes = np.zeros(image.shape, np.uint8)
    strokes[5:9], strokes[20:24] = 1, 2
    arrays = teach(core, image, strokes, "YX", ModelConfig(width=2, depth=1))
    (found,) = core.handle(do.Preview(7, PLAIN, count=6, seed=1))
    assert isinstance(found, Previewed)
    assert found.request == 7
    assert found.images.shape == (6, 1, 16, 16)
    assert found.images.dtype == np.uint8
    assert set(np.unique(found.targets)) <= {-1, 0, 1}
    assert ((found.targets >= 0).sum((1, 2)) > 0).all()
    assert (found.weights[found.targets < 0] == 0).all()
    (again,) = core.handle(do.Preview(8, PLAIN, count=6, seed=1))
    assert np.array_equal(found.images, again.images)
    for array in arrays:
        array.close()


def test_of_a_volume_the_plane_with_strokes_is_shown(core):
    volume = np.random.default_rng(0).random((16, 24, 24)).astype(np.float32)
    strokes = np.zeros(volume.shape, np.uint8)
    strokes[8, 4:8], strokes[8, 12:16] = 1, 2
    arrays = teach(core, volume, strokes, "ZYX", ModelConfig(ndim=3, width=2, depth=1))
    (found,) = core.handle(do.Preview(1, PLAIN))
    assert found.images.ndim == 4
    assert found.targets.shape == found.images[:, 0].shape == found.weights.shape
    assert ((found.targets >= 0).sum((1, 2)) > 0).all()
    for array in arrays:
        array.close()


def test_without_strokes_it_is_a_sentence(core):
    core.handle(do.NewModel(ModelConfig(width=2, depth=1)))
    (failed,) = core.handle(do.Preview(3, PLAIN))
    assert isinstance(failed, Failed)
    assert failed.request == 3
    assert "paint" in failed.message
