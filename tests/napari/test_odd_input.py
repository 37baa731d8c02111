"""Odd images, files and users, with a session that really learns and a viewer without a window."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Phase
from napari_unet.config import ModelConfig, TrainConfig
from napari_unet.session.inline import InlineSession


@pytest.fixture
def controller():
    made = Controller(ViewerModel(), InlineSession("cpu"))
    made.set_model(ModelConfig(width=2, depth=1))
    made.training = TrainConfig(patch_size=16, batch_size=1)
    yield made
    made.close()


def add(controller, image):
    rgb = image.ndim > 2 and image.shape[-1] == 3
    layer = controller.link._viewer.add_image(image, name="image", rgb=rgb)
    controller.choose_image(layer)
    controller.new_strokes()
    strokes = controller.link.strokes.data
    half = strokes.shape[-2] // 2
    strokes[..., :half, :] = 1
    strokes[..., half:, :] = 2


def until(controller, done, ticks=200):
    for _ in range(ticks):
        controller.tick()
        if done():
            return
    raise AssertionError(f"not done: {controller.state}")


def learning(controller):
    return lambda: controller.state.step > 2


IMAGE = np.random.default_rng(0).random((24, 32), dtype=np.float32)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.full((24, 32), 7, np.uint16), id="one value"),
        pytest.param(np.full((24, 32), np.nan, np.float32), id="only NaN"),
        pytest.param(np.where(np.eye(24, 32) > 0, np.nan, 1.0), id="some NaN"),
        pytest.param(np.zeros((1, 1), np.uint8), id="one pixel"),
        pytest.param(np.zeros((2, 1), np.uint8), id="two pixels"),
        pytest.param(np.zeros((24, 32, 3), np.uint8), id="colour"),
        pytest.param(np.zeros((2, 3, 24, 32), bool), id="movie of stacks"),
        pytest.param(IMAGE.astype(">f8"), id="big endian"),
        pytest.param(IMAGE[::-1, ::2], id="not contiguous"),
    ],
)
def test_odd_images_train_or_say_why_not(controller, image):
    add(controller, image)
    controller.train()
    until(controller, lambda: controller.state.step > 2 or controller.state.failed)
    assert "defect" not in controller.state.message


@pytest.mark.parametrize("name", ["image", "Strokes", "Prediction"])
def test_a_layer_deleted_while_training(controller, name):
    add(controller, IMAGE)
    controller.train()
    until(controller, learning(controller))
    layers = controller.link._viewer.layers
    layers.remove(name)
    if name != "Prediction":
        until(controller, lambda: controller.state.phase is Phase.IDLE)
    for _ in range(5):
        controller.tick()
    assert not controller.state.failed, controller.state.message
    assert len(layers) == (2 if name == "Prediction" else 3)


def test_train_pressed_fifty_times(controller):
    add(controller, IMAGE)
    for _ in range(50):
        controller.toggle()
        controller.tick()
    if controller.state.phase is Phase.IDLE:
        controller.train()
    until(controller, learning(controller))
    assert not controller.state.failed


def test_strokes_erased_while_training(controller):
    add(controller, IMAGE)
    controller.train()
    until(controller, learning(controller))
    controller.link.strokes.data = np.zeros_like(controller.link.strokes.data)
    for _ in range(5):
        controller.tick()
    assert "defect" not in controller.state.message
    assert controller.state.painted == (0, 0)


def test_the_image_is_replaced_while_training(controller):
    add(controller, IMAGE)
    controller.train()
    until(controller, learning(controller))
    controller.link.image.data = IMAGE[:12, :16]
    until(controller, lambda: controller.state.phase is Phase.IDLE)
    controller.train()
    assert "choose other strokes" in controller.state.message


def test_a_value_without_a_class_is_a_sentence(controller):
    add(controller, IMAGE)
    controller.link.strokes.data[0, 0] = 9
    controller.train()
    assert controller.state.message == "Value 9 is painted but there are 2 classes: add a class, or erase it."


def test_objects_are_counted_together(controller):
    controller.set_model(ModelConfig(width=2, depth=1, task="instances"))
    add(controller, IMAGE)
    controller.link.strokes.data[0, 0] = 9
    controller.train()
    assert controller.state.painted == (12 * 32 - 1, 12 * 32 + 1)
    assert not controller.state.failed


def test_another_image_with_another_number_of_channels(controller):
    add(controller, IMAGE)
    controller.train()
    until(controller, learning(controller))
    controller.stop()
    until(controller, lambda: controller.state.phase is Phase.IDLE)
    controller.start_again()
    add(controller, np.zeros((24, 32, 3), np.uint8))
    controller.train()
    until(controller, learning(controller))
    assert not controller.state.failed


def test_a_stack_in_3d(controller):
    controller.set_model(ModelConfig(width=2, depth=1, ndim=3))
    add(controller, np.random.default_rng(0).random((6, 24, 32), dtype=np.float32))
    controller.train()
    until(controller, learning(controller))
    controller.stop()
    until(controller, lambda: controller.state.phase is Phase.IDLE)
    controller.segmentation.start(controller.predicting)
    until(controller, lambda: controller.state.progress is None)
    assert set(np.unique(controller.link.prediction.data)) <= {1, 2}


def test_a_3d_network_on_a_plane_is_a_sentence(controller):
    controller.set_model(ModelConfig(width=2, depth=1, ndim=3))
    add(controller, IMAGE)
    controller.train()
    assert "3D network needs a stack" in controller.state.message


def test_many_axes_are_segmented_plane_by_plane(controller):
    add(controller, np.random.default_rng(0).random((2, 3, 24, 32), dtype=np.float32))
    controller.train()
    until(controller, learning(controller))
    controller.stop()
    controller.segmentation.start(controller.predicting)
    until(controller, lambda: controller.state.progress is None)
    assert controller.link.prediction.data.all()


def test_a_pyramid_is_painted_and_segmented_at_full_resolution(controller):
    image = controller.link._viewer.add_image([IMAGE, IMAGE[::2, ::2]], multiscale=True)
    controller.choose_image(image)
    controller.new_strokes()
    strokes = controller.link.strokes.data
    strokes[:12], strokes[12:] = 1, 2
    controller.train()
    until(controller, learning(controller))
    controller.segmentation.start(controller.predicting)
    until(controller, lambda: controller.state.progress is None)
    assert controller.link.prediction.data.shape == IMAGE.shape
    assert controller.link.prediction.data.all()
    assert controller.link.view(2).box == ((0, 24), (0, 32))


def test_a_lazy_image_and_one_on_disk(controller, tmp_path):
    import dask.array as da
    import zarr

    stored = zarr.create_array(tmp_path / "image.zarr", shape=IMAGE.shape, chunks=(8, 8), dtype=IMAGE.dtype)
    stored[:] = IMAGE
    for image in (da.from_array(IMAGE, chunks=8), stored):
        add(controller, image)
        controller.train()
        until(controller, learning(controller))
        controller.stop()
        until(controller, lambda: controller.state.phase is Phase.IDLE)
        controller.start_again()
    assert not controller.state.failed


def test_in_3d_the_prediction_is_redrawn_now_and_then(controller, monkeypatch):
    from napari_unet._napari import prediction_layer

    add(controller, np.random.default_rng(0).random((6, 24, 32), dtype=np.float32))
    controller.train()
    until(controller, learning(controller))
    controller.stop()
    until(controller, lambda: controller.state.phase is Phase.IDLE)
    controller.link._viewer.dims.ndisplay = 3
    drawn = []
    monkeypatch.setattr(prediction_layer, "refresh", drawn.append)
    controller.segmentation.start(controller.predicting)
    until(controller, lambda: controller.state.progress is None)
    assert 0 < len(drawn) <= 4
    assert controller.link.prediction.data.all()


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 4096])
def test_a_foreign_file_is_a_sentence(controller, tmp_path, content):
    path = tmp_path / "foreign.unet"
    path.write_bytes(content)
    for wrong in (path, tmp_path / "missing.unet", tmp_path):
        controller.load(wrong)
        until(controller, lambda: controller.state.failed)
        assert "defect" not in controller.state.message


def test_a_place_that_cannot_be_written_is_a_sentence(controller, tmp_path):
    add(controller, IMAGE)
    controller.train()
    until(controller, learning(controller))
    controller.save(tmp_path / "missing folder" / "model.unet")
    until(controller, lambda: controller.state.failed)
    assert "defect" not in controller.state.message
    step = controller.state.step
    until(controller, lambda: controller.state.step > step + 2)
    assert controller.state.phase is Phase.TRAINING
