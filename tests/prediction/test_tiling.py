"""Tiles as pure geometry: coverage, context, grid, on ugly shapes."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.networks.geometry import Geometry
from napari_unet.prediction.tiling import plan_tiles


@st.composite
def geometries(draw, ndim):
    stride = tuple(draw(st.sampled_from([1, 2, 4, 8, 16, 3])) for _ in range(ndim))
    halo = tuple(draw(st.integers(0, 40)) for _ in range(ndim))
    margin = tuple(draw(st.integers(0, h)) for h in halo) if draw(st.booleans()) else (0,) * ndim
    residue = tuple(draw(st.integers(0, s - 1)) for s in stride)
    context = tuple(max(0, h - draw(st.integers(0, s - 1))) for h, s in zip(halo, stride, strict=True))
    return Geometry(stride, halo, margin, residue, context=context if draw(st.booleans()) else ())


def needs(geometry, axis, write):
    """First and last but one pixel that the network must see to write this span."""
    if not geometry.context or geometry.margin[axis]:
        context = geometry.margin[axis] or geometry.halo[axis]
        return write.start - context, write.stop + context
    stride, context = geometry.stride[axis], geometry.context[axis]
    return write.start // stride * stride - context, -(-write.stop // stride) * stride + context


@st.composite
def cases(draw):
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, [200, 60, 25][ndim - 1])) for _ in range(ndim))
    box = None
    if draw(st.booleans()):
        starts = [draw(st.integers(0, n - 1)) for n in shape]
        box = [slice(a, draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True)]
    unit = [draw(st.integers(1, 20)) for _ in shape] if draw(st.booleans()) else None
    return shape, draw(st.integers(1, 70)), draw(geometries(ndim)), box, unit


@given(cases())
def test_every_pixel_of_the_box_is_written_once_and_no_other(case):
    shape, tile, geometry, box, unit = case
    written = np.zeros(shape, int)
    for part in plan_tiles(shape, tile, geometry, box=box, unit=unit):
        written[part.write] += 1
    expected = np.zeros(shape, int)
    expected[tuple(box or [slice(None)] * len(shape))] = 1
    np.testing.assert_array_equal(written, expected)


@given(cases())
def test_every_tile_reads_its_context_on_the_grid_of_the_network(case):
    shape, tile, geometry, box, unit = case
    plan = plan_tiles(shape, tile, geometry, box=box, unit=unit)
    for part in plan:
        for i, (write, start, stop, crop) in enumerate(zip(part.write, part.start, part.stop, part.crop, strict=True)):
            first, last = needs(geometry, i, write)
            assert start <= first
            assert stop >= last
            assert start % geometry.stride[i] == 0
            assert (stop - start) % geometry.stride[i] == geometry.residue[i]
            assert start + geometry.margin[i] + crop.start == write.start
            assert crop.stop - crop.start == write.stop - write.start
            assert crop.start >= 0
            assert crop.stop <= stop - start - 2 * geometry.margin[i]
        assert tuple(b - a for a, b in zip(part.start, part.stop, strict=True)) == plan.read_shape


@given(cases())
def test_no_tile_is_much_larger_than_asked_nor_reads_much_more_than_it_needs(case):
    shape, tile, geometry, box, unit = case
    plan = plan_tiles(shape, tile, geometry, box=box, unit=unit)
    for i, spans in enumerate(plan.spans):
        step = unit[i] if unit else geometry.stride[i]
        largest = max(b - a for a, b, _ in spans)
        assert largest <= tile + 2 * step
        spread = max(stop - start for start, stop in (needs(geometry, i, slice(a, b)) for a, b, _ in spans))
        assert plan.read_shape[i] < spread + 2 * geometry.stride[i]


@given(cases())
def test_tiles_share_no_unit_of_the_target(case):
    shape, tile, geometry, box, unit = case
    if unit is None:
        return
    for spans, size in zip(plan_tiles(shape, tile, geometry, box=box, unit=unit).spans, unit, strict=True):
        assert all((left[1] - 1) // size < right[0] // size for left, right in pairwise(spans))


@given(cases())
def test_tiles_are_balanced(case):
    shape, tile, geometry, _, _ = case
    for i, spans in enumerate(plan_tiles(shape, tile, geometry).spans):
        inner = [b - a for a, b, _ in spans[1:-1]]
        assert not inner or max(inner) - min(inner) <= geometry.stride[i]


def test_a_view_is_one_tile():
    geometry = Geometry((16, 16), (94, 94), (0, 0), (0, 0))
    plan = plan_tiles((4096, 4096), 512, geometry, box=[slice(1000, 1512), slice(77, 589)])
    assert len(plan) == 1
    assert max(plan.read_shape) <= 512 + 2 * 94 + 2 * 16


def test_a_small_image_is_not_blown_up():
    geometry = Geometry((16, 16), (94, 94), (0, 0), (0, 0))
    assert plan_tiles((1, 1), 1024, geometry).read_shape == (192, 192)


def test_the_centre_comes_first():
    geometry = Geometry((1, 1), (2, 2), (0, 0), (0, 0))
    plan = plan_tiles((100, 100), 10, geometry, centre=(95, 5))
    order = [part.write for part in plan]
    assert order[0] == (slice(90, 100), slice(0, 10))
    assert len(order) == len({str(write) for write in order}) == len(plan) == 100


def test_an_empty_box_has_no_tiles():
    geometry = Geometry((2, 2), (2, 2), (0, 0), (0, 0))
    assert list(plan_tiles((10, 10), 4, geometry, box=[slice(5, 5), slice(None)])) == []


def test_a_huge_volume_is_not_listed_to_be_planned():
    geometry = Geometry((16,) * 3, (44,) * 3, (0,) * 3, (0,) * 3)
    plan = plan_tiles((10**6, 10**6, 10**6), 512, geometry)
    assert len(plan) == 1954**3
    assert next(iter(plan)).write[2].start == 0


def test_planning_loads_no_torch():
    code = "import sys, napari_unet.prediction.tiling; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
