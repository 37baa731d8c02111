import numpy as np
import pytest

from napari_unet.config import AugmentConfig, ModelConfig, TrainConfig
from napari_unet.errors import AnnotationError
from napari_unet.training.loop import Trainer


def trainer(padding="same", **settings):
    image = np.zeros((60, 70, 2), np.float32)
    image[20:40, 20:50] = 1
    made = Trainer(
        ModelConfig(in_channels=2, width=2, depth=2, padding=padding),
        TrainConfig(patch_size=32, device="cpu", **settings),
    )
    made.set_image("a", image, "YXC")
    return made, image[..., 0]


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_six_patches_with_their_strokes(padding):
    made, truth = trainer(padding, augment=AugmentConfig(brightness=0, contrast=0, gamma=0, noise=0))
    strokes = np.where(np.random.default_rng(0).random(truth.shape) < 0.2, truth + 1, 0).astype(np.uint8)
    made.set_strokes("a", strokes)
    seen = made.preview(6)
    assert seen.images.shape == (6, 2, *seen.targets.shape[1:])
    assert seen.weights.shape == seen.targets.shape
    np.testing.assert_array_equal(seen.weights > 0, seen.targets >= 0)
    sharp = np.abs(seen.images[:, 0] - 0.5) > 0.4  # not blended at an edge
    known = (seen.targets >= 0) & sharp
    np.testing.assert_array_equal((seen.images[:, 0] > 0.5)[known], seen.targets[known] == 1)
    assert known.sum() > 100


def test_the_seed_and_the_config_decide_and_nothing_is_learnt():
    made, truth = trainer()
    made.set_strokes("a", (truth + 1).astype(np.uint8))
    before = made.prediction_state()
    first, again, other = made.preview(2, 0), made.preview(2, 0), made.preview(2, 1)
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    plain = made.preview(3, 0, made.config.replace(augment=AugmentConfig(enabled=False)))
    assert set(np.unique(plain.images)) == {0, 1}
    assert all((value == made.prediction_state()[name]).all() for name, value in before.items())
    assert made.step == 0


def test_without_strokes_there_is_nothing_to_see():
    with pytest.raises(AnnotationError, match="paint"):
        trainer()[0].preview()
