import numpy as np
import pytest

from napari_unet._napari import mirror as module
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
    assert mirror.copy(strokes, ((2, 3), (8, 12), (8, 12))) == [((2, 3), (10, 11), (10, 11))]
    assert read(mirror)[2, 10, 10] == 1
    assert read(mirror)[2, 0, 0] == 0
    assert mirror.counts[1] == 1


def test_nothing_new_is_no_box(mirror, strokes):
    mirror.doubt()
    assert mirror.look(strokes) == []


def test_a_look_finds_erased_and_painted_planes(mirror, strokes):
    strokes[1] = 0
    strokes[3, 7, 7] = 1
    mirror.doubt()
    assert sorted(mirror.look(strokes)) == [((1, 2), (3, 6), (4, 8)), ((3, 4), (7, 8), (7, 8))]
    assert np.array_equal(read(mirror), strokes)
    assert mirror.counts[:3].tolist() == [strokes.size - 1, 1, 0]


def test_large_values_are_counted_together():
    mirror = StrokesMirror(np.array([[1, 300, 70_000]], np.int32))
    assert mirror.counts[255] == 2
    mirror.close()


# ---------------------------------------------------------------------- large strokes


@pytest.fixture
def large(monkeypatch):
    """Strokes that count as large, with something painted before anybody looked; no turn lasts longer than one look."""
    monkeypatch.setattr(module, "SMALL_PIXELS", 0)
    monkeypatch.setattr(module, "BAND_PIXELS", 512)
    data = np.zeros((8, 64, 64), np.uint8)
    data[6, 50, 3:9] = 2
    made = StrokesMirror(data)
    yield made, data
    made.close()


def test_large_strokes_are_read_a_little_in_each_turn(large):
    mirror, data = large
    assert not mirror.complete
    assert mirror.counts[2] == 0
    mirror.look(data, float("inf"))
    assert mirror.complete
    assert mirror.counts[2] == 6
    assert mirror.painted == (((6, 7), (50, 51), (3, 9)),)
    assert np.array_equal(read(mirror), data)


def test_a_stroke_does_not_wait_for_the_rest(large):
    mirror, data = large
    data[0, 5, 5] = 1
    assert mirror.copy(data, ((0, 1), (4, 7), (4, 7))) == [((0, 1), (5, 6), (5, 6))]
    assert not mirror.complete
    assert mirror.counts[1] == 1


def test_undo_is_found_by_looking_only_where_something_was_painted(large, monkeypatch):
    mirror, data = large
    mirror.look(data, float("inf"))
    data[6, 50, 3:9] = 0
    looked = []
    monkeypatch.setattr(mirror, "copy", lambda data, box: looked.append(box) or [])
    mirror.doubt_planes(((6, 7), (0, 64), (0, 64)))
    mirror.look(data, float("inf"))
    assert looked == [((6, 7), (0, 64), (0, 64))]
    looked.clear()
    mirror.doubt_planes(((2, 3), (0, 64), (0, 64)))
    mirror.look(data, float("inf"))
    assert not looked


def test_what_is_painted_far_apart_is_two_blocks_not_what_lies_between(large, monkeypatch):
    data = np.zeros((1024, 1024), np.uint8)
    mirror = StrokesMirror(data)
    mirror.look(data, float("inf"))
    for place in (10, 1000):
        data[place, place] = 1
        mirror.copy(data, ((place, place + 1), (place, place + 1)))
    looked = []
    monkeypatch.setattr(mirror, "copy", lambda data, box: looked.append(box) or [])
    mirror.doubt_planes(((0, 1024), (0, 1024)))
    mirror.look(data, float("inf"))
    assert sorted(looked) == [((0, 256), (0, 256)), ((768, 1024), (768, 1024))]
    mirror.close()
