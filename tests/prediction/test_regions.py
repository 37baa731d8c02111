"""A list of boxes: only they are read, each pixel comes once, the near ones first."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.config import ModelConfig
from napari_unet.data.normalize import fit_normalizer
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.events import Masked, TileDone
from napari_unet.networks import build_network, geometry
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.regions import disjoint, predict_boxes
from napari_unet.session.model import Model

SMALL = ModelConfig(width=3, depth=2)
torch.manual_seed(0)
PREDICTOR = Predictor(build_network(SMALL).eval(), SMALL, device="cpu", tile=16)
BOXES = [[slice(0, 20), slice(0, 30)], [slice(10, 40), slice(25, 60)], [slice(70, 90), slice(70, None)]]


@st.composite
def box_lists(draw):
    shape = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    box = st.tuples(*[st.tuples(st.integers(0, n), st.integers(0, n)) for n in shape])
    return shape, [[slice(min(p), max(p)) for p in one] for one in draw(st.lists(box, max_size=6))]


@given(box_lists())
def test_disjoint_boxes_cover_the_same_pixels_once(case):
    shape, boxes = case
    expected, found = np.zeros(shape, int), np.zeros(shape, int)
    for box in boxes:
        expected[tuple(box)] = 1
    for box in disjoint(boxes, shape):
        found[box] += 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("output", ["labels", "probabilities"])
def test_boxes_have_the_pixels_of_the_whole_and_nothing_else(output):
    source = ImageSource(np.random.default_rng(0).normal(size=(90, 95)), "YX", 2)
    whole = PREDICTOR.predict(source, output=output)
    found, times = np.zeros_like(whole), np.zeros(source.spatial, int)
    events = list(predict_boxes(PREDICTOR, source, BOXES, output=output))
    for event in events:
        found[(..., *event.index)] = event.data
        times[event.index] += 1
    expected = np.zeros(source.spatial, int)
    for box in BOXES:
        expected[tuple(box)] = 1
    np.testing.assert_array_equal(times, expected)
    np.testing.assert_allclose(found * expected, whole * expected, atol=1e-5)
    assert events[-1].done == events[-1].total == len(events)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 89), st.integers(0, 94))
def test_the_nearest_box_comes_first(row, column):
    source = ImageSource(np.zeros((90, 95)), "YX", 2)
    first = next(predict_boxes(PREDICTOR, source, BOXES, centre=(row, column)))

    def distance(box):
        edges = zip(box, (row, column), strict=True)
        return sum(max(part.start - c, c - part.stop + 1, 0) ** 2 for part, c in edges)

    holding = [
        box
        for box in disjoint(BOXES, source.spatial)
        if all(a.start <= b.start and b.stop <= a.stop for a, b in zip(box, first.index, strict=True))
    ]
    assert distance(holding[0]) == min(map(distance, disjoint(BOXES, source.spatial)))


def test_only_the_boxes_and_their_halo_are_read():
    class Watched:
        shape, dtype = (2000, 2000), np.dtype(np.uint8)
        touched = np.zeros((2000, 2000), bool)

        def __getitem__(self, index):
            self.touched[index] = True
            return np.zeros(self.shape, np.uint8)[index]

    source = ImageSource(Watched(), "YX", 2)
    normalizer = fit_normalizer(source)
    source.array.touched[:] = False
    boxes = [[slice(100, 130), slice(100, 130)], [slice(1500, 1530), slice(900, 930)]]
    list(predict_boxes(PREDICTOR, source, boxes, normalizer=normalizer))
    rows = np.flatnonzero(source.array.touched.any(1))
    reach = geometry(SMALL).halo[0] + 8
    assert rows.min() >= 100 - reach
    assert rows.max() < 1530 + reach
    assert not ((rows >= 130 + reach) & (rows < 1500 - reach)).any()


def test_a_stop_ends_all_boxes():
    events = []
    source = ImageSource(np.zeros((90, 95)), "YX", 2)
    for event in predict_boxes(PREDICTOR, source, BOXES, should_stop=lambda: len(events) >= 3):
        events.append(event)
    assert len(events) == 3


def test_lost_pixels_are_counted_once():
    pixels = np.random.default_rng(0).normal(size=(90, 95))
    pixels[15, 27], pixels[0, 94] = np.nan, np.nan
    events = list(predict_boxes(PREDICTOR, ImageSource(pixels, "YX", 2), BOXES))
    assert [event.count for event in events if isinstance(event, Masked)] == [1]
    assert all(isinstance(event, TileDone) for event in events[:-1])


def test_objects_of_boxes_are_refused():
    with pytest.raises(ConfigError, match="reach beyond"):
        predict_boxes(PREDICTOR, ImageSource(np.zeros((90, 95)), "YX", 2), BOXES, output="instances")


def test_a_box_of_another_number_of_ranges_is_refused():
    with pytest.raises(ConfigError, match="2 ranges of pixels, along Y X"):
        predict_boxes(PREDICTOR, ImageSource(np.zeros((90, 95)), "YX", 2), [[slice(0, 3)]])


def test_a_model_segments_boxes_of_a_stack_the_nearest_first():
    model = Model(build_network(SMALL).eval(), SMALL)
    pixels = np.random.default_rng(3).normal(size=(2, 90, 95))
    events = list(model.predict_boxes(pixels, BOXES, "ZYX", centre=(85, 85)))
    whole = model.predict(pixels, "ZYX")
    assert events[0].index == (0, *BOXES[2][:1], slice(70, 95))
    for event in events:
        np.testing.assert_array_equal(event.data, whole[event.index])
    assert sum(event.data.size for event in events) == 2 * sum(
        np.prod([part.stop - part.start for part in box]) for box in disjoint(BOXES, (90, 95))
    )
