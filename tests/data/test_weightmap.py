import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_unet.data import weightmap
from napari_unet.data.weightmap import boundary_term, falk_weight_map, reach, two_distances, weight_map


def brute_force(labels, w0, sigma, spacing=None):
    """One distance map per object."""
    ids = [i for i in np.unique(labels) if i != 0]
    if len(ids) < 2:
        return np.zeros(labels.shape)
    maps = np.sort([ndimage.distance_transform_edt(labels != i, sampling=spacing) for i in ids], axis=0)
    return w0 * np.exp(-((maps[0] + maps[1]) ** 2) / (2 * sigma**2))


small = hnp.arrays(
    np.uint16,
    hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=14),
    elements=st.sampled_from([0, 0, 0, 1, 2, 9]),
)


@settings(max_examples=60, deadline=None)
@given(small, st.sampled_from([1.0, 2.0, 5.0]))
def test_equals_brute_force(labels, sigma):
    np.testing.assert_allclose(
        weight_map(labels, 10, sigma, class_balance=False), 1 + brute_force(labels, 10, sigma), atol=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(small)
def test_d1_is_at_most_d2(labels):
    nearest, second = two_distances(labels, 6.0)
    assert (nearest <= second).all()


def test_spacing_in_3d():
    rng = np.random.default_rng(0)
    labels = ndimage.label(ndimage.gaussian_filter(rng.random((12, 40, 40)), 2) > 0.51)[0]
    assert labels.max() > 2
    spacing = (3.0, 1.0, 1.5)
    np.testing.assert_allclose(
        weight_map(labels, 10, 3, spacing, class_balance=False), 1 + brute_force(labels, 10, 3, spacing), atol=1e-5
    )


@pytest.mark.parametrize("sigma", [5.0, 40.0])  # 40: squares beyond 16 bits
@pytest.mark.parametrize("batch", [1, 5000, 10**6])
def test_objects_of_every_size_together(batch, sigma, monkeypatch):
    monkeypatch.setattr(weightmap, "BATCH", batch)
    labels = ndimage.label(ndimage.gaussian_filter(np.random.default_rng(3).random((150, 210)), 3) > 0.51)[0]
    labels[60:64, :], labels[100:140, 100:190] = 900, 901
    assert len(np.unique(labels)) > 15
    np.testing.assert_allclose(
        weight_map(labels, 10, sigma, class_balance=False), 1 + brute_force(labels, 10, sigma), atol=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(small)
def test_falks_weights_equal_the_formula(labels):
    ids = [i for i in np.unique(labels) if i != 0]
    maps = np.full((max(len(ids), 2), *labels.shape), np.inf)
    for place, i in zip(maps, ids, strict=False):
        place[:] = ndimage.distance_transform_edt(labels != i)
    first, second = np.sort(maps, axis=0)[:2]
    background = 0.1 + 50 * np.exp(-((first + second) ** 2) / 72) + 0.9 * np.exp(-(first**2) / 200)
    np.testing.assert_allclose(falk_weight_map(labels), np.where(labels > 0, 1, background), rtol=1e-5, atol=1e-5)


def test_far_objects_and_large_sparse_values():
    labels = np.zeros((80, 200), np.int64)
    labels[30:40, 20:30], labels[30:40, 34:44], labels[30:40, 180:190] = 2**40, 7, 2**40 + 1
    np.testing.assert_allclose(weight_map(labels, class_balance=False), 1 + brute_force(labels, 10, 5), atol=1e-5)


@pytest.mark.parametrize(
    "labels", [np.zeros((9, 9), int), np.ones((9, 9), int), np.zeros((0, 4), int), np.eye(3, dtype=bool)]
)
def test_without_two_objects_all_weights_are_1(labels):
    weights = weight_map(labels, class_balance=False)
    assert weights.dtype == np.float32
    assert (weights == 1).all()


def test_class_balance_gives_both_the_same_total():
    labels = np.zeros((20, 20), int)
    labels[:5, :4] = 1
    weights = weight_map(labels)
    assert weights[labels > 0].sum() == pytest.approx(weights[labels == 0].sum(), rel=1e-5)
    assert weights.mean() == pytest.approx(1, rel=1e-5)


def test_w0_zero_switches_the_term_off():
    assert not boundary_term(np.array([[1, 0, 2]]), 0, 5).any()
    assert reach(0, 5) == 0
