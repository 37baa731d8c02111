import numpy as np
import pytest

from napari_unet.config import NormalizationConfig
from napari_unet.data.normalize import LIMITS, fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ImageError


def fit(array, axes="YX", ndim=2, **settings):
    source = ImageSource(array, axes, ndim)
    return source, fit_normalizer(source, NormalizationConfig(**settings))


def whole(source):
    return source.read((0,) * len(source.lead), [slice(0, n) for n in source.spatial])


def test_percentiles_become_0_and_1():
    array = np.random.default_rng(0).normal(500, 100, (200, 200))
    _, normalizer = fit(array, low=2, high=98)
    assert normalizer.low[0] == pytest.approx(np.percentile(array, 2))
    assert normalizer.high[0] == pytest.approx(np.percentile(array, 98))


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", ">i4", "i8", "f2", ">f4", "f8", "?"])
def test_every_type_gives_the_same_float32(dtype):
    array = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 200, (40, 40)).astype(dtype)
    source, normalizer = fit(array, low=0, high=100)
    block = normalizer(whole(source))
    expected = array.astype(np.float64) / float(array.astype(np.float64).max())
    assert block.dtype == np.float32
    assert block.flags.c_contiguous
    assert block.shape == (1, 40, 40)
    np.testing.assert_allclose(block[0], expected - expected.min(), atol=1e-3 if dtype == "f2" else 1e-6)


def test_large_offsets_keep_their_contrast():
    array = (2**40 + np.arange(100).reshape(10, 10)).astype(np.int64)
    source, normalizer = fit(array, low=0, high=100)
    np.testing.assert_allclose(normalizer(whole(source))[0], np.arange(100).reshape(10, 10) / 99, atol=1e-6)


def test_nonfinite_pixels_are_counted_and_do_not_spread():
    clean = np.random.default_rng(0).random((50, 50)).astype(np.float32)
    dirty = clean.copy()
    dirty[0, 0], dirty[3, 4], dirty[5, 6] = np.nan, np.inf, -np.inf
    source, normalizer = fit(dirty)
    block = normalizer(whole(source))
    assert normalizer.nonfinite == 3
    assert np.isfinite(block).all()
    assert block[0, 0, 0] == block[0, 3, 4] == 0
    assert normalizer.high[0] == pytest.approx(fit(clean)[1].high[0], abs=0.01)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_image_becomes_zeros(value):
    source, normalizer = fit(np.full((20, 20), value, np.uint8))
    assert not normalizer(whole(source)).any()


def test_mostly_empty_image_uses_its_extremes():
    array = np.zeros((100, 100), np.uint8)
    array[5, 5] = 50
    source, normalizer = fit(array)
    assert normalizer(whole(source)).max() == 1


def test_no_finite_pixel_is_an_error():
    with pytest.raises(ImageError, match="no finite pixel"):
        fit(np.full((5, 5), np.nan))


def test_complex_is_an_error():
    with pytest.raises(ImageError, match="real numbers"):
        fit(np.zeros((5, 5), complex))


def test_channels_are_normalised_apart():
    array = np.stack([np.arange(100), 1000 * np.arange(100)], axis=-1).reshape(10, 10, 2)
    source, normalizer = fit(array, "YXC", low=0, high=100)
    block = normalizer(whole(source))
    np.testing.assert_allclose(block[0], block[1], atol=1e-6)


def test_hot_pixels_are_clipped():
    array = np.random.default_rng(0).random((100, 100))
    array[0, 0] = 1e300
    source, normalizer = fit(array)
    assert normalizer(whole(source)).max() == LIMITS[1]


class Lazy:
    """A huge image that counts what is read of it."""

    shape = (50, 40_000, 40_000)
    dtype = np.dtype(np.uint16)

    def __init__(self):
        self.pixels = 0

    def __getitem__(self, index):
        size = [1 if isinstance(i, int) else i.stop - i.start for i in index]
        self.pixels += int(np.prod(size))
        return np.random.default_rng(0).integers(0, 1000, size[1:])


def test_huge_images_are_sampled_always_the_same_way():
    first, second = Lazy(), Lazy()
    a, b = (fit(lazy, "ZYX", max_samples=200_000)[1] for lazy in (first, second))
    assert a == b
    assert first.pixels <= 200_000
    assert a.high[0] == pytest.approx(998, abs=2)


def test_sample_agrees_with_the_whole():
    array = np.random.default_rng(0).gamma(2, 100, (1200, 1200))
    whole_range, sampled = fit(array)[1], fit(array, max_samples=300_000)[1]
    assert sampled.high[0] == pytest.approx(whole_range.high[0], rel=0.03)
