"""The Python surface: fit, train, Model."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_unet as nu
from napari_unet.data.normalize import fit_normalizer
from napari_unet.data.simulate import paint_strokes
from napari_unet.data.source import ImageSource
from napari_unet.data.synthetic import touching_cells
from napari_unet.errors import AnnotationError, ConfigError, ImageError, ModelFileError
from napari_unet.events import CheckpointSaved, Finished, Started, Step, Warned
from napari_unet.io.model_file import ModelHeader, save_model
from napari_unet.prediction.predictor import Predictor

SMALL = nu.ModelConfig(width=4, depth=2)
FAST = nu.TrainConfig(steps=2, patch_size=32, batch_size=2, device="cpu")


@pytest.fixture(scope="module")
def field() -> tuple[np.ndarray, np.ndarray]:
    cells = touching_cells((64, 72), seed=4, diameter=16)
    return cells.image, paint_strokes(cells.labels, seed=4, fraction=0.05)


def test_events_come_in_order_and_the_last_holds_the_model(field):
    events = list(nu.train(*field, model=SMALL, training=FAST))
    assert [type(event) for event in events] == [Started, Step, Step, Finished]
    model = events[-1].model
    assert (model.step, model.config) == (2, SMALL)
    assert model.history[-1]["ended"] == "steps"


def test_should_stop_ends_an_open_ended_training(field):
    seen: list[Step] = []
    events = nu.train(*field, model=SMALL, training=nu.TrainConfig(device="cpu"), should_stop=lambda: len(seen) >= 2)
    for event in events:
        if isinstance(event, Step):
            seen.append(event)
    assert event.reason == "stopped"
    assert event.model.step == 2


def test_a_model_goes_on_learning_as_a_copy(field):
    first = nu.fit(*field, model=SMALL, training=FAST)
    before = {name: value.clone() for name, value in first.network.state_dict().items()}
    second = nu.fit(*field, model=first, training=FAST)
    assert (first.step, second.step, len(second.history)) == (2, 4, 2)
    assert all(torch.equal(value, before[name]) for name, value in first.network.state_dict().items())
    assert not np.allclose(
        first.predict(field[0], output="probabilities"), second.predict(field[0], output="probabilities")
    )


def test_saved_and_loaded_it_predicts_the_same(field, tmp_path: Path):
    model = nu.fit(*field, model=SMALL, training=FAST)
    model.save(tmp_path / "m.unet")
    again = nu.Model.load(tmp_path / "m.unet")
    np.testing.assert_array_equal(
        again.predict(field[0], output="probabilities"), model.predict(field[0], output="probabilities")
    )
    assert (again.step, again.history, again.config) == (model.step, model.history, model.config)


def test_a_pruned_model_is_one_of_its_own(field, tmp_path: Path):
    config = SMALL.replace(architecture="unetpp", deep_supervision=True)
    model = nu.fit(*field, model=config, training=FAST)
    small = model.pruned(1)
    small.save(tmp_path / "small.unet")
    model.save(tmp_path / "whole.unet")
    again = nu.Model.load(tmp_path / "small.unet")
    assert (again.config.depth, again.step) == (1, 2)
    found = again.predict(field[0], output="probabilities", device="cpu")
    np.testing.assert_array_equal(found, small.predict(field[0], output="probabilities", device="cpu"))
    assert not np.allclose(found, model.predict(field[0], output="probabilities", device="cpu"))
    assert (tmp_path / "small.unet").stat().st_size < (tmp_path / "whole.unet").stat().st_size / 2
    with pytest.raises(ConfigError, match="deep_supervision"):
        small.pruned(1)


@pytest.mark.parametrize("described", [nu.ModelConfig(width=512, depth=7), nu.ModelConfig(width=3, depth=2)])
def test_weights_that_belong_to_another_network_are_refused(field, tmp_path: Path, described):
    model = nu.fit(*field, model=SMALL, training=FAST)
    save_model(tmp_path / "m.unet", model.network.state_dict(), ModelHeader.now(model=described, step=1))
    with pytest.raises(ModelFileError, match="choose another model file"):
        nu.Model.load(tmp_path / "m.unet")


def test_classes_and_channels_come_from_the_data():
    image = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    strokes = np.zeros((40, 48), np.uint8)
    strokes[:4], strokes[10:14], strokes[20:24] = 1, 2, 3
    model = nu.fit(image, strokes, axes="YXC", training=FAST)
    assert model.config.in_channels == 3
    assert model.config.classes == ("background", "cell", "class 3")
    assert model.predict(image).shape == (40, 48)


def test_a_stack_is_segmented_slice_by_slice(field):
    image, strokes = field
    stack = np.stack([image, image[::-1], image])
    model = nu.fit(image, strokes, model=SMALL, training=FAST)
    whole = model.predict(stack)
    np.testing.assert_array_equal(whole[0], whole[2])
    assert whole.shape == stack.shape


def test_complete_regions_count_as_background(field):
    image, strokes = field
    only_cells = np.where(strokes == 2, strokes, 0)
    with pytest.raises(AnnotationError):
        nu.fit(image, only_cells, model=SMALL, training=FAST)
    model = nu.fit(image, only_cells, model=SMALL, training=FAST, complete=[[((0, 30), (0, 30))]])
    assert model.step == 2


@pytest.mark.parametrize(
    ("image", "strokes", "error", "words"),
    [
        (np.zeros((8, 8)), np.zeros((8, 8), int), AnnotationError, "aint"),
        (np.zeros((8, 8)), np.full((8, 8), 2), AnnotationError, "background"),
        (np.zeros((8, 8)), np.ones((8, 9), int), AnnotationError, "shape"),
        (np.full((8, 8), np.nan), np.arange(64).reshape(8, 8) % 3, ImageError, "finite"),
        ([np.zeros((8, 8))] * 2, [np.ones((8, 8), int)], AnnotationError, "one annotation for each image"),
    ],
)
def test_what_cannot_be_learnt_from_is_said_in_one_sentence(image, strokes, error, words):
    with pytest.raises(error, match=words) as caught:
        nu.fit(image, strokes, model=SMALL, training=FAST)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (17, 31)])
def test_tiny_images_are_learnt_from_and_predicted(shape):
    image = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    strokes = np.ones(shape, np.uint8)
    strokes[-1, -1] = 2
    if strokes.size == 1:
        with pytest.raises(AnnotationError):
            nu.fit(image, strokes, model=SMALL, training=FAST)
        return
    assert nu.fit(image, strokes, model=SMALL, training=FAST).predict(image).shape == shape


MIXES = ["YX", "ZYX", "TYX", "TZYX", "CYX", "YXC", "TCYX", "ZCYX", "CTZYX", "TZCYX", "QTZYX"]
SIZES = {"Y": 33, "X": 26, "Z": 5, "T": 2, "Q": 2}


@pytest.mark.parametrize("colours", [2, 3, 4])
@pytest.mark.parametrize("axes", MIXES)
@pytest.mark.parametrize("ndim", [2, 3])
def test_any_mix_of_axes_is_segmented(axes, ndim, colours):
    """Each plane (or volume) comes out as if it were the whole image with the same intensities."""
    if (ndim == 3 and "Z" not in axes) or (colours > 2 and axes[-1] != "C"):
        return
    channels = colours if "C" in axes else 1
    spacing = (3.0, 1.0, 1.0) if ndim == 3 else None
    config = nu.ModelConfig(width=2, depth=2, ndim=ndim, in_channels=channels, spacing=spacing)
    torch.manual_seed(0)
    model = nu.Model(nu.build_network(config).eval(), config)
    image = np.random.default_rng(0).integers(0, 4000, [{**SIZES, "C": channels}[a] for a in axes]).astype(">u2")
    found = model.predict(image, axes, output="probabilities")
    plain = axes.replace("C", "")
    assert found.shape == (2, *(SIZES[a] for a in plain))
    inner = "ZYX"[-ndim:]
    lead = [a for a in plain if a not in inner]
    first = tuple(0 if a in lead else slice(None) for a in axes)
    part = image[first]
    kept = "".join(a for a in axes if a not in lead)
    source = ImageSource(image, axes, ndim)
    alone = Predictor(model.network, config, device="cpu").predict(
        ImageSource(part, kept, ndim), output="probabilities", normalizer=fit_normalizer(source, config.normalization)
    )
    np.testing.assert_allclose(
        found[(slice(None), *(0 if a in lead else slice(None) for a in plain))], alone, atol=1e-5
    )


def test_channels_are_chosen_by_name_and_the_rest_is_not_read():
    config = nu.ModelConfig(width=2, depth=1, in_channels=1, channels=("DAPI",))
    model = nu.Model(nu.build_network(config).eval(), config)
    image = np.random.default_rng(0).random((3, 20, 24))
    expected = model.predict(image[2], output="probabilities")
    for options in ({"names": ["a", "b", "DAPI"]}, {"channels": [2]}, {"channels": ["2"]}):
        found = model.predict(image, "CYX", output="probabilities", **options)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ImageError, match="DAPI"):
        model.predict(image, "CYX", names=["a", "b", "c"])


def test_the_finest_of_several_resolutions_is_segmented():
    config = nu.ModelConfig(width=2, depth=1)
    model = nu.Model(nu.build_network(config).eval(), config)
    image = np.random.default_rng(0).random((40, 44))
    np.testing.assert_array_equal(model.predict([image, image[::2, ::2]]), model.predict(image))


def test_another_pixel_size_comes_back_on_the_grid_of_the_image():
    config = nu.ModelConfig(width=2, depth=1, spacing=(1, 1))
    model = nu.Model(nu.build_network(config).eval(), config)
    image = np.random.default_rng(0).random((40, 44))
    finer = model.predict(image, spacing=(0.5, 0.5), output="probabilities")
    assert finer.shape == (2, 40, 44)
    assert not np.allclose(finer, model.predict(image, output="probabilities"))
    np.testing.assert_array_equal(model.predict(image, spacing=(1, 1)), model.predict(image))


@pytest.mark.parametrize("learns", ["all", "decoder", "head"])
def test_a_model_goes_on_with_other_classes_and_channels(field, learns):
    image, strokes = field
    first = nu.fit(image, strokes, model=SMALL, training=FAST)
    wider = SMALL.replace(classes=("background", "edge", "cell"), in_channels=2)
    two = np.stack([image, image])
    second = nu.fit(
        two,
        np.where(strokes > 1, 3, strokes),
        model=first,
        adapt=wider,
        training=FAST.replace(learns=learns),
        axes="CYX",
    )
    assert (second.config, second.step) == (wider, 4)
    assert second.predict(two, axes="CYX").shape == image.shape
    before, after = first.network.state_dict(), second.network.state_dict()
    kept = {
        name for name in before if before[name].shape == after[name].shape and torch.equal(before[name], after[name])
    }
    bottom = "encoder.1.conv1.weight"
    assert bottom in before
    assert (bottom in kept) == (learns != "all")


def test_adapting_needs_a_model(field):
    with pytest.raises(ConfigError, match="the model to adapt"):
        nu.fit(*field, adapt=SMALL, training=FAST)


def test_a_killed_training_goes_on_from_its_checkpoint(field, tmp_path: Path):
    config = FAST.replace(steps=6)
    whole = nu.fit(*field, model=SMALL, training=config)
    path = tmp_path / "run.ckpt"
    events = nu.train(*field, model=SMALL, training=config, checkpoint=path, checkpoint_seconds=0, resume=True)
    saved = [event for event in itertools.islice(events, 7) if isinstance(event, CheckpointSaved)]
    events.close()
    assert saved[-1] == CheckpointSaved(str(path), 3)
    again = list(nu.train(*field, training=config, checkpoint=path, resume=True))
    assert [event.step for event in again if isinstance(event, Step)] == [4, 5, 6]
    state = again[-1].model.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.network.state_dict().items())
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_does_not_end_a_training(field, tmp_path: Path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    path = tmp_path / "run.ckpt"
    events = list(nu.train(*field, model=SMALL, training=FAST, checkpoint=path, checkpoint_seconds=0))
    (warned,) = (event for event in events if isinstance(event, Warned))
    assert "No space left" in warned.message
    assert isinstance(events[-1], Finished)
    assert not list(tmp_path.iterdir())
