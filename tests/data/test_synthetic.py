"""The synthetic cells: deterministic, touching, and as hard as a camera makes them."""

import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.data.synthetic import stained_tissue, touching_cells
from napari_unet.errors import ConfigError


def touching(labels):
    """Labels that share a border with another label."""
    found = set()
    for axis in range(labels.ndim):
        a, b = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        meet = (a != b) & (a > 0) & (b > 0)
        found |= set(a[meet].tolist()) | set(b[meet].tolist())
    return found


@pytest.mark.parametrize("shape", [(256, 256), (24, 96, 96)])
def test_cells_touch_and_cover_about_the_density(shape):
    sample = touching_cells(shape, seed=3, density=0.4)
    count = int(sample.labels.max())
    assert len(touching(sample.labels)) > 0.5 * count
    assert 0.2 < (sample.labels > 0).mean() < 0.5
    assert sample.image.dtype == sample.labels.dtype == np.uint16
    assert sample.axes == "ZYX"[-len(shape) :]


@given(
    shape=st.one_of(st.tuples(st.integers(1, 70), st.integers(1, 70)), st.tuples(*[st.integers(1, 24)] * 3)),
    seed=st.integers(0, 2**31),
    density=st.floats(0, 0.9),
)
@settings(max_examples=40, deadline=None)
def test_any_shape_gives_connected_consecutive_labels(shape, seed, density):
    sample = touching_cells(shape, seed=seed, density=density, diameter=12)
    assert sample.image.shape == sample.labels.shape == shape
    assert np.array_equal(np.unique(sample.labels[sample.labels > 0]), np.arange(1, sample.labels.max() + 1))
    for number in range(1, int(sample.labels.max()) + 1):
        assert ndimage.label(sample.labels == number)[1] == 1


def test_the_seed_decides_everything():
    first, again, other = (touching_cells((96, 96), seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.labels, other.labels)


def test_cells_are_brighter_than_background_but_no_threshold_separates_them():
    sample = touching_cells((256, 256), seed=0)
    cell = sample.image[sample.labels > 0].astype(float)
    rest = sample.image[sample.labels == 0].astype(float)
    assert np.median(cell) > 2 * np.median(rest)
    assert cell.min() < np.percentile(rest, 99)


def test_light_is_uneven_and_noise_grows_with_its_parameter():
    empty = touching_cells((128, 128), seed=1, density=0, noise=0)
    assert not empty.labels.any()
    assert empty.image.max() > 1.1 * empty.image.min()
    spread = [np.std(touching_cells((128, 128), seed=1, density=0, noise=n).image) for n in (0.5, 2, 4)]
    assert spread == sorted(spread)


def test_diameter_is_measured_in_pixels_of_the_plane():
    sample = touching_cells((256, 256), seed=2, diameter=20, density=0.3)
    areas = np.bincount(sample.labels.ravel())[1:]
    assert 14 < 2 * np.sqrt(np.median(areas) / np.pi) < 24


def test_planes_far_apart_hold_flatter_cells():
    sample = touching_cells((24, 96, 96), seed=2, diameter=24, spacing=(3, 1, 1), density=0.2)
    sizes = [[s.stop - s.start for s in box] for box in ndimage.find_objects(sample.labels)]
    depth, _, width = np.median(sizes, axis=0)
    assert depth < 0.5 * width


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": (8,)},
        {"shape": (0, 8)},
        {"shape": (1, 2, 3, 4)},
        {"diameter": 1},
        {"density": 1.5},
        {"noise": -1},
        {"noise": float("nan")},
        {"spacing": (1, 1, 1)},
        {"spacing": (1, 0)},
    ],
)
def test_bad_arguments_get_one_sentence(arguments):
    with pytest.raises(ConfigError, match="give"):
        touching_cells(**arguments)


def test_stained_tissue_needs_no_network(monkeypatch):
    def refuse(*_):
        raise OSError("no network here")

    monkeypatch.setattr(socket, "socket", refuse)
    image = stained_tissue()
    assert image.shape == (512, 512, 3)
    assert image.std() > 10
