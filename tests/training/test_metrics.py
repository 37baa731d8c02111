"""Scores against scikit-image, scikit-learn, brute force, and cases worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.metrics import adapted_rand_error, variation_of_information
from skimage.segmentation import find_boundaries

from napari_unet.errors import ImageError
from napari_unet.training.metrics import score
from napari_unet.training.tally import THRESHOLDS
from napari_unet.training.warping import _simple_points, warped_errors

metrics = pytest.importorskip("sklearn.metrics")


def objects(seed, shape=(48, 56), shift=0):
    """Blobs with numbers that have gaps, some of them touching."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(shape, int)
    for number in range(1, 13):
        seeds[tuple(rng.integers(n) for n in shape)] = 3 * number
    distance, place = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    return np.roll(np.where(distance < 8, seeds[tuple(place)], 0), shift, axis=0)


def flat(scores):
    """Scores without nesting, for comparison."""
    nested = scores["per_class"].items()
    rest = {name: value for name, value in scores.items() if name != "per_class"}
    return rest | {f"{label} {name}": value for label, of in nested for name, value in of.items()}


PAIRS = [(objects(0), objects(0, shift=2)), (objects(1), objects(2)), (objects(3), objects(3) > 0)]
label_images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 3))


@pytest.mark.parametrize(("prediction", "truth"), PAIRS)
def test_rand_and_variation_of_information_equal_scikit_image(prediction, truth):
    found = score(prediction, truth, task="instances")
    error, _, _ = adapted_rand_error(truth.astype(int), prediction)
    assert found["rand_error"] == pytest.approx(error)
    split, merge = variation_of_information(truth.astype(int), prediction)
    assert (found["voi_split"], found["voi_merge"]) == pytest.approx((split, merge))


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_pixel_scores_equal_scikit_learn(data):
    truth = data.draw(label_images)
    prediction = data.draw(hnp.arrays(np.uint8, truth.shape, elements=st.integers(0, 3)))
    found = score(prediction, truth)["per_class"]
    present = sorted({*np.unique(truth), *np.unique(prediction)} - {0})
    assert list(found) == [str(value) for value in present]
    options = {"labels": present, "average": None, "zero_division": 0}
    for name, function in (
        ("iou", metrics.jaccard_score),
        ("dice", metrics.f1_score),
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
    ):
        expected = function(truth.ravel(), prediction.ravel(), **options) if present else []
        np.testing.assert_allclose([found[str(value)][name] for value in present], expected)


def iou_table(prediction, truth):
    """Every object with every object, as it is defined."""
    table = np.zeros((prediction.max(), truth.max()))
    for p, t in itertools.product(range(1, prediction.max() + 1), range(1, truth.max() + 1)):
        union = ((prediction == p) | (truth == t)).sum()
        table[p - 1, t - 1] = ((prediction == p) & (truth == t)).sum() / max(union, 1)
    return table


@pytest.mark.parametrize(("prediction", "truth"), PAIRS)
def test_average_precision_and_panoptic_quality_equal_their_definition(prediction, truth):
    from scipy.optimize import linear_sum_assignment

    found = score(prediction, truth, task="instances")
    p, t = (np.unique(image, return_inverse=True)[1].reshape(image.shape) for image in (prediction, truth))
    table = iou_table(p, t)
    values = []
    for limit in THRESHOLDS:
        matched = (table >= limit)[linear_sum_assignment(-(table >= limit).astype(float))].sum()
        values.append(matched / (p.max() + t.max() - matched))
    assert found["ap50"] == pytest.approx(values[0])
    assert found["ap"] == pytest.approx(np.mean(values))
    expected = table[table > 0.5].sum() / ((p.max() + t.max()) / 2)
    assert found["panoptic_quality"] == pytest.approx(expected)
    assert (found["predicted_objects"], found["true_objects"]) == (p.max(), t.max())


def test_two_halves_at_exactly_one_half_match_once():
    truth = np.array([[1, 1, 2, 2]])
    found = score(np.ones((1, 4), int), truth, task="instances")
    assert found["ap50"] == pytest.approx(1 / 2)
    assert found["panoptic_quality"] == 0


@given(label_images, st.sampled_from(["semantic", "instances"]))
@settings(deadline=None, max_examples=60)
def test_the_truth_is_perfect(truth, task):
    found = score(truth, truth, task=task)
    for name in ("iou", "dice", "boundary_f1", "ap50", "ap", "panoptic_quality"):
        assert found[name] == pytest.approx(1), name
    for name in ("pixel_error", "rand_error", "warping_error", "voi_split", "voi_merge"):
        assert found[name] == pytest.approx(0, abs=1e-12), name


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_scores_stay_in_their_range_and_ignore_how_objects_are_numbered(data):
    truth = data.draw(label_images)
    prediction = data.draw(hnp.arrays(np.uint8, truth.shape, elements=st.integers(0, 3)))
    found = score(prediction, truth, task="instances")
    for name, value in found.items():
        if isinstance(value, float):
            assert 0 <= value <= (1 if "voi" not in name else 8), name
    other = np.array([0, 90, 7, 200], np.uint8)
    assert flat(score(other[prediction], other[truth], task="instances")) == pytest.approx(flat(found))


def test_a_case_by_hand():
    truth = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2]])
    prediction = np.array([[1, 1, 0, 0, 3], [1, 0, 0, 0, 0]])
    found = score(prediction, truth, task="instances")
    assert found["iou"] == pytest.approx(4 / 8)
    assert found["dice"] == pytest.approx(8 / 12)
    assert (found["precision"], found["recall"]) == (1, 0.5)
    assert found["pixel_error"] == pytest.approx(0.4)
    assert found["ap50"] == pytest.approx(1 / 3)  # 3 of 4 pixels match, 1 of 4 does not
    assert found["ap"] == pytest.approx((6 / 3) / 10)  # matched at 0.50 to 0.75
    assert found["panoptic_quality"] == pytest.approx(0.75 / 2)


def test_nothing_to_find():
    empty, full = np.zeros((6, 6), int), np.ones((6, 6), int)
    perfect = score(empty, empty)
    assert (perfect["iou"], perfect["ap50"], perfect["boundary_f1"], perfect["rand_error"]) == (1, 1, 1, 0)
    missed, invented = score(empty, full), score(full, empty)
    assert missed["iou"] == invented["iou"] == missed["ap50"] == invented["ap50"] == 0
    assert missed["recall"] == invented["precision"] == 0
    assert missed["warping_error"] == pytest.approx(1 / 36)  # it shrinks to one pixel, which cannot go


def test_classes_are_scored_one_by_one_and_objects_keep_their_class():
    truth = np.array([[1, 1, 0, 2, 2, 2]])
    prediction = np.array([[2, 2, 0, 2, 2, 2]])
    found = score(prediction, truth, classes=["background", "nucleus", "debris"])
    assert found["per_class"]["nucleus"]["iou"] == 0
    assert found["per_class"]["debris"]["iou"] == pytest.approx(3 / 5)
    assert found["iou"] == pytest.approx(0.3)
    assert found["ap50"] == pytest.approx(1 / 3)


def test_predicted_labels_and_strokes_have_background_one():
    truth = np.array([[0, 0, 3, 3, 0, 7, 7]])
    labels = np.array([[1, 1, 2, 2, 1, 1, 2]])
    assert score(labels, truth > 0, prediction_background=1)["iou"] == pytest.approx(3 / 4)
    strokes = np.array([[1, 0, 2, 0, 0, 2, 0]])
    found = score(labels, strokes, prediction_background=1, truth_background=1)
    assert found["iou"] == pytest.approx(1 / 2)
    assert found["pixel_error"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("task", ["semantic", "instances"])
def test_void_pixels_change_nothing(task):
    truth, prediction = objects(0) % 200, objects(1)
    truth[:, :20] = 255
    found = score(prediction, truth, task=task, void=255)
    noise = prediction.copy()
    noise[:, :20] = np.random.default_rng(0).integers(0, 99, (48, 20))
    assert flat(score(noise, truth, task=task, void=255)) == pytest.approx(flat(found))
    if task == "instances":
        inside = score(prediction[:, 20:], truth[:, 20:], task=task)
        for name in ("iou", "ap", "rand_error", "voi_split", "voi_merge", "panoptic_quality", "pixel_error"):
            assert found[name] == pytest.approx(inside[name]), name
    assert score(prediction, np.full_like(truth, 255), void=255)["iou"] == 1


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_boundaries_within_the_tolerance_agree(shift):
    truth = np.zeros((40, 40), int)
    truth[10:30, 10:30] = 1
    moved = np.roll(truth, shift, axis=(0, 1))
    exact, loose = (score(moved, truth, tolerance=t)["boundary_f1"] for t in (0.0, 5.0))
    assert exact < 0.7
    assert loose == 1
    near = score(moved, truth, tolerance=1.0)["boundary_f1"]
    edges = [find_boundaries(image, connectivity=1, mode="thick") for image in (moved, truth)]
    hits = [(ndimage.distance_transform_edt(~b)[a] <= 1).mean() for a, b in (edges, edges[::-1])]
    assert near == pytest.approx(2 * hits[0] * hits[1] / sum(hits))


def test_lists_are_pooled_and_scored_one_by_one():
    truths = [objects(0), objects(1, (30, 80))]
    predictions = [objects(0, shift=2), objects(2, (30, 80))]
    found = score(predictions, truths, task="instances")
    singles = [score(p, t, task="instances") for p, t in zip(predictions, truths, strict=True)]
    assert found.pop("images") == singles
    whole = [np.concatenate([image.ravel() > 0 for image in images]) for images in (predictions, truths)]
    assert found["iou"] == pytest.approx(metrics.jaccard_score(whole[1], whole[0]))
    assert found["true_objects"] == sum(s["true_objects"] for s in singles)
    weights = [t.size for t in truths]
    for name in ("pixel_error", "warping_error", "voi_split", "voi_merge"):
        assert found[name] == pytest.approx(np.average([s[name] for s in singles], weights=weights)), name


# ------------------------------------------------------------------ warping


def test_moved_and_swollen_objects_cost_nothing():
    truth = np.zeros((30, 30), bool)
    truth[5:15, 5:15] = True
    assert warped_errors(ndimage.binary_dilation(truth, iterations=4), truth) == 0
    assert warped_errors(ndimage.binary_erosion(truth, iterations=3), truth) == 0
    assert warped_errors(np.roll(truth, 4, axis=1), truth) == 0


CHANGES = {
    "a cut across, bridged by one pixel": (np.s_[10, 5:15], 1),
    "a wide cut, bridged by a line of three": (np.s_[9:12, 5:15], 3),
    "a hole, which cannot be opened": (np.s_[9:12, 9:12], 9),
    "a slit inside, which cannot be opened": (np.s_[10, 8:11], 3),
    "an object missed, shrunk to one pixel": (np.s_[5:15, 5:15], 1),
    "a notch, which is only a bend": (np.s_[5:9, 9:12], 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_topology_cost(name):
    truth = np.zeros((30, 30), bool)
    truth[5:15, 5:15] = True
    change, cost = CHANGES[name]
    prediction = truth.copy()
    prediction[change] = False
    assert warped_errors(prediction, truth) == cost


def test_a_bridge_and_an_invention_cost():
    truth = np.zeros((20, 30), bool)
    truth[5:15, 3:12] = truth[5:15, 18:27] = True
    bridge, invention = truth.copy(), truth.copy()
    bridge[9:11, 12:18] = True
    invention[1:3, 13:16] = True
    assert warped_errors(bridge, truth) == 2
    assert warped_errors(invention, truth) == 6


@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.data())
@settings(deadline=None, max_examples=80)
def test_what_was_warped_has_the_topology_of_the_truth(truth, data):
    from napari_unet.training import warping

    prediction = data.draw(hnp.arrays(bool, truth.shape))
    errors = warped_errors(prediction, truth)
    assert 0 <= errors <= (prediction != truth).sum()
    warped = np.pad(truth, 1)
    target = np.pad(prediction, 1)
    wrong = np.argwhere(warped != target)
    changed = True
    while changed:  # the same warp, one pixel at a time
        changed = False
        for parity in itertools.product((0, 1), (0, 1)):
            for place in [w for w in wrong if tuple(w % 2) == parity and warped[tuple(w)] != target[tuple(w)]]:
                if _simple_points()[warping._codes(warped, place[None])[0]]:
                    warped[tuple(place)] ^= True
                    changed = True
    assert (warped != target).sum() == errors
    square = ndimage.generate_binary_structure(2, 2)
    assert ndimage.label(warped)[1] == ndimage.label(np.pad(truth, 1))[1]
    assert ndimage.label(~warped, square)[1] == ndimage.label(~np.pad(truth, 1), square)[1]


def test_touching_objects_are_told_apart():
    truth = np.zeros((10, 20), int)
    truth[2:8, 2:10], truth[2:8, 10:18] = 1, 2
    merged = (truth > 0).astype(int)
    assert score(truth, truth, task="instances")["warping_error"] == 0
    assert score(merged, truth, task="instances")["warping_error"] > 0


def test_stacks_are_warped_plane_by_plane():
    truth = np.zeros((2, 12, 12), int)
    truth[:, 3:9, 3:9] = 1
    prediction = truth.copy()
    prediction[1] = 0
    assert score(prediction, truth)["warping_error"] == pytest.approx(1 / truth.size)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("prediction", "truth", "sentence"),
    [
        (np.zeros((3, 4), int), np.zeros((4, 3), int), "one shape"),
        (np.zeros(4, int), np.zeros(4, int), "one shape"),
        (np.zeros((3, 4)), np.zeros((3, 4), int), "whole numbers"),
        ([np.zeros((3, 4), int)], [], "one truth for each"),
        ([], [], "one truth for each"),
    ],
)
def test_bad_input_is_one_sentence(prediction, truth, sentence):
    with pytest.raises(ImageError, match=sentence):
        score(prediction, truth)
