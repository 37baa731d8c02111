"""Half precision in predictions: tried before long ones, on devices that may gain; a depth of a U-Net++."""

import numpy as np
import pytest
import torch

from napari_unet.config import ModelConfig, PredictConfig
from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.networks import build_network, precision
from napari_unet.prediction.precision import is_long
from napari_unet.prediction.rescaling import predictor_for

CONFIG = ModelConfig(width=4, depth=2)
IMAGE = np.random.default_rng(0).random((70, 90)).astype(np.float32)
KNOWN = Normalizer((0.0,), (1.0,))


class Virtual:
    """A zero image that takes no memory."""

    dtype, ndim = np.dtype(np.uint8), 2

    def __init__(self, *shape):
        self.shape = shape

    def __getitem__(self, index):
        return (
            np.zeros(self.shape, np.uint8)[index]
            if max(self.shape) < 1000
            else np.broadcast_to(np.uint8(0), self.shape)[index].copy()
        )


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(CONFIG).eval()


@pytest.fixture
def asked(monkeypatch):
    """A CPU on which bfloat16 is tried, and is said to be faster; what it was timed for."""
    times = []
    monkeypatch.setattr(precision, "_CANDIDATES", {"cpu": (torch.bfloat16,)})
    monkeypatch.setattr(precision, "_known", {})
    monkeypatch.setattr(precision, "SAME_LABELS", 0.9)
    monkeypatch.setattr(precision, "faster_types", lambda *_: times.append(None) or (torch.bfloat16,))
    return times


def predictor(network, config=CONFIG, **options):
    return predictor_for(network, config, PredictConfig(device="cpu", **options))


def probabilities(made, image=IMAGE):
    return made.predict(ImageSource(image, "YX", 2), output="probabilities", normalizer=KNOWN)


def test_on_a_cpu_a_prediction_is_in_float32_however_long(network, monkeypatch):
    monkeypatch.setattr("napari_unet.prediction.predictor.is_long", lambda *_: pytest.fail("nothing is to be tried"))
    assert np.array_equal(probabilities(predictor(network)), probabilities(predictor(network, precision="off")))
    made = predictor(network)
    made.settle(ImageSource(Virtual(10**6, 10**6), "YX", 2), KNOWN)
    assert np.array_equal(probabilities(made), probabilities(predictor(network, precision="off")))


def test_a_short_prediction_is_never_tried(network, asked):
    assert np.array_equal(probabilities(predictor(network)), probabilities(predictor(network, precision="off")))
    assert asked == []


def test_a_long_one_is_tried_once_and_is_near(network, asked, monkeypatch):
    single = probabilities(predictor(network, precision="off"))
    monkeypatch.setattr("napari_unet.prediction.predictor.is_long", lambda *_: True)
    halves = [probabilities(predictor(network)) for _ in range(2)]
    assert len(asked) == 1
    assert np.array_equal(*halves)
    assert halves[0].dtype == np.float32
    assert 0 < np.abs(halves[0] - single).max() < 0.05


def test_labels_that_differ_keep_float32(network, asked, monkeypatch):
    monkeypatch.setattr("napari_unet.prediction.predictor.is_long", lambda *_: True)
    monkeypatch.setattr(precision, "SAME_LABELS", 1.1)
    assert np.array_equal(probabilities(predictor(network)), probabilities(predictor(network, precision="off")))
    assert len(asked) == 1


def test_parts_of_a_large_image_are_all_as_it_was_settled(network, asked):
    single = probabilities(predictor(network, precision="off"))
    made = predictor(network)
    made.settle(ImageSource(Virtual(10**6, 10**6), "YX", 2), KNOWN)
    assert len(asked) == 1
    assert 0 < np.abs(probabilities(made) - single).max() < 0.05


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_named_precision_is_taken(network, name):
    found = probabilities(predictor(network, precision=name))
    single = probabilities(predictor(network, precision="off"))
    assert 0 < np.abs(found - single).max() < 0.05


def test_what_is_long():
    assert not is_long(5e14, 1e9)
    assert is_long(7e14, 1e9)
    assert not is_long(7e14, 1e13)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_smaller_unetpp_predicts_what_the_whole_one_knows_at_that_depth(depth):
    config = ModelConfig(architecture="unetpp", width=2, depth=3, deep_supervision=True)
    network = build_network(config).eval()
    padded = torch.from_numpy(np.pad(IMAGE, 64, mode="reflect"))[None, None, :192, :216]
    with torch.no_grad():
        expected = network.forward_deep(padded)[3 - depth].softmax(1)[0, :, 64:134, 64:154].numpy()
    found = probabilities(predictor(network, config, depth=depth, tile=32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_smaller_unetpp_sees_what_the_whole_one_learns():
    config = ModelConfig(architecture="unetpp", width=2, depth=2, deep_supervision=True)
    network = build_network(config).eval()
    made = predictor(network, config, depth=1)
    before = probabilities(made)
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    assert not np.array_equal(probabilities(made), before)


def test_a_depth_that_a_model_has_not_is_one_sentence(network):
    with pytest.raises(ConfigError, match="deep_supervision"):
        predictor(network, depth=1)
