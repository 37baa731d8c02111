"""Scores against masks of each meaning."""

import numpy as np
import pytest

from napari_unet.errors import ImageError
from napari_unet.session.arrays import SharedArray
from napari_unet.session.commands import Compare
from napari_unet.session.comparing import compare_with
from napari_unet.session.core import SessionCore
from napari_unet.session.messages import Compared, Failed


@pytest.fixture
def truth():
    made = np.zeros((12, 12), np.int32)
    made[2:6, 2:6], made[8:11, 8:11] = 4, 9
    return made


def test_objects_are_matched_with_the_pieces_of_the_foreground(truth):
    scores = compare_with(np.where(truth == 4, 2, 1), truth, "objects")
    assert (scores["true_objects"], scores["predicted_objects"]) == (2, 1)
    assert scores["ap50"] == 0.5


def test_classes_count_from_the_background(truth):
    classes = np.searchsorted((0, 4, 9), truth)
    scores = compare_with(classes + 1, classes, "classes", classes=("background", "cell", "dirt"))
    assert set(scores["per_class"]) == {"cell", "dirt"}
    assert scores["iou"] == 1


def test_what_is_not_known_or_not_predicted_is_left_out(truth):
    prediction = np.full((12, 12), 2)
    prediction[:, 6:] = 0
    assert compare_with(prediction, truth, "objects")["compared"] == 0.5
    strokes = np.where(truth == 4, 2, 0)
    scores = compare_with(prediction, strokes, "strokes")
    assert scores["iou"] == 1
    assert scores["compared"] == pytest.approx(16 / 144)


def test_planes_are_pooled(truth):
    stack = np.stack([truth, np.zeros_like(truth)])
    wrong = np.where(stack, 2, 1)
    wrong[1] = 2
    assert compare_with(wrong, stack, "objects")["predicted_objects"] == 3


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_the_session_answers_with_scores_or_a_sentence(truth, dtype):
    prediction, shared = (SharedArray(truth.shape, kind) for kind in (np.uint8, dtype))
    prediction.array[...], shared.array[...] = np.where(truth, 2, 1), truth
    (answer,) = SessionCore("cpu").handle(Compare(5, prediction.ref, shared.ref, "objects"))
    prediction.close()
    shared.close()
    assert answer.request == 5
    assert isinstance(answer, Compared)
    assert answer.scores["iou"] == 1


def test_shapes_that_differ_are_a_sentence(truth):
    with pytest.raises(ImageError):
        compare_with(np.ones((12, 12)), np.zeros((12, 12), np.float32) + 0.5, "classes")
    shared = SharedArray((4, 4), np.float32)
    other = SharedArray((4, 4), np.float32)
    shared.array[...], other.array[...] = 1, 0.5
    (answer,) = SessionCore("cpu").handle(Compare(7, shared.ref, other.ref, "classes"))
    shared.close()
    other.close()
    assert isinstance(answer, Failed)
    assert answer.request == 7
