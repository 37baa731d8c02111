"""Objects from probabilities: the same for any cut of the image; splitting, boundaries, sizes, links through z."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.config import InstanceConfig, ModelConfig, PredictConfig
from napari_unet.data.normalize import Normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.prediction.instances import instances, join, marks_of, objects_of, pieces_of, reach
from napari_unet.prediction.linking import Linker
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.rescaling import predictor_for
from napari_unet.prediction.seams import renumber


def noise(shape, seed, sigma):
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), (0,) + (sigma,) * (len(shape) - 1))
    values = 4 * values / values.std()
    values = np.exp(values - values.max(0))
    return (values / values.sum(0)).astype(np.float32)


def by_units(probabilities, units, config, *, boundary):
    """Every unit from its own pixels and those within reach."""
    shape, far = probabilities.shape[1:], reach(config, boundary=boundary)
    pieces, kinds = np.zeros(shape, np.uint32), []
    for unit in units:
        near = tuple(slice(max(0, a.start - far), min(n, a.stop + far)) for a, n in zip(unit, shape, strict=True))
        inside = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(unit, near, strict=True))
        marks = marks_of(probabilities[(slice(None), *near)], config, boundary=boundary)
        pieces[unit], kind = pieces_of(marks, config, inside, boundary=boundary)
        kinds.append(kind)
    found = np.zeros(shape, np.uint32)
    table = join(units, pieces, kinds, config)
    renumber(pieces, found, units, table)
    np.testing.assert_array_equal(np.bincount(found.ravel(), minlength=table.count + 1)[1:], table.sizes)
    return found


@st.composite
def cases(draw):
    ndim = draw(st.integers(2, 3))
    shape = [draw(st.integers(1, [60, 16][ndim - 2])) for _ in range(ndim)]
    edges = [draw(st.integers(2, n + 3)) for n in shape]
    spans = [[slice(a, min(a + e, n)) for a in range(0, n, e)] for n, e in zip(shape, edges, strict=True)]
    boundary = draw(st.booleans())
    classes = 3 if boundary else draw(st.integers(2, 4))
    probabilities = noise([classes, *shape], draw(st.integers(0, 2**32)), draw(st.sampled_from([0.5, 1, 2])))
    config = InstanceConfig(
        min_size=draw(st.sampled_from([0, 3, 20])),
        max_size=draw(st.sampled_from([None, 200])),
        fill_holes=draw(st.sampled_from([0, 4, 50])),
        smoothing=draw(st.sampled_from([0.0, 0.7])),
        split=draw(st.sampled_from([0.0, 1.0, 2.5])),
    )
    return probabilities, draw(st.permutations(list(product(*spans)))), config, boundary


@settings(deadline=None, max_examples=250)
@given(cases())
def test_any_cut_gives_the_objects_of_the_whole(case):
    probabilities, units, config, boundary = case
    marks = marks_of(probabilities, config, boundary=boundary)
    expected = objects_of(marks, config, boundary=boundary)[0]
    found = by_units(probabilities, units, config, boundary=boundary)
    if config == InstanceConfig() and not boundary:  # numbered by another program
        assert len(np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)[0]) == len(np.unique(found))
        assert found.max() == expected.max()
    else:
        np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_every_pixel_of_the_foreground_is_in_one_object(case):
    probabilities, _, config, boundary = case
    config = config.replace(min_size=0, max_size=None, fill_holes=0)
    marks = marks_of(probabilities, config, boundary=boundary)
    found, count = objects_of(marks, config, boundary=boundary)
    assert ((found > 0) == (marks.classes > 1)).all()
    for number in range(1, count + 1):
        assert ndimage.label(found == number)[1] == 1
        assert len(np.unique(marks.classes[found == number])) == 1


def disks(*centres, radius=8, shape=(40, 60)):
    rows, columns = np.indices(shape)
    return np.max([np.hypot(rows - y, columns - x) <= radius for y, x in centres], axis=0).astype(np.float32)


def test_touching_objects_are_split_at_the_neck():
    image = disks((20, 15), (20, 30), (20, 45))
    assert instances(image[None]).max() == 1
    found = instances(image[None], InstanceConfig(split=5))
    assert found.max() == 3
    assert (np.bincount(found.ravel())[1:] > 180).all()
    assert ((found > 0) == (image > 0)).all()


def test_a_thin_object_is_not_lost_by_splitting():
    image = disks((20, 15))
    image[5:7, 30:55] = 1
    found = instances(image[None], InstanceConfig(split=3))
    assert found.max() == 2
    assert ((found > 0) == (image > 0)).all()


def test_boundaries_are_shared_out_to_the_interiors():
    mask = np.zeros((20, 41), bool)
    mask[2:18, 2:39] = True
    probabilities = np.zeros((3, 20, 41), np.float32)
    probabilities[0] = ~mask
    probabilities[1] = mask
    probabilities[1:, 2:18, 18:23] = np.array([0.2, 0.8])[:, None, None]  # five pixels of boundary
    found = instances(probabilities, boundary=True)
    assert found.max() == 2
    assert ((found > 0) == mask).all()
    assert set(np.unique(found[2:18, 2:20])) == {1}
    assert set(np.unique(found[2:18, 21:39])) == {2}


def test_specks_go_and_holes_close():
    image = disks((20, 20))
    image[19:22, 19:21] = 0
    image[2, 50:53] = 1
    found = instances(image[None], InstanceConfig(min_size=4, fill_holes=6))
    np.testing.assert_array_equal(found, disks((20, 20)))
    assert instances(image[None], InstanceConfig(fill_holes=5))[20, 20] == 0
    assert instances(image[None], InstanceConfig(max_size=10)).sum() == 3


def test_smoothing_takes_single_pixels_away():
    image = disks((20, 20))
    image[3, 50], image[20, 20] = 1, 0
    found = instances(image[None], InstanceConfig(smoothing=1.0))
    assert found.max() == 1
    assert found[20, 20] == 1


def test_sizes_out_of_order_are_refused():
    with pytest.raises(ConfigError, match="max_size"):
        InstanceConfig(min_size=10, max_size=5)


class Threshold(torch.nn.Module):
    """Pixels above one half are cells."""

    def forward(self, x):
        return 4 * (x - 0.5)


@pytest.mark.parametrize("tile", [16, 23, 64])
def test_a_prediction_is_made_of_its_probabilities(tile):
    image = np.clip(disks((20, 15), (20, 30)) + np.random.default_rng(0).normal(0, 0.2, (40, 60)), 0, 1)
    config = InstanceConfig(smoothing=1, split=5, min_size=20, fill_holes=9)
    model = ModelConfig(width=1, depth=1, classes=("cell",))
    predictor = predictor_for(Threshold(), model, PredictConfig(tile=tile, device="cpu", instances=config))
    source, plain = ImageSource(image, "YX", 2), Normalizer((0.0,), (1.0,))
    found = predictor.predict(source, output="instances", normalizer=plain)
    probabilities = predictor.predict(source, output="probabilities", normalizer=plain)
    np.testing.assert_array_equal(found, instances(probabilities, config))
    assert found.max() == 2


def stack():
    """Two objects through three planes, one that ends, one that begins."""
    planes = np.zeros((3, 40, 60), np.float32)
    for z in range(3):
        planes[z] = disks((12, 12 + z), (25, 40 - z))
    planes[0, 36:39, 2:9] = 1
    planes[2, 36:39, 50:59] = 1
    return planes


@pytest.mark.parametrize("axes", ["ZYX", "TZYX", "ZTYX"])
def test_objects_of_planes_go_on_through_z_and_not_through_time(axes):
    image = stack() if axes == "ZYX" else np.stack([stack()] * 2, axis=axes.index("T"))
    model = ModelConfig(width=1, depth=1, classes=("cell",))
    predictor = Predictor(Threshold(), model, device="cpu", tile=32, instances=InstanceConfig(link=0.5))
    found = predictor.predict(ImageSource(image, axes, 2), output="instances", normalizer=Normalizer((0.0,), (1.0,)))
    volumes = [found] if axes == "ZYX" else list(np.moveaxis(found, axes.index("T"), 0))
    for volume in volumes:
        assert len(np.unique(volume[volume > 0])) == 4
        assert volume[0, 12, 12] == volume[1, 12, 12] == volume[2, 12, 12] > 0
        assert volume[0, 37, 4] != volume[2, 37, 52]
    assert set(np.unique(found)) == set(range(4 * len(volumes) + 1))


def test_an_object_that_divides_goes_on_in_the_larger_part():
    linker = Linker(0.3)
    linker.add(np.array([[1, 1, 1, 1, 1]]), (), 0)
    assert linker.add(np.array([[1, 1, 0, 2, 2]]), (), 1).tolist() == [[1, 1, 0, 2, 2]]
    assert linker.add(np.array([[0, 0, 0, 1, 1]]), (), 3).tolist() == [[0, 0, 0, 3, 3]]  # a plane is missing
