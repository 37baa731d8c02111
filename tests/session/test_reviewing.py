"""What a session says of a model and strokes, asked as the dock does."""

from math import prod

import numpy as np
import pytest

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.data.source import ImageSource
from napari_unet.data.synthetic import touching_cells
from napari_unet.session import commands as do
from napari_unet.session.arrays import SharedArray
from napari_unet.session.inline import InlineSession
from napari_unet.session.messages import Advised, Failed, Looking, Reviewed
from napari_unet.session.reviewing import WINDOWS, sample_windows

SMALL = ModelConfig(width=4, depth=2)


def shared(array):
    made = SharedArray(array.shape, array.dtype)
    made.array[...] = array
    return made


def until(session, kind, most=2000):
    """Events up to one of `kind`, which comes last."""
    events = []
    for _ in range(most):
        for event in session.poll():
            events.append(event)
            if isinstance(event, kind):
                return events
    raise AssertionError(f"no {kind.__name__} came")


class Desk:
    """A stack of three planes; cells are painted on the first, all wrong ones included."""

    def __init__(self, strokes=None, steps=60):
        cells = touching_cells((96, 112), seed=3)
        self.labels = cells.labels
        self.image = shared(np.stack([cells.image] * 3))
        self.strokes = shared(np.zeros(self.image.array.shape, np.uint8) if strokes is None else strokes)
        if strokes is None:
            self.strokes.array[0, ::3] = np.where(cells.labels[::3] > 0, 2, 1)
        self.session = InlineSession("cpu")
        self.session.send(do.SetImage("a", self.image.ref, "ZYX"))
        self.session.send(do.NewModel(SMALL))
        self.session.send(do.SetStrokes("a", self.strokes.ref))
        self.train(steps)

    def train(self, steps):
        from napari_unet.events import Finished

        self.session.send(do.Train(TrainConfig(patch_size=48, batch_size=2, steps=steps)))
        until(self.session, Finished)

    def close(self):
        self.session.close()
        self.image.close()
        self.strokes.close()


@pytest.fixture(scope="module")
def desk():
    made = Desk()
    yield made
    made.close()


def test_places_lie_where_nothing_is_painted_also_on_other_slices(desk):
    desk.session.send(do.Advise(5, "a", (0, 50, 50), (3000, 1000)))
    *looks, answer = until(desk.session, Reviewed)
    assert isinstance(answer, Advised)
    assert answer.request == 5
    assert [look.done for look in looks if isinstance(look, Looking)] == list(range(1, len(looks) + 1))
    assert {place.point[0] for place in answer.places[:4]} <= {1, 2}
    assert not any(desk.strokes.array[place.point] for place in answer.places)
    scores = [place.score for place in answer.places]
    assert scores == sorted(scores, reverse=True)


def test_what_was_seen_is_not_told_again(desk):
    desk.session.send(do.Advise(6, "a", (0, 50, 50), (3000, 1000)))
    first = until(desk.session, Reviewed)[-1].places[0]
    desk.session.send(do.Advise(7, "a", (0, 50, 50), (3000, 1000), (first.point,)))
    for place in until(desk.session, Reviewed)[-1].places:
        same_plane = place.point[0] == first.point[0]
        assert not same_plane or np.hypot(*np.subtract(place.point, first.point)[1:]) > 3


def test_a_newer_question_replaces_an_older_one_and_a_training_goes_on_meanwhile(desk):
    desk.session.send(do.Advise(8, "a", (0, 50, 50), (1, 1)))
    desk.session.poll()
    desk.session.send(do.Advise(9, "a", (0, 50, 50), (1, 1)))
    events = until(desk.session, Reviewed)
    assert events[-1].request == 9


def test_without_a_model_it_is_a_sentence():
    session = InlineSession("cpu")
    image = shared(np.zeros((32, 32), np.float32))
    session.send(do.SetImage("a", image.ref, "YX"))
    session.send(do.Advise(3, "a", (5, 5), (1, 1)))
    failed = until(session, Failed)[-1]
    assert failed.request == 3
    session.close()
    image.close()


def test_a_large_image_is_sampled_within_bounds():
    class Huge:
        shape, dtype = (200, 16384, 16384), np.uint8

    source = ImageSource(Huge(), "ZYX", 2)
    windows = sample_windows(source, (100, 9000, 16383), seed=1)
    assert len(windows) == WINDOWS[2]
    assert windows[0].lead == (100,)
    assert windows[0].box[1].stop == 16384
    assert sum(prod(window.shape) for window in windows) <= WINDOWS[2] * 256**2
    others = sample_windows(source, (100, 9000, 16383), seed=2)
    assert others[0] == windows[0]
    assert others[1:] != windows[1:]


def test_a_small_image_is_looked_at_as_a_whole():
    source = ImageSource(np.zeros((2, 300, 400), np.uint8), "ZYX", 2)
    windows = sample_windows(source, (1, 0, 0), seed=0)
    assert sum(prod(window.shape) for window in windows) == 2 * 300 * 400


# ---------------------------------------------------------------------- objects


def measure(desk, found, *, numbered=False):
    given, target = shared(found), SharedArray(found.shape, np.uint32)
    desk.session.send(do.MeasureObjects(20, "a", given.ref, target.ref, numbered))
    rows, numbers = until(desk.session, Reviewed)[-1].rows, target.array.copy()
    given.close()
    target.close()
    return rows, numbers


def test_each_object_is_measured_as_if_it_were_alone(desk):
    found = np.stack([np.where(desk.labels > 0, 2, 1)] * 3).astype(np.uint8)
    found[2] = 1
    rows, numbers = measure(desk, found)
    assert numbers.max() == len(rows.sizes) == 6
    assert np.array_equal(numbers > 0, found > 1)
    for number in (1, len(rows.sizes) // 2, len(rows.sizes)):
        mask = numbers == number
        where = np.argwhere(mask)
        assert rows.sizes[number - 1] == mask.sum()
        assert rows.intensities[number - 1] == pytest.approx(desk.image.array[mask].mean(), rel=1e-5)
        assert rows.boxes[number - 1].T.tolist() == [where.min(0).tolist(), (where.max(0) + 1).tolist()]
    assert set(rows.values) == {2}


def test_the_doubtful_objects_are_those_the_model_does_not_see(desk):
    found = np.ones(desk.image.array.shape, np.uint8)
    found[0] = np.where(desk.labels > 0, 2, 1)
    empty = np.argwhere(desk.image.array[0] < np.quantile(desk.image.array[0], 0.02))[0]
    y, x = np.minimum(empty, [90, 106])
    found[1, y : y + 3, x : x + 3] = 2
    rows, numbers = measure(desk, found)
    wrong = numbers[1, y, x] - 1
    assert rows.confidences[wrong] < np.median(rows.confidences)
    assert ((rows.confidences >= 0) & (rows.confidences <= 1)).all()


def test_numbered_objects_keep_apart_where_they_touch(desk):
    found = np.zeros(desk.image.array.shape, np.uint32)
    found[0, 10:20, 10:20], found[0, 10:20, 20:30], found[1, 5:8, 5:8] = 7, 900, 44
    rows, numbers = measure(desk, found, numbered=True)
    assert rows.sizes.tolist() == [100, 9, 100]
    assert numbers.max() == 3
    assert np.array_equal(numbers > 0, found > 0)


def test_no_objects_are_an_empty_list(desk):
    rows, _ = measure(desk, np.ones(desk.image.array.shape, np.uint8))
    assert len(rows.sizes) == 0
    assert rows.boxes.shape == (0, 3, 2)


# ---------------------------------------------------------------------- strokes


def test_a_swapped_stroke_is_found_on_its_slice(desk):
    strokes = desk.strokes.array
    before = strokes.copy()
    predicted = desk.session._core._model().predict(desk.image.array, axes="ZYX")[2]
    y = int((predicted == 1).sum(1).argmax())
    row = np.flatnonzero(predicted[y] == 1)
    run = max(np.split(row, np.flatnonzero(np.diff(row) > 1) + 1), key=len)
    assert len(run) > 4
    strokes[2, y, run] = 2
    desk.session.send(do.CheckStrokes(30, "a"))
    answer = until(desk.session, Reviewed)[-1]
    strokes[...] = before
    assert answer.complete
    assert any(one.point[:2] == (2, y) and (one.value, one.seen) == (2, 1) for one in answer.findings)
    chances = [one.chance for one in answer.findings]
    assert chances == sorted(chances)
