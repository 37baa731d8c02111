"""Devices, networks by name and their costs on the page Train."""

import pytest

from napari_unet._napari.machine import Machine, Question, fits, memory_in_words
from napari_unet._napari.members import MEMBERS, member_of
from napari_unet._napari.widgets.device_choice import DeviceChoice
from napari_unet._napari.widgets.network_card import NetworkCard
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.errors import MissingDependencyError
from napari_unet.session.commands import EstimateCosts, UseDevice
from napari_unet.session.costs import costs
from napari_unet.session.messages import CostsEstimated, Ready
from napari_unet.standard import standard_model

SMALL = ModelConfig(width=4, depth=2)


@pytest.fixture
def sent():
    return []


@pytest.fixture
def machine(sent):
    return Machine(sent.append)


def test_costs_are_known_at_once_and_the_free_memory_when_the_session_answers(machine, sent):
    machine.ask(Question(SMALL, TrainConfig(), (64, 64)))
    assert machine.costs == costs(SMALL, TrainConfig(), (64, 64))
    assert machine.free is None
    (asked,) = sent
    machine.take(CostsEstimated(asked.request, machine.costs, 10**9))
    assert machine.free == 10**9


def test_an_older_answer_is_dropped_and_a_question_asked_once(machine, sent):
    for width in (4, 4, 8):
        machine.ask(Question(SMALL.replace(width=width), TrainConfig()))
    assert [type(command) for command in sent] == [EstimateCosts] * 2
    now = machine.costs
    machine.take(CostsEstimated(sent[0].request, costs(SMALL), 5))
    assert (machine.costs, machine.free) == (now, None)


def test_memory_that_is_short_is_said():
    found = costs(SMALL)
    assert "choose a smaller network" in memory_in_words(found, found.training_bytes - 1, "cpu")
    assert "choose" not in memory_in_words(found, found.training_bytes, "cpu")
    assert not fits(found, 1)


def test_threads_stay_with_another_device_and_a_missing_one_falls_back(machine, sent):
    machine.use(threads=3)
    machine.use(device="cuda")
    assert sent[-1] == UseDevice("cuda", 3)
    machine.take(Ready("cpu", "2", (("cpu", "processor"),)))
    assert machine.device == "auto"


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_every_member_is_found_again_and_costs_something(member):
    model = member.apply(ModelConfig())
    assert MEMBERS[member_of(model)] is member
    try:
        assert costs(model).parameters > 0
    except MissingDependencyError:
        assert member.encoded


def test_back_from_an_encoder_nothing_of_it_is_left():
    encoded = next(member for member in MEMBERS if member.encoded)
    assert MEMBERS[0].apply(encoded.apply(standard_model())) == standard_model()


def test_the_card_shows_name_picture_costs_and_memory(qtbot, machine, sent):
    card = NetworkCard(machine)
    qtbot.addWidget(card)
    card.resize(280, 300)
    card.show()
    chosen = []
    card.chosen.connect(chosen.append)
    card.names.activated.emit(1)
    assert chosen == [1]
    pictures = []
    for member in MEMBERS[:3]:
        model = member.apply(ModelConfig())
        card.show_model(model)
        machine.ask(Question(model, TrainConfig()))
        assert card.names.currentText() == member.name
        assert "million parameters" in card.words.text()
        assert "A step of training" in card.memory.text()
        drawn = card.picture.grab().toImage()
        assert all(card.picture.rect().contains(card.picture.place(box).toRect()) for box in card.picture._boxes)
        pictures.append(
            bytes(drawn.constBits().asarray(drawn.sizeInBytes()))
            if hasattr(drawn.constBits(), "asarray")
            else bytes(drawn.constBits())
        )
    assert len(set(pictures)) == 3
    machine.take(CostsEstimated(sent[-1].request, machine.costs, 1000))
    assert card.memory.styleSheet()


def test_devices_are_listed_as_the_session_tells(qtbot, machine, sent):
    choice = DeviceChoice(machine)
    qtbot.addWidget(choice)
    assert [choice.itemText(index) for index in range(choice.count())] == ["Automatic"]
    machine.take(Ready("cuda:0", "2", (("cpu", "processor"), ("cuda:0", "H200"))))
    assert [choice.itemText(index) for index in range(choice.count())] == [
        "Automatic (cuda:0)", "Processor (cpu)", "H200 (cuda:0)",
    ]  # fmt: skip
    choice.setCurrentIndex(1)
    choice.activated.emit(1)
    assert sent[-1].device == "cpu"
    assert choice.currentData() == "cpu"
