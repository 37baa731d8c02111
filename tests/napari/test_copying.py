"""Copied commands and scripts, run in a process of their own, give the pixels of the layer."""

import shlex
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image

import napari_unet as nu
from napari_unet._napari.controller import Controller
from napari_unet._napari.guidance import Phase
from napari_unet.config import ModelConfig, PredictConfig, TrainConfig
from napari_unet.data.synthetic import touching_cells
from napari_unet.session.inline import InlineSession


@pytest.fixture(scope="module")
def cells():
    return touching_cells((72, 80), seed=3)


def until(controller, done, ticks=2000):
    for _ in range(ticks):
        controller.tick()
        if done():
            return
    raise AssertionError(f"not done: {controller.state}")


@pytest.fixture
def trained(cells, tmp_path):
    """A controller with a model of 12 steps, its image in a file, some of it in a complete region."""
    path = tmp_path / "my cells.tif"
    tifffile.imwrite(path, cells.image)
    viewer = ViewerModel()
    layer = Image(cells.image, name="my cells")
    layer._source = layer.source.__class__(path=str(path))
    viewer.add_layer(layer)
    controller = Controller(viewer, InlineSession("cpu"))
    controller.set_live(False)
    controller.set_model(ModelConfig(width=4, depth=2, classes=("background", "cell body")))
    controller.training = TrainConfig(patch_size=32, batch_size=2, steps=12, ema=0.5, seed=5, device="cpu", threads=1)
    controller.new_strokes()
    strokes = controller.link.strokes.data
    strokes[::4] = np.where(cells.labels[::4] > 0, 2, 1)
    controller.new_regions()
    controller.link.regions.add_rectangles(np.array([[2, 2], [2, 9], [9, 9], [9, 2]]))
    controller.train()
    until(controller, lambda: controller.state.step >= 12 and controller.state.phase is Phase.IDLE)
    yield controller
    controller.close()


def copied(controller, what, kind, folder):
    texts = []
    controller.recipes.copied.connect(texts.append)
    controller.recipes.copy(what, kind, folder)
    controller.recipes.copied.disconnect(texts.append)
    assert not controller.state.failed, controller.state.message
    until(controller, lambda: not controller.answers.saving)
    return texts[0]


def run(text, kind, folder):
    """As a user would: paste it into a terminal, or into a script."""
    if kind == "command":
        words = shlex.split(text)
        assert words[0] == "napari-unet"
        line = [sys.executable, "-c", "import sys, napari_unet.cli as c; sys.exit(c.main())", *words[1:]]
    else:
        script = folder / "script.py"
        script.write_text(text)
        line = [sys.executable, str(script)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["command", "python"])
def test_a_copied_prediction_gives_the_pixels_of_the_layer(trained, tmp_path, kind):
    output = "instances" if kind == "command" else "labels"
    trained.predicting = PredictConfig(output=output, device="cpu", tile=48)
    trained.segmentation.start(trained.predicting)
    until(trained, lambda: trained.state.progress is None)
    layer = trained.link.objects if output == "instances" else trained.link.prediction
    assert len(np.unique(layer.data)) > 1
    folder = tmp_path / "copied here"
    text = copied(trained, "prediction", kind, folder)
    assert "my cells.tif" in text
    run(text, kind, folder)
    found = tifffile.imread(folder / f"my_cells-{output}.tif")
    assert np.array_equal(found, layer.data)


@pytest.mark.parametrize("kind", ["command", "python"])
def test_a_copied_training_gives_the_same_model(trained, cells, tmp_path, kind):
    folder = tmp_path / "copied here"
    text = copied(trained, "training", kind, folder)
    run(text, kind, folder)
    trained.segmentation.start(trained.predicting)
    until(trained, lambda: trained.state.progress is None)
    model = nu.Model.load(folder / "trained.unet")
    assert model.config.classes == ("background", "cell body")
    assert np.array_equal(model.predict(cells.image, axes="YX", device="cpu"), trained.link.prediction.data)


def test_pixels_that_are_in_no_file_are_written(trained, cells, tmp_path):
    trained.link.image.data = cells.image[::-1].copy()
    text = copied(trained, "prediction", "command", tmp_path / "copied here")
    assert "my cells.tif" not in text
    assert np.array_equal(np.load(tmp_path / "copied here" / "my_cells.npy"), cells.image[::-1])


def test_a_folder_that_cannot_be_written_is_a_sentence(trained, tmp_path):
    (tmp_path / "file").write_text("")
    trained.recipes.copy("training", "command", tmp_path / "file")
    assert trained.state.failed
    assert "another folder" in trained.state.message
