import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.config import AugmentConfig, BoundaryConfig, LossConfig, ModelConfig, PseudoConfig, TrainConfig
from napari_unet.errors import AnnotationError, ConfigError, ImageError, TrainingError
from napari_unet.events import Finished, Started, Step, Warned
from napari_unet.training.loop import Trainer


def scene(shape=(72, 80), seed=0, channels=0):
    """Bright blobs on a dark, noisy ground, and sparse strokes on them."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random(shape), 5 if len(shape) == 2 else 3)
    truth = smooth > np.quantile(smooth, 0.7)
    image = (truth * 100 + rng.normal(50, 25, shape)).astype(np.float32)
    strokes = np.where(rng.random(shape) < 0.03, truth + 1, 0).astype(np.uint8)
    return (np.stack([image] * channels, -1) if channels else image), truth, strokes


def settings(**changes):
    return TrainConfig(**{"steps": 3, "patch_size": 32, "batch_size": 4, "device": "cpu", "warmup": 2, **changes})


def trainer_of(model=None, config=None, seed=0, **more):
    model = model or ModelConfig(width=4, depth=2)
    shape = (72, 80) if model.ndim == 2 else (12, 40, 36)
    channels = model.in_channels if model.in_channels > 1 else 0
    image, _, strokes = scene(shape, seed, channels)
    trainer = Trainer(model, config or settings(), **more)
    trainer.set_image("a", image, "ZYXC"[4 - len(shape) - 1 : 3] + "C" * bool(channels))
    trainer.set_strokes("a", strokes)
    return trainer


def steps(events):
    return [event for event in events if isinstance(event, Step)]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---------------------------------------------------------------------- it works with every kind of network


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_events_of_a_training(padding, ndim, channels):
    model = ModelConfig(ndim=ndim, in_channels=channels, padding=padding, width=4, depth=1 if ndim == 3 else 2)
    events = list(trainer_of(model).run())
    assert [type(event) for event in events] == [Started, Step, Step, Step, Finished]
    assert events[0].device == "cpu"
    assert list(events[0].annotated) == ["background", "cell"]
    assert [event.step for event in steps(events)] == [1, 2, 3]
    assert [event.progress for event in steps(events)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert (events[-1].reason, events[-1].step) == ("steps", 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ("cell",)},
        {"classes": ("background", "cell", "edge")},
        {"task": "instances"},
        {"task": "instances", "instance_target": "boundary"},
        {"task": "instances", "instance_target": "boundary", "classes": ("cell",)},
        {"norm": "group"},
        {"architecture": "unetpp", "deep_supervision": True},
        {"dropout": 0.3},
    ],
)
def test_kinds_of_models(changes):
    assert len(steps(trainer_of(ModelConfig(width=4, depth=2, **changes)).run())) == 3


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (33, 17)])
def test_images_smaller_than_a_patch(shape):
    trainer = Trainer(ModelConfig(width=2, depth=2), settings(steps=2))
    for key, value in (("a", 1), ("b", 2)):
        trainer.set_image(key, np.random.default_rng(value).random(shape), "YX")
        trainer.set_strokes(key, np.full(shape, value, np.uint8))
    assert len(steps(trainer.run())) == 2


@pytest.mark.parametrize("spacing", [None, (4.0, 1.0, 1.0)])
@pytest.mark.parametrize("ndim", [2, 3])
def test_images_of_different_sizes_densely_and_sparsely_annotated(ndim, spacing):
    """One is painted whole, one by strokes, one by a complete region."""
    model = ModelConfig(width=2, depth=1, ndim=ndim, task="instances", spacing=spacing if ndim == 3 else None)
    trainer = Trainer(model, settings(steps=4, batch_size=16))
    for key, shape in (("whole", (6, 30, 50)), ("strokes", (9, 71, 40)), ("region", (5, 33, 33))):
        image, truth, strokes = scene(shape[3 - ndim :], seed=len(key))
        trainer.set_image(key, image, "ZYX"[3 - ndim :])
        painted = (truth + 1).astype(np.uint8) if key == "whole" else strokes
        trainer.set_strokes(key, painted, [[(0, n // 2) for n in image.shape]] if key == "region" else ())
    assert len(steps(trainer.run())) == 4
    seen = {spot.key for spot in trainer._sampler.draw(np.random.default_rng(0), 60)}
    assert seen == {"whole", "strokes", "region"}


# ---------------------------------------------------------------------- it learns


def test_it_learns_shapes_from_sparse_strokes():
    model, config = ModelConfig(width=6, depth=2), settings(steps=60, patch_size=48, learning_rate=5e-3, warmup=5)
    trainer = trainer_of(model, config)
    image, truth, _ = scene((96, 96), seed=1)
    unseen = torch.from_numpy((image - image.min()) / np.ptp(image))[None, None]

    def iou():
        with torch.no_grad():
            found = trainer.prediction_network()(unseen)[0].argmax(0).numpy() > 0
        return (found & truth).sum() / (found | truth).sum()

    untrained = iou()
    events = list(trainer.run())
    assert iou() > 0.7
    assert iou() > untrained + 0.2
    losses = [event.loss for event in steps(events)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


# ---------------------------------------------------------------------- the same again


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.2}])
def test_same_seed_same_weights_bit_for_bit(changes):
    states = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        trainer = trainer_of(ModelConfig(width=4, depth=2, **changes), settings(seed=5))
        list(trainer.run())
        states.append(trainer.prediction_state())
    assert equal(*states)


def test_another_seed_other_weights():
    states = []
    for seed in (1, 2):
        trainer = trainer_of(config=settings(seed=seed))
        list(trainer.run())
        states.append(trainer.prediction_state())
    assert not equal(*states)


def test_global_random_state_is_left_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    list(trainer_of(ModelConfig(width=4, depth=2, dropout=0.5)).run())
    assert torch.equal(before, torch.random.get_rng_state())


OVERLAP = {"cross_entropy": 0, "dice": 0}


@pytest.mark.parametrize(
    "loss",
    [
        {},
        {**OVERLAP, "cross_entropy": 1},
        {**OVERLAP, "dice": 1, "weighted_overlap": True},
        {**OVERLAP, "focal": 1},
        {**OVERLAP, "tversky": 1, "tversky_gamma": 1.3, "weighted_overlap": True},
        {"boundary": BoundaryConfig(method="falk", w0=50, sigma=6)},
    ],
)
@pytest.mark.parametrize(
    "model",
    [
        {"ignore_value": 255},
        {"classes": ("cell",), "ignore_value": 255},
        {"task": "instances", "ignore_value": 255},
        {"task": "instances", "instance_target": "boundary", "ignore_value": 255},
    ],
)
def test_unannotated_pixels_have_no_influence_on_the_weights(model, loss):
    image, _, strokes = scene((40, 44))
    if model.get("task") == "instances":
        strokes[10:20, 10:20], strokes[10:20, 20:30] = 7, 9
    states = []
    for rubbish in (0, math.nan):
        trainer = Trainer(ModelConfig(width=2, depth=1, **model), settings(steps=2, loss=LossConfig(**loss)))
        trainer.set_image("a", image, "YX")
        changed = np.where((strokes == 0) & (np.random.default_rng(1).random(strokes.shape) < 0.5), 255, strokes)
        trainer.set_strokes("a", strokes if rubbish == 0 else changed)
        read = trainer._sampler.read

        def spoiled(spots, starts, shape, read=read, rubbish=rubbish):
            batch = read(spots, starts, shape)
            batch.boundary[batch.targets < 0] = rubbish
            return batch

        trainer._sampler.read = spoiled
        list(trainer.run())
        states.append(trainer.prediction_state())
    assert equal(*states)


def test_pseudo_labels_change_the_weights_and_switched_off_change_nothing():
    def trained(**pseudo):
        trainer = trainer_of(config=settings(pseudo=PseudoConfig(**pseudo)))
        list(trainer.run())
        return trainer.prediction_state()

    assert equal(trained(), trained(threshold=0.5, warmup=0))
    assert not equal(trained(), trained(weight=1, threshold=0.5, warmup=0))


# ---------------------------------------------------------------------- stop and go on


def test_stop_is_asked_before_every_batch_and_keeps_the_model():
    asked = itertools.count()
    trainer = trainer_of(config=settings(steps=None))
    events = list(trainer.run(should_stop=lambda: next(asked) >= 2))
    assert len(steps(events)) == 2
    assert events[-1] == Finished("stopped", 2, events[-1].seconds)
    assert all(step.progress is None for step in steps(events))


def test_a_budget_in_seconds_ends():
    events = list(trainer_of(config=settings(steps=None, seconds=0.05)).run())
    assert events[-1].reason == "seconds"
    assert steps(events)


def test_run_again_goes_on():
    trainer = trainer_of()
    list(trainer.run())
    first = trainer.prediction_state()
    network = trainer.prediction_network()
    events = list(trainer.run(settings(steps=2)))
    assert [event.step for event in steps(events)] == [4, 5]
    assert trainer.prediction_network() is network
    assert not equal(first, trainer.prediction_state())


def test_start_from_a_state():
    first = trainer_of()
    list(first.run())
    second = Trainer(first.model, settings(seed=9), state=first.prediction_state(), step=first.step)
    assert equal(first.prediction_state(), second.prediction_state())
    assert second.step == 3


@pytest.mark.parametrize(("adapted", "kept"), [(False, True), (True, False)])
def test_the_average_keeps_learnt_weights_and_soon_forgets_new_ones(adapted, kept):
    first = trainer_of()
    list(first.run())
    before = first.prediction_state()
    second = trainer_of(first.model, settings(learning_rate=0.01), state=before, step=500, adapted=adapted)
    list(second.run())
    weight = "head.weight"
    moved = (second.network.state_dict()[weight] - before[weight]).norm()
    followed = (second.prediction_state()[weight] - before[weight]).norm()
    assert (followed < 0.1 * moved) == kept


def test_a_state_of_another_network_is_an_error():
    state = Trainer(ModelConfig(width=4, depth=2), settings()).prediction_state()
    with pytest.raises(ConfigError, match="weights"):
        Trainer(ModelConfig(width=8, depth=2), settings(), state=state)


def test_prediction_state_is_a_copy():
    trainer = trainer_of()
    state = trainer.prediction_state()
    kept = {name: value.clone() for name, value in state.items()}
    list(trainer.run())
    assert equal(state, kept)


# ---------------------------------------------------------------------- strokes while training


def test_strokes_enter_the_next_batch():
    trainer = trainer_of(config=settings(steps=4))
    seen = []
    read = trainer._sampler.read
    trainer._sampler.read = lambda spots, *rest: seen.append({s.pixel for s in spots}) or read(spots, *rest)
    events = trainer.run()
    next(events), next(events)
    strokes = np.zeros((72, 80), np.uint8)
    strokes[3, 4], strokes[60, 70] = 1, 2
    trainer.set_strokes("a", strokes)
    list(events)
    assert set().union(*seen[1:]) == {(3, 4), (60, 70)}


def test_the_same_image_again_keeps_its_strokes():
    trainer = trainer_of()
    image = trainer._sampler.examples["a"].image
    trainer.set_image("a", image, "YX")
    assert len(steps(trainer.run())) == 3


def test_a_replaced_image_has_no_strokes():
    trainer = trainer_of()
    trainer.set_image("a", np.random.default_rng(0).random((72, 80)), "YX")
    with pytest.raises(AnnotationError, match="two classes"):
        next(trainer.run())


def test_removed_images_are_not_learnt_from():
    trainer = trainer_of()
    trainer.remove("a")
    trainer.remove("never there")
    with pytest.raises(AnnotationError, match="two classes"):
        next(trainer.run())


# ---------------------------------------------------------------------- what goes wrong


def test_one_class_only():
    trainer = trainer_of()
    trainer.set_strokes("a", np.full((72, 80), 2, np.uint8))
    with pytest.raises(AnnotationError, match="a little background too"):
        next(trainer.run())


def test_a_class_without_strokes_is_a_warning():
    events = list(trainer_of(ModelConfig(width=4, depth=2, classes=("background", "cell", "edge"))).run())
    assert isinstance(events[1], Warned)
    assert "edge" in events[1].message


def test_nonfinite_pixels_are_a_warning():
    image, _, strokes = scene()
    image[3, 3] = np.nan
    trainer = Trainer(ModelConfig(width=4, depth=2), settings())
    trainer.set_image("scan", image, "YX")
    trainer.set_strokes("scan", strokes)
    events = list(trainer.run())
    assert [event.message for event in events if isinstance(event, Warned)] == [
        "check image 'scan': 1 of its pixels are not finite and count as 0"
    ]
    assert np.isfinite([event.loss for event in steps(events)]).all()


def test_image_of_one_value_trains():
    trainer = Trainer(ModelConfig(width=4, depth=2), settings())
    trainer.set_image("a", np.full((72, 80), 9, np.uint8), "YX")
    trainer.set_strokes("a", scene()[2])
    assert np.isfinite([event.loss for event in steps(trainer.run())]).all()


def test_rgb_for_a_grey_model():
    with pytest.raises(ImageError, match="3"):
        Trainer(ModelConfig(width=4, depth=2), settings()).set_image("a", np.zeros((20, 20, 3)), "YXC")


def test_a_loss_that_is_not_finite_ends_training_and_spares_the_weights():
    trainer = trainer_of(config=settings(steps=50))
    events = trainer.run()
    next(events), next(events)
    state = trainer.prediction_state()
    trainer._learner._mean_loss = lambda outputs, batch: outputs[0].sum() * float("nan")
    with pytest.raises(TrainingError, match="learning rate"):
        next(events)
    assert equal(state, trainer.prediction_state())


def test_out_of_memory_halves_the_batch_then_the_patch():
    trainer = trainer_of(config=settings(steps=2, batch_size=4, patch_size=32))
    forward, limit = trainer._learner.forward, 1 * 16 * 16

    def scarce(images):
        if images.shape[0] * images.shape[2] * images.shape[3] > limit:
            raise torch.OutOfMemoryError("no memory")
        return forward(images)

    trainer._learner.forward = scarce
    events = list(trainer.run())
    assert [event.message.split("with ")[1] for event in events if isinstance(event, Warned)] == [
        "2 patches of 32 x 32 pixels, 2 times for each step",
        "1 patch of 32 x 32 pixels, 4 times for each step",
        "1 patch of 16 x 16 pixels, 4 times for each step",
    ]
    assert len(steps(events)) == 2


def test_too_little_memory_for_anything():
    trainer = trainer_of()

    def scarce(images):
        raise torch.OutOfMemoryError("no memory")

    trainer._learner.forward = scarce
    with pytest.raises(TrainingError, match="memory"):
        list(trainer.run())


def test_other_errors_are_not_swallowed():
    trainer = trainer_of()

    def broken(images):
        raise RuntimeError("something else")

    trainer._learner.forward = broken
    with pytest.raises(RuntimeError, match="something else"):
        list(trainer.run())


@pytest.mark.parametrize("loss", [LossConfig(dice=0), LossConfig(cross_entropy=0)])
@pytest.mark.parametrize("augment", [True, False])
def test_switches(loss, augment):
    config = settings(loss=loss.model_copy(update={"boundary": BoundaryConfig(class_balance=False)}))
    config = config.model_copy(update={"augment": AugmentConfig(enabled=augment), "ema": 0.0})
    assert len(steps(trainer_of(config=config).run())) == 3
