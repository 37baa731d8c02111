"""Prediction at the pixel size of the model comes back on the image's own grid, for any tiles and any part."""

import numpy as np
import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.data.normalize import fit_normalizer
from napari_unet.data.rescale import nearest, rescaled
from napari_unet.data.source import ImageSource
from napari_unet.errors import ImageError
from napari_unet.events import Masked, TileDone
from napari_unet.networks import build_network
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.rescaling import RescalingPredictor

FLAT = ModelConfig(width=3, depth=2, spacing=(1, 1))
DEEP = ModelConfig(width=2, depth=1, ndim=3, spacing=(2, 1, 1))


def network(config):
    """A random network whose classes are equally frequent in noise."""
    torch.manual_seed(1)
    found = build_network(config).eval()
    with torch.no_grad():
        logits = found(torch.randn(2, 1, *(32,) * config.ndim) * 0.19 + 0.45)
        bias = [p for p in found.parameters() if p.shape == (len(config.classes),)][-1]
        bias -= logits.mean(dim=[0, *range(2, logits.ndim)])
    return found


NETWORKS = {config: network(config) for config in (FLAT, DEEP)}


def image(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(config, spacing, tile=None):
    return RescalingPredictor(NETWORKS[config], config, device="cpu", tile=tile, spacing=spacing)


CASES = [
    (FLAT, (61, 83), "YX", (0.5, 0.5)),
    (FLAT, (31, 20), "YX", (2.3, 3.1)),
    (FLAT, (2, 40, 33), "TYX", (0.7, 1.6)),
    (DEEP, (9, 30, 25), "ZYX", (3.0, 0.6, 0.8)),
]


@pytest.mark.parametrize(("config", "shape", "axes", "spacing"), CASES)
@pytest.mark.parametrize("output", ["labels", "probabilities", "instances"])
def test_tiled_equals_whole_on_the_grid_of_the_image(config, shape, axes, spacing, output):
    source = ImageSource(image(shape), axes, config.ndim)
    whole = make(config, spacing, 4096).predict(source, output=output)
    assert whole.shape[-len(shape) :] == shape
    tiled = make(config, spacing, 16).predict(source, output=output)
    np.testing.assert_allclose(tiled, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("config", "shape", "axes", "spacing"), CASES)
def test_labels_are_those_of_the_resampled_image(config, shape, axes, spacing):
    source = ImageSource(image(shape), axes, config.ndim)
    other = rescaled(source, spacing, config.spacing)
    normalizer = fit_normalizer(source, config.normalization)
    expected = Predictor(NETWORKS[config], config, device="cpu").predict(other, normalizer=normalizer)
    for axis, (m, n) in enumerate(zip(other.label_shape, source.label_shape, strict=True)):
        expected = np.take(expected, nearest(m, n, slice(0, n)), axis)
    np.testing.assert_array_equal(make(config, spacing).predict(source), expected)


def test_a_constant_region_comes_back_where_it_was():
    class Threshold(torch.nn.Module):
        def forward(self, x):
            return torch.cat([1 - x, x], 1)

    pixels = np.zeros((90, 60), np.uint8)
    pixels[30:60, 12:40] = 200
    predictor = RescalingPredictor(Threshold(), FLAT, device="cpu", spacing=(0.25, 0.5))
    labels = predictor.predict(ImageSource(pixels, "YX", 2))
    assert np.count_nonzero((labels == 2) != (pixels > 0)) <= 2 * (30 + 28) * 2
    assert labels[34:56, 14:38].min() == 2


@pytest.mark.parametrize("output", ["labels", "probabilities"])
def test_a_view_has_the_pixels_of_the_whole(output):
    source = ImageSource(image((70, 64)), "YX", 2)
    predictor = make(FLAT, (0.6, 1.3))
    whole = predictor.predict(source, output=output)
    view = np.zeros_like(whole)
    for event in predictor.tiles(source, output=output, box=[slice(11, 40), slice(3, 29)]):
        view[(..., *event.index)] = event.data
    np.testing.assert_allclose(view[..., 11:40, 3:29], whole[..., 11:40, 3:29], atol=1e-6)


def test_probabilities_sum_to_one():
    found = make(FLAT, (0.4, 2.0), 16).predict(ImageSource(image((50, 40)), "YX", 2), output="probabilities")
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


def test_objects_are_numbered_without_gaps_over_all_planes():
    found = make(FLAT, (2.5, 2.5)).predict(ImageSource(image((3, 40, 40)), "TYX", 2), output="instances")
    numbers = np.unique(found)
    np.testing.assert_array_equal(numbers, np.arange(len(numbers)))
    assert len(numbers) > 3


def test_lost_pixels_are_counted_on_the_grid_of_the_image():
    pixels = image((80, 80))
    pixels[3, 3], pixels[40:42, 77] = np.nan, np.inf
    events = list(make(FLAT, (0.5, 0.5), 16).tiles(ImageSource(pixels, "YX", 2), output="probabilities"))
    assert isinstance(events[-1], Masked)
    assert events[-1].count == 3
    assert all(np.isfinite(event.data).all() for event in events if isinstance(event, TileDone))


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_stop_ends_within_a_piece(after):
    events = []
    source = ImageSource(image((100, 100)), "YX", 2)
    for event in make(FLAT, (0.5, 0.5), 16).tiles(source, should_stop=lambda: len(events) >= after):
        events.append(event)
    assert len(events) == after


def test_sizes_that_are_not_known_are_one_sentence():
    with pytest.raises(ImageError, match="pixel size of the image"):
        make(FLAT, None).predict(ImageSource(image((9, 9)), "YX", 2))
