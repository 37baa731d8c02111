"""What happens when memory is short: an estimate, a ladder, the CPU."""

import pytest
import torch

from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.errors import TrainingError
from napari_unet.events import Finished, Step, Warned
from napari_unet.training import memory
from napari_unet.training.patches import plan_patches

CPU = torch.device("cpu")


def scarce(trainer, limit, only=None):
    """Let `trainer` run out of memory above `limit` input pixels, on the device `only` if one is given."""
    forward = trainer._learner.forward

    def guarded(images):
        if images[:, 0].numel() > limit and (only is None or trainer.device == only):
            raise torch.OutOfMemoryError("no memory")
        return forward(images)

    trainer._learner.forward = guarded


def warnings(events):
    return [event.message for event in events if isinstance(event, Warned)]


def steps(events):
    return [event for event in events if isinstance(event, Step)]


def test_down_the_ladder_a_step_still_sees_as_many_patches(make_trainer):
    trainer = make_trainer(steps=3, batch_size=4, patch_size=16)
    seen = []
    make = trainer._learner.learn
    scarce(trainer, 16 * 16)
    trainer._learner.learn = lambda plan, rate: seen.append(plan) or make(plan, rate)
    events = list(trainer.run())
    assert warnings(events) == [
        "memory ran out; training goes on with 2 patches of 16 x 16 pixels, 2 times for each step",
        "memory ran out; training goes on with 1 patch of 16 x 16 pixels, 4 times for each step",
    ]
    assert [plan.batch * plan.accumulate for plan in seen] == [4] * 5
    assert len(steps(events)) == 3


def test_then_the_patch_and_at_last_the_cpu(make_trainer):
    other = torch.device("cpu:0")
    trainer = make_trainer(steps=2, batch_size=2, patch_size=16, device="cpu:0")
    assert trainer.device == other != CPU
    scarce(trainer, 0, only=other)
    events = list(trainer.run())
    assert [message.split("goes on ")[1] for message in warnings(events)] == [
        "with 1 patch of 16 x 16 pixels, 2 times for each step",
        "with 1 patch of 8 x 8 pixels, 2 times for each step",
        "with 1 patch of 4 x 4 pixels, 2 times for each step",
        "on the CPU with 2 patches of 16 x 16 pixels",
    ]
    assert trainer.device == CPU
    assert [event.step for event in steps(events)] == [1, 2]
    assert isinstance(events[-1], Finished)


def test_on_the_cpu_it_ends_with_a_sentence(make_trainer):
    trainer = make_trainer()
    scarce(trainer, 0)
    with pytest.raises(TrainingError, match="memory is too small"):
        list(trainer.run())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
    ],
)
def test_shortages_of_every_device_are_known(error):
    assert memory.is_shortage(error)


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: device-side assert triggered"), ValueError("shape")])
def test_other_errors_are_not_swallowed(make_trainer, error):
    trainer = make_trainer()

    def broken(images):
        raise error

    trainer._learner.forward = broken
    with pytest.raises(type(error), match=str(error)):
        list(trainer.run())


def test_a_real_allocation_that_fails_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert memory.is_shortage(caught.value)


def test_what_does_not_fit_is_said_before_it_starts(make_trainer, monkeypatch):
    model = ModelConfig(width=2, depth=1)
    plan = plan_patches(model, TrainConfig(patch_size=16, batch_size=4), [(72, 80)])
    room = memory.needed(model, memory.lower(plan, 1))
    monkeypatch.setattr(memory, "available_memory", lambda device: room)
    events = list(make_trainer(model, batch_size=4).run())
    (message,) = warnings(events)
    assert "4 patches of 16 x 16 pixels needs about" in message
    assert message.endswith("training begins with 2 patches of 16 x 16 pixels, 2 times for each step")
    assert isinstance(events[1], Warned)


def test_a_training_of_the_usual_size_fits(make_trainer):
    assert warnings(make_trainer().run()) == []


def test_a_card_without_kernels_is_said(make_trainer, monkeypatch):
    monkeypatch.setattr("napari_unet.training.loop.unsupported_card", lambda name: "not built for this card")
    assert warnings(make_trainer().run()) == ["not built for this card"]


def test_a_resumed_training_stays_where_the_ladder_led(make_trainer):
    trainer = make_trainer(steps=4, batch_size=4)
    scarce(trainer, 16 * 16)
    asked = []
    list(trainer.run(should_stop=lambda: asked.append(0) or len(asked) > 4))
    assert warnings(trainer.run(resume=True)) == []
    assert trainer._plan.batch == 1
