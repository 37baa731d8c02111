import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet._napari import boxes


def test_union_takes_both_and_none_is_nothing():
    assert boxes.union(((0, 2), (5, 6)), ((1, 4), (2, 3))) == ((0, 4), (2, 6))
    assert boxes.union(None, ((1, 2),)) == ((1, 2),)
    assert boxes.union(None, None) is None


def test_inside_cuts_and_drops_what_is_outside():
    assert boxes.inside(((-3, 5), (2, 99)), (10, 10)) == ((0, 5), (2, 10))
    assert boxes.inside(((10, 12), (0, 5)), (10, 10)) is None


@given(st.integers(0, 50), st.integers(1, 60), st.floats(-20, 120), st.integers(1, 40))
def test_around_stays_inside_and_is_as_large_as_it_may(start, size, centre, edge):
    ((first, last),) = boxes.around(((start, start + size),), (centre,), edge)
    assert start <= first < last <= start + size
    assert last - first == min(size, edge)


@pytest.mark.parametrize(
    "place",
    [(slice(3, 6), slice(None)), (np.array([3, 5, 4]), np.array([0, 7, 2]))],
    ids=["slices of napari 0.9", "arrays of indices"],
)
def test_painted_box_holds_the_edit(place):
    assert boxes.painted_box([(place, None, 0)], (10, 8)) == ((3, 6), (0, 8))


def test_an_edit_that_is_not_understood_is_taken_as_everything():
    assert boxes.painted_box([("??", None, 0)], (10, 8)) == ((0, 10), (0, 8))
    assert boxes.painted_box([], (10, 8)) == ((0, 10), (0, 8))
