"""Volumes computed slab by slab: the same result, within memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.data.source import ImageSource
from napari_unet.events import Masked, TileDone
from napari_unet.networks import build_network, geometry
from napari_unet.networks.geometry import Geometry
from napari_unet.networks.sweep import Sweeper
from napari_unet.prediction.budget import work_of_plan
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.sweeping import choose_sweep
from napari_unet.prediction.tiling import plan_tiles

CONFIG = ModelConfig(ndim=3, depth=1, width=4)
#: Too little for one tile, enough for a sweep across the whole of it.
MEMORY = 2 * 2**20


def predictor(**options):
    torch.manual_seed(0)
    return Predictor(build_network(CONFIG), CONFIG, device="cpu", **options)


@pytest.fixture
def volume():
    pixels = np.random.default_rng(0).normal(size=(24, 40, 90)).astype(np.float32)
    return ImageSource(pixels, "ZYX", 3)


@st.composite
def cases(draw):
    shape = tuple(draw(st.integers(1, 30)) for _ in range(3))
    stride = tuple(draw(st.sampled_from([1, 2, 4])) for _ in range(3))
    context = tuple(draw(st.integers(0, 9)) for _ in range(3))
    starts = [draw(st.integers(0, n - 1)) for n in shape]
    box = [slice(a, draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True)]
    about = Geometry(stride, context, (0,) * 3, (0,) * 3, context=context)
    return shape, draw(st.integers(1, 20)), about, box, draw(st.integers(0, 2)), draw(st.integers(1, 12))


@given(cases())
def test_slabs_write_and_count_each_pixel_once_and_read_their_tile_once(case):
    shape, edge, about, box, along, step = case
    sides = [max(shape) if axis == along else edge for axis in range(3)]
    plan = plan_tiles(shape, sides, about, box=box)
    swept = plan.swept(along, step, about)
    written, counted = np.zeros(shape, int), np.zeros(shape, int)
    read: dict = {}
    for slab in swept:
        written[slab.write] += 1
        counted[slab.slab.read] += 1
        assert slab.shape[along] <= step
        lines = read.setdefault(slab.start[:along] + slab.start[along + 1 :], [])
        assert not lines or lines[-1][1] == slab.start[along]
        lines.append((slab.start[along], slab.stop[along]))
        assert slab.stop[along] >= min(slab.write[along].stop + about.context[along], plan.read_shape[along])
    expected = np.zeros(shape, int)
    expected[tuple(box)] = 1
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(counted, expected)
    assert len(swept) == sum(1 for _ in swept)
    for tile in plan:
        lines = read[tile.start[:along] + tile.start[along + 1 :]]
        assert (lines[0][0], lines[-1][1]) == (tile.start[along], tile.stop[along])


@pytest.mark.parametrize("output", ["labels", "probabilities", "uncertainty", "instances"])
def test_a_sweep_gives_what_one_tile_gives(volume, output):
    swept = predictor(memory=MEMORY)
    assert swept._swept(volume, swept._plan(volume, None, None), None).slabs is not None
    found, whole = swept.predict(volume, output=output), predictor(tile=500).predict(volume, output=output)
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, whole, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, whole)


@settings(max_examples=10)
@given(st.data())
def test_any_box_of_it_has_the_pixels_of_the_whole(volume_of_labels, data):
    source, whole = volume_of_labels
    starts = [data.draw(st.integers(0, n - 1)) for n in source.spatial]
    box = [slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(starts, source.spatial, strict=True)]
    for event in predictor(memory=3 * 2**19).tiles(source, box=box):
        np.testing.assert_array_equal(event.data, whole[event.index])


@pytest.fixture(scope="module")
def volume_of_labels():
    source = ImageSource(np.random.default_rng(1).normal(size=(20, 33, 70)).astype(np.float32), "ZYX", 3)
    return source, predictor(tile=500).predict(source)


def test_values_that_are_no_numbers_are_counted_once(volume):
    volume.array[3, 5, [0, 40, 89]] = np.nan, np.inf, -np.inf
    events = list(predictor(memory=MEMORY).tiles(volume))
    assert [event.count for event in events if isinstance(event, Masked)] == [3]


def test_a_series_is_swept_position_by_position():
    pixels = np.random.default_rng(2).normal(size=(2, 20, 40, 80)).astype(np.float32)
    source = ImageSource(pixels, "TZYX", 3)
    np.testing.assert_array_equal(predictor(memory=MEMORY).predict(source), predictor(tile=500).predict(source))


def test_where_the_memory_was_not_enough_after_all_the_rest_is_cut_smaller(volume, monkeypatch):
    calls = []
    original = Sweeper.slab

    def slab(self, x):
        calls.append(x.shape)
        if len(calls) == 3:
            raise MemoryError
        return original(self, x)

    monkeypatch.setattr(Sweeper, "slab", slab)
    found = predictor(memory=MEMORY).predict(volume)
    assert len(calls) == 3
    np.testing.assert_array_equal(found, predictor(tile=500).predict(volume))


def test_a_stop_is_answered_between_two_slabs(volume):
    stop = [False]
    found = []
    for event in predictor(memory=MEMORY).tiles(volume, should_stop=lambda: stop[0]):
        found.append(event)
        stop[0] = True
    assert [type(event) for event in found] == [TileDone]


def test_large_volumes_are_less_work_in_slabs_and_stay_prompt():
    class Virtual:
        shape, dtype = (128, 512, 512), np.dtype(np.uint8)

    config = ModelConfig(ndim=3, depth=2, width=16)
    source = ImageSource(Virtual(), "ZYX", 3)
    about = geometry(config)
    found = choose_sweep(source, config, about, 2**31, 2e11, None)
    plain = Predictor(build_network(config), config, device="cpu", memory=2**31)._plan(source, None, None)
    assert work_of_plan(config, found, about) < 0.9 * work_of_plan(config, plain, about)
    assert work_of_plan(config, found, about) / len(found) <= 2e11
    assert choose_sweep(source, config, about, 2**20, 2e11, None) is None
