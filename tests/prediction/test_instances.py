"""Objects: the partition of the whole image, whatever the tiles, and a number of its own for each."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.config import ModelConfig
from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource
from napari_unet.networks import build_network
from napari_unet.prediction.instances import connected
from napari_unet.prediction.outputs import smallest_type, to_labels, to_probabilities
from napari_unet.prediction.predictor import Predictor

PLAIN = Normalizer((0.0,), (1.0,))


class Threshold(torch.nn.Module):
    """Pixels above one half are cells."""

    def forward(self, x):
        return torch.cat([0.5 - x, x - 0.5], 1)


def predictor(ndim=2, tile=16):
    return Predictor(Threshold(), ModelConfig(width=1, depth=1, ndim=ndim), device="cpu", tile=tile)


def blobs(shape, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return (noise > 0).astype(np.float32)


def test_a_network_that_knows_boundaries_tells_touching_objects_apart():
    interior = np.zeros((1, 12, 20), np.float32)
    interior[:, 3:9, 3:9] = interior[:, 3:9, 11:17] = 1
    rim = ndimage.binary_dilation(interior > 0, np.ones((1, 3, 3))) & (interior == 0)
    image = np.concatenate([interior, rim.astype(np.float32)])

    class Known(torch.nn.Module):
        def forward(self, x):
            return 4 * torch.cat([1 - x.sum(1, keepdim=True), x], 1)

    model = ModelConfig(width=1, depth=1, in_channels=2, task="instances", instance_target="boundary")
    segment = Predictor(Known(), model, device="cpu", tile=16)
    plain = Normalizer((0.0,) * 2, (1.0,) * 2)
    source = ImageSource(image, "CYX", 2)
    labels = segment.predict(source, normalizer=plain)
    np.testing.assert_array_equal(labels, 1 + (image.sum(0) > 0))
    assert segment.predict(source, output="instances", normalizer=plain).max() == 2
    assert segment.predict(source, output="probabilities", normalizer=plain).shape == (3, 12, 20)


def same_partition(a, b):
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(16, 64))
def test_objects_over_many_tiles_are_those_of_the_whole(height, width, tile):
    image = blobs((height, width))
    source = ImageSource(image, "YX", 2)
    found = predictor(tile=tile).predict(source, output="instances", normalizer=PLAIN)
    expected, number = ndimage.label(image)
    assert same_partition(found, expected)
    assert found.max() == number
    assert found.dtype == smallest_type(number)


@pytest.mark.parametrize(("axes", "ndim"), [("TYX", 2), ("ZYX", 2), ("ZYX", 3), ("TZYX", 3), ("ZTYX", 3)])
def test_no_number_is_used_twice(axes, ndim):
    image = blobs([{"T": 2, "Z": 9}.get(a, 40) for a in axes])
    source = ImageSource(image, axes, ndim)
    found = predictor(ndim).predict(source, output="instances", normalizer=PLAIN)
    whole = [slice(None)] * ndim
    total = 0
    for lead in source.planes():
        index = source.label_index(lead, whole)
        expected, number = ndimage.label(image[index])
        assert same_partition(found[index], expected)
        assert set(np.unique(found[index])) == {0, *range(total + 1, total + number + 1)}
        total += number


def test_tiles_come_first_with_preliminary_numbers_then_the_plane():
    image = blobs((2, 40, 40))
    source = ImageSource(image, "TYX", 2)
    events = list(predictor().tiles(source, output="instances", normalizer=PLAIN))
    assert [event.done for event in events] == list(range(1, len(events) + 1))
    assert {event.total for event in events} == {len(events)}
    target = np.zeros(source.label_shape, np.uint32)
    for event in events:
        target[event.index] = event.data
        assert ((event.data > 0) == (image[event.index] > 0)).all()
    np.testing.assert_array_equal(target, predictor().predict(source, output="instances", normalizer=PLAIN))


def test_objects_of_a_view():
    image = blobs((60, 60))
    source = ImageSource(image, "YX", 2)
    box = (slice(11, 50), slice(20, 33))
    events = list(predictor().tiles(source, output="instances", normalizer=PLAIN, box=box))
    assert events[-1].index == box
    assert same_partition(events[-1].data, ndimage.label(image[box])[0])


def test_classes_that_touch_are_two_objects_and_a_diagonal_separates():
    labels = np.array([[2, 2, 3, 1], [1, 1, 1, 2], [0, 2, 1, 1]])
    objects, count = connected(labels, first=5)
    assert count == 4
    assert objects[0, 0] == objects[0, 1] != objects[0, 2]
    assert set(np.unique(objects)) == {0, 5, 6, 7, 8}


def test_many_objects_do_not_overflow():
    labels = np.ones((600, 600), np.uint8)
    labels[::2, ::2] = 2
    objects, count = connected(labels)
    assert objects.dtype == np.uint32
    assert objects.max() == count == 90_000


def test_nothing_found():
    source = ImageSource(np.zeros((5, 5)), "YX", 2)
    found = predictor().predict(source, output="instances", normalizer=PLAIN)
    assert found.dtype == np.uint8
    assert not found.any()


@pytest.mark.parametrize("classes", [2, 3, 255])
def test_labels_and_probabilities_of_logits(classes):
    logits = torch.randn(classes, 7, 5)
    labels, probabilities = to_labels(logits), to_probabilities(logits)
    np.testing.assert_array_equal(labels, logits.argmax(0).numpy() + 1)
    assert labels.dtype == np.uint8
    assert probabilities.shape == (classes, 7, 5)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)


def test_equal_logits_are_background():
    for classes in (1, 2, 3):
        assert (to_labels(torch.zeros(classes, 3, 3)) == 1).all()


def test_one_class_is_one_plane_of_foreground():
    logits = torch.tensor([[[-1.0, 0.0, 2.0]]])
    np.testing.assert_array_equal(to_labels(logits), [[1, 1, 2]])
    np.testing.assert_allclose(to_probabilities(logits)[0, 0], 1 / (1 + np.exp([1, 0, -2])), atol=1e-6)


def test_a_network_of_the_family_gives_objects():
    config = ModelConfig(width=2, depth=1)
    source = ImageSource(blobs((33, 20)), "YX", 2)
    whole = Predictor(build_network(config).eval(), config, device="cpu")
    tiled = Predictor(whole._network, config, device="cpu", tile=16)
    np.testing.assert_array_equal(tiled.predict(source, output="instances"), whole.predict(source, output="instances"))
