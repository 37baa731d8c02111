"""Interrupted and resumed equals uninterrupted."""

import json

import numpy as np
import pytest
import torch

from napari_unet.config import ModelConfig
from napari_unet.errors import ConfigError
from napari_unet.events import Step, Validated
from napari_unet.io.checkpoint import CheckpointHeader, load_checkpoint, save_checkpoint

STEPS = 12


def through_a_file(trainer, path):
    tensors, facts = trainer.checkpoint()
    save_checkpoint(path, tensors, CheckpointHeader.now(model=trainer.model, facts=facts))
    tensors, header = load_checkpoint(path)
    return tensors, header.facts


def run_until(trainer, step, **how):
    """Events of a training that is left alone, as if killed, when it has done `step` steps."""
    events = []
    for event in trainer.run(**how):
        events.append(event)
        if isinstance(event, Step) and event.step == step:
            break
    return events


def everything(trainer):
    tensors, facts = trainer.checkpoint()
    facts["budget"] = facts["budget"][0]
    return tensors, json.dumps(facts)


@pytest.fixture
def often(monkeypatch):
    """Held-out strokes are looked at every 4 steps, whatever it costs."""
    monkeypatch.setattr("napari_unet.training.monitor.EVERY", 4)
    monkeypatch.setattr("napari_unet.training.monitor.SHARE", 1e9)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("cut", [1, 3, 6, 8, 11])
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (ModelConfig(width=2, depth=1, dropout=0.3), {}),
        (ModelConfig(width=2, depth=1), {"optimizer": "sgd", "accumulate": 2, "schedule": "plateau"}),
    ],
    ids=["adamw", "sgd"],
)
def test_resumed_equals_uninterrupted_bit_for_bit(make_trainer, tmp_path, cut, model, changes):
    settings = {"steps": STEPS, "holdout": 0.5, "holdout_from": 2, "shape": (400, 410), **changes}
    whole = make_trainer(model, **settings)
    expected = list(whole.run())
    assert any(isinstance(event, Validated) and event.score for event in expected)

    killed = make_trainer(model, **settings)
    first = run_until(killed, cut)
    again = make_trainer(model, **settings)
    again.restore(*through_a_file(killed, tmp_path / "c"))
    second = list(again.run(resume=True))

    def lines(events):
        return [(e.step, e.loss, e.learning_rate, e.progress) for e in events if isinstance(e, Step)]

    assert lines(first) + lines(second) == lines(expected)
    (tensors, facts), (tensors_again, facts_again) = everything(whole), everything(again)
    assert tensors.keys() == tensors_again.keys()
    assert all(torch.equal(tensors[name], tensors_again[name]) for name in tensors)
    assert facts == facts_again


def test_another_seed_would_be_noticed(make_trainer):
    one, other = make_trainer(steps=3), make_trainer(steps=3, seed=1)
    list(one.run()), list(other.run())
    tensors, others = one.checkpoint()[0], other.checkpoint()[0]
    assert any(not torch.equal(tensors[name], others[name]) for name in tensors)


def test_a_checkpoint_of_another_network_is_one_sentence(make_trainer, tmp_path):
    trainer = make_trainer(steps=1)
    list(trainer.run())
    with pytest.raises(ConfigError, match="the model and the settings"):
        make_trainer(ModelConfig(width=3, depth=1)).restore(*through_a_file(trainer, tmp_path / "c"))
    with pytest.raises(ConfigError, match="the model and the settings"):
        make_trainer().restore({}, {})


def test_a_pause_goes_on_with_the_schedule(make_trainer):
    whole, paused = make_trainer(steps=8), make_trainer(steps=8)
    expected = [e.learning_rate for e in whole.run() if isinstance(e, Step)]
    seen: list[Step] = []
    for how in ({"should_stop": lambda: len(seen) >= 3}, {"resume": True}):
        for event in paused.run(**how):
            if isinstance(event, Step):
                seen.append(event)
    assert [e.learning_rate for e in seen] == expected
    assert seen[-1].progress == 1
    states = whole.prediction_state(), paused.prediction_state()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_without_resume_the_budget_begins_anew(make_trainer):
    trainer = make_trainer(steps=4)
    assert len([e for e in trainer.run() if isinstance(e, Step)]) == 4
    assert len([e for e in trainer.run() if isinstance(e, Step)]) == 4
    assert not [e for e in trainer.run(resume=True) if isinstance(e, Step)]
    assert np.isfinite(trainer.step)
