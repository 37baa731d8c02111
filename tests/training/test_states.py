"""States that can be gone back to."""

import pytest
import torch

from napari_unet.errors import ConfigError
from napari_unet.events import KeptState, Score, StatesChanged, Step, WentBack
from napari_unet.training.states import States


def kept(step, score=None):
    return KeptState(step, 0.5, None if score is None else Score(score, 0.0, 1.0, 9))


def test_the_best_and_the_newest_are_always_kept_and_the_past_gets_sparse():
    states = States(most=6)
    for step in range(10, 1010, 10):
        states.keep({}, kept(step, 0.9 if step == 130 else 0.5))
    found = [state.step for state in states.list()]
    assert len(found) == 6
    assert 130 in found
    assert found[-1] == 1000
    assert found[-1] - found[-2] <= found[2] - found[1]
    assert [state.step for state in states.list() if state.best] == [130]


def test_memory_is_bounded():
    states = States(most=50, memory=3 * 4000)
    for step in range(20):
        states.keep({"w": torch.zeros(1000)}, kept(step))
    assert len(states.list()) == 3


def test_what_was_left_behind_is_forgotten_when_training_goes_on():
    states = States()
    for step in (10, 20, 30):
        states.keep({}, kept(step))
    states.keep({}, kept(15))
    assert [state.step for state in states.list()] == [10, 15]


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_going_back_brings_the_weights_back_and_training_goes_on_from_them(make_trainer):
    trainer = make_trainer(steps=120)
    remembered = {}
    for event in trainer.run():
        if isinstance(event, StatesChanged):
            remembered[event.states[-1].step] = trainer.prediction_state()
    assert [state.step for state in trainer.states] == [50, 100, 120] == list(remembered)
    network = trainer.prediction_network()
    assert trainer.go_back(50) == [WentBack(50, 120), StatesChanged(trainer.states)]
    assert trainer.prediction_network() is network
    assert equal(trainer.prediction_state(), remembered[50])
    assert trainer.step == 50
    events = trainer.run(trainer.config.replace(steps=2))
    assert [event.step for event in events if isinstance(event, Step)] == [51, 52]
    assert not equal(trainer.prediction_state(), remembered[50])


def test_an_unknown_state_is_an_error_that_names_the_known_ones(make_trainer):
    trainer = make_trainer(steps=1)
    list(trainer.run())
    with pytest.raises(ConfigError, match=r"none of step 7 \(kept: none yet\)"):
        trainer.go_back(7)


def test_going_back_is_undone_also_when_it_interrupts_a_training(make_trainer):
    trainer = make_trainer(steps=300)
    stopping = False
    run = trainer.run(should_stop=lambda: stopping)
    while trainer.step < 72:
        next(run)
    latest, stopping = trainer.prediction_state(), True
    trainer.go_back(50)
    assert [type(event).__name__ for event in run] == ["Finished"]
    assert [state.step for state in trainer.states] == [50, 72]
    trainer.go_back(72)
    assert equal(trainer.prediction_state(), latest)


def test_a_spared_state_makes_no_room():
    states = States(most=3)
    for step in (10, 20, 30):
        states.keep({}, KeptState(step, 0.5))
    states.keep({}, KeptState(40, 0.5), spare=20)
    assert 20 in [state.step for state in states.list()]
