"""Mirrored and turned copies, and how uncertain a pixel is: the same for any tile."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.networks import build_network, geometry
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.rescaling import predictor_for

MODELS = {
    "2d": ModelConfig(width=3, depth=2),
    "2d valid": ModelConfig(width=3, depth=2, padding="valid"),
    "1 class": ModelConfig(width=3, depth=2, classes=("cell",)),
    "3 classes": ModelConfig(width=3, depth=2, classes=("background", "a", "b")),
    "3d": ModelConfig(width=2, depth=1, ndim=3),
}
PLAIN = Normalizer((0.0,), (1.0,))


def network(config):
    torch.manual_seed(1)
    return build_network(config).eval()


def predict(config, image, output="probabilities", tile=None, **options):
    source = ImageSource(image, "ZYX"[-config.ndim :], config.ndim)
    made = predictor_for(network(config), config, PredictConfig(device="cpu", tile=tile, **options))
    return made.predict(source, output=output, normalizer=PLAIN)


def image_for(config, seed=0):
    shape = (12, 32, 24) if config.ndim == 3 else (48, 80)
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("augmented", ["flips", "rotations"])
@pytest.mark.parametrize("output", ["probabilities", "labels", "uncertainty"])
def test_copies_do_not_depend_on_the_tiles(name, augmented, output):
    config, image = MODELS[name], image_for(MODELS[name])
    options = {"augmented": augmented, "uncertainty": "disagreement", "output": output}
    whole, tiled = (predict(config, image, tile=tile, **options) for tile in (128, 17))
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    if output == "labels":
        np.testing.assert_array_equal(tiled, whole)


@pytest.mark.parametrize("name", ["2d", "3 classes", "3d"])
def test_the_mean_over_copies_of_the_image_is_the_definition(name):
    config = MODELS[name]
    far = geometry(config).halo[0] + 2
    image = np.random.default_rng(0).random([80, 96] if config.ndim == 2 else [32, 28, 36]).astype(np.float32)
    ndim, total = config.ndim, 0.0
    masks = list(np.ndindex(*(2,) * ndim))
    for mask in masks:
        for turned in (False, True):
            axes = [i for i in range(ndim) if mask[i]]
            copy = np.flip(image.swapaxes(-1, -2) if turned else image, axes)
            found = network(config)(torch.from_numpy(copy.copy())[None, None])[0].softmax(0).detach().numpy()
            found = np.flip(found, [i + 1 for i in axes])
            total = total + (found.swapaxes(-1, -2) if turned else found)
    expected = total / (2 * len(masks))
    found = predict(config, image, augmented="rotations")
    middle = (slice(None), *(slice(far, -far),) * ndim)
    assert found[middle].size
    np.testing.assert_allclose(found[middle], expected[middle], atol=1e-5)


def test_a_symmetric_prediction_of_a_symmetric_image():
    image = image_for(MODELS["2d"])[:, :48]
    image = image + image[::-1]
    plain, mean = (predict(MODELS["2d"], np.ascontiguousarray(image), augmented=a) for a in ("none", "flips"))
    middle = (slice(None), slice(16, 32), slice(16, 32))
    assert np.abs(plain - plain[:, ::-1])[middle].max() > 1e-3
    np.testing.assert_allclose(mean[middle], mean[:, ::-1][middle], atol=1e-5)


@pytest.mark.parametrize("name", ["2d", "1 class", "3 classes"])
def test_entropy_is_that_of_the_probabilities(name):
    config, image = MODELS[name], image_for(MODELS[name])
    chances = predict(config, image)
    chances = np.concatenate([chances, 1 - chances]) if len(chances) == 1 else chances
    found = predict(config, image, output="uncertainty")
    assert (found.dtype, found.shape) == (np.float32, image.shape)
    np.testing.assert_allclose(found, entropy(chances, axis=0) / np.log(len(chances)), atol=1e-5)


def test_copies_that_agree_do_not_disagree():
    class Alike(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x, 1 - x], 1)

    predictor = Predictor(Alike(), MODELS["2d"], device="cpu", uncertainty="disagreement")
    source = ImageSource(image_for(MODELS["2d"]), "YX", 2)
    assert predictor.predict(source, output="uncertainty", normalizer=PLAIN).max() < 1e-6
    assert predict(MODELS["2d"], image_for(MODELS["2d"]), output="uncertainty", uncertainty="disagreement").max() > 1e-4


def test_what_cannot_be_turned_is_told():
    config = ModelConfig(width=2, depth=1, spacing=(4, 1))
    with pytest.raises(ConfigError, match="flips"):
        Predictor(build_network(config), config, device="cpu", augmented="rotations")
