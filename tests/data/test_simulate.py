"""Simulated strokes: true, deterministic, few, and where a person would paint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_unet.data.simulate import correct_strokes, paint_strokes
from napari_unet.data.synthetic import touching_cells
from napari_unet.errors import AnnotationError

LABELS = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]),
    hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=20),
    elements=st.integers(0, 3),
)


def contradictions(strokes, labels):
    return np.count_nonzero((strokes == 1) & (labels > 0)) + np.count_nonzero((strokes == 2) & (labels == 0))


@given(labels=LABELS, seed=st.integers(0, 99), fraction=st.floats(0.001, 1), brush=st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_strokes_never_contradict_the_truth(labels, seed, fraction, brush):
    strokes = paint_strokes(labels, seed, fraction, brush)
    assert strokes.shape == labels.shape
    assert strokes.dtype == np.uint8
    assert contradictions(strokes, labels) == 0
    assert strokes.any()


@given(labels=LABELS, seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_a_plane_with_both_classes_gets_strokes_of_both(labels, seed):
    labels = labels.reshape(-1, labels.shape[-1])
    strokes = paint_strokes(labels, seed)
    assert (strokes == 2).any() == (labels > 0).any()
    assert (strokes == 1).any() == (labels == 0).any()


@given(data=st.data(), labels=LABELS, seed=st.integers(0, 99), count=st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_corrections_are_true_and_keep_what_is_painted(data, labels, seed, count):
    prediction = data.draw(hnp.arrays(np.uint8, labels.shape, elements=st.integers(1, 2)))
    strokes = paint_strokes(labels, seed)
    corrected = correct_strokes(prediction, labels, strokes, count, seed)
    assert contradictions(corrected, labels) == 0
    assert np.array_equal(corrected[strokes > 0], strokes[strokes > 0])


@pytest.mark.parametrize("fraction", [0.005, 0.01, 0.03])
@pytest.mark.parametrize("shape", [(256, 256), (24, 128, 128)])
def test_about_the_fraction_is_painted(shape, fraction):
    labels = touching_cells(shape, seed=1).labels
    painted = (paint_strokes(labels, 1, fraction) > 0).mean()
    assert 0.8 * fraction < painted < 1.3 * fraction


def test_both_classes_get_a_fair_share_and_several_objects_are_painted():
    labels = touching_cells((256, 256), seed=2).labels
    strokes = paint_strokes(labels, seed=2)
    assert 0.2 < np.mean(strokes[strokes > 0] == 2) < 0.6
    assert len(np.unique(labels[strokes == 2])) >= 4


def test_some_background_is_close_to_objects_and_some_is_free():
    labels = touching_cells((256, 256), seed=2, density=0.25).labels
    strokes = paint_strokes(labels, seed=3)
    distance = ndimage.distance_transform_edt(labels == 0)[strokes == 1]
    assert np.mean(distance < 7) > 0.3
    assert np.mean(distance > 9) > 0.1


@pytest.mark.parametrize("pairs", [1, 2, 5])
def test_so_many_objects_get_a_stroke_and_one_around_them(pairs):
    labels = touching_cells((256, 256), seed=3).labels
    strokes = paint_strokes(labels, seed=1, pairs=pairs)
    assert len(np.unique(labels[strokes == 2])) == pairs
    assert 1 <= ndimage.label(strokes == 1, np.ones((3, 3)))[1] <= pairs
    assert ndimage.distance_transform_edt(labels == 0)[strokes == 1].max() < 12
    assert contradictions(strokes, labels) == 0


def test_a_stack_is_painted_on_a_few_planes():
    labels = touching_cells((25, 96, 96), seed=2).labels
    planes = np.flatnonzero(paint_strokes(labels, seed=0).any(axis=(1, 2)))
    assert 3 <= len(planes) <= 5


def test_thin_membranes_are_followed():
    membranes = np.ones((128, 128), np.uint8)
    membranes[::32] = membranes[:, ::32] = 0
    membranes[1::32] = membranes[:, 1::32] = 0
    strokes = paint_strokes(membranes, seed=0, fraction=0.02)
    assert np.count_nonzero(strokes == 1) > 50
    assert contradictions(strokes, membranes) == 0


def test_the_seed_decides_everything():
    labels = touching_cells((128, 128), seed=2).labels
    first, again, other = (paint_strokes(labels, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    wrong = np.ones_like(labels)
    assert np.array_equal(correct_strokes(wrong, labels, first, seed=4), correct_strokes(wrong, labels, first, seed=4))


def test_the_largest_error_is_corrected_first_and_nothing_else():
    labels = np.zeros((96, 96), np.uint8)
    labels[10:20, 10:20] = 1
    labels[40:80, 40:80] = 2
    nothing = np.zeros_like(labels)
    corrected = correct_strokes(np.ones_like(labels), labels, nothing, count=1)
    assert set(np.unique(labels[corrected > 0])) == {2}
    assert np.array_equal(correct_strokes(np.where(labels, 2, 1), labels, nothing, count=5), nothing)


def test_false_objects_are_corrected_to_background():
    labels = np.zeros((64, 64), np.uint8)
    labels[:8] = 1
    prediction = np.full_like(labels, 2)
    corrected = correct_strokes(prediction, labels, np.zeros_like(labels), count=2)
    assert set(np.unique(corrected)) == {0, 1}
    assert np.count_nonzero(corrected) > 20


def test_corrections_do_not_change_their_input():
    labels = touching_cells((64, 64), seed=2).labels
    strokes = np.zeros(labels.shape, np.uint8)
    assert correct_strokes(np.ones_like(labels), labels, strokes).any()
    assert not strokes.any()


@pytest.mark.parametrize(
    ("labels", "fraction", "brush"),
    [
        (np.zeros((4, 4)), 0.1, 3),
        (np.zeros(4, int), 0.1, 3),
        (np.zeros((4, 4), int), 0.0, 3),
        (np.zeros((4, 4), int), 1.5, 3),
        (np.zeros((4, 4), int), 0.1, 0),
    ],
)
def test_bad_arguments_get_one_sentence(labels, fraction, brush):
    with pytest.raises(AnnotationError, match=r"give|paint|take"):
        paint_strokes(labels, 0, fraction, brush)


def test_shapes_must_agree():
    with pytest.raises(AnnotationError, match="one shape"):
        correct_strokes(np.ones((4, 5), int), np.ones((4, 4), int), np.zeros((4, 4), np.uint8))
