"""Strokes that a network does not fit."""

import numpy as np
import pytest

from napari_unet.prediction.checking import findings


@pytest.fixture
def plane():
    """Two cells on background, and a network that is sure of them."""
    cells = np.zeros((40, 60), bool)
    cells[5:15, 5:15] = cells[25:35, 40:50] = True
    foreground = np.where(cells, 0.97, 0.03)
    return cells, np.stack([1 - foreground, foreground])


def test_strokes_that_fit_are_not_spoken_of(plane):
    cells, chances = plane
    assert not list(findings(np.where(cells, 2, 1), chances))


def test_a_stroke_of_the_wrong_class_is_found_where_it_lies(plane):
    strokes = np.zeros((40, 60), int)
    strokes[10, 6:14] = 1
    strokes[30, 42:48] = 2
    (found,) = findings(strokes, plane[1])
    assert (found.kind, found.value, found.seen, found.size) == ("swapped", 1, 2, 8)
    assert strokes[found.point] == 1
    assert found.chance == pytest.approx(0.03)


def test_a_stroke_that_the_network_half_believes_is_a_misfit():
    strokes = np.zeros((20, 20), int)
    strokes[5, 2:12] = 2
    (found,) = findings(strokes, np.stack([np.full((20, 20), 0.6), np.full((20, 20), 0.4)]))
    assert found.kind == "misfit"


def test_one_value_on_two_objects_is_found_only_where_values_are_objects(plane):
    strokes = np.zeros((40, 60), int)
    strokes[10, 6:14] = strokes[30, 42:48] = 5
    strokes[7, 6:14] = 5
    (found,) = findings(strokes, plane[1], objects=True)
    assert found.kind == "shared"
    assert found.point[0] == 30
    strokes[strokes == 5] = 2
    assert not list(findings(strokes, plane[1]))


def test_specks_are_left_out(plane):
    strokes = np.zeros((40, 60), int)
    strokes[10, 6:9] = 1
    assert not list(findings(strokes, plane[1]))
