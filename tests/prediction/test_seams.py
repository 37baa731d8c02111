"""Objects over the borders of units: the partition, the numbers and the sizes of the whole array."""

from itertools import product

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label

from napari_unet.prediction.seams import BACKGROUND, object_table, renumber


def grid(shape, edges):
    """Units of at most `edges` pixels, the last ones smaller."""
    spans = [[slice(a, min(a + edge, n)) for a in range(0, n, edge)] for n, edge in zip(shape, edges, strict=True)]
    return list(product(*spans))


def by_units(image, units, *, holes=False):
    """Pieces of every unit by itself, and their kinds: the classes of `image`, whose 0 is background."""
    pieces, kinds = np.zeros(image.shape, np.uint32), []
    for unit in units:
        values = image[unit]
        found = label(values + 1 if holes else values, connectivity=1)
        kind = np.zeros(found.max() + 1, np.int16)
        kind[found.ravel()] = np.where(values == 0, BACKGROUND, values + 1).ravel()
        pieces[unit] = found
        kinds.append(kind[1:])
    return pieces, kinds


def join(image, units, *, holes=False, **options):
    pieces, kinds = by_units(image, units, holes=holes)
    table = object_table(pieces, units, kinds, **options)
    renumber(pieces, pieces, units, table)
    np.testing.assert_array_equal(np.bincount(pieces.ravel(), minlength=table.count + 1)[1:], table.sizes)
    return pieces


def ranked(objects):
    """The same partition, numbered by the first pixel in C order."""
    values, first, place = np.unique(objects, return_index=True, return_inverse=True)
    first[values == 0] = -1
    ranks = np.argsort(np.argsort(first)) + (0 not in values)
    return ranks[place.ravel()].reshape(objects.shape)


@st.composite
def cases(draw, classes=1):
    ndim = draw(st.integers(2, 3))
    shape = [draw(st.integers(1, [40, 14][ndim - 2])) for _ in range(ndim)]
    edges = [draw(st.integers(1, n + 3)) for n in shape]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    chance = draw(st.floats(0.2, 0.8))
    image = (rng.random(shape) < chance) * rng.integers(1, classes + 1, shape)
    return image, draw(st.permutations(grid(shape, edges)))


@settings(deadline=None, max_examples=150)
@given(cases(classes=2))
def test_joined_pieces_are_numbered_as_the_whole(case):
    image, units = case
    np.testing.assert_array_equal(join(image, units), ranked(label(image, connectivity=1)))


def filled(image, limit):
    """Holes as they are defined: small, not at the border, beside one object only."""
    objects = label(image, connectivity=1)
    gaps, count = ndimage.label(image == 0)
    for number in range(1, count + 1):
        gap = gaps == number
        around = ndimage.binary_dilation(gap) & ~gap
        border = any(gap.take(i, axis).any() for axis in range(gap.ndim) for i in (0, -1))
        owners = np.unique(objects[around])
        if not border and gap.sum() <= limit and len(owners) == 1:
            objects[gap] = owners[0]
    return objects


@settings(deadline=None, max_examples=150)
@given(cases(), st.integers(1, 12), st.integers(0, 6), st.integers(6, 300))
def test_holes_are_filled_and_sizes_kept_whatever_the_units(case, limit, low, high):
    image, units = case
    expected = filled(image, limit)
    sizes = np.bincount(expected.ravel())
    expected[((sizes < low) | (sizes > high))[expected]] = 0
    found = join(image, units, holes=True, fill_holes=limit, min_size=low, max_size=high)
    np.testing.assert_array_equal(found, ranked(expected))


@settings(deadline=None, max_examples=80)
@given(cases(classes=2))
def test_a_loose_piece_goes_to_the_object_it_touches_most(case):
    image, units = case
    pieces, kinds = by_units(image, units)
    kinds = [np.where(kind == 3, -2, kind) for kind in kinds]
    table = object_table(pieces, units, kinds)
    found = np.zeros_like(pieces)
    renumber(pieces, found, units, table)
    whole, loose = label(image == 1, connectivity=1), label(image == 2, connectivity=1)
    for number in range(1, loose.max() + 1):
        piece = loose == number
        times = np.zeros(whole.max() + 1, int)
        for axis, step in product(range(image.ndim), (-1, 1)):
            pad = np.pad(whole, 1)
            times += np.bincount(np.roll(pad, step, axis)[(slice(1, -1),) * image.ndim][piece], minlength=len(times))
        times[0] = 0
        expected = found[whole == times.argmax()] if times.any() else found[piece]
        assert set(found[piece]) == set(expected)
    assert (found > 0).tolist() == (image > 0).tolist()


def test_links_decide_where_they_are_given():
    pieces = np.array([[1, 1], [2, 2]], np.uint32)
    units = [(slice(0, 2), slice(0, 1)), (slice(0, 2), slice(1, 2))]
    pieces[0, 0] |= 1 << 30  # joined along axis 1
    found = np.zeros((2, 2), int)
    renumber(pieces, found, units, object_table(pieces, units, [2, 2], linked=True))
    assert found.tolist() == [[1, 1], [2, 3]]


def test_zarr_in_and_zarr_out(tmp_path):
    image = np.random.default_rng(0).random((20, 30, 25)) < 0.4
    units = grid(image.shape, (8, 8, 8))
    pieces, kinds = by_units(image.astype(int), units)
    source, target = (
        zarr.create_array(tmp_path / name, shape=image.shape, chunks=(8, 8, 8), dtype=np.uint32) for name in "ab"
    )
    source[:] = pieces
    renumber(source, target, units, object_table(source, units, kinds))
    np.testing.assert_array_equal(target[:], ranked(label(image, connectivity=1)))


def test_an_object_over_all_units_is_one():
    image = np.zeros((64, 64), int)
    image[::2] = 1
    image[1::4, -1] = image[3::4, 0] = 1  # a snake
    assert join(image, grid(image.shape, (5, 7))).max() == 1


@pytest.mark.parametrize("units", [[], [(slice(0, 0), slice(0, 5))]])
def test_nothing_at_all(units):
    table = object_table(np.zeros((5, 5), np.uint32), units, [0] * len(units))
    assert table.count == 0


def test_part_of_an_array_only():
    pieces = np.ones((4, 12), np.uint32)
    units = [(slice(0, 4), slice(2, 5)), (slice(0, 4), slice(5, 9))]
    table = object_table(pieces, units, [1, 1])
    assert table.count == 1
    assert table.sizes.tolist() == [28]


def test_ten_million_objects_are_joined():
    edge, count = 1024, 1024 * 1024
    block = np.arange(1, count + 1, dtype=np.uint32).reshape(edge, edge)
    block[:, -1] |= 1 << 30  # the last pixel of each row is joined to the next unit's

    class Repeated:
        shape, dtype = (2 * edge, 5 * edge), block.dtype

        def __getitem__(self, index):
            return block

    units = grid(Repeated.shape, (edge, edge))
    table = object_table(Repeated(), units, [count] * len(units), linked=True)
    assert table.count == 10 * count - 8 * edge > 10_000_000
    assert table.renumbered(len(units) - 1, block).max() == table.count
