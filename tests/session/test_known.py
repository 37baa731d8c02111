"""Only what was painted on is read, and nothing else is learnt for it."""

import numpy as np
import pytest

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.events import Started, Step
from napari_unet.session import commands as do
from napari_unet.session.arrays import SharedArray
from napari_unet.session.core import SessionCore
from napari_unet.session.known import KnownStrokes
from napari_unet.session.messages import PredictionDone, Tile

SHAPE = (6, 40, 48)


@pytest.fixture
def arrays():
    image, strokes = SharedArray(SHAPE, np.uint8), SharedArray(SHAPE, np.uint8)
    strokes.array[1, 5, 3:9] = 1
    strokes.array[4, 20, 10:30] = 2
    yield image, strokes
    image.close()
    strokes.close()


PAINTED = (((1, 2), (5, 6), (3, 9)), ((4, 5), (20, 21), (10, 30)))
REGION = ((2, 3), (10, 20), (10, 20))


@pytest.fixture
def core(arrays):
    made = SessionCore("cpu")
    made.handle(do.SetImage("a", arrays[0].ref, "ZYX"))
    made.handle(do.NewModel(ModelConfig(width=2, depth=1)))
    yield made
    made.close()


def annotated(core):
    """Pixels of background and cell that a training begins with."""
    core.handle(do.Train(TrainConfig(patch_size=16, batch_size=1, steps=1)))
    (event,) = core.work()
    assert isinstance(event, Started)
    return tuple(event.annotated.values())


@pytest.mark.parametrize("painted", [None, PAINTED], ids=["anywhere", "known"])
def test_what_is_known_of_the_strokes_changes_nothing_but_what_is_read(core, arrays, painted):
    strokes = arrays[1]
    core.handle(do.SetStrokes("a", strokes.ref, (), painted))
    assert annotated(core) == (6, 20)
    core.handle(do.StrokesChanged("a", None, (REGION,)))
    assert annotated(core) == (106, 20)
    strokes.array[0, 30, :4] = 1
    core.handle(do.StrokesChanged("a", ((0, 1), (30, 31), (0, 4)), (REGION,)))
    assert annotated(core) == (110, 20)
    core.handle(do.StrokesChanged("a", None, ()))
    assert annotated(core) == (10, 20)
    strokes.array[4] = 0
    strokes.array[5, 0, :7] = 2
    core.handle(do.StrokesChanged("a", ((4, 5), (20, 21), (10, 30)), ()))
    core.handle(do.StrokesChanged("a", ((5, 6), (0, 1), (0, 7)), ()))
    assert annotated(core) == (10, 7)


def test_other_strokes_take_the_place_of_those_before(core, arrays):
    core.handle(do.SetStrokes("a", arrays[1].ref, (REGION,), PAINTED))
    other = SharedArray(SHAPE, np.uint8)
    other.array[0, 0, :5] = 1
    other.array[0, 9, :3] = 2
    core.handle(do.SetStrokes("a", other.ref, (), (((0, 1), (0, 10), (0, 5)),)))
    assert annotated(core) == (5, 3)
    core.handle(do.Forget("a"))
    other.close()


def test_planes_that_nobody_painted_on_are_not_read(core, arrays):
    core.handle(do.SetStrokes("a", arrays[1].ref, (), PAINTED))
    arrays[1].array[3] = 2  # nobody tells of it
    assert annotated(core) == (6, 20)


def test_a_view_waits_for_the_step_that_learns_from_a_stroke(core, arrays):
    core.handle(do.SetStrokes("a", arrays[1].ref, (), PAINTED))
    core.handle(do.Train(TrainConfig(patch_size=16, batch_size=1, steps=50)))
    step = 0
    while step < 3:
        step = max([step, *(event.step for event in core.work() if isinstance(event, Step))])
    core.handle(do.StrokesChanged("a", ((1, 2), (5, 6), (3, 9)), ()))
    core.handle(do.PredictView(1, "a", (4,), ((0, 40), (0, 48)), after=1))
    events = []
    while not any(isinstance(event, Tile) for event in events):
        events += core.work()
    assert [event.step for event in events if isinstance(event, Step)] == [4]
    assert events[-1].step == 4
    core.handle(do.StopTraining())
    core.handle(do.PredictView(2, "a", (4,), ((0, 40), (0, 48)), after=9))
    while not isinstance(events[-1], PredictionDone) or events[-1].request != 2:
        events += core.work()
    assert not events[-1].cancelled


def test_many_strokes_on_a_plane_are_one_box(arrays):
    strokes = KnownStrokes(do.SetStrokes("a", arrays[1].ref, (), ()))
    for at in range(30):
        strokes.note(((2, 3), (at, at + 2), (at, at + 1)))
    assert strokes.places == [((2, 3), (0, 31), (0, 30))]
    strokes.close()
