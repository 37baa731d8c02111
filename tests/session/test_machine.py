"""What a session says about its machine, and how it moves."""

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.events import Warned
from napari_unet.session.commands import EstimateCosts, NewModel, UseDevice
from napari_unet.session.inline import InlineSession
from napari_unet.session.messages import CostsEstimated, Ready
from napari_unet.session.replay import Replay


def answers(session, command):
    session.poll()
    session.send(command)
    return session.poll()


def test_says_where_it_could_compute():
    session = InlineSession("cpu")
    (ready,) = session.poll()
    assert ready.device == "cpu"
    assert ("cpu", "processor") in ready.devices
    session.close()


def test_costs_come_with_the_memory_that_is_free():
    session = InlineSession("cpu")
    (told,) = answers(session, EstimateCosts(7, ModelConfig(width=4, depth=2), TrainConfig(), (64, 64)))
    assert isinstance(told, CostsEstimated)
    assert told.request == 7
    assert told.costs.patch == (64, 64)
    assert told.free is None or told.free > told.costs.training_bytes
    session.close()


def test_what_cannot_be_built_is_said_and_is_no_failure():
    session = InlineSession("cpu")
    (told,) = answers(session, EstimateCosts(1, ModelConfig(architecture="fpn"), TrainConfig()))
    assert told.costs is None
    assert "encoder" in told.trouble
    session.close()


def test_a_device_that_is_not_there_changes_nothing():
    session = InlineSession("cpu")
    warned, ready = answers(session, UseDevice("cuda:99", 1))
    assert isinstance(warned, Warned)
    assert "cuda:99" in warned.message
    assert ready.device == "cpu"
    session.close()


def test_the_same_device_keeps_the_model():
    session = InlineSession("cpu")
    session.send(NewModel(ModelConfig(width=4, depth=2)))
    trainer = session._core._trainer
    assert [type(event) for event in answers(session, UseDevice("cpu", 1))] == [Ready]
    assert session._core._trainer is trainer
    session.close()


def test_a_new_process_computes_where_the_old_one_did():
    replay = Replay()
    replay.remember(UseDevice("cpu", 3))
    assert replay.commands() == [UseDevice("cpu", 3)]
