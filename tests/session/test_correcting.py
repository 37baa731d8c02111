"""What correcting an object paints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.session.correcting import bridge, rim, split


def disk(shape, centre, radius):
    return np.hypot(*(axis - at for axis, at in zip(np.ogrid[tuple(map(slice, shape))], centre, strict=True))) < radius


def pieces(mask):
    return ndimage.label(mask)[1]


@pytest.mark.parametrize("radius", [5, 8])
def test_two_cells_that_touch_are_cut_at_their_neck(radius):
    one, other = disk((40, 60), (20, 20), 9), disk((40, 60), (20, 20 + 8 + radius), radius)
    mask = one | other
    assert pieces(mask) == 1
    parts = split(mask)
    assert pieces((parts == 1) | (parts == 2)) == 2
    assert np.array_equal(parts > 0, mask)
    columns = np.nonzero(parts == 3)[1]
    assert np.abs(columns - 28).max() <= 4


def test_an_object_without_a_neck_is_halved_across():
    mask = np.zeros((20, 50), bool)
    mask[8:12, 5:45] = True
    parts = split(mask)
    assert pieces((parts == 1) | (parts == 2)) == 2
    assert abs(int((parts == 1).sum()) - int((parts == 2).sum())) <= 12


def test_volumes_are_cut_too():
    mask = np.zeros((12, 12, 24), bool)
    mask[2:10, 2:10, 2:10] = mask[2:10, 2:10, 13:21] = mask[5:7, 5:7, 2:21] = True
    parts = split(mask)
    assert pieces((parts == 1) | (parts == 2)) == 2


@given(st.integers(0, 2**32 - 1))
def test_a_cut_loses_no_pixel_and_leaves_no_way_across(seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((24, 24)), 2)
    labels, count = ndimage.label(noise > np.median(noise))
    mask = labels == 1 + np.bincount(labels.ravel())[1:].argmax() if count else noise > 0
    parts = split(mask)
    assert np.array_equal(parts > 0, mask)
    one = ndimage.binary_dilation(parts == 1, np.ones((3, 3)))
    assert not (one & (parts == 2)).any()


def test_a_bridge_joins_and_is_no_wider_than_a_line():
    one, other = disk((40, 60), (12, 14), 6), disk((40, 60), (28, 44), 6)
    way = bridge(one, other)
    assert pieces(one | other | way) == 1
    assert not (way & (one | other)).any()
    assert way.sum() < 4 * np.hypot(16, 30)


def test_the_rim_is_one_pixel():
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    assert rim(mask).sum() == 12
    assert not (rim(mask) & mask).any()
