"""An image on another grid: any part of it has the pixels of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.data.rescale import Rescaled, nearest, resampling, rescaled
from napari_unet.data.source import ImageSource
from napari_unet.errors import ImageError

sizes = st.integers(1, 40)


@settings(deadline=None)
@given(sizes, sizes, sizes, sizes, st.data(), st.booleans())
def test_any_part_has_the_pixels_of_the_whole(height, width, rows, columns, data, holes):
    image = np.random.default_rng(height).normal(size=(height, width)).astype(np.float32)
    if holes:
        image[0, width // 2] = np.nan
    other = Rescaled(image, "YX", {"Y": rows, "X": columns})
    whole = other[slice(0, rows), slice(0, columns)]
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    part = (slice(top, data.draw(st.integers(top + 1, rows))), slice(left, data.draw(st.integers(left + 1, columns))))
    np.testing.assert_array_equal(other[part], whole[part])


@settings(deadline=None)
@given(sizes, sizes, st.data())
def test_every_pixel_is_a_mean_of_pixels(size, wanted, data):
    start = data.draw(st.integers(0, wanted - 1))
    part = slice(start, data.draw(st.integers(start + 1, wanted)))
    needed, matrix = resampling(size, wanted, part)
    assert 0 <= needed.start < needed.stop <= size
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert matrix.data.min() >= 0


@settings(deadline=None)
@given(sizes, sizes)
def test_the_nearest_pixel_is_near(size, wanted):
    found = nearest(size, wanted, slice(0, wanted))
    centres = (np.arange(wanted) + 0.5) * size / wanted - 0.5
    assert np.all(np.abs(found - centres) <= 0.5 + 1e-9)


def test_a_ramp_stays_a_ramp():
    ramp = np.arange(40.0)[None] * 3 + 7
    finer = Rescaled(ramp, "YX", {"X": 120})[slice(0, 1), slice(0, 120)][0]
    np.testing.assert_allclose(finer[3:-3], 3 * ((np.arange(120) + 0.5) / 3 - 0.5)[3:-3] + 7)
    coarser = Rescaled(ramp, "YX", {"X": 10})[slice(0, 1), slice(0, 10)][0]
    np.testing.assert_allclose(coarser[1:-1], 3 * ((np.arange(10) + 0.5) * 4 - 0.5)[1:-1] + 7)


def test_fewer_pixels_are_means_not_samples():
    noise = np.random.default_rng(0).normal(size=(200, 200))
    assert Rescaled(noise, "YX", {"Y": 50, "X": 50})[slice(0, 50), slice(0, 50)].std() < 0.3


def test_a_hole_does_not_grow():
    image = np.ones((20, 20))
    image[5, 5], image[9, 12] = np.nan, np.inf
    found = Rescaled(image, "YX", {"Y": 40, "X": 40})[slice(0, 40), slice(0, 40)]
    assert np.isnan(found).sum() == 2 * 4
    np.testing.assert_allclose(found[np.isfinite(found)], 1)
    coarse = Rescaled(image, "YX", {"Y": 5, "X": 5})[slice(0, 5), slice(0, 5)]
    np.testing.assert_allclose(coarse, 1)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "?", "f8", "i8"])
def test_leading_axes_and_channels_stay(dtype):
    image = (np.random.default_rng(0).random((2, 12, 3, 16)) * 200).astype(dtype)
    source = ImageSource(image, "TYCX", 2)
    other = rescaled(source, (9.0, 1.0, 0.5), (2.0, 2.0))
    assert (other.lead, other.channels, other.spatial) == ((2,), 3, (6, 4))
    assert other.read((1,), [slice(0, 6), slice(0, 4)]).shape == (3, 6, 4)
    np.testing.assert_allclose(other.read((1,), [slice(0, 6), slice(0, 4)]).mean(), image[1].mean(), rtol=0.1)


def test_an_equal_size_is_the_same_image():
    source = ImageSource(np.zeros((10, 10)), "YX", 2)
    assert rescaled(source, (1, 1), (1.01, 0.99)) is source


@pytest.mark.parametrize(
    ("spacing", "wanted", "words"),
    [((1, 1), None, "train a model"), (None, (1, 1), "give the pixel size"), ((1, 1), (1e-9, 1e-9), "check the pixel")],
)
def test_unknown_sizes_are_one_sentence(spacing, wanted, words):
    with pytest.raises(ImageError, match=words):
        rescaled(ImageSource(np.zeros((10, 10)), "YX", 2), spacing, wanted)
