"""A prediction cut into tiles equals one in a single tile, for every member."""

import numpy as np
import pytest

from napari_unet.config import ModelConfig
from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource
from napari_unet.networks import geometry
from napari_unet.prediction.predictor import Predictor

SHAPE = {2: (50, 70), 3: (6, 34, 40)}
TILE = {2: 32, 3: 16}


def test_tiles_equal_one_pass(member, make):
    _check(member, make(member))


@pytest.mark.parametrize("architecture", ["unet", "unetpp", "linknet"])
@pytest.mark.usefixtures("encoders")
def test_tiles_on_an_encoder_equal_one_pass(architecture, make):
    config = ModelConfig(architecture=architecture, encoder="resnet18")
    _check(config, make(config))


def _check(config, network):
    if not geometry(config).exact:
        pytest.skip("the whole image counts")
    pixels = np.random.default_rng(0).random(SHAPE[config.ndim]).astype(np.float32)
    image = ImageSource(pixels, "ZYX"[-config.ndim :], config.ndim)
    whole, tiled = (
        Predictor(network, config, device="cpu", tile=tile).predict(
            image, output="probabilities", normalizer=Normalizer((0.0,), (1.0,))
        )
        for tile in (128, TILE[config.ndim])
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
