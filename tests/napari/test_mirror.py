import numpy as np
import pytest

from napari_unet._napari.mirror import StrokesMirror
from napari_unet.session.arrays import close_array, open_array


@pytest.fixture
def strokes():
    data = np.zeros((4, 20, 30), np.uint8)
    data[1, 3:6, 4:8] = 2
    return data


@pytest.fixture
def mirror(strokes):
    made = StrokesMirror(strokes)
    yield made
    made.close()


def read(mirror):
    array, handle = open_array(mirror.ref)
    copy = np.array(array)
    del array
    close_array(handle)
    return copy


def test_starts_as_a_copy_and_counts(mirror, strokes):
    assert np.array_equal(read(mirror), strokes)
    assert mirror.counts[2] == 12
    assert mirror.counts.sum() == strokes.size


def test_only_the_box_is_copied(mirror, strokes):
    strokes[2, 0, 0] = 1
    strokes[2, 10, 10] = 1
    assert mirror.copy(strokes, ((2, 3), (8, 12), (8, 12))) == ((2, 3), (10, 11), (10, 11))
    assert read(mirror)[2, 10, 10] == 1
    assert read(mirror)[2, 0, 0] == 0
    assert mirror.counts[1] == 1


def test_nothing_new_is_no_box(mirror, strokes):
    assert mirror.sync(strokes) is None


def test_sync_finds_erased_and_painted_planes(mirror, strokes):
    strokes[1] = 0
    strokes[3, 7, 7] = 1
    assert mirror.sync(strokes) == ((1, 4), (3, 8), (4, 8))
    assert np.array_equal(read(mirror), strokes)
    assert mirror.counts[:3].tolist() == [strokes.size - 1, 1, 0]


def test_large_values_are_counted_together():
    mirror = StrokesMirror(np.array([[1, 300, 70_000]], np.int32))
    assert mirror.counts[255] == 2
    mirror.close()
