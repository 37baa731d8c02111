"""Where a stroke teaches most."""

import numpy as np
import pytest

from napari_unet.prediction.advice import distance_to, doubt, places, rarity

SURE = 0.98


def chances_of(labels, classes=2):
    """Nearly sure of `labels` (0, 1, ...)."""
    rest = (1 - SURE) / (classes - 1)
    return np.stack([np.where(labels == value, SURE, rest) for value in range(classes)])


@pytest.fixture
def unsure_spots():
    """A sure plane with two spots of doubt, one as large as the other."""
    chances = chances_of(np.zeros((128, 192), int))
    for column in (40, 140):
        chances[:, 60:70, column : column + 10] = 0.5
    return chances


def test_doubt_is_nothing_when_sure_and_largest_when_all_classes_are_alike():
    sure, even = np.array([1.0, 0.0, 0.0]).reshape(3, 1, 1), np.full((3, 1, 1), 1 / 3)
    assert doubt(sure).item() == pytest.approx(0)
    assert doubt(even).item() == pytest.approx(0.5)


def test_opinions_that_differ_are_doubt_although_each_is_sure():
    one, other = np.array([1.0, 0.0]).reshape(2, 1, 1), np.array([0.0, 1.0]).reshape(2, 1, 1)
    assert doubt(one, other).item() == pytest.approx(1)
    assert doubt(one, one).item() == pytest.approx(0)


def test_distance_without_strokes_is_infinite():
    assert np.isinf(distance_to(np.zeros((4, 5), bool))).all()


def test_a_place_far_from_strokes_comes_first_and_a_painted_one_never(unsure_spots):
    painted = np.zeros((128, 192), bool)
    painted[60:70, 40:50] = True
    found = places(unsure_spots, distance_to(painted), [100, 100], count=5)
    assert 60 <= found[0].point[0] < 70
    assert 140 <= found[0].point[1] < 150
    assert not any(painted[place.point] for place in found)


def test_places_are_apart(unsure_spots):
    distance = distance_to(np.zeros((128, 192), bool))
    first, second = places(unsure_spots, distance, [1, 1], count=2)
    assert {first.point[1] // 100, second.point[1] // 100} == {0, 1}


def test_a_rare_class_comes_before_a_common_one():
    chances = chances_of(np.zeros((64, 160), int), classes=3)
    chances[:, 20:30, 20:30] = np.array([0.25, 0.75, 0.0]).reshape(3, 1, 1)
    chances[:, 20:30, 120:130] = np.array([0.25, 0.0, 0.75]).reshape(3, 1, 1)
    distance = distance_to(np.zeros((64, 160), bool))
    by_rarity = [places(chances, distance, painted, count=1)[0].value for painted in ([99, 9, 900], [99, 900, 9])]
    assert by_rarity == [2, 3]


def test_the_brush_is_of_the_likely_class_and_the_point_where_it_lies_in_the_image():
    chances = chances_of(np.zeros((64, 64), int))
    chances[:, 30:40, 30:40] = np.array([0.25, 0.75]).reshape(2, 1, 1)
    (place,) = places(chances, distance_to(np.zeros((64, 64), bool)), [50, 50], origin=(1000, 2000), lead=(7,), count=1)
    assert (place.value, place.second) == (2, 1)
    assert place.point[0] == 7
    assert 1030 <= place.point[1] < 1040
    assert 2030 <= place.point[2] < 2040


def test_where_all_is_sure_there_is_no_place():
    chances = np.stack([np.ones((32, 32)), np.zeros((32, 32))])
    assert places(chances, distance_to(np.zeros((32, 32), bool)), [1, 1]) == []


def test_volumes_have_places_too():
    chances = chances_of(np.zeros((24, 32, 32), int))
    chances[:, 10:14, 10:14, 20:24] = 0.5
    (place,) = places(chances, distance_to(np.zeros((24, 32, 32), bool)), [1, 1], count=1)
    assert all(a <= at < b for at, (a, b) in zip(place.point, [(10, 14), (10, 14), (20, 24)], strict=True))


def test_rarity_is_bounded_and_one_when_all_are_alike():
    assert rarity([5, 5, 5]).tolist() == pytest.approx([1, 1, 1])
    assert rarity([10**9, 0]).max() == 3
