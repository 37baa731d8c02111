"""Names, new classes and seeds of the model in use."""

import numpy as np
import pytest

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.session import commands as do
from napari_unet.session.arrays import SharedArray
from napari_unet.session.core import SessionCore
from napari_unet.session.messages import Failed, ModelChanged

SMALL = ModelConfig(width=2, depth=1)


@pytest.fixture
def core():
    image, strokes = SharedArray((24, 24), np.float32), SharedArray((24, 24), np.uint8)
    image.array[...] = np.random.default_rng(0).random((24, 24))
    strokes.array[:12], strokes.array[12:] = 1, 2
    made = SessionCore("cpu")
    for command in (do.SetImage("a", image.ref, "YX"), do.SetStrokes("a", strokes.ref), do.NewModel(SMALL)):
        made.handle(command)
    made.handle(do.Train(TrainConfig(patch_size=16, batch_size=1)))
    yield made
    made.close()
    image.close()
    strokes.close()


def weights(core):
    return {name: value.clone() for name, value in core._trainer.network.state_dict().items()}


def test_names_change_while_it_learns_and_nothing_else_does(core):
    while core._trainer.step < 2:
        core.work()
    before = weights(core)
    changed = core.handle(do.NameClasses(("background", "nucleus"), ("#000000", "#FFFFFF")))[0]
    assert isinstance(changed, ModelChanged)
    assert changed.config.classes == ("background", "nucleus")
    assert core._model().config.colors == ("#000000", "#FFFFFF")
    assert all((value == before[name]).all() for name, value in weights(core).items())
    core.work()
    assert core._trainer.step == 3


def test_another_number_of_names_is_refused(core):
    assert isinstance(core.handle(do.NameClasses(("a", "b", "c")))[0], Failed)


def test_the_seed_chooses_the_first_weights(core):
    found = []
    for seed in (0, 0, 1):
        core.handle(do.NewModel(SMALL, seed))
        found.append(weights(core))
    same = [all((value == found[0][name]).all() for name, value in other.items()) for other in found]
    assert same == [True, True, False]
